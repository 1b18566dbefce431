/*
 * Tables of numbers as text: commas, tabs or semicolons, with a line of names or without.
 *
 * One column is the label, the last unless it is asked for by name; the others are features. A
 * label is a class where all of them are whole numbers from 0 on, or words, which are then numbered
 * in their order as bytes; else it is a number. Fields may be quoted, and hold what they want then.
 * The text is read line by line, so a packed file costs no more than what is kept of it.
 */
#ifndef PART_CSV_H
#define PART_CSV_H

enum { CSV_LINE = 1 << 20, CSV_COLUMNS = 1 << 14, CSV_NAME = 64 };

struct csv {
    struct file file;
    int64_t line;   /* its number */
    uint64_t bytes; /* of text so far */
    char delimiter;
    bool ended;
    char *text; /* of the line, cut into fields */
    size_t size, room, at, filled;
    char *chunk;
    int fields;
    char **field;
};

PART bool csv_refuse(const struct csv *c, const char *what, struct part_error *error)
{
    return part_fail(error, PART_REFUSED, "%.250s:%lld: csv: %s", c->file.path, (long long)c->line,
                     what);
}

enum { CSV_CHUNK = 1 << 16, CSV_MUCH = 64 << 20, CSV_PACKING = 200 };

/* The next byte; -1 at the end or with the error set. */
PART int csv_byte(struct csv *c, struct part_error *error)
{
    if (c->at == c->filled) {
        int64_t got = c->ended ? 0 : file_some(&c->file, c->chunk, CSV_CHUNK, error);

        c->at = 0;
        c->filled = got > 0 ? (size_t)got : 0;
        c->ended = got <= 0;
        c->bytes += c->filled;
        if (c->file.packed && c->bytes > CSV_MUCH && c->bytes / CSV_PACKING > c->file.bytes) {
            c->at = c->filled;
            csv_refuse(c, "too much for so small a file: more than 200 times of it", error);
        }
    }
    return c->at < c->filled ? (unsigned char)c->chunk[c->at++] : -1;
}

PART bool csv_keep(struct csv *c, char byte, struct part_error *error)
{
    if (c->size + 1 >= c->room) {
        const size_t room = 2 * c->room + 256;
        char *more = room <= 2 * CSV_LINE ? (char *)realloc(c->text, room) : NULL;

        if (!more)
            return room > 2 * CSV_LINE ? csv_refuse(c, "a line of more than a mebibyte", error)
                                       : part_no_memory(error, c->file.path);
        c->text = more;
        c->room = room;
    }
    c->text[c->size++] = byte;
    c->text[c->size] = 0;
    return true;
}

/* The next line that is not empty, cut into fields; false at the end, or with the error set. */
PART bool csv_next(struct csv *c, struct part_error *error)
{
    bool quoted = false, any = false;
    int byte = 0, fields = 1;
    char *at;

    do {
        c->line++;
        c->size = 0;
        fields = 1;
        any = false;
        while ((byte = csv_byte(c, error)) >= 0 && (quoted || byte != '\n')) {
            any = true;
            if (byte == 0)
                return csv_refuse(c, "holds a zero; want text", error);
            if (byte == '"' && (quoted || c->size == 0 || c->text[c->size - 1] == 1)) {
                if (!quoted) {
                    quoted = true;
                } else { /* twice: a quote; once: the end */
                    byte = csv_byte(c, error);
                    quoted = byte == '"';
                    if (byte >= 0 && !quoted)
                        c->at--;
                    if (quoted && !csv_keep(c, '"', error))
                        return false;
                }
                continue;
            }
            if (byte == 1 || (quoted && byte == '\n'))
                return csv_refuse(c,
                                  byte == 1 ? "holds a control character; want text"
                                            : "a quote that does not end in its line",
                                  error);
            if (byte == c->delimiter && !quoted)
                fields++;
            if (!csv_keep(c, byte == c->delimiter && !quoted ? 1 : (char)byte, error))
                return false;
        }
        if (error->status)
            return false;
        if (quoted)
            return csv_refuse(c, "a quote that does not end", error);
        while (c->size && c->text[c->size - 1] == '\r')
            c->text[--c->size] = 0;
    } while (byte >= 0 && (!any || c->size == 0));
    if (c->size == 0)
        return false;
    if (fields > CSV_COLUMNS)
        return csv_refuse(c, "more than 16384 fields", error);
    if (fields > c->fields) {
        char **more = realloc(c->field, (size_t)fields * sizeof *more);

        if (!more)
            return part_no_memory(error, c->file.path);
        c->field = more;
    }
    c->fields = 0;
    for (at = c->text; at; c->fields++) { /* fields lie between ones, without blanks around them */
        char *end = strchr(at, 1), *last;

        if (end)
            *end = 0;
        while (*at == ' ')
            at++;
        for (last = at + strlen(at); last > at && last[-1] == ' ';)
            *--last = 0;
        c->field[c->fields] = at;
        at = end ? end + 1 : NULL;
    }
    return true;
}

/*
 * A number as C writes it, whatever the locale: to 15 digits and exponents within 22 the arithmetic
 * is exact, and what is longer is strtod()'s.
 */
PART bool csv_number(const char *text, double *number)
{
    static const double power[] = { 1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                    1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                    1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22 };
    const bool minus = *text == '-';
    const char *at = text + (minus || *text == '+');
    int digits = 0, seen = 0, scale = 0, exponent = 0;
    uint64_t whole = 0;
    bool point = false;
    char *end;

    for (; (*at >= '0' && *at <= '9') || (*at == '.' && !point); at++) {
        if (*at == '.') {
            point = true;
            continue;
        }
        seen++;
        digits += digits || *at != '0';
        if (digits <= 15)
            whole = whole * 10 + (uint64_t)(*at - '0');
        if (digits <= 15)
            scale -= point;
    }
    if (!seen)
        return false;
    if (*at == 'e' || *at == 'E') {
        const bool down = at[1] == '-';

        at += 1 + (down || at[1] == '+');
        if (*at < '0' || *at > '9')
            return false;
        for (; *at >= '0' && *at <= '9'; at++)
            exponent = exponent < 10000 ? exponent * 10 + *at - '0' : exponent;
        exponent = down ? -exponent : exponent;
    }
    if (*at)
        return false;
    scale += exponent;
    if (digits <= 15 && scale >= -22 && scale <= 22) {
        *number = scale < 0 ? (double)whole / power[-scale] : (double)whole * power[scale];
        *number = minus ? -*number : *number;
        return true;
    }
    *number = strtod(text, &end);
    return end == at && isfinite(*number);
}

/* The delimiter of the first line: tabs before semicolons before commas. */
PART char csv_delimiter(const char *text, size_t size)
{
    const char *end = (const char *)memchr(text, '\n', size);

    size = end ? (size_t)(end - text) : size;
    return memchr(text, '\t', size) ? '\t' : memchr(text, ';', size) ? ';' : ',';
}

PART void csv_close(struct csv *c)
{
    file_close(&c->file);
    free(c->text);
    free(c->chunk);
    free(c->field);
    *c = (struct csv){ 0 };
}

PART bool csv_open(struct csv *c, const char *path, struct part_error *error)
{
    int64_t got;

    *c = (struct csv){ 0 };
    if (!file_open(&c->file, path, error))
        return false;
    c->chunk = malloc(CSV_CHUNK);
    if (!c->chunk)
        part_no_memory(error, path);
    got = error->status ? 0 : file_some(&c->file, c->chunk, CSV_CHUNK, error);
    c->filled = got > 0 ? (size_t)got : 0;
    if (!error->status) {
        if (c->filled >= 3 && memcmp(c->chunk, "\xef\xbb\xbf", 3) == 0)
            c->at = 3; /* a mark that some programs put before UTF-8 */
        c->delimiter = csv_delimiter(c->chunk + c->at, c->filled - c->at);
    }
    if (error->status)
        csv_close(c);
    return !error->status;
}

/* What a table has come to: features row after row, labels as numbers or words. */
struct csv_table {
    int64_t rows, room;
    int features, label; /* columns of numbers; the label's place among the fields */
    float *value;
    double *number;
    char **word;
    bool words; /* the labels are */
};

PART void csv_table_free(struct csv_table *t)
{
    for (int64_t row = 0; t->words && t->word && row < t->rows; row++)
        free(t->word[row]);
    free(t->value);
    free(t->number);
    free(t->word);
    *t = (struct csv_table){ 0 };
}

PART bool csv_room(struct csv_table *t)
{
    const int64_t room = t->room + t->room / 2 + 256;
    void *more;

    if (t->rows < t->room)
        return true;
    if (!(more = realloc(t->value, (size_t)room * (size_t)t->features * sizeof *t->value + 1)))
        return false;
    t->value = (float *)more;
    if (!(more = realloc(t->number, (size_t)room * sizeof *t->number)))
        return false;
    t->number = (double *)more;
    if (!(more = realloc(t->word, (size_t)room * sizeof *t->word)))
        return false;
    t->word = (char **)more;
    t->room = room;
    return true;
}

/* One line's numbers; with `keep` false they are only looked at. */
PART bool csv_row(struct csv *c, struct csv_table *t, bool keep, struct part_error *error)
{
    char what[200];
    double number;

    if (keep && !csv_room(t))
        return part_no_memory(error, c->file.path);
    for (int i = 0, k = 0; i < c->fields; i++) {
        const bool fine = csv_number(c->field[i], &number);

        if (i == t->label && t->rows == 0)
            t->words = !fine && *c->field[i];
        if (i == t->label && t->words) {
            if (!*c->field[i])
                return csv_refuse(c, "the label is empty", error);
            if (keep && !(t->word[t->rows] = strdup(c->field[i])))
                return part_no_memory(error, c->file.path);
            continue;
        }
        if (!fine || (i != t->label && !(fabs(number) <= 3.4e38))) {
            if (t->words && keep && i > t->label)
                free(t->word[t->rows]);
            snprintf(what, sizeof what, "field %d is \"%.60s\"; want a number", i + 1, c->field[i]);
            return csv_refuse(c, what, error);
        }
        if (keep && i == t->label)
            t->number[t->rows] = number;
        else if (keep)
            t->value[t->rows * t->features + k++] = (float)number;
    }
    t->rows++;
    return true;
}

/* All lines; `label` is a name or NULL: the last column. */
PART bool csv_lines(struct csv *c, const char *label, struct csv_table *t, bool keep,
                    struct part_error *error)
{
    int fields = 0, names = 0;
    char what[200];
    double number;

    *t = (struct csv_table){ 0 };
    while (csv_next(c, error)) {
        if (!fields) { /* a line of names has nothing that is a number */
            fields = c->fields;
            t->label = fields - 1;
            for (int i = 0; i < fields; i++)
                names += !csv_number(c->field[i], &number);
            for (int i = 0; label && i <= fields; i++) {
                if (i == fields) {
                    snprintf(what, sizeof what, "there is no column \"%.60s\" for labels", label);
                    return csv_refuse(c, what, error);
                }
                if (names == fields && strcmp(c->field[i], label) == 0) {
                    t->label = i;
                    break;
                }
            }
            t->features = fields - 1;
            if (fields < 2)
                return csv_refuse(c, "one field; want features and a label", error);
            if (names == fields)
                continue;
        }
        if (c->fields != fields) {
            snprintf(what, sizeof what, "%d fields; the lines before have %d", c->fields, fields);
            return csv_refuse(c, what, error);
        }
        if (!csv_row(c, t, keep, error))
            return false;
    }
    return !error->status && (t->rows > 0 || part_fail(error, PART_REFUSED,
                                                       "%.250s: csv: holds no rows", c->file.path));
}

/* One file, nothing kept. */
PART bool csv_check(const char *path, int64_t *rows, int *fields, struct part_error *error)
{
    struct csv_table t;
    struct csv c;

    if (!csv_open(&c, path, error))
        return false;
    csv_lines(&c, NULL, &t, false, error);
    *rows = t.rows;
    *fields = t.features + 1;
    csv_close(&c);
    return !error->status;
}

PART int csv_by_word(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Classes from labels that are words, in the order of their bytes; false: no memory. */
PART bool csv_classes(struct csv_table *t, struct columns *to, int32_t *y)
{
    char **sorted = malloc((size_t)t->rows * sizeof *sorted);
    int64_t classes = 0;

    if (!sorted)
        return false;
    memcpy(sorted, t->word, (size_t)t->rows * sizeof *sorted);
    qsort(sorted, (size_t)t->rows, sizeof *sorted, csv_by_word);
    for (int64_t i = 0; i < t->rows; i++)
        if (i == 0 || strcmp(sorted[i], sorted[classes - 1]) != 0)
            sorted[classes++] = sorted[i];
    for (int64_t row = 0; row < t->rows; row++)
        y[row] = (int32_t)((char **)bsearch(&t->word[row], sorted, (size_t)classes, sizeof *sorted,
                                            csv_by_word) -
                           sorted);
    to->classes = (int)classes;
    free(sorted);
    return true;
}

/* x f32 [features], and y i32 [] where labels are classes, else f32 []. */
PART bool csv_read(const char *path, const char *label, const char *part, struct columns *to,
                   struct part_error *error)
{
    struct column *x = NULL, *y = NULL;
    struct csv_table t;
    bool whole;
    struct csv c;

    *to = (struct columns){ 0 };
    if (!csv_open(&c, path, error))
        return false;
    if (csv_lines(&c, label, &t, true, error)) {
        whole = true;
        for (int64_t row = 0; !t.words && whole && row < t.rows; row++)
            whole = t.number[row] >= 0 && t.number[row] < 1 << 24 &&
                    t.number[row] == (double)(int32_t)t.number[row];
        to->rows = t.rows;
        const int64_t dim[] = { t.features };
        x = columns_add(to, "x", PART_F32, 1, dim, true, error);
        y = x ? columns_add(to, "y", whole ? PART_I32 : PART_F32, 0, NULL, false, error) : NULL;
    }
    if (y) {
        x->rows = x->memory = t.value;
        t.value = NULL;
        if (t.words && !csv_classes(&t, to, (int32_t *)y->rows))
            part_no_memory(error, path);
        for (int64_t row = 0; !t.words && row < t.rows; row++)
            if (whole)
                ((int32_t *)y->rows)[row] = (int32_t)t.number[row];
            else
                ((float *)y->rows)[row] = (float)t.number[row];
        columns_count_classes(to, "y");
        columns_part(to, path, part, error);
    }
    csv_table_free(&t);
    csv_close(&c);
    if (error->status)
        columns_free(to);
    return !error->status;
}

#endif

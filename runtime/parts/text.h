/*
 * Text as tokens: characters in windows, names by what comes before each letter, words.
 *
 * A vocabulary lists what tokens stand for. It is made from the whole of a file, or of the training
 * part where a set has files for each, so it does not depend on the part that is read.
 */
#ifndef PART_TEXT_H
#define PART_TEXT_H

enum { TEXT_MOST = 1 << 30, TEXT_CONTEXT = 1 << 20 };

struct text_vocabulary {
    int64_t count;
    char **entry; /* what a token stands for, ended by a zero; all in one piece of memory */
    char *memory;
};

PART void text_vocabulary_free(struct text_vocabulary *v)
{
    free(v->entry);
    free(v->memory);
    *v = (struct text_vocabulary){ 0 };
}

/*
 * What the tokens stand for in one text, for the weights that know them by number: one behind the
 * other with TEXT_APART between them. NULL where a token has that in it.
 */
#define TEXT_APART '\x1f'
PART bool text_tokens(const struct text_vocabulary *v, char **tokens, struct part_error *error)
{
    size_t size = 0;

    *tokens = NULL;
    for (int64_t i = 0; i < v->count; i++) {
        if (strchr(v->entry[i], TEXT_APART))
            return true;
        size += strlen(v->entry[i]) + 1;
    }
    if (size && !(*tokens = malloc(size)))
        return part_fail(error, PART_FAILED, "not enough memory for a vocabulary");
    for (int64_t i = 0, at = 0; i < v->count; i++) {
        const size_t length = strlen(v->entry[i]);
        memcpy(*tokens + at, v->entry[i], length);
        at += (int64_t)length;
        (*tokens)[at++] = i + 1 < v->count ? TEXT_APART : 0;
    }
    return true;
}

/* A character of UTF-8 and its length; 0 when it is none. No zero is a character of a text. */
PART int text_character(const char *at, const char *end, uint32_t *code)
{
    const unsigned char *c = (const unsigned char *)at;
    const int size = *c < 0x80   ? 1
                     : *c < 0xc2 ? 0
                     : *c < 0xe0 ? 2
                     : *c < 0xf0 ? 3
                     : *c < 0xf5 ? 4
                                 : 0;

    if (size == 0 || end - at < size || *c == 0)
        return 0;
    *code = size == 1 ? *c : *c & (0x7fu >> size);
    for (int i = 1; i < size; i++) {
        if ((c[i] & 0xc0) != 0x80)
            return 0;
        *code = *code << 6 | (c[i] & 0x3fu);
    }
    if ((size == 3 && *code < 0x800) || (size == 4 && *code < 0x10000) || *code > 0x10ffff ||
        (*code >= 0xd800 && *code < 0xe000))
        return 0; /* too long, beyond the last, a half of a pair */
    return size;
}

/* A whole file that is text, or one that the program writes; NULL with the error set. */
PART char *text_whole(const char *path, uint64_t *size, struct part_error *error)
{
    const int made = sentences_find(path);
    char *text =
        made >= 0 ? sentences_text(made, size, error) : file_whole(path, TEXT_MOST, size, error);
    uint64_t line = 1;
    uint32_t code;
    int length;

    for (uint64_t at = 0; text && at < *size; at += (uint64_t)length) {
        length = text_character(text + at, text + *size, &code);
        line += text[at] == '\n';
        if (length)
            continue;
        part_fail(error, PART_REFUSED, "%.250s:%llu: byte 0x%02x is no text in UTF-8", path,
                  (unsigned long long)line, (unsigned char)text[at]);
        free(text);
        return NULL;
    }
    if (text && *size == 0) {
        part_fail(error, PART_REFUSED, "%.250s: is empty; want text", path);
        free(text);
        return NULL;
    }
    return text;
}

/* The characters that a text has, in their order, behind `first` that has no character: "." */
PART bool text_characters_of(const char *text, uint64_t size, const char *first,
                             struct text_vocabulary *v, int32_t **token_of, const char *path,
                             struct part_error *error)
{
    enum { CODES = 0x110000 };
    static const uint32_t lead[4] = { 0, 0xc0, 0xe0, 0xf0 };
    int32_t *token = calloc(CODES, sizeof *token);
    int64_t count = first != NULL;
    uint32_t code, most = 0;
    char *to;

    *v = (struct text_vocabulary){ 0 };
    *token_of = token;
    for (uint64_t at = 0; token && at < size;
         at += (uint64_t)text_character(text + at, text + size, &code)) {
        text_character(text + at, text + size, &code);
        if (!first || code != '\n') {
            count += !token[code];
            token[code] = 1;
            most = code > most ? code : most;
        }
    }
    v->entry = malloc((size_t)count * sizeof *v->entry + 1);
    v->memory = to = malloc((size_t)count * 5 + 1);
    if (!token || !v->entry || !v->memory)
        return part_no_memory(error, path);
    if (first) {
        v->entry[v->count++] = to;
        *to++ = *first;
        *to++ = 0;
    }
    for (code = 1; code <= most; code++) {
        const int more = code < 0x80 ? 0 : code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;

        if (!token[code])
            continue;
        token[code] = (int32_t)v->count;
        v->entry[v->count++] = to;
        *to++ = (char)(more ? lead[more] | code >> 6 * more : code);
        for (int i = more - 1; i >= 0; i--)
            *to++ = (char)(0x80 | (code >> 6 * i & 0x3f));
        *to++ = 0;
    }
    return true;
}

PART bool text_part(const char *path, const char *part, bool *test, struct part_error *error)
{
    *test = part && (strcmp(part, "test") == 0 || strcmp(part, "validation") == 0);
    return !part || *test || strcmp(part, "train") == 0 ||
           part_fail(error, PART_REFUSED,
                     "%.250s: there is no part \"%.40s\"; want train, validation or test", path,
                     part);
}

/*
 * Windows of characters: x i32 [context] and y i32 [context], the characters one further. Windows
 * begin every `step` characters, 0: side by side. The part "train" is the first nine tenths of the
 * text, "test" or "validation" the rest, NULL all of it.
 */
PART bool text_windows(const char *path, int64_t context, int64_t step, const char *part,
                       struct columns *to, struct text_vocabulary *v, struct part_error *error)
{
    int32_t *token_of = NULL, *token = NULL;
    int64_t count = 0, first = 0;
    struct column *x, *y;
    uint64_t size = 0;
    uint32_t code;
    bool test;
    char *text;

    *to = (struct columns){ 0 };
    *v = (struct text_vocabulary){ 0 };
    if (context < 1 || context > TEXT_CONTEXT || step < 0 || step > TEXT_CONTEXT)
        return part_fail(error, PART_REFUSED,
                         "%.250s: windows of %lld characters every %lld; want 1 to %d", path,
                         (long long)context, (long long)step, TEXT_CONTEXT);
    if (!text_part(path, part, &test, error) || !(text = text_whole(path, &size, error)))
        return false;
    step = step ? step : context;
    if (text_characters_of(text, size, NULL, v, &token_of, path, error)) {
        token = malloc((size_t)size * sizeof *token);
        if (!token)
            part_no_memory(error, path);
        for (uint64_t at = 0; token && at < size;) {
            at += (uint64_t)text_character(text + at, text + size, &code);
            token[count++] = token_of[code];
        }
    }
    free(token_of);
    free(text);
    if (part && !error->status) {
        const int64_t split = count / 10 * 9 + count % 10 * 9 / 10;
        first = test ? split : 0;
        count = test ? count - split : split;
    }
    if (!error->status && count <= context)
        part_fail(error, PART_REFUSED, "%.250s: %lld characters; windows of %lld need one more",
                  path, (long long)count, (long long)context);
    to->rows = (count - context - 1) / step + 1;
    to->classes = (int)v->count;
    if (!error->status && (x = columns_add(to, "x", PART_I32, 1, &context, true, error)) &&
        (y = columns_add(to, "y", PART_I32, 1, &context, true, error))) {
        x->memory = token;
        x->rows = token + first;
        y->rows = token + first + 1;
        x->stride = y->stride = (size_t)step * sizeof *token;
        return true;
    }
    free(token);
    text_vocabulary_free(v);
    *to = (struct columns){ 0 };
    return false;
}

/*
 * Names, one a line: for each of their letters, and for their end, x i32 [context] is what comes
 * before it and y i32 [] the letter. Token 0 is before the first and after the last. A tenth of the
 * names, chosen by a keyed permutation, is the part "test" or "validation".
 */
PART bool text_names(const char *path, int64_t context, const char *part, struct columns *to,
                     struct text_vocabulary *v, struct part_error *error)
{
    int64_t names = 0, rows = 0, held;
    int32_t *token_of = NULL, *x = NULL, *y = NULL;
    struct column *cx = NULL, *cy = NULL;
    struct shuffle order;
    uint64_t size = 0;
    uint32_t code;
    bool test;
    char *text;

    *to = (struct columns){ 0 };
    *v = (struct text_vocabulary){ 0 };
    if (context < 1 || context > 1024)
        return part_fail(error, PART_REFUSED, "%.250s: %lld letters before each; want 1 to 1024",
                         path, (long long)context);
    if (!text_part(path, part, &test, error) || !(text = text_whole(path, &size, error)))
        return false;
    for (uint64_t at = 0; at < size; at++) {
        if (text[at] == '\r')
            text[at] = '\n'; /* an empty line is no name */
        names += text[at] != '\n' && (at == 0 || text[at - 1] == '\n');
    }
    held = names - (names + 9) / 10;
    if (names < 2)
        part_fail(error, PART_REFUSED, "%.250s: %lld names; want one a line", path,
                  (long long)names);
    else
        text_characters_of(text, size, ".", v, &token_of, path, error);
    order = shuffle_of((uint64_t)(names ? names : 1), 0, 0);
    for (int write = 0; !error->status && write < 2; write++) { /* counted, then written */
        int64_t name = 0, row = 0;

        for (uint64_t at = 0; at < size;) {
            uint64_t begin = at, end = at;
            int64_t letters = 0;

            while (end < size && text[end] != '\n')
                end++;
            at = end + 1;
            if (begin == end ||
                (part && test != ((int64_t)shuffle_place(&order, (uint64_t)name++) >= held)))
                continue;
            for (uint64_t i = begin; i < end;
                 i += (uint64_t)text_character(text + i, text + end, &code))
                letters++;
            for (int64_t k = 0; write && k <= letters; k++) {
                int32_t *window = x + (row + k) * context;

                for (int64_t i = 0; i < context; i++)
                    window[i] = k == 0            ? 0
                                : i + 1 < context ? window[i - context + 1]
                                                  : y[row + k - 1];
                code = 0;
                begin +=
                    k < letters ? (uint64_t)text_character(text + begin, text + end, &code) : 0;
                y[row + k] = token_of[code];
            }
            row += letters + 1;
        }
        rows = row;
        if (write)
            break;
        to->rows = rows;
        to->classes = (int)v->count;
        cx = columns_add(to, "x", PART_I32, 1, &context, false, error);
        cy = cx ? columns_add(to, "y", PART_I32, 0, NULL, false, error) : NULL;
        x = cx ? (int32_t *)cx->rows : NULL;
        y = cy ? (int32_t *)cy->rows : NULL;
    }
    free(token_of);
    free(text);
    if (error->status) {
        columns_free(to);
        text_vocabulary_free(v);
    }
    return !error->status;
}

/* --- words --------------------------------------------------------------------------------------
 */

struct text_word {
    const char *text;
    size_t size;
    int64_t count;
};

PART int text_by_word(const void *a, const void *b)
{
    const struct text_word *p = (const struct text_word *)a, *q = (const struct text_word *)b;
    const int differ = memcmp(p->text, q->text, p->size < q->size ? p->size : q->size);

    return differ ? differ : (p->size > q->size) - (p->size < q->size);
}

PART int text_by_count(const void *a, const void *b)
{
    const struct text_word *p = (const struct text_word *)a, *q = (const struct text_word *)b;

    return p->count != q->count ? (p->count < q->count ? 1 : -1) : text_by_word(a, b);
}

/* The next word before `end`, between blanks; false without one. */
PART bool text_next_word(const char **at, const char *end, struct text_word *w)
{
    while (*at < end && (**at == ' ' || **at == '\r'))
        ++*at;
    w->text = *at;
    while (*at < end && **at != ' ' && **at != '\r')
        ++*at;
    w->size = (size_t)(*at - w->text);
    return w->size > 0;
}

/* The next line "words TAB label"; false at the end or with the error set. */
PART bool text_next_line(const char *path, const char **at, const char *end, int64_t *line,
                         struct text_word *words, int32_t *label, struct part_error *error)
{
    while (*at < end) {
        const char *stop = (const char *)memchr(*at, '\n', (size_t)(end - *at)), *tab;
        int64_t number = 0;
        bool fine;

        stop = stop ? stop : end;
        words->text = *at;
        *at = stop < end ? stop + 1 : end;
        ++*line;
        while (stop > words->text && (stop[-1] == '\r' || stop[-1] == ' '))
            stop--;
        if (stop == words->text)
            continue;
        for (tab = stop; tab > words->text && tab[-1] != '\t';)
            tab--;
        words->size = tab > words->text ? (size_t)(tab - 1 - words->text) : 0;
        fine = tab > words->text && tab < stop && stop - tab < 7;
        for (const char *c = tab; fine && c < stop; c++) {
            fine = *c >= '0' && *c <= '9';
            number = number * 10 + *c - '0';
        }
        *label = (int32_t)number;
        return fine || part_fail(error, PART_REFUSED,
                                 "%.250s:%lld: want words, a tab and the number of a class", path,
                                 (long long)*line);
    }
    return false;
}

/* All words of a file by how often they occur: token 0 is nothing, 1 a word that is not listed. */
PART bool text_words_of(const char *path, int64_t most, struct text_vocabulary *v, int *classes,
                        struct part_error *error)
{
    struct text_word *list = NULL, words, w;
    int64_t count = 0, room = 0, kinds = 0, line = 0;
    const char *at, *end;
    size_t bytes = 16;
    uint64_t size = 0;
    int32_t label;
    char *text = text_whole(path, &size, error), *to = NULL;

    *v = (struct text_vocabulary){ 0 };
    *classes = 0;
    if (!text)
        return false;
    for (at = text, end = text + size;
         text_next_line(path, &at, end, &line, &words, &label, error) && !error->status;) {
        *classes = label >= *classes ? label + 1 : *classes;
        for (const char *in = words.text, *stop = in + words.size; text_next_word(&in, stop, &w);) {
            if (count == room) {
                struct text_word *more =
                    realloc(list, (size_t)(room = 2 * room + 1024) * sizeof *list);

                if (!more) {
                    part_no_memory(error, path);
                    break;
                }
                list = more;
            }
            list[count++] = w;
        }
    }
    if (!error->status && count == 0)
        part_fail(error, PART_REFUSED, "%.250s: holds no words", path);
    if (!error->status) {
        qsort(list, (size_t)count, sizeof *list, text_by_word);
        for (int64_t i = 0; i < count; i++)
            if (kinds && text_by_word(&list[i], &list[kinds - 1]) == 0) {
                list[kinds - 1].count++;
            } else {
                list[kinds] = list[i];
                list[kinds++].count = 1;
            }
        qsort(list, (size_t)kinds, sizeof *list, text_by_count);
        kinds = most > 0 && most < kinds ? most : kinds;
        for (int64_t i = 0; i < kinds; i++)
            bytes += list[i].size + 1;
        v->entry = malloc(((size_t)kinds + 2) * sizeof *v->entry);
        v->memory = to = malloc(bytes);
        if (!v->entry || !v->memory)
            part_no_memory(error, path);
    }
    for (int64_t i = -2; !error->status && i < kinds; i++) {
        w = i < 0 ? (struct text_word){ .text = i == -2 ? "" : "?", .size = (size_t)(i + 2) }
                  : list[i];
        v->entry[v->count++] = to;
        memcpy(to, w.text, w.size);
        to[w.size] = 0;
        to += w.size + 1;
    }
    free(list);
    free(text);
    if (error->status)
        text_vocabulary_free(v);
    return !error->status;
}

struct text_place { /* a word and its token, to be looked up */
    struct text_word word;
    int32_t token;
};

PART bool text_lines(const char *path, int64_t context, const struct text_vocabulary *v,
                     struct columns *to, struct part_error *error)
{
    struct text_place *place = malloc((size_t)v->count * sizeof *place), *found;
    int64_t line = 0, row = 0;
    struct text_word words, w;
    const char *at, *end;
    int32_t label, *x = NULL, *y = NULL;
    uint64_t size = 0;
    char *text = text_whole(path, &size, error);

    if (text && !place)
        part_no_memory(error, path);
    for (int64_t i = 2; place && i < v->count; i++) {
        place[i - 2].word = (struct text_word){ v->entry[i], strlen(v->entry[i]), 0 };
        place[i - 2].token = (int32_t)i;
    }
    if (place)
        qsort(place, (size_t)(v->count - 2), sizeof *place, text_by_word); /* its first member */
    for (int write = 0; !error->status && write < 2; write++) {
        for (at = text, end = text + size, row = line = 0;
             text_next_line(path, &at, end, &line, &words, &label, error) && !error->status;
             row++) {
            const char *in = words.text, *stop = in + words.size;

            if (label >= to->classes)
                part_fail(error, PART_REFUSED, "%.250s:%lld: class %d; the training part has %d",
                          path, (long long)line, label, to->classes);
            if (!write || error->status)
                continue;
            y[row] = label;
            for (int64_t i = 0; i < context && text_next_word(&in, stop, &w); i++) {
                found = (struct text_place *)bsearch(&w, place, (size_t)(v->count - 2),
                                                     sizeof *place, text_by_word);
                x[row * context + i] = found ? found->token : 1;
            }
        }
        if (write || error->status)
            break;
        to->rows = row;
        if (row == 0)
            part_fail(error, PART_REFUSED, "%.250s: holds no lines", path);
        else if (columns_add(to, "x", PART_I32, 1, &context, false, error) &&
                 columns_add(to, "y", PART_I32, 0, NULL, false, error)) {
            x = (int32_t *)to->column[0].rows;
            y = (int32_t *)to->column[1].rows;
        }
    }
    free(place);
    free(text);
    return !error->status;
}

/*
 * Sentences with a class, "words TAB label" a line, in train.tsv, dev.tsv and test.tsv of a folder:
 * x i32 [context], cut or filled up with token 0, and y i32 []. The vocabulary is the `most` most
 * frequent words of train.tsv, 0: all. The part "validation" is dev.tsv.
 */
PART bool text_sentences(const char *folder, int64_t context, int64_t most, const char *part,
                         struct columns *to, struct text_vocabulary *v, struct part_error *error)
{
    const char *file = !part || strcmp(part, "train") == 0 ? "train"
                       : strcmp(part, "validation") == 0   ? "dev"
                                                           : "test";
    char path[2][4096];
    bool test;

    *to = (struct columns){ 0 };
    *v = (struct text_vocabulary){ 0 };
    if (context < 1 || context > 1 << 16)
        return part_fail(error, PART_REFUSED, "%.250s: %lld words; want 1 to 65536", folder,
                         (long long)context);
    if (!text_part(folder, part, &test, error))
        return false;
    for (int i = 0; i < 2; i++) {
        int size = snprintf(path[i], sizeof path[i], "%s/%s.tsv", folder, i ? file : "train");

        if (size > 0 && (size_t)size < sizeof path[i] - 4 && access(path[i], F_OK) != 0 &&
            sentences_find(path[i]) < 0)
            memcpy(path[i] + size, ".gz", 4);
    }
    if (text_words_of(path[0], most, v, &to->classes, error))
        text_lines(path[1], context, v, to, error);
    if (error->status) {
        columns_free(to);
        text_vocabulary_free(v);
    }
    return !error->status;
}

#endif

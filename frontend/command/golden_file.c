/*
 * golden_file: questions in, answers out. The text has one item a line, the numbers lie in a file
 * beside it; every offset and size is checked against that file before it is believed.
 */
#include "golden.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "frontend/data.h"

/* --- whole files ----------------------------------------------------------------------------- */

static char *read_all(const char *path, size_t *size, struct ir_error *error)
{
    FILE *file = NULL;
    struct stat about;
    char *data = NULL;

    *size = 0;
    if (stat(path, &about) != 0 || !(file = fopen(path, "rb")))
        ir_error(error, IR_REFUSED, "%.200s: %s", path, strerror(errno));
    else if (!S_ISREG(about.st_mode))
        ir_error(error, IR_REFUSED, "%.200s: it is not a plain file", path);
    else if (!(data = malloc((size_t)about.st_size + 1)))
        ir_error(error, IR_FAILED, "%.200s: not enough memory", path);
    else
        *size = fread(data, 1, (size_t)about.st_size, file);
    if (data)
        data[*size] = 0;
    if (file)
        fclose(file);
    return data;
}

/* --- words of a line ------------------------------------------------------------------------- */

struct reader {
    struct golden *golden;
    const char *path;
    struct ir_error *error;
    char *next; /* what of the text is not yet read */
    char *at;   /* what of the line */
    int line;
    size_t bytes; /* of the numbers */
    bool ok;
};

static bool refuse(struct reader *r, const char *found, const char *expected)
{
    if (r->ok)
        ir_error(r->error, IR_REFUSED, "%.200s:%d: found \"%.60s\"; expected %s", r->path, r->line,
                 found, expected);
    return r->ok = false;
}

static bool next_line(struct reader *r)
{
    char *end;

    if (!*r->next)
        return false;
    r->at = r->next;
    r->line++;
    end = r->next + strcspn(r->next, "\n");
    r->next = *end ? end + 1 : end;
    *end = 0;
    if (end > r->at && end[-1] == '\r')
        end[-1] = 0;
    for (const char *c = r->at; *c; c++)
        if (*c < ' ' || *c > '~')
            return refuse(r, "a byte that is no text", "words of letters, digits and signs");
    return true;
}

static char *word(struct reader *r, const char *expected)
{
    char *start = r->at, *end = start + strcspn(start, " ");

    if (end == start)
        refuse(r, "the end of the line", expected);
    r->at = *end ? end + 1 : end;
    *end = 0;
    return start;
}

static int64_t integer(struct reader *r, const char *expected, int64_t least, int64_t most)
{
    const char *text = word(r, expected);
    char *end;
    long long number;

    errno = 0;
    number = strtoll(text, &end, 10);
    if (*text == 0 || *end || errno || number < least || number > most) {
        refuse(r, text, expected);
        return least;
    }
    return number;
}

static double real(struct reader *r)
{
    const char *text = word(r, "a number");
    double number = 0;

    if (!ir_read_number(text, strlen(text), &number))
        refuse(r, text, "a number");
    return number;
}

/* --- items ----------------------------------------------------------------------------------- */

static struct golden_attr read_attr(struct reader *r)
{
    struct golden_attr a = { .name = word(r, "a name") };
    const char *kind = word(r, "int, float, bool, str, ints or floats");
    const bool ints = strcmp(kind, "ints") == 0, floats = strcmp(kind, "floats") == 0;

    if (strcmp(kind, "int") == 0) {
        a.kind = 'i';
        a.integer = integer(r, "an integer", INT64_MIN, INT64_MAX);
    } else if (strcmp(kind, "bool") == 0) {
        a.kind = 'b';
        a.integer = integer(r, "0 or 1", 0, 1);
    } else if (strcmp(kind, "float") == 0) {
        a.kind = 'f';
        a.real = real(r);
    } else if (strcmp(kind, "str") == 0) {
        a.kind = 's';
        a.text = r->at;
        r->at += strlen(r->at);
    } else if (ints || floats) {
        int64_t *to;
        double *numbers;

        a.kind = ints ? 'I' : 'F';
        a.count = (int)integer(r, "how many numbers", 0, (int64_t)strlen(r->at) + 1);
        a.integers = to = ir_alloc(r->golden->arena, ((size_t)a.count + 1) * sizeof *to);
        a.reals = numbers = ir_alloc(r->golden->arena, ((size_t)a.count + 1) * sizeof *numbers);
        for (int i = 0; i < a.count && r->ok; i++)
            if (ints)
                to[i] = integer(r, "an integer", INT64_MIN, INT64_MAX);
            else
                numbers[i] = real(r);
    } else {
        refuse(r, kind, "int, float, bool, str, ints or floats");
    }
    return a;
}

static bool read_dtype(struct reader *r, enum ir_dtype *dtype)
{
    static const struct {
        const char *name;
        enum ir_dtype dtype;
    } types[] = { { "f32", IR_F32 },
                  { "f64", IR_F64 },
                  { "i32", IR_I32 },
                  { "i64", IR_I64 },
                  { "b8", IR_BOOL } };
    const char *name = word(r, "a type");

    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (strcmp(types[i].name, name) == 0) {
            *dtype = types[i].dtype;
            return true;
        }
    return refuse(r, name, "f32, f64, i32, i64 or b8");
}

#define MOST \
    ((int64_t)1 << 40) /* bytes of an array: then products of its extents have no overflow */

/* in and ct lines; where the bytes lie is checked here, once. */
static struct golden_array read_array(struct reader *r, bool input)
{
    struct golden_array a = { .name = word(r, "a name") };
    int64_t bytes, reach, offset, given; /* reach: as if no extent were 0 */

    if (!read_dtype(r, &a.dtype))
        return a;
    bytes = reach = ir_dtypes[a.dtype].bytes;
    a.shape.rank = (int)integer(r, "a rank of 0 to 8", 0, IR_RANK);
    for (int i = 0; i < a.shape.rank && r->ok; i++) {
        const int64_t dim = a.shape.dim[i] = integer(r, "an extent", 0, MOST);
        if (__builtin_mul_overflow(reach, dim ? dim : 1, &reach) || reach > MOST)
            refuse(r, "an array of more than 2^40 bytes", "one that fits");
        else
            bytes *= dim;
    }
    offset = integer(r, "an offset", 0, MOST);
    given = integer(r, "a number of bytes", 0, MOST);
    if (r->ok && given != bytes)
        refuse(r, "another number of bytes than type and shape have", "their product");
    if (r->ok && (offset % 16 || (uint64_t)offset + (uint64_t)bytes > r->bytes))
        refuse(r, "an offset that is no multiple of 16 or past the end",
               "a place in the .bin file");
    if (input)
        a.wanted = integer(r, "0 or 1", 0, 1);
    if (r->ok)
        a.data = (const char *)r->golden->bytes + offset;
    if (r->ok && a.dtype == IR_BOOL)
        for (int64_t i = 0; i < bytes; i++)
            if (((const uint8_t *)a.data)[i] > 1)
                return refuse(r, "a b8 that is neither 0 nor 1", "truth values"), a;
    return a;
}

/* The lines of one case up to `end`. attrs, ins and cts stand in arrays that lie one after another.
 */
static void read_case(struct reader *r, struct golden_case *c)
{
    bool open = true;

    c->id = word(r, "an id");
    c->op = word(r, "an operator");
    c->dtype = word(r, "f32 or f64");
    while (open && r->ok && next_line(r)) {
        const char *kind = word(r, "attr, in, ct, out, grad, tol or end");

        if (strcmp(kind, "attr") == 0)
            c->attr[c->attrs++] = read_attr(r);
        else if (strcmp(kind, "in") == 0)
            c->in[c->ins++] = read_array(r, true);
        else if (strcmp(kind, "ct") == 0)
            c->ct[c->cts++] = read_array(r, false);
        else if (strcmp(kind, "end") == 0)
            open = false;
        else if (strcmp(kind, "out") != 0 && strcmp(kind, "grad") != 0 && strcmp(kind, "tol") != 0)
            refuse(r, kind, "attr, in, ct, out, grad, tol or end");
    }
    if (open)
        refuse(r, "the end of the file", "end");
}

static bool read_text(struct reader *r)
{
    struct golden *golden = r->golden;
    size_t lines = 1;
    struct golden_attr *attr;
    struct golden_array *array;

    for (const char *c = r->next; *c; c++)
        lines += *c == '\n';
    golden->cases = ir_alloc(golden->arena, lines * sizeof *golden->cases);
    attr = ir_alloc(golden->arena, lines * sizeof *attr);
    array = ir_alloc(golden->arena, 2 * lines * sizeof *array);
    if (!next_line(r) || strcmp(r->at, "golden 1") != 0)
        return refuse(r, r->at ? r->at : "nothing", "golden 1");
    while (r->ok && next_line(r)) {
        struct golden_case *c = &golden->cases[golden->count];
        const char *kind = word(r, "case");

        if (strcmp(kind, "case") != 0)
            return refuse(r, kind, "case");
        c->attr = attr;
        c->in = array;
        c->ct = array + lines;
        read_case(r, c);
        attr += c->attrs;
        array += c->ins > c->cts ? c->ins : c->cts;
        golden->count++;
    }
    return r->ok;
}

bool golden_read(struct golden *golden, const char *stem, struct ir_error *error)
{
    struct reader r = { .golden = golden, .error = error, .ok = true };
    const char *path;
    size_t size;

    *golden = (struct golden){ .arena = ir_arena_new() };
    path = ir_format(golden->arena, "%s.bin", stem);
    if (!(golden->bytes = read_all(path, &r.bytes, error)))
        return false;
    r.path = ir_format(golden->arena, "%s.txt", stem);
    if (!(golden->text = read_all(r.path, &size, error)))
        return false;
    r.next = golden->text;
    if (strlen(golden->text) != size)
        return refuse(&r, "a zero byte", "text");
    return read_text(&r);
}

void golden_free(struct golden *golden)
{
    free(golden->text);
    free(golden->bytes);
    if (golden->arena)
        ir_arena_free(golden->arena);
}

/* --- answers --------------------------------------------------------------------------------- */

void golden_put(struct golden_answers *a, const char *kind, const char *name,
                const struct ir_array *array)
{
    size_t bytes = (size_t)ir_dtypes[array->dtype].bytes, offset = (a->size + 15) / 16 * 16;

    for (int i = 0; i < array->shape.rank; i++)
        bytes *= (size_t)array->shape.dim[i];
    if (offset + bytes > a->room) {
        const size_t room = 2 * (offset + bytes) + 4096;
        char *more = realloc(a->bytes, room);

        if (!more)
            ir_bug("golden: no memory for %zu bytes of answers", room);
        a->bytes = more;
        a->room = room;
    }
    if (offset > a->size)
        memset(a->bytes + a->size, 0, offset - a->size);
    if (bytes)
        memcpy(a->bytes + offset, array->data, bytes);
    a->size = offset + bytes;
    ir_put(&a->text, "%s %s %s %d", kind, name,
           array->dtype == IR_BOOL ? "b8" : ir_dtypes[array->dtype].name, array->shape.rank);
    for (int i = 0; i < array->shape.rank; i++)
        ir_put(&a->text, " %lld", (long long)array->shape.dim[i]);
    ir_put(&a->text, " %zu %zu\n", offset, bytes);
}

static bool write_all(const char *path, const void *bytes, size_t size, struct ir_error *error)
{
    struct file_aside *file = tp_aside_open(path, error);

    return tp_aside_close(file, file && tp_aside_write(file, bytes, size, error), error);
}

bool golden_write(const struct golden_answers *a, const char *stem, struct ir_error *error)
{
    struct ir_arena *arena = ir_arena_new();
    const bool ok =
        write_all(ir_format(arena, "%s.bin", stem), a->bytes ? a->bytes : "", a->size, error) &&
        write_all(ir_format(arena, "%s.txt", stem), a->text.data, a->text.size, error);

    ir_arena_free(arena);
    return ok;
}

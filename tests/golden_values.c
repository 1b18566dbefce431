/*
 * Values and gradients of `taper golden` against PyTorch's, case by case under each case's own
 * tolerance, and what it says to files that are no questions.
 */
#define _GNU_SOURCE
#include <criterion/criterion.h>
#include <fcntl.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support.h"

/* --- arrays of a golden file, by case -------------------------------------------------------- */

struct array {
    const char *kind, *name, *type;
    int rank;
    long dim[8], elements;
    const char *data;
};
struct one {
    const char *id, *op, *unsupported;
    int first, count; /* of the arrays */
    double tolerance[4];
};
struct file {
    char *text, *bytes;
    struct one *cases;
    struct array *arrays;
    int count, array_count;
};

static char *whole(const char *path)
{
    FILE *f = fopen(path, "rb");
    long size;
    char *data;

    cr_assert(f, "%s", path);
    fseek(f, 0, SEEK_END);
    size = ftell(f);
    rewind(f);
    data = calloc((size_t)size + 1, 1);
    cr_assert(data && fread(data, 1, (size_t)size, f) == (size_t)size, "%s", path);
    fclose(f);
    return data;
}

static double element(const struct array *a, long i)
{
    if (strcmp(a->type, "f32") == 0)
        return (double)((const float *)a->data)[i];
    if (strcmp(a->type, "f64") == 0)
        return ((const double *)a->data)[i];
    if (strcmp(a->type, "i32") == 0)
        return ((const int32_t *)a->data)[i];
    if (strcmp(a->type, "i64") == 0)
        return (double)((const int64_t *)a->data)[i];
    return ((const uint8_t *)a->data)[i];
}

static void read_array(struct file *f, const char *kind)
{
    struct array *a = &f->arrays[f->array_count++];

    a->kind = kind;
    a->name = strtok(NULL, " ");
    a->type = strtok(NULL, " ");
    a->rank = atoi(strtok(NULL, " "));
    a->elements = 1;
    for (int i = 0; i < a->rank; i++)
        a->elements *= a->dim[i] = atol(strtok(NULL, " "));
    a->data = f->bytes + atol(strtok(NULL, " "));
}

static struct file read_file(const char *stem)
{
    char path[600];
    struct file f = { 0 };
    size_t lines = 1;

    snprintf(path, sizeof path, "%s.bin", stem);
    f.bytes = whole(path);
    snprintf(path, sizeof path, "%s.txt", stem);
    f.text = whole(path);
    for (const char *c = f.text; *c; c++)
        lines += *c == '\n';
    f.cases = calloc(lines, sizeof *f.cases);
    f.arrays = calloc(lines, sizeof *f.arrays);
    for (char *line = f.text, *next; line && *line; line = next) {
        struct one *now = &f.cases[f.count ? f.count - 1 : 0];
        const char *kind;

        next = strchr(line, '\n');
        if (next)
            *next++ = 0;
        kind = strtok(line, " ");
        if (strcmp(kind, "case") == 0) {
            now = &f.cases[f.count++];
            now->id = strtok(NULL, " ");
            now->op = strtok(NULL, " ");
            now->first = f.array_count;
        } else if (strcmp(kind, "out") == 0 || strcmp(kind, "grad") == 0) {
            read_array(&f, kind);
            now->count++;
        } else if (strcmp(kind, "tol") == 0) {
            for (int i = 0; i < 4; i++)
                now->tolerance[i] = atof(strtok(NULL, " "));
        } else if (strcmp(kind, "unsupported") == 0) {
            now->unsupported = strtok(NULL, "");
        }
    }
    return f;
}

static void close_file(struct file *f)
{
    free(f->text);
    free(f->bytes);
    free(f->cases);
    free(f->arrays);
}

/* --- running the command --------------------------------------------------------------------- */

/* Exit status of `taper golden q a`; what it says on stderr and stdout goes to said. */
static int run(const char *q, const char *a, const char *engine, char *said, size_t room)
{
    int pipes[2], status;
    size_t size = 0;
    ssize_t n;
    pid_t child;

    cr_assert(pipe(pipes) == 0);
    child = fork();
    if (child == 0) {
        dup2(pipes[1], 1);
        dup2(pipes[1], 2);
        close(pipes[0]);
        execl(TAPER_BUILD "/taper", "taper", "golden", q, a, "--engine", engine, (char *)NULL);
        _exit(127);
    }
    close(pipes[1]);
    while ((n = read(pipes[0], said + size, room - 1 - size)) > 0)
        size += (size_t)n;
    said[size] = 0;
    close(pipes[0]);
    waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static void folder(char *path, size_t size)
{
    snprintf(path, size, "%s/golden-XXXXXX", getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
    cr_assert(mkdtemp(path));
}

/* The questions alone, of each `every` the first: the text without what is expected, the numbers as
 * they are. */
static void ask(const char *from, const char *to, int every)
{
    char path[700], bytes[700], *text;
    int seen = -1;
    FILE *out;

    snprintf(path, sizeof path, "%s.txt", from);
    text = whole(path);
    snprintf(path, sizeof path, "%s.txt", to);
    cr_assert(out = fopen(path, "wb"));
    for (char *line = text, *next; line && *line; line = next) {
        next = strchr(line, '\n');
        if (next)
            *next++ = 0;
        seen += strncmp(line, "case ", 5) == 0;
        if (seen >= 0 && seen % every)
            continue;
        if (strncmp(line, "out ", 4) && strncmp(line, "grad ", 5) && strncmp(line, "tol ", 4))
            fprintf(out, "%s\n", line);
    }
    cr_assert(fclose(out) == 0);
    free(text);
    snprintf(path, sizeof path, "%s.bin", from);
    snprintf(bytes, sizeof bytes, "%s.bin", to);
    cr_assert(symlink(path, bytes) == 0);
}

static void forget(const char *path)
{
    static const char *const names[] = { "q.txt", "q.bin", "a.txt", "a.bin", NULL };
    char file[600];

    for (const char *const *name = names; *name; name++) {
        snprintf(file, sizeof file, "%s/%s", path, *name);
        unlink(file);
    }
    rmdir(path);
}

/* --- comparing ------------------------------------------------------------------------------- */

/* |got - want| <= ATOL + RTOL |want|; NaN and infinities where they are wanted. `wide`: the
 * absolute tolerance is at least RTOL times the greatest magnitude. */
static bool near(const struct array *got, const struct array *want, double relative,
                 double absolute, bool wide, char *why, size_t room)
{
    if (strcmp(got->type, want->type) != 0 || got->rank != want->rank ||
        memcmp(got->dim, want->dim, sizeof got->dim) != 0) {
        snprintf(why, room, "another type or shape");
        return false;
    }
    for (long i = 0; wide && i < want->elements; i++)
        if (isfinite(element(want, i)))
            absolute = fmax(absolute, relative * fabs(element(want, i)));
    for (long i = 0; i < want->elements; i++) {
        const double x = element(got, i), y = element(want, i);

        if (x == y || (isnan(x) && isnan(y)) ||
            (isfinite(x) && isfinite(y) && fabs(x - y) <= absolute + relative * fabs(y)))
            continue;
        snprintf(why, room, "element %ld of %ld is %.17g, not %.17g", i, want->elements, x, y);
        return false;
    }
    return true;
}

static const struct array *find(const struct file *f, const struct one *c, const char *kind,
                                const char *name)
{
    for (int i = c->first; i < c->first + c->count; i++)
        if (strcmp(f->arrays[i].kind, kind) == 0 && strcmp(f->arrays[i].name, name) == 0)
            return &f->arrays[i];
    return NULL;
}

static bool right(const struct file *want, const struct one *c, const struct file *got,
                  const struct one *answer)
{
    const bool wide = strncmp(c->op, "train.", 6) == 0 || strstr(c->id, "f32");
    char why[200] = "it is not there";

    for (int i = c->first; i < c->first + c->count; i++) {
        const struct array *w = &want->arrays[i], *g = find(got, answer, w->kind, w->name);
        const double *tolerance = c->tolerance + (strcmp(w->kind, "grad") == 0 ? 2 : 0);

        if (!g || !near(g, w, tolerance[0], tolerance[1], wide, why, sizeof why)) {
            cr_log_error("%s: %s %s: %s", c->id, w->kind, w->name, why);
            return false;
        }
    }
    return true;
}

static void compare(const char *set, const char *engine, int every)
{
    char name[100], source[500], path[500], q[600], a[600], said[2000];
    struct file want, got;
    int good = 0, unsupported = 0, wrong = 0, status;

    snprintf(name, sizeof name, "golden/%s.txt", set);
    SHARED_OR_SKIP(name, source);
    source[strlen(source) - 4] = 0;
    folder(path, sizeof path);
    snprintf(q, sizeof q, "%s/q", path);
    snprintf(a, sizeof a, "%s/a", path);
    ask(source, q, every);
    status = run(q, a, engine, said, sizeof said);
    cr_assert(status == 0 && !*said, "exit status %d, %s", status, said);
    want = read_file(source);
    got = read_file(a);
    for (int i = 0; i < want.count; i += every) {
        struct one *answer = NULL;

        for (int k = 0; k < got.count && !answer; k++) /* mostly in the same order */
            if (strcmp(got.cases[(i / every + k) % got.count].id, want.cases[i].id) == 0)
                answer = &got.cases[(i / every + k) % got.count];
        if (answer && answer->unsupported) {
            cr_log_error("%s: unsupported: %s", want.cases[i].id, answer->unsupported);
            unsupported++;
        } else if (answer && right(&want, &want.cases[i], &got, answer)) {
            good++;
        } else {
            wrong++;
        }
    }
    cr_log_info("%s, %s: %d right, %d unsupported, %d wrong", set, engine, good, unsupported,
                wrong);
    cr_expect(wrong == 0 && unsupported == 0 && good == (want.count + every - 1) / every,
              "%s, %s: %d right, %d unsupported, %d wrong of %d", set, engine, good, unsupported,
              wrong, want.count);
    close_file(&want);
    close_file(&got);
    forget(path);
}

Test(golden_values, operators_are_pytorchs)
{
    compare("ops", "interpreter", 1);
}

Test(golden_values, corners_are_pytorchs)
{
    compare("edge", "interpreter", 1);
}

Test(golden_values, training_is_pytorchs)
{
    compare("train", "interpreter", 1);
}

/* The same as machine code, fused: all of it in the long tier, else a sample. */
Test(golden_values, operators_are_pytorchs_compiled)
{
    compare("ops", "compiled", support_cases(61, 1));
}

Test(golden_values, corners_are_pytorchs_compiled)
{
    compare("edge", "compiled", support_cases(7, 1));
}

Test(golden_values, training_is_pytorchs_compiled)
{
    compare("train", "compiled", support_cases(27, 1));
}

/* --- hostile questions ----------------------------------------------------------------------- */

static void refused(const char *text, const char *words)
{
    char path[500], q[600], a[600], file[610], said[2000];
    FILE *f;
    int status;

    folder(path, sizeof path);
    snprintf(q, sizeof q, "%s/q", path);
    snprintf(a, sizeof a, "%s/a", path);
    snprintf(file, sizeof file, "%s.txt", q);
    cr_assert(f = fopen(file, "wb"));
    fputs(text, f);
    fclose(f);
    snprintf(file, sizeof file, "%s.bin", q);
    cr_assert(f = fopen(file, "wb"));
    for (int i = 0; i < 64; i++)
        fputc(i, f);
    fclose(f);
    status = run(q, a, "interpreter", said, sizeof said);
    cr_expect(status == 2, "%s: exit status %d: %s", words, status, said);
    cr_expect(strncmp(said, "taper: ", 7) == 0 && strstr(said, words), "%s, not %s", said, words);
    cr_expect(*said && strchr(said, '\n') == said + strlen(said) - 1, "not one line: %s", said);
    snprintf(file, sizeof file, "%s.txt", a);
    cr_expect(access(file, F_OK) != 0, "%s: there are answers", words);
    forget(path);
}

Test(golden_values, files_that_are_no_questions_are_refused)
{
#define CASE "golden 1\ncase a abs f64\n"
    refused("", "golden 1");
    refused("silver 1\n", "golden 1");
    refused("golden 1\nhello\n", "expected case");
    refused(CASE, "expected end");
    refused(CASE "in input f64 1 8 0 64 1\nwhat\nend\n", "q.txt:4");
    refused(CASE "in input f64 1 9 0 72 1\nend\n", "place in the .bin file");
    refused(CASE "in input f64 1 8 8 64 1\nend\n", "multiple of 16");
    refused(CASE "in input f64 1 8 64 64 1\nend\n", "place in the .bin file");
    refused(CASE "in input f64 1 8 0 63 1\nend\n", "product");
    refused(CASE "in input f64 1 -1 0 64 1\nend\n", "an extent");
    refused(CASE "in input f64 9 1 1 1 1 1 1 1 1 1 0 8 1\nend\n", "a rank of 0 to 8");
    refused(CASE "in input f64 3 1099511627776 1099511627776 0 0 0 1\nend\n", "2^40");
    refused(CASE "in input f64 1 99999999999999999999 0 64 1\nend\n", "an extent");
    refused(CASE "in input f16 1 8 0 64 1\nend\n", "f32, f64, i32, i64 or b8");
    refused(CASE "in input b8 1 8 0 8 1\nend\n", "truth values");
    refused(CASE "attr dim ints 1000000000 1\nend\n", "how many numbers");
    refused(CASE "attr dim float x\nend\n", "a number");
    refused(CASE "in input f64\nend\n", "a rank of 0 to 8");
    refused(CASE "in in\x01put f64 1 8 0 64 1\nend\n", "words of letters");
}

Test(golden_values, what_cannot_be_done_is_said)
{
    /* well-formed, but without sense: an answer each, and none of them a value */
    static const char *const senseless[] = {
        "case a nonsense f64\nin input f64 1 8 0 64 1\nend\n",
        "case a abs f64\nin other f64 1 8 0 64 1\nend\n",
        "case a abs f64\nin input f64 1 8 0 64 1\nct y3 f64 1 8 0 64\nend\n",
        "case a abs f64\nin input f64 1 8 0 64 1\nct y0 f64 1 4 0 32\nend\n",
        "case a abs f64\nin input b8 1 1 0 1 0\nend\n",
        "case a matmul f64\nin input f64 2 2 4 0 64 1\nin other f64 2 2 4 0 64 1\nend\n",
        "case a softmax f64\nattr dim int 7\nin input f64 1 8 0 64 1\nend\n",
        "case a reshape f64\nattr shape ints 2 -1 -1\nin input f64 1 8 0 64 1\nend\n",
        "case a reshape f64\nattr shape ints 1 4611686018427387904\nin input f64 1 8 0 64 1\nend\n",
        "case a tile f64\nattr dims ints 1 1000000000000\nin input f64 1 8 0 64 1\nend\n",
        "case a embedding f64\nin input i64 1 2 0 16 0\nin weight f64 2 2 2 0 32 1\nend\n",
        "case a conv2d f64\nattr stride ints 2 0 0\nin input f64 4 1 1 2 4 0 64 1\n"
        "in weight f64 4 1 1 1 1 0 8 1\nend\n",
        "case a max_pool2d f64\nattr kernel_size ints 2 9 9\nattr stride ints 2 1 1\n"
        "attr padding ints 2 0 0\nin input f64 4 1 1 2 4 0 64 1\nend\n",
        "case a einsum f64\nattr equation str ij,jk->zz\nin x0 f64 2 2 4 0 64 1\n"
        "in x1 f64 2 4 2 0 64 1\nend\n",
        "case a train.mlp f64\nin x0 f64 2 2 4 0 64 0\nend\n",
    };
    char path[500], q[600], a[600], file[610], said[2000];

    for (size_t i = 0; i < sizeof senseless / sizeof *senseless; i++) {
        struct file got;
        FILE *f;

        folder(path, sizeof path);
        snprintf(q, sizeof q, "%s/q", path);
        snprintf(a, sizeof a, "%s/a", path);
        snprintf(file, sizeof file, "%s.txt", q);
        cr_assert(f = fopen(file, "wb"));
        fprintf(f, "golden 1\n%s", senseless[i]);
        fclose(f);
        snprintf(file, sizeof file, "%s.bin", q);
        cr_assert(f = fopen(file, "wb"));
        for (int k = 0; k < 64; k++) /* the first byte is a truth value, the rest is large */
            fputc(k ? 7 : 1, f);
        fclose(f);
        const int status = run(q, a, "interpreter", said, sizeof said);
        cr_assert(status == 0, "%s: exit status %d: %s", senseless[i], status, said);
        got = read_file(a);
        cr_expect(got.count == 1 && got.cases[0].unsupported && got.cases[0].count == 0,
                  "%s: expected it to be unsupported", senseless[i]);
        close_file(&got);
        forget(path);
    }
}

/*
 * Small files that ask for much: graphs in graphs, functions that double, loops without an end,
 * extents past every memory, and archives that unpack to far more than they are. Each command ends
 * within 5 seconds and 256 MiB, with one line, whatever it says.
 */
#include <criterion/criterion.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "frontend/data.h"
#include "frontend/onnx/onnx.h"
#include "support_files.h"

TestSuite(hostile, .init = support_enter, .fini = support_leave);

/* --- protocol buffers, from the inside out ------------------------------------------------------
 */

struct bytes {
    unsigned char *at;
    size_t size, room;
};

static void put(struct bytes *b, const void *from, size_t size)
{
    if (b->size + size > b->room) {
        b->room = 2 * (b->size + size);
        b->at = realloc(b->at, b->room);
        cr_assert(b->at);
    }
    if (size)
        memcpy(b->at + b->size, from, size);
    b->size += size;
}

static void varint(struct bytes *b, uint64_t value)
{
    for (; value > 127; value >>= 7)
        put(b, &(unsigned char){ (unsigned char)(value | 128) }, 1);
    put(b, &(unsigned char){ (unsigned char)value }, 1);
}

static void number(struct bytes *b, int field, int64_t value)
{
    varint(b, (uint64_t)field << 3);
    varint(b, (uint64_t)value);
}

static void text(struct bytes *b, int field, const char *words)
{
    varint(b, (uint64_t)field << 3 | 2);
    varint(b, strlen(words));
    put(b, words, strlen(words));
}

/* inner becomes a field, and is empty again */
static void message(struct bytes *b, int field, struct bytes *inner)
{
    varint(b, (uint64_t)field << 3 | 2);
    varint(b, inner->size);
    put(b, inner->at, inner->size);
    free(inner->at);
    *inner = (struct bytes){ 0 };
}

/* --- ONNX: fields by the numbers of onnx.proto --------------------------------------------------
 */

enum { F32 = 1, I64 = 7, BOOL = 9 };
enum { GRAPH_NODE = 1, GRAPH_INITIALISER = 5, GRAPH_INPUT = 11, GRAPH_OUTPUT = 12 };

static void port(struct bytes *graph, int field, const char *name, int type, int rank,
                 const int64_t *dim)
{
    struct bytes value = { 0 }, types = { 0 }, tensor = { 0 }, shape = { 0 }, one = { 0 };

    for (int i = 0; i < rank; i++) {
        number(&one, 1, dim[i]);
        message(&shape, 1, &one);
    }
    number(&tensor, 1, type);
    message(&tensor, 2, &shape);
    message(&types, 1, &tensor);
    text(&value, 1, name);
    message(&value, 2, &types);
    message(graph, field, &value);
}

static void integers(struct bytes *graph, const char *name, int rank, int count, const int64_t *at)
{
    struct bytes t = { 0 };

    if (rank)
        number(&t, 1, count);
    number(&t, 2, I64);
    for (int i = 0; i < count; i++)
        number(&t, 7, at[i]);
    text(&t, 8, name);
    message(graph, GRAPH_INITIALISER, &t);
}

/* "x y -> z": names between spaces, "_" for none; attributes come after it with attribute() */
static struct bytes node(const char *op, const char *names)
{
    struct bytes n = { 0 };
    char copy[200];
    int field = 1;

    snprintf(copy, sizeof copy, "%s", names);
    for (char *word = strtok(copy, " "); word; word = strtok(NULL, " ")) {
        if (strcmp(word, "->") == 0)
            field = 2;
        else
            text(&n, field, strcmp(word, "_") == 0 ? "" : word);
    }
    text(&n, 4, op);
    return n;
}

static void graph_attribute(struct bytes *n, const char *name, struct bytes *graph)
{
    struct bytes a = { 0 };

    text(&a, 1, name);
    message(&a, 6, graph);
    number(&a, 20, 5); /* GRAPH */
    message(n, 5, &a);
}

static void ints_attribute(struct bytes *n, const char *name, int count, const int64_t *at)
{
    struct bytes a = { 0 };

    text(&a, 1, name);
    for (int i = 0; i < count; i++)
        number(&a, 8, at[i]);
    number(&a, 20, 7); /* INTS */
    message(n, 5, &a);
}

static void add(struct bytes *graph, struct bytes n)
{
    message(graph, GRAPH_NODE, &n);
}

static void opset(struct bytes *b, int field, const char *domain)
{
    struct bytes o = { 0 };

    text(&o, 1, domain);
    number(&o, 2, *domain ? 1 : 20);
    message(b, field, &o);
}

/* the model of a graph, and of the functions behind it; both are empty again */
static void put_model(struct bytes *graph, struct bytes *functions)
{
    struct bytes m = { 0 };

    number(&m, 1, 10);
    opset(&m, 8, "");
    opset(&m, 8, "own");
    text(graph, 2, "g");
    message(&m, 7, graph);
    if (functions)
        put(&m, functions->at, functions->size);
    support_put("m.onnx", m.at, m.size);
    cr_assert(m.size < 1 << 20, "it is a small file");
    free(m.at);
}

static const int64_t two[] = { 2 };

static struct bytes begin(void)
{
    struct bytes g = { 0 };

    port(&g, GRAPH_INPUT, "x", F32, 1, two);
    return g;
}

/* y, and the model */
static void end(struct bytes *g)
{
    port(g, GRAPH_OUTPUT, "y", F32, 1, two);
    put_model(g, NULL);
}

static bool absent(void)
{
    struct ir_error error = { 0 };

    tp_onnx_free(tp_onnx_read("nothing.onnx", &error));
    return error.status == IR_UNSUPPORTED;
}

/* --- the commands, bounded -----------------------------------------------------------------------
 */

static int bounded(const char *what, const char *const words[])
{
    const struct rlimit was = { RLIM_INFINITY, RLIM_INFINITY };
    char err[1000];
    struct rusage before, after;
    double seconds;
    int status;

#if defined(__SANITIZE_ADDRESS__)
    const double most = 15; /* what looks at each access takes that much longer */
#else
    const double most = 5;
    setrlimit(RLIMIT_DATA, &(struct rlimit){ 256 << 20, RLIM_INFINITY });
#endif
    setrlimit(RLIMIT_CPU, &(struct rlimit){ 20, RLIM_INFINITY }); /* what hangs is ended */
    getrusage(RUSAGE_CHILDREN, &before);
    status = support_run(words);
    getrusage(RUSAGE_CHILDREN, &after);
    setrlimit(RLIMIT_DATA, &was);
    seconds = (double)(after.ru_utime.tv_sec - before.ru_utime.tv_sec) +
              1e-6 * (double)(after.ru_utime.tv_usec - before.ru_utime.tv_usec);
    err[support_get("err", err, sizeof err - 1)] = 0;
    cr_expect(status >= 0, "%s: %s %s: it crashed: %s", what, words[1], words[2], err);
    cr_expect(seconds < most, "%s: %s: %.1f s", what, words[1], seconds);
    if (status > 0) {
        const char *line = strchr(err, '\n');
        cr_expect(line && line[1] == 0 && line - err <= 400, "%s: %s: %s", what, words[1], err);
        cr_expect(strstr(err, "fault") == NULL, "%s: %s", what, err);
    }
    return status;
}

/* m.onnx: `run` is what it ends with when it is run, the others may only be as bad */
static void model_ends(const char *what, int run)
{
    int status;

    status = bounded(what, (const char *[]){ "taper", "verify", "m.onnx", NULL });
    cr_expect(status == 0 || status == run, "%s: verify: %d", what, status);
    status = bounded(what, (const char *[]){ "taper", "verify", "m.onnx", "--compile", NULL });
    cr_expect(status == 0 || status == run, "%s: verify --compile: %d", what, status);
    status = bounded(what, (const char *[]){ "taper", "run", "m.onnx", "--input", "x.npy",
                                             "--output-dir", "d", NULL });
    cr_expect_eq(status, run, "%s: run: %d", what, status);
    status = bounded(what, (const char *[]){ "taper", "export", "m.onnx", "-o", "o.onnx", NULL });
    cr_expect(status == 0 || status == run, "%s: export: %d", what, status);
}

static void put_x(void)
{
    struct ir_error error = { 0 };
    struct ir_array x = { .dtype = IR_F32, .shape = { 1, { 2 } }, .data = (float[]){ 1, 2 } };

    cr_assert(tp_npy_write("x.npy", &x, &error), "%s", error.text);
}

/* --- ONNX ----------------------------------------------------------------------------------------
 */

Test(hostile, graphs_in_graphs)
{
    struct bytes g = { 0 };

    if (absent())
        cr_skip_test("no ONNX");
    put_x();
    add(&g, node("Identity", "x -> y"));
    port(&g, GRAPH_OUTPUT, "y", F32, 1, two);
    for (int i = 0; i < 3000; i++) {
        struct bytes n = node("If", "c -> y"), other = { 0 };
        graph_attribute(&n, "then_branch", &g);
        add(&other, node("Identity", "x -> y"));
        port(&other, GRAPH_OUTPUT, "y", F32, 1, two);
        graph_attribute(&n, "else_branch", &other);
        add(&g, n);
        port(&g, GRAPH_OUTPUT, "y", F32, 1, two);
    }
    port(&g, GRAPH_INPUT, "x", F32, 1, two);
    port(&g, GRAPH_INPUT, "c", BOOL, 0, NULL);
    put_model(&g, NULL);
    model_ends("3,000 graphs in each other", 2);
}

Test(hostile, extents_past_every_memory)
{
    static const struct {
        const char *what;
        int count;
        int64_t extent[3];
        int run; /* 1: sound, and more than there is */
    } filled[] = {
        { "2^80 elements", 2, { (int64_t)1 << 40, (int64_t)1 << 40 }, 2 },
        { "2^126 elements", 3, { INT64_MAX, INT64_MAX, 2 }, 2 },
        { "-1 elements", 1, { -1 }, 2 },
        { "a billion elements", 1, { 1000000000 }, 1 },
    };
    static const int64_t huge[] = { (int64_t)1 << 40, (int64_t)1 << 40 };
    struct bytes g;

    if (absent())
        cr_skip_test("no ONNX");
    put_x();
    for (size_t i = 0; i < sizeof filled / sizeof *filled; i++) {
        g = begin();
        integers(&g, "s", 1, filled[i].count, filled[i].extent);
        add(&g, node("ConstantOfShape", "s -> f"));
        add(&g, node("Identity", "x -> y"));
        port(&g, GRAPH_OUTPUT, "f", F32, 0, NULL);
        end(&g);
#if defined(__SANITIZE_ADDRESS__)
        if (filled[i].run == 1)
            continue;
#endif
        model_ends(filled[i].what, filled[i].run);
    }
    g = (struct bytes){ 0 };
    port(&g, GRAPH_INPUT, "x", F32, 2, huge);
    add(&g, node("Add", "x x -> y"));
    end(&g);
    model_ends("an input of 2^80 elements", 2);
    g = begin();
    integers(&g, "r", 1, 1, &huge[0]);
    add(&g, node("Tile", "x r -> y"));
    add(&g, node("Tile", "y r -> z"));
    end(&g);
    model_ends("repeated 2^80 times", 2);
    g = begin();
    integers(&g, "a", 0, 1, (int64_t[]){ 0 });
    integers(&g, "b", 0, 1, (int64_t[]){ (int64_t)1 << 60 });
    integers(&g, "c", 0, 1, (int64_t[]){ 1 });
    add(&g, node("Range", "a b c -> y"));
    end(&g);
    model_ends("a range of 2^60", 2);
}

static struct bytes doubling(int level, int calls)
{
    struct bytes f = { 0 };
    char name[20], op[20], names[40];

    snprintf(name, sizeof name, "f%d", level);
    snprintf(op, sizeof op, "f%d", level - 1);
    text(&f, 1, name);
    text(&f, 4, "a");
    for (int i = 0; i < calls; i++) {
        struct bytes n;
        char from[10];
        snprintf(from, sizeof from, i ? "b%d" : "a", i);
        snprintf(names, sizeof names, "%s%s%s -> b%d", from, level ? "" : " ", level ? "" : from,
                 i + 1);
        n = node(level ? op : "Add", names);
        if (level)
            text(&n, 7, "own");
        message(&f, 7, &n);
    }
    snprintf(names, sizeof names, "b%d", calls);
    text(&f, 5, names);
    opset(&f, 9, "");
    opset(&f, 9, "own");
    text(&f, 10, "own");
    return f;
}

Test(hostile, functions_that_call_functions)
{
    static const struct {
        const char *what;
        int levels, calls, run;
    } all[] = { { "8^15 nodes", 15, 8, 3 },
                { "2^16 nodes", 16, 2, 0 },
                { "40 functions in each other", 40, 2, 2 } };

    if (absent())
        cr_skip_test("no ONNX");
    put_x();
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        struct bytes functions = { 0 }, g = begin(), n;
        char op[20];

        for (int k = 0; k < all[i].levels; k++) {
            struct bytes f = doubling(k, all[i].calls);
            message(&functions, 25, &f);
        }
        snprintf(op, sizeof op, "f%d", all[i].levels - 1);
        n = node(op, "x -> y");
        text(&n, 7, "own");
        add(&g, n);
        port(&g, GRAPH_OUTPUT, "y", F32, 1, two);
        put_model(&g, &functions);
        free(functions.at);
        model_ends(all[i].what, all[i].run);
    }
}

/* so many loops in each other, of 2^trips turns; carried is a list of integers or x */
static struct bytes loops(int depth, const char *carried, int type, int64_t trip)
{
    struct bytes g = begin(), body = { 0 }, n;
    const int64_t one[] = { 1 };
    char names[60];

    for (int i = 0; i < depth; i++) {
        snprintf(names, sizeof names, i ? "n _ v%d -> w%d" : "v%d v%d -> w%d", i, i, i);
        n = node(i ? "Loop" : "Add", names);
        if (i)
            graph_attribute(&n, "body", &body);
        add(&body, n);
        snprintf(names, sizeof names, "c%d -> d%d", i, i);
        add(&body, node("Identity", names));
        snprintf(names, sizeof names, "i%d", i);
        port(&body, GRAPH_INPUT, names, I64, 0, NULL);
        snprintf(names, sizeof names, "c%d", i);
        port(&body, GRAPH_INPUT, names, BOOL, 0, NULL);
        snprintf(names, sizeof names, "v%d", i);
        port(&body, GRAPH_INPUT, names, type, 1, type == F32 ? two : one);
        snprintf(names, sizeof names, "d%d", i);
        port(&body, GRAPH_OUTPUT, names, BOOL, 0, NULL);
        snprintf(names, sizeof names, "w%d", i);
        port(&body, GRAPH_OUTPUT, names, type, 1, type == F32 ? two : one);
    }
    snprintf(names, sizeof names, "n _ %s -> z", carried);
    n = node("Loop", names);
    graph_attribute(&n, "body", &body);
    add(&g, n);
    integers(&g, "n", 0, 1, &trip);
    return g;
}

Test(hostile, loops_without_an_end)
{
    struct bytes g;

    if (absent())
        cr_skip_test("no ONNX");
    put_x();
    g = loops(1, "x", F32, (int64_t)1 << 60);
    add(&g, node("Identity", "z -> y"));
    end(&g);
    model_ends("2^60 turns", 3);
    g = loops(7, "x", F32, 1 << 20);
    add(&g, node("Identity", "z -> y"));
    end(&g);
    model_ends("seven loops in each other", 2);
    g = loops(3, "s", I64, 1 << 20); /* what a shape waits for is computed beforehand */
    integers(&g, "s", 1, 1, two);
    add(&g, node("Reshape", "x z -> y"));
    end(&g);
    model_ends("a shape after 2^60 turns", 3);
}

/* What is known is computed before the run: that is bounded too. */
Test(hostile, shapes_that_cost_much)
{
    static const int64_t wide[] = { 1, 1, 2000, 2000 }, window[] = { 1000, 1000 };
    struct bytes g, n;

    if (absent())
        cr_skip_test("no ONNX");
    put_x();
    for (int i = 0; i < 3; i++) {
        g = begin();
        integers(&g, "s", 1, 4, wide);
        integers(&g, "t", 1, 4, (int64_t[]){ 1, 1, 1000, 1000 });
        integers(&g, "one", 1, 1, (int64_t[]){ 1 });
        add(&g, node("ConstantOfShape", "s -> a"));
        add(&g, node("ConstantOfShape", "t -> b"));
        n = node(i == 0   ? "MatMul"
                 : i == 1 ? "Conv"
                          : "MaxPool",
                 i == 0   ? "a a -> c"
                 : i == 1 ? "a b -> c"
                          : "a -> c");
        if (i == 2)
            ints_attribute(&n, "kernel_shape", 2, window);
        add(&g, n);
        add(&g, node("ReduceMax", "c -> m"));
        add(&g, node("Reshape", "m one -> k"));
        add(&g, node("CastLike", "k one -> l"));
        add(&g, node("Expand", "x l -> y"));
        end(&g);
        model_ends(i == 0 ? "a product" : i == 1 ? "a convolution" : "windows", 3);
    }
}

/* --- numbers in files beside a model ------------------------------------------------------------
 */

/* an initialiser of so many numbers; NULL: not told */
static void beside(struct bytes *graph, const char *name, int64_t count, const char *location,
                   const char *offset, const char *length)
{
    const char *const pair[][2] = { { "location", location },
                                    { "offset", offset },
                                    { "length", length } };
    struct bytes t = { 0 };

    number(&t, 1, count);
    number(&t, 2, F32);
    text(&t, 8, name);
    for (int i = 0; i < 3; i++)
        if (pair[i][1]) {
            struct bytes e = { 0 };
            text(&e, 1, pair[i][0]);
            text(&e, 2, pair[i][1]);
            message(&t, 13, &e);
        }
    number(&t, 14, 1); /* EXTERNAL */
    message(graph, GRAPH_INITIALISER, &t);
}

static void put_sum(const char *location, const char *offset, const char *length)
{
    struct bytes g = begin();

    beside(&g, "w", 2, location, offset, length);
    add(&g, node("Add", "x w -> y"));
    end(&g);
}

static void put_files_beside(void)
{
    float numbers[16];

    for (int i = 0; i < 16; i++)
        numbers[i] = (float)i;
    support_put("numbers", numbers, sizeof numbers);
    cr_assert(mkdir("in", 0700) == 0 && mkfifo("fifo", 0600) == 0);
    support_put("in/numbers", numbers, sizeof numbers);
    cr_assert(symlink("numbers", "link") == 0 && symlink("in", "linked") == 0);
}

Test(hostile, numbers_beside_a_model)
{
    static const struct {
        const char *location, *offset, *length;
        float first; /* of w, where they are taken */
    } sound[] = { { "numbers", NULL, NULL, 0 },
                  { "numbers", "8", "8", 2 },
                  { "./in//numbers", "56", "8", 14 } };
    struct ir_arena *arena = ir_arena_new();

    if (absent())
        cr_skip_test("no ONNX");
    put_x();
    put_files_beside();
    for (size_t i = 0; i < sizeof sound / sizeof *sound; i++) {
        struct ir_error error = { 0 };
        struct ir_array y;

        put_sum(sound[i].location, sound[i].offset, sound[i].length);
        model_ends(sound[i].location, 0);
        cr_assert(tp_npy_read("d/output_0.npy", arena, &y, &error), "%s", error.text);
        cr_expect_eq(((const float *)y.data)[0], 1 + sound[i].first);
        cr_expect_eq(((const float *)y.data)[1], 3 + sound[i].first);
    }
    ir_arena_free(arena);
    cr_assert(rename("m.onnx", "in/m.onnx") == 0 && rename("numbers", "elsewhere") == 0 &&
              mkdir("in/in", 0700) == 0 && rename("in/numbers", "in/in/numbers") == 0);
    cr_expect_eq(
        bounded("from another folder", (const char *[]){ "taper", "verify", "in/m.onnx", NULL }),
        0);
}

Test(hostile, numbers_that_are_not_beside_it)
{
    static const struct {
        const char *location, *offset, *length, *told;
    } lies[] = {
        { "numbers", "60", NULL, "needs 8 bytes from 60 on in \"numbers\", which has 64" },
        { "numbers", "64", "8", "which has 64" },
        { "numbers", "999999999999999999", "8", "which has 64" },
        { "numbers", "9223372036854775807", "8", "no number" },
        { "numbers", "-8", "8", "no number" },
        { "numbers", "", "8", "no number" },
        { "numbers", "0", "8 ", "no number" },
        { "numbers", "0", "12", "expected 8, as its shape says" },
        { "numbers", "0", "0", "expected 8, as its shape says" },
        { NULL, "0", "8", "no location" },
        { "", "0", "8", "no location" },
        { "absent", NULL, NULL, "No such file" },
        { "../numbers", NULL, NULL, "may lead elsewhere" },
        { "in/../numbers", NULL, NULL, "may lead elsewhere" },
        { "in/..", NULL, NULL, "may lead elsewhere" },
        { "/etc/passwd", NULL, NULL, "may lead elsewhere" },
        { "link", NULL, NULL, "which is a link" },
        { "linked/numbers", NULL, NULL, "its numbers are in" },
        { "numbers/x", NULL, NULL, "Not a directory" },
        { "fifo", NULL, NULL, "no plain file" },
        { "in", NULL, NULL, "no plain file" },
        { ".", NULL, NULL, "no plain file" },
        { "\x1b[31m\n", NULL, NULL, "No such file" },
    };

    if (absent())
        cr_skip_test("no ONNX");
    put_files_beside();
    for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
        struct ir_error error = { 0 };

        put_sum(lies[i].location, lies[i].offset, lies[i].length);
        cr_expect_not(tp_onnx_read("m.onnx", &error), "%s", lies[i].told);
        cr_expect(error.status == IR_REFUSED && support_one_line(&error) &&
                      strstr(error.text, lies[i].told),
                  "%s: %s", lies[i].told, error.text);
    }
}

Test(hostile, the_same_numbers_again_and_again)
{
    char *zeros = calloc(1, 1 << 20), name[20];
    struct bytes g = begin();

    if (absent())
        cr_skip_test("no ONNX");
    put_x();
    support_put("numbers", zeros, 1 << 20);
    free(zeros);
    for (int i = 0; i < 1000; i++) { /* a GiB */
        snprintf(name, sizeof name, "w%d", i);
        beside(&g, name, 1 << 18, "numbers", NULL, NULL);
    }
    add(&g, node("Identity", "x -> y"));
    end(&g);
    model_ends("a thousand times a MiB", 2);
}

/* --- archives ------------------------------------------------------------------------------------
 */

Test(hostile, files_that_unpack_to_much_more)
{
    const size_t piece = 4 << 20;
    char *bytes = malloc(piece);
    FILE *pipe = popen("gzip -9 >b.csv.gz", "w");

    cr_assert(bytes && pipe);
    for (size_t i = 0; i < piece; i++)
        bytes[i] = "1,1\n"[i % 4];
    for (int i = 0; i < 24; i++) /* 96 MiB in a tenth of one */
        fwrite(bytes, 1, piece, pipe);
    cr_assert_eq(pclose(pipe), 0);
    free(bytes);
    cr_expect_eq(bounded("a packed table", (const char *[]){ "taper", "verify", "b.csv.gz", NULL }),
                 2);
    cr_expect_gt(bounded("a packed table", (const char *[]){ "taper", "train", "mlp", "--data",
                                                             "b.csv.gz", "--epochs", "1", NULL }),
                 0, "it is refused, or there is no memory for its rows");
}

/*
 * Kernels as big as nobody means them: a fuse stage that was edited by hand may put anything
 * together. They compile, or are refused in one line that has the place; what fuse itself makes of
 * the same graph always compiles.
 */
#include "passes/passes.h"

#include <criterion/criterion.h>
#include <inttypes.h>
#include <string.h>

static struct ir_text text;
static int last;

static void open_text(void)
{
    text = (struct ir_text){ 0 };
    last = 0;
}

static void close_text(void)
{
    ir_text_free(&text);
}

TestSuite(limits, .init = open_text, .fini = close_text);

#define PLACE "model.c:7"

/* %N = what : shape, from the line that messages name */
__attribute__((format(printf, 2, 3))) static int node(const char *shape, const char *what, ...)
{
    va_list list;

    ir_put(&text, "  %%%d = ", ++last);
    va_start(list, what);
    ir_put_list(&text, what, list);
    va_end(list);
    ir_put(&text, " : %s # " PLACE "\n", shape);
    return last;
}

/* compiled for both kinds of machine: the kernels are sound, or none is made and `expected` is said
 */
static void compiles(const char *expected)
{
    static const char *const targets[] = { "x86-64-v4", "generic", "cuda" };

    for (size_t t = 0; t < sizeof targets / sizeof *targets; t++) {
        struct ir_error error = { 0 };
        struct ir_module *m = ir_parse("limits.tp", text.data, text.size, &error);
        cr_assert(m, "%s\n%.2000s", error.text, text.data);
        const struct pass_options options = { .target = ir_target_by_name(targets[t]),
                                              .fuse = true,
                                              .threads = 2 };
        cr_assert(options.target, "%s", targets[t]);
        struct pass_compiled *c = pass_pipeline(m->program[0], &options, m->arena, &error);
        if (expected) {
            cr_expect(!c, "%s: it was not refused", targets[t]);
            cr_expect(strncmp(error.text, PLACE ": ", strlen(PLACE) + 2) == 0 &&
                          strstr(error.text, expected) && strstr(error.text, "; expected ") &&
                          strlen(error.text) < 400,
                      "%s: %s", targets[t], error.text);
            cr_expect_eq(error.status, IR_UNSUPPORTED);
        } else {
            cr_expect(c, "%s: %s", targets[t], error.text);
        }
        for (int k = 0; c && k < c->loops->kernels; k++)
            cr_expect(loop_verify(c->loops->kernel[k], &error), "%s", error.text);
        ir_module_free(m);
    }
}

static void begin(const char *inputs, bool by_hand)
{
    ir_put(&text, "step(%s) {\n%s", inputs, by_hand ? "  kernel all {\n" : "");
}

static void end(int result, bool by_hand)
{
    ir_put(&text, "%s  return y=%%%d\n}\n", by_hand ? "  }\n" : "", result);
}

/* each sum of a row needs the one before it, so each is a walk of its own */
static void walks(int count, bool by_hand)
{
    begin("x: f32[32 100]", by_hand);
    for (int i = 0, x = node("f32[32 100]", "exp x"); i < count; i++) {
        int sum = node("f32[32]", "sum %%%d axes=[1]", x);
        int column = node("f32[32 1]", "reshape %%%d", sum);
        x = node("f32[32 100]", "sub %%%d, %%%d", x, node("f32[32 100]", "expand %%%d", column));
    }
    end(last, by_hand);
}

Test(limits, walks_through_a_row)
{
    walks(70, false);
    compiles(NULL);
}

Test(limits, walks_through_a_row_in_one_kernel)
{
    walks(70, true);
    compiles("kernel all walks through its rows too often");
}

/* a row is looked at again for each of 100 results */
Test(limits, results_of_a_row)
{
    begin("x: f32[32 100]", true);
    int sum = node("f32[32]", "sum x axes=[1]");
    int column = node("f32[32 100]", "expand %%%d", node("f32[32 1]", "reshape %%%d", sum));
    for (int i = 0; i < 100; i++)
        node("f32[32 100]", i ? "sub x, %%%d" : "add x, %%%d", i ? last : column);
    ir_put(&text, "  }\n  return ");
    for (int i = 0; i < 100; i++)
        ir_put(&text, "%s%%%d", i ? ", " : "", column + 1 + i);
    ir_put(&text, "\n}\n");
    compiles(NULL);
}

/* windows of many sizes over one image, all of one shape */
static void windows(int count, bool by_hand)
{
    begin("x: f32[2 3 64 64]", by_hand);
    int all = 0;
    for (int i = 0; i < count; i++) {
        int w = node("f32[2 3 64 64]",
                     "window_sum x window=[%d 1] stride=[1 1] pad=[%d %d 0 0] "
                     "dilation=[1 1]",
                     i + 1, i / 2, i - i / 2);
        all = i ? node("f32[2 3 64 64]", "add %%%d, %%%d", all, w) : w;
    }
    end(all, by_hand);
}

Test(limits, windows_of_one_image)
{
    windows(60, false);
    compiles(NULL);
}

Test(limits, windows_of_one_image_in_one_kernel)
{
    windows(60, true);
    compiles("kernel all has more than 32 loops");
}

/* borders around borders: every load has all their conditions */
Test(limits, pads_in_one_kernel)
{
    begin("x: f32[5 5]", true);
    int zero = node("f32", "const 0"), x = node("f32[5 5]", "exp x");
    for (int i = 0; i < 40; i++) {
        char shape[40];
        snprintf(shape, sizeof shape, "f32[%d %d]", 5 + 3 * (i + 1), 5 + 2 * (i + 1));
        x = node(shape, "pad %%%d, %%%d lo=[1 2] hi=[2 0]", x, zero);
    }
    end(x, true);
    compiles(NULL);
}

/* a border around what is made of itself twice, 40 times over: each is computed once */
Test(limits, what_is_shared_under_a_condition_is_computed_once)
{
    begin("x: f32[5 5]", true);
    int zero = node("f32", "const 0"), x = node("f32[5 5]", "exp x");
    for (int i = 0; i < 40; i++)
        x = node("f32[5 5]", "add %%%d, %%%d", x, x);
    end(node("f32[7 7]", "pad %%%d, %%%d lo=[1 1] hi=[1 1]", x, zero), true);
    compiles(NULL);
}

static void chain(int count, bool by_hand)
{
    begin("x: f32[64]", by_hand);
    for (int i = 0, x = node("f32[64]", "exp x"); i < count; i++)
        x = node("f32[64]", "add %%%d, %%%d", x, i ? x - 1 : x);
    end(last, by_hand);
}

Test(limits, a_long_chain)
{
    chain(3000, false);
    compiles(NULL);
}

Test(limits, a_long_chain_in_one_kernel)
{
    chain(3000, true);
    compiles("more than 800 values, one made of the other, are one kernel");
}

/* views that do not cancel, each a division more in the index: the axes in turn cut anew */
static void views(const char *inputs, int rank, const int shapes[][8], int count, bool by_hand)
{
    begin(inputs, by_hand);
    for (int i = 0, x = 0; i <= count; i++) {
        struct ir_text cut = { 0 }, turned = { 0 }, axes = { 0 };
        for (int r = 0; r < rank; r++) {
            ir_put(&cut, r ? " %d" : "f32[%d", shapes[i % 2][r]);
            ir_put(&turned, r ? " %d" : "f32[%d", shapes[i % 2][(r + 1) % rank]);
            ir_put(&axes, r ? " %d" : "%d", (r + 1) % rank);
        }
        ir_put(&cut, "]");
        ir_put(&turned, "]");
        x = i ? node(cut.data, "reshape %%%d", x) : node(cut.data, "exp x");
        x = node(turned.data, "permute %%%d axes=[%s]", x, axes.data);
        ir_text_free(&cut);
        ir_text_free(&turned);
        ir_text_free(&axes);
    }
    end(last, by_hand);
}

static const int three[][8] = { { 6, 10, 14 }, { 35, 12, 2 } };
static const int eight[][8] = { { 2, 3, 5, 7, 2, 3, 5, 7 }, { 7, 2, 5, 3, 5, 7, 3, 2 } };

Test(limits, a_chain_of_views)
{
    views("x: f32[6 10 14]", 3, three, 60, false);
    compiles(NULL);
}

Test(limits, a_chain_of_views_of_many_axes)
{
    views("x: f32[2 3 5 7 2 3 5 7]", 8, eight, 40, false);
    compiles(NULL);
}

Test(limits, a_chain_of_views_in_one_kernel)
{
    views("x: f32[6 10 14]", 3, three, 60, true);
    compiles("more than 2000 terms");
}

Test(limits, a_scatter_beside_others)
{
    begin("x: f32[8 4], i: i64[8]", true);
    int sum = node("f32[9 4]", "put_add x, i axis=0 size=9");
    end(node("f32[9 4]", "exp %%%d", sum), true);
    compiles("put_add stores as it goes");
}

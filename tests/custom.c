/*
 * tp_custom: a C function's values and gradients are those of an equal traced function, in every
 * engine, for any number of threads and rows; in loops; in a file that stands alone; and what is
 * refused.
 */
#define _POSIX_C_SOURCE 200809L
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "frontend/taper.h"
#include "tests/support_files.h"

enum { ROWS = 8, COLUMNS = 3 };

#include "tests/support_custom.h"

static tp_tensor of_c(tp_tensor x, tp_tensor w)
{
    return tp_custom("scaled", tp_list(x, w), TP_F32, tp_dims(tp_dim(x, 0), COLUMNS), scaled,
                     .backward = scaled_gradient);
}

static tp_tensor traced(tp_tensor x, tp_tensor w)
{
    return tp_mul(tp_mul(tp_mul(x, x), x), w);
}

struct model {
    tp_graph *g;
    tp_tensor x, loss, dw, dx;
};

/* The function between others: its argument is computed, its result read by several. */
static struct model build(tp_tensor of(tp_tensor, tp_tensor), bool eager, const float *numbers)
{
    struct model m = { .g = eager ? tp_eager_new(1) : tp_graph_new(1) };
    tp_tensor w, v, y;

    m.x = eager ? tp_array(m.g, TP_F32, tp_dims(ROWS, COLUMNS), numbers)
                : tp_input(m.g, "x", TP_F32, tp_dims(tp_symbol(m.g, "rows", 1, ROWS), COLUMNS));
    w = tp_param(m.g, "w", tp_dims(COLUMNS), TP_CONSTANT(0.5));
    v = tp_param(m.g, "v", tp_dims(COLUMNS, COLUMNS), TP_IDENTITY);
    y = of(tp_tanh(tp_matmul(m.x, v)), w);
    m.loss = tp_add(tp_sum(tp_mul(y, y), TP_ALL), tp_mean(y, TP_ALL));
    m.dw = tp_grad_of(m.loss, w);
    m.dx = tp_grad_of(m.loss, m.x);
    return m;
}

static void fill(float *x)
{
    for (int i = 0; i < ROWS * COLUMNS; i++)
        x[i] = (float)sin(1.7 * i) * 1.5F;
}

struct numbers {
    float loss, dw[COLUMNS], dx[ROWS * COLUMNS];
};

static struct numbers compute(tp_tensor of(tp_tensor, tp_tensor), int threads, int rows)
{
    struct model m = build(of, false, NULL);
    struct numbers n = { 0 };
    tp_program *p = tp_compile(m.g, tp_list(m.loss, m.dw, m.dx), TP_EVAL, .threads = threads);

    cr_assert(p, "%s", tp_error(m.g));
    fill(tp_buffer(p, m.x, NULL));
    cr_assert(tp_rows(p, rows) && tp_run(p), "%s", tp_error(m.g));
    cr_assert(tp_read(p, m.loss, &n.loss, sizeof n.loss));
    cr_assert(tp_read(p, m.dw, n.dw, sizeof n.dw));
    cr_assert(tp_read(p, m.dx, n.dx, (size_t)rows * COLUMNS * sizeof *n.dx));
    tp_graph_free(m.g);
    return n;
}

static void near(const struct numbers *a, const struct numbers *b)
{
    cr_expect_float_eq(a->loss, b->loss, 1e-5, "%g, not %g", (double)a->loss, (double)b->loss);
    for (int i = 0; i < COLUMNS; i++)
        cr_expect_float_eq(a->dw[i], b->dw[i], 1e-5, "dw %d: %g, not %g", i, (double)a->dw[i],
                           (double)b->dw[i]);
    for (int i = 0; i < ROWS * COLUMNS; i++)
        cr_expect_float_eq(a->dx[i], b->dx[i], 1e-5, "dx %d: %g, not %g", i, (double)a->dx[i],
                           (double)b->dx[i]);
}

Test(custom, values_and_gradients_are_those_of_an_equal_traced_function)
{
    for (int rows = ROWS; rows > 0; rows -= 5) {
        const struct numbers one = compute(of_c, 1, rows), two = compute(of_c, 2, rows),
                             same = compute(traced, 1, rows);
        near(&one, &same);
        cr_expect_arr_eq(&one, &two, sizeof one, "threads change bits");
    }
}

Test(custom, interpreter_and_eager_mode_agree)
{
    const struct numbers one = compute(of_c, 1, ROWS);
    struct numbers other;
    float x[ROWS * COLUMNS];
    struct model m;

    fill(x);
    m = build(of_c, true, x);
    cr_assert_null(tp_error(m.g), "%s", tp_error(m.g));
    other.loss = (float)tp_item(m.loss);
    memcpy(other.dw, tp_values(m.dw, NULL), sizeof other.dw);
    memcpy(other.dx, tp_values(m.dx, NULL), sizeof other.dx);
    cr_expect_arr_eq(&one, &other, sizeof one, "eager is compiled, to the bit");
    tp_graph_free(m.g);
    setenv("TAPER_ENGINE", "interpreter", 1);
    other = compute(of_c, 1, ROWS);
    near(&one, &other);
    unsetenv("TAPER_ENGINE");
}

Test(custom, gradients_are_finite_differences)
{
    const struct numbers n = compute(of_c, 1, ROWS);
    struct model m = build(of_c, false, NULL);
    tp_program *p = tp_compile(m.g, tp_list(m.loss), TP_EVAL);
    float *x = tp_buffer(p, m.x, NULL);

    for (int i = 0; i < ROWS * COLUMNS; i++) {
        double loss[2];
        for (int side = 0; side < 2; side++) {
            fill(x);
            x[i] += side ? 1e-2F : -1e-2F;
            cr_assert(tp_run(p));
            loss[side] = tp_get(p, m.loss);
        }
        cr_expect_float_eq(n.dx[i], (loss[1] - loss[0]) / 2e-2, 2e-3, "%d: %g, not %g", i,
                           (double)n.dx[i], (loss[1] - loss[0]) / 2e-2);
    }
    tp_graph_free(m.g);
}

/* ---- what a function may read ---- */

static int calls;

/* y[i] = x[index[i]] + the number at user */
static void picked(void *user, int by, const tp_array in[], const tp_array *out)
{
    const float *x = in[0].data;
    const int *index = in[1].data;
    float *y = out->data;

    (void)by;
    calls++;
    cr_expect_eq(in[1].dtype, TP_I32);
    for (int64_t i = 0; i < out->dim[0]; i++)
        y[i] = x[index[i] * in[0].pitch[0]] + *(const float *)user;
}

static void doubled(void *user, int by, const tp_array in[], const tp_array *out)
{
    (void)user, (void)by;
    for (int64_t i = 0; i < out->dim[0]; i++)
        ((float *)out->data)[i] = 2 * ((const float *)in[0].data)[i];
}

static void tripled(void *user, int by, const tp_array in[], const tp_array *out)
{
    (void)user, (void)by;
    for (int64_t i = 0; i < out->dim[0]; i++)
        ((float *)out->data)[i] = 3 * ((const float *)in[0].data)[i];
}

Test(custom, integers_views_states_and_numbers_of_ones_own)
{
    float more = 10, got[2];
    tp_graph *g = tp_graph_new(1);
    tp_tensor x = tp_input(g, "x", TP_F32, tp_dims(2, 3));
    tp_tensor index = tp_array(g, TP_I32, tp_dims(2), (int[]){ 2, 1 });
    tp_tensor column = tp_select(tp_transpose(x, 0, 1), 1, 1); /* x[1] */
    tp_tensor y =
        tp_custom("picked", tp_list(column, index), TP_F32, tp_dims(2), picked, .user = &more);
    tp_tensor again =
        tp_custom("picked", tp_list(column, index), TP_F32, tp_dims(2), picked, .user = &more);
    tp_program *p = tp_compile(g, tp_list(tp_add(y, again)), TP_EVAL);

    cr_assert(p, "%s", tp_error(g));
    cr_assert_eq(y.id, again.id, "equal calls are one");
    memcpy(tp_buffer(p, x, NULL), (float[]){ 0, 0, 0, 1, 2, 3 }, 6 * sizeof(float));
    cr_expect(strstr(tp_explain(p, NULL), "call_picked"), "%s", tp_explain(p, NULL));
    calls = 0;
    cr_assert(tp_run(p));
    cr_expect_eq(calls, 1);
    tp_tensor sum = tp_add(y, again);
    cr_assert(tp_read(p, sum, got, sizeof got), "%s", tp_error(g));
    cr_expect(got[0] == 26 && got[1] == 24, "%g %g", (double)got[0], (double)got[1]);
    tp_graph_free(g);
}

/* The text of both programs is one, and so may be their code; the function is not in it. */
Test(custom, a_program_calls_its_own_function)
{
    static tp_function *const functions[] = { doubled, tripled };

    for (int i = 0; i < 2; i++) {
        tp_graph *g = tp_graph_new(1);
        tp_tensor x = tp_input(g, "x", TP_F32, tp_dims(2));
        tp_tensor y = tp_custom("times", tp_list(x), TP_F32, tp_dims(2), functions[i]);
        tp_program *p = tp_compile(g, tp_list(y), TP_EVAL);
        float got[2];
        cr_assert(p, "%s", tp_error(g));
        memcpy(tp_buffer(p, x, NULL), (float[]){ 1, 5 }, sizeof got);
        cr_assert(tp_run(p) && tp_read(p, y, got, sizeof got));
        cr_expect(got[0] == (float)(2 + i) && got[1] == (float)(10 + 5 * i));
        tp_graph_free(g);
    }
}

static void next(void *user, tp_tensor carry[], const tp_tensor x[], tp_tensor y[])
{
    (void)user;
    carry[0] =
        tp_custom("scaled", tp_list(tp_add(carry[0], x[0]), tp_ones(x[0].g, TP_F32, tp_dims(3))),
                  TP_F32, tp_dims(1, 3), scaled, .backward = scaled_gradient);
    y[0] = carry[0];
}

static void next_traced(void *user, tp_tensor carry[], const tp_tensor x[], tp_tensor y[])
{
    tp_tensor a = tp_add(carry[0], x[0]);

    (void)user;
    y[0] = carry[0] = tp_mul(tp_mul(a, a), a);
}

static void scanned(tp_body *body, float loss_and_gradient[1 + 12])
{
    tp_graph *g = tp_graph_new(1);
    tp_tensor x = tp_input(g, "x", TP_F32, tp_dims(4, 1, 3));
    tp_tensor carry = tp_zeros(g, TP_F32, tp_dims(1, 3)), y, loss, dx;
    tp_program *p;

    cr_assert(tp_scan(g, body, NULL, 1, &carry, 1, &x, 1, &y), "%s", tp_error(g));
    loss = tp_sum(y, TP_ALL);
    dx = tp_grad_of(loss, x);
    p = tp_compile(g, tp_list(loss, dx), TP_EVAL);
    cr_assert(p, "%s", tp_error(g));
    for (int i = 0; i < 12; i++)
        ((float *)tp_buffer(p, x, NULL))[i] = 0.1F * (float)i;
    cr_assert(tp_run(p));
    cr_assert(tp_read(p, loss, loss_and_gradient, sizeof(float)));
    cr_assert(tp_read(p, dx, loss_and_gradient + 1, 12 * sizeof(float)));
    tp_graph_free(g);
}

Test(custom, steps_of_a_scan)
{
    float a[13], b[13];

    scanned(next, a);
    scanned(next_traced, b);
    for (int i = 0; i < 13; i++)
        cr_expect_float_eq(a[i], b[i], 1e-4 * (1 + fabs((double)b[i])), "%d: %g, not %g", i,
                           (double)a[i], (double)b[i]);
}

/* ---- files ---- */

static tp_program *trained(tp_graph *g, const char *text, tp_tensor *loss)
{
    tp_tensor x = tp_input(g, "x", TP_F32, tp_dims(tp_symbol(g, "batch", 1, 20), 2));
    tp_tensor y = tp_input(g, "y", TP_I32, tp_dims(tp_dim(x, 0)));
    tp_tensor w = tp_param(g, "scale", tp_dims(COLUMNS), TP_ONES);
    tp_tensor h = tp_tanh(tp_linear(x, "fc1", COLUMNS));
    tp_program *step;

    h = tp_custom("scaled", tp_list(h, w), TP_F32, tp_dims(tp_dim(x, 0), COLUMNS), scaled,
                  .backward = scaled_gradient, .source = text);
    *loss = tp_cross_entropy(tp_linear(h, "fc2", 2), y);
    step = tp_compile_train(*loss, .opt = tp_adam(), .lr = tp_const(1e-2), .batch = 20);
    cr_assert(step, "%s", tp_error(g));
    return step;
}

TestSuite(custom_files, .init = support_enter, .fini = support_leave);

Test(custom_files, a_trainer_holds_the_functions_text)
{
    tp_loader *data = tp_load_moons("train", .count = 100, .batch = 20, .seed = 3);
    tp_graph *g = tp_graph_new(1);
    static char text[4000], own[2000], its[2000];
    tp_tensor loss;
    tp_program *step;

    support_get(TAPER_SOURCE "/tests/support_custom.h", text, sizeof text - 1);
    step = trained(g, text, &loss);
    cr_assert(tp_emit_c("trainer.c", .train = step, .data = data, .epochs = 2), "%s", tp_error(g));
    for (int epoch = 0; epoch < 2; epoch++)
        while (tp_next(data, step))
            cr_assert(tp_run(step));
    cr_assert(tp_save(g, "own.safetensors"));
    cr_assert_eq(system("cc -O1 -march=native -ffp-contract=off -w -o trainer trainer.c -lm && "
                        "./trainer --save its.safetensors >out"),
                 0);
    const size_t size = support_get("own.safetensors", own, sizeof own);
    cr_expect_eq(support_get("its.safetensors", its, sizeof its), size);
    cr_expect_arr_eq(own, its, size, "the trainer has learnt something else");
    tp_graph_free(g);
    g = tp_graph_new(1);
    step = trained(g, NULL, &loss);
    cr_assert(!tp_emit_c("trainer.c", .train = step, .data = data, .epochs = 2));
    cr_expect(strstr(tp_error(g), "custom: scaled is a C function of this process"), "%s",
              tp_error(g));
    tp_graph_free(g);
    tp_loader_free(data);
}

/* A text says that there is a call, with its types; who reads it has no function. */
Test(custom_files, text_there_and_back)
{
    struct model m = build(of_c, false, NULL);
    tp_program *p = tp_compile(m.g, tp_list(m.loss, m.dx), TP_EVAL, .names = "loss, dx");
    static char text[20000];
    struct ir_error error = { 0 };
    struct ir_text again = { 0 };
    struct ir_module *module;

    cr_assert(p && tp_emit_ir(p, "model.tp"), "%s", tp_error(m.g));
    const size_t size = support_get("model.tp", text, sizeof text - 1);
    cr_expect(strstr(text, " scaled : f32[rows 3]") && strstr(text, " scaled by=0 : f32[rows 3]"),
              "%s", text);
    module = ir_parse("model.tp", text, size, &error);
    cr_assert(module, "%s", error.text);
    ir_print_module(&again, module);
    cr_expect_str_eq(again.data, text);
    ir_text_free(&again);
    ir_module_free(module);
    tp_graph_free(m.g);
    cr_expect_eq(support_run((const char *[]){ TAPER_BUILD "/taper", "verify", "model.tp", NULL }),
                 0);
}

/* ---- what is refused ---- */

static void refused(tp_graph *g, const char *what)
{
    cr_assert(tp_error(g), "not refused: %s", what);
    cr_expect(strstr(tp_error(g), what), "%s", tp_error(g));
    cr_expect(strstr(tp_error(g), "custom.c:"), "no place: %s", tp_error(g));
    tp_graph_free(g);
}

Test(custom, what_is_wrong_is_one_line)
{
    tp_graph *g = tp_graph_new(1);
    tp_tensor x = tp_input(g, "x", TP_F32, tp_dims(2)), y, d;

    y = tp_custom("doubled", tp_list(x), TP_F32, tp_dims(2), doubled);
    d = tp_grad_of(tp_sum(y, TP_ALL), x);
    cr_expect_eq(d.id, 0);
    refused(g, "a derivative of doubled, a C function; expected it with .backward");

    struct model m = build(of_c, false, NULL);
    tp_grad_of(tp_sum(m.dx, TP_ALL), m.x);
    refused(m.g, "a second derivative of scaled");

    g = tp_graph_new(1);
    x = tp_input(g, "x", TP_F32, tp_dims(2));
    y = tp_custom("doubled", tp_list(x), TP_F32, tp_dims(2), doubled);
    tp_jvp(y, 1, &x, &x, &d);
    refused(g, "forward mode through doubled");

    g = tp_graph_new(1);
    x = tp_input(g, "x", TP_F32, tp_dims(2, 3));
    y = tp_custom("scaled", tp_list(x, x), TP_F32, tp_dims(2, 3), scaled,
                  .backward = scaled_gradient);
    tp_jvp(y, 1, &x, &x, &d);
    refused(g, "expected reverse mode");

    g = tp_graph_new(1);
    x = tp_input(g, "x", TP_F32, tp_dims(2));
    tp_custom("no name", tp_list(x), TP_F32, tp_dims(2), doubled);
    refused(g, "the name \"no name\"; expected a C identifier");

    g = tp_graph_new(1);
    x = tp_input(g, "x", TP_F32, tp_dims(2));
    tp_custom("doubled", tp_list(x, tp_as_number(2)), TP_F32, tp_dims(2), doubled);
    refused(g, "argument 1 is a number; expected a tensor");

    g = tp_graph_new(1);
    x = tp_input(g, "x", TP_F32, tp_dims(2));
    tp_custom("doubled", tp_list(x), TP_F32, tp_dims(-3), doubled);
    refused(g, "bad extent");

    g = tp_graph_new(1);
    x = tp_input(g, "x", TP_I32, tp_dims(2));
    tp_custom("doubled", tp_list(x), TP_F32, tp_dims(2), doubled, .backward = doubled);
    refused(g, ".backward with no floating argument");
}

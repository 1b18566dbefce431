/*
 * Programs as machine code: the same bits from run to run, for any number of threads, and operation
 * by operation; partial batches; states in whatever order the kernels want them.
 */
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "frontend/frontend.h"
#include "frontend/models.h"

enum { ROWS = 16, STEPS = 3, PIXELS = 28 * 28 };

static void fine(tp_graph *g)
{
    cr_assert(g && tp_error(g) == NULL, "%s", g ? tp_error(g) : "no graph");
}

/* Pictures of nothing, and what they should be taken for: the same each time. */
static void draw(uint8_t *x, int32_t *y, int rows)
{
    uint32_t word = 12345;

    for (int i = 0; i < rows * PIXELS; i++) {
        word = word * 1664525 + 1013904223;
        x[i] = word >> 28 > 11 ? (uint8_t)(word >> 20) : 0;
    }
    for (int i = 0; i < rows; i++)
        y[i] = (i * 7 + 3) % 10;
}

static const tp_opt *momentum(void)
{
    static tp_opt opt;

    opt = tp_sgd(.momentum = 0.9, .weight_decay = 0.01);
    return &opt;
}

/* --- the same bits -------------------------------------------------------------------------------
 */

struct run {
    float loss[STEPS];
    float *weights; /* fc1.weight after the last step */
    size_t bytes;
};

static struct run train(const char *name, int threads)
{
    const struct model *model = tp_model_find(name);
    tp_graph *g = tp_graph_new(5);
    int64_t batch = tp_symbol(g, "batch", 1, ROWS);
    tp_tensor x = tp_input(g, "x", TP_U8, tp_dims(batch, 1, 28, 28)),
              y = tp_input(g, "y", TP_I32, tp_dims(batch)), weight;
    struct model_values v =
        model->build(x, y, &(struct model_sizes){ .hidden = model->hidden, .classes = 10 });
    tp_program *p =
        tp_compile_train(v.loss, .opt = *momentum(), .lr = tp_const(0.1), .threads = threads);
    struct run r = { 0 };

    fine(g);
    cr_assert_str_eq(tp_program_engine(p), "compiled");
    draw(tp_buffer(p, x, NULL), tp_buffer(p, y, NULL), ROWS);
    for (int i = 0; i < STEPS; i++) {
        cr_assert(tp_run(p));
        r.loss[i] = (float)tp_get(p, v.loss);
    }
    weight = tp_find(g, "fc1.weight");
    r.bytes = tp_state_find(g, "fc1.weight")->bytes;
    r.weights = malloc(r.bytes);
    cr_assert(tp_get_values(weight, r.weights, r.bytes));
    fine(g);
    tp_graph_free(g);
    return r;
}

/* The same by operations that are computed one by one. */
static struct run train_eagerly(const char *name)
{
    const struct model *model = tp_model_find(name);
    uint8_t *x = malloc((size_t)ROWS * PIXELS);
    int32_t y[ROWS];
    tp_graph *g = tp_eager_new(5);
    struct run r = { 0 };
    tp_tensor weight;

    draw(x, y, ROWS);
    for (int i = 0; i < STEPS; i++) {
        struct model_values v = model->build(
            tp_array(g, TP_U8, tp_dims(ROWS, 1, 28, 28), x), tp_array(g, TP_I32, tp_dims(ROWS), y),
            &(struct model_sizes){ .hidden = model->hidden, .classes = 10 });
        fine(g);
        r.loss[i] = (float)tp_item(v.loss);
        tp_backward(v.loss);
        tp_update(g, *momentum(), tp_const(0.1));
        fine(g);
    }
    weight = tp_find(g, "fc1.weight");
    r.bytes = tp_state_find(g, "fc1.weight")->bytes;
    r.weights = malloc(r.bytes);
    cr_assert(tp_get_values(weight, r.weights, r.bytes));
    tp_graph_free(g);
    free(x);
    return r;
}

static void same_run(const char *what, struct run a, struct run b)
{
    for (int i = 0; i < STEPS; i++)
        cr_expect_eq(a.loss[i], b.loss[i], "%s: step %d: %.9g, not %.9g", what, i,
                     (double)b.loss[i], (double)a.loss[i]);
    cr_expect(a.loss[0] > a.loss[STEPS - 1], "%s: it learns nothing", what);
    cr_expect(a.bytes == b.bytes && memcmp(a.weights, b.weights, a.bytes) == 0,
              "%s: fc1.weight differs", what);
    free(b.weights);
}

static void same_bits(const char *name)
{
    struct run first = train(name, 1);

    same_run("again", first, train(name, 1));
    same_run("two threads", first, train(name, 2));
    same_run("eager", first, train_eagerly(name));
    free(first.weights);
}

Test(engine, mlp_has_the_same_bits_twice_on_two_threads_and_eagerly)
{
    same_bits("mlp");
}

Test(engine, lenet_has_the_same_bits_twice_on_two_threads_and_eagerly)
{
    same_bits("lenet");
}

/* The reference has the same numbers but for rounding. */
Test(engine, the_interpreter_agrees)
{
    struct run compiled = train("mlp", 0), eager;

    setenv("TAPER_ENGINE", "interpreter", 1);
    eager = train_eagerly("mlp");
    unsetenv("TAPER_ENGINE");
    for (int i = 0; i < STEPS; i++)
        cr_expect(fabsf(compiled.loss[i] - eager.loss[i]) < 1e-5f, "step %d: %.9g, not %.9g", i,
                  (double)compiled.loss[i], (double)eager.loss[i]);
    free(compiled.weights);
    free(eager.weights);
}

Test(engine, an_unknown_one_is_refused)
{
    tp_graph *g = tp_graph_new(1);

    setenv("TAPER_ENGINE", "steam", 1);
    cr_expect(tp_compile_eval(g, tp_full(g, TP_F32, tp_dims(2), 1)) == NULL);
    cr_expect(tp_status(g) == 2 && strstr(tp_error(g), "TAPER_ENGINE=steam"), "%s", tp_error(g));
    unsetenv("TAPER_ENGINE");
    tp_graph_free(g);
}

/* --- partial batches -----------------------------------------------------------------------------
 */

/* One program for up to 1000 rows: a step of 7 is the mean over 7, not over 1000. */
Test(engine, seven_rows_of_a_thousand_are_seven)
{
    tp_graph *g = tp_graph_new(3);
    int64_t batch = tp_symbol(g, "batch", 1, 1000);
    tp_tensor x = tp_input(g, "x", TP_U8, tp_dims(batch, 1, 28, 28)),
              y = tp_input(g, "y", TP_I32, tp_dims(batch));
    struct model_values v =
        tp_model_find("mlp")->build(x, y, &(struct model_sizes){ .hidden = 32, .classes = 10 });
    tp_program *p = tp_compile_eval(g, v.loss, v.hits);
    uint8_t *picture, *all = malloc(7 * PIXELS);
    int32_t *target, targets[7];
    double sum = 0, hits = 0, loss;

    fine(g);
    picture = tp_buffer(p, x, NULL);
    target = tp_buffer(p, y, NULL);
    draw(picture, target, 1000); /* what lies behind the seventh row must not count */
    cr_assert(tp_rows(p, 1000) && tp_run(p));
    memcpy(all, picture, 7 * PIXELS);
    memcpy(targets, target, sizeof targets);
    cr_assert(tp_rows(p, 7) && tp_run(p));
    loss = tp_get(p, v.loss);
    for (int i = 0; i < 7; i++) {
        memcpy(picture, all + i * PIXELS, PIXELS);
        target[0] = targets[i];
        cr_assert(tp_rows(p, 1) && tp_run(p));
        sum += tp_get(p, v.loss);
        hits += tp_get(p, v.hits);
    }
    cr_expect(fabs(loss - sum / 7) < 1e-6, "%.9g, not %.9g", loss, sum / 7);
    memcpy(picture, all, 7 * PIXELS);
    memcpy(target, targets, sizeof targets);
    cr_assert(tp_rows(p, 7) && tp_run(p));
    cr_expect(tp_get(p, v.loss) == loss && tp_get(p, v.hits) == hits);
    free(all);
    tp_graph_free(g);
}

/* The gradient of a partial batch is divided by its rows as well. */
Test(engine, a_partial_step_moves_as_its_own_rows_say)
{
    tp_graph *g = tp_graph_new(3);
    int64_t batch = tp_symbol(g, "batch", 1, 1000);
    tp_tensor x = tp_input(g, "x", TP_F32, tp_dims(batch, 3)),
              w = tp_param(g, "w", tp_dims(3), TP_ZEROS), loss = tp_mean(tp_sum(tp_mul(x, w), 1));
    tp_program *p = tp_compile_train(loss, .opt = tp_sgd(), .lr = tp_const(1));
    float *rows, moved[3];

    fine(g);
    rows = tp_buffer(p, x, NULL);
    for (int i = 0; i < 3000; i++)
        rows[i] = i < 21 ? (float)(i % 3 + 1) : 1e30f;
    cr_assert(tp_rows(p, 7) && tp_run(p) && tp_get_values(w, moved, sizeof moved));
    for (int i = 0; i < 3; i++)
        cr_expect(fabsf(moved[i] + (float)(i + 1)) < 1e-5f, "w[%d] is %g", i, (double)moved[i]);
    tp_graph_free(g);
}

/* --- states ------------------------------------------------------------------------------------
 */

/* Whatever order a product wants its weights in: what goes in comes out. */
Test(engine, states_go_in_and_out_row_major)
{
    const int64_t sizes[][2] = {
        { 1, 1 }, { 3, 5 }, { 16, 64 }, { 17, 33 }, { 100, 7 }, { 70, 130 }
    };

    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        const int64_t out = sizes[i][0], in = sizes[i][1];
        tp_graph *g = tp_graph_new(1);
        tp_tensor x = tp_input(g, "x", TP_F32, tp_dims(32, in)),
                  w = tp_param(g, "w", tp_dims(out, in), TP_NORMAL(1)),
                  y = tp_matmul(x, tp_transpose(w, 0, 1));
        const size_t bytes = (size_t)(out * in) * sizeof(float);
        float *before = malloc(bytes), *after = malloc(bytes), *row;
        tp_program *p;

        cr_assert(tp_get_values(w, before, bytes)); /* no program has it yet */
        p = tp_compile_eval(g, y, w);
        fine(g);
        cr_assert(tp_get_values(w, after, bytes));
        cr_expect(memcmp(before, after, bytes) == 0, "[%d %d] first values", (int)out, (int)in);
        for (int64_t k = 0; k < out * in; k++)
            before[k] = (float)(k % 7) - 3;
        cr_assert(tp_set_values(w, before, bytes));
        row = tp_buffer(p, x, NULL);
        for (int64_t k = 0; k < in; k++)
            row[k] = (float)(k % 3);
        cr_assert(tp_run(p));
        cr_expect(memcmp(before, tp_buffer(p, w, NULL), bytes) == 0, "[%d %d] as an output",
                  (int)out, (int)in);
        for (int64_t o = 0; o < out; o++) {
            float want = 0;
            for (int64_t k = 0; k < in; k++)
                want += row[k] * before[o * in + k];
            cr_expect_eq(((float *)tp_buffer(p, y, NULL))[o], want);
        }
        free(before);
        free(after);
        tp_graph_free(g);
    }
}

/* An output that is a state, and one that is a view of it, show what it was before the step. */
Test(engine, outputs_show_the_state_before_the_step)
{
    tp_graph *g = tp_graph_new(1);
    tp_tensor s = tp_param(g, "s", tp_dims(5, 21), TP_CONSTANT(2)), turned = tp_transpose(s, 0, 1);
    tp_program *p;

    tp_assign(s, tp_mul(s, 3));
    p = tp_compile(g, tp_list(s, turned), TP_TRAIN);
    fine(g);
    for (int i = 0; i < 3; i++) {
        const float want = i == 0 ? 2 : i == 1 ? 6 : 18;
        cr_assert(tp_run(p));
        for (int k = 0; k < 105; k++) {
            cr_expect_eq(((float *)tp_buffer(p, s, NULL))[k], want);
            cr_expect_eq(((float *)tp_buffer(p, turned, NULL))[k], want);
        }
    }
    tp_graph_free(g);
}

/* Two programs of one graph, made one after the other, read what the other wrote. */
Test(engine, programs_share_states_whatever_their_order)
{
    tp_graph *g = tp_graph_new(1);
    tp_tensor x = tp_input(g, "x", TP_F32, tp_dims(4, 40)),
              w = tp_param(g, "w", tp_dims(40, 24), TP_NORMAL(1)), y = tp_matmul(x, w),
              loss = tp_mean(tp_square(y));
    tp_program *step = tp_compile_train(loss, .opt = tp_adam(), .lr = tp_const(0.01)),
               *eval = tp_compile_eval(g, loss);
    float *a, *b;

    fine(g);
    a = tp_buffer(step, x, NULL);
    b = tp_buffer(eval, x, NULL);
    for (int i = 0; i < 160; i++)
        a[i] = b[i] = (float)(i % 11) / 11;
    for (int i = 0; i < 5; i++) {
        cr_assert(tp_run(eval) && tp_run(step));
        cr_expect_eq(tp_get(eval, loss), tp_get(step, loss));
    }
    tp_graph_free(g);
}

/* --- eager -------------------------------------------------------------------------------------
 */

Test(engine, eager_views_are_looked_through_and_looked_at)
{
    tp_graph *g = tp_eager_new(1);
    tp_tensor x = tp_array(g, TP_F32, tp_dims(2, 3), (float[]){ 1, 2, 3, 4, 5, 6 }), y = x;
    const float *seen;

    for (int i = 0; i < 40; i++)
        y = tp_transpose(y, 0, 1);
    y = tp_sum(tp_mul(tp_transpose(y, 0, 1), tp_reshape(y, 3, 2)), 1); /* 1*1+4*2, 2*3+5*4, .. */
    seen = tp_values(y, NULL);
    cr_assert(seen, "%s", tp_error(g));
    cr_expect(seen[0] == 9 && seen[1] == 26 && seen[2] == 51, "%g %g %g", (double)seen[0],
              (double)seen[1], (double)seen[2]);
    seen = tp_values(tp_flip(x, 1), NULL);
    cr_expect(seen && seen[0] == 3 && seen[5] == 4);
    tp_graph_free(g);
}

/* What was computed from a state's old value stays; so does a view of it. */
Test(engine, eager_assignments_change_nothing_that_was_recorded)
{
    tp_graph *g = tp_eager_new(1);
    tp_tensor s = tp_param(g, "s", tp_dims(2), TP_CONSTANT(1)), twice = tp_mul(s, 2),
              view = tp_reshape(s, 2, 1);

    tp_assign(s, tp_add(s, 4));
    cr_expect_eq(((const float *)tp_values(s, NULL))[0], 5);
    cr_expect_eq(((const float *)tp_values(twice, NULL))[1], 2);
    cr_expect_eq(((const float *)tp_values(view, NULL))[1], 1);
    fine(g);
    tp_graph_free(g);
}

/* The same line again, after its state has changed, is not what it was. */
Test(engine, eager_values_of_a_changed_state_are_computed_anew)
{
    tp_graph *g = tp_eager_new(1);
    tp_tensor s = tp_param(g, "s", tp_dims(2), TP_CONSTANT(1)), before = tp_mul(s, 2),
              view = tp_reshape(s, 2, 1), after;

    cr_assert(tp_set_values(s, (float[]){ 3, 4 }, 8));
    cr_expect_eq(((const float *)tp_values(tp_mul(s, 2), NULL))[1], 8);
    cr_expect_eq(((const float *)tp_values(before, NULL))[1], 2);
    cr_expect_eq(((const float *)tp_values(view, NULL))[1], 1);
    cr_expect_eq(((const float *)tp_values(tp_reshape(s, 2, 1), NULL))[1], 4);
    tp_assign(s, tp_mul(s, 10));
    tp_assign(s, tp_add(s, 1));   /* more than once a tape */
    for (int i = 0; i < 300; i++) /* the table of nodes is filled again */
        after = tp_mul(s, 2 + i % 2 * i);
    after = tp_mul(s, 2);
    cr_expect_eq(((const float *)tp_values(after, NULL))[1], 82);
    fine(g);
    cr_assert(tp_backward(tp_sum(tp_mul(s, s))), "%s", tp_error(g));
    cr_expect_eq(((const float *)tp_values(tp_gradient(s), NULL))[0], 62);
    cr_expect(!tp_backward(tp_sum(before)));
    cr_expect(strstr(tp_error(g), "s has changed since mul read it at"), "%s", tp_error(g));
    tp_graph_free(g);
}

/* A program's own states have names too. */
Test(engine, the_counter_of_steps_is_found)
{
    tp_graph *g = tp_graph_new(1), *now = tp_eager_new(1);
    tp_tensor w = tp_param(g, "w", tp_dims(2), TP_CONSTANT(1));
    tp_program *p = tp_compile_train(tp_sum(tp_mul(w, w)), .opt = tp_sgd(), .lr = tp_const(0.1));
    int64_t steps = 0;

    cr_expect(tp_find(g, "no.such").id == 0);
    for (int i = 0; i < 3; i++)
        cr_assert(p && tp_run(p), "%s", tp_error(g));
    cr_assert(tp_get_values(tp_find(g, "taper.steps"), &steps, sizeof steps), "%s", tp_error(g));
    cr_expect_eq(steps, 3);
    steps = 10;
    cr_assert(tp_set_values(tp_find(g, "taper.steps"), &steps, sizeof steps));
    cr_assert(tp_run(p) && tp_get_values(tp_find(g, "taper.steps"), &steps, sizeof steps));
    cr_expect_eq(steps, 11);
    tp_graph_free(g);
    for (int i = 0; i < 2; i++) {
        w = tp_param(now, "w", tp_dims(2), TP_CONSTANT(1));
        cr_assert(tp_backward(tp_sum(tp_mul(w, w))) && tp_update(now, tp_sgd(), tp_const(0.1)),
                  "%s", tp_error(now));
    }
    cr_expect_eq(tp_item(tp_find(now, "taper.steps")), 2);
    tp_graph_free(now);
}

Test(engine, eager_graphs_are_not_compiled)
{
    tp_graph *g = tp_eager_new(1);
    tp_tensor x = tp_array(g, TP_F32, tp_dims(2), (float[]){ 1, 2 });

    cr_expect(tp_compile_eval(g, x) == NULL);
    cr_expect(tp_status(g) == 2 && strstr(tp_error(g), "expected one from tp_graph_new"));
    tp_graph_free(g);
}

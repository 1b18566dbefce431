/*
 * Recurrent layers and scans of a user's function: names and starts, one program and eager mode to
 * the last bit, chance between layers, and code that does not grow with the steps. Values and
 * gradients are compared in torch.c.
 */
#define _POSIX_C_SOURCE 200809L
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "codegen/codegen.h"
#include "frontend/frontend.h"
#include "frontend/models.h"

static void fine(const tp_graph *g)
{
    cr_assert(tp_error(g) == NULL, "%s", tp_error(g));
}

static void fill(float *to, int n, double pace)
{
    for (int i = 0; i < n; i++)
        to[i] = (float)sin(pace * i + 0.3);
}

/* --- names -------------------------------------------------------------------------------------
 */

Test(recurrent, parameters_are_those_of_pytorch)
{
    tp_graph *g = tp_graph_new(1);
    tp_tensor x = tp_input(g, "x", TP_F32, tp_dims(7, 2, 5)), found[32];
    static const char *const leaf[] = { "weight_ih", "weight_hh", "bias_ih", "bias_hh" };
    static const char *const tail[] = { "_l0", "_l0_reverse", "_l1", "_l1_reverse" };
    const tp_recurrent r = tp_lstm(x, "encoder.rnn", 3, .layers = 2, .bidirectional = true);
    float values[12 * 5];
    char want[64];

    fine(g);
    cr_assert_eq(tp_params(g, "*", 32, found), 16);
    for (int i = 0; i < 16; i++) {
        snprintf(want, sizeof want, "encoder.rnn.%s%s", leaf[i % 4], tail[i / 4]);
        cr_expect_str_eq(tp_name(found[i]), want);
        cr_expect_eq(tp_dim(found[i], 0), 12);
    }
    cr_expect_eq(tp_dim(found[0], 1), 5);
    cr_expect_eq(tp_dim(found[8], 1), 6);
    cr_expect_eq(tp_dim(r.y, 2), 6);
    cr_expect_eq(tp_dim(r.h, 0), 4);
    cr_assert(tp_get_values(found[0], values, sizeof values));
    for (int i = 0; i < 60; i++)
        cr_expect(fabsf(values[i]) <= 0.57736F, "%g", (double)values[i]); /* 1 / sqrt(3) */
    tp_graph_free(g);
}

/* --- one program, and eager ---------------------------------------------------------------------
 */

enum { TIME = 5, BATCH = 3, IN = 4, HIDDEN = 6 };

static tp_tensor decay(tp_tensor y) /* a scan that reads a parameter, and one of its own */
{
    (void)y;
    return tp_param(y.g, "decay", tp_dims(HIDDEN), TP_UNIFORM(0.2, 0.9));
}

static void smooth(void *user, tp_tensor carry[], const tp_tensor x[], tp_tensor y[])
{
    const tp_tensor *rate = user;

    carry[0] = tp_add(tp_mul(carry[0], tp_sigmoid(*rate)), x[0]);
    y[0] = tp_softmax(carry[0], -1);
}

static tp_tensor loss_of(tp_tensor x)
{
    tp_tensor rate, all, carry, h = tp_lstm(x, "lstm", HIDDEN, .layers = 2).y;

    h = tp_add(h, tp_gru(x, "gru", HIDDEN / 2, .bidirectional = true).y);
    rate = decay(h);
    carry = tp_zeros(x.g, TP_F32, tp_dims(BATCH, HIDDEN));
    tp_scan(x.g, smooth, &rate, 1, &carry, 1, &h, 1, &all, .reverse = true);
    return tp_add(tp_mean(tp_square(all)), tp_mean(tp_square(carry)));
}

Test(recurrent, eager_has_the_bits_of_a_program)
{
    float numbers[TIME * BATCH * IN], loss[3], again[3];
    tp_graph *g = tp_graph_new(3), *e = tp_eager_new(3);
    tp_tensor x = tp_input(g, "x", TP_F32, tp_dims(TIME, BATCH, IN)), y = loss_of(x);
    tp_program *p = tp_compile_train(y, .opt = tp_adam(), .lr = tp_const(0.01));

    fill(numbers, TIME * BATCH * IN, 0.7);
    cr_assert(p, "%s", tp_error(g));
    memcpy(tp_buffer(p, x, NULL), numbers, sizeof numbers);
    for (int i = 0; i < 3; i++) {
        cr_assert(tp_run(p));
        loss[i] = (float)tp_get(p, y);
    }
    for (int i = 0; i < 3; i++) {
        tp_tensor now = loss_of(tp_array(e, TP_F32, tp_dims(TIME, BATCH, IN), numbers));
        again[i] = (float)tp_item(now);
        fine(e);
        cr_assert(tp_backward(now), "%s", tp_error(e));
        cr_assert(tp_update(e, tp_adam(), tp_const(0.01)), "%s", tp_error(e));
    }
    cr_expect_lt(loss[2], loss[0]);
    for (int i = 0; i < 3; i++)
        cr_expect_eq(loss[i], again[i], "step %d: %.9g, eagerly %.9g", i, (double)loss[i],
                     (double)again[i]);
    tp_graph_free(g);
    tp_graph_free(e);
}

static void to_itself(void *user, tp_tensor carry[], const tp_tensor x[], tp_tensor y[])
{
    (void)user, (void)x, (void)y;
    carry[0] = tp_mul(carry[0], 2);
}

Test(recurrent, a_scan_without_arrays_counts_its_steps)
{
    const float start[] = { 1, -3 };
    tp_graph *e = tp_eager_new(1);
    tp_tensor x = tp_array(e, TP_F32, tp_dims(2), start), y;

    y = x;
    cr_assert(tp_scan(e, to_itself, NULL, 1, &y, 0, NULL, 0, NULL, .length = 10), "%s",
              tp_error(e));
    cr_expect_eq(((const float *)tp_values(y, NULL))[0], 1024);
    cr_expect_eq(((const float *)tp_values(y, NULL))[1], -3072);
    cr_expect_eq(((const float *)tp_values(x, NULL))[0], 1);
    tp_graph_free(e);
}

/* --- chance between layers ----------------------------------------------------------------------
 */

Test(recurrent, dropout_stands_between_layers_in_training_alone)
{
    float numbers[TIME * BATCH * IN], value[2][2];

    fill(numbers, TIME * BATCH * IN, 0.7);
    for (int layers = 1; layers <= 2; layers++) {
        tp_graph *g = tp_graph_new(3);
        tp_tensor x = tp_input(g, "x", TP_F32, tp_dims(TIME, BATCH, IN)),
                  y = tp_sum(tp_gru(x, "gru", HIDDEN, .layers = layers, .dropout = 0.5).y);
        for (int mode = 0; mode < 2; mode++) {
            tp_program *p = tp_compile(g, tp_list(y), mode ? TP_TRAIN : TP_EVAL);
            cr_assert(p, "%s", tp_error(g));
            memcpy(tp_buffer(p, x, NULL), numbers, sizeof numbers);
            cr_assert(tp_run(p));
            value[layers - 1][mode] = (float)tp_get(p, y);
        }
        tp_graph_free(g);
    }
    cr_expect_eq(value[0][0], value[0][1]);
    cr_expect_neq(value[1][0], value[1][1]);
}

/* --- models, and time as a symbol ---------------------------------------------------------------
 */

enum { TIMES = 20 };

/* Rows that count up by their own stride, modulo 7: the next one follows from the two before. */
static void count_up(int32_t *x, int32_t *y, int batch, int time, int pitch, int turn)
{
    for (int b = 0; b < batch; b++)
        for (int t = 0; t < time; t++) {
            const int stride = 1 + (b + turn) % 3, first = b + turn;
            x[b * pitch + t] = (first + t * stride) % 7;
            y[b * pitch + t] = (first + (t + 1) * stride) % 7;
        }
}

struct learner {
    tp_graph *g;
    tp_tensor x, y, loss;
    tp_program *p;
};

/* batch, time: fixed, or 0: symbols */
static struct learner learner(const char *name, int batch, int time)
{
    const struct model *m = tp_model_find(name);
    struct learner l = { .g = tp_graph_new(1) };
    const int64_t B = batch ? batch : tp_symbol(l.g, "batch", 1, 8),
                  T = time ? time : tp_symbol(l.g, "time", 1, TIMES);

    l.x = tp_input(l.g, "x", TP_I32, tp_dims(B, T));
    l.y = tp_input(l.g, "y", TP_I32, tp_dims(B, T));
    l.loss = m->build(l.x, l.y, &(struct model_sizes){ 32, 7, 7, 4, 4 }).loss;
    l.p = tp_compile_train(l.loss, .opt = tp_adam(), .lr = tp_const(5e-3));
    cr_assert(l.p, "%s: %s", name, tp_error(l.g));
    return l;
}

static double next_loss(struct learner *l, int batch, int time, int pitch, int turn)
{
    count_up(tp_buffer(l->p, l->x, NULL), tp_buffer(l->p, l->y, NULL), batch, time, pitch, turn);
    cr_assert(tp_run(l->p));
    return tp_get(l->p, l->loss);
}

static const struct {
    const char *name;
    double loss; /* after 150 steps, of log 7 before */
} models[] = { { "lstm", 0.3 }, { "gru", 0.3 }, { "gpt", 1 } };

Test(recurrent, models_learn_from_rows_of_any_length)
{
    for (int m = 0; m < 3; m++) {
        struct learner l = learner(models[m].name, 0, 0);
        double loss = NAN;

        for (int i = 0; i < 150; i++) {
            const int batch = 4 + i % 5, time = 8 + i % 13;
            cr_assert(tp_rows(l.p, batch) && tp_extent(l.p, "time", time));
            loss = next_loss(&l, batch, time, TIMES, i);
        }
        cr_expect_lt(loss, models[m].loss, "%s: %g", models[m].name, loss);
        tp_graph_free(l.g);
    }
}

static void same_as_of_its_length(const char *name, int batch, int time)
{
    struct learner any = learner(name, 0, 0), own = learner(name, batch, time);

    cr_assert(tp_rows(any.p, batch) && tp_extent(any.p, "time", time));
    for (int i = 0; i < 3; i++) {
        const double a = next_loss(&any, batch, time, TIMES, i),
                     b = next_loss(&own, batch, time, time, i);
        cr_expect(fabs(a - b) < 2e-4 * fabs(b), "%s of %d x %d, step %d: %.9g, not %.9g", name,
                  batch, time, i, a, b);
    }
    tp_graph_free(any.g);
    tp_graph_free(own.g);
}

Test(recurrent, one_program_for_all_lengths_is_that_of_each)
{
    static const int size[][2] = { { 5, 13 }, { 1, 1 } };

    for (int m = 0; m < 3; m++)
        for (int k = 0; k < 2; k++)
            same_as_of_its_length(models[m].name, size[k][0], size[k][1]);
}

Test(recurrent, one_program_for_all_lengths_is_interpreted_too)
{
    setenv("TAPER_ENGINE", "interpreter", 1);
    same_as_of_its_length("gru", 3, 7);
}

Test(recurrent, lengths_past_the_bound_are_refused)
{
    struct learner l = learner("gru", 0, 0);

    cr_expect(!tp_extent(l.p, "time", TIMES + 1));
    cr_expect_str_eq(tp_error(l.g),
                     "tp_extent: time 21 for the program \"step\"; expected 1 to 20");
    tp_graph_free(l.g);
}

/* --- what a step takes
 * ---------------------------------------------------------------------------- */

struct size {
    size_t text, kernels, nodes;
};

/* of the whole training step of a model over so many steps of time, as C */
static struct size size_of(const char *name, int time)
{
    const struct model *m = tp_model_find(name);
    tp_graph *g = tp_graph_new(1);
    const int64_t B = tp_symbol(g, "batch", 1, 32);
    tp_tensor x = tp_input(g, "x", TP_I32, tp_dims(B, time)),
              y = tp_input(g, "y", TP_I32, tp_dims(B, time));
    struct ir_arena *arena = ir_arena_new();
    struct pass_options options = { .target = ir_target_by_name("x86-64-v4"),
                                    .fuse = true,
                                    .threads = 2 };
    struct pass_compiled *c;
    struct ir_text text = { 0 };
    struct size size;
    tp_program *p;

    g->no_engine = true;
    p = tp_compile_train(m->build(x, y, &(struct model_sizes){ 256, 65, 65, 0, 0 }).loss,
                         .opt = tp_adamw(), .lr = tp_const(1e-3), .clip_norm = 1);
    cr_assert(p, "%s", tp_error(g));
    c = pass_pipeline(&(struct ir_program){ .graph = p->graph }, &options, arena, &g->error);
    cr_assert(c && gen_program(&text, c->loops, &gen_target_c, &g->error), "%s", tp_error(g));
    size = (struct size){ text.size, (size_t)c->loops->kernels, p->graph->count };
    ir_text_free(&text);
    ir_arena_free(arena);
    tp_graph_free(g);
    return size;
}

Test(recurrent, code_does_not_grow_with_the_steps)
{
    for (int m = 0; m < 2; m++) {
        const struct size few = size_of(models[m].name, 8), many = size_of(models[m].name, 512);

        cr_expect_eq(few.kernels, many.kernels);
        cr_expect_eq(few.nodes, many.nodes);
        cr_expect_lt(fabs((double)many.text / (double)few.text - 1), 0.05, "%s: %zu bytes, %zu",
                     models[m].name, few.text, many.text);
    }
}

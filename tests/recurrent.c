/*
 * Recurrent layers and scans of a user's function: names and starts, one program and eager mode to
 * the last bit, chance between layers, and code that does not grow with the steps. Values and
 * gradients are compared in torch.c.
 */
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "frontend/taper.h"

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

/*
 * Optimisers and schedules against PyTorch, and against the papers where it has none: a row of
 * optim.def in both languages; optim_numbers.def has what the parameters are after seven runs
 * (optim_numbers.py writes it).
 */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "frontend/taper.h"

enum { RUNS = 7 };

static const struct {
    const char *name;
} rows[] = {
#define OPTIM(name, theirs, ...) { #name },
#include "optim.def"
#undef OPTIM
};
enum { ROWS = sizeof rows / sizeof *rows };

static const struct {
    const char *name;
    double sum[2]; /* of the weight and of the bias, with weights that no two elements share */
} numbers[] = {
#define NUMBERS(name, ...) { #name, { __VA_ARGS__ } },
#include "optim_numbers.def"
#undef NUMBERS
};

static tp_program *train(int row, tp_tensor loss)
{
    int at = 0;

#define OPTIM(name, theirs, ...) \
    if (at++ == row)             \
        return tp_compile_train(loss, __VA_ARGS__);
#include "optim.def"
#undef OPTIM
    return NULL;
}

static void fill(double *to, int n, double rate, double phase)
{
    for (int i = 0; i < n; i++)
        to[i] = sin(rate * i + phase);
}

static double weighted(tp_tensor parameter, int n)
{
    double values[12], sum = 0;

    cr_assert(tp_get_values(parameter, values, (size_t)n * sizeof *values));
    for (int i = 0; i < n; i++)
        sum += values[i] * cos(1.1 * i + 0.2);
    return sum;
}

/* tanh(x w' + b) is to be y */
static void run(int row)
{
    tp_graph *g = tp_graph_new(1);
    double x[20], y[15], w[12], b[3];
    tp_tensor loss, weight, bias;
    tp_program *p;
    const double *want = NULL;

    fill(x, 20, 1.3, 0.5);
    fill(y, 15, 0.7, 0.1);
    fill(w, 12, 0.9, 0.2);
    fill(b, 3, 0.9, 1.3);
    loss = tp_mse(tp_tanh(tp_linear(tp_array(g, TP_F64, tp_dims(5, 4), x), "fc", 3)),
                  tp_array(g, TP_F64, tp_dims(5, 3), y));
    weight = tp_find(g, "fc.weight");
    bias = tp_find(g, "fc.bias");
    cr_assert(weight.id && tp_set_values(weight, w, sizeof w) && tp_set_values(bias, b, sizeof b));
    p = train(row, loss);
    cr_assert(p, "%s: %s", rows[row].name, tp_error(g));
    for (int i = 0; i < RUNS; i++)
        cr_assert(tp_run(p), "%s: %s", rows[row].name, tp_error(g));
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (strcmp(numbers[i].name, rows[row].name) == 0)
            want = numbers[i].sum;
    cr_assert(want, "%s: run optim_numbers.py", rows[row].name);
    for (int i = 0; i < 2; i++) {
        const double got = weighted(i ? bias : weight, i ? 3 : 12);

        cr_expect(fabs(got - want[i]) <= 1e-9 * (1 + fabs(want[i])), "%s: %s is %.12g, not %.12g",
                  rows[row].name, i ? "bias" : "weight", got, want[i]);
    }
    tp_graph_free(g);
}

Test(optim, follows_pytorch)
{
    for (int row = 0; row < ROWS; row++)
        run(row);
}

/* The average begins with the first update and follows behind. */
Test(optim, averages_of_parameters_can_be_used)
{
    tp_graph *g = tp_graph_new(1);
    const tp_tensor p = tp_param(g, "p", tp_dims(1), TP_ONES, .dtype = TP_F64);
    tp_program *step =
        tp_compile_train(tp_sum(p), .opt = tp_sgd(), .lr = tp_const(0.1), .ema = 0.5);
    double average = 0.9, now = 0.9;

    cr_assert(step, "%s", tp_error(g));
    for (int i = 0; i < 4; i++) {
        cr_assert(tp_run(step));
        if (i) {
            now -= 0.1;
            average = 0.5 * average + 0.5 * now;
        }
    }
    tp_get_values(p, &now, sizeof now);
    cr_expect_float_eq(now, 0.6, 1e-12);
    cr_expect_eq(tp_use_ema(g), 1);
    tp_get_values(p, &now, sizeof now);
    cr_expect_float_eq(now, average, 1e-12, "%g, not %g", now, average);
    tp_graph_free(g);
}

/* The greatest of many uniform numbers, and the deviation, as the shape [60 30 2] says. */
Test(optim, initial_values_follow_the_fans)
{
    const struct {
        tp_init init;
        double deviation;
    } kinds[] = {
        { TP_XAVIER_UNIFORM(1), 0.10540925533894598 }, /* sqrt(2 / (60 + 120)) */
        { TP_XAVIER_NORMAL(2), 0.21081851067789195 },
        { TP_KAIMING_UNIFORM, 0.18257418583505536 }, /* sqrt(2 / 60) */
        { TP_KAIMING_NORMAL, 0.18257418583505536 },
        { TP_LECUN_UNIFORM, 0.12909944487358055 },
        { TP_LECUN_NORMAL, 0.12909944487358055 },
    };

    for (int i = 0; i < 6; i++) {
        tp_graph *g = tp_graph_new(3);
        const tp_tensor p = tp_param(g, "p", tp_dims(60, 30, 2), kinds[i].init, .dtype = TP_F64);
        static double values[3600];
        double squares = 0;

        cr_assert(tp_get_values(p, values, sizeof values), "%s", tp_error(g));
        for (int k = 0; k < 3600; k++)
            squares += values[k] * values[k];
        cr_expect(fabs(sqrt(squares / 3600) / kinds[i].deviation - 1) < 0.05, "%d: %g", i,
                  sqrt(squares / 3600));
        tp_graph_free(g);
    }
}

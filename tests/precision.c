/*
 * Mixed precision, through the public interface: a model trains as well as in f32, what is kept and
 * saved is f32, and the scale of f16 falls and grows without a trace in the parameters. What the
 * rule makes of a graph is in tests/golden/precision.
 */
#include "frontend/taper.h"
#include "support.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* --- accuracy ----------------------------------------------------------------------------------
 */

struct run {
    double accuracy, loss, scale;
};

static struct run trained(tp_dtype precision)
{
    struct run run = { .scale = 1 };
    tp_graph *g = tp_graph_new(7);
    const int64_t batch = tp_symbol(g, "batch", 1, 100);
    tp_tensor x = tp_input(g, "x", TP_U8, tp_dims(batch, 1, 28, 28)),
              y = tp_input(g, "y", TP_I32, tp_dims(batch)), scores, loss, hits;
    tp_loader *train = tp_load_digits("train", .batch = 50, .shuffle = true, .count = 3000),
              *test = tp_load_digits("test", .batch = 100, .count = 3000);

    scores = tp_relu(tp_linear(tp_flatten(tp_div(x, 255), 1), "fc1", 64));
    scores = tp_linear(scores, "fc2", 10);
    loss = tp_cross_entropy(scores, y);
    hits = tp_sum(tp_eq(tp_argmax(scores, -1), y));
    tp_program *step = tp_compile_train(loss, .opt = tp_sgd(.momentum = 0.9), .lr = tp_const(0.05),
                                        .precision = precision, .threads = 1),
               *eval = tp_compile_at(
                   g, tp_list(loss, hits),
                   (tp_compile_args){ .mode = TP_EVAL, .precision = precision, .threads = 1 },
                   TP_HERE);
    cr_assert(step && eval, "%s", tp_error(g));
    for (int epoch = 0; epoch < 3; epoch++)
        while (tp_next(train, step) && tp_run(step))
            run.loss = tp_get(step, loss);
    while (tp_next(test, eval) && tp_run(eval))
        run.accuracy += tp_get(eval, hits);
    cr_assert(!tp_error(g), "%s", tp_error(g));
    run.accuracy /= (double)tp_loader_rows(test);
    if (precision == TP_F16) {
        float scale;
        cr_assert(tp_get_values(tp_find(g, "taper.loss_scale"), &scale, sizeof scale));
        run.scale = (double)scale;
    }
    tp_loader_free(train);
    tp_loader_free(test);
    tp_graph_free(g);
    return run;
}

Test(precision, mlp_trains_to_the_accuracy_of_f32)
{
    const struct run full = trained(TP_F32), bf16 = trained(TP_BF16), f16 = trained(TP_F16);

    cr_log_info("accuracy %.4f in f32, %.4f in bf16, %.4f in f16", full.accuracy, bf16.accuracy,
                f16.accuracy);
    cr_expect(full.accuracy > 0.85, "f32: %g", full.accuracy);
    cr_expect(fabs(bf16.accuracy - full.accuracy) <= 0.01, "bf16: %g, f32: %g", bf16.accuracy,
              full.accuracy);
    cr_expect(fabs(f16.accuracy - full.accuracy) <= 0.01, "f16: %g, f32: %g", f16.accuracy,
              full.accuracy);
    cr_expect(bf16.loss != full.loss && f16.loss != full.loss, "all three computed the same");
    cr_expect(f16.scale >= 1, "the scale fell to %g", f16.scale);
}

/* --- the scale -----------------------------------------------------------------------------------
 */

static const float points[8] = { 0.5f, -1, 2, 0.25f, -3, 1.5f, 0.125f, -0.75f },
                   targets[4] = { 1, -1, 0.5f, 2 };

struct small {
    tp_graph *g;
    tp_tensor x, t, weight;
    tp_program *step;
};

/* (tanh (x w1) w2 - t)^2: gradients of about 1 */
static struct small small(double scale, int every, int accumulate)
{
    struct small s = { .g = tp_graph_new(3) };
    tp_tensor y;
    size_t bytes;

    s.x = tp_input(s.g, "x", TP_F32, tp_dims(4, 2));
    s.t = tp_input(s.g, "t", TP_F32, tp_dims(4, 1));
    y = tp_linear(tp_tanh(tp_linear(s.x, "a", 5)), "b", 1);
    s.step = tp_compile_train(tp_mse(y, s.t), .opt = tp_adam(), .lr = tp_cosine(0.01, 0, 40),
                              .precision = TP_F16, .loss_scale = scale, .scale_every = every,
                              .accumulate = accumulate, .threads = 1);
    cr_assert(s.step, "%s", tp_error(s.g));
    s.weight = tp_find(s.g, "a.weight");
    memcpy(tp_buffer(s.step, s.x, &bytes), points, sizeof points);
    memcpy(tp_buffer(s.step, s.t, &bytes), targets, sizeof targets);
    return s;
}

static double number(const struct small *s, const char *name)
{
    const tp_tensor state = tp_find(s->g, name);
    float real;
    int64_t whole;

    if (tp_dtype_of(state) == TP_F32 && tp_get_values(state, &real, sizeof real))
        return (double)real;
    cr_assert(tp_get_values(state, &whole, sizeof whole), "%s", name);
    return (double)whole;
}

static void weights(const struct small *s, float w[10])
{
    cr_assert(tp_get_values(s->weight, w, 10 * sizeof *w), "%s", tp_error(s->g));
}

Test(precision, an_update_that_is_not_finite_changes_the_scale_alone)
{
    struct small s = small(0x1p30, 0, 0);
    float before[10], after[10], moment[10];
    double scale = 0x1p30;
    int skipped = 0;

    weights(&s, before);
    for (int run = 0; run < 40; run++) {
        cr_assert(tp_run(s.step));
        weights(&s, after);
        if (memcmp(before, after, sizeof before) != 0)
            break;
        scale /= 2;
        cr_expect_eq(number(&s, "taper.loss_scale"), scale);
        cr_expect_eq(number(&s, "taper.skipped_updates"), ++skipped);
        cr_expect_eq(number(&s, "taper.good_updates"), 0);
        cr_assert(tp_get_values(tp_find(s.g, "a.weight.exp_avg"), moment, sizeof moment));
        for (int i = 0; i < 10; i++)
            cr_expect_eq(moment[i], 0);
    }
    cr_expect(skipped > 8 && skipped < 30, "%d updates were left out", skipped);
    cr_expect_eq(number(&s, "taper.good_updates"), 1);
    tp_graph_free(s.g);
}

/* A power of two changes no digit; what is left out is no step of adam's nor of the schedule's. */
Test(precision, the_scale_leaves_no_trace_in_the_parameters)
{
    struct small low = small(0x1p4, 0, 0), high = small(0x1p20, 0, 0);
    float a[10], b[10];

    while (number(&high, "taper.good_updates") < 20)
        cr_assert(tp_run(high.step));
    cr_expect(number(&high, "taper.skipped_updates") > 0, "nothing was left out");
    for (int run = 0; run < 20; run++)
        cr_assert(tp_run(low.step));
    cr_expect_eq(number(&low, "taper.skipped_updates"), 0);
    weights(&low, a);
    weights(&high, b);
    for (int i = 0; i < 10; i++)
        cr_expect(fabsf(a[i] - b[i]) <= 2e-4f, "weight %d: %.9g, %.9g", i, (double)a[i],
                  (double)b[i]);
    tp_graph_free(low.g);
    tp_graph_free(high.g);
}

Test(precision, the_scale_grows_after_so_many_good_updates)
{
    struct small s = small(8, 3, 0);

    for (int run = 1; run <= 9; run++) {
        cr_assert(tp_run(s.step));
        cr_expect_eq(number(&s, "taper.loss_scale"), 8 << run / 3, "after %d", run);
        cr_expect_eq(number(&s, "taper.good_updates"), run % 3);
    }
    tp_graph_free(s.g);
}

Test(precision, gathered_gradients_are_looked_at_when_they_are_whole)
{
    struct small s = small(8, 2, 3);
    float before[10], after[10];

    for (int run = 1; run <= 12; run++) {
        weights(&s, before);
        cr_assert(tp_run(s.step));
        weights(&s, after);
        cr_expect_eq(memcmp(before, after, sizeof before) != 0, run % 3 == 0, "run %d", run);
        cr_expect_eq(number(&s, "taper.loss_scale"), 8 << run / 6, "after %d", run);
    }
    tp_graph_free(s.g);
}

/* --- files ---------------------------------------------------------------------------------------
 */

Test(precision, weights_are_saved_in_f32)
{
    struct small s = small(1024, 0, 0);
    char path[300], text[4000] = "";
    FILE *file;
    float w[10], back[10];
    uint32_t bits[10], fine = 0;

    snprintf(path, sizeof path, "%s/precision-%d.safetensors",
             getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp", (int)getpid());
    for (int run = 0; run < 5; run++)
        cr_assert(tp_run(s.step));
    weights(&s, w);
    cr_assert(tp_save(s.g, path), "%s", tp_error(s.g));
    file = fopen(path, "rb");
    cr_assert(file && fseek(file, 8, SEEK_SET) == 0 && fread(text, 1, sizeof text - 1, file) > 100);
    fclose(file);
    cr_expect(strstr(text, "\"F32\"") && !strstr(text, "\"F16\""), "%s", text);
    cr_assert(tp_run(s.step));
    cr_assert(tp_load(s.g, path), "%s", tp_error(s.g));
    weights(&s, back);
    cr_expect_eq(memcmp(w, back, sizeof w), 0, "other bits came back");
    memcpy(bits, w, sizeof bits);
    for (int i = 0; i < 10; i++)
        fine |= bits[i] & 0x1fff; /* what f16 has no room for */
    cr_expect(fine, "they are rounded");
    unlink(path);
    tp_graph_free(s.g);
}

/*
 * Programs on a device, through the public interface: the CPU as a GPU gets the CPU's bits, states
 * go back and forth, and every call of the driver may fail.
 */
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "frontend/taper.h"
#include "support.h"

enum { ROWS = 70, BATCH = 16, WIDTH = 12, CLASSES = 5 };

struct model {
    tp_graph *g;
    tp_tensor x, y, loss, hits;
};

static struct model model_new(void)
{
    struct model m = { .g = tp_graph_new(7) };
    const int64_t batch = tp_symbol(m.g, "batch", 1, BATCH);

    m.x = tp_input(m.g, "x", TP_F32, tp_dims(batch, WIDTH));
    m.y = tp_input(m.g, "y", TP_I32, tp_dims(batch));
    tp_tensor h = tp_relu(tp_linear(m.x, "fc1", 24));
    h = tp_layer_norm(h, "norm");
    h = tp_linear(tp_dropout(h, 0.1), "fc2", CLASSES);
    m.loss = tp_cross_entropy(h, m.y);
    m.hits = tp_sum(tp_cast(tp_eq(tp_argmax(h, 1), m.y), TP_F32));
    return m;
}

static tp_loader *rows(void)
{
    static float x[ROWS][WIDTH];
    static int32_t y[ROWS];

    for (int i = 0; i < ROWS; i++) {
        y[i] = i % CLASSES;
        for (int j = 0; j < WIDTH; j++)
            x[i][j] = sinf((float)(i * 7 + j * 3)) + (j % CLASSES == y[i]);
    }
    const tp_column column[] = { { "x", TP_F32, tp_dims(WIDTH), x }, { "y", TP_I32, { 0 }, y } };
    return tp_loader_from((tp_columns){ 2, column },
                          (tp_loader_args){ .count = ROWS, .batch = BATCH, .shuffle = true });
}

/* Three epochs, the last batch a small one; the losses, and the parameters behind them. */
static void train(const char *device, const char *eval_device, float *losses, float *weights)
{
    struct model m = model_new();
    tp_loader *data = rows();
    tp_program *step = tp_compile_train(m.loss, .opt = tp_adamw(), .lr = tp_const(1e-2),
                                        .clip_norm = 1.0, .device = device);
    tp_program *eval = tp_compile_at(
        m.g, tp_list(m.loss, m.hits),
        (tp_compile_args){ .mode = TP_EVAL, .names = "loss, hits", .device = eval_device },
        TP_HERE);

    cr_assert(step && eval && data, "%s: %s", device ? device : "cpu", tp_error(m.g));
    for (int epoch = 0; epoch < 3; epoch++) {
        while (tp_next(data, step) && tp_run(step))
            *losses++ = (float)tp_get(step, m.loss);
        while (tp_next(data, eval) && tp_run(eval)) {
            *losses++ = (float)tp_get(eval, m.loss);
            *losses++ = (float)tp_get(eval, m.hits);
        }
    }
    cr_assert(!tp_error(m.g), "%s", tp_error(m.g));
    tp_tensor w = tp_find(m.g, "fc1.weight");
    tp_program *look =
        tp_compile(m.g, tp_list(w), TP_EVAL); /* on the CPU, wherever the others are */
    cr_assert(tp_run(look) && tp_read(look, w, weights, 24 * WIDTH * sizeof(float)), "%s",
              tp_error(m.g));
    tp_loader_free(data);
    tp_graph_free(m.g);
}

enum { LOSSES = 3 * 5 * 3, WEIGHTS = 24 * WIDTH };

Test(device, trains_to_the_bits_of_the_cpu)
{
    static const char *const how[][2] = { { "cuda-emu", "cuda-emu" },
                                          { "cuda-emu:7", NULL },
                                          { "cuda-emu:5", "cuda-emu:5" },
                                          { NULL, "cuda-emu:6" } };
    float want[LOSSES] = { 0 }, got[LOSSES] = { 0 }, weights[WEIGHTS], there[WEIGHTS];

    train(NULL, "cpu", want, weights);
    cr_assert(want[0] > want[LOSSES - 2] && want[LOSSES - 2] > 0);
    for (size_t i = 0; i < sizeof how / sizeof *how; i++) {
        train(how[i][0], how[i][1], got, there);
        cr_expect(memcmp(want, got, sizeof got) == 0, "%zu: losses", i);
        cr_expect(memcmp(weights, there, sizeof there) == 0, "%zu: weights", i);
    }
}

Test(device, what_is_no_device_is_refused)
{
    static const struct {
        const char *name, *words;
        int status;
    } bad[] = { { "gpu", "expected cpu, cuda or cuda-emu", 2 },
                { "cuda-emu:", "expected cpu, cuda or cuda-emu", 2 },
                { "cuda-emu:8", "there are 8; the first is 0", 2 },
                { "cuda-emu:-1", "expected cpu", 2 },
                { "cuda-emu:99999999999", "expected cpu", 2 },
                { "cuda", "looked for NVIDIA's driver, /nowhere/libcuda.so.1", 3 } };

    setenv("TAPER_LIBCUDA", "/nowhere/libcuda.so.1", 1);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct model m = model_new();
        cr_expect(!tp_compile_train(m.loss, .lr = tp_const(1e-2), .device = bad[i].name));
        cr_expect(tp_error(m.g) && strstr(tp_error(m.g), bad[i].words), "%s: %s", bad[i].name,
                  tp_error(m.g));
        cr_expect(tp_status(m.g) == bad[i].status);
        tp_graph_free(m.g);
    }
    struct model m = model_new();
    cr_expect(tp_compile_train(m.loss, .lr = tp_const(1e-2), .device = "cuda-emu"));
    cr_expect(!tp_compile_train(m.loss, .lr = tp_const(1e-2), .device = "cuda-emu:2"));
    cr_expect(strstr(tp_error(m.g), "the graph's states are on cuda-emu already"));
    tp_graph_free(m.g);
}

Test(device, what_does_not_fit_is_said)
{
    tp_graph *g = tp_graph_new(1);
    tp_tensor x = tp_input(g, "x", TP_F32, tp_dims(1 << 15, 1 << 12));
    tp_tensor y = tp_sum(tp_exp(tp_flip(tp_cumsum(tp_exp(x), 1), 0)));

    y = tp_add(y, tp_sum(tp_matmul(tp_transpose(x, 0, 1), tp_flip(tp_cumsum(x, 0), 0))));
    cr_expect(!tp_compile(
        g,
        tp_list(y, tp_flip(tp_cumsum(tp_cumsum(x, 1), 0), 1), tp_flip(tp_cumsum(tp_exp(x), 0), 1),
                tp_flip(tp_cumsum(tp_sin(x), 0), 1), tp_flip(tp_cumsum(tp_cos(x), 0), 1),
                tp_flip(tp_cumsum(tp_tanh(x), 0), 1)),
        TP_EVAL, .device = "cuda-emu"));
    cr_expect(tp_error(g) && strstr(tp_error(g), "not enough memory") &&
                  strstr(tp_error(g), "MiB are free"),
              "%s", tp_error(g));
    tp_graph_free(g);
}

/* Call after call of the driver is told to fail: each time one line, and nothing is left behind. */
Test(device, each_call_of_the_driver_may_fail)
{
    int failed = 0, past = 0;

    for (int n = 1; past == 0 && n < 2000; n += n < 40 ? 1 : 7) {
        struct model m = model_new();
        tp_loader *data = rows();
        char number[20];
        snprintf(number, sizeof number, "%d", n);
        setenv("TAPER_CUDA_EMU_FAIL", number, 1);
        tp_program *step = tp_compile_train(m.loss, .lr = tp_const(1e-2), .device = "cuda-emu:1");
        bool fine = step != NULL;
        for (int i = 0; fine && i < 2; i++)
            fine = tp_next(data, step) && tp_run(step) && !isnan(tp_get(step, m.loss));
        past = fine;
        failed += !fine;
        cr_expect(fine || (tp_error(m.g) && strstr(tp_error(m.g), "it was told to fail")), "%d: %s",
                  n, tp_error(m.g));
        tp_loader_free(data);
        tp_graph_free(m.g);
    }
    cr_expect(failed > 20 && past, "%d calls failed", failed);
}

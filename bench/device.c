/*
 * device: kernels on a GPU, timed: fused maps, rows, products, the update of parameters.
 *
 *     device [DEVICE] [--small]
 *
 * DEVICE is cuda, cuda:1, cuda-emu; cuda. Operands are states, so nothing is copied to and fro; a
 * time is the middle of rounds of many runs, each round waited for once. Bytes are those that must
 * move at least, flops those of the products. --small is for the emulator, to see that it runs.
 */
#define _GNU_SOURCE
#include "bench/common/measure.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <taper.h>

enum { ROUNDS = 7 };

struct work {
    const char *name;
    double bytes, flops; /* of a run */
    bool tf32;
    tp_graph *g;
    tp_tensor tick;
    tp_program *step;
};

static tp_tensor operand(tp_graph *g, const char *name, int64_t rows, int64_t columns)
{
    return tp_param(g, name, tp_dims(rows, columns), TP_UNIFORM(-1, 1));
}

static void begin(struct work *w)
{
    w->g = tp_graph_new(1);
    w->tick = tp_param(w->g, "tick", tp_dims(1), TP_UNIFORM(0, 1));
}

/* The program that computes `result` and keeps it on the device. */
static void finish(struct work *w, tp_tensor result, int64_t rows, int64_t columns,
                   const char *device)
{
    tp_tensor kept = tp_state(w->g, "kept", TP_F32, tp_dims(rows, columns));

    tp_assign(kept, result);
    w->tick = tp_sum(w->tick);
    w->step = tp_compile_at(
        w->g, tp_list(w->tick),
        (tp_compile_args){ .mode = TP_TRAIN, .device = device, .tf32 = w->tf32 }, TP_HERE);
}

static void map_work(struct work *w, int64_t n, const char *device)
{
    begin(w);
    tp_tensor a = operand(w->g, "a", n, 1024), b = operand(w->g, "b", n, 1024);
    w->bytes = 12.0 * 1024 * (double)n;
    finish(w, tp_add(tp_relu(tp_mul(a, b)), tp_mul(a, 0.5)), n, 1024, device);
}

static void gelu_work(struct work *w, int64_t n, const char *device)
{
    begin(w);
    w->bytes = 8.0 * 1024 * (double)n;
    finish(w, tp_gelu(operand(w->g, "a", n, 1024)), n, 1024, device);
}

static void softmax_work(struct work *w, int64_t n, const char *device)
{
    begin(w);
    w->bytes = 8.0 * 1024 * (double)n;
    finish(w, tp_softmax(operand(w->g, "a", n, 1024), 1), n, 1024, device);
}

static void norm_work(struct work *w, int64_t n, const char *device)
{
    begin(w);
    w->bytes = 8.0 * 1024 * (double)n;
    finish(w, tp_layer_norm(operand(w->g, "a", n, 1024), "ln"), n, 1024, device);
}

static void product_work(struct work *w, int64_t n, const char *device)
{
    begin(w);
    tp_tensor a = operand(w->g, "a", n, n), b = operand(w->g, "b", n, n);
    w->flops = 2.0 * (double)n * (double)n * (double)n;
    finish(w, tp_matmul(a, b), n, n, device);
}

static void tf32_work(struct work *w, int64_t n, const char *device)
{
    w->tf32 = true;
    product_work(w, n, device);
}

/* Numbers of -2 to -1 and 1 to 2, in bf16. */
static bool fill_halves(tp_tensor state, int64_t elements)
{
    uint16_t *at = malloc((size_t)elements * sizeof *at);
    uint32_t random = 1;

    for (int64_t i = 0; at && i < elements; i++) {
        random = random * 1664525u + 1013904223u;
        at[i] = (uint16_t)(0x3f80u | (random >> 16 & 0x807fu));
    }
    const bool done = at && tp_set_values(state, at, (size_t)elements * sizeof *at);
    free(at);
    return done;
}

/* by tensor cores */
static void halves_work(struct work *w, int64_t n, const char *device)
{
    begin(w);
    tp_tensor a = tp_state(w->g, "a", TP_BF16, tp_dims(n, n)),
              b = tp_state(w->g, "b", TP_BF16, tp_dims(n, n));
    w->flops = 2.0 * (double)n * (double)n * (double)n;
    if (fill_halves(a, n * n) && fill_halves(b, n * n))
        finish(w, tp_cast(tp_matmul(a, b), TP_F32), n, n, device);
}

static void layer_work(struct work *w, int64_t n, const char *device)
{
    begin(w);
    w->flops = 2.0 * (double)n * (double)n * (double)n;
    finish(w, tp_gelu(tp_linear(operand(w->g, "a", n, n), "fc", n)), n, n, device);
}

static void update_work(struct work *w, int64_t n, const char *device)
{
    w->g = tp_graph_new(1);
    w->bytes = 28.0 * 1024 * (double)n; /* the parameter, two moments, read and written; one more */
    tp_tensor loss = tp_sum(tp_mul(operand(w->g, "a", n, 1024), operand(w->g, "b", n, 1024)));
    w->tick = loss;
    w->step = tp_compile_train(loss, .opt = tp_adamw(), .lr = tp_const(1e-3), .device = device);
}

/* Seconds a run. */
static double measure(struct work *w, int runs)
{
    double round[ROUNDS];

    for (int r = -1; r < ROUNDS; r++) {
        const double start = bench_now();
        for (int i = 0; i < runs; i++)
            if (!tp_run(w->step))
                return -1;
        tp_get(w->step, w->tick); /* waits */
        if (r >= 0)
            round[r] = (bench_now() - start) / runs;
    }
    return bench_quantile(round, ROUNDS, 0.5);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*make)(struct work *, int64_t, const char *);
        int64_t size, small;
    } kind[] = { { "relu(a b) + a / 2", map_work, 1 << 16, 16 },
                 { "gelu", gelu_work, 1 << 16, 16 },
                 { "softmax, rows of 1024", softmax_work, 1 << 16, 16 },
                 { "layer norm, rows of 1024", norm_work, 1 << 16, 16 },
                 { "product 1024", product_work, 1024, 64 },
                 { "product 4096", product_work, 4096, 96 },
                 { "product 4096, TF32", tf32_work, 4096, 64 },
                 { "product 4096, bf16", halves_work, 4096, 64 },
                 { "gelu(x w + b) 4096", layer_work, 4096, 64 },
                 { "AdamW", update_work, 1 << 15, 16 } };
    const char *device = "cuda";
    bool small = false;

    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], "--small") == 0)
            small = true;
        else
            device = argv[i];
    for (size_t i = 0; i < sizeof kind / sizeof *kind; i++) {
        struct work w = { .name = kind[i].name };
        const double start = bench_now();
        kind[i].make(&w, small ? kind[i].small : kind[i].size, device);
        const double compiled = bench_now() - start,
                     seconds = w.step ? measure(&w, small ? 1 : 20) : -1;
        if (seconds < 0) {
            const int status = tp_status(w.g);
            printf("%s: %s\n", w.name, tp_error(w.g));
            tp_graph_free(w.g);
            return status == 3 ? 0 : 1; /* nothing to run on is no fault of ours */
        }
        printf("%-28s %10.1f us  %8.1f GB/s  %8.2f TFLOP/s   made in %.2f s\n", w.name,
               seconds * 1e6, w.bytes / seconds * 1e-9, w.flops / seconds * 1e-12, compiled);
        fflush(stdout);
        tp_graph_free(w.g);
    }
    return 0;
}

/*
 * memory: what less memory costs in time: a step with its whole arena, and with shares of it.
 *
 *     build/bench/memory [--steps N]
 *
 * lenet is the built-in model; deep is 24 layers of 256 with tanh. All shares of a model take
 * turns, so that a busy machine slows them alike; the step is the median. Every share must give the
 * losses of the whole, bit for bit: otherwise this program fails.
 */
#define _GNU_SOURCE
#include "bench/common/measure.h"
#include "frontend/models.h"
#include "frontend/taper.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { SHARES = 7, MOST = 2000, ROWS = 64, WIDTH = 256, LAYERS = 24 };
static const int shares[SHARES] = { 100, 91, 75, 50, 40, 25, 10 };

struct net {
    tp_graph *g;
    tp_tensor x, y, loss;
};

static struct net lenet(void)
{
    struct net n = { .g = tp_graph_new(1) };
    const int64_t batch = tp_symbol(n.g, "batch", 1, ROWS);

    n.x = tp_input(n.g, "x", TP_U8, tp_dims(batch, 1, 28, 28));
    n.y = tp_input(n.g, "y", TP_I32, tp_dims(batch));
    n.loss = tp_model_find("lenet")->build(n.x, n.y, &(struct model_sizes){ .classes = 10 }).loss;
    return n;
}

static struct net deep(void)
{
    struct net n = { .g = tp_graph_new(1) };
    const int64_t batch = tp_symbol(n.g, "batch", 1, 4 * ROWS);
    tp_tensor h = n.x = tp_input(n.g, "x", TP_F32, tp_dims(batch, WIDTH));

    n.y = tp_input(n.g, "y", TP_F32, tp_dims(batch, WIDTH));
    for (int i = 0; i < LAYERS; i++)
        tp_scope(n.g, "h.%d", i)
            h = tp_tanh(tp_linear(h, "fc", WIDTH));
    n.loss = tp_mean(tp_square(tp_sub(h, n.y)));
    return n;
}

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

struct run { /* of a share */
    struct net net;
    tp_program *step;
    double plan, loss, took[MOST];
    char why[400];
};

static void fill(const struct run *r)
{
    size_t bytes;
    unsigned char *x = tp_buffer(r->step, r->net.x, &bytes), *y;
    const bool pictures = tp_dtype_of(r->net.x) == TP_U8;

    for (size_t i = 0; i < bytes / (pictures ? 1 : sizeof(float)); i++)
        if (pictures)
            x[i] = (unsigned char)(i * 131 % 251);
        else
            ((float *)(void *)x)[i] = (float)(i * 131 % 251) / 125 - 1;
    y = tp_buffer(r->step, r->net.y, &bytes);
    for (size_t i = 0; i < bytes / 4; i++)
        if (pictures)
            ((int *)(void *)y)[i] = (int)(i % 10);
        else
            ((float *)(void *)y)[i] = (float)(i * 37 % 101) / 101;
}

static void make(struct run *r, struct net (*model)(void), int64_t memory)
{
    const double since = now();

    r->net = model();
    r->step = tp_compile_train(r->net.loss, .opt = tp_sgd(.momentum = 0.9), .lr = tp_const(1e-3),
                               .memory = memory, .plan_only = true);
    r->plan = now() - since;
    if (r->step)
        r->step = tp_compile_train(r->net.loss, .opt = tp_sgd(.momentum = 0.9),
                                   .lr = tp_const(1e-3), .memory = memory);
    if (r->step)
        fill(r);
    else
        snprintf(r->why, sizeof r->why, "%s", tp_error(r->net.g));
}

static int compare(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;

    return x < y ? -1 : x > y;
}

static bool one_model(const char *name, struct net (*model)(void), int steps)
{
    struct run *run = calloc(SHARES, sizeof *run);
    int64_t whole = 0;
    bool fine = run != NULL;

    for (int i = 0; i < SHARES && fine; i++) {
        make(&run[i], model, whole * shares[i] / 100);
        fine = i > 0 || run[i].step;
        whole = i || !fine ? whole : (int64_t)tp_program_bytes(run[i].step);
    }
    for (int step = 0; step < steps; step++)
        for (int i = 0; i < SHARES && fine; i++) {
            const double since = now();
            if (!run[i].step)
                continue;
            fine = tp_run(run[i].step);
            run[i].took[step] = now() - since;
            run[i].loss = tp_get(run[i].step, run[i].net.loss);
            fine = fine && run[i].loss == run[0].loss;
        }
    if (!fine)
        fprintf(stderr, "memory: %s: a share does not give the losses of the whole\n", name);
    printf("%-8s %7s %12s %10s %10s %7s\n", name, "share", "bytes", "plan ms", "step ms", "time");
    for (int i = 0; i < SHARES && fine; i++) {
        printf("%-8s %5d %%", "", shares[i]);
        if (!run[i].step) {
            printf("  refused: %s\n", run[i].why);
            continue;
        }
        qsort(run[i].took, (size_t)steps, sizeof(double), compare);
        printf(" %12zu %10.1f %10.3f %7.2f\n", tp_program_bytes(run[i].step), 1e3 * run[i].plan,
               1e3 * run[i].took[steps / 2], run[i].took[steps / 2] / run[0].took[steps / 2]);
    }
    for (int i = 0; i < SHARES && run; i++)
        tp_graph_free(run[i].net.g);
    free(run);
    return fine;
}

int main(int argc, char **argv)
{
    const int wanted = argc > 2 && strcmp(argv[1], "--steps") == 0 ? atoi(argv[2]) : 200;
    const int steps = wanted < 1 ? 1 : wanted > MOST ? MOST : wanted;
    const bool good = one_model("lenet", lenet, steps);

    return good && one_model("deep", deep, steps) ? EXIT_SUCCESS : EXIT_FAILURE;
}

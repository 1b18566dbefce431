/*
 * growth: how the time of a training step grows with width, depth, batch and sequence, in steps so
 * fine that a cliff between two sizes shows: one more neuron must not cost half as much again.
 *
 *     growth [--rounds N] [--cpu] [CURVE...]
 *
 * Prints a line a size: the curve, the size, the best seconds of a step, and the multiply-adds that
 * the mathematics of its matrices needs; then a line a cliff. It is one where of two neighbours the
 * larger takes more than 1.5 times as long for each multiply-add, or the smaller more than 1.5
 * times as long in all. All sizes of a curve take turns, and what looks like a cliff is measured
 * again, so that only what stays is told. --cpu is for a busy machine: one thread, and the
 * processor's time that it got. bench/growth.py draws it.
 */
#define _GNU_SOURCE
#include "bench/common/measure.h"
#include "frontend/taper.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { MOST = 200, ROUNDS = 50, AGAIN = 12 };
static const double cliff = 1.5, block = 4e-3, patience = 0.1;

struct net {
    tp_graph *g;
    tp_tensor x, y, loss;
    double work; /* multiply-adds of products and convolutions, forward and backward */
};

/* --- models, each of one size --------------------------------------------------------------------
 */

static void pictures(struct net *n, int64_t batch, int64_t channels, int64_t side)
{
    n->x = tp_input(n->g, "x", TP_F32, tp_dims(batch, channels, side, side));
    n->y = tp_input(n->g, "y", TP_I32, tp_dims(batch));
}

static void rows(struct net *n, int64_t batch, int64_t width)
{
    n->x = tp_input(n->g, "x", TP_F32, tp_dims(batch, width));
    n->y = tp_input(n->g, "y", TP_I32, tp_dims(batch));
}

/* A layer's products: forward, by the weights and, but for the first layer, by its input. */
static tp_tensor dense(struct net *n, tp_tensor x, const char *name, int64_t out)
{
    const int64_t in = tp_dim(x, -1);

    n->work += (x.id == n->x.id ? 2.0 : 3.0) * (double)(tp_dim(x, 0) * in * out);
    return tp_linear(x, name, out);
}

static tp_tensor conv(struct net *n, tp_tensor x, const char *name, int64_t out, int64_t taps)
{
    const double each = (double)(tp_dim(x, 0) * tp_dim(x, 1) * out * taps * taps);
    const bool first = x.id == n->x.id;

    x = tp_conv2d(x, name, out, taps, .pad = taps / 2);
    n->work += (first ? 2.0 : 3.0) * each * (double)(tp_dim(x, 2) * tp_dim(x, 3));
    return tp_relu(x);
}

static void width_dense(struct net *n, int64_t width)
{
    tp_tensor h;

    rows(n, 64, width);
    h = tp_relu(dense(n, n->x, "fc1", width));
    h = tp_relu(dense(n, h, "fc2", width));
    n->loss = tp_cross_entropy(dense(n, h, "fc3", 10), n->y);
}

static void width_conv(struct net *n, int64_t channels)
{
    tp_tensor h;

    pictures(n, 16, 3, 16);
    h = conv(n, n->x, "conv1", channels, 3);
    h = conv(n, h, "conv2", channels, 3);
    h = tp_mean(tp_flatten(h, 2), -1);
    n->loss = tp_cross_entropy(dense(n, h, "fc", 10), n->y);
}

static void depth_dense(struct net *n, int64_t layers)
{
    tp_tensor h;

    rows(n, 64, 128);
    h = n->x;
    for (int64_t i = 0; i < layers; i++)
        tp_scope(n->g, "h.%d", (int)i)
            h = tp_relu(dense(n, h, "fc", 128));
    n->loss = tp_cross_entropy(dense(n, h, "head", 10), n->y);
}

static void batch_dense(struct net *n, int64_t batch)
{
    rows(n, batch, 784);
    n->loss = tp_cross_entropy(dense(n, tp_relu(dense(n, n->x, "fc1", 128)), "fc2", 10), n->y);
}

static void batch_conv(struct net *n, int64_t batch)
{
    tp_tensor h;

    pictures(n, batch, 1, 28);
    h = tp_max_pool2d(conv(n, n->x, "conv1", 6, 5), 2);
    h = tp_max_pool2d(conv(n, h, "conv2", 16, 5), 2);
    h = tp_relu(dense(n, tp_flatten(h, 1), "fc1", 120));
    n->loss = tp_cross_entropy(dense(n, h, "fc2", 10), n->y);
}

static void tokens(struct net *n, int64_t batch, int64_t length)
{
    n->x = tp_input(n->g, "x", TP_I32, tp_dims(batch, length));
    n->y = tp_input(n->g, "y", TP_I32, tp_dims(batch, length));
}

/* Two layers of four heads over 128 channels; half of the scores are masked, and not counted. */
static void sequence_attention(struct net *n, int64_t length)
{
    enum { BATCH = 4, WIDE = 128, HEADS = 4, VOCABULARY = 64 };
    tp_tensor h, qkv;

    tokens(n, BATCH, length);
    h = tp_add(
        tp_embedding(tp_param(n->g, "token", tp_dims(VOCABULARY, WIDE), TP_NORMAL(0.02)), n->x),
        tp_param(n->g, "place", tp_dims(length, WIDE), TP_NORMAL(0.02)));
    h = tp_reshape(h, BATCH * length, WIDE);
    for (int i = 0; i < 2; i++)
        tp_scope(n->g, "h.%d", i) {
            qkv = dense(n, tp_layer_norm(h, "norm1"), "qkv", 3 * WIDE);
            qkv = tp_permute(tp_reshape(qkv, BATCH, length, 3, HEADS, WIDE / HEADS), 2, 0, 3, 1, 4);
            qkv =
                tp_attention(tp_index(qkv, 0), tp_index(qkv, 1), tp_index(qkv, 2), .causal = true);
            n->work += 3.0 * BATCH * WIDE * (double)(length * length);
            qkv = tp_reshape(tp_permute(qkv, 0, 2, 1, 3), BATCH * length, WIDE);
            h = tp_add(h, dense(n, qkv, "project", WIDE));
            h = tp_add(h, dense(n, tp_gelu(dense(n, tp_layer_norm(h, "norm2"), "up", 4 * WIDE)),
                                "down", WIDE));
        }
    n->loss = tp_cross_entropy(dense(n, h, "head", VOCABULARY), tp_reshape(n->y, -1));
}

static void sequence_lstm(struct net *n, int64_t length)
{
    enum { BATCH = 32, WIDE = 64, HIDDEN = 128, VOCABULARY = 64 };
    tp_tensor h;

    tokens(n, BATCH, length);
    h = tp_embedding(tp_param(n->g, "token", tp_dims(VOCABULARY, WIDE), TP_NORMAL(0.02)), n->x);
    h = tp_lstm(h, "lstm", HIDDEN, .batch_first = true).y;
    n->work += 3.0 * BATCH * 4 * HIDDEN * (WIDE + HIDDEN) * (double)length;
    h = dense(n, tp_reshape(h, BATCH * length, HIDDEN), "head", VOCABULARY);
    n->loss = tp_cross_entropy(h, tp_reshape(n->y, -1));
}

/* Every size up to `all`; then neighbours of multiples of 16, from `wide` on of multiples of 64. */
static const struct curve {
    const char *name;
    void (*build)(struct net *, int64_t size);
    int first, all, wide, last;
} curves[] = {
    { "width dense", width_dense, 16, 18, 256, 1100 },
    { "width conv", width_conv, 1, 34, 128, 130 },
    { "depth dense", depth_dense, 1, 32, 32, 32 },
    { "batch dense", batch_dense, 1, 34, 96, 300 },
    { "batch conv", batch_conv, 1, 18, 64, 300 },
    { "sequence attention", sequence_attention, 1, 18, 64, 300 },
    { "sequence lstm", sequence_lstm, 1, 18, 64, 300 },
};
enum { CURVES = sizeof curves / sizeof *curves };

static int sizes_of(const struct curve *c, int *size)
{
    int count = 0;

    for (int n = c->first; n <= c->last && count < MOST; n++) {
        const int every = n <= c->wide + 1 ? 16 : 64, off = n % every;
        if (n <= c->all || off <= 1 || off == every - 1 || n == c->last)
            size[count++] = n;
    }
    return count;
}

/* --- measuring -----------------------------------------------------------------------------------
 */

struct point {
    int size;
    struct net net;
    tp_program *step;
    double took;
};

static bool fill(const struct net *n, tp_program *step)
{
    size_t bytes;
    void *at = tp_buffer(step, n->x, &bytes);
    const bool whole = tp_dtype_of(n->x) == TP_I32;
    int32_t *y;

    for (size_t i = 0; at && i < bytes / 4; i++)
        if (whole)
            ((int32_t *)at)[i] = (int32_t)(i * 31 % 10);
        else
            ((float *)at)[i] = (float)(i * 131 % 251) / 125 - 1;
    y = tp_buffer(step, n->y, &bytes);
    for (size_t i = 0; y && i < bytes / 4; i++)
        y[i] = (int32_t)(i * 7 % 10);
    return at && y;
}

static bool make(struct point *p, const struct curve *c, int threads)
{
    struct net *n = &p->net;

    n->g = tp_graph_new(1);
    c->build(n, p->size);
    p->step = tp_compile_train(n->loss, .opt = tp_sgd(), .lr = tp_const(1e-4), .threads = threads);
    p->took = 1e9;
    if (p->step && fill(n, p->step) && tp_run(p->step))
        return true;
    fprintf(stderr, "growth: %s %d: %s\n", c->name, p->size, tp_error(n->g));
    return false;
}

/* The wall's time; on a busy machine what this process got of a processor. */
static double now(bool cpu)
{
    struct timespec t;

    clock_gettime(cpu ? CLOCK_PROCESS_CPUTIME_ID : CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Blocks of some milliseconds, until the best of them was not bettered twice or time is out. */
static void visit(struct point *p, bool cpu)
{
    const double begun = now(cpu);

    for (int calm = 0; calm < 3 && now(cpu) - begun < patience; calm++) {
        const double from = now(cpu);
        double took;
        int steps = 0;

        do
            tp_run(p->step);
        while (++steps < 1000000 && now(cpu) - from < block);
        took = (now(cpu) - from) / steps;
        calm = took < 0.98 * p->took ? 0 : calm;
        p->took = took < p->took ? took : p->took;
    }
}

/* How many times slower than its other neighbour the worse one is; below 1: as it should be. */
static double drop(const struct point *a, const struct point *b)
{
    const double larger = b->took / b->net.work / (a->took / a->net.work),
                 smaller = a->took / b->took;

    return larger > smaller ? larger : smaller;
}

static bool measure(const struct curve *c, int rounds, int threads, bool cpu)
{
    static struct point point[MOST];
    int size[MOST], count = sizes_of(c, size);
    bool fine = true;

    memset(point, 0, sizeof point);
    for (int i = 0; i < count && fine; i++) {
        point[i].size = size[i];
        fine = make(&point[i], c, threads);
    }
    for (int round = 0; round < rounds && fine; round++)
        for (int i = 0; i < count; i++)
            visit(&point[round % 2 ? count - 1 - i : i], cpu);
    for (int i = 1; i < count && fine; i++)
        for (int k = 0; k < AGAIN && drop(&point[i - 1], &point[i]) > cliff; k++) {
            visit(&point[i], cpu);
            visit(&point[i - 1], cpu);
        }
    for (int i = 0; i < count && fine; i++)
        printf("%s: %d %.9g %.9g\n", c->name, point[i].size, point[i].took, point[i].net.work);
    for (int i = 1; i < count && fine; i++)
        if (drop(&point[i - 1], &point[i]) > cliff)
            printf("%s: cliff %d %d %.3f\n", c->name, point[i - 1].size, point[i].size,
                   drop(&point[i - 1], &point[i]));
    fflush(stdout);
    for (int i = 0; i < count; i++)
        tp_graph_free(point[i].net.g);
    return fine;
}

/* Multiply-adds a second at best, as times are the best: bursts that nobody interrupts. */
static void put_peak(int threads)
{
    double most = 0;

    for (int i = 0; i < 20; i++) {
        const double now = bench_fma(threads, 5e-3) * 1e9 / 2;
        most = now > most ? now : most;
    }
    printf("peak: %d %.9g\n", threads, most);
    fflush(stdout);
}

static bool wanted(const char *name, int argc, char **argv)
{
    bool any = false;

    for (int i = 1; i < argc; i++) {
        if (argv[i][0] == '-') {
            i += strcmp(argv[i], "--rounds") == 0;
            continue;
        }
        any = true;
        if (strncmp(name, argv[i], strlen(argv[i])) == 0)
            return true;
    }
    return !any;
}

int main(int argc, char **argv)
{
    int threads = bench_threads(), measured = 0;
    long rounds = 3;
    bool cpu = false;

    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], "--rounds") == 0 && i + 1 < argc)
            rounds = strtol(argv[++i], NULL, 10);
        else if (strcmp(argv[i], "--cpu") == 0)
            cpu = true, threads = 1;
    if (rounds < 1 || rounds > ROUNDS) {
        fprintf(stderr, "growth: expected 1 to %d rounds\n", ROUNDS);
        return 2;
    }
    for (int i = 0; i < CURVES; i++)
        if (wanted(curves[i].name, argc, argv)) {
            if (!measured++)
                put_peak(threads);
            if (!measure(&curves[i], (int)rounds, threads, cpu))
                return 1;
            put_peak(threads);
        }
    if (!measured)
        fprintf(stderr, "growth: no such curve; expected the beginning of one, as \"width\"\n");
    return measured ? 0 : 2;
}

/*
 * kernels: convolutions against the multiply-adds that the machine gives at the same moment, and
 * what memory bounds against a plain loop that reads and writes as many arrays.
 *
 *     kernels [--rounds N] [--threads N] [--json] [--convolutions | --memory] [WORDS]
 *
 * WORDS: rows whose name holds them. Each convolution is a small network, so that its three kernels
 * (forward, gradient by what it reads, gradient by the weights) find their arrays as a model's do;
 * each is timed by itself. Rates count the taps outside of the image, as PyTorch does, so that a
 * kernel that skips them may pass the peak. A round goes over all rows, with the machine measured
 * before and after each.
 */
#define _GNU_SOURCE
#include "bench/common/measure.h"
#include "frontend/frontend.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROUNDS = 101, CALLS = 400, FOUND = 8, ROWS_MOST = 128 };

struct row {
    char name[64];
    const char *about; /* conv, conv_input, conv_weight; NULL: memory bounds it */
    tp_graph *g;
    tp_program *run;
    int kernel[FOUND], kernels; /* that are timed, one after the other */
    double flops, bytes;
    struct bench_mix mix;
    tp_tensor in[2]; /* that are filled */
    double share[ROUNDS], rate[ROUNDS];
};

/* --- convolutions --------------------------------------------------------------------------------
 */

struct convolution {
    int64_t n, ci, side, co, kernel, stride, pad, dilation, groups;
};
static const struct convolution convolutions[] = {
    { 8, 64, 56, 64, 3, 1, 1, 1, 1 },    { 64, 16, 32, 16, 3, 1, 1, 1, 1 },
    { 64, 32, 16, 32, 3, 1, 1, 1, 1 },   { 64, 64, 8, 64, 3, 1, 1, 1, 1 },
    { 64, 3, 32, 16, 3, 1, 1, 1, 1 },    { 64, 16, 32, 32, 3, 2, 1, 1, 1 },
    { 64, 16, 32, 32, 1, 2, 0, 1, 1 },   { 64, 1, 28, 6, 5, 1, 2, 1, 1 },
    { 64, 6, 14, 16, 5, 1, 0, 1, 1 },    { 8, 256, 14, 256, 3, 1, 1, 1, 1 },
    { 8, 512, 7, 512, 3, 1, 1, 1, 1 },   { 16, 64, 56, 64, 3, 1, 1, 1, 1 },
    { 16, 256, 14, 256, 3, 1, 1, 1, 1 }, /* and what nobody listed */
    { 12, 33, 29, 47, 3, 1, 1, 1, 1 },   { 32, 48, 28, 96, 3, 1, 2, 2, 1 },
    { 20, 64, 28, 64, 3, 1, 1, 1, 4 },   { 5, 40, 40, 24, 5, 1, 2, 1, 1 },
    { 1, 64, 56, 128, 3, 2, 1, 1, 1 },
};

static double nominal(const struct convolution *c, int64_t out)
{
    return 2.0 * (double)(c->n * c->co * out * out * (c->ci / c->groups) * c->kernel * c->kernel);
}

/* tanh on both sides: the convolution stands between values that other kernels store */
static struct row convolution(const struct convolution *c, const char *about, tp_graph *g)
{
    tp_tensor x = tp_input(g, "x", TP_F32, tp_dims(c->n, c->ci, c->side, c->side));
    tp_tensor stem = tp_param(g, "stem", tp_dims(c->ci, 1, 1), TP_UNIFORM(-1, 1));
    tp_tensor y = tp_barrier(tp_tanh(tp_mul(x, stem)));
    const int64_t span = c->dilation * (c->kernel - 1) + 1;
    const int64_t out = (c->side + 2 * c->pad - span) / c->stride + 1;

    y = tp_conv2d(y, "conv", c->co, c->kernel, .stride = c->stride, .pad = c->pad,
                  .dilation = c->dilation, .groups = c->groups, .no_bias = true);
    y = tp_mean(tp_square(tp_barrier(tp_tanh(tp_barrier(y)))));
    g->profiled = true;
    return (struct row){ .about = about,
                         .g = g,
                         .in = { x },
                         .run = tp_compile_train(y, .opt = tp_sgd(), .lr = tp_const(1e-3),
                                                 .threads = bench_threads()),
                         .flops = nominal(c, out) };
}

/* --- what memory bounds --------------------------------------------------------------------------
 */

enum { TALL = 16384, WIDE = 1024 };

struct given {
    tp_tensor x, y, target;
};
static tp_tensor chain(struct given in)
{
    return tp_relu(tp_add(tp_mul(tp_sub(in.x, 0.5f), 1.25f), tp_square(in.y)));
}
static tp_tensor gelu(struct given in)
{
    return tp_gelu_tanh(in.x);
}
static tp_tensor softmax(struct given in)
{
    return tp_softmax(in.x, 1);
}
static tp_tensor layer_norm(struct given in)
{
    return tp_layer_norm(in.x, "norm");
}
static tp_tensor layer_norm_gradient(struct given in)
{
    return tp_grad_of(tp_sum(tp_mul(tp_layer_norm(in.x, "norm"), in.y)), in.x);
}
static tp_tensor cross_entropy(struct given in)
{
    return tp_grad_of(tp_cross_entropy(in.x, in.target), in.x);
}
static tp_tensor columns(struct given in)
{
    return tp_sum(in.x, 0);
}
static const struct bound {
    const char *name;
    tp_tensor (*of)(struct given); /* NULL: Adam's update of a parameter of as many elements */
    struct bench_mix mix;
} bounds[] = {
    { "relu((x - a) * b + y * y)", chain, { 2, 1, 0 } },
    { "gelu", gelu, { 1, 1, 0 } },
    { "softmax of rows", softmax, { 1, 1, 0 } },
    { "layer norm", layer_norm, { 1, 1, 0 } },
    { "layer norm, gradient", layer_norm_gradient, { 2, 1, 0 } },
    { "cross-entropy, gradient", cross_entropy, { 1, 1, 0 } },
    { "sums of columns", columns, { 1, 0, 0 } },
    { "Adam", NULL, { 4, 3, 3 } },
};

static struct row bounded(const struct bound *b, tp_graph *g)
{
    const struct given in = { tp_input(g, "x", TP_F32, tp_dims(TALL, WIDE)),
                              tp_input(g, "y", TP_F32, tp_dims(TALL, WIDE)),
                              tp_input(g, "target", TP_I32, tp_dims(TALL)) };
    struct row r = { .g = g, .mix = b->mix, .in = { in.x, in.y } };

    snprintf(r.name, sizeof r.name, "%s", b->name);
    g->profiled = true;
    r.bytes = (b->mix.reads + b->mix.writes) * (double)TALL * WIDE * sizeof(float);
    if (b->of) {
        r.run = tp_compile(g, tp_list(b->of(in)), TP_EVAL, .threads = bench_threads());
    } else {
        tp_tensor w = tp_param(g, "w", tp_dims(TALL, WIDE), TP_UNIFORM(-1, 1));
        r.run = tp_compile_train(tp_sum(tp_mul(w, in.x)), .opt = tp_adam(), .lr = tp_const(1e-3),
                                 .threads = bench_threads());
    }
    return r;
}

/* --- measuring -----------------------------------------------------------------------------------
 */

/* A convolution's kernel is the one that computes it, Adam's the one of most bytes; else all. */
static void find_kernels(struct row *r, bool all)
{
    const struct profile *profile;
    const int count = tp_program_kernels(r->run, &profile);
    char call[40];
    int most = 0;

    snprintf(call, sizeof call, "%s(", r->about ? r->about : "");
    for (int k = 0; k < count; k++) {
        most = profile[k].bytes > profile[most].bytes ? k : most;
        if (r->kernels < FOUND && (r->about ? strstr(profile[k].comment, call) != NULL : all))
            r->kernel[r->kernels++] = k;
    }
    if (!r->about && !all)
        r->kernel[r->kernels++] = most;
}

static int fail(const tp_graph *g)
{
    fprintf(stderr, "kernels: %s\n", g && tp_error(g) ? tp_error(g) : "not enough memory");
    return g && tp_error(g) ? tp_status(g) : 1;
}

static int prepare(struct row *r, bool all)
{
    if (!r->run)
        return fail(r->g);
    if (strcmp(tp_program_engine(r->run), "interpreter") == 0) {
        fprintf(stderr, "kernels: there is no compiler here, so nothing to measure\n");
        return 3;
    }
    find_kernels(r, all);
    if (!r->kernels) {
        fprintf(stderr, "kernels: %s: no kernel of the program computes it\n", r->name);
        return 1;
    }
    for (int i = 0; i < 2; i++) {
        unsigned state = 1;
        size_t bytes = 0;
        float *to = r->in[i].g ? tp_buffer(r->run, r->in[i], &bytes) : NULL;
        for (size_t j = 0; to && j < bytes / sizeof *to; j++) {
            state = state * 1664525u + 1013904223u;
            to[j] = (float)(state >> 8) / 8388608.0f - 1;
        }
    }
    return tp_run(r->run) ? 0 : fail(r->g);
}

/* GFLOP/s, or GB/s, that the machine gives at this moment */
static double machine(const struct row *r, const struct bench_stream *stream, int threads)
{
    return r->about ? bench_fma(threads, 3e-3) : bench_stream(stream, r->mix);
}

static void measure(struct row *r, int round, const struct bench_stream *stream, int threads,
                    double *took)
{
    for (int turn = 0; turn < 5; turn++) {
        const double before = machine(r, stream, threads);
        const double begun = bench_now();
        int count = 0;
        for (int k = 0; k < r->kernels; k++)
            tp_run_kernel(r->run, r->kernel[k]); /* wakes the threads, fills the caches */
        while (count < CALLS && (count < 3 || bench_now() - begun < 0.05)) {
            const double from = bench_now();
            for (int k = 0; k < r->kernels; k++)
                tp_run_kernel(r->run, r->kernel[k]);
            took[count++] = bench_now() - from;
        }
        const double after = machine(r, stream, threads);
        r->rate[round] =
            (r->about ? r->flops : r->bytes) / bench_quantile(took, (size_t)count, 0.5) / 1e9;
        r->share[round] = r->rate[round] / fmax(before, after);
        if (fmin(before, after) > 0.93 * fmax(before, after))
            return;
    }
}

static void report(const struct row *list, int count, int rounds, bool json)
{
    const char *last = NULL;

    for (int i = 0; i < count; i++) {
        const struct row *r = &list[i];
        const double rate = bench_quantile(r->rate, (size_t)rounds, 0.5);
        const double share = bench_quantile(r->share, (size_t)rounds, 0.5);
        const double best = bench_quantile(r->share, (size_t)rounds, 1);
        const char *unit = r->about ? "GFLOP/s" : "GB/s";
        if (json) {
            printf("{\"kernel\": \"%s\", \"unit\": \"%s\", \"rate\": %.1f, \"share\": %.4f, "
                   "\"best_share\": %.4f}\n",
                   r->name, unit, rate, share, best);
            continue;
        }
        if (unit != last)
            printf("%s%-44s %9s %16s %6s\n", last ? "\n" : "", r->about ? "convolution" : "kernel",
                   unit, r->about ? "of multiply-adds" : "of a plain loop", "best");
        printf("%-44s %9.1f %15.0f%% %5.0f%%\n", r->name, rate, 100 * share, 100 * best);
        last = unit;
    }
}

/* --- the rows ------------------------------------------------------------------------------------
 */

static bool wanted(const struct row *r, const char *words)
{
    return !words || strstr(r->name, words);
}

static int add_row(struct row *list, int *count, struct row r, bool all)
{
    const int status = prepare(&r, all);

    list[*count] = r; /* its graph is freed with the others */
    *count += 1;
    return status;
}

static int make(struct row *list, int *count, bool conv, bool memory, const char *words)
{
    static const char *const about[] = { "conv", "conv_input", "conv_weight" };
    static const char *const title[] = { "forward", "by the input", "by the weights" };
    int status = 0;

    for (size_t i = 0; conv && i < sizeof convolutions / sizeof *convolutions; i++)
        for (int d = 0; d < 3 && status == 0; d++) {
            const struct convolution *c = &convolutions[i];
            struct row r = { .about = about[d] };
            char more[24] = "";
            if (c->dilation > 1)
                snprintf(more, sizeof more, " d%d", (int)c->dilation);
            else if (c->groups > 1)
                snprintf(more, sizeof more, " g%d", (int)c->groups);
            snprintf(r.name, sizeof r.name, "%dx%d%s%s %d->%d @%d, N=%d, %s", (int)c->kernel,
                     (int)c->kernel, c->stride > 1 ? " s2" : "", more, (int)c->ci, (int)c->co,
                     (int)c->side, (int)c->n, title[d]);
            if (!wanted(&r, words))
                continue;
            struct row made = convolution(c, about[d], tp_graph_new(1));
            memcpy(made.name, r.name, sizeof r.name);
            status = add_row(list, count, made, false);
        }
    for (size_t i = 0; memory && status == 0 && i < sizeof bounds / sizeof *bounds; i++) {
        struct row r = { 0 };
        snprintf(r.name, sizeof r.name, "%s", bounds[i].name);
        if (wanted(&r, words))
            status = add_row(list, count, bounded(&bounds[i], tp_graph_new(1)), bounds[i].of);
    }
    return status;
}

int main(int argc, char **argv)
{
    static struct row list[ROWS_MOST];
    static double took[CALLS];
    const int threads = bench_threads();
    long rounds = 5;
    bool json = false, conv = true, memory = true;
    const char *words = NULL;
    int count = 0, status;

    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--rounds") == 0 && i + 1 < argc)
            rounds = strtol(argv[++i], NULL, 10);
        else if (strcmp(argv[i], "--json") == 0)
            json = true;
        else if (strcmp(argv[i], "--convolutions") == 0)
            memory = false;
        else if (strcmp(argv[i], "--memory") == 0)
            conv = false;
        else if (*argv[i] != '-' && !words)
            words = argv[i];
        else {
            fprintf(stderr, "kernels: '%.40s' is no option\n", argv[i]);
            return 2;
        }
    }
    if (rounds < 1 || rounds > ROUNDS) {
        fprintf(stderr, "kernels: expected 1 to %d rounds\n", ROUNDS);
        return 2;
    }
    struct bench_stream *stream = bench_stream_new(threads);
    status = stream ? make(list, &count, conv, memory, words) : fail(NULL);
    bench_priority(-20);
    for (int round = 0; round < rounds && status == 0; round++)
        for (int i = 0; i < count; i++)
            measure(&list[i], round, stream, threads, took);
    if (status == 0)
        report(list, count, (int)rounds, json);
    for (int i = 0; i < count; i++)
        tp_graph_free(list[i].g);
    bench_stream_free(stream);
    return status;
}

/*
 * gemm: matrix products of many shapes, through the whole compiler, against the multiply-adds that
 * the machine gives at the same moment.
 *
 *     gemm [--rounds N] [--seed N] [--random N] [--json] [--peak] [MxKxN:OP ...]
 *
 * OP says which operand is stored transposed: NN, NT, TN, TT. Each product is a graph of one dot.
 * Rounds go over all shapes again and again, with the peak measured before and after each, since a
 * virtual machine's cores change from second to second: a share is a quotient of neighbours.
 *
 * Entries are multiples of 1/8 up to 1 in size, so every sum is exact in f32 in any order: results
 * are compared for equality, some elements with a sum in double, all of them by weighted row sums.
 */
#define _GNU_SOURCE
#include "bench/common/measure.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <taper.h>

enum { MOST = 64, ROUNDS = 101, SAMPLES = 300, BLOCK = 200 };

struct product {
    long m, k, n;
    bool ta, tb; /* stored transposed */
    tp_graph *g;
    tp_program *run;
    float *a, *b, *y;
    double rate[ROUNDS], best[ROUNDS], share[ROUNDS]; /* by round: median and best GFLOP/s */
    bool wrong;
};

/* --- shapes --------------------------------------------------------------------------------------
 */

static double flops(const struct product *p)
{
    return 2.0 * (double)p->m * (double)p->k * (double)p->n;
}

/* The share that the project asks for; 0: none. */
static double demanded(const struct product *p)
{
    if (p->m == 1024 && p->k == 1024 && p->n == 1024)
        return 0.88;
    return flops(p) >= 1e7 ? 0.65 : 0;
}

static struct product product(long m, long k, long n, const char *op)
{
    return (struct product){ .m = m, .k = k, .n = n, .ta = op[0] == 'T', .tb = op[1] == 'T' };
}

static unsigned next(unsigned long long *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(*state >> 33);
}

/* 32 to 2048, as many small ones as large ones */
static long extent(unsigned long long *state)
{
    return (long)(32 * pow(64, (double)next(state) / 2147483647.0) + 0.5);
}

static int usual_shapes(struct product *list, int random, unsigned long long seed)
{
    static const char *op[] = { "NN", "NT", "TN", "TT" };
    static const long fixed[][3] = { { 256, 256, 256 }, { 512, 512, 512 }, { 64, 784, 128 } };
    unsigned long long state = seed * 2 + 1;
    int count = 0;

    for (int i = 0; i < 4; i++)
        list[count++] = product(1024, 1024, 1024, op[i]);
    for (int s = 0; s < 3; s++)
        for (int i = 0; i < 3; i++)
            list[count++] = product(fixed[s][0], fixed[s][1], fixed[s][2], op[i]);
    next(&state);
    for (int i = 0; i < random && count < MOST; i++) {
        long m = extent(&state), k = extent(&state), n = extent(&state);
        list[count++] = product(m, k, n, op[i % 4]);
    }
    return count;
}

static bool parse_shape(const char *text, struct product *p)
{
    char op[3];
    int end = 0;
    long m, k, n;

    if (sscanf(text, "%4ldx%4ldx%4ld:%2[NT]%n", &m, &k, &n, op, &end) != 4 || text[end] ||
        strlen(op) != 2 || m < 1 || k < 1 || n < 1 || m > 4096 || k > 4096 || n > 4096)
        return false;
    *p = product(m, k, n, op);
    return true;
}

/* --- compiling and checking
 * ------------------------------------------------------------------------ */

static void fill(float *v, size_t count, unsigned long long seed)
{
    for (size_t i = 0; i < count; i++)
        v[i] = (float)((int)(next(&seed) % 17) - 8) / 8;
}

static int compile(struct product *p, int threads)
{
    static const char *letters[] = { "mk,kn->mn", "mk,nk->mn", "km,kn->mn", "km,nk->mn" };
    const tp_shape a = p->ta ? tp_dims(p->k, p->m) : tp_dims(p->m, p->k);
    const tp_shape b = p->tb ? tp_dims(p->n, p->k) : tp_dims(p->k, p->n);
    tp_graph *g = p->g = tp_graph_new(1);
    tp_tensor x = tp_input(g, "a", TP_F32, a), y = tp_input(g, "b", TP_F32, b);
    tp_tensor c = tp_dot(letters[2 * p->ta + p->tb], x, y);

    p->run = tp_compile(g, tp_list(c), TP_EVAL, .threads = threads);
    if (!p->run) {
        fprintf(stderr, "gemm: %s\n", g ? tp_error(g) : "not enough memory");
        return g ? tp_status(g) : 1;
    }
    if (strcmp(tp_program_engine(p->run), "interpreter") == 0) {
        fprintf(stderr, "gemm: there is no compiler here, so nothing to measure\n");
        return 3;
    }
    p->a = tp_buffer(p->run, x, NULL);
    p->b = tp_buffer(p->run, y, NULL);
    p->y = tp_buffer(p->run, c, NULL);
    fill(p->a, (size_t)p->m * (size_t)p->k, 1);
    fill(p->b, (size_t)p->k * (size_t)p->n, 2);
    return p->a && p->b && p->y ? 0 : 1;
}

static double at_a(const struct product *p, long i, long q)
{
    return p->a[p->ta ? q * p->m + i : i * p->k + q];
}

static double at_b(const struct product *p, long q, long j)
{
    return p->b[p->tb ? j * p->k + q : q * p->n + j];
}

static bool element_right(const struct product *p, long i, long j)
{
    double want = 0;

    for (long q = 0; q < p->k; q++)
        want += at_a(p, i, q) * at_b(p, q, j);
    return want == (double)p->y[i * p->n + j];
}

/*
 * All elements at once: a row of the result, weighted and summed, is the row of a times the
 * weighted sums of b's rows. Weights are whole numbers, so this is exact as well.
 */
static bool rows_right(const struct product *p)
{
    double *sums = calloc((size_t)p->k, sizeof *sums), *weight = calloc((size_t)p->n, sizeof *sums);
    unsigned long long state = 5;
    bool right = sums && weight;

    for (long j = 0; j < p->n && right; j++)
        weight[j] = next(&state) % 4096;
    for (long q = 0; q < p->k && right; q++)
        for (long j = 0; j < p->n; j++)
            sums[q] += weight[j] * at_b(p, q, j);
    for (long i = 0; i < p->m && right; i++) {
        double want = 0, found = 0;
        for (long q = 0; q < p->k; q++)
            want += at_a(p, i, q) * sums[q];
        for (long j = 0; j < p->n; j++)
            found += weight[j] * (double)p->y[i * p->n + j];
        right = want == found;
    }
    free(sums);
    free(weight);
    return right;
}

static bool check(const struct product *p)
{
    unsigned long long state = 3;

    memset(p->y, 0xff, sizeof(float) * (size_t)p->m * (size_t)p->n); /* not numbers */
    if (!tp_run(p->run) || !rows_right(p))
        return false;
    for (int s = 0; s < SAMPLES; s++) {
        long i = s < 4 ? (s & 1) * (p->m - 1) : (long)(next(&state) % (unsigned long)p->m);
        long j = s < 4 ? (s >> 1) * (p->n - 1) : (long)(next(&state) % (unsigned long)p->n);
        if (!element_right(p, i, j))
            return false;
    }
    return true;
}

/* --- measuring -----------------------------------------------------------------------------------
 */

/* One block of runs; the peak is that of the better side. */
static void measure_block(struct product *p, int round, int threads, double *took, double peak[2])
{
    double begin, start;
    size_t count = 0;

    peak[0] = bench_fma(threads, 3e-3);
    tp_run(p->run); /* wakes the threads, fills the caches */
    begin = start = bench_now();
    while (count < BLOCK && (count < 3 || start - begin < 0.02)) {
        double now;
        tp_run(p->run);
        now = bench_now();
        took[count++] = now - start;
        start = now;
    }
    peak[1] = bench_fma(threads, 3e-3);
    p->rate[round] = flops(p) / bench_quantile(took, count, 0.5) / 1e9;
    p->best[round] = flops(p) / bench_quantile(took, count, 0) / 1e9;
}

/* Again while the machine changed under it. */
static double measure(struct product *p, int round, int threads, double *took)
{
    double peak[2], high, low;

    for (int i = 0; i < 5; i++) {
        measure_block(p, round, threads, took, peak);
        high = fmax(peak[0], peak[1]);
        low = fmin(peak[0], peak[1]);
        if (low > 0.93 * high)
            break;
    }
    p->share[round] = p->rate[round] / high;
    return high;
}

static int report(struct product *list, int count, int rounds, const double *peaks, int threads,
                  bool json)
{
    int low = 0, wrong = 0;
    const double peak = bench_quantile(peaks, (size_t)(count * rounds), 0.5);
    const double best = bench_quantile(peaks, (size_t)(count * rounds), 0.98);

    if (json)
        printf("{\"threads\": %d, \"rounds\": %d, \"peak\": %.1f, \"peak_best\": %.1f, \"rows\": [",
               threads, rounds, peak, best);
    else
        printf("FMA peak of %d threads: %.0f GFLOP/s (median), %.0f (best); %d rounds\n"
               "%-18s %9s %9s %7s %7s %8s\n",
               threads, peak, best, rounds, "M x K x N", "GFLOP/s", "best", "share", "best",
               "demanded");
    for (int i = 0; i < count; i++) {
        struct product *p = &list[i];
        const double rate = bench_quantile(p->rate, (size_t)rounds, 0.5);
        const double top = bench_quantile(p->best, (size_t)rounds, 1);
        const double share = bench_quantile(p->share, (size_t)rounds, 0.5);
        const char op[] = { p->ta ? 'T' : 'N', p->tb ? 'T' : 'N', 0 };
        char shape[40];

        low += share < demanded(p);
        wrong += p->wrong;
        snprintf(shape, sizeof shape, "%ldx%ldx%ld %s", p->m, p->k, p->n, op);
        if (json)
            printf("%s{\"shape\": \"%s\", \"gflops\": %.1f, \"best\": %.1f, \"share\": %.4f, "
                   "\"best_share\": %.4f, \"demanded\": %.2f, \"right\": %s}",
                   i ? ", " : "", shape, rate, top, share, top / best, demanded(p),
                   p->wrong ? "false" : "true");
        else
            printf("%-18s %9.1f %9.1f %6.0f%% %6.0f%% %6.0f%%%s%s\n", shape, rate, top, 100 * share,
                   100 * top / best, 100 * demanded(p), share < demanded(p) ? "  below" : "",
                   p->wrong ? "  WRONG" : "");
    }
    if (json)
        printf("], \"below\": %d, \"wrong\": %d}\n", low, wrong);
    else
        printf("%d of %d below what is demanded, %d wrong\n", low, count, wrong);
    return wrong ? 1 : 0;
}

static int run(struct product *list, int count, int rounds, bool json)
{
    const int threads = bench_threads();
    double *peaks = calloc((size_t)(count * rounds) + BLOCK, sizeof *peaks);
    double *took = peaks ? peaks + count * rounds : NULL;
    int status = peaks ? 0 : 1;

    for (int i = 0; i < count && status == 0; i++)
        if ((status = compile(&list[i], threads)) == 0)
            list[i].wrong = !check(&list[i]);
    bench_priority(-20);
    for (int round = 0; round < rounds && status == 0; round++)
        for (int i = 0; i < count; i++)
            peaks[round * count + i] = measure(&list[i], round, threads, took);
    if (status == 0)
        status = report(list, count, rounds, peaks, threads, json);
    for (int i = 0; i < count; i++)
        tp_graph_free(list[i].g);
    free(peaks);
    return status;
}

static int print_peaks(bool json)
{
    const int threads = bench_threads();
    double fma[9];

    bench_priority(-20);
    for (int i = 0; i < 9; i++)
        fma[i] = bench_fma(threads, 0.01);
    printf(json ? "{\"threads\": %d, \"fma_gflops\": %.1f, \"triad_gbs\": %.1f}\n"
                : "%d threads: %.1f GFLOP/s of f32 multiply-adds, %.1f GB/s\n",
           threads, bench_quantile(fma, 9, 0.5), bench_triad(threads));
    return 0;
}

int main(int argc, char **argv)
{
    static struct product list[MOST];
    long rounds = 7, random = 20, seed = 1;
    int count = 0;
    bool json = false, peak = false;

    for (int i = 1; i < argc; i++) {
        long *number = strcmp(argv[i], "--rounds") == 0   ? &rounds
                       : strcmp(argv[i], "--random") == 0 ? &random
                       : strcmp(argv[i], "--seed") == 0   ? &seed
                                                          : NULL;
        if (number && i + 1 < argc)
            *number = strtol(argv[++i], NULL, 10);
        else if (strcmp(argv[i], "--json") == 0)
            json = true;
        else if (strcmp(argv[i], "--peak") == 0)
            peak = true;
        else if (count < MOST && parse_shape(argv[i], &list[count]))
            count++;
        else {
            fprintf(stderr, "gemm: '%.40s' is no option and no shape; a shape is 64x784x128:NT\n",
                    argv[i]);
            return 2;
        }
    }
    if (rounds < 1 || rounds > ROUNDS || random < 0 || random > 40) {
        fprintf(stderr, "gemm: expected 1 to %d rounds and 0 to 40 random shapes\n", ROUNDS);
        return 2;
    }
    if (peak)
        return print_peaks(json);
    if (!count)
        count = usual_shapes(list, (int)random, (unsigned long long)seed);
    return run(list, count, (int)rounds, json);
}

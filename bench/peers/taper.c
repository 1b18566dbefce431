/*
 * taper-peer: one workload trained by taper and timed as every peer is timed.
 *
 *     taper-peer WORKLOAD            the steady state; one JSON object to $PEER_RESULT and stdout.
 *                                    Batches lie where the step reads them, as for every peer
 *     taper-peer WORKLOAD --copied   each batch is copied to the program's inputs, within the step
 *     taper-peer WORKLOAD --eager    operation by operation
 *     taper-peer WORKLOAD --first    only as far as the first step: how long from the process's
 *                                    start, was a compiler loaded, how much memory. Batches are
 *                                    copied, as with a loader
 *
 * $PEER_NUMBERS is the folder that write_numbers.py wrote, $PEER_SPAWN the moment of the start in
 * seconds since 1970, $PEER_BUDGET the seconds to measure (5; after --first 2), $THREADS how many
 * threads.
 */
#define _GNU_SOURCE
#include "bench/common/measure.h"
#include "bench/peers/session.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <time.h>

enum { FIRST = 10, BLOCKS = 1 << 16 };

struct timing {
    double start_s, data_s, setup_s, first_at_s, first[FIRST], loss[FIRST];
    double block[BLOCKS], synced[BLOCKS];
    size_t blocks, synceds;
    long per_block, steps;
    double own, others, loss_last;
    double cpu_s; /* of processors, until the step was compiled */
};

/* --- the clock on the wall
 */

static double wall(void)
{
    struct timeval t;

    gettimeofday(&t, NULL);
    return (double)t.tv_sec + 1e-6 * (double)t.tv_usec;
}

static double number_of(const char *name, double otherwise)
{
    const char *text = getenv(name);
    double value = text ? strtod(text, NULL) : 0;

    return value > 0 ? value : otherwise;
}

static double resident_mb(void)
{
    struct rusage use;

    getrusage(RUSAGE_SELF, &use);
    return (double)use.ru_maxrss / 1024;
}

static double child_mb(void)
{
    struct rusage use;

    getrusage(RUSAGE_CHILDREN, &use);
    return (double)use.ru_maxrss / 1024;
}

/* --- the steady state
 * ------------------------------------------------------------------------------ */

static bool first_steps(struct session *s, struct timing *t, double spawn)
{
    for (; t->steps < FIRST; t->steps++) {
        double start = bench_now();
        if (!session_step(s, t->steps))
            return false;
        t->loss[t->steps] = session_loss(s);
        t->first[t->steps] = bench_now() - start;
        if (t->steps == 0)
            t->first_at_s = wall() - spawn;
    }
    return true;
}

static bool steps(struct session *s, struct timing *t, long n)
{
    for (; n > 0; n--)
        if (!session_step(s, t->steps++))
            return false;
    return true;
}

/* Blocks of at least 5 ms, so that the clock and one interruption weigh little. */
static bool steady_state(struct session *s, struct timing *t, double budget)
{
    double start, begin, estimate;
    struct bench_cpu before, after;
    const long probe = t->first[FIRST - 1] < 0.1 ? 10 : 2;

    bench_priority(-20);
    for (begin = bench_now(); bench_now() - begin < 1;) /* warm up */
        if (!steps(s, t, 1))
            return false;
    start = bench_now();
    if (!steps(s, t, probe))
        return false;
    estimate = (bench_now() - start) / (double)probe;
    t->per_block = (long)(5e-3 / estimate + 0.5);
    t->per_block = t->per_block < 1 ? 1 : t->per_block;
    before = bench_cpu();
    begin = start = bench_now();
    while (t->blocks < BLOCKS &&
           (start - begin < budget || (t->blocks < 30 && start - begin < 3 * budget))) {
        double now;
        if (!steps(s, t, t->per_block))
            return false;
        now = bench_now();
        t->block[t->blocks++] = (now - start) / (double)t->per_block;
        start = now;
    }
    after = bench_cpu();
    t->own = (after.own - before.own) / (start - begin);
    t->others = (after.busy - before.busy) / (start - begin) - t->own;
    for (begin = bench_now(); bench_now() - begin < budget / 4 && t->synceds < BLOCKS;) {
        start = bench_now();
        if (!steps(s, t, 1) || isnan(session_loss(s)))
            break;
        t->synced[t->synceds++] = bench_now() - start;
    }
    bench_priority(0);
    for (int i = 0; i < BATCHES; i++) {
        if (!steps(s, t, 1))
            return false;
        t->loss_last += session_loss(s) / BATCHES;
    }
    return true;
}

/* --- what came of it
 * ------------------------------------------------------------------------------- */

static void put_list(FILE *out, const char *name, const double *v, int n)
{
    fprintf(out, ", \"%s\": [", name);
    for (int i = 0; i < n; i++)
        fprintf(out, "%s%.6f", i ? ", " : "", v[i]);
    fprintf(out, "]");
}

static void put_result(FILE *out, const struct session *s, const struct timing *t)
{
    const double median = bench_quantile(t->block, t->blocks, 0.5);
    double cold = t->start_s + t->data_s + t->setup_s;
    char when[20];
    time_t now = time(NULL);

    for (int i = 0; i < FIRST; i++)
        cold += t->first[i] > median ? t->first[i] - median : 0;
    strftime(when, sizeof when, "%H:%M:%S", localtime(&now));
    fprintf(out, "{\"peer\": \"%s\", \"workload\": \"%s\", \"python_s\": %.6f, \"import_s\": 0.0",
            s->eager ? "taper-eager" : "taper", s->w->name, t->start_s);
    fprintf(out, ", \"data_s\": %.6f, \"setup_s\": %.6f, \"first_at_s\": %.6f", t->data_s,
            t->setup_s, t->first_at_s);
    fprintf(out, ", \"min_ms\": %.6f, \"median_ms\": %.6f, \"p90_ms\": %.6f",
            1e3 * bench_quantile(t->block, t->blocks, 0), 1e3 * median,
            1e3 * bench_quantile(t->block, t->blocks, 0.9));
    fprintf(out, ", \"steps_per_block\": %ld, \"blocks\": %zu, \"synced_median_ms\": %.6f",
            t->per_block, t->blocks,
            1e3 * (t->synceds ? bench_quantile(t->synced, t->synceds, 0.5) : median));
    fprintf(out, ", \"first_step_s\": %.6f, \"cold_s\": %.6f", t->first[0], cold);
    put_list(out, "first_steps_s", t->first, 5);
    put_list(out, "losses", t->loss, FIRST);
    fprintf(out, ", \"loss_last\": %.9g, \"steps_total\": %ld", t->loss_last, t->steps);
    fprintf(out, ", \"cores_used\": %.4f, \"others_cores\": %.4f", t->own,
            t->others > 0 ? t->others : 0);
    fprintf(out, ", \"rss_mb\": %.2f, \"child_rss_mb\": %.2f, \"when\": \"%s\"", resident_mb(),
            child_mb(), when);
    fprintf(out,
            ", \"note\": {\"engine\": \"%s\", \"threads\": %d, \"copied\": %s, \"arena_bytes\": "
            "%zu}}\n",
            s->eager ? "eager" : tp_program_engine(s->step), s->threads,
            s->copied ? "true" : "false", s->eager ? 0 : tp_program_bytes(s->step));
}

static int write_result(const struct session *s, const struct timing *t)
{
    const char *path = getenv("PEER_RESULT");
    FILE *file = path ? fopen(path, "we") : NULL;

    put_result(stdout, s, t);
    if (!path)
        return 0;
    if (!file) {
        fprintf(stderr, "taper-peer: %s: cannot be written\n", path);
        return 1;
    }
    put_result(file, s, t);
    return fclose(file) ? 1 : 0;
}

/* --- only the start
 * --------------------------------------------------------------------------------- */

static bool mapped(const char *name)
{
    FILE *maps = fopen("/proc/self/maps", "re");
    char line[4096];
    bool found = false;

    while (maps && !found && fgets(line, sizeof line, maps))
        found = strstr(line, name) != NULL;
    if (maps)
        fclose(maps);
    return found;
}

static bool report_start(struct session *s, struct timing *t, double spawn)
{
    double start = bench_now();

    if (!session_step(s, 0))
        return false;
    t->first[0] = bench_now() - start;
    t->first_at_s = wall() - spawn;
    t->steps = 1;
    while (t->steps <= 200 && bench_now() - start < number_of("PEER_BUDGET", 2))
        /* memory in use as in a run */
        if (!steps(s, t, 1))
            return false;
    printf("{\"workload\": \"%s\", \"first_at_s\": %.6f, \"start_s\": %.6f, \"setup_s\": %.6f, "
           "\"first_step_s\": %.6f, \"cpu_s\": %.6f, \"engine\": \"%s\", \"llvm\": %s, "
           "\"rss_mb\": %.2f, \"arena_bytes\": %zu}\n",
           s->w->name, t->first_at_s, t->start_s, t->setup_s, t->first[0], t->cpu_s,
           tp_program_engine(s->step),
           mapped("libLLVM") || mapped("libclang") || mapped("libtaper-jit") ? "true" : "false",
           resident_mb(), tp_program_bytes(s->step));
    return true;
}

static const struct workload *find(const char *name)
{
    const struct workload *w = workloads;

    while (w->name && strcmp(w->name, name) != 0)
        w++;
    return w->name ? w : NULL;
}

static int run(struct session *s, bool first, struct timing *t, double spawn)
{
    double at = bench_now();

    if (!session_data(s))
        return 2;
    t->data_s = bench_now() - at;
    at = bench_now();
    if (!session_setup(s))
        return 1;
    t->setup_s = bench_now() - at;
    t->cpu_s = bench_cpu_seconds();
    if (first)
        return report_start(s, t, spawn) ? 0 : 1;
    if (!first_steps(s, t, spawn) || !steady_state(s, t, number_of("PEER_BUDGET", 5)))
        return 1;
    return write_result(s, t);
}

int main(int argc, char **argv)
{
    static struct timing t;
    const double now = wall(), spawn = number_of("PEER_SPAWN", now);
    const bool eager = argc == 3 && strcmp(argv[2], "--eager") == 0;
    const bool first = argc == 3 && strcmp(argv[2], "--first") == 0;
    const bool copied = first || (argc == 3 && strcmp(argv[2], "--copied") == 0);
    struct session s = { .w = argc > 1 ? find(argv[1]) : NULL,
                         .threads = bench_threads(),
                         .eager = eager,
                         .copied = copied,
                         .numbers = first ? NULL : getenv("PEER_NUMBERS") };
    int status;

    if (argc < 2 || argc > 3 || (argc == 3 && !eager && !copied)) {
        fprintf(stderr, "taper-peer: usage: taper-peer WORKLOAD [--copied | --eager | --first]\n");
        return 2;
    }
    if (!s.w) {
        fprintf(stderr, "taper-peer: %.60s: unsupported\n", argv[1]);
        return 3;
    }
    if (!first && !s.numbers) {
        fprintf(stderr, "taper-peer: PEER_NUMBERS is not set; expected the folder that "
                        "bench/peers/write_numbers.py wrote\n");
        return 2;
    }
    t.start_s = now - spawn;
    status = run(&s, first, &t, spawn);
    if (status)
        fprintf(stderr, "taper-peer: %s\n", s.why);
    session_free(&s);
    return status;
}

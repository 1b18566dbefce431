/*
 * peak: the multiply-adds and the bytes that this machine gives at this moment.
 *
 * The work is done by the team of threads that OpenMP keeps for generated code, where it is in the
 * process: that team spins for a while after a step, and threads of our own beside it would find
 * half a machine.
 */
#define _GNU_SOURCE
#include "bench/common/measure.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/* --- a team -------------------------------------------------------------------------------------
 */

enum { TEAM = 256 };
struct team {
    void (*work)(struct team *team, int thread);
    int threads;
    atomic_int arrived; /* of the threads, for their numbers and for a start together */
    void *user;
    double seconds[TEAM], sum[TEAM];
};

static void enter(void *user)
{
    struct team *team = user;
    int thread = atomic_fetch_add(&team->arrived, 1);

    while (atomic_load(&team->arrived) < team->threads)
        ;
    team->work(team, thread);
}

static void *enter_thread(void *user)
{
    enter(user);
    return NULL;
}

static bool run_openmp(struct team *team)
{
    void (*parallel)(void (*)(void *), void *, unsigned, unsigned);
    void *symbol = dlsym(RTLD_DEFAULT, "GOMP_parallel"); /* LLVM's runtime has it as well */

    if (!symbol)
        return false;
    memcpy(&parallel, &symbol, sizeof parallel);
    parallel(enter, team, (unsigned)team->threads, 0);
    return true;
}

/* The longest time of a thread. */
static double run_team(struct team *team)
{
    pthread_t thread[TEAM];
    double longest = 0;

    atomic_store(&team->arrived, 0);
    if (!run_openmp(team)) {
        int started = 1;
        for (int i = 1; i < team->threads; i++)
            started += pthread_create(&thread[started], NULL, enter_thread, team) == 0;
        if (started < team->threads) /* those who wait must not wait for ever */
            atomic_fetch_add(&team->arrived, team->threads - started);
        enter(team);
        for (int i = 1; i < started; i++)
            pthread_join(thread[i], NULL);
    }
    for (int i = 0; i < team->threads; i++)
        longest = team->seconds[i] > longest ? team->seconds[i] : longest;
    return longest;
}

/* --- multiply-adds -------------------------------------------------------------------------------
 */

#if defined(__clang__)
#define CONTRACT
#pragma STDC FP_CONTRACT ON
#else
#define CONTRACT __attribute__((optimize("fp-contract=fast")))
#endif

/* Twelve chains: enough for a latency of four or five cycles in two pipes, few enough to stay in
 * sixteen registers. */
#define CHAINS 12
#define ROUNDS(name, lanes, attribute)                                                     \
    attribute __attribute__((noinline)) CONTRACT static float name(long n)                 \
    {                                                                                      \
        typedef float vector __attribute__((vector_size(4 * (lanes))));                    \
        vector a[CHAINS], x = (vector){ 0 } + 0.999999f, y = (vector){ 0 } + 1e-7f;        \
        float sum = 0;                                                                     \
                                                                                           \
        for (int i = 0; i < CHAINS; i++)                                                   \
            a[i] = x + (float)i;                                                           \
        for (long k = 0; k < n; k++) {                                                     \
            _Pragma("GCC unroll 12") for (int i = 0; i < CHAINS; i++) a[i] = a[i] * x + y; \
        }                                                                                  \
        for (int i = 0; i < CHAINS; i++)                                                   \
            for (int j = 0; j < (lanes); j++)                                              \
                sum += a[i][j];                                                            \
        return sum;                                                                        \
    }

#if defined(__x86_64__)
ROUNDS(rounds_512, 16, __attribute__((target("avx512f"))))
ROUNDS(rounds_256, 8, __attribute__((target("avx2,fma"))))
#endif
ROUNDS(rounds_128, 4, )

struct widest {
    float (*rounds)(long);
    int lanes;
};

static struct widest widest(void)
{
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f"))
        return (struct widest){ rounds_512, 16 };
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        return (struct widest){ rounds_256, 8 };
#endif
    return (struct widest){ rounds_128, 4 };
}

static void multiply(struct team *team, int thread)
{
    double start = bench_now();

    team->sum[thread] = (double)widest().rounds(*(const long *)team->user);
    team->seconds[thread] = bench_now() - start;
}

static struct team team_of(int threads, void (*work)(struct team *, int), void *user)
{
    return (struct team){ .work = work,
                          .threads = threads < 1      ? 1
                                     : threads > TEAM ? TEAM
                                                      : threads,
                          .user = user };
}

double bench_fma(int threads, double seconds)
{
    long n = 20000;
    struct team team = team_of(threads, multiply, &n);
    double took = run_team(&team);

    if (took > 0 && took < seconds) {
        n = (long)((double)n * seconds / took) + 1;
        took = run_team(&team);
    }
    return 2.0 * CHAINS * widest().lanes * (double)n * team.threads / took / 1e9;
}

/* --- bytes ---------------------------------------------------------------------------------------
 */

enum { TRIAD = 1 << 24 };
struct triad {
    float *a, *b, *c;
    bool touch;
};

static void stream(struct team *team, int thread)
{
    struct triad *t = team->user;
    const long from = (long)TRIAD / team->threads * thread;
    const long to = thread + 1 == team->threads ? TRIAD : from + (long)TRIAD / team->threads;
    const double start = bench_now();

    if (t->touch)
        for (long i = from; i < to; i++)
            t->a[i] = 0, t->b[i] = 1, t->c[i] = 2;
    else
        for (long i = from; i < to; i++)
            t->a[i] = t->b[i] + 3.0f * t->c[i];
    team->seconds[thread] = bench_now() - start;
}

double bench_triad(int threads)
{
    float *memory = aligned_alloc(64, 3 * sizeof(float) * TRIAD);
    struct triad t = { memory, memory + TRIAD, memory + 2 * (size_t)TRIAD, true };
    struct team team = team_of(threads, stream, &t);
    double best = 1e9;

    if (!memory)
        return 0;
    run_team(&team);
    t.touch = false;
    for (int i = 0; i < 5; i++) {
        double took = run_team(&team);
        best = took < best ? took : best;
    }
    free(memory);
    return 3.0 * sizeof(float) * TRIAD / best / 1e9;
}

/* --- bytes of any mix ----------------------------------------------------------------------------
 */

enum { STREAM = 1 << 24, ARRAYS = 8 };
struct bench_stream {
    int threads;
    float *memory;
};
struct mixing {
    const struct bench_stream *s;
    struct bench_mix mix;
};

static float *array(const struct bench_stream *s, int i)
{
    return s->memory + (size_t)i * (STREAM + 1024 + 16); /* not at the same place of a page */
}

typedef float quad __attribute__((vector_size(16)));
enum { QUADS = 8 }; /* two lines at a time */

static void mix(struct team *team, int thread)
{
    const struct mixing *m = team->user;
    const long lines = STREAM / (4 * QUADS);
    const long from = lines * thread / team->threads, to = lines * (thread + 1) / team->threads;
    const int reads = m->mix.reads, writes = m->mix.writes;
    const double start = bench_now();
    quad sum[QUADS], all = { 0 }, *a[ARRAYS];

    for (int i = 0; i < reads + writes; i++) {
        const int w = i - reads;
        a[i] = (quad *)array(m->s, w >= 0 && w < m->mix.in_place ? w : i) + from * QUADS;
    }
    for (long i = 0; i < (to - from) * QUADS; i += QUADS) {
        for (int j = 0; j < QUADS; j++)
            sum[j] = a[0][i + j];
        for (int r = 1; r < reads; r++)
            for (int j = 0; j < QUADS; j++)
                sum[j] += a[r][i + j];
        for (int w = 0; w < writes; w++)
            for (int j = 0; j < QUADS; j++)
                a[reads + w][i + j] = sum[j];
        all += sum[0] + sum[1] + sum[2] + sum[3] + sum[4] + sum[5] + sum[6] + sum[7];
    }
    team->sum[thread] = (double)all[0];
    team->seconds[thread] = bench_now() - start;
}

struct bench_stream *bench_stream_new(int threads)
{
    struct bench_stream *s = malloc(sizeof *s);
    const size_t bytes = ARRAYS * (STREAM + 1024 + 16) * sizeof(float);

    if (!s)
        return NULL;
    *s = (struct bench_stream){ threads, aligned_alloc(64, bytes) };
    if (!s->memory) {
        free(s);
        return NULL;
    }
    memset(s->memory, 0, bytes);
    return s;
}

double bench_stream(const struct bench_stream *s, struct bench_mix m)
{
    struct mixing mixing = { s, m };
    struct team team = team_of(s->threads, mix, &mixing);
    double best = 1e9;

    for (int i = 0; i < 3; i++) {
        const double took = run_team(&team);
        best = took < best ? took : best;
    }
    return (m.reads + m.writes) * sizeof(float) * (double)STREAM / best / 1e9;
}

void bench_stream_free(struct bench_stream *s)
{
    if (s)
        free(s->memory);
    free(s);
}

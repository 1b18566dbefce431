/*
 * compile: what it costs to start: with an empty cache, with a full one, and in memory.
 *
 *     compile [--rounds N] [--json | --costs] [WORKLOAD...]
 *
 * Each start is a process of its own, taper-peer WORKLOAD --first, which is linked against
 * libtaper.so as a user's program would be; it makes its own numbers, so that no file of data is
 * read. Seconds are from just before the process is made to the end of its first step. A second
 * start must find its code in the cache and never load LLVM: otherwise this program fails.
 *
 * --costs prints a line a workload: seconds to the end of the first step, cold and warm; then the
 * processors' seconds of all that came before that step, cold and warm, in units of what one
 * compilation of the text below takes by the same compiler just before and after, so that neither
 * the machine's speed nor the compiler's own weighs. It is quicker: the first step is the last one.
 * bench/start.sh makes a table of it.
 */
#define _GNU_SOURCE
#include "bench/common/measure.h"
#include "runtime/runtime.h"

#include <elf.h>
#include <errno.h>
#include <ftw.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ROUNDS = 50, WORKLOADS = 8 };
enum answer { PLAIN, JSON, COSTS };

struct starts { /* of one kind, by round */
    double first[ROUNDS], setup[ROUNDS], memory_mb[ROUNDS], cpu[ROUNDS];
    char engine[40];
    bool llvm;
};

/* --- one start -----------------------------------------------------------------------------------
 */

static bool beside(char *path, size_t size, const char *name)
{
    ssize_t length = readlink("/proc/self/exe", path, size - 1);
    char *slash;

    path[length > 0 ? length : 0] = 0;
    slash = strrchr(path, '/');
    if (!slash || (size_t)(slash - path) + strlen(name) + 2 > size)
        return false;
    memcpy(slash + 1, name, strlen(name) + 1);
    return true;
}

/* The program's one line; 0, or its exit status. */
static int start(const char *workload, const char *cache, bool brief, char *line, size_t size)
{
    struct timeval now;
    char spawn[40], program[1200];
    int pipe_of[2], status = 1;
    FILE *answer;
    pid_t child;

    if (!beside(program, sizeof program, "taper-peer") || pipe(pipe_of))
        return 1;
    gettimeofday(&now, NULL);
    snprintf(spawn, sizeof spawn, "%ld.%06ld", (long)now.tv_sec, (long)now.tv_usec);
    child = fork();
    if (child == 0) {
        setenv("PEER_SPAWN", spawn, 1);
        setenv("XDG_CACHE_HOME", cache, 1);
        if (brief)
            setenv("PEER_BUDGET", "1e-9", 1);
        dup2(pipe_of[1], STDOUT_FILENO);
        close(pipe_of[0]);
        close(pipe_of[1]);
        execl(program, program, workload, "--first", (char *)NULL);
        _exit(127);
    }
    close(pipe_of[1]);
    answer = fdopen(pipe_of[0], "r");
    *line = 0;
    if (answer && child > 0 && !fgets(line, (int)size, answer))
        *line = 0;
    if (answer)
        fclose(answer);
    if (child < 0 || waitpid(child, &status, 0) < 0)
        return 1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

static int note_start(struct starts *s, int round, const char *workload, const char *cache,
                      bool brief)
{
    char line[1000];
    const char *engine;
    int llvm, status = start(workload, cache, brief, line, sizeof line);
    json_t *answer = status ? NULL : json_loads(line, 0, NULL);

    if (status == 0 &&
        json_unpack(answer, "{s:F, s:F, s:F, s:F, s:s, s:b}", "first_at_s", &s->first[round],
                    "setup_s", &s->setup[round], "rss_mb", &s->memory_mb[round], "cpu_s",
                    &s->cpu[round], "engine", &engine, "llvm", &llvm) == 0) {
        snprintf(s->engine, sizeof s->engine, "%s", engine);
        s->llvm |= llvm;
    } else if (status == 0)
        status = 1;
    json_decref(answer);
    if (status)
        fprintf(stderr, "compile: taper-peer %s --first ended with %d\n", workload, status);
    return status;
}

/* --- the unit of costs
 * ----------------------------------------------------------------------------
 */

/* Of the kind of a training step: tiles of products. Never change it: what is kept goes with it. */
static const char fixed[] =
    "typedef float f32;\n"
    "typedef f32 f32x16 __attribute__((vector_size(64), aligned(4)));\n"
    "#define LOAD(p) (*(const f32x16 *)(p))\n"
    "#define PRODUCT(name, rows, depth, wide)                                                   "
    "\\\n"
    "    void name(const f32 *restrict a, const f32 *restrict b, f32 *restrict c, long thread)  "
    "\\\n"
    "    {                                                                                      "
    "\\\n"
    "        for (long i = rows * thread; i < rows * (thread + 1); i += 4)                      "
    "\\\n"
    "            for (long j = 0; j < wide; j += 16) {                                          "
    "\\\n"
    "                f32x16 s0 = { 0 }, s1 = { 0 }, s2 = { 0 }, s3 = { 0 };                     "
    "\\\n"
    "                for (long k = 0; k < depth; k++) {                                         "
    "\\\n"
    "                    const f32x16 v = LOAD(b + wide * k + j);                               "
    "\\\n"
    "                    s0 += a[depth * i + k] * v, s1 += a[depth * (i + 1) + k] * v;          "
    "\\\n"
    "                    s2 += a[depth * (i + 2) + k] * v, s3 += a[depth * (i + 3) + k] * v;    "
    "\\\n"
    "                }                                                                          "
    "\\\n"
    "                *(f32x16 *)(c + wide * i + j) = s0 * s0 - 0.01f * s0;                     \\\n"
    "                *(f32x16 *)(c + wide * (i + 1) + j) = s1 * s1 - 0.01f * s1;               \\\n"
    "                *(f32x16 *)(c + wide * (i + 2) + j) = s2 / (1 + s2 * s2);                  "
    "\\\n"
    "                *(f32x16 *)(c + wide * (i + 3) + j) = s3 / (1 + s3 * s3);                  "
    "\\\n"
    "            }                                                                              "
    "\\\n"
    "    }\n"
    "#define THREE(name, rows, depth, wide)                                                     "
    "\\\n"
    "    PRODUCT(name##0, rows, depth, wide) PRODUCT(name##1, (rows + 8), (depth + 1), wide)    "
    "\\\n"
    "    PRODUCT(name##2, (rows + 16), (depth + 2), (wide + 16))\n"
    "THREE(a, 16, 784, 128) THREE(b, 16, 128, 64) THREE(c, 24, 64, 128) THREE(d, 32, 100, 256)\n"
    "THREE(e, 40, 256, 64) THREE(f, 48, 120, 96) THREE(g, 52, 84, 112) THREE(h, 60, 99, 32)\n"
    "THREE(i, 64, 500, 512) THREE(j, 12, 31, 48) THREE(k, 20, 29, 80) THREE(l, 28, 27, 144)\n";

/* In a process of its own: loading the compiler is part of what a start takes, too. */
static double compile_fixed(void)
{
    const struct run_options options = { .flags = ir_target_by_name("native")->flags,
                                         .no_cache = true };
    const double before = bench_cpu_seconds();
    struct ir_error error = { 0 };
    struct run_code *code = run_code_load(fixed, &options, &error);

    if (!code)
        fprintf(stderr, "compile: %s\n", error.text);
    run_code_free(code);
    return code ? bench_cpu_seconds() - before : 0;
}

/* Processors' seconds; 0: it failed. */
static double unit(void)
{
    int pipe_of[2], status = 1;
    double seconds = 0;
    pid_t child;

    fflush(stdout);
    if (pipe(pipe_of) || (child = fork()) < 0)
        return 0;
    if (child == 0) {
        seconds = compile_fixed();
        _exit(write(pipe_of[1], &seconds, sizeof seconds) != sizeof seconds);
    }
    close(pipe_of[1]);
    if (read(pipe_of[0], &seconds, sizeof seconds) != sizeof seconds)
        seconds = 0;
    close(pipe_of[0]);
    return waitpid(child, &status, 0) == child && status == 0 ? seconds : 0;
}

/* --- a cache of our own
 * --------------------------------------------------------------------------- */

static int remove_one(const char *path, const struct stat *info, int kind, struct FTW *where)
{
    (void)info, (void)kind, (void)where;
    return remove(path);
}

static void forget(const char *cache)
{
    nftw(cache, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* --- the library's size
 * ---------------------------------------------------------------------------- */

/* What is loaded: file size without symbols and debugging. */
static double loaded_bytes(FILE *file)
{
    Elf64_Ehdr head;
    Elf64_Phdr part;
    double bytes = 0;

    if (fread(&head, sizeof head, 1, file) != 1 || memcmp(head.e_ident, ELFMAG, SELFMAG) != 0 ||
        head.e_ident[EI_CLASS] != ELFCLASS64 || head.e_phentsize != sizeof part)
        return 0;
    for (int i = 0; i < head.e_phnum; i++) {
        if (fseek(file, (long)(head.e_phoff + (size_t)i * sizeof part), SEEK_SET) ||
            fread(&part, sizeof part, 1, file) != 1)
            return 0;
        if (part.p_type == PT_LOAD)
            bytes += (double)part.p_filesz;
    }
    return bytes;
}

static double library_bytes(void)
{
    char path[1200];
    FILE *file = beside(path, sizeof path, "../libtaper.so") ? fopen(path, "rbe") : NULL;
    double bytes = file ? loaded_bytes(file) : 0;

    if (file)
        fclose(file);
    return bytes;
}

/* --- all of it
 * ------------------------------------------------------------------------------------- */

static double median(const double *v, int rounds)
{
    return bench_quantile(v, (size_t)rounds, 0.5);
}

static double least(const double *v, int rounds)
{
    return bench_quantile(v, (size_t)rounds, 0);
}

static void report_costs(const char *workload, int rounds, const struct starts *cold, int warms,
                         const struct starts *warm, double one)
{
    printf("%s %.4f %.4f %.4g %.4g\n", workload, least(cold->first, rounds),
           least(warm->first, warms), least(cold->cpu, rounds) / one,
           least(warm->cpu, warms) / one);
    fflush(stdout);
}

static void report(const char *workload, int rounds, const struct starts *cold,
                   const struct starts *warm, bool json, bool more)
{
    if (json) {
        printf("{\"workload\": \"%s\", \"engine\": \"%s\", \"cold_first_s\": %.6f, "
               "\"cold_compile_s\": %.6f, \"cold_compile_min_s\": %.6f, \"warm_first_s\": %.6f, "
               "\"warm_first_min_s\": %.6f, \"warm_compile_s\": %.6f, \"warm_llvm\": %s, "
               "\"cold_rss_mb\": %.2f, \"warm_rss_mb\": %.2f}%s",
               workload, warm->engine, median(cold->first, rounds), median(cold->setup, rounds),
               bench_quantile(cold->setup, (size_t)rounds, 0), median(warm->first, rounds),
               bench_quantile(warm->first, (size_t)rounds, 0), median(warm->setup, rounds),
               warm->llvm ? "true" : "false", median(cold->memory_mb, rounds),
               median(warm->memory_mb, rounds), more ? ", " : "");
        return;
    }
    printf("%s, engine %s, medians of %d starts (min):\n", workload, warm->engine, rounds);
    printf("  empty cache: graph and compile %.1f ms (%.1f), first step done after %.1f ms (%.1f), "
           "at most %.1f MB resident\n",
           1e3 * median(cold->setup, rounds), 1e3 * bench_quantile(cold->setup, (size_t)rounds, 0),
           1e3 * median(cold->first, rounds), 1e3 * bench_quantile(cold->first, (size_t)rounds, 0),
           median(cold->memory_mb, rounds));
    printf("  second start: graph and compile %.2f ms (%.2f), first step done after %.2f ms "
           "(%.2f), at most %.1f MB resident, LLVM %s\n",
           1e3 * median(warm->setup, rounds), 1e3 * bench_quantile(warm->setup, (size_t)rounds, 0),
           1e3 * median(warm->first, rounds), 1e3 * bench_quantile(warm->first, (size_t)rounds, 0),
           median(warm->memory_mb, rounds), warm->llvm ? "WAS LOADED" : "was not loaded");
}

static int measure(const char *workload, int rounds, enum answer how, bool more)
{
    static struct starts cold, warm;
    const double before = how == COSTS ? unit() : 0;
    int status = 0, warms = 0;

    cold = warm = (struct starts){ .llvm = false };
    for (int i = 0; i < rounds && status == 0; i++) {
        char cache[] = "/tmp/taper-bench-XXXXXX";

        if (!mkdtemp(cache)) {
            fprintf(stderr, "compile: %s: %s\n", cache, strerror(errno));
            return 1;
        }
        status = note_start(&cold, i, workload, cache, how == COSTS);
        do /* the short ones waver most */
            status = status ? status : note_start(&warm, warms, workload, cache, how == COSTS);
        while (status == 0 && ++warms < ROUNDS && how == COSTS && warms % 4 &&
               warm.first[warms - 1] < 0.2);
        forget(cache);
    }
    if (status == 0 && how == COSTS) {
        const double after = unit();
        if (before <= 0 || after <= 0)
            return 1;
        report_costs(workload, rounds, &cold, warms, &warm, before < after ? before : after);
    } else if (status == 0)
        report(workload, rounds, &cold, &warm, how == JSON, more);
    return status ? status : warm.llvm;
}

int main(int argc, char **argv)
{
    const char *workload[WORKLOADS] = { "mlp" };
    int count = 0, status = 0;
    long rounds = 0;
    enum answer how = PLAIN;

    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], "--rounds") == 0 && i + 1 < argc)
            rounds = strtol(argv[++i], NULL, 10);
        else if (strcmp(argv[i], "--json") == 0 || strcmp(argv[i], "--costs") == 0)
            how = argv[i][2] == 'j' ? JSON : COSTS;
        else if (argv[i][0] != '-' && count < WORKLOADS)
            workload[count++] = argv[i];
        else {
            fprintf(stderr, "compile: '%.40s' is no option\n", argv[i]);
            return 2;
        }
    rounds = rounds ? rounds : how == COSTS ? 1 : 7;
    if (rounds < 1 || rounds > ROUNDS) {
        fprintf(stderr, "compile: expected 1 to %d rounds\n", ROUNDS);
        return 2;
    }
    count = count ? count : 1;
    if (how == JSON)
        printf("{\"library_bytes\": %.0f, \"starts\": [", library_bytes());
    else if (how == PLAIN)
        printf("libtaper.so: %.0f KB of code and data\n", library_bytes() / 1e3);
    for (int i = 0; i < count && status == 0; i++)
        status = measure(workload[i], (int)rounds, how, i + 1 < count);
    if (how == JSON)
        printf("]}\n");
    return status;
}

/*
 * explain: a training step kernel by kernel: what each computes, which kernels it reads and why it
 * is not one with them, its loops, and how near it comes to what the machine gives.
 *
 * Kernels are timed one by one, in the order of a step, as their data lie in it; the machine's
 * limits are measured before and after, in the same run.
 */
#include "command.h"
#include "roof.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { STEPS = 1000 };

struct explain {
    struct session session;
    struct ir_arena *arena;
    const struct explained *kernel;
    const char *fullest, *only;
    int kernels, steps;
    double *took; /* by kernel and step */
    double *middle, sum;
    struct roof roof;
    bool json, brief;
};

static int by_size(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

/* Whole steps, kernel by kernel; the first warms up. */
static bool time_kernels(struct explain *e, double seconds)
{
    struct session *s = &e->session;
    const double begun = run_seconds();
    int known;
    const struct profile *profile;

    known = tp_program_kernels(s->step, &profile);
    if (known != e->kernels) /* the interpreter has none */
        return ir_error(&s->error, IR_UNSUPPORTED,
                        "explain: the engine %s does not run kernel by kernel",
                        tp_program_engine(s->step));
    e->took = malloc(sizeof(double) * STEPS * (size_t)(e->kernels + 1));
    e->middle = ir_alloc(e->arena, sizeof(double) * (size_t)(e->kernels + 1));
    if (!e->took)
        return ir_error(&s->error, IR_FAILED, "not enough memory");
    while (e->steps < STEPS && (e->steps < 3 || run_seconds() - begun < seconds)) {
        for (int k = 0; k < e->kernels; k++) {
            const double from = run_seconds();
            tp_run_kernel(s->step, k);
            e->took[k * STEPS + (e->steps ? e->steps - 1 : 0)] = run_seconds() - from;
        }
        e->steps++;
    }
    e->steps--;
    for (int k = 0; k < e->kernels; k++) {
        qsort(e->took + k * STEPS, (size_t)e->steps, sizeof(double), by_size);
        e->middle[k] = e->took[k * STEPS + e->steps / 2];
        e->sum += e->middle[k];
    }
    return true;
}

static void put_json_text(struct ir_text *out, const char *name, const char *text)
{
    ir_put(out, ",\"%s\":\"", name);
    for (; *text; text++)
        if (*text == '\n')
            ir_put(out, "\\n");
        else
            ir_put(out, *text == '"' || *text == '\\' ? "\\%c" : "%c", *text);
    ir_put(out, "\"");
}

static void put_kernel_json(struct ir_text *out, const struct explain *e, int k)
{
    const struct explained *x = &e->kernel[k];
    bool by_bytes;
    const double least = roof_seconds(&e->roof, x->shared, x->flops, x->bytes, &by_bytes);

    ir_put(out,
           "{\"model\":\"%s\",\"kernel\":\"%s\",\"ms\":%.9g,\"share\":%.4g,\"flops\":%.9g,"
           "\"bytes\":%.9g,\"arena_bytes\":%lld,\"threads\":%d,\"barrier\":%s,"
           "\"operations\":%d,\"roof\":%.4g,\"bound\":\"%s\"",
           e->session.model, x->name, 1e3 * e->middle[k], e->middle[k] / e->sum, x->flops, x->bytes,
           (long long)x->alive, x->shared ? e->roof.threads : 1, x->barrier ? "true" : "false",
           x->operations, least / e->middle[k], by_bytes ? "bytes" : "flops");
    put_json_text(out, "maths", x->maths);
    put_json_text(out, "loops", x->loops);
    put_json_text(out, "tuned", x->tuned);
    ir_put(out, ",\"apart\":[");
    for (int i = 0; i < x->boundaries; i++)
        ir_put(out, "%s{\"from\":\"%s\",\"why\":\"%s\"}", i ? "," : "", x->boundary[i].kernel,
               x->boundary[i].reason);
    ir_put(out, "]}\n");
}

/* The same maths, loops and reasons as an earlier kernel's: its number, else -1. */
static int like(const struct explain *e, int k)
{
    for (int i = 0; i < k; i++) {
        const struct explained *a = &e->kernel[i], *b = &e->kernel[k];
        bool same = a->flops == b->flops && a->bytes == b->bytes && !strcmp(a->loops, b->loops) &&
                    a->operations == b->operations && a->boundaries == b->boundaries && *b->loops;
        for (int j = 0; same && j < a->boundaries; j++)
            same = !strcmp(a->boundary[j].reason, b->boundary[j].reason);
        if (same)
            return i;
    }
    return -1;
}

static void put_kernel(struct ir_text *out, const struct explain *e, int k)
{
    const struct explained *x = &e->kernel[k];
    const int first = e->only ? -1 : like(e, k);
    bool by_bytes;
    const double least = roof_seconds(&e->roof, x->shared, x->flops, x->bytes, &by_bytes),
                 took = e->middle[k];

    ir_put(out, "%9.4f %5.1f%% %9.3f %9.1f %8.1f %7.1f %5.0f%% %-5s  %s%s\n", 1e3 * took,
           100 * took / e->sum, x->flops * 1e-6, x->bytes / 1024, x->flops / took * 1e-9,
           x->bytes / took * 1e-9, 100 * least / took, by_bytes ? "bytes" : "flops", x->name,
           x->shared ? "" : " (one thread)");
    if (e->brief)
        return;
    if (first >= 0)
        ir_put(out, "          as %s\n", e->kernel[first].name);
    else
        tp_put_explained(out, x, "          ");
}

static void put_head(struct ir_text *out, const struct explain *e)
{
    const struct session *s = &e->session;
    int kernels = 0, operations = 0;

    for (int k = 0; k < e->kernels; k++)
        if (!e->kernel[k].mark) {
            kernels++;
            operations += e->kernel[k].operations;
        }
    ir_put(out, "%s: %lld rows a step, %d threads; %d operations in %d kernels, %.4f ms in all\n",
           s->model, (long long)s->step->symbol[0], e->roof.threads, operations, kernels,
           1e3 * e->sum);
    ir_put(out, "arena %.1f KiB, fullest at %s\n", (double)tp_program_bytes(s->step) / 1024,
           e->fullest);
    ir_put(out,
           "this machine now: %.0f GFLOP/s of multiply-adds (%.0f on one thread); %.0f GB/s over "
           "96 KB, %.0f over 1.5 MB, %.0f over 96 MB\n\n",
           e->roof.flops[1] * 1e-9, e->roof.flops[0] * 1e-9, e->roof.bytes[1][1] * 1e-9,
           e->roof.bytes[1][3] * 1e-9, e->roof.bytes[1][ROOF_SIZES - 1] * 1e-9);
    ir_put(out, "       ms  share     MFLOP       KiB  GFLOP/s    GB/s   roof of     kernel\n");
}

static bool tell(const struct explain *e, struct ir_error *error)
{
    struct ir_text out = { 0 };
    bool found = false;

    if (!e->json)
        put_head(&out, e);
    for (int k = 0; k < e->kernels; k++) {
        const char *name = e->kernel[k].name;
        if (e->kernel[k].mark && e->kernel[k].flops == 0 && e->middle[k] < 1e-7)
            continue;
        if (e->only && !tp_glob(e->only, name))
            continue;
        found = true;
        if (e->json)
            put_kernel_json(&out, e, k);
        else
            put_kernel(&out, e, k);
    }
    if (found)
        fwrite(out.data, 1, out.size, stdout);
    else
        ir_error(error, IR_REFUSED, "--kernel \"%.60s\": no kernel fits; expected a name or a glob",
                 e->only);
    ir_text_free(&out);
    return found;
}

/* The better of two measurements: what else the machine does can only lower them. */
static bool measure_twice(struct explain *e, double seconds, const char *flags, int threads)
{
    struct roof after;

    if (!roof_measure(&e->roof, flags, threads, &e->session.error) || !time_kernels(e, seconds) ||
        !roof_measure(&after, flags, threads, &e->session.error))
        return false;
    for (int side = 0; side < 2; side++) {
        e->roof.flops[side] = fmax(e->roof.flops[side], after.flops[side]);
        for (int i = 0; i < ROOF_SIZES; i++)
            e->roof.bytes[side][i] = fmax(e->roof.bytes[side][i], after.bytes[side][i]);
    }
    return true;
}

static bool explain(struct explain *e, const char *model, struct settings *set, double seconds)
{
    struct session *s = &e->session;

    set->profiled = true;
    if (!command_session(s, model, set, true) || !tp_next(s->train, s->step))
        return s->error.status == IR_OK && tp_error(s->graph)
                   ? ir_error(&s->error, tp_status(s->graph), "%s", tp_error(s->graph))
                   : false;
    e->kernel = tp_explained(s->step, e->arena, &e->kernels, &e->fullest);
    if (!e->kernel)
        return ir_error(&s->error, tp_status(s->graph), "%s", tp_error(s->graph));
    return measure_twice(e, seconds, ir_target_by_name("native")->flags,
                         tp_thread_count((int)s->settings.threads)) &&
           tell(e, &s->error);
}

int command_explain(int argc, char **argv, struct ir_error *error)
{
    struct settings set = command_unset;
    struct explain e = { .only = NULL };
    double seconds = 1;
    const struct option options[] = {
        { "--kernel", 's', &e.only, "GLOB", "those kernels only" },
        { "--brief", 'b', &e.brief, NULL, "a line a kernel" },
        { "--json", 'b', &e.json, NULL, "a JSON object a kernel" },
        { "--seconds", 'f', &seconds, "X", "time to measure in; 1" },
        { "--unfused", 'b', &set.unfused, NULL, "a kernel an operation, for comparison" },
        COMMAND_SETTINGS(set),
        { NULL, 0, NULL, NULL, NULL },
    };
    const struct usage usage = {
        "taper explain MODEL [options]",
        "Runs a model's training step kernel by kernel and prints for each: its time and share of\n"
        "the step; its flops and bytes, and those a second; the share of the roof, which is the\n"
        "time that its flops take at the machine's rate of multiply-adds, or its bytes at that of\n"
        "memory over so many bytes, whichever is more, both measured in this run (a function as\n"
        "exp counts as 12 flops; bytes are those it touches at least once); what it computes; the\n"
        "kernels that it reads, with the reason why it is not one with them; and its loops, from\n"
        "the outside in: threads share one, unrolled ones are written out, lanes are those of\n"
        "vectors.",
        "taper explain lenet", options
    };
    int words = command_options(argc, argv, &usage, error);

    if (words < 0)
        return words == -2 ? 0 : error->status;
    if (words != 1)
        return ir_error(error, IR_REFUSED,
                        "explain takes one model, %d are given; taper train lists them", words),
               IR_REFUSED;
    e.arena = ir_arena_new();
    explain(&e, argv[0], &set, seconds);
    *error = e.session.error;
    command_session_free(&e.session);
    free(e.took);
    ir_arena_free(e.arena);
    return error->status;
}

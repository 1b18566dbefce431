/*
 * bench: how long a step takes, per model and per kernel.
 *
 * The fused program stands beside itself on one thread, beside the same program with a kernel for
 * each operation, and beside the operations computed one by one as they are recorded. All take
 * turns, so that what else the machine does meets each of them.
 */
#include "command.h"
#include "frontend/data.h"
#include "frontend/models.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 2000, WAYS = 4, TURN = 8 }; /* steps that are timed; steps a turn */

struct way { /* of computing a step */
    const char *name, *about;
    bool unfused, alone, eager;
};
static const struct way ways[WAYS] = {
    { "fused", "as taper trains", false, false, false },
    { "one_thread", "fused, on one thread", false, true, false },
    { "unfused", "a kernel an operation", true, false, false },
    { "eager", "operation by operation, recorded anew", false, false, true },
};

struct contest {
    const struct way *way;
    struct session session;
    bool there;
    tp_graph *eager; /* of the last way */
    int count;
    double took[MOST]; /* milliseconds, in the end ascending */
};

static int by_size(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static double median(double *took, int count)
{
    qsort(took, (size_t)count, sizeof *took, by_size);
    return count ? took[count / 2] : (double)NAN;
}

/* --- a step of each kind ------------------------------------------------------------------------
 */

/* The program's batch as an array of the eager graph. */
static tp_tensor entered(struct contest *c, const char *name)
{
    const tp_program *p = c->session.step;
    const struct port *port = tp_program_input(p, name);
    const struct ir_node *n = port ? ir_at(p->graph, port->value) : NULL;
    tp_shape shape = { .rank = n ? n->shape.rank : 0 };

    for (int i = 0; i < shape.rank; i++)
        shape.dim[i] = ir_dim_value(p->graph, n->shape.dim[i], p->symbol);
    return n ? tp_array(c->eager, (tp_dtype)(n->dtype + 1), shape, port->data)
             : (tp_tensor){ .g = c->eager };
}

static bool eager_step(struct contest *c)
{
    struct session *s = &c->session;
    const struct model *model = tp_model_find(s->model);
    const struct model_sizes sizes = command_sizes(s);
    const tp_tensor y = entered(c, "y"), x = entered(c, "x");
    tp_group groups[2] = { { 0 } };
    struct model_values v;
    tp_schedule rate;
    tp_opt opt;

    if (!command_choose(s, &opt, groups, &rate))
        return false;
    v = tp_model_built(model, x, y, &sizes);
    tp_backward(v.loss);
    tp_update(c->eager, opt, rate);
    return tp_error(c->eager) == NULL ||
           ir_error(&s->error, tp_status(c->eager), "%s", tp_error(c->eager));
}

static bool step(struct contest *c)
{
    return c->way->eager ? eager_step(c) : tp_run(c->session.step);
}

static bool open_contest(struct contest *c, const struct way *way, const char *model,
                         const struct settings *set)
{
    struct settings own = *set;
    struct session *s = &c->session;

    c->way = way;
    own.unfused = way->unfused;
    own.threads = way->alone ? 1 : set->threads;
    if (!command_session(s, model, &own, true))
        return false;
    if (way->eager && !s->values)
        return true; /* a file has no function to record again */
    if (way->eager && !(c->eager = tp_eager_new((uint64_t)s->settings.seed)))
        return ir_error(&s->error, IR_FAILED, "not enough memory");
    c->there = tp_next(s->train, s->step);
    for (int i = 0; c->there && i < 3; i++)
        c->there = step(c);
    return c->there || s->error.status != IR_OK ||
           ir_error(&s->error, IR_FAILED, "%.100s: a step failed", model);
}

static bool take_turns(struct contest c[WAYS], double seconds)
{
    const double begun = run_seconds();
    bool more = true;

    while (more && run_seconds() - begun < seconds) {
        more = false;
        for (int way = 0; way < WAYS; way++)
            for (int i = 0; i < TURN && c[way].there && c[way].count < MOST; i++) {
                const double from = run_seconds();
                if (!step(&c[way]))
                    return false;
                if (i > 0) /* the first step of a turn brings the caches back */
                    c[way].took[c[way].count++] = 1e3 * (run_seconds() - from);
                more = true;
            }
    }
    return true;
}

/* --- telling -----------------------------------------------------------------------------------
 */

static void tell(struct contest c[WAYS], bool json)
{
    const tp_program *fused = c[0].session.step;
    const double base = median(c[0].took, c[0].count);

    if (!json)
        printf("%s: %lld rows a step, %d threads\n", c[0].session.model,
               (long long)fused->symbol[0], tp_thread_count(fused->making.threads));
    for (int i = 0; i < WAYS; i++) {
        const double middle = median(c[i].took, c[i].count);
        const tp_program *p = c[i].session.step;
        if (!c[i].there || c[i].count == 0)
            continue;
        if (json)
            printf(
                "{\"model\":\"%s\",\"way\":\"%s\",\"engine\":\"%s\",\"threads\":%d,\"rows\":%lld,"
                "\"steps\":%d,\"median_ms\":%.9g,\"least_ms\":%.9g,\"compile_seconds\":%.9g,"
                "\"arena_bytes\":%zu}\n",
                c[i].session.model, c[i].way->name, tp_program_engine(p),
                tp_thread_count(p->making.threads), (long long)p->symbol[0], c[i].count, middle,
                c[i].took[0], c[i].session.compile_seconds, tp_program_bytes(p));
        else
            printf("  %-11s median %9.4f ms  least %9.4f ms  %6.2fx  %s\n", c[i].way->name, middle,
                   c[i].took[0], middle / base, c[i].way->about);
    }
    fflush(stdout);
}

static bool bench(const char *model, const struct settings *set, double seconds, bool json,
                  struct ir_error *error)
{
    struct contest *c = calloc(WAYS, sizeof *c);
    bool ok = c != NULL;

    if (!c)
        return ir_error(error, IR_FAILED, "not enough memory");
    for (int i = 0; i < WAYS && ok; i++)
        ok = open_contest(&c[i], &ways[i], model, set);
    ok = ok && take_turns(c, seconds);
    if (ok)
        tell(c, json);
    for (int i = 0; i < WAYS; i++) {
        const struct session *s = &c[i].session;
        if (s->error.status != IR_OK)
            *error = s->error;
        else if (s->graph && tp_error(s->graph))
            ir_error(error, tp_status(s->graph), "%s", tp_error(s->graph));
        tp_graph_free(c[i].eager);
        command_session_free(&c[i].session);
    }
    free(c);
    return error->status == IR_OK;
}

/* --- kernel by kernel --------------------------------------------------------------------------
 */

struct walked {
    const struct profile *kernel;
    double *took, middle;
};

static int by_time(const void *a, const void *b)
{
    const double x = ((const struct walked *)a)->middle, y = ((const struct walked *)b)->middle;

    return (x < y) - (x > y);
}

/* Steps taken kernel by kernel; each is timed each time. Its call is in the time: 0.5 us. */
static int walk(tp_program *p, struct walked *w, int kernels, double seconds)
{
    const double begun = run_seconds();
    int count = 0;

    while (count < MOST && run_seconds() - begun < seconds) {
        for (int k = 0; k < kernels; k++) {
            const double from = run_seconds();
            tp_run_kernel(p, k);
            w[k].took[count] = 1e3 * (run_seconds() - from);
        }
        count++;
    }
    return count;
}

static void tell_kernels(const char *model, struct walked *w, int kernels, int count, bool json)
{
    double sum = 0;

    for (int k = 0; k < kernels; k++)
        sum += w[k].middle = median(w[k].took, count);
    qsort(w, (size_t)kernels, sizeof *w, by_time);
    if (!json)
        printf("%s: %d kernels, %.4f ms in all\n     ms   share  GFLOP/s   GB/s\n", model, kernels,
               sum);
    for (int k = 0; k < kernels; k++) {
        const struct profile *p = w[k].kernel;
        if (json)
            printf(
                "{\"model\":\"%s\",\"kernel\":\"%s\",\"steps\":%d,\"median_ms\":%.9g,\"least_ms\":"
                "%.9g,\"flops\":%.9g,\"bytes\":%.9g,\"shared\":%s}\n",
                model, p->name, count, w[k].middle, w[k].took[0], p->flops, p->bytes,
                p->shared ? "true" : "false");
        else
            printf("%8.4f  %4.1f%%  %7.1f  %5.1f  %s%s\n", w[k].middle, 100 * w[k].middle / sum,
                   p->flops / w[k].middle * 1e-6, p->bytes / w[k].middle * 1e-6, p->name,
                   p->shared ? "" : " (one thread)");
    }
    fflush(stdout);
}

static bool bench_kernels(const char *model, const struct settings *set, double seconds, bool json,
                          struct ir_error *error)
{
    struct settings own = *set;
    struct session s = { 0 };
    const struct profile *profile = NULL;
    struct walked *w = NULL;
    int kernels = 0;

    own.profiled = true;
    if (command_session(&s, model, &own, true) && tp_next(s.train, s.step)) {
        kernels = tp_program_kernels(s.step, &profile);
        w = calloc((size_t)kernels + 1, sizeof *w);
    }
    for (int k = 0; w && k < kernels; k++) {
        w[k].kernel = &profile[k];
        w[k].took = calloc(MOST, sizeof *w[k].took);
        if (!w[k].took)
            ir_error(&s.error, IR_FAILED, "not enough memory");
    }
    if (w && s.error.status == IR_OK)
        tell_kernels(model, w, kernels, walk(s.step, w, kernels, seconds), json);
    if (s.error.status == IR_OK && s.graph && tp_error(s.graph))
        ir_error(&s.error, tp_status(s.graph), "%s", tp_error(s.graph));
    for (int k = 0; w && k < kernels; k++)
        free(w[k].took);
    free(w);
    *error = s.error;
    command_session_free(&s);
    return error->status == IR_OK;
}

int command_bench(int argc, char **argv, struct ir_error *error)
{
    struct settings set = command_unset;
    double seconds = 3;
    bool json = false, kernels = false;
    const char *const usual[] = { "mlp", "lenet" };
    const struct option options[] = {
        { "--seconds", 'f', &seconds, "X", "for each model; 3" },
        { "--kernels", 'b', &kernels, NULL, "the fused program kernel by kernel" },
        { "--unfused", 'b', &set.unfused, NULL,
          "with --kernels: the one of a kernel an operation" },
        { "--data", 's', &set.data, "PATH|NAME", "what they train on: a text, for some of them" },
        COMMAND_SIZES(set),
        { "--batch", 'i', &set.batch, "N", "rows a step" },
        { "--threads", 'i', &set.threads, "N", "0: as many as the machine has" },
        { "--json", 'b', &json, NULL, "a JSON object a line" },
        { NULL, 0, NULL, NULL, NULL },
    };
    const struct usage usage = {
        "taper bench [MODEL...] [options]",
        "Times the training step of models: fused, on one thread, with a kernel an operation, and\n"
        "eager; the median over many steps, all in turns. Without a name: mlp and lenet.",
        "taper bench mlp lenet", options
    };
    int words = command_options(argc, argv, &usage, error);

    if (words < 0)
        return words == -2 ? 0 : error->status;
    for (int i = 0; i < (words ? words : 2); i++)
        if (!(kernels ? bench_kernels : bench)(words ? argv[i] : usual[i], &set, seconds, json,
                                               error))
            break;
    return error->status;
}

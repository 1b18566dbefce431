/*
 * bench: how long a step takes, per model.
 */
#include "command.h"
#include "frontend/models.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 400 }; /* steps that are timed */

static int by_size(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

/* Milliseconds of each of `count` steps, in ascending order. */
static int time_steps(struct session *s, double seconds, double took[MOST])
{
    const double begun = command_seconds();
    int count = 0;

    tp_next(s->train, s->step);
    for (int i = 0; i < 3 && tp_run(s->step); i++)
        ;
    while (count < MOST && tp_error(s->graph) == NULL && command_seconds() - begun < seconds) {
        const double from = command_seconds();
        tp_run(s->step);
        took[count++] = 1e3 * (command_seconds() - from);
    }
    qsort(took, (size_t)count, sizeof *took, by_size);
    return count;
}

static bool bench(const char *model, const struct settings *set, double seconds, bool json,
                  struct ir_error *error)
{
    struct session s = { 0 };
    double took[MOST];
    int count = 0;

    if (command_session(&s, model, set, true)) {
        count = time_steps(&s, seconds, took);
        if (tp_error(s.graph))
            ir_error(&s.error, tp_status(s.graph), "%s", tp_error(s.graph));
    }
    *error = s.error;
    if (count && error->status == IR_OK && json)
        printf("{\"model\":\"%s\",\"engine\":\"%s\",\"rows\":%lld,\"steps\":%d,\"median_ms\":%.9g,"
               "\"least_ms\":%.9g,\"compile_seconds\":%.9g,\"arena_bytes\":%zu}\n",
               model, tp_program_engine(s.step), (long long)s.step->symbol[0], count,
               took[count / 2], took[0], s.compile_seconds, tp_program_bytes(s.step));
    else if (count && error->status == IR_OK)
        printf("%-9s %-12s %4lld rows  median %9.4f ms  least %9.4f ms  of %d steps\n", model,
               tp_program_engine(s.step), (long long)s.step->symbol[0], took[count / 2], took[0],
               count);
    fflush(stdout);
    command_session_free(&s);
    return error->status == IR_OK;
}

int command_bench(int argc, char **argv, struct ir_error *error)
{
    struct settings set = command_unset;
    double seconds = 3;
    bool json = false;
    const struct option options[] = {
        { "--seconds", 'f', &seconds, "X", "for each model; 3" },
        { "--batch", 'i', &set.batch, "N", "rows a step" },
        { "--threads", 'i', &set.threads, "N", "0: as many as the machine has" },
        { "--json", 'b', &json, NULL, "a JSON object a line" },
        { NULL, 0, NULL, NULL, NULL },
    };
    const struct usage usage = { "taper bench [MODEL...] [options]",
                                 "Times the training step of models, the median over many steps.",
                                 "taper bench mlp lenet", options };
    int words = command_options(argc, argv, &usage, error);

    if (words < 0)
        return words == -2 ? 0 : error->status;
    for (int i = 0; i < words; i++)
        if (!bench(argv[i], &set, seconds, json, error))
            break;
    for (const struct model *m = tp_models; words == 0 && m->name; m++)
        if (!bench(m->name, &set, seconds, json, error))
            break;
    return error->status;
}

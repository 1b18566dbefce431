/*
 * memory: how many bytes were asked for, and the batch of the evaluation that they allow.
 *
 * Both are found by planning: a program made with .plan_only knows its bytes and has none.
 */
#include "command.h"

#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name;
    double bytes;
} units[] = { { "", 1 },     { "B", 1 },         { "K", 1e3 },       { "M", 1e6 },
              { "G", 1e9 },  { "kB", 1e3 },      { "KB", 1e3 },      { "MB", 1e6 },
              { "GB", 1e9 }, { "KiB", 1 << 10 }, { "MiB", 1 << 20 }, { "GiB", 1 << 30 },
              { "%", 0 },    { NULL, 0 } };

static bool read_size(const char *text, double *number, int *unit, struct ir_error *error)
{
    char *end;

    *number = strtod(text, &end);
    *unit = 0;
    while (units[*unit].name && strcmp(units[*unit].name, end) != 0)
        ++*unit;
    if (end == text || !units[*unit].name || !(*number > 0) || *number * 1e9 > 1e18)
        return ir_error(error, IR_REFUSED,
                        "--memory \"%.40s\": expected bytes, as 800000, 800K, 2M, 512KiB or 1GiB, "
                        "or 75%% of what the step takes by itself",
                        text);
    return true;
}

/* Bytes of a plan, which is freed; -1 with an error. */
static int64_t plan_bytes(struct session *s, tp_program *p)
{
    const int64_t bytes = p ? (int64_t)tp_program_bytes(p) : -1;

    if (!p)
        ir_error(&s->error, tp_status(s->graph), "%s", tp_error(s->graph));
    tp_program_free(p);
    return bytes;
}

bool command_memory(struct session *s, tp_program *plan(struct session *s, int64_t batch),
                    int64_t batch)
{
    int64_t whole;
    double number;
    int unit;

    if (!s->settings.memory)
        return true;
    if (!read_size(s->settings.memory, &number, &unit, &s->error))
        return false;
    if (units[unit].bytes > 0) {
        s->memory = (int64_t)(number * units[unit].bytes);
        return true;
    }
    whole = plan_bytes(s, plan(s, batch));
    s->memory = (int64_t)(number / 100 * (double)whole);
    return whole >= 0;
}

int64_t command_fitting_batch(struct session *s, tp_program *plan(struct session *s, int64_t batch),
                              int64_t most)
{
    int64_t fits = 0, fails = most + 1;

    for (int64_t batch = most; s->memory && fails - fits > 1; batch = fits + (fails - fits) / 2) {
        const int64_t bytes = plan_bytes(s, plan(s, batch));
        if (bytes < 0)
            return most;
        if (bytes <= s->memory)
            fits = batch;
        else
            fails = batch;
    }
    return !s->memory ? most : fits ? fits : 1; /* which the planner will refuse, with its reason */
}

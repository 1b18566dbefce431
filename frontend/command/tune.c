/*
 * tune: searches schedules of a model's training step and keeps what is quicker.
 */
#include "command.h"

#include <stdio.h>
#include <string.h>

#include "frontend/tuned.h"

static void put_ms(struct ir_text *out, double before, double after)
{
    ir_put(out, "%10.4f %10.4f %6.1f%%", 1e3 * before, 1e3 * after, 100 * (after / before - 1));
}

/* "rows 6 -> 8": what the rules say, and what was chosen */
static void put_choices(struct ir_text *out, const struct tuned_kernel *k)
{
    static const char *const name[] = {
#define KNOB(NAME, name, most, help) #name,
#include "ir/knobs.def"
#undef KNOB
    };
    const char *between = "";

    for (int i = 0; i < LOOP_KNOBS; i++)
        if (k->choice.of[i] && k->choice.of[i] != k->rule.of[i]) {
            ir_put(out, "%s%s %d -> %d", between, name[i], k->rule.of[i], k->choice.of[i]);
            between = ", ";
        }
}

static void put_report(struct ir_text *out, const struct session *s, const struct tune_report *r,
                       double seconds, const char *save)
{
    ir_put(out, "%s: %d kinds of kernels tried, %d are quicker by another schedule\n", s->model,
           r->measured, r->kernels);
    if (r->kernels)
        ir_put(out, " ms before        now           kernel, what has changed\n");
    for (int i = 0; i < r->kernels; i++) {
        put_ms(out, r->kernel[i].before, r->kernel[i].after);
        ir_put(out, "  %s: ", r->kernel[i].name);
        put_choices(out, &r->kernel[i]);
        ir_put(out, "\n");
    }
    put_ms(out, r->before, r->after);
    ir_put(out, "  the whole step; %d programs in %.1f s; ", r->compiled, seconds);
    if (r->strange)
        ir_put(out, "%d of other bits, dropped; ", r->strange);
    if (!r->kernels)
        ir_put(out, "nothing to keep\n");
    else
        ir_put(out, save ? "kept in %s\n" : "kept in the cache\n", save);
}

int command_tune(int argc, char **argv, struct ir_error *error)
{
    struct settings set = command_unset;
    struct session s = { .graph = NULL };
    struct tune_report report;
    struct ir_text out = { 0 };
    const char *save = NULL;
    double seconds = 60, begun;
    const struct option options[] = {
        { "--seconds", 'f', &seconds, "X", "no new try after so many; 60" },
        { "--save", 's', &save, "FILE", "keep it there, for --schedules, not in the cache" },
        COMMAND_SETTINGS(set),
        { NULL, 0, NULL, NULL, NULL },
    };
    const struct usage usage = {
        "taper tune MODEL [options]",
        "Searches schedules of the kernels of a model's training step by measuring them: tile\n"
        "heights and widths, which operand is copied first, which loop goes in lanes and which is\n"
        "divided among threads, what is written out. All give the same bits, which is looked at,\n"
        "too. What makes the step quicker is kept, and used wherever the same kernels are "
        "compiled\n"
        "for this machine and as many threads: by train, build, explain and the library. Nothing\n"
        "needs it: without, rules decide. `taper cache clear` forgets it.",
        "taper tune lenet --seconds 20", options
    };
    int words = command_options(argc, argv, &usage, error);

    if (words < 0)
        return words == -2 ? 0 : error->status;
    if (words != 1 || !(seconds > 0 && seconds < 1e9))
        return ir_error(error, IR_REFUSED,
                        words != 1 ? "tune takes one model, %d are given; taper train lists them"
                                   : "--seconds: expected more than 0",
                        words),
               IR_REFUSED;
    if (command_session(&s, argv[0], &set, true) && tp_next(s.train, s.step)) {
        struct ir_arena *arena = ir_arena_new();
        begun = run_seconds();
        if (tp_tune_search(s.step, seconds, save, arena, &report)) {
            put_report(&out, &s, &report, run_seconds() - begun, save);
            fwrite(out.data, 1, out.size, stdout);
        }
        ir_arena_free(arena);
    }
    *error = s.error;
    if (error->status == IR_OK && s.graph && tp_error(s.graph))
        ir_error(error, tp_status(s.graph), "%s", tp_error(s.graph));
    ir_text_free(&out);
    command_session_free(&s);
    return error->status;
}

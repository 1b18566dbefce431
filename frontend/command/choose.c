/*
 * choose: an optimiser and a schedule by their names. A schedule gets its lengths from the number
 * of updates that are to be made, so one word on the command's line is enough.
 */
#include "command.h"

#include <math.h>
#include <string.h>

#include "frontend/data.h"

enum { MOST_RUNS = 1 << 20 };

/* What is tried first of an optimiser that the recipe does not name. */
double command_usual_rate(const char *optimiser)
{
    static const struct {
        const char *optimiser;
        double rate;
    } usual[] = { { "sgd", 0.05 }, { "adadelta", 1 }, { "lars", 1 }, { "lion", 1e-4 } };

    for (size_t i = 0; i < sizeof usual / sizeof *usual; i++)
        if (strcmp(usual[i].optimiser, optimiser) == 0)
            return usual[i].rate;
    return 1e-3;
}

static bool choose_optimiser(const struct settings *s, tp_opt *opt, tp_group groups[2],
                             struct ir_error *error)
{
    tp_opt o = { .momentum = s->momentum, .weight_decay = s->weight_decay };
    struct ir_text names = { 0 };

    if (s->freeze) {
        groups[0] = (tp_group){ .match = s->freeze, .frozen = true };
        o.groups = groups;
    }
    for (int kind = 0; tp_opt_name(kind); kind++) {
        if (strcmp(s->optimiser, tp_opt_name(kind)) == 0) {
            ir_text_free(&names);
            *opt = tp_opt_of(kind, o);
            return true;
        }
        ir_put(&names, "%s%s", kind ? ", " : "", tp_opt_name(kind));
    }
    ir_error(error, IR_REFUSED, "--opt \"%.40s\": expected one of %s", s->optimiser, names.data);
    ir_text_free(&names);
    return false;
}

/* --- schedules: of a rate and so many updates ---------------------------------------------------
 */

static tp_schedule constant(double rate, double updates)
{
    (void)updates;
    return tp_const(rate);
}

static tp_schedule cosine(double rate, double updates)
{
    return tp_cosine(rate, 0, updates);
}

static tp_schedule linear(double rate, double updates)
{
    return tp_linear_decay(rate, rate / 10, updates);
}

static tp_schedule polynomial(double rate, double updates)
{
    return tp_polynomial(rate, 0, updates, 2);
}

static tp_schedule exponential(double rate, double updates) /* to a hundredth */
{
    return tp_exponential_decay(rate, pow(0.01, 1 / updates));
}

static tp_schedule step(double rate, double updates) /* by a tenth after each third */
{
    return tp_step_decay(rate, 0.1, ceil(updates / 3));
}

static tp_schedule multistep(double rate, double updates) /* arXiv:1512.03385, section 4.2 */
{
    return tp_multistep(rate, 0.1, floor(updates / 2), floor(updates * 3 / 4));
}

static tp_schedule restarts(double rate, double updates) /* 1 + 2 + 4 parts of seven */
{
    return tp_cosine_restarts(rate, 0, ceil(updates / 7), 2);
}

static tp_schedule one_cycle(double rate, double updates)
{
    return tp_one_cycle(rate, updates);
}

static tp_schedule inverse_sqrt(double rate, double updates)
{
    return tp_inverse_sqrt(rate, ceil(updates / 10));
}

static tp_schedule stable(double rate, double updates) /* falls in the last fifth */
{
    return tp_wsd(rate, 0, updates, ceil(updates / 5));
}

static const struct {
    const char *name;
    tp_schedule (*make)(double rate, double updates);
} schedules[] = {
    { "constant", constant },
    { "cosine", cosine },
    { "linear", linear },
    { "polynomial", polynomial },
    { "exponential", exponential },
    { "step", step },
    { "multistep", multistep },
    { "restarts", restarts },
    { "one-cycle", one_cycle },
    { "inverse-sqrt", inverse_sqrt },
    { "wsd", stable },
};
enum { SCHEDULES = sizeof schedules / sizeof *schedules };

static bool choose_schedule(const struct session *s, tp_schedule *to, struct ir_error *error)
{
    const int64_t steps = s->settings.epochs * tp_loader_batches(s->train),
                  updates = steps >= s->settings.accumulate ? steps / s->settings.accumulate : 1;
    const double rise = floor(s->settings.warmup * (double)updates);
    struct ir_text names = { 0 };

    for (int i = 0; i < SCHEDULES; i++) {
        if (strcmp(s->settings.schedule, schedules[i].name) == 0) {
            ir_text_free(&names);
            *to = schedules[i].make(s->settings.rate, (double)updates);
            if (rise > 0)
                *to = tp_warmup(rise, *to);
            return true;
        }
        ir_put(&names, "%s%s", i ? ", " : "", schedules[i].name);
    }
    ir_error(error, IR_REFUSED, "--schedule \"%.40s\": expected one of %s", s->settings.schedule,
             names.data);
    ir_text_free(&names);
    return false;
}

bool command_choose(struct session *s, tp_opt *opt, tp_group groups[2], tp_schedule *rate)
{
    const int64_t runs = s->settings.accumulate;

    if (runs < 1 || runs > MOST_RUNS)
        return ir_error(&s->error, IR_REFUSED, "--accumulate %lld: expected 1 to %d steps",
                        (long long)runs, MOST_RUNS);
    if (s->settings.freeze && tp_params(s->graph, s->settings.freeze, 0, NULL) == 0)
        return ir_error(
            &s->error, IR_REFUSED,
            "--freeze \"%.40s\": no parameter of %.200s fits; expected a name or a glob",
            s->settings.freeze, s->model);
    return choose_optimiser(&s->settings, opt, groups, &s->error) &&
           choose_schedule(s, rate, &s->error);
}

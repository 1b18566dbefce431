/*
 * schedule: the learning rate as a function of the step counter, a formula each, so a trainer needs
 * nothing from outside to follow it.
 *
 * Letters: t the step, from 0; b where it begins, c where it ends, n how many steps that takes, f a
 * factor, q another number; w the steps of warm-up, which are the schedule's first.
 */
#include <math.h>
#include <string.h>

#include "frontend/frontend.h"

enum {
    NO_SCHEDULE,
    CONSTANT,
    COSINE,
    LINEAR,
    STEPS,
    EXPONENTIAL,
    POLYNOMIAL,
    MULTISTEP,
    RESTARTS,
    ONE_CYCLE,
    INVERSE_SQRT,
    STABLE_DECAY,
    GIVEN
};

tp_schedule tp_const(double rate)
{
    return (tp_schedule){ .kind = CONSTANT, .from = rate };
}

tp_schedule tp_cosine(double from, double to, double steps)
{
    return (tp_schedule){ .kind = COSINE, .from = from, .to = to, .steps = steps };
}

tp_schedule tp_linear_decay(double from, double to, double steps)
{
    return (tp_schedule){ .kind = LINEAR, .from = from, .to = to, .steps = steps };
}

tp_schedule tp_step_decay(double from, double factor, double every)
{
    return (tp_schedule){ .kind = STEPS, .from = from, .factor = factor, .steps = every };
}

tp_schedule tp_exponential_decay(double from, double factor)
{
    return (tp_schedule){ .kind = EXPONENTIAL, .from = from, .factor = factor };
}

tp_schedule tp_polynomial(double from, double to, double steps, double power)
{
    return (
        tp_schedule){ .kind = POLYNOMIAL, .from = from, .to = to, .steps = steps, .factor = power };
}

tp_schedule tp_multistep_of(double from, double factor, tp_milestones at)
{
    return (tp_schedule){ .kind = MULTISTEP, .from = from, .factor = factor, .at = at };
}

tp_schedule tp_cosine_restarts(double from, double to, double period, double longer)
{
    return (
        tp_schedule){ .kind = RESTARTS, .from = from, .to = to, .steps = period, .factor = longer };
}

tp_schedule tp_one_cycle(double most, double steps)
{
    return (tp_schedule){ .kind = ONE_CYCLE, .from = most, .steps = steps, .factor = 0.3 };
}

tp_schedule tp_inverse_sqrt(double most, double warmup)
{
    return (tp_schedule){ .kind = INVERSE_SQRT, .from = most, .steps = warmup };
}

tp_schedule tp_wsd(double from, double to, double steps, double decay)
{
    return (tp_schedule){
        .kind = STABLE_DECAY, .from = from, .to = to, .steps = steps, .factor = decay
    };
}

tp_schedule tp_given(double rate)
{
    return (tp_schedule){ .kind = GIVEN, .from = rate };
}

bool tp_set_rate(tp_graph *g, double rate)
{
    const tp_tensor state = tp_find(g, "taper.rate");

    if (state.id)
        return tp_set_values(state, &rate, sizeof rate);
    ir_error(&g->error, IR_REFUSED,
             "tp_set_rate: no program has a rate that is given; expected .lr = tp_given(rate)");
    return tp_tell(g);
}

tp_schedule tp_warmup(double steps, tp_schedule then)
{
    then.warmup = steps;
    return then;
}

bool tp_schedule_good(const tp_schedule *s)
{
    bool good = s->from >= 0 && isfinite(s->from) && isfinite(s->to) && isfinite(s->steps) &&
                isfinite(s->factor) && s->at.count >= 0 && s->at.count <= TP_MILESTONES;

    for (int i = 0; good && i < s->at.count; i++)
        good = isfinite(s->at.step[i]);
    return good;
}

double tp_schedule_end(const tp_schedule *s)
{
    return s->kind == COSINE || s->kind == LINEAR || s->kind == POLYNOMIAL ||
                   s->kind == ONE_CYCLE || s->kind == STABLE_DECAY
               ? s->steps
               : 0;
}

/* --- the formulas ------------------------------------------------------------------------------
 */

static void let(struct letters *l, char letter, double number)
{
    tp_let(l, letter, number);
}

/* The product of a factor for each milestone behind us. */
static ir_val multistep(struct letters *l, const tp_schedule *s)
{
    ir_val rate = l->name['b' - 'a'];

    let(l, 'f', s->factor != 0 ? s->factor : 0.1);
    for (int i = 0; i < s->at.count; i++) {
        let(l, 'n', s->at.step[i]);
        l->name['r' - 'a'] = rate;
        rate = tp_spelled(l, "r * select(t - w >= n, f, 1)");
    }
    return rate;
}

/* Each period is `longer` times the one before; u: the step within the period, n: its length. */
static ir_val restarts(struct letters *l, const tp_schedule *s)
{
    const double longer = s->factor > 1 ? s->factor : 1;

    let(l, 'n', s->steps > 1 ? s->steps : 1);
    let(l, 'p', 3.14159265358979323846);
    if (longer == 1) {
        l->name['u' - 'a'] = tp_spelled(l, "mod(max(t - w, 0), n)");
    } else {
        let(l, 'q', 1 / log(longer));
        let(l, 'f', longer);
        /* the period's number, from the sum of a geometric row; a little more than rounding */
        l->name['i' - 'a'] =
            tp_spelled(l, "floor(log(1 + max(t - w, 0) / n * (f - 1)) * q + 0.000000001)");
        let(l, 'k', log(longer));
        l->name['j' - 'a'] = tp_spelled(l, "round(exp(i * k) * 1048576) / 1048576");
        l->name['u' - 'a'] = tp_spelled(l, "max(t - w, 0) - n * (j - 1) / (f - 1)");
        l->name['n' - 'a'] = tp_spelled(l, "n * j");
    }
    return tp_spelled(l, "c + (b - c) * 0.5 * (1 + cos(p * u / n))");
}

/* Up from b/25 in the first 30 %, down to a 10,000th of that (arXiv:1708.07120, as PyTorch's). */
static ir_val one_cycle(struct letters *l, const tp_schedule *s)
{
    const double up = s->factor * s->steps - 1, all = s->steps - 1;

    let(l, 'k', up > 0 ? up : 1);
    let(l, 'n', all - up > 0 ? all - up : 1);
    let(l, 'p', 3.14159265358979323846);
    let(l, 'i', s->from / 25);
    let(l, 'j', s->from / 25 / 1e4);
    return tp_spelled(l, "select(t <= k, b + (i - b) * 0.5 * (1 + cos(p * t / k)), "
                         "j + (b - j) * 0.5 * (1 + cos(p * min((t - k) / n, 1))))");
}

/* t counts from the end of the warm-up, in units of what is left of the schedule. */
static ir_val decayed(struct letters *l, const tp_schedule *s)
{
    const double length = s->steps - s->warmup > 1 ? s->steps - s->warmup : 1;

    let(l, 'b', s->from);
    let(l, 'c', s->to);
    let(l, 'w', s->warmup);
    switch (s->kind) {
    case COSINE:
        let(l, 'n', length);
        let(l, 'p', 3.14159265358979323846 / length);
        return tp_spelled(l, "c + (b - c) * 0.5 * (1 + cos(min(max(t - w, 0), n) * p))");
    case LINEAR:
        let(l, 'n', length);
        return tp_spelled(l, "b + (c - b) * (min(max(t - w, 0), n) / n)");
    case STEPS:
        let(l, 'f', log(s->factor > 0 ? s->factor : 0.1));
        let(l, 'n', s->steps > 1 ? s->steps : 1);
        return tp_spelled(l, "b * exp(f * floor(max(t - w, 0) / n))");
    case EXPONENTIAL:
        let(l, 'f', log(s->factor > 0 ? s->factor : 1));
        return tp_spelled(l, "b * exp(f * max(t - w, 0))");
    case POLYNOMIAL:
        let(l, 'n', length);
        let(l, 'f', s->factor != 0 ? s->factor : 1);
        return tp_spelled(l, "c + (b - c) * pow(1 - min(max(t - w, 0), n) / n, f)");
    case MULTISTEP:
        return multistep(l, s);
    case RESTARTS:
        return restarts(l, s);
    case ONE_CYCLE:
        return one_cycle(l, s);
    case INVERSE_SQRT:
        let(l, 'n', s->steps > 1 ? s->steps : 1);
        return tp_spelled(l, "b * min((t + 1) / n, sqrt(n / (t + 1)))");
    case STABLE_DECAY:
        let(l, 'n', s->factor > 1 ? s->factor : 1);
        let(l, 'q', s->steps - (s->factor > 1 ? s->factor : 1));
        return tp_spelled(l, "b + (c - b) * min(max(t - q, 0) / n, 1)");
    case GIVEN:
        return ir_cast(l->g,
                       ir_state(l->g, "taper.rate", IR_F64, (struct ir_shape){ 0 },
                                IR_INIT_CONSTANT, s->from, 0, l->at),
                       l->dtype, l->at);
    default:
        return l->name['b' - 'a'];
    }
}

ir_val tp_schedule_value(const struct update *u, enum ir_dtype dtype)
{
    /* a step that is told apart from its neighbour in f32 too */
    const bool wide = u->rate->kind == RESTARTS;
    struct letters l = { .g = u->graph, .dtype = wide ? IR_F64 : dtype, .at = u->at };
    ir_val rate;

    l.name['t' - 'a'] = ir_cast(u->graph, u->steps, l.dtype, u->at);
    rate = decayed(&l, u->rate);
    if (u->rate->warmup > 0) {
        l.name['r' - 'a'] = rate;
        rate = tp_spelled(&l, "r * min((t + 1) / w, 1)");
    }
    return ir_cast(u->graph, rate, dtype, u->at);
}

/*
 * optim: optimisers and schedules, spelled as nodes of the step.
 *
 * A schedule is a function of the step counter, so a trainer needs nothing from outside to follow
 * it. Names of states are PyTorch's. Rules: PyTorch's too, see the formulas.
 */
#include <math.h>
#include <string.h>

#include "frontend/frontend.h"

enum { SGD, ADAM, ADAMW, RMSPROP, ADAGRAD };
enum { NO_SCHEDULE, CONSTANT, COSINE, LINEAR, STEPS };

tp_opt tp_opt_of(int kind, tp_opt o)
{
    o.kind = kind;
    o.beta1 = o.beta1 != 0 ? o.beta1 : 0.9;
    o.beta2 = o.beta2 != 0 ? o.beta2 : 0.999;
    o.alpha = o.alpha != 0 ? o.alpha : 0.99;
    o.eps = o.eps != 0 ? o.eps : kind == ADAGRAD ? 1e-10 : 1e-8;
    if (kind == ADAMW && o.weight_decay == 0 && !o.no_decay)
        o.weight_decay = 0.01;
    return o;
}

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

tp_schedule tp_warmup(double steps, tp_schedule then)
{
    then.warmup = steps;
    return then;
}

double tp_schedule_end(const tp_schedule *s)
{
    return s->kind == COSINE || s->kind == LINEAR ? s->steps : 0;
}

/* --- the rate ----------------------------------------------------------------------------------
 */

struct letters { /* a formula with its numbers */
    struct ir_graph *g;
    enum ir_dtype dtype;
    struct ir_loc at;
    ir_val name[26];
};

static void let(struct letters *l, char letter, double number)
{
    l->name[letter - 'a'] = ir_number(l->g, l->dtype, number, l->at);
}

static ir_val formula(struct letters *l, const char *text)
{
    return ir_formula(l->g, text, l->name, l->at);
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
        return formula(l, "c + (b - c) * 0.5 * (1 + cos(min(max(t - w, 0), n) * p))");
    case LINEAR:
        let(l, 'n', length);
        return formula(l, "b + (c - b) * (min(max(t - w, 0), n) / n)");
    case STEPS:
        let(l, 'f', log(s->factor > 0 ? s->factor : 0.1));
        let(l, 'n', s->steps > 1 ? s->steps : 1);
        return formula(l, "b * exp(f * floor(max(t - w, 0) / n))");
    default:
        return l->name['b' - 'a'];
    }
}

ir_val tp_schedule_value(const struct update *u, enum ir_dtype dtype)
{
    struct letters l = { .g = u->graph, .dtype = dtype, .at = u->at };
    ir_val rate;

    l.name['t' - 'a'] = ir_cast(u->graph, u->steps, dtype, u->at);
    rate = decayed(&l, u->rate);
    if (u->rate->warmup > 0) {
        l.name['r' - 'a'] = rate;
        rate = formula(&l, "r * min((t + 1) / w, 1)");
    }
    return rate;
}

/* --- the update --------------------------------------------------------------------------------
 */

struct rule { /* what holds for one parameter: the last group that fits its name decides */
    double lr_scale, weight_decay;
    bool frozen;
};

static struct rule rule_of(const tp_opt *o, const char *name)
{
    struct rule rule = { .lr_scale = 1, .weight_decay = o->weight_decay };

    for (const tp_group *group = o->groups; group && group->match; group++) {
        if (!tp_glob(group->match, name))
            continue;
        rule.lr_scale = group->lr_scale != 0 ? group->lr_scale : 1;
        rule.weight_decay = group->no_decay            ? 0
                            : group->weight_decay != 0 ? group->weight_decay
                                                       : o->weight_decay;
        rule.frozen = group->frozen;
    }
    return rule;
}

bool tp_opt_frozen(const tp_opt *o, const char *name)
{
    return rule_of(o, name).frozen;
}

static ir_val moment(struct letters *l, ir_val parameter, const char *leaf)
{
    const struct ir_node n = *ir_at(l->g, parameter);

    return ir_state(l->g, ir_format(l->g->arena, "%s.%s", n.text, leaf), n.dtype, n.shape,
                    IR_INIT_ZERO, 0, 0, l->at);
}

/* state = formula, which is then letter's value too: what the update reads is the new one */
static void advance(struct letters *l, char letter, ir_val state, const char *text)
{
    l->name[letter - 'a'] = state;
    l->name[letter - 'a'] = formula(l, text);
    ir_assign(l->g, state, l->name[letter - 'a'], l->at);
}

/* 1 - beta^t without cancellation */
static ir_val correction(struct letters *l, double beta)
{
    let(l, 'l', log(beta));
    return formula(l, "-expm1((t + 1) * l)");
}

/* p: parameter, g: gradient, r: rate; gives the new p */
static ir_val stepped(struct letters *l, const tp_opt *o, ir_val parameter)
{
    switch (o->kind) {
    case ADAM:
    case ADAMW:
        let(l, 'b', o->beta1);
        let(l, 'c', 1 - o->beta1);
        advance(l, 'm', moment(l, parameter, "exp_avg"), "b * m + c * g");
        let(l, 'b', o->beta2);
        let(l, 'c', 1 - o->beta2);
        advance(l, 'v', moment(l, parameter, "exp_avg_sq"), "b * v + c * (g * g)");
        l->name['x' - 'a'] = correction(l, o->beta1);
        l->name['y' - 'a'] = correction(l, o->beta2);
        let(l, 'e', o->eps);
        return formula(l, "p - r / x * m / (sqrt(v) * rsqrt(y) + e)");
    case RMSPROP:
        let(l, 'b', o->alpha);
        let(l, 'c', 1 - o->alpha);
        let(l, 'e', o->eps);
        advance(l, 'v', moment(l, parameter, "square_avg"), "b * v + c * (g * g)");
        return formula(l, "p - r * g / (sqrt(v) + e)");
    case ADAGRAD:
        let(l, 'e', o->eps);
        advance(l, 'v', moment(l, parameter, "sum"), "v + g * g");
        return formula(l, "p - r * g / (sqrt(v) + e)");
    default:
        if (o->momentum == 0)
            return formula(l, "p - r * g");
        let(l, 'b', o->momentum);
        advance(l, 'v', moment(l, parameter, "momentum_buffer"), "b * v + g");
        return formula(l, o->nesterov ? "p - r * (g + b * v)" : "p - r * v");
    }
}

void tp_opt_update(const struct update *u, ir_val parameter, ir_val gradient)
{
    const struct ir_node n = *ir_at(u->graph, parameter);
    const struct rule rule = rule_of(u->opt, n.text);
    struct letters l = { .g = u->graph, .dtype = n.dtype, .at = u->at };
    uint32_t before = u->graph->count;
    uint32_t region =
        ir_region_open(u->graph, "optimiser", n.text, 2, (ir_val[]){ parameter, gradient },
                       (struct ir_list){ 0 }, u->at);
    ir_val rate = tp_schedule_value(u, n.dtype), next;

    l.name['t' - 'a'] = ir_cast(u->graph, u->steps, n.dtype, u->at);
    l.name['p' - 'a'] = parameter;
    l.name['g' - 'a'] = gradient;
    l.name['r' - 'a'] = rate;
    if (rule.lr_scale != 1) {
        let(&l, 's', rule.lr_scale);
        l.name['r' - 'a'] = formula(&l, "r * s");
    }
    if (rule.weight_decay != 0) {
        let(&l, 'd', rule.weight_decay);
        if (u->opt->kind == ADAMW)
            l.name['p' - 'a'] = formula(&l, "p * (1 - r * d)");
        else
            l.name['g' - 'a'] = formula(&l, "g + d * p");
    }
    next = stepped(&l, u->opt, parameter);
    ir_assign(u->graph, parameter, next, u->at);
    ir_region_close(u->graph, region, next);
    for (uint32_t v = before; v < u->graph->count; v++)
        if (!u->graph->nodes[v].name)
            u->graph->nodes[v].name = n.text;
}

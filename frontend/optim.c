/*
 * optim: optimisers, spelled as nodes of the step. A rule is a few lines of maths over a parameter,
 * its gradient and states that live with it; names of states are PyTorch's.
 *
 * Letters: p the parameter, g its gradient, r the rate, t the update, from 1, d the decay;
 * a and b are beta1 and beta2, c and f one minus these, x and y one minus their t-th powers;
 * u the momentum, w one minus the dampening, e eps, q alpha (rho), h one minus it.
 */
#include <math.h>
#include <string.h>

#include "frontend/frontend.h"

enum decay { COUPLED /* g + d p */, DECOUPLED /* p (1 - r d) */, OWN };
static const struct kind {
    const char *name;
    double beta1, beta2, eps, alpha, momentum, weight_decay;
    enum decay decay;
} kinds[] = {
    [TP_SGD] = { "sgd", 0.9, 0.999, 1e-8, 0.99, 0, 0, COUPLED },
    [TP_ADAM] = { "adam", 0.9, 0.999, 1e-8, 0.99, 0, 0, COUPLED },
    [TP_ADAMW] = { "adamw", 0.9, 0.999, 1e-8, 0.99, 0, 0.01, DECOUPLED },
    [TP_RMSPROP] = { "rmsprop", 0.9, 0.999, 1e-8, 0.99, 0, 0, COUPLED },
    [TP_ADAGRAD] = { "adagrad", 0.9, 0.999, 1e-10, 0.99, 0, 0, COUPLED },
    [TP_ADAMAX] = { "adamax", 0.9, 0.999, 1e-8, 0.99, 0, 0, COUPLED },
    [TP_NADAM] = { "nadam", 0.9, 0.999, 1e-8, 0.99, 0, 0, COUPLED },
    [TP_RADAM] = { "radam", 0.9, 0.999, 1e-8, 0.99, 0, 0, COUPLED },
    [TP_ADADELTA] = { "adadelta", 0.9, 0.999, 1e-6, 0.9, 0, 0, COUPLED },
    [TP_LION] = { "lion", 0.9, 0.99, 1e-8, 0.99, 0, 0, DECOUPLED },
    [TP_LAMB] = { "lamb", 0.9, 0.999, 1e-6, 0.99, 0, 0, OWN },
    [TP_LARS] = { "lars", 0.9, 0.999, 1e-8, 0.001, 0.9, 0, OWN },
    [TP_ADAFACTOR] = { "adafactor", 0.9, 0.999, 1e-3, 0.99, 0, 0, DECOUPLED },
    [TP_MUON] = { "muon", 0.9, 0.999, 1e-7, 0.99, 0.95, 0.1, DECOUPLED },
};
enum { KINDS = sizeof kinds / sizeof *kinds };

const char *tp_opt_name(int kind)
{
    return kind >= 0 && kind < KINDS ? kinds[kind].name : NULL;
}

static double or_default(double given, double otherwise)
{
    return given == 0 && !signbit(given) ? otherwise : given; /* TP_ZERO is a zero that is meant */
}

tp_opt tp_opt_of(int kind, tp_opt o)
{
    const struct kind *k = &kinds[kind >= 0 && kind < KINDS ? kind : TP_SGD];

    o.kind = kind;
    o.filled = true;
    o.beta1 = or_default(o.beta1, k->beta1);
    o.beta2 = or_default(o.beta2, k->beta2);
    o.alpha = or_default(o.alpha, k->alpha);
    o.eps = or_default(o.eps, k->eps);
    o.momentum = or_default(o.momentum, k->momentum);
    if (!o.no_decay)
        o.weight_decay = or_default(o.weight_decay, k->weight_decay);
    return o;
}

/* --- rules of one element ----------------------------------------------------------------------
 */

/* letter = text; with a state, the state's new value, which the letter stands for from then on.
 * Text |x| is the norm of a whole letter. The last line gives the parameter. */
struct line {
    char letter;
    const char *state, *text;
    bool one; /* the state is one number, which starts at 1 */
};
#define LINES         12
#define FIRST_MOMENT  { 'm', "exp_avg", "a * m + c * g", false }
#define SECOND_MOMENT { 'v', "exp_avg_sq", "b * v + f * (g * g)", false }

static const struct line adam[LINES] = {
    FIRST_MOMENT, SECOND_MOMENT, { 'p', NULL, "p - r / x * m / (sqrt(v) * rsqrt(y) + e)", false }
};
static const struct line sgd[LINES] = { { 'p', NULL, "p - r * g", false } };
static const struct line momentum[LINES] = { { 'v', "momentum_buffer", "u * v + g", false },
                                             { 'p', NULL, "p - r * v", false } };
static const struct line dampened[LINES] = { { 'v', "momentum_buffer",
                                               "u * v + select(t == 1, 1, w) * g", false },
                                             { 'p', NULL, "p - r * v", false } };
static const struct line nesterov[LINES] = { { 'v', "momentum_buffer", "u * v + g", false },
                                             { 'p', NULL, "p - r * (g + u * v)", false } };
static const struct line rmsprop[LINES] = { { 'v', "square_avg", "q * v + h * (g * g)", false },
                                            { 'p', NULL, "p - r * g / (sqrt(v) + e)", false } };
static const struct line rmsprop_momentum[LINES] = {
    { 'v', "square_avg", "q * v + h * (g * g)", false },
    { 'm', "momentum_buffer", "u * m + g / (sqrt(v) + e)", false },
    { 'p', NULL, "p - r * m", false }
};
static const struct line rmsprop_centred[LINES] = {
    { 'v', "square_avg", "q * v + h * (g * g)", false },
    { 'n', "grad_avg", "q * n + h * g", false },
    { 'm', "momentum_buffer", "u * m + g / (sqrt(v - n * n) + e)", false },
    { 'p', NULL, "p - r * m", false }
};
static const struct line adagrad[LINES] = { { 'v', "sum", "v + g * g", false },
                                            { 'p', NULL, "p - r * g / (sqrt(v) + e)", false } };
static const struct line adamax[LINES] = { FIRST_MOMENT,
                                           { 'v', "exp_inf", "max(b * v, abs(g) + e)", false },
                                           { 'p', NULL, "p - r / x * m / v", false } };
/* momentum_decay 0.004: 0.96^(0.004 t) = exp(-0.00016328797808102 t) */
static const struct line nadam[LINES] = {
    FIRST_MOMENT,
    SECOND_MOMENT,
    { 'i', NULL, "a * (1 - 0.5 * exp(t * -0.00016328797808102))", false },
    { 'j', NULL, "a * (1 - 0.5 * exp((t + 1) * -0.00016328797808102))", false },
    { 'k', "mu_product", "k * i", true },
    { 'n', NULL, "sqrt(v / y) + e", false },
    { 'p', NULL, "p - r * ((1 - i) / (1 - k)) * g / n - r * (j / (1 - k * j)) * m / n", false }
};
/* i: the length of the average in the end, j: now; rectified once it is over 5 */
static const struct line radam[LINES] = {
    FIRST_MOMENT,
    SECOND_MOMENT,
    { 'i', NULL, "2 / f - 1", false },
    { 'j', NULL, "i - 2 * t * (1 - y) / y", false },
    { 'k', NULL, "max(j, 5)", false },
    { 'n', NULL, "sqrt((k - 4) * (k - 2) * i / ((i - 4) * (i - 2) * k)) * sqrt(y)", false },
    { 'p', NULL, "p - r * (m / x) * select(j > 5, n / (sqrt(v) + e), 1)", false }
};
static const struct line adadelta[LINES] = { { 'v', "square_avg", "q * v + h * (g * g)", false },
                                             { 'n', NULL, "rsqrt(v + e) * g", false },
                                             { 'i', "acc_delta", "i",
                                               false }, /* read before it is written */
                                             { 'n', NULL, "sqrt(i + e) * n", false },
                                             { 'i', "acc_delta", "q * i + h * (n * n)", false },
                                             { 'p', NULL, "p - r * n", false } };
static const struct line lion[LINES] = { { 'm', "exp_avg", "m", false },
                                         { 'n', NULL, "sign(a * m + c * g)", false },
                                         { 'm', "exp_avg", "b * m + f * g", false },
                                         { 'p', NULL, "p - r * n", false } };
static const struct line lamb[LINES] = {
    FIRST_MOMENT,
    SECOND_MOMENT,
    { 'n', NULL, "m / x / (sqrt(v / y) + e) + d * p", false },
    { 'i', NULL, "|p|", false },
    { 'j', NULL, "|n|", false },
    { 'k', NULL, "select((i > 0) & (j > 0), i / select(j > 0, j, 1), 1)", false },
    { 'p', NULL, "p - r * k * n", false }
};
static const struct line lars[LINES] = {
    { 'i', NULL, "|p|", false },
    { 'j', NULL, "|g|", false },
    { 'k', NULL, "select((i > 0) & (j > 0), q * i / (j + d * i + e), 1)", false },
    { 'v', "momentum_buffer", "u * v + r * k * (g + d * p)", false },
    { 'p', NULL, "p - v", false }
};

static const struct line *rule_for(const tp_opt *o)
{
    switch (o->kind) {
    case TP_ADAM:
    case TP_ADAMW:
    case TP_MUON: /* what has no two axes */
        return adam;
    case TP_RMSPROP:
        return o->centered ? rmsprop_centred : o->momentum != 0 ? rmsprop_momentum : rmsprop;
    case TP_ADAGRAD:
        return adagrad;
    case TP_ADAMAX:
        return adamax;
    case TP_NADAM:
        return nadam;
    case TP_RADAM:
        return radam;
    case TP_ADADELTA:
        return adadelta;
    case TP_LION:
        return lion;
    case TP_LAMB:
        return lamb;
    case TP_LARS:
        return lars;
    default:
        return o->momentum == 0    ? sgd
               : o->nesterov       ? nesterov
               : o->dampening != 0 ? dampened
                                   : momentum;
    }
}

/* --- maths over letters ------------------------------------------------------------------------
 */

void tp_let(struct letters *l, char letter, double number)
{
    l->name[letter - 'a'] = ir_number(l->g, l->dtype, number, l->at);
}

ir_val tp_spelled(struct letters *l, const char *text)
{
    return ir_formula(l->g, text, l->name, l->at);
}

ir_val tp_moment(struct letters *l, ir_val parameter, const char *leaf, struct ir_shape shape,
                 double start)
{
    const struct ir_node *n = ir_at(l->g, parameter);

    return ir_state(l->g, ir_format(l->g->arena, "%s.%s", n->text, leaf), n->dtype, shape,
                    start != 0 ? IR_INIT_CONSTANT : IR_INIT_ZERO, start, 0, l->at);
}

/* Where gradients are still being gathered, a state stays as it is. */
void tp_advance(struct letters *l, ir_val state, ir_val value)
{
    ir_assign(l->g, state, l->due.id ? ir_select(l->g, l->due, value, state, l->at) : value, l->at);
}

ir_val tp_whole_sum(struct ir_graph *g, ir_val a, struct ir_loc at)
{
    const int64_t axes[IR_RANK] = { 0, 1, 2, 3, 4, 5, 6, 7 };

    return ir_reduce(g, IR_sum, a, ir_at(g, a)->shape.rank, axes, at);
}

ir_val tp_whole_norm(struct ir_graph *g, ir_val a, struct ir_loc at)
{
    return ir_op1(g, IR_sqrt, tp_whole_sum(g, ir_op2(g, IR_mul, a, a, at), at), at);
}

/* 1 - beta^t without cancellation; beta 0 has no logarithm */
static ir_val correction(struct letters *l, double beta)
{
    if (beta == 0)
        return ir_number(l->g, l->dtype, 1, l->at);
    tp_let(l, 'l', log(beta));
    return tp_spelled(l, "-expm1(t * l)");
}

static ir_val follow(struct letters *l, const struct line *line, ir_val parameter)
{
    const struct ir_shape shape = ir_at(l->g, parameter)->shape;

    for (; line->letter != 'p'; line++) {
        ir_val *name = &l->name[line->letter - 'a'], state = { 0 };

        if (line->state) {
            state = tp_moment(l, parameter, line->state, line->one ? (struct ir_shape){ 0 } : shape,
                              line->one);
            *name = name->id ? *name : state;
        }
        if (line->text[0] == '|')
            *name = tp_whole_norm(l->g, l->name[line->text[1] - 'a'], l->at);
        else
            *name = tp_spelled(l, line->text);
        if (state.id && (*name).id != state.id)
            tp_advance(l, state, *name);
    }
    return tp_spelled(l, line->text);
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

static void let_numbers(struct letters *l, const tp_opt *o)
{
    l->name['x' - 'a'] = correction(l, o->beta1);
    l->name['y' - 'a'] = correction(l, o->beta2);
    tp_let(l, 'a', o->beta1);
    tp_let(l, 'b', o->beta2);
    tp_let(l, 'c', 1 - o->beta1);
    tp_let(l, 'f', 1 - o->beta2);
    tp_let(l, 'u', o->momentum);
    tp_let(l, 'w', 1 - o->dampening);
    tp_let(l, 'e', o->eps);
    tp_let(l, 'q', o->alpha);
    tp_let(l, 'h', 1 - o->alpha);
}

/* The decay, as the kind has it. */
static void decay(struct letters *l, enum decay how, double number)
{
    tp_let(l, 'd', number);
    if (number == 0 || how == OWN)
        return;
    if (how == DECOUPLED)
        l->name['p' - 'a'] = tp_spelled(l, "p * (1 - r * d)");
    else
        l->name['g' - 'a'] = tp_spelled(l, "g + d * p");
}

/* The average of a parameter over updates; the first one begins it. */
static void average(struct letters *l, const struct update *u, ir_val parameter, ir_val next)
{
    const ir_val state = tp_moment(l, parameter, "ema", ir_at(l->g, parameter)->shape, 0);

    l->name['m' - 'a'] = state;
    l->name['n' - 'a'] = next;
    tp_let(l, 'k', u->ema);
    tp_let(l, 'i', 1 - u->ema);
    tp_advance(l, state, tp_spelled(l, "select(t == 1, n, k * m + i * n)"));
}

void tp_opt_update(const struct update *u, ir_val parameter, ir_val gradient)
{
    const struct ir_node n = *ir_at(u->graph, parameter);
    const struct rule rule = rule_of(u->opt, n.text);
    const int kind = u->opt->kind >= 0 && u->opt->kind < KINDS ? u->opt->kind : TP_SGD;
    struct letters l = { .g = u->graph, .dtype = n.dtype, .at = u->at, .due = u->due };
    uint32_t before = u->graph->count;
    uint32_t region =
        ir_region_open(u->graph, "optimiser", n.text, 2, (ir_val[]){ parameter, gradient },
                       (struct ir_list){ 0 }, u->at);
    ir_val next;

    l.name['r' - 'a'] = tp_schedule_value(u, n.dtype);
    l.name['t' - 'a'] = ir_cast(u->graph, u->steps, n.dtype, u->at);
    l.name['t' - 'a'] = tp_spelled(&l, "t + 1");
    l.name['p' - 'a'] = parameter;
    l.name['g' - 'a'] = gradient;
    if (rule.lr_scale != 1) {
        tp_let(&l, 's', rule.lr_scale);
        l.name['r' - 'a'] = tp_spelled(&l, "r * s");
    }
    let_numbers(&l, u->opt);
    decay(&l, kinds[kind].decay, rule.weight_decay);
    if (kind == TP_ADAFACTOR)
        next = tp_adafactor_step(&l, u->opt, parameter);
    else if (kind == TP_MUON && n.shape.rank >= 2)
        next = tp_muon_step(&l, u->opt, parameter);
    else
        next = follow(&l, rule_for(u->opt), parameter);
    tp_advance(&l, parameter, next);
    if (u->ema > 0)
        average(&l, u, parameter, next);
    ir_region_close(u->graph, region, next);
    for (uint32_t v = before; v < u->graph->count; v++)
        if (!u->graph->nodes[v].name)
            u->graph->nodes[v].name = n.text;
}

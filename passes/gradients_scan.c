/*
 * gradients_scan: the derivative of a scan is a scan.
 *
 * Backward it runs the other way. Its carries are the gradients of the carries; its body is the
 * body's own gradient; what that reads of the forward step comes as slices: arrays that the scan
 * had anyway, or values that it now hands out besides (views and cheap pointwise values are
 * computed again). Such a scan is a second one, equal to the first but for its outputs:
 * pass_simplify makes one of the two.
 *
 * A scan that may not run has a derivative that does not run either: the gradients of its carries
 * go by, and what all steps read gets zero.
 *
 * What all steps read gets the sum over the steps. Where a step's part is a product or a sum of
 * arrays, the arrays are stacked, and one contraction outside adds up all steps in ascending order;
 * else a carry adds it up in the order of the reverse scan.
 *
 * Forward, tangents are carried beside the values.
 */
#include "passes/gradients.h"

#include <string.h>

enum { HOISTED = 8 }; /* parts of one gradient that are added up outside */

struct back {
    struct ir_graph *g;
    const struct pass_step *step;
    struct ir_node n; /* the scan */
    const struct ir_graph *body;
    int carry, slices, outputs;
    int when; /* the argument that says whether the scan runs; -1: it does */
    ir_val *parameter;
    bool *need;            /* by argument: its gradient leads to one that is wanted */
    bool *live;            /* by output: a gradient arrives */
    bool **leads;          /* output, parameter: a gradient passes */
    struct ir_graph *work; /* the body, and its gradient appended */
    uint32_t first;        /* node of work that is not the body's */
    ir_val *cotangent;     /* by output, in work: an input */
    ir_val *grad;          /* by parameter, in work */
    bool *needed;          /* node of work: stands in the reverse body */
    bool *steady;          /* node of the body: the same in all steps */
    bool *saved;           /* node of the body: handed out by the forward scan */
    ir_val *stack;         /* by node of work: all its steps, as a value of g */
    /* the reverse scan */
    struct ir_graph *reverse;
    ir_val *moved; /* node of work -> of reverse */
    ir_val *arg;
    int args;
    struct ir_arena *scratch;
};

static bool floating(const struct ir_graph *g, ir_val v)
{
    return ir_dtypes[ir_at(g, v)->dtype].kind == 'f';
}

/* --- what matters ------------------------------------------------------------------------------
 */

static void find_leads(struct back *b)
{
    const struct ir_graph *body = b->body;
    bool *reached = ir_alloc(b->scratch, body->count * sizeof *reached);

    b->leads = ir_alloc(b->scratch, ((size_t)b->outputs + 1) * sizeof *b->leads);
    for (int o = 0; o < b->outputs; o++)
        b->leads[o] = ir_alloc(b->scratch, (size_t)b->n.arity + 1);
    for (int i = 0; i < b->n.arity; i++) {
        memset(reached, 0, body->count * sizeof *reached);
        reached[b->parameter[i].id] = floating(body, b->parameter[i]);
        for (uint32_t v = b->parameter[i].id + 1; v < body->count; v++) {
            const struct ir_node *n = &body->nodes[v];
            bool can = n->op != IR_stop_gradient &&
                       (ir_has_results(n->op) || floating(body, (ir_val){ v }));
            for (int a = 0; can && a < n->arity; a++)
                reached[v] |= reached[n->args[a].id];
        }
        for (int o = 0; o < b->outputs; o++)
            b->leads[o][i] = reached[body->outputs[o].value.id];
        if (i < b->carry && b->when >= 0) /* as it came in, where no step runs */
            b->leads[i][i] = floating(body, b->parameter[i]);
    }
}

static void find_active(struct back *b)
{
    bool more = true;

    b->need = ir_alloc(b->scratch, (size_t)b->n.arity + 1);
    b->live = ir_alloc(b->scratch, (size_t)b->outputs + 1);
    memcpy(b->need, b->step->wanted, (size_t)b->n.arity);
    for (int o = 0; o < b->outputs; o++)
        b->live[o] = b->step->grads[o].id != 0;
    while (more) {
        more = false;
        for (int j = 0; j < b->carry; j++) {
            for (int i = 0; i < b->n.arity && !b->need[j]; i++)
                if (b->need[i] && b->leads[j][i])
                    more = b->need[j] = true;
            for (int o = 0; o < b->outputs && !b->live[j]; o++)
                if (b->live[o] && b->leads[o][j])
                    more = b->live[j] = true;
        }
    }
    for (int j = 0; j < b->carry; j++) /* both, or its gradient is of no use, or zero */
        b->need[j] = b->live[j] = b->need[j] && b->live[j];
    for (int o = b->carry; o < b->outputs; o++) {
        bool useful = false;
        for (int i = 0; i < b->n.arity; i++)
            useful |= b->need[i] && b->leads[o][i];
        b->live[o] &= useful;
    }
}

/* --- the body's gradient ------------------------------------------------------------------------
 */

/* An input whose name nobody has. */
static ir_val input(struct ir_graph *g, const char *prefix, const char *name,
                    const struct ir_graph *of, ir_val like, struct ir_loc loc)
{
    const struct ir_node *n = ir_at(of, like);
    const char *text = ir_format(g->arena, "%s%.60s", prefix, name ? name : "y"), *unique = text;

    for (uint32_t v = 1, tail = 2; v < g->count; v++)
        if (g->nodes[v].op == IR_input && strcmp(g->nodes[v].text, unique) == 0) {
            unique = ir_format(g->arena, "%s_%u", text, tail++);
            v = 0;
        }
    return ir_input(g, unique, n->dtype, ir_shape_of(g, of, n->shape), loc);
}

static const char *name_of(const struct ir_graph *g, ir_val v)
{
    const struct ir_node *n = ir_at(g, v);

    return n->op == IR_input && n->text ? n->text : ir_ops[n->op].name;
}

static bool differentiate(struct back *b)
{
    size_t many = (size_t)(b->outputs + b->n.arity) + 1;
    ir_val *y = ir_alloc(b->scratch, many * sizeof *y),
           *wrt = ir_alloc(b->scratch, many * sizeof *y),
           *cotangent = ir_alloc(b->scratch, many * sizeof *y),
           *grad = ir_alloc(b->scratch, many * sizeof *y);
    int count = 0, wrts = 0;

    b->work = ir_clone(b->body, b->g);
    ir_arena_adopt(b->scratch, b->work->arena);
    b->first = b->work->count;
    b->work->output_count = 0;
    b->cotangent = ir_alloc(b->scratch, many * sizeof *y);
    b->grad = ir_alloc(b->scratch, many * sizeof *y);
    for (int o = 0; o < b->outputs; o++)
        if (b->live[o]) {
            y[count] = b->body->outputs[o].value;
            cotangent[count] = b->cotangent[o] =
                input(b->work, "grad.", o < b->carry ? name_of(b->body, b->parameter[o]) : "y",
                      b->work, y[count], b->n.loc);
            count++;
        }
    for (int i = 0; i < b->n.arity; i++)
        if (b->need[i])
            wrt[wrts++] = b->parameter[i];
    if (b->g->error->status || !pass_gradients(b->work, count, y, cotangent, wrts, wrt, grad))
        return false;
    wrts = 0;
    for (int i = 0; i < b->n.arity; i++)
        if (b->need[i])
            b->grad[i] = grad[wrts++];
    return true;
}

/* --- what is saved ------------------------------------------------------------------------------
 */

static bool is_carry(const struct back *b, uint32_t v)
{
    for (int i = 0; i < b->carry; i++)
        if (b->parameter[i].id == v)
            return true;
    return false;
}

/* the same in all steps, a number, or a slice: nothing to save */
static bool is_free(const struct back *b, ir_val v)
{
    while (pass_is_view(ir_at(b->body, v)->op))
        v = ir_at(b->body, v)->args[0];
    return b->steady[v.id] || ir_at(b->body, v)->op == IR_const ||
           (ir_at(b->body, v)->op == IR_input && !is_carry(b, v.id));
}

static void find_steady(struct back *b)
{
    b->steady = ir_alloc(b->scratch, b->body->count * sizeof *b->steady);
    for (int i = b->carry + b->slices; i < b->n.arity; i++)
        b->steady[b->parameter[i].id] = true;
    for (uint32_t v = 1; v < b->body->count; v++) {
        const struct ir_node *n = &b->body->nodes[v];
        bool all = b->when < 0 && n->op != IR_input && n->op != IR_bits;
        for (int i = 0; i < n->arity; i++)
            all &= b->steady[n->args[i].id];
        b->steady[v] |= all;
    }
}

static bool is_cheap(enum ir_op op)
{
    return ir_cheap(op) || op == IR_const || op == IR_iota || op == IR_size || op == IR_sign ||
           op == IR_not || op == IR_cast || pass_is_view(op) || ir_ops[op].group == IR_COMPARE ||
           ir_ops[op].group == IR_PREDICATE;
}

/* Computed again in the reverse step, unless that asks for more arrays than the value itself. */
static bool again(const struct back *b, uint32_t v)
{
    const struct ir_node *n = &b->work->nodes[v];
    int arrays = 0;

    if (b->steady[v])
        return true;
    if (!is_cheap(n->op))
        return false;
    for (int i = 0; i < n->arity; i++)
        arrays += !is_free(b, n->args[i]) && !b->needed[n->args[i].id] &&
                  (i == 0 || n->args[i].id != n->args[i - 1].id);
    return arrays <= 1;
}

static void need(struct back *b, ir_val v)
{
    b->needed[v.id] = true;
}

static void choose_saved(struct back *b)
{
    for (uint32_t v = b->work->count; v-- > 1;) {
        const struct ir_node *n = &b->work->nodes[v];
        if (!b->needed[v] || n->op == IR_input) {
            if (b->needed[v] && v < b->first && is_carry(b, v))
                b->saved[v] = true;
            continue;
        }
        if (v < b->first && !again(b, v)) {
            if (n->op == IR_result || !ir_has_results(n->op))
                b->saved[v] = true;
            continue;
        }
        for (int i = 0; i < n->arity; i++)
            need(b, n->args[i]);
    }
}

/* The forward scan with more outputs. */
static bool save(struct back *b)
{
    struct ir_graph *body = ir_clone(b->body, b->g);
    ir_val scan = { 0 };
    int count = b->outputs;

    for (uint32_t v = 1; v < b->first; v++)
        if (b->saved[v])
            ir_output(body, NULL, (ir_val){ v });
    if (body->output_count > count)
        scan = ir_make_scan(b->g, body, b->n.arity, b->n.args, b->carry, b->slices,
                            ir_scan_number(&b->n, IR_SCAN_LENGTH),
                            ir_scan_number(&b->n, IR_SCAN_REVERSE), b->when, b->n.loc);
    ir_graph_free(body);
    for (uint32_t v = 1; v < b->first; v++)
        if (b->saved[v])
            b->stack[v] = ir_make_result(b->g, scan, count++, b->n.loc);
    for (int i = b->carry; i < b->carry + b->slices; i++)
        b->stack[b->parameter[i].id] = b->n.args[i];
    for (int o = b->carry; o < b->outputs; o++)
        if (b->cotangent[o].id)
            b->stack[b->cotangent[o].id] = b->step->grads[o];
    return b->g->error->status == IR_OK;
}

/* --- parts of a gradient that are added up outside ----------------------------------------------
 */

struct part { /* view(view(sum or dot(a, b))) of a step */
    ir_val at;
    int views;
    ir_val view[4]; /* outermost first */
};

static bool find_parts(const struct back *b, ir_val v, struct part *part, int *count, bool *rest)
{
    const struct ir_node *n = ir_at(b->work, v);

    if (n->op == IR_add && v.id >= b->first &&
        ir_same_shape(&ir_at(b->work, n->args[0])->shape, &n->shape) &&
        ir_same_shape(&ir_at(b->work, n->args[1])->shape, &n->shape))
        return find_parts(b, n->args[0], part, count, rest) &&
               find_parts(b, n->args[1], part, count, rest);
    struct part p = { .at = v };
    while ((n->op == IR_reshape || n->op == IR_permute) && p.views < 4 && v.id >= b->first) {
        p.view[p.views++] = v;
        v = n->args[0];
        n = ir_at(b->work, v);
    }
    p.at = v;
    bool room = *count < HOISTED;
    for (int i = 0; i < n->arity && room; i++)
        room = ir_at(b->work, n->args[i])->shape.rank < IR_RANK;
    if (!room || v.id < b->first || (n->op != IR_dot && n->op != IR_sum)) {
        *rest = true;
        return false;
    }
    part[(*count)++] = p;
    return true;
}

/* mk,kn->mn as tmk,tkn->mn; where one leading letter is contracted and fixed, t is put before it */
static ir_val all_steps_of_dot(struct back *b, const struct ir_node *n)
{
    struct ir_graph *g = b->g;
    ir_val x = b->stack[n->args[0].id], y = b->stack[n->args[1].id];
    const char *comma = strchr(n->text, ','), *arrow = strstr(n->text, "->");
    int first = (int)(comma - n->text), second = (int)(arrow - comma) - 1;
    char letters[IR_RANK + 1], fresh = 'z';
    int contracted = ir_contracted(n, letters);
    const struct ir_shape *of = &ir_at(b->work, n->args[0])->shape;

    if (contracted == 1 && letters[0] == n->text[0] && letters[0] == comma[1] &&
        ir_dim_fixed(of->dim[0])) {
        struct ir_shape to[2];
        ir_val arg[2] = { x, y };
        int64_t all = ir_dim_mul(g, ir_scan_number(&b->n, IR_SCAN_LENGTH), of->dim[0]);
        for (int i = 0; i < 2; i++) {
            struct ir_shape s = ir_at(g, arg[i])->shape;
            to[i] = (struct ir_shape){ .rank = s.rank - 1 };
            memcpy(to[i].dim + 1, s.dim + 2, (size_t)(s.rank - 2) * sizeof *s.dim);
            to[i].dim[0] = all;
        }
        if (all != -1)
            return ir_dot(g, ir_reshape(g, x, to[0], n->loc), ir_reshape(g, y, to[1], n->loc),
                          n->text, n->loc);
    }
    while (strchr(n->text, fresh))
        fresh--;
    return ir_dot(g, x, y,
                  ir_format(b->scratch, "%c%.*s,%c%.*s%s", fresh, first, n->text, fresh, second,
                            comma + 1, arrow),
                  n->loc);
}

static ir_val all_steps(struct back *b, const struct part *p)
{
    struct ir_node n = *ir_at(b->work, p->at);
    ir_val v;

    if (n.op == IR_dot) {
        v = all_steps_of_dot(b, &n);
    } else {
        int64_t axes[IR_RANK + 1] = { 0 };
        for (int i = 0; i < n.attr[0].count; i++)
            axes[i + 1] = n.attr[0].at[i] + 1;
        v = ir_reduce(b->g, IR_sum, b->stack[n.args[0].id], n.attr[0].count + 1, axes, n.loc);
    }
    for (int i = p->views; i-- > 0;) {
        const struct ir_node *view = ir_at(b->work, p->view[i]);
        v = view->op == IR_permute
                ? ir_permute(b->g, v, view->attr[0].at, view->loc)
                : ir_reshape(b->g, v, ir_shape_of(b->g, b->work, view->shape), view->loc);
    }
    return v;
}

/* --- the reverse scan ---------------------------------------------------------------------------
 */

static void pass_in(struct back *b, ir_val in_work, const char *prefix, const char *name,
                    ir_val arg)
{
    b->moved[in_work.id] = input(b->reverse, prefix, name, b->work, in_work, b->n.loc);
    b->arg[b->args++] = arg;
}

/* Inputs in the order that a scan wants: carries, slices, the rest. Gives the count of slices. */
static int take_inputs(struct back *b, ir_val *sum, const bool *summed)
{
    int before;

    for (int j = 0; j < b->carry; j++)
        if (b->live[j])
            pass_in(b, b->cotangent[j], "grad.", name_of(b->body, b->parameter[j]),
                    b->step->grads[j].id ? b->step->grads[j]
                                         : ir_full_like(b->g, b->n.args[j], 0, b->n.loc));
    for (int i = b->carry + b->slices; i < b->n.arity; i++)
        if (summed[i]) {
            sum[i] = input(b->reverse, "sum.", name_of(b->body, b->parameter[i]), b->work,
                           b->parameter[i], b->n.loc);
            b->arg[b->args++] = ir_full_like(b->g, b->n.args[i], 0, b->n.loc);
        }
    before = b->args;
    for (uint32_t v = 1; v < b->work->count; v++)
        if (b->needed[v] && b->stack[v].id && !b->moved[v].id)
            pass_in(b, (ir_val){ v }, "", name_of(b->work, (ir_val){ v }), b->stack[v]);
    before = b->args - before;
    for (int i = b->carry + b->slices; i < b->n.arity; i++)
        if (b->needed[b->parameter[i].id] || i == b->when)
            pass_in(b, b->parameter[i], "", name_of(b->body, b->parameter[i]), b->n.args[i]);
    return before;
}

static void run_back(struct back *b)
{
    struct ir_graph *g = b->g;
    size_t many = b->work->count;
    ir_val *sum = ir_alloc(b->scratch, ((size_t)b->n.arity + 1) * sizeof *sum), scan;
    struct part(*part)[HOISTED] = ir_alloc(b->scratch, ((size_t)b->n.arity + 1) * sizeof *part);
    int *parts = ir_alloc(b->scratch, ((size_t)b->n.arity + 1) * sizeof *parts);
    bool *summed = ir_alloc(b->scratch, (size_t)b->n.arity + 1);
    int *place = ir_alloc(b->scratch, many * sizeof *place); /* result that stacks a node of work */
    int carries = 0, slices, next = 0, when = -1;

    /* what the reverse body computes */
    for (int i = 0; i < b->n.arity; i++) {
        bool rest = i < b->carry + b->slices;
        if (!b->need[i])
            continue;
        rest |= b->when >= 0; /* nothing is computed outside that may not run */
        if (!rest)
            find_parts(b, b->grad[i], part[i], &parts[i], &rest);
        summed[i] = i >= b->carry + b->slices && rest;
        if (rest) {
            parts[i] = 0;
            need(b, b->grad[i]);
        }
        for (int p = 0; p < parts[i]; p++) {
            const struct ir_node *n = ir_at(b->work, part[i][p].at);
            for (int a = 0; a < n->arity; a++)
                need(b, n->args[a]);
        }
    }
    choose_saved(b);
    if (!save(b))
        return;
    b->reverse = ir_body_like(b->work, g);
    b->moved = ir_moved(b->reverse, b->work);
    b->arg = ir_alloc(b->scratch, (many + 2 * (size_t)b->n.arity + 1) * sizeof *b->arg);
    slices = take_inputs(b, sum, summed);
    for (uint32_t v = 1; v < many; v++)
        if (b->needed[v] && !b->moved[v].id && b->work->nodes[v].op != IR_input)
            b->moved[v] = ir_copy(b->reverse, b->work, (ir_val){ v }, b->moved);
    ir_move_regions(b->reverse, b->work, b->moved);
    /* what it hands out */
    for (int i = 0; i < b->carry; i++)
        if (b->live[i]) {
            ir_output(b->reverse, NULL, b->moved[b->grad[i].id]);
            carries++;
        }
    for (int i = b->carry + b->slices; i < b->n.arity; i++)
        if (summed[i]) {
            ir_output(b->reverse, NULL,
                      ir_op2(b->reverse, IR_add, sum[i], b->moved[b->grad[i].id], b->n.loc));
            carries++;
        }
    next = carries;
    for (int i = b->carry; i < b->carry + b->slices; i++)
        if (b->need[i]) {
            ir_output(b->reverse, NULL, b->moved[b->grad[i].id]);
            place[b->grad[i].id] = next++;
        }
    for (int i = b->carry + b->slices; i < b->n.arity; i++)
        for (int p = 0; p < parts[i]; p++) {
            const struct ir_node *n = ir_at(b->work, part[i][p].at);
            for (int a = 0; a < n->arity; a++)
                if (!b->stack[n->args[a].id].id && !place[n->args[a].id]) {
                    ir_output(b->reverse, NULL, b->moved[n->args[a].id]);
                    place[n->args[a].id] = next++;
                }
        }
    for (int i = carries + slices; i < b->args && b->when >= 0; i++)
        if (b->arg[i].id == b->n.args[b->when].id)
            when = i;
    scan = ir_make_scan(g, b->reverse, b->args, b->arg, carries, slices,
                        ir_scan_number(&b->n, IR_SCAN_LENGTH),
                        !ir_scan_number(&b->n, IR_SCAN_REVERSE), when, b->n.loc);
    ir_graph_free(b->reverse);
    /* who gets what */
    for (uint32_t v = 1; v < many; v++)
        if (place[v])
            b->stack[v] = ir_make_result(g, scan, place[v], b->n.loc);
    next = 0;
    for (int i = 0; i < b->carry; i++)
        if (b->live[i]) {
            b->step->to[i] = ir_make_result(g, scan, next, b->n.loc);
            next++;
        }
    for (int i = b->carry; i < b->n.arity; i++) {
        if (b->need[i] && i < b->carry + b->slices)
            b->step->to[i] = b->stack[b->grad[i].id];
        else if (summed[i])
            b->step->to[i] = ir_make_result(g, scan, next++, b->n.loc);
        for (int p = 0; p < parts[i]; p++) {
            ir_val v = all_steps(b, &part[i][p]);
            b->step->to[i] = b->step->to[i].id ? ir_op2(g, IR_add, b->step->to[i], v, b->n.loc) : v;
        }
    }
}

void pass_grad_of_result(struct pass_step *step)
{
    ir_bug("the gradient of %s by itself", ir_ops[step->node->op].name);
}

/* A step that says its own: once more, with the gradients of its results, for those of its first
 * arguments. It is derived again as it is written, by the chain rule. */
static void own_derivative(struct pass_step *step)
{
    struct ir_graph *g = step->g;
    const struct ir_node n = *step->node;
    const int results = (int)ir_scan_number(&n, IR_SCAN_OWN),
              first = n.body->output_count - results;
    ir_val *arg = ir_alloc(g->arena, ((size_t)n.arity + 1) * sizeof *arg), scan;

    memcpy(arg, n.args, (size_t)n.arity * sizeof *arg);
    for (int i = 0; i < results; i++) {
        const struct ir_shape shape = ir_at(g, n.args[first + i])->shape;
        if (step->grads[i].id)
            arg[first + i] = ir_reshape(g, step->grads[i], shape, n.loc);
    }
    scan = ir_make_scan(g, n.body, n.arity, arg, 0, 0, 1, false, -1, n.loc);
    for (int i = 0; i < first; i++)
        if (step->wanted[i])
            step->to[i] = ir_reshape(g, ir_make_result(g, scan, results + i, n.loc),
                                     ir_at(g, n.args[i])->shape, n.loc);
}

void pass_grad_of_scan(struct pass_step *step)
{
    struct back b = { .g = step->g, .step = step, .n = *step->node, .body = step->node->body };
    size_t arity = (size_t)b.n.arity + 1;

    if (b.n.attr[IR_SCAN_OWN].count) {
        own_derivative(step);
        return;
    }
    b.scratch = ir_arena_new();
    b.carry = (int)ir_scan_number(&b.n, IR_SCAN_CARRY);
    b.slices = (int)ir_scan_number(&b.n, IR_SCAN_SLICES);
    b.outputs = b.body->output_count;
    b.when = ir_scan_when(&b.n);
    b.parameter = ir_alloc(b.scratch, arity * sizeof *b.parameter);
    ir_parameters(b.body, b.parameter, b.n.arity);
    find_leads(&b);
    find_active(&b);
    if (differentiate(&b)) {
        b.needed = ir_alloc(b.scratch, b.work->count * sizeof *b.needed);
        b.saved = ir_alloc(b.scratch, b.work->count * sizeof *b.saved);
        b.stack = ir_alloc(b.scratch, b.work->count * sizeof *b.stack);
        find_steady(&b);
        run_back(&b);
    }
    ir_arena_free(b.scratch);
}

/* --- forward ------------------------------------------------------------------------------------
 */

static int floats(const struct ir_graph *body, int from, int until)
{
    int count = 0;

    for (int o = from; o < until; o++)
        count += floating(body, body->outputs[o].value);
    return count;
}

/* Carries, their tangents, outputs, their tangents; which result is the tangent of result i. */
static int tangent_place(const struct ir_node *scan, int i)
{
    int carry = (int)ir_scan_number(scan, IR_SCAN_CARRY);

    return i < carry ? carry + floats(scan->body, 0, i)
                     : scan->body->output_count + floats(scan->body, 0, i);
}

ir_val pass_tangent_of_result(struct ir_graph *g, const struct ir_node *scan, ir_val tangents,
                              int i)
{
    return ir_make_result(g, tangents, tangent_place(scan, i), scan->loc);
}

ir_val pass_tangent_of_scan(struct ir_graph *g, const struct ir_node *n, const ir_val *tangent)
{
    struct ir_arena *scratch = ir_arena_new();
    const struct ir_graph *body = n->body;
    struct ir_graph *to = ir_body_like(body, g);
    ir_val *moved = ir_moved(to, body);
    size_t many = (size_t)(n->arity + body->output_count) + 1;
    ir_val *parameter = ir_alloc(scratch, many * sizeof *parameter),
           *arg = ir_alloc(scratch, 2 * many * sizeof *arg),
           *wrt = ir_alloc(scratch, many * sizeof *wrt),
           *moves = ir_alloc(scratch, many * sizeof *wrt), *y = ir_alloc(scratch, many * sizeof *y),
           *dy = ir_alloc(scratch, many * sizeof *y), scan;
    int carry = (int)ir_scan_number(n, IR_SCAN_CARRY),
        slices = (int)ir_scan_number(n, IR_SCAN_SLICES);
    int end[] = { carry, carry + slices, n->arity }, args = 0, wrts = 0, counts[3], ys = 0,
        when = -1;

    ir_parameters(body, parameter, n->arity);
    for (int part = 0, from = 0; part < 3; from = end[part], counts[part] = args, part++) {
        for (int i = from; i < end[part]; i++) {
            moved[parameter[i].id] = ir_copy(to, body, parameter[i], moved);
            when = i == ir_scan_when(n) ? args : when;
            arg[args++] = n->args[i];
        }
        for (int i = from; i < end[part]; i++) {
            bool can = floating(body, parameter[i]);
            if (!can || (part > 0 && !tangent[i].id))
                continue;
            wrt[wrts] = moved[parameter[i].id];
            moves[wrts++] = input(to, "tangent.", name_of(body, parameter[i]), to,
                                  moved[parameter[i].id], n->loc);
            arg[args++] = tangent[i].id ? tangent[i] : ir_full_like(g, n->args[i], 0, n->loc);
        }
    }
    for (uint32_t v = 1; v < body->count; v++)
        if (!moved[v].id)
            moved[v] = ir_copy(to, body, (ir_val){ v }, moved);
    ir_move_regions(to, body, moved);
    for (int o = 0; o < body->output_count; o++)
        if (floating(body, body->outputs[o].value))
            y[ys++] = moved[body->outputs[o].value.id];
    scan = (ir_val){ 0 };
    if (g->error->status == IR_OK && pass_jvp(to, wrts, wrt, moves, ys, y, dy)) {
        ys = 0;
        for (int round = 0; round < 2; round++) {
            int from = round ? carry : 0, until = round ? body->output_count : carry;
            for (int o = from; o < until; o++)
                ir_output(to, NULL, moved[body->outputs[o].value.id]);
            for (int o = from; o < until; o++)
                if (floating(body, body->outputs[o].value))
                    ir_output(to, NULL, dy[ys++]);
        }
        scan = ir_make_scan(g, to, args, arg, counts[0], counts[1] - counts[0],
                            ir_scan_number(n, IR_SCAN_LENGTH), ir_scan_number(n, IR_SCAN_REVERSE),
                            when, n->loc);
    }
    ir_graph_free(to);
    ir_arena_free(scratch);
    return scan;
}

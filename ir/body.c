/*
 * Graphs in graphs: the body of a scan, and the rules of the two rows that have to do with it.
 */
#include "ir/rules.h"

#include <string.h>

/* --- comparing -------------------------------------------------------------------------------- */

static uint64_t mix(uint64_t hash, uint64_t word)
{
    hash = (hash ^ word) * 0x9e3779b97f4a7c15u;
    return hash ^ hash >> 29;
}

/* Dims are numbers of the graph's own table, so symbolic ones do not count. */
uint64_t ir_body_hash(const struct ir_graph *g)
{
    uint64_t hash = mix(g->count, (uint64_t)g->output_count);

    for (uint32_t v = 1; v < g->count; v++) {
        const struct ir_node *n = &g->nodes[v];
        hash = mix(hash, (uint64_t)n->op << 32 | (uint64_t)n->dtype << 16 |
                             (uint64_t)n->shape.rank << 8 | (uint64_t)n->arity);
        for (int i = 0; i < n->arity; i++)
            hash = mix(hash, n->args[i].id);
        for (int list = 0; list < IR_ATTRS; list++)
            for (int i = 0; i < n->attr[list].count; i++)
                if (n->op == IR_const || n->attr[list].at[i] >= IR_SYMBOLIC)
                    hash = mix(hash, (uint64_t)n->attr[list].at[i] + (uint64_t)list);
        if (n->body)
            hash = mix(hash, ir_body_hash(n->body));
    }
    for (int i = 0; i < g->output_count; i++)
        hash = mix(hash, g->outputs[i].value.id);
    return hash;
}

static bool same_text(const char *a, const char *b)
{
    return strcmp(a ? a : "", b ? b : "") == 0;
}

static bool same_node(const struct ir_graph *g, const struct ir_node *a, const struct ir_graph *h,
                      const struct ir_node *b)
{
    if (a->op != b->op || a->dtype != b->dtype || a->arity != b->arity ||
        a->shape.rank != b->shape.rank || a->identity != b->identity || !a->body != !b->body ||
        !same_text(a->text, b->text) ||
        !ir_same_dims(g, h, a->shape.rank, a->shape.dim, b->shape.dim))
        return false;
    for (int i = 0; i < a->arity; i++)
        if (a->args[i].id != b->args[i].id)
            return false;
    for (int i = 0; i < IR_ATTRS; i++) {
        int count = a->attr[i].count;
        if (count != b->attr[i].count)
            return false;
        if (count && a->op == IR_const
                ? memcmp(a->attr[i].at, b->attr[i].at, (size_t)count * sizeof *a->attr[i].at) != 0
                : !ir_same_dims(g, h, count, a->attr[i].at, b->attr[i].at))
            return false;
    }
    return !a->body || ir_same_body(a->body, b->body, true);
}

bool ir_same_body(const struct ir_graph *a, const struct ir_graph *b, bool outputs)
{
    if (a == b)
        return true;
    if (a->count != b->count || (outputs && a->output_count != b->output_count))
        return false;
    for (uint32_t v = 1; v < a->count; v++)
        if (!same_node(a, &a->nodes[v], b, &b->nodes[v]))
            return false;
    for (int i = 0; outputs && i < a->output_count; i++)
        if (a->outputs[i].value.id != b->outputs[i].value.id)
            return false;
    return true;
}

int ir_parameters(const struct ir_graph *g, ir_val *inputs, int room)
{
    int count = 0;

    for (uint32_t v = 1; v < g->count; v++)
        if (g->nodes[v].op == IR_input) {
            if (count < room)
                inputs[count] = (ir_val){ v };
            count++;
        }
    return count;
}

bool ir_has_results(enum ir_op op)
{
    return op == IR_scan;
}

/* --- building --------------------------------------------------------------------------------- */

ir_val ir_make_scan(struct ir_graph *g, const struct ir_graph *body, int n, const ir_val *args,
                    int carry, int slices, int64_t length, bool reverse, int when,
                    struct ir_loc loc)
{
    const int64_t numbers[] = { carry, slices, length, 1, when };
    struct ir_node draft = { .op = IR_scan, .arity = n, .args = args, .body = body, .loc = loc };

    for (int i = 0; i < 5; i++)
        if ((i != IR_SCAN_REVERSE || reverse) && (i != IR_SCAN_WHEN || when >= 0))
            draft.attr[i] = (struct ir_list){ 1, &numbers[i] };
    return ir_add(g, &draft);
}

ir_val ir_make_scan_like(struct ir_graph *g, const struct ir_graph *of, const struct ir_node *scan,
                         const struct ir_graph *body, const ir_val *args)
{
    const int64_t length = ir_dim_of(g, of, ir_scan_number(scan, IR_SCAN_LENGTH));
    struct ir_node draft = {
        .op = IR_scan, .arity = scan->arity, .args = args, .body = body, .loc = scan->loc
    };

    memcpy(draft.attr, scan->attr, sizeof draft.attr);
    draft.attr[IR_SCAN_LENGTH] = (struct ir_list){ 1, &length };
    return ir_add(g, &draft);
}

ir_val ir_make_result(struct ir_graph *g, ir_val of, int at, struct ir_loc loc)
{
    const int64_t number = at;

    return ir_op_attr(g, IR_result, 1, &of, &(struct ir_list){ 1, &number }, loc);
}

/* --- loops of kernels ------------------------------------------------------------------------- */

static bool is_op(struct ir_graph *g, const struct ir_node *n, int i, enum ir_op op)
{
    return ir_arg(g, n, i)->op == op ||
           ir_refuse(g, n, "%s; expected a %s", ir_shown(g, n, i), ir_ops[op].name);
}

static bool is_truth(struct ir_graph *g, const struct ir_node *n, int i)
{
    const struct ir_node *a = ir_arg(g, n, i);

    return (a->dtype == IR_BOOL && a->shape.rank == 0) ||
           ir_refuse(g, n, "%s; expected a truth value, for when", ir_shown(g, n, i));
}

static bool no_value(struct ir_node *n)
{
    n->dtype = IR_BOOL;
    n->shape = (struct ir_shape){ 0 };
    return true;
}

bool ir_shape_of_step(struct ir_graph *g, struct ir_node *n)
{
    const bool asks = n->attr[3].count != 0;

    for (int i = 0; i < n->arity - asks; i++)
        if (!(i == 0 && ir_arg(g, n, 0)->op == IR_step) && !is_op(g, n, i, IR_store))
            return false;
    if (asks && (n->arity == 0 || !is_truth(g, n, n->arity - 1)))
        return n->arity == 0 && ir_refuse(g, n, "no truth value; expected one");
    for (int i = 0; i < 2; i++)
        if (n->attr[i].count != 1 || !ir_dim_valid(g, n->attr[i].at[0]))
            return ir_refuse(g, n, "%s is no extent; expected one", i ? "length" : "dim");
    if (ir_dim_fixed(n->attr[0].at[0]))
        return ir_refuse(g, n, "dim is a number; expected the symbol of the index");
    return no_value(n);
}

bool ir_shape_of_local(struct ir_graph *g, struct ir_node *n)
{
    return (n->arity == 0 || (n->arity == 1 && is_op(g, n, 0, IR_step))) && ir_shape_of_given(g, n);
}

bool ir_shape_of_at(struct ir_graph *g, struct ir_node *n)
{
    const struct ir_node *a = ir_arg(g, n, 0);

    if (!is_op(g, n, 1, IR_step))
        return false;
    if (a->shape.rank == 0)
        return ir_refuse(g, n, "%s; expected an array", ir_shown(g, n, 0));
    n->dtype = a->dtype;
    n->shape.rank = a->shape.rank - 1;
    memcpy(n->shape.dim, a->shape.dim + 1, (size_t)n->shape.rank * sizeof *n->shape.dim);
    return true;
}

bool ir_shape_of_within(struct ir_graph *g, struct ir_node *n)
{
    if (!is_op(g, n, 1, IR_step))
        return false;
    n->dtype = ir_arg(g, n, 0)->dtype;
    n->shape = ir_arg(g, n, 0)->shape;
    return true;
}

bool ir_shape_of_read(struct ir_graph *g, struct ir_node *n)
{
    if (!is_op(g, n, 0, IR_local) || (ir_arg(g, n, 1)->op != IR_step && !is_op(g, n, 1, IR_done)))
        return false;
    n->dtype = ir_arg(g, n, 0)->dtype;
    n->shape = ir_arg(g, n, 0)->shape;
    return true;
}

bool ir_shape_of_store(struct ir_graph *g, struct ir_node *n)
{
    const struct ir_node *to, *value;
    int more;

    if (!is_op(g, n, 0, IR_local) || (n->args[2].id != n->args[0].id && !is_op(g, n, 2, IR_step)))
        return false;
    to = ir_arg(g, n, 0);
    value = ir_arg(g, n, 1);
    more = to->shape.rank - value->shape.rank;
    n->dtype = value->dtype;
    n->shape = value->shape;
    if (to->dtype != value->dtype || more < 0 || more > (ir_arg(g, n, 2)->op == IR_step) ||
        memcmp(to->shape.dim + more, value->shape.dim,
               (size_t)value->shape.rank * sizeof *value->shape.dim) != 0)
        return ir_refuse(g, n, "%s into %s", ir_shown(g, n, 1), ir_shown(g, n, 0));
    return true;
}

bool ir_shape_of_done(struct ir_graph *g, struct ir_node *n)
{
    if (n->arity == 0 || !is_op(g, n, 0, IR_step))
        return ir_refuse(g, n, "no step; expected one");
    for (int i = 1; i < n->arity; i++)
        if (!is_op(g, n, i, IR_store))
            return false;
    return no_value(n);
}

/* --- rules ------------------------------------------------------------------------------------ */

static int bodies_in(const struct ir_graph *g)
{
    int most = 0;

    for (uint32_t v = 1; v < g->count; v++)
        if (g->nodes[v].body) {
            int inside = bodies_in(g->nodes[v].body);
            most = inside > most ? inside : most;
        }
    return most + 1;
}

static bool closed(const struct ir_graph *g, const struct ir_node *n)
{
    const struct ir_graph *body = n->body;

    if (!body)
        return ir_refuse(g, n, "no body; expected one");
    if (bodies_in(body) > IR_BODIES)
        return ir_refuse(g, n, "more than %d scans in each other", IR_BODIES);
    if (body->symbols > g->symbols || body->dimensions + g->dimensions > 1 << 10)
        return ir_refuse(g, n, "a body of other symbols, or of too many extents");
    for (int s = 0; s < body->symbols; s++)
        if (strcmp(body->symbol[s].name, g->symbol[s].name) != 0)
            return ir_refuse(g, n, "a body with the symbol %.40s; expected %.40s",
                             body->symbol[s].name, g->symbol[s].name);
    for (uint32_t v = 1; v < body->count; v++)
        if (body->nodes[v].op == IR_state || body->nodes[v].op == IR_assign)
            return ir_refuse(g, n, "%s %.60s in the body; expected that it is an argument",
                             ir_ops[body->nodes[v].op].name,
                             body->nodes[v].text ? body->nodes[v].text : "");
    return true;
}

static const char *type_shown(const struct ir_graph *g, enum ir_dtype dtype,
                              const struct ir_shape *shape)
{
    struct ir_text text = { 0 };
    const char *kept;

    ir_put_shape(&text, g, dtype, shape);
    kept = ir_format(g->arena, "%.90s", text.data);
    ir_text_free(&text);
    return kept;
}

/* the argument as one step sees it: of a slice, without the axis of the steps */
static bool argument_fits(struct ir_graph *g, const struct ir_node *n, int i, ir_val parameter)
{
    const struct ir_node *p = ir_at(n->body, parameter), *a = ir_arg(g, n, i);
    struct ir_shape wanted = ir_shape_of(g, n->body, p->shape);
    int64_t carry = n->attr[IR_SCAN_CARRY].at[0], slices = n->attr[IR_SCAN_SLICES].at[0];
    bool slice = i >= carry && i < carry + slices;

    if (slice) {
        if (wanted.rank == IR_RANK)
            return ir_refuse(g, n, "slices of rank %d; expected less", IR_RANK);
        memmove(wanted.dim + 1, wanted.dim, (size_t)wanted.rank * sizeof *wanted.dim);
        wanted.dim[0] = n->attr[IR_SCAN_LENGTH].at[0];
        wanted.rank++;
    }
    if (a->dtype == p->dtype && ir_same_shape(&a->shape, &wanted))
        return true;
    return ir_refuse(g, n, "%s; expected %s%.90s, for %.40s of the body", ir_shown(g, n, i),
                     slice ? "slices of " : "", type_shown(g, p->dtype, &wanted), p->text);
}

/* its results, and the gradients of its first arguments */
static bool own_derivative(const struct ir_graph *g, const struct ir_node *n,
                           const ir_val *parameter)
{
    const struct ir_graph *body = n->body;
    const int outputs = body->output_count, results = (int)ir_scan_number(n, IR_SCAN_OWN);

    if (!ir_rule_list(g, n, IR_SCAN_OWN, 1, 1, outputs))
        return false;
    if (n->attr[IR_SCAN_CARRY].at[0] || n->attr[IR_SCAN_SLICES].at[0] ||
        n->attr[IR_SCAN_LENGTH].at[0] != 1 || n->attr[IR_SCAN_WHEN].count || n->arity < outputs)
        return ir_refuse(g, n,
                         "own with carries, slices, when, more steps or %d arguments; expected "
                         "one step of %d or more",
                         n->arity, outputs);
    for (int o = 0; o < outputs; o++) {
        const int i = o < results ? outputs - results + o : o - results;
        const struct ir_node *y = ir_at(body, body->outputs[o].value),
                             *p = ir_at(body, parameter[i]);
        if (y->dtype != p->dtype || !ir_same_shape(&y->shape, &p->shape))
            return ir_refuse(g, n, "output %d is %s, and argument %d %s; expected the same", o,
                             type_shown(body, y->dtype, &y->shape), i,
                             type_shown(body, p->dtype, &p->shape));
    }
    return true;
}

bool ir_shape_of_scan(struct ir_graph *g, struct ir_node *n)
{
    ir_val *parameter;
    int64_t carry, slices;
    int count;

    if (!closed(g, n) || !ir_rule_list(g, n, IR_SCAN_CARRY, 1, 0, n->arity) ||
        !ir_rule_list(g, n, IR_SCAN_SLICES, 1, 0, n->arity))
        return false;
    carry = n->attr[IR_SCAN_CARRY].at[0];
    slices = n->attr[IR_SCAN_SLICES].at[0];
    if (n->attr[IR_SCAN_LENGTH].count != 1 || !ir_dim_valid(g, n->attr[IR_SCAN_LENGTH].at[0]))
        return ir_refuse(g, n, "a bad length; expected one extent");
    if (n->attr[IR_SCAN_REVERSE].count && !ir_rule_list(g, n, IR_SCAN_REVERSE, 1, 1, 1))
        return false;
    if (n->attr[IR_SCAN_WHEN].count &&
        (!ir_rule_list(g, n, IR_SCAN_WHEN, 1, carry + slices, n->arity - 1) ||
         !is_truth(g, n, ir_scan_when(n))))
        return false;
    count = ir_parameters(n->body, NULL, 0);
    if (count != n->arity || carry + slices > count)
        return ir_refuse(g, n,
                         "%d arguments, of which %lld carries and %lld slices, for a body of %d",
                         n->arity, (long long)carry, (long long)slices, count);
    parameter = ir_alloc(g->arena, ((size_t)count + 1) * sizeof *parameter);
    ir_parameters(n->body, parameter, count);
    for (int i = 0; i < count; i++)
        if (!argument_fits(g, n, i, parameter[i]))
            return false;
    if (n->body->output_count < carry)
        return ir_refuse(g, n, "%d outputs of the body; expected the next %lld carries first",
                         n->body->output_count, (long long)carry);
    for (int i = 0; i < n->body->output_count; i++) {
        const struct ir_node *o = ir_at(n->body, n->body->outputs[i].value),
                             *p = i < carry ? ir_at(n->body, parameter[i]) : o;
        if (o->dtype != p->dtype || !ir_same_shape(&o->shape, &p->shape))
            return ir_refuse(
                g, n, "carry %.40s is %s before a step and %s after it; expected the same", p->text,
                type_shown(n->body, p->dtype, &p->shape), type_shown(n->body, o->dtype, &o->shape));
        if (i >= carry && o->shape.rank == IR_RANK)
            return ir_refuse(g, n, "output %d of a step has rank %d; expected less", i, IR_RANK);
    }
    if (n->attr[IR_SCAN_OWN].count && !own_derivative(g, n, parameter))
        return false;
    n->dtype = IR_BOOL;
    n->shape.rank = 0;
    return true;
}

bool ir_shape_of_result(struct ir_graph *g, struct ir_node *n)
{
    const struct ir_node *of = ir_arg(g, n, 0), *o;
    int64_t carry;

    if (!of->body)
        return ir_refuse(g, n, "%s; expected a scan", ir_shown(g, n, 0));
    if (!ir_rule_list(g, n, 0, 1, 0, of->body->output_count - 1))
        return false;
    carry = of->attr[IR_SCAN_CARRY].at[0];
    o = ir_at(of->body, of->body->outputs[n->attr[0].at[0]].value);
    n->dtype = o->dtype;
    n->shape = ir_shape_of(g, of->body, o->shape);
    if (n->attr[0].at[0] >= carry) {
        memmove(n->shape.dim + 1, n->shape.dim, (size_t)n->shape.rank * sizeof *n->shape.dim);
        n->shape.dim[0] = of->attr[IR_SCAN_LENGTH].at[0];
        n->shape.rank++;
    }
    return true;
}

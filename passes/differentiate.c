/*
 * differentiate: append the gradient of y with respect to any values, or the tangents.
 *
 * Users come after their arguments, so walking the nodes backwards meets each value only after all
 * of its gradient has arrived. What comes out are nodes like any others, in the same graph: a
 * gradient is differentiated by calling this again.
 */
#include "passes/gradients.h"

struct walk {
    struct ir_graph *g;
    uint32_t count;      /* nodes before the first of ours */
    bool *depends;       /* old value -> a wrt reaches it by a way that gradients take */
    ir_val *grad;        /* old value -> its gradient so far */
    uint32_t *region_of; /* old value -> the region with a rule of its own whose result it is */
    struct ir_arena *scratch;
};

typedef void rule(struct pass_step *);
#define pass_grad_of_none        NULL
#define pass_grad_of_region_none NULL

static rule *const rules[IR_OPS] = {
#define UNARY(op, ...)
#define PREDICATE(op, ...)
#define BINARY(op, ...)
#define COMPARE(op, ...)
#define OP(op, arity, attributes, shape, gradient, ...) [IR_##op] = pass_grad_of_##gradient,
#include "ir/ops.def"
#undef UNARY
#undef PREDICATE
#undef BINARY
#undef COMPARE
#undef OP
};

static rule *const region_rules[] = {
#define REGION(name, gradient, types, doc) pass_grad_of_region_##gradient,
#include "ir/regions.def"
#undef REGION
};

static bool floating(const struct ir_graph *g, ir_val v)
{
    return ir_dtypes[ir_at(g, v)->dtype].kind == 'f';
}

/* Does a gradient pass from the node to its argument i? */
static bool passes(const struct ir_node *n, int i)
{
    const char *formula = ir_ops[n->op].group == IR_STRUCTURAL ? NULL : ir_ops[n->op].grad[i];

    return formula ? *formula != 0 : rules[n->op] != NULL;
}

bool pass_gradient_passes(const struct ir_node *n, int argument)
{
    return passes(n, argument) || n->op == IR_result;
}

static void find_regions(struct walk *w)
{
    for (uint32_t r = w->g->regions; r-- > 1;) { /* the first of two with one result is kept */
        const struct ir_region *region = &w->g->region[r];
        bool usable = region->kind >= 0 && region_rules[region->kind] && region->result.id &&
                      region->result.id < w->count;

        for (int i = 0; usable && i < region->arity; i++)
            usable = region->args[i].id && region->args[i].id < region->result.id;
        if (usable)
            w->region_of[region->result.id] = r;
    }
}

static void find_dependents(struct walk *w, int n, const ir_val *wrt)
{
    for (int i = 0; i < n; i++)
        w->depends[wrt[i].id] = true;
    for (uint32_t v = 1; v < w->count; v++) {
        const struct ir_node *node = &w->g->nodes[v];
        const struct ir_region *region = w->region_of[v] ? &w->g->region[w->region_of[v]] : NULL;

        if (!floating(w->g, (ir_val){ v }) && !ir_has_results(node->op))
            continue;
        for (int i = 0; region && i < region->arity; i++)
            w->depends[v] |= w->depends[region->args[i].id];
        for (int i = 0; !region && i < node->arity; i++)
            w->depends[v] |= w->depends[node->args[i].id] && passes(node, i);
    }
}

static struct walk walk_begin(struct ir_graph *g)
{
    struct walk w = { .g = g, .count = g->count, .scratch = ir_arena_new() };

    w.depends = ir_alloc(w.scratch, w.count * sizeof *w.depends);
    w.grad = ir_alloc(w.scratch, w.count * sizeof *w.grad);
    w.region_of = ir_alloc(w.scratch, w.count * sizeof *w.region_of);
    return w;
}

static void accumulate(struct walk *w, ir_val to, ir_val more, struct ir_loc loc)
{
    struct ir_shape shape = ir_at(w->g, to)->shape;
    ir_val *sum = &w->grad[to.id];

    if (more.id == 0)
        return;
    more = ir_sum_to(w->g, more, shape, loc);
    *sum = sum->id ? ir_op2(w->g, IR_add, *sum, more, loc) : more;
}

/* The letters of the table's formulas. */
static void name_values(ir_val name[26], const struct ir_node *node, ir_val y, ir_val grad)
{
    name['g' - 'a'] = grad;
    name['y' - 'a'] = y;
    for (int i = 0; i < node->arity; i++)
        name[i] = node->args[i];
}

/* What a node made is called after it: in the step's code one sees whose gradient a line is. */
void pass_name_after(struct ir_graph *g, uint32_t from, const char *prefix, const char *name)
{
    char *text = NULL;

    if (!name)
        return;
    for (uint32_t v = from; v < g->count; v++) {
        if (g->nodes[v].name)
            continue;
        text = text ? text : ir_format(g->arena, "%s:%s", prefix, name);
        g->nodes[v].name = text;
    }
}

enum { PIECES = 16 };

/* The pads whose sum v is; false where something else is among them, or too many. Sums in each
 * other have a pad each, so there is no need to look deeper than there may be pads. */
static bool find_pieces(const struct ir_graph *g, ir_val v, int depth, const struct ir_node **piece,
                        int *count)
{
    const struct ir_node *n = ir_at(g, v);

    if (n->op == IR_add)
        return depth < PIECES && find_pieces(g, n->args[0], depth + 1, piece, count) &&
               find_pieces(g, n->args[1], depth + 1, piece, count);
    if (n->op != IR_pad || *count == PIECES || !ir_is_number(g, n->args[1], 0))
        return false;
    piece[(*count)++] = n;
    return true;
}

/* Slices of one value give it gradients with zeros around; where they meet end to end, their sum is
 * one concat. v again where they do not. */
static ir_val join_pieces(struct ir_graph *g, ir_val v)
{
    const struct ir_node *piece[PIECES];
    struct ir_node whole = *ir_at(g, v);
    ir_val part[PIECES];
    int64_t axis = -1, end = 0;
    int count = 0, joined = 0;

    if (whole.op != IR_add || !find_pieces(g, v, 0, piece, &count))
        return v;
    for (int i = 0; i < whole.shape.rank && axis < 0; i++)
        if (ir_at(g, piece[0]->args[0])->shape.dim[i] != whole.shape.dim[i])
            axis = i;
    for (int i = 0; axis >= 0 && i < count;
         i++) { /* the one that begins where the last one ended */
        int next = joined;
        const struct ir_node *found;

        while (next < count && piece[next]->attr[0].at[axis] != end)
            next++;
        if (next == count)
            return v;
        found = piece[next];
        piece[next] = piece[joined];
        part[joined++] = found->args[0];
        for (int k = 0; k < whole.shape.rank; k++)
            if (k != axis && (found->attr[0].at[k] != 0 || found->attr[1].at[k] != 0))
                return v;
        end = ir_dim_add(g, end, ir_at(g, found->args[0])->shape.dim[axis]);
    }
    if (axis < 0 || end != whole.shape.dim[axis])
        return v;
    return ir_op_attr(g, IR_concat, count, part, &(struct ir_list){ 1, &axis }, whole.loc);
}

/* The gradients of a scan's results, which stand behind it, so they are whole. */
static const ir_val *gather_results(const struct walk *w, ir_val scan)
{
    ir_val *grads =
        ir_alloc(w->scratch, ((size_t)ir_at(w->g, scan)->body->output_count + 1) * sizeof *grads);

    for (uint32_t v = scan.id + 1; v < w->count; v++) {
        const struct ir_node *n = &w->g->nodes[v];
        if (n->op == IR_result && n->args[0].id == scan.id)
            grads[n->attr[0].at[0]] = w->grad[v];
    }
    return grads;
}

static void step_back(struct walk *w, ir_val y)
{
    struct ir_graph *g = w->g;
    const struct ir_region *region = w->region_of[y.id] ? &g->region[w->region_of[y.id]] : NULL;
    struct ir_node node = *ir_at(g, y); /* copies: the arrays move while nodes are added */
    int arity = region ? region->arity : node.arity;
    const ir_val *args = region ? region->args : node.args;
    bool *wanted = ir_alloc(w->scratch, (size_t)arity + 1);
    ir_val *to = ir_alloc(w->scratch, ((size_t)arity + 1) * sizeof *to);
    struct pass_step step = { g, &node, region, y, w->grad[y.id], NULL, wanted, to };
    uint32_t before = g->count;
    bool any = false;

    if (node.op == IR_result) { /* its scan has a turn, when all of its results had theirs */
        w->grad[node.args[0].id] = w->grad[y.id];
        return;
    }
    if (ir_has_results(node.op))
        step.grads = gather_results(w, y);
    for (int i = 0; i < arity; i++)
        any |= wanted[i] = w->depends[args[i].id] && (region || passes(&node, i));
    if (!any)
        return;
    if (region) {
        region_rules[region->kind](&step);
    } else if (rules[node.op]) {
        rules[node.op](&step);
    } else {
        ir_val name[26] = { 0 };
        name_values(name, &node, y, step.grad);
        for (int i = 0; i < arity; i++)
            if (wanted[i])
                to[i] = ir_formula(g, ir_ops[node.op].grad[i], name, node.loc);
    }
    for (int i = 0; i < arity; i++)
        if (wanted[i])
            accumulate(w, args[i], to[i], node.loc);
    pass_name_after(g, before, "grad", node.name);
}

bool pass_differentiable(struct ir_graph *g, const char *what, int n, const ir_val *v)
{
    for (int i = 0; i < n; i++) {
        if (v[i].id == 0 || v[i].id >= g->count) /* poison: its error is known already */
            return ir_error(g->error, IR_REFUSED, "grad: %s %d is no value of this graph", what, i);
        if (!floating(g, v[i]))
            return ir_refuse(g, ir_at(g, v[i]),
                             "%s of a gradient is of type %s; only floating types have gradients",
                             what, ir_dtypes[ir_at(g, v[i])->dtype].name);
    }
    return true;
}

/* The gradient (or tangent) that the caller brings for v, or a one for a scalar. */
ir_val pass_seed(struct ir_graph *g, const char *what, ir_val v, const ir_val *given, int i)
{
    struct ir_node node = *ir_at(g, v);
    struct ir_text shape = { 0 };

    if (given && given[i].id) {
        const struct ir_node *seed = ir_at(g, given[i]);
        if (seed->dtype == node.dtype && ir_same_shape(&seed->shape, &node.shape))
            return given[i];
        ir_put_shape(&shape, g, seed->dtype, &seed->shape);
        ir_put(&shape, " for a value ");
        ir_put_shape(&shape, g, node.dtype, &node.shape);
        ir_refuse(g, &node, "the %s is %s; it must be of the same type and shape", what,
                  shape.data);
    } else if (node.shape.rank == 0) {
        return ir_number(g, node.dtype, 1, node.loc);
    } else {
        ir_put_shape(&shape, g, node.dtype, &node.shape);
        ir_refuse(g, &node,
                  "a %s can be left out only for a scalar, and this is %s; give one, or sum first",
                  what, shape.data);
    }
    ir_text_free(&shape);
    return (ir_val){ 0 };
}

bool pass_gradients(struct ir_graph *g, int n_y, const ir_val *y, const ir_val *cotangent, int n,
                    const ir_val *wrt, ir_val *grads)
{
    struct walk w;
    bool ok = g->error->status == IR_OK;

    if (!pass_differentiable(g, "the result", n_y, y) ||
        !pass_differentiable(g, "the argument", n, wrt))
        return false;
    w = walk_begin(g);
    find_regions(&w);
    find_dependents(&w, n, wrt);
    for (int i = 0; ok && i < n_y; i++) {
        ir_val from = pass_seed(g, "cotangent", y[i], cotangent, i);
        ok = from.id != 0;
        if (ok && w.depends[y[i].id])
            accumulate(&w, y[i], from, ir_at(g, y[i])->loc);
    }
    for (uint32_t v = w.count; ok && v-- > 1;)
        if (w.grad[v].id) {
            if (!ir_has_results(g->nodes[v].op))
                w.grad[v] = join_pieces(g, w.grad[v]);
            step_back(&w, (ir_val){ v });
        }
    for (int i = 0; ok && i < n; i++)
        grads[i] = w.grad[wrt[i].id].id ? w.grad[wrt[i].id]
                                        : ir_full_like(g, wrt[i], 0, ir_at(g, wrt[i])->loc);
    ir_arena_free(w.scratch);
    return ok && g->error->status == IR_OK;
}

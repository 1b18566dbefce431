/*
 * lower_kernel: the loops over a kernel's results, and the stores inside them.
 *
 * There are three forms. A map has one index space, that of its results. A kernel of rows reduces
 * the last axes of its index space, and its results have all axes or the leading ones; the row's
 * axes are one flat index, which schedule_rows.c walks or keeps in registers. A scatter stores as
 * it goes (lower_scatter.c), and so does what follows an axis step by step (lower_order.c).
 */
#include "lower.h"

#include <string.h>

/* what the loops are called: images have names of their own, and so have the weights of their
 * convolutions */
static const char *axis_name(const struct lower *l, const struct ir_shape *domain, int axis)
{
    static const char *const plain[IR_RANK] = { "i", "j", "k", "l", "m", "n", "o", "p" };
    static const char *const image[] = { "n", "c", "h", "w" }, *const weight[] = { "co", "ci", "r",
                                                                                   "q" };
    const struct ir_kernel *kernel = &l->c->program->kernels[l->kernel];

    if (domain->rank != 4)
        return plain[axis];
    return ir_at(l->g, kernel->nodes[0])->op == IR_conv_weight ? weight[axis] : image[axis];
}

static void store(struct lower *l, ir_val v, const loop_ix *index)
{
    const struct ir_node *n = ir_at(l->g, v);
    ir_val to = ir_is_store(n->op) ? n->args[0] : v;
    struct loop_statement s = { .kind = LOOP_STORE, .dtype = n->dtype };
    loop_ix inner[IR_RANK];

    if (pass_lower_is_empty(&ir_at(l->g, to)->shape)) /* slices of nothing: no step stores one */
        return;
    s.args[0] = pass_lower_value(l, v, index);
    if (l->failed)
        return;
    s.buffer = pass_lower_buffer(l, to);
    l->k->buffer[s.buffer].written = true;
    if (ir_at(l->g, to)->shape.rank > n->shape.rank) { /* a slice of it */
        inner[0] = loop_dim_ix(l->k, ir_at(l->g, n->args[2])->attr[0].at[0]);
        memcpy(inner + 1, index, (size_t)n->shape.rank * sizeof *inner);
        index = inner;
    }
    s.ix = pass_address(l->k, &l->c->storage[to.id], index);
    l->at = v;
    pass_lower_emit(l, s);
}

static void begin(struct lower *l, const char *name)
{
    l->k = loop_kernel_new(l->c->arena, l->g, name);
    l->row_axis = -1;
    l->cuts = (struct lower_cuts){ .axis = -1 };
    pass_lower_begin(l);
}

/* A kernel of rows has a reduction over last axes; its domain is what is reduced. */
static bool find_row(struct lower *l, const struct ir_kernel *kernel)
{
    for (int i = 0; i < kernel->count; i++) {
        const struct ir_node *n = ir_at(l->g, kernel->nodes[i]);
        if (!ir_reduces(n->op) || ir_order(l->g, n).kind != IR_LANES)
            continue;
        const struct ir_shape *domain = &ir_at(l->g, n->args[0])->shape;
        if (l->row_domain &&
            (l->row_prefix != n->shape.rank || !ir_same_shape(domain, l->row_domain))) {
            pass_lower_fail(l, "kernel %s reduces rows of two kinds: they cannot be one kernel",
                            kernel->name);
            return false;
        }
        l->row_domain = domain;
        l->row_prefix = n->shape.rank;
    }
    return l->row_domain != NULL;
}

bool pass_lower_is_output(const struct lower *l, ir_val v)
{
    return l->c->storage[v.id].parts >= 0 || ir_is_store(ir_at(l->g, v)->op);
}

/* all values first, for a state that is assigned may be read by others; then the stores */
static void store_all(struct lower *l, const struct ir_kernel *kernel, const loop_ix *index)
{
    for (int round = 0; round < 2; round++)
        for (int i = 0; i < kernel->count && !l->failed; i++) {
            ir_val v = kernel->nodes[i];
            l->at = v;
            if (!pass_lower_is_output(l, v) || pass_lower_is_empty(&ir_at(l->g, v)->shape))
                continue;
            if (round == 0)
                pass_lower_value(l, v, index);
            else
                store(l, v, index);
        }
}

static void lower_rows(struct lower *l, const struct ir_kernel *kernel)
{
    const struct ir_shape *domain = l->row_domain;
    loop_ix index[IR_RANK], flat, to = loop_const(l->k, 1);
    int axis[IR_RANK], prefix = l->row_prefix;
    int64_t most = 1;

    for (int i = 0; i < prefix; i++) {
        axis[i] = pass_lower_axis(l, axis_name(l, domain, i), domain->dim[i]);
        index[i] = loop_axis_ix(l->k, axis[i]);
        pass_lower_open(l, axis[i]);
    }
    for (int i = prefix; i < domain->rank; i++) {
        if (i > prefix && !ir_dim_fixed(domain->dim[i])) {
            pass_lower_fail(l, "rows with a symbolic extent that is not their first");
            return;
        }
        to = i > prefix ? loop_scale(l->k, to, domain->dim[i]) : loop_dim_ix(l->k, domain->dim[i]);
        most *= ir_dim_max(l->g, domain->dim[i]);
    }
    l->row_axis = loop_axis_new(l->k, "c", to, most > 0 ? most : 1);
    l->k->axis[l->row_axis].role = LOOP_UNROLL;
    flat = loop_axis_ix(l->k, l->row_axis);
    for (int i = domain->rank - 1; i >= prefix; i--) {
        index[i] = i == prefix || domain->dim[i] == 0 ? flat : loop_mod(l->k, flat, domain->dim[i]);
        if (i > prefix && domain->dim[i])
            flat = loop_div(l->k, flat, domain->dim[i]);
    }
    pass_lower_open(l, l->row_axis);
    store_all(l, kernel, index);
    if (l->failed)
        return;
    pass_lower_close(l, l->row_axis, 0, NULL);
    for (int i = prefix; i-- > 0;)
        pass_lower_close(l, axis[i], 0, NULL);
}

/* the shape that all results have; NULL: there are none, or it failed */
static const struct ir_shape *domain_of(struct lower *l, const struct ir_kernel *kernel)
{
    const struct ir_shape *domain = NULL;

    for (int i = 0; i < kernel->count; i++)
        if (pass_lower_is_output(l, kernel->nodes[i])) {
            const struct ir_shape *s = &ir_at(l->g, kernel->nodes[i])->shape;
            if (domain && !ir_same_shape(domain, s)) {
                pass_lower_fail(l, "kernel %s has results of two shapes: they cannot be one kernel",
                                kernel->name);
                return NULL;
            }
            domain = s;
        }
    return domain && pass_lower_is_empty(domain) ? NULL : domain;
}

/* the nest over a domain, of `cut` along one axis only from .. to */
static void lower_piece(struct lower *l, const struct ir_kernel *kernel,
                        const struct ir_shape *domain, int cut, int64_t from, int64_t to)
{
    loop_ix index[IR_RANK];

    l->map_rank = domain->rank;
    for (int i = 0; i < domain->rank; i++) {
        l->map_axis[i] =
            pass_lower_axis(l, axis_name(l, domain, i), i == cut ? to - from : domain->dim[i]);
        index[i] = loop_axis_ix(l->k, l->map_axis[i]);
        if (i == cut)
            index[i] = loop_plus(l->k, index[i], loop_const(l->k, from));
        pass_lower_open(l, l->map_axis[i]);
    }
    store_all(l, kernel, index);
    if (l->failed)
        return;
    for (int i = domain->rank; i-- > 0;)
        pass_lower_close(l, l->map_axis[i], 0, NULL);
}

/* Is it worth nests of their own: no sums inside, whose operands would be packed for each? */
static bool cut_well(const struct lower *l)
{
    const int pieces = l->cuts.count + 1;

    for (int a = 0; a < l->k->axes; a++)
        if (l->k->axis[a].ordered)
            return false;
    return l->c->pieces && l->cuts.count && !l->cuts.many && pieces * l->k->axes <= LOWER_AXES &&
           pieces * (l->k->axes + 3) <= LOOP_AXES;
}

static void lower_domain(struct lower *l, const struct ir_kernel *kernel)
{
    const struct ir_shape *domain = domain_of(l, kernel);
    int64_t from = 0;

    if (!domain)
        return;
    lower_piece(l, kernel, domain, -1, 0, 0);
    if (l->failed || !cut_well(l))
        return;
    const struct lower_cuts cuts = l->cuts;
    begin(l, kernel->name);
    l->k->pieces = true;
    for (int i = 0; i <= cuts.count; i++) {
        const int64_t to = i < cuts.count ? cuts.at[i] : domain->dim[cuts.axis];
        lower_piece(l, kernel, domain, cuts.axis, from, to);
        from = to;
    }
}

static struct loop_kernel *lower_mark(struct lower *l, const struct ir_node *n)
{
    l->k->mark = n->op == IR_step ? LOOP_BEGIN : LOOP_END;
    if (n->op == IR_step) {
        l->k->index = n->attr[0].at[0];
        l->k->length = n->attr[1].at[0];
        l->k->reverse = n->attr[2].count != 0;
        if (n->attr[3].count) { /* all threads ask */
            const int b = pass_lower_buffer(l, n->args[n->arity - 1]);
            l->k->buffer[b].read = true;
            l->k->shared = true;
        }
    }
    return l->k;
}

struct loop_kernel *pass_lower(struct pass_compiled *c, int kernel, struct ir_error *error)
{
    const struct ir_kernel *of = &c->program->kernels[kernel];
    struct lower *l = ir_alloc(c->arena, sizeof *l);

    l->c = c;
    l->g = c->program->graph;
    l->kernel = kernel;
    l->error = error;
    begin(l, of->name);
    l->at = of->nodes[0];
    const struct ir_node *first = ir_at(l->g, of->nodes[0]);
    if (first->op == IR_step || first->op == IR_done)
        return lower_mark(l, first);
    if (of->count == 1 && pass_lower_table[first->op] == pass_lower_of_scatter)
        pass_lower_scatter(l, of->nodes[0]);
    else if (of->count == 1 && pass_lower_table[first->op] == pass_lower_of_cumulate)
        pass_lower_cumulate(l, of->nodes[0]);
    else if (of->count == 1 && pass_lower_table[first->op] == pass_lower_of_argsort)
        pass_lower_argsort(l, of->nodes[0]);
    else if (of->count == 1 && first->op == IR_custom)
        pass_lower_call(l, of->nodes[0]);
    else if (find_row(l, of))
        lower_rows(l, of);
    else if (!l->failed)
        lower_domain(l, of);
    if (l->k->tangled) {
        l->at = of->nodes[of->count - 1];
        pass_lower_fail(l,
                        "it is read through so many views that its index has more than %d terms; "
                        "expected one of the views to be stored",
                        LOOP_SIZE);
    }
    l->k->comment = pass_lower_comment(l, of);
    if (l->failed)
        return NULL;
    loop_depends(l->k);
    loop_assert(l->k, "lower");
    return l->k;
}

/*
 * lower: each kernel as a plain loop nest.
 *
 * The element of a value at an index is asked for, and that asks for elements of its arguments:
 * views only change the index, pointwise nodes emit a statement, what another kernel has stored is
 * loaded. Every statement goes into the outermost open loop that has the axes it needs, and the
 * same element is never computed twice in reach of its loop. So hoisting and sharing happen by
 * construction, and what schedule gets is simple: loops over the kernel's index space, and
 * statements.
 */
#include "lower.h"

#include <stdarg.h>
#include <string.h>

uint32_t pass_lower_fail(struct lower *l, const char *format, ...)
{
    char text[300];
    va_list list;

    va_start(list, format);
    vsnprintf(text, sizeof text, format, list);
    va_end(list);
    if (!l->failed) {
        const struct ir_node *n = ir_at(l->g, l->at);
        if (n->loc.file)
            ir_error(l->error, IR_UNSUPPORTED, "%s:%d: %s: %s", n->loc.file, n->loc.line,
                     ir_ops[n->op].name, text);
        else
            ir_error(l->error, IR_UNSUPPORTED, "%s: %s", ir_ops[n->op].name, text);
    }
    l->failed = true;
    return 0;
}

/* ---- scopes ---- */

void pass_lower_open(struct lower *l, int axis)
{
    if (l->scopes == LOWER_SCOPES)
        ir_bug("loops nest deeper than %d", LOWER_SCOPES);
    struct lower_scope *s = &l->scope[l->scopes];
    *s = (struct lower_scope){ .axes = l->scopes ? s[-1].axes : 0 };
    s->into = &s->block;
    s->axes |= UINT64_C(1) << axis;
    l->scopes++;
}

void pass_lower_close(struct lower *l, int axis, int guards, const struct loop_guard *guard)
{
    struct lower_scope *s = &l->scope[--l->scopes];
    struct loop_statement loop = {
        .kind = LOOP_FOR, .axis = axis, .guards = guards, .node = l->at
    };

    loop.loc = ir_at(l->g, l->at)->loc;
    loop.body = s->block;
    for (int i = 0; i < guards; i++)
        loop.guard[i] = guard[i];
    loop_add(l->k, s[-1].into, loop);
}

int pass_lower_scope_for(struct lower *l, uint64_t axes, int least)
{
    int s = least;

    while (s < l->scopes - 1 && (l->scope[s].axes & axes) != axes)
        s++;
    return s;
}

static void set_home(struct lower *l, uint32_t value, int scope)
{
    if (value >= l->homes) {
        uint32_t room = 2 * value + 64;
        uint8_t *bigger = ir_alloc(l->c->arena, room);
        if (l->homes)
            memcpy(bigger, l->home, l->homes);
        l->home = bigger;
        l->homes = room;
    }
    l->home[value] = (uint8_t)scope;
}

/* the innermost home of the values that an index expression reads */
static int home_of_index(struct lower *l, loop_ix ix)
{
    int home = 0;

    for (int i = 0; i < l->k->sum[ix].count; i++) {
        const struct loop_atom *a = &l->k->atom[l->k->sum[ix].term[i].atom];
        int h = 0;
        if (a->kind == LOOP_ATOM_VALUE)
            h = l->home[a->a];
        else if (a->kind == LOOP_ATOM_DIV)
            h = home_of_index(l, a->a);
        home = h > home ? h : home;
    }
    return home;
}

uint32_t pass_lower_emit(struct lower *l, struct loop_statement s)
{
    uint64_t axes = loop_axes_of(l->k, s.ix);
    int least = home_of_index(l, s.ix);

    for (int i = 0; i < 3; i++) {
        axes |= l->k->value[s.args[i]].depends;
        if (s.args[i] && l->home[s.args[i]] > least)
            least = l->home[s.args[i]];
    }
    for (int i = 0; i < s.guards; i++) {
        axes |= loop_axes_of(l->k, s.guard[i].ix) | loop_axes_of(l->k, s.guard[i].limit);
        int h = home_of_index(l, s.guard[i].ix);
        least = h > least ? h : least;
    }
    int scope = pass_lower_scope_for(l, axes, least);
    /* what changes while loops run is read and written where it stands in the text, and nowhere
     * further out */
    bool changing = s.kind == LOOP_LOAD && l->k->buffer[s.buffer].written;
    for (int i = 0; i < 3; i++)
        changing |= l->k->value[s.args[i]].variable;
    if (changing || s.kind == LOOP_VAR || s.kind == LOOP_SET || s.kind == LOOP_STORE ||
        s.kind == LOOP_FOLD)
        scope = l->scopes - 1;
    s.node = l->at;
    s.loc = ir_at(l->g, l->at)->loc;
    if (s.kind != LOOP_SET && s.kind != LOOP_STORE) {
        s.value = loop_value_new(l->k, s.dtype);
        l->k->value[s.value].depends = s.kind == LOOP_FOLD  ? axes & ~s.over
                                       : s.kind == LOOP_VAR ? axes | l->scope[l->scopes - 1].axes
                                                            : axes;
        l->k->value[s.value].variable = s.kind == LOOP_VAR;
        set_home(l, s.value, scope);
    }
    loop_add(l->k, l->scope[scope].into, s);
    return s.value;
}

uint32_t pass_lower_let(struct lower *l, enum ir_op op, enum ir_dtype dtype, uint32_t a, uint32_t b,
                        uint32_t c)
{
    return pass_lower_emit(
        l,
        (struct loop_statement){ .kind = LOOP_LET, .op = op, .dtype = dtype, .args = { a, b, c } });
}

uint32_t pass_lower_number(struct lower *l, enum ir_dtype dtype, double number)
{
    return pass_lower_emit(l, (struct loop_statement){
                                  .kind = LOOP_LET,
                                  .op = IR_const,
                                  .dtype = dtype,
                                  .number = number,
                                  .integer = ir_dtypes[dtype].kind == 'f' ? 0 : (int64_t)number });
}

uint32_t pass_lower_index(struct lower *l, enum ir_dtype dtype, loop_ix ix)
{
    uint32_t v = pass_lower_emit(
        l, (struct loop_statement){ .kind = LOOP_LET, .op = IR_POISON, .dtype = IR_I64, .ix = ix });

    return dtype == IR_I64 ? v : pass_lower_let(l, IR_cast, dtype, v, 0, 0);
}

uint32_t pass_lower_var(struct lower *l, enum ir_dtype dtype, uint32_t start)
{
    return pass_lower_emit(
        l, (struct loop_statement){ .kind = LOOP_VAR, .dtype = dtype, .args = { start } });
}

void pass_lower_set(struct lower *l, uint32_t variable, enum ir_op op, uint32_t a, uint32_t b,
                    int guards, const struct loop_guard *guard)
{
    struct loop_statement s = { .kind = LOOP_SET, .op = op, .dtype = l->k->value[variable].dtype };

    s.args[0] = variable;
    s.args[1] = a;
    s.args[2] = b;
    for (int i = 0; i < guards; i++)
        if (loop_guard_state(l->k, &guard[i]) != 1)
            s.guard[s.guards++] = guard[i];
    pass_lower_emit(l, s);
}

int pass_lower_axis(struct lower *l, const char *name, int64_t dim)
{
    int64_t most = ir_dim_max(l->g, dim);

    return loop_axis_new(l->k, name, loop_dim_ix(l->k, dim), most > 0 ? most : 1);
}

/* ---- loads ---- */

static bool is_stored(const struct lower *l, ir_val v)
{
    return l->c->kernel_of[v.id] != l->kernel && l->c->storage[v.id].parts >= 0;
}

static int buffer_for(struct lower *l, ir_val v)
{
    const struct ir_node *n = ir_at(l->g, v);
    const struct pass_storage *s = &l->c->storage[v.id];
    const char *name = n->op == IR_input || n->op == IR_state ? n->text : n->name;
    int b = loop_buffer_of(l->k, name, n->dtype, v, s->elements);

    l->k->buffer[b].padded = s->padded;
    return b;
}

static uint32_t load(struct lower *l, ir_val v, const loop_ix *index)
{
    struct loop_statement s = { .kind = LOOP_LOAD, .dtype = ir_at(l->g, v)->dtype };

    s.buffer = buffer_for(l, v);
    l->k->buffer[s.buffer].read = true;
    s.ix = pass_address(l->k, &l->c->storage[v.id], index);
    for (int i = 0; i < l->guards; i++) {
        if (loop_guard_state(l->k, &l->guard[i]) == 1)
            continue;
        if (s.guards == (int)(sizeof s.guard / sizeof *s.guard))
            return pass_lower_fail(l, "too many conditions around one load");
        s.guard[s.guards++] = l->guard[i];
    }
    return pass_lower_emit(l, s);
}

/* ---- what an index map says by cases ---- */

static uint32_t truth(struct lower *l, int guards, const struct loop_guard *guard)
{
    uint32_t all = 0;

    for (int i = 0; i < guards; i++) {
        if (loop_guard_state(l->k, &guard[i]) == 1)
            continue;
        uint32_t at = pass_lower_index(l, IR_I64, guard[i].ix);
        uint32_t zero = pass_lower_index(l, IR_I64, 0);
        uint32_t limit = pass_lower_index(l, IR_I64, guard[i].limit);
        uint32_t inside =
            pass_lower_let(l, IR_and, IR_BOOL, pass_lower_let(l, IR_le, IR_BOOL, zero, at, 0),
                           pass_lower_let(l, IR_lt, IR_BOOL, at, limit, 0), 0);
        all = all ? pass_lower_let(l, IR_and, IR_BOOL, all, inside, 0) : inside;
    }
    return all;
}

/* value of a where the guards hold, else b */
static uint32_t by_case(struct lower *l, enum ir_dtype dtype, ir_val a, const loop_ix *index,
                        int guards, const struct loop_guard *guard, uint32_t otherwise)
{
    int before = l->guards;

    for (int i = 0; i < guards; i++) {
        int state = loop_guard_state(l->k, &guard[i]);
        if (state == 0)
            return otherwise;
        if (state == 1)
            continue;
        if (l->guards == LOWER_GUARDS)
            return pass_lower_fail(l, "pads and concats nest too deep");
        l->guard[l->guards++] = guard[i];
    }
    uint32_t value = pass_lower_value(l, a, index);
    l->guards = before;
    uint32_t condition = truth(l, guards, guard);
    return condition ? pass_lower_let(l, IR_select, dtype, condition, value, otherwise) : value;
}

static uint32_t lower_pad(struct lower *l, const struct ir_node *n, const loop_ix *index)
{
    const struct ir_node *a = ir_at(l->g, n->args[0]);
    loop_ix inner[IR_RANK];
    struct loop_guard guard[IR_RANK];

    for (int i = 0; i < n->shape.rank; i++) {
        inner[i] = loop_plus(l->k, index[i], loop_const(l->k, -n->attr[0].at[i]));
        guard[i] = (struct loop_guard){ inner[i], loop_dim_ix(l->k, a->shape.dim[i]) };
    }
    uint32_t otherwise = pass_lower_value(l, n->args[1], NULL);
    return by_case(l, n->dtype, n->args[0], inner, n->shape.rank, guard, otherwise);
}

static uint32_t lower_concat(struct lower *l, const struct ir_node *n, const loop_ix *index)
{
    int axis = (int)n->attr[0].at[0];
    loop_ix inner[IR_RANK], start = loop_const(l->k, 0);
    uint32_t result = 0;

    memcpy(inner, index, (size_t)n->shape.rank * sizeof *inner);
    for (int i = 0; i < n->arity; i++) {
        int64_t dim = ir_at(l->g, n->args[i])->shape.dim[axis];
        struct loop_guard guard;
        if (dim == 0)
            continue;
        inner[axis] = loop_plus(l->k, index[axis], loop_scale(l->k, start, -1));
        guard = (struct loop_guard){ inner[axis], loop_dim_ix(l->k, dim) };
        start = loop_plus(l->k, start, guard.limit);
        if (!result)
            result = pass_lower_number(l, n->dtype, 0);
        result = by_case(l, n->dtype, n->args[i], inner, 1, &guard, result);
    }
    return result ? result : pass_lower_number(l, n->dtype, 0);
}

/* an integer read from memory, kept inside 0 .. limit - 1: a bad one must not read elsewhere */
static loop_ix picked(struct lower *l, ir_val v, const loop_ix *index, int64_t limit)
{
    enum ir_dtype dtype = ir_at(l->g, v)->dtype;
    uint32_t at = pass_lower_value(l, v, index);

    if (dtype != IR_I64)
        at = pass_lower_let(l, IR_cast, IR_I64, at, 0, 0);
    at = pass_lower_let(l, IR_max, IR_I64, at, pass_lower_index(l, IR_I64, 0), 0);
    uint32_t last = pass_lower_index(
        l, IR_I64, loop_plus(l->k, loop_dim_ix(l->k, limit), loop_const(l->k, -1)));
    return loop_value_ix(l->k, pass_lower_let(l, IR_min, IR_I64, at, last, 0));
}

static uint32_t lower_take(struct lower *l, const struct ir_node *n, const loop_ix *index)
{
    const struct ir_node *a = ir_at(l->g, n->args[0]), *b = ir_at(l->g, n->args[1]);
    int axis = (int)n->attr[0].at[0];
    loop_ix inner[IR_RANK];

    for (int i = 0; i < a->shape.rank; i++)
        if (i != axis)
            inner[i] = index[i < axis ? i : i + b->shape.rank - 1];
    inner[axis] = picked(l, n->args[1], index + axis, a->shape.dim[axis]);
    return pass_lower_value(l, n->args[0], inner);
}

static uint32_t lower_gather(struct lower *l, const struct ir_node *n, const loop_ix *index)
{
    int axis = (int)n->attr[0].at[0];
    loop_ix inner[IR_RANK];

    memcpy(inner, index, (size_t)n->shape.rank * sizeof *inner);
    inner[axis] = picked(l, n->args[1], index, ir_at(l->g, n->args[0])->shape.dim[axis]);
    return pass_lower_value(l, n->args[0], inner);
}

/* from each window the tap that an integer names */
static uint32_t lower_window_pick(struct lower *l, const struct ir_node *n, const loop_ix *index)
{
    const struct ir_node *a = ir_at(l->g, n->args[0]);
    int spatial = n->attr[0].count, lead = n->shape.rank - spatial;
    int64_t taps = 1;
    loop_ix inner[IR_RANK];
    struct loop_guard guard[IR_RANK];

    for (int i = 0; i < spatial; i++)
        taps *= n->attr[0].at[i];
    loop_ix tap = picked(l, n->args[1], index, taps);
    memcpy(inner, index, (size_t)lead * sizeof *inner);
    for (int i = spatial; i-- > 0;) {
        int64_t stride = n->attr[1].at[i], pad = n->attr[2].at[2 * i], dilation = n->attr[3].at[i];
        loop_ix t = i ? loop_mod(l->k, tap, n->attr[0].at[i]) : tap;
        tap = loop_div(l->k, tap, n->attr[0].at[i]);
        inner[lead + i] = loop_plus(l->k,
                                    loop_plus(l->k, loop_scale(l->k, index[lead + i], stride),
                                              loop_scale(l->k, t, dilation)),
                                    loop_const(l->k, -pad));
        guard[i] =
            (struct loop_guard){ inner[lead + i], loop_dim_ix(l->k, a->shape.dim[lead + i]) };
    }
    return by_case(l, n->dtype, n->args[0], inner, spatial, guard,
                   pass_lower_number(l, n->dtype, 0));
}

static uint32_t lower_bits(struct lower *l, const struct ir_node *n, const loop_ix *index)
{
    loop_ix flat = loop_const(l->k, 0);

    for (int i = 0; i < n->shape.rank; i++) {
        if (i && !ir_dim_fixed(n->shape.dim[i]))
            return pass_lower_fail(l, "a symbolic extent that is not the first");
        flat = loop_plus(l->k, loop_scale(l->k, flat, i ? n->shape.dim[i] : 1), index[i]);
    }
    return pass_lower_emit(
        l, (struct loop_statement){ .kind = LOOP_LET,
                                    .op = IR_bits,
                                    .dtype = n->dtype,
                                    .ix = flat,
                                    .integer = n->attr[0].at[0],
                                    .args = { pass_lower_value(l, n->args[0], NULL),
                                              pass_lower_value(l, n->args[1], NULL) } });
}

/* ---- the element of a value at an index ---- */

static uint32_t compute(struct lower *l, ir_val v, const loop_ix *index)
{
    const struct ir_node *n = ir_at(l->g, v);
    loop_ix inner[IR_RANK];
    uint32_t arg[3] = { 0 };

    if (n->op == IR_stop_gradient)
        return pass_lower_value(l, n->args[0], index);
    if (pass_is_view(n->op)) {
        if (!pass_view(l->k, l->g, n, index, inner))
            return pass_lower_fail(l, "merges symbolic extents, which this version cannot index");
        return pass_lower_value(l, n->args[0], inner);
    }
    if (ir_pointwise(n->op)) {
        for (int i = 0; i < n->arity; i++) {
            pass_broadcast(l->k, &n->shape, &ir_at(l->g, n->args[i])->shape, index, inner);
            arg[i] = pass_lower_value(l, n->args[i], inner);
        }
        return pass_lower_let(l, n->op, n->dtype, arg[0], arg[1], arg[2]);
    }
    switch (n->op) {
    case IR_const:
        return pass_lower_emit(l, (struct loop_statement){ .kind = LOOP_LET,
                                                           .op = IR_const,
                                                           .dtype = n->dtype,
                                                           .number = ir_number_of(n),
                                                           .integer = n->attr[0].at[0] });
    case IR_iota:
        return pass_lower_index(l, n->dtype, index[n->attr[0].at[0]]);
    case IR_size:
        return pass_lower_index(l, n->dtype, loop_dim_ix(l->k, n->attr[0].at[0]));
    case IR_pad:
        return lower_pad(l, n, index);
    case IR_concat:
        return lower_concat(l, n, index);
    case IR_take:
        return lower_take(l, n, index);
    case IR_gather:
        return lower_gather(l, n, index);
    case IR_window_pick:
        return lower_window_pick(l, n, index);
    case IR_bits:
        return lower_bits(l, n, index);
    case IR_assign:
        return pass_lower_value(l, n->args[1], index);
    default:
        return pass_lower_loops(l, v, index);
    }
}

uint32_t pass_lower_value(struct lower *l, ir_val v, const loop_ix *index)
{
    const struct ir_node *n = ir_at(l->g, v);
    uint32_t value;
    uint64_t axes = 0;
    ir_val before = l->at;

    if (l->failed)
        return 0;
    for (int s = l->scopes; s-- > 0;)
        for (int m = 0; m < l->scope[s].memos; m++) {
            const struct lower_memo *memo = &l->scope[s].memo[m];
            if (memo->node.id == v.id && memo->guards == l->guards && !l->guards &&
                (!n->shape.rank ||
                 !memcmp(memo->index, index, (size_t)n->shape.rank * sizeof *index)))
                return memo->value;
        }
    if (n->loc.file || n->name)
        l->at = v;
    value = is_stored(l, v) ? load(l, v, index) : compute(l, v, index);
    l->at = before;
    if (l->failed)
        return 0;
    for (int i = 0; i < n->shape.rank; i++)
        axes |= loop_axes_of(l->k, index[i]);
    struct lower_scope *s = &l->scope[pass_lower_scope_for(l, axes, l->home[value])];
    if (s->memos == s->room) {
        struct lower_memo *bigger =
            ir_alloc(l->c->arena, (size_t)(2 * s->room + 16) * sizeof *bigger);
        if (s->memos)
            memcpy(bigger, s->memo, (size_t)s->memos * sizeof *bigger);
        s->memo = bigger;
        s->room = 2 * s->room + 16;
    }
    s->memo[s->memos] = (struct lower_memo){ .node = v, .value = value, .guards = l->guards };
    if (n->shape.rank)
        memcpy(s->memo[s->memos].index, index, (size_t)n->shape.rank * sizeof *index);
    s->memos++;
    return value;
}

/* ---- the kernel ---- */

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
    ir_val to = n->op == IR_assign ? n->args[0] : v;
    struct loop_statement s = { .kind = LOOP_STORE, .dtype = n->dtype };

    s.args[0] = pass_lower_value(l, v, index);
    if (l->failed)
        return;
    s.buffer = buffer_for(l, to);
    l->k->buffer[s.buffer].written = true;
    s.ix = pass_address(l->k, &l->c->storage[to.id], index);
    l->at = v;
    pass_lower_emit(l, s);
}

/* A kernel of rows has a reduction over last axes; its domain is what is reduced. */
static bool find_row(struct lower *l, const struct ir_kernel *kernel)
{
    for (int i = 0; i < kernel->count; i++) {
        const struct ir_node *n = ir_at(l->g, kernel->nodes[i]);
        if (n->op != IR_sum && n->op != IR_prod && n->op != IR_amax && n->op != IR_amin &&
            n->op != IR_all && n->op != IR_any)
            continue;
        if (ir_order(l->g, n).kind != IR_LANES)
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

static bool is_output(const struct lower *l, ir_val v)
{
    return l->c->storage[v.id].parts >= 0 || ir_at(l->g, v)->op == IR_assign;
}

/* nothing is computed for a value without elements */
static bool is_empty(const struct ir_shape *s)
{
    for (int i = 0; i < s->rank; i++)
        if (s->dim[i] == 0)
            return true;
    return false;
}

/* all values first, for a state that is assigned may be read by others; then the stores */
static void store_all(struct lower *l, const struct ir_kernel *kernel, const loop_ix *index)
{
    for (int round = 0; round < 2; round++)
        for (int i = 0; i < kernel->count && !l->failed; i++) {
            ir_val v = kernel->nodes[i];
            l->at = v;
            if (!is_output(l, v) || is_empty(&ir_at(l->g, v)->shape))
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

static void lower_domain(struct lower *l, const struct ir_kernel *kernel)
{
    const struct ir_shape *domain = NULL;
    loop_ix index[IR_RANK];
    int axis[IR_RANK];

    for (int i = 0; i < kernel->count; i++)
        if (is_output(l, kernel->nodes[i])) {
            const struct ir_shape *s = &ir_at(l->g, kernel->nodes[i])->shape;
            if (domain && !ir_same_shape(domain, s)) {
                pass_lower_fail(l, "kernel %s has results of two shapes: they cannot be one kernel",
                                kernel->name);
                return;
            }
            domain = s;
        }
    if (!domain || is_empty(domain))
        return;
    for (int i = 0; i < domain->rank; i++) {
        axis[i] = pass_lower_axis(l, axis_name(l, domain, i), domain->dim[i]);
        index[i] = loop_axis_ix(l->k, axis[i]);
        pass_lower_open(l, axis[i]);
    }
    store_all(l, kernel, index);
    if (l->failed)
        return;
    for (int i = domain->rank; i-- > 0;)
        pass_lower_close(l, axis[i], 0, NULL);
}

/* ---- what the kernel computes, for people ---- */

static void describe(struct lower *l, struct ir_text *out, ir_val v, int depth, bool inner)
{
    static const char *const infix[IR_OPS] = {
        [IR_add] = " + ", [IR_sub] = " - ", [IR_mul] = " * ", [IR_div] = " / ",
        [IR_lt] = " < ",  [IR_le] = " <= ", [IR_eq] = " == ", [IR_dot] = " @ "
    };
    const struct ir_node *n = ir_at(l->g, v);

    if (pass_is_view(n->op) && l->c->kernel_of[v.id] < 0 && l->c->storage[v.id].parts < 0) {
        describe(l, out, n->args[0], depth, inner);
        return;
    }
    if (n->op == IR_const) {
        ir_put(out, "%.4g", ir_number_of(n));
        return;
    }
    if (n->text && n->op != IR_dot) {
        ir_put(out, "%.40s", n->text);
        return;
    }
    if ((l->c->kernel_of[v.id] != l->kernel && l->c->kernel_of[v.id] >= 0) || depth == 0 ||
        out->size > 200) {
        ir_put(out, depth == 0 || out->size > 200 ? ".." : "%s%u", ir_ops[n->op].name, v.id);
        return;
    }
    if (infix[n->op] && n->arity == 2) {
        ir_put(out, inner ? "(" : "");
        describe(l, out, n->args[0], depth - 1, true);
        ir_put(out, "%s", infix[n->op]);
        describe(l, out, n->args[1], depth - 1, true);
        ir_put(out, inner ? ")" : "");
        return;
    }
    ir_put(out, "%s(", ir_ops[n->op].name);
    for (int i = 0; i < n->arity; i++) {
        ir_put(out, i ? ", " : "");
        describe(l, out, n->args[i], depth - 1, false);
    }
    ir_put(out, ")");
}

/* relu11 = relu(fc1.bias + (div5 @ fc1.weight)) : f32[batch 128]; a line a result */
static const char *explain(struct lower *l, const struct ir_kernel *kernel)
{
    struct ir_text all = { 0 };

    for (int i = 0; i < kernel->count; i++) {
        ir_val v = kernel->nodes[i];
        const struct ir_node *n = ir_at(l->g, v);
        struct ir_text one = { 0 };
        if (!is_output(l, v))
            continue;
        if (n->op == IR_assign)
            ir_put(&one, "%.40s = ", ir_at(l->g, n->args[0])->text);
        else
            ir_put(&one, "%s%u = ", ir_ops[n->op].name, v.id);
        describe(l, &one, n->op == IR_assign ? n->args[1] : v, 9, false);
        ir_put(&one, " : ");
        ir_put_shape(&one, l->g, n->dtype, &n->shape);
        ir_put(&all, "%s%s", all.size ? "\n * " : "", one.data);
        ir_text_free(&one);
    }
    if (!all.size)
        return NULL;
    char *text = ir_format(l->c->arena, "%s", all.data);
    ir_text_free(&all);
    for (char *c = text; *c; c++) /* names come from files */
        if ((c[0] == '*' && c[1] == '/') || (*c < ' ' && *c != '\n'))
            *c = '_';
    return text;
}

struct loop_kernel *pass_lower(struct pass_compiled *c, int kernel,
                               const struct pass_options *options, struct ir_error *error)
{
    const struct ir_kernel *of = &c->program->kernels[kernel];
    struct lower *l = ir_alloc(c->arena, sizeof *l);

    l->c = c;
    l->g = c->program->graph;
    l->options = options;
    l->kernel = kernel;
    l->k = loop_kernel_new(c->arena, l->g, of->name);
    l->row_axis = -1;
    l->error = error;
    l->scopes = 1;
    l->scope[0].into = &l->k->body;
    set_home(l, 0, 0);
    l->at = of->nodes[0];
    const struct ir_node *first = ir_at(l->g, of->nodes[0]);
    if (first->op == IR_put_add || first->op == IR_scatter_add)
        pass_lower_scatter(l, of->nodes[0]);
    else if (find_row(l, of))
        lower_rows(l, of);
    else if (!l->failed)
        lower_domain(l, of);
    l->k->comment = explain(l, of);
    return l->failed ? NULL : l->k;
}

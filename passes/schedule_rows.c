/*
 * schedule_rows: a kernel that reduces the last axes and looks at the row again (softmax, norms,
 * losses, sums).
 *
 * A row of up to 64 elements stays in registers: the whole kernel body is straight-line code on up
 * to four vectors. A longer row is walked in strips of 64, once for every reduction that must be
 * complete before the next can start; what a later walk needs of an earlier one is computed again,
 * but for functions (exp, tanh): those are kept in scratch for the length of the row, and the first
 * walk that computes asks for the next row, so that the memory does not idle meanwhile; on a GPU,
 * 64 threads walk together, a thread a sum. All add in the order of ir_order(): element i in sum i
 * % 64, then a tree; pieces of 16384 apart.
 */
#include "steps.h"

#include <string.h>

#define STRIP     64
#define PIECE     16384
#define FAR       (1 << 20) /* bytes that the second cache does not keep */
#define WALK_AXES 8         /* what a walk makes, and the questions that it asks */

/* ---- short rows ---- */

static void in_registers(struct loop_kernel *k, struct loop_statement *row)
{
    int64_t width = (k->axis[row->axis].hi + LOOP_LANES - 1) / LOOP_LANES;
    int axis = row->axis, lane = -1;

    for (int i = 0; i < row->body.count && k->axis[axis].hi == 1;
         i++) { /* one element is its own fold, but for -0 + 0 */
        struct loop_statement *s = row->body.at[i];
        int64_t extent;
        if (s->kind != LOOP_FOLD || !loop_is_const(k, k->axis[axis].to, &extent) || extent != 1)
            continue;
        struct loop_statement zero = { .kind = LOOP_LET,
                                       .op = IR_const,
                                       .dtype = s->dtype,
                                       .value = loop_value_new(k, s->dtype) };
        loop_add(k, &k->body, zero);
        memmove(&k->body.at[1], &k->body.at[0], (size_t)(k->body.count - 1) * sizeof *k->body.at);
        k->body.at[0] = loop_copy(k, &zero);
        s->kind = LOOP_LET;
        if (s->op == IR_add)
            s->args[1] = zero.value;
        else
            s->op = IR_stop_gradient;
    }
    lane = pass_split(k, row, LOOP_LANES);

    k->axis[lane].role = LOOP_VECTOR;
    k->axis[row->axis].role = LOOP_UNROLL;
    k->axis[row->axis].to = loop_const(k, width);
    for (int i = 0; i < row->body.at[0]->body.count; i++) {
        struct loop_statement *s = row->body.at[0]->body.at[i];
        if (s->kind == LOOP_FOLD && s->over >> axis & 1)
            s->over =
                (s->over & ~(UINT64_C(1) << axis)) | UINT64_C(1) << row->axis | UINT64_C(1) << lane;
    }
    loop_depends(k);
}

/* ---- long rows ---- */

struct strips {
    struct loop_kernel *k;
    struct loop_block *to;       /* where the strips go */
    struct loop_statement **def; /* by value: its statement in the row, NULL: from outside */
    uint32_t *now;               /* by value: its name in the walk at hand, 0: not there yet */
    int *kept;                   /* by value: the scratch that a walk left it in, plus one */
    uint32_t values;
    int axis, outer; /* of the row; of the loop from row to row, -1: none */
    int walks;
    bool asked;   /* for the next row */
    bool threads; /* 64 threads a row, each with every 64th element: lanes of a GPU */
};

static bool along(const struct strips *s, uint32_t v)
{
    return s->k->value[v].depends >> s->axis & 1;
}

static uint32_t remade(struct strips *s, struct loop_block *body, uint32_t v);

/* an index that reads values of the row (a gather's) reads those of the walk at hand */
static loop_ix remade_index(struct strips *s, struct loop_block *body, loop_ix ix)
{
    struct loop_kernel *k = s->k;
    const struct loop_sum sum = k->sum[ix];
    loop_ix out = loop_const(k, sum.constant);

    if (!loop_reads_values(k, ix))
        return ix;
    for (int i = 0; i < sum.count; i++) {
        const struct loop_atom a = k->atom[sum.term[i].atom];
        loop_ix part;
        if (a.kind == LOOP_ATOM_VALUE)
            part = loop_value_ix(k, remade(s, body, a.a));
        else if (a.kind == LOOP_ATOM_DIV)
            part = loop_div(k, remade_index(s, body, a.a), a.divisor);
        else
            part = loop_atom_ix(k, a);
        out = loop_plus(k, out, loop_scale(k, part, sum.term[i].scale));
    }
    return out;
}

static void remake_indices(struct strips *s, struct loop_block *body, struct loop_statement *copy)
{
    copy->ix = remade_index(s, body, copy->ix);
    const struct loop_statement all = *copy;
    copy->guards = 0;
    for (int g = 0; g < all.guards; g++)
        loop_add_guard(s->k, copy,
                       (struct loop_guard){ remade_index(s, body, all.guard[g].ix),
                                            remade_index(s, body, all.guard[g].limit) });
}

/* v is made in the walk's body, and so is what it needs */
static uint32_t remade(struct strips *s, struct loop_block *body, uint32_t v)
{
    struct loop_kernel *k = s->k;

    if (v >= s->values || !s->def[v] || !along(s, v))
        return v;
    if (s->now[v])
        return s->now[v];
    struct loop_statement copy = *s->def[v];
    if (s->kept[v]) {
        copy = (struct loop_statement){ .kind = LOOP_LOAD,
                                        .dtype = copy.dtype,
                                        .buffer = s->kept[v] - 1,
                                        .ix = loop_axis_ix(k, s->axis),
                                        .node = copy.node,
                                        .loc = copy.loc };
        copy.value = s->now[v] = loop_value_new(k, copy.dtype);
        k->value[copy.value] = k->value[v];
        loop_add(k, body, copy);
        return s->now[v];
    }
    for (int i = 0; i < 3; i++)
        if (copy.args[i])
            copy.args[i] = remade(s, body, copy.args[i]);
    remake_indices(s, body, &copy);
    if (copy.kind == LOOP_LOAD &&
        loop_axes_of(k, copy.ix) >> s->axis &
            1) { /* the last strip runs past the row: not where that is far away */
        bool plain;
        const int64_t step = loop_coefficient(k, copy.ix, s->axis, &plain);
        if (!plain || (step != 0 && step != 1))
            loop_add_guard(k, &copy,
                           (struct loop_guard){ loop_axis_ix(k, s->axis), k->axis[s->axis].to });
    }
    copy.value = s->now[v] = loop_value_new(k, copy.dtype);
    k->value[copy.value] = k->value[v];
    loop_add(k, body, copy);
    return s->now[v];
}

static uint32_t neutral(struct loop_kernel *k, struct loop_block *b, enum ir_op op,
                        enum ir_dtype dtype)
{
    struct ir_neutral start = ir_neutral(op, dtype);
    struct loop_statement s = { .kind = LOOP_LET,
                                .op = IR_const,
                                .dtype = dtype,
                                .number = start.number,
                                .integer = start.integer,
                                .value = loop_value_new(k, dtype) };

    return loop_add(k, b, s)->value;
}

/* ---- what is kept for later walks ---- */

static bool is_function(const struct loop_statement *s)
{
    return s->kind == LOOP_LET && pass_is_call(s->op) && s->op != IR_const && s->op != IR_max &&
           s->op != IR_min && s->op != IR_abs;
}

/* values of the row that v is made of, as far as they are not to be had from scratch */
static void mark_needed(const struct strips *s, uint32_t v, bool *needed)
{
    if (v >= s->values || !s->def[v] || !along(s, v) || needed[v])
        return;
    needed[v] = true;
    for (int i = 0; i < 3 && !s->kept[v]; i++)
        mark_needed(s, s->def[v]->args[i], needed);
}

/* Functions that this walk has computed and a later one needs; rest: folds and stores to come. */
static void keep_functions(struct strips *s, struct loop_block *walk, struct loop_block *rest,
                           int from)
{
    struct loop_kernel *k = s->k;
    const int64_t room = (k->axis[s->axis].hi + STRIP - 1) / STRIP * STRIP;
    bool *needed = ir_alloc(k->arena, s->values);

    if (s->threads || room > PIECE)
        return;
    for (int i = 0; i < rest->count; i++)
        if (i >= from || rest->at[i]->kind == LOOP_STORE)
            for (int a = 0; a < 3; a++)
                mark_needed(s, rest->at[i]->args[a], needed);
    for (uint32_t v = 0; v < s->values; v++) {
        if (!needed[v] || !s->now[v] || s->kept[v] || !is_function(s->def[v]) ||
            s->def[v]->dtype == IR_BOOL)
            continue;
        const int b = loop_buffer_of(k, "kept", s->def[v]->dtype, (ir_val){ 0 }, room);
        struct loop_statement store = { .kind = LOOP_STORE,
                                        .dtype = s->def[v]->dtype,
                                        .buffer = b,
                                        .ix = loop_axis_ix(k, s->axis),
                                        .node = s->def[v]->node,
                                        .loc = s->def[v]->loc };
        k->buffer[b].scratch = k->buffer[b].read = k->buffer[b].written = true;
        k->buffer[b].padded = true;
        store.args[0] = s->now[v];
        loop_add(k, walk, store);
        s->kept[v] = b + 1;
    }
}

/*
 * The memory idles while functions are computed: a walk of them asks for the next row, when the row
 * itself is near already. Walks without functions only wait for it longer (layer norm: 128 % of a
 * plain loop's bandwidth without, 95 % with).
 */
static void ask_for_next(struct strips *s, struct loop_block *walk)
{
    struct loop_kernel *k = s->k;
    bool busy = false;

    if (s->threads || s->outer < 0 || ++s->walks < 2 || s->asked)
        return;
    for (uint32_t v = 0; v < s->values; v++)
        busy |= s->now[v] && is_function(s->def[v]);
    if (!busy)
        return;
    s->asked = true;
    const loop_ix next = loop_plus(k, loop_axis_ix(k, s->outer), loop_const(k, 1));
    for (uint32_t v = 0; v < s->values; v++) {
        const struct loop_statement *l = s->def[v];
        bool plain, steady;
        if (!l || l->kind != LOOP_LOAD || l->guards || loop_reads_values(k, l->ix) ||
            k->buffer[l->buffer].elements * ir_dtypes[l->dtype].bytes < FAR ||
            loop_coefficient(k, l->ix, s->axis, &plain) != 1 || !plain ||
            loop_coefficient(k, l->ix, s->outer, &steady) == 0 || !steady)
            continue;
        struct loop_statement ask = { .kind = LOOP_PREFETCH,
                                      .buffer = l->buffer,
                                      .ix = loop_replace(k, l->ix, s->outer, next) };
        loop_add(k, walk, ask);
    }
}

struct walk {                /* the loops of one walk through a row */
    struct loop_block *tile; /* what stands once for each of the 64 sums */
    int along;               /* the axis of the loop inside */
    loop_ix index;           /* of the element */
    uint64_t over;           /* the axes that the sums are folded over */
    bool exact;              /* no element behind the row is touched */
};

static struct walk walk_strips(struct strips *s, struct loop_block *into, loop_ix length,
                               int64_t most)
{
    struct loop_kernel *k = s->k;
    int strip = loop_axis_new(k, k->axis[s->axis].name,
                              loop_div(k, loop_plus(k, length, loop_const(k, STRIP - 1)), STRIP),
                              (most + STRIP - 1) / STRIP);
    int copy = loop_axis_new(k, "u", loop_const(k, STRIP / LOOP_LANES), STRIP / LOOP_LANES);
    int lane = loop_axis_new(k, "lane", loop_const(k, LOOP_LANES), LOOP_LANES);
    struct walk w = { .along = strip, .over = UINT64_C(1) << copy | UINT64_C(1) << lane };

    k->axis[strip].ordered = true;
    k->axis[copy].role = LOOP_UNROLL;
    k->axis[lane].role = LOOP_VECTOR;
    w.tile = &loop_add(k, into, (struct loop_statement){ .kind = LOOP_FOR, .axis = copy })->body;
    w.tile = &loop_add(k, w.tile, (struct loop_statement){ .kind = LOOP_FOR, .axis = lane })->body;
    w.index = loop_plus(
        k, loop_scale(k, loop_axis_ix(k, strip), STRIP),
        loop_plus(k, loop_scale(k, loop_axis_ix(k, copy), LOOP_LANES), loop_axis_ix(k, lane)));
    return w;
}

/* thread j of 64 takes elements j, j + 64, ... */
static struct walk walk_threads(struct strips *s, struct loop_block *into, loop_ix length,
                                int64_t most)
{
    struct loop_kernel *k = s->k;
    int thread = loop_axis_new(k, "thread", loop_const(k, STRIP), STRIP);
    int along = loop_axis_new(k, k->axis[s->axis].name, length, most);

    k->axis[thread].role = LOOP_BLOCK;
    k->axis[along].from = loop_axis_ix(k, thread);
    k->axis[along].step = STRIP;
    return (struct walk){
        &loop_add(k, into, (struct loop_statement){ .kind = LOOP_FOR, .axis = thread })->body,
        along, loop_axis_ix(k, along), UINT64_C(1) << thread, true
    };
}

/*
 * One walk for the folds list[0..n): sums of 64 running elements each, folded at the end of a
 * piece. [total = neutral]  for piece { sum[64] = neutral; for strip { .. sum = op(sum, x) .. };
 * part = fold sum; [total = op(total, part)] }
 */
static bool walk_folds(struct strips *s, struct loop_statement **list, int n,
                       struct loop_block *rest, int from)
{
    struct loop_kernel *k = s->k;

    if (k->axes + WALK_AXES > LOOP_AXES)
        return false;
    int64_t hi = k->axis[s->axis].hi;
    bool pieces = hi > PIECE;
    uint32_t *total = ir_alloc(k->arena, (size_t)n * sizeof *total),
             *sum = ir_alloc(k->arena, (size_t)n * sizeof *sum);
    struct loop_block *into = s->to;
    int piece = -1;
    loop_ix start = 0, to = k->axis[s->axis].to, length = to;

    if (pieces) {
        for (int i = 0; i < n; i++) {
            struct loop_statement var = { .kind = LOOP_VAR, .dtype = list[i]->dtype };
            var.args[0] = neutral(k, into, list[i]->op, list[i]->dtype);
            var.value = total[i] = loop_value_new(k, list[i]->dtype);
            loop_add(k, into, var);
        }
        piece = loop_axis_new(k, "piece",
                              loop_div(k, loop_plus(k, to, loop_const(k, PIECE - 1)), PIECE),
                              (hi + PIECE - 1) / PIECE);
        k->axis[piece].ordered = true;
        start = loop_scale(k, loop_axis_ix(k, piece), PIECE);
        length = loop_plus(k, to, loop_scale(k, start, -1));
        into = &loop_add(k, into, (struct loop_statement){ .kind = LOOP_FOR, .axis = piece })->body;
    }
    struct walk w = s->threads ? walk_threads(s, into, length, pieces ? PIECE : hi)
                               : walk_strips(s, into, length, pieces ? PIECE : hi);
    loop_ix index = loop_plus(k, start, w.index);
    for (int i = 0; i < n; i++) {
        struct loop_statement var = { .kind = LOOP_VAR, .dtype = list[i]->dtype };
        var.args[0] = neutral(k, w.tile, list[i]->op, list[i]->dtype);
        var.value = sum[i] = loop_value_new(k, list[i]->dtype);
        loop_add(k, w.tile, var);
    }
    struct loop_statement *walk_loop =
        loop_add(k, w.tile, (struct loop_statement){ .kind = LOOP_FOR, .axis = w.along });
    memset(s->now, 0, s->values * sizeof *s->now);
    for (int i = 0; i < n; i++) {
        struct loop_statement set = { .kind = LOOP_SET,
                                      .op = list[i]->op,
                                      .dtype = list[i]->dtype,
                                      .node = list[i]->node,
                                      .loc = list[i]->loc };
        set.args[0] = sum[i];
        set.args[1] = remade(s, &walk_loop->body, list[i]->args[0]);
        struct loop_guard inside = { index, to };
        if (!w.exact && loop_guard_state(k, &inside) != 1)
            loop_add_guard(k, &set, inside);
        loop_add(k, &walk_loop->body, set);
    }
    keep_functions(s, &walk_loop->body, rest, from);
    ask_for_next(s, &walk_loop->body);
    loop_replace_axis(k, &walk_loop->body, s->axis, index);
    for (int i = 0; i < n; i++) {
        struct loop_statement fold = *list[i];
        fold.args[0] = sum[i];
        fold.guards = 0;
        fold.over = w.over;
        if (!pieces) {
            loop_add(k, w.tile, fold);
            continue;
        }
        fold.value = loop_value_new(k, fold.dtype);
        loop_add(k, w.tile, fold);
        struct loop_statement set = { .kind = LOOP_SET, .op = fold.op, .dtype = fold.dtype };
        set.args[0] = total[i];
        set.args[1] = fold.value;
        loop_add(k, into, set);
    }
    for (int i = 0; i < n && pieces; i++) { /* the fold's name goes on as the total's */
        struct loop_statement same = { .kind = LOOP_LET,
                                       .op = IR_stop_gradient,
                                       .dtype = list[i]->dtype,
                                       .value = list[i]->value };
        same.args[0] = total[i];
        loop_add(k, s->to, same);
    }
    return true;
}

static bool walk_stores(struct strips *s, struct loop_statement **list, int n)
{
    struct loop_kernel *k = s->k;
    const struct loop_axis *row = &k->axis[s->axis];
    struct walk w;

    if (k->axes + WALK_AXES > LOOP_AXES)
        return false;
    if (s->threads) {
        w = walk_threads(s, s->to, row->to, row->hi);
    } else {
        int along = loop_axis_new(k, row->name, row->to, row->hi);
        w = (struct walk){ .tile = s->to, .along = along, .index = loop_axis_ix(k, along) };
    }
    struct loop_statement *loop =
        loop_add(k, w.tile, (struct loop_statement){ .kind = LOOP_FOR, .axis = w.along });
    memset(s->now, 0, s->values * sizeof *s->now);
    for (int i = 0; i < n; i++) /* all values before the first store */
        remade(s, &loop->body, list[i]->args[0]);
    for (int i = 0; i < n; i++) {
        struct loop_statement store = *list[i];
        store.args[0] = remade(s, &loop->body, store.args[0]);
        remake_indices(s, &loop->body, &store);
        loop_add(k, &loop->body, store);
    }
    ask_for_next(s, &loop->body);
    loop_replace_axis(k, &loop->body, s->axis, w.index);
    if (s->threads)
        return true;
    int lane = pass_split(k, loop, LOOP_LANES);
    k->axis[lane].role = LOOP_VECTOR;
    return true;
}

bool pass_walk_rows(struct loop_kernel *k, struct loop_block *into, struct loop_statement *row,
                    bool threads)
{
    const struct nest n = pass_nest(k);
    struct strips s = { .k = k,
                        .axis = row->axis,
                        .outer = n.count ? n.loop[n.count - 1]->axis : -1,
                        .values = k->values,
                        .threads = threads };
    struct loop_block before = { 0 };
    struct loop_statement **pending = ir_alloc(k->arena, (size_t)row->body.count * sizeof *pending);
    int waiting = 0, stores = 0;
    bool *fresh = ir_alloc(
        k->arena, k->values); /* folds of the walk that is being gathered, and what hangs on them */

    s.def = ir_alloc(k->arena, k->values * sizeof *s.def);
    s.now = ir_alloc(k->arena, k->values * sizeof *s.now);
    s.kept = ir_alloc(k->arena, k->values * sizeof *s.kept);
    for (int i = 0; i < into->count; i++)
        if (into->at[i] != row)
            loop_add(k, &before, *into->at[i]);
    s.to = &before;
    for (int i = 0; i < row->body.count; i++)
        if (row->body.at[i]->value)
            s.def[row->body.at[i]->value] = row->body.at[i];
    for (int i = 0; i < row->body.count; i++) {
        struct loop_statement *st = row->body.at[i];
        bool waits = false; /* for a fold that has not been walked yet */
        for (int a = 0; a < 3; a++)
            waits |= fresh[st->args[a]];
        if (waits && st->kind != LOOP_FOLD && st->value && along(&s, st->value)) {
            fresh[st->value] = true; /* computed again in a later walk */
            continue;
        }
        if (waits) { /* a fold or a row's number that needs complete sums: walk now */
            if (!walk_folds(&s, pending, waiting, &row->body, i))
                return false;
            waiting = 0;
            memset(fresh, 0, s.values);
        }
        if (st->kind == LOOP_FOLD) {
            pending[waiting++] = st;
            fresh[st->value] = true;
        } else if (st->kind == LOOP_STORE) {
            continue;
        } else if (!along(&s, st->value)) {
            loop_add(k, s.to, *st);
        }
    }
    if (waiting && !walk_folds(&s, pending, waiting, &row->body, row->body.count))
        return false;
    for (int i = 0; i < row->body.count; i++) {
        struct loop_statement *st = row->body.at[i];
        if (st->kind != LOOP_STORE)
            continue;
        if (loop_axes_of(k, st->ix) >> s.axis & 1 || along(&s, st->args[0])) {
            pending[stores++] = st;
        } else {
            loop_add(k, s.to, *st);
        }
    }
    if (stores && !walk_stores(&s, pending, stores))
        return false;
    *into = before;
    loop_depends(k);
    return true;
}

bool pass_vectorise_rows(struct loop_kernel *k, struct loop_statement *row)
{
    struct nest n = pass_nest(k);
    int64_t extent;

    if (k->axis[row->axis].hi <= STRIP && loop_is_const(k, k->axis[row->axis].to, &extent))
        in_registers(k, row);
    else
        return pass_walk_rows(k, n.inner, row, false);
    return true;
}

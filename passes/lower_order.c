/*
 * lower_order: kernels that follow an axis in its order: running sums and extremes, recurrences,
 * and sorting. The loops over the other axes stand outside and are independent.
 *
 * Sorting is a merge sort whose every move is a loop: keys are integers in the order wanted, short
 * runs are put in order by counting who goes before, and two runs become one by each element's
 * place among the other run's, found by halving. Nothing hangs on threads or lanes, and equal
 * elements keep their order.
 */
#include "lower.h"

uint32_t pass_lower_of_cumulate(struct lower *l, const struct ir_node *n, const loop_ix *index)
{
    return pass_lower_of_scatter(l, n, index);
}

uint32_t pass_lower_of_argsort(struct lower *l, const struct ir_node *n, const loop_ix *index)
{
    return pass_lower_of_scatter(l, n, index);
}

/* ---- the loops over other axes ---- */

struct rows {
    struct lower *l;
    const struct ir_node *n;
    int axis;            /* the one that is followed */
    int outer[IR_RANK];  /* the loops' axes */
    int outers, buffer;  /* of the result */
    loop_ix at[IR_RANK]; /* of an element; [axis] is set by need */
};

static bool open_rows(struct rows *r, struct lower *l, ir_val v)
{
    const struct ir_node *n = ir_at(l->g, v);

    *r = (struct rows){ .l = l, .n = n, .axis = (int)n->attr[0].at[0] };
    l->at = v;
    if (pass_lower_is_empty(&n->shape))
        return false;
    r->buffer = loop_buffer_of(l->k, n->name, n->dtype, v, l->c->storage[v.id].elements);
    l->k->buffer[r->buffer].written = true;
    for (int i = 0; i < n->shape.rank; i++) {
        if (i == r->axis)
            continue;
        r->outer[r->outers] = pass_lower_axis(l, "i", n->shape.dim[i]);
        r->at[i] = loop_axis_ix(l->k, r->outer[r->outers]);
        pass_lower_open(l, r->outer[r->outers++]);
    }
    return !l->failed;
}

static void close_rows(struct rows *r)
{
    while (r->outers > 0)
        pass_lower_close(r->l, r->outer[--r->outers], 0, NULL);
}

static void store_result(struct rows *r, ir_val v, uint32_t value)
{
    pass_lower_emit(r->l, (struct loop_statement){
                              .kind = LOOP_STORE,
                              .dtype = r->n->dtype,
                              .buffer = r->buffer,
                              .args = { value },
                              .ix = pass_address(r->l->k, &r->l->c->storage[v.id], r->at) });
}

/* ---- one after the other ---- */

void pass_lower_cumulate(struct lower *l, ir_val v)
{
    struct rows r;
    enum ir_op step = IR_add;

    if (!open_rows(&r, l, v))
        return;
    const struct ir_node *n = r.n;
    if (n->op != IR_cumsum && n->op != IR_recur)
        step = n->op == IR_cumprod ? IR_mul : n->op == IR_cummax ? IR_max : IR_min;
    uint32_t y = pass_lower_var(l, n->dtype, pass_lower_neutral(l, step, n->dtype));
    int t = pass_lower_ordered(l, "t", n->shape.dim[r.axis]);
    pass_lower_open(l, t);
    r.at[r.axis] = loop_axis_ix(l->k, t);
    uint32_t x = pass_lower_value(l, n->args[n->arity - 1], r.at);
    uint32_t factor = n->op == IR_recur ? pass_lower_value(l, n->args[0], r.at) : 0;
    if (l->failed)
        return;
    if (n->op == IR_recur)
        pass_lower_set(l, y, IR_mul, factor, 0, 0, NULL);
    pass_lower_set(l, y, step, x, 0, 0, NULL);
    store_result(&r, v, y);
    pass_lower_close(l, t, 0, NULL);
    close_rows(&r);
}

/* ---- sorting ---- */

#define RUN 16 /* so many are put in order by counting */

struct sorting {
    struct lower *l;
    struct rows r;
    loop_ix extent, last; /* of the axis; its last index */
    int64_t most;         /* .. at most */
    int passes;           /* merges of RUN, 2 RUN, .. */
    enum ir_dtype dtype;  /* of the keys */
    int keys, places;     /* scratch: two halves each */
    loop_ix from, to;     /* the half that is read, and the one that is written */
};

static uint32_t integer(struct lower *l, enum ir_dtype dtype, int64_t value)
{
    return pass_lower_emit(l, (struct loop_statement){ .kind = LOOP_LET,
                                                       .op = IR_const,
                                                       .dtype = dtype,
                                                       .integer = value,
                                                       .number = (double)value });
}

static uint32_t let(struct lower *l, enum ir_op op, enum ir_dtype dtype, uint32_t a, uint32_t b)
{
    return pass_lower_let(l, op, dtype, a, b, 0);
}

static uint32_t load(struct sorting *s, int buffer, loop_ix ix)
{
    return pass_lower_emit(s->l, (struct loop_statement){ .kind = LOOP_LOAD,
                                                          .dtype = s->l->k->buffer[buffer].dtype,
                                                          .buffer = buffer,
                                                          .ix = ix });
}

static void store(struct sorting *s, int buffer, loop_ix ix, uint32_t value)
{
    pass_lower_emit(s->l, (struct loop_statement){ .kind = LOOP_STORE,
                                                   .dtype = s->l->k->buffer[buffer].dtype,
                                                   .buffer = buffer,
                                                   .ix = ix,
                                                   .args = { value } });
}

/* what is computed, as an index of the axis */
static loop_ix index_of(struct sorting *s, uint32_t value)
{
    value = let(s->l, IR_max, IR_I64, value, pass_lower_index(s->l, IR_I64, 0));
    value = let(s->l, IR_min, IR_I64, value, pass_lower_index(s->l, IR_I64, s->last));
    return loop_value_ix(s->l->k, value);
}

/* An integer of the same order: a float's bits, those of negative ones turned round; NaN is
 * greatest, zeros are equal. */
static uint32_t key_of(struct sorting *s, uint32_t x, enum ir_dtype dtype)
{
    struct lower *l = s->l;
    const int64_t most = s->dtype == IR_I32 ? INT32_MAX : INT64_MAX;

    if (ir_dtypes[dtype].kind == 'f') {
        uint32_t nan = let(l, IR_ne, IR_BOOL, x, x);
        uint32_t bits = let(l, IR_bitcast, s->dtype,
                            let(l, IR_add, dtype, x, pass_lower_number(l, dtype, 0)), 0);
        uint32_t below = let(l, IR_lt, IR_BOOL, bits, integer(l, s->dtype, 0));
        uint32_t turned = let(l, IR_xor, s->dtype, bits, integer(l, s->dtype, most));
        x = pass_lower_let(l, IR_select, s->dtype, below, turned, bits);
        x = pass_lower_let(l, IR_select, s->dtype, nan, integer(l, s->dtype, most), x);
    } else if (dtype != s->dtype) {
        x = let(l, IR_cast, s->dtype, x, 0);
        if (dtype == IR_U64) /* the upper half has become negative */
            x = let(l, IR_xor, s->dtype, x, integer(l, s->dtype, INT64_MIN));
    }
    return s->r.n->attr[1].count ? let(l, IR_not, s->dtype, x, 0) : x;
}

static void take_in(struct sorting *s)
{
    struct lower *l = s->l;
    ir_val a = s->r.n->args[0];
    int t = pass_lower_ordered(l, "t", s->r.n->shape.dim[s->r.axis]);

    pass_lower_open(l, t);
    s->r.at[s->r.axis] = loop_axis_ix(l->k, t);
    uint32_t x = pass_lower_value(l, a, s->r.at);
    if (!l->failed)
        store(s, s->keys, loop_plus(l->k, s->from, s->r.at[s->r.axis]),
              key_of(s, x, ir_at(l->g, a)->dtype));
    pass_lower_close(l, t, 0, NULL);
}

/* does a key go before x: it is less, or equal and `first` */
static uint32_t goes_before(struct sorting *s, uint32_t key, uint32_t x, uint32_t first)
{
    uint32_t less = let(s->l, IR_lt, IR_BOOL, key, x);

    return let(s->l, IR_or, IR_BOOL, less,
               let(s->l, IR_and, IR_BOOL, let(s->l, IR_eq, IR_BOOL, key, x), first));
}

/* runs of RUN: an element's place is how many of its run go before it */
static void count_runs(struct sorting *s)
{
    struct lower *l = s->l;
    struct loop_kernel *k = l->k;
    int t = pass_lower_ordered(l, "t", s->r.n->shape.dim[s->r.axis]);

    pass_lower_open(l, t);
    loop_ix here = loop_axis_ix(k, t), run = loop_scale(k, loop_div(k, here, RUN), RUN);
    uint32_t x = load(s, s->keys, loop_plus(k, s->from, here));
    uint32_t count = pass_lower_var(l, IR_I64, integer(l, IR_I64, 0));
    int other = pass_lower_ordered(l, "r", RUN);
    pass_lower_open(l, other);
    loop_ix there = loop_plus(k, run, loop_axis_ix(k, other));
    struct loop_guard inside = { there, s->extent };
    uint32_t key =
        load(s, s->keys, loop_plus(k, s->from, index_of(s, pass_lower_index(l, IR_I64, there))));
    uint32_t first = let(l, IR_lt, IR_BOOL, pass_lower_index(l, IR_I64, there),
                         pass_lower_index(l, IR_I64, here));
    pass_lower_set(l, count, IR_add, let(l, IR_cast, IR_I64, goes_before(s, key, x, first), 0), 0,
                   1, &inside);
    pass_lower_close(l, other, 0, NULL);
    loop_ix place = index_of(s, let(l, IR_add, IR_I64, pass_lower_index(l, IR_I64, run), count));
    store(s, s->keys, loop_plus(k, s->to, place), x);
    store(s, s->places, loop_plus(k, s->to, place),
          let(l, IR_cast, IR_I32, pass_lower_index(l, IR_I64, here), 0));
    pass_lower_close(l, t, 0, NULL);
}

/* How many of the run beside, at `start`, of `length`, go before x: by halving. */
static uint32_t place_among(struct sorting *s, int pass, uint32_t x, uint32_t start,
                            uint32_t length, uint32_t width, uint32_t first)
{
    struct lower *l = s->l;
    uint32_t place = pass_lower_var(l, IR_I64, integer(l, IR_I64, 0));
    uint32_t half = pass_lower_var(l, IR_I64, width);
    int steps = 0;

    while (RUN >> steps > 1)
        steps++;
    int turn = loop_axis_new(l->k, "s",
                             loop_plus(l->k, loop_axis_ix(l->k, pass), loop_const(l->k, steps + 1)),
                             s->passes + steps);
    l->k->axis[turn].ordered = true;
    pass_lower_open(l, turn);
    uint32_t next = let(l, IR_add, IR_I64, place, half);
    uint32_t fits = let(l, IR_le, IR_BOOL, next, length);
    uint32_t probe =
        let(l, IR_sub, IR_I64, let(l, IR_add, IR_I64, start, next), integer(l, IR_I64, 1));
    uint32_t key = load(s, s->keys, loop_plus(l->k, s->from, index_of(s, probe)));
    uint32_t goes = let(l, IR_and, IR_BOOL, fits, goes_before(s, key, x, first));
    pass_lower_set(l, place, IR_POISON, pass_lower_let(l, IR_select, IR_I64, goes, next, place), 0,
                   0, NULL);
    pass_lower_set(l, half, IR_shr, integer(l, IR_I64, 1), 0, 0, NULL);
    pass_lower_close(l, turn, 0, NULL);
    return place;
}

/* runs of 16, then of 32, ..: two become one */
static void merge_runs(struct sorting *s)
{
    struct lower *l = s->l;
    struct loop_kernel *k = l->k;
    int pass = loop_axis_new(k, "pass", loop_const(k, s->passes), s->passes), log = 0;

    while (RUN >> log > 1)
        log++;
    k->axis[pass].ordered = true;
    pass_lower_open(l, pass);
    loop_ix odd = loop_mod(k, loop_axis_ix(k, pass), 2);
    s->to = loop_scale(k, odd, s->most); /* the count has left them in the second half */
    s->from = loop_plus(k, loop_const(k, s->most), loop_scale(k, s->to, -1));
    uint32_t shift =
        pass_lower_index(l, IR_I64, loop_plus(k, loop_axis_ix(k, pass), loop_const(k, log)));
    uint32_t width = let(l, IR_shl, IR_I64, integer(l, IR_I64, 1), shift);
    int t = pass_lower_ordered(l, "t", s->r.n->shape.dim[s->r.axis]);
    pass_lower_open(l, t);
    loop_ix here = loop_axis_ix(k, t);
    uint32_t at = pass_lower_index(l, IR_I64, here), zero = integer(l, IR_I64, 0);
    uint32_t x = load(s, s->keys, loop_plus(k, s->from, here));
    uint32_t from = load(s, s->places, loop_plus(k, s->from, here));
    uint32_t run = let(l, IR_shr, IR_I64, at, shift);
    uint32_t right = let(l, IR_and, IR_I64, run, integer(l, IR_I64, 1));
    uint32_t start =
        let(l, IR_shl, IR_I64, let(l, IR_xor, IR_I64, run, integer(l, IR_I64, 1)), shift);
    uint32_t left = let(l, IR_sub, IR_I64, pass_lower_index(l, IR_I64, s->extent), start);
    uint32_t length = let(l, IR_min, IR_I64, let(l, IR_max, IR_I64, left, zero), width);
    uint32_t is_right = let(l, IR_ne, IR_BOOL, right, zero);
    uint32_t among = place_among(s, pass, x, start, length, width, is_right);
    uint32_t back = pass_lower_let(l, IR_select, IR_I64, is_right, width, zero);
    loop_ix place = index_of(s, let(l, IR_sub, IR_I64, let(l, IR_add, IR_I64, at, among), back));
    store(s, s->keys, loop_plus(k, s->to, place), x);
    store(s, s->places, loop_plus(k, s->to, place), from);
    pass_lower_close(l, t, 0, NULL);
    pass_lower_close(l, pass, 0, NULL);
}

static int scratch(struct sorting *s, const char *name, enum ir_dtype dtype)
{
    int b = loop_buffer_of(s->l->k, name, dtype, (ir_val){ 0 }, 2 * s->most);

    s->l->k->buffer[b].scratch = s->l->k->buffer[b].read = s->l->k->buffer[b].written = true;
    return b;
}

void pass_lower_argsort(struct lower *l, ir_val v)
{
    struct sorting s = { .l = l };

    if (!open_rows(&s.r, l, v))
        return;
    enum ir_dtype of = ir_at(l->g, s.r.n->args[0])->dtype;
    bool wide = ir_dtypes[of].bytes == 8 || of == IR_U32;
    s.dtype = wide ? IR_I64 : IR_I32;
    s.extent = loop_dim_ix(l->k, s.r.n->shape.dim[s.r.axis]);
    s.last = loop_plus(l->k, s.extent, loop_const(l->k, -1));
    s.most = ir_dim_max(l->g, s.r.n->shape.dim[s.r.axis]);
    while ((int64_t)RUN << s.passes < s.most)
        s.passes++;
    s.keys = scratch(&s, "key", s.dtype);
    s.places = scratch(&s, "place", IR_I32);
    s.to = loop_const(l->k, s.most);
    take_in(&s);
    if (l->failed)
        return;
    count_runs(&s);
    s.from = s.to;
    if (s.passes) {
        merge_runs(&s);
        s.from = loop_const(l->k, s.passes % 2 ? 0 : s.most);
    }
    int t = pass_lower_ordered(l, "t", s.r.n->shape.dim[s.r.axis]);
    pass_lower_open(l, t);
    s.r.at[s.r.axis] = loop_axis_ix(l->k, t);
    uint32_t place = load(&s, s.places, loop_plus(l->k, s.from, s.r.at[s.r.axis]));
    store_result(&s.r, v, let(l, IR_cast, IR_I64, place, 0));
    pass_lower_close(l, t, 0, NULL);
    close_rows(&s.r);
}

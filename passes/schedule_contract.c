/*
 * schedule_contract: register tiles for sums of products: matrix products, convolutions in all
 * three directions, what else there is.
 *
 * One loop goes into lanes: a loop in which one operand (the wide one) lies side by side and the
 * other (the narrow one) stands still, so that a step is loads of the wide operand, broadcasts of
 * the narrow one, and a product of each with each. The loops that only the narrow operand sees give
 * the rows of the tile, those that only the wide one sees its columns; R x C sums stay in registers
 * while the reduction runs. A wide operand that lies across is first packed, 16 x 16 at a time.
 * Rules and measurements: DESIGN 5; the tile sizes are those that fill the registers of the target
 * and leave room for the operands.
 */
#include "steps.h"

#include <string.h>

struct contraction {
    struct loop_kernel *k;
    const struct pass_options *options;
    struct loop_statement *set;  /* sum = fma(a, b, sum) */
    struct loop_statement **def; /* by value */
    uint32_t narrow, wide;
    int lanes;   /* axis */
    bool pack;   /* the wide operand lies across .. */
    bool copies; /* .. or is read so often that it should lie in slivers */
    int along;   /* .. along this axis of the reduction */
};

static void find_set(struct loop_statement *s, void *with)
{
    struct contraction *c = with;

    if (s->kind == LOOP_SET && s->op == IR_dot && !c->set)
        c->set = s;
    if (s->value)
        c->def[s->value] = s;
}

/* how value v lies along an axis: 0 it stands still, 1 side by side, 2 across */
static int lies(struct contraction *c, uint32_t v, int axis)
{
    const struct loop_statement *s = c->def[v];
    bool linear;
    int worst = 0;

    if (!(c->k->value[v].depends >> axis & 1) || !s)
        return 0;
    if (s->kind == LOOP_LOAD) {
        int64_t step = pass_lane_step(c->k, s->ix, axis, &linear);
        return !linear ? 2 : step == 0 ? 0 : step == 1 ? 1 : 2;
    }
    if (s->kind != LOOP_LET)
        return 2;
    for (int i = 0; i < 3; i++) {
        int l = s->args[i] ? lies(c, s->args[i], axis) : 0;
        worst = l > worst ? l : worst;
    }
    return worst;
}

struct stored {
    struct loop_kernel *k;
    int axis, beside, across;
};

static void look_at_store(struct loop_statement *s, void *with)
{
    struct stored *st = with;
    bool linear;

    if (s->kind != LOOP_STORE)
        return;
    int64_t step = pass_lane_step(st->k, s->ix, st->axis, &linear);
    *(linear && step == 1 ? &st->beside : &st->across) += 1;
}

static void reduction_axes(struct loop_statement *s, void *with)
{
    struct contraction *c = with;

    if (s->kind == LOOP_FOR && c->k->axis[s->axis].ordered && c->along < 0 && !s->guards &&
        lies(c, c->wide, s->axis) == 1)
        c->along = s->axis;
}

struct depth {
    struct contraction *c;
    double turns;
};

static void multiply_turns(struct loop_statement *s, void *with)
{
    struct depth *d = with;

    if (s->kind == LOOP_FOR && d->c->k->axis[s->axis].ordered)
        d->turns *= (double)d->c->k->axis[s->axis].hi;
}

/* products that are added to one result */
static double depth(struct contraction *c, const struct nest *n)
{
    struct depth d = { c, 1 };

    pass_each(n->inner, multiply_turns, &d);
    return d.turns;
}

/* The axis for lanes: filled lanes, one operand side by side or fit to be packed, results side by
 * side. */
static double rate(struct contraction *c, const struct nest *n, int axis, uint32_t *narrow,
                   uint32_t *wide, bool *pack)
{
    struct stored st = { .k = c->k, .axis = axis };
    int a = lies(c, c->set->args[1], axis), b = lies(c, c->set->args[2], axis);
    int64_t extent = c->k->axis[axis].hi;
    double score;

    if (extent < 2 || (!a && !b))
        return 0;
    *wide = a ? c->set->args[1] : c->set->args[2];
    *narrow = a ? c->set->args[2] : c->set->args[1];
    if (a && b)
        return 0;
    *pack = (a | b) == 2;
    score = (double)extent / (double)((extent + LOOP_LANES - 1) / LOOP_LANES * LOOP_LANES);
    if (*pack) {
        c->wide = *wide;
        c->along = -1;
        if (c->def[*wide]->kind == LOOP_LOAD)
            pass_each(n->inner, reduction_axes, c);
        score *= c->along >= 0 && !c->def[*wide]->guards ? 0.7 : 0.12;
    }
    pass_each(n->inner, look_at_store, &st);
    if (!st.across)
        return score;
    /* results lane by lane: a cost that a long reduction hides */
    return score * (depth(c, n) >= 512 ? 0.85 : depth(c, n) >= 128 ? 0.6 : 0.4);
}

struct depends_on {
    struct contraction *c;
    int count, axis;
};

static void count_reduced(struct loop_statement *s, void *with)
{
    struct depends_on *d = with;

    if (s->kind == LOOP_FOR && d->c->k->axis[s->axis].ordered &&
        (d->c->k->value[d->c->wide].depends >> s->axis & 1)) {
        d->count++;
        d->axis = s->guards ? -1 : s->axis;
    }
}

/*
 * A wide operand whose rows begin anywhere, or a multiple of 1 KiB apart, is copied into slivers
 * when enough rows of the result read it again: every load of it would touch two lines of the
 * cache, or all rows would fall into the same sets.
 */
static void want_copy(struct contraction *c, const struct nest *n)
{
    struct loop_kernel *k = c->k;
    struct loop_statement *load = c->def[c->wide];
    struct depends_on d = { c, 0, -1 };
    uint64_t outside = UINT64_C(1) << c->lanes;
    int64_t rows = 1;
    bool linear;

    if (!load || load->kind != LOOP_LOAD || load->guards)
        return;
    pass_each(n->inner, count_reduced, &d);
    for (int i = 0; i < n->count; i++) {
        int axis = n->loop[i]->axis;
        outside |= UINT64_C(1) << axis;
        if (!(k->value[c->wide].depends >> axis & 1))
            rows *= k->axis[axis].hi;
    }
    if (d.count != 1 || d.axis < 0 ||
        (loop_axes_of(k, load->ix) & ~(outside | UINT64_C(1) << d.axis)))
        return;
    int64_t pitch = loop_coefficient(k, load->ix, d.axis, &linear);
    if (!linear || rows < 48 || (pitch % LOOP_LANES == 0 && pitch % 256 != 0) ||
        k->axis[c->lanes].hi < LOOP_LANES)
        return;
    c->pack = c->copies = true;
    c->along = d.axis;
}

static bool choose_lanes(struct contraction *c, const struct nest *n)
{
    double best = 0;

    for (int i = 0; i < n->count; i++) {
        uint32_t narrow, wide;
        bool pack;
        double score = rate(c, n, n->loop[i]->axis, &narrow, &wide, &pack);
        if (score <= best)
            continue;
        best = score;
        c->lanes = n->loop[i]->axis;
    }
    if (best == 0)
        return false;
    rate(c, n, c->lanes, &c->narrow, &c->wide, &c->pack);
    if (c->pack) { /* all that its address moves with must be outside the sliver, or be what is
                      packed along */
        uint64_t outside = UINT64_C(1) << c->lanes | (c->along < 0 ? 0 : UINT64_C(1) << c->along);
        for (int i = 0; i < n->count; i++)
            outside |= UINT64_C(1) << n->loop[i]->axis;
        struct loop_statement *load = c->def[c->wide];
        if (c->along < 0 || load->guards || (loop_axes_of(c->k, load->ix) & ~outside))
            c->pack = false; /* lane by lane, then */
    } else {
        want_copy(c, n);
    }
    return true;
}

/* sums that fit the registers: of R x C vectors of 16 elements */
static int64_t most_sums(const struct contraction *c)
{
    const struct ir_target *t = c->options->target;
    int64_t bytes = ir_dtypes[c->k->value[c->set->args[0]].dtype].bytes;
    int64_t sums = (int64_t)t->registers * 3 / 4 * t->lanes / LOOP_LANES * 4 / bytes;

    return sums < 1 ? 1 : sums;
}

int64_t pass_sliver(int64_t extent)
{
    int64_t best = 16, least = INT64_MAX;

    for (int64_t w = 64; w >= 16; w -= 16) {
        int64_t cost = (extent + w - 1) / w * w * (w >= 48 ? 100 : w == 32 ? 103 : 112);
        if (cost < least) {
            least = cost;
            best = w;
        }
    }
    return best;
}

/* ---- packing ---- */

struct packing {  /* what the sliver's packed copy is made from; remembered while the loops are
                     rearranged */
    loop_ix from; /* the wide operand's address, in the loops as they were */
    int buffer, scratch;
    int64_t width;
    bool copies; /* it lies side by side already, but not where vectors begin */
    struct loop_axis lanes;
};

/* the wide operand is read from scratch[along][width] from now on */
static struct packing read_packed(struct contraction *c, int64_t width)
{
    struct loop_kernel *k = c->k;
    struct loop_statement *load = c->def[c->wide];
    int64_t depth = k->axis[c->along].hi;
    struct packing p = { load->ix, load->buffer, 0, width, c->copies, k->axis[c->lanes] };

    p.scratch =
        loop_buffer_of(k, "packed", load->dtype, (ir_val){ 0 }, (depth + 15) / 16 * 16 * width);
    struct loop_buffer *b = &k->buffer[p.scratch];
    b->scratch = b->read = b->written = b->padded = true;
    load->buffer = p.scratch;
    load->ix = loop_plus(k, loop_scale(k, loop_axis_ix(k, c->along), width),
                         loop_mod(k, loop_axis_ix(k, c->lanes), width));
    return p;
}

/* a block that is done when the guard holds */
static struct loop_block *once(struct loop_kernel *k, struct loop_block *b, struct loop_guard g)
{
    struct loop_statement s = { .kind = LOOP_FOR, .guards = 1, .guard[0] = g };

    if (loop_guard_state(k, &g) == 1)
        return b;
    s.axis = loop_axis_new(k, "once", loop_const(k, 1), 1);
    return &loop_add(k, b, s)->body;
}

static void pack_elements(struct contraction *c, const struct packing *p, struct loop_block *b,
                          loop_ix n, loop_ix v0, loop_ix k0)
{
    struct loop_kernel *k = c->k;
    enum ir_dtype dtype = k->buffer[p->scratch].dtype;
    int ki = loop_axis_new(k, "ki", loop_const(k, 16), 16),
        ni = loop_axis_new(k, "ni", loop_const(k, 16), 16);
    loop_ix kx = loop_plus(k, k0, loop_axis_ix(k, ki)), nx = loop_plus(k, n, loop_axis_ix(k, ni));
    struct loop_guard inside[2] = { { nx, p->lanes.to }, { kx, k->axis[c->along].to } };
    struct loop_statement l = {
        .kind = LOOP_LOAD, .dtype = dtype, .buffer = p->buffer, .value = loop_value_new(k, dtype)
    };

    b = &loop_add(k, b, (struct loop_statement){ .kind = LOOP_FOR, .axis = ki })->body;
    b = &loop_add(k, b, (struct loop_statement){ .kind = LOOP_FOR, .axis = ni })->body;
    l.ix = loop_replace(k, loop_replace(k, p->from, c->lanes, nx), c->along, kx);
    for (int i = 0; i < 2; i++)
        if (loop_guard_state(k, &inside[i]) != 1)
            l.guard[l.guards++] = inside[i];
    loop_add(k, b, l);
    struct loop_statement st = {
        .kind = LOOP_STORE, .dtype = dtype, .buffer = p->scratch, .args = { l.value }
    };
    st.ix = loop_plus(k, loop_scale(k, kx, p->width), loop_plus(k, v0, loop_axis_ix(k, ni)));
    loop_add(k, b, st);
}

/* before the tiles of a sliver: 16 x 16 at a time by register transposes, or element by element
 * where the sliver is not whole */
static void write_packed(struct contraction *c, const struct packing *p,
                         struct loop_statement *sliver)
{
    struct loop_kernel *k = c->k;
    enum ir_dtype dtype = k->buffer[p->scratch].dtype;
    int64_t depth = k->axis[c->along].hi, extent = 0;
    bool linear, fixed = loop_is_const(k, p->lanes.to, &extent);
    struct loop_block block = { 0 };
    int kk = loop_axis_new(k, "kk",
                           loop_div(k, loop_plus(k, k->axis[c->along].to, loop_const(k, 15)), 16),
                           (depth + 15) / 16);
    int vv = loop_axis_new(k, "v", loop_const(k, p->width / 16), p->width / 16);
    loop_ix k0 = loop_scale(k, loop_axis_ix(k, kk), 16),
            v0 = loop_scale(k, loop_axis_ix(k, vv), 16);
    loop_ix n = loop_plus(k, loop_scale(k, loop_axis_ix(k, sliver->axis), p->width), v0);
    int64_t pitch = loop_coefficient(k, p->from, c->lanes, &linear);
    struct loop_block *b =
        &loop_add(k, &block, (struct loop_statement){ .kind = LOOP_FOR, .axis = kk })->body;
    struct loop_statement in_sliver = { .kind = LOOP_FOR, .axis = vv };
    b = &loop_add(k, b, in_sliver)->body;
    if (dtype == IR_F32 && linear && fixed && pitch > 0 && !p->copies) {
        struct loop_statement t = { .kind = LOOP_TRANSPOSE,
                                    .buffer = p->buffer,
                                    .buffer2 = p->scratch,
                                    .pitch = pitch,
                                    .pitch2 = p->width };
        t.ix = loop_replace(k, loop_replace(k, p->from, c->lanes, n), c->along, k0);
        t.ix2 = loop_plus(k, loop_scale(k, k0, p->width), v0);
        t.value = loop_value_new(k, IR_F32);
        /* whole tiles, and the last one that is not: n <= extent - 16, and extent - 16 < n < extent
         */
        struct loop_guard whole = { n, loop_const(k, extent - 15) };
        struct loop_guard ragged = { loop_plus(k, n, loop_const(k, 15 - extent)),
                                     loop_const(k, 15) };
        loop_add(k, once(k, b, whole), t);
        if (extent % 16)
            pack_elements(c, p, once(k, b, ragged), n, v0, k0);
    } else if (p->copies) {
        int ki = loop_axis_new(k, "ki", loop_const(k, 16), 16),
            lane = loop_axis_new(k, "lane", loop_const(k, 16), 16);
        k->axis[lane].role = LOOP_VECTOR;
        loop_ix kx = loop_plus(k, k0, loop_axis_ix(k, ki)),
                nx = loop_plus(k, n, loop_axis_ix(k, lane));
        struct loop_guard deep = { kx, k->axis[c->along].to };
        b = once(k, &loop_add(k, b, (struct loop_statement){ .kind = LOOP_FOR, .axis = ki })->body,
                 deep);
        b = &loop_add(k, b, (struct loop_statement){ .kind = LOOP_FOR, .axis = lane })->body;
        struct loop_statement l = { .kind = LOOP_LOAD,
                                    .dtype = dtype,
                                    .buffer = p->buffer,
                                    .value = loop_value_new(k, dtype) };
        l.ix = loop_replace(k, loop_replace(k, p->from, c->lanes, nx), c->along, kx);
        loop_add(k, b, l);
        struct loop_statement st = {
            .kind = LOOP_STORE, .dtype = dtype, .buffer = p->scratch, .args = { l.value }
        };
        st.ix = loop_plus(k, loop_scale(k, kx, p->width), loop_plus(k, v0, loop_axis_ix(k, lane)));
        loop_add(k, b, st);
    } else {
        pack_elements(c, p, b, n, v0, k0);
    }
    for (int i = 0; i < sliver->body.count; i++)
        loop_add(k, &block, *sliver->body.at[i]);
    sliver->body = block;
}

/* ---- tiles ---- */

static struct loop_statement *loop_of(struct loop_kernel *k, int axis)
{
    struct nest n = pass_nest(k);

    for (int i = 0; i < n.count; i++)
        if (n.loop[i]->axis == axis)
            return n.loop[i];
    ir_bug("kernel %s lost a loop", k->name);
}

/* the block a loop of the nest stands in, and where */
static struct loop_block *block_of(struct loop_kernel *k, int axis, int *at)
{
    struct nest n = pass_nest(k);
    struct loop_block *b = &k->body;

    for (int i = 0; i < n.count; i++) {
        for (*at = 0; b->at[*at] != n.loop[i];)
            ++*at;
        if (n.loop[i]->axis == axis)
            return b;
        b = &n.loop[i]->body;
    }
    ir_bug("kernel %s lost a loop", k->name);
}

/* Rows in tiles of nearly equal height: M = n1 * h + n2 * (h - 1), two loops, one behind the other.
 * Gives how many loops. */
static int tile_rows(struct loop_kernel *k, struct loop_block *b, int at, int64_t most)
{
    int64_t extent = k->axis[b->at[at]->axis].hi, tiles = (extent + most - 1) / most;

    for (int64_t h = most; h * 20 >= most * 11;
         h--) /* one loop, if that costs little: half the code */
        if (extent % h == 0) {
            tiles = extent / h;
            break;
        }
    int64_t height = (extent + tiles - 1) / tiles, high = extent - tiles * (height - 1);

    if (height < 2)
        return 1;
    if (high < tiles) {
        pass_peel(k, b, at, high * height);
        if (height > 2)
            k->axis[pass_split(k, b->at[at + 1], height - 1)].role = LOOP_UNROLL;
    }
    k->axis[pass_split(k, b->at[at], height)].role = LOOP_UNROLL;
    return high < tiles ? 2 : 1;
}

static bool guards_on(const struct loop_kernel *k, const struct loop_block *b, int axis)
{
    for (int i = 0; i < b->count; i++) {
        const struct loop_statement *s = b->at[i];
        for (int g = 0; s->kind == LOOP_SET && g < s->guards; g++)
            if ((loop_axes_of(k, s->guard[g].ix) | loop_axes_of(k, s->guard[g].limit)) >> axis & 1)
                return true;
        if (guards_on(k, &s->body, axis))
            return true;
    }
    return false;
}

/* an image's first and last columns have taps outside: they become code of their own, where those
 * taps are left out */
static void peel_border(struct loop_kernel *k, struct loop_block *b, int axis)
{
    for (int i = 0; i < b->count; i++) {
        int64_t turns = k->axis[b->at[i]->axis].hi;
        if (b->at[i]->kind != LOOP_FOR)
            continue;
        if (b->at[i]->axis != axis) {
            peel_border(k, &b->at[i]->body, axis);
            continue;
        }
        if (!guards_on(k, &b->at[i]->body, axis) || turns < 2)
            continue;
        pass_peel(k, b, i, 1);
        if (turns > 2)
            pass_peel(k, b, ++i, turns - 1);
        i++;
    }
}

static bool sees(const struct contraction *c, uint32_t v, int axis)
{
    return c->k->value[v].depends >> axis & 1;
}

/* how evenly two threads share so many turns */
static double balance(int64_t turns, int threads)
{
    int64_t rounds = (turns + threads - 1) / threads;

    return turns < 2 ? 0 : (double)turns / (double)(rounds * threads);
}

static void share_tiles(struct contraction *c, struct loop_block *rows, int at, int row_loops)
{
    struct loop_kernel *k = c->k;
    struct nest n = pass_nest(k);
    struct loop_statement *best = NULL;
    int threads = c->options->threads > 1 ? c->options->threads : 2;
    double most = 0, of_rows = 0;

    for (int i = 0; i < n.count; i++) {
        double share = balance(k->axis[n.loop[i]->axis].hi, threads);
        if (k->axis[n.loop[i]->axis].role == LOOP_SERIAL && share > most + 0.05) {
            best = n.loop[i];
            most = share;
        }
    }
    if (rows) {
        of_rows = 1;
        for (int i = 0; i < row_loops; i++)
            of_rows = balance(k->axis[rows->at[at + i]->axis].hi, threads) < of_rows
                          ? balance(k->axis[rows->at[at + i]->axis].hi, threads)
                          : of_rows;
    }
    if (rows && of_rows > most + 0.05)
        best = rows->at[at];
    pass_share(k, best);
    if (rows && k->shared && best == rows->at[at])
        for (int i = 1; i < row_loops; i++)
            k->axis[rows->at[at + i]->axis].role = LOOP_PARALLEL;
}

static void tile(struct contraction *c)
{
    struct loop_kernel *k = c->k;
    struct nest n = pass_nest(k);
    int row = -1, column = -1, both[2 * IR_RANK], boths = 0, at = 0, row_loops = 0;
    int64_t sums = most_sums(c), columns = 1, rows;
    struct packing packed = { 0 };

    for (int i = 0; i < n.count; i++) {
        int axis = n.loop[i]->axis;
        bool narrow = sees(c, c->narrow, axis), wide = sees(c, c->wide, axis);
        if (axis == c->lanes || k->axis[axis].hi < 2)
            continue;
        if (wide && (narrow || c->pack)) /* what is packed is packed inside these */
            both[boths++] = axis;
        else if (narrow && (row < 0 || k->axis[axis].hi >= k->axis[row].hi))
            row = axis;
        else if (wide)
            column = axis; /* the innermost */
    }
    int64_t width = column >= 0 ? LOOP_LANES : pass_sliver(k->axis[c->lanes].hi);
    while (width > LOOP_LANES && width / LOOP_LANES > sums)
        width -= LOOP_LANES;
    if (column >= 0) { /* about as square as it goes: 4 x 4, 3 x 7 */
        int64_t extent = k->axis[column].hi;
        columns = extent < 4 ? extent : 4;
        for (int64_t t = 4; t <= 7 && t <= sums; t++)
            if (extent % t == 0)
                columns = t;
        while (columns > sums)
            columns--;
        rows = row < 0 ? 1 : sums / columns < 4 ? sums / columns : 4;
    } else {
        rows = sums / (width / LOOP_LANES);
        rows = rows > 14 ? 14 : rows;
    }
    /* order: what both see, slivers, what else the wide one sees, rows, columns, and inside the
     * tile */
    if (row >= 0)
        pass_inward(k, loop_of(k, row));
    if (column >= 0)
        pass_inward(k, loop_of(k, column));
    pass_outward(k, loop_of(k, c->lanes));
    while (boths > 0)
        pass_outward(k, loop_of(k, both[--boths]));
    if (c->pack)
        packed = read_packed(c, width);
    struct loop_statement *sliver = loop_of(k, c->lanes);
    int lane = pass_split(k, sliver, width), copy = -1, column_in = -1;
    pass_inward(k, loop_of(k, lane));
    if (width > LOOP_LANES) {
        copy = lane;
        struct loop_statement *l = loop_of(k, copy);
        lane = pass_split(k, l, LOOP_LANES);
        copy = l->axis;
    }
    if (column >= 0 && columns > 1) {
        struct loop_statement *l = loop_of(k, column);
        column_in = pass_split(k, l, columns);
        column = l->axis;
    }
    int sliver_axis = -1;
    n = pass_nest(k);
    for (int i = 0; i < n.count; i++) /* swaps have moved the axes between statements */
        if (n.loop[i] == sliver)
            sliver_axis = sliver->axis;
    struct loop_block *row_block = row >= 0 ? block_of(k, row, &at) : NULL;
    if (copy >= 0)
        k->axis[copy].role = LOOP_UNROLL;
    if (column_in >= 0)
        k->axis[column_in].role = LOOP_UNROLL;
    k->axis[lane].role = LOOP_VECTOR;
    if (row_block)
        row_loops = tile_rows(k, row_block, at, rows);
    if (column >= 0)
        peel_border(k, &k->body, column);
    pass_unroll_short(k, &k->body, 7);
    share_tiles(c, row_block, at, row_loops);
    if (c->pack)
        write_packed(c, &packed, sliver);
    (void)sliver_axis;
    loop_depends(k);
}

/* ---- sums over images, an image a lane ---- */

/* where the reduction's outermost axis is one in which both operands lie side by side */
static struct loop_statement *image_loop(struct contraction *c, struct loop_block *b)
{
    for (int i = 0; i < b->count; i++) {
        struct loop_statement *s = b->at[i];
        if (s->kind != LOOP_FOR || !c->k->axis[s->axis].ordered)
            continue;
        bool part = false;
        for (int j = 0; j < s->body.count; j++)
            part |= s->body.at[j]->kind == LOOP_VAR;
        if (part && lies(c, c->set->args[1], s->axis) == 1 &&
            lies(c, c->set->args[2], s->axis) == 1)
            return s;
    }
    return NULL;
}

static void tile_images(struct contraction *c, struct loop_statement *images)
{
    struct loop_kernel *k = c->k;
    struct nest n = pass_nest(k);
    int first = -1, second = -1, at;
    int64_t sums = most_sums(c);

    /* rows: what only the second operand sees; columns: the innermost of the first's */
    for (int i = 0; i < n.count; i++) {
        int axis = n.loop[i]->axis;
        if (k->axis[axis].hi < 2)
            continue;
        if (sees(c, c->set->args[1], axis) && !sees(c, c->set->args[2], axis))
            second = axis;
        else if (sees(c, c->set->args[2], axis) && !sees(c, c->set->args[1], axis))
            first = axis;
    }
    int lane = pass_split(k, images, LOOP_LANES);
    k->axis[lane].role = LOOP_VECTOR;
    int64_t columns = second >= 0 && k->axis[second].hi <= 7 ? k->axis[second].hi : 1;
    if (columns > sums)
        columns = 1;
    int64_t rows = sums / columns > 4 ? 4 : sums / columns;
    if (second >= 0 && columns > 1) {
        pass_inward(k, loop_of(k, second));
        k->axis[second].role = LOOP_UNROLL;
    }
    struct loop_block *b = first >= 0 ? block_of(k, first, &at) : NULL;
    int loops = b ? tile_rows(k, b, at, rows) : 0;
    share_tiles(c, b, b ? at : 0, loops);
    loop_depends(k);
}

bool pass_tile_contraction(struct loop_kernel *k, const struct pass_options *options)
{
    struct contraction c = { .k = k, .options = options, .lanes = -1, .along = -1 };
    struct nest n;

    c.def = ir_alloc(k->arena, k->values * sizeof *c.def);
    pass_each(&k->body, find_set, &c);
    if (!c.set)
        return false;
    pass_sink(k);
    n = pass_nest(k);
    struct loop_statement *images = image_loop(&c, n.inner);
    if (images) {
        tile_images(&c, images);
        return true;
    }
    if (!choose_lanes(&c, &n))
        return false;
    tile(&c);
    return true;
}

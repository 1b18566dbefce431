/*
 * schedule_pack: the wide operand of a sum of products, copied in slivers.
 *
 * A sliver is as many columns as a tile is wide, one row of it after the other: what a tile reads
 * is a run of memory. It is written at the head of the sliver's loop, 16 x 16 at a time: by
 * register transposes where the operand lies across, row by row where it only begins at an awkward
 * place, element by element where its border is ragged.
 */
#include "contract.h"

/* the wide operand is read from scratch[along][width] from now on */
struct packing pass_read_packed(struct contraction *c, int64_t width)
{
    struct loop_kernel *k = c->k;
    struct loop_statement *load = c->def[c->wide];
    struct packing p = { load->ix, load->buffer, 0, width, c->copies, k->axis[c->lanes], 0 };
    loop_ix row = loop_axis_ix(k, c->along);
    int64_t least, depth;

    p.rows = k->axis[c->along].to;
    if (c->piece >= 0) { /* its pieces lie one behind the other; the last may be shorter */
        p.rows = loop_axes_of(k, p.rows) >> c->piece & 1
                     ? loop_replace(k, p.rows, c->piece, 0)
                     : loop_scale(k, k->axis[c->piece].to, k->axis[c->along].hi);
        p.from = loop_replace(k, p.from, c->piece, 0);
        row = loop_plus(k, row, loop_scale(k, loop_axis_ix(k, c->piece), k->axis[c->along].hi));
    }
    loop_range(k, p.rows, &least, &depth);

    p.scratch =
        loop_buffer_of(k, "packed", load->dtype, (ir_val){ 0 }, (depth + 15) / 16 * 16 * width);
    struct loop_buffer *b = &k->buffer[p.scratch];
    b->scratch = b->read = b->written = b->padded = true;
    load->buffer = p.scratch;
    load->ix =
        loop_plus(k, loop_scale(k, row, width), loop_mod(k, loop_axis_ix(k, c->lanes), width));
    return p;
}

bool pass_transposes(struct loop_kernel *k, const struct loop_statement *load, int axis)
{
    bool linear;

    return load->dtype == IR_F32 && loop_is_const(k, k->axis[axis].to, NULL) &&
           loop_coefficient(k, load->ix, axis, &linear) > 0 && linear;
}

/* a block that is done when the guard holds */
static struct loop_block *once(struct loop_kernel *k, struct loop_block *b, struct loop_guard g)
{
    struct loop_statement s = { .kind = LOOP_FOR, .guards = 1, .guard = &g };

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
    struct loop_guard inside[2] = { { nx, p->lanes.to }, { kx, p->rows } };
    struct loop_statement l = {
        .kind = LOOP_LOAD, .dtype = dtype, .buffer = p->buffer, .value = loop_value_new(k, dtype)
    };

    b = &loop_add(k, b, (struct loop_statement){ .kind = LOOP_FOR, .axis = ki })->body;
    b = &loop_add(k, b, (struct loop_statement){ .kind = LOOP_FOR, .axis = ni })->body;
    l.ix = loop_replace(k, loop_replace(k, p->from, c->lanes, nx), c->along, kx);
    for (int i = 0; i < 2; i++)
        if (loop_guard_state(k, &inside[i]) != 1)
            loop_add_guard(k, &l, inside[i]);
    loop_add(k, b, l);
    struct loop_statement st = {
        .kind = LOOP_STORE, .dtype = dtype, .buffer = p->scratch, .args = { l.value }
    };
    st.ix = loop_plus(k, loop_scale(k, kx, p->width), loop_plus(k, v0, loop_axis_ix(k, ni)));
    loop_add(k, b, st);
}

/* before the tiles of a sliver: 16 x 16 at a time by register transposes, or element by element
 * where the sliver is not whole */
void pass_write_packed(struct contraction *c, const struct packing *p,
                       struct loop_statement *sliver)
{
    struct loop_kernel *k = c->k;
    enum ir_dtype dtype = k->buffer[p->scratch].dtype;
    int64_t least, depth, extent = 0;
    bool linear, fixed = loop_is_const(k, p->lanes.to, &extent);
    struct loop_block block = { 0 };

    loop_range(k, p->rows, &least, &depth);
    int kk = loop_axis_new(k, "kk", loop_div(k, loop_plus(k, p->rows, loop_const(k, 15)), 16),
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
        struct loop_guard deep = { kx, p->rows };
        /* blocks of 16 may lie far from each other, and none behind the last */
        struct loop_guard there = {
            loop_div(k, n, LOOP_LANES),
            loop_div(k, loop_plus(k, p->lanes.to, loop_const(k, LOOP_LANES - 1)), LOOP_LANES)
        };
        b = once(k, b, there);
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

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
#include "contract.h"

static void find_set(struct loop_statement *s, void *with)
{
    struct contraction *c = with;

    if (s->kind == LOOP_SET && s->op == IR_dot && !c->set)
        c->set = s;
    if (s->value)
        c->def[s->value] = s;
}

/* what is computed lies as the worst of what it is computed from */
static enum lies lies(struct contraction *c, uint32_t v, int axis)
{
    const struct loop_statement *s = c->def[v];
    enum lies worst = LIES_STILL;
    bool linear;

    if (!pass_sees(c, v, axis) || !s)
        return LIES_STILL;
    if (s->kind == LOOP_LOAD) {
        int64_t step = pass_lane_step(c->k, s->ix, axis, &linear);
        return !linear || (step != 0 && step != 1) ? LIES_ACROSS : step ? LIES_BESIDE : LIES_STILL;
    }
    if (s->kind != LOOP_LET)
        return LIES_ACROSS;
    for (int i = 0; i < 3; i++) {
        enum lies one = s->args[i] ? lies(c, s->args[i], axis) : LIES_STILL;
        worst = one > worst ? one : worst;
    }
    return worst;
}

struct stored { /* are results stored across an axis? */
    struct loop_kernel *k;
    int axis;
    bool across;
};

static void look_at_store(struct loop_statement *s, void *with)
{
    struct stored *st = with;
    bool linear;

    if (s->kind != LOOP_STORE)
        return;
    int64_t step = pass_lane_step(st->k, s->ix, st->axis, &linear);
    st->across |= !linear || step != 1;
}

static void reduction_axes(struct loop_statement *s, void *with)
{
    struct contraction *c = with;

    if (s->kind == LOOP_FOR && c->k->axis[s->axis].ordered && c->along < 0 && !s->guards &&
        lies(c, c->wide, s->axis) == LIES_BESIDE)
        c->along = s->axis;
}

/* products that are added to one result */
static double depth(const struct loop_kernel *k, const struct loop_block *b)
{
    double turns = 1;

    for (int i = 0; i < b->count; i++)
        if (b->at[i]->kind == LOOP_FOR)
            turns *= depth(k, &b->at[i]->body) *
                     (k->axis[b->at[i]->axis].ordered ? (double)k->axis[b->at[i]->axis].hi : 1);
    return turns;
}

/* results that read one element of v */
static int64_t rows_that_read(const struct contraction *c, const struct nest *n, uint32_t v)
{
    int64_t rows = 1;

    for (int i = 0; i < n->count; i++)
        if (!pass_sees(c, v, n->loop[i]->axis))
            rows *= c->k->axis[n->loop[i]->axis].hi;
    return rows;
}

/* The axis for lanes: filled lanes, one operand side by side or fit to be packed, results side by
 * side. */
static double rate(struct contraction *c, const struct nest *n, int axis, uint32_t *narrow,
                   uint32_t *wide, bool *pack)
{
    struct stored st = { .k = c->k, .axis = axis };
    enum lies a = lies(c, c->set->args[1], axis), b = lies(c, c->set->args[2], axis);
    int64_t extent = c->k->axis[axis].hi;
    double score;

    if (extent < 2 || (a == LIES_STILL) == (b == LIES_STILL))
        return 0;
    *wide = a ? c->set->args[1] : c->set->args[2];
    *narrow = a ? c->set->args[2] : c->set->args[1];
    *pack = a == LIES_ACROSS || b == LIES_ACROSS;
    score = (double)extent / (double)((extent + LOOP_LANES - 1) / LOOP_LANES * LOOP_LANES);
    if (*pack) {
        c->wide = *wide;
        c->along = -1;
        if (c->def[*wide]->kind == LOOP_LOAD)
            pass_each(n->inner, reduction_axes, c);
        /* it is packed once and read by every row: measured 82, 88 and 95 % of what needs no
         * packing at 64, 256 and 1024 rows */
        int64_t rows = rows_that_read(c, n, *wide);
        bool fast = pass_transposes(c->k, c->def[*wide], axis);
        double packed = fast && rows >= 512 ? 0.95 : fast && rows >= 256 ? 0.84 : 0.7;
        score *= c->along >= 0 && !c->def[*wide]->guards ? packed : 0.12;
    }
    pass_each(n->inner, look_at_store, &st);
    if (!st.across)
        return score;
    /* results lane by lane: a cost that a long reduction hides */
    double deep = depth(c->k, n->inner);
    return score * (deep >= 512 ? 0.85 : deep >= 128 ? 0.6 : 0.4);
}

struct depends_on { /* loops of the reduction, outermost first */
    struct contraction *c;
    int count, axis[2];
};

static void count_reduced(struct loop_statement *s, void *with)
{
    struct depends_on *d = with;

    if (s->kind == LOOP_FOR && d->c->k->axis[s->axis].ordered &&
        pass_sees(d->c, d->c->wide, s->axis)) {
        d->count += s->guards ? 3 : 1;
        if (d->count <= 2)
            d->axis[d->count - 1] = s->axis;
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
    struct depends_on d = { .c = c };
    uint64_t outside = UINT64_C(1) << c->lanes;
    bool linear;

    if (!load || load->kind != LOOP_LOAD || load->guards)
        return;
    pass_each(n->inner, count_reduced, &d);
    for (int i = 0; i < n->count; i++)
        outside |= UINT64_C(1) << n->loop[i]->axis;
    if (d.count != 1 && d.count != 2)
        return;
    int along = d.axis[d.count - 1], piece = d.count == 2 ? d.axis[0] : -1;
    outside |= UINT64_C(1) << along | (piece < 0 ? 0 : UINT64_C(1) << piece);
    int64_t pitch = loop_coefficient(k, load->ix, along, &linear);
    if (loop_axes_of(k, load->ix) & ~outside)
        return;
    bool whole, full = loop_is_const(k, k->axis[along].to, NULL);
    if (piece >= 0 && /* pieces of one run: of one axis, or an axis in another */
        (loop_coefficient(k, load->ix, piece, &whole) != pitch * k->axis[along].hi || !whole ||
         !(full || loop_axes_of(k, k->axis[along].to) >> piece & 1)))
        return;
    if (!linear || k->axis[c->lanes].hi < LOOP_LANES)
        return;
    const bool pays =
        rows_that_read(c, n, c->wide) >= 48 && (pitch % LOOP_LANES != 0 || pitch % 256 == 0);
    if (pass_rule(k, LOOP_COPIED, pays ? 2 : 1) == 1)
        return;
    c->pack = c->copies = true;
    c->along = along;
    c->piece = piece;
}

static bool choose_lanes(struct contraction *c, const struct nest *n)
{
    double best = 0;
    int rule = 0, chosen;
    uint32_t narrow, wide;
    bool pack;

    for (int i = 0; i < n->count; i++) {
        double score = rate(c, n, n->loop[i]->axis, &narrow, &wide, &pack);
        if (score <= best)
            continue;
        best = score;
        rule = i;
    }
    if (best == 0)
        return false;
    chosen = (int)pass_rule(c->k, LOOP_LANED, rule + 1) - 1;
    if (chosen >= n->count || rate(c, n, n->loop[chosen]->axis, &narrow, &wide, &pack) == 0)
        chosen = rule;
    c->lanes = n->loop[chosen]->axis;
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
        if (part && lies(c, c->set->args[1], s->axis) == LIES_BESIDE &&
            lies(c, c->set->args[2], s->axis) == LIES_BESIDE)
            return s;
    }
    return NULL;
}

bool pass_tile_contraction(struct loop_kernel *k, const struct pass_options *options)
{
    struct contraction c = { .k = k, .options = options, .lanes = -1, .along = -1, .piece = -1 };
    struct nest n;

    c.def = ir_alloc(k->arena, k->values * sizeof *c.def);
    pass_each(&k->body, find_set, &c);
    if (!c.set)
        return false;
    pass_sink(k);
    n = pass_nest(k);
    struct loop_statement *images = image_loop(&c, n.inner);
    if (images) {
        pass_tile_images(&c, images);
        return true;
    }
    if (!choose_lanes(&c, &n))
        return false;
    pass_tile(&c);
    return true;
}

/*
 * attention: softmax(scale q k' + mask) v without queries x keys (Dao et al., arXiv:2205.14135).
 *
 * A scan over tiles of keys carries, for each query, the greatest score so far, the sum of what is
 * relative to it, and the values so weighted. Backward the scores of a tile are computed again from
 * the logarithm of that sum. Kernels, order, derivatives of derivatives are those of any scan.
 */
#include "passes/gradients.h"

#include <math.h>
#include <string.h>

enum { KEYS = 64, LEAST = 4 * KEYS }; /* of a tile; of fewer keys all scores at once are quicker */

struct tiles {
    struct ir_graph *g, *body;
    const struct pass_attention *a;
    int lead;            /* axes before [(group) queries width] */
    bool group;          /* of query heads that share a head of keys */
    int64_t keys, count; /* as many tiles as the bound of keys takes, the last with less */
    ir_val q, mask;      /* [lead (group) queries width]; [.. queries keys] or none */
    ir_val slice[5];     /* keys, values, first key's number (, mask) (, counter): [count ..] */
    int slices;
    bool cut; /* the mask has a column a key */
    ir_val arg[16];
    int args;
    /* in the body */
    ir_val in_q, in_slice[5], in_mask;
};

/* "Ld,Lse->Ls": L and G stand for the letters of the leading axes and the group */
static ir_val dot(struct ir_graph *g, const struct tiles *t, ir_val a, ir_val b, const char *how)
{
    char letters[4 * IR_RANK + 16], *to = letters;

    for (; *how; how++) {
        if (*how == 'L')
            for (int i = 0; i < t->lead; i++)
                *to++ = "abchijko"[i];
        else if (*how != 'G')
            *to++ = *how;
        else if (t->group)
            *to++ = 'g';
    }
    *to = 0;
    return ir_dot(g, a, b, letters, t->a->loc);
}

/* --- the arrays ---------------------------------------------------------------------------------
 */

/* Zeros behind an axis, up to whole tiles; then the tiles in front: [count .. KEYS ..] */
static ir_val stacked(const struct tiles *t, ir_val v, int axis)
{
    struct ir_graph *g = t->g;
    const struct ir_loc loc = t->a->loc;
    struct ir_shape s = ir_at(g, v)->shape;
    int64_t lo[IR_RANK] = { 0 }, hi[IR_RANK] = { 0 }, order[IR_RANK];

    hi[axis] = ir_dim_sub(g, t->count * KEYS, t->keys);
    if (hi[axis]) {
        const ir_val nothing = ir_number(g, ir_at(g, v)->dtype, 0, loc);
        v = ir_op_attr(g, IR_pad, 2, (ir_val[]){ v, nothing },
                       (struct ir_list[]){ { s.rank, lo }, { s.rank, hi } }, loc);
    }
    memmove(&s.dim[axis + 2], &s.dim[axis + 1], (size_t)(s.rank - axis - 1) * sizeof *s.dim);
    s.rank++;
    s.dim[axis] = t->count;
    s.dim[axis + 1] = KEYS;
    v = ir_reshape(g, v, s, loc);
    order[0] = axis;
    for (int i = 1; i < s.rank; i++)
        order[i] = i <= axis ? i - 1 : i;
    return ir_permute(g, v, order, loc);
}

/* The gradient of stacked(v): back to v's shape. */
static ir_val unstacked(const struct tiles *t, ir_val v, int axis)
{
    struct ir_graph *g = t->g;
    const struct ir_loc loc = t->a->loc;
    struct ir_shape s = ir_at(g, v)->shape;
    int64_t start[IR_RANK] = { 0 }, stop[IR_RANK], step[IR_RANK], order[IR_RANK];

    for (int i = 0; i < s.rank; i++)
        order[i] = i < axis ? i + 1 : i == axis ? 0 : i;
    v = ir_permute(g, v, order, loc);
    s = ir_at(g, v)->shape;
    s.dim[axis] = t->count * KEYS;
    s.rank--;
    memmove(&s.dim[axis + 1], &s.dim[axis + 2], (size_t)(s.rank - axis - 1) * sizeof *s.dim);
    v = ir_reshape(g, v, s, loc);
    if (t->count * KEYS == t->keys)
        return v;
    for (int i = 0; i < s.rank; i++) {
        stop[i] = i == axis ? t->keys : s.dim[i];
        step[i] = 1;
    }
    return ir_op_attr(g, IR_slice, 1, &v,
                      (struct ir_list[]){ { s.rank, start }, { s.rank, stop }, { s.rank, step } },
                      loc);
}

/* q's heads as [heads of keys, group]; the mask with as many axes as the scores */
static ir_val in_groups(const struct tiles *t, ir_val v)
{
    struct ir_graph *g = t->g;
    struct ir_shape s = ir_at(g, v)->shape;
    const int64_t heads = ir_at(g, t->a->k)->shape.dim[1];

    if (!t->group)
        return v;
    memmove(&s.dim[3], &s.dim[2], 2 * sizeof *s.dim);
    s.rank++;
    s.dim[2] = s.dim[1] == 1 ? 1 : s.dim[1] / heads;
    s.dim[1] = s.dim[1] == 1 ? 1 : heads;
    return ir_reshape(g, v, s, t->a->loc);
}

static void prepare(struct tiles *t, struct ir_graph *g, const struct pass_attention *a)
{
    const struct ir_shape q = ir_at(g, a->q)->shape, k = ir_at(g, a->k)->shape;

    *t = (struct tiles){ .g = g, .a = a, .lead = q.rank - 2, .keys = k.dim[k.rank - 2] };
    t->count = (ir_dim_max(g, t->keys) + KEYS - 1) / KEYS;
    t->group = q.rank == 4 && q.dim[1] != k.dim[1];
    t->q = in_groups(t, a->q);
    t->slice[0] = stacked(t, a->k, k.rank - 2);
    t->slice[1] = stacked(t, a->v, k.rank - 2);
    t->slice[2] =
        ir_op2(g, IR_mul, ir_iota(g, IR_I32, (struct ir_shape){ 1, { t->count } }, 0, a->loc),
               ir_integer(g, IR_I32, KEYS, a->loc), a->loc);
    t->slices = 3;
    if (a->mask.id) {
        struct ir_shape s = ir_at(g, a->mask)->shape;
        const int missing = q.rank - s.rank;
        memmove(&s.dim[missing], s.dim, (size_t)s.rank * sizeof *s.dim);
        for (int i = 0; i < missing; i++)
            s.dim[i] = 1;
        s.rank = q.rank;
        t->mask = in_groups(t, ir_reshape(g, a->mask, s, a->loc));
        t->cut = s.dim[s.rank - 1] != 1;
        if (t->cut)
            t->slice[t->slices++] = stacked(t, t->mask, ir_at(g, t->mask)->shape.rank - 1);
    }
    if (a->dropout > 0) { /* each tile has a counter of its own */
        const struct ir_shape all = { 1, { t->count } };
        t->slice[t->slices++] =
            ir_op2(g, IR_add, ir_expand(g, a->counter, all, a->loc),
                   ir_op2(g, IR_mul, ir_iota(g, IR_I64, all, 0, a->loc),
                          ir_integer(g, IR_I64, INT64_C(1) << 40, a->loc), a->loc),
                   a->loc);
    }
}

/* --- a body
 * ---------------------------------------------------------------------------------------
 */

static ir_val input(struct tiles *t, const char *name, ir_val v, bool slice)
{
    const struct ir_node *n = ir_at(t->g, v);
    struct ir_shape s = n->shape;

    if (slice) {
        s.rank--;
        memmove(s.dim, s.dim + 1, (size_t)s.rank * sizeof *s.dim);
    }
    t->arg[t->args++] = v;
    return ir_input(t->body, name, n->dtype, ir_shape_of(t->body, t->g, s), t->a->loc);
}

static void take_slices(struct tiles *t)
{
    const char *const names[] = { "k", "v", "first", t->cut ? "mask" : "counter", "counter" };

    for (int i = 0; i < t->slices; i++)
        t->in_slice[i] = input(t, names[i], t->slice[i], true);
}

static void take_rest(struct tiles *t)
{
    t->in_q = input(t, "q", t->q, false);
    if (t->mask.id)
        t->in_mask = t->cut ? t->in_slice[3] : input(t, "mask", t->mask, false);
}

static ir_val row(struct ir_graph *b, ir_val v, ir_val like, struct ir_loc loc)
{
    const struct ir_shape s = ir_at(b, like)->shape;
    const int64_t last = s.rank - 1;

    return ir_expand_axes(b, v, s, 1, &last, loc);
}

/* The scores of a tile, -inf where a key is not seen. */
static ir_val scores(const struct tiles *t)
{
    struct ir_graph *b = t->body;
    const struct pass_attention *a = t->a;
    const struct ir_loc loc = a->loc;
    ir_val s = dot(b, t, t->in_q, t->in_slice[0], "LGld,Lsd->LGls"), seen = { 0 }, i, j;
    const struct ir_shape shape = ir_at(b, s)->shape;
    const enum ir_dtype dtype = ir_at(b, s)->dtype;
    const ir_val never = ir_number(b, dtype, -(double)INFINITY, loc);

    s = ir_op2(b, IR_mul, s, ir_number(b, dtype, a->scale, loc), loc);
    i = ir_iota(b, IR_I32, shape, shape.rank - 2, loc);
    j = ir_op2(b, IR_add, ir_iota(b, IR_I32, shape, shape.rank - 1, loc), t->in_slice[2], loc);
    if (a->causal)
        seen = ir_op2(b, IR_le, j, i, loc);
    if (a->window > 0) {
        const ir_val near = ir_op2(b, IR_lt, ir_op2(b, IR_sub, i, j, loc),
                                   ir_integer(b, IR_I32, a->window, loc), loc);
        seen = seen.id ? ir_op2(b, IR_and, seen, near, loc) : near;
    }
    if (t->count * KEYS != t->keys) {
        const ir_val keys = ir_size(b, ir_dim_of(b, t->g, t->keys), IR_I32, loc);
        const ir_val there = ir_op2(b, IR_lt, j, keys, loc);
        seen = seen.id ? ir_op2(b, IR_and, seen, there, loc) : there;
    }
    if (t->mask.id) {
        const ir_val mask = ir_expand(b, t->in_mask, shape, loc);
        if (ir_at(b, mask)->dtype == IR_BOOL)
            s = ir_select(b, mask, s, never, loc);
        else
            s = ir_op2(b, IR_add, s, ir_cast(b, mask, dtype, loc), loc);
    }
    return seen.id ? ir_select(b, seen, s, never, loc) : s;
}

/* Which of a tile's weights are kept; none where all are. */
static ir_val chosen(const struct tiles *t, ir_val like)
{
    struct ir_graph *b = t->body;
    const struct ir_loc loc = t->a->loc;
    const ir_val args[] = { ir_integer(b, IR_I64, (int64_t)t->g->seed, loc),
                            t->in_slice[t->slices - 1] };

    if (!(t->a->dropout > 0))
        return (ir_val){ 0 };
    return ir_op2(b, IR_le, ir_integer(b, IR_U32, (int64_t)(t->a->dropout * 4294967296.0), loc),
                  ir_add(b, &(struct ir_node){ .op = IR_bits,
                                               .dtype = IR_U32,
                                               .shape = ir_at(b, like)->shape,
                                               .arity = 2,
                                               .args = args,
                                               .attr = { { .count = 1, .at = &t->a->stream } },
                                               .loc = loc }),
                  loc);
}

/* v / (1 - dropout) where it is kept, else 0 */
static ir_val kept(const struct tiles *t, ir_val which, ir_val v)
{
    const enum ir_dtype dtype = ir_at(t->body, v)->dtype;
    const struct ir_loc loc = t->a->loc;

    if (!which.id)
        return v;
    v = ir_op2(t->body, IR_mul, v, ir_number(t->body, dtype, 1 / (1 - t->a->dropout), loc), loc);
    return ir_select(t->body, which, v, ir_number(t->body, dtype, 0, loc), loc);
}

static ir_val scan(struct tiles *t, int carries)
{
    const ir_val made = t->g->error->status
                            ? (ir_val){ 0 }
                            : ir_make_scan(t->g, t->body, t->args, t->arg, carries, t->slices,
                                           t->count, false, -1, t->a->loc);

    ir_graph_free(t->body);
    t->args = 0;
    return made;
}

/* x, and 0 for -inf: what a row of which nothing has been seen yet is relative to */
static ir_val above_nothing(struct ir_graph *g, ir_val x, struct ir_loc loc)
{
    const enum ir_dtype dtype = ir_at(g, x)->dtype;

    return ir_select(g, ir_op2(g, IR_eq, x, ir_number(g, dtype, -(double)INFINITY, loc), loc),
                     ir_number(g, dtype, 0, loc), x, loc);
}

/* --- forward ------------------------------------------------------------------------------------
 */

enum { GREATEST, SUM, VALUES, CARRIES };

/* result[GREATEST], [SUM]: a number a query; [VALUES] like the queries, as wide as values */
static void forward(struct tiles *t, ir_val result[CARRIES])
{
    const struct ir_loc loc = t->a->loc;
    struct ir_shape s = ir_at(t->g, t->q)->shape;
    const struct ir_shape v = ir_at(t->g, t->a->v)->shape;
    const enum ir_dtype dtype = ir_at(t->g, t->q)->dtype;
    const int64_t last = s.rank - 1;
    ir_val in[CARRIES], score, greatest, old, power, made;
    struct ir_graph *b = t->body = ir_body_new(t->g, "attention");

    s.dim[last] = v.dim[v.rank - 1];
    result[VALUES] = ir_expand(t->g, ir_number(t->g, dtype, 0, loc), s, loc);
    s.rank--;
    result[GREATEST] = ir_expand(t->g, ir_number(t->g, dtype, -(double)INFINITY, loc), s, loc);
    result[SUM] = ir_expand(t->g, ir_number(t->g, dtype, 0, loc), s, loc);
    in[GREATEST] = input(t, "greatest", result[GREATEST], false);
    in[SUM] = input(t, "sum", result[SUM], false);
    in[VALUES] = input(t, "values", result[VALUES], false);
    take_slices(t);
    take_rest(t);
    score = scores(t);
    greatest = ir_op2(b, IR_max, in[GREATEST], ir_reduce(b, IR_amax, score, 1, &last, loc), loc);
    old = ir_op1(b, IR_exp, ir_op2(b, IR_sub, in[GREATEST], above_nothing(b, greatest, loc), loc),
                 loc);
    power = ir_op1(
        b, IR_exp,
        ir_op2(b, IR_sub, score, row(b, above_nothing(b, greatest, loc), score, loc), loc), loc);
    ir_output(b, NULL, greatest);
    ir_output(b, NULL,
              ir_op2(b, IR_add, ir_op2(b, IR_mul, in[SUM], old, loc),
                     ir_reduce(b, IR_sum, power, 1, &last, loc), loc));
    ir_output(b, NULL,
              ir_op2(b, IR_add, ir_op2(b, IR_mul, in[VALUES], row(b, old, in[VALUES], loc), loc),
                     dot(b, t, kept(t, chosen(t, power), power), t->in_slice[1], "LGls,Lse->LGle"),
                     loc));
    made = scan(t, CARRIES);
    for (int i = 0; i < CARRIES; i++)
        result[i] = ir_make_result(t->g, made, i, loc);
}

bool pass_attention_tiles(const struct ir_graph *g, ir_val k)
{
    const struct ir_shape *s = &ir_at(g, k)->shape;

    return ir_dim_max(g, s->dim[s->rank - 2]) > LEAST && s->rank + 2 <= IR_RANK;
}

ir_val pass_attention(struct ir_graph *g, const struct pass_attention *a)
{
    struct ir_shape s = ir_at(g, a->q)->shape;
    const struct ir_shape v = ir_at(g, a->v)->shape;
    ir_val result[CARRIES], y;
    struct tiles t;

    prepare(&t, g, a);
    forward(&t, result);
    y = ir_op2(g, IR_div, result[VALUES], row(g, result[SUM], result[VALUES], a->loc), a->loc);
    s.dim[s.rank - 1] = v.dim[v.rank - 1];
    return ir_reshape(g, y, s, a->loc);
}

/* --- backward -----------------------------------------------------------------------------------
 */

/* p: the softmax; y = p v; ds = p (dy v' - sum of dy y) */
void pass_grad_of_region_tiled_attention(struct pass_step *step)
{
    const struct ir_region *r = step->region;
    struct ir_graph *g = step->g;
    struct pass_attention a = { .q = r->args[0],
                                .k = r->args[1],
                                .v = r->args[2],
                                .causal = r->attr.at[0] != 0,
                                .window = r->attr.at[2],
                                .loc = step->node->loc };
    const struct ir_loc loc = a.loc;
    const int keys_axis = ir_at(g, a.k)->shape.rank - 2;
    ir_val result[CARRIES], dy, share, norm, in_norm, in_share, in_dy, dq, score, p, ds, which,
        made;
    bool masked;
    int64_t last;
    struct tiles t;
    struct ir_graph *b;

    memcpy(&a.scale, &r->attr.at[1], sizeof a.scale);
    if (r->attr.count > 3) {
        memcpy(&a.dropout, &r->attr.at[3], sizeof a.dropout);
        a.stream = r->attr.at[4];
        a.counter = r->args[r->arity - 1];
    }
    if (r->arity - (a.dropout > 0) > 3)
        a.mask = r->args[3];
    prepare(&t, g, &a);
    forward(&t, result);
    last = ir_at(g, t.q)->shape.rank - 1;
    dy = ir_reshape(g, step->grad, ir_at(g, result[VALUES])->shape, loc);
    share = ir_op2(g, IR_mul, dy, ir_reshape(g, step->y, ir_at(g, dy)->shape, loc), loc);
    share = ir_reduce(g, IR_sum, share, 1, &last, loc);
    norm = ir_op2(g, IR_add, above_nothing(g, result[GREATEST], loc),
                  ir_op1(g, IR_log, result[SUM], loc), loc);
    masked = t.mask.id && ir_dtypes[ir_at(g, t.mask)->dtype].kind == 'f' && step->wanted[3];

    b = t.body = ir_body_new(g, "attention_back");
    dq = input(&t, "dq", ir_full_like(g, t.q, 0, loc), false);
    take_slices(&t);
    take_rest(&t);
    in_norm = input(&t, "norm", norm, false);
    in_share = input(&t, "share", share, false);
    in_dy = input(&t, "dy", dy, false);
    score = scores(&t);
    p = ir_op1(b, IR_exp, ir_op2(b, IR_sub, score, row(b, in_norm, score, loc), loc), loc);
    ds = dot(b, &t, in_dy, t.in_slice[1], "LGle,Lse->LGls");
    which = chosen(&t, p);
    ds = ir_op2(b, IR_sub, kept(&t, which, ds), row(b, in_share, ds, loc), loc);
    ds = ir_op2(b, IR_mul, p, ds, loc);
    ir_output(b, NULL, ir_op2(b, IR_add, dq, dot(b, &t, ds, t.in_slice[0], "LGls,Lsd->LGld"), loc));
    ir_output(b, NULL, dot(b, &t, ds, t.in_q, "LGls,LGld->Lsd"));
    ir_output(b, NULL, dot(b, &t, kept(&t, which, p), in_dy, "LGls,LGle->Lse"));
    if (masked)
        ir_output(b, NULL, ir_sum_to(b, ds, ir_at(b, t.in_mask)->shape, loc));
    made = scan(&t, 1);
    {
        const ir_val scale = ir_number(g, ir_at(g, a.q)->dtype, a.scale, loc);
        dq = ir_op2(g, IR_mul, ir_make_result(g, made, 0, loc), scale, loc);
        step->to[0] = ir_reshape(g, dq, ir_at(g, a.q)->shape, loc);
        step->to[1] = ir_op2(g, IR_mul, unstacked(&t, ir_make_result(g, made, 1, loc), keys_axis),
                             scale, loc);
        step->to[2] = unstacked(&t, ir_make_result(g, made, 2, loc), keys_axis);
    }
    if (masked) {
        ir_val dm = ir_make_result(g, made, 3, loc);
        const int64_t first = 0;
        dm = t.cut ? unstacked(&t, dm, ir_at(g, t.mask)->shape.rank - 1)
                   : ir_reduce(g, IR_sum, dm, 1, &first, loc);
        dm = ir_reshape(g, dm, ir_at(g, a.mask)->shape, loc);
        step->to[3] = ir_cast(g, dm, ir_at(g, a.mask)->dtype, loc);
    }
}

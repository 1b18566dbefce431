/*
 * nn_attention: what queries take from values, by how much they fit the keys; positions as angles
 * or as a bias. The whole of it is one region, so that a kernel which never stores queries x keys
 * can take its place.
 */
#include <math.h>
#include <string.h>

#include "frontend/frontend.h"

/* Queries may look at keys up to their own place, and at most `window` back. */
static tp_tensor visible(tp_graph *g, int64_t queries, int64_t keys, const tp_attention_args *a,
                         tp_loc at)
{
    const tp_shape square = tp_dims(queries, keys);
    const tp_tensor i = tp_index_along(g, square, 0, at), j = tp_index_along(g, square, 1, at);
    tp_tensor seen = { .g = NULL }, near;

    if (a->causal)
        seen = tp_binary_at("le", j, i, at);
    if (a->window > 0) {
        near =
            tp_binary_at("lt", tp_binary_at("sub", i, j, at), tp_as_number((double)a->window), at);
        seen = seen.g ? tp_binary_at("and", seen, near, at) : near;
    }
    return seen;
}

/* [.. queries keys], where -inf says: not at all */
static tp_tensor weights(tp_tensor score, int64_t queries, const tp_attention_args *a, tp_loc at)
{
    const tp_tensor never = tp_as_number(-(double)INFINITY);

    if (a->causal || a->window > 0)
        score = tp_where_at(visible(score.g, queries, tp_dim(score, -1), a, at), score, never, at);
    if (a->mask.g)
        score = tp_dtype_of(a->mask) == TP_BOOL ? tp_where_at(a->mask, score, never, at)
                                                : tp_binary_at("add", score, a->mask, at);
    score = tp_softmax_at("softmax", score, -1, at);
    return a->dropout > 0 ? tp_dropout_at("tp_attention", score, a->dropout, 0, at) : score;
}

/* Is the mask broadcast to [.. l s]? */
static bool masks(tp_tensor mask, tp_tensor q, tp_tensor k)
{
    const int rank = tp_rank(q), less = rank - tp_rank(mask);
    bool good = less >= 0;

    for (int i = 0; good && i < tp_rank(mask); i++) {
        const int64_t n = i + less == rank - 1 ? tp_dim(k, -2) : tp_dim(q, i + less);
        good = tp_dim(mask, i) == n || tp_dim(mask, i) == 1;
    }
    return good;
}

static bool fit(tp_tensor q, tp_tensor k, tp_tensor v, const tp_attention_args *a, tp_loc at)
{
    const int rank = tp_rank(q);
    bool good = k.g && v.g && rank >= 2 && tp_rank(k) == rank && tp_rank(v) == rank &&
                tp_dim(q, -1) == tp_dim(k, -1) && tp_dim(k, -2) == tp_dim(v, -2) &&
                ir_dim_fixed(tp_dim(q, -1)) && tp_node(q)->dtype == tp_node(k)->dtype &&
                tp_node(q)->dtype == tp_node(v)->dtype;

    for (int i = 0; good && i < rank - 2; i++) {
        const bool heads = i == 1 && rank == 4;

        good = tp_dim(k, i) == tp_dim(v, i) &&
               (tp_dim(q, i) == tp_dim(k, i) ||
                (heads && ir_dim_fixed(tp_dim(q, i)) && tp_dim(k, i) > 0 &&
                 tp_dim(q, i) % tp_dim(k, i) == 0));
    }
    if (!good)
        tp_fail(
            q.g, at, "tp_attention",
            "queries %s, keys %s, values %s; expected [.. l d], [.. s d] and [.. s e], heads of "
            "queries in groups on axis 1",
            tp_describe(q), k.g ? tp_describe(k) : "a number", v.g ? tp_describe(v) : "a number");
    else if (a->mask.g && !masks(a->mask, q, k))
        tp_fail(q.g, at, "tp_attention",
                "a mask %s for queries %s and keys %s; expected one that is broadcast to [.. l s]",
                tp_describe(a->mask), tp_describe(q), tp_describe(k));
    else if (!(a->dropout >= 0 && a->dropout < 1) || a->window < 0)
        tp_fail(q.g, at, "tp_attention", "dropout %g, window %lld; expected 0 <= dropout < 1",
                a->dropout, (long long)a->window);
    return q.g->error.status == IR_OK;
}

/* All scores at once. */
static tp_tensor whole(tp_tensor q, tp_tensor k, double scale, const tp_attention_args *a,
                       tp_loc at)
{
    const tp_tensor v = a->v, factor = tp_as_number(scale);
    const int64_t groups =
        tp_rank(q) == 4 && tp_dim(q, 1) != tp_dim(k, 1) ? tp_dim(q, 1) / tp_dim(k, 1) : 1;
    tp_tensor y;
    tp_shape wide;

    if (groups == 1) {
        y = tp_binary_at("mul", tp_matmul_nt_at(q, k, at), factor, at);
        return tp_matmul_at(weights(y, tp_dim(q, -2), a, at), v, at);
    }
    /* [b h l d] as [b keys' heads, group, l d]: a group shares keys and values */
    wide = tp_dims(tp_dim(q, 0), tp_dim(k, 1), groups, tp_dim(q, 2), tp_dim(q, 3));
    y = tp_dot_at("bhgld,bhsd->bhgls", tp_reshape_at(q, wide, at), k, at);
    y = tp_binary_at("mul", y, factor, at);
    wide = tp_dims(tp_dim(q, 0), tp_dim(q, 1), tp_dim(q, 2), tp_dim(k, 2));
    y = weights(tp_reshape_at(y, wide, at), tp_dim(q, -2), a, at);
    wide = tp_dims(tp_dim(q, 0), tp_dim(k, 1), groups, tp_dim(q, 2), tp_dim(k, 2));
    y = tp_dot_at("bhgls,bhse->bhgle", tp_reshape_at(y, wide, at), v, at);
    return tp_reshape_at(y, tp_dims(tp_dim(q, 0), tp_dim(q, 1), tp_dim(q, 2), tp_dim(v, 3)), at);
}

/* By tiles of keys, with `dropout` of their weights or without. */
static tp_tensor by_tiles(tp_tensor q, tp_tensor k, double scale, double dropout,
                          const tp_attention_args *a, tp_loc at)
{
    struct ir_graph *g = q.g->ir;
    struct pass_attention t = { .q = tp_val(q),
                                .k = tp_val(k),
                                .v = tp_val(a->v),
                                .mask = tp_val(a->mask),
                                .causal = a->causal,
                                .scale = scale,
                                .window = a->window,
                                .dropout = dropout,
                                .loc = tp_place(q.g, at) };
    ir_val arg[5] = { t.q, t.k, t.v, t.mask };
    int args = t.mask.id ? 4 : 3;
    int64_t attr[5] = { t.causal, 0, t.window };
    uint32_t region;

    memcpy(&attr[1], &scale, sizeof scale);
    if (dropout > 0) {
        arg[args++] = t.counter = tp_stream(q.g, &t.stream, t.loc);
        memcpy(&attr[3], &dropout, sizeof dropout);
        attr[4] = t.stream;
    }
    region = ir_region_open(g, "tiled_attention", NULL, args, arg,
                            (struct ir_list){ dropout > 0 ? 5 : 3, attr }, t.loc);
    return tp_give(q.g, ir_region_close(g, region, pass_attention(g, &t)));
}

tp_tensor tp_attention_at(tp_tensor q, tp_tensor k, tp_attention_args a, tp_loc at)
{
    const tp_tensor v = a.v, all[] = { q, k, v, a.mask };
    int64_t attr[3] = { a.causal, 0, a.window };
    double scale;
    uint32_t region;
    tp_tensor y;
    ir_val sure;

    if (!tp_ready(q.g, at, "tp_attention", a.mask.g ? 4 : 3, all) ||
        !tp_floating(q, "tp_attention", at) || !fit(q, k, v, &a, at))
        return POISON(q.g);
    scale = a.scale != 0 ? a.scale : 1 / sqrt((double)tp_dim(q, -1));
    if (pass_attention_tiles(q.g->ir, tp_val(k))) {
        y = by_tiles(q, k, scale, 0, &a, at);
        if (a.dropout == 0 || !tp_tell(q.g))
            return y;
        sure = tp_val(y); /* what evaluation takes */
        region = ir_region_open(q.g->ir, "dropout", NULL, 1, &sure, (struct ir_list){ 0 },
                                tp_place(q.g, at));
        y = by_tiles(q, k, scale, a.dropout, &a, at);
    } else {
        memcpy(&attr[1], &scale, sizeof scale);
        region = ir_region_open(q.g->ir, "attention", NULL, a.mask.g ? 4 : 3,
                                (ir_val[]){ tp_val(q), tp_val(k), tp_val(v), tp_val(a.mask) },
                                (struct ir_list){ 3, attr }, tp_place(q.g, at));
        y = whole(q, k, scale, &a, at);
    }
    if (!tp_tell(q.g))
        return POISON(q.g);
    return tp_give(q.g, ir_region_close(q.g->ir, region, tp_val(y)));
}

/* --- the layer ---------------------------------------------------------------------------------
 */

/* [b t, heads * d] -> [b heads t d] */
static tp_tensor heads_of(tp_tensor x, int64_t heads, tp_loc at)
{
    const tp_shape wide = tp_dims(tp_dim(x, 0), tp_dim(x, 1), heads, tp_dim(x, 2) / heads);

    return tp_permute_at(tp_reshape_at(x, wide, at), tp_dims(0, 2, 1, 3), at);
}

/* Rows from..to of the weight that makes queries, keys and values. */
static tp_tensor projected(tp_tensor x, tp_tensor weight, tp_tensor bias, int64_t from,
                           int64_t rows, tp_loc at)
{
    tp_tensor y = tp_matmul_nt_at(
        x, rows == tp_dim(weight, 0) ? weight : tp_narrow_at(weight, 0, from, rows, at), at);

    if (!bias.g)
        return y;
    return tp_binary_at("add", y,
                        rows == tp_dim(bias, 0) ? bias : tp_narrow_at(bias, 0, from, rows, at), at);
}

tp_tensor tp_multi_head_attention_at(tp_tensor x, const char *name, tp_mha_args a, tp_loc at)
{
    const char *what = "tp_multi_head_attention";
    const tp_tensor both[] = { x, a.memory };
    tp_attention_args how = { .causal = a.causal, .mask = a.mask, .dropout = a.dropout };
    struct layer l;
    tp_tensor weight, bias = { .g = NULL }, part[3], y;
    int64_t d;

    if (!tp_layer_begin(&l, what, name, x, at) ||
        !tp_ready(x.g, at, what, a.memory.g ? 2 : 1, both))
        return POISON(x.g);
    d = tp_dim(x, -1);
    if (tp_rank(x) != 3 || !ir_dim_fixed(d) || a.heads < 1 || d % a.heads ||
        (a.memory.g && (tp_rank(a.memory) != 3 || tp_dim(a.memory, -1) != d)))
        return tp_fail(
            x.g, at, what,
            "\"%.60s\": input %s, %lld heads; expected [batch time width] and heads that "
            "divide the width, a memory of the same width",
            name, tp_describe(x), (long long)a.heads);
    weight = tp_layer_param(&l, "in_proj_weight", l.dtype, tp_dims(3 * d, d),
                            TP_UNIFORM(-sqrt(6.0 / (double)(4 * d)), sqrt(6.0 / (double)(4 * d))),
                            a.shared, a.frozen);
    if (!a.no_bias)
        bias = tp_layer_param(&l, "in_proj_bias", l.dtype, tp_dims(3 * d), TP_ZEROS, a.shared,
                              a.frozen);
    if (!tp_tell(x.g))
        return POISON(x.g);
    if (a.memory.g) {
        part[0] = projected(x, weight, bias, 0, d, at);
        y = projected(a.memory, weight, bias, d, 2 * d, at);
        part[1] = tp_narrow_at(y, -1, 0, d, at);
        part[2] = tp_narrow_at(y, -1, d, d, at);
    } else {
        y = projected(x, weight, bias, 0, 3 * d, at);
        for (int i = 0; i < 3; i++)
            part[i] = tp_narrow_at(y, -1, i * d, d, at);
    }
    for (int i = 0; i < 3; i++)
        part[i] = heads_of(part[i], a.heads, at);
    how.v = part[2];
    y = tp_permute_at(tp_attention_at(part[0], part[1], how, at), tp_dims(0, 2, 1, 3), at);
    y = tp_reshape_at(y, tp_shape_of(x), at);
    return tp_linear_at(
        y, ir_format(x.g->ir->arena, "%.150s.out_proj", name),
        (tp_linear_args){ .out = d, .no_bias = a.no_bias, .shared = a.shared, .frozen = a.frozen },
        at);
}

/* --- positions ---------------------------------------------------------------------------------
 */

/* [time, width / 2]: place i times base^(-2 j / width) */
static tp_tensor angles(tp_graph *g, tp_dtype dtype, int64_t time, int64_t half, double base,
                        double from, tp_loc at)
{
    const tp_tensor x[] = {
        tp_cast_at(tp_index_along(g, tp_dims(time, 1), 0, at), dtype, at),
        tp_cast_at(tp_index_along(g, tp_dims(1, half), 1, at), dtype, at),
    };

    return tp_maths("(a + q) * exp(b * p)", 2, x, 2, (double[]){ -log(base) / (double)half, from },
                    at);
}

tp_tensor tp_rotary_at(tp_tensor x, tp_rotary_args a, tp_loc at)
{
    const double base = a.base != 0 ? a.base : 10000;
    int64_t half;
    tp_tensor angle, sine, cosine, part[2], turned[2];
    tp_shape wide;

    if (!tp_ready(x.g, at, "tp_rotary", 1, &x) || !tp_floating(x, "tp_rotary", at))
        return POISON(x.g);
    half = tp_dim(x, -1) / 2;
    if (tp_rank(x) < 2 || tp_rank(x) == IR_RANK || !ir_dim_fixed(tp_dim(x, -1)) ||
        tp_dim(x, -1) % 2 || !(base > 0))
        return tp_fail(x.g, at, "tp_rotary", "%s, base %g; expected [.. time width], an even width",
                       tp_describe(x), base);
    angle = angles(x.g, tp_dtype_of(x), tp_dim(x, -2), half, base, a.from, at);
    sine = tp_unary_at("sin", angle, at);
    cosine = tp_unary_at("cos", angle, at);
    wide = tp_shape_of(x);
    if (a.interleaved) { /* pairs side by side: [.. half 2] */
        wide.dim[wide.rank - 1] = half;
        wide.dim[wide.rank++] = 2;
        for (int i = 0; i < 2; i++)
            part[i] = tp_index_at(tp_reshape_at(x, wide, at), -1, i, at);
    } else {
        for (int i = 0; i < 2; i++)
            part[i] = tp_narrow_at(x, -1, i * half, half, at);
    }
    turned[0] = tp_binary_at("sub", tp_binary_at("mul", part[0], cosine, at),
                             tp_binary_at("mul", part[1], sine, at), at);
    turned[1] = tp_binary_at("add", tp_binary_at("mul", part[1], cosine, at),
                             tp_binary_at("mul", part[0], sine, at), at);
    if (!a.interleaved)
        return tp_concat_at(-1, (tp_list){ 2, turned }, at);
    return tp_reshape_at(tp_stack_at(-1, (tp_list){ 2, turned }, at), tp_shape_of(x), at);
}

tp_tensor tp_positions_at(tp_graph *g, tp_dtype dtype, int64_t time, int64_t width, tp_loc at)
{
    tp_tensor angle, both[2];

    if (!tp_ready(g, at, "tp_positions", 0, NULL) || !tp_good_dtype(g, at, "tp_positions", dtype))
        return POISON(g);
    if (!ir_dim_fixed(width) || width % 2 || width < 2 || ir_dtypes[tp_ir_dtype(dtype)].kind != 'f')
        return tp_fail(g, at, "tp_positions", "width %lld; expected an even one, a floating type",
                       (long long)width);
    angle = angles(g, dtype, time, width / 2, 10000, 0, at);
    both[0] = tp_unary_at("sin", angle, at);
    both[1] = tp_unary_at("cos", angle, at);
    return tp_reshape_at(tp_stack_at(-1, (tp_list){ 2, both }, at), tp_dims(time, width), at);
}

tp_tensor tp_alibi_at(tp_graph *g, tp_dtype dtype, int64_t heads, int64_t queries, int64_t keys,
                      tp_loc at)
{
    const tp_shape shape = tp_dims(heads, queries, keys);
    tp_tensor x[3];

    if (!tp_ready(g, at, "tp_alibi", 0, NULL) || !tp_good_dtype(g, at, "tp_alibi", dtype))
        return POISON(g);
    if (!ir_dim_fixed(heads) || heads < 1 || ir_dtypes[tp_ir_dtype(dtype)].kind != 'f')
        return tp_fail(g, at, "tp_alibi", "%lld heads; expected 1 or more, a floating type",
                       (long long)heads);
    for (int i = 0; i < 3; i++)
        x[i] = tp_cast_at(tp_index_along(g, shape, i, at), dtype, at);
    return tp_maths("(c - b) * exp2((a + 1) * p)", 3, x, 1, (double[]){ -8 / (double)heads }, at);
}

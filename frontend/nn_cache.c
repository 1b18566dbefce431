/*
 * nn_cache: what attention needs to go on from a text that it has read: keys and values of before
 * in a state, and masks that say who sees whom.
 */
#include "frontend/frontend.h"

/* x [.. time width] goes into a state of `room` places from place `from` on; all of it comes back.
 * What lies behind has not been written yet: tp_causal_mask() hides it. */
tp_tensor tp_kv_cache_at(tp_tensor x, const char *name, int64_t room, tp_tensor from, tp_loc at)
{
    tp_tensor cache;
    tp_shape shape;

    if (!tp_ready(x.g, at, "tp_kv_cache", 1, &x))
        return POISON(x.g);
    shape = tp_shape_of(x);
    bool fixed = shape.rank >= 2;
    for (int i = 0; i < shape.rank; i++)
        fixed &= ir_dim_fixed(shape.dim[i]);
    if (!fixed || room < shape.dim[shape.rank - 2])
        return tp_fail(x.g, at, "tp_kv_cache",
                       "%s into %lld places; expected fixed extents [.. time width] that fit",
                       tp_describe(x), (long long)room);
    shape.dim[shape.rank - 2] = room;
    cache = tp_state_at(x.g, name, tp_dtype_of(x), shape, TP_ZEROS, at);
    if (!cache.id)
        return cache;
    tp_tensor now = tp_dynamic_update_at(cache, shape.rank - 2, from, x, at);
    tp_assign_at(cache, now, at);
    return now;
}

/* Truth [queries keys]: query i, which is at place from + i, sees keys up to its own place. */
tp_tensor tp_causal_mask_at(tp_graph *g, int64_t queries, int64_t keys, tp_tensor from, tp_loc at)
{
    const tp_shape shape = tp_dims(queries, keys);
    tp_tensor query;

    if (!tp_ready(g, at, "tp_causal_mask", 1, &from))
        return POISON(g);
    if (from.g && tp_rank(from) != 0)
        return tp_fail(g, at, "tp_causal_mask", "from %s; expected one integer", tp_describe(from));
    query = tp_index_along(g, shape, 0, at);
    query = tp_binary_at("add", query, from.g ? tp_cast_at(from, TP_I64, at) : from, at);
    return tp_binary_at("le", tp_index_along(g, shape, 1, at), query, at);
}

/*
 * movement_repeat: the same elements again, or in another order, as views: an axis of 1 that is
 * expanded and then read as part of its neighbour; two slices that change places.
 */
#include "frontend/frontend.h"

tp_tensor tp_tile_at(tp_tensor x, tp_shape times, tp_loc at)
{
    int rank;
    struct ir_shape wide = { 0 }, all = wide, final;
    struct ir_loc loc;

    if (!tp_ready(x.g, at, "tp_tile", 1, &x) || !tp_good_rank(x.g, at, "tp_tile", times))
        return POISON(x.g);
    rank = tp_rank(x) > times.rank ? tp_rank(x) : times.rank;
    final = (struct ir_shape){ .rank = rank };
    for (int i = 0; i < rank; i++) { /* [t0 d0 t1 d1 ..] is read as [t0 d0, t1 d1, ..] */
        const int d = i - (rank - tp_rank(x)), t = i - (rank - times.rank);
        const int64_t again = t < 0 ? 1 : times.dim[t], dim = d < 0 ? 1 : tp_dim(x, d);

        if (again < 0)
            return tp_fail(x.g, at, "tp_tile", "%lld times; expected 0 or more", (long long)again);
        if (again != 1) {
            all.dim[wide.rank] = again;
            wide.dim[wide.rank++] = 1;
        }
        if (wide.rank >= IR_RANK)
            return tp_fail(x.g, at, "tp_tile",
                           "%s: too many axes to repeat at once; expected at "
                           "most %d of its own and repeated",
                           tp_describe(x), IR_RANK);
        all.dim[wide.rank] = dim;
        wide.dim[wide.rank++] = dim;
        final.dim[i] = ir_dim_mul(x.g->ir, again, dim);
    }
    all.rank = wide.rank;
    loc = tp_place(x.g, at);
    return tp_give(
        x.g,
        ir_reshape(x.g->ir, ir_expand(x.g->ir, ir_reshape(x.g->ir, tp_val(x), wide, loc), all, loc),
                   final, loc));
}

tp_tensor tp_repeat_interleave_at(tp_tensor x, int64_t times, int axis, tp_loc at)
{
    int64_t a = axis, extent;
    tp_tensor wide;

    if (!tp_ready(x.g, at, "tp_repeat_interleave", 1, &x) ||
        !tp_axis(x, &a, tp_rank(x), "tp_repeat_interleave", at))
        return POISON(x.g);
    if (times < 0)
        return tp_fail(x.g, at, "tp_repeat_interleave", "%lld times; expected 0 or more",
                       (long long)times);
    extent = ir_dim_mul(x.g->ir, tp_dim(x, (int)a), times);
    wide = tp_unsqueeze_at(x, (int)a + 1, at);
    if (!wide.id)
        return wide;
    wide = tp_expand_at(wide, tp_with(wide, (int)a + 1, times), at);
    return wide.id ? tp_reshape_at(wide, tp_with(x, (int)a, extent), at) : wide;
}

tp_tensor tp_roll_at(tp_tensor x, int64_t shift, int axis, tp_loc at)
{
    int64_t a = axis, n, head;
    tp_tensor part[2];

    if (!tp_ready(x.g, at, "tp_roll", 1, &x) || !tp_axis(x, &a, tp_rank(x), "tp_roll", at))
        return POISON(x.g);
    n = tp_dim(x, (int)a);
    if (!ir_dim_fixed(n))
        return tp_fail(x.g, at, "tp_roll", "axis %d of %s; expected a known extent", (int)a,
                       tp_describe(x));
    head = n ? n - (shift % n + n) % n : 0;
    if (head == n)
        return x;
    part[0] = tp_narrow_at(x, (int)a, head, n - head, at);
    part[1] = tp_narrow_at(x, (int)a, 0, head, at);
    return tp_concat_at((int)a, (tp_list){ 2, part }, at);
}

tp_tensor tp_rot90_at(tp_tensor x, int times, int axis_a, int axis_b, tp_loc at)
{
    int64_t a = axis_a, b = axis_b;

    if (!tp_ready(x.g, at, "tp_rot90", 1, &x) || !tp_axis(x, &a, tp_rank(x), "tp_rot90", at) ||
        !tp_axis(x, &b, tp_rank(x), "tp_rot90", at))
        return POISON(x.g);
    if (a == b)
        return tp_fail(x.g, at, "tp_rot90", "axes %d and %d of %s; expected two", axis_a, axis_b,
                       tp_describe(x));
    switch ((times % 4 + 4) % 4) {
    case 1:
        return tp_transpose_at(tp_flip_at(x, tp_dims(b), at), (int)a, (int)b, at);
    case 2:
        return tp_flip_at(x, tp_dims(a, b), at);
    case 3:
        return tp_flip_at(tp_transpose_at(x, (int)a, (int)b, at), tp_dims(b), at);
    default:
        return x;
    }
}

/* --- channels and pixels: [.. c h w] -----------------------------------------------------------
 */

/* The last three axes, with all before as one; symbolic there. */
static bool image(tp_tensor x, const char *what, int64_t *c, int64_t *h, int64_t *w, tp_loc at)
{
    if (!tp_ready(x.g, at, what, 1, &x))
        return false;
    *c = tp_dim(x, -3);
    *h = tp_dim(x, -2);
    *w = tp_dim(x, -1);
    if (tp_rank(x) >= 3 && tp_rank(x) <= 5 && ir_dim_fixed(*c) && ir_dim_fixed(*h) &&
        ir_dim_fixed(*w))
        return true;
    tp_fail(x.g, at, what, "%s; expected [.. channels height width] of known extents",
            tp_describe(x));
    return false;
}

/* x as [.. six axes] permuted within the six, and as [.. three axes] again */
static tp_tensor shuffled(tp_tensor x, int inside, const int64_t *dims, const int64_t *order,
                          const int64_t *final, tp_loc at)
{
    const int lead = tp_rank(x) - 3;
    tp_shape wide = tp_shape_of(x), axes = { 0 }, to = wide;

    wide.rank = axes.rank = lead + inside;
    for (int i = 0; i < lead; i++)
        axes.dim[i] = i;
    for (int i = 0; i < inside; i++) {
        wide.dim[lead + i] = dims[i];
        axes.dim[lead + i] = lead + order[i];
    }
    for (int i = 0; i < 3; i++)
        to.dim[lead + i] = final[i];
    return tp_reshape_at(tp_permute_at(tp_reshape_at(x, wide, at), axes, at), to, at);
}

tp_tensor tp_pixel_shuffle_at(tp_tensor x, int64_t r, tp_loc at)
{
    int64_t c, h, w;

    if (!image(x, "tp_pixel_shuffle", &c, &h, &w, at))
        return POISON(x.g);
    if (r < 1 || r > 1 << 20 || c % (r * r))
        return tp_fail(x.g, at, "tp_pixel_shuffle",
                       "%s by %lld; expected its square to divide the "
                       "channels",
                       tp_describe(x), (long long)r);
    return shuffled(x, 5, (int64_t[]){ c / (r * r), r, r, h, w }, (int64_t[]){ 0, 3, 1, 4, 2 },
                    (int64_t[]){ c / (r * r), h * r, w * r }, at);
}

tp_tensor tp_pixel_unshuffle_at(tp_tensor x, int64_t r, tp_loc at)
{
    int64_t c, h, w;

    if (!image(x, "tp_pixel_unshuffle", &c, &h, &w, at))
        return POISON(x.g);
    if (r < 1 || r > 1 << 20 || h % r || w % r)
        return tp_fail(x.g, at, "tp_pixel_unshuffle",
                       "%s by %lld; expected it to divide height and "
                       "width",
                       tp_describe(x), (long long)r);
    return shuffled(x, 5, (int64_t[]){ c, h / r, r, w / r, r }, (int64_t[]){ 0, 2, 4, 1, 3 },
                    (int64_t[]){ c * r * r, h / r, w / r }, at);
}

tp_tensor tp_channel_shuffle_at(tp_tensor x, int64_t groups, tp_loc at)
{
    int64_t c, h, w;

    if (!image(x, "tp_channel_shuffle", &c, &h, &w, at))
        return POISON(x.g);
    if (groups < 1 || c % groups)
        return tp_fail(x.g, at, "tp_channel_shuffle",
                       "%s in %lld groups; expected that they divide "
                       "the channels",
                       tp_describe(x), (long long)groups);
    return shuffled(x, 4, (int64_t[]){ groups, c / groups, h, w }, (int64_t[]){ 1, 0, 2, 3 },
                    (int64_t[]){ c, h, w }, at);
}

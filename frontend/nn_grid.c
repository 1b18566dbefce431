/*
 * nn_grid: pictures read at places that a grid gives (spatial transformers, arXiv:1506.02025).
 * Places run from -1 to 1 over a picture; a place between pixels is a mean of four of them, by
 * nearness. Gradients reach the picture and the grid.
 */
#include <string.h>

#include "frontend/frontend.h"

/* The places of n pixels: their middles, or with corners on the ends -1 and 1. */
static tp_tensor places(tp_graph *g, tp_dtype dtype, int64_t n, bool corners, tp_loc at)
{
    tp_tensor i = tp_arange_at(g, dtype, n, at);

    return corners ? tp_maths1("a * p - 1", i, at, n > 1 ? 2 / (double)(n - 1) : 0)
                   : tp_maths1("(a * 2 + 1) * p - 1", i, at, 1 / (double)n);
}

/* theta [n 2 3] -> [n h w 2], x before y */
tp_tensor tp_affine_grid_at(tp_tensor theta, int64_t height, int64_t width, bool corners, tp_loc at)
{
    const tp_shape shape = tp_dims(height, width);
    tp_tensor part[3], grid;

    if (!tp_ready(theta.g, at, "tp_affine_grid", 1, &theta) ||
        !tp_floating(theta, "tp_affine_grid", at))
        return POISON(theta.g);
    if (tp_rank(theta) != 3 || tp_dim(theta, 1) != 2 || tp_dim(theta, 2) != 3 || height < 1 ||
        width < 1)
        return tp_fail(theta.g, at, "tp_affine_grid",
                       "%s to %lld by %lld; expected [n 2 3] and extents of 1 or more",
                       tp_describe(theta), (long long)height, (long long)width);
    const tp_dtype dtype = tp_dtype_of(theta);
    part[0] =
        tp_expand_at(tp_along(places(theta.g, dtype, width, corners, at), 1, 2, at), shape, at);
    part[1] =
        tp_expand_at(tp_along(places(theta.g, dtype, height, corners, at), 0, 2, at), shape, at);
    part[2] = tp_full_at(theta.g, dtype, shape, 1, at);
    grid = tp_stack_at(2, (tp_list){ 3, part }, at);
    return tp_dot_at("hwk,nok->nhwo", grid, theta, at);
}

/* A place as a pixel's index, brought inside where the padding says so. */
static tp_tensor pixel(tp_tensor place, int64_t n, const char *padding, bool corners, tp_loc at)
{
    const double last = (double)n - 1, low = corners ? 0 : -0.5,
                 span = corners ? last : (double)n; /* from border to border */
    tp_tensor i = corners ? tp_maths1("(a + 1) * p", place, at, last / 2)
                          : tp_maths1("((a + 1) * p - 1) * 0.5", place, at, (double)n);

    if (*padding == 'r' && n > 0) { /* to and fro between the borders */
        i = tp_unary_at("abs", tp_maths1("a - p", i, at, low), at);
        i = span > 0 ? tp_maths1("select(mod(floor(a / q), 2) == 0, a - floor(a / q) * q, "
                                 "q - (a - floor(a / q) * q)) + p",
                                 i, at, low, span)
                     : tp_maths1("a * 0", i, at, 0);
    }
    return *padding == 'z' ? i : tp_maths1("min(max(a, p), q)", i, at, 0, last);
}

struct grid {
    tp_tensor x;     /* [n c h*w] */
    tp_tensor at[2]; /* column and row, [n h' w'], whole numbers */
    int64_t width, height;
    tp_shape to; /* [n c h' w'] */
};

/* The pixels at whole places, 0 outside. */
static tp_tensor read(const struct grid *g, tp_tensor column, tp_tensor row, tp_loc at)
{
    const tp_tensor both[] = { column, row };
    const tp_tensor inside =
        tp_maths("(a >= 0) & (a <= p) & (b >= 0) & (b <= q)", 2, both, 2,
                 (double[]){ (double)g->width - 1, (double)g->height - 1 }, at);
    tp_tensor flat = tp_maths(
                  "min(max(b, 0), q) * r + min(max(a, 0), p)", 2, both, 3,
                  (double[]){ (double)g->width - 1, (double)g->height - 1, (double)g->width }, at),
              y;
    tp_shape one = g->to, rows = g->to;

    one.dim[1] = 1;
    rows.rank = 3;
    rows.dim[2] = rows.dim[2] * rows.dim[3];
    flat = tp_reshape_at(tp_cast_at(flat, TP_I64, at), one, at);
    flat = tp_reshape_at(tp_expand_at(flat, g->to, at), rows, at);
    y = tp_reshape_at(tp_gather_at(g->x, 2, flat, at), g->to, at);
    return tp_where_at(tp_expand_at(tp_reshape_at(inside, one, at), g->to, at), y, tp_as_number(0),
                       at);
}

tp_tensor tp_grid_sample_at(tp_tensor x, tp_tensor grid, tp_grid_args a, tp_loc at)
{
    const char *mode = a.mode ? a.mode : "bilinear", *padding = a.padding ? a.padding : "zeros";
    const tp_tensor both[] = { x, grid };
    struct grid g;
    tp_tensor whole[2], off[2], sum = { 0 };

    if (!tp_ready(x.g, at, "tp_grid_sample", 2, both) || !tp_floating(x, "tp_grid_sample", at))
        return POISON(x.g);
    if (tp_rank(x) != 4 || !grid.g || tp_rank(grid) != 4 || tp_dim(grid, 3) != 2 ||
        tp_dim(grid, 0) != tp_dim(x, 0) || tp_dtype_of(x) != tp_dtype_of(grid) ||
        !ir_dim_fixed(tp_dim(x, 2)) || !ir_dim_fixed(tp_dim(x, 3)) || tp_dim(x, 2) < 1 ||
        tp_dim(x, 3) < 1 || !ir_dim_fixed(tp_dim(grid, 1)) || !ir_dim_fixed(tp_dim(grid, 2)))
        return tp_fail(x.g, at, "tp_grid_sample",
                       "%s at %s; expected [n channels h w] and [n h' w' 2] of one type",
                       tp_describe(x), grid.g ? tp_describe(grid) : "a number");
    if ((strcmp(mode, "bilinear") != 0 && strcmp(mode, "nearest") != 0) ||
        (strcmp(padding, "zeros") != 0 && strcmp(padding, "border") != 0 &&
         strcmp(padding, "reflection") != 0))
        return tp_fail(x.g, at, "tp_grid_sample",
                       "\"%.20s\", \"%.20s\"; expected bilinear or nearest, zeros, border or "
                       "reflection",
                       mode, padding);
    g.height = tp_dim(x, 2);
    g.width = tp_dim(x, 3);
    g.to = tp_dims(tp_dim(x, 0), tp_dim(x, 1), tp_dim(grid, 1), tp_dim(grid, 2));
    g.x = tp_flatten_at(x, (tp_flatten_args){ .from = 2 }, at);
    for (int i = 0; i < 2; i++) {
        g.at[i] =
            pixel(tp_index_at(grid, 3, i, at), i ? g.height : g.width, padding, a.corners, at);
        whole[i] = tp_unary_at(*mode == 'n' ? "round" : "floor", g.at[i], at);
        off[i] = tp_unsqueeze_at(tp_binary_at("sub", g.at[i], whole[i], at), 1, at);
    }
    if (*mode == 'n')
        return read(&g, whole[0], whole[1], at);
    for (int i = 0; i < 4; i++) { /* the corners of the square that the place lies in */
        const tp_tensor part[3] = { off[0], off[1],
                                    read(&g, tp_binary_at("add", whole[0], tp_as_number(i & 1), at),
                                         tp_binary_at("add", whole[1], tp_as_number(i >> 1), at),
                                         at) };
        const char *const share[] = { "(1 - a) * (1 - b) * c", "a * (1 - b) * c", "(1 - a) * b * c",
                                      "a * b * c" };
        tp_tensor y = tp_maths(share[i], 3, part, 0, NULL, at);
        sum = i ? tp_binary_at("add", sum, y, at) : y;
    }
    return sum;
}

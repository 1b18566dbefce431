/*
 * export_node: one node of ours as one or a few of theirs. Most are a row of table.c, read
 * backwards; here is what table.c cannot say.
 */
#include "frontend/onnx/export.h"

#include <math.h>
#include <string.h>

/* --- maths -------------------------------------------------------------------------------------
 */

static const char *number(struct onnx_writer *w, const struct ir_node *n, double value)
{
    return onnx_a_number(w, n->dtype, value);
}

static const char *put_rsqrt(struct onnx_writer *w, const struct ir_node *n)
{
    return onnx_says(w, "Reciprocal", onnx_says(w, "Sqrt", onnx_named(w, n, 0)));
}

static const char *put_exp2(struct onnx_writer *w, const struct ir_node *n)
{
    return onnx_says(w, "Pow", number(w, n, 2), onnx_named(w, n, 0));
}

/* 2 sinh(a / 2) exp(a / 2): right where exp(a) - 1 is rounded away */
static const char *put_expm1(struct onnx_writer *w, const struct ir_node *n)
{
    const char *half = onnx_says(w, "Mul", onnx_named(w, n, 0), number(w, n, 0.5));
    const char *both = onnx_says(w, "Mul", onnx_says(w, "Sinh", half), onnx_says(w, "Exp", half));

    return onnx_says(w, "Mul", both, number(w, n, 2));
}

/* 2 atanh(a / (a + 2)) near 0 */
static const char *put_log1p(struct onnx_writer *w, const struct ir_node *n)
{
    const char *a = onnx_named(w, n, 0), *near, *part;

    near = onnx_says(w, "Less", onnx_says(w, "Abs", a), number(w, n, 0.5));
    part = onnx_says(w, "Div", a, onnx_says(w, "Add", a, number(w, n, 2)));
    part = onnx_says(w, "Mul", onnx_says(w, "Atanh", part), number(w, n, 2));
    return onnx_says(w, "Where", near, part,
                     onnx_says(w, "Log", onnx_says(w, "Add", a, number(w, n, 1))));
}

static const char *put_erfc(struct onnx_writer *w, const struct ir_node *n)
{
    return onnx_says(w, "Sub", number(w, n, 1), onnx_says(w, "Erf", onnx_named(w, n, 0)));
}

static const char *put_trunc(struct onnx_writer *w, const struct ir_node *n)
{
    const char *a = onnx_named(w, n, 0);

    return onnx_says(w, "Mul", onnx_says(w, "Sign", a),
                     onnx_says(w, "Floor", onnx_says(w, "Abs", a)));
}

static const char *put_ne(struct onnx_writer *w, const struct ir_node *n)
{
    return onnx_says(w, "Not", onnx_says(w, "Equal", onnx_named(w, n, 0), onnx_named(w, n, 1)));
}

static const char *put_rem(struct onnx_writer *w, const struct ir_node *n)
{
    const char *y = onnx_says(w, "Mod", onnx_named(w, n, 0), onnx_named(w, n, 1));

    if (y)
        onnx_with_int(w, "fmod", 1);
    return y;
}

/* The sign of b: theirs of floating types has that of a. */
static const char *put_mod(struct onnx_writer *w, const struct ir_node *n)
{
    const char *a = onnx_named(w, n, 0), *b = onnx_named(w, n, 1), *r, *zero, *other;

    if (ir_dtypes[n->dtype].kind != 'f')
        return onnx_says(w, "Mod", a, b);
    r = put_rem(w, n);
    zero = number(w, n, 0);
    other = onnx_says(w, "Less", onnx_says(w, "Mul", r, b), zero);
    return onnx_says(w, "Where", other, onnx_says(w, "Add", r, b), r);
}

static const char *put_shift(struct onnx_writer *w, const struct ir_node *n)
{
    const char *y;

    if (ir_dtypes[n->dtype].kind != 'u')
        return onnx_cannot(w, "of signed integers; ONNX shifts those without a sign");
    y = onnx_says(w, "BitShift", onnx_named(w, n, 0), onnx_named(w, n, 1));
    if (y)
        onnx_with_word(w, "direction", n->op == IR_shl ? "LEFT" : "RIGHT");
    return y;
}

static const char *put_cast(struct onnx_writer *w, const struct ir_node *n)
{
    return onnx_cast_to(w, onnx_named(w, n, 0), n->dtype);
}

static const char *put_select(struct onnx_writer *w, const struct ir_node *n)
{
    return onnx_says(w, "Where", onnx_named(w, n, 0), onnx_named(w, n, 1), onnx_named(w, n, 2));
}

static const char *put_same(struct onnx_writer *w, const struct ir_node *n)
{
    return onnx_named(w, n, 0);
}

/* --- sources -----------------------------------------------------------------------------------
 */

static const char *put_const(struct onnx_writer *w, const struct ir_node *n)
{
    double value;

    if (ir_dtypes[n->dtype].kind != 'f')
        return onnx_an_integer(w, n->dtype, n->attr[0].at[0]);
    memcpy(&value, &n->attr[0].at[0], sizeof value);
    return onnx_a_number(w, n->dtype, value);
}

static const char *whole(struct onnx_writer *w, const char *one) /* i64[1] as a scalar */
{
    return onnx_says(w, "Squeeze", one);
}

static const char *put_size(struct onnx_writer *w, const struct ir_node *n)
{
    const char *x = whole(w, onnx_extents(w, 1, n->attr[0].at));

    return n->dtype == IR_I64 ? x : onnx_cast_to(w, x, n->dtype);
}

static const char *put_iota(struct onnx_writer *w, const struct ir_node *n)
{
    const int64_t axis = n->attr[0].at[0];
    struct ir_shape along = { .rank = n->shape.rank };
    const char *x =
        onnx_says(w, "Range", onnx_an_integer(w, IR_I64, 0),
                  whole(w, onnx_extents(w, 1, &n->shape.dim[axis])), onnx_an_integer(w, IR_I64, 1));

    if (n->dtype != IR_I64)
        x = onnx_cast_to(w, x, n->dtype);
    if (n->shape.rank == 1)
        return x;
    for (int i = 0; i < along.rank; i++)
        along.dim[i] = i == axis ? n->shape.dim[i] : 1;
    x = onnx_shaped(w, x, &along);
    return onnx_says(w, "Expand", x, onnx_extents(w, n->shape.rank, n->shape.dim));
}

/* --- moves -------------------------------------------------------------------------------------
 */

static const char *put_reshape(struct onnx_writer *w, const struct ir_node *n)
{
    return onnx_shaped(w, onnx_named(w, n, 0), &n->shape);
}

static const char *put_permute(struct onnx_writer *w, const struct ir_node *n)
{
    const char *y = onnx_says(w, "Transpose", onnx_named(w, n, 0));

    if (y)
        onnx_with_ints(w, "perm", n->attr[0].count, n->attr[0].at);
    return y;
}

static const char *put_expand(struct onnx_writer *w, const struct ir_node *n)
{
    return onnx_says(w, "Expand", onnx_named(w, n, 0),
                     onnx_extents(w, n->shape.rank, n->shape.dim));
}

/* Of the axes that are cut; an end that is the axis's own is as far as it goes. */
static const char *put_slice(struct onnx_writer *w, const struct ir_node *n)
{
    const struct ir_shape *from = &w->g->nodes[n->args[0].id].shape;
    const int64_t *start = n->attr[0].at, *stop = n->attr[1].at, *step = n->attr[2].at;
    int64_t first[IR_RANK], last[IR_RANK], steps[IR_RANK], axes[IR_RANK];
    int count = 0;
    bool known = true;

    for (int i = 0; i < from->rank; i++) {
        if (start[i] == 0 && stop[i] == from->dim[i] && step[i] == 1)
            continue;
        first[count] = start[i];
        last[count] = stop[i] == from->dim[i] ? INT64_MAX : stop[i];
        known &= ir_dim_fixed(start[i]) && ir_dim_fixed(last[count]);
        steps[count] = step[i];
        axes[count++] = i;
    }
    if (count == 0)
        return onnx_named(w, n, 0);
    return onnx_says(w, "Slice", onnx_named(w, n, 0),
                     known ? onnx_a_list(w, count, first) : onnx_extents(w, count, first),
                     known ? onnx_a_list(w, count, last) : onnx_extents(w, count, last),
                     onnx_a_list(w, count, axes), onnx_a_list(w, count, steps));
}

static const char *put_pad(struct onnx_writer *w, const struct ir_node *n)
{
    const int rank = n->shape.rank;
    int64_t pads[2 * IR_RANK];

    for (int i = 0; i < rank; i++) {
        pads[i] = n->attr[0].at[i];
        pads[rank + i] = n->attr[1].at[i];
        if (!ir_dim_fixed(pads[i]) || !ir_dim_fixed(pads[rank + i]))
            return onnx_cannot(w, "by an extent that is not fixed");
    }
    return onnx_says(w, "Pad", onnx_named(w, n, 0), onnx_a_list(w, 2 * rank, pads),
                     onnx_named(w, n, 1));
}

static const char *put_flip(struct onnx_writer *w, const struct ir_node *n)
{
    int64_t start[IR_RANK], stop[IR_RANK], step[IR_RANK];

    for (int i = 0; i < n->attr[0].count; i++) {
        start[i] = step[i] = -1;
        stop[i] = INT64_MIN + 1;
    }
    return onnx_says(w, "Slice", onnx_named(w, n, 0), onnx_a_list(w, n->attr[0].count, start),
                     onnx_a_list(w, n->attr[0].count, stop),
                     onnx_a_list(w, n->attr[0].count, n->attr[0].at),
                     onnx_a_list(w, n->attr[0].count, step));
}

static const char *put_concat(struct onnx_writer *w, const struct ir_node *n)
{
    const char **part = ir_alloc(w->arena, (size_t)n->arity * sizeof *part), *y;

    for (int i = 0; i < n->arity; i++)
        part[i] = onnx_named(w, n, i);
    y = onnx_say(w, "Concat", n->arity, part);
    if (y)
        onnx_with_int(w, "axis", n->attr[0].at[0]);
    return y;
}

/* --- picks -------------------------------------------------------------------------------------
 */

static const char *indices(struct onnx_writer *w, const struct ir_node *n, int i)
{
    const enum ir_dtype dtype = w->g->nodes[n->args[i].id].dtype;
    const char *x = onnx_named(w, n, i);

    return dtype == IR_I32 || dtype == IR_I64 ? x : onnx_cast_to(w, x, IR_I64);
}

static const char *put_take(struct onnx_writer *w, const struct ir_node *n)
{
    const char *y = onnx_says(w, n->op == IR_take ? "Gather" : "GatherElements",
                              onnx_named(w, n, 0), indices(w, n, 1));

    if (y)
        onnx_with_int(w, "axis", n->attr[0].at[0]);
    return y;
}

static const char *scattered(struct onnx_writer *w, const struct ir_node *n, const char *into,
                             const char *at, const char *what, const char *how)
{
    const char *y = onnx_says(w, "ScatterElements", into, at, what);

    if (y) {
        onnx_with_int(w, "axis", n->attr[0].at[0]);
        onnx_with_word(w, "reduction", how);
    }
    return y;
}

static const char *filled(struct onnx_writer *w, const struct ir_node *n, int64_t with)
{
    return onnx_says(w, "Expand", onnx_an_integer(w, n->dtype, with),
                     onnx_extents(w, n->shape.rank, n->shape.dim));
}

static const char *put_scatter_add(struct onnx_writer *w, const struct ir_node *n)
{
    return scattered(w, n, filled(w, n, 0), indices(w, n, 1), onnx_named(w, n, 0), "add");
}

/* The axes of the indices as one, and an index for each element. */
static const char *put_put_add(struct onnx_writer *w, const struct ir_node *n)
{
    const struct ir_node *a = &w->g->nodes[n->args[0].id], *b = &w->g->nodes[n->args[1].id];
    const int axis = (int)n->attr[0].at[0];
    struct ir_shape flat = { .rank = n->shape.rank }, along = { .rank = n->shape.rank };
    const char *what, *at;
    int64_t count = 1;

    for (int i = 0; i < b->shape.rank; i++) {
        if (!ir_dim_fixed(b->shape.dim[i]))
            count = -1;
        count = count < 0 ? -1 : count * b->shape.dim[i];
    }
    if (count < 0 && b->shape.rank > 1)
        return onnx_cannot(w, "by indices of several axes whose extents are not fixed");
    count = count < 0 ? b->shape.dim[0] : count;
    for (int i = 0; i < flat.rank; i++) {
        flat.dim[i] = i < axis    ? a->shape.dim[i]
                      : i == axis ? count
                                  : a->shape.dim[i + b->shape.rank - 1];
        along.dim[i] = i == axis ? count : 1;
    }
    what = onnx_shaped(w, onnx_named(w, n, 0), &flat);
    at = onnx_shaped(w, indices(w, n, 1), &along);
    at = onnx_says(w, "Expand", at, onnx_extents(w, flat.rank, flat.dim));
    return scattered(w, n, filled(w, n, 0), at, what, "add");
}

/* The greatest of the places that name it. */
static const char *put_scatter_last(struct onnx_writer *w, const struct ir_node *n)
{
    const struct ir_node *a = &w->g->nodes[n->args[0].id];
    struct ir_node places = { .op = IR_iota, .dtype = IR_I64, .shape = a->shape };

    places.attr[0] = n->attr[0];
    return scattered(w, n, filled(w, n, -1), indices(w, n, 0), put_iota(w, &places), "max");
}

/* --- reductions and orders -----------------------------------------------------------------------
 */

/* Of truth values by integers: theirs have no reductions of the former that everyone knows. */
static const char *put_all(struct onnx_writer *w, const struct ir_node *n)
{
    const char *x = onnx_cast_to(w, onnx_named(w, n, 0), IR_I32);

    x = onnx_says(w, n->op == IR_all ? "ReduceMin" : "ReduceMax", x,
                  onnx_a_list(w, n->attr[0].count, n->attr[0].at));
    if (!x)
        return NULL;
    onnx_with_int(w, "keepdims", 0);
    return onnx_cast_to(w, x, IR_BOOL);
}

static const char *put_arg(struct onnx_writer *w, const struct ir_node *n)
{
    const struct ir_shape flat = { .rank = 1, .dim = { -1 } };
    const char *x = onnx_named(w, n, 0);

    if (n->attr[0].count == 0 && w->g->nodes[n->args[0].id].shape.rank != 1)
        x = onnx_says(w, "Reshape", x, onnx_a_list(w, 1, flat.dim));
    x = onnx_says(w, tp_onnx_name_of(ir_ops[n->op].name, n->dtype), x);
    if (!x)
        return NULL;
    onnx_with_int(w, "axis", n->attr[0].count ? n->attr[0].at[0] : 0);
    onnx_with_int(w, "keepdims", 0);
    return x;
}

static const char *put_cumsum(struct onnx_writer *w, const struct ir_node *n)
{
    return onnx_says(w, "CumSum", onnx_named(w, n, 0),
                     onnx_an_integer(w, IR_I64, n->attr[0].at[0]));
}

static const char *put_argsort(struct onnx_writer *w, const struct ir_node *n)
{
    const int64_t axis = n->attr[0].at[0];
    const bool descending = n->attr[1].count && n->attr[1].at[0];

    if (!onnx_says(w, "TopK", onnx_named(w, n, 0), onnx_extents(w, 1, &n->shape.dim[axis])))
        return NULL;
    onnx_with_int(w, "axis", axis);
    onnx_with_int(w, "largest", descending);
    return onnx_more_output(w, onnx_last(w));
}

/* --- products and windows ------------------------------------------------------------------------
 */

/* "abmk,abkn->abmn", with b transposed or not: letters of the batch first, in one order. */
static bool is_matmul(const char *letters, bool *transposed)
{
    const char *comma = strchr(letters, ','), *arrow = strstr(letters, "->");
    const int a = (int)(comma - letters), b = (int)(arrow - comma - 1);
    const char *y = arrow + 2, *x = comma + 1;

    if (a < 2 || (int)strlen(y) != a || (b != a && b != 2) || strncmp(letters, y, (size_t)a - 1))
        return false;
    if (b == a && strncmp(letters, x, (size_t)a - 2) != 0)
        return false;
    x += b - 2;
    *transposed = x[0] == y[a - 1];
    return x[*transposed] == letters[a - 1] && x[!*transposed] == y[a - 1] &&
           letters[a - 1] != y[a - 1];
}

static const char *put_dot(struct onnx_writer *w, const struct ir_node *n)
{
    const char *a = onnx_named(w, n, 0), *b = onnx_named(w, n, 1), *y;
    const int rank = w->g->nodes[n->args[1].id].shape.rank;
    bool transposed;

    if (is_matmul(n->text, &transposed)) {
        int64_t axes[IR_RANK];
        for (int i = 0; i < rank; i++)
            axes[i] = i;
        if (transposed) {
            axes[rank - 2] = rank - 1;
            axes[rank - 1] = rank - 2;
            b = onnx_says(w, "Transpose", b);
            if (b)
                onnx_with_ints(w, "perm", rank, axes);
        }
        return onnx_says(w, "MatMul", a, b);
    }
    y = onnx_says(w, "Einsum", a, b);
    if (y)
        onnx_with_word(w, "equation", n->text);
    return y;
}

static const char *put_conv(struct onnx_writer *w, const struct ir_node *n)
{
    return onnx_put_phrase(
        w, &(struct onnx_phrase){
               .op = "Conv", .n = 2, .in = { n->args[0], n->args[1] }, .window = n });
}

/* The extents say how much is left over at the high end. */
static const char *put_conv_input(struct onnx_writer *w, const struct ir_node *n)
{
    const struct ir_shape *y = &w->g->nodes[n->args[0].id].shape,
                          *k = &w->g->nodes[n->args[1].id].shape;
    const int axes = n->shape.rank - 2;
    int64_t more[3];
    const char *x;

    for (int i = 0; i < axes; i++) {
        const int64_t stride = n->attr[0].at[i];
        more[i] = n->shape.dim[2 + i] -
                  (stride * (y->dim[2 + i] - 1) + (k->dim[2 + i] - 1) * n->attr[2].at[i] + 1 -
                   n->attr[1].at[2 * i] - n->attr[1].at[2 * i + 1]);
        if (!ir_dim_fixed(n->shape.dim[2 + i]) || !ir_dim_fixed(y->dim[2 + i]) || more[i] < 0 ||
            more[i] >= stride)
            return onnx_cannot(w, "of extents that ONNX's has not");
    }
    x = onnx_says(w, "ConvTranspose", onnx_named(w, n, 0), onnx_named(w, n, 1));
    if (!x)
        return NULL;
    onnx_with_window(w, n, n->attr[3].at[0]);
    onnx_with_ints(w, "output_padding", axes, more);
    return x;
}

/* Windows that may lie in the padding altogether are not theirs: a Pad before, and none in them. */
static const char *padded(struct onnx_writer *w, const char *x, struct ir_node *n)
{
    const int axes = n->attr[0].count, rank = 2 + axes;
    const struct ir_neutral neutral = ir_neutral(ir_step(n->op), n->dtype);
    const bool real = ir_dtypes[n->dtype].kind == 'f';
    int64_t pads[2 * IR_RANK] = { 0 }, *none = ir_alloc(w->arena, 2 * (size_t)axes * sizeof *none);

    for (int i = 0; i < axes; i++) {
        pads[2 + i] = n->attr[2].at[2 * i];
        pads[rank + 2 + i] = n->attr[2].at[2 * i + 1];
    }
    n->attr[2].at = none;
    return onnx_says(w, "Pad", x, onnx_a_list(w, 2 * rank, pads),
                     real ? onnx_a_number(w, n->dtype, neutral.number)
                          : onnx_an_integer(w, n->dtype, neutral.integer));
}

/* Theirs have a batch and channels before the axes of the window. */
static const char *windowed(struct onnx_writer *w, const struct ir_node *n, const char *op)
{
    const struct ir_shape *from = &w->g->nodes[n->args[0].id].shape;
    const int axes = n->attr[0].count, lead = from->rank - axes;
    struct ir_shape in = { .rank = 2 + axes, .dim = { 1, 1 } };
    struct ir_node plain = *n;
    const char *x = onnx_named(w, n, 0);

    if (axes > 3)
        return onnx_cannot(w, "over %d axes; ONNX has 1 to 3", axes);
    if (lead != 2) {
        int64_t fixed = 1;
        for (int i = 0; i < lead; i++)
            fixed = ir_dim_fixed(from->dim[i]) && fixed >= 0 ? fixed * from->dim[i] : -1;
        in.dim[0] = fixed; /* -1: what is left */
        memcpy(in.dim + 2, from->dim + lead, (size_t)axes * sizeof *in.dim);
        x = onnx_says(w, "Reshape", x, onnx_a_list(w, in.rank, in.dim));
    }
    if (onnx_padded_away(n))
        x = padded(w, x, &plain);
    x = onnx_says(w, op, x);
    if (!x)
        return NULL;
    onnx_with_window(w, &plain, 0);
    if (strcmp(op, "AveragePool") == 0)
        onnx_with_int(w, "count_include_pad", 1);
    return lead == 2 ? x : onnx_shaped(w, x, &n->shape);
}

static const char *put_window_max(struct onnx_writer *w, const struct ir_node *n)
{
    return windowed(w, n, "MaxPool");
}

static const char *put_window_sum(struct onnx_writer *w, const struct ir_node *n)
{
    const char *x = windowed(w, n, "AveragePool");
    double taps = 1;

    for (int i = 0; i < n->attr[0].count; i++)
        taps *= (double)n->attr[0].at[i];
    return onnx_says(w, "Mul", x, number(w, n, taps));
}

/* --- the table -----------------------------------------------------------------------------------
 */

static const struct {
    enum ir_op op;
    const char *(*put)(struct onnx_writer *w, const struct ir_node *n);
} ways[] = {
    { IR_rsqrt, put_rsqrt },
    { IR_exp2, put_exp2 },
    { IR_expm1, put_expm1 },
    { IR_log1p, put_log1p },
    { IR_erfc, put_erfc },
    { IR_trunc, put_trunc },
    { IR_ne, put_ne },
    { IR_rem, put_rem },
    { IR_mod, put_mod },
    { IR_shl, put_shift },
    { IR_shr, put_shift },
    { IR_cast, put_cast },
    { IR_select, put_select },
    { IR_stop_gradient, put_same },
    { IR_const, put_const },
    { IR_size, put_size },
    { IR_iota, put_iota },
    { IR_reshape, put_reshape },
    { IR_permute, put_permute },
    { IR_expand, put_expand },
    { IR_slice, put_slice },
    { IR_pad, put_pad },
    { IR_flip, put_flip },
    { IR_concat, put_concat },
    { IR_take, put_take },
    { IR_gather, put_take },
    { IR_scatter_add, put_scatter_add },
    { IR_put_add, put_put_add },
    { IR_scatter_last, put_scatter_last },
    { IR_all, put_all },
    { IR_any, put_all },
    { IR_argmax, put_arg },
    { IR_argmin, put_arg },
    { IR_cumsum, put_cumsum },
    { IR_argsort, put_argsort },
    { IR_dot, put_dot },
    { IR_conv, put_conv },
    { IR_conv_input, put_conv_input },
    { IR_window_max, put_window_max },
    { IR_window_sum, put_window_sum },
};

const char *onnx_spell(struct onnx_writer *w, const struct ir_node *n)
{
    const enum ir_dtype of = n->arity ? w->g->nodes[n->args[n->arity - 1].id].dtype : n->dtype;
    const char *op, *in[3];

    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++)
        if (ways[i].op == n->op)
            return ways[i].put(w, n);
    op = tp_onnx_name_of(ir_ops[n->op].name, of);
    if (!op)
        return onnx_cannot(w, "ONNX has no such operation on %s", ir_dtypes[of].name);
    if (ir_reduces(n->op)) {
        op = onnx_says(w, op, onnx_named(w, n, 0), onnx_a_list(w, n->attr[0].count, n->attr[0].at));
        if (op)
            onnx_with_int(w, "keepdims", 0);
        return op;
    }
    for (int i = 0; i < n->arity; i++)
        in[i] = onnx_named(w, n, i);
    return onnx_say(w, op, n->arity, in);
}

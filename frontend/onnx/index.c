/*
 * index: elements and slices that integers of the graph pick, or put elsewhere. An index below 0
 * counts from the end.
 */
#include "frontend/onnx/ops.h"

#include <string.h>

static bool integers(struct onnx_node *n, tp_tensor index)
{
    if (!index.id)
        return false;
    if (onnx_real(index) || onnx_type(index) == IR_BOOL)
        onnx_wrong(n, "indices %s; expected integers", tp_describe(index));
    return onnx_ok(n);
}

/* Indices that are known are checked: what would be out of range has no value. */
static tp_tensor indices(struct onnx_node *n, int input, int64_t extent)
{
    tp_tensor index = onnx_in(n, input);
    struct ir_array known;

    if (!integers(n, index))
        return POISON(n->g);
    if (ir_dim_fixed(extent) && onnx_is_known(n, input, &known)) {
        const int64_t count = ir_count(&known.shape);
        bool below = false;

        for (int64_t i = 0; i < count; i++) {
            wide at;
            ir_load_exact(&at, &known, NULL, i, 1);
            below |= at < 0;
            if (at < -extent || at >= extent)
                return onnx_wrong(n, "index %lld of an axis of %lld", (long long)at,
                                  (long long)extent);
        }
        if (!below)
            return index;
    }
    if (ir_dim_fixed(extent))
        return onnx_wrapped(n, onnx_cast(n, index, IR_I64), extent);
    return index;
}

void onnx_gather(struct onnx_node *n)
{
    int64_t axis = onnx_int(n, "axis", 0);
    const tp_tensor x = onnx_in(n, 0);
    tp_tensor index;

    if (!x.id || !onnx_axis(n, &axis, tp_rank(x)))
        return;
    index = indices(n, 1, tp_dim(x, (int)axis));
    if (index.id)
        n->out[0] = strcmp(n->row->detail, "take") == 0 ? tp_take_at(x, (int)axis, index, n->at)
                                                        : tp_gather_at(x, (int)axis, index, n->at);
}

/*
 * The rows [.. k] of `index` as one number each: the place in x's axes batch..batch+k-1, flat; with
 * batch axes also these. [all rows]
 */
static tp_tensor flat_index(struct onnx_node *n, tp_tensor x, tp_tensor index, int batch)
{
    const int rank = tp_rank(index);
    const int64_t k = tp_dim(index, rank - 1);
    struct onnx_ints last = { 1, &(int64_t){ rank - 1 } };
    int64_t extent[IR_RANK], stride[IR_RANK], size = 1;
    tp_tensor y, extents, strides;

    for (int i = (int)k - 1; i >= 0; i--) {
        extent[i] = tp_dim(x, batch + i);
        if (!ir_dim_fixed(extent[i]))
            return onnx_lacks(n, "%s; expected known extents", tp_describe(x));
        stride[i] = size;
        size *= extent[i];
    }
    extents = onnx_integers(n, (int)k, extent);
    strides = onnx_integers(n, (int)k, stride);
    y = tp_maths("select(a < 0, a + b, a) * c", 3,
                 (tp_tensor[]){ onnx_cast(n, index, IR_I64), extents, strides }, 0, NULL, n->at);
    y = onnx_reduce(n, IR_sum, y, &last, false);
    if (batch && y.id) {
        tp_shape rows = tp_shape_of(y);
        const int64_t batches = onnx_extent(x, 0, batch);
        tp_tensor which = tp_arange_at(n->g, TP_I64, batches, n->at);
        for (int i = batch; i < rows.rank; i++)
            rows.dim[i] = 1;
        which = tp_reshape_at(which, rows, n->at);
        y = tp_maths("a + p * b", 2, (tp_tensor[]){ y, which }, 1, (double[]){ (double)size },
                     n->at);
    }
    return y.id ? tp_reshape_at(y, tp_dims(-1), n->at) : y;
}

static bool good_nd(struct onnx_node *n, tp_tensor x, tp_tensor index, int batch)
{
    if (!x.id || !integers(n, index))
        return false;
    if (tp_rank(index) < 1 || batch < 0 || batch >= tp_rank(index) || batch >= tp_rank(x) ||
        !ir_dim_fixed(tp_dim(index, -1)) || tp_dim(index, -1) < 1 ||
        tp_dim(index, -1) > tp_rank(x) - batch)
        onnx_wrong(n, "indices %s of %s; expected rows of 1 to %d numbers", tp_describe(index),
                   tp_describe(x), tp_rank(x) - batch);
    return onnx_ok(n);
}

void onnx_gather_nd(struct onnx_node *n)
{
    const int batch = (int)onnx_int(n, "batch_dims", 0);
    const tp_tensor x = onnx_in(n, 0), index = onnx_in(n, 1);
    tp_shape flat = { .rank = 1 }, shape = { 0 };
    int whole;
    tp_tensor rows;

    if (!good_nd(n, x, index, batch))
        return;
    whole = batch + (int)tp_dim(index, -1);
    flat.dim[0] = onnx_extent(x, 0, whole);
    for (int i = 0; i < tp_rank(index) - 1; i++)
        shape.dim[shape.rank++] = tp_dim(index, i);
    for (int i = whole; i < tp_rank(x); i++) {
        flat.dim[flat.rank++] = tp_dim(x, i);
        if (shape.rank == IR_RANK) {
            onnx_lacks(n, "more than %d axes", IR_RANK);
            return;
        }
        shape.dim[shape.rank++] = tp_dim(x, i);
    }
    rows = flat_index(n, x, index, batch);
    if (rows.id)
        n->out[0] =
            tp_reshape_at(tp_take_at(tp_reshape_at(x, flat, n->at), 0, rows, n->at), shape, n->at);
}

/* `how` of ONNX's reductions, on elements; NULL with an error */
static tp_tensor scattered(struct onnx_node *n, const char *how, tp_tensor x, int axis,
                           tp_tensor index, tp_tensor source)
{
    if (!x.id || !index.id || !source.id)
        return POISON(n->g);
    if (onnx_type(x) != onnx_type(source))
        return onnx_wrong(n, "%s and %s; expected one type", tp_describe(x), tp_describe(source));
    if (strcmp(how, "add") == 0)
        return tp_scatter_add_at(x, axis, index, source, n->at);
    if (strcmp(how, "none") == 0 || strcmp(how, "max") == 0 || strcmp(how, "min") == 0 ||
        strcmp(how, "mul") == 0)
        return tp_scatter_at(strcmp(how, "none") == 0 ? "set" : how, x, axis, index, source, n->at);
    return onnx_lacks(n, "reduction \"%.40s\"; expected none, add, max, min or mul", how);
}

void onnx_scatter(struct onnx_node *n)
{
    int64_t axis = onnx_int(n, "axis", 0);
    const tp_tensor x = onnx_in(n, 0), source = onnx_in(n, 2);
    tp_tensor index;

    if (!x.id || !source.id || !onnx_axis(n, &axis, tp_rank(x)))
        return;
    index = indices(n, 1, tp_dim(x, (int)axis));
    n->out[0] = scattered(n, onnx_word(n, "reduction", "none"), x, (int)axis, index, source);
}

/* As elements along a flat axis: each row's number, repeated over the slice that it names. */
void onnx_scatter_nd(struct onnx_node *n)
{
    const tp_tensor x = onnx_in(n, 0), index = onnx_in(n, 1), source = onnx_in(n, 2);
    int64_t k, rest, rows;
    tp_tensor flat, at, y;

    if (!good_nd(n, x, index, 0) || !source.id)
        return;
    k = tp_dim(index, -1);
    rest = onnx_extent(x, (int)k, tp_rank(x));
    rows = onnx_extent(index, 0, tp_rank(index) - 1);
    flat = tp_reshape_at(x, tp_dims(onnx_extent(x, 0, (int)k), rest), n->at);
    at = flat_index(n, x, index, 0);
    if (!at.id || !flat.id)
        return;
    at = tp_expand_at(tp_reshape_at(at, tp_dims(rows, 1), n->at), tp_dims(rows, rest), n->at);
    y = scattered(n, onnx_word(n, "reduction", "none"), flat, 0, at,
                  tp_reshape_at(source, tp_dims(rows, rest), n->at));
    if (y.id)
        n->out[0] = tp_reshape_at(y, tp_shape_of(x), n->at);
}

/* values: the number that is off, then the one that is on */
void onnx_one_hot(struct onnx_node *n)
{
    tp_tensor index = onnx_in(n, 0), values = onnx_in(n, 2), on, off, place;
    int64_t axis = onnx_int(n, "axis", -1);
    tp_shape shape = { 0 }, whole = { 0 };
    double depth;

    if (!index.id || !values.id || !onnx_known_number(n, 1, &depth))
        return;
    if (tp_rank(values) != 1 || tp_dim(values, 0) != 2 || !(depth >= 1 && depth <= 1e9) ||
        tp_rank(index) >= IR_RANK) {
        onnx_wrong(n, "depth %g, values %s; expected 1 or more, and two", depth,
                   tp_describe(values));
        return;
    }
    whole.rank = tp_rank(index) + 1;
    if (!onnx_axis(n, &axis, whole.rank))
        return;
    for (int i = 0, k = 0; i < whole.rank; i++) {
        shape.dim[i] = i == axis ? 1 : tp_dim(index, k);
        whole.dim[i] = i == axis ? (int64_t)depth : tp_dim(index, k++);
    }
    shape.rank = whole.rank;
    if (onnx_real(index))
        index = onnx_cast(n, index, IR_I64);
    index = onnx_wrapped(n, onnx_cast(n, index, IR_I64), (int64_t)depth);
    index = tp_reshape_at(index, shape, n->at);
    place = tp_index_along(n->g, whole, (int)axis, n->at);
    off = tp_reshape_at(tp_cut(values, 0, 0, 1, n->at), TP_SCALAR, n->at);
    on = tp_reshape_at(tp_cut(values, 0, 1, 2, n->at), TP_SCALAR, n->at);
    n->out[0] = onnx_select(n, onnx_op2(n, IR_eq, place, index), on, off);
}

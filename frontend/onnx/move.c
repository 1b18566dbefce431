/*
 * move: the same elements in another place, or some of them.
 */
#include "frontend/onnx/ops.h"

#include <string.h>

void onnx_reshape(struct onnx_node *n)
{
    const bool zeros = onnx_int(n, "allowzero", 0);
    const tp_tensor x = onnx_in(n, 0);
    tp_shape shape = { 0 };
    struct onnx_ints dims;

    if (!x.id || !onnx_known_ints(n, 1, &dims))
        return;
    if (dims.count > IR_RANK) {
        onnx_lacks(n, "%d axes; expected at most %d", dims.count, IR_RANK);
        return;
    }
    for (int i = 0; i < dims.count; i++) {
        shape.dim[shape.rank++] = dims.at[i];
        if (dims.at[i] == 0 && !zeros) {
            if (i >= tp_rank(x)) {
                onnx_wrong(n, "axis %d stays as it is of %s", i, tp_describe(x));
                return;
            }
            shape.dim[i] = tp_dim(x, i);
        }
    }
    n->out[0] = tp_reshape_at(x, shape, n->at);
}

void onnx_transpose(struct onnx_node *n)
{
    const tp_tensor x = onnx_in(n, 0);
    tp_shape axes = { 0 };
    struct onnx_ints perm;

    if (!x.id)
        return;
    axes.rank = tp_rank(x);
    for (int i = 0; i < axes.rank; i++)
        axes.dim[i] = axes.rank - 1 - i;
    if (onnx_ints(n, "perm", &perm)) {
        if (perm.count != axes.rank || !onnx_axes(n, &perm, axes.rank)) {
            onnx_wrong(n, "perm has %d axes; expected %d", perm.count, axes.rank);
            return;
        }
        for (int i = 0; i < axes.rank; i++)
            axes.dim[i] = perm.at[i];
    }
    n->out[0] = axes.rank ? tp_permute_at(x, axes, n->at) : x;
}

void onnx_concat(struct onnx_node *n)
{
    tp_tensor part[256];
    int64_t axis = onnx_int(n, "axis", 0);

    if (n->inputs < 1 || n->inputs > 256) {
        onnx_lacks(n, "%d inputs; expected 1 to 256", n->inputs);
        return;
    }
    for (int i = 0; i < n->inputs; i++)
        if (!(part[i] = onnx_in(n, i)).id)
            return;
    if (onnx_axis(n, &axis, tp_rank(part[0])))
        n->out[0] = tp_concat_at((int)axis, (tp_list){ n->inputs, part }, n->at);
}

/* Of the sizes that are given, or in so many parts, of which the last may be smaller. */
void onnx_split(struct onnx_node *n)
{
    int64_t axis = onnx_int(n, "axis", 0), from = 0, extent, each;
    const tp_tensor x = onnx_in(n, 0);
    struct onnx_ints sizes;
    bool there;

    if (!x.id || !onnx_attr_or_input(n, "split", 1, &sizes, &there) ||
        !onnx_axis(n, &axis, tp_rank(x)))
        return;
    extent = tp_dim(x, (int)axis);
    if (!ir_dim_fixed(extent) || (there && sizes.count != n->outputs)) {
        onnx_wrong(n, "%s in %d parts; expected %d", tp_describe(x), n->outputs, sizes.count);
        return;
    }
    each = n->outputs ? (extent + n->outputs - 1) / n->outputs : 0;
    for (int i = 0; i < n->outputs; i++) {
        int64_t size = there ? sizes.at[i] : each < extent - from ? each : extent - from;
        if (size < 0 || size > extent - from ||
            (there && i == n->outputs - 1 && from + size != extent)) {
            onnx_wrong(n, "part %d of %lld; expected parts that fill axis %lld of %s", i,
                       (long long)size, (long long)axis, tp_describe(x));
            return;
        }
        n->out[i] = tp_cut(x, (int)axis, from, from + size, n->at);
        from += size;
    }
}

/* Python's slice of one axis: clamped first, backwards by reversing. */
static tp_tensor sliced(struct onnx_node *n, tp_tensor x, int axis, int64_t from, int64_t to,
                        int64_t step)
{
    const int64_t extent = tp_dim(x, axis);
    struct ir_shape shape = tp_node(x)->shape;
    int64_t numbers[3][IR_RANK];
    ir_val v;

    if (step == 0 || !ir_dim_fixed(extent))
        return onnx_wrong(n, "axis %d of %s by step %lld", axis, tp_describe(x), (long long)step);
    if (step < 0) {
        const int64_t last = extent - 1;
        from = from < 0 ? from + extent : from;
        to = to < -extent ? -1 : to < 0 ? to + extent : to;
        from = from > last ? last : from < -1 ? -1 : from;
        to = to > last ? last : to < -1 ? -1 : to;
        from = last - from;
        to = last - to;
        step = step == INT64_MIN ? INT64_MAX : -step;
        x = tp_flip_at(x, tp_dims(axis), n->at);
    } else {
        from = from < 0 ? from + extent : from;
        to = to < 0 ? to + extent : to;
    }
    from = from < 0 ? 0 : from > extent ? extent : from;
    to = to < from ? from : to > extent ? extent : to;
    if (!x.id || (from == 0 && to == extent && step == 1))
        return x;
    step = step > extent ? extent + 1 : step;
    for (int i = 0; i < shape.rank; i++) {
        numbers[0][i] = i == axis ? from : 0;
        numbers[1][i] = i == axis ? to : shape.dim[i];
        numbers[2][i] = i == axis ? step : 1;
    }
    v = tp_val(x);
    const struct ir_list attr[IR_ATTRS] = { { shape.rank, numbers[0] },
                                            { shape.rank, numbers[1] },
                                            { shape.rank, numbers[2] } };
    return tp_give(n->g, ir_op_attr(n->g->ir, IR_slice, 1, &v, attr, onnx_place(n)));
}

void onnx_slice(struct onnx_node *n)
{
    struct onnx_ints from, to, axes, steps;
    bool there[4];
    tp_tensor x = onnx_in(n, 0);

    if (!x.id || !onnx_attr_or_input(n, "starts", 1, &from, &there[0]) ||
        !onnx_attr_or_input(n, "ends", 2, &to, &there[1]) ||
        !onnx_attr_or_input(n, "axes", 3, &axes, &there[2]) ||
        !onnx_attr_or_input(n, "steps", 4, &steps, &there[3]))
        return;
    if (!there[0] || !there[1] || from.count != to.count ||
        (there[2] && (axes.count != to.count || !onnx_axes(n, &axes, tp_rank(x)))) ||
        (there[3] && steps.count != to.count) || to.count > tp_rank(x)) {
        onnx_wrong(n, "%d starts, %d ends, %d axes, %d steps of %s; expected as many of each",
                   from.count, to.count, axes.count, steps.count, tp_describe(x));
        return;
    }
    for (int i = 0; i < to.count && x.id; i++)
        x = sliced(n, x, there[2] ? (int)axes.at[i] : i, from.at[i], to.at[i],
                   there[3] ? steps.at[i] : 1);
    n->out[0] = x;
}

void onnx_squeeze(struct onnx_node *n)
{
    const tp_tensor x = onnx_in(n, 0);
    tp_shape shape = { 0 };
    struct onnx_ints axes;
    unsigned gone = 0;
    bool there;

    if (!x.id || !onnx_attr_or_input(n, "axes", 1, &axes, &there) ||
        !onnx_axes(n, &axes, tp_rank(x)))
        return;
    for (int i = 0; i < axes.count; i++)
        gone |= 1u << axes.at[i];
    for (int i = 0; i < tp_rank(x); i++) {
        if (!there && tp_dim(x, i) == 1)
            gone |= 1u << i;
        if (gone >> i & 1 && tp_dim(x, i) != 1) {
            onnx_wrong(n, "axis %d of %s; expected extent 1", i, tp_describe(x));
            return;
        }
        if (!(gone >> i & 1))
            shape.dim[shape.rank++] = tp_dim(x, i);
    }
    n->out[0] = tp_reshape_at(x, shape, n->at);
}

void onnx_unsqueeze(struct onnx_node *n)
{
    const tp_tensor x = onnx_in(n, 0);
    struct onnx_ints axes;
    tp_shape shape = { 0 };
    unsigned new = 0;
    bool there;
    int at = 0;

    if (!x.id || !onnx_attr_or_input(n, "axes", 1, &axes, &there))
        return;
    if (!there || axes.count + tp_rank(x) > IR_RANK) {
        onnx_lacks(n, "%d axes more than %s has; expected at most %d together", axes.count,
                   tp_describe(x), IR_RANK);
        return;
    }
    shape.rank = tp_rank(x) + axes.count;
    if (!onnx_axes(n, &axes, shape.rank))
        return;
    for (int i = 0; i < axes.count; i++)
        new |= 1u << axes.at[i];
    for (int i = 0; i < shape.rank; i++)
        shape.dim[i] = new >> i & 1 ? 1 : tp_dim(x, at++);
    n->out[0] = tp_reshape_at(x, shape, n->at);
}

void onnx_flatten(struct onnx_node *n)
{
    int64_t axis = onnx_int(n, "axis", 1);
    const tp_tensor x = onnx_in(n, 0);
    const int rank = x.id ? tp_rank(x) : 0;

    if (!x.id || (axis != rank && !onnx_axis(n, &axis, rank)))
        return;
    n->out[0] = tp_reshape_at(
        x, tp_dims(onnx_extent(x, 0, (int)axis), onnx_extent(x, (int)axis, rank)), n->at);
}

void onnx_expand(struct onnx_node *n)
{
    const tp_tensor x = onnx_in(n, 0);
    struct onnx_ints dims;
    struct ir_shape shape = { 0 };

    if (!x.id || !onnx_known_ints(n, 1, &dims))
        return;
    if (dims.count > IR_RANK) {
        onnx_lacks(n, "%d axes; expected at most %d", dims.count, IR_RANK);
        return;
    }
    shape.rank = dims.count > tp_rank(x) ? dims.count : tp_rank(x);
    for (int i = 0; i < shape.rank; i++) {
        const int a = i - (shape.rank - dims.count), b = i - (shape.rank - tp_rank(x));
        const int64_t wanted = a >= 0 ? dims.at[a] : 1, has = b >= 0 ? tp_dim(x, b) : 1;

        shape.dim[i] = wanted == 1 ? has : wanted;
        if (wanted != 1 && has != 1 && wanted != has) {
            onnx_wrong(n, "%s to %lld along axis %d", tp_describe(x), (long long)wanted, i);
            return;
        }
        if (wanted < 0 && wanted > IR_SYMBOLIC) {
            onnx_wrong(n, "extent %lld", (long long)wanted);
            return;
        }
    }
    n->out[0] = tp_give(n->g, ir_expand(n->g->ir, tp_val(x), shape, onnx_place(n)));
}

void onnx_tile(struct onnx_node *n)
{
    const tp_tensor x = onnx_in(n, 0);
    struct onnx_ints times;
    tp_shape shape = { 0 };

    if (!x.id || !onnx_known_ints(n, 1, &times))
        return;
    if (times.count != tp_rank(x)) {
        onnx_wrong(n, "%d repeats for %s", times.count, tp_describe(x));
        return;
    }
    for (int i = 0; i < times.count; i++)
        shape.dim[shape.rank++] = times.at[i];
    n->out[0] = shape.rank ? tp_tile_at(x, shape, n->at) : x;
}

/* Negative padding cuts off, before anything is put around. */
void onnx_pad(struct onnx_node *n)
{
    const char *mode = onnx_word(n, "mode", "constant");
    tp_tensor x = onnx_in(n, 0), value;
    struct onnx_ints pads, axes = { 0 };
    tp_shape lo = { 0 }, hi;
    bool there, chosen = false, any = false;
    int64_t numbers[2][IR_RANK];

    if (!x.id || !onnx_attr_or_input(n, "pads", 1, &pads, &there))
        return;
    if (onnx_has(n, 3)) {
        chosen = true;
        if (!onnx_known_ints(n, 3, &axes) || !onnx_axes(n, &axes, tp_rank(x)))
            return;
    }
    const int count = chosen ? axes.count : tp_rank(x);
    if (!there || pads.count != 2 * count) {
        onnx_wrong(n, "%d numbers of padding; expected %d", pads.count, 2 * count);
        return;
    }
    lo.rank = tp_rank(x);
    hi = lo;
    for (int i = 0; i < count; i++) {
        const int axis = chosen ? (int)axes.at[i] : i;
        int64_t a = pads.at[i], b = pads.at[count + i];
        const int64_t cap = (int64_t)1 << 40;

        if (a > cap || b > cap || a < -cap || b < -cap) {
            onnx_wrong(n, "padding of %lld", (long long)a);
            return;
        }
        if (a < 0 || b < 0) {
            const int64_t extent = tp_dim(x, axis), from = a < 0 ? -a : 0,
                          to = extent - (b < 0 ? -b : 0);
            if (!ir_dim_fixed(extent) || from > to) {
                onnx_wrong(n, "%s without %lld and %lld along axis %d", tp_describe(x),
                           (long long)a, (long long)b, axis);
                return;
            }
            x = tp_cut(x, axis, from, to, n->at);
            a = a < 0 ? 0 : a;
            b = b < 0 ? 0 : b;
        }
        lo.dim[axis] = a;
        hi.dim[axis] = b;
        any |= a || b;
    }
    if (!any || !x.id) {
        n->out[0] = x;
        return;
    }
    if (strcmp(mode, "constant") != 0) {
        const char *ours = strcmp(mode, "reflect") == 0 ? "reflect"
                           : strcmp(mode, "edge") == 0  ? "replicate"
                           : strcmp(mode, "wrap") == 0  ? "circular"
                                                        : NULL;
        if (ours)
            n->out[0] = tp_pad_mode_at(x, lo, hi, ours, n->at);
        else
            onnx_wrong(n, "mode \"%.40s\"", mode);
        return;
    }
    value =
        onnx_has(n, 2) ? onnx_in(n, 2) : onnx_number(n, onnx_type(x), onnx_float(n, "value", 0));
    if (!value.id)
        return;
    if (onnx_extent(value, 0, tp_rank(value)) != 1 || onnx_type(value) != onnx_type(x)) {
        onnx_wrong(n, "value %s; expected one number of the type of %s", tp_describe(value),
                   tp_describe(x));
        return;
    }
    if (tp_rank(value))
        value = tp_reshape_at(value, TP_SCALAR, n->at);
    for (int i = 0; i < lo.rank; i++) {
        numbers[0][i] = lo.dim[i];
        numbers[1][i] = hi.dim[i];
    }
    const ir_val args[2] = { tp_val(x), tp_val(value) };
    const struct ir_list attr[IR_ATTRS] = { { lo.rank, numbers[0] }, { lo.rank, numbers[1] } };
    n->out[0] = tp_give(n->g, ir_op_attr(n->g->ir, IR_pad, 2, args, attr, onnx_place(n)));
}

/* [n c h w] as [n .. h .. w ..], turned, and joined again. */
void onnx_depth(struct onnx_node *n)
{
    const bool space = strcmp(n->row->detail, "to_space") == 0,
               rows = strcmp(onnx_word(n, "mode", "DCR"), "CRD") == 0;
    const int64_t b = onnx_int(n, "blocksize", 0);
    const tp_tensor x = onnx_in(n, 0);
    int64_t N, C, H, W;
    tp_tensor y;

    if (!x.id)
        return;
    if (tp_rank(x) != 4 || b < 1 || b > 1 << 16 || tp_dim(x, 1) < 0 || tp_dim(x, 2) < 0 ||
        tp_dim(x, 3) < 0 ||
        (space ? tp_dim(x, 1) % (b * b) : tp_dim(x, 2) % b || tp_dim(x, 3) % b)) {
        onnx_wrong(n, "%s in blocks of %lld; expected [n c h w] that they divide", tp_describe(x),
                   (long long)b);
        return;
    }
    N = tp_dim(x, 0), C = tp_dim(x, 1), H = tp_dim(x, 2), W = tp_dim(x, 3);
    if (!space) {
        y = tp_reshape_at(x, tp_dims(N, C, H / b, b, W / b, b), n->at);
        y = tp_permute_at(y, tp_dims(0, 3, 5, 1, 2, 4), n->at);
        n->out[0] = tp_reshape_at(y, tp_dims(N, C * b * b, H / b, W / b), n->at);
        return;
    }
    C /= b * b;
    y = tp_reshape_at(x, rows ? tp_dims(N, C, b, b, H, W) : tp_dims(N, b, b, C, H, W), n->at);
    y = tp_permute_at(y, rows ? tp_dims(0, 1, 4, 2, 5, 3) : tp_dims(0, 3, 4, 1, 5, 2), n->at);
    n->out[0] = tp_reshape_at(y, tp_dims(N, C, H * b, W * b), n->at);
}

void onnx_trilu(struct onnx_node *n)
{
    const bool upper = onnx_int(n, "upper", 1);
    const tp_tensor x = onnx_in(n, 0);
    tp_tensor part[2], inside;
    tp_shape last;
    double k = 0;

    if (!x.id || (onnx_has(n, 1) && !onnx_known_number(n, 1, &k)))
        return;
    if (tp_rank(x) < 2) {
        onnx_wrong(n, "%s; expected two axes or more", tp_describe(x));
        return;
    }
    k = k > 1e9 ? 1e9 : k < -1e9 ? -1e9 : k;
    last = tp_dims(tp_dim(x, -2), tp_dim(x, -1));
    part[0] = tp_index_along(n->g, last, 0, n->at);
    part[1] = tp_index_along(n->g, last, 1, n->at);
    inside = tp_maths(upper ? "b >= a + p" : "b <= a + p", 2, part, 1, &k, n->at);
    n->out[0] = onnx_select(n, inside, x, onnx_number(n, onnx_type(x), 0));
}

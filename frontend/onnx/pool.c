/*
 * pool: the greatest and the mean of windows over the axes behind the channels.
 */
#include "frontend/onnx/ops.h"

#include <string.h>

struct window {
    int axes;
    int64_t size[3], stride[3], dilation[3];
    int64_t pad[6];   /* low, high by axis; with what the last window hangs over */
    int64_t asked[6]; /* without */
};

static bool list(struct onnx_node *n, const char *name, int count, int64_t least, int64_t otherwise,
                 int64_t *to)
{
    struct onnx_ints from;
    const bool there = onnx_ints(n, name, &from);

    for (int i = 0; i < count; i++) {
        to[i] = there && i < from.count ? from.at[i] : otherwise;
        if ((there && from.count != count) || to[i] < least || to[i] >= 1 << 20) {
            onnx_wrong(n, "%s: %d numbers; expected %d, %lld or more each", name, from.count, count,
                       (long long)least);
            return false;
        }
    }
    return onnx_ok(n);
}

static bool read(struct onnx_node *n, tp_tensor x, struct window *w)
{
    const char *how = onnx_word(n, "auto_pad", "NOTSET");
    const bool ceiling = onnx_int(n, "ceil_mode", 0);
    int64_t pads[6];

    if (!x.id)
        return false;
    *w = (struct window){ .axes = tp_rank(x) - 2 };
    if (w->axes < 1 || w->axes > 3) {
        onnx_lacks(n, "%s; expected 1 to 3 axes after the channels", tp_describe(x));
        return false;
    }
    if (!list(n, "kernel_shape", w->axes, 1, 0, w->size) ||
        !list(n, "strides", w->axes, 1, 1, w->stride) ||
        !list(n, "dilations", w->axes, 1, 1, w->dilation) ||
        !list(n, "pads", 2 * w->axes, 0, 0, pads))
        return false;
    for (int i = 0; i < w->axes; i++) {
        const int64_t in = tp_dim(x, 2 + i), s = w->stride[i],
                      reach = (w->size[i] - 1) * w->dilation[i] + 1;
        int64_t lo = pads[i], hi = pads[w->axes + i], over, out;

        if (!ir_dim_fixed(in)) {
            onnx_lacks(n, "%s; expected known extents after the channels", tp_describe(x));
            return false;
        }
        if (strcmp(how, "NOTSET") != 0) {
            int64_t total = (in + s - 1) / s * s - s + reach - in;
            total = total < 0 || strcmp(how, "VALID") == 0 ? 0 : total;
            lo = strcmp(how, "SAME_LOWER") == 0 ? total - total / 2 : total / 2;
            hi = total - lo;
        }
        w->asked[2 * i] = w->pad[2 * i] = lo;
        w->asked[2 * i + 1] = w->pad[2 * i + 1] = hi;
        if (in + lo + hi < reach) {
            onnx_wrong(n, "%s: a window of %lld does not fit along axis %d", tp_describe(x),
                       (long long)reach, 2 + i);
            return false;
        }
        if (!ceiling)
            continue;
        out = (in + lo + hi - reach + s - 1) / s + 1;
        if ((out - 1) * s >= in + lo)
            out--;
        over = (out - 1) * s + reach - in - lo;
        w->pad[2 * i + 1] = over > hi ? over : hi;
    }
    return true;
}

static tp_tensor windowed(struct onnx_node *n, enum ir_op op, const struct window *w, tp_tensor x)
{
    const struct ir_list attr[IR_ATTRS] = { { w->axes, w->size },
                                            { w->axes, w->stride },
                                            { 2 * w->axes, w->pad },
                                            { w->axes, w->dilation } };
    const ir_val a = tp_val(x);

    if (!x.id)
        return x;
    return tp_give(n->g, ir_op_attr(n->g->ir, op, 1, &a, attr, onnx_place(n)));
}

/* The flat place in x of each window's greatest. */
static tp_tensor places(struct onnx_node *n, const struct window *w, tp_tensor x)
{
    const bool columns = onnx_int(n, "storage_order", 0);
    tp_tensor tap = onnx_cast(n, windowed(n, IR_window_argmax, w, x), IR_I64), flat = { 0 };
    tp_tensor row[2];
    int64_t stride = 1, inside = 1;

    for (int i = 0; i < w->axes; i++)
        inside *= tp_dim(x, 2 + i);
    for (int k = 0; k < w->axes && tap.id; k++) {
        const int i = columns ? k : w->axes - 1 - k; /* the fastest axis first */
        double taps = 1;
        tp_tensor part[2] = { tap };

        for (int j = i + 1; j < w->axes; j++)
            taps *= (double)w->size[j];
        part[1] = tp_index_along(n->g, tp_shape_of(tap), 2 + i, n->at);
        part[0] = tp_maths("mod(a / p, q) * r + b * s - t", 2, part, 5,
                           (double[]){ taps, (double)w->size[i], (double)w->dilation[i],
                                       (double)w->stride[i], (double)w->pad[2 * i] },
                           n->at);
        part[0] = onnx_maths(n, "a * p", 1, part, (double)stride);
        flat = k ? onnx_op2(n, IR_add, flat, part[0]) : part[0];
        stride *= tp_dim(x, 2 + i);
    }
    if (!flat.id)
        return flat;
    if (!ir_dim_fixed(tp_dim(x, 1)))
        return onnx_lacks(n, "%s; expected known channels", tp_describe(x));
    row[0] = tp_index_along(n->g, tp_shape_of(flat), 0, n->at);
    row[1] = tp_index_along(n->g, tp_shape_of(flat), 1, n->at);
    row[0] = tp_maths("(a * p + b) * q", 2, row, 2,
                      (double[]){ (double)tp_dim(x, 1), (double)inside }, n->at);
    return onnx_op2(n, IR_add, flat, row[0]);
}

void onnx_max_pool(struct onnx_node *n)
{
    const tp_tensor x = onnx_in(n, 0);
    struct window w;

    if (!read(n, x, &w))
        return;
    n->out[0] = windowed(n, IR_window_max, &w, x);
    if (n->outputs > 1)
        n->out[1] = places(n, &w, x);
}

/* Padding counts where it is asked for; what hangs over never does. */
void onnx_average_pool(struct onnx_node *n)
{
    const bool padding = onnx_int(n, "count_include_pad", 0);
    const tp_tensor x = onnx_in(n, 0);
    tp_shape counted = { 0 };
    struct window w, c;
    tp_tensor ones;

    if (!read(n, x, &w))
        return;
    c = w;
    counted.rank = 2 + w.axes;
    counted.dim[0] = counted.dim[1] = 1;
    for (int i = 0; i < w.axes; i++) {
        counted.dim[2 + i] = tp_dim(x, 2 + i);
        if (!padding)
            continue;
        counted.dim[2 + i] += w.asked[2 * i] + w.asked[2 * i + 1];
        c.pad[2 * i] = 0;
        c.pad[2 * i + 1] = w.pad[2 * i + 1] - w.asked[2 * i + 1];
    }
    ones = tp_full_at(n->g, tp_dtype_of(x), counted, 1, n->at);
    n->out[0] = onnx_op2(n, IR_div, windowed(n, IR_window_sum, &w, x),
                         windowed(n, IR_window_sum, &c, ones));
}

void onnx_global_pool(struct onnx_node *n)
{
    const tp_tensor x = onnx_in(n, 0);

    if (x.id)
        n->out[0] = tp_global_pool_at(
            strcmp(n->row->detail, "mean") == 0 ? "global_avg_pool" : "global_max_pool", x, n->at);
}

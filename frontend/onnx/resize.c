/*
 * resize: each output of an axis is a weighted sum of a few inputs; which, and by what weights, is
 * known before the run. A tap is a take along the axis by constant indices, times constant weights.
 */
#include "frontend/onnx/ops.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { TAPS = 128 };

struct resize {
    const char *mode, *where, *nearest;
    double a, extrapolation;
    bool exclude, antialias;
};

struct along { /* one axis */
    int64_t in, out;
    double scale, from, to;
};

static double place(const struct resize *r, const struct along *s, int64_t i)
{
    const double x = (double)i, wide = s->scale * (double)s->in;

    if (strcmp(r->where, "asymmetric") == 0)
        return x / s->scale;
    if (strcmp(r->where, "align_corners") == 0)
        return wide == 1 ? 0 : x * (double)(s->in - 1) / (wide - 1);
    if (strcmp(r->where, "tf_half_pixel_for_nn") == 0)
        return (x + 0.5) / s->scale;
    if (strcmp(r->where, "tf_crop_and_resize") == 0)
        return s->out > 1 ? s->from * (double)(s->in - 1) +
                                x * (s->to - s->from) * (double)(s->in - 1) / (double)(s->out - 1)
                          : 0.5 * (s->from + s->to) * (double)(s->in - 1);
    if (strcmp(r->where, "pytorch_half_pixel") == 0 && s->out <= 1)
        return 0;
    if (strcmp(r->where, "half_pixel_symmetric") == 0)
        return (double)s->in / 2 * (1 - (double)s->out / wide) + (x + 0.5) / s->scale - 0.5;
    return (x + 0.5) / s->scale - 0.5;
}

static bool known_place(const char *where)
{
    static const char *const names[] = { "half_pixel",          "pytorch_half_pixel",
                                         "align_corners",       "asymmetric",
                                         "tf_crop_and_resize",  "tf_half_pixel_for_nn",
                                         "half_pixel_symmetric" };

    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(where, names[i]) == 0)
            return true;
    return false;
}

static double cubic(double a, double x)
{
    x = fabs(x);
    return x < 1   ? ((a + 2) * x - (a + 3)) * x * x + 1
           : x < 2 ? ((a * x - 5 * a) * x + 8 * a) * x - 4 * a
                   : 0;
}

/* Weights of the inputs first, first + 1, ..; how many, -1: too many. */
static int weights(const struct resize *r, const struct along *s, double x, double *weight,
                   int64_t *first)
{
    const bool whole = x == floor(x); /* the pixel on its left comes first */
    const double base = whole ? x - 1 : floor(x), part = whole ? 1 : x - base,
                 shrink = r->antialias && s->scale < 1 ? s->scale : 1,
                 reach = strcmp(r->mode, "cubic") == 0 ? 2 : 1;
    const int start = (int)fmax(floor(-reach / shrink) + 1, -1e6), count = 2 - 2 * start;
    double sum = 0;

    if (strcmp(r->mode, "nearest") == 0) {
        const bool up = strcmp(r->nearest, "round_prefer_ceil") == 0 ? part >= 0.5
                        : strcmp(r->nearest, "floor") == 0           ? whole
                        : strcmp(r->nearest, "ceil") == 0            ? true
                                                                     : part > 0.5;
        *first = (int64_t)base + up;
        weight[0] = 1;
        return 1;
    }
    if (count > TAPS)
        return -1;
    *first = (int64_t)base + start;
    for (int i = 0; i < count; i++) {
        const double far = (start + i - part) * shrink;
        const int64_t at = *first + i;
        weight[i] = reach == 2 ? cubic(r->a, far) : fmax(1 - fabs(far), 0);
        if (r->exclude && (at < 0 || at >= s->in))
            weight[i] = 0;
        sum += weight[i];
    }
    for (int i = 0; i < count && (r->exclude || shrink < 1); i++)
        weight[i] /= sum;
    return count;
}

static tp_tensor resize_axis(struct onnx_node *n, const struct resize *r, const struct along *s,
                             tp_tensor x, int axis)
{
    const bool nearest = strcmp(r->mode, "nearest") == 0;
    int64_t *index = malloc((size_t)(s->out + 1) * TAPS * sizeof *index);
    float *share = malloc((size_t)(s->out + 1) * TAPS * sizeof *share);
    tp_shape shape = { .rank = tp_rank(x) };
    tp_tensor y = { 0 };
    int taps = 0;

    for (int64_t i = 0; index && share && i < s->out && taps >= 0; i++) {
        double weight[TAPS];
        int64_t first;
        taps = weights(r, s, place(r, s, i), weight, &first);
        for (int k = 0; k < taps; k++) {
            const int64_t at = first + k;
            index[k * s->out + i] = at < 0 ? 0 : at >= s->in ? s->in - 1 : at;
            share[k * s->out + i] = (float)weight[k];
        }
    }
    for (int i = 0; i < shape.rank; i++)
        shape.dim[i] = i == axis ? s->out : 1;
    if (!index || !share || taps <= 0)
        y = onnx_lacks(n, "scale %g; expected one nearer to 1", s->scale);
    for (int k = 0; k < taps && x.id; k++) {
        tp_tensor part =
            tp_take_at(x, axis, onnx_integers(n, (int)s->out, index + k * s->out), n->at);
        if (!nearest) {
            tp_tensor w = tp_array_at(n->g, TP_F32, shape, share + k * s->out, n->at);
            part = onnx_op2(n, IR_mul, part, onnx_cast(n, w, part.id ? onnx_type(part) : IR_F32));
        }
        y = k ? onnx_op2(n, IR_add, y, part) : part;
    }
    free(index);
    free(share);
    return y;
}

/* What lies outside of the picture that is cut out has one value. */
static tp_tensor outside(struct onnx_node *n, const struct resize *r, const struct along *s,
                         tp_tensor y, int axis)
{
    tp_shape shape = { .rank = tp_rank(y) };
    uint8_t *inside = malloc((size_t)s->out + 1);
    bool any = false;
    tp_tensor mask;

    if (!y.id || !inside) {
        free(inside);
        return y;
    }
    for (int64_t i = 0; i < s->out; i++) {
        const double x = place(r, s, i);
        inside[i] = x >= 0 && x <= (double)(s->in - 1);
        any |= !inside[i];
    }
    for (int i = 0; i < shape.rank; i++)
        shape.dim[i] = i == axis ? s->out : 1;
    mask = any ? tp_array_at(n->g, TP_BOOL, shape, inside, n->at) : y;
    free(inside);
    return any ? onnx_select(n, mask, y, onnx_number(n, onnx_type(y), r->extrapolation)) : y;
}

/* Scales or sizes, of the axes that are named: what each axis becomes. */
static bool read_sizes(struct onnx_node *n, tp_tensor x, struct along *s, int count,
                       const int64_t *axis)
{
    const int at = n->opset < 11 ? 1 : 2;
    const char *policy = onnx_word(n, "keep_aspect_ratio_policy", "stretch");
    struct ir_array scales;
    struct onnx_ints sizes;
    double one = 0;

    for (int i = 0; i < count; i++)
        s[i] = (struct along){ .in = tp_dim(x, (int)axis[i]), .to = 1 };
    for (int i = 0; i < count; i++)
        if (!ir_dim_fixed(s[i].in)) {
            onnx_lacks(n, "%s; expected known extents", tp_describe(x));
            return false;
        }
    if (onnx_has(n, at) && onnx_is_known(n, at, &scales) && ir_count(&scales.shape)) {
        if (ir_count(&scales.shape) != count) {
            onnx_wrong(n, "%lld scales of %d axes", (long long)ir_count(&scales.shape), count);
            return false;
        }
        for (int i = 0; i < count; i++) {
            ir_load_real(&s[i].scale, &scales, NULL, i, 1);
            s[i].out = s[i].scale > 0 && s[i].scale < 1e6
                           ? (int64_t)floor((double)s[i].in * s[i].scale)
                           : -1;
        }
    } else {
        if (!onnx_known_ints(n, 3, &sizes))
            return false;
        if (sizes.count != count) {
            onnx_wrong(n, "%d sizes of %d axes", sizes.count, count);
            return false;
        }
        for (int i = 0; i < count; i++) {
            s[i].out = sizes.at[i];
            s[i].scale = (double)s[i].out / (double)s[i].in;
            if (i == 0 || (strcmp(policy, "not_larger") == 0 ? s[i].scale < one : s[i].scale > one))
                one = s[i].scale;
        }
        for (int i = 0; i < count && strcmp(policy, "stretch") != 0; i++) {
            s[i].scale = one;
            s[i].out = (int64_t)floor(one * (double)s[i].in + 0.5);
        }
    }
    for (int i = 0; i < count; i++)
        if (s[i].out < 1 || s[i].out > 1 << 20 || s[i].in < 1) {
            onnx_wrong(n, "axis %lld of %s to %lld", (long long)axis[i], tp_describe(x),
                       (long long)s[i].out);
            return false;
        }
    return true;
}

void onnx_resize(struct onnx_node *n)
{
    const struct resize r = {
        .mode = onnx_word(n, "mode", "nearest"),
        .where = onnx_word(n, "coordinate_transformation_mode",
                           n->opset < 11 ? "asymmetric" : "half_pixel"),
        .nearest = onnx_word(n, "nearest_mode", n->opset < 11 ? "floor" : "round_prefer_floor"),
        .a = onnx_float(n, "cubic_coeff_a", -0.75),
        .extrapolation = onnx_float(n, "extrapolation_value", 0),
        .exclude = onnx_int(n, "exclude_outside", 0),
        .antialias = onnx_int(n, "antialias", 0),
    };
    const bool crop = strcmp(r.where, "tf_crop_and_resize") == 0;
    tp_tensor x = onnx_in(n, 0), y;
    int64_t every[IR_RANK] = { 0, 1, 2, 3, 4, 5, 6, 7 };
    struct along s[IR_RANK];
    struct onnx_ints axes;
    enum ir_dtype dtype;

    if (!x.id)
        return;
    if (!onnx_ints(n, "axes", &axes))
        axes = (struct onnx_ints){ tp_rank(x), every };
    if (!onnx_axes(n, &axes, tp_rank(x)) || !read_sizes(n, x, s, axes.count, axes.at))
        return;
    dtype = onnx_type(x);
    if (!known_place(r.where) ||
        (strcmp(r.mode, "nearest") != 0 && strcmp(r.mode, "linear") != 0 &&
         strcmp(r.mode, "cubic") != 0) ||
        (strcmp(r.mode, "nearest") != 0 && !onnx_real(x))) {
        onnx_lacks(n, "mode \"%.20s\" and \"%.40s\" of %s", r.mode, r.where, tp_describe(x));
        return;
    }
    if (crop) {
        struct ir_array roi;
        if (!onnx_known(n, 1, &roi))
            return;
        if (ir_count(&roi.shape) != 2 * axes.count) {
            onnx_wrong(n, "roi of %lld numbers; expected %d", (long long)ir_count(&roi.shape),
                       2 * axes.count);
            return;
        }
        for (int i = 0; i < axes.count; i++) {
            ir_load_real(&s[i].from, &roi, NULL, i, 1);
            ir_load_real(&s[i].to, &roi, NULL, axes.count + i, 1);
        }
    }
    y = ir_narrow(dtype) && onnx_real(x) ? onnx_cast(n, x, IR_F32) : x;
    for (int i = 0; i < axes.count && y.id; i++)
        if (s[i].in != s[i].out || s[i].scale != 1 || crop)
            y = resize_axis(n, &r, &s[i], y, (int)axes.at[i]);
    for (int i = 0; i < axes.count && crop; i++)
        y = outside(n, &r, &s[i], y, (int)axes.at[i]);
    n->out[0] = onnx_cast(n, y, dtype);
}

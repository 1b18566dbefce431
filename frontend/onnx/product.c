/*
 * product: matrices, letters, convolutions.
 */
#include "frontend/onnx/ops.h"

#include <ctype.h>
#include <string.h>

void onnx_matmul(struct onnx_node *n)
{
    const tp_tensor a = onnx_in(n, 0), b = onnx_in(n, 1);

    if (a.id && b.id)
        n->out[0] = tp_matmul_at(a, b, n->at);
}

void onnx_gemm(struct onnx_node *n)
{
    const double alpha = onnx_float(n, "alpha", 1), beta = onnx_float(n, "beta", 1);
    tp_tensor a = onnx_in(n, 0), b = onnx_in(n, 1), c, y;

    if (!a.id || !b.id)
        return;
    if (tp_rank(a) != 2 || tp_rank(b) != 2) {
        onnx_wrong(n, "%s and %s; expected two axes each", tp_describe(a), tp_describe(b));
        return;
    }
    if (onnx_int(n, "transA", 0))
        a = tp_transpose_at(a, 0, 1, n->at);
    if (onnx_int(n, "transB", 0))
        y = tp_matmul_nt_at(a, b, n->at);
    else
        y = tp_matmul_at(a, b, n->at);
    if (y.id && alpha != 1)
        y = onnx_op2(n, IR_mul, y, onnx_number(n, onnx_type(y), alpha));
    if (onnx_has(n, 2) && beta != 0) {
        c = onnx_in(n, 2);
        if (c.id && beta != 1)
            c = onnx_op2(n, IR_mul, c, onnx_number(n, onnx_type(c), beta));
        y = onnx_op2(n, IR_add, y, c);
    }
    n->out[0] = y;
}

/* Points become letters that the equation has not, as many as the largest input needs. */
void onnx_einsum(struct onnx_node *n)
{
    const char *from = onnx_word(n, "equation", "");
    char text[400], names[128] = { 0 };
    tp_tensor part[16];
    size_t size = 0;
    int term = 0, dots = 0, letters = 0, points = 0;
    char free[IR_RANK + 1] = { 0 };
    bool arrow = strstr(from, "->") != NULL;

    if (n->inputs < 1 || n->inputs > 16 || strlen(from) > 200) {
        onnx_lacks(n, "%d inputs; expected 1 to 16", n->inputs);
        return;
    }
    for (int i = 0; i < n->inputs; i++)
        if (!(part[i] = onnx_in(n, i)).id)
            return;
    for (const char *c = from; *c; c++) /* letters of any case, as small ones */
        if (isalpha((unsigned char)*c) && !names[(unsigned char)*c]) {
            if (letters >= 26 - IR_RANK) {
                onnx_lacks(n, "\"%.60s\": too many letters", from);
                return;
            }
            names[(unsigned char)*c] = (char)('a' + letters++);
        }
    if (!arrow) { /* the order of the alphabet, large letters first */
        letters = 0;
        for (int c = 0; c < 128; c++)
            if (names[c])
                names[c] = (char)('a' + IR_RANK + letters++);
    }
    for (const char *c = from;; c++) { /* how many axes the points are */
        if (*c == ',' || *c == '-' || !*c) {
            if (dots && term < n->inputs && tp_rank(part[term]) - points > (int)strlen(free))
                for (int i = (int)strlen(free); i < tp_rank(part[term]) - points; i++)
                    free[i] = (char)(arrow ? 'z' - i : 'a' + i);
            term++;
            dots = points = 0;
            if (*c != ',')
                break;
        } else if (*c == '.') {
            dots++;
        } else if (isalpha((unsigned char)*c)) {
            points++;
        }
    }
    term = 0;
    for (const char *c = from; *c && size < sizeof text - IR_RANK - 2; c++) {
        if (*c == ' ')
            continue;
        if (*c == '.') {
            int used = 0, axes = (int)strlen(free);
            if (strncmp(c, "...", 3) != 0) {
                onnx_wrong(n, "\"%.60s\"; expected letters, commas, ..., ->", from);
                return;
            }
            c += 2;
            if (term >= 0 && term < n->inputs) { /* the last of the letters, as many as it has */
                const char *start = c - 2;
                while (start > from && start[-1] != ',')
                    start--;
                for (const char *k = start; *k && *k != ',' && *k != '-'; k++)
                    used += isalpha((unsigned char)*k) != 0;
                used = tp_rank(part[term]) - used;
                used = used < 0 ? 0 : used > axes ? axes : used;
                memcpy(text + size, free + (axes - used), (size_t)used);
                size += (size_t)used;
            } else {
                memcpy(text + size, free, (size_t)axes);
                size += (size_t)axes;
            }
            continue;
        }
        if (*c == ',')
            term++;
        if (*c == '>')
            term = -1;
        text[size++] = isalpha((unsigned char)*c) ? names[(unsigned char)*c] : *c;
    }
    text[size] = 0;
    n->out[0] = tp_einsum_at(text, (tp_list){ n->inputs, part }, n->at);
}

/* --- convolutions ------------------------------------------------------------------------------
 */

/* One of a list by axis, or the default; false with an error. */
static bool by_axis(struct onnx_node *n, const char *name, int axes, int64_t otherwise, int64_t *to)
{
    struct onnx_ints list;
    const bool there = onnx_ints(n, name, &list);

    for (int i = 0; i < axes; i++) {
        to[i] = there && i < list.count ? list.at[i] : otherwise;
        if ((there && list.count != axes) || to[i] < otherwise || to[i] >= 1 << 20) {
            onnx_wrong(n, "%s: %d numbers; expected %d, %lld or more each", name, list.count, axes,
                       (long long)otherwise);
            return false;
        }
    }
    return onnx_ok(n);
}

static bool read_conv(struct onnx_node *n, tp_tensor x, tp_tensor w, struct tp_conv *c)
{
    struct onnx_ints kernel, pads;

    if (!x.id || !w.id)
        return false;
    *c = (struct tp_conv){ .axes = tp_rank(x) - 2, .groups = onnx_int(n, "group", 1) };
    if (tp_rank(w) != tp_rank(x) || c->axes < 1) {
        onnx_wrong(n, "%s, weight %s; expected [n channels ..] and as many axes", tp_describe(x),
                   tp_describe(w));
        return false;
    }
    if (c->axes > 3) {
        onnx_lacks(n, "%s; expected 1 to 3 axes after the channels", tp_describe(x));
        return false;
    }
    if (!by_axis(n, "strides", c->axes, 1, c->stride) ||
        !by_axis(n, "dilations", c->axes, 1, c->dilation))
        return false;
    if (onnx_ints(n, "kernel_shape", &kernel))
        for (int i = 0; i < c->axes; i++)
            if (kernel.count != c->axes || kernel.at[i] != tp_dim(w, 2 + i)) {
                onnx_wrong(n, "kernel_shape is not that of the weight %s", tp_describe(w));
                return false;
            }
    if (onnx_ints(n, "pads", &pads))
        for (int i = 0; i < c->axes; i++) {
            if (pads.count != 2 * c->axes || pads.at[i] < 0 || pads.at[c->axes + i] < 0 ||
                pads.at[i] >= 1 << 20 || pads.at[c->axes + i] >= 1 << 20) {
                onnx_wrong(n, "%d numbers of padding; expected %d, 0 or more", pads.count,
                           2 * c->axes);
                return false;
            }
            c->pad[2 * i] = pads.at[i];
            c->pad[2 * i + 1] = pads.at[c->axes + i];
        }
    return onnx_ok(n);
}

static tp_tensor with_bias(struct onnx_node *n, tp_tensor y)
{
    tp_shape shape = { 0 };
    tp_tensor bias;

    if (!onnx_has(n, 2) || !y.id)
        return y;
    bias = onnx_in(n, 2);
    if (!bias.id)
        return bias;
    shape.rank = tp_rank(y) - 1;
    for (int i = 1; i < shape.rank; i++)
        shape.dim[i] = 1;
    shape.dim[0] = -1;
    return onnx_op2(n, IR_add, y, tp_reshape_at(bias, shape, n->at));
}

static bool same(const char *how)
{
    return strncmp(how, "SAME", 4) == 0;
}

void onnx_conv(struct onnx_node *n)
{
    const tp_tensor x = onnx_in(n, 0), w = onnx_in(n, 1);
    const char *how = onnx_word(n, "auto_pad", "NOTSET");
    struct tp_conv c;

    if (!read_conv(n, x, w, &c))
        return;
    for (int i = 0; i < c.axes && strcmp(how, "NOTSET") != 0; i++) {
        const int64_t in = tp_dim(x, 2 + i), s = c.stride[i],
                      reach = (tp_dim(w, 2 + i) - 1) * c.dilation[i] + 1;
        int64_t total = (in + s - 1) / s * s - s + reach - in;

        total = total < 0 || !same(how) ? 0 : total;
        if (!ir_dim_fixed(in)) {
            onnx_lacks(n, "%s; expected known extents", tp_describe(x));
            return;
        }
        c.pad[2 * i] = strcmp(how, "SAME_LOWER") == 0 ? total - total / 2 : total / 2;
        c.pad[2 * i + 1] = total - c.pad[2 * i];
    }
    n->out[0] = with_bias(n, tp_convolved(IR_conv, &c, x, w, n->at));
}

void onnx_conv_transpose(struct onnx_node *n)
{
    const tp_tensor x = onnx_in(n, 0), w = onnx_in(n, 1);
    const char *how = onnx_word(n, "auto_pad", "NOTSET");
    struct onnx_ints shape;
    struct tp_conv c;
    int64_t more[3] = { 0, 0, 0 };
    bool shaped;

    if (!read_conv(n, x, w, &c) || !by_axis(n, "output_padding", c.axes, 0, more))
        return;
    shaped = onnx_ints(n, "output_shape", &shape);
    if (shaped && shape.count != c.axes) {
        onnx_wrong(n, "output_shape of %d axes; expected %d", shape.count, c.axes);
        return;
    }
    for (int i = 0; i < c.axes && (shaped || same(how)); i++) {
        const int64_t in = tp_dim(x, 2 + i), wanted = shaped ? shape.at[i] : in * c.stride[i],
                      total = c.stride[i] * (in - 1) + more[i] +
                              (tp_dim(w, 2 + i) - 1) * c.dilation[i] + 1 - wanted;

        if (!ir_dim_fixed(in) || wanted < 0 || wanted > 1 << 24) {
            onnx_wrong(n, "%s to %lld along axis %d", tp_describe(x), (long long)wanted, 2 + i);
            return;
        }
        c.pad[2 * i] = c.pad[2 * i + 1] = 0;
        if (total < 0)
            more[i] -= total;
        else
            c.pad[2 * i] = strcmp(how, "SAME_UPPER") == 0 ? total / 2 : total - total / 2;
        c.pad[2 * i + 1] = total < 0 ? 0 : total - c.pad[2 * i];
    }
    n->out[0] = with_bias(n, tp_conv_transposed("ConvTranspose", &c, more, x, w, n->at));
}

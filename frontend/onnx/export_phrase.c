/*
 * export_phrase: what is several nodes here and one operator there: the regions that layers and
 * formulas leave, and means. A region is taken at its name as differentiate takes it; numbers that
 * it does not carry (an eps) are read off its nodes, and where these are not as the layer records
 * them, nothing is said and the nodes are spelled one by one.
 */
#include "frontend/onnx/export.h"

#include <string.h>

static const struct ir_node *node(const struct ir_graph *g, ir_val v)
{
    return &g->nodes[v.id];
}

/* v as `op` of two: its arguments; a scalar behind views is itself. */
static bool both(const struct ir_graph *g, ir_val v, enum ir_op op, ir_val part[2])
{
    if (node(g, v)->op != op)
        return false;
    part[0] = node(g, v)->args[0];
    part[1] = node(g, v)->args[1];
    return true;
}

static ir_val behind_views(const struct ir_graph *g, ir_val v)
{
    while (node(g, v)->op == IR_reshape || node(g, v)->op == IR_expand)
        v = node(g, v)->args[0];
    return v;
}

/* rsqrt(variance + eps) */
static bool read_epsilon(const struct ir_graph *g, ir_val v, double *eps)
{
    ir_val part[2];

    v = behind_views(g, v);
    if (node(g, v)->op != IR_rsqrt || !both(g, node(g, v)->args[0], IR_add, part) ||
        node(g, part[1])->op != IR_const)
        return false;
    *eps = ir_number_of(node(g, part[1]));
    return true;
}

static uint32_t region_of_result(const struct ir_graph *g, ir_val v, const char *name)
{
    for (uint32_t r = 1; r < g->regions; r++)
        if (g->region[r].result.id == v.id && strcmp(g->region[r].name, name) == 0)
            return r;
    return 0;
}

/* standardised * scale + offset */
static bool layer_norm(const struct ir_graph *g, const struct ir_region *r, struct onnx_phrase *p)
{
    ir_val affine[2], scaled[2], whole[2];
    const struct ir_region *inner;
    const bool offset = both(g, r->result, IR_add, affine);
    const int rank = node(g, r->result)->shape.rank;
    uint32_t s;

    if (!both(g, offset ? affine[0] : r->result, IR_mul, scaled))
        return false;
    s = region_of_result(g, scaled[0], "standardise");
    inner = &g->region[s];
    if (!s || !both(g, inner->result, IR_mul, whole) || !read_epsilon(g, whole[1], &p->epsilon) ||
        inner->attr.count < 1)
        return false;
    for (int i = 0; i < inner->attr.count; i++) /* the last ones */
        if (inner->attr.at[i] != rank - inner->attr.count + i ||
            node(g, scaled[1])->shape.rank != inner->attr.count)
            return false;
    p->op = "LayerNormalization";
    p->n = offset ? 3 : 2;
    p->in[0] = inner->args[0];
    p->in[1] = scaled[1];
    p->in[2] = affine[1];
    p->axis = inner->attr.at[0] - rank;
    return p->has_axis = p->has_epsilon = true;
}

static bool linear(const struct ir_graph *g, const struct ir_region *r, struct onnx_phrase *p)
{
    ir_val affine[2] = { r->result };
    const bool offset = r->arity == 3 && both(g, r->result, IR_add, affine);
    const struct ir_node *dot = node(g, affine[0]);

    if (dot->op != IR_dot || strcmp(dot->text, "mk,nk->mn") != 0 ||
        (offset ? node(g, affine[1])->shape.rank != 1 : r->arity != 2))
        return false;
    p->op = "Gemm";
    p->n = offset ? 3 : 2;
    p->in[0] = dot->args[0];
    p->in[1] = dot->args[1];
    p->in[2] = affine[1];
    return p->transposed = true;
}

static bool convolution(const struct ir_graph *g, const struct ir_region *r, struct onnx_phrase *p)
{
    ir_val affine[2] = { r->result };
    const struct ir_node *conv;

    if (r->arity != 3 || !both(g, r->result, IR_add, affine))
        return false; /* without a bias it is one node anyway */
    conv = node(g, affine[0]);
    if (conv->op != IR_conv || node(g, affine[1])->op != IR_reshape ||
        node(g, affine[1])->args[0].id != r->args[2].id || node(g, r->args[2])->shape.rank != 1)
        return false;
    *p = (struct onnx_phrase){
        .op = "Conv", .n = 3, .in = { conv->args[0], conv->args[1], r->args[2] }, .window = conv
    };
    return true;
}

static bool batch_norm(const struct ir_region *r, struct onnx_phrase *p)
{
    if (r->arity != 5 || r->attr.count != 1)
        return false;
    p->op = "BatchNormalization";
    p->n = 5;
    memcpy(p->in, r->args, sizeof p->in);
    memcpy(&p->epsilon, &r->attr.at[0], sizeof p->epsilon);
    return p->has_epsilon = true;
}

bool onnx_region_phrase(const struct ir_graph *g, uint32_t region, struct onnx_phrase *p)
{
    const struct ir_region *r = &g->region[region];
    const struct ir_node *result = node(g, r->result);

    *p = (struct onnx_phrase){ .n = 1 };
    if (r->kind < 0 || !r->result.id)
        return false;
    for (int i = 0; i < r->arity; i++)
        if (!r->args[i].id)
            return false;
    if (strcmp(r->name, "layer_norm") == 0)
        return layer_norm(g, r, p);
    if (strcmp(r->name, "linear") == 0)
        return linear(g, r, p);
    if (strncmp(r->name, "conv", 4) == 0)
        return convolution(g, r, p);
    if (strcmp(r->name, "batch_norm") == 0)
        return batch_norm(r, p);
    if (r->arity != 1)
        return false;
    p->in[0] = r->args[0];
    if (strncmp(r->name, "gelu", 4) == 0) {
        p->op = "Gelu";
        p->word_name = "approximate";
        p->word = strcmp(r->name, "gelu_tanh") == 0 ? "tanh" : "none";
        return true;
    }
    p->op = tp_onnx_name_of(r->name, result->dtype);
    if (r->attr.count == 1) {
        p->has_axis = true;
        p->axis = r->attr.at[0];
    }
    return p->op != NULL && r->attr.count <= 1;
}

bool onnx_padded_away(const struct ir_node *window)
{
    for (int i = 0; i < window->attr[0].count; i++)
        if (window->attr[2].at[2 * i] >= window->attr[0].at[i] ||
            window->attr[2].at[2 * i + 1] >= window->attr[0].at[i])
            return true;
    return false;
}

/* A sum over axes, or over a window, divided by how many there are. */
static bool mean(const struct ir_graph *g, uint32_t v, struct onnx_phrase *p)
{
    ir_val part[2];
    const struct ir_node *sum;
    const struct ir_shape *from;
    double count = 1;

    if (!both(g, (ir_val){ v }, IR_div, part) || node(g, part[1])->op != IR_const)
        return false;
    sum = node(g, part[0]);
    if (sum->op != IR_sum && sum->op != IR_window_sum)
        return false;
    from = &node(g, sum->args[0])->shape;
    if (sum->op == IR_window_sum &&
        (from->rank != 2 + sum->attr[0].count || sum->attr[0].count > 3 || onnx_padded_away(sum)))
        return false;
    for (int i = 0; i < sum->attr[0].count; i++) {
        const int64_t extent =
            sum->op == IR_sum ? from->dim[sum->attr[0].at[i]] : sum->attr[0].at[i];
        if (!ir_dim_fixed(extent))
            return false;
        count *= (double)extent;
    }
    if (ir_number_of(node(g, part[1])) != count || ir_dtypes[sum->dtype].kind != 'f')
        return false;
    *p = (struct onnx_phrase){ .op = sum->op == IR_sum ? "ReduceMean" : "AveragePool",
                               .n = 1,
                               .in = { sum->args[0] } };
    if (sum->op == IR_sum)
        p->axes = sum->attr[0];
    else
        p->window = sum;
    return true;
}

bool onnx_phrase(const struct onnx_writer *w, uint32_t v, struct onnx_phrase *p)
{
    return w->region_of[v] ? onnx_region_phrase(w->g, w->region_of[v], p) : mean(w->g, v, p);
}

/* Theirs: all low pads, then all high ones. A convolution's lists stand one further to the front.
 */
void onnx_with_window(struct onnx_writer *w, const struct ir_node *n, int64_t groups)
{
    const bool conv = n->op == IR_conv || n->op == IR_conv_input;
    const struct ir_list *list = conv ? n->attr : n->attr + 1;
    const int axes = list[0].count;
    int64_t pads[2 * IR_RANK];

    for (int i = 0; i < axes; i++) {
        pads[i] = list[1].at[2 * i];
        pads[axes + i] = list[1].at[2 * i + 1];
    }
    onnx_with_ints(w, "kernel_shape", axes,
                   conv ? w->g->nodes[n->args[1].id].shape.dim + 2 : n->attr[0].at);
    onnx_with_ints(w, "strides", axes, list[0].at);
    onnx_with_ints(w, "pads", 2 * axes, pads);
    onnx_with_ints(w, "dilations", axes, list[2].at);
    if (groups)
        onnx_with_int(w, "group", groups);
}

const char *onnx_put_phrase(struct onnx_writer *w, const struct onnx_phrase *p)
{
    const char *in[6], *y;
    int n = 0;

    for (; n < p->n; n++)
        in[n] = w->name[p->in[n].id];
    if (p->axes.count)
        in[n++] = onnx_a_list(w, p->axes.count, p->axes.at);
    y = onnx_say(w, p->op, n, in);
    if (!y)
        return NULL;
    if (p->has_axis)
        onnx_with_int(w, "axis", p->axis);
    if (p->has_epsilon)
        onnx_with_float(w, "epsilon", p->epsilon);
    if (p->word)
        onnx_with_word(w, p->word_name, p->word);
    if (p->transposed)
        onnx_with_int(w, "transB", 1);
    if (p->axes.count)
        onnx_with_int(w, "keepdims", 0);
    if (p->window)
        onnx_with_window(w, p->window, p->window->op == IR_conv ? p->window->attr[3].at[0] : 0);
    if (strcmp(p->op, "AveragePool") == 0)
        onnx_with_int(w, "count_include_pad", 1);
    return y;
}

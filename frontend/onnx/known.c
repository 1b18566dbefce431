/*
 * known: the inputs of an ONNX node: their tensors, and their numbers where those are known.
 *
 * What has to be known before anything runs (a shape, an axis) is computed there and then by the
 * interpreter, from initialisers and, for a single run, from the inputs.
 */
#include "frontend/onnx/known.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    MOST_KNOWN = 1 << 24, /* elements that are computed beforehand, all together */
    MOST_WORK = 1 << 26,  /* and the operations on them: about a second */
    NODE_WORK = 16        /* of a node, whatever its size */
};

struct onnx_value *onnx_value_of(struct onnx_import *in, const char *name)
{
    size_t h = 1469598103934665603u;

    for (const char *c = name; *c; c++)
        h = (h ^ (unsigned char)*c) * 1099511628211u;
    h ^= h >> 29;
    for (;; h++) {
        struct onnx_value *v = &in->slot[h & (in->room - 1)];
        if (!v->name || strcmp(v->name, name) == 0)
            return v;
    }
}

/* --- errors ------------------------------------------------------------------------------------
 */

static tp_tensor fail(struct onnx_node *n, int status, const char *format, va_list list)
{
    char text[300];

    vsnprintf(text, sizeof text, format, list);
    ir_error(&n->g->error, status, "%.100s:%d: %s", n->at.file, n->at.line, text);
    return POISON(n->g);
}

tp_tensor onnx_wrong(struct onnx_node *n, const char *format, ...)
{
    va_list list;
    tp_tensor poison;

    va_start(list, format);
    poison = fail(n, IR_REFUSED, format, list);
    va_end(list);
    return poison;
}

tp_tensor onnx_lacks(struct onnx_node *n, const char *format, ...)
{
    va_list list;
    tp_tensor poison;

    va_start(list, format);
    poison = fail(n, IR_UNSUPPORTED, format, list);
    va_end(list);
    return poison;
}

bool onnx_ok(const struct onnx_node *n)
{
    return n->g->error.status == IR_OK;
}

/* --- values ------------------------------------------------------------------------------------
 */

bool onnx_has(const struct onnx_node *n, int i)
{
    return i < n->inputs && *n->proto->input[i];
}

/* A number without axes is part of the program; what has axes is a weight, or an array. */
static tp_tensor materialise(struct onnx_import *in, const char *name, const struct ir_array *a,
                             bool weight, tp_loc at)
{
    tp_graph *g = in->g;
    tp_shape shape = { .rank = a->shape.rank };
    const tp_dtype dtype = (tp_dtype)(a->dtype + 1);
    tp_tensor t;

    memcpy(shape.dim, a->shape.dim, sizeof shape.dim);
    if (a->shape.rank == 0) {
        double number;
        if (!ir_dtypes[a->dtype].bytes || ir_is_real(a->dtype)) {
            ir_load_real(&number, a, NULL, 0, 1);
            return tp_give(g, ir_number(g->ir, a->dtype, number, tp_place(g, at)));
        }
        wide whole;
        ir_load_exact(&whole, a, NULL, 0, 1);
        return tp_give(g, ir_integer(g->ir, a->dtype, (int64_t)whole, tp_place(g, at)));
    }
    if (!weight || !ir_is_real(a->dtype))
        return tp_array_at(g, dtype, shape, a->data, at);
    t = tp_param_at(g, name, shape, (tp_param_args){ .init = TP_ZEROS, .dtype = dtype }, at);
    if (t.id)
        tp_state_find(g, tp_node(t)->text)->given = true;
    if (t.id && ir_count(&a->shape))
        tp_set_values(t, a->data, (size_t)ir_count(&a->shape) * (size_t)ir_dtypes[a->dtype].bytes);
    return t;
}

tp_tensor onnx_array(struct onnx_node *n, const struct ir_array *array)
{
    return materialise(n->in, "", array, false, n->at);
}

tp_tensor onnx_tensor_of(struct onnx_import *in, struct onnx_value *v, tp_loc at)
{
    if (!v->tensor.id && v->initialiser) {
        if (!v->known)
            tp_onnx_value(v->initialiser, in->arena, &v->array);
        v->known = true;
        v->tensor = materialise(in, v->name, &v->array, true, at);
    }
    return v->tensor;
}

tp_tensor onnx_in(struct onnx_node *n, int i)
{
    struct onnx_value *v;

    if (!onnx_has(n, i))
        return onnx_wrong(n, "input %d is missing", i);
    v = onnx_value_of(n->in, n->proto->input[i]);
    if (!v->name)
        return onnx_wrong(n, "its input \"%.80s\" is not there", n->proto->input[i]);
    if (!v->tensor.id && !v->initialiser)
        return onnx_ok(n) ? onnx_lacks(n, "input %d, \"%.60s\", is an output that is not supported",
                                       i, n->proto->input[i])
                          : POISON(n->g);
    return onnx_tensor_of(n->in, v, n->at);
}

static double size_of(const struct ir_graph *g, ir_val v)
{
    return (double)ir_elements(g, &ir_at(g, v)->shape);
}

/* No less than the operations that the interpreter needs for a node whose extents are known. */
static double work_of(const struct ir_graph *g, const struct ir_node *n)
{
    double work = (double)ir_elements(g, &n->shape), step = 0;

    switch (n->op) {
    case IR_dot: /* b m n k: the square root of all three sizes has b^1.5 */
        work = sqrt(size_of(g, n->args[0]) * size_of(g, n->args[1]) * work) + work;
        break;
    case IR_conv:
    case IR_conv_input:
    case IR_conv_weight: /* each element of the greater one with each of a filter */
        work = fmax(work, size_of(g, n->args[0])) *
               fmax(1, size_of(g, n->args[1]) / (double)ir_at(g, n->args[1])->shape.dim[0]);
        break;
    case IR_window_sum:
    case IR_window_spread:
    case IR_window_max:
    case IR_window_argmax:
    case IR_window_place:
        for (int i = 0; i < n->attr[0].count; i++)
            work *= (double)n->attr[0].at[i];
        break;
    case IR_scan:
        for (uint32_t v = 1; v < n->body->count; v++)
            step += work_of(n->body, &n->body->nodes[v]);
        work = step * (double)ir_scan_number(n, IR_SCAN_LENGTH);
        break;
    default:
        break;
    }
    return work + NODE_WORK;
}

/* The elements that a node's value has, and the nodes of its body. */
static int64_t elements_of(const struct ir_graph *g, const struct ir_node *n)
{
    int64_t all = ir_elements(g, &n->shape);

    for (int i = 0; i < n->shape.rank; i++)
        if (!ir_dim_fixed(n->shape.dim[i]))
            return -1;
    for (uint32_t v = 1; n->body && all >= 0 && v < n->body->count; v++) {
        const int64_t inner = elements_of(n->body, &n->body->nodes[v]);
        all = inner < 0 || inner > MOST_KNOWN ? -1 : all + inner;
    }
    return all;
}

/* The numbers of v where they follow from what is known; marks what it reaches. */
static bool reached(struct onnx_import *in, uint32_t from, bool *seen, int64_t *room, double *work)
{
    const struct ir_graph *g = in->g->ir;

    seen[from] = true;
    for (uint32_t v = from; v >= 1; v--) {
        const struct ir_node *n = &g->nodes[v];
        int64_t elements;

        if (!seen[v])
            continue;
        if ((n->op == IR_input && !in->request->known) || n->op == IR_size || n->op == IR_bits)
            return false;
        elements = elements_of(g, n);
        if (elements < 0 || (*room += elements + 1) > MOST_KNOWN ||
            (*work += work_of(g, n)) > MOST_WORK)
            return false;
        for (int i = 0; i < n->arity; i++)
            seen[n->args[i].id] = true;
    }
    return true;
}

static bool compute(struct onnx_import *in, tp_tensor t, struct ir_array *array)
{
    const struct ir_graph *g = in->g->ir;
    const int inputs = in->model->inputs;
    bool *seen = calloc(g->count + 1, sizeof *seen);
    struct ir_binding *binding;
    struct ir_error error = { 0 };
    const ir_val value = tp_val(t);
    int64_t room = in->computed; /* what is not computed in the end costs nothing */
    double work = in->work;
    int bound = 0;
    bool ok = seen && reached(in, t.id, seen, &room, &work);

    if (ok) {
        in->computed = room;
        in->work = work;
    }
    binding = ir_alloc(in->arena, (size_t)(in->g->state_count + inputs + 1) * sizeof *binding);
    for (int i = 0; ok && in->request->known && i < inputs; i++)
        if (in->request->known[i].data)
            binding[bound++] =
                (struct ir_binding){ in->model->input[i].name, in->request->known[i] };
    for (int i = 0; ok && i < in->g->state_count; i++) {
        struct state *s = &in->g->states[i];
        if (s->value.id && seen[s->value.id])
            binding[bound++] =
                (struct ir_binding){ s->name, { s->dtype, s->shape, tp_state_numbers(in->g, s) } };
    }
    ok = ok && ir_evaluate(g, bound, binding, 1, &value, array, in->arena, &error);
    free(seen);
    return ok;
}

bool onnx_is_known(struct onnx_node *n, int i, struct ir_array *array)
{
    struct onnx_value *v;

    if (!onnx_has(n, i) || !onnx_ok(n))
        return false;
    v = onnx_value_of(n->in, n->proto->input[i]);
    if (!v->known && v->initialiser)
        tp_onnx_value(v->initialiser, n->in->arena, &v->array);
    else if (!v->known && !(v->tensor.id && compute(n->in, v->tensor, &v->array)))
        return false;
    v->known = true;
    *array = v->array;
    return true;
}

bool onnx_known(struct onnx_node *n, int i, struct ir_array *array)
{
    if (onnx_is_known(n, i, array))
        return true;
    if (onnx_ok(n) && !onnx_has(n, i))
        onnx_wrong(n, "input %d is missing", i);
    else if (onnx_ok(n))
        onnx_lacks(n, "its input \"%.60s\" is computed; expected one that is known before the run",
                   n->proto->input[i]);
    return false;
}

/*
 * Extents of symbols in a list of integers, which no interpreter can compute: what Shape gave,
 * taken apart and put together. How many; -1: it is something else.
 */
static int extents_of(struct onnx_import *in, tp_tensor t, int64_t *out, int room, int depth)
{
    const struct ir_node *n = tp_node(t);
    const tp_tensor first = { .g = t.g, .id = n->arity ? n->args[0].id : 0 };
    const int64_t elements = ir_elements(t.g->ir, &n->shape);
    struct ir_array a;
    int64_t own[64];
    int count = 0;

    if (elements < 0 || elements > room || elements > 64 || depth > 50)
        return -1;
    switch (n->op) {
    case IR_size:
        out[0] = n->attr[0].at[0];
        return 1;
    case IR_reshape:
    case IR_cast:
        return extents_of(in, first, out, room, depth + 1);
    case IR_concat:
        for (int i = 0; i < n->arity; i++) {
            const tp_tensor part = { .g = t.g, .id = n->args[i].id };
            const int more = extents_of(in, part, out + count, room - count, depth + 1);
            if (more < 0)
                return -1;
            count += more;
        }
        return count;
    case IR_slice:
        count = n->shape.rank == 1 ? extents_of(in, first, own, 64, depth + 1) : -1;
        for (int64_t i = 0; count >= 0 && i < elements; i++)
            out[i] = own[n->attr[0].at[0] + i * n->attr[2].at[0]];
        return count < 0 ? -1 : (int)elements;
    case IR_take:
        count = extents_of(in, first, own, 64, depth + 1);
        if (count < 0 || !compute(in, (tp_tensor){ .g = t.g, .id = n->args[1].id }, &a) ||
            ir_count(&a.shape) != elements)
            return -1;
        for (int64_t i = 0; i < elements; i++) {
            double at;
            ir_load_real(&at, &a, NULL, i, 1);
            if (!(at >= 0 && at < count))
                return -1;
            out[i] = own[(int)at];
        }
        return (int)elements;
    case IR_mul:
        count = extents_of(in, first, own, 1, depth + 1);
        if (count != 1 || extents_of(in, (tp_tensor){ .g = t.g, .id = n->args[1].id }, own + 1, 1,
                                     depth + 1) != 1)
            return -1;
        out[0] = ir_dim_mul(t.g->ir, own[0], own[1]);
        return out[0] == -1 ? -1 : 1;
    default:
        if (!compute(in, t, &a) || ir_is_real(a.dtype))
            return -1;
        for (int64_t i = 0; i < elements; i++) {
            wide whole;
            ir_load_exact(&whole, &a, NULL, i, 1);
            out[i] = (int64_t)whole;
        }
        return (int)elements;
    }
}

bool onnx_known_ints(struct onnx_node *n, int i, struct onnx_ints *ints)
{
    struct ir_array a;
    int64_t count;

    if (!onnx_is_known(n, i, &a) && onnx_has(n, i)) {
        const tp_tensor t = onnx_in(n, i);

        ints->at = ir_alloc(n->in->arena, 64 * sizeof *ints->at);
        ints->count = t.id ? extents_of(n->in, t, ints->at, 64, 0) : -1;
        if (ints->count >= 0)
            return true;
    }
    if (!onnx_known(n, i, &a))
        return false;
    count = ir_count(&a.shape);
    if (a.shape.rank > 1 || ir_is_real(a.dtype) || count > 1 << 16) {
        onnx_wrong(n, "input %d, \"%.60s\"; expected a list of integers", i, n->proto->input[i]);
        return false;
    }
    ints->count = (int)count;
    ints->at = ir_alloc(n->in->arena, (size_t)(count + 1) * sizeof *ints->at);
    for (int k = 0; k < ints->count; k++) {
        wide whole;
        ir_load_exact(&whole, &a, NULL, k, 1);
        ints->at[k] = (int64_t)whole;
    }
    return true;
}

bool onnx_known_number(struct onnx_node *n, int i, double *number)
{
    struct ir_array a;

    if (!onnx_known(n, i, &a))
        return false;
    if (ir_count(&a.shape) != 1) {
        onnx_wrong(n, "input %d, \"%.60s\"; expected one number", i, n->proto->input[i]);
        return false;
    }
    ir_load_real(number, &a, NULL, 0, 1);
    return true;
}

/*
 * evaluate_scan: the body again and again.
 *
 * The value of a scan is its results, all in one piece of memory: a head for each, then their
 * elements; `result` copies one out.
 */
#include "evaluate.h"

#include <stdlib.h>
#include <string.h>

#define ALIGNMENT 16

struct steps {
    const struct ir_node *n;
    const struct ir_graph *body;
    int carry, slices, outputs;
    int64_t length;
    bool runs;
    struct ir_array *result; /* of the scan */
    struct ir_binding *binding;
    ir_val *value;
};

static size_t bytes_of(const struct ir_array *a)
{
    return (size_t)(ir_count(&a->shape) * ir_dtypes[a->dtype].bytes);
}

/* heads and memory of all results; the carries as they come in */
static bool make_room(struct ir_evaluation *e, struct steps *s, const struct ir_array *arg,
                      struct ir_array *into)
{
    size_t all = (size_t)(s->outputs + 1) * sizeof *s->result, bytes;
    struct ir_array *head;
    char *at;

    for (int round = 0; round < 2; round++) {
        head = round ? calloc(all, 1) : NULL;
        if (round && !head)
            return ir_value_error(e, "no memory for %zu bytes", all);
        at = (char *)head + (size_t)(s->outputs + 1) * sizeof *head;
        for (int i = 0; i < s->outputs; i++) {
            const struct ir_node *o = ir_at(s->body, s->body->outputs[i].value);
            struct ir_array a = { .dtype = o->dtype, .data = at };
            if (!ir_fix_shape(e, s->body, &o->shape, &a.shape))
                return false;
            if (i >= s->carry) {
                memmove(a.shape.dim + 1, a.shape.dim, (size_t)a.shape.rank * sizeof *a.shape.dim);
                a.shape.dim[0] = s->length;
                a.shape.rank++;
            }
            if (__builtin_mul_overflow((size_t)ir_count(&a.shape), (size_t)ir_dtypes[a.dtype].bytes,
                                       &bytes) ||
                bytes > SIZE_MAX / 4 || all > SIZE_MAX / 4)
                return ir_value_error(e, "the results do not fit in memory");
            bytes = (bytes + ALIGNMENT) / ALIGNMENT * ALIGNMENT;
            if (round) {
                head[i] = a;
                at += bytes;
                if (i < s->carry)
                    memcpy(a.data, arg[i].data, bytes_of(&a));
            } else {
                all += bytes;
            }
        }
    }
    free(into->data);
    into->data = s->result = head;
    return true;
}

static void bind(struct steps *s, const struct ir_array *arg, int64_t t)
{
    for (int i = 0; i < s->n->arity; i++) {
        struct ir_array *a = &s->binding[i].array;
        if (i < s->carry) {
            *a = s->result[i];
        } else {
            *a = arg[i];
            if (i < s->carry + s->slices) {
                a->shape.rank--;
                memmove(a->shape.dim, a->shape.dim + 1,
                        (size_t)a->shape.rank * sizeof *a->shape.dim);
                a->data = (char *)a->data + (size_t)t * bytes_of(a);
            }
        }
    }
}

bool ir_value_of_scan(struct ir_evaluation *e, const struct ir_node *n, const struct ir_array *arg,
                      struct ir_array *result)
{
    struct steps s = { .n = n, .body = n->body, .outputs = n->body->output_count };
    struct ir_arena *scratch = ir_arena_new();
    ir_val *parameter = ir_alloc(scratch, ((size_t)n->arity + 1) * sizeof *parameter);
    bool ok;

    s.carry = (int)ir_scan_number(n, IR_SCAN_CARRY);
    s.slices = (int)ir_scan_number(n, IR_SCAN_SLICES);
    s.length = ir_extent(e, ir_scan_number(n, IR_SCAN_LENGTH));
    s.runs = ir_scan_when(n) < 0 || *(const bool *)arg[ir_scan_when(n)].data;
    s.binding = ir_alloc(scratch, ((size_t)n->arity + 1) * sizeof *s.binding);
    s.value = ir_alloc(scratch, ((size_t)s.outputs + 1) * sizeof *s.value);
    ir_parameters(s.body, parameter, n->arity);
    for (int i = 0; i < n->arity; i++)
        s.binding[i].name = ir_at(s.body, parameter[i])->text;
    for (int i = 0; i < s.outputs; i++)
        s.value[i] = s.body->outputs[i].value;
    ok = make_room(e, &s, arg, result);
    for (int64_t step = 0; ok && s.runs && step < s.length; step++) {
        int64_t t = ir_scan_number(n, IR_SCAN_REVERSE) ? s.length - 1 - step : step;
        struct ir_arena *arena = ir_arena_new();
        struct ir_array *out = ir_alloc(arena, ((size_t)s.outputs + 1) * sizeof *out);

        bind(&s, arg, t);
        ok = ir_evaluate_body(e, s.body, n->arity, s.binding, s.outputs, s.value, out, arena);
        for (int i = 0; ok && i < s.outputs; i++) {
            size_t bytes = bytes_of(&out[i]);
            char *to = s.result[i].data;
            if (bytes)
                memcpy(i < s.carry ? to : to + (size_t)t * bytes, out[i].data, bytes);
        }
        ir_arena_free(arena);
    }
    ir_arena_free(scratch);
    return ok;
}

/* loops of kernels are compiled; who evaluates has the scan that they were made of */
bool ir_value_of_kernels(struct ir_evaluation *e, const struct ir_node *n,
                         const struct ir_array *arg, struct ir_array *result)
{
    (void)arg, (void)result;
    return ir_error(e->error, IR_UNSUPPORTED, "%s: a loop of kernels is only compiled",
                    ir_ops[n->op].name);
}

bool ir_value_of_result(struct ir_evaluation *e, const struct ir_node *n,
                        const struct ir_array *arg, struct ir_array *result)
{
    const struct ir_array *from = (const struct ir_array *)arg[0].data + n->attr[0].at[0];

    (void)e;
    memcpy(result->data, from->data, bytes_of(from));
    return true;
}

/*
 * stream: results larger than what the last cache keeps are stored past it.
 *
 * A plain store first reads the line that it writes to; one past the cache does not, which saves a
 * third of the traffic of a map from memory to memory. It pays where the result would have left the
 * cache anyway, more than half of its size, and costs where the kernel has read the line: what is
 * updated in place is stored plainly. Only whole lanes at whole lines can be stored so.
 */
#include "passes.h"

#define LINE 64

/* Is the lane 0 of every vector at the beginning of a line? */
static bool aligned(const struct loop_kernel *k, loop_ix ix, int lanes)
{
    const struct loop_sum *sum = &k->sum[ix];

    for (int i = 0; i < sum->count; i++) {
        const struct loop_atom *a = &k->atom[sum->term[i].atom];
        const bool lane = a->kind == LOOP_ATOM_AXIS && (int)a->a == lanes;
        if (lane ? sum->term[i].scale != 1 : sum->term[i].scale % LOOP_LANES != 0)
            return false;
    }
    return sum->constant % LOOP_LANES == 0;
}

static void mark(struct loop_kernel *k, struct loop_block *b, const bool *streams, int lanes)
{
    for (int i = 0; i < b->count; i++) {
        struct loop_statement *s = b->at[i];
        if (s->kind == LOOP_FOR)
            mark(k, &s->body, streams, k->axis[s->axis].role == LOOP_VECTOR ? s->axis : lanes);
        else if (s->kind == LOOP_STORE && streams[s->buffer] && lanes >= 0 && !s->guards &&
                 aligned(k, s->ix, lanes))
            s->number = 1;
    }
}

/* the kernel turns another value's bytes into it */
static bool in_place(const struct loop_program *p, int kernel, ir_val v)
{
    for (int i = 0; i < p->places; i++)
        if (p->place[i].value.id == v.id && p->place[i].over >= 0 && p->place[i].first == kernel)
            return true;
    return false;
}

void pass_stream(struct loop_program *p)
{
    for (int i = 0; i < p->kernels; i++) {
        struct loop_kernel *k = p->kernel[i];
        bool any = false, *streams;
        if (k->call || k->mark || k->first || k->users > 1) /* for all users or none */
            continue;
        streams = ir_alloc(p->arena, (size_t)k->buffers + 1);
        for (int b = 0; b < k->buffers; b++) {
            const struct loop_buffer *f = &k->buffer[b];
            const int64_t bytes = f->elements * ir_dtypes[f->dtype].bytes;
            streams[b] = f->written && !f->read && !f->scratch && f->dtype == IR_F32 &&
                         f->base <= 1 && f->offset % LINE == 0 && bytes > p->target->l3 / 2 &&
                         !in_place(p, i, f->value);
            any |= streams[b];
        }
        if (any)
            mark(k, &k->body, streams, -1);
    }
}

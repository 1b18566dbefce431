/*
 * Fragments: what the 32 threads of a warp hold together, and multiply together.
 *
 * A tile's rows are dealt to the threads as the machine has it, so all of them must be there, at
 * the same rows: the index is the same for every thread of a warp, and so is every condition
 * around.
 */
#include "loop_check.h"

#include <inttypes.h>

enum { WARP = 32, ROWS = 16, BYTES = 32 };

/* is it a number of threads / 32, whatever the thread of a warp? */
static bool is_of_warps(const struct loop_kernel *k, const struct loop_atom *a)
{
    const struct loop_sum *of = &k->sum[a->a];
    const struct loop_atom *only = of->count == 1 ? &k->atom[of->term[0].atom] : NULL;

    return a->divisor % WARP == 0 && only && only->kind == LOOP_ATOM_AXIS &&
           k->axis[only->a].role == LOOP_BLOCK && of->term[0].scale == 1 && of->constant == 0;
}

/* one value for all threads of a warp */
static bool agrees(const struct loop_kernel *k, loop_ix ix)
{
    for (int i = 0; i < k->sum[ix].count; i++) {
        const struct loop_atom *a = &k->atom[k->sum[ix].term[i].atom];
        if (a->kind == LOOP_ATOM_VALUE ||
            (a->kind == LOOP_ATOM_AXIS &&
             (k->axis[a->a].role == LOOP_BLOCK || !agrees(k, k->axis[a->a].from))) ||
            (a->kind == LOOP_ATOM_DIV && !is_of_warps(k, a) && !agrees(k, a->a)))
            return false;
    }
    return true;
}

/* do all threads of a warp get here, the same number of times? */
static bool is_whole(struct loop_check *c)
{
    const struct loop_kernel *k = c->shadow;

    for (int i = 0; i < c->depth; i++) {
        const struct loop_statement *s = c->around[i];
        const struct loop_axis *a = &k->axis[s->axis];
        const struct loop_guard inside = { a->from, a->to };
        for (int g = 0; g < s->guards; g++)
            if (!agrees(k, s->guard[g].ix) || !agrees(k, s->guard[g].limit))
                return false;
        if (a->role == LOOP_SERIAL && !(agrees(k, a->from) && agrees(k, a->to)) &&
            !(a->step >= a->hi - a->lo && loop_guard_state(k, &inside) == 1))
            return false;
    }
    for (int i = 0; i < k->axes; i++)
        if (c->members >> i & 1 && k->axis[i].hi % WARP)
            return false;
    return c->members != 0;
}

bool loop_fragment_holds(struct loop_check *c, const struct loop_statement *s)
{
    const struct loop_buffer *b = &c->k->buffer[s->buffer];
    const int64_t deep = BYTES / ir_dtypes[b->dtype].bytes;

    if (!b->scratch || (b->dtype != IR_BF16 && b->dtype != IR_F32))
        return loop_wrong(c, "of what is no tile of bf16 or f32");
    if (s->guards || !is_whole(c))
        return loop_wrong(c, "where not all threads of a warp are");
    if (!agrees(c->shadow, s->ix))
        return loop_wrong(c, "at a place that is not the same for all threads of a warp");
    if (s->pitch < 1 || s->pitch2 < 1 || (s->pitch != 1 && s->pitch2 != 1) ||
        s->pitch > LOOP_FAR / 64 || s->pitch2 > LOOP_FAR / 64)
        return loop_wrong(c, "pitches %" PRId64 " and %" PRId64 "; expected 1 and another",
                          s->pitch, s->pitch2);
    return loop_arity_is(c, s, 0) && loop_types_agree(c, s->dtype, b->dtype) &&
           loop_reaches_only(c, s->buffer, s->ix, (ROWS - 1) * s->pitch + (deep - 1) * s->pitch2,
                             true);
}

bool loop_multiply_holds(struct loop_check *c, const struct loop_statement *s)
{
    const uint32_t sum = s->args[0];
    uint64_t left = s->over & c->unrolled & c->inside[sum];
    int extents = 0;

    if (!loop_arity_is(c, s, 3))
        return false;
    if (!c->variable[sum] || !c->fragment[s->args[1]] || !c->fragment[s->args[2]])
        return loop_wrong(c, "of values that are no variable and two fragments");
    if (s->guards || !is_whole(c))
        return loop_wrong(c, "where not all threads of a warp are");
    for (int i = 0; i < c->k->axes; i++)
        if (left >> i & 1)
            extents = 10 * extents + (int)(c->k->axis[i].hi < 10 ? c->k->axis[i].hi : 9);
    if (left != s->over || extents != 24)
        return loop_wrong(c, "over what is no unrolled loop of 2 and then one of 4 around the sum");
    for (int i = 1; i < 3; i++)
        if (c->shadow->value[s->args[i]].depends & s->over)
            return loop_wrong(c, "a fragment that differs along what it is multiplied over");
    return loop_types_agree(c, c->k->value[sum].dtype, IR_F32) &&
           loop_types_agree(c, c->k->value[s->args[1]].dtype, c->k->value[s->args[2]].dtype) &&
           loop_update_is_in_order(c, sum);
}

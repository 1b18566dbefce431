/*
 * lower_call: a kernel that calls a C function of the user's with whole arrays, each dense at the
 * symbols' bounds: what it reads was stored so by kernels before it (layout.c).
 */
#include "lower.h"

uint32_t pass_lower_of_custom(struct lower *l, const struct ir_node *n, const loop_ix *index)
{
    (void)index;
    return pass_lower_fail(l, "%.60s is computed among other values; expected a kernel of its own",
                           n->text);
}

static bool describe(struct lower *l, ir_val v, struct loop_argument *a)
{
    const struct pass_storage *s = &l->c->storage[v.id];
    const struct ir_shape *shape = &ir_at(l->g, v)->shape;

    *a = (struct loop_argument){ .shape = *shape };
    for (int i = 0; i < shape->rank; i++)
        if (s->parts != shape->rank || s->part[i].axis != i || s->part[i].divisor != 1 ||
            s->part[i].extent)
            return false;
        else
            a->pitch[i] = s->part[i].pitch;
    a->buffer = s->parts < 0 ? -1 : pass_lower_buffer(l, v);
    return s->parts >= 0;
}

void pass_lower_call(struct lower *l, ir_val v)
{
    const struct ir_node *n = ir_at(l->g, v);
    struct loop_call *call = ir_alloc(l->c->arena, sizeof *call);
    struct loop_argument *a = ir_alloc(l->c->arena, ((size_t)n->arity + 1) * sizeof *a);

    *call = (struct loop_call){ .name = n->text,
                                .by = n->attr[0].count ? (int)n->attr[0].at[0] : -1,
                                .arguments = n->arity,
                                .argument = a,
                                .custom = n->custom };
    l->at = v;
    for (int i = 0; i <= n->arity; i++) {
        const ir_val of = i < n->arity ? n->args[i] : v;
        if ((i < n->arity && l->c->kernel_of[of.id] == l->kernel) || !describe(l, of, &a[i])) {
            pass_lower_fail(l, "argument %d of %.60s is no dense array of another kernel", i,
                            n->text);
            return;
        }
        l->k->buffer[a[i].buffer].read |= i < n->arity;
        l->k->buffer[a[i].buffer].written |= i == n->arity;
    }
    l->k->call = call;
}

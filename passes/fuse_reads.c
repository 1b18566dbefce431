/*
 * What a node reads, and where. Views, constants and index arithmetic belong to no kernel: they are
 * computed wherever they are read, so a question about a node goes through them to what is stored.
 */
#include "passes/fuse.h"

#include <string.h>

/* A chain of virtual values is computed anew by each that reads it, one inside the other: one that
 * is longer is stored in between. */
#define DEEPEST 12

/* comparisons, and what is made of constants and indices alone: cheaper to compute again than to
 * store and read */
static bool is_free(const struct ir_node *n, const bool *virtual)
{
    if (n->op == IR_const || n->op == IR_iota || n->op == IR_size)
        return true;
    if (!ir_pointwise(n->op))
        return false;
    for (int i = 0; i < n->arity; i++)
        if (!virtual[n->args[i].id])
            return false;
    return true;
}

static bool compares(enum ir_op op)
{
    return ir_ops[op].group == IR_COMPARE || ir_ops[op].group == IR_PREDICATE;
}

/* On a GPU a bf16 becomes an f32 wherever it is read: for a shift, half is read. */
static bool widens(const struct fuse *f, const struct ir_node *n)
{
    const struct pass_options *options = f->options;

    return options->target && options->target->processors && options->fuse && n->op == IR_cast &&
           n->dtype == IR_F32 && ir_at(f->g, n->args[0])->dtype == IR_BF16;
}

/* how much longer the chain gets: a reshape that cuts extents anew makes an index of an index */
static int link(const struct ir_graph *g, const struct ir_node *n)
{
    const struct ir_shape *a = n->arity ? &ir_at(g, n->args[0])->shape : NULL;
    int i = 0, j = 0;

    if (n->op != IR_reshape)
        return 1;
    for (; i < a->rank || j < n->shape.rank; i++, j++) { /* extents of 1 come and go for nothing */
        while (i < a->rank && a->dim[i] == 1)
            i++;
        while (j < n->shape.rank && n->shape.dim[j] == 1)
            j++;
        if ((i < a->rank) != (j < n->shape.rank) || (i < a->rank && a->dim[i] != n->shape.dim[j]))
            return DEEPEST;
    }
    return 1;
}

bool *pass_fuse_virtual(struct fuse *f)
{
    bool *virtual = ir_alloc(f->arena, f->g->count * sizeof *virtual);
    bool *memory = ir_alloc(f->arena, f->g->count * sizeof *memory); /* made of what is stored? */
    uint8_t *depth = f->depth = ir_alloc(f->arena, f->g->count * sizeof *depth);

    for (uint32_t v = 1; v < f->g->count; v++) {
        const struct ir_node *n = &f->g->nodes[v];
        /* a change of layout, or what must be stored */
        bool copies = n->op == IR_stop_gradient || n->op == IR_barrier;
        bool view = pass_is_view(n->op) && !copies;
        f->barriers |= n->op == IR_barrier;

        virtual[v] = view || (!copies && is_free(n, virtual));
        memory[v] = ir_is_memory(n->op) || !(virtual[v] || copies);
        for (int i = 0; i < n->arity; i++) {
            ir_val a = n->args[i];
            memory[v] |= memory[a.id];
            int longer = virtual[a.id] ? depth[a.id] + link(f->g, n) : 0;
            depth[v] = longer > depth[v] ? (uint8_t)longer : depth[v];
        }
        if (memory[v] && !view) /* pointwise over views of memory is computed, not free */
            virtual[v] = (compares(n->op) && f->options->fuse) || widens(f, n) ||
                         (f->cheap && f->cheap[v]);
        if (depth[v] >= DEEPEST) {
            virtual[v] = false;
            memory[v] = true;
        }
        if (n->op == IR_store && memory[n->args[1].id] &&
            (compares(ir_at(f->g, n->args[1])->op) || widens(f, ir_at(f->g, n->args[1]))))
            virtual[n->args[1].id] = false; /* of memory that the same step may change */
    }
    return virtual;
}

static void find_bases(struct fuse *f, ir_val v)
{
    const struct ir_node *n = ir_at(f->g, v);

    for (int i = ir_is_store(n->op); i < n->arity; i++) {
        if (n->op == IR_store && n->args[i].id == n->args[0].id)
            continue; /* the time it is stored at */
        ir_val a = n->args[i];
        if (f->seen[a.id] == f->stamp)
            continue;
        f->seen[a.id] = f->stamp;
        if (f->virtual[a.id])
            find_bases(f, a);
        else
            f->base[f->bases++] = a;
    }
}

void pass_fuse_bases(struct fuse *f, ir_val v)
{
    f->bases = 0;
    f->stamp++;
    find_bases(f, v);
}

/* --- at which index ------------------------------------------------------------------------------
 */

/*
 * Is every read of the group's values by v, v being at index[], at the very index where the group
 * has them? Reads of other groups are loads and may be anywhere.
 */
static bool reads_in_place(struct fuse *f, int group, ir_val v, const loop_ix *index,
                           const loop_ix *axes)
{
    const struct ir_node *n = ir_at(f->g, v);
    loop_ix inner[IR_RANK];

    if (f->steps-- <= 0) /* a tangle of index arithmetic: no */
        return false;
    if (f->asked.id == v.id || f->group_of[v.id] == group) {
        for (int i = 0; i < n->shape.rank; i++)
            if (index[i] != axes[i])
                return false;
        return true;
    }
    if (!f->virtual[v.id])
        return true;
    if (pass_is_view(n->op))
        return pass_view(f->k, f->g, n, index, inner) &&
               reads_in_place(f, group, n->args[0], inner, axes);
    for (int i = 0; i < n->arity; i++) {
        pass_broadcast(f->k, &n->shape, &ir_at(f->g, n->args[i])->shape, index, inner);
        if (!reads_in_place(f, group, n->args[i], inner, axes))
            return false;
    }
    return true;
}

static void domain_axes(struct fuse *f, const struct ir_shape *domain, loop_ix *axes)
{
    for (int i = 0; i < domain->rank; i++) {
        int64_t most = ir_dim_max(f->g, domain->dim[i]);
        int axis = loop_axis_new(f->k, "i", loop_dim_ix(f->k, domain->dim[i]), most > 0 ? most : 1);
        axes[i] = loop_axis_ix(f->k, axis);
        /* two axes of one extent must not look alike; a symbolic one may be 1 but is an axis all
         * the same */
    }
}

bool pass_fuse_in_place(struct fuse *f, int group, const struct ir_node *n,
                        const struct ir_shape *at)
{
    loop_ix axes[IR_RANK], inner[IR_RANK];
    bool asked = false;

    for (int i = 0; i < n->arity; i++) {
        const struct ir_shape *a = &ir_at(f->g, n->args[i])->shape;
        if (!f->virtual[n->args[i].id] &&
            (ir_same_shape(a, at) ||
             (n->args[i].id != f->asked.id && f->group_of[n->args[i].id] != group)))
            continue; /* as most are: no index says otherwise */
        if (!asked) {
            f->k = loop_kernel_new(f->scratch, f->g, "fuse"); /* a fresh index space */
            f->steps = 2000;
            f->questions++;
            domain_axes(f, &f->group[group].domain, axes);
            asked = true;
        }
        if (ir_pointwise(n->op) || ir_is_store(n->op))
            pass_broadcast(f->k, at, a, axes, inner);
        else
            memcpy(inner, axes, (size_t)a->rank * sizeof *inner);
        if (!reads_in_place(f, group, n->args[i], inner, axes))
            return false;
    }
    return !asked || !f->k->tangled;
}

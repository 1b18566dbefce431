/*
 * Why a kernel is no larger: the reason at each of its boundaries. Whoever could have computed two
 * nodes together and does not says so at once; when all kernels are made, what is left of that is
 * a line for each kernel that a kernel reads.
 */
#include "passes/fuse.h"

void pass_fuse_misfit(struct fuse *f, ir_val v, int group, const char *reason)
{
    ir_grow(f->arena, f->misfit, f->misfits, f->misfit_room);
    f->misfit[f->misfits] = (struct fuse_misfit){ group, reason, f->misfit_of[v.id] };
    f->misfit_of[v.id] = f->misfits++;
}

static int live(const struct fuse *f, int k)
{
    while (k >= 0 && f->group[k].absorbed >= 0)
        k = f->group[k].absorbed;
    return k;
}

/* The latest reason why the node did not go with that group; NULL: nobody has asked. */
static const char *reason_at(const struct fuse *f, ir_val v, int group)
{
    for (int i = f->misfit_of[v.id]; i >= 0; i = f->misfit[i].next)
        if (live(f, f->misfit[i].group) == group)
            return f->misfit[i].reason;
    return NULL;
}

/* What nobody needed to ask for. */
static const char *reason_of_class(const struct fuse *f, int k, int other)
{
    const struct fuse_group *g = &f->group[k];

    if (!f->options->fuse)
        return "a kernel an operation";
    if (g->loop != f->group[other].loop)
        return "it runs in another loop";
    switch (g->class) {
    case FUSE_CONTRACT:
        return "its sums read each element many times";
    case FUSE_WINDOW:
        return "its windows overlap";
    case FUSE_SCATTER:
        return "it adds to places that an index says";
    case FUSE_COLUMN:
        return "it sums across the rows that are made there";
    default:
        return f->group[k].reason ? f->group[k].reason : "they were made side by side";
    }
}

void pass_fuse_boundaries(struct fuse *f, int k, struct ir_kernel *kernel)
{
    int room = 0;

    for (int i = 0; i < kernel->count; i++) {
        const ir_val v = kernel->nodes[i];

        pass_fuse_bases(f, v);
        for (int b = 0; b < f->bases; b++) {
            const int other = live(f, f->group_of[f->base[b].id]);
            const char *reason = other < 0 || other == k ? NULL : reason_at(f, v, other);

            if (other < 0 || other == k || ir_has_results(ir_at(f->g, f->base[b])->op))
                continue;
            if (f->group[other].reader == k + 1) { /* one line a kernel, and the better reason */
                if (reason)
                    kernel->boundary[f->group[other].boundary].reason = reason;
                continue;
            }
            ir_grow(f->arena, kernel->boundary, kernel->boundaries, room);
            kernel->boundary[kernel->boundaries++] =
                (struct ir_boundary){ f->base[b], reason ? reason : reason_of_class(f, k, other) };
            f->group[other].reader = k + 1;
            f->group[other].boundary = kernel->boundaries - 1;
        }
    }
}

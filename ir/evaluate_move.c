/*
 * Movement and indexing in the interpreter: copies between affine maps, and rows or elements that
 * integers pick.
 */
#include "evaluate.h"

#include <stdlib.h>
#include <string.h>

static int64_t bytes_of(const struct ir_array *a)
{
    return ir_dtypes[a->dtype].bytes;
}

/* --- movement: copies between affine maps ---------------------------------------------------- */

/* One element for each index of w, from from[offset[1]] to to[offset[0]]. */
static void copy(struct ir_array *to, const struct ir_array *from, struct ir_walk w)
{
    const size_t bytes = (size_t)bytes_of(to);

    for (ir_walk_start(&w); !w.done; ir_walk_next(&w))
        memcpy((char *)to->data + (size_t)w.offset[0] * bytes,
               (const char *)from->data + (size_t)w.offset[1] * bytes, bytes);
}

/* A walk over all of the result in which walker 0 is its element; walker 1 is still to be set. */
static struct ir_walk over(const struct ir_array *a)
{
    struct ir_walk w = { .rank = a->shape.rank };

    memcpy(w.extent, a->shape.dim, sizeof a->shape.dim);
    ir_strides(&a->shape, w.stride[0]);
    return w;
}

bool ir_value_of_reshape(struct ir_evaluation *e, const struct ir_node *n,
                         const struct ir_array *arg, struct ir_array *result)
{
    if (ir_count(&arg->shape) != ir_count(&result->shape))
        return ir_value_error(e, "%ld elements into %ld", (long)ir_count(&arg->shape),
                              (long)ir_count(&result->shape));
    return ir_value_of_same(e, n, arg, result);
}

bool ir_value_of_permute(struct ir_evaluation *e, const struct ir_node *n,
                         const struct ir_array *arg, struct ir_array *result)
{
    struct ir_walk w = over(result);
    int64_t stride[IR_RANK];

    (void)e;
    ir_strides(&arg->shape, stride);
    for (int i = 0; i < w.rank; i++)
        w.stride[1][i] = stride[n->attr[0].at[i]];
    copy(result, arg, w);
    return true;
}

bool ir_value_of_expand(struct ir_evaluation *e, const struct ir_node *n,
                        const struct ir_array *arg, struct ir_array *result)
{
    struct ir_walk w = over(result);
    int64_t stride[IR_RANK];

    (void)e, (void)n;
    ir_strides(&arg->shape, stride);
    for (int i = 0; i < arg->shape.rank; i++)
        w.stride[1][i + w.rank - arg->shape.rank] = arg->shape.dim[i] == 1 ? 0 : stride[i];
    copy(result, arg, w);
    return true;
}

bool ir_value_of_slice(struct ir_evaluation *e, const struct ir_node *n, const struct ir_array *arg,
                       struct ir_array *result)
{
    struct ir_walk w = over(result);
    int64_t stride[IR_RANK];

    ir_strides(&arg->shape, stride);
    for (int i = 0; i < w.rank; i++) {
        const int64_t start = ir_extent(e, n->attr[0].at[i]), step = ir_extent(e, n->attr[2].at[i]);

        if (result->shape.dim[i] > 0 &&
            (start < 0 || start + (result->shape.dim[i] - 1) * step >= arg->shape.dim[i]))
            return ir_value_error(e, "axis %d has %ld elements, from %ld by %ld", i,
                                  (long)arg->shape.dim[i], (long)start, (long)step);
        w.stride[1][i] = stride[i] * step;
        w.offset[1] += stride[i] * start;
    }
    copy(result, arg, w);
    return true;
}

bool ir_value_of_flip(struct ir_evaluation *e, const struct ir_node *n, const struct ir_array *arg,
                      struct ir_array *result)
{
    struct ir_walk w = over(result);

    (void)e;
    ir_strides(&arg->shape, w.stride[1]);
    for (int i = 0; i < n->attr[0].count; i++) {
        const int64_t axis = n->attr[0].at[i];

        w.offset[1] += (w.extent[axis] - 1) * w.stride[1][axis];
        w.stride[1][axis] = -w.stride[1][axis];
    }
    copy(result, arg, w);
    return true;
}

bool ir_value_of_pad(struct ir_evaluation *e, const struct ir_node *n, const struct ir_array *arg,
                     struct ir_array *result)
{
    struct ir_walk fill = over(result), w = { .rank = arg->shape.rank };

    copy(result, arg + 1, fill);
    ir_strides(&arg->shape, w.stride[1]);
    ir_strides(&result->shape, w.stride[0]);
    for (int i = 0; i < w.rank; i++) { /* a negative lo or hi cuts */
        const int64_t lo = ir_extent(e, n->attr[0].at[i]), hi = ir_extent(e, n->attr[1].at[i]);

        w.extent[i] = arg->shape.dim[i] + (lo < 0 ? lo : 0) + (hi < 0 ? hi : 0);
        w.extent[i] = w.extent[i] < 0 ? 0 : w.extent[i];
        w.offset[0] += (lo > 0 ? lo : 0) * w.stride[0][i];
        w.offset[1] += (lo < 0 ? -lo : 0) * w.stride[1][i];
    }
    copy(result, arg, w);
    return true;
}

bool ir_value_of_concat(struct ir_evaluation *e, const struct ir_node *n,
                        const struct ir_array *arg, struct ir_array *result)
{
    const int64_t axis = n->attr[0].at[0];
    int64_t stride[IR_RANK], from = 0;

    (void)e;
    ir_strides(&result->shape, stride);
    for (int k = 0; k < n->arity; k++) {
        struct ir_walk w = { .rank = result->shape.rank, .offset = { from * stride[axis] } };

        memcpy(w.extent, arg[k].shape.dim, sizeof arg[k].shape.dim);
        memcpy(w.stride[0], stride, sizeof stride);
        ir_strides(&arg[k].shape, w.stride[1]);
        copy(result, arg + k, w);
        from += arg[k].shape.dim[axis];
    }
    return true;
}

/* --- indexing -------------------------------------------------------------------------------- */

/* All elements of a as exact integers; freed by the caller; NULL with an error. */
static wide *integers(const struct ir_evaluation *e, const struct ir_array *a)
{
    wide *to = malloc(((size_t)ir_count(&a->shape) + 1) * sizeof *to);

    if (to)
        ir_load_exact(to, a, NULL, 0, ir_count(&a->shape));
    else
        ir_value_error(e, "no memory");
    return to;
}

/* The integers of b, each in 0..extent-1; NULL with an error. */
static wide *indices(const struct ir_evaluation *e, const struct ir_array *b, int64_t extent)
{
    wide *index = integers(e, b);

    for (int64_t i = 0; index && i < ir_count(&b->shape); i++)
        if (index[i] < 0 || index[i] >= extent) {
            ir_value_error(e, "index %ld; expected 0..%ld", (long)index[i], (long)extent - 1);
            free(index);
            return NULL;
        }
    return index;
}

/* An array of sums, in double or exact, that is rounded to its type once. */
struct sums {
    bool is_real;
    double *real;
    wide *exact;
};

static bool sums_start(struct ir_evaluation *e, struct sums *s, const struct ir_array *a)
{
    s->is_real = ir_is_real(a->dtype);
    s->exact = calloc((size_t)ir_count(&a->shape) + 1, sizeof *s->exact);
    s->real = (double *)s->exact;
    return s->exact || ir_value_error(e, "no memory");
}

static void sums_add(struct sums *s, int64_t to, const struct ir_array *from, int64_t at)
{
    double x;
    wide k;

    if (s->is_real) {
        ir_load_real(&x, from, NULL, at, 1);
        s->real[to] += x;
    } else {
        ir_load_exact(&k, from, NULL, at, 1);
        s->exact[to] += k;
    }
}

static void sums_end(struct sums *s, struct ir_array *a)
{
    if (s->is_real)
        ir_store_real(a, 0, ir_count(&a->shape), s->real);
    else
        ir_store_exact(a, 0, ir_count(&a->shape), s->exact);
    free(s->exact);
}

/* take and put_add: `many` holds [before, extent, after], `few` [before, indices, after]. */
struct rows {
    int64_t before, extent, count, after;
};

static struct rows rows_of(const struct ir_array *many, const struct ir_array *b, int64_t axis)
{
    struct rows r = {
        .before = 1, .extent = many->shape.dim[axis], .count = ir_count(&b->shape), .after = 1
    };

    for (int i = 0; i < many->shape.rank; i++)
        if (i < axis)
            r.before *= many->shape.dim[i];
        else if (i > axis)
            r.after *= many->shape.dim[i];
    return r;
}

bool ir_value_of_take(struct ir_evaluation *e, const struct ir_node *n, const struct ir_array *arg,
                      struct ir_array *result)
{
    const struct rows r = rows_of(arg, arg + 1, n->attr[0].at[0]);
    const size_t bytes = (size_t)(r.after * bytes_of(arg));
    wide *index = indices(e, arg + 1, r.extent);

    if (!index)
        return false;
    for (int64_t p = 0; p < r.before; p++)
        for (int64_t j = 0; j < r.count; j++)
            memcpy((char *)result->data + (size_t)(p * r.count + j) * bytes,
                   (const char *)arg->data + (size_t)(p * r.extent + (int64_t)index[j]) * bytes,
                   bytes);
    free(index);
    return true;
}

bool ir_value_of_put_add(struct ir_evaluation *e, const struct ir_node *n,
                         const struct ir_array *arg, struct ir_array *result)
{
    const struct rows r = rows_of(result, arg + 1, n->attr[0].at[0]);
    wide *index = indices(e, arg + 1, r.extent);
    struct sums sums;

    if (!index)
        return false;
    if (!sums_start(e, &sums, result)) {
        free(index);
        return false;
    }
    for (int64_t p = 0; p < r.before; p++)
        for (int64_t j = 0; j < r.count; j++)
            for (int64_t q = 0; q < r.after; q++)
                sums_add(&sums, (p * r.extent + (int64_t)index[j]) * r.after + q, arg,
                         (p * r.count + j) * r.after + q);
    sums_end(&sums, result);
    free(index);
    return true;
}

/* A walk over the indices b; walker 0 is in the array with all of the axis, walker 1 in the one of
 * b's extents. */
static struct ir_walk along(const struct ir_array *many, const struct ir_array *few,
                            const struct ir_array *b, int64_t axis)
{
    struct ir_walk w = { .rank = b->shape.rank };

    memcpy(w.extent, b->shape.dim, sizeof b->shape.dim);
    ir_strides(&many->shape, w.stride[0]);
    ir_strides(&few->shape, w.stride[1]);
    w.stride[0][axis] = 0;
    ir_walk_start(&w);
    return w;
}

bool ir_value_of_gather(struct ir_evaluation *e, const struct ir_node *n,
                        const struct ir_array *arg, struct ir_array *result)
{
    const int64_t axis = n->attr[0].at[0];
    const size_t bytes = (size_t)bytes_of(arg);
    wide *index = indices(e, arg + 1, arg->shape.dim[axis]);
    struct ir_walk w = along(arg, result, arg + 1, axis);
    int64_t stride[IR_RANK];

    ir_strides(&arg->shape, stride);
    if (!index)
        return false;
    for (int64_t i = 0; !w.done; i++, ir_walk_next(&w))
        memcpy((char *)result->data + (size_t)w.offset[1] * bytes,
               (const char *)arg->data +
                   (size_t)(w.offset[0] + (int64_t)index[i] * stride[axis]) * bytes,
               bytes);
    free(index);
    return true;
}

bool ir_value_of_scatter_add(struct ir_evaluation *e, const struct ir_node *n,
                             const struct ir_array *arg, struct ir_array *result)
{
    const int64_t axis = n->attr[0].at[0];
    wide *index = indices(e, arg + 1, result->shape.dim[axis]);
    struct ir_walk w = along(result, arg, arg + 1, axis);
    struct sums sums;
    int64_t stride[IR_RANK];

    ir_strides(&result->shape, stride);
    if (!index)
        return false;
    if (!sums_start(e, &sums, result)) {
        free(index);
        return false;
    }
    for (int64_t i = 0; !w.done; i++, ir_walk_next(&w))
        sums_add(&sums, w.offset[0] + (int64_t)index[i] * stride[axis], arg, w.offset[1]);
    sums_end(&sums, result);
    free(index);
    return true;
}

bool ir_value_of_scatter_last(struct ir_evaluation *e, const struct ir_node *n,
                              const struct ir_array *arg, struct ir_array *result)
{
    const int64_t axis = n->attr[0].at[0];
    wide *index = indices(e, arg, result->shape.dim[axis]);
    struct ir_walk w = along(result, arg, arg, axis);
    int64_t stride[IR_RANK], *to = result->data;

    if (!index)
        return false;
    ir_strides(&result->shape, stride);
    for (int64_t i = 0; i < ir_count(&result->shape); i++)
        to[i] = -1;
    for (int64_t i = 0; !w.done; i++, ir_walk_next(&w))
        to[w.offset[0] + (int64_t)index[i] * stride[axis]] = w.index[axis];
    free(index);
    return true;
}

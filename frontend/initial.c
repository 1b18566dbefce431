/*
 * initial: parameters whose first numbers hang on each other, not on their own index alone:
 * orthogonal rows, an identity, columns with many zeros; and normal numbers that are cut off. They
 * are made when the parameter is, by the seed and its name, and kept as numbers.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "frontend/frontend.h"
#include "ir/evaluate.h"

struct filling {
    const struct state *state;
    uint64_t seed;
    double a, b;
    int64_t rows, columns; /* the first axis, all others */
    double *to;            /* rows * columns, zeroed */
};

/* Numbers by (seed, name, index); `of` keeps several of one parameter apart. */
static void chance(const struct filling *f, const char *of, enum ir_init kind, double a, double b,
                   double *to)
{
    int64_t attr[3] = { kind };
    const struct ir_node node = {
        .op = IR_state, .dtype = IR_F64, .text = of, .attr = { { .count = 3, .at = attr } }
    };

    memcpy(&attr[1], &a, sizeof a);
    memcpy(&attr[2], &b, sizeof b);
    ir_init_fill(&node, f->seed, 0, f->rows * f->columns, to);
}

static double dot(const double *a, const double *b, int64_t n, int64_t step)
{
    double sum = 0;

    for (int64_t i = 0; i < n; i++)
        sum += a[i * step] * b[i * step];
    return sum;
}

/*
 * Rows that stand at right angles, or columns where there are more rows: normal numbers by Gram and
 * Schmidt, each vector freed twice of those before it (Saxe et al., arXiv:1312.6120).
 */
static bool orthogonal(struct filling *f)
{
    const bool by_rows = f->rows <= f->columns;
    const int64_t vectors = by_rows ? f->rows : f->columns, n = by_rows ? f->columns : f->rows,
                  next = by_rows ? f->columns : 1, step = by_rows ? 1 : f->columns;

    chance(f, f->state->name, IR_INIT_NORMAL, 0, 1, f->to);
    for (int64_t v = 0; v < vectors; v++) {
        double *own = f->to + v * next, length;
        for (int64_t w = 0; w < 2 * v; w++) {
            const double *other = f->to + w % v * next, share = dot(own, other, n, step);
            for (int64_t i = 0; i < n; i++)
                own[i * step] -= share * other[i * step];
        }
        length = sqrt(dot(own, own, n, step));
        for (int64_t i = 0; i < n && length > 0; i++)
            own[i * step] /= length;
    }
    for (int64_t i = 0; i < f->rows * f->columns; i++)
        f->to[i] *= f->a;
    return true;
}

/* Within two deviations: numbers beyond are drawn anew, from the numbers of another name. */
static bool cut_off(struct filling *f)
{
    const int64_t all = f->rows * f->columns;
    double *more = malloc(((size_t)all + 1) * sizeof *more);
    char name[300];

    chance(f, f->state->name, IR_INIT_NORMAL, 0, 1, f->to);
    for (int turn = 1, left = 1; more && left && turn < 100; turn++) {
        snprintf(name, sizeof name, "%.250s#%d", f->state->name, turn);
        left = 0;
        for (int64_t i = 0; i < all && !left; i++)
            left = fabs(f->to[i]) > 2;
        if (left)
            chance(f, name, IR_INIT_NORMAL, 0, 1, more);
        for (int64_t i = 0; i < all && left; i++)
            f->to[i] = fabs(f->to[i]) > 2 ? more[i] : f->to[i];
    }
    for (int64_t i = 0; i < all; i++)
        f->to[i] *= f->b;
    free(more);
    return more != NULL;
}

/* Ones where a channel goes to itself, in the middle of a kernel. */
static bool identity(struct filling *f)
{
    int64_t in = f->state->shape.rank > 1 ? f->state->shape.dim[1] : 1, middle = 0;

    for (int i = 2; i < f->state->shape.rank; i++)
        middle = middle * f->state->shape.dim[i] + f->state->shape.dim[i] / 2;
    for (int64_t i = 0; i < f->rows && i < in; i++)
        f->to[i * f->columns + i * (f->columns / in) + middle] = 1;
    return true;
}

struct drawn {
    double key;
    int64_t row;
};

static int by_key(const void *a, const void *b)
{
    const struct drawn *x = a, *y = b;

    return x->key != y->key ? (x->key > y->key) - (x->key < y->key)
                            : (x->row > y->row) - (x->row < y->row);
}

/* Normal numbers, of each column so many zeros (Martens 2010). */
static bool sparse(struct filling *f)
{
    const int64_t zeros = (int64_t)ceil(f->a * (double)f->rows);
    double *key = malloc(((size_t)(f->rows * f->columns) + 1) * sizeof *key);
    struct drawn *order = malloc(((size_t)f->rows + 1) * sizeof *order);
    const bool fine = key && order;
    char name[300];

    snprintf(name, sizeof name, "%.250s#order", f->state->name);
    chance(f, f->state->name, IR_INIT_NORMAL, 0, f->b, f->to);
    if (fine)
        chance(f, name, IR_INIT_UNIFORM, 0, 1, key);
    for (int64_t c = 0; fine && c < f->columns; c++) {
        for (int64_t r = 0; r < f->rows; r++)
            order[r] = (struct drawn){ key[r * f->columns + c], r };
        qsort(order, (size_t)f->rows, sizeof *order, by_key);
        for (int64_t r = 0; r < zeros && r < f->rows; r++)
            f->to[order[r].row * f->columns + c] = 0;
    }
    free(order);
    free(key);
    return fine;
}

const char *tp_initial_wants(tp_init init, enum ir_dtype dtype, tp_shape shape)
{
    if (ir_dtypes[dtype].kind != 'f')
        return "a floating type";
    if (init.kind != 8 && shape.rank < 2)
        return "two axes or more";
    if (init.kind == 11 && (shape.rank != 2 || !(init.a >= 0 && init.a <= 1)))
        return "two axes, and a part of zeros from 0 to 1";
    return NULL;
}

bool tp_initial_fill(tp_graph *g, struct state *s, tp_init init)
{
    static bool (*const of_kind[])(struct filling *) = { cut_off, orthogonal, identity, sparse };
    struct filling f = { s, g->ir->seed, init.a, init.b, 1, 1, NULL };
    void *stored;
    bool ok;

    for (int i = 0; i < s->shape.rank; i++)
        *(i ? &f.columns : &f.rows) *= s->shape.dim[i];
    f.to = calloc((size_t)(f.rows * f.columns) + 1, sizeof *f.to);
    stored = calloc(s->bytes + 1, 1);
    ok = f.to && stored && of_kind[init.kind - 8](&f);
    if (ok) {
        struct ir_array numbers = { .dtype = s->dtype, .shape = s->shape, .data = stored };
        ir_store_real(&numbers, 0, f.rows * f.columns, f.to);
        ok = tp_state_write(g, s, stored);
        s->given = true;
    }
    free(f.to);
    free(stored);
    return ok;
}

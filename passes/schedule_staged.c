/*
 * schedule_staged: a large sum of products on a GPU, its operands staged in tiles.
 *
 * The loops of the results that move with the first operand become one index, the rows, those of
 * the second another, the columns, and the loops that are summed over a third: so a matrix product
 * of any transposition and a convolution in all its directions are one case, and differ in the
 * index of what is copied. A block computes a tile of results. It goes along the sum in steps of
 * 16: while its threads multiply what lies in one half of the shared tiles, the next 16 are on
 * their way into the other half. A value that is no plain element of a buffer is computed by
 * whoever copies it, once, and stored when the products are done.
 *
 * Operands in bf16, or in f32 where TF32 will do, are multiplied by a warp's tensor cores: 16 rows
 * of either make a fragment, and the statement `multiply` 16 by 16 sums of them, dealt to the
 * threads as the machine has it. It is the same schedule: only what a thread's results are, and
 * what is between two meetings, differs. Tiles of fragments lie as their operand does in memory, so
 * that copies are wide.
 *
 * Sums of single numbers are added in their order. What lies outside of an operand (edges, the
 * padding of an image, the end of the sum) is staged as 0: so bits are those of the CPU but where 0
 * times a weight is no 0 (an infinite weight at the border of an image), and for a sum that
 * underflow has made -0.
 */
#include "steps.h"

#include <string.h>

enum { WARP = 32, LEAST = 16, SIDES = 2, LOOPS = 2 * IR_RANK + 8 };

/* What is multiplied between two meetings: single numbers, or fragments. A row of a tile is padded
 * so that the 8 rows of a matrix lie in different banks of shared memory. */
static const struct unit {
    enum ir_dtype dtype;         /* of the tiles */
    int64_t deep, depth;         /* of the sum: a step, a fragment; 0: no fragments */
    int64_t square[SIDES];       /* results of a thread that lie side by side: down, across */
    int64_t pad_deep, pad_place; /* elements behind a row of the sum's, of places */
} single = { IR_F32, 16, 0, { 4, 4 }, 0, 4 }, halves = { IR_BF16, 32, 16, { 1, 2 }, 8, 8 },
  rounded = { IR_F32, 16, 8, { 1, 2 }, 4, 8 };

/* Results a block and a thread. A warp is 8 threads down and 4 across, each with squares (4 by 4 of
 * single numbers, 1 by 2 of fragments), 8 and 4 squares apart. `rate`: of the greatest, what such
 * tiles reach by their accesses alone; to be measured. */
static const struct shape {
    int64_t rows, columns, down, across;
    double rate;
} shapes[] = { { 128, 128, 8, 8, 1 },  { 128, 64, 8, 8, 0.9 }, { 64, 128, 8, 8, 0.9 },
               { 64, 64, 8, 8, 0.75 }, { 64, 64, 4, 4, 0.65 }, { 32, 64, 4, 4, 0.55 },
               { 64, 32, 4, 4, 0.55 }, { 32, 32, 4, 4, 0.45 } };

struct side { /* an operand, and the loops of the results that move with it and not with the other
               */
    int axis[LOOPS], axes;
    int64_t extent;    /* all of them, at most */
    loop_ix to, index; /* how many there are; which one a result is of */
    int64_t tile;
    uint32_t value;                   /* the operand */
    int argument;                     /* of the product */
    struct loop_statement *slice[32]; /* what computes it, in order; as it was */
    int slices, buffer;
    const struct loop_statement *plain; /* the load that is all of it; NULL: there is more */
    struct loop_guard guard[8];         /* where it is outside, there is no product */
    int guards;
    int64_t wide;    /* elements a copy */
    bool along;      /* neighbouring threads copy along the sum .. */
    bool turned;     /* .. whose elements lie side by side in the tile */
    int64_t copies;  /* a thread and step */
    int place, deep; /* axes: which row of the tile, which of the step's, the first is */
};

struct staged {
    struct loop_kernel *k;
    struct loop_block *inner, *holder; /* of the nest; of the loops along the sum */
    int at;                            /* .. and where they begin in it */
    struct loop_statement *chain[LOOPS], *set;
    int chains;
    bool repeated;   /* the sum is one of several of the thread */
    uint64_t around; /* .. along these */
    int64_t extent;
    loop_ix to;
    struct side side[SIDES];
    int batch[LOOPS], batches;
    int64_t batch_extent;
    const struct shape *shape;
    const struct unit *unit;
    int64_t threads;
    int block, thread, warp, lane, rows, columns, row, column, down, across, half, quarter, step,
        next, term;
    loop_ix first[SIDES]; /* the tile's first row, and column */
};

/* ---- does it fit? ---- */

static bool plain_axis(const struct loop_kernel *k, const struct loop_axis *a, uint64_t known)
{
    return a->role == LOOP_SERIAL && a->step == 1 && !a->lo && loop_is_const(k, a->from, NULL) &&
           !(loop_axes_of(k, a->to) & ~known) && !loop_reads_values(k, a->to);
}

/* Down to the products: the loops between that and the last block which does more than loop are the
 * sum. */
static bool find_chain(struct staged *t)
{
    struct loop_block *b = t->inner;

    for (bool outer = false;; outer = true) {
        struct loop_statement *loop = NULL;
        int at = 0;
        for (int i = 0; i < b->count; i++)
            if (b->at[i]->kind == LOOP_FOR) {
                if (loop)
                    return false;
                loop = b->at[i];
                at = i;
            } else if (b->at[i]->kind == LOOP_FOLD) {
                return false;
            }
        if (!loop)
            break;
        if (b->count > 1 || !outer) {
            if (t->chains > 1 ||
                (t->chains &&
                 (t->chain[0]->guards || !plain_axis(t->k, &t->k->axis[t->chain[0]->axis], 0))))
                return false;
            if (t->chains)
                t->around |= UINT64_C(1) << t->chain[0]->axis;
            t->repeated = outer;
            t->chains = 0;
            t->holder = b;
            t->at = at;
        }
        if (t->chains == LOOPS || !t->k->axis[loop->axis].ordered ||
            t->k->axis[loop->axis].role != LOOP_SERIAL)
            return false;
        t->chain[t->chains++] = loop;
        b = &loop->body;
    }
    for (int i = 0; i < b->count && t->chains; i++) {
        struct loop_statement *s = b->at[i];
        if (s->kind == LOOP_SET ? t->set || s->op != IR_dot
                                : s->kind != LOOP_LET && s->kind != LOOP_LOAD)
            return false;
        if (loop_reads_values(t->k, s->ix))
            return false;
        t->set = s->kind == LOOP_SET ? s : t->set;
    }
    return t->chains && t->set && t->k->value[t->set->args[0]].dtype == IR_F32;
}

/* What computes a value, of the statements of the innermost block. */
static bool collect(struct staged *t, struct side *side, uint32_t value)
{
    const struct loop_block *b = &t->chain[t->chains - 1]->body;

    for (int i = 0; i < b->count; i++) {
        if (b->at[i]->value != value)
            continue;
        for (int s = 0; s < side->slices; s++)
            if (side->slice[s]->value == value)
                return true;
        for (int a = 0; a < 3; a++)
            if (b->at[i]->args[a] && !collect(t, side, b->at[i]->args[a]))
                return false;
        if (side->slices == 32)
            return false;
        side->slice[side->slices++] = loop_copy(t->k, b->at[i]);
        return true;
    }
    return !t->k->value[value].variable;
}

static uint64_t axes_of(const struct staged *t, const struct loop_guard *g)
{
    return loop_axes_of(t->k, g->ix) | loop_axes_of(t->k, g->limit);
}

static bool is_fixed(const struct loop_kernel *k, int axis)
{
    int64_t to;

    return loop_is_const(k, k->axis[axis].to, &to) && to == k->axis[axis].hi;
}

/* One index for several loops, outermost first: only the outermost may have a symbol for its end.
 */
static bool join(struct loop_kernel *k, const int *axis, int axes, int64_t *extent, loop_ix *to)
{
    *extent = 1;
    for (int i = axes; i-- > 0;) {
        if (i && !is_fixed(k, axis[i]))
            return false;
        if (!i)
            *to = loop_scale(k, k->axis[axis[i]].to, *extent);
        if (__builtin_mul_overflow(*extent, k->axis[axis[i]].hi, extent) || *extent > INT64_C(1)
                                                                                          << 40)
            return false;
    }
    return axes > 0;
}

static void to_front(int *axis, int at)
{
    const int moved = axis[at];

    memmove(axis + 1, axis, (size_t)at * sizeof *axis);
    axis[0] = moved;
}

static void to_end(int *axis, int axes, int at)
{
    const int moved = axis[at];

    memmove(axis + at, axis + at + 1, (size_t)(axes - 1 - at) * sizeof *axis);
    axis[axes - 1] = moved;
}

/* a place of the results whose neighbours are neighbours in memory */
static bool beside(struct staged *t, int axis)
{
    for (int i = 0; i < t->inner->count; i++) {
        const struct loop_statement *s = t->inner->at[i];
        bool linear;
        if (s->kind == LOOP_STORE && loop_coefficient(t->k, s->ix, axis, &linear) == 1 && linear)
            return true;
    }
    return false;
}

/* an operand that is no more than a bf16 in f32 */
static bool is_narrow(const struct staged *t, const struct side *side)
{
    const struct loop_statement *last = side->slice[side->slices - 1];

    return side->slices > 1 && last->kind == LOOP_LET && last->op == IR_cast &&
           t->k->value[last->args[0]].dtype == IR_BF16;
}

static void find_unit(struct staged *t, const struct pass_options *options)
{
    t->unit = is_narrow(t, &t->side[0]) && is_narrow(t, &t->side[1]) ? &halves
              : options->tf32                                        ? &rounded
                                                                     : &single;
    for (int s = 0; s < SIDES && t->unit == &halves; s++) /* it is staged as it is */
        t->side[s].value = t->side[s].slice[--t->side[s].slices]->args[0];
}

static bool find_sides(struct staged *t, const struct nest *n, const struct pass_options *options)
{
    struct loop_kernel *k = t->k;
    uint64_t of[SIDES], bounds = 0;

    for (int i = 0; i < t->chains; i++)
        if (!plain_axis(k, &k->axis[t->chain[i]->axis], t->around))
            return false;
    for (int s = 0; s < SIDES; s++) {
        t->side[s].value = t->set->args[1 + s];
        t->side[s].argument = 1 + s;
        if (k->value[t->side[s].value].dtype != IR_F32 ||
            !collect(t, &t->side[s], t->side[s].value) || !t->side[s].slices)
            return false;
        of[s] = k->value[t->side[s].value].depends;
    }
    find_unit(t, options);
    for (int i = 0; i < n->count; i++) {
        const int axis = n->loop[i]->axis;
        const bool a = of[0] >> axis & 1, b = of[1] >> axis & 1;
        if (!plain_axis(k, &k->axis[axis], 0))
            return false;
        if (a == b || k->axis[axis].hi == 1) {
            t->batch[t->batches++] = axis;
            continue;
        }
        struct side *side = &t->side[b];
        side->axis[side->axes++] = axis;
        bounds |= UINT64_C(1) << axis;
    }
    for (int i = -1; i < t->chains;
         i++) { /* what is asked of one side is asked where it is copied */
        const struct loop_statement *s = i < 0 ? t->set : t->chain[i];
        for (int g = 0; g < s->guards; g++) {
            const uint64_t asked = axes_of(t, &s->guard[g]) & bounds;
            struct side *side = &t->side[(asked & ~of[0]) != 0];
            if (asked & ~of[side == &t->side[1]] || side->guards == 8 ||
                loop_reads_values(k, s->guard[g].ix) || loop_reads_values(k, s->guard[g].limit))
                return false;
            side->guard[side->guards++] = s->guard[g];
        }
    }
    for (int s = 0; s < SIDES; s++) {
        struct side *side = &t->side[s];
        for (int i = 0; i < side->axes; i++)
            if (beside(t, side->axis[i])) {
                to_end(side->axis, side->axes, i);
                break;
            }
        for (int i = 1; i < side->axes; i++)
            if (!is_fixed(k, side->axis[i]))
                to_front(side->axis, i);
        if (!join(k, side->axis, side->axes, &side->extent, &side->to))
            return false;
        side->plain =
            side->slices == 1 && side->slice[0]->kind == LOOP_LOAD && side->slice[0]->number == 0
                ? side->slice[0]
                : NULL;
    }
    if (beside(t, t->side[0].axis[t->side[0].axes - 1]) &&
        !beside(t, t->side[1].axis[t->side[1].axes - 1])) { /* columns lie side by side */
        const struct side turned = t->side[0];
        t->side[0] = t->side[1];
        t->side[1] = turned;
    }
    int axis[LOOPS];
    for (int i = 0; i < t->chains; i++)
        axis[i] = t->chain[i]->axis;
    t->batch_extent = 1;
    for (int i = 0; i < t->batches; i++)
        if (__builtin_mul_overflow(t->batch_extent, k->axis[t->batch[i]].hi, &t->batch_extent))
            return false;
    return join(k, axis, t->chains, &t->extent, &t->to);
}

/* ---- which tile ---- */

static int64_t tiles(int64_t extent, int64_t tile)
{
    return (extent + tile - 1) / tile;
}

/* The one whose rounds of blocks end first. */
static bool choose(struct staged *t, const struct pass_options *options)
{
    double least = 0;
    const int64_t *rows = &t->side[0].extent, *columns = &t->side[1].extent;

    if (*rows < 32 || *columns < 32 || t->extent < LEAST)
        return false;
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        const struct shape *s = &shapes[i];
        const double blocks = (double)tiles(*rows, s->rows) * (double)tiles(*columns, s->columns) *
                              (double)t->batch_extent;
        const double rounds = (double)(int64_t)((blocks - 1) / options->target->processors) + 1;
        const double time = rounds * (double)(s->rows * s->columns) / s->rate;
        if (blocks < (double)(INT64_C(1) << 30) && (!t->shape || time < least)) {
            t->shape = s;
            least = time;
        }
    }
    if (!t->shape)
        return false;
    t->side[0].tile = t->shape->rows;
    t->side[1].tile = t->shape->columns;
    t->threads = t->shape->rows / t->shape->down * (t->shape->columns / t->shape->across);
    return true;
}

static void enclose(struct loop_kernel *k, struct loop_block *b, int axis)
{
    struct loop_block outer = { 0 };

    loop_add(k, &outer, (struct loop_statement){ .kind = LOOP_FOR, .axis = axis, .body = *b });
    *b = outer;
}

/* ---- what is copied, and by whom ---- */

static int64_t step_along(struct loop_kernel *k, loop_ix ix, int axis)
{
    bool linear;
    const int64_t step = loop_coefficient(k, ix, axis, &linear);

    return linear ? step : 0;
}

/* Do `wide` along an axis that begin at a multiple of it lie side by side, at a multiple of it, and
 * are all there or none? */
static bool by(struct loop_kernel *k, const struct side *side, int own, int64_t wide)
{
    int axis[2];

    if (!is_fixed(k, own) || k->axis[own].hi % wide || side->plain->guards || side->guards)
        return false;
    for (int i = 0; i < 2; i++) { /* never part of the kernel: which group, which of it */
        axis[i] = k->axes + i;
        k->axis[axis[i]] = (struct loop_axis){ .hi = i ? wide : k->axis[own].hi / wide, .step = 1 };
    }
    k->axes += 2;
    const loop_ix of_groups =
        loop_plus(k, loop_scale(k, loop_axis_ix(k, axis[0]), wide), loop_axis_ix(k, axis[1]));
    const loop_ix ix = loop_replace(k, side->plain->ix, own, of_groups);
    const struct loop_sum *sum = &k->sum[ix];
    bool good = sum->constant % wide == 0, beside = false;
    for (int i = 0; i < sum->count; i++) {
        const struct loop_atom *a = &k->atom[sum->term[i].atom];
        if (a->kind == LOOP_ATOM_AXIS && (int)a->a == axis[1])
            beside = sum->term[i].scale == 1;
        else
            good &= sum->term[i].scale % wide == 0;
    }
    k->axes -= 2;
    return good && beside;
}

static void plan_copies(struct staged *t, struct side *side)
{
    struct loop_kernel *k = t->k;
    const int last = t->chain[t->chains - 1]->axis, own = side->axis[side->axes - 1];
    bool beside = false, along = false;

    for (int i = 0; i < side->slices; i++)
        if (side->slice[i]->kind == LOOP_LOAD) {
            beside |= step_along(k, side->slice[i]->ix, own) == 1;
            along |= step_along(k, side->slice[i]->ix, last) == 1;
        }
    const int64_t bytes = ir_dtypes[t->unit->dtype].bytes;
    side->along = along && !beside;
    side->turned = t->unit->depth && side->along;
    side->wide = side->plain && side->along == side->turned ? 16 / bytes : 1;
    while (side->wide > 1 && !by(k, side, side->along ? last : own, side->wide))
        side->wide /= 2;
    if (side->wide * bytes < 4) /* less than can be copied */
        side->plain = NULL;
    side->copies = side->tile * t->unit->deep / side->wide / t->threads;
}

/* The loops of `axis` at this index. */
static void put_index(struct loop_kernel *k, struct loop_block *b, const int *axis, int axes,
                      loop_ix index)
{
    for (int i = axes; i-- > 0;) {
        const int64_t extent = k->axis[axis[i]].hi;
        loop_replace_axis(k, b, axis[i], i ? loop_mod(k, index, extent) : index);
        index = i ? loop_div(k, index, extent) : index;
    }
}

static loop_ix place_of(struct staged *t, const struct side *side, loop_ix copy)
{
    const int64_t apart = side->along ? t->threads / (t->unit->deep / side->wide) : 0;

    return loop_plus(t->k, loop_axis_ix(t->k, side->place), loop_scale(t->k, copy, apart));
}

static loop_ix deep_of(struct staged *t, const struct side *side, loop_ix copy)
{
    const int64_t apart = side->along ? 0 : t->threads / (side->tile / side->wide);

    return loop_plus(t->k, loop_axis_ix(t->k, side->deep), loop_scale(t->k, copy, apart));
}

/* Where in the tile an element is, of the step that this is the number of. */
static loop_ix in_tile(struct staged *t, const struct side *side, loop_ix place, loop_ix deep,
                       loop_ix step)
{
    struct loop_kernel *k = t->k;
    const int64_t row =
        side->turned ? t->unit->deep + t->unit->pad_deep : side->tile + t->unit->pad_place;
    const int64_t half = row * (side->turned ? side->tile : t->unit->deep);

    return loop_plus(k,
                     loop_plus(k, loop_scale(k, place, side->turned ? row : 1),
                               loop_scale(k, deep, side->turned ? 1 : row)),
                     loop_scale(k, loop_mod(k, step, 2), half));
}

static bool is_even(const struct staged *t, loop_ix to, int64_t by)
{
    int64_t end;

    return loop_is_const(t->k, to, &end) && end % by == 0;
}

/* Statements that compute and copy one element (or several side by side) of the step `step`;
 * what goes to the tile at once stands in `late`. */
static void put_copy(struct staged *t, struct side *side, loop_ix copy, loop_ix step,
                     struct loop_block *early, struct loop_block *late)
{
    struct loop_kernel *k = t->k;
    const loop_ix place = place_of(t, side, copy), deep = deep_of(t, side, copy);
    const loop_ix index = loop_plus(k, t->first[side == &t->side[1]], place);
    const loop_ix sum = loop_plus(k, loop_scale(k, step, t->unit->deep), deep);
    struct loop_statement end = { .kind = LOOP_COPY, .dtype = t->unit->dtype, .pitch = side->wide };
    struct loop_block b = { 0 };
    uint32_t fresh[32];
    int axis[LOOPS];

    for (int i = 0; i < t->chains; i++)
        axis[i] = t->chain[i]->axis;
    if (!is_even(t, side->to, side->tile))
        loop_add_guard(k, &end, (struct loop_guard){ index, side->to });
    if (!side->plain) /* also of the step behind the last */
        loop_add_guard(k, &end, (struct loop_guard){ step, k->axis[t->step].to });
    if (!is_even(t, t->to, t->unit->deep))
        loop_add_guard(k, &end, (struct loop_guard){ sum, t->to });
    if (t->extent % t->unit->deep && !loop_is_const(k, t->to, NULL)) /* of a piece */
        loop_add_guard(k, &end, (struct loop_guard){ sum, loop_const(k, t->extent) });
    for (int i = 0; i < side->guards; i++)
        loop_add_guard(k, &end, side->guard[i]);
    for (int i = 0; i < side->slices && !side->plain; i++) {
        struct loop_statement *s = loop_add(k, &b, *side->slice[i]);
        for (int a = 0; a < 3; a++)
            for (int j = 0; j < i; j++)
                if (s->args[a] == side->slice[j]->value)
                    s->args[a] = fresh[j];
        fresh[i] = s->value = loop_value_new(k, s->dtype);
        for (int g = 0; g < end.guards && s->kind == LOOP_LOAD; g++)
            loop_add_guard(k, s, end.guard[g]);
        end.args[0] = s->value;
    }
    if (side->plain) {
        end.buffer = side->plain->buffer;
        end.ix = side->plain->ix;
        for (int i = 0; i < side->plain->guards; i++)
            loop_add_guard(k, &end, side->plain->guard[i]);
    }
    loop_add(k, &b, end);
    put_index(k, &b, side->axis, side->axes, index);
    put_index(k, &b, axis, t->chains, sum);
    struct loop_statement *last = b.at[b.count - 1];
    last->buffer2 = side->buffer;
    last->ix2 = in_tile(t, side, place, deep, step);
    for (int i = 0; i < b.count - 1; i++)
        loop_add(k, early, *b.at[i]);
    loop_add(k, late, *last);
}

static void put_copies(struct staged *t, bool plain, loop_ix step, struct loop_block *early,
                       struct loop_block *late)
{
    struct loop_kernel *k = t->k;

    for (int s = 0; s < SIDES; s++) {
        struct side *side = &t->side[s];
        struct loop_block turn = { 0 };
        if ((side->plain != NULL) != plain)
            continue;
        for (int c = 0; c < side->copies && (!plain || side->copies == 1); c++)
            put_copy(t, side, loop_const(k, c), step, early, late);
        if (!plain || side->copies == 1)
            continue;
        const int copy = loop_axis_new(k, "copy", loop_const(k, side->copies), side->copies);
        put_copy(t, side, loop_axis_ix(k, copy), step, &turn, &turn);
        enclose(k, &turn, copy);
        loop_add(k, late, *turn.at[0]);
    }
}

/* ---- the new nest ---- */

/* an axis that is a number: it begins at `from`, and takes one turn */
static int named(struct loop_kernel *k, const char *name, loop_ix from, loop_ix to, int64_t hi)
{
    const int axis = loop_axis_new(k, name, to, hi);

    k->axis[axis].from = from;
    k->axis[axis].step = hi;
    return axis;
}

static int numbered(struct loop_kernel *k, const char *name, loop_ix from, int64_t hi)
{
    return named(k, name, from, loop_const(k, hi), hi > 1 ? hi : 2);
}

static int role(struct loop_kernel *k, const char *name, enum loop_role role, int64_t extent)
{
    const int axis = loop_axis_new(k, name, loop_const(k, extent), extent);

    k->axis[axis].role = role;
    return axis;
}

/* Places of the thread: of its results, and of what it copies. */
static void make_axes(struct staged *t)
{
    struct loop_kernel *k = t->k;
    const struct shape *shape = t->shape;
    const int64_t rows = tiles(t->side[0].extent, shape->rows),
                  columns = tiles(t->side[1].extent, shape->columns);
    const int64_t warps = shape->columns / (4 * shape->across),
                  steps = tiles(t->extent, t->unit->deep);

    t->block = role(k, "block", LOOP_GRID, rows * columns * t->batch_extent);
    t->thread = role(k, "thread", LOOP_BLOCK, t->threads);
    const loop_ix block = loop_axis_ix(k, t->block), thread = loop_axis_ix(k, t->thread);
    loop_ix rest = loop_div(k, block, rows * columns);
    for (int i = t->batches; i-- > 0;) {
        struct loop_axis *a = &k->axis[t->batch[i]];
        a->from = i ? loop_mod(k, rest, a->hi) : rest;
        a->step = a->hi;
        rest = i ? loop_div(k, rest, a->hi) : rest;
    }
    for (int s = 0; s < SIDES; s++) { /* tiles that are there */
        const struct side *side = &t->side[s];
        const loop_ix count =
            loop_div(k, loop_plus(k, side->to, loop_const(k, side->tile - 1)), side->tile);
        const loop_ix from =
            s ? loop_mod(k, block, columns) : loop_mod(k, loop_div(k, block, columns), rows);
        *(s ? &t->columns : &t->rows) =
            named(k, s ? "columns" : "rows", from, count, s ? columns : rows);
        t->first[s] = loop_scale(k, loop_axis_ix(k, s ? t->columns : t->rows), side->tile);
    }
    t->warp = numbered(k, "warp", loop_div(k, thread, WARP), t->threads / WARP);
    t->lane = numbered(k, "member", loop_mod(k, thread, WARP), WARP);
    const loop_ix warp = loop_axis_ix(k, t->warp), lane = loop_axis_ix(k, t->lane);
    t->row = numbered(k, "top",
                      loop_plus(k, loop_scale(k, loop_div(k, warp, warps), 8 * shape->down),
                                loop_scale(k, loop_div(k, lane, 4), t->unit->square[0])),
                      shape->rows);
    t->column = numbered(k, "left",
                         loop_plus(k, loop_scale(k, loop_mod(k, warp, warps), 4 * shape->across),
                                   loop_scale(k, loop_mod(k, lane, 4), t->unit->square[1])),
                         shape->columns);
    for (int s = 0; s < SIDES; s++) {
        struct side *side = &t->side[s];
        const int64_t deep = t->unit->deep, beside = (side->along ? deep : side->tile) / side->wide;
        const loop_ix wide = loop_scale(k, loop_mod(k, thread, beside), side->wide),
                      apart = loop_div(k, thread, beside);
        side->place =
            numbered(k, s ? "to_column" : "to_row", side->along ? apart : wide, side->tile);
        side->deep = numbered(k, s ? "deep_column" : "deep_row", side->along ? wide : apart, deep);
        side->buffer =
            loop_buffer_of(k, s ? "tile_columns" : "tile_rows", t->unit->dtype, (ir_val){ 0 },
                           2 * (side->turned ? side->tile * (deep + t->unit->pad_deep)
                                             : deep * (side->tile + t->unit->pad_place)));
        k->buffer[side->buffer].scratch = true;
    }
    t->down = role(k, "down", LOOP_UNROLL, shape->down / (t->unit->depth ? 2 : 1));
    t->across = role(k, "across", LOOP_UNROLL, shape->across / (t->unit->depth ? 4 : 1));
    if (t->unit->depth) { /* what one multiply is of */
        t->half = role(k, "half", LOOP_UNROLL, 2);
        t->quarter = role(k, "quarter", LOOP_UNROLL, 4);
    }
    const char *sum = k->axis[t->chain[0]->axis].name;
    t->step = loop_axis_new(
        k, sum, loop_div(k, loop_plus(k, t->to, loop_const(k, t->unit->deep - 1)), t->unit->deep),
        steps);
    t->next = named(k, "next", loop_plus(k, loop_axis_ix(k, t->step), loop_const(k, 1)),
                    k->axis[t->step].to, steps);
    const int64_t terms = t->unit->deep / (t->unit->depth ? t->unit->depth : 1);
    t->term = loop_axis_new(k, ir_format(k->arena, "%s_", sum), loop_const(k, terms), terms);
    k->axis[t->step].ordered = k->axis[t->term].ordered = true;
}

/* where a result's part of a tile lies: squares, 8 or 4 of them from each other */
static loop_ix own_place(struct staged *t, int side)
{
    struct loop_kernel *k = t->k;
    const int64_t lanes = side ? 4 : 8, square = t->unit->square[side];
    loop_ix i = loop_axis_ix(k, side ? t->across : t->down);

    if (t->unit->depth)
        i = loop_plus(k, loop_scale(k, i, side ? 4 : 2),
                      loop_axis_ix(k, side ? t->quarter : t->half));
    return loop_plus(k, loop_axis_ix(k, side ? t->column : t->row),
                     loop_plus(k, loop_scale(k, loop_div(k, i, square), square * lanes),
                               loop_mod(k, i, square)));
}

/* .. and the warp's, 16 of them a fragment */
static loop_ix warp_place(struct staged *t, int side)
{
    struct loop_kernel *k = t->k;
    const struct shape *shape = t->shape;
    const int64_t warps = shape->columns / (4 * shape->across);
    const loop_ix warp = loop_axis_ix(k, t->warp);

    return loop_plus(k,
                     side ? loop_scale(k, loop_mod(k, warp, warps), 4 * shape->across)
                          : loop_scale(k, loop_div(k, warp, warps), 8 * shape->down),
                     loop_scale(k, loop_axis_ix(k, side ? t->across : t->down), 16));
}

/* for (term) { sum += row * column }, of what lies in the tiles of this step */
static void put_products(struct staged *t, loop_ix step, struct loop_block *turn)
{
    struct loop_kernel *k = t->k;
    const loop_ix term = loop_axis_ix(k, t->term);
    struct loop_statement set = *t->set;
    struct loop_block products = { 0 };

    for (int s = 0; s < SIDES; s++) {
        const struct side *side = &t->side[s];
        const int64_t row =
            side->turned ? t->unit->deep + t->unit->pad_deep : side->tile + t->unit->pad_place;
        struct loop_statement part = { .kind = LOOP_LOAD,
                                       .dtype = t->unit->dtype,
                                       .value = loop_value_new(k, t->unit->dtype),
                                       .buffer = side->buffer,
                                       .node = set.node,
                                       .loc = set.loc };
        if (t->unit->depth) {
            part.kind = LOOP_FRAGMENT;
            part.ix = in_tile(t, side, warp_place(t, s), loop_scale(k, term, t->unit->depth), step);
            part.pitch = side->turned ? row : 1;
            part.pitch2 = side->turned ? 1 : row;
        } else {
            part.ix = in_tile(t, side, own_place(t, s), term, step);
        }
        loop_add(k, &products, part);
        set.args[t->unit->depth ? 1 + s : side->argument] = part.value;
    }
    set.guards = 0;
    if (t->unit->depth) {
        set.kind = LOOP_MULTIPLY;
        set.op = IR_POISON;
        set.over = UINT64_C(1) << t->half | UINT64_C(1) << t->quarter;
    }
    loop_add(k, &products, set);
    enclose(k, &products, t->term);
    loop_add(k, turn, *products.at[0]);
}

/* for (step) { meet; the next ones set out; products } */
static void put_steps(struct staged *t)
{
    struct loop_kernel *k = t->k;
    const loop_ix step = loop_axis_ix(k, t->step);
    const loop_ix after = loop_plus(k, step, loop_const(k, 1));
    struct loop_block all = { 0 }, turn = { 0 }, stores = { 0 }, next = { 0 };
    const struct loop_block before = *t->holder;

    for (int i = 0; i < t->at; i++)
        loop_add(k, &all, *before.at[i]);
    if (t->repeated) /* the last tiles have been read */
        loop_add(k, &all, (struct loop_statement){ .kind = LOOP_MEET });
    put_copies(t, true, 0, &all, &all);
    put_copies(t, false, 0, &all, &all);

    loop_add(k, &turn, (struct loop_statement){ .kind = LOOP_MEET });
    put_copies(t, true, loop_axis_ix(k, t->next), &next, &next);
    if (next.count && k->axis[t->step].hi > 1) {
        enclose(k, &next, t->next);
        loop_add(k, &turn, *next.at[0]);
    }
    put_copies(t, false, after, &turn, &stores);
    put_products(t, step, &turn);
    for (int i = 0; i < stores.count; i++)
        loop_add(k, &turn, *stores.at[i]);
    enclose(k, &turn, t->step);
    loop_add(k, &all, *turn.at[0]);
    for (int i = t->at + 1; i < before.count; i++)
        loop_add(k, &all, *before.at[i]);
    *t->holder = all;
}

/* Results that are not there are not stored, and read nothing. */
static void guard_edges(struct staged *t, struct loop_block *b)
{
    for (int i = 0; i < b->count; i++) {
        struct loop_statement *s = b->at[i];
        if (s->kind == LOOP_LOAD || s->kind == LOOP_STORE)
            for (int side = 0; side < SIDES; side++) {
                const struct side *of = &t->side[side];
                uint64_t axes = 0;
                for (int a = 0; a < of->axes; a++)
                    axes |= UINT64_C(1) << of->axis[a];
                if (!is_even(t, of->to, of->tile) &&
                    (s->kind == LOOP_STORE || loop_axes_of(t->k, s->ix) & axes))
                    loop_add_guard(t->k, s, (struct loop_guard){ of->index, of->to });
            }
        guard_edges(t, &s->body);
    }
}

bool pass_stage_product(struct loop_kernel *k, const struct pass_options *options)
{
    struct nest n = pass_nest(k);
    struct staged t = { .k = k, .inner = n.inner };
    int at = 0;

    loop_depends(k);
    if (!n.count || k->axes + 22 > LOOP_AXES || !find_chain(&t) || !find_sides(&t, &n, options) ||
        !choose(&t, options))
        return false;
    while (t.inner->at[at]->kind != LOOP_FOR)
        at++;
    at = pass_defer(k, t.inner, at); /* or registers hold it meanwhile */
    if (t.holder == t.inner)
        t.at = at;
    for (int s = 0; s < SIDES; s++)
        plan_copies(&t, &t.side[s]);
    make_axes(&t);
    for (int s = 0; s < SIDES; s++)
        t.side[s].index = loop_plus(k, t.first[s], own_place(&t, s));
    /* the sum's own loops go first: what is left is asked whether it is there */
    t.holder->at[t.at]->body.count = 0;
    guard_edges(&t, t.inner);
    for (int s = 0; s < SIDES; s++)
        put_index(k, t.inner, t.side[s].axis, t.side[s].axes, t.side[s].index);
    put_steps(&t);

    struct loop_block nest = *t.inner;
    if (t.unit->depth)
        enclose(k, &nest, t.quarter);
    enclose(k, &nest, t.across);
    if (t.unit->depth)
        enclose(k, &nest, t.half);
    enclose(k, &nest, t.down);
    for (int s = SIDES; s-- > 0;) {
        enclose(k, &nest, t.side[s].deep);
        enclose(k, &nest, t.side[s].place);
    }
    enclose(k, &nest, t.column);
    enclose(k, &nest, t.row);
    enclose(k, &nest, t.lane);
    enclose(k, &nest, t.warp);
    enclose(k, &nest, t.columns);
    enclose(k, &nest, t.rows);
    for (int i = t.batches; i-- > 0;)
        enclose(k, &nest, t.batch[i]);
    enclose(k, &nest, t.thread);
    enclose(k, &nest, t.block);
    for (at = 0; k->body.at[at]->kind != LOOP_FOR;)
        at++;
    k->body.at[at] = nest.at[0];
    return true;
}

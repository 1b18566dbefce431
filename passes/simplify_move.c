/*
 * The rules that no formula can say: movement that undoes or joins movement, casts that lose
 * nothing, and what may change places with a contraction or a window without changing its order of
 * addition.
 */
#include "passes/simplify.h"

#include <string.h>

static const ir_val none = { 0 };

static const struct ir_node *at(const struct pass_simple *s, ir_val v)
{
    return ir_at(s->out, v);
}

static ir_val apply(struct pass_simple *s, enum ir_op op, ir_val a, ir_val b,
                    const struct ir_list *attr)
{
    return pass_simple_op(s, op, ir_ops[op].arity, (ir_val[]){ a, b }, attr);
}

/* The constant that every element of v is, or 0. */
static ir_val uniform(const struct pass_simple *s, ir_val v)
{
    while (at(s, v)->op == IR_expand || at(s, v)->op == IR_reshape)
        v = at(s, v)->args[0];
    return at(s, v)->op == IR_const ? v : none;
}

static bool all_are(const struct ir_list *list, int64_t value)
{
    for (int i = 0; i < list->count; i++)
        if (list->at[i] != value)
            return false;
    return true;
}

/* --- views
 * ------------------------------------------------------------------------------------------ */

static ir_val of_reshape(struct pass_simple *s, const struct ir_node *n)
{
    const struct ir_node *a = at(s, n->args[0]);
    ir_val number = uniform(s, n->args[0]);

    if (ir_same_shape(&a->shape, &n->shape))
        return n->args[0];
    if (number.id)
        return pass_simple_expand(s, number, n->shape);
    return a->op == IR_reshape ? pass_simple_reshape(s, a->args[0], n->shape) : none;
}

static ir_val of_expand(struct pass_simple *s, const struct ir_node *n)
{
    const struct ir_node *a = at(s, n->args[0]);
    int more = n->shape.rank - a->shape.rank;
    bool repeats = false;

    if (ir_same_shape(&a->shape, &n->shape))
        return n->args[0];
    if (a->op == IR_expand)
        return pass_simple_expand(s, a->args[0], n->shape);
    for (int i = 0; i < n->shape.rank; i++)
        repeats |= n->shape.dim[i] != (i < more ? 1 : a->shape.dim[i - more]);
    if (!repeats && a->op != IR_const) /* only new axes of extent 1 */
        return pass_simple_reshape(s, n->args[0], n->shape);
    if (a->op == IR_reshape && a->shape.rank > at(s, a->args[0])->shape.rank) {
        const struct ir_shape *source = &at(s, a->args[0])->shape;

        more = a->shape.rank - source->rank;
        for (int i = 0; i < a->shape.rank; i++)
            if (a->shape.dim[i] != (i < more ? 1 : source->dim[i - more]))
                return none;
        return pass_simple_expand(s, a->args[0], n->shape);
    }
    return none;
}

/* permute(dot): the letters of the result change places; not where the dot is computed anyway. */
static ir_val permuted_dot(struct pass_simple *s, const struct ir_node *n)
{
    struct ir_node dot = *at(s, n->args[0]);
    char *text;
    size_t head;

    if (dot.op != IR_dot || s->at->op != IR_permute ||
        s->moved[s->at->args[0].id].id != n->args[0].id || s->readers[s->at->args[0].id] != 1)
        return none;
    text = ir_format(s->scratch, "%s", dot.text);
    head = (size_t)(strstr(dot.text, "->") + 2 - dot.text);
    for (int i = 0; i < n->attr[0].count; i++)
        text[head + (size_t)i] = dot.text[head + (size_t)n->attr[0].at[i]];
    dot.text = text;
    dot.loc = n->loc;
    return pass_simple(s, dot);
}

static ir_val of_permute(struct pass_simple *s, const struct ir_node *n)
{
    const struct ir_node *a = at(s, n->args[0]);
    const int64_t *axes = n->attr[0].at;
    int64_t joined[IR_RANK], last = -1;
    bool moves = false;

    if (uniform(s, n->args[0]).id)
        return pass_simple_expand(s, uniform(s, n->args[0]), n->shape);
    for (int i = 0; i < n->shape.rank; i++)
        if (n->shape.dim[i] != 1) {
            moves |= axes[i] < last;
            last = axes[i];
        }
    if (!moves) /* but axes of extent 1 */
        return pass_simple_reshape(s, n->args[0], n->shape);
    if (a->op == IR_permute) {
        for (int i = 0; i < n->shape.rank; i++)
            joined[i] = a->attr[0].at[axes[i]];
        return apply(s, IR_permute, a->args[0], none, &(struct ir_list){ n->shape.rank, joined });
    }
    return permuted_dot(s, n);
}

/* --- slices, pads, pieces
 * --------------------------------------------------------------------------- */

static ir_val slice_of_slice(struct pass_simple *s, const struct ir_node *n,
                             const struct ir_node *a)
{
    int rank = n->shape.rank;
    int64_t start[IR_RANK], stop[IR_RANK], step[IR_RANK];

    for (int i = 0; i < rank; i++) {
        int64_t inner = a->attr[2].at[i], outer = n->attr[2].at[i];

        if (__builtin_mul_overflow(inner, outer, &step[i]) || step[i] >> 48)
            return none;
        if (step[i] == 1) {
            start[i] = ir_dim_add(s->out, a->attr[0].at[i], n->attr[0].at[i]);
            stop[i] = ir_dim_add(s->out, a->attr[0].at[i], n->attr[1].at[i]);
        } else { /* numbers, as steps are */
            if (!ir_dim_fixed(a->attr[0].at[i]) || !ir_dim_fixed(n->attr[0].at[i]) ||
                !ir_dim_fixed(n->shape.dim[i]) || n->shape.dim[i] == 0)
                return none;
            start[i] = a->attr[0].at[i] + n->attr[0].at[i] * inner;
            stop[i] = start[i] + (n->shape.dim[i] - 1) * step[i] + 1;
        }
        if (start[i] == -1 || stop[i] == -1)
            return none;
    }
    return apply(s, IR_slice, a->args[0], none,
                 (struct ir_list[]){ { rank, start }, { rank, stop }, { rank, step } });
}

/* A slice that lies inside one piece of a concat, which begins after `before`: of that alone. */
static ir_val slice_of_part(struct pass_simple *s, const struct ir_node *n, ir_val part, int axis,
                            int64_t before)
{
    int rank = n->shape.rank;
    int64_t start[IR_RANK], stop[IR_RANK];

    memcpy(start, n->attr[0].at, (size_t)rank * sizeof *start);
    memcpy(stop, n->attr[1].at, (size_t)rank * sizeof *stop);
    if (!ir_dim_fixed(before) || !ir_dim_fixed(start[axis]) || !ir_dim_fixed(stop[axis]) ||
        start[axis] < before ||
        !ir_dim_fits(s->out, stop[axis] - before, at(s, part)->shape.dim[axis]))
        return none;
    start[axis] -= before;
    stop[axis] -= before;
    return apply(s, IR_slice, part, none,
                 (struct ir_list[]){ { rank, start }, { rank, stop }, n->attr[2] });
}

static ir_val slice_of_concat(struct pass_simple *s, const struct ir_node *n,
                              const struct ir_node *a)
{
    int axis = (int)a->attr[0].at[0];
    int64_t before = 0;

    for (int i = 0; i < a->arity && ir_dim_fixed(before); i++) {
        ir_val r =
            n->attr[0].at[axis] < before ? none : slice_of_part(s, n, a->args[i], axis, before);

        if (r.id)
            return r;
        before = ir_dim_add(s->out, before, at(s, a->args[i])->shape.dim[axis]);
    }
    return none;
}

static ir_val of_slice(struct pass_simple *s, const struct ir_node *n)
{
    const struct ir_node *a = at(s, n->args[0]);

    if (ir_same_shape(&a->shape, &n->shape)) /* as long as the whole: it is the whole */
        return n->args[0];
    if (uniform(s, n->args[0]).id)
        return pass_simple_expand(s, uniform(s, n->args[0]), n->shape);
    if (a->op == IR_slice)
        return slice_of_slice(s, n, a);
    return a->op == IR_concat ? slice_of_concat(s, n, a) : none;
}

static ir_val of_pad(struct pass_simple *s, const struct ir_node *n)
{
    const struct ir_node *a = at(s, n->args[0]);
    int rank = n->shape.rank;
    int64_t lo[IR_RANK], hi[IR_RANK];

    if (ir_same_shape(&a->shape, &n->shape))
        return n->args[0];
    if (uniform(s, n->args[0]).id && uniform(s, n->args[0]).id == n->args[1].id)
        return pass_simple_expand(s, n->args[1], n->shape);
    if (a->op != IR_pad || a->args[1].id != n->args[1].id)
        return none;
    for (int i = 0; i < rank; i++) {
        lo[i] = ir_dim_add(s->out, a->attr[0].at[i], n->attr[0].at[i]);
        hi[i] = ir_dim_add(s->out, a->attr[1].at[i], n->attr[1].at[i]);
        if (lo[i] == -1 || hi[i] == -1)
            return none;
    }
    return apply(s, IR_pad, a->args[0], n->args[1],
                 (struct ir_list[]){ { rank, lo }, { rank, hi } });
}

static ir_val of_flip(struct pass_simple *s, const struct ir_node *n)
{
    const struct ir_node *a = at(s, n->args[0]);
    bool turned[IR_RANK] = { false };
    int64_t axes[IR_RANK];
    int count = 0;

    if (uniform(s, n->args[0]).id)
        return n->args[0];
    for (int i = 0; i < n->attr[0].count; i++)
        turned[n->attr[0].at[i]] = n->shape.dim[n->attr[0].at[i]] != 1;
    for (int i = 0; a->op == IR_flip && i < a->attr[0].count; i++)
        turned[a->attr[0].at[i]] ^= true;
    for (int i = 0; i < n->shape.rank; i++)
        if (turned[i])
            axes[count++] = i;
    if (a->op == IR_flip)
        return count ? apply(s, IR_flip, a->args[0], none, &(struct ir_list){ count, axes })
                     : a->args[0];
    if (count == 0)
        return n->args[0];
    return count < n->attr[0].count
               ? apply(s, IR_flip, n->args[0], none, &(struct ir_list){ count, axes })
               : none;
}

/* Whether b's slice goes on where a's slice of the same value ends. */
static bool meets(const struct pass_simple *s, ir_val a, ir_val b, int axis)
{
    const struct ir_node *x = at(s, a), *y = at(s, b);

    if (x->op != IR_slice || y->op != IR_slice || x->args[0].id != y->args[0].id ||
        !all_are(&x->attr[2], 1) || !all_are(&y->attr[2], 1))
        return false;
    for (int i = 0; i < x->shape.rank; i++)
        if (i == axis
                ? x->attr[1].at[i] != y->attr[0].at[i]
                : x->attr[0].at[i] != y->attr[0].at[i] || x->attr[1].at[i] != y->attr[1].at[i])
            return false;
    return true;
}

static ir_val of_concat(struct pass_simple *s, const struct ir_node *n)
{
    int axis = (int)n->attr[0].at[0], count = 0;
    ir_val *kept = ir_alloc(s->scratch, ((size_t)n->arity + 1) * sizeof *kept), first;
    bool same = true;

    for (int i = 0; i < n->arity; i++) {
        ir_val last = count ? kept[count - 1] : none;

        if (at(s, n->args[i])->shape.dim[axis] == 0 && n->arity > 1 && count + n->arity - i > 1)
            continue;
        if (count && meets(s, last, n->args[i], axis)) {
            struct ir_list range[3];

            memcpy(range, at(s, last)->attr, sizeof range);
            range[1] = at(s, n->args[i])->attr[1];
            kept[count - 1] = apply(s, IR_slice, at(s, last)->args[0], none, range);
        } else {
            kept[count++] = n->args[i];
        }
    }
    first = uniform(s, kept[0]);
    for (int i = 0; i < count; i++)
        same &= first.id && uniform(s, kept[i]).id == first.id;
    if (same)
        return pass_simple_expand(s, first, n->shape);
    if (count == 1)
        return kept[0];
    return count < n->arity ? pass_simple_op(s, IR_concat, count, kept, n->attr) : none;
}

/* --- types, reductions
 * ------------------------------------------------------------------------------ */

/* Through a type that holds every value of the first one, the second cast sees the value itself. */
static ir_val of_cast(struct pass_simple *s, const struct ir_node *n)
{
    const struct ir_node *a = at(s, n->args[0]);
    enum ir_dtype first, to = n->dtype, through = a->dtype;
    struct ir_node draft = *n;

    if (to == through)
        return n->args[0];
    if (a->op != IR_cast)
        return none;
    first = at(s, a->args[0])->dtype;
    if (!pass_widens(first, through))
        return none;
    if (ir_dtypes[through].kind == 'f' && ir_dtypes[to].kind != 'f' && ir_dtypes[to].kind != 'b' &&
        !pass_widens(first, to)) /* out of range floats and integers fare differently */
        return none;
    draft.args = a->args;
    return pass_simple(s, draft);
}

/* Over nothing, or over axes of extent 1. A sum of floats is not one of them: 0 + -0 is 0. */
static ir_val of_reduce(struct pass_simple *s, const struct ir_node *n)
{
    const struct ir_node *a = at(s, n->args[0]);
    ir_val number = uniform(s, n->args[0]);

    if (n->op == IR_sum && ir_dtypes[n->dtype].kind == 'f')
        return number.id && ir_is_number(s->out, number, 0)
                   ? pass_simple_expand(s, number, n->shape)
                   : none;
    for (int i = 0; i < n->attr[0].count; i++)
        if (a->shape.dim[n->attr[0].at[i]] != 1)
            return none;
    return pass_simple_reshape(s, n->args[0], n->shape);
}

/* --- contractions
 * ----------------------------------------------------------------------------------- */

/* dot(permute(x), y): the letters of x change places, if the order of addition stays. */
static ir_val of_dot(struct pass_simple *s, const struct ir_node *n)
{
    const char *b = strchr(n->text, ',') + 1;

    for (int i = 0; i < 2; i++) {
        const struct ir_node *a = at(s, n->args[i]);
        size_t head = i ? (size_t)(b - n->text) : 0;
        struct ir_node draft = *n;
        ir_val args[2] = { n->args[0], n->args[1] };
        char *text;

        if (a->op != IR_permute)
            continue;
        text = ir_format(s->scratch, "%s", n->text);
        for (int k = 0; k < a->shape.rank; k++)
            text[head + (size_t)a->attr[0].at[k]] = n->text[head + (size_t)k];
        args[i] = a->args[0];
        draft.args = args;
        draft.text = text;
        if (ir_same_order(s->out, n, s->out, &draft))
            return pass_simple(s, draft);
    }
    return none;
}

/* --- windows
 * ---------------------------------------------------------------------------------------- */

/* Every window has an element inside: then its greatest is an element. */
static bool windows_are_inside(const struct ir_node *n)
{
    for (int i = 0; i < n->attr[0].count; i++) {
        int64_t reach = n->attr[0].at[i] - 1;
        bool padded = n->attr[2].at[2 * i] || n->attr[2].at[2 * i + 1];

        if (padded && (n->attr[3].at[i] != 1 || n->attr[2].at[2 * i] > reach ||
                       n->attr[2].at[2 * i + 1] > reach))
            return false;
    }
    return true;
}

/* The greatest of relu is relu of the greatest: fewer elements. */
static ir_val of_window_max(struct pass_simple *s, const struct ir_node *n)
{
    const struct ir_node *a = at(s, n->args[0]);
    ir_val greatest;

    if (a->op != IR_relu || !windows_are_inside(n))
        return none;
    greatest = apply(s, IR_window_max, a->args[0], none, n->attr);
    return pass_simple_op(s, IR_relu, 1, &greatest, NULL);
}

/*
 * What the two derivatives leave, select(relu(x) <= 0, 0, place(d, argmax(relu(x)))): the mask is
 * as well laid on d. Where the greatest of a window is not above 0, the mask takes what is placed
 * in it; where it is, argmax(relu(x)) is argmax(x), and is above 0 itself.
 */
static ir_val of_select(struct pass_simple *s, const struct ir_node *n)
{
    const struct ir_node *mask = at(s, n->args[0]), *place = at(s, n->args[2]), *relu, *taken;
    ir_val zero = n->args[1], y, greatest, args[3];

    if (mask->op != IR_le || place->op != IR_window_place || !ir_is_number(s->out, zero, 0) ||
        !ir_is_number(s->out, mask->args[1], 0))
        return none;
    y = mask->args[0];
    relu = at(s, y);
    taken = at(s, place->args[1]);
    if (relu->op != IR_relu || taken->op != IR_window_argmax || taken->args[0].id != y.id ||
        !ir_same_shape(&relu->shape, &place->shape) || !windows_are_inside(place))
        return none;
    for (int i = 0; i < 4; i++)
        if (place->attr[i].count != taken->attr[i].count ||
            memcmp(place->attr[i].at, taken->attr[i].at,
                   (size_t)place->attr[i].count * sizeof *place->attr[i].at) != 0)
            return none;
    greatest = apply(s, IR_window_max, y, none, taken->attr); /* relu of the greatest of x */
    args[0] = apply(s, IR_le, greatest, mask->args[1], NULL);
    args[1] = uniform(s, zero);
    args[2] = place->args[0];
    return apply(s, IR_window_place, pass_simple_op(s, IR_select, 3, args, NULL),
                 apply(s, IR_window_argmax, relu->args[0], none, taken->attr), place->attr);
}

ir_val pass_simple_structural(struct pass_simple *s, const struct ir_node *n)
{
    switch (n->op) {
    case IR_stop_gradient: /* every gradient has been taken */
        return n->args[0];
    case IR_reshape:
        return of_reshape(s, n);
    case IR_expand:
        return of_expand(s, n);
    case IR_permute:
        return of_permute(s, n);
    case IR_slice:
        return of_slice(s, n);
    case IR_pad:
        return of_pad(s, n);
    case IR_flip:
        return of_flip(s, n);
    case IR_concat:
        return of_concat(s, n);
    case IR_cast:
        return of_cast(s, n);
    case IR_sum:
    case IR_prod:
    case IR_amax:
    case IR_amin:
    case IR_all:
    case IR_any:
        return of_reduce(s, n);
    case IR_dot:
        return of_dot(s, n);
    case IR_window_max:
        return of_window_max(s, n);
    case IR_select:
        return of_select(s, n);
    default:
        return none;
    }
}

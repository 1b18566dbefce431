/*
 * The type and shape of a result: one rule serves the builder, the verifier and the message. Here
 * are the entry, what the rules share, and the rules of pointwise, given, reducing and contracting
 * rows; movement is in shape_move.c, convolutions and windows are in shape_window.c.
 */
#include "ir/rules.h"

#include <math.h>
#include <string.h>

#define ELEMENTS ((int64_t)1 << 48)

/* --- what the rules share --------------------------------------------------------------------- */

const char *ir_shown(const struct ir_graph *g, const struct ir_node *n, int i)
{
    const struct ir_node *arg = ir_arg(g, n, i);
    struct ir_text text = { 0 };
    const char *name = arg->name, *kept;

    if (n->arity <= 3)
        ir_put(&text, "%c = ", 'a' + i);
    else
        ir_put(&text, "argument %d = ", i + 1);
    if (name && strlen(name) > 40)
        ir_put(&text, "..%s ", name + strlen(name) - 40);
    else if (name)
        ir_put(&text, "%s ", name);
    else
        ir_put(&text, "%%%u ", n->args[i].id);
    ir_put_shape(&text, g, arg->dtype, &arg->shape);
    kept = ir_format(g->arena, "%.90s", text.data);
    ir_text_free(&text);
    return kept;
}

/* Where two tensors disagree, both lines are of interest. */
const char *ir_shown_from(const struct ir_graph *g, const struct ir_node *n, int i)
{
    return ir_format(g->arena, "%s%s", ir_shown(g, n, i), ir_from(g, ir_arg(g, n, i)->loc));
}

const char *ir_from(const struct ir_graph *g, struct ir_loc loc)
{
    const size_t length = loc.file ? strlen(loc.file) : 0, cut = length > 40 ? length - 38 : 0;

    return length ? ir_format(g->arena, " (%s%s:%d)", cut ? ".." : "", loc.file + cut, loc.line)
                  : "";
}

const char *ir_shown_dim(const struct ir_graph *g, int64_t dim)
{
    struct ir_text text = { 0 };
    const char *kept;

    ir_put_dim(&text, g, dim);
    kept = ir_format(g->arena, "%.40s", text.data);
    ir_text_free(&text);
    return kept;
}

bool ir_rule_kind(const struct ir_graph *g, const struct ir_node *n, int i, char kind)
{
    char has = ir_dtypes[ir_arg(g, n, i)->dtype].kind;
    const char *want;

    switch (kind) {
    case 'F':
        want = "a floating type";
        if (has == 'f')
            return true;
        break;
    case 'N':
        want = "a number";
        if (has != 'b')
            return true;
        break;
    case 'I':
        want = "an integer or truth type";
        if (has != 'f')
            return true;
        break;
    case 'i':
        want = "an integer type";
        if (has == 'i' || has == 'u')
            return true;
        break;
    case 'B':
        want = "bool";
        if (has == 'b')
            return true;
        break;
    default:
        return true;
    }
    return ir_refuse(g, n, "%s; expected %s, tp_cast() changes it", ir_shown(g, n, i), want);
}

bool ir_rule_same(const struct ir_graph *g, const struct ir_node *n, int i, int j)
{
    if (ir_arg(g, n, i)->dtype == ir_arg(g, n, j)->dtype)
        return true;
    return ir_refuse(g, n, "%s, but %s; expected one type, tp_cast() changes it",
                     ir_shown_from(g, n, i), ir_shown_from(g, n, j));
}

static const char *attribute(const struct ir_graph *g, const struct ir_node *n, int attr)
{
    int length;
    const char *name = ir_attribute(n->op, attr, &length);

    return ir_format(g->arena, "%.*s", length, name);
}

bool ir_rule_list(const struct ir_graph *g, const struct ir_node *n, int attr, int count,
                  int64_t least, int64_t most)
{
    const struct ir_list *list = &n->attr[attr];

    if (list->count != count)
        return ir_refuse(g, n, "%s has %d numbers; expected %d", attribute(g, n, attr), list->count,
                         count);
    for (int i = 0; i < count; i++)
        if (list->at[i] < least || list->at[i] > most)
            return ir_refuse(g, n, "%s has %s; expected %lld to %lld", attribute(g, n, attr),
                             ir_shown_dim(g, list->at[i]), (long long)least, (long long)most);
    return true;
}

bool ir_rule_axis(const struct ir_graph *g, const struct ir_node *n, int attr, int rank)
{
    const struct ir_list *list = &n->attr[attr];

    if (list->count != 1)
        return ir_refuse(g, n, "%d axes; expected one", list->count);
    if (list->at[0] < 0 || list->at[0] >= rank)
        return ir_refuse(g, n, "axis %s of %s; expected 0 to %d", ir_shown_dim(g, list->at[0]),
                         n->arity ? ir_shown(g, n, 0) : "the result", rank - 1);
    return true;
}

bool ir_rule_axes(const struct ir_graph *g, const struct ir_node *n, int attr, int rank)
{
    const struct ir_list *list = &n->attr[attr];

    for (int i = 0; i < list->count; i++) {
        if (list->at[i] < 0 || list->at[i] >= rank)
            return ir_refuse(g, n, "axis %s of %s; expected 0 to %d", ir_shown_dim(g, list->at[i]),
                             ir_shown(g, n, 0), rank - 1);
        if (i && list->at[i] <= list->at[i - 1])
            return ir_refuse(g, n, "axis %lld after axis %lld; expected each once, ascending",
                             (long long)list->at[i], (long long)list->at[i - 1]);
    }
    return true;
}

/* --- pointwise -------------------------------------------------------------------------------- */

/* NumPy's rule, from the last axis back: equal extents, or 1, or none. A symbol equals itself only.
 */
static bool broadcast(struct ir_graph *g, struct ir_node *n, int from)
{
    struct ir_shape *all = &n->shape;

    all->rank = 0;
    for (int i = from; i < n->arity; i++)
        if (ir_arg(g, n, i)->shape.rank > all->rank)
            all->rank = ir_arg(g, n, i)->shape.rank;
    for (int axis = 0; axis < all->rank; axis++) {
        int first = -1; /* the argument that said the extent */
        all->dim[axis] = 1;
        for (int i = from; i < n->arity; i++) {
            const struct ir_shape *s = &ir_arg(g, n, i)->shape;
            int at = axis - (all->rank - s->rank);
            if (at < 0 || s->dim[at] == 1 || s->dim[at] == all->dim[axis])
                continue;
            if (all->dim[axis] != 1)
                return ir_refuse(g, n,
                                 "%s and %s: extents %s and %s; expected equal ones or 1, "
                                 "counted from the last axis",
                                 ir_shown_from(g, n, first), ir_shown_from(g, n, i),
                                 ir_shown_dim(g, all->dim[axis]), ir_shown_dim(g, s->dim[at]));
            all->dim[axis] = s->dim[at];
            first = i;
        }
    }
    return true;
}

static bool pointwise(struct ir_graph *g, struct ir_node *n)
{
    const struct ir_op_info *info = &ir_ops[n->op];

    for (int i = 0; i < n->arity; i++)
        if (!ir_rule_kind(g, n, i, info->kind) || !ir_rule_same(g, n, 0, i))
            return false;
    n->dtype =
        info->group == IR_PREDICATE || info->group == IR_COMPARE ? IR_BOOL : ir_arg(g, n, 0)->dtype;
    return broadcast(g, n, 0);
}

bool ir_shape_of_same(struct ir_graph *g, struct ir_node *n)
{
    n->dtype = ir_arg(g, n, 0)->dtype;
    n->shape = ir_arg(g, n, 0)->shape;
    return true;
}

bool ir_shape_of_cast(struct ir_graph *g, struct ir_node *n)
{
    n->shape = ir_arg(g, n, 0)->shape;
    return true;
}

bool ir_shape_of_bitcast(struct ir_graph *g, struct ir_node *n)
{
    n->shape = ir_arg(g, n, 0)->shape;
    if (ir_dtypes[n->dtype].bytes != ir_dtypes[ir_arg(g, n, 0)->dtype].bytes ||
        (n->dtype == IR_BOOL) != (ir_arg(g, n, 0)->dtype == IR_BOOL))
        return ir_refuse(g, n, "%s as %s; expected a type of the same size, and no bool",
                         ir_shown(g, n, 0), ir_dtypes[n->dtype].name);
    return true;
}

bool ir_shape_of_select(struct ir_graph *g, struct ir_node *n)
{
    n->dtype = ir_arg(g, n, 1)->dtype;
    return ir_rule_kind(g, n, 0, 'B') && ir_rule_same(g, n, 1, 2) && broadcast(g, n, 0);
}

bool ir_shape_of_assign(struct ir_graph *g, struct ir_node *n)
{
    const struct ir_node *state = ir_arg(g, n, 0), *value = ir_arg(g, n, 1);

    n->dtype = state->dtype;
    n->shape = state->shape;
    if (state->op != IR_state)
        return ir_refuse(g, n, "%s is no state; expected a parameter or other state",
                         ir_shown(g, n, 0));
    if (state->dtype != value->dtype || !ir_same_shape(&state->shape, &value->shape))
        return ir_refuse(g, n, "%s, but %s; expected equal type and shape", ir_shown(g, n, 0),
                         ir_shown(g, n, 1));
    return true;
}

/* --- rows that bring their type and shape ----------------------------------------------------- */

/* The number is kept as its type holds it, so that equal constants are one node. */
static bool const_value(struct ir_graph *g, struct ir_node *n)
{
    int64_t *number;
    double value;

    if (n->attr[0].count != 1)
        return ir_refuse(g, n, "%d values; expected one", n->attr[0].count);
    if (n->shape.rank)
        return ir_refuse(g, n, "rank %d; expected a scalar, expand repeats it", n->shape.rank);
    number = ir_alloc(g->arena, sizeof *number);
    *number = n->attr[0].at[0];
    n->attr[0].at = number;
    if (ir_dtypes[n->dtype].kind == 'f') {
        memcpy(&value, number, sizeof value);
        value = ir_rounded(n->dtype, value);
        if (isnan(value))
            value = (double)NAN;
        memcpy(number, &value, sizeof value);
        return true;
    }
    if (!ir_in_range(n->dtype, *number))
        return ir_refuse(g, n, "%lld; expected a number of the range of %s", (long long)*number,
                         ir_dtypes[n->dtype].name);
    return true;
}

static bool state_init(struct ir_graph *g, struct ir_node *n)
{
    const struct ir_list *init = &n->attr[0];
    double value[2];

    if (init->count != 3 || init->at[0] < IR_INIT_ZERO || init->at[0] > IR_INIT_NORMAL)
        return ir_refuse(g, n, "a bad init; expected zero, constant, uniform or normal");
    memcpy(value, init->at + 1, sizeof value);
    if (!isfinite(value[0]) || !isfinite(value[1]))
        if (init->at[0] != IR_INIT_CONSTANT)
            return ir_refuse(g, n, "init with %g and %g; expected finite numbers", value[0],
                             value[1]);
    if (ir_dtypes[n->dtype].kind != 'f' && init->at[0] > IR_INIT_CONSTANT)
        return ir_refuse(g, n, "random init of %s; expected a floating type",
                         ir_dtypes[n->dtype].name);
    return true;
}

bool ir_shape_of_given(struct ir_graph *g, struct ir_node *n)
{
    const struct ir_shape *s = &n->shape;

    if (s->rank < 0 || s->rank > IR_RANK)
        return ir_refuse(g, n, "rank %d; expected 0 to %d", s->rank, IR_RANK);
    switch (n->op) {
    case IR_input:
        if (!n->text || !*n->text)
            return ir_refuse(g, n, "an input without a name");
        return true;
    case IR_state:
        if (!n->text || !*n->text)
            return ir_refuse(g, n, "a state without a name");
        return state_init(g, n);
    default:
        return true;
    }
}

/* The function's type is the user's word; its name becomes a word of C. */
bool ir_shape_of_custom(struct ir_graph *g, struct ir_node *n)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789";
    const char *name = n->text ? n->text : "";

    if (!*name || (*name >= '0' && *name <= '9') || name[strspn(name, letters)] ||
        strlen(name) > 60)
        return ir_refuse(g, n, "the name \"%.60s\"; expected a C identifier of at most 60 letters",
                         name);
    if (n->arity < 1 || n->arity > IR_CUSTOM_ARGUMENTS)
        return ir_refuse(g, n, "%d arguments; expected 1 to %d", n->arity, IR_CUSTOM_ARGUMENTS);
    return ir_shape_of_given(g, n) &&
           (n->attr[0].count == 0 || ir_rule_list(g, n, 0, 1, 0, n->arity - 1));
}

bool ir_shape_of_constant(struct ir_graph *g, struct ir_node *n)
{
    return ir_shape_of_given(g, n) && const_value(g, n);
}

bool ir_shape_of_size(struct ir_graph *g, struct ir_node *n)
{
    if (!ir_shape_of_given(g, n))
        return false;
    if (n->attr[0].count != 1 || !ir_dim_valid(g, n->attr[0].at[0]))
        return ir_refuse(g, n, "a bad dim; expected one extent");
    if (n->shape.rank ||
        (n->dtype != IR_F32 && n->dtype != IR_F64 && n->dtype != IR_I32 && n->dtype != IR_I64))
        return ir_refuse(g, n, "%s of rank %d; expected a scalar of f32, f64, i32 or i64",
                         ir_dtypes[n->dtype].name, n->shape.rank);
    return true;
}

bool ir_shape_of_iota(struct ir_graph *g, struct ir_node *n)
{
    if (!ir_shape_of_given(g, n) || !ir_rule_axis(g, n, 0, n->shape.rank))
        return false;
    if (n->dtype == IR_BOOL)
        return ir_refuse(g, n, "of bool; expected a number");
    return true;
}

bool ir_shape_of_bits(struct ir_graph *g, struct ir_node *n)
{
    if (!ir_shape_of_given(g, n) || !ir_rule_list(g, n, 0, 1, 0, INT64_MAX))
        return false;
    for (int i = 0; i < 2; i++)
        if (ir_arg(g, n, i)->dtype != IR_I64 || ir_arg(g, n, i)->shape.rank)
            return ir_refuse(g, n, "%s; expected a scalar of i64", ir_shown(g, n, i));
    n->dtype = IR_U32;
    return true;
}

/* --- the entry -------------------------------------------------------------------------------- */

static bool fits(struct ir_graph *g, struct ir_node *n)
{
    int64_t all = 1; /* empty axes do not excuse the others: strides are made of them */

    for (int i = 0; i < n->shape.rank; i++) {
        int64_t dim = n->shape.dim[i];
        if (!ir_dim_valid(g, dim))
            return ir_refuse(g, n, "axis %d of the result has a bad extent; expected 0 to 2^48", i);
        if (dim != 0 && (__builtin_mul_overflow(all, ir_dim_max(g, dim), &all) || all >= ELEMENTS))
            return ir_refuse(g, n, "the result is too large; expected fewer than 2^48 elements");
    }
    for (int i = n->shape.rank; i < IR_RANK; i++)
        n->shape.dim[i] = 0;
    return true;
}

typedef bool rule(struct ir_graph *g, struct ir_node *n);
static rule *const rules[IR_OPS] = {
#define UNARY(name, ...)                        [IR_##name] = pointwise,
#define PREDICATE(name, ...)                    [IR_##name] = pointwise,
#define BINARY(name, ...)                       [IR_##name] = pointwise,
#define COMPARE(name, ...)                      [IR_##name] = pointwise,
#define OP(name, arity, attributes, shape, ...) [IR_##name] = ir_shape_of_##shape,
#include "ir/ops.def"
#undef UNARY
#undef PREDICATE
#undef BINARY
#undef COMPARE
#undef OP
};

bool ir_infer(struct ir_graph *g, struct ir_node *n)
{
    const struct ir_op_info *info = &ir_ops[n->op];
    int lists = ir_attributes(n->op);

    if (n->op == IR_POISON || (unsigned)n->op >= IR_OPS)
        ir_bug("infer of operation %d", (int)n->op);
    if (info->arity >= 0 && n->arity != info->arity)
        return ir_refuse(g, n, "%d arguments; expected %d", n->arity, info->arity);
    if ((unsigned)n->dtype >= IR_DTYPES)
        return ir_refuse(g, n, "element type %d; expected one of the table", (int)n->dtype);
    for (int i = 0; i < n->arity; i++)
        if (ir_arg(g, n, i)->op == IR_assign)
            return ir_refuse(g, n, "argument %d is an assignment; expected a value", i + 1);
        else if (ir_has_results(ir_arg(g, n, i)->op) && n->op != IR_result)
            return ir_refuse(g, n, "argument %d is a scan; expected one of its results", i + 1);
    if (n->body && !ir_has_results(n->op))
        return ir_refuse(g, n, "a body; expected none");
    for (int i = lists; i < IR_ATTRS; i++)
        if (n->attr[i].count)
            return ir_refuse(g, n, "%d lists of numbers; expected %d", i + 1, lists);
    return rules[n->op](g, n) && fits(g, n);
}

/*
 * golden_ops: activations with choices, reductions, running sums, products of matrices.
 */
#include "golden.h"

#include <math.h>
#include <string.h>

/* --- pointwise with a choice ----------------------------------------------------------------- */

void golden_op_gelu(struct golden_work *w)
{
    const bool tanh = strcmp(golden_text(w, "approximate", "none"), "tanh") == 0;
    const tp_tensor x = golden_in(w, "input");
    tp_tensor y = tp_formula(tanh ? "gelu_tanh" : "gelu", x);

    if (!tanh && tp_dtype_of(x) == TP_F32) /* PyTorch's vector code has NaN for infinity there */
        y = golden_maths(w, "a + (b - b)", y, x, x, 0, 0, 0);
    golden_out(w, y);
}

/* No gradient at a bound, beyond it, or through NaN. */
void golden_op_clamp(struct golden_work *w)
{
    const bool lo = golden_attr(w->c, "min"), hi = golden_attr(w->c, "max");
    const tp_tensor x = golden_in(w, "input");
    const double least = lo ? golden_real(w, "min", 0) : -(double)INFINITY,
                 most = hi ? golden_real(w, "max", 0) : (double)INFINITY;

    golden_out(w, golden_maths(w,
                               "select((a > p) & (a < q), a, "
                               "select(a >= q, q, select(a <= p, p, stop_gradient(a))))",
                               x, x, x, least, most, 0));
}

void golden_op_prelu(struct golden_work *w)
{
    const tp_tensor x = golden_in(w, "input");
    tp_tensor weight = golden_in(w, "weight");

    if (tp_rank(weight) == 1 && tp_rank(x) > 1 && tp_dim(weight, 0) != 1)
        weight = golden_channels(weight, tp_rank(x));
    golden_out(w, golden_maths(w, "select(a > 0, a, b * a)", x, weight, x, 0, 0, 0));
}

void golden_op_where(struct golden_work *w)
{
    golden_out(w,
               tp_where(golden_in(w, "condition"), golden_in(w, "input"), golden_in(w, "other")));
}

void golden_op_masked_fill(struct golden_work *w)
{
    const tp_tensor x = golden_in(w, "input");

    golden_out(w, tp_where(golden_in(w, "mask"), golden_real(w, "value", 0), x));
}

/* --- reductions ------------------------------------------------------------------------------ */

/* The axes of `dim`: a list or one number; absent or empty: all. */
static tp_reduce_args axes_of(struct golden_work *w, tp_tensor x)
{
    const struct golden_attr *dim = golden_attr(w->c, "dim");
    tp_reduce_args args = { .dim = TP_ALL, .keepdim = golden_int(w, "keepdim", 0) != 0 };
    tp_shape axes = { 0 };

    if (!dim || (dim->kind == 'I' && dim->count == 0) || tp_rank(x) == 0)
        return args;
    if (dim->kind == 'i')
        axes = (tp_shape){ 1, { dim->integer } };
    else
        axes = golden_ints(w, "dim");
    for (int i = 0; i < axes.rank; i++)
        axes.dim[i] = golden_axis(w, axes.dim[i], tp_rank(x));
    args.dim = tp_axes_of(axes);
    return args;
}

static tp_tensor reduced(const char *op, tp_tensor x, tp_reduce_args args)
{
    return tp_reduce_at(op, x, args, TP_HERE);
}

void golden_op_reduce(struct golden_work *w)
{
    const tp_tensor x = golden_in(w, "input");

    golden_out(w, reduced(w->c->op, x, axes_of(w, x)));
}

/* How many elements one of the result stands for. */
static double count_of(tp_tensor x, tp_tensor y)
{
    double n = 1;

    for (int i = 0; i < tp_rank(x); i++)
        n *= (double)tp_dim(x, i);
    for (int i = 0; i < tp_rank(y); i++)
        n /= (double)tp_dim(y, i);
    return n;
}

/* The root of a sum of squares; its gradient is 0 where it is 0. */
static tp_tensor root(struct golden_work *w, tp_tensor x)
{
    return golden_maths(w, "select(a == 0, 0, sqrt(select(a == 0, 1, a)))", x, x, x, 0, 0, 0);
}

void golden_op_variance(struct golden_work *w)
{
    const tp_tensor x = golden_in(w, "input");
    tp_reduce_args args = axes_of(w, x);
    const double correction = golden_real(w, "correction", 1);
    tp_tensor y;

    args.biased = true;
    y = reduced("var", x, args);
    if (correction != 0) {
        const double n = count_of(x, y);
        y = golden_maths(w, "a * p / q", y, y, y, n, fmax(n - correction, 0), 0);
    }
    golden_out(w, strcmp(w->c->op, "std") == 0 ? root(w, y) : y);
}

void golden_op_norm(struct golden_work *w)
{
    const tp_tensor x = golden_in(w, "input");
    const tp_reduce_args args = axes_of(w, x);

    if (strcmp(w->c->op, "norm1") == 0)
        golden_out(w, reduced("sum", tp_abs(x), args));
    else
        golden_out(w, root(w, reduced("sum", tp_square(x), args)));
}

void golden_op_prod(struct golden_work *w)
{
    const tp_tensor x = golden_in(w, "input");

    golden_out(w, reduced("prod", x, axes_of(w, x)));
}

void golden_op_arg(struct golden_work *w)
{
    const tp_tensor x = golden_in(w, "input");

    golden_out(w, reduced(w->c->op, x, axes_of(w, x)));
}

void golden_op_softmax(struct golden_work *w)
{
    const tp_tensor x = golden_in(w, "input");
    const int64_t dim = golden_int(w, "dim", -1);

    if (tp_rank(x) && tp_dim(x, golden_axis(w, dim, tp_rank(x))) == 0)
        golden_out(w, x);
    else if (tp_rank(x) == 0) /* one element is an axis of one */
        golden_out(w, tp_reshape_at(tp_softmax_at(w->c->op, tp_reshape(x, 1), 0, TP_HERE),
                                    TP_SCALAR, TP_HERE));
    else
        golden_out(w, tp_softmax_at(w->c->op, x, golden_axis(w, dim, tp_rank(x)), TP_HERE));
}

void golden_op_glu(struct golden_work *w)
{
    const tp_tensor x = golden_in(w, "input");
    const int axis = golden_axis(w, golden_int(w, "dim", -1), tp_rank(x));
    const int64_t n = tp_dim(x, axis);

    golden_out(
        w, tp_mul(golden_cut(x, axis, 0, n / 2, 1), tp_sigmoid(golden_cut(x, axis, n / 2, n, 1))));
}

void golden_op_normalize(struct golden_work *w)
{
    const tp_tensor x = golden_in(w, "input");
    const double p = golden_real(w, "p", 2), eps = golden_real(w, "eps", 1e-12);
    const int axis = golden_axis(w, golden_int(w, "dim", 1), tp_rank(x));
    tp_tensor norm;

    if (p == 2)
        norm = root(w, tp_sum(tp_square(x), axis, .keepdim = true));
    else if (p == 1)
        norm = tp_sum(tp_abs(x), axis, .keepdim = true);
    else {
        golden_cannot(w, "normalize with p %g", p);
        return;
    }
    golden_out(w, golden_maths(w, "a / select(b < p, p, b)", x, norm, x, eps, 0, 0));
}

/* --- running sums and products: a window, or a triangle, over the last axis ------------------ */

void golden_op_cumsum(struct golden_work *w)
{
    const tp_tensor x = golden_in(w, "input");
    const int axis = tp_rank(x) ? golden_axis(w, golden_int(w, "dim", 0), tp_rank(x)) : 0;
    const int64_t n = tp_dim(x, axis), one = 1, pad[] = { n - 1, 0 };

    if (tp_rank(x) == 0 || n == 0) {
        golden_out(w, x);
        return;
    }
    const tp_tensor last = golden_last(x, axis);
    const ir_val v = tp_val(last);
    const struct ir_list attr[] = { { 1, &n }, { 1, &one }, { 2, pad }, { 1, &one } };
    golden_out(w, golden_back(tp_give(w->g, ir_op_attr(w->g->ir, IR_window_sum, 1, &v, attr,
                                                       tp_place(w->g, TP_HERE))),
                              axis));
}

void golden_op_cumprod(struct golden_work *w)
{
    const tp_tensor x = golden_in(w, "input");
    const int axis = tp_rank(x) ? golden_axis(w, golden_int(w, "dim", 0), tp_rank(x)) : 0;
    const int64_t n = tp_dim(x, axis);

    if (tp_rank(x) == 0 || n == 0) {
        golden_out(w, x);
        return;
    }
    const tp_tensor last = tp_unsqueeze(golden_last(x, axis), -2);
    const tp_tensor row = golden_index(x, tp_dims(n, n), 0),
                    column = golden_index(x, tp_dims(n, n), 1);
    golden_out(w, golden_back(tp_prod(tp_where(tp_le(column, row), last, 1), -1), axis));
}

/* --- products -------------------------------------------------------------------------------- */

void golden_op_matmul(struct golden_work *w)
{
    golden_out(w, tp_matmul(golden_in(w, "input"),
                            golden_in(w, strcmp(w->c->op, "bmm") == 0 ? "mat2" : "other")));
}

void golden_op_outer(struct golden_work *w)
{
    golden_out(w, tp_dot("m,n->mn", golden_in(w, "input"), golden_in(w, "vec2")));
}

void golden_op_addmm(struct golden_work *w)
{
    const tp_tensor x = golden_in(w, "input");
    const tp_tensor product = tp_matmul(golden_in(w, "mat1"), golden_in(w, "mat2"));
    const double beta = golden_real(w, "beta", 1);

    /* with beta 0 even a NaN of the input does not count */
    golden_out(w, golden_maths(w, beta == 0 ? "q * a" : "p * b + q * a", product, x, x, beta,
                               golden_real(w, "alpha", 1), 0));
}

void golden_op_linear(struct golden_work *w)
{
    const tp_tensor x = golden_in(w, "input"), weight = golden_in(w, "weight");
    tp_tensor y = tp_rank(weight) == 1 ? tp_matmul(x, weight) : tp_matmul_nt(x, weight);

    if (golden_has(w, "bias"))
        y = tp_add(y, golden_in(w, "bias"));
    golden_out(w, y);
}

/* --- einsum: diagonals, then sums of lone letters, then products from the left --------------- */

struct term {
    char letter[IR_RANK + 1];
    tp_tensor x;
};

static void once_each(struct golden_work *w, struct term *t)
{
    for (int i = 0; t->letter[i]; i++)
        for (int j = i + 1; t->letter[j]; j++)
            if (t->letter[i] == t->letter[j]) { /* the diagonal comes last */
                const char c = t->letter[i];
                const int rank = tp_rank(t->x);
                t->x = golden_diagonal(w, t->x, 0, i, j);
                memmove(t->letter + j, t->letter + j + 1, (size_t)(rank - j));
                memmove(t->letter + i, t->letter + i + 1, (size_t)(rank - 1 - i));
                t->letter[rank - 2] = c;
                t->letter[rank - 1] = 0;
                once_each(w, t);
                return;
            }
}

/* Sums over the letters that `kept` does not have. */
static void sum_others(struct term *t, const char *kept)
{
    tp_shape axes = { 0 };
    int left = 0;

    for (int i = 0; t->letter[i]; i++)
        if (strchr(kept, t->letter[i]))
            t->letter[left++] = t->letter[i];
        else
            axes.dim[axes.rank++] = i;
    t->letter[left] = 0;
    if (axes.rank)
        t->x = tp_sum(t->x, tp_axes_of(axes));
}

static bool read_equation(struct golden_work *w, struct term *terms, int *count, char *result)
{
    char text[80] = "", *c = text, seen[256] = { 0 };
    const char *equation = golden_text(w, "equation", "");

    for (const char *p = equation; *p && c < text + sizeof text - 1; p++)
        if (*p != ' ')
            *c++ = *p;
    for (c = text; *c && *c != '-'; c += *c == ',') {
        struct term *t = &terms[*count];
        const int length = (int)strspn(c, "abcdefghijklmnopqrstuvwxyz");

        if (*count == 3 || length > IR_RANK || (c[length] && c[length] != ',' && c[length] != '-'))
            return false;
        memcpy(t->letter, c, (size_t)length);
        t->letter[length] = 0;
        t->x = golden_in(w, (const char *[]){ "x0", "x1", "x2" }[(*count)++]);
        if (tp_rank(t->x) != length)
            return false;
        for (int i = 0; i < length; i++)
            seen[(unsigned char)c[i]]++;
        c += length;
    }
    *result = 0;
    if (strncmp(c, "->", 2) == 0 && strlen(c + 2) <= IR_RANK)
        snprintf(result, IR_RANK + 1, "%s", c + 2);
    else if (*c)
        return false;
    else /* without an arrow: the letters that stand once, by the alphabet */
        for (int letter = 'a', n = 0; letter <= 'z'; letter++)
            if (seen[letter] == 1 && n < IR_RANK) {
                result[n++] = (char)letter;
                result[n] = 0;
            }
    return *count > 0;
}

void golden_op_einsum(struct golden_work *w)
{
    struct term term[3] = { 0 };
    char result[IR_RANK + 1], letters[320], kept[160];
    int count = 0;

    if (!read_equation(w, term, &count, result)) {
        golden_cannot(w, "einsum of %.60s", golden_text(w, "equation", ""));
        return;
    }
    for (int i = 0; i < count; i++)
        once_each(w, &term[i]);
    for (int i = 0; i + 1 < count; i++) {
        struct term next = { 0 };
        int n = 0;

        /* what the result or a later factor still needs */
        snprintf(kept, sizeof kept, "%s%s", result, i + 2 < count ? term[2].letter : "");
        for (int side = 0; side < 2; side++) {
            char needed[320];
            snprintf(needed, sizeof needed, "%s%s", kept, term[i + !side].letter);
            sum_others(&term[i + side], needed);
        }
        for (const char *c = term[i].letter; *c; c++)
            if (strchr(kept, *c))
                next.letter[n++] = *c;
        for (const char *c = term[i + 1].letter; *c && n < IR_RANK; c++)
            if (strchr(kept, *c) && !strchr(term[i].letter, *c))
                next.letter[n++] = *c;
        snprintf(letters, sizeof letters, "%s,%s->%s", term[i].letter, term[i + 1].letter,
                 next.letter);
        next.x = tp_dot(ir_format(w->g->ir->arena, "%s", letters), term[i].x, term[i + 1].x);
        term[i + 1] = next;
    }
    sum_others(&term[count - 1], result);
    tp_shape order = { .rank = (int)strlen(result) };
    for (int i = 0; i < order.rank; i++) {
        const char *at = strchr(term[count - 1].letter, result[i]);
        if (!at) {
            golden_cannot(w, "einsum of %.60s", golden_text(w, "equation", ""));
            return;
        }
        order.dim[i] = at - term[count - 1].letter;
    }
    golden_out(w,
               order.rank ? tp_permute_at(term[count - 1].x, order, TP_HERE) : term[count - 1].x);
}

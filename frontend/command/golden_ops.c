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
    golden_out(w, tp_prelu(golden_in(w, "input"), golden_in(w, "weight")));
}

void golden_op_where(struct golden_work *w)
{
    golden_out(w,
               tp_where(golden_in(w, "condition"), golden_in(w, "input"), golden_in(w, "other")));
}

void golden_op_masked_fill(struct golden_work *w)
{
    golden_out(
        w, tp_masked_fill(golden_in(w, "input"), golden_in(w, "mask"), golden_real(w, "value", 0)));
}

/* --- reductions ------------------------------------------------------------------------------ */

/* The axes of `dim`: a list or one number; absent or empty: all. */
int64_t golden_axes(struct golden_work *w, tp_tensor x)
{
    const struct golden_attr *dim = golden_attr(w->c, "dim");
    tp_shape axes = { 0 };

    if (!dim || (dim->kind == 'I' && dim->count == 0) || tp_rank(x) == 0)
        return TP_ALL;
    if (dim->kind == 'i')
        axes = (tp_shape){ 1, { dim->integer } };
    else
        axes = golden_ints(w, "dim");
    for (int i = 0; i < axes.rank; i++)
        axes.dim[i] = golden_axis(w, axes.dim[i], tp_rank(x));
    return tp_axes_of(axes);
}

static tp_reduce_args axes_of(struct golden_work *w, tp_tensor x)
{
    return (tp_reduce_args){ .dim = golden_axes(w, x),
                             .keepdim = golden_int(w, "keepdim", 0) != 0 };
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

void golden_op_variance(struct golden_work *w)
{
    const tp_tensor x = golden_in(w, "input");
    tp_reduce_args args = axes_of(w, x);

    args.correction = golden_real(w, "correction", 1);
    args.biased = args.correction == 0;
    golden_out(w, reduced(w->c->op, x, args));
}

void golden_op_norm(struct golden_work *w)
{
    const tp_tensor x = golden_in(w, "input");

    golden_out(w, tp_norm_at(x, w->c->op[4] - '0', axes_of(w, x), TP_HERE)); /* norm1, norm2 */
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
    golden_out(w, tp_glu(golden_in(w, "input"), (int)golden_int(w, "dim", -1)));
}

void golden_op_normalize(struct golden_work *w)
{
    golden_out(w, tp_normalize_at(golden_in(w, "input"), golden_real(w, "p", 2),
                                  (int)golden_int(w, "dim", 1), golden_real(w, "eps", 1e-12),
                                  TP_HERE));
}

/* --- running sums and products: a window, or a triangle, over the last axis ------------------ */

void golden_op_cumulate(struct golden_work *w)
{
    const tp_tensor x = golden_in(w, "input");
    const int axis = tp_rank(x) ? golden_axis(w, golden_int(w, "dim", 0), tp_rank(x)) : 0;

    golden_out(w, tp_rank(x) ? tp_cumulate_at(w->c->op, x, axis, TP_HERE) : x);
}

/* --- products -------------------------------------------------------------------------------- */

void golden_op_matmul(struct golden_work *w)
{
    golden_out(w, tp_matmul(golden_in(w, "input"),
                            golden_in(w, strcmp(w->c->op, "bmm") == 0 ? "mat2" : "other")));
}

void golden_op_outer(struct golden_work *w)
{
    golden_out(w, tp_outer(golden_in(w, "input"), golden_in(w, "vec2")));
}

void golden_op_addmm(struct golden_work *w)
{
    golden_out(w, tp_addmm_scaled(golden_in(w, "input"), golden_in(w, "mat1"), golden_in(w, "mat2"),
                                  golden_real(w, "beta", 1), golden_real(w, "alpha", 1)));
}

void golden_op_linear(struct golden_work *w)
{
    const tp_tensor x = golden_in(w, "input"), weight = golden_in(w, "weight");
    tp_tensor y = tp_rank(weight) == 1 ? tp_matmul(x, weight) : tp_matmul_nt(x, weight);

    if (golden_has(w, "bias"))
        y = tp_add(y, golden_in(w, "bias"));
    golden_out(w, y);
}

void golden_op_einsum(struct golden_work *w)
{
    golden_out(
        w, tp_einsum_at(golden_text(w, "equation", ""), (tp_list){ w->c->ins, w->in }, TP_HERE));
}

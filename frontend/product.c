/*
 * product: contractions by letters. PyTorch's matmul is a choice of letters.
 */
#include <string.h>

#include "frontend/frontend.h"

tp_tensor tp_dot_at(const char *letters, tp_tensor a, tp_tensor b, tp_loc at)
{
    const tp_tensor x[] = { a, b };
    tp_graph *g = tp_graph_of(2, x);
    enum ir_dtype dtype;

    if (!tp_ready(g, at, "tp_dot", 2, x))
        return POISON(g);
    if (!a.g || !b.g || !letters)
        return tp_fail(g, at, "tp_dot", "a bare number; expected two tensors and letters");
    dtype = tp_node(a)->dtype;
    if (dtype != tp_node(b)->dtype)
        return tp_fail(g, at, "tp_dot",
                       "a = %s and b = %s; expected one type, tp_cast() changes it",
                       tp_describe_from(a), tp_describe_from(b));
    return tp_give(g, ir_dot(g->ir, tp_val(a), tp_val(b), letters, tp_place(g, at)));
}

/* The axes before the last two of each, broadcast against each other. */
static bool batch(tp_tensor a, tp_tensor b, struct ir_shape *all, tp_loc at)
{
    const struct ir_shape *s[2] = { &tp_node(a)->shape, &tp_node(b)->shape };

    all->rank = (s[0]->rank > s[1]->rank ? s[0]->rank : s[1]->rank) - 2;
    for (int i = 0; i < all->rank; i++) {
        int64_t dim[2] = { 1, 1 };
        for (int j = 0; j < 2; j++)
            if (i - all->rank + s[j]->rank - 2 >= 0)
                dim[j] = s[j]->dim[i - all->rank + s[j]->rank - 2];
        if (dim[0] != dim[1] && dim[0] != 1 && dim[1] != 1) {
            tp_fail(a.g, at, "tp_matmul", "a = %s and b = %s; expected equal batch axes or 1",
                    tp_describe_from(a), tp_describe_from(b));
            return false;
        }
        all->dim[i] = dim[0] == 1 ? dim[1] : dim[0];
    }
    return true;
}

/* x with its batch axes made those of `all`. */
static ir_val widened(tp_tensor x, const struct ir_shape *all, struct ir_loc loc)
{
    struct ir_shape to = *all;
    const struct ir_shape *s = &tp_node(x)->shape;

    to.rank = all->rank + 2;
    to.dim[all->rank] = s->dim[s->rank - 2];
    to.dim[all->rank + 1] = s->dim[s->rank - 1];
    return ir_expand(x.g->ir, tp_val(x), to, loc);
}

/* transposed: b is [.. n k]. A b without batch axes serves all rows of a. */
static tp_tensor matmul(tp_tensor a, tp_tensor b, bool transposed, tp_loc at)
{
    const tp_tensor x[] = { a, b };
    tp_graph *g = tp_graph_of(2, x);
    const char *what = transposed ? "tp_matmul_nt" : "tp_matmul";
    int ranks[2];
    char lead[IR_RANK + 1] = "", letters[64];
    struct ir_shape all = { 0 };
    ir_val v[2];

    if (!tp_ready(g, at, what, 2, x))
        return POISON(g);
    if (!a.g || !b.g || tp_rank(a) < 1 || tp_rank(b) < 1)
        return tp_fail(g, at, what, "a scalar; expected tensors with an axis or more");
    ranks[0] = tp_rank(a);
    ranks[1] = tp_rank(b);
    if (tp_dim(a, -1) != tp_dim(b, transposed || ranks[1] == 1 ? -1 : -2))
        return tp_fail(g, at, what, "a = %s and b = %s; expected a's last extent to be b's %s",
                       tp_describe_from(a), tp_describe_from(b),
                       transposed || ranks[1] == 1 ? "last" : "last but one");
    if (ranks[1] == 1 || (ranks[1] == 2 && ranks[0] != 1) || (ranks[0] == 1 && ranks[1] == 2)) {
        for (int i = 0; i < ranks[0] - 1; i++)
            lead[i] = ranks[0] == 2 ? 'm' : (char)('a' + i);
        snprintf(letters, sizeof letters, "%sk,%s->%s%s", lead,
                 ranks[1] == 1 ? "k"
                 : transposed  ? "nk"
                               : "kn",
                 lead, ranks[1] == 1 ? "" : "n");
        return tp_dot_at(letters, a, b, at);
    }
    if (ranks[0] == 1) { /* a row, for every matrix of b */
        tp_tensor row = tp_unsqueeze_at(a, 0, at);
        return tp_squeeze_at(matmul(row, b, transposed, at), -2, at);
    }
    if (!batch(a, b, &all, at))
        return POISON(g);
    for (int i = 0; i < all.rank; i++)
        lead[i] = (char)('a' + i);
    v[0] = widened(a, &all, tp_place(g, at));
    v[1] = widened(b, &all, tp_place(g, at));
    snprintf(letters, sizeof letters, "%smk,%s%s->%smn", lead, lead, transposed ? "nk" : "kn",
             lead);
    return tp_dot_at(letters, tp_give(g, v[0]), tp_give(g, v[1]), at);
}

tp_tensor tp_matmul_at(tp_tensor a, tp_tensor b, tp_loc at)
{
    return matmul(a, b, false, at);
}

tp_tensor tp_matmul_nt_at(tp_tensor a, tp_tensor b, tp_loc at)
{
    return matmul(a, b, true, at);
}

tp_tensor tp_bmm_at(tp_tensor a, tp_tensor b, tp_loc at)
{
    const tp_tensor x[] = { a, b };

    if (!tp_ready(a.g, at, "tp_bmm", 2, x))
        return POISON(a.g);
    if (!b.g || tp_rank(a) != 3 || tp_rank(b) != 3 || tp_dim(a, 0) != tp_dim(b, 0))
        return tp_fail(a.g, at, "tp_bmm", "a = %s and b = %s; expected [batch m k] and [batch k n]",
                       tp_describe(a), b.g ? tp_describe(b) : "a number");
    return matmul(a, b, false, at);
}

tp_tensor tp_outer_at(tp_tensor a, tp_tensor b, tp_loc at)
{
    const tp_tensor x[] = { a, b };

    if (!tp_ready(a.g, at, "tp_outer", 2, x))
        return POISON(a.g);
    if (!b.g || tp_rank(a) != 1 || tp_rank(b) != 1)
        return tp_fail(a.g, at, "tp_outer", "a = %s and b = %s; expected two vectors",
                       tp_describe(a), b.g ? tp_describe(b) : "a number");
    return tp_dot_at("m,n->mn", a, b, at);
}

/* With beta 0 even a NaN of x does not count. */
tp_tensor tp_addmm_at(tp_tensor x, tp_tensor a, tp_tensor b, double beta, double alpha, tp_loc at)
{
    const tp_tensor all[] = { x, a, b };
    tp_tensor y;

    if (!tp_ready(x.g, at, "tp_addmm", 3, all))
        return POISON(x.g);
    y = matmul(a, b, false, at);
    y = alpha == 1 ? y : tp_binary_at("mul", y, tp_as_number(alpha), at);
    if (beta == 0)
        return y;
    x = beta == 1 ? x : tp_binary_at("mul", x, tp_as_number(beta), at);
    return tp_binary_at("add", x, y, at);
}

tp_tensor tp_kron_at(tp_tensor a, tp_tensor b, tp_loc at)
{
    const tp_tensor x[] = { a, b };
    tp_shape wide[2] = { { 0 }, { 0 } }, final = { 0 };
    int rank;

    if (!tp_ready(a.g, at, "tp_kron", 2, x))
        return POISON(a.g);
    rank = tp_rank(a) > tp_rank(b) ? tp_rank(a) : tp_rank(b);
    if (!b.g || 2 * rank > IR_RANK)
        return tp_fail(a.g, at, "tp_kron", "a = %s and b = %s; expected at most %d axes",
                       tp_describe(a), b.g ? tp_describe(b) : "a number", IR_RANK / 2);
    final.rank = rank;
    wide[0].rank = wide[1].rank = 2 * rank;
    for (int i = 0; i < rank; i++) {
        const int64_t n = i < rank - tp_rank(a) ? 1 : tp_dim(a, i - rank + tp_rank(a)),
                      m = i < rank - tp_rank(b) ? 1 : tp_dim(b, i - rank + tp_rank(b));
        wide[0].dim[2 * i] = n;
        wide[0].dim[2 * i + 1] = wide[1].dim[2 * i] = 1;
        wide[1].dim[2 * i + 1] = m;
        final.dim[i] = ir_dim_mul(a.g->ir, n, m);
    }
    return tp_reshape_at(
        tp_binary_at("mul", tp_reshape_at(a, wide[0], at), tp_reshape_at(b, wide[1], at), at),
        final, at);
}

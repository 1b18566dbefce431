/*
 * golden_formula: the operators that are one formula, a row each, and the table of the others.
 */
#include "golden.h"

#include <string.h>

/* a b c: the inputs; p q r: the attributes, with what they are when they lack. Corners are as in
 * PyTorch: what NaN and infinities give, and on which side of a kink the gradient is taken. */
static const struct row {
    const char *op, *formula, *in[3], *attr[3];
    double otherwise[3];
} rows[] = {
    { "leaky_relu", "select(a > 0, a, p * a)", { "input" }, { "negative_slope" }, { 0.01 } },
    { "elu",
      "select(a <= 0, p * expm1(select(a <= 0, a, 0)), a)",
      { "input" },
      { "alpha" },
      { 1 } },
    { "celu",
      "select(a <= 0, p * expm1(select(a <= 0, a, 0) / p), a)",
      { "input" },
      { "alpha" },
      { 1 } },
    { "selu",
      "1.0507009873554804934 * select(a <= 0, 1.6732632423543772848 * expm1(select(a <= 0, a, 0)), "
      "a)",
      { "input" },
      { 0 },
      { 0 } },
    /* -inf times 0 is NaN there; the slope of hardsigmoid is the float 1/6, and 0 for NaN */
    { "hardswish",
      "select(a <= -3, stop_gradient(a) * 0, select(a < 3, select(a > -3, select(a < 3, a, 0), 0) "
      "* "
      "(select(a > -3, select(a < 3, a, 0), 0) + 3) / 6, a))",
      { "input" },
      { 0 },
      { 0 } },
    { "hardsigmoid",
      "select((a > -3) & (a < 3), a * 0.16666667163372039795 + "
      "stop_gradient(a / 6 + 0.5 - a * 0.16666667163372039795), "
      "select(a >= 3, 1, select(a <= -3, 0, stop_gradient(a))))",
      { "input" },
      { 0 },
      { 0 } },
    { "softplus",
      "select(a * p > q, a, (max(a * p, 0) + log1p(exp(-abs(a * p)))) / p)",
      { "input" },
      { "beta", "threshold" },
      { 1, 20 } },
    { "hardtanh",
      "select(a <= p, p, select(a >= q, q, a))",
      { "input" },
      { "min_val", "max_val" },
      { -1, 1 } },
    { "pow_scalar", "pow(a, p)", { "input" }, { "exponent" }, { 1 } },
    { "add", "a + p * b", { "input", "other" }, { "alpha" }, { 1 } },
    { "sub", "a - p * b", { "input", "other" }, { "alpha" }, { 1 } },
    { "mul", "a * b", { "input", "other" }, { 0 }, { 0 } },
    { "div", "a / b", { "input", "other" }, { 0 }, { 0 } },
    { "pow", "pow(a, b)", { "input", "exponent" }, { 0 }, { 0 } },
    { "maximum", "max(a, b)", { "input", "other" }, { 0 }, { 0 } },
    { "minimum", "min(a, b)", { "input", "other" }, { 0 }, { 0 } },
    { "atan2", "atan2(a, b)", { "input", "other" }, { 0 }, { 0 } },
    { "hypot", "sqrt(a * a + b * b)", { "input", "other" }, { 0 }, { 0 } },
    { "lerp", "a + c * (b - a)", { "input", "end", "weight" }, { 0 }, { 0 } },
    { "eq", "a == b", { "input", "other" }, { 0 }, { 0 } },
    { "ne", "a != b", { "input", "other" }, { 0 }, { 0 } },
    { "lt", "a < b", { "input", "other" }, { 0 }, { 0 } },
    { "le", "a <= b", { "input", "other" }, { 0 }, { 0 } },
    { "gt", "a > b", { "input", "other" }, { 0 }, { 0 } },
    { "ge", "a >= b", { "input", "other" }, { 0 }, { 0 } },
};

/* Of one input, by a row of ir/ops.def or of frontend/formulas.def. */
static const char *const rows_of_ops[] = { "abs",   "neg",   "exp",   "exp2", "log",  "log1p",
                                           "expm1", "sqrt",  "rsqrt", "sin",  "cos",  "tan",
                                           "asin",  "acos",  "atan",  "sinh", "cosh", "tanh",
                                           "asinh", "acosh", "atanh", "erf",  "erfc", "floor",
                                           "ceil",  "round", "sign",  "relu", NULL };
static const struct {
    const char *op, *formula;
} rows_of_formulas[] = {
    { "reciprocal", "reciprocal" },
    { "square", "square" },
    { "log2", "log2" },
    { "sigmoid", "sigmoid" },
    { "relu6", "relu6" },
    { "silu", "silu" },
    { "mish", "mish" },
    { "softsign", "softsign" },

    { "logsigmoid", "log_sigmoid" },
};

static void by_row(struct golden_work *w, const struct row *row)
{
    tp_tensor x[3] = { { .g = w->g }, { .g = w->g }, { .g = w->g } };
    double number[3] = { 0 };

    for (int i = 0; i < 3 && row->in[i]; i++)
        x[i] = golden_in(w, row->in[i]);
    for (int i = 0; i < 3 && row->attr[i]; i++)
        number[i] = golden_real(w, row->attr[i], row->otherwise[i]);
    golden_out(w, golden_maths(w, row->formula, x[0], x[1], x[2], number[0], number[1], number[2]));
}

bool golden_formula(struct golden_work *w)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (strcmp(rows[i].op, w->c->op) == 0) {
            by_row(w, &rows[i]);
            return true;
        }
    for (const char *const *op = rows_of_ops; *op; op++)
        if (strcmp(*op, w->c->op) == 0) {
            golden_out(w, tp_unary(*op, golden_in(w, "input")));
            return true;
        }
    for (size_t i = 0; i < sizeof rows_of_formulas / sizeof *rows_of_formulas; i++)
        if (strcmp(rows_of_formulas[i].op, w->c->op) == 0) {
            golden_out(w, tp_formula(rows_of_formulas[i].formula, golden_in(w, "input")));
            return true;
        }
    return false;
}

golden_op *golden_operator(const char *name)
{
    static const struct {
        const char *name;
        golden_op *op;
    } table[] = {
#define ROW(name, function) { #name, golden_op_##function },
        GOLDEN_OPERATORS(ROW)
#undef ROW
    };

    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (strcmp(table[i].name, name) == 0)
            return table[i].op;
    return NULL;
}

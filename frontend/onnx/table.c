/*
 * table: a row for each operator of ONNX. Versions differ in where a number stands (an attribute
 * became an input) and what holds when it is left out; the functions look at both.
 *
 * A row that says one operation or region of ours, and no more, is read backwards where ONNX is
 * written; `more` then says on which elements: bool, whole (integers), or NULL for all.
 */
#include "frontend/onnx/export.h"
#include "frontend/onnx/ops.h"

#include <string.h>

#define SAFE_EXPM1 "expm1(select(a < 0, a, 0))"

static const struct onnx_row rows[] = {
    /* by name */
    { "Abs", onnx_unary, "abs", NULL },
    { "Acos", onnx_unary, "acos", NULL },
    { "Acosh", onnx_unary, "acosh", NULL },
    { "Add", onnx_binary, "add", NULL },
    { "And", onnx_binary, "and", "bool" },
    { "ArgMax", onnx_arg, "argmax", NULL },
    { "ArgMin", onnx_arg, "argmin", NULL },
    { "Asin", onnx_unary, "asin", NULL },
    { "Asinh", onnx_unary, "asinh", NULL },
    { "Atan", onnx_unary, "atan", NULL },
    { "Atanh", onnx_unary, "atanh", NULL },
    { "Attention", onnx_attention, NULL, NULL },
    { "AveragePool", onnx_average_pool, NULL, NULL },
    { "BatchNormalization", onnx_batch_norm, NULL, NULL },
    { "BitwiseAnd", onnx_binary, "and", "whole" },
    { "BitwiseNot", onnx_unary, "not", "whole" },
    { "BitwiseOr", onnx_binary, "or", "whole" },
    { "BitwiseXor", onnx_binary, "xor", "whole" },
    { "Cast", onnx_to_type, NULL, NULL },
    { "CastLike", onnx_like_type, NULL, NULL },
    { "Ceil", onnx_unary, "ceil", NULL },
    { "Celu", onnx_by_maths, "select(a < 0, p * expm1(select(a < 0, a, 0) / p), a)", "alpha=1" },
    { "Clip", onnx_clip, NULL, NULL },
    { "Concat", onnx_concat, NULL, NULL },
    { "Constant", onnx_constant, NULL, NULL },
    { "ConstantOfShape", onnx_filled, NULL, NULL },
    { "Conv", onnx_conv, NULL, NULL },
    { "ConvTranspose", onnx_conv_transpose, NULL, NULL },
    { "Cos", onnx_unary, "cos", NULL },
    { "Cosh", onnx_unary, "cosh", NULL },
    { "CumSum", onnx_cumsum, NULL, NULL },
    { "DepthToSpace", onnx_depth, "to_space", NULL },
    { "Div", onnx_binary, "div", NULL },
    { "Dropout", onnx_dropout, NULL, NULL },
    { "Einsum", onnx_einsum, NULL, NULL },
    { "Elu", onnx_by_maths, "select(a < 0, p * " SAFE_EXPM1 ", a)", "alpha=1" },
    { "Equal", onnx_binary, "eq", NULL },
    { "Erf", onnx_unary, "erf", NULL },
    { "Exp", onnx_unary, "exp", NULL },
    { "Expand", onnx_expand, NULL, NULL },
    { "EyeLike", onnx_eye, NULL, NULL },
    { "Flatten", onnx_flatten, NULL, NULL },
    { "Floor", onnx_unary, "floor", NULL },
    { "GRU", onnx_recurrent, "gru", NULL },
    { "Gather", onnx_gather, "take", NULL },
    { "GatherElements", onnx_gather, "gather", NULL },
    { "GatherND", onnx_gather_nd, NULL, NULL },
    { "Gelu", onnx_gelu, NULL, NULL },
    { "Gemm", onnx_gemm, NULL, NULL },
    { "GlobalAveragePool", onnx_global_pool, "mean", NULL },
    { "GlobalMaxPool", onnx_global_pool, "amax", NULL },
    { "Greater", onnx_swapped, "lt", NULL },
    { "GreaterOrEqual", onnx_swapped, "le", NULL },
    { "GroupNormalization", onnx_group_norm, NULL, NULL },
    { "HardSigmoid", onnx_by_maths, "max(min(p * a + q, 1), 0)", "alpha=0.2 beta=0.5" },
    { "HardSwish", onnx_by_maths, "a * max(min(a / 6 + 0.5, 1), 0)", "" },
    { "Identity", onnx_identity, NULL, NULL },
    { "If", onnx_if, NULL, NULL },
    { "InstanceNormalization", onnx_instance_norm, NULL, NULL },
    { "IsInf", onnx_isinf, NULL, NULL },
    { "IsNaN", onnx_unary, "isnan", NULL },
    { "LRN", onnx_lrn, NULL, NULL },
    { "LSTM", onnx_recurrent, "lstm", NULL },
    { "LayerNormalization", onnx_layer_norm, NULL, NULL },
    { "LeakyRelu", onnx_by_maths, "select(a < 0, p * a, a)", "alpha=0.01" },
    { "Less", onnx_binary, "lt", NULL },
    { "LessOrEqual", onnx_binary, "le", NULL },
    { "Log", onnx_unary, "log", NULL },
    { "LogSoftmax", onnx_softmax, "log_softmax", NULL },
    { "Loop", onnx_loop, NULL, NULL },
    { "MatMul", onnx_matmul, NULL, NULL },
    { "Max", onnx_fold, "max", NULL },
    { "MaxPool", onnx_max_pool, NULL, NULL },
    { "Mean", onnx_fold, "add", "mean" },
    { "MeanVarianceNormalization", onnx_mean_variance, NULL, NULL },
    { "Min", onnx_fold, "min", NULL },
    { "Mish", onnx_formula, "mish", NULL },
    { "Mod", onnx_mod, NULL, NULL },
    { "Mul", onnx_binary, "mul", NULL },
    { "Neg", onnx_unary, "neg", NULL },
    { "NegativeLogLikelihoodLoss", onnx_nll, NULL, NULL },
    { "Not", onnx_unary, "not", "bool" },
    { "OneHot", onnx_one_hot, NULL, NULL },
    { "Or", onnx_binary, "or", "bool" },
    { "PRelu", onnx_prelu, NULL, NULL },
    { "Pad", onnx_pad, NULL, NULL },
    { "Pow", onnx_pow, NULL, NULL },
    { "RMSNormalization", onnx_rms_norm, NULL, NULL },
    { "RNN", onnx_recurrent, "rnn", NULL },
    { "Range", onnx_range, NULL, NULL },
    { "Reciprocal", onnx_by_maths, "1 / a", "" },
    { "ReduceL1", onnx_reduction, "sum", "l1" },
    { "ReduceL2", onnx_reduction, "sum", "l2" },
    { "ReduceLogSum", onnx_reduction, "sum", "log" },
    { "ReduceLogSumExp", onnx_reduction, "sum", "logexp" },
    { "ReduceMax", onnx_reduction, "amax", "" },
    { "ReduceMean", onnx_reduction, "sum", "mean" },
    { "ReduceMin", onnx_reduction, "amin", "" },
    { "ReduceProd", onnx_reduction, "prod", "" },
    { "ReduceSum", onnx_reduction, "sum", "" },
    { "ReduceSumSquare", onnx_reduction, "sum", "square" },
    { "Relu", onnx_unary, "relu", NULL },
    { "Reshape", onnx_reshape, NULL, NULL },
    { "Resize", onnx_resize, NULL, NULL },
    { "Round", onnx_unary, "round", NULL },
    { "Scan", onnx_scan, NULL, NULL },
    { "ScatterElements", onnx_scatter, NULL, NULL },
    { "ScatterND", onnx_scatter_nd, NULL, NULL },
    { "Selu", onnx_by_maths, "q * select(a < 0, p * " SAFE_EXPM1 ", a)",
      "alpha=1.67326319217681884765625 gamma=1.05070102214813232421875" },
    { "Shape", onnx_shape, NULL, NULL },
    { "Shrink", onnx_by_maths, "select(a < -q, a + p, select(a > q, a - p, 0))",
      "bias=0 lambd=0.5" },
    { "Sigmoid", onnx_formula, "sigmoid", NULL },
    { "Sign", onnx_unary, "sign", NULL },
    { "Sin", onnx_unary, "sin", NULL },
    { "Sinh", onnx_unary, "sinh", NULL },
    { "Size", onnx_size, NULL, NULL },
    { "Slice", onnx_slice, NULL, NULL },
    { "Softmax", onnx_softmax, "softmax", NULL },
    { "SoftmaxCrossEntropyLoss", onnx_cross_entropy, NULL, NULL },
    { "Softplus", onnx_by_maths, "max(a, 0) + log1p(exp(-abs(a)))", "" },
    { "Softsign", onnx_formula, "softsign", NULL },
    { "SpaceToDepth", onnx_depth, "to_depth", NULL },
    { "Split", onnx_split, NULL, NULL },
    { "Sqrt", onnx_unary, "sqrt", NULL },
    { "Squeeze", onnx_squeeze, NULL, NULL },
    { "Sub", onnx_binary, "sub", NULL },
    { "Sum", onnx_fold, "add", NULL },
    { "Swish", onnx_by_maths, "a / (1 + exp(-(p * a)))", "alpha=1" },
    { "Tan", onnx_unary, "tan", NULL },
    { "Tanh", onnx_unary, "tanh", NULL },
    { "ThresholdedRelu", onnx_by_maths, "select(a > p, a, 0)", "alpha=1" },
    { "Tile", onnx_tile, NULL, NULL },
    { "TopK", onnx_topk, NULL, NULL },
    { "Transpose", onnx_transpose, NULL, NULL },
    { "Trilu", onnx_trilu, NULL, NULL },
    { "Unsqueeze", onnx_unsqueeze, NULL, NULL },
    { "Where", onnx_where, NULL, NULL },
    { "Xor", onnx_binary, "xor", "bool" },
};

static const struct onnx_row previews[] = {
    /* ai.onnx.preview.training */
    { "Adagrad", onnx_adagrad, NULL, NULL },
    { "Adam", onnx_adam, NULL, NULL },
    { "Momentum", onnx_momentum, NULL, NULL },
};

const struct onnx_row *tp_onnx_row(const char *name, bool preview)
{
    const struct onnx_row *of = preview ? previews : rows;
    const size_t count = (preview ? sizeof previews : sizeof rows) / sizeof *rows;

    for (size_t i = 0; i < count; i++)
        if (strcmp(of[i].name, name) == 0)
            return &of[i];
    return NULL;
}

bool tp_onnx_unchanged(const char *name)
{
    static const char *const names[] = {
        "Abs",      "Ceil",       "Constant",  "Elu",       "Exp",           "Flatten",
        "Floor",    "Identity",   "LeakyRelu", "Log",       "MatMul",        "Neg",
        "Not",      "Reciprocal", "Relu",      "Shape",     "Sigmoid",       "Softplus",
        "Softsign", "Sqrt",       "Tanh",      "Transpose", "GlobalMaxPool", "GlobalAveragePool",
    };

    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(names[i], name) == 0)
            return true;
    return false;
}

/* Does a row of this function say what stands in its detail, and nothing else? */
static bool is_plain(const struct onnx_row *row)
{
    const char *more = row->more ? row->more : "";

    if (row->build == onnx_unary || row->build == onnx_binary)
        return true;
    return (row->build == onnx_fold || row->build == onnx_formula || row->build == onnx_softmax ||
            row->build == onnx_reduction || row->build == onnx_arg) &&
           !*more;
}

static bool is_of(const struct onnx_row *row, enum ir_dtype dtype)
{
    const char kind = ir_dtypes[dtype].kind;

    if (!row->more || !*row->more)
        return true;
    return strcmp(row->more, "bool") == 0 ? kind == 'b' : kind == 'i' || kind == 'u';
}

const char *tp_onnx_name_of(const char *what, enum ir_dtype dtype)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (is_plain(&rows[i]) && strcmp(rows[i].detail, what) == 0 && is_of(&rows[i], dtype))
            return rows[i].name;
    return NULL;
}

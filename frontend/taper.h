/*
 * taper.h: record a model, compile its whole training step, run it.
 *
 *     tp_graph *g = tp_graph_new(42);
 *     int64_t B = tp_symbol(g, "batch", 1, 64);
 *     tp_tensor x = tp_input(g, "x", TP_F32, tp_dims(B, 784));
 *     tp_tensor y = tp_input(g, "y", TP_I32, tp_dims(B));
 *     tp_tensor h = tp_relu(tp_linear(x, "fc1", 128));
 *     tp_tensor loss = tp_cross_entropy(tp_linear(h, "fc2", 10), y);
 *
 *     tp_program *step = tp_compile_train(loss, .opt = tp_adam(), .lr = tp_const(1e-3));
 *     while (tp_next(train, step) && tp_run(step))
 *         total += tp_get(step, loss);
 *
 * Operations record and compute nothing. A wrong one stores a message in the graph and gives
 * poison, which makes poison; tp_compile_* then gives NULL and tp_error(g) the first message. So
 * model code has no checks. Every operation is a macro over a function whose name ends in _at,
 * which takes the place in the user's program; bindings call those.
 *
 * Required arguments stand by position, options by name: tp_conv2d(x, "conv1", 6, 5, .pad = 2).
 * A zero option means its default.
 */
#ifndef TAPER_H
#define TAPER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define TP_API                 __attribute__((visibility("default")))
#define TP_FORMAT(text, first) __attribute__((format(printf, text, first)))
#else
#define TP_API
#define TP_FORMAT(text, first)
#endif

/* ---- graphs, tensors, shapes ----------------------------------------------------------------- */

typedef struct tp_graph tp_graph; /* owns all that is recorded, the parameters and the programs */
typedef struct tp_program tp_program; /* compiled: one function over one arena */
typedef struct tp_loader tp_loader;   /* batches of a data set */

typedef struct tp_tensor { /* a value of a graph, or a bare number, whose g is NULL */
    tp_graph *g;
    union {
        uint32_t id; /* 0 is poison: the result of an error */
        double number;
    };
} tp_tensor;

typedef struct tp_loc { /* where in the user's program */
    const char *file;
    int line;
} tp_loc;

/* f16, bf16 and the integers under 32 bits are for memory: each operation on them is computed in
 * f32 or in 32 bits, and its result is rounded to nearest, or wraps. Integers widen among
 * themselves to the smallest type that holds both, i64 for u64 and a signed one; all else asks for
 * tp_cast. */
typedef enum tp_dtype {
    TP_DEFAULT,
    TP_BOOL,
    TP_U8,
    TP_I8,
    TP_U16,
    TP_I16,
    TP_U32,
    TP_I32,
    TP_U64,
    TP_I64,
    TP_F16,
    TP_BF16,
    TP_F32,
    TP_F64
} tp_dtype;

typedef struct tp_shape { /* row-major, axes in PyTorch's order */
    int rank;
    int64_t dim[8];
} tp_shape;

typedef struct tp_list { /* tensors */
    int count;
    const tp_tensor *at;
} tp_list;

#define TP_HERE       ((tp_loc){ __FILE__, __LINE__ })
#define TP_COUNT(...) ((int)(sizeof((int64_t[]){ __VA_ARGS__ }) / sizeof(int64_t)))
#define tp_dims(...)  ((tp_shape){ TP_COUNT(__VA_ARGS__), { __VA_ARGS__ } })
#define TP_SCALAR     ((tp_shape){ 0, { 0 } })
#define tp_list(...)                                                             \
    ((tp_list){ (int)(sizeof((tp_tensor[]){ __VA_ARGS__ }) / sizeof(tp_tensor)), \
                (tp_tensor[]){ __VA_ARGS__ } })
#define TP_ARG(x) _Generic((x), tp_tensor: tp_as_tensor, default: tp_as_number)(x)

static inline tp_tensor tp_as_tensor(tp_tensor x)
{
    return x;
}
static inline tp_tensor tp_as_number(double number)
{
    tp_tensor t; /* in C++ as well, where initialisers by name are another matter */
    t.g = NULL;
    t.number = number;
    return t;
}

/* The seed is of the initial values and of all chance. NULL: no memory. */
TP_API tp_graph *tp_graph_new(uint64_t seed);
TP_API void tp_graph_free(tp_graph *g);

/* An extent that may be lo to hi at each run; programs may be compiled for a smaller hi. */
TP_API int64_t tp_symbol(tp_graph *g, const char *name, int64_t lo, int64_t hi);

TP_API int64_t tp_dim(tp_tensor x, int axis);       /* axis may be negative; -1 of poison */
TP_API int64_t tp_dim_bound(tp_tensor x, int axis); /* the greatest that a symbol there allows */
TP_API int tp_rank(tp_tensor x);
TP_API tp_dtype tp_dtype_of(tp_tensor x);
TP_API tp_shape tp_shape_of(tp_tensor x);

/* The first error, "model.c:31: tp_linear: what was found; what was expected", or NULL. Without a
 * graph there is nobody to keep it: what a verb that gave NULL for a tensor of no graph found, and
 * what tp_graph_new() did, tp_error(NULL) says. */
TP_API const char *tp_error(const tp_graph *g);
/* 0: none; 1: failed; 2: refused, the user's mistake; 3: not supported */
TP_API int tp_status(const tp_graph *g);
/* The graph goes on as before the error: for languages that hand errors on as exceptions. */
TP_API void tp_clear_error(tp_graph *g);
/* tell is called at once, inside the operation that went wrong */
TP_API void tp_on_error(tp_graph *g, void (*tell)(const char *text, void *user), void *user);

/* What is allowed and hardly meant, with its lines: [n 1] against [n], which broadcasts to [n n]; a
 * parameter that is to be trained and to which no gradient comes, when the step is compiled. Once
 * a line; on stderr until this says where, NULL: nowhere. */
TP_API void tp_on_warning(tp_graph *g, void (*tell)(const char *text, void *user), void *user);

/* Prefixes the names inside: tp_scope(g, "h.%d", i) x = block(x); Never leave it by break. */
#define tp_scope(g, ...) \
    for (int tp_in_ = (tp_push((g), __VA_ARGS__), 1); tp_in_; tp_in_ = (tp_pop(g), 0))
TP_API void tp_push(tp_graph *g, const char *name, ...) TP_FORMAT(2, 3);
TP_API void tp_pop(tp_graph *g);

/* ---- sources --------------------------------------------------------------------------------- */

typedef struct tp_init { /* how a parameter starts */
    int kind;
    double a, b;
} tp_init;
#ifdef __cplusplus
#define TP_INIT(...) (tp_init{ __VA_ARGS__ })
#else
#define TP_INIT(...) ((tp_init){ __VA_ARGS__ })
#endif
#define TP_ZEROS           TP_INIT(1, 0, 0)
#define TP_ONES            TP_INIT(1, 1, 0)
#define TP_CONSTANT(value) TP_INIT(1, (value), 0)
#define TP_UNIFORM(lo, hi) TP_INIT(2, (lo), (hi))
#define TP_NORMAL(sigma)   TP_INIT(3, 0, (sigma))
/* By the parameter's shape [out in ..], times a gain (tanh 5/3, relu sqrt 2): Xavier's by both
 * fans (Glorot, Bengio 2010), Kaiming's (arXiv:1502.01852, with the gain of relu) and LeCun's by
 * the fan in; the first of each pair is uniform. */
#define TP_XAVIER_UNIFORM(gain) TP_INIT(4, (gain), 0)
#define TP_XAVIER_NORMAL(gain)  TP_INIT(5, (gain), 0)
#define TP_KAIMING_UNIFORM      TP_INIT(6, 1.41421356237309504880, 0)
#define TP_KAIMING_NORMAL       TP_INIT(7, 1.41421356237309504880, 0)
#define TP_LECUN_UNIFORM        TP_INIT(6, 1, 0)
#define TP_LECUN_NORMAL         TP_INIT(7, 1, 0)
/* Normal within two deviations; rows (or columns) at right angles times a gain (arXiv:1312.6120);
 * ones on the diagonal, of a convolution's weight in the middle (eye, dirac); normal numbers with a
 * part of zeros in each column. */
#define TP_TRUNC_NORMAL(sigma)  TP_INIT(8, 0, (sigma))
#define TP_ORTHOGONAL(gain)     TP_INIT(9, (gain), 0)
#define TP_IDENTITY             TP_INIT(10, 1, 0)
#define TP_SPARSE(zeros, sigma) TP_INIT(11, (zeros), (sigma))

typedef struct tp_param_args {
    tp_init init;
    tp_dtype dtype; /* TP_F32 */
    bool frozen;    /* not trained */
    bool shared;    /* the same name may stand for it again */
} tp_param_args;

/* What the caller hands in at each run. */
#define tp_input(g, name, dtype, shape) tp_input_at((g), (name), (dtype), (shape), TP_HERE)
/* What training changes: tp_param(g, "weight", tp_dims(10, 84), TP_NORMAL(0.02), .frozen = true) */
#define tp_param(g, name, shape, ...) \
    tp_param_at((g), (name), (shape), (tp_param_args){ .init = __VA_ARGS__ }, TP_HERE)
/* What else lives from run to run and is saved: running statistics, counters. Starts at zero. */
#define tp_state(g, name, dtype, shape) \
    tp_state_at((g), (name), (dtype), (shape), TP_ZEROS, TP_HERE)
/* Numbers of its own, copied: tp_array(g, TP_F32, tp_dims(2, 2), (float[]){ 1, 2, 3, 4 }) */
#define tp_array(g, dtype, shape, ...)  tp_array_at((g), (dtype), (shape), (__VA_ARGS__), TP_HERE)
#define tp_full(g, dtype, shape, value) tp_full_at((g), (dtype), (shape), (value), TP_HERE)
#define tp_zeros(g, dtype, shape)       tp_full_at((g), (dtype), (shape), 0, TP_HERE)
#define tp_ones(g, dtype, shape)        tp_full_at((g), (dtype), (shape), 1, TP_HERE)
#define tp_arange(g, dtype, count)      tp_arange_at((g), (dtype), (count), TP_HERE)
#define tp_full_like(x, value)          tp_full_like_at((x), (value), TP_HERE)
#define tp_zeros_like(x)                tp_full_like_at((x), 0, TP_HERE)
#define tp_ones_like(x)                 tp_full_like_at((x), 1, TP_HERE)
/* start, start + step, .. before end; `count` numbers from start to end, both included */
#define tp_range(g, dtype, start, end, step) \
    tp_range_at((g), (dtype), (start), (end), (step), TP_HERE)
#define tp_linspace(g, dtype, start, end, count) \
    tp_linspace_at((g), (dtype), (start), (end), (count), TP_HERE)
/* [rows columns]: ones on the diagonal; ones on and below a diagonal */
#define tp_eye(g, dtype, rows, columns) tp_eye_at((g), (dtype), (rows), (columns), TP_HERE)
#define tp_tri(g, dtype, rows, columns, diagonal) \
    tp_tri_at((g), (dtype), (rows), (columns), (diagonal), TP_HERE)
/* tp_meshgrid(out, a, b): out[0] [a b] repeats a along b, out[1] repeats b ("ij" of PyTorch) */
#define tp_meshgrid(out, ...) tp_meshgrid_at(tp_list(__VA_ARGS__), (out), TP_HERE)
/* Chance, new at every run: counter-based, so the same on every machine. */
#define tp_rand(g, dtype, shape)  tp_rand_at((g), (dtype), (shape), TP_HERE) /* in [0, 1) */
#define tp_randn(g, dtype, shape) tp_randn_at((g), (dtype), (shape), TP_HERE)
#define tp_rand_like(x)           tp_rand_at((x).g, tp_dtype_of(x), tp_shape_of(x), TP_HERE)
#define tp_randn_like(x)          tp_randn_at((x).g, tp_dtype_of(x), tp_shape_of(x), TP_HERE)
/* low <= integer < high, at most 2^32 of them */
#define tp_randint(g, dtype, shape, low, high) \
    tp_randint_at((g), (dtype), (shape), (low), (high), TP_HERE)
/* 1 with probability p, else 0, an element for each of p */
#define tp_bernoulli(p) tp_bernoulli_at((p), TP_HERE)
#define tp_uniform(g, dtype, shape, lo, hi) \
    tp_draw_at((g), "uniform", (dtype), (shape), (lo), (hi), TP_HERE)
#define tp_normal(g, dtype, shape, mean, deviation) \
    tp_draw_at((g), "normal", (dtype), (shape), (mean), (deviation), TP_HERE)
/* cut off at two deviations from the mean */
#define tp_trunc_normal(g, dtype, shape, mean, deviation) \
    tp_draw_at((g), "trunc_normal", (dtype), (shape), (mean), (deviation), TP_HERE)
#define tp_exponential(g, dtype, shape, rate) \
    tp_draw_at((g), "exponential", (dtype), (shape), (rate), 0, TP_HERE)
#define tp_gumbel(g, dtype, shape) tp_draw_at((g), "gumbel", (dtype), (shape), 0, 1, TP_HERE)
/* i64 [count]: 0 .. count - 1 in an order by chance */
#define tp_randperm(g, count) tp_randperm_at((g), (count), TP_HERE)
/* i64 [..]: a class drawn for each row of logits [.. classes], as softmax says */
#define tp_categorical(logits) tp_categorical_at((logits), TP_HERE)
/* i64 [.. count]: classes drawn for each row of probabilities, which need not sum to 1; without
 * replacement no class twice */
#define tp_multinomial(p, count, replacement) \
    tp_multinomial_at((p), (count), (replacement), TP_HERE)
/* The same from logits / temperature (TP_ZERO: the greatest), of the .top_k most likely (0:
 * all) and of these the fewest whose probabilities reach .top_p (0: all; arXiv:1904.09751):
 * tp_sample(logits, 0.8, .top_k = 40, .top_p = 0.95) */
typedef struct tp_sample_args {
    double temperature;
    int64_t top_k;
    double top_p;
} tp_sample_args;
#define tp_sample(logits, ...) \
    tp_sample_at((logits), (tp_sample_args){ .temperature = __VA_ARGS__ }, TP_HERE)

TP_API tp_tensor tp_input_at(tp_graph *g, const char *name, tp_dtype dtype, tp_shape shape,
                             tp_loc at);
TP_API tp_tensor tp_param_at(tp_graph *g, const char *name, tp_shape shape, tp_param_args args,
                             tp_loc at);
TP_API tp_tensor tp_state_at(tp_graph *g, const char *name, tp_dtype dtype, tp_shape shape,
                             tp_init init, tp_loc at);
TP_API tp_tensor tp_array_at(tp_graph *g, tp_dtype dtype, tp_shape shape, const void *data,
                             tp_loc at);
TP_API tp_tensor tp_full_at(tp_graph *g, tp_dtype dtype, tp_shape shape, double value, tp_loc at);
TP_API tp_tensor tp_arange_at(tp_graph *g, tp_dtype dtype, int64_t count, tp_loc at);
TP_API tp_tensor tp_full_like_at(tp_tensor x, double value, tp_loc at);
TP_API tp_tensor tp_rand_at(tp_graph *g, tp_dtype dtype, tp_shape shape, tp_loc at);
TP_API tp_tensor tp_randn_at(tp_graph *g, tp_dtype dtype, tp_shape shape, tp_loc at);
TP_API tp_tensor tp_range_at(tp_graph *g, tp_dtype dtype, double start, double end, double step,
                             tp_loc at);
TP_API tp_tensor tp_linspace_at(tp_graph *g, tp_dtype dtype, double start, double end,
                                int64_t count, tp_loc at);
TP_API tp_tensor tp_eye_at(tp_graph *g, tp_dtype dtype, int64_t rows, int64_t columns, tp_loc at);
TP_API tp_tensor tp_tri_at(tp_graph *g, tp_dtype dtype, int64_t rows, int64_t columns,
                           int64_t diagonal, tp_loc at);
TP_API bool tp_meshgrid_at(tp_list vectors, tp_tensor out[], tp_loc at);
TP_API tp_tensor tp_randint_at(tp_graph *g, tp_dtype dtype, tp_shape shape, int64_t low,
                               int64_t high, tp_loc at);
TP_API tp_tensor tp_bernoulli_at(tp_tensor p, tp_loc at);
TP_API tp_tensor tp_draw_at(tp_graph *g, const char *kind, tp_dtype dtype, tp_shape shape, double a,
                            double b, tp_loc at);
TP_API tp_tensor tp_categorical_at(tp_tensor logits, tp_loc at);
TP_API tp_tensor tp_multinomial_at(tp_tensor p, int64_t count, bool replacement, tp_loc at);
TP_API tp_tensor tp_randperm_at(tp_graph *g, int64_t count, tp_loc at);
TP_API tp_tensor tp_sample_at(tp_tensor logits, tp_sample_args args, tp_loc at);

/* ---- one element from one element ------------------------------------------------------------ */
/*
 * Shapes broadcast as NumPy's do. Types: a bare number takes the tensor's type; integers widen
 * among themselves; division of integers gives f32; everything else asks for tp_cast. Which
 * operations there are is said by ir/ops.def and frontend/formulas.def.
 */
#define tp_unary(op, x)     tp_unary_at((op), (x), TP_HERE)
#define tp_binary(op, a, b) tp_binary_at((op), TP_ARG(a), TP_ARG(b), TP_HERE)

#define tp_neg(x)    tp_unary("neg", x)
#define tp_abs(x)    tp_unary("abs", x)
#define tp_sign(x)   tp_unary("sign", x)
#define tp_not(x)    tp_unary("not", x)
#define tp_exp(x)    tp_unary("exp", x)
#define tp_exp2(x)   tp_unary("exp2", x)
#define tp_expm1(x)  tp_unary("expm1", x)
#define tp_log(x)    tp_unary("log", x)
#define tp_log1p(x)  tp_unary("log1p", x)
#define tp_sqrt(x)   tp_unary("sqrt", x)
#define tp_rsqrt(x)  tp_unary("rsqrt", x)
#define tp_sin(x)    tp_unary("sin", x)
#define tp_cos(x)    tp_unary("cos", x)
#define tp_tan(x)    tp_unary("tan", x)
#define tp_asin(x)   tp_unary("asin", x)
#define tp_acos(x)   tp_unary("acos", x)
#define tp_atan(x)   tp_unary("atan", x)
#define tp_sinh(x)   tp_unary("sinh", x)
#define tp_cosh(x)   tp_unary("cosh", x)
#define tp_tanh(x)   tp_unary("tanh", x)
#define tp_asinh(x)  tp_unary("asinh", x)
#define tp_acosh(x)  tp_unary("acosh", x)
#define tp_atanh(x)  tp_unary("atanh", x)
#define tp_erf(x)    tp_unary("erf", x)
#define tp_erfc(x)   tp_unary("erfc", x)
#define tp_erfinv(x) tp_unary("erfinv", x)
#define tp_relu(x)   tp_unary("relu", x)
#define tp_floor(x)  tp_unary("floor", x)
#define tp_ceil(x)   tp_unary("ceil", x)
#define tp_round(x)  tp_unary("round", x) /* half to even */
#define tp_trunc(x)  tp_unary("trunc", x)
#define tp_isnan(x)  tp_unary("isnan", x)

#define tp_add(a, b)     tp_binary("add", a, b)
#define tp_sub(a, b)     tp_binary("sub", a, b)
#define tp_mul(a, b)     tp_binary("mul", a, b)
#define tp_div(a, b)     tp_binary("div", a, b)
#define tp_pow(a, b)     tp_binary("pow", a, b)
#define tp_maximum(a, b) tp_binary("max", a, b)
#define tp_minimum(a, b) tp_binary("min", a, b)
#define tp_rem(a, b)     tp_binary("rem", a, b) /* C's fmod */
#define tp_mod(a, b)     tp_binary("mod", a, b) /* the sign of b */
#define tp_atan2(a, b)   tp_binary("atan2", a, b)
#define tp_and(a, b)     tp_binary("and", a, b)
#define tp_or(a, b)      tp_binary("or", a, b)
#define tp_xor(a, b)     tp_binary("xor", a, b)
#define tp_shl(a, b)     tp_binary("shl", a, b)
#define tp_shr(a, b)     tp_binary("shr", a, b)
#define tp_eq(a, b)      tp_binary("eq", a, b)
#define tp_ne(a, b)      tp_binary("ne", a, b)
#define tp_lt(a, b)      tp_binary("lt", a, b)
#define tp_le(a, b)      tp_binary("le", a, b)
#define tp_gt(a, b)      tp_binary("lt", b, a)
#define tp_ge(a, b)      tp_binary("le", b, a)

#define tp_where(condition, a, b) tp_where_at((condition), TP_ARG(a), TP_ARG(b), TP_HERE)
#define tp_cast(x, dtype)         tp_cast_at((x), (dtype), TP_HERE)
#define tp_stop_gradient(x)       tp_unary("stop_gradient", x)
#define tp_barrier(x)             tp_unary("barrier", x) /* x; never one kernel with its readers */

TP_API tp_tensor tp_unary_at(const char *op, tp_tensor x, tp_loc at);
TP_API tp_tensor tp_binary_at(const char *op, tp_tensor a, tp_tensor b, tp_loc at);
TP_API tp_tensor tp_where_at(tp_tensor condition, tp_tensor a, tp_tensor b, tp_loc at);
TP_API tp_tensor tp_cast_at(tp_tensor x, tp_dtype dtype, tp_loc at);

/*
 * Composed of them: rows of frontend/formulas.def, which has the maths, the sources and PyTorch's
 * defaults of the numbers that may follow x: tp_elu(x), tp_elu(x, 0.5), tp_softplus(x, beta,
 * threshold), tp_threshold(x, threshold, value), tp_clamp(x, min, max) with -INFINITY or INFINITY
 * for none. A number too many, or of a fraction for integers, is refused.
 */
typedef struct tp_numbers {
    int count;
    double at[3];
} tp_numbers;
#define tp_numbers(...) \
    ((tp_numbers){ (int)(sizeof((double[]){ __VA_ARGS__ }) / sizeof(double)), { __VA_ARGS__ } })
#define TP_NONE                           ((tp_numbers){ 0, { 0 } })
#define TP_NTH_(a, b, c, d, e, f, n, ...) n
#define TP_MORE_(...)                     TP_NTH_(__VA_ARGS__, 1, 1, 1, 1, 1, 0, 0)
#define TP_JOIN_(a, b)                    a##b
#define TP_JOIN(a, b)                     TP_JOIN_(a, b)
#define tp_formula_0(name, x)             tp_formula_at((name), tp_list(x), TP_NONE, TP_HERE)
#define tp_formula_1(name, x, ...) \
    tp_formula_at((name), tp_list(x), tp_numbers(__VA_ARGS__), TP_HERE)
#define tp_formula(name, ...) TP_JOIN(tp_formula_, TP_MORE_(__VA_ARGS__))(name, __VA_ARGS__)
#define tp_formula2(name, a, b) \
    tp_formula_at((name), tp_list(TP_ARG(a), TP_ARG(b)), TP_NONE, TP_HERE)
#define tp_formula3(name, a, b, c, numbers) \
    tp_formula_at((name), tp_list(TP_ARG(a), TP_ARG(b), TP_ARG(c)), numbers, TP_HERE)

#define tp_sigmoid(...)     tp_formula("sigmoid", __VA_ARGS__)
#define tp_log_sigmoid(...) tp_formula("log_sigmoid", __VA_ARGS__)
#define tp_silu(...)        tp_formula("silu", __VA_ARGS__)
#define tp_gelu(...)        tp_formula("gelu", __VA_ARGS__)
#define tp_gelu_tanh(...)   tp_formula("gelu_tanh", __VA_ARGS__)
#define tp_gelu_quick(...)  tp_formula("gelu_quick", __VA_ARGS__)
#define tp_relu6(...)       tp_formula("relu6", __VA_ARGS__)
#define tp_softplus(...)    tp_formula("softplus", __VA_ARGS__)
#define tp_softsign(...)    tp_formula("softsign", __VA_ARGS__)
#define tp_mish(...)        tp_formula("mish", __VA_ARGS__)
#define tp_hardsigmoid(...) tp_formula("hardsigmoid", __VA_ARGS__)
#define tp_hardswish(...)   tp_formula("hardswish", __VA_ARGS__)
#define tp_hardtanh(...)    tp_formula("hardtanh", __VA_ARGS__)
#define tp_selu(...)        tp_formula("selu", __VA_ARGS__)
#define tp_leaky_relu(...)  tp_formula("leaky_relu", __VA_ARGS__)
#define tp_elu(...)         tp_formula("elu", __VA_ARGS__)
#define tp_celu(...)        tp_formula("celu", __VA_ARGS__)
#define tp_tanhshrink(...)  tp_formula("tanhshrink", __VA_ARGS__)
#define tp_softshrink(...)  tp_formula("softshrink", __VA_ARGS__)
#define tp_hardshrink(...)  tp_formula("hardshrink", __VA_ARGS__)
#define tp_threshold(...)   tp_formula("threshold", __VA_ARGS__)
#define tp_squareplus(...)  tp_formula("squareplus", __VA_ARGS__)

#define tp_square(...)      tp_formula("square", __VA_ARGS__)
#define tp_cube(...)        tp_formula("cube", __VA_ARGS__)
#define tp_reciprocal(...)  tp_formula("reciprocal", __VA_ARGS__)
#define tp_log2(...)        tp_formula("log2", __VA_ARGS__)
#define tp_log10(...)       tp_formula("log10", __VA_ARGS__)
#define tp_deg2rad(...)     tp_formula("deg2rad", __VA_ARGS__)
#define tp_rad2deg(...)     tp_formula("rad2deg", __VA_ARGS__)
#define tp_frac(...)        tp_formula("frac", __VA_ARGS__)
#define tp_sinc(...)        tp_formula("sinc", __VA_ARGS__)
#define tp_logit(...)       tp_formula("logit", __VA_ARGS__)
#define tp_isinf(...)       tp_formula("isinf", __VA_ARGS__)
#define tp_isfinite(...)    tp_formula("isfinite", __VA_ARGS__)
#define tp_logical_not(...) tp_formula("logical_not", __VA_ARGS__)
#define tp_clamp(...)       tp_formula("clamp", __VA_ARGS__)

#define tp_hypot(a, b)        tp_formula2("hypot", a, b)
#define tp_logaddexp(a, b)    tp_formula2("logaddexp", a, b)
#define tp_copysign(a, b)     tp_formula2("copysign", a, b)
#define tp_xlogy(a, b)        tp_formula2("xlogy", a, b)
#define tp_logical_and(a, b)  tp_formula2("logical_and", a, b)
#define tp_logical_or(a, b)   tp_formula2("logical_or", a, b)
#define tp_logical_xor(a, b)  tp_formula2("logical_xor", a, b)
#define tp_isclose(a, b)      tp_formula2("isclose", a, b) /* rtol 1e-5, atol 1e-8 */
#define tp_floor_divide(a, b) tp_floor_divide_at(TP_ARG(a), TP_ARG(b), TP_HERE)
#define tp_lerp(a, b, weight) tp_formula3("lerp", a, b, weight, TP_NONE)
/* a + value b c; a + value b / c */
#define tp_addcmul(a, b, c, value) tp_formula3("addcmul", a, b, c, tp_numbers(value))
#define tp_addcdiv(a, b, c, value) tp_formula3("addcdiv", a, b, c, tp_numbers(value))
/* NaN, inf and -inf become 0, the greatest and the least of the type. */
#define tp_nan_to_num(x) tp_nan_to_num_at((x), TP_HERE)
TP_API tp_tensor tp_formula_at(const char *name, tp_list tensors, tp_numbers numbers, tp_loc at);
TP_API tp_tensor tp_floor_divide_at(tp_tensor a, tp_tensor b, tp_loc at);
TP_API tp_tensor tp_nan_to_num_at(tp_tensor x, tp_loc at);

/* Activations that are more than a formula. Weight of prelu: one number, or one a channel, axis 1
 * of x: [C]. rrelu (arXiv:1505.00853): the slope left of 0 is drawn between lower and upper (1/8
 * and 1/3) in training, and is their mean in evaluation. */
#define tp_prelu(x, weight) tp_prelu_at((x), (weight), TP_HERE)
#define tp_rrelu(x)         tp_rrelu_at((x), 1.0 / 8, 1.0 / 3, TP_HERE)
/* f(first half of axis) times the other half (arXiv:2002.05202). glu gates by the second half,
 * sigmoid; reglu, geglu, swiglu by relu, gelu, silu of the first. */
#define tp_glu(x, axis)     tp_glu_at("glu", (x), (axis), TP_HERE)
#define tp_reglu(x, axis)   tp_glu_at("reglu", (x), (axis), TP_HERE)
#define tp_geglu(x, axis)   tp_glu_at("geglu", (x), (axis), TP_HERE)
#define tp_swiglu(x, axis)  tp_glu_at("swiglu", (x), (axis), TP_HERE)
#define tp_softmin(x, axis) tp_softmax_at("softmax", tp_neg(x), (axis), TP_HERE)
TP_API tp_tensor tp_prelu_at(tp_tensor x, tp_tensor weight, tp_loc at);
TP_API tp_tensor tp_rrelu_at(tp_tensor x, double lower, double upper, tp_loc at);
TP_API tp_tensor tp_glu_at(const char *name, tp_tensor x, int axis, tp_loc at);

/* ---- one element from many ------------------------------------------------------------------- */
/*
 * tp_sum(x) is over everything, tp_sum(x, 1) over axis 1, tp_sum(x, tp_axes(0, -1)) over several;
 * .keepdim = true after the axes keeps them with extent 1: tp_sum(x, TP_ALL, .keepdim = true).
 */
#define TP_ALL       INT64_MAX
#define tp_axes(...) tp_axes_of(tp_dims(__VA_ARGS__))
typedef struct tp_reduce_args {
    int64_t dim; /* an axis, tp_axes(..) or TP_ALL */
    bool keepdim;
    bool biased;       /* var, std: divide by n */
    double correction; /* var, std: divide by n - correction; 1 */
} tp_reduce_args;

static inline int64_t tp_axes_of(tp_shape axes) /* four bits an axis, their number above */
{
    int64_t packed = (int64_t)(axes.rank + 1) << 40;
    for (int i = 0; i < axes.rank; i++)
        packed |= (axes.dim[i] & 15) << 4 * i;
    return packed;
}
#define tp_reduce_0(op, x) tp_reduce_at((op), (x), (tp_reduce_args){ .dim = TP_ALL }, TP_HERE)
#define tp_reduce_1(op, x, ...) \
    tp_reduce_at((op), (x), (tp_reduce_args){ .dim = __VA_ARGS__ }, TP_HERE)
#define tp_reduce(op, ...) TP_JOIN(tp_reduce_, TP_MORE_(__VA_ARGS__))(op, __VA_ARGS__)

#define tp_sum(...)    tp_reduce("sum", __VA_ARGS__)
#define tp_mean(...)   tp_reduce("mean", __VA_ARGS__)
#define tp_prod(...)   tp_reduce("prod", __VA_ARGS__)
#define tp_amax(...)   tp_reduce("amax", __VA_ARGS__)
#define tp_amin(...)   tp_reduce("amin", __VA_ARGS__)
#define tp_all(...)    tp_reduce("all", __VA_ARGS__)
#define tp_any(...)    tp_reduce("any", __VA_ARGS__)
#define tp_argmax(...) tp_reduce("argmax", __VA_ARGS__) /* one axis or all; i64 */
#define tp_argmin(...) tp_reduce("argmin", __VA_ARGS__)
#define tp_var(...)    tp_reduce("var", __VA_ARGS__)
#define tp_std(...)    tp_reduce("std", __VA_ARGS__)
/* Both, the mean into *mean: tp_var_mean(&mean, x, 1) */
#define tp_var_mean(mean, ...) (*(mean) = tp_mean(__VA_ARGS__), tp_var(__VA_ARGS__))
#define tp_logsumexp(...)      tp_reduce("logsumexp", __VA_ARGS__)
#define tp_logmeanexp(...)     tp_reduce("logmeanexp", __VA_ARGS__)
#define tp_count_nonzero(...)  tp_reduce("count_nonzero", __VA_ARGS__) /* i64 */
/* The p-norm over all of x, or tp_norm(x, p, axes): (sum |x|^p)^(1/p); INFINITY, -INFINITY: the
 * greatest, the least; 0: how many are not 0. */
#define tp_norm_2(x, p)      tp_norm_at((x), (p), (tp_reduce_args){ .dim = TP_ALL }, TP_HERE)
#define tp_norm_3(x, p, ...) tp_norm_at((x), (p), (tp_reduce_args){ .dim = __VA_ARGS__ }, TP_HERE)
#define TP_MORE3_(...)       TP_NTH_(__VA_ARGS__, 3, 3, 3, 3, 2, 2, 2)
#define tp_norm(...)         TP_JOIN(tp_norm_, TP_MORE3_(__VA_ARGS__))(__VA_ARGS__)
/* x / max(p-norm along axis, 1e-12): PyTorch's normalize; l2_normalize is p = 2 */
#define tp_normalize(x, p, axis) tp_normalize_at((x), (p), (axis), 1e-12, TP_HERE)
#define tp_l2_normalize(x, axis) tp_normalize_at((x), 2, (axis), 1e-12, TP_HERE)

#define tp_softmax(x, axis)     tp_softmax_at("softmax", (x), (axis), TP_HERE)
#define tp_log_softmax(x, axis) tp_softmax_at("log_softmax", (x), (axis), TP_HERE)

TP_API tp_tensor tp_reduce_at(const char *op, tp_tensor x, tp_reduce_args args, tp_loc at);
TP_API tp_tensor tp_norm_at(tp_tensor x, double p, tp_reduce_args args, tp_loc at);
TP_API tp_tensor tp_normalize_at(tp_tensor x, double p, int axis, double eps, tp_loc at);
TP_API tp_tensor tp_softmax_at(const char *op, tp_tensor x, int axis, tp_loc at);

/* ---- the same elements in another place ------------------------------------------------------ */

typedef struct tp_slice_args {
    int64_t stop, step; /* negative: from the end; step 0 means 1, below 0 backwards */
} tp_slice_args;
typedef struct tp_flatten_args {
    int from, to; /* to 0 means the last axis */
} tp_flatten_args;

/* One extent may be -1. */
#define tp_reshape(x, ...) tp_reshape_at((x), tp_dims(__VA_ARGS__), TP_HERE)
/* The axes from `from` on become one; tp_flatten(x, 1, 2): up to that one. */
#define tp_flatten(x, ...) tp_flatten_at((x), (tp_flatten_args){ .from = __VA_ARGS__ }, TP_HERE)
/* The other way: tp_unflatten(x, 1, 3, -1) makes axis 1 two axes. */
#define tp_unflatten(x, axis, ...) tp_unflatten_at((x), (axis), tp_dims(__VA_ARGS__), TP_HERE)
/* Takes away axes of extent 1: tp_squeeze(x, 0), tp_squeeze(x, tp_axes(0, 2)), (x, TP_ALL); an axis
 * of another extent stays. */
#define tp_squeeze(x, axes)     tp_squeeze_at((x), (axes), TP_HERE)
#define tp_unsqueeze(x, axis)   tp_unsqueeze_at((x), (axis), TP_HERE)
#define tp_movedim(x, from, to) tp_movedim_at((x), (from), (to), TP_HERE)
#define tp_swapaxes(x, a, b)    tp_transpose_at((x), (a), (b), TP_HERE)
/* Parts along axis: of these extents (all of it), at most `count` equal ones (fewer where it does
 * not divide; returns how many), each index by itself without the axis (returns how many). */
#define tp_split(x, sizes, axis, out) tp_split_at((x), (sizes), (axis), (out), TP_HERE)
#define tp_chunk(x, count, axis, out) tp_chunk_at((x), (count), (axis), (out), TP_HERE)
#define tp_unbind(x, axis, room, out) tp_unbind_at((x), (axis), (room), (out), TP_HERE)
#define tp_permute(x, ...)            tp_permute_at((x), tp_dims(__VA_ARGS__), TP_HERE)
#define tp_transpose(x, a, b)         tp_transpose_at((x), (a), (b), TP_HERE)
#define tp_expand(x, ...)             tp_expand_at((x), tp_dims(__VA_ARGS__), TP_HERE) /* -1 keeps */
/* Python's x[start:stop:step] of one axis; TP_ALL: its end. With a step below 0, from start down to
 * before stop, TP_ALL being the last and past the first. */
#define tp_slice(x, axis, start, ...) \
    tp_slice_at((x), (axis), (start), (tp_slice_args){ .stop = __VA_ARGS__ }, TP_HERE)
#define tp_narrow(x, axis, start, length) tp_narrow_at((x), (axis), (start), (length), TP_HERE)
#define tp_index(x, i)                    tp_index_at((x), 0, (i), TP_HERE) /* x[i] */
#define tp_select(x, axis, i)             tp_index_at((x), (axis), (i), TP_HERE)
/* Python's brackets: tp_pick(x, "0, 1:-1, ..., ::-1, None") */
#define tp_pick(x, text) tp_pick_at((x), (text), TP_HERE)
#define tp_flip(x, ...)  tp_flip_at((x), tp_dims(__VA_ARGS__), TP_HERE)
/* How many before and after: tp_pad(x, tp_dims(0, 1), tp_dims(0, 1), 0) */
#define tp_pad(x, lo, hi, value) tp_pad_at((x), (lo), (hi), (value), TP_HERE)
/* mode "reflect" (without the border), "replicate" (the border), "circular" */
#define tp_pad_mode(x, lo, hi, mode) tp_pad_mode_at((x), (lo), (hi), (mode), TP_HERE)
/* [a b] with dims 2, 3 becomes [2a 3b], x side by side; each index `times` times in a row */
#define tp_tile(x, ...)                      tp_tile_at((x), tp_dims(__VA_ARGS__), TP_HERE)
#define tp_repeat(x, ...)                    tp_tile_at((x), tp_dims(__VA_ARGS__), TP_HERE)
#define tp_repeat_interleave(x, times, axis) tp_repeat_interleave_at((x), (times), (axis), TP_HERE)
/* Index i goes to i + shift, around; a quarter turn from axis a to axis b, `times` times */
#define tp_roll(x, shift, axis)  tp_roll_at((x), (shift), (axis), TP_HERE)
#define tp_rot90(x, times, a, b) tp_rot90_at((x), (times), (a), (b), TP_HERE)
/* The diagonal of axes a and b as the last axis; a vector as a matrix, or a matrix's diagonal; the
 * sum of a matrix's diagonal; the rest of the last two axes set to 0 */
#define tp_diagonal(x, offset, a, b) tp_diagonal_at((x), (offset), (a), (b), TP_HERE)
#define tp_diag(x, offset)           tp_diag_at((x), (offset), TP_HERE)
#define tp_trace(x)                  tp_trace_at((x), TP_HERE)
#define tp_tril(x, diagonal)         tp_triangle_at("tp_tril", (x), (diagonal), TP_HERE)
#define tp_triu(x, diagonal)         tp_triangle_at("tp_triu", (x), (diagonal), TP_HERE)
/* [.. c r r, h, w] <-> [.. c, h r, w r] (arXiv:1609.05158); groups x channels <-> channels x groups
 * (arXiv:1707.01083) */
#define tp_pixel_shuffle(x, r)        tp_pixel_shuffle_at((x), (r), TP_HERE)
#define tp_pixel_unshuffle(x, r)      tp_pixel_unshuffle_at((x), (r), TP_HERE)
#define tp_space_to_depth(x, r)       tp_pixel_unshuffle_at((x), (r), TP_HERE)
#define tp_channel_shuffle(x, groups) tp_channel_shuffle_at((x), (groups), TP_HERE)
#define tp_concat(axis, ...)          tp_concat_at((axis), tp_list(__VA_ARGS__), TP_HERE)
#define tp_stack(axis, ...)           tp_stack_at((axis), tp_list(__VA_ARGS__), TP_HERE)
/* The slices of x that index picks: the axis becomes index's shape. */
#define tp_take(x, axis, index)         tp_take_at((x), (axis), (index), TP_HERE)
#define tp_index_select(x, axis, index) tp_take_at((x), (axis), (index), TP_HERE)
/* An element for each of index, which has x's rank; along other axes it may be shorter. */
#define tp_gather(x, axis, index)          tp_gather_at((x), (axis), (index), TP_HERE)
#define tp_take_along_axis(x, index, axis) tp_gather_at((x), (axis), (index), TP_HERE)
/* x plus alpha times slices of source at the places of the vector index; plus the elements of
 * source at the places of index, which has its rank. Places named twice add up. */
#define tp_index_add(x, axis, index, source) \
    tp_index_add_at((x), (axis), (index), (source), 1, TP_HERE)
#define tp_scatter_add(x, axis, index, source) \
    tp_scatter_add_at((x), (axis), (index), (source), TP_HERE)
#define tp_masked_fill(x, mask, value) tp_masked_fill_at((x), (mask), (value), TP_HERE)
/* x with the elements of source (or a number) at the places of index, which has its rank; of those
 * that name one place the last; or the greatest, least, product of them and x */
#define tp_scatter(x, axis, index, source) \
    tp_scatter_at("set", (x), (axis), (index), TP_ARG(source), TP_HERE)
#define tp_scatter_max(x, axis, index, source) \
    tp_scatter_at("max", (x), (axis), (index), TP_ARG(source), TP_HERE)
#define tp_scatter_min(x, axis, index, source) \
    tp_scatter_at("min", (x), (axis), (index), TP_ARG(source), TP_HERE)
#define tp_scatter_mul(x, axis, index, source) \
    tp_scatter_at("mul", (x), (axis), (index), TP_ARG(source), TP_HERE)
/* Slices of source, or a number, at the places of the vector index */
#define tp_index_copy(x, axis, index, source) \
    tp_index_copy_at((x), (axis), (index), TP_ARG(source), TP_HERE)
#define tp_index_fill(x, axis, index, value) tp_index_copy(x, axis, index, value)
/* Slices from `start` on, an integer of the graph; moved back where they would not fit */
#define tp_dynamic_slice(x, axis, start, length) \
    tp_dynamic_slice_at((x), (axis), TP_ARG(start), (length), TP_HERE)
#define tp_dynamic_update(x, axis, start, part) \
    tp_dynamic_update_at((x), (axis), TP_ARG(start), (part), TP_HERE)
#define tp_one_hot(index, classes) tp_one_hot_at((index), (classes), TP_F32, TP_HERE)

TP_API tp_tensor tp_reshape_at(tp_tensor x, tp_shape shape, tp_loc at);
TP_API tp_tensor tp_flatten_at(tp_tensor x, tp_flatten_args args, tp_loc at);
TP_API tp_tensor tp_unflatten_at(tp_tensor x, int axis, tp_shape dims, tp_loc at);
TP_API tp_tensor tp_squeeze_at(tp_tensor x, int64_t axes, tp_loc at);
TP_API tp_tensor tp_movedim_at(tp_tensor x, int from, int to, tp_loc at);
TP_API bool tp_split_at(tp_tensor x, tp_shape sizes, int axis, tp_tensor out[], tp_loc at);
TP_API int tp_chunk_at(tp_tensor x, int count, int axis, tp_tensor out[], tp_loc at);
TP_API int tp_unbind_at(tp_tensor x, int axis, int room, tp_tensor out[], tp_loc at);
TP_API tp_tensor tp_unsqueeze_at(tp_tensor x, int axis, tp_loc at);
TP_API tp_tensor tp_permute_at(tp_tensor x, tp_shape axes, tp_loc at);
TP_API tp_tensor tp_transpose_at(tp_tensor x, int a, int b, tp_loc at);
TP_API tp_tensor tp_expand_at(tp_tensor x, tp_shape shape, tp_loc at);
TP_API tp_tensor tp_slice_at(tp_tensor x, int axis, int64_t start, tp_slice_args args, tp_loc at);
TP_API tp_tensor tp_narrow_at(tp_tensor x, int axis, int64_t start, int64_t length, tp_loc at);
TP_API tp_tensor tp_index_at(tp_tensor x, int axis, int64_t i, tp_loc at);
TP_API tp_tensor tp_flip_at(tp_tensor x, tp_shape axes, tp_loc at);
TP_API tp_tensor tp_pad_at(tp_tensor x, tp_shape lo, tp_shape hi, double value, tp_loc at);
TP_API tp_tensor tp_pick_at(tp_tensor x, const char *text, tp_loc at);
TP_API tp_tensor tp_pad_mode_at(tp_tensor x, tp_shape lo, tp_shape hi, const char *mode, tp_loc at);
TP_API tp_tensor tp_tile_at(tp_tensor x, tp_shape times, tp_loc at);
TP_API tp_tensor tp_repeat_interleave_at(tp_tensor x, int64_t times, int axis, tp_loc at);
TP_API tp_tensor tp_roll_at(tp_tensor x, int64_t shift, int axis, tp_loc at);
TP_API tp_tensor tp_rot90_at(tp_tensor x, int times, int a, int b, tp_loc at);
TP_API tp_tensor tp_diagonal_at(tp_tensor x, int64_t offset, int a, int b, tp_loc at);
TP_API tp_tensor tp_diag_at(tp_tensor x, int64_t offset, tp_loc at);
TP_API tp_tensor tp_trace_at(tp_tensor x, tp_loc at);
TP_API tp_tensor tp_triangle_at(const char *what, tp_tensor x, int64_t diagonal, tp_loc at);
TP_API tp_tensor tp_pixel_shuffle_at(tp_tensor x, int64_t r, tp_loc at);
TP_API tp_tensor tp_pixel_unshuffle_at(tp_tensor x, int64_t r, tp_loc at);
TP_API tp_tensor tp_channel_shuffle_at(tp_tensor x, int64_t groups, tp_loc at);
TP_API tp_tensor tp_index_add_at(tp_tensor x, int axis, tp_tensor index, tp_tensor source,
                                 double alpha, tp_loc at);
TP_API tp_tensor tp_scatter_add_at(tp_tensor x, int axis, tp_tensor index, tp_tensor source,
                                   tp_loc at);
TP_API tp_tensor tp_masked_fill_at(tp_tensor x, tp_tensor mask, double value, tp_loc at);
TP_API tp_tensor tp_scatter_at(const char *reduce, tp_tensor x, int axis, tp_tensor index,
                               tp_tensor source, tp_loc at);
TP_API tp_tensor tp_index_copy_at(tp_tensor x, int axis, tp_tensor index, tp_tensor source,
                                  tp_loc at);
TP_API tp_tensor tp_dynamic_slice_at(tp_tensor x, int axis, tp_tensor start, int64_t length,
                                     tp_loc at);
TP_API tp_tensor tp_dynamic_update_at(tp_tensor x, int axis, tp_tensor start, tp_tensor part,
                                      tp_loc at);
TP_API tp_tensor tp_concat_at(int axis, tp_list list, tp_loc at);
TP_API tp_tensor tp_stack_at(int axis, tp_list list, tp_loc at);
TP_API tp_tensor tp_take_at(tp_tensor x, int axis, tp_tensor index, tp_loc at);
TP_API tp_tensor tp_gather_at(tp_tensor x, int axis, tp_tensor index, tp_loc at);
TP_API tp_tensor tp_one_hot_at(tp_tensor index, int64_t classes, tp_dtype dtype, tp_loc at);

/* ---- in order ------------------------------------------------------------------------------- */
/*
 * Along an axis, one element after the other. Integers become i64, but for extremes. Of equal
 * extremes the last takes the gradient. logcumsumexp: the logarithm of running sums of exp.
 * recurrence: y[t] = factor[t] y[t-1] + x[t], y[-1] = 0; factor broadcasts, or is a number.
 */
#define tp_cumsum(x, axis)             tp_cumulate_at("cumsum", (x), (axis), TP_HERE)
#define tp_cumprod(x, axis)            tp_cumulate_at("cumprod", (x), (axis), TP_HERE)
#define tp_cummax(x, axis)             tp_cumulate_at("cummax", (x), (axis), TP_HERE)
#define tp_cummin(x, axis)             tp_cumulate_at("cummin", (x), (axis), TP_HERE)
#define tp_logcumsumexp(x, axis)       tp_logcumsumexp_at((x), (axis), TP_HERE)
#define tp_recurrence(factor, x, axis) tp_recurrence_at(TP_ARG(factor), (x), (axis), TP_HERE)
/*
 * Sorting: rising or .descending; equal elements keep their order, NaN is greatest. .index takes
 * the places, i64, which tp_gather() picks other tensors by. Gradients go where values came from.
 *     tp_tensor where, y = tp_sort(x, 1, .descending = true, .index = &where);
 *     tp_tensor best = tp_topk(logits, 5, -1, .index = &classes);
 */
typedef struct tp_sort_args {
    int axis;
    bool descending;
    tp_tensor *index;
} tp_sort_args;
typedef struct tp_topk_args {
    int64_t k;
    int axis;
    bool smallest;
    tp_tensor *index;
} tp_topk_args;
#define tp_argsort(x, ...) tp_argsort_at((x), (tp_sort_args){ .axis = __VA_ARGS__ }, TP_HERE)
#define tp_sort(x, ...)    tp_sort_at((x), (tp_sort_args){ .axis = __VA_ARGS__ }, TP_HERE)
/* The k greatest, falling; or the k least, rising. */
#define tp_topk(x, count, ...) \
    tp_topk_at((x), (tp_topk_args){ .k = (count), .axis = __VA_ARGS__ }, TP_HERE)
/* The k-th least, from 1 on: tp_kthvalue(x, 2, axis, .index = &where) */
#define tp_kthvalue(x, k, ...) \
    tp_kthvalue_at((x), (k), (tp_sort_args){ .axis = __VA_ARGS__ }, TP_HERE)
/* Along an axis, or TP_ALL. Of an even number the median is the lower one; quantiles 0 to 1 lie
 * between two elements linearly. NaN where one is. */
#define tp_median(x, axis)      tp_quantile_at("tp_median", (x), 0.5, (axis), TP_HERE)
#define tp_quantile(x, q, axis) tp_quantile_at("tp_quantile", (x), (q), (axis), TP_HERE)
/* i64: how many elements of the rising rows [n] or [.. n] are less than each value; _right: or
 * equal. */
#define tp_searchsorted(rows, values)       tp_searchsorted_at((rows), (values), false, TP_HERE)
#define tp_searchsorted_right(rows, values) tp_searchsorted_at((rows), (values), true, TP_HERE)
/* [size]: how often each index stands in x, i64, or the sum of its weights; others count nowhere */
#define tp_bincount(index, size)                  tp_bincount_at((index), tp_as_number(1), (size), TP_HERE)
#define tp_bincount_weighted(index, weight, size) tp_bincount_at((index), (weight), (size), TP_HERE)
/* [bins] of x's type: how many lie in each of so many equal parts of low to high, both included */
#define tp_histogram(x, bins, low, high) tp_histogram_at((x), (bins), (low), (high), TP_HERE)
/* i64 [size]: the flat indices of what is not 0, rising; where there are fewer, `fill` */
#define tp_nonzero(x, size, fill) tp_nonzero_at((x), (size), (fill), TP_HERE)

TP_API tp_tensor tp_cumulate_at(const char *op, tp_tensor x, int axis, tp_loc at);
TP_API tp_tensor tp_recurrence_at(tp_tensor factor, tp_tensor x, int axis, tp_loc at);
TP_API tp_tensor tp_logcumsumexp_at(tp_tensor x, int axis, tp_loc at);
TP_API tp_tensor tp_argsort_at(tp_tensor x, tp_sort_args args, tp_loc at);
TP_API tp_tensor tp_sort_at(tp_tensor x, tp_sort_args args, tp_loc at);
TP_API tp_tensor tp_topk_at(tp_tensor x, tp_topk_args args, tp_loc at);
TP_API tp_tensor tp_kthvalue_at(tp_tensor x, int64_t k, tp_sort_args args, tp_loc at);
TP_API tp_tensor tp_quantile_at(const char *what, tp_tensor x, double q, int64_t axis, tp_loc at);
TP_API tp_tensor tp_searchsorted_at(tp_tensor rows, tp_tensor values, bool right, tp_loc at);
TP_API tp_tensor tp_bincount_at(tp_tensor index, tp_tensor weight, int64_t size, tp_loc at);
TP_API tp_tensor tp_histogram_at(tp_tensor x, int64_t bins, double low, double high, tp_loc at);
TP_API tp_tensor tp_nonzero_at(tp_tensor x, int64_t size, double fill, tp_loc at);

/* ---- products -------------------------------------------------------------------------------- */

/* By PyTorch's rules for vectors and batches; _nt: rows with rows, a times b's transpose. */
#define tp_matmul(a, b)       tp_matmul_at((a), (b), TP_HERE)
#define tp_matmul_nt(a, b)    tp_matmul_nt_at((a), (b), TP_HERE)
#define tp_dot(letters, a, b) tp_dot_at((letters), (a), (b), TP_HERE) /* "bhqd,bhkd->bhqk" */
#define tp_bmm(a, b)          tp_bmm_at((a), (b), TP_HERE)            /* [n m k] [n k p] */
#define tp_outer(a, b)        tp_outer_at((a), (b), TP_HERE)
#define tp_kron(a, b)         tp_kron_at((a), (b), TP_HERE)
/* beta x + alpha a b */
#define tp_addmm(x, a, b)                     tp_addmm_at((x), (a), (b), 1, 1, TP_HERE)
#define tp_addmm_scaled(x, a, b, beta, alpha) tp_addmm_at((x), (a), (b), (beta), (alpha), TP_HERE)
/* tp_einsum("bij,jk,k->bi", x, y, z): any number of tensors, a letter for each axis; a letter twice
 * in a term takes the diagonal; without an arrow the letters that stand once, by the alphabet */
#define tp_einsum(equation, ...) tp_einsum_at((equation), tp_list(__VA_ARGS__), TP_HERE)
TP_API tp_tensor tp_bmm_at(tp_tensor a, tp_tensor b, tp_loc at);
TP_API tp_tensor tp_outer_at(tp_tensor a, tp_tensor b, tp_loc at);
TP_API tp_tensor tp_kron_at(tp_tensor a, tp_tensor b, tp_loc at);
TP_API tp_tensor tp_addmm_at(tp_tensor x, tp_tensor a, tp_tensor b, double beta, double alpha,
                             tp_loc at);
TP_API tp_tensor tp_einsum_at(const char *equation, tp_list list, tp_loc at);
TP_API tp_tensor tp_matmul_at(tp_tensor a, tp_tensor b, tp_loc at);
TP_API tp_tensor tp_matmul_nt_at(tp_tensor a, tp_tensor b, tp_loc at);
TP_API tp_tensor tp_dot_at(const char *letters, tp_tensor a, tp_tensor b, tp_loc at);

/* ---- layers: an operation with its parameters, named and initialised as in PyTorch ----------- */

typedef struct tp_linear_args {
    int64_t out;
    bool no_bias, shared, frozen;
    tp_init init; /* of the weight; PyTorch's: uniform within 1/sqrt(in) */
} tp_linear_args;

/* Numbers hold for every axis; lists, tp_dims(3, 5), give each axis its own. */
typedef struct tp_conv_args {
    int64_t out, kernel, stride, pad, dilation, groups, kernel_w /* where the width differs */;
    bool no_bias, shared, frozen;
    tp_init init;
    bool same; /* as much padding as keeps the extents; stride 1 */
    tp_shape kernels, strides, pads, dilations;
    int64_t out_pad; /* transposed: more at the end */
    tp_shape out_pads;
    const char *pad_mode; /* "reflect", "replicate", "circular"; zeros */
} tp_conv_args;

typedef struct tp_pool_args {
    int64_t kernel, stride /* kernel */, pad, dilation;
    bool ceil;        /* a last window may hang over */
    bool exclude_pad; /* averages count what is inside */
    double p;         /* lp: 2 */
    tp_shape kernels, strides, pads, dilations;
} tp_pool_args;

typedef struct tp_norm_args {
    const char *name;
    double eps;      /* 1e-5 */
    double momentum; /* batch_norm: 0.1 */
    bool no_scale, shared;
    bool no_bias, affine; /* affine: instance_norm has parameters */
    int axes;             /* layer_norm, rms_norm: over how many last axes; 1 */
    int64_t groups;
} tp_norm_args;

typedef struct tp_lrn_args {
    int64_t size;
    double alpha, beta, k; /* 1e-4, 0.75, 1 */
} tp_lrn_args;

#define tp_linear(x, name, ...) \
    tp_linear_at((x), (name), (tp_linear_args){ .out = __VA_ARGS__ }, TP_HERE)
/* x [n channels ..], weight [out channels/groups kernel..]; transposed [channels out/groups ..]:
 * tp_conv2d(x, "conv1", 6, 5, .pad = 2) */
#define tp_conv_n(what, axes, x, name, ...) \
    tp_conv_at((what), (axes), (x), (name), (tp_conv_args){ .out = __VA_ARGS__ }, TP_HERE)
#define tp_conv1d(x, name, ...)           tp_conv_n("tp_conv1d", 1, x, name, __VA_ARGS__)
#define tp_conv2d(x, name, ...)           tp_conv_n("tp_conv2d", 2, x, name, __VA_ARGS__)
#define tp_conv3d(x, name, ...)           tp_conv_n("tp_conv3d", 3, x, name, __VA_ARGS__)
#define tp_conv_transpose1d(x, name, ...) tp_conv_n("tp_conv_transpose1d", 1, x, name, __VA_ARGS__)
#define tp_conv_transpose2d(x, name, ...) tp_conv_n("tp_conv_transpose2d", 2, x, name, __VA_ARGS__)
#define tp_conv_transpose3d(x, name, ...) tp_conv_n("tp_conv_transpose3d", 3, x, name, __VA_ARGS__)
/* Each channel by itself, NAME.depthwise.weight, without a bias; then all channels at each place,
 * NAME.pointwise (arXiv:1610.02357): tp_separable_conv2d(x, "s", 64, 3, .pad = 1) */
#define tp_separable_conv1d(x, name, ...)                       \
    tp_separable_conv_at("tp_separable_conv1d", 1, (x), (name), \
                         (tp_conv_args){ .out = __VA_ARGS__ }, TP_HERE)
#define tp_separable_conv2d(x, name, ...)                       \
    tp_separable_conv_at("tp_separable_conv2d", 2, (x), (name), \
                         (tp_conv_args){ .out = __VA_ARGS__ }, TP_HERE)
#define tp_embed(index, name, rows, width) tp_embed_at((index), (name), (rows), (width), TP_HERE)
#define tp_embedding(weight, index)        tp_take_at((weight), 0, (index), TP_HERE)
/* .. whose row `padding` learns nothing */
#define tp_embedding_padded(weight, index, padding) \
    tp_embedding_padded_at((weight), (index), (padding), TP_HERE)
/* Bags of rows [n k]: their sum, or "mean", "max" */
#define tp_embedding_bag(weight, index, mode) \
    tp_reduce_at((mode), tp_embedding(weight, index), (tp_reduce_args){ .dim = -2 }, TP_HERE)
/* Pools over the last axes: tp_max_pool2d(x, 3, .stride = 2, .pad = 1); the first of equals takes
 * the gradient */
#define tp_pool_n(op, axes, x, ...) \
    tp_pool_at((op), (axes), (x), (tp_pool_args){ .kernel = __VA_ARGS__ }, TP_HERE)
#define tp_max_pool1d(x, ...) tp_pool_n("max_pool1d", 1, x, __VA_ARGS__)
#define tp_max_pool2d(x, ...) tp_pool_n("max_pool2d", 2, x, __VA_ARGS__)
#define tp_max_pool3d(x, ...) tp_pool_n("max_pool3d", 3, x, __VA_ARGS__)
#define tp_avg_pool1d(x, ...) tp_pool_n("avg_pool1d", 1, x, __VA_ARGS__)
#define tp_avg_pool2d(x, ...) tp_pool_n("avg_pool2d", 2, x, __VA_ARGS__)
#define tp_avg_pool3d(x, ...) tp_pool_n("avg_pool3d", 3, x, __VA_ARGS__)
#define tp_lp_pool1d(x, ...)  tp_pool_n("lp_pool1d", 1, x, __VA_ARGS__)
#define tp_lp_pool2d(x, ...)  tp_pool_n("lp_pool2d", 2, x, __VA_ARGS__)
#define tp_lp_pool3d(x, ...)  tp_pool_n("lp_pool3d", 3, x, __VA_ARGS__)
/* To so many windows along the last axes, -1: as many as there are: tp_adaptive_avg_pool(x, 1, 1)
 */
#define tp_adaptive_avg_pool(x, ...) \
    tp_adaptive_pool_at("adaptive_avg_pool", (x), tp_dims(__VA_ARGS__), TP_HERE)
#define tp_adaptive_max_pool(x, ...) \
    tp_adaptive_pool_at("adaptive_max_pool", (x), tp_dims(__VA_ARGS__), TP_HERE)
/* i64: the flat index of each window's greatest over the pooled axes; and x put back there, 0
 * elsewhere, in extents: tp_max_unpool(y, places, tp_dims(8, 8)) */
#define tp_max_pool_places(axes, x, ...) \
    tp_max_pool_places_at((axes), (x), (tp_pool_args){ .kernel = __VA_ARGS__ }, TP_HERE)
#define tp_max_unpool(x, places, size) tp_max_unpool_at((x), (places), (size), TP_HERE)
/* [n c ..] -> [n c 1 ..] */
#define tp_global_avg_pool(x) tp_global_pool_at("global_avg_pool", (x), TP_HERE)
#define tp_global_max_pool(x) tp_global_pool_at("global_max_pool", (x), TP_HERE)
/* The last axes to these extents; "nearest", "linear" (bilinear, trilinear), "bicubic"; pixels are
 * areas, or points with corner on corner. upsample: every axis after the channels times scale. */
#define tp_interpolate(x, mode, size)         tp_interpolate_at((x), (mode), (size), false, TP_HERE)
#define tp_interpolate_corners(x, mode, size) tp_interpolate_at((x), (mode), (size), true, TP_HERE)
#define tp_upsample(x, mode, scale)           tp_upsample_at((x), (mode), (scale), TP_HERE)
/* x [n c h w] at the places grid [n h' w' 2] gives, x before y, -1 to 1 over the picture
 * (arXiv:1506.02025); mode "bilinear", "nearest"; .padding "zeros", "border", "reflection";
 * .corners: -1 and 1 are the middles of the outer pixels. tp_affine_grid: theta [n 2 3] times (x,
 * y, 1). */
typedef struct tp_grid_args {
    const char *mode, *padding;
    bool corners;
} tp_grid_args;
#define tp_grid_sample(x, grid, ...) \
    tp_grid_sample_at((x), (grid), (tp_grid_args){ .mode = __VA_ARGS__ }, TP_HERE)
#define tp_affine_grid(theta, height, width, corners) \
    tp_affine_grid_at((theta), (height), (width), (corners), TP_HERE)
/* [n c h w] -> [n c*k*k, windows] and its transpose, which adds up where windows lie over another:
 * tp_unfold(x, 3, .pad = 1), tp_fold(columns, tp_dims(h, w), 3, .pad = 1); stride 1 */
#define tp_unfold(x, ...) tp_unfold_at((x), (tp_pool_args){ .kernel = __VA_ARGS__ }, TP_HERE)
#define tp_fold(columns, size, ...) \
    tp_fold_at((columns), (size), (tp_pool_args){ .kernel = __VA_ARGS__ }, TP_HERE)

/*
 * Norms: (x - mean) / sqrt(variance + eps) * weight + bias, with the statistics of
 *   batch_norm     all axes but 1, of x [n c] to [n c d h w]; in evaluation the running ones
 *                  (arXiv:1502.03167)
 *   layer_norm     the last axis, or the last .axes (arXiv:1607.06450)
 *   rms_norm       the same, of the root of the mean square, no bias; eps: the type's own
 *                  (arXiv:1910.07467)
 *   group_norm     a row's channels in groups: tp_group_norm(x, "gn", 8) (arXiv:1803.08494)
 *   instance_norm  a row's channels one by one: tp_instance_norm(x, "in", .affine = true)
 *                  (arXiv:1607.08022)
 * local_response_norm: x / (k + alpha times the mean square of `size` channels around)^beta (NIPS
 * 2012).
 */
#define tp_batch_norm(x, ...) tp_batch_norm_at((x), (tp_norm_args){ .name = __VA_ARGS__ }, TP_HERE)
#define tp_layer_norm(x, ...) tp_layer_norm_at((x), (tp_norm_args){ .name = __VA_ARGS__ }, TP_HERE)
#define tp_rms_norm(x, ...)   tp_rms_norm_at((x), (tp_norm_args){ .name = __VA_ARGS__ }, TP_HERE)
#define tp_group_norm(x, name_, ...)       \
    tp_group_norm_at("tp_group_norm", (x), \
                     (tp_norm_args){ .name = (name_), .groups = __VA_ARGS__ }, TP_HERE)
#define tp_instance_norm(x, ...) \
    tp_group_norm_at("tp_instance_norm", (x), (tp_norm_args){ .name = __VA_ARGS__ }, TP_HERE)
#define tp_local_response_norm(x, ...) \
    tp_local_response_norm_at((x), (tp_lrn_args){ .size = __VA_ARGS__ }, TP_HERE)
/* A weight v by its direction and a length for each index of axis: g v / |v| */
#define tp_weight_norm(v, g, axis) tp_weight_norm_at((v), (g), (axis), TP_HERE)
/* With probability p: elements are 0, whole channels of [n c ..], whole rows (drop_path,
 * arXiv:1603.09382), the others times 1 / (1 - p). Nothing in programs that evaluate. */
#define tp_dropout(x, p)   tp_dropout_at("tp_dropout", (x), (p), 0, TP_HERE)
#define tp_dropout2d(x, p) tp_dropout_at("tp_dropout2d", (x), (p), 2, TP_HERE)
#define tp_drop_path(x, p) tp_dropout_at("tp_drop_path", (x), (p), 1, TP_HERE)
/* In training, each row of x mirrored along an axis after the first with probability p: of images
 * [batch channels height width], axis -1 swaps left and right */
#define tp_random_flip(x, axis, p) tp_random_flip_at((x), (axis), (p), TP_HERE)
/* In training, each row of x moved along an axis after the first by so many steps at most, either
 * way and each as likely; zeros come in. Along both axes of images, one after the other. */
#define tp_random_shift(x, axis, most) tp_random_shift_at((x), (axis), (most), TP_HERE)
/* `length` elements along an axis after the first: in training of each row at a place of its own,
 * else the middle ones. After tp_pad() it is the crop of He et al. 2015, section 4.2. */
#define tp_random_crop(x, axis, length) tp_random_crop_at((x), (axis), (length), TP_HERE)
/* x [batch channels ..] of a floating type: (x - mean) / deviation, a float of each for each
 * channel, copied */
#define tp_standardise(x, mean, deviation) tp_standardise_at((x), (mean), (deviation), TP_HERE)
#define tp_alpha_dropout(x, p)             tp_alpha_dropout_at((x), (p), TP_HERE)
/*
 * Recurrent layers: x [time batch in] (batch_first: [batch time in]) -> y [time batch hidden], of
 * both directions 2 * hidden, and the last h and c, [layers * directions batch hidden]. Parameters
 * as nn.RNN's, nn.LSTM's, nn.GRU's: NAME.weight_ih_l0 [gates * hidden in], weight_hh_l0,
 * bias_ih_l0, bias_hh_l0, .._l1, .._l0_reverse; gates in PyTorch's order (i f g o; r z n). h, c:
 * the start, zeros where left out. dropout: between layers. A step is compiled once, whatever the
 * time.
 *
 *     tp_tensor last = tp_index(tp_lstm(x, "lstm", 128, .layers = 2).h, 1);
 */
typedef struct tp_recurrent_args {
    int64_t hidden;
    int layers;                                                     /* 0: 1 */
    bool bidirectional, batch_first, no_bias, relu, shared, frozen; /* relu: tp_rnn's, for tanh */
    double dropout;
    tp_tensor h, c;
} tp_recurrent_args;
typedef struct tp_recurrent {
    tp_tensor y, h, c;
} tp_recurrent;
#define tp_rnn(x, name, ...) \
    tp_recurrent_at("rnn", (x), (name), (tp_recurrent_args){ .hidden = __VA_ARGS__ }, TP_HERE)
#define tp_lstm(x, name, ...) \
    tp_recurrent_at("lstm", (x), (name), (tp_recurrent_args){ .hidden = __VA_ARGS__ }, TP_HERE)
#define tp_gru(x, name, ...) \
    tp_recurrent_at("gru", (x), (name), (tp_recurrent_args){ .hidden = __VA_ARGS__ }, TP_HERE)
TP_API tp_recurrent tp_recurrent_at(const char *kind, tp_tensor x, const char *name,
                                    tp_recurrent_args args, tp_loc at);
/* One layer and direction of given numbers: kind rnn, rnn_relu, lstm or gru; start h (and c),
 * [batch hidden]; weights w_ih, w_hh (, b_ih, b_hh). */
TP_API tp_recurrent tp_recurrent_cell_at(const char *kind, tp_tensor x, tp_list start,
                                         tp_list weights, bool reverse, tp_loc at);

/*
 * A function again and again: from carry[0..carries) and the slices x[0..slices)[t] of one step it
 * makes the next carries, in place, and this step's outputs y. Afterwards carry holds the last
 * ones, and y the outputs of all steps along a new first axis. The function is recorded once, so
 * neither compile time nor code grow with the steps; it may read any tensor, and call tp_scan
 * itself. reverse: from the last step to the first. length: the steps, where there are no arrays.
 * False with an error.
 *
 *     void add(void *user, tp_tensor carry[], const tp_tensor x[], tp_tensor y[]) {
 *         y[0] = carry[0] = tp_add(carry[0], x[0]);
 *     }
 *     tp_scan(g, add, NULL, 1, &sum, 1, &x, 1, &sums);
 */
typedef void tp_body(void *user, tp_tensor carry[], const tp_tensor x[], tp_tensor y[]);
typedef struct tp_scan_args {
    tp_tensor *y;
    bool reverse;
    int64_t length;
} tp_scan_args;
#define tp_scan(g, body, user, carries, carry, slices, x, outputs, ...)           \
    tp_scan_at((g), (body), (user), (carries), (carry), (slices), (x), (outputs), \
               (tp_scan_args){ .y = __VA_ARGS__ }, TP_HERE)
TP_API bool tp_scan_at(tp_graph *g, tp_body *body, void *user, int carries, tp_tensor carry[],
                       int slices, const tp_tensor x[], int outputs, tp_scan_args args, tp_loc at);

/*
 * One of two functions, as `when`, a truth value (bool, no axes), says at run time: the other one
 * is not computed. Both make results y[0..outputs) of the same types and shapes, from x[0..n) and
 * from any other tensor; parameters, reads and derivatives are as everywhere, and the derivative is
 * a choice again. Inside may be tp_scan and tp_cond; not dropout, batch norm or assignments. All
 * that a function records is computed only where it is chosen. False with an error.
 *
 *     void grow(void *user, const tp_tensor x[], tp_tensor y[]) { y[0] = tp_mul(x[0], 2); }
 *     void keep(void *user, const tp_tensor x[], tp_tensor y[]) { y[0] = x[0]; }
 *     tp_cond(tp_lt(tp_norm(x, 2), 1), grow, keep, NULL, 1, &x, 1, &y);
 */
typedef void tp_branch(void *user, const tp_tensor x[], tp_tensor y[]);
#define tp_cond(when, then, otherwise, user, n, x, outputs, y) \
    tp_cond_at((when), (then), (otherwise), (user), (n), (x), (outputs), (y), TP_HERE)
TP_API bool tp_cond_at(tp_tensor when, tp_branch *then, tp_branch *otherwise, void *user, int n,
                       const tp_tensor x[], int outputs, tp_tensor y[], tp_loc at);

/*
 * A function again and again as long as `test` of the carries is true, at most `most` times: body
 * makes the next carries, in place, as in tp_scan (x and y are NULL). Afterwards carry holds the
 * last ones. Both are recorded once. The derivative is by the steps that ran. A step after the last
 * costs the test alone, but the memory that the backward part needs is that of `most` steps. Inside
 * stands what may stand in tp_cond. False with an error.
 *
 *     tp_tensor far(void *user, const tp_tensor c[]) { return tp_gt(tp_abs(c[1]), 1e-6); }
 *     void newton(void *user, tp_tensor c[], const tp_tensor x[], tp_tensor y[]) { .. }
 *     tp_while(g, far, newton, NULL, 2, carry, 50);
 */
typedef tp_tensor tp_test(void *user, const tp_tensor carry[]);
#define tp_while(g, test, body, user, carries, carry, most) \
    tp_while_at((g), (test), (body), (user), (carries), (carry), (most), TP_HERE)
TP_API bool tp_while_at(tp_graph *g, tp_test *test, tp_body *body, void *user, int carries,
                        tp_tensor carry[], int64_t most, tp_loc at);

/*
 * Attention (arXiv:1706.03762): softmax(scale q k' + mask) v of q [.. l d], k [.. s d], v [.. s e];
 * with [b h l d] against [b h/g s d], g heads of queries share keys (arXiv:2305.13245). causal:
 * query i sees keys 0 to i; window: of these the last so many; mask: added, or truth values (false:
 * not seen), broadcast to [.. l s]; scale: 1 / sqrt(d). Of more than 256 keys nothing is queries x
 * keys, forward and backward (arXiv:2205.14135): memory grows with the keys.
 *     tp_attention(q, k, v, .causal = true)
 */
typedef struct tp_attention_args {
    tp_tensor v;
    bool causal;
    tp_tensor mask;
    double dropout, scale;
    int64_t window;
} tp_attention_args;
#define tp_attention(q, k, ...) \
    tp_attention_at((q), (k), (tp_attention_args){ .v = __VA_ARGS__ }, TP_HERE)

/* Truth [queries keys]: query i, at place from + i, sees keys up to its place; from: a number or an
 * integer of the graph. kv_cache: keys (or values) x [.. time width] go into a state of so many
 * places from there on; all of them come back. */
#define tp_causal_mask(g, queries, keys, from) \
    tp_causal_mask_at((g), (queries), (keys), TP_ARG(from), TP_HERE)
#define tp_kv_cache(x, name, places, from) \
    tp_kv_cache_at((x), (name), (places), TP_ARG(from), TP_HERE)
TP_API tp_tensor tp_causal_mask_at(tp_graph *g, int64_t queries, int64_t keys, tp_tensor from,
                                   tp_loc at);
TP_API tp_tensor tp_kv_cache_at(tp_tensor x, const char *name, int64_t places, tp_tensor from,
                                tp_loc at);

/* x [batch time width] to itself, or to .memory; parameters as nn.MultiheadAttention's, queries,
 * keys and values in one: tp_multi_head_attention(x, "attn", 8, .causal = true) */
typedef struct tp_mha_args {
    int64_t heads;
    bool causal, no_bias, shared, frozen;
    tp_tensor memory, mask;
    double dropout;
} tp_mha_args;
#define tp_multi_head_attention(x, name, ...) \
    tp_multi_head_attention_at((x), (name), (tp_mha_args){ .heads = __VA_ARGS__ }, TP_HERE)

/* Positions. rotary: pairs of x [.. time width] turned by place times base^(-2j/width), the halves
 * making pairs or neighbours (arXiv:2104.09864). positions: sines and cosines [time width] to be
 * added (arXiv:1706.03762). alibi: a mask [heads queries keys], place of key minus place of query
 * times 2^(-8 (head + 1) / heads) (arXiv:2108.12409). */
typedef struct tp_rotary_args {
    double base, from; /* 10000; the first place, 0 */
    bool interleaved;
} tp_rotary_args;
#define tp_rotary(x, ...)                   tp_rotary_at((x), (tp_rotary_args){ .base = __VA_ARGS__ }, TP_HERE)
#define tp_positions(g, dtype, time, width) tp_positions_at((g), (dtype), (time), (width), TP_HERE)
#define tp_alibi(g, dtype, heads, queries, keys) \
    tp_alibi_at((g), (dtype), (heads), (queries), (keys), TP_HERE)
/*
 * Layers one after the other, from a table: linear, conv1d .. conv3d, max_pool1d .. avg_pool3d,
 * batch_norm, layer_norm, rms_norm, group_norm, flatten (from axis 1), dropout, softmax and
 * log_softmax (last axis), embed (.kernel rows), or an activation by its name. Parameters are
 * called NAME.0.weight, .. as in nn.Sequential, or by .name.
 *
 *     tp_sequential(x, "net", tp_layer("conv2d", 6, .kernel = 5), tp_layer("relu"),
 *                   tp_layer("max_pool2d", .kernel = 2), tp_layer("flatten"), tp_layer("linear",
 * 10));
 */
typedef struct tp_layer {
    const char *what;
    int64_t out, kernel, stride, pad, groups;
    double p; /* dropout: 0.5 */
    bool no_bias;
    const char *name;
    tp_init init;
} tp_layer;
#define tp_layer(...) ((tp_layer){ .what = __VA_ARGS__ })
#define tp_sequential(x, name, ...)                                                              \
    tp_sequential_at((x), (name), (int)(sizeof((tp_layer[]){ __VA_ARGS__ }) / sizeof(tp_layer)), \
                     (tp_layer[]){ __VA_ARGS__ }, TP_HERE)
TP_API tp_tensor tp_sequential_at(tp_tensor x, const char *name, int count, const tp_layer *layer,
                                  tp_loc at);
/* Linear layers with relu between them: tp_mlp(x, "mlp", 16, 16, 1) */
#define tp_mlp(x, name, ...) tp_mlp_at((x), (name), tp_dims(__VA_ARGS__), TP_HERE)

TP_API tp_tensor tp_linear_at(tp_tensor x, const char *name, tp_linear_args args, tp_loc at);
TP_API tp_tensor tp_conv_at(const char *what, int axes, tp_tensor x, const char *name,
                            tp_conv_args args, tp_loc at);
TP_API tp_tensor tp_separable_conv_at(const char *what, int axes, tp_tensor x, const char *name,
                                      tp_conv_args args, tp_loc at);
TP_API tp_tensor tp_embed_at(tp_tensor index, const char *name, int64_t rows, int64_t width,
                             tp_loc at);
TP_API tp_tensor tp_pool_at(const char *op, int axes, tp_tensor x, tp_pool_args args, tp_loc at);
TP_API tp_tensor tp_adaptive_pool_at(const char *op, tp_tensor x, tp_shape size, tp_loc at);
TP_API tp_tensor tp_global_pool_at(const char *op, tp_tensor x, tp_loc at);
TP_API tp_tensor tp_interpolate_at(tp_tensor x, const char *mode, tp_shape size, bool corners,
                                   tp_loc at);
TP_API tp_tensor tp_upsample_at(tp_tensor x, const char *mode, int64_t scale, tp_loc at);
TP_API tp_tensor tp_grid_sample_at(tp_tensor x, tp_tensor grid, tp_grid_args args, tp_loc at);
TP_API tp_tensor tp_affine_grid_at(tp_tensor theta, int64_t height, int64_t width, bool corners,
                                   tp_loc at);
TP_API tp_tensor tp_max_pool_places_at(int axes, tp_tensor x, tp_pool_args args, tp_loc at);
TP_API tp_tensor tp_max_unpool_at(tp_tensor x, tp_tensor places, tp_shape size, tp_loc at);
TP_API tp_tensor tp_embedding_padded_at(tp_tensor weight, tp_tensor index, int64_t padding,
                                        tp_loc at);
TP_API tp_tensor tp_unfold_at(tp_tensor x, tp_pool_args args, tp_loc at);
TP_API tp_tensor tp_fold_at(tp_tensor columns, tp_shape size, tp_pool_args args, tp_loc at);
TP_API tp_tensor tp_batch_norm_at(tp_tensor x, tp_norm_args args, tp_loc at);
TP_API tp_tensor tp_layer_norm_at(tp_tensor x, tp_norm_args args, tp_loc at);
TP_API tp_tensor tp_rms_norm_at(tp_tensor x, tp_norm_args args, tp_loc at);
TP_API tp_tensor tp_group_norm_at(const char *what, tp_tensor x, tp_norm_args args, tp_loc at);
TP_API tp_tensor tp_local_response_norm_at(tp_tensor x, tp_lrn_args args, tp_loc at);
TP_API tp_tensor tp_weight_norm_at(tp_tensor v, tp_tensor g, int axis, tp_loc at);
TP_API tp_tensor tp_random_flip_at(tp_tensor x, int axis, double p, tp_loc at);
TP_API tp_tensor tp_random_shift_at(tp_tensor x, int axis, int64_t most, tp_loc at);
TP_API tp_tensor tp_random_crop_at(tp_tensor x, int axis, int64_t length, tp_loc at);
TP_API tp_tensor tp_standardise_at(tp_tensor x, const float *mean, const float *deviation,
                                   tp_loc at);
TP_API tp_tensor tp_dropout_at(const char *what, tp_tensor x, double p, int axes, tp_loc at);
TP_API tp_tensor tp_alpha_dropout_at(tp_tensor x, double p, tp_loc at);
TP_API tp_tensor tp_attention_at(tp_tensor q, tp_tensor k, tp_attention_args args, tp_loc at);
TP_API tp_tensor tp_multi_head_attention_at(tp_tensor x, const char *name, tp_mha_args args,
                                            tp_loc at);
TP_API tp_tensor tp_rotary_at(tp_tensor x, tp_rotary_args args, tp_loc at);
TP_API tp_tensor tp_positions_at(tp_graph *g, tp_dtype dtype, int64_t time, int64_t width,
                                 tp_loc at);
TP_API tp_tensor tp_alibi_at(tp_graph *g, tp_dtype dtype, int64_t heads, int64_t queries,
                             int64_t keys, tp_loc at);
/* Layers of given weights, under no name; a bias (or scale, or running statistics) whose g is NULL
 * is left out. Convolutions take channels and kernel from the weight. layer_norm over the last
 * `count` axes, without `centred` rms_norm. batch_norm in training replaces running[0..1] by the
 * next running mean and variance. */
TP_API tp_tensor tp_linear_of_at(tp_tensor x, tp_tensor weight, tp_tensor bias, tp_loc at);
TP_API tp_tensor tp_conv_of_at(const char *what, int axes, tp_tensor x, tp_tensor weight,
                               tp_tensor bias, tp_conv_args args, tp_loc at);
TP_API tp_tensor tp_layer_norm_of_at(tp_tensor x, tp_tensor weight, tp_tensor bias, int count,
                                     double eps, bool centred, tp_loc at);
TP_API tp_tensor tp_group_norm_of_at(tp_tensor x, tp_tensor weight, tp_tensor bias, int64_t groups,
                                     double eps, tp_loc at);
TP_API tp_tensor tp_batch_norm_of_at(tp_tensor x, tp_tensor weight, tp_tensor bias,
                                     tp_tensor running[2], bool training, double momentum,
                                     double eps, tp_loc at);
TP_API tp_tensor tp_mlp_at(tp_tensor x, const char *name, tp_shape widths, tp_loc at);

/* ---- losses ---------------------------------------------------------------------------------- */
/*
 * Input and target have one type and one shape; anything else is refused. Options by name after the
 * target, defaults as PyTorch's; .reduction gives the mean (over elements, or over rows where a row
 * is compared), the sum, each by itself, or the sum over the first extent. .weight multiplies.
 */
#define TP_ZERO (-0.0) /* a zero that is meant, where 0 would be the default */
typedef enum tp_reduction { TP_MEAN, TP_SUM, TP_EACH, TP_BATCHMEAN } tp_reduction;

typedef struct tp_loss_args {
    tp_tensor target, third; /* third: gaussian_nll's variance, margin_ranking's sign */
    tp_reduction reduction;
    tp_tensor weight;
    tp_tensor pos_weight;               /* bce_with_logits: of the positive ones */
    double beta, delta, margin, eps, p; /* in the lists below */
    double alpha, gamma;                /* focal: 0.25, 2 */
    bool full, log_target, rate, swap;
} tp_loss_args;
#define tp_loss(name, x, ...) \
    tp_loss_at((name), (x), (tp_loss_args){ .target = __VA_ARGS__ }, TP_HERE)

#define tp_mse(x, ...)       tp_loss("mse", x, __VA_ARGS__)
#define tp_l1(x, ...)        tp_loss("l1", x, __VA_ARGS__)
#define tp_smooth_l1(x, ...) tp_loss("smooth_l1", x, __VA_ARGS__) /* .beta 1 */
#define tp_huber(x, ...)     tp_loss("huber", x, __VA_ARGS__)     /* .delta 1 */
/* x are probabilities; logarithms are not below -100 */
#define tp_bce(x, ...)             tp_loss("bce", x, __VA_ARGS__)
#define tp_bce_with_logits(x, ...) tp_loss("bce_with_logits", x, __VA_ARGS__)
/* x are log-probabilities, the target probabilities, or logarithms too: .log_target = true */
#define tp_kl_div(x, ...) tp_loss("kl_div", x, __VA_ARGS__)
/* x is the logarithm of the rate, or the rate: .rate = true (+ .eps 1e-8); .full: with Stirling's
 * approximation of the rest */
#define tp_poisson_nll(x, ...) tp_loss("poisson_nll", x, __VA_ARGS__)
/* variance not below .eps, 1e-6; .full: with the constant (Nix, Weigend 1994) */
#define tp_gaussian_nll(x, target_, ...) /* tp_gaussian_nll(x, target, variance, ..) */          \
    tp_loss_at("gaussian_nll", (x), (tp_loss_args){ .target = (target_), .third = __VA_ARGS__ }, \
               TP_HERE)
/* Targets 1 and -1: max(0, 1 - x t); hinge_embedding: x, or max(0, .margin - x), 1 */
#define tp_hinge(x, ...)           tp_loss("hinge", x, __VA_ARGS__)
#define tp_hinge_embedding(x, ...) tp_loss("hinge_embedding", x, __VA_ARGS__)
#define tp_soft_margin(x, ...)     tp_loss("soft_margin", x, __VA_ARGS__)
/* max(0, -sign (a - b) + .margin), 0 */
#define tp_margin_ranking(a, b, ...) /* tp_margin_ranking(a, b, sign, ..) */                 \
    tp_loss_at("margin_ranking", (a), (tp_loss_args){ .target = (b), .third = __VA_ARGS__ }, \
               TP_HERE)
/* of logits (arXiv:1708.02002) */
#define tp_focal(x, ...) tp_loss("focal", x, __VA_ARGS__)
/* of probabilities [n ..], .eps 1 added above and below (arXiv:1606.04797) */
#define tp_dice(x, ...) tp_dice_at((x), (tp_loss_args){ .target = __VA_ARGS__ }, TP_HERE)
/* Rows a and b [n d], sign [n]: 1 - cos, or max(0, cos - .margin), 0 */
#define tp_cosine_embedding(a, b, ...) \
    tp_cosine_embedding_at((a), (b), (tp_loss_args){ .target = __VA_ARGS__ }, TP_HERE)
/* Rows: max(0, d(anchor, positive) - d(anchor, negative) + .margin), 1; .p 2, .eps 1e-6, .swap */
#define tp_triplet_margin(anchor, positive, ...) \
    tp_triplet_margin_at((anchor), (positive), (tp_loss_args){ .target = __VA_ARGS__ }, TP_HERE)
/* x [.. classes], target [..] numbers; .p 1 or 2, .margin 1, .weight [classes] */
#define tp_multi_margin(x, ...) \
    tp_multi_margin_at((x), (tp_loss_args){ .target = __VA_ARGS__ }, TP_HERE)
/* Along an axis: the cosine (PyTorch's eps 1e-8); of the last: the p-norm of a - b + 1e-6 */
#define tp_cosine_similarity(a, b, axis) tp_cosine_similarity_at((a), (b), (axis), 1e-8, TP_HERE)
#define tp_pairwise_distance(a, b, p)    tp_pairwise_distance_at((a), (b), (p), 1e-6, TP_HERE)

/*
 * Classes are on the last axis of the logits, or on .axis (PyTorch's is 1); targets are their
 * numbers, [..] of an integer type, or probabilities like the logits. .smoothing
 * (arXiv:1512.00567); .weight [classes], the mean then divides by the sum of the used ones; rows
 * whose target is .ignore_index count nowhere (PyTorch's default of -100 must be said; class 0 is
 * TP_ZERO). nll takes log-probabilities.
 */
typedef struct tp_class_args {
    tp_tensor target;
    tp_reduction reduction;
    tp_tensor weight;
    double smoothing, ignore_index;
    int axis;
} tp_class_args;
#define tp_cross_entropy(logits, ...)                                                        \
    tp_class_loss_at("tp_cross_entropy", (logits), (tp_class_args){ .target = __VA_ARGS__ }, \
                     TP_HERE)
#define tp_nll(logs, ...) \
    tp_class_loss_at("tp_nll", (logs), (tp_class_args){ .target = __VA_ARGS__ }, TP_HERE)

/*
 * Connectionist temporal classification (Graves et al., ICML 2006): log-probabilities [time n
 * classes], target [n s], of row i the first lengths[i]; steps[i] of its times count. The mean is
 * over rows, each divided by its length. Where the steps are too few the loss is infinite, or 0.
 *     tp_ctc(logs, target, .steps = t, .lengths = l)
 */
typedef struct tp_ctc_args {
    tp_tensor target, steps, lengths;
    int64_t blank;
    tp_reduction reduction;
    bool zero_infinity;
} tp_ctc_args;
#define tp_ctc(logs, ...) tp_ctc_at((logs), (tp_ctc_args){ .target = __VA_ARGS__ }, TP_HERE)

TP_API tp_tensor tp_loss_at(const char *name, tp_tensor x, tp_loss_args args, tp_loc at);
TP_API tp_tensor tp_ctc_at(tp_tensor logs, tp_ctc_args args, tp_loc at);
TP_API tp_tensor tp_class_loss_at(const char *what, tp_tensor x, tp_class_args args, tp_loc at);
TP_API tp_tensor tp_dice_at(tp_tensor x, tp_loss_args args, tp_loc at);
TP_API tp_tensor tp_cosine_embedding_at(tp_tensor a, tp_tensor b, tp_loss_args args, tp_loc at);
TP_API tp_tensor tp_triplet_margin_at(tp_tensor anchor, tp_tensor positive, tp_loss_args args,
                                      tp_loc at); /* .target: the negative */
TP_API tp_tensor tp_multi_margin_at(tp_tensor x, tp_loss_args args, tp_loc at);
TP_API tp_tensor tp_cosine_similarity_at(tp_tensor a, tp_tensor b, int axis, double eps, tp_loc at);
TP_API tp_tensor tp_pairwise_distance_at(tp_tensor a, tp_tensor b, double p, double eps, tp_loc at);

/* ---- metrics --------------------------------------------------------------------------------- */
/*
 * x [.. classes], classes [..] of an integer type. accuracy: the share of rows whose greatest is
 * their class; topk_accuracy: .. is among the k greatest. confusion_matrix: i64 [classes classes],
 * rows what it is, columns what was said; by class of it: precision, recall, f1, 0 where there is
 * none. perplexity: exp of the cross-entropy. r2: 1 - squared errors / squares off the mean.
 */
#define tp_accuracy(x, classes)         tp_accuracy_at((x), (classes), TP_HERE)
#define tp_topk_accuracy(x, classes, k) tp_topk_accuracy_at((x), (classes), (k), TP_HERE)
#define tp_confusion_matrix(said, classes, count) \
    tp_confusion_matrix_at((said), (classes), (count), TP_HERE)
#define tp_precision(matrix)       tp_class_score_at("tp_precision", (matrix), TP_HERE)
#define tp_recall(matrix)          tp_class_score_at("tp_recall", (matrix), TP_HERE)
#define tp_f1(matrix)              tp_class_score_at("tp_f1", (matrix), TP_HERE)
#define tp_perplexity(logits, ids) tp_perplexity_at((logits), (ids), TP_HERE)
#define tp_r2(x, target)           tp_r2_at((x), (target), TP_HERE)
TP_API tp_tensor tp_accuracy_at(tp_tensor x, tp_tensor classes, tp_loc at);
TP_API tp_tensor tp_topk_accuracy_at(tp_tensor x, tp_tensor classes, int64_t k, tp_loc at);
TP_API tp_tensor tp_confusion_matrix_at(tp_tensor said, tp_tensor classes, int64_t count,
                                        tp_loc at);
TP_API tp_tensor tp_class_score_at(const char *what, tp_tensor matrix, tp_loc at);
TP_API tp_tensor tp_perplexity_at(tp_tensor logits, tp_tensor ids, tp_loc at);
TP_API tp_tensor tp_r2_at(tp_tensor x, tp_tensor target, tp_loc at);

/* ---- derivatives and effects ----------------------------------------------------------------- */

/* Appends backward operations: out[i] is the derivative of the scalar y by wrt[i], a tensor like
 * any other, which may be derived again. */
#define tp_grad(y, n, wrt, out) tp_vjp_at((y), tp_as_number(1), (n), (wrt), (out), TP_HERE)
#define tp_vjp(y, cotangent, n, wrt, out) \
    tp_vjp_at((y), TP_ARG(cotangent), (n), (wrt), (out), TP_HERE)
#define tp_grad_of(y, x) tp_grad_of_at((y), (x), TP_HERE)
/* Forward mode: how y moves where each x[i] moves by along[i], of its shape; out has y's shape. */
#define tp_jvp(y, n, x, along, out) tp_jvp_at((y), (n), (x), (along), (out), TP_HERE)
/*
 * Is the derivative of the scalar y by each x[i] (parameters, inputs, arrays) right? Computed in
 * f64 by the interpreter, at the values that parameters and an eager graph's arrays have, and some
 * made up for inputs (integers are 0), it stands against central differences, of single elements
 * and along a direction, and against forward mode. False with an error that says which slope is
 * wrong, and by how much: for rules of your own, and for exercises. `taper check` does it for
 * models. if (!tp_gradcheck(loss, 2, (tp_tensor[]){ w, b })) ...
 */
#define tp_gradcheck(y, n, x) tp_gradcheck_at((y), (n), (x), TP_HERE)
/* After the run the state has the value; reads in the same run see the old one. In an eager graph
 * it has the value at once, and what is recorded afterwards sees the new one. */
#define tp_assign(state, value) tp_assign_at((state), TP_ARG(value), TP_HERE)
TP_API bool tp_vjp_at(tp_tensor y, tp_tensor cotangent, int n, const tp_tensor wrt[],
                      tp_tensor out[], tp_loc at);
TP_API bool tp_jvp_at(tp_tensor y, int n, const tp_tensor x[], const tp_tensor along[],
                      tp_tensor *out, tp_loc at);
TP_API tp_tensor tp_grad_of_at(tp_tensor y, tp_tensor x, tp_loc at);
TP_API bool tp_gradcheck_at(tp_tensor y, int n, const tp_tensor x[], tp_loc at);
TP_API void tp_assign_at(tp_tensor state, tp_tensor value, tp_loc at);

/*
 * A function with a derivative of its own: y[0..outputs) from x[0..n), all of floating types; where
 * a gradient is asked, `rule` makes dx, each like its x, from the arguments, the results and the
 * gradients dy of these; what it leaves out is zero. What else the function reads gets no gradient.
 * Both are recorded at once. The rule's own operations are derived by the chain rule; forward mode
 * is refused. Inside may be no dropout, batch norm or assignment. False with an error.
 *
 *     void sign(void *user, const tp_tensor x[], tp_tensor y[]) { y[0] = tp_sign(x[0]); }
 *     void straight(void *user, const tp_tensor x[], const tp_tensor y[], const tp_tensor dy[],
 *                   tp_tensor dx[]) { dx[0] = dy[0]; }
 *     tp_with_gradient(sign, straight, NULL, 1, &x, 1, &y);
 */
typedef void tp_gradient_rule(void *user, const tp_tensor x[], const tp_tensor y[],
                              const tp_tensor dy[], tp_tensor dx[]);
#define tp_with_gradient(function, rule, user, n, x, outputs, y) \
    tp_with_gradient_at((function), (rule), (user), (n), (x), (outputs), (y), TP_HERE)
TP_API bool tp_with_gradient_at(tp_branch *function, tp_gradient_rule *rule, void *user, int n,
                                const tp_tensor x[], int outputs, tp_tensor y[], tp_loc at);

/*
 * A C function of yours as an operation: a result of this type and shape from tensors, 1 to 29. It
 * must be pure (what it gives follows from the arrays alone): equal calls are one, and what nobody
 * reads is not called. It is called once a step, by one thread. Symbols in the shape are extents at
 * run time. .backward makes the gradient by floating argument number `by`, called once for each
 * that is asked for, from the arguments, the result and the gradient of it: in[0..n + 2); without
 * it derivatives are refused, and second derivatives and forward mode always are. Where a file is
 * to stand alone (tp_emit_c, `taper build`), .source is C text that defines NAME, and NAME_gradient
 * for the backward function; tp_array is declared there, and .user must be NULL.
 *
 *     void cube(void *user, int by, const tp_array in[], const tp_array *out)
 *     {
 *         const float *x = in[0].data;
 *         float *y = out->data;
 *         for (int64_t i = 0; i < in[0].dim[0]; i++)
 *             y[i] = x[i] * x[i] * x[i];
 *     }
 *     y = tp_custom("cube", tp_list(x), TP_F32, tp_dims(B), cube, .backward = cube_gradient);
 */
typedef struct tp_array { /* element (i, j) is data[i * pitch[0] + j * pitch[1]] */
    void *data;
    int dtype, rank; /* a tp_dtype */
    const int64_t *dim, *pitch;
} tp_array;
typedef void tp_function(void *user, int by, const tp_array in[], const tp_array *out); /* by: -1 */
typedef struct tp_custom_args {
    tp_function *function, *backward;
    void *user;         /* handed to both */
    const char *source; /* copied */
} tp_custom_args;
#define tp_custom(name, x, dtype, shape, ...)                                                \
    tp_custom_at((name), (x), (dtype), (shape), (tp_custom_args){ .function = __VA_ARGS__ }, \
                 TP_HERE)
TP_API tp_tensor tp_custom_at(const char *name, tp_list x, tp_dtype dtype, tp_shape shape,
                              tp_custom_args args, tp_loc at);

/* ---- optimisers and schedules: values, which become part of the compiled step ---------------- */

/* Parameters whose name fits; a later group goes before an earlier one:
 * .groups = tp_groups({ .match = "*.bias", .no_decay = true }) */
typedef struct tp_group {
    const char *match; /* a glob */
    double lr_scale;   /* 1 */
    double weight_decay;
    bool no_decay, frozen;
} tp_group;
#define tp_groups(...) ((const tp_group[]){ __VA_ARGS__, { 0 } })

typedef enum tp_opt_kind {
    TP_SGD,
    TP_ADAM,
    TP_ADAMW,
    TP_RMSPROP,
    TP_ADAGRAD,
    TP_ADAMAX,
    TP_NADAM,
    TP_RADAM,
    TP_ADADELTA,
    TP_LION,
    TP_LAMB,
    TP_LARS,
    TP_ADAFACTOR,
    TP_MUON
} tp_opt_kind;

/*
 * Defaults are PyTorch's, where it has the optimiser; TP_ZERO is a zero that is meant.
 *   sgd       .momentum, .dampening, .nesterov             adamw     .weight_decay 0.01, decoupled
 *   adam      .beta1 0.9, .beta2 0.999, .eps 1e-8          lion      .beta2 0.99 (arXiv:2302.06675)
 *   adamax nadam radam   the same                          lamb      .eps 1e-6 (arXiv:1904.00962)
 *   rmsprop   .alpha 0.99, .momentum, .centered            lars      .alpha 0.001, .momentum 0.9
 *   adagrad   .eps 1e-10                                             (arXiv:1708.03888)
 *   adadelta  .alpha 0.9, .eps 1e-6; a rate of 1           adafactor .eps 1e-3 (arXiv:1804.04235)
 *   muon      .momentum 0.95, .weight_decay 0.1, decoupled, .plain: without Nesterov's step; what
 *             has one axis follows adamw (Jordan et al. 2024)
 */
typedef struct tp_opt {
    int kind;            /* tp_opt_kind */
    double momentum;     /* as above, else 0 */
    double weight_decay; /* as above, else 0; added to the gradient where it is not decoupled */
    double beta1, beta2;
    double eps;
    double alpha;
    bool nesterov, no_decay;
    const tp_group *groups;
    double dampening;
    bool centered, plain;
    bool filled; /* with defaults, by tp_opt_of */
} tp_opt;

#define tp_optimiser(kind_, ...) tp_opt_of((kind_), (tp_opt){ .kind = (kind_), __VA_ARGS__ })
#define tp_sgd(...)              tp_optimiser(TP_SGD, __VA_ARGS__)
#define tp_adam(...)             tp_optimiser(TP_ADAM, __VA_ARGS__)
#define tp_adamw(...)            tp_optimiser(TP_ADAMW, __VA_ARGS__)
#define tp_rmsprop(...)          tp_optimiser(TP_RMSPROP, __VA_ARGS__)
#define tp_adagrad(...)          tp_optimiser(TP_ADAGRAD, __VA_ARGS__)
#define tp_adamax(...)           tp_optimiser(TP_ADAMAX, __VA_ARGS__)
#define tp_nadam(...)            tp_optimiser(TP_NADAM, __VA_ARGS__)
#define tp_radam(...)            tp_optimiser(TP_RADAM, __VA_ARGS__)
#define tp_adadelta(...)         tp_optimiser(TP_ADADELTA, __VA_ARGS__)
#define tp_lion(...)             tp_optimiser(TP_LION, __VA_ARGS__)
#define tp_lamb(...)             tp_optimiser(TP_LAMB, __VA_ARGS__)
#define tp_lars(...)             tp_optimiser(TP_LARS, __VA_ARGS__)
#define tp_adafactor(...)        tp_optimiser(TP_ADAFACTOR, __VA_ARGS__)
#define tp_muon(...)             tp_optimiser(TP_MUON, __VA_ARGS__)
TP_API tp_opt tp_opt_of(int kind, tp_opt opt); /* with defaults filled in */

#define TP_MILESTONES 12
typedef struct tp_milestones {
    int count;
    double step[TP_MILESTONES];
} tp_milestones;
typedef struct tp_schedule { /* the learning rate as a function of the step, from 0 */
    int kind;
    double from, to, steps, warmup, factor;
    tp_milestones at;
} tp_schedule;
TP_API tp_schedule tp_const(double rate);
TP_API tp_schedule tp_cosine(double from, double to, double steps); /* arXiv:1608.03983 */
/* The same again and again; each time `longer` (1 or more) times as many steps. */
TP_API tp_schedule tp_cosine_restarts(double from, double to, double steps, double longer);
TP_API tp_schedule tp_linear_decay(double from, double to, double steps);
TP_API tp_schedule tp_polynomial(double from, double to, double steps, double power);
TP_API tp_schedule tp_step_decay(double from, double factor, double every);
TP_API tp_schedule tp_exponential_decay(double from, double factor); /* times factor every step */
/* Times factor from each of these steps on, at most 12: tp_multistep(0.1, 0.1, 30, 60) */
#define tp_multistep(from, factor, ...)                                                         \
    tp_multistep_of((from), (factor),                                                           \
                    (tp_milestones){ (int)(sizeof((double[]){ __VA_ARGS__ }) / sizeof(double)), \
                                     { __VA_ARGS__ } })
TP_API tp_schedule tp_multistep_of(double from, double factor, tp_milestones at);
/* Up from most/25 by a cosine in 30 % of the steps, then down to most/250000 (arXiv:1708.07120). */
TP_API tp_schedule tp_one_cycle(double most, double steps);
/* Up to most in these steps, then as the root of the step (arXiv:1706.03762). */
TP_API tp_schedule tp_inverse_sqrt(double most, double warmup);
/* Warm up (tp_warmup), stay, and fall in the last `decay` of the steps (arXiv:2404.06395). */
TP_API tp_schedule tp_wsd(double from, double to, double steps, double decay);
/* What tp_set_rate says, at first this: for rates that a program outside decides. The state
 * taper.rate holds it. */
TP_API tp_schedule tp_given(double rate);
TP_API bool tp_set_rate(tp_graph *g, double rate);
/* From 0 up; these steps are the schedule's first. */
TP_API tp_schedule tp_warmup(double steps, tp_schedule then);

/*
 * Plateau: the rate is multiplied by .factor where a number, a loss after each epoch, has not
 * become better for more than .patience calls; then nothing is counted for .cooldown calls. Better
 * is less (.rising: more) by .threshold of the best (.absolute: by itself). PyTorch's
 * ReduceLROnPlateau with its defaults, and a reduction of at most 1e-8 is none. The program's rate
 * is a given one. False with an error.
 *
 *     tp_plateau fall = { .rate = 0.1, .patience = 3 };
 *     step = tp_compile_train(loss, .lr = tp_given(fall.rate));
 *     .. tp_plateau_step(g, &fall, sum / rows);
 */
typedef struct tp_plateau {
    double rate;              /* now */
    double factor, threshold; /* 0.1, 1e-4 */
    int patience, cooldown;   /* 10, 0 */
    double least;             /* rate */
    bool rising, absolute;
    bool seen; /* its own, zero at first: */
    double best;
    int bad, cooling;
} tp_plateau;
TP_API bool tp_plateau_step(tp_graph *g, tp_plateau *p, double value);
/* True once .patience calls in a row (1) were not better than the best by more than .least: stop.
 *     tp_early_stop stop = { .patience = 3 };  .. if (tp_early_stop_step(&stop, loss)) break; */
typedef struct tp_early_stop {
    int patience;
    double least;
    bool rising;
    bool seen; /* its own, zero at first: */
    double best;
    int bad;
} tp_early_stop;
TP_API bool tp_early_stop_step(tp_early_stop *s, double value);

/* ---- compiling ------------------------------------------------------------------------------- */

typedef enum tp_mode { TP_TRAIN, TP_EVAL } tp_mode; /* what dropout and batch_norm mean */

typedef struct tp_train_args {
    tp_tensor loss; /* a scalar */
    tp_opt opt;     /* tp_sgd() */
    tp_schedule lr;
    tp_list also;       /* other values to be had after each run */
    int64_t batch;      /* greatest extent of the first symbol; 0: its own */
    double clip_norm;   /* all gradients together are scaled down to this norm; 0: never */
    double clip_each;   /* each parameter's gradient is, by itself */
    double clip_value;  /* each element of a gradient is kept within this and its negative */
    int accumulate;     /* gradients of so many runs are averaged before an update; 1 */
    double ema;         /* parameters are averaged over updates by this factor: tp_use_ema */
    int threads;        /* 0: as many as the machine has */
    int64_t memory;     /* most bytes of its arena, see tp_program_bytes; 0: what it likes */
    bool plan_only;     /* planned, but neither compiled nor given memory: it does not run */
    tp_dtype precision; /* TP_BF16, TP_F16: what products are computed from, see below; TP_F32 */
    double loss_scale;  /* with TP_F16: the first one, a power of two; 65536 */
    int scale_every;    /* it doubles after so many updates without Inf and NaN; 2000 */
    bool check;         /* each run is looked at, see tp_run */
    bool probe;         /* the step computes numbers about itself: tp_probes */
    const char *device; /* "cuda", "cuda:1", "cuda-emu"; NULL: "cpu", see below */
    bool tf32;          /* there, products of f32 are computed from TF32, see below; false */
} tp_train_args;

typedef struct tp_compile_args {
    tp_mode mode;
    int64_t batch;
    int threads;
    const char *names; /* of the outputs, "loss, hits" */
    int64_t memory;
    bool plan_only;
    tp_dtype precision; /* as in tp_train_args */
    bool check;
    const char *device; /* as in tp_train_args */
    bool tf32;          /* as in tp_train_args */
} tp_compile_args;

/*
 * Where a program runs. "cuda" is the first GPU with NVIDIA's driver, "cuda:1" the second; nothing
 * of CUDA is linked, libcuda and libnvrtc are opened when such a program is made. "cuda-emu" is the
 * same text of kernels under the same driver calls on the CPU, to test without a GPU; "cuda-emu:4"
 * to "cuda-emu:7" look at each access to memory as well. All programs of a graph that run on a
 * device run on one; programs on the CPU see the same states. A run on a device is only begun by
 * tp_run: tp_get, tp_read and states that are read wait for it, and an error of the device is
 * told there. Numbers are the CPU's, bit for bit, but for large sums of products on tensor cores:
 * those of bf16 (see below), which are exact and added in f32 in the machine's order; and with
 * .tf32 those of f32, whose operands lose 13 of 23 bits behind the point first. Either is the same
 * from run to run.
 */

/*
 * Mixed precision (arXiv:1710.03740), .precision = TP_BF16 or TP_F16. Parameters, moments, running
 * statistics and what files hold stay f32. The types of everything else follow from one rule:
 *   - products (linear layers, matmul, convolutions and their transposes) read their arguments
 *     rounded to the narrow type, add up in f32, and give the narrow type;
 *   - sums, means, exp, log, pow, sqrt, sin and the other transcendental functions, softmax, norms,
 *     attention and losses are computed in f32; norms, attention and sigmoid give the type of what
 *     they are of, the others f32;
 *   - all else (+ - * / relu max, where, movement, pooling) has the widest type of its arguments,
 *     parameters and bare numbers not counted, and rounds its result to it;
 *   - integers, truth values, f64 and what tp_cast() says are left as they are; what is handed in
 *     and out, and what a scan carries, is f32.
 * Gradients have the type of what they are gradients of; those of parameters are f32. With TP_F16
 * the loss is multiplied by a scale before the backward part, and gradients divided by it after;
 * a run whose gradients are not finite changes nothing but the scale, which halves, and counts as
 * no step; after .scale_every good updates the scale doubles. The states are taper.loss_scale
 * (f32), taper.good_updates and taper.skipped_updates (i64).
 */

/* Forward, backward and update: tp_compile_train(loss, .opt = tp_adam(), .lr = tp_const(1e-3)) */
#define tp_compile_train(...) tp_compile_train_at((tp_train_args){ .loss = __VA_ARGS__ }, TP_HERE)
/* Values for looking at, no effects: tp_compile_eval(g, loss, hits) */
#define tp_compile_eval(g, ...)              \
    tp_compile_at((g), tp_list(__VA_ARGS__), \
                  (tp_compile_args){ .mode = TP_EVAL, .names = #__VA_ARGS__ }, TP_HERE)
/* Any function of the graph; TP_TRAIN: with its assignments. tp_compile(g, tp_list(y), TP_EVAL) */
#define tp_compile(g, list, ...) \
    tp_compile_at((g), (list), (tp_compile_args){ .mode = __VA_ARGS__ }, TP_HERE)
/* Parameters become their averages of .ema, as far as there are some; how many did. */
TP_API int tp_use_ema(tp_graph *g);
TP_API tp_program *tp_compile_train_at(tp_train_args args, tp_loc at);
TP_API tp_program *tp_compile_at(tp_graph *g, tp_list outputs, tp_compile_args args, tp_loc at);
TP_API void tp_program_free(tp_program *p); /* or with the graph */

/* ---- running --------------------------------------------------------------------------------- */

/*
 * No allocation, no lock, no dispatch. A program made with .check = true is the same code, with
 * more around it: where an output or a state that it assigns is NaN or infinite after a run, or an
 * index (of tp_take, tp_embedding, labels of tp_cross_entropy) is past its axis, the states and
 * inputs are put back as they were and tp_run is false. tp_error() then names the operation in
 * which it began, with its line, name, element, operands and step:
 *     model.c:31: log: element [3 17] of f32[64 100] is -inf; of 0; it spoils loss, in step 812
 * Inside of a tp_scan it names the scan. Status 1.
 */
TP_API bool tp_run(tp_program *p);
/* Where an input or output lives, for good: write inputs there, read arrays from there. */
TP_API void *tp_buffer(tp_program *p, tp_tensor x, size_t *bytes);
/* How many rows the next runs have, of the first symbol's; tp_next says so itself. */
TP_API bool tp_rows(tp_program *p, int64_t rows);
/*
 * How much of any symbol the next runs have: a program for all lengths of a text serves each
 * without being compiled again. Buffers are laid out for the symbols' bounds: with x [batch, time],
 * time up to 64, element (b, t) of tp_buffer() is at 64 * b + t however long the rows are.
 */
TP_API bool tp_extent(tp_program *p, const char *symbol, int64_t n);
TP_API double tp_get(const tp_program *p, tp_tensor x); /* a scalar output */
TP_API bool tp_read(const tp_program *p, tp_tensor x, void *to, size_t bytes);
/*
 * Bytes of the program's arena, to the byte: its inputs and outputs, what lies between its kernels
 * and the threads' scratch, at its .batch. The states (parameters, momenta) are not in it, all
 * programs of a graph share them. With .plan_only it is known before anything exists; with .memory
 * it is at most that many: the planner orders kernels, writes arrays over arrays and computes
 * values of the forward part a second time in the backward part until they fit, without a change
 * of one bit in the results; where they do not, compiling is refused with a message that says how
 * many bytes are needed, where and for what, and which batch would fit.
 */
TP_API size_t tp_program_bytes(const tp_program *p);
TP_API const char *tp_program_engine(const tp_program *p); /* "interpreter", .. */
/*
 * What its kernels compute, in which loops, and why each is not one with those that it reads: a
 * text, valid as long as the program. kernel: that one alone; NULL: all. NULL where there is none.
 */
TP_API const char *tp_explain(const tp_program *p, const char *kernel);
/*
 * Searches schedules of the program's kernels by measuring, with its inputs as they are and its
 * states as they are before and after: tile heights and widths, what is copied first, which loop
 * goes in lanes and which is divided among threads, what is written out. All of them give the same
 * bits. What is quicker is kept for later compiles of the same kernels on this machine with as many
 * threads: in the cache's folder, or in the text `save`, which tp_schedules() reads. A program that
 * is there already stays as it is. seconds: when no new try begins; 0: 60.
 *
 *     tp_tune(step, .seconds = 20);
 *
 * False with an error, status 3, for a program that is not machine code of this processor.
 */
typedef struct tp_tune_args {
    double seconds;
    const char *save;
} tp_tune_args;
#define tp_tune(p, ...) tp_tune_with((p), (tp_tune_args){ __VA_ARGS__ })
TP_API bool tp_tune_with(tp_program *p, tp_tune_args args);
/*
 * What is compiled from here on takes the schedules of this file, not of the cache's folder; NULL:
 * none, the rules alone decide. False with an error for a file that is not there or is no such
 * text.
 */
TP_API bool tp_schedules(tp_graph *g, const char *path);
TP_API bool tp_emit_ir(const tp_program *p, const char *path);
TP_API bool tp_emit_dot(const tp_program *p, const char *path);

/*
 * What a model computes, for other runtimes: an ONNX file (opset 20) of these values in evaluation,
 * with the weights as they are now, under their names. Inputs and outputs are named as here; a
 * symbol is the name of an extent.
 *
 *     tp_export_onnx(g, "lenet.onnx", logits)
 *
 * False with an error in the graph; 3 (tp_status) for an operation that ONNX has not. Of several
 * values of one program `names` may be "scores, classes"; the macro takes the words as they stand.
 */
#define tp_export_onnx(g, path, ...) \
    tp_export_onnx_at((g), (path), tp_list(__VA_ARGS__), #__VA_ARGS__, TP_HERE)
TP_API bool tp_export_onnx_at(tp_graph *g, const char *path, tp_list outputs, const char *names,
                              tp_loc at);

typedef struct tp_emit_args {
    const char *path;      /* of the C file */
    tp_program *train;     /* of tp_compile_train */
    tp_program *eval;      /* of tp_compile_eval, or NULL: its first floating scalar is a mean over
                              rows, its first integer one counts them ("loss, hits") */
    const tp_loader *data; /* whose rows the trainer reads, with its batch, order and seed */
    const tp_loader *test; /* to evaluate on; NULL: the part "test" of the same */
    const char *model;     /* its name; NULL: of the file */
    const char *target;    /* generic x86-64-v3 x86-64-v4 armv8; NULL: this machine's */
    int64_t epochs;        /* 0: as long as the rate's schedule is, or 10 */
    int threads;           /* most that it can use; 0: 16 */
} tp_emit_args;
/*
 * One C file that trains the model without this library, to the same bits: its kernels, initial
 * values, readers, safetensors, checkpoints and a main().
 *
 *     tp_emit_c("trainer.c", .train = step, .eval = eval, .data = loader)
 *
 * Rows of arrays (tp_loader_from_arrays) it reads from x.npy, y.npy, ..; rows that a function makes
 * it cannot read. Weights begin as the graph's do: not with what they have learnt since; --load
 * takes that from tp_save. False with an error in the graph; the file is whole or as it was.
 */
#define tp_emit_c(...) tp_emit_c_with((tp_emit_args){ .path = __VA_ARGS__ })
TP_API bool tp_emit_c_with(tp_emit_args args);

/* ---- notices: what a run says or demands on its way ------------------------------------------ */
/*
 * In a recorded graph each belongs to every program that has the inputs it is computed from, and
 * happens after each of its runs; a .tp file and a trainer keep checks and probes. In an eager one
 * it happens at once. Not inside of the functions of tp_scan, tp_cond and their like.
 *
 * tp_print: a line on stdout, "mlp.c:14: h = f32[2 3] [[..]]", of more than 1,000 elements the ends
 * of each axis. tp_check: truth values that hold; else tp_run is false and tp_error() says
 * "mlp.c:14: check: rates are positive: 3 false", status 1. The updates of that step have been
 * made, but with .check = true, when the states are as before. tp_log_value: a scalar becomes the
 * probe value/NAME of steps made with .probe = true; an array norm/NAME and the histogram
 * values/NAME.
 */
#define tp_print(x)           tp_print_at((x), #x, TP_HERE)
#define tp_check(ok, message) tp_check_at((ok), (message), TP_HERE)
#define tp_log_value(x, name) tp_log_value_at((x), (name), TP_HERE)
TP_API void tp_print_at(tp_tensor x, const char *name, tp_loc at);
TP_API void tp_check_at(tp_tensor ok, const char *message, tp_loc at);
TP_API void tp_log_value_at(tp_tensor x, const char *name, tp_loc at);

/* ---- probes ---------------------------------------------------------------------------------- */
/*
 * Of a step made with .probe = true, after each run: for each trained parameter grad_norm/NAME (the
 * 2-norm of its gradient, before clipping), update_ratio/NAME (the norm of its change beside its
 * own), and histograms gradients/NAME and weights/NAME (as it was before the step); and dead/LAYER,
 * the share of zeros behind a relu. A number is one f32 at `data`; a histogram 64 counts (i32) by
 * sign and power of two: 32 + k of positive numbers, 31 - k of negative ones, k = 0 below 2^-23,
 * 31 from 2^7 on, and k from 2^(k - 24) to 2^(k - 23).
 */
typedef struct tp_probe {
    const char *tag;
    bool histogram;
    const void *data;
} tp_probe;
TP_API int tp_probes(const tp_program *p, int room, tp_probe found[]); /* how many there are */

/* Numbers over a run, in a file of their own in the folder, as TensorBoard reads them. */
typedef struct tp_log tp_log;
TP_API tp_log *tp_log_open(tp_graph *g, const char *folder); /* NULL with an error in g */
TP_API bool tp_log_number(tp_log *log, int64_t step, const char *tag, double value);
TP_API bool tp_log_probes(tp_log *log, int64_t step, const tp_program *p);
TP_API void tp_log_close(tp_log *log);

/* ---- parameters ------------------------------------------------------------------------------ */

/* What a parameter or state holds now, row-major; bytes must be its size. */
TP_API bool tp_get_values(tp_tensor state, void *to, size_t bytes);
/* In an eager graph what was recorded before keeps what it read; a loss that read the old values
 * has no backward any more. */
TP_API bool tp_set_values(tp_tensor state, const void *from, size_t bytes);
/* By its full name, those of the optimiser ("taper.steps") from the first program or update on;
 * poison, without an error, when there is none. */
TP_API tp_tensor tp_find(tp_graph *g, const char *name);
/* Those whose name fits "h.*.weight", into found[0..room); returns how many there are. */
TP_API int tp_params(tp_graph *g, const char *glob, int room, tp_tensor found[]);
TP_API int64_t tp_param_count(const tp_graph *g); /* elements of all parameters */
TP_API const char *tp_name(tp_tensor x);          /* of a parameter, state or input; or NULL */

typedef struct tp_load_args {
    const char *path;
    bool partial;       /* names that lack on either side are no error */
    const char *prefix; /* before each name in the file */
} tp_load_args;
#define tp_load(g, ...) tp_load_with((g), (tp_load_args){ .path = __VA_ARGS__ })
/* Parameters and running statistics by name: safetensors (huggingface.co/docs/safetensors), or,
 * where the path ends in .npz, NumPy's arrays (at most 1024, names below 124 bytes; bf16 is V2). A
 * file is looked at as a whole before anything changes, and written aside and renamed. */
TP_API bool tp_load_with(tp_graph *g, tp_load_args args);
TP_API bool tp_save(tp_graph *g, const char *path);

/* ---- data ------------------------------------------------------------------------------------ */
/*
 * A loader's columns go to inputs of the same name (`x`, `y`). A loader that could not be made is
 * returned all the same: tp_next hands its error to the program's graph. Files may be gzip. The
 * order of an epoch is a keyed permutation of (seed, epoch), the same on every machine.
 */
typedef struct tp_loader_args {
    const char *part; /* "train", "test" or "validation"; NULL: "train", or all where noted */
    int64_t batch;    /* 64 */
    bool shuffle, drop_last;
    uint64_t seed;
    const char *rows;   /* of the part: "0:55000", "80%:" */
    int ahead;          /* batches that a thread keeps ready */
    int64_t count;      /* points or pictures, of sets that are made; rows of the user's */
    double noise;       /* of points */
    const char *label;  /* the column of a table that holds the labels; NULL: the last */
    int64_t context;    /* characters or words of a row: 64; letters before one of a name: 3 */
    int64_t step;       /* from a window of characters to the next; 0: side by side */
    int64_t vocabulary; /* the most frequent words that are told apart; 0: all */
} tp_loader_args;

typedef struct tp_column {
    const char *name;
    tp_dtype dtype;
    tp_shape row; /* shape of one row */
    const void *data;
} tp_column;
typedef struct tp_columns {
    int count;
    const tp_column *at;
} tp_columns;
#define tp_columns(...)                                                             \
    ((tp_columns){ (int)(sizeof((tp_column[]){ __VA_ARGS__ }) / sizeof(tp_column)), \
                   (tp_column[]){ __VA_ARGS__ } })

/* What the path looks like: one of the following. */
#define tp_load_data(path, ...) tp_load_data_as(NULL, path, __VA_ARGS__)
/*
 * tp_load_mnist("mnist/", "train", .batch = 64, .shuffle = true): x u8 [1 28 28], y i32 [], of a
 * folder's IDX files (yann.lecun.com/exdb/mnist); tp_load_idx: images of any size.
 */
#define tp_load_mnist(dir, ...) tp_load_data_as("idx", dir, __VA_ARGS__)
#define tp_load_idx(dir, ...)   tp_load_data_as("idx", dir, __VA_ARGS__)
/* x u8 [3 32 32], y i32 []: data_batch_1.bin .. 5 and test_batch.bin (cs.toronto.edu/~kriz) */
#define tp_load_cifar10(dir, ...) tp_load_data_as("cifar", dir, __VA_ARGS__)
/*
 * A table as text: x f32 [features], y i32 [] where the labels are classes (whole numbers from 0
 * on, or words, numbered in the order of their bytes), else f32 []. Commas, tabs or semicolons,
 * with a line of names or without. A tenth of the rows, by a keyed permutation, is the part "test";
 * NULL: all.
 */
#define tp_load_csv(path, ...) tp_load_data_as("csv", path, __VA_ARGS__)
/*
 * NumPy's arrays x, y and z, whose first axis is rows: of a folder's x.npy (or x_train.npy), or of
 * one .npz with arrays of these names. The part "test" is x_test, or a tenth of the rows of x as of
 * a table. f64 and halves become f32, whole numbers but u8 become i32.
 */
#define tp_load_npy(dir, ...)  tp_load_data_as("npy", dir, __VA_ARGS__)
#define tp_load_npz(path, ...) tp_load_data_as("npz", path, __VA_ARGS__)
/*
 * Windows of .context characters of a text in UTF-8: x i32 [context], y i32 [context], which is one
 * character further. The last tenth of the text is "validation" (or "test"); NULL: all of it.
 */
#define tp_load_text(path, ...) tp_load_data_as("text", path, __VA_ARGS__)
/*
 * Names, one a line: x i32 [context] are the letters before each, y i32 [] is the letter; token 0
 * is before the first and after the last. A tenth of the names is "validation"; NULL: all.
 */
#define tp_load_names(path, ...) tp_load_data_as("names", path, __VA_ARGS__)
/*
 * Sentences and a class, "words TAB class" a line, of a folder's train.tsv, dev.tsv ("validation")
 * and test.tsv: x i32 [context], filled up with token 0; token 1 is a word that train.tsv has not.
 */
#define tp_load_words(dir, ...) tp_load_data_as("words", dir, __VA_ARGS__)
#define tp_load_data_as(format, path, ...) \
    tp_load_data_with((format), (path), (tp_loader_args){ .part = __VA_ARGS__ })
/* Made by the program: digits as MNIST's; points of the plane, x f32 [2]: "xor", "spiral", .. */
#define tp_load_digits(...)      tp_load_made("digits", (tp_loader_args){ .part = __VA_ARGS__ })
#define tp_load_moons(...)       tp_load_made("moons", (tp_loader_args){ .part = __VA_ARGS__ })
#define tp_load_planar(set, ...) tp_load_made((set), (tp_loader_args){ .part = __VA_ARGS__ })
/* A copy: tp_loader_from_arrays(tp_columns({ "x", TP_F32, tp_dims(2), xs }), rows, .batch = 4) */
#define tp_loader_from_arrays(columns, ...) \
    tp_loader_from((columns), (tp_loader_args){ .count = __VA_ARGS__ })
/*
 * Rows that a function makes: it writes row 0 <= row < count to each column (NULL: not wanted), the
 * same whenever it is asked; with .ahead on a thread of its own. The columns' data is not read.
 *     tp_loader_from_fn(tp_columns({ "x", TP_F32, tp_dims(2), NULL }), fill, user, 1000)
 */
typedef void tp_fill(void *user, int64_t row, void *const column[]);
#define tp_loader_from_fn(columns, fill, user, ...) \
    tp_loader_from_function((columns), (fill), (user), (tp_loader_args){ .count = __VA_ARGS__ })

TP_API tp_loader *tp_load_data_with(const char *format, const char *path, tp_loader_args args);
TP_API tp_loader *tp_loader_from_function(tp_columns columns, tp_fill *fill, void *user,
                                          tp_loader_args args);
TP_API tp_loader *tp_load_made(const char *set, tp_loader_args args);
TP_API tp_loader *tp_loader_from(tp_columns columns, tp_loader_args args);
TP_API void tp_loader_free(tp_loader *loader);
TP_API const char *tp_loader_error(const tp_loader *loader); /* or NULL */
TP_API int tp_loader_status(const tp_loader *loader);        /* as tp_status */
TP_API int64_t tp_loader_rows(const tp_loader *loader);      /* of an epoch */
TP_API int64_t tp_loader_batches(const tp_loader *loader);
TP_API int64_t tp_loader_classes(const tp_loader *loader); /* or tokens; 0: no classification */
TP_API const char *tp_loader_token(const tp_loader *loader, int64_t token); /* its text, or NULL */
/* Fills p's inputs with the next batch; false once at the end of each epoch. */
TP_API bool tp_next(tp_loader *loader, tp_program *p);

/* ---- checkpoints ----------------------------------------------------------------------------- */
/*
 * One file with everything that training goes on from: every state (parameters, moments, running
 * statistics, counters of steps and of chance), where the loader is, and the caller's own numbers;
 * with a checksum over all of it. tp_save_checkpoint writes aside, forces to the disk and renames,
 * and leaves the file before it as PATH.1, so a run that is killed at any moment loses at most the
 * work since the last one. tp_resume is called on the same graph after the same compiles; what it
 * goes on to compute has the same bits as if it had never stopped. It takes the newest sound file
 * of PATH and PATH.1, and changes nothing where a file is damaged or of another model, seed, number
 * of rows or batch: then it is false, with the reason in tp_error(g).
 *
 *     if (!tp_resume(g, "run.ckpt", train, .numbers = 2, .number = sums)) ...
 */
typedef struct tp_checkpoint_args {
    const char *path;
    tp_loader *data; /* or NULL */
    int numbers;     /* at most 64, of the caller: sums of an epoch, say */
    double *number;
} tp_checkpoint_args;
#define tp_save_checkpoint(g, ...) \
    tp_save_checkpoint_with((g), (tp_checkpoint_args){ .path = __VA_ARGS__ })
#define tp_resume(g, ...) tp_resume_with((g), (tp_checkpoint_args){ .path = __VA_ARGS__ })
TP_API bool tp_save_checkpoint_with(tp_graph *g, tp_checkpoint_args args);
TP_API bool tp_resume_with(tp_graph *g, tp_checkpoint_args args);

/* ---- eager: the same operations, run at once ------------------------------------------------- */
/*
 * In a graph from tp_eager_new each operation is computed when it is recorded, so values can be
 * looked at in a debugger and backward derives the tape. tp_update changes the parameters and
 * clears the tape: only parameters and states stay valid, and layers are recorded again under
 * their names.
 */
TP_API tp_graph *tp_eager_new(uint64_t seed);
TP_API double tp_item(tp_tensor x); /* of one element */
/* Row-major; valid until the next tp_update. */
TP_API const void *tp_values(tp_tensor x, size_t *bytes);
/* For languages in which values come and go: of the tape only what is held stays, what is .derived
 * with all that it was made of, the others as numbers alone; held[i] is renumbered. tp_gradient
 * knows nothing afterwards. tp_tape: how many nodes there are, and the bytes of their numbers.
 * tp_depends: which of x does y depend on? */
TP_API bool tp_keep(tp_graph *g, int n, tp_tensor held[], const bool derived[]);
TP_API uint32_t tp_tape(const tp_graph *g, size_t *bytes);
TP_API void tp_depends(tp_tensor y, int n, const tp_tensor x[], bool out[]);
#define tp_backward(loss)       tp_backward_at((loss), TP_HERE) /* then tp_gradient(parameter) */
#define tp_update(g, opt, rate) tp_update_at((g), (opt), (rate), TP_HERE)
TP_API bool tp_backward_at(tp_tensor loss, tp_loc at);
TP_API tp_tensor tp_gradient(tp_tensor parameter);
TP_API bool tp_update_at(tp_graph *g, tp_opt opt, tp_schedule rate, tp_loc at);

#ifdef __cplusplus
}
#endif
#endif

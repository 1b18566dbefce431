/*
 * The pointwise rows of ops.def in the interpreter.
 *
 * The table's C text is compiled twice: floating types are computed in double and rounded to their
 * type once; integers and truth values are computed exactly in 128 bits and wrapped to their type
 * once. A row therefore sees whole runs of `double` or `wide`, and knows nothing of the types in
 * memory, of shapes and of broadcasting.
 */
#include "evaluate.h"

#include <math.h>
#include <string.h>

enum { RUN = 256 }; /* elements at a time: the buffers stay in the first cache */
union cells {
    double real[RUN];
    wide exact[RUN];
};
struct run {
    int count;
    int bits; /* of the type, for shifts and not; 1: truth values */
    union cells arg[3], result;
};

/* --- the words of the table, for double ------------------------------------------------------ */

/* The inverse of erf: Giles's polynomials, good to 1e-7, then Halley's steps on the smaller of erf
 * and erfc. */
static double erf_inverse(double x)
{
    const double w = -log((1 - x) * (1 + x)), near = w - 2.5, far = sqrt(w) - 3;
    double y;

    if (isnan(x) || fabs(x) > 1)
        return NAN;
    if (fabs(x) == 1)
        return copysign(INFINITY, x);
    if (w < 5)
        y = 1.50140941 +
            near * (0.246640727 +
                    near * (-0.00417768164 +
                            near * (-0.00125372503 +
                                    near * (0.000218580870 +
                                            near * (-4.39150654e-06 +
                                                    near * (-3.5233877e-06 +
                                                            near * (3.43273939e-07 +
                                                                    near * 2.81022636e-08)))))));
    else
        y = 2.83297682 +
            far * (1.00167406 +
                   far * (0.00943887047 +
                          far * (-0.0076224613 +
                                 far * (0.00573950773 +
                                        far * (-0.00367342844 +
                                               far * (0.00134934322 +
                                                      far * (0.000100950558 +
                                                             far * -0.000200214257)))))));
    y *= x;
    for (int i = 0; i < 3 && y != 0; i++) {
        const double error = fabs(x) < 0.5 ? erf(y) - x
                             : x > 0       ? (1 - x) - erfc(y)
                                           : erfc(-y) - (1 + x);
        const double newton = error * 0.88622692545275801365 * exp(y * y);

        y -= newton / (1 + y * newton);
    }
    return y;
}

static double modulo(double a, double b)
{
    const double r = fmod(a, b);

    return r != 0 && (r < 0) != (b < 0) ? r + b : r;
}

#define K(x)            ((double)(x))
#define SELECT(c, x, y) ((c) ? (x) : (y))
#define ABS             fabs
#define EXP             exp
#define EXP2            exp2
#define EXPM1           expm1
#define LOG             log
#define LOG1P           log1p
#define SQRT            sqrt
#define SIN             sin
#define COS             cos
#define TAN             tan
#define ASIN            asin
#define ACOS            acos
#define ATAN            atan
#define SINH            sinh
#define COSH            cosh
#define TANH            tanh
#define ASINH           asinh
#define ACOSH           acosh
#define ATANH           atanh
#define ERF             erf
#define ERFC            erfc
#define ERFINV          erf_inverse
#define FLOOR           floor
#define CEIL            ceil
#define ROUND           nearbyint
#define TRUNC           trunc
#define POW             pow
#define ATAN2           atan2
#define REM             fmod
#define MOD             modulo
#define DIV(x, y)       ((x) / (y))
#define MAX(x, y)       ((x) > (y) || (x) != (x) ? (x) : (y)) /* NaN wins */
#define MIN(x, y)       ((x) < (y) || (x) != (x) ? (x) : (y))

/* A row for floats exists where its kind allows them. */
#define FLOATS_F(...) __VA_ARGS__
#define FLOATS_N(...) __VA_ARGS__
#define FLOATS_A(...) __VA_ARGS__
#define FLOATS_I(...)
#define FLOATS_B(...)
#define LOOP1(T, to, name, text)             \
    static void to##_##name(struct run *r)   \
    {                                        \
        for (int i = 0; i < r->count; i++) { \
            const T a = r->arg[0].to[i];     \
            r->result.to[i] = text;          \
        }                                    \
    }
#define LOOP2(T, to, name, text)                              \
    static void to##_##name(struct run *r)                    \
    {                                                         \
        for (int i = 0; i < r->count; i++) {                  \
            const T a = r->arg[0].to[i], b = r->arg[1].to[i]; \
            r->result.to[i] = text;                           \
        }                                                     \
    }
#define TEST1(T, from, name, text)           \
    static void from##_##name(struct run *r) \
    {                                        \
        for (int i = 0; i < r->count; i++) { \
            const T a = r->arg[0].from[i];   \
            r->result.exact[i] = text;       \
        }                                    \
    }
#define TEST2(T, from, name, text)                                \
    static void from##_##name(struct run *r)                      \
    {                                                             \
        for (int i = 0; i < r->count; i++) {                      \
            const T a = r->arg[0].from[i], b = r->arg[1].from[i]; \
            r->result.exact[i] = text;                            \
        }                                                         \
    }

#define UNARY(name, kind, text, da)      FLOATS_##kind(LOOP1(double, real, name, text))
#define BINARY(name, kind, text, da, db) FLOATS_##kind(LOOP2(double, real, name, text))
#define PREDICATE(name, kind, text)      FLOATS_##kind(TEST1(double, real, name, text))
#define COMPARE(name, kind, text)        FLOATS_##kind(TEST2(double, real, name, text))
#define OP(...)
#include "ops.def"
#undef UNARY
#undef BINARY
#undef PREDICATE
#undef COMPARE

/* --- the same words for integers ------------------------------------------------------------- */

#undef K
#undef ABS
#undef REM
#undef MOD
#undef DIV
#define K(x)      ((wide)(x))
#define ABS(x)    ((x) < 0 ? -(x) : (x))
#define DIV(x, y) ((y) == 0 ? 0 : (x) / (y))
#define REM(x, y) ((y) == 0 ? 0 : (x) % (y))
#define MOD(x, y) ((y) == 0 ? 0 : ((x) % (y) + (y)) % (y))
#define NOT(x)    (r->bits == 1 ? !(x) : ~(x))
#define SHL(x, y) ((y) < 0 || (y) >= r->bits ? 0 : (wide)((unsigned_wide)(x) << (y)))
#define SHR(x, y) ((x) >> ((y) < 0 || (y) >= r->bits ? r->bits : (int)(y))) /* too far: 0 or -1 */

#define WHOLE_F(...)
#define WHOLE_N(...) __VA_ARGS__
#define WHOLE_A(...) __VA_ARGS__
#define WHOLE_I(...) __VA_ARGS__
#define WHOLE_B(...) __VA_ARGS__

#define UNARY(name, kind, text, da)      WHOLE_##kind(LOOP1(wide, exact, name, text))
#define BINARY(name, kind, text, da, db) WHOLE_##kind(LOOP2(wide, exact, name, text))
#define PREDICATE(name, kind, text)      WHOLE_##kind(TEST1(wide, exact, name, text))
#define COMPARE(name, kind, text)        WHOLE_##kind(TEST2(wide, exact, name, text))
#include "ops.def"
#undef UNARY
#undef BINARY
#undef PREDICATE
#undef COMPARE
#undef OP

/* --- the rows' functions by op --------------------------------------------------------------- */

typedef void row_function(struct run *);
static row_function *const rows[IR_OPS][2] = {
#define REAL_OF_F(f)  f
#define REAL_OF_N(f)  f
#define REAL_OF_A(f)  f
#define REAL_OF_I(f)  NULL
#define REAL_OF_B(f)  NULL
#define EXACT_OF_F(f) NULL
#define EXACT_OF_N(f) f
#define EXACT_OF_A(f) f
#define EXACT_OF_I(f) f
#define EXACT_OF_B(f) f
#define ROW(name, kind, ...) \
    [IR_##name] = { REAL_OF_##kind(real_##name), EXACT_OF_##kind(exact_##name) },
#define UNARY     ROW
#define BINARY    ROW
#define PREDICATE ROW
#define COMPARE   ROW
#define OP(...)
#include "ops.def"
#undef UNARY
#undef BINARY
#undef PREDICATE
#undef COMPARE
#undef OP
};

/* --- from arrays to runs and back ------------------------------------------------------------ */

/* How an argument is read under NumPy's broadcasting. */
struct source {
    const struct ir_array *array;
    bool real, flat;         /* flat: of the result's shape, read in one go */
    int64_t stride[IR_RANK]; /* else by the strides, 0 where repeated */
};

static struct source source(const struct ir_array *a, const struct ir_shape *result)
{
    struct source s = { .array = a,
                        .real = ir_is_real(a->dtype),
                        .flat = ir_same_shape(&a->shape, result) };
    int64_t dense[IR_RANK];

    ir_strides(&a->shape, dense);
    for (int i = 0; i < a->shape.rank; i++)
        s.stride[i + result->rank - a->shape.rank] = a->shape.dim[i] == 1 ? 0 : dense[i];
    return s;
}

static void fetch(union cells *to, const struct source *s, const int64_t *at, int64_t first, int n)
{
    if (s->real)
        ir_load_real(to->real, s->array, s->flat ? NULL : at, first, n);
    else
        ir_load_exact(to->exact, s->array, s->flat ? NULL : at, first, n);
}

/* Calls row on runs of the arguments' elements until the result is full. */
static void in_runs(int arity, const struct ir_array *arg, struct ir_array *result, int bits,
                    row_function *row, bool real)
{
    const int64_t total = ir_count(&result->shape);
    struct source from[3];
    struct ir_walk walk = { .rank = result->shape.rank };
    struct run run = { .bits = bits };
    int64_t at[3][RUN];
    bool flat = true;

    for (int a = 0; a < arity; a++) {
        from[a] = source(&arg[a], &result->shape);
        flat &= from[a].flat;
        memcpy(walk.stride[a], from[a].stride, sizeof from[a].stride);
    }
    memcpy(walk.extent, result->shape.dim, sizeof result->shape.dim);
    ir_walk_start(&walk);
    for (int64_t first = 0; first < total; first += run.count) {
        run.count = total - first < RUN ? (int)(total - first) : RUN;
        for (int i = 0; !flat && i < run.count; i++, ir_walk_next(&walk))
            for (int a = 0; a < arity; a++)
                at[a][i] = walk.offset[a];
        for (int a = 0; a < arity; a++)
            fetch(&run.arg[a], &from[a], at[a], first, run.count);
        row(&run);
        if (real)
            ir_store_real(result, first, run.count, run.result.real);
        else
            ir_store_exact(result, first, run.count, run.result.exact);
    }
}

bool ir_value_of_row(struct ir_evaluation *e, const struct ir_node *n, const struct ir_array *arg,
                     struct ir_array *result)
{
    const enum ir_dtype type = arg[0].dtype;
    row_function *const row = rows[n->op][ir_is_real(type) ? 0 : 1];

    (void)e;
    if (!row)
        ir_bug("evaluate: no %s of %s", ir_ops[n->op].name, ir_dtypes[type].name);
    in_runs(ir_ops[n->op].arity, arg, result, type == IR_BOOL ? 1 : 8 * ir_dtypes[type].bytes, row,
            ir_is_real(result->dtype));
    return true;
}

static void same(struct run *r)
{
    r->result = r->arg[0];
}

static void select_real(struct run *r)
{
    for (int i = 0; i < r->count; i++)
        r->result.real[i] = r->arg[0].exact[i] ? r->arg[1].real[i] : r->arg[2].real[i];
}

static void select_exact(struct run *r)
{
    for (int i = 0; i < r->count; i++)
        r->result.exact[i] = r->arg[0].exact[i] ? r->arg[1].exact[i] : r->arg[2].exact[i];
}

bool ir_value_of_select(struct ir_evaluation *e, const struct ir_node *n,
                        const struct ir_array *arg, struct ir_array *result)
{
    const bool real = ir_is_real(result->dtype);

    (void)e, (void)n;
    in_runs(3, arg, result, 0, real ? select_real : select_exact, real);
    return true;
}

bool ir_value_of_cast(struct ir_evaluation *e, const struct ir_node *n, const struct ir_array *arg,
                      struct ir_array *result)
{
    (void)e, (void)n;
    in_runs(1, arg, result, 0, same, ir_is_real(arg[0].dtype));
    return true;
}

bool ir_value_of_bitcast(struct ir_evaluation *e, const struct ir_node *n,
                         const struct ir_array *arg, struct ir_array *result)
{
    (void)e, (void)n;
    memcpy(result->data, arg[0].data,
           (size_t)(ir_count(&result->shape) * ir_dtypes[result->dtype].bytes));
    return true;
}

bool ir_value_of_same(struct ir_evaluation *e, const struct ir_node *n, const struct ir_array *arg,
                      struct ir_array *result)
{
    return ir_value_of_bitcast(e, n, arg, result);
}

bool ir_value_of_assign(struct ir_evaluation *e, const struct ir_node *n,
                        const struct ir_array *arg, struct ir_array *result)
{
    return ir_value_of_bitcast(e, n, arg + 1, result);
}

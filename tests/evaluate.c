/*
 * The interpreter itself: small cases worked out by hand for every structural row, the identities
 * that pair a row with its transpose, rounding, wrap-around, symbols, and what it refuses.
 */
#include <criterion/criterion.h>
#include <math.h>
#include <stdarg.h>
#include <string.h>

#include "ir/ir.h"
#include "random.h"

/* A graph and the inputs bound to it. */
struct bench {
    struct ir_graph *g;
    struct ir_arena *arena;
    struct ir_error error;
    int bindings;
    struct ir_binding binding[32];
};

static const struct ir_loc at = { "bench.c", 7 };
#define LIST(...)                                                                   \
    ((struct ir_list){ (int)(sizeof((int64_t[]){ __VA_ARGS__ }) / sizeof(int64_t)), \
                       (int64_t[]){ __VA_ARGS__ } })
#define SHAPE(...)                                                                   \
    ((struct ir_shape){ (int)(sizeof((int64_t[]){ __VA_ARGS__ }) / sizeof(int64_t)), \
                        { __VA_ARGS__ } })
#define SCALAR              ((struct ir_shape){ 0 })
#define NUMBERS(...)        ((double[]){ __VA_ARGS__ })
#define ATTR(...)           ((struct ir_list[]){ __VA_ARGS__ })
#define ARGS(...)           ((ir_val[]){ __VA_ARGS__ })
#define ROW1(op, a, ...)    ir_op_attr(b.g, IR_##op, 1, ARGS(a), ATTR(__VA_ARGS__), at)
#define ROW2(op, a, c, ...) ir_op_attr(b.g, IR_##op, 2, ARGS(a, c), ATTR(__VA_ARGS__), at)

static struct bench open_bench(void)
{
    struct bench b = { .arena = ir_arena_new() };

    return b;
}

static void begin(struct bench *b)
{
    b->g = ir_graph_new("test", &b->error);
}

static void end(struct bench *b)
{
    ir_graph_free(b->g);
    ir_arena_free(b->arena);
}

static double get(const struct ir_array *a, int64_t i)
{
    switch (a->dtype) {
    case IR_BOOL:
    case IR_U8:
        return ((uint8_t *)a->data)[i];
    case IR_I32:
        return ((int32_t *)a->data)[i];
    case IR_U32:
        return ((uint32_t *)a->data)[i];
    case IR_I64:
        return (double)((int64_t *)a->data)[i];
    case IR_F32:
        return (double)((float *)a->data)[i];
    default:
        return ((double *)a->data)[i];
    }
}

static void set(struct ir_array *a, int64_t i, double x)
{
    switch (a->dtype) {
    case IR_BOOL:
    case IR_U8:
        ((uint8_t *)a->data)[i] = (uint8_t)x;
        break;
    case IR_I32:
        ((int32_t *)a->data)[i] = (int32_t)x;
        break;
    case IR_U32:
        ((uint32_t *)a->data)[i] = (uint32_t)x;
        break;
    case IR_I64:
        ((int64_t *)a->data)[i] = (int64_t)x;
        break;
    case IR_F32:
        ((float *)a->data)[i] = (float)x;
        break;
    default:
        ((double *)a->data)[i] = x;
    }
}

static int64_t count(const struct ir_shape *s)
{
    int64_t n = 1;

    for (int i = 0; i < s->rank; i++)
        n *= s->dim[i];
    return n;
}

/* An input with its values; NULL: 1, 2, 3, ... */
static ir_val given(struct bench *b, enum ir_dtype dtype, struct ir_shape shape,
                    const double *values)
{
    struct ir_binding *bind = &b->binding[b->bindings];
    char *name = ir_format(b->arena, "in%d", b->bindings++);

    *bind =
        (struct ir_binding){ name,
                             { dtype, shape, ir_alloc(b->arena, 8 * (size_t)count(&shape) + 8) } };
    for (int64_t i = 0; i < count(&shape); i++)
        set(&bind->array, i, values ? values[i] : (double)(i + 1));
    return ir_input(b->g, name, dtype, shape, at);
}

static struct ir_array value(struct bench *b, ir_val v)
{
    struct ir_array a = { 0 };

    cr_assert(b->error.status == IR_OK, "%s", b->error.text);
    cr_assert(ir_evaluate(b->g, b->bindings, b->binding, 1, &v, &a, b->arena, &b->error), "%s",
              b->error.text);
    return a;
}

static void expect(struct bench *b, ir_val v, struct ir_shape shape, const double *want)
{
    const struct ir_array a = value(b, v);
    const char *name = ir_ops[ir_at(b->g, v)->op].name;

    cr_expect(a.shape.rank == shape.rank, "%s: rank %d, not %d", name, a.shape.rank, shape.rank);
    for (int i = 0; i < shape.rank; i++)
        cr_expect(a.shape.dim[i] == shape.dim[i], "%s: axis %d has %ld, not %ld", name, i,
                  (long)a.shape.dim[i], (long)shape.dim[i]);
    for (int64_t i = 0; i < count(&shape); i++)
        cr_expect(get(&a, i) == want[i] || (isnan(get(&a, i)) && isnan(want[i])),
                  "%s: element %ld is %.17g, not %.17g", name, (long)i, get(&a, i), want[i]);
}

#define BENCH                      \
    struct bench b = open_bench(); \
    begin(&b)

/* --- sources --------------------------------------------------------------------------------- */

Test(sources, are_what_they_say)
{
    BENCH;
    const int64_t batch = ir_symbol_new(b.g, "batch", 1, 9);
    const ir_val x = ir_input(b.g, "x", IR_F32, SHAPE(batch, 2), at);

    b.binding[b.bindings++] =
        (struct ir_binding){ "x", { IR_F32, SHAPE(3, 2), (float[]){ 1, 2, 3, 4, 5, 6 } } };
    expect(&b, ir_iota(b.g, IR_I32, SHAPE(2, 3), 1, at), SHAPE(2, 3), NUMBERS(0, 1, 2, 0, 1, 2));
    expect(&b, ir_iota(b.g, IR_F64, SHAPE(2, 3), 0, at), SHAPE(2, 3), NUMBERS(0, 0, 0, 1, 1, 1));
    expect(&b, ir_size(b.g, batch, IR_I64, at), SCALAR, NUMBERS(3));
    expect(&b, ir_size(b.g, ir_dim_mul(b.g, batch, 2), IR_F32, at), SCALAR, NUMBERS(6));
    expect(&b, ir_integer(b.g, IR_I64, (int64_t)1 << 53, at), SCALAR, NUMBERS(0x1p53));
    expect(&b, ir_number(b.g, IR_F32, 0.5, at), SCALAR, NUMBERS(0.5));
    expect(&b, ir_reduce(b.g, IR_sum, x, 1, (int64_t[]){ 0 }, at), SHAPE(2), NUMBERS(9, 12));
    end(&b);
}

Test(sources, philox_gives_the_published_numbers)
{
    /* known answers of the Random123 distribution: philox4x32 with 10 rounds */
    uint32_t word[4];

    ir_philox(word, (uint32_t[]){ 0, 0 }, (uint32_t[]){ 0, 0, 0, 0 });
    cr_expect(word[0] == 0x6627e8d5 && word[1] == 0xe169c58d && word[2] == 0xbc57ac4c &&
              word[3] == 0x9b00dbd8);
    ir_philox(word, (uint32_t[]){ 0xffffffff, 0xffffffff },
              (uint32_t[]){ 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff });
    cr_expect(word[0] == 0x408f276d && word[1] == 0x41c83b0e && word[2] == 0xa20bc7c6 &&
              word[3] == 0x6d5451fd);
    ir_philox(word, (uint32_t[]){ 0xa4093822, 0x299f31d0 },
              (uint32_t[]){ 0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344 });
    cr_expect(word[0] == 0xd16cfe09 && word[1] == 0x94fdcceb && word[2] == 0x5001e420 &&
              word[3] == 0x24126ea1);
}

Test(sources, bits_are_philox_of_key_counter_stream_and_place)
{
    BENCH;
    const int64_t stream = 5;
    struct ir_node draft = {
        .op = IR_bits, .dtype = IR_U32, .shape = SHAPE(3, 2), .arity = 2, .loc = at
    };
    uint32_t word[4];

    draft.args = ARGS(ir_integer(b.g, IR_I64, 0x1122334455667788, at),
                      ir_integer(b.g, IR_I64, (int64_t)7 << 32 | 9, at));
    draft.attr[0] = (struct ir_list){ 1, &stream };
    const struct ir_array a = value(&b, ir_add(b.g, &draft));
    for (uint32_t i = 0; i < 6; i++) {
        ir_philox(word, (uint32_t[]){ 0x55667788, 0x11223344 }, (uint32_t[]){ i / 4, 5, 9, 7 });
        cr_expect(((uint32_t *)a.data)[i] == word[i % 4], "bits: word %u", i);
    }
    end(&b);
}

Test(sources, states_start_by_seed_and_name)
{
    BENCH;
    double sum = 0, squares = 0;
    b.g->seed = 3;
    const struct ir_array n =
        value(&b, ir_state(b.g, "w", IR_F64, SHAPE(100, 101), IR_INIT_NORMAL, 2, 0.5, at));
    const struct ir_array u =
        value(&b, ir_state(b.g, "u", IR_F32, SHAPE(10000), IR_INIT_UNIFORM, -3, 1, at));
    const struct ir_array other =
        value(&b, ir_state(b.g, "v", IR_F64, SHAPE(100, 101), IR_INIT_NORMAL, 2, 0.5, at));

    for (int i = 0; i < 10100; i++) {
        sum += get(&n, i);
        squares += (get(&n, i) - 2) * (get(&n, i) - 2);
    }
    cr_expect(fabs(sum / 10100 - 2) < 0.02, "mean %g", sum / 10100);
    cr_expect(fabs(sqrt(squares / 10100) - 0.5) < 0.02, "deviation %g", sqrt(squares / 10100));
    sum = 0;
    for (int i = 0; i < 10000; i++) {
        cr_expect(get(&u, i) >= -3 && get(&u, i) <= 1);
        sum += get(&u, i);
    }
    cr_expect(fabs(sum / 10000 + 1) < 0.05, "mean %g", sum / 10000);
    cr_expect(memcmp(n.data, other.data, 800) != 0, "states of two names start alike");
    expect(&b, ir_state(b.g, "c", IR_I32, SHAPE(2), IR_INIT_CONSTANT, 7, 0, at), SHAPE(2),
           NUMBERS(7, 7));
    expect(&b, ir_state(b.g, "z", IR_F32, SHAPE(2), IR_INIT_ZERO, 0, 0, at), SHAPE(2),
           NUMBERS(0, 0));
    end(&b);
}

/* --- pointwise ------------------------------------------------------------------------------- */

Test(pointwise, broadcasts_as_numpy)
{
    BENCH;
    const ir_val column = given(&b, IR_F32, SHAPE(2, 1), NUMBERS(1, 2)),
                 row = given(&b, IR_F32, SHAPE(3), NUMBERS(10, 20, 30));

    expect(&b, ir_op2(b.g, IR_add, column, row, at), SHAPE(2, 3), NUMBERS(11, 21, 31, 12, 22, 32));
    expect(&b, ir_select(b.g, given(&b, IR_BOOL, SHAPE(2, 1), NUMBERS(1, 0)), row, column, at),
           SHAPE(2, 3), NUMBERS(10, 20, 30, 2, 2, 2));
    expect(&b, ir_op2(b.g, IR_mul, given(&b, IR_F32, SHAPE(0, 3), NULL), row, at), SHAPE(0, 3),
           NULL);
    end(&b);
}

Test(pointwise, rounds_once_to_the_type)
{
    BENCH;
    const ir_val a = given(&b, IR_F32, SHAPE(1), NUMBERS(0.1f)),
                 c = given(&b, IR_F32, SHAPE(1), NUMBERS(3));

    expect(&b, ir_op2(b.g, IR_div, a, c, at), SHAPE(1), NUMBERS((double)(0.1f / 3)));
    expect(&b, ir_op1(b.g, IR_exp, a, at), SHAPE(1), NUMBERS((double)(float)exp((double)0.1f)));
    end(&b);
}

Test(pointwise, integers_wrap)
{
    BENCH;
    const ir_val big = given(&b, IR_I32, SHAPE(2), NUMBERS(2147483647, -2147483648.0)),
                 one = ir_integer(b.g, IR_I32, 1, at), minus = ir_integer(b.g, IR_I32, -1, at),
                 byte = given(&b, IR_U8, SHAPE(2), NUMBERS(250, 3)),
                 long_max = ir_integer(b.g, IR_I64, INT64_MAX, at);

    expect(&b, ir_op2(b.g, IR_add, big, one, at), SHAPE(2), NUMBERS(-2147483648.0, -2147483647));
    expect(&b, ir_op2(b.g, IR_div, big, minus, at), SHAPE(2), NUMBERS(-2147483647, -2147483648.0));
    expect(&b, ir_op2(b.g, IR_mul, byte, byte, at), SHAPE(2), NUMBERS(36, 9));
    expect(&b, ir_op1(b.g, IR_neg, byte, at), SHAPE(2), NUMBERS(6, 253));
    expect(&b, ir_op1(b.g, IR_not, byte, at), SHAPE(2), NUMBERS(5, 252));
    expect(&b, ir_op2(b.g, IR_mul, long_max, long_max, at), SCALAR, NUMBERS(1));
    end(&b);
}

Test(pointwise, integer_division)
{
    BENCH;
    const ir_val a = given(&b, IR_I32, SHAPE(5), NUMBERS(7, -7, 7, -7, 7)),
                 c = given(&b, IR_I32, SHAPE(5), NUMBERS(3, 3, -3, -3, 0));

    expect(&b, ir_op2(b.g, IR_div, a, c, at), SHAPE(5), NUMBERS(2, -2, -2, 2, 0));
    expect(&b, ir_op2(b.g, IR_rem, a, c, at), SHAPE(5), NUMBERS(1, -1, 1, -1, 0));
    expect(&b, ir_op2(b.g, IR_mod, a, c, at), SHAPE(5), NUMBERS(1, 2, -2, -1, 0));
    expect(&b, ir_op2(b.g, IR_shl, a, ir_integer(b.g, IR_I32, 30, at), at), SHAPE(5),
           NUMBERS(-1073741824.0, 1073741824.0, -1073741824.0, 1073741824.0, -1073741824.0));
    expect(&b, ir_op2(b.g, IR_shr, a, ir_integer(b.g, IR_I32, 1, at), at), SHAPE(5),
           NUMBERS(3, -4, 3, -4, 3));
    end(&b);
}

Test(pointwise, nan_wins_and_halves_go_to_even)
{
    BENCH;
    const ir_val a = given(&b, IR_F64, SHAPE(4), NUMBERS(NAN, 1, 0.5, -2.5)),
                 c = given(&b, IR_F64, SHAPE(4), NUMBERS(1, NAN, 2, 2));

    expect(&b, ir_op2(b.g, IR_max, a, c, at), SHAPE(4), NUMBERS(NAN, NAN, 2, 2));
    expect(&b, ir_op2(b.g, IR_min, a, c, at), SHAPE(4), NUMBERS(NAN, NAN, 0.5, -2.5));
    expect(&b, ir_op1(b.g, IR_relu, a, at), SHAPE(4), NUMBERS(NAN, 1, 0.5, 0));
    expect(&b, ir_op1(b.g, IR_sign, a, at), SHAPE(4), NUMBERS(0, 1, 1, -1));
    expect(&b, ir_op1(b.g, IR_round, a, at), SHAPE(4), NUMBERS(NAN, 1, 0, -2));
    expect(&b, ir_op2(b.g, IR_mod, a, c, at), SHAPE(4), NUMBERS(NAN, NAN, 0.5, 1.5));
    expect(&b, ir_op2(b.g, IR_rem, a, c, at), SHAPE(4), NUMBERS(NAN, NAN, 0.5, -0.5));
    expect(&b, ir_op1(b.g, IR_isnan, a, at), SHAPE(4), NUMBERS(1, 0, 0, 0));
    expect(&b, ir_op2(b.g, IR_lt, a, c, at), SHAPE(4), NUMBERS(0, 0, 1, 1));
    end(&b);
}

Test(pointwise, erfinv_is_the_inverse_of_erf)
{
    BENCH;
    const ir_val x =
        given(&b, IR_F64, SHAPE(8), NUMBERS(-0.9999999, -0.7, -1e-9, 0, 1e-300, 0.3, 0.99, 1));
    const struct ir_array y = value(&b, ir_op1(b.g, IR_erfinv, x, at));

    for (int i = 0; i < 7; i++)
        cr_expect(fabs(erf(get(&y, i)) - get(&b.binding[0].array, i)) <=
                      3e-16 * fabs(get(&b.binding[0].array, i)),
                  "erfinv: %d", i);
    cr_expect(isinf(get(&y, 7)));
    end(&b);
}

Test(pointwise, casts)
{
    BENCH;
    const ir_val x = given(&b, IR_F32, SHAPE(6), NUMBERS(2.9, -2.9, 1e10, -1e10, NAN, 0)),
                 i = given(&b, IR_I32, SHAPE(3), NUMBERS(-1, 256, 3));

    expect(&b, ir_cast(b.g, x, IR_I32, at), SHAPE(6),
           NUMBERS(2, -2, 2147483647, -2147483648.0, 0, 0));
    expect(&b, ir_cast(b.g, x, IR_U8, at), SHAPE(6), NUMBERS(2, 0, 255, 0, 0, 0));
    expect(&b, ir_cast(b.g, x, IR_BOOL, at), SHAPE(6), NUMBERS(1, 1, 1, 1, 1, 0));
    expect(&b, ir_cast(b.g, i, IR_U8, at), SHAPE(3), NUMBERS(255, 0, 3));
    expect(&b, ir_cast(b.g, i, IR_U32, at), SHAPE(3), NUMBERS(4294967295.0, 256, 3));
    struct ir_node draft = { .op = IR_bitcast,
                             .dtype = IR_U32,
                             .arity = 1,
                             .args = ARGS(ir_number(b.g, IR_F32, 1, at)),
                             .loc = at };
    expect(&b, ir_add(b.g, &draft), SCALAR, NUMBERS(0x3f800000));
    end(&b);
}

/* --- reductions ------------------------------------------------------------------------------ */

Test(reductions, over_axes)
{
    BENCH;
    const ir_val x = given(&b, IR_F32, SHAPE(2, 3), NUMBERS(1, 5, 3, 4, 2, 6)),
                 none = given(&b, IR_F32, SHAPE(2, 0), NULL);
    const ir_val truth = given(&b, IR_BOOL, SHAPE(2, 2), NUMBERS(1, 1, 0, 1));
    const int64_t rows[] = { 1 }, columns[] = { 0 }, both[] = { 0, 1 };

    expect(&b, ir_reduce(b.g, IR_sum, x, 1, rows, at), SHAPE(2), NUMBERS(9, 12));
    expect(&b, ir_reduce(b.g, IR_sum, x, 1, columns, at), SHAPE(3), NUMBERS(5, 7, 9));
    expect(&b, ir_reduce(b.g, IR_sum, x, 2, both, at), SCALAR, NUMBERS(21));
    expect(&b, ir_reduce(b.g, IR_prod, x, 1, rows, at), SHAPE(2), NUMBERS(15, 48));
    expect(&b, ir_reduce(b.g, IR_amax, x, 1, columns, at), SHAPE(3), NUMBERS(4, 5, 6));
    expect(&b, ir_reduce(b.g, IR_amin, x, 1, rows, at), SHAPE(2), NUMBERS(1, 2));
    expect(&b, ir_reduce(b.g, IR_sum, none, 1, rows, at), SHAPE(2), NUMBERS(0, 0));
    expect(&b, ir_reduce(b.g, IR_prod, none, 1, rows, at), SHAPE(2), NUMBERS(1, 1));
    expect(&b, ir_reduce(b.g, IR_all, truth, 1, rows, at), SHAPE(2), NUMBERS(1, 0));
    expect(&b, ir_reduce(b.g, IR_any, truth, 2, both, at), SCALAR, NUMBERS(1));
    expect(&b,
           ir_reduce(b.g, IR_amax, given(&b, IR_F64, SHAPE(3), NUMBERS(1, NAN, 2)), 1, columns, at),
           SCALAR, NUMBERS(NAN));
    expect(&b, ir_reduce(b.g, IR_amin, given(&b, IR_I32, SHAPE(2), NUMBERS(-5, 7)), 1, columns, at),
           SCALAR, NUMBERS(-5));
    end(&b);
}

Test(reductions, sums_are_kept_in_double)
{
    BENCH;
    const ir_val x = given(&b, IR_F32, SHAPE(3), NUMBERS(16777216, 1, 1));

    expect(&b, ir_reduce(b.g, IR_sum, x, 1, (int64_t[]){ 0 }, at), SCALAR, NUMBERS(16777218));
    end(&b);
}

Test(reductions, arg_takes_the_first_and_nan)
{
    BENCH;
    const ir_val x = given(&b, IR_F32, SHAPE(2, 4), NUMBERS(3, 9, 9, 1, 5, NAN, 7, NAN));

    expect(&b, ROW1(argmax, x, LIST(1)), SHAPE(2), NUMBERS(1, 1));
    expect(&b, ROW1(argmin, x, LIST(1)), SHAPE(2), NUMBERS(3, 1));
    expect(&b, ROW1(argmax, x, LIST(0)), SHAPE(4), NUMBERS(1, 1, 0, 1));
    expect(&b, ROW1(argmax, x, { 0 }), SCALAR, NUMBERS(5));
    end(&b);
}

/* --- contractions and windows ---------------------------------------------------------------- */

Test(contractions, dot)
{
    BENCH;
    const ir_val a = given(&b, IR_F32, SHAPE(2, 3), NULL),
                 c = given(&b, IR_F32, SHAPE(3, 2), NUMBERS(1, 0, 0, 1, 1, 1));

    expect(&b, ir_dot(b.g, a, c, "mk,kn->mn", at), SHAPE(2, 2), NUMBERS(4, 5, 10, 11));
    expect(&b, ir_dot(b.g, a, c, "mk,kn->nm", at), SHAPE(2, 2), NUMBERS(4, 10, 5, 11));
    expect(&b, ir_dot(b.g, a, a, "mk,mk->m", at), SHAPE(2), NUMBERS(14, 77));
    expect(&b, ir_dot(b.g, a, a, "mk,mk->", at), SCALAR, NUMBERS(91));
    expect(&b, ir_dot(b.g, a, a, "mk,mk->mk", at), SHAPE(2, 3), NUMBERS(1, 4, 9, 16, 25, 36));
    expect(&b,
           ir_dot(b.g, given(&b, IR_I32, SHAPE(2), NUMBERS(65536, 3)),
                  given(&b, IR_I32, SHAPE(2), NUMBERS(65536, 5)), "k,k->", at),
           SCALAR, NUMBERS(15));
    expect(&b,
           ir_dot(b.g, given(&b, IR_F32, SHAPE(2, 0), NULL), given(&b, IR_F32, SHAPE(0, 1), NULL),
                  "mk,kn->mn", at),
           SHAPE(2, 1), NUMBERS(0, 0));
    end(&b);
}

Test(contractions, conv)
{
    BENCH;
    /* one channel, 3 x 3 by 2 x 2, then with stride 2, padding 1 0 | 0 1 and dilation 2 on the
     * second axis */
    const ir_val x = given(&b, IR_F32, SHAPE(1, 1, 3, 3), NULL),
                 w = given(&b, IR_F32, SHAPE(1, 1, 2, 2), NUMBERS(1, 10, 100, 1000));

    expect(&b, ROW2(conv, x, w, LIST(1, 1), LIST(0, 0, 0, 0), LIST(1, 1), LIST(1)),
           SHAPE(1, 1, 2, 2), NUMBERS(5421, 6532, 8754, 9865));
    expect(&b, ROW2(conv, x, w, LIST(2, 1), LIST(1, 0, 0, 1), LIST(1, 2), LIST(1)),
           SHAPE(1, 1, 2, 2), NUMBERS(3 * 1000 + 100, 200, 4 + 60 + 700 + 9000, 5 + 800));
    /* two groups: each output channel sees its own input channel */
    expect(&b,
           ROW2(conv, given(&b, IR_F32, SHAPE(1, 2, 2), NUMBERS(1, 2, 3, 4)),
                given(&b, IR_F32, SHAPE(2, 1, 2), NUMBERS(1, 10, 1, 100)), LIST(1), LIST(0, 0),
                LIST(1), LIST(2)),
           SHAPE(1, 2, 1), NUMBERS(21, 403));
    end(&b);
}

Test(contractions, conv_input_is_the_transposed_convolution)
{
    BENCH;
    const ir_val y = given(&b, IR_F32, SHAPE(1, 1, 2), NUMBERS(1, 2)),
                 w = given(&b, IR_F32, SHAPE(1, 1, 3), NUMBERS(1, 10, 100));

    expect(&b, ROW2(conv_input, y, w, LIST(2), LIST(0, 0), LIST(1), LIST(1), LIST(5)),
           SHAPE(1, 1, 5), NUMBERS(1, 10, 102, 20, 200));
    expect(&b, ROW2(conv_input, y, w, LIST(2), LIST(1, 0), LIST(1), LIST(1), LIST(4)),
           SHAPE(1, 1, 4), NUMBERS(10, 102, 20, 200));
    expect(&b,
           ROW2(conv_weight, given(&b, IR_F32, SHAPE(1, 1, 5), NULL), y, LIST(2), LIST(0, 0),
                LIST(1), LIST(1), LIST(3)),
           SHAPE(1, 1, 3), NUMBERS(1 + 6, 2 + 8, 3 + 10));
    end(&b);
}

Test(windows, hand_checked)
{
    BENCH;
    const ir_val x = given(&b, IR_F32, SHAPE(2, 5), NUMBERS(1, 3, 3, -1, NAN, -5, -4, -3, -2, -1));
    const ir_val y = given(&b, IR_F32, SHAPE(1, 2), NUMBERS(1, 10)),
                 n = given(&b, IR_I32, SHAPE(1, 2), NUMBERS(2, 0));

    expect(&b, ROW1(window_max, x, LIST(2), LIST(2), LIST(1, 0), LIST(1)), SHAPE(2, 3),
           NUMBERS(1, 3, NAN, -5, -3, -1));
    expect(&b, ROW1(window_argmax, x, LIST(2), LIST(2), LIST(1, 0), LIST(1)), SHAPE(2, 3),
           NUMBERS(1, 0, 1, 1, 1, 1));
    expect(&b, ROW1(window_sum, x, LIST(3), LIST(1), LIST(0, 0), LIST(1)), SHAPE(2, 3),
           NUMBERS(7, 5, NAN, -12, -9, -6));
    expect(&b, ROW1(window_sum, x, LIST(2), LIST(1), LIST(0, 2), LIST(2)), SHAPE(2, 5),
           NUMBERS(4, 2, NAN, -1, NAN, -8, -6, -4, -2, -1));
    expect(&b, ROW1(window_spread, y, LIST(3), LIST(2), LIST(0, 0), LIST(1), LIST(5)), SHAPE(1, 5),
           NUMBERS(1, 1, 11, 10, 10));
    expect(&b, ROW2(window_place, y, n, LIST(3), LIST(2), LIST(0, 0), LIST(1), LIST(5)),
           SHAPE(1, 5), NUMBERS(0, 0, 11, 0, 0));
    expect(&b, ROW2(window_place, y, n, LIST(3), LIST(2), LIST(1, 0), LIST(1), LIST(4)),
           SHAPE(1, 4), NUMBERS(0, 11, 0, 0));
    expect(&b,
           ROW2(window_pick, given(&b, IR_F32, SHAPE(1, 5), NULL), n, LIST(3), LIST(2), LIST(0, 0),
                LIST(1)),
           SHAPE(1, 2), NUMBERS(3, 3));
    expect(&b,
           ROW2(window_pick, given(&b, IR_F32, SHAPE(1, 4), NULL),
                given(&b, IR_I32, SHAPE(1, 2), NUMBERS(0, 2)), LIST(3), LIST(2), LIST(1, 0),
                LIST(1)),
           SHAPE(1, 2), NUMBERS(0, 4));
    expect(&b,
           ROW1(window_argmax, given(&b, IR_I32, SHAPE(3, 3), NUMBERS(1, 2, 3, 4, 9, 5, 6, 9, 8)),
                LIST(2, 2), LIST(1, 1), LIST(0, 0, 0, 0), LIST(1, 1)),
           SHAPE(2, 2), NUMBERS(3, 2, 1, 0));
    end(&b);
}

/* --- movement -------------------------------------------------------------------------------- */

Test(movement, hand_checked)
{
    BENCH;
    const ir_val x = given(&b, IR_F32, SHAPE(2, 3), NULL), zero = ir_number(b.g, IR_F32, 0, at);

    expect(&b, ir_reshape(b.g, x, SHAPE(3, 2), at), SHAPE(3, 2), NUMBERS(1, 2, 3, 4, 5, 6));
    expect(&b, ir_permute(b.g, x, (int64_t[]){ 1, 0 }, at), SHAPE(3, 2), NUMBERS(1, 4, 2, 5, 3, 6));
    expect(&b, ir_expand(b.g, given(&b, IR_F32, SHAPE(2, 1), NULL), SHAPE(2, 2, 2), at),
           SHAPE(2, 2, 2), NUMBERS(1, 1, 2, 2, 1, 1, 2, 2));
    expect(&b, ROW1(slice, x, LIST(1, 0), LIST(2, 3), LIST(1, 2)), SHAPE(1, 2), NUMBERS(4, 6));
    expect(&b, ROW1(slice, x, LIST(0, 3), LIST(2, 3), LIST(1, 1)), SHAPE(2, 0), NULL);
    expect(&b, ROW2(pad, x, zero, LIST(0, 1), LIST(1, 0)), SHAPE(3, 4),
           NUMBERS(0, 1, 2, 3, 0, 4, 5, 6, 0, 0, 0, 0));
    expect(&b, ROW1(flip, x, LIST(1)), SHAPE(2, 3), NUMBERS(3, 2, 1, 6, 5, 4));
    expect(&b, ROW1(flip, x, LIST(0, 1)), SHAPE(2, 3), NUMBERS(6, 5, 4, 3, 2, 1));
    expect(&b, ROW2(concat, x, given(&b, IR_F32, SHAPE(2, 1), NUMBERS(8, 9)), LIST(1)), SHAPE(2, 4),
           NUMBERS(1, 2, 3, 8, 4, 5, 6, 9));
    expect(&b, ir_op1(b.g, IR_stop_gradient, x, at), SHAPE(2, 3), NUMBERS(1, 2, 3, 4, 5, 6));
    end(&b);
}

Test(movement, indices)
{
    BENCH;
    const ir_val x = given(&b, IR_F32, SHAPE(2, 3), NULL),
                 i = given(&b, IR_I64, SHAPE(2, 2), NUMBERS(2, 0, 2, 1)),
                 j = given(&b, IR_I32, SHAPE(2, 3), NUMBERS(1, 0, 1, 0, 0, 1));

    expect(&b, ROW2(take, x, i, LIST(1)), SHAPE(2, 2, 2), NUMBERS(3, 1, 3, 2, 6, 4, 6, 5));
    expect(&b, ROW2(take, x, given(&b, IR_I32, SCALAR, NUMBERS(1)), LIST(0)), SHAPE(3),
           NUMBERS(4, 5, 6));
    expect(&b, ROW2(put_add, given(&b, IR_F32, SHAPE(2, 2, 2), NULL), i, LIST(1), LIST(4)),
           SHAPE(2, 4), NUMBERS(2, 4, 4, 0, 6, 8, 12, 0));
    expect(&b, ROW2(gather, x, j, LIST(0)), SHAPE(2, 3), NUMBERS(4, 2, 6, 1, 2, 6));
    expect(&b, ROW2(gather, x, i, LIST(1)), SHAPE(2, 2), NUMBERS(3, 1, 6, 5));
    expect(&b, ROW2(scatter_add, x, j, LIST(0), LIST(3)), SHAPE(3, 3),
           NUMBERS(4, 7, 0, 1, 0, 9, 0, 0, 0));
    expect(&b, ROW1(scatter_last, i, LIST(1), LIST(4)), SHAPE(2, 4),
           NUMBERS(1, -1, 0, -1, -1, 1, 0, -1));
    expect(&b, ROW1(scatter_last, j, LIST(0), LIST(2)), SHAPE(2, 3), NUMBERS(1, 1, -1, 0, -1, 1));
    end(&b);
}

#define UPWARDS ((struct ir_list){ 0 })

Test(rows, in_order)
{
    BENCH;
    const ir_val x = given(&b, IR_F32, SHAPE(2, 4), NUMBERS(2, -1, 3, 0, 1, NAN, 4, -5)),
                 i = given(&b, IR_I32, SHAPE(5), NUMBERS(3, 1, 3, -7, 1)),
                 u = given(&b, IR_U8, SHAPE(4), NUMBERS(200, 100, 7, 200)),
                 f = given(&b, IR_F32, SHAPE(2, 4), NUMBERS(9, 2, 3, 4, 9, 1, 1, 1));

    expect(&b, ROW1(cumsum, i, LIST(0)), SHAPE(5), NUMBERS(3, 4, 7, 0, 1));
    expect(&b, ROW1(cumsum, u, LIST(0)), SHAPE(4), NUMBERS(200, 44, 51, 251)); /* it wraps */
    expect(&b, ROW1(cumsum, x, LIST(0)), SHAPE(2, 4), NUMBERS(2, -1, 3, 0, 3, NAN, 7, -5));
    expect(&b, ROW1(cumprod, x, LIST(1)), SHAPE(2, 4), NUMBERS(2, -2, -6, 0, 1, NAN, NAN, NAN));
    expect(&b, ROW1(cummax, x, LIST(1)), SHAPE(2, 4), NUMBERS(2, 2, 3, 3, 1, NAN, NAN, NAN));
    expect(&b, ROW1(cummin, i, LIST(0)), SHAPE(5), NUMBERS(3, 1, 1, -7, -7));
    expect(&b, ROW2(recur, f, x, LIST(1)), SHAPE(2, 4), NUMBERS(2, 3, 12, 48, 1, NAN, NAN, NAN));
    expect(&b, ROW1(argsort, x, LIST(1), UPWARDS), SHAPE(2, 4), NUMBERS(1, 3, 0, 2, 3, 0, 2, 1));
    expect(&b, ROW1(argsort, x, LIST(1), LIST(1)), SHAPE(2, 4), NUMBERS(2, 0, 3, 1, 1, 2, 0, 3));
    expect(&b, ROW1(argsort, i, LIST(0), UPWARDS), SHAPE(5), NUMBERS(3, 1, 4, 0, 2));
    expect(&b, ROW1(argsort, i, LIST(0), LIST(1)), SHAPE(5), NUMBERS(0, 2, 1, 4, 3));
    expect(&b,
           ROW1(argsort, given(&b, IR_F32, SHAPE(3), NUMBERS(0.0, -0.0, 0.0)), LIST(0), UPWARDS),
           SHAPE(3), NUMBERS(0, 1, 2));
    end(&b);
}

Test(effects, assign_is_the_new_value_and_reads_see_the_old)
{
    BENCH;
    const ir_val s = ir_state(b.g, "s", IR_F32, SHAPE(2), IR_INIT_CONSTANT, 3, 0, at);
    const ir_val more = ir_op2(b.g, IR_add, s, ir_number(b.g, IR_F32, 1, at), at),
                 effect = ir_assign(b.g, s, more, at);

    expect(&b, effect, SHAPE(2), NUMBERS(4, 4));
    expect(&b, s, SHAPE(2), NUMBERS(3, 3));
    b.binding[b.bindings++] = (struct ir_binding){ "s", { IR_F32, SHAPE(2), (float[]){ 10, 20 } } };
    expect(&b, effect, SHAPE(2), NUMBERS(11, 21));
    end(&b);
}

/* --- transposes: <f(x), y> = <x, f'(y)> ------------------------------------------------------ */

static double inner(const struct ir_array *a, const struct ir_array *c)
{
    double sum = 0;

    cr_assert(count(&a->shape) == count(&c->shape), "%ld and %ld elements", (long)count(&a->shape),
              (long)count(&c->shape));
    for (int64_t i = 0; i < count(&a->shape); i++)
        sum += get(a, i) * get(c, i);
    return sum;
}

static ir_val noise(struct bench *b, struct ir_shape shape)
{
    const char *name = ir_format(b->arena, "noise%u", b->g->count);
    return ir_state(b->g, name, IR_F64, shape, IR_INIT_NORMAL, 0, 1, at);
}

static void same(struct bench *b, ir_val x, ir_val fx, ir_val y, ir_val fy, const char *what)
{
    const struct ir_array ax = value(b, x), afx = value(b, fx), ay = value(b, y),
                          afy = value(b, fy);
    const double p = inner(&afx, &ay), q = inner(&ax, &afy);

    cr_expect(fabs(p - q) <= 1e-9 * (1 + fabs(p)), "%s: %.12g, but %.12g", what, p, q);
    cr_expect(fabs(p) > 1e-6, "%s: nothing was compared", what);
}

Test(transposes, convolutions_are_one_trilinear_form)
{
    struct form {
        int axes;
        int64_t in[3], window[3], stride[3], pad[6], dilation[3], groups;
    } forms[] = {
        { 1, { 7 }, { 3 }, { 2 }, { 1, 0 }, { 1 }, 1 },
        { 2, { 6, 5 }, { 3, 2 }, { 1, 2 }, { 1, 1, 0, 2 }, { 2, 1 }, 2 },
        { 2, { 9, 9 }, { 1, 1 }, { 4, 3 }, { 0, 0, 0, 0 }, { 1, 1 }, 1 },
        { 3, { 4, 5, 3 }, { 2, 3, 3 }, { 1, 2, 1 }, { 0, 1, 1, 1, 2, 0 }, { 1, 1, 2 }, 3 }
    };

    for (size_t f = 0; f < sizeof forms / sizeof *forms; f++) {
        BENCH;
        const struct form *k = &forms[f];
        struct ir_shape xs = { 2 + k->axes, { 2, 2 * k->groups } },
                        ws = { 2 + k->axes, { 3 * k->groups, 2 } };
        struct ir_list attr[5] = { { k->axes, k->stride },
                                   { 2 * k->axes, k->pad },
                                   { k->axes, k->dilation },
                                   { 1, &k->groups } };

        for (int i = 0; i < k->axes; i++) {
            xs.dim[2 + i] = k->in[i];
            ws.dim[2 + i] = k->window[i];
        }
        const ir_val x = noise(&b, xs), w = noise(&b, ws),
                     fx = ir_op_attr(b.g, IR_conv, 2, ARGS(x, w), attr, at);
        cr_assert(fx.id, "%s", b.error.text);
        const ir_val y = noise(&b, ir_at(b.g, fx)->shape);
        attr[4] = (struct ir_list){ k->axes, k->in };
        same(&b, x, fx, y, ir_op_attr(b.g, IR_conv_input, 2, ARGS(y, w), attr, at), "conv_input");
        attr[4] = (struct ir_list){ k->axes, k->window };
        same(&b, w, fx, y, ir_op_attr(b.g, IR_conv_weight, 2, ARGS(x, y), attr, at), "conv_weight");
        end(&b);
    }
}

Test(transposes, windows_and_indices)
{
    BENCH;
    const ir_val x = noise(&b, SHAPE(3, 6, 7)),
                 i = given(&b, IR_I32, SHAPE(2, 4), NUMBERS(0, 5, 5, 2, 1, 0, 5, 3));
    struct ir_list window[5] = { LIST(3, 2), LIST(2, 1), LIST(1, 1, 0, 1), LIST(1, 3), LIST(6, 7) };
    const ir_val sum = ir_op_attr(b.g, IR_window_sum, 1, ARGS(x), window, at);
    const ir_val tap = ir_op_attr(b.g, IR_window_argmax, 1, ARGS(x), window, at);
    const ir_val y = noise(&b, ir_at(b.g, sum)->shape);

    same(&b, x, sum, y, ir_op_attr(b.g, IR_window_spread, 1, ARGS(y), window, at), "window_spread");
    same(&b, x, ir_op_attr(b.g, IR_window_pick, 2, ARGS(x, tap), window, at), y,
         ir_op_attr(b.g, IR_window_place, 2, ARGS(y, tap), window, at), "window_place");
    /* pick at argmax is max */
    const struct ir_array max = value(&b, ir_op_attr(b.g, IR_window_max, 1, ARGS(x), window, at)),
                          picked = value(
                              &b, ir_op_attr(b.g, IR_window_pick, 2, ARGS(x, tap), window, at));
    cr_expect(memcmp(max.data, picked.data, 8 * (size_t)count(&max.shape)) == 0,
              "window_pick at window_argmax is window_max");

    const ir_val taken = ROW2(take, x, i, LIST(1)), t = noise(&b, ir_at(b.g, taken)->shape);
    same(&b, x, taken, t, ROW2(put_add, t, i, LIST(1), LIST(6)), "put_add");
    const ir_val j = given(&b, IR_I64, SHAPE(3, 2, 7),
                           (double[42]){ 5, 5, 0, 1, 2, 3, 4, 1, 1, 1, 1, 1, 0, 5, 4, 3, 2, 2 });
    const ir_val gathered = ROW2(gather, x, j, LIST(1)), s = noise(&b, SHAPE(3, 2, 7));
    same(&b, x, gathered, s, ROW2(scatter_add, s, j, LIST(1), LIST(6)), "scatter_add");
    end(&b);
}

/* --- symbols and refusals -------------------------------------------------------------------- */

static void refused(struct bench *b, ir_val v, int status, const char *words)
{
    struct ir_array a;

    b->error.status = IR_OK;
    cr_expect(!ir_evaluate(b->g, b->bindings, b->binding, 1, &v, &a, b->arena, &b->error),
              "%s: expected an error", words);
    cr_expect(b->error.status == status && strstr(b->error.text, words), "%d: %s; expected %s",
              b->error.status, b->error.text, words);
    b->error = (struct ir_error){ 0 };
}

Test(symbols, come_from_what_is_bound)
{
    BENCH;
    const int64_t n = ir_symbol_new(b.g, "batch", 1, 4);
    const ir_val x = ir_input(b.g, "x", IR_F32, SHAPE(ir_dim_add(b.g, ir_dim_mul(b.g, n, 2), 1)),
                              at),
                 y = ir_input(b.g, "y", IR_F32, SHAPE(n), at),
                 sum = ir_op2(b.g, IR_add, y, ir_size(b.g, n, IR_F32, at), at);
    float data[9] = { 1, 2, 3, 4, 5, 6, 7, 8, 9 };

    refused(&b, sum, IR_REFUSED, "batch");
    b.binding[0] = (struct ir_binding){ "x", { IR_F32, SHAPE(5), data } };
    b.bindings = 1;
    refused(&b, sum, IR_REFUSED, "y: the input has no value");
    expect(&b, ir_reduce(b.g, IR_sum, x, 1, (int64_t[]){ 0 }, at), SCALAR, NUMBERS(15));
    b.binding[1] = (struct ir_binding){ "y", { IR_F32, SHAPE(2), data } };
    b.bindings = 2;
    expect(&b, sum, SHAPE(2), NUMBERS(3, 4));
    b.binding[1].array.shape = SHAPE(3);
    refused(&b, sum, IR_REFUSED, "expected f32[batch]");
    b.binding[0].array.shape = SHAPE(4);
    refused(&b, sum, IR_REFUSED, "expected");
    b.binding[0].array.shape = SHAPE(11);
    refused(&b, sum, IR_REFUSED, "batch is 5; expected 1..4");
    b.binding[0].array = (struct ir_array){ IR_F64, SHAPE(5), data };
    refused(&b, sum, IR_REFUSED, "expected f32[");
    end(&b);
}

Test(refusals, indices_stay_inside)
{
    BENCH;
    const ir_val x = given(&b, IR_F32, SHAPE(3, 2), NULL);

    refused(&b, ROW2(take, x, given(&b, IR_I32, SHAPE(1), NUMBERS(3)), LIST(0)), IR_FAILED,
            "bench.c:7: take: index 3; expected 0..2");
    refused(&b, ROW2(gather, x, given(&b, IR_I32, SHAPE(1, 2), NUMBERS(0, -1)), LIST(0)), IR_FAILED,
            "index -1");
    refused(&b, ROW2(put_add, x, given(&b, IR_I64, SHAPE(3), NUMBERS(0, 1, 5)), LIST(0), LIST(5)),
            IR_FAILED, "index 5; expected 0..4");
    refused(&b,
            ROW2(scatter_add, x, given(&b, IR_I32, SHAPE(3, 2), NUMBERS(0, 1, 5, 0, 0, 0)), LIST(0),
                 LIST(5)),
            IR_FAILED, "index 5");
    end(&b);
}

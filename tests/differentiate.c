/*
 * Derivatives against finite differences, in f64 through the interpreter: every row of ops.def that
 * lets a gradient pass, backward, forward, and once more backward through what backward made.
 */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "passes/passes.h"
#include "random.h"

#define S(...)                                                       \
    (struct ir_shape)                                                \
    {                                                                \
        sizeof((int64_t[]){ 0, __VA_ARGS__ }) / sizeof(int64_t) - 1, \
        {                                                            \
            __VA_ARGS__                                              \
        }                                                            \
    }
#define LIST(...)                                                         \
    (struct ir_list)                                                      \
    {                                                                     \
        sizeof((int64_t[]){ __VA_ARGS__ }) / sizeof(int64_t), (int64_t[]) \
        {                                                                 \
            __VA_ARGS__                                                   \
        }                                                                 \
    }
#define LISTS(...)     \
    (struct ir_list[]) \
    {                  \
        __VA_ARGS__    \
    }

static const struct ir_loc here = { "tests.c", 1 };

/* --- a program with its inputs -------------------------------------------------------------------
 */

enum { INPUTS = 8 };
struct program {
    struct ir_error error;
    struct ir_graph *g;
    struct ir_arena *arena;
    int inputs, wanted; /* inputs, and how many of them (the first) are differentiated */
    ir_val input[INPUTS];
    struct ir_binding binding[INPUTS];
    uint64_t state;
};

static double next(struct program *p) /* 0..1 */
{
    p->state = p->state * 6364136223846793005u + 1442695040888963407u;
    return (double)(p->state >> 11) / 0x1p53;
}

static struct program begin(void)
{
    struct program p = { .arena = ir_arena_new(), .state = 7 };
    return p;
}

static int64_t count(const struct ir_shape *s)
{
    int64_t all = 1;

    for (int i = 0; i < s->rank; i++)
        all *= s->dim[i];
    return all;
}

static ir_val input(struct program *p, enum ir_dtype type, struct ir_shape shape, void *data)
{
    const char *name = ir_format(p->arena, "x%d", p->inputs);

    p->binding[p->inputs] = (struct ir_binding){ name, { type, shape, data } };
    return p->input[p->inputs++] = ir_input(p->g, name, type, shape, here);
}

/* Between lo and hi, in some order, no two too near each other for differences. */
static ir_val real(struct program *p, struct ir_shape shape, double lo, double hi)
{
    int64_t n = count(&shape);
    double *data = ir_alloc(p->arena, (size_t)(n + 1) * sizeof *data);

    for (int64_t i = 0; i < n; i++)
        data[i] =
            lo + (hi - lo) * ((double)(i * (n % 7 ? 7 : 11) % n) + 0.2 + 0.6 * next(p)) / (double)n;
    return input(p, IR_F64, shape, data);
}

static ir_val whole(struct program *p, struct ir_shape shape, int n, const int64_t *values)
{
    int64_t *data = ir_alloc(p->arena, (size_t)count(&shape) * sizeof *data);

    for (int64_t i = 0; i < count(&shape); i++)
        data[i] = values[i % n];
    return input(p, IR_I64, shape, data);
}

static ir_val attr(struct program *p, enum ir_op op, ir_val a, ir_val b,
                   const struct ir_list *lists)
{
    return ir_op_attr(p->g, op, ir_ops[op].arity, (ir_val[]){ a, b }, lists, here);
}

static void evaluate(struct program *p, int n, const ir_val *v, struct ir_array *to)
{
    bool ok = ir_evaluate(p->g, p->inputs, p->binding, n, v, to, p->arena, &p->error);

    cr_assert(ok, "%s", p->error.text);
}

static double scalar(struct program *p, ir_val v)
{
    struct ir_array a;

    evaluate(p, 1, &v, &a);
    return *(double *)a.data;
}

/* sum(y * w) for weights w that are no input: one number that feels every element of y */
static ir_val weigh(struct program *p, ir_val y, double phase)
{
    struct ir_shape shape = ir_at(p->g, y)->shape;
    int64_t axes[IR_RANK];
    ir_val w = ir_number(p->g, IR_F64, phase, here);

    for (int i = 0; i < shape.rank; i++) {
        ir_val index = ir_iota(p->g, IR_F64, shape, i, here);
        w = ir_op2(p->g, IR_add, w,
                   ir_op2(p->g, IR_mul, index, ir_number(p->g, IR_F64, 0.7 + 0.4 * i, here), here),
                   here);
        axes[i] = i;
    }
    return ir_reduce(p->g, IR_sum, ir_op2(p->g, IR_mul, y, ir_op1(p->g, IR_cos, w, here), here),
                     shape.rank, axes, here);
}

static ir_val weigh_all(struct program *p, int n, const ir_val *v)
{
    ir_val sum = { 0 };

    for (int i = 0; i < n; i++) {
        ir_val one = weigh(p, v[i], 0.3 + i);
        sum = sum.id ? ir_op2(p->g, IR_add, sum, one, here) : one;
    }
    return sum;
}

/* d loss / d each element of each wanted input, both ways */
static void agrees(struct program *p, const char *what, ir_val loss, const ir_val *grads)
{
    struct ir_array got[INPUTS];
    const double h = 1e-5;

    evaluate(p, p->wanted, grads, got);
    for (int i = 0; i < p->wanted; i++) {
        double *x = p->binding[i].array.data, *g = got[i].data;

        cr_assert(ir_same_shape(&got[i].shape, &p->binding[i].array.shape), "%s: shape", what);
        for (int64_t k = 0; k < count(&got[i].shape); k++) {
            double kept = x[k], up, down, want;

            x[k] = kept + h;
            up = scalar(p, loss);
            x[k] = kept - h;
            down = scalar(p, loss);
            x[k] = kept;
            want = (up - down) / (2 * h);
            cr_assert(fabs(g[k] - want) <= 2e-6 * (1 + fabs(want)),
                      "%s: d/dx%d[%ld] is %.9g, not %.9g", what, i, (long)k, g[k], want);
        }
    }
}

/* Backward against finite differences; backward of backward too; forward against backward. */
static void check_gradients(struct program *p, const char *what, ir_val y)
{
    ir_val loss, grads[INPUTS], more[INPUTS], tangent[INPUTS], moved, second, sum = { 0 };
    bool ok, curved = false;

    cr_assert(p->error.status == IR_OK, "%s: %s", what, p->error.text);
    loss = weigh(p, y, 0.1);
    ok = pass_gradients(p->g, 1, &loss, NULL, p->wanted, p->input, grads);
    cr_assert(ok, "%s: %s", what, p->error.text);
    agrees(p, what, loss, grads);

    for (int i = 0; i < p->wanted; i++) /* along the direction cos(x) */
        tangent[i] = ir_op1(p->g, IR_cos, p->input[i], here);
    ok = pass_jvp(p->g, p->wanted, p->input, tangent, 1, &loss, &moved);
    cr_assert(ok, "%s: forward: %s", what, p->error.text);
    for (int i = 0; i < p->wanted; i++) {
        struct ir_shape shape = ir_at(p->g, grads[i])->shape;
        int64_t axes[IR_RANK] = { 0, 1, 2, 3, 4, 5, 6, 7 };
        ir_val dot = ir_reduce(p->g, IR_sum, ir_op2(p->g, IR_mul, grads[i], tangent[i], here),
                               shape.rank, axes, here);
        sum = sum.id ? ir_op2(p->g, IR_add, sum, dot, here) : dot;
        curved |= !ir_is_number(p->g, grads[i], 0);
    }
    cr_assert(fabs(scalar(p, moved) - scalar(p, sum)) <= 1e-9 * (1 + fabs(scalar(p, sum))),
              "%s: forward %.17g, backward %.17g", what, scalar(p, moved), scalar(p, sum));

    if (!curved)
        return;
    second = weigh_all(p, p->wanted, grads);
    ok = pass_gradients(p->g, 1, &second, NULL, p->wanted, p->input, more);
    cr_assert(ok, "%s: second: %s", what, p->error.text);
    agrees(p, ir_format(p->arena, "%s, second derivative", what), second, more);
}

static void finish(struct program *p)
{
    ir_graph_free(p->g);
    ir_arena_free(p->arena);
}

/* --- pointwise rows
 * ------------------------------------------------------------------------------- */

/* Where a function is smooth, and neither flat nor steep. */
static void range(enum ir_op op, int argument, double *lo, double *hi)
{
    *lo = 0.2;
    *hi = 0.8;
    if (op == IR_acosh)
        *lo = 1.3, *hi = 2;
    if ((op == IR_rem || op == IR_mod) && argument == 0)
        *lo = 2.05, *hi = 2.15; /* 2.1 / 0.95 */
    if ((op == IR_rem || op == IR_mod) && argument == 1)
        *lo = 0.9, *hi = 1;
    if (op == IR_max || op == IR_min) /* 0.2..0.8 and 0.21..0.81 */
        *hi += 0.01 * argument, *lo += 0.01 * argument;
}

Test(rows, pointwise_gradients_are_finite_differences)
{
    int tested = 0;

    for (int op = 1; op < IR_OPS; op++) {
        struct program p = begin();
        ir_val arg[2];
        double lo, hi;
        const struct ir_op_info *info = &ir_ops[op];

        if ((info->group == IR_UNARY || info->group == IR_BINARY) && info->kind != 'I') {
            p.g = ir_graph_new("step", &p.error);
            for (int i = 0; i < info->arity; i++) {
                range((enum ir_op)op, i, &lo, &hi);
                arg[i] = real(&p, i ? S(3) : S(2, 3), lo, hi); /* broadcasting is undone */
            }
            p.wanted = p.inputs;
            check_gradients(&p, info->name,
                            info->arity == 1 ? ir_op1(p.g, (enum ir_op)op, arg[0], here)
                                             : ir_op2(p.g, (enum ir_op)op, arg[0], arg[1], here));
            tested++;
            finish(&p);
        } else {
            ir_arena_free(p.arena);
        }
    }
    cr_assert(tested >= 40);
}

/* --- structural rows
 * ------------------------------------------------------------------------------ */

typedef ir_val build(struct program *p);

static ir_val build_cast(struct program *p)
{
    ir_val a = real(p, S(2, 3), 0.25, 2);
    double *x = p->binding[0].array.data;

    for (int i = 0; i < 6; i++) /* exact in f32, and the differences with them nearly */
        x[i] = (double)(float)x[i];
    a = ir_cast(p->g, a, IR_F64, here);
    return ir_op2(p->g, IR_mul, a,
                  ir_cast(p->g, ir_iota(p->g, IR_I32, S(2, 3), 1, here), IR_F64, here), here);
}

static ir_val build_select(struct program *p)
{
    ir_val a = real(p, S(2, 3), 0.1, 2), b = real(p, S(3), 0.1, 2), c = real(p, S(2, 1), 1, 1.01);
    return ir_select(p->g, ir_op2(p->g, IR_lt, a, c, here), ir_op2(p->g, IR_mul, a, b, here), b,
                     here);
}

static ir_val build_sum(struct program *p)
{
    ir_val a = real(p, S(2, 3, 2), 0.1, 2);
    return ir_reduce(p->g, IR_sum, ir_op2(p->g, IR_mul, a, a, here), 2, (int64_t[]){ 0, 2 }, here);
}

static ir_val build_prod(struct program *p)
{
    ir_val a = real(p, S(2, 5, 2), -2, 2);
    double *x = p->binding[0].array.data;

    x[0] = x[5] = x[4] = 0; /* one zero in a product, two in another */
    return ir_reduce(p->g, IR_prod, a, 1, (int64_t[]){ 1 }, here);
}

static ir_val build_prod_axes(struct program *p)
{
    ir_val a = real(p, S(2, 3, 2), -2, 2);
    return ir_reduce(p->g, IR_prod, a, 2, (int64_t[]){ 0, 2 }, here);
}

static ir_val build_prod_all(struct program *p)
{
    return ir_reduce(p->g, IR_prod, real(p, S(7), -2, 2), 1, (int64_t[]){ 0 }, here);
}

static ir_val build_prod_one(struct program *p)
{
    return ir_reduce(p->g, IR_prod, real(p, S(3, 1), -2, 2), 1, (int64_t[]){ 1 }, here);
}

static ir_val build_amax(struct program *p)
{
    return ir_reduce(p->g, IR_amax, real(p, S(2, 3, 2), -2, 2), 2, (int64_t[]){ 0, 2 }, here);
}

static ir_val build_amin(struct program *p)
{
    return ir_reduce(p->g, IR_amin, real(p, S(2, 3), -2, 2), 1, (int64_t[]){ 1 }, here);
}

static ir_val build_dot(struct program *p)
{
    ir_val a = real(p, S(2, 3), -1, 1), b = real(p, S(3, 4), -1, 1);
    return ir_dot(p->g, a, b, "mk,kn->mn", here);
}

static ir_val build_dot_batch(struct program *p)
{
    ir_val a = real(p, S(2, 3, 2, 2), -1, 1), b = real(p, S(2, 2, 3, 2), -1, 1);
    return ir_dot(p->g, a, b, "bkmj,jbkn->nbm", here);
}

static ir_val build_dot_inner(struct program *p)
{
    ir_val a = real(p, S(5), -1, 1), b = real(p, S(5), -1, 1);
    return ir_dot(p->g, a, b, "i,i->", here);
}

static ir_val build_dot_outer(struct program *p)
{
    ir_val a = real(p, S(3), -1, 1), b = real(p, S(2), -1, 1);
    return ir_dot(p->g, ir_dot(p->g, a, b, "i,j->ij", here), a, "ij,i->j", here);
}

static ir_val build_conv(struct program *p)
{
    ir_val x = real(p, S(2, 4, 5, 4), -1, 1), w = real(p, S(2, 2, 3, 2), -1, 1);
    return attr(p, IR_conv, x, w, LISTS(LIST(2, 1), LIST(1, 0, 0, 2), LIST(1, 2), LIST(2)));
}

static ir_val build_conv_input(struct program *p)
{
    ir_val y = real(p, S(2, 2, 2), -1, 1), w = real(p, S(2, 3, 3), -1, 1);
    return attr(p, IR_conv_input, y, w, LISTS(LIST(2), LIST(1, 1), LIST(1), LIST(1), LIST(4)));
}

static ir_val build_conv_weight(struct program *p)
{
    ir_val x = real(p, S(2, 2, 6), -1, 1), y = real(p, S(2, 4, 3), -1, 1);
    return attr(p, IR_conv_weight, x, y, LISTS(LIST(2), LIST(1, 1), LIST(1), LIST(2), LIST(3)));
}

#define WINDOW LIST(2, 3), LIST(2, 1), LIST(0, 1, 1, 1), LIST(1, 1)

static ir_val build_window_sum(struct program *p)
{
    ir_val a = real(p, S(2, 5, 4), -1, 1);
    return attr(p, IR_window_sum, ir_op2(p->g, IR_mul, a, a, here), a, LISTS(WINDOW));
}

static ir_val build_window_spread(struct program *p)
{
    ir_val a = real(p, S(2, 3, 4), -1, 1);
    return attr(p, IR_window_spread, ir_op2(p->g, IR_mul, a, a, here), a,
                LISTS(WINDOW, LIST(5, 4)));
}

static ir_val build_window_max(struct program *p)
{
    return attr(p, IR_window_max, real(p, S(2, 5, 4), -1, 1), (ir_val){ 0 }, LISTS(WINDOW));
}

static ir_val build_window_pick(struct program *p)
{
    ir_val a = real(p, S(2, 5, 4), -1, 1), b = attr(p, IR_window_argmax, a, a, LISTS(WINDOW));
    return attr(p, IR_window_pick, ir_op1(p->g, IR_exp, a, here), b, LISTS(WINDOW));
}

static ir_val build_window_place(struct program *p)
{
    ir_val a = real(p, S(2, 3, 4), -1, 1), b = real(p, S(2, 5, 4), -1, 1);
    return attr(p, IR_window_place, ir_op1(p->g, IR_exp, a, here),
                attr(p, IR_window_argmax, b, b, LISTS(WINDOW)), LISTS(WINDOW, LIST(5, 4)));
}

static ir_val build_reshape(struct program *p)
{
    ir_val a = ir_reshape(p->g, real(p, S(2, 6), -1, 1), S(3, 4), here);
    return ir_op2(p->g, IR_mul, a, a, here);
}

static ir_val build_permute(struct program *p)
{
    ir_val a = ir_permute(p->g, real(p, S(2, 3, 4), -1, 1), (int64_t[]){ 2, 0, 1 }, here);
    return ir_op2(p->g, IR_mul, a, a, here);
}

static ir_val build_expand(struct program *p)
{
    ir_val a = ir_expand(p->g, real(p, S(3, 1), -1, 1), S(2, 3, 4), here);
    return ir_op2(p->g, IR_mul, a, a, here);
}

static ir_val build_slice(struct program *p)
{
    ir_val a = real(p, S(4, 7, 6), -1, 1);
    a = attr(p, IR_slice, a, a, LISTS(LIST(1, 1, 0), LIST(3, 6, 6), LIST(1, 3, 4)));
    return ir_op2(p->g, IR_mul, a, a, here);
}

static ir_val build_pad(struct program *p)
{
    ir_val a = real(p, S(2, 3), -1, 1), b = real(p, (struct ir_shape){ 0 }, -1, 1);
    a = attr(p, IR_pad, a, b, LISTS(LIST(1, 0), LIST(0, 2)));
    return ir_op2(p->g, IR_mul, a, a, here);
}

static ir_val build_flip(struct program *p)
{
    ir_val a = real(p, S(2, 3), -1, 1);
    return ir_op2(p->g, IR_mul, a, attr(p, IR_flip, a, a, LISTS(LIST(0, 1))), here);
}

static ir_val build_concat(struct program *p)
{
    ir_val part[4] = { real(p, S(2, 3), -1, 1), real(p, S(2, 1), -1, 1), { 0 } }, all;

    part[2] = part[0];
    part[3] = ir_full_like(p->g, part[1], 2, here);
    all = ir_op_attr(p->g, IR_concat, 4, part, LISTS(LIST(1)), here);
    return ir_op2(p->g, IR_mul, all, all, here);
}

static ir_val build_take(struct program *p)
{
    ir_val a = real(p, S(2, 4, 2), -1, 1);

    p->wanted = 1;
    a = attr(p, IR_take, a, whole(p, S(2, 3), 6, (int64_t[]){ 1, 3, 1, 0, 0, 1 }), LISTS(LIST(1)));
    return ir_op2(p->g, IR_mul, a, a, here);
}

static ir_val build_put_add(struct program *p)
{
    ir_val a = real(p, S(2, 3, 2), -1, 1);

    p->wanted = 1;
    a = attr(p, IR_put_add, a, whole(p, S(3), 3, (int64_t[]){ 2, 0, 2 }), LISTS(LIST(1), LIST(4)));
    return ir_op2(p->g, IR_mul, a, a, here);
}

static ir_val build_gather(struct program *p)
{
    ir_val a = real(p, S(2, 4), -1, 1);

    p->wanted = 1;
    a = attr(p, IR_gather, a, whole(p, S(2, 3), 6, (int64_t[]){ 1, 3, 1, 0, 2, 2 }),
             LISTS(LIST(1)));
    return ir_op2(p->g, IR_mul, a, a, here);
}

static ir_val build_scatter_add(struct program *p)
{
    ir_val a = real(p, S(2, 4), -1, 1);

    p->wanted = 1;
    a = attr(p, IR_scatter_add, a, whole(p, S(2, 4), 5, (int64_t[]){ 1, 2, 1, 0, 2 }),
             LISTS(LIST(1), LIST(3)));
    return ir_op2(p->g, IR_mul, a, a, here);
}

static ir_val build_cumsum(struct program *p)
{
    ir_val a = attr(p, IR_cumsum, real(p, S(2, 5, 3), -1, 1), (ir_val){ 0 }, LISTS(LIST(1)));
    return ir_op2(p->g, IR_mul, a, a, here);
}

static ir_val build_cumprod(struct program *p) /* with zeros: nothing is divided by one */
{
    ir_val a = real(p, S(3, 5), -2, 2), b;
    b = ir_iota(p->g, IR_F64, S(3, 5), 1, here);
    b = ir_op2(p->g, IR_eq, b, ir_iota(p->g, IR_F64, S(3, 5), 0, here), here);
    a = ir_op2(p->g, IR_mul, a, ir_cast(p->g, ir_op1(p->g, IR_not, b, here), IR_F64, here), here);
    return attr(p, IR_cumprod, a, (ir_val){ 0 }, LISTS(LIST(1)));
}

static ir_val build_cummax(struct program *p)
{
    ir_val a = attr(p, IR_cummax, real(p, S(4, 5), -2, 2), (ir_val){ 0 }, LISTS(LIST(0)));
    return ir_op2(p->g, IR_mul, a, a, here);
}

static ir_val build_cummin(struct program *p)
{
    ir_val a = attr(p, IR_cummin, real(p, S(4, 5), -2, 2), (ir_val){ 0 }, LISTS(LIST(1)));
    return ir_op2(p->g, IR_mul, a, a, here);
}

static ir_val build_recur(struct program *p)
{
    ir_val a = real(p, S(2, 5, 2), -1, 1), b = real(p, S(2, 5, 2), -1, 1);
    return attr(p, IR_recur, a, b, LISTS(LIST(1)));
}

static const struct {
    enum ir_op op;
    build *make;
} structural[] = {
    { IR_cast, build_cast },
    { IR_select, build_select },
    { IR_sum, build_sum },
    { IR_prod, build_prod },
    { IR_prod, build_prod_axes },
    { IR_prod, build_prod_all },
    { IR_prod, build_prod_one },
    { IR_amax, build_amax },
    { IR_amin, build_amin },
    { IR_dot, build_dot },
    { IR_dot, build_dot_batch },
    { IR_dot, build_dot_inner },
    { IR_dot, build_dot_outer },
    { IR_conv, build_conv },
    { IR_conv_input, build_conv_input },
    { IR_conv_weight, build_conv_weight },
    { IR_window_sum, build_window_sum },
    { IR_window_spread, build_window_spread },
    { IR_window_max, build_window_max },
    { IR_window_pick, build_window_pick },
    { IR_window_place, build_window_place },
    { IR_reshape, build_reshape },
    { IR_permute, build_permute },
    { IR_expand, build_expand },
    { IR_slice, build_slice },
    { IR_pad, build_pad },
    { IR_flip, build_flip },
    { IR_concat, build_concat },
    { IR_take, build_take },
    { IR_put_add, build_put_add },
    { IR_gather, build_gather },
    { IR_scatter_add, build_scatter_add },
    { IR_cumsum, build_cumsum },
    { IR_cumprod, build_cumprod },
    { IR_cummax, build_cummax },
    { IR_cummin, build_cummin },
    { IR_recur, build_recur },
};

Test(rows, structural_gradients_are_finite_differences)
{
    for (size_t i = 0; i < sizeof structural / sizeof *structural; i++) {
        struct program p = begin();
        ir_val y;

        p.g = ir_graph_new("step", &p.error);
        p.wanted = 0;
        y = structural[i].make(&p);
        p.wanted = p.wanted ? p.wanted : p.inputs;
        check_gradients(&p, ir_ops[structural[i].op].name, y);
        finish(&p);
    }
}

/* A row with a rule that nobody tests above is a hole. */
Test(rows, each_with_a_rule_is_tested)
{
    static const char *const gradient_of[IR_OPS] = {
#define UNARY(name, ...)
#define PREDICATE(name, ...)
#define BINARY(name, ...)
#define COMPARE(name, ...)
#define OP(name, arity, attributes, shape, grad, ...) [IR_##name] = #grad,
#include "ir/ops.def"
    };

    for (int op = 1; op < IR_OPS; op++) {
        bool tested = !gradient_of[op] || strcmp(gradient_of[op], "none") == 0 || op == IR_scan ||
                      op == IR_result || op == IR_custom; /* tests/scan.c, custom.c */

        for (size_t i = 0; i < sizeof structural / sizeof *structural; i++)
            tested |= (int)structural[i].op == op;
        cr_expect(tested, "%s has a gradient and no test", ir_ops[op].name);
    }
}

/* --- regions with a rule of their own ------------------------------------------------------- */

static ir_val along(struct program *p, ir_val row, ir_val like)
{
    return ir_expand_axes(p->g, row, ir_at(p->g, like)->shape, 1, (int64_t[]){ 1 }, here);
}

static ir_val log_of_sum(struct program *p, ir_val a, ir_val *shifted)
{
    ir_val greatest = ir_reduce(p->g, IR_amax, a, 1, (int64_t[]){ 1 }, here), sum;

    *shifted = ir_op2(p->g, IR_sub, a, along(p, greatest, a), here);
    sum = ir_reduce(p->g, IR_sum, ir_op1(p->g, IR_exp, *shifted, here), 1, (int64_t[]){ 1 }, here);
    return ir_op1(p->g, IR_log, sum, here);
}

static ir_val build_softmax(struct program *p)
{
    ir_val a = real(p, S(3, 4), -2, 2), shifted, power, sum;
    uint32_t r = ir_region_open(p->g, "softmax", NULL, 1, &a, LIST(1), here);

    log_of_sum(p, a, &shifted);
    power = ir_op1(p->g, IR_exp, shifted, here);
    sum = ir_reduce(p->g, IR_sum, power, 1, (int64_t[]){ 1 }, here);
    return ir_region_close(p->g, r, ir_op2(p->g, IR_div, power, along(p, sum, a), here));
}

static ir_val build_log_softmax(struct program *p)
{
    ir_val a = real(p, S(3, 4), -2, 2), shifted, logarithm;
    uint32_t r = ir_region_open(p->g, "log_softmax", NULL, 1, &a, LIST(1), here);

    logarithm = log_of_sum(p, a, &shifted);
    return ir_region_close(p->g, r, ir_op2(p->g, IR_sub, shifted, along(p, logarithm, a), here));
}

static ir_val build_cross_entropy(struct program *p)
{
    ir_val arg[2] = { real(p, S(3, 4), -2, 2), whole(p, S(3), 3, (int64_t[]){ 2, 0, 3 }) };
    uint32_t r = ir_region_open(p->g, "cross_entropy", NULL, 2, arg, (struct ir_list){ 0 }, here);
    ir_val shifted, logarithm = log_of_sum(p, arg[0], &shifted), picked, sum;

    p->wanted = 1;
    picked = attr(p, IR_gather, shifted, ir_reshape(p->g, arg[1], S(3, 1), here), LISTS(LIST(1)));
    picked = ir_reshape(p->g, picked, S(3), here);
    sum = ir_reduce(p->g, IR_sum, ir_op2(p->g, IR_sub, logarithm, picked, here), 1,
                    (int64_t[]){ 0 }, here);
    return ir_region_close(p->g, r,
                           ir_op2(p->g, IR_div, sum, ir_size(p->g, 3, IR_F64, here), here));
}

static ir_val build_activation(struct program *p, const char *region, const char *formula)
{
    ir_val a = real(p, S(3, 4), -2, 2), name[26] = { a };
    uint32_t r = ir_region_open(p->g, region, NULL, 1, &a, (struct ir_list){ 0 }, here);

    return ir_region_close(p->g, r, ir_formula(p->g, formula, name, here));
}

static ir_val build_sigmoid(struct program *p)
{
    return build_activation(p, "sigmoid", "1 / (1 + exp(-a))");
}

static ir_val build_silu(struct program *p)
{
    return build_activation(p, "silu", "a / (1 + exp(-a))");
}

static ir_val build_gelu(struct program *p)
{
    return build_activation(p, "gelu", "0.5 * a * (1 + erf(a * 0.70710678118654752440))");
}

static ir_val build_gelu_tanh(struct program *p)
{
    return build_activation(
        p, "gelu_tanh",
        "0.5 * a * (1 + tanh(0.79788456080286535588 * (a + 0.044715 * a * a * a)))");
}

static ir_val row_mean(struct program *p, ir_val a)
{
    ir_val total = ir_reduce(p->g, IR_sum, a, 1, (int64_t[]){ 1 }, here);

    total = ir_op2(p->g, IR_div, total, ir_size(p->g, 4, IR_F64, here), here);
    return ir_reshape(p->g, total, S(3, 1), here);
}

static ir_val build_norm(struct program *p, const char *name, bool centred)
{
    ir_val a = real(p, S(3, 4), -2, 2), letter[26] = { a };
    uint32_t r = ir_region_open(p->g, name, NULL, 1, &a, LIST(1), here);

    if (centred)
        letter[0] = ir_op2(p->g, IR_sub, a, row_mean(p, a), here);
    letter[1] = row_mean(p, ir_op2(p->g, IR_mul, letter[0], letter[0], here));
    return ir_region_close(p->g, r, ir_formula(p->g, "a * rsqrt(b + 0.125)", letter, here));
}

static ir_val build_standardise(struct program *p)
{
    return build_norm(p, "standardise", true);
}

static ir_val build_rms(struct program *p)
{
    return build_norm(p, "rms", false);
}

/* two tiles of keys, the second one not full; two heads of queries to one of keys; a mask */
static ir_val build_tiled_attention(struct program *p)
{
    struct pass_attention a = { .q = real(p, S(1, 2, 3, 2), -2, 2),
                                .k = real(p, S(1, 1, 66, 2), -2, 2),
                                .v = real(p, S(1, 1, 66, 1), -2, 2),
                                .mask = real(p, S(3, 66), -2, 2),
                                .window = 65,
                                .scale = 0.7,
                                .loc = here };
    int64_t attr[3] = { 0, 0, a.window };
    uint32_t r;

    memcpy(&attr[1], &a.scale, sizeof a.scale);
    r = ir_region_open(p->g, "tiled_attention", NULL, 4, (ir_val[]){ a.q, a.k, a.v, a.mask },
                       (struct ir_list){ 3, attr }, here);
    return ir_region_close(p->g, r, pass_attention(p->g, &a));
}

static const struct {
    const char *name;
    build *make;
} regions[] = {
    { "softmax", build_softmax },
    { "log_softmax", build_log_softmax },
    { "cross_entropy", build_cross_entropy },
    { "sigmoid", build_sigmoid },
    { "standardise", build_standardise },
    { "rms", build_rms },
    { "tiled_attention", build_tiled_attention },
    { "gelu", build_gelu },
    { "gelu_tanh", build_gelu_tanh },
    { "silu", build_silu },
};

Test(regions, gradients_are_finite_differences)
{
    for (size_t i = 0; i < sizeof regions / sizeof *regions; i++) {
        struct program p = begin();
        ir_val y;

        p.g = ir_graph_new("step", &p.error);
        y = regions[i].make(&p);
        p.wanted = p.wanted ? p.wanted : p.inputs;
        check_gradients(&p, regions[i].name, y);
        finish(&p);
    }
}

Test(regions, each_with_a_rule_is_tested)
{
    static const char *const rule[][2] = {
#define REGION(name, gradient, types, doc) { #name, #gradient },
#include "ir/regions.def"
#undef REGION
    };

    for (size_t i = 0; i < sizeof rule / sizeof *rule; i++) {
        bool tested = strcmp(rule[i][1], "none") == 0;

        for (size_t k = 0; k < sizeof regions / sizeof *regions; k++)
            tested |= strcmp(regions[k].name, rule[i][0]) == 0;
        cr_expect(tested, "%s has a gradient and no test", rule[i][0]);
    }
}

/* The rule takes the place of the nodes inside: their gradients are not made as well. */
Test(regions, nothing_inside_gets_a_gradient)
{
    struct program p = begin();
    ir_val y, loss, grad;

    p.g = ir_graph_new("step", &p.error);
    y = build_log_softmax(&p);
    loss = weigh(&p, y, 0.1);
    cr_assert(pass_gradients(p.g, 1, &loss, NULL, 1, p.input, &grad));
    for (uint32_t v = loss.id + 1; v < p.g->count; v++)
        cr_expect(p.g->nodes[v].op != IR_div && p.g->nodes[v].op != IR_select, "%s: of log or amax",
                  ir_ops[p.g->nodes[v].op].name);
    finish(&p);
}

/* --- the call itself
 * --------------------------------------------------------------------------------- */

Test(call, several_results_and_cotangents_add_up)
{
    struct program p = begin();
    ir_val x, y[3], cotangent[3], grad;
    struct ir_array a;
    double *at;

    p.g = ir_graph_new("step", &p.error);
    x = real(&p, S(3), 0.5, 2);
    y[0] = y[2] = ir_op2(p.g, IR_mul, x, x, here); /* 2 x, twice */
    y[1] = ir_op1(p.g, IR_exp, y[0], here);        /* 2 x exp(x x) */
    cotangent[0] = ir_full_like(p.g, x, 3, here);
    cotangent[1] = x;
    cotangent[2] = ir_full_like(p.g, x, -1, here);
    cr_assert(pass_gradients(p.g, 3, y, cotangent, 1, &x, &grad), "%s", p.error.text);
    evaluate(&p, 1, &grad, &a);
    at = p.binding[0].array.data;
    for (int i = 0; i < 3; i++) {
        double want = (3 - 1 + at[i] * exp(at[i] * at[i])) * 2 * at[i];
        cr_expect(fabs(((double *)a.data)[i] - want) < 1e-12 * want);
    }
    finish(&p);
}

Test(call, a_value_between_is_an_argument_too)
{
    struct program p = begin();
    ir_val x, h, wrt[3], y, grads[3];
    struct ir_array a[3];
    double at;

    p.g = ir_graph_new("step", &p.error);
    x = real(&p, (struct ir_shape){ 0 }, 0.5, 2);
    h = ir_op1(p.g, IR_sin, x, here);
    y = ir_op2(p.g, IR_mul, h, x, here);
    wrt[0] = x;
    wrt[1] = h;
    wrt[2] = y;
    cr_assert(pass_gradients(p.g, 1, &y, NULL, 3, wrt, grads), "%s", p.error.text);
    evaluate(&p, 3, grads, a);
    at = *(double *)p.binding[0].array.data;
    cr_expect(fabs(*(double *)a[0].data - (sin(at) + at * cos(at))) < 1e-12);
    cr_expect(fabs(*(double *)a[1].data - at) < 1e-12);
    cr_expect(*(double *)a[2].data == 1);
    finish(&p);
}

/* The same calls make the same nodes: nothing depends on addresses or on what was made before. */
Test(call, makes_the_same_nodes_each_time)
{
    struct ir_text text[2] = { { 0 } };

    for (int i = 0; i < 2; i++) {
        struct program p = begin();
        ir_val y, grads[2];

        p.g = ir_graph_new("step", &p.error);
        y = weigh(&p, build_dot(&p), 0.1);
        cr_assert(pass_gradients(p.g, 1, &y, NULL, 2, p.input, grads));
        ir_print(&text[i], p.g);
        finish(&p);
    }
    cr_expect(strcmp(text[0].data, text[1].data) == 0);
    ir_text_free(&text[0]);
    ir_text_free(&text[1]);
}

Test(call, refuses_what_has_no_gradient)
{
    struct program p = begin();
    ir_val x, k, y, grad, whole_grad;

    p.g = ir_graph_new("step", &p.error);
    x = real(&p, S(3), 0.5, 2);
    k = whole(&p, S(3), 1, (int64_t[]){ 1 });
    y = ir_op1(p.g, IR_exp, x, here);
    cr_expect(!pass_gradients(p.g, 1, &y, NULL, 1, &x, &grad));
    cr_expect(strstr(p.error.text, "scalar") && p.error.status == IR_REFUSED, "%s", p.error.text);
    p.error = (struct ir_error){ 0 };
    cr_expect(!pass_gradients(p.g, 1, &y, &y, 1, &k, &grad));
    cr_expect(strstr(p.error.text, "i64"), "%s", p.error.text);
    p.error = (struct ir_error){ 0 };
    whole_grad = ir_number(p.g, IR_F32, 1, here);
    cr_expect(!pass_gradients(p.g, 1, &y, &whole_grad, 1, &x, &grad));
    cr_expect(strstr(p.error.text, "same type and shape"), "%s", p.error.text);
    p.error = (struct ir_error){ 0 };
    cr_expect(!pass_jvp(p.g, 1, &x, NULL, 1, &y, &grad));
    cr_expect(strstr(p.error.text, "scalar"), "%s", p.error.text);
    finish(&p);
}

/* --- formulas
 * ------------------------------------------------------------------------------------------ */

Test(formula, has_the_precedence_of_c)
{
    static const struct {
        const char *text;
        double want;
    } cases[] = {
        { "a - b - c", 2.0 - 3 - 5 },
        { "a + b * c", 2 + 3 * 5.0 },
        { "(a + b) * -c", (2 + 3) * -5.0 },
        { "-a * b / c", -2.0 * 3 / 5 },
        { "select(a < b & !(b >= c) | isnan(a), a, 7)", 2 },
        { "select(a == b | b != c == (1 == 1), 1, 0)", 1 },
        { "select(1 < a == a > 1, max(a, 1.5e1), 0.25)", 15 },
        { "sqrt(a * 2) + 1e-3 * 1.5", 2.0015 },
        { "0.69314718055994530942 * 1 / 3 * a", 0.69314718055994530942 / 3 * 2 },
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct program p = begin();
        ir_val name[26] = { 0 }, y;

        p.g = ir_graph_new("step", &p.error);
        for (int k = 0; k < 3; k++)
            name[k] = ir_number(p.g, IR_F64, (double[]){ 2, 3, 5 }[k], here);
        y = ir_formula(p.g, cases[i].text, name, here);
        cr_assert(y.id, "%s", p.error.text);
        cr_expect(fabs(scalar(&p, y) - cases[i].want) < 1e-15, "%s is %.17g, not %.17g",
                  cases[i].text, scalar(&p, y), cases[i].want);
        finish(&p);
    }
}

Test(formula, bad_ones_are_refused)
{
    static const char *const cases[] = {
        "",
        "a +",
        "a b",
        "(a",
        "a)",
        "d",
        "frob(a)",
        "sqrt a",
        "max(a)",
        "max(a,a,a)",
        "1.2.3 * a",
        "a * ()",
        "sum(a)",
        "cast(a)",
        "a ? 1 : 0",
        "a && a",
        "select(a, a, a)",
        "1..",
        "a * 1e",
        ".",
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct program p = begin();
        ir_val name[26] = { 0 };

        p.g = ir_graph_new("step", &p.error);
        name[0] = ir_number(p.g, IR_F64, 2, here);
        cr_expect(ir_formula(p.g, cases[i], name, here).id == 0, "%s is taken", cases[i]);
        cr_expect(p.error.status == IR_REFUSED, "%s", cases[i]);
        finish(&p);
    }
}

Test(formula, nesting_is_bounded)
{
    struct program p = begin();
    ir_val name[26] = { 0 };
    char *text = ir_alloc(p.arena, 100001);

    memset(text, '(', 100000);
    p.g = ir_graph_new("step", &p.error);
    name[0] = ir_number(p.g, IR_F64, 2, here);
    cr_expect(ir_formula(p.g, text, name, here).id == 0 && strstr(p.error.text, "parentheses"));
    finish(&p);
}

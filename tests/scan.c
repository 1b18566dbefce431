/*
 * Scans: their text, what they compute, what is refused, and their derivatives: backward, forward
 * and of derivatives, against finite differences; and that simplifying leaves one forward scan,
 * with all of it the same.
 */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ir/ir.h"
#include "passes/passes.h"
#include "random.h"
#include "support.h"
#include "support_compiled.h"

static const char *const cases[] = {
    /* a running sum, and what came before it */
    "step(x: f64[5 3], h: f64[3]) {\n"
    "  %3 = scan h, x carry=1 slices=1 length=5 (h: f64[3], x: f64[3]) {\n"
    "    %3 = add h, x : f64[3]\n"
    "    return %3, h\n"
    "  }\n"
    "  %4 = result %3 at=0 : f64[3]\n"
    "  %5 = result %3 at=1 : f64[5 3]\n"
    "  return last=%4, all=%5\n"
    "}\n",
    /* a recurrent layer, from the back, its length a symbol */
    "symbol time in 0..7\n"
    "step(x: f64[time 2 4], h: f64[2 3], w: f64[3 4], u: f64[3 3], b: f64[3]) {\n"
    "  %6 = scan h, x, w, u, b carry=1 slices=1 length=time reverse=1 (h: f64[2 3], x: f64[2 4], "
    "w: "
    "f64[3 4], u: f64[3 3], b: f64[3]) {\n"
    "    %6 = dot x, w mk,nk->mn : f64[2 3]\n"
    "    %7 = dot h, u mk,nk->mn : f64[2 3]\n"
    "    %8 = add %6, %7 : f64[2 3]\n"
    "    %9 = add %8, b : f64[2 3]\n"
    "    %10 = tanh %9 : f64[2 3]\n"
    "    return %10, %10\n"
    "  }\n"
    "  %7 = result %6 at=0 : f64[2 3]\n"
    "  %8 = result %6 at=1 : f64[time 2 3]\n"
    "  %9 = exp %8 : f64[time 2 3]\n"
    "  return %7, %9\n"
    "}\n",
    /* two carries of two types, one that is never read, what all steps read used element by element
     */
    "step(x: f64[4 3], s: f64[3], c: i64, k: f64[3], d: f64[3]) {\n"
    "  %6 = scan c, s, d, x, k carry=3 slices=1 length=4 (c: i64, s: f64[3], d: f64[3], x: f64[3], "
    "k: "
    "f64[3]) {\n"
    "    %6 = const 1 : i64\n"
    "    %7 = add c, %6 : i64\n"
    "    %8 = cast c : f64\n"
    "    %9 = mul s, k : f64[3]\n"
    "    %10 = add %9, x : f64[3]\n"
    "    %11 = sin %10 : f64[3]\n"
    "    %12 = mul %11, %8 : f64[3]\n"
    "    %13 = mul d, k : f64[3]\n"
    "    return %7, %12, %13, c, %11\n"
    "  }\n"
    "  %7 = result %6 at=0 : i64\n"
    "  %8 = result %6 at=1 : f64[3]\n"
    "  %9 = result %6 at=4 : f64[4 3]\n"
    "  return %7, %8, %9\n"
    "}\n",
    /* a scan in a scan */
    "step(x: f64[3 4 2], h: f64[2], k: f64[2]) {\n"
    "  %4 = scan h, x, k carry=1 slices=1 length=3 (h: f64[2], x: f64[4 2], k: f64[2]) {\n"
    "    %4 = scan h, x, k carry=1 slices=1 length=4 reverse=1 (h: f64[2], x: f64[2], k: f64[2]) "
    "{\n"
    "      %4 = mul h, k : f64[2]\n"
    "      %5 = add %4, x : f64[2]\n"
    "      %6 = tanh %5 : f64[2]\n"
    "      return %6, %5\n"
    "    }\n"
    "    %5 = result %4 at=0 : f64[2]\n"
    "    %6 = result %4 at=1 : f64[4 2]\n"
    "    %7 = mul %6, x : f64[4 2]\n"
    "    return %5, %7\n"
    "  }\n"
    "  %5 = result %4 at=0 : f64[2]\n"
    "  %6 = result %4 at=1 : f64[3 4 2]\n"
    "  return %5, %6\n"
    "}\n",
    /* gates: one product cut in pieces */
    "step(x: f64[5 2 8], h: f64[2 2], c: f64[2 2], u: f64[8 2]) {\n"
    "  %5 = scan h, c, x, u carry=2 slices=1 length=5 (h: f64[2 2], c: f64[2 2], x: f64[2 8], u: "
    "f64[8 "
    "2]) {\n"
    "    %5 = dot h, u mk,nk->mn : f64[2 8]\n"
    "    %6 = add %5, x : f64[2 8]\n"
    "    %7 = slice %6 start=[0 0] stop=[2 2] step=[1 1] : f64[2 2]\n"
    "    %8 = slice %6 start=[0 2] stop=[2 4] step=[1 1] : f64[2 2]\n"
    "    %9 = slice %6 start=[0 4] stop=[2 6] step=[1 1] : f64[2 2]\n"
    "    %10 = slice %6 start=[0 6] stop=[2 8] step=[1 1] : f64[2 2]\n"
    "    %11 = tanh %7 : f64[2 2]\n"
    "    %12 = tanh %8 : f64[2 2]\n"
    "    %13 = tanh %9 : f64[2 2]\n"
    "    %14 = tanh %10 : f64[2 2]\n"
    "    %15 = mul %12, c : f64[2 2]\n"
    "    %16 = mul %11, %13 : f64[2 2]\n"
    "    %17 = add %15, %16 : f64[2 2]\n"
    "    %18 = tanh %17 : f64[2 2]\n"
    "    %19 = mul %14, %18 : f64[2 2]\n"
    "    return %19, %17, %19\n"
    "  }\n"
    "  %6 = result %5 at=0 : f64[2 2]\n"
    "  %7 = result %5 at=1 : f64[2 2]\n"
    "  %8 = result %5 at=2 : f64[5 2 2]\n"
    "  return %6, %7, %8\n"
    "}\n",
    /* of two branches one runs: each gives its results, or lets go by what came in */
    "step(yes: bool, x: f64[2 3], w: f64[3 4], b: f64[4]) {\n"
    "  %5 = const 0 : f64\n"
    "  %6 = expand %5 : f64[2 4]\n"
    "  %7 = not yes : bool\n"
    "  %8 = scan %6, yes, x, w carry=1 slices=0 length=1 when=1 (h: f64[2 4], when: bool, x: f64[2 "
    "3], w: "
    "f64[3 4]) {\n"
    "    %5 = dot x, w mk,kn->mn : f64[2 4]\n"
    "    %6 = tanh %5 : f64[2 4]\n"
    "    %7 = sin %6 : f64[2 4]\n"
    "    return %7\n"
    "  }\n"
    "  %9 = result %8 at=0 : f64[2 4]\n"
    "  %10 = scan %9, b, %7 carry=1 slices=0 length=1 when=2 (h: f64[2 4], b: f64[4], when: bool) "
    "{\n"
    "    %4 = exp b : f64[4]\n"
    "    %5 = expand %4 : f64[2 4]\n"
    "    return %5\n"
    "  }\n"
    "  %11 = result %10 at=0 : f64[2 4]\n"
    "  return %11\n"
    "}\n",
    "step(no: bool, x: f64[2 3], w: f64[3 4], b: f64[4]) {\n"
    "  %5 = const 0 : f64\n"
    "  %6 = expand %5 : f64[2 4]\n"
    "  %7 = not no : bool\n"
    "  %8 = scan %6, no, x, w carry=1 slices=0 length=1 when=1 (h: f64[2 4], when: bool, x: f64[2 "
    "3], w: "
    "f64[3 4]) {\n"
    "    %5 = dot x, w mk,kn->mn : f64[2 4]\n"
    "    %6 = tanh %5 : f64[2 4]\n"
    "    %7 = sin %6 : f64[2 4]\n"
    "    return %7\n"
    "  }\n"
    "  %9 = result %8 at=0 : f64[2 4]\n"
    "  %10 = scan %9, b, %7 carry=1 slices=0 length=1 when=2 (h: f64[2 4], b: f64[4], when: bool) "
    "{\n"
    "    %4 = exp b : f64[4]\n"
    "    %5 = expand %4 : f64[2 4]\n"
    "    return %5\n"
    "  }\n"
    "  %11 = result %10 at=0 : f64[2 4]\n"
    "  return %11\n"
    "}\n",
    /* a loop that runs or not, with outputs */
    "step(x: f64[3 2], h: f64[2], k: f64[2], yes: bool) {\n"
    "  %5 = scan h, x, k, yes carry=1 slices=1 length=3 when=3 (h: f64[2], x: f64[2], k: f64[2], "
    "when: bool) {\n"
    "    %5 = mul h, k : f64[2]\n"
    "    %6 = add %5, x : f64[2]\n"
    "    %7 = tanh %6 : f64[2]\n"
    "    return %7, %6\n"
    "  }\n"
    "  %6 = result %5 at=0 : f64[2]\n"
    "  %7 = result %5 at=1 : f64[3 2]\n"
    "  return %6, %7\n"
    "}\n",
    "step(x: f64[3 2], h: f64[2], k: f64[2], no: bool) {\n"
    "  %5 = scan h, x, k, no carry=1 slices=1 length=3 when=3 (h: f64[2], x: f64[2], k: f64[2], "
    "when: bool) {\n"
    "    %5 = mul h, k : f64[2]\n"
    "    %6 = add %5, x : f64[2]\n"
    "    %7 = tanh %6 : f64[2]\n"
    "    return %7, %6\n"
    "  }\n"
    "  %6 = result %5 at=0 : f64[2]\n"
    "  %7 = result %5 at=1 : f64[3 2]\n"
    "  return %6, %7\n"
    "}\n",
    /* in each step of a loop one of two */
    "step(x: f64[4 3], h: f64[3], k: f64[3]) {\n"
    "  %4 = scan h, x, k carry=1 slices=1 length=4 (h: f64[3], x: f64[3], k: f64[3]) {\n"
    "    %4 = sum x axes=[0] : f64\n"
    "    %5 = const 0.5 : f64\n"
    "    %6 = lt %4, %5 : bool\n"
    "    %7 = scan h, %6, k, x carry=1 slices=0 length=1 when=1 (h: f64[3], when: bool, k: f64[3], "
    "x: f64[3]) {\n"
    "      %5 = mul h, k : f64[3]\n"
    "      %6 = add %5, x : f64[3]\n"
    "      %7 = tanh %6 : f64[3]\n"
    "      return %7\n"
    "    }\n"
    "    %8 = result %7 at=0 : f64[3]\n"
    "    return %8, %8\n"
    "  }\n"
    "  %5 = result %4 at=0 : f64[3]\n"
    "  %6 = result %4 at=1 : f64[4 3]\n"
    "  return %5, %6\n"
    "}\n",
};
enum { CASES = sizeof cases / sizeof *cases, INPUTS = 12 };

struct bench {
    struct ir_module *module;
    struct ir_graph *g;
    struct ir_arena *arena;
    struct ir_error error;
    struct ir_binding binding[INPUTS];
    int bindings;
    ir_val wrt[INPUTS]; /* the floating ones */
    int n;
};

static const struct ir_loc at = { "scan.c", 1 };

static int64_t elements(const struct ir_array *a)
{
    int64_t n = 1;

    for (int i = 0; i < a->shape.rank; i++)
        n *= a->shape.dim[i];
    return n;
}

/* inputs are waves; a symbol is 5 */
static struct bench open_case(const char *text)
{
    struct bench b = { .arena = ir_arena_new() };

    b.module = ir_parse("case", text, strlen(text), &b.error);
    cr_assert(b.module, "%s", b.error.text);
    b.g = b.module->program[0]->graph;
    for (uint32_t v = 1; v < b.g->count; v++) {
        const struct ir_node *n = &b.g->nodes[v];
        struct ir_array *a = &b.binding[b.bindings].array;
        if (n->op != IR_input)
            continue;
        b.binding[b.bindings].name = n->text;
        *a = (struct ir_array){ .dtype = n->dtype, .shape = n->shape };
        for (int i = 0; i < n->shape.rank; i++)
            if (!ir_dim_fixed(n->shape.dim[i]))
                a->shape.dim[i] = 5;
        a->data = ir_alloc(b.arena, (size_t)elements(a) * 8 + 8);
        for (int64_t i = 0; i < elements(a); i++)
            if (n->dtype == IR_F64)
                ((double *)a->data)[i] = sin((double)(i * 5 + 3 * b.bindings) * 0.7 + 1);
            else if (n->dtype == IR_BOOL)
                ((bool *)a->data)[i] = strcmp(n->text, "yes") == 0;
            else
                ((int64_t *)a->data)[i] = 2;
        if (n->dtype == IR_F64)
            b.wrt[b.n++] = (ir_val){ v };
        b.bindings++;
    }
    return b;
}

static void close_case(struct bench *b)
{
    ir_module_free(b->module);
    ir_arena_free(b->arena);
}

static struct ir_array value_in(struct bench *b, const struct ir_graph *g, ir_val v)
{
    struct ir_array a = { 0 };

    cr_assert(ir_evaluate(g, b->bindings, b->binding, 1, &v, &a, b->arena, &b->error), "%s",
              b->error.text);
    return a;
}

static double scalar(struct bench *b, ir_val v)
{
    return *(double *)value_in(b, b->g, v).data;
}

/* the sum of all floating outputs, or of grads, each element with a weight */
static ir_val weighted(struct ir_graph *g, int n, const ir_val *y)
{
    int64_t axes[IR_RANK] = { 0, 1, 2, 3, 4, 5, 6, 7 };
    ir_val all = { 0 };

    for (int i = 0; i < n; i++) {
        const struct ir_shape shape = ir_at(g, y[i])->shape;
        ir_val weight = ir_number(g, IR_F64, 0.3 + i, at);
        if (ir_at(g, y[i])->dtype != IR_F64)
            continue;
        for (int k = 0; k < shape.rank; k++) { /* cos of a sum of indices */
            ir_val index = ir_iota(g, IR_F64, shape, k, at);
            weight =
                ir_op2(g, IR_add, ir_op2(g, IR_mul, index, ir_number(g, IR_F64, 1.1 + k, at), at),
                       weight, at);
        }
        weight = ir_op1(g, IR_cos, weight, at);
        weight = ir_reduce(g, IR_sum, ir_op2(g, IR_mul, y[i], weight, at), shape.rank, axes, at);
        all = all.id ? ir_op2(g, IR_add, all, weight, at) : weight;
    }
    return all;
}

static ir_val loss_of(struct bench *b)
{
    ir_val y[16];

    for (int i = 0; i < b->g->output_count; i++)
        y[i] = b->g->outputs[i].value;
    return weighted(b->g, b->g->output_count, y);
}

static double direction(int k, int64_t i)
{
    return cos((double)(i * 3 + 2 * k) * 0.9 + 0.2);
}

/* moves all floating inputs along the direction */
static void move(struct bench *b, double step)
{
    for (int k = 0, w = 0; k < b->bindings; k++)
        if (b->binding[k].array.dtype == IR_F64) {
            for (int64_t i = 0; i < elements(&b->binding[k].array); i++)
                ((double *)b->binding[k].array.data)[i] += step * direction(w, i);
            w++;
        }
}

static double difference(struct bench *b, ir_val v)
{
    const double step = 1e-5;
    double after, before;

    move(b, step);
    after = scalar(b, v);
    move(b, -2 * step);
    before = scalar(b, v);
    move(b, step);
    return (after - before) / (2 * step);
}

static double along(struct bench *b, const ir_val *grad)
{
    double all = 0;

    for (int k = 0; k < b->n; k++) {
        struct ir_array a = value_in(b, b->g, grad[k]);
        for (int64_t i = 0; i < elements(&a); i++)
            all += ((double *)a.data)[i] * direction(k, i);
    }
    return all;
}

static bool near(double a, double b)
{
    return fabs(a - b) <= 1e-6 * (1 + fabs(a) + fabs(b));
}

Test(scan, prints_and_parses_back)
{
    for (int c = 0; c < CASES; c++) {
        struct bench b = open_case(cases[c]);
        struct ir_text text = { 0 };

        ir_print(&text, b.g);
        cr_expect_str_eq(text.data, cases[c]);
        cr_expect(ir_verify(b.g, &b.error), "%s", b.error.text);
        ir_text_free(&text);
        close_case(&b);
    }
}

/* Regions are numbered graph by graph. */
Test(scan, laid_flat_its_nodes_keep_their_regions)
{
    struct bench b =
        open_case("step(h: f64[3], x: f64[2 3]) {\n"
                  "  %3 = exp h # a.c:1 {1 softmax}\n"
                  "  %4 = scan %3, x carry=1 slices=1 length=2 (h: f64[3], x: f64[3]) {\n"
                  "    %3 = mul h, x # a.c:2 {1 sigmoid}\n"
                  "    region 1 sigmoid (h, x) -> %3 in 0\n"
                  "    return %3\n"
                  "  }\n"
                  "  %5 = result %4 at=0\n"
                  "  %6 = tanh %5 # a.c:3 {2 relu}\n"
                  "  region 1 softmax (h) -> %3 in 0\n"
                  "  region 2 relu (%5) -> %6 in 0\n"
                  "  return %6\n"
                  "}\n");
    struct ir_graph *flat = pass_flatten_scans(b.g);
    static const struct {
        enum ir_op op;
        const char *region;
    } wanted[] = { { IR_exp, "softmax" }, { IR_mul, "sigmoid" }, { IR_tanh, "relu" } };
    size_t found = 0;

    cr_assert(flat);
    for (uint32_t v = 1; v < flat->count; v++)
        for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
            const struct ir_node *n = &flat->nodes[v];
            if (n->op != wanted[i].op)
                continue;
            found++;
            cr_expect_str_eq(flat->region[n->region].name, wanted[i].region);
            cr_expect_eq(flat->region[n->region].result.id, v);
        }
    cr_expect_eq(found, 3);
    ir_graph_free(flat);
    close_case(&b);
}

Test(scan, is_one_node_where_it_is_the_same)
{
    struct bench b = open_case(cases[0]);
    uint32_t count = b.g->count;
    ir_val *moved = ir_moved(b.g, b.g);

    for (uint32_t v = 1; v < count; v++)
        moved[v] = ir_copy(b.g, b.g, (ir_val){ v }, moved);
    cr_expect_eq(b.g->count, count);
    for (uint32_t v = 1; v < count; v++)
        cr_expect_eq(moved[v].id, v);
    close_case(&b);
}

Test(scan, computes_step_by_step)
{
    struct bench b = open_case(cases[0]);
    const double *x = b.binding[0].array.data, *h = b.binding[1].array.data;
    struct ir_array last = value_in(&b, b.g, b.g->outputs[0].value),
                    all = value_in(&b, b.g, b.g->outputs[1].value);

    for (int i = 0; i < 3; i++) {
        double sum = h[i];
        for (int t = 0; t < 5; t++) {
            cr_expect_eq(((double *)all.data)[t * 3 + i], sum);
            sum += x[t * 3 + i];
        }
        cr_expect_eq(((double *)last.data)[i], sum);
    }
    close_case(&b);
}

Test(scan, of_no_steps_gives_the_carries_back)
{
    struct bench b = open_case(cases[1]);
    struct ir_array last;

    b.binding[0].array.shape.dim[0] = 0;
    last = value_in(&b, b.g, b.g->outputs[0].value);
    cr_expect_eq(memcmp(last.data, b.binding[1].array.data, 6 * sizeof(double)), 0);
    close_case(&b);
}

Test(scan, gradient_equals_finite_differences)
{
    for (int c = 0; c < CASES; c++) {
        struct bench b = open_case(cases[c]);
        ir_val loss = loss_of(&b), grad[INPUTS];

        cr_assert(pass_gradients(b.g, 1, &loss, NULL, b.n, b.wrt, grad), "%s", b.g->error->text);
        cr_assert(ir_verify(b.g, &b.error), "%s", b.error.text);
        double slope = along(&b, grad), measured = difference(&b, loss);
        cr_expect(near(slope, measured), "case %d: the slope is %.12g, measured %.12g", c, slope,
                  measured);
        cr_expect(fabs(slope) > 1e-3);
        close_case(&b);
    }
}

Test(scan, tangent_equals_gradient)
{
    for (int c = 0; c < CASES; c++) {
        struct bench b = open_case(cases[c]);
        ir_val loss = loss_of(&b), grad[INPUTS], seed[INPUTS], tangent;

        for (int k = 0; k < b.n; k++) {
            struct ir_node n = *ir_at(b.g, b.wrt[k]);
            struct ir_array *a = &b.binding[b.bindings].array;
            seed[k] = ir_input(b.g, ir_format(b.arena, "d%d", k), n.dtype, n.shape, at);
            for (int w = 0; w < b.bindings; w++)
                if (strcmp(b.binding[w].name, n.text) == 0)
                    *a = b.binding[w].array;
            b.binding[b.bindings].name = ir_at(b.g, seed[k])->text;
            a->data = ir_alloc(b.arena, (size_t)elements(a) * 8 + 8);
            for (int64_t i = 0; i < elements(a); i++)
                ((double *)a->data)[i] = direction(k, i);
            b.bindings++;
        }
        cr_assert(b.bindings <= INPUTS);
        cr_assert(pass_gradients(b.g, 1, &loss, NULL, b.n, b.wrt, grad));
        cr_assert(pass_jvp(b.g, b.n, b.wrt, seed, 1, &loss, &tangent), "%s", b.g->error->text);
        cr_assert(ir_verify(b.g, &b.error), "%s", b.error.text);
        double forward = scalar(&b, tangent), backward = along(&b, grad);
        cr_expect(near(forward, backward), "case %d: %.12g forward, %.12g backward", c, forward,
                  backward);
        close_case(&b);
    }
}

Test(scan, gradient_of_gradient_equals_finite_differences)
{
    for (int c = 0; c < CASES; c++) {
        struct bench b = open_case(cases[c]);
        ir_val loss = loss_of(&b), grad[INPUTS], again[INPUTS];

        cr_assert(pass_gradients(b.g, 1, &loss, NULL, b.n, b.wrt, grad));
        loss = weighted(b.g, b.n, grad);
        cr_assert(pass_gradients(b.g, 1, &loss, NULL, b.n, b.wrt, again), "%s", b.g->error->text);
        cr_assert(ir_verify(b.g, &b.error), "%s", b.error.text);
        double slope = along(&b, again), measured = difference(&b, loss);
        cr_expect(near(slope, measured), "case %d: the slope is %.12g, measured %.12g", c, slope,
                  measured);
        close_case(&b);
    }
}

/* the text of a simple graph is the same after another turn, and so are the values, to the bit */
Test(scan, simplify_leaves_one_forward_scan)
{
    for (int c = 0; c < CASES; c++) {
        struct bench b = open_case(cases[c]);
        ir_val loss = loss_of(&b), grad[INPUTS];
        struct ir_graph *simple;
        int scans = 0, before = 0;

        for (uint32_t v = 1; v < b.g->count; v++)
            before += b.g->nodes[v].op == IR_scan;
        cr_assert(pass_gradients(b.g, 1, &loss, NULL, b.n, b.wrt, grad));
        for (int k = 0; k < b.n; k++)
            ir_output(b.g, NULL, grad[k]);
        simple = pass_simplify(b.g);
        cr_assert(ir_verify(simple, &b.error), "%s", b.error.text);
        for (uint32_t v = 1; v < simple->count; v++)
            scans += simple->nodes[v].op == IR_scan;
        cr_expect_eq(scans, 2 * before, "case %d: %d scans", c, scans);
        for (int i = 0; i < b.g->output_count; i++) {
            struct ir_array x = value_in(&b, b.g, b.g->outputs[i].value),
                            y = value_in(&b, simple, simple->outputs[i].value);
            cr_assert(ir_same_shape(&x.shape, &y.shape));
            cr_expect_eq(memcmp(x.data, y.data, (size_t)elements(&x) * 8), 0, "case %d, output %d",
                         c, i);
        }
        ir_graph_free(simple);
        close_case(&b);
    }
}

/* what is wrong is said with its line */
static void refused(const char *text, const char *said)
{
    struct ir_error error = { 0 };
    struct ir_module *m = ir_parse("bad.tp", text, strlen(text), &error);

    cr_expect_null(m);
    cr_expect(strstr(error.text, said), "%s", error.text);
    ir_module_free(m);
}

Test(scan, refuses_what_does_not_fit)
{
    refused("f(x: f32[4 3], h: f32[2]) {\n"
            "  %3 = scan h, x carry=1 slices=1 length=4 (h: f32[3], x: f32[3]) {\n"
            "    %3 = add h, x : f32[3]\n    return %3\n  }\n}\n",
            "bad.tp:2: scan: a = h f32[2]; expected f32[3], for h of the body");
    refused("f(x: f32[4 3], h: f32[3]) {\n"
            "  %3 = scan h, x carry=1 slices=1 length=4 (h: f32[3], x: f32[3]) {\n"
            "    %3 = const 0 : f32\n    return %3\n  }\n}\n",
            "bad.tp:2: scan: carry h is f32[3] before a step and f32 after it; expected the same");
    refused("f(x: f32[4 3], h: f32[3]) {\n"
            "  %3 = scan h, x carry=1 slices=1 length=5 (h: f32[3], x: f32[3]) {\n"
            "    %3 = add h, x : f32[3]\n    return %3\n  }\n}\n",
            "expected slices of f32[5 3], for x of the body");
    refused("f(x: f32[4 3], h: f32[3]) {\n"
            "  %3 = scan h, x carry=1 slices=1 length=4 (h: f32[3], x: f32[3]) {\n"
            "    %3 = add h, x : f32[3]\n    return %3\n  }\n"
            "  %4 = result %3 at=1 : f32[3]\n}\n",
            "bad.tp:6: result: at has 1; expected 0 to 0");
    refused("f(x: f32[4 3], h: f32[3]) {\n"
            "  %3 = scan h, x carry=1 slices=1 length=4 (h: f32[3], x: f32[3]) {\n"
            "    %3 = add h, x : f32[3]\n    return %3\n  }\n"
            "  %4 = neg %3 : f32[3]\n}\n",
            "bad.tp:6: neg: argument 1 is a scan; expected one of its results");
    refused("f(h: f32[3]) {\n"
            "  %3 = scan h carry=1 slices=0 length=4 (h: f32[3]) {\n"
            "    %3 = state s : f32[3] init zero\n    return %3\n  }\n}\n",
            "bad.tp:2: scan: state s in the body; expected that it is an argument");
    refused("f(h: f32[3]) {\n"
            "  %3 = scan h carry=1 slices=0 length=4 (h: f32[3]) {\n"
            "    kernel k {\n",
            "bad.tp:3: kernel");
}

/* --- compiled ------------------------------------------------------------------------------------
 */

/* the sum of all f32 outputs, and its gradients by all f32 inputs, as outputs of a simple graph */
static bool append_gradients(struct random_case *c)
{
    const int64_t axes[IR_RANK] = { 0, 1, 2, 3, 4, 5, 6, 7 };
    struct ir_graph *g = c->graph, *simple;
    ir_val loss = { 0 }, wrt[RANDOM_INPUTS], grad[RANDOM_INPUTS];
    int n = 0;

    for (int i = 0; i < g->output_count; i++) {
        ir_val y = g->outputs[i].value;
        if (ir_at(g, y)->dtype != IR_F32)
            continue;
        y = ir_op1(g, IR_sin, y, at);
        y = ir_reduce(g, IR_sum, y, ir_at(g, y)->shape.rank, axes, at);
        loss = loss.id ? ir_op2(g, IR_add, loss, y, at) : y;
    }
    for (uint32_t v = 1; v < g->count && n < RANDOM_INPUTS; v++)
        if (g->nodes[v].op == IR_input && g->nodes[v].dtype == IR_F32)
            wrt[n++] = (ir_val){ v };
    if (!loss.id || !n || !pass_gradients(g, 1, &loss, NULL, n, wrt, grad))
        return false;
    for (int i = 0; i < n; i++)
        ir_output(g, NULL, grad[i]);
    simple = pass_simplify(g);
    ir_arena_adopt(c->arena, g->arena);
    c->graph = simple;
    return true;
}

static bool has_scan(const struct ir_graph *g)
{
    for (uint32_t v = 1; v < g->count; v++)
        if (g->nodes[v].op == IR_scan)
            return true;
    return false;
}

static bool gradients_compile(struct random_case *c, void *user, struct ir_text *why)
{
    struct ir_array *want, *fused, *alone;

    if (!has_scan(c->graph) || !append_gradients(c))
        return true;
    want = random_values(c);
    if (!want) {
        ir_put(why, "interpreter: %s", c->error.text);
        return false;
    }
    fused = compiled_values(c, &(struct compiled_how){ .fuse = true, .threads = 2 });
    alone = fused ? compiled_values(c, &(struct compiled_how){ .threads = 1 }) : NULL;
    if (!alone) {
        ir_put(why, "%s", c->error.text);
        return c->error.status == IR_UNSUPPORTED;
    }
    ++*(int *)user;
    for (int i = 0; i < random_value_count(c); i++) {
        double size = 1;
        int64_t count = elements(&want[i]);
        if (i < c->graph->output_count &&
            ir_at(c->graph, c->graph->outputs[i].value)->op == IR_state)
            continue; /* its memory shows it after the run */
        for (int64_t k = 0; want[i].dtype == IR_F32 && k < count; k++)
            size = fmax(size, fabs((double)((float *)want[i].data)[k]));
        ir_put(why, "value %d against the interpreter: ", i);
        if (!random_equal(&want[i], &fused[i], 1e-4, 1e-4 * size, why))
            return false;
        ir_put(why, "value %d against a kernel an operation: ", i);
        if (!random_equal(&alone[i], &fused[i], 0, 0, why))
            return false;
    }
    return true;
}

Test(scan, compiled_gradients_of_random_graphs_equal_the_interpreter)
{
    const char *only = getenv("SEED");
    uint64_t from = only ? strtoull(only, NULL, 10) : 1, count = only             ? 1
                                                                 : support_long() ? 1500
                                                                                  : 250;
    int looked_at = 0;

    for (uint64_t seed = from; seed < from + count; seed++)
        cr_expect(random_holds(gradients_compile, &looked_at, seed,
                               &(struct random_options){ .symbolic = seed % 3 == 0 }),
                  "seed %lu", (unsigned long)seed);
    cr_expect(only || looked_at > 20, "%d graphs", looked_at);
}

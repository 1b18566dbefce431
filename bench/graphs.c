/*
 * graphs: how the time of every stage grows with the graph: milliseconds for 100, 1,000, 10,000 and
 * 100,000 nodes, and the power of the size that the last two lie on.
 *
 *     build/bench/graphs [--most NODES] [KIND...]
 *
 * chain   pointwise operations, each of the one before: few kernels, each as full as kernels get
 * mlp     narrow layers, their gradients and updates: a kernel for every few nodes
 * fan     many values, each of one argument and a number, and the sum of them all
 * views   a chain in which every second operation only moves
 *
 * A stage that is not close to linear shows in the last column. Nothing is compiled or run.
 */
#define _GNU_SOURCE
#include "bench/common/measure.h"
#include "codegen/codegen.h"
#include "passes/passes.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

enum { SIZES = 4, WIDTH = 16 };
static const uint32_t sizes[SIZES] = { 100, 1000, 10000, 100000 };
enum stage {
    BUILD,
    GRAD,
    PRINT,
    PARSE,
    SIMPLE,
    FUSE,
    LAYOUT,
    ORDER,
    LOWER,
    SCHEDULE,
    PLAN,
    TEXT,
    STAGES
};
static const char *const stages[STAGES] = { "build",  "grad",     "print",  "parse",
                                            "simple", "fuse",     "layout", "order",
                                            "lower",  "schedule", "plan",   "c" };

static const struct ir_loc here = { "graphs.c", 1 };

/* --- the graphs ----------------------------------------------------------------------------------
 */

static struct ir_shape square(void)
{
    return (struct ir_shape){ 2, { WIDTH, WIDTH } };
}

static void chain(struct ir_graph *g, uint32_t nodes, double *grad)
{
    ir_val x = ir_input(g, "x", IR_F32, square(), here), y = x;

    (void)grad;
    while (g->count < nodes)
        y = g->count % 2 ? ir_op1(g, IR_tanh, y, here) : ir_op2(g, IR_add, y, x, here);
    ir_output(g, "y", y);
}

static void views(struct ir_graph *g, uint32_t nodes, double *grad)
{
    const int64_t back[] = { 1, 0 };
    ir_val y = ir_input(g, "x", IR_F32, square(), here);

    (void)grad;
    while (g->count < nodes)
        y = g->count % 2 ? ir_op1(g, IR_tanh, y, here) : ir_permute(g, y, back, here);
    ir_output(g, "y", y);
}

static void fan(struct ir_graph *g, uint32_t nodes, double *grad)
{
    ir_val x = ir_input(g, "x", IR_F32, square(), here), sum = x;

    (void)grad;
    for (int i = 1; g->count < nodes; i++)
        sum = ir_op2(
            g, IR_add, sum,
            ir_op1(g, IR_tanh, ir_op2(g, IR_mul, x, ir_number(g, IR_F32, i, here), here), here),
            here);
    ir_output(g, "y", sum);
}

static void mlp(struct ir_graph *g, uint32_t nodes, double *grad)
{
    uint32_t layers = nodes / 15 + 1;
    ir_val *w = ir_alloc(g->arena, 2 * layers * sizeof *w), *dw;
    ir_val x = ir_input(g, "x", IR_F32, square(), here), loss;
    const int64_t axes[] = { 0, 1 };
    char name[40];
    double start;

    for (uint32_t i = 0; i < layers; i++) {
        snprintf(name, sizeof name, "fc%u.weight", i);
        w[2 * i] = ir_state(g, name, IR_F32, square(), IR_INIT_UNIFORM, -1, 1, here);
        snprintf(name, sizeof name, "fc%u.bias", i);
        w[2 * i + 1] =
            ir_state(g, name, IR_F32, (struct ir_shape){ 1, { WIDTH } }, IR_INIT_ZERO, 0, 0, here);
        x = ir_dot(g, x, w[2 * i], "mk,kn->mn", here);
        x = ir_op1(g, IR_tanh, ir_op2(g, IR_add, x, w[2 * i + 1], here), here);
    }
    loss = ir_reduce(g, IR_sum, x, 2, axes, here);
    dw = ir_alloc(g->arena, 2 * layers * sizeof *dw);
    start = bench_now();
    if (!pass_gradients(g, 1, &loss, NULL, (int)(2 * layers), w, dw))
        exit((fprintf(stderr, "graphs: %s\n", g->error->text), 1));
    *grad = bench_now() - start;
    for (uint32_t i = 0; i < 2 * layers; i++)
        ir_assign(g, w[i],
                  ir_op2(g, IR_sub, w[i],
                         ir_op2(g, IR_mul, dw[i], ir_number(g, IR_F32, 0.1, here), here), here),
                  here);
    ir_output(g, "loss", loss);
}

static const struct kind {
    const char *name;
    void (*build)(struct ir_graph *, uint32_t nodes, double *grad);
} kinds[] = { { "chain", chain }, { "mlp", mlp }, { "fan", fan }, { "views", views } };
enum { KINDS = sizeof kinds / sizeof *kinds };

/* --- the stages ----------------------------------------------------------------------------------
 */

static double lap(double *since)
{
    double now = bench_now(), took = now - *since;

    *since = now;
    return took;
}

static void number_kernels(struct pass_compiled *c)
{
    for (uint32_t v = 0; v < c->program->graph->count; v++)
        c->kernel_of[v] = -1;
    for (int k = 0; k < c->program->kernel_count; k++)
        for (int i = 0; i < c->program->kernels[k].count; i++)
            c->kernel_of[c->program->kernels[k].nodes[i].id] = k;
}

/* What pass_pipeline does, with a clock between. Gives the number of kernels. */
static int measure(const struct kind *kind, uint32_t nodes, double *seconds, uint32_t *simple)
{
    const struct pass_options options = { .target = ir_target_by_name("x86-64-v3"),
                                          .fuse = true,
                                          .threads = 2 };
    struct ir_error error = { 0 };
    struct ir_arena *arena = ir_arena_new();
    struct ir_graph *traced = ir_graph_new("step", &error), *g;
    struct pass_compiled *c = ir_alloc(arena, sizeof *c);
    struct ir_text text = { 0 };
    struct ir_module *module;
    double since = bench_now();

    kind->build(traced, nodes, &seconds[GRAD]);
    seconds[BUILD] = lap(&since) - seconds[GRAD];
    ir_print(&text, traced);
    seconds[PRINT] = lap(&since);
    module = ir_parse("graphs.tp", text.data, text.size, &error);
    seconds[PARSE] = lap(&since);
    ir_text_free(&text);
    ir_module_free(module);
    lap(&since);
    g = pass_simplify(traced);
    *simple = g->count;
    seconds[SIMPLE] = lap(&since);
    c->arena = arena;
    c->program = pass_fuse(g, &options, arena);
    c->kernel_of = ir_alloc(arena, g->count * sizeof *c->kernel_of);
    number_kernels(c);
    seconds[FUSE] = lap(&since);
    pass_layout(c, &options);
    seconds[LAYOUT] = lap(&since);
    c->program = pass_order(c, arena);
    number_kernels(c);
    seconds[ORDER] = lap(&since);
    c->loops = ir_alloc(arena, sizeof *c->loops);
    *c->loops = (struct loop_program){
        .arena = arena, .graph = g, .target = options.target, .name = "step"
    };
    c->loops->kernel =
        ir_alloc(arena, ((size_t)c->program->kernel_count + 1) * sizeof(struct loop_kernel *));
    for (int k = 0; k < c->program->kernel_count && error.status == IR_OK; k++)
        c->loops->kernel[c->loops->kernels++] = pass_lower(c, k, &error);
    seconds[LOWER] = lap(&since);
    for (int k = 0; k < c->loops->kernels && error.status == IR_OK; k++)
        pass_schedule(c->loops->kernel[k], &options, &error);
    seconds[SCHEDULE] = lap(&since);
    if (error.status == IR_OK)
        pass_plan(c, &options, &error);
    seconds[PLAN] = lap(&since);
    if (error.status == IR_OK)
        gen_program(&text, c->loops, &gen_target_c, &error);
    seconds[TEXT] = lap(&since);
    if (error.status)
        exit((fprintf(stderr, "graphs: %s\n", error.text), 1));
    int kernels = c->loops->kernels;
    ir_text_free(&text);
    ir_graph_free(g);
    ir_graph_free(traced);
    ir_arena_free(arena);
    return kernels;
}

static void show(const struct kind *kind, uint32_t most)
{
    double seconds[SIZES][STAGES] = { 0 };
    uint32_t nodes[SIZES];
    int kernels[SIZES], count = 0;
    struct rusage usage;

    for (; count < SIZES && sizes[count] <= most; count++)
        kernels[count] = measure(kind, sizes[count], seconds[count], &nodes[count]);
    printf("%-10s", kind->name);
    for (int i = 0; i < count; i++)
        printf("%12u", sizes[i]);
    printf("       power\n  %-8s", "nodes");
    for (int i = 0; i < count; i++)
        printf("%12u", nodes[i]);
    printf("\n  %-8s", "kernels");
    for (int i = 0; i < count; i++)
        printf("%12d", kernels[i]);
    printf("\n");
    for (int s = 0; s < STAGES; s++) {
        printf("  %-8s", stages[s]);
        for (int i = 0; i < count; i++)
            printf("%12.2f", 1e3 * seconds[i][s]);
        if (count > 1 && seconds[count - 2][s] > 2e-4)
            printf("%12.2f", log10(seconds[count - 1][s] / seconds[count - 2][s]));
        printf("\n");
    }
    getrusage(RUSAGE_SELF, &usage);
    printf("  at most %ld MB\n", usage.ru_maxrss / 1024);
    fflush(stdout);
}

int main(int argc, char **argv)
{
    uint32_t most = 100000;
    bool asked = false;

    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], "--most") == 0 && i + 1 < argc) {
            most = (uint32_t)strtoul(argv[++i], NULL, 10);
        } else {
            const struct kind *found = NULL;
            for (int k = 0; k < KINDS; k++)
                found = strcmp(kinds[k].name, argv[i]) == 0 ? &kinds[k] : found;
            if (!found)
                return fprintf(stderr, "graphs: '%.40s' is no graph\n", argv[i]), 2;
            show(found, most);
            asked = true;
        }
    for (int k = 0; k < KINDS && !asked; k++)
        show(&kinds[k], most);
    return 0;
}

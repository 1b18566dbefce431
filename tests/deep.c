/*
 * Long programs: 100,000 operations, each of the one before, go through every stage on a stack of
 * one megabyte; other shapes of 20,000 too. Whatever walks a graph goes by its order or knows how
 * deep it may call itself.
 */
#include "codegen/codegen.h"
#include "passes/passes.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <string.h>

enum { LONGEST = 100000, LONG = 20000, STACK = 1 << 20 };
static const struct ir_loc here = { "deep.c", 1 };

/* --- the programs --------------------------------------------------------------------------------
 */

static ir_val chain(struct ir_graph *g, ir_val x)
{
    ir_val y = x;

    for (int i = 0; i < LONGEST; i++)
        y = i % 2 ? ir_op1(g, IR_tanh, y, here) : ir_op2(g, IR_add, y, x, here);
    return y;
}

/* made of indices alone: nothing of it would have to be stored */
static ir_val indices(struct ir_graph *g, ir_val x)
{
    ir_val y = ir_iota(g, IR_F32, ir_at(g, x)->shape, 1, here);

    for (int i = 0; i < LONG; i++)
        y = ir_op1(g, IR_tanh, y, here);
    return ir_op2(g, IR_mul, x, y, here);
}

/* views that do not join */
static ir_val moves(struct ir_graph *g, ir_val x)
{
    const int64_t turned[] = { 1, 0 };
    const struct ir_shape shape = ir_at(g, x)->shape;

    for (int i = 0; i < LONG; i++)
        x = i % 2 ? ir_reshape(g, x, shape, here) : ir_permute(g, x, turned, here);
    return x;
}

static ir_val sums(struct ir_graph *g, ir_val x)
{
    const int64_t lo[] = { 1, 0 }, hi[] = { 3, 6 }, one[] = { 1, 1 };
    const struct ir_list attr[] = { { 2, lo }, { 2, hi }, { 2, one } };
    ir_val y = x, part;

    for (int i = 0; i < LONG / 4; i++) { /* whose gradients are pads, and the sums of pads */
        part = ir_op_attr(g, IR_slice, 1, &x, attr, here);
        part = ir_op2(g, IR_mul, part, ir_number(g, IR_F32, i, here), here);
        y = ir_op2(g, IR_add, y,
                   ir_expand_axes(g, ir_reduce(g, IR_sum, part, 1, (int64_t[]){ 0 }, here),
                                  ir_at(g, x)->shape, 1, (int64_t[]){ 0 }, here),
                   here);
    }
    return y;
}

static ir_val choices(struct ir_graph *g, ir_val x)
{
    ir_val y = ir_op2(g, IR_lt, x, ir_number(g, IR_F32, 0, here), here), first = y;

    for (int i = 0; i < LONG; i++)
        y = i % 2 ? ir_op1(g, IR_not, y, here) : ir_op2(g, IR_eq, y, first, here);
    return ir_select(g, y, x, ir_op1(g, IR_neg, x, here), here);
}

static const struct program {
    const char *name;
    ir_val (*build)(struct ir_graph *, ir_val x);
} programs[] = { { "chain", chain },
                 { "indices", indices },
                 { "moves", moves },
                 { "sums", sums },
                 { "choices", choices } };

/* --- the stages ----------------------------------------------------------------------------------
 */

static const struct pass_options options = { .fuse = true, .threads = 2 };

static void text_of(const struct ir_program *p, struct ir_error *error)
{
    struct pass_options o = options;
    struct ir_arena *arena = ir_arena_new();
    const struct pass_compiled *c;
    struct ir_text text = { 0 };

    o.target = ir_target_by_name("x86-64-v3");
    c = pass_pipeline(p, &o, arena, error);
    if (c)
        gen_program(&text, c->loops, &gen_target_c, error);
    ir_text_free(&text);
    ir_arena_free(arena);
}

static void read_back(const struct ir_graph *g, struct ir_error *error)
{
    struct ir_text text = { 0 };
    struct ir_module *m;

    ir_print_dot(&text, &(struct ir_program){ .graph = (struct ir_graph *)g });
    ir_text_free(&text);
    ir_print(&text, g);
    m = ir_parse("deep.tp", text.data, text.size, error);
    cr_expect(m, "%s", error->text);
    ir_text_free(&text);
    ir_module_free(m);
}

static void values(const struct ir_graph *g, struct ir_error *error)
{
    static float x[18] = { 1, 2, 3 };
    const struct ir_binding binding = { "x", { IR_F32, { 2, { 3, 6 } }, x } };
    struct ir_arena *arena = ir_arena_new();
    struct ir_array result;

    ir_evaluate(g, 1, &binding, 1, &g->outputs[0].value, &result, arena, error);
    ir_arena_free(arena);
}

static void *all_stages(void *program)
{
    const struct program *p = program;
    struct ir_error error = { 0 };
    struct ir_graph *g = ir_graph_new("step", &error), *simple;
    ir_val x = ir_input(g, "x", IR_F32, (struct ir_shape){ 2, { 3, 6 } }, here), dx, y;

    y = p->build(g, x);
    y = ir_reduce(g, IR_sum, y, 2, (int64_t[]){ 0, 1 }, here);
    ir_output(g, "y", y);
    cr_expect(pass_gradients(g, 1, &y, NULL, 1, &x, &dx), "%s: %s", p->name, error.text);
    ir_output(g, "dx", dx);
    read_back(g, &error);
    values(g, &error);
    simple = pass_simplify(g);
    text_of(&(struct ir_program){ .graph = simple }, &error);
    cr_expect(error.status == IR_OK, "%s: %s", p->name, error.text);
    ir_graph_free(simple);
    ir_graph_free(g);
    return NULL;
}

/* A text says itself what a kernel is: one that is too deep is refused. */
static void *one_kernel(void *nothing)
{
    struct ir_error error = { 0 };
    struct ir_graph *g = ir_graph_new("step", &error);
    ir_val x = ir_input(g, "x", IR_F32, (struct ir_shape){ 2, { 3, 6 } }, here), y = chain(g, x);
    struct ir_kernel kernel = { "all", 0, ir_alloc(g->arena, g->count * sizeof(ir_val)),
                                NULL,  0, NULL };

    ir_output(g, "y", y);
    for (uint32_t v = 2; v < g->count; v++)
        kernel.nodes[kernel.count++] = (ir_val){ v };
    text_of(&(struct ir_program){ g, &kernel, 1 }, &error);
    cr_expect(error.status == IR_UNSUPPORTED &&
                  strstr(error.text, "expected some in a kernel of their own"),
              "%s", error.text);
    ir_graph_free(g);
    return nothing;
}

static void on_a_small_stack(void *(*run)(void *), const void *argument)
{
    pthread_attr_t small;
    pthread_t thread;

    pthread_attr_init(&small);
    pthread_attr_setstacksize(&small, STACK);
    cr_assert(pthread_create(&thread, &small, run, (void *)argument) == 0);
    pthread_join(thread, NULL);
    pthread_attr_destroy(&small);
}

Test(deep, every_stage_walks_long_programs)
{
    for (size_t i = 0; i < sizeof programs / sizeof *programs; i++)
        on_a_small_stack(all_stages, &programs[i]);
}

Test(deep, a_kernel_that_is_too_deep_is_refused)
{
    on_a_small_stack(one_kernel, NULL);
}

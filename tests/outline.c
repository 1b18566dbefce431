/*
 * Equal kernels are one function, and equal stretches of calls a loop: a deeper net has no more
 * code, and the bits are those of a text in which every kernel has a function of its own.
 */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "codegen/codegen.h"
#include "frontend/frontend.h"
#include "frontend/taper.h"
#include "passes/passes.h"
#include "runtime/runtime.h"

struct net {
    tp_graph *g;
    struct ir_program simple;
    struct ir_arena *arena;
    struct pass_compiled *c;
    tp_program *program;
};

/* Equal layers, a residual net as GPT's blocks are, and an update by Adam. */
static struct net planned(int layers)
{
    struct net n = { .g = tp_graph_new(1), .arena = ir_arena_new() };
    struct ir_error error = { 0 };
    const struct pass_options options = { .target = ir_target_by_name("native"),
                                          .fuse = true,
                                          .threads = 2 };
    const int64_t batch = tp_symbol(n.g, "batch", 1, 48);
    tp_tensor x = tp_input(n.g, "x", TP_F32, tp_dims(batch, 64));

    for (int i = 0; i < layers; i++)
        tp_scope(n.g, "h.%d", i)
            x = tp_add(x, tp_relu(tp_linear(tp_layer_norm(x, "ln"), "fc", 64)));
    n.program = tp_compile_train(tp_mean(tp_mul(x, x)), .opt = tp_adam(), .lr = tp_const(1e-3),
                                 .plan_only = true, .threads = 2);
    cr_assert(n.program, "%s", tp_error(n.g));
    n.simple = tp_simple_program(&n.program->kernels);
    n.c = pass_pipeline(&n.simple, &options, n.arena, &error);
    cr_assert(n.c, "%s", error.text);
    return n;
}

static void drop(struct net *n)
{
    if (n->simple.graph != n->program->graph)
        ir_graph_free(n->simple.graph);
    ir_arena_free(n->arena);
    tp_graph_free(n->g);
}

static int functions(const struct loop_program *p)
{
    int count = 0;

    for (int k = 0; k < p->kernels; k++)
        count += p->kernel[k]->first == NULL;
    return count;
}

/* every kernel a function of its own, called once */
static void forget(struct loop_program *p)
{
    for (int k = 0; k < p->kernels; k++) {
        p->kernel[k]->first = NULL;
        p->kernel[k]->users = 0;
        p->kernel[k]->function = NULL;
    }
    p->repeats = 0;
}

static struct ir_text spelled(const struct loop_program *p)
{
    struct ir_error error = { 0 };
    struct ir_text text = { 0 };

    cr_assert(gen_program(&text, p, &gen_target_c, &error), "%s", error.text);
    return text;
}

/* The arena and the states behind one another, after one run from numbers that are always the same.
 */
static char *ran(const struct loop_program *p, int threads)
{
    const size_t arena = (size_t)p->arena_bytes, all = arena + (size_t)p->state_bytes;
    struct run_options options = { .flags = p->target->flags, .openmp = true };
    struct ir_text text = spelled(p);
    struct ir_error error = { 0 };
    struct run_code *code = run_code_load(text.data, &options, &error);
    char *memory = aligned_alloc(4096, (all + 8192 + 4095) / 4096 * 4096), *base[2];
    const long dims[1] = { 37 };
    tp_entry *step;

    cr_assert(code, "%s", error.text);
    *(void **)&step = run_code_symbol(code, p->name);
    cr_assert(step && memory);
    for (size_t i = 0; i < (all + 8192) / sizeof(float); i++)
        ((float *)memory)[i] = 0.01f * (float)(i % 97) + 0.003f * (float)(i % 13);
    memset(memory, 0, 128); /* the barrier's words */
    base[0] = memory;
    base[1] = memory + arena + (64 - arena % 64) % 64;
    step(base, dims, threads);
    run_code_free(code);
    ir_text_free(&text);
    return memory;
}

Test(outline, a_deeper_net_has_no_more_functions)
{
    struct net few = planned(6), many = planned(48);
    struct ir_text short_text = spelled(few.c->loops), long_text = spelled(many.c->loops);

    cr_expect_gt(many.c->loops->kernels, 6 * few.c->loops->kernels);
    cr_expect_eq(functions(few.c->loops), functions(many.c->loops), "%d and %d functions",
                 functions(few.c->loops), functions(many.c->loops));
    cr_expect_gt(few.c->loops->repeats, 1);
    cr_expect_eq(few.c->loops->repeats, many.c->loops->repeats, "%d and %d loops",
                 few.c->loops->repeats, many.c->loops->repeats);
    cr_expect_lt((double)long_text.size, 1.3 * (double)short_text.size, "%zu and %zu bytes",
                 long_text.size, short_text.size);
    ir_text_free(&short_text);
    ir_text_free(&long_text);
    drop(&few);
    drop(&many);
}

Test(outline, bits_are_those_of_separate_functions)
{
    struct net n = planned(7);
    struct loop_program *p = n.c->loops;
    char *outlined = ran(p, 1), *shared = ran(p, 2), *apart;
    const size_t arena = (size_t)p->arena_bytes, bytes = arena + (size_t)p->state_bytes;

    cr_assert(functions(p) < p->kernels / 2 && p->repeats > 0);
    forget(p);
    apart = ran(p, 2);
    /* the barrier's words, threads' scratch and what runs over differ by thread */
    for (int i = 0; i < p->places; i++) {
        const struct loop_place *at = &p->place[i];
        const size_t offset = (size_t)at->offset + (at->base ? arena + (64 - arena % 64) % 64 : 0);
        if (at->base == 0 && at->last < p->kernels - 1)
            continue;
        cr_expect(!memcmp(outlined + offset, apart + offset, (size_t)at->bytes), "%s", at->name);
        cr_expect(!memcmp(outlined + offset, shared + offset, (size_t)at->bytes), "%s", at->name);
    }
    cr_expect_gt(bytes, 0);
    free(outlined);
    free(shared);
    free(apart);
    drop(&n);
}

Test(outline, the_text_names_all_that_share_a_function)
{
    struct net n = planned(3);
    struct ir_text text = spelled(n.c->loops);
    int named = 0;

    for (int k = 0; k < n.c->loops->kernels; k++) {
        const struct loop_kernel *kernel = n.c->loops->kernel[k];
        named += kernel->first != NULL;
        cr_expect(strstr(text.data, kernel->name), "%s", kernel->name);
        cr_expect(!kernel->first || kernel->first->users > 1);
    }
    cr_expect_gt(named, 0);
    ir_text_free(&text);
    drop(&n);
}

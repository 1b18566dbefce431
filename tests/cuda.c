/*
 * The CUDA text of a program: NVRTC compiles it without spills, and the CPU, running it as a GPU
 * would (runtime/cuda_emulated.c), gets the bits of the C program.
 */
#include "codegen/codegen.h"
#include "frontend/device.h"
#include "passes/passes.h"
#include "random.h"
#include "support.h"
#include "support_compiled.h"
#include "support_loops.h"
#include "support_runtime.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* the bits of the C program, and the interpreter's values as near as `close`; below 0:
 * tests/compiled.c sees to those */
static bool is_c(struct random_case *c, const struct compiled_how *gpu_how, double close,
                 struct ir_text *why)
{
    struct compiled_how cpu_how = { .fuse = gpu_how->fuse, .threads = 1, .bound = gpu_how->bound };
    struct ir_array *want = random_values(c), *cpu, *gpu;

    if (!want)
        return true;
    cpu = compiled_values(c, &cpu_how);
    if (!cpu && c->error.status == IR_UNSUPPORTED)
        return true;
    gpu = compiled_values(c, gpu_how);
    if (!gpu && c->error.status == IR_UNSUPPORTED &&
        strstr(c->error.text, "memory of its own for each row")) /* sorting */
        return true;
    if (!cpu || !gpu) {
        ir_put(why, "%s: %s", cpu ? "CUDA" : "C", c->error.text);
        return false;
    }
    for (int i = 0; i < random_value_count(c); i++) {
        ir_put(why, "value %d, CUDA against the interpreter: ", i);
        if (close >= 0 && !random_equal(&want[i], &gpu[i], close, close, why))
            return false;
        ir_put(why, "value %d, CUDA against C: ", i);
        if (!random_equal(&cpu[i], &gpu[i], 0, 0, why))
            return false;
    }
    return true;
}

static const char *const cuda = "cuda";

/* ---- random graphs ---- */

/* every nest holds, with bounds that are exact */
static bool nests_hold(struct random_case *c, bool fuse, struct ir_text *why)
{
    struct ir_program program = { .graph = c->graph };
    struct pass_options options = { .target = ir_target_by_name(cuda), .fuse = fuse, .threads = 1 };
    struct ir_error error = { 0 };
    struct pass_compiled *p = pass_pipeline(&program, &options, c->arena, &error);

    for (int k = 0; p && k < p->loops->kernels; k++)
        if (!support_sound(p->loops->kernel[k], why))
            return false;
    return true;
}

static bool random_is_c(struct random_case *c, void *user, struct ir_text *why)
{
    (void)user;
    return nests_hold(c, c->seed % 4 != 0, why) &&
           is_c(c,
                &(struct compiled_how){ .fuse = c->seed % 4 != 0,
                                        .threads = 1,
                                        .target = cuda,
                                        .processors = c->seed % 2 ? 1 : 0 },
                -1, why);
}

Test(cuda, random_graphs_have_the_bits_of_c)
{
    const char *only = getenv("SEED");
    const uint64_t from = only ? strtoull(only, NULL, 10) : 1,
                   count = only ? 1 : (uint64_t)support_cases(60, 500);

    for (uint64_t seed = from; seed < from + count; seed++)
        cr_expect(random_holds(
                      random_is_c, NULL, seed,
                      &(struct random_options){ .flat = seed % 4 != 0, .symbolic = seed % 3 == 0 }),
                  "seed %lu", (unsigned long)seed);
}

/* ---- graphs by hand ---- */

struct given {
    struct random_case c;
    struct ir_module *module;
};

static void open_given(struct given *given, const char *text, int64_t batch)
{
    *given = (struct given){ .c = { .seed = 5, .arena = ir_arena_new() } };
    given->module = ir_parse("given.tp", text, strlen(text), &given->c.error);
    cr_assert(given->module, "%s", given->c.error.text);
    given->c.graph = given->module->program[0]->graph;
    random_bind(&given->c, batch);
}

static void close_given(struct given *given)
{
    ir_module_free(given->module);
    ir_arena_free(given->c.arena);
}

static const char softmax[] = "symbol batch in 1..4\n"
                              "softmax(x: f32[batch %d]) {\n"
                              "  %%2 = amax x axes=[1] : f32[batch]\n"
                              "  %%3 = reshape %%2 : f32[batch 1]\n"
                              "  %%4 = expand %%3 : f32[batch %d]\n"
                              "  %%5 = sub x, %%4 : f32[batch %d]\n"
                              "  %%6 = exp %%5 : f32[batch %d]\n"
                              "  %%7 = sum %%6 axes=[1] : f32[batch]\n"
                              "  %%8 = reshape %%7 : f32[batch 1]\n"
                              "  %%9 = expand %%8 : f32[batch %d]\n"
                              "  %%10 = div %%6, %%9 : f32[batch %d]\n"
                              "  return y=%%10, sum=%%7\n"
                              "}\n";

static void open_softmax(struct given *given, int n)
{
    struct ir_text text = { 0 };

    ir_put(&text, softmax, n, n, n, n, n, n);
    open_given(given, text.data, 3);
    ir_text_free(&text);
}

/* One element, a part of the block, all of it, several turns of it, several pieces; and launches
 * for more rows than there are. */
Test(cuda, rows_of_any_length_are_added_in_the_order_of_c)
{
    static const int lengths[] = { 1, 2, 17, 63, 64, 65, 1000, 16384, 16385, 40000 };

    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        struct given given;
        struct ir_text why = { 0 };
        open_softmax(&given, lengths[i]);
        cr_expect(is_c(&given.c,
                       &(struct compiled_how){ .fuse = true, .threads = 1, .target = cuda }, 2e-5,
                       &why),
                  "%d: %s", lengths[i], why.data);
        ir_text_free(&why);
        close_given(&given);
    }
}

/* More elements than all processors hold at once: threads take several turns. */
Test(cuda, a_grid_goes_over_what_is_larger)
{
    struct given given;
    struct ir_text why = { 0 };

    open_given(&given,
               "symbol batch in 1..400\nadd(x: f32[batch 1000], y: f32[1000 batch]) {\n  %3 = "
               "permute y axes=[1 0] : f32[batch 1000]\n"
               "  %4 = add x, %3 : f32[batch 1000]\n  return y=%4\n}\n",
               391);
    cr_expect(is_c(&given.c, &(struct compiled_how){ .fuse = true, .threads = 1, .target = cuda },
                   0, &why),
              "%s", why.data);
    ir_text_free(&why);
    close_given(&given);
}

/* Products of each transposition whose results fill tiles of each size, with what comes before and
 * behind; 5 of 8 rows are there. */
static void open_product(struct given *given, int form, int64_t m, int64_t n, int k)
{
    static const char *const rule[] = { "mk,kn->mn", "mk,nk->mn", "km,kn->mn", "km,nk->mn" };
    struct ir_text text = { 0 };
    char rows[20], columns[20], deep[20];

    snprintf(rows, sizeof rows, m == 8 ? "batch" : "%d", (int)m);
    snprintf(columns, sizeof columns, "%d", (int)n);
    snprintf(deep, sizeof deep, "%d", k);
    const char *a0 = form < 2 ? rows : deep, *a1 = form < 2 ? deep : rows;
    ir_put(&text, "%sproduct(a: f32[%s %s], b: f32[%s %s], c: f32[%s]) {\n",
           m == 8 ? "symbol batch in 1..8\n" : "", a0, a1, form % 2 ? columns : deep,
           form % 2 ? deep : columns, columns);
    ir_put(&text, "  %%4 = neg a : f32[%s %s]\n", a0, a1);
    ir_put(&text, "  %%5 = dot %%4, b %s : f32[%s %s]\n", rule[form], rows, columns);
    ir_put(&text, "  %%6 = add %%5, c : f32[%s %s]\n  %%7 = relu %%6 : f32[%s %s]\n", rows, columns,
           rows, columns);
    ir_put(&text, "  return y=%%7\n}\n");
    open_given(given, text.data, 5);
    ir_text_free(&text);
}

static void wrong_column(struct run_planned *planned, struct ir_arena *arena);

Test(cuda, tiles_of_products_have_the_bits_of_c)
{
    static const struct {
        int64_t m, n;
        int k;
    } size[] = { { 16, 256, 9 }, { 8, 256, 33 }, { 24, 128, 17 },
                 { 6, 192, 5 },  { 64, 32, 7 },  { 130, 96, 3 } };

    for (int form = 0; form < 4; form++)
        for (size_t i = 0; i < sizeof size / sizeof *size; i++) {
            struct given given;
            struct ir_text why = { 0 };
            struct compiled_how how = {
                .fuse = true, .threads = 1, .target = cuda, .processors = 1
            };
            if (!support_long() && i % 4 != (size_t)form && i != 1)
                continue;
            open_product(&given, form, size[i].m, size[i].n, size[i].k);
            cr_expect(is_c(&given.c, &how, 1e-5, &why), "%d, %zu: %s", form, i, why.data);
            if (i == 0) { /* the tile is there, and an index of it that is wrong is seen */
                how.spoil = wrong_column;
                cr_expect(!is_c(&given.c, &how, 1e-5, &why), "%d: a wrong column is not seen",
                          form);
            }
            ir_text_free(&why);
            close_given(&given);
        }
}

static const char step[] =
    "symbol batch in 1..6\n"
    "step(x: u8[batch 1 8 8], y: i32[batch]) seed 1 {\n"
    "  %3 = cast x : f32[batch 1 8 8]\n"
    "  %4 = state conv.weight : f32[3 1 3 3] init uniform(-0.3, 0.3)\n"
    "  %5 = state conv.bias : f32[3] init uniform(-0.3, 0.3)\n"
    "  %6 = conv %3, %4 stride=[1 1] pad=[1 1 1 1] dilation=[1 1] groups=1 : f32[batch 3 8 8]\n"
    "  %7 = reshape %5 : f32[3 1 1]\n"
    "  %8 = add %6, %7 : f32[batch 3 8 8]\n"
    "  %9 = relu %8 : f32[batch 3 8 8]\n"
    "  %10 = window_max %9 window=[2 2] stride=[2 2] pad=[0 0 0 0] dilation=[1 1] : f32[batch 3 4 "
    "4]\n"
    "  %11 = reshape %10 : f32[batch 48]\n"
    "  %12 = state fc.weight : f32[10 48] init uniform(-0.2, 0.2)\n"
    "  %13 = state fc.bias : f32[10] init uniform(-0.2, 0.2)\n"
    "  %14 = dot %11, %12 mk,nk->mn : f32[batch 10]\n"
    "  %15 = add %14, %13 : f32[batch 10]\n"
    "  %16 = amax %15 axes=[1] : f32[batch]\n"
    "  %17 = stop_gradient %16 : f32[batch]\n"
    "  %18 = reshape %17 : f32[batch 1]\n"
    "  %19 = expand %18 : f32[batch 10]\n"
    "  %20 = sub %15, %19 : f32[batch 10]\n"
    "  %21 = exp %20 : f32[batch 10]\n"
    "  %22 = sum %21 axes=[1] : f32[batch]\n"
    "  %23 = reshape y : i32[batch 1]\n"
    "  %24 = expand %23 : i32[batch 10]\n"
    "  %25 = iota axis=1 : i32[batch 10]\n"
    "  %26 = eq %25, %24 : bool[batch 10]\n"
    "  %27 = const 0 : f32\n"
    "  %28 = select %26, %20, %27 : f32[batch 10]\n"
    "  %29 = sum %28 axes=[1] : f32[batch]\n"
    "  %30 = log %22 : f32[batch]\n"
    "  %31 = sub %30, %29 : f32[batch]\n"
    "  %32 = sum %31 axes=[0] : f32\n"
    "  return loss=%32\n"
    "}\n";

/* the step that trains it: a small LeNet, cross-entropy, plain gradient descent */
static void open_step(struct given *given)
{
    struct ir_loc at = { 0 };
    ir_val wrt[8], grads[8];
    int n = 0;

    open_given(given, step, 5);
    struct ir_graph *g = given->c.graph;
    for (uint32_t v = 1; v < g->count; v++)
        if (g->nodes[v].op == IR_state)
            wrt[n++] = (ir_val){ v };
    cr_assert(n == 4 && pass_gradients(g, 1, &g->outputs[0].value, NULL, n, wrt, grads), "%s",
              g->error->text);
    for (int i = 0; i < n; i++) {
        ir_val part = ir_op2(g, IR_mul, grads[i], ir_number(g, IR_F32, 0.01, at), at);
        ir_assign(g, wrt[i], ir_op2(g, IR_sub, wrt[i], part, at), at);
    }
    given->c.graph = pass_simplify(g);
    cr_assert(given->c.graph && given->c.graph->effect_count == n);
}

Test(cuda, a_training_step_has_the_bits_of_c)
{
    struct given given;
    struct ir_text why = { 0 };

    open_step(&given);
    for (int fuse = 0; fuse < 2; fuse++)
        cr_expect(nests_hold(&given.c, fuse, &why) &&
                      is_c(&given.c,
                           &(struct compiled_how){ .fuse = fuse, .threads = 1, .target = cuda },
                           1e-4, &why),
                  "%s", why.data);
    ir_text_free(&why);
    ir_graph_free(given.c.graph);
    close_given(&given);
}

/* ---- what these tests find ---- */

static void wrong_column(struct run_planned *planned, struct ir_arena *arena)
{
    compiled_replace(planned, " + 96] = relu", " + 128] = relu", arena);
}

static void without_barrier(struct run_planned *planned, struct ir_arena *arena)
{
    compiled_replace(planned, "= pair;\n    __syncthreads();", "= pair;", arena);
}

static void barrier_for_some(struct run_planned *planned, struct ir_arena *arena)
{
    compiled_replace(planned, "= pair;\n    __syncthreads();",
                     "= pair;\n    if (thread < 40) __syncthreads();", arena);
}

static void different_barriers(struct run_planned *planned, struct ir_arena *arena)
{
    compiled_replace(planned, "= pair;\n    __syncthreads();",
                     "= pair;\n    if (thread < 32)\n __syncthreads();\n else\n __syncthreads();",
                     arena);
}

static void shuffle_for_some(struct run_planned *planned, struct ir_arena *arena)
{
    compiled_replace(planned, "for (int apart = 8;", "for (int apart = thread < 40 ? 8 : 4;",
                     arena);
}

static void wrong_lane(struct run_planned *planned, struct ir_arena *arena)
{
    compiled_replace(planned, "__shfl_down_sync(0xffffffffu, x, 16)",
                     "__shfl_down_sync(0xffffffffu, x, 15)", arena);
}

static void wrong_place(struct run_planned *planned, struct ir_arena *arena)
{
    compiled_replace(planned, "part[thread / 32 * 16 + lane] = pair", "part[lane] = pair", arena);
}

static void behind_the_row(struct run_planned *planned, struct ir_arena *arena)
{
    compiled_replace(planned, "= x[100 * i + c]", "= x[100 * i + c + 200]", arena);
}

static void one_thread_less(struct run_planned *planned, struct ir_arena *arena)
{
    (void)arena;
    ((struct run_launch *)planned->launch)[0].threads--;
}

static void one_thread_more(struct run_planned *planned, struct ir_arena *arena)
{
    (void)arena;
    ((struct run_launch *)planned->launch)[0].threads++;
}

static void one_row_too_few(struct run_planned *planned, struct ir_arena *arena)
{
    (void)arena;
    ((struct run_range *)planned->launch[0].range)[0].bytes -= 800;
}

static void copies_too_little(struct run_planned *planned, struct ir_arena *arena)
{
    (void)arena;
    ((struct run_transfer *)planned->input)[0].bytes -= 1200;
}

static void copies_too_much(struct run_planned *planned, struct ir_arena *arena)
{
    (void)arena;
    ((struct run_transfer *)planned->output)[0].bytes = planned->arena_bytes + 256;
}

static int no_wait(void *stream, void *event, unsigned flags)
{
    (void)stream, (void)event, (void)flags;
    return 0;
}

static void without_wait(struct run_cuda *cuda)
{
    cuda->stream_wait = no_wait;
}

static int (*graph_kernel)(void **, void *, void *const *, size_t, const struct run_cuda_kernel *);

static int no_edges(void **node, void *graph, void *const *after, size_t count,
                    const struct run_cuda_kernel *kernel)
{
    (void)count;
    return graph_kernel(node, graph, after, 0, kernel);
}

static void without_edges(struct run_cuda *cuda)
{
    graph_kernel = cuda->graph_kernel;
    cuda->graph_kernel = no_edges;
}

static int (*upload)(run_cuda_memory, const void *, size_t, void *);

static int upload_and_scribble(run_cuda_memory to, const void *from, size_t bytes, void *stream)
{
    const int status = upload(to, from, bytes, stream);

    ((char *)from)[bytes / 2] ^= 1; /* as who does not wait before the next batch */
    return status;
}

static void with_a_hasty_host(struct run_cuda *cuda)
{
    upload = cuda->upload;
    cuda->upload = upload_and_scribble;
}

/* What the driver is asked for wrongly; a driver that does all at once, order 4, shows less. */
Test(cuda, planted_faults_around_kernels_are_found)
{
    const struct {
        void (*spoil)(struct run_planned *, struct ir_arena *);
        void (*driver)(struct run_cuda *);
        bool fused;
        int from; /* the first order that shows it */
        const char *words;
    } fault[] = {
        { copies_too_little, NULL, true, 4, "where nobody has written" },
        { copies_too_much, NULL, true, 4, "bytes from no memory" },
        { NULL, without_wait, true, 5, "nobody has waited for it" },
        { NULL, without_edges, false, 5, "where nobody has written" },
        { NULL, with_a_hasty_host, true, 5, "the host has changed" },
    };

    for (size_t i = 0; i < sizeof fault / sizeof *fault; i++)
        for (int order = fault[i].from; order < 8; order++) {
            struct given given;
            struct ir_text why = { 0 };
            struct compiled_how how = { .fuse = fault[i].fused,
                                        .threads = 1,
                                        .target = cuda,
                                        .spoil = fault[i].spoil,
                                        .driver = fault[i].driver,
                                        .order = order };
            if (!support_long() && order != fault[i].from + (int)i % 3)
                continue;
            open_softmax(&given, 100);
            cr_expect(!is_c(&given.c, &how, 2e-5, &why), "fault %zu is not seen by cuda-emu:%d", i,
                      order);
            cr_expect(why.data && strstr(why.data, fault[i].words), "fault %zu, cuda-emu:%d: %s", i,
                      order, why.data);
            ir_text_free(&why);
            close_given(&given);
        }
}

/* What each says; NULL: the numbers are wrong. By each of the orders. */
Test(cuda, planted_faults_are_found)
{
    const struct {
        void (*spoil)(struct run_planned *, struct ir_arena *);
        const char *words;
    } fault[] = { { without_barrier, "thread" },
                  { barrier_for_some, "wait " },
                  { shuffle_for_some, "warp" },
                  { wrong_lane, NULL },
                  { different_barriers, "different barriers" },
                  { wrong_place, "thread" },
                  { behind_the_row, "byte" },
                  { one_thread_less, NULL },
                  { one_thread_more, "expected up to 64" },
                  { one_row_too_few, "byte" } };

    for (size_t i = 0; i < sizeof fault / sizeof *fault; i++)
        for (int order = 4; order < 8; order++) {
            struct given given;
            struct ir_text why = { 0 };
            if (!support_long() && order != 4 + (int)i % 4)
                continue;
            struct compiled_how how = {
                .fuse = true, .threads = 1, .target = cuda, .spoil = fault[i].spoil, .order = order
            };
            open_softmax(&given, 100);
            cr_expect(!is_c(&given.c, &how, 2e-5, &why), "fault %zu is not seen by cuda-emu:%d", i,
                      order);
            if (fault[i].words)
                cr_expect(why.data && strstr(why.data, fault[i].words), "fault %zu: %s", i,
                          why.data);
            ir_text_free(&why);
            close_given(&given);
        }
}

/* ---- several kernels, one launch ---- */

/* `updates` states of three lengths, which each lose something, and a sum of columns */
static void open_updates(struct given *given, int updates)
{
    static const int lengths[] = { 300, 40, 1 };
    struct ir_text text = { 0 };
    int v = 5;

    ir_put(&text, "symbol batch in 1..6\nstep(x: f32[batch 40]");
    for (int i = 0; i < 3; i++)
        ir_put(&text, ", a%d: f32[%d]", i, lengths[i]);
    ir_put(&text, ") seed 3 {\n");
    for (int i = 0; i < updates; i++, v += 3) {
        const int n = lengths[i % 3];
        ir_put(&text, "  %%%d = state s%d : f32[%d] init uniform(-1, 1)\n", v, i, n);
        ir_put(&text, "  %%%d = sub %%%d, a%d : f32[%d]\n", v + 1, v, i % 3, n);
        ir_put(&text, "  %%%d = assign %%%d, %%%d\n", v + 2, v, v + 1);
    }
    ir_put(&text, "  %%%d = sum x axes=[0] : f32[40]\n  return y=%%%d\n}\n", v, v);
    open_given(given, text.data, 5);
    ir_text_free(&text);
}

static int launches_of(struct given *given, bool fuse)
{
    struct ir_program program = { .graph = given->c.graph };
    struct pass_options options = { .target = ir_target_by_name(cuda), .fuse = fuse, .threads = 1 };
    struct ir_error error = { 0 };
    const struct pass_compiled *p = pass_pipeline(&program, &options, given->c.arena, &error);

    cr_assert(p, "%s", error.text);
    return p->loops->launches;
}

/* Blocks as the kernels have them, and larger ones; more arrays than a launch can be given. */
Test(cuda, what_is_independent_is_one_launch)
{
    static const struct {
        int updates, launches;
    } size[] = { { 1, 1 }, { 7, 1 }, { 260, 2 } };

    for (size_t i = 0; i < sizeof size / sizeof *size; i++)
        for (int processors = 0; processors < 2; processors++) {
            struct given given;
            struct ir_text why = { 0 };
            open_updates(&given, size[i].updates);
            cr_expect(launches_of(&given, true) == size[i].launches, "%zu: %d launches", i,
                      launches_of(&given, true));
            cr_expect(launches_of(&given, false) > size[i].updates, "%zu: unfused", i);
            cr_expect(is_c(&given.c,
                           &(struct compiled_how){ .fuse = true,
                                                   .threads = 1,
                                                   .target = cuda,
                                                   .processors = processors,
                                                   .order = 4 + (int)i },
                           1e-6, &why),
                      "%zu: %s", i, why.data);
            ir_text_free(&why);
            close_given(&given);
        }
}

static void range_too_short(struct run_planned *planned, struct ir_arena *arena)
{
    compiled_replace(planned, "if (block < 30)", "if (block < 29)", arena);
}

static void one_for_another(struct run_planned *planned, struct ir_arena *arena)
{
    compiled_replace(planned, "which = block / 10;", "which = 0 * (block / 10);", arena);
}

static void wrong_array(struct run_planned *planned, struct ir_arena *arena)
{
    compiled_replace(planned, "given.array[2 * which + 1]", "given.array[2 * which + 7]", arena);
}

static void one_block_less(struct run_planned *planned, struct ir_arena *arena)
{
    (void)arena;
    ((struct run_launch *)planned->launch)[0].blocks--;
}

static void one_array_less(struct run_planned *planned, struct ir_arena *arena)
{
    (void)arena;
    ((struct run_launch *)planned->launch)[0].ranges--;
}

Test(cuda, planted_faults_in_a_launch_of_several_are_found)
{
    const struct {
        void (*spoil)(struct run_planned *, struct ir_arena *);
        const char *words; /* NULL: the numbers are wrong */
    } fault[] = { { range_too_short, NULL },
                  { one_for_another, "block" },
                  { wrong_array, NULL },
                  { one_block_less, NULL },
                  { one_array_less, "byte" } };

    for (size_t i = 0; i < sizeof fault / sizeof *fault; i++)
        for (int order = 4; order < 8; order++) {
            struct given given;
            struct ir_text why = { 0 };
            if (!support_long() && order != 4 + (int)i % 4)
                continue;
            struct compiled_how how = {
                .fuse = true, .threads = 1, .target = cuda, .spoil = fault[i].spoil, .order = order
            };
            open_updates(&given, 7);
            cr_expect(!is_c(&given.c, &how, 1e-6, &why), "fault %zu is not seen by cuda-emu:%d", i,
                      order);
            if (fault[i].words)
                cr_expect(why.data && strstr(why.data, fault[i].words), "fault %zu: %s", i,
                          why.data);
            ir_text_free(&why);
            close_given(&given);
        }
}

/* ---- NVRTC ---- */

/* false where there is no NVRTC */
static bool compiles(const struct random_case *c, bool fuse)
{
    struct ir_error error = { 0 };
    struct ir_text text = { 0 };
    struct run_cubin cubin;
    struct ir_program program = { .graph = c->graph };
    struct pass_options options = { .target = ir_target_by_name(cuda), .fuse = fuse, .threads = 1 };
    struct pass_compiled *p = pass_pipeline(&program, &options, c->arena, &error);

    if (!p) {
        cr_expect(error.status == IR_UNSUPPORTED, "%s", error.text);
        return true;
    }
    cr_assert(gen_program(&text, p->loops, &gen_target_cuda, &error), "%s", error.text);
    if (!run_cubin_load(text.data, options.target->flags, &(struct run_options){ .no_cache = true },
                        &cubin, &error)) {
        cr_expect(error.status == IR_UNSUPPORTED, "%s\n%s", error.text, text.data);
        ir_text_free(&text);
        return false;
    }
    for (const char *at = cubin.log; (at = strstr(at, "bytes stack frame, ")); at++) {
        int stores = -1, loads = -1;
        cr_expect(sscanf(at, "bytes stack frame, %d bytes spill stores, %d bytes spill loads",
                         &stores, &loads) == 2 &&
                      !stores && !loads,
                  "%s\n%s", cubin.log, text.data);
    }
    run_cubin_free(&cubin);
    ir_text_free(&text);
    return true;
}

/* what the tests of random graphs never make has no kernel of its own */
Test(cuda, nvrtc_compiles_every_operation)
{
    bool seen[IR_OPS] = { false };
    const uint64_t last = (uint64_t)support_cases(600, 3000);
    int missing = 0;

    for (uint64_t seed = 1; seed <= last; seed++) {
        struct random_case c;
        int fresh = 0;
        random_make(&c, seed, &(struct random_options){ .flat = true, .symbolic = seed % 3 == 0 });
        const bool *live = ir_live(c.graph, c.arena);
        for (uint32_t v = 1; v < c.graph->count; v++) {
            fresh += live[v] && !seen[c.graph->nodes[v].op];
            seen[c.graph->nodes[v].op] |= live[v];
        }
        if (fresh && !compiles(&c, true)) {
            random_free(&c);
            cr_skip("no libnvrtc here");
        }
        random_free(&c);
    }
    for (int op = IR_POISON + 1; op < IR_OPS; op++)
        if (!seen[op] && op != IR_scan && op != IR_result &&
            !random_never((enum ir_op)op)) /* C only */
            missing++, fprintf(stderr, "no random graph has %s\n", ir_ops[op].name);
    cr_expect(missing == 0, "%d operations", missing);
}

Test(cuda, nvrtc_compiles_a_training_step)
{
    struct given given;
    bool here = true;

    open_step(&given);
    for (int fuse = 0; fuse < 2 && here; fuse++)
        here = compiles(&given.c, fuse);
    ir_graph_free(given.c.graph);
    close_given(&given);
    if (!here)
        cr_skip("no libnvrtc here");
}

/* the text of a built-in model's training step, as the command prints it */
static void text_of(const char *model, struct ir_text *text)
{
    char line[400], part[4096];
    size_t n;

    snprintf(line, sizeof line, TAPER_BUILD "/taper show %s --stage cuda", model);
    FILE *out = popen(line, "r");
    cr_assert(out);
    while ((n = fread(part, 1, sizeof part, out)) > 0)
        ir_put_bytes(text, part, n);
    cr_assert(pclose(out) == 0 && text->size, "%s: it is not printed", model);
}

/* Every kernel of the built-in models, for the GPUs of 2020 and of 2022: none of them spills. */
Test(cuda, nvrtc_compiles_the_models)
{
    static const char *const models[] = { "mlp",   "moons",  "lenet",     "gpt",
                                          "lstm",  "gru",    "resnet20",  "autoencoder",
                                          "names", "planar", "sentiment", "gpt2" },
                             *const archs[] = { "sm_80", "sm_90a" };

    for (size_t i = 0; i < (support_long() ? sizeof models / sizeof *models : 2); i++)
        for (int a = 0; a < 2; a++) {
            struct ir_text text = { 0 };
            struct ir_error error = { 0 };
            struct run_cubin cubin;
            int kernels = 0, most = 0, registers, stores, loads;
            text_of(models[i], &text);
            const bool fine = run_cubin_load(
                text.data, archs[a], &(struct run_options){ .no_cache = true }, &cubin, &error);
            ir_text_free(&text);
            if (!fine && error.status == IR_UNSUPPORTED)
                cr_skip("no libnvrtc here");
            cr_assert(fine, "%s for %s: %s", models[i], archs[a], error.text);
            for (const char *at = cubin.log; (at = strstr(at, "bytes stack frame, ")); at++)
                cr_expect(sscanf(at, "bytes stack frame, %d bytes spill stores, %d", &stores,
                                 &loads) == 2 &&
                              !stores && !loads,
                          "%s for %s spills: %.300s", models[i], archs[a], at);
            for (const char *at = cubin.log; (at = strstr(at, "Used ")); at++, kernels++)
                if (sscanf(at, "Used %d registers", &registers) == 1 && registers > most)
                    most = registers;
            cr_expect(kernels > 5 && most <= 224, "%s for %s: %d kernels, up to %d registers",
                      models[i], archs[a], kernels, most);
            if (support_long())
                fprintf(stderr, "%s for %s: %d kernels, up to %d registers\n", models[i], archs[a],
                        kernels, most);
            run_cubin_free(&cubin);
        }
}

/* ---- what does not fit ---- */

Test(cuda, a_text_of_another_language_is_refused)
{
    for (int gpu = 0; gpu < 2; gpu++) {
        struct given given;
        struct ir_error error = { 0 };
        struct ir_text text = { 0 };
        struct pass_options options = { .target = ir_target_by_name(gpu ? "cuda" : "generic"),
                                        .fuse = true,
                                        .threads = 1 };
        open_softmax(&given, 10);
        struct pass_compiled *p =
            pass_pipeline(given.module->program[0], &options, given.c.arena, &error);
        cr_assert(p, "%s", error.text);
        cr_expect(!gen_program(&text, p->loops, gpu ? &gen_target_c : &gen_target_cuda, &error));
        cr_expect_str_eq(error.text, gpu ? "the target cuda is a GPU: its language is CUDA"
                                         : "the target generic is no GPU: its language is C");
        close_given(&given);
    }
}

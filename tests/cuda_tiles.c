/*
 * Sums of products with their operands staged in tiles (passes/schedule_staged.c): the CPU, running
 * the CUDA text as a GPU would, gets the bits of the C program, by each order of threads and of
 * copies; and what is left out of such a text is found. Tensor cores are modelled as adding in C's
 * order (a GPU has one of its own), so that bits say whether each number is where it belongs.
 */
#include "codegen/codegen.h"
#include "random.h"
#include "support.h"
#include "support_compiled.h"
#include "support_loops.h"
#include "support_runtime.h"

#include "runtime/cuda.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct given {
    struct random_case c;
    struct ir_module *module;
    struct ir_text why;
};

static void open_given(struct given *given, const char *text, int64_t batch)
{
    *given = (struct given){ .c = { .seed = 5, .arena = ir_arena_new() } };
    given->module = ir_parse("given.tp", text, strlen(text), &given->c.error);
    cr_assert(given->module, "%s\n%s", given->c.error.text, text);
    given->c.graph = given->module->program[0]->graph;
    random_bind(&given->c, batch);
}

static void close_given(struct given *given)
{
    ir_text_free(&given->why);
    ir_module_free(given->module);
    ir_arena_free(given->c.arena);
}

static bool has_kind(const struct loop_block *b, enum loop_kind kind)
{
    for (int i = 0; i < b->count; i++)
        if (b->at[i]->kind == kind || has_kind(&b->at[i]->body, kind))
            return true;
    return false;
}

/* its kernels hold as nests, are read back as they are, and one of them is staged; in fragments */
static bool is_staged(struct given *given, int processors, bool fragments, bool tf32)
{
    struct ir_program program = { .graph = given->c.graph };
    struct ir_target target = *ir_target_by_name("cuda");
    struct pass_options options = { .target = &target, .fuse = true, .threads = 1, .tf32 = tf32 };
    bool staged = false;

    target.processors = processors;
    struct pass_compiled *p = pass_pipeline(&program, &options, given->c.arena, &given->c.error);
    cr_assert(p, "%s", given->c.error.text);
    for (int k = 0; k < p->loops->kernels; k++) {
        const struct loop_kernel *kernel = p->loops->kernel[k];
        staged |= has_kind(&kernel->body, fragments ? LOOP_MULTIPLY : LOOP_MEET);
        if (!kernel->mark && !support_sound(kernel, &given->why))
            return false;
    }
    if (!staged)
        ir_put(&given->why, fragments ? "no kernel has fragments" : "no kernel has tiles");
    return staged;
}

/* the bits of C, and about the interpreter's values */
static bool is_c(struct given *given, const struct compiled_how *gpu_how, double close)
{
    struct random_case *c = &given->c;
    struct compiled_how cpu_how = { .fuse = true, .threads = 1 };
    struct ir_array *want = random_values(c), *cpu = compiled_values(c, &cpu_how),
                    *gpu = compiled_values(c, gpu_how);

    if (!want || !cpu || !gpu) {
        ir_put(&given->why, "%s", c->error.text);
        return false;
    }
    for (int i = 0; i < random_value_count(c); i++)
        if (!random_equal(&want[i], &gpu[i], close, close, &given->why) ||
            !random_equal(&cpu[i], &gpu[i], 0, 0, &given->why))
            return false;
    return true;
}

static void expect_bits(const char *text, int64_t batch, int processors, int order,
                        const char *name, bool tf32)
{
    const bool fragments = tf32 || strstr(text, "bf16");
    struct given given;
    struct compiled_how how = { .fuse = true,
                                .threads = 1,
                                .target = "cuda",
                                .processors = processors,
                                .order = 4 + order % 4,
                                .tf32 = tf32 };

    open_given(&given, text, batch);
    cr_expect(is_staged(&given, processors, fragments, tf32) && is_c(&given, &how, 1e-4),
              "%s, %d processors: %s", name, processors, given.why.data);
    close_given(&given);
}

static void expect_c(const char *text, int64_t batch, int processors, int order, const char *name)
{
    expect_bits(text, batch, processors, order, name, false);
}

/* ---- products ---- */

/* rows, columns and the sum; 0 rows: a symbol's, 5 of 70; 0 of the sum: so too */
static void put_product(struct ir_text *text, const char *type, int form, int m, int n, int k)
{
    static const char *const rule[] = { "mk,kn->mn", "mk,nk->mn", "km,kn->mn", "km,nk->mn" };
    char rows[20] = "batch", columns[20], deep[20] = "batch";

    if (m)
        snprintf(rows, sizeof rows, "%d", m);
    if (k)
        snprintf(deep, sizeof deep, "%d", k);
    snprintf(columns, sizeof columns, "%d", n);
    ir_put(text, "%sproduct(a: %s[%s %s], b: %s[%s %s], c: f32[%s], d: f32[%s %s]) {\n",
           m && k ? ""
           : m    ? "symbol batch in 1..1100\n"
                  : "symbol batch in 1..70\n",
           type, form < 2 ? rows : deep, form < 2 ? deep : rows, type, form % 2 ? columns : deep,
           form % 2 ? deep : columns, columns, rows, columns);
    const bool narrow = strcmp(type, "f32") != 0;
    if (narrow)
        ir_put(text, "  %%5 = cast a : f32[%s %s]\n  %%6 = cast b : f32[%s %s]\n",
               form < 2 ? rows : deep, form < 2 ? deep : rows, form % 2 ? columns : deep,
               form % 2 ? deep : columns);
    ir_put(text, "  %%7 = dot %s %s : f32[%s %s]\n", narrow ? "%5, %6" : "a, b", rule[form], rows,
           columns);
    ir_put(text, "  %%8 = add %%7, c : f32[%s %s]\n  %%9 = relu %%8 : f32[%s %s]\n", rows, columns,
           rows, columns);
    ir_put(text, "  %%10 = add %%9, d : f32[%s %s]\n  return y=%%10\n}\n", rows, columns);
}

Test(cuda_tiles, products_have_the_bits_of_c)
{
    static const struct {
        int m, n, k;
    } size[] = { { 128, 128, 32 }, { 70, 100, 40 }, { 33, 132, 17 },
                 { 0, 64, 48 },    { 64, 40, 0 },   { 130, 34, 64 } };

    for (int form = 0; form < 4; form++)
        for (size_t i = 0; i < sizeof size / sizeof *size; i++)
            for (int few = 0; few < 2; few++) {
                struct ir_text text = { 0 };
                if (!support_long() && (i + (size_t)form + (size_t)few) % 4)
                    continue;
                put_product(&text, "f32", form, size[i].m, size[i].n, size[i].k);
                expect_c(text.data, size[i].k ? 61 : 1051, few ? 1 : 132, (int)i + form, text.data);
                ir_text_free(&text);
            }
}

/* rows that 8 elements fill, that 4 do, that 2 do, and no 2 */
Test(cuda_tiles, halves_are_multiplied_in_fragments)
{
    static const struct {
        int m, n, k;
    } size[] = { { 128, 128, 64 }, { 72, 100, 40 }, { 34, 130, 50 }, { 33, 35, 17 },
                 { 0, 64, 48 },    { 64, 40, 0 },   { 136, 40, 72 } };

    for (int form = 0; form < 4; form++)
        for (size_t i = 0; i < sizeof size / sizeof *size; i++)
            for (int few = 0; few < 2; few++) {
                struct ir_text text = { 0 };
                if (!support_long() && (i + (size_t)form + 4 * (size_t)few) % 8)
                    continue;
                put_product(&text, "bf16", form, size[i].m, size[i].n, size[i].k);
                expect_c(text.data, size[i].k ? 61 : 1051, few ? 1 : 132, (int)i + form, text.data);
                ir_text_free(&text);
            }
    expect_c("symbol batch in 1..50\n"
             "layer(x: f32[batch 72], w: f32[40 72], b: f32[40]) {\n"
             "  %4 = cast x : bf16[batch 72]\n  %5 = cast w : bf16[40 72]\n"
             "  %6 = dot %4, %5 mk,nk->mn : bf16[batch 40]\n"
             "  %7 = cast %6 : f32[batch 40]\n  %8 = add %7, b : f32[batch 40]\n"
             "  return y=%8\n}\n",
             43, 132, 2, "of f32 that become bf16");
}

/* An f16 has the bits of TF32, so nothing is lost of it; of others what is behind the 10th bit. */
Test(cuda_tiles, tf32_is_multiplied_in_fragments)
{
    static const struct {
        int m, n, k;
    } size[] = { { 128, 64, 32 }, { 72, 100, 40 }, { 33, 35, 17 }, { 0, 64, 48 } };

    for (int form = 0; form < 4; form++)
        for (int i = 0; i < 4; i++) {
            struct ir_text text = { 0 };
            if (!support_long() && (i + form) % 4)
                continue;
            put_product(&text, "f16", form, size[i].m, size[i].n, size[i].k);
            expect_bits(text.data, 61, i % 2 ? 1 : 132, i + form, text.data, true);
            ir_text_free(&text);
        }
    const struct compiled_how how = { .fuse = true, .threads = 1, .target = "cuda", .tf32 = true };
    struct ir_text text = { 0 };
    struct given given;
    put_product(&text, "f32", 1, 64, 64, 64);
    open_given(&given, text.data, 1);
    struct ir_array *want = random_values(&given.c), *got = compiled_values(&given.c, &how);
    cr_assert(want && got, "%s", given.c.error.text);
    cr_expect(random_equal(&want[0], &got[0], 1e-2, 1e-2, &given.why), "%s", given.why.data);
    cr_expect(!random_equal(&want[0], &got[0], 1e-6, 1e-6, &given.why), "nothing was rounded");
    close_given(&given);
    ir_text_free(&text);
}

Test(cuda_tiles, batches_and_prologues_have_the_bits_of_c)
{
    expect_c("symbol batch in 1..3\n"
             "heads(a: f32[batch 2 40 36], b: f32[batch 2 44 36]) {\n"
             "  %3 = dot a, b bhmk,bhnk->bhmn : f32[batch 2 40 44]\n"
             "  return y=%3\n}\n",
             2, 132, 0, "a batch of heads");
    expect_c("symbol batch in 1..50\n"
             "pixels(a: u8[batch 48], b: f32[64 48]) {\n"
             "  %3 = cast a : f32[batch 48]\n"
             "  %4 = dot %3, b mk,nk->mn : f32[batch 64]\n"
             "  return y=%4\n}\n",
             43, 132, 1, "bytes that become numbers");
    expect_c("halves(a: bf16[48 48], b: bf16[48 64]) {\n"
             "  %3 = cast a : f32[48 48]\n  %4 = cast b : f32[48 64]\n"
             "  %5 = dot %3, %4 mk,kn->mn : f32[48 64]\n"
             "  return y=%5\n}\n",
             1, 132, 3, "halves");
}

/* ---- convolutions ---- */

enum direction { FORWARD, INPUT, WEIGHT };

static void put_convolution(struct ir_text *text, enum direction direction, const char *type)
{
    static const struct {
        const char *first, *second, *shape[2], *op, *size, *result;
    } of[] = {
        { "x", "w", { "batch 5 9 10", "36 5 3 3" }, "conv", "", "batch 36 5 10" },
        { "y", "w", { "batch 8 5 10", "8 36 3 3" }, "conv_input", " size=[9 10]", "batch 36 9 10" },
        { "x", "y", { "batch 5 9 10", "batch 36 5 10" }, "conv_weight", " size=[3 3]", "36 5 3 3" }
    };
    const bool narrow = strcmp(type, "f32") != 0;

    ir_put(text, "symbol batch in 1..3\nconv(%s: %s[%s], %s: %s[%s]%s) {\n", of[direction].first,
           type, of[direction].shape[0], of[direction].second, type, of[direction].shape[1],
           direction == FORWARD ? ", b: f32[36 1 1]" : "");
    if (narrow)
        ir_put(text, "  %%10 = cast %s : f32[%s]\n  %%11 = cast %s : f32[%s]\n",
               of[direction].first, of[direction].shape[0], of[direction].second,
               of[direction].shape[1]);
    ir_put(text,
           "  %%12 = %s %s, %s stride=[2 1] pad=[1 1 1 1] dilation=[1 1] groups=1%s : f32[%s]\n",
           of[direction].op, narrow ? "%10" : of[direction].first,
           narrow ? "%11" : of[direction].second, of[direction].size, of[direction].result);
    if (direction == FORWARD)
        ir_put(text, "  %%13 = add %%12, b : f32[%s]\n  %%14 = relu %%13 : f32[%s]\n",
               of[direction].result, of[direction].result);
    ir_put(text, "  return r=%%%d\n}\n", direction == FORWARD ? 14 : 12);
}

static void expect_convolution(enum direction direction, const char *type, int64_t batch,
                               int processors, int order)
{
    struct ir_text text = { 0 };

    put_convolution(&text, direction, type);
    expect_c(text.data, batch, processors, order, text.data);
    ir_text_free(&text);
}

Test(cuda_tiles, convolutions_have_the_bits_of_c)
{
    for (int order = 0; order < (support_long() ? 4 : 1); order++) {
        expect_convolution(FORWARD, "f32", 2, order % 2 ? 132 : 1, order);
        expect_convolution(INPUT, "f32", 2, order % 2 ? 1 : 132, order + 1);
        expect_convolution(WEIGHT, "f32", 3, 132, order + 2);
        expect_convolution(FORWARD, "bf16", 2, order % 2 ? 1 : 132, order + 3);
        for (int more = INPUT; support_long() && more <= WEIGHT; more++)
            expect_convolution((enum direction)more, "bf16", 3, order % 2 ? 132 : 1, order);
    }
}

/* ---- what these tests find ---- */

static void without_barrier(struct run_planned *planned, struct ir_arena *arena)
{
    compiled_replace(planned, "copies_arrive();\n        __syncthreads();", "copies_arrive();",
                     arena);
}

static void without_arrival(struct run_planned *planned, struct ir_arena *arena)
{
    compiled_replace(planned, "copies_arrive();\n        __syncthreads();", "__syncthreads();",
                     arena);
}

static void into_the_wrong_half(struct run_planned *planned, struct ir_arena *arena)
{
    compiled_replace(planned, "* (next % 2)", "* (k % 2)", arena);
}

static void from_the_wrong_half(struct run_planned *planned, struct ir_arena *arena)
{
    compiled_replace(planned, "* (k % 2)", "* ((k + 1) % 2)", arena);
}

static void behind_the_rows(struct run_planned *planned, struct ir_arena *arena)
{
    compiled_replace(planned, "if (32 * rows + top < 70", "if (32 * rows + top < 96", arena);
}

static void behind_the_sum(struct run_planned *planned, struct ir_arena *arena)
{
    compiled_replace(planned, "16 * next < 40", "16 * next < 48",
                     arena); /* of one, it would be times 0 */
    compiled_replace(planned, "16 * next + 8 * copy < 40", "16 * next + 8 * copy < 48", arena);
}

static void not_aligned(struct run_planned *planned, struct ir_arena *arena)
{
    compiled_replace(planned, "= 4 * (thread % 8)", "= 4 * (thread % 8) + 1", arena);
}

static void behind_the_columns(struct run_planned *planned, struct ir_arena *arena)
{
    compiled_replace(planned, "if (32 * rows + top + 1 < 70 && 32 * columns + left < 100)",
                     "if (32 * rows + top + 1 < 70)", arena);
}

static void results_of_other_threads(struct run_planned *planned, struct ir_arena *arena)
{
    compiled_replace(planned, "2 * (member % 4)", "2 * (member / 8 % 4)", arena);
}

static void rows_of_other_threads(struct run_planned *planned, struct ir_arena *arena)
{
    compiled_replace(planned, "member % 16 * pitch", "member / 2 * pitch", arena);
}

static void not_turned(struct run_planned *planned, struct ir_arena *arena)
{
    compiled_replace(planned, "row, 1)", "row, 0)", arena);
}

static void matrices_in_another_order(struct run_planned *planned, struct ir_arena *arena)
{
    compiled_replace(planned, "(member % 8 + member / 16 * 8) * pitch", "(member % 16) * pitch",
                     arena);
}

static void words_of_other_threads(struct run_planned *planned, struct ir_arena *arena)
{
    compiled_replace(planned, "member % 4 * pitch + member / 4", "member % 8 * pitch + member / 8",
                     arena);
}

static void fragments_not_aligned(struct run_planned *planned, struct ir_arena *arena)
{
    compiled_replace(planned, "member / 16 * 8)", "member / 16 * 4)", arena);
}

/* What each says; NULL: the numbers are wrong. By each of the orders that can see it. */
Test(cuda_tiles, planted_faults_are_found)
{
    const struct {
        void (*spoil)(struct run_planned *, struct ir_arena *);
        const char *words;
        bool late; /* seen where copies come late */
        const char *type;
    } fault[] = { { without_barrier, "shared memory", false, "f32" },
                  { without_arrival, NULL, true, "f32" },
                  { into_the_wrong_half, "shared memory", false, "f32" },
                  { from_the_wrong_half, NULL, false, "f32" },
                  { behind_the_rows, "byte", false, "f32" },
                  { behind_the_sum, NULL, false, "f32" },
                  { not_aligned, "multiple of its size", false, "f32" },
                  { behind_the_columns, NULL, false, "f32" },
                  { without_barrier, "shared memory", false, "bf16" },
                  { without_arrival, NULL, true, "bf16" },
                  { results_of_other_threads, NULL, false, "bf16" },
                  { rows_of_other_threads, NULL, false, "bf16" },
                  { not_turned, NULL, false, "bf16" },
                  { matrices_in_another_order, NULL, false, "bf16" },
                  { fragments_not_aligned, "multiple of 16", false, "bf16" },
                  { words_of_other_threads, NULL, false, "f16" } };

    for (size_t i = 0; i < sizeof fault / sizeof *fault; i++)
        for (int order = 4; order < 8; order++) {
            struct given given;
            struct ir_text text = { 0 };
            struct compiled_how how = { .fuse = true,
                                        .threads = 1,
                                        .target = "cuda",
                                        .spoil = fault[i].spoil,
                                        .tf32 = strcmp(fault[i].type, "f16") == 0,
                                        .order = order };
            if (fault[i].late ? order % 2 == 0 : !support_long() && order != 4 + (int)i % 4)
                continue;
            put_product(&text, fault[i].type, 0, 70, 100, 40);
            open_given(&given, text.data, 1);
            cr_expect(!is_c(&given, &how, 1e-4), "fault %zu is not seen by cuda-emu:%d", i, order);
            if (fault[i].words)
                cr_expect(given.why.data && strstr(given.why.data, fault[i].words), "fault %zu: %s",
                          i, given.why.data);
            close_given(&given);
            ir_text_free(&text);
        }
}

/* ---- NVRTC ---- */

/* no spills, and registers left; false where there is no NVRTC */
static bool fits_registers(const char *text, const char *arch)
{
    struct given given;
    struct ir_text cuda = { 0 };
    struct run_cubin cubin;
    int stores, loads, registers = 255;
    struct pass_options options = { .target = ir_target_by_name("cuda"),
                                    .fuse = true,
                                    .threads = 1,
                                    .tf32 = strstr(text, "a: f16") != NULL };

    open_given(&given, text, 1);
    struct ir_program program = { .graph = given.c.graph };
    struct pass_compiled *p = pass_pipeline(&program, &options, given.c.arena, &given.c.error);
    cr_assert(p && gen_program(&cuda, p->loops, &gen_target_cuda, &given.c.error), "%s",
              given.c.error.text);
    const bool here = run_cubin_load(cuda.data, arch, &(struct run_options){ .no_cache = true },
                                     &cubin, &given.c.error);
    if (here) {
        const char *spills = strstr(cubin.log, "bytes stack frame, "),
                   *used = strstr(cubin.log, "Used ");
        cr_expect(spills && used &&
                      sscanf(spills, "bytes stack frame, %d bytes spill stores, %d", &stores,
                             &loads) == 2 &&
                      !stores && !loads && sscanf(used, "Used %d registers", &registers) == 1 &&
                      registers <= 200,
                  "%s: %s\n%s", arch, cubin.log, text);
        cr_expect(strstr(cuda.data, strstr(text, "bf16")     ? "multiply_bf16"
                                    : strstr(text, "a: f16") ? "multiply_tf32"
                                                             : "tile_rows["),
                  "%s", cuda.data);
        run_cubin_free(&cubin);
    } else {
        cr_expect(given.c.error.status == IR_UNSUPPORTED, "%s", given.c.error.text);
    }
    ir_text_free(&cuda);
    close_given(&given);
    return here;
}

Test(cuda_tiles, large_tiles_stay_in_registers)
{
    static const char *const archs[] = { "sm_80", "sm_90a" };

    static const char *const types[] = { "f32", "bf16", "f16" };

    for (int i = 0; i < 12; i++)
        for (size_t a = 0; a < sizeof archs / sizeof *archs; a++) {
            const int form = i % 4, type = i / 4;
            struct ir_text text = { 0 };
            if (!support_long() && (size_t)(form + type) % 2 != a)
                continue;
            put_product(&text, types[type], form, 2048, 2048, 2048 + 8 * form);
            const bool here = fits_registers(text.data, archs[a]);
            ir_text_free(&text);
            if (!here)
                cr_skip("no libnvrtc here");
        }
}

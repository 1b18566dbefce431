/*
 * trainer_gpu: what a trainer that runs on a GPU has besides its C: the kernels' text or their
 * compiled image, and the programs as lists of launches, whose arguments are places.
 */
#include "codegen/trainer_gpu.h"

#include "codegen/blocks.h"

#include <inttypes.h>
#include <string.h>

extern const char gen_text_trainer_gpu_main[];

static const struct loop_program *program_of(const struct gen_trainer *t, int which)
{
    return which ? t->eval : t->step;
}

bool gen_gpu_loops(const struct gen_trainer *t)
{
    for (int which = 0; which < (t->eval ? 2 : 1); which++)
        for (int i = 0; i < program_of(t, which)->kernels; i++)
            if (program_of(t, which)->kernel[i]->mark)
                return true;
    return false;
}

/* Bytes as numbers: no compiler sets a limit to those. */
static void put_image(struct ir_text *out, const struct gen_gpu *gpu)
{
    const unsigned char *at = gpu->image;

    ir_put(out, "#define IMAGE_ARCH \"%s\"\nstatic const unsigned char image[%zu] ", gpu->arch,
           gpu->bytes);
    ir_put(out, "__attribute__((aligned(16))) = {");
    for (size_t i = 0; i < gpu->bytes; i++)
        ir_put(out, "%s%d,", i % 24 ? "" : "\n    ", at[i]);
    ir_put(out, "\n};\n\n");
}

static int most_arguments(const struct gen_trainer *t, int *symbols)
{
    int most = 1;

    *symbols = 1;
    for (int which = 0; which < (t->eval ? 2 : 1); which++) {
        const struct loop_program *p = program_of(t, which);
        *symbols = p->graph->symbols > *symbols ? p->graph->symbols : *symbols;
        for (int i = 0; i < p->launches; i++) {
            const int arrays = loop_launch_arrays(p, &p->launch[i], NULL);
            most = arrays > most ? arrays : most;
        }
    }
    return most + *symbols;
}

static int index_of(const struct ir_graph *g, int64_t dim)
{
    for (int s = 0; s < g->symbols; s++)
        if (g->dimension[dim - INT64_MIN].power[s])
            return s;
    return 0;
}

static bool has_loops(const struct loop_program *p)
{
    for (int i = 0; i < p->kernels; i++)
        if (p->kernel[i]->mark)
            return true;
    return false;
}

static const struct loop_buffer **arrays_of(const struct loop_program *p,
                                            const struct loop_launch *l, int *count)
{
    const struct loop_buffer **array;

    *count = loop_launch_arrays(p, l, NULL);
    array = ir_alloc(p->arena, ((size_t)*count + 1) * sizeof(void *));
    loop_launch_arrays(p, l, array);
    return array;
}

static void put_arguments(struct ir_text *out, const struct loop_program *p, const char *name)
{
    int n = 0, count;

    ir_put(out, "static const struct place %s_argument[] = {", name);
    for (int i = 0; i < p->launches; i++) {
        const struct loop_buffer **array = arrays_of(p, &p->launch[i], &count);
        for (int b = 0; b < count; b++, n++)
            ir_put(out, "%s{ %d, %" PRId64 ", %" PRId64 " },", n % 4 ? " " : "\n    ",
                   array[b]->base, array[b]->offset,
                   array[b]->elements * ir_dtypes[array[b]->dtype].bytes);
    }
    ir_put(out, "%s\n};\n", n ? "" : "\n    { 0, 0, 0 },");
}

static void put_launches(struct ir_text *out, const struct loop_program *p, const char *name,
                         bool loops)
{
    int first = 0;

    ir_put(out, "static const struct launch %s_launch[] = {\n", name);
    for (int i = 0; i < p->launches; i++) {
        const struct loop_launch *l = &p->launch[i];
        const struct loop_kernel *k = p->kernel[l->kernel[0]];
        const int arrays = loop_launch_arrays(p, l, NULL);
        if (k->mark)
            ir_put(out, "    { NULL, 0, 0, true, %d, %d, %d, %d, %s },\n", first, arrays,
                   k->mark == LOOP_BEGIN ? 1 : 2,
                   k->mark == LOOP_BEGIN ? index_of(p->graph, k->index) : 0,
                   k->reverse ? "true" : "false");
        else
            ir_put(out, "    { KERNEL(%s_%s), %" PRId64 ", %" PRId64 ", %s, %d, %d%s },\n", name,
                   gen_launched(p->arena, p, l), l->blocks, l->threads,
                   l->barrier ? "true" : "false", first, arrays, loops ? ", 0, 0, false" : "");
        first += arrays;
    }
    ir_put(out, "};\n");
}

/* How many turns a loop of launches has. */
static void put_lengths(struct ir_text *out, const struct loop_program *p, const char *name)
{
    ir_put(out, "static int64_t %s_length(const long *dims, int launch)\n{\n    (void)dims;\n",
           name);
    for (int i = 0; i < p->launches; i++) {
        const struct loop_kernel *k = p->kernel[p->launch[i].kernel[0]];
        if (k->mark != LOOP_BEGIN)
            continue;
        ir_put(out, "    if (launch == %d)\n        return ", i);
        gen_put_extent(out, p->graph, k->length);
        ir_put(out, ";\n");
    }
    ir_put(out, "    return 0;\n}\n");
}

static int put_outputs(struct ir_text *out, const struct loop_program *p, const char *name)
{
    int n = 0;

    ir_put(out, "static const struct place %s_output[] = { /* what it says */\n", name);
    for (int i = 0; i < p->graph->output_count; i++) {
        const ir_val v = p->graph->outputs[i].value;
        for (int j = 0; j < p->places; j++)
            if (p->place[j].value.id == v.id) {
                ir_put(out, "    { %d, %" PRId64 ", %" PRId64 " },\n", p->place[j].base,
                       p->place[j].offset, p->place[j].bytes);
                n++;
                break;
            }
    }
    ir_put(out, "%s};\n", n ? "" : "    { 0, 0, 0 },\n");
    return n;
}

static void put_program(struct ir_text *out, const struct gen_trainer *t, int which)
{
    const struct loop_program *p = program_of(t, which);
    const char *name = which ? "eval" : "step";
    const bool loops = gen_gpu_loops(t);

    put_arguments(out, p, name);
    put_launches(out, p, name, loops);
    const int outputs = put_outputs(out, p, name);
    if (loops)
        put_lengths(out, p, name);
    ir_put(out, "static gpu_node %s_node[%d];\n", name, p->launches ? p->launches : 1);
    ir_put(out,
           "static struct gpu_program %s = { \"%s\", %s_launch, %s_argument, %s_output, "
           "%s_input,\n    %s_node, %d, %d, %d,",
           name, name, name, name, name, name, name, p->launches, outputs, p->graph->symbols);
    if (loops)
        ir_put(out, " %s, %s_length,", has_loops(p) ? "true" : "false", name);
    ir_put(out, " NULL, { 0 } };\n\n");
}

static void put_programs(struct ir_text *out, const struct gen_trainer *t)
{
    for (int which = 0; which < (t->eval ? 2 : 1); which++)
        put_program(out, t, which);
    ir_put(out,
           "enum { PROGRAMS = %d };\nstatic struct gpu_program *const programs[PROGRAMS] "
           "__attribute__((unused)) = { &step%s };\n\n",
           t->eval ? 2 : 1, t->eval ? ", &eval" : "");
}

static void put_kernels(struct ir_text *out, const struct gen_trainer *t)
{
    (void)t;
    ir_put(
        out,
        "/*\n"
        " * A kernel is a function that so many blocks of threads run, each its own part: loops\n"
        " * that were fused, with their maths as its comment. Arrays are called after what makes\n"
        " * them (relu11 = relu(..)) wherever they are read; where they lie is in the list of\n"
        " * arguments, behind the kernels. A place, as in // models.c:45 fc1, holds for the\n"
        " * lines after it too, up to the next.\n"
        " */\n\n");
}

/* The text of both programs' kernels, for nvcc or to be compiled into an image. */
bool gen_gpu_kernels(struct ir_text *out, const struct gen_trainer *t, struct ir_error *error)
{
    const struct gen_unit unit[] = {
        { .program = t->step, .entry = "step", .prefix = "step_", .bare = true },
        { .program = t->eval, .entry = "eval", .prefix = "eval_", .bare = true }
    };

    return gen_programs(out, unit, t->eval ? 2 : 1, &gen_target_cuda, error);
}

bool gen_put_gpu(struct ir_text *out, const struct gen_trainer *t, gen_holds *holds,
                 struct ir_error *error)
{
    const char *text = gen_text_trainer_gpu_main, *tables = strstr(text, "\nstatic struct {\n");
    struct ir_text blocks = { 0 };
    int symbols;
    const int arguments = most_arguments(t, &symbols);

    if (gen_has_calls(t->step) || (t->eval && gen_has_calls(t->eval)))
        return ir_error(error, IR_UNSUPPORTED, "a trainer for a GPU calls no C function: custom");
    if (!tables)
        ir_bug("trainer_gpu_main.h: no place for the tables");
    put_kernels(out, t);
    if (t->gpu->image)
        put_image(out, t->gpu);
    else if (!gen_gpu_kernels(out, t, error))
        return false;
    ir_put(out, "enum { SYMBOLS = %d, ARGUMENTS = %d };\n\n", symbols, arguments);
    gen_put_blocks(&blocks, text, false, holds, t);
    /* the tables stand behind the types that they are of */
    tables = strstr(blocks.data, "\nstatic struct {\n");
    ir_put_bytes(out, blocks.data, (size_t)(tables - blocks.data) + 1);
    put_programs(out, t);
    ir_put(out, "%s", tables + 1);
    ir_text_free(&blocks);
    return true;
}

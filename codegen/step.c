/*
 * step: the whole program: what it needs of maths, a function a kernel, and the function that runs them in order in one parallel region.
 */
#include "codegen.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

const struct gen_target gen_target_c = { .language = GEN_C, .vectors = true, .kernel_head = "static void" };

static void name_all(struct gen *e, const struct loop_program *p, const struct loop_kernel *k)
{
    char **names = ir_alloc(e->arena, (size_t)(k->buffers + k->axes + 1) * sizeof *names);

    e->buffer = (const char **)names;
    e->axis = (const char **)names + k->buffers;
    for (int i = 0; i < k->buffers + k->axes; i++) {
        bool        buffer = i < k->buffers;
        const char *own = buffer ? k->buffer[i].name : k->axis[i - k->buffers].name;
        const char *name = gen_identifier(e->arena, own, buffer ? ir_format(e->arena, "t%u", k->buffer[i].value.id) : "i");
        const char *unique = name;
        for (int j = 0, n = 2; j < i; j++)
            if (!strcmp(names[j], unique)) {
                unique = ir_format(e->arena, "%s%d", name, n++);
                j = -1;
            }
        for (int s = 0; s < p->graph->symbols; s++)
            if (!strcmp(unique, p->graph->symbol[s].name))
                unique = ir_format(e->arena, "%s_", unique);
        names[i] = (char *)unique;
    }
}

static bool reads_symbol(const struct loop_kernel *k, const struct ir_graph *g, int symbol)
{
    for (uint32_t i = 0; i < k->atoms; i++)
        if (k->atom[i].kind == LOOP_ATOM_DIM && g->dimension[k->atom[i].dim - INT64_MIN].power[symbol])
            return true;
    return false;
}

void gen_kernel(struct ir_text *out, const struct loop_program *p, const struct loop_kernel *k, const struct gen_target *target)
{
    struct gen e = { .out = out, .k = (struct loop_kernel *)k, .target = target, .arena = p->arena, .vector = -1, .depth = 1 };

    name_all(&e, p, k);
    e.newest = ir_alloc(p->arena, k->values * sizeof *e.newest);
    for (uint32_t v = 0; v < k->values; v++)
        e.newest[v] = -1;
    if (k->comment)
        ir_put(out, "/* %s */\n", k->comment);
    ir_put(out, "%s %s(const int thread, const int threads, char *const *base, const long *dims)\n{\n", target->kernel_head,
           k->name);
    for (int i = 0; i < k->buffers; i++) {
        const struct loop_buffer *b = &k->buffer[i];
        const char               *type = gen_type(&e, b->dtype, false);
        if (b->dtype == IR_BOOL)
            type = "u8";
        const char *constant = b->written ? "" : "const ";
        if (b->scratch)
            ir_put(out, "    %s *%s = (%s *)(base[0] + %" PRId64 " + thread * %" PRId64 "L);\n", type, e.buffer[i], type,
                   p->scratch_offset + b->offset, p->scratch);
        else
            ir_put(out, "    %s%s *%s = (%s%s *)(base[%d] + %" PRId64 ");\n", constant, type, e.buffer[i], constant, type,
                   b->base, b->offset);
    }
    for (int s = 0; s < p->graph->symbols; s++)
        if (reads_symbol(k, p->graph, s))
            ir_put(out, "    const long %s = dims[%d];\n", gen_identifier(e.arena, p->graph->symbol[s].name, "n"), s);
    gen_block(&e, &k->body);
    ir_put(out, "    (void)thread, (void)threads, (void)base, (void)dims;\n}\n\n");
}

static void put_head(struct ir_text *out, const struct loop_program *p)
{
    ir_put(out, "/*\n * %s: %d kernels; arena %" PRId64 " bytes, states %" PRId64 " bytes.\n *\n", p->name, p->kernels,
           p->arena_bytes, p->state_bytes);
    ir_put(out, " * base[0] is the arena, base[1] the states; dims:");
    for (int s = 0; s < p->graph->symbols; s++)
        ir_put(out, " %s in %" PRId64 "..%" PRId64, gen_place(p->arena, (struct ir_loc){ 0 }, p->graph->symbol[s].name),
               p->graph->symbol[s].lo, p->graph->symbol[s].hi);
    ir_put(out, "%s.\n */\n", p->graph->symbols ? "" : " none");
}

/* thread 0 alone runs what is too small to share */
static void put_run(struct ir_text *out, const struct loop_program *p)
{
    bool gates = false;

    for (int i = 0; i < p->kernels; i++)
        gates |= p->kernel[i]->barrier;
    ir_put(out, "static void run(const int thread, const int threads, char *const *base, const long *dims)\n{\n");
    if (gates)
        ir_put(out, "    u32 *gate = (u32 *)base[0];\n");
    for (int i = 0; i < p->kernels; i++) {
        const struct loop_kernel *k = p->kernel[i];
        if (k->barrier)
            ir_put(out, "    barrier(gate, (u32)threads);\n");
        if (k->shared)
            ir_put(out, "    %s(thread, threads, base, dims);\n", k->name);
        else
            ir_put(out, "    if (thread == 0)\n        %s(0, 1, base, dims);\n", k->name);
    }
    ir_put(out, "    (void)thread, (void)threads, (void)base, (void)dims;\n}\n\n");
}

static void put_entry(struct ir_text *out, const struct loop_program *p, const char *name)
{
    ir_put(out, "__attribute__((visibility(\"default\"))) void %s(char *const *base, const long *dims, const int threads)\n{\n",
           name);
    ir_put(out, "#ifdef _OPENMP\n    if (threads > 1) {\n#pragma omp parallel num_threads(threads)\n"
                "        run(omp_get_thread_num(), omp_get_num_threads(), base, dims);\n        return;\n    }\n#endif\n"
                "    run(0, 1, base, dims);\n    (void)threads;\n}\n");
    (void)p;
}

/* gen_maths prints to a stream */
static bool put_maths(struct ir_text *out, const char *program)
{
    char  *text = NULL;
    size_t size = 0;
    FILE  *stream = open_memstream(&text, &size);
    bool   good = stream && gen_maths(stream, program, GEN_C);

    if (stream)
        good &= fclose(stream) == 0;
    if (good)
        ir_put(out, "%s", text);
    free(text);
    return good;
}

bool gen_program(struct ir_text *out, const struct loop_program *p, const struct gen_target *target, struct ir_error *error)
{
    struct ir_text body = { 0 };
    const char    *name = gen_identifier(p->arena, p->name, "step");

    for (int i = 0; i < p->kernels; i++)
        gen_kernel(&body, p, p->kernel[i], target);
    put_run(&body, p);
    put_entry(&body, p, name);
    put_head(out, p);
    if (!put_maths(out, body.data)) {
        ir_text_free(&body);
        return ir_error(error, IR_FAILED, "no memory for the program's text");
    }
    ir_put(out, "#ifdef _OPENMP\nextern int omp_get_thread_num(void);\nextern int omp_get_num_threads(void);\n#endif\n\n");
    if (strstr(body.data, "floor_div("))
        ir_put(out, "/* rounds down, where C rounds towards zero */\nstatic inline long floor_div(const long a, const long b)\n"
                    "{\n    return (a < 0 ? a - (b - 1) : a) / b;\n}\n\n");
    ir_put(out, "%s", body.data);
    ir_text_free(&body);
    return true;
}

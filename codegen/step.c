/*
 * step: the whole program: what it needs of maths, a function a kernel, and what runs them in order.
 */
#include "codegen.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

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
            if (!strcmp(unique, gen_symbol(e->arena, p->graph, s)))
                unique = ir_format(e->arena, "%s_", unique);
        if (!buffer && k->axis[i - k->buffers].role == LOOP_GRID)
            unique = "block";
        if (!buffer && k->axis[i - k->buffers].role == LOOP_BLOCK)
            unique = "thread";
        names[i] = (char *)unique;
    }
}

void gen_kernel(struct ir_text *out, const struct loop_program *p, const struct loop_kernel *k, const struct gen_target *target)
{
    struct gen e = { .out = out, .k = (struct loop_kernel *)k, .target = target, .arena = p->arena, .vector = -1, .depth = 1 };
    int64_t    blocks, threads;

    gen_launch(k, &blocks, &threads);
    e.threads = (int)threads;
    name_all(&e, p, k);
    e.newest = ir_alloc(p->arena, k->values * sizeof *e.newest);
    for (uint32_t v = 0; v < k->values; v++)
        e.newest[v] = -1;
    if (k->comment)
        ir_put(out, "/* %s */\n", k->comment);
    target->open(&e, p);
    for (int i = 0; i < k->buffers; i++) {
        const struct loop_buffer *b = &k->buffer[i];
        const char               *type = b->dtype == IR_BOOL ? "u8" : gen_type(&e, b->dtype, false);
        const char               *constant = b->written ? "" : "const ";
        if (b->scratch)
            ir_put(out, "    %s *%s = (%s *)(%s + %" PRId64 " + thread * %" PRId64 "L);\n", type, e.buffer[i], type,
                   target->base(&e, 0), p->scratch_offset + b->offset, p->scratch);
        else
            ir_put(out, "    %s%s *%s = (%s%s *)(%s + %" PRId64 ");\n", constant, type, e.buffer[i], constant, type,
                   target->base(&e, b->base), b->offset);
    }
    gen_block(&e, &k->body);
    target->close(&e);
}

static void put_head(struct ir_text *out, const struct loop_program *p, const struct gen_target *target)
{
    ir_put(out, "/*\n * %s: %d kernels; arena %" PRId64 " bytes, states %" PRId64 " bytes.\n *\n * %s:",
           gen_identifier(p->arena, p->name, "step"), p->kernels, p->arena_bytes, p->state_bytes, target->called);
    for (int s = 0; s < p->graph->symbols; s++)
        ir_put(out, " %s in %" PRId64 "..%" PRId64, gen_symbol(p->arena, p->graph, s), p->graph->symbol[s].lo,
               p->graph->symbol[s].hi);
    ir_put(out, "%s.\n */\n", p->graph->symbols ? "" : " none");
}

/* gen_maths prints to a stream */
static bool put_maths(struct ir_text *out, const char *program, enum gen_language language)
{
    char  *text = NULL;
    size_t size = 0;
    FILE  *stream = open_memstream(&text, &size);
    bool   good = stream && gen_maths(stream, program, language);

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
    bool           gpu = p->target->processors > 0;

    if (gpu != (target->language == GEN_CUDA))
        return ir_error(error, IR_REFUSED, "the target %s is %s", p->target->name, gpu ? "a GPU: its language is CUDA" : "no GPU: its language is C");
    for (int i = 0; i < p->kernels; i++)
        gen_kernel(&body, p, p->kernel[i], target);
    target->run(&body, p, gen_identifier(p->arena, p->name, "step"));
    put_head(out, p, target);
    if (!put_maths(out, body.data, target->language)) {
        ir_text_free(&body);
        return ir_error(error, IR_FAILED, "no memory for the program's text");
    }
    ir_put(out, "%s%s", target->offered, body.data);
    ir_text_free(&body);
    return true;
}

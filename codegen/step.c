/*
 * step: the whole program: what it needs of maths, a function a kernel, and what runs them in
 * order.
 */
#include "codegen.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* buffers are called after what they hold: x, fc1_weight, relu11. Loops get their names where they
 * open (gen_open_axis). */
static void name_all(struct gen *e, const struct loop_kernel *k)
{
    char **names = ir_alloc(e->arena, (size_t)(k->buffers + k->axes + 1) * sizeof *names);

    e->buffer = (const char **)names;
    e->axis = (const char **)names + k->buffers;
    for (int i = 0; i < k->buffers; i++) {
        const struct loop_buffer *b = &k->buffer[i];
        const struct ir_node *n = ir_at(k->graph, b->value);
        const char *own = b->value.id && (!n->text || n->op == IR_custom)
                              ? ir_format(e->arena, "%s%u", ir_ops[n->op].name, b->value.id)
                              : b->name;
        const char *name = gen_identifier(e->arena, own, ir_format(e->arena, "t%u", b->value.id)),
                   *unique = name;
        for (int j = 0, tail = 2; j < i; j++)
            if (!strcmp(names[j], unique)) {
                unique = ir_format(e->arena, "%s_%d", name, tail++);
                j = -1;
            }
        for (int s = 0; s < k->graph->symbols; s++)
            if (!strcmp(unique, gen_symbol(e->arena, k->graph, s)))
                unique = ir_format(e->arena, "%s_", unique);
        names[i] = (char *)unique;
    }
    for (int i = 0; i < k->axes; i++) {
        enum loop_role role = k->axis[i].role;
        e->axis[i] = role == LOOP_GRID ? "block" : role == LOOP_BLOCK ? "thread" : "none";
    }
}

/* a loop's name differs from those of the loops around it, of the buffers and of the symbols */
void gen_open_axis(struct gen *e, int axis)
{
    const char *name = gen_identifier(e->arena, e->k->axis[axis].name, "i"), *unique = name;
    bool taken = true;

    for (int tail = 2; taken; tail++) {
        taken = !strcmp(unique, "thread") || !strcmp(unique, "threads") ||
                !strcmp(unique, "base") || !strcmp(unique, "dims");
        for (int i = 0; i < e->opened && !taken; i++)
            taken = !strcmp(unique, e->axis[e->open[i]]);
        for (int i = 0; i < e->k->buffers && !taken; i++)
            taken = !strcmp(unique, e->buffer[i]);
        for (int i = 0; i < e->k->graph->symbols && !taken; i++)
            taken = !strcmp(unique, gen_symbol(e->arena, e->k->graph, i));
        if (taken)
            unique = ir_format(e->arena, "%s%d", name, tail);
    }
    e->axis[axis] = unique;
    e->open[e->opened++] = axis;
}

/* what it computes; of a function that several kernels share, who they are */
static void put_comment(struct ir_text *out, const struct loop_program *p,
                        const struct loop_kernel *k, bool shared)
{
    enum { NAMED = 12, WIDTH = 96 };
    size_t line = out->size;
    int named = 1;

    if (!shared) {
        if (k->comment)
            ir_put(out, "/* %s */\n", k->comment);
        return;
    }
    ir_put(out, "/* %d times: %s", k->users, k->name);
    for (int i = 0; i < p->kernels && named < NAMED; i++)
        if (p->kernel[i]->first == k) {
            const bool full = out->size - line + strlen(p->kernel[i]->name) > WIDTH;
            ir_put(out, full ? ",\n * " : ", ");
            line = full ? out->size - 3 : line;
            ir_put(out, "%s", p->kernel[i]->name);
            named++;
        }
    ir_put(out, named < k->users ? ", .." : "");
    ir_put(out, k->comment ? "\n * %s */\n" : " */\n", k->comment);
}

static void put_kernel(struct ir_text *out, const struct loop_program *p,
                       const struct loop_kernel *k, const struct gen_target *target,
                       const char *prefix)
{
    struct gen e = { .out = out,
                     .k = (struct loop_kernel *)k,
                     .target = target,
                     .prefix = prefix,
                     .handed = k->users > 1,
                     .arena = p->arena,
                     .vector = -1,
                     .depth = 1 };
    int64_t blocks, threads;
    struct ir_text body = { 0 };

    loop_grid(k, &blocks, &threads);
    e.threads = (int)threads;
    name_all(&e, k);
    e.newest = ir_alloc(p->arena, k->values * sizeof *e.newest);
    for (uint32_t v = 0; v < k->values; v++)
        e.newest[v] = -1;
    put_comment(out, p, k, e.handed);
    e.out = &body;
    gen_block(&e, &k->body);
    if (e.streams)
        gen_line(&e, "__atomic_thread_fence(__ATOMIC_SEQ_CST); // for what went past the cache");
    ir_put(&body, "%s", "");
    gen_drop_unused(&body, p->arena);
    e.out = out;
    e.body = body.data;
    target->open(&e, p);
    for (int i = 0; i < k->buffers && target->base; i++) {
        const struct loop_buffer *b = &k->buffer[i];
        const char *type = b->dtype == IR_BOOL ? "u8" : gen_type(&e, b->dtype, false);
        const char *constant = b->written ? "" : "const ";
        const char *order = b->order ? ir_format(e.arena, " // %s", b->order) : "";
        if (e.handed && b->scratch)
            ir_put(out, "    %s *%s = (%s *)((char *)%s_at + thread * %" PRId64 "L);\n", type,
                   e.buffer[i], type, e.buffer[i], p->scratch);
        else if (e.handed)
            ir_put(out, "    %s%s *%s = %s_at;%s\n", constant, type, e.buffer[i], e.buffer[i],
                   order);
        else if (b->scratch)
            ir_put(out, "    %s *%s = (%s *)(%s + %" PRId64 " + thread * %" PRId64 "L);\n", type,
                   e.buffer[i], type, target->base(&e, 0), p->scratch_offset + b->offset,
                   p->scratch);
        else
            ir_put(out, "    %s%s *%s = (%s%s *)(%s + %" PRId64 ");%s\n", constant, type,
                   e.buffer[i], constant, type, target->base(&e, b->base), b->offset, order);
    }
    ir_put(out, "%s", body.data);
    target->close(&e);
    ir_text_free(&body);
}

void gen_kernel(struct ir_text *out, const struct loop_program *p, const struct loop_kernel *k,
                const struct gen_target *target)
{
    const struct gen_unit unit = { .program = p, .prefix = "" };

    if (k->call)
        gen_call_kernel(out, &unit, k);
    else
        put_kernel(out, p, k->first ? k->first : k, target, "");
}

static void put_head(struct ir_text *out, const struct gen_unit *u, const struct gen_target *target)
{
    const struct loop_program *p = u->program;

    ir_put(out,
           "/*\n * %s: %d kernels; arena %" PRId64 " bytes, states %" PRId64 " bytes.\n *\n * %s:",
           u->entry, p->kernels, p->arena_bytes, p->state_bytes, target->called);
    for (int s = 0; s < p->symbols; s++)
        ir_put(out, " %s in %" PRId64 "..%" PRId64, gen_symbol(p->arena, p->graph, s),
               p->graph->symbol[s].lo, p->graph->symbol[s].hi);
    ir_put(out, "%s.\n */\n", p->symbols ? "" : " none");
}

/* gen_maths prints to a stream */
static bool put_maths(struct ir_text *out, const char *program, enum gen_language language)
{
    char *text = NULL;
    size_t size = 0;
    FILE *stream = open_memstream(&text, &size);
    bool good = stream && gen_maths(stream, program, language);

    if (stream)
        good &= fclose(stream) == 0;
    if (good)
        ir_put(out, "%s", text);
    free(text);
    return good;
}

static bool speaks(const struct loop_program *p, const struct gen_target *target,
                   struct ir_error *error)
{
    const bool gpu = p->target->processors > 0;

    return gpu == (target->language == GEN_CUDA) ||
           ir_error(error, IR_REFUSED, "the target %s is %s", p->target->name,
                    gpu ? "a GPU: its language is CUDA" : "no GPU: its language is C");
}

/* A GPU's kernels from launch `first` to before `end`, each function once, before the launch's. */
static void put_launched(struct ir_text *out, const struct gen_unit *u, int first, int end,
                         const struct gen_target *target)
{
    const struct loop_program *p = u->program;
    const struct loop_kernel **done =
        ir_alloc(p->arena, ((size_t)p->kernels + 1) * sizeof(struct loop_kernel *));
    int count = 0;

    for (int i = first; i < end; i++) {
        const struct loop_launch *l = &p->launch[i];
        for (int j = 0; j < l->kernels && !l->first; j++) {
            const struct loop_kernel *k = loop_function(p->kernel[l->kernel[j]]);
            int known = 0;
            while (known < count && done[known] != k)
                known++;
            if (known < count || k->mark)
                continue;
            put_kernel(out, p, k, target, u->prefix);
            done[count++] = k;
        }
        if (l->name && !l->first)
            gen_launch(out, u, l);
    }
}

static bool put_unit(struct ir_text *out, const struct gen_unit *u, const struct gen_target *target,
                     struct ir_error *error)
{
    const struct loop_program *p = u->program;

    if (!speaks(p, target, error))
        return false;
    put_launched(out, u, 0, p->launches, target);
    for (int i = 0; i < p->kernels && !p->launches; i++)
        if (p->kernel[i]->call)
            gen_call_kernel(out, u, p->kernel[i]);
        else if (!p->kernel[i]->mark && !p->kernel[i]->first)
            put_kernel(out, p, p->kernel[i], target, u->prefix);
    if (!u->bare)
        target->run(out, u);
    return true;
}

/* What the text of programs needs, and the text. */
static bool put_all(struct ir_text *out, const struct ir_text *body,
                    const struct gen_target *target, struct ir_error *error)
{
    ir_put(out, "%s", target->begin);
    if (!put_maths(out, body->data, target->language))
        return ir_error(error, IR_FAILED, "no memory for the program's text");
    ir_put(out, "%s", target->offered);
    ir_put_bytes(out, body->data, body->size);
    return true;
}

bool gen_program(struct ir_text *out, const struct loop_program *p, const struct gen_target *target,
                 struct ir_error *error)
{
    const struct gen_unit unit = { .program = p,
                                   .entry = gen_identifier(p->arena, p->name, "step"),
                                   .prefix = "",
                                   .exported = true };
    struct ir_text body = { 0 };
    bool fine = gen_put_call_types(&body, &unit, 1, error) && put_unit(&body, &unit, target, error);

    if (fine)
        put_head(out, &unit, target);
    fine = fine && put_all(out, &body, target, error);
    ir_text_free(&body);
    return fine;
}

bool gen_launches(struct ir_text *out, const struct loop_program *p, int first, int end,
                  const struct gen_target *target, struct ir_error *error)
{
    const struct gen_unit unit = { .program = p, .prefix = "" };
    struct ir_text body = { 0 };
    bool fine = speaks(p, target, error);

    if (fine)
        put_launched(&body, &unit, first, end, target);
    ir_put(&body, "%s", "");
    fine = fine && put_all(out, &body, target, error);
    ir_text_free(&body);
    return fine;
}

bool gen_programs(struct ir_text *out, const struct gen_unit *unit, int units,
                  const struct gen_target *target, struct ir_error *error)
{
    struct ir_text body = { 0 };
    bool fine = gen_put_call_types(&body, unit, units, error);

    for (int i = 0; i < units && fine; i++) {
        put_head(&body, &unit[i], target);
        ir_put(&body, "\n");
        fine = put_unit(&body, &unit[i], target, error);
        ir_put(&body, "\n");
    }
    fine = fine && put_all(out, &body, target, error);
    ir_text_free(&body);
    return fine;
}

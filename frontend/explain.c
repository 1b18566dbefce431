/*
 * explain: what each kernel of a program computes, in which loops, what it reads of other kernels
 * and why it is not one with them.
 *
 * Nothing of this is kept with a program: it is planned again, to the same kernels, for its states
 * have their places. Times are the command's, which runs kernel by kernel.
 */
#include "frontend/tuned.h"

#include <string.h>

/* Why the kernel is none of those that it reads, each with its own reason. */
static void list_boundaries(struct explained *e, const struct pass_compiled *c, int k,
                            struct ir_arena *arena)
{
    const struct ir_kernel *kernel = &c->program->kernels[k];

    e->boundary = ir_alloc(arena, ((size_t)kernel->boundaries + 1) * sizeof *e->boundary);
    for (int i = 0; i < kernel->boundaries; i++) {
        const int from = c->kernel_of[kernel->boundary[i].value.id];
        if (from >= 0 && from != k)
            e->boundary[e->boundaries++] =
                (struct explained_boundary){ c->program->kernels[from].name,
                                             kernel->boundary[i].reason };
    }
}

const struct explained *tp_explained(const tp_program *p, struct ir_arena *arena, int *count,
                                     const char **fullest)
{
    struct ir_program simple = tp_simple_program(&p->kernels);
    struct pass_compiled *c = tp_planned_program(p->owner, &simple, p->making, arena);
    struct explained *all = NULL;

    *count = 0;
    if (c) {
        struct ir_text text = { 0 };
        all = ir_alloc(arena, ((size_t)c->loops->kernels + 1) * sizeof *all);
        for (int k = 0; k < c->loops->kernels; k++) {
            const struct loop_kernel *kernel = c->loops->kernel[k];
            struct explained *e = &all[(*count)++];

            const char *tuned;

            text.size = 0;
            tp_put_choice(&text, &kernel->choice);
            tuned = ir_format(arena, "%s", text.size ? text.data : "");
            text.size = 0;
            pass_print_schedule(&text, kernel);
            *e = (struct explained){ .name = kernel->name,
                                     .maths = kernel->comment ? kernel->comment : "",
                                     .loops = ir_format(arena, "%s", text.size ? text.data : ""),
                                     .tuned = tuned,
                                     .flops = kernel->flops,
                                     .bytes = kernel->bytes,
                                     .alive = pass_alive(c->loops, k),
                                     .shared = kernel->shared,
                                     .barrier = kernel->barrier != 0,
                                     .mark = kernel->mark != LOOP_NO_MARK,
                                     .operations = c->program->kernels[k].count };
            list_boundaries(e, c, k, arena);
        }
        text.size = 0;
        if (*count)
            pass_print_fullest(&text, c->loops, 3);
        *fullest = ir_format(arena, "%s", text.size ? text.data : "");
        ir_text_free(&text);
    }
    if (simple.graph != p->graph)
        ir_arena_adopt(arena, simple.graph->arena);
    return all;
}

enum { WIDEST = 140 }; /* maths of a line that is read, not parsed */

/* A kernel in four lines, at most: what it computes, what it reads of others and why, its loops. */
void tp_put_explained(struct ir_text *out, const struct explained *e, const char *indent)
{
    for (const char *line = e->maths; *line;) {
        const size_t bar =
                         strncmp(line, " * ", 3) == 0 ? 3 : 0, /* it is spelled for C's comments */
            length = strcspn(line, "\n");
        const size_t shown = length - bar <= WIDEST ? length - bar : WIDEST;
        ir_put(out, "%s%.*s%s\n", indent, (int)shown, line + bar, shown < length - bar ? ".." : "");
        line += length + (line[length] != 0);
    }
    for (int i = 0; i < e->boundaries; i++) {
        int same = 1; /* kernels with the same reason stand together */
        bool said = false;
        for (int k = 0; k < i && !said; k++)
            said = e->boundary[k].reason == e->boundary[i].reason;
        if (said)
            continue;
        ir_put(out, "%sapart from %s", indent, e->boundary[i].kernel);
        for (int k = i + 1; k < e->boundaries; k++)
            if (e->boundary[k].reason == e->boundary[i].reason && same++ < 4)
                ir_put(out, ", %s", e->boundary[k].kernel);
        if (same > 4)
            ir_put(out, " and %d more", same - 4);
        ir_put(out, ": %s\n", e->boundary[i].reason);
    }
    if (*e->loops)
        ir_put(out, "%sloops %s\n", indent, e->loops);
    if (*e->tuned)
        ir_put(out, "%stuned %s\n", indent, e->tuned);
}

const char *tp_explain(const tp_program *p, const char *kernel)
{
    struct ir_arena *arena;
    struct ir_text out = { 0 };
    const struct explained *all;
    const char *fullest, *text = NULL;
    int count;

    if (!p || p->owner->error.status != IR_OK)
        return NULL;
    arena = ir_arena_new();
    all = tp_explained(p, arena, &count, &fullest);
    for (int k = 0; all && k < count; k++) {
        if (all[k].mark || (kernel && strcmp(kernel, all[k].name) != 0))
            continue;
        ir_put(&out, "%s: %d operations, %.3g flops, %.3g bytes, %s\n", all[k].name,
               all[k].operations, all[k].flops, all[k].bytes,
               all[k].shared ? "all threads" : "one thread");
        tp_put_explained(&out, &all[k], "    ");
    }
    if (out.size)
        text = ir_format(p->graph->arena, "%s", out.data);
    ir_text_free(&out);
    ir_arena_free(arena);
    return text;
}

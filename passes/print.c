/*
 * print: what layout and plan have decided, as comments of a .tp file. The decisions are no part of
 * the graph, so a text that carries them is still the same model.
 */
#include "passes.h"

#include <inttypes.h>
#include <string.h>

/* "axis 0 / 16 * 144, axis 1 * 16, axis 0 % 16 * 1": part by part, outermost first, each with its
 * pitch */
static void put_storage(struct ir_text *t, const struct pass_storage *s)
{
    ir_put(t, "%" PRId64 " elements:", s->elements);
    for (int i = 0; i < s->parts; i++) {
        const struct pass_part *p = &s->part[i];
        ir_put(t, " axis %d", p->axis);
        if (p->divisor != 1)
            ir_put(t, " / %" PRId64, p->divisor);
        if (p->extent)
            ir_put(t, " %% %" PRId64, p->extent);
        ir_put(t, " * %" PRId64 "%s", p->pitch, i + 1 < s->parts ? "," : "");
    }
}

/* a value by its number and, where it has one, its name */
static void put_value(struct ir_text *t, ir_val v, const char *name)
{
    ir_put(t, name && *name ? "%%%u %s" : "%%%u", v.id, name);
}

void pass_print_layout(struct ir_text *t, const struct pass_compiled *c)
{
    const struct ir_graph *g = c->program->graph;

    for (uint32_t v = 1; v < g->count; v++) {
        if (c->storage[v].parts < 0)
            continue;
        ir_put(t, "# storage ");
        put_value(t, (ir_val){ v }, g->nodes[v].text);
        ir_put(t, " ");
        ir_put_shape(t, g, g->nodes[v].dtype, &g->nodes[v].shape);
        ir_put(t, " ");
        put_storage(t, &c->storage[v]);
        ir_put(t, "\n");
    }
}

void pass_print_plan(struct ir_text *t, const struct loop_program *p, const char *kernel)
{
    if (!kernel) {
        ir_put(t, "# arena %" PRId64 " bytes, states %" PRId64 ", %d threads\n", p->arena_bytes,
               p->state_bytes, p->threads);
        for (int i = 0; i < p->places; i++) {
            ir_put(t, "# place ");
            put_value(t, p->place[i].value, p->place[i].name);
            ir_put(t, ": %s + %" PRId64 ", %" PRId64 " bytes\n",
                   p->place[i].base ? "states" : "arena", p->place[i].offset, p->place[i].bytes);
        }
    }
    for (int k = 0; k < p->kernels; k++)
        if (!kernel || strcmp(p->kernel[k]->name, kernel) == 0)
            ir_put(t, "# run %s%s%s\n", p->kernel[k]->name,
                   p->kernel[k]->shared ? " on all threads" : "",
                   p->kernel[k]->barrier ? ", after a barrier" : "");
}

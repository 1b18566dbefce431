/*
 * The graph as a picture, for Graphviz: boxes are kernels where there are any, else regions.
 */
#include "ir/ir.h"

#include <string.h>

static void put_label(struct ir_text *t, const char *text)
{
    for (const unsigned char *c = (const unsigned char *)text; *c; c++)
        if (*c == '"' || *c == '\\')
            ir_put(t, "\\%c", *c);
        else
            ir_put(t, "%c", *c < 32 || *c > 126 ? '?' : *c);
}

static void put_node(struct ir_text *t, const struct ir_graph *g, uint32_t v, int indent)
{
    const struct ir_node *n = &g->nodes[v];
    bool stored = n->op == IR_input || n->op == IR_state;

    if (n->op == IR_POISON)
        return;
    ir_put(t, "%*sv%u [label=\"", indent, "", v);
    put_label(t, ir_ops[n->op].name);
    if (n->text) {
        ir_put(t, " ");
        put_label(t, n->text);
    }
    if (n->op == IR_const) {
        ir_put(t, " ");
        ir_put_number(t, n->dtype, ir_number_of(n));
    }
    ir_put(t, "\\n");
    ir_put_shape(t, g, n->dtype, &n->shape);
    if (n->name && !stored) {
        ir_put(t, "\\n");
        put_label(t, n->name);
    }
    ir_put(t, "\"%s]\n", stored ? " shape=box style=filled fillcolor=\"#e8eef8\"" : "");
}

/* who is in which region: lists, ended by 0 */
struct lists {
    uint32_t *first_node, *next_node, *first_region, *next_region;
};

static struct lists lists_of(const struct ir_graph *g, struct ir_arena *scratch)
{
    struct lists l = { ir_alloc(scratch, g->regions * sizeof(uint32_t)),
                       ir_alloc(scratch, g->count * sizeof(uint32_t)),
                       ir_alloc(scratch, g->regions * sizeof(uint32_t)),
                       ir_alloc(scratch, g->regions * sizeof(uint32_t)) };

    for (uint32_t v = g->count; v-- > 1;) {
        l.next_node[v] = l.first_node[g->nodes[v].region];
        l.first_node[g->nodes[v].region] = v;
    }
    for (uint32_t r = g->regions; r-- > 1;) {
        l.next_region[r] = l.first_region[g->region[r].parent];
        l.first_region[g->region[r].parent] = r;
    }
    return l;
}

/* ir_region_open bounds the depth */
static void put_region(struct ir_text *t, const struct ir_graph *g, const struct lists *l,
                       uint32_t region, int indent)
{
    for (uint32_t v = l->first_node[region]; v; v = l->next_node[v])
        put_node(t, g, v, indent);
    for (uint32_t r = l->first_region[region]; r; r = l->next_region[r]) {
        ir_put(t, "%*ssubgraph cluster_r%u { label=\"", indent, "", r);
        put_label(t, g->region[r].title ? g->region[r].title : g->region[r].name);
        ir_put(t, "\"\n");
        put_region(t, g, l, r, indent + 2);
        ir_put(t, "%*s}\n", indent, "");
    }
}

void ir_print_dot(struct ir_text *t, const struct ir_program *p)
{
    const struct ir_graph *g = p->graph;
    struct ir_arena *scratch = ir_arena_new();

    ir_put(t, "digraph \"");
    put_label(t, g->name);
    ir_put(t, "\" {\n  node [fontname=\"monospace\" fontsize=10]\n");
    if (p->kernel_count) {
        bool *inside = ir_alloc(scratch, g->count * sizeof *inside);
        for (int k = 0; k < p->kernel_count; k++) {
            ir_put(t, "  subgraph cluster_k%d { label=\"", k);
            put_label(t, p->kernels[k].name);
            ir_put(t, "\"\n");
            for (int i = 0; i < p->kernels[k].count; i++) {
                put_node(t, g, p->kernels[k].nodes[i].id, 4);
                inside[p->kernels[k].nodes[i].id] = true;
            }
            ir_put(t, "  }\n");
        }
        for (uint32_t v = 1; v < g->count; v++)
            if (!inside[v])
                put_node(t, g, v, 2);
    } else {
        struct lists l = lists_of(g, scratch);
        put_region(t, g, &l, 0, 2);
    }
    for (uint32_t v = 1; v < g->count; v++)
        for (int i = 0; i < g->nodes[v].arity; i++)
            ir_put(t, "  v%u -> v%u\n", g->nodes[v].args[i].id, v);
    for (int i = 0; i < g->output_count; i++) {
        ir_put(t, "  out%d [label=\"", i);
        put_label(t, g->outputs[i].name ? g->outputs[i].name : "out");
        ir_put(t, "\" shape=box style=filled fillcolor=\"#f8eee0\"]\n  v%u -> out%d\n",
               g->outputs[i].value.id, i);
    }
    ir_put(t, "}\n");
    ir_arena_free(scratch);
}

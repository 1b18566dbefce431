/*
 * The graph as text. One line a node, with the node's own number, its type, and behind # the user's
 * line, the name path and the innermost region; parse.c reads all of it back.
 *
 *     symbol batch in 1..64
 *     step(x: f32[batch 784]) seed 1 {
 *       %2 = state fc1.weight : f32[128 784] init uniform(-0.0357, 0.0357)
 *       %3 = dot x, %2 mk,nk->mn : f32[batch 128]           # mlp.c:15 fc1 {1 linear}
 *       region 1 linear "fc1" (x, %2) -> %3 in 0            # mlp.c:15
 *       %4 = scan %3, x carry=1 slices=1 length=16 (h: f32[8], x: f32[8]) {   # mlp.c:16
 *         %3 = add h, x : f32[8]
 *         return %3
 *       }
 *       return h=%3
 *     }
 */
#include "ir/ir.h"

#include <inttypes.h>
#include <string.h>

#define MARGIN 64 /* the column of comments */

/* --- behind the # ----------------------------------------------------------------------------- */

static void put_file(struct ir_text *t, const char *file)
{
    static const char plain[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789./+-";

    if (*file && strspn(file, plain) == strlen(file) && strcmp(file, "-") != 0)
        ir_put(t, "%s", file);
    else
        ir_put_quoted(t, file);
}

/* `from`: where the line began in the text */
static void put_note(struct ir_text *t, const struct ir_graph *g, size_t from, struct ir_loc loc,
                     const char *name, uint32_t region)
{
    if (!loc.file && !name && !region)
        return;
    ir_put(t, "%*s  # ", t->size - from < MARGIN ? (int)(MARGIN - (t->size - from)) : 0, "");
    if (loc.file) {
        put_file(t, loc.file);
        ir_put(t, ":%d", loc.line);
    } else {
        ir_put(t, "-");
    }
    if (name) {
        ir_put(t, " ");
        ir_put_name(t, name);
    }
    if (region) {
        struct ir_text word = { 0 };
        ir_put(t, " {%u", region);
        ir_put_name(&word, g->region[region].name); /* a decoration: left out where it is no word */
        if (word.data[0] != '"')
            ir_put(t, " %s", word.data);
        ir_text_free(&word);
        ir_put(t, "}");
    }
}

/* --- a line ----------------------------------------------------------------------------------- */

static void put_value(struct ir_text *t, const struct ir_graph *g, ir_val v)
{
    if (v.id && ir_at(g, v)->op == IR_input)
        ir_put_name(t, ir_at(g, v)->text);
    else
        ir_put(t, "%%%u", v.id);
}

static void put_list(struct ir_text *t, const struct ir_graph *g, const struct ir_list *list)
{
    ir_put(t, "[");
    for (int i = 0; i < list->count; i++) {
        ir_put(t, "%s", i ? " " : "");
        ir_put_dim(t, g, list->at[i]);
    }
    ir_put(t, "]");
}

static void put_attributes(struct ir_text *t, const struct ir_graph *g, const struct ir_node *n)
{
    static const char *const single[] = { "axis",   "groups", "stream",  "dim", "carry",
                                          "slices", "length", "reverse", "at",  "descending",
                                          "when",   "own",    "by" };

    if (n->op == IR_reshape || n->op == IR_expand) /* their dims are the type */
        return;
    for (int i = 0; i < ir_attributes(n->op); i++) {
        int length;
        const char *name = ir_attribute(n->op, i, &length);
        bool one = n->op == IR_put_add || n->op == IR_scatter_add || n->op == IR_scatter_last;
        if (n->attr[i].count == 0)
            continue;
        for (size_t k = 0; k < sizeof single / sizeof *single; k++)
            one |= strlen(single[k]) == (size_t)length &&
                   strncmp(single[k], name, (size_t)length) == 0;
        ir_put(t, " %.*s=", length, name);
        if (one && n->attr[i].count == 1)
            ir_put_dim(t, g, n->attr[i].at[0]);
        else
            put_list(t, g, &n->attr[i]);
    }
}

static void put_const(struct ir_text *t, const struct ir_node *n)
{
    ir_put(t, " ");
    if (ir_dtypes[n->dtype].kind == 'f')
        ir_put_number(t, n->dtype, ir_number_of(n));
    else
        ir_put(t, "%" PRId64, n->attr[0].at[0]);
}

static void put_init(struct ir_text *t, const struct ir_node *n)
{
    static const char *const names[] = { "zero", "constant", "uniform", "normal" };
    static const int numbers[] = { 0, 1, 2, 2 };
    double value[2];
    int64_t kind = n->attr[0].at[0];

    memcpy(value, n->attr[0].at + 1, sizeof value);
    ir_put(t, " init %s", names[kind]);
    for (int i = 0; i < numbers[kind]; i++) {
        ir_put(t, "%s", i ? ", " : "(");
        ir_put_number(t, IR_F64, value[i]);
    }
    ir_put(t, "%s", numbers[kind] ? ")" : "");
}

static void put_body(struct ir_text *t, const struct ir_program *p, int indent, size_t from,
                     const struct ir_node *of);

static void put_node(struct ir_text *t, const struct ir_graph *g, uint32_t id, int indent)
{
    const struct ir_node *n = &g->nodes[id];
    size_t from = t->size;

    ir_put(t, "%*s%%%u = %s", indent, "", id, ir_ops[n->op].name);
    for (int i = 0; i < n->arity; i++) {
        ir_put(t, "%s", i ? ", " : " ");
        put_value(t, g, n->args[i]);
    }
    if (n->text) {
        ir_put(t, " ");
        if (n->op == IR_dot)
            ir_put(t, "%s", n->text);
        else
            ir_put_name(t, n->text);
    }
    if (n->op == IR_const)
        put_const(t, n);
    else if (n->op != IR_state)
        put_attributes(t, g, n);
    if (n->identity && n->op != IR_assign && n->op != IR_bits && n->op != IR_step)
        ir_put(t, " ~%u", n->identity);
    if (n->body) {
        const struct ir_program alone = { .graph = (struct ir_graph *)n->body };
        put_body(t, &alone, indent, from, n);
        return;
    }
    ir_put(t, " : ");
    ir_put_shape(t, g, n->dtype, &n->shape);
    if (n->op == IR_state)
        put_init(t, n);
    put_note(t, g, from, n->loc, n->op == IR_state ? NULL : n->name, n->region);
    ir_put(t, "\n");
}

static void put_region(struct ir_text *t, const struct ir_graph *g, uint32_t id, int indent)
{
    const struct ir_region *r = &g->region[id];
    size_t from = t->size;

    ir_put(t, "%*sregion %u ", indent, "", id);
    ir_put_name(t, r->name);
    if (r->title) {
        ir_put(t, " ");
        ir_put_quoted(t, r->title);
    }
    ir_put(t, " (");
    for (int i = 0; i < r->arity; i++) {
        ir_put(t, "%s", i ? ", " : "");
        put_value(t, g, r->args[i]);
    }
    ir_put(t, ")");
    if (r->attr.count) {
        ir_put(t, " ");
        put_list(t, g, &r->attr);
    }
    if (r->result.id) {
        ir_put(t, " -> ");
        put_value(t, g, r->result);
    }
    ir_put(t, " in %u", r->parent);
    put_note(t, g, from, r->loc, NULL, 0);
    ir_put(t, "\n");
}

/* --- the whole -------------------------------------------------------------------------------- */

/* On one line, or a line each where an input knows its place: true. */
static bool put_inputs(struct ir_text *t, const struct ir_graph *g, int indent)
{
    bool lines = false, first = true;
    uint32_t last = 0;

    for (uint32_t i = 1; i < g->count; i++)
        if (g->nodes[i].op == IR_input) {
            lines |= g->nodes[i].loc.file || g->nodes[i].region;
            last = i;
        }
    for (uint32_t i = 1; i < g->count; i++) {
        const struct ir_node *n = &g->nodes[i];
        size_t from = t->size;
        if (n->op != IR_input)
            continue;
        ir_put(t, "%s", lines && first ? "\n" : "");
        from = lines && first ? t->size : from;
        ir_put(t, "%*s%s", lines ? indent : 0, "", lines || first ? "" : ", ");
        first = false;
        ir_put_name(t, n->text);
        ir_put(t, ": ");
        ir_put_shape(t, g, n->dtype, &n->shape);
        if (!lines)
            continue;
        ir_put(t, "%s", i == last ? "" : ",");
        put_note(t, g, from, n->loc, NULL, n->region);
        ir_put(t, "\n");
    }
    return lines;
}

/* (inputs) { lines }, behind the program's name or the scan's line, which began at `from` */
static void put_body(struct ir_text *t, const struct ir_program *p, int indent, size_t from,
                     const struct ir_node *of)
{
    const struct ir_graph *g = p->graph;
    struct ir_arena *scratch = ir_arena_new();
    bool *inside = ir_alloc(scratch, g->count * sizeof *inside);

    ir_put(t, "%s(", of ? " " : "");
    if (put_inputs(t, g, indent + 2)) {
        from = t->size;
        ir_put(t, "%*s", indent, "");
    }
    ir_put(t, ")");
    if (g->seed && !of)
        ir_put(t, " seed %" PRIu64, g->seed);
    ir_put(t, " {");
    if (of)
        put_note(t, g, from, of->loc, of->name, of->region);
    ir_put(t, "\n");
    for (int k = 0; k < p->kernel_count; k++)
        for (int i = 0; i < p->kernels[k].count; i++)
            inside[p->kernels[k].nodes[i].id] = true;
    for (uint32_t i = 1; i < g->count; i++)
        if (!inside[i] && g->nodes[i].op != IR_input && g->nodes[i].op != IR_POISON)
            put_node(t, g, i, indent + 2);
    for (int k = 0; k < p->kernel_count; k++) {
        ir_put(t, "%*skernel ", indent + 2, "");
        ir_put_name(t, p->kernels[k].name);
        ir_put(t, " {\n");
        for (int i = 0; i < p->kernels[k].count; i++)
            put_node(t, g, p->kernels[k].nodes[i].id, indent + 4);
        ir_put(t, "%*s}\n", indent + 2, "");
    }
    for (uint32_t i = 1; i < g->regions; i++)
        put_region(t, g, i, indent + 2);
    if (g->output_count)
        ir_put(t, "%*sreturn", indent + 2, "");
    for (int i = 0; i < g->output_count; i++) {
        ir_put(t, "%s", i ? ", " : " ");
        if (g->outputs[i].name) {
            ir_put_name(t, g->outputs[i].name);
            ir_put(t, "=");
        }
        put_value(t, g, g->outputs[i].value);
    }
    ir_put(t, "%s%*s}\n", g->output_count ? "\n" : "", indent, "");
    ir_arena_free(scratch);
}

void ir_print_program(struct ir_text *t, const struct ir_program *p)
{
    const struct ir_graph *g = p->graph;

    for (int i = 0; i < g->symbols; i++) {
        ir_put(t, "symbol ");
        ir_put_name(t, g->symbol[i].name);
        ir_put(t, " in %" PRId64 "..%" PRId64 "\n", g->symbol[i].lo, g->symbol[i].hi);
    }
    ir_put_name(t, g->name);
    put_body(t, p, 0, t->size, NULL);
}

void ir_print(struct ir_text *t, const struct ir_graph *g)
{
    const struct ir_program alone = { .graph = (struct ir_graph *)g };

    ir_print_program(t, &alone);
}

void ir_print_module(struct ir_text *t, const struct ir_module *m)
{
    for (int i = 0; i < m->setting_count; i++) {
        ir_put(t, "set ");
        ir_put_name(t, m->setting[i].key);
        ir_put(t, " = ");
        ir_put_quoted(t, m->setting[i].value);
        ir_put(t, "\n");
    }
    for (int i = 0; i < m->count; i++) {
        ir_put(t, "%s", i || m->setting_count ? "\n" : "");
        ir_print_program(t, m->program[i]);
    }
}

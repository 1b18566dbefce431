/*
 * A program as JSON, on one line: what the text says, for tools that would not parse it.
 *
 *   {"program":"step","seed":1,"symbols":[{"name":"batch","lo":1,"hi":64}],
 *    "nodes":[{"id":5,"op":"dot","args":[1,3],"letters":"mk,nk->mn","type":"f32",
 *              "shape":["batch",128],"name":"fc1","file":"mlp.c","line":14,"region":1}, ..],
 *    "regions":[{"id":1,"name":"linear","title":"fc1","parent":0,"args":[1,3,4],"result":6}],
 *    "kernels":[{"name":"fc1_dot_add","nodes":[5,6]}],"outputs":[{"name":"h","value":6}]}
 *
 * A symbolic extent is a string as the text has it. The body of a scan is a program in its node.
 */
#include "ir/ir.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

static void put_string(struct ir_text *t, const char *text)
{
    ir_put(t, "\"");
    for (const unsigned char *c = (const unsigned char *)text; *c; c++)
        if (*c == '"' || *c == '\\')
            ir_put(t, "\\%c", *c);
        else if (*c < 32 || *c > 126) /* bytes as they are named in the text: Latin-1's */
            ir_put(t, "\\u%04x", *c);
        else
            ir_put(t, "%c", *c);
    ir_put(t, "\"");
}

static void put_key(struct ir_text *t, const char *key, const char *text)
{
    if (!text)
        return;
    ir_put(t, ",\"%s\":", key);
    put_string(t, text);
}

static void put_dim(struct ir_text *t, const struct ir_graph *g, int64_t dim)
{
    if (ir_dim_fixed(dim) || !ir_dim_valid(g, dim)) { /* an axis below 0 is a number too */
        ir_put(t, "%" PRId64, dim);
        return;
    }
    ir_put(t, "\"");
    ir_put_dim(t, g, dim);
    ir_put(t, "\"");
}

static void put_dims(struct ir_text *t, const struct ir_graph *g, int n, const int64_t *dim)
{
    ir_put(t, "[");
    for (int i = 0; i < n; i++) {
        ir_put(t, "%s", i ? "," : "");
        put_dim(t, g, dim[i]);
    }
    ir_put(t, "]");
}

static void put_values(struct ir_text *t, const char *key, int n, const ir_val *v)
{
    ir_put(t, ",\"%s\":[", key);
    for (int i = 0; i < n; i++)
        ir_put(t, "%s%u", i ? "," : "", v[i].id);
    ir_put(t, "]");
}

/* JSON knows no infinity and no NaN: they are strings. */
static void put_number(struct ir_text *t, double x)
{
    ir_put(t, isfinite(x) ? "%.17g" : "\"%g\"", x);
}

static void put_place(struct ir_text *t, struct ir_loc loc)
{
    put_key(t, "file", loc.file);
    if (loc.file)
        ir_put(t, ",\"line\":%d", loc.line);
}

static void put_init(struct ir_text *t, const struct ir_node *n)
{
    static const char *const names[] = { "zero", "constant", "uniform", "normal" };
    double value[2];

    memcpy(value, n->attr[0].at + 1, sizeof value);
    ir_put(t, ",\"init\":[\"%s\",", names[n->attr[0].at[0]]);
    put_number(t, value[0]);
    ir_put(t, ",");
    put_number(t, value[1]);
    ir_put(t, "]");
}

static void put_graph(struct ir_text *t, const struct ir_program *p);

static void put_node(struct ir_text *t, const struct ir_graph *g, uint32_t id)
{
    const struct ir_node *n = &g->nodes[id];

    ir_put(t, "{\"id\":%u,\"op\":\"%s\"", id, ir_ops[n->op].name);
    put_values(t, "args", n->arity, n->args);
    put_key(t, n->op == IR_dot ? "letters" : "text", n->text);
    if (n->op == IR_const && ir_dtypes[n->dtype].kind == 'f') {
        ir_put(t, ",\"value\":");
        put_number(t, ir_number_of(n));
    } else if (n->op == IR_const) {
        ir_put(t, ",\"value\":%" PRId64, n->attr[0].at[0]);
    } else if (n->op == IR_state) {
        put_init(t, n);
    } else {
        for (int i = 0; i < ir_attributes(n->op); i++) {
            int length;
            const char *name = ir_attribute(n->op, i, &length);
            if (n->attr[i].count == 0)
                continue;
            ir_put(t, ",\"%.*s\":", length, name);
            put_dims(t, g, n->attr[i].count, n->attr[i].at);
        }
    }
    ir_put(t, ",\"type\":\"%s\",\"shape\":", ir_dtypes[n->dtype].name);
    put_dims(t, g, n->shape.rank, n->shape.dim);
    put_key(t, "name", n->name);
    put_place(t, n->loc);
    if (n->region)
        ir_put(t, ",\"region\":%u", n->region);
    if (n->body) {
        ir_put(t, ",\"body\":");
        put_graph(t, &(struct ir_program){ .graph = (struct ir_graph *)n->body });
    }
    ir_put(t, "}");
}

static void put_region(struct ir_text *t, const struct ir_graph *g, uint32_t id)
{
    const struct ir_region *r = &g->region[id];

    ir_put(t, "{\"id\":%u", id);
    put_key(t, "name", r->name);
    put_key(t, "title", r->title);
    ir_put(t, ",\"parent\":%u", r->parent);
    put_values(t, "args", r->arity, r->args);
    if (r->result.id)
        ir_put(t, ",\"result\":%u", r->result.id);
    put_place(t, r->loc);
    ir_put(t, "}");
}

static void put_graph(struct ir_text *t, const struct ir_program *p)
{
    const struct ir_graph *g = p->graph;
    const char *comma = "";

    ir_put(t, "{\"program\":");
    put_string(t, g->name);
    ir_put(t, ",\"seed\":%" PRIu64 ",\"symbols\":[", g->seed);
    for (int i = 0; i < g->symbols; i++) {
        ir_put(t, "%s{\"name\":", i ? "," : "");
        put_string(t, g->symbol[i].name);
        ir_put(t, ",\"lo\":%" PRId64 ",\"hi\":%" PRId64 "}", g->symbol[i].lo, g->symbol[i].hi);
    }
    ir_put(t, "],\"nodes\":[");
    for (uint32_t v = 1; v < g->count; v++) {
        if (g->nodes[v].op == IR_POISON)
            continue;
        ir_put(t, "%s", comma);
        put_node(t, g, v);
        comma = ",";
    }
    ir_put(t, "],\"regions\":[");
    for (uint32_t r = 1; r < g->regions; r++) {
        ir_put(t, "%s", r > 1 ? "," : "");
        put_region(t, g, r);
    }
    ir_put(t, "],\"kernels\":[");
    for (int k = 0; k < p->kernel_count; k++) {
        ir_put(t, "%s{\"name\":", k ? "," : "");
        put_string(t, p->kernels[k].name);
        put_values(t, "nodes", p->kernels[k].count, p->kernels[k].nodes);
        ir_put(t, "}");
    }
    ir_put(t, "],\"outputs\":[");
    for (int i = 0; i < g->output_count; i++) {
        ir_put(t, "%s{\"value\":%u", i ? "," : "", g->outputs[i].value.id);
        put_key(t, "name", g->outputs[i].name);
        ir_put(t, "}");
    }
    ir_put(t, "]}");
}

void ir_print_json(struct ir_text *t, const struct ir_program *p)
{
    put_graph(t, p);
    ir_put(t, "\n");
}

/*
 * probe: what a training step can say of itself, as outputs of the step: the norm of each
 * parameter's gradient, how large its update is beside it, histograms of both, and the share of
 * zeros behind each relu. They are reductions like any others, so they run in the kernels that
 * hold the values, where the usual passes put them there.
 */
#include "frontend/parts.h"
#include "runtime/parts/report.h"
#include "runtime/parts/events.h"

#include "frontend/frontend.h"

#define PREFIX "probe/"

/* --- as nodes of the step ----------------------------------------------------------------------
 */

static void hand_out(struct ir_graph *g, const char *kind, const char *name, ir_val v)
{
    char *tag = ir_format(g->arena, "%s%s/%.200s", PREFIX, kind, name);

    for (char *c = tag; *c; c++) /* it is quoted in JSON and in C */
        if (*c < 33 || *c > 126 || *c == '"' || *c == '\\')
            *c = '_';
    ir_output(g, tag, v);
}

static ir_val number(struct ir_graph *g, ir_val a, double value, struct ir_loc at)
{
    return ir_number(g, ir_at(g, a)->dtype, value, at);
}

/* Counts by sign and exponent, as events.h has them: bits alone say which bucket, so that it is
 * the same one on every machine. */
static ir_val histogram(struct ir_graph *g, ir_val a, struct ir_loc at)
{
    const struct ir_node bits = { .op = IR_bitcast,
                                  .dtype = IR_U32,
                                  .arity = 1,
                                  .args = (ir_val[]){ ir_cast(g, a, IR_F32, at) },
                                  .loc = at };
    ir_val b = ir_add(g, &bits), power, k, flat, ones;
    const int64_t elements = ir_elements(g, &ir_at(g, a)->shape), axis = 0, size = PROBE_BUCKETS;
    const struct ir_list attr[IR_ATTRS] = { { 1, &axis }, { 1, &size } };

    power = ir_op2(g, IR_and, ir_op2(g, IR_shr, b, ir_integer(g, IR_U32, 23, at), at),
                   ir_integer(g, IR_U32, 255, at), at);
    power = ir_op2(g, IR_sub, ir_cast(g, power, IR_I32, at), ir_integer(g, IR_I32, 103, at), at);
    k = ir_op2(g, IR_max, power, ir_integer(g, IR_I32, 0, at), at);
    k = ir_op2(g, IR_min, k, ir_integer(g, IR_I32, 31, at), at);
    k = ir_select(g,
                  ir_op2(g, IR_eq, ir_op2(g, IR_shr, b, ir_integer(g, IR_U32, 31, at), at),
                         ir_integer(g, IR_U32, 0, at), at),
                  ir_op2(g, IR_add, k, ir_integer(g, IR_I32, 32, at), at),
                  ir_op2(g, IR_sub, ir_integer(g, IR_I32, 31, at), k, at), at);
    flat = ir_reshape(g, k, (struct ir_shape){ 1, { elements } }, at);
    ones = ir_expand(g, ir_integer(g, IR_I32, 1, at), (struct ir_shape){ 1, { elements } }, at);
    return ir_op_attr(g, IR_put_add, 2, (ir_val[]){ ones, flat }, attr, at);
}

static ir_val as_f32(struct ir_graph *g, ir_val a, struct ir_loc at)
{
    return ir_cast(g, a, IR_F32, at);
}

/* The parameter's value after the step; poison: it stays. */
static ir_val next_of(const struct ir_graph *g, ir_val parameter)
{
    for (int i = 0; i < g->effect_count; i++)
        if (ir_at(g, g->effects[i])->args[0].id == parameter.id)
            return ir_at(g, g->effects[i])->args[1];
    return (ir_val){ 0 };
}

static void probe_parameter(struct ir_graph *g, ir_val parameter, ir_val gradient, struct ir_loc at)
{
    const char *name = ir_at(g, parameter)->text;
    const ir_val next = next_of(g, parameter), p = as_f32(g, parameter, at);
    const ir_val slope = as_f32(g, gradient, at);

    hand_out(g, "grad_norm", name, tp_whole_norm(g, slope, at));
    hand_out(g, "gradients", name, histogram(g, slope, at));
    hand_out(g, "weights", name, histogram(g, p, at));
    if (next.id) {
        const ir_val moved = tp_whole_norm(g, ir_op2(g, IR_sub, as_f32(g, next, at), p, at), at);
        const ir_val length = tp_whole_norm(g, p, at);
        hand_out(g, "update_ratio", name,
                 ir_op2(g, IR_div, moved,
                        ir_op2(g, IR_max, length, number(g, length, 1e-30, at), at), at));
    }
}

/* "fc1" of the layer before the relu, or relu_31 of its line; a name is given once. */
static const char *name_of_relu(const struct ir_graph *g, ir_val relu)
{
    const struct ir_node *n = ir_at(g, relu), *a = ir_at(g, n->args[0]);
    const char *plain = n->name ? n->name : a->name ? a->name : NULL, *name;

    plain = plain ? plain : ir_format(g->arena, "relu_%d", n->loc.line);
    name = plain;
    for (int again = 2, i = 0; i < g->output_count; i++)
        if (g->outputs[i].name &&
            strcmp(g->outputs[i].name, ir_format(g->arena, PREFIX "dead/%s", name)) == 0) {
            name = ir_format(g->arena, "%s_%d", plain, again++);
            i = -1;
        }
    return name;
}

static void probe_relu(struct ir_graph *g, ir_val relu)
{
    const struct ir_node n = *ir_at(g, relu);
    const ir_val zero = ir_op2(g, IR_eq, relu, number(g, relu, 0, n.loc), n.loc),
                 dead = tp_whole_sum(g, ir_cast(g, zero, IR_F32, n.loc), n.loc);
    int64_t count = 1;

    for (int i = 0; i < n.shape.rank; i++)
        count = ir_dim_mul(g, count, n.shape.dim[i]);
    hand_out(g, "dead", name_of_relu(g, relu),
             ir_op2(g, IR_div, dead, ir_size(g, count, IR_F32, n.loc), n.loc));
}

void tp_probe_step(struct ir_graph *g, const struct trained *t, uint32_t before, struct ir_loc at)
{
    for (uint32_t v = 1; v < before; v++)
        if (g->nodes[v].op == IR_relu && ir_dtypes[g->nodes[v].dtype].kind == 'f')
            probe_relu(g, (ir_val){ v });
    for (int i = 0; i < t->count; i++)
        probe_parameter(g, t->parameter[i], t->gradient[i], at);
}

void tp_probe_value(struct ir_graph *g, const char *name, ir_val v)
{
    const struct ir_loc at = ir_at(g, v)->loc;
    const ir_val x = as_f32(g, v, at);

    if (ir_at(g, v)->shape.rank == 0) {
        hand_out(g, "value", name, x);
        return;
    }
    hand_out(g, "norm", name, tp_whole_norm(g, x, at));
    hand_out(g, "values", name, histogram(g, x, at));
}

bool tp_is_probe(const char *output)
{
    return output && strncmp(output, PREFIX, strlen(PREFIX)) == 0;
}

/* --- what they have come to --------------------------------------------------------------------
 */

int tp_probes(const tp_program *p, int room, tp_probe found[])
{
    int count = 0;

    if (p)
        tp_program_fetch(p);
    for (int i = 0; p && i < p->output_count; i++) {
        const struct port *port = &p->output[i];
        if (!tp_is_probe(port->name))
            continue;
        if (count < room)
            found[count] = (tp_probe){ .tag = port->name + strlen(PREFIX),
                                       .histogram = ir_at(p->graph, port->value)->shape.rank == 1,
                                       .data = port->data };
        count++;
    }
    return count;
}

struct tp_log {
    struct events events;
    struct ir_error error;
};

tp_log *tp_log_open(tp_graph *g, const char *folder)
{
    tp_log *log = calloc(1, sizeof *log);
    struct part_error part = { 0 };

    if (!log)
        return NULL;
    if (events_open(&log->events, folder, &part))
        return log;
    tp_part_told(&part, &g->error);
    tp_tell(g);
    tp_log_close(log);
    return NULL;
}

void tp_log_close(tp_log *log)
{
    if (log)
        events_close(&log->events);
    free(log);
}

bool tp_log_number(tp_log *log, int64_t step, const char *tag, double value)
{
    struct part_error part = { 0 };

    return log && events_number(&log->events, step, tag, value, &part);
}

/* The same struct under its own name: events.h is text of trainers too, and knows no tp_. */
static struct probe *probes_of(const tp_program *p, int *count)
{
    struct probe *probe;
    tp_probe *found;

    *count = tp_probes(p, 0, NULL);
    probe = calloc((size_t)*count + 1, sizeof *probe);
    found = calloc((size_t)*count + 1, sizeof *found);
    if (probe && found)
        tp_probes(p, *count, found);
    for (int i = 0; probe && found && i < *count; i++)
        probe[i] = (struct probe){ found[i].tag, found[i].histogram, found[i].data };
    *count = probe && found ? *count : 0;
    free(found);
    return probe;
}

bool tp_log_probes(tp_log *log, int64_t step, const tp_program *p)
{
    struct part_error part = { 0 };
    int count;
    struct probe *probe = probes_of(p, &count);
    const bool good = log && events_probes(&log->events, step, count, probe, &part);

    free(probe);
    return good;
}

void tp_probes_print(int64_t step, const tp_program *p)
{
    int count;
    struct probe *probe = probes_of(p, &count);

    if (count)
        events_print(step, count, probe);
    free(probe);
}

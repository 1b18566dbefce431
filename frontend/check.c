/*
 * check: a program that stops where the first number goes wrong.
 *
 * A checked program is the same code. Around each run of it the inputs and states are kept, and
 * what it hands out or assigns is looked through afterwards: NaN or infinity there, or an index
 * past its axis, is a fault. Then everything is put back as it was before the run, and the run is
 * done once more with a kernel an operation and every value kept, to the same bits as the fused
 * one. The fault is the first value, in the program's order, that is not finite and that the bad
 * results are made of by values that are not finite either: an infinity that a later operation
 * makes finite again (exp in a sigmoid, a mask of -inf under a softmax) is none.
 */
#include "frontend/check.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* --- indices -----------------------------------------------------------------------------------
 */

/* Which argument of a node holds indices, and along which axis of argument 0 (or of the result)
 * they count; -1: none. */
static int index_argument(const struct ir_graph *g, const struct ir_node *n, int64_t *limit)
{
    switch (n->op) {
    case IR_take:
    case IR_gather:
        *limit = ir_at(g, n->args[0])->shape.dim[n->attr[0].at[0]];
        return 1;
    case IR_put_add:
    case IR_scatter_add:
        *limit = n->attr[1].at[0];
        return 1;
    default:
        return -1;
    }
}

struct picks { /* indices that have been seen to */
    ir_val *value;
    int64_t *limit;
    int count;
};

static void add_pick(struct picks *p, ir_val v, int64_t limit)
{
    for (int i = 0; i < p->count; i++)
        if (p->value[i].id == v.id && p->limit[i] == limit)
            return;
    p->value[p->count] = v;
    p->limit[p->count++] = limit;
}

static struct picks find_picks(const struct ir_graph *g, struct ir_arena *arena)
{
    const bool *live = ir_live(g, arena);
    const size_t room = (size_t)g->count + g->regions + 1;
    struct picks p = { ir_alloc(arena, room * sizeof(ir_val)),
                       ir_alloc(arena, room * sizeof(int64_t)), 0 };

    for (uint32_t v = 1; v < g->count; v++) {
        int64_t limit = 0;
        const int i = live[v] ? index_argument(g, &g->nodes[v], &limit) : -1;
        if (i >= 0)
            add_pick(&p, g->nodes[v].args[i], limit);
    }
    for (uint32_t r = 1; r < g->regions; r++) { /* labels pick too, by being compared */
        const struct ir_region *region = &g->region[r];
        if (strcmp(region->name, "cross_entropy") == 0 && region->result.id && region->arity >= 2 &&
            live[region->result.id] && region->args[0].id && region->args[1].id &&
            ir_at(g, region->args[0])->shape.rank == 2)
            add_pick(&p, region->args[1], ir_at(g, region->args[0])->shape.dim[1]);
    }
    return p;
}

void tp_check_indices(struct ir_graph *g)
{
    const struct picks p = find_picks(g, g->arena);
    const struct ir_loc at = { 0 };
    ir_val bad = { 0 };

    for (int i = 0; i < p.count; i++) {
        const ir_val index = ir_cast(g, p.value[i], IR_I64, at);
        const struct ir_shape shape = ir_at(g, index)->shape;
        const int64_t axes[IR_RANK] = { 0, 1, 2, 3, 4, 5, 6, 7 };
        ir_val out = ir_op2(g, IR_or, ir_op2(g, IR_lt, index, ir_integer(g, IR_I64, 0, at), at),
                            ir_op2(g, IR_le, ir_size(g, p.limit[i], IR_I64, at), index, at), at);

        if (shape.rank)
            out = ir_reduce(g, IR_any, out, shape.rank, axes, at);
        bad = bad.id ? ir_op2(g, IR_or, bad, out, at) : out;
    }
    if (bad.id)
        ir_output(g, CHECK_INDICES, bad);
}

/* --- numbers -----------------------------------------------------------------------------------
 */

int64_t tp_first_unfinite(enum ir_dtype dtype, const void *data, int64_t n)
{
#define LOOK(type, bits)                                              \
    for (int64_t i = 0; i < n; i++)                                   \
        if ((((const type *)data)[i] & (type)(bits)) == (type)(bits)) \
            return i;                                                 \
    return -1
    switch (dtype) { /* all bits of the exponent are set */
    case IR_F16:
        LOOK(uint16_t, 0x7c00);
    case IR_BF16:
        LOOK(uint16_t, 0x7f80);
    case IR_F32:
        LOOK(uint32_t, 0x7f800000);
    case IR_F64:
        LOOK(uint64_t, 0x7ff0000000000000);
    default:
        return -1;
    }
#undef LOOK
}

static int64_t elements_now(const tp_program *p, ir_val v)
{
    const struct ir_shape *shape = &ir_at(p->graph, v)->shape;
    int64_t n = 1;

    for (int i = 0; i < shape->rank; i++)
        n *= ir_dim_value(p->graph, shape->dim[i], p->symbol);
    return n;
}

/* --- before and after --------------------------------------------------------------------------
 */

static bool keep(struct check *c, const tp_program *p)
{
    size_t bytes = 0;
    char *to;

    for (int i = 0; i < p->input_count; i++)
        bytes += p->input[i].bytes;
    if (c->state_bytes < p->owner->memory_used || !c->inputs) {
        free(c->states);
        free(c->inputs);
        c->states = malloc(p->owner->memory_used + 1);
        c->inputs = malloc(bytes + 1);
        c->state_bytes = p->owner->memory_used;
    }
    if (!c->states || !c->inputs)
        return ir_error(&p->owner->error, IR_FAILED, "check: no memory to keep the states in");
    if (!tp_states_here(p->owner))
        return false;
    memcpy(c->states, p->owner->memory.base, p->owner->memory_used);
    to = c->inputs;
    for (int i = 0; i < p->input_count; i++, to += p->input[i - 1].bytes)
        memcpy(to, p->input[i].data, p->input[i].bytes);
    return true;
}

void tp_check_put_back(const tp_program *p)
{
    const struct check *c = p->check;
    const char *from = c->inputs;

    memcpy(p->owner->memory.base, c->states, p->owner->memory_used);
    tp_states_changed(p->owner);
    for (int i = 0; i < p->input_count; i++) {
        memcpy(p->input[i].data, from, p->input[i].bytes);
        from += p->input[i].bytes;
    }
}

/* Is a state that the program assigns no longer finite? */
static bool state_is_bad(tp_graph *g, struct state *s)
{
    void *plain;
    bool bad;

    if (ir_dtypes[s->dtype].kind != 'f' || !(plain = tp_array_new(s->bytes)))
        return false;
    bad = tp_state_read(g, s, plain) &&
          tp_first_unfinite(s->dtype, plain, (int64_t)s->bytes / ir_dtypes[s->dtype].bytes) >= 0;
    free(plain);
    return bad;
}

static bool went_wrong(const tp_program *p)
{
    const struct port *indices = tp_program_output(p, CHECK_INDICES);
    bool bad = indices && tp_port_number(p, indices) != 0;

    for (int i = 0; i < p->output_count && !bad; i++)
        bad = tp_first_unfinite(ir_at(p->graph, p->output[i].value)->dtype, p->output[i].data,
                                elements_now(p, p->output[i].value)) >= 0;
    for (int i = 0; i < p->graph->effect_count && !bad; i++) {
        const struct ir_node *n = ir_at(p->graph, p->graph->effects[i]);
        bad = state_is_bad(p->owner, tp_state_find(p->owner, ir_at(p->graph, n->args[0])->text));
    }
    return bad;
}

bool tp_check_run(tp_program *p)
{
    if (!p->check && !(p->check = calloc(1, sizeof *p->check)))
        return ir_error(&p->owner->error, IR_FAILED, "check: not enough memory");
    if (!keep(p->check, p) || !p->engine->run(p->engine, p->symbol) || !tp_program_fetch(p) ||
        !tp_states_here(p->owner))
        return false;
    if (!went_wrong(p))
        return true;
    tp_check_put_back(p);
    return tp_check_locate(p);
}

void tp_check_free(struct check *c)
{
    if (!c)
        return;
    free(c->states);
    free(c->inputs);
    free(c);
}

/* Of argument 1 of a node, for the message. */
bool tp_check_limit(const struct ir_graph *g, const struct ir_node *n, int *argument,
                    int64_t *limit)
{
    *argument = index_argument(g, n, limit);
    return *argument >= 0;
}

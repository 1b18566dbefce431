/*
 * check_where: which operation made the first number that is not finite, or used an index past its
 * axis. The program's values are computed again, all kept, a kernel an operation; of a large
 * program some at a time.
 */
#include "frontend/check.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { AT_ONCE = 512 << 20 }; /* bytes of values that are kept at a time */

enum fault { FINE, INFINITE, NOT_A_NUMBER, OUT_OF_RANGE };
struct found { /* of a value */
    enum fault fault;
    int64_t element;      /* the first such one */
    double number;        /* .. what it is; of an index, the index */
    double operand[3];    /* of a pointwise operation, there */
    bool known[3], legal; /* legal: infinite because a constant is */
};
struct search {
    tp_program *p;
    const struct ir_graph *g;
    struct ir_arena *arena;
    const bool *live;
    struct found *found;
    const uint32_t *labels; /* by value: the region whose labels it is */
};

/* --- the program again, with these values as outputs --------------------------------------------
 */

static bool has_value(const struct ir_node *n)
{
    return !ir_has_results(n->op) && n->op != IR_assign && n->op != IR_POISON;
}

static bool is_wanted(const struct search *s, uint32_t v)
{
    return s->live[v] && has_value(&s->g->nodes[v]) && s->g->nodes[v].op != IR_const;
}

/* The indices that a node uses, and how many there may be; poison: none. */
static ir_val indices_of(const struct search *s, uint32_t v, int64_t *limit)
{
    const struct ir_region *region = s->labels[v] ? &s->g->region[s->labels[v]] : NULL;
    int argument;

    if (region) {
        *limit = ir_at(s->g, region->args[0])->shape.dim[1];
        return region->args[1];
    }
    return s->live[v] && tp_check_limit(s->g, &s->g->nodes[v], &argument, limit)
               ? s->g->nodes[v].args[argument]
               : (ir_val){ 0 };
}

static tp_program *again(const struct search *s, uint32_t from, uint32_t to)
{
    tp_graph *owner = s->p->owner;
    struct ir_graph *graph = ir_graph_like(s->g);
    ir_val *moved = ir_moved(graph, s->g);
    const bool unfused = owner->unfused, profiled = owner->profiled;
    tp_program *p;

    graph->name = "check";
    for (uint32_t v = 1; v < to; v++)
        if (s->live[v] && s->g->nodes[v].op != IR_assign)
            moved[v] = ir_copy(graph, s->g, (ir_val){ v }, moved);
    for (uint32_t v = from; v < to; v++) {
        int64_t limit;
        const ir_val index = indices_of(s, v, &limit);
        if (is_wanted(s, v))
            ir_output(graph, ir_format(graph->arena, "v%u", v), moved[v]);
        if (index.id && index.id < from)
            ir_output(graph, ir_format(graph->arena, "v%u", index.id), moved[index.id]);
    }
    owner->unfused = true;
    owner->profiled = false;
    p = tp_program_new(owner, (struct ir_program){ .graph = graph }, NULL,
                       (struct making){ .threads = s->p->making.threads });
    owner->unfused = unfused;
    owner->profiled = profiled;
    return p;
}

static bool run_again(const struct search *s, tp_program *p)
{
    memcpy(p->symbol, s->p->symbol, sizeof p->symbol);
    for (int i = 0; i < p->input_count; i++) {
        const struct port *from = tp_program_input(s->p, p->input[i].name);
        memcpy(p->input[i].data, from->data, from->bytes);
    }
    return p->engine->run(p->engine, p->symbol);
}

/* --- a value -----------------------------------------------------------------------------------
 */

static struct ir_shape shape_now(const struct search *s, ir_val v)
{
    struct ir_shape shape = ir_at(s->g, v)->shape;

    for (int i = 0; i < shape.rank; i++)
        shape.dim[i] = ir_dim_value(s->g, shape.dim[i], s->p->symbol);
    return shape;
}

static int64_t count_of(const struct ir_shape *shape)
{
    int64_t n = 1;

    for (int i = 0; i < shape->rank; i++)
        n *= shape->dim[i];
    return n;
}

static double number_in(enum ir_dtype dtype, const void *data, int64_t i)
{
    return tp_number_at(dtype, (const char *)data + i * ir_dtypes[dtype].bytes);
}

/* The element of an operand that an element of the result is made of, by broadcasting. */
static int64_t broadcast(const struct ir_shape *to, const struct ir_shape *of, int64_t element)
{
    int64_t at = 0, pitch = 1;

    for (int i = to->rank, k = of->rank; i-- > 0;) {
        const int64_t index = element % to->dim[i];
        element /= to->dim[i];
        if (--k < 0)
            break;
        at += of->dim[k] == 1 ? 0 : index * pitch;
        pitch *= of->dim[k];
    }
    return at;
}

static void look_at_operands(const struct search *s, const tp_program *p, uint32_t v)
{
    const struct ir_node *n = &s->g->nodes[v];
    struct found *f = &s->found[v];
    const struct ir_shape to = shape_now(s, (ir_val){ v });

    for (int i = 0; ir_pointwise(n->op) && i < n->arity && i < 3; i++) {
        const struct ir_node *a = ir_at(s->g, n->args[i]);
        const struct ir_shape of = shape_now(s, n->args[i]);
        char name[16];
        const struct port *port;

        snprintf(name, sizeof name, "v%u", n->args[i].id);
        port = tp_program_output(p, name);
        f->known[i] = port || a->op == IR_const;
        if (port)
            f->operand[i] = number_in(a->dtype, port->data, broadcast(&to, &of, f->element));
        else if (f->known[i])
            f->operand[i] =
                ir_dtypes[a->dtype].kind == 'f' ? ir_number_of(a) : (double)a->attr[0].at[0];
    }
}

static void look_at(const struct search *s, const tp_program *p, uint32_t v)
{
    const struct ir_node *n = &s->g->nodes[v];
    struct found *f = &s->found[v];
    const struct ir_shape shape = shape_now(s, (ir_val){ v });
    const int64_t count = count_of(&shape);
    const struct port *port;
    char name[16];

    snprintf(name, sizeof name, "v%u", v);
    port = tp_program_output(p, name);
    if (!port || !(ir_dtypes[n->dtype].kind == 'f'))
        return;
    f->element = tp_first_unfinite(n->dtype, port->data, count);
    if (f->element < 0)
        return;
    f->number = number_in(n->dtype, port->data, f->element);
    f->fault = INFINITE;
    for (int64_t i = f->element; i < count && f->fault != NOT_A_NUMBER; i++)
        if (isnan(number_in(n->dtype, port->data, i))) { /* worse than an infinity before it */
            f->fault = NOT_A_NUMBER;
            f->number = (double)NAN;
            f->element = i;
        }
    look_at_operands(s, p, v);
}

static void look_at_indices(const struct search *s, const tp_program *p, uint32_t v, ir_val index,
                            int64_t limit)
{
    const struct ir_shape shape = shape_now(s, index);
    const int64_t count = count_of(&shape), end = ir_dim_value(s->g, limit, s->p->symbol);
    const struct port *port;
    char name[16];

    snprintf(name, sizeof name, "v%u", index.id);
    port = tp_program_output(p, name);
    for (int64_t i = 0; port && i < count && s->found[v].fault != OUT_OF_RANGE; i++) {
        const double at = number_in(ir_at(s->g, index)->dtype, port->data, i);
        if (at < 0 || at >= (double)end)
            s->found[v] = (struct found){ .fault = OUT_OF_RANGE, .element = i, .number = at };
    }
}

/* --- which of them is it -----------------------------------------------------------------------
 */

static bool is_infinite_constant(const struct search *s, ir_val v)
{
    const struct ir_node *n = ir_at(s->g, v);

    while ((n->op == IR_expand || n->op == IR_reshape) && n->arity)
        n = ir_at(s->g, n->args[0]);
    return n->op == IR_const && ir_dtypes[n->dtype].kind == 'f' && !isfinite(ir_number_of(n));
}

/* The first fault that the bad results come from; 0: none. */
static uint32_t find_first(const struct search *s)
{
    bool *matters = ir_alloc(s->arena, s->g->count * sizeof *matters);
    uint32_t first = 0;

    for (uint32_t v = 1; v < s->g->count; v++) {
        const struct ir_node *n = &s->g->nodes[v];
        for (int i = 0; s->found[v].fault == INFINITE && i < n->arity; i++)
            s->found[v].legal |=
                is_infinite_constant(s, n->args[i]) || s->found[n->args[i].id].legal;
        if (s->found[v].fault == OUT_OF_RANGE)
            return v;
    }
    for (int i = 0; i < s->g->output_count; i++)
        matters[s->g->outputs[i].value.id] = true;
    for (int i = 0; i < s->g->effect_count; i++)
        matters[ir_at(s->g, s->g->effects[i])->args[1].id] = true;
    for (uint32_t v = s->g->count; v-- > 1;) {
        const struct ir_node *n = &s->g->nodes[v];
        const bool through = ir_has_results(n->op); /* its results are values of their own */
        if (!matters[v] || (!s->found[v].fault && !through))
            continue;
        if (!s->found[v].legal && !through)
            first = v;
        for (int i = 0; i < n->arity; i++)
            matters[n->args[i].id] = true;
    }
    for (uint32_t v = 1; v < s->g->count && !first; v++)
        first = matters[v] && s->found[v].fault ? v : 0;
    return first;
}

/* --- telling -----------------------------------------------------------------------------------
 */

static void put_number(struct ir_text *t, double x)
{
    ir_put_number(t, IR_F64, (double)(float)x == x || !isfinite(x) ? x : (double)(float)x);
}

static void put_element(struct ir_text *t, struct ir_shape shape, int64_t element)
{
    int64_t index[IR_RANK];

    for (int i = shape.rank; i-- > 0; element /= shape.dim[i])
        index[i] = element % shape.dim[i];
    ir_put(t, "[");
    for (int i = 0; i < shape.rank; i++)
        ir_put(t, i ? " %" PRId64 : "%" PRId64, index[i]);
    ir_put(t, "]");
}

/* What the parameter, or the input, behind a value is called; NULL: it is computed. */
static const char *source_name(const struct search *s, ir_val v)
{
    const struct ir_node *n = ir_at(s->g, v);

    while (n->arity && (n->op == IR_cast || n->op == IR_reshape || n->op == IR_expand ||
                        n->op == IR_permute || n->op == IR_slice || n->op == IR_stop_gradient))
        n = ir_at(s->g, n->args[0]);
    return n->op == IR_state || n->op == IR_input ? n->text : NULL;
}

static void put_operands(struct ir_text *t, const struct search *s, uint32_t v)
{
    const struct ir_node *n = &s->g->nodes[v];
    const struct found *f = &s->found[v];
    bool said = false;

    for (int i = 0; i < n->arity && i < 3; i++) {
        const char *name = source_name(s, n->args[i]);
        if (!f->known[i] && !name)
            continue;
        ir_put(t, said ? ", " : "; of ");
        said = true;
        if (f->known[i])
            put_number(t, f->operand[i]);
        if (name)
            ir_put(t, f->known[i] ? " (%.60s)" : "%.60s", name);
    }
}

/* A result that the fault has spoilt: the name of a parameter, or of an output. */
static const char *spoilt(const struct search *s, uint32_t from)
{
    bool *made = ir_alloc(s->arena, s->g->count * sizeof *made);

    made[from] = true;
    for (uint32_t v = from + 1; v < s->g->count; v++)
        for (int i = 0; i < s->g->nodes[v].arity; i++)
            made[v] |= made[s->g->nodes[v].args[i].id];
    for (int i = 0; i < s->g->output_count; i++)
        if (made[s->g->outputs[i].value.id] && s->found[s->g->outputs[i].value.id].fault)
            return s->g->outputs[i].name;
    for (int i = 0; i < s->g->effect_count; i++) {
        const struct ir_node *n = ir_at(s->g, s->g->effects[i]);
        if (made[n->args[1].id] && s->found[n->args[1].id].fault)
            return ir_at(s->g, n->args[0])->text;
    }
    return NULL;
}

/* The step that was under way, from 1; 0: nobody counts. */
static long long step_of(tp_program *p)
{
    struct state *s = tp_state_find(p->owner, "taper.steps");
    int64_t steps = 0;

    return s && s->bytes == sizeof steps && tp_state_read(p->owner, s, &steps)
               ? (long long)steps + 1
               : 0;
}

static void put_index_fault(struct ir_text *t, const struct search *s, uint32_t v)
{
    int64_t limit = 0;
    const ir_val index = indices_of(s, v, &limit);
    const char *name;

    name = source_name(s, index);
    ir_put(t, "index %.0f at element ", s->found[v].number);
    put_element(t, shape_now(s, index), s->found[v].element);
    if (name)
        ir_put(t, " of %.60s", name);
    ir_put(t, "; expected 0 to %" PRId64, ir_dim_value(s->g, limit, s->p->symbol) - 1);
    name = s->labels[v] ? NULL : source_name(s, s->g->nodes[v].args[0]);
    if (name)
        ir_put(t, ", the rows of %.60s", name);
}

static bool tell(const struct search *s, uint32_t v)
{
    const struct ir_node *n = &s->g->nodes[v];
    const uint32_t region = s->labels[v];
    const struct ir_loc at = region ? s->g->region[region].loc : n->loc;
    const struct found *f = &s->found[v];
    const long long step = step_of(s->p);
    const char *became = spoilt(s, v);
    struct ir_text t = { 0 };

    if (at.file)
        ir_put(&t, "%.80s:%d: ", at.file, at.line);
    ir_put(&t, "%s: ",
           region && f->fault == OUT_OF_RANGE ? "cross_entropy"
           : n->op == IR_result               ? "scan"
                                              : ir_ops[n->op].name);
    if (f->fault == OUT_OF_RANGE) {
        put_index_fault(&t, s, v);
    } else {
        if (n->op == IR_input || n->op == IR_state)
            ir_put(&t, "%.80s ", n->text);
        else if (n->name)
            ir_put(&t, "%.80s: ", n->name);
        ir_put(&t, "element ");
        put_element(&t, shape_now(s, (ir_val){ v }), f->element);
        ir_put(&t, " of ");
        ir_put_shape(&t, s->g, n->dtype, &n->shape);
        ir_put(&t, " is ");
        put_number(&t, f->number);
        put_operands(&t, s, v);
        if (became && strcmp(became, n->text ? n->text : "") != 0)
            ir_put(&t, "; it spoils %.60s", became);
    }
    if (step)
        ir_put(&t, ", in step %lld", step);
    ir_error(&s->p->owner->error, IR_FAILED, "%s", t.data);
    ir_text_free(&t);
    return false;
}

/* --- all ---------------------------------------------------------------------------------------
 */

static void find_labels(const struct search *s, uint32_t *labels)
{
    for (uint32_t r = 1; r < s->g->regions; r++) {
        const struct ir_region *region = &s->g->region[r];
        if (strcmp(region->name, "cross_entropy") == 0 && region->result.id && region->arity >= 2 &&
            region->args[0].id && region->args[1].id &&
            ir_at(s->g, region->args[0])->shape.rank == 2)
            labels[region->result.id] = r;
    }
}

/* Values from `from` on, as many as fit; where the next ones begin, 0 with an error. */
static uint32_t look_on(const struct search *s, uint32_t from)
{
    int64_t bytes = 0;
    uint32_t to = from;
    tp_program *p;

    for (; to < s->g->count && bytes <= AT_ONCE; to++)
        if (is_wanted(s, to))
            bytes +=
                ir_elements(s->g, &s->g->nodes[to].shape) * ir_dtypes[s->g->nodes[to].dtype].bytes;
    p = again(s, from, to);
    if (!p || !run_again(s, p))
        to = 0;
    for (uint32_t v = from; v < to; v++) {
        int64_t limit;
        const ir_val index = indices_of(s, v, &limit);
        if (is_wanted(s, v))
            look_at(s, p, v);
        if (index.id)
            look_at_indices(s, p, v, index, limit);
    }
    tp_program_free(p);
    return to;
}

bool tp_check_locate(tp_program *p)
{
    struct ir_arena *arena = ir_arena_new();
    struct search s = { .p = p, .g = p->graph, .arena = arena };
    uint32_t *labels = ir_alloc(arena, s.g->count * sizeof *labels);
    uint32_t next = 1, first;

    s.live = ir_live(s.g, arena);
    s.found = ir_alloc(arena, s.g->count * sizeof *s.found);
    s.labels = labels;
    find_labels(&s, labels);
    while (next && next < s.g->count)
        next = look_on(&s, next);
    first = next ? find_first(&s) : 0;
    if (first)
        tell(&s, first);
    else
        ir_error(&p->owner->error, IR_FAILED,
                 "%s: a result is not finite in step %lld, and all that it is made of is",
                 s.g->name, step_of(p));
    ir_arena_free(arena);
    return false;
}

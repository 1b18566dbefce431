/*
 * gradcheck: a program asks whether derivatives are right, its own rules (tp_with_gradient) above
 * all. The part of the trace that makes y is copied in f64; parameters have the values that they
 * have, and so have the arrays of an eager graph.
 */
#include "frontend/eager.h"
#include "frontend/proof.h"

#include <math.h>
#include <string.h>

static const char what[] = "tp_gradcheck";

enum { SAMPLES = 6, EXTENT = 3 /* of a symbol, where its bounds allow it */ };

/* What stands in for an input that has no value: fractions, and zeros for what counts or chooses.
 */
static void make_up(struct ir_array *a, uint32_t node)
{
    double *x = a->data;

    memset(a->data, 0, (size_t)tp_proof_count(&a->shape) * (size_t)ir_dtypes[a->dtype].bytes);
    for (int64_t i = 0; a->dtype == IR_F64 && i < tp_proof_count(&a->shape); i++)
        x[i] = 0.5 + 0.4 * sin((double)i * 2.3 + (double)node);
}

/* The numbers of a state, or of an array of an eager graph; NULL: there are none. */
static const void *numbers_of(tp_graph *g, const struct ir_node *n, struct ir_arena *arena)
{
    struct state *s = n->op == IR_state ? tp_state_find(g, n->text) : NULL;
    void *values;

    if (s) {
        values = ir_alloc(arena, s->bytes + 16);
        return tp_state_read(g, s, values) ? values : NULL;
    }
    for (uint32_t v = 1; g->eager && v < g->ir->count; v++)
        if (g->ir->nodes[v].op == IR_input && strcmp(g->ir->nodes[v].text, n->text) == 0)
            return g->eager->values[v].data;
    return NULL;
}

static bool bind(struct proof *p, tp_graph *g, const struct ir_graph *part)
{
    int64_t extent[IR_SYMBOLS] = { 0 };

    for (int i = 0; i < part->symbols; i++) {
        const int64_t lo = part->symbol[i].lo, hi = part->symbol[i].hi;
        extent[i] = lo > EXTENT ? lo : hi < EXTENT ? hi : EXTENT;
    }
    p->binding = ir_alloc(p->arena, part->count * sizeof *p->binding);
    for (uint32_t v = 1; v < part->count; v++) {
        const struct ir_node *n = &part->nodes[v];
        struct ir_array to = { .dtype = tp_proof_type(n->dtype), .shape = n->shape };
        const char *from;
        int64_t elements;

        if (n->op != IR_input && n->op != IR_state)
            continue;
        for (int i = 0; i < n->shape.rank; i++)
            to.shape.dim[i] = ir_dim_value(part, n->shape.dim[i], extent);
        elements = tp_proof_count(&to.shape);
        to.data = ir_alloc(p->arena, (size_t)(elements + 1) * 8);
        from = numbers_of(g, n, p->arena);
        if (g->error.status)
            return false;
        if (!from)
            make_up(&to, v);
        else if (to.dtype != IR_F64)
            memcpy(to.data, from, (size_t)(elements * ir_dtypes[n->dtype].bytes));
        else
            for (int64_t i = 0; i < elements; i++)
                ((double *)to.data)[i] =
                    tp_number_at(n->dtype, from + i * ir_dtypes[n->dtype].bytes);
        p->binding[p->bindings++] = (struct ir_binding){ n->text, to };
    }
    return true;
}

static bool derive(struct proof *p, int n, const ir_val *wrt)
{
    ir_val *gradient = ir_alloc(p->arena, ((size_t)n + 1) * sizeof *gradient);
    struct ir_array *value = ir_alloc(p->arena, ((size_t)n + 1) * sizeof *value);

    p->claim = ir_alloc(p->arena, ((size_t)n + 1) * sizeof *p->claim);
    if (!pass_gradients(p->graph, 1, &p->loss, NULL, n, wrt, gradient) ||
        !ir_evaluate(p->graph, p->bindings, p->binding, n, gradient, value, p->arena, p->error))
        return false;
    for (int i = 0; i < n; i++)
        p->claim[p->claims++] =
            (struct claim){ .parameter = wrt[i], .gradient = gradient[i], .value = value[i] };
    return true;
}

static void report(struct proof *p, tp_graph *g, const tp_tensor *x, tp_loc at)
{
    struct ir_error why = { 0 };

    for (int k = 0; k < p->claims; k++) {
        const struct claim *c = &p->claim[k];
        char element[40] = "along a direction";

        if (!c->wrong)
            continue;
        if (c->element >= 0)
            snprintf(element, sizeof element, "of element %lld", (long long)c->element);
        tp_fail(g, at, what, "%s: the slope %s is %.9g; differences say %.9g", tp_describe(x[k]),
                element, c->slope, c->difference);
        return;
    }
    if (tp_proof_forward(p, &why) > 0)
        tp_fail(g, at, what, "forward mode says %.9g; reverse mode says %.9g", p->forward,
                p->reverse);
}

static bool good(tp_tensor y, int n, const tp_tensor *x, tp_loc at)
{
    tp_graph *g = y.g;

    if (!tp_ready(g, at, what, 1, &y) || !tp_ready(g, at, what, n, x))
        return false;
    if (tp_rank(y) != 0 || ir_dtypes[tp_node(y)->dtype].kind != 'f')
        tp_fail(g, at, what, "%s; expected a scalar of a floating type", tp_describe(y));
    for (int i = 0; i < n && g->error.status == IR_OK; i++)
        if (!x[i].g || (tp_node(x[i])->op != IR_input && tp_node(x[i])->op != IR_state) ||
            ir_dtypes[tp_node(x[i])->dtype].kind != 'f')
            tp_fail(g, at, what,
                    "argument %d is %s; expected a parameter, an input or an array of "
                    "a floating type",
                    i + 1, x[i].g ? tp_describe(x[i]) : "a bare number");
    return g->error.status == IR_OK;
}

/* A C function of single precision, whose rounding would be all that differences show. */
static const struct ir_node *find_narrow(const struct ir_graph *g)
{
    const struct ir_node *found = NULL;

    for (uint32_t v = 1; v < g->count && !found; v++)
        if (g->nodes[v].op == IR_scan)
            found = find_narrow(g->nodes[v].body);
        else if (g->nodes[v].op == IR_custom && ir_dtypes[g->nodes[v].dtype].kind == 'f' &&
                 g->nodes[v].dtype != IR_F64)
            found = &g->nodes[v];
    return found;
}

bool tp_gradcheck_at(tp_tensor y, int n, const tp_tensor x[], tp_loc at)
{
    tp_graph *g = y.g;
    struct proof p = { .samples = SAMPLES };
    const struct ir_node *narrow;
    struct ir_graph *part;
    struct wanted w;
    ir_val *moved;

    if (!good(y, n, x, at))
        return false;
    p.error = &g->error;
    p.arena = ir_arena_new();
    w = tp_wanted(g, (tp_list){ n, x }, (tp_list){ 1, &y });
    w.notice = NULL;
    part = tp_trace_part(g, "gradcheck", TP_TRAIN, &w, false);
    p.graph = tp_proof_graph(part, NULL, &moved);
    p.graph->error = p.error;
    p.loss = moved[w.value[n].id];
    for (int i = 0; i < n; i++)
        w.value[i] = moved[w.value[i].id];
    narrow = find_narrow(part);
    if (narrow)
        tp_fail(g, at, what, "the function %.60s gives %s; expected one of f64, for differences",
                narrow->text, ir_dtypes[narrow->dtype].name);
    if (!narrow && bind(&p, g, part) && derive(&p, n, w.value)) {
        tp_proof_differences(&p);
        if (g->error.status == IR_OK)
            report(&p, g, x, at);
    }
    ir_graph_free(p.graph);
    ir_graph_free(part);
    ir_arena_free(p.arena);
    return tp_tell(g);
}

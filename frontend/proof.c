/*
 * proof: are derivatives right? In f64, by the interpreter, a gradient stands against finite
 * differences of the loss, of single elements and along a random direction, and against forward
 * mode.
 */
#include "frontend/proof.h"

#include <math.h>
#include <string.h>

/* --- a graph in f64 -----------------------------------------------------------------------------
 */

enum ir_dtype tp_proof_type(enum ir_dtype dtype)
{
    return ir_dtypes[dtype].kind == 'f' ? IR_F64 : dtype;
}

/* What lives in bits stays as it is; around it values are cast. */
static ir_val copy_bits(struct ir_graph *to, const struct ir_node *n, ir_val a)
{
    struct ir_node draft = *n;
    const bool from_float = ir_dtypes[n->dtype].kind != 'f';
    const ir_val narrow =
        from_float && ir_at(to, a)->dtype == IR_F64 && ir_dtypes[n->dtype].bytes == 4
            ? ir_cast(to, a, IR_F32, n->loc)
            : a;

    draft.args = &narrow;
    return ir_cast(to, ir_add(to, &draft), tp_proof_type(n->dtype), n->loc);
}

/* A C function of the user's takes and gives what it was written for. */
static ir_val copy_custom(struct ir_graph *to, const struct ir_graph *of, const struct ir_node *n,
                          ir_val *args)
{
    struct ir_node draft = *n;

    for (int i = 0; i < n->arity; i++)
        args[i] = ir_cast(to, args[i], ir_at(of, n->args[i])->dtype, n->loc);
    draft.args = args;
    return ir_cast(to, ir_add(to, &draft), tp_proof_type(n->dtype), n->loc);
}

static ir_val copy_scan(struct ir_graph *to, const struct ir_graph *of, const struct ir_node *n,
                        const ir_val *args)
{
    ir_val *moved;
    struct ir_graph *body = tp_proof_graph(n->body, to, &moved);
    const ir_val scan = ir_make_scan_like(to, of, n, body, args);

    ir_graph_free(body);
    return scan;
}

/* All of a graph but its effects, with f64 wherever it has floats. */
struct ir_graph *tp_proof_graph(const struct ir_graph *g, const struct ir_graph *parent,
                                ir_val **moved)
{
    struct ir_graph *to = parent ? ir_body_like(g, parent) : ir_graph_like(g);

    *moved = ir_moved(to, g);
    for (uint32_t v = 1; v < g->count; v++) {
        const struct ir_node *n = &g->nodes[v];
        struct ir_node draft = *n;
        ir_val *args = ir_alloc(to->arena, ((size_t)n->arity + 1) * sizeof *args);

        for (int i = 0; i < n->arity; i++)
            args[i] = (*moved)[n->args[i].id];
        if (n->op == IR_assign)
            continue;
        draft.args = args;
        draft.dtype = tp_proof_type(n->dtype);
        to->region_now = n->region < to->regions ? n->region : 0;
        if (n->op == IR_bitcast)
            (*moved)[v] = copy_bits(to, n, args[0]);
        else if (n->op == IR_custom)
            (*moved)[v] = copy_custom(to, g, n, args);
        else if (n->op == IR_scan)
            (*moved)[v] = copy_scan(to, g, n, args);
        else
            (*moved)[v] = ir_add(to, &draft);
        to->region_now = 0;
    }
    ir_move_regions(to, g, *moved);
    if (parent)
        ir_move_outputs(to, g, *moved);
    return to;
}

/* --- the loss ----------------------------------------------------------------------------------
 */

int64_t tp_proof_count(const struct ir_shape *fixed)
{
    int64_t n = 1;

    for (int i = 0; i < fixed->rank; i++)
        n *= fixed->dim[i];
    return n;
}

struct ir_array *tp_proof_array(struct proof *p, const char *name)
{
    for (int i = 0; i < p->bindings; i++)
        if (strcmp(p->binding[i].name, name) == 0)
            return &p->binding[i].array;
    return NULL;
}

static double loss_of(struct proof *p)
{
    struct ir_arena *arena = ir_arena_new();
    struct ir_array a;
    const double loss =
        ir_evaluate(p->graph, p->bindings, p->binding, 1, &p->loss, &a, arena, p->error)
            ? *(double *)a.data
            : (double)NAN;

    ir_arena_free(arena);
    return loss;
}

/* --- derivatives -------------------------------------------------------------------------------
 */

static double direction(int64_t i, int k)
{
    return sin((double)(i * 7 + 13 * k) * 1.3 + 0.5);
}

/* Moves one element (or, with -1, all along the direction). */
static void move(struct ir_array *a, int64_t element, int k, double by)
{
    const int64_t n = tp_proof_count(&a->shape);
    double *x = a->data;

    if (element >= 0)
        x[element] += by;
    for (int64_t i = 0; i < n && element < 0; i++)
        x[i] += by * direction(i, k);
}

/* Does a slope agree with differences of the loss? Some step must do: a kink may lie within others.
 */
static bool agrees(struct proof *p, int k, int64_t element, double slope, double *difference)
{
    static const double steps[] = { 1e-5, 1e-6, 1e-7 };
    struct ir_array *a = tp_proof_array(p, ir_at(p->graph, p->claim[k].parameter)->text);
    double best = INFINITY;

    for (int i = 0; i < 3; i++) {
        const double h = steps[i];
        double after, before, found, off;

        move(a, element, k, h);
        after = loss_of(p);
        move(a, element, k, -2 * h);
        before = loss_of(p);
        move(a, element, k, h);
        found = (after - before) / (2 * h);
        off = fabs(found - slope);
        if (off < best) {
            best = off;
            *difference = found;
        }
        if (off <= 1e-4 * fabs(slope) + 1e-6 + 1e-14 * fabs(after) / h)
            return true;
    }
    return false;
}

static double slope_along(const struct claim *c, int k)
{
    double slope = 0;

    for (int64_t i = 0; i < tp_proof_count(&c->value.shape); i++)
        slope += ((const double *)c->value.data)[i] * direction(i, k);
    return slope;
}

/* The greatest element and some more of each parameter's gradient, and a direction through all. */
int tp_proof_differences(struct proof *p)
{
    int wrong = 0;

    for (int k = 0; k < p->claims; k++) {
        struct claim *c = &p->claim[k];
        const double *g = c->value.data, along = slope_along(c, k);
        const int64_t n = tp_proof_count(&c->value.shape);
        int64_t at = 0;

        c->wrong = !agrees(p, k, -1, along, &c->difference);
        c->slope = along;
        c->element = -1;
        for (int64_t i = 1; i < n; i++)
            at = fabs(g[i]) > fabs(g[at]) ? i : at;
        for (int s = 0; s < p->samples && n && !c->wrong; s++) {
            c->wrong = !agrees(p, k, at, g[at], &c->difference);
            c->slope = g[at];
            c->element = at;
            at = (int64_t)(fabs(direction(s, k + 1)) * (double)n) % n;
        }
        wrong += c->wrong;
        p->compared += 1 + p->samples;
    }
    return wrong;
}

/* -1: there is no forward mode for the model, and the error says why. */
int tp_proof_forward(struct proof *p, struct ir_error *why)
{
    struct ir_graph *g = p->graph;
    ir_val *wrt = ir_alloc(p->arena, ((size_t)p->claims + 1) * sizeof *wrt), tangent;
    ir_val *with = ir_alloc(p->arena, ((size_t)p->claims + 1) * sizeof *with);
    struct ir_binding *all =
        ir_alloc(p->arena, ((size_t)p->bindings + (size_t)p->claims) * sizeof *all);
    struct ir_error *kept = g->error;
    struct ir_array got;
    double slope = 0;
    bool ok;

    memcpy(all, p->binding, (size_t)p->bindings * sizeof *all);
    for (int k = 0; k < p->claims; k++) {
        const struct ir_node n = *ir_at(g, p->claim[k].parameter);
        struct ir_array *a = &all[p->bindings + k].array;

        wrt[k] = p->claim[k].parameter;
        all[p->bindings + k].name = ir_format(g->arena, "tangent:%s", n.text);
        with[k] = ir_input(g, all[p->bindings + k].name, IR_F64, n.shape, n.loc);
        *a = *tp_proof_array(p, n.text);
        a->data = ir_alloc(p->arena, (size_t)(tp_proof_count(&a->shape) + 1) * 8);
        for (int64_t i = 0; i < tp_proof_count(&a->shape); i++)
            ((double *)a->data)[i] = direction(i, k);
        slope += slope_along(&p->claim[k], k);
    }
    g->error = why;
    ok = pass_jvp(g, p->claims, wrt, with, 1, &p->loss, &tangent) &&
         ir_evaluate(g, p->bindings + p->claims, all, 1, &tangent, &got, p->arena, why);
    g->error = kept;
    if (!ok)
        return -1;
    p->forward = *(double *)got.data;
    p->reverse = slope;
    return fabs(p->forward - slope) > 1e-8 * (fabs(slope) + 1);
}

/*
 * check: are a model's derivatives right, and do all ways of computing it agree?
 *
 * The gradients are those that the training step hands to its optimiser, be they taper's own or
 * written into a .tp file by hand. In f64, by the interpreter, they stand against finite
 * differences of the loss, of single elements and along a random direction, and against forward
 * mode. In the model's own types the fused program stands against one with a kernel an operation,
 * bit for bit, and against the interpreter.
 */
#include "command.h"
#include "prove.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- the step in f64 ---------------------------------------------------------------------------
 */

static enum ir_dtype wide(enum ir_dtype dtype)
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
    return ir_cast(to, ir_add(to, &draft), wide(n->dtype), n->loc);
}

static struct ir_graph *in_f64(const struct ir_graph *g, const struct ir_graph *parent,
                               ir_val **moved);

static ir_val copy_scan(struct ir_graph *to, const struct ir_graph *of, const struct ir_node *n,
                        const ir_val *args)
{
    ir_val *moved;
    struct ir_graph *body = in_f64(n->body, to, &moved);
    const ir_val scan = ir_make_scan_like(to, of, n, body, args);

    ir_graph_free(body);
    return scan;
}

/* All of a graph but its effects, with f64 wherever it has floats. */
static struct ir_graph *in_f64(const struct ir_graph *g, const struct ir_graph *parent,
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
        draft.dtype = wide(n->dtype);
        to->region_now = n->region < to->regions ? n->region : 0;
        if (n->op == IR_bitcast)
            (*moved)[v] = copy_bits(to, n, args[0]);
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

/* --- what it is computed from ------------------------------------------------------------------
 */

static int64_t count_of(const struct ir_shape *fixed)
{
    int64_t n = 1;

    for (int i = 0; i < fixed->rank; i++)
        n *= fixed->dim[i];
    return n;
}

/* The program's inputs and states as they are now; floats in f64. */
static bool bind(struct proof *p, const tp_program *program)
{
    const struct ir_graph *g = program->graph;

    p->binding = ir_alloc(p->arena, g->count * sizeof *p->binding);
    for (uint32_t v = 1; v < g->count; v++) {
        const struct ir_node *n = &g->nodes[v];
        struct ir_array from = { .dtype = n->dtype, .shape = n->shape }, to;
        int64_t elements;

        if (n->op != IR_input && n->op != IR_state)
            continue;
        for (int i = 0; i < n->shape.rank; i++)
            from.shape.dim[i] = ir_dim_value(g, n->shape.dim[i], program->symbol);
        elements = count_of(&from.shape);
        if (n->op == IR_input) {
            from.data = tp_program_input(program, n->text)->data;
        } else {
            struct state *s = tp_state_find(program->owner, n->text);
            from.data = ir_alloc(p->arena, s->bytes + 16);
            if (!tp_state_read(program->owner, s, from.data))
                return false;
        }
        to = from;
        to.dtype = wide(n->dtype);
        to.data = ir_alloc(p->arena, (size_t)(elements + 1) * 8);
        if (ir_dtypes[n->dtype].kind == 'f')
            for (int64_t i = 0; i < elements; i++)
                ((double *)to.data)[i] =
                    tp_number_at(n->dtype, (const char *)from.data + i * ir_dtypes[n->dtype].bytes);
        else
            memcpy(to.data, from.data, (size_t)(elements * ir_dtypes[n->dtype].bytes));
        p->binding[p->bindings++] = (struct ir_binding){ n->text, to };
    }
    return true;
}

struct ir_array *proof_array(struct proof *p, const char *name)
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
    const int64_t n = count_of(&a->shape);
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
    struct ir_array *a = proof_array(p, ir_at(p->graph, p->claim[k].parameter)->text);
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

    for (int64_t i = 0; i < count_of(&c->value.shape); i++)
        slope += ((const double *)c->value.data)[i] * direction(i, k);
    return slope;
}

/* The greatest element and some more of each parameter's gradient, and a direction through all. */
static int against_differences(struct proof *p)
{
    int wrong = 0;

    for (int k = 0; k < p->claims; k++) {
        struct claim *c = &p->claim[k];
        const double *g = c->value.data, along = slope_along(c, k);
        const int64_t n = count_of(&c->value.shape);
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
static int against_forward(struct proof *p, struct ir_error *why)
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
        *a = *proof_array(p, n.text);
        a->data = ir_alloc(p->arena, (size_t)(count_of(&a->shape) + 1) * 8);
        for (int64_t i = 0; i < count_of(&a->shape); i++)
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

/* --- ways of computing it ----------------------------------------------------------------------
 */

/* Loss and gradients of the step as a program of their own, fused or not. */
static tp_program *compile(struct proof *p, const tp_program *step, bool unfused)
{
    tp_graph *owner = step->owner;
    const struct ir_graph *g = step->graph;
    struct ir_graph *to = ir_graph_like(g);
    ir_val *moved = ir_moved(to, g);
    const bool before = owner->unfused;
    tp_program *made;

    to->name = "check";
    for (uint32_t v = 1; v < g->count; v++)
        if (g->nodes[v].op != IR_assign)
            moved[v] = ir_copy(to, g, (ir_val){ v }, moved);
    ir_output(to, "loss", moved[p->of_step.id]);
    for (int k = 0; k < p->claims; k++)
        ir_output(to, ir_format(to->arena, "grad:%d", k), moved[p->claim[k].of_step.id]);
    owner->unfused = unfused;
    made = tp_program_new(owner, (struct ir_program){ .graph = to }, NULL,
                          (struct making){ .threads = step->making.threads });
    owner->unfused = before;
    if (!made)
        return NULL;
    memcpy(made->symbol, step->symbol, sizeof made->symbol);
    for (int i = 0; i < made->input_count; i++) {
        const struct port *from = tp_program_input(step, made->input[i].name);
        memcpy(made->input[i].data, from->data, from->bytes);
    }
    return tp_run(made) ? made : NULL;
}

static int against_each_other(struct proof *p, const tp_program *step, struct ir_text *said)
{
    const tp_program *fused = compile(p, step, false), *unfused = compile(p, step, true);
    int wrong = 0;

    for (int i = 0; fused && unfused && i < fused->output_count; i++) {
        const char *name = i ? ir_at(p->graph, p->claim[i - 1].parameter)->text : "the loss itself";
        const struct ir_node *n = ir_at(fused->graph, fused->output[i].value);
        const struct ir_array *want = i ? &p->claim[i - 1].value : &p->loss_value;
        const int bytes = ir_dtypes[n->dtype].bytes;
        const int64_t count = count_of(&want->shape);
        const double loose = n->dtype == IR_F64 ? 1e-9 : n->dtype == IR_F32 ? 2e-3 : 0.1;
        double most = 0, off = 0;

        if (memcmp(fused->output[i].data, unfused->output[i].data, (size_t)(count * bytes)) != 0) {
            ir_put(said, "fused and unfused differ in %.100s\n", name);
            wrong++;
        }
        for (int64_t e = 0; e < count; e++) {
            const double w = ((const double *)want->data)[e],
                         d = fabs(
                             tp_number_at(n->dtype, (char *)fused->output[i].data + e * bytes) - w);
            most = fmax(most, fabs(w));
            off = d > off || isnan(d) ? d : off;
        }
        if (!(off <= loose * (most + 1e-3))) {
            ir_put(said, "compiled and interpreted differ by %.3g of %.3g in %.100s\n", off, most,
                   name);
            wrong++;
        }
    }
    if (!fused || !unfused)
        return -1;
    return wrong;
}

/* --- all ---------------------------------------------------------------------------------------
 */

/* What the step hands to its optimiser. */
static bool find_claims(struct proof *p, const tp_program *step, const ir_val *moved)
{
    const struct ir_graph *g = step->graph;
    const struct port *loss = tp_program_output(step, "loss");
    ir_val *value;
    struct ir_array *result;

    p->claim = ir_alloc(p->arena, ((size_t)g->regions + 1) * sizeof *p->claim);
    for (uint32_t r = 1; r < g->regions; r++) {
        const struct ir_region *region = &g->region[r];
        if (strcmp(region->name, "optimiser") != 0 || region->arity < 2 || !region->args[0].id ||
            !region->args[1].id || ir_at(g, region->args[0])->op != IR_state)
            continue;
        p->claim[p->claims++] = (struct claim){ .parameter = moved[region->args[0].id],
                                                .gradient = moved[region->args[1].id],
                                                .of_step = region->args[1] };
    }
    if (!p->claims)
        return ir_error(p->error, IR_REFUSED,
                        "%.200s: its step has no optimiser regions, so no gradients are known",
                        p->model);
    p->of_step = loss->value;
    p->loss = moved[loss->value.id];
    value = ir_alloc(p->arena, ((size_t)p->claims + 1) * sizeof *value);
    result = ir_alloc(p->arena, ((size_t)p->claims + 1) * sizeof *result);
    value[0] = p->loss;
    for (int k = 0; k < p->claims; k++)
        value[k + 1] = p->claim[k].gradient;
    if (!ir_evaluate(p->graph, p->bindings, p->binding, p->claims + 1, value, result, p->arena,
                     p->error))
        return false;
    p->loss_value = result[0];
    for (int k = 0; k < p->claims; k++)
        p->claim[k].value = result[k + 1];
    return true;
}

static bool prove(struct proof *p, struct session *s, struct ir_text *said, int *wrong)
{
    struct ir_error why = { 0 };
    ir_val *moved;
    int found;

    p->graph = in_f64(s->step->graph, NULL, &moved);
    p->graph->error = p->error;
    if (!bind(p, s->step) || !find_claims(p, s->step, moved))
        return false;
    found = against_differences(p);
    ir_put(said, "differences: %d slopes of %d parameters, %d parameters wrong\n", p->compared,
           p->claims, found);
    for (int k = 0; k < p->claims; k++)
        if (p->claim[k].wrong)
            proof_tell(p, k, said);
    *wrong += found;
    found = p->error->status ? 0 : against_forward(p, &why);
    if (found < 0)
        ir_put(said, "forward mode: none for this model: %s\n", why.text);
    else
        ir_put(said, "forward mode: %.12g, reverse %.12g%s\n", p->forward, p->reverse,
               found ? ": they differ" : "");
    *wrong += found > 0;
    found = p->error->status ? 0 : against_each_other(p, s->step, said);
    if (found < 0)
        return ir_error(p->error, tp_status(s->graph), "%s", tp_error(s->graph));
    if (found == 0)
        ir_put(said, "fused, unfused, interpreter: they agree on loss and %d gradients\n",
               p->claims);
    *wrong += found;
    return p->error->status == IR_OK;
}

int command_check(int argc, char **argv, struct ir_error *error)
{
    struct settings set = command_unset;
    struct session s = { .model = NULL };
    int64_t samples = 3;
    struct proof p = { .error = error };
    struct ir_text said = { 0 };
    int wrong = 0;
    const struct option options[] = {
        { "--samples", 'i', &samples, "N", "elements of each gradient; 3" },
        { "--out", 's', &p.out, "F.tp", "where the smallest graph that fails goes; stdout" },
        COMMAND_SETTINGS(set),
        { NULL, 0, NULL, NULL, NULL },
    };
    const struct usage usage = {
        "taper check MODEL [options]",
        "Compares the gradients of a model's step (a built-in name, or a .tp file of any stage up\n"
        "to simple, in which they may have been written by hand) with finite differences of its\n"
        "loss and with forward mode, in f64 by the interpreter, and the fused program with one of\n"
        "a kernel an operation, bit for bit, and with the interpreter. Batches of 4 rows, where\n"
        "--batch does not say. Where a derivative is wrong it says which operation's, and prints\n"
        "the smallest graph that shows it as a .tp. Exit status 1 when something is wrong.",
        "taper check lenet", options
    };
    int words;

    set.batch = 4;
    set.clip = 0; /* it would scale what the optimiser gets */
    words = command_options(argc, argv, &usage, error);
    if (words < 0)
        return words == -2 ? 0 : error->status;
    if (words != 1)
        return ir_error(error, IR_REFUSED,
                        "check takes one model, %d are given; taper train lists them", words),
               IR_REFUSED;
    p.arena = ir_arena_new();
    p.samples = (int)samples;
    p.model = argv[0];
    if (command_session(&s, argv[0], &set, true) && tp_next(s.train, s.step))
        prove(&p, &s, &said, &wrong);
    else if (s.error.status == IR_OK && s.graph && tp_error(s.graph))
        ir_error(&s.error, tp_status(s.graph), "%s", tp_error(s.graph));
    if (error->status == IR_OK)
        *error = s.error;
    if (error->status == IR_OK) {
        fwrite(said.data, 1, said.size, stdout);
        printf(wrong ? "%s: %d wrong\n" : "%s: right\n", argv[0], wrong);
    }
    ir_text_free(&said);
    if (p.graph)
        ir_graph_free(p.graph);
    command_session_free(&s);
    ir_arena_free(p.arena);
    return error->status ? error->status : wrong ? 1 : 0;
}

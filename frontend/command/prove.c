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
#include "frontend/proof.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- what it is computed from ------------------------------------------------------------------
 */

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
        elements = tp_proof_count(&from.shape);
        if (n->op == IR_input) {
            from.data = tp_program_input(program, n->text)->data;
        } else {
            struct state *s = tp_state_find(program->owner, n->text);
            from.data = ir_alloc(p->arena, s->bytes + 16);
            if (!tp_state_read(program->owner, s, from.data))
                return false;
        }
        to = from;
        to.dtype = tp_proof_type(n->dtype);
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
        const int64_t count = tp_proof_count(&want->shape);
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

    p->graph = tp_proof_graph(s->step->graph, NULL, &moved);
    p->graph->error = p->error;
    if (!bind(p, s->step) || !find_claims(p, s->step, moved))
        return false;
    found = tp_proof_differences(p);
    ir_put(said, "differences: %d slopes of %d parameters, %d parameters wrong\n", p->compared,
           p->claims, found);
    for (int k = 0; k < p->claims; k++)
        if (p->claim[k].wrong)
            proof_tell(p, k, said);
    *wrong += found;
    found = p->error->status ? 0 : tp_proof_forward(p, &why);
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

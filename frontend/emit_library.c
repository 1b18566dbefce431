/*
 * emit_library: a step and what the model says, described for a library that stands alone.
 */
#include <string.h>

#include "codegen/library.h"
#include "frontend/emit_plan.h"

struct plan {
    const struct library_args *args;
    struct emit_plan emit;
    tp_program *predict;
    int output; /* of predict: which of its outputs */
};

/* --- what the model says -------------------------------------------------------------------------
 */

/* A program of the output alone, or of a file the one that has an output of that name. */
static bool find_predict(struct plan *p, struct ir_error *error)
{
    const struct library_args *a = p->args;
    tp_graph *g = a->step->owner;

    if (a->output.id) {
        p->predict = tp_compile_at(
            g, tp_list(a->output),
            (tp_compile_args){ .mode = TP_EVAL,
                               .batch = a->step->graph->symbols ? a->step->graph->symbol[0].hi : 0,
                               .names = "output" },
            TP_HERE);
        return p->predict || ir_error(error, tp_status(g), "%s", tp_error(g));
    }
    for (int i = 0; a->eval && i < a->eval->output_count; i++)
        if (a->eval->output[i].name && strcmp(a->eval->output[i].name, "output") == 0) {
            p->predict = a->eval;
            p->output = i;
        }
    return true;
}

/* --- arguments -----------------------------------------------------------------------------------
 */

/* Rows of a batch: the first extent is the symbol, the others are fixed. */
static bool describe(const struct ir_graph *g, ir_val v, const char *name, struct gen_array *to,
                     struct ir_error *error)
{
    const struct ir_node *n = ir_at(g, v);
    bool rows = n->shape.rank > 0 && g->symbols == 1 && !ir_dim_fixed(n->shape.dim[0]) &&
                ir_dim_max(g, n->shape.dim[0]) == g->symbol[0].hi;

    *to = (struct gen_array){ .name = name, .dtype = n->dtype, .offset = -1 };
    for (int i = 1; i < n->shape.rank; i++) {
        rows = rows && ir_dim_fixed(n->shape.dim[i]);
        to->dim[to->rank++] = n->shape.dim[i];
    }
    return rows ||
           ir_error(error, IR_UNSUPPORTED,
                    "--library: %.60s has no rows of a batch; expected a first extent of one "
                    "symbol, and fixed ones after it",
                    name);
}

/* Names for C, no two alike. */
static const char *argument_name(struct ir_arena *arena, const char *name,
                                 const struct gen_array *before, int count)
{
    const char *own = gen_identifier(arena, name, "input");

    for (int i = -3; i < count; i++) {
        static const char *const taken[] = { "memory", "rows", "output" };
        if (strcmp(own, i < 0 ? taken[i + 3] : before[i].name) == 0) {
            own = ir_format(arena, "%s_", own);
            i = -4;
        }
    }
    return own;
}

static bool describe_inputs(struct plan *p, int which, const tp_program *program,
                            struct gen_library *l, struct ir_error *error)
{
    struct gen_array *input =
        ir_alloc(p->emit.arena, ((size_t)program->input_count + 1) * sizeof *input);

    for (int i = 0; i < program->input_count; i++) {
        const struct port *port = &program->input[i];
        struct gen_array *to = &input[i];

        if (!describe(program->graph, port->value,
                      argument_name(p->emit.arena, port->name, input, i), to, error))
            return false;
        to->offset = tp_emit_input(&p->emit, which, port->name);
    }
    l->input[which] = input;
    l->inputs[which] = program->input_count;
    return true;
}

static bool describe_output(struct plan *p, struct gen_library *l, struct ir_error *error)
{
    const struct loop_program *loops = p->emit.made[1]->loops;
    const struct loop_place *place = tp_emit_place(loops, loops->graph->outputs[p->output].value);

    if (!describe(p->predict->graph, p->predict->graph->outputs[p->output].value, "output",
                  &l->output, error))
        return false;
    l->output.base = place ? place->base : 0;
    l->output.offset = place ? place->offset : -1;
    return place ||
           ir_error(error, IR_UNSUPPORTED, "--library: the output is no result of its own");
}

/* --- all of it -----------------------------------------------------------------------------------
 */

static bool draws(const struct loop_program *loops)
{
    for (uint32_t v = 1; v < loops->graph->count; v++)
        if (loops->graph->nodes[v].op == IR_bits)
            return true;
    return false;
}

static bool describe_all(struct plan *p, struct ir_text *text, struct ir_text *header,
                         struct ir_error *error)
{
    const struct library_args *a = p->args;
    tp_graph *g = a->step->owner;
    struct gen_library l = { .name = a->name,
                             .version = TAPER_VERSION,
                             .model = a->model,
                             .made_by = a->made_by,
                             .step = p->emit.made[0]->loops,
                             .predict = p->emit.made[1] ? p->emit.made[1]->loops : NULL,
                             .threads = p->emit.threads,
                             .freestanding = a->freestanding,
                             .seed = (int64_t)g->ir->seed };

    l.chance = draws(l.step);
    l.rows = a->step->graph->symbols ? a->step->graph->symbol[0].hi : 0;
    l.loss = tp_emit_value(&p->emit, 0, "loss", true);
    if (!l.loss.there)
        return ir_error(error, IR_REFUSED, "--library: the step has no loss to return");
    if (!describe_inputs(p, 0, a->step, &l, error) ||
        (p->predict &&
         (!describe_inputs(p, 1, p->predict, &l, error) || !describe_output(p, &l, error))))
        return false;
    l.state = tp_emit_states(&p->emit, g, &l.states);
    if (!l.state)
        return ir_error(error, IR_FAILED, "--library: not enough memory");
    l.state_bytes = (p->emit.state_bytes + 63) / 64 * 64;
    return gen_library(text, header, &l, error);
}

bool tp_library_text(const struct library_args *args, struct ir_text *text, struct ir_text *header,
                     const struct ir_target **target, struct ir_error *error)
{
    struct plan p = { .args = args };
    const int threads = args->freestanding || args->threads < 1 ? 1 : (int)args->threads;
    bool ok = gen_library_name(args->name, error) && find_predict(&p, error);

    if (!ok)
        return false;
    ok = tp_emit_open(&p.emit, args->step->owner, args->target, threads, error) &&
         tp_emit_program(&p.emit, 0, args->step, "step", error) &&
         (!p.predict || tp_emit_program(&p.emit, 1, p.predict, "predict", error)) &&
         describe_all(&p, text, header, error);
    *target = p.emit.target;
    tp_emit_close(&p.emit);
    return ok;
}

/*
 * emit_plan: the programs of one graph planned anew, to be printed rather than run.
 *
 * The first chooses where the states lie, as in a run. Nothing is allocated or computed: sizes come
 * from the plan.
 */
#include "frontend/emit_plan.h"

#include "frontend/tuned.h"

#include <string.h>

bool tp_emit_open(struct emit_plan *p, const tp_graph *g, const char *target, int threads,
                  struct ir_error *error)
{
    *p = (struct emit_plan){ .arena = ir_arena_new(),
                             .target = ir_target_by_name(target ? target : "native"),
                             .threads = threads };
    p->known = ir_alloc(p->arena, ((size_t)g->state_count + 1) * sizeof *p->known);
    return (p->target && !p->target->processors) ||
           ir_error(error, IR_REFUSED,
                    "--target \"%.40s\": expected generic, x86-64-v3, x86-64-v4, armv8, cortex-m "
                    "or native",
                    target);
}

/* "sm_90a" */
static bool is_arch(const char *arch)
{
    const size_t digits = strncmp(arch, "sm_", 3) == 0 ? strspn(arch + 3, "0123456789") : 0;
    const char *end = arch + 3 + digits;

    return digits >= 2 && digits <= 3 && (!*end || ((*end == 'a' || *end == 'f') && !end[1]));
}

bool tp_emit_open_gpu(struct emit_plan *p, const tp_graph *g, const char *arch,
                      struct ir_error *error)
{
    *p = (struct emit_plan){ .arena = ir_arena_new(),
                             .gpu = *ir_target_by_name("cuda"),
                             .threads = 1 };
    p->known = ir_alloc(p->arena, ((size_t)g->state_count + 1) * sizeof *p->known);
    if (arch && !is_arch(arch))
        return ir_error(
            error, IR_REFUSED,
            "--target \"%.40s\": expected a GPU's architecture, such as sm_80 or sm_90a", arch);
    p->gpu.flags = arch ? ir_format(p->arena, "%s", arch) : p->gpu.flags;
    p->target = &p->gpu;
    return true;
}

void tp_emit_close(struct emit_plan *p)
{
    for (int i = 0; i < 2; i++)
        if (p->simple[i].graph && p->simple[i].graph != p->of[i]->graph)
            ir_graph_free(p->simple[i].graph);
    ir_arena_free(p->arena);
}

static void know(struct emit_plan *p, const struct pass_compiled *c)
{
    for (int i = 0; i < c->loops->places; i++) {
        const struct loop_place *place = &c->loops->place[i];
        int k = 0;

        if (place->base != 1)
            continue;
        while (k < p->known_count && strcmp(p->known[k].name, place->name) != 0)
            k++;
        if (k == p->known_count)
            p->known[p->known_count++] = (struct pass_known_state){ place->name, place->offset,
                                                                    c->storage[place->value.id] };
    }
    p->state_bytes = c->loops->state_bytes;
}

bool tp_emit_program(struct emit_plan *p, int which, const tp_program *program, const char *name,
                     struct ir_error *error)
{
    struct pass_options options = {
        .target = p->target,
        .fuse = !program->owner->unfused,
        .threads = p->threads,
        .memory = program->making.memory,
        .known = p->known,
        .known_count = p->known_count,
        .state_bytes = p->state_bytes,
        .tf32 = program->making.tf32,
    };

    tp_tuned_options(program->owner, &options, p->arena);
    p->of[which] = program;
    p->simple[which] = tp_simple_program(&program->kernels);
    p->made[which] = pass_pipeline(&p->simple[which], &options, p->arena, error);
    if (!p->made[which])
        return false;
    p->made[which]->loops->name = name;
    know(p, p->made[which]);
    return true;
}

const struct loop_place *tp_emit_place(const struct loop_program *loops, ir_val v)
{
    for (int i = 0; i < loops->places; i++)
        if (loops->place[i].value.id == v.id)
            return &loops->place[i];
    return NULL;
}

struct gen_value tp_emit_value(const struct emit_plan *p, int which, const char *name,
                               bool floating)
{
    const struct loop_program *loops = p->made[which]->loops;
    const struct ir_graph *g = loops->graph;

    for (int pass = 0; pass < 2; pass++)
        for (int i = 0; i < g->output_count; i++) {
            const struct ir_node *n = ir_at(g, g->outputs[i].value);
            const struct loop_place *place = tp_emit_place(loops, g->outputs[i].value);
            const bool named = g->outputs[i].name && strcmp(g->outputs[i].name, name) == 0;

            if (place && n->shape.rank == 0 &&
                (named || (pass && (ir_dtypes[n->dtype].kind == 'f') == floating)))
                return (struct gen_value){ true, n->dtype, place->base, place->offset };
        }
    return (struct gen_value){ .there = false };
}

static struct gen_state describe_state(const struct emit_plan *p, tp_graph *g, struct state *s)
{
    struct gen_state to = { .name = s->name,
                            .dtype = s->dtype,
                            .rank = s->shape.rank,
                            .elements = ir_elements(g->ir, &s->shape),
                            .init = s->init,
                            .a = s->a,
                            .b = s->b,
                            .saved = s->kind != STATE_HIDDEN,
                            .offset = -1 };

    memcpy(to.dim, s->shape.dim, sizeof to.dim);
    for (int i = 0; i < p->known_count; i++) {
        const struct pass_storage *storage = &p->known[i].storage;
        if (strcmp(p->known[i].name, s->name) != 0)
            continue;
        to.offset = p->known[i].offset;
        to.parts = storage->parts;
        for (int k = 0; k < storage->parts; k++)
            to.part[k] = (struct gen_part){ storage->part[k].axis, storage->part[k].divisor,
                                            storage->part[k].extent, storage->part[k].pitch };
    }
    return to;
}

/* A saved state that neither program knows lies behind the others, row-major. */
static void give_place(struct emit_plan *p, struct gen_state *s)
{
    int64_t pitch = 1;

    p->state_bytes = (p->state_bytes + 63) / 64 * 64;
    s->offset = p->state_bytes;
    s->parts = s->rank;
    for (int axis = s->rank; axis-- > 0; pitch *= s->dim[axis])
        s->part[axis] = (struct gen_part){ axis, 1, 0, pitch };
    p->state_bytes += s->elements * ir_dtypes[s->dtype].bytes;
}

/* The program's numbers where it was given some: tp_array. */
static bool copy_numbers(struct emit_plan *p, tp_graph *g, struct state *s, struct gen_state *to)
{
    void *numbers;

    if (!s->given)
        return true;
    numbers = ir_alloc(p->arena, s->bytes + 1);
    to->numbers = numbers;
    return tp_state_read(g, s, numbers);
}

struct gen_state *tp_emit_states(struct emit_plan *p, tp_graph *g, int *count)
{
    struct gen_state *state = ir_alloc(p->arena, ((size_t)g->state_count + 1) * sizeof *state);

    *count = 0;
    for (int i = 0; i < g->state_count; i++) {
        struct gen_state *to = &state[*count];
        *to = describe_state(p, g, &g->states[i]);
        if (to->offset < 0 && to->saved)
            give_place(p, to);
        if (to->offset < 0)
            continue;
        if (!copy_numbers(p, g, &g->states[i], to))
            return NULL;
        (*count)++;
    }
    return state;
}

int64_t tp_emit_input(const struct emit_plan *p, int which, const char *name)
{
    const struct loop_program *loops = p->made[which] ? p->made[which]->loops : NULL;

    for (uint32_t v = 1; loops && v < loops->graph->count; v++)
        if (loops->graph->nodes[v].op == IR_input &&
            strcmp(loops->graph->nodes[v].text, name) == 0) {
            const struct loop_place *place = tp_emit_place(loops, (ir_val){ v });
            return place ? place->offset : -1;
        }
    return -1;
}

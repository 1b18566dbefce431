#include "support_compiled.h"

#include "support.h"

#include "codegen/codegen.h"
#include "passes/passes.h"
#include "frontend/device.h"
#include "runtime/runtime.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

/* row-major position -> index */
static void unflatten(int64_t flat, const struct ir_shape *s, int64_t *index)
{
    for (int i = s->rank; i-- > 0;) {
        index[i] = flat % s->dim[i];
        flat /= s->dim[i];
    }
}

static int64_t address(const struct pass_storage *s, const int64_t *index)
{
    int64_t at = 0;

    for (int i = 0; i < s->parts; i++) {
        int64_t part = index[s->part[i].axis] / s->part[i].divisor;
        at += s->part[i].pitch * (s->part[i].extent ? part % s->part[i].extent : part);
    }
    return at;
}

static void copy(const struct pass_storage *s, const struct ir_shape *shape, int bytes,
                 char *stored, char *dense, bool out)
{
    int64_t n = 1, index[IR_RANK];

    for (int i = 0; i < shape->rank; i++)
        n *= shape->dim[i];
    for (int64_t i = 0; i < n; i++) {
        unflatten(i, shape, index);
        char *at = stored + address(s, index) * bytes;
        memcpy(out ? dense + i * bytes : at, out ? at : dense + i * bytes, (size_t)bytes);
    }
}

static const struct loop_place *place_of(const struct loop_program *p, ir_val v)
{
    for (int i = 0; i < p->places; i++)
        if (p->place[i].value.id == v.id)
            return &p->place[i];
    return NULL;
}

/* The program on the CPU as a GPU, which looks at each access, in one of its orders. */
static bool on_gpu(struct random_case *c, struct pass_compiled *p, const struct compiled_how *how,
                   char *const *base, const int64_t *symbols)
{
    const struct ir_graph *g = p->program->graph;
    struct run_planned planned = { 0 };
    struct run_transfer *input = ir_alloc(c->arena, (g->count + 1) * sizeof *input),
                        *output = ir_alloc(c->arena,
                                           (size_t)(random_value_count(c) + 1) * sizeof *output);
    struct run_device *device;
    struct run_device_program *program = NULL;
    char name[20];
    bool cached, fine;

    setenv("TAPER_CUDA_EMU_FLAGS", "-O0",
           1); /* the bits are the same, and thousands are compiled */
    snprintf(name, sizeof name, "cuda-emu:%d", how->order ? how->order : 4 + (int)(c->seed % 4));
    if (!tp_launches(&planned, p->loops, false, &c->error) ||
        !(device = run_device_open(name, &c->error)))
        return false;
    if (how->driver)
        how->driver(&device->cuda);
    for (uint32_t v = 1; v < g->count; v++) {
        const struct loop_place *at = place_of(p->loops, (ir_val){ v });
        if (at && g->nodes[v].op == IR_input)
            input[planned.inputs++] =
                (struct run_transfer){ base[0] + at->offset, at->offset, (size_t)at->bytes, 0 };
    }
    for (int i = 0; i < random_value_count(c); i++) {
        const ir_val v = i >= g->output_count ? ir_at(g, g->effects[i - g->output_count])->args[0]
                                              : g->outputs[i].value;
        const struct loop_place *at = place_of(p->loops, v);
        output[planned.outputs++] = (struct run_transfer){ base[at->base] + at->offset, at->offset,
                                                           (size_t)at->bytes, at->base };
    }
    planned.input = input;
    planned.output = output;
    if (how->spoil)
        how->spoil(&planned, c->arena);
    fine = run_device_put_states(device, base[1], (size_t)p->loops->state_bytes, &c->error) &&
           (program = run_device_load(device, &planned, &cached, &c->error)) &&
           run_device_run(program, symbols, &c->error) && run_device_fetch(program, &c->error);
    run_device_unload(program);
    run_device_free(device);
    return fine;
}

struct ir_array *compiled_values(struct random_case *c, const struct compiled_how *how)
{
    struct ir_arena *arena = c->arena;
    struct pass_options options = { .target =
                                        ir_target_by_name(how->target ? how->target : "native"),
                                    .fuse = how->fuse,
                                    .threads = how->threads,
                                    .memory = how->memory,
                                    .tf32 = how->tf32 };
    struct ir_program program = { .graph = c->graph };
    struct ir_text text = { 0 };
    struct ir_array *result = ir_alloc(arena, (size_t)(random_value_count(c) + 1) * sizeof *result);

    struct ir_target few = *options.target;
    if (how->processors) {
        few.processors = how->processors;
        options.target = &few;
    }
    options.bound[0] = how->bound;
    struct pass_compiled *p = pass_pipeline(&program, &options, arena, &c->error);
    const bool gpu = options.target->processors > 0;
    if (!p || (!gpu && !gen_program(&text, p->loops, &gen_target_c, &c->error)))
        return NULL;
    if (getenv("TAPER_SHOW_C") && text.data)
        fprintf(stderr, "%s\n", text.data);
    const char *flags = options.target->flags;
    /* the bits are the same at any level, and thousands of programs are compiled */
    if (!support_long() || c->seed > 500)
        flags = ir_format(arena, "%s -O0", flags);
    struct run_options run = { .flags = flags, .openmp = true, .no_cache = true };
    struct run_code *code = gpu ? NULL : run_code_load(text.data, &run, &c->error);
    ir_text_free(&text);
    if (!code && !gpu)
        return NULL;
    void (*step)(char *const *, const long *, int);
    *(void **)&step = gpu ? NULL : run_code_symbol(code, c->graph->name);
    char *base[2] = { calloc(1, (size_t)p->loops->arena_bytes + 8192),
                      calloc(1, (size_t)p->loops->state_bytes + 8192) };
    long dims[IR_SYMBOLS] = { 0 };
    int64_t symbols[IR_SYMBOLS] = { 0 };
    /* symbols from the bound inputs: random cases have one, the first axis */
    for (int i = 0; i < c->graph->symbols; i++)
        symbols[i] = c->graph->symbol[i].hi;
    for (uint32_t v = 1; v < c->graph->count; v++)
        for (int b = 0; b < c->bindings; b++)
            if (c->graph->nodes[v].op == IR_input &&
                !strcmp(c->graph->nodes[v].text, c->binding[b].name))
                for (int i = 0; i < c->graph->nodes[v].shape.rank; i++) {
                    int64_t dim = c->graph->nodes[v].shape.dim[i];
                    if (dim < 0 && dim == ir_symbol_dim(c->graph, 0))
                        symbols[0] = c->binding[b].array.shape.dim[i];
                }
    for (int i = 0; i < c->graph->symbols; i++)
        dims[i] = (long)symbols[i];
    const struct ir_graph *g = p->program->graph;
    memset(base[0] + 128, 0x7f,
           (size_t)p->loops->arena_bytes + 8192 - 128); /* nothing may hang on what lies there */
    memset(base[1], 0x7f, (size_t)p->loops->state_bytes + 8192);
    for (uint32_t v = 1; v < g->count; v++) {
        const struct ir_node *n = &g->nodes[v];
        const struct loop_place *at = place_of(p->loops, (ir_val){ v });
        int bytes = ir_dtypes[n->dtype].bytes;
        if (!at || (n->op != IR_input && n->op != IR_state))
            continue;
        char *data = NULL;
        struct ir_shape shape = n->shape;
        for (int i = 0; i < shape.rank; i++)
            shape.dim[i] = ir_dim_value(g, shape.dim[i], symbols);
        for (int b = 0; b < c->bindings; b++)
            if (!strcmp(n->text, c->binding[b].name))
                data = c->binding[b].array.data;
        if (!data && n->op == IR_state) {
            int64_t elements = ir_elements(g, &n->shape);
            data = ir_alloc(arena, (size_t)(elements * bytes + 1));
            ir_init_fill(n, g->seed, 0, elements, data);
        }
        if (data)
            copy(&p->storage[v], &shape, bytes, base[at->base] + at->offset, data, false);
    }
    bool fine = true;
    if (gpu)
        fine = on_gpu(c, p, how, base, symbols);
    else
        step(base, dims, how->threads);
    for (int i = 0; i < random_value_count(c); i++) {
        bool effect = i >= g->output_count;
        ir_val v =
            effect ? ir_at(g, g->effects[i - g->output_count])->args[0] : g->outputs[i].value;
        const struct ir_node *n = ir_at(g, v);
        const struct loop_place *at = place_of(p->loops, v);
        struct ir_array *r = &result[i];
        int64_t elements = 1;
        r->dtype = n->dtype;
        r->shape = n->shape;
        for (int j = 0; j < r->shape.rank; j++) {
            r->shape.dim[j] = ir_dim_value(g, n->shape.dim[j], symbols);
            elements *= r->shape.dim[j];
        }
        r->data = ir_alloc(arena, (size_t)(elements * ir_dtypes[n->dtype].bytes + 1));
        copy(&p->storage[v.id], &r->shape, ir_dtypes[n->dtype].bytes, base[at->base] + at->offset,
             r->data, true);
    }
    free(base[0]);
    free(base[1]);
    run_code_free(code);
    return fine ? result : NULL;
}

void compiled_replace(struct run_planned *planned, const char *what, const char *by,
                      struct ir_arena *arena)
{
    const char *text = planned->text[0], *at = strstr(text, what);

    cr_assert(at, "the text has no %s\n%s", what, text);
    ((const char **)planned->text)[0] =
        ir_format(arena, "%.*s%s%s", (int)(at - text), text, by, at + strlen(what));
}

/*
 * Memory as a contract: a plan puts nothing over what is still needed, a program that was given few
 * bytes takes no more and computes the same bits, and one that cannot is refused with its reason.
 */
#include <criterion/criterion.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "frontend/frontend.h"
#include "frontend/models.h"
#include "frontend/taper.h"
#include "passes/passes.h"
#include "random.h"
#include "support.h"
#include "support_compiled.h"

/* --- a plan, looked at from outside --------------------------------------------------------------
 */

enum { LINE = 64, NOBODY = 0, SCRATCH = -1 };

/* What the arena's lines hold while the kernels run in their order, and who touched them since the
 * last barrier. Independent of how lives and barriers were found. */
struct memory {
    const struct loop_program *p;
    int64_t lines;
    int64_t *holds;      /* the value, by id */
    int *written, *read; /* by which kernel since the last barrier; -1: none */
    struct ir_text *why;
};

static bool wrong(struct memory *m, int k, const struct loop_buffer *b, const char *what)
{
    ir_put(m->why, "kernel %d %s, buffer %s %%%u: %s", k, m->p->kernel[k]->name,
           b && b->name ? b->name : "", b ? b->value.id : 0, what);
    return false;
}

static int64_t first_line(const struct loop_buffer *b)
{
    return b->offset / LINE;
}

static int64_t end_line(const struct loop_buffer *b)
{
    return (b->offset + b->elements * ir_dtypes[b->dtype].bytes + LINE - 1) / LINE;
}

static bool met(const struct loop_program *p, int j, int k)
{
    return j >= 0 && j != k && (p->kernel[j]->shared || p->kernel[k]->shared);
}

static bool look_at_reads(struct memory *m, int k)
{
    const struct loop_kernel *kernel = m->p->kernel[k];

    for (int i = 0; i < kernel->buffers; i++) {
        const struct loop_buffer *b = &kernel->buffer[i];
        if (b->scratch || b->base != 0)
            continue;
        if (b->offset % LINE || end_line(b) > m->lines)
            return wrong(m, k, b, "it is not in the arena");
        for (int64_t l = first_line(b); l < end_line(b); l++) {
            if (!b->written && m->holds[l] != b->value.id)
                return wrong(m, k, b, "what it reads lies there no more");
            if (met(m->p, m->written[l], k) || (b->written && met(m->p, m->read[l], k)))
                return wrong(m, k, b, "a barrier lacks");
        }
    }
    return true;
}

static bool write_down(struct memory *m, int k)
{
    const struct loop_program *p = m->p;
    const struct loop_kernel *kernel = p->kernel[k];
    bool scratch = false;

    for (int i = 0; i < kernel->buffers; i++) {
        const struct loop_buffer *b = &kernel->buffer[i];
        scratch |= b->scratch;
        for (int64_t l = first_line(b); !b->scratch && b->base == 0 && l < end_line(b); l++) {
            m->holds[l] = b->written ? b->value.id : m->holds[l];
            *(b->written ? &m->written[l] : &m->read[l]) = k;
        }
    }
    for (int64_t l = p->scratch_offset / LINE;
         scratch && l < (p->scratch_offset + p->scratch * p->threads) / LINE; l++) {
        if ((met(p, m->written[l], k) && m->holds[l] != SCRATCH) || met(p, m->read[l], k))
            return wrong(m, k, NULL, "its scratch is where another reads or writes");
        m->holds[l] = SCRATCH;
        m->written[l] = k;
    }
    for (int i = 0; i < kernel->buffers; i++) { /* two that it writes, or writes and uses on */
        const struct loop_buffer *b = &kernel->buffer[i];
        for (int64_t l = first_line(b);
             !b->scratch && b->written && b->base == 0 && l < end_line(b); l++)
            if (m->holds[l] != b->value.id)
                return wrong(m, k, b, "what it writes is overwritten at once");
    }
    return true;
}

static bool is_sound(const struct pass_compiled *c, struct ir_text *why)
{
    const struct loop_program *p = c->loops;
    struct memory m = { .p = p, .lines = p->arena_bytes / LINE, .why = why };
    struct ir_arena *arena = ir_arena_new();
    bool fine = true;

    m.holds = ir_alloc(arena, (size_t)m.lines * sizeof *m.holds);
    m.written = ir_alloc(arena, (size_t)m.lines * sizeof *m.written);
    m.read = ir_alloc(arena, (size_t)m.lines * sizeof *m.read);
    for (int i = 0; i < p->places; i++)
        for (int64_t l = 0; p->place[i].base == 0 && l < (p->place[i].bytes + LINE - 1) / LINE; l++)
            if (ir_at(p->graph, p->place[i].value)->op == IR_input)
                m.holds[p->place[i].offset / LINE + l] = p->place[i].value.id;
    for (int k = 0; k < p->kernels && fine; k++) {
        for (int64_t l = 0; (k == 0 || p->kernel[k]->barrier) && l < m.lines; l++)
            m.written[l] = m.read[l] = -1;
        fine = look_at_reads(&m, k) && write_down(&m, k);
    }
    for (int i = 0; i < p->places && fine; i++) { /* what the caller sees is there at the end */
        const struct loop_place *l = &p->place[i];
        bool seen = ir_at(p->graph, l->value)->op == IR_input;
        for (int o = 0; o < p->graph->output_count; o++)
            seen |= p->graph->outputs[o].value.id == l->value.id;
        for (int64_t j = 0; fine && seen && l->base == 0 && j < (l->bytes + LINE - 1) / LINE; j++)
            if (m.holds[l->offset / LINE + j] != l->value.id) {
                ir_put(why, "%%%u does not last until the end", l->value.id);
                fine = false;
            }
    }
    if (fine && pass_alive(p, pass_fullest(p)) > p->arena_bytes) {
        ir_put(why, "%" PRId64 " bytes are alive in %" PRId64, pass_alive(p, pass_fullest(p)),
               p->arena_bytes);
        fine = false;
    }
    ir_arena_free(arena);
    return fine;
}

/* --- random graphs with their gradients ----------------------------------------------------------
 */

static const struct ir_loc at = { "budget", 1 };

static void add_gradients(struct random_case *c)
{
    struct ir_graph *g = c->graph;
    const int64_t axes[IR_RANK] = { 0, 1, 2, 3, 4, 5, 6, 7 };
    ir_val sum = { 0 }, wrt[RANDOM_INPUTS], grad[RANDOM_INPUTS];
    int n = 0;

    for (int i = 0; i < g->output_count; i++) {
        ir_val y = g->outputs[i].value;
        if (ir_dtypes[ir_at(g, y)->dtype].kind != 'f')
            continue;
        y = ir_reduce(g, IR_sum, y, ir_at(g, y)->shape.rank, axes, at);
        y = ir_cast(g, y, IR_F64, at);
        sum = sum.id ? ir_op2(g, IR_add, sum, y, at) : y;
    }
    for (uint32_t v = 1; v < g->count && n < RANDOM_INPUTS; v++)
        if (g->nodes[v].op == IR_input && ir_dtypes[g->nodes[v].dtype].kind == 'f')
            wrt[n++] = (ir_val){ v };
    if (!sum.id || !n || !pass_gradients(g, 1, &sum, NULL, n, wrt, grad))
        return;
    g->output_count = 0; /* these would stay, all of them */
    ir_output(g, "sum", sum);
    for (int i = 0; i < n; i++)
        ir_output(g, ir_format(c->arena, "grad%d", i), grad[i]);
}

struct seen {
    int fitted, again, refused;
};

static const struct pass_compiled *plan(struct random_case *c, int64_t memory,
                                        struct ir_error *error)
{
    const struct pass_options options = {
        .target = ir_target_by_name("native"), .fuse = true, .threads = 2, .memory = memory
    };
    const struct ir_program program = { .graph = c->graph };

    return pass_pipeline(&program, &options, c->arena, error);
}

static bool has_again(const struct ir_graph *g)
{
    for (uint32_t v = 1; v < g->count; v++)
        if (ir_is_again(g, (ir_val){ v }))
            return true;
    return false;
}

static bool fits_with_same_bits(struct random_case *c, void *user, struct ir_text *why)
{
    static const int64_t shares[] = { 95, 75, 50 };
    struct seen *seen = user;
    const struct ir_array *whole;
    const struct pass_compiled *p;
    int64_t always = 128 + LOOP_OVERRUN;

    add_gradients(c);
    p = plan(c, 0, &c->error);
    if (!p)
        return c->error.status == IR_UNSUPPORTED;
    for (int i = 0; i < p->loops->places; i++)
        if (p->loops->place[i].base == 0 && p->loops->place[i].last == p->loops->kernels - 1)
            always += p->loops->place[i].bytes;
    if (!is_sound(p, why))
        return false;
    whole = compiled_values(c, &(struct compiled_how){ .fuse = true, .threads = 2 });
    for (int i = 0; i < 3 && whole; i++) {
        const int64_t memory = always + (p->loops->arena_bytes - always) * shares[i] / 100;
        struct ir_error error = { 0 };
        const struct pass_compiled *small = plan(c, memory, &error);
        const struct ir_array *values;
        if (!small) {
            seen->refused++;
            if (!strstr(error.text, "is too small: ") || error.status != IR_REFUSED) {
                ir_put(why, "%s", error.text);
                return false;
            }
            continue;
        }
        if (small->loops->arena_bytes > memory) {
            ir_put(why, "%" PRId64 " bytes, more than %" PRId64, small->loops->arena_bytes, memory);
            return false;
        }
        if (!is_sound(small, why))
            return false;
        seen->fitted++;
        if (!has_again(small->program->graph))
            continue;
        seen->again++;
        values = compiled_values(
            c, &(struct compiled_how){ .fuse = true, .threads = 2, .memory = memory });
        for (int j = 0; j < random_value_count(c); j++) {
            ir_put(why, "value %d of %" PRId64 " %%: ", j, shares[i]);
            if (!values || !random_equal(&whole[j], &values[j], 0, 0, why))
                return false;
        }
    }
    return true;
}

Test(budget, random_graphs_fit_with_the_same_bits)
{
    const char *only = getenv("SEED");
    const uint64_t from = only ? strtoull(only, NULL, 10) : 1,
                   count = only ? 1 : (uint64_t)support_cases(support_fewer(60), 400);
    struct seen seen = { 0 };

    for (uint64_t seed = from; seed < from + count; seed++)
        cr_expect(random_holds(fits_with_same_bits, &seen, seed,
                               &(struct random_options){ .symbolic = seed % 3 == 0,
                                                         .smooth = seed % 2 == 0,
                                                         .operations = seed % 4 ? 0 : 60 }),
                  "seed %lu", (unsigned long)seed);
    cr_log_info("%d fitted, %d by computing again, %d refused", seen.fitted, seen.again,
                seen.refused);
    cr_expect(only || (seen.again > (int)count / 20 && seen.refused > (int)count / 20),
              "%d fitted by computing again, %d were refused", seen.again, seen.refused);
}

/* --- programs of users ---------------------------------------------------------------------------
 */

enum { ROWS = 128, WIDTH = 48, DEPTH = 12, STEPS = 4 };

struct deep {
    tp_graph *g;
    tp_tensor x, y, loss;
};

static struct deep deep_net(void)
{
    struct deep d = { .g = tp_graph_new(7) };
    tp_tensor h;

    d.x = tp_input(d.g, "x", TP_F32, tp_dims(tp_symbol(d.g, "batch", 1, ROWS), WIDTH));
    d.y = tp_input(d.g, "y", TP_F32, tp_dims(tp_dim(d.x, 0), WIDTH));
    h = d.x;
    for (int i = 0; i < DEPTH; i++)
        tp_scope(d.g, "h.%d", i)
            h = tp_tanh(tp_dropout(tp_linear(h, "fc", WIDTH), 0.1));
    d.loss = tp_mean(tp_square(tp_sub(h, d.y)));
    return d;
}

static tp_program *compiled(const struct deep *d, int64_t memory, bool plan_only)
{
    return tp_compile_train(d->loss, .opt = tp_adam(), .lr = tp_const(1e-2), .memory = memory,
                            .plan_only = plan_only, .threads = 2);
}

/* The losses of a few steps with at most so many bytes; false: refused. */
static bool trained(int64_t memory, double losses[STEPS], size_t *bytes)
{
    struct deep d = deep_net();
    tp_program *p = compiled(&d, memory, false);
    bool fine = p != NULL;

    for (int step = 0; step < STEPS && fine; step++) {
        float *x = tp_buffer(p, d.x, NULL), *y = tp_buffer(p, d.y, NULL);
        for (int i = 0; i < ROWS * WIDTH; i++) {
            x[i] = (float)((i * 37 + step) % 101) / 50 - 1;
            y[i] = (float)((i * 53 + step) % 97) / 50 - 1;
        }
        fine = tp_run(p);
        losses[step] = tp_get(p, d.loss);
    }
    *bytes = fine ? tp_program_bytes(p) : 0;
    if (!fine)
        cr_expect(strstr(tp_error(d.g), "is too small: "), "%s", tp_error(d.g));
    tp_graph_free(d.g);
    return fine;
}

Test(budget, a_deep_net_trains_in_less_memory_with_the_same_losses)
{
    static const int64_t shares[] = { 100, 75, 50, 40 };
    double whole[STEPS], losses[STEPS];
    size_t all, bytes, before = SIZE_MAX;

    cr_assert(trained(0, whole, &all));
    for (int i = 0; i < 4; i++) {
        const int64_t memory = (int64_t)all * shares[i] / 100;
        cr_assert(trained(memory, losses, &bytes), "%" PRId64 " %%", shares[i]);
        cr_expect(bytes <= (size_t)memory && bytes <= before);
        before = bytes;
        for (int step = 0; step < STEPS; step++)
            cr_expect_eq(losses[step], whole[step], "%" PRId64 " %%, step %d: %.17g, not %.17g",
                         shares[i], step, losses[step], whole[step]);
    }
    cr_expect_not(trained((int64_t)all / 20, losses, &bytes));
}

Test(budget, bytes_are_known_before_anything_exists)
{
    struct deep d = deep_net();
    tp_program *planned = compiled(&d, 0, true);
    tp_program *whole;
    size_t bytes;

    cr_assert(planned, "%s", tp_error(d.g));
    bytes = tp_program_bytes(planned);
    cr_expect(bytes > ROWS * WIDTH * sizeof(float));
    cr_expect_null(tp_buffer(planned, d.x, NULL));
    cr_expect_str_eq(tp_program_engine(planned), "plan");
    whole = compiled(&d, (int64_t)bytes, false);
    cr_assert(whole, "%s", tp_error(d.g));
    cr_expect_eq(tp_program_bytes(whole), bytes);
    cr_expect_not(tp_run(planned));
    cr_expect(strstr(tp_error(d.g), ".plan_only"), "%s", tp_error(d.g));
    tp_graph_free(d.g);
}

/* The batch that a refusal names is one that fits, and one more does not. */
Test(budget, a_refusal_names_a_batch_that_fits)
{
    struct deep d = deep_net();
    const tp_program *whole = compiled(&d, 0, true);
    const int64_t memory = (int64_t)tp_program_bytes(whole) / 8;
    const char *said;
    long long batch;

    cr_expect_null(compiled(&d, memory, true));
    said = strstr(tp_error(d.g), "a batch of ");
    cr_assert(said && sscanf(said, "a batch of %lld fits", &batch) == 1, "%s", tp_error(d.g));
    tp_graph_free(d.g);
    for (int more = 0; more < 2; more++) {
        d = deep_net();
        const tp_program *p =
            tp_compile_train(d.loss, .opt = tp_adam(), .lr = tp_const(1e-2), .memory = memory,
                             .plan_only = true, .threads = 2, .batch = batch + more);
        cr_expect(more ? !p : p != NULL, "batch %lld: %s", batch + more,
                  tp_error(d.g) ? tp_error(d.g) : "fits");
        tp_graph_free(d.g);
    }
}

/* Kernels that are shared between threads, with barriers between them. */
static void plans_are_sound(const tp_program *p, const char *name)
{
    static const int64_t shares[] = { 100, 91, 75, 50, 40 };
    const struct ir_program simple = tp_simple_program(&p->kernels);
    int barriers = 0;

    for (int i = 0; i < 5; i++) {
        const struct pass_options options = { .target = ir_target_by_name("x86-64-v4"),
                                              .fuse = true,
                                              .threads = 4,
                                              .memory =
                                                  (int64_t)tp_program_bytes(p) * shares[i] / 100 };
        struct ir_arena *arena = ir_arena_new();
        struct ir_error error = { 0 };
        struct ir_text why = { 0 };
        const struct pass_compiled *c = pass_pipeline(&simple, &options, arena, &error);

        cr_expect(c || strstr(error.text, "is too small: "), "%s: %s", name, error.text);
        cr_expect(!c || is_sound(c, &why), "%s at %" PRId64 " %%: %s", name, shares[i], why.data);
        for (int k = 0; c && k < c->loops->kernels; k++)
            barriers += c->loops->kernel[k]->barrier;
        ir_text_free(&why);
        ir_arena_free(arena);
    }
    cr_expect(barriers > 10, "%s: %d barriers", name, barriers);
    if (simple.graph != p->graph)
        ir_graph_free(simple.graph);
}

Test(budget, plans_of_models_are_sound)
{
    struct deep d = deep_net();
    tp_graph *g = tp_graph_new(1);
    const int64_t batch = tp_symbol(g, "batch", 1, 64);
    const tp_tensor
        x = tp_input(g, "x", TP_U8, tp_dims(batch, 1, 28, 28)),
        y = tp_input(g, "y", TP_I32, tp_dims(batch)),
        loss = tp_model_find("lenet")->build(x, y, &(struct model_sizes){ .classes = 10 }).loss;
    const tp_program *lenet =
        tp_compile_train(loss, .lr = tp_const(0.1), .plan_only = true, .threads = 2);
    const tp_program *deep = compiled(&d, 0, true);

    cr_assert(lenet && deep);
    plans_are_sound(lenet, "lenet");
    plans_are_sound(deep, "deep");
    tp_graph_free(d.g);
    tp_graph_free(g);
}

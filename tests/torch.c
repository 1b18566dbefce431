/*
 * Composites against PyTorch. A row of torch.def has an expression of taper.h and the same one in
 * Python; torch_numbers.def has what PyTorch makes of the second one (torch_numbers.py writes it):
 * sums of the result and of every gradient with weights that no two elements share, in f64.
 */
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "frontend/frontend.h"
#include "support.h"

/* --- the rows --------------------------------------------------------------------------------- */

struct inputs {
    tp_tensor of[26];
};
enum { GRADIENTS = 24 };

/* What rows call where one expression does not say it. */
static tp_tensor mesh(tp_tensor x, tp_tensor y)
{
    tp_tensor out[2];

    tp_meshgrid(out, x, y);
    return tp_mul(out[0], tp_square(out[1]));
}

static tp_tensor split3(tp_tensor x)
{
    tp_tensor out[3];

    cr_expect(tp_split(x, tp_dims(2, 3, 2), 1, out));
    out[2] = tp_concat(1, tp_narrow(out[1], 1, 2, 1), out[2]);
    return tp_sub(tp_add(tp_sum(out[0]), tp_mul(out[1], 2)), tp_mul(out[2], 3));
}

static tp_tensor chunk3(tp_tensor x)
{
    tp_tensor out[3];

    cr_expect_eq(tp_chunk(x, 3, 0, out), 3);
    return tp_add(tp_sub(tp_mul(out[0], 2), out[1]), out[2]);
}

static tp_tensor unbind3(tp_tensor x)
{
    tp_tensor out[3];

    cr_expect_eq(tp_unbind(x, 0, 3, out), 3);
    return tp_sub(tp_add(out[0], tp_mul(out[1], 2)), tp_square(out[2]));
}

static tp_tensor ends(tp_recurrent r, bool both)
{
    const tp_tensor y = tp_flatten(r.y, 0), h = tp_flatten(r.h, 0);

    return both ? tp_concat(0, y, h, tp_flatten(r.c, 0)) : tp_concat(0, y, h);
}

static void one_step(void *user, tp_tensor carry[], const tp_tensor x[], tp_tensor y[])
{
    const tp_tensor *w = user;

    (void)y;
    carry[0] = tp_tanh(tp_add(tp_mul(carry[0], *w), x[0]));
}

static void one_row(void *user, tp_tensor carry[], const tp_tensor x[], tp_tensor y[])
{
    cr_expect(tp_scan(x[0].g, one_step, user, 1, carry, 1, x, 0, NULL, .reverse = true));
    y[0] = tp_mul(carry[0], x[0]);
}

static tp_tensor rows_of_rows(tp_tensor x, tp_tensor y)
{
    tp_tensor w = tp_sin(y), all;

    cr_expect(tp_scan(x.g, one_row, &w, 1, &y, 1, &x, 1, &all));
    return tp_concat(0, y, tp_flatten(all, 0));
}

static tp_tensor ctc_numbers(tp_graph *g, int a, int b, int c)
{
    tp_tensor n[] = { tp_full(g, TP_I32, tp_dims(1), a), tp_full(g, TP_I32, tp_dims(1), b),
                      tp_full(g, TP_I32, tp_dims(1), c) };

    return tp_concat_at(0, (tp_list){ 3, n }, TP_HERE);
}

static tp_tensor top_places(tp_tensor x)
{
    tp_tensor where;

    tp_topk(x, 3, 1, .index = &where);
    return where;
}

#define LETTER(c) const tp_tensor c = in->of[#c[0] - 'a'];
#define CASE(name, text, ours, ...)                                                                \
    static tp_tensor case_##name(tp_graph *g, const struct inputs *in)                             \
    {                                                                                              \
        LETTER(x)                                                                                  \
        LETTER(y)                                                                                  \
        LETTER(z)                                                                                  \
        LETTER(w)                                                                                  \
        LETTER(p)                                                                                  \
        LETTER(q)                                                                                  \
        LETTER(u)                                                                                  \
        LETTER(v)                                                                                  \
        LETTER(i)                                                                                  \
        LETTER(j)                                                                                  \
        LETTER(b)(void) g, (void)x, (void)y, (void)z, (void)w, (void)p, (void)q, (void)u, (void)v; \
        (void)i, (void)j, (void)b;                                                                 \
        return ours;                                                                               \
    }
#include "torch.def"
#undef CASE

static const struct row {
    const char *name, *inputs;
    tp_tensor (*build)(tp_graph *g, const struct inputs *in);
} rows[] = {
#define CASE(name, text, ours, ...) { #name, text, case_##name },
#include "torch.def"
#undef CASE
};
enum { ROWS = sizeof rows / sizeof *rows };

static const struct numbers {
    const char *name;
    int count;
    double sum[GRADIENTS + 1]; /* of the result, of the gradient of each input and parameter */
} numbers[] = {
#define NUMBERS(name, count, ...) { #name, count, { __VA_ARGS__ } },
#include "torch_numbers.def"
#undef NUMBERS
};

static const struct numbers *numbers_of(const char *name)
{
    for (size_t k = 0; k < sizeof numbers / sizeof *numbers; k++)
        if (strcmp(numbers[k].name, name) == 0)
            return &numbers[k];
    return NULL;
}

/* --- one row at work -------------------------------------------------------------------------- */

struct work {
    tp_graph *g;
    struct ir_arena *arena;
    struct ir_binding *binding;
    int bindings;
    ir_val want[GRADIENTS + 1]; /* the result, then gradients */
    int wants;
};

static int64_t elements(const struct ir_shape *s)
{
    int64_t n = 1;

    for (int k = 0; k < s->rank; k++)
        n *= s->dim[k];
    return n;
}

/* What torch_numbers.py gives an input, too. */
static double start(char letter, int64_t k)
{
    const double wave = sin(1.3 * (double)k + 0.7 * (letter - 'a') + 0.5);

    return strchr("pq", letter)   ? 0.95 + 0.75 * wave
           : strchr("uv", letter) ? 0.5 + 0.45 * wave
                                  : 2 * wave;
}

static void *filled(struct work *w, char letter, int64_t modulus, int64_t n)
{
    void *data = ir_alloc(w->arena, (size_t)n * 8 + 8);

    for (int64_t k = 0; k < n; k++)
        if (letter == 'b')
            ((char *)data)[k] = start(letter, k) > 0;
        else if (letter == 'i' || letter == 'j')
            ((int64_t *)data)[k] = (7 * k + 3 + letter - 'a') % modulus;
        else
            ((double *)data)[k] = start(letter, k);
    return data;
}

static void bind(struct work *w, const char *name, enum ir_dtype dtype, struct ir_shape shape,
                 void *data)
{
    w->binding = realloc(w->binding, (size_t)(w->bindings + 1) * sizeof *w->binding);
    w->binding[w->bindings++] =
        (struct ir_binding){ ir_format(w->arena, "%s", name), { dtype, shape, data } };
}

/* "x 2 3, i:5 4": x of two axes, and four integers below 5 */
static void make_inputs(struct work *w, const char *prefix, const char *text, struct inputs *in)
{
    for (const char *c = text; *c;) {
        const char letter = *c++;
        const enum ir_dtype dtype = strchr("ij", letter) ? IR_I64
                                    : letter == 'b'      ? IR_BOOL
                                                         : IR_F64;
        tp_shape shape = { 0 };
        int64_t modulus = 1;
        char *end, name[100];

        if (*c == ':')
            modulus = strtol(c + 1, &end, 10), c = end;
        while (*c == ' ' && c[1] >= '0' && c[1] <= '9')
            shape.dim[shape.rank++] = strtol(c, &end, 10), c = end;
        c += strspn(c, ", ");
        snprintf(name, sizeof name, "%s%c", prefix, letter);
        in->of[letter - 'a'] = tp_input(w->g, name, (tp_dtype)(dtype + 1), shape);
        cr_assert(in->of[letter - 'a'].id, "%s", tp_error(w->g));
        bind(w, name, dtype, tp_ir_shape(shape),
             filled(w, letter, modulus, elements(&tp_node(in->of[letter - 'a'])->shape)));
    }
}

/* Parameters start alike in both languages, too. */
static void set_parameters(struct work *w, int first, int count, const tp_tensor *parameter)
{
    for (int k = first; k < count; k++) {
        const int64_t n = elements(&tp_node(parameter[k])->shape);
        double *data = ir_alloc(w->arena, (size_t)n * sizeof *data + 8);

        for (int64_t i = 0; i < n; i++)
            data[i] = 0.5 * sin(0.9 * (double)i + 1.1 * (k - first) + 0.2);
        cr_assert_eq(tp_node(parameter[k])->dtype, IR_F64);
        tp_set_values(parameter[k], data, (size_t)n * sizeof *data);
        bind(w, tp_name(parameter[k]), IR_F64, tp_node(parameter[k])->shape, data);
    }
}

/* Records the row; false with a message where it is refused. */
static bool record(struct work *w, const struct row *row, const char *prefix)
{
    struct inputs in = { 0 };
    tp_tensor y, parameter[2000];
    const int before = tp_params(w->g, "*", 0, NULL);
    int n = 0, count;
    ir_val wrt[GRADIENTS], cotangent;
    struct ir_shape shape;
    double *weight;
    char name[100];

    make_inputs(w, prefix, row->inputs, &in);
    y = row->build(w->g, &in);
    cr_expect(!tp_error(w->g), "%s: %s", row->name, tp_error(w->g));
    if (tp_error(w->g))
        return false;
    if (tp_dtype_of(y) != TP_F64)
        y = tp_cast(y, TP_F64);
    count = tp_params(w->g, "*", 2000, parameter);
    set_parameters(w, before, count, parameter);
    for (const char *c = "xyzwpquv"; *c; c++)
        if (in.of[*c - 'a'].id)
            wrt[n++] = tp_val(in.of[*c - 'a']);
    for (int k = before; k < count; k++)
        wrt[n++] = tp_val(parameter[k]);
    shape = tp_node(y)->shape;
    weight = ir_alloc(w->arena, (size_t)elements(&shape) * 8 + 8);
    for (int64_t k = 0; k < elements(&shape); k++)
        weight[k] = cos(0.7 * (double)k + 0.3);
    snprintf(name, sizeof name, "%sct", prefix);
    cotangent = ir_input(w->g->ir, ir_format(w->g->ir->arena, "%s", name), IR_F64, shape,
                         (struct ir_loc){ "torch", 1 });
    bind(w, name, IR_F64, shape, weight);
    w->want[0] = tp_val(y);
    w->wants = 1 + n;
    if (pass_gradients(w->g->ir, 1, w->want, &cotangent, n, wrt, w->want + 1))
        return true;
    cr_expect(false, "%s: %s", row->name, tp_error(w->g));
    return false;
}

static void compare(const struct row *row, const char *engine, int which, const double *data,
                    int64_t n)
{
    const struct numbers *want = numbers_of(row->name);
    double sum = 0;

    cr_assert(want && which < want->count, "%s: run torch_numbers.py", row->name);
    for (int64_t k = 0; k < n; k++)
        sum += data[k] * cos((which ? 1.1 : 0.7) * (double)k + (which ? 0.2 : 0.3));
    cr_expect(fabs(sum - want->sum[which]) <= 1e-8 * (1 + fabs(want->sum[which])),
              "%s, %s: %s %d is %.12g; PyTorch has %.12g", row->name, engine,
              which ? "gradient" : "value", which, sum, want->sum[which]);
}

static void work_free(struct work *w)
{
    tp_graph_free(w->g);
    ir_arena_free(w->arena);
    free(w->binding);
}

Test(torch, values_and_gradients_are_those_of_pytorch)
{
    for (int r = 0; r < ROWS; r++) {
        struct work w = { .g = tp_graph_new(1), .arena = ir_arena_new() };
        struct ir_array result[GRADIENTS + 1];

        if (record(&w, &rows[r], "")) {
            const bool ok = ir_evaluate(w.g->ir, w.bindings, w.binding, w.wants, w.want, result,
                                        w.arena, &w.g->error);
            cr_expect(ok, "%s: %s", rows[r].name, tp_error(w.g));
            for (int k = 0; ok && k < w.wants; k++)
                compare(&rows[r], "interpreter", k, result[k].data, elements(&result[k].shape));
        }
        work_free(&w);
    }
}

/* All rows as one program. */
Test(torch, compiled_programs_compute_the_same)
{
    struct work w = { .g = tp_graph_new(1), .arena = ir_arena_new() };
    tp_tensor *all = calloc(ROWS * (GRADIENTS + 1), sizeof *all);
    int *row_of = calloc(ROWS * (GRADIENTS + 1), sizeof *row_of), n = 0;
    tp_program *p;

    for (int r = 0; r < ROWS; r++) {
        char prefix[80];

        snprintf(prefix, sizeof prefix, "%.60s.", rows[r].name);
        tp_scope(w.g, "%s", rows[r].name) {
            if (record(&w, &rows[r], prefix))
                for (int k = 0; k < w.wants; k++) {
                    row_of[n] = r;
                    all[n++] = (tp_tensor){ .g = w.g, .id = w.want[k].id };
                }
        }
    }
    p = tp_compile(w.g, ((tp_list){ n, all }), TP_TRAIN);
    cr_assert(p, "%s", tp_error(w.g));
    for (uint32_t v = 1; v < w.g->ir->count; v++)
        for (int b = 0; b < w.bindings && w.g->ir->nodes[v].op == IR_input; b++)
            if (strcmp(w.g->ir->nodes[v].text, w.binding[b].name) == 0 &&
                tp_program_input(p, w.binding[b].name)) {
                size_t bytes;
                void *to = tp_buffer(p, (tp_tensor){ .g = w.g, .id = v }, &bytes);
                memcpy(to, w.binding[b].array.data, bytes);
            }
    cr_assert(tp_run(p), "%s", tp_error(w.g));
    for (int k = 0; k < n; k++) {
        const double *data = tp_buffer(p, all[k], NULL);
        int which = 0;

        while (k - which > 0 && row_of[k - which - 1] == row_of[k])
            which++;
        compare(&rows[row_of[k]], "compiled", which, data, elements(&tp_node(all[k])->shape));
    }
    free(all);
    free(row_of);
    work_free(&w);
}

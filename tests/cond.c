/*
 * tp_cond: of two functions the chosen one gives the results; one program, eager mode and the
 * interpreter agree, derivatives equal finite differences, training takes whichever way a step
 * says, and the other branch's kernels do not run. Scans that may not run are tested in scan.c.
 */
#define _POSIX_C_SOURCE 200809L
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "codegen/codegen.h"
#include "frontend/frontend.h"

enum { ROWS = 3, IN = 5, OUT = 4 };

static void fill(float *to, int n, double pace)
{
    for (int i = 0; i < n; i++)
        to[i] = (float)sin(pace * i + 0.3);
}

static void through_layer(void *user, const tp_tensor x[], tp_tensor y[])
{
    (void)user;
    tp_scope(x[0].g, "left") {
        y[0] = tp_tanh(tp_linear(x[0], "fc", OUT));
        y[1] = tp_sum(tp_exp(y[0]), -1);
    }
}

static void by_sums(void *user, const tp_tensor x[], tp_tensor y[])
{
    const tp_tensor *shift = user; /* from outside, not handed in */

    tp_scope(x[0].g, "right") {
        tp_tensor s = tp_sum(tp_sin(x[0]), -1, .keepdim = true);
        y[0] = tp_add(tp_expand(s, ROWS, OUT), *shift);
        y[1] = tp_mean(tp_square(x[0]), -1);
    }
}

struct model {
    tp_graph *g;
    tp_tensor x, when, y[2], loss;
};

/* when: 0 or 1, a number to the model */
static void build(struct model *m)
{
    tp_tensor shift = tp_param(m->g, "shift", tp_dims(OUT), TP_UNIFORM(-1, 1));

    cr_assert(tp_cond(tp_lt(0.5, m->when), through_layer, by_sums, &shift, 1, &m->x, 2, m->y), "%s",
              tp_error(m->g));
    cr_expect_eq(tp_dim(m->y[0], 1), OUT);
    cr_expect_eq(tp_rank(m->y[1]), 1);
    m->loss = tp_add(tp_mean(tp_square(m->y[0])), tp_mean(m->y[1]));
}

static struct model recorded(void)
{
    struct model m = { .g = tp_graph_new(5) };

    m.x = tp_input(m.g, "x", TP_F32, tp_dims(ROWS, IN));
    m.when = tp_input(m.g, "when", TP_F32, TP_SCALAR);
    build(&m);
    return m;
}

static void put(tp_program *p, const struct model *m, const float *x, float when)
{
    memcpy(tp_buffer(p, m->x, NULL), x, ROWS * IN * sizeof *x);
    memcpy(tp_buffer(p, m->when, NULL), &when, sizeof when);
}

static void expect_branch(bool chosen, const float *x, const float *shift, const float *y)
{
    for (int r = 0; r < ROWS; r++) {
        double sum = 0;
        for (int i = 0; i < IN; i++)
            sum += sin((double)x[r * IN + i]);
        for (int o = 0; o < OUT; o++) /* tanh is within -1..1 and not the sum of sines */
            cr_expect((fabs((double)y[r * OUT + o] - sum - (double)shift[o]) < 1e-5) == !chosen,
                      "%d %d: %g", r, o, (double)y[r * OUT + o]);
    }
}

static void a_program_takes_either_way(void)
{
    struct model m = recorded();
    tp_program *p = tp_compile(m.g, tp_list(m.y[0], m.y[1], m.loss), TP_EVAL);
    float x[ROWS * IN], y[ROWS * OUT], shift[OUT];

    cr_assert(p, "%s", tp_error(m.g));
    fill(x, ROWS * IN, 0.7);
    cr_assert(tp_get_values(tp_find(m.g, "shift"), shift, sizeof shift));
    for (int turn = 0; turn < 4; turn++) {
        put(p, &m, x, (float)(turn % 2));
        cr_assert(tp_run(p));
        cr_assert(tp_read(p, m.y[0], y, sizeof y));
        expect_branch(turn % 2, x, shift, y);
    }
    tp_graph_free(m.g);
}

Test(cond, a_program_gives_the_results_of_the_chosen_branch)
{
    a_program_takes_either_way();
}

Test(cond, the_interpreter_does_too)
{
    setenv("TAPER_ENGINE", "interpreter", 1);
    a_program_takes_either_way();
}

Test(cond, eager_has_the_bits_of_a_program_and_trains_alike)
{
    struct model m = recorded(), e = { .g = tp_eager_new(5) };
    tp_program *p = tp_compile_train(m.loss, .opt = tp_adam(), .lr = tp_const(0.01));
    float x[ROWS * IN], after[2][OUT];

    cr_assert(p, "%s", tp_error(m.g));
    for (int turn = 0; turn < 6; turn++) {
        const float when = (float)(turn % 3 != 1);
        float loss;
        fill(x, ROWS * IN, 0.7 + turn);
        put(p, &m, x, when);
        cr_assert(tp_run(p));
        e.x = tp_array(e.g, TP_F32, tp_dims(ROWS, IN), x);
        e.when = tp_array(e.g, TP_F32, TP_SCALAR, &when);
        build(&e);
        loss = (float)tp_item(e.loss);
        cr_expect_eq((float)tp_get(p, m.loss), loss, "step %d: %.9g, eagerly %.9g", turn,
                     tp_get(p, m.loss), (double)loss);
        cr_assert(tp_backward(e.loss), "%s", tp_error(e.g));
        cr_assert(tp_update(e.g, tp_adam(), tp_const(0.01)), "%s", tp_error(e.g));
    }
    for (int of = 0; of < 2; of++)
        cr_assert(tp_get_values(tp_find(of ? e.g : m.g, "shift"), after[of], sizeof *after));
    cr_expect_eq(memcmp(after[0], after[1], sizeof *after), 0);
    tp_graph_free(m.g);
    tp_graph_free(e.g);
}

/* d loss / dx, and that of its length, against differences, for both ways */
Test(cond, derivatives_equal_finite_differences)
{
    struct model m = recorded();
    tp_tensor d, dd;
    tp_program *p;
    float x[ROWS * IN], first[ROWS * IN], second[ROWS * IN];

    d = tp_grad_of(m.loss, m.x);
    tp_tensor length = tp_sum(tp_square(d), TP_ALL);
    dd = tp_grad_of(length, m.x);
    p = tp_compile(m.g, tp_list(m.loss, length, d, dd), TP_EVAL);
    cr_assert(p, "%s", tp_error(m.g));
    for (int when = 0; when < 2; when++) {
        fill(x, ROWS * IN, 0.9);
        put(p, &m, x, (float)when);
        cr_assert(tp_run(p));
        cr_assert(tp_read(p, d, first, sizeof first) && tp_read(p, dd, second, sizeof second));
        for (int i = 0; i < ROWS * IN; i++) {
            double value[2], slope[2];
            const float was = x[i];
            for (int side = 0; side < 2; side++) {
                x[i] = was + (side ? 1e-2F : -1e-2F);
                put(p, &m, x, (float)when);
                cr_assert(tp_run(p));
                value[side] = tp_get(p, m.loss);
                slope[side] = tp_get(p, length);
            }
            x[i] = was;
            cr_expect(fabs((value[1] - value[0]) / 2e-2 - (double)first[i]) < 1e-3, "%d, %d: %g",
                      when, i, (double)first[i]);
            cr_expect(fabs((slope[1] - slope[0]) / 2e-2 - (double)second[i]) < 1e-3, "%d, %d: %g",
                      when, i, (double)second[i]);
        }
    }
    tp_graph_free(m.g);
}

/* --- inside each other --------------------------------------------------------------------------
 */

static void add(void *user, const tp_tensor x[], tp_tensor y[])
{
    (void)user;
    y[0] = tp_add(x[0], x[1]);
}

static void fall(void *user, tp_tensor carry[], const tp_tensor x[], tp_tensor y[])
{
    (void)user, (void)x, (void)y;
    carry[0] = tp_mul(carry[0], 0.5);
}

static void fall_often(void *user, const tp_tensor x[], tp_tensor y[])
{
    (void)user;
    y[0] = x[0];
    tp_scan(x[0].g, fall, NULL, 1, &y[0], 0, NULL, 0, NULL, .length = 3);
}

static void leave(void *user, const tp_tensor x[], tp_tensor y[])
{
    (void)user;
    y[0] = x[0];
}

static void add_small(void *user, const tp_tensor x[], tp_tensor y[])
{
    tp_cond(tp_lt(tp_sum(x[1], TP_ALL), 4), add, leave, user, 2, x, 1, y);
}

/* per step: what is negative divides by 8, what is small is added, what is great is left out */
static void one_step(void *user, tp_tensor carry[], const tp_tensor x[], tp_tensor y[])
{
    const tp_tensor both[] = { carry[0], x[0] };

    tp_cond(tp_lt(tp_sum(x[0], TP_ALL), 0), fall_often, add_small, user, 2, both, 1, carry);
    y[0] = carry[0];
}

Test(cond, stands_in_scans_and_in_conds_and_has_scans_inside)
{
    static const float steps[] = { 1, 2, -1, 0, 3, 5, 0.5, 0.25, -2, 1, 1, 1 };
    static const float want[] = { 1,     2,   0.125,    0.25,   0.125,    0.25,
                                  0.625, 0.5, 0.078125, 0.0625, 1.078125, 1.0625 };
    static const float slope[] = { 1 / 64.F, 1 / 64.F, 0, 0, 0, 0, 0.125, 0.125, 0, 0, 1, 1 };

    for (int eager = 0; eager < 2; eager++) {
        tp_graph *g = eager ? tp_eager_new(1) : tp_graph_new(1);
        tp_tensor x = eager ? tp_array(g, TP_F32, tp_dims(6, 2), steps)
                            : tp_input(g, "x", TP_F32, tp_dims(6, 2));
        tp_tensor carry = tp_zeros(g, TP_F32, tp_dims(2)), all, d;
        tp_program *p = NULL;
        float has[12], moves[12];

        cr_assert(tp_scan(g, one_step, NULL, 1, &carry, 1, &x, 1, &all), "%s", tp_error(g));
        d = tp_grad_of(tp_sum(carry, TP_ALL), x);
        if (eager) {
            memcpy(has, tp_values(all, NULL), sizeof has);
            memcpy(moves, tp_values(d, NULL), sizeof moves);
        } else {
            p = tp_compile(g, tp_list(all, d), TP_EVAL);
            cr_assert(p, "%s", tp_error(g));
            memcpy(tp_buffer(p, x, NULL), steps, sizeof steps);
            cr_assert(tp_run(p) && tp_read(p, all, has, sizeof has) &&
                      tp_read(p, d, moves, sizeof moves));
        }
        for (int i = 0; i < 12; i++) {
            cr_expect_eq(has[i], want[i], "%d: %g, not %g", i, (double)has[i], (double)want[i]);
            cr_expect_eq(moves[i], slope[i], "d %d: %g, not %g", i, (double)moves[i],
                         (double)slope[i]);
        }
        tp_graph_free(g);
    }
}

/* --- only one of the two runs -------------------------------------------------------------------
 */

/* Kernels of a branch are called in a loop that asks first. */
Test(cond, kernels_of_a_branch_stand_behind_its_condition)
{
    struct model m = recorded();
    struct ir_arena *arena = ir_arena_new();
    struct pass_options options = { .target = ir_target_by_name("x86-64-v4"),
                                    .fuse = true,
                                    .threads = 2 };
    struct pass_compiled *c;
    struct ir_text text = { 0 };
    tp_program *p;
    struct ir_graph *simple;
    int calls[2] = { 0 }, asked = 0;
    bool inside = false;

    m.g->no_engine = true;
    p = tp_compile_train(m.loss, .opt = tp_sgd(), .lr = tp_const(1e-3));
    cr_assert(p, "%s", tp_error(m.g));
    simple = pass_simplify(p->graph);
    c = pass_pipeline(&(struct ir_program){ .graph = simple }, &options, arena, &m.g->error);
    cr_assert(c && gen_program(&text, c->loops, &gen_target_c, &m.g->error), "%s", tp_error(m.g));
    for (char *line = strtok(strstr(text.data, "\nstatic void run("), "\n"); line;
         line = strtok(NULL, "\n")) {
        if (strncmp(line, "    for (", 9) == 0)
            asked += inside = strstr(line, "*(const u8 *)(base[0]") != NULL;
        inside = inside && strcmp(line, "    }") != 0;
        for (int side = 0; side < 2; side++)
            if (strstr(line, side ? "sin_sum" : "left_fc_dot")) {
                cr_expect(inside, "%s", line);
                calls[side]++;
            }
    }
    cr_expect_eq(asked, 4, "%d choices", asked); /* two branches, forward and backward */
    cr_expect_eq(calls[0], 2);                   /* the layer and its gradient */
    cr_expect_eq(calls[1], 1);
    ir_text_free(&text);
    ir_arena_free(arena);
    ir_graph_free(simple);
    tp_graph_free(m.g);
}

/*
 * Checked programs: the first number that goes wrong is named, with its operation, line, element
 * and step, be it inside a kernel or in a derivative; and what only looks wrong is let through.
 */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "codegen/codegen.h"
#include "frontend/frontend.h"

#define HERE __LINE__

static bool says(tp_graph *g, const char *a, int line)
{
    char place[60];

    snprintf(place, sizeof place, "check.c:%d: ", line);
    return tp_error(g) && strncmp(tp_error(g), place, strlen(place)) == 0 &&
           strstr(tp_error(g), a) && strlen(tp_error(g)) < 400 && tp_status(g) == 1;
}

static void fill(tp_program *p, tp_tensor x, float value)
{
    size_t bytes;
    float *to = tp_buffer(p, x, &bytes);

    for (size_t i = 0; i < bytes / sizeof *to; i++)
        to[i] = value;
}

Test(check, names_the_operation_inside_a_kernel)
{
    tp_graph *g = tp_graph_new(1);
    const tp_tensor x = tp_input(g, "x", TP_F32, tp_dims(tp_symbol(g, "batch", 1, 8), 5)),
                    h = tp_mul(tp_linear(x, "fc1", 5), 0.001);
    const tp_tensor one = tp_add(h, x);
    const int line = HERE + 1;
    const tp_tensor logs = tp_log(one);
    const tp_tensor loss = tp_mean(tp_mul(tp_add(logs, 3), 2)), weight = tp_find(g, "fc1.weight");
    tp_program *p = tp_compile_train(loss, .lr = tp_const(1e-3), .check = true);
    float before[25], after[25];

    cr_assert(p, "%s", tp_error(g));
    tp_rows(p, 3);
    for (int step = 1; step <= 2; step++) {
        fill(p, x, 2);
        cr_assert(tp_run(p), "%s", tp_error(g));
    }
    tp_get_values(weight, before, sizeof before);
    fill(p, x, 2);
    ((float *)tp_buffer(p, x, NULL))[2 * 5 + 3] = -7;
    cr_expect_not(tp_run(p));
    cr_expect(says(g, "log: element [2 3] of f32[batch 5] is nan; of -", line), "%s", tp_error(g));
    cr_expect(strstr(tp_error(g), "in step 3") && strstr(tp_error(g), "it spoils loss"), "%s",
              tp_error(g));
    tp_state_read(g, tp_state_find(g, "fc1.weight"), after); /* as before the step */
    for (int i = 0; i < 25; i++)
        cr_expect_eq(before[i], after[i], "%d: %g %g", i, before[i], after[i]);
    tp_graph_free(g);
}

Test(check, names_the_line_whose_derivative_it_is)
{
    tp_graph *g = tp_graph_new(1);
    const tp_tensor x = tp_input(g, "x", TP_F32, tp_dims(4)),
                    w = tp_param(g, "w", tp_dims(4), TP_ONES);
    const tp_tensor product = tp_mul(x, w);
    const int line = HERE + 1;
    const tp_tensor root = tp_sqrt(product);
    tp_program *p = tp_compile_train(tp_sum(root), .lr = tp_const(1e-3), .check = true);

    fill(p, x, 1);
    cr_assert(tp_run(p), "%s", tp_error(g));
    ((float *)tp_buffer(p, x, NULL))[1] = 0; /* the root is 0, its slope is not */
    cr_expect_not(tp_run(p));
    cr_expect(says(g, "element [1] of f32[4] is inf", line), "%s", tp_error(g));
    cr_expect(strstr(tp_error(g), "it spoils w, in step 2"), "%s", tp_error(g));
    tp_graph_free(g);
}

Test(check, names_an_index_past_its_axis)
{
    tp_graph *g = tp_graph_new(1);
    const tp_tensor x = tp_input(g, "x", TP_I32, tp_dims(2, 3)),
                    y = tp_input(g, "y", TP_I32, tp_dims(2));
    const int line = HERE + 1;
    const tp_tensor h = tp_embed(x, "wte", 10, 4);
    const int labels = HERE + 1;
    const tp_tensor loss = tp_cross_entropy(tp_linear(tp_flatten(h, 1), "fc", 5), y);
    tp_program *p = tp_compile_train(loss, .lr = tp_const(1e-3), .check = true);
    int32_t *at;

    cr_assert(p, "%s", tp_error(g));
    at = tp_buffer(p, x, NULL);
    for (int i = 0; i < 6; i++)
        at[i] = i;
    memset(tp_buffer(p, y, NULL), 0, 8);
    cr_assert(tp_run(p), "%s", tp_error(g));
    at[4] = 10;
    cr_expect_not(tp_run(p));
    cr_expect(says(g,
                   "take: index 10 at element [1 1] of x; expected 0 to 9, the rows of "
                   "wte.weight, in step 2",
                   line),
              "%s", tp_error(g));
    g->error = (struct ir_error){ 0 };
    at[4] = 9;
    ((int32_t *)tp_buffer(p, y, NULL))[1] = 5;
    cr_expect_not(tp_run(p));
    cr_expect(says(g, "cross_entropy: index 5 at element [1] of y; expected 0 to 4", labels), "%s",
              tp_error(g));
    tp_graph_free(g);
}

Test(check, tells_an_input_that_is_wrong_already)
{
    tp_graph *g = tp_graph_new(1);
    const int line = HERE + 1;
    const tp_tensor x = tp_input(g, "x", TP_F32, tp_dims(4));
    tp_program *p = tp_compile(g, tp_list(tp_exp(tp_neg(x))), TP_EVAL, .check = true);

    fill(p, x, INFINITY);
    cr_expect(tp_run(p), "exp(-inf) is 0: %s", tp_error(g));
    fill(p, x, NAN);
    cr_expect_not(tp_run(p));
    cr_expect(says(g, "input: x element [0] of f32[4] is nan; it spoils output_0", line), "%s",
              tp_error(g));
    tp_graph_free(g);
}

/* Where exp overflows in a sigmoid, and where a mask is -inf, nothing is wrong. */
Test(check, lets_through_what_becomes_finite_again)
{
    tp_graph *g = tp_graph_new(1);
    const tp_tensor x = tp_input(g, "x", TP_F32, tp_dims(4, 4)), h = tp_linear(x, "fc", 4),
                    mask = tp_tril(tp_ones(g, TP_F32, tp_dims(4, 4)), 0),
                    masked = tp_where(tp_gt(mask, 0), h, -INFINITY),
                    loss = tp_mean(tp_mul(tp_softmax(masked, 1), tp_sigmoid(tp_mul(x, 300))));
    tp_program *p = tp_compile_train(loss, .lr = tp_const(1e-3), .check = true);

    cr_assert(p, "%s", tp_error(g));
    fill(p, x, -1);
    cr_expect(tp_run(p), "%s", tp_error(g));
    tp_graph_free(g);
}

static char *text_of(bool check)
{
    tp_graph *g = tp_graph_new(1);
    const tp_tensor x = tp_input(g, "x", TP_F32, tp_dims(tp_symbol(g, "batch", 1, 8), 5)),
                    loss = tp_mean(tp_square(tp_relu(tp_linear(x, "fc1", 5))));
    const tp_program *p =
        tp_compile_train(loss, .lr = tp_const(1e-3), .check = check, .threads = 2);
    struct ir_arena *arena = ir_arena_new();
    const struct ir_program simple = tp_simple_program(&p->kernels);
    struct pass_compiled *c = tp_planned_program(g, &simple, p->making, arena);
    struct ir_text text = { 0 };

    cr_assert(c && gen_program(&text, c->loops, &gen_target_c, &g->error), "%s", tp_error(g));
    ir_graph_free(simple.graph);
    ir_arena_free(arena);
    tp_graph_free(g);
    return text.data;
}

/* What is looked at is looked at from outside. */
Test(check, changes_no_byte_of_the_code)
{
    char *with = text_of(true), *without = text_of(false);

    cr_expect_str_eq(with, without);
    cr_expect(strstr(without, "fc1"));
    free(with);
    free(without);
}

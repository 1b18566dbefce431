/*
 * What is told of kernels: every kernel that reads another says why it is not one with it.
 */
#include <criterion/criterion.h>
#include <string.h>

#include "frontend/frontend.h"

static tp_program *small(tp_graph *g)
{
    const tp_tensor x = tp_input(g, "x", TP_F32, tp_dims(tp_symbol(g, "batch", 1, 32), 20)),
                    h = tp_relu(tp_linear(x, "fc1", 16)),
                    y = tp_log_softmax(tp_linear(h, "fc2", 4), 1);

    return tp_compile_train(tp_mean(tp_neg(y)), .lr = tp_const(0.1), .threads = 2);
}

Test(explain, gives_a_reason_at_every_boundary)
{
    tp_graph *g = tp_graph_new(1);
    const tp_program *p = small(g);
    struct ir_arena *arena = ir_arena_new();
    int count = 0, boundaries = 0;
    const char *fullest = NULL;
    const struct explained *all;

    cr_assert(p, "%s", tp_error(g));
    all = tp_explained(p, arena, &count, &fullest);
    cr_assert(all && count > 3);
    for (int k = 0; k < count; k++) {
        cr_expect(all[k].operations > 0 && *all[k].maths, "%s", all[k].name);
        cr_expect(all[k].bytes > 0, "%s", all[k].name);
        for (int i = 0; i < all[k].boundaries; i++, boundaries++) {
            cr_expect(all[k].boundary[i].reason && *all[k].boundary[i].reason, "%s", all[k].name);
            cr_expect_str_neq(all[k].boundary[i].kernel, all[k].name);
        }
    }
    cr_expect_geq(boundaries, 4, "%d", boundaries);
    cr_expect(fullest && *fullest);
    ir_arena_free(arena);
    tp_graph_free(g);
}

Test(explain, is_a_text_of_the_program)
{
    tp_graph *g = tp_graph_new(1);
    const tp_program *p = small(g);
    const char *all = tp_explain(p, NULL), *one = tp_explain(p, "fc1_dot_add_relu");

    cr_assert(all && one, "%s", all ? all : "nothing");
    cr_expect(strstr(all, "fc1_dot_add_relu: 3 operations, "), "%s", all);
    cr_expect(strstr(all, "apart from fc1_dot_add_relu: its sums read each element many times"),
              "%s", all);
    cr_expect(strstr(one, "loops ") && strstr(one, "lanes ") && strlen(one) < strlen(all), "%s",
              one);
    cr_expect_null(tp_explain(p, "nothing"));
    cr_expect_null(tp_explain(NULL, NULL));
    tp_graph_free(g);
}

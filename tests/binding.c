/*
 * What bindings stand on: a tape that is made short, errors that are cleared, layers of given
 * weights and a rate that is given.
 */
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>
#include <taper.h>

static tp_tensor vector(tp_graph *g, int n, const float *x)
{
    return tp_array(g, TP_F32, tp_dims(n), x);
}

static void same(tp_tensor x, int n, const float *want)
{
    size_t bytes;
    const float *got = tp_values(x, &bytes);

    cr_assert(got && bytes == (size_t)n * sizeof *got, "%s", tp_error(x.g) ? tp_error(x.g) : "");
    for (int i = 0; i < n; i++)
        cr_expect(fabsf(got[i] - want[i]) < 1e-5f, "%d: %g, not %g", i, (double)got[i],
                  (double)want[i]);
}

Test(keep, what_is_held_stays)
{
    tp_graph *g = tp_eager_new(1);
    tp_tensor a = vector(g, 3, (float[]){ 1, 2, 3 }), b = vector(g, 3, (float[]){ 4, 5, 6 });
    tp_tensor square = tp_mul(a, a), other = tp_add(a, b), loss = tp_sum(tp_mul(square, b)), grad;
    tp_tensor held[] = { a, other, loss };
    uint32_t before, after;
    size_t bytes;

    for (int i = 0; i < 100; i++)
        tp_mul(b, (double)i);
    before = tp_tape(g, NULL);
    cr_assert(tp_keep(g, 3, held, (bool[]){ false, false, true }));
    after = tp_tape(g, &bytes);
    cr_expect(after < 12 && before > 100 && bytes > 0, "%u nodes of %u", after, before);
    same(held[0], 3, (float[]){ 1, 2, 3 });
    same(held[1], 3, (float[]){ 5, 7, 9 });
    cr_expect_eq(tp_item(held[2]), 4 + 20 + 54);
    cr_assert(tp_grad(held[2], 1, held, &grad)); /* 2 a b: the history of what is derived */
    same(grad, 3, (float[]){ 8, 20, 36 });
    cr_assert(tp_grad(tp_sum(held[1]), 1, held, &grad)); /* of the others there is none */
    same(grad, 3, (float[]){ 0, 0, 0 });
    tp_graph_free(g);
}

Test(keep, regions_and_views_survive)
{
    tp_graph *g = tp_eager_new(1);
    tp_tensor x = tp_array(g, TP_F32, tp_dims(2, 2), (float[]){ 1, 2, 3, 5 });
    tp_tensor y = tp_transpose(tp_softmax(x, 1), 0, 1), held[] = { x, y }, grad, again;
    tp_tensor row = tp_index(y, 0);

    held[1] = row;
    for (int i = 0; i < 3; i++)
        cr_assert(tp_keep(g, 2, held, (bool[]){ false, true }));
    same(held[1], 2, (float[]){ 0.26894142f, 0.11920292f });
    cr_assert(tp_grad(tp_sum(held[1]), 1, held, &grad));
    same(grad, 4, (float[]){ 0.19661193f, -0.19661193f, 0.10499359f, -0.10499359f });
    again = tp_softmax(held[0], 1);
    cr_expect(again.id && !tp_error(g));
    tp_graph_free(g);
}

Test(keep, parameters_are_found_by_their_names_afterwards)
{
    tp_graph *g = tp_eager_new(1);

    for (int i = 0; i < 200; i++) { /* what the old tape held is used again for something else */
        tp_tensor x = vector(g, 3, (float[]){ 1, 2, 3 });
        tp_tensor w = tp_param(g, "w", tp_dims(3), TP_CONSTANT(2), .shared = true);
        tp_tensor b = tp_param(g, "b", tp_dims(3), TP_CONSTANT(1), .shared = true);
        same(tp_add(tp_mul(x, w), b), 3, (float[]){ 3, 5, 7 });
        cr_assert(tp_keep(g, 0, NULL, NULL));
        cr_assert(tp_find(g, "w").id != 0 && tp_find(g, "b").id != 0);
    }
    cr_assert(tp_params(g, "*", 0, NULL) == 2);
    tp_graph_free(g);
}

Test(keep, what_is_no_tensor_is_refused)
{
    tp_graph *g = tp_eager_new(1), *plain = tp_graph_new(1);
    tp_tensor none = { .g = g };

    cr_expect(!tp_keep(g, 1, &none, (bool[]){ true }));
    cr_expect(!tp_keep(plain, 0, NULL, NULL));
    tp_graph_free(g);
    tp_graph_free(plain);
}

Test(depends, says_what_is_behind)
{
    tp_graph *g = tp_eager_new(1);
    tp_tensor x[] = { vector(g, 2, (float[]){ 1, 2 }), vector(g, 2, (float[]){ 3, 4 }) };
    bool out[2];

    tp_depends(tp_sum(tp_exp(x[1])), 2, x, out);
    cr_expect(!out[0] && out[1]);
    tp_graph_free(g);
}

Test(error, is_cleared)
{
    tp_graph *g = tp_eager_new(1);
    tp_tensor a = vector(g, 3, (float[]){ 1, 2, 3 }), b = vector(g, 2, (float[]){ 4, 5 });

    cr_expect_eq(tp_add(a, b).id, 0);
    cr_expect(tp_error(g) && tp_status(g) == 2);
    tp_clear_error(g);
    cr_expect(!tp_error(g) && tp_status(g) == 0);
    same(tp_mul(a, 2), 3, (float[]){ 2, 4, 6 });
    tp_graph_free(g);
}

Test(given, layers_are_those_with_names)
{
    tp_graph *g = tp_eager_new(3);
    tp_tensor x = tp_randn(g, TP_F32, tp_dims(2, 4, 5, 5)), flat = tp_reshape(x, 2, -1);
    tp_tensor named[] = { tp_conv2d(x, "c", 6, 3, .stride = 2, .pad = 1), tp_linear(flat, "l", 3),
                          tp_layer_norm(x, "n"), tp_group_norm(x, "gn", 2),
                          tp_conv_transpose2d(x, "t", 6, 3, .stride = 2, .out_pad = 1) };
    tp_tensor none = { .g = NULL };
    tp_tensor given[] = {
        tp_conv_of_at("conv2d", 2, x, tp_find(g, "c.weight"), tp_find(g, "c.bias"),
                      (tp_conv_args){ .stride = 2, .pad = 1 }, TP_HERE),
        tp_linear_of_at(flat, tp_find(g, "l.weight"), tp_find(g, "l.bias"), TP_HERE),
        tp_layer_norm_of_at(x, tp_find(g, "n.weight"), tp_find(g, "n.bias"), 1, 1e-5, true,
                            TP_HERE),
        tp_group_norm_of_at(x, tp_find(g, "gn.weight"), tp_find(g, "gn.bias"), 2, 1e-5, TP_HERE),
        tp_conv_of_at("conv_transpose2d", 2, x, tp_find(g, "t.weight"), tp_find(g, "t.bias"),
                      (tp_conv_args){ .stride = 2, .out_pad = 1 }, TP_HERE)
    };

    cr_assert(!tp_error(g), "%s", tp_error(g));
    for (int i = 0; i < 5; i++) {
        size_t a, b;
        const void *p = tp_values(named[i], &a), *q = tp_values(given[i], &b);
        cr_expect(p && q && a == b && memcmp(p, q, a) == 0, "layer %d", i);
    }
    cr_expect_eq(tp_linear_of_at(x, tp_find(g, "l.weight"), none, TP_HERE).id, 0);
    cr_expect(strstr(tp_error(g), "binding.c:") && strstr(tp_error(g), "linear"), "%s",
              tp_error(g));
    tp_graph_free(g);
}

Test(given, batch_norm_is_that_with_a_name)
{
    tp_graph *g = tp_graph_new(3), *e = tp_eager_new(3);
    const float data[] = { 1, 2, 3, 4, 5, 7 };
    tp_tensor x = tp_array(e, TP_F32, tp_dims(3, 2), data), none = { .g = NULL };
    tp_tensor run[] = { vector(e, 2, (float[]){ 0, 0 }), vector(e, 2, (float[]){ 1, 1 }) };
    tp_tensor y = tp_batch_norm_of_at(x, none, none, run, true, 0.1, 1e-5, TP_HERE);
    tp_tensor in = tp_input(g, "x", TP_F32, tp_dims(3, 2)),
              z = tp_batch_norm(in, "bn", .no_scale = true);
    tp_program *p = tp_compile(g, tp_list(z), TP_TRAIN);
    float found[6];

    cr_assert(p && !tp_error(g) && !tp_error(e), "%s", tp_error(e) ? tp_error(e) : tp_error(g));
    memcpy(tp_buffer(p, in, NULL), data, sizeof data);
    cr_assert(tp_run(p) && tp_read(p, z, found, sizeof found));
    same(y, 6, found);
    for (int i = 0; i < 2; i++) {
        cr_assert(tp_get_values(tp_find(g, i ? "bn.running_var" : "bn.running_mean"), found, 8));
        same(run[i], 2, found);
    }
    cr_expect_eq(
        tp_batch_norm_of_at(x, none, none, (tp_tensor[]){ none, none }, false, 0.1, 1e-5, TP_HERE)
            .id,
        0);
    tp_graph_free(g);
    tp_graph_free(e);
}

Test(given, a_rate_may_change_between_runs)
{
    tp_graph *g = tp_graph_new(1);
    tp_tensor w = tp_param(g, "w", TP_SCALAR, TP_CONSTANT(8));
    tp_program *p = tp_compile_train(tp_mul(w, 1), .opt = tp_sgd(), .lr = tp_given(1));
    float now;

    cr_assert(p, "%s", tp_error(g));
    cr_assert(tp_run(p) && tp_get_values(w, &now, sizeof now));
    cr_expect_eq(now, 7);
    cr_assert(tp_set_rate(g, 0.5) && tp_run(p) && tp_get_values(w, &now, sizeof now));
    cr_expect_eq(now, 6.5f);
    tp_graph_free(g);
    g = tp_graph_new(1);
    cr_expect(!tp_set_rate(g, 1) && tp_status(g) == 2);
    tp_graph_free(g);
}

/*
 * moons.c: micrograd's demonstration: a 2-16-16-1 net with a margin loss on two moons.
 *
 *     cc moons.c -ltaper && ./a.out
 */
#include <stdio.h>
#include <taper.h>

int main(void)
{
    enum { POINTS = 100, STEPS = 100 };

    tp_loader *moons = tp_load_moons("train", .count = POINTS, .batch = POINTS, .noise = 0.1);
    tp_graph *g = tp_graph_new(1337);
    tp_tensor x = tp_input(g, "x", TP_F32, tp_dims(tp_symbol(g, "batch", 1, POINTS), 2));
    tp_tensor y = tp_input(g, "y", TP_I32, tp_dims(tp_dim(x, 0)));
    tp_tensor side = tp_sub(tp_mul(tp_cast(y, TP_F32), 2), 1); /* -1 or 1 */
    tp_tensor score = tp_squeeze(tp_mlp(x, "mlp", 16, 16, 1), 1);

    /* a margin of 1 on either side, and small weights */
    tp_tensor loss = tp_mean(tp_relu(tp_sub(1, tp_mul(side, score))));
    tp_tensor weights[6];
    for (int i = 0, n = tp_params(g, "*", 6, weights); i < n; i++)
        loss = tp_add(loss, tp_mul(tp_sum(tp_square(weights[i])), 1e-4));
    tp_tensor hits = tp_sum(tp_eq(tp_gt(score, 0), tp_gt(side, 0)));

    tp_program *step =
        tp_compile_train(loss, .lr = tp_linear_decay(1, 0.1, STEPS), .also = tp_list(hits));
    for (int i = 0; i < STEPS; i++)
        while (tp_next(moons, step) && tp_run(step))
            if (i % 10 == 9)
                printf("step %3d  loss %.4f  accuracy %.0f%%\n", i + 1, tp_get(step, loss),
                       100 * tp_get(step, hits) / POINTS);
    if (tp_error(g))
        fprintf(stderr, "%s\n", tp_error(g));
    tp_loader_free(moons);
    tp_graph_free(g);
    return 0;
}

/*
 * planar.c: the MiniTorch course's net on points of the plane, with its own update rule, written
 * with derivatives and assignments instead of an optimiser.   cc planar.c -ltaper && ./a.out circle
 */
#include <stdio.h>
#include <taper.h>

int main(int argc, char **argv)
{
    const char *set = argc > 1 ? argv[1] : "xor";
    enum { HIDDEN = 10, POINTS = 50, EPOCHS = 500 };

    tp_loader *points = tp_load_planar(set, "train", .count = POINTS, .batch = POINTS, .seed = 1);
    tp_graph *g = tp_graph_new(1);
    int64_t B = tp_symbol(g, "batch", 1, POINTS);
    tp_tensor x = tp_input(g, "x", TP_F32, tp_dims(B, 2));
    tp_tensor y = tp_input(g, "y", TP_I32, tp_dims(B));

    tp_tensor h = tp_relu(tp_linear(x, "layer1", HIDDEN));
    h = tp_relu(tp_linear(h, "layer2", HIDDEN));
    tp_tensor score = tp_squeeze(tp_linear(h, "layer3", 1), 1);
    tp_tensor loss = tp_bce_with_logits(score, tp_cast(y, TP_F32));
    tp_tensor hits = tp_sum(tp_eq(tp_gt(score, 0), tp_eq(y, 1)));

    tp_tensor p[6], d[6]; /* gradient descent: p = p - 0.5 dp */
    tp_params(g, "*", 6, p);
    tp_grad(loss, 6, p, d);
    for (int i = 0; i < 6; i++)
        tp_assign(p[i], tp_sub(p[i], tp_mul(d[i], 0.5)));

    tp_program *step = tp_compile(g, tp_list(loss, hits), TP_TRAIN);
    for (int epoch = 1; epoch <= EPOCHS; epoch++)
        while (tp_next(points, step) && tp_run(step))
            if (epoch % 50 == 0)
                printf("epoch %3d  loss %.4f  %2.0f of %d right\n", epoch, tp_get(step, loss),
                       tp_get(step, hits), POINTS);
    if (tp_error(g))
        fprintf(stderr, "%s\n", tp_error(g));
    tp_loader_free(points);
    tp_graph_free(g);
    return 0;
}

/*
 * eager.c: the first page of a tutorial: values and gradients at once, no program in sight.
 *
 *     cc eager.c -ltaper && ./a.out
 */
#include <stdio.h>
#include <taper.h>

int main(void)
{
    tp_graph *g = tp_eager_new(1);
    tp_tensor a = tp_param(g, "a", tp_dims(2, 2), TP_CONSTANT(2));
    tp_tensor b = tp_array(g, TP_F32, tp_dims(2, 2), (float[]){ 1, 2, 3, 4 });

    tp_tensor c = tp_add(tp_mul(a, b), tp_square(a));
    tp_print(c); /* f32[2 2] [[6 8] [10 12]] */
    tp_tensor y = tp_sum(c);
    tp_print(y);

    tp_backward(y);
    printf("dy/da "); /* b + 2 a */
    tp_print(tp_gradient(a));

    for (int i = 0; i < 3; i++) { /* each update clears the tape */
        y = tp_mean(tp_square(tp_sub(a, 1)));
        tp_backward(y);
        printf("loss %.4f\n", tp_item(y));
        tp_update(g, tp_sgd(), tp_const(0.5));
    }
    tp_print(a);
    if (tp_error(g))
        fprintf(stderr, "%s\n", tp_error(g));
    tp_graph_free(g);
    return 0;
}

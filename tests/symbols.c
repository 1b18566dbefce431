/*
 * Two extents that are not known: a batch and a length. One program serves each of them: the same
 * numbers as programs of fixed extents have, and the bits of one kernel an operation.
 */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "frontend/frontend.h"

enum { BATCH = 4, TIME = 7, WIDTH = 8, KINDS = 8, WEIGHTS = WIDTH * WIDTH };

static tp_tensor model(tp_tensor x, int kind)
{
    tp_tensor h = tp_linear(x, "fc", WIDTH), q;

    switch (kind) {
    case 0:
        return tp_mean(tp_relu(h));
    case 1:
        return tp_sum(tp_mul(tp_softmax(h, 2), x));
    case 2:
        return tp_mean(tp_square(tp_layer_norm(h, "ln", 1)));
    case 3:
        q = tp_linear(x, "q", WIDTH);
        return tp_mean(tp_square(tp_attention(q, q, h, .causal = true)));
    case 4:
        return tp_add(tp_amax(h), tp_var(tp_gelu(h)));
    case 5:
        return tp_mean(tp_logsumexp(h, 1, 2));
    case 6:
        return tp_sum(tp_prod(tp_mean(h, 2), 1));
    default:
        return tp_mean(tp_dropout(tp_gelu(h), 0.3));
    }
}

struct outcome {
    float loss, weight[WEIGHTS];
};

struct as {
    bool symbolic, unfused;
};

static struct outcome train(int kind, struct as as, int64_t batch, int64_t time)
{
    tp_graph *g = tp_graph_new(3);
    const int64_t b = as.symbolic ? tp_symbol(g, "batch", 1, BATCH) : batch;
    const int64_t t = as.symbolic ? tp_symbol(g, "time", 1, TIME) : time;
    const tp_tensor x = tp_input(g, "x", TP_F32, tp_dims(b, t, WIDTH)), loss = model(x, kind);
    g->unfused = as.unfused;
    tp_program *p = tp_compile_train(loss, .lr = tp_const(0.1), .threads = 2);
    struct outcome o = { 0 };

    cr_assert(p, "%d: %s", kind, tp_error(g));
    float *to = tp_buffer(p, x, NULL);
    for (int64_t i = 0; i < batch; i++)
        for (int64_t j = 0; j < time; j++)
            for (int64_t c = 0; c < WIDTH; c++)
                to[(i * (as.symbolic ? TIME : time) + j) * WIDTH + c] =
                    sinf((float)(17 * i + 5 * j + c));
    if (as.symbolic)
        cr_assert(tp_rows(p, batch) && tp_extent(p, "time", time), "%s", tp_error(g));
    cr_assert(tp_run(p), "%s", tp_error(g));
    o.loss = (float)tp_get(p, loss);
    tp_get_values(tp_find(g, "fc.weight"), o.weight, sizeof o.weight);
    tp_graph_free(g);
    return o;
}

static bool close_to(const struct outcome *a, const struct outcome *b)
{
    bool close = fabsf(a->loss - b->loss) <= 1e-5F * (1 + fabsf(b->loss));

    for (int i = 0; i < WEIGHTS; i++)
        close &= fabsf(a->weight[i] - b->weight[i]) <= 1e-5F * (1 + fabsf(b->weight[i]));
    return close;
}

Test(symbols, one_program_serves_every_batch_and_length)
{
    static const int64_t extents[][2] = { { BATCH, TIME }, { 3, 5 }, { 1, 1 }, { 2, TIME } };

    for (int kind = 0; kind < KINDS; kind++)
        for (size_t i = 0; i < sizeof extents / sizeof *extents; i++) {
            const int64_t b = extents[i][0], t = extents[i][1];
            const struct outcome fused = train(kind, (struct as){ .symbolic = true }, b, t),
                                 plain = train(kind, (struct as){ true, true }, b, t);
            struct outcome slow, fixed;

            setenv("TAPER_ENGINE", "interpreter", 1);
            slow = train(kind, (struct as){ .symbolic = true }, b, t);
            fixed = train(kind, (struct as){ 0 }, b, t);
            unsetenv("TAPER_ENGINE");
            cr_expect(memcmp(&fused, &plain, sizeof fused) == 0, "%d at %d %d: %.9g and %.9g", kind,
                      (int)b, (int)t, (double)fused.loss, (double)plain.loss);
            cr_expect(close_to(&fused, &slow), "%d at %d %d: %.9g, interpreted %.9g", kind, (int)b,
                      (int)t, (double)fused.loss, (double)slow.loss);
            if (kind < 7) /* chances are counted as they lie at the bounds */
                cr_expect(close_to(&fused, &fixed), "%d at %d %d: %.9g, fixed %.9g", kind, (int)b,
                          (int)t, (double)fused.loss, (double)fixed.loss);
        }
}

/*
 * GPT-2 against its definition written out in double, with the names, the order of axes and the
 * weights of Hugging Face's files.
 */
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "frontend/models.h"
#include "frontend/taper.h"

enum { ROWS = 2, TIME = 5, WIDTH = 8, HEADS = 2, LAYERS = 2, WORDS = 11, HEAD = WIDTH / HEADS };

struct built {
    tp_graph *g;
    tp_tensor x, y;
    struct model_values values;
};

static struct built built(uint64_t seed)
{
    struct built b = { .g = tp_graph_new(seed) };
    const int64_t batch = tp_symbol(b.g, "batch", 1, ROWS);

    b.x = tp_input(b.g, "x", TP_I32, tp_dims(batch, TIME));
    b.y = tp_input(b.g, "y", TP_I32, tp_dims(batch, TIME));
    b.values = tp_model_find("gpt2")->build(
        b.x, b.y,
        &(struct model_sizes){
            .hidden = WIDTH, .heads = HEADS, .layers = LAYERS, .vocabulary = WORDS });
    cr_assert(tp_error(b.g) == NULL, "%s", tp_error(b.g));
    return b;
}

/* --- the definition ------------------------------------------------------------------------------
 */

static float *weights(tp_graph *g, int layer, const char *name, int rows, int columns)
{
    char path[80];
    const size_t bytes = (size_t)rows * (size_t)columns * sizeof(float);
    float *w = malloc(bytes);

    if (layer < 0)
        snprintf(path, sizeof path, "%s", name);
    else
        snprintf(path, sizeof path, "h.%d.%s", layer, name);
    tp_tensor found = tp_find(g, path);
    cr_assert(found.id, "%s", path);
    cr_assert_eq(tp_dim(found, 0), rows, "%s", path);
    cr_assert(columns == 1 || tp_dim(found, 1) == columns, "%s", path);
    cr_assert(tp_get_values(found, w, bytes), "%s", path);
    return w;
}

static void norm(tp_graph *g, int layer, const char *name, double in[][WIDTH], double to[][WIDTH])
{
    char path[40];
    snprintf(path, sizeof path, "%s.weight", name);
    float *scale = weights(g, layer, path, WIDTH, 1);
    snprintf(path, sizeof path, "%s.bias", name);
    float *offset = weights(g, layer, path, WIDTH, 1);

    for (int t = 0; t < TIME; t++) {
        double mean = 0, variance = 0;
        for (int i = 0; i < WIDTH; i++)
            mean += in[t][i] / WIDTH;
        for (int i = 0; i < WIDTH; i++)
            variance += (in[t][i] - mean) * (in[t][i] - mean) / WIDTH;
        for (int i = 0; i < WIDTH; i++)
            to[t][i] = (in[t][i] - mean) / sqrt(variance + 1e-5) * scale[i] + offset[i];
    }
    free(scale);
    free(offset);
}

/* to[t][..out] = in[t][..in] w + b */
static void dense(tp_graph *g, int layer, const char *name, int ins, int outs, const double *in,
                  double *to)
{
    char path[40];
    snprintf(path, sizeof path, "%s.weight", name);
    float *w = weights(g, layer, path, ins, outs);
    snprintf(path, sizeof path, "%s.bias", name);
    float *b = weights(g, layer, path, outs, 1);

    for (int t = 0; t < TIME; t++)
        for (int o = 0; o < outs; o++) {
            to[t * outs + o] = b[o];
            for (int i = 0; i < ins; i++)
                to[t * outs + o] += in[t * ins + i] * w[i * outs + o];
        }
    free(w);
    free(b);
}

static void attend(double qkv[][3 * WIDTH], double to[][WIDTH])
{
    for (int h = 0; h < HEADS; h++)
        for (int t = 0; t < TIME; t++) {
            double weight[TIME], all = 0;
            for (int s = 0; s <= t; s++) {
                double score = 0;
                for (int i = h * HEAD; i < (h + 1) * HEAD; i++)
                    score += qkv[t][i] * qkv[s][WIDTH + i];
                all += weight[s] = exp(score / sqrt(HEAD));
            }
            for (int i = h * HEAD; i < (h + 1) * HEAD; i++) {
                to[t][i] = 0;
                for (int s = 0; s <= t; s++)
                    to[t][i] += weight[s] / all * qkv[s][2 * WIDTH + i];
            }
        }
}

static void add(double a[][WIDTH], double to[][WIDTH])
{
    for (int t = 0; t < TIME; t++)
        for (int i = 0; i < WIDTH; i++)
            to[t][i] += a[t][i];
}

static double gelu(double a)
{
    return 0.5 * a * (1 + tanh(sqrt(2 / acos(-1)) * (a + 0.044715 * a * a * a)));
}

static double loss_of(tp_graph *g, const int32_t *token, const int32_t *next)
{
    float *wte = weights(g, -1, "wte.weight", WORDS, WIDTH),
          *wpe = weights(g, -1, "wpe.weight", 1024, WIDTH);
    double x[TIME][WIDTH], n[TIME][WIDTH], a[TIME][WIDTH], qkv[TIME][3 * WIDTH], h[TIME][4 * WIDTH],
        loss = 0;

    for (int t = 0; t < TIME; t++)
        for (int i = 0; i < WIDTH; i++)
            x[t][i] = (double)wte[token[t] * WIDTH + i] + wpe[t * WIDTH + i];
    for (int l = 0; l < LAYERS; l++) {
        norm(g, l, "ln_1", x, n);
        dense(g, l, "attn.c_attn", WIDTH, 3 * WIDTH, n[0], qkv[0]);
        attend(qkv, n);
        dense(g, l, "attn.c_proj", WIDTH, WIDTH, n[0], a[0]);
        add(a, x);
        norm(g, l, "ln_2", x, n);
        dense(g, l, "mlp.c_fc", WIDTH, 4 * WIDTH, n[0], h[0]);
        for (int t = 0; t < TIME; t++)
            for (int i = 0; i < 4 * WIDTH; i++)
                h[t][i] = gelu(h[t][i]);
        dense(g, l, "mlp.c_proj", 4 * WIDTH, WIDTH, h[0], a[0]);
        add(a, x);
    }
    norm(g, -1, "ln_f", x, n);
    for (int t = 0; t < TIME; t++) {
        double score[WORDS], all = 0;
        for (int w = 0; w < WORDS; w++) {
            score[w] = 0;
            for (int i = 0; i < WIDTH; i++)
                score[w] += n[t][i] * wte[w * WIDTH + i];
            all += exp(score[w]);
        }
        loss += (log(all) - score[next[t]]) / TIME;
    }
    free(wte);
    free(wpe);
    return loss;
}

/* --- the claims ----------------------------------------------------------------------------------
 */

/* Weights that matter: the usual ones are so small that all words are alike. */
static void spread(tp_graph *g)
{
    tp_tensor found[64];
    const int count = tp_params(g, "*", 64, found);

    cr_assert_eq(count, 2 + 12 * LAYERS + 2);
    for (int p = 0; p < count; p++) {
        const size_t n =
            (size_t)(tp_dim(found[p], 0) * (tp_rank(found[p]) > 1 ? tp_dim(found[p], 1) : 1));
        float *v = malloc(n * sizeof *v);
        for (size_t i = 0; i < n; i++)
            v[i] = sinf((float)(i * 7 + (size_t)p * 13) * 0.7f) * 0.8f;
        cr_assert(tp_set_values(found[p], v, n * sizeof *v));
        free(v);
    }
}

Test(gpt2, is_its_definition_with_the_weights_of_a_file)
{
    static const int32_t token[ROWS][TIME + 1] = { { 3, 1, 4, 1, 5, 9 }, { 2, 6, 10, 0, 8, 7 } };
    struct built from = built(1), to = built(2);
    char path[] = "/tmp/taper-gpt2-XXXXXX";
    const int file = mkstemp(path);
    double want = 0;
    int32_t *x, *y;
    tp_program *p;

    cr_assert(file >= 0);
    close(file);
    spread(from.g);
    cr_assert(tp_save(from.g, path) && tp_load(to.g, path), "%s", tp_error(to.g));
    p = tp_compile_eval(to.g, to.values.loss);
    cr_assert(p, "%s", tp_error(to.g));
    x = tp_buffer(p, to.x, NULL);
    y = tp_buffer(p, to.y, NULL);
    for (int row = 0; row < ROWS; row++) {
        memcpy(x + row * TIME, token[row], TIME * sizeof *x);
        memcpy(y + row * TIME, token[row] + 1, TIME * sizeof *y);
        want += loss_of(from.g, token[row], token[row] + 1) / ROWS;
    }
    cr_assert(tp_run(p));
    cr_expect(fabs(tp_get(p, to.values.loss) - want) < 2e-5 * want, "%.9g, not %.9g",
              tp_get(p, to.values.loss), want);
    cr_expect_gt(want, 2.5); /* than log 11, what no weights at all would give */
    unlink(path);
    tp_graph_free(from.g);
    tp_graph_free(to.g);
}

/*
 * Attention over many keys: by tiles it is what the formula says, so are its gradients, forward and
 * backward, and memory grows with the keys, not with their square.
 */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>

#include "frontend/taper.h"

enum { QUERIES = 20, KEYS = 300, WIDTH = 8, HEADS = 4 };

struct kind {
    const char *name;
    bool causal, truth;
    int64_t window, heads; /* of keys */
    int64_t bound;         /* of a symbolic number of keys; 0: it is fixed */
    tp_shape mask;         /* rank 0: none */
};

static const struct kind kinds[] = {
    { .name = "all", .heads = HEADS },
    { .name = "causal", .heads = HEADS, .causal = true },
    { .name = "groups, window", .heads = 2, .causal = true, .window = 7 },
    { .name = "mask", .heads = HEADS, .mask = { 2, { QUERIES, KEYS } } },
    { .name = "mask of heads, groups", .heads = 1, .mask = { 4, { 1, HEADS, QUERIES, KEYS } } },
    { .name = "mask of queries", .heads = 2, .mask = { 4, { 2, 1, QUERIES, 1 } } },
    { .name = "symbol", .heads = HEADS, .bound = 400 },
    { .name = "symbol, causal, groups", .heads = 2, .bound = KEYS + 20, .causal = true },
    { .name = "symbol, mask of queries",
      .heads = 2,
      .bound = 384,
      .mask = { 4, { 2, 1, QUERIES, 1 } } },
    { .name = "seen", .heads = 2, .mask = { 4, { 2, 1, 1, KEYS } }, .truth = true },
};

static tp_tensor formula(const struct kind *k, tp_tensor q, tp_tensor key, tp_tensor v,
                         tp_tensor mask)
{
    const int64_t keys = tp_dim(key, 2), queries = tp_dim(q, 2), share = HEADS / k->heads;
    tp_tensor i = tp_reshape(tp_arange(q.g, TP_I32, queries), queries, 1),
              j = tp_reshape(tp_arange(q.g, TP_I32, keys), 1, keys), score;

    if (share > 1) {
        key = tp_repeat_interleave(key, share, 1);
        v = tp_repeat_interleave(v, share, 1);
    }
    score = tp_mul(tp_matmul(q, tp_transpose(key, 2, 3)), 1 / sqrt(WIDTH));
    if (mask.g)
        score = k->truth ? tp_where(mask, score, -(double)INFINITY) : tp_add(score, mask);
    if (k->causal)
        score = tp_where(tp_le(j, i), score, -(double)INFINITY);
    if (k->window)
        score = tp_where(tp_lt(tp_sub(i, j), k->window), score, -(double)INFINITY);
    return tp_matmul(tp_softmax(score, -1), v);
}

static void fill(tp_program *p, tp_tensor x, tp_dtype type, int salt)
{
    size_t bytes;
    void *at = tp_buffer(p, x, &bytes);
    const size_t n = type == TP_F64 ? bytes / 8 : type == TP_F32 ? bytes / 4 : bytes;

    for (size_t i = 0; i < n; i++) {
        const double number = fmod((double)i * 0.6180339887 + salt * 0.37, 1) - 0.5;
        if (type == TP_F64)
            ((double *)at)[i] = number;
        else if (type == TP_F32)
            ((float *)at)[i] = (float)number;
        else
            ((bool *)at)[i] = number > -0.4;
    }
}

/* the greatest difference of the outputs and of all gradients */
static void compare(const struct kind *k, tp_dtype type, double bound)
{
    tp_graph *g = tp_graph_new(1);
    const tp_dtype mask_type = k->truth ? TP_BOOL : type;
    const int64_t keys = k->bound ? tp_symbol(g, "keys", 1, k->bound) : KEYS;
    tp_tensor in[5] = {
        tp_input(g, "q", type, tp_dims(2, HEADS, QUERIES, WIDTH)),
        tp_input(g, "k", type, tp_dims(2, k->heads, keys, WIDTH)),
        tp_input(g, "v", type, tp_dims(2, k->heads, keys, 6)),
        tp_input(g, "dy", type, tp_dims(2, HEADS, QUERIES, 6)),
    };
    const int inputs = k->mask.rank ? 5 : 4;
    tp_tensor y[2], loss[2], grad[2][4], difference[5];
    tp_program *p;
    int wanted = 3;

    if (k->mask.rank)
        in[4] = tp_input(g, "mask", mask_type, k->mask);
    y[0] =
        tp_attention(in[0], in[1], in[2], .causal = k->causal, .window = k->window, .mask = in[4]);
    y[1] = formula(k, in[0], in[1], in[2], in[4]);
    if (k->mask.rank && !k->truth)
        wanted = 4;
    for (int i = 0; i < 2; i++) {
        loss[i] = tp_sum(tp_mul(y[i], in[3]));
        cr_assert(tp_grad(loss[i], wanted, ((tp_tensor[]){ in[0], in[1], in[2], in[4] }), grad[i]),
                  "%s: %s", k->name, tp_error(g));
    }
    difference[0] = tp_amax(tp_abs(tp_sub(y[0], y[1])));
    for (int i = 0; i < wanted; i++)
        difference[1 + i] = tp_amax(tp_abs(tp_sub(grad[0][i], grad[1][i])));
    p = tp_compile_at(g, (tp_list){ 1 + wanted, difference }, (tp_compile_args){ .mode = TP_EVAL },
                      TP_HERE);
    cr_assert(p, "%s: %s", k->name, tp_error(g));
    for (int i = 0; i < inputs; i++)
        fill(p, in[i], i < 4 ? type : mask_type, i);
    if (k->bound)
        cr_assert(tp_extent(p, "keys", KEYS));
    cr_assert(tp_run(p), "%s", tp_error(g));
    for (int i = 0; i <= wanted; i++)
        cr_expect(tp_get(p, difference[i]) < bound, "%s, %d: %g", k->name, i,
                  tp_get(p, difference[i]));
    tp_graph_free(g);
}

Test(attention, by_tiles_is_the_formula)
{
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        compare(&kinds[i], TP_F64, 1e-13);
        compare(&kinds[i], TP_F32, 2e-5);
    }
}

static size_t bytes_of(int64_t bound, bool backward, bool symbol)
{
    tp_graph *g = tp_graph_new(1);
    const int64_t time = symbol ? tp_symbol(g, "time", 1, bound) : bound;
    static const char *const name[] = { "q", "k", "v" };
    tp_tensor x[3], y, grad[3];
    tp_program *p;
    size_t bytes;

    for (int i = 0; i < 3; i++)
        x[i] = tp_input(g, name[i], TP_F32, tp_dims(2, time, 16));
    y = tp_attention(x[0], x[1], x[2], .causal = true);
    cr_assert(!backward || tp_grad(tp_sum(tp_square(y)), 3, x, grad), "%s", tp_error(g));
    p = tp_compile_at(g, backward ? (tp_list){ 3, grad } : (tp_list){ 1, &y },
                      (tp_compile_args){ .mode = TP_EVAL }, TP_HERE);
    cr_assert(p, "%s", tp_error(g));
    bytes = tp_program_bytes(p);
    tp_graph_free(g);
    return bytes;
}

Test(attention, memory_grows_with_the_keys)
{
    for (int kind = 0; kind < 4; kind++) {
        const bool backward = kind % 2, symbol = kind / 2;
        const size_t some = bytes_of(1024, backward, symbol),
                     many = bytes_of(4096, backward, symbol);

        cr_expect_lt(many, 4.1 * (double)some, "%d: %zu and %zu bytes", kind, some, many);
        cr_expect_lt(many, (size_t)2 * 4096 * 4096, "%d: %zu bytes", kind, many);
    }
}

/* d/de of the gradient at x + e u, and the forward derivative, against differences */
Test(attention, derivatives_of_derivatives)
{
    tp_graph *g = tp_graph_new(1);
    tp_tensor x = tp_input(g, "x", TP_F64, tp_dims(KEYS, 3)),
              u = tp_input(g, "u", TP_F64, tp_dims(KEYS, 3)), y, grad, turn, twice, out[3];
    tp_program *p;
    size_t bytes;
    double *at, *to, value[2][2], slope[2];

    y = tp_sum(tp_square(tp_attention(x, x, x, .causal = true)));
    cr_assert(tp_grad(y, 1, &x, &grad), "%s", tp_error(g));
    turn = tp_sum(tp_mul(grad, u)); /* dy/de */
    cr_assert(tp_grad(turn, 1, &x, &twice), "%s", tp_error(g));
    out[0] = y;
    out[1] = turn;
    out[2] = tp_sum(tp_mul(twice, u));
    p = tp_compile_at(g, (tp_list){ 3, out }, (tp_compile_args){ .mode = TP_EVAL }, TP_HERE);
    cr_assert(p, "%s", tp_error(g));
    at = tp_buffer(p, x, &bytes);
    to = tp_buffer(p, u, NULL);
    for (size_t i = 0; i < bytes / 8; i++) {
        at[i] = sin((double)i);
        to[i] = cos((double)i * 3);
    }
    cr_assert(tp_run(p));
    slope[0] = tp_get(p, out[1]);
    slope[1] = tp_get(p, out[2]);
    for (int side = 0; side < 2; side++) {
        for (size_t i = 0; i < bytes / 8; i++)
            at[i] = sin((double)i) + (side ? 1e-5 : -1e-5) * to[i];
        cr_assert(tp_run(p));
        value[side][0] = tp_get(p, out[0]);
        value[side][1] = tp_get(p, out[1]);
    }
    for (int i = 0; i < 2; i++) {
        const double want = (value[1][i] - value[0][i]) / 2e-5;
        cr_expect(fabs(slope[i] - want) < 1e-5 * (1 + fabs(want)), "%d: %.9g, not %.9g", i,
                  slope[i], want);
    }
    tp_graph_free(g);
}

/* Weights of equal scores, read off by values that are an identity; the same function forward and
 * backward; none of it in evaluation. */
Test(attention, dropout)
{
    tp_graph *g = tp_graph_new(3);
    tp_tensor q = tp_input(g, "q", TP_F64, tp_dims(QUERIES, 2)),
              k = tp_input(g, "k", TP_F64, tp_dims(KEYS, 2)),
              u = tp_input(g, "u", TP_F64, tp_dims(QUERIES, 2)), y, loss, grad, tangent, out[3];
    tp_program *p, *eval;
    size_t bytes;
    double *at, weight[QUERIES][KEYS], total = 0;
    int kept = 0, same = 0;

    y = tp_attention(q, k, tp_eye(g, TP_F64, KEYS, KEYS), .dropout = 0.25);
    loss = tp_sum(tp_square(y));
    cr_assert(tp_grad(loss, 1, &q, &grad), "%s", tp_error(g));
    cr_assert(tp_jvp(loss, 1, &q, &u, &tangent), "%s", tp_error(g));
    out[0] = y;
    out[1] = tp_sum(tp_mul(grad, u));
    out[2] = tangent;
    p = tp_compile_at(g, (tp_list){ 3, out }, (tp_compile_args){ .mode = TP_TRAIN }, TP_HERE);
    eval = tp_compile_at(g, (tp_list){ 1, &y }, (tp_compile_args){ .mode = TP_EVAL }, TP_HERE);
    cr_assert(p && eval, "%s", tp_error(g));

    cr_assert(tp_run(p) && tp_read(p, y, weight, sizeof weight), "%s", tp_error(g));
    for (int i = 0; i < QUERIES; i++)
        for (int j = 0; j < KEYS; j++) {
            kept += weight[i][j] != 0;
            same += j >= 64 && (weight[i][j] != 0) == (weight[i][j - 64] != 0);
            cr_expect(weight[i][j] == 0 || fabs(weight[i][j] * KEYS * 0.75 - 1) < 1e-12);
        }
    cr_expect(fabs(kept / (double)(QUERIES * KEYS) - 0.75) < 0.03, "%d are kept", kept);
    cr_expect(fabs(same / (double)(QUERIES * (KEYS - 64)) - 0.625) < 0.04, "tiles are alike");

    for (int i = 0; i < 3; i++) {
        tp_program *to = i < 2 ? p : eval;
        at = tp_buffer(to, q, &bytes);
        for (size_t n = 0; at && n < bytes / 8; n++)
            at[n] = sin((double)n + i);
        at = tp_buffer(to, k, &bytes);
        for (size_t n = 0; n < bytes / 8; n++)
            at[n] = cos((double)n);
        at = i < 2 ? tp_buffer(to, u, &bytes) : NULL;
        for (size_t n = 0; at && n < bytes / 8; n++)
            at[n] = cos((double)n * 3);
        cr_assert(tp_run(to), "%s", tp_error(g));
        if (i < 2)
            cr_expect(fabs(tp_get(p, out[1]) - tp_get(p, out[2])) <
                          1e-12 * fabs(tp_get(p, out[2])) + 1e-15,
                      "%.12g forward, %.12g backward", tp_get(p, out[2]), tp_get(p, out[1]));
    }
    cr_assert(tp_read(eval, y, weight, sizeof weight));
    for (int j = 0; j < KEYS; j++)
        total += weight[7][j];
    cr_expect(fabs(total - 1) < 1e-12);
    tp_graph_free(g);
}

/*
 * Wrong calls, drawn by chance: every operation of taper.h with tensors of any rank and type, of
 * another graph, poison and bare numbers, and with extents, axes, numbers and names that nobody
 * means. Each is either right or answered by one line with its place; the first one stays, and
 * nothing crashes (the sanitizers look on).
 *
 * A row is a call whose capitals are drawn anew each time. Each row must be both taken and refused
 * in some draw, and each function of taper.h that ends in _at must stand here or be named below.
 */
#include <criterion/criterion.h>
#include <ctype.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "frontend/taper.h"
#include "random.h"
#include "support.h"

enum { TENSORS = 24 };
struct draw {
    uint64_t state;
    tp_graph *g, *other;
    tp_tensor pool[TENSORS], last;
    int64_t batch;
    char name[20];
    int names;
};

static unsigned chance(struct draw *d, unsigned n)
{
    d->state = d->state * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(d->state >> 33) % n;
}

static tp_tensor tensor(struct draw *d)
{
    const unsigned what = chance(d, 100);

    if (what < 50)
        return d->last; /* so that arguments fit now and then */
    if (what < 53)
        return tp_as_number(chance(d, 2) ? NAN : chance(d, 5));
    if (what < 55)
        return (tp_tensor){ .g = chance(d, 2) ? d->g : d->other };
    return d->pool[what < 57 ? TENSORS - 1 : (int)chance(d, TENSORS - 1)];
}

static int64_t whole(struct draw *d)
{
    static const int64_t wild[] = { 0,         -1,        -2,        7,         100,          65536,
                                    1ll << 31, 1ll << 40, INT64_MAX, INT64_MIN, INT64_MAX / 2 };

    if (chance(d, 40) == 0)
        return d->batch;
    return chance(d, 4) ? (int64_t)chance(d, 4) + 1 : wild[chance(d, 11)];
}

static int small(struct draw *d)
{
    static const int wild[] = { -9, -5, -4, 4, 5, 8, 9, 64, 1000, INT_MAX, INT_MIN, INT_MIN + 1 };

    return chance(d, 4) ? (int)chance(d, 5) - 2 : wild[chance(d, 12)];
}

static double real(struct draw *d)
{
    static const double any[] = { 0,
                                  TP_ZERO,
                                  0.5,
                                  1,
                                  2,
                                  0.1,
                                  0.9,
                                  -1,
                                  1e9,
                                  -1e300,
                                  (double)INFINITY,
                                  (double)-INFINITY,
                                  (double)NAN,
                                  1e-320 };

    return any[chance(d, chance(d, 3) ? 7 : 14)];
}

static tp_shape shape(struct draw *d)
{
    tp_shape s = { .rank = (int)chance(d, 5) };

    if (chance(d, 50) == 0)
        s.rank = (int[]){ 8, 9, -1, INT_MAX, INT_MIN }[chance(d, 5)];
    for (int i = 0; i < 8; i++)
        s.dim[i] = chance(d, 20) ? (int64_t)chance(d, 5) : whole(d);
    return s;
}

static tp_shape few(struct draw *d) /* of what is made at once */
{
    return (tp_shape){ (int)chance(d, 4), { chance(d, 5), chance(d, 5), chance(d, 5) } };
}

static tp_dtype type(struct draw *d)
{
    return (tp_dtype)(chance(d, 12) ? (int)chance(d, 14)
                                    : (int[]){ -1, 14, 1000, INT_MIN }[chance(d, 4)]);
}

/* Mostly a new name; else one that is taken, or none. */
static const char *name(struct draw *d)
{
    static char longest[3000];
    static const char *const bad[] = { NULL, "", "x3", "%s%n%d", "a\nb\033[2J", "weight", longest };

    memset(longest, 'n', sizeof longest - 1);
    if (chance(d, 4) == 0)
        return bad[chance(d, 7)];
    snprintf(d->name, sizeof d->name, "layer%d", d->names++);
    return d->name;
}

static const char *word(struct draw *d, const char *right)
{
    static const char *const bad[] = { NULL, "", "nonsense", "%s%s%n", "\n\n", "ij,jk->ik,", "->" };

    return chance(d, 3) ? right : bad[chance(d, 7)];
}

/* The name of an operation that a macro hands on. */
static const char *key(struct draw *d, const char *const *names, size_t count)
{
    return chance(d, 12) ? names[chance(d, (unsigned)count)] : "nonsense";
}

#define T    tensor(d)
#define N    whole(d)
#define A    small(d)
#define D    real(d)
#define S    shape(d)
#define TYPE type(d)
#define NAME name(d)
#define BIT  (bool)chance(d, 2)
#define K(...)                              \
    key(d, (const char *[]){ __VA_ARGS__ }, \
        sizeof((const char *[]){ __VA_ARGS__ }) / sizeof(char *))
#define W(...)             \
    word(d,                \
         (const char *[]){ \
             __VA_ARGS__ }[chance(d, sizeof((const char *[]){ __VA_ARGS__ }) / sizeof(char *))])

static void body(void *user, tp_tensor carry[], const tp_tensor x[], tp_tensor y[])
{
    struct draw *d = user;

    carry[0] = BIT ? tp_add(carry[0], x[0]) : T;
    y[0] = BIT ? carry[0] : T;
}

static tp_tensor scan(struct draw *d, tp_loc at)
{
    tp_tensor carry[] = { T }, x[] = { T }, y[] = { T };

    tp_scan_at(d->g, body, d, 1, carry, 1, x, 1, (tp_scan_args){ .y = y, .length = N }, at);
    return y[0];
}

static tp_tensor test(void *user, const tp_tensor carry[])
{
    struct draw *d = user;

    return chance(d, 3) ? tp_lt(tp_sum(carry[0]), 3) : T;
}

static void again(void *user, tp_tensor carry[], const tp_tensor x[], tp_tensor y[])
{
    struct draw *d = user;

    (void)x, (void)y;
    carry[0] = chance(d, 3) ? tp_mul(carry[0], 2) : T;
}

static tp_tensor loop(struct draw *d, tp_loc at)
{
    tp_tensor carry[] = { T };

    tp_while_at(d->g, test, again, d, 1, carry, N, at);
    return carry[0];
}

static tp_tensor grads(struct draw *d, tp_loc at)
{
    tp_tensor wrt[] = { T, T }, out[2] = { T, T };

    tp_vjp_at(BIT ? tp_sum(T) : T, T, (int)chance(d, 3), wrt, out, at);
    return out[0];
}

static tp_tensor tangents(struct draw *d, tp_loc at)
{
    const tp_tensor x[] = { T, T }, along[] = { T, T };
    tp_tensor out[] = { T };

    tp_jvp_at(BIT ? tp_exp(x[0]) : T, (int)chance(d, 3), x, BIT ? along : x, out, at);
    return out[0];
}

static tp_tensor proof(struct draw *d, tp_loc at)
{
    const tp_tensor x[] = { T };

    return tp_gradcheck_at(BIT ? tp_sum(x[0]) : T, 1, x, at) ? x[0] : (tp_tensor){ 0 };
}

static void branch(void *user, const tp_tensor x[], tp_tensor y[])
{
    struct draw *d = user;

    y[0] = chance(d, 3) ? tp_exp(x[0]) : T;
}

static tp_tensor choice(struct draw *d, tp_loc at)
{
    const tp_tensor x[] = { T };
    tp_tensor y[] = { T };

    tp_cond_at(BIT ? tp_any(d->pool[12]) : T, branch, branch, d, 1, x, 1, y, at);
    return y[0];
}

static void rule(void *user, const tp_tensor x[], const tp_tensor y[], const tp_tensor dy[],
                 tp_tensor dx[])
{
    struct draw *d = user;

    (void)y, (void)dy;
    dx[0] = chance(d, 3) ? tp_exp(x[0]) : T;
}

static tp_tensor own_gradient(struct draw *d, tp_loc at)
{
    const tp_tensor x[] = { T };
    tp_tensor y[] = { T };

    tp_with_gradient_at(branch, rule, d, 1, x, 1, y, at);
    return y[0];
}

static const tp_group any_groups[] = { { .match = "layer*", .lr_scale = -1 }, { 0 } };

static tp_opt optimiser(struct draw *d)
{
    return tp_opt_of((int)chance(d, 15), (tp_opt){ .kind = (int)chance(d, 16) - 1,
                                                   .momentum = D,
                                                   .beta1 = D,
                                                   .beta2 = D,
                                                   .eps = D,
                                                   .alpha = D,
                                                   .weight_decay = D,
                                                   .nesterov = BIT,
                                                   .groups = BIT ? any_groups : NULL });
}

static void nothing(void *user, int by, const tp_array in[], const tp_array *out)
{
    (void)user, (void)by, (void)in, (void)out;
}

static tp_schedule schedule(struct draw *d)
{
    switch (chance(d, 9)) {
    case 0:
        return tp_cosine(D, D, D);
    case 1:
        return tp_cosine_restarts(D, D, D, D);
    case 2:
        return tp_polynomial(D, D, D, D);
    case 3:
        return tp_multistep_of(D, D, (tp_milestones){ A, { D, D } });
    case 4:
        return tp_one_cycle(D, D);
    case 5:
        return tp_wsd(D, D, D, D);
    case 6:
        return tp_warmup(D, tp_step_decay(D, D, D));
    case 7:
        return (tp_schedule){ .kind = A };
    default:
        return tp_const(D);
    }
}

static tp_tensor train(struct draw *d, tp_loc at)
{
    const tp_tensor x = tp_linear(d->pool[1], "net", 2);
    const tp_train_args sane = {
        .loss = tp_mean(x), .opt = tp_sgd(), .lr = tp_const(1), .plan_only = true
    };
    tp_train_args args = sane;

    if (BIT)
        args.loss = T;
    if (BIT)
        args.opt = optimiser(d);
    if (BIT)
        args.lr = schedule(d);
    const tp_tensor also[] = { T, T };
    if (BIT)
        args.also = (tp_list){ 2, also };
    if (BIT)
        args.batch = N;
    if (BIT)
        args.clip_norm = D, args.clip_each = D, args.clip_value = D;
    if (BIT)
        args.accumulate = A, args.ema = D, args.scale_every = A;
    if (BIT)
        args.precision = TYPE, args.loss_scale = D;
    if (BIT)
        args.threads = A, args.memory = N;
    tp_compile_train_at(args, at);
    return x;
}

static tp_tensor evaluate(struct draw *d, tp_loc at)
{
    if (chance(d, 8) == 0)
        tp_export_onnx_at(d->g, NULL, tp_list(T, T), W("a, b", "a"), at);
    tp_compile_at(d->g, tp_list(T, T),
                  (tp_compile_args){ .mode = (tp_mode)chance(d, 3),
                                     .batch = N,
                                     .threads = A,
                                     .names = W("a, b", "a"),
                                     .memory = N,
                                     .plan_only = true,
                                     .precision = TYPE },
                  at);
    return T;
}

/* clang-format off */
#define ROWS(ROW)                                                                                \
    ROW(tp_input(d->g, NAME, TYPE, S)) ROW(tp_param(d->g, NAME, S, TP_UNIFORM(D, D), .dtype = TYPE, .shared = BIT)) \
    ROW(tp_param(d->g, NAME, (few(d)), ((tp_init){ A, D, D }))) ROW(tp_state(d->g, NAME, TYPE, S)) \
    ROW(tp_full(d->g, TYPE, S, D)) ROW(tp_arange(d->g, TYPE, N)) ROW(tp_full_like(T, D)) \
    ROW(tp_array(d->g, TYPE, ((tp_shape){ (int)chance(d, 3), { chance(d, 4), chance(d, 4) } }), BIT ? NULL : (double[16]){ 0 })) \
    ROW(tp_range(d->g, TYPE, D, D, D)) ROW(tp_linspace(d->g, TYPE, D, D, N)) ROW(tp_eye(d->g, TYPE, N, N)) \
    ROW(tp_tri(d->g, TYPE, N, N, N)) ROW((tp_meshgrid(out, T, T), out[0])) ROW(tp_rand(d->g, TYPE, S)) \
    ROW(tp_randn(d->g, TYPE, S)) ROW(tp_randint(d->g, TYPE, S, N, N)) ROW(tp_bernoulli(T)) \
    ROW(tp_draw_at(d->g, K("uniform", "normal", "trunc_normal", "exponential", "gumbel"), TYPE, S, D, D, TP_HERE)) \
    ROW(tp_randperm(d->g, N)) ROW(tp_categorical(T)) ROW(tp_multinomial(T, N, BIT)) ROW(tp_sample(T, D, .top_k = N, .top_p = D)) \
    ROW(tp_unary(K("exp", "relu", "not", "isnan", "stop_gradient", "add"), T)) ROW(tp_binary_at(K("add", "and", "shl", "pow", "lt", "exp"), T, T, TP_HERE)) \
    ROW(tp_where_at(T, T, T, TP_HERE)) ROW(tp_cast(T, TYPE)) ROW((tp_check_at(T, NAME, TP_HERE), T)) \
    ROW((tp_log_value_at(T, NAME, TP_HERE), T)) ROW((tp_print_at(d->g ? tp_param(d->g, NAME, S, TP_ZEROS) : T, NAME, TP_HERE), T)) \
    ROW(tp_formula_at(K("elu", "clamp", "softplus", "hypot", "lerp", "sigmoid"), ((tp_list){ (int)chance(d, 5) - 1, (tp_tensor[]){ T, T, T } }), ((tp_numbers){ (int)chance(d, 5), { D, D, D } }), TP_HERE)) \
    ROW(tp_floor_divide_at(T, T, TP_HERE)) ROW(tp_nan_to_num(T)) ROW(tp_prelu(T, T)) ROW(tp_rrelu_at(T, D, D, TP_HERE)) \
    ROW(tp_glu_at(K("glu", "swiglu"), T, A, TP_HERE)) ROW(tp_reduce_at(K("sum", "mean", "prod", "argmax", "var", "std", "logsumexp", "all", "count_nonzero"), T, ((tp_reduce_args){ BIT ? A : BIT ? tp_axes(A, A) : N, BIT, BIT, D }), TP_HERE)) \
    ROW(tp_norm(T, D, BIT ? A : N, .keepdim = BIT)) ROW(tp_normalize(T, D, A)) ROW(tp_softmax_at(K("softmax", "log_softmax"), T, A, TP_HERE)) \
    ROW(tp_reshape_at(T, S, TP_HERE)) ROW(tp_flatten(T, A, A)) ROW(tp_unflatten_at(T, A, S, TP_HERE)) ROW(tp_squeeze(T, BIT ? A : N)) \
    ROW(tp_unsqueeze(T, A)) ROW(tp_movedim(T, A, A)) ROW((tp_split(T, ((tp_shape){ (int)chance(d, 5), { N, N, N, N } }), A, out), out[0])) \
    ROW((tp_chunk(T, (int)chance(d, 7) - 1, A, out), out[0])) ROW((tp_unbind(T, A, (int)chance(d, 20) - 1, out), out[0])) \
    ROW(tp_permute_at(T, S, TP_HERE)) ROW(tp_transpose(T, A, A)) ROW(tp_expand_at(T, S, TP_HERE)) ROW(tp_slice(T, A, N, N, N)) ROW(tp_narrow(T, A, N, N)) \
    ROW(tp_index_at(T, A, N, TP_HERE)) ROW(tp_pick(T, W("0", "-1, ::-1", "..., None", "1:2, 0", "9999999999999999999999", ":::", "0,0,0,0,0,0,0,0,0"))) \
    ROW(tp_flip_at(T, S, TP_HERE)) ROW(tp_pad(T, S, S, D)) ROW(tp_pad_mode(T, S, S, W("reflect", "replicate", "circular"))) \
    ROW(tp_tile_at(T, S, TP_HERE)) ROW(tp_repeat_interleave(T, N, A)) ROW(tp_roll(T, N, A)) ROW(tp_rot90(T, A, A, A)) ROW(tp_diagonal(T, N, A, A)) \
    ROW(tp_diag(T, N)) ROW(tp_trace(T)) ROW(tp_tril(T, N)) ROW(tp_pixel_shuffle(T, N)) ROW(tp_pixel_unshuffle(T, N)) ROW(tp_channel_shuffle(T, N)) \
    ROW(tp_concat(A, T, T, T)) ROW(tp_concat_at(A, ((tp_list){ (int)chance(d, 4) - 2, (tp_tensor[]){ T } }), TP_HERE)) ROW(tp_stack(A, T, T)) ROW(tp_take(T, A, T)) ROW(tp_gather(T, A, T)) \
    ROW(tp_index_add_at(T, A, T, T, D, TP_HERE)) ROW(tp_scatter_add(T, A, T, T)) ROW(tp_masked_fill(T, T, D)) ROW(tp_scatter_at(K("set", "max", "min"), T, A, T, T, TP_HERE)) \
    ROW(tp_index_copy_at(T, A, T, T, TP_HERE)) ROW(tp_dynamic_slice_at(T, A, T, N, TP_HERE)) ROW(tp_dynamic_update_at(T, A, T, T, TP_HERE)) ROW(tp_one_hot_at(T, N, TYPE, TP_HERE)) \
    ROW(tp_cumulate_at(K("cumsum", "cumprod", "cummax"), T, A, TP_HERE)) ROW(tp_recurrence_at(T, T, A, TP_HERE)) ROW(tp_logcumsumexp(T, A)) ROW(tp_argsort(T, A, .descending = BIT)) \
    ROW(tp_sort(T, A, .index = out)) ROW(tp_topk(T, N, A, .index = out)) ROW(tp_kthvalue(T, N, A)) ROW(tp_quantile(T, D, BIT ? A : N)) ROW(tp_searchsorted(T, T)) \
    ROW(tp_bincount_weighted(T, T, N)) ROW(tp_histogram(T, N, D, D)) ROW(tp_nonzero(T, N, D)) \
    ROW(tp_matmul(T, T)) ROW(tp_matmul_nt(T, T)) ROW(tp_dot(W("mk,kn->mn", "i,i->", "abcdefghijklmnop,a->a"), T, T)) ROW(tp_bmm(T, T)) ROW(tp_outer(T, T)) ROW(tp_kron(T, T)) \
    ROW(tp_addmm_at(T, T, T, D, D, TP_HERE)) ROW(tp_einsum(W("ij,ij->i", "ii->i", "i,j", "bijk,bijk->", "..."), T, T)) \
    ROW(tp_einsum_at(W("ij->ji", "ii", "ab"), ((tp_list){ (int)chance(d, 3), (tp_tensor[]){ T, T } }), TP_HERE)) \
    ROW(tp_linear(T, NAME, N, .shared = BIT, .no_bias = BIT, .init = { A, D, D })) \
    ROW(tp_conv_at(K("tp_conv2d", "tp_conv_transpose2d"), 2, T, NAME, (tp_conv_args){ .out = N, .kernel = N, .stride = N, .pad = N, .dilation = N, .groups = N, .same = BIT, .out_pad = BIT ? N : 0, .pad_mode = BIT ? NULL : W("reflect") }, TP_HERE)) \
    ROW(tp_conv_at(K("tp_conv1d", "tp_conv3d"), A, T, NAME, (tp_conv_args){ .out = N, .kernel = N, .kernels = S, .pads = BIT ? S : TP_SCALAR }, TP_HERE)) \
    ROW(tp_embed(T, NAME, N, N)) ROW(tp_embedding_padded(T, T, N)) ROW(tp_pool_at(K("max_pool2d", "avg_pool2d", "lp_pool2d"), 2, T, (tp_pool_args){ .kernel = N, .stride = BIT ? N : 0, .pad = BIT ? N : 0, .dilation = BIT ? N : 0, .ceil = BIT, .exclude_pad = BIT, .p = D, .kernels = chance(d, 5) ? TP_SCALAR : S }, TP_HERE)) \
    ROW(tp_adaptive_pool_at(K("adaptive_avg_pool", "adaptive_max_pool"), T, S, TP_HERE)) ROW(tp_max_pool_places(A, T, N, .stride = N)) ROW(tp_max_unpool(T, T, S)) \
    ROW(tp_global_pool_at(K("global_avg_pool", "global_max_pool"), T, TP_HERE)) ROW(tp_interpolate_at(T, W("nearest", "linear", "bicubic"), S, BIT, TP_HERE)) ROW(tp_upsample(T, W("nearest", "linear", "bicubic"), N)) \
    ROW(tp_grid_sample(T, BIT ? d->pool[20] : T, W("bilinear", "nearest"), .padding = W("zeros", "border", "reflection"), .corners = BIT)) ROW(tp_affine_grid(BIT ? tp_reshape(d->pool[1], 1, 2, 3) : T, N, N, BIT)) \
    ROW(tp_unfold(T, N, .stride = N, .pad = BIT ? N : 0)) ROW(tp_fold(T, S, N, .stride = N)) ROW(tp_batch_norm(T, NAME, .eps = D, .momentum = D, .shared = BIT)) ROW(tp_layer_norm(T, NAME, .axes = A, .eps = D)) \
    ROW(tp_rms_norm(T, NAME, .axes = A)) ROW(tp_group_norm(T, NAME, N, .eps = D)) ROW(tp_local_response_norm(T, N, .alpha = D, .beta = D, .k = D)) ROW(tp_weight_norm(T, T, A)) \
    ROW(tp_dropout_at(K("tp_dropout", "tp_dropout2d"), T, D, (int)chance(d, 3), TP_HERE)) ROW(tp_alpha_dropout(T, D)) ROW(tp_random_flip(T, A, D)) \
    ROW(tp_recurrent_at(K("rnn", "lstm", "gru"), T, NAME, (tp_recurrent_args){ .hidden = N, .layers = A, .bidirectional = BIT, .batch_first = BIT, .dropout = BIT ? D : 0, .h = chance(d, 4) ? (tp_tensor){ 0 } : T, .c = chance(d, 4) ? (tp_tensor){ 0 } : T }, TP_HERE).y) \
    ROW(tp_recurrent_cell_at(K("rnn", "lstm", "gru"), BIT ? d->pool[2] : T, tp_list(BIT ? d->pool[1] : T), tp_list(BIT ? d->pool[21] : T, BIT ? d->pool[5] : T), BIT, TP_HERE).y) \
    ROW(scan(d, TP_HERE)) ROW(tp_attention_at(T, T, (tp_attention_args){ .v = T, .causal = BIT, .mask = BIT ? T : (tp_tensor){ 0 }, .dropout = BIT ? 0 : D, .scale = BIT ? 0 : D, .window = BIT ? 0 : N }, TP_HERE)) \
    ROW(tp_causal_mask_at(d->g, N, N, T, TP_HERE)) ROW(tp_kv_cache_at(T, NAME, N, T, TP_HERE)) ROW(tp_multi_head_attention(T, NAME, N, .causal = BIT, .memory = BIT ? T : (tp_tensor){ 0 }, .mask = BIT ? T : (tp_tensor){ 0 })) \
    ROW(tp_rotary(T, D, .from = D, .interleaved = BIT)) ROW(tp_positions(d->g, TYPE, N, N)) ROW(tp_alibi(d->g, TYPE, N, N, N)) ROW(tp_mlp_at(T, NAME, S, TP_HERE)) \
    ROW(tp_loss_at(K("mse", "huber", "bce", "kl_div", "gaussian_nll", "focal", "margin_ranking", "hinge_embedding"), T, (tp_loss_args){ .target = T, .third = T, .reduction = (tp_reduction)chance(d, 5), .weight = BIT ? T : (tp_tensor){ 0 }, .beta = D, .delta = D, .margin = D, .eps = D, .p = D }, TP_HERE)) \
    ROW(tp_dice(T, T, .eps = D)) ROW(tp_cosine_embedding(T, T, T, .margin = D)) ROW(tp_triplet_margin(T, T, T, .p = D)) ROW(tp_multi_margin(T, T, .p = D, .weight = BIT ? T : (tp_tensor){ 0 })) \
    ROW(tp_cosine_similarity(T, T, A)) ROW(tp_pairwise_distance(T, T, D)) ROW(tp_class_loss_at(K("tp_cross_entropy", "tp_nll"), T, (tp_class_args){ .target = BIT ? d->pool[9] : T, .reduction = (tp_reduction)chance(d, 5), .weight = BIT ? T : (tp_tensor){ 0 }, .smoothing = D, .ignore_index = D, .axis = A }, TP_HERE)) \
    ROW(tp_ctc(BIT ? d->pool[2] : T, BIT ? d->pool[10] : T, .steps = BIT ? d->pool[9] : T, .lengths = BIT ? d->pool[9] : T, .blank = N)) ROW(tp_accuracy(T, T)) ROW(tp_topk_accuracy(T, T, N)) ROW(tp_confusion_matrix(T, T, N)) \
    ROW(tp_class_score_at(K("tp_precision", "tp_f1"), T, TP_HERE)) ROW(tp_perplexity(T, T)) ROW(tp_r2(T, T)) ROW(grads(d, TP_HERE)) ROW(proof(d, TP_HERE)) ROW(loop(d, TP_HERE)) ROW(tp_grad_of(BIT ? tp_sum(T) : T, T)) \
    ROW((tp_assign_at(BIT ? d->pool[22] : T, T, TP_HERE), T)) ROW(train(d, TP_HERE)) ROW(evaluate(d, TP_HERE)) ROW(tangents(d, TP_HERE)) ROW(choice(d, TP_HERE)) ROW(own_gradient(d, TP_HERE)) \
    ROW(tp_custom(W("f", "grown"), tp_list(T, T), TYPE, S, BIT || BIT ? nothing : NULL, .backward = BIT ? NULL : nothing)) \
    ROW(tp_separable_conv2d(T, NAME, N, N, .pad = N)) \
    ROW(tp_sequential(T, NAME, tp_layer(K("linear", "flatten", "conv2d", "group_norm", "embed"), N, .kernel = N, .groups = BIT ? N : 0), tp_layer(K("relu", "gelu", "dropout", "softmax"), .p = BIT ? D : 0))) \
    ROW(tp_random_shift(T, A, N)) ROW(tp_random_crop(T, A, N)) ROW(tp_standardise(T, ((float[8]){ 1 }), ((float[8]){ 1, 1, 1, 1, 1, 1, 1, 1 }))) \
    ROW(tp_linear_of_at(T, T, BIT ? T : (tp_tensor){ 0 }, TP_HERE)) \
    ROW(tp_conv_of_at(K("tp_conv2d", "tp_conv_transpose2d"), 2, T, BIT ? tp_reshape(d->pool[0], 1, 4, 1, 1) : T, BIT ? T : (tp_tensor){ 0 }, (tp_conv_args){ .stride = N, .groups = BIT ? N : 0 }, TP_HERE)) \
    ROW(tp_layer_norm_of_at(T, BIT ? T : (tp_tensor){ 0 }, BIT ? T : (tp_tensor){ 0 }, A, D, BIT, TP_HERE)) ROW(tp_group_norm_of_at(T, BIT ? T : (tp_tensor){ 0 }, BIT ? T : (tp_tensor){ 0 }, N, D, TP_HERE)) \
    ROW(tp_batch_norm_of_at(T, BIT ? T : (tp_tensor){ 0 }, BIT ? T : (tp_tensor){ 0 }, (tp_tensor[]){ BIT ? T : (tp_tensor){ 0 }, BIT ? T : (tp_tensor){ 0 } }, BIT, D, D, TP_HERE))
/* clang-format on */

/* Those that the helpers above call, and those of eager graphs. */
static const char *const elsewhere[] = {
    "tp_scan_at",   "tp_cond_at",      "tp_with_gradient_at", "tp_vjp_at",
    "tp_jvp_at",    "tp_compile_at",   "tp_compile_train_at", "tp_backward_at",
    "tp_update_at", "tp_gradcheck_at", "tp_while_at",         "tp_export_onnx_at"
};

static const char *const texts[] = {
#define ROW(call) #call,
    ROWS(ROW)
#undef ROW
};
/* .. with the macros of taper.h unfolded */
#define UNFOLDED(...) #__VA_ARGS__
static const char *const unfolded[] = {
#define ROW(...) UNFOLDED(__VA_ARGS__),
    ROWS(ROW)
#undef ROW
};
enum { COUNT = sizeof texts / sizeof *texts };

static tp_tensor perform(int row, struct draw *d)
{
    tp_tensor out[64] = { { 0 } }, y = { 0 };
    int at = 0;

#define ROW(call)    \
    if (at++ == row) \
        y = (call);
    ROWS(ROW)
#undef ROW
    return y.id ? y : out[0];
}

static struct draw begin(uint64_t seed)
{
    struct draw d = { .state = seed * 977, .g = tp_graph_new(seed), .other = tp_graph_new(2) };
    tp_graph *g = d.g;

    d.batch = tp_symbol(g, "batch", 1, 6);
    const tp_tensor all[TENSORS] = {
        tp_input(g, "x1", TP_F32, tp_dims(4)),
        tp_input(g, "x2", TP_F32, tp_dims(2, 3)),
        tp_input(g, "x3", TP_F32, tp_dims(2, 2, 2)),
        tp_input(g, "x4", TP_F32, tp_dims(2, 4, 6, 6)),
        tp_input(g, "x5", TP_F32, tp_dims(1, 2, 3, 4, 5)),
        tp_input(g, "square", TP_F32, tp_dims(3, 3)),
        tp_input(g, "scalar", TP_F32, TP_SCALAR),
        tp_input(g, "i1", TP_I32, tp_dims(4)),
        tp_input(g, "place", TP_I32, TP_SCALAR),
        tp_input(g, "labels", TP_I32, tp_dims(2)),
        tp_input(g, "i2", TP_I64, tp_dims(2, 3)),
        tp_input(g, "u", TP_U8, tp_dims(2, 3)),
        tp_input(g, "truth", TP_BOOL, tp_dims(2, 3)),
        tp_input(g, "double", TP_F64, tp_dims(2, 3)),
        tp_input(g, "half", TP_F16, tp_dims(2, 3)),
        tp_input(g, "none", TP_F32, tp_dims(0, 3)),
        tp_input(g, "rows", TP_F32, tp_dims(d.batch, 3)),
        tp_input(g, "images", TP_F32, tp_dims(d.batch, 4, 6, 6)),
        tp_input(g, "ids", TP_I32, tp_dims(d.batch)),
        tp_param(g, "weight", tp_dims(2, 3), TP_ONES),
        tp_input(g, "grid", TP_F32, tp_dims(2, 5, 5, 2)),
        tp_input(g, "gates", TP_F32, tp_dims(3, 2)),
        tp_state(g, "state", TP_F32, tp_dims(2, 3)),
        tp_input(d.other, "stranger", TP_F32, tp_dims(2, 3)),
    };
    memcpy(d.pool, all, sizeof all);
    d.last = d.pool[chance(&d, TENSORS - 1)];
    tp_on_warning(g, NULL, NULL);
    tp_on_warning(d.other, NULL, NULL);
    return d;
}

/* FILE:LINE: OP: what was found; what was expected */
static bool is_one_line(const char *said)
{
    const char *at = said + strlen("misuse.c:");
    bool fine =
        (strncmp(said, "misuse.c:", 9) == 0 && isdigit((unsigned char)*at) && strstr(said, "; ")) ||
        strstr(said, " bytes is too small: "); /* a whole program has no line */

    fine &= strlen(said) <= 400;

    for (const char *p = said; *p; p++)
        fine &= (unsigned char)*p >= ' ' && *p != 127;
    return fine;
}

static void misuse(int part)
{
    const uint64_t least = (uint64_t)support_cases(support_fewer(60), 2000);
    const char *only = getenv("ROW"), *from = getenv("SEED"); /* to look at one alone */

    for (int row = part; row < COUNT; row += 4) {
        int taken = 0, refused = 0;

        if (only && !strstr(texts[row], only))
            continue;
        for (uint64_t seed = from ? strtoull(from, NULL, 10) : 1;
             seed <= least || ((!taken || !refused) && seed < 4000); seed++) {
            struct draw d = begin(seed);
            const tp_tensor y = perform(row, &d);
            const char *said = tp_error(d.g);
            char first[500] = "";

            if (said) {
                cr_expect(is_one_line(said), "%.60s, seed %lu: \"%s\"", texts[row],
                          (unsigned long)seed, said);
                cr_expect(tp_status(d.g) == 2 || tp_status(d.g) == 3, "%s", said);
                snprintf(first, sizeof first, "%s", said);
                tp_add(d.pool[0], d.pool[4]);
                tp_exp(y);
                cr_expect_str_eq(tp_error(d.g), first, "the first one stays");
                refused++;
            } else {
                taken += y.id != 0;
                if (y.g == d.g && seed % 7 == 0) /* .. and what it made can be compiled, or not */
                    tp_compile(d.g, tp_list(y), TP_EVAL, .plan_only = true);
            }
            tp_graph_free(d.g);
            tp_graph_free(d.other);
        }
        cr_expect(taken > 0, "%.80s is never taken", texts[row]);
        cr_expect(refused > 0, "%.80s is never refused", texts[row]);
    }
}

Test(misuse, every_function_is_a_row)
{
    char line[400], name[80];
    int found = 0;
    FILE *header = fopen(TAPER_SOURCE "/frontend/taper.h", "r");

    cr_assert(header);
    while (fgets(line, sizeof line, header))
        for (char *at = line; strncmp(line, "TP_API", 6) == 0 && (at = strstr(at, "tp_"));
             at += 3) {
            bool known = sscanf(at, "%79[a-z0-9_](", name) != 1 || at[strlen(name)] != '(' ||
                         strlen(name) < 4 || strcmp(name + strlen(name) - 3, "_at") != 0;

            found += !known;
            for (size_t i = 0; i < sizeof elsewhere / sizeof *elsewhere; i++)
                known |= strcmp(name, elsewhere[i]) == 0;
            for (int i = 0; i < COUNT; i++)
                known |= strstr(unfolded[i], name) != NULL;
            cr_expect(known, "%s has no row here", name);
        }
    fclose(header);
    cr_expect(found > 100, "%d functions are in taper.h", found);
}

Test(misuse, first_quarter_of_the_functions)
{
    misuse(0);
}

Test(misuse, second_quarter_of_the_functions)
{
    misuse(1);
}

Test(misuse, third_quarter_of_the_functions)
{
    misuse(2);
}

Test(misuse, last_quarter_of_the_functions)
{
    misuse(3);
}

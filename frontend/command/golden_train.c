/*
 * golden_train: training runs, as a user would write them: layers, a loss, one compiled step. The
 * question brings the parameters and the batches; the answer is how they went.
 */
#include "golden.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { PARAMETERS = 200, BATCHES = 64, LAYERS = 32 };

struct run {
    struct golden_work w; /* g, c, and why it cannot be done */
    tp_dtype dtype;
    tp_tensor x, y, logits;
    tp_tensor state[GOLDEN_INPUTS * 4], gradient[PARAMETERS]; /* by the case's inputs */
    int parameters;
};

static int64_t size_of(struct run *r, const char *name)
{
    const int64_t n = golden_int(&r->w, name, 0);

    if (n < 1 || n > 1 << 20)
        golden_cannot(&r->w, "%s is %lld", name, (long long)n);
    return n < 1 ? 1 : n;
}

/* --- the models
 * ------------------------------------------------------------------------------------- */

static tp_tensor linear(tp_tensor x, const char *name, int64_t out, bool no_bias)
{
    return tp_linear(x, name, out, .no_bias = no_bias);
}

static void mlp(struct run *r)
{
    tp_tensor h = tp_tanh(linear(r->x, "fc1", size_of(r, "n_h1"), false));

    h = tp_sigmoid(linear(h, "fc2", size_of(r, "n_h2"), false));
    r->logits = linear(h, "fc3", size_of(r, "n_class"), false);
}

static void lenet(struct run *r)
{
    tp_tensor h = tp_relu(tp_conv2d(r->x, "conv1", size_of(r, "c1"), 3, .pad = 1));

    h = tp_max_pool2d(h, 2);
    h = tp_max_pool2d(tp_relu(tp_conv2d(h, "conv2", size_of(r, "c2"), 3)), 2);
    h = tp_relu(linear(tp_flatten(h, 1), "fc3", size_of(r, "n_fc"), false));
    r->logits = linear(h, "fc4", size_of(r, "n_class"), false);
}

static void resblock(struct run *r)
{
    const int64_t c = size_of(r, "c_mid");
    tp_tensor h, again;

    h = tp_relu(tp_batch_norm(tp_conv2d(r->x, "conv0", c, 3, .pad = 1, .no_bias = true), "bn0"));
    again = tp_relu(tp_batch_norm(tp_conv2d(h, "conv1", c, 3, .pad = 1, .no_bias = true), "bn1"));
    again = tp_batch_norm(tp_conv2d(again, "conv2", c, 3, .pad = 1, .no_bias = true), "bn2");
    h = tp_mean(tp_relu(tp_add(h, again)), tp_axes(2, 3));
    r->logits = linear(h, "fc", size_of(r, "n_class"), false);
}

/* A parameter that is no layer's; its start is set later. */
static tp_tensor parameter(struct run *r, const char *name, tp_shape shape)
{
    return tp_param(r->w.g, name, shape, TP_ZEROS, .dtype = r->dtype);
}

static void lstm(struct run *r)
{
    const int64_t n = size_of(r, "n_hidden"), time = size_of(r, "time"), in = size_of(r, "n_in");
    const tp_tensor w_ih = parameter(r, "w_ih", tp_dims(4 * n, in)),
                    w_hh = parameter(r, "w_hh", tp_dims(4 * n, n)),
                    b_ih = parameter(r, "b_ih", tp_dims(4 * n)),
                    b_hh = parameter(r, "b_hh", tp_dims(4 * n));
    tp_tensor h = tp_zeros(r->w.g, r->dtype, tp_dims(tp_dim(r->x, 1), n)), c = h;

    if (time != tp_dim(r->x, 0) || time > 256) {
        golden_cannot(&r->w, "%lld steps of time", (long long)time);
        return;
    }
    for (int t = 0; t < time; t++) {
        const tp_tensor gates = tp_add(tp_add(tp_matmul_nt(tp_index(r->x, t), w_ih), b_ih),
                                       tp_add(tp_matmul_nt(h, w_hh), b_hh));
        const tp_tensor i = tp_sigmoid(tp_narrow(gates, -1, 0, n)),
                        f = tp_sigmoid(tp_narrow(gates, -1, n, n)),
                        g = tp_tanh(tp_narrow(gates, -1, 2 * n, n)),
                        o = tp_sigmoid(tp_narrow(gates, -1, 3 * n, n));
        c = tp_add(tp_mul(f, c), tp_mul(i, g));
        h = tp_mul(o, tp_tanh(c));
    }
    r->logits = linear(h, "fc", size_of(r, "n_class"), false);
}

static tp_tensor attention(tp_tensor x, int64_t d, int64_t heads)
{
    const int64_t batch = tp_dim(x, 0), time = tp_dim(x, 1);
    const tp_tensor qkv = tp_permute(
        tp_reshape(linear(x, "qkv", 3 * d, true), batch, time, 3, heads, d / heads), 2, 0, 3, 1, 4);
    const tp_tensor square = golden_index(x, tp_dims(time, time), 0),
                    before = tp_le(golden_index(x, tp_dims(time, time), 1), square);
    tp_tensor score =
        tp_mul(tp_matmul_nt(tp_index(qkv, 0), tp_index(qkv, 1)), 1 / sqrt((double)(d / heads)));

    score = tp_softmax(tp_where(before, score, -(double)INFINITY), -1);
    x = tp_permute(tp_matmul(score, tp_index(qkv, 2)), 0, 2, 1, 3);
    return linear(tp_reshape(x, batch, time, d), "proj", d, true);
}

static void gpt(struct run *r)
{
    const int64_t vocab = size_of(r, "vocab"), time = size_of(r, "time"), d = size_of(r, "d_model"),
                  heads = size_of(r, "n_head"), layers = size_of(r, "n_layer");
    tp_tensor h;

    if (d % heads || layers > LAYERS) {
        golden_cannot(&r->w, "%lld layers, %lld heads", (long long)layers, (long long)heads);
        return;
    }
    h = tp_add(tp_embedding(parameter(r, "tok", tp_dims(vocab, d)), r->x),
               parameter(r, "pos", tp_dims(time, d)));
    for (int i = 0; i < layers; i++)
        tp_scope(r->w.g, "h.%d", i) {
            h = tp_add(h, attention(tp_layer_norm(h, "ln1"), d, heads));
            h = tp_add(h, linear(tp_gelu_tanh(linear(tp_layer_norm(h, "ln2"), "fc", 4 * d, false)),
                                 "out", d, false));
        }
    r->logits = tp_linear(tp_layer_norm(h, "lnf"), "head", vocab, .no_bias = true);
}

/* --- names: the question's, and those that layers give; # is a number
 * ----------------------------------- */

static const struct {
    const char *model, *theirs, *ours;
} names[] = {
    { "mlp", "w#", "fc#.weight" },
    { "mlp", "b#", "fc#.bias" },
    { "lenet", "k#", "conv#.weight" },
    { "lenet", "b1", "conv1.bias" },
    { "lenet", "b2", "conv2.bias" },
    { "lenet", "w#", "fc#.weight" },
    { "lenet", "b#", "fc#.bias" },
    { "resblock", "k#", "conv#.weight" },
    { "resblock", "g#", "bn#.weight" },
    { "resblock", "o#", "bn#.bias" },
    { "resblock", "rm#", "bn#.running_mean" },
    { "resblock", "rv#", "bn#.running_var" },
    { "resblock", "w", "fc.weight" },
    { "resblock", "b", "fc.bias" },
    { "lstm", "w", "fc.weight" },
    { "lstm", "b", "fc.bias" },
    { "gpt", "ln1_g#", "h.#.ln1.weight" },
    { "gpt", "ln1_b#", "h.#.ln1.bias" },
    { "gpt", "qkv#", "h.#.qkv.weight" },
    { "gpt", "proj#", "h.#.proj.weight" },
    { "gpt", "ln2_g#", "h.#.ln2.weight" },
    { "gpt", "ln2_b#", "h.#.ln2.bias" },
    { "gpt", "fc_w#", "h.#.fc.weight" },
    { "gpt", "fc_b#", "h.#.fc.bias" },
    { "gpt", "out_w#", "h.#.out.weight" },
    { "gpt", "out_b#", "h.#.out.bias" },
    { "gpt", "lnf_g", "lnf.weight" },
    { "gpt", "lnf_b", "lnf.bias" },
    { "gpt", "head", "head.weight" },
};

static const char *our_name(struct run *r, const char *theirs)
{
    const char *model = r->w.c->op + strlen("train.");

    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const size_t stem = strcspn(names[i].theirs, "#"), before = strcspn(names[i].ours, "#");
        const char *rest = theirs + stem;
        const bool numbered = names[i].theirs[stem] == '#';

        if (strcmp(names[i].model, model) != 0 || strncmp(theirs, names[i].theirs, stem) != 0)
            continue;
        if (!numbered && *rest == 0)
            return names[i].ours;
        if (numbered && *rest && strspn(rest, "0123456789") == strlen(rest) && strlen(rest) < 4)
            return ir_format(r->w.g->ir->arena, "%.*s%s%s", (int)before, names[i].ours, rest,
                             names[i].ours + before + 1);
    }
    return theirs;
}

/* --- setting up
 * -------------------------------------------------------------------------------------------- */

static bool is_batch(const struct golden_array *a) /* x0, y0, .. */
{
    return (*a->name == 'x' || *a->name == 'y') && a->name[1] >= '0' && a->name[1] <= '9' &&
           !a->wanted;
}

static const struct golden_array *batch_of(struct run *r, char letter, int64_t i)
{
    for (int k = 0; k < r->w.c->ins; k++) {
        const struct golden_array *a = &r->w.c->in[k];
        if (is_batch(a) && *a->name == letter && strtol(a->name + 1, NULL, 10) == i)
            return a;
    }
    return NULL;
}

static int64_t bytes_of(const struct golden_array *a)
{
    int64_t bytes = ir_dtypes[a->dtype].bytes;

    for (int i = 0; i < a->shape.rank; i++)
        bytes *= a->shape.dim[i];
    return bytes;
}

static tp_tensor input_of(struct run *r, const char *name, const struct golden_array *a)
{
    tp_shape shape = { .rank = a->shape.rank };

    memcpy(shape.dim, a->shape.dim, sizeof shape.dim);
    return tp_input(r->w.g, name, (tp_dtype)(a->dtype + 1), shape);
}

/* All parameters and buffers take the question's values. */
static void set_states(struct run *r)
{
    int known = 0;

    for (int i = 0; i < r->w.c->ins; i++) {
        const struct golden_array *a = &r->w.c->in[i];
        tp_tensor s;

        if (is_batch(a))
            continue;
        s = r->state[i] = tp_find(r->w.g, our_name(r, a->name));
        if (s.id == 0 || tp_node(s)->dtype != a->dtype ||
            !ir_same_shape(&tp_node(s)->shape, &a->shape)) {
            golden_cannot(&r->w, "the parameter %.60s: the model has none of that shape", a->name);
            return;
        }
        tp_set_values(s, a->data, (size_t)bytes_of(a));
        known += a->wanted;
    }
    r->parameters = known;
    if (tp_params(r->w.g, "*", 0, NULL) != known)
        golden_cannot(&r->w, "%d parameters; the model has %d", known,
                      tp_params(r->w.g, "*", 0, NULL));
}

static tp_opt optimiser(struct run *r)
{
    const char *kind = golden_text(&r->w, "opt.kind", "sgd");
    const double decay = golden_real(&r->w, "opt.weight_decay", 0),
                 momentum = golden_real(&r->w, "opt.momentum", 0),
                 beta1 = golden_real(&r->w, "opt.beta1", 0.9),
                 beta2 = golden_real(&r->w, "opt.beta2", 0.999),
                 eps = golden_real(&r->w, "opt.eps", 0),
                 alpha = golden_real(&r->w, "opt.alpha", 0.99);

    if (strcmp(kind, "sgd") == 0)
        return tp_sgd(.momentum = momentum, .weight_decay = decay,
                      .nesterov = golden_int(&r->w, "opt.nesterov", 0) != 0);
    if (strcmp(kind, "adam") == 0)
        return tp_adam(.beta1 = beta1, .beta2 = beta2, .eps = eps, .weight_decay = decay);
    if (strcmp(kind, "adamw") == 0)
        return tp_adamw(.beta1 = beta1, .beta2 = beta2, .eps = eps, .weight_decay = decay,
                        .no_decay = decay == 0);
    if (strcmp(kind, "rmsprop") == 0 && momentum == 0)
        return tp_rmsprop(.alpha = alpha, .eps = eps, .weight_decay = decay);
    if (strcmp(kind, "adagrad") == 0)
        return tp_adagrad(.eps = eps, .weight_decay = decay);
    golden_cannot(&r->w, "the optimiser %.40s", kind);
    return tp_sgd();
}

static tp_program *compile(struct run *r, tp_tensor loss, int64_t steps)
{
    const double rate = golden_real(&r->w, "opt.lr", 0);
    const char *schedule = golden_text(&r->w, "opt.schedule", "");
    tp_tensor wrt[PARAMETERS];
    int n = 0;

    for (int i = 0; i < 4; i++) { /* 0 means the default there, which is not what was asked */
        const char *name = (const char *[]){ "opt.beta1", "opt.beta2", "opt.eps", "opt.alpha" }[i];
        if (golden_attr(r->w.c, name) && golden_real(&r->w, name, 1) == 0)
            golden_cannot(&r->w, "%s of 0", name);
    }
    if (*schedule && strcmp(schedule, "cosine") != 0)
        golden_cannot(&r->w, "the schedule %.40s", schedule);
    for (int i = 0; i < r->w.c->ins; i++)
        if (!is_batch(&r->w.c->in[i]) && r->w.c->in[i].wanted)
            wrt[n++] = r->state[i];
    const tp_opt opt = optimiser(r);
    if (*r->w.why || tp_error(r->w.g) || !tp_grad(loss, n, wrt, r->gradient))
        return NULL;
    return tp_compile_train(
        loss, .opt = opt, .lr = *schedule ? tp_cosine(rate, 0, (double)steps) : tp_const(rate),
        .also = { n, r->gradient }, .clip_norm = golden_real(&r->w, "opt.clip_norm", 0));
}

/* --- running
 * -------------------------------------------------------------------------------------------------
 */

static bool set_batch(struct run *r, tp_program *p, int64_t step, int64_t batches)
{
    const struct golden_array *a[2] = { batch_of(r, 'x', step % batches),
                                        batch_of(r, 'y', step % batches) };

    for (int i = 0; i < 2; i++) {
        const tp_tensor to = i ? r->y : r->x;
        size_t bytes;
        void *data = tp_buffer(p, to, &bytes);

        if (!data || !a[i] || a[i]->dtype != tp_node(to)->dtype ||
            !ir_same_shape(&a[i]->shape, &tp_node(to)->shape))
            return golden_cannot(&r->w, "batch %lld is not like the first", (long long)step).id;
        memcpy(data, a[i]->data, (size_t)bytes_of(a[i]));
    }
    return true;
}

static double norm_of(const void *data, const struct golden_array *a)
{
    double sum = 0;

    for (int64_t i = 0; i < bytes_of(a) / ir_dtypes[a->dtype].bytes; i++) {
        const double x =
            a->dtype == IR_F32 ? (double)((const float *)data)[i] : ((const double *)data)[i];
        sum += x * x;
    }
    return sqrt(sum);
}

static bool is_snapshot(const struct golden_attr *snapshots, int64_t step)
{
    for (int i = 0; snapshots && i < snapshots->count; i++)
        if (snapshots->kind == 'I' && snapshots->integers[i] == step)
            return true;
    return false;
}

/* After an update: norms of all parameters; all states where the question wants to see them. */
static void look(struct run *r, int64_t step, bool snapshot, double *norms,
                 struct golden_answers *to, struct ir_arena *arena)
{
    for (int i = 0, k = 0; i < r->w.c->ins; i++) {
        const struct golden_array *a = &r->w.c->in[i];
        struct ir_array now = { a->dtype, a->shape, NULL };

        if (is_batch(a))
            continue;
        now.data = ir_alloc(arena, (size_t)bytes_of(a) + 1);
        tp_get_values(r->state[i], now.data, (size_t)bytes_of(a));
        if (a->wanted)
            norms[(step - 1) * r->parameters + k++] = norm_of(now.data, a);
        if (snapshot)
            golden_put(to, "out", ir_format(arena, "%s@%lld", a->name, (long long)step), &now);
    }
}

static bool train(struct run *r, tp_program *p, tp_tensor loss, int64_t steps, int64_t batches,
                  struct golden_answers *to, struct ir_arena *arena)
{
    const struct golden_attr *snapshots = golden_attr(r->w.c, "snapshots");
    double *losses = ir_alloc(arena, (size_t)steps * sizeof *losses),
           *norms = ir_alloc(arena, (size_t)(steps * r->parameters) * sizeof *norms);

    for (int64_t step = 0; step < steps; step++) {
        if (!set_batch(r, p, step, batches) || !tp_run(p))
            return false;
        losses[step] = tp_get(p, loss);
        for (int i = 0, k = 0; step == 0 && i < r->w.c->ins; i++) {
            const struct golden_array *a = &r->w.c->in[i];
            struct ir_array grad = { a->dtype, a->shape, NULL };

            if (is_batch(a) || !a->wanted)
                continue;
            grad.data = ir_alloc(arena, (size_t)bytes_of(a) + 1);
            tp_read(p, r->gradient[k++], grad.data, (size_t)bytes_of(a));
            golden_put(to, "out", ir_format(arena, "grad.%s", a->name), &grad);
        }
        look(r, step + 1, is_snapshot(snapshots, step + 1), norms, to, arena);
    }
    golden_put(to, "out", "loss", &(struct ir_array){ IR_F64, { 1, { steps } }, losses });
    golden_put(to, "out", "norms",
               &(struct ir_array){ IR_F64, { 2, { steps, r->parameters } }, norms });
    return true;
}

static const struct {
    const char *op;
    void (*build)(struct run *);
} models[] = { { "train.mlp", mlp },
               { "train.lenet", lenet },
               { "train.resblock", resblock },
               { "train.lstm", lstm },
               { "train.gpt", gpt } };

bool golden_trains(const struct golden_case *c)
{
    return strncmp(c->op, "train.", strlen("train.")) == 0;
}

/* The graph of the loss; poison with the reason. */
static tp_tensor build(struct run *r, const struct golden_array *x, const struct golden_array *y)
{
    void (*model)(struct run *) = NULL;

    for (size_t i = 0; i < sizeof models / sizeof *models; i++)
        if (strcmp(models[i].op, r->w.c->op) == 0)
            model = models[i].build;
    if (!model)
        return golden_cannot(&r->w, "the model %.60s", r->w.c->op);
    if (!x || !y || r->w.c->ins > (int)(sizeof r->state / sizeof *r->state))
        return golden_cannot(&r->w, "a question without x0 and y0, or of too many inputs");
    r->dtype = strcmp(r->w.c->dtype, "f64") == 0 ? TP_F64 : TP_F32;
    r->x = input_of(r, "x", x);
    r->y = input_of(r, "y", y);
    model(r);
    return *r->w.why ? (tp_tensor){ .g = r->w.g } : tp_cross_entropy(r->logits, r->y);
}

void golden_train(const struct golden_case *c, bool interpret, struct golden_answers *to)
{
    struct run *r = calloc(1, sizeof *r);
    struct golden_answers answer = { 0 };
    struct ir_arena *arena = ir_arena_new();
    tp_program *p = NULL;
    tp_tensor loss;
    bool ok = false;

    (void)interpret; /* programs have one engine */
    if (!r || !(r->w.g = tp_graph_new(1)))
        ir_bug("golden: no memory for a graph");
    r->w.c = c;
    const int64_t steps = size_of(r, "steps"), batches = size_of(r, "batches");
    loss = build(r, batch_of(r, 'x', 0), batch_of(r, 'y', 0));
    if (!*r->w.why && !tp_error(r->w.g))
        set_states(r);
    if (r->parameters > PARAMETERS || steps > 1000)
        golden_cannot(&r->w, "%d parameters, %lld steps", r->parameters, (long long)steps);
    if (!*r->w.why && !tp_error(r->w.g))
        p = compile(r, loss, steps);
    /* what was put before something failed is taken back */
    answer = *to;
    ok = p && !*r->w.why && train(r, p, loss, steps, batches, to, arena);
    if (!ok) {
        to->text.size = answer.text.size;
        to->size = answer.size;
        ir_put(&to->text, "unsupported %s\n",
               *r->w.why          ? r->w.why
               : tp_error(r->w.g) ? tp_error(r->w.g)
                                  : "");
    }
    tp_graph_free(r->w.g);
    free(r);
    ir_arena_free(arena);
}

/*
 * golden_train: training runs: one compiled step, and how it went. The question brings the
 * parameters and the batches.
 */
#include "golden.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* --- setting up ------------------------------------------------------------------------------ */

static bool is_batch(const struct golden_array *a) /* x0, y0, .. */
{
    return (*a->name == 'x' || *a->name == 'y') && a->name[1] >= '0' && a->name[1] <= '9' &&
           !a->wanted;
}

static const struct golden_array *batch_of(struct golden_run *r, char letter, int64_t i)
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

/* All parameters and buffers take the question's values. */
static void set_states(struct golden_run *r)
{
    int known = 0;

    for (int i = 0; i < r->w.c->ins; i++) {
        const struct golden_array *a = &r->w.c->in[i];
        tp_tensor s;

        if (is_batch(a))
            continue;
        s = r->state[i] = tp_find(r->w.g, golden_state_name(r, a->name));
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

/* What is given, a zero too; else 0, which means the default. */
static double given(struct golden_run *r, const char *name)
{
    const double number = golden_real(&r->w, name, 0);

    return golden_attr(r->w.c, name) && number == 0 ? TP_ZERO : number;
}

static tp_opt optimiser(struct golden_run *r)
{
    const char *kind = golden_text(&r->w, "opt.kind", "sgd");
    const double decay = golden_real(&r->w, "opt.weight_decay", 0),
                 momentum = golden_real(&r->w, "opt.momentum", 0), beta1 = given(r, "opt.beta1"),
                 beta2 = given(r, "opt.beta2"), eps = given(r, "opt.eps"),
                 alpha = given(r, "opt.alpha");

    if (strcmp(kind, "sgd") == 0)
        return tp_sgd(.momentum = momentum, .weight_decay = decay,
                      .nesterov = golden_int(&r->w, "opt.nesterov", 0) != 0);
    if (strcmp(kind, "adam") == 0)
        return tp_adam(.beta1 = beta1, .beta2 = beta2, .eps = eps, .weight_decay = decay);
    if (strcmp(kind, "adamw") == 0)
        return tp_adamw(.beta1 = beta1, .beta2 = beta2, .eps = eps, .weight_decay = decay,
                        .no_decay = decay == 0);
    if (strcmp(kind, "rmsprop") == 0)
        return tp_rmsprop(.alpha = alpha, .eps = eps, .weight_decay = decay, .momentum = momentum);
    if (strcmp(kind, "adagrad") == 0)
        return tp_adagrad(.eps = eps, .weight_decay = decay);
    golden_cannot(&r->w, "the optimiser %.40s", kind);
    return tp_sgd();
}

static tp_program *compile(struct golden_run *r, tp_tensor loss, int64_t steps)
{
    const double rate = golden_real(&r->w, "opt.lr", 0);
    const char *schedule = golden_text(&r->w, "opt.schedule", "");
    tp_tensor wrt[GOLDEN_PARAMETERS];
    int n = 0;

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

/* --- running --------------------------------------------------------------------------------- */

static bool set_batch(struct golden_run *r, tp_program *p, int64_t step, int64_t batches)
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
static void look(struct golden_run *r, int64_t step, bool snapshot, double *norms,
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

static bool train(struct golden_run *r, tp_program *p, tp_tensor loss, int64_t steps,
                  int64_t batches, struct golden_answers *to, struct ir_arena *arena)
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

bool golden_trains(const struct golden_case *c)
{
    return strncmp(c->op, "train.", strlen("train.")) == 0;
}

void golden_train(const struct golden_case *c, bool interpret, struct golden_answers *to)
{
    struct golden_run *r = calloc(1, sizeof *r);
    struct golden_answers answer = { 0 };
    struct ir_arena *arena = ir_arena_new();
    tp_program *p = NULL;
    tp_tensor loss;
    bool ok = false;

    (void)interpret; /* programs have one engine */
    if (!r || !(r->w.g = tp_graph_new(1)))
        ir_bug("golden: no memory for a graph");
    r->w.c = c;
    const int64_t steps = golden_size(r, "steps"), batches = golden_size(r, "batches");
    loss = golden_model(r, batch_of(r, 'x', 0), batch_of(r, 'y', 0));
    if (!*r->w.why && !tp_error(r->w.g))
        set_states(r);
    if (r->parameters > GOLDEN_PARAMETERS || steps > 1000)
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

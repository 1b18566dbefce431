/*
 * Training, through the public interface: PyTorch's own runs are followed for 20 steps with each
 * optimiser; reruns have the same bits; a partial batch counts as what it is.
 */
#include <criterion/criterion.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "frontend/taper.h"
#include "support.h"

/* --- golden files (their format: golden/README.md) ---------------------------------------------
 */

struct array {
    char name[40], type[8];
    int rank;
    int64_t dim[8];
    const void *data;
    size_t bytes;
};
struct golden {
    char id[120], op[40], kind[20], schedule[20];
    double attr[40];
    char attr_name[40][24];
    int attrs, arrays, ins;
    struct array array[400];
    double rtol, atol;
};
static char *values;
static FILE *lines;

static bool open_golden(const char *text, const char *binary)
{
    FILE *file = fopen(binary, "rb");
    long size;

    lines = fopen(text, "r");
    cr_assert(file && lines);
    fseek(file, 0, SEEK_END);
    size = ftell(file);
    rewind(file);
    values = malloc((size_t)size);
    cr_assert(values && fread(values, 1, (size_t)size, file) == (size_t)size);
    fclose(file);
    return true;
}

static double attr(const struct golden *c, const char *name)
{
    for (int i = 0; i < c->attrs; i++)
        if (strcmp(c->attr_name[i], name) == 0)
            return c->attr[i];
    return 0;
}

static const struct array *array_of(const struct golden *c, const char *name)
{
    for (int i = 0; i < c->arrays; i++)
        if (strcmp(c->array[i].name, name) == 0)
            return &c->array[i];
    cr_assert(false, "%s: no array %s", c->id, name);
    return NULL;
}

static void read_array(struct golden *c, char *line)
{
    struct array *a = &c->array[c->arrays++];
    long long offset = 0, bytes = 0;
    int at = 0, used;

    cr_assert(c->arrays < 400);
    sscanf(line, "%*s %39s %7s %d%n", a->name, a->type, &a->rank, &at);
    for (int i = 0; i < a->rank; i++, at += used)
        sscanf(line + at, "%" SCNd64 "%n", &a->dim[i], &used);
    sscanf(line + at, "%lld %lld", &offset, &bytes);
    a->data = values + offset;
    a->bytes = (size_t)bytes;
}

static bool next_case(struct golden *c)
{
    char line[4000], word[24], type[24];

    memset(c, 0, sizeof *c);
    while (fgets(line, sizeof line, lines)) {
        if (sscanf(line, "case %119s %39s", c->id, c->op) == 2)
            continue;
        if (strncmp(line, "end", 3) == 0)
            return true;
        if (sscanf(line, "attr opt.kind str %19s", c->kind) == 1 ||
            sscanf(line, "attr opt.schedule str %19s", c->schedule) == 1)
            continue;
        if (sscanf(line, "attr %23s %23s", word, type) == 2 && c->attrs < 40) {
            strcpy(c->attr_name[c->attrs], word);
            sscanf(line, "attr %*s %*s %lf", &c->attr[c->attrs++]);
        } else if (strncmp(line, "in ", 3) == 0 || strncmp(line, "out ", 4) == 0) {
            read_array(c, line);
            c->ins += line[0] == 'i';
        } else {
            sscanf(line, "tol %lf %lf", &c->rtol, &c->atol);
        }
    }
    return false;
}

/* --- the models of the golden runs -------------------------------------------------------------
 */

static tp_graph *g;
static const struct golden *now;
static tp_dtype real;

static tp_tensor parameter(const char *name)
{
    const struct array *a = array_of(now, name);
    tp_shape shape = { .rank = a->rank };
    tp_tensor p;

    memcpy(shape.dim, a->dim, sizeof shape.dim);
    p = tp_param(g, name, shape, TP_ZEROS, .dtype = real);
    cr_assert(tp_set_values(p, a->data, a->bytes), "%s", tp_error(g));
    return p;
}

static tp_tensor affine(tp_tensor x, const char *weight, const char *bias)
{
    return tp_add(tp_matmul_nt(x, parameter(weight)), parameter(bias));
}

static tp_tensor mlp(tp_tensor x)
{
    x = tp_tanh(affine(x, "w1", "b1"));
    x = tp_sigmoid(affine(x, "w2", "b2"));
    return affine(x, "w3", "b3");
}

/* A layer of the library, with the golden run's weights. */
static tp_tensor convolved(tp_tensor x, int pad, const char *weight, const char *bias)
{
    const struct array *w = array_of(now, weight);

    x = tp_conv2d(x, weight, w->dim[0], w->dim[2], .pad = pad, .no_bias = bias == NULL);
    cr_assert(tp_error(g) == NULL, "%s", tp_error(g));
    return x;
}

static tp_tensor lenet(tp_tensor x)
{
    x = tp_max_pool2d(tp_relu(convolved(x, 1, "k1", "b1")), 2);
    x = tp_max_pool2d(tp_relu(convolved(x, 0, "k2", "b2")), 2);
    x = tp_relu(affine(tp_flatten(x, 1), "w3", "b3"));
    return affine(x, "w4", "b4");
}

static tp_tensor resblock(tp_tensor x)
{
    tp_tensor h = tp_relu(tp_batch_norm(convolved(x, 1, "k0", NULL), "0"));
    tp_tensor r = tp_relu(tp_batch_norm(convolved(h, 1, "k1", NULL), "1"));

    h = tp_relu(tp_add(h, tp_batch_norm(convolved(r, 1, "k2", NULL), "2")));
    return affine(tp_mean(h, tp_axes(2, 3)), "w", "b");
}

/* Where our layer keeps what the golden file calls so: k1 is "k1.weight", its bias is b1; .. */
static tp_tensor place_of(const char *name)
{
    static const char *const leaf[] = { "g",  "weight",      "o", "bias", "rm", "running_mean",
                                        "rv", "running_var", NULL };
    char path[60];
    tp_tensor t = tp_find(g, name);

    if (t.id)
        return t;
    snprintf(path, sizeof path, "%s.weight", name);
    if ((t = tp_find(g, path)).id)
        return t;
    snprintf(path, sizeof path, "k%s.bias", name + 1);
    if (name[0] == 'b' && (t = tp_find(g, path)).id)
        return t;
    for (int i = 0; leaf[i]; i += 2)
        if (strncmp(name, leaf[i], strlen(leaf[i])) == 0) {
            snprintf(path, sizeof path, "%s.%s", name + strlen(leaf[i]), leaf[i + 1]);
            if ((t = tp_find(g, path)).id)
                return t;
        }
    cr_assert(false, "%s: nothing is called %s", now->id, name);
    return t;
}

static double number(const char *type, const void *data, size_t i)
{
    return strcmp(type, "f64") == 0 ? ((const double *)data)[i] : (double)((const float *)data)[i];
}

static void compare(const char *what, const char *type, const void *got, const struct array *want)
{
    const size_t size = strcmp(want->type, "f64") == 0 ? 8 : 4;
    double most = 0;

    for (size_t i = 0; i < want->bytes / size; i++)
        most = fmax(most, fabs(number(want->type, want->data, i)));
    for (size_t i = 0; i < want->bytes / size; i++) {
        const double a = number(type, got, i), b = number(want->type, want->data, i);
        if (fabs(a - b) <= fmax(now->atol, now->rtol * most) + now->rtol * fabs(b))
            continue;
        cr_expect(false, "%s: %s[%zu] is %.17g, not %.17g", now->id, what, i, a, b);
        return;
    }
}

static tp_opt optimiser(void)
{
    tp_opt o = { .momentum = attr(now, "opt.momentum"),
                 .nesterov = attr(now, "opt.nesterov") != 0,
                 .weight_decay = attr(now, "opt.weight_decay"),
                 .beta1 = attr(now, "opt.beta1"),
                 .beta2 = attr(now, "opt.beta2"),
                 .eps = attr(now, "opt.eps"),
                 .alpha = attr(now, "opt.alpha"),
                 .no_decay = attr(now, "opt.weight_decay") == 0 };
    static const char *const names[] = { "sgd", "adam", "adamw", "rmsprop", "adagrad" };
    int kind = 0;

    while (strcmp(names[kind], now->kind) != 0)
        cr_assert(++kind < 5, "%s: optimiser %s", now->id, now->kind);
    return tp_opt_of(kind, o);
}

/* Twenty steps; parameters and buffers are compared after some of them. */
static void follow(tp_tensor (*model)(tp_tensor x), const char *device)
{
    static const int shots[] = { 1, 2, 5, 10, 20 };
    const struct array *x0 = array_of(now, "x0"), *y0 = array_of(now, "y0");
    const double lr = attr(now, "opt.lr");
    tp_shape shape = { .rank = x0->rank };
    double loss[20], *held = malloc(1 << 20);
    tp_tensor x, y, l;
    tp_program *step;

    g = tp_graph_new(1);
    real = strcmp(x0->type, "f64") == 0 ? TP_F64 : TP_F32;
    memcpy(shape.dim, x0->dim, sizeof shape.dim);
    x = tp_input(g, "x", real, shape);
    y = tp_input(g, "y", TP_I64, tp_dims(y0->dim[0]));
    l = tp_cross_entropy(model(x), y);
    step = tp_compile_train(l, .opt = optimiser(), .clip_norm = attr(now, "opt.clip_norm"),
                            .lr = *now->schedule ? tp_cosine(lr, 0, 20) : tp_const(lr),
                            .device = device);
    cr_assert(step != NULL, "%s: %s", now->id, tp_error(g));
    for (int i = 0; i < now->ins; i++)
        if (now->array[i].name[0] != 'x' && now->array[i].name[0] != 'y')
            cr_assert(tp_set_values(place_of(now->array[i].name), now->array[i].data,
                                    now->array[i].bytes),
                      "%s", tp_error(g));
    for (int s = 0, shot = 0; s < 20; s++) {
        char name[60];
        snprintf(name, sizeof name, "x%d", s % 5);
        memcpy(tp_buffer(step, x, NULL), array_of(now, name)->data, x0->bytes);
        snprintf(name, sizeof name, "y%d", s % 5);
        memcpy(tp_buffer(step, y, NULL), array_of(now, name)->data, y0->bytes);
        cr_assert(tp_run(step), "%s", tp_error(g));
        loss[s] = tp_get(step, l);
        if (s + 1 != shots[shot])
            continue;
        shot++;
        for (int i = 0; i < now->ins; i++) {
            const struct array *in = &now->array[i];
            if (in->name[0] == 'x' || in->name[0] == 'y')
                continue;
            snprintf(name, sizeof name, "%s@%d", in->name, s + 1);
            cr_assert(in->bytes <= 1 << 20 && tp_get_values(place_of(in->name), held, in->bytes));
            compare(name, in->type, held, array_of(now, name));
        }
    }
    compare("loss", "f64", loss, array_of(now, "loss"));
    free(held);
    tp_graph_free(g);
}

/* Every `each`th of the golden runs. */
static int follow_all(const char *device, int each)
{
    static const struct {
        const char *op;
        tp_tensor (*model)(tp_tensor x);
    } models[] = { { "train.mlp", mlp }, { "train.lenet", lenet }, { "train.resblock", resblock } };
    struct golden *c = malloc(sizeof *c);
    char text[400], binary[400];
    int met = 0, followed = 0;

    if (!support_shared("golden/train.txt", text, sizeof text) ||
        !support_shared("golden/train.bin", binary, sizeof binary)) {
        free(c);
        cr_skip("shared/golden is not here");
    }
    open_golden(text, binary);
    while (next_case(c))
        for (size_t i = 0; i < sizeof models / sizeof *models; i++)
            if (strcmp(models[i].op, c->op) == 0 && met++ % each == each / 2) {
                now = c;
                follow(models[i].model, device);
                followed++;
            }
    cr_expect_eq(met, 48);
    fclose(lines);
    free(values);
    free(c);
    return followed;
}

Test(training, follows_pytorch)
{
    cr_expect_eq(follow_all(NULL, 1), 48);
}

/* The CPU as a GPU that looks at each access to memory. */
Test(training, follows_pytorch_as_a_gpu)
{
    const int each = support_long() ? 1 : 12;

    cr_expect_eq(follow_all("cuda-emu:6", each), 48 / each);
}

/* --- laws --------------------------------------------------------------------------------------
 */

struct run {
    double loss[40];
    float weight[16 * 784];
    int64_t rows;
};

/* Some steps of a small net with dropout; 150 rows in batches of 64, so the third is partial. */
static void train(struct run *r, uint64_t seed)
{
    tp_graph *graph = tp_graph_new(seed);
    int64_t B = tp_symbol(graph, "batch", 1, 64);
    tp_tensor x = tp_input(graph, "x", TP_U8, tp_dims(B, 1, 28, 28)),
              y = tp_input(graph, "y", TP_I32, tp_dims(B)), h, loss, rows;
    tp_loader *digits = tp_load_digits("train", .count = 150, .shuffle = true, .seed = seed);
    tp_program *step;
    int steps = 0;

    h = tp_relu(tp_linear(tp_flatten(tp_div(x, 255), 1), "fc1", 16));
    loss = tp_cross_entropy(tp_linear(tp_dropout(h, 0.1), "fc2", 10), y);
    rows = tp_sum(tp_full_like(y, 1));
    step = tp_compile_train(loss, .opt = tp_adam(), .lr = tp_warmup(3, tp_cosine(0.01, 0, 30)),
                            .also = tp_list(rows));
    cr_assert(step != NULL, "%s", tp_error(graph));
    r->rows = 0;
    for (int epoch = 0; epoch < 10; epoch++)
        while (tp_next(digits, step) && tp_run(step)) {
            r->loss[steps++] = tp_get(step, loss);
            r->rows += (int64_t)tp_get(step, rows);
        }
    cr_assert(tp_error(graph) == NULL, "%s", tp_error(graph));
    cr_expect_eq(steps, 30);
    tp_get_values(tp_find(graph, "fc1.weight"), r->weight, sizeof r->weight);
    tp_loader_free(digits);
    tp_graph_free(graph);
}

Test(training, lowers_the_loss_and_repeats_bit_by_bit)
{
    struct run *r = calloc(3, sizeof *r);

    train(&r[0], 1);
    train(&r[1], 1);
    train(&r[2], 2);
    cr_expect(r[0].loss[29] < 0.5 * r[0].loss[0], "%g after %g", r[0].loss[29], r[0].loss[0]);
    cr_expect(memcmp(&r[0], &r[1], sizeof r[0]) == 0, "two runs of one seed differ");
    cr_expect(memcmp(r[0].weight, r[2].weight, sizeof r[0].weight) != 0);
    cr_expect_eq(r[0].rows, 1500, "%lld rows", (long long)r[0].rows);
    free(r);
}

/* One batch of 10 against 8 in a program for 10: the mean is over the rows that are there. */
Test(training, of_a_partial_batch_is_that_of_its_rows)
{
    double loss[2];
    float weight[2][3];

    for (int wide = 0; wide < 2; wide++) {
        tp_graph *graph = tp_graph_new(1);
        int64_t B = tp_symbol(graph, "batch", 1, 100);
        tp_tensor x = tp_input(graph, "x", TP_F32, tp_dims(B, 3)), y = tp_linear(x, "fc", 1),
                  l = tp_mean(tp_square(y));
        tp_program *step = tp_compile_train(l, .opt = tp_sgd(.momentum = 0.9), .lr = tp_const(0.1),
                                            .batch = wide ? 10 : 8);
        float *in = step ? tp_buffer(step, x, NULL) : NULL;

        cr_assert(in != NULL, "%s", tp_error(graph));
        for (int i = 0; i < (wide ? 30 : 24); i++)
            in[i] = i < 24 ? (float)(i % 7) : 1e9f; /* rows that are not there */
        cr_assert(tp_rows(step, 8) && tp_run(step) && tp_run(step));
        loss[wide] = tp_get(step, l);
        tp_get_values(tp_find(graph, "fc.weight"), weight[wide], sizeof weight[wide]);
        tp_graph_free(graph);
    }
    cr_expect_eq(loss[0], loss[1]);
    cr_expect(memcmp(weight[0], weight[1], sizeof weight[0]) == 0);
}

Test(training, obeys_groups)
{
    tp_graph *graph = tp_graph_new(1);
    tp_tensor x = tp_full(graph, TP_F32, tp_dims(1, 2), 1), y, w[3];
    float before[3][4] = { { 0 } }, after[3][4] = { { 0 } };
    tp_program *step;

    y = tp_linear(tp_linear(tp_linear(x, "a", 2, .no_bias = true), "b", 2, .no_bias = true), "c", 2,
                  .no_bias = true, .frozen = true);
    step = tp_compile_train(
        tp_mul(tp_sum(y), 0), .lr = tp_const(0.5),
        .opt = tp_sgd(.weight_decay = 1, .groups = tp_groups({ .match = "a.*", .lr_scale = 0.5 },
                                                             { .match = "b.*", .frozen = true })));
    cr_assert(step != NULL, "%s", tp_error(graph));
    for (int pass = 0; pass < 2; pass++) {
        for (int i = 0; i < 3; i++) {
            w[i] = tp_find(graph, (const char *[]){ "a.weight", "b.weight", "c.weight" }[i]);
            tp_get_values(w[i], pass ? after[i] : before[i], 16);
        }
        cr_assert(tp_run(step));
    }
    for (int i = 0; i < 4; i++) {
        cr_expect(fabsf(after[0][i] - 0.75f * before[0][i]) < 1e-6f); /* 1 - 0.5 * 0.5 * decay */
        cr_expect_eq(after[1][i], before[1][i]);
        cr_expect_eq(after[2][i], before[2][i]);
    }
    tp_graph_free(graph);
}

/* The four-point net of the scalar edition: targets 1 -1 -1 1, sum of squares by hand. */
Test(training, by_hand_with_grad_and_assign)
{
    tp_graph *graph = tp_graph_new(3);
    const float in[12] = { 2, 3, -1, 3, -1, 0.5f, 0.5f, 1, 1, 1, 1, -1 };
    tp_tensor x = tp_array(graph, TP_F32, tp_dims(4, 3), in),
              want = tp_array(graph, TP_F32, tp_dims(4, 1), ((float[]){ 1, -1, -1, 1 })), h, loss,
              p[6], d[6];
    tp_program *step;
    double first = 0;

    h = tp_tanh(tp_linear(x, "1", 4));
    h = tp_tanh(tp_linear(h, "2", 4));
    loss = tp_sum(tp_square(tp_sub(tp_tanh(tp_linear(h, "3", 1)), want)));
    cr_assert_eq(tp_params(graph, "*", 6, p), 6);
    tp_grad(loss, 6, p, d);
    for (int i = 0; i < 6; i++)
        tp_assign(p[i], tp_sub(p[i], tp_mul(d[i], 0.1)));
    step = tp_compile(graph, tp_list(loss), TP_TRAIN);
    cr_assert(step != NULL, "%s", tp_error(graph));
    for (int i = 0; i < 60; i++) {
        cr_assert(tp_run(step));
        first = i ? first : tp_get(step, loss);
    }
    cr_expect(tp_get(step, loss) < 0.05 * first, "%g after %g", tp_get(step, loss), first);
    tp_graph_free(graph);
}

/*
 * plane: what can be chosen of a training in the plane, and the network that is made of it.
 *
 * Each knob is a row: the page draws its form from the table, and what comes back is held to it.
 */
#include "frontend/models.h"
#include "play.h"

#include <math.h>
#include <stddef.h>
#include <string.h>

#define AT(field)   offsetof(struct plane, field)
#define ROOM(field) sizeof(((struct plane *)0)->field)
static const struct knob {
    const char *name, *label, *help;
    char kind; /* s one of the words, i integer, f number, l list of integers */
    size_t at, room;
    double least, most, step, usual;
    const char *words; /* the first is usual, but of numbers: what is offered */
    const char *group;
} knobs[] = {
    { "set", "Data set", "how the points lie", 's', AT(set), ROOM(set), 0, 0, 0, 0,
      "spiral xor circle split diag simple moons", "Data" },
    { "points", "Points", "how many there are", 'i', AT(points), 0, 1, 2000, 1, 200, NULL, "Data" },
    { "noise", "Noise", "deviation by which each point is moved", 'f', AT(noise), 0, 0, 0.5, 0.01,
      0, NULL, "Data" },
    { "validation", "Validation", "share of the points that is not learnt from", 'f',
      AT(validation), 0, 0, 0.8, 0.05, 0.2, NULL, "Data" },
    { "seed", "Seed", "of points, first weights and order", 'i', AT(seed), 0, 0, 999999, 1, 1, NULL,
      "Data" },
    { "hidden", "Hidden layers", "a width for each; none: a straight line", 'l', AT(width), 0, 1,
      PLANE_WIDEST, 1, 16, "16 16", "Network" },
    { "activation", "Activation", "after each hidden layer", 's', AT(activation), ROOM(activation),
      0, 0, 0, 0, "tanh relu sigmoid leaky_relu elu gelu silu softplus", "Network" },
    { "optimiser", "Optimiser", "what makes a step of a gradient", 's', AT(optimiser),
      ROOM(optimiser), 0, 0, 0, 0,
      "adam sgd adamw rmsprop adagrad adamax nadam radam adadelta lion lamb lars adafactor muon",
      "Training" },
    { "rate", "Learning rate", "length of a step", 'f', AT(rate), 0, 1e-6, 10, 0, 0.02,
      "0.001 0.005 0.01 0.02 0.05 0.1 0.5 1 5", "Training" },
    { "schedule", "Schedule", "how the rate changes over all epochs", 's', AT(schedule),
      ROOM(schedule), 0, 0, 0, 0,
      "constant cosine linear polynomial exponential step multistep restarts one-cycle "
      "inverse-sqrt wsd",
      "Training" },
    { "batch", "Batch", "points a step; 0: all", 'i', AT(batch), 0, 0, 2000, 1, 32, NULL,
      "Training" },
    { "epochs", "Epochs", "passes over the points", 'i', AT(epochs), 0, 1, 100000, 100, 1000, NULL,
      "Training" },
    { "momentum", "Momentum", "of sgd and rmsprop", 'f', AT(momentum), 0, 0, 0.99, 0.05, 0, NULL,
      "Training" },
    { "weight_decay", "Weight decay", "pull of all weights towards 0", 'f', AT(weight_decay), 0, 0,
      1, 0, 0, "0 0.0001 0.001 0.01 0.1", "Training" },
    { "engine", "Engine", "one fused program, a kernel an operation, or eager", 's', AT(engine),
      ROOM(engine), 0, 0, 0, 0, "fused unfused eager", "Training" },
};
enum { KNOBS = sizeof knobs / sizeof *knobs };

/* --- the table, for the page ---------------------------------------------------------------------
 */

static json_t *words_of(const struct knob *k)
{
    json_t *list = json_array();
    const char *at = k->words ? k->words : "";

    while (k->kind != 'l' && *at) {
        const size_t length = strcspn(at, " ");
        json_array_append_new(list, json_stringn(at, length));
        at += length + (at[length] == ' ');
    }
    return list;
}

static json_t *usual_of(const struct knob *k)
{
    switch (k->kind) {
    case 's':
        return json_stringn(k->words, strcspn(k->words, " "));
    case 'l':
        return json_string(k->words);
    case 'i':
        return json_integer((json_int_t)k->usual);
    default:
        return json_real(k->usual);
    }
}

json_t *play_knobs(struct play_request *r)
{
    json_t *list = json_array();

    (void)r;
    for (int i = 0; i < KNOBS; i++) {
        const struct knob *k = &knobs[i];
        json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:s, s:s#, s:f, s:f, s:f, s:o, s:o}",
                                              "name", k->name, "label", k->label, "help", k->help,
                                              "group", k->group, "kind", &k->kind, 1, "least",
                                              k->least, "most", k->most, "step", k->step, "words",
                                              words_of(k), "usual", usual_of(k)));
    }
    return json_pack("{s:o, s:s}", "knobs", list, "version", TAPER_VERSION);
}

/* --- what comes back -----------------------------------------------------------------------------
 */

static bool read_word(const struct knob *k, const char *word, char *to, struct ir_error *error)
{
    const size_t length = word ? strlen(word) : 0;
    const char *at = k->words;

    while (at && length && length < k->room) {
        const size_t long_at = strcspn(at, " ");
        if (long_at == length && memcmp(at, word, length) == 0) {
            memcpy(to, word, length + 1);
            return true;
        }
        at = at[long_at] ? at + long_at + 1 : NULL;
    }
    return ir_error(error, IR_REFUSED, "%s \"%.30s\": expected one of %s", k->name,
                    word ? word : "", k->words);
}

static bool read_number(const struct knob *k, const json_t *value, struct plane *p,
                        struct ir_error *error)
{
    const double number = json_number_value(value);

    if (!json_is_number(value) || !(number >= k->least && number <= k->most) ||
        (k->kind == 'i' && number != floor(number)))
        return ir_error(error, IR_REFUSED, "%s: expected %s from %g to %g", k->name,
                        k->kind == 'i' ? "a whole number" : "a number", k->least, k->most);
    if (k->kind == 'i')
        *(int64_t *)((char *)p + k->at) = (int64_t)number;
    else
        *(double *)((char *)p + k->at) = number;
    return true;
}

/* "16 16": at most so many widths, each in its bounds. */
static bool read_widths(const struct knob *k, const char *text, struct plane *p,
                        struct ir_error *error)
{
    p->depth = 0;
    for (const char *at = text; at && *at;) {
        int64_t width = 0;
        const size_t length = strspn(at, "0123456789");

        if (*at == ' ' || *at == ',') {
            at++;
            continue;
        }
        for (size_t i = 0; i < length && i < 6; i++)
            width = 10 * width + (at[i] - '0');
        if (!length || width < (int64_t)k->least || width > (int64_t)k->most ||
            p->depth == PLANE_DEEPEST)
            return ir_error(error, IR_REFUSED, "%s: expected at most %d widths from %g to %g",
                            k->name, PLANE_DEEPEST, k->least, k->most);
        p->width[p->depth++] = width;
        at += length;
    }
    return text || ir_error(error, IR_REFUSED, "%s: expected a text of widths, as 16 16", k->name);
}

static int64_t weights(const struct plane *p)
{
    int64_t sum = 0, from = 2;

    for (int i = 0; i < p->depth; i++) {
        sum += (from + 1) * p->width[i];
        from = p->width[i];
    }
    return sum + from + 1;
}

bool play_plane_read(struct plane *p, const json_t *body, struct ir_error *error)
{
    *p = (struct plane){ .points = 0 };
    for (int i = 0; i < KNOBS; i++) {
        const struct knob *k = &knobs[i];
        const json_t *given = json_object_get(body, k->name);
        json_t *usual = given ? NULL : usual_of(k);
        const json_t *value = given ? given : usual;
        const bool good = k->kind == 's'
                              ? read_word(k, json_string_value(value), (char *)p + k->at, error)
                          : k->kind == 'l' ? read_widths(k, json_string_value(value), p, error)
                                           : read_number(k, value, p, error);

        json_decref(usual);
        if (!good)
            return false;
    }
    return weights(p) <= PLANE_WEIGHTS ||
           ir_error(error, IR_REFUSED, "hidden: %lld weights; expected at most %d",
                    (long long)weights(p), PLANE_WEIGHTS);
}

json_t *play_plane_write(const struct plane *p)
{
    json_t *to = json_object();

    for (int i = 0; i < KNOBS; i++) {
        const struct knob *k = &knobs[i];
        const void *at = (const char *)p + k->at;
        struct ir_text list = { 0 };

        for (int w = 0; k->kind == 'l' && w < p->depth; w++)
            ir_put(&list, "%s%lld", w ? " " : "", (long long)p->width[w]);
        json_object_set_new(to, k->name,
                            k->kind == 's'   ? json_string(at)
                            : k->kind == 'l' ? json_string(list.size ? list.data : "")
                            : k->kind == 'i' ? json_integer(*(const int64_t *)at)
                                             : json_real(*(const double *)at));
        ir_text_free(&list);
    }
    return to;
}

/* --- the network ---------------------------------------------------------------------------------
 */

static tp_tensor activated(tp_tensor x, const char *name)
{
    if (strcmp(name, "relu") == 0 || strcmp(name, "tanh") == 0)
        return tp_unary(name, x);
    return tp_formula_at(name, tp_list(x), TP_NONE, TP_HERE);
}

/* Above 0 is class 1. A name may come again: eager records every step. */
tp_tensor play_plane_score(tp_tensor x, const struct plane *p)
{
    char name[16];

    for (int i = 0; i <= p->depth; i++) {
        snprintf(name, sizeof name, "layer%d", i + 1);
        x = tp_linear(x, name, i < p->depth ? p->width[i] : 1, .shared = true);
        if (i < p->depth)
            x = activated(x, p->activation);
    }
    return tp_squeeze(x, 1);
}

struct model_values play_plane_values(tp_tensor x, tp_tensor y, const struct plane *p)
{
    const tp_tensor score = play_plane_score(x, p);

    return (struct model_values){
        .output = tp_sigmoid(score),
        .loss = tp_bce_with_logits(score, tp_cast(y, TP_F32)),
        .hits = tp_sum(tp_eq(tp_gt(score, 0), tp_eq(y, 1))),
    };
}

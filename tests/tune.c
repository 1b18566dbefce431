/*
 * Schedules that were found: any choice gives the bits of the rules, a file of them is read by
 * later compiles and shown, and the search changes nothing but that file.
 */
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "frontend/tuned.h"
#include "support.h"
#include "support_files.h"

TestSuite(tune, .init = support_enter, .fini = support_leave);

enum { ROWS = 36, KINDS = 200 };

/* --- models with the kernels that schedules know ------------------------------------------------
 */

static tp_tensor dense(tp_tensor x, tp_tensor y)
{
    x = tp_relu(tp_linear(tp_flatten(x, 1), "fc1", 72));
    x = tp_layer_norm(x, "norm");
    return tp_cross_entropy(tp_linear(x, "fc2", 10), y);
}

static tp_tensor images(tp_tensor x, tp_tensor y)
{
    x = tp_max_pool2d(tp_relu(tp_conv2d(x, "conv1", 6, 5, .pad = 2)), 2);
    x = tp_relu(tp_batch_norm(tp_conv2d(x, "conv2", 17, 3), "norm"));
    return tp_cross_entropy(tp_linear(tp_flatten(x, 1), "fc", 10), y);
}

static tp_tensor sequence(tp_tensor x, tp_tensor y)
{
    x = tp_lstm(tp_squeeze(x, 1), "lstm", 20, .batch_first = true).y;
    return tp_cross_entropy(tp_linear(tp_flatten(x, 1), "fc", 10), y);
}

static tp_tensor heads(tp_tensor x, tp_tensor y)
{
    const int64_t rows = tp_dim(x, 0);
    tp_tensor h = tp_linear(tp_squeeze(x, 1), "in", 3 * 32), at[3];

    for (int i = 0; i < 3; i++)
        at[i] =
            tp_transpose(tp_reshape(tp_slice(h, 2, 32 * i, 32 * (i + 1)), rows, 12, 2, 16), 1, 2);
    h = tp_attention(at[0], at[1], at[2], .causal = true);
    h = tp_gelu(tp_linear(tp_reshape(tp_transpose(h, 1, 2), rows, 12 * 32), "out", 40));
    return tp_cross_entropy(tp_linear(h, "fc", 10), y);
}

static tp_tensor (*const models[])(tp_tensor x, tp_tensor y) = { dense, images, sequence, heads };
enum { MODELS = sizeof models / sizeof *models };

struct made {
    tp_graph *g;
    tp_tensor loss, x, y;
    tp_program *step;
};

static struct made made(int model, const struct pass_tuned *trial, int count, const char *file)
{
    struct made m = { .g = tp_graph_new(7) };
    const int64_t batch = tp_symbol(m.g, "batch", 1, ROWS);
    void *at;
    size_t bytes;

    m.g->profiled = true;
    m.g->trial = trial;
    m.g->trial_count = count;
    cr_assert(!file || tp_schedules(m.g, file), "%s", tp_error(m.g));
    m.x = tp_input(m.g, "x", TP_F32, tp_dims(batch, 1, 12, 12));
    m.y = tp_input(m.g, "y", TP_I32, tp_dims(batch));
    m.loss = models[model](m.x, m.y);
    m.step = tp_compile_train(m.loss, .opt = tp_adam(), .lr = tp_const(1e-2), .threads = 2);
    cr_assert(m.step, "%d: %s", model, tp_error(m.g));
    at = tp_buffer(m.step, m.x, &bytes);
    for (size_t i = 0; i < bytes / 4; i++)
        ((float *)at)[i] = (float)sin((double)i * 0.7 + (double)(i / 100));
    at = tp_buffer(m.step, m.y, &bytes);
    for (size_t i = 0; i < bytes / 4; i++)
        ((int *)at)[i] = (int)(i * 7 % 10);
    return m;
}

/* three steps, one of them of less rows: losses, then all states */
static size_t results(struct made *m, unsigned char *to, size_t room)
{
    size_t used = 0;

    for (int i = 0; i < 3; i++) {
        double loss;
        cr_assert(tp_rows(m->step, i == 1 ? 5 : ROWS));
        cr_assert(tp_run(m->step), "%s", tp_error(m->g));
        loss = tp_get(m->step, m->loss);
        cr_assert(isfinite(loss));
        memcpy(to + used, &loss, sizeof loss);
        used += sizeof loss;
    }
    for (int i = 0; i < m->g->state_count; i++) {
        struct state *s = &m->g->states[i];
        cr_assert(used + s->bytes <= room);
        if (s->offset < 0)
            continue;
        cr_assert(tp_state_read(m->g, s, to + used));
        used += s->bytes;
    }
    return used;
}

static int kinds_of(const struct made *m, struct pass_tuned *all, struct loop_choice *rule)
{
    const struct profile *profile;
    const int kernels = tp_program_kernels(m->step, &profile);
    int count = 0;

    for (int k = 0; k < kernels && count < KINDS; k++) {
        int at = 0;
        while (at < count && all[at].kind < profile[k].kind)
            at++;
        if (!profile[k].kind || (at < count && all[at].kind == profile[k].kind))
            continue;
        memmove(&all[at + 1], &all[at], (size_t)(count - at) * sizeof *all);
        memmove(&rule[at + 1], &rule[at], (size_t)(count - at) * sizeof *rule);
        all[at] = (struct pass_tuned){ .kind = profile[k].kind };
        rule[at] = profile[k].rule;
        count++;
    }
    return count;
}

static const int most[LOOP_KNOBS] = {
#define KNOB(NAME, name, most, help) most,
#include "ir/knobs.def"
#undef KNOB
};

static int below(uint64_t *state, int n)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (int)((*state >> 33) % (uint64_t)n);
}

static bool same(int model, const struct pass_tuned *tuned, int kinds, const unsigned char *want,
                 size_t bytes)
{
    static unsigned char got[1 << 20];
    struct made m = made(model, tuned, kinds, NULL);
    const bool equal = results(&m, got, sizeof got) == bytes && memcmp(want, got, bytes) == 0;

    tp_graph_free(m.g);
    return equal;
}

/* As few choices as give other bits, and what the kernel is. */
static const char *reduced(int model, struct pass_tuned *tuned, int kinds,
                           const unsigned char *want, size_t bytes)
{
    static char said[2000];
    struct made m;
    const char *all, *at;

    for (int k = 0; k < kinds; k++)
        for (int knob = -1; knob < LOOP_KNOBS; knob++) {
            const struct loop_choice before = tuned[k].choice;
            if (knob < 0)
                tuned[k].choice = (struct loop_choice){ { 0 } };
            else
                tuned[k].choice.of[knob] = 0;
            if (memcmp(&before, &tuned[k].choice, sizeof before) != 0 &&
                same(model, tuned, kinds, want, bytes))
                tuned[k].choice = before;
        }
    m = made(model, tuned, kinds, NULL);
    all = tp_explain(m.step, NULL);
    at = all ? strstr(all, "tuned ") : NULL;
    snprintf(said, sizeof said, "%.1500s", at ? (at - all > 900 ? at - 900 : all) : "?");
    tp_graph_free(m.g);
    return said;
}

Test(tune, any_choice_gives_the_bits_of_the_rules)
{
    static unsigned char want[1 << 20];
    const int cases = support_cases(2, 40);
    struct pass_tuned tuned[KINDS + 1];
    struct loop_choice rule[KINDS + 1];
    uint64_t state = 5;
    int changed = 0, asked[LOOP_KNOBS] = { 0 };

    for (int model = 0; model < MODELS; model++) {
        struct made m = made(model, NULL, 0, NULL);
        const size_t bytes = results(&m, want, sizeof want);
        const int kinds = kinds_of(&m, tuned, rule);
        cr_assert(kinds > 3);
        for (int k = 0; k < kinds; k++)
            for (int knob = 0; knob < LOOP_KNOBS; knob++)
                asked[knob] += rule[k].of[knob] != 0;
        tp_graph_free(m.g);
        for (int i = 0; i < cases; i++) {
            for (int k = 0; k < kinds; k++)
                for (int knob = 0; knob < LOOP_KNOBS; knob++)
                    tuned[k].choice.of[knob] =
                        (uint8_t)(i == 0             ? 2 * (knob == LOOP_ROWS) /* 17 = 8 x 2 + 1 */
                                  : below(&state, 3) ? 1 + below(&state, most[knob])
                                                     : 0);
            if (!same(model, tuned, kinds, want, bytes))
                cr_expect(false, "model %d, case %d: %s", model, i,
                          reduced(model, tuned, kinds, want, bytes));
            m = made(model, tuned, kinds, NULL);
            changed +=
                tp_explain(m.step, NULL) && strstr(tp_explain(m.step, NULL), "tuned ") != NULL;
            tp_graph_free(m.g);
        }
    }
    cr_expect(changed == MODELS * cases);
    for (int knob = 0; knob < LOOP_KNOBS; knob++)
        cr_expect(asked[knob] > 0, "no schedule asks for knob %d", knob);
}

Test(tune, a_file_is_written_read_and_used)
{
    struct pass_tuned all[KINDS + 1];
    struct loop_choice rule[KINDS + 1];
    struct tuned *t = tp_tuned_new(), *again = tp_tuned_new();
    struct ir_error error = { 0 };
    struct ir_text one = { 0 }, two = { 0 };
    struct made m = made(0, NULL, 0, NULL);
    const int kinds = kinds_of(&m, all, rule);
    const uint64_t here = tp_tuned_machine(ir_target_by_name("native"), tp_thread_count(2));

    cr_expect(!strstr(tp_explain(m.step, NULL), "tuned "));
    for (int k = kinds; k-- > 0;) {
        struct tuned_line line = { .machine = here, .kind = all[k].kind, .note = "fc1" };
        line.choice.of[LOOP_SHARED] = 1;
        tp_tuned_set(t, &line);
        line.choice.of[LOOP_ROWS] = 3; /* instead of the first */
        tp_tuned_set(t, &line);
        line.machine ^= 1; /* somebody else's */
        line.choice.of[LOOP_ROWS] = 2;
        tp_tuned_set(t, &line);
    }
    cr_expect(t->count == 2 * kinds);
    cr_assert(tp_tuned_write(t, "some.tuned", &error), "%s", error.text);
    cr_assert(tp_tuned_read(again, "some.tuned", &error), "%s", error.text);
    tp_tuned_print(&one, t);
    tp_tuned_print(&two, again);
    cr_expect_str_eq(one.data, two.data);
    ir_text_free(&one);
    ir_text_free(&two);
    tp_tuned_free(t);
    tp_tuned_free(again);
    tp_graph_free(m.g);

    m = made(0, NULL, 0, "some.tuned");
    cr_expect(strstr(tp_explain(m.step, NULL), "tuned rows=3 shared=1"), "%s",
              tp_explain(m.step, NULL));
    tp_graph_free(m.g);
}

static void expect_refusal(const char *text, const char *words)
{
    struct tuned *t = tp_tuned_new();
    struct ir_error error = { 0 };

    cr_expect(!tp_tuned_parse(t, "a.tuned", text, strlen(text), &error), "%s", text);
    cr_expect(strstr(error.text, words), "%s: %s", text, error.text);
    tp_tuned_free(t);
}

#define HEAD  "taper tuned 1\n"
#define WHOSE "0123456789abcdef 0123456789abcdef"

Test(tune, what_is_no_such_text)
{
    struct made m = made(0, NULL, 0, NULL);
    char *many = malloc(1 << 20);

    expect_refusal("", "a.tuned:1: tuned: \"\"; expected \"taper tuned 1\"");
    expect_refusal("taper tuned 2\n", "expected \"taper tuned 1\"");
    expect_refusal(HEAD "\n" WHOSE " rows=15\n", "a.tuned:3: tuned: ");
    expect_refusal(HEAD WHOSE "  # nothing chosen\n", "expected choices, as rows=8");
    expect_refusal(HEAD WHOSE " rows=0\n", "in its bounds");
    expect_refusal(HEAD WHOSE " rows=\n", "in its bounds");
    expect_refusal(HEAD WHOSE " rows=4294967297\n", "in its bounds");
    expect_refusal(HEAD WHOSE " rows=8 rows=8\n", "each once");
    expect_refusal(HEAD WHOSE " speed=8\n", "expected choices");
    expect_refusal(HEAD WHOSE " rows=8,\n", "the end of the line");
    expect_refusal(HEAD "0123456789ABCDEF 0 rows=8\n", "16 hexadecimal digits");
    expect_refusal(HEAD WHOSE "\n", "16 hexadecimal digits");
    strcpy(many, HEAD);
    memset(many + strlen(HEAD), 'x', 500);
    strcpy(many + strlen(HEAD) + 500, "\n");
    expect_refusal(many, "of 400 bytes");
    free(many);

    cr_expect(!tp_schedules(m.g, "nowhere.tuned"));
    cr_expect(strstr(tp_error(m.g), "nowhere.tuned: there is no such file"), "%s", tp_error(m.g));
    tp_graph_free(m.g);
    m = made(0, NULL, 0, NULL);
    support_put("other.txt", "hello\n", 6);
    cr_expect(!tp_tune(m.step, .seconds = 1, .save = "other.txt"));
    cr_expect(strstr(tp_error(m.g), "other.txt:1: tuned: \"hello\""), "%s", tp_error(m.g));
    tp_graph_free(m.g);
}

/* The states, the inputs and the next losses are as without it. */
Test(tune, a_search_leaves_everything_as_it_was)
{
    static unsigned char want[1 << 20], got[1 << 20];
    struct ir_arena *arena = ir_arena_new();
    struct tune_report report;
    struct made m = made(0, NULL, 0, NULL);
    size_t bytes;

    cr_assert(tp_run(m.step));
    bytes = results(&m, want, sizeof want);
    tp_graph_free(m.g);
    m = made(0, NULL, 0, NULL);
    m.g->profiled = false;
    cr_assert(tp_run(m.step));
    cr_assert(tp_tune_search(m.step, support_long() ? 60 : 1, "found.tuned", arena, &report), "%s",
              tp_error(m.g));
    cr_expect(report.measured > 0 && report.compiled > 1 && report.before > 0 && report.after > 0);
    cr_expect(report.strange == 0);
    cr_expect(results(&m, got, sizeof got) == bytes && memcmp(want, got, bytes) == 0);
    for (int i = 0; i < report.kernels; i++)
        cr_expect(*report.kernel[i].name);
    tp_graph_free(m.g);
    ir_arena_free(arena);
}

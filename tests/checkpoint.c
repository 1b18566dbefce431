/*
 * Checkpoints: what goes on from one has the bits of what never stopped, whatever happens to the
 * process, the disk or the file.
 */
#define _GNU_SOURCE
#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "frontend/frontend.h"
#include "support.h"
#include "support_files.h"

TestSuite(checkpoint, .init = support_enter, .fini = support_leave);

/* --- in a user's program -------------------------------------------------------------------------
 */

struct run {
    tp_graph *g;
    tp_tensor loss;
    tp_program *step;
    tp_loader *data;
};

/* Points, dropout, a schedule: everything that counts steps or draws. */
static struct run begin(int hidden, int64_t batch, uint64_t seed)
{
    struct run r = { .g = tp_graph_new(seed) };
    int64_t rows = tp_symbol(r.g, "batch", 1, batch);
    tp_tensor x = tp_input(r.g, "x", TP_F32, tp_dims(rows, 2));
    tp_tensor y = tp_input(r.g, "y", TP_I32, tp_dims(rows));
    tp_tensor h = tp_dropout(tp_tanh(tp_linear(x, "fc1", hidden)), 0.25);

    r.data = tp_load_moons("train", .batch = batch, .shuffle = true, .seed = 3, .count = 50);
    r.loss = tp_cross_entropy(tp_linear(h, "fc2", 2), y);
    r.step = tp_compile_train(r.loss, .opt = tp_adam(), .lr = tp_cosine(0.05, 0.001, 60));
    cr_assert(r.step, "%s", tp_error(r.g));
    return r;
}

static void end(struct run r)
{
    tp_loader_free(r.data);
    tp_graph_free(r.g);
}

/* Goes on until that many losses are known; the ends of epochs count as well. */
static void go_on(struct run r, double loss[], int from, int to)
{
    while (from < to)
        if (tp_next(r.data, r.step) && tp_run(r.step))
            loss[from++] = tp_get(r.step, r.loss);
        else
            cr_assert(!tp_error(r.g), "%s", tp_error(r.g));
}

Test(checkpoint, goes_on_to_the_same_bits_from_every_step)
{
    enum { STEPS = 20, HIDDEN = 5 }; /* of 7 in an epoch, the last of 2 rows */
    double want[STEPS], got[STEPS], sums[2] = { 0.1, -1 / 3.0 };
    float weights[HIDDEN * 2], resumed[HIDDEN * 2];
    struct run whole = begin(HIDDEN, 8, 42);

    go_on(whole, want, 0, STEPS);
    cr_assert(tp_get_values(tp_find(whole.g, "fc1.weight"), weights, sizeof weights));
    end(whole);
    for (int stop = 0; stop < STEPS; stop++) {
        double back[2] = { 0 };
        struct run r = begin(HIDDEN, 8, 42);

        go_on(r, got, 0, stop);
        cr_assert(tp_save_checkpoint(r.g, "c", r.data, .numbers = 2, .number = sums), "%s",
                  tp_error(r.g));
        end(r);
        r = begin(HIDDEN, 8, 42);
        cr_assert(tp_resume(r.g, "c", r.data, .numbers = 2, .number = back), "%s", tp_error(r.g));
        cr_expect(memcmp(back, sums, sizeof sums) == 0);
        go_on(r, got, stop, STEPS);
        cr_expect(memcmp(want, got, sizeof want) == 0, "stopped after %d steps", stop);
        cr_assert(tp_get_values(tp_find(r.g, "fc1.weight"), resumed, sizeof resumed));
        cr_expect(memcmp(weights, resumed, sizeof weights) == 0, "stopped after %d steps", stop);
        end(r);
    }
    cr_expect_eq(support_files(), 2, "c and c.1");
}

static bool verified(const char *path, struct ir_error *error)
{
    int64_t states, bytes;

    return tp_checkpoint_verify(path, &states, &bytes, error);
}

Test(checkpoint, every_bit_is_guarded)
{
    struct run r = begin(2, 8, 42);
    struct ir_error error = { 0 };
    int64_t states = 0, bytes = 0;
    char text[1 << 14];
    size_t size;

    cr_assert(tp_save_checkpoint(r.g, "c", r.data), "%s", tp_error(r.g));
    end(r);
    cr_expect(tp_checkpoint_verify("c", &states, &bytes, &error), "%s", error.text);
    cr_expect(states >= 4 * 3 + 1 && bytes > 3 * 4 * (4 + 2 + 4 + 2), "%d states, %d bytes",
              (int)states, (int)bytes);
    cr_expect_eq(support_flips("c", verified), 0);
    cr_expect_eq(support_cuts("c", verified), 0);
    size = support_get("c", text, sizeof text);
    memset(text + size, 0, 8);
    support_put("longer", text, size + 8);
    cr_expect_not(verified("longer", &error));
    cr_expect(support_one_line(&error), "%s", error.text);
}

static void expect_refused(const char *path, struct run r, const char *what)
{
    float before[4], after[4];

    cr_assert(tp_get_values(tp_find(r.g, "fc2.bias"), before, 2 * sizeof(float)));
    cr_expect_not(tp_resume(r.g, path, r.data), "%s", what);
    cr_expect(tp_error(r.g) && strstr(tp_error(r.g), what), "%s: %s", what, tp_error(r.g));
    cr_expect_eq(tp_status(r.g), IR_REFUSED);
    r.g->error = (struct ir_error){ 0 };
    cr_assert(tp_get_values(tp_find(r.g, "fc2.bias"), after, 2 * sizeof(float)));
    cr_expect(memcmp(before, after, 2 * sizeof(float)) == 0, "%s: a state has changed", what);
    end(r);
}

Test(checkpoint, refuses_what_is_not_its_own)
{
    struct run r = begin(4, 8, 42);
    float four[4];

    go_on(r, (double[3]){ 0 }, 0, 3);
    cr_assert(tp_save_checkpoint(r.g, "c", r.data), "%s", tp_error(r.g));
    end(r);
    expect_refused("none", begin(4, 8, 42), "cannot be read");
    expect_refused("c", begin(4, 7, 42), "batch 8; here it is 7");
    expect_refused("c", begin(4, 8, 43), "seed 42; here it is 43");
    expect_refused("c", begin(5, 8, 42), "of another model: \"fc1.weight\" is f32[4 2] there");
    r = begin(4, 8, 42);
    tp_param(r.g, "more", tp_dims(3), TP_ZEROS);
    expect_refused("c", r, "it has no state \"more\"");
    r = begin(4, 8, 42);
    cr_expect_not(tp_resume(r.g, "c", r.data, .numbers = 1, .number = (double[1]){ 0 }));
    cr_expect(strstr(tp_error(r.g), "it says no \"number 0\""), "%s", tp_error(r.g));
    end(r);
    support_put("c", four, 0);
    expect_refused("c", begin(4, 8, 42), "damaged");
    cr_assert(mkdir("folder", 0700) == 0);
    expect_refused("folder", begin(4, 8, 42), "not a plain file");
}

Test(checkpoint, takes_the_one_before_where_the_newest_is_damaged)
{
    double loss[6], again[6];
    struct run r = begin(4, 8, 42);
    char bytes[1 << 14];
    size_t size;

    go_on(r, loss, 0, 2);
    cr_assert(tp_save_checkpoint(r.g, "c", r.data));
    go_on(r, loss, 2, 4);
    cr_assert(tp_save_checkpoint(r.g, "c", r.data));
    end(r);
    size = support_get("c", bytes, sizeof bytes);
    bytes[size / 2] ^= 1;
    support_put("c", bytes, size);
    for (int gone = 0; gone < 2; gone++) {
        r = begin(4, 8, 42);
        cr_assert(tp_resume(r.g, "c", r.data), "%s", tp_error(r.g));
        go_on(r, again, 2, 4);
        cr_expect(memcmp(loss + 2, again + 2, 2 * sizeof *loss) == 0);
        end(r);
        unlink("c");
    }
}

/* --- the command, and what may happen to it ------------------------------------------------------
 */

enum { EPOCHS = 40 };
static const char *const whole_run[] = { "taper",     "train", "moons",       "--epochs", "40",
                                         "--batch",   "7",     "--log-every", "1",        "--json",
                                         "--threads", "1",     "--save",      "whole",    NULL };

/* Losses by step, as they are printed; nothing where it was not told. */
enum { STEPS = EPOCHS * 15 };
static void losses_of(const char *name, char loss[][32])
{
    FILE *file = fopen(name, "r");
    char line[500], text[32];

    for (int step; file && fgets(line, sizeof line, file);)
        if (strchr(line, '\n') &&
            sscanf(line, "{\"event\":\"step\",\"step\":%d,\"loss\":%31[^}]", &step, text) == 2) {
            cr_assert(step >= 1 && step <= STEPS);
            cr_expect(!*loss[step] || strcmp(loss[step], text) == 0, "step %d: %s, not %s", step,
                      text, loss[step]);
            strcpy(loss[step], text);
        }
    if (file)
        fclose(file);
}

static bool same_files(const char *a, const char *b)
{
    char one[1 << 14], other[1 << 14];
    size_t size = support_get(a, one, sizeof one);

    return size && size == support_get(b, other, sizeof other) && memcmp(one, other, size) == 0;
}

/* Until it has told something, or has ended. */
static void wait_for_output(pid_t child)
{
    siginfo_t ended = { .si_pid = 0 };
    struct stat about;

    while ((stat("out", &about) != 0 || about.st_size == 0) &&
           waitid(P_PID, (id_t)child, &ended, WEXITED | WNOHANG | WNOWAIT) == 0 && !ended.si_pid)
        usleep(1000);
}

Test(checkpoint, a_run_that_is_killed_loses_nothing)
{
    static char want[STEPS + 1][32], got[STEPS + 1][32];
    const char *first[] = { "taper",
                            "train",
                            "moons",
                            "--epochs",
                            "40",
                            "--batch",
                            "7",
                            "--log-every",
                            "1",
                            "--json",
                            "--threads",
                            "1",
                            "--save",
                            "pieces",
                            "--checkpoint",
                            "c",
                            "--checkpoint-every",
                            "1",
                            NULL,
                            NULL,
                            NULL };
    const int kills = support_long() ? 200 : 12;
    unsigned chance = 12345;
    int killed = 0, finished = 0, status = SIGKILL;

    cr_assert_eq(support_run(whole_run), 0);
    losses_of("out", want);
    for (int step = 1; step <= STEPS; step++)
        cr_assert(*want[step], "step %d was not told", step);
    while (killed < kills || WIFSIGNALED(status)) { /* the last one ends by itself */
        const bool resume = access("c", F_OK) == 0 || access("c.1", F_OK) == 0;
        pid_t child;

        first[18] = resume ? "--resume" : NULL;
        first[19] = resume ? "c" : NULL;
        unlink("out");
        child = support_start(first);
        chance = chance * 1664525 + 1013904223;
        if (killed < kills) {
            if (killed % 4) /* one in four while it begins, which may take long */
                wait_for_output(child);
            usleep((chance >> 8) % 100000);
            kill(child, SIGKILL);
        }
        waitpid(child, &status, 0);
        losses_of("out", got);
        cr_assert(WIFSIGNALED(status) || WEXITSTATUS(status) == 0, "it ended with %d", status);
        killed += WIFSIGNALED(status) != 0;
        if (WIFSIGNALED(status))
            continue;
        finished++; /* begin anew */
        cr_expect(same_files("whole", "pieces"));
        unlink("c");
        unlink("c.1");
        unlink("pieces");
    }
    for (int step = 1; step <= STEPS; step++)
        cr_expect_str_eq(got[step], want[step], "step %d", step);
    cr_log_info("%d kills, %d runs to the end", killed, finished);
    unlink("out");
    unlink("err");
    unlink("c.tmp");
    unlink("c.1.tmp");
    cr_expect_leq(support_files(), 4, "what is killed leaves no more than one file beside each");
}

static void expect_one_line(int status, int want)
{
    char text[1000];
    size_t size = support_get("err", text, sizeof text - 1);

    text[size] = 0;
    cr_expect_eq(status, want, "%d: %s", status, text);
    cr_expect(size > 8 && size <= 408 && strncmp(text, "taper: ", 7) == 0 &&
                  strchr(text, '\n') == text + size - 1,
              "%s", text);
}

Test(checkpoint, a_full_disk_or_a_folder_that_is_closed_is_one_line)
{
    static const char *const run[] = { "taper", "train",        "moons", "--epochs",
                                       "3",     "--checkpoint", "c",     NULL };
    static const char *const nowhere[] = {
        "taper", "train", "moons", "--checkpoint", "no/c", NULL
    };
    static const char *const closed[] = { "taper",        "train",    "moons",
                                          "--checkpoint", "closed/c", NULL };
    const struct rlimit little = { 2000, RLIM_INFINITY }, much = { RLIM_INFINITY, RLIM_INFINITY };
    char before[1 << 14], after[1 << 14];
    size_t size;
    int status;

    cr_assert_eq(support_run(run), 0);
    size = support_get("c", before, sizeof before);
    cr_assert(size > 2000);
    setrlimit(RLIMIT_FSIZE, &little);
    status = support_run(run);
    setrlimit(RLIMIT_FSIZE, &much);
    expect_one_line(status, 1);
    cr_expect(support_get("c", after, sizeof after) == size && memcmp(before, after, size) == 0);
    cr_expect_eq(access("c.tmp", F_OK), -1, "what could not be finished is gone");
    expect_one_line(support_run(nowhere), 2);
    cr_assert(mkdir("closed", 0500) == 0);
    if (access("closed", W_OK) != 0)
        expect_one_line(support_run(closed), 2);
}

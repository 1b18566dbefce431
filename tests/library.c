/*
 * Libraries of `taper build --library`: whatever compiles them, training and asking give the bits
 * of the program that runs in process; what stands in for a C library's functions rounds as they
 * do.
 */
#include <criterion/criterion.h>
#include <dlfcn.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "frontend/frontend.h"
#include "frontend/models.h"
#include "support.h"

/* --- the same bits -------------------------------------------------------------------------------
 */

enum { STEPS = 20, BATCH = 16, MOST = 1 << 20 };

struct parameter { /* as the header has it, where names have NAME_BYTES */
    int type, weight, rank;
    long dim[8];
    size_t elements, size;
};

struct library {
    void *handle;
    int (*init)(void *, uint64_t);
    float (*step)(void *, const void *, const void *, long);
    int (*predict)(void *, const void *, long, void *);
    int (*get)(const void *, int, void *);
    int (*set)(void *, int, const void *);
};

struct right { /* a model, its data, and the program that is right */
    tp_graph *g;
    tp_loader *rows;
    struct model_values v;
    tp_program *step, *predict;
};

static struct right begin(const char *name, const char *optimiser)
{
    const struct model *model = tp_model_find(name);
    const bool planar = strcmp(model->data, "digits") != 0;
    struct right t = { .g = tp_graph_new(7) };
    int64_t batch = tp_symbol(t.g, "batch", 1, BATCH);
    tp_tensor x = planar ? tp_input(t.g, "x", TP_F32, tp_dims(batch, 2))
                         : tp_input(t.g, "x", TP_U8, tp_dims(batch, 1, 28, 28)),
              y = tp_input(t.g, "y", TP_I32, tp_dims(batch));

    /* the last batch of an epoch is a smaller one */
    t.rows = tp_load_made(
        model->data,
        (tp_loader_args){
            .part = "train", .batch = BATCH, .shuffle = true, .seed = 3, .count = 5 * BATCH + 3 });
    t.v = model->build(
        x, y, &(struct model_sizes){ .hidden = planar ? 16 : model->hidden, .classes = 10 });
    t.step = strcmp(optimiser, "adam") == 0
                 ? tp_compile_train(t.v.loss, .opt = tp_adam(), .lr = tp_const(1e-2))
                 : tp_compile_train(t.v.loss, .opt = tp_sgd(.momentum = 0.9), .lr = tp_const(0.05));
    t.predict = tp_compile_eval(t.g, t.v.output);
    cr_assert(t.step && t.predict, "%s: %s", name, tp_error(t.g));
    return t;
}

static void end(struct right *t)
{
    tp_loader_free(t->rows);
    tp_graph_free(t->g);
}

static int64_t arena_bytes(const char *header)
{
    const char *at = strstr(header, "#define NET_ARENA_BYTES ");

    cr_assert(at, "the header says no bytes");
    return strtol(at + strlen("#define NET_ARENA_BYTES "), NULL, 10);
}

static void write_file(const char *folder, const char *name, const struct ir_text *text)
{
    char path[300];
    FILE *to;

    snprintf(path, sizeof path, "%s/%s", folder, name);
    to = fopen(path, "w");
    cr_assert(to && fwrite(text->data, 1, text->size, to) == text->size && fclose(to) == 0);
}

static void *symbol(void *handle, const char *name)
{
    void *found = dlsym(handle, name);

    cr_assert(found, "there is no %s", name);
    return found;
}

static bool open_library(struct library *l, const char *folder, const char *compiler, int number)
{
    char command[700];

    snprintf(command, sizeof command, "command -v %.*s >/dev/null", (int)strcspn(compiler, " "),
             compiler);
    if (system(command) != 0)
        return false;
    snprintf(command, sizeof command,
             "cd %s && %s -std=gnu17 -Wall -Wextra -Werror -fPIC -shared net.c -o %d.so -lm",
             folder, compiler, number);
    cr_assert(system(command) == 0, "%s", command);
    snprintf(command, sizeof command, "%s/%d.so", folder, number);
    l->handle = dlopen(command, RTLD_NOW | RTLD_LOCAL);
    cr_assert(l->handle, "%s", dlerror());
    *(void **)&l->init = symbol(l->handle, "net_init");
    *(void **)&l->step = symbol(l->handle, "net_step");
    *(void **)&l->predict = symbol(l->handle, "net_predict");
    *(void **)&l->get = symbol(l->handle, "net_get");
    *(void **)&l->set = symbol(l->handle, "net_set");
    return true;
}

/* All states are what they are in the graph. */
static void compare_states(const char *what, const struct library *l, const void *memory,
                           tp_graph *g)
{
    char *wanted = malloc(MOST), *got = malloc(MOST);

    for (int i = 0; i < g->state_count; i++) {
        struct state *s = &g->states[i];
        cr_assert(s->bytes < MOST && tp_state_read(g, s, wanted));
        cr_assert_eq(l->get(memory, i, got), 0);
        cr_expect_eq(memcmp(wanted, got, s->bytes), 0, "%s: %s differs", what, s->name);
    }
    cr_assert_eq(l->get(memory, g->state_count, got), -1);
    free(wanted);
    free(got);
}

/* Both train on the same batches. */
static void compare(const char *what, const struct library *l, const char *name,
                    const char *optimiser, int64_t bytes)
{
    struct right t = begin(name, optimiser);
    unsigned char *memory = aligned_alloc(64, (size_t)bytes);
    char *got = malloc(MOST);
    float first = 0, last = 0;

    memset(memory, 0x55, (size_t)bytes);
    cr_assert_eq(l->init(memory + 1, 7), -1, "memory that is not aligned");
    cr_assert_eq(l->init(memory, 7), 0);
    compare_states(ir_format(t.g->ir->arena, "%s: %s at first", what, name), l, memory, t.g);
    for (int step = 0; step < STEPS; step++) {
        while (!tp_next(t.rows, t.step)) /* an epoch ends */
            ;
        const long rows = (long)t.step->symbol[0];
        const float loss = l->step(memory, tp_program_input(t.step, "x")->data,
                                   tp_program_input(t.step, "y")->data, rows);
        cr_assert(tp_run(t.step));
        last = (float)tp_get(t.step, t.v.loss);
        first = step ? first : last;
        cr_assert_eq(memcmp(&loss, &last, sizeof loss), 0, "%s: %s with %s: step %d: %a, not %a",
                     what, name, optimiser, step, (double)loss, (double)last);
    }
    cr_expect_lt(last, first, "%s: it learns", what);
    compare_states(ir_format(t.g->ir->arena, "%s: %s at last", what, name), l, memory, t.g);
    cr_assert(l->get(memory, 0, got) == 0 && l->set(memory, 0, got) == 0);
    compare_states(ir_format(t.g->ir->arena, "%s: %s put back", what, name), l, memory, t.g);
    const struct port *x = tp_program_input(t.predict, "x"), *output = &t.predict->output[0];
    memcpy(x->data, tp_program_input(t.step, "x")->data, x->bytes);
    cr_assert(tp_run(t.predict));
    cr_assert_eq(l->predict(memory, x->data, BATCH, got), 0);
    cr_expect_eq(memcmp(output->data, got, output->bytes), 0, "%s: %s says the same", what, name);
    cr_expect(isnan(l->step(memory, x->data, NULL, 1)));
    cr_expect(isnan(l->step(memory, x->data, x->data, BATCH + 1)));
    free(memory);
    free(got);
    end(&t);
}

static void same_bits(const char *name, const char *optimiser, const char *target,
                      bool freestanding, const char *const *compilers)
{
    struct right t = begin(name, optimiser);
    struct library_args args = { .name = "net",
                                 .model = name,
                                 .target = target,
                                 .step = t.step,
                                 .output = t.v.output,
                                 .freestanding = freestanding };
    struct ir_text text = { 0 }, header = { 0 };
    const struct ir_target *row;
    char folder[] = "/tmp/taper-library-XXXXXX", command[100];
    int compiled = 0;

    cr_assert(mkdtemp(folder));
    cr_assert(tp_library_text(&args, &text, &header, &row, &t.g->error), "%s", t.g->error.text);
    write_file(folder, "net.c", &text);
    write_file(folder, "net.h", &header);
    for (int i = 0; compilers[i]; i++) {
        struct library l;
        if (!open_library(&l, folder, compilers[i], i))
            continue;
        compare(compilers[i], &l, name, optimiser, arena_bytes(header.data));
        dlclose(l.handle);
        compiled++;
    }
    ir_text_free(&text);
    ir_text_free(&header);
    end(&t);
    snprintf(command, sizeof command, "rm -r %s", folder);
    cr_assert(system(command) == 0);
    if (!compiled)
        cr_skip("no compiler is here");
}

static const char *const all[] = { "gcc -O2",
                                   "clang-14 -O2",
                                   "clang-19 -O2",
                                   "gcc -O3 -march=native",
                                   "clang-19 -O3 -march=native",
                                   NULL };
static const char *const two[] = { "gcc -O1", "clang-19 -O1 -march=native", NULL };

Test(library, planar_with_adam_has_the_bits_of_every_compiler)
{
    same_bits("planar", "adam", "generic", false, all);
}

Test(library, moons_without_a_c_library_have_the_same_bits)
{
    same_bits("moons", "sgd", "cortex-m", true, all);
}

Test(library, mlp_has_the_bits_of_every_compiler)
{
    same_bits("mlp", "sgd", "native", false, all);
}

Test(library, lenet_has_the_same_bits)
{
    same_bits("lenet", "adam", "x86-64-v3", true, two);
}

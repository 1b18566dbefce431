/*
 * Goldens: tests/golden/STAGE/CLAIM.tp holds an input, a line `----`, and what the stage makes of
 * it. One test walks each folder, so a new test is a new file and a new stage is a row below.
 *
 * TAPER_BLESS=1 rewrites the outcomes; the diff is to be read like code.
 */
#include "codegen/codegen.h"
#include "passes/passes.h"
#include "support_loops.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <stdlib.h>
#include <string.h>

/* Puts the stage's text of `size` bytes at `text` into out; false and an error where it refuses. */
typedef bool stage_function(const char *text, size_t size, struct ir_text *out,
                            struct ir_error *error);

/* --- the stages ------------------------------------------------------------------------------- */

static bool trace(const char *text, size_t size, struct ir_text *out, struct ir_error *error)
{
    struct ir_module *m = ir_parse("golden.tp", text, size, error);

    if (!m)
        return false;
    ir_print_module(out, m);
    ir_module_free(m);
    return true;
}

/* The gradient of the first output with respect to every floating input and state. */
static bool grad(const char *text, size_t size, struct ir_text *out, struct ir_error *error)
{
    struct ir_module *m = ir_parse("golden.tp", text, size, error);
    struct ir_graph *g = m ? m->program[0]->graph : NULL;
    ir_val wrt[64], grads[64];
    int n = 0;
    bool ok;

    if (!m)
        return false;
    for (uint32_t v = 1; v < g->count && n < 64; v++)
        if ((g->nodes[v].op == IR_input || g->nodes[v].op == IR_state) &&
            ir_dtypes[g->nodes[v].dtype].kind == 'f')
            wrt[n++] = (ir_val){ v };
    ok = pass_gradients(g, 1, &g->outputs[0].value, NULL, n, wrt, grads);
    for (int i = 0; ok && i < n; i++)
        ir_output(g, ir_format(m->arena, "grad.%s", ir_at(g, wrt[i])->text), grads[i]);
    if (ok)
        ir_print(out, g);
    else
        ir_put(out, "%s\n", g->error->text);
    ir_module_free(m);
    return true;
}

/* In bf16, and in f16 where the text begins with "# f16". */
static bool precision(const char *text, size_t size, struct ir_text *out, struct ir_error *error)
{
    struct ir_module *m = ir_parse("golden.tp", text, size, error);
    const struct ir_graph *in = m ? m->program[0]->graph : NULL;
    struct ir_graph *g;
    ir_val *moved;

    if (!m)
        return false;
    g = pass_precision(in, strncmp(text, "# f16", 5) == 0 ? IR_F16 : IR_BF16, &moved);
    ir_move_outputs(g, in, moved);
    if (ir_verify(g, error))
        ir_print(out, g);
    ir_graph_free(g);
    ir_module_free(m);
    return error->status == IR_OK;
}

static bool simple(const char *text, size_t size, struct ir_text *out, struct ir_error *error)
{
    struct ir_module *m = ir_parse("golden.tp", text, size, error);
    struct ir_graph *g = m ? pass_simplify(m->program[0]->graph) : NULL;

    if (g)
        ir_print(out, g);
    ir_graph_free(g);
    ir_module_free(m);
    return g != NULL;
}

static bool fuse(const char *text, size_t size, struct ir_text *out, struct ir_error *error)
{
    struct ir_module *m = ir_parse("golden.tp", text, size, error);

    for (int i = 0; m && i < m->count; i++)
        if (m->program[i]->kernel_count == 0)
            m->program[i] =
                pass_fuse(m->program[i]->graph,
                          &(struct pass_options){ .fuse = true, .threads = 4 }, m->arena);
    if (m)
        ir_print_module(out, m);
    ir_module_free(m);
    return m != NULL;
}

/* The first program's kernels as nests, each of them sound. */
static bool nests(const char *text, size_t size, struct ir_text *out, struct ir_error *error,
                  bool schedule)
{
    struct ir_module *m = ir_parse("golden.tp", text, size, error);
    struct support_nests n = { .schedule = schedule, .fuse = true, .threads = 4 };
    struct ir_text why = { 0 };
    bool fine = m != NULL;

    if (!m)
        return false;
    n.arena = m->arena;
    support_nests(m->program[0], &n);
    for (int k = 0; k < n.kernels && fine; k++) {
        if (!n.kernel[k])
            fine = ir_error(error, IR_FAILED, "%s", n.refused.text);
        else if (!support_sound(n.kernel[k], &why))
            fine = ir_error(error, IR_FAILED, "%s", why.data);
        else
            ir_put(out, k ? "\n" : ""), loop_print(out, n.kernel[k]);
    }
    ir_text_free(&why);
    ir_module_free(m);
    return fine;
}

static bool plain(const char *text, size_t size, struct ir_text *out, struct ir_error *error)
{
    return nests(text, size, out, error, false);
}

static bool loops(const char *text, size_t size, struct ir_text *out, struct ir_error *error)
{
    return nests(text, size, out, error, true);
}

/* The first program, planned for four threads of one machine, in so many bytes. */
static struct pass_compiled *planned_in(struct ir_module *m, const char *target, int64_t memory,
                                        struct ir_error *error)
{
    const struct pass_options options = {
        .target = ir_target_by_name(target), .fuse = true, .threads = 4, .memory = memory
    };

    return m ? pass_pipeline(m->program[0], &options, m->arena, error) : NULL;
}

static struct pass_compiled *planned(struct ir_module *m, const char *target,
                                     struct ir_error *error)
{
    return planned_in(m, target, 0, error);
}

/* A text that begins with "# memory BYTES": its kernels in so many bytes, and the plan; or why
 * not. */
static bool recompute(const char *text, size_t size, struct ir_text *out, struct ir_error *error)
{
    struct ir_module *m = ir_parse("golden.tp", text, size, error);
    struct ir_error found = { 0 };
    const struct pass_compiled *c;

    if (!m || strncmp(text, "# memory ", 9) != 0) {
        ir_module_free(m);
        return ir_error(error, IR_FAILED, "it does not begin with # memory BYTES");
    }
    c = planned_in(m, "x86-64-v4", atoll(text + 9), &found);
    if (c) {
        ir_print_program(out, c->program);
        pass_print_plan(out, c->loops, NULL);
    } else {
        ir_put(out, "%s\n", found.text);
    }
    ir_module_free(m);
    return true;
}

static bool layout(const char *text, size_t size, struct ir_text *out, struct ir_error *error)
{
    struct ir_module *m = ir_parse("golden.tp", text, size, error);
    const struct pass_compiled *c = planned(m, "x86-64-v4", error);

    if (c)
        pass_print_layout(out, c);
    ir_module_free(m);
    return c != NULL;
}

static bool plan(const char *text, size_t size, struct ir_text *out, struct ir_error *error)
{
    struct ir_module *m = ir_parse("golden.tp", text, size, error);
    const struct pass_compiled *c = planned(m, "x86-64-v4", error);

    if (c)
        pass_print_plan(out, c->loops, NULL);
    ir_module_free(m);
    return c != NULL;
}

/* The kernels' functions, without what the text has around them. */
static bool functions(const char *text, size_t size, struct ir_text *out, struct ir_error *error,
                      const char *target, const struct gen_target *language)
{
    struct ir_module *m = ir_parse("golden.tp", text, size, error);
    const struct pass_compiled *c = planned(m, target, error);

    for (int k = 0; c && k < c->loops->kernels; k++)
        if (!c->loops->kernel[k]->first)
            gen_kernel(out, c->loops, c->loops->kernel[k], language);
    for (int i = 0; c && i < c->loops->launches; i++)
        if (c->loops->launch[i].name && !c->loops->launch[i].first)
            gen_launch(out, &(struct gen_unit){ .program = c->loops, .prefix = "" },
                       &c->loops->launch[i]);
    ir_module_free(m);
    return c != NULL;
}

static bool c_text(const char *text, size_t size, struct ir_text *out, struct ir_error *error)
{
    return functions(text, size, out, error, "x86-64-v4", &gen_target_c);
}

static bool cuda_text(const char *text, size_t size, struct ir_text *out, struct ir_error *error)
{
    return functions(text, size, out, error, "cuda", &gen_target_cuda);
}

/* A nest written by hand, of the graph in support_loops.h. */
static bool nest(const char *text, size_t size, struct ir_text *out, struct ir_error *error)
{
    struct ir_arena *arena = ir_arena_new();
    struct ir_graph *g = support_graph(error);
    struct loop_kernel *k = loop_parse("golden.tp", text, size, g, arena, error);
    bool fine = k && loop_verify(k, error);

    if (fine)
        loop_print(out, k);
    ir_graph_free(g);
    ir_arena_free(arena);
    return fine;
}

static bool nest_refusal(const char *text, size_t size, struct ir_text *out, struct ir_error *error)
{
    struct ir_error found = { 0 };

    if (nest(text, size, out, &found))
        return ir_error(error, IR_FAILED, "it was not refused");
    ir_put(out, "%s\n", found.text);
    return true;
}

/* A text that must be refused, and the message. */
static bool refusal(const char *text, size_t size, struct ir_text *out, struct ir_error *error)
{
    struct ir_error found = { 0 };

    if (trace(text, size, out, &found))
        return ir_error(error, IR_FAILED, "it was not refused");
    ir_put(out, "%s\n", found.text);
    return true;
}

static const struct stage {
    const char *name;
    stage_function *run;
    bool reads_back; /* the outcome is a text that the stage gives back unchanged */
} stages[] = {
    { "trace", trace, true },
    { "error", refusal, false },
    { "grad", grad, false },
    { "precision", precision, false },
    { "simple", simple, true },
    { "fuse", fuse, true },
    { "plain", plain, false },
    { "loops", loops, false },
    { "nest", nest, true },
    { "nest_error", nest_refusal, false },
    { "layout", layout, false },
    { "plan", plan, false },
    { "recompute", recompute, false },
    { "c", c_text, false },
    { "cuda", cuda_text, false },
};

/* --- files ------------------------------------------------------------------------------------ */

static char *read_whole(const char *path, size_t *size)
{
    FILE *file = fopen(path, "rb");
    struct ir_text text = { 0 };
    char part[4096];
    size_t got;

    cr_assert(file, "%s cannot be read", path);
    while ((got = fread(part, 1, sizeof part, file)) > 0)
        ir_put_bytes(&text, part, got);
    fclose(file);
    ir_put(&text, "%s", "");
    *size = text.size;
    return text.data;
}

static void bless(const char *path, const char *input, size_t size, const char *outcome)
{
    FILE *file = fopen(path, "wb");

    cr_assert(file, "%s cannot be written", path);
    cr_assert(fwrite(input, 1, size, file) == size && fprintf(file, "----\n%s", outcome) >= 0 &&
                  fclose(file) == 0,
              "%s cannot be written", path);
}

static void one_golden(const struct stage *stage, const char *path)
{
    size_t size;
    char *whole = read_whole(path, &size), *mark = NULL, *want;
    struct ir_text out = { 0 }, again = { 0 };
    struct ir_error error = { 0 };
    bool fine;

    if (strncmp(whole, "----\n", 5) == 0)
        mark = whole;
    else if ((mark = strstr(whole, "\n----\n")))
        mark++;
    if (!mark && getenv("TAPER_BLESS")) /* a new file may hold the input alone */
        mark = whole + size;
    cr_assert(mark, "%s has no line ----", path);
    want = *mark ? mark + 5 : mark;
    ir_put(&out, "%s", "");
    ir_put(&again, "%s", "");
    fine = stage->run(whole, (size_t)(mark - whole), &out, &error);
    cr_expect(fine, "%s: %s", path, error.text);
    if (fine && stage->reads_back) {
        cr_expect(stage->run(out.data, out.size, &again, &error), "%s: its outcome: %s", path,
                  error.text);
        cr_expect(strcmp(out.data, again.data) == 0, "%s: its outcome reads back as\n%s", path,
                  again.data);
    }
    if (fine && getenv("TAPER_BLESS"))
        bless(path, whole, (size_t)(mark - whole), out.data);
    else if (fine)
        cr_expect(strcmp(out.data, want) == 0, "%s: expected\n%s\nfound\n%s", path, want, out.data);
    ir_text_free(&out);
    ir_text_free(&again);
    free(whole);
}

static void walk(const char *name)
{
    const char *source = getenv("TAPER_SOURCE");
    const struct stage *stage = stages;
    char folder[1000], path[2000];
    struct dirent *entry;
    int seen = 0;
    DIR *dir;

    while (strcmp(stage->name, name) != 0)
        stage++;
    snprintf(folder, sizeof folder, "%s/tests/golden/%s", source ? source : TAPER_SOURCE, name);
    dir = opendir(folder);
    cr_assert(dir, "%s is not there", folder);
    while ((entry = readdir(dir))) {
        size_t length = strlen(entry->d_name);
        if (length < 4 || strcmp(entry->d_name + length - 3, ".tp") != 0)
            continue;
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        one_golden(stage, path);
        seen++;
    }
    closedir(dir);
    cr_expect(seen > 0, "%s holds no golden", folder);
}

Test(golden, trace)
{
    walk("trace");
}

Test(golden, error)
{
    walk("error");
}

Test(golden, grad)
{
    walk("grad");
}

Test(golden, precision)
{
    walk("precision");
}

Test(golden, simple)
{
    walk("simple");
}

Test(golden, fuse)
{
    walk("fuse");
}

Test(golden, plain)
{
    walk("plain");
}

Test(golden, loops)
{
    walk("loops");
}

Test(golden, nest)
{
    walk("nest");
}

Test(golden, nest_error)
{
    walk("nest_error");
}

/* A folder that no stage has would never be looked at. */
Test(golden, every_folder_is_a_stage)
{
    const char *source = getenv("TAPER_SOURCE");
    char folder[1000];
    struct dirent *entry;
    DIR *dir;

    snprintf(folder, sizeof folder, "%s/tests/golden", source ? source : TAPER_SOURCE);
    dir = opendir(folder);
    cr_assert(dir, "%s is not there", folder);
    while ((entry = readdir(dir))) {
        bool known = entry->d_name[0] == '.';
        for (size_t i = 0; i < sizeof stages / sizeof *stages; i++)
            known |= strcmp(entry->d_name, stages[i].name) == 0;
        cr_expect(known, "tests/golden/%s: no stage of this name in tests/golden.c", entry->d_name);
    }
    closedir(dir);
}

Test(golden, layout)
{
    walk("layout");
}

Test(golden, plan)
{
    walk("plan");
}

Test(golden, recompute)
{
    walk("recompute");
}

Test(golden, c)
{
    walk("c");
}

Test(golden, cuda)
{
    walk("cuda");
}

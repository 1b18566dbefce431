/*
 * trainer: one C file that trains a model: the parts that it needs, tables of the model, its
 * programs, and main().
 *
 * What does not depend on the model is text that stands elsewhere, compiled and tested there: the
 * parts in runtime/parts, which the library includes as well, and trainer_main.h. So what is left
 * to print here are the head, the tables, and which parts there are.
 */
#include "codegen/trainer_gpu.h"

#include <inttypes.h>
#include <string.h>

extern const char gen_text_trainer_main[], gen_text_initial[], gen_text_part_error[],
    gen_text_part_file[], gen_text_part_columns[], gen_text_part_shuffle[], gen_text_part_batches[],
    gen_text_part_idx[], gen_text_part_cifar[], gen_text_part_npy[], gen_text_part_npz[],
    gen_text_part_csv[], gen_text_part_sentences[], gen_text_part_text[], gen_text_part_digits[],
    gen_text_part_planar[], gen_text_part_aside[], gen_text_part_safetensors[],
    gen_text_part_checkpoint[], gen_text_part_report[], gen_text_part_events[];

/* In this order; `readers` names those that need it, NULL: every trainer has it; "probe": one
 * whose step has probes. */
static const struct {
    const char *text, *readers;
} parts[] = {
    { gen_text_part_error, NULL },
    { gen_text_part_file, " idx cifar npy npz csv text names words " },
    { gen_text_part_shuffle, NULL },
    { gen_text_part_columns, NULL },
    { gen_text_part_batches, NULL },
    { gen_text_part_idx, " idx " },
    { gen_text_part_cifar, " cifar " },
    { gen_text_part_npy, " npy npz " },
    { gen_text_part_npz, " npz " },
    { gen_text_part_csv, " csv " },
    { gen_text_part_sentences, " text names words " },
    { gen_text_part_text, " text names words " },
    { gen_text_part_digits, " digits " },
    { gen_text_part_planar, " planar " },
    { gen_text_part_aside, NULL },
    { gen_text_part_safetensors, NULL },
    { gen_text_part_checkpoint, NULL },
    { gen_text_initial, NULL },
    { gen_text_part_report, NULL },
    { gen_text_part_events, "probe" },
};

static const struct {
    const char *reader, *meta, *about;
    bool made; /* by the program itself */
} readers[] = {
    { "idx", "DIR", "a folder with train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-..",
      false },
    { "cifar", "DIR", "a folder with data_batch_1.bin to 5 and test_batch.bin", false },
    { "npy", "DIR", "a folder with x.npy and y.npy, and x_test.npy .. if there is a test part",
      false },
    { "npz", "F.npz", "arrays x and y, and x_test .. if there is a test part", false },
    { "csv", "F.csv", "a table of features and a label", false },
    { "text", "F.txt", "a text in UTF-8", false },
    { "names", "F.txt", "names, one a line", false },
    { "words", "DIR", "a folder with train.tsv and dev.tsv: words, a tab, a class", false },
    { "digits", "NAME", "digits that the program draws; there are no others", true },
    { "planar", "NAME", "points that the program draws; there are no others", true },
};

/* Does the reader need the part? */
static bool needs(const char *of, const char *reader)
{
    char word[40];

    snprintf(word, sizeof word, " %.30s ", reader);
    return !of || strstr(of, word);
}

static int reader_of(const struct gen_trainer *t)
{
    for (int i = 0; i < (int)(sizeof readers / sizeof *readers); i++)
        if (strcmp(readers[i].reader, t->data.reader) == 0)
            return i;
    return -1;
}

/* What the blocks of trainer_main.h ask for. */
static bool holds(const void *of, const char *word, size_t length)
{
    const struct gen_trainer *t = of;
    const struct {
        const char *word;
        bool holds;
    } words[] = {
        { "eval", t->eval != NULL },
        { "loss", t->eval_loss.there },
        { "hits", t->eval_hits.there },
        { "chance", t->chance },
        { "check", t->checks > 0 },
        { "probe", t->probes > 0 },
        { "split", t->data.train.count > 0 },
        { "split_test", t->data.test.count > 0 },
        { "made", readers[reader_of(t)].made },
        { "gpu", t->gpu != NULL },
        { "nvcc", t->gpu && !t->gpu->image },
        { "driver", t->gpu && t->gpu->image },
        { "loops", t->gpu && gen_gpu_loops(t) },
        { t->data.reader, true },
    };

    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strlen(words[i].word) == length && strncmp(words[i].word, word, length) == 0)
            return words[i].holds;
    return false;
}

/* Both programs use the same one, in turn. */
static int64_t arena_bytes(const struct gen_trainer *t)
{
    const int64_t most = t->eval && t->eval->arena_bytes > t->step->arena_bytes
                             ? t->eval->arena_bytes
                             : t->step->arena_bytes;

    return (most + 63) / 64 * 64;
}

/* --- the head ------------------------------------------------------------------------------------
 */

/* How it is compiled, and what it is then called with. */
static void put_usage(struct ir_text *out, const struct gen_trainer *t, const char *model)
{
    const char *dot = strrchr(t->file, '.');
    const int length = dot ? (int)(dot - t->file) : (int)strlen(t->file);
    const bool made = readers[reader_of(t)].made;

    ir_put(out, "/*\n * %s: trains %s, %" PRId64 " parameters, with nothing but %s.\n *\n *     ",
           t->file, model, t->parameters,
           !t->gpu         ? "the C library"
           : t->gpu->image ? "the C library, on a GPU with NVIDIA's driver"
                           : "CUDA's run time, on a GPU");
    if (!t->gpu)
        ir_put(out, "cc -O3 %s%s-fopenmp %s -lm", t->flags, *t->flags ? " " : "", t->file);
    else if (t->gpu->image)
        ir_put(out, "cc -O2 %s -lm -ldl", t->file);
    else
        ir_put(out, "nvcc -O3 -std=c++20 -arch=%s -fmad=false %s", t->gpu->arch, t->file);
    ir_put(out, " -o %.*s\n *     ./%.*s %s%s%s--epochs %" PRId64 " --save %s.safetensors\n *\n",
           length, t->file, length, t->file, made ? "" : "--data ",
           made ? "" : readers[reader_of(t)].meta, made ? "" : " ", t->epochs, model);
    ir_put(out, " * %s%s ./%.*s --help\n",
           t->gpu ? "" : "-fopenmp may be left out: one thread then, and the same numbers.",
           !made ? " With -DUSE_ZLIB and -lz\n * the data may be gzip." : "", length, t->file);
    ir_put(out, " * tells the options. Printed by taper %s for the target %s%s%s%s\n *\n",
           t->version, t->gpu ? t->gpu->arch : t->step->target->name,
           t->made_by ? ":\n *\n *     " : "", t->made_by ? t->made_by : "", t->made_by ? "" : ".");
}

static void put_head(struct ir_text *out, const struct gen_trainer *t, const char *model)
{
    put_usage(out, t, model);
    ir_put(out,
           " * Read it from main(), which is the last function: main, work, train_epoch,\n"
           " * train_batch, %s.\n *\n"
           " *   1. files and data     what taper's library does with them, to the letter\n"
           " *   2. the model          sizes, weights and where they lie\n"
           " *   3. the kernels        the whole step: forward, backward, update%s\n%s"
           " *   %d. training           epochs, weights, checkpoints, options\n *\n",
           t->gpu ? "gpu_run, and the kernels in the order of step_launch"
                  : "step, and the kernels that step_run calls in their order",
           t->eval ? "; and the evaluation" : "",
           t->gpu ? " *   4. the GPU            what runs them there\n" : "", t->gpu ? 5 : 4);
    ir_put(out,
           " * Memory: one piece of %" PRId64 " bytes for values between kernels and %" PRId64
           " for weights and\n * moments, besides the data. No step allocates.\n *\n",
           arena_bytes(t), t->state_bytes);
    ir_put(out,
           " * Bits: sums are added in an order that the shapes decide, multiply-adds are "
           "fused where the\n"
           " * text says fma and nowhere else, and exp, log and their like are spelled out. "
           "So the numbers\n"
           " * are those of `taper train`, to the last bit: %s\n"
           " * whatever the optimisation (none of it may be called fast).\n */\n",
           t->gpu ? "on the GPU as on the CPU," : "for any number of threads, with gcc and clang,");
}

/* The rest of the file is C. */
static const char nvcc[] =
    "/* nvcc reads C++, where memory does not become whatever is wanted by itself */\n"
    "#include <stdlib.h>\n"
    "#define _Static_assert static_assert\n"
    "struct any_memory {\n    void *at;\n"
    "    template <class T> operator T *() const { return (T *)at; }\n};\n"
    "static inline any_memory any_malloc(size_t bytes) { return { malloc(bytes) }; }\n"
    "static inline any_memory any_calloc(size_t count, size_t bytes) { return { calloc(count, "
    "bytes) }; }\n"
    "static inline any_memory any_realloc(void *at, size_t bytes) { return { realloc(at, bytes) }; "
    "}\n"
    "#define malloc any_malloc\n#define calloc any_calloc\n#define realloc any_realloc\n\n";

/* What the command line need not say. */
static void put_pragmas(struct ir_text *out, const struct gen_trainer *t)
{
    if (t->gpu) {
        ir_put(out, "\n/* a * b + c is two operations, each rounded, and whole numbers wrap */\n"
                    "#ifdef __clang__\n#pragma STDC FP_CONTRACT OFF\n#elif !defined __CUDACC__\n"
                    "#pragma GCC optimize(\"fp-contract=off\", \"wrapv\")\n#endif\n\n");
        if (!t->gpu->image)
            ir_put(out, "%s", nvcc);
        return;
    }
    ir_put(
        out,
        "\n/*\n * a * b + c is two operations, each rounded, and whole numbers wrap. The kernels "
        "are in "
        "vectors and\n * unrolled already: gcc does best when it leaves that as it stands.\n */\n"
        "#ifdef __clang__\n#pragma STDC FP_CONTRACT OFF\n#else\n"
        "#pragma GCC optimize(\"O2\", \"fp-contract=off\", \"wrapv\", \"no-math-errno\")\n"
        "#pragma GCC optimize(\"no-trapping-math\", \"schedule-insns\", \"sched-pressure\", "
        "\"ira-loop-pressure\")\n"
        "#ifdef __AVX512F__\n#pragma GCC target(\"prefer-vector-width=512\")\n#endif\n#endif\n\n");
}

/* --- tables --------------------------------------------------------------------------------------
 */

static const char *type_name(enum ir_dtype dtype)
{
    static const char *const names[] = {
#define DTYPE(NAME, name, bytes, kind, c, arithmetic) [IR_##NAME] = "PART_" #NAME,
#include "ir/dtype.def"
#undef DTYPE
    };

    return names[dtype];
}

static void put_dims(struct ir_text *out, int rank, const int64_t dim[])
{
    ir_put(out, "{");
    for (int i = 0; i < rank; i++)
        ir_put(out, "%s %" PRId64, i ? "," : "", dim[i]);
    ir_put(out, "%s }", rank ? "" : " 0");
}

static void put_state(struct ir_text *out, const struct gen_state *s, int number)
{
    ir_put(out, "    { ");
    ir_put_quoted(out, s->name);
    ir_put(out, ", %s, %s, %d, ", type_name(s->dtype), s->saved ? "true" : "false", s->rank);
    put_dims(out, s->rank, s->dim);
    ir_put(out, ", %" PRId64 ",\n      ", s->elements);
    gen_put_begin(out, s);
    if (s->numbers)
        ir_put(out, ", numbers_%d", number);
    else
        ir_put(out, ", NULL");
    ir_put(out, ", %" PRId64 ", ", s->offset);
    gen_put_storage(out, s);
    ir_put(out, " },\n");
}

static void put_states(struct ir_text *out, const struct gen_trainer *t)
{
    for (int i = 0; i < t->states; i++)
        if (t->state[i].numbers)
            gen_put_numbers(out, &t->state[i], i);
    ir_put(out,
           "/*\n * What lives from step to step. Element (i0, i1, ..) of a state is at the sum "
           "over its terms of\n"
           " * pitch * (i[axis] / divisor %% extent), where an extent of 0 is none: so a matrix "
           "may be tiled.\n"
           " */\n"
           "struct term {\n    int axis;\n    int64_t divisor, extent, pitch;\n};\n"
           "static const struct state {\n    const char *name;\n    enum part_type type;\n"
           "    bool saved; /* with the weights; others are the optimiser's, and in checkpoints "
           "only */\n"
           "    int rank;\n    int64_t dim[8], elements;\n"
           "    enum initial_kind begins; /* constant a, uniform in a..b, normal of mean a and "
           "deviation b */\n"
           "    double a, b;\n    const void *numbers; /* or with these */\n"
           "    int64_t offset;      /* in bytes, from base[1] */\n    int terms;\n"
           "    struct term term[%d];\n} states[STATES] = {\n",
           gen_most_parts(t->state, t->states));
    for (int i = 0; i < t->states; i++)
        put_state(out, &t->state[i], i);
    ir_put(out, "};\n\n");
}

static void put_inputs(struct ir_text *out, const struct gen_trainer *t)
{
    ir_put(out,
           "/* The data's columns; where in the arena the programs take a batch of each, -1: not "
           "wanted. */\nstatic const struct input {\n    const char *name;\n    enum part_type "
           "type;\n    int rank;\n    int64_t dim[8];\n    const char *about;\n} inputs[INPUTS] = "
           "{\n");
    for (int i = 0; i < t->inputs; i++) {
        const struct gen_input *n = &t->input[i];

        ir_put(out, "    { ");
        ir_put_quoted(out, n->name);
        ir_put(out, ", %s, %d, ", type_name(n->dtype), n->rank);
        put_dims(out, n->rank, n->dim);
        ir_put(out, ", \"%s[", ir_dtypes[n->dtype].name);
        for (int k = 0; k < n->rank; k++)
            ir_put(out, "%s%" PRId64, k ? " " : "", n->dim[k]);
        ir_put(out, "]\" },\n");
    }
    ir_put(out, "};\nstatic const int64_t step_input[INPUTS] = {");
    for (int i = 0; i < t->inputs; i++)
        ir_put(out, "%s %" PRId64, i ? "," : "", t->input[i].step);
    if (t->eval) {
        ir_put(out, " };\nstatic const int64_t eval_input[INPUTS] = {");
        for (int i = 0; i < t->inputs; i++)
            ir_put(out, "%s %" PRId64, i ? "," : "", t->input[i].eval);
    }
    ir_put(out, " };\n\n");
}

/* Where the step leaves what it says of itself. */
static void put_probes(struct ir_text *out, const struct gen_trainer *t)
{
    if (!t->probes)
        return;
    ir_put(out, "/* What the step says of itself: a number, or a histogram; where. */\n"
                "static const struct {\n    const char *tag;\n    bool histogram;\n    int base;\n"
                "    int64_t offset;\n} probes[PROBES] = {\n");
    for (int i = 0; i < t->probes; i++) {
        ir_put(out, "    { ");
        ir_put_quoted(out, t->probe[i].tag);
        ir_put(out, ", %s, %d, %" PRId64 " },\n", t->probe[i].histogram ? "true" : "false",
               t->probe[i].base, t->probe[i].offset);
    }
    ir_put(out, "};\n\n");
}

/* What the model's author wants to hold after each step. */
static void put_checks(struct ir_text *out, const struct gen_trainer *t)
{
    if (!t->checks)
        return;
    ir_put(out, "/* What must hold after a step; where it counts what does not. */\n"
                "static const struct {\n    const char *text;\n    int base;\n"
                "    int64_t offset;\n} checks[CHECKS] = {\n");
    for (int i = 0; i < t->checks; i++) {
        ir_put(out, "    { ");
        ir_put_quoted(out, t->check[i].text);
        ir_put(out, ", %d, %" PRId64 " },\n", t->check[i].base, t->check[i].offset);
    }
    ir_put(out, "};\n\n");
}

static void put_value(struct ir_text *out, const char *name, const struct gen_value *v)
{
    const char *type = v->dtype == IR_F32   ? "float"
                       : v->dtype == IR_F64 ? "double"
                       : v->dtype == IR_I32 ? "int32_t"
                                            : "int64_t";

    if (v->there)
        ir_put(out, "#define %s(t) (*(const %s *)((t)->base[%d] + %" PRId64 "))\n", name, type,
               v->base, v->offset);
}

static bool readable(const struct gen_value *v)
{
    return !v->there || v->dtype == IR_F32 || v->dtype == IR_F64 || v->dtype == IR_I32 ||
           v->dtype == IR_I64;
}

/* Room for all weights row-major, and for any single state. */
static int64_t plain_bytes(const struct gen_trainer *t)
{
    int64_t all = 64, most = 64;

    for (int i = 0; i < t->states; i++) {
        const struct gen_state *s = &t->state[i];
        const int64_t bytes = (s->elements * ir_dtypes[s->dtype].bytes + 15) / 8 * 8;
        all += s->saved ? bytes : 0;
        most = bytes > most ? bytes : most;
    }
    return all > most ? all : most;
}

/* A text, or NULL where it is empty. */
static void put_name(struct ir_text *out, const char *name, const char *text)
{
    ir_put(out, "#define %s ", name);
    if (text && *text)
        ir_put_quoted(out, text);
    else
        ir_put(out, "NULL");
    ir_put(out, "\n");
}

static void put_rows(struct ir_text *out, const char *name, const struct gen_rows *r)
{
    char part[40];

    snprintf(part, sizeof part, "%s_PART", name);
    put_name(out, part, r->part);
    if (r->count)
        ir_put(out, "#define %s_FIRST %" PRId64 "\n#define %s_ROWS  %" PRId64 "\n", name, r->first,
               name, r->count);
}

static void put_sizes(struct ir_text *out, const struct gen_trainer *t, const char *model)
{
    const struct ir_graph *g = t->step->graph;
    const int threads =
        t->eval && t->eval->threads < t->step->threads ? t->eval->threads : t->step->threads;
    const int reader = reader_of(t);
    const bool made = readers[reader].made;

    ir_put(out, "#define MODEL \"%s\"\n", model);
    if (made)
        ir_put(out, "#define EXAMPLE \"\"\n");
    else
        ir_put(out, "#define EXAMPLE \"--data %s \"\n", readers[reader].meta);
    ir_put(out, "#define DATA_META \"%s\"\n#define DATA_ABOUT \"%s\"\n", readers[reader].meta,
           readers[reader].about);
    if (made) {
        ir_put(out,
               "#define DATA \"%s\"\n#define DATA_ROWS %" PRId64 " /* 0: as many as it has */\n",
               t->data.set, t->data.rows);
        if (needs(" planar ", t->data.reader)) {
            ir_put(out, "#define DATA_NOISE ");
            gen_put_double(out, t->data.noise);
            ir_put(out, "\n");
        }
    } else {
        ir_put(out, "#define DATA NULL\n");
    }
    put_rows(out, "TRAIN", &t->data.train);
    if (t->eval)
        put_rows(out, "TEST", &t->data.test);
    if (needs(" csv ", t->data.reader))
        put_name(out, "DATA_LABEL", t->data.label);
    if (needs(" text names words ", t->data.reader))
        ir_put(out, "#define DATA_CONTEXT %" PRId64 "\n", t->data.context);
    if (needs(" text ", t->data.reader))
        ir_put(out,
               "#define TRAIN_STEP %" PRId64 " /* from a window to the next; 0: side by side */\n"
               "#define TEST_STEP %" PRId64 "\n",
               t->data.train.step, t->data.test.step);
    if (needs(" words ", t->data.reader))
        ir_put(out, "#define DATA_VOCABULARY %" PRId64 " /* words that are told apart; 0: all */\n",
               t->data.vocabulary);
    ir_put(
        out,
        "\nenum {\n    STATES = %d,\n    INPUTS = %d,\n    DIMS = %d, /* sizes that a run may "
        "choose: the rows of a batch */\n    THREADS = %d, /* most that the arena has room for */\n"
        "    CLASSES = %d, /* of the labels; 0: they are none */\n    SHUFFLE = %d,\n    "
        "DROP_LAST = %d\n};\n",
        t->states, t->inputs, g->symbols ? g->symbols : 1, threads, t->data.classes,
        t->data.shuffle, t->data.drop_last);
    ir_put(out,
           "#define PARAMETERS  %" PRId64 "L\n#define ARENA_BYTES %" PRId64
           "UL\n#define STATE_BYTES %" PRId64 "UL\n#define PLAIN_BYTES %" PRId64
           "UL /* all weights once more, as files have them */\n",
           t->parameters, arena_bytes(t), t->state_bytes, plain_bytes(t));
    ir_put(out,
           "#define EPOCHS      %" PRId64 "\n#define BATCH       %" PRId64
           " /* rows a step, at most */\n",
           t->epochs, t->batch);
    if (t->eval)
        ir_put(out, "#define TEST_BATCH  %" PRId64 "\n", t->tests);
    ir_put(out,
           "#define SEED        %" PRId64 "\n#define ORDER_SEED  %" PRId64
           "\n#define RATE_STEPS  %" PRId64
           " /* the schedule of the rate ends there; 0: it has no end */\n",
           t->seed, t->order_seed, t->rate_steps);
    if (t->checks)
        ir_put(out, "#define CHECKS      %d\n", t->checks);
    if (t->probes)
        ir_put(out, "#define PROBES      %d\n", t->probes);
    put_value(out, "STEP_LOSS", &t->step_loss);
    put_value(out, "EVAL_LOSS", &t->eval_loss);
    put_value(out, "EVAL_HITS", &t->eval_hits);
    ir_put(out, "static const struct safetensors_pair notes[] = { /* in the weights' file */\n"
                "    { (char *)\"format\", (char *)\"pt\" },\n");
    for (int i = 0; i < t->notes; i++)
        ir_put(out, "    { (char *)\"%s\", (char *)\"%s\" },\n", t->note[i].key, t->note[i].value);
    ir_put(out, "};\nenum { NOTES = sizeof notes / sizeof *notes };\n");
    ir_put(out, "static const long dims_most[DIMS] = {");
    for (int i = 0; i < g->symbols; i++)
        ir_put(out, "%s %" PRId64, i ? "," : "", g->symbol[i].hi);
    ir_put(out, "%s };\n\n", g->symbols ? "" : " 0");
}

/* How the kernels are to be read. */
static void put_legend(struct ir_text *out)
{
    ir_put(
        out,
        "/*\n"
        " * A kernel is a function: loops that were fused, with their maths as its comment.\n"
        " * Arrays are called after what makes them (relu11 = relu(..)) wherever they are read.\n"
        " * They lie so many bytes into base[0], the arena, or base[1], the states; one whose\n"
        " * time is over leaves its place to another. // [batch / 16][28][28][16] are an array's\n"
        " * axes in memory, where they are not those of its shape.\n"
        " *\n"
        " * f32x16 is 16 numbers side by side, splat_f32x16(x) has x in each. Tiles are written\n"
        " * out, so that they stay in registers: sum3_1_0 is row 1, column 0 of the tile sum3.\n"
        " * packed is a tile of a matrix, turned or gathered so that it is read in order. A\n"
        " * place, as in // models.c:45 fc1, holds for the lines after it too, up to the next.\n"
        " *\n"
        " * Threads share out a loop: i_count * thread / threads is where this thread begins.\n"
        " * step_run, after the kernels of the step, calls them in order; at a barrier all wait\n"
        " * for the last.\n"
        " */\n\n"
        "#ifdef _OPENMP\nextern int omp_get_num_procs(void);\n#endif\n");
}

/* --- all of it -----------------------------------------------------------------------------------
 */

static bool fits(const struct gen_trainer *t, struct ir_error *error)
{
    if (!gen_states_fit(t->state, t->states, error))
        return false;
    if (reader_of(t) < 0)
        return ir_error(error, IR_UNSUPPORTED,
                        "a trainer cannot read data of the kind \"%.40s\" yet", t->data.reader);
    if (!t->step_loss.there)
        return ir_error(error, IR_REFUSED, "program %.60s has no scalar output \"loss\"",
                        t->step->name);
    if (!readable(&t->step_loss) || !readable(&t->eval_loss) || !readable(&t->eval_hits))
        return ir_error(error, IR_UNSUPPORTED,
                        "a trainer reads losses of f32 and f64, and counts of i32 and i64");
    return true;
}

bool gen_trainer(struct ir_text *out, const struct gen_trainer *t, struct ir_error *error)
{
    const char *model = gen_identifier(t->step->arena, t->model, "model");
    const struct gen_unit unit[] = { { t->step, "step", "step_", false, false, true, false },
                                     { t->eval, "eval", "eval_", false, false, true, false } };

    if (!fits(t, error))
        return false;
    put_head(out, t, model);
    put_pragmas(out, t);
    ir_put(out, "/* ==== 1. Files and data "
                "================================================================= "
                "*/\n\n");
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (parts[i].readers && strcmp(parts[i].readers, "probe") == 0
                ? t->probes > 0
                : needs(parts[i].readers, t->data.reader))
            gen_put_part(out, parts[i].text);
    ir_put(out, "/* ==== 2. The model "
                "====================================================================== "
                "*/\n\n");
    put_sizes(out, t, model);
    put_states(out, t);
    put_inputs(out, t);
    put_checks(out, t);
    put_probes(out, t);
    ir_put(out, "/* ==== 3. The kernels "
                "==================================================================== "
                "*/\n\n");
    if (!t->gpu)
        put_legend(out);
    if (t->gpu ? !gen_put_gpu(out, t, holds, error)
               : !gen_programs(out, unit, t->eval ? 2 : 1, &gen_target_c, error))
        return false;
    gen_put_blocks(out, gen_text_trainer_main, false, holds, t);
    gen_drop_parts(out);
    return true;
}

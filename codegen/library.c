/*
 * library: a model that another program trains and asks: NAME.c.
 *
 * Programs, tables of the states, how they begin, and a few functions around them that do not
 * depend on the model (library_text.h). The caller brings the memory: states first, then the arena,
 * which both programs use in turn. library_header.c prints NAME.h.
 */
#include "codegen/library_put.h"

#include "codegen/blocks.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

extern const char gen_text_library_text[], gen_text_freestanding[], gen_text_initial[];

bool gen_library_name(const char *name, struct ir_error *error)
{
    static const char *const used[] = { "step",   "predict",    "initial", "state",
                                        "states", "parameters", "fma",     "wide",
                                        "place",  "copy",       "begin",   "put" };
    struct ir_arena *arena = ir_arena_new();
    const size_t length = strlen(name);
    bool fine = length > 0 && length <= 40 && strcmp(gen_identifier(arena, name, ""), name) == 0 &&
                name[0] != '_';

    for (size_t i = 0; i < sizeof used / sizeof *used; i++)
        fine = fine && strcmp(name, used[i]) != 0;
    ir_arena_free(arena);
    return fine || ir_error(error, IR_REFUSED,
                            "--library \"%.60s\": expected a name for C: letters, digits and _, at "
                            "most 40, no word that is taken",
                            name);
}

/* ---- texts that stand elsewhere ----------------------------------------------------------------
 */

static bool letter(char c)
{
    return isalnum((unsigned char)c) || c == '_';
}

void gen_library_text(struct ir_text *out, const struct gen_library *l, const char *text,
                      size_t size)
{
    for (const char *at = text, *end = text + size; at < end;) {
        const bool begins = at == text || !letter(at[-1]),
                   caps = begins && !strncmp(at, "NAMES", 5);

        if (begins && !strncmp(at, "NAME", 4) && (caps || !isalnum((unsigned char)at[4]))) {
            for (const char *c = l->name; *c; c++)
                ir_put(out, "%c", caps ? toupper((unsigned char)*c) : *c);
            at += caps ? 5 : 4;
        } else {
            ir_put_bytes(out, at++, 1);
        }
    }
}

static bool given(const struct gen_library *l)
{
    for (int i = 0; i < l->states; i++)
        if (l->state[i].numbers)
            return true;
    return false;
}

static bool library_holds(const void *of, const char *word, size_t length)
{
    return length == 5 && strncmp(word, "given", 5) == 0 && given(of);
}

/* ---- without a C library ------------------------------------------------------------------------
 */

/* what compilers have in themselves */
static const char *const inside[] = { "memcpy",
                                      "memset",
                                      "inff",
                                      "inf",
                                      "nanf",
                                      "nan",
                                      "prefetch",
                                      "convertvector",
                                      "shufflevector",
                                      "reduce_or",
                                      "copysignf",
                                      "copysign",
                                      "nontemporal_store",
                                      "fabs" };

static bool calls(const void *text, const char *word, size_t length)
{
    static const char before[] = "__builtin_";

    for (const char *at = text; (at = strstr(at, before));) {
        at += sizeof before - 1;
        if (strncmp(at, word, length) == 0 && !letter(at[length]))
            return true;
    }
    return false;
}

/* is the word one of a heading? */
static bool offered(const char *word, size_t length)
{
    for (const char *line = gen_text_freestanding; (line = strstr(line, "\n/// ")); line++) {
        const char *end = line + 1 + strcspn(line + 1, "\n");
        for (const char *at = line + 4; at < end; at++)
            if (at[0] == ' ' && strncmp(at + 1, word, length) == 0 && !letter(at[1 + length]))
                return true;
    }
    return false;
}

/* Every function that the text calls is inside of compilers or offered here. */
static bool stands_alone(const char *text, struct ir_error *error)
{
    static const char before[] = "__builtin_";

    for (const char *at = text; (at = strstr(at, before));) {
        size_t length = 0;
        at += sizeof before - 1;
        bool known = strncmp(at, "elementwise_", 12) == 0 || strncmp(at, "ia32_", 5) == 0;

        while (letter(at[length]))
            length++;
        for (size_t i = 0; i < sizeof inside / sizeof *inside; i++)
            known |= strlen(inside[i]) == length && strncmp(at, inside[i], length) == 0;
        if (!known && !offered(at, length))
            return ir_error(error, IR_UNSUPPORTED,
                            "--freestanding: the model needs %.*s of f64, which is the C "
                            "library's; f32 has one of its own",
                            (int)(length < 40 ? length : 40), at);
    }
    return true;
}

/* ---- tables
 * -------------------------------------------------------------------------------------- */

static const char *type_word(enum ir_dtype dtype)
{
    static const char *const names[] = {
#define DTYPE(NAME, name, bytes, kind, c, arithmetic) [IR_##NAME] = #NAME,
#include "ir/dtype.def"
#undef DTYPE
    };
    return names[dtype];
}

static void put_given(struct ir_text *out, const struct gen_library *l)
{
    for (int i = 0; i < l->states; i++)
        if (l->state[i].numbers)
            gen_put_numbers(out, &l->state[i], i);
    ir_put(out, "/* the numbers that the model brought along */\nstatic const void *given(int "
                "which)\n{\n    switch (which) {\n");
    for (int i = 0; i < l->states; i++)
        if (l->state[i].numbers)
            ir_put(out, "    case %d:\n        return numbers_%d;\n", i, i);
    ir_put(out, "    default:\n        return 0;\n    }\n}\n\n");
}

static void put_tables(struct ir_text *out, const struct gen_library *l)
{
    ir_put(out,
           "\n/* ---- tables ----------------------------------------------------------------"
           "---------------- */\n\nstatic const struct %s_parameter parameters[] = {\n",
           l->name);
    for (int i = 0; i < l->states; i++) {
        const struct gen_state *s = &l->state[i];
        ir_put(out, "    { ");
        ir_put_quoted(out, s->name);
        ir_put(out, ", %s_%s, %d, %d, {", l->name, type_word(s->dtype), s->saved, s->rank);
        for (int d = 0; d < s->rank; d++)
            ir_put(out, "%s %" PRId64, d ? "," : "", s->dim[d]);
        ir_put(out, "%s }, %" PRId64 ", %d },\n", s->rank ? "" : " 0", s->elements,
               ir_dtypes[s->dtype].bytes);
    }
    ir_put(out,
           "};\n\n/*\n * Element (i0, i1, ..) of a state is at the sum over its parts of pitch * "
           "(i[axis] / divisor %% extent),\n * where an extent of 0 is none, from `offset` bytes "
           "on.\n */\n"
           "static const struct state {\n    enum initial_kind begins; /* constant a, uniform in "
           "a..b, normal of mean a and deviation b */\n    double a, b;\n    long offset;\n    int "
           "parts;\n    struct {\n        int axis;\n        long divisor, extent, pitch;\n    } "
           "part[%d];\n} states[] = {\n",
           gen_most_parts(l->state, l->states));
    for (int i = 0; i < l->states; i++) {
        const struct gen_state *s = &l->state[i];
        ir_put(out, "    { ");
        gen_put_begin(out, s);
        ir_put(out, ", %" PRId64 ", ", s->offset);
        gen_put_storage(out, s);
        ir_put(out, " },\n");
    }
    ir_put(out, "};\n\n");
    if (given(l))
        put_given(out, l);
}

/* How states begin: text that the library shares, without the guard of a header. */
static bool put_initial(struct ir_text *out, const struct gen_library *l, struct ir_error *error)
{
    bool normal = false;

    for (int i = 0; i < l->states; i++)
        if (l->state[i].init == IR_INIT_NORMAL && !l->state[i].numbers) {
            normal = true;
            if (l->freestanding)
                return ir_error(error, IR_UNSUPPORTED,
                                "--freestanding: %.100s begins with normal numbers, which need the "
                                "C library's log, sqrt, cos and sin; uniform ones do not",
                                l->state[i].name);
        }
    ir_put(out, "\n#define PART static __attribute__((unused))\n");
    if (normal)
        ir_put(out, "double sqrt(double), log(double), cos(double), sin(double);\n\n");
    else
        ir_put(out, "#define INITIAL_HAS_NO_NORMAL /* which would need libm */\n\n");
    gen_put_part(out, gen_text_initial);
    return true;
}

/* ---- what differs from model to model
 * ------------------------------------------------------------ */

static int64_t row_bytes(const struct gen_array *a)
{
    int64_t bytes = ir_dtypes[a->dtype].bytes;

    for (int i = 0; i < a->rank; i++)
        bytes *= a->dim[i];
    return bytes;
}

/* Checks, inputs into place, the program run. */
static void put_body(struct ir_text *out, const struct gen_library *l, int which, const char *wrong)
{
    ir_put(out,
           "    char *base[2];\n    const long dims[] = { rows };\n\n    if (!usable(memory) || "
           "rows < 1 || rows > %" PRId64,
           l->rows);
    for (int i = 0; i < l->inputs[which]; i++)
        ir_put(out, " || !%s", l->input[which][i].name);
    ir_put(out, "%s)\n        return %s;\n", which ? " || !output" : "", wrong);
    ir_put(out, "    base[0] = (char *)memory + %" PRId64 ";\n    base[1] = memory;\n",
           l->state_bytes);
    for (int i = 0; i < l->inputs[which]; i++) {
        const struct gen_array *a = &l->input[which][i];
        if (a->offset >= 0)
            ir_put(out,
                   "    __builtin_memcpy(base[%d] + %" PRId64 ", %s, (size_t)rows * %" PRId64
                   ");\n",
                   a->base, a->offset, a->name, row_bytes(a));
    }
    ir_put(out, "    run_%s(base, dims, %d);\n", which ? "predict" : "step", l->threads);
}

static void put_functions(struct ir_text *out, const struct gen_library *l)
{
    const bool wide = l->loss.dtype == IR_F64;

    ir_put(out, "\nOFFERED ");
    gen_library_step(out, l, false);
    ir_put(out, "\n{\n");
    put_body(out, l, 0, wide ? "__builtin_nan(\"\")" : "__builtin_nanf(\"\")");
    ir_put(out, "    return *(const %s *)(base[%d] + %" PRId64 ");\n}\n", wide ? "double" : "float",
           l->loss.base, l->loss.offset);
    if (!l->predict)
        return;
    ir_put(out, "\nOFFERED ");
    gen_library_predict(out, l, false);
    ir_put(out, "\n{\n");
    put_body(out, l, 1, "-1");
    ir_put(out,
           "    __builtin_memcpy(output, base[%d] + %" PRId64 ", (size_t)rows * %" PRId64
           ");\n    return 0;\n}\n",
           l->output.base, l->output.offset, row_bytes(&l->output));
}

static void put_head(struct ir_text *out, const struct gen_library *l)
{
    ir_put(out, "/*\n * %s.c: ", l->name);
    ir_put_name(out, l->model);
    ir_put(out,
           " as a library: %s.h says what it offers.\n *\n *     cc -O3 %s%s%s-c %s.c\n *\n"
           " * Printed by taper %s%s%s for the target %s.\n */\n#include \"%s.h\"\n\n",
           l->name, l->step->target->flags, *l->step->target->flags ? " " : "",
           l->freestanding  ? "-ffreestanding "
           : l->threads > 1 ? "-fopenmp "
                            : "",
           l->name, l->version, l->made_by ? ": " : "", l->made_by ? l->made_by : "",
           l->step->target->name, l->name);
}

bool gen_library(struct ir_text *text, struct ir_text *header, const struct gen_library *l,
                 struct ir_error *error)
{
    const struct gen_unit unit[] = {
        { l->step, "run_step", "step_", false, l->threads < 2, true, false },
        { l->predict, "run_predict", "predict_", false, l->threads < 2, true, false }
    };

    gen_library_header(header, l);
    put_head(text, l);
    if (!gen_programs(text, unit, l->predict ? 2 : 1, &gen_target_c, error) ||
        !put_initial(text, l, error))
        return false;
    put_tables(text, l);
    struct ir_text functions = { 0 };
    gen_put_blocks(&functions, gen_text_library_text, false, library_holds, l);
    gen_library_text(text, l, functions.data, functions.size);
    ir_text_free(&functions);
    put_functions(text, l);
    if (l->freestanding) {
        if (!stands_alone(text->data, error))
            return false;
        ir_put(text, "\n/* ---- what compilers call on their own, and what this machine may lack "
                     "---------------------- */\n\n");
        struct ir_text own = { 0 };
        gen_put_blocks(&own, gen_text_freestanding, true, calls, text->data);
        ir_put_bytes(text, own.data, own.size);
        ir_text_free(&own);
    }
    return true;
}

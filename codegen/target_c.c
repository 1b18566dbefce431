/*
 * target_c: what C has that CUDA has not. Kernels are functions of a thread and the number of
 * threads; one parallel region runs them in order, with a barrier where one reads what another has
 * written.
 */
#include "codegen.h"

#include <inttypes.h>
#include <string.h>

/* does the text hold the word? */
static bool names(const char *text, const char *word)
{
    const char *letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_";
    size_t length = strlen(word);

    for (const char *at = text; (at = strstr(at, word)); at += length)
        if ((at == text || !strchr(letters, at[-1])) &&
            !(at[length] && strchr(letters, at[length])))
            return true;
    return false;
}

static void open_kernel(struct gen *e, const struct loop_program *p)
{
    ir_put(e->out,
           "static void %s%s(const int thread, const int threads, char *const *base, const long "
           "*dims)\n{\n",
           e->prefix, e->k->name);
    for (int s = 0; s < p->graph->symbols; s++)
        if (names(e->body, gen_symbol(e->arena, p->graph, s)))
            ir_put(e->out, "    const long %s = dims[%d];\n", gen_symbol(e->arena, p->graph, s), s);
}

/* every kernel is called alike, and compilers are told of the arguments that this one has no use
 * for */
static void close_kernel(struct gen *e)
{
    bool scratch = false, symbol = false;
    const char *before = "    (void)";

    for (int i = 0; i < e->k->buffers; i++)
        scratch |= e->k->buffer[i].scratch;
    for (int s = 0; s < e->k->graph->symbols; s++)
        symbol |= names(e->body, gen_symbol(e->arena, e->k->graph, s));
    const struct {
        const char *name;
        bool used;
    } argument[] = { { "thread", scratch || names(e->body, "thread") },
                     { "threads", names(e->body, "threads") },
                     { "base", e->k->buffers > 0 },
                     { "dims", symbol } };
    for (int i = 0; i < 4; i++) {
        if (argument[i].used)
            continue;
        ir_put(e->out, "%s%s", before, argument[i].name);
        before = ", (void)";
    }
    ir_put(e->out, "%s}\n\n", *before == ',' ? ";\n" : "");
}

static const char *base(struct gen *e, int number)
{
    return ir_format(e->arena, "base[%d]", number);
}

/* thread 0 alone runs what is too small to share */
static void put_run(struct ir_text *out, const struct gen_unit *u)
{
    const struct loop_program *p = u->program;
    bool gates = false;

    for (int i = 0; i < p->kernels; i++)
        gates |= p->kernel[i]->barrier;
    ir_put(out,
           "static void %srun(const int thread, const int threads, char *const *base, const "
           "long *dims)\n{\n",
           u->prefix);
    if (gates)
        ir_put(out, "    u32 *gate = (u32 *)base[0];\n");
    for (int i = 0; i < p->kernels; i++) {
        const struct loop_kernel *k = p->kernel[i];
        if (k->barrier)
            ir_put(out, "    %s;\n", gen_target_c.barrier);
        if (k->shared)
            ir_put(out, "    %s%s(thread, threads, base, dims);\n", u->prefix, k->name);
        else
            ir_put(out, "    if (thread == 0)\n        %s%s(0, 1, base, dims);\n", u->prefix,
                   k->name);
    }
    bool shares = gates;
    for (int i = 0; i < p->kernels; i++)
        shares |= p->kernel[i]->shared;
    ir_put(out, shares       ? "}\n\n"
                : p->kernels ? "    (void)threads;\n}\n\n"
                             : "    (void)thread, (void)threads, (void)base, (void)dims;\n}\n\n");
    ir_put(out, "%s void %s(char *const *base, const long *dims, const int threads)\n{\n",
           u->exported ? "__attribute__((visibility(\"default\")))" : "static", u->entry);
    ir_put(out,
           "#ifdef _OPENMP\n    if (threads > 1) {\n#pragma omp parallel num_threads(threads)\n"
           "        %srun(omp_get_thread_num(), omp_get_num_threads(), base, dims);\n        "
           "return;\n    }\n#endif\n"
           "    %srun(0, 1, base, dims);\n    (void)threads;\n}\n",
           u->prefix, u->prefix);
}

/*
 * What compilers must do alike stands in the text, since people compile it with flags of their own.
 * gcc fuses multiply-adds across statements where nobody forbids it. It also hands vectors that its
 * machine does not have to functions in ways that it warns about, and inlines too little when it
 * counts a function's lanes: so it inlines all.
 */
static const char begin[] =
    "/* a multiply-add is fused where it is written out and nowhere else; whole numbers wrap */\n"
    "#if defined __clang__\n"
    "#pragma STDC FP_CONTRACT OFF\n"
    "#elif defined __GNUC__\n"
    "#pragma GCC optimize(\"-ffp-contract=off\", \"-fwrapv\", \"-fno-math-errno\", "
    "\"-fno-trapping-math\")\n"
    "#define inline inline __attribute__((always_inline))\n"
    "#endif\n";
static const char offered[] = "\n#undef inline\n"
                              "#ifdef _OPENMP\n"
                              "extern int omp_get_thread_num(void);\n"
                              "extern int omp_get_num_threads(void);\n"
                              "#endif\n\n";

const struct gen_target gen_target_c = {
    .language = GEN_C,
    .begin = begin,
    .barrier = "barrier(gate, (u32)threads)",
    .offered = offered,
    .called = "base[0] is the arena, base[1] the states; dims",
    .open = open_kernel,
    .close = close_kernel,
    .base = base,
    .run = put_run,
};

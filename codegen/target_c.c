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
    ir_put(e->out, "static void %s%s(const int thread, const int threads, %sconst long *dims",
           e->prefix, gen_function(e->arena, e->k), e->handed ? "" : "char *const *base, ");
    for (int i = 0; e->handed && i < e->k->buffers; i++)
        ir_put(e->out, ",%s%svoid *%s_at", i % 4 ? " " : "\n    ",
               e->k->buffer[i].written ? "" : "const ", e->buffer[i]);
    ir_put(e->out, ")\n{\n");
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
                     { "base", e->handed || e->k->buffers > 0 },
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

void gen_put_extent(struct ir_text *out, const struct ir_graph *g, int64_t dim)
{
    const struct ir_dimension *d;

    if (ir_dim_fixed(dim)) {
        ir_put(out, "%" PRId64, dim);
        return;
    }
    d = &g->dimension[dim - INT64_MIN];
    ir_put(out, "%" PRId64, d->scale);
    for (int s = 0; s < g->symbols; s++)
        for (int p = 0; p < d->power[s]; p++)
            ir_put(out, " * dims[%d]", s);
    if (d->offset)
        ir_put(out, " %c %" PRId64, d->offset < 0 ? '-' : '+',
               d->offset < 0 ? -d->offset : d->offset);
}

/* the loop's index is a dim to its kernels; a loop that may not run asks before each turn */
static void put_begin(struct ir_text *out, const struct gen_unit *u, const struct loop_kernel *k,
                      int depth)
{
    const struct ir_graph *g = u->program->graph;
    const char *name = NULL, *asks = "";

    for (int s = 0; s < g->symbols; s++)
        if (g->dimension[k->index - INT64_MIN].power[s])
            name = ir_format(u->program->arena, "dims[%d]", s);
    if (k->buffers)
        asks = ir_format(u->program->arena, "*(const u8 *)(%s) && ",
                         gen_place_of(u->program, NULL, k, 0));
    ir_put(out, "%*sfor (%s = ", 4 * depth, "", name);
    if (k->reverse) {
        gen_put_extent(out, g, k->length);
        ir_put(out, " - 1; %s%s >= 0; %s--) {\n", asks, name, name);
        return;
    }
    ir_put(out, "0; %s%s < ", asks, name);
    gen_put_extent(out, g, k->length);
    ir_put(out, "; %s++) {\n", name);
}

/* the call of a kernel: where its buffers are, the function knows or is told */
void gen_call(struct ir_text *out, const struct gen_unit *u, const struct loop_kernel *k,
              struct gen_columns *columns, const char *threads, int depth)
{
    const struct loop_program *p = u->program;
    const struct loop_kernel *first = k->first ? k->first : k;
    size_t line = out->size;

    ir_put(out, "%*s%s%s(%s, %sdims", depth, "", u->prefix, gen_function(p->arena, first), threads,
           first->users > 1 ? "" : "base, ");
    for (int i = 0; first->users > 1 && i < k->buffers; i++) {
        const char *place = gen_place_of(p, columns, k, i);
        ir_put(out, ",");
        if (out->size - line + strlen(place) > 98) {
            line = out->size + 1;
            ir_put(out, "\n%*s", depth + 3, "");
        }
        ir_put(out, " %s", place);
    }
    ir_put(out, ");\n");
}

/* thread 0 alone runs what is too small to share */
void gen_wait_and_call(struct ir_text *out, const struct gen_unit *u, const struct loop_kernel *k,
                       struct gen_columns *columns, int depth)
{
    const bool all = k->shared || u->alone;

    if (k->barrier && !u->alone)
        ir_put(out, "%*s%s;\n", 4 * depth, "", gen_target_c.barrier);
    if (!all)
        ir_put(out, "%*sif (thread == 0)\n", 4 * depth, "");
    gen_call(out, u, k, columns, all ? "thread, threads" : "0, 1", 4 * depth + (all ? 0 : 4));
}

/* kernels `first` to before `end`, and what runs them */
void gen_sequence(struct ir_text *out, const struct gen_unit *u, int first, int end)
{
    const struct loop_program *p = u->program;
    const struct loop_repeat *next = p->repeat, *last = p->repeat + p->repeats;
    const int outer = p->symbols, all = p->graph->symbols;
    bool gates = false, shares = false, kernels = false;
    struct ir_text calls = { 0 };
    int depth = 1;

    while (next < last && next->first < first)
        next++;
    for (int i = first; i < end; i++) {
        const struct loop_kernel *k = p->kernel[i];
        if (next < last && next->first == i) {
            ir_put(&calls, "%*sfor (long turn = 0; turn < %d; turn++)\n", 4 * depth, "",
                   next->turns);
            ir_put(&calls, "%*s%s(thread, threads, base, dims, turn);\n", 4 * depth + 4, "",
                   gen_repeat_name(u, next));
            i += next->turns * next->length - 1;
            next++;
            shares = kernels = true;
            continue;
        }
        gates |= k->barrier && !u->alone;
        if (k->mark == LOOP_END)
            ir_put(&calls, "%*s}\n", 4 * --depth, "");
        if (k->barrier && k->mark && !u->alone)
            ir_put(&calls, "%*s%s;\n", 4 * depth, "", gen_target_c.barrier);
        if (k->mark == LOOP_BEGIN)
            put_begin(&calls, u, k, depth++);
        if (k->mark)
            continue;
        shares |= k->shared || u->alone;
        kernels = true;
        gen_wait_and_call(&calls, u, k, NULL, depth);
    }
    if (gates)
        ir_put(out, "    u32 *gate = (u32 *)base[0];\n");
    if (all > outer) {
        ir_put(out, "    long dims[%d];\n", all);
        for (int s = 0; s < all; s++)
            ir_put(out, s < outer ? "    dims[%d] = given[%d];\n" : "    dims[%d] = 0;\n", s, s);
    }
    ir_put(out, "%s", calls.size ? calls.data : "");
    if (!kernels)
        ir_put(out, "    (void)thread, (void)threads, (void)base, (void)%s;\n",
               all > outer ? "given" : "dims");
    else
        ir_put(out, "%s%s", shares || gates ? "" : "    (void)threads;\n",
               all > outer && !outer ? "    (void)given;\n" : "");
    ir_text_free(&calls);
}

static void put_run(struct ir_text *out, const struct gen_unit *u)
{
    for (int i = 0; i < u->program->repeats; i++)
        gen_repeat(out, u, &u->program->repeat[i]);
    ir_put(out,
           "static void %srun(const int thread, const int threads, char *const *base, const "
           "long *%s)\n{\n",
           u->prefix, u->program->graph->symbols > u->program->symbols ? "given" : "dims");
    gen_sequence(out, u, 0, u->program->kernels);
    ir_put(out, "}\n\n");
    ir_put(out, "%s void %s(char *const *base, const long *dims, const int threads)\n{\n",
           u->exported ? "__attribute__((visibility(\"default\")))" : "static", u->entry);
    if (u->alone)
        ir_put(out, "    %srun(0, 1, base, dims);\n    (void)threads;\n}\n", u->prefix);
    else
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
 * counts a function's lanes: so it inlines all. And gcc 12's ivopts reckons one buffer's address
 * from another's (8 * x - 7 * base); its own analysis of functions then takes what is stored there
 * for stored nowhere, and drops the kernel's call: so it does not analyse functions.
 */
static const char begin[] =
    "/* a multiply-add is fused where it is written out and nowhere else; whole numbers wrap */\n"
    "#if defined __clang__\n"
    "#pragma STDC FP_CONTRACT OFF\n"
    "#elif defined __GNUC__\n"
    "#pragma GCC optimize(\"-ffp-contract=off\", \"-fwrapv\", \"-fno-math-errno\", "
    "\"-fno-trapping-math\")\n"
    "/* gcc 12 may take a kernel's stores for nobody's, and inlines too little where lanes are "
    "many */\n"
    "#pragma GCC optimize(\"-fno-ipa-pure-const\", \"-fno-ipa-modref\")\n"
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

/*
 * profile: the program, and an entry for each of its kernels, so that a step can be walked kernel
 * by kernel with a clock in hand.
 */
#include "codegen.h"

/* A loop of kernels is run by its mark, as a whole; its kernels by themselves do nothing. */
static void put_loop(struct ir_text *out, const struct loop_program *p, int first, bool begins)
{
    const struct gen_unit unit = { .program = p, .entry = "", .prefix = "" };
    const char *runs = "";
    int end = first + 1;

    for (int depth = 1; begins && depth > 0; end++)
        depth += p->kernel[end]->mark == LOOP_BEGIN ? 1 : p->kernel[end]->mark == LOOP_END ? -1 : 0;
    if (begins) {
        runs = ir_format(p->arena, "loop_of_kernel_%d", first);
        ir_put(
            out,
            "\nstatic void %s(const int thread, const int threads, char *const *base, const long "
            "*given)\n{\n",
            runs);
        gen_sequence(out, &unit, first, end);
        ir_put(out, "}\n");
    }
    ir_put(out,
           "\n__attribute__((visibility(\"default\"))) void entry_of_kernel_%d(char *const *base, "
           "const long *dims, const int threads)\n{\n",
           first);
    if (begins)
        ir_put(out,
               "#ifdef _OPENMP\n    if (threads > 1) {\n#pragma omp parallel num_threads(threads)\n"
               "        %s(omp_get_thread_num(), omp_get_num_threads(), base, dims);\n        "
               "return;\n    }\n#endif\n    %s(0, 1, base, dims);\n",
               runs, runs);
    ir_put(out, "    (void)base, (void)dims, (void)threads;\n}\n");
}

bool gen_profile(struct ir_text *out, const struct loop_program *p, struct ir_error *error)
{
    const struct gen_unit unit = { .program = p, .entry = "", .prefix = "" };

    if (!gen_program(out, p, &gen_target_c, error))
        return false;
    for (int i = 0, depth = 0; i < p->kernels; i++) {
        const struct loop_kernel *k = p->kernel[i];
        const bool looped = depth > 0 || k->mark;
        depth += k->mark == LOOP_BEGIN ? 1 : k->mark == LOOP_END ? -1 : 0;
        if (looped) {
            put_loop(out, p, i, depth == 1 && k->mark == LOOP_BEGIN);
            continue;
        }
        ir_put(out,
               "\n__attribute__((visibility(\"default\"))) void entry_of_kernel_%d(char *const "
               "*base, const long *dims, const int threads)\n{\n",
               i);
        if (k->shared) {
            ir_put(out, "#ifdef _OPENMP\n    if (threads > 1) {\n#pragma omp parallel "
                        "num_threads(threads)\n");
            gen_call(out, &unit, k, NULL, "omp_get_thread_num(), omp_get_num_threads()", 8);
            ir_put(out, "        return;\n    }\n#endif\n");
        }
        gen_call(out, &unit, k, NULL, "0, 1", 4);
        ir_put(out, "    (void)base, (void)dims, (void)threads;\n}\n");
    }
    return true;
}

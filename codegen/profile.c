/*
 * profile: the program, and an entry for each of its kernels, so that a step can be walked kernel
 * by kernel with a clock in hand.
 */
#include "codegen.h"

bool gen_profile(struct ir_text *out, const struct loop_program *p, struct ir_error *error)
{
    if (!gen_program(out, p, &gen_target_c, error))
        return false;
    for (int i = 0; i < p->kernels; i++) {
        const struct loop_kernel *k = p->kernel[i];
        ir_put(out,
               "\n__attribute__((visibility(\"default\"))) void entry_of_kernel_%d(char *const "
               "*base, const long *dims, const int threads)\n{\n",
               i);
        if (k->shared)
            ir_put(out,
                   "#ifdef _OPENMP\n    if (threads > 1) {\n#pragma omp parallel "
                   "num_threads(threads)\n        %s(omp_get_thread_num(), omp_get_num_threads(), "
                   "base, dims);\n        return;\n    }\n#endif\n",
                   k->name);
        ir_put(out, "    %s(0, 1, base, dims);\n    (void)threads;\n}\n", k->name);
    }
    return true;
}

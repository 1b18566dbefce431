/*
 * cuda_emulated_text: CUDA text as C, with what a kernel finds around it.
 *
 * The words of CUDA are macros over a table that the emulated driver fills before a launch. Every
 * kernel gets a caller that takes its arguments as cuLaunchKernel has them. The text is spelled by
 * us, so its kernels' heads are found by their first words.
 */
#include "runtime/cuda_emulated.h"

#include <stdlib.h>
#include <string.h>

static const char before[] =
    "#define EMULATED 1\n"
    "typedef unsigned long long emulated_word;\n"
    "struct emulated_index { unsigned x, y, z; };\n"
    "struct emulated_machine {\n"
    "    void *user;\n"
    "    void (*wait)(void *, int);\n"
    "    emulated_word (*exchange)(void *, emulated_word, int);\n"
    "    unsigned (*ballot)(void *, int);\n"
    "    void (*touch)(void *, const void *, int, int);\n"
    "    void (*copy)(void *, void *, const void *, int, int);\n"
    "    void (*arrive)(void *);\n"
    "    void (*fault)(void *, const char *);\n"
    "    struct emulated_index thread, block, block_extent, grid_extent;\n"
    "};\n"
    "static struct emulated_machine emulated;\n"
    "#define threadIdx emulated.thread\n"
    "#define blockIdx emulated.block\n"
    "#define blockDim emulated.block_extent\n"
    "#define gridDim emulated.grid_extent\n"
    "#define __global__ __attribute__((noinline))\n"
    "#define __device__\n"
    "#define __forceinline__ inline\n"
    "#define __restrict__ restrict\n"
    "#define __launch_bounds__(threads)\n"
    "#define __grid_constant__\n"
    "#define __shared__ static __attribute__((section(\"emulated_shared\"), aligned(16)))\n"
    "#define __align__(bytes) __attribute__((aligned(bytes)))\n"
    "extern char __start_emulated_shared[] __attribute__((weak, visibility(\"hidden\")));\n"
    "extern char __stop_emulated_shared[] __attribute__((weak, visibility(\"hidden\")));\n"
    "extern char __ehdr_start[] __attribute__((visibility(\"hidden\")));\n"
    "extern char _end[] __attribute__((visibility(\"hidden\")));\n"
    "#define __syncthreads() emulated.wait(emulated.user, __LINE__)\n"
    "#define __syncwarp() ((void)emulated.exchange(emulated.user, 0, 0))\n"
    "static inline emulated_word emulated_bits(const void *x, const int bytes)\n"
    "{\n    emulated_word bits = 0;\n    __builtin_memcpy(&bits, x, bytes);\n    return bits;\n}\n"
    "#define EMULATED_SHUFFLE(x, lane) ({ __typeof__((x) + 0) value_ = (x); \\\n"
    "    emulated_word bits_ = emulated.exchange(emulated.user, emulated_bits(&value_, sizeof "
    "value_), (lane)); \\\n"
    "    __builtin_memcpy(&value_, &bits_, sizeof value_); value_; })\n"
    "#define emulated_lane ((int)threadIdx.x & 31)\n"
    "#define __shfl_sync(mask, x, from) EMULATED_SHUFFLE(x, from)\n"
    "#define __shfl_xor_sync(mask, x, by) EMULATED_SHUFFLE(x, emulated_lane ^ (by))\n"
    "#define __shfl_down_sync(mask, x, by) EMULATED_SHUFFLE(x, emulated_lane + (by) < 32 ? "
    "emulated_lane + (by) : emulated_lane)\n"
    "#define __shfl_up_sync(mask, x, by) EMULATED_SHUFFLE(x, emulated_lane >= (by) ? emulated_lane "
    "- (by) : emulated_lane)\n"
    "#define __ballot_sync(mask, truth) emulated.ballot(emulated.user, !!(truth))\n"
    "#define __any_sync(mask, truth) (__ballot_sync(mask, truth) != 0)\n"
    "#define __all_sync(mask, truth) (__ballot_sync(mask, !(truth)) == 0)\n"
    "#define EMULATED_BITS(name, to, from) static inline to name(const from x) { union { from x; "
    "to "
    "y; } both = { x }; return both.y; }\n"
    "EMULATED_BITS(__int_as_float, float, int)\n"
    "EMULATED_BITS(__float_as_int, int, float)\n"
    "EMULATED_BITS(__longlong_as_double, double, long long)\n"
    "EMULATED_BITS(__double_as_longlong, long long, double)\n"
    "#define __fmaf_rn __builtin_fmaf\n"
    "#define __fma_rn __builtin_fma\n"
    "#define __fsqrt_rn __builtin_sqrtf\n"
    "#define __dsqrt_rn __builtin_sqrt\n";
static const char *const functions[] = { "rintf", "floorf", "ceilf", "truncf", "fmodf", "rint",
                                         "floor", "ceil",   "trunc", "fmod",   "sin",   "cos",
                                         "tan",   "asin",   "acos",  "atan",   "atan2", "sinh",
                                         "cosh",  "asinh",  "acosh", "atanh",  "erf",   "erfc",
                                         "exp2",  "expm1",  "log1p", "pow" };

/*
 * What a warp does together. Of ldmatrix each thread gets 4 bytes of each matrix; of mma it has 4
 * by 2 results, and what the others have of the operands it reads from them: so a fragment that was
 * dealt out otherwise gives other numbers. Products are added one after the other, as in C; a GPU
 * adds those of a fragment in an order of its own.
 */
static const char warps[] =
    "typedef unsigned short emulated_half __attribute__((may_alias));\n"
    "typedef unsigned emulated_whole __attribute__((may_alias));\n"
    "static inline void emulated_matrices(unsigned *to, const void *row, const int turned)\n"
    "{\n"
    "    const int member = emulated_lane, word = member % 4, line = member / 4;\n"
    "    if ((unsigned long)row % 16)\n"
    "        emulated.fault(emulated.user, \"a row of a matrix at an address that is no multiple "
    "of 16\");\n"
    "    for (int m = 0; m < 4; m++) {\n"
    "        if (turned) {\n"
    "            const unsigned long a = EMULATED_SHUFFLE((unsigned long)row, 8 * m + 2 * word);\n"
    "            const unsigned long b = EMULATED_SHUFFLE((unsigned long)row, 8 * m + 2 * word + "
    "1);\n"
    "            to[m] = ((const emulated_half *)a)[line] | (unsigned)((const emulated_half "
    "*)b)[line] << 16;\n"
    "        } else {\n"
    "            const unsigned long a = EMULATED_SHUFFLE((unsigned long)row, 8 * m + line);\n"
    "            to[m] = ((const emulated_whole *)a)[word];\n"
    "        }\n"
    "    }\n"
    "}\n"
    "static unsigned emulated_words[32][32][8];\n"
    "static inline float emulated_term(const unsigned (*word)[8], const int from, const int row, "
    "const int at, const int deep)\n"
    "{\n"
    "    const int part = at / (deep / 2), in = at % (deep / 2), halves = deep / 8;\n"
    "    const unsigned w = word[4 * (row % 8) + in / halves][from + row / 8 + 2 * part];\n"
    "    return __int_as_float((int)(halves == 1 ? w & 0xffffe000u : in % 2 ? w & 0xffff0000u : w "
    "<< 16));\n"
    "}\n"
    "static inline EMULATED_UNSEEN void emulated_multiply(float *const *sum, const unsigned *x, "
    "const unsigned *y, const int deep)\n"
    "{\n"
    "    unsigned (*word)[8] = emulated_words[threadIdx.x / 32];\n"
    "    const int member = emulated_lane;\n"
    "    for (int i = 0; i < 8; i++)\n"
    "        word[member][i] = i < 4 ? x[i] : y[i - 4];\n"
    "    __syncwarp();\n"
    "    for (int i = 0; i < 8; i++)\n"
    "        for (int k = 0; k < deep; k++)\n"
    "            *sum[i] = __builtin_fmaf(\n"
    "                emulated_term(word, 0, i / 4 * 8 + member / 4, k, deep),\n"
    "                emulated_term(word, 4, i % 4 / 2 * 8 + member % 4 * 2 + i % 2, k, deep), "
    "*sum[i]);\n"
    "    __syncwarp();\n"
    "}\n";

/* loads and stores tell of themselves, where the compiler was asked for it */
static const char watched[] =
    "#define EMULATED_TOUCH(name, bytes, store) \\\n"
    "    __attribute__((visibility(\"hidden\"), no_sanitize(\"coverage\"))) void name(const void "
    "*x) "
    "\\\n"
    "    { if (emulated.touch) emulated.touch(emulated.user, x, bytes, store); }\n"
    "EMULATED_TOUCH(__sanitizer_cov_load1, 1, 0)\nEMULATED_TOUCH(__sanitizer_cov_load2, 2, 0)\n"
    "EMULATED_TOUCH(__sanitizer_cov_load4, 4, 0)\nEMULATED_TOUCH(__sanitizer_cov_load8, 8, 0)\n"
    "EMULATED_TOUCH(__sanitizer_cov_load16, 16, 0)\nEMULATED_TOUCH(__sanitizer_cov_store1, 1, 1)\n"
    "EMULATED_TOUCH(__sanitizer_cov_store2, 2, 1)\nEMULATED_TOUCH(__sanitizer_cov_store4, 4, 1)\n"
    "EMULATED_TOUCH(__sanitizer_cov_store8, 8, 1)\nEMULATED_TOUCH(__sanitizer_cov_store16, 16, "
    "1)\n";

static const char linkage[] = "extern \"C\" ";
static const char head[] = "extern \"C\" __global__ void ";

/* "const char *" of "const char *a, const long n": its length; from, behind that argument */
static int next_type(const char **from, const char *end, const char **type)
{
    const char *comma = memchr(*from, ',', (size_t)(end - *from)), *to = comma ? comma : end;

    *type = *from;
    *from = comma ? comma + 1 : end;
    while (to > *type && to[-1] != ' ' && to[-1] != '*')
        to--;
    return (int)(to - *type);
}

/* A call with each argument from where its address is, and how many words each has. */
static void put_caller(struct ir_text *out, const char *name, int length, const char *open,
                       const char *close, bool checked)
{
    const char *type;
    int size, i = 0;

    ir_put(out, "%sstatic void emulated_call_%.*s(void **argument)\n{\n    %.*s(",
           checked ? "__attribute__((no_sanitize(\"coverage\"))) " : "", length, name, length,
           name);
    for (const char *at = open; at < close; i++) {
        size = next_type(&at, close, &type);
        ir_put(out, "%s*(%.*s*)argument[%d]", i ? ", " : "", size, type, i);
    }
    ir_put(out, ");\n}\nstatic const int emulated_words_%.*s[] = { ", length, name);
    for (const char *at = open; at < close;) {
        size = next_type(&at, close, &type);
        ir_put(out, "sizeof(%.*s) / 8, ", size, type);
    }
    ir_put(out, "0 };\n");
}

bool run_emulated_text(struct ir_text *out, const char *text, bool checked)
{
    struct ir_text callers = { 0 }, table = { 0 };
    const char *at = text;
    bool good = true;

    ir_put(out, "%s", before);
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++)
        ir_put(out, "#define %s __builtin_%s\n", functions[i], functions[i]);
    ir_put(out, "#define EMULATED_UNSEEN %s\n%s",
           checked ? "__attribute__((no_sanitize(\"coverage\")))" : "", warps);
    if (checked)
        ir_put(out, "%s", watched);
    for (const char *next; (next = strstr(at, linkage)); at = next + strlen(linkage)) {
        ir_put_bytes(out, at, (size_t)(next - at));
        if (strncmp(next, head, strlen(head)) != 0)
            continue;
        const char *name = next + strlen(head), *bound = "__launch_bounds__(";
        long threads = 1024;
        if (strncmp(name, bound, strlen(bound)) == 0) {
            threads = strtol(name + strlen(bound), (char **)&name, 10);
            name += strspn(name, ") ");
        }
        const char *open = strchr(name, '('), *close = open ? strchr(open, ')') : NULL;
        if (!close) {
            good = false;
            break;
        }
        const int length = (int)(open - name);
        put_caller(&callers, name, length, open + 1, close, checked);
        ir_put(&table, "    { \"%.*s\", emulated_call_%.*s, %ld, emulated_words_%.*s },\n", length,
               name, length, name, threads, length, name);
    }
    ir_put(out, "%s\n%s", at, callers.size ? callers.data : "");
    ir_put(out,
           "#define EMULATED_EXPORT __attribute__((visibility(\"default\")))\n"
           "struct emulated_kernel { const char *name; void (*call)(void **); long threads; "
           "const int *words; };\n"
           "EMULATED_EXPORT const struct emulated_kernel emulated_kernels[] = {\n%s    { 0, 0, 0, "
           "0 }\n};\n"
           "static int emulated_busy;\n"
           "EMULATED_EXPORT struct emulated_machine *emulated_machine(char *at[4], int **lock)\n"
           "{\n    at[0] = __start_emulated_shared;\n    at[1] = __stop_emulated_shared;\n"
           "    at[2] = __ehdr_start;\n    at[3] = _end;\n    *lock = &emulated_busy;\n"
           "    return &emulated;\n}\n",
           table.size ? table.data : "");
    ir_text_free(&callers);
    ir_text_free(&table);
    return good;
}

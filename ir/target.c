/*
 * Machines. `native` is the row that fits the processor at hand, compiled for exactly it: schedules
 * are chosen by the row, so that two processors of one kind get the same text.
 */
#include "ir/ir.h"

#include <string.h>

static const struct ir_target targets[] = {
#define TARGET(name, lanes, registers, l1, l2, l3, fma, processors, flags) \
    { #name, lanes, registers, l1, l2, l3, fma, processors, flags },
#include "ir/target.def"
#undef TARGET
};

#if defined(__x86_64__) || defined(__i386__)
#define NATIVE "-march=native"
#else
#define NATIVE "-mcpu=native"
#endif

/* the same rows; a machine of 64-byte vectors is told to use them */
static const struct ir_target natives[] = {
#define TARGET(name, lanes, registers, l1, l2, l3, fma, processors, flags) \
    { "native", lanes,      registers,                                     \
      l1,       l2,         l3,                                            \
      fma,      processors, (lanes) == 16 ? NATIVE " -mprefer-vector-width=512" : NATIVE },
#include "ir/target.def"
#undef TARGET
};

static int row(const char *name)
{
    for (size_t i = 0; i < sizeof targets / sizeof *targets; i++) {
        const char *a = targets[i].name, *b = name;
        while (*a && (*a == *b || (*a == '_' && *b == '-'))) /* x86-64-v3 is x86_64_v3 */
            a++, b++;
        if (!*a && !*b)
            return (int)i;
    }
    return -1;
}

static const char *processor(void)
{
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq"))
        return "x86_64_v4";
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        return "x86_64_v3";
#elif defined(__aarch64__)
    return "armv8";
#endif
    return "generic";
}

const struct ir_target *ir_target_by_name(const char *name)
{
    int found;

    if (strcmp(name, "native") == 0)
        return &natives[row(processor())];
    found = row(name);
    return found < 0 ? NULL : &targets[found];
}

bool ir_target_is_here(const struct ir_target *t)
{
    const bool arm = strcmp(t->name, "armv8") == 0, other = strcmp(t->name, "cortex_m") == 0;

    if (t->processors || other)
        return false;
#if defined(__x86_64__)
    return !arm;
#elif defined(__aarch64__)
    return strncmp(t->name, "x86", 3) != 0;
#else
    return !arm && strncmp(t->name, "x86", 3) != 0;
#endif
}

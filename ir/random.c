/*
 * random: numbers from counters. A number is a function of a key and of its place, so any layout
 * and any thread gives the same.
 */
#include "evaluate.h"

#include <math.h>
#include <string.h>

/* Philox4x32-10: ten rounds of two 32 x 32 multiplications (Salmon, Moraes, Dror, Shaw: Parallel
 * Random Numbers, SC 2011). */
void ir_philox(uint32_t out[4], const uint32_t key[2], const uint32_t counter[4])
{
    uint32_t k0 = key[0], k1 = key[1];
    uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3];

    for (int round = 0; round < 10; round++) {
        const uint64_t p0 = (uint64_t)0xD2511F53 * c0, p1 = (uint64_t)0xCD9E8D57 * c2;

        c0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
        c1 = (uint32_t)p1;
        c2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c3 = (uint32_t)p0;
        k0 += 0x9E3779B9;
        k1 += 0xBB67AE85;
    }
    out[0] = c0;
    out[1] = c1;
    out[2] = c2;
    out[3] = c3;
}

/* FNV-1a of the name, with the seed mixed in: states of different names start differently. */
static uint64_t key_of(const char *name, uint64_t seed)
{
    uint64_t h = 0xCBF29CE484222325;

    for (const char *c = name ? name : ""; *c; c++)
        h = (h ^ (unsigned char)*c) * 0x100000001B3;
    h ^= seed * 0x9E3779B97F4A7C15;
    h = (h ^ (h >> 30)) * 0xBF58476D1CE4E5B9;
    return h ^ (h >> 27);
}

static double unit(uint32_t hi, uint32_t lo) /* 53 bits in [0, 1) */
{
    return (double)(((uint64_t)hi << 32 | lo) >> 11) * 0x1p-53;
}

/* Elements 2i and 2i + 1 share the counter i: one uniform number each, or the two of Box and
 * Muller. */
static void pair(double out[2], enum ir_init kind, double a, double b, const uint32_t key[2],
                 uint64_t i)
{
    const uint32_t counter[4] = { (uint32_t)i, (uint32_t)(i >> 32), 0, 0 };
    uint32_t word[4];
    double u, v;

    ir_philox(word, key, counter);
    u = unit(word[0], word[1]);
    v = unit(word[2], word[3]);
    if (kind == IR_INIT_UNIFORM) {
        out[0] = a + (b - a) * u;
        out[1] = a + (b - a) * v;
    } else {
        const double radius = b * sqrt(-2 * log(1 - u)), angle = 6.283185307179586477 * v;

        out[0] = a + radius * cos(angle);
        out[1] = a + radius * sin(angle);
    }
}

void ir_init_fill(const struct ir_node *state, uint64_t seed, void *data, int64_t elements)
{
    const struct ir_list init = state->attr[0];
    const enum ir_init kind = init.count ? (enum ir_init)init.at[0] : IR_INIT_ZERO;
    const uint64_t k = key_of(state->text, seed);
    const uint32_t key[2] = { (uint32_t)k, (uint32_t)(k >> 32) };
    struct ir_array to = { .dtype = state->dtype, .data = data };
    double a = 0, b = 0, two[2];

    if (init.count == 3) {
        memcpy(&a, &init.at[1], sizeof a);
        memcpy(&b, &init.at[2], sizeof b);
    }
    two[0] = two[1] = kind == IR_INIT_ZERO ? 0 : a;
    for (int64_t i = 0; i < elements; i += 2) {
        if (kind != IR_INIT_ZERO && kind != IR_INIT_CONSTANT)
            pair(two, kind, a, b, key, (uint64_t)i / 2);
        ir_store_real(&to, i, elements - i < 2 ? 1 : 2, two);
    }
}

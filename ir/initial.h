/*
 * How numbers begin: each is a function of the seed, the state's name and its index, so any order
 * in memory, machine and thread begins with the same.
 */
// random.c includes this text, and codegen prints it into what it generates, as it does the parts
// of runtime/parts.
#ifndef PART_INITIAL_H
#define PART_INITIAL_H

enum initial_kind { INITIAL_ZERO, INITIAL_CONSTANT, INITIAL_UNIFORM, INITIAL_NORMAL };

/* Philox4x32-10: ten rounds of two 32 x 32 multiplications (Salmon, Moraes, Dror, Shaw: Parallel
 * Random Numbers, SC 2011). */
PART void initial_philox(uint32_t out[4], const uint32_t key[2], const uint32_t counter[4])
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
PART void initial_key(uint32_t key[2], const char *name, uint64_t seed)
{
    uint64_t h = 0xCBF29CE484222325;

    for (const char *c = name; *c; c++)
        h = (h ^ (unsigned char)*c) * 0x100000001B3;
    h ^= seed * 0x9E3779B97F4A7C15;
    h = (h ^ (h >> 30)) * 0xBF58476D1CE4E5B9;
    h ^= h >> 27;
    key[0] = (uint32_t)h;
    key[1] = (uint32_t)(h >> 32);
}

PART double initial_unit(uint32_t hi, uint32_t lo) /* 53 bits in [0, 1) */
{
    return (double)(((uint64_t)hi << 32 | lo) >> 11) * 0x1p-53;
}

/*
 * Elements 2i and 2i + 1: a constant a, uniform in a..b, or normal of mean a and deviation b. They
 * share the counter i: one uniform number each, or the two of Box and Muller.
 */
PART void initial_pair(double out[2], enum initial_kind kind, double a, double b,
                       const uint32_t key[2], uint64_t i)
{
    const uint32_t counter[4] = { (uint32_t)i, (uint32_t)(i >> 32), 0, 0 };
    uint32_t word[4];
    double u, v;

    out[0] = out[1] = kind == INITIAL_ZERO ? 0 : a;
    if (kind == INITIAL_ZERO || kind == INITIAL_CONSTANT)
        return;
    initial_philox(word, key, counter);
    u = initial_unit(word[0], word[1]);
    v = initial_unit(word[2], word[3]);
    if (kind == INITIAL_UNIFORM) {
        out[0] = a + (b - a) * u;
        out[1] = a + (b - a) * v;
    }
#ifndef INITIAL_HAS_NO_NORMAL
    else {
        const double radius = b * sqrt(-2 * log(1 - u)), angle = 6.283185307179586477 * v;

        out[0] = a + radius * cos(angle);
        out[1] = a + radius * sin(angle);
    }
#endif
}

#endif

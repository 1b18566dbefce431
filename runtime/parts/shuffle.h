/*
 * The order of an epoch: a keyed permutation that is computed, not stored.
 *
 * A Feistel network over the next power of two is walked until it lands inside. So (seed, epoch,
 * index) is the whole state: no table, and the same rows on every machine.
 */
#ifndef PART_SHUFFLE_H
#define PART_SHUFFLE_H

struct shuffle {
    uint64_t count, key[6];
    int low_bits, high_bits;
};

/* A bijection on 64 bits that leaves no pattern. */
PART inline uint64_t shuffle_mix(uint64_t x)
{
    x = (x ^ x >> 32) * 0xd6e8feb86659fd93u;
    x = (x ^ x >> 32) * 0xd6e8feb86659fd93u;
    return x ^ x >> 32;
}

PART struct shuffle shuffle_of(uint64_t count, uint64_t seed, uint64_t epoch)
{
    struct shuffle s = { .count = count };
    int bits = 6; /* with fewer the rounds have too little to mix */

    while (bits < 62 && (uint64_t)1 << bits < count)
        bits++;
    s.low_bits = bits / 2;
    s.high_bits = bits - bits / 2;
    for (int round = 0; round < 6; round++)
        s.key[round] = shuffle_mix(shuffle_mix(shuffle_mix(seed + 1) + epoch) + (uint64_t)round);
    return s;
}

/* The top bits of two products: each depends on all bits of the half and of the key. */
PART inline uint64_t shuffle_round(uint64_t half, uint64_t key, int bits)
{
    return ((half ^ key) * 0x9e3779b97f4a7c15u ^ key) * 0xd6e8feb86659fd93u >> (64 - bits);
}

/* Where the permutation sends 0 <= index < count. */
PART uint64_t shuffle_place(const struct shuffle *s, uint64_t index)
{
    do { /* inside [0, count) again after at most two turns on average, from 33 on */
        uint64_t low = index & (((uint64_t)1 << s->low_bits) - 1), high = index >> s->low_bits;

        for (int round = 0; round < 6; round += 2) {
            high ^= shuffle_round(low, s->key[round], s->high_bits);
            low ^= shuffle_round(high, s->key[round + 1], s->low_bits);
        }
        index = high << s->low_bits | low;
    } while (index >= s->count);
    return index;
}

#endif

/*
 * random: numbers from counters. A number is a function of a key and of its place, so any layout
 * and any thread gives the same.
 */
#include "evaluate.h"

#include <math.h>
#include <string.h>

#define PART static
#include "initial.h"

void ir_philox(uint32_t out[4], const uint32_t key[2], const uint32_t counter[4])
{
    initial_philox(out, key, counter);
}

void ir_init_fill(const struct ir_node *state, uint64_t seed, int64_t first, int64_t elements,
                  void *data)
{
    const struct ir_list init = state->attr[0];
    const enum initial_kind kind = init.count ? (enum initial_kind)init.at[0] : INITIAL_ZERO;
    struct ir_array to = { .dtype = state->dtype, .data = data };
    double a = 0, b = 0, two[2];
    uint32_t key[2];

    _Static_assert((int)IR_INIT_ZERO == INITIAL_ZERO && (int)IR_INIT_CONSTANT == INITIAL_CONSTANT &&
                       (int)IR_INIT_UNIFORM == INITIAL_UNIFORM &&
                       (int)IR_INIT_NORMAL == INITIAL_NORMAL,
                   "the part's kinds are ours");
    if (init.count == 3) {
        memcpy(&a, &init.at[1], sizeof a);
        memcpy(&b, &init.at[2], sizeof b);
    }
    initial_key(key, state->text ? state->text : "", seed);
    for (int64_t i = 0, n; i < elements; i += n) {
        const int64_t half = (first + i) % 2;
        initial_pair(two, kind, a, b, key, (uint64_t)(first + i) / 2);
        n = half || elements - i < 2 ? 1 : 2;
        ir_store_real(&to, i, n, two + half);
    }
}

/*
 * Fused equals eager equals interpreter, on random graphs: the interpreter within rounding, fused
 * and eager and any number of threads to the last bit.
 */
#include "random.h"
#include "support.h"
#include "support_compiled.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

static bool same_bits(const struct ir_array *a, const struct ir_array *b, struct ir_text *why)
{
    return random_equal(a, b, 0, 0, why);
}

static bool fused_eager_interpreter(struct random_case *c, void *user, struct ir_text *why)
{
    struct ir_array *want = random_values(c);
    struct ir_array *fused, *eager;
    int n = random_value_count(c);

    (void)user;
    if (!want)
        return true;
    fused = compiled_values(c, &(struct compiled_how){ .fuse = true, .threads = 2 });
    if (!fused) {
        ir_put(why, "fused: %s", c->error.text);
        bool unsupported = c->error.status == IR_UNSUPPORTED;
        return unsupported;
    }
    eager = compiled_values(c, &(struct compiled_how){ .fuse = false, .threads = 1 });
    if (!eager) {
        ir_put(why, "eager: %s", c->error.text);
        return false;
    }
    for (int i = 0; i < n; i++) {
        if (i < c->graph->output_count &&
            ir_at(c->graph, c->graph->outputs[i].value)->op == IR_state)
            continue; /* a state's memory shows it after the run; whoever wants it as it was copies
                         it */
        ir_put(why, "value %d fused against interpreter: ", i);
        if (!random_equal(&want[i], &fused[i], 2e-5, 2e-5, why))
            return false;
        ir_put(why, "value %d fused against eager: ", i);
        if (!same_bits(&fused[i], &eager[i], why))
            return false;
    }
    return true;
}

Test(compiled, fused_equals_eager_equals_interpreter)
{
    const char *only = getenv("SEED");
    uint64_t from = only ? strtoull(only, NULL, 10) : 1, count = only             ? 1
                                                                 : support_long() ? 2000
                                                                                  : 500;

    for (uint64_t seed = from; seed < from + count; seed++)
        cr_expect(random_holds(fused_eager_interpreter, NULL, seed,
                               &(struct random_options){ .symbolic = seed % 3 == 0 }),
                  "seed %lu", (unsigned long)seed);
}

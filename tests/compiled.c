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
    const uint64_t from = only ? strtoull(only, NULL, 10) : 1,
                   count = only ? 1 : (uint64_t)support_cases(support_fewer(500), 2000);

    for (uint64_t seed = from; seed < from + count; seed++)
        cr_expect(random_holds(fused_eager_interpreter, NULL, seed,
                               &(struct random_options){ .symbolic = seed % 3 == 0 }),
                  "seed %lu", (unsigned long)seed);
}

/* Products that are shared by threads, or packed: random graphs are too small for either. */
static const struct product {
    const char *text;
    struct ir_shape a, b;
} products[] = {
    /* tiles of two heights, side by side on two threads */
    { "step(a: f32[131 40], b: f32[70 40]) {\n"
      "  %1 = dot a, b mk,nk->mn : f32[131 70]\n"
      "  return y=%1\n}\n",
      { 2, { 131, 40 } },
      { 2, { 70, 40 } } },
    /* a sum over two axes, of rows that lie 2 KiB apart */
    { "step(a: f32[3 7 130], b: f32[3 7 512]) {\n"
      "  %1 = dot a, b abm,abn->mn : f32[130 512]\n"
      "  return y=%1\n}\n",
      { 3, { 3, 7, 130 } },
      { 3, { 3, 7, 512 } } },
};

static void compare_product(const struct product *p, bool fuse)
{
    struct random_case c = { .arena = ir_arena_new(), .bindings = 2 };
    struct ir_module *m = ir_parse("product.tp", p->text, strlen(p->text), &c.error);
    static float a[6000], b[12000];

    cr_assert(m, "%s", c.error.text);
    for (int i = 0; i < 6000; i++)
        a[i] = (float)(i % 17 - 8) / 8;
    for (int i = 0; i < 12000; i++)
        b[i] = (float)(i % 13 - 6) / 4;
    c.graph = m->program[0]->graph;
    c.binding[0] = (struct ir_binding){ "a", { IR_F32, p->a, a } };
    c.binding[1] = (struct ir_binding){ "b", { IR_F32, p->b, b } };
    struct ir_array *want = random_values(&c);
    struct ir_array *got =
        compiled_values(&c, &(struct compiled_how){ .fuse = fuse, .threads = 2 });
    struct ir_text why = { 0 };
    cr_assert(want && got, "%s", c.error.text);
    cr_expect(random_equal(want, got, 1e-6, 1e-6, &why), "%s: %s", p->text, why.data);
    ir_text_free(&why);
    ir_module_free(m);
    ir_arena_free(c.arena);
}

Test(compiled, products_of_odd_extents_are_right)
{
    for (size_t i = 0; i < sizeof products / sizeof *products; i++) {
        compare_product(&products[i], true);
        compare_product(&products[i], false);
    }
}

/*
 * Loop nests: index expressions mean what they say, the text form goes both ways, and every kernel
 * that lowering and scheduling make of a random graph is sound.
 */
#include "random.h"
#include "support.h"
#include "support_loops.h"

#include <criterion/criterion.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static uint64_t next(uint64_t *state)
{
    uint64_t x = *state += UINT64_C(0x9e3779b97f4a7c15);

    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

static int64_t pick(uint64_t *state, int64_t lo, int64_t hi)
{
    return lo + (int64_t)(next(state) % (uint64_t)(hi - lo + 1));
}

/* --- index expressions
 * ----------------------------------------------------------------------------
 *
 * A random formula is evaluated as it is written, and built with the functions of loop_index.c;
 * both at every index of the axes.
 */

enum { AXES = 3, NODES = 14 };
struct formula {
    char op; /* c a + * / % */
    int left, right;
    int64_t number; /* constant, axis, scale or divisor */
};
struct world {
    struct ir_arena *arena;
    struct ir_graph *graph;
    struct loop_kernel *k;
    struct formula node[NODES];
    loop_ix ix[NODES];
    int count;
    int64_t at[AXES];
};

static int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b != 0 && a < 0);
}

static int64_t meant(const struct world *w, int n)
{
    const struct formula *f = &w->node[n];
    int64_t a = f->left >= 0 ? meant(w, f->left) : 0;

    switch (f->op) {
    case 'c':
        return f->number;
    case 'a':
        return w->at[f->number];
    case '+':
        return a + meant(w, f->right);
    case '*':
        return a * f->number;
    case '/':
        return floor_div(a, f->number);
    default:
        return a - f->number * floor_div(a, f->number);
    }
}

static int64_t found(const struct world *w, loop_ix ix)
{
    const struct loop_sum *s = &w->k->sum[ix];
    int64_t sum = s->constant;

    for (int i = 0; i < s->count; i++) {
        const struct loop_atom *a = &w->k->atom[s->term[i].atom];
        sum += s->term[i].scale *
               (a->kind == LOOP_ATOM_AXIS ? w->at[a->a] : floor_div(found(w, a->a), a->divisor));
    }
    return sum;
}

static bool step(struct world *w)
{
    for (int a = 0; a < AXES; a++) {
        if (++w->at[a] < w->k->axis[a].hi)
            return true;
        w->at[a] = w->k->axis[a].lo;
    }
    return false;
}

static void start(struct world *w)
{
    for (int a = 0; a < AXES; a++)
        w->at[a] = w->k->axis[a].lo;
}

static loop_ix built(struct world *w, const struct formula *f)
{
    switch (f->op) {
    case 'c':
        return loop_const(w->k, f->number);
    case 'a':
        return loop_axis_ix(w->k, (int)f->number);
    case '+':
        return loop_plus(w->k, w->ix[f->left], w->ix[f->right]);
    case '*':
        return loop_scale(w->k, w->ix[f->left], f->number);
    case '/':
        return loop_div(w->k, w->ix[f->left], f->number);
    default:
        return loop_mod(w->k, w->ix[f->left], f->number);
    }
}

static void make_world(struct world *w, uint64_t *state)
{
    static const char *const names[AXES] = { "i", "j", "k" };
    static const int64_t divisors[] = { 1, 2, 3, 4, 6, 8, 12, 16, 5 };

    *w = (struct world){ .arena = ir_arena_new() };
    w->graph = ir_graph_new("g", NULL);
    w->k = loop_kernel_new(w->arena, w->graph, "k");
    for (int a = 0; a < AXES; a++) {
        int64_t extent = divisors[next(state) % 9];
        loop_axis_new(w->k, names[a], loop_const(w->k, extent), extent);
        if (next(state) % 4 == 0) {
            w->k->axis[a].lo = pick(state, -3, extent - 1);
            w->k->axis[a].from = loop_const(w->k, w->k->axis[a].lo);
        }
    }
    while (w->count < NODES) {
        struct formula f = { .op = "aac++**//%"[next(state) % 10], .left = -1 };
        if (w->count < 4)
            f.op = "aaac"[w->count];
        if (f.op != 'a' && f.op != 'c')
            f.left = (int)(next(state) % (uint64_t)w->count);
        if (f.op == '+')
            f.right = (int)(next(state) % (uint64_t)w->count);
        f.number = f.op == 'c'   ? pick(state, -20, 20)
                   : f.op == 'a' ? (w->count < AXES ? w->count : pick(state, 0, AXES - 1))
                   : f.op == '*'
                       ? (next(state) % 2 ? divisors[next(state) % 9] : pick(state, -3, 3))
                       : divisors[next(state) % 9];
        w->node[w->count] = f;
        w->ix[w->count++] = built(w, &f);
    }
}

static void free_world(struct world *w)
{
    ir_graph_free(w->graph);
    ir_arena_free(w->arena);
}

Test(loop, expressions_mean_what_they_say)
{
    uint64_t state = 1;
    int64_t looked = 0, tight = 0;

    for (int round = 0; round < (support_long() ? 20000 : 2000); round++) {
        struct world w;
        make_world(&w, &state);
        for (int n = 0; n < NODES; n++) {
            int64_t lo, hi, least = INT64_MAX, most = INT64_MIN, constant;
            uint64_t moves = 0, axes = loop_axes_of(w.k, w.ix[n]);
            loop_range(w.k, w.ix[n], &lo, &hi);
            start(&w);
            do {
                int64_t want = meant(&w, n), got = found(&w, w.ix[n]);
                cr_assert(want == got, "round %d: expression %d is %" PRId64 ", not %" PRId64,
                          round, n, got, want);
                cr_assert(lo <= got && got <= hi,
                          "round %d: %" PRId64 " is outside of %" PRId64 "..%" PRId64, round, got,
                          lo, hi);
                least = got < least ? got : least;
                most = got > most ? got : most;
                for (int a = 0; a < AXES;
                     a++) { /* does it move with this axis? then it is said to */
                    bool linear;
                    int64_t before = w.at[a], scale = loop_coefficient(w.k, w.ix[n], a, &linear);
                    if (before + 1 >= w.k->axis[a].hi)
                        continue;
                    w.at[a]++;
                    int64_t moved = meant(&w, n) - want;
                    w.at[a] = before;
                    moves |= (uint64_t)(moved != 0) << a;
                    cr_assert(!linear || moved == scale,
                              "round %d: a step along %d moves by %" PRId64 ", not %" PRId64, round,
                              a, moved, scale);
                }
                looked++;
            } while (step(&w));
            tight += lo == least && hi == most;
            cr_assert((moves & ~axes) == 0, "round %d: it moves with an axis that it does not name",
                      round);
            cr_assert(least == most || !loop_is_const(w.k, w.ix[n], &constant),
                      "round %d: no constant", round);
        }
        free_world(&w);
    }
    cr_expect(looked > 1000000, "%" PRId64 " numbers were compared", looked);
    cr_expect(tight > 20000, "%" PRId64 " ranges were exact", tight);
}

Test(loop, equal_expressions_have_equal_numbers)
{
    uint64_t state = 2;

    for (int round = 0; round < 2000; round++) {
        struct world w;
        make_world(&w, &state);
        loop_ix a = w.ix[pick(&state, 0, NODES - 1)], b = w.ix[pick(&state, 0, NODES - 1)],
                c = w.ix[pick(&state, 0, NODES - 1)];
        int64_t d = pick(&state, 1, 9), s = pick(&state, -9, 9);
        struct loop_kernel *k = w.k;
        cr_assert_eq(loop_plus(k, a, b), loop_plus(k, b, a));
        cr_assert_eq(loop_plus(k, loop_plus(k, a, b), c), loop_plus(k, a, loop_plus(k, b, c)));
        cr_assert_eq(loop_plus(k, loop_scale(k, a, s), loop_scale(k, b, s)),
                     loop_scale(k, loop_plus(k, a, b), s));
        cr_assert_eq(loop_plus(k, a, loop_scale(k, a, -1)), 0);
        cr_assert_eq(loop_plus(k, loop_plus(k, a, b), loop_scale(k, b, -1)), a);
        cr_assert_eq(loop_plus(k, loop_mod(k, a, d), loop_scale(k, loop_div(k, a, d), d)), a);
        for (uint32_t i = 0; i < k->sums; i++) /* and no two sums are alike */
            for (uint32_t j = 0; j < i; j++) {
                bool same =
                    k->sum[i].constant == k->sum[j].constant && k->sum[i].count == k->sum[j].count;
                for (int t = 0; t < k->sum[i].count && same; t++)
                    same = k->sum[i].term[t].atom == k->sum[j].term[t].atom &&
                           k->sum[i].term[t].scale == k->sum[j].term[t].scale;
                cr_assert(!same, "sums %u and %u are one", i, j);
            }
        free_world(&w);
    }
}

/* Merging axes and taking them apart again is nothing; so is the other way round. */
Test(loop, flatten_and_unflatten_cancel)
{
    uint64_t state = 3;

    for (int round = 0; round < 2000; round++) {
        struct ir_arena *arena = ir_arena_new();
        struct ir_graph *g = ir_graph_new("g", NULL);
        struct loop_kernel *k = loop_kernel_new(arena, g, "k");
        int rank = (int)pick(&state, 2, 4);
        int64_t extent[4];
        loop_ix axis[4], flat = 0, rest;
        for (int i = 0; i < rank; i++) {
            extent[i] = pick(&state, 1, 40);
            axis[i] = loop_axis_ix(k, loop_axis_new(k, "i", loop_const(k, extent[i]), extent[i]));
            flat = loop_plus(k, loop_scale(k, flat, extent[i]), axis[i]);
        }
        rest = flat;
        for (int i = rank; i-- > 0;) {
            cr_assert_eq(i ? loop_mod(k, rest, extent[i]) : rest, axis[i]);
            rest = loop_div(k, rest, extent[i]);
        }
        /* one axis taken apart by the same extents and put together */
        int64_t all = 1;
        for (int i = 0; i < rank; i++)
            all *= extent[i];
        loop_ix whole = loop_axis_ix(k, loop_axis_new(k, "c", loop_const(k, all), all)), part[4];
        rest = whole;
        for (int i = rank; i-- > 0;) {
            part[i] = i ? loop_mod(k, rest, extent[i]) : rest;
            rest = loop_div(k, rest, extent[i]);
        }
        flat = 0;
        for (int i = 0; i < rank; i++)
            flat = loop_plus(k, loop_scale(k, flat, extent[i]), part[i]);
        cr_assert_eq(flat, whole);
        ir_graph_free(g);
        ir_arena_free(arena);
    }
}

Test(loop, an_axis_is_replaced_by_an_expression)
{
    uint64_t state = 4;

    for (int round = 0; round < 3000; round++) {
        struct world w;
        make_world(&w, &state);
        int n = (int)pick(&state, 4, NODES - 1), axis = (int)pick(&state, 0, AXES - 1),
            other = (axis + 1) % AXES;
        int64_t lo, hi, first = w.k->axis[axis].lo, last = w.k->axis[axis].hi - 1;
        /* what stands in for it stays inside its range: an axis moved, turned round or divided */
        loop_ix by = loop_axis_ix(w.k, other);
        loop_range(w.k, by, &lo, &hi);
        if (next(&state) % 2)
            by = loop_plus(w.k, loop_const(w.k, lo + hi), loop_scale(w.k, by, -1));
        by = loop_plus(w.k, by, loop_const(w.k, first - lo));
        if (hi - lo > last - first)
            by = loop_plus(
                w.k, loop_const(w.k, first),
                loop_mod(w.k, loop_plus(w.k, by, loop_const(w.k, -first)), last - first + 1));
        loop_ix out = loop_replace(w.k, w.ix[n], axis, by);
        cr_assert(!(loop_axes_of(w.k, out) >> axis & 1) || (loop_axes_of(w.k, by) >> axis & 1));
        start(&w);
        do {
            int64_t got = found(&w, out), before = w.at[axis];
            w.at[axis] = found(&w, by);
            int64_t want = meant(&w, n);
            w.at[axis] = before;
            cr_assert_eq(got, want, "round %d: %" PRId64 ", not %" PRId64, round, got, want);
        } while (step(&w));
        free_world(&w);
    }
}

Test(loop, conditions_are_settled_only_when_they_are)
{
    uint64_t state = 5;
    int settled = 0;

    for (int round = 0; round < 3000; round++) {
        struct world w;
        make_world(&w, &state);
        struct loop_guard g = { w.ix[pick(&state, 4, NODES - 1)],
                                w.ix[pick(&state, 0, NODES - 1)] };
        int said = loop_guard_state(w.k, &g);
        settled += said >= 0;
        start(&w);
        do {
            int64_t at = found(&w, g.ix);
            bool holds = 0 <= at && at < found(&w, g.limit);
            cr_assert(said == -1 || said == holds, "round %d: said %d, is %d", round, said, holds);
        } while (step(&w));
        free_world(&w);
    }
    cr_expect(settled > 300, "%d conditions were settled", settled);
}

/* Numbers past 64 bits stop far out; nothing wraps. */
Test(loop, far_numbers_do_not_wrap)
{
    struct ir_arena *arena = ir_arena_new();
    struct ir_graph *g = ir_graph_new("g", NULL);
    struct loop_kernel *k = loop_kernel_new(arena, g, "k");
    int64_t lo, hi, far = INT64_C(1) << 62;
    loop_ix x =
        loop_axis_ix(k, loop_axis_new(k, "i", loop_const(k, INT64_C(1) << 40), INT64_C(1) << 40));

    for (int i = 0; i < 12; i++)
        x = loop_plus(k, loop_scale(k, x, INT64_C(1) << 20), loop_const(k, INT64_MAX / 2));
    loop_range(k, x, &lo, &hi);
    cr_expect(hi == far && lo >= 0, "%" PRId64 "..%" PRId64, lo, hi);
    loop_range(k, loop_scale(k, x, -1), &lo, &hi);
    cr_expect(lo == -far && hi <= 0, "%" PRId64 "..%" PRId64, lo, hi);
    x = loop_div(k, loop_div(k, loop_div(k, x, INT64_C(1) << 50), INT64_C(1) << 50), 3);
    loop_range(k, x, &lo, &hi);
    cr_expect(lo >= 0);
    loop_ix y = loop_axis_ix(
        k, loop_axis_new(k, "j", loop_const(k, 1000), 1000)); /* a divisor is not counted through */
    y = loop_mod(k, loop_plus(k, loop_scale(k, y, INT64_C(1000000007)), loop_const(k, 5)),
                 INT64_C(1) << 47);
    loop_range(k, y, &lo, &hi);
    cr_expect(lo == 5 && hi == INT64_C(999) * 1000000007 + 5, "%" PRId64 "..%" PRId64, lo, hi);
    ir_graph_free(g);
    ir_arena_free(arena);
}

/* --- the text
 * ------------------------------------------------------------------------------------- */

static const char example[] = "kernel dot_relu(\n"
                              "    x @1: f32[50176] read, w @2: f32[100352] read, i @3: i32[64] "
                              "read, t: f32[8192] write padded at 0+4096,\n"
                              "    t~2: f32[512] read write scratch) shared barrier 1 flops "
                              "12845056 bytes 635904 \"x w -> relu\" {\n"
                              "  %1 = const 0 : f32\n"
                              "  for m parallel to batch { # mlp.c:14 fc1 {1}\n"
                              "    for n to 7 if 0 <= [4*batch+2] - m < 2*batch {\n"
                              "      for u unroll to 16 {\n"
                              "        %2 = var %1 : f32\n"
                              "        for k ordered to 784 {\n"
                              "          %3 = load x[784*m + k] : f32 else -0.5 if 0 <= k - 3 < "
                              "700 and 0 <= (16*n + u)/3 < 100\n"
                              "          %4 = load w[k + 784*(16*n + u)] : f32\n"
                              "          set %2 = dot %3, %4\n"
                              "          set %2 = add %2, %3 if 0 <= k%7 < 3\n"
                              "        }\n"
                              "        %5 = load i[m] : i32   # \"a file.c\":3\n"
                              "        %6 = cast %5 : i64\n"
                              "        %7 = index 64 - m + %6 : i64\n"
                              "        %8 = bits %6, %7 stream=3 at 128*m + 16*n + u : u32\n"
                              "        %9 = fold max %2 over u : f32\n"
                              "        for r from 3 to 5 {\n"
                              "          store t~2[r] = %9\n"
                              "        }\n"
                              "      }\n"
                              "    }\n"
                              "  }\n"
                              "}\n";

/* print -> parse -> print gives the same text */
static bool reads_back(const struct loop_kernel *k, struct ir_text *why)
{
    struct ir_arena *arena = ir_arena_new();
    struct ir_error error = { 0 };
    struct ir_text once = { 0 }, twice = { 0 };
    struct loop_kernel *again;
    bool same;

    loop_print(&once, k);
    again = loop_parse("printed", once.data, once.size, k->graph, arena, &error);
    if (again)
        loop_print(&twice, again);
    same = again && !strcmp(once.data, twice.data);
    if (!same)
        ir_put(why, "%s\n%s\nreads back as\n%s", error.text, once.data,
               again ? twice.data : "nothing");
    ir_text_free(&once);
    ir_text_free(&twice);
    ir_arena_free(arena);
    return same;
}

Test(loop, text_goes_both_ways)
{
    struct ir_error error = { 0 };
    struct ir_graph *g = support_graph(&error);
    struct ir_arena *arena = ir_arena_new();
    struct ir_text why = { 0 };
    struct loop_kernel *k;

    k = loop_parse("example", example, strlen(example), g, arena, &error);
    cr_assert(k, "%s", error.text);
    cr_expect(reads_back(k, &why), "%s", why.data);
    cr_expect(k->axes == 5 && k->buffers == 5 && k->shared && k->barrier == 1);
    cr_expect_str_eq(k->comment, "x w -> relu");
    cr_expect(k->buffer[3].offset == 4096 && k->buffer[3].padded && k->buffer[4].scratch);
    struct loop_statement *m = k->body.at[1];
    cr_expect(m->kind == LOOP_FOR && k->axis[m->axis].role == LOOP_PARALLEL &&
              k->axis[m->axis].hi == 64);
    cr_expect(m->loc.line == 14 && m->node.id == 1);
    struct loop_statement *load = m->body.at[0]->body.at[0]->body.at[1]->body.at[0];
    cr_expect(load->kind == LOOP_LOAD && load->number == -0.5 && load->guards == 2);
    cr_expect(loop_coefficient(k, load->ix, m->axis, &(bool){ false }) == 784);
    ir_text_free(&why);
    ir_arena_free(arena);
    ir_graph_free(g);
}

/* Whatever bytes a text has: it is refused with its line, or it is a nest that prints, reads back
 * and can be verified. */
Test(loop, mangled_texts_are_refused_or_read)
{
    struct ir_error error = { 0 };
    struct ir_graph *g = support_graph(&error);
    struct ir_arena *arena = ir_arena_new();
    struct loop_kernel *k;
    uint64_t state = 6;
    int read = 0, refused = 0, sound = 0;
    static const char start_text[] =
        "kernel k(x @1: f32[50176] read, t: f32[8192] write) {\n"
        "  for m to batch {\n"
        "    for n to 7 {\n"
        "      for u unroll to 16 {\n"
        "        %1 = load x[784*m + 16*n + u] : f32 else 2 if 0 <= n - 1 < 5\n"
        "        %2 = var %1 : f32\n"
        "        %3 = index (16*n + u)/3 + m%5 : i64\n"
        "        set %2 = dot %1, %1\n"
        "        store t[128*m + 16*n + u] = %2 # mlp.c:3 a {1}\n"
        "      }\n    }\n  }\n}\n";
    static const char *const words[] = { "for ",     "%1",      "99999999999999999999",
                                         "ordered ", "vector ", "-",
                                         "(",        ")",       "4611686018427387904*",
                                         "set ",     "}",       "{",
                                         "\n",       "%0",      "%1048576",
                                         "~2",       "(0..1)",  "/0",
                                         "%7",       "@1",      "step 3 ",
                                         "from m ",  "nan",     "if 0 <= m < n" };

    k = loop_parse("start", start_text, strlen(start_text), g, arena, &error);
    cr_assert(k, "%s", error.text);
    cr_assert(loop_verify(k, &error), "%s", error.text);
    for (int round = 0; round < (support_long() ? 200000 : 20000); round++) {
        struct ir_arena *scratch = ir_arena_new();
        struct ir_error found = { 0 }, unsound = { 0 };
        struct ir_text text = { 0 }, why = { 0 };
        ir_put_bytes(&text, start_text, strlen(start_text));
        for (int edits = (int)pick(&state, 1, 3); edits > 0 && text.size > 1; edits--) {
            size_t at = next(&state) % text.size, length = next(&state) % 8;
            char *tail;
            if (length > text.size - at)
                length = text.size - at;
            const char *word = words[next(&state) % (sizeof words / sizeof *words)];
            switch (next(&state) % 4) {
            case 0:
                text.data[at] = (char)pick(&state, 1, 255);
                break;
            case 1: /* cut */
                memmove(text.data + at, text.data + at + length, text.size - at - length + 1);
                text.size -= length;
                break;
            case 2: /* a word put in */
                tail = strdup(text.data + at);
                text.size = at;
                ir_put(&text, "%s%s", word, tail);
                free(tail);
                break;
            default: /* the end is gone */
                text.size = at;
                text.data[at] = 0;
            }
        }
        struct loop_kernel *m = loop_parse("bad.tp", text.data, text.size, g, scratch, &found);
        if (m) {
            cr_assert(reads_back(m, &why), "%s", why.data);
            sound += loop_verify(m, &unsound);
            read++;
        } else {
            cr_assert(strncmp(found.text, "bad.tp:", 7) == 0 && atoi(found.text + 7) > 0, "%s\n%s",
                      found.text, text.data);
            refused++;
        }
        ir_text_free(&text);
        ir_text_free(&why);
        ir_arena_free(scratch);
    }
    cr_expect(read > 200 && refused > 5000 && sound > 20, "%d read, %d sound, %d refused", read,
              sound, refused);
    ir_arena_free(arena);
    ir_graph_free(g);
}

/* Random expressions, printed and read, are the same expressions. */
Test(loop, expressions_go_both_ways)
{
    uint64_t state = 7;

    for (int round = 0; round < 1000; round++) {
        struct world w;
        struct ir_text why = { 0 };
        make_world(&w, &state);
        struct loop_block *into = &w.k->body;
        for (int a = 0; a < AXES; a++)
            into =
                &loop_add(w.k, into, (struct loop_statement){ .kind = LOOP_FOR, .axis = a })->body;
        for (int n = 0; n < NODES; n++)
            loop_add(w.k, into,
                     (struct loop_statement){ .kind = LOOP_LET,
                                              .dtype = IR_I64,
                                              .value = loop_value_new(w.k, IR_I64),
                                              .ix = w.ix[n] });
        cr_assert(reads_back(w.k, &why), "%s", why.data);
        ir_text_free(&why);
        /* the numbers say the same */
        struct ir_text text = { 0 };
        loop_print(&text, w.k);
        struct ir_error error = { 0 };
        struct world again = w;
        again.k = loop_parse("text", text.data, text.size, w.graph, w.arena, &error);
        cr_assert(again.k, "%s", error.text);
        struct loop_block *inner = &again.k->body;
        for (int a = 0; a < AXES; a++)
            inner = &inner->at[0]->body;
        start(&again);
        do
            for (int n = 0; n < NODES; n++)
                cr_assert_eq(found(&again, inner->at[n]->ix), meant(&again, n));
        while (step(&again));
        ir_text_free(&text);
        free_world(&w);
    }
}

/* --- what a compiler makes of random graphs
 * ------------------------------------------------------- */

struct seen {
    int64_t kernels, refused, sound;
    bool fuse;
};

static bool nests_are_sound(struct random_case *c, void *user, struct ir_text *why)
{
    struct seen *seen = user;
    const struct ir_program program = { .graph = c->graph };
    bool fine = true;

    for (int scheduled = 0; scheduled < 2 && fine; scheduled++) {
        struct support_nests n = {
            .schedule = scheduled, .fuse = seen->fuse, .threads = 4, .arena = ir_arena_new()
        };
        support_nests(&program, &n);
        for (int k = 0; k < n.kernels && fine; k++) {
            ir_put(why, scheduled ? "scheduled: " : "lowered: ");
            fine = !n.kernel[k] || support_sound(n.kernel[k], why);
            if (fine)
                ir_text_free(why);
            seen->kernels++;
            seen->refused += !n.kernel[k];
            seen->sound += n.kernel[k] && fine;
        }
        ir_arena_free(n.arena);
    }
    return fine;
}

Test(loop, nests_of_random_graphs_are_sound, .timeout = 600)
{
    struct seen seen = { 0 };
    int last = support_long() ? 3000 : 300, failures = 0;

    for (int seed = 0; seed < last && failures < 3; seed++) {
        seen.fuse = seed % 3 != 0;
        if (!random_holds(nests_are_sound, &seen, (uint64_t)seed,
                          &(struct random_options){ .symbolic = seed & 1 })) {
            failures++;
            cr_expect(false, "seed %d", seed);
        }
    }
    cr_expect(seen.sound > 4 * last, "%" PRId64 " kernels: %" PRId64 " refused, %" PRId64 " sound",
              seen.kernels, seen.refused, seen.sound);
}

/* --- shapes that are no multiple of anything
 * ------------------------------------------------------ */

/* programs with holes for extents: %1$d %2$d %3$d */
static const char *const shapes[] = {
    "symbol batch in 1..%1$d\nstep(x: f32[batch %3$d], b: f32[%2$d]) {\n  %%3 = state w : f32[%2$d "
    "%3$d] init zero\n"
    "  %%4 = dot x, %%3 mk,nk->mn\n  %%5 = add %%4, b\n  %%6 = relu %%5\n  return %%6\n}\n",
    "step(x: f32[%1$d %3$d], w: f32[%3$d %2$d]) {\n  %%3 = dot x, w mk,kn->mn\n  %%4 = tanh %%3\n  "
    "return %%4\n}\n",
    "symbol batch in 1..%1$d\nstep(x: f32[batch %2$d], g: f32[batch %3$d]) {\n  %%3 = state w : "
    "f32[%3$d %2$d] init zero\n"
    "  %%4 = dot g, x bm,bn->mn\n  %%5 = const 0.1 : f32\n  %%6 = mul %%4, %%5\n  %%7 = sub %%3, "
    "%%6\n  assign %%3, %%7\n}\n",
    "step(q: f32[2 3 %1$d %3$d], k: f32[2 3 %2$d %3$d]) {\n  %%3 = dot q, k bhid,bhjd->bhij\n"
    "  %%4 = amax %%3 axes=[3]\n  %%5 = reshape %%4 : f32[2 3 %1$d 1]\n  %%6 = sub %%3, %%5\n  %%7 "
    "= exp %%6\n"
    "  %%8 = sum %%7 axes=[3]\n  %%9 = reshape %%8 : f32[2 3 %1$d 1]\n  %%10 = div %%7, %%9\n  "
    "return %%10\n}\n",
    "step(x: f32[%1$d %2$d %3$d]) {\n  %%2 = sum x axes=[0 1]\n  %%3 = sum x axes=[1 2]\n  %%4 = "
    "sum x axes=[1]\n"
    "  %%5 = permute x axes=[2 0 1]\n  %%6 = sqrt %%5\n  return %%2, %%3, %%4, %%6\n}\n",
    "step(x: f64[%1$d %2$d], t: u8[%1$d %2$d]) {\n  %%3 = cast t : f64[%1$d %2$d]\n  %%4 = mul x, "
    "%%3\n  %%5 = sum %%4 axes=[1]\n"
    "  %%6 = argmax %%4 axes=[1]\n  %%7 = amin %%4 axes=[0]\n  return %%5, %%6, %%7, %%4\n}\n",
    "symbol batch in 1..%1$d\nstep(x: f32[batch 3 %2$d %3$d], w: f32[10 3 5 3], g: f32[batch 10 "
    "%2$d %3$d]) {\n"
    "  %%4 = conv x, w stride=[1 1] pad=[2 2 1 1] dilation=[1 1] groups=1\n  %%5 = relu %%4\n"
    "  %%6 = window_max %%5 window=[2 2] stride=[2 2] pad=[0 0 0 0] dilation=[1 1]\n"
    "  %%7 = conv_input g, w stride=[1 1] pad=[2 2 1 1] dilation=[1 1] groups=1 size=[%2$d %3$d]\n"
    "  %%8 = conv_weight x, g stride=[1 1] pad=[2 2 1 1] dilation=[1 1] groups=1 size=[5 3]\n"
    "  return %%6, %%7, %%8\n}\n",
    "symbol batch in 1..%1$d\nstep(i: i32[batch], g: f32[batch %2$d]) {\n  %%3 = state table : "
    "f32[%3$d %2$d] init zero\n"
    "  %%4 = take %%3, i axis=0\n  %%5 = put_add g, i axis=0 size=[%3$d]\n  %%6 = add %%3, %%5\n  "
    "assign %%3, %%6\n  return %%4\n}\n",
};

Test(loop, nests_of_odd_shapes_are_sound, .timeout = 600)
{
    static const int sizes[] = { 1, 3, 10, 16, 17, 28, 64, 65, 100, 250, 1000, 17000 };
    const int count = sizeof sizes / sizeof *sizes;
    uint64_t state = 8;
    int64_t sound = 0;

    for (int round = 0; round < (support_long() ? 3000 : 300); round++) {
        const int which = round % (int)(sizeof shapes / sizeof *shapes);
        struct ir_error error = { 0 };
        struct ir_text text = { 0 }, why = { 0 };
        int size[3];
        for (int i = 0; i < 3; i++)
            size[i] = sizes[pick(&state, 0, count - 1 - (i == 0) * 2)];
        if (which == 6) /* images are not that wide */
            size[1] = sizes[pick(&state, 1, 8)], size[2] = sizes[pick(&state, 1, 8)];
        ir_put(&text, shapes[which], size[0], size[1], size[2]);
        struct ir_module *m = ir_parse("shapes", text.data, text.size, &error);
        cr_assert(m, "%s\n%s", error.text, text.data);
        for (int scheduled = 0; scheduled < 2; scheduled++) {
            struct support_nests n = {
                .schedule = scheduled, .fuse = round % 3 != 0, .threads = 4, .arena = m->arena
            };
            support_nests(m->program[0], &n);
            for (int k = 0; k < n.kernels; k++) {
                cr_assert(n.kernel[k], "%s\n%s", n.refused.text, text.data);
                cr_expect(support_sound(n.kernel[k], &why), "%s: %s\n%s",
                          scheduled ? "scheduled" : "lowered", why.data, text.data);
                ir_text_free(&why);
                sound++;
            }
        }
        ir_text_free(&text);
        ir_module_free(m);
    }
    cr_expect(sound > 1000, "%" PRId64 " nests", sound);
}

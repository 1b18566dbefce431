/*
 * The graph as text: every row of ops.def goes out and comes back, numbers keep their bits, and no
 * text brings the parser down.
 */
#include "ir/ir.h"
#include "support.h"

#include <criterion/criterion.h>
#include <float.h>
#include <locale.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static struct ir_module *parsed(const char *text)
{
    struct ir_error error = { 0 };
    struct ir_module *m = ir_parse("test.tp", text, strlen(text), &error);

    cr_assert(m, "%s\n%s", error.text, text);
    return m;
}

/* print, parse, print: the second text must be the first */
static void comes_back(const struct ir_module *m)
{
    struct ir_text one = { 0 }, two = { 0 };
    struct ir_module *again;

    ir_print_module(&one, m);
    again = parsed(one.data);
    ir_print_module(&two, again);
    cr_expect(strcmp(one.data, two.data) == 0, "printed as\n%s\nand read back as\n%s", one.data,
              two.data);
    ir_module_free(again);
    ir_text_free(&one);
    ir_text_free(&two);
}

static void is_sound(const struct ir_graph *g)
{
    struct ir_error error = { 0 };

    cr_expect(ir_verify(g, &error), "%s", error.text);
}

/* --- rows ------------------------------------------------------------------------------------- */

/* Structural rows: a line each. x f32[n 6], w f32[6 4], t bool[n 6], i i32[n 6], s a state, key i64
 */
#define WINDOW "window=[2] stride=[2] pad=[0 0] dilation=[1]"
#define CONV   "stride=[1] pad=[1 1] dilation=[1] groups=1"
static const struct sample {
    enum ir_op op;
    const char *line;
} samples[] = {
    { IR_input, "" },
    { IR_state, "state other : f64[3 4] init normal(-0.5, 0.25)" },
    { IR_const, "const 1e-30 : f32" },
    { IR_size, "size dim=2*n : i64" },
    { IR_iota, "iota axis=1 : f32[2 n]" },
    { IR_bits, "bits key, key stream=7 : u32[n 6]" },
    { IR_cast, "cast x : i32[n 6]" },
    { IR_bitcast, "bitcast x : u32[n 6]" },
    { IR_select, "select t, x, x" },
    { IR_stop_gradient, "stop_gradient x" },
    { IR_assign, "assign %7, w" },
    { IR_sum, "sum x axes=[0 1] : f32" },
    { IR_prod, "prod x axes=[1] : f32[n]" },
    { IR_amax, "amax x axes=[0] : f32[6]" },
    { IR_amin, "amin x axes=[1] : f32[n]" },
    { IR_all, "all t axes=[0] : bool[6]" },
    { IR_any, "any t axes=[0 1] : bool" },
    { IR_argmax, "argmax x axes=[1] : i64[n]" },
    { IR_argmin, "argmin x : i64" },
    { IR_dot, "dot x, w mk,kn->mn : f32[n 4]" },
    { IR_conv, "conv p, q " CONV " : f32[n 2 6]" },
    { IR_conv_input, "conv_input p, q " CONV " size=[6] : f32[n 2 6]" },
    { IR_conv_weight, "conv_weight p, p " CONV " size=[3] : f32[2 2 3]" },
    { IR_window_sum, "window_sum x " WINDOW " : f32[n 3]" },
    { IR_window_spread, "window_spread x " WINDOW " size=[12] : f32[n 12]" },
    { IR_window_max, "window_max x " WINDOW " : f32[n 3]" },
    { IR_window_argmax, "window_argmax x " WINDOW " : i32[n 3]" },
    { IR_window_pick, "window_pick x, j " WINDOW " : f32[n 3]" },
    { IR_window_place, "window_place x, i " WINDOW " size=[12] : f32[n 12]" },
    { IR_reshape, "reshape x : f32[2 3*n]" },
    { IR_permute, "permute x axes=[1 0] : f32[6 n]" },
    { IR_expand, "expand x : f32[5 n 6]" },
    { IR_slice, "slice x start=[0 1] stop=[n 6] step=[1 2] : f32[n 3]" },
    { IR_pad, "pad x, one lo=[0 1] hi=[2 0] : f32[n+2 7]" },
    { IR_flip, "flip x axes=[1] : f32[n 6]" },
    { IR_concat, "concat x, x, x, x axis=1 : f32[n 24]" },
    { IR_take, "take w, i axis=0 : f32[n 6 4]" },
    { IR_put_add, "put_add x, i axis=0 size=9 : f32[9]" },
    { IR_gather, "gather x, i axis=1 : f32[n 6]" },
    { IR_scatter_last, "scatter_last i axis=1 size=n : i64[n n]" },
    { IR_cumsum, "cumsum x axis=1 : f32[n 6]" },
    { IR_cumprod, "cumprod x axis=0 : f32[n 6]" },
    { IR_cummax, "cummax x axis=1 : f32[n 6]" },
    { IR_cummin, "cummin i axis=1 : i32[n 6]" },
    { IR_recur, "recur x, x axis=0 : f32[n 6]" },
    { IR_argsort, "argsort x axis=1 descending=1 : i64[n 6]" },
    { IR_scan, "" },
    { IR_step, "" },
    { IR_local, "" },
    { IR_at, "at x, %12 : f32[6]" },
    { IR_within, "within x, %12 : f32[n 6]" },
    { IR_read, "read %13, %12 : f32[n 6]" },
    { IR_store, "" },
    { IR_done, "done %12, %14 : bool" },
    { IR_result, "result %11 at=0 : f32[n 2 6]" },
    { IR_custom, "custom x, i mine by=1 : f32[n 6]" },
    { IR_scatter_add, "scatter_add x, i axis=1 size=n : f32[n n]" },
};

static void a_line_comes_back(enum ir_op op, const char *line)
{
    struct ir_text text = { 0 };
    struct ir_module *m;
    bool there = false;

    ir_put(&text,
           "symbol n in 1..64\nstep(x: f32[n 6], w: f32[6 4], t: bool[n 6], i: i32[n 6], "
           "j: i32[n 3], key: i64, one: f32, p: f32[n 2 6], q: f32[2 2 3], d: f64[n]) {\n"
           "  %%7 = state s : f32[6 4] init uniform(-1, 1)\n"
           "  %%11 = scan p, x carry=0 slices=2 length=n reverse=1 (p: f32[2 6], x: f32[6]) {\n"
           "    %%3 = add p, x : f32[2 6]\n    return %%3\n  }\n"
           "  %%12 = step dim=n length=2*n reverse=1 : bool\n"
           "  %%13 = local %%12 ~9 : f32[n 6]\n"
           "  %%14 = store %%13, x, %%12 : f32[n 6]\n");
    if (*line)
        ir_put(&text, "  %%20 = %s # model.c:7 a.b {1}\n", line);
    ir_put(&text, "  region 1 part \"title\" (x) -> x in 0\n  return x\n}\n");
    m = parsed(text.data);
    for (uint32_t v = 1; v < m->program[0]->graph->count; v++)
        there |= m->program[0]->graph->nodes[v].op == op;
    cr_expect(there, "%s: its line makes no such node", ir_ops[op].name);
    comes_back(m);
    is_sound(m->program[0]->graph);
    ir_module_free(m);
    ir_text_free(&text);
}

Test(ir_text, every_row_comes_back)
{
    for (int op = 1; op < IR_OPS; op++) {
        const struct ir_op_info *info = &ir_ops[op];
        char line[80];
        if (info->group == IR_STRUCTURAL) {
            size_t i = 0;
            while (i < sizeof samples / sizeof *samples && samples[i].op != (enum ir_op)op)
                i++;
            cr_assert(i < sizeof samples / sizeof *samples, "%s: no sample line", info->name);
            a_line_comes_back((enum ir_op)op, samples[i].line);
            continue;
        }
        const char *arg = info->kind == 'I' || info->kind == 'B' ? "t" : "x";
        if (op == IR_shl || op == IR_shr)
            arg = "i";
        snprintf(line, sizeof line, "%s %s%s%s", info->name, arg, info->arity > 1 ? ", " : "",
                 info->arity > 1 ? arg : "");
        a_line_comes_back((enum ir_op)op, line);
    }
}

/* --- numbers ---------------------------------------------------------------------------------- */

static uint64_t next(uint64_t *state) /* xorshift64* */
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * 0x2545f4914f6cdd1du;
}

static void number_comes_back(enum ir_dtype dtype, double value)
{
    struct ir_text text = { 0 };
    double back = 0;

    ir_put_number(&text, dtype, value);
    cr_assert(ir_read_number(text.data, text.size, &back), "%s", text.data);
    if (dtype == IR_F32)
        back = (double)(float)back;
    cr_assert(memcmp(&back, &value, sizeof value) == 0 || (isnan(back) && isnan(value)),
              "%a printed as %s read as %a", value, text.data, back);
    ir_text_free(&text);
}

Test(ir_text, numbers_come_back)
{
    double edge[] = { 0,        -0.0,      1,   0.1, DBL_MAX, DBL_MIN, DBL_TRUE_MIN,
                      INFINITY, -INFINITY, NAN, 1e23 };
    uint64_t state = 1;

    setlocale(LC_ALL, "de_DE.UTF-8"); /* where there is one: a comma */
    for (size_t i = 0; i < sizeof edge / sizeof *edge; i++)
        number_comes_back(IR_F64, edge[i]);
    for (int i = 0; i < 20000; i++) {
        uint64_t bits = next(&state);
        uint32_t half = (uint32_t)bits;
        double d;
        float f;
        memcpy(&d, &bits, sizeof d);
        memcpy(&f, &half, sizeof f);
        number_comes_back(IR_F64, d);
        number_comes_back(IR_F32, (double)f);
    }
    double value;
    cr_expect(!ir_read_number("", 0, &value) && !ir_read_number("1 ", 2, &value) &&
              !ir_read_number(" 1", 2, &value) && !ir_read_number("1,5", 3, &value) &&
              !ir_read_number("0.5x", 4, &value));
}

/* --- a program with all there is ----------------------------------------------------------------
 */

static const char *const model =
    "set model = \"test\"\n"
    "\n"
    "symbol batch in 1..64\n"
    "step(\n"
    "  x: u8[batch 784],                                               # mlp.c:9\n"
    "  y: i32[batch]\n"
    ") seed 7 {\n"
    "  %3 = state fc1.weight : f32[128 784] init uniform(-0.0357, 0.0357) # mlp.c:10\n"
    "  %4 = const 0.001 : f32\n"
    "  kernel cast_dot {\n"
    "    %5 = cast x : f32[batch 784]                                  # mlp.c:14 {1 linear}\n"
    "    %6 = dot %5, %3 mk,nk->mn : f32[batch 128]                    # mlp.c:15 fc1 {1 linear}\n"
    "    %9 = window_max %6 window=[2] stride=[2] pad=[0 0] dilation=[1] : f32[batch 64]\n"
    "  }\n"
    "  kernel sgd {\n"
    "    %7 = mul %3, %4 ~2 : f32[128 784]\n"
    "    %8 = assign %3, %7 : f32[128 784]\n"
    "  }\n"
    "  region 1 linear \"fc1\" (x, %3) [1 2] -> %6 in 0                  # mlp.c:15\n"
    "  return out=%9\n"
    "}\n";

Test(ir_text, a_picture_has_every_value)
{
    struct ir_module *m = parsed(model);
    struct ir_program *p = m->program[0];
    int kernels = p->kernel_count;

    for (p->kernel_count = 0; p->kernel_count <= kernels; p->kernel_count += kernels) {
        struct ir_text text = { 0 };
        ir_print_dot(&text, p);
        for (uint32_t v = 1; v < p->graph->count; v++) {
            char node[40];
            snprintf(node, sizeof node, " v%u [label=", v);
            const char *at = strstr(text.data, node);
            cr_expect(at && !strstr(at + 1, node), "v%u, %d kernels", v, p->kernel_count);
        }
        cr_expect(strstr(text.data, p->kernel_count ? "cluster_k1" : "cluster_r1"));
        ir_text_free(&text);
    }
    p->kernel_count = kernels;
    ir_module_free(m);
}

/* --- hostile texts ---------------------------------------------------------------------------- */

/* Bytes changed, cut, doubled; words of the language put anywhere. */
static size_t mutate(char *text, size_t size, size_t room, uint64_t *state)
{
    static const char *const words[] = { "%1",
                                         "9223372036854775807",
                                         "-1",
                                         "[",
                                         "]",
                                         "{",
                                         "}",
                                         "(",
                                         "\"",
                                         "#",
                                         "kernel k {\n",
                                         "region 1 a () in 0\n",
                                         "batch",
                                         "*",
                                         "=",
                                         " : ",
                                         "f32[",
                                         "0",
                                         ",",
                                         "%4294967295",
                                         "axes=[0 1 2]",
                                         "symbol a in 0..2\n",
                                         "return ",
                                         "init normal(nan, 1)",
                                         "\n",
                                         "281474976710655",
                                         "->",
                                         "\\x00",
                                         "\x01",
                                         "\xff",
                                         "~1",
                                         "{65535}",
                                         "1e999",
                                         "assign" };
    int changes = 1 + (int)(next(state) % 4);

    while (changes--) {
        size_t at = size ? next(state) % size : 0, length = next(state) % 20;
        const char *word = words[next(state) % (sizeof words / sizeof *words)];
        switch (next(state) % 5) {
        case 0: /* another byte */
            if (size)
                text[at] = (char)next(state);
            break;
        case 1: /* cut out */
            length = at + length > size ? size - at : length;
            memmove(text + at, text + at + length, size - at - length);
            size -= length;
            break;
        case 2: /* double */
            length = at + length > size ? size - at : length;
            if (size + length > room)
                break;
            memmove(text + at + length, text + at, size - at);
            size += length;
            break;
        case 3: /* a word */
            length = strlen(word);
            if (size + length > room)
                break;
            memmove(text + at + length, text + at, size - at);
            memcpy(text + at, word, length);
            size += length;
            break;
        default: /* a digit of a number */
            while (at < size && (text[at] < '0' || text[at] > '9'))
                at++;
            if (at < size)
                text[at] = (char)('0' + next(state) % 10);
        }
    }
    return size;
}

Test(ir_text, no_text_brings_it_down)
{
    const int rounds = support_long() ? 200000 : 6000;
    uint64_t state = 42;
    int taken = 0;

    for (int i = 0; i < rounds; i++) {
        struct ir_error error = { 0 };
        char *text = malloc(8000);
        snprintf(text, 8000, "%s", model);
        size_t size = mutate(text, strlen(text), 7999, &state);
        text = realloc(text, size ? size : 1); /* so that reading past the end is seen */
        struct ir_module *m = ir_parse("hostile.tp", text, size, &error);
        if (m) {
            cr_expect(error.status == IR_OK);
            comes_back(m);
            taken++;
        } else {
            cr_assert(error.status == IR_REFUSED && *error.text, "no message for\n%.*s", (int)size,
                      text);
            cr_assert(strncmp(error.text, "hostile.tp:", 11) == 0, "%s", error.text);
            for (const char *c = error.text; *c; c++)
                cr_assert(*c >= 32 && *c < 127);
        }
        ir_module_free(m);
        free(text);
    }
    cr_expect(taken > rounds / 50 && taken < rounds, "%d of %d taken", taken, rounds);
}

/* Nothing may take time or memory that grows faster than the text. */
Test(ir_text, long_texts_take_their_time_and_no_more, .timeout = 60)
{
    const int lines = 100000;
    struct ir_text text = { 0 };

    ir_put(&text, "symbol n in 1..64\nstep(x: f32[n]) {\n");
    for (int i = 0; i < lines; i++)
        ir_put(&text, "%%%d = state s%d : f32[n] init zero\n%%%d = assign %%%d, x\n", 3 * i + 2, i,
               3 * i + 4, 3 * i + 2);
    for (int i = 1; i <= 300; i++)
        ir_put(&text, "region %d a () in %d # a:1\n", i, i > 150 ? i - 150 : i - 1);
    ir_put(&text, "}\n");
    struct ir_module *m = parsed(text.data);
    cr_expect(m->program[0]->graph->effect_count == lines);
    comes_back(m);
    ir_module_free(m);
    ir_text_free(&text);

    struct ir_error error = { 0 };
    ir_put(&text, "step() {\n");
    for (int i = 1; i <= 1000; i++)
        ir_put(&text, "region %d a () in %d\n", i, i - 1);
    ir_put(&text, "}\n");
    cr_expect(!ir_parse("deep.tp", text.data, text.size, &error), "regions without bottom");
    ir_text_free(&text);
}

/*
 * The graph: rows refuse what their kind excludes, equal nodes are one, extents may be symbols, the
 * order of accumulation sees places and not extents, and verify sees what is not sound.
 */
#include "ir/ir.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

static const struct ir_loc here = { "test.c", 1 };

static struct ir_module *parsed(const char *text)
{
    struct ir_error error = { 0 };
    struct ir_module *m = ir_parse("test.tp", text, strlen(text), &error);

    cr_assert(m, "%s\n%s", error.text, text);
    return m;
}

static void is_sound(const struct ir_graph *g)
{
    struct ir_error error = { 0 };

    cr_expect(ir_verify(g, &error), "%s", error.text);
}

/* --- rows ------------------------------------------------------------------------------------- */

Test(ir, a_row_refuses_the_types_its_kind_excludes)
{
    for (int op = 1; op < IR_OPS; op++)
        for (int dtype = 0; dtype < IR_DTYPES && ir_ops[op].group != IR_STRUCTURAL; dtype++) {
            struct ir_error error = { 0 };
            struct ir_graph *g = ir_graph_new("step", &error);
            ir_val x = ir_input(g, "x", (enum ir_dtype)dtype, (struct ir_shape){ 0 }, here), y;
            char kind = ir_ops[op].kind, has = ir_dtypes[dtype].kind;
            bool fine = kind == 'A' || (kind == 'F' && has == 'f') || (kind == 'N' && has != 'b') ||
                        (kind == 'I' && has != 'f') || (kind == 'B' && has == 'b');
            y = ir_ops[op].arity == 1 ? ir_op1(g, (enum ir_op)op, x, here)
                                      : ir_op2(g, (enum ir_op)op, x, x, here);
            cr_expect((y.id != 0) == fine, "%s of %s: %s", ir_ops[op].name, ir_dtypes[dtype].name,
                      fine ? error.text : "not refused");
            cr_expect(fine == (error.status == IR_OK), "%s of %s", ir_ops[op].name,
                      ir_dtypes[dtype].name);
            ir_graph_free(g);
        }
}

/* --- sharing and poison ----------------------------------------------------------------------- */

Test(ir, equal_nodes_are_one)
{
    struct ir_error error = { 0 };
    struct ir_graph *g = ir_graph_new("step", &error);
    struct ir_shape s = { 2, { 3, 4 } };
    ir_val x = ir_input(g, "x", IR_F32, s, here), y = ir_input(g, "y", IR_F32, s, here);
    struct ir_node draft = {
        .op = IR_exp, .arity = 1, .args = &x, .loc = { "a.c", 1 }, .name = "first"
    };
    ir_val first = ir_add(g, &draft), again, other;

    draft.loc = (struct ir_loc){ "b.c", 2 };
    draft.name = "second";
    again = ir_add(g, &draft);
    cr_expect(again.id == first.id);
    cr_expect(strcmp(ir_at(g, again)->name, "first") == 0 && ir_at(g, again)->loc.line == 1);
    draft.identity = 5;
    other = ir_add(g, &draft);
    cr_expect(other.id != first.id, "an identity keeps apart");
    cr_expect(ir_add(g, &draft).id == other.id, "and is one with itself");
    cr_expect(ir_op2(g, IR_add, x, y, here).id != ir_op2(g, IR_add, y, x, here).id);
    cr_expect(ir_input(g, "x", IR_F32, s, here).id == x.id);
    cr_expect(ir_number(g, IR_F32, 0.1, here).id == ir_number(g, IR_F32, (double)0.1f, here).id,
              "a constant is what its type holds");
    cr_expect(ir_number(g, IR_F32, 0, here).id != ir_number(g, IR_F32, -0.0, here).id);
    cr_expect(ir_number(g, IR_F64, NAN, here).id == ir_number(g, IR_F64, -(double)NAN, here).id);
    cr_expect(ir_cast(g, x, IR_F64, here).id != ir_cast(g, x, IR_I32, here).id);
    for (int i = 0; i < 5000; i++) { /* the table grows */
        ir_val c = ir_integer(g, IR_I64, i, here);
        cr_assert(ir_integer(g, IR_I64, i, here).id == c.id, "%d", i);
    }
    cr_expect(ir_op1(g, IR_exp, x, here).id == first.id);
    cr_expect(error.status == IR_OK, "%s", error.text);
    is_sound(g);
    ir_graph_free(g);
}

Test(ir, a_graph_forgets_all_but_its_states)
{
    struct ir_error error = { 0 };
    struct ir_graph *g = ir_graph_new("step", &error);
    struct ir_shape shape = { 1, { 4 } };
    ir_val x = ir_input(g, "x", IR_F32, shape, here);
    ir_val s = ir_state(g, "s", IR_F32, shape, IR_INIT_ZERO, 0, 0, here);

    for (int round = 0; round < 3; round++) {
        ir_assign(g, s, ir_op2(g, IR_add, s, x, here), here);
        ir_output(g, NULL, ir_op1(g, IR_exp, x, here));
        is_sound(g);
        ir_forget(g);
        is_sound(g);
        cr_expect(g->count == s.id + 1 && ir_at(g, s)->op == IR_state);
        x = ir_input(g, "x", IR_F64, shape, here);
        x = ir_cast(g, x, IR_F32, here);
        for (int i = 0; i < 200; i++) /* the tables grow over the holes */
            x = ir_op1(g, IR_exp, x, here);
    }
    cr_expect(error.status == IR_OK, "%s", error.text);
    ir_graph_free(g);
}

Test(ir, the_first_error_is_kept_and_poison_spreads)
{
    struct ir_error error = { 0 };
    struct ir_graph *g = ir_graph_new("step", &error);
    ir_val x = ir_input(g, "x", IR_F32, (struct ir_shape){ 1, { 4 } }, here);
    ir_val y = ir_input(g, "y", IR_F32, (struct ir_shape){ 1, { 5 } }, here);
    ir_val bad = ir_op2(g, IR_add, x, y, (struct ir_loc){ "model.c", 14 });
    const char *want = "model.c:14: add: a = x f32[4] (test.c:1) and b = y f32[5] (test.c:1): "
                       "extents 4 and 5; expected equal ones or 1, counted from the last axis";

    cr_expect(bad.id == 0);
    cr_expect(strcmp(error.text, want) == 0, "%s", error.text);
    cr_expect(ir_op1(g, IR_exp, bad, here).id == 0 && ir_op2(g, IR_mul, x, bad, here).id == 0);
    cr_expect(ir_full_like(g, bad, 1, here).id == 0 && ir_cast(g, bad, IR_F64, here).id == 0);
    cr_expect(ir_sum_to(g, bad, (struct ir_shape){ 0 }, here).id == 0);
    cr_expect(ir_reshape(g, bad, (struct ir_shape){ 0 }, here).id == 0);
    cr_expect(ir_permute(g, bad, (int64_t[]){ 0 }, here).id == 0);
    ir_op1(g, IR_not, x, here);
    cr_expect(strcmp(error.text, want) == 0, "%s", error.text);
    ir_graph_free(g);
}

Test(ir, a_message_is_short_and_printable)
{
    struct ir_error error = { 0 };
    struct ir_graph *g = ir_graph_new("step", &error);
    char name[3000], file[3000];
    ir_val x, y;

    memset(name, 'n', sizeof name - 1);
    name[sizeof name - 1] = 0;
    memset(file, '\n', sizeof file - 1);
    file[sizeof file - 1] = 0;
    x = ir_input(g, name, IR_F32, (struct ir_shape){ 8, { 9, 9, 9, 9, 9, 9, 9, 9 } }, here);
    name[7] = 'm';
    name[2998] = '\x1b';
    y = ir_input(g, name, IR_F32, (struct ir_shape){ 1, { 5 } }, here);
    ir_op2(g, IR_add, x, y, (struct ir_loc){ file, 2147483647 });
    cr_expect(strlen(error.text) < 400);
    cr_expect(strstr(error.text, "counted from the last axis"), "%s", error.text);
    for (const char *c = error.text; *c; c++)
        cr_assert(*c >= 32 && *c < 127);
    ir_graph_free(g);
}

/* --- symbolic extents ------------------------------------------------------------------------- */

static void dim_is(const struct ir_graph *g, int64_t dim, const char *want)
{
    struct ir_text text = { 0 };

    ir_put_dim(&text, g, dim);
    cr_expect(strcmp(text.data, want) == 0, "%s, not %s", text.data, want);
    ir_text_free(&text);
}

Test(ir, extents_may_be_symbols)
{
    struct ir_error error = { 0 };
    struct ir_graph *g = ir_graph_new("step", &error);
    int64_t b = ir_symbol_new(g, "batch", 1, 64), t = ir_symbol_new(g, "time", 0, 128);
    int64_t bt = ir_dim_mul(g, b, t), more = ir_dim_add(g, ir_dim_mul(g, 4, bt), 2);

    dim_is(g, b, "batch");
    dim_is(g, more, "4*batch*time+2");
    dim_is(g, ir_dim_mul(g, more, 3), "12*batch*time+6");
    dim_is(g, ir_dim_mul(g, bt, b), "batch*batch*time");
    dim_is(g, ir_dim_add(g, more, -2), "4*batch*time");
    dim_is(g, ir_dim_add(g, b, b), "2*batch");
    dim_is(g, ir_dim_add(g, b, -1), "batch-1");
    cr_expect(ir_dim_mul(g, t, b) == bt && ir_dim_mul(g, 0, b) == 0 && ir_dim_mul(g, 1, b) == b);
    cr_expect(ir_dim_sub(g, more, 2) == ir_dim_mul(g, 4, bt) && ir_dim_sub(g, b, b) == 0);
    cr_expect(ir_dim_div(g, bt, t) == b &&
              ir_dim_div(g, ir_dim_mul(g, 6, b), 3) == ir_dim_add(g, b, b));
    cr_expect(ir_dim_div(g, more, 2) == ir_dim_add(g, ir_dim_mul(g, 2, bt), 1));
    cr_expect(ir_dim_div(g, ir_dim_mul(g, 2, more), more) == 2 && ir_dim_div(g, b, b) == 1);
    cr_expect(ir_dim_max(g, more) == 4 * 64 * 128 + 2 && ir_dim_min(g, more) == 2);
    cr_expect(ir_dim_value(g, more, (int64_t[]){ 3, 5 }) == 62);

    /* what is no extent */
    cr_expect(ir_dim_add(g, b, t) == -1 && ir_dim_add(g, b, -2) == -1);
    cr_expect(ir_dim_sub(g, 3, b) == -1 && ir_dim_mul(g, more, b) == -1);
    cr_expect(ir_dim_div(g, b, 2) == -1 && ir_dim_div(g, b, 0) == -1 && ir_dim_div(g, 6, b) == -1);
    cr_expect(ir_dim_div(g, b, t) == -1 && ir_dim_mul(g, -1, b) == -1 &&
              ir_dim_add(g, -1, b) == -1);
    cr_expect(ir_dim_mul(g, (int64_t)1 << 45, b) == -1, "past 2^48 at the upper bound");
    cr_expect(ir_dim_mul(g, (int64_t)1 << 40, (int64_t)1 << 40) == -1);
    cr_expect(ir_dim_mul(g, INT64_MIN + 77, 2) == -1, "a symbolic extent of nobody");

    /* order */
    cr_expect(ir_dim_fits(g, b, 64) && !ir_dim_fits(g, b, 63) && ir_dim_fits(g, 1, b));
    cr_expect(!ir_dim_fits(g, 2, b) && ir_dim_fits(g, b, b) && !ir_dim_fits(g, b, t));
    cr_expect(ir_dim_fits(g, ir_dim_add(g, b, -1), b) && !ir_dim_fits(g, ir_dim_add(g, b, 1), b));

    cr_expect(error.status == IR_OK, "%s", error.text);
    cr_expect(ir_symbol_new(g, "batch", 1, 2) == -1 && error.status == IR_REFUSED);
    ir_graph_free(g);
}

Test(ir, one_extent_of_a_reshape_may_be_left_open)
{
    struct ir_error error = { 0 };
    struct ir_graph *g = ir_graph_new("step", &error);
    int64_t b = ir_symbol_new(g, "batch", 1, 64), t = ir_symbol_new(g, "time", 1, 16), odd;
    ir_val x = ir_input(g, "x", IR_F32, (struct ir_shape){ 3, { b, t, 6 } }, here), y, z;

    y = ir_reshape(g, x, (struct ir_shape){ 2, { -1, 3 } }, here);
    dim_is(g, ir_at(g, y)->shape.dim[0], "2*batch*time");
    y = ir_reshape(g, x, (struct ir_shape){ 4, { b, -1, 2, 3 } }, here);
    cr_expect(ir_at(g, y)->shape.dim[1] == t);
    cr_expect(ir_reshape(g, x, (struct ir_shape){ 3, { b, t, -1 } }, here).id == x.id);
    odd = ir_dim_add(g, b, 1);
    z = ir_input(g, "z", IR_F32, (struct ir_shape){ 3, { odd, ir_dim_add(g, t, 1), 4 } }, here);
    y = ir_reshape(g, z, (struct ir_shape){ 3, { ir_dim_add(g, t, 1), -1, odd } }, here);
    cr_expect(y.id && ir_at(g, y)->shape.dim[1] == 4, "sums are struck out: %s", error.text);
    z = ir_input(g, "e", IR_F32, (struct ir_shape){ 2, { 0, 6 } }, here);
    cr_expect(ir_at(g, ir_reshape(g, z, (struct ir_shape){ 2, { -1, 3 } }, here))->shape.dim[0] ==
              0);
    cr_expect(error.status == IR_OK, "%s", error.text);
    cr_expect(ir_reshape(g, z, (struct ir_shape){ 2, { 0, -1 } }, here).id == 0,
              "0 elements: it could be any number");
    ir_graph_free(g);
}

Test(ir, broadcasting_is_undone)
{
    struct ir_error error = { 0 };
    struct ir_graph *g = ir_graph_new("step", &error);
    int64_t b = ir_symbol_new(g, "batch", 1, 64);
    ir_val x = ir_input(g, "x", IR_F32, (struct ir_shape){ 3, { b, 3, 4 } }, here);
    struct ir_shape to[] = {
        { 3, { b, 1, 4 } }, { 2, { 3, 1 } }, { 0 }, { 1, { 4 } }, { 3, { b, 3, 4 } }
    };

    for (size_t i = 0; i < sizeof to / sizeof *to; i++) {
        ir_val y = ir_sum_to(g, x, to[i], here);
        cr_expect(y.id && ir_same_shape(&ir_at(g, y)->shape, &to[i]), "%zu: %s", i, error.text);
    }
    ir_val m = ir_reduce(g, IR_amax, x, 2, (int64_t[]){ 0, 2 }, here);
    ir_val back = ir_expand_axes(g, m, ir_at(g, x)->shape, 2, (int64_t[]){ 0, 2 }, here);
    cr_expect(ir_same_shape(&ir_at(g, back)->shape, &ir_at(g, x)->shape), "%s", error.text);
    cr_expect(ir_is_number(g, ir_full_like(g, x, -1, here), -1));
    cr_expect(!ir_is_number(g, x, -1) && !ir_is_number(g, ir_full_like(g, x, 0, here), -0.0));
    ir_graph_free(g);
}

/* --- the order of accumulation ---------------------------------------------------------------- */

static void order_is(const char *line, enum ir_order_kind kind, int64_t piece, const char *letters)
{
    static const char *const extents[] = { "n", "64" };

    for (int i = 0; i < 2; i++) { /* a symbol and a number: the same order */
        struct ir_text text = { 0 };
        struct ir_module *m;
        const struct ir_graph *g;
        ir_put(&text,
               "symbol n in 1..64\nstep(x: f32[%s 6], y: f32[%s 6], z: f32[%s 3 6]) {\n"
               "  %%9 = %s\n}\n",
               extents[i], extents[i], extents[i], line);
        m = parsed(text.data);
        g = m->program[0]->graph;
        const struct ir_node *n = NULL;
        for (uint32_t v = 1; v < g->count; v++)
            n = g->nodes[v].op == IR_input ? n : &g->nodes[v];
        struct ir_order order = ir_order(g, n);
        cr_expect(order.kind == kind && order.piece == piece, "%s: kind %d, piece %lld", line,
                  (int)order.kind, (long long)order.piece);
        if (letters) {
            char found[IR_RANK + 1];
            ir_contracted(n, found);
            cr_expect(strcmp(found, letters) == 0, "%s: %s", line, found);
        }
        ir_module_free(m);
        ir_text_free(&text);
    }
}

Test(ir, the_order_follows_from_places)
{
    order_is("sum x axes=[1]", IR_LANES, 16384, NULL);
    order_is("sum x axes=[0 1]", IR_LANES, 16384, NULL);
    order_is("sum x axes=[0]", IR_ASCENDING, 1024, NULL);
    order_is("sum z axes=[0 1]", IR_ASCENDING, 1, NULL);
    order_is("prod z axes=[0 2]", IR_ASCENDING, 1, NULL);
    order_is("dot x, y mk,nk->mn", IR_ASCENDING, 0, "k");
    order_is("dot x, y mk,ml->kl", IR_ASCENDING, 512, "m");
    order_is("dot x, y mk,mk->", IR_ASCENDING, 1, "mk");
    order_is("dot x, y mk,mk->m", IR_ASCENDING, 0, "k");
    order_is("dot z, z abk,abl->kl", IR_ASCENDING, 1, "ab");
    order_is("dot z, z abk,alk->abl", IR_ASCENDING, 0, "k");
    order_is("dot x, y mk,nl->mknl", IR_ASCENDING, 0, "");
}

/* --- what always holds ------------------------------------------------------------------------ */

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

static void spoils(const char *what, bool kept)
{
    cr_expect(!kept, "%s: not seen", what);
}

Test(ir, verify_sees_what_is_not_sound)
{
    struct ir_module *m = parsed(model);
    struct ir_program *p = m->program[0];
    struct ir_graph *g = p->graph;
    struct ir_node *dot = &g->nodes[6];
    struct ir_error error = { 0 };
    struct ir_node was = *dot;
    ir_val swapped[2] = { { 5 }, { 9 } };

    cr_assert(ir_verify_program(p, &error), "%s", error.text);
    cr_assert(dot->op == IR_dot && g->nodes[9].op == IR_window_max);
    dot->shape.dim[1] = 127;
    spoils("a shape", ir_verify(g, &error));
    *dot = was;
    dot->dtype = IR_F64;
    spoils("a type", ir_verify(g, &error));
    *dot = was;
    dot->args = swapped;
    spoils("an argument after its user", ir_verify(g, &error));
    *dot = was;
    dot->region = 2;
    spoils("a region", ir_verify(g, &error));
    *dot = was;
    dot->op = IR_POISON;
    spoils("a reader of poison", ir_verify(g, &error));
    *dot = was;
    g->outputs[0].value.id = 8;
    spoils("an assignment as output", ir_verify(g, &error));
    g->outputs[0].value.id = 99;
    spoils("an output", ir_verify(g, &error));
    g->outputs[0].value.id = 9;
    g->effect_count = 0;
    spoils("a lost effect", ir_verify(g, &error));
    g->effect_count = 1;
    g->nodes[8].identity = 0;
    spoils("an effect without identity", ir_verify(g, &error));
    g->nodes[8].identity = 1;
    cr_assert(ir_verify_program(p, &(struct ir_error){ 0 }));

    p->kernels[0].count = 2;
    spoils("a value in no kernel", ir_verify_program(p, &error));
    p->kernels[0].count = 3;
    p->kernels[1].nodes[0].id = 6;
    spoils("a value in two kernels", ir_verify_program(p, &error));
    p->kernels[1].nodes[0].id = 3;
    spoils("a state in a kernel", ir_verify_program(p, &error));
    p->kernels[1].nodes[0].id = 7;
    struct ir_kernel first = p->kernels[0];
    p->kernels[0] = (struct ir_kernel){ "late", 1, (ir_val[]){ { 9 } }, NULL, 0, NULL };
    spoils("a kernel before its argument's", ir_verify_program(p, &error));
    p->kernels[0] = first;
    cr_expect(ir_verify_program(p, &(struct ir_error){ 0 }));
    ir_module_free(m);
}

Test(ir, a_copy_says_the_same)
{
    struct ir_module *m = parsed(model);
    const struct ir_graph *in = m->program[0]->graph;
    struct ir_graph *out = ir_graph_like(in);
    ir_val *moved = ir_moved(out, in);
    struct ir_text one = { 0 }, two = { 0 };

    for (uint32_t v = 1; v < in->count; v++)
        moved[v] = ir_copy(out, in, (ir_val){ v }, moved);
    ir_move_outputs(out, in, moved);
    ir_move_regions(out, in, moved);
    ir_print(&one, in);
    ir_module_free(m); /* the copy stands by itself */
    ir_print(&two, out);
    cr_expect(strcmp(one.data, two.data) == 0, "%s\n%s", one.data, two.data);
    is_sound(out);
    ir_text_free(&one);
    ir_text_free(&two);
    ir_graph_free(out);
}

/* --- targets ---------------------------------------------------------------------------------- */

Test(ir, targets_are_found_by_name)
{
    cr_expect(ir_target_by_name("x86-64-v3") == ir_target_by_name("x86_64_v3"));
    cr_expect(ir_target_by_name("x86-64-v3")->lanes == 8);
    cr_expect(ir_target_by_name("native") && strstr(ir_target_by_name("native")->flags, "native"));
    cr_expect(!ir_target_by_name("x86-64-v") && !ir_target_by_name("x86-64-v31") &&
              !ir_target_by_name(""));
}

/*
 * lower_comment: what a kernel computes, for people: a line a result; and how its arrays lie.
 */
#include "lower.h"

#include <inttypes.h>
#include <string.h>

static void describe(struct lower *l, struct ir_text *out, ir_val v, int depth, bool inner)
{
    static const char *const infix[IR_OPS] = {
        [IR_add] = " + ", [IR_sub] = " - ", [IR_mul] = " * ", [IR_div] = " / ",
        [IR_lt] = " < ",  [IR_le] = " <= ", [IR_eq] = " == ", [IR_dot] = " @ "
    };
    const struct ir_node *n = ir_at(l->g, v);

    if (pass_is_view(n->op) && l->c->kernel_of[v.id] < 0 && l->c->storage[v.id].parts < 0) {
        describe(l, out, n->args[0], depth, inner);
        return;
    }
    if (n->op == IR_const) {
        ir_put(out, "%.4g", ir_number_of(n));
        return;
    }
    if (n->text && n->op != IR_dot && n->op != IR_custom) {
        ir_put(out, "%.40s", n->text);
        return;
    }
    if ((l->c->kernel_of[v.id] != l->kernel && l->c->kernel_of[v.id] >= 0) || depth == 0 ||
        out->size > 200) {
        ir_put(out, depth == 0 || out->size > 200 ? ".." : "%s%u", ir_ops[n->op].name, v.id);
        return;
    }
    if (infix[n->op] && n->arity == 2) {
        ir_put(out, inner ? "(" : "");
        describe(l, out, n->args[0], depth - 1, true);
        ir_put(out, "%s", infix[n->op]);
        describe(l, out, n->args[1], depth - 1, true);
        ir_put(out, inner ? ")" : "");
        return;
    }
    ir_put(out, "%s(", n->op == IR_custom ? n->text : ir_ops[n->op].name);
    for (int i = 0; i < n->arity; i++) {
        ir_put(out, i ? ", " : "");
        describe(l, out, n->args[i], depth - 1, false);
    }
    ir_put(out, ")");
}

/* relu11 = relu(fc1.bias + (div5 @ fc1.weight)) : f32[batch 128]; a line a result */
const char *pass_lower_comment(struct lower *l, const struct ir_kernel *kernel)
{
    struct ir_text all = { 0 };

    for (int i = 0; i < kernel->count; i++) {
        ir_val v = kernel->nodes[i];
        const struct ir_node *n = ir_at(l->g, v);
        struct ir_text one = { 0 };
        if (!pass_lower_is_output(l, v))
            continue;
        if (n->op == IR_assign)
            ir_put(&one, "%.40s = ", ir_at(l->g, n->args[0])->text);
        else if (n->op == IR_store)
            ir_put(&one, "local%u = ", n->args[0].id);
        else
            ir_put(&one, "%s%u = ", ir_ops[n->op].name, v.id);
        describe(l, &one, ir_is_store(n->op) ? n->args[1] : v, 9, false);
        ir_put(&one, " : ");
        ir_put_shape(&one, l->g, n->dtype, &n->shape);
        ir_put(&all, "%s%s", all.size ? "\n * " : "", one.data);
        ir_text_free(&one);
    }
    if (!all.size)
        return NULL;
    char *text = ir_format(l->c->arena, "%s", all.data);
    ir_text_free(&all);
    for (char *c = text; *c; c++) /* names come from files */
        if ((c[0] == '*' && c[1] == '/') || (*c < ' ' && *c != '\n'))
            *c = '_';
    return text;
}

/* [batch / 16][6][28][28][16]: what an array would be in C whose axes are not in their order, split
 * or padded; NULL where they are as the shape says. Axes of one element are left out. */
const char *pass_lower_storage(struct lower *l, ir_val v)
{
    const struct pass_storage *s = &l->c->storage[v.id];
    const struct ir_shape *shape = &ir_at(l->g, v)->shape;
    struct ir_text plain = { 0 }, text = { 0 };
    char *kept = NULL;

    for (int i = 0; i < shape->rank; i++)
        if (shape->dim[i] != 1) {
            ir_put(&plain, "[");
            ir_put_dim(&plain, l->g, shape->dim[i]);
            ir_put(&plain, "]");
        }
    for (int i = 0; i < s->parts; i++) {
        const struct pass_part *p = &s->part[i];
        const bool outermost = !text.size;
        if (shape->dim[p->axis] == 1)
            continue;
        ir_put(&text, "[");
        if (outermost || p->divisor != 1 || p->pitch == 0)
            ir_put_dim(&text, l->g, shape->dim[p->axis]);
        else
            ir_put(&text, "%" PRId64, s->part[i - 1].pitch / p->pitch);
        ir_put(&text, p->divisor != 1 ? " / %" PRId64 "]" : "]", p->divisor);
    }
    if (plain.size && text.size && strcmp(plain.data, text.data) != 0)
        kept = ir_format(l->c->arena, "%s", text.data);
    for (char *c = kept; c && *c; c++) /* names come from files */
        if (*c < ' ' || *c > '~' || *c == '\\' || *c == '?')
            *c = '_';
    ir_text_free(&plain);
    ir_text_free(&text);
    return kept;
}

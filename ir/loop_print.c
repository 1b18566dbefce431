/*
 * A loop nest as text; loop_parse.c reads all of it back.
 *
 *     kernel dot_relu(x @1: f32[50176] read, @12: f32[8192] write padded) shared flops 12845056 {
 *       for i parallel to batch (64) {
 *         for j to 128 {
 *           %3 = const 0 : f32
 *           %4 = var %3 : f32
 *           for k ordered to 784 {
 *             %5 = load x[784*i + k] : f32 if 0 <= i + k - 2 < 28   # mlp.c:14 fc1 {3 dot}
 *             set %4 = dot %5, %5
 *           }
 *           store @12[128*i + j] = %4
 *         }
 *       }
 *     }
 *
 * Nothing here depends on the numbers of axes, atoms or sums: terms are ordered by what they say,
 * and the second loop of a name is NAME~2 in the order of the text. So a text that is read and
 * printed again is the same text. `(64)` behind `to` is the bound that always holds; @12 is a value
 * of the graph, {3 dot} the node that a statement computes.
 */
#include "loop_text.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#define MARGIN 72 /* the column of comments */

/* ---- the parts of a statement ---- */

static void put_element(struct loop_printer *p, int buffer, loop_ix ix)
{
    loop_put_buffer_name(p->k, p->t, buffer);
    ir_put(p->t, "[");
    loop_put_sum(p, p->t, ix);
    ir_put(p->t, "]");
}

static void put_guards(struct loop_printer *p, const struct loop_statement *s)
{
    for (int i = 0; i < s->guards; i++) {
        ir_put(p->t, i ? " and 0 <= " : " if 0 <= ");
        loop_put_sum(p, p->t, s->guard[i].ix);
        ir_put(p->t, " < ");
        loop_put_sum(p, p->t, s->guard[i].limit);
    }
}

/* `# mlp.c:14 fc1 {3 dot}`: the place, the name and the node; `from`: where the line began */
static void put_note(struct loop_printer *p, size_t from, const struct loop_statement *s)
{
    static const char plain[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789./+-";
    struct ir_text *t = p->t;
    const struct ir_node *n = NULL;

    if (!s->loc.file && !s->node.id)
        return;
    if (s->node.id && p->k->graph && s->node.id < p->k->graph->count)
        n = ir_at(p->k->graph, s->node);
    ir_put(t, "%*s  # ", t->size - from < MARGIN ? (int)(MARGIN - (t->size - from)) : 0, "");
    if (!s->loc.file) {
        ir_put(t, "-");
    } else {
        if (*s->loc.file && strspn(s->loc.file, plain) == strlen(s->loc.file) &&
            strcmp(s->loc.file, "-") != 0)
            ir_put(t, "%s", s->loc.file);
        else
            ir_put_quoted(t, s->loc.file);
        ir_put(t, ":%d", s->loc.line);
    }
    if (n && n->name) {
        ir_put(t, " ");
        ir_put_name(t, n->name);
    }
    if (s->node.id)
        ir_put(t, " {%" PRIu32 "%s%s}", s->node.id, n ? " " : "", n ? ir_ops[n->op].name : "");
}

static void put_args(struct loop_printer *p, const struct loop_statement *s, int from, int least)
{
    int count = 3;

    while (count > least && !s->args[count - 1])
        count--;
    for (int i = from; i < count; i++)
        ir_put(p->t, "%s%%%" PRIu32, i > from ? ", " : " ", s->args[i]);
}

static void put_const(struct loop_printer *p, const struct loop_statement *s)
{
    ir_put(p->t, "const ");
    if (ir_dtypes[s->dtype].kind == 'f')
        ir_put_number(p->t, s->dtype, s->number);
    else
        ir_put(p->t, "%" PRId64, s->integer);
}

static void put_let(struct loop_printer *p, const struct loop_statement *s)
{
    if (s->op == IR_const) {
        put_const(p, s);
    } else if (s->op == IR_POISON) {
        ir_put(p->t, "index ");
        loop_put_sum(p, p->t, s->ix);
    } else {
        int arity = ir_ops[s->op].arity;
        ir_put(p->t, "%s", ir_ops[s->op].name);
        put_args(p, s, 0, arity > 0 && arity <= 3 ? arity : 0);
        if (s->op == IR_bits) {
            ir_put(p->t, " stream=%" PRId64 " at ", s->integer);
            loop_put_sum(p, p->t, s->ix);
        }
    }
}

static void put_set(struct loop_printer *p, const struct loop_statement *s)
{
    ir_put(p->t, "set %%%" PRIu32 " =", s->args[0]);
    if (s->op == IR_POISON) {
        put_args(p, s, 1, 2);
        return;
    }
    ir_put(p->t, " %s", ir_ops[s->op].name);
    put_args(p, s, s->op == IR_dot ? 1 : 0, s->op == IR_dot ? 3 : 2);
}

static void put_over(struct loop_printer *p, const struct loop_statement *s)
{
    uint64_t left = s->over;
    bool any = false;

    ir_put(p->t, " over ");
    for (int i = 0; i < p->depth; i++)
        if (left >> p->around[i] & 1) {
            ir_put(p->t, any ? ", " : "");
            loop_put_axis(p, p->t, (uint32_t)p->around[i]);
            left &= ~(UINT64_C(1) << p->around[i]);
            any = true;
        }
    for (uint32_t a = 0; a < LOOP_AXES; a++)
        if (left >> a & 1) {
            ir_put(p->t, any ? ", " : "");
            loop_put_axis(p, p->t, a);
            any = true;
        }
}

static void put_fold(struct loop_printer *p, const struct loop_statement *s)
{
    ir_put(p->t, "fold %s", s->op < IR_OPS && s->op != IR_POISON ? ir_ops[s->op].name : "?");
    put_args(p, s, 0, 1);
    put_over(p, s);
}

/* ---- statements ---- */

static void put_for(struct loop_printer *p, const struct loop_statement *s)
{
    static const char *const role[] = { "", " parallel", " unroll", " vector", " grid", " block" };
    const struct loop_axis *a = &p->k->axis[s->axis];
    int64_t to = 0, from = 0;
    bool to_known = loop_is_const(p->k, a->to, &to);

    ir_put(p->t, "for ");
    loop_put_axis(p, p->t, (uint32_t)s->axis);
    ir_put(p->t, "%s%s", role[a->role], a->ordered ? " ordered" : "");
    if (!loop_is_const(p->k, a->from, &from) || from) {
        ir_put(p->t, " from ");
        loop_put_sum(p, p->t, a->from);
    }
    ir_put(p->t, " to ");
    loop_put_sum(p, p->t, a->to);
    if (a->step != 1)
        ir_put(p->t, " step %" PRId64, a->step);
    if (a->lo != from)
        ir_put(p->t, " (%" PRId64 "..%" PRId64 ")", a->lo, a->hi);
    else if (!to_known || to != a->hi)
        ir_put(p->t, " (%" PRId64 ")", a->hi);
    put_guards(p, s);
    ir_put(p->t, " {");
}

static void put_plain(struct loop_printer *p, const struct loop_statement *s)
{
    if (s->value)
        ir_put(p->t, "%%%" PRIu32 " = ", s->value);
    switch (s->kind) {
    case LOOP_LET:
        put_let(p, s);
        break;
    case LOOP_LOAD:
        ir_put(p->t, "load ");
        put_element(p, s->buffer, s->ix);
        break;
    case LOOP_STORE:
        ir_put(p->t, "store ");
        put_element(p, s->buffer, s->ix);
        ir_put(p->t, " = %%%" PRIu32 "%s", s->args[0], s->number != 0 ? " stream" : "");
        break;
    case LOOP_VAR:
        ir_put(p->t, "var");
        put_args(p, s, 0, 1);
        break;
    case LOOP_SET:
        put_set(p, s);
        break;
    case LOOP_FOLD:
        put_fold(p, s);
        break;
    case LOOP_TRANSPOSE:
        ir_put(p->t, "transpose ");
        put_element(p, s->buffer2, s->ix2);
        ir_put(p->t, " pitch %" PRId64 " = ", s->pitch2);
        put_element(p, s->buffer, s->ix);
        ir_put(p->t, " pitch %" PRId64, s->pitch);
        break;
    case LOOP_PREFETCH:
        ir_put(p->t, "prefetch ");
        put_element(p, s->buffer, s->ix);
        ir_put(p->t, s->number != 0 ? " write" : "");
        break;
    case LOOP_COPY:
        ir_put(p->t, "copy ");
        put_element(p, s->buffer2, s->ix2);
        ir_put(p->t, " = ");
        if (s->args[0])
            ir_put(p->t, "%%%" PRIu32, s->args[0]);
        else
            put_element(p, s->buffer, s->ix);
        if (s->pitch != 1)
            ir_put(p->t, " by %" PRId64, s->pitch);
        break;
    case LOOP_MEET:
        ir_put(p->t, "meet");
        break;
    case LOOP_FRAGMENT:
        ir_put(p->t, "fragment ");
        put_element(p, s->buffer, s->ix);
        ir_put(p->t, " pitch %" PRId64 ", %" PRId64, s->pitch, s->pitch2);
        break;
    case LOOP_MULTIPLY:
        ir_put(p->t, "multiply %%%" PRIu32 " =", s->args[0]);
        put_args(p, s, 1, 3);
        put_over(p, s);
        break;
    case LOOP_FOR:
        break;
    }
    if (s->value)
        ir_put(p->t, " : %s", ir_dtypes[s->dtype].name);
    if (s->kind == LOOP_LOAD && (s->number != 0 || signbit(s->number))) {
        ir_put(p->t, " else ");
        ir_put_number(p->t, IR_F64, s->number);
    }
    put_guards(p, s);
}

static void put_block(struct loop_printer *p, const struct loop_block *b, int indent)
{
    for (int i = 0; i < b->count; i++) {
        const struct loop_statement *s = b->at[i];
        size_t from = p->t->size;
        ir_put(p->t, "%*s", indent, "");
        if (s->kind != LOOP_FOR) {
            put_plain(p, s);
            put_note(p, from, s);
            ir_put(p->t, "\n");
            continue;
        }
        put_for(p, s);
        put_note(p, from, s);
        ir_put(p->t, "\n");
        if (p->depth < LOOP_AXES)
            p->around[p->depth++] = s->axis;
        put_block(p, &s->body, indent + 2);
        p->depth--;
        ir_put(p->t, "%*s}\n", indent, "");
    }
}

/* ---- the kernel ---- */

static void put_buffer(const struct loop_kernel *k, struct ir_text *t, int buffer)
{
    const struct loop_buffer *b = &k->buffer[buffer];

    loop_put_buffer_name(k, t, buffer);
    if (b->name && b->value.id)
        ir_put(t, " @%" PRIu32, b->value.id);
    ir_put(t, ": %s[%" PRId64 "]%s%s%s%s", ir_dtypes[b->dtype].name, b->elements,
           b->read ? " read" : "", b->written ? " write" : "", b->scratch ? " scratch" : "",
           b->padded ? " padded" : "");
    if (b->base || b->offset)
        ir_put(t, " at %d+%" PRId64, b->base, b->offset);
}

static void put_buffers(const struct loop_kernel *k, struct ir_text *t)
{
    struct ir_text line = { 0 };

    for (int i = 0; i < k->buffers; i++) {
        ir_put(&line, i ? ", " : "");
        put_buffer(k, &line, i);
    }
    if (line.size < MARGIN) { /* on one line, or a line each */
        ir_put(t, "%s", line.size ? line.data : "");
    } else {
        for (int i = 0; i < k->buffers; i++) {
            ir_put(t, "\n    ");
            put_buffer(k, t, i);
            ir_put(t, i + 1 < k->buffers ? "," : "");
        }
    }
    ir_text_free(&line);
}

void loop_print(struct ir_text *t, const struct loop_kernel *k)
{
    struct loop_printer p = loop_printer_of(t, k);

    ir_put(t, "kernel ");
    ir_put_name(t, k->name ? k->name : "");
    ir_put(t, "(");
    put_buffers(k, t);
    ir_put(t, ")%s", k->shared ? " shared" : "");
    if (k->barrier)
        ir_put(t, " barrier %d", k->barrier);
    if (k->flops != 0) {
        ir_put(t, " flops ");
        ir_put_number(t, IR_F64, k->flops);
    }
    if (k->bytes != 0) {
        ir_put(t, " bytes ");
        ir_put_number(t, IR_F64, k->bytes);
    }
    if (k->comment) {
        ir_put(t, " ");
        ir_put_quoted(t, k->comment);
    }
    ir_put(t, " {\n");
    put_block(&p, &k->body, 2);
    ir_put(t, "}\n");
}

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
#include "loop.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MARGIN 72 /* the column of comments */

struct printer {
    struct ir_text *t;
    const struct loop_kernel *k;
    int suffix[LOOP_AXES]; /* which of its name; 0: no loop has it */
    int around[LOOP_AXES], depth;
};

static void put_suffixed(struct ir_text *t, int suffix)
{
    if (suffix > 1)
        ir_put(t, "~%d", suffix);
}

/* ---- names ---- */

static const char *axis_name(const struct loop_kernel *k, int axis)
{
    return k->axis[axis].name ? k->axis[axis].name : "";
}

static void find_axes(struct printer *p, const struct loop_block *b)
{
    for (int i = 0; i < b->count; i++) {
        const struct loop_statement *s = b->at[i];
        int same = 1;
        if (s->kind != LOOP_FOR || (unsigned)s->axis >= LOOP_AXES)
            continue;
        for (int a = 0; a < p->k->axes && !p->suffix[s->axis]; a++)
            same += p->suffix[a] && !strcmp(axis_name(p->k, a), axis_name(p->k, s->axis));
        if (!p->suffix[s->axis])
            p->suffix[s->axis] = same;
        find_axes(p, &s->body);
    }
}

static struct printer begin(struct ir_text *t, const struct loop_kernel *k)
{
    struct printer p = { .t = t, .k = k };

    find_axes(&p, &k->body);
    return p;
}

static void put_axis(struct printer *p, struct ir_text *t, uint32_t axis)
{
    if (axis >= LOOP_AXES ||
        !p->suffix[axis]) { /* a fault: the verifier says so, the text shows it */
        ir_put(t, "?axis%" PRIu32, axis);
        return;
    }
    ir_put_name(t, axis_name(p->k, (int)axis));
    put_suffixed(t, p->suffix[axis]);
}

static void put_buffer_name(const struct loop_kernel *k, struct ir_text *t, int buffer)
{
    const struct loop_buffer *b;
    int same = 1;

    if (buffer < 0 || buffer >= k->buffers) {
        ir_put(t, "?buffer%d", buffer);
        return;
    }
    b = &k->buffer[buffer];
    for (int i = 0; i < buffer; i++)
        same += b->name ? k->buffer[i].name && !strcmp(k->buffer[i].name, b->name)
                        : !k->buffer[i].name && k->buffer[i].value.id == b->value.id;
    if (b->name)
        ir_put_name(t, b->name);
    else
        ir_put(t, "@%" PRIu32, b->value.id);
    put_suffixed(t, same);
}

/* a symbolic extent; in brackets where its text is no word, or the name of an axis */
static void put_extent(struct printer *p, struct ir_text *t, int64_t dim)
{
    struct ir_text text = { 0 };
    bool word;

    ir_put_dim(&text, p->k->graph, dim);
    word = !strpbrk(text.data, "*+- \"");
    for (int a = 0; a < p->k->axes; a++)
        word &= !p->suffix[a] || strcmp(axis_name(p->k, a), text.data) != 0;
    ir_put(t, word ? "%s" : "[%s]", text.data);
    ir_text_free(&text);
}

/* ---- index expressions ---- */

struct item { /* scale * text */
    int64_t scale;
    int kind; /* of the atom; REMAINDER */
    uint32_t atom;
    bool gone;
    struct ir_text text;
};
enum { REMAINDER = LOOP_ATOM_DIV + 1, ITEMS = 2 * LOOP_TERMS };

static void put_sum(struct printer *p, struct ir_text *t, loop_ix ix);

/* the outer scale first; what follows is as good as any other order that the text alone decides */
static int by_scale(const void *left, const void *right)
{
    const struct item *a = left, *b = right;
    uint64_t x = a->scale < 0 ? -(uint64_t)a->scale : (uint64_t)a->scale;
    uint64_t y = b->scale < 0 ? -(uint64_t)b->scale : (uint64_t)b->scale;

    if (x != y)
        return x < y ? 1 : -1;
    return a->kind != b->kind ? a->kind - b->kind : strcmp(a->text.data, b->text.data);
}

/* x / d or x % d; parentheses unless x is one word */
static void put_divided(struct printer *p, struct ir_text *t, const struct loop_atom *a, char mark)
{
    const struct loop_sum *x = &p->k->sum[a->a];
    bool alone = x->count == 1 && x->constant == 0 && x->term[0].scale == 1 &&
                 p->k->atom[x->term[0].atom].kind != LOOP_ATOM_DIV;

    ir_put(t, alone ? "" : "(");
    put_sum(p, t, a->a);
    ir_put(t, "%s%c%" PRId64, alone ? "" : ")", mark, a->divisor);
}

static void put_atom(struct printer *p, struct ir_text *t, uint32_t atom)
{
    const struct loop_atom *a = &p->k->atom[atom];

    switch (a->kind) {
    case LOOP_ATOM_AXIS:
        put_axis(p, t, a->a);
        return;
    case LOOP_ATOM_DIM:
        put_extent(p, t, a->dim);
        return;
    case LOOP_ATOM_VALUE:
        ir_put(t, "%%%" PRIu32, a->a);
        return;
    case LOOP_ATOM_DIV:
        put_divided(p, t, a, '/');
        return;
    }
}

static struct item *find_item(struct item *item, int count, uint32_t atom, int64_t scale)
{
    for (int i = 0; i < count; i++)
        if (!item[i].gone && item[i].kind != REMAINDER && item[i].atom == atom &&
            item[i].scale == scale)
            return &item[i];
    return NULL;
}

/* s * x - s * d * (x / d) is s * (x % d) */
static bool make_remainder(struct printer *p, struct item *item, int *count, int at,
                           int64_t *constant)
{
    const struct loop_atom *a = &p->k->atom[item[at].atom];
    const struct loop_sum *x;
    struct item *part[LOOP_TERMS];
    int64_t scale, moved;

    if (item[at].gone || item[at].kind != LOOP_ATOM_DIV || item[at].scale % a->divisor ||
        *count == ITEMS)
        return false;
    scale = -(item[at].scale / a->divisor);
    x = &p->k->sum[a->a];
    for (int i = 0; i < x->count; i++) {
        int64_t wanted;
        part[i] = __builtin_mul_overflow(scale, x->term[i].scale, &wanted)
                      ? NULL
                      : find_item(item, *count, x->term[i].atom, wanted);
        if (!part[i])
            return false;
    }
    if (!x->count || __builtin_mul_overflow(scale, x->constant, &moved) ||
        __builtin_sub_overflow(*constant, moved, &moved))
        return false;
    *constant = moved;
    for (int i = 0; i < x->count; i++)
        part[i]->gone = true;
    item[at].gone = true;
    item[*count] = (struct item){ .scale = scale, .kind = REMAINDER };
    put_divided(p, &item[(*count)++].text, a, '%');
    return true;
}

static void put_sum(struct printer *p, struct ir_text *t, loop_ix ix)
{
    const struct loop_sum *s = &p->k->sum[ix];
    int64_t constant = s->constant;
    struct item *item = calloc(ITEMS, sizeof *item);
    int count = s->count;
    bool any = false, first;

    if (!item)
        ir_bug("no memory for %d terms", ITEMS);
    for (int i = 0; i < count; i++) {
        item[i] = (struct item){ .scale = s->term[i].scale, .atom = s->term[i].atom };
        item[i].kind = (int)p->k->atom[item[i].atom].kind;
        put_atom(p, &item[i].text, item[i].atom);
    }
    qsort(item, (size_t)count, sizeof *item, by_scale);
    for (int i = 0, terms = count; i < terms; i++)
        make_remainder(p, item, &count, i, &constant);
    qsort(item, (size_t)count, sizeof *item, by_scale);
    for (int i = 0; i < count && !any; i++) { /* 4 - q rather than -q + 4 */
        if (item[i].gone)
            continue;
        if (item[i].scale >= 0 || constant <= 0)
            break;
        ir_put(t, "%" PRId64, constant);
        any = true;
    }
    first = any;
    for (int i = 0; i < count; i++) {
        int64_t scale = item[i].scale;
        bool word = item[i].kind < LOOP_ATOM_DIV;
        if (!item[i].gone) {
            ir_put(t, any ? scale < 0 ? " - " : " + " : scale < 0 ? "-" : "");
            if (scale != 1 && scale != -1)
                ir_put(t, word ? "%" PRIu64 "*%s" : "%" PRIu64 "*(%s)",
                       scale < 0 ? -(uint64_t)scale : (uint64_t)scale, item[i].text.data);
            else
                ir_put(t, any || word || scale > 0 ? "%s" : "(%s)", item[i].text.data);
            any = true;
        }
        ir_text_free(&item[i].text);
    }
    free(item);
    if (!any)
        ir_put(t, "%" PRId64, constant);
    else if (constant && !first)
        ir_put(t, constant < 0 ? " - %" PRIu64 : " + %" PRIu64,
               constant < 0 ? -(uint64_t)constant : (uint64_t)constant);
}

void loop_put_ix(struct ir_text *t, const struct loop_kernel *k, loop_ix ix)
{
    struct printer p = begin(t, k);

    put_sum(&p, t, ix);
}

/* ---- the parts of a statement ---- */

static void put_element(struct printer *p, int buffer, loop_ix ix)
{
    put_buffer_name(p->k, p->t, buffer);
    ir_put(p->t, "[");
    put_sum(p, p->t, ix);
    ir_put(p->t, "]");
}

static void put_guards(struct printer *p, const struct loop_statement *s)
{
    for (int i = 0; i < s->guards; i++) {
        ir_put(p->t, i ? " and 0 <= " : " if 0 <= ");
        put_sum(p, p->t, s->guard[i].ix);
        ir_put(p->t, " < ");
        put_sum(p, p->t, s->guard[i].limit);
    }
}

/* `# mlp.c:14 fc1 {3 dot}`: the place, the name and the node; `from`: where the line began */
static void put_note(struct printer *p, size_t from, const struct loop_statement *s)
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

static void put_args(struct printer *p, const struct loop_statement *s, int from, int least)
{
    int count = 3;

    while (count > least && !s->args[count - 1])
        count--;
    for (int i = from; i < count; i++)
        ir_put(p->t, "%s%%%" PRIu32, i > from ? ", " : " ", s->args[i]);
}

static void put_const(struct printer *p, const struct loop_statement *s)
{
    ir_put(p->t, "const ");
    if (ir_dtypes[s->dtype].kind == 'f')
        ir_put_number(p->t, s->dtype, s->number);
    else
        ir_put(p->t, "%" PRId64, s->integer);
}

static void put_let(struct printer *p, const struct loop_statement *s)
{
    if (s->op == IR_const) {
        put_const(p, s);
    } else if (s->op == IR_POISON) {
        ir_put(p->t, "index ");
        put_sum(p, p->t, s->ix);
    } else {
        int arity = ir_ops[s->op].arity;
        ir_put(p->t, "%s", ir_ops[s->op].name);
        put_args(p, s, 0, arity > 0 && arity <= 3 ? arity : 0);
        if (s->op == IR_bits) {
            ir_put(p->t, " stream=%" PRId64 " at ", s->integer);
            put_sum(p, p->t, s->ix);
        }
    }
}

static void put_set(struct printer *p, const struct loop_statement *s)
{
    ir_put(p->t, "set %%%" PRIu32 " =", s->args[0]);
    if (s->op == IR_POISON) {
        put_args(p, s, 1, 2);
        return;
    }
    ir_put(p->t, " %s", ir_ops[s->op].name);
    put_args(p, s, s->op == IR_dot ? 1 : 0, s->op == IR_dot ? 3 : 2);
}

static void put_fold(struct printer *p, const struct loop_statement *s)
{
    uint64_t left = s->over;
    bool any = false;

    ir_put(p->t, "fold %s", s->op < IR_OPS && s->op != IR_POISON ? ir_ops[s->op].name : "?");
    put_args(p, s, 0, 1);
    ir_put(p->t, " over ");
    for (int i = 0; i < p->depth; i++)
        if (left >> p->around[i] & 1) {
            ir_put(p->t, any ? ", " : "");
            put_axis(p, p->t, (uint32_t)p->around[i]);
            left &= ~(UINT64_C(1) << p->around[i]);
            any = true;
        }
    for (uint32_t a = 0; a < LOOP_AXES; a++)
        if (left >> a & 1) {
            ir_put(p->t, any ? ", " : "");
            put_axis(p, p->t, a);
            any = true;
        }
    ir_put(p->t, s->ascending ? " ascending" : "");
}

/* ---- statements ---- */

static void put_for(struct printer *p, const struct loop_statement *s)
{
    static const char *const role[] = { "", " parallel", " unroll", " vector", " grid", " block" };
    const struct loop_axis *a = &p->k->axis[s->axis];
    int64_t to = 0, from = 0;
    bool to_known = loop_is_const(p->k, a->to, &to);

    ir_put(p->t, "for ");
    put_axis(p, p->t, (uint32_t)s->axis);
    ir_put(p->t, "%s%s", role[a->role], a->ordered ? " ordered" : "");
    if (!loop_is_const(p->k, a->from, &from) || from) {
        ir_put(p->t, " from ");
        put_sum(p, p->t, a->from);
    }
    ir_put(p->t, " to ");
    put_sum(p, p->t, a->to);
    if (a->step != 1)
        ir_put(p->t, " step %" PRId64, a->step);
    if (a->lo != from)
        ir_put(p->t, " (%" PRId64 "..%" PRId64 ")", a->lo, a->hi);
    else if (!to_known || to != a->hi)
        ir_put(p->t, " (%" PRId64 ")", a->hi);
    put_guards(p, s);
    ir_put(p->t, " {");
}

static void put_plain(struct printer *p, const struct loop_statement *s)
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
        ir_put(p->t, " = %%%" PRIu32, s->args[0]);
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
    case LOOP_BARRIER:
        ir_put(p->t, "barrier");
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

static void put_block(struct printer *p, const struct loop_block *b, int indent)
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

    put_buffer_name(k, t, buffer);
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
    struct printer p = begin(t, k);

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

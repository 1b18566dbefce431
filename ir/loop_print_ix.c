/*
 * Names and index expressions as text. Nothing here depends on the numbers of axes, atoms or sums:
 * terms are ordered by what they say.
 */
#include "loop_text.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

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

static void find_axes(struct loop_printer *p, const struct loop_block *b)
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

struct loop_printer loop_printer_of(struct ir_text *t, const struct loop_kernel *k)
{
    struct loop_printer p = { .t = t, .k = k };

    find_axes(&p, &k->body);
    return p;
}

void loop_put_axis(struct loop_printer *p, struct ir_text *t, uint32_t axis)
{
    if (axis >= LOOP_AXES ||
        !p->suffix[axis]) { /* a fault: the verifier says so, the text shows it */
        ir_put(t, "?axis%" PRIu32, axis);
        return;
    }
    ir_put_name(t, axis_name(p->k, (int)axis));
    put_suffixed(t, p->suffix[axis]);
}

void loop_put_buffer_name(const struct loop_kernel *k, struct ir_text *t, int buffer)
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
static void put_extent(struct loop_printer *p, struct ir_text *t, int64_t dim)
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
static void put_divided(struct loop_printer *p, struct ir_text *t, const struct loop_atom *a,
                        char mark)
{
    const struct loop_sum *x = &p->k->sum[a->a];
    bool alone = x->count == 1 && x->constant == 0 && x->term[0].scale == 1 &&
                 p->k->atom[x->term[0].atom].kind != LOOP_ATOM_DIV;

    ir_put(t, alone ? "" : "(");
    loop_put_sum(p, t, a->a);
    ir_put(t, "%s%c%" PRId64, alone ? "" : ")", mark, a->divisor);
}

static void put_atom(struct loop_printer *p, struct ir_text *t, uint32_t atom)
{
    const struct loop_atom *a = &p->k->atom[atom];

    switch (a->kind) {
    case LOOP_ATOM_AXIS:
        loop_put_axis(p, t, a->a);
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
static bool make_remainder(struct loop_printer *p, struct item *item, int *count, int at,
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

void loop_put_sum(struct loop_printer *p, struct ir_text *t, loop_ix ix)
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
    struct loop_printer p = loop_printer_of(t, k);

    loop_put_sum(&p, t, ix);
}

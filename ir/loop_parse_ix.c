/*
 * Names and index expressions of the text of a loop nest. A text says what an expression is:
 * nothing is simplified when it is read.
 */
#include "loop_text.h"

#include <limits.h>
#include <string.h>

/* parentheses in parentheses; remainders of remainders double what must be looked at */
#define NESTED 12

/* ---- names ---- */

bool loop_read_suffix(struct ir_scan *s, int64_t *suffix)
{
    *suffix = 1;
    return !ir_scan_accept(s, '~') || ir_scan_integer(s, 1, INT_MAX, suffix);
}

int loop_find_axis(const struct loop_reader *p, const char *name, int64_t suffix)
{
    for (int a = 0; a < p->k->axes; a++)
        if (p->axis_suffix[a] == suffix && !strcmp(p->k->axis[a].name, name))
            return a;
    return -1;
}

bool loop_read_buffer_name(struct loop_reader *p, const char **name, uint32_t *value,
                           int64_t *suffix)
{
    struct ir_scan *s = &p->r.s;
    int64_t number = 0;

    *name = NULL;
    if (ir_scan_accept(s, '@') ? !ir_scan_integer(s, 0, UINT32_MAX, &number)
                               : !ir_scan_name(s, name))
        return false;
    *value = (uint32_t)number;
    return loop_read_suffix(s, suffix);
}

int loop_find_buffer(const struct loop_reader *p, const char *name, uint32_t value, int64_t suffix)
{
    for (int i = 0; i < p->k->buffers; i++) {
        const struct loop_buffer *b = &p->k->buffer[i];
        if (p->buffer_suffix[i] == suffix &&
            (name ? b->name && !strcmp(b->name, name) : !b->name && b->value.id == value))
            return i;
    }
    return -1;
}

/* a value that a line before this one has defined */
bool loop_read_value(struct loop_reader *p, uint32_t *value)
{
    struct ir_scan *s = &p->r.s;
    int64_t number;

    if (!ir_scan_expect(s, "%") || !ir_scan_integer(s, 0, LOOP_VALUES, &number))
        return false;
    if (number >= p->k->values || !p->known[number])
        return ir_scan_refuse(s, "%%%d is used and not defined before", (int)number);
    *value = (uint32_t)number;
    return true;
}

/* ---- index expressions ---- */

static bool plus(struct loop_reader *p, loop_ix *sum, loop_ix more)
{
    if (p->k->sum[*sum].count + p->k->sum[more].count > LOOP_TERMS)
        return ir_scan_refuse(&p->r.s, "an index of more than %d terms", LOOP_TERMS);
    *sum = loop_plus(p->k, *sum, more);
    return true;
}

/* the extents that the graph knows, by their text */
static bool find_extent(struct loop_reader *p, const char *text, size_t length, loop_ix *ix)
{
    const struct ir_graph *g = p->k->graph;

    for (int i = 0; g && i < g->dimensions; i++) {
        int64_t dim = INT64_MIN + i;
        struct ir_text one = { 0 };
        bool same;
        ir_put_dim(&one, g, dim);
        same = one.size == length && !memcmp(one.data, text, length);
        ir_text_free(&one);
        if (same) {
            *ix = loop_atom_ix(p->k, (struct loop_atom){ .kind = LOOP_ATOM_DIM, .dim = dim });
            return true;
        }
    }
    return false;
}

static bool read_word(struct loop_reader *p, loop_ix *ix)
{
    struct ir_scan *s = &p->r.s;
    const char *name;
    int64_t suffix;
    int axis;

    if (!ir_scan_name(s, &name) || !loop_read_suffix(s, &suffix))
        return false;
    axis = loop_find_axis(p, name, suffix);
    if (axis >= 0) {
        *ix = loop_atom_ix(p->k, (struct loop_atom){ .kind = LOOP_ATOM_AXIS, .a = (uint32_t)axis });
        return true;
    }
    if (find_extent(p, name, strlen(name), ix))
        return true;
    return ir_scan_refuse(s, "%.60s is neither an axis nor an extent of the graph", name);
}

static bool read_bracket(struct loop_reader *p, loop_ix *ix)
{
    struct ir_scan *s = &p->r.s;
    const char *end = memchr(s->text + s->at, ']', s->size - s->at), *from = s->text + s->at;

    if (!end || memchr(from, '\n', (size_t)(end - from)))
        return ir_scan_refuse(s, "an extent without its ]");
    size_t length = (size_t)(end - from);
    if (!find_extent(p, from, length, ix))
        return ir_scan_refuse(s, "[%.*s] is no extent of the graph", length < 60 ? (int)length : 60,
                              from);
    s->at += length + 1;
    return true;
}

/* a word or parentheses, perhaps divided; after N* a division has parentheses of its own */
static bool read_primary(struct loop_reader *p, bool scaled, loop_ix *ix)
{
    struct ir_scan *s = &p->r.s;
    uint32_t value;
    int64_t divisor;
    int c = ir_scan_peek(s);
    bool fine;

    if (c == '(') {
        if (++p->depth > NESTED)
            return ir_scan_refuse(s, "more than %d parentheses in each other", NESTED);
        fine = ir_scan_accept(s, '(') && loop_read_ix(p, ix) && ir_scan_expect(s, ")");
        p->depth--;
    } else if (c == '%') {
        fine = loop_read_value(p, &value);
        if (fine)
            *ix = loop_atom_ix(p->k, (struct loop_atom){ .kind = LOOP_ATOM_VALUE, .a = value });
    } else {
        fine = c == '[' ? ir_scan_accept(s, '[') && read_bracket(p, ix) : read_word(p, ix);
    }
    if (!fine)
        return false;
    c = ir_scan_peek(s);
    if (c != '/' && c != '%')
        return true;
    if (scaled)
        return ir_scan_wanted(s, "parentheses around what is divided, as in 4*(i/3)");
    s->at++;
    if (!ir_scan_integer(s, 1, LOOP_FAR, &divisor))
        return false;
    loop_ix whole = loop_atom_ix(
        p->k, (struct loop_atom){ .kind = LOOP_ATOM_DIV, .a = *ix, .divisor = divisor });
    if (c == '/')
        *ix = whole;
    else
        return plus(p, ix, loop_scale(p->k, whole, -divisor));
    return true;
}

static bool read_term(struct loop_reader *p, bool minus, loop_ix *sum)
{
    struct ir_scan *s = &p->r.s;
    int c = ir_scan_peek(s);
    int64_t scale = 1;
    loop_ix ix;

    if (c >= '0' && c <= '9') {
        if (!ir_scan_integer(s, 0, LOOP_FAR, &scale))
            return false;
        if (!ir_scan_accept(s, '*')) {
            *sum = loop_plus(p->k, *sum, loop_const(p->k, minus ? -scale : scale));
            return true;
        }
        if (!read_primary(p, true, &ix))
            return false;
    } else if (!read_primary(p, false, &ix)) {
        return false;
    }
    return plus(p, sum, loop_scale(p->k, ix, minus ? -scale : scale));
}

bool loop_read_ix(struct loop_reader *p, loop_ix *ix)
{
    struct ir_scan *s = &p->r.s;
    bool minus = ir_scan_accept(s, '-');

    *ix = 0;
    do {
        if (!read_term(p, minus, ix))
            return false;
        minus = ir_scan_peek(s) == '-';
    } while (ir_scan_accept(s, '+') || ir_scan_accept(s, '-'));
    return true;
}

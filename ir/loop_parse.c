/*
 * Text as a loop nest: what loop_print.c prints, and what one writes by hand in that form.
 *
 *   kernel     `kernel` NAME ( buffer, .. ) [`shared`] [`barrier` N] [`flops` X] [`bytes` X]
 *              [comment in quotes] { statement.. }
 *   buffer     NAME[~N] [@N] or @N : type[elements] [`read`] [`write`] [`scratch`] [`padded`]
 *              [`at` base+offset]
 *   for        `for` NAME[~N] [role] [`ordered`] [`from` ix] `to` ix [`step` N] [(hi) or (lo..hi)]
 *              [guards] { statement.. }
 *   statement  [%N =] what [: type] [`else` X] [guards]
 *   what       `const` X   `index` ix   OP %N, ..   `bits` %N, %N stream=N `at` ix
 *              `load` NAME[ix]   `store` NAME[ix] = %N [`stream`]   `prefetch` NAME[ix] [`write`]
 *              `transpose` NAME[ix] `pitch` N = NAME[ix] `pitch` N
 *              `copy` NAME[ix] = NAME[ix] [`by` N]   `copy` NAME[ix] = %N   `meet`
 *              `fragment` NAME[ix] `pitch` N, N   `multiply` %N = %N, %N `over` axis, axis
 *              `var` %N   `set` %N = [OP] %N, ..   `fold` OP %N `over` axis, ..
 *   guards     `if` 0 <= ix < ix `and` 0 <= ix < ix ..
 *   ix         a sum of N, axis, extent, %N, N*axis, (ix)/N, (ix)%N, N*(ix); an extent that is no
 *              word stands in brackets
 *
 * Whether the nest is sound is asked of loop_verify.
 */
#include "loop_text.h"

#include <limits.h>
#include <string.h>

#define TEXT ((size_t)64 << 20)

/* ---- loops ---- */

static bool read_block(struct loop_reader *p, struct loop_block *block);

/* (hi) or (lo..hi); without them they are what the bounds say */
static bool read_bounds(struct loop_reader *p, struct loop_axis *a)
{
    struct ir_scan *s = &p->r.s;
    int64_t least, from = 0;

    loop_is_const(p->k, a->from, &from);
    a->lo = from;
    loop_range(p->k, a->to, &least, &a->hi);
    if (!ir_scan_accept(s, '('))
        return true;
    if (!ir_scan_integer(s, -LOOP_FAR, LOOP_FAR, &a->hi))
        return false;
    if (ir_scan_peek(s) == '.') {
        a->lo = a->hi;
        if (!ir_scan_expect(s, "..") || !ir_scan_integer(s, -LOOP_FAR, LOOP_FAR, &a->hi))
            return false;
    }
    return ir_scan_expect(s, ")");
}

static bool same_axis(const struct loop_axis *a, const struct loop_axis *b)
{
    return a->role == b->role && a->from == b->from && a->to == b->to && a->step == b->step &&
           a->lo == b->lo && a->hi == b->hi && a->ordered == b->ordered;
}

static bool read_for(struct loop_reader *p, struct loop_block *block)
{
    static const char *const role[] = { "serial", "parallel", "unroll", "vector", "grid", "block" };
    struct ir_scan *s = &p->r.s;
    struct loop_axis a = { .step = 1 };
    struct loop_statement st = { .kind = LOOP_FOR };
    int64_t suffix;

    if (!ir_scan_name(s, &a.name) || !loop_read_suffix(s, &suffix))
        return false;
    for (int i = 0; i < (int)(sizeof role / sizeof *role); i++)
        if (ir_scan_take(s, role[i]))
            a.role = (enum loop_role)i;
    a.ordered = ir_scan_take(s, "ordered");
    if (ir_scan_take(s, "from") && !loop_read_ix(p, &a.from))
        return false;
    if (!ir_scan_take(s, "to"))
        return ir_scan_wanted(s, "to and a bound");
    if (!loop_read_ix(p, &a.to) ||
        (ir_scan_take(s, "step") && !ir_scan_integer(s, 1, LOOP_FAR, &a.step)) ||
        !read_bounds(p, &a) || !loop_read_guards(p, &st) || !ir_scan_expect(s, "{") ||
        !loop_read_note(p, &st))
        return false;
    st.axis = loop_find_axis(p, a.name, suffix);
    if (st.axis >= 0 && p->open[st.axis])
        return ir_scan_refuse(s, "a loop along %.60s inside of itself", a.name);
    if (st.axis >= 0 && !same_axis(&a, &p->k->axis[st.axis])) /* a copy of a loop has its axis */
        return ir_scan_refuse(s, "a second loop along %.60s that is another; expected %.60s~2",
                              a.name, a.name);
    if (st.axis < 0) {
        if (p->k->axes == LOOP_AXES)
            return ir_scan_refuse(s, "more than %d axes", LOOP_AXES);
        st.axis = loop_axis_new(p->k, a.name, a.to, a.hi);
        p->k->axis[st.axis] = a;
        p->axis_suffix[st.axis] = suffix;
    }
    p->open[st.axis] = true;
    if (!read_block(p, &st.body))
        return false;
    p->open[st.axis] = false;
    loop_add(p->k, block, st);
    return true;
}

/* statements up to the brace that ends them */
static bool read_block(struct loop_reader *p, struct loop_block *block)
{
    struct ir_scan *s = &p->r.s;

    for (ir_scan_blank_lines(s); !ir_scan_accept(s, '}'); ir_scan_blank_lines(s))
        if (ir_scan_take(s, "for") ? !read_for(p, block) : !loop_read_statement(p, block))
            return false;
    return ir_scan_line_end(s);
}

/* ---- the kernel ---- */

static bool read_buffer(struct loop_reader *p)
{
    struct ir_scan *s = &p->r.s;
    struct loop_buffer b = { 0 };
    int64_t suffix, number = 0;
    uint32_t value;
    int i;

    if (!loop_read_buffer_name(p, &b.name, &value, &suffix))
        return false;
    if (b.name && ir_scan_accept(s, '@') && !ir_scan_integer(s, 0, UINT32_MAX, &number))
        return false;
    b.value.id = b.name ? (uint32_t)number : value;
    if (b.value.id && (!p->k->graph || b.value.id >= p->k->graph->count))
        return ir_scan_refuse(s, "@%u is not in the graph", b.value.id);
    if (!ir_scan_expect(s, ":") || !loop_read_dtype(s, &b.dtype) || !ir_scan_expect(s, "[") ||
        !ir_scan_integer(s, 0, INT64_C(1) << 48, &b.elements) || !ir_scan_expect(s, "]"))
        return false;
    b.read = ir_scan_take(s, "read");
    b.written = ir_scan_take(s, "write");
    b.scratch = ir_scan_take(s, "scratch");
    b.padded = ir_scan_take(s, "padded");
    if (ir_scan_take(s, "at")) {
        if (!ir_scan_integer(s, 0, INT_MAX, &number) || !ir_scan_expect(s, "+") ||
            !ir_scan_integer(s, 0, LOOP_FAR, &b.offset))
            return false;
        b.base = (int)number;
    }
    if (loop_find_buffer(p, b.name, b.value.id, suffix) >= 0)
        return ir_scan_refuse(s, "a second buffer of the name; expected another, or ~2 behind it");
    for (i = 0; i < p->k->buffers; i++)
        if (b.value.id && p->k->buffer[i].value.id == b.value.id)
            return ir_scan_refuse(s, "a second buffer of @%u", b.value.id);
    IR_MORE(&p->r, p->buffer_suffix, (size_t)p->k->buffers, p->buffer_room);
    i = loop_buffer_of(p->k, b.name, b.dtype, b.value, b.elements);
    p->k->buffer[i] = b;
    p->buffer_suffix[i] = suffix;
    return true;
}

static bool read_buffers(struct loop_reader *p)
{
    struct ir_scan *s = &p->r.s;

    if (!ir_scan_expect(s, "("))
        return false;
    ir_scan_blank_lines(s);
    while (!ir_scan_accept(s, ')')) {
        int before = p->k->buffers;
        if (before && !ir_scan_expect(s, ","))
            return false;
        ir_scan_blank_lines(s);
        if (before == 1 << 12)
            return ir_scan_refuse(s, "more than %d buffers", 1 << 12);
        if (!read_buffer(p))
            return false;
        ir_scan_blank_lines(s);
    }
    return true;
}

static bool read_head(struct loop_reader *p)
{
    struct ir_scan *s = &p->r.s;
    struct loop_kernel *k = p->k;
    const char *name;
    int64_t number = 0;

    if (s->size > TEXT)
        return ir_scan_refuse(s, "a text of %zu bytes; expected at most %zu", s->size, TEXT);
    if (s->size && memchr(s->text, 0, s->size))
        return ir_scan_refuse(s, "a zero byte; expected text");
    ir_scan_blank_lines(s);
    if (!ir_scan_take(s, "kernel"))
        return ir_scan_wanted(s, "kernel");
    if (!ir_scan_name(s, &name))
        return false;
    k->name = name;
    if (!read_buffers(p))
        return false;
    k->shared = ir_scan_take(s, "shared");
    if (ir_scan_take(s, "barrier") && !ir_scan_integer(s, 0, INT_MAX, &number))
        return false;
    k->barrier = (int)number;
    if ((ir_scan_take(s, "flops") && !loop_read_real(s, &k->flops)) ||
        (ir_scan_take(s, "bytes") && !loop_read_real(s, &k->bytes)) ||
        (ir_scan_peek(s) == '"' && !ir_scan_quoted(s, &k->comment)))
        return false;
    return ir_scan_expect(s, "{") && ir_scan_line_end(s);
}

struct loop_kernel *loop_parse(const char *file, const char *text, size_t size,
                               const struct ir_graph *graph, struct ir_arena *arena,
                               struct ir_error *error)
{
    struct loop_reader p = { .k = loop_kernel_new(arena, graph, "") };

    p.r.s = (struct ir_scan){
        .file = file, .text = text, .size = size, .line = 1, .arena = arena, .error = error
    };
    p.r.kept = arena;
    IR_MORE(&p.r, p.known, (size_t)0, p.known_room); /* value 0, which is none */
    if (!read_head(&p) || !read_block(&p, &p.k->body))
        return NULL;
    ir_scan_blank_lines(&p.r.s);
    if (ir_scan_peek(&p.r.s)) {
        ir_scan_wanted(&p.r.s, "the end");
        return NULL;
    }
    if (p.k->tangled) {
        ir_scan_refuse(&p.r.s, "an index of more than %d terms", LOOP_SIZE);
        return NULL;
    }
    loop_depends(p.k);
    return p.k;
}

/*
 * Text as the graph. Lines are read first and become nodes afterwards, in the order of their
 * numbers: a later stage prints nodes kernel by kernel, and they still come back as they were.
 * Every node goes through ir_add, so a text can say nothing that a program could not; the type it
 * names is compared with the type that the rule infers.
 *
 *   module   { `set` NAME = "text" }  { program }
 *   program  { `symbol` NAME `in` N..N }  NAME ( input, .. ) [`seed` N] { line.. }
 *   input    NAME : type
 *   line     [%N =] OP value, .. [letters] { attribute=[dim ..] } [~N] [: type] [`init` start]
 *            or, for a scan, ( input, .. ) { line.. } in the place of the type
 *            `kernel` NAME { line.. }
 *            `region` N NAME ["title"] ( value, .. ) [[N ..]] [-> value] `in` N
 *            `return` [NAME=]value, ..
 *   value    %N, or the name of an input
 *   type     f32 or f32[dim ..]      dim  28, batch, 4*batch*time+2
 *   behind # FILE:LINE or -, then a name path, then {region}; any other comment is a comment
 */
#include "ir/parse.h"

#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#define TEXT ((size_t)256 << 20)

/* --- the parts of a program ------------------------------------------------------------------- */

static bool read_input(struct ir_reader *r)
{
    struct ir_line *l;

    IR_MORE(r, r->inputs, r->input_count, r->input_room);
    l = &r->inputs[r->input_count++];
    *l = (struct ir_line){ .id = IR_UNNUMBERED, .at = r->s.line, .kernel = -1 };
    l->draft.op = IR_input;
    return ir_scan_name(&r->s, &l->draft.text) && ir_scan_expect(&r->s, ":") &&
           ir_parse_type(r, &l->draft);
}

static bool read_inputs(struct ir_reader *r)
{
    struct ir_scan *s = &r->s;

    if (!ir_scan_expect(s, "("))
        return false;
    ir_scan_blank_lines(s);
    while (!ir_scan_accept(s, ')')) {
        if (r->input_count && ir_scan_peek(s) == ',')
            return ir_scan_wanted(s, "an input");
        if (!read_input(r))
            return false;
        if (!ir_scan_accept(s, ',') && ir_scan_peek(s) != ')' && ir_scan_peek(s) != '\n' &&
            ir_scan_peek(s) != '#')
            return ir_scan_wanted(s, ", or )");
        if (!ir_parse_note(r, &r->inputs[r->input_count - 1].draft))
            return false;
        ir_scan_blank_lines(s);
    }
    return true;
}

static bool read_region(struct ir_reader *r)
{
    struct ir_scan *s = &r->s;
    struct ir_graph *g = r->g;
    struct ir_node note = { .op = IR_input };
    struct ir_ref *args = NULL, result = { 0, NULL };
    const char *name, *title = NULL;
    struct ir_list attr = { 0 };
    size_t count = 0, room = 0;
    int64_t number, parent;
    uint32_t region;
    ir_val *none;
    int at = s->line;

    if (!ir_scan_integer(s, g->regions, g->regions, &number) || !ir_scan_name(s, &name) ||
        (ir_scan_peek(s) == '"' && !ir_scan_quoted(s, &title)) || !ir_scan_expect(s, "("))
        return false;
    while (!ir_scan_accept(s, ')')) {
        if (count && !ir_scan_expect(s, ","))
            return false;
        IR_MORE(r, args, count, room);
        if (count == 1 << 16 || !ir_parse_ref(r, &args[count++]))
            return ir_scan_wanted(s, "fewer arguments");
    }
    if (ir_scan_accept(s, '[') && !ir_parse_numbers(r, &attr))
        return false;
    if (ir_scan_peek(s) == '-' && (!ir_scan_expect(s, "->") || !ir_parse_ref(r, &result)))
        return false;
    if (!ir_scan_take(s, "in"))
        return ir_scan_wanted(s, "in and the region around");
    if (!ir_scan_integer(s, 0, number - 1, &parent) || !ir_parse_note(r, &note) ||
        !ir_scan_line_end(s))
        return false;
    none = ir_alloc(s->arena, count * sizeof *none);
    g->region_now = (uint32_t)parent;
    region = ir_region_open(g, name, title, (int)count, none, attr, note.loc);
    g->region_now = 0;
    if (region != number)
        return ir_scan_refuse(s, "too many regions");
    IR_MORE(r, r->regions, (size_t)number, r->region_room);
    if ((size_t)number >= r->region_room)
        ir_bug("region %u", region);
    r->regions[number].args = args;
    r->regions[number].result = result;
    r->regions[number].at = at;
    return true;
}

static bool read_return(struct ir_reader *r)
{
    struct ir_scan *s = &r->s;

    if (r->output_count)
        return ir_scan_refuse(s, "a second return; expected one");
    do {
        IR_MORE(r, r->outputs, r->output_count, r->output_room);
        r->outputs[r->output_count].at = s->line;
        r->outputs[r->output_count].name = NULL;
        if (!ir_parse_ref(r, &r->outputs[r->output_count].ref))
            return false;
        if (r->outputs[r->output_count].ref.name && ir_scan_accept(s, '=')) {
            r->outputs[r->output_count].name = r->outputs[r->output_count].ref.name;
            if (!ir_parse_ref(r, &r->outputs[r->output_count].ref))
                return false;
        }
        r->output_count++;
    } while (ir_scan_accept(s, ','));
    return ir_scan_line_end(s);
}

static bool read_kernel(struct ir_reader *r)
{
    struct ir_program *p = r->program;
    struct ir_scan *s = &r->s;
    const char *name;

    if (!ir_scan_name(s, &name) || !ir_scan_expect(s, "{") || !ir_scan_line_end(s))
        return false;
    ir_grow(r->kept, p->kernels, p->kernel_count, r->kernel_room);
    p->kernels[p->kernel_count++].name = ir_format(r->kept, "%s", name);
    for (ir_scan_blank_lines(s); !ir_scan_accept(s, '}'); ir_scan_blank_lines(s))
        if (!ir_parse_node(r, p->kernel_count - 1))
            return false;
    return ir_scan_line_end(s);
}

static bool read_body(struct ir_reader *r)
{
    struct ir_scan *s = &r->s;

    for (ir_scan_blank_lines(s); !ir_scan_accept(s, '}'); ir_scan_blank_lines(s)) {
        bool fine = ir_scan_take(s, "return")                    ? read_return(r)
                    : r->depth == 0 && ir_scan_take(s, "kernel") ? read_kernel(r)
                    : ir_scan_take(s, "region")                  ? read_region(r)
                                                                 : ir_parse_node(r, -1);
        if (!fine)
            return false;
    }
    return ir_scan_line_end(s) && ir_parse_link(r);
}

static bool read_symbol(struct ir_reader *r)
{
    struct ir_scan *s = &r->s;
    struct ir_error *e = r->g->error;
    const char *name;
    int64_t lo, hi;

    if (!ir_scan_name(s, &name))
        return false;
    if (!ir_scan_take(s, "in"))
        return ir_scan_wanted(s, "in");
    if (!ir_scan_integer(s, 0, INT32_MAX, &lo) || !ir_scan_expect(s, "..") ||
        !ir_scan_integer(s, 0, INT32_MAX, &hi))
        return false;
    if (ir_symbol_new(r->g, name, lo, hi) == -1)
        return ir_error(s->error, e->status, "%s:%d: %s", s->file, s->line, e->text);
    return ir_scan_line_end(s);
}

/* `of`: the node whose body it is, NULL for a program; it takes the note behind the brace */
bool ir_parse_graph(struct ir_reader *r, struct ir_node *of)
{
    struct ir_scan *s = &r->s;

    if (!read_inputs(r))
        return false;
    if (!of && ir_scan_take(s, "seed")) {
        const char *digits;
        size_t length;
        uint64_t all = 0;
        if (!ir_scan_run(s, "0123456789", &digits, &length))
            return ir_scan_wanted(s, "a number");
        for (size_t i = 0; i < length; i++)
            if (__builtin_mul_overflow(all, 10, &all) ||
                __builtin_add_overflow(all, (uint64_t)(digits[i] - '0'), &all))
                return ir_scan_refuse(s, "a seed past 64 bits");
        r->g->seed = all;
    }
    return ir_scan_expect(s, "{") && (!of || ir_parse_note(r, of)) && ir_scan_line_end(s) &&
           read_body(r);
}

/* The symbols, signature and body of one program, from its first line on. */
static bool read_program(struct ir_reader *r)
{
    struct ir_scan *s = &r->s;
    struct ir_error *e = s->error;
    const char *name = "step";

    r->g = r->program->graph = ir_graph_new(name, NULL);
    while (ir_scan_is(s, "symbol")) {
        size_t before = s->at;
        ir_scan_take(s, "symbol");
        if (ir_scan_peek(s) == '(') { /* a program of that name */
            s->at = before;
            break;
        }
        if (!read_symbol(r))
            return false;
        ir_scan_blank_lines(s);
    }
    if (!ir_scan_name(s, &name))
        return false;
    r->g->name = ir_format(r->g->arena, "%s", name);
    if (!ir_parse_graph(r, NULL))
        return false;
    if (!ir_verify_program(r->program, r->g->error))
        return ir_error(e, r->g->error->status, "%s: %s", s->file, r->g->error->text);
    return true;
}

static bool read_setting(struct ir_scan *s, struct ir_module *m)
{
    const int room = (int)(sizeof m->setting / sizeof *m->setting);
    const char *key, *value;

    if (m->setting_count == room)
        return ir_scan_refuse(s, "more than %d settings", room);
    if (!ir_scan_name(s, &key) || !ir_scan_expect(s, "=") || !ir_scan_quoted(s, &value))
        return false;
    for (int i = 0; i < m->setting_count; i++)
        if (strcmp(m->setting[i].key, key) == 0)
            return ir_scan_refuse(s, "%.60s is set twice", key);
    m->setting[m->setting_count].key = ir_format(m->arena, "%s", key);
    m->setting[m->setting_count++].value = ir_format(m->arena, "%s", value);
    return ir_scan_line_end(s);
}

static bool read_module(struct ir_scan *s, struct ir_module *m)
{
    const int room = (int)(sizeof m->program / sizeof *m->program);

    if (s->size > TEXT)
        return ir_scan_refuse(s, "a text of %zu bytes; expected at most %zu", s->size, TEXT);
    if (memchr(s->text, 0, s->size))
        return ir_scan_refuse(s, "a zero byte; expected text");
    for (ir_scan_blank_lines(s); ir_scan_peek(s); ir_scan_blank_lines(s)) {
        struct ir_scan ahead = *s;
        if (ir_scan_take(&ahead, "set") && ir_scan_peek(&ahead) != '(') {
            *s = ahead;
            if (!read_setting(s, m))
                return false;
            continue;
        }
        if (m->count == room)
            return ir_scan_refuse(s, "more than %d programs", room);
        struct ir_reader r = { .s = *s, .kept = m->arena };
        r.program = m->program[m->count++] = ir_alloc(m->arena, sizeof *r.program);
        bool fine = read_program(&r);
        *s = r.s;
        if (!fine)
            return false;
    }
    return true;
}

struct ir_module *ir_parse(const char *file, const char *text, size_t size, struct ir_error *error)
{
    struct ir_arena *arena = ir_arena_new(), *scratch = ir_arena_new();
    struct ir_module *m = ir_alloc(arena, sizeof *m);
    struct ir_scan s = {
        .file = file, .text = text, .size = size, .line = 1, .arena = scratch, .error = error
    };
    bool fine;

    m->arena = arena;
    fine = read_module(&s, m);
    ir_arena_free(scratch);
    if (fine)
        return m;
    ir_module_free(m);
    return NULL;
}

void ir_module_free(struct ir_module *m)
{
    if (!m)
        return;
    for (int i = 0; i < m->count; i++)
        if (m->program[i])
            ir_graph_free(m->program[i]->graph);
    ir_arena_free(m->arena);
}

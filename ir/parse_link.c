/*
 * The lines of a text become nodes, in the order of their numbers, each through ir_add.
 */
#include "ir/parse.h"

#include <stdlib.h>
#include <string.h>

static bool refuse_line(struct ir_reader *r, const struct ir_line *l, const char *what)
{
    r->s.line = l->at;
    return ir_scan_refuse(&r->s, "%s", what);
}

static int by_order(const void *a, const void *b)
{
    const struct ir_line *x = a, *y = b;

    if (x->order != y->order)
        return x->order < y->order ? -1 : 1;
    if ((x->id == IR_UNNUMBERED) !=
        (y->id == IR_UNNUMBERED)) /* what has no number follows what has */
        return x->id == IR_UNNUMBERED ? 1 : -1;
    return x->at < y->at ? -1 : x->at > y->at;
}

static int by_name(const void *a, const void *b)
{
    return strcmp((*(struct ir_line *const *)a)->draft.text,
                  (*(struct ir_line *const *)b)->draft.text);
}

static bool add(struct ir_reader *r, struct ir_line *l)
{
    struct ir_error *e = r->g->error;
    struct ir_node *n = &l->draft, given = l->draft, *made;
    uint32_t before = r->g->count;
    struct ir_loc loc = n->loc;

    n->loc = (struct ir_loc){ NULL, 0 }; /* the error speaks of the text's line, which we add */
    l->value = ir_add(r->g, n);
    if (l->value.id == 0) {
        r->s.line = l->at;
        return e->status ? ir_error(r->s.error, e->status, "%s:%d: %s", r->s.file, l->at, e->text)
                         : ir_scan_refuse(&r->s, "%s of a bad value", ir_ops[n->op].name);
    }
    made = &r->g->nodes[l->value.id];
    if (l->typed && (made->dtype != given.dtype || !ir_same_shape(&made->shape, &given.shape))) {
        struct ir_text text = { 0 };
        ir_put_shape(&text, r->g, made->dtype, &made->shape);
        ir_put(&text, ", but the line says ");
        ir_put_shape(&text, r->g, given.dtype, &given.shape);
        r->s.line = l->at;
        ir_scan_refuse(&r->s, "%s: the result is %.200s", ir_ops[n->op].name, text.data);
        ir_text_free(&text);
        return false;
    }
    if (r->g->count > before) {
        made->region = n->region; /* compared with the table when that is whole */
        made->loc.line = loc.line;
        if (loc.file && (!r->last_file || strcmp(r->last_file, loc.file) != 0))
            r->last_file = ir_format(r->g->arena, "%s", loc.file);
        made->loc.file = loc.file ? r->last_file : NULL;
    }
    return true;
}

/* Inputs stand in the signature and have numbers as well: each goes where the lines leave a gap, or
 * before its first reader. */
static bool place_inputs(struct ir_reader *r, const struct ir_line *until, uint32_t id)
{
    while (r->placed < r->input_count && (until ? until->value.id == 0 : r->g->count < id))
        if (!add(r, &r->inputs[r->placed++]))
            return false;
    return true;
}

static bool find(struct ir_reader *r, const struct ir_ref *ref, size_t limit, int at, ir_val *value)
{
    size_t low = 0, high = limit;

    r->s.line = at;
    if (ref->name) {
        struct ir_line wanted = { .draft.text = ref->name }, *key = &wanted;
        struct ir_line **found =
            r->input_count ? bsearch(&key, r->by_name, r->input_count, sizeof *r->by_name, by_name)
                           : NULL;
        if (!found)
            return ir_scan_refuse(&r->s, "%.60s is no input; expected one of the signature or %%N",
                                  ref->name);
        if (!place_inputs(r, *found, 0))
            return false;
        *value = (*found)->value;
        return true;
    }
    while (low < high) { /* the first line of that number */
        size_t middle = low + (high - low) / 2;
        if (r->lines[middle].order < ref->id)
            low = middle + 1;
        else
            high = middle;
    }
    if (low >= limit || r->lines[low].id != ref->id)
        return ir_scan_refuse(&r->s, "%%%u is not there; expected a value of a smaller number",
                              ref->id);
    *value = r->lines[low].value;
    return true;
}

static bool const_number(struct ir_reader *r, struct ir_line *l)
{
    int64_t *bits = ir_alloc(r->s.arena, sizeof *bits);
    struct ir_scan part = r->s;
    double value;

    l->draft.attr[0] = (struct ir_list){ 1, bits };
    r->s.line = l->at;
    if (ir_dtypes[l->draft.dtype].kind == 'f') {
        if (!ir_read_number(l->number, l->digits, &value))
            return ir_scan_refuse(&r->s, "%.*s is no number", l->digits > 40 ? 40 : (int)l->digits,
                                  l->number);
        memcpy(bits, &value, sizeof value);
        return true;
    }
    part.text = l->number;
    part.size = l->digits;
    part.at = 0;
    part.line = l->at;
    if (!ir_scan_integer(&part, INT64_MIN, INT64_MAX, bits))
        return false;
    if (part.at != part.size)
        return ir_scan_refuse(&r->s, "%.*s is no whole number",
                              l->digits > 40 ? 40 : (int)l->digits, l->number);
    return true;
}

static bool add_lines(struct ir_reader *r)
{
    if (r->count)
        qsort(r->lines, r->count, sizeof *r->lines, by_order);
    for (size_t i = 0; i < r->count; i++) {
        struct ir_line *l = &r->lines[i];
        struct ir_node *n = &l->draft;
        ir_val *args = ir_alloc(r->s.arena, (size_t)n->arity * sizeof *args);
        if (i && l->id != IR_UNNUMBERED && l->id == l[-1].id)
            return refuse_line(r, l, "a number that another line has too");
        if (l->id != IR_UNNUMBERED && !place_inputs(r, NULL, l->id))
            return false;
        for (int k = 0; k < n->arity; k++)
            if (!find(r, &l->args[k], i, l->at, &args[k]))
                return false;
        n->args = args;
        if (n->op == IR_const && !const_number(r, l))
            return false;
        if (n->op == IR_reshape || n->op == IR_expand) {
            int64_t *dims = ir_alloc(r->s.arena, sizeof n->shape.dim);
            memcpy(dims, n->shape.dim, sizeof n->shape.dim);
            if (!n->attr[0].count)
                n->attr[0] = (struct ir_list){ n->shape.rank, dims };
        }
        if (!add(r, l))
            return false;
    }
    return place_inputs(r, NULL, IR_UNNUMBERED);
}

static bool sort_inputs(struct ir_reader *r)
{
    struct ir_scan *s = &r->s;

    r->by_name = ir_alloc(s->arena, r->input_count * sizeof *r->by_name);
    for (size_t i = 0; i < r->input_count; i++)
        r->by_name[i] = &r->inputs[i];
    if (r->input_count)
        qsort(r->by_name, r->input_count, sizeof *r->by_name, by_name);
    for (size_t i = 1; i < r->input_count; i++)
        if (by_name(&r->by_name[i - 1], &r->by_name[i]) == 0)
            return refuse_line(r, r->by_name[i], "an input's name that another has too");
    return true;
}

static bool link_regions(struct ir_reader *r)
{
    struct ir_graph *g = r->g;

    for (uint32_t i = 1; i < g->count; i++)
        if (g->nodes[i].region >= g->regions) {
            return ir_scan_refuse(&r->s,
                                  "a value in region %u, but there are %u; expected a line "
                                  "`region %u ..`",
                                  g->nodes[i].region, g->regions - 1, g->nodes[i].region);
        }
    for (uint32_t i = 1; i < g->regions; i++) {
        struct ir_region *region = &g->region[i];
        for (int k = 0; k < region->arity; k++)
            if ((r->regions[i].args[k].name || r->regions[i].args[k].id) &&
                !find(r, &r->regions[i].args[k], r->count, r->regions[i].at, &region->args[k]))
                return false;
        if ((r->regions[i].result.name || r->regions[i].result.id) &&
            !find(r, &r->regions[i].result, r->count, r->regions[i].at, &region->result))
            return false;
    }
    return true;
}

static bool link_outputs(struct ir_reader *r)
{
    for (size_t i = 0; i < r->output_count; i++) {
        ir_val value;
        if (!find(r, &r->outputs[i].ref, r->count, r->outputs[i].at, &value))
            return false;
        if (ir_at(r->g, value)->op == IR_assign)
            return ir_scan_refuse(&r->s, "return of an assignment; expected a value");
        if (ir_has_results(ir_at(r->g, value)->op))
            return ir_scan_refuse(&r->s, "return of a scan; expected one of its results");
        ir_output(r->g, r->outputs[i].name, value);
    }
    return true;
}

/* A line that equals an earlier one adds no node, and so stands in no second kernel. */
static void fill_kernels(struct ir_reader *r)
{
    struct ir_program *p = r->program;
    bool *seen = ir_alloc(r->s.arena, r->g->count * sizeof *seen);

    for (int pass = 0; pass < 2; pass++)
        for (size_t i = 0; i < r->count; i++) {
            const struct ir_line *l = &r->lines[i];
            struct ir_kernel *k = l->kernel < 0 ? NULL : &p->kernels[l->kernel];
            if (seen[l->value.id] == (pass == 0)) /* counted, then put */
                continue;
            seen[l->value.id] = pass == 0;
            if (!k)
                continue;
            if (pass == 1 && !k->nodes) {
                k->nodes = ir_alloc(r->kept, (size_t)k->count * sizeof *k->nodes);
                k->count = 0;
            }
            if (pass == 1)
                k->nodes[k->count] = l->value;
            k->count++;
        }
}

bool ir_parse_link(struct ir_reader *r)
{
    int last = r->s.line;

    if (!sort_inputs(r) || !add_lines(r) || !link_regions(r) || !link_outputs(r))
        return false;
    fill_kernels(r);
    r->s.line = last;
    return true;
}

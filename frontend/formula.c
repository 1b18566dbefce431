/*
 * formula: the elementwise functions of formulas.def, from text to nodes.
 *
 * A row is its own documentation: `taper ops` prints the table. A bare number among the tensors has
 * their type; numbers that the caller leaves out have the row's defaults.
 */
#include <math.h>
#include <string.h>

#include "frontend/frontend.h"

#define NONE NAN
static const struct tp_formula_row rows[] = {
#define FORMULA(name, tensors, numbers, p, q, r, inner, text) \
    { #name, numbers, inner, text, { p, q, r }, tensors },
#include "frontend/formulas.def"
#undef FORMULA
};

const struct tp_formula_row *tp_formula_rows(int *count)
{
    *count = (int)(sizeof rows / sizeof *rows);
    return rows;
}

static const struct tp_formula_row *find(const char *name)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (strcmp(rows[i].name, name) == 0)
            return &rows[i];
    return NULL;
}

static int words(const char *text)
{
    int count = *text != 0;

    for (; *text; text++)
        count += *text == ' ';
    return count;
}

/* A number of the row in the type of the tensors; one that integers do not reach is their last. */
static ir_val number(struct ir_graph *g, enum ir_dtype dtype, double value, struct ir_loc at)
{
    const int bits = 8 * ir_dtypes[dtype].bytes - (ir_dtypes[dtype].kind == 'i');
    const double hi = ldexp(1, bits) - 1, lo = ir_dtypes[dtype].kind == 'i' ? -hi - 1 : 0;
    const int64_t last = bits == 63 ? INT64_MAX : (int64_t)hi;

    if (ir_dtypes[dtype].kind == 'f')
        return ir_number(g, dtype, value, at);
    return ir_integer(g, dtype,
                      value >= hi   ? last
                      : value <= lo ? (lo < 0 ? -last - 1 : 0)
                                    : (int64_t)value,
                      at);
}

static ir_val spell(struct ir_graph *g, const struct tp_formula_row *f, const ir_val *x,
                    const double *p, struct ir_loc at)
{
    const bool region = ir_region_kind(f->name) >= 0; /* with a derivative of its own */
    const int numbers = words(f->numbers);
    ir_val letter[26] = { 0 }, y;
    uint32_t opened = 0;

    for (int i = 0; i < f->tensors; i++)
        letter[i] = x[i];
    if (*f->inner)
        letter['s' - 'a'] = spell(g, find(f->inner), x, find(f->inner)->otherwise, at);
    for (int i = 0; i < numbers; i++)
        letter['p' - 'a' + i] = number(g, ir_at(g, x[0])->dtype, p[i], at);
    if (region)
        opened = ir_region_open(g, f->name, NULL, f->tensors, x, (struct ir_list){ 0 }, at);
    y = ir_formula(g, f->text, letter, at);
    return region ? ir_region_close(g, opened, y) : y;
}

ir_val tp_formula_value(struct ir_graph *g, const char *name, ir_val a, struct ir_loc at)
{
    const struct tp_formula_row *f = find(name);

    return spell(g, f, &a, f->otherwise, at);
}

tp_tensor tp_formula_at(const char *name, tp_list list, tp_numbers given, tp_loc at)
{
    tp_graph *g = tp_graph_of(list.count, list.at);
    const struct tp_formula_row *f = find(name);
    enum ir_dtype dtype = IR_DTYPES;
    double p[3];
    ir_val x[3] = { 0 };

    if (!tp_ready(g, at, name, list.count, list.at))
        return POISON(g);
    if (!f)
        return tp_fail(g, at, name, "no such formula; expected a row of formulas.def");
    if (list.count != f->tensors || given.count > words(f->numbers) || given.count < 0)
        return tp_fail(g, at, name, "%d tensors, %d numbers; expected %d, at most %d (%s)",
                       list.count, given.count, f->tensors, words(f->numbers), f->numbers);
    for (int i = 0; i < list.count && dtype == IR_DTYPES; i++)
        if (list.at[i].g)
            dtype = tp_node(list.at[i])->dtype;
    for (int i = 0; i < words(f->numbers); i++) {
        p[i] = i < given.count ? given.at[i] : f->otherwise[i];
        if (isnan(f->otherwise[i]) && i >= given.count)
            return tp_fail(g, at, name, "%d numbers; expected %s", given.count, f->numbers);
        if (ir_dtypes[dtype].kind != 'f' && p[i] != floor(p[i]) && !isinf(p[i]))
            return tp_fail(g, at, name,
                           "the number %g for integers; expected a floating type, tp_cast() "
                           "changes it",
                           p[i]);
    }
    for (int i = 0; i < list.count; i++) {
        x[i] =
            list.at[i].g ? tp_val(list.at[i]) : tp_number_as(g, name, list.at[i].number, dtype, at);
        if (list.at[i].g && tp_node(list.at[i])->dtype != dtype)
            return tp_fail(g, at, name,
                           "argument %d is %s, an earlier one %s; expected one type, tp_cast() "
                           "changes it",
                           i + 1, tp_describe(list.at[i]), ir_dtypes[dtype].name);
        if (!x[i].id)
            return POISON(g);
    }
    for (int i = 1; i < list.count; i++)
        tp_beware(name, list.at[i - 1], list.at[i], at);
    return tp_give(g, spell(g->ir, f, x, p, tp_place(g, at)));
}

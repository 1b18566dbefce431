/*
 * feed: loaders as users see them: a data set, its batches, and the program they go to.
 *
 * The columns are bound to a program's inputs by name once, when the loader first meets it; after
 * that a batch is one gather into the program's own buffers.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "frontend/data.h"
#include "frontend/frontend.h"

struct tp_loader {
    struct ir_error error;
    struct data_set *set;
    struct data_batches_options options;
    struct data_batches *batches;
    struct loader_source source;
    const tp_program *bound;
    uint64_t serial;
    void *destination[DATA_COLUMNS];
};

/* No part is asked for: all of the rows where a format has no parts of its own. */
static const char *part_of(const char *reader, const char *part)
{
    static const char *const whole[] = { "npy", "npz", "csv", "text", "names", "arrays" };

    for (size_t i = 0; !part && i < sizeof whole / sizeof *whole; i++)
        if (strcmp(whole[i], reader) == 0)
            return "";
    return part ? part : "train";
}

static tp_loader *new_loader(struct data_set *(*make)(const void *what, const tp_loader_args *args,
                                                      struct ir_error *error),
                             const char *reader, const void *what, tp_loader_args args)
{
    tp_loader *l = calloc(1, sizeof *l);

    if (!l)
        return NULL;
    l->options = (struct data_batches_options){ .batch = args.batch ? args.batch : 64,
                                                .shuffle = args.shuffle,
                                                .drop_last = args.drop_last,
                                                .seed = args.seed,
                                                .ahead = args.ahead };
    l->source = (struct loader_source){ .reader = reader, .args = args };
    snprintf(l->source.part, sizeof l->source.part, "%s", part_of(reader, args.part));
    if (args.label) {
        snprintf(l->source.label, sizeof l->source.label, "%s", args.label);
        l->source.args.label = l->source.label;
    }
    l->set = make(what, &args, &l->error);
    if (l->set && (!args.rows || tp_data_split(args.rows, l->set->rows, &l->options.first_row,
                                               &l->options.rows, &l->error)))
        l->batches = tp_batches_new(l->set, &l->options, &l->error);
    if (l->batches) {
        l->source.first_row = l->options.first_row;
        l->source.rows = tp_batches_rows(l->batches);
    }
    return l;
}

bool tp_loader_narrow(tp_loader *l, int64_t batch)
{
    if (batch >= tp_batches_most(l->batches))
        return true;
    l->options.batch = l->source.args.batch = batch;
    tp_batches_free(l->batches);
    l->batches = tp_batches_new(l->set, &l->options, &l->error);
    l->bound = NULL;
    return l->batches != NULL;
}

const struct loader_source *tp_loader_source(const tp_loader *l)
{
    return &l->source;
}

void tp_loader_free(tp_loader *l)
{
    if (!l)
        return;
    tp_batches_free(l->batches);
    tp_data_free(l->set);
    free(l);
}

const char *tp_loader_error(const tp_loader *l)
{
    return !l ? "no memory for a loader" : l->error.status == IR_OK ? NULL : l->error.text;
}

int tp_loader_status(const tp_loader *l)
{
    return l ? l->error.status : IR_FAILED;
}

int64_t tp_loader_rows(const tp_loader *l)
{
    return l && l->batches ? tp_batches_rows(l->batches) : 0;
}

int64_t tp_loader_most(const tp_loader *l)
{
    return l && l->batches ? tp_batches_most(l->batches) : 0;
}

int64_t tp_loader_batches(const tp_loader *l)
{
    return l && l->batches ? tp_batches_count(l->batches) : 0;
}

const struct data_set *tp_loader_set(const tp_loader *l)
{
    return l->set;
}

struct data_batches *tp_loader_walk(const tp_loader *l)
{
    return l->batches;
}

/* --- where sets come from ------------------------------------------------------------------------
 */

struct source {
    const char *format, *path;
};

static struct data_set *from_file(const void *what, const tp_loader_args *a, struct ir_error *error)
{
    const struct source *source = what;
    const struct data_request request = { a->part, a->label, a->context, a->step, a->vocabulary };

    if (!source->path) {
        ir_error(error, IR_REFUSED, "data: no path is given");
        return NULL;
    }
    return tp_data_load(source->format, source->path, &request, error);
}

tp_loader *tp_load_data_with(const char *format, const char *path, tp_loader_args args)
{
    const char *known = format ? format : path ? tp_data_format(path) : NULL;

    return new_loader(from_file, known ? known : "", &(struct source){ known, path }, args);
}

const char *tp_loader_token(const tp_loader *l, int64_t token)
{
    return l && l->set && token >= 0 && token < l->set->vocabulary_count ? l->set->vocabulary[token]
                                                                         : NULL;
}

int64_t tp_loader_classes(const tp_loader *l)
{
    return l && l->set ? l->set->classes : 0;
}

/* Parts of a set that is drawn have seeds of their own, and are of sizes that train in seconds. */
static struct data_set *made(const void *set, const tp_loader_args *a, struct ir_error *error)
{
    const bool test = a->part && strcmp(a->part, "test") == 0;
    const uint64_t seed = 2 * a->seed + test;

    if (a->part && !test && strcmp(a->part, "train") != 0) {
        ir_error(error, IR_REFUSED,
                 "data %.40s: there is no part \"%.40s\"; expected train or test",
                 (const char *)set, a->part);
        return NULL;
    }
    if (a->count < 0) {
        ir_error(error, IR_REFUSED, "data %.40s: %lld rows", (const char *)set,
                 (long long)a->count);
        return NULL;
    }
    if (strcmp(set, "digits") == 0)
        return tp_data_digits(a->count ? a->count : test ? 1000 : 6000, seed, error);
    return tp_data_planar(set, a->count ? a->count : 200, a->noise, seed, error);
}

tp_loader *tp_load_made(const char *set, tp_loader_args args)
{
    return new_loader(made, strcmp(set, "digits") == 0 ? "digits" : "planar", set, args);
}

/* The user's columns, by name, type and shape; with a function they have no rows of their own. */
static bool describe(const tp_columns *columns, int64_t rows, bool function,
                     struct data_column described[DATA_COLUMNS], struct ir_error *error)
{
    if (columns->count < 1 || columns->count > DATA_COLUMNS || rows < 1)
        return ir_error(error, IR_REFUSED,
                        "data from %s: %d columns of %lld rows; expected 1 to %d "
                        "columns and 1 row or more",
                        function ? "a function" : "arrays", columns->count, (long long)rows,
                        DATA_COLUMNS);
    for (int i = 0; i < columns->count; i++) {
        const tp_column *c = &columns->at[i];
        if (!c->name || (!function && !c->data) || c->row.rank < 0 || c->row.rank > IR_RANK)
            return ir_error(error, IR_REFUSED, "data from %s: column %d lacks a name or data",
                            function ? "a function" : "arrays", i + 1);
        described[i] = (struct data_column){ .name = (char *)c->name,
                                             .dtype = tp_ir_dtype(c->dtype),
                                             .rank = c->row.rank,
                                             .rows = (void *)c->data };
        memcpy(described[i].dim, c->row.dim, (size_t)c->row.rank * sizeof(int64_t));
    }
    return true;
}

static struct data_set *from_arrays(const void *what, const tp_loader_args *a,
                                    struct ir_error *error)
{
    const tp_columns *columns = what;
    struct data_column described[DATA_COLUMNS] = { { 0 } };

    if (!describe(columns, a->count, false, described, error))
        return NULL;
    return tp_data_from_arrays("arrays", a->count, columns->count, described, error);
}

tp_loader *tp_loader_from(tp_columns columns, tp_loader_args args)
{
    return new_loader(from_arrays, "arrays", &columns, args);
}

struct maker {
    tp_columns columns;
    tp_fill *fill;
    void *user;
};

/* Columns of no rows, which then get a number of rows that no memory stands for. */
static struct data_set *from_function(const void *what, const tp_loader_args *a,
                                      struct ir_error *error)
{
    const struct maker *maker = what;
    struct data_column described[DATA_COLUMNS] = { { 0 } };
    struct data_set *set;

    if (!maker->fill) {
        ir_error(error, IR_REFUSED, "data from a function: there is none");
        return NULL;
    }
    if (!describe(&maker->columns, a->count, true, described, error))
        return NULL;
    set = tp_data_from_arrays("a function", 0, maker->columns.count, described, error);
    if (set) {
        set->rows = a->count;
        set->fill = maker->fill;
        set->user = maker->user;
    }
    return set;
}

tp_loader *tp_loader_from_function(tp_columns columns, tp_fill *fill, void *user,
                                   tp_loader_args args)
{
    return new_loader(from_function, "function", &(struct maker){ columns, fill, user }, args);
}

/* --- to a program ------------------------------------------------------------------------------
 */

static bool refuse(tp_program *p, const char *format, ...) __attribute__((format(printf, 2, 3)));
static bool refuse(tp_program *p, const char *format, ...)
{
    char text[300];
    va_list list;

    va_start(list, format);
    vsnprintf(text, sizeof text, format, list);
    va_end(list);
    ir_error(&p->owner->error, IR_REFUSED, "tp_next: %s", text);
    return tp_tell(p->owner);
}

/* An input takes a column's rows: equal type, and equal extents after the first, which is rows. */
static bool takes(tp_program *p, const struct port *port, const struct data_column *c)
{
    const struct ir_node *n = ir_at(p->graph, port->value);
    struct ir_shape row = { .rank = c->rank };
    struct ir_text has = { 0 }, want = { 0 };
    bool fit = n->dtype == c->dtype && n->shape.rank == c->rank + 1;

    memcpy(row.dim, c->dim, sizeof row.dim);
    for (int i = 0; fit && i < c->rank; i++)
        fit = n->shape.dim[i + 1] == c->dim[i];
    if (fit)
        return true;
    ir_put_shape(&has, p->graph, c->dtype, &row);
    ir_put_shape(&want, p->graph, n->dtype, &n->shape);
    refuse(p,
           "rows of column \"%.40s\" are %.60s; the input is %.60s, where the first axis is rows",
           c->name, has.data, want.data);
    ir_text_free(&has);
    ir_text_free(&want);
    return false;
}

static bool bind(tp_loader *l, tp_program *p)
{
    const struct data_set *set = l->set;
    const struct ir_graph *g = p->graph;

    if (g->symbols == 0 && p->input_count)
        return refuse(p, "the program's inputs have no symbolic first axis to hold a batch");
    for (int i = 0; i < set->columns; i++)
        l->destination[i] = NULL;
    for (int i = 0; i < p->input_count; i++) {
        int c = 0;
        while (c < set->columns && strcmp(set->column[c].name, p->input[i].name) != 0)
            c++;
        if (c == set->columns)
            return refuse(p, "the input \"%.40s\" has no column in the data %.40s",
                          p->input[i].name, set->name);
        if (!takes(p, &p->input[i], &set->column[c]))
            return false;
        l->destination[c] = p->input[i].data;
    }
    if (g->symbols && tp_batches_most(l->batches) > g->symbol[0].hi)
        return refuse(p, "batches of %lld rows; the program takes at most %lld",
                      (long long)tp_batches_most(l->batches), (long long)g->symbol[0].hi);
    l->bound = p;
    l->serial = p->serial;
    return true;
}

bool tp_loader_bind(tp_loader *l, tp_program *p)
{
    if (!l || !p || p->owner->error.status != IR_OK)
        return false;
    if (l->error.status != IR_OK) {
        ir_error(&p->owner->error, l->error.status, "%s", l->error.text);
        return tp_tell(p->owner);
    }
    return (l->bound == p && l->serial == p->serial) || bind(l, p);
}

bool tp_next(tp_loader *l, tp_program *p)
{
    int64_t rows = tp_loader_bind(l, p) ? tp_batches_next(l->batches, l->destination) : 0;

    return rows > 0 && tp_rows(p, rows);
}

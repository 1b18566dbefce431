/*
 * notice: what a run says or demands on its way: tp_print, tp_check, tp_log_value.
 *
 * In a recorded graph each is one more output of every program that has the inputs it is computed
 * from, looked at after a run: "print/h" is printed, "check/rates are positive" counts what is
 * false, "probe/value/.." is a probe like those that a step has of itself. Their names say what
 * they are, so a `.tp` file and a trainer have them too. In an eager graph they happen at once.
 */
#include <string.h>

#include "frontend/frontend.h"

#define PRINT "print/"
#define CHECK "check/"

/* --- recorded --------------------------------------------------------------------------------- */

static void add(tp_graph *g, enum notice_kind kind, ir_val value, const char *name)
{
    ir_grow(g->ir->arena, g->notice, g->notices, g->notice_room);
    g->notice[g->notices++] = (struct notice){ kind, value.id, name };
}

/* A value of its own even where it is one that the trace has: with the line of the notice. */
static ir_val here(tp_graph *g, ir_val v, tp_loc at)
{
    return ir_op1(g->ir, IR_barrier, v, tp_place(g, at));
}

static bool good_name(tp_graph *g, tp_loc at, const char *what, const char *name)
{
    const size_t length = name ? strlen(name) : 0;

    if (!length || length > 200)
        tp_fail(g, at, what, "words of %zu bytes; expected 1 to 200", length);
    return length && length <= 200;
}

/* "h_0", as tags are: no space, nothing to quote */
static const char *tag_of(tp_graph *g, const char *name)
{
    char *tag = ir_format(g->ir->arena, "%.200s", name);

    for (char *c = tag; *c; c++)
        if (*c < 33 || *c > 126 || *c == '"' || *c == '\\')
            *c = '_';
    return tag;
}

void tp_print_at(tp_tensor x, const char *name, tp_loc at)
{
    tp_graph *g = x.g;

    if (!g || g->eager) {
        tp_print_values(x);
    } else if (tp_ready(g, at, "tp_print", 1, &x)) {
        const char *plain = ir_format(g->ir->arena, PRINT "%.200s", name ? name : "");
        add(g, NOTICE_PRINT, here(g, tp_val(x), at), plain);
    }
}

void tp_check_at(tp_tensor ok, const char *message, tp_loc at)
{
    tp_graph *g = ok.g;
    const char *what = "tp_check";
    int64_t axes[IR_RANK];
    ir_val wrong;
    int rank;

    if (!tp_ready(g, at, what, 1, &ok) || !good_name(g, at, what, message))
        return;
    if (tp_node(ok)->dtype != IR_BOOL) {
        tp_fail(g, at, what, "%s; expected truth values, as tp_gt gives", tp_describe(ok));
        return;
    }
    rank = tp_rank(ok);
    for (int i = 0; i < rank; i++)
        axes[i] = i;
    wrong =
        ir_cast(g->ir, ir_op1(g->ir, IR_not, tp_val(ok), tp_place(g, at)), IR_I64, tp_place(g, at));
    if (rank)
        wrong = ir_reduce(g->ir, IR_sum, wrong, rank, axes, tp_place(g, at));
    if (!g->eager) {
        add(g, NOTICE_CHECK, here(g, wrong, at), ir_format(g->ir->arena, CHECK "%s", message));
        return;
    }
    const double count = tp_item(tp_give(g, wrong));
    if (count > 0)
        tp_fail(g, at, "check", "%s: %.0f of %s are false", message, count, tp_describe(ok));
}

void tp_log_value_at(tp_tensor x, const char *name, tp_loc at)
{
    tp_graph *g = x.g;
    const char *what = "tp_log_value";

    if (!tp_ready(g, at, what, 1, &x) || !good_name(g, at, what, name))
        return;
    if (ir_dtypes[tp_node(x)->dtype].kind != 'f')
        tp_fail(g, at, what, "%s; expected a floating type", tp_describe(x));
    else if (g->eager)
        tp_fail(g, at, what,
                "the graph computes at once; expected a recorded one, whose step "
                "is made with .probe = true");
    else
        add(g, NOTICE_PROBE, tp_val(x), tag_of(g, name));
}

void tp_read_notices(tp_graph *g)
{
    for (int i = 0; i < g->ir->output_count; i++)
        if (tp_is_notice(g->ir->outputs[i].name))
            add(g, tp_is_check(g->ir->outputs[i].name) ? NOTICE_CHECK : NOTICE_PRINT,
                g->ir->outputs[i].value, g->ir->outputs[i].name);
}

bool tp_no_notice_inside(const tp_graph *g, const bool *inside, const char **kind)
{
    static const char *const name[] = { "tp_print", "tp_check", "tp_log_value" };

    for (int i = 0; i < g->notices; i++)
        if (inside[g->notice[i].value]) {
            *kind = name[g->notice[i].kind];
            return false;
        }
    return true;
}

/* --- in a program ----------------------------------------------------------------------------- */

/* Marks what the value is made of; false, and marks nothing, where that takes an input which the
 * program does not have. */
static bool take(const struct ir_graph *trace, bool *live, uint32_t value, bool *of)
{
    memset(of, 0, trace->count * sizeof *of);
    of[value] = true;
    for (uint32_t v = value; v > 0; v--) {
        const struct ir_node *n = &trace->nodes[v];
        if (!of[v] || live[v])
            continue;
        if (n->op == IR_input)
            return false;
        for (int i = 0; i < n->arity; i++)
            of[n->args[i].id] = true;
    }
    for (uint32_t v = 1; v <= value; v++)
        live[v] |= of[v];
    return true;
}

void tp_take_notices(const tp_graph *g, bool *live, struct wanted *w)
{
    bool *of = ir_alloc(g->ir->arena, g->ir->count * sizeof *of);

    for (int i = 0; w->notice && i < g->notices; i++)
        if (take(g->ir, live, g->notice[i].value, of)) {
            w->traced[w->n + w->notices] = g->notice[i].value;
            w->notice[w->notices++] = g->notice[i];
        }
}

void tp_name_notices(struct ir_graph *graph, const struct wanted *w, bool probe)
{
    for (int i = 0; i < w->notices; i++)
        if (w->notice[i].kind != NOTICE_PROBE)
            ir_output(graph, w->notice[i].name, w->value[w->n + i]);
        else if (probe)
            tp_probe_value(graph, w->notice[i].name, w->value[w->n + i]);
}

bool tp_is_notice(const char *output)
{
    return output && (strncmp(output, PRINT, strlen(PRINT)) == 0 || tp_is_check(output));
}

bool tp_is_check(const char *output)
{
    return output && strncmp(output, CHECK, strlen(CHECK)) == 0;
}

const char *tp_check_words(struct ir_arena *arena, const struct ir_graph *g, int i)
{
    const struct ir_loc at = ir_at(g, g->outputs[i].value)->loc;
    const char *words = g->outputs[i].name + strlen(CHECK);

    return at.file ? ir_format(arena, "%.100s:%d: check: %.200s", at.file, at.line, words)
                   : ir_format(arena, "check: %.200s", words);
}

static void print(const tp_program *p, const struct port *port)
{
    const struct ir_node *n = ir_at(p->graph, port->value);
    const char *name = port->name + strlen(PRINT);
    struct ir_array array = { n->dtype, n->shape, port->data };
    struct ir_text text = { 0 };

    if (n->loc.file)
        ir_put(&text, "%s:%d: ", n->loc.file, n->loc.line);
    ir_put(&text, "%s%s%s[", name, *name ? " = " : "", ir_dtypes[n->dtype].name);
    for (int i = 0; i < n->shape.rank; i++) {
        array.shape.dim[i] = ir_dim_value(p->graph, n->shape.dim[i], p->symbol);
        ir_put(&text, "%s%lld", i ? " " : "", (long long)array.shape.dim[i]);
    }
    ir_put(&text, "] ");
    tp_put_array(&text, &array, p->graph, &n->shape);
    puts(text.data);
    ir_text_free(&text);
}

bool tp_notices_run(const tp_program *p)
{
    for (int i = 0; i < p->output_count; i++) {
        const struct port *port = &p->output[i];
        if (!tp_is_notice(port->name))
            continue;
        if (!tp_is_check(port->name)) {
            print(p, port);
        } else if (tp_port_number(p, port) > 0) {
            return ir_error(&p->owner->error, IR_FAILED, "%s: %.0f false",
                            tp_check_words(p->graph->arena, p->graph, i), tp_port_number(p, port));
        }
    }
    return true;
}

/*
 * flatten: a scan becomes a loop of kernels.
 *
 * The nodes of the body stand among those around it, once, between a step and its done. The index
 * of the loop is a symbol, so that the slice of a step is a view like any other, at an index that
 * the kernel is told, and what a step computes of nothing that changes stays outside. Carries live
 * in locals: filled before the loop, read by a step as they were before it, and stored again; the
 * outputs of all steps are locals too, each step storing its slice. Where the loop may not run at
 * all, nothing that it computes may stay outside, and outputs begin as zeros. What follows (fuse,
 * layout, schedules, plan) sees one graph; it keeps the kernels of a loop together (loops.c says
 * which those are).
 */
#include "passes.h"

#include <string.h>

struct flatten {
    struct ir_graph *out;
    struct ir_arena *scratch;
    int symbols; /* of the user's; those behind are indices of loops */
};

/* The symbol of a loop's index: one for all loops of this depth and length. */
static int64_t index_of_loop(struct flatten *f, int depth, int64_t length, struct ir_loc loc)
{
    struct ir_graph *g = f->out;
    const int64_t most = ir_dim_max(g, length), hi = most > 0 ? most - 1 : 0;
    const char *name = ir_format(g->arena, "turn%d_%lld", depth, (long long)hi);

    for (int s = 0; s < f->symbols; s++)
        if (strcmp(g->symbol[s].name, name) == 0) {
            name = ir_format(g->arena, "%s_", name);
            s = -1;
        }
    for (int s = f->symbols; s < g->symbols; s++)
        if (strcmp(g->symbol[s].name, name) == 0)
            return ir_symbol_dim(g, s);
    if (g->symbols == IR_SYMBOLS) {
        ir_error(g->error, IR_UNSUPPORTED,
                 "%s:%d: scan: more than %d symbols and lengths of scans in one program",
                 loc.file ? loc.file : "?", loc.line, IR_SYMBOLS);
        return -1;
    }
    return ir_symbol_new(g, name, 0, hi);
}

static ir_val local(struct flatten *f, ir_val outer, enum ir_dtype dtype, struct ir_shape shape,
                    const struct ir_node *scan)
{
    return ir_add(f->out, &(struct ir_node){ .op = IR_local,
                                             .dtype = dtype,
                                             .shape = shape,
                                             .arity = outer.id != 0,
                                             .args = &outer,
                                             .name = scan->name,
                                             .loc = scan->loc });
}

static ir_val store(struct flatten *f, ir_val to, ir_val value, ir_val when, struct ir_loc loc)
{
    return ir_add(f->out, &(struct ir_node){ .op = IR_store,
                                             .arity = 3,
                                             .args = (ir_val[]){ to, value, when },
                                             .loc = loc });
}

/* What the next carry or an output shows of a carry must be taken before that is stored again. */
static bool shows_carry(const struct ir_graph *g, ir_val v)
{
    while (pass_is_view(ir_at(g, v)->op) && ir_at(g, v)->op != IR_read)
        v = ir_at(g, v)->args[0];
    return ir_at(g, v)->op == IR_read;
}

static void flatten_nodes(struct flatten *f, const struct ir_graph *in, ir_val *moved, ir_val outer,
                          int depth);

static bool is_result(const struct ir_graph *g, ir_val v, uint32_t scan, int o)
{
    const struct ir_node *n = ir_at(g, v);

    return n->op == IR_result && n->args[0].id == scan && n->attr[0].at[0] == o;
}

/* Is output o of a scan that may not run read by nobody but slice by slice where it has run? */
static bool runs_with_readers(const struct ir_graph *g, uint32_t scan, int o)
{
    const uint32_t when = g->nodes[scan].args[ir_scan_when(&g->nodes[scan])].id;

    for (int i = 0; i < g->output_count; i++)
        if (is_result(g, g->outputs[i].value, scan, o))
            return false;
    for (uint32_t v = scan + 1; v < g->count; v++) {
        const struct ir_node *n = &g->nodes[v];
        const int first = n->op == IR_scan ? (int)ir_scan_number(n, IR_SCAN_CARRY) : 0;
        const int end = first + (n->op == IR_scan ? (int)ir_scan_number(n, IR_SCAN_SLICES) : 0);
        for (int i = 0; i < n->arity; i++)
            if (is_result(g, n->args[i], scan, o) &&
                (i < first || i >= end || ir_scan_when(n) < 0 ||
                 n->args[ir_scan_when(n)].id != when))
                return false;
    }
    return true;
}

/* A single step is no loop: its nodes stand among the others. */
static ir_val *flatten_step(struct flatten *f, const struct ir_node *n, const ir_val *moved_around,
                            ir_val outer, int depth)
{
    struct ir_graph *g = f->out;
    const struct ir_graph *body = n->body;
    const int carry = (int)ir_scan_number(n, IR_SCAN_CARRY),
              slices = (int)ir_scan_number(n, IR_SCAN_SLICES);
    ir_val *moved = ir_alloc(f->scratch, body->count * sizeof *moved);
    ir_val *parameter = ir_alloc(f->scratch, ((size_t)n->arity + 1) * sizeof *parameter);
    ir_val *result = ir_alloc(f->scratch, ((size_t)body->output_count + 1) * sizeof *result);

    ir_parameters(body, parameter, n->arity);
    for (int i = 0; i < n->arity; i++) {
        const ir_val a = moved_around[n->args[i].id];
        struct ir_shape shape = ir_shape_of(g, body, ir_at(body, parameter[i])->shape);
        moved[parameter[i].id] =
            i >= carry && i < carry + slices ? ir_reshape(g, a, shape, n->loc) : a;
    }
    ir_take_regions(g, body);
    flatten_nodes(f, body, moved, outer, depth);
    for (int o = 0; o < body->output_count && g->error->status == IR_OK; o++) {
        struct ir_shape shape;
        result[o] = moved[body->outputs[o].value.id];
        if (o < carry)
            continue;
        shape = ir_at(g, result[o])->shape;
        memmove(shape.dim + 1, shape.dim, (size_t)shape.rank * sizeof *shape.dim);
        shape.dim[0] = 1;
        shape.rank++;
        result[o] = ir_reshape(g, result[o], shape, n->loc);
    }
    return result;
}

/* moved: of the graph around. Gives the scan's results. */
static ir_val *flatten_scan(struct flatten *f, const struct ir_node *n, const ir_val *moved_around,
                            const struct ir_graph *around, ir_val outer, int depth)
{
    struct ir_graph *g = f->out;
    const struct ir_graph *body = n->body;
    const int carry = (int)ir_scan_number(n, IR_SCAN_CARRY),
              slices = (int)ir_scan_number(n, IR_SCAN_SLICES), outputs = body->output_count;
    const int when = ir_scan_when(n);
    const int64_t length = ir_dim_of(g, around, ir_scan_number(n, IR_SCAN_LENGTH));
    const int64_t numbers[] = { index_of_loop(f, depth, length, n->loc), length, 1 };
    ir_val *moved = ir_alloc(f->scratch, body->count * sizeof *moved);
    ir_val *parameter = ir_alloc(f->scratch, ((size_t)n->arity + 1) * sizeof *parameter);
    ir_val *home = ir_alloc(f->scratch, ((size_t)outputs + 1) * sizeof *home);
    ir_val *arg = ir_alloc(f->scratch, ((size_t)outputs + 3) * sizeof *arg);
    ir_val *result = ir_alloc(f->scratch, ((size_t)outputs + 1) * sizeof *result), step, done;
    int args = 0;

    if (numbers[0] == -1)
        return result;
    ir_parameters(body, parameter, n->arity);
    for (int o = 0; o < outputs; o++) {
        const struct ir_node *value = ir_at(body, body->outputs[o].value);
        struct ir_shape shape = ir_shape_of(g, body, value->shape);
        if (o >= carry) {
            memmove(shape.dim + 1, shape.dim, (size_t)shape.rank * sizeof *shape.dim);
            shape.dim[0] = length;
            shape.rank++;
        }
        home[o] = local(f, outer, value->dtype, shape, n);
    }
    if (outer.id)
        arg[args++] = outer;
    for (int o = 0; o < carry; o++)
        arg[args++] = store(f, home[o], moved_around[n->args[o].id], home[o], n->loc);
    for (int o = carry; o < outputs && when >= 0; o++)
        if (!runs_with_readers(around, (uint32_t)(n - around->nodes), o))
            arg[args++] = store(f, home[o], ir_full_like(g, home[o], 0, n->loc), home[o], n->loc);
    if (when >= 0) /* stored, for who runs the kernels must see it */
        arg[args++] = ir_op1(g, IR_stop_gradient, moved_around[n->args[when].id], n->loc);
    step = ir_add(
        g, &(struct ir_node){ .op = IR_step,
                              .arity = args,
                              .args = arg,
                              .attr = { { 1, &numbers[0] },
                                        { 1, &numbers[1] },
                                        { ir_scan_number(n, IR_SCAN_REVERSE) != 0, &numbers[2] },
                                        { when >= 0, &numbers[2] } },
                              .name = n->name,
                              .loc = n->loc });
    for (int i = 0; i < n->arity; i++) {
        ir_val a = moved_around[n->args[i].id];
        moved[parameter[i].id] = i < carry            ? ir_op2(g, IR_read, home[i], step, n->loc)
                                 : i < carry + slices ? ir_op2(g, IR_at, a, step, n->loc)
                                 : when >= 0          ? ir_op2(g, IR_within, a, step, n->loc)
                                                      : a;
    }
    ir_take_regions(g, body);
    flatten_nodes(f, body, moved, step, depth + 1);
    args = 0;
    arg[args++] = step;
    for (int o = 0; o < outputs; o++) {
        ir_val v = moved[body->outputs[o].value.id];
        if (g->error->status == IR_OK && shows_carry(g, v))
            v = ir_op1(g, IR_stop_gradient, v, n->loc);
        arg[args++] = store(f, home[o], v, step, n->loc);
    }
    done =
        ir_add(g, &(struct ir_node){
                      .op = IR_done, .arity = args, .args = arg, .name = n->name, .loc = n->loc });
    for (int o = 0; o < outputs; o++)
        result[o] = ir_op2(g, IR_read, home[o], done, n->loc);
    return result;
}

static void flatten_nodes(struct flatten *f, const struct ir_graph *in, ir_val *moved, ir_val outer,
                          int depth)
{
    ir_val **result = ir_alloc(f->scratch, in->count * sizeof(ir_val *));
    const uint32_t shift = f->out->region_shift;

    for (uint32_t v = 1; v < in->count && f->out->error->status == IR_OK; v++) {
        const struct ir_node *n = &in->nodes[v];
        if (n->op == IR_scan) {
            result[v] = ir_scan_number(n, IR_SCAN_LENGTH) == 1 && ir_scan_when(n) < 0
                            ? flatten_step(f, n, moved, outer, depth)
                            : flatten_scan(f, n, moved, in, outer, depth);
            f->out->region_shift = shift;
        } else if (n->op == IR_result) {
            moved[v] = result[n->args[0].id][n->attr[0].at[0]];
        } else if (!moved[v].id) {
            moved[v] = ir_copy(f->out, in, (ir_val){ v }, moved);
        }
    }
    if (f->out->error->status == IR_OK)
        ir_move_regions(f->out, in, moved);
}

struct ir_graph *pass_flatten_scans(const struct ir_graph *in)
{
    struct flatten f = { .symbols = in->symbols };
    ir_val *moved;
    uint32_t v = 1;

    while (v < in->count && in->nodes[v].op != IR_scan)
        v++;
    if (v == in->count)
        return NULL;
    f.out = ir_graph_like(in);
    f.scratch = ir_arena_new();
    moved = ir_alloc(f.scratch, in->count * sizeof *moved);
    flatten_nodes(&f, in, moved, (ir_val){ 0 }, 0);
    if (f.out->error->status == IR_OK)
        ir_move_outputs(f.out, in, moved);
    ir_arena_free(f.scratch);
    return f.out;
}

/*
 * layout: how the elements of every stored value lie in memory.
 *
 * The plain storage is row-major with the rows padded to whole vectors, and off multiples of 1 KiB,
 * where rows would fall into the same sets of the first cache. Where there are convolutions, images
 * lie side by side, 16 at a time, or, where they are too few for that, their channels do; weights
 * of products lie in slivers. What the caller hands in or reads is dense. Eager arrays are plain.
 */
#include "passes.h"

#include <string.h>

loop_ix pass_address(struct loop_kernel *k, const struct pass_storage *s, const loop_ix *index)
{
    loop_ix at = loop_const(k, 0);

    for (int i = 0; i < s->parts; i++) {
        const struct pass_part *p = &s->part[i];
        loop_ix part = loop_div(k, index[p->axis], p->divisor);
        if (p->extent)
            part = loop_mod(k, part, p->extent);
        at = loop_plus(k, at, loop_scale(k, part, p->pitch));
    }
    return at;
}

#define VECTOR 16
#define FEW    8 /* less than half a vector is not worth lanes */

static int64_t round_up(int64_t n, int64_t to)
{
    return (n + to - 1) / to * to;
}

/* Elements from one row to the next: whole vectors, and rows of a whole KiB one more, or they fall
 * on the same lines of the cache. */
static int64_t row_room(const struct ir_node *n, int64_t extent)
{
    const int64_t room = round_up(extent, VECTOR);

    return room * ir_dtypes[n->dtype].bytes % 1024 == 0 ? room + VECTOR : room;
}

/* features that somebody reads as one long row: nothing may lie between them, so the padding stands
 * behind all of them */
static struct pass_storage long_rows(const struct ir_graph *g, const struct ir_node *n)
{
    struct pass_storage s = { .parts = n->shape.rank, .elements = 1 };

    for (int i = n->shape.rank; i-- > 0;) {
        if (i == 0)
            s.elements = row_room(n, s.elements);
        s.part[i] = (struct pass_part){ i, 1, 0, s.elements };
        s.elements *= ir_dim_max(g, n->shape.dim[i]);
    }
    s.elements = round_up(s.elements, VECTOR);
    return s;
}

static struct pass_storage rows(const struct ir_graph *g, const struct ir_node *n, bool dense)
{
    struct pass_storage s = { .parts = n->shape.rank, .elements = 1, .padded = !dense };

    for (int i = n->shape.rank; i-- > 0;) {
        int64_t extent = ir_dim_max(g, n->shape.dim[i]);
        s.part[i] = (struct pass_part){ i, 1, 0, s.elements };
        if (i == n->shape.rank - 1 && !dense) {
            s.padded = extent >= FEW || n->shape.rank == 1;
            if (s.padded)
                extent = n->shape.rank == 1 ? round_up(extent, VECTOR) : row_room(n, extent);
        }
        s.elements *= extent;
    }
    s.elements = round_up(s.elements, VECTOR);
    return s;
}

/* what kernel reads of others is stored; virtual nodes are computed in the kernel that reads them
 */
static void walk_reads(const struct pass_compiled *c, int kernel, ir_val v, bool *stored, int *seen)
{
    const struct ir_node *n = ir_at(c->program->graph, v);

    for (int i = 0; i < n->arity; i++) {
        ir_val a = n->args[i];
        int of = c->kernel_of[a.id];
        if (of == -1 && !ir_is_memory(ir_at(c->program->graph, a)->op)) {
            if (seen[a.id] != kernel + 1)
                walk_reads(c, kernel, a, stored, seen);
            seen[a.id] = kernel + 1;
        } else if (of != kernel)
            stored[a.id] = true;
    }
}

/* ---- images side by side ---- */

static bool is_conv(enum ir_op op)
{
    return op == IR_conv || op == IR_conv_input || op == IR_conv_weight;
}

static double filled(int64_t extent)
{
    return (double)extent / (double)round_up(extent, VECTOR);
}

static double elements(const struct ir_graph *g, const struct ir_shape *s)
{
    double product = 1;

    for (int i = 0; i < s->rank; i++)
        product *= (double)ir_dim_max(g, s->dim[i]);
    return product;
}

/*
 * How the images of a graph's convolutions lie. In lanes of images, [n/16][c][h][w][16] is within
 * 5 % of the best order for any number of channels, and the only good one for few. Where images are
 * too few to fill lanes, or leave many empty, and channels do fill them: channels last, and a copy
 * of the weights in slivers of channels for each product that reads them.
 */
struct images {
    int64_t dim;   /* the images'; -1: they are rows like others */
    bool channels; /* in lanes */
};

static struct images images_of(const struct ir_graph *g)
{
    struct images im = { .dim = -1 };
    double work = 0, full = 0;
    int64_t most = 0;

    for (uint32_t v = 1; v < g->count; v++) {
        const struct ir_node *n = &g->nodes[v];
        if (!is_conv(n->op))
            continue;
        const struct ir_shape *x = &ir_at(g, n->args[0])->shape;
        const struct ir_shape *w =
            n->op == IR_conv_weight ? &n->shape : &ir_at(g, n->args[1])->shape;
        /* in lanes of what a product makes: forwards and for the weights channels out */
        const int64_t made = w->dim[n->op == IR_conv_input];
        const double products = elements(g, x) * (double)made;
        if (most == 0) {
            im.dim = x->dim[0];
            most = ir_dim_max(g, im.dim);
        }
        if (n->attr[3].at[0] != 1)
            return (struct images){ most >= VECTOR / 4 ? im.dim : -1, false };
        work += products;
        full += products * filled(made);
    }
    im.channels = work > 0 && full / work > 1.1 * filled(most);
    return im.channels || most >= VECTOR / 4 ? im : (struct images){ .dim = -1 };
}

static enum ir_op seen_through(const struct ir_graph *g, ir_val v)
{
    while (pass_is_view(ir_at(g, v)->op))
        v = ir_at(g, v)->args[0];
    return ir_at(g, v)->op;
}

static bool needs_copies(const struct ir_graph *g, int64_t dim)
{
    for (uint32_t v = 1; v < g->count; v++)
        if (g->nodes[v].op == IR_custom)
            return true;
    for (int i = 0; i < g->effect_count; i++) {
        enum ir_op op = seen_through(g, ir_at(g, g->effects[i])->args[1]);
        if (op == IR_state || op == IR_input)
            return true;
    }
    return dim != -1;
}

/* Which axis of a product's operand goes in lanes: the one that the result keeps; -1: neither, too
 * short, or both operands are parameters. */
static int lanes_in(const struct ir_graph *g, uint32_t v, int operand)
{
    const struct ir_node *n = &g->nodes[v], *p = ir_at(g, n->args[operand]),
                         *other = ir_at(g, n->args[1 - operand]);
    const char *letters = operand ? strchr(n->text, ',') + 1 : n->text,
               *result = strstr(n->text, "->") + 2;
    bool first, second;

    if (p->shape.rank != 2 || p->dtype != IR_F32 || other->op == IR_state)
        return -1;
    first = strchr(result, letters[0]);
    second = strchr(result, letters[1]);
    return first == second || ir_dim_max(g, p->shape.dim[!first]) < FEW ? -1 : !first;
}

/*
 * Parameters that a loop's products read along their other axis: they would be turned anew in each
 * round, so they are copied once, before the loop.
 */
struct turned {
    int *lanes;   /* by state: 1 + the axis that its first product has in lanes */
    bool *wanted; /* by state: a copy with the other axis in lanes */
    ir_val *copy;
    bool any;
};

static bool reads_turned(const struct turned *t, const struct ir_graph *g, uint32_t v, int operand)
{
    const ir_val w = g->nodes[v].args[operand];
    const int axis = ir_at(g, w)->op == IR_state ? lanes_in(g, v, operand) : -1;

    if (axis >= 0 && !t->lanes[w.id])
        t->lanes[w.id] = axis + 1;
    return axis >= 0 && t->lanes[w.id] != axis + 1;
}

static struct turned find_turned(const struct ir_graph *g, struct ir_arena *arena)
{
    const struct pass_loops *loops = pass_find_loops(g, arena);
    struct turned t = { .lanes = ir_alloc(arena, g->count * sizeof *t.lanes),
                        .wanted = ir_alloc(arena, g->count * sizeof *t.wanted),
                        .copy = ir_alloc(arena, g->count * sizeof *t.copy) };

    for (uint32_t v = 1; v < g->count && loops->count; v++)
        for (int i = 0; i < 2 && g->nodes[v].op == IR_dot; i++)
            if (reads_turned(&t, g, v, i) && loops->loop_of[v] >= 0)
                t.any = t.wanted[g->nodes[v].args[i].id] = true;
    return t;
}

/* others who copy it may want it in another order */
static ir_val own_copy(struct ir_graph *g, ir_val v, struct ir_loc loc)
{
    struct ir_node copy = { .op = IR_stop_gradient, .arity = 1, .args = &v, .loc = loc };

    copy.identity = g->identities + 1;
    return ir_add(g, &copy);
}

/* What a C function reads is a dense array of its own, wherever it came from. */
static ir_val for_call(struct ir_graph *g, ir_val v, struct ir_loc loc)
{
    return ir_at(g, v)->op == IR_input ? v : own_copy(g, v, loc);
}

/*
 * Dense arrays that convolutions read or write, a program's inputs and everything eager, are
 * brought side by side, and back, by kernels of their own. They are written as stop_gradient, the
 * operation that does nothing, which is computed as a copy.
 */
const struct ir_graph *pass_relayout(const struct ir_graph *in, bool all)
{
    const struct images im = images_of(in);
    const int64_t dim = im.dim;
    struct ir_arena *scratch = ir_arena_new();
    const struct turned turned = find_turned(in, scratch);
    struct ir_graph *out;
    ir_val *moved;

    if (!needs_copies(in, dim) && !turned.any) {
        ir_arena_free(scratch);
        return in;
    }
    out = ir_graph_like(in);
    moved = ir_moved(out, in);
    for (uint32_t v = 1; v < in->count; v++) {
        const struct ir_node *n = &in->nodes[v];
        bool conv = dim != -1 && is_conv(n->op);
        ir_val before[3] = { { 0 } };
        for (int i = 0; i < n->arity && conv; i++) {
            bool image =
                ir_at(in, n->args[i])->shape.dim[0] == dim && !(i == 1 && n->op != IR_conv_weight);
            before[i] = moved[n->args[i].id];
            const enum ir_op from = seen_through(in, n->args[i]);
            if (image && (all || from == IR_input || from == IR_custom))
                moved[n->args[i].id] = ir_op1(out, IR_stop_gradient, before[i], n->loc);
            if (im.channels && i == 1 && n->op != IR_conv_weight)
                moved[n->args[i].id] = own_copy(out, before[i], n->loc);
        }
        if (n->op == IR_assign) {
            enum ir_op op = seen_through(in, n->args[1]);
            before[1] = moved[n->args[1].id];
            if (op == IR_state || op == IR_input)
                moved[n->args[1].id] = ir_op1(out, IR_stop_gradient, before[1], n->loc);
        }
        for (int i = 0; i < 2 && n->op == IR_dot; i++) {
            before[i] = moved[n->args[i].id];
            if (reads_turned(&turned, in, v, i) && turned.wanted[n->args[i].id])
                moved[n->args[i].id] = turned.copy[n->args[i].id];
        }
        if (n->op == IR_custom) {
            ir_val own[IR_CUSTOM_ARGUMENTS];
            struct ir_node call = *n;
            for (int i = 0; i < n->arity; i++)
                own[i] = for_call(out, moved[n->args[i].id], n->loc);
            call.args = own;
            moved[v] = ir_add(out, &call);
            out->nodes[moved[v].id].region = n->region;
            continue;
        }
        moved[v] = ir_copy(out, in, (ir_val){ v }, moved);
        if (turned.wanted[v])
            turned.copy[v] = ir_op1(out, IR_stop_gradient, moved[v], n->loc);
        if (n->op == IR_assign)
            moved[n->args[1].id] = before[1];
        for (int i = 0; i < n->arity && (conv || n->op == IR_dot); i++)
            moved[n->args[i].id] = before[i];
        if (conv && all && n->op != IR_conv_weight)
            moved[v] = ir_op1(out, IR_stop_gradient, moved[v], n->loc);
    }
    ir_move_outputs(out, in, moved);
    ir_move_regions(out, in, moved);
    ir_arena_free(scratch);
    return out;
}

static struct pass_storage images(const struct ir_graph *g, const struct ir_node *n)
{
    struct pass_storage s = { .elements = VECTOR, .padded = true };
    int rank = n->shape.rank;

    s.parts = rank + 1;
    s.part[rank] = (struct pass_part){ 0, 1, VECTOR, 1 };
    for (int i = rank - 1; i > 0; i--) {
        s.part[i] = (struct pass_part){ i, 1, 0, s.elements };
        s.elements *= ir_dim_max(g, n->shape.dim[i]);
    }
    s.part[0] = (struct pass_part){ 0, VECTOR, 0, s.elements };
    s.elements *= (ir_dim_max(g, n->shape.dim[0]) + VECTOR - 1) / VECTOR;
    return s;
}

/* [n][h][w][c] */
static struct pass_storage channels_last(const struct ir_graph *g, const struct ir_node *n)
{
    const int rank = n->shape.rank;
    struct pass_storage s = { .parts = rank, .padded = true };
    const int64_t channels = ir_dim_max(g, n->shape.dim[1]);

    s.part[1] = (struct pass_part){ 1, 1, 0, 1 };
    s.padded = channels >= FEW;
    s.elements = s.padded ? row_room(n, channels) : channels;
    for (int i = rank; i-- > 0;) {
        if (i == 1)
            continue;
        s.part[i] = (struct pass_part){ i, 1, 0, s.elements };
        s.elements *= ir_dim_max(g, n->shape.dim[i]);
    }
    s.elements = round_up(s.elements, VECTOR);
    return s;
}

/* [lanes/64][r][other channels][q][64]: a convolution's weights in the order in which it walks */
static struct pass_storage weights(const struct ir_graph *g, const struct ir_node *n, int lanes)
{
    const int64_t width = pass_sliver(ir_dim_max(g, n->shape.dim[lanes]));
    const int last = n->shape.rank - 1;
    struct pass_storage s = { .elements = width, .padded = true };

    s.part[s.parts++] = (struct pass_part){ lanes, 1, width, 1 };
    for (int i = last; i >= 1; i--) {
        const int axis = i == last ? last : i == last - 1 ? 1 - lanes : i + 1;
        s.part[s.parts++] = (struct pass_part){ axis, 1, 0, s.elements };
        s.elements *= ir_dim_max(g, n->shape.dim[axis]);
    }
    s.part[s.parts++] = (struct pass_part){ lanes, width, 0, s.elements };
    s.elements *= (ir_dim_max(g, n->shape.dim[lanes]) + width - 1) / width;
    return s;
}

/* the copies of weights that convolutions read, by the axis in lanes */
static void mark_weights(const struct ir_graph *g, int *kernel)
{
    for (uint32_t v = 1; v < g->count; v++) {
        const struct ir_node *n = &g->nodes[v];
        if ((n->op == IR_conv || n->op == IR_conv_input) &&
            ir_at(g, n->args[1])->op == IR_stop_gradient)
            kernel[n->args[1].id] = n->op == IR_conv ? 0 : 1;
    }
}

/* images, and rows of features that are images in another shape */
static void mark_images(const struct ir_graph *g, const struct images *im, bool *image)
{
    const int64_t dim = im->dim;

    for (uint32_t v = 1; v < g->count; v++) {
        const struct ir_node *n = &g->nodes[v];
        image[v] |= n->shape.rank >= 3 && n->shape.dim[0] == dim;
        if (im->channels || n->op != IR_reshape || n->shape.rank < 3 || n->shape.dim[0] != dim)
            continue;
        const struct ir_node *a = ir_at(g, n->args[0]);
        image[n->args[0].id] |= a->shape.rank == 2 && a->shape.dim[0] == dim;
    }
}

/* ---- weights in slivers ---- */

/* [n/64][k][64]: what a product reads side by side, for as long as the weight lives */
static struct pass_storage sliver(const struct ir_graph *g, const struct ir_node *n, int lanes)
{
    int64_t width = pass_sliver(ir_dim_max(g, n->shape.dim[lanes])),
            depth = ir_dim_max(g, n->shape.dim[1 - lanes]);
    struct pass_storage s = { .parts = 3, .padded = true };

    s.part[0] = (struct pass_part){ lanes, width, 0, depth * width };
    s.part[1] = (struct pass_part){ 1 - lanes, 1, 0, width };
    s.part[2] = (struct pass_part){ lanes, 1, width, 1 };
    s.elements = (ir_dim_max(g, n->shape.dim[lanes]) + width - 1) / width * width * depth;
    return s;
}

/* The first product that a parameter takes part in, the forward one, says which of its axes lies in
 * lanes; so does the product that a copy was made for. */
static void find_slivers(const struct ir_graph *g, int *lanes)
{
    for (uint32_t v = 1; v < g->count; v++)
        for (int i = 0; i < 2 && g->nodes[v].op == IR_dot; i++) {
            const ir_val w = g->nodes[v].args[i];
            const struct ir_node *n = ir_at(g, w);
            const bool copy = n->op == IR_stop_gradient && ir_at(g, n->args[0])->op == IR_state;
            if ((n->op == IR_state || copy) && lanes[w.id] < 0)
                lanes[w.id] = lanes_in(g, v, i);
        }
}

/* what is updated with a parameter lies as it does: momenta and the like */
static void follow(const struct pass_compiled *c, int *lanes)
{
    const struct ir_graph *g = c->program->graph;

    for (int k = 0; k < c->program->kernel_count; k++) {
        const struct ir_kernel *kernel = &c->program->kernels[k];
        int is = -1;
        for (int i = 0; i < kernel->count; i++) {
            const struct ir_node *n = ir_at(g, kernel->nodes[i]);
            if (n->op == IR_assign && lanes[n->args[0].id] >= 0)
                is = lanes[n->args[0].id];
        }
        for (int i = 0; i < kernel->count && is >= 0; i++) {
            const struct ir_node *n = ir_at(g, kernel->nodes[i]);
            if (n->op == IR_assign && n->shape.rank == 2 && n->dtype == IR_F32)
                lanes[n->args[0].id] = is;
        }
    }
}

const struct pass_known_state *pass_settled(const struct pass_options *options, const char *name,
                                            int *next)
{
    for (int i = 0; i < options->known_count; i++) {
        const int at = (*next + i) % options->known_count;
        if (strcmp(options->known[at].name, name) == 0) {
            *next = at + 1;
            return &options->known[at];
        }
    }
    return NULL;
}

void pass_layout(struct pass_compiled *c, const struct pass_options *options)
{
    const struct ir_graph *g = c->program->graph;
    bool *stored = ir_alloc(c->arena, g->count * sizeof *stored);
    int *seen = ir_alloc(c->arena, g->count * sizeof *seen);
    bool *dense = ir_alloc(c->arena, g->count * sizeof *dense);
    const struct pass_known_state *settled;
    int next = 0;

    for (int k = 0; k < c->program->kernel_count; k++)
        for (int i = 0; i < c->program->kernels[k].count; i++)
            walk_reads(c, k, c->program->kernels[k].nodes[i], stored, seen);
    for (int i = 0; i < g->output_count; i++)
        dense[g->outputs[i].value.id] = stored[g->outputs[i].value.id] = true;
    for (uint32_t v = 1; v < g->count; v++)
        if (ir_is_memory(g->nodes[v].op))
            dense[v] |= g->nodes[v].op == IR_input, stored[v] = true;
    for (uint32_t v = 1; v < g->count; v++)
        if (g->nodes[v].op == IR_custom) {
            dense[v] = stored[v] = true;
            for (int i = 0; i < g->nodes[v].arity; i++)
                dense[g->nodes[v].args[i].id] |= ir_at(g, g->nodes[v].args[i])->op != IR_state;
        }
    bool *image = ir_alloc(c->arena, g->count * sizeof *image);
    int *lanes = ir_alloc(c->arena, g->count * sizeof *lanes);
    bool *flat = ir_alloc(c->arena, g->count * sizeof *flat);
    for (uint32_t v = 1; v < g->count; v++) {
        const struct ir_shape *to = &g->nodes[v].shape,
                              *from =
                                  &ir_at(g, g->nodes[v].arity ? g->nodes[v].args[0] : (ir_val){ v })
                                       ->shape;
        if (g->nodes[v].op == IR_reshape && from->rank > 2 && to->rank &&
            from->dim[from->rank - 1] != to->dim[to->rank - 1])
            flat[g->nodes[v].args[0].id] = true;
    }
    int *kernel = ir_alloc(c->arena, g->count * sizeof *kernel);
    const struct images im = images_of(g);
    if (im.dim != -1)
        mark_images(g, &im, image);
    for (uint32_t v = 0; v < g->count; v++)
        lanes[v] = kernel[v] = -1;
    if (im.channels)
        mark_weights(g, kernel);
    if (options->fuse) {
        find_slivers(g, lanes);
        follow(c, lanes);
    }
    c->storage = ir_alloc(c->arena, g->count * sizeof *c->storage);
    for (uint32_t v = 0; v < g->count; v++) {
        c->storage[v].parts = -1;
        if (v == 0 || !stored[v] || ir_is_store(g->nodes[v].op) || g->nodes[v].op == IR_step ||
            g->nodes[v].op == IR_done)
            continue;
        if (kernel[v] >= 0 && !dense[v])
            c->storage[v] = weights(g, &g->nodes[v], kernel[v]);
        else if (image[v] && !dense[v] && g->nodes[v].op != IR_state && !(im.channels && flat[v]))
            c->storage[v] = im.channels ? channels_last(g, &g->nodes[v]) : images(g, &g->nodes[v]);
        else if (lanes[v] >= 0 && !dense[v])
            c->storage[v] = sliver(g, &g->nodes[v], lanes[v]);
        else if (flat[v] && !dense[v])
            c->storage[v] = long_rows(g, &g->nodes[v]);
        else
            c->storage[v] = rows(g, &g->nodes[v], dense[v]);
        settled =
            g->nodes[v].op == IR_state ? pass_settled(options, g->nodes[v].text, &next) : NULL;
        if (settled)
            c->storage[v] = settled->storage;
    }
}

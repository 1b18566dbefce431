/*
 * eager: the same operations, computed when they are recorded.
 *
 * The trace is the tape. What an operation gives is computed at once, by a kernel of its own, and
 * kept; so a debugger sees numbers, and backward is pass_gradients on the tape, whose nodes are
 * computed like any others. Views have no numbers of their own until they are looked at: who reads
 * one reads through it. An update assigns the parameters and forgets the tape.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "frontend/eager.h"

enum { DEEPEST = 8 }; /* views of views; the next one is computed */

tp_graph *tp_eager_new(uint64_t seed)
{
    tp_graph *g = tp_graph_new(seed);

    if (!g)
        return NULL;
    g->eager = calloc(1, sizeof *g->eager);
    if (g->eager) {
        g->eager->seen = 1; /* poison has no value */
        g->eager->kernels = tp_kernels_new(&g->error);
    } else {
        ir_error(&g->error, IR_FAILED, "tp_eager_new: not enough memory");
    }
    return g;
}

/* --- arrays: what a step gives back the next one takes ------------------------------------------
 */

static bool no_memory(tp_graph *g, size_t bytes)
{
    return ir_error(&g->error, IR_FAILED, "eager: not enough memory for %zu bytes", bytes);
}

/* `old` with room for one more of `size` bytes after `count`; NULL with an error. */
static void *grown(tp_graph *g, void *old, size_t count, size_t *room, size_t size)
{
    const size_t wanted = count < 64 ? 128 : 2 * count;
    void *more = count < *room ? old : realloc(old, wanted * size);

    if (!more)
        no_memory(g, wanted * size);
    else if (count >= *room)
        *room = wanted;
    return more;
}

static struct shelf *shelf_for(struct eager *e, size_t room)
{
    for (int i = 0; i < e->shelf_count; i++)
        if (e->shelves[i].room == room)
            return &e->shelves[i];
    if (e->shelf_count == e->shelf_room) {
        const int wanted = 2 * e->shelf_room + 16;
        struct shelf *more = realloc(e->shelves, (size_t)wanted * sizeof *more);
        if (!more)
            return NULL;
        e->shelves = more;
        e->shelf_room = wanted;
    }
    e->shelves[e->shelf_count] = (struct shelf){ room, NULL };
    return &e->shelves[e->shelf_count++];
}

static void *take(tp_graph *g, size_t bytes)
{
    struct shelf *shelf = shelf_for(g->eager, tp_array_room(bytes));
    struct spare *spare = shelf ? shelf->first : NULL;
    void *array = spare ? spare : tp_array_new(bytes);

    if (spare)
        shelf->first = spare->next;
    if (!array)
        no_memory(g, bytes);
    return array;
}

void tp_eager_give_back(struct eager *e, void *array, size_t room)
{
    struct shelf *shelf = array ? shelf_for(e, room) : NULL;

    if (shelf) {
        ((struct spare *)array)->next = shelf->first;
        shelf->first = array;
    } else {
        free(array);
    }
}

static void drop_values(struct eager *e)
{
    for (uint32_t v = 0; v < e->room; v++) {
        tp_eager_give_back(e, e->values[v].data, e->values[v].room);
        e->values[v] = (struct value){ 0 };
    }
    free(e->gradient);
    e->gradient = NULL;
    e->gradients = 0;
}

void tp_eager_free(tp_graph *g)
{
    struct eager *e = g->eager;

    if (!e)
        return;
    drop_values(e);
    for (int i = 0; i < e->shelf_count; i++)
        for (struct spare *at = e->shelves[i].first, *next; at; at = next) {
            next = at->next;
            free(at);
        }
    free(e->shelves);
    free(e->values);
    free(e->through);
    free(e->depth);
    free(e->stack);
    free(e->leaf);
    free(e->data);
    tp_kernels_free(e->kernels);
    free(e);
}

bool tp_eager_room(tp_graph *g, uint32_t count)
{
    struct eager *e = g->eager;
    uint32_t room = e->room ? e->room : 256;
    struct value *values;
    bool *through;
    unsigned char *depth;

    while (room < count)
        room *= 2;
    if (room == e->room)
        return true;
    values = realloc(e->values, room * sizeof *values);
    e->values = values ? values : e->values;
    through = realloc(e->through, room * sizeof *through);
    e->through = through ? through : e->through;
    depth = realloc(e->depth, room);
    e->depth = depth ? depth : e->depth;
    if (!values || !through || !depth)
        return no_memory(g, room * sizeof *values);
    memset(values + e->room, 0, (room - e->room) * sizeof *values);
    e->room = room;
    return true;
}

/* --- computing what is wanted, and what that needs ----------------------------------------------
 */

static size_t bytes_of(const tp_graph *g, ir_val v)
{
    const struct ir_node *n = ir_at(g->ir, v);

    return (size_t)ir_elements(g->ir, &n->shape) * (size_t)ir_dtypes[n->dtype].bytes;
}

/* Where a node's numbers are; NULL: nowhere yet. */
static void *numbers(tp_graph *g, ir_val v)
{
    const struct ir_node *n = ir_at(g->ir, v);
    struct state *s = n->op == IR_state ? tp_state_of(g, n, STATE_HIDDEN) : NULL;

    return n->op == IR_state ? s ? tp_state_numbers(g, s) : NULL : g->eager->values[v.id].data;
}

static bool keep(tp_graph *g, ir_val v, const void *data)
{
    const size_t bytes = bytes_of(g, v);
    void *copy = take(g, bytes);

    if (copy && bytes)
        memcpy(copy, data, bytes);
    g->eager->values[v.id] = (struct value){ copy, tp_array_room(bytes) };
    return copy != NULL;
}

/* What v reads, through what has no array: each once, after those that stand there already. */
static bool find_leaves(tp_graph *g, ir_val v)
{
    struct eager *e = g->eager;
    const struct ir_node *n = ir_at(g->ir, v);

    for (int i = 0; i < n->arity; i++) {
        int at = 0;
        if (e->through[n->args[i].id] && !e->values[n->args[i].id].data) {
            if (!find_leaves(g, n->args[i]))
                return false;
            continue;
        }
        while (at < e->leaves && e->leaf[at].id != n->args[i].id)
            at++;
        if (at < e->leaves)
            continue;
        if ((size_t)at + 1 >= e->leaf_room) { /* both arrays have the same room */
            size_t room = e->leaf_room;
            ir_val *leaf = grown(g, e->leaf, (size_t)at + 1, &room, sizeof *leaf);
            void **data = leaf ? realloc(e->data, room * sizeof *data) : NULL;
            e->leaf = leaf ? leaf : e->leaf;
            if (!data)
                return no_memory(g, room * sizeof *data);
            e->data = data;
            e->leaf_room = room;
        }
        e->leaf[e->leaves++] = n->args[i];
    }
    return true;
}

/* Is its row-major array byte for byte its argument's? Then there is nothing to compile. */
static bool same_bytes(const struct eager *e, const struct ir_node *n)
{
    return (n->op == IR_reshape || n->op == IR_stop_gradient || n->op == IR_barrier) &&
           e->leaves == 1 && e->leaf[0].id == n->args[0].id;
}

/* The node's numbers, all that it reads being there. */
static bool compute(tp_graph *g, ir_val v)
{
    struct eager *e = g->eager;
    const struct ir_node *n = ir_at(g->ir, v);
    const size_t bytes = bytes_of(g, v);
    struct kernel_job job = { g->ir, v, e->leaf, e->data, e->leaves, take(g, bytes) };

    if (!job.to)
        return false;
    if (n->op == IR_input)
        ir_error(&g->error, IR_REFUSED,
                 "%s:%d: input: it has no value in an eager graph; expected tp_array()",
                 n->loc.file, n->loc.line);
    for (int i = 0; i < e->leaves && g->error.status == IR_OK; i++)
        e->data[i] = numbers(g, e->leaf[i]);
    if (g->error.status == IR_OK && same_bytes(e, n) && e->data[0]) {
        if (bytes)
            memcpy(job.to, e->data[0], bytes);
    } else if (g->error.status != IR_OK || !tp_kernel_run(e->kernels, &job, &g->error)) {
        free(job.to);
        return false;
    }
    e->values[v.id] = (struct value){ job.to, tp_array_room(bytes) };
    return true;
}

/* Computes v, after what it needs; a stack instead of calls, for a tape may be long. */
bool tp_eager_demand(tp_graph *g, ir_val v)
{
    struct eager *e = g->eager;
    size_t count = 0;

    if (!e->stack && !(e->stack = grown(g, NULL, 0, &e->stack_room, sizeof *e->stack)))
        return false;
    e->stack[count++] = v;
    while (count && g->error.status == IR_OK) {
        const size_t before = count;
        const ir_val at = e->stack[count - 1];

        if (ir_at(g->ir, at)->op == IR_state || e->values[at.id].data) {
            count--;
            continue;
        }
        e->leaves = 0;
        if (!find_leaves(g, at))
            return false;
        for (int i = 0; i < e->leaves; i++) {
            ir_val *more;
            if (ir_at(g->ir, e->leaf[i])->op == IR_state || e->values[e->leaf[i].id].data)
                continue;
            more = grown(g, e->stack, count, &e->stack_room, sizeof *more);
            if (!more)
                return false;
            e->stack = more;
            e->stack[count++] = e->leaf[i];
        }
        if (count == before && compute(g, at))
            count--;
    }
    return g->error.status == IR_OK;
}

/* --- what was recorded since the last look -------------------------------------------------------
 */

void tp_eager_look(tp_graph *g, uint32_t v)
{
    struct eager *e = g->eager;
    const struct ir_node *n = &g->ir->nodes[v];
    const unsigned char below = n->arity == 1 ? e->depth[n->args[0].id] : 0;

    e->through[v] =
        n->op == IR_iota || ir_has_results(n->op) || (pass_is_view(n->op) && below < DEEPEST);
    e->depth[v] = pass_is_view(n->op) && e->through[v] ? below + 1 : 0;
}

/* Does v read the state through nothing but views? */
static bool views(const tp_graph *g, uint32_t v, uint32_t state)
{
    while (g->eager->through[v] && ir_at(g->ir, (ir_val){ v })->arity == 1)
        v = ir_at(g->ir, (ir_val){ v })->args[0].id;
    return v == state;
}

/* A state changes at once. What was recorded before node `at` is of its old value; what is recorded
 * from now on is of the new one, though it may look the same. */
static bool changes(tp_graph *g, struct state *s, uint32_t at)
{
    struct eager *e = g->eager;
    uint32_t state = 1;

    while (state < g->ir->count &&
           (g->ir->nodes[state].op != IR_state || strcmp(g->ir->nodes[state].text, s->name) != 0))
        state++;
    if (state == g->ir->count) /* nobody has read it */
        return true;
    if (!tp_eager_room(g, g->ir->count))
        return false;
    for (uint32_t v = e->seen; v < at; v++)
        tp_eager_look(g, v);
    for (uint32_t v = 1; v < at; v++)
        if (g->ir->nodes[v].op != IR_state && g->ir->nodes[v].op != IR_POISON &&
            g->ir->nodes[v].op != IR_assign && !ir_has_results(g->ir->nodes[v].op) &&
            (!e->through[v] || views(g, v, state)) && !tp_eager_demand(g, (ir_val){ v }))
            return false;
    s->changed = at;
    ir_renew(g->ir);
    return true;
}

bool tp_eager_set(tp_graph *g, struct state *s, const void *from)
{
    return changes(g, s, g->ir->count) && tp_state_write(g, s, from);
}

static bool assign(tp_graph *g, uint32_t at)
{
    const struct ir_node *n = &g->ir->nodes[at];
    struct state *s = tp_state_of(g, ir_at(g->ir, n->args[0]), STATE_HIDDEN);

    return s && tp_eager_demand(g, n->args[1]) && changes(g, s, at) &&
           tp_state_write(g, s, numbers(g, n->args[1]));
}

void tp_eager_hold(tp_graph *g, bool hold)
{
    if (g->eager)
        g->eager->held += hold ? 1 : -1;
}

void tp_eager_compute(tp_graph *g, ir_val v)
{
    struct eager *e = g->eager;

    if (!e || e->busy || e->held || g->error.status != IR_OK || !tp_eager_room(g, g->ir->count))
        return;
    e->busy = true;
    while (e->seen < g->ir->count && g->error.status == IR_OK) {
        tp_eager_look(g, e->seen);
        if (g->ir->nodes[e->seen++].op == IR_assign)
            assign(g, e->seen - 1);
    }
    if (g->error.status == IR_OK && !e->through[v.id] && ir_at(g->ir, v)->op != IR_assign)
        tp_eager_demand(g, v);
    e->busy = false;
    tp_tell(g);
}

ir_val tp_eager_array(tp_graph *g, enum ir_dtype dtype, struct ir_shape shape, const void *data,
                      struct ir_loc at)
{
    char name[40];
    ir_val v;

    snprintf(name, sizeof name, "array.%lld", (long long)g->eager->arrays++);
    v = ir_input(g->ir, name, dtype, shape, at);
    if (v.id && tp_eager_room(g, g->ir->count))
        keep(g, v, data);
    return v;
}

/* --- looking ------------------------------------------------------------------------------------
 */

const void *tp_values(tp_tensor x, size_t *bytes)
{
    if (bytes)
        *bytes = 0;
    if (!x.g || !x.g->eager || !x.id || x.id >= x.g->ir->count || x.g->error.status != IR_OK)
        return NULL;
    if (bytes)
        *bytes = bytes_of(x.g, tp_val(x));
    return tp_eager_demand(x.g, tp_val(x)) ? numbers(x.g, tp_val(x)) : NULL;
}

double tp_item(tp_tensor x)
{
    size_t bytes;
    const void *data = tp_values(x, &bytes);

    return data && bytes == (size_t)ir_dtypes[tp_node(x)->dtype].bytes
               ? tp_number_at(tp_node(x)->dtype, data)
               : (double)NAN;
}

void tp_print_values(tp_tensor x)
{
    struct ir_text text = { 0 };
    const void *data = tp_values(x, NULL);

    if (data)
        tp_put_array(&text,
                     &(struct ir_array){ tp_node(x)->dtype, tp_node(x)->shape, (void *)data }, NULL,
                     NULL);
    else
        ir_put(&text, "no value");
    printf("%s %s\n", x.g && x.id ? tp_describe(x) : "poison", text.data ? text.data : "");
    ir_text_free(&text);
}

/* --- derivatives and updates -------------------------------------------------------------------
 */

/* Derivatives ask for what an operation has read: a state that has changed since is not that. */
static bool still_holds(tp_graph *g, tp_tensor loss, tp_loc at)
{
    bool *live = calloc(g->ir->count, sizeof *live);
    bool ok = live || no_memory(g, g->ir->count);

    if (live)
        live[loss.id] = true;
    for (uint32_t v = loss.id; ok && v > 0; v--) {
        const struct ir_node *n = &g->ir->nodes[v];
        for (int i = 0; live[v] && ok && i < n->arity; i++) {
            const struct ir_node *a = ir_at(g->ir, n->args[i]);
            const struct state *s = a->op == IR_state ? tp_state_find(g, a->text) : NULL;
            live[n->args[i].id] = true;
            ok = !s || v >= s->changed;
            if (!ok)
                tp_fail(g, at, "tp_backward",
                        "%.60s has changed since %s read it at %.60s:%d; expected that the loss is "
                        "recorded again",
                        s->name, ir_ops[n->op].name, n->loc.file ? n->loc.file : "-", n->loc.line);
        }
    }
    free(live);
    return ok;
}

bool tp_backward_at(tp_tensor loss, tp_loc at)
{
    tp_graph *g = loss.g;
    ir_val y = tp_val(loss), *wrt, *grads;
    int n = 0;

    if (!tp_ready(g, at, "tp_backward", 1, &loss))
        return false;
    if (!g->eager || tp_rank(loss) != 0) {
        tp_fail(g, at, "tp_backward", "%s; expected a scalar of a graph from tp_eager_new",
                tp_describe(loss));
        return false;
    }
    if (!still_holds(g, loss, at))
        return false;
    free(g->eager->gradient);
    g->eager->gradients = g->state_count;
    g->eager->gradient = calloc((size_t)g->state_count + 1, sizeof *grads);
    wrt = ir_alloc(g->ir->arena, ((size_t)g->state_count + 1) * sizeof *wrt);
    grads = ir_alloc(g->ir->arena, ((size_t)g->state_count + 1) * sizeof *grads);
    for (int i = 0; i < g->state_count; i++)
        if (g->states[i].kind == STATE_PARAMETER && !g->states[i].frozen)
            wrt[n++] = g->states[i].value;
    if (!g->eager->gradient)
        return ir_error(&g->error, IR_FAILED, "tp_backward: not enough memory");
    pass_gradients(g->ir, 1, &y, NULL, n, wrt, grads);
    tp_give(g, y);
    for (int i = 0, j = 0; i < g->state_count && g->error.status == IR_OK; i++)
        if (g->states[i].kind == STATE_PARAMETER && !g->states[i].frozen) {
            g->eager->gradient[i] = grads[j++];
            tp_eager_demand(g, g->eager->gradient[i]);
        }
    return g->error.status == IR_OK || tp_tell(g);
}

tp_tensor tp_gradient(tp_tensor parameter)
{
    tp_graph *g = parameter.g;

    for (int i = 0; g && g->eager && g->eager->gradient && i < g->eager->gradients; i++)
        if (g->states[i].value.id == parameter.id)
            return (tp_tensor){ .g = g, .id = g->eager->gradient[i].id };
    return POISON(g);
}

/* An array of the value's own for a state to live in from now on. */
static void *detached(tp_graph *g, ir_val v)
{
    struct value *value = &g->eager->values[v.id];
    void *array = value->data, *from = NULL;

    if (array && ir_at(g->ir, v)->op != IR_input) {
        value->data = NULL;
        return array;
    }
    from = numbers(g, v);
    array = from ? take(g, bytes_of(g, v)) : NULL;
    if (array)
        memcpy(array, from, bytes_of(g, v));
    return array;
}

/* All assignments from `first` on, at once: their values are of the old states. */
static bool assign_all(tp_graph *g, int first)
{
    const int count = g->ir->effect_count - first;
    void **array = calloc((size_t)count + 1, sizeof *array);
    bool ok = array || no_memory(g, (size_t)count);

    for (int i = 0; i < count && ok; i++)
        ok = tp_eager_demand(g, ir_at(g->ir, g->ir->effects[first + i])->args[1]);
    for (int i = 0; i < count && ok; i++)
        ok = (array[i] = detached(g, ir_at(g->ir, g->ir->effects[first + i])->args[1])) != NULL;
    for (int i = 0; i < count && ok; i++) {
        const struct ir_node *n = ir_at(g->ir, g->ir->effects[first + i]);
        struct state *s = tp_state_of(g, ir_at(g->ir, n->args[0]), STATE_HIDDEN);
        tp_eager_give_back(g->eager, s->start, tp_array_room(s->bytes));
        s->start = array[i];
        array[i] = NULL;
    }
    for (int i = 0; array && i < count; i++)
        free(array[i]);
    free(array);
    return ok;
}

bool tp_update_at(tp_graph *g, tp_opt opt, tp_schedule rate, tp_loc at)
{
    struct update u = { .opt = &opt, .rate = &rate };
    struct eager *e = g ? g->eager : NULL;
    int first;

    if (!tp_ready(g, at, "tp_update", 0, NULL))
        return false;
    if (!e || !e->gradient || rate.kind == 0) {
        tp_fail(g, at, "tp_update", "%s",
                !e               ? "expected a graph from tp_eager_new"
                : rate.kind == 0 ? "there is no rate"
                                 : "expected a call of tp_backward before it");
        return false;
    }
    u.graph = g->ir;
    u.at = tp_place(g, at);
    u.steps = tp_counter(g->ir, u.at);
    first = g->ir->effect_count;
    for (int i = 0; i < e->gradients; i++) {
        const struct state *s = &g->states[i];
        if (e->gradient[i].id && !ir_is_number(g->ir, e->gradient[i], 0) &&
            !tp_opt_frozen(&opt, s->name))
            tp_opt_update(&u, s->value, e->gradient[i]);
    }
    ir_assign(g->ir, u.steps,
              ir_op2(g->ir, IR_add, u.steps, ir_integer(g->ir, IR_I64, 1, u.at), u.at), u.at);
    if (tp_eager_room(g, g->ir->count)) {
        for (; e->seen < g->ir->count; e->seen++)
            tp_eager_look(g, e->seen);
        assign_all(g, first);
    }
    tp_tell(g);
    drop_values(e);
    ir_forget(g->ir);
    for (int i = 0; i < g->state_count; i++)
        g->states[i].changed = 0;
    g->tape++;
    e->seen = g->ir->count;
    return g->error.status == IR_OK;
}

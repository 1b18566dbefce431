/*
 * trace: the graph that operations record into: places, names, scopes, errors, sources.
 *
 * A wrong call leaves the first message in the graph and gives poison; so every operation begins
 * with tp_ready and ends with tp_give, and nothing between the two needs to think of errors.
 */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "frontend/frontend.h"
#include "passes/passes.h"

#define DTYPE(NAME, ...) \
    _Static_assert((int)TP_##NAME == (int)IR_##NAME + 1, "taper.h lists the types of dtype.def");
#include "ir/dtype.def"
#undef DTYPE
_Static_assert(sizeof((tp_shape){ 0 }.dim) == IR_RANK * sizeof(int64_t), "ranks agree");

tp_graph *tp_graph_new(uint64_t seed)
{
    tp_graph *g = calloc(1, sizeof *g);

    if (!g)
        return NULL;
    g->ir = ir_graph_new("trace", &g->error);
    g->ir->seed = seed;
    return g;
}

void tp_graph_free(tp_graph *g)
{
    if (!g)
        return;
    while (g->programs)
        tp_program_free(g->programs);
    tp_eager_free(g);
    tp_store_free(g);
    ir_graph_free(g->ir);
    free(g);
}

/* --- errors ------------------------------------------------------------------------------------
 */

/* Texts name a file without its folder, whatever the compiler was given; kept once. */
struct ir_loc tp_place(tp_graph *g, tp_loc at)
{
    const char *file = at.file ? at.file : "?", *slash = strrchr(file, '/');

    file = slash ? slash + 1 : file;
    if (!g->file || strcmp(g->file, file) != 0)
        g->file = ir_format(g->ir->arena, "%s", file);
    return (struct ir_loc){ g->file, at.line };
}

bool tp_tell(tp_graph *g)
{
    if (g->error.status == IR_OK)
        return true;
    if (!g->told && g->tell) {
        g->told = true;
        g->tell(g->error.text, g->tell_user);
    }
    return false;
}

tp_tensor tp_fail(tp_graph *g, tp_loc at, const char *what, const char *format, ...)
{
    struct ir_loc loc = tp_place(g, at);
    char text[sizeof g->error.text];
    va_list list;

    va_start(list, format);
    vsnprintf(text, sizeof text, format, list);
    va_end(list);
    ir_error(&g->error, IR_REFUSED, "%.80s:%d: %s: %s", loc.file, loc.line, what, text);
    tp_tell(g);
    return POISON(g);
}

const char *tp_error(const tp_graph *g)
{
    return !g ? "no memory for a graph" : g->error.status == IR_OK ? NULL : g->error.text;
}

int tp_status(const tp_graph *g)
{
    return g ? g->error.status : IR_FAILED;
}

void tp_on_error(tp_graph *g, void (*tell)(const char *text, void *user), void *user)
{
    g->tell = tell;
    g->tell_user = user;
    tp_tell(g);
}

tp_graph *tp_graph_of(int n, const tp_tensor *x)
{
    for (int i = 0; i < n; i++)
        if (x[i].g)
            return x[i].g;
    return NULL;
}

bool tp_ready(tp_graph *g, tp_loc at, const char *what, int n, const tp_tensor *x)
{
    if (!g || g->error.status != IR_OK)
        return false;
    for (int i = 0; i < n; i++) {
        if (x[i].g && x[i].g != g) {
            tp_fail(g, at, what, "its arguments are of two graphs; expected one");
            return false;
        }
        if (x[i].g && (x[i].id == 0 || x[i].id >= g->ir->count)) {
            tp_fail(g, at, what, "argument %d is not a tensor of this graph", i + 1);
            return false;
        }
    }
    return true;
}

tp_tensor tp_give(tp_graph *g, ir_val v)
{
    tp_tell(g);
    tp_eager_compute(g);
    return g->error.status == IR_OK ? (tp_tensor){ .g = g, .id = v.id } : POISON(g);
}

const char *tp_describe(tp_tensor x)
{
    struct ir_text text = { 0 };
    const struct ir_node *n = tp_node(x);
    const char *kept;

    if (n->text || n->name)
        ir_put(&text, "%.60s ", n->text && n->op != IR_dot ? n->text : n->name ? n->name : "");
    ir_put_shape(&text, x.g->ir, n->dtype, &n->shape);
    kept = ir_format(x.g->ir->arena, "%s", text.data);
    ir_text_free(&text);
    return kept;
}

/* --- names ---------------------------------------------------------------------------------------
 */

void tp_push(tp_graph *g, const char *name, ...)
{
    size_t length = strlen(g->scope), room = sizeof g->scope - length;
    va_list list;
    int written;

    if (g->scopes < SCOPES)
        g->scope_start[g->scopes] = (int)length;
    g->scopes++;
    va_start(list, name);
    written = vsnprintf(g->scope + length, room, name, list);
    va_end(list);
    if (written < 1 || (size_t)written + 2 > room || g->scopes > SCOPES) {
        g->scope[length] = 0;
        ir_error(&g->error, IR_REFUSED, "tp_scope \"%.40s\": %s", name,
                 written < 1 ? "the name is empty" : "the names inside one another are too long");
        tp_tell(g);
        return;
    }
    memcpy(g->scope + length + written, ".", 2);
}

void tp_pop(tp_graph *g)
{
    if (g->scopes == 0) {
        ir_error(&g->error, IR_REFUSED, "tp_pop: there is no scope to leave");
        tp_tell(g);
        return;
    }
    if (--g->scopes < SCOPES)
        g->scope[g->scope_start[g->scopes]] = 0;
}

const char *tp_path(tp_graph *g, const char *name)
{
    return ir_format(g->ir->arena, "%s%s", g->scope, name);
}

/* --- sources
 * --------------------------------------------------------------------------------------- */

static bool good_name(tp_graph *g, tp_loc at, const char *what, const char *name)
{
    size_t length = name ? strlen(name) : 0;

    if (length >= 1 && length <= 200)
        return true;
    tp_fail(g, at, what, "its name has %zu characters; expected 1 to 200", length);
    return false;
}

static bool good_shape(tp_graph *g, tp_loc at, const char *what, const char *name, tp_shape shape,
                       bool fixed)
{
    if (shape.rank < 0 || shape.rank > IR_RANK) {
        tp_fail(g, at, what, "\"%.60s\" has %d axes; expected at most %d", name, shape.rank,
                IR_RANK);
        return false;
    }
    for (int i = 0; i < shape.rank; i++)
        if (shape.dim[i] < 0 && (fixed || !ir_dim_valid(g->ir, shape.dim[i]))) {
            tp_fail(g, at, what, "\"%.60s\": axis %d is %s; expected an extent%s", name, i,
                    shape.dim[i] < IR_SYMBOLIC ? "symbolic" : "negative",
                    fixed ? " that is known" : "");
            return false;
        }
    return true;
}

static bool good_dtype(tp_graph *g, tp_loc at, const char *what, tp_dtype dtype)
{
    if (dtype >= TP_DEFAULT && dtype <= TP_F64)
        return true;
    tp_fail(g, at, what, "%d is not a type", (int)dtype);
    return false;
}

int64_t tp_symbol(tp_graph *g, const char *name, int64_t lo, int64_t hi)
{
    int64_t dim = ir_symbol_new(g->ir, ir_format(g->ir->arena, "%s", name ? name : ""), lo, hi);

    tp_tell(g);
    return dim;
}

tp_tensor tp_input_at(tp_graph *g, const char *name, tp_dtype dtype, tp_shape shape, tp_loc at)
{
    struct ir_loc loc = tp_place(g, at);

    if (!tp_ready(g, at, "tp_input", 0, NULL) || !good_name(g, at, "tp_input", name) ||
        !good_dtype(g, at, "tp_input", dtype) || !good_shape(g, at, "tp_input", name, shape, false))
        return POISON(g);
    for (uint32_t v = 1; v < g->ir->count; v++)
        if (g->ir->nodes[v].op == IR_input && strcmp(g->ir->nodes[v].text, name) == 0)
            return tp_fail(g, at, "tp_input", "there is an input \"%.60s\" already, at %s:%d", name,
                           g->ir->nodes[v].loc.file, g->ir->nodes[v].loc.line);
    return tp_give(g, ir_input(g->ir, ir_format(g->ir->arena, "%s", name), tp_ir_dtype(dtype),
                               tp_ir_shape(shape), loc));
}

static tp_tensor new_state(tp_graph *g, const char *what, const char *name, enum ir_dtype dtype,
                           tp_shape shape, enum state_kind kind, tp_param_args args, tp_loc at)
{
    static const enum ir_init inits[] = { IR_INIT_ZERO, IR_INIT_CONSTANT, IR_INIT_UNIFORM,
                                          IR_INIT_NORMAL };
    struct ir_loc loc = tp_place(g, at);
    struct state *s = tp_state_find(g, name);
    ir_val v;

    if (args.init.kind < 0 || args.init.kind > 3)
        return tp_fail(g, at, what, "\"%.60s\": %d is not a kind of initial values", name,
                       args.init.kind);
    if (s && !(args.shared && s->value.id))
        return tp_fail(g, at, what,
                       "the name \"%.100s\" is taken; .shared = true would use that one again",
                       name);
    v = ir_state(g->ir, name, dtype, tp_ir_shape(shape), inits[args.init.kind], args.init.a,
                 args.init.b, loc);
    if (v.id == 0)
        return tp_give(g, v);
    if (s) {
        s = tp_state_of(g, ir_at(g->ir, v), kind);
        return tp_give(g, s ? s->value : v);
    }
    s = tp_state_of(g, ir_at(g->ir, v), kind);
    s->value = v;
    s->frozen = args.frozen;
    return tp_give(g, v);
}

tp_tensor tp_param_at(tp_graph *g, const char *name, tp_shape shape, tp_param_args args, tp_loc at)
{
    if (!tp_ready(g, at, "tp_param", 0, NULL) || !good_name(g, at, "tp_param", name) ||
        !good_dtype(g, at, "tp_param", args.dtype) ||
        !good_shape(g, at, "tp_param", name, shape, true))
        return POISON(g);
    return new_state(g, "tp_param", tp_path(g, name), tp_ir_dtype(args.dtype), shape,
                     STATE_PARAMETER, args, at);
}

tp_tensor tp_state_at(tp_graph *g, const char *name, tp_dtype dtype, tp_shape shape, tp_init init,
                      tp_loc at)
{
    if (!tp_ready(g, at, "tp_state", 0, NULL) || !good_name(g, at, "tp_state", name) ||
        !good_dtype(g, at, "tp_state", dtype) || !good_shape(g, at, "tp_state", name, shape, true))
        return POISON(g);
    return new_state(g, "tp_state", tp_path(g, name), tp_ir_dtype(dtype), shape, STATE_BUFFER,
                     (tp_param_args){ .init = init }, at);
}

tp_tensor tp_array_at(tp_graph *g, tp_dtype dtype, tp_shape shape, const void *data, tp_loc at)
{
    const char *name = ir_format(g->ir->arena, "array.%d", g->state_count);
    tp_tensor array;
    void *copy;
    int64_t elements;

    if (!tp_ready(g, at, "tp_array", 0, NULL) || !good_dtype(g, at, "tp_array", dtype) ||
        !good_shape(g, at, "tp_array", "array", shape, true))
        return POISON(g);
    if (g->eager)
        return tp_give(
            g, tp_eager_array(g, tp_ir_dtype(dtype), tp_ir_shape(shape), data, tp_place(g, at)));
    array = new_state(g, "tp_array", name, tp_ir_dtype(dtype), shape, STATE_HIDDEN,
                      (tp_param_args){ .frozen = true }, at);
    if (array.id == 0)
        return array;
    elements = ir_elements(g->ir, &tp_node(array)->shape);
    copy = ir_alloc(g->ir->arena, (size_t)elements * (size_t)ir_dtypes[tp_ir_dtype(dtype)].bytes);
    if (elements)
        memcpy(copy, data, (size_t)elements * (size_t)ir_dtypes[tp_ir_dtype(dtype)].bytes);
    tp_state_find(g, name)->start = copy;
    return array;
}

ir_val tp_counter(struct ir_graph *g, struct ir_loc at)
{
    return ir_state(g, "taper.steps", IR_I64, (struct ir_shape){ 0 }, IR_INIT_ZERO, 0, 0, at);
}

/* --- derivatives and effects
 * ----------------------------------------------------------------------- */

bool tp_vjp_at(tp_tensor y, tp_tensor cotangent, int n, const tp_tensor wrt[], tp_tensor out[],
               tp_loc at)
{
    tp_graph *g = y.g;
    ir_val *v, *grads, from = tp_val(y), arriving = tp_val(cotangent);

    for (int i = 0; i < n; i++)
        out[i] = POISON(g);
    if (!tp_ready(g, at, "tp_vjp", 1, &y) || !tp_ready(g, at, "tp_vjp", 1, &cotangent) ||
        !tp_ready(g, at, "tp_vjp", n, wrt))
        return false;
    for (int i = 0; i < n; i++)
        if (!wrt[i].g) {
            tp_fail(g, at, "tp_vjp", "argument %d is a bare number; expected a tensor", i + 1);
            return false;
        }
    if (!cotangent.g) {
        if (tp_rank(y) != 0 && cotangent.number == 1) {
            tp_fail(g, at, "tp_grad",
                    "%s; expected a scalar, tp_vjp() takes a cotangent for others", tp_describe(y));
            return false;
        }
        arriving = ir_full_like(g->ir, from, cotangent.number, tp_place(g, at));
    }
    v = ir_alloc(g->ir->arena, ((size_t)n + 1) * sizeof *v);
    grads = ir_alloc(g->ir->arena, ((size_t)n + 1) * sizeof *grads);
    for (int i = 0; i < n; i++)
        v[i] = tp_val(wrt[i]);
    pass_gradients(g->ir, 1, &from, &arriving, n, v, grads);
    for (int i = 0; i < n; i++)
        out[i] = tp_give(g, grads[i]);
    return g->error.status == IR_OK;
}

tp_tensor tp_grad_of_at(tp_tensor y, tp_tensor x, tp_loc at)
{
    tp_tensor out;

    tp_vjp_at(y, tp_as_number(1), 1, &x, &out, at);
    return out;
}

void tp_assign_at(tp_tensor state, tp_tensor value, tp_loc at)
{
    const tp_tensor x[] = { state, value };
    tp_graph *g = state.g;
    tp_tensor full;

    if (!tp_ready(g, at, "tp_assign", 2, x))
        return;
    full = value.g ? value : tp_full_like_at(state, value.number, at);
    tp_give(g, ir_assign(g->ir, tp_val(state), tp_val(full), tp_place(g, at)));
}

/* --- questions
 * ------------------------------------------------------------------------------------- */

int tp_rank(tp_tensor x)
{
    return x.g && x.id ? tp_node(x)->shape.rank : 0;
}

int64_t tp_dim(tp_tensor x, int axis)
{
    int rank = tp_rank(x);

    axis += axis < 0 ? rank : 0;
    return axis >= 0 && axis < rank ? tp_node(x)->shape.dim[axis] : -1;
}

tp_dtype tp_dtype_of(tp_tensor x)
{
    return x.g && x.id ? (tp_dtype)(tp_node(x)->dtype + 1) : TP_DEFAULT;
}

tp_shape tp_shape_of(tp_tensor x)
{
    tp_shape shape = { .rank = tp_rank(x) };

    for (int i = 0; i < shape.rank; i++)
        shape.dim[i] = tp_node(x)->shape.dim[i];
    return shape;
}

const char *tp_name(tp_tensor x)
{
    const struct ir_node *n = x.g && x.id ? tp_node(x) : NULL;

    return n && (n->op == IR_input || n->op == IR_state) ? n->text : NULL;
}

tp_tensor tp_find(tp_graph *g, const char *name)
{
    const struct state *s = tp_state_find(g, name);

    return (tp_tensor){ .g = g, .id = s ? s->value.id : 0 };
}

int tp_params(tp_graph *g, const char *glob, int room, tp_tensor found[])
{
    int count = 0;

    for (int i = 0; i < g->state_count; i++) {
        const struct state *s = &g->states[i];
        if (s->kind != STATE_PARAMETER || !s->value.id || !tp_glob(glob, s->name))
            continue;
        if (count < room)
            found[count] = (tp_tensor){ .g = g, .id = s->value.id };
        count++;
    }
    return count;
}

int64_t tp_param_count(const tp_graph *g)
{
    int64_t count = 0;

    for (int i = 0; i < g->state_count; i++)
        if (g->states[i].kind == STATE_PARAMETER)
            count += ir_elements(g->ir, &g->states[i].shape);
    return count;
}

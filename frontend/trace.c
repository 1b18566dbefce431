/*
 * trace: the graph that operations record into: places, names, scopes, errors, questions.
 *
 * A wrong call leaves the first message in the graph and gives poison; so every operation begins
 * with tp_ready and ends with tp_give, and nothing between the two needs to think of errors.
 */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "frontend/tuned.h"

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
    tp_device_free(g);
    tp_store_free(g);
    tp_tuned_free(g->tuned);
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
    return !g ? "there is no graph: a tensor that belongs to none was given, or there was no "
                "memory for one"
           : g->error.status == IR_OK ? NULL
                                      : g->error.text;
}

/* Operations that failed have left no node; a region that one of them was in is left. */
void tp_clear_error(tp_graph *g)
{
    g->error = (struct ir_error){ 0 };
    g->told = false;
    g->ir->region_now = 0;
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

void tp_on_warning(tp_graph *g, void (*tell)(const char *text, void *user), void *user)
{
    g->warn = tell;
    g->warn_user = user;
    g->heard = true;
}

void tp_warn(tp_graph *g, tp_loc at, const char *what, const char *format, ...)
{
    const struct ir_loc loc = tp_place(g, at);
    struct ir_error line = { 0 };
    char text[sizeof line.text];
    va_list list;

    for (int i = 0; i < g->warnings; i++)
        if (g->warned[i].line == loc.line && strcmp(g->warned[i].file, loc.file) == 0)
            return;
    if (g->warnings == WARNINGS) /* who has not read so many reads no more */
        return;
    g->warned[g->warnings++] = loc;
    va_start(list, format);
    vsnprintf(text, sizeof text, format, list);
    va_end(list);
    ir_error(&line, IR_REFUSED, "%.80s:%d: %s: %s", loc.file, loc.line, what, text);
    if (!g->heard)
        fprintf(stderr, "taper: warning: %s\n", line.text);
    else if (g->warn)
        g->warn(line.text, g->warn_user);
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
            tp_fail(g, at, what, "arguments of two graphs; expected those of one");
            return false;
        }
        if (x[i].g && (x[i].id == 0 || x[i].id >= g->ir->count)) {
            tp_fail(g, at, what, "argument %d is not a tensor of this graph; expected one", i + 1);
            return false;
        }
    }
    return true;
}

bool tp_tensors(tp_graph *g, tp_loc at, const char *what, int n, const tp_tensor *x)
{
    if (!tp_ready(g, at, what, n, x))
        return false;
    for (int i = 0; i < n; i++)
        if (!x[i].g) {
            tp_fail(g, at, what, "argument %d is the number %g; expected a tensor", i + 1,
                    x[i].number);
            return false;
        }
    return true;
}

bool tp_good_dtype(tp_graph *g, tp_loc at, const char *what, tp_dtype dtype)
{
    if (dtype >= TP_DEFAULT && dtype <= TP_F64)
        return true;
    tp_fail(g, at, what, "type %d; expected one of tp_dtype", (int)dtype);
    return false;
}

bool tp_good_rank(tp_graph *g, tp_loc at, const char *what, tp_shape shape)
{
    if (shape.rank >= 0 && shape.rank <= IR_RANK)
        return true;
    tp_fail(g, at, what, "%d axes; expected 0 to %d", shape.rank, IR_RANK);
    return false;
}

tp_tensor tp_give(tp_graph *g, ir_val v)
{
    tp_tell(g);
    tp_eager_compute(g, v);
    return g->error.status == IR_OK ? (tp_tensor){ .g = g, .id = v.id } : POISON(g);
}

const char *tp_describe(tp_tensor x)
{
    struct ir_text text = { 0 };
    const struct ir_node *n = x.g ? tp_node(x) : NULL;
    const char *kept;

    if (!n)
        return "a number";
    if (n->text || n->name)
        ir_put(&text, "%.60s ", n->text && n->op != IR_dot ? n->text : n->name ? n->name : "");
    ir_put_shape(&text, x.g->ir, n->dtype, &n->shape);
    kept = ir_format(x.g->ir->arena, "%s", text.data);
    ir_text_free(&text);
    return kept;
}

const char *tp_describe_from(tp_tensor x)
{
    return ir_format(x.g->ir->arena, "%s%s", tp_describe(x), ir_from(x.g->ir, tp_node(x)->loc));
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

/* --- questions ---------------------------------------------------------------------------------
 */

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

int64_t tp_dim_bound(tp_tensor x, int axis)
{
    int64_t dim = tp_dim(x, axis);

    return dim == -1 ? -1 : ir_dim_max(x.g->ir, dim);
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
    struct state *s = tp_state_find(g, name);
    int64_t init[3] = { 0 };
    struct ir_node node = { .op = IR_state, .text = name, .attr = { { 3, init } } };

    if (!s || g->error.status != IR_OK)
        return (tp_tensor){ .g = g };
    if (s->value.id == 0) { /* a program's own: the trace has not met it yet */
        init[0] = s->init;
        memcpy(&init[1], &s->a, sizeof s->a);
        memcpy(&init[2], &s->b, sizeof s->b);
        node.dtype = s->dtype;
        node.shape = s->shape;
        s->value = ir_add(g->ir, &node);
        s->tape = g->tape;
        tp_give(g, s->value);
    }
    return (tp_tensor){ .g = g, .id = s->value.id };
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

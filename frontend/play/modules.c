/*
 * modules: a tree of modules, written by a visitor a line each, as the library records it: the
 * parameters by their names, what comes out of each module, and the tree as a drawing.
 *
 *     conv1: conv2d 6 5        deeper lines are inside;      block: residual
 *     relu                     a name is optional                fc1: linear 32
 */
#include "play.h"

#include <stdlib.h>
#include <string.h>

enum { LONGEST = 4000, LINES = 64, DEEPEST = 8, NUMBERS = 3, NAME = 24, WEIGHTS = 4 << 20 };
#define LETTERS "abcdefghijklmnopqrstuvwxyz_0123456789"

struct module { /* a line */
    int depth, line;
    char name[NAME], kind[NAME];
    int numbers;
    int64_t number[NUMBERS];
    int parent;
    tp_shape out;
};

struct tree {
    struct module module[LINES];
    int count, at; /* at: which comes next when it is recorded */
    tp_graph *g;
    struct ir_error *error;
};

/* --- what a module is ----------------------------------------------------------------------------
 */

static tp_tensor linear(tp_tensor x, const struct module *m)
{
    return tp_linear(x, m->name, m->number[0]);
}

static tp_tensor conv2d(tp_tensor x, const struct module *m)
{
    return tp_conv2d(x, m->name, m->number[0], m->number[1], .pad = m->number[2]);
}

static tp_tensor embed(tp_tensor x, const struct module *m)
{
    return tp_embed(x, m->name, m->number[0], m->number[1]);
}

static tp_tensor batch_norm(tp_tensor x, const struct module *m)
{
    return tp_batch_norm(x, m->name);
}

static tp_tensor layer_norm(tp_tensor x, const struct module *m)
{
    return tp_layer_norm(x, m->name);
}

static tp_tensor dropout(tp_tensor x, const struct module *m) /* in hundredths */
{
    return tp_dropout(x, (double)m->number[0] / 100);
}

static tp_tensor flatten(tp_tensor x, const struct module *m)
{
    (void)m;
    return tp_flatten(x, 1);
}

static tp_tensor max_pool2d(tp_tensor x, const struct module *m)
{
    return tp_max_pool2d(x, m->number[0]);
}

static tp_tensor avg_pool2d(tp_tensor x, const struct module *m)
{
    return tp_avg_pool2d(x, m->number[0]);
}

static tp_tensor unary(tp_tensor x, const struct module *m)
{
    return tp_unary_at(m->kind, x, TP_HERE);
}

static tp_tensor formula(tp_tensor x, const struct module *m)
{
    return tp_formula_at(m->kind, tp_list(x), TP_NONE, TP_HERE);
}

static const struct kind {
    const char *name;
    int least, most; /* numbers behind it; most -1: it holds others */
    tp_tensor (*record)(tp_tensor x, const struct module *m);
    const char *numbers;
} kinds[] = {
    { "linear", 1, 1, linear, "WIDTH" },
    { "conv2d", 2, 3, conv2d, "CHANNELS SIZE PAD" },
    { "embed", 2, 2, embed, "ROWS WIDTH" },
    { "batch_norm", 0, 0, batch_norm, "" },
    { "layer_norm", 0, 0, layer_norm, "" },
    { "dropout", 1, 1, dropout, "PERCENT" },
    { "flatten", 0, 0, flatten, "" },
    { "max_pool2d", 1, 1, max_pool2d, "SIZE" },
    { "avg_pool2d", 1, 1, avg_pool2d, "SIZE" },
    { "relu", 0, 0, unary, "" },
    { "tanh", 0, 0, unary, "" },
    { "sigmoid", 0, 0, formula, "" },
    { "gelu", 0, 0, formula, "" },
    { "silu", 0, 0, formula, "" },
    { "sequential", 0, -1, NULL, "" },
    { "residual", 0, -1, NULL, "" },
};
enum { KINDS = sizeof kinds / sizeof *kinds };

static const struct kind *kind_of(const struct module *m)
{
    for (int i = 0; i < KINDS; i++)
        if (strcmp(kinds[i].name, m->kind) == 0)
            return &kinds[i];
    return NULL;
}

/* --- the text ------------------------------------------------------------------------------------
 */

static bool read_word(char to[NAME], const char **at)
{
    const size_t length = strspn(*at, LETTERS);

    if (!length || length >= NAME)
        return false;
    memcpy(to, *at, length);
    to[length] = 0;
    *at += length;
    return true;
}

static bool read_numbers(struct module *m, const char *at)
{
    while (*(at += strspn(at, " ,"))) {
        char *end;
        const long n = strtol(at, &end, 10);
        if (end == at || n < 0 || n > 1000000 || m->numbers == NUMBERS)
            return false;
        m->number[m->numbers++] = n;
        at = end;
    }
    return true;
}

/* "  fc1: linear 32", at the depth of its spaces. */
static bool read_line(struct tree *t, const char *text, int line)
{
    struct module *m = &t->module[t->count];
    const size_t spaces = strspn(text, " ");
    const char *at = text + spaces;
    const struct kind *k;
    int parent = t->count - 1;

    *m = (struct module){ .line = line, .depth = (int)spaces };
    if (!read_word(m->name, &at))
        return ir_error(t->error, IR_REFUSED, "line %d: expected NAME: MODULE, or MODULE", line);
    if (*at == ':') {
        at += 1 + strspn(at + 1, " ");
        if (!*at)
            memcpy(m->kind, "sequential", sizeof "sequential");
        else if (!read_word(m->kind, &at))
            return ir_error(t->error, IR_REFUSED, "line %d: expected the name of a module", line);
    } else { /* a name for what has none: its kind and line */
        const char *const given = memcpy(m->kind, m->name, NAME);
        snprintf(m->name, NAME, "%.10s_%d", given, line % 10000);
    }
    k = kind_of(m);
    if (!k)
        return ir_error(t->error, IR_REFUSED, "line %d: \"%s\" is no module of the list", line,
                        m->kind);
    if (!read_numbers(m, at) || m->numbers < k->least || m->numbers > (k->most < 0 ? 0 : k->most))
        return ir_error(t->error, IR_REFUSED, "line %d: expected %s%s%s", line, k->name,
                        *k->numbers ? " " : "", k->numbers);
    while (parent >= 0 && t->module[parent].depth >= m->depth)
        parent = t->module[parent].parent;
    m->parent = parent;
    if (parent >= 0 && kind_of(&t->module[parent])->most >= 0)
        return ir_error(t->error, IR_REFUSED, "line %d: nothing can be inside a %s", line,
                        t->module[parent].kind);
    for (int i = 0; i < t->count; i++)
        if (t->module[i].parent == parent && strcmp(t->module[i].name, m->name) == 0)
            return ir_error(t->error, IR_REFUSED, "line %d: a second %s", line, m->name);
    for (int up = parent, deep = 0; up >= 0; up = t->module[up].parent)
        if (++deep == DEEPEST)
            return ir_error(t->error, IR_REFUSED, "line %d: deeper than %d", line, DEEPEST);
    t->count++;
    return true;
}

static bool read_tree(struct tree *t, const char *text)
{
    int line = 0;

    if (!text || strlen(text) > LONGEST)
        return ir_error(t->error, IR_REFUSED, "text: expected at most %d letters", LONGEST);
    for (const char *at = text; *at;) {
        const size_t length = strcspn(at, "\n");
        char room[120];
        line++;
        if (length >= sizeof room)
            return ir_error(t->error, IR_REFUSED, "line %d: a shorter line is expected", line);
        memcpy(room, at, length);
        room[length] = 0;
        for (size_t end = length; end && (room[end - 1] == ' ' || room[end - 1] == '\r');)
            room[--end] = 0;
        if (*room && t->count == LINES)
            return ir_error(t->error, IR_REFUSED, "line %d: expected at most %d modules", line,
                            LINES);
        if (*room && !read_line(t, room, line))
            return false;
        at += length + (at[length] == '\n');
    }
    return t->count || ir_error(t->error, IR_REFUSED, "text: there is no module in it");
}

/* --- recording -----------------------------------------------------------------------------------
 */

/* All whose parent this is, one after the other. */
static tp_tensor record(struct tree *t, tp_tensor x, int parent)
{
    while (t->at < t->count && t->module[t->at].parent == parent && !tp_error(t->g)) {
        const int here = t->at++;
        struct module *m = &t->module[here];
        const struct kind *k = kind_of(m);
        tp_tensor before = x;

        if (k->record) {
            x = k->record(x, m);
        } else {
            tp_scope(t->g, "%s", m->name)
                x = record(t, x, here);
            if (strcmp(k->name, "residual") == 0 && !tp_error(t->g))
                x = tp_add(before, x);
        }
        if (!tp_error(t->g))
            m->out = tp_shape_of(x);
        if (tp_error(t->g) && t->error->status == IR_OK) {
            const char *why = strstr(tp_error(t->g), ": "); /* behind our own file and line */
            ir_error(t->error, tp_status(t->g), "line %d: %s", m->line,
                     why ? why + 2 : tp_error(t->g));
        }
        if (t->error->status == IR_OK && tp_param_count(t->g) > WEIGHTS)
            ir_error(t->error, IR_REFUSED, "line %d: more than %d weights", m->line, WEIGHTS);
        if (t->error->status != IR_OK)
            break;
    }
    return x;
}

/* "2 3": [2 3] */
static json_t *shape_text(const tp_shape *s)
{
    struct ir_text text = { 0 };
    json_t *said;

    for (int i = 0; i < s->rank; i++)
        ir_put(&text, "%s%lld", i ? " " : "", (long long)s->dim[i]);
    said = json_string(text.size ? text.data : "");
    ir_text_free(&text);
    return said;
}

static json_t *modules_of(const struct tree *t)
{
    json_t *list = json_array();

    for (int i = 0; i < t->count; i++) {
        const struct module *m = &t->module[i];
        json_array_append_new(list, json_pack("[s, s, i, o, i]", m->name, m->kind, m->parent,
                                              shape_text(&m->out), m->line));
    }
    return list;
}

static json_t *parameters_of(tp_graph *g)
{
    tp_tensor found[4 * LINES];
    const int count = tp_params(g, "*", 4 * LINES, found);
    json_t *list = json_array();

    for (int i = 0; i < count && i < 4 * LINES; i++) {
        const tp_shape shape = tp_shape_of(found[i]);
        json_array_append_new(list, json_pack("[s, o, I]", tp_name(found[i]), shape_text(&shape),
                                              (json_int_t)play_elements(found[i])));
    }
    return list;
}

/* Names are of LETTERS alone, so nothing of them can mean anything to dot. */
static json_t *drawing_of(struct play_request *r, const struct tree *t)
{
    struct ir_text dot = { 0 };
    json_t *drawn;

    ir_put(&dot, "digraph {\n  nodesep=0.08 ranksep=0.35 ordering=out\n"
                 "  node [shape=box style=rounded fontname=\"sans-serif\" fontsize=10 height=0.26 "
                 "margin=\"0.09,0.03\"]\n  edge [arrowsize=0.5]\n  v0 [label=\"network\"]\n");
    for (int i = 0; i < t->count; i++) {
        const struct module *m = &t->module[i];
        const bool told = strncmp(m->name, m->kind, strlen(m->kind)) == 0;
        ir_put(&dot, "  v%d [label=\"%s%s%s\"]\n  v%d -> v%d\n", i + 1, m->name, told ? "" : ": ",
               told ? "" : m->kind, m->parent + 1, i + 1);
    }
    ir_put(&dot, "}\n");
    drawn = play_drawing(r->play, &dot);
    ir_text_free(&dot);
    return drawn;
}

/* The network as a .tp text, whose loss is what it gives, squared. */
static json_t *text_of(tp_graph *g, tp_tensor x)
{
    const tp_tensor loss = tp_mean(tp_mul(x, x));
    struct wanted wanted = tp_wanted(g, (tp_list){ 1, &loss }, (tp_list){ 0, NULL });
    struct ir_graph *part;
    struct ir_text text = { 0 };
    json_t *said;

    if (tp_error(g))
        return json_null();
    part = tp_trace_part(g, "trace", TP_TRAIN, &wanted, false);
    ir_output(part, "loss", wanted.value[0]);
    ir_print_program(&text, &(struct ir_program){ .graph = part });
    said = json_stringn(text.data, text.size);
    ir_text_free(&text);
    ir_graph_free(part);
    return said;
}

static bool read_shape(tp_shape *s, const char *text, struct ir_error *error)
{
    int64_t elements = 1;
    bool good = text && strlen(text) < 100;

    *s = (tp_shape){ .rank = 0 };
    for (const char *at = text; good && *(at += strspn(at, " ,"));) {
        char *end;
        const long n = strtol(at, &end, 10);
        good = end != at && n >= 1 && n <= 4096 && s->rank < 4 && (elements *= n) <= 1 << 20;
        if (good)
            s->dim[s->rank++] = n;
        at = end;
    }
    return (good && s->rank) ||
           ir_error(error, IR_REFUSED, "input: expected a shape, as 8 1 28 28, of 1 to 4 axes");
}

json_t *play_modules(struct play_request *r)
{
    struct tree *t = calloc(1, sizeof *t);
    tp_shape shape;
    json_t *said = NULL;
    tp_tensor x;

    if (t && read_shape(&shape, json_string_value(json_object_get(r->body, "input")), &r->error)) {
        t->error = &r->error;
        if (read_tree(t, json_string_value(json_object_get(r->body, "text"))))
            t->g = play_sketch(&r->error);
    }
    if (t && t->g) {
        x = tp_input_at(t->g, "x", strcmp(t->module[0].kind, "embed") == 0 ? TP_I32 : TP_F32, shape,
                        (tp_loc){ "input", 1 });
        x = record(t, x, -1);
        if (r->error.status == IR_OK && tp_error(t->g))
            ir_error(&r->error, tp_status(t->g), "%s", tp_error(t->g));
        if (r->error.status == IR_OK)
            said = json_pack("{s:o, s:o, s:I, s:o, s:o}", "modules", modules_of(t), "parameters",
                             parameters_of(t->g), "total", (json_int_t)tp_param_count(t->g), "svg",
                             drawing_of(r, t), "text", text_of(t->g, x));
        tp_graph_free(t->g);
    }
    free(t);
    return said;
}

json_t *play_module_kinds(struct play_request *r)
{
    json_t *list = json_array();

    (void)r;
    for (int i = 0; i < KINDS; i++)
        json_array_append_new(list, json_pack("[s, s]", kinds[i].name, kinds[i].numbers));
    return json_pack("{s:o}", "kinds", list);
}

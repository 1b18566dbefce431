/*
 * tensor: views of a storage. The storage's positions are moved as the numbers would be, so that
 * each element of a view says where it comes from; shape, strides and offset follow from that.
 */
#include "play.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { ELEMENTS = 512, RANK = 6, STEPS = 8, NUMBERS = 8 };

struct move { /* a line: a word and whole numbers */
    char word[16];
    int count;
    int64_t number[NUMBERS];
};

static const char *const words[] = { "permute", "reshape",   "transpose", "slice",
                                     "flip",    "broadcast", "squeeze",   "unsqueeze" };

static bool read_numbers(struct move *m, const char *at, struct ir_error *error)
{
    for (m->count = 0; *at;) {
        char *end;
        const long n = strtol(at, &end, 10);
        if (end == at || labs(n) > 1000000 || m->count == NUMBERS)
            return ir_error(error, IR_REFUSED, "%s \"%.20s\": expected at most %d whole numbers",
                            m->word, at, NUMBERS);
        m->number[m->count++] = n;
        at = end + strspn(end, " ,()[]");
    }
    return true;
}

static bool read_move(struct move *m, const char *line, struct ir_error *error)
{
    const char *at = line + strspn(line, " ");
    const size_t length = strspn(at, "abcdefghijklmnopqrstuvwxyz");

    *m = (struct move){ .count = 0 };
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strlen(words[i]) == length && memcmp(words[i], at, length) == 0) {
            memcpy(m->word, at, length);
            at += length;
            return read_numbers(m, at + strspn(at, " ,()[]"), error);
        }
    return ir_error(error, IR_REFUSED,
                    "\"%.20s\": expected permute, reshape, transpose, slice, flip, broadcast, "
                    "squeeze or unsqueeze",
                    at);
}

static tp_shape shape_of(const struct move *m)
{
    tp_shape s = { .rank = m->count };

    memcpy(s.dim, m->number, sizeof *m->number * (size_t)m->count);
    return s;
}

static tp_tensor moved(tp_tensor x, const struct move *m, tp_loc at)
{
    const int64_t *n = m->number;

    switch (m->word[0]) {
    case 'p':
        return tp_permute_at(x, shape_of(m), at);
    case 'r':
        return tp_reshape_at(x, shape_of(m), at);
    case 't':
        return tp_transpose_at(x, (int)n[0], (int)n[1], at);
    case 'f':
        return tp_flip_at(x, shape_of(m), at);
    case 'b':
        return tp_binary_at("add", x, tp_full_at(x.g, TP_I32, shape_of(m), 0, at), at);
    case 'u':
        return tp_unsqueeze_at(x, (int)n[0], at);
    default:
        if (m->word[1] == 'q')
            return tp_squeeze_at(x, m->count ? n[0] : TP_ALL, at);
        return tp_slice_at(x, (int)n[0], n[1],
                           (tp_slice_args){ m->count > 2 ? n[2] : TP_ALL, m->count > 3 ? n[3] : 0 },
                           at);
    }
}

static bool bounded(const tp_shape *s, struct ir_error *error)
{
    int64_t elements = 1;

    for (int i = 0; i < s->rank; i++) {
        if (s->dim[i] < 0 || s->dim[i] > ELEMENTS)
            return ir_error(error, IR_REFUSED, "an extent of %lld; expected 0 to %d",
                            (long long)s->dim[i], ELEMENTS);
        elements *= s->dim[i];
        if (elements > ELEMENTS)
            break;
    }
    return (s->rank <= RANK && elements <= ELEMENTS) ||
           ir_error(error, IR_REFUSED, "expected at most %d axes and %d elements", RANK, ELEMENTS);
}

/* Where each element of x lies: its graph, evaluated of 0, 1, 2, .. */
static json_t *positions(tp_tensor x, const tp_shape *storage, struct ir_error *error)
{
    struct wanted wanted = tp_wanted(x.g, tp_list(x), (tp_list){ 0, NULL });
    struct ir_arena *arena = ir_arena_new();
    int32_t at[ELEMENTS];
    struct ir_array result;
    struct ir_binding binding = { "x", { IR_I32, { .rank = storage->rank }, at } };
    struct ir_graph *g = tp_trace_part(x.g, "view", TP_EVAL, &wanted, false);
    json_t *list = json_array();

    for (int i = 0; i < ELEMENTS; i++)
        at[i] = i;
    memcpy(binding.array.shape.dim, storage->dim, sizeof storage->dim);
    ir_output(g, "view", wanted.value[0]);
    if (ir_evaluate(g, 1, &binding, 1, wanted.value, &result, arena, error)) {
        int64_t count = 1;
        for (int i = 0; i < result.shape.rank; i++)
            count *= result.shape.dim[i];
        for (int64_t i = 0; i < count && i < ELEMENTS; i++)
            json_array_append_new(list, json_integer(((const int32_t *)result.data)[i]));
    }
    ir_graph_free(g);
    ir_arena_free(arena);
    return list;
}

static json_t *view_of(tp_tensor x, const tp_shape *storage, struct ir_error *error)
{
    const tp_shape s = tp_shape_of(x);
    json_t *dims = json_array(), *strides = json_array(), *list = positions(x, storage, error);
    int64_t step = 1, count = (int64_t)json_array_size(list);

    for (int i = 0; i < s.rank; i++)
        json_array_append_new(dims, json_integer(s.dim[i]));
    /* the stride of an axis: from its first element to its second, if it is that everywhere */
    for (int axis = s.rank; axis-- > 0; step *= s.dim[axis]) {
        json_t *stride = NULL;
        int64_t found = 0;
        bool even = s.dim[axis] > 1; /* of one element any would do */
        for (int64_t i = 0; i + step < count && s.dim[axis] > 1; i++) {
            const int64_t place = i / step % s.dim[axis];
            const int64_t here = json_integer_value(json_array_get(list, (size_t)i)),
                          next = json_integer_value(json_array_get(list, (size_t)(i + step)));
            if (place + 1 == s.dim[axis])
                continue;
            if (i == 0)
                found = next - here;
            even = even && next - here == found;
        }
        stride = even ? json_integer(found) : json_null();
        json_array_insert_new(strides, 0, stride);
    }
    return json_pack("{s:o, s:o, s:o}", "shape", dims, "strides", strides, "positions", list);
}

json_t *play_tensor(struct play_request *r)
{
    const char *shape = json_string_value(json_object_get(r->body, "shape"));
    const json_t *moves = json_object_get(r->body, "moves");
    struct move m = { .word = "shape" };
    tp_shape storage;
    tp_graph *g;
    tp_tensor x;
    json_t *views;

    if (!shape || !read_numbers(&m, shape + strspn(shape, " ,()[]"), &r->error) ||
        (storage = shape_of(&m), !bounded(&storage, &r->error)) || json_array_size(moves) > STEPS) {
        ir_error(&r->error, IR_REFUSED, "expected a shape, and at most %d moves", STEPS);
        return NULL;
    }
    g = play_sketch(&r->error);
    if (!g)
        return NULL;
    x = tp_input_at(g, "x", TP_I32, storage, (tp_loc){ "shape", 1 });
    views = json_array();
    for (size_t i = 0; r->error.status == IR_OK; i++) {
        const char *line = json_string_value(json_array_get(moves, i));
        const tp_shape now = tp_shape_of(x);
        if (tp_error(g))
            ir_error(&r->error, tp_status(g), "%s", tp_error(g));
        else if (bounded(&now, &r->error))
            json_array_append_new(views, view_of(x, &storage, &r->error));
        if (r->error.status != IR_OK || i == json_array_size(moves))
            break;
        if (read_move(&m, line ? line : "", &r->error)) {
            if (m.count < (strchr("ts", m.word[0]) && m.word[1] != 'q' ? 2 : m.word[0] == 'u'))
                ir_error(&r->error, IR_REFUSED, "%s: expected more numbers", m.word);
            else
                x = moved(x, &m, (tp_loc){ "moves", (int)i + 1 });
        }
    }
    tp_graph_free(g);
    if (r->error.status != IR_OK) {
        json_decref(views);
        return NULL;
    }
    return json_pack("{s:o}", "views", views);
}

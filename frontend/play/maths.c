/*
 * maths: a function of x, or of x and y, with its derivatives: an expression becomes a graph, taper
 * derives it, and the compiled program is evaluated over a line or a square.
 */
#include "play.h"

#include <math.h>
#include <stdlib.h>

enum { LINE = 401, SIDE = 41, VALUES = SIDE * SIDE, CURVES = 3 };

struct maths {
    tp_graph *g;
    tp_tensor x, y, told[CURVES]; /* f, f', f''; or f, df/dx, df/dy */
    bool used[3];
    int64_t count;
    double from, to;
};

static json_t *list_of(const float *value, int64_t count)
{
    json_t *list = json_array();

    for (int64_t i = 0; i < count; i++)
        json_array_append_new(list, isfinite(value[i]) ? json_real(value[i]) : json_null());
    return list;
}

static tp_tensor derivative(tp_tensor f, tp_tensor by)
{
    return tp_grad_of(tp_sum(f), by);
}

static bool record(struct maths *m, const char *text, struct ir_error *error)
{
    const tp_tensor zero = tp_zeros(m->g, TP_F32, TP_SCALAR);
    const tp_tensor variable[3] = { m->x, m->y, zero };
    tp_tensor f = play_expression(m->g, text, variable, true, m->used, error);

    if (error->status != IR_OK)
        return false;
    if (m->used[2])
        return ir_error(error, IR_REFUSED, "z: expected a function of x, or of x and y");
    /* a number alone is one everywhere; and each derivative is there, if only as zero */
    f = tp_add(f, tp_mul(tp_add(m->x, m->y), 0));
    m->told[0] = f;
    m->told[1] = derivative(f, m->x);
    m->told[2] =
        m->used[1] ? derivative(f, m->y) : derivative(tp_add(m->told[1], tp_mul(m->x, 0)), m->x);
    return tp_error(m->g) == NULL || ir_error(error, tp_status(m->g), "%s", tp_error(m->g));
}

static void fill(const struct maths *m, float *x, float *y)
{
    const int64_t side = m->used[1] ? SIDE : LINE;
    const double step = (m->to - m->from) / (double)(side - 1);

    for (int64_t i = 0; i < m->count; i++) {
        x[i] = (float)(m->from + step * (double)(i % side));
        y[i] = m->used[1] ? (float)(m->from + step * (double)(i / side)) : 0;
    }
}

static json_t *evaluate(struct maths *m, struct play_request *r)
{
    tp_program *p;
    json_t *said = NULL;
    float *x, *y, value[VALUES];

    pthread_mutex_lock(play_compiling(r->play));
    p = tp_compile(m->g, ((tp_list){ CURVES, m->told }), TP_EVAL, .threads = 1);
    pthread_mutex_unlock(play_compiling(r->play));
    x = p ? tp_buffer(p, m->x, NULL) : NULL;
    y = p ? tp_buffer(p, m->y, NULL) : NULL;
    if (x && y) {
        fill(m, x, y);
        if (tp_rows(p, m->count) && tp_run(p)) {
            said = json_pack("{s:f, s:f, s:b, s:i}", "from", m->from, "to", m->to, "surface",
                             m->used[1], "side", m->used[1] ? SIDE : LINE);
            for (int i = 0; i < CURVES; i++)
                if (tp_read(p, m->told[i], value, (size_t)m->count * sizeof *value))
                    json_object_set_new(said, (const char *[]){ "f", "d", "e" }[i],
                                        list_of(value, m->count));
        }
    }
    if (tp_error(m->g))
        ir_error(&r->error, tp_status(m->g), "%s", tp_error(m->g));
    return said;
}

json_t *play_maths(struct play_request *r)
{
    const char *text = json_string_value(json_object_get(r->body, "expression"));
    struct maths m = { .from = json_number_value(json_object_get(r->body, "from")),
                       .to = json_number_value(json_object_get(r->body, "to")) };
    json_t *said = NULL;
    int64_t rows;

    if (!json_is_number(json_object_get(r->body, "from")) ||
        !json_is_number(json_object_get(r->body, "to")) ||
        !(m.from < m.to && m.from >= -1e6 && m.to <= 1e6)) {
        ir_error(&r->error, IR_REFUSED, "from, to: expected two numbers within a million");
        return NULL;
    }
    m.g = tp_graph_new(1);
    if (!m.g)
        return NULL;
    tp_on_warning(m.g, NULL, NULL);
    rows = tp_symbol(m.g, "points", 1, VALUES);
    m.x = tp_input(m.g, "x", TP_F32, tp_dims(rows));
    m.y = tp_input(m.g, "y", TP_F32, tp_dims(rows));
    if (record(&m, text, &r->error)) {
        m.count = m.used[1] ? VALUES : LINE;
        said = evaluate(&m, r);
    }
    tp_graph_free(m.g);
    if (r->error.status != IR_OK) {
        json_decref(said);
        said = NULL;
    }
    return said;
}

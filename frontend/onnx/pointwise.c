/*
 * pointwise: operators that make one element from one element of each input.
 */
#include "frontend/onnx/ops.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static enum ir_op op_of(const struct onnx_node *n)
{
    return ir_op_by_name(n->row->detail, strlen(n->row->detail));
}

void onnx_unary(struct onnx_node *n)
{
    n->out[0] = onnx_op1(n, op_of(n), onnx_in(n, 0));
}

void onnx_binary(struct onnx_node *n)
{
    const tp_tensor a = onnx_in(n, 0), b = onnx_in(n, 1);

    n->out[0] = onnx_op2(n, op_of(n), a, b);
}

void onnx_swapped(struct onnx_node *n) /* a > b is b < a */
{
    const tp_tensor a = onnx_in(n, 0), b = onnx_in(n, 1);

    n->out[0] = onnx_op2(n, op_of(n), b, a);
}

void onnx_fold(struct onnx_node *n) /* of one input or more */
{
    tp_tensor y = onnx_in(n, 0);

    for (int i = 1; i < n->inputs; i++)
        y = onnx_op2(n, op_of(n), y, onnx_in(n, i));
    if (n->row->more && y.id)
        y = onnx_op2(n, IR_div, y, onnx_number(n, onnx_type(y), n->inputs));
    n->out[0] = y;
}

void onnx_formula(struct onnx_node *n)
{
    const tp_tensor x = onnx_in(n, 0);

    if (x.id)
        n->out[0] = tp_formula_at(n->row->detail, tp_list(x), TP_NONE, n->at);
}

/* Maths of a and the attributes p, q: "alpha=0.2 beta=0.5" */
void onnx_by_maths(struct onnx_node *n)
{
    const tp_tensor x = onnx_in(n, 0);
    const char *more = n->row->more;
    double number[3];
    int count = 0;

    if (!x.id)
        return;
    if (!onnx_real(x)) {
        onnx_lacks(n, "%s; expected a floating type", tp_describe(x));
        return;
    }
    while (*more && count < 3) {
        char name[20] = { 0 };
        const size_t length = strcspn(more, "=");
        char *end;

        memcpy(name, more, length < sizeof name ? length : sizeof name - 1);
        number[count] = strtod(more + length + 1, &end);
        number[count] = onnx_float(n, name, number[count]);
        count++;
        more = end + (*end == ' ');
    }
    n->out[0] = tp_maths(n->row->detail, 1, &x, count, number, n->at);
}

/* The base's type is the result's; of integers by doubles, where these hold them. */
void onnx_pow(struct onnx_node *n)
{
    const tp_tensor a = onnx_in(n, 0), b = onnx_in(n, 1);
    const enum ir_dtype base = a.id ? onnx_type(a) : IR_F32;
    tp_tensor y;

    if (!a.id || !b.id)
        return;
    if (onnx_real(a)) {
        n->out[0] = onnx_op2(n, IR_pow, a, onnx_cast(n, b, base));
        return;
    }
    y = onnx_op2(n, IR_pow, onnx_cast(n, a, IR_F64), onnx_cast(n, b, IR_F64));
    if (!onnx_real(b))
        y = onnx_op1(n, IR_round, y);
    n->out[0] = onnx_cast(n, y, base);
}

void onnx_mod(struct onnx_node *n)
{
    const tp_tensor a = onnx_in(n, 0), b = onnx_in(n, 1);

    n->out[0] = onnx_op2(n, onnx_int(n, "fmod", 0) ? IR_rem : IR_mod, a, b);
}

static tp_tensor bound(struct onnx_node *n, tp_tensor x, const char *attribute, int i,
                       enum ir_op op)
{
    if (!x.id)
        return x;
    if (onnx_attr(n, attribute))
        return onnx_op2(n, op, x, onnx_number(n, onnx_type(x), onnx_float(n, attribute, 0)));
    return onnx_has(n, i) ? onnx_op2(n, op, x, onnx_in(n, i)) : x;
}

void onnx_clip(struct onnx_node *n)
{
    n->out[0] = bound(n, bound(n, onnx_in(n, 0), "min", 1, IR_max), "max", 2, IR_min);
}

void onnx_where(struct onnx_node *n)
{
    const tp_tensor c = onnx_in(n, 0), a = onnx_in(n, 1), b = onnx_in(n, 2);

    n->out[0] = onnx_select(n, c, a, b);
}

void onnx_to_type(struct onnx_node *n)
{
    const tp_tensor x = onnx_in(n, 0);
    enum ir_dtype dtype;

    if (!tp_onnx_dtype((int)onnx_int(n, "to", 0), &dtype))
        onnx_lacks(n, "to elements of type %lld; expected numbers or bool",
                   (long long)onnx_int(n, "to", 0));
    else
        n->out[0] = onnx_cast(n, x, dtype);
}

void onnx_like_type(struct onnx_node *n)
{
    const tp_tensor x = onnx_in(n, 0), like = onnx_in(n, 1);

    if (x.id && like.id)
        n->out[0] = onnx_cast(n, x, onnx_type(like));
}

void onnx_prelu(struct onnx_node *n)
{
    const tp_tensor x[2] = { onnx_in(n, 0), onnx_in(n, 1) };

    if (!x[0].id || !x[1].id)
        return;
    if (onnx_type(x[0]) != onnx_type(x[1]))
        onnx_wrong(n, "%s and %s; expected one type", tp_describe(x[0]), tp_describe(x[1]));
    else
        n->out[0] = tp_maths("select(a < 0, a * b, a)", 2, x, 0, NULL, n->at);
}

void onnx_gelu(struct onnx_node *n)
{
    const char *how = onnx_word(n, "approximate", "none");
    const tp_tensor x = onnx_in(n, 0);

    if (x.id)
        n->out[0] = tp_formula_at(strcmp(how, "tanh") == 0 ? "gelu_tanh" : "gelu", tp_list(x),
                                  TP_NONE, n->at);
}

void onnx_isinf(struct onnx_node *n)
{
    const bool up = onnx_int(n, "detect_positive", 1), down = onnx_int(n, "detect_negative", 1);
    const tp_tensor x = onnx_in(n, 0);

    if (x.id)
        n->out[0] = tp_maths(up && down ? "isnan(a - a) & (a == a)"
                             : up       ? "isnan(a - a) & (a > 0)"
                             : down     ? "isnan(a - a) & (a < 0)"
                                        : "(a > 0) & (a < 0)",
                             1, &x, 0, NULL, n->at);
}

void onnx_identity(struct onnx_node *n)
{
    n->out[0] = onnx_in(n, 0);
}

/*
 * In training chance is taper's own. A single run is evaluation; what asks for chance there would
 * want the same bits as another program's.
 */
void onnx_dropout(struct onnx_node *n)
{
    const tp_tensor x = onnx_in(n, 0);
    double ratio = onnx_float(n, "ratio", 0.5), asked = 0;

    if (!x.id || (onnx_has(n, 1) && !onnx_known_number(n, 1, &ratio)))
        return;
    if (!(ratio >= 0 && ratio < 1)) {
        onnx_wrong(n, "ratio %g; expected 0 or more and less than 1", ratio);
        return;
    }
    if (n->training) {
        n->out[0] = tp_dropout_at("tp_dropout", x, ratio, 0, n->at);
        return; /* its mask is nobody's */
    }
    if (onnx_has(n, 2) && !onnx_known_number(n, 2, &asked))
        return;
    if (asked != 0 && ratio != 0) {
        onnx_lacks(n, "training_mode with chance; expected evaluation, or ratio 0");
        return;
    }
    n->out[0] = x;
    if (n->outputs > 1)
        n->out[1] = tp_full_at(n->g, TP_BOOL, tp_shape_of(x), 1, n->at);
}

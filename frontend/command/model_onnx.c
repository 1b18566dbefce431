/*
 * model_onnx: an ONNX model that is trained further. Its first input is the data's x, its first
 * output the scores; its initialisers begin as they are in the file.
 */
#include "command.h"
#include "frontend/models.h"
#include "frontend/onnx/onnx.h"

#include <string.h>

const struct model command_onnx_recipe = { .name = "onnx",
                                           .data = "digits",
                                           .batch = 64,
                                           .epochs = 5,
                                           .optimiser = "sgd",
                                           .rate = 0.01,
                                           .momentum = 0.9,
                                           .schedule = "cosine" };

/* The data's rows in the type and shape that the model wants; its first axis is the batch. */
static tp_tensor as_input(struct session *s, tp_tensor x, const struct onnx_port *p)
{
    const tp_dtype wanted = (tp_dtype)(p->dtype + 1);
    tp_shape shape = { .rank = p->rank };
    int64_t row = 1, has = 1;

    if (!x.id)
        return x;
    for (int i = 1; i < tp_rank(x); i++)
        has *= tp_dim(x, i);
    shape.dim[0] = tp_dim(x, 0);
    for (int i = 1; p->shaped && i < p->rank; i++) {
        shape.dim[i] = p->dim[i] >= 0 || p->rank != tp_rank(x) ? p->dim[i] : tp_dim(x, i);
        row = shape.dim[i] < 0 || row > 1 << 30 ? -1 : row * shape.dim[i];
    }
    if (p->shaped && (p->rank < 1 || row != has)) {
        ir_error(&s->error, IR_REFUSED,
                 "%.100s: its input \"%.60s\" takes other rows than those of %.100s, %s; "
                 "--data says which",
                 s->model, p->name, s->data, tp_describe(x));
        return (tp_tensor){ .g = x.g };
    }
    if (ir_dtypes[p->dtype].kind == 'f' && tp_dtype_of(x) == TP_U8)
        x = tp_div(x, 255);
    if (tp_dtype_of(x) != wanted)
        x = tp_cast(x, wanted);
    return p->shaped ? tp_reshape_at(x, shape, TP_HERE) : x;
}

static bool by_loss(struct session *s, tp_tensor scores, tp_tensor y, struct model_values *v)
{
    const char *loss = s->settings.loss ? s->settings.loss : "cross_entropy";
    struct ir_text names = { 0 };

    v->output = scores;
    if (strcmp(loss, "cross_entropy") == 0) {
        if (tp_rank(scores) < 2 || ir_dtypes[tp_node(y)->dtype].kind == 'f')
            return ir_error(&s->error, IR_REFUSED,
                            "--loss cross_entropy of %s and targets %s; expected scores "
                            "[batch classes] and integers",
                            tp_describe(scores), tp_describe(y));
        v->loss = tp_cross_entropy(scores, y);
        v->hits = tp_sum(tp_eq(tp_argmax(scores, -1), y));
        return true;
    }
    if (!tp_loss_plain(loss, &names))
        ir_error(&s->error, IR_REFUSED, "--loss \"%.40s\": expected one of cross_entropy%s", loss,
                 names.data);
    ir_text_free(&names);
    if (s->error.status != IR_OK)
        return false;
    if (tp_rank(scores) == tp_rank(y) + 1 && tp_dim(scores, -1) == 1)
        scores = tp_reshape_at(scores, tp_shape_of(y), TP_HERE);
    if (tp_dtype_of(y) != tp_dtype_of(scores))
        y = tp_cast(y, tp_dtype_of(scores));
    v->loss = tp_loss_at(loss, scores, (tp_loss_args){ .target = y }, TP_HERE);
    return true;
}

bool command_onnx_values(struct session *s, tp_tensor x, tp_tensor y, struct model_values *values)
{
    const int inputs = tp_onnx_inputs(s->onnx);
    const bool classes = !s->settings.loss || strcmp(s->settings.loss, "cross_entropy") == 0;
    tp_tensor in[64] = { { 0 } }, out[64] = { { 0 } };
    int used = -1;

    if (inputs > 64 || tp_onnx_outputs(s->onnx) > 64)
        return ir_error(&s->error, IR_UNSUPPORTED, "%.200s: more than 64 inputs or outputs",
                        s->model);
    for (int i = 0; i < inputs; i++) {
        if (tp_onnx_input(s->onnx, i)->optional)
            continue;
        if (used >= 0)
            return ir_error(
                &s->error, IR_UNSUPPORTED,
                "%.200s: inputs \"%.60s\" and \"%.60s\"; expected one, for the data's x", s->model,
                tp_onnx_input(s->onnx, used)->name, tp_onnx_input(s->onnx, i)->name);
        used = i;
        in[i] = as_input(s, x, tp_onnx_input(s->onnx, i));
    }
    if (s->error.status)
        return false;
    if (!tp_onnx_import(s->onnx, s->graph,
                        &(struct onnx_request){ .input = in,
                                                .training = true,
                                                .output = out,
                                                .until = s->settings.head ? ONNX_FEATURES
                                                         : classes        ? ONNX_SCORES
                                                                          : ONNX_WHOLE },
                        &s->error))
        return false;
    if (s->settings.head > 0)
        out[0] = tp_linear(tp_flatten(out[0], 1), "head", s->settings.head);
    return !tp_error(s->graph) && by_loss(s, out[0], y, values) && !tp_error(s->graph)
               ? true
               : ir_error(&s->error, tp_status(s->graph), "%s", tp_error(s->graph));
}

/*
 * custom: a C function of the user's as an operation.
 *
 * The call is one node; where there is a backward function, it is the body of tp_with_gradient,
 * whose rule calls the other function once for each argument.
 */
#include "frontend/frontend.h"

#include <string.h>

static const char what[] = "tp_custom";

/* For what interprets: dense arrays. */
static void call_dense(const struct ir_custom *c, int by, int n, const struct ir_array *in,
                       struct ir_array *out)
{
    int64_t pitch[IR_CUSTOM_ARGUMENTS + 1][IR_RANK];
    tp_array array[IR_CUSTOM_ARGUMENTS + 1];

    for (int i = 0; i <= n; i++) {
        const struct ir_array *a = i < n ? &in[i] : out;
        int64_t step = 1;
        for (int axis = a->shape.rank; axis-- > 0; step *= a->shape.dim[axis])
            pitch[i][axis] = step;
        array[i] = (tp_array){ a->data, (int)a->dtype + 1, a->shape.rank, a->shape.dim, pitch[i] };
    }
    ((tp_function *)c->function)(c->user, by, array, &array[n]);
}

struct call { /* what the functions of tp_with_gradient are told */
    const char *name;
    tp_list x;
    tp_dtype dtype;
    tp_shape shape;
    tp_custom_args args;
    tp_loc at;
};

static bool is_floating(tp_tensor x)
{
    return ir_dtypes[tp_node(x)->dtype].kind == 'f';
}

static tp_tensor record(tp_graph *g, const struct call *c, int n, const ir_val *args, int by,
                        enum ir_dtype dtype, struct ir_shape shape)
{
    const struct ir_custom custom = { .name = c->name,
                                      .source = c->args.source,
                                      .function = (void (*)(void))(by < 0 ? c->args.function
                                                                          : c->args.backward),
                                      .user = c->args.user,
                                      .call = call_dense };
    const int64_t number = by;
    const struct ir_node draft = { .op = IR_custom,
                                   .dtype = dtype,
                                   .shape = shape,
                                   .arity = n,
                                   .args = args,
                                   .attr = { { by >= 0, &number } },
                                   .text = c->name,
                                   .loc = tp_place(g, c->at),
                                   .custom = &custom };

    return tp_give(g, ir_add(g->ir, &draft));
}

/* All arguments: x[0..) stand for the floating ones. */
static int gather(const struct call *c, const tp_tensor *x, ir_val *args)
{
    for (int i = 0, next = 0; i < c->x.count; i++)
        args[i] = tp_val(x && is_floating(c->x.at[i]) ? x[next++] : c->x.at[i]);
    return c->x.count;
}

static void forward(void *user, const tp_tensor x[], tp_tensor y[])
{
    const struct call *c = user;
    ir_val args[IR_CUSTOM_ARGUMENTS];

    gather(c, x, args);
    y[0] = record(y[0].g, c, c->x.count, args, -1, tp_ir_dtype(c->dtype), tp_ir_shape(c->shape));
}

static void backward(void *user, const tp_tensor x[], const tp_tensor y[], const tp_tensor dy[],
                     tp_tensor dx[])
{
    const struct call *c = user;
    ir_val args[IR_CUSTOM_ARGUMENTS];
    int n = gather(c, x, args);

    args[n++] = tp_val(y[0]);
    args[n++] = tp_val(dy[0]);
    for (int i = 0, next = 0; i < c->x.count; i++)
        if (is_floating(c->x.at[i])) {
            const struct ir_node *like = tp_node(x[next]);
            dx[next] = record(x[next].g, c, n, args, i, like->dtype, like->shape);
            next++;
        }
}

static bool sound(tp_graph *g, const struct call *c)
{
    if (!c->args.function)
        tp_fail(g, c->at, what, "no function; expected one after the shape");
    else if (c->x.count < 1 || c->x.count > IR_CUSTOM_ARGUMENTS - 3)
        tp_fail(g, c->at, what, "%d tensors; expected 1 to %d", c->x.count,
                IR_CUSTOM_ARGUMENTS - 3);
    for (int i = 0; i < c->x.count && g->error.status == IR_OK; i++)
        if (!c->x.at[i].g)
            tp_fail(g, c->at, what, "argument %d is a number; expected a tensor", i);
    return g->error.status == IR_OK && tp_ready(g, c->at, what, c->x.count, c->x.at) &&
           tp_good_dtype(g, c->at, what, c->dtype) && tp_good_rank(g, c->at, what, c->shape);
}

tp_tensor tp_custom_at(const char *name, tp_list x, tp_dtype dtype, tp_shape shape,
                       tp_custom_args args, tp_loc at)
{
    struct call c = { name, x, dtype, shape, args, at };
    tp_graph *g = tp_graph_of(x.count, x.at);
    ir_val all[IR_CUSTOM_ARGUMENTS];
    tp_tensor floating[IR_CUSTOM_ARGUMENTS], y = POISON(g);
    int floats = 0;

    if (!g || !sound(g, &c))
        return y;
    for (int i = 0; i < x.count; i++)
        if (is_floating(x.at[i]))
            floating[floats++] = x.at[i];
    if (!args.backward) {
        gather(&c, NULL, all);
        return record(g, &c, x.count, all, -1, tp_ir_dtype(dtype), tp_ir_shape(shape));
    }
    if (!floats || ir_dtypes[tp_ir_dtype(dtype)].kind != 'f')
        return tp_fail(g, at, what, ".backward with no floating %s; expected none",
                       floats ? "result" : "argument");
    if (!tp_with_gradient_at(forward, backward, &c, floats, floating, 1, &y, at))
        return POISON(g);
    return y;
}

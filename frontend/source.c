/*
 * source: where values begin: inputs, parameters, states, arrays, constants, chance.
 */
#include <math.h>
#include <string.h>

#include "frontend/frontend.h"

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
        !tp_good_dtype(g, at, "tp_input", dtype) ||
        !good_shape(g, at, "tp_input", name, shape, false))
        return POISON(g);
    for (uint32_t v = 1; v < g->ir->count; v++)
        if (g->ir->nodes[v].op == IR_input && strcmp(g->ir->nodes[v].text, name) == 0)
            return tp_fail(g, at, "tp_input",
                           "there is an input \"%.60s\" at %s:%d; expected another name", name,
                           g->ir->nodes[v].loc.file, g->ir->nodes[v].loc.line);
    return tp_give(g, ir_input(g->ir, ir_format(g->ir->arena, "%s", name), tp_ir_dtype(dtype),
                               tp_ir_shape(shape), loc));
}

/* Initial values that depend on the shape, as uniform or normal numbers. */
static tp_init by_fans(tp_init init, tp_shape shape)
{
    double in = 1, out = 1, deviation;

    if (init.kind < 4 || init.kind > 7 || shape.rank < 2)
        return init; /* what is no kind is refused where it was */
    for (int i = 0; i < shape.rank; i++) {
        in *= i == 0 ? 1 : (double)shape.dim[i];
        out *= i == 1 ? 1 : (double)shape.dim[i];
    }
    deviation = init.a * sqrt(init.kind < 6 ? 2 / fmax(in + out, 1) : 1 / fmax(in, 1));
    return init.kind % 2 ? TP_NORMAL(deviation)
                         : TP_UNIFORM(-sqrt(3.0) * deviation, sqrt(3.0) * deviation);
}

static tp_tensor new_state(tp_graph *g, const char *what, const char *name, enum ir_dtype dtype,
                           tp_shape shape, enum state_kind kind, tp_param_args args, tp_loc at)
{
    static const enum ir_init inits[] = { IR_INIT_ZERO, IR_INIT_CONSTANT, IR_INIT_UNIFORM,
                                          IR_INIT_NORMAL };
    struct ir_loc loc = tp_place(g, at);
    struct state *s = tp_state_find(g, name);
    ir_val v;

    args.init = by_fans(args.init, shape);
    if (args.init.kind > 3 && args.init.kind <= 7)
        return tp_fail(g, at, what,
                       "\"%.60s\" has %d axes; expected two or more, whose fans say how "
                       "it starts",
                       name, shape.rank);
    if (args.init.kind < 0 || args.init.kind > 11)
        return tp_fail(g, at, what,
                       "\"%.60s\": initial values of kind %d; expected TP_ZEROS or another", name,
                       args.init.kind);
    const char *wants = args.init.kind > 7 ? tp_initial_wants(args.init, dtype, shape) : NULL;
    if (wants)
        return tp_fail(g, at, what, "\"%.60s\" of %s with %d axes; expected %s to start so", name,
                       ir_dtypes[dtype].name, shape.rank, wants);
    if (s && !((args.shared || s->tape < g->tape) && s->value.id))
        return tp_fail(g, at, what,
                       "the name \"%.100s\" is taken; .shared = true would use that one again",
                       name);
    v = ir_state(g->ir, name, dtype, tp_ir_shape(shape),
                 args.init.kind > 7 ? IR_INIT_ZERO : inits[args.init.kind],
                 args.init.kind > 7 ? 0 : args.init.a, args.init.kind > 7 ? 0 : args.init.b, loc);
    if (v.id == 0)
        return tp_give(g, v);
    if (s) {
        s = tp_state_of(g, ir_at(g->ir, v), kind);
        if (s)
            s->tape = g->tape;
        return tp_give(g, s ? s->value : v);
    }
    s = tp_state_of(g, ir_at(g->ir, v), kind);
    s->value = v;
    s->tape = g->tape;
    s->frozen = args.frozen;
    if (args.init.kind > 7 && !tp_initial_fill(g, s, args.init))
        return tp_fail(g, at, what, "\"%.60s\" starts with %lld numbers; expected memory for them",
                       name, (long long)ir_elements(g->ir, &ir_at(g->ir, v)->shape));
    return tp_give(g, v);
}

tp_tensor tp_param_at(tp_graph *g, const char *name, tp_shape shape, tp_param_args args, tp_loc at)
{
    if (!tp_ready(g, at, "tp_param", 0, NULL) || !good_name(g, at, "tp_param", name) ||
        !tp_good_dtype(g, at, "tp_param", args.dtype) ||
        !good_shape(g, at, "tp_param", name, shape, true))
        return POISON(g);
    return new_state(g, "tp_param", tp_path(g, name), tp_ir_dtype(args.dtype), shape,
                     STATE_PARAMETER, args, at);
}

tp_tensor tp_state_at(tp_graph *g, const char *name, tp_dtype dtype, tp_shape shape, tp_init init,
                      tp_loc at)
{
    if (!tp_ready(g, at, "tp_state", 0, NULL) || !good_name(g, at, "tp_state", name) ||
        !tp_good_dtype(g, at, "tp_state", dtype) ||
        !good_shape(g, at, "tp_state", name, shape, true))
        return POISON(g);
    return new_state(g, "tp_state", tp_path(g, name), tp_ir_dtype(dtype), shape, STATE_BUFFER,
                     (tp_param_args){ .init = init }, at);
}

#define ARRAY "array."

bool tp_is_array(const char *state)
{
    const char *digits = state + strlen(ARRAY);

    return strncmp(state, ARRAY, strlen(ARRAY)) == 0 && *digits &&
           strspn(digits, "0123456789") == strlen(digits);
}

tp_tensor tp_array_at(tp_graph *g, tp_dtype dtype, tp_shape shape, const void *data, tp_loc at)
{
    const char *name = ir_format(g->ir->arena, ARRAY "%d", g->state_count);
    tp_tensor array;

    if (!tp_ready(g, at, "tp_array", 0, NULL) || !tp_good_dtype(g, at, "tp_array", dtype) ||
        !good_shape(g, at, "tp_array", "array", shape, true))
        return POISON(g);
    if (!data)
        return tp_fail(g, at, "tp_array", "no numbers; expected where they are");
    if (g->eager)
        return tp_give(
            g, tp_eager_array(g, tp_ir_dtype(dtype), tp_ir_shape(shape), data, tp_place(g, at)));
    array = new_state(g, "tp_array", name, tp_ir_dtype(dtype), shape, STATE_HIDDEN,
                      (tp_param_args){ .frozen = true }, at);
    if (array.id && tp_state_write(g, tp_state_find(g, name), data))
        tp_state_find(g, name)->given = true;
    else if (array.id)
        tp_tell(g);
    return array;
}

ir_val tp_counter(struct ir_graph *g, struct ir_loc at)
{
    return ir_state(g, "taper.steps", IR_I64, (struct ir_shape){ 0 }, IR_INIT_ZERO, 0, 0, at);
}

/* --- constants and chance -----------------------------------------------------------------------
 */

static tp_tensor full(tp_graph *g, enum ir_dtype dtype, struct ir_shape shape, double value,
                      tp_loc at)
{
    ir_val number = tp_number_as(g, "tp_full", value, dtype, at);

    return tp_give(g, shape.rank ? ir_expand(g->ir, number, shape, tp_place(g, at)) : number);
}

tp_tensor tp_full_at(tp_graph *g, tp_dtype dtype, tp_shape shape, double value, tp_loc at)
{
    if (!tp_ready(g, at, "tp_full", 0, NULL) || !tp_good_dtype(g, at, "tp_full", dtype) ||
        !tp_good_rank(g, at, "tp_full", shape))
        return POISON(g);
    return full(g, tp_ir_dtype(dtype), tp_ir_shape(shape), value, at);
}

tp_tensor tp_full_like_at(tp_tensor x, double value, tp_loc at)
{
    if (!tp_ready(x.g, at, "tp_full_like", 1, &x))
        return POISON(x.g);
    return full(x.g, tp_node(x)->dtype, tp_node(x)->shape, value, at);
}

tp_tensor tp_arange_at(tp_graph *g, tp_dtype dtype, int64_t count, tp_loc at)
{
    if (!tp_ready(g, at, "tp_arange", 0, NULL) || !tp_good_dtype(g, at, "tp_arange", dtype))
        return POISON(g);
    return tp_give(g,
                   ir_iota(g->ir, tp_ir_dtype(dtype),
                           (struct ir_shape){ .rank = 1, .dim = { count } }, 0, tp_place(g, at)));
}

/*
 * Random bits are a function of (seed, step, stream, index): the stream is a number that the trace
 * gives out once, the step a state that training counts up.
 */
ir_val tp_stream(tp_graph *g, int64_t *stream, struct ir_loc at)
{
    ir_val counter = tp_counter(g->ir, at);
    struct state *s = tp_state_of(g, ir_at(g->ir, counter), STATE_HIDDEN);

    *stream = (int64_t)g->streams++;
    if (!s)
        return (ir_val){ 0 };
    s->value = counter;
    s->frozen = true;
    return counter;
}

ir_val tp_chance(tp_graph *g, struct ir_shape shape, struct ir_loc at)
{
    int64_t stream;
    ir_val counter = tp_stream(g, &stream, at);
    ir_val args[2] = { ir_integer(g->ir, IR_I64, (int64_t)g->ir->seed, at), counter };

    if (!counter.id)
        return counter;
    return ir_add(g->ir, &(struct ir_node){ .op = IR_bits,
                                            .dtype = IR_U32,
                                            .shape = shape,
                                            .arity = 2,
                                            .args = args,
                                            .attr = { { .count = 1, .at = &stream } },
                                            .loc = at });
}

/* The upper 24 bits of a word as a number in [0, 1); with `off` the least is above 0. */
static ir_val uniform(tp_graph *g, enum ir_dtype dtype, struct ir_shape shape, double off,
                      struct ir_loc at)
{
    ir_val letter[26] = { ir_op2(g->ir, IR_shr, tp_chance(g, shape, at),
                                 ir_integer(g->ir, IR_U32, 8, at), at) };

    letter[0] = ir_cast(g->ir, letter[0], dtype, at);
    letter[1] = ir_number(g->ir, dtype, off, at);
    return ir_formula(g->ir, "(a + b) * 0.000000059604644775390625", letter, at);
}

tp_tensor tp_rand_at(tp_graph *g, tp_dtype dtype, tp_shape shape, tp_loc at)
{
    if (!tp_ready(g, at, "tp_rand", 0, NULL) || !tp_good_dtype(g, at, "tp_rand", dtype) ||
        !tp_good_rank(g, at, "tp_rand", shape))
        return POISON(g);
    return tp_give(g, uniform(g, tp_ir_dtype(dtype), tp_ir_shape(shape), 0, tp_place(g, at)));
}

tp_tensor tp_randn_at(tp_graph *g, tp_dtype dtype, tp_shape shape, tp_loc at)
{
    struct ir_loc loc = tp_place(g, at);
    ir_val letter[26] = { 0 };

    if (!tp_ready(g, at, "tp_randn", 0, NULL) || !tp_good_dtype(g, at, "tp_randn", dtype) ||
        !tp_good_rank(g, at, "tp_randn", shape))
        return POISON(g);
    letter[0] = uniform(g, tp_ir_dtype(dtype), tp_ir_shape(shape), 1, loc); /* (0, 1] */
    letter[1] = uniform(g, tp_ir_dtype(dtype), tp_ir_shape(shape), 0, loc);
    return tp_give(
        g, ir_formula(g->ir, "sqrt(-2 * log(a)) * cos(6.28318530717958647693 * b)", letter, loc));
}

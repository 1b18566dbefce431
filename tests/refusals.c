/*
 * What composites say to arguments that do not fit: a row has the expression and a part of the one
 * line that comes back. Nothing is computed, nothing is lost, and the line names the user's place.
 */
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "frontend/taper.h"

#define ROWS(ROW)                                                                                \
    ROW(tp_elu(x, 1, 2), "1 tensors, 2 numbers; expected 1, at most 1 (alpha)")                  \
    ROW(tp_clamp(x, 1), "1 numbers; expected min max")                                           \
    ROW(tp_softplus(i), "i32[4]; expected a floating type")                                      \
    ROW(tp_clamp(i, 0.5, 2), "the number 0.5 for integers")                                      \
    ROW(tp_hypot(x, d), "argument 2 is d f64[3], an earlier one f32; expected one type")         \
    ROW(tp_glu(y, 1), "axis 1 of y f32[2 3]; expected an even extent")                           \
    ROW(tp_prelu(y, x), "weight x f32[4]; expected one number or one for each channel")          \
    ROW(tp_range(g, TP_F32, 0, 5, -1), "0 to 5 by -1; expected a step that leads there")         \
    ROW(tp_linspace(g, TP_I32, 0, 5, 3), "expected 0 or more, a floating type")                  \
    ROW(tp_randint(g, TP_I32, tp_dims(2), 5, 5), "5 to 5; expected low < high")                  \
    ROW(tp_flatten(y, 1, -2), "axes 1 to 0 of y f32[2 3]; expected them in order")               \
    ROW(tp_flatten(y, 2), "axis 2 of y f32[2 3]; expected -2 to 1")                              \
    ROW(tp_unflatten(x, 0, 3, -1), "axis 0 of x f32[4]; expected that the other extents divide") \
    ROW(tp_pick(y, "0, 0, 0"), "axis 0 of")                                                      \
    ROW(tp_pick(y, "0;1"), "[0;1] of y f32[2 3]; expected indices, slices")                      \
    ROW(tp_pick(y, "5"), "5 of axis 0 of y f32[2 3]; expected -2 to 1")                          \
    ROW(tp_pad_mode(y, tp_dims(0, 3), tp_dims(0, 0), "reflect"), "expected 0 to 2 of a known")   \
    ROW(tp_pad_mode(y, tp_dims(0, 3), tp_dims(0, 0), "mirror"), "mode \"mirror\"; expected")     \
    ROW(tp_roll(x, 1, 1), "axis 1 of x f32[4]; expected -1 to 0")                                \
    ROW(tp_rot90(y, 1, 0, -2), "axes 0 and -2 of y f32[2 3]; expected two")                      \
    ROW(tp_diagonal(y, 0, 1, 1), "axes 1 and 1 of y f32[2 3]; expected two")                     \
    ROW(tp_trace(x), "x f32[4]; expected a matrix")                                              \
    ROW(tp_pixel_shuffle(y, 2), "expected [.. channels height width]")                           \
    ROW(tp_masked_fill(x, x, 0), "mask x f32[4]; expected truth values")                         \
    ROW(tp_index_add(x, 0, y, x), "index y f32[2 3]; expected a vector")                         \
    ROW(tp_bmm(y, y), "expected [batch m k] and [batch k n]")                                    \
    ROW(tp_outer(x, y), "expected two vectors")                                                  \
    ROW(tp_einsum("ij,jk->il", y, y), "letters of the terms behind the arrow")                   \
    ROW(tp_einsum("ij", x), "as many letters as each tensor has axes")                           \
    ROW(tp_einsum("i j;k", x), "letters, commas and one arrow")                                  \
    ROW(tp_norm(i, 2), "i i32[4]; expected a floating type")                                     \
    ROW(tp_norm(x, NAN), "p is NaN")                                                             \
    ROW(tp_mse(x, y), "against y f32[2 3] (refusals.c:")                                         \
    ROW(tp_huber(d, x), "d f64[3] (refusals.c:")                                                 \
    ROW(tp_gaussian_nll(x, x, y), "expected tensors of one rank")                                \
    ROW(tp_cross_entropy(y, x), "expected class numbers of an integer type")                     \
    ROW(tp_cross_entropy(y, i), "targets i i32[4] (refusals.c:")                                 \
    ROW(tp_cross_entropy(y, y, .smoothing = 2), "smoothing 2; expected")                         \
    ROW(tp_cross_entropy(y, y, .weight = x), "weight x f32[4] for y f32[2 3]; expected one for") \
    ROW(tp_cosine_embedding(y, y, x), "expected 1 or -1 for each row")                           \
    ROW(tp_multi_margin(y, x), "expected [.. classes], class numbers")                           \
    ROW(tp_triplet_margin(y, y, x), "against x f32[4] (refusals.c:")

static const struct {
    const char *text, *want;
} rows[] = {
#define ROW(expression, want) { #expression, want },
    ROWS(ROW)
#undef ROW
};

static void build(int row, tp_graph *g, tp_tensor x, tp_tensor y, tp_tensor i, tp_tensor d)
{
    int at = 0;

    (void)d;
#define ROW(expression, want) \
    if (at++ == row)          \
        (void)(expression);
    ROWS(ROW)
#undef ROW
    (void)g;
}

Test(refusals, name_what_was_found_and_what_was_expected)
{
    for (int row = 0; row < (int)(sizeof rows / sizeof *rows); row++) {
        tp_graph *g = tp_graph_new(1);
        const char *error;

        build(row, g, tp_input(g, "x", TP_F32, tp_dims(4)), tp_input(g, "y", TP_F32, tp_dims(2, 3)),
              tp_input(g, "i", TP_I32, tp_dims(4)), tp_input(g, "d", TP_F64, tp_dims(3)));
        error = tp_error(g);
        cr_expect(error && strstr(error, rows[row].want) && strncmp(error, "refusals.c:", 11) == 0,
                  "%s: %s; wanted %s", rows[row].text, error ? error : "no error", rows[row].want);
        cr_expect(tp_status(g) == 2 && (!error || strlen(error) < 400), "%s", rows[row].text);
        tp_graph_free(g);
    }
}

static void keep(const char *text, void *user)
{
    strncat(user, text, 399);
}

Test(warnings, say_both_lines_once)
{
    char said[2000] = "";
    tp_graph *g = tp_graph_new(1);
    const tp_tensor wide = tp_input(g, "wide", TP_F32, tp_dims(32, 1)),
                    flat = tp_input(g, "flat", TP_F32, tp_dims(32));

    tp_on_warning(g, keep, said);
    for (int i = 0; i < 2; i++)
        tp_sub(wide, flat);
    cr_expect(strstr(said, "sub: wide f32[32 1] (refusals.c:") &&
                  strstr(said, "and flat f32[32] (refusals.c:"),
              "%s", said);
    cr_expect_eq(strstr(strstr(said, "sub:") + 1, "sub:"), NULL, "%s", said);
    *said = 0;
    tp_add(wide, tp_input(g, "row", TP_F32, tp_dims(1, 32)));
    tp_add(flat, tp_input(g, "one", TP_F32, tp_dims(1)));
    tp_mul(tp_input(g, "other", TP_F32, tp_dims(31, 1)), flat);
    cr_expect_str_empty(said);
    cr_expect_null(tp_error(g));
    tp_graph_free(g);
}

Test(warnings, name_parameters_that_no_gradient_reaches)
{
    char said[4000] = "";
    tp_graph *g = tp_graph_new(1);
    const tp_tensor x = tp_input(g, "x", TP_F32, tp_dims(4, 3));
    const tp_tensor h = tp_linear(x, "fc1", 5),
                    whole = tp_round(tp_linear(h, "fc2", 5)), /* a staircase has no slope */
        cut = tp_stop_gradient(tp_param(g, "gain", tp_dims(5), TP_ONES));
    const tp_tensor loss = tp_mean(tp_mul(tp_add(tp_linear(h, "fc3", 5), whole), cut));

    tp_linear(x, "unused", 7);
    tp_param(g, "known", tp_dims(5), TP_ONES, .frozen = true);
    tp_linear(x, "chosen", 2);
    tp_on_warning(g, keep, said);
    cr_assert(tp_compile_train(loss, .lr = tp_const(1), .plan_only = true,
                               .opt = tp_sgd(.groups = tp_groups({ "chosen.*", .frozen = true }))),
              "%s", tp_error(g));
    cr_expect(strstr(said, "fc2.weight, fc2.bias: no gradient arrives: round at refusals.c:"), "%s",
              said);
    cr_expect(strstr(said, "gain: no gradient arrives: stop_gradient at refusals.c:"), "%s", said);
    cr_expect(strstr(said, "unused.weight, unused.bias: no gradient arrives: the loss is not"),
              "%s", said);
    cr_expect(!strstr(said, "fc1") && !strstr(said, "fc3") && !strstr(said, "known") &&
                  !strstr(said, "chosen"),
              "%s", said);
    tp_graph_free(g);
}

Test(refusals, without_a_graph_nobody_else_says_why)
{
    const tp_tensor none = { 0 };

    cr_expect_null(tp_compile_train(none, .lr = tp_const(1)));
    cr_expect(strstr(tp_error(NULL), "there is no graph: a tensor that belongs to none"), "%s",
              tp_error(NULL));
}

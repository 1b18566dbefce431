/*
 * What a user reads who has made a mistake: the place, the operation, what was found and what was
 * expected. Each model below is wrong in one line, which stands at line 31 of its model.c.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "frontend/taper.h"

static tp_graph *g;
static int64_t B;
static tp_tensor x, image, label;

/* clang-format off */
#line 1 "model.c" /* so that lines above do not change what is said below */
static void open_graph(void)
{   g = tp_graph_new(1), B = tp_symbol(g, "batch", 1, 64);
    x = tp_input(g, "x", TP_F32, tp_dims(B, 784));
    image = tp_input(g, "image", TP_U8, tp_dims(B, 1, 28, 28));
    label = tp_input(g, "y", TP_I32, tp_dims(B));
}

static void of_another_type(void *user, tp_tensor carry[], const tp_tensor in[], tp_tensor out[])
{   (void)user, (void)in, (void)out;
    carry[0] = tp_cast(carry[0], TP_I32);
}

static void with_dropout(void *user, tp_tensor carry[], const tp_tensor in[], tp_tensor out[])
{   (void)user, (void)out;
    carry[0] = tp_dropout(tp_add(carry[0], in[0]), 0.5);
}

static void of_a_number(void *user, tp_tensor carry[], const tp_tensor in[], tp_tensor out[])
{   (void)user, (void)in, (void)out;
    carry[0] = tp_as_number(1);
}

static void of_a_row(void *user, const tp_tensor in[], tp_tensor out[])
{   (void)user;
    out[0] = tp_sum(in[0], 0);
}

static void of_a_column(void *user, const tp_tensor in[], tp_tensor out[])
{   (void)user;
    out[0] = tp_sum(in[0], 1);
}

static void of_an_assignment(void *user, const tp_tensor in[], tp_tensor out[])
{   (void)user;
    out[0] = tp_sum(in[0], 0);
    tp_assign(tp_state(in[0].g, "seen", TP_F32, tp_dims(784)), out[0]);
}

static void of_nothing(void *user, const tp_tensor in[], tp_tensor out[])
{   (void)user, (void)in, (void)out;
}

static void of_another_gradient(void *user, const tp_tensor in[], const tp_tensor y[],
                                const tp_tensor dy[], tp_tensor dx[])
{   (void)user, (void)in, (void)y;
    dx[0] = dy[0];
}

static void close_graph(void)
{
    tp_graph_free(g);
}

/* clang-format on */
TestSuite(errors, .init = open_graph, .fini = close_graph);

static void says(const char *message)
{
    cr_assert(tp_error(g) != NULL, "there is no error; expected\n%s", message);
    cr_expect(strcmp(tp_error(g), message) == 0, "\n%s, not\n%s", tp_error(g), message);
    cr_expect(strlen(tp_error(g)) < 400);
    cr_expect_eq(tp_status(g), 2);
}

/* clang-format off */
#define WRONG(name, message, ...)                                                                  \
    Test(errors, name)                                                                             \
    {                                                                                              \
        __VA_ARGS__;                                                                               \
        says(message);                                                                             \
    }

#line 31 "model.c"
WRONG(shapes_that_do_not_broadcast, "model.c:31: add: a = x f32[batch 784] (model.c:3) and b = y2 f32[100] (model.c:31): extents 784 and 100; expected equal ones or 1, counted from the last axis", tp_add(x, tp_param(g, "y2", tp_dims(100), TP_ZEROS)))
#line 31 "model.c"
WRONG(integers_and_floats, "model.c:31: add: a = x f32[batch 784] (model.c:3) and b = y i32[batch] (model.c:5); expected one type, tp_cast() changes it", tp_add(x, label))
#line 31 "model.c"
WRONG(fraction_of_an_integer, "model.c:31: mul: the number 2.5 is no i32; expected an integer, or tp_cast() of the tensor", tp_mul(label, 2.5))
#line 31 "model.c"
WRONG(exp_of_integers, "model.c:31: exp: a = y i32[batch]; expected a floating type, tp_cast() changes it", tp_exp(label))
#line 31 "model.c"
WRONG(linear_over_pixels, "model.c:31: tp_linear: \"fc1\": input image u8[batch 1 28 28]; expected a floating type, tp_cast() changes it", tp_linear(image, "fc1", 10))
#line 31 "model.c"
WRONG(a_name_twice, "model.c:31: tp_param: the name \"fc1.weight\" is taken; .shared = true would use that one again", tp_linear(tp_linear(x, "fc1", 784), "fc1", 10))
#line 31 "model.c"
WRONG(shared_with_another_width, "model.c:31: tp_linear: \"fc1\": input fc1 f32[batch 10], shared weight fc1.weight f32[10 784]; expected [10 10]", tp_linear(tp_linear(x, "fc1", 10, .shared = true), "fc1", 10, .shared = true))
#line 31 "model.c"
WRONG(convolution_of_vectors, "model.c:31: tp_conv2d: \"conv1\": input x f32[batch 784]; expected [n channels height width]", tp_conv2d(x, "conv1", 6, 5))
#line 31 "model.c"
WRONG(a_kernel_that_does_not_fit, "model.c:31: conv: window 40 (dilation 1) over axis 0 with 28 elements, padding 0 and 0; expected that it fits", tp_conv2d(tp_div(image, 255), "conv1", 6, 40))
#line 31 "model.c"
WRONG(reshape_to_more, "model.c:31: reshape: a = x f32[batch 784] to f32[batch 28 29]; expected as many elements", tp_reshape(x, B, 28, 29))
#line 31 "model.c"
WRONG(an_axis_too_far, "model.c:31: sum: axis 2 of x f32[batch 784]; expected -2 to 1", tp_sum(x, 2))
#line 31 "model.c"
WRONG(matmul_of_unequal_inner_extents, "model.c:31: tp_matmul: a = x f32[batch 784] (model.c:3) and b = w f32[128 10] (model.c:31); expected a's last extent to be b's last but one", tp_matmul(x, tp_param(g, "w", tp_dims(128, 10), TP_ZEROS)))
#line 31 "model.c"
WRONG(loss_of_unequal_shapes, "model.c:31: mse: f32[batch 1] (model.c:31) against x f32[batch 784] (model.c:3); expected tensors of one type and shape", tp_mse(tp_sum(x, 1, .keepdim = true), x))
#line 31 "model.c"
WRONG(targets_of_another_shape, "model.c:31: tp_cross_entropy: logits x f32[batch 784] (model.c:3), targets f32[batch] (model.c:31); expected class numbers of an integer type without axis 1, the classes, or probabilities like the logits", tp_cross_entropy(x, tp_sum(x, 1)))
#line 31 "model.c"
WRONG(recurrent_of_a_matrix, "model.c:31: tp_lstm: \"l\": input x f32[batch 784], 8 hidden, 1 layers; expected rank 3, a last axis of known extent, 1 hidden or more, 1 to 64 layers", tp_lstm(x, "l", 8))
#line 31 "model.c"
WRONG(recurrent_start_of_another_batch, "model.c:31: tp_gru: \"l\": start h h0 f32[1 3 8]; expected [layers * directions, batch, hidden]", tp_gru(tp_input(g, "z", TP_F32, tp_dims(5, 2, 3)), "l", 8, .h = tp_input(g, "h0", TP_F32, tp_dims(1, 3, 8))))
#line 31 "model.c"
WRONG(a_state_that_gru_has_not, "model.c:31: tp_gru: \"l\": start c c0 f32[1 2 8]; expected h alone", tp_gru(tp_input(g, "z", TP_F32, tp_dims(5, 2, 3)), "l", 8, .c = tp_input(g, "c0", TP_F32, tp_dims(1, 2, 8))))
#line 31 "model.c"
WRONG(carry_of_another_type, "model.c:31: tp_scan: carry 0 is f32[784] before a step and i32[784] after it; expected the same", tp_tensor sum = tp_zeros(g, TP_F32, tp_dims(784)); tp_scan(g, of_another_type, NULL, 1, &sum, 1, &x, 0, NULL))
#line 31 "model.c"
WRONG(dropout_in_a_scan, "model.c:31: tp_scan: dropout inside the function; expected it outside, on what all steps read or give", tp_tensor sum = tp_zeros(g, TP_F32, tp_dims(784)); tp_scan(g, with_dropout, NULL, 1, &sum, 1, &x, 0, NULL))
#line 31 "model.c"
WRONG(carry_that_is_a_number, "model.c:31: tp_scan: carry 0 is a number; expected a tensor", tp_tensor sum = tp_zeros(g, TP_F32, tp_dims(784)); tp_scan(g, of_a_number, NULL, 1, &sum, 1, &x, 0, NULL))
#line 31 "model.c"
WRONG(scan_without_end, "model.c:31: tp_scan: no arrays and no .length; expected one of them", tp_scan(g, of_a_number, NULL, 0, NULL, 0, NULL, 0, NULL))
#line 31 "model.c"
WRONG(branches_of_two_shapes, "model.c:31: tp_cond: result 0 is f32[784] of the first branch and f32[batch] of the second; expected the same", tp_tensor y; tp_cond(tp_lt(0, tp_sum(x, TP_ALL)), of_a_row, of_a_column, NULL, 1, &x, 1, &y))
#line 31 "model.c"
WRONG(condition_of_many, "model.c:31: tp_cond: the condition is bool[batch 784]; expected one truth value", tp_tensor y; tp_cond(tp_lt(0, x), of_a_row, of_a_row, NULL, 1, &x, 1, &y))
#line 31 "model.c"
WRONG(branch_that_assigns, "model.c:31: tp_cond: state seen is assigned inside the function; expected a result", tp_tensor y; tp_cond(tp_lt(0, tp_sum(x, TP_ALL)), of_an_assignment, of_a_row, NULL, 1, &x, 1, &y))
#line 31 "model.c"
WRONG(branch_without_a_result, "model.c:31: tp_cond: the first branch gives no result 0; expected 1 results", tp_tensor y; tp_cond(tp_lt(0, tp_sum(x, TP_ALL)), of_nothing, of_a_row, NULL, 1, &x, 1, &y))
#line 31 "model.c"
WRONG(gradient_of_another_shape, "model.c:31: tp_with_gradient: the gradient of argument 0, x f32[batch 784], is f32[784]; expected the same", tp_tensor y; tp_with_gradient(of_a_row, of_another_gradient, NULL, 1, &x, 1, &y))
#line 31 "model.c"
WRONG(own_gradient_of_integers, "model.c:31: tp_with_gradient: argument 0 is y i32[batch]; expected a floating type, others are read from outside", tp_tensor y; tp_with_gradient(of_a_row, of_another_gradient, NULL, 1, &label, 1, &y))
#line 31 "model.c"
WRONG(cell_of_other_weights, "model.c:31: tp_gru: input z f32[5 2 3], start h f32[2 8], weights a f32[24 3] and b f32[16 8]; expected [time batch in], [batch hidden], [3*hidden in], [3*hidden hidden], biases [3*hidden]", tp_recurrent_cell_at("gru", tp_input(g, "z", TP_F32, tp_dims(5, 2, 3)), tp_list(tp_input(g, "h", TP_F32, tp_dims(2, 8))), tp_list(tp_input(g, "a", TP_F32, tp_dims(24, 3)), tp_input(g, "b", TP_F32, tp_dims(16, 8))), false, TP_HERE))
#line 31 "model.c"
WRONG(loss_that_is_no_scalar, "model.c:31: tp_compile_train: the loss is fc1 f32[batch 10]; expected a scalar of a floating type, as tp_mean gives", tp_compile_train(tp_linear(x, "fc1", 10), .lr = tp_const(1)))
#line 31 "model.c"
WRONG(negative_rate, "model.c:31: tp_compile_train: the rate is -1, has an infinite number or too many milestones; expected 0 or more, and at most 12", tp_compile_train(tp_mean(x), .lr = tp_const(-1)))
#line 31 "model.c"
WRONG(no_rate, "model.c:31: tp_compile_train: there is no rate; expected .lr = tp_const(1e-3) or another schedule", tp_compile_train(tp_mean(x)))
#line 31 "model.c"
WRONG(nothing_to_train, "model.c:31: tp_compile_train: the loss depends on no parameter; expected one that is trained", tp_compile_train(tp_mean(x), .lr = tp_const(1)))
#line 31 "model.c"
WRONG(a_batch_beyond_the_bound, "model.c:31: tp_compile: .batch is 65; expected 1 to 64, as batch was declared", tp_compile(g, tp_list(x), TP_EVAL, .batch = 65))
#line 31 "model.c"
WRONG(gradient_of_a_matrix, "model.c:31: tp_grad: x f32[batch 784]; expected a scalar, tp_vjp() takes a cotangent for others", tp_grad_of(x, x))
#line 31 "model.c"
WRONG(flip_of_the_batch, "model.c:31: tp_random_flip: x f32[batch 784] along axis 0 with probability 0.5; expected an axis after the first, and 0 <= p <= 1", tp_random_flip(x, 0, 0.5))
#line 31 "model.c"
WRONG(shift_beyond_the_end, "model.c:31: tp_random_shift: x f32[batch 784] along axis 1 by 784; expected an axis after the first, of a known extent, and fewer steps than that", tp_random_shift(x, 1, 784))
#line 31 "model.c"
WRONG(crop_to_more, "model.c:31: tp_random_crop: x f32[batch 784] along axis -1 to 785; expected an axis after the first, of a known extent, and 1 to so many elements of it", tp_random_crop(x, -1, 785))
#line 31 "model.c"
WRONG(deviation_of_zero, "model.c:31: tp_standardise: deviation 0 of channel 1; expected numbers above 0", tp_standardise(x, ((const float[784]){ 0 }), ((const float[784]){ 1 })))
#line 31 "model.c"
WRONG(dropout_of_everything, "model.c:31: tp_dropout: x f32[batch 784] with probability 1; expected a floating type and 0 <= p < 1", tp_dropout(x, 1))
#line 31 "model.c"
WRONG(assignment_to_an_input, "model.c:31: assign: a = x f32[batch 784] is no state; expected a parameter or other state", tp_assign(x, x))
#line 31 "model.c"
WRONG(an_input_twice, "model.c:31: tp_input: there is an input \"x\" at model.c:3; expected another name", tp_input(g, "x", TP_F32, tp_dims(3)))
#line 31 "model.c"
WRONG(a_parameter_of_unknown_size, "model.c:31: tp_param: \"w\": axis 0 is symbolic; expected an extent that is known", tp_param(g, "w", tp_dims(B), TP_ZEROS))
#line 31 "model.c"
WRONG(two_graphs, "model.c:31: add: arguments of two graphs; expected those of one", tp_graph *other = tp_graph_new(1); tp_add(x, tp_input(other, "z", TP_F32, tp_dims(B))); tp_graph_free(other))
#line 31 "model.c"
WRONG(a_scope_left_open, "model.c:31: tp_compile_eval: the scope \"block.\" is still open; tp_scope must not be left by break or return", tp_push(g, "block"); tp_compile_eval(g, x))
/* clang-format on */
#line 110 "tests/errors.c"

Test(errors, the_first_is_kept_and_nothing_follows)
{
    tp_tensor h = tp_matmul(x, label); /* wrong */
    const char *first = tp_error(g);

    cr_assert(first != NULL);
    h = tp_relu(tp_linear(h, "fc1", 10)); /* of poison: says nothing, makes nothing */
    cr_expect_eq(h.id, 0);
    cr_expect_eq(tp_params(g, "*", 0, NULL), 0);
    cr_expect_null(tp_compile_train(tp_cross_entropy(h, label), .lr = tp_const(1)));
    cr_expect_eq(tp_error(g), first);
    cr_expect_eq(tp_rank(h), 0);
    cr_expect_eq(tp_dim(h, 0), -1);
}

static void count(const char *text, void *user)
{
    cr_expect(strstr(text, "tp_matmul") != NULL);
    ++*(int *)user;
}

Test(errors, are_told_at_once_and_once)
{
    int told = 0;

    tp_on_error(g, count, &told);
    tp_tensor h = tp_matmul(x, label);
    cr_expect_eq(told, 1);
    tp_exp(h);
    tp_matmul(x, label);
    cr_expect_eq(told, 1);
}

Test(errors, of_running_name_the_program)
{
    tp_tensor y = tp_sum(x);
    tp_program *p = tp_compile_eval(g, y);

    cr_assert(p != NULL);
    cr_expect(!tp_rows(p, 65));
    cr_expect(strcmp(tp_error(g), "tp_rows: batch 65 for the program \"eval\"; expected 1 to 64") ==
                  0,
              "%s", tp_error(g));
}

Test(errors, of_a_loader_reach_the_graph)
{
    tp_loader *loader = tp_load_mnist("/nowhere", "train");
    tp_tensor y = tp_sum(x);
    tp_program *p = tp_compile_eval(g, y);

    cr_assert(p != NULL);
    cr_expect_not_null(tp_loader_error(loader));
    cr_expect_eq(tp_loader_rows(loader), 0);
    cr_expect(!tp_next(loader, p));
    cr_expect_str_eq(tp_error(g), tp_loader_error(loader));
    tp_loader_free(loader);
}

Test(errors, of_columns_that_do_not_fit)
{
    const float rows[6] = { 0 };
    tp_loader *loader =
        tp_loader_from_arrays(tp_columns({ "x", TP_F32, tp_dims(3), rows }), 2, .batch = 2);
    tp_tensor y = tp_sum(x);
    tp_program *p = tp_compile_eval(g, y);

    cr_assert(p != NULL);
    cr_expect(!tp_next(loader, p));
    cr_expect_str_eq(tp_error(g),
                     "tp_next: rows of column \"x\" are f32[3]; the input is f32[batch "
                     "784], where the first axis is rows");
    tp_loader_free(loader);
}

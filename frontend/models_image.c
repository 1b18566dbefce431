/*
 * models_image: models of pictures, x u8 [channels height width] a row.
 */
#include "frontend/models_kinds.h"

struct model_values tp_model_lenet(tp_tensor x, tp_tensor y, const struct model_sizes *size)
{
    x = tp_model_pixels(x);
    x = tp_relu(tp_conv2d(x, "conv1", 6, 5, .pad = 2));
    x = tp_max_pool2d(x, 2);
    x = tp_relu(tp_conv2d(x, "conv2", 16, 5));
    x = tp_max_pool2d(x, 2);
    x = tp_flatten(x, 1); /* [batch 400] */
    x = tp_relu(tp_linear(x, "fc1", 120));
    x = tp_relu(tp_linear(x, "fc2", 84));
    return tp_model_classified(tp_linear(x, "fc3", size->classes), y);
}

/* --- resnet20 (He et al. 2015, section 4.2; where the size changes, a 1x1 convolution) -----------
 */

/* Two convolutions and the way around them. */
static tp_tensor residual(tp_tensor x, int64_t channels, int64_t stride)
{
    tp_tensor y = tp_conv2d(x, "conv1", channels, 3, .stride = stride, .pad = 1, .no_bias = true);

    y = tp_relu(tp_batch_norm(y, "bn1"));
    y = tp_conv2d(y, "conv2", channels, 3, .pad = 1, .no_bias = true);
    y = tp_batch_norm(y, "bn2");
    if (stride != 1) {
        x = tp_conv2d(x, "downsample.0", channels, 1, .stride = stride, .no_bias = true);
        x = tp_batch_norm(x, "downsample.1");
    }
    return tp_relu(tp_add(x, y));
}

struct model_values tp_model_resnet20(tp_tensor x, tp_tensor y, const struct model_sizes *size)
{
    tp_graph *g = x.g;

    x = tp_div(tp_sub(tp_model_pixels(x), 0.473), 0.25); /* CIFAR-10's mean and deviation */
    if (tp_dim(x, 1) == 3) /* photographs may be mirrored, digits not */
        x = tp_random_flip(x, -1, 0.5);
    x = tp_conv2d(x, "conv1", 16, 3, .pad = 1, .no_bias = true);
    x = tp_relu(tp_batch_norm(x, "bn1"));
    for (int stage = 0; stage < 3; stage++)
        for (int i = 0; i < 3; i++)
            tp_scope(g, "layer%d.%d", stage + 1, i)
                x = residual(x, 16 << stage, stage > 0 && i == 0 ? 2 : 1);
    x = tp_flatten(tp_adaptive_avg_pool(x, 1, 1), 1);
    return tp_model_classified(tp_linear(x, "fc", size->classes), y);
}

/* --- autoencoder: a picture through few numbers and back (Hinton and Salakhutdinov 2006) --------
 */

struct model_values tp_model_autoencoder(tp_tensor x, tp_tensor y, const struct model_sizes *size)
{
    tp_tensor pixels = tp_flatten(tp_model_pixels(x), 1), logits;

    (void)y;
    x = tp_relu(tp_linear(pixels, "encoder.0", 256));
    x = tp_linear(x, "encoder.2", size->hidden);
    x = tp_relu(tp_linear(x, "decoder.0", 256));
    logits = tp_linear(x, "decoder.2", tp_dim(pixels, 1));
    return (struct model_values){ .output = tp_sigmoid(logits),
                                  .loss = tp_bce_with_logits(logits, pixels) };
}

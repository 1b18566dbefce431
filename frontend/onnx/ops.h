/*
 * ops.h: the functions that the rows of table.c name.
 */
#ifndef TAPER_FRONTEND_ONNX_OPS_H
#define TAPER_FRONTEND_ONNX_OPS_H

#include "frontend/onnx/import.h"

/* pointwise.c */
onnx_build onnx_unary, onnx_binary, onnx_swapped, onnx_fold, onnx_formula, onnx_by_maths, onnx_pow,
    onnx_mod, onnx_clip, onnx_where, onnx_to_type, onnx_like_type, onnx_prelu, onnx_gelu,
    onnx_isinf, onnx_identity, onnx_dropout;
/* reduce.c */
onnx_build onnx_reduction, onnx_arg, onnx_softmax, onnx_cumsum, onnx_topk;
/* constant.c */
onnx_build onnx_constant, onnx_filled, onnx_shape, onnx_size, onnx_range, onnx_eye;
/* move.c */
onnx_build onnx_reshape, onnx_transpose, onnx_concat, onnx_split, onnx_slice, onnx_squeeze,
    onnx_unsqueeze, onnx_flatten, onnx_expand, onnx_tile, onnx_pad, onnx_depth, onnx_trilu;
/* index.c */
onnx_build onnx_gather, onnx_gather_nd, onnx_scatter, onnx_scatter_nd, onnx_one_hot;
/* product.c */
onnx_build onnx_matmul, onnx_gemm, onnx_einsum, onnx_conv, onnx_conv_transpose;
/* pool.c */
onnx_build onnx_max_pool, onnx_average_pool, onnx_global_pool;
/* norm.c */
onnx_build onnx_batch_norm, onnx_layer_norm, onnx_rms_norm, onnx_group_norm, onnx_instance_norm,
    onnx_mean_variance, onnx_lrn;
/* loss.c */
onnx_build onnx_nll, onnx_cross_entropy;
/* control.c */
onnx_build onnx_if, onnx_loop, onnx_scan;
/* recurrent.c, resize.c, attention.c, optimiser.c */
onnx_build onnx_recurrent, onnx_resize, onnx_attention, onnx_adam, onnx_adagrad, onnx_momentum;

#endif

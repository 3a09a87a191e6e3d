"""Registers the plain operators as torch.ops.caffe_fast_rcnn."""
import torch

from caffe.operators.plain import (
    align,
    boxes,
    convolutions,
    depthwise_gradient,
    few_rows,
    pooling,
    regions,
    values,
    winograd,
)

NAME = "caffe_fast_rcnn"
SCHEMAS = {
    "roi_pool(Tensor features, Tensor rois, int pooled_h, int pooled_w, float spatial_scale, "
    "bool with_argmax) -> (Tensor pooled, Tensor argmax)": regions.roi_pool,
    "roi_pool_backward(Tensor grad, Tensor rois, Tensor argmax, SymInt[] feature_shape, "
    "float spatial_scale) -> Tensor": regions.roi_pool_backward,
    "psroi_pool(Tensor features, Tensor rois, int output_dim, int group_size, "
    "float spatial_scale) -> Tensor": regions.psroi_pool,
    "psroi_pool_backward(Tensor grad, Tensor rois, SymInt[] feature_shape, "
    "float spatial_scale) -> Tensor": regions.psroi_pool_backward,
    "roi_align(Tensor features, Tensor rois, int pooled_h, int pooled_w, float spatial_scale, "
    "int sampling_ratio, bool aligned) -> Tensor": align.roi_align,
    "roi_align_backward(Tensor grad, Tensor rois, SymInt[] feature_shape, float spatial_scale, "
    "int sampling_ratio, bool aligned) -> Tensor": align.roi_align_backward,
    "roi_align_rois_backward(Tensor grad, Tensor features, Tensor rois, float spatial_scale, "
    "int sampling_ratio, bool aligned) -> Tensor": align.roi_align_rois_backward,
    "few_rows_product(Tensor x, Tensor weight, Tensor? bias, float low, float high) -> Tensor":
        few_rows.few_rows_product,
    "max_pool(Tensor x, int[] kernel, int[] stride, int[] pad, int[] counts) -> Tensor":
        pooling.max_pool,
    "average_pool(Tensor x, int[] kernel, int[] stride, int[] pad, int[] counts) -> Tensor":
        pooling.average_pool,
    "nms(Tensor boxes, Tensor scores, Tensor? groups, float thresh, bool inclusive, "
    "int max_keep) -> Tensor": boxes.nms,
    "soft_nms(Tensor boxes, Tensor scores, Tensor? groups, bool gaussian, float thresh, "
    "float sigma, float score_thresh) -> (Tensor keep, Tensor scores)": boxes.soft_nms,
    "smooth_l1_loss(Tensor pred, Tensor target, Tensor? inside, Tensor? outside, float sigma) "
    "-> Tensor": values.smooth_l1_loss,
    "smooth_l1_loss_backward(Tensor grad, Tensor pred, Tensor target, Tensor? inside, "
    "Tensor? outside, float sigma) -> Tensor": values.smooth_l1_loss_backward,
    "lrn_across(Tensor x, int size, float alpha, float beta, float k) -> Tensor":
        values.lrn_across,
    "lrn_across_backward(Tensor grad, Tensor x, int size, float alpha, float beta, float k) "
    "-> Tensor": values.lrn_across_backward,
    "lrn_within(Tensor x, int size, float alpha, float beta) -> Tensor": values.lrn_within,
    "lrn_within_backward(Tensor grad, Tensor x, int size, float alpha, float beta) -> Tensor":
        values.lrn_within_backward,
    "sgd_update_(Tensor(a!) weight, Tensor grad, Tensor(b!) history, float lr, float momentum, "
    "float decay) -> ()": values.sgd_update_,
    "depthwise_conv(Tensor x, Tensor weights, int kernel, Tensor? bias, int stride, int pad_h, "
    "int pad_w, float low, float high) -> Tensor": convolutions.depthwise_conv,
    "image_conv(Tensor x, Tensor packed, int out_channels, int[] kernel, Tensor? bias, "
    "int[] stride, int[] padding, float low, float high) -> Tensor": convolutions.image_conv,
    "pointwise_conv(Tensor x, Tensor packed, int out_channels, Tensor? bias, Tensor? residual, "
    "float low, float high) -> Tensor": convolutions.pointwise_conv,
    "pointwise_conv_out(Tensor x, Tensor packed, int out_channels, Tensor? bias, "
    "Tensor? residual, float low, float high, Tensor(a!) out) -> ()":
        convolutions.pointwise_conv_out,
    "depthwise_kernel_gradient(Tensor grad, Tensor x, int[] kernel, int[] stride, int[] pad) "
    "-> Tensor": depthwise_gradient.depthwise_kernel_gradient,
    "winograd_pack(Tensor weight, int tile, bool rotated) -> Tensor": winograd.winograd_pack,
    "winograd_conv(Tensor x, Tensor packed, int out_channels, Tensor? bias, int pad_h, int pad_w, "
    "bool relu, Tensor? residual) -> Tensor": winograd.winograd_conv,
    "winograd_conv_out(Tensor x, Tensor packed, int out_channels, Tensor? bias, int pad_h, "
    "int pad_w, bool relu, Tensor? residual, Tensor(a!) out) -> ()":
        winograd.winograd_conv_out,
    "winograd_conv2d(Tensor x, Tensor weight, Tensor? bias, int pad_h, int pad_w, int tile) "
    "-> Tensor": winograd.winograd_conv2d,
    "winograd_conv2d_backward(Tensor grad, Tensor weight, int pad_h, int pad_w, int tile) "
    "-> Tensor": winograd.winograd_conv2d_backward,
}


def define() -> torch.library.Library:
    """The operators for every device; the library lives as long as what is returned."""
    library = torch.library.Library(NAME, "FRAGMENT")
    for schema, function in SCHEMAS.items():
        library.define(schema)
        for device in ("CPU", "CUDA"):
            library.impl(_name(schema), function, device)
    return library


def lend_to_cuda() -> torch.library.Library:
    """CUDA halves for the compiled operators that lack theirs."""
    library = torch.library.Library(NAME, "IMPL")
    for schema, function in SCHEMAS.items():
        library.impl(_name(schema), function, "CUDA")
    return library


def _name(schema: str) -> str:
    return schema.partition("(")[0]

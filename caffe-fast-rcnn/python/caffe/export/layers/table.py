"""The layer types that have an ONNX form: type -> function of a Scope and the bottoms' values.

A Python layer has one where its class has a method `to_onnx(scope, *bottoms)`. All return the
value of the top, or a list of those of all tops.
"""
import functools
from collections.abc import Callable
from typing import Any

from caffe.export.layers import regions, shapes, ssd, values, windows

_PLAIN = {"Sigmoid": "Sigmoid", "TanH": "Tanh", "AbsVal": "Abs", "BNLL": "Softplus"}
EXPORTERS: dict[str, Callable[..., Any]] = {
    "ArgMax": shapes.arg_max, "Axpy": values.axpy, "BatchNorm": values.batch_norm,
    "BatchReindex": shapes.batch_reindex, "Bias": values.bias, "Clip": values.clip,
    "Concat": shapes.concat, "Convolution": windows.convolution,
    "ConvolutionDepthwise": windows.convolution, "Crop": shapes.crop,
    "Deconvolution": windows.convolution, "DepthwiseConvolution": windows.convolution,
    "DetectionOutput": ssd.detection_output,
    "Dropout": values.dropout, "DummyData": shapes.constants, "ELU": values.elu,
    "Eltwise": values.eltwise, "Embed": values.embed, "Exp": values.exp,
    "Flatten": shapes.flatten, "InnerProduct": values.inner_product, "LRN": windows.lrn,
    "Log": values.log, "MVN": values.mvn, "Normalize": values.normalize, "PReLU": values.prelu,
    "PSROIPooling": regions.psroi_pooling, "Parameter": shapes.constants,
    "Permute": shapes.permute, "Pooling": windows.pooling, "Power": values.power,
    "PriorBox": ssd.prior_box, "PriorBoxClustered": ssd.prior_box,
    "Proposal": regions.proposal, "ROIAlign": regions.roi_align,
    "ROIPooling": regions.roi_pooling, "ReLU": values.relu, "ReLU6": values.relu6,
    "Reduction": shapes.reduction, "Reshape": shapes.reshape, "Scale": values.scale,
    "ShuffleChannel": shapes.shuffle_channel, "Silence": shapes.silence, "Slice": shapes.slices,
    "Softmax": values.softmax, "Split": shapes.split, "Swish": values.swish,
    "Threshold": values.threshold, "Tile": shapes.tile,
    **{ours: functools.partial(lambda kind, scope, x: scope.op(kind, x), theirs)
       for ours, theirs in _PLAIN.items()},
}

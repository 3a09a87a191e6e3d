"""The layer types that have PyTorch source: type -> function of a Scope and the bottoms' variables.

A Python layer has it where its class has a method `to_source(scope, *bottoms)`.
"""
from collections.abc import Callable
from typing import Any

from caffe.export.source import layers

SOURCES: dict[str, Callable[..., Any]] = {
    "AbsVal": layers.plain("{}.abs()"), "BatchNorm": layers.batch_norm, "Clip": layers.clip,
    "Concat": layers.concat, "Convolution": layers.convolution,
    "ConvolutionDepthwise": layers.convolution, "Deconvolution": layers.convolution,
    "DepthwiseConvolution": layers.convolution, "Dropout": layers.dropout, "ELU": layers.elu,
    "Eltwise": layers.eltwise, "Flatten": layers.flatten,
    "HardSigmoid": layers.plain("F.hardsigmoid({})"), "HardSwish": layers.plain("F.hardswish({})"),
    "InnerProduct": layers.inner_product, "LRN": layers.lrn, "Mish": layers.plain("F.mish({})"),
    "PReLU": layers.prelu, "PSROIPooling": layers.psroi_pooling, "Permute": layers.permute,
    "Pooling": layers.pooling, "Power": layers.power, "ROIAlign": layers.roi_align,
    "ROIPooling": layers.roi_pooling, "ReLU": layers.relu, "ReLU6": layers.relu6,
    "Reshape": layers.reshape, "Scale": layers.scale, "Sigmoid": layers.plain("{}.sigmoid()"),
    "Silence": layers.silence, "Slice": layers.slices, "Softmax": layers.softmax,
    "Split": layers.split, "TanH": layers.plain("{}.tanh()")}

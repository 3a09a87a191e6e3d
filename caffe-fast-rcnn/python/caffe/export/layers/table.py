"""The layer types that have an ONNX form: type -> function of a Scope and the bottoms' values.

A Python layer has one where its class has a method `to_onnx(scope, *bottoms)`. All return the
value of the top, or a list of those of all tops.
"""
import functools
from collections.abc import Callable
from typing import Any

from caffe.export.layers import recurrent, regions, shapes, ssd, values, windows

_PLAIN = {"Sigmoid": "Sigmoid", "TanH": "Tanh", "AbsVal": "Abs", "BNLL": "Softplus"}
EXPORTERS: dict[str, Callable[..., Any]] = {
    "ArgMax": shapes.arg_max, "Axpy": values.axpy, "BN": values.bn,
    "BatchNorm": values.batch_norm, "BatchReindex": shapes.batch_reindex, "Bias": values.bias,
    "Clip": values.clip, "Concat": shapes.concat, "Convolution": windows.convolution,
    "ConvolutionDepthwise": windows.convolution, "Crop": shapes.crop,
    "Deconvolution": windows.convolution, "DepthwiseConvolution": windows.convolution,
    "DetectionOutput": ssd.detection_output, "Dropout": values.dropout,
    "DummyData": shapes.constants, "ELU": values.elu, "Eltwise": values.eltwise,
    "Embed": values.embed, "Exp": values.exp, "Filter": shapes.filtered,
    "Flatten": shapes.flatten, "HardSigmoid": values.hard_sigmoid,
    "HardSwish": values.hard_swish, "Im2col": windows.im2col,
    "InnerProduct": values.inner_product, "Interp": shapes.interp, "LRN": windows.lrn,
    "LSTM": recurrent.lstm, "LSTMUnit": recurrent.lstm_unit, "Log": values.log,
    "MVN": values.mvn, "MaskPooling": values.mask_pooling, "Mish": values.mish,
    "Normalize": values.normalize, "PReLU": values.prelu,
    "PSROIPooling": regions.psroi_pooling, "Parameter": shapes.constants,
    "Permute": shapes.permute, "Pooling": windows.pooling, "Power": values.power,
    "PriorBox": ssd.prior_box, "PriorBoxClustered": ssd.prior_box,
    "Proposal": regions.proposal, "RNN": recurrent.rnn, "ROIAlign": regions.roi_align,
    "ROIPooling": regions.roi_pooling, "ReLU": values.relu, "ReLU6": values.relu6,
    "Reduction": shapes.reduction, "Reorg": shapes.reorg, "Reshape": shapes.reshape,
    "Reverse": shapes.reverse, "SPP": windows.spp, "Scale": values.scale, "SeLu": values.selu,
    "SeLuDropout": values.selu_dropout, "ShuffleChannel": shapes.shuffle_channel,
    "Silence": shapes.silence, "Slice": shapes.slices, "Softmax": values.softmax,
    "Split": shapes.split, "Swish": values.swish, "Threshold": values.threshold,
    "Tile": shapes.tile, "Transpose": shapes.permute, "Upsample": shapes.upsample,
    **{ours: functools.partial(lambda kind, scope, x: scope.op(kind, x), theirs)
       for ours, theirs in _PLAIN.items()},
}
_LOSS, _DATA = "it is for training and for measuring", "it reads or writes data"
_FEW = "only few nets have it, and nobody has written its nodes"
# the types without an ONNX form: why
NO_FORM: dict[str, str] = {
    **dict.fromkeys((
        "Accuracy", "BoxAnnotatorOHEM", "CenterLoss", "ContrastiveLoss", "DetectionEvaluate",
        "EuclideanLoss", "FocalLoss", "HingeLoss", "InfogainLoss", "MultiBoxLoss",
        "MultinomialLogisticLoss", "SegAccuracy", "SigmoidCrossEntropyLoss", "SmoothL1Loss",
        "SmoothL1LossOHEM", "SoftmaxFocalLoss", "SoftmaxWithLoss", "SoftmaxWithLossOHEM"), _LOSS),
    **dict.fromkeys(("AnnotatedData", "Data", "DenseImageData", "HDF5Data", "HDF5Output",
                     "ImageData", "ImageSegData", "MemoryData", "WindowData"), _DATA),
    **dict.fromkeys(("BoxGroupOutput", "DecodeBBox", "Lstm", "MarginInnerProduct", "MaskResize",
                     "ROIWarping", "ScaleRoute", "YoloDetectionOutput",
                     "Yolov3DetectionOutput"), _FEW)}

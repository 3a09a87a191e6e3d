"""Which layers make the same tops again of the same bottoms and learnable blobs, and do nothing
else: passes may leave them out, and run them later."""
from typing import TypeGuard

from caffe.layer_types.common.module import Module
from caffe.layer_types.maps.normalization import BatchNorm
from caffe.layer_types.maps.pooling import Pooling
from caffe.layer_types.values.arithmetic import Dropout
from caffe.runners.module_runner import ModuleRunner
from caffe.runners.runner import LayerRunner

PURE = frozenset((
    "AbsVal", "BatchNorm", "Bias", "Clip", "Concat", "Convolution", "ConvolutionDepthwise", "Crop",
    "Deconvolution", "DepthwiseConvolution", "Dropout", "ELU", "Eltwise", "Flatten", "HardSigmoid",
    "HardSwish", "InnerProduct", "Interp", "LRN", "Mish", "Normalize", "PReLU", "PSROIPooling",
    "Permute", "Pooling", "Power", "ROIAlign", "ROIPooling", "ReLU", "ReLU6", "Reshape", "Scale",
    "ShuffleChannel", "Sigmoid", "Silence", "Slice", "Softmax", "Swish", "TanH", "Upsample"))


def is_pure(layer: LayerRunner) -> TypeGuard[ModuleRunner]:
    """Whether a layer is one of PURE, draws no numbers, adds to no statistics, gives no loss."""
    return (isinstance(layer, ModuleRunner) and layer.type in PURE
            and not (_draws_or_counts(layer.module) or layer.losses or layer.same_memory))


def _draws_or_counts(module: Module) -> bool:
    if isinstance(module, Dropout):
        return module.drops
    if isinstance(module, Pooling):
        return module.draws
    return isinstance(module, BatchNorm) and not module.use_global

"""The learnable blobs of a net as a dictionary of tensors, under PyTorch's names."""
from collections import OrderedDict
from collections.abc import Sequence

import torch

from caffe.export.layers.statistics import batch_statistics
from caffe.nets.net import Net
from caffe.runners.runner import LayerRunner

_WEIGHT_AND_BIAS = ("weight", "bias")
_NAMES = {"Convolution": _WEIGHT_AND_BIAS, "Deconvolution": _WEIGHT_AND_BIAS,
          "InnerProduct": _WEIGHT_AND_BIAS, "Embed": _WEIGHT_AND_BIAS, "Scale": _WEIGHT_AND_BIAS,
          "ConvolutionDepthwise": _WEIGHT_AND_BIAS, "DepthwiseConvolution": _WEIGHT_AND_BIAS,
          "PReLU": ("weight",), "Normalize": ("weight",), "Bias": ("bias",)}


def state_dict(net: Net) -> OrderedDict[str, torch.Tensor]:
    """OrderedDict: "<layer>.weight", "<layer>.bias", ... -> float32 tensor on the CPU.

    BatchNorm layers have running_mean and running_var (Caffe's sums divided by their weight); blobs
    of types without such names are "<layer>.0", "<layer>.1", ... The second of two layers of one
    name is "<layer>_2". No two tensors share memory.
    """
    tensors = OrderedDict()
    seen: set[str] = set()
    for runner in net._runners:
        stem, number = runner.name, 2
        while runner.blobs and stem in seen:
            stem, number = f"{runner.name}_{number}", number + 1
        seen.update([stem] if runner.blobs else [])
        for name, tensor in zip(_blob_names(runner), _values(runner)):
            tensors[f"{stem}.{name}"] = torch.empty(tensor.shape).copy_(tensor)
    return tensors


def _values(runner: LayerRunner) -> Sequence[torch.Tensor]:
    if runner.type == "BatchNorm":
        return [*batch_statistics(runner), *(blob.tensor.detach() for blob in runner.blobs[3:])]
    return [blob.tensor.detach() for blob in runner.blobs]


def _blob_names(runner: LayerRunner) -> Sequence[str]:
    if runner.type == "BatchNorm":
        return "running_mean", "running_var", "weight", "bias"
    if runner.type == "Scale" and len(runner.bottoms) == 2:
        return ("bias",)
    return _NAMES.get(runner.type) or [str(i) for i in range(len(runner.blobs))]

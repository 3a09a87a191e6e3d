"""EfficientNet-Lite0 of efficientnet-lite-pytorch, under the names of models/imagenet.

Normalisations become part of the convolution before them. Kernels of stride 2 get a first row and a
first column of zeros (see networks/backbones/efficientnet_lite.py). Inputs there are RGB,
(x - 127) / 128: the first convolution takes the scale and the order of the channels.
"""
import numpy as np

from faster_rcnn.pretrained.reading.checkpoints import CheckpointError
from faster_rcnn.pretrained.reading.imported import Imported, Tensors

MEAN, SCALE = 127.0, 128.0
EPS = 1e-3          # of the normalisations
BLOCKS = 16
DOWN = (1, 3, 5, 11)    # blocks of stride 2
# Layers of a block: name here, convolution, normalisation there
_PARTS = (("expand", "_expand_conv", "_bn0"), ("depthwise", "_depthwise_conv", "_bn1"),
          ("project", "_project_conv", "_bn2"))
Layer = tuple[str, str, list[np.ndarray]]


def efficientnet_lite0(tensors: Tensors, _options: dict) -> Imported:
    """EfficientNet-Lite0; the weights are for BGR minus 127."""
    layers: list[Layer] = [("stem", "Convolution", _stem(tensors))]
    for number in range(BLOCKS):
        for name, convolution, norm in _PARTS[0 if number else 1:]:
            there = f"_blocks.{number}."
            arrays = _normalised(tensors, there + convolution, there + norm)
            if name == "depthwise" and number in DOWN:
                arrays[0] = padded(arrays[0])
            layers.append((f"block{number}/{name}", "Convolution", arrays))
    layers.append(("head", "Convolution", _normalised(tensors, "_conv_head", "_bn1")))
    layers.append(("fc", "InnerProduct", tensors.pair("_fc")))
    return Imported("EfficientNet-Lite0", layers, "stem", "efficientnet_lite", (MEAN,) * 3)


def _stem(tensors: Tensors) -> list[np.ndarray]:
    """The first convolution, for BGR that nobody divides by SCALE."""
    weight = tensors.take("_conv_stem.weight")
    if weight.shape != (32, 3, 3, 3):
        raise CheckpointError(f"an EfficientNet with a first convolution of {len(weight)} channels "
                              "is not Lite0")
    weight, bias = fold(weight, *tensors.batch_norm("_bn0"))
    return [np.ascontiguousarray(padded(weight)[:, ::-1] / np.float32(SCALE)), bias]


def padded(weight: np.ndarray) -> np.ndarray:
    """A kernel (O, C, k, k) with a row of zeros above it and a column to its left."""
    return np.pad(weight, ((0, 0), (0, 0), (1, 0), (1, 0)))


def fold(weight: np.ndarray, statistics: list[np.ndarray],
         scale: list[np.ndarray]) -> list[np.ndarray]:
    """[weight, bias] of a convolution that is followed by a normalisation: ((w * x) - mean) /
    sqrt(variance + eps) * gamma + beta; computed in float64.

    statistics: [mean, variance, ...]; scale: [gamma, beta], all (O,).
    """
    mean, variance = (array.astype(np.float64) for array in statistics[:2])
    gamma, beta = (array.astype(np.float64) for array in scale)
    factor = gamma / np.sqrt(variance + EPS)
    return [(weight * factor.reshape(-1, 1, 1, 1)).astype(np.float32),
            (beta - mean * factor).astype(np.float32)]


def _normalised(tensors: Tensors, convolution: str, norm: str) -> list[np.ndarray]:
    return fold(tensors.take(f"{convolution}.weight"), *tensors.batch_norm(norm))

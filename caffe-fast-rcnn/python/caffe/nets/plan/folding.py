"""BatchNorm, Scale and Bias as numbers per channel, and weights multiplied by them."""
from collections.abc import Sequence

import numpy as np

from caffe.core.errors import WeightsError
from caffe.proto.caffe_pb2 import LayerParameter


def is_affine(layer: LayerParameter) -> bool:
    """Whether a layer multiplies and shifts each channel of its one bottom by constants."""
    if len(layer.bottom) != 1 or len(layer.top) != 1:
        return False
    if layer.type == "BatchNorm":
        p = layer.batch_norm_param
        return p.use_global_stats or not p.HasField("use_global_stats")
    if layer.type not in ("Scale", "Bias"):
        return False
    p = layer.scale_param if layer.type == "Scale" else layer.bias_param
    return p.axis == 1 and p.num_axes == 1


def factor_and_shift(layer: LayerParameter,
                     blobs: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """(C,) float64 each, or 1 and 0, of top = factor * bottom + shift.

    layer: one that `is_affine`, in the TEST phase; blobs: its learnable arrays.
    Raises WeightsError when their number is not the layer's.
    """
    blobs = [np.asarray(blob, np.float64).ravel() for blob in blobs]
    p = layer.batch_norm_param
    learns = p.scale_bias or p.HasField("scale_filler") or p.HasField("bias_filler")
    expected = {"BatchNorm": 5 if learns else 3, "Bias": 1}.get(layer.type,
                                                                1 + layer.scale_param.bias_term)
    if len(blobs) != expected:
        raise WeightsError(f'layer "{layer.name}" ({layer.type}) has {len(blobs)} blobs in the '
                           f"weights and {expected} in the net")
    if layer.type == "BatchNorm":
        mean, variance, weight, *learned = blobs
        mean, variance = (stat / weight if weight else 0 * stat for stat in (mean, variance))
        factor = (learned[0] if learned else 1) / np.sqrt(variance + p.eps)
        return factor, (learned[1] if learned else 0) - mean * factor
    if layer.type == "Bias":
        return np.ones(1), blobs[0]
    return blobs[0], blobs[1] if len(blobs) > 1 else np.zeros(1)


def scaled(layer: LayerParameter, weight: np.ndarray, factor: np.ndarray) -> np.ndarray:
    """The weight of a Convolution, Deconvolution or InnerProduct (not transposed) with every output
    multiplied by its factor (O,)."""
    if layer.type != "Deconvolution":
        return weight * factor.reshape(-1, *(1,) * (weight.ndim - 1))
    # (C, O / group, *kernel): the outputs of a group depend on that group's channels only
    group, axes = layer.convolution_param.group, weight.ndim - 2
    grouped = weight.reshape(group, -1, *weight.shape[1:])
    return (grouped * factor.reshape(group, 1, -1, *(1,) * axes)).reshape(weight.shape)

"""The layers of a net that predict normalised box deltas, and how they come to predict plain ones.

    bbox_pred       (4 K, d)          a row per class and coordinate
    rfcn_bbox       (4 K * bins, ...) as many rows in succession as a roi has bins (R-FCN)
    rpn_bbox_pred   (4 A, ...)        the same four coordinates for each anchor

The first two may have other names (heads.py).
"""
import contextlib
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

import caffe
from caffe.core.errors import InputError
from faster_rcnn.anchors.options import rpn_normalization
from faster_rcnn.prototxts.heads import delta_layers
from faster_rcnn.settings.config import cfg


class Regressor(NamedTuple):
    """A layer's name, and means and standard deviations of its targets, one per output."""

    layer: str
    means: np.ndarray
    stds: np.ndarray


def regressors(net: caffe.Net, means: np.ndarray | None,
               stds: np.ndarray | None) -> list[Regressor]:
    """The Regressors of a net whose targets are normalised in the present training.

    means, stds: (4 K,) of the rois' targets; None when TRAIN.BBOX_REG is off. InputError when the
    net's box regressor does not have four outputs per class of the data set.
    """
    found: list[Regressor] = []
    if cfg.TRAIN.BBOX_REG and means is not None and stds is not None:
        for layer in delta_layers(net):
            bins = _bins(layer, net.params[layer][0].data, len(stds))
            found.append(Regressor(layer, np.repeat(means, bins), np.repeat(stds, bins)))
        if not cfg.TRAIN.BBOX_NORMALIZE_TARGETS:
            found.clear()
    normalization = rpn_normalization()
    if normalization and "rpn_bbox_pred" in net.params:
        anchors = len(net.params["rpn_bbox_pred"][0].data) // 4
        found.append(Regressor("rpn_bbox_pred", *(np.tile(v, anchors) for v in normalization)))
    return found


def _bins(layer: str, weight: np.ndarray, needed: int) -> int:
    """Outputs of a regressor for each of the `needed` (4 K) targets of a roi."""
    outputs, pooled = len(weight), weight.ndim == 4
    if outputs == needed or pooled and outputs % needed == 0:
        return outputs // needed
    multiple = " or a multiple of it" if pooled else ""
    raise InputError(f"layer {layer} has {outputs} outputs, but the data set's {needed // 4} "
                     f"classes (with the background) need {needed}{multiple}")


@contextlib.contextmanager
def unnormalized(net: caffe.Net, found: Sequence[Regressor]) -> Iterator[None]:
    """For a while the Regressors have weights * std and bias * std + mean, row by row."""
    saved = [[blob.data.copy() for blob in net.params[layer]] for layer, _, _ in found]
    try:
        for (layer, means, stds), (weight, bias) in zip(found, saved):
            params = net.params[layer]
            params[0].data[...] = weight * stds.reshape(-1, *(1,) * (weight.ndim - 1))
            params[1].data[...] = bias * stds + means
        yield
    finally:
        for (layer, _, _), arrays in zip(found, saved):
            for blob, array in zip(net.params[layer], arrays):
                blob.data[...] = array

"""Means and standard deviations of what the RPN's positive anchors are regressed to (R-FCN)."""
from typing import Any

import numpy as np
import torch

import caffe
from caffe.core.errors import InputError
from caffe.files import prototxt
from faster_rcnn.anchors.grid import AnchorGrid
from faster_rcnn.anchors.options import AnchorTargetOptions
from faster_rcnn.anchors.targets import NoAnchorInside, anchor_targets
from faster_rcnn.files import safe_yaml
from faster_rcnn.images.blob import im_scale_factor
from faster_rcnn.images.reading import image_size
from faster_rcnn.settings.config import cfg

GRID_PARAMS = ("feat_stride", "scales", "ratios", "base_size")


def anchor_target_statistics(path: str, imdb: Any) -> tuple[np.ndarray, np.ndarray]:
    """Means and standard deviations (4,) of dx, dy, dw, dh over all positive anchors of a data set.

    path: a net with an RPN, whose ProposalLayer states the anchors; imdb: its roidb holds the
    annotated boxes. Images are scaled as in a test. ValueError when there is no positive anchor, or
    a coordinate does not vary.
    """
    sizes, grid = _MapSizes(path), _grid(path)
    count, sums, squares = 0, np.zeros(4), np.zeros(4)
    for index, entry in enumerate(imdb.roidb):
        width, height = image_size(imdb.image_path_at(index))
        scale = im_scale_factor((height, width), cfg.TEST.SCALES[0], cfg.TEST.MAX_SIZE)
        im_size = round(height * scale), round(width * scale)
        boxes = entry["boxes"][entry["gt_classes"] > 0] * scale
        targets = _positive_targets(grid(*sizes(im_size), "cpu"), boxes, im_size)
        count += len(targets)
        sums += targets.sum(0)
        squares += np.square(targets).sum(0)
    if not count:
        raise InputError(f"{imdb.name}: no anchor overlaps an annotated box, so the RPN's targets "
                         "cannot be measured (ANCHOR_SCALES)")
    means = sums / count
    stds = np.sqrt(np.maximum(squares / count - means ** 2, 0))
    if not (stds > 0).all():
        raise InputError(f"{imdb.name}: the RPN's targets do not vary, so that they cannot be "
                         "normalised; set TRAIN.RPN_NORMALIZE_TARGETS False")
    return means, stds


def _positive_targets(anchors: torch.Tensor, boxes: np.ndarray,
                      im_size: tuple[int, int]) -> np.ndarray:
    """Targets (P, 4) of all anchors that training counts as objects; no sample is drawn."""
    options = AnchorTargetOptions(0, cfg.TRAIN.RPN_POSITIVE_OVERLAP, cfg.TRAIN.RPN_NEGATIVE_OVERLAP,
                                  False, 2 * len(anchors), 1.0, (1, 1, 1, 1), -1)
    try:
        found = anchor_targets(anchors, torch.from_numpy(boxes), im_size, options)
    except NoAnchorInside:
        return np.zeros((0, 4))
    return found.bbox_targets[found.labels[:, 0] == 1].double().numpy()


class _MapSizes:
    """Height and width of the feature map for an image's size; no pixel is computed."""

    def __init__(self, path: str) -> None:
        self._net = caffe.Net(path, caffe.TEST)
        self._known: dict[tuple[int, int], tuple[int, int]] = {}

    def __call__(self, im_size: tuple[int, int]) -> tuple[int, int]:
        if im_size not in self._known:
            self._net.blobs["data"].reshape(1, 3, *im_size)
            self._net.reshape()
            height, width = self._net.blobs["rpn_cls_score"].shape[2:]
            self._known[im_size] = height, width
        return self._known[im_size]


def _grid(path: str) -> AnchorGrid:
    """The AnchorGrid that the ProposalLayer of a net states."""
    for layer in prototxt.read_net(path).layer:
        if layer.python_param.layer == "ProposalLayer":
            params = safe_yaml.load(layer.python_param.param_str, path)
            if not isinstance(params, dict):
                raise InputError(f'{path}: the param_str of layer "{layer.name}" is no mapping')
            return AnchorGrid(**{name: params[name] for name in GRID_PARAMS if name in params})
    raise InputError(f"{path}: no ProposalLayer, which states the anchors")

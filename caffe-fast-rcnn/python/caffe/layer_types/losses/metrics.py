"""Measures without a gradient: Accuracy, ArgMax, SegAccuracy.

Caffe: accuracy_layer.cpp, argmax_layer.cpp; DeepLab and PSPNet: seg_accuracy_layer.cpp.
"""
import logging

import torch
from torch import Tensor

from caffe.layer_types.common.module import Module, Shape, Shapes, Tops
from caffe.layer_types.common.registry import register
from caffe.proto.caffe_pb2 import LayerParameter

log = logging.getLogger("caffe")


@register("Accuracy")
class Accuracy(Module):
    """The share of items whose label is among the top_k best scores.

    bottom[0]: scores (..., C, ...), classes along `axis`
    bottom[1]: labels, one for each place of the other axes of the scores
    top[0]:    scalar      top[1]: the same for each class alone, (C,)
    Scores equal to the label's count against it; `ignore_label` does not count at all. A label
    beyond the classes, such as SegNet's label of pixels without one, counts as wrong (Caffe reads
    other memory then); a warning says so.
    """

    bottoms = (2, 2)
    tops = (1, 2)
    no_gradient = (0, 1)

    def __init__(self, param: LayerParameter, shapes: Shapes, phase: int) -> None:
        super().__init__(param, shapes, phase)
        p = param.accuracy_param
        self.axis = self.axis_of(shapes[0], p.axis)
        self.top_k = p.top_k
        self.ignore = p.ignore_label if p.HasField("ignore_label") else None
        self.has_warned = False

    def forward(self, scores: Tensor, labels: Tensor) -> Tops:
        classes = scores.shape[self.axis]
        self.check_labels(scores, labels, self.axis)
        if self.top_k > classes:
            raise self.error(f"expected top_k of at most the {classes} classes, got {self.top_k}")
        rows = scores.movedim(self.axis, -1).reshape(-1, classes)
        labels = labels.reshape(-1).trunc()
        valid = torch.ones_like(labels) if self.ignore is None else \
            (labels != self.ignore).to(labels.dtype)
        labels = (labels * valid).long()
        known = labels < classes
        self._warn_of_labels(labels, classes)
        labels = torch.where(known, labels, 0)
        self.check_range(labels, classes, "label")
        own = rows.gather(1, labels[:, None])
        better = (rows >= own).sum(1) - 1
        right = ((better < self.top_k) & known).to(rows.dtype) * valid
        top = right.sum() / valid.sum().clamp(min=1)
        if len(self.param.top) == 1:
            return top
        zeros = rows.new_zeros(classes)
        counts = zeros.index_add(0, labels, valid * known)
        return top, zeros.index_add(0, labels, right) / counts.clamp(min=1)


    def _warn_of_labels(self, labels: Tensor, classes: int) -> None:
        if self.has_warned or labels.device.type != "cpu" or not labels.numel():
            return
        largest = int(labels.max())
        if largest >= classes:
            self.has_warned = True
            log.warning('layer "%s" (%s): a label is %d, and there are %d classes; it counts as '
                        "wrong. accuracy_param { ignore_label: %d } leaves it out", self.name,
                        self.type, largest, classes, largest)


@register("ArgMax")
class ArgMax(Module):
    """The indices of the top_k largest values; of equal values the last comes first.

    Without `axis`: over everything behind the first axis, top[0] (N, 1, top_k), or (N, 2, top_k)
    with out_max_val: indices, then values. With `axis`: along it, the indices or, with out_max_val,
    the values instead.
    """

    no_gradient = (0,)

    def __init__(self, param: LayerParameter, shapes: Shapes, phase: int) -> None:
        super().__init__(param, shapes, phase)
        p = param.argmax_param
        self.top_k, self.values = p.top_k, p.out_max_val
        self.axis = self.axis_of(shapes[0], p.axis) if p.HasField("axis") else None
        if p.top_k < 1:
            raise self.error(f"expected top_k > 0, got {p.top_k}")

    def forward(self, x: Tensor) -> Tensor:
        axis = 1 if self.axis is None else self.axis
        flat = x.reshape(x.shape[0], -1) if self.axis is None else x
        if self.top_k > flat.shape[axis]:
            raise self.error(f"expected top_k of at most {flat.shape[axis]}, got {self.top_k}")
        ordered, index = flat.flip(axis).sort(dim=axis, descending=True, stable=True)
        index = (flat.shape[axis] - 1 - index.narrow(axis, 0, self.top_k)).to(x.dtype)
        best = ordered.narrow(axis, 0, self.top_k)
        if self.axis is not None:
            return best.contiguous() if self.values else index
        top = torch.stack((index, best), 1) if self.values else index[:, None]
        return top.reshape(*top.shape, *(1,) * (max(x.dim(), 3) - 3))


@register("SegAccuracy")
class SegAccuracy(Module):
    """How well pixels are classified: share of right ones, mean recall, mean IoU.

    bottom[0]: scores (N, C, H, W)     bottom[1]: labels (N, 1, H, W)
    top[0]:    (1, 1, 1, 3)
    Recall is averaged over the classes that occur, intersection over union over all; it is 1 for a
    class that is neither there nor predicted. With `reset: false` all passes so far count. Of equal
    scores the last class is predicted.
    """

    bottoms = (2, 2)
    no_gradient = (0, 1)

    def __init__(self, param: LayerParameter, shapes: Shapes, phase: int) -> None:
        super().__init__(param, shapes, phase)
        p = param.seg_accuracy_param
        self.ignored, self.reset = tuple(p.ignore_label), p.reset
        classes = shapes[0][1]
        self.register_buffer("counts", torch.zeros(classes, classes, dtype=torch.float64))

    def top_shapes(self, shapes: Shapes) -> list[Shape]:
        self._check(*map(tuple, shapes))
        return [(1, 1, 1, 3)]

    def _check(self, scores: Shape, labels: Shape) -> None:
        if len(scores) != 4 or labels != (scores[0], 1, *scores[2:]) \
                or scores[1] != len(self.counts):
            raise self.error("expected bottoms of shape (N, C, H, W) and (N, 1, H, W) with "
                             f"{len(self.counts)} channels, got {scores} and {labels}")

    def forward(self, scores: Tensor, labels: Tensor) -> Tensor:
        self._check(tuple(scores.shape), tuple(labels.shape))
        classes = len(self.counts)
        found = classes - 1 - scores.flip(1).argmax(1).flatten()
        labels = labels.flatten().long()
        counted = torch.ones_like(labels, dtype=torch.bool)
        for label in self.ignored:
            counted &= labels != label
        labels, found = labels[counted], found[counted]
        self.check_range(labels, classes, "label")
        if self.reset:
            self.counts.zero_()
        pairs = torch.bincount(labels * classes + found, minlength=classes ** 2)
        self.counts += pairs.view(classes, classes)
        return self._measures().to(scores.dtype).view(1, 1, 1, 3)

    def _measures(self) -> Tensor:
        """(3,) from the confusion matrix: rows are the labels, columns the predictions."""
        right, rows, columns = self.counts.diagonal(), self.counts.sum(1), self.counts.sum(0)
        union = rows + columns - right
        recall = (right / rows.clamp(min=1)).sum() / (rows > 0).sum().clamp(min=1)
        overlap = torch.where(union > 0, right / union.clamp(min=1), 1).mean()
        return torch.stack([right.sum() / rows.sum().clamp(min=1), recall, overlap])

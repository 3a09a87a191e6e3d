"""Measures without a gradient: Accuracy and ArgMax. Caffe: accuracy_layer.cpp, argmax_layer.cpp."""

import torch

from caffe.layer_types.common.module import Module
from caffe.layer_types.common.registry import register


@register("Accuracy")
class Accuracy(Module):
    """The share of items whose label is among the top_k best scores.

    bottom[0]: scores (..., C, ...), classes along `axis`
    bottom[1]: labels, one for each place of the other axes of the scores
    top[0]:    scalar      top[1]: the same for each class alone, (C,)
    Scores equal to the label's count against it; `ignore_label` does not count at all.
    """

    bottoms = (2, 2)
    tops = (1, 2)
    no_gradient = (0, 1)

    def __init__(self, param, shapes, phase):
        super().__init__(param, shapes, phase)
        p = param.accuracy_param
        self.axis = self.axis_of(shapes[0], p.axis)
        self.top_k = p.top_k
        self.ignore = p.ignore_label if p.HasField("ignore_label") else None

    def forward(self, scores, labels):
        classes = scores.shape[self.axis]
        self.check_labels(scores, labels, self.axis)
        if self.top_k > classes:
            raise self.error(f"expected top_k of at most the {classes} classes, got {self.top_k}")
        rows = scores.movedim(self.axis, -1).reshape(-1, classes)
        labels = labels.reshape(-1).trunc()
        valid = torch.ones_like(labels) if self.ignore is None else \
            (labels != self.ignore).to(labels.dtype)
        labels = (labels * valid).long()
        self.check_range(labels, classes, "label")
        own = rows.gather(1, labels[:, None])
        better = (rows >= own).sum(1) - 1
        right = (better < self.top_k).to(rows.dtype) * valid
        top = right.sum() / valid.sum().clamp(min=1)
        if len(self.param.top) == 1:
            return top
        zeros = rows.new_zeros(classes)
        counts = zeros.index_add(0, labels, valid)
        return top, zeros.index_add(0, labels, right) / counts.clamp(min=1)


@register("ArgMax")
class ArgMax(Module):
    """The indices of the top_k largest values; of equal values the last comes first.

    Without `axis`: over everything behind the first axis, top[0] (N, 1, top_k), or (N, 2, top_k)
    with out_max_val: indices, then values. With `axis`: along it, the indices or, with out_max_val,
    the values instead.
    """

    no_gradient = (0,)

    def __init__(self, param, shapes, phase):
        super().__init__(param, shapes, phase)
        p = param.argmax_param
        self.top_k, self.values = p.top_k, p.out_max_val
        self.axis = self.axis_of(shapes[0], p.axis) if p.HasField("axis") else None
        if p.top_k < 1:
            raise self.error(f"expected top_k > 0, got {p.top_k}")

    def forward(self, x):
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

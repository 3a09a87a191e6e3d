"""Functions and classes that generated files hold a copy of; they need nothing but PyTorch.

Boxes are (x1, y1, x2, y2) in inclusive pixels: a width is x2 - x1 + 1. Rois are (R, 5): index of
the image, then the box.
"""
import math

import torch
import torch.nn.functional as F
from torch import nn

Pair = tuple[int, int]


class Scale(nn.Module):
    """x * weight + bias, a number of each per channel."""

    def __init__(self, channels: int, bias: bool) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels)) if bias else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        shape = (-1, *(1,) * (x.dim() - 2))
        y = x * self.weight.reshape(shape)
        return y if self.bias is None else y + self.bias.reshape(shape)


def normalized_within(x: torch.Tensor, size: int, alpha: float, beta: float) -> torch.Tensor:
    """Local response normalization over size x size pixels of the own channel."""
    mean = F.avg_pool2d(x * x, size, 1, size // 2)
    return x / (1 + alpha * mean) ** beta


def rounded(x: torch.Tensor) -> torch.Tensor:
    """To the nearest whole number; halves away from zero, as in C."""
    return x.sign() * (x.abs() + 0.5).floor()


def pooling_bins(first: torch.Tensor, last: torch.Tensor, bins: int, size: int) -> list:
    """Of each roi [(begin, end)] of its bins along a side; first, last: (R,), its cells."""
    first = first[:, None]
    length = (last[:, None] - first + 1).clamp(min=1) / bins
    index = torch.arange(bins, device=first.device)
    begin = (first + (index * length).floor()).clamp(0, size).long()
    end = (first + ((index + 1) * length).ceil()).clamp(0, size).long()
    return torch.stack([begin, end], 2).tolist()


def largest(x: torch.Tensor, axis: int) -> torch.Tensor:
    """The maximum along an axis; 0 where there are no values."""
    return x.amax(axis) if x.shape[axis] else x.sum(axis)


def roi_pool(features: torch.Tensor, rois: torch.Tensor, pooled: Pair,
             scale: float) -> torch.Tensor:
    """The maximum of each bin of each roi (Fast R-CNN): (R, C, *pooled); scale: cells per pixel."""
    cells = rounded(rois[:, 1:] * scale)
    rows = pooling_bins(cells[:, 1], cells[:, 3], pooled[0], features.shape[2])
    columns = pooling_bins(cells[:, 0], cells[:, 2], pooled[1], features.shape[3])
    tops = []
    for image, own_rows, own_columns in zip(rois[:, 0].long().tolist(), rows, columns):
        lines = [largest(features[image, :, a:b], 1) for a, b in own_rows]
        lines = torch.stack(lines, 1)                                       # (C, rows, W)
        tops.append(torch.stack([largest(lines[:, :, a:b], 2) for a, b in own_columns], 2))
    return torch.stack(tops) if tops else features.new_zeros(0, features.shape[1], *pooled)


def sensitive_bins(first: torch.Tensor, last: torch.Tensor, bins: int, size: int,
                   scale: float) -> list:
    """As pooling_bins, with R-FCN's rounding; first, last: (R,), pixels."""
    start = (rounded(first) * scale)[:, None]
    length = ((rounded(last) + 1)[:, None] * scale - start).clamp(min=0.1) / bins
    index = torch.arange(bins, device=first.device)
    begin = (index * length + start).floor().clamp(0, size).long()
    end = ((index + 1) * length + start).ceil().clamp(0, size).long()
    return torch.stack([begin, end], 2).tolist()


def sensitive_roi_pool(features: torch.Tensor, rois: torch.Tensor, classes: int, group: int,
                       scale: float) -> torch.Tensor:
    """The mean of each bin of each roi, every bin in channels of its own (R-FCN):
    (R, classes, group, group).
    """
    height, width = features.shape[2:]
    rows = sensitive_bins(rois[:, 2], rois[:, 4], group, height, scale)
    columns = sensitive_bins(rois[:, 1], rois[:, 3], group, width, scale)
    maps = features.unflatten(1, (classes, group, group))
    top = features.new_zeros(len(rois), classes, group, group)
    for k, image in enumerate(rois[:, 0].long().tolist()):
        for i, (above, below) in enumerate(rows[k]):
            for j, (left, right) in enumerate(columns[k]):
                if below > above and right > left:
                    cells = maps[image, :, i, j, above:below, left:right]
                    top[k, :, i, j] = cells.mean((1, 2))
    return top


def sample_weights(start: float, length: float, bins: int, size: int, ratio: int,
                   like: torch.Tensor) -> torch.Tensor:
    """(bins, size): the share of each cell of a side in the mean of the samples of a bin."""
    count = ratio if ratio > 0 else math.ceil(length / bins)
    if count < 1:
        return like.new_zeros(bins, size)
    place = start + (torch.arange(bins * count, device=like.device) + 0.5) * length / (bins * count)
    inside = (place >= -1) & (place <= size)
    place = place.clamp(0, size - 1)
    low = place.floor().long()
    share = (place - low)[:, None]
    weights = like.new_zeros(bins * count, size)
    weights.scatter_add_(1, low[:, None], 1 - share)
    weights.scatter_add_(1, (low + 1).clamp(max=size - 1)[:, None], share)
    return (weights * inside[:, None]).reshape(bins, count, size).mean(1)


def roi_align(features: torch.Tensor, rois: torch.Tensor, pooled: Pair, scale: float, ratio: int,
              aligned: bool) -> torch.Tensor:
    """The mean of bilinear samples in each bin of each roi (Mask R-CNN): (R, C, *pooled).

    ratio: samples per side of a bin, 0: as many as it has cells; aligned: half a cell is subtracted
    """
    height, width = features.shape[2:]
    tops = []
    for roi in rois:
        x1, y1, x2, y2 = (roi[1:] * scale - (0.5 if aligned else 0)).tolist()
        least = -math.inf if aligned else 1
        rows = sample_weights(y1, max(y2 - y1, least), pooled[0], height, ratio, features)
        columns = sample_weights(x1, max(x2 - x1, least), pooled[1], width, ratio, features)
        tops.append(rows @ features[int(roi[0])] @ columns.T)
    return torch.stack(tops) if tops else features.new_zeros(0, features.shape[1], *pooled)


def grid_anchors(anchors: torch.Tensor, stride: int, height: int, width: int) -> torch.Tensor:
    """The anchors (A, 4) of the first cell at every cell of a map: (height * width * A, 4)."""
    y, x = torch.meshgrid(torch.arange(height, device=anchors.device),
                          torch.arange(width, device=anchors.device), indexing="ij")
    shifts = torch.stack([x, y, x, y], 2) * stride
    return (shifts[:, :, None] + anchors).reshape(-1, 4)


def decode(boxes: torch.Tensor, deltas: torch.Tensor, largest_log: float = 0) -> torch.Tensor:
    """Boxes (..., 4) moved by dx, dy (in widths and heights), dw, dh (logarithms); largest_log > 0
    limits these.
    """
    sizes = boxes[..., 2:] - boxes[..., :2] + 1
    centres = boxes[..., :2] + 0.5 * sizes + deltas[..., :2] * sizes
    logs = deltas[..., 2:].clamp(max=largest_log) if largest_log > 0 else deltas[..., 2:]
    halves = 0.5 * logs.exp() * sizes
    return torch.cat([centres - halves, centres + halves], -1)


def clip(boxes: torch.Tensor, height: float | torch.Tensor,
         width: float | torch.Tensor) -> torch.Tensor:
    """Boxes (..., 4) inside of an image."""
    last = torch.as_tensor([width - 1, height - 1] * 2, device=boxes.device)
    return boxes.minimum(last.to(boxes.dtype)).clamp(min=0)


def nms(boxes: torch.Tensor, threshold: float, most: int = 0) -> torch.Tensor:
    """Indices of the boxes (N, 4), best first, that overlap no better one by `threshold` or more;
    `most` of them, 0: all.
    """
    areas = (boxes[:, 2:] - boxes[:, :2] + 1).prod(1)
    left = torch.arange(len(boxes), device=boxes.device)
    kept: list[torch.Tensor] = []
    while len(left) and (most <= 0 or len(kept) < most):
        best, left = left[0], left[1:]
        kept.append(best)
        others = boxes[left]
        corners = torch.minimum(others[:, 2:], boxes[best, 2:]), \
            torch.maximum(others[:, :2], boxes[best, :2])
        shared = (corners[0] - corners[1] + 1).clamp(min=0).prod(1)
        left = left[shared / (areas[left] + areas[best] - shared) < threshold]
    return torch.stack(kept) if kept else left


def propose(probabilities: torch.Tensor, deltas: torch.Tensor, im_info: torch.Tensor,
            anchors: torch.Tensor, stride: int, before: int, after: int, overlap: float,
            smallest: float, largest_log: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Rois (R, 5) and their scores (R, 1) from an RPN's output for one image, best first.

    probabilities: (1, 2 A, H, W), the last A channels of being an object; deltas: (1, 4 A, H, W)
    im_info: (1, 3), height and width of the net's input, scale; anchors: (A, 4), at the first cell
    stride: pixels per cell; before, after: the most boxes before and after suppression, 0: all
    overlap: of the suppression; smallest: side of a box, pixels of the picture
    """
    count, (height, width) = len(anchors), probabilities.shape[2:]
    scores = probabilities[0, count:].permute(1, 2, 0).flatten()
    moves = deltas[0].unflatten(0, (count, 4)).permute(2, 3, 0, 1).reshape(-1, 4)
    boxes = decode(grid_anchors(anchors, stride, height, width), moves, largest_log)
    boxes = clip(boxes, float(im_info[0, 0]), float(im_info[0, 1]))
    large = (boxes[:, 2:] - boxes[:, :2] + 1 >= smallest * im_info[0, 2]).all(1)
    boxes, scores = boxes[large], scores[large]
    scores, order = scores.sort(descending=True, stable=True)
    if before > 0:
        scores, order = scores[:before], order[:before]
    boxes = boxes[order]
    kept = nms(boxes, overlap, after)
    rois = torch.cat([boxes.new_zeros(len(kept), 1), boxes[kept]], 1)
    return rois, scores[kept, None]


# What each piece needs besides itself, in the order of a file
NEEDS: dict[str, tuple[str, ...]] = {
    "Scale": (), "normalized_within": (), "rounded": (), "pooling_bins": (), "largest": (),
    "roi_pool": ("rounded", "pooling_bins", "largest"), "sensitive_bins": ("rounded",),
    "sensitive_roi_pool": ("rounded", "sensitive_bins"), "sample_weights": (),
    "roi_align": ("sample_weights",), "grid_anchors": (), "decode": (), "clip": (), "nms": (),
    "propose": ("grid_anchors", "decode", "clip", "nms")}

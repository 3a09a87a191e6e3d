"""ROIAlign of plain PyTorch operations (roi_align.h, once more).

A bin's value is linear in the map's rows and in its columns. `Side` holds the weights: those of the
rows are (R, pooled_h, H), and a bin is the product rows x map x columns.
"""
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from caffe.operators.plain import checks

_MOST_SAMPLES = 2 ** 24
_MOST_NUMBERS = 2 ** 24     # of the products held at once


class Side:
    """The samples along one side of R rois, S of them in each of the bins; those beyond a roi's own
    number weigh nothing.
    """

    def __init__(self, rois: Tensor, column: int, bins: int, size: int, scale: float, ratio: int,
                 aligned: bool) -> None:
        factor = torch.tensor(scale, dtype=rois.dtype, device=rois.device)
        offset = 0.5 if aligned else 0.0
        start = rois[:, column] * factor - offset
        length = rois[:, column + 2] * factor - offset - start
        self.stretched = (length < 1) & (not aligned)
        length = length.where(~self.stretched, 1)
        self.factor, self.bins, self.size, self.start = factor, bins, size, start
        self.bin = length / bins
        count = torch.full_like(start, ratio) if ratio > 0 else \
            self.bin.ceil().nan_to_num(0).clamp(0, _MOST_SAMPLES)
        self.count = count[:, None, None]
        self._place()

    def _place(self) -> None:
        """Where the samples lie: `low` and `high` cell, and the weight of `high`; (R, bins, S)."""
        device, dtype = self.start.device, self.start.dtype
        bins = torch.arange(self.bins, device=device, dtype=dtype)[:, None]
        origin = self.start[:, None, None] + bins * self.bin[:, None, None]
        distance = self.bin[:, None, None] / self.count.clamp(min=1)
        sample = self._samples(origin, distance)
        step = (sample + 0.5) / self.count.clamp(min=1)
        self.share = (bins + step) / self.bins      # 0 at the first, 1 at the last coordinate
        position = origin + (sample + 0.5) * self.bin[:, None, None] / self.count.clamp(min=1)
        self.counts = (sample < self.count) & (position >= -1) & (position <= self.size)
        self.counts = self.counts & (self.size > 0)
        position = position.where(self.counts, 0)
        between = (position > 0) & (position < self.size - 1)
        position = position.clamp(0, max(self.size - 1, 0))
        self.low = position.long()
        self.high = (self.low + 1).clamp(max=max(self.size - 1, 0))
        self.fraction = (position - self.low).where(between, 0)
        self.slope = (between & self.counts).to(dtype)

    def _samples(self, origin: Tensor, distance: Tensor) -> Tensor:
        """Numbers of the samples of each bin that may lie inside the map, and of some others.

        A region far larger than the map has no more of them than the map.
        """
        moves = distance > 0
        first = ((-1 - origin) / distance).floor() - 1
        last = ((self.size - origin) / distance).ceil() + 1
        first = torch.minimum(first.where(moves, 0).nan_to_num(0).clamp(min=0), self.count)
        last = torch.minimum(last.where(moves, self.count).nan_to_num(0).clamp(min=0), self.count)
        most = int((last - first).max().clamp(min=0)) if len(origin) else 0
        return first + torch.arange(most, device=origin.device, dtype=origin.dtype)

    def weights(self) -> Tensor:
        """(R, bins, size): the share of each cell in the mean of the samples."""
        rois, bins = self.low.shape[:2]
        weights = self.start.new_zeros(rois, bins, self.size)
        if self.size:
            each = self.counts.to(weights.dtype) / self.count.clamp(min=1)
            weights.scatter_add_(2, self.low, (1 - self.fraction) * each)
            weights.scatter_add_(2, self.high, self.fraction * each)
        return weights

    def to_corners(self, grad: Tensor) -> tuple[Tensor, Tensor]:
        """Gradients of the first and the last coordinate, (R,) each, from those of `weights`."""
        if not self.size:
            return self.start.new_zeros(len(self.start)), self.start.new_zeros(len(self.start))
        of_position = (grad.gather(2, self.high) - grad.gather(2, self.low)) * self.slope
        of_position = of_position / self.count.clamp(min=1)
        stretched = self.stretched[:, None, None]
        by_first = torch.ones_like(self.share).where(stretched, 1 - self.share) * self.factor
        by_last = self.share.where(~stretched, 0) * self.factor
        return (of_position * by_first).sum((1, 2)), (of_position * by_last).sum((1, 2))


def _sides(rois: Tensor, grid: Sequence[int], shape: Sequence[int],
           options: Sequence) -> tuple[Side, Side]:
    return (Side(rois, 2, grid[0], shape[2], *options), Side(rois, 1, grid[1], shape[3], *options))


def _parts(rois: Tensor, channels: int, grid: Sequence[int], shape: Sequence[int]
           ) -> Iterator[tuple[int, Tensor]]:
    """An image and some of its rois, so many that the products fit into memory."""
    step = max(1, _MOST_NUMBERS // max(1, channels * grid[0] * shape[3]))
    for image in range(shape[0]):
        own = (rois[:, 0].long() == image).nonzero()[:, 0]
        for rows in own.split(step) if len(own) else ():
            yield image, rows


def roi_align(features: Tensor, rois: Tensor, pooled_h: int, pooled_w: int, spatial_scale: float,
              sampling_ratio: int, aligned: bool) -> Tensor:
    checks.check_sampling_ratio("roi_align", sampling_ratio)
    checks.check_regions("roi_align", features, rois, pooled_h, pooled_w)
    grid, channels = (pooled_h, pooled_w), features.shape[1]
    pooled = features.new_zeros(len(rois), channels, *grid)
    for image, own in _parts(rois, channels, grid, features.shape):
        rows, columns = _sides(rois[own], grid, features.shape,
                               (spatial_scale, sampling_ratio, aligned))
        lines = torch.einsum("rih,chw->rciw", rows.weights(), features[image])
        pooled[own] = torch.einsum("rciw,rjw->rcij", lines, columns.weights())
    return pooled


def roi_align_backward(grad: Tensor, rois: Tensor, feature_shape: Sequence[int],
                       spatial_scale: float, sampling_ratio: int, aligned: bool) -> Tensor:
    _check_backward("roi_align_backward", grad, rois, feature_shape, sampling_ratio)
    images, channels, height, width = feature_shape
    out = grad.new_zeros(images, height, width, channels).permute(0, 3, 1, 2)
    for image, own in _parts(rois, channels, grad.shape[2:], feature_shape):
        rows, columns = _sides(rois[own], grad.shape[2:], feature_shape,
                               (spatial_scale, sampling_ratio, aligned))
        lines = torch.einsum("rcij,rjw->rciw", grad[own], columns.weights())
        out[image] += torch.einsum("rih,rciw->chw", rows.weights(), lines)
    return out


def roi_align_rois_backward(grad: Tensor, features: Tensor, rois: Tensor, spatial_scale: float,
                            sampling_ratio: int, aligned: bool) -> Tensor:
    shape = features.shape
    _check_backward("roi_align_rois_backward", grad, rois, shape, sampling_ratio)
    checks.check_kind("roi_align_rois_backward", "rois are", rois, "features are", features)
    out = torch.zeros_like(rois)
    for image, own in _parts(rois, shape[1], grad.shape[2:], shape):
        rows, columns = _sides(rois[own], grad.shape[2:], shape,
                               (spatial_scale, sampling_ratio, aligned))
        lines = torch.einsum("rcij,rih->rcjh", grad[own], rows.weights())
        of_columns = torch.einsum("rcjh,chw->rjw", lines, features[image])
        lines = torch.einsum("rcij,rjw->rciw", grad[own], columns.weights())
        of_rows = torch.einsum("rciw,chw->rih", lines, features[image])
        out[own, 1], out[own, 3] = columns.to_corners(of_columns)
        out[own, 2], out[own, 4] = rows.to_corners(of_rows)
    return out


def _check_backward(op: str, grad: Tensor, rois: Tensor, shape: Sequence[int],
                    ratio: int) -> None:
    checks.check_regions_backward(op, grad, rois, shape)
    checks.check_sampling_ratio(op, ratio)
    checks.check_channels(op, grad, rois, shape)

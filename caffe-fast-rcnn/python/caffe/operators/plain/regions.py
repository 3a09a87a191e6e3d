"""ROIPooling and position-sensitive pooling of plain PyTorch operations (geometry.h, once more).

Every roi is cut into bins along its two sides; `Sides` holds the first cell of each bin and the one
behind its last, for all rois at once.
"""
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from caffe.operators.plain import checks

_FAR = 2 ** 24              # cells; far beyond any map
_MOST_NUMBERS = 2 ** 24     # gathered at once


class Sides(NamedTuple):
    """Bins along one side of R rois: cells begin, ..., end - 1; (R, bins) each."""

    begin: Tensor
    end: Tensor

    def mask(self, size: int) -> Tensor:
        """(R, bins, size): whether a bin has a cell of a map so many cells long."""
        cells = torch.arange(size, device=self.begin.device)
        return (self.begin[..., None] <= cells) & (cells < self.end[..., None])


def half_away_from_zero(x: Tensor) -> Tensor:
    return x.sign() * (x.abs() + 0.5).floor().where(x.abs() < _FAR, x.abs())


def corners(rois: Tensor, scale: float, column: int) -> tuple[Tensor, Tensor]:
    """First and last cell of a side, (R,) each, not cut off at the map's borders; column: 1 x, 2 y.
    """
    scaled = rois * torch.tensor(scale, dtype=rois.dtype)
    first, last = scaled[:, column], scaled[:, column + 2]
    return tuple(half_away_from_zero(x).clamp(-_FAR, _FAR) for x in (first, last))


def pooling_sides(rois: Tensor, scale: float, column: int, bins: int, size: int) -> Sides:
    """The bins of ROIPooling."""
    first, last = corners(rois, scale, column)
    length = (last - first + 1).clamp(min=1)[:, None] / bins
    index = torch.arange(bins + 1, device=rois.device, dtype=rois.dtype)
    begin, end = (index[:-1] * length).floor(), (index[1:] * length).ceil()
    return Sides(*((x + first[:, None]).clamp(0, size).long() for x in (begin, end)))


def sensitive_sides(rois: Tensor, scale: float, column: int, bins: int, size: int) -> Sides:
    """The bins of position-sensitive pooling (R-FCN)."""
    factor = torch.tensor(scale, dtype=rois.dtype)
    start = half_away_from_zero(rois[:, column]) * factor
    end = (half_away_from_zero(rois[:, column + 2]) + 1) * factor
    length = (end - start).clamp(min=0.1)[:, None] / bins
    index = torch.arange(bins + 1, device=rois.device, dtype=rois.dtype)
    edges = (index[:-1] * length + start[:, None]).floor(), \
        (index[1:] * length + start[:, None]).ceil()
    return Sides(*(x.clamp(0, size).long() for x in edges))


def roi_pool(features: Tensor, rois: Tensor, pooled_h: int, pooled_w: int, spatial_scale: float,
             with_argmax: bool) -> tuple[Tensor, Tensor]:
    checks.check_regions("roi_pool", features, rois, pooled_h, pooled_w)
    _, channels, height, width = features.shape
    rows = pooling_sides(rois, spatial_scale, 2, pooled_h, height)
    columns = pooling_sides(rois, spatial_scale, 1, pooled_w, width)
    cells = features.permute(0, 2, 3, 1).reshape(-1, channels)
    first = rois[:, 0].long() * (height * width)
    pooled = features.new_zeros(len(rois), channels, pooled_h, pooled_w)
    argmax = torch.full_like(pooled, -1, dtype=torch.int32)
    for i in range(pooled_h):
        for j in range(pooled_w):
            bins = rows.begin[:, i], rows.end[:, i], columns.begin[:, j], columns.end[:, j]
            for part in _parts(bins, channels):
                best, where = _maxima(cells, first[part], [x[part] for x in bins], width)
                pooled[part, :, i, j], argmax[part, :, i, j] = best, where
    return pooled, argmax if with_argmax else argmax.new_empty(0)


def _parts(bins: Sequence[Tensor], channels: int) -> Iterator[slice]:
    """The rois in parts whose gathered bins fit into memory."""
    height, width = _largest(bins)
    step = max(1, _MOST_NUMBERS // max(1, height * width * channels))
    for start in range(0, len(bins[0]), step):
        yield slice(start, start + step)


def _largest(bins: Sequence[Tensor]) -> list[int]:
    """Rows and columns of the largest bin."""
    top, bottom, left, right = bins
    if not len(top):
        return [0, 0]
    return [max(0, int((end - begin).max())) for begin, end in ((top, bottom), (left, right))]


def _maxima(cells: Tensor, first: Tensor, bins: Sequence[Tensor], width: int
            ) -> tuple[Tensor, Tensor]:
    """The maximum of one bin of each roi, (R, C), and its cell of the map; 0 and -1 where empty.

    cells: (N * H * W, C); first: (R,) the roi's image, as the number of its first cell.
    """
    top, bottom, left, right = bins
    high, wide = _largest(bins)
    if not high * wide:
        empty = cells.new_zeros(len(first), cells.shape[1])
        return empty, torch.full_like(empty, -1, dtype=torch.int32)
    row = top[:, None] + torch.arange(high, device=cells.device)
    column = left[:, None] + torch.arange(wide, device=cells.device)
    inside = (row < bottom[:, None])[:, :, None] & (column < right[:, None])[:, None]
    cell = (row[:, :, None] * width + column[:, None]).where(inside, 0).flatten(1)
    lowest = torch.finfo(cells.dtype).min
    values = cells[first[:, None] + cell]
    values = values.where(inside.flatten(1)[..., None] & ~values.isnan(), lowest)
    best, place = values.max(1)
    found = best > lowest
    empty_bin = ~inside.flatten(1).any(1, keepdim=True)
    return best.masked_fill(empty_bin, 0), cell.gather(1, place).where(found, -1).int()


def roi_pool_backward(grad: Tensor, rois: Tensor, argmax: Tensor, feature_shape: Sequence[int],
                      spatial_scale: float) -> Tensor:
    op = "roi_pool_backward"
    checks.check_regions_backward(op, grad, rois, feature_shape)
    checks.check_argmax(op, argmax, grad, feature_shape)
    checks.check_channels(op, grad, rois, feature_shape)
    images, channels, height, width = feature_shape
    row, column = argmax.long().div(max(width, 1), rounding_mode="floor"), argmax % max(width, 1)
    gets = argmax >= 0      # Caffe: only cells between the corners get a gradient
    for cell, side in ((row, 2), (column, 1)):
        first, last = (x[:, None, None, None] for x in corners(rois, spatial_scale, side))
        gets = gets & (first <= cell) & (cell <= last)
    plane = rois[:, :1].long() * channels + torch.arange(channels, device=grad.device)
    index = plane[..., None, None] * (height * width) + argmax.clamp(min=0)
    out = grad.new_zeros(images * channels * height * width)
    return out.index_add(0, index[gets], grad[gets]).reshape(images, channels, height, width)


def psroi_pool(features: Tensor, rois: Tensor, output_dim: int, group_size: int,
               spatial_scale: float) -> Tensor:
    checks.check_regions("psroi_pool", features, rois, group_size, group_size)
    checks.require(output_dim > 0 and features.shape[1] == output_dim * group_size ** 2,
                   f"psroi_pool: features must have output_dim * group_size^2 = {output_dim} * "
                   f"{group_size}^2 channels, not {checks.sizes(features)}")
    rows, columns = _shares(rois, features.shape, group_size, spatial_scale)
    pooled = features.new_zeros(len(rois), output_dim, group_size, group_size)
    for image, own in _by_image(rois, len(features)):
        maps = features[image].reshape(output_dim, group_size, group_size, *features.shape[2:])
        lines = torch.einsum("rih,cijhw->rcijw", rows[own], maps)
        pooled[own] = torch.einsum("rjw,rcijw->rcij", columns[own], lines)
    return pooled


def psroi_pool_backward(grad: Tensor, rois: Tensor, feature_shape: Sequence[int],
                        spatial_scale: float) -> Tensor:
    op = "psroi_pool_backward"
    checks.check_regions_backward(op, grad, rois, feature_shape)
    images, channels, height, width = feature_shape
    group = grad.shape[2]
    checks.require(group == grad.shape[3] and channels == grad.shape[1] * group ** 2,
                   f"{op}: grad is {checks.sizes(grad)}, features are {list(feature_shape)}")
    checks.check_rois(op, rois, images)
    rows, columns = _shares(rois, feature_shape, group, spatial_scale)
    out = grad.new_zeros(images, grad.shape[1], group, group, height, width)
    for image, own in _by_image(rois, images):
        lines = torch.einsum("rcij,rjw->rcijw", grad[own], columns[own])
        out[image] = torch.einsum("rih,rcijw->cijhw", rows[own], lines)
    return out.reshape(images, channels, height, width)


def _shares(rois: Tensor, shape: Sequence[int], group: int, scale: float) -> list[Tensor]:
    """(R, group, H) and (R, group, W): the share of each row and column in the mean of a bin."""
    shares = []
    for column, size in ((2, shape[2]), (1, shape[3])):
        mask = sensitive_sides(rois, scale, column, group, size).mask(size).to(rois.dtype)
        shares.append(mask / mask.sum(2, keepdim=True).clamp(min=1))
    return shares


def _by_image(rois: Tensor, images: int) -> Iterator[tuple[int, Tensor]]:
    """Each image that has rois, and their rows."""
    for image in range(images):
        own = (rois[:, 0].long() == image).nonzero()[:, 0]
        if len(own):
            yield image, own

"""Pooling and spatial pyramid pooling. Caffe: pooling_layer.cpp, spp_layer.cpp.

The number of windows is rounded up, so that the last one may extend beyond the bottom; with
padding it must at least start inside bottom + pad. An average divides by the size of the window's
part inside bottom + both pads.
"""
import functools
import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from caffe.layer_types.common.module import Module, Numbers, Shape, Shapes, Tops
from caffe.layer_types.common.registry import register
from caffe.operators import pooling
from caffe.proto import caffe_pb2
from caffe.proto.caffe_pb2 import LayerParameter

MAX, AVE = caffe_pb2.PoolingParameter.MAX, caffe_pb2.PoolingParameter.AVE
STOCHASTIC = caffe_pb2.PoolingParameter.STOCHASTIC
Axes = tuple[int, ...]      # one number along each spatial axis: (depth,) height and width
_MAX_POOL = {2: F.max_pool2d, 3: F.max_pool3d}
_AVERAGE_POOL = {2: F.avg_pool2d, 3: F.avg_pool3d}


class Grid(NamedTuple):
    """Windows along the spatial axes: kernel, stride and pad, and how many there are."""

    kernel: Axes
    stride: Axes
    pad: Axes
    counts: Axes

    def margins(self, size: Axes) -> Axes:
        """Cells that the windows need beyond each side of the bottom, in F.pad's order."""
        sides = [(p, s * (c - 1) + k - p - n) for n, k, s, p, c in
                 zip(size, self.kernel, self.stride, self.pad, self.counts)]
        return tuple(cells for side in reversed(sides) for cells in side)


def _count(size: int, kernel: int, stride: int, pad: int, clip: bool, up: bool) -> int:
    span = size + 2 * pad - kernel
    count = (-(-span // stride) if up else span // stride) + 1
    return count - 1 if clip and (count - 1) * stride >= size + pad else count


@functools.lru_cache(maxsize=256)
def make_grid(size: Axes, kernel: Axes, stride: Axes, pad: Axes, up: bool = True) -> Grid:
    """The Grid over a bottom of this spatial size; `up`: round the number of windows up."""
    clip = any(pad)  # Caffe clips only where there is padding
    counts = tuple(_count(*each, clip, up) for each in zip(size, kernel, stride, pad))
    return Grid(kernel, stride, pad, counts)


@functools.lru_cache(maxsize=256)
def _ceil_mode(grid: Grid, size: Axes) -> bool | None:
    """The ceil_mode with which PyTorch's pooling has exactly these windows, or None."""
    if any(2 * p > k for k, p in zip(grid.kernel, grid.pad)):
        return None
    for up in (True, False):
        windows = zip(size, grid.kernel, grid.stride, grid.pad)
        if tuple(_count(*each, clip=True, up=up) for each in windows) == grid.counts:
            return up
    return None


def max_pool(x: Tensor, grid: Grid) -> tuple[Tensor, Tensor]:
    """(maxima, flat index inside the channel of each), both (N, C, *grid.counts).

    Of equal values the first counts. Windows without values give -FLT_MAX and index -1.
    """
    size, pool = x.shape[2:], _MAX_POOL[x.dim() - 2]
    ceil_mode = _ceil_mode(grid, size)
    if ceil_mode is not None:
        return pool(x, grid.kernel, grid.stride, grid.pad, ceil_mode=ceil_mode,
                    return_indices=True)
    padded = F.pad(x, grid.margins(size), value=-math.inf)
    top, index = pool(padded, grid.kernel, grid.stride, return_indices=True)
    index, inside = _without_margins(index, padded.shape[2:], size, grid.pad)
    lowest = torch.finfo(top.dtype).min     # Caffe: -FLT_MAX, the maximum of no values
    return top.masked_fill(~inside, lowest), index.masked_fill(~inside, -1)


def _without_margins(index: Tensor, padded: Axes, size: Axes, pad: Axes) -> tuple[Tensor, Tensor]:
    """Flat indices into the bottom for those into the padded bottom; whether they are inside."""
    inside, flat, weight = torch.ones_like(index, dtype=torch.bool), 0, 1
    for cells, count, before in zip(reversed(padded), reversed(size), reversed(pad)):
        place, index = index % cells - before, index // cells
        inside = inside & (place >= 0) & (place < count)
        flat, weight = flat + place * weight, weight * count
    return flat, inside


def average_pool(x: Tensor, grid: Grid) -> Tensor:
    """Averages over the windows, (N, C, *grid.counts)."""
    size, pool = x.shape[2:], _AVERAGE_POOL[x.dim() - 2]
    ceil_mode = _ceil_mode(grid, size)
    if ceil_mode is not None:
        return pool(x, grid.kernel, grid.stride, grid.pad, ceil_mode, count_include_pad=True)
    sums = pool(F.pad(x, grid.margins(size)), grid.kernel, grid.stride, divisor_override=1)
    return sums / window_divisors(size, grid, x)


def window_divisors(size: Axes, grid: Grid, like: Tensor) -> Tensor:
    """What Caffe divides the sum of each window by, (*grid.counts); a tensor such as `like`."""
    lengths = [_lengths(*each, like) for each in
               zip(size, grid.kernel, grid.stride, grid.pad, grid.counts)]
    return math.prod(torch.meshgrid(*lengths, indexing="ij"))


def _lengths(size: int, kernel: int, stride: int, pad: int, count: int, like: Tensor) -> Tensor:
    """Length of each window inside bottom + pads (not positive: the window is empty)."""
    start = torch.arange(count, device=like.device, dtype=like.dtype) * stride
    return kernel - (start + kernel - size - 2 * pad).clamp(min=0)


def stochastic_pool(x: Tensor, grid: Grid, phase: int) -> Tensor:
    """Values drawn in proportion to themselves (TRAIN), or their expectation (TEST).

    Zeiler and Fergus 2013. Caffe: pooling_layer.cu; the bottom must not be negative.
    """
    windows = F.pad(x, grid.margins(x.shape[2:]))
    for axis, (kernel, stride) in enumerate(zip(grid.kernel, grid.stride)):
        windows = windows.unfold(2 + axis, kernel, stride)
    windows = windows.flatten(x.dim())
    if phase == caffe_pb2.TEST:
        total = windows.sum(-1)
        mean = windows.square().sum(-1) / torch.where(total > 0, total, 1)
        return torch.where(total > 0, mean, 0)
    sums = windows.detach().cumsum(-1)
    draw = torch.rand_like(sums[..., 0]) * sums[..., -1]
    index = (sums < draw[..., None]).sum(-1, keepdim=True).clamp(max=sums.shape[-1] - 1)
    return windows.gather(-1, index)[..., 0]


@register("Pooling")
class Pooling(Module):
    """The maximum, average or a random value of each window.

    bottom[0]: (N, C, H, W), or (N, C, D, H, W) as forks for volumes take it: one kernel size,
               stride and pad for all three axes
    top[0]:    (N, C, ph, pw), ph = ceil((H + 2 pad - kernel) / stride) + 1
    top[1]:    MAX only: the flat index y * W + x of each maximum, as floats
    """

    tops = (1, 2)

    def __init__(self, param: LayerParameter, shapes: Shapes, phase: int) -> None:
        super().__init__(param, shapes, phase)
        p = self.p = param.pooling_param
        self.kind, self.has_index = p.pool, len(param.top) > 1
        self.axes = self._spatial_axes(shapes[0])
        if p.pool != MAX and len(param.top) > 1:
            raise self.error(f"expected 1 top unless pool is MAX, got {len(param.top)}")
        kernel = None if p.global_pooling else self._along_axes("kernel", "kernel_size")
        self.kernel = kernel
        self.stride, self.pad = self._along_axes("stride", "stride"), self._along_axes("pad", "pad")
        if kernel is None:
            self._check_global()
        elif min(kernel) < 1 or min(self.stride) < 1:
            raise self.error(f"expected kernel and stride > 0, got {kernel} and {self.stride}")
        elif any(pad >= k for pad, k in zip(self.pad, kernel)):
            raise self.error(f"expected pad < kernel, got {self.pad} and {kernel}")
        if any(self.pad) and p.pool == STOCHASTIC:
            raise self.error(f"expected no pad for stochastic pooling, got {self.pad}")
        if len(param.top) == 1:     # bfloat16 has not the digits for an index
            self.numbers = Numbers.OF_BOTTOM if p.pool == MAX else Numbers.ROUNDED
        self.draws = p.pool == STOCHASTIC and phase == caffe_pb2.TRAIN
        self.rounds_up = p.ceil_mode and p.round_mode == caffe_pb2.PoolingParameter.CEIL

    def _spatial_axes(self, shape: Shape) -> int:
        if len(shape) not in (4, 5):
            raise self.error("expected a bottom of shape (N, C, H, W), or (N, C, D, H, W), got "
                             f"{tuple(shape)}")
        return len(shape) - 2

    def _along_axes(self, name: str, square: str) -> Axes:
        """A field for every axis, written once or as its _h and _w pair, but not both."""
        p, pair = self.p, (name + "_h", name + "_w")
        given = [p.HasField(field) for field in pair]
        if p.HasField(square) and any(given) or any(given) != all(given):
            raise self.error(f"expected {square}, or {pair[0]} and {pair[1]}, got a mixture")
        if any(given) and self.axes != 2:
            raise self.error(f"expected {square} for a bottom with {self.axes} spatial axes, got "
                             f"{pair[0]} and {pair[1]}")
        if name == "kernel" and not (p.HasField(square) or all(given)):
            raise self.error("expected kernel_size, or kernel_h and kernel_w, got none of them")
        return tuple(getattr(p, field) for field in pair) if all(given) else \
            (getattr(p, square),) * self.axes

    def _check_global(self) -> None:
        if any(self.p.HasField(f) for f in ("kernel_size", "kernel_h", "kernel_w")):
            raise self.error("expected no kernel size with global_pooling, got one")
        if any(self.pad) or set(self.stride) != {1}:
            raise self.error(f"expected pad 0 and stride 1 with global_pooling, got {self.pad} and "
                             f"{self.stride}")

    def top_shapes(self, shapes: Shapes) -> list[Shape]:
        return [(*shapes[0][:2], *self._grid(tuple(shapes[0])).counts)] * len(self.param.top)

    def _grid(self, shape: Shape) -> Grid:
        """The Grid over a bottom of this shape."""
        if self._spatial_axes(shape) != self.axes:
            raise self.error(f"expected {self.axes + 2} axes as when the net was built, got shape "
                             f"{shape}")
        size = shape[2:]
        grid = make_grid(size, self.kernel or size, self.stride, self.pad, self.rounds_up)
        if min(grid.counts) < 1:
            raise self.error(f"expected a bottom that the kernel {grid.kernel} fits into, got "
                             f"{shape} with pad {grid.pad}")
        return grid

    def forward(self, x: Tensor) -> Tops:
        grid = self._grid(tuple(x.shape))
        if self.kind == AVE:
            return pooling.average_pool(x, *grid) if pooling.takes(x) else average_pool(x, grid)
        if self.kind == STOCHASTIC:
            return stochastic_pool(x, grid, self.phase)
        if not self.has_index and pooling.takes(x):
            return pooling.max_pool(x, *grid)
        top, index = max_pool(x, grid)
        return (top, index.to(x.dtype)) if self.has_index else top


@register("SPP")
class SPP(Module):
    """Spatial pyramid pooling: 1, 2 x 2, 4 x 4, ... bins, flattened and joined.

    bottom[0]: (N, C, H, W)     top[0]: (N, C * all bins); one level alone is (N, C, 1, 1)
    """

    def __init__(self, param: LayerParameter, shapes: Shapes, phase: int) -> None:
        super().__init__(param, shapes, phase)
        p = param.spp_param
        self.levels, self.pool = p.pyramid_height, p.pool
        if self.levels < 1:
            raise self.error("expected pyramid_height > 0, got none")
        if p.pool == caffe_pb2.SPPParameter.STOCHASTIC:
            raise self.error("expected pool MAX or AVE, got STOCHASTIC")

    def forward(self, x: Tensor) -> Tensor:
        if x.dim() != 4:
            raise self.error(f"expected a bottom of shape (N, C, H, W), got {tuple(x.shape)}")
        tops = [self._level(x, 2 ** level) for level in range(self.levels)]
        return tops[0] if len(tops) == 1 else torch.cat([top.flatten(1) for top in tops], 1)

    def _level(self, x: Tensor, bins: int) -> Tensor:
        size = x.shape[2:]
        kernel = tuple(math.ceil(n / bins) for n in size)
        pad = tuple((k * bins - n + 1) // 2 for k, n in zip(kernel, size))
        if any(p >= k for p, k in zip(pad, kernel)):
            raise self.error(f"expected a bottom larger than a pyramid of {bins} x {bins} bins "
                             f"needs, got {tuple(x.shape)}")
        grid = make_grid(size, kernel, kernel, pad)
        return average_pool(x, grid) if self.pool == AVE else max_pool(x, grid)[0]

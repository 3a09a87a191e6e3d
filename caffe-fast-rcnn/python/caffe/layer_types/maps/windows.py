"""Sliding windows over any number of spatial axes: their options, sizes and the windows themselves.

Caffe: base_conv_layer.cpp and im2col.cpp. Letters: k kernel, s stride, p pad, d dilation, each a
tuple with one number per spatial axis.
"""
import itertools
from collections.abc import Sequence
from typing import NamedTuple

import torch.nn.functional as F
from torch import Tensor

from caffe.layer_types.common.module import Module
from caffe.proto.caffe_pb2 import ConvolutionParameter


class Windows(NamedTuple):
    """The geometry of a convolution, one number per spatial axis."""

    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    pad: tuple[int, ...]
    dilation: tuple[int, ...]

    @property
    def extent(self) -> tuple[int, ...]:
        """Size of a window on the bottom: d * (k - 1) + 1."""
        return tuple(d * (k - 1) + 1 for k, d in zip(self.kernel, self.dilation))

    def counts(self, size: Sequence[int]) -> tuple[int, ...]:
        """Number of windows along each axis of a bottom of this spatial size."""
        return tuple((n + 2 * p - e) // s + 1
                     for n, p, e, s in zip(size, self.pad, self.extent, self.stride))

    def covered(self, count: Sequence[int]) -> tuple[int, ...]:
        """Spatial size of the bottom that this many windows cover (of a deconvolution's top)."""
        return tuple(s * (n - 1) + e - 2 * p
                     for n, p, e, s in zip(count, self.pad, self.extent, self.stride))


def read_windows(layer: Module, p: ConvolutionParameter, axes: int) -> Windows:
    """The Windows that a ConvolutionParameter asks for over this many spatial axes."""
    windows = Windows(_field(layer, p, "kernel", p.kernel_size, axes, None),
                      _field(layer, p, "stride", p.stride, axes, 1),
                      _field(layer, p, "pad", p.pad, axes, 0),
                      _dilation(layer, p, axes))
    for name in ("kernel", "stride", "dilation"):
        if min(getattr(windows, name), default=1) < 1:
            raise layer.error(f"expected {name} > 0, got {getattr(windows, name)}")
    return windows


def _field(layer: Module, p: ConvolutionParameter, name: str, values: Sequence[int], axes: int,
           default: int | None) -> tuple[int, ...]:
    """A field that is written as repeated values, or as its _h and _w pair."""
    h, w = name + "_h", name + "_w"
    if not (p.HasField(h) or p.HasField(w)):
        return _spread(layer, "kernel_size" if name == "kernel" else name, values, axes, default)
    if values:
        raise layer.error(f"expected {name} once for all axes or as {h} and {w}, got both")
    if axes != 2:
        raise layer.error(f"expected 2 spatial axes for {h} and {w}, got {axes}")
    return getattr(p, h), getattr(p, w)


def _dilation(layer: Module, p: ConvolutionParameter, axes: int) -> tuple[int, ...]:
    """`dilation`, or `hole` (hole_h, hole_w) as DeepLab spells it."""
    if not any(map(p.HasField, ("hole", "hole_h", "hole_w"))):
        return _spread(layer, "dilation", p.dilation, axes, 1)
    if p.dilation:
        raise layer.error("expected dilation or hole, got both")
    return _field(layer, p, "hole", [p.hole] if p.HasField("hole") else [], axes, 1)


def _spread(layer: Module, name: str, values: Sequence[int], axes: int,
            default: int | None) -> tuple[int, ...]:
    if not values and default is not None:
        return (default,) * axes
    if axes and len(values) not in (1, axes):
        raise layer.error(f"expected {name} once, or once for each of the {axes} spatial axes, got "
                          f"it {len(values)} times")
    return tuple(values[:axes]) if len(values) > 1 else tuple(values) * axes


def pad_axes(x: Tensor, before: Sequence[int], after: Sequence[int]) -> Tensor:
    """Zeros (or, where negative, a cut) around the last axes of x, one number per axis."""
    pairs = itertools.chain.from_iterable(zip(reversed(before), reversed(after)))
    return F.pad(x, tuple(pairs))


def unfold_windows(x: Tensor, windows: Windows) -> Tensor:
    """(N, C, *size) to (N, C, *count, *kernel): all windows of x, as a view of the padded x."""
    x = pad_axes(x, windows.pad, windows.pad)
    for axis, (e, s, d) in enumerate(zip(windows.extent, windows.stride, windows.dilation)):
        x = x.unfold(2 + axis, e, s)[..., ::d]
    return x

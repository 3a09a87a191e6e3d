"""Convolution, Deconvolution and Im2col over any number of spatial axes.

Caffe: base_conv_layer.cpp, conv_layer.cpp, deconv_layer.cpp, im2col_layer.cpp.
DepthwiseConvolution, ConvolutionDepthwise: MobileNet's depthwise_conv_layer.cpp, conv_dw_layer.cpp.
Shapes: (N, C, *size), where N may stand for several axes in front of the channel axis `axis`.
Weights are kept channels_last, which makes the activations so too.
"""
import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from caffe.core import state
from caffe.layer_types.common.module import Module, Numbers, Shape, Shapes, Tops
from caffe.layer_types.common.registry import register
from caffe.layer_types.maps.depthwise import depthwise_convolution, is_slow_depthwise
from caffe.layer_types.maps.windows import Windows, pad_axes, read_windows, unfold_windows
from caffe.operators import winograd
from caffe.proto.caffe_pb2 import ConvolutionParameter, LayerParameter

_CONVOLVE = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
_DECONVOLVE = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}


class _Windowed(Module):
    """What the three types share: the channel axis and the windows."""

    bottoms = tops = (1, None)
    same_count = True

    def __init__(self, param: LayerParameter, shapes: Shapes, phase: int) -> None:
        super().__init__(param, shapes, phase)
        p = param.convolution_param
        self.axis = self.axis_of(shapes[0], p.axis)
        self.bottom_axes = len(shapes[0])
        self.windows = read_windows(self, p, self.bottom_axes - self.axis - 1)

    def apply(self, x: Tensor) -> Tensor:
        """The top of one bottom of shape (N, C, *size)."""
        raise self.error("has no forward pass")

    def top_size(self, size: Sequence[int]) -> tuple[int, ...]:
        """Spatial size of the top for a bottom of this spatial size."""
        return self.windows.counts(size)

    def forward(self, *bottoms: Tensor) -> Tops:
        for x in bottoms:
            self._check(x.shape, bottoms[0].shape)
        tops = tuple(self._one(x) for x in bottoms)
        return tops if len(tops) > 1 else tops[0]

    def _one(self, x: Tensor) -> Tensor:
        if self.axis == 1:
            return self.apply(x)
        lead = x.shape[:self.axis]
        top = self.apply(x.reshape(math.prod(lead), *x.shape[self.axis:]))
        return top.reshape(*lead, *top.shape[1:])

    def _check(self, shape: Shape, first: Shape) -> None:
        if len(shape) != self.bottom_axes:
            raise self.error(f"expected {self.bottom_axes} axes as when the net was built, got "
                             f"shape {tuple(shape)}")
        if shape != first:
            raise self.error(f"expected bottoms of one shape, got {tuple(first)} and "
                             f"{tuple(shape)}")
        if min(self.top_size(shape[self.axis + 1:]), default=1) < 1:
            raise self.error(f"expected a bottom that the kernel {self.windows.kernel} fits into, "
                             f"got {tuple(shape)} with pad {self.windows.pad}")


class _Learned(_Windowed):
    """What Convolution and Deconvolution share: weights, bias and groups."""

    fresh_tops = True

    def __init__(self, param: LayerParameter, shapes: Shapes, phase: int) -> None:
        super().__init__(param, shapes, phase)
        p = param.convolution_param
        self.channels = shapes[0][self.axis]
        self.group, self.num_output = self.groups_and_outputs(p)
        if self.num_output < 1:
            raise self.error("expected num_output > 0, got none")
        for name, count in (("bottom channels", self.channels), ("num_output", self.num_output)):
            if self.group < 1 or count % self.group:
                raise self.error(f"expected {name} to be a multiple of group {self.group}, got "
                                 f"{count}")
        self.add_blob(self.weight_shape(), p.weight_filler, memory_format=torch.channels_last)
        if p.bias_term:
            self.add_blob((self.num_output,), p.bias_filler)
        if self.axis == 1 and len(self.windows.kernel) == 2:
            self.numbers = Numbers.OF_NET

    def groups_and_outputs(self, p: ConvolutionParameter) -> tuple[int, int]:
        """How many groups and top channels the ConvolutionParameter asks for."""
        return p.group, p.num_output

    def weight_shape(self) -> Shape:
        """Shape of the weights."""
        return (self.num_output, self.channels // self.group, *self.windows.kernel)

    def top_shapes(self, shapes: Shapes) -> list[Shape]:
        """From `top_size`; the first run on the meta device costs half a second of imports."""
        shapes = [tuple(shape) for shape in shapes]
        for shape in shapes:
            self._check(shape, shapes[0])
        return [(*shape[:self.axis], self.num_output, *self.top_size(shape[self.axis + 1:]))
                for shape in shapes]

    def weight_and_bias(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        """The learnable blobs in the type of a bottom, which is that of the products' factors."""
        weight, *bias = (blob.to(x.dtype) for blob in self.blobs)
        return weight, bias[0] if bias else None

    def _check(self, shape: Shape, first: Shape) -> None:
        if len(shape) == self.bottom_axes and shape[self.axis] != self.channels:
            raise self.error(f"expected {self.channels} channels as when the net was built, got "
                             f"{shape[self.axis]} (bottom {tuple(shape)})")
        super()._check(shape, first)


@register("Convolution")
class Convolution(_Learned):
    """top = sum over the window and the group's channels of weight * bottom, + bias.

    bottom[i]: (N, C, *size)     top[i]: (N, num_output, *((size + 2p - extent) // s + 1))
    params:    weight (num_output, C / group, *kernel), bias (num_output,)
    """

    def apply(self, x: Tensor) -> Tensor:
        w, axes = self.windows, len(self.windows.kernel)
        weight, bias = self.weight_and_bias(x)
        if self.takes_winograd(x):
            return winograd.winograd_conv2d(x, weight, bias, w.pad)
        if is_slow_depthwise(x, weight, w, self.group):
            return depthwise_convolution(x, weight, bias, w)
        if axes in _CONVOLVE:
            return _CONVOLVE[axes](x, weight, bias, w.stride, w.pad, w.dilation, self.group)
        return convolve(x, weight, bias, w, self.group)

    def takes_winograd(self, x: Tensor) -> bool:
        """Whether this bottom is convolved by Winograd's algorithm, its weights packed anew."""
        w = self.windows
        if not (w.kernel == (3, 3) and w.stride == w.dilation == (1, 1) and self.group == 1
                and state.allows_winograd()):
            return False
        if x.device.type != "cpu" or x.dtype not in winograd.NUMBERS \
                or torch.is_autocast_enabled("cpu"):
            return False
        height, width = w.counts(x.shape[2:])
        return winograd.pays(self.channels, self.num_output, len(x) * height, width,
                             torch.get_num_threads(), packed=False, factors=x.dtype)


class _Depthwise(Convolution):
    """A Convolution of each channel alone: group and num_output are the bottom's channels.

    params: weight (C, 1, *kernel), bias (C,)
    """

    def groups_and_outputs(self, p: ConvolutionParameter) -> tuple[int, int]:
        for field in ("group", "num_output"):
            if p.HasField(field) and getattr(p, field) != self.channels:
                raise self.error(f"expected no {field}, or the {self.channels} channels of the "
                                 f"bottom, got {getattr(p, field)}")
        return self.channels, self.channels


@register("DepthwiseConvolution")
class DepthwiseConvolution(_Depthwise):
    """The name that most forks use."""


@register("ConvolutionDepthwise")
class ConvolutionDepthwise(_Depthwise):
    """The name that others use."""


@register("Deconvolution")
class Deconvolution(_Learned):
    """The transposed convolution: every bottom value adds its weighted kernel to the top.

    bottom[i]: (N, C, *size)     top[i]: (N, num_output, *(s * (size - 1) + extent - 2p))
    params:    weight (C, num_output / group, *kernel), bias (num_output,)
    """

    def weight_shape(self) -> Shape:
        return (self.channels, self.num_output // self.group, *self.windows.kernel)

    def top_size(self, size: Sequence[int]) -> tuple[int, ...]:
        return self.windows.covered(size)

    def apply(self, x: Tensor) -> Tensor:
        w, axes = self.windows, len(self.windows.kernel)
        weight, bias = self.weight_and_bias(x)
        if axes in _DECONVOLVE:
            return _DECONVOLVE[axes](x, weight, bias, w.stride, w.pad, 0, self.group, w.dilation)
        return deconvolve(x, weight, bias, w, self.group)


@register("Im2col")
class Im2col(_Windowed):
    """Every window of the bottom as a column of channels.

    bottom[i]: (N, C, *size)     top[i]: (N, C * prod(kernel), *count), channel-major
    """

    def apply(self, x: Tensor) -> Tensor:
        axes = len(self.windows.kernel)
        columns = unfold_windows(x, self.windows)
        count = columns.shape[2:2 + axes]
        order = (0, 1, *range(2 + axes, 2 + 2 * axes), *range(2, 2 + axes))
        return columns.permute(order).reshape(x.shape[0], -1, *count)


def convolve(x: Tensor, weight: Tensor, bias: Tensor | None, windows: Windows,
             group: int) -> Tensor:
    """Convolution over any number of spatial axes, for those that PyTorch has no operator for."""
    axes = len(windows.kernel)
    columns = unfold_windows(x, windows).unflatten(1, (group, -1))  # (N, G, C/G, *count, *kernel)
    weight = weight.unflatten(0, (group, -1))                       # (G, O/G, C/G, *kernel)
    count, kernel = list(range(4, 4 + axes)), list(range(4 + axes, 4 + 2 * axes))
    top = torch.einsum(columns, [0, 1, 3, *count, *kernel], weight, [1, 2, 3, *kernel],
                       [0, 1, 2, *count]).flatten(1, 2)
    return top if bias is None else top + bias.view(-1, *(1,) * axes)


def deconvolve(x: Tensor, weight: Tensor, bias: Tensor | None, windows: Windows,
               group: int) -> Tensor:
    """The adjoint of `convolve`: zeros between the bottom's values, and the kernel mirrored."""
    size, stride = x.shape[2:], windows.stride
    spread = x.new_zeros(*x.shape[:2], *(s * (n - 1) + 1 for s, n in zip(stride, size)))
    spread[(..., *(slice(None, None, s) for s in stride))] = x
    border = tuple(e - 1 - p for e, p in zip(windows.extent, windows.pad))
    ones, zeros = (1,) * len(size), (0,) * len(size)
    mirrored = weight.flip(tuple(range(2, weight.dim()))).unflatten(0, (group, -1))
    return convolve(pad_axes(spread, border, border), mirrored.transpose(1, 2).flatten(0, 1), bias,
                    windows._replace(stride=ones, pad=zeros), group)

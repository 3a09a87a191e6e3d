"""Layers that bring values to one scale: LRN, BatchNorm, MVN, and the forks' Normalize and BN.

Caffe: lrn_layer.cpp, batch_norm_layer.cpp, mvn_layer.cpp; Normalize: SSD's normalize_layer.cpp; BN:
bn_layer.cpp of PSPNet and of SegNet.
"""
import math

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx

from caffe.layer_types.common.module import Module, Numbers, Shape, Shapes, Tops, filler_or
from caffe.layer_types.common.registry import register
from caffe.operators import ops
from caffe.proto import caffe_pb2
from caffe.proto.caffe_pb2 import LayerParameter

_SEGNET_EPS = 1e-9


@register("LRN")
class LRN(Module):
    """top = bottom / (k + alpha * mean of squares over the neighbourhood) ^ beta.

    bottom[0]: (N, C, H, W). The neighbourhood is local_size channels, or local_size x local_size
    pixels WITHIN_CHANNEL (k is 1 then). Values outside the bottom count as 0 in the mean.
    """

    numbers = Numbers.ROUNDED

    def __init__(self, param: LayerParameter, shapes: Shapes, phase: int) -> None:
        super().__init__(param, shapes, phase)
        p = self.p = param.lrn_param
        self.within = p.norm_region == caffe_pb2.LRNParameter.WITHIN_CHANNEL
        if p.local_size % 2 == 0:
            raise self.error(f"expected an odd local_size, got {p.local_size}")

    def forward(self, x: Tensor) -> Tensor:
        if x.dim() != 4:
            raise self.error(f"expected a bottom of shape (N, C, H, W), got {tuple(x.shape)}")
        p = self.p
        if self.within:
            return ops.lrn_within(x, p.local_size, p.alpha, p.beta)
        return ops.lrn_across(x, p.local_size, p.alpha, p.beta, p.k)


@register("BatchNorm")
class BatchNorm(Module):
    """top = (bottom - mean) / sqrt(variance + eps), per channel.

    bottom[0]: (N, C, ...), or (N,) for one channel
    params:    sums of means (C,) and of variances (C,), and their weight (1,); none is learned.
    Mean and variance are those of the bottom, which are also added to the sums, the sums having
    been multiplied by moving_average_fraction; or, with use_global_stats (the default in the TEST
    phase), the sums divided by their weight.
    NVIDIA's scale_bias: the top is multiplied by a scale (C,) and a bias (C,) is added; both are
    learned, and are the last params.
    """

    numbers = Numbers.ROUNDED

    def __init__(self, param: LayerParameter, shapes: Shapes, phase: int) -> None:
        super().__init__(param, shapes, phase)
        p = param.batch_norm_param
        self.fraction, self.eps = p.moving_average_fraction, p.eps
        self.use_global = (p.use_global_stats if p.HasField("use_global_stats")
                           else phase == caffe_pb2.TEST)
        self.fresh_tops = self.overwrites = self.use_global
        self.channels = shapes[0][1] if len(shapes[0]) > 1 else 1
        for shape in ((self.channels,), (self.channels,), (1,)):
            self.add_blob(shape)
        self.blobs.requires_grad_(False)
        if p.scale_bias or p.HasField("scale_filler") or p.HasField("bias_filler"):
            self.add_blob((self.channels,), filler_or(p, "scale_filler", 1))
            self.add_blob((self.channels,), p.bias_filler)
        self._freeze(param)

    def _freeze(self, param: LayerParameter) -> None:
        """Caffe: the statistics must not get a learning rate, and get 0 where none is given."""
        if len(self.blobs) == 3 and any(spec.lr_mult != 0 for spec in param.param):
            raise self.error("expected lr_mult 0 for the statistics, got another one; learn a "
                             "Scale layer behind this one instead")
        while len(param.param) < 3:
            param.param.add(lr_mult=0)
        for spec in param.param[:3]:
            spec.lr_mult = 0

    def top_shapes(self, shapes: Shapes) -> list[Shape]:
        self._check(shapes[0])
        return [tuple(shapes[0])]

    def _check(self, shape: Shape) -> None:
        if (shape[1] if len(shape) > 1 else 1) != self.channels:
            raise self.error(f"expected {self.channels} channels as when the net was built, got "
                             f"bottom {tuple(shape)}")

    def forward(self, x: Tensor) -> Tensor:
        self._check(x.shape)
        if self.use_global:
            return torch.addcmul(*self._shift_x_scale(x))
        axes = [axis for axis in range(x.dim()) if axis != 1]
        per_channel = _per_channel(x)
        variance, mean = torch.var_mean(x.detach(), axes, correction=0)
        self._add_stats(mean, variance, x.numel() // self.channels)
        scale = (variance + self.eps).sqrt()
        top = _Standardised.apply(x, mean.view(per_channel), scale.view(per_channel), axes)
        if len(self.blobs) == 3:
            return top
        return torch.addcmul(self.blobs[4].view(per_channel), top, self.blobs[3].view(per_channel))

    def forward_inplace(self, x: Tensor) -> Tensor:
        return torch.addcmul(*self._shift_x_scale(x), out=x)

    def _shift_x_scale(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(shift, x, scale) for which shift + x * scale is x in the global statistics."""
        mean, variance, weight, *learned = self.blobs
        factor = torch.where(weight == 0, 0, 1 / weight)
        scale = (variance * factor + self.eps).rsqrt()
        if learned:
            scale = scale * learned[0]
        shift = -mean * factor * scale + (learned[1] if learned else 0)
        return shift.view(_per_channel(x)), x, scale.view(_per_channel(x))

    @torch.no_grad()
    def _add_stats(self, mean: Tensor, variance: Tensor, count: int) -> None:
        corrected = variance * (count / (count - 1) if count > 1 else 1)
        for blob, new in zip(self.blobs, (mean, corrected, 1)):
            blob.mul_(self.fraction).add_(new)


def _per_channel(x: Tensor) -> Shape:
    """The shape in which (C,) numbers broadcast to x (N, C, ...), or one number to x (N,)."""
    return (1, -1, *(1,) * (x.dim() - 2)) if x.dim() > 1 else (1,)


@register("MVN")
class MVN(Module):
    """top = (bottom - mean) / (standard deviation + eps), per item and channel.

    bottom[0]: (N, C, ...); with across_channels per item; normalize_variance: false only subtracts
    the mean.
    """

    def __init__(self, param: LayerParameter, shapes: Shapes, phase: int) -> None:
        super().__init__(param, shapes, phase)
        p = param.mvn_param
        self.across, self.variance, self.eps = p.across_channels, p.normalize_variance, p.eps

    def forward(self, x: Tensor) -> Tensor:
        lead = x.shape[:1 if self.across else 2]
        rows = x.reshape(math.prod(lead), -1)
        if not self.variance:
            return (rows - rows.mean(1, keepdim=True)).reshape(x.shape)
        variance, mean = torch.var_mean(rows.detach(), 1, correction=0, keepdim=True)
        return _Standardised.apply(rows, mean, variance.sqrt() + self.eps, [1]).reshape(x.shape)


@register("Normalize")
class Normalize(Module):
    """top = bottom / sqrt(eps + sum of squares) * scale (ParseNet's L2 normalisation).

    bottom[0]: (N, C, ...); the sum is over the channels at each place, or with across_spatial over
               the whole item
    params:    scale (C,), or () with channel_shared; 1 by default
    """

    def __init__(self, param: LayerParameter, shapes: Shapes, phase: int) -> None:
        super().__init__(param, shapes, phase)
        p = self.p = param.norm_param
        if len(shapes[0]) < 2:
            raise self.error(f"expected a bottom with at least 2 axes, got {tuple(shapes[0])}")
        self.add_blob(() if p.channel_shared else shapes[0][1:2], filler_or(p, "scale_filler", 1))

    def forward(self, x: Tensor) -> Tensor:
        axes = list(range(1, x.dim())) if self.p.across_spatial else [1]
        norm = (x.square().sum(axes, keepdim=True) + self.p.eps).sqrt()
        scale = self.blobs[0]
        if scale.dim():
            if x.shape[1:2] != scale.shape:
                raise self.error(f"expected {scale.shape[0]} channels as when the net was built, "
                                 f"got bottom {tuple(x.shape)}")
            scale = scale.view(-1, *(1,) * (x.dim() - 2))
        return x / norm * scale


@register("BN")
class BN(Module):
    """top = (bottom - mean) / sqrt(variance + eps) * slope + bias, per channel.

    bottom[0]: (N, C, ...)     params, each (1, C, 1, 1):

    * PSPNet: slope, bias, mean, variance; the last two are averages of the bottoms' statistics that
      stand in for them in the TEST phase, and in both with `frozen`, when nothing is learned.
    * SegNet (scale_filler, shift_filler or bn_mode is given): slope and bias only; bn_mode LEARN
      takes the bottom's statistics in both phases, INFERENCE leaves them out.
      top[1], top[2]: mean and variance of the bottom (LEARN only).
    """

    tops = (1, 3)

    def __init__(self, param: LayerParameter, shapes: Shapes, phase: int) -> None:
        super().__init__(param, shapes, phase)
        p = self.p = param.bn_param
        if len(shapes[0]) < 2:
            raise self.error(f"expected a bottom with at least 2 axes, got {tuple(shapes[0])}")
        self.of_segnet = any(map(p.HasField, ("scale_filler", "shift_filler", "bn_mode")))
        if self.of_segnet and (p.HasField("slope_filler") or p.HasField("bias_filler")):
            raise self.error("expected scale_filler and shift_filler (SegNet) or slope_filler and "
                             "bias_filler (PSPNet), got a mixture")
        if len(param.top) > 1 and not (self.of_segnet and p.bn_mode == p.LEARN):
            raise self.error(f"expected 1 top, got {len(param.top)}")
        fillers = (p.scale_filler, p.shift_filler) if self.of_segnet else \
            (p.slope_filler, p.bias_filler, None, None)
        for filler in fillers:
            self.add_blob((1, shapes[0][1], 1, 1), filler)
        if not self.of_segnet:
            self.blobs[2:].requires_grad_(False)
            self.blobs[3].fill_(float(p.frozen))    # PSPNet: a variance of 1 until it is loaded
            self._freeze(param)
        self.kept = p.frozen or phase == caffe_pb2.TEST

    def _freeze(self, param: LayerParameter) -> None:
        while len(param.param) < len(self.blobs):
            param.param.add()
        for spec in param.param[0 if self.p.frozen else 2:]:
            spec.lr_mult = spec.decay_mult = 0

    def forward(self, x: Tensor) -> Tops:
        if x.shape[1] != self.blobs[0].shape[1]:
            raise self.error(f"expected {self.blobs[0].shape[1]} channels as when the net was "
                             f"built, got bottom {tuple(x.shape)}")
        per_channel = (1, -1, *(1,) * (x.dim() - 2))
        slope, bias, *kept = (blob.view(per_channel) for blob in self.blobs)
        if self.of_segnet and self.p.bn_mode == self.p.INFERENCE:
            return x * slope + bias
        eps = _SEGNET_EPS if self.of_segnet else self.p.eps
        if kept and self.kept:
            mean, variance = kept
            return (x - mean) / (variance + eps).sqrt() * slope + bias
        axes = [axis for axis in range(x.dim()) if axis != 1]
        variance, mean = torch.var_mean(x.detach(), axes, correction=0, keepdim=True)
        self._average(mean, variance)
        top = _Standardised.apply(x, mean, (variance + eps).sqrt(), axes) * slope + bias
        statistics = (mean.reshape(1, -1, 1, 1), variance.reshape(1, -1, 1, 1))
        return (top, *statistics[:len(self.param.top) - 1]) if len(self.param.top) > 1 else top

    @torch.no_grad()
    def _average(self, mean: Tensor, variance: Tensor) -> None:
        for blob, new in zip(self.blobs[2:], (mean, variance)):
            blob.mul_(self.p.momentum).add_((1 - self.p.momentum) * new.reshape(blob.shape))


class _Standardised(torch.autograd.Function):
    """(x - mean) / scale, mean and scale being those of x itself over the axes.

    The gradient is Caffe's in both layers. MVN's is not quite the derivative, where eps stands
    beside the deviation; and it is 0, not undefined, where the deviation is 0.
    """

    @staticmethod
    def forward(ctx: FunctionCtx, x: Tensor, mean: Tensor, scale: Tensor,
                axes: list[int]) -> Tensor:
        top = (x - mean) / scale
        ctx.save_for_backward(top, scale)
        ctx.axes = axes
        return top

    @staticmethod
    def backward(ctx: FunctionCtx, grad: Tensor) -> tuple[Tensor, None, None, None]:
        top, scale = ctx.saved_tensors
        along = top * (grad * top).mean(ctx.axes, keepdim=True)
        return (grad - grad.mean(ctx.axes, keepdim=True) - along) / scale, None, None, None

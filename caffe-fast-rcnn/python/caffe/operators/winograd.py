"""Convolution, 3 x 3 with stride 1, by Winograd's algorithm (Lavin and Gray 2015), on the CPU.

    weights = winograd_pack(weight)                       # once, while the weights stay the same
    top = winograd_conv(x, weights, bias, relu=True)      # bias, sum and ReLU on the way out
    top = winograd_conv2d(x, weight, bias)                # packs each time, has gradients
    pays(64, 128, 300, 400, torch.get_num_threads())      # whether it is the faster way

float32 or bfloat16; kernels in src/caffe/layers/winograd*. A tile of m x m outputs, m = 2, 4 or 6,
takes (m + 2)^2 products per pair of channels instead of 9 m^2: 2.25, 4 or 5 times fewer. The
largest error against float64 is, of the largest value and over VGG16's layers: 7e-7 (m = 2), 3e-6
(m = 4), 2e-5 (m = 6), and 2e-6 of PyTorch's own convolution; so m is 4.

In bfloat16 the transformed factors are rounded, and no sum. On normal random numbers the root mean
square of the error is, of that of the values: 0.004 (m = 2), 0.011 (m = 4), 0.05 (m = 6), and 0.003
of PyTorch's own convolution, which takes 1.7 to 2.8 times as long as m = 4 on VGG16's maps.

Every output is the same sum in the same order however many threads there are and whatever else is
in the batch.
"""
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from caffe.operators.registration import PANEL, are_compiled, raw, refuse_gradient

TILE = 4
NUMBERS = torch.float32, torch.bfloat16
# Where weights are packed each time, m = 2 is as fast in bfloat16, and gradients are more exact
TRAINING_TILES = {torch.float32: TILE, torch.bfloat16: 2}
_CACHE = 8 << 20                        # bytes of packed weights that stay in a cache
_SMALL = 2 << 20                        # as many as are read faster than they are multiplied
_LEAST_PIXELS = {4: 64, 2: 24}          # of a map for every core, {tile: pixels}


class WinogradWeights(NamedTuple):
    """Weights as winograd_conv reads them; `packed` is for this machine, and not to be saved."""

    packed: Tensor
    out_channels: int
    tile: int


def winograd_pack(weight: Tensor, tile: int = TILE) -> WinogradWeights:
    """Transforms the weights (O, C, 3, 3); the result is (tile + 2)^2 / 9 times as large.

    The result is bfloat16 where the weights are. ValueError: another shape or type, not on the CPU,
    a tile that is not 2, 4 or 6.
    """
    return WinogradWeights(raw.winograd_pack(weight.detach(), tile, False), weight.shape[0], tile)


def winograd_conv(x: Tensor, weights: WinogradWeights, bias: Tensor | None = None,
                  padding: int | Sequence[int] = 1, relu: bool = False,
                  residual: Tensor | None = None, out: Tensor | None = None) -> Tensor:
    """The convolution + bias (+ residual), then, where asked for, ReLU.

    x:        (N, C, H, W), of the type of the weights; channels_last, or a slice of such a tensor's
              channels, is not copied
    weights:  of winograd_pack; bias: (O,), float32 or bfloat16
    padding:  pixels above and below, left and right: one number, or two
    residual: (N, O, H', W'), as the result: H' = H + 2 padding - 2
    out:      takes the result, channels_last or a slice of such a tensor's channels; it may be the
              residual, but share no memory with x
    returns   (N, O, H', W') channels_last, or `out`

    No gradient passes through it (see winograd_conv2d). ValueError: operands that do not fit.
    """
    pad_h, pad_w = (padding, padding) if isinstance(padding, int) else padding
    if out is None:
        return raw.winograd_conv(x, weights.packed, weights.out_channels, bias, pad_h, pad_w, relu,
                                 residual)
    raw.winograd_conv_out(x, weights.packed, weights.out_channels, bias, pad_h, pad_w, relu,
                          residual, out)
    return out


def winograd_conv2d(x: Tensor, weight: Tensor, bias: Tensor | None = None,
                    padding: int | Sequence[int] = 1, tile: int | None = None) -> Tensor:
    """As torch.nn.functional.conv2d(x, weight, bias, padding=padding), weight (O, C, 3, 3).

    tile: outputs of a tile along a side; None: 4, or 2 in bfloat16 (TRAINING_TILES).

    The gradient of x is computed by Winograd's algorithm as well where that pays, those of weight
    and bias by PyTorch. RuntimeError where the gradient of x is differentiated again.
    """
    pad_h, pad_w = (padding, padding) if isinstance(padding, int) else padding
    tile = TRAINING_TILES.get(x.dtype, TILE) if tile is None else tile
    return raw.winograd_conv2d(x, weight, bias, pad_h, pad_w, tile)


def pays(in_channels: int, out_channels: int, height: int, width: int, threads: int,
         packed: bool = True, factors: torch.dtype = torch.float32) -> bool:
    """Whether Winograd's algorithm is the faster way to height x width pixels of all images.

    packed: whether the weights are packed already, as for winograd_conv. False where the operators
    are not compiled. oneDNN's time divided by ours, measured on one core (AVX2), weights packed
    before / packed each time:

        channels    7 x 7        10 x 10      14 x 14      20 x 20      28 x 28      56 x 56
        8 8         0.8          0.9          1.1          1.6          2.0          1.2
        16 64       1.0 / 0.7    1.1 / 0.8    1.3 / 1.0    1.7 / 1.4    2.0 / 1.9    1.4 / 1.7
        64 64       1.2 / 0.5    1.4 / 0.7    1.9 / 1.1    1.4 / 1.6    2.6 / 1.9    2.0 / 2.0
        128 128     1.3 / 0.5    1.4 / 0.8    2.5 / 1.2    2.3 / 1.5    2.0 / 1.6    2.5 / 2.2

    Packed weights that no cache holds are read from memory, four times as many as oneDNN reads: a
    core needs 64 pixels to make up for that.
    """
    if not are_compiled() or min(in_channels, out_channels) < 16:
        return False
    tiles = -(-height // TILE) * -(-width // TILE)
    bytes_packed = in_channels * out_channels * (TILE + 2) ** 2 * factors.itemsize
    if bytes_packed > _CACHE and height * width < 64 * threads:
        return False
    return tiles >= (9 if packed else 20)


def packed_tile(in_channels: int, out_channels: int, height: int, width: int, threads: int,
                factors: torch.dtype = torch.float32) -> int | None:
    """The tile for weights that are packed once, or None where oneDNN is the faster way.

    The operands are those of `pays`. A tile of 2 x 2 has 16 factors per pair of channels to read
    instead of 36, and twice the products; so it is for small maps. Microseconds of one core
    (AVX-512), the weights in no cache:

        channels, map       tile 4    tile 2    oneDNN
        128 128, 7 x 7         204       183       273
        192 384, 7 x 7         596       513       738
        512 512, 7 x 7        1906      1461      2043
        256 512, 10 x 10      1418      1211      2175
        256 256, 14 x 14       999      1243      2126
    """
    if factors != torch.float32:
        return TILE if pays(in_channels, out_channels, height, width, threads,
                            factors=factors) else None
    tiles = -(-height // TILE) * -(-width // TILE)
    least_channels = 16 if tiles > 8 else 32
    if not are_compiled() or tiles < 4 or min(in_channels, out_channels) < least_channels:
        return None
    pairs = in_channels * out_channels * factors.itemsize
    tile = 2 if tiles < 12 and pairs * (TILE + 2) ** 2 > _SMALL else TILE
    is_cached = pairs * (tile + 2) ** 2 <= _CACHE
    return tile if is_cached or height * width >= _LEAST_PIXELS[tile] * threads else None


# What PyTorch must know of them.


@torch.library.register_fake("caffe_fast_rcnn::winograd_pack")
def _(weight, tile, rotated):
    outputs, channels = (weight.shape[axis] for axis in ((1, 0) if rotated else (0, 1)))
    if not are_compiled():
        return weight.new_empty((outputs, channels, 3, 3))
    plane, panels = (tile + 2) ** 2, -(-outputs // PANEL)
    if weight.dtype == torch.bfloat16:
        return weight.new_empty((plane, panels, -(-channels // 2), PANEL, 2))
    return weight.new_empty((plane, panels, channels, PANEL))


def _top(x: Tensor, out_channels: int, pad_h: int, pad_w: int) -> Tensor:
    size = x.shape[2] + 2 * pad_h - 2, x.shape[3] + 2 * pad_w - 2
    return x.new_empty((x.shape[0], *size, out_channels)).permute(0, 3, 1, 2)


@torch.library.register_fake("caffe_fast_rcnn::winograd_conv")
def _(x, packed, out_channels, bias, pad_h, pad_w, relu, residual):
    return _top(x, out_channels, pad_h, pad_w)


@torch.library.register_fake("caffe_fast_rcnn::winograd_conv_out")
def _(x, packed, out_channels, bias, pad_h, pad_w, relu, residual, out):
    return None


@torch.library.register_fake("caffe_fast_rcnn::winograd_conv2d")
def _(x, weight, bias, pad_h, pad_w, tile):
    return _top(x, weight.shape[0], pad_h, pad_w)


@torch.library.register_fake("caffe_fast_rcnn::winograd_conv2d_backward")
def _(grad, weight, pad_h, pad_w, tile):
    return _top(grad, weight.shape[1], 2 - pad_h, 2 - pad_w)


def _context(ctx: Any, inputs: tuple, output: Tensor) -> None:
    x, weight, bias, *ctx.options = inputs
    ctx.has_bias = bias is not None
    ctx.save_for_backward(x, weight)


def _backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    x, weight = ctx.saved_tensors
    pad_h, pad_w, tile = ctx.options
    for_x, for_weight, for_bias = ctx.needs_input_grad[:3]
    by_winograd = for_x and pays(weight.shape[0], weight.shape[1], len(x) * x.shape[2],
                                 x.shape[3], torch.get_num_threads(), packed=False,
                                 factors=x.dtype)
    gradients = [None] * 3
    if for_weight or for_bias or (for_x and not by_winograd):
        gradients = list(torch.ops.aten.convolution_backward(
            grad, x, weight, [weight.shape[0]] if ctx.has_bias else None, (1, 1), (pad_h, pad_w),
            (1, 1), False, (0, 0), 1, (for_x and not by_winograd, for_weight, for_bias)))
    if by_winograd:
        gradients[0] = raw.winograd_conv2d_backward(grad, weight, pad_h, pad_w, tile)
    return *gradients, None, None, None


def _no_second_derivative(ctx: Any, grad: Tensor) -> None:
    raise RuntimeError("caffe.ops.winograd_conv2d has no second derivative; its gradient cannot be "
                       "differentiated again (create_graph=True)")


torch.library.register_autograd("caffe_fast_rcnn::winograd_conv2d", _backward,
                                setup_context=_context)
torch.library.register_autograd("caffe_fast_rcnn::winograd_conv2d_backward", _no_second_derivative)
refuse_gradient("winograd_conv", "winograd_conv2d")

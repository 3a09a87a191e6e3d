"""What the layer types are in PyTorch source: functions of a Scope and the bottoms' variables.

They return the expression of the top, or a list of those of all tops.
"""
from collections.abc import Sequence
from typing import Any

import torch

from caffe.core.types import Shape
from caffe.export.layers.statistics import batch_statistics
from caffe.export.source.scope import Scope, Several, number
from caffe.layer_types.maps.pooling import AVE, MAX


def convolution(scope: Scope, *bottoms: str) -> list[str]:
    """Convolutions, depthwise ones too, and Deconvolution."""
    module, windows, weight = scope.module, scope.module.windows, scope.layer.blobs[0].shape
    if module.axis != 1 or len(windows.kernel) != 2:
        raise scope.error("a convolution of other axes than height and width")
    transposed = scope.layer.type == "Deconvolution"
    channels = (weight[0], weight[1] * module.group) if transposed else \
        (weight[1] * module.group, weight[0])
    words = [*map(str, channels), _pair(windows.kernel)]
    usual = {"stride": (1, 1), "padding": (0, 0), "dilation": (1, 1)}
    for (name, default), values in zip(usual.items(), (windows.stride, windows.pad,
                                                       windows.dilation)):
        if tuple(values) != default:
            words.append(f"{name}={_pair(values)}")
    words += [f"groups={module.group}"] if module.group != 1 else []
    words += ["bias=False"] if len(scope.layer.blobs) == 1 else []
    kind = "nn.ConvTranspose2d" if transposed else "nn.Conv2d"
    part = scope.part(f"{kind}({', '.join(words)})", weight=scope.blob(0), bias=scope.blob(1))
    return [f"{part}({x})" for x in bottoms]


def _pair(values: Sequence[int]) -> str:
    return str(values[0]) if len(set(values)) == 1 else str(tuple(values))


def pooling(scope: Scope, x: str) -> str:
    """PyTorch's windows are Caffe's, unless one may hold nothing but padding."""
    module, p = scope.module, scope.module.p
    if len(scope.top_shapes) > 1 or p.pool not in (MAX, AVE):
        raise scope.error("a Pooling that is stochastic or has a second top")
    if len(scope.bottom_shapes[0]) != 4:
        raise scope.error("a Pooling of volumes")
    if module.kernel is None:
        return f"{x}.{'mean' if p.pool == AVE else 'amax'}((2, 3), keepdim=True)"
    kernel, stride, pad = module.kernel, module.stride, module.pad
    if any(2 * q > k for k, q in zip(kernel, pad)) or \
            module.rounds_up and any(s > k for k, s in zip(kernel, stride)):
        raise scope.error("a Pooling whose windows may hold nothing but padding")
    words = [x, _pair(kernel), _pair(stride)]
    words += [f"padding={_pair(pad)}"] if any(pad) else []
    words += ["ceil_mode=True"] if module.rounds_up else []
    return f"F.{'avg' if p.pool == AVE else 'max'}_pool2d({', '.join(words)})"


def lrn(scope: Scope, x: str) -> str:
    p = scope.module.p
    if scope.module.within:
        return (f"{scope.piece('normalized_within')}({x}, {p.local_size}, {number(p.alpha)}, "
                f"{number(p.beta)})")
    return (f"F.local_response_norm({x}, {p.local_size}, alpha={number(p.alpha)}, "
            f"beta={number(p.beta)}, k={number(p.k)})")


def inner_product(scope: Scope, x: str) -> str:
    module, weight = scope.module, scope.blob(0)
    assert weight is not None
    if module.transpose:
        weight = weight.T.contiguous()
    bias = "" if len(scope.layer.blobs) > 1 else ", bias=False"
    part = scope.part(f"nn.Linear({weight.shape[1]}, {weight.shape[0]}{bias})", weight=weight,
                      bias=scope.blob(1))
    is_flat = len(scope.bottom_shapes[0]) == module.axis + 1
    return f"{part}({x})" if is_flat else f"{part}({x}.flatten({module.axis}))"


def relu(scope: Scope, x: str) -> str:
    slope = scope.module.slope
    return f"F.leaky_relu({x}, {number(slope)})" if slope else f"F.relu({x})"


def relu6(scope: Scope, x: str) -> str:
    return f"{relu(scope, x)}.clamp(max=6)"


def prelu(scope: Scope, x: str) -> str:
    weight = scope.blob(0)
    assert weight is not None
    weight = weight.reshape(-1)
    return f"{scope.part(f'nn.PReLU({len(weight)})', weight=weight)}({x})"


def elu(scope: Scope, x: str) -> str:
    return f"F.elu({x}, {number(scope.module.alpha)})"


def clip(scope: Scope, x: str) -> str:
    return f"{x}.clamp({number(scope.module.min)}, {number(scope.module.max)})"


def power(scope: Scope, x: str) -> str:
    module = scope.module
    y = x if module.scale == 1 else f"{number(module.scale)} * {x}"
    y = y if module.shift == 0 else f"{y} + {number(module.shift)}"
    return y if module.power == 1 else f"({y}) ** {number(module.power)}"


def dropout(scope: Scope, x: str) -> str:
    """Nothing at test time; without scale_train a factor."""
    if scope.module.drops:
        raise scope.error("dropping values at random")
    return x if scope.module.scale_train else f"{number(1 - scope.module.ratio)} * {x}"


def batch_norm(scope: Scope, x: str) -> str:
    if not scope.module.use_global or len(scope.bottom_shapes[0]) not in (2, 4):
        raise scope.error("a BatchNorm of the batch itself, or of other axes than (N, C, H, W)")
    mean, variance = (value.cpu() for value in batch_statistics(scope.layer))
    affine = len(scope.layer.blobs) > 3
    axes = len(scope.bottom_shapes[0]) // 2
    part = scope.part(
        f"nn.BatchNorm{axes}d({len(mean)}, eps={number(scope.module.eps)}"
        f"{'' if affine else ', affine=False'})", running_mean=mean, running_var=variance,
        num_batches_tracked=torch.tensor(0), weight=scope.blob(3), bias=scope.blob(4))
    return f"{part}({x})"


def scale(scope: Scope, x: str, factor: str | None = None) -> str:
    axes, blobs = len(scope.bottom_shapes[0]), scope.layer.blobs
    if factor is not None:
        if blobs:
            raise scope.error("a Scale of two bottoms with a bias")
        return f"{x} * {_spread(scope, factor)}"
    if scope.module.axis % axes != 1 or len(blobs[0].shape) != 1:
        raise scope.error("a Scale of other axes than the channels")
    has_bias = len(blobs) > 1
    part = scope.part(f"{scope.piece('Scale')}({blobs[0].shape[0]}, bias={has_bias})",
                      weight=scope.blob(0), bias=scope.blob(1))
    return f"{part}({x})"


def _spread(scope: Scope, y: str) -> str:
    """The second bottom, with so many axes behind that it broadcasts to the first."""
    axes, own = (len(shape) for shape in scope.bottom_shapes)
    behind = axes - scope.module.axis % axes - own
    return f"{y}[..., {', '.join(['None'] * behind)}]" if behind else y


def eltwise(scope: Scope, *bottoms: str) -> str:
    p = scope.layer.param.eltwise_param
    if p.operation == p.PROD:
        return " * ".join(bottoms)
    if p.operation == p.MAX:
        found = bottoms[0]
        for x in bottoms[1:]:
            found = f"torch.maximum({found}, {x})"
        return found
    coefficients = scope.module.coeff or (1,) * len(bottoms)
    return " + ".join(x if c == 1 else f"({number(c)}) * {x}"
                      for c, x in zip(coefficients, bottoms))


def concat(scope: Scope, *bottoms: str) -> str:
    return f"torch.cat([{', '.join(bottoms)}], {scope.module.axis})"


def slices(scope: Scope, x: str) -> str | Several:
    sizes = [shape[scope.module.axis] for shape in scope.top_shapes]
    return x if len(sizes) == 1 else Several(f"{x}.split({sizes}, {scope.module.axis})")


def split(scope: Scope, x: str) -> list[str]:
    return [x] * len(scope.top_shapes)


def silence(_scope: Scope, *_bottoms: str) -> list[str]:
    return []


def softmax(scope: Scope, x: str) -> str:
    return f"F.softmax({x}, {scope.module.axis})"


def flatten(scope: Scope, x: str) -> str:
    axes, p = len(scope.bottom_shapes[0]), scope.module.p
    return f"{x}.flatten({p.axis % axes}, {p.end_axis % axes})"


def reshape(scope: Scope, x: str) -> str:
    """A dim of 0 copies the bottom's."""
    module, axes = scope.module, len(scope.bottom_shapes[0])
    start = module.axis if module.axis >= 0 else axes + module.axis + 1
    end = axes if module.num_axes == -1 else start + module.num_axes
    dims = [f"{x}.shape[{i}]" for i in range(start)]
    dims += [str(dim) if dim else f"{x}.shape[{start + i}]" for i, dim in enumerate(module.dims)]
    dims += [f"{x}.shape[{i}]" for i in range(end, axes)]
    return f"{x}.reshape({', '.join(dims)})"


def permute(scope: Scope, x: str) -> str:
    return f"{x}.permute({', '.join(map(str, scope.module.order))})"


def roi_pooling(scope: Scope, features: str, rois: str) -> str:
    if scope.module.pad_ratio:
        raise scope.error("a ROIPooling with pad_ratio")
    return (f"{scope.piece('roi_pool')}({features}, {_rows(scope, rois)}, {scope.module.pooled}, "
            f"{number(scope.module.spatial_scale)})")


def roi_align(scope: Scope, features: str, rois: str) -> str:
    module = scope.module
    if module.pad_ratio or module.corners:
        raise scope.error("a ROIAlign with pad_ratio or corners")
    ratio, aligned = module.sampling
    return (f"{scope.piece('roi_align')}({features}, {_rows(scope, rois)}, {module.pooled}, "
            f"{number(module.spatial_scale)}, ratio={max(ratio, 0)}, aligned={aligned})")


def psroi_pooling(scope: Scope, features: str, rois: str) -> str:
    classes, group = scope.module.grid
    return (f"{scope.piece('sensitive_roi_pool')}({features}, {_rows(scope, rois)}, {classes}, "
            f"{group}, {number(scope.module.spatial_scale)})")


def _rows(scope: Scope, rois: str) -> str:
    shape: Shape = scope.bottom_shapes[1]
    return rois if len(shape) == 2 else f"{rois}.reshape(-1, 5)"


def plain(pattern: str) -> Any:
    """The function of a layer without parameters; pattern: its expression, {} for the bottom."""
    return lambda scope, x: pattern.format(x)

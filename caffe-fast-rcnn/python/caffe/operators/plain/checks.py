"""What the operators demand of their operands, in the words of the compiled ones (checks.h)."""
import math
from collections.abc import Sequence

import torch
from torch import Tensor

MOST_CELLS = 2 ** 31 - 1
MOST_SAMPLES = 2 ** 15 - 1
_NAMES = {torch.float32: "Float", torch.float64: "Double", torch.float16: "Half",
          torch.bfloat16: "BFloat16", torch.int32: "Int", torch.int64: "Long"}


def require(condition: bool, message: str) -> None:
    if not condition:
        raise ValueError(message)


def type_name(x: Tensor) -> str:
    return _NAMES.get(x.dtype, str(x.dtype))


def sizes(x: Tensor) -> list[int]:
    return list(x.shape)


def check_real(op: str, name: str, x: Tensor) -> None:
    require(x.dtype in (torch.float32, torch.float64),
            f"{op}: {name} must be float32 or float64, not {type_name(x)}")


def check_operand(op: str, name: str, x: Tensor | None, axes: int) -> None:
    """An operand of a test net's operator, which may be left out."""
    require(x is None or (x.dtype == torch.float32 and x.dim() == axes),
            f"{op}: {name} must be float32 with {axes} axes")


def check_out(op: str, out: Tensor, top: Tensor, x: Tensor) -> None:
    """What takes the result `top`, (N, C, H, W), of a test net's operator, which reads x."""
    check_operand(op, "out", out, 4)
    require(out.shape == top.shape, f"{op}: out must be {sizes(top)}, not {sizes(out)}")
    require(_is_run_of_pixels(out),
            f"{op}: out must be channels_last, or a slice of the channels of such a map, not have "
            f"the strides {list(out.stride())}")
    require(not (_has_no_gaps(x) and _has_no_gaps(out) and torch._C._overlaps(x, out)),
            f"{op}: out shares memory with x")


def _is_run_of_pixels(x: Tensor) -> bool:
    """Whether the pixels, each a run of channels, follow each other with equal steps."""
    _, channels, height, width = x.shape
    step = next((x.stride(axis) for axis in (3, 2, 0) if x.shape[axis] > 1), channels)
    images, run, lines, pixels = x.stride()
    return ((channels == 1 or run == 1) and step >= channels and (width == 1 or pixels == step)
            and (height == 1 or lines == step * width)
            and (len(x) == 1 or images == step * width * height))


def _has_no_gaps(x: Tensor) -> bool:
    return x.is_contiguous() or x.is_contiguous(memory_format=torch.channels_last)


def check_kind(op: str, name: str, x: Tensor, other_name: str, other: Tensor) -> None:
    require(x.dtype == other.dtype,
            f"{op}: {name} {type_name(x)}, {other_name} {type_name(other)}")
    require(x.device == other.device, f"{op}: {name} on {x.device}, {other_name} on {other.device}")


def check_alike(op: str, name: str, x: Tensor, other_name: str, other: Tensor) -> None:
    require(x.shape == other.shape, f"{op}: {name} {sizes(x)}, {other_name} {sizes(other)}")
    check_kind(op, name, x, other_name, other)


def check_rois(op: str, rois: Tensor, images: int) -> None:
    """Rois (R, 5) have finite numbers and the index of one of so many images."""
    finite = rois.isfinite()
    sound = finite.all(1) & (rois[:, 0] >= 0) & (rois[:, 0] < images)
    if sound.all():
        return
    row = int((~sound).nonzero()[0, 0])
    numbers = ", ".join(f"{number:g}" for number in rois[row].tolist())
    require(bool(finite[row].all()), f"{op}: rois[{row}] = ({numbers}) is not finite")
    raise ValueError(f"{op}: rois[{row}, 0] = {rois[row, 0].item():g} is not the index of an image "
                     f"in a batch of {images}")


def check_map_size(op: str, shape: Sequence[int]) -> None:
    height, width = shape[2:]
    require(max(height, width, height * width) <= MOST_CELLS,
            f"{op}: the feature map {list(shape)} is too large")


def check_regions(op: str, features: Tensor, rois: Tensor, pooled_h: int, pooled_w: int) -> None:
    require(features.dim() == 4, f"{op}: features must be (N, C, H, W), not {sizes(features)}")
    check_real(op, "features", features)
    require(rois.dim() == 2 and rois.shape[1] == 5,
            f"{op}: rois must be (R, 5): batch index, x1, y1, x2, y2; not {sizes(rois)}")
    require(pooled_h > 0 and pooled_w > 0,
            f"{op}: the grid must have bins, not {pooled_h} x {pooled_w}")
    check_kind(op, "rois are", rois, "features are", features)
    check_map_size(op, features.shape)
    check_rois(op, rois, len(features))


def check_regions_backward(op: str, grad: Tensor, rois: Tensor, shape: Sequence[int]) -> None:
    require(grad.dim() == 4 and min(grad.shape[2:]) > 0,
            f"{op}: grad must be (R, C, pooled_h, pooled_w), not {sizes(grad)}")
    check_real(op, "grad", grad)
    require(rois.dim() == 2 and rois.shape[1] == 5 and len(rois) == len(grad),
            f"{op}: rois are {sizes(rois)}, grad is {sizes(grad)}")
    check_kind(op, "rois are", rois, "grad is", grad)
    require(len(shape) == 4 and min(shape) >= 0,
            f"{op}: feature_shape must be (N, C, H, W), not {list(shape)}")
    check_map_size(op, shape)


def check_channels(op: str, grad: Tensor, rois: Tensor, shape: Sequence[int]) -> None:
    require(shape[1] == grad.shape[1], f"{op}: grad is {sizes(grad)}, features are {list(shape)}")
    check_rois(op, rois, shape[0])


def check_argmax(op: str, argmax: Tensor, grad: Tensor, shape: Sequence[int]) -> None:
    require(argmax.shape == grad.shape, f"{op}: argmax is {sizes(argmax)}, grad is {sizes(grad)}")
    require(argmax.dtype == torch.int32, f"{op}: argmax must be int32, not {type_name(argmax)}")
    require(argmax.device == grad.device,
            f"{op}: argmax is on {argmax.device}, grad is on {grad.device}")
    cells = shape[2] * shape[3]
    bad = ((argmax < -1) | (argmax >= cells)).flatten().nonzero()
    require(not len(bad), len(bad) and f"{op}: argmax, number {int(bad[0])} of {sizes(argmax)}, is "
            f"{int(argmax.flatten()[bad[0]])}, not a cell of a map of {cells} cells nor -1" or "")


def check_sampling_ratio(op: str, ratio: int) -> None:
    require(ratio <= MOST_SAMPLES, f"{op}: the sampling ratio {ratio} is too large")


def check_smooth_l1(op: str, pred: Tensor, target: Tensor, inside: Tensor | None,
                    outside: Tensor | None, sigma: float) -> None:
    require(pred.dim() > 0, f"{op}: pred must have a first axis to divide by")
    check_real(op, "pred", pred)
    require(sigma > 0 and math.isfinite(sigma),
            f"{op}: sigma must be positive and finite, not {sigma:g}")
    for name, operand in (("target is", target), ("inside is", inside), ("outside is", outside)):
        if operand is not None:
            check_alike(op, name, operand, "pred is", pred)


def check_nms(op: str, boxes: Tensor, scores: Tensor, groups: Tensor | None) -> None:
    require(boxes.dim() == 2 and boxes.shape[1] == 4,
            f"{op}: boxes must be (N, 4): x1, y1, x2, y2; not {sizes(boxes)}")
    require(boxes.dtype == scores.dtype == torch.float32, f"{op}: boxes and scores must be "
            f"float32, not {type_name(boxes)} and {type_name(scores)}")
    require(scores.dim() == 1 and len(scores) == len(boxes),
            f"{op}: scores are {sizes(scores)}, boxes are {sizes(boxes)}")
    check_kind(op, "scores are", scores, "boxes are", boxes)
    if groups is not None:
        require(groups.dim() == 1 and len(groups) == len(boxes),
                f"{op}: groups are {sizes(groups)}, boxes are {sizes(boxes)}")
        require(groups.dtype == torch.int64, f"{op}: groups must be int64, not {type_name(groups)}")
        require(groups.device == boxes.device,
                f"{op}: groups are on {groups.device}, boxes are on {boxes.device}")


def check_window(op: str, x: Tensor, size: int) -> None:
    check_real(op, "x", x)
    require(size > 0 and size % 2 == 1, f"{op}: size must be odd, not {size}")

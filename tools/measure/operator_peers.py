"""Our operators beside those of the same meaning in other programs: torchvision, PyTorch, ONNX
Runtime and OpenVINO.

    show(["NMS"], repeats=20)

One thread is meant (torch.set_num_threads). Each program gets the layout that it likes best: ours
channels_last, the others NCHW. A program that cannot be imported is left out; ONNX Runtime and
OpenVINO run a model of the one operator, forward only, and on the CPU only. The programs take
turns, and a time is the shortest one of the processor, which other work on the machine disturbs
least; on a GPU it is the shortest mean of some calls one after the other, by the clock.
"""
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from caffe import ops
from measure.single_operator import single
from measure.timing import clock_of

OURS = "ours"
SCALE = 1 / 16
GPU_CALLS = 10      # that are timed together there
HEAD = ("| operator | size | forward: ours, ms | fastest other | ratio | backward: ours, ms | "
        "fastest other | ratio |\n|" + "---|" * 8)
Run = Callable[[], Any]


@dataclass
class Forms:
    """An operator on operands of one size.

    device: where they are
    forward: {program: function of nothing}
    inputs: {program: tensors whose gradients its backward gives}; none: it has no gradient
    alike: the programs that give the same numbers
    """

    operator: str
    size: str
    device: str = "cpu"
    forward: dict[str, Run] = field(default_factory=dict)
    inputs: dict[str, list[Tensor]] = field(default_factory=dict)
    alike: list[str] = field(default_factory=list)


class Timed(NamedTuple):
    """Seconds by program."""

    operator: str
    size: str
    forward: dict[str, float]
    backward: dict[str, float]


def measured(forms: Forms, repeats: int) -> Timed:
    """The times of all programs; RuntimeError where numbers differ that should be alike."""
    expected = torch.as_tensor(forms.forward[OURS]()).detach()
    for name in forms.alike:
        if name in forms.forward:
            found = torch.as_tensor(forms.forward[name]()).detach().reshape(expected.shape)
            difference = float((found - expected).abs().max() / expected.abs().max())
            if not difference < 1e-4:
                raise RuntimeError(f"{forms.operator} {forms.size}: {name} differs from ours by "
                                   f"{difference:.2g} of the largest value")
    backward = {name: _backward(forms.forward[name], inputs)
                for name, inputs in forms.inputs.items() if name in forms.forward}
    return Timed(forms.operator, forms.size, _fastest(forms.forward, repeats, forms.device),
                 _fastest(backward, repeats, forms.device))


def _backward(forward: Run, inputs: list[Tensor]) -> Run:
    top = forward()
    grad = torch.rand_like(top)
    return lambda: torch.autograd.grad(top, inputs, grad, retain_graph=True)


def _fastest(programs: Mapping[str, Run], repeats: int, device: str) -> dict[str, float]:
    """{program: seconds of its fastest run}; the first run of each does not count."""
    on_cpu = device == "cpu"
    clock = time.process_time if on_cpu else clock_of(device)
    calls = 1 if on_cpu else GPU_CALLS
    times = dict.fromkeys(programs, float("inf"))
    for turn in range(repeats + 1):
        for name, run in programs.items():
            begin = clock()
            for _ in range(calls):
                run()
            if turn:
                times[name] = min(times[name], (clock() - begin) / calls)
    return times


def fastest_other(times: Mapping[str, float]) -> str | None:
    """The fastest program that is not ours, if there is one."""
    others = {name: value for name, value in times.items() if name != OURS}
    return min(others, key=lambda name: others[name], default=None)


def line(timed: Timed) -> str:
    """One row of the table."""
    cells = [timed.operator, timed.size]
    for times in (timed.forward, timed.backward):
        name = fastest_other(times)
        if name is None:
            cells += [f"{times[OURS] * 1e3:.3f}" if times else "", "", ""]
            continue
        cells += [f"{times[OURS] * 1e3:.3f}", f"{times[name] * 1e3:.3f} {name}",
                  f"{times[OURS] / times[name]:.2f}"]
    return "| " + " | ".join(cells) + " |"


# ------------------------------------------------------------------------------------- operands

def maps(channels: int, height: int, width: int, device: str) -> tuple[Tensor, Tensor]:
    """The same numbers (1, C, H, W) channels_last and NCHW; both take gradients."""
    draw = torch.Generator().manual_seed(0)
    x = torch.randn(1, channels, height, width, generator=draw).to(device)
    return (x.contiguous(memory_format=torch.channels_last).requires_grad_(),
            x.clone().requires_grad_())


def regions(count: int, height: int, width: int, device: str) -> Tensor:
    """(R, 5) rois of 16 to 400 pixels on a map of that size."""
    draw = np.random.default_rng(0)
    sides = np.exp(draw.uniform(np.log(16), np.log(400), (count, 2)))
    limits = np.array([width, height]) / SCALE - 1
    corners = draw.uniform(0, 1, (count, 2)) * np.maximum(limits - sides, 0)
    rois = np.concatenate([np.zeros((count, 1)), corners, np.minimum(corners + sides, limits)], 1)
    return torch.from_numpy(rois.astype(np.float32)).to(device)


# ---------------------------------------------------------------------------------- the operators

def torchvision_ops() -> Any:
    """torchvision.ops, or None where it is not there or was built for another PyTorch."""
    try:
        from torchvision import ops as found
    except (ImportError, OSError, RuntimeError):
        return None
    return found


def roi_pooling(channels: int, height: int, width: int, count: int, device: str = "cpu") -> Forms:
    own, other = maps(channels, height, width, device)
    rois = regions(count, height, width, device)
    made = _regions_forms("ROIPooling", own, other, rois)
    made.forward[OURS] = lambda: ops.roi_pool(own, rois, 7, 7, SCALE)
    vision = torchvision_ops()
    if vision:
        made.forward["torchvision"] = lambda: vision.roi_pool(other, rois, 7, SCALE)
    made.forward |= single("MaxRoiPool", {"x": other.detach(), "rois": rois}, [],
                           pooled_shape=[7, 7], spatial_scale=SCALE)
    made.alike = ["torchvision"]
    return made


def roi_align(channels: int, height: int, width: int, count: int, device: str = "cpu") -> Forms:
    own, other = maps(channels, height, width, device)
    rois = regions(count, height, width, device)
    made = _regions_forms("ROIAlign", own, other, rois)
    made.forward[OURS] = lambda: ops.roi_align(own, rois, 7, 7, SCALE, 2)
    vision = torchvision_ops()
    if vision:
        made.forward["torchvision"] = lambda: vision.roi_align(other, rois, 7, SCALE, 2)
    index = torch.zeros(count, dtype=torch.int64, device=device)
    operands = {"x": other.detach(), "rois": rois[:, 1:], "index": index}
    made.forward |= single("RoiAlign", operands, [], output_height=7, output_width=7,
                           sampling_ratio=2, spatial_scale=SCALE,
                           coordinate_transformation_mode="output_half_pixel")
    made.alike = ["torchvision", "ONNX Runtime", "OpenVINO"]
    return made


def psroi_pooling(classes: int, group: int, count: int, device: str = "cpu") -> Forms:
    own, other = maps(classes * group ** 2, 38, 50, device)
    rois = regions(count, 38, 50, device)
    made = _regions_forms("PSROIPooling", own, other, rois)
    made.size = f"{classes} x {group} x {group} channels, {count} rois"
    made.forward[OURS] = lambda: ops.psroi_pool(own, rois, classes, group, SCALE)
    vision = torchvision_ops()
    if vision:      # rounds the corners of a bin otherwise
        made.forward["torchvision"] = lambda: vision.ps_roi_pool(other, rois, group, SCALE)
    return made


def _regions_forms(operator: str, own: Tensor, other: Tensor, rois: Tensor) -> Forms:
    size = f"{own.shape[1]} x {own.shape[2]} x {own.shape[3]}, {len(rois)} rois"
    return Forms(operator, size, str(own.device), inputs={OURS: [own], "torchvision": [other]})


def suppression(count: int, device: str = "cpu") -> Forms:
    boxes = regions(count, 38, 50, device)[:, 1:].contiguous()
    scores = torch.rand(count, generator=torch.Generator().manual_seed(1)).to(device)
    dets = torch.cat([boxes, scores[:, None]], 1)
    made = Forms("NMS", f"{count} boxes", device, {OURS: lambda: ops.nms(dets, 0.7)})
    vision = torchvision_ops()
    if vision:      # corners of ours are pixels, of theirs edges
        made.forward["torchvision"] = lambda: vision.nms(boxes, scores, 0.7)
    operands = {"boxes": boxes[None], "scores": scores[None, None]}
    made.forward |= single("NonMaxSuppression", operands, [
        np.array([count], np.int64), np.array([0.7], np.float32)], kind_of_top="int64")
    return made


def smooth_l1(*shape: int, weights: bool, device: str = "cpu") -> Forms:
    draw = torch.Generator().manual_seed(0)
    pred, target, inside, outside = (torch.randn(shape, generator=draw).to(device)
                                     for _ in range(4))
    pred.requires_grad_()

    def plain() -> Tensor:
        if not weights:
            return F.smooth_l1_loss(pred, target, reduction="sum", beta=1 / 9) / len(pred)
        loss = F.smooth_l1_loss(inside * pred, inside * target, reduction="none", beta=1 / 9)
        return (outside * loss).sum() / len(pred)
    given = (inside, outside) if weights else (None, None)
    own: dict[str, Run] = {OURS: lambda: ops.smooth_l1_loss(pred, target, *given, 3.0),
                           "PyTorch": plain}
    return Forms("SmoothL1Loss" + ("" if weights else ", no weights"), " x ".join(map(str, shape)),
                 device, own, {OURS: [pred], "PyTorch": [pred]}, ["PyTorch"])


def lrn(channels: int, height: int, width: int, size: int, device: str = "cpu") -> Forms:
    own, other = maps(channels, height, width, device)
    made = Forms("LRN", f"{channels} x {height} x {width}, {size} channels", device,
                 {OURS: lambda: ops.lrn_across(own, size, 1e-4, 0.75),
                  "PyTorch": lambda: F.local_response_norm(other, size, 1e-4, 0.75)},
                 {OURS: [own], "PyTorch": [other]}, ["PyTorch", "ONNX Runtime", "OpenVINO"])
    made.forward |= single("LRN", {"x": other.detach()}, [], size=size, alpha=1e-4, beta=0.75,
                           bias=1.0)
    return made


FEATURES = ((256, 38, 50, 128), (512, 38, 50, 300), (1024, 38, 50, 300), (256, 75, 100, 1000))
SENSITIVE = ((4, 7, 300), (21, 3, 300), (21, 7, 300), (81, 7, 300))
LOSSES = ((128, 84), (2000, 84), (1, 36, 38, 50), (1, 144, 75, 100))
MAPS = ((96, 55, 55, 5), (256, 27, 27, 5), (192, 56, 56, 5), (96, 300, 400, 3))
CASES: dict[str, tuple[Callable[..., Forms], tuple[tuple, ...]]] = {
    "ROIPooling": (roi_pooling, FEATURES), "ROIAlign": (roi_align, FEATURES),
    "PSROIPooling": (psroi_pooling, SENSITIVE),
    "NMS": (suppression, ((300,), (2000,), (6000,), (12000,))),
    "SmoothL1Loss": (partial(smooth_l1, weights=True), LOSSES),
    "SmoothL1Loss-plain": (partial(smooth_l1, weights=False), LOSSES), "LRN": (lrn, MAPS)}
OPERATORS = tuple(CASES)


def show(operators: Sequence[str], repeats: int) -> None:
    """Prints the rows of some operators as a table of Markdown."""
    print(HEAD)
    for name in operators:
        make, sizes = CASES[name]
        for size in sizes:
            print(line(measured(make(*size), repeats)), flush=True)

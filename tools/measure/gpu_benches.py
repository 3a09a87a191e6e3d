"""What `make gpu-check` measures: nets, trainings and operators beside those of other programs.

    test_nets(figures, "cuda", FULL)

Each function adds rows to the Figures of a part (parts.py): milliseconds, ratios, memory. Nets run
in turn with the same convolutions and products in bare channels_last PyTorch (bare_net.py) that use
the same numbers: float32, TF32 or bf16. bf16 weights of the bare side are rounded beforehand. The
flags of cuDNN are those of a run of ours: its algorithms are not timed beforehand ("benchmark").
"""
import contextlib
import gc
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import torch

import caffe
from faster_rcnn.settings.config import cfg_override
from measure import operator_peers, stages
from measure.bare_net import BareNet
from measure.parts import Figures, NotHere, Row
from measure.timing import clock_of, in_turn

NUMBERS = {"float32": torch.float32, "tf32": torch.float32, "bf16": torch.bfloat16}
WARM_UP = 3
_MEGABYTE = 1 << 20
Sizes = dict[str, tuple[tuple[int, ...], ...]]


@dataclass(frozen=True)
class Extent:
    """How much is measured: the nets, the (net, stage) of trainings, pictures of height x width,
    pairs of runs, and the sizes of each operator."""

    nets: tuple[str, ...]
    trainings: tuple[tuple[str, str], ...]
    height: int
    width: int
    repeats: int
    operators: Sizes


FULL = Extent(("VGG16", "ZF"),
              (("VGG16", "stage1_rpn"), ("VGG16", "stage1_fast_rcnn"), ("ZF", "stage1_rpn"),
               ("ZF", "stage1_fast_rcnn"), ("EfficientNet-Lite0", stages.JOINT)),
              stages.HEIGHT, stages.WIDTH, 15,
              {name: sizes for name, (_, sizes) in operator_peers.CASES.items()})
# That all of it works, not how fast it is
QUICK = Extent(("Tiny",), (("Tiny", "stage1_fast_rcnn"), ("Tiny", stages.JOINT)), 120, 160, 1, {
    "ROIPooling": ((8, 9, 11, 5),), "ROIAlign": ((8, 9, 11, 5),), "PSROIPooling": ((2, 3, 5),),
    "NMS": ((40,),), "SmoothL1Loss": ((6, 8),), "SmoothL1Loss-plain": ((6, 8),),
    "LRN": ((8, 5, 6, 5),)})


def test_nets(figures: Figures, device: str, extent: Extent) -> None:
    """Test nets on one picture, 300 proposals."""
    for net_name in extent.nets:
        _net_rows(figures, net_name, stages.TEST, device, extent)


def training(figures: Figures, device: str, extent: Extent) -> None:
    """Iterations of a training: waiting for the minibatch, forward, backward, update."""
    for net_name, stage in extent.trainings:
        _net_rows(figures, net_name, stage, device, extent)


def operators(figures: Figures, device: str, extent: Extent) -> None:
    """Our operators beside those of torchvision and PyTorch, in float32."""
    for name, sizes in extent.operators.items():
        for size in sizes:
            figures.add(f"{name} {'x'.join(map(str, size))}",
                        partial(operator_row, name, size, device, extent.repeats))


def _net_rows(figures: Figures, net_name: str, stage: str, device: str, extent: Extent) -> None:
    for numbers in NUMBERS:
        figures.add(f"{net_name} {stage} {numbers}",
                    partial(net_row, net_name, stage, numbers, device, extent))


def net_row(net_name: str, stage: str, numbers: str, device: str, extent: Extent) -> Row:
    """{"ours_ms", "bare_ms", "ratio", "ratio_of_fastest", "peak_mb"} of a net at a stage.

    peak_mb: the most memory of a "cuda" device that our tensors take at a time in a pass, weights
    and all, and cuDNN's workspaces; None on the CPU. NotHere: the device does not know the numbers.
    """
    scales = {"SCALES": (extent.height,)}
    with computing_in(numbers), stages.settings_of(net_name, stage), \
            cfg_override(TRAIN=scales, TEST=scales), tempfile.TemporaryDirectory() as folder:
        _forget(device)
        run, net, message = stages.case(net_name, stage, folder, extent.height, extent.width)
        if NUMBERS[numbers] == torch.bfloat16 and net.precision != "bf16":
            raise NotHere("this device has no instructions for bf16")
        for _ in range(WARM_UP):
            run()
        peak = _peak_mb(run, device)
        bare = BareNet(net, message, stage != stages.TEST, NUMBERS[numbers])
        found = in_turn(run, bare.run, extent.repeats, WARM_UP, clock_of(device))
    return {"ours_ms": found["ours"] * 1e3, "bare_ms": found["bare"] * 1e3,
            "ratio": found["ratio"], "ratio_of_fastest": found["ratio_of_fastest"],
            "peak_mb": peak}


@contextlib.contextmanager
def computing_in(numbers: str) -> Iterator[None]:
    """Nets that are built in the block, and PyTorch, compute in "float32", "tf32" or "bf16"."""
    caffe.set_tf32(numbers == "tf32")
    caffe.set_precision("bf16" if numbers == "bf16" else "float32")
    try:
        yield
    finally:
        caffe.set_tf32(False)
        caffe.set_precision("float32")


def operator_row(name: str, size: tuple[int, ...], device: str, repeats: int) -> Row:
    """Milliseconds of ours and, where one is here, of the fastest other program, with their ratio:
    forward and, of operators with a gradient, backward."""
    make, _ = operator_peers.CASES[name]
    timed = operator_peers.measured(make(*size, device=device), repeats)
    row: Row = {}
    for direction, times in (("forward", timed.forward), ("backward", timed.backward)):
        if times:
            row[f"{direction}_ms"] = times[operator_peers.OURS] * 1e3
        other = operator_peers.fastest_other(times)
        if other is not None:
            row |= {f"{direction}_other": other, f"{direction}_other_ms": times[other] * 1e3,
                    f"{direction}_ratio": times[operator_peers.OURS] / times[other]}
    return row


def _forget(device: str) -> None:
    """Gives back the memory of the nets before."""
    gc.collect()
    if device == "cuda":
        torch.cuda.empty_cache()


def _peak_mb(run: stages.Run, device: str) -> float | None:
    if device != "cuda":
        return None
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    run()
    torch.cuda.synchronize()
    return torch.cuda.max_memory_allocated() / _MEGABYTE

"""The precision of nets: the numbers of their weights' products, "float32" or "bf16".

bfloat16 is the upper half of a float32: its range, and 8 bits of precision instead of 24. A net of
bf16 rounds the factors of its convolutions and inner products to it, and keeps the maps between
them in it; sums, master weights, losses, statistics and boxes are float32, and so is every array
that numpy gets to see. A net takes the precision that is set when it is built.
"""
import contextlib
import functools
import logging
from collections.abc import Iterator

import torch

from caffe.core import state
from caffe.core.errors import CaffeError, suggest

PRECISIONS = ("float32", "bf16")
log = logging.getLogger("caffe")


def check_precision(name: str) -> str:
    """The name, if it is one of PRECISIONS; else CaffeError."""
    if name not in PRECISIONS:
        raise CaffeError(f'precision "{name}" is unknown{suggest(str(name), PRECISIONS)}; there '
                         f"are {' and '.join(PRECISIONS)}")
    return name


def set_precision(name: str, phase: int | None = None) -> None:
    """Nets that are built from now on multiply in "float32" (the usual) or "bf16".

    phase: caffe.TRAIN or caffe.TEST, for nets of that phase alone. Where a device has no
    instructions for bf16, nets compute in float32 and one warning says so: there bf16 would be
    slower, and less exact. CaffeError: another name.
    """
    phases = state.Phase if phase is None else (state.Phase(phase),)
    state.set_precision_names({each: check_precision(name) for each in phases})


def precision(phase: int = state.TEST) -> str:
    """What `set_precision` was told for nets of a phase."""
    return state.precision_name(state.Phase(phase))


@contextlib.contextmanager
def computing_in(name: str, phase: int = state.TEST) -> Iterator[None]:
    """Nets of a phase that are built in the block have this precision; afterwards the choice is
    the earlier one."""
    before = precision(phase)
    set_precision(name, phase)
    try:
        yield
    finally:
        set_precision(before, phase)


def number_type(device: torch.device, phase: int) -> torch.dtype:
    """The type of the factors in a net of this phase that is built on this device now."""
    if precision(phase) == "float32":
        return torch.float32
    if not has_bf16(device.type):
        _warn(device.type)
        return torch.float32
    return torch.bfloat16


@functools.cache
def has_bf16(device_type: str) -> bool:
    """Whether a "cpu" or "cuda" device has instructions that multiply bfloat16."""
    if device_type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if not torch.backends.mkldnn.is_available():
        return False
    if torch.backends.cpu.get_cpu_capability().startswith("AVX"):     # x86
        return torch.cpu._is_avx512_bf16_supported()
    return torch.ops.mkldnn._is_mkldnn_bf16_supported()


@functools.cache
def _warn(device_type: str) -> None:
    what = "GPU" if device_type == "cuda" else "processor"
    log.warning("precision bf16: this %s has no instructions for bf16 and would be slower with it, "
                "so nets compute in float32", what)

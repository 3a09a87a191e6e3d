"""What Caffe keeps global: the phase names, the computing mode, the device and the seed."""
import contextlib
import enum
import os
from collections.abc import Iterator
from typing import TypedDict

import numpy as np
import torch

from caffe.core.errors import CaffeError, DeviceError
from caffe.operators.registration import has_cuda_kernels, lend_plain_kernels_to_cuda


class Phase(enum.IntEnum):
    """TRAIN or TEST: equal to Caffe's numbers, printed as Caffe's names."""

    TRAIN = 0
    TEST = 1

    def __str__(self) -> str:
        return self.name


class _State(TypedDict):
    gpu: bool
    device_id: int
    tf32: bool
    precision: dict[Phase, str]
    winograd: bool
    plan: bool
    solver_count: int
    solver_rank: int


TRAIN, TEST = Phase.TRAIN, Phase.TEST
_state: _State = {"gpu": False, "device_id": 0, "tf32": False, "winograd": True,
                  "precision": {TRAIN: "float32", TEST: "float32"}, "plan": True,
                  "solver_count": 1, "solver_rank": 0}


def set_mode_cpu() -> None:
    """Nets compute on the CPU from now on."""
    _state["gpu"] = False


def set_mode_gpu(tf32: bool | None = None) -> None:
    """Nets compute on the GPU chosen by `set_device` from now on.

    tf32: as in `set_tf32`; None leaves that choice as it is, and it is False at first.
    DeviceError where that GPU is not there. Operators that were built without CUDA kernels run as
    plain PyTorch operations there, with one warning.
    """
    _require_gpu(_state["device_id"])
    if not has_cuda_kernels():
        lend_plain_kernels_to_cuda()
    set_tf32(_state["tf32"] if tf32 is None else tf32)
    _state["gpu"] = True


def set_tf32(allowed: bool) -> None:
    """Whether GPUs may round the factors of float32 products and convolutions to TF32.

    TF32 has 10 bits after the point instead of 23, and is several times as fast on GPUs that have
    it. Without it results on a GPU are those of the CPU but for the order of sums. PyTorch's own
    choice (off for products, on for convolutions) does not count in nets.
    """
    _state["tf32"] = bool(allowed)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = bool(allowed)


def set_precision_names(names: dict[Phase, str]) -> None:
    """Notes the precision of each phase; to be called by precision.py, which knows the names."""
    _state["precision"] = {**_state["precision"], **names}


def precision_name(phase: Phase) -> str:
    """The precision of the nets of a phase that are built now."""
    return _state["precision"][phase]


def set_winograd(allowed: bool = True) -> None:
    """Whether the CPU may compute 3 x 3 convolutions by Winograd's algorithm, where that pays.

    The error against exact numbers is that of the plain sums of products, about 1e-6 of the largest
    value, but the numbers are others in their last digits. True at first.
    """
    _state["winograd"] = bool(allowed)


def allows_winograd() -> bool:
    """What `set_winograd` was told."""
    return _state["winograd"]


def set_plan(allowed: bool = True) -> None:
    """Whether test nets on the CPU may run by a plan: layers fused, weights packed.

    The numbers are others in their last digits. True at first; it counts from the next pass on.
    """
    _state["plan"] = bool(allowed)


def allows_plan() -> bool:
    """What `set_plan` was told."""
    return _state["plan"]


def set_deterministic(wanted: bool = True) -> None:
    """Whether the same run on the same GPU must give the same numbers to the last bit.

    Then gradients that meet in one place are added up in a fixed order, which takes longer, and
    operations of PyTorch that know no such order raise RuntimeError. To be called before the
    first computation on the GPU. The CPU always gives the same numbers.
    """
    if wanted:      # cuBLAS reads it when it starts
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(bool(wanted))


def set_device(device_id: int) -> None:
    """Chooses the GPU by number; the mode stays as it is."""
    _require_gpu(device_id)
    _state["device_id"] = int(device_id)


def set_random_seed(seed: int) -> None:
    """Seeds fillers, Dropout and every other random draw of the engine."""
    torch.manual_seed(int(seed))


def new_generator() -> np.random.Generator:
    """A numpy generator for draws in another thread, seeded by the engine's own generator."""
    return np.random.default_rng(int(torch.randint(2 ** 62, ())))


def set_solver_count(count: int) -> None:
    """Sets how many solvers train together; data layers built later each read their share."""
    if int(count) < 1:
        raise CaffeError(f"expected a solver count of at least 1, got {count}")
    _state["solver_count"] = int(count)


def set_solver_rank(rank: int) -> None:
    """Sets the rank of this process's solver, from 0."""
    if int(rank) < 0:
        raise CaffeError(f"expected a solver rank of at least 0, got {rank}")
    _state["solver_rank"] = int(rank)


def solver_count() -> int:
    """How many solvers train together."""
    return _state["solver_count"]


def solver_rank() -> int:
    """The rank of this process's solver."""
    return _state["solver_rank"]


def set_multiprocess(multiprocess: bool) -> None:
    """Accepted for compatibility: every solver has a process of its own here."""


def device() -> torch.device:
    """The torch.device on which nets built now compute."""
    return torch.device("cuda", _state["device_id"]) if _state["gpu"] else torch.device("cpu")


@contextlib.contextmanager
def computing_on(device: int | str) -> Iterator[None]:
    """Nets built in the block compute on a GPU (its number) or on the "cpu"; afterwards the choice
    is the earlier one. DeviceError as in `set_mode_gpu`."""
    before = _state["gpu"], _state["device_id"]
    try:
        if device == "cpu":
            set_mode_cpu()
        else:
            set_device(int(device))
            set_mode_gpu()
        yield
    finally:
        _state["gpu"], _state["device_id"] = before


def _require_gpu(device_id: int) -> None:
    count = torch.cuda.device_count()
    if not 0 <= int(device_id) < count:
        raise DeviceError(f"GPU {device_id} was asked for, but PyTorch sees {count} GPUs here; "
                          "use the CPU (--cpu, or caffe.set_mode_cpu()) or a CUDA build of PyTorch")

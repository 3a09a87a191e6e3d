"""What Caffe keeps global: the phase names, the computing mode, the device and the seed."""
import enum

import numpy as np
import torch

from caffe.core.errors import CaffeError, DeviceError


class Phase(enum.IntEnum):
    """TRAIN or TEST: equal to Caffe's numbers, printed as Caffe's names."""

    TRAIN = 0
    TEST = 1

    def __str__(self) -> str:
        return self.name


TRAIN, TEST = Phase.TRAIN, Phase.TEST
_state = {"gpu": False, "device_id": 0, "solver_count": 1, "solver_rank": 0}


def set_mode_cpu() -> None:
    """Nets compute on the CPU from now on."""
    _state["gpu"] = False


def set_mode_gpu() -> None:
    """Nets compute on the GPU chosen by `set_device` from now on."""
    _require_gpu(_state["device_id"])
    _state["gpu"] = True


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


def _require_gpu(device_id: int) -> None:
    count = torch.cuda.device_count()
    if not 0 <= int(device_id) < count:
        raise DeviceError(f"GPU {device_id} was asked for, but PyTorch sees {count} GPUs here; "
                          "use the CPU (--cpu, or caffe.set_mode_cpu()) or a CUDA build of PyTorch")

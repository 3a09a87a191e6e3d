"""The options of a solver: read from a file or a message, and checked before anything is built."""
import copy
import math
import os
from collections.abc import Callable, Iterable

from caffe.core.errors import CaffeError
from caffe.core.types import FilePath
from caffe.files import prototxt
from caffe.files.atomic import check_writable, sweep
from caffe.files.upgrade import upgrade_solver
from caffe.proto.caffe_pb2 import SolverParameter
from caffe.solvers.lr_policy import check_policy, check_policy_name

Check = Callable[[float], bool]
_AT_LEAST_0: tuple[Check, str] = (lambda value: value >= 0, "0 or more")
_AT_LEAST_1: tuple[Check, str] = (lambda value: value >= 1, "1 or more")
_SHARE: tuple[Check, str] = (lambda value: 0 <= value <= 1, "a number from 0 to 1")
_FINITE: tuple[Check, str] = (math.isfinite, "a number")
_NOT_NAN: tuple[Check, str] = (lambda value: not math.isnan(value), "a number, below 0 for none")
# option -> (whether a value makes sense, what does)
_RANGES: dict[str, tuple[Check, str]] = {
    "iter_size": _AT_LEAST_1, "average_loss": _AT_LEAST_1, "test_iter": _AT_LEAST_0,
    "max_iter": _AT_LEAST_0, "display": _AT_LEAST_0, "snapshot": _AT_LEAST_0,
    "test_interval": _AT_LEAST_0, "stepsize": _AT_LEAST_0, "stepvalue": _AT_LEAST_0,
    "base_lr": (lambda value: 0 <= value < math.inf, "a number of 0 or more"),
    "weight_decay": (lambda value: 0 <= value < math.inf, "a number of 0 or more"),
    "delta": (lambda value: 0 <= value < math.inf, "a number of 0 or more"),
    "gamma": _FINITE, "power": _FINITE, "clip_gradients": _NOT_NAN,
    "momentum": _SHARE, "momentum2": _SHARE, "rms_decay": _SHARE, "device_id": _AT_LEAST_0,
}


def read_parameters(source: FilePath | SolverParameter) -> SolverParameter:
    """The SolverParameter in a file, or a copy of one that is given; of the current form, checked.
    """
    if isinstance(source, SolverParameter):
        p, origin = upgrade_solver(copy.deepcopy(source)), "solver"
    else:
        p, origin = prototxt.read_solver(os.fspath(source)), os.fspath(source)
    check_parameters(p, origin)
    return p


def check_parameters(p: SolverParameter, origin: str) -> None:
    """Raises a CaffeError with option and range for a value that makes no sense."""
    for name, (makes_sense, expected) in _RANGES.items():
        for value in _values(p, name):
            if not makes_sense(value):
                raise CaffeError(f"{origin}: {name}: expected {expected}, got {_shown(value)}")
    if list(p.stepvalue) != sorted(p.stepvalue):
        raise CaffeError(f"{origin}: stepvalue: expected ascending numbers, got "
                         f"{', '.join(map(str, p.stepvalue))}")
    if p.HasField("lr_policy"):
        check_policy_name(p, origin)


def check_before_training(p: SolverParameter) -> None:
    """Raises a CaffeError for options that only a training needs, before its first iteration."""
    check_policy(p)
    if p.regularization_type not in ("L1", "L2"):
        raise CaffeError("solver: regularization_type: expected L1 or L2, got "
                         f'"{p.regularization_type}"')


def check_snapshot_prefix(p: SolverParameter) -> None:
    """Raises a CaffeError unless snapshots can be written; removes partial ones of killed runs.

    Caffe: Solver::CheckSnapshotWritePermissions.
    """
    if not p.snapshot_prefix:
        raise CaffeError("solver: a snapshot needs a snapshot_prefix, got none")
    try:
        check_writable(f"{p.snapshot_prefix}_iter_0")
    except OSError as error:
        raise CaffeError(f"solver: snapshot_prefix: no snapshot can be written to "
                         f"{p.snapshot_prefix}_iter_...: {error.strerror}; make the folder or "
                         "give another prefix") from None
    sweep(os.path.dirname(os.path.abspath(p.snapshot_prefix)))


def _shown(value: float) -> str:
    return str(value) if isinstance(value, int) else f"{value:g}"


def _values(p: SolverParameter, name: str) -> Iterable[float]:
    value = getattr(p, name)
    if hasattr(value, "__len__"):
        return list(value)
    return [value] if p.HasField(name) else []

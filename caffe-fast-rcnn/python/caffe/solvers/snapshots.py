"""What a solver writes in order to go on later: Caffe's snapshot files, and an exact state.

A snapshot is two files, weights and solver state, as Caffe writes them. The exact state also holds
the recent losses, so that a training continues as if it had never stopped.
"""
import logging
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from caffe.core.errors import CaffeError, WeightsError
from caffe.core.types import FilePath
from caffe.files import weights
from caffe.proto import caffe_pb2
from caffe.proto.caffe_pb2 import SolverParameter
from caffe.solvers.lr_policy import PolicyState

if TYPE_CHECKING:
    from caffe.solvers.solver import Solver

log = logging.getLogger("caffe")


def snapshot_paths(p: SolverParameter, iteration: int) -> tuple[str, str]:
    """The files of an iteration's snapshot: weights and solver state."""
    if not p.snapshot_prefix:
        raise CaffeError("solver: a snapshot needs a snapshot_prefix, got none")
    stem, end = f"{p.snapshot_prefix}_iter_{iteration}", ".h5" if _is_hdf5(p) else ""
    return f"{stem}.caffemodel{end}", f"{stem}.solverstate{end}"


def write_snapshot(solver: "Solver") -> tuple[str, str]:
    """Writes both files of a snapshot; returns their paths."""
    p = solver.param
    model, history = snapshot_paths(p, solver.iter)
    form = "HDF5" if _is_hdf5(p) else "binary proto"
    log.info("Snapshotting to %s file %s", form, model)
    (solver.net.save_hdf5 if _is_hdf5(p) else solver.net.save)(model, p.snapshot_diff)
    log.info("Snapshotting solver state to %s file %s", form, history)
    weights.write_state(history, solver.iter, model, solver.policy_state.current_step,
                        solver.updater.history(), solver.policy_state.plateau(p))
    return model, history


def restore_snapshot(solver: "Solver", path: FilePath) -> None:
    """Continues from a .solverstate (binary or HDF5), with the weights that it names."""
    saved = weights.read_state(os.fspath(path))
    try:
        solver.updater.load_history(saved.history)
    except CaffeError as problem:
        raise WeightsError(f"{path}: {problem}") from None
    if saved.learned_net:
        solver.net.copy_from(saved.learned_net)
    solver.iter = saved.iter
    solver.policy_state = PolicyState(saved.current_step, *saved.plateau or ())


def exact_state(solver: "Solver") -> dict[str, np.ndarray]:
    """{name: array} of all that training depends on in a solver."""
    arrays = {"iter": np.array(solver.iter), **solver.policy_state.as_arrays()}
    for i, learnable in enumerate(solver.net.learnables):
        arrays[f"param/{i}"] = learnable.blob.tensor.detach().cpu().numpy().copy()
    for i, array in enumerate(solver.updater.history()):
        arrays[f"history/{i}"] = array.copy()
    arrays["losses"] = np.array(solver.losses.values(), dtype=np.float64)
    return arrays


def load_exact_state(solver: "Solver", arrays: Mapping[str, np.ndarray]) -> None:
    """Continues from what `exact_state` gave; CaffeError when it belongs to another net."""
    blobs = [learnable.blob for learnable in solver.net.learnables]
    params = _numbered(arrays, "param")
    if [array.shape for array in params] != [blob.shape for blob in blobs]:
        raise CaffeError("the state does not fit the net: expected learnable blobs of shape "
                         f"{[blob.shape for blob in blobs]}, got "
                         f"{[array.shape for array in params]}")
    solver.updater.load_history(_numbered(arrays, "history"))
    for blob, array in zip(blobs, params):
        blob.values.load(array)
    solver.iter, solver.policy_state = int(arrays["iter"]), PolicyState.from_arrays(arrays)
    solver.losses.load(arrays["losses"])


def _is_hdf5(p: SolverParameter) -> bool:
    return p.snapshot_format == caffe_pb2.SolverParameter.HDF5


def _numbered(arrays: Mapping[str, np.ndarray], group: str) -> list[np.ndarray]:
    """The arrays "<group>/0", "<group>/1", ..."""
    count = sum(name.startswith(f"{group}/") for name in arrays)
    return [np.asarray(arrays[f"{group}/{i}"]) for i in range(count)]

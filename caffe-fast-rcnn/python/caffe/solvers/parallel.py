"""Solvers that train together, one process each (pycaffe: caffe.NCCL; Caffe: parallel.cpp).

    uid = caffe.NCCL.new_uid()              # once, then in each of the processes:
    caffe.set_solver_count(2)
    caffe.set_solver_rank(rank)
    solver = caffe.SGDSolver("solver.prototxt")
    nccl = caffe.NCCL(solver, uid)
    nccl.bcast()                            # all start from the weights of rank 0
    solver.add_callback(nccl)               # each update takes the mean gradient of all
    solver.net.after_backward(nccl)         # optional: exchange during the backward pass
    solver.solve()

The exchange is torch.distributed's: NCCL between GPUs, Gloo between processes on the CPU.
"""
import atexit
import collections
import datetime
import os
import shutil
import tempfile
from typing import TYPE_CHECKING

import torch
from torch import distributed

from caffe.core import state
from caffe.core.blob import Blob
from caffe.core.errors import CaffeError
from caffe.solvers.buckets import Buckets, together

if TYPE_CHECKING:
    from caffe.solvers.solver import Solver

# How long solvers wait for each other: rank 0 may test for hours.
PATIENCE = datetime.timedelta(days=7)


def has_nccl() -> bool:
    """Whether solvers can train together here."""
    return distributed.is_available()


class NCCL:
    """Exchanges gradients between solvers; solver_count and solver_rank say which this one is.

    uid: what `new_uid` gave one process, which hands it to all; not needed where the process group
    exists already (torch.distributed.init_process_group). The constructor waits for all processes.
    An instance is a callback of the solver (on_start, on_gradients_ready) and of its net
    (after_backward). Raises CaffeError.
    """

    def __init__(self, solver: "Solver", uid: bytes | str | os.PathLike[str] | None = None) -> None:
        if not has_nccl():
            raise CaffeError("solvers cannot train together: this PyTorch has no distributed part")
        self._solver = solver
        self._device = state.device()
        self._count = state.solver_count()
        self._early = _blobs_by_layer(solver)
        early = {id(blob) for blobs in self._early for blob in blobs}
        learned = {id(learnable.blob): learnable.blob for learnable in solver.net.learnables
                   if learnable.lr_mult}
        self._buckets = Buckets(self._early,
                                [blob for key, blob in learned.items() if key not in early])
        self._join(uid)

    @staticmethod
    def new_uid() -> bytes:
        """The path of a new rendezvous file for processes on this machine, as bytes."""
        folder = tempfile.mkdtemp(prefix="caffe-nccl-")
        atexit.register(_remove, folder, os.getpid())
        return os.fsencode(os.path.join(folder, "store"))

    def _join(self, uid: bytes | str | os.PathLike[str] | None) -> None:
        rank = state.solver_rank()
        if not 0 <= rank < self._count:
            raise CaffeError(f"expected a solver_rank from 0 to {self._count - 1} (solver_count is "
                             f"{self._count}), got {rank}")
        if not distributed.is_initialized():
            if uid is None:
                raise CaffeError("expected a uid from caffe.NCCL.new_uid(), got none")
            backend = "nccl" if self._device.type == "cuda" else "gloo"
            together(distributed.init_process_group, backend, rank=rank, timeout=PATIENCE,
                     init_method=f"file://{os.fsdecode(uid)}", world_size=self._count)
        if distributed.get_world_size() != self._count:
            raise CaffeError(f"solver_count is {self._count}, but this process is already one of "
                             f"{distributed.get_world_size()}")

    def bcast(self) -> None:
        """Broadcasts the learnable blobs of rank 0 to all solvers."""
        for learnable in self._solver.net.learnables:
            values = learnable.blob.values
            tensor = values.get().detach().clone(memory_format=torch.contiguous_format)
            together(distributed.broadcast, tensor, src=0)
            values.copy_(tensor)

    def agree(self, number: int) -> int:
        """See the function `agree`."""
        return agree(number, self._device)

    def close(self) -> None:
        """Destroys the process group; the process may join another one afterwards."""
        distributed.destroy_process_group()

    def on_start(self) -> None:
        """Called before each iteration; does nothing, since the weights are equal already."""

    def __call__(self, layer: int) -> None:
        """Called after a layer's backward pass: starts to reduce the gradients that are complete.

        With iter_size > 1 only the last pass completes gradients, and nothing starts early.
        """
        if self._solver.param.layer_wise_reduce and self._solver.param.iter_size == 1:
            self._buckets.completed(self._early[layer])

    def on_gradients_ready(self) -> None:
        """Called before each update: replaces the gradients by their mean over all solvers."""
        self._buckets.exchange(self._count)


def agree(number: int, device: torch.device | str = "cpu") -> int:
    """Broadcasts the integer of rank 0; a barrier as well.

    device: on which the backend exchanges tensors.
    """
    number = 0 if distributed.get_rank() else int(number)
    total = torch.tensor(number, device=device)
    together(distributed.all_reduce, total)     # a sum is also a barrier
    return int(total)


def _blobs_by_layer(solver: "Solver") -> list[list[Blob]]:
    """Per layer of the net: the learned blobs that no other layer uses."""
    learned = {id(learnable.blob) for learnable in solver.net.learnables if learnable.lr_mult}
    layers = [list(solver.net.params.get(name, ())) for name in solver.net._layer_names]
    users = collections.Counter(id(getattr(blob, "owner", blob))
                                for blobs in layers for blob in blobs)
    return [[blob for blob in blobs if id(blob) in learned and users[id(blob)] == 1]
            for blobs in layers]


def _remove(folder: str, process: int) -> None:
    if os.getpid() == process:      # not in its children
        shutil.rmtree(folder, ignore_errors=True)

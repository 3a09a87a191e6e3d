"""Training on several devices at once: a process for each; this process is rank 0.

Every device computes its own batch, so the effective batch is N times larger on N devices.
"""
import logging
import multiprocessing
import multiprocessing.connection
import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from multiprocessing.context import SpawnProcess
from typing import Any

from caffe.core import state
from caffe.proto import caffe_pb2
from caffe.proto.caffe_pb2 import SolverParameter
from caffe.solvers.parallel import NCCL
from caffe.solvers.signals import Action, SignalHandler
from caffe.solvers.solver_types import get_solver
from caffe.tools.command import status_of
from caffe.tools.flags import use

log = logging.getLogger("caffe")


def train_together(p: SolverParameter, gpus: Sequence[int | None], snapshot: str,
                   signals: SignalHandler) -> None:
    """Trains by SolverParameter p on all `gpus` (numbers, or None for the CPU).

    snapshot: a .solverstate to continue from, or ""; signals: a SignalHandler.
    """
    log.info("Using GPUs %s", ", ".join(map(str, gpus)))
    uid, context = NCCL.new_uid(), multiprocessing.get_context("spawn")
    others = [context.Process(target=_work, args=(p.SerializeToString(), gpus, snapshot, uid, rank),
                              daemon=True) for rank in range(1, len(gpus))]
    for process in others:
        process.start()
    watch = _Watch(others, gpus[1:])
    watch.start()
    try:
        _solve(p, gpus, snapshot, uid, 0, signals.requested)
        for process in others:
            process.join(timeout=60)
    finally:
        watch.is_over = True
        for process in others:
            process.terminate()
        state.set_solver_count(1)


def _work(serialized: bytes, gpus: Sequence[int | None], snapshot: str, uid: bytes,
          rank: int) -> None:
    """The work of the other processes; rank 0 decides what a signal does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, "SIGHUP"):
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
    p = caffe_pb2.SolverParameter.FromString(serialized)
    sys.exit(status_of(_solve, p, gpus, snapshot, uid, rank, lambda: Action.NONE))


def _solve(p: SolverParameter, gpus: Sequence[int | None], snapshot: str, uid: bytes, rank: int,
           action: Callable[[], Action]) -> None:
    state.set_solver_count(len(gpus))
    state.set_solver_rank(rank)
    use(gpus[rank])
    solver = get_solver(p)
    if snapshot:
        log.info("Resuming from %s", snapshot)
        solver.restore(snapshot)
    nccl = NCCL(solver, uid)
    nccl.bcast()
    solver.add_callback(nccl)
    solver.net.after_backward(nccl)
    solver.action = lambda: Action(nccl.agree(action()))
    log.info("Starting Optimization")
    solver.solve()
    nccl.close()


class _Watch(threading.Thread):
    """Ends this process when another one fails, which it would wait for forever."""

    def __init__(self, processes: Sequence[SpawnProcess], gpus: Sequence[int | None]) -> None:
        super().__init__(daemon=True)
        self._processes, self._gpus = list(processes), list(gpus)
        self.is_over = False

    def run(self) -> None:
        waiting: dict[Any, int] = {process.sentinel: i for i, process in enumerate(self._processes)}
        while waiting:
            for sentinel in multiprocessing.connection.wait(list(waiting)):
                i = waiting.pop(sentinel)
                self._processes[i].join()
                if self._processes[i].exitcode and not self.is_over:
                    self._give_up(i)

    def _give_up(self, i: int) -> None:
        print(f"error: the process of GPU {self._gpus[i]} ended with status "
              f"{self._processes[i].exitcode}; training stops", file=sys.stderr, flush=True)
        for process in self._processes:
            process.terminate()
        os._exit(2)

#!/usr/bin/env python3
"""Trains a model on one or more GPUs (Caffe: python/train.py).

Every GPU has a process of its own and computes its own batch; each update takes the mean gradient.
"""
import argparse
import multiprocessing
import multiprocessing.connection
import sys
from collections.abc import Sequence

import caffe
from caffe.tools.command import status_of


def train(solver: str, snapshot: str, gpus: Sequence[int], timing: bool = False) -> None:
    """Trains by the file `solver` on the GPUs `gpus`; snapshot: a .solverstate to continue from."""
    caffe.init_log()
    caffe.log(f"Using devices {gpus}")
    for gpu in gpus:
        caffe.set_device(gpu)   # an error here rather than one in each process
    uid = caffe.NCCL.new_uid()
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=work, args=(solver, snapshot, gpus, timing, uid, rank))
                 for rank in range(len(gpus))]
    for process in processes:
        process.start()
    waiting = {process.sentinel: process for process in processes}
    while waiting:
        for sentinel in multiprocessing.connection.wait(list(waiting)):
            process = waiting.pop(sentinel)
            process.join()
            if process.exitcode:
                for other in waiting.values():
                    other.terminate()
                raise caffe.CaffeError("training stopped: the process of one of the GPUs ended "
                                       f"with status {process.exitcode}")


def work(solver: str, snapshot: str, gpus: Sequence[int], timing: bool, uid: bytes,
         rank: int) -> None:
    """A process of the training; ends it with its exit status."""
    caffe.init_log()
    sys.exit(status_of(solve, solver, snapshot, gpus, timing, uid, rank))


def solve(solver_file: str, snapshot: str, gpus: Sequence[int], timing: bool, uid: bytes,
          rank: int) -> None:
    """What a process does: trains its share on GPU gpus[rank]."""
    caffe.set_device(gpus[rank])
    caffe.set_mode_gpu()
    caffe.set_solver_count(len(gpus))
    caffe.set_solver_rank(rank)
    caffe.set_multiprocess(True)
    solver = caffe.get_solver(solver_file)
    if snapshot:
        solver.restore(snapshot)
    nccl = caffe.NCCL(solver, uid)
    nccl.bcast()
    if timing and rank == 0:
        time(solver, nccl)
    else:
        solver.add_callback(nccl)
    if solver.param.layer_wise_reduce:
        solver.net.after_backward(nccl)
    solver.step(solver.param.max_iter - solver.iter)
    nccl.close()


def time(solver: caffe.SGDSolver, nccl: caffe.NCCL) -> None:
    """Has the mean times of the passes and of the exchange logged at the solver's `display`."""
    timers = {name: caffe.Timer() for name in ("forward", "backward", "allreduce")}
    sums = dict.fromkeys(timers, 0.0)
    first, last = solver.iter, len(solver.net.layers) - 1

    def stop(name: str) -> None:
        timers[name].stop()
        sums[name] += timers[name].ms

    def on_gradients_ready() -> None:
        timers["allreduce"].start()
        nccl.on_gradients_ready()
        stop("allreduce")
        done = solver.iter + 1
        if solver.param.display and done % solver.param.display == 0:
            means = ", ".join(f"{name}: {total / (done - first):.3f} ms"
                              for name, total in sums.items())
            caffe.log(f"Iteration {done}, mean times: {means}")

    solver.net.before_forward(lambda layer: layer == 0 and timers["forward"].start())
    solver.net.after_forward(lambda layer: layer == last and stop("forward"))
    solver.net.before_backward(lambda layer: layer == last and timers["backward"].start())
    solver.net.after_backward(lambda layer: layer == 0 and stop("backward"))
    solver.add_callback(nccl.on_start, on_gradients_ready)


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--solver", required=True, help="solver prototxt")
    parser.add_argument("--snapshot", help=".solverstate to continue from")
    parser.add_argument("--gpus", type=int, nargs="+", default=[0], help="numbers of GPUs [0]")
    parser.add_argument("--timing", action="store_true", help="show timing information")
    args = parser.parse_args()
    return status_of(train, args.solver, args.snapshot, args.gpus, args.timing)


if __name__ == "__main__":
    sys.exit(main())

"""Tools in several processes: `torchrun --nproc_per_node 4 tools/train_net.py ...`.

torchrun tells each process its rank in the environment; without torchrun there is one process, and
nothing here does anything. The process of rank r of n takes the images r, r + n, ... (in training:
minibatches), and gradients are averaged (caffe.NCCL). Only rank 0 prints, writes and validates.
What the other ranks send to it are arrays, through torch.distributed's Gloo.
"""
import io
import os
import sys
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import distributed

import caffe
from caffe.core.errors import UserError
from caffe.solvers import parallel
from caffe.solvers.parallel import PATIENCE, together
from caffe.solvers.solver import Solver

# torchrun's key-value store, once `start` has found it
_rendezvous: dict[str, Any] = {"store": None}


class ProcessesError(UserError, ValueError):
    """A tool or a setting that does not work in several processes."""


def start() -> None:
    """Reads this process's rank; all ranks but 0 print nothing from now on.

    Does not wait for the other processes; `join` does.
    """
    count = int(os.environ.get("WORLD_SIZE", 1))
    if count == 1:
        return
    _rendezvous["store"], rank, _ = together(next, distributed.rendezvous("env://"))
    caffe.set_solver_count(count)
    caffe.set_solver_rank(rank)
    if rank:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")


def gpu_of(first: int) -> int:
    """The number of this process's GPU when those of this machine start at number `first`."""
    return first + int(os.environ.get("LOCAL_RANK", 0)) if not is_alone() else first


def join() -> None:
    """Forms the process group, once the device is chosen; waits for the other processes."""
    if is_alone() or distributed.is_initialized():
        return
    _rendezvous["store"].set_timeout(PATIENCE)
    on_gpu = caffe.state.device().type == "cuda"
    if on_gpu:
        torch.cuda.set_device(caffe.state.device())     # pinned memory is allocated there too
    together(distributed.init_process_group, "cpu:gloo,cuda:nccl" if on_gpu else "gloo",
             store=distributed.PrefixStore("tools", _rendezvous["store"]), timeout=PATIENCE,
             rank=caffe.solver_rank(), world_size=caffe.solver_count())


def leave() -> None:
    """Leaves the process group, at the end of a process."""
    if distributed.is_initialized():
        distributed.destroy_process_group()


def abort(status: int) -> None:
    """Ends a process of a group at once, even in the middle of an exchange with the others."""
    if distributed.is_initialized():
        os._exit(status)


def is_alone() -> bool:
    """Whether this is the only process."""
    return caffe.solver_count() == 1


def is_first() -> bool:
    """Whether this is the process that prints and writes (rank 0)."""
    return caffe.solver_rank() == 0


def is_first_to_fail() -> bool:
    """Asked by a process that fails: whether no other one has failed, and said why, before."""
    if _rendezvous["store"] is None:
        return True
    try:
        return _rendezvous["store"].add("failures", 1) == 1
    except RuntimeError:        # the store is gone: nobody can tell
        return True


# ---------------------------------------------------------------------------- collective operations


def barrier() -> None:
    """Returns once all processes have come here; CaffeError where one has ended before."""
    broadcast(0)


def broadcast(number: int) -> int:
    """Rank 0's whole number, in all processes."""
    return number if is_alone() else parallel.agree(number)


def broadcast_generator() -> None:
    """Sets numpy's random generator of all processes to the state of rank 0's."""
    if is_alone():
        return
    generator: Any = np.random.get_state(legacy=True)
    name, keys, position = generator[:3]
    state = torch.from_numpy(np.append(keys, position).astype(np.int64))
    together(distributed.broadcast, state, src=0)
    *keys, position = state.tolist()
    np.random.set_state((name, np.array(keys, np.uint32), position, 0, 0.0))


def seed_ranks_differently() -> None:
    """Gives each rank but 0 seeds of its own for the generators of numpy and of the engine."""
    if not is_first():
        seeds = np.random.randint(2 ** 31, size=caffe.solver_rank() + 1)
        np.random.seed(seeds[-1])
        caffe.set_random_seed(seeds[-1])


def average_gradients(solver: Solver) -> None:
    """Gives a solver rank 0's weights, and all its updates the mean gradient of all processes."""
    if is_alone():
        return
    if solver.param.lr_policy == "plateau":
        raise ProcessesError("lr_policy plateau depends on the loss, which differs between "
                             "processes: choose step or multistep, or train in one process")
    exchange = caffe.NCCL(solver)
    exchange.bcast()
    solver.add_callback(exchange)
    solver.net.after_backward(exchange)


# ----------------------------------------------------------------------------------- sharing images


def share(num_images: int) -> range:
    """The numbers of the images that this process takes."""
    return range(caffe.solver_rank(), num_images, caffe.solver_count())


def gathered(arrays: Mapping[str, np.ndarray]) -> list[Mapping[str, np.ndarray]] | None:
    """In rank 0 the `arrays` of all processes, by rank; None in the other processes."""
    if is_alone():
        return [arrays]
    if is_first():
        return [arrays] + [_receive(rank) for rank in range(1, caffe.solver_count())]
    packed = io.BytesIO()
    content_of: dict[str, Any] = dict(arrays)
    np.savez(packed, **content_of)
    content = torch.frombuffer(packed.getbuffer(), dtype=torch.uint8)
    together(distributed.send, torch.tensor([len(content)]), dst=0)
    together(distributed.send, content, dst=0)
    return None


def _receive(rank: int) -> dict[str, np.ndarray]:
    size = torch.zeros(1, dtype=torch.int64)
    together(distributed.recv, size, src=rank)
    content = torch.empty(int(size), dtype=torch.uint8)
    together(distributed.recv, content, src=rank)
    with np.load(io.BytesIO(content.numpy().tobytes()), allow_pickle=False) as file:
        return dict(file)


def gathered_images(found: dict[int, list[np.ndarray]]) -> dict[int, list[np.ndarray]] | None:
    """In rank 0 the results of the images of all processes; None in the other processes.

    found: {image number: [(n, C) float32, ...]}, the same number of arrays for each image.
    """
    if is_alone():
        return found
    counts = np.array([[len(array) for array in arrays] for arrays in found.values()], int)
    rows = [array for arrays in found.values() for array in arrays]
    parts = gathered({"images": np.array(list(found), int), "counts": counts,
                      "rows": np.concatenate(rows) if rows else np.zeros((0, 0), np.float32)})
    if parts is None:
        return None
    merged = {}
    for part in parts:
        ends = iter(np.cumsum(part["counts"]).tolist())
        for image, lengths in zip(part["images"].tolist(), part["counts"].tolist()):
            merged[image] = [part["rows"][end - n:end] for n, end in zip(lengths, ends)]
    return dict(sorted(merged.items()))

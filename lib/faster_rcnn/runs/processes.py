"""Tools in several processes: `torchrun --nproc_per_node 4 tools/train_net.py ...`.

torchrun says in the environment who each process is; without it there is one, and nothing here does
anything. Process r of n takes the images r, r + n, ... (minibatches in training), gradients become
their mean (caffe.NCCL). Only the first process, rank 0, speaks, writes and validates.
What the others send to it are arrays, through torch.distributed's Gloo.
"""
import io
import os
import sys

import numpy as np
import torch
from torch import distributed

import caffe
from caffe.solvers import parallel
from caffe.solvers.parallel import PATIENCE, together

_meeting = {"store": None}      # torchrun's key-value store, once `start` has found it


def start():
    """Finds out who this process is; all but the first are silent from now on.

    Nothing waits for the other processes before `join`.
    """
    count = int(os.environ.get("WORLD_SIZE", 1))
    if count == 1:
        return
    _meeting["store"], rank, _ = together(next, distributed.rendezvous("env://"))
    caffe.set_solver_count(count)
    caffe.set_solver_rank(rank)
    if rank:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")


def gpu_of(first):
    """The number of this process's GPU when those of this machine start at number `first`."""
    return first + int(os.environ.get("LOCAL_RANK", 0)) if not is_alone() else first


def join():
    """Meets the other processes, once the device is chosen."""
    if is_alone() or distributed.is_initialized():
        return
    _meeting["store"].set_timeout(PATIENCE)
    on_gpu = caffe.state.device().type == "cuda"
    if on_gpu:
        torch.cuda.set_device(caffe.state.device())     # pinned memory is made there too
    together(distributed.init_process_group, "cpu:gloo,cuda:nccl" if on_gpu else "gloo",
             store=distributed.PrefixStore("tools", _meeting["store"]), timeout=PATIENCE,
             rank=caffe.solver_rank(), world_size=caffe.solver_count())


def leave():
    """The end of a process that has nothing left to do with the others."""
    if distributed.is_initialized():
        distributed.destroy_process_group()


def break_off(status):
    """Ends a process that has met others, even in the middle of an exchange with them."""
    if distributed.is_initialized():
        os._exit(status)


def is_alone():
    """Whether there is only this process."""
    return caffe.solver_count() == 1


def is_first():
    """Whether this is the process that speaks and writes."""
    return caffe.solver_rank() == 0


def is_first_to_fail():
    """Asked by a process that fails: whether no other one has failed, hence told why, before."""
    if _meeting["store"] is None:
        return True
    try:
        return _meeting["store"].add("failures", 1) == 1
    except RuntimeError:        # the store is gone, so who knows
        return True


# ------------------------------------------------------------------------------ what all do at once


def wait():
    """Returns once all processes have come here; CaffeError where one has ended before."""
    agree(0)


def agree(number):
    """The whole number that the first process has, for all."""
    return number if is_alone() else parallel.agree(number)


def draw_alike():
    """numpy's generator goes on in all processes as it would in the first one."""
    if is_alone():
        return
    name, keys, position = np.random.get_state()[:3]
    state = torch.from_numpy(np.append(keys, position).astype(np.int64))
    together(distributed.broadcast, state, src=0)
    *keys, position = state.tolist()
    np.random.set_state((name, keys, position))


def draw_apart():
    """The generators of numpy and of the engine go on differently in each process."""
    if not is_first():
        seeds = np.random.randint(2 ** 31, size=caffe.solver_rank() + 1)
        np.random.seed(seeds[-1])
        caffe.set_random_seed(seeds[-1])


def train_together(solver):
    """Gives a solver the weights of the first process, and all its updates the mean gradient."""
    if is_alone():
        return
    if solver.param.lr_policy == "plateau":
        raise ValueError("lr_policy plateau goes by the loss, which differs between processes: "
                         "choose step or multistep, or train in one process")
    exchange = caffe.NCCL(solver)
    exchange.bcast()
    solver.add_callback(exchange)
    solver.net.after_backward(exchange)


# ----------------------------------------------------------------------------------- sharing images


def share(num_images):
    """The numbers of the images that this process takes."""
    return range(caffe.solver_rank(), num_images, caffe.solver_count())


def gathered(arrays):
    """In the first process the `arrays` (a dict) of all processes, in order; None in the others."""
    if is_alone():
        return [arrays]
    if is_first():
        return [arrays] + [_receive(rank) for rank in range(1, caffe.solver_count())]
    packed = io.BytesIO()
    np.savez(packed, **arrays)
    content = torch.frombuffer(packed.getbuffer(), dtype=torch.uint8)
    together(distributed.send, torch.tensor([len(content)]), dst=0)
    together(distributed.send, content, dst=0)
    return None


def _receive(rank):
    size = torch.zeros(1, dtype=torch.int64)
    together(distributed.recv, size, src=rank)
    content = torch.empty(int(size), dtype=torch.uint8)
    together(distributed.recv, content, src=rank)
    with np.load(io.BytesIO(content.numpy()), allow_pickle=False) as file:
        return dict(file)


def gathered_images(found):
    """Results of the images of all processes, in the first one; None in the others.

    found: {image number: [(n, C) float32, ...]}, equally many arrays for each image.
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

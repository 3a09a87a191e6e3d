"""Blocks that compute with a number of threads."""
import contextlib

import torch


@contextlib.contextmanager
def threads_of_torch(count):
    """torch.set_num_threads within a block."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)

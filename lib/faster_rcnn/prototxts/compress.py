"""Fully connected layers in two steps by truncated SVD (Girshick 2015, Fast R-CNN, section 3.1)."""
import logging

import numpy as np

import caffe
from caffe.core.errors import InputError

log = logging.getLogger(__name__)


def truncated_svd(weight: np.ndarray, rank: int) -> tuple[np.ndarray, np.ndarray]:
    """Factors (N, rank) and (rank, M) whose product is the nearest one of that rank to (N, M).

    The singular values go into the second factor, as in py-faster-rcnn: compress_net.py.
    """
    left, values, right = np.linalg.svd(weight, full_matrices=False)
    return left[:, :rank], values[:rank, None] * right[:rank]


def compress(net: caffe.Net, compressed: caffe.Net) -> list[tuple[str, int]]:
    """Fills the layers <name>_L and <name>_U of a net from the layer <name> of another one.

    <name>_L (K outputs, no bias) comes first, <name>_U has the outputs and the bias of <name>; all
    other layers must have their weights already. Returns [(name, K)] in net order.
    """
    done = []
    for lower in compressed.params:
        name, upper = lower[:-2], lower[:-2] + "_U"
        if lower.endswith("_L") and upper in compressed.params:
            _check(net, compressed, name)
            rank = compressed.params[lower][0].shape[0]
            log.info("  compressing %s to %d ...", name, rank)
            factors = truncated_svd(net.params[name][0].data, rank)
            compressed.params[upper][0].data[...] = factors[0]
            compressed.params[lower][0].data[...] = factors[1]
            compressed.params[upper][1].data[...] = net.params[name][1].data
            done.append((name, rank))
    if not done:
        raise InputError("the compressed net (--def-svd) has no pair of layers <name>_L, <name>_U")
    return done


def _check(net, compressed, name):
    """The pair of layers must be able to stand for the layer."""
    if name not in net.params:
        raise InputError(f"the net (--def) has no layer {name} for {name}_L and {name}_U")
    lower, upper = compressed.params[name + "_L"], compressed.params[name + "_U"]
    rows, columns = net.params[name][0].shape
    rank = lower[0].shape[0]
    if len(lower) != 1 or len(upper) != 2:
        raise InputError(f"{name}_L must have no bias (bias_term: false), {name}_U must have one")
    if lower[0].shape[1] != columns or upper[0].shape != (rows, rank):
        raise InputError(f"{name} is {rows} x {columns}, which {name}_U {tuple(upper[0].shape)} "
                         f"and {name}_L {tuple(lower[0].shape)} cannot make up")
    if rank > min(rows, columns):
        raise InputError(f"{name}_L has {rank} outputs, but {name} has only "
                         f"{min(rows, columns)} singular values")

"""What `debug_info: true` logs while a net runs: the mean absolute value of everything in it.

Caffe: Net::ForwardDebugInfo, BackwardDebugInfo and the end of Net::Backward. The first blob whose
mean is 0 or NaN shows where a training goes wrong.
"""
import logging
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import torch

from caffe.core.blob import Blob
from caffe.core.logs import mean_magnitude
from caffe.core.memory import Memory
from caffe.runners.runner import LayerRunner

if TYPE_CHECKING:
    from caffe.nets.net import Net

log = logging.getLogger("caffe")


def log_passes(net: "Net", is_wanted: Callable[[], object]) -> None:
    """Logs every later pass of a net in which `is_wanted()` is true.

    After a layer's forward pass: its tops and learnable blobs. After its backward pass: the
    gradients that it computed. After the backward pass of the first layer: the norms of all
    learnable blobs.
    """
    runners = net._runners

    def after_forward(index: int) -> None:
        if is_wanted():
            _log_forward(runners[index])

    def after_backward(index: int) -> None:
        if is_wanted():
            _log_backward(runners[index])
            if index == 0:
                _log_norms([learnable.blob for learnable in net.learnables])

    net.after_forward(after_forward)
    net.after_backward(after_backward)


def _log_forward(layer: LayerRunner) -> None:
    for name, top in zip(layer.top_names, layer.tops):
        log.info("    [Forward] Layer %s, top blob %s data: %.6g", layer.name, name,
                 mean_magnitude(top.values.get()))
    for name, blob in zip(_param_names(layer), layer.blobs):
        log.info("    [Forward] Layer %s, param blob %s data: %.6g", layer.name, name,
                 mean_magnitude(blob.values.get()))


def _log_backward(layer: LayerRunner) -> None:
    if not layer.need_backward:
        return
    for name, bottom, wanted in zip(layer.bottom_names, layer.bottoms, layer.propagate_down):
        if wanted:
            log.info("    [Backward] Layer %s, bottom blob %s diff: %.6g", layer.name, name,
                     mean_magnitude(bottom.gradient.get()))
    for name, blob, wanted in zip(_param_names(layer), layer.blobs, layer.param_propagate_down):
        if wanted:
            log.info("    [Backward] Layer %s, param blob %s diff: %.6g", layer.name, name,
                     mean_magnitude(blob.gradient.get()))


def _log_norms(blobs: Iterable[Blob]) -> None:
    norms = [_norm([blob.values for blob in blobs], order) for order in (1, 2)]
    slopes = [_norm([blob.gradient for blob in blobs], order) for order in (1, 2)]
    log.info("    [Backward] All net params (data, diff): L1 norm = (%.6g, %.6g); "
             "L2 norm = (%.6g, %.6g)", norms[0], slopes[0], norms[1], slopes[1])


def _param_names(layer: LayerRunner) -> list[str]:
    """The name that the prototxt gives to each learnable blob, or its number."""
    specs = layer.param.param
    return [specs[i].name if i < len(specs) and specs[i].name else str(i)
            for i in range(len(layer.blobs))]


def _norm(memories: Iterable[Memory], order: int) -> float:
    norms = [torch.linalg.vector_norm(memory.get().detach(), order) for memory in memories]
    return float(torch.linalg.vector_norm(torch.stack(norms), order)) if norms else 0.0

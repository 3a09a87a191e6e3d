"""`caffe time`: how long each layer of a model takes (Caffe: tools/caffe.cpp, time)."""
import logging
from collections.abc import Callable

import torch

from caffe.core.logs import Timer
from caffe.core.state import TRAIN
from caffe.nets.net import Net
from caffe.tools.command import Flags
from caffe.tools.flags import model_net, phase, positive_iterations, required, use_one

log = logging.getLogger("caffe")


class LayerTimes:
    """Milliseconds per layer of a net, forward and backward, summed over the passes.

    The timer synchronizes with the GPU before and after each layer, so that every time is the
    layer's own; their sum is larger than the time of a pass that is not interrupted.
    """

    def __init__(self, net: Net) -> None:
        count = len(net.layers)
        self.forward, self.backward = [0.0] * count, [0.0] * count
        self._timer, self._runners = Timer(), net._runners
        net.before_forward(self._begin)
        net.before_backward(self._begin_backward)
        net.after_forward(lambda layer: self._end(self.forward, layer))
        net.after_backward(lambda layer: self._end(self.backward, layer))

    def _begin(self, layer: int) -> None:
        self._timer.start()

    def _begin_backward(self, layer: int) -> None:
        for top in self._runners[layer].tops:
            if top.top_diff() is None:      # zeros would be skipped; Caffe computes with them
                top.set_diff(torch.zeros_like(top.values.get()))
        self._timer.start()

    def _end(self, times: list[float], layer: int) -> None:
        self._timer.stop()
        times[layer] += self._timer.ms


def benchmark(flags: Flags) -> None:
    """Runs the model forward and backward, and logs the mean times."""
    required(flags, "model", "to time")
    iterations = positive_iterations(flags)
    use_one(flags["gpu"])
    net = model_net(flags, phase(flags, TRAIN))
    run_every_backward(net)
    log.info("Performing Forward")
    log.info("Initial loss: %.6g", float(net.run_forward()))
    log.info("Performing Backward")
    net.run_backward()
    log.info("*** Benchmark begins ***")
    log.info("Testing for %d iterations.", iterations)
    layers, passes, total = LayerTimes(net), [0.0, 0.0], 0.0
    for i in range(iterations):
        both = [_timed(net.run_forward), _timed(net.run_backward)]
        passes = [before + now for before, now in zip(passes, both)]
        total += sum(both)
        log.info("Iteration: %d forward-backward time: %.6g ms.", i + 1, sum(both))
    _report(net, layers, passes, total, iterations)


def run_every_backward(net: Net) -> None:
    """Makes backward run through every layer that has a gradient to compute.

    Without a loss no layer would; Caffe's `time` calls Backward of all layers regardless.
    """
    for runner in net._runners:
        runner.need_backward = (runner.need_backward or any(runner.propagate_down)
                                or any(runner.param_propagate_down))


def _timed(work: Callable[[], object]) -> float:
    """Milliseconds that work() takes."""
    timer = Timer()
    timer.start()
    work()
    timer.stop()
    return timer.ms


def _report(net: Net, layers: LayerTimes, passes: list[float], total: float,
            iterations: int) -> None:
    log.info("Average time per layer: ")
    for name, forward, backward in zip(net._layer_names, layers.forward, layers.backward):
        log.info("%10s\tforward: %.6g ms.", name, forward / iterations)
        log.info("%10s\tbackward: %.6g ms.", name, backward / iterations)
    log.info("Average Forward pass: %.6g ms.", passes[0] / iterations)
    log.info("Average Backward pass: %.6g ms.", passes[1] / iterations)
    log.info("Average Forward-Backward: %.6g ms.", total / iterations)
    log.info("Total Time: %.6g ms.", total)
    log.info("*** Benchmark ends ***")

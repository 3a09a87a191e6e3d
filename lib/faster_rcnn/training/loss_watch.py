"""What goes wrong in a training's iterations, and with which images.

Losses are looked at now and then only: reading one waits for the device.
"""
import contextlib
from collections.abc import Iterator
from typing import Any

import torch

from caffe.core.errors import UserError, add_note
from caffe.solvers.reports import read_scalars
from caffe.solvers.solver import Solver
from faster_rcnn.minibatches.loader import RECENT

EVERY = 20      # iterations between looks where the solver displays none


class TrainingError(UserError, ValueError):
    """A training that cannot go on; the message says at which iteration, and why."""


class LossWatch:
    """Notes the losses of each iteration on the device, and reads them every `display` iterations,
    or as long as the data layer can name the images of all of them.

    data_layer: the net's first layer; its `recent_images` names the images of the last minibatches.
    """

    def __init__(self, solver: Solver, data_layer: Any) -> None:
        self._solver, self._data_layer = solver, data_layer
        self._noted: list[tuple[int, Any, dict[str, torch.Tensor]]] = []

    def note(self) -> None:
        """After an iteration: keeps its loss, and reads what is noted where the display is due."""
        solver = self._solver
        outputs = {name: solver.net.blobs[name].values.get() for name in solver.net.outputs}
        scalars = {name: tensor for name, tensor in outputs.items() if tensor.numel() == 1}
        self._noted.append((solver.iter, solver.losses.newest, scalars))
        fit = len(self._noted) < RECENT // solver.param.iter_size
        if solver.iter % (solver.param.display or EVERY) == 0 or not fit:
            self.check()

    def check(self) -> None:
        """TrainingError when a loss that was noted since the last look is not finite."""
        noted, self._noted = self._noted, []
        losses = torch.tensor(read_scalars(loss for _, loss, _ in noted))
        bad = (~torch.isfinite(losses)).nonzero().flatten().tolist()
        if bad:
            raise self._error(len(noted) - bad[0] - 1, float(losses[bad[0]]), *noted[bad[0]][::2])

    def _error(self, behind: int, loss: float, iteration: int,
               outputs: dict[str, torch.Tensor]) -> TrainingError:
        """behind: how many iterations came after the one at fault."""
        passes = self._solver.param.iter_size
        bad = [name for name, tensor in outputs.items() if not torch.isfinite(tensor).all()]
        images = self._data_layer.recent_images(passes * (behind + 1))
        images = images[:len(images) // (behind + 1)]
        return TrainingError(
            f"iteration {iteration}: the loss is {loss} "
            f"({', '.join(bad) or 'in an earlier pass of the iteration'}); images of the "
            f"minibatch: {', '.join(images)}; check their annotations, or lower base_lr")


@contextlib.contextmanager
def naming_minibatch(data_layer: Any) -> Iterator[None]:
    """An exception of the block gets a note with the images of the minibatches that `data_layer`, a
    RoIDataLayer, fed to the net in it. One of the data layer itself names its image already.
    """
    before = getattr(data_layer, "num_fed", 0)
    try:
        yield
    except Exception as error:
        count = getattr(data_layer, "num_fed", 0) - before
        if count:
            add_note(error, "images of the minibatch: "
                            + ", ".join(data_layer.recent_images(count)))
        raise

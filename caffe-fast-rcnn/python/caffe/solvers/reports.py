"""What solvers log: the recent losses, and a net's outputs in the form that log parsers expect."""
import collections
import logging
from collections.abc import Iterable, Mapping

import numpy as np
import torch

from caffe.nets.net import Net

log = logging.getLogger("caffe")


class RecentLosses:
    """The last `count` losses.

    `add` takes scalars that may lie on the GPU. They are copied to floats only when they are read,
    so that training does not wait for the device in every iteration.
    """

    def __init__(self, count: int) -> None:
        self._count = count
        self._losses: collections.deque[float] = collections.deque(maxlen=count)
        self._new: list[torch.Tensor | float] = []

    def add(self, loss: torch.Tensor | float) -> None:
        """Adds a loss, without waiting for the device."""
        self._new.append(loss)
        if len(self._new) > self._count:
            self.values()

    def values(self) -> list[float]:
        """The losses, oldest first."""
        self._losses.extend(map(float, self._new))
        self._new.clear()
        return list(self._losses)

    def load(self, values: Iterable[float]) -> None:
        """Replaces the losses."""
        self._new.clear()
        self._losses.clear()
        self._losses.extend(map(float, values))

    @property
    def last(self) -> float:
        """The newest; NaN if there is none."""
        return (self.values() or [float("nan")])[-1]

    @property
    def mean(self) -> float:
        """The mean; NaN if there is none."""
        values = self.values()
        return sum(values) / len(values) if values else float("nan")


def log_outputs(kind: str, net: Net, outputs: Mapping[str, np.ndarray]) -> None:
    """A line "<kind> net output #k: name = v" for each value; outputs: name -> array."""
    values = ((name, value) for name, array in outputs.items() for value in array.flat)
    for k, (name, value) in enumerate(values):
        log.info("    %s net output #%d: %s", kind, k, with_weight(net, name, value))


def with_weight(net: Net, name: str, value: float) -> str:
    """'name = value', with its weight and share where it counts in the loss."""
    weight = net.blob_loss_weights[name]
    share = f" (* {weight:.6g} = {weight * value:.6g} loss)" if weight else ""
    return f"{name} = {value:.6g}{share}"

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
        self._losses: collections.deque[torch.Tensor | float] = collections.deque(maxlen=count)

    def add(self, loss: torch.Tensor | float) -> None:
        """Adds a loss, without waiting for the device."""
        self._losses.append(loss)

    @property
    def newest(self) -> torch.Tensor | float:
        """The newest as it was added."""
        return self._losses[-1]

    def values(self) -> list[float]:
        """The losses, oldest first."""
        floats = read_scalars(self._losses)
        self.load(floats)
        return floats

    def load(self, values: Iterable[float]) -> None:
        """Replaces the losses."""
        losses = [float(value) for value in values]
        self._losses.clear()
        self._losses.extend(losses)

    @property
    def last(self) -> float:
        """The newest; NaN if there is none."""
        return (self.values() or [float("nan")])[-1]

    @property
    def mean(self) -> float:
        """The mean; NaN if there is none."""
        values = self.values()
        return sum(values) / len(values) if values else float("nan")


def read_scalars(scalars: Iterable[torch.Tensor | float]) -> list[float]:
    """Numbers that may lie on the device, which is waited for once."""
    numbers = list(scalars)
    places = [i for i, number in enumerate(numbers) if isinstance(number, torch.Tensor)]
    if places:
        read = torch.stack([torch.as_tensor(numbers[i]).detach() for i in places]).tolist()
        for i, number in zip(places, read):
            numbers[i] = number
    return [float(number) for number in numbers]


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

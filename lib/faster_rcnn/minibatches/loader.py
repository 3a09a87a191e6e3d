"""Minibatches made ahead of time by threads; order and contents do not depend on the threads."""
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from caffe.core.prefetch import Prefetcher
from faster_rcnn.minibatches.order import ImageOrder

RECENT = 64     # minibatches whose images a data layer can still name


class MinibatchLoader:
    """Hands out make(indices of images, seed) for what an ImageOrder gives.

    make must draw random numbers from the seed only. With threads=0 minibatches are made when they
    are asked for.
    """

    def __init__(self, order: ImageOrder, make: Callable[[np.ndarray, int], Any],
                 threads: int) -> None:
        self._order, self._make, self._threads = order, make, threads
        self._restart()

    def _restart(self) -> None:
        make = self._make       # the threads must not keep the loader alive
        self._state = self._order.state_dict()
        self._minibatches = Prefetcher(
            _drawn(self._order), ahead=2 * self._threads, threads=max(1, self._threads),
            make=lambda drawn: (drawn, make(drawn[0], drawn[1])))

    def next(self) -> tuple[np.ndarray, Any]:
        """Indices of the images and content of the next minibatch; an exception of `make` is raised
        here."""
        (inds, _, state), content = next(self._minibatches)
        self._state = state
        return inds, content

    def state_dict(self) -> dict[str, np.ndarray]:
        """The order's state after the last minibatch that `next` returned."""
        return dict(self._state)

    def load_state_dict(self, state: dict[str, np.ndarray]) -> None:
        """Continues behind the minibatch after which the state was taken."""
        self._order.load_state_dict(state)
        self._restart()


def _drawn(order: ImageOrder) -> Iterator[tuple[np.ndarray, int, dict]]:
    """Indices of images, seed, and the order's state behind them, of one minibatch after the other.
    """
    while True:
        inds, seed = order.next()
        yield inds, seed, order.state_dict()

"""The order in which training images are used: epoch after epoch of random permutations."""
from typing import Any

import numpy as np

from caffe.core.errors import InputError


def shuffled(num_images: int, rng: np.random.RandomState,
             wide: np.ndarray | None = None) -> np.ndarray:
    """A permutation (num_images,) of the images.

    wide: (num_images,) bool, whether an image is at least as wide as high. If given, the images of
    each pair (the 1st and 2nd, the 3rd and 4th ...) have the same orientation, except for one pair
    when there is an odd number of both kinds. An image without a partner comes last.
    py-faster-rcnn: RoIDataLayer._shuffle_roidb_inds.
    """
    if wide is None:
        return rng.permutation(num_images)
    inds = np.hstack((rng.permutation(np.where(wide)[0]), rng.permutation(np.where(~wide)[0])))
    if num_images % 2 and wide.sum() % 2:
        # the odd one is a wide image: behind the tall ones, which stay in pairs
        odd = wide.sum() - 1
        inds = np.hstack((inds[:odd], inds[odd + 1:], inds[odd:odd + 1]))
    pairs = inds[:num_images // 2 * 2].reshape(-1, 2)
    return np.hstack((pairs[rng.permutation(len(pairs))].ravel(), inds[pairs.size:]))


class ImageOrder:
    """Indices of the images of one minibatch after the other, each with a seed for random changes.

    All draws come from a random generator of its own, so that they do not depend on how far ahead
    minibatches are made.
    """

    def __init__(self, num_images: int, per_batch: int, seed: int,
                 wide: np.ndarray | None = None, share: tuple[int, int] = (0, 1)) -> None:
        """wide: orientations of the images to group them by, or None; see `shuffled`.

        share: rank (from 0) and number of the processes that take minibatches in turn; each draws
        the whole order, so that their states are equal.
        """
        self._num_images, self._per_batch, self._wide = num_images, per_batch, wide
        self._share = share
        self._rng = np.random.RandomState(seed)
        self._restart()

    def _restart(self) -> None:
        self._perm = shuffled(self._num_images, self._rng, self._wide)
        self._cur = 0

    def next(self) -> tuple[np.ndarray, int]:
        """Indices of images (per_batch,) and the seed of this process's next minibatch."""
        rank, count = self._share
        return [self._draw() for _ in range(count)][rank]

    def _draw(self) -> tuple[np.ndarray, int]:
        """The next minibatch of any process.

        An epoch ends before the minibatch that would use the last image, as in py-faster-rcnn: the
        last images of a permutation are not used.
        """
        if self._cur + self._per_batch >= self._num_images:
            self._restart()
        inds = self._perm[self._cur:self._cur + self._per_batch]
        self._cur += self._per_batch
        return inds, int(self._rng.randint(2 ** 32, dtype=np.uint32))

    def state_dict(self) -> dict[str, np.ndarray]:
        """Arrays from which `load_state_dict` continues."""
        state: Any = self._rng.get_state()
        keys, position = state[1:3]
        return {"permutation": self._perm, "position": np.array(self._cur),
                "generator": keys, "generator_position": np.array(position)}

    def load_state_dict(self, state: dict[str, np.ndarray]) -> None:
        """Continues from a state; ValueError when it belongs to another number of images."""
        if len(state["permutation"]) != self._num_images:
            raise InputError(f"the saved order is that of {len(state['permutation'])} training "
                             f"images, but there are {self._num_images}")
        self._perm, self._cur = np.asarray(state["permutation"]), int(state["position"])
        self._rng.set_state(("MT19937", state["generator"], int(state["generator_position"]), 0,
                             0.0))

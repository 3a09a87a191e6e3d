"""The order in which training images are used: epoch after epoch of random permutations."""
import numpy as np


def shuffled(num_images, rng, wide=None):
    """A permutation (num_images,) of the images.

    wide: (num_images,) bool, image at least as wide as high; given, neighbours (the 1st and 2nd,
    the 3rd and 4th ...) have the same orientation but for one pair where both kinds are odd in
    number. The odd one of an odd number of images comes last. py-faster-rcnn:
    RoIDataLayer._shuffle_roidb_inds.
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
    """Image numbers of one minibatch after the other, each with a seed for what is drawn in it.

    All draws come from a generator of its own, so that they do not depend on how far ahead
    minibatches are asked for.
    """

    def __init__(self, num_images, per_batch, seed, wide=None, share=(0, 1)):
        """wide: orientations of the images to group them by, or None; see `shuffled`.

        share: (r, n), this is the r-th (from 0) of n processes that deal the minibatches out in
        turn; all know the whole order, so that their states are the same.
        """
        self._num_images, self._per_batch, self._wide = num_images, per_batch, wide
        self._share = share
        self._rng = np.random.RandomState(seed)
        self._restart()

    def _restart(self):
        self._perm = shuffled(self._num_images, self._rng, self._wide)
        self._cur = 0

    def next(self):
        """Image numbers (per_batch,) and the seed of this process's next minibatch."""
        rank, count = self._share
        return [self._draw() for _ in range(count)][rank]

    def _draw(self):
        """The next minibatch of any process.

        An epoch ends when what is left would be used up, as in py-faster-rcnn: the last images of a
        permutation are not used.
        """
        if self._cur + self._per_batch >= self._num_images:
            self._restart()
        inds = self._perm[self._cur:self._cur + self._per_batch]
        self._cur += self._per_batch
        return inds, int(self._rng.randint(2 ** 32, dtype=np.uint32))

    def state_dict(self):
        """Arrays from which `load_state_dict` continues."""
        _, keys, position = self._rng.get_state()[:3]
        return {"permutation": self._perm, "position": np.array(self._cur),
                "generator": keys, "generator_position": np.array(position)}

    def load_state_dict(self, state):
        if len(state["permutation"]) != self._num_images:
            raise ValueError(f"the saved order is that of {len(state['permutation'])} training "
                             f"images, but there are {self._num_images}")
        self._perm, self._cur = np.asarray(state["permutation"]), int(state["position"])
        self._rng.set_state(("MT19937", state["generator"], int(state["generator_position"])))

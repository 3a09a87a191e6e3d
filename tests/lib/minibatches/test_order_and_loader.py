"""The order of training images, and minibatches made ahead of time."""
import time

import numpy as np
import pytest

from faster_rcnn.minibatches.loader import MinibatchLoader
from faster_rcnn.minibatches.order import ImageOrder, shuffled


@pytest.mark.parametrize("wide, tall", [(6, 4), (5, 5), (7, 0), (4, 3), (3, 4), (1, 0), (0, 1)])
def test_neighbours_share_their_orientation(wide, tall):
    flags = np.random.RandomState(0).permutation(np.arange(wide + tall) < wide)
    orders = {tuple(shuffled(wide + tall, np.random.RandomState(s), flags)) for s in range(20)}
    for order in orders:
        assert sorted(order) == list(range(wide + tall))
        mixed = sum(flags[a] != flags[b] for a, b in zip(order[0::2], order[1::2]))
        assert mixed == (wide % 2 and tall % 2)
    assert len(orders) > 1 or wide + tall == 1


def test_an_epoch_leaves_out_its_last_images():
    # 5 images, 2 at a time: 0-1 and 2-3 are used; 4 is not, as 4 + 2 >= 5
    order = ImageOrder(5, 2, seed=1)
    for _ in range(3):
        epoch = np.concatenate([order.next()[0], order.next()[0]])
        assert len(set(epoch)) == 4
    # 3 images, one at a time: two per epoch
    order = ImageOrder(3, 1, seed=1)
    for _ in range(3):
        assert len({order.next()[0][0], order.next()[0][0]}) == 2


def test_one_image_is_used_again_and_again():
    order = ImageOrder(1, 1, seed=1)
    assert [order.next()[0].tolist() for _ in range(3)] == [[0]] * 3


def test_order_depends_on_the_seed_only():
    def draws(seed):
        order = ImageOrder(9, 2, seed)
        np.random.rand()
        return [(inds.tolist(), number) for inds, number in (order.next() for _ in range(9))]
    assert draws(3) == draws(3) != draws(4)


def test_saved_order_continues():
    order = ImageOrder(9, 2, seed=3)
    for _ in range(6):
        order.next()
    state = order.state_dict()
    wanted = [order.next() for _ in range(9)]
    other = ImageOrder(9, 2, seed=8)
    other.load_state_dict(state)
    for (inds, seed), (other_inds, other_seed) in zip(wanted, (other.next() for _ in range(9))):
        assert inds.tolist() == other_inds.tolist() and seed == other_seed
    with pytest.raises(ValueError, match="that of 9 training images, but there are 8"):
        ImageOrder(8, 2, seed=3).load_state_dict(state)


# ------------------------------------------------------------------------------------------ loader

def slow_or_fast(inds, seed):
    """Takes longer for some minibatches, so that threads overtake each other."""
    time.sleep(0.01 * (seed % 3))
    return np.random.RandomState(seed).rand()


def contents(threads, count=20):
    loader = MinibatchLoader(ImageOrder(7, 2, seed=5), slow_or_fast, threads)
    return [(inds.tolist(), value) for inds, value in (loader.next() for _ in range(count))]


def test_minibatches_do_not_depend_on_threads():
    assert contents(0) == contents(1) == contents(4)


@pytest.mark.parametrize("threads", [0, 3])
def test_saved_loader_continues_behind_the_last_minibatch(threads):
    loader = MinibatchLoader(ImageOrder(7, 2, seed=5), slow_or_fast, threads)
    start = loader.state_dict()
    first = [loader.next()[1] for _ in range(5)]
    state = loader.state_dict()
    wanted = [loader.next()[1] for _ in range(8)]
    other = MinibatchLoader(ImageOrder(7, 2, seed=9), slow_or_fast, 3 - threads)
    other.next()
    other.load_state_dict(state)
    assert [other.next()[1] for _ in range(8)] == wanted
    other.load_state_dict(start)
    assert [other.next()[1] for _ in range(5)] == first


@pytest.mark.parametrize("threads", [0, 2])
def test_errors_surface_in_their_turn(threads):
    def make(inds, seed):
        if 3 in inds:
            raise ValueError("image 3 is damaged")
        return inds
    loader = MinibatchLoader(ImageOrder(4, 1, seed=0), make, threads)
    with pytest.raises(ValueError, match="image 3 is damaged"):
        for _ in range(20):
            assert 3 not in loader.next()[0]

"""Gradients exchanged in buckets: which blobs share one, when it starts, what comes back."""
import numpy as np
import pytest
import torch
from torch import distributed

from caffe.core.blob import Blob
from caffe.core.errors import CaffeError
from caffe.solvers import buckets
from caffe.solvers.buckets import Buckets


def blobs(*counts):
    return [Blob((count,), torch.device("cpu")) for count in counts]


def names(made, named):
    """The numbers that `named` gives the blobs of each bucket."""
    return [[number for blob in bucket.blobs for number, one in enumerate(named) if one is blob]
            for bucket in made.buckets]


@pytest.fixture
def started(monkeypatch):
    """The sizes of the exchanges that began, in a group of two whose other process has equal
    gradients."""
    sizes = []

    class Sum:
        def __init__(self, flat):
            sizes.append(len(flat))
            self.flat = flat

        def wait(self):
            self.flat.mul_(2)

    monkeypatch.setattr(distributed, "all_reduce", lambda flat, async_op: Sum(flat))
    return sizes


def test_blobs_share_buckets_from_the_last_layer_on_as_far_as_there_is_room():
    a, b, c, d, e = every = blobs(5, 3, 4, 2, 100)
    made = Buckets([[a, b], [], [c], [d]], [e], capacity=4 * 6)
    assert names(made, every) == [[3, 2], [0], [1], [4]]


def test_a_bucket_starts_when_it_and_all_before_it_are_complete(started):
    a, b, c = blobs(5, 3, 4)
    made = Buckets([[a], [b], [c]], capacity=4 * 7)
    made.completed([a])
    assert started == [], "the bucket of b and c comes first"
    made.completed([c])
    assert started == []
    made.completed([b])
    assert started == [7, 5]


def test_gradients_become_means_in_every_pass(started):
    every = blobs(2, 3, 1)
    made = Buckets([[every[0]], [every[1]]], [every[2]], capacity=4 * 4)
    for value in (1.0, 2.0):
        for number, blob in enumerate(every[:2]):
            blob.diff[...] = np.arange(blob.count) + number + value
        kept = every[1].diff
        made.completed([every[1]])
        made.exchange(count=2)
        np.testing.assert_array_equal(every[0].diff, np.arange(2) + value)
        np.testing.assert_array_equal(kept, np.arange(3) + 1 + value)
        np.testing.assert_array_equal(every[2].diff, [0])
    assert started == [3, 2, 1] * 2


def test_shape_and_memory_order_of_a_gradient_stay(started):
    blob, = made = [Blob((2, 3, 2, 2), torch.device("cpu"))]
    blob.gradient.keeps_layout = True
    values = torch.randn(2, 3, 2, 2).to(memory_format=torch.channels_last)
    blob.gradient.set(values.clone(memory_format=torch.preserve_format))
    Buckets([made]).exchange(count=2)
    assert blob.gradient.get().is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(blob.gradient.get(), values, rtol=0, atol=0)


def test_an_exchange_that_breaks_off_is_one_line():
    def broken(*_):
        raise RuntimeError("Connection closed by peer")
    with pytest.raises(CaffeError, match=r"the exchange with the other solvers broke off; .* end"):
        buckets.together(broken, torch.zeros(1))

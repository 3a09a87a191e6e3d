"""Pooling over volumes (N, C, D, H, W), as forks for medical images and video take it."""
import itertools

import numpy as np
import pytest
from net_texts import input_layer, layer, net

import caffe
from caffe.core.errors import LayerError

SHAPE = (2, 3, 5, 6, 7)
LOWEST = -np.finfo(np.float32).max


def pooled(x, option, tops="pool"):
    a_net = net(input_layer("data", *x.shape),
                layer("pool", "Pooling", "data", tops, f"pooling_param {{ {option} }}"),
                phase=caffe.TEST)
    a_net.blobs["data"].data[...] = x
    return {name: np.array(value) for name, value in a_net.forward().items()}


def windows(x, kernel, stride, pad):
    """(place in the top, values of its window inside the bottom, cells of it inside bottom + pads,
    flat indices) of every window of a channel, counted as Caffe counts along each axis."""
    counts = [-(-(n + 2 * pad - kernel) // stride) + 1 for n in x.shape]
    if pad:
        counts = [c - 1 if (c - 1) * stride >= n + pad else c for c, n in zip(counts, x.shape)]
    indices = np.arange(x.size).reshape(x.shape)
    for place in itertools.product(*map(range, counts)):
        starts = [p * stride - pad for p in place]
        cells = np.prod([min(s + kernel, n + pad) - s for s, n in zip(starts, x.shape)])
        part = tuple(slice(max(s, 0), min(s + kernel, n)) for s, n in zip(starts, x.shape))
        yield place, x[part], cells, indices[part]


@pytest.mark.parametrize("kernel, stride, pad", [(2, 2, 0), (3, 2, 0), (3, 2, 1), (3, 1, 1),
                                                 (2, 3, 0), (2, 3, 1)])
def test_maxima_and_averages_of_volumes(kernel, stride, pad):
    x = np.random.default_rng(0).normal(size=SHAPE).astype(np.float32)
    option = f"kernel_size: {kernel} stride: {stride} pad: {pad}"
    maxima = pooled(x, f"pool: MAX {option}", "pool index")
    averages = pooled(x, f"pool: AVE {option}")["pool"]
    for image, channel in np.ndindex(SHAPE[:2]):
        for place, values, cells, indices in windows(x[image, channel], kernel, stride, pad):
            where = (image, channel, *place)
            if not values.size:     # beyond the bottom: Caffe's maximum of nothing
                assert (maxima["pool"][where], maxima["index"][where]) == (LOWEST, -1)
                continue
            assert maxima["pool"][where] == values.max()
            assert maxima["index"][where] == indices.flat[values.argmax()]
            assert averages[where] == pytest.approx(values.sum() / cells, abs=1e-6)
    assert maxima["pool"].shape == averages.shape == (*SHAPE[:2], *(n + 1 for n in place))


def test_global_pooling_of_volumes():
    x = np.random.default_rng(0).normal(size=SHAPE).astype(np.float32)
    assert (pooled(x, "pool: MAX global_pooling: true")["pool"].reshape(2, 3)
            == x.reshape(2, 3, -1).max(2)).all()


def test_a_pair_of_sizes_says_nothing_of_three_axes():
    with pytest.raises(LayerError, match="expected kernel_size for a bottom with 3 spatial axes"):
        pooled(np.zeros(SHAPE, np.float32), "kernel_h: 2 kernel_w: 2")


@pytest.mark.parametrize("shape", [(2, 3), (2, 3, 4), (1, 2, 3, 4, 5, 6)])
def test_other_numbers_of_axes_are_refused(shape):
    with pytest.raises(LayerError, match=r"expected a bottom of shape \(N, C, H, W\), or"):
        pooled(np.zeros(shape, np.float32), "kernel_size: 1")

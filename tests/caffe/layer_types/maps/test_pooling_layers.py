"""Pooling and SPP: by hand, and against a loop that follows Caffe's pooling_layer.cpp."""
import itertools
import math

import numpy as np
import pytest
import torch
from layer_harness import build, gradient, run, values

from caffe.core.errors import LayerError
from caffe.proto import caffe_pb2

FLT_MAX = np.finfo(np.float32).max


def slow_pooling(x, kernel, stride, pad, average, floor):
    """(top, mask), window by window, with Caffe's rounding, clipping and divisor."""
    rounded = math.floor if floor else math.ceil
    size = x.shape[2:]
    count = [int(rounded((n + 2 * p - k) / s)) + 1
             for n, k, s, p in zip(size, kernel, stride, pad)]
    if any(pad):
        count = [c - 1 if (c - 1) * s >= n + p else c
                 for c, n, s, p in zip(count, size, stride, pad)]
    top, mask = np.zeros((*x.shape[:2], *count)), np.full((*x.shape[:2], *count), -1)
    for n, c, y, z in itertools.product(*map(range, top.shape)):
        start = [a * s - p for a, s, p in zip((y, z), stride, pad)]
        end = [min(a + k, m + p) for a, k, m, p in zip(start, kernel, size, pad)]
        divisor = (end[0] - start[0]) * (end[1] - start[1])
        rows, columns = (range(max(a, 0), min(b, m)) for a, b, m in zip(start, end, size))
        best = -FLT_MAX
        for i, j in itertools.product(rows, columns):
            if x[n, c, i, j] > best:
                best, mask[n, c, y, z] = x[n, c, i, j], i * size[1] + j
        total = sum(x[n, c, i, j] for i, j in itertools.product(rows, columns))
        with np.errstate(invalid="ignore"):
            top[n, c, y, z] = np.float64(total) / divisor if average else best
    return top, mask


@pytest.mark.parametrize("floor", [False, True])
@pytest.mark.parametrize("kernel, stride, pad", [
    ((2, 2), (2, 2), (0, 0)), ((3, 3), (2, 2), (0, 0)), ((3, 2), (2, 3), (1, 1)),
    ((3, 3), (2, 2), (2, 2)), ((2, 2), (2, 2), (1, 1)), ((3, 4), (1, 2), (0, 3)),
    ((1, 1), (3, 3), (0, 0)), ((1, 2), (3, 2), (0, 1)), ((5, 3), (4, 1), (2, 1))])
@pytest.mark.parametrize("size", [(5, 6), (7, 7), (8, 5), (9, 6)])
def test_pooling_equals_the_loop_over_windows(size, kernel, stride, pad, floor):
    x = values((2, 2, *size)).float()
    names = "kernel_h: {} kernel_w: {} stride_h: {} stride_w: {} pad_h: {} pad_w: {}".format(
        *kernel, *stride, *pad) + (" round_mode: FLOOR" if floor else "")
    for layout in (torch.contiguous_format, torch.channels_last):
        bottom = x.contiguous(memory_format=layout)
        top, mask = build(f'type: "Pooling" pooling_param {{ {names} }}', x.shape, tops=2)(bottom)
        expected, index = slow_pooling(x.numpy(), kernel, stride, pad, False, floor)
        np.testing.assert_allclose(top.numpy(), expected, rtol=1e-6)
        np.testing.assert_array_equal(mask.numpy(), index)
        top = build(f'type: "Pooling" pooling_param {{ pool: AVE {names} }}', x.shape)(bottom)
        expected, _ = slow_pooling(x.numpy(), kernel, stride, pad, True, floor)
        np.testing.assert_allclose(top.numpy(), expected, rtol=1e-5, atol=1e-6)


def test_the_last_window_sticks_out():
    # ceil((4 - 3) / 2) + 1 = 2 windows a side: columns 0..2 and 2..3
    x = np.arange(16).reshape(1, 1, 4, 4)
    text = 'type: "Pooling" pooling_param {{ pool: {} kernel_size: 3 stride: 2 }}'
    np.testing.assert_array_equal(run(text.format("MAX"), x), [[[[10, 11], [14, 15]]]])
    # averages over the cells that are there: 2, 3, 6, 7, 10, 11 -> 6.5
    np.testing.assert_array_equal(run(text.format("AVE"), x), [[[[5, 6.5], [11, 12.5]]]])


def test_padding_counts_in_the_divisor():
    # one value 8, padded by 1: the window covers the 3 x 3 padded cells
    text = 'type: "Pooling" pooling_param { pool: AVE kernel_size: 3 pad: 1 }'
    np.testing.assert_allclose(run(text, [[[[8]]]]), [[[[8 / 9]]]], rtol=1e-6)


def test_the_first_of_equal_maxima_gets_the_gradient():
    text = 'type: "Pooling" pooling_param { kernel_size: 2 }'
    np.testing.assert_array_equal(gradient(text, 5, [[[[1, 1], [1, 1]]]]), [[[[5, 0], [0, 0]]]])


def test_empty_windows_get_no_gradient():
    # H = 8, stride 3: the fourth row of windows starts at 9
    text = 'type: "Pooling" pooling_param { kernel_size: 1 stride: 3 }'
    x = values((1, 1, 8, 7)).float()
    top = run(text, x)
    assert top.shape == (1, 1, 4, 3)
    assert (top[0, 0, 3] == -FLT_MAX).all()
    assert gradient(text, 1, x.tolist()).sum() == 9


def test_stochastic_pooling_draws_values_in_proportion_to_themselves():
    torch.manual_seed(0)
    x = np.tile([[1.0, 3.0]], (1, 4000, 1, 1))  # 4000 channels with one window (1, 3)
    text = 'type: "Pooling" pooling_param { pool: STOCHASTIC kernel_h: 1 kernel_w: 2 }'
    drawn = run(text, x)
    assert set(np.unique(drawn)) == {1, 3}
    assert abs((drawn == 3).mean() - 0.75) < 6 * math.sqrt(0.75 * 0.25 / 4000)
    # testing: (1 * 1 + 3 * 3) / (1 + 3); nothing to draw from gives 0
    np.testing.assert_allclose(run(text, [[[[1, 3]], [[0, 0]]]], phase=caffe_pb2.TEST),
                               [[[[2.5]], [[0]]]])


def test_spp_by_hand():
    # level 0: one bin, 2 x 2 windows of the 3 x 5 map: kernel (2, 3), pad (1, 1) in level 1
    x = np.arange(15).reshape(1, 1, 3, 5)
    top = run('type: "SPP" spp_param { pyramid_height: 2 }', x)
    # rows -1..0, 1..2; columns -1..1, 2..4
    np.testing.assert_array_equal(top, [[14, 1, 4, 11, 14]])


@pytest.mark.parametrize("options, message", [
    ("", "kernel_size"), ("kernel_h: 2", "kernel_size"),
    ("kernel_size: 2 kernel_h: 2 kernel_w: 2", "mixture"),
    ("kernel_size: 2 stride: 1 stride_h: 1 stride_w: 1", "mixture"),
    ("kernel_size: 2 pad: 2", "pad < kernel"), ("kernel_size: 0", "> 0"),
    ("global_pooling: true kernel_size: 2", "no kernel size"),
    ("global_pooling: true stride: 2", "stride 1"),
    ("pool: STOCHASTIC kernel_size: 2 pad: 1", "stochastic"),
    ("kernel_size: 9", "fits into")])
def test_refused_options(options, message):
    with pytest.raises(LayerError, match=f'layer "lay".*{message}'):
        build(f'type: "Pooling" pooling_param {{ {options} }}', (1, 1, 5, 5)).top_shapes(
            [(1, 1, 5, 5)])


def test_only_maxima_have_a_mask():
    with pytest.raises(LayerError, match="MAX"):
        build('type: "Pooling" pooling_param { pool: AVE kernel_size: 2 }', (1, 1, 4, 4), tops=2)

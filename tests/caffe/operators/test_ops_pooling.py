"""Maxima and averages of windows: PyTorch's, and where that knows no such windows, by hand."""
import math

import pytest
import torch
import torch.nn.functional as F
from thread_counts import threads_of_torch

from caffe.operators.plain import pooling as plain
from caffe.operators.pooling import average_pool, max_pool, takes
from caffe.operators.registration import are_compiled

# images, channels, height, width, kernel, stride, padding
CASES = [(1, 1, 1, 1, (1, 1), (1, 1), (0, 0)), (2, 3, 7, 9, (3, 3), (2, 2), (0, 0)),
         (1, 20, 8, 8, (2, 2), (2, 2), (0, 0)), (2, 70, 9, 6, (3, 3), (1, 1), (1, 1)),
         (1, 130, 5, 11, (2, 3), (1, 2), (1, 0)), (1, 64, 13, 13, (5, 4), (3, 2), (2, 1))]


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(3)


def channels_last(x):
    return x.contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize("threads", [1, 3])
def test_the_maxima_of_pytorch(case, threads):
    *shape, kernel, stride, padding = case
    x = torch.randn(shape)
    x[0, 0, 0, 0], x[-1, -1] = math.nan, -math.inf
    wanted = F.max_pool2d(x, kernel, stride, padding, ceil_mode=True)
    with threads_of_torch(threads):
        for function in (max_pool, plain.max_pool):
            top = function(x.contiguous(memory_format=torch.channels_last), kernel, stride,
                           padding, wanted.shape[2:])
            assert top.is_contiguous(memory_format=torch.channels_last)
            torch.testing.assert_close(top, wanted, rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize("threads", [1, 3])
def test_the_averages_of_pytorch(case, threads):
    *shape, kernel, stride, padding = case
    x = channels_last(torch.randn(shape))
    x[0, 0, 0, 0], x[-1, -1] = math.nan, -math.inf
    wanted = F.avg_pool2d(x, kernel, stride, padding, ceil_mode=True)
    counts = wanted.shape[2:]
    with threads_of_torch(threads):
        top = average_pool(x, kernel, stride, padding, counts)
        slow = plain.average_pool(x, kernel, stride, padding, counts)
    assert top.is_contiguous(memory_format=torch.channels_last)
    exact = {"rtol": 0, "atol": 0} if are_compiled() else {}
    torch.testing.assert_close(top, wanted, equal_nan=True, **exact)
    torch.testing.assert_close(slow, wanted, equal_nan=True)


@pytest.mark.parametrize("function", [max_pool, plain.max_pool])
@pytest.mark.parametrize("channels", [2, 40, 100])
def test_windows_beyond_the_bottom(function, channels):
    x = torch.arange(4.0).view(1, 1, 2, 2).repeat(1, channels, 1, 1)
    top = function(x.contiguous(memory_format=torch.channels_last), (2, 2), (2, 2), (0, 0), (2, 3))
    lowest = torch.finfo(torch.float32).min
    assert top[0, -1].tolist() == [[3, lowest, lowest], [lowest] * 3]


@pytest.mark.parametrize("function", [average_pool, plain.average_pool])
@pytest.mark.parametrize("channels", [2, 40, 100])
def test_averages_of_windows_beyond_the_bottom(function, channels):
    x = channels_last(torch.arange(4.0).view(1, 1, 2, 2).repeat(1, channels, 1, 1))
    top = function(x, (2, 2), (2, 2), (1, 1), (2, 2))
    assert top[0, -1].tolist() == [[0, 0.25], [0.5, 0.75]]
    beyond = function(x, (1, 1), (3, 3), (0, 0), (1, 2))
    assert beyond[0, -1].tolist() == [[0, 0]]


@pytest.mark.parametrize("function", [max_pool, average_pool])
def test_no_images(function):
    assert function(torch.zeros(0, 2, 5, 6), (2, 2), (1, 1), (0, 0), (4, 5)).shape == (0, 2, 4, 5)


@pytest.mark.parametrize("function", [max_pool, average_pool])
def test_meta_shape(function):
    x = torch.zeros(2, 20, 6, 7)
    real = function(x, (2, 2), (2, 2), (0, 0), (3, 4))
    meta = function(x.to("meta"), (2, 2), (2, 2), (0, 0), (3, 4))
    assert meta.shape == real.shape and meta.stride() == real.stride()


@pytest.mark.parametrize("change", [
    {"x": torch.zeros(4, 5, 5)}, {"x": torch.zeros(1, 4, 5, 5).double()}, {"kernel": (2,)},
    {"kernel": (0, 2)}, {"stride": (0, 1)}, {"pad": (-1, 0)}, {"counts": (2, 2, 2)}])
def test_operands_that_do_not_fit(change):
    given = {"x": torch.zeros(1, 4, 5, 5), "kernel": (2, 2), "stride": (2, 2), "pad": (0, 0),
             "counts": (2, 2), **change}
    for function in (max_pool, plain.max_pool, average_pool, plain.average_pool):
        with pytest.raises(ValueError, match=rf"^{function.__name__}: \w+"):
            function(*given.values())


def test_where_a_gradient_is_wanted_the_places_are_needed():
    x = torch.zeros(1, 2, 3, 3).contiguous(memory_format=torch.channels_last).requires_grad_()
    assert not takes(x)
    with torch.no_grad():
        assert takes(x) == are_compiled() and not takes(torch.zeros(1, 2, 3, 3))
    for function in (max_pool, average_pool):
        with pytest.raises(RuntimeError, match="no gradient"):
            function(x, (2, 2), (1, 1), (0, 0), (2, 2)).sum().backward()


def test_torch_compile_traces_it_in_one_graph():
    x = torch.randn(1, 16, 9, 9).contiguous(memory_format=torch.channels_last)
    windows = (3, 3), (2, 2), (0, 0), (4, 4)
    compiled = torch.compile(lambda x: max_pool(x, *windows) + average_pool(x, *windows),
                             backend="aot_eager", fullgraph=True)
    torch.testing.assert_close(compiled(x), F.max_pool2d(x, 3, 2) + F.avg_pool2d(x, 3, 2))

"""The maxima of windows: against PyTorch's, and where those know no such windows, by hand."""
import math

import pytest
import torch
import torch.nn.functional as F
from thread_counts import threads_of_torch

from caffe.operators.max_pooling import max_pool, takes
from caffe.operators.plain import max_pooling as plain
from caffe.operators.registration import are_compiled

# images, channels, height, width, kernel, stride, padding
CASES = [(1, 1, 1, 1, (1, 1), (1, 1), (0, 0)), (2, 3, 7, 9, (3, 3), (2, 2), (0, 0)),
         (1, 20, 8, 8, (2, 2), (2, 2), (0, 0)), (2, 70, 9, 6, (3, 3), (1, 1), (1, 1)),
         (1, 130, 5, 11, (2, 3), (1, 2), (1, 0)), (1, 64, 13, 13, (5, 4), (3, 2), (2, 1))]


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(3)


def reference(x, kernel, stride, padding):
    return F.max_pool2d(x, kernel, stride, padding, ceil_mode=True)


@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize("threads", [1, 3])
def test_the_numbers_of_pytorch(case, threads):
    *shape, kernel, stride, padding = case
    x = torch.randn(shape)
    x[0, 0, 0, 0], x[-1, -1] = math.nan, -math.inf
    wanted = reference(x, kernel, stride, padding)
    with threads_of_torch(threads):
        for function in (max_pool, plain.max_pool):
            top = function(x.contiguous(memory_format=torch.channels_last), kernel, stride,
                           padding, wanted.shape[2:])
            assert top.is_contiguous(memory_format=torch.channels_last)
            torch.testing.assert_close(top, wanted, rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize("function", [max_pool, plain.max_pool])
@pytest.mark.parametrize("channels", [2, 40, 100])
def test_windows_beyond_the_bottom(function, channels):
    x = torch.arange(4.0).view(1, 1, 2, 2).repeat(1, channels, 1, 1)
    top = function(x.contiguous(memory_format=torch.channels_last), (2, 2), (2, 2), (0, 0), (2, 3))
    lowest = torch.finfo(torch.float32).min
    assert top[0, -1].tolist() == [[3, lowest, lowest], [lowest] * 3]


def test_no_images():
    assert max_pool(torch.zeros(0, 2, 5, 6), (2, 2), (1, 1), (0, 0), (4, 5)).shape == (0, 2, 4, 5)


def test_meta_shape():
    x = torch.zeros(2, 20, 6, 7)
    real = max_pool(x, (2, 2), (2, 2), (0, 0), (3, 4))
    meta = max_pool(x.to("meta"), (2, 2), (2, 2), (0, 0), (3, 4))
    assert meta.shape == real.shape and meta.stride() == real.stride()


@pytest.mark.parametrize("change", [
    {"x": torch.zeros(4, 5, 5)}, {"x": torch.zeros(1, 4, 5, 5).double()}, {"kernel": (2,)},
    {"kernel": (0, 2)}, {"stride": (0, 1)}, {"pad": (-1, 0)}, {"counts": (2, 2, 2)}])
def test_operands_that_do_not_fit(change):
    given = {"x": torch.zeros(1, 4, 5, 5), "kernel": (2, 2), "stride": (2, 2), "pad": (0, 0),
             "counts": (2, 2), **change}
    for function in (max_pool, plain.max_pool):
        with pytest.raises(ValueError, match=r"^max_pool: \w+"):
            function(*given.values())


def test_where_a_gradient_is_wanted_the_places_are_needed():
    x = torch.zeros(1, 2, 3, 3).contiguous(memory_format=torch.channels_last).requires_grad_()
    assert not takes(x)
    with torch.no_grad():
        assert takes(x) == are_compiled() and not takes(torch.zeros(1, 2, 3, 3))
    with pytest.raises(RuntimeError, match="no gradient"):
        max_pool(x, (2, 2), (1, 1), (0, 0), (2, 2)).sum().backward()


def test_torch_compile_traces_it_in_one_graph():
    x = torch.randn(1, 16, 9, 9).contiguous(memory_format=torch.channels_last)
    compiled = torch.compile(lambda x: 2 * max_pool(x, (3, 3), (2, 2), (0, 0), (4, 4)),
                             backend="aot_eager", fullgraph=True)
    torch.testing.assert_close(compiled(x), 2 * F.max_pool2d(x, 3, 2), rtol=0, atol=0)

"""Gradients of large depthwise kernels equal those of PyTorch's own convolution."""
import pytest
import torch
import torch.nn.functional as F

from caffe.layer_types.maps.depthwise import depthwise_convolution, is_slow_depthwise
from caffe.layer_types.maps.windows import Windows


def windows(kernel, stride, pad):
    return Windows(kernel, stride, pad, (1, 1))


@pytest.mark.parametrize("shape, kernel, stride, pad", [
    ((3, 4, 4, 4), (5, 5), (1, 1), (2, 2)), ((2, 3, 9, 7), (6, 6), (2, 2), (2, 2)),
    ((1, 2, 8, 11), (4, 4), (2, 2), (1, 1)), ((2, 2, 7, 9), (5, 3), (1, 2), (0, 1)),
    ((1, 2, 2, 2), (5, 5), (1, 1), (2, 2)), ((1, 1, 1, 1), (6, 6), (3, 3), (3, 3)),
    ((3, 37, 12, 19), (5, 5), (1, 1), (2, 2)), ((2, 16, 9, 31), (9, 8), (2, 3), (4, 1)),
    ((1, 33, 6, 20), (3, 15), (3, 1), (1, 7)), ((20, 64, 5, 6), (3, 3), (1, 1), (1, 1))])
@pytest.mark.parametrize("with_bias", [True, False])
def test_gradients(shape, kernel, stride, pad, with_bias):
    torch.manual_seed(1)
    w = windows(kernel, stride, pad)
    x, weight = torch.randn(shape), torch.randn(shape[1], 1, *kernel)
    operands = [x, weight, torch.randn(shape[1])][:3 if with_bias else 2]
    ours, theirs = ([t.clone().requires_grad_() for t in operands] for _ in range(2))
    top = depthwise_convolution(*(ours if with_bias else [*ours, None]), w)
    expected = F.conv2d(*(theirs if with_bias else [*theirs, None]), stride, pad, 1, shape[1])
    torch.testing.assert_close(top, expected)
    grad = torch.randn(top.shape)
    top.backward(grad)
    expected.backward(grad)
    for a, b in zip(ours, theirs):
        torch.testing.assert_close(a.grad, b.grad, rtol=1e-4, atol=1e-5)


def test_where_it_is_used():
    x, weight = torch.ones(1, 2, 4, 4), torch.ones(2, 1, 5, 5, requires_grad=True)
    w = windows((5, 5), (1, 1), (2, 2))
    assert is_slow_depthwise(x, weight, w, 2)
    small, three = weight[:, :, :3, :3], w._replace(kernel=(3, 3), pad=(1, 1))
    assert not is_slow_depthwise(x, small, three, 2)
    assert is_slow_depthwise(torch.ones(1, 2, 4, 8), small, three, 2)
    assert not is_slow_depthwise(x, torch.ones(4, 1, 5, 5, requires_grad=True), w, 2)
    assert not is_slow_depthwise(x, weight.detach(), w, 2)
    assert not is_slow_depthwise(x.double(), weight, w, 2)
    with torch.no_grad():
        assert not is_slow_depthwise(x, weight, w, 2)

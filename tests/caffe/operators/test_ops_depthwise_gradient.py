"""The gradient of depthwise kernels: against PyTorch's in float64, the plain form, bad operands."""
import pytest
import torch
import torch.nn.functional as F
from thread_counts import threads_of_torch

from caffe.operators.plain.depthwise_gradient import depthwise_kernel_gradient as plain

# shape of x, kernel, stride, pad
CASES = [((1, 1, 1, 1), (1, 1), (1, 1), (0, 0)), ((2, 16, 8, 9), (3, 3), (1, 1), (1, 1)),
         ((3, 35, 7, 30), (5, 5), (1, 1), (2, 2)), ((1, 48, 17, 16), (6, 6), (2, 2), (2, 2)),
         ((2, 20, 5, 40), (4, 11), (1, 2), (3, 5)), ((1, 17, 3, 3), (7, 7), (1, 1), (6, 6)),
         ((40, 32, 4, 4), (5, 5), (1, 1), (2, 2))]


def operands(shape, kernel, stride, pad):
    torch.manual_seed(5)
    x, weight = torch.randn(shape), torch.randn(shape[1], 1, *kernel)
    return x, torch.randn_like(F.conv2d(x, weight, None, stride, pad, 1, shape[1]))


def exact(x, grad, kernel, stride, pad):
    weight = torch.zeros(x.shape[1], 1, *kernel, dtype=torch.double, requires_grad=True)
    F.conv2d(x.double(), weight, None, stride, pad, 1, x.shape[1]).backward(grad.double())
    return weight.grad


@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize("gradient", [torch.ops.caffe_fast_rcnn.depthwise_kernel_gradient, plain],
                         ids=["operator", "plain"])
def test_like_the_convolution(case, gradient):
    x, grad = operands(*case)
    wanted = exact(x, grad, *case[1:])
    for layout in (torch.contiguous_format, torch.channels_last):
        made = gradient(grad, x.contiguous(memory_format=layout), *case[1:])
        torch.testing.assert_close(made.double(), wanted, rtol=1e-5, atol=5e-5)


def test_by_hand():
    #  a row 1 2 3, padded by one, and a kernel of two columns: 0 1 2 3 and 1 2 3 0 meet the top
    x, grad = torch.tensor([[[[1.0, 2, 3]]]]), torch.tensor([[[[1.0, 10, 100, 1000]]]])
    made = torch.ops.caffe_fast_rcnn.depthwise_kernel_gradient(grad, x, [1, 2], [1, 1], [0, 1])
    assert made.tolist() == [[[[3210, 321]]]]


def test_the_number_of_threads_changes_no_bit():
    x, grad = operands(*CASES[2])
    made = []
    for threads in (1, 3):
        with threads_of_torch(threads):
            made.append(torch.ops.caffe_fast_rcnn.depthwise_kernel_gradient(
                grad, x, *CASES[2][1:]))
    assert torch.equal(*made)


def test_no_images_give_zeros():
    x, grad = torch.empty(0, 3, 4, 4), torch.empty(0, 3, 4, 4)
    made = torch.ops.caffe_fast_rcnn.depthwise_kernel_gradient(grad, x, [3, 3], [1, 1], [1, 1])
    assert made.tolist() == torch.zeros(3, 1, 3, 3).tolist()


@pytest.mark.parametrize("change, message", [
    ({"grad": torch.ones(1, 2, 4, 5)}, "does not belong to x"),
    ({"grad": torch.ones(2, 4, 4)}, "grad must be"),
    ({"x": torch.ones(1, 2, 4, 4).double()}, "float32"),
    ({"stride": [0, 1]}, "is none"),
    ({"pad": [1, -1]}, "is none"),
    ({"kernel": [3]}, "kernel must be")])
def test_operands_that_do_not_fit(change, message):
    good = {"grad": torch.ones(1, 2, 4, 4), "x": torch.ones(1, 2, 4, 4), "kernel": [3, 3],
            "stride": [1, 1], "pad": [1, 1]}
    with pytest.raises(ValueError, match=message):
        torch.ops.caffe_fast_rcnn.depthwise_kernel_gradient(**{**good, **change})

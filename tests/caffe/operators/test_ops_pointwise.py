"""The convolution of 1 x 1 with packed weights: against PyTorch's in float64."""
import math

import pytest
import torch
import torch.nn.functional as F
from thread_counts import threads_of_torch

from caffe.operators.plain import convolutions as plain
from caffe.operators.pointwise import PointwiseWeights, pays, pointwise_conv, pointwise_pack
from caffe.operators.registration import are_compiled

# images, channels, outputs, height, width
SHAPES = [(1, 1, 1, 1, 1), (2, 5, 7, 3, 4), (1, 16, 33, 5, 5), (3, 33, 64, 1, 9), (1, 64, 31, 7, 7),
          (1, 300, 100, 14, 15), (1, 40, 97, 40, 41)]


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(3)


def operands(images, channels, outputs, height, width):
    return (torch.randn(images, channels, height, width), torch.randn(outputs, channels, 1, 1),
            torch.randn(outputs), torch.randn(images, outputs, height, width))


def exact(x, weight, bias, residual, low, high):
    top = F.conv2d(x.double(), weight.double(), None if bias is None else bias.double())
    top = top if residual is None else top + residual
    return top.clamp(low, high)


@pytest.mark.parametrize("case", SHAPES, ids=str)
@pytest.mark.parametrize("limits", [(-math.inf, math.inf), (0, math.inf), (0, 6), (-0.5, 0.25)])
@pytest.mark.parametrize(("with_bias", "adds"), [(True, True), (False, False), (True, False)])
@pytest.mark.parametrize("threads", [1, 3])
def test_like_the_plain_convolution(case, limits, with_bias, adds, threads):
    x, weight, bias, residual = operands(*case)
    bias, residual = bias if with_bias else None, residual if adds else None
    wanted = exact(x, weight, bias, residual, *limits)
    with threads_of_torch(threads):
        for layout in (torch.contiguous_format, torch.channels_last):
            top = pointwise_conv(x.contiguous(memory_format=layout), pointwise_pack(weight), bias,
                                 residual, *limits)
            assert top.is_contiguous(memory_format=torch.channels_last)
            torch.testing.assert_close(top.double(), wanted, rtol=1e-5, atol=2e-5)


@pytest.mark.parametrize("case", [(2, 1024, 70, 7, 9), (1, 2048, 64, 8, 8), (1, 4096, 40, 3, 5)],
                         ids=str)
@pytest.mark.parametrize("threads", [1, 3])
def test_pixels_that_are_whole_pages_apart(case, threads):
    x, weight, bias, residual = operands(*case)
    weight /= case[1] ** 0.5                # values of ordinary size
    wanted = exact(x, weight, bias, residual, -1, 2)
    with threads_of_torch(threads):
        top = pointwise_conv(x, pointwise_pack(weight), bias, residual, -1, 2)
    torch.testing.assert_close(top.double(), wanted, rtol=1e-5, atol=2e-5)


@pytest.mark.parametrize("outputs", [1, 16, 24, 33, 70])
@pytest.mark.parametrize("size", [(1, 1), (1, 9), (7, 1), (6, 7)])
@pytest.mark.parametrize("threads", [1, 3])
def test_slices_of_channels(outputs, size, threads):
    x, weight, bias, residual = operands(2, 21, outputs, *size)
    wanted = exact(x, weight, bias, residual, 0, 9)
    maps = torch.full((2, outputs + 40, *size), 7.0).to(memory_format=torch.channels_last)
    wide = torch.cat([x, x], 1).to(memory_format=torch.channels_last)
    out = maps[:, 11:11 + outputs]
    with threads_of_torch(threads):
        top = pointwise_conv(wide[:, 21:], pointwise_pack(weight), bias, residual, 0, 9, out)
    assert top is out
    torch.testing.assert_close(out.double(), wanted, rtol=1e-5, atol=2e-5)
    assert (maps[:, :11] == 7).all() and (maps[:, 11 + outputs:] == 7).all()


def test_the_residual_takes_the_result():
    x, weight, bias, residual = operands(2, 30, 50, 6, 7)
    residual = residual.to(memory_format=torch.channels_last)
    wanted = exact(x, weight, bias, residual, 0, 9)
    pointwise_conv(x, pointwise_pack(weight), bias, residual, 0, 9, residual)
    torch.testing.assert_close(residual.double(), wanted, rtol=1e-5, atol=2e-5)


@pytest.mark.parametrize("out", [
    torch.zeros(1, 6, 5, 4), torch.zeros(1, 6, 5, 5).double(), torch.zeros(1, 6, 5, 5),
    torch.zeros(1, 1, 5, 5).expand(1, 6, 5, 5)], ids=["shape", "type", "layout", "expanded"])
def test_an_out_that_does_not_fit(out):
    x, weight, _, _ = operands(1, 4, 6, 5, 5)
    with pytest.raises(ValueError, match="^pointwise_conv: out "):
        pointwise_conv(x, pointwise_pack(weight), out=out)


def test_out_must_not_be_the_bottom():
    x = torch.randn(1, 6, 5, 5).to(memory_format=torch.channels_last)
    with pytest.raises(ValueError, match="shares memory with x"):
        pointwise_conv(x, pointwise_pack(torch.ones(6, 6, 1, 1)), out=x)


def test_by_hand():
    #  pixels (1, 2) and (3, 4); outputs: their sum + 10, and their difference, at most 0
    x = torch.tensor([[1.0, 3.0], [2.0, 4.0]]).view(1, 2, 1, 2)
    weight = torch.tensor([[1.0, 1.0], [1.0, -1.0]]).view(2, 2, 1, 1)
    top = pointwise_conv(x, pointwise_pack(weight), torch.tensor([10.0, 0.0]), high=16)
    assert top.tolist() == [[[[13, 16]], [[-1, -1]]]]


@pytest.mark.skipif(not are_compiled(), reason="PyTorch's sums depend on both")
def test_the_number_of_threads_and_of_images_changes_no_bit():
    x, weight, bias, residual = operands(3, 70, 90, 9, 10)
    weights = pointwise_pack(weight)
    whole = pointwise_conv(x, weights, bias, residual)
    for threads in (1, 2, 5):
        with threads_of_torch(threads):
            assert torch.equal(pointwise_conv(x, weights, bias, residual), whole)
            assert torch.equal(pointwise_conv(x[1:2], weights, bias, residual[1:2]), whole[1:2])


def test_nan_stays_nan():
    x = torch.full((1, 1, 1, 1), math.nan)
    assert pointwise_conv(x, pointwise_pack(torch.ones(40, 1, 1, 1)), low=0, high=1).isnan().all()


def test_no_images():
    weights = pointwise_pack(torch.ones(3, 2, 1, 1))
    assert pointwise_conv(torch.zeros(0, 2, 5, 6), weights).shape == (0, 3, 5, 6)


def test_like_the_plain_operator():
    x, weight, bias, residual = operands(2, 20, 50, 6, 7)
    given = x, *pointwise_pack(weight), bias, residual, -1.0, 2.0
    real = torch.ops.caffe_fast_rcnn.pointwise_conv(*given)
    torch.testing.assert_close(plain.pointwise_conv(*given), real, rtol=1e-5, atol=1e-5)
    out = torch.empty_like(real)
    plain.pointwise_conv_out(*given, out)
    torch.testing.assert_close(out, real, rtol=1e-5, atol=1e-5)


def test_meta_shape():
    x, weight, bias, _ = operands(2, 20, 50, 6, 7)
    weights = pointwise_pack(weight)
    meta = pointwise_conv(x.to("meta"), PointwiseWeights(weights.packed.to("meta"), 50),
                          bias.to("meta"))
    real = pointwise_conv(x, weights, bias)
    assert meta.shape == real.shape and meta.stride() == real.stride()


@pytest.mark.parametrize("change", [
    {"x": torch.zeros(1, 3, 5, 5)}, {"x": torch.zeros(4, 5, 5)},
    {"x": torch.zeros(1, 4, 5, 5).double()}, {"bias": torch.zeros(5)},
    {"bias": torch.zeros(6).double()}, {"residual": torch.zeros(1, 6, 5, 4)},
    {"residual": torch.zeros(1, 6, 5, 5).double()},
    {"weights": PointwiseWeights(torch.zeros(1, 4), 6)},
    {"weights": PointwiseWeights(pointwise_pack(torch.zeros(6, 4, 1, 1)).packed, 0)},
    {"weights": PointwiseWeights(pointwise_pack(torch.zeros(6, 4, 1, 1)).packed, 1000)}])
def test_operands_that_do_not_fit(change):
    given = {"x": torch.zeros(1, 4, 5, 5), "weights": pointwise_pack(torch.zeros(6, 4, 1, 1)),
             "bias": torch.zeros(6), "residual": torch.zeros(1, 6, 5, 5), **change}
    with pytest.raises(ValueError, match=r"^pointwise_conv: \w+ "):
        pointwise_conv(**given)
    weights = given.pop("weights")
    with pytest.raises(ValueError, match=r"^pointwise_conv: \w+ "):
        plain.pointwise_conv(given["x"], *weights, given["bias"], given["residual"], 0.0, 1.0)


def test_weights_of_another_kernel():
    with pytest.raises(ValueError, match="must be"):
        pointwise_pack(torch.zeros(2, 2, 3, 3))


def test_no_gradient_is_lost_in_silence():
    x = torch.zeros(1, 2, 3, 3, requires_grad=True)
    top = pointwise_conv(x, pointwise_pack(torch.zeros(3, 2, 1, 1)))
    with pytest.raises(RuntimeError, match="no gradient"):
        top.sum().backward()


def test_few_outputs_do_not_pay():
    assert not pays(3)

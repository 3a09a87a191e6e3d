"""The depthwise convolution with packed weights: against PyTorch's in float64."""
import math

import pytest
import torch
import torch.nn.functional as F
from thread_counts import threads_of_torch

from caffe.operators.depthwise import DepthwiseWeights, depthwise_conv, depthwise_pack, pays
from caffe.operators.plain import convolutions as plain

# images, channels, height, width, kernel, stride, padding
CASES = [(1, 1, 3, 3, 3, 1, (0, 0)), (2, 5, 4, 9, 3, 1, (1, 1)), (1, 16, 9, 14, 3, 2, (1, 1)),
         (3, 24, 8, 7, 3, 2, (1, 0)), (2, 33, 11, 15, 3, 1, (2, 3)), (1, 7, 1, 1, 3, 1, (1, 1)),
         (1, 20, 5, 5, 5, 1, (0, 0)), (2, 40, 12, 16, 5, 1, (2, 2)), (1, 64, 13, 29, 5, 2, (2, 2)),
         (1, 3, 6, 17, 5, 2, (1, 4)), (1, 100, 30, 31, 3, 2, (1, 1))]
LIMITS = [(-math.inf, math.inf), (0, math.inf), (0, 6), (-0.5, 0.25)]


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(3)


def operands(images, channels, height, width, kernel):
    return (torch.randn(images, channels, height, width),
            torch.randn(channels, 1, kernel, kernel), torch.randn(channels))


@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize("limits", LIMITS)
@pytest.mark.parametrize("with_bias", [True, False])
@pytest.mark.parametrize("threads", [1, 3])
def test_like_the_plain_convolution(case, limits, with_bias, threads):
    *shape, kernel, stride, padding = case
    x, weight, bias = operands(*shape, kernel)
    bias = bias if with_bias else None
    wanted = F.conv2d(x.double(), weight.double(), None if bias is None else bias.double(), stride,
                      padding, 1, shape[1]).clamp(*limits)
    with threads_of_torch(threads):
        for layout in (torch.contiguous_format, torch.channels_last):
            top = depthwise_conv(x.contiguous(memory_format=layout), depthwise_pack(weight), bias,
                                 stride, padding, *limits)
            assert top.is_contiguous(memory_format=torch.channels_last)
            torch.testing.assert_close(top.double(), wanted, rtol=1e-5, atol=1e-5)


def test_by_hand():
    # every output is the sum of its neighbourhood, those outside counting 0, plus 100
    x = torch.arange(6.0).view(1, 1, 2, 3)
    weights = depthwise_pack(torch.ones(1, 1, 3, 3))
    top = depthwise_conv(x, weights, torch.tensor([100.0]), padding=(1, 1), high=113)
    assert top.tolist() == [[[[108, 113, 112], [108, 113, 112]]]]
    assert depthwise_conv(x, weights, stride=2, padding=(1, 1)).tolist() == [[[[8, 12]]]]


def test_the_number_of_threads_and_of_images_changes_no_bit():
    x, weight, bias = operands(3, 70, 19, 20, 3)
    weights = depthwise_pack(weight)
    whole = depthwise_conv(x, weights, bias, padding=(1, 1))
    for threads in (1, 2, 5):
        with threads_of_torch(threads):
            assert torch.equal(depthwise_conv(x, weights, bias, padding=(1, 1)), whole)
            assert torch.equal(depthwise_conv(x[1:2], weights, bias, padding=(1, 1)), whole[1:2])


def test_nan_stays_nan():
    x = torch.full((1, 40, 3, 3), math.nan)
    assert depthwise_conv(x, depthwise_pack(torch.ones(40, 1, 3, 3)), low=0, high=1).isnan().all()


def test_no_images():
    weights = depthwise_pack(torch.ones(2, 1, 3, 3))
    assert depthwise_conv(torch.zeros(0, 2, 5, 6), weights).shape == (0, 2, 3, 4)


def test_like_the_plain_operator():
    x, weight, bias = operands(2, 20, 6, 7, 5)
    given = x, *depthwise_pack(weight), bias, 2, 2, 1, -1.0, 2.0
    torch.testing.assert_close(plain.depthwise_conv(*given),
                               torch.ops.caffe_fast_rcnn.depthwise_conv(*given), rtol=1e-5,
                               atol=1e-5)


def test_meta_shape():
    x, weight, bias = operands(2, 20, 6, 7, 3)
    packed, kernel = depthwise_pack(weight)
    meta = depthwise_conv(x.to("meta"), DepthwiseWeights(packed.to("meta"), kernel),
                          bias.to("meta"), 2, (1, 1))
    real = depthwise_conv(x, DepthwiseWeights(packed, kernel), bias, 2, (1, 1))
    assert meta.shape == real.shape and meta.stride() == real.stride()


@pytest.mark.parametrize("change", [
    {"x": torch.zeros(1, 3, 5, 5)}, {"x": torch.zeros(4, 5, 5)}, {"x": torch.zeros(1, 4, 1, 9)},
    {"x": torch.zeros(1, 4, 5, 5).double()}, {"bias": torch.zeros(5)},
    {"bias": torch.zeros(4).double()}, {"stride": 3}, {"padding": (-1, 0)},
    {"weights": DepthwiseWeights(torch.zeros(9, 4), 5)},
    {"weights": DepthwiseWeights(torch.zeros(49, 4), 7)},
    {"weights": DepthwiseWeights(torch.zeros(9, 4, 1), 3)}])
def test_operands_that_do_not_fit(change):
    given = {"x": torch.zeros(1, 4, 5, 5), "weights": depthwise_pack(torch.zeros(4, 1, 3, 3)),
             "bias": torch.zeros(4), "stride": 1, "padding": (0, 0), **change}
    with pytest.raises(ValueError, match=r"^depthwise_conv: (the )?\w+ "):
        depthwise_conv(**given)
    with pytest.raises(ValueError, match=r"^depthwise_conv: (the )?\w+ "):
        plain.depthwise_conv(given["x"], *given["weights"], given["bias"], given["stride"],
                             *given["padding"], 0.0, 1.0)


@pytest.mark.parametrize("shape", [(4, 2, 3, 3), (4, 1, 7, 7), (4, 1, 3, 5), (4, 3, 3)])
def test_weights_of_another_shape(shape):
    with pytest.raises(ValueError, match="must be"):
        depthwise_pack(torch.zeros(shape))


def test_no_gradient_is_lost_in_silence():
    x = torch.zeros(1, 2, 3, 3, requires_grad=True)
    top = depthwise_conv(x, depthwise_pack(torch.zeros(2, 1, 3, 3)))
    with pytest.raises(RuntimeError, match="no gradient"):
        top.sum().backward()


def test_few_channels_do_not_pay():
    assert not pays(3)

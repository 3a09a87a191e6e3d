"""The convolution of maps of few channels with packed weights: against PyTorch's in float64."""
import math

import pytest
import torch
import torch.nn.functional as F
from thread_counts import threads_of_torch

from caffe.operators.image_conv import ImageWeights, image_conv, image_conv_pack, pays
from caffe.operators.plain import convolutions as plain

# images, channels, height, width, outputs, kernel, stride, padding
CASES = [(1, 3, 32, 30, 32, (3, 3), (2, 2), (1, 1)), (2, 3, 31, 33, 32, (4, 4), (2, 2), (1, 1)),
         (1, 3, 39, 45, 96, (7, 7), (2, 2), (0, 0)), (1, 3, 38, 61, 64, (7, 7), (2, 2), (3, 3)),
         (2, 3, 35, 51, 96, (11, 11), (4, 4), (0, 0)), (1, 3, 9, 29, 64, (3, 3), (1, 1), (1, 1)),
         (3, 1, 12, 28, 20, (5, 5), (1, 1), (0, 0)), (1, 1, 1, 1, 1, (1, 1), (1, 1), (0, 0)),
         (2, 2, 7, 40, 17, (3, 5), (3, 1), (0, 4)), (1, 4, 10, 9, 33, (5, 2), (1, 3), (5, 1)),
         (2, 4, 3, 2, 7, (3, 2), (1, 1), (0, 0)), (1, 2, 4, 5, 80, (1, 1), (3, 2), (2, 7)),
         (1, 3, 6, 19, 130, (3, 3), (1, 1), (1, 1)), (1, 5, 6, 7, 3, (2, 2), (9, 9), (1, 1))]
LIMITS = [(-math.inf, math.inf), (0, math.inf), (0, 6), (-0.5, 0.25)]


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(3)


def operands(images, channels, height, width, outputs, kernel):
    return (torch.randn(images, channels, height, width),
            torch.randn(outputs, channels, *kernel) / (channels * math.prod(kernel)) ** 0.5,
            torch.randn(outputs))


@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize("limits", LIMITS)
@pytest.mark.parametrize("with_bias", [True, False])
@pytest.mark.parametrize("threads", [1, 3])
def test_like_the_plain_convolution(case, limits, with_bias, threads):
    *shape, stride, padding = case
    x, weight, bias = operands(*shape)
    bias = bias if with_bias else None
    wanted = F.conv2d(x.double(), weight.double(), None if bias is None else bias.double(), stride,
                      padding).clamp(*limits)
    with threads_of_torch(threads):
        for layout in (torch.contiguous_format, torch.channels_last):
            top = image_conv(x.contiguous(memory_format=layout), image_conv_pack(weight), bias,
                             stride, padding, *limits)
            assert top.is_contiguous(memory_format=torch.channels_last)
            torch.testing.assert_close(top.double(), wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("width", range(1, 36))
@pytest.mark.parametrize("outputs", [16, 32, 48, 64])
def test_every_number_of_columns(width, outputs):
    x, weight, bias = operands(1, 3, 3, width, outputs, (3, 3))
    wanted = F.conv2d(x.double(), weight.double(), bias.double(), 1, 1)
    top = image_conv(x, image_conv_pack(weight), bias, (1, 1), (1, 1))
    torch.testing.assert_close(top.double(), wanted, rtol=1e-5, atol=1e-5)


def test_maps_that_are_cut_out_of_others():
    x, weight, bias = operands(2, 6, 20, 20, 24, (3, 3))
    weights = image_conv_pack(weight[:, :3])
    part = x[:, 1:4, 2:15, 3:17]
    top = image_conv(part, weights, bias)
    assert torch.equal(top, image_conv(part.contiguous(), weights, bias))


def test_by_hand():
    # every output is the sum of its neighbourhood, those outside counting 0, plus 100
    x = torch.arange(6.0).view(1, 1, 2, 3)
    weights = image_conv_pack(torch.ones(1, 1, 3, 3))
    top = image_conv(x, weights, torch.tensor([100.0]), padding=(1, 1), high=113)
    assert top.tolist() == [[[[108, 113, 112], [108, 113, 112]]]]
    assert image_conv(x, weights, stride=(2, 2), padding=(1, 1)).tolist() == [[[[8, 12]]]]


def test_the_number_of_threads_and_of_images_and_the_layout_change_no_bit():
    x, weight, bias = operands(3, 3, 40, 41, 70, (7, 7))
    weights = image_conv_pack(weight)
    whole = image_conv(x, weights, bias, (2, 2), (3, 3))
    for threads in (1, 2, 5):
        with threads_of_torch(threads):
            for given in (x, x.to(memory_format=torch.channels_last)):
                assert torch.equal(image_conv(given, weights, bias, (2, 2), (3, 3)), whole)
                assert torch.equal(image_conv(given[1:2], weights, bias, (2, 2), (3, 3)),
                                   whole[1:2])


def test_nan_stays_nan():
    x = torch.full((1, 3, 3, 3), math.nan)
    weights = image_conv_pack(torch.ones(40, 3, 3, 3))
    assert image_conv(x, weights, low=0, high=1).isnan().all()


def test_no_images():
    weights = image_conv_pack(torch.ones(2, 3, 3, 3))
    assert image_conv(torch.zeros(0, 3, 5, 6), weights).shape == (0, 2, 3, 4)


def test_like_the_plain_operator():
    x, weight, bias = operands(2, 3, 6, 7, 20, (5, 4))
    packed, outputs, kernel = image_conv_pack(weight)
    given = x, packed, outputs, kernel, bias, (2, 1), (1, 2), -1.0, 2.0
    torch.testing.assert_close(plain.image_conv(*given),
                               torch.ops.caffe_fast_rcnn.image_conv(*given), rtol=1e-5, atol=1e-5)


def test_meta_shape():
    x, weight, bias = operands(2, 3, 6, 7, 20, (3, 2))
    weights = image_conv_pack(weight)
    meta = image_conv(x.to("meta"), weights._replace(packed=weights.packed.to("meta")),
                      bias.to("meta"), (2, 3), (1, 0))
    real = image_conv(x, weights, bias, (2, 3), (1, 0))
    assert meta.shape == real.shape and meta.stride() == real.stride()


@pytest.mark.parametrize("change", [
    {"x": torch.zeros(1, 2, 5, 5)}, {"x": torch.zeros(3, 5, 5)}, {"x": torch.zeros(1, 3, 2, 9)},
    {"x": torch.zeros(1, 3, 9, 2)}, {"x": torch.zeros(1, 3, 5, 5).double()},
    {"bias": torch.zeros(5)}, {"bias": torch.zeros(4).double()}, {"stride": (0, 1)},
    {"stride": (1,)}, {"padding": (-1, 0)}, {"padding": (0, 0, 0)},
    {"weights": ImageWeights(image_conv_pack(torch.zeros(4, 3, 3, 3)).packed, 4, (3, 0))},
    {"weights": ImageWeights(image_conv_pack(torch.zeros(4, 3, 3, 3)).packed, 4, (3, 4))},
    {"weights": ImageWeights(image_conv_pack(torch.zeros(4, 3, 3, 3)).packed, 0, (3, 3))},
    {"weights": ImageWeights(image_conv_pack(torch.zeros(4, 3, 3, 3)).packed, 1000, (3, 3))},
    {"weights": ImageWeights(torch.zeros(1, 27, 4), 4, (3, 3))},
    {"x": torch.zeros(1, 0, 5, 5), "weights": image_conv_pack(torch.zeros(4, 0, 3, 3))}])
def test_operands_that_do_not_fit(change):
    given = {"x": torch.zeros(1, 3, 5, 5), "weights": image_conv_pack(torch.zeros(4, 3, 3, 3)),
             "bias": torch.zeros(4), "stride": (1, 1), "padding": (0, 0), **change}
    with pytest.raises(ValueError, match=r"^image_conv: (the )?\w+ "):
        image_conv(**given)
    with pytest.raises(ValueError, match=r"^image_conv: (the )?\w+ "):
        plain.image_conv(given["x"], *given["weights"], given["bias"], given["stride"],
                         given["padding"], 0.0, 1.0)


def test_weights_of_another_shape():
    with pytest.raises(ValueError, match="must be"):
        image_conv_pack(torch.zeros(4, 3, 3))


def test_no_gradient_is_lost_in_silence():
    x = torch.zeros(1, 2, 3, 3, requires_grad=True)
    top = image_conv(x, image_conv_pack(torch.zeros(2, 2, 3, 3)))
    with pytest.raises(RuntimeError, match="no gradient"):
        top.sum().backward()


def test_many_channels_and_small_kernels_do_not_pay():
    assert not pays(16, (3, 3))
    assert not pays(3, (1, 1))

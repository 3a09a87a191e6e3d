"""The operators on bfloat16 and half: computed in float32, rounded once."""
import pytest
import torch
import torch.nn.functional as F
from thread_counts import threads_of_torch

from caffe import ops
from caffe.operators.winograd import winograd_conv, winograd_conv2d, winograd_pack

HALVES = torch.bfloat16, torch.float16
UNIT = {torch.bfloat16: 2.0 ** -8, torch.float16: 2.0 ** -11}      # largest relative rounding
ROIS = torch.tensor([[0, 0, 0, 7, 5.0], [1, 3, 2, 11, 9], [0, 4.5, 1.5, 4, 9]])


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(7)


REGIONS = {
    "roi_pool": lambda x, rois: ops.roi_pool(x, rois, 2, 3, 0.5),
    "roi_align": lambda x, rois: ops.roi_align(x, rois, 2, 3, 0.5, 2),
    "psroi_pool": lambda x, rois: ops.psroi_pool(x, rois, 2, 2, 0.5)}
MAPS = {
    "lrn_across": lambda x: ops.lrn_across(x, 5, 0.5, 0.75),
    "lrn_within": lambda x: ops.lrn_within(x, 3, 0.5, 0.75)}


def assert_rounded_once(found, exact, dtype):
    """Equal to the float64 numbers but for one rounding and float32's own sums."""
    assert found.dtype == dtype
    error = (found.double() - exact).abs()
    assert (error <= UNIT[dtype] * exact.abs() + 1e-5).all()


@pytest.mark.parametrize("dtype", HALVES, ids=str)
@pytest.mark.parametrize("name", REGIONS)
def test_regions_of_a_map_of_half_the_bytes(name, dtype):
    """The rois stay float32: 4.5 and 1.5 are no whole cells."""
    features = torch.randn(2, 8, 9, 13).to(dtype)
    exact = REGIONS[name](features.double(), ROIS.double())
    assert_rounded_once(REGIONS[name](features, ROIS), exact, dtype)


@pytest.mark.parametrize("dtype", HALVES, ids=str)
@pytest.mark.parametrize("name", MAPS)
def test_normalisation(name, dtype):
    x = torch.randn(2, 8, 5, 6).to(dtype)
    assert_rounded_once(MAPS[name](x), MAPS[name](x.double()), dtype)


@pytest.mark.parametrize("dtype", HALVES, ids=str)
def test_gradients_of_many_rois_add_up_in_float32(dtype):
    """1000 rois take their maximum from one cell. In bfloat16 a sum of ones would end at 256."""
    features = torch.zeros(1, 1, 4, 4)
    features[0, 0, 1, 2] = 1
    features = features.to(dtype).requires_grad_()
    rois = torch.tensor([[0, 0, 0, 3, 3.0]]).expand(1000, 5)
    ops.roi_pool(features, rois, 1, 1, 1.0).sum().backward()
    assert features.grad.dtype == dtype and features.grad[0, 0, 1, 2] == 1000


@pytest.mark.parametrize("dtype", HALVES, ids=str)
def test_the_loss_is_float32(dtype):
    """Two rows: 0.5 * 0.5^2 and 3 - 0.5, divided by 2; the gradient has the prediction's type."""
    pred, target = torch.tensor([[0.5], [3.0]]).to(dtype).requires_grad_(), torch.zeros(2, 1)
    loss = ops.smooth_l1_loss(pred, target.to(dtype))
    assert loss.dtype == torch.float32 and loss.item() == (0.125 + 2.5) / 2
    loss.backward()
    assert pred.grad.dtype == dtype and pred.grad.tolist() == [[0.25], [0.5]]


@pytest.mark.parametrize("dtype", HALVES, ids=str)
def test_suppression_and_update(dtype):
    dets = torch.tensor([[0, 0, 9, 9, .5], [0, 0, 9, 8, .75], [20, 20, 29, 29, .25]])
    assert ops.nms(dets.to(dtype), 0.5).tolist() == [1, 2]
    boxes, scores = dets[:, :4].to(dtype), dets[:, 4].to(dtype)
    assert ops.batched_nms(boxes, scores, torch.tensor([0, 1, 0]), 0.5).tolist() == [1, 0, 2]
    assert ops.soft_nms(boxes, scores, None, 0.5)[1].dtype == torch.float32
    weight, history = torch.ones(3), torch.zeros(3)
    ops.sgd_update_(weight, torch.full((3,), 0.5, dtype=dtype), history, 0.5, 0.9, 0.0)
    assert weight.tolist() == [0.75] * 3 and history.tolist() == [0.25] * 3


def test_pointwise_convolution():
    x, weight = torch.randn(1, 40, 5, 6).bfloat16(), torch.randn(24, 40, 1, 1).bfloat16()
    top = ops.pointwise_conv(x, ops.pointwise_pack(weight), torch.randn(24).bfloat16() * 0)
    assert_rounded_once(top, F.conv2d(x.double(), weight.double()), torch.bfloat16)


def test_autocast_leaves_the_operators_in_float32():
    """Features that autocast has made bfloat16 meet rois of float32."""
    features, raw = torch.randn(1, 8, 9, 13), torch.ops.caffe_fast_rcnn
    with torch.autocast("cpu", torch.bfloat16):
        product = F.conv2d(features, torch.randn(8, 8, 1, 1))
        assert product.dtype == torch.bfloat16
        pooled, _ = raw.roi_pool(product, ROIS[:1], 2, 2, 0.5, False)
        loss = raw.smooth_l1_loss(product, features, None, None, 1.0)
        normal = raw.lrn_across(product, 5, 1e-4, 0.75, 1.0)
    assert pooled.dtype == loss.dtype == normal.dtype == torch.float32
    assert pooled.equal(ops.roi_pool(product.float(), ROIS[:1], 2, 2, 0.5))


# Winograd's convolution in bfloat16, root mean squares. Two factors and the result are rounded, by
# 2^-8 at most and 2^-9.3 on average, so that the plain convolution errs by less than 2^-8. The
# transforms subtract large numbers, which makes more of the factors' part: 1.5, 4 and 16 times as
# much was measured on normal numbers.

ALLOWED = {2: 1.5 * 2 ** -8, 4: 4 * 2 ** -8, 6: 16 * 2 ** -8}
SHAPES = [(2, 16, 40, 13, 6, 1), (3, 33, 17, 5, 5, 2), (2, 70, 90, 50, 61, 1), (1, 7, 9, 21, 40, 0)]


def relative_error(found, exact):
    """Root mean square of the error, of that of the numbers."""
    return float((found.double() - exact).square().mean().sqrt() / exact.square().mean().sqrt())


def operands(images, channels, outputs, height, width, padding):
    return (torch.randn(images, channels, height, width).bfloat16(),
            torch.randn(outputs, channels, 3, 3).bfloat16(), torch.randn(outputs))


def exact(x, weight, bias, padding):
    return F.conv2d(x.double(), weight.double(), bias.double(), padding=padding)


@pytest.mark.parametrize("tile", ALLOWED)
@pytest.mark.parametrize("case", SHAPES, ids=str)
def test_winograd_like_the_plain_convolution(case, tile):
    x, weight, bias = operands(*case)
    top = winograd_conv(x, winograd_pack(weight, tile), bias, case[-1])
    assert top.dtype == torch.bfloat16
    assert relative_error(top, exact(x, weight, bias, case[-1])) < ALLOWED[tile]


def test_winograd_sum_and_relu():
    x, weight, bias = operands(2, 9, 21, 7, 6, 1)
    residual, weights = torch.randn(2, 21, 7, 6).bfloat16(), winograd_pack(weight)
    wanted = exact(x, weight, bias, 1) + residual.double()
    assert relative_error(winograd_conv(x, weights, bias, residual=residual), wanted) < ALLOWED[4]
    rectified = winograd_conv(x, weights, bias, relu=True, residual=residual)
    assert relative_error(rectified, wanted.relu()) < ALLOWED[4] and rectified.min() == 0
    assert winograd_conv(x * torch.nan, weights, relu=True).isnan().all()


def test_winograd_the_same_bits_for_any_number_of_threads():
    x, weight, bias = operands(3, 21, 150, 25, 29, 1)
    weights, tops = winograd_pack(weight), []
    for count in (1, 2, 5):
        with threads_of_torch(count):
            tops.append(winograd_conv(x, weights, bias))
    assert all(top.equal(tops[0]) for top in tops)
    assert winograd_conv(x[-1:], weights, bias).equal(tops[0][-1:])


def test_winograd_gradients():
    """The gradient of x by Winograd's algorithm, those of weight and bias by PyTorch's."""
    leaves = [t.requires_grad_() for t in operands(2, 32, 48, 20, 22, 1)]
    doubles = [t.detach().double().requires_grad_() for t in leaves]
    top, wanted = winograd_conv2d(leaves[0], leaves[1], leaves[2].bfloat16()), exact(*doubles, 1)
    diff = torch.randn(wanted.shape).bfloat16()
    found = torch.autograd.grad(top, leaves, diff)
    right = torch.autograd.grad(wanted, doubles, diff.double())
    for mine, theirs in zip(found, right):
        assert relative_error(mine, theirs) < ALLOWED[2]
    assert [grad.dtype for grad in found] == [torch.bfloat16, torch.bfloat16, torch.float32]


def test_winograd_keeps_its_promises():
    raw = torch.ops.caffe_fast_rcnn
    x, weight, bias = operands(2, 5, 7, 9, 11, 1)
    packed = winograd_pack(weight).packed
    assert packed.dtype == torch.bfloat16
    leaves = x.clone().requires_grad_(), weight.clone().requires_grad_()
    for name, arguments in (("winograd_pack", (weight, 4, True)),
                            ("winograd_conv", (x, packed, 7, bias, 1, 1, True, None)),
                            ("winograd_conv2d", (*leaves, bias.bfloat16(), 1, 1, 4))):
        torch.library.opcheck(getattr(raw, name).default, arguments)

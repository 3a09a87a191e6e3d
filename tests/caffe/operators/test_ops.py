"""The operators: by hand, against slow numpy twins (tests/reference/slow_ops.py), gradients."""
import numpy as np
import pytest
import slow_ops
import torch

from caffe.operators import ops

LAYOUTS = [torch.contiguous_format, torch.channels_last]
raw = torch.ops.caffe_fast_rcnn


def random_rois(rng, count, images, size):
    corners = rng.uniform(-0.2 * size, 1.2 * size, (count, 4))
    return np.column_stack([rng.integers(0, images, count), corners]).astype(np.float32)


# ROIPooling

def test_roi_pool_by_hand(device):
    #  0  1  2  3     roi (4, 0, 12, 8) at scale 1/4: columns 1..3, rows 0..2, bins of 1.5 x 1.5
    #  4  5  6  7     bin rows {0, 1}, {1, 2}; bin columns {1, 2}, {2, 3}
    #  8  9 10 11
    features = torch.arange(12.0, device=device).view(1, 1, 3, 4)
    rois = torch.tensor([[0, 4, 0, 12, 8.0]], device=device)
    pooled, argmax = raw.roi_pool(features, rois, 2, 2, 0.25, True)
    assert pooled.flatten().tolist() == [6, 7, 10, 11]
    assert argmax.flatten().tolist() == [6, 7, 10, 11]


def test_roi_pool_rounds_half_away_from_zero_and_keeps_malformed_rois(device):
    features = torch.arange(12.0, device=device).view(1, 1, 3, 4)
    rois = torch.tensor([[0, 0.5, 0.5, 0.5, 0.5],    # 0.5 -> 1: cell (1, 1)
                         [0, -0.5, 0, -0.5, 0],      # -0.5 -> -1: outside, empty
                         [0, 2, 2, 0, 0]], device=device)  # ends before it starts: cell (2, 2)
    assert ops.roi_pool(features, rois, 1, 1, 1.0).flatten().tolist() == [5, 0, 10]


def test_roi_pool_first_maximum_takes_the_gradient(device):
    features = torch.ones(1, 1, 2, 2, device=device, requires_grad=True)
    rois = torch.tensor([[0, 0, 0, 1, 1], [0, 0, 0, 1, 1.0]], device=device)
    ops.roi_pool(features, rois, 1, 1, 1.0).sum().backward()
    assert features.grad.flatten().tolist() == [2, 0, 0, 0]


def test_roi_pool_of_malformed_rois_passes_no_gradient(device):
    features = torch.arange(16.0, device=device).view(1, 1, 4, 4).requires_grad_()
    rois = torch.tensor([[0, 2, 1, 1, 3],        # x ends before it starts: pooled as one column
                         [0, 1, 2, 3, 1],        # y: as one row
                         [0, 1, 1, 1, 1]], device=device).float()
    pooled = ops.roi_pool(features, rois, 1, 1, 1.0)
    assert pooled.flatten().tolist() == [14, 11, 5]
    pooled.backward(torch.tensor([100.0, 10, 1], device=device).view(3, 1, 1, 1))
    assert features.grad.flatten().nonzero().tolist() == [[5]] and features.grad[0, 0, 1, 1] == 1


def test_roi_pool_gives_no_gradient_to_a_cell_that_rounding_adds(device):
    # 57 columns in 7 bins: 7 * float32(57 / 7) > 57, so that the last bin sees column 57 too
    assert np.ceil(np.float32(7) * (np.float32(57) / np.float32(7))) == 58
    features = torch.zeros(1, 1, 1, 58, device=device)
    features[..., 57] = 1
    roi = torch.tensor([[0, 0, 0, 56, 0.0]], device=device)
    pooled = ops.roi_pool(features.requires_grad_(), roi, 1, 7, 1.0)
    assert pooled.flatten().tolist() == [0, 0, 0, 0, 0, 0, 1]
    pooled.sum().backward()
    assert features.grad[..., 57] == 0 and features.grad.sum() == 6


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("bins", [(1, 1), (2, 3), (7, 7)])
def test_roi_pool_like_the_slow_one(device, layout, bins, rng):
    features = np.round(rng.standard_normal((3, 18, 9, 11)), 1).astype(np.float32)  # with ties
    rois = random_rois(rng, 20, 3, 160)
    leaf = torch.from_numpy(features).to(device, memory_format=layout).requires_grad_()
    pooled = ops.roi_pool(leaf, torch.from_numpy(rois).to(device), *bins, 1 / 16)
    want, argmax = slow_ops.roi_pool(features, rois, *bins, 1 / 16)
    np.testing.assert_array_equal(pooled.detach().cpu(), want)
    grad = rng.standard_normal(want.shape).astype(np.float32)
    pooled.backward(torch.from_numpy(grad).to(device))
    np.testing.assert_allclose(leaf.grad.cpu(), slow_ops.roi_pool_backward(
        grad, rois, argmax, features.shape, 1 / 16), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("bins", [(2, 7), (3, 11), (1, 13), (7, 14)])
def test_roi_pool_backward_gathers_like_the_original(device, bins, rng):
    # a wide map, where rounding adds cells to the last bin of some rois
    features = rng.standard_normal((2, 2, 5, 64)).astype(np.float32)
    first = rng.integers(0, 7, 40)
    rois = np.column_stack([rng.integers(0, 2, 40), first, rng.integers(-1, 3, 40),
                            first + rng.integers(-2, 60, 40), rng.integers(1, 6, 40)])
    rois[:6, 3] = rois[:6, 1] + np.array([56, 28, 46, 6, 13, 55])
    rois = rois.astype(np.float32)
    leaf = torch.from_numpy(features).to(device).requires_grad_()
    pooled = ops.roi_pool(leaf, torch.from_numpy(rois).to(device), *bins, 1.0)
    _, argmax = slow_ops.roi_pool(features, rois, *bins, 1.0)
    grad = rng.standard_normal(pooled.shape).astype(np.float32)
    pooled.backward(torch.from_numpy(grad).to(device))
    np.testing.assert_allclose(leaf.grad.cpu(), slow_ops.roi_pool_gather(
        grad, rois, argmax, features.shape, 1.0), rtol=1e-5, atol=1e-5)


def test_roi_pool_without_argmax_gives_the_same(device, rng):
    features = torch.from_numpy(rng.standard_normal((1, 5, 8, 8))).to(device)
    rois = torch.from_numpy(random_rois(rng, 6, 1, 8)).double().to(device)
    assert torch.equal(raw.roi_pool(features, rois, 3, 3, 1.0, True)[0],
                       raw.roi_pool(features, rois, 3, 3, 1.0, False)[0])


def test_roi_pool_of_nothing(device):
    features = torch.zeros(1, 4, 5, 5, device=device, requires_grad=True)
    pooled = ops.roi_pool(features, torch.zeros(0, 5, device=device), 7, 7, 1 / 16)
    assert pooled.shape == (0, 4, 7, 7)
    pooled.sum().backward()
    assert not features.grad.any()


@pytest.mark.parametrize("features, rois, message", [
    ((4, 5, 5), (1, 5), r"features must be \(N, C, H, W\), not \[4, 5, 5\]"),
    ((1, 4, 5, 5), (1, 4), r"rois must be \(R, 5\).* not \[1, 4\]")])
@pytest.mark.parametrize("where", ["cpu", "meta"])
def test_roi_pool_names_a_bad_shape(features, rois, message, where):
    with pytest.raises(ValueError, match=message):
        ops.roi_pool(torch.zeros(features, device=where), torch.zeros(rois, device=where), 7, 7, 1)


def test_roi_pool_refuses_unsound_rois():
    features, roi = torch.zeros(2, 1, 4, 4), torch.tensor([[0, 0, 0, 1, 1.0]])
    for index in (2.0, -1.0):
        with pytest.raises(ValueError, match=r"rois\[1, 0\] = -?\d is not the index .* batch of 2"):
            ops.roi_pool(features, torch.cat([roi, roi.index_fill(1, torch.tensor(0), index)]),
                         1, 1, 1.0)
    with pytest.raises(ValueError, match=r"rois\[0\] = \(0, nan, 0, 1, 1\) is not finite"):
        ops.roi_pool(features, roi.index_fill(1, torch.tensor(1), float("nan")), 1, 1, 1.0)
    with pytest.raises(ValueError, match="features must be float32 or float64, not Int"):
        ops.roi_pool(features.int(), roi, 1, 1, 1.0)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="PyTorch sees no GPU here")
def test_roi_pool_marks_unsound_rois_on_cuda():
    rois = torch.tensor([[2, 0, 0, 1, 1], [0, 0, 0, 1, 1.0]], device="cuda")
    pooled = ops.roi_pool(torch.ones(2, 1, 4, 4, device="cuda"), rois, 1, 1, 1.0)
    assert pooled.isnan().flatten().tolist() == [True, False]


# SmoothL1Loss

def test_smooth_l1_by_hand(device):
    # sigma 2: quadratic below 1/4. 0.1 -> 0.5 * 4 * 0.01 = 0.02; -1 -> 1 - 0.125; 0 -> 0
    pred = torch.tensor([[0.1, -1.0, 5.0], [1.0, 2.0, 3.0]], device=device)
    target = torch.tensor([[0.0, 0.0, 5.0], [1.0, 2.0, 3.0]], device=device)
    loss = ops.smooth_l1_loss(pred, target, sigma=2.0)
    assert loss.shape == () and loss.item() == pytest.approx((0.02 + 0.875) / 2)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("weighted", [False, True])
def test_smooth_l1_like_the_slow_one(device, layout, weighted, rng):
    pred, target, inside, outside = (rng.standard_normal((2, 8, 3, 5)) for _ in range(4))
    on = [torch.from_numpy(x).to(device) for x in (target, inside, outside)][:3 if weighted else 1]
    pred_on = torch.from_numpy(pred).to(device, memory_format=layout)
    ones = np.ones_like(pred)
    want = slow_ops.smooth_l1_loss(pred, target, inside if weighted else ones,
                                   outside if weighted else ones, 3.0)
    assert ops.smooth_l1_loss(pred_on, *on, sigma=3.0).item() == pytest.approx(want, rel=1e-12)


def test_smooth_l1_of_nothing(device):
    pred = torch.zeros(0, 8, device=device, requires_grad=True)
    loss = ops.smooth_l1_loss(pred, torch.zeros(0, 8, device=device))
    loss.backward()
    assert loss.item() == 0 and pred.grad.shape == (0, 8)


@pytest.mark.parametrize("where", ["cpu", "meta"])
def test_smooth_l1_names_a_bad_shape(where):
    pred, other = torch.zeros(2, 8, device=where), torch.zeros(2, 4, device=where)
    with pytest.raises(ValueError, match=r"target is \[2, 4\], pred is \[2, 8\]"):
        ops.smooth_l1_loss(pred, other)
    with pytest.raises(ValueError, match=r"outside is \[2, 4\], pred is \[2, 8\]"):
        ops.smooth_l1_loss(pred, pred, pred, other)


# Local response normalisation

@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("size, beta, k", [(1, 0.75, 1), (3, 0.75, 1), (5, 0.6, 2), (9, 0.75, 1)])
def test_lrn_across_like_the_slow_one(device, layout, size, beta, k, rng):
    x = rng.standard_normal((2, 6, 4, 3))
    y = ops.lrn_across(torch.from_numpy(x).to(device, memory_format=layout), size, 0.4, beta, k)
    np.testing.assert_allclose(y.cpu(), slow_ops.lrn_across(x, size, 0.4, beta, k), rtol=1e-12)


def test_lrn_across_takes_any_number_of_axes(device, rng):
    for shape in ((3, 8), (3, 8, 5), (2, 4, 3, 2, 2), (0, 4, 3, 3)):
        x = rng.standard_normal(shape)
        y = ops.lrn_across(torch.from_numpy(x).to(device), 3, 0.4, 0.75)
        np.testing.assert_allclose(y.cpu(), slow_ops.lrn_across(x, 3, 0.4, 0.75, 1), rtol=1e-12)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("size, beta", [(1, 0.75), (3, 0.75), (3, 0.6), (5, 0.75), (9, 0.6)])
def test_lrn_within_like_the_slow_one(device, layout, size, beta, rng):
    x = rng.standard_normal((2, 3, 5, 4))
    y = ops.lrn_within(torch.from_numpy(x).to(device, memory_format=layout), size, 2.0, beta)
    np.testing.assert_allclose(y.cpu(), slow_ops.lrn_within(x, size, 2.0, beta), rtol=1e-12)


@pytest.mark.parametrize("where", ["cpu", "meta"])
def test_lrn_refuses_an_even_window(where):
    x = torch.zeros(1, 4, 3, 3, device=where)
    with pytest.raises(ValueError, match="size must be odd, not 4"):
        ops.lrn_across(x, 4, 1.0, 0.75)
    with pytest.raises(ValueError, match="size must be odd, not 4"):
        ops.lrn_within(x, 4, 1.0, 0.75)


# The momentum update

@pytest.mark.parametrize("layout", LAYOUTS)
def test_sgd_update(device, layout, rng):
    weight, grad, history = (torch.from_numpy(rng.standard_normal((4, 3, 5, 5))).to(device)
                             for _ in range(3))
    want_history = 0.9 * history + 0.1 * (grad + 0.01 * weight)
    want_weight = weight - want_history
    weight = torch.nn.Parameter(weight.contiguous(memory_format=layout))
    history = history.contiguous(memory_format=layout)
    ops.sgd_update_(weight, grad, history, 0.1, 0.9, 0.01)
    torch.testing.assert_close(history, want_history, rtol=1e-14, atol=1e-15)
    torch.testing.assert_close(weight.detach(), want_weight, rtol=1e-14, atol=1e-15)


def test_sgd_update_is_noticed_by_autograd(device):
    weight = torch.nn.Parameter(torch.ones(3, device=device))
    loss = (weight * weight).sum()
    ops.sgd_update_(weight, torch.ones_like(weight), torch.zeros_like(weight), 0.1, 0.9, 0)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_sgd_update_names_a_bad_operand():
    weight = torch.zeros(2, 3, 4, 4)
    with pytest.raises(ValueError, match=r"grad is \[2\], weight is \[2, 3, 4, 4\]"):
        ops.sgd_update_(weight, torch.zeros(2), weight, 0.1, 0.9, 0)
    with pytest.raises(ValueError, match="history has strides"):
        ops.sgd_update_(weight, weight, weight.contiguous(memory_format=torch.channels_last),
                        0.1, 0.9, 0)


# Gradients, and what PyTorch asks of every operator

def double(rng, *shape):
    return torch.from_numpy(rng.standard_normal(shape)).requires_grad_()


def test_gradients(device, rng):
    rois = torch.tensor([[0, 0, 0, 3, 3], [1, 1, 1, 8, 9], [0, 2, 2, 1, 1.0]]).double().to(device)
    weights = [torch.rand(3, 4, dtype=torch.float64, device=device) for _ in range(2)]

    def check(function, *shapes):
        assert torch.autograd.gradcheck(
            function, [double(rng, *shape).detach().to(device).requires_grad_()
                       for shape in shapes], nondet_tol=1e-12)
    check(lambda x: ops.roi_pool(x, rois, 2, 3, 0.5), (2, 5, 6, 5))
    check(lambda a, b: ops.smooth_l1_loss(a, b, sigma=2.0), (3, 4), (3, 4))
    check(lambda a, b: ops.smooth_l1_loss(a, b, *weights, sigma=3.0), (3, 4), (3, 4))
    check(lambda x: ops.lrn_across(x, 3, 0.5, 0.75), (2, 4, 2, 2))
    check(lambda x: ops.lrn_across(x, 7, 0.5, 0.6, 2.0), (2, 5, 3))
    check(lambda x: ops.lrn_within(x, 3, 2.0, 0.75), (1, 2, 4, 4))
    check(lambda x: ops.lrn_within(x, 5, 2.0, 0.6), (2, 2, 3, 4))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_operators_keep_their_promises(device, layout, rng):
    x = torch.from_numpy(rng.standard_normal((2, 3, 6, 5))).to(device, memory_format=layout)
    leaf, rois = x.clone().requires_grad_(), torch.tensor([[0, 0, 0, 3, 3.0]]).double().to(device)
    boxes = torch.tensor([[0, 0, 9, 9], [1, 1, 9, 9.0]], device=device)
    for name, arguments in (
            ("roi_pool", (leaf, rois, 2, 2, 0.5, True)),
            ("smooth_l1_loss", (leaf, x.contiguous(), x, None, 3.0)),
            ("lrn_across", (leaf, 3, 0.1, 0.75, 1.0)),
            *([("lrn_within", (leaf, 3, 0.1, 0.75))] if device == "cpu" else []),
            ("nms", (boxes, boxes[:, 2].clone(), None, 0.5, True, -1)),
            ("sgd_update_", (x.clone(), x, x.clone(), 0.1, 0.9, 0.1))):
        torch.library.opcheck(getattr(raw, name).default, arguments)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_shapes_on_the_meta_device(layout, rng):
    x = torch.from_numpy(rng.standard_normal((2, 8, 6, 5))).contiguous(memory_format=layout)
    rois = torch.zeros(4, 5).double()
    for function in (lambda x, r: ops.roi_pool(x, r, 3, 2, 0.5),
                     lambda x, r: ops.smooth_l1_loss(x, x, x, x),
                     lambda x, r: ops.lrn_across(x, 3, 1.0, 0.75),
                     lambda x, r: ops.lrn_within(x, 3, 1.0, 0.75)):
        real, meta = function(x, rois), function(x.to("meta"), rois.to("meta"))
        assert meta.shape == real.shape and meta.dtype == real.dtype
        assert meta.stride() == real.stride()

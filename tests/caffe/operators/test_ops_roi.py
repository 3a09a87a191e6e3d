"""ROIAlign and PSROIPooling: by hand, against slow twins (slow_ops.py), gradients."""
import numpy as np
import pytest
import slow_ops
import torch
from operator_calls import OperatorCalls
from thread_counts import threads_of_torch

from caffe.operators import ops

LAYOUTS = [torch.contiguous_format, torch.channels_last]
raw = torch.ops.caffe_fast_rcnn
RAMP = torch.arange(12.0).view(1, 1, 3, 4)      # 4 y + x


def random_rois(rng, count, images, size):
    """Rois of which some stick out, some are malformed, some lie far outside."""
    corners = rng.uniform(-0.3 * size, 1.3 * size, (count, 4))
    corners[::2, 2:] = corners[::2, :2] + rng.uniform(0, size, (len(corners[::2]), 2))
    corners[-1] += 10 * size
    return np.column_stack([rng.integers(0, images, count), corners])


# ROIAlign

def test_roi_align_by_hand(device):
    # scale 1/2: x from 0.5 to 2.5, y from 0 to 1; a bin is 1 x 1, its only sample in its middle
    rois = torch.tensor([[0, 1, 0, 5, 2.0]], device=device)
    pooled = ops.roi_align(RAMP.to(device), rois, 1, 2, 0.5)
    assert pooled.tolist() == [[[[4 * 0.5 + 1, 4 * 0.5 + 2]]]]
    # half a cell less on both sides: x 0.5 and 1.5, y 0
    pooled = ops.roi_align(RAMP.to(device), rois, 1, 2, 0.5, aligned=True)
    assert pooled.tolist() == [[[[0.5, 1.5]]]]


def test_roi_align_samples_as_many_as_cells_or_as_told(device):
    # a bin of 2 x 1 cells, x from 0 to 2, over x^2: samples at 0.5 and 1.5, between 0 1 and 1 4
    features = torch.tensor([0, 1, 4, 9.0], device=device).view(1, 1, 1, 4)
    roi = torch.tensor([[0, 0, 0, 2, 0.0]], device=device)
    assert ops.roi_align(features, roi, 1, 1, 1.0).item() == (0.5 + 2.5) / 2
    assert ops.roi_align(features, roi, 1, 1, 1.0, sampling_ratio=-1).item() == (0.5 + 2.5) / 2
    assert ops.roi_align(features, roi, 1, 1, 1.0, sampling_ratio=1).item() == 1
    # 1/3, 1, 5/3 along x
    assert ops.roi_align(features, roi, 1, 1, 1.0, sampling_ratio=3).item() == \
        pytest.approx((1 / 3 + 1 + (1 + 3 * 2 / 3)) / 3)


def test_roi_align_beyond_the_map(device):
    # one cell from the outermost centres counts as the border, more counts as 0
    features = torch.full((1, 1, 3, 4), 5.0, device=device)
    for x, want in ((-1, 5), (-1.01, 0), (4, 5), (4.01, 0)):
        roi = torch.tensor([[0, x - 0.5, 0.5, x + 0.5, 1.5]], device=device)
        assert ops.roi_align(features, roi, 1, 1, 1.0, sampling_ratio=1).item() == want


def test_roi_align_of_malformed_rois(device):
    # ends before it starts: one cell from its start on; `aligned`: nothing to sample
    roi = torch.tensor([[0, 1, 1, 0, -5.0]], device=device)
    assert ops.roi_align(RAMP.to(device), roi, 1, 1, 1.0).item() == 4 * 1.5 + 1.5
    assert ops.roi_align(RAMP.to(device), roi, 1, 1, 1.0, aligned=True).item() == 0


@pytest.mark.parametrize("aligned", [False, True])
@pytest.mark.parametrize("sampling_ratio", [0, 1, 3])
@pytest.mark.parametrize("bins", [(1, 1), (3, 2)])
def test_roi_align_like_the_slow_one(device, bins, sampling_ratio, aligned, rng):
    features = rng.standard_normal((2, 3, 9, 11))
    rois = random_rois(rng, 12, 2, 10 / 0.4)
    want = slow_ops.roi_align(features, rois, *bins, 0.4, sampling_ratio, aligned)
    for layout in LAYOUTS:
        pooled = ops.roi_align(torch.from_numpy(features).to(device, memory_format=layout),
                               torch.from_numpy(rois).to(device), *bins, 0.4, sampling_ratio,
                               aligned)
        np.testing.assert_allclose(pooled.cpu(), want, rtol=1e-10, atol=1e-12)
        assert pooled.is_contiguous()
    single = ops.roi_align(torch.from_numpy(features).float(), torch.from_numpy(rois).float(),
                           *bins, 0.4, sampling_ratio, aligned)
    np.testing.assert_allclose(single, want, atol=1e-4)


@pytest.mark.parametrize("mode, aligned", [("output_half_pixel", False), ("half_pixel", True)])
@pytest.mark.parametrize("sampling_ratio", [0, 2])
def test_roi_align_like_the_reference_of_onnx(mode, aligned, sampling_ratio, rng):
    onnx, reference = (pytest.importorskip(name) for name in ("onnx", "onnx.reference"))
    features, rois = rng.standard_normal((2, 3, 9, 11)), random_rois(rng, 10, 2, 160)
    rois = rois[(rois[:, 3] > rois[:, 1]) & (rois[:, 4] > rois[:, 2])]  # no rule for others there
    node = onnx.helper.make_node(
        "RoiAlign", ["x", "boxes", "images"], ["y"], mode="avg", output_height=3, output_width=2,
        sampling_ratio=sampling_ratio, spatial_scale=1 / 16, coordinate_transformation_mode=mode)
    want, = reference.ReferenceEvaluator(node).run(None, {
        "x": features, "boxes": rois[:, 1:], "images": rois[:, 0].astype(np.int64)})
    pooled = ops.roi_align(torch.from_numpy(features), torch.from_numpy(rois), 3, 2, 1 / 16,
                           sampling_ratio, aligned)
    np.testing.assert_allclose(pooled, want, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("aligned", [False, True])
@pytest.mark.parametrize("sampling_ratio", [0, 2])
def test_roi_align_gradients(device, sampling_ratio, aligned, rng):
    features = torch.from_numpy(rng.standard_normal((2, 3, 6, 7))).to(device).requires_grad_()
    rois = torch.from_numpy(random_rois(rng, 7, 2, 6 / 0.6)).to(device)
    corners = rois[:, 1:].clone().requires_grad_()

    def align(features, corners):
        return ops.roi_align(features, torch.cat([rois[:, :1], corners], 1), 2, 3, 0.6,
                             sampling_ratio, aligned)
    assert torch.autograd.gradcheck(align, [features, corners], nondet_tol=1e-12)


def test_roi_align_gradient_of_a_ramp_is_its_slope(device):
    # the mean over a box of 4 y + x is its value in the middle: half the slope for each corner
    rois = torch.tensor([[0, 0.6, 0.3, 2.2, 1.6]], device=device, requires_grad=True)
    ops.roi_align(RAMP.to(device), rois, 2, 2, 1.0).mean().backward()
    np.testing.assert_allclose(rois.grad.cpu(), [[0, 0.5, 2, 0.5, 2]], rtol=1e-6)
    # a box of less than a cell is stretched from its start: the end has no part in it
    small = torch.tensor([[0, 0.6, 0.3, 1.2, 0.4]], device=device, requires_grad=True)
    ops.roi_align(RAMP.to(device), small, 2, 2, 1.0).mean().backward()
    np.testing.assert_allclose(small.grad.cpu(), [[0, 1, 4, 0, 0]], rtol=1e-6)


def test_roi_align_computes_only_the_gradients_that_are_asked_for():
    gradients = ["roi_align_backward", "roi_align_rois_backward"]
    features, rois = torch.rand(1, 2, 5, 5), torch.tensor([[0, 0.3, 0.4, 3, 3]])
    for for_features, for_rois in ((True, False), (False, True)):
        inputs = features.clone().requires_grad_(for_features), \
            rois.clone().requires_grad_(for_rois)
        with OperatorCalls(*gradients) as calls:
            ops.roi_align(*inputs, 2, 2, 1.0).sum().backward()
        assert calls.made == [name for name, asked in zip(gradients, (for_features, for_rois))
                              if asked]


def test_roi_align_of_nothing(device):
    features = torch.zeros(1, 4, 5, 5, device=device, requires_grad=True)
    rois = torch.zeros(0, 5, device=device, requires_grad=True)
    pooled = ops.roi_align(features, rois, 7, 7, 1 / 16)
    assert pooled.shape == (0, 4, 7, 7)
    pooled.sum().backward()
    assert not features.grad.any() and rois.grad.shape == (0, 5)
    empty_map = torch.zeros(1, 4, 0, 5, device=device)
    assert not ops.roi_align(empty_map, torch.ones(1, 5, device=device) * 0, 2, 2, 1.0).any()


def test_roi_align_of_an_enormous_roi_is_quick_and_finite(device):
    features = torch.ones(1, 1, 3, 3, device=device)
    rois = torch.tensor([[0, -1e9, -1e9, 1e9, 1e9], [0, -3e38, 0, 3e38, 3e38]], device=device,
                        requires_grad=True)
    pooled = ops.roi_align(features, rois, 2, 2, 16.0)
    pooled.sum().backward()
    assert pooled.isfinite().all() and rois.grad.isfinite().all()


@pytest.mark.parametrize("features, rois, message", [
    ((4, 5, 5), (1, 5), r"roi_align: features must be \(N, C, H, W\), not \[4, 5, 5\]"),
    ((1, 4, 5, 5), (1, 4), r"roi_align: rois must be \(R, 5\).* not \[1, 4\]")])
@pytest.mark.parametrize("where", ["cpu", "meta"])
def test_roi_align_names_a_bad_shape(features, rois, message, where):
    with pytest.raises(ValueError, match=message):
        ops.roi_align(torch.zeros(features, device=where), torch.zeros(rois, device=where), 7, 7, 1)


def test_roi_align_refuses_unsound_operands():
    features, roi = torch.zeros(2, 1, 4, 4), torch.tensor([[2, 0, 0, 1, 1.0]])
    with pytest.raises(ValueError, match=r"roi_align: rois\[0, 0\] = 2 is not the index .* of 2"):
        ops.roi_align(features, roi, 1, 1, 1.0)
    with pytest.raises(ValueError, match=r"rois\[0\] = \(2, inf, 0, 1, 1\) is not finite"):
        ops.roi_align(features, roi.index_fill(1, torch.tensor(1), float("inf")), 1, 1, 1.0)
    with pytest.raises(ValueError, match="the grid must have bins, not 0 x 1"):
        ops.roi_align(features, roi, 0, 1, 1.0)
    with pytest.raises(ValueError, match="the sampling ratio 100000 is too large"):
        ops.roi_align(features, roi, 1, 1, 1.0, sampling_ratio=100000)
    with pytest.raises(ValueError, match=r"grad is \[1, 3, 1, 1\], features are \[2, 1, 4, 4\]"):
        raw.roi_align_backward(torch.zeros(1, 3, 1, 1), roi, [2, 1, 4, 4], 1.0, 0, False)


# PSROIPooling

def test_psroi_pool_by_hand(device):
    # one class, 2 x 2 bins, a channel for each: channel k holds 100 k + 4 y + x, on 3 x 4 cells
    ramps = RAMP + 100 * torch.arange(4.0).view(1, 4, 1, 1)
    # scale 1/2: x from round(0.4) / 2 = 0 to (5 + 1) / 2 = 3, bins of 1.5: cells 0 1 and 1 2;
    # y from 1 / 2 to (3 + 1) / 2, bins of 0.75: 0.5 to 1.25 is cells 0 1, 1.25 to 2 is cell 1
    rois = torch.tensor([[0, 0.4, 1, 5, 3.0]], device=device)
    pooled = ops.psroi_pool(ramps.to(device), rois, 1, 2, 0.5)
    assert pooled.tolist() == [[[[2.5, 103.5], [204.5, 305.5]]]]


def test_psroi_pool_of_malformed_and_outer_rois(device):
    features = RAMP.to(device)
    # rounded half away from zero, like all of Caffe's rounding: 0.5 -> 1, from cell 1 to cell 2
    rois = torch.tensor([[0, 0.5, 0.5, 1.4, 1.4], [0, 2, 2, 0, 0], [0, 90, 0, 99, 9.0]],
                        device=device)
    # ends before it starts: 0.1 cells from (2, 2) on; outside: empty
    assert ops.psroi_pool(features, rois, 1, 1, 1.0).flatten().tolist() == [5, 10, 0]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("output_dim, group", [(1, 1), (2, 3), (5, 2)])
def test_psroi_pool_like_the_slow_one(device, layout, output_dim, group, rng):
    features = rng.standard_normal((2, output_dim * group ** 2, 9, 11)).astype(np.float32)
    rois = random_rois(rng, 14, 2, 10 * 16).astype(np.float32)
    pooled = ops.psroi_pool(torch.from_numpy(features).to(device, memory_format=layout),
                            torch.from_numpy(rois).to(device), output_dim, group, 1 / 16)
    want = slow_ops.psroi_pool(features, rois, output_dim, group, 1 / 16)
    np.testing.assert_allclose(pooled.cpu(), want, rtol=1e-5, atol=1e-6)


def test_psroi_pool_gradient(device, rng):
    features = torch.from_numpy(rng.standard_normal((2, 8, 5, 6))).to(device).requires_grad_()
    rois = torch.from_numpy(random_rois(rng, 6, 2, 10)).to(device)
    assert torch.autograd.gradcheck(lambda x: ops.psroi_pool(x, rois, 2, 2, 0.5), [features],
                                    nondet_tol=1e-12)


def test_psroi_pool_of_nothing(device):
    features = torch.zeros(1, 8, 5, 5, device=device, requires_grad=True)
    pooled = ops.psroi_pool(features, torch.zeros(0, 5, device=device), 2, 2, 1 / 16)
    assert pooled.shape == (0, 2, 2, 2)
    pooled.sum().backward()
    assert not features.grad.any()


@pytest.mark.parametrize("where", ["cpu", "meta"])
def test_psroi_pool_names_a_bad_shape(where):
    features, rois = torch.zeros(1, 9, 4, 4, device=where), torch.zeros(1, 5, device=where)
    with pytest.raises(ValueError, match=r"= 2 \* 2\^2 channels, not \[1, 9, 4, 4\]"):
        ops.psroi_pool(features, rois, 2, 2, 1.0)
    with pytest.raises(ValueError, match=r"psroi_pool: rois must be \(R, 5\).* not \[5\]"):
        ops.psroi_pool(features, rois[0], 1, 3, 1.0)


def test_psroi_pool_refuses_unsound_rois():
    with pytest.raises(ValueError, match=r"psroi_pool: rois\[0, 0\] = 1 is not the index .* of 1"):
        ops.psroi_pool(torch.zeros(1, 4, 4, 4), torch.tensor([[1, 0, 0, 1, 1.0]]), 1, 2, 1.0)


# Both

def test_results_do_not_depend_on_the_number_of_threads(rng):
    features = torch.from_numpy(rng.standard_normal((2, 72, 9, 11))).float()
    rois = torch.from_numpy(random_rois(rng, 30, 2, 160)).float()

    def results():
        leaves = features.clone().requires_grad_(), rois.clone().requires_grad_()
        tops = (ops.roi_align(*leaves, 3, 3, 1 / 16),
                ops.psroi_pool(*leaves, 8, 3, 1 / 16))
        sum((top ** 2).sum() for top in tops).backward()
        return [*tops, *(leaf.grad for leaf in leaves)]
    with threads_of_torch(1):
        alone = results()
    with threads_of_torch(3):
        assert all(map(torch.equal, results(), alone))


# What PyTorch asks of every operator

@pytest.mark.parametrize("layout", LAYOUTS)
def test_operators_keep_their_promises(device, layout, rng):
    x = torch.from_numpy(rng.standard_normal((2, 3, 6, 5))).to(device, memory_format=layout)
    rois = torch.tensor([[1, 0.3, 0.2, 3.1, 3.6]], dtype=torch.float64, device=device)
    grad = torch.ones(1, 3, 2, 2, dtype=torch.float64, device=device)
    for name, arguments in (
            ("roi_align", (x.clone().requires_grad_(), rois.clone().requires_grad_(), 2, 2, 0.5, 0,
                           False)),
            ("roi_align_backward", (grad, rois, list(x.shape), 0.5, 0, False)),
            ("roi_align_rois_backward", (grad, x, rois, 0.5, 0, False)),
            ("psroi_pool", (x.clone().requires_grad_(), rois, 3, 1, 0.5)),
            ("psroi_pool_backward", (grad[:, :, :1, :1], rois, list(x.shape), 0.5))):
        torch.library.opcheck(getattr(raw, name).default, arguments)

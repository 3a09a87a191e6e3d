"""ROIAlign: by hand, against a slow twin (tests/reference/slow_ops.py), gradients."""
import numpy as np
import pytest
import slow_ops
import torch

from caffe import ops

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


def test_roi_align_computes_only_the_gradients_that_are_asked_for(monkeypatch, rng):
    calls = []
    for name in ("roi_align_backward", "roi_align_rois_backward"):
        real = getattr(raw, name)
        monkeypatch.setattr(raw, name, lambda *args, name=name, real=real: (
            calls.append(name), real(*args))[1])
    features, rois = torch.rand(1, 2, 5, 5), torch.tensor([[0, 0.3, 0.4, 3, 3]])
    for for_features, for_rois in ((True, False), (False, True)):
        inputs = features.clone().requires_grad_(for_features), \
            rois.clone().requires_grad_(for_rois)
        ops.roi_align(*inputs, 2, 2, 1.0).sum().backward()
    assert calls == ["roi_align_backward", "roi_align_rois_backward"]


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
            ("roi_align_rois_backward", (grad, x, rois, 0.5, 0, False))):
        torch.library.opcheck(getattr(raw, name).default, arguments)

"""The operators of plain PyTorch operations give the numbers of the compiled ones, and stand in."""
import math
import os
import subprocess
import sys

import numpy as np
import operator_gradients
import pytest
import torch

from caffe.operators.plain import align, boxes, regions, values, winograd

raw = torch.ops.caffe_fast_rcnn
NUMBERS = {"rtol": 1e-5, "atol": 1e-6}


def draw(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def draw_rois(count, images, seed=0):
    """Sound rois, some of them malformed, beyond the map, or on halves of cells."""
    rng = np.random.default_rng(seed)
    corners = rng.uniform(-40, 180, (count, 4))
    corners[::3] = np.round(corners[::3] / 8) * 8
    return torch.tensor(np.column_stack([rng.integers(0, images, count), corners]),
                        dtype=torch.float32)


FEATURES, ROIS = draw(2, 8, 9, 11), draw_rois(60, 2)


def test_roi_pooling():
    for grid in ((7, 7), (1, 3)):
        for got, wanted in zip(regions.roi_pool(FEATURES, ROIS, *grid, 1 / 16, True),
                               raw.roi_pool(FEATURES, ROIS, *grid, 1 / 16, True)):
            assert torch.equal(got, wanted)
    pooled, argmax = raw.roi_pool(FEATURES, ROIS, 7, 7, 1 / 16, True)
    given = draw(*pooled.shape), ROIS, argmax, FEATURES.shape, 1 / 16
    torch.testing.assert_close(regions.roi_pool_backward(*given), raw.roi_pool_backward(*given),
                               **NUMBERS)


def test_the_first_of_equal_maxima_takes_the_gradient():
    flat = torch.ones(1, 1, 6, 6)
    rois = torch.tensor([[0, 0, 0, 5, 5.0]])
    assert regions.roi_pool(flat, rois, 2, 2, 1.0, True)[1].flatten().tolist() == [0, 3, 18, 21]


def test_position_sensitive_pooling():
    features = draw(2, 2 * 9, 9, 11)
    given = features, ROIS, 2, 3, 1 / 16
    pooled = raw.psroi_pool(*given)
    torch.testing.assert_close(regions.psroi_pool(*given), pooled, **NUMBERS)
    given = draw(*pooled.shape), ROIS, features.shape, 1 / 16
    torch.testing.assert_close(regions.psroi_pool_backward(*given),
                               raw.psroi_pool_backward(*given), **NUMBERS)


@pytest.mark.parametrize("options", [(1 / 16, 0, False), (1 / 16, 0, True), (1 / 8, 2, True)])
def test_roi_align(options):
    for rois in (ROIS, torch.tensor([[0, -1e9, -1e9, 1e9, 1e9], [1, 3, 3, 3, 3.0]])):
        pooled = raw.roi_align(FEATURES, rois, 3, 2, *options)
        torch.testing.assert_close(align.roi_align(FEATURES, rois, 3, 2, *options), pooled,
                                   rtol=1e-4, atol=1e-5)
        given = draw(*pooled.shape), rois, FEATURES.shape, *options
        torch.testing.assert_close(align.roi_align_backward(*given),
                                   raw.roi_align_backward(*given), rtol=1e-4, atol=1e-5)
        given = draw(*pooled.shape), FEATURES, rois, *options
        torch.testing.assert_close(align.roi_align_rois_backward(*given),
                                   raw.roi_align_rois_backward(*given), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("inclusive", [True, False])
@pytest.mark.parametrize("grouped", [True, False])
def test_suppression(inclusive, grouped):
    rng = np.random.default_rng(3)
    corner = rng.integers(0, 40, (200, 2))
    rows = torch.tensor(np.hstack([corner, corner + rng.integers(5, 30, (200, 2))]),
                        dtype=torch.float32)
    scores = torch.tensor(rng.integers(0, 30, 200) / 30, dtype=torch.float32)   # ties
    groups = torch.tensor(rng.integers(0, 3, 200)) if grouped else None
    for most in (-1, 5):
        given = rows, scores, groups, 0.5, inclusive, most
        assert torch.equal(boxes.nms(*given), raw.nms(*given))
    for gaussian in (True, False):
        soft = rows, scores, groups, gaussian, 0.3, 0.5, 0.05
        (keep, lowered), (kept, wanted) = boxes.soft_nms(*soft), raw.soft_nms(*soft)
        assert torch.equal(keep, kept)
        torch.testing.assert_close(lowered, wanted)


@pytest.mark.parametrize("weighted", [True, False])
def test_smooth_l1_loss(weighted):
    pred, target = draw(5, 8), draw(5, 8, seed=1)
    weights = (draw(5, 8, seed=2), draw(5, 8, seed=3)) if weighted else (None, None)
    given = pred, target, *weights, 3.0
    torch.testing.assert_close(values.smooth_l1_loss(*given), raw.smooth_l1_loss(*given), **NUMBERS)
    given = torch.tensor(2.0), *given
    torch.testing.assert_close(values.smooth_l1_loss_backward(*given),
                               raw.smooth_l1_loss_backward(*given), **NUMBERS)


def test_normalisation():
    x, grad = draw(2, 8, 5, 6), draw(2, 8, 5, 6, seed=1)
    for name, options in (("lrn_across", (5, 0.3, 0.75, 2.0)), ("lrn_within", (3, 0.3, 0.75))):
        torch.testing.assert_close(getattr(values, name)(x, *options),
                                   getattr(raw, name)(x, *options), **NUMBERS)
        torch.testing.assert_close(getattr(values, name + "_backward")(grad, x, *options),
                                   getattr(raw, name + "_backward")(grad, x, *options), **NUMBERS)


def test_the_update_of_sgd():
    mine, theirs = [[draw(3, 4, seed=seed) for seed in range(3)] for _ in range(2)]
    values.sgd_update_(*mine, 0.1, 0.9, 0.01)
    raw.sgd_update_(*theirs, 0.1, 0.9, 0.01)
    for got, wanted in zip(mine, theirs):
        torch.testing.assert_close(got, wanted, **NUMBERS)


@pytest.mark.parametrize("pad", [(1, 1), (0, 2), (3, 1)])
def test_convolution(pad):
    x, weight, bias = draw(2, 5, 9, 8), draw(7, 5, 3, 3), draw(7)
    ours, theirs = ((library, library.winograd_pack(weight, 4, False))
                    for library in (winograd, raw))
    wanted = raw.winograd_conv2d(x, weight, bias, *pad, 4)
    tops = winograd.winograd_conv2d(x, weight, bias, *pad, 4), wanted
    torch.testing.assert_close(*tops, rtol=1e-4, atol=1e-4)
    grads = [library.winograd_conv2d_backward(wanted, weight, *pad, 4) for library, _ in
             (ours, theirs)]
    torch.testing.assert_close(*grads, rtol=1e-4, atol=1e-3)
    for library, packed in (ours, theirs):
        out = torch.empty_like(wanted)
        given = x, packed, 7, bias, *pad, True, wanted
        top = library.winograd_conv(*given)
        torch.testing.assert_close(top, (2 * wanted).relu(), rtol=1e-4, atol=1e-4)
        library.winograd_conv_out(*given, out)
        assert out.equal(top)


def test_no_rois_and_nothing_to_compare():
    assert regions.roi_pool(FEATURES, ROIS[:0], 2, 2, 1.0, True)[0].shape == (0, 8, 2, 2)
    assert align.roi_align(FEATURES, ROIS[:0], 2, 2, 1.0, 0, False).shape == (0, 8, 2, 2)
    assert boxes.nms(ROIS[:0, :4], ROIS[:0, 0], None, 0.5, True, -1).tolist() == []
    assert values.smooth_l1_loss(ROIS[:0], ROIS[:0], None, None, 1.0) == 0
    with pytest.raises(ValueError, match=r"roi_pool: rois\[0\] = .* is not finite"):
        regions.roi_pool(FEATURES, torch.full((1, 5), math.nan), 2, 2, 1.0, True)


PROGRAM = """
import torch
import caffe
from caffe.operators import ops, registration
features = torch.arange(36.0).reshape(1, 1, 6, 6).requires_grad_()
pooled = ops.roi_pool(features, torch.tensor([[0, 0, 0, 5, 5.0]]), 2, 2, 1.0)
pooled.sum().backward()
print(registration.are_compiled(), pooled.flatten().tolist(), features.grad.nonzero().tolist())
"""


@pytest.mark.parametrize("choice", ["", "plain"])
def test_without_a_compiler_they_stand_in(tmp_path, choice):
    """No compiler in PATH and nothing built before: one warning, or none if that is the wish."""
    env = dict(os.environ, PATH=str(tmp_path), CAFFE_BUILD=str(tmp_path / "built"),
               CAFFE_OPERATORS=choice, PYTHONPATH=os.pathsep.join(sys.path))
    env.pop("CXX", None)
    done = subprocess.run([sys.executable, "-c", PROGRAM], env=env, capture_output=True, text=True)
    assert done.stdout == "False [14.0, 17.0, 32.0, 35.0] [[0, 0, 2, 2], [0, 0, 2, 5], " \
        "[0, 0, 5, 2], [0, 0, 5, 5]]\n", done.stderr
    warnings = done.stderr.splitlines()
    assert [("C++ compiler" in line, "slower" in line) for line in warnings] == \
        ([] if choice else [(True, True)])


def test_their_gradients_are_those_of_the_compiled_ones(tmp_path):
    path = tmp_path / "results.pt"
    env = dict(os.environ, CAFFE_OPERATORS="plain", PYTHONPATH=os.pathsep.join(sys.path))
    subprocess.run([sys.executable, "-c", "import sys, torch, operator_gradients as g\n"
                    "torch.save((g.results(), g.second_derivatives()), sys.argv[1])", str(path)],
                   env=env, check=True)
    plain, refused = torch.load(path)
    compiled = operator_gradients.results()
    assert plain.keys() == compiled.keys()
    for name, tensors in compiled.items():
        torch.testing.assert_close(plain[name], tensors, rtol=1e-4, atol=1e-5)
    assert refused == operator_gradients.second_derivatives() == [
        f"caffe.ops.{name} has no second derivative; its gradient cannot be differentiated again "
        "(create_graph=True)" for name in ("roi_align", "smooth_l1_loss")]


def test_compiled_or_nothing(tmp_path):
    env = dict(os.environ, PATH=str(tmp_path), CAFFE_BUILD=str(tmp_path / "built"),
               CAFFE_OPERATORS="compiled", PYTHONPATH=os.pathsep.join(sys.path))
    env.pop("CXX", None)
    done = subprocess.run([sys.executable, "-c", PROGRAM], env=env, capture_output=True, text=True)
    assert done.returncode and "caffe.ops: the operators need a C++ compiler" in done.stderr

"""The CUDA kernels against the CPU operators, without a GPU.

The .cu files are compiled by the C++ compiler against a small stand-in for CUDA's runtime
(tests/reference/cuda_on_cpu), in which the threads of a block are threads of the CPU. This checks
the kernels' arithmetic, indexing and synchronisation; that they run on a GPU is for gpu_check.
"""
import ctypes
import os
import subprocess

import numpy as np
import pytest
import torch

from caffe.operators import build, ops

HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
STAND_IN = os.path.join(HERE, "..", "reference", "cuda_on_cpu")
POINTERS = {np.dtype(t): np.ctypeslib.ndpointer(t, flags="C") for t in
            ("float32", "int32", "int64", "uint64", "bool")}


@pytest.fixture(scope="module")
def kernels(tmp_path_factory):
    """call(name, *arguments): arrays go as pointers, ints as int64, floats as float32."""
    try:
        compiler = build.find_compiler()
    except build.BuildError as error:
        pytest.skip(str(error))
    library = str(tmp_path_factory.mktemp("kernels") / "kernels.so")
    subprocess.run([compiler, "-std=c++20", "-O1", "-ffp-contract=off", "-pthread", "-fPIC",
                    "-shared", *build.EXTRA_FLAGS, f"-I{STAND_IN}", f"-I{build.SOURCES}",
                    os.path.join(STAND_IN, "kernels.cpp"), "-o", library], check=True)
    loaded = ctypes.CDLL(library)

    def call(name, *arguments):
        getattr(loaded, name)(*map(as_c, arguments))
    return call


def as_c(value):
    if value is None:
        return None
    if isinstance(value, np.ndarray):
        return POINTERS[value.dtype].from_param(value)
    return ctypes.c_int64(value) if isinstance(value, int) else ctypes.c_float(value)


def numbers(rng, *shape):
    return rng.standard_normal(shape).astype(np.float32)


SUMS = {"atomic": 0, "in order": 1}


def assert_sums(sums, result, want):
    """Sums in order are those of the CPU to the last bit, also behind another layout."""
    if sums == "in order":
        np.testing.assert_array_equal(result, want)
    else:
        np.testing.assert_allclose(result, want, rtol=1e-5, atol=1e-6)


def random_regions(rng, count, images=2):
    """Some malformed, some sticking out."""
    corners = rng.uniform(-20, 160, (count, 4))
    return np.column_stack([rng.integers(0, images, count), corners]).astype(np.float32)


@pytest.mark.parametrize("sums", SUMS)
@pytest.mark.parametrize("rois", [1, 9])
def test_roi_pool(kernels, rois, sums):
    rng = np.random.default_rng(rois)
    features, regions = numbers(rng, 2, 5, 7, 9), random_regions(rng, rois)
    shape = np.array([rois, 2, 5, 7, 9, 3, 2])
    pooled, argmax = np.empty((rois, 5, 3, 2), np.float32), np.empty((rois, 5, 3, 2), np.int32)
    kernels("roi_pool", channels_last(features), regions, shape, 1 / 16, pooled, argmax)
    want, where = torch.ops.caffe_fast_rcnn.roi_pool(
        torch.from_numpy(features), torch.from_numpy(regions), 3, 2, 1 / 16, True)
    np.testing.assert_array_equal(pooled, want)
    np.testing.assert_array_equal(argmax, where)

    grad, result = numbers(rng, rois, 5, 3, 2), np.zeros_like(features)
    kernels("roi_pool_backward", grad, regions, argmax, shape, 1 / 16, SUMS[sums], result)
    want = torch.ops.caffe_fast_rcnn.roi_pool_backward(
        torch.from_numpy(grad), torch.from_numpy(regions), where, features.shape, 1 / 16)
    assert_sums(sums, result, want)


@pytest.mark.parametrize("sums", SUMS)
def test_roi_pool_gives_gradients_between_the_corners_only(kernels, sums):
    # malformed; and 57 columns in 7 bins, of which rounding adds column 57 to the last
    regions = np.array([[0, 4, 0, 2, 0], [0, 0, 0, 56, 0]], np.float32)
    argmax = np.full((2, 1, 1, 7), 57, np.int32)
    argmax[0], argmax[1, 0, 0, 3] = 4, 30
    result = np.zeros((1, 1, 1, 58), np.float32)
    kernels("roi_pool_backward", np.ones(argmax.shape, np.float32), regions, argmax,
            np.array([2, 1, 1, 1, 58, 1, 7]), 1.0, SUMS[sums], result)
    assert np.flatnonzero(result).tolist() == [30] and result.sum() == 1


def test_roi_pool_marks_unsound_rois(kernels):
    regions = np.array([[2, 0, 0, 9, 9], [-1, 0, 0, 9, 9], [0, np.inf, 0, 9, 9], [1, 0, 0, 9, 9]],
                       np.float32)
    pooled, argmax = np.zeros((4, 3, 1, 1), np.float32), np.zeros((4, 3, 1, 1), np.int32)
    kernels("roi_pool", np.ones((2, 4, 4, 3), np.float32), regions,
            np.array([4, 2, 3, 4, 4, 1, 1]), 0.25, pooled, argmax)
    assert np.isnan(pooled[:3]).all() and (pooled[3] == 1).all()
    assert (argmax[:3] == -1).all()


@pytest.mark.parametrize("sums", SUMS)
@pytest.mark.parametrize("number", [2, -1, 1e6, np.nan])
def test_roi_pool_backward_marks_an_unsound_roi(kernels, number, sums):
    regions = np.array([[1, 0, 0, 9, 9], [number, 0, 0, 9, 9]], np.float32)
    result = np.zeros((2, 3, 4, 4), np.float32)
    kernels("roi_pool_backward", np.ones((2, 3, 1, 1), np.float32), regions,
            np.zeros((2, 3, 1, 1), np.int32), np.array([2, 2, 3, 4, 4, 1, 1]), 0.25, SUMS[sums],
            result)
    assert np.isnan(result.flat[0]) and np.isfinite(result.flat[1:]).all()
    assert (result[1, :, 0, 0] == 1).all()


def test_roi_pool_backward_never_writes_beyond_the_map(kernels):
    result = np.zeros((2, 3, 4, 4), np.float32)
    argmax = np.array([16, 1 << 30, -1], np.int32).reshape(1, 3, 1, 1)
    kernels("roi_pool_backward", np.ones(argmax.shape, np.float32),
            np.array([[1, 0, 0, 9, 9]], np.float32), argmax, np.array([1, 2, 3, 4, 4, 1, 1]), 0.25,
            SUMS["atomic"], result)     # a kernel that trusts 16 or 2^30 writes elsewhere
    assert np.isnan(result.flat[0]) and not result.flat[1:].any()


def channels_last(array):
    return np.ascontiguousarray(array.transpose(0, 2, 3, 1))


@pytest.mark.parametrize("sums", SUMS)
@pytest.mark.parametrize("aligned", [0, 1])
@pytest.mark.parametrize("sampling_ratio", [0, 2])
def test_roi_align(kernels, sampling_ratio, aligned, sums):
    rng = np.random.default_rng(sampling_ratio)
    features, grad = numbers(rng, 2, 5, 7, 9), numbers(rng, 9, 5, 3, 2)
    regions = random_regions(rng, 9)
    regions[0, 1:] += 1e7
    shape, options = np.array([9, 2, 5, 7, 9, 3, 2]), (1 / 16, sampling_ratio, aligned)
    pooled = np.empty((9, 5, 3, 2), np.float32)
    kernels("roi_align", channels_last(features), regions, shape, *options, pooled)
    leaves = [torch.from_numpy(x).requires_grad_() for x in (features, regions)]
    want = ops.roi_align(*leaves, 3, 2, *options)
    want.backward(torch.from_numpy(grad))
    np.testing.assert_allclose(pooled, want.detach(), rtol=1e-5, atol=1e-6)

    for_features, for_rois = np.zeros((2, 7, 9, 5), np.float32), np.ones((9, 5), np.float32)
    kernels("roi_align_backward", channels_last(grad), channels_last(features), regions, shape,
            *options, align_scratch(shape, sums), for_features, for_rois)
    assert_sums(sums, for_features.transpose(0, 3, 1, 2), leaves[0].grad)
    np.testing.assert_allclose(for_rois, leaves[1].grad, rtol=1e-5, atol=1e-6)


def align_scratch(shape, sums):
    """Room for the weights of rows and columns, holding anything; None for atomic additions."""
    rois, _, _, height, width, pooled_h, pooled_w = shape
    size = rois * (pooled_h * height + pooled_w * width)
    return np.full(size, np.nan, np.float32) if sums == "in order" else None


@pytest.mark.parametrize("sums", SUMS)
def test_roi_align_marks_unsound_rois(kernels, sums):
    regions = np.array([[2, 0, 0, 9, 9], [0, np.inf, 0, 9, 9], [1, 0, 0, 9, 9]], np.float32)
    shape, options = np.array([3, 2, 3, 4, 4, 1, 1]), (0.25, 0, 0)
    pooled, features = np.zeros((3, 3, 1, 1), np.float32), np.ones((2, 4, 4, 3), np.float32)
    kernels("roi_align", features, regions, shape, *options, pooled)
    assert np.isnan(pooled[:2]).all() and (pooled[2] == 1).all()
    for_features, for_rois = np.zeros_like(features), np.ones((3, 5), np.float32)
    kernels("roi_align_backward", np.ones((3, 1, 1, 3), np.float32), features, regions, shape,
            *options, align_scratch(shape, sums), for_features, for_rois)
    assert np.isnan(for_features.flat[0]) and not for_features.flat[1:48].any()
    assert np.isclose(for_features[1].sum(), 3)
    assert np.isnan(for_rois[:2, 1:]).all() and np.isfinite(for_rois[2]).all()


@pytest.mark.parametrize("sums", SUMS)
def test_psroi_pool(kernels, sums):
    rng = np.random.default_rng(5)
    features, grad = numbers(rng, 2, 12, 7, 9), numbers(rng, 9, 3, 2, 2)
    regions = random_regions(rng, 9)
    shape, pooled = np.array([9, 2, 12, 7, 9, 2, 2]), np.empty((9, 3, 2, 2), np.float32)
    kernels("psroi_pool", features, regions, shape, 1 / 16, pooled)
    leaf = torch.from_numpy(features).requires_grad_()
    want = ops.psroi_pool(leaf, torch.from_numpy(regions), 3, 2, 1 / 16)
    np.testing.assert_array_equal(pooled, want.detach())
    want.backward(torch.from_numpy(grad))
    result = np.zeros_like(features)
    kernels("psroi_pool_backward", grad, regions, shape, 1 / 16, SUMS[sums], result)
    assert_sums(sums, result, leaf.grad)


@pytest.mark.parametrize("sums", SUMS)
def test_psroi_pool_marks_unsound_rois(kernels, sums):
    regions = np.array([[2, 0, 0, 9, 9], [0, 0, np.nan, 9, 9], [1, 0, 0, 9, 9]], np.float32)
    shape, pooled = np.array([3, 2, 4, 4, 4, 2, 2]), np.zeros((3, 1, 2, 2), np.float32)
    features, result = np.ones((2, 4, 4, 4), np.float32), np.zeros((2, 4, 4, 4), np.float32)
    kernels("psroi_pool", features, regions, shape, 0.25, pooled)
    assert np.isnan(pooled[:2]).all() and (pooled[2] == 1).all()
    kernels("psroi_pool_backward", np.ones_like(pooled), regions, shape, 0.25, SUMS[sums], result)
    assert np.isnan(result.flat[0]) and not result.flat[1:64].any()
    assert np.isclose(result[1].sum(), 4)


@pytest.mark.parametrize("weights", [False, True])
@pytest.mark.parametrize("count", [1, 300, 5000])
def test_smooth_l1(kernels, count, weights):
    rng = np.random.default_rng(count)
    pred, target = numbers(rng, count, 1), numbers(rng, count, 1)
    inside, outside = (numbers(rng, count, 1), numbers(rng, count, 1)) if weights else (None, None)
    loss, grad = np.empty(1, np.float32), np.array([0.7], np.float32)
    result, sigma2 = np.empty_like(pred), 9.0
    kernels("smooth_l1", pred, target, inside, outside, count, sigma2, float(count), loss)
    kernels("smooth_l1_backward", pred, target, inside, outside, count, sigma2, float(count),
            grad, result)
    leaf = torch.from_numpy(pred).requires_grad_()
    others = [None if x is None else torch.from_numpy(x) for x in (target, inside, outside)]
    want = ops.smooth_l1_loss(leaf, *others, sigma=3.0)
    want.backward(torch.tensor(0.7))
    np.testing.assert_allclose(loss[0], want.item(), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(result, leaf.grad, rtol=1e-6)


@pytest.mark.parametrize("grouped", [False, True])
@pytest.mark.parametrize("max_keep", [-1, 0, 70])
@pytest.mark.parametrize("count", [1, 63, 64, 65, 500, 4200])
def test_nms(kernels, count, max_keep, grouped):
    rng = np.random.default_rng(count)
    low = rng.uniform(0, 300 if count < 1000 else 3000, (count, 2))
    boxes = np.hstack([low, low + rng.uniform(0, 80, (count, 2))]).astype(np.float32)
    scores = -np.arange(count, dtype=np.float32)
    groups = rng.integers(0, 3, count) if grouped else None
    width = -(-count // 64)
    words = np.full(min(count, 4096) * width, 2 ** 64 - 1, np.uint64)  # scratch may hold anything
    removed, kept = np.zeros(width, np.uint64), np.zeros(count, bool)
    kernels("nms", boxes, groups, count, count if max_keep < 0 else max_keep, 0.4, words, removed,
            np.zeros(1, np.int64), kept)
    want = torch.ops.caffe_fast_rcnn.nms(
        torch.from_numpy(boxes), torch.from_numpy(scores),
        None if groups is None else torch.from_numpy(groups), 0.4, True, max_keep)
    np.testing.assert_array_equal(np.flatnonzero(kept), want)


@pytest.mark.parametrize("size, beta", [(5, 0.75), (3, 0.5), (9, 0.75)])
def test_lrn_across(kernels, size, beta):
    rng = np.random.default_rng(size)
    x, grad = numbers(rng, 2, 3, 4, 7), numbers(rng, 2, 3, 4, 7)  # channels last
    y, ratios, dx = (np.empty_like(x) for _ in range(3))
    formula = (24, 7, size, 0.3 / size, beta, 2.0)
    kernels("lrn", *formula, x, y)
    kernels("lrn_backward", *formula, grad, x, ratios, dx)
    leaf = torch.from_numpy(x).movedim(-1, 1).requires_grad_()
    want = ops.lrn_across(leaf, size, 0.3, beta, 2.0)
    want.backward(torch.from_numpy(grad).movedim(-1, 1))
    np.testing.assert_allclose(y, want.detach().movedim(1, -1), rtol=1e-6)
    np.testing.assert_allclose(dx, leaf.grad.movedim(1, -1), rtol=1e-5, atol=1e-6)


def test_sgd_update(kernels):
    rng = np.random.default_rng(0)
    weight, grad, history = (numbers(rng, 3000) for _ in range(3))
    w, h = torch.from_numpy(weight.copy()), torch.from_numpy(history.copy())
    kernels("sgd_update", weight, grad, history, 3000, 0.1, 0.9, 0.01)
    ops.sgd_update_(w, torch.from_numpy(grad), h, 0.1, 0.9, 0.01)
    np.testing.assert_array_equal(weight, w)
    np.testing.assert_array_equal(history, h)

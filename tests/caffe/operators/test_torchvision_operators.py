"""The operators against torchvision's, where torchvision can be imported."""
import pytest
import torch
from torchvision_boxes import random_boxes, torchvision_ops, with_far_edges

from caffe.operators import ops

theirs = torchvision_ops()
SIZE, SCALE = 44, 0.25      # of an image; of the features


def random_rois(rng):
    """Rois (40, 5) in two images."""
    index = torch.from_numpy(rng.integers(0, 2, (40, 1))).double()
    return torch.cat([index, random_boxes(rng, 40, SIZE)], dim=1)


def scored_boxes(rng, device):
    """Boxes (300, 4) whose overlaps often equal a threshold, scores (300,)."""
    scores = torch.from_numpy(rng.permutation(300))
    return random_boxes(rng, 300, 60).float().to(device), scores.float().to(device)


def compare(ours, other, shape, rng, device):
    """Two functions of random features have equal values and equal gradients."""
    features = torch.from_numpy(rng.standard_normal(shape)).to(device).requires_grad_()
    tops = ours(features), other(features)
    torch.testing.assert_close(*tops)
    weights = torch.from_numpy(rng.standard_normal(tops[0].shape)).to(device)
    torch.testing.assert_close(*(torch.autograd.grad(top, features, weights)[0] for top in tops))


@pytest.mark.parametrize("thresh", [0.3, 0.5, 0.7])
def test_nms(device, thresh, rng):
    boxes, scores = scored_boxes(rng, device)
    want = theirs.nms(with_far_edges(boxes), scores, thresh)
    kept = ops.nms(torch.cat([boxes, scores[:, None]], dim=1), thresh, inclusive=False)
    assert kept.tolist() == want.tolist()


def test_batched_nms(device, rng):
    boxes, scores = scored_boxes(rng, device)
    groups = torch.from_numpy(rng.integers(0, 4, 300)).to(device)
    want = theirs.batched_nms(with_far_edges(boxes), scores, groups, 0.5)
    kept = ops.batched_nms(boxes, scores, groups, 0.5, inclusive=False)
    assert kept.tolist() == want.tolist()


@pytest.mark.parametrize("bins", [(1, 1), (3, 2), (7, 7)])
def test_roi_pool(device, bins, rng):
    rois = random_rois(rng).to(device)      # the corners of both are pixels here
    compare(lambda x: ops.roi_pool(x, rois, *bins, SCALE),
            lambda x: theirs.roi_pool(x, rois, bins, SCALE), (2, 3, 13, 11), rng, device)


@pytest.mark.parametrize("aligned", [False, True])
@pytest.mark.parametrize("sampling_ratio", [0, 2])
def test_roi_align(device, sampling_ratio, aligned, rng):
    rois = random_rois(rng).to(device)      # the corners of both are points here
    compare(lambda x: ops.roi_align(x, rois, 3, 2, SCALE, sampling_ratio, aligned),
            lambda x: theirs.roi_align(x, rois, (3, 2), SCALE, sampling_ratio, aligned),
            (2, 3, 13, 11), rng, device)


@pytest.mark.parametrize("group", [1, 3])
def test_ps_roi_pool(device, group, rng):
    # at scale 1: torchvision rounds corners after scaling, R-FCN before
    rois = random_rois(rng).to(device)
    compare(lambda x: ops.psroi_pool(x, rois, 4, group, 1.0),
            lambda x: theirs.ps_roi_pool(x, with_far_edges(rois), group, 1.0),
            (2, 4 * group ** 2, SIZE, SIZE), rng, device)

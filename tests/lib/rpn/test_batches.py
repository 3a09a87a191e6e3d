"""Several images per batch: each is treated as it is alone; gradients of boxes reach the deltas."""
import numpy as np
import pytest
import torch

import caffe
from fast_rcnn.config import cfg_override
from rpn.anchor_target_layer import AnchorTargetLayer
from rpn.proposal_layer import ProposalLayer
from rpn.proposal_target_layer import ProposalTargetLayer

INFO = torch.tensor([[64.0, 80, 1], [48, 64, 2]])
# boxes of image 0, then of image 1
GT = torch.tensor([[10.0, 10, 29, 29, 1, 0], [40, 20, 71, 51, 2, 0], [8, 8, 39, 39, 2, 1]])
ANCHORS = "{'feat_stride': 8, 'scales': [1, 2], 'ratios': [1]}"
# nothing is drawn: more anchors and rois are allowed than there are
SETTINGS = {"RPN_BATCHSIZE": 10000, "RPN_MIN_SIZE": 4, "RPN_POST_NMS_TOP_N": 20, "BATCH_SIZE": 400,
            "FG_FRACTION": 0.5, "FG_THRESH": 0.5, "BG_THRESH_LO": 0.0,
            "BBOX_NORMALIZE_TARGETS_PRECOMPUTED": True}


@pytest.fixture
def settings():
    with cfg_override(TRAIN={**SETTINGS, "IMS_PER_BATCH": 2}):
        yield


def layer_of(cls, param_str, num_tops=5):
    """A layer that was set up without a net."""
    layer = cls()
    layer.name, layer.type, layer.phase = "tested", "Python", caffe.TRAIN
    layer.param_str = param_str
    layer.setup([], [None] * num_tops)
    return layer


def rpn_outputs(dtype=torch.float32):
    """Probabilities and deltas of two images on maps of 8 x 10 cells, two anchors each."""
    rng = np.random.RandomState(4)
    prob, deltas = rng.rand(2, 4, 8, 10), 0.3 * rng.randn(2, 8, 8, 10)
    return torch.from_numpy(prob).to(dtype), torch.from_numpy(deltas).to(dtype)


def sorted_rows(tops):
    """The rows of tops, joined and put into an order of their own."""
    rows = torch.cat([top.reshape(len(tops[0]), -1) for top in tops], 1).tolist()
    return sorted(rows)


def test_anchor_targets_are_those_of_each_image(settings):
    layer = layer_of(AnchorTargetLayer, ANCHORS)
    scores = torch.zeros(2, 4, 8, 10)
    both = layer.forward(scores, GT, INFO)
    assert [tuple(top.shape) for top in both] == [(2, 1, 16, 10)] + 3 * [(2, 8, 8, 10)]
    for image in range(2):
        alone = layer.forward(scores[:1], GT[GT[:, 5] == image, :5], INFO[image:image + 1])
        for one, top in zip(alone, both):
            assert torch.equal(one[0], top[image])
    # image 1 ends at 48 x 64: nothing behind it is trained
    assert (both[0][1].view(2, 8, 10)[:, 6:] == -1).all() and (both[0][1] >= 0).any()


def test_proposals_are_those_of_each_image(settings):
    layer = layer_of(ProposalLayer, ANCHORS, num_tops=2)
    prob, deltas = rpn_outputs()
    rois, scores = layer.forward(prob, deltas, INFO)
    parts = [layer.forward(prob[i:i + 1], deltas[i:i + 1], INFO[i:i + 1]) for i in range(2)]
    assert torch.equal(scores, torch.cat([part[1] for part in parts]))
    assert torch.equal(rois[:, 1:], torch.cat([part[0][:, 1:] for part in parts]))
    assert rois[:, 0].tolist() == [0] * len(parts[0][0]) + [1] * len(parts[1][0])
    inside = rois[rois[:, 0] == 1]
    assert len(inside) and (inside[:, 3] <= 63).all() and (inside[:, 4] <= 47).all()


def test_proposal_targets_are_those_of_each_image(settings):
    layer = layer_of(ProposalTargetLayer, "'num_classes': 3")
    rois = torch.tensor([[0.0, 12, 12, 30, 30], [1, 10, 10, 30, 39], [0, 60, 0, 79, 9],
                         [1, 30, 30, 60, 40]])
    both = layer.forward(rois, GT)
    assert len(both[0]) == len(rois) + len(GT)
    for image in range(2):
        of_image = rois[rois[:, 0] == image].clone()
        of_image[:, 0] = 0
        alone = layer.forward(of_image, GT[GT[:, 5] == image, :5])
        rows = both[0][:, 0] == image
        mine = [top[rows] for top in both]
        mine[0] = torch.cat([torch.zeros(int(rows.sum()), 1), mine[0][:, 1:]], 1)
        assert sorted_rows(mine) == sorted_rows(alone)
    assert set(both[1].tolist()) == {0, 1, 2}


def test_an_image_without_objects_beside_another(settings):
    layer = layer_of(ProposalTargetLayer, "'num_classes': 3")
    rois = torch.tensor([[0.0, 12, 12, 30, 30], [1, 10, 10, 30, 39]])
    tops = layer.forward(rois, GT[:2])
    assert (tops[1][tops[0][:, 0] == 1] == 0).all() and (tops[0][:, 0] == 1).sum() == 1


def test_rois_that_cannot_be_shared_evenly(settings):
    layer = layer_of(ProposalTargetLayer, "'num_classes': 3")
    with cfg_override(TRAIN={"BATCH_SIZE": 5}), pytest.raises(ValueError, match="evenly by 2"):
        layer.forward(torch.zeros(1, 5), GT)


# --------------------------------------------------------------------------------------- gradients

def chain(differentiable=True):
    """A function deltas -> tops of both layers in float64, with equal draws; and deltas."""
    mode = f", 'differentiable': {str(differentiable).lower()}"
    proposal = layer_of(ProposalLayer, ANCHORS[:-1] + mode + "}", num_tops=1)
    target = layer_of(ProposalTargetLayer, "{'num_classes': 3" + mode + "}")
    prob, deltas = rpn_outputs(torch.float64)

    def sampled(deltas):
        np.random.seed(0)
        rois, = proposal.forward(prob, deltas, INFO.double())
        return target.forward(rois, GT.double())
    return sampled, deltas


def test_gradient_of_sampled_rois_reaches_the_deltas(settings):
    sampled, deltas = chain()
    deltas.requires_grad_()
    rois, *others = sampled(deltas)
    assert not any(top.requires_grad for top in others)
    weights = torch.from_numpy(np.random.RandomState(1).randn(*rois.shape))
    gradient, = torch.autograd.grad((weights * rois).sum(), deltas)
    for seed in range(5):       # finite differences in random directions
        step = 1e-6 * torch.from_numpy(np.random.RandomState(seed).randn(*deltas.shape))
        with torch.no_grad():
            change = weights * (sampled(deltas + step)[0] - sampled(deltas - step)[0])
        assert float(change.sum()) == pytest.approx(2 * float((gradient * step).sum()), rel=1e-5)
    per_delta = gradient.unflatten(1, (2, 4)).abs().sum((0, 1, 3, 4))
    assert (per_delta > 0).all()            # dx, dy, dw, dh of the anchors that were picked ...
    assert (gradient == 0).any()            # ... and none for those that were not


def test_differentiable_rois_are_the_same_rois(settings):
    (one, deltas), (other, _) = chain(True), chain(False)
    for a, b in zip(one(deltas), other(deltas)):
        assert torch.equal(a, b)
    assert not other(deltas.requires_grad_())[0].requires_grad


def test_clipped_corners_and_annotated_boxes_pass_nothing(settings):
    sampled, deltas = chain()
    rois = sampled(deltas.requires_grad_())[0]
    for row in range(len(rois)):
        corners = rois[row, 1:].tolist()
        annotated = corners in GT[:, :4].tolist()
        gradient, = torch.autograd.grad(rois[row, 1], deltas, retain_graph=True)
        assert bool(gradient.any()) == (corners[0] > 0 and not annotated)

"""Rois that carry gradients: from the detector's losses to the RPN's box deltas."""
import os

import numpy as np
import pytest
import torch
from two_images import ANCHORS, GT, INFO, SETTINGS, layer_of, rpn_outputs

import caffe
from caffe.files import prototxt
from caffe.operators import ops
from faster_rcnn.networks.store import find
from faster_rcnn.settings.config import cfg, cfg_override
from rpn.proposal_layer import ProposalLayer
from rpn.proposal_target_layer import ProposalTargetLayer


@pytest.fixture(autouse=True)
def settings():
    with cfg_override(TRAIN=SETTINGS):
        yield


def chain(differentiable=True, limit=0):
    """A function deltas -> tops of both layers in float64, with equal draws; and deltas."""
    mode = f", 'differentiable': {differentiable}"
    proposal = layer_of(ProposalLayer, f"{ANCHORS[:-1]}{mode}, 'max_gradient': {limit}}}",
                        num_tops=1)
    target = layer_of(ProposalTargetLayer, "{'num_classes': 3" + mode + "}")
    prob, deltas = rpn_outputs(torch.float64)

    def sampled(deltas):
        np.random.seed(0)
        rois, = proposal.forward(prob, deltas, INFO.double())
        return target.forward(rois, GT.double())
    return sampled, deltas


def test_gradient_of_sampled_rois_reaches_the_deltas():
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


def test_differentiable_rois_are_the_same_rois():
    (one, deltas), (other, _) = chain(True), chain(False)
    for a, b in zip(one(deltas), other(deltas)):
        assert torch.equal(a, b)
    assert not other(deltas.requires_grad_())[0].requires_grad


def test_clipped_corners_and_annotated_boxes_pass_nothing():
    sampled, deltas = chain()
    rois = sampled(deltas.requires_grad_())[0]
    for row in range(len(rois)):
        corners = rois[row, 1:].tolist()
        annotated = corners in GT[:, :4].tolist()
        gradient, = torch.autograd.grad(rois[row, 1], deltas, retain_graph=True)
        assert bool(gradient.any()) == (corners[0] > 0 and not annotated)


def test_limited_gradients():
    (free, deltas), (limited, _) = chain(), chain(limit=0.5)
    deltas.requires_grad_()
    gradients = [torch.autograd.grad(sampled(deltas)[0].sum(), deltas)[0]
                 for sampled in (free, limited)]
    assert torch.equal(gradients[1], gradients[0].clamp(-0.5, 0.5))
    assert gradients[0].abs().max() > 0.5


def test_boxes_that_overflow_have_a_finite_gradient():
    sampled, deltas = chain()
    deltas[:, 2] = 1000         # dw of the first anchors
    gradient, = torch.autograd.grad(sampled(deltas.requires_grad_())[0].sum(), deltas)
    assert gradient.isfinite().all() and not gradient[:, 2].any() and gradient.any()


def test_gradient_of_pooled_features_reaches_the_deltas():
    """The whole chain in float64, against finite differences in random directions."""
    sampled, deltas = chain()
    smooth = torch.linspace(0, 3, 8 * 10, dtype=torch.float64).sin().reshape(1, 1, 8, 10)
    features = torch.cat([smooth, smooth.flip(3)]).repeat(1, 2, 1, 1)

    def loss(deltas):
        return (ops.roi_align(features, sampled(deltas)[0], 3, 3, 1 / 8, 2, True) ** 2).sum()

    gradient, = torch.autograd.grad(loss(deltas.requires_grad_()), deltas)
    assert gradient.any()
    for seed in range(5):
        step = 1e-7 * torch.from_numpy(np.random.RandomState(seed).randn(*deltas.shape))
        with torch.no_grad():
            change = float(loss(deltas + step) - loss(deltas - step))
        assert change == pytest.approx(2 * float((gradient * step).sum()), rel=1e-3)


@pytest.mark.parametrize("method,reached", (("faster_rcnn_nonapprox", True),
                                            ("faster_rcnn_end2end", False)))
def test_what_the_detector_teaches_the_rpn(method, reached):
    """In Tiny with the RPN's own losses off; scores learn from them alone in both schedules."""
    path = find(os.path.join(cfg.MODELS_DIR, "Tiny", method, "train.prototxt"), cfg.ROOT_DIR)
    message = prototxt.read_net(path)
    for layer in message.layer:
        if layer.name in ("rpn_loss_cls", "rpn_loss_bbox"):
            layer.loss_weight[0] = 0
    first = message.layer[0]            # the data layer: inputs instead
    first.Clear()
    first.name, first.type = "input", "Input"
    first.top.extend(["data", "im_info", "gt_boxes"])
    for dims in ((1, 3, 96, 128), (1, 3), (2, 5)):
        first.input_param.shape.add().dim.extend(dims)
    net = caffe.Net(message, caffe.TRAIN)
    rng = np.random.RandomState(2)
    for weight, _ in net.params.values():
        weight.data[...] = rng.randn(*weight.shape) / np.sqrt(np.prod(weight.shape[1:]))
    net.blobs["data"].data[...] = rng.randn(1, 3, 96, 128)
    net.blobs["im_info"].data[...] = 96, 128, 1
    net.blobs["gt_boxes"].data[...] = [[8, 8, 40, 40, 1], [60, 30, 100, 80, 2]]
    np.random.seed(0)
    with cfg_override(TRAIN={"IMS_PER_BATCH": 1}):
        net.forward()
    net.backward()
    assert net.params["rpn_bbox_pred"][0].diff.any() == reached
    assert not net.params["rpn_cls_score"][0].diff.any()
    assert net.params["conv6"][0].diff.any()

"""Several images per batch: each is treated as it is alone."""
import pytest
import torch
from two_images import ANCHORS, GT, INFO, SETTINGS, layer_of, rpn_outputs

from faster_rcnn.settings.config import cfg_override
from rpn.anchor_target_layer import AnchorTargetLayer
from rpn.proposal_layer import ProposalLayer
from rpn.proposal_target_layer import ProposalTargetLayer


@pytest.fixture(autouse=True)
def settings():
    with cfg_override(TRAIN=SETTINGS):
        yield


def sorted_rows(tops):
    """The rows of tops, joined and put into an order of their own."""
    rows = torch.cat([top.reshape(len(tops[0]), -1) for top in tops], 1).tolist()
    return sorted(rows)


def test_anchor_targets_are_those_of_each_image():
    layer = layer_of(AnchorTargetLayer, ANCHORS, num_tops=4)
    scores = torch.zeros(2, 4, 8, 10)
    both = layer.forward(scores, GT, INFO)
    assert [tuple(top.shape) for top in both] == [(2, 1, 16, 10)] + 3 * [(2, 8, 8, 10)]
    for image in range(2):
        alone = layer.forward(scores[:1], GT[GT[:, 5] == image, :5], INFO[image:image + 1])
        for one, top in zip(alone, both):
            assert torch.equal(one[0], top[image])
    # image 1 ends at 48 x 64: nothing behind it is trained
    assert (both[0][1].view(2, 8, 10)[:, 6:] == -1).all() and (both[0][1] >= 0).any()


def test_proposals_are_those_of_each_image():
    layer = layer_of(ProposalLayer, ANCHORS, num_tops=2)
    prob, deltas = rpn_outputs()
    rois, scores = layer.forward(prob, deltas, INFO)
    parts = [layer.forward(prob[i:i + 1], deltas[i:i + 1], INFO[i:i + 1]) for i in range(2)]
    assert torch.equal(scores, torch.cat([part[1] for part in parts]))
    assert torch.equal(rois[:, 1:], torch.cat([part[0][:, 1:] for part in parts]))
    assert rois[:, 0].tolist() == [0] * len(parts[0][0]) + [1] * len(parts[1][0])
    inside = rois[rois[:, 0] == 1]
    assert len(inside) and (inside[:, 3] <= 63).all() and (inside[:, 4] <= 47).all()


def test_proposal_targets_are_those_of_each_image():
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


def test_an_image_without_objects_beside_another():
    layer = layer_of(ProposalTargetLayer, "'num_classes': 3")
    rois = torch.tensor([[0.0, 12, 12, 30, 30], [1, 10, 10, 30, 39]])
    tops = layer.forward(rois, GT[:2])
    assert (tops[1][tops[0][:, 0] == 1] == 0).all() and (tops[0][:, 0] == 1).sum() == 1


def test_rois_that_cannot_be_shared_evenly():
    with cfg_override(TRAIN={"BATCH_SIZE": 5}):
        layer = layer_of(ProposalTargetLayer, "'num_classes': 3")
    with pytest.raises(ValueError, match="evenly by 2"):
        layer.forward(torch.zeros(1, 5), GT)

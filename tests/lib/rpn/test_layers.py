"""The layers of the RPN in nets: phases, parameters, images that are unlike the usual ones."""
import json
import logging

import numpy as np
import pytest

import caffe
from faster_rcnn.settings.config import cfg_override

ANCHOR_TOPS = ("labels", "bbox_targets", "bbox_inside_weights", "bbox_outside_weights")


def net_with(layer, param_str, inputs, tops, phase=caffe.TRAIN):
    """A net of Input layers of the given shapes and one Python layer of rpn."""
    module = {"AnchorTargetLayer": "anchor_target_layer", "ProposalLayer": "proposal_layer",
              "ProposalTargetLayer": "proposal_target_layer"}[layer]
    text = "".join(
        f'layer {{ name: "in_{name}" type: "Input" top: "{name}" input_param {{ shape {{ '
        + " ".join(f"dim: {d}" for d in shape) + " } } }\n" for name, shape in inputs.items())
    text += 'layer { name: "tested" type: "Python" ' + " ".join(
        [f'bottom: "{name}"' for name in inputs] + [f'top: "{name}"' for name in tops])
    text += (f' python_param {{ module: "rpn.{module}" layer: "{layer}" '
             f"param_str: {json.dumps(param_str)} }} }}")
    return caffe.Net(caffe.prototxt.read_net_text(text), phase)


def anchor_net(height=20, width=30, param_str="'feat_stride': 16", batch=1):
    shapes = {"score": (batch, 18, height, width), "gt_boxes": (1, 5), "im_info": (1, 3),
              "data": (batch, 3, 16, 16)}
    net = net_with("AnchorTargetLayer", param_str, shapes, ANCHOR_TOPS)
    net.blobs["im_info"].data[...] = 16 * height, 16 * width, 1
    net.blobs["gt_boxes"].data[...] = 100, 100, 227, 227, 1
    return net


def proposal_net(phase, tops=("rois", "scores")):
    net = net_with("ProposalLayer", "'feat_stride': 16", {
        "prob": (1, 18, 4, 5), "deltas": (1, 36, 4, 5), "im_info": (1, 3)}, tops, phase)
    net.blobs["prob"].data[...] = np.random.RandomState(0).rand(1, 18, 4, 5)
    net.blobs["im_info"].data[...] = 64, 80, 1
    return net


def roi_net(num_gt=1):
    net = net_with("ProposalTargetLayer", "'num_classes': 3", {
        "rpn_rois": (2, 5), "gt_boxes": (1, 5)},
        ("rois", "labels", "bbox_targets", "inside", "outside"))
    net.blobs["rpn_rois"].data[...] = [[0, 10, 10, 19, 19], [0, 50, 50, 59, 59]]
    net.blobs["gt_boxes"].reshape(num_gt, 5)
    net.blobs["gt_boxes"].data[...] = 10, 10, 19, 24, 2
    return net


def test_shapes_are_known_before_the_first_pass():
    net = anchor_net(5, 7, "{'feat_stride': 16, 'scales': [8], 'ratios': [1, 2]}")
    assert tuple(net.blobs["labels"].shape) == (1, 1, 2 * 5, 7)
    assert tuple(net.blobs["bbox_targets"].shape) == (1, 4 * 2, 5, 7)
    assert tuple(roi_net().blobs["bbox_targets"].shape)[1] == 12


def test_tops_follow_the_size_of_the_map():
    net = anchor_net()
    net.forward()
    net.blobs["score"].reshape(1, 18, 25, 21)
    net.blobs["im_info"].data[...] = 400, 336, 1
    np.random.seed(0)
    net.forward()
    labels = net.blobs["labels"].data
    assert labels.shape == (1, 1, 9 * 25, 21)
    assert (labels >= 0).sum() == 256 and (labels == 1).sum() >= 1


def test_image_without_objects_trains_background_only():
    net = anchor_net()
    net.blobs["gt_boxes"].reshape(0, 5)
    net.forward()
    labels = net.blobs["labels"].data
    assert (labels == 0).sum() == 256 and (labels == 1).sum() == 0
    assert not net.blobs["bbox_inside_weights"].data.any()


def test_image_that_holds_no_anchor_is_trained_with_all_and_one_warning(caplog):
    net = anchor_net(3, 4)
    net.blobs["gt_boxes"].data[...] = 5, 5, 40, 40, 1
    with caplog.at_level(logging.WARNING):
        net.forward()
        net.forward()
    assert (net.blobs["labels"].data >= 0).any()
    assert [r.getMessage().split(";")[0] for r in caplog.records] == [
        'layer "tested": no anchor lies inside an image of 48 x 64 pixels']


def test_several_images_need_to_be_told_apart():
    net = anchor_net(batch=2)
    with pytest.raises(Exception, match='"tested": im_info has 1 rows for 2 images'):
        net.forward()
    net.blobs["im_info"].reshape(2, 3)
    with pytest.raises(Exception, match=r'"tested": 2 images need gt_boxes \(G, 6\)'):
        net.forward()
    net = roi_net()
    net.blobs["rpn_rois"].data[1, 0] = 1
    with pytest.raises(Exception, match='"tested".*one image per batch'):
        net.forward()


def test_bad_param_str_names_the_layer():
    with pytest.raises(Exception, match="tested.*'feat_stride' is missing"):
        anchor_net(param_str="'stride': 16")


def test_limits_of_proposals_follow_the_phase():
    options = {"TRAIN": {"RPN_POST_NMS_TOP_N": 3, "RPN_NMS_THRESH": 0.9},
               "TEST": {"RPN_POST_NMS_TOP_N": 2, "RPN_NMS_THRESH": 0.9}}
    for phase, count in ((caffe.TRAIN, 3), (caffe.TEST, 2)):
        with cfg_override(**options):
            net = proposal_net(phase)
        net.forward()       # the settings are those that the layer was set up with
        rois, scores = net.blobs["rois"].data, net.blobs["scores"].data
        assert rois.shape == (count, 5) and scores.shape == (count, 1)
        assert (rois[:, 0] == 0).all() and (np.diff(scores[:, 0]) <= 0).all()
        assert (rois[:, 3] <= 79).all() and (rois[:, 4] <= 63).all()


def test_scores_are_an_optional_top_and_there_may_be_no_roi():
    net = proposal_net(caffe.TEST, ("rois",))
    net.blobs["im_info"].data[0, 2] = 100       # 16 pixels of the original are 1600 of the input
    assert net.forward()["rois"].shape == (0, 5)


def test_sampled_rois_and_their_targets():
    with cfg_override(TRAIN={"BG_THRESH_LO": 0.0}):
        net = roi_net()
    net.forward()
    rois, labels = net.blobs["rois"].data, net.blobs["labels"].data
    # the proposal on the box (100 of 150 pixels), the box itself, and the one far away
    assert labels.tolist() == [2, 2, 0] and rois[2].tolist() == [0, 50, 50, 59, 59]
    row = rois[:2].tolist().index([0, 10, 10, 19, 19])
    targets, inside, outside = [net.blobs[n].data for n in ("bbox_targets", "inside", "outside")]
    assert targets[row, 8:].tolist() == pytest.approx([0, 0.25, 0, np.log(1.5)], abs=1e-6)
    assert not targets[:, :8].any() and not targets[1 - row].any()
    assert inside.tolist() == outside.tolist() == [[0] * 8 + [1] * 4] * 2 + [[0] * 12]


def test_rois_of_an_image_without_objects_are_background():
    net = roi_net()
    net.blobs["gt_boxes"].reshape(0, 5)
    net.forward()       # BG_THRESH_LO is 0.1 here
    assert net.blobs["labels"].data.tolist() == [0, 0]
    assert not net.blobs["bbox_targets"].data.any()


@pytest.mark.parametrize("layer, bottoms, tops, message", [
    ("AnchorTargetLayer", 7, 4, 'layer "tested": AnchorTargetLayer has 3 to 4 bottoms, .* net 7: '),
    ("ProposalLayer", 11, 1, "ProposalLayer has 3 bottoms, in this net 11: "),
    ("ProposalLayer", 3, 5, "ProposalLayer has 1 to 2 tops, in this net 5: "),
    ("ProposalTargetLayer", 3, 8, "ProposalTargetLayer has 5 tops, in this net 8: .* other"),
])
def test_layers_of_the_same_name_with_other_blobs_are_told_apart(layer, bottoms, tops, message):
    inputs = {f"b{i}": (1, 18, 4, 5) for i in range(bottoms)}
    with pytest.raises(ValueError, match=message.replace("other", "another layer of this name")):
        net_with(layer, "'feat_stride': 4,8,16", inputs, [f"t{i}" for i in range(tops)])


def test_rois_are_picked_without_a_look_at_the_image():
    inputs = {"rpn_rois": (2, 5), "gt_boxes": (1, 5), "data": (1, 3, 8, 8)}
    tops = ("rois", "labels", "bbox_targets", "inside", "outside")
    net = net_with("ProposalTargetLayer", "'num_classes': 3", inputs, tops)
    net.blobs["gt_boxes"].data[...] = 1, 1, 6, 6, 2
    net.forward()
    assert 2 in net.blobs["labels"].data

"""Nets of other people's design follow the data set and the anchors, or say why they cannot."""
import pytest

from caffe.files import prototxt
from faster_rcnn.anchors.options import AnchorOptions
from faster_rcnn.files import safe_yaml
from faster_rcnn.prototxts.changes import UnchangeableNetError, change_net
from faster_rcnn.prototxts.options import NetOptions
from faster_rcnn.settings.config import cfg_override

# R-FCN's agnostic training net on stored proposals, as py-R-FCN has it: the data layer says 21
AGNOSTIC = """
layer { name: "data" type: "Python" top: "data" top: "rois" top: "labels" top: "bbox_targets"
  top: "bbox_inside_weights" top: "bbox_outside_weights" python_param {
    module: "roi_data_layer.layer" layer: "RoIDataLayer" param_str: "'num_classes': 21" } }
layer { name: "rfcn_cls" type: "Convolution" bottom: "data" top: "rfcn_cls"
  convolution_param { num_output: 1029 kernel_size: 1 } }
layer { name: "rfcn_bbox" type: "Convolution" bottom: "data" top: "rfcn_bbox"
  convolution_param { num_output: 392 kernel_size: 1 } }
layer { name: "pooled_cls" type: "PSROIPooling" bottom: "rfcn_cls" bottom: "rois" top: "pooled_cls"
  psroi_pooling_param { output_dim: 21 group_size: 7 spatial_scale: 0.0625 } }
layer { name: "pooled_box" type: "PSROIPooling" bottom: "rfcn_bbox" bottom: "rois" top: "pooled_box"
  psroi_pooling_param { output_dim: 8 group_size: 7 spatial_scale: 0.0625 } }
layer { name: "cls_score" type: "Pooling" bottom: "pooled_cls" top: "cls_score" }
layer { name: "bbox_pred" type: "Pooling" bottom: "pooled_box" top: "bbox_pred" }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "cls_score" bottom: "labels" top: "loss" }
layer { name: "loss_bbox" type: "SmoothL1LossOHEM" bottom: "bbox_pred" bottom: "bbox_targets"
  bottom: "bbox_inside_weights" top: "loss_bbox" }
"""
# The parts of a feature pyramid's detector: two levels that share weights by name
LEVEL = """
layer {{ name: "rpn_cls_score/{0}" type: "Convolution" bottom: "{0}" top: "rpn_cls_score/{0}"
  param {{ name: "rpn_cls_w" }} convolution_param {{ num_output: 12 kernel_size: 1 }} }}
layer {{ name: "rpn_bbox_pred/{0}" type: "Convolution" bottom: "{0}" top: "rpn_bbox_pred/{0}"
  param {{ name: "rpn_bbox_w" }} convolution_param {{ num_output: 24 kernel_size: 1 }} }}
layer {{ name: "split/{0}" type: "Reshape" bottom: "rpn_cls_score/{0}" top: "split/{0}"
  reshape_param {{ shape {{ dim: 0 dim: 2 dim: -1 dim: 0 }} }} }}
layer {{ name: "prob/{0}" type: "Softmax" bottom: "split/{0}" top: "prob/{0}" }}
layer {{ name: "joined/{0}" type: "Reshape" bottom: "prob/{0}" top: "joined/{0}"
  reshape_param {{ shape {{ dim: 0 dim: 12 dim: -1 dim: 0 }} }} }}
layer {{ name: "cls_score/{0}" type: "InnerProduct" bottom: "{0}" top: "cls_score/{0}"
  param {{ name: "cls_w" }} inner_product_param {{ num_output: 21 }} }}
layer {{ name: "bbox_pred/{0}" type: "InnerProduct" bottom: "{0}" top: "bbox_pred/{0}"
  param {{ name: "bbox_w" }} inner_product_param {{ num_output: 84 }} }}
"""
PYRAMID = LEVEL.format("p2") + LEVEL.format("p3") + """
layer { name: "rpn-data" type: "Python" bottom: "rpn_cls_score/p2" bottom: "rpn_cls_score/p3"
  bottom: "gt_boxes" bottom: "im_info" top: "l" top: "t" top: "i" top: "o" python_param {
    module: "theirs" layer: "AnchorTargetLayer" param_str: "'feat_stride': 4,8" } }
layer { name: "proposal" type: "Python" bottom: "im_info" bottom: "rpn_bbox_pred/p2"
  bottom: "rpn_bbox_pred/p3" bottom: "joined/p2" bottom: "joined/p3" top: "rpn_rois" python_param {
    module: "theirs" layer: "ProposalLayer" param_str: "'feat_stride': 4,8" } }
layer { name: "roi-data" type: "Python" bottom: "rpn_rois" bottom: "gt_boxes" top: "rois/p2"
  top: "rois/p3" top: "labels" top: "bbox_targets" python_param {
    module: "theirs" layer: "ProposalTargetLayer" param_str: "'num_classes': 21" } }
layer { name: "cls_score" type: "Concat" bottom: "cls_score/p2" bottom: "cls_score/p3"
  top: "cls_score" concat_param { axis: 0 } }
layer { name: "bbox_pred" type: "Concat" bottom: "bbox_pred/p2" bottom: "bbox_pred/p3"
  top: "bbox_pred" concat_param { axis: 0 } }
layer { name: "loss_cls" type: "SoftmaxWithLoss" bottom: "cls_score" bottom: "labels" top: "c" }
layer { name: "loss_bbox" type: "SmoothL1Loss" bottom: "bbox_pred" bottom: "bbox_targets" top: "b" }
"""


def numbers(net):
    """Layer -> the number that it states, where it states one."""
    found = {}
    for layer in net.layer:
        if layer.type == "Python":
            found[layer.name] = safe_yaml.load(layer.python_param.param_str)
        elif layer.type == "Reshape":
            found[layer.name] = layer.reshape_param.shape.dim[1]
        elif layer.type == "PSROIPooling":
            found[layer.name] = layer.psroi_pooling_param.output_dim
        elif layer.type in ("Convolution", "InnerProduct"):
            param = {"Convolution": layer.convolution_param,
                     "InnerProduct": layer.inner_product_param}[layer.type]
            found[layer.name] = param.num_output
    return found


def test_a_net_as_wanted_is_a_copy_with_a_sentence_per_change():
    net = prototxt.read_net_text(PYRAMID)
    untouched = prototxt.read_net_text(PYRAMID)
    assert change_net(net, NetOptions(21), "net") == (net, [])
    assert change_net(net, NetOptions(), "net") == (net, [])
    changed, sentences = change_net(net, NetOptions(5), "net")
    assert net == untouched != changed
    assert sorted(sentences) == [
        "layer bbox_pred/p2: 20 columns instead of 84",
        "layer bbox_pred/p3: 20 columns instead of 84",
        "layer cls_score/p2: 5 columns instead of 21",
        "layer cls_score/p3: 5 columns instead of 21",
        "layer roi-data: num_classes 5"]


@pytest.mark.parametrize("classes", [2, 4, 81])
def test_targets_of_agnostic_boxes_are_for_two_classes(classes):
    changed, _ = change_net(prototxt.read_net_text(AGNOSTIC), NetOptions(classes), "net")
    assert numbers(changed) == {
        "data": {"num_classes": 2}, "rfcn_cls": classes * 49, "rfcn_bbox": 8 * 49,
        "pooled_cls": classes, "pooled_box": 8}
    # the same net for two classes could as well have boxes of its own for each class
    agnostic = change_net(changed, NetOptions(21, agnostic=True), "net").net
    assert numbers(agnostic)["rfcn_bbox"] == 8 * 49 and numbers(agnostic)["rfcn_cls"] == 21 * 49
    assert numbers(agnostic)["data"] == {"num_classes": 2}
    if classes == 2:
        per_class = change_net(changed, NetOptions(21), "net").net
        assert numbers(per_class)["rfcn_bbox"] == 84 * 49
        assert numbers(per_class)["data"] == {"num_classes": 21}


def test_the_settings_say_whether_boxes_are_agnostic():
    for part in ("TRAIN", "TEST"):
        with cfg_override(ANCHOR_SCALES=[2, 4], **{part: {"AGNOSTIC": True}}):
            assert NetOptions.from_cfg(3) == NetOptions(3, AnchorOptions((2, 4)), True)
    assert NetOptions.from_cfg(3) == NetOptions(3)


def test_heads_of_several_levels_follow():
    options = NetOptions(4, AnchorOptions((8,), (1, 2)))
    changed, sentences = change_net(prototxt.read_net_text(PYRAMID), options, "net")
    anchors = {"feat_stride": "4,8", "scales": [8], "ratios": [1, 2]}
    level = {"rpn_cls_score": 4, "rpn_bbox_pred": 8, "split": 2, "joined": 4, "cls_score": 4,
             "bbox_pred": 16}
    assert numbers(changed) == {
        **{f"{name}/{p}": number for p in ("p2", "p3") for name, number in level.items()},
        "rpn-data": anchors, "proposal": anchors, "roi-data": {"num_classes": 4}}
    assert len(sentences) == 2 + 4 + 1 + 4


@pytest.mark.parametrize("axis", ["", "concat_param { axis: 1 }", "concat_param { axis: -1 }",
                                  "concat_param { concat_dim: 1 }"])
def test_columns_that_are_put_together_are_left_to_the_user(axis):
    net = prototxt.read_net_text(PYRAMID.replace("concat_param { axis: 0 }", axis))
    with pytest.raises(UnchangeableNetError) as caught:
        change_net(net, NetOptions(4), "mine.pt")
    message = str(caught.value)
    assert "\n" not in message
    for words in ("mine.pt is a net for 21 classes, the data set has 4", '"cls_score" (Concat)',
                  "cls_score/p2, cls_score/p3 must have 4 columns together", "edit the prototxt"):
        assert words in message
    assert change_net(net, NetOptions(21), "mine.pt").sentences == []


def test_scores_behind_sums_and_scales_follow():
    net = prototxt.read_net_text("""
layer { name: "a" type: "InnerProduct" bottom: "x" top: "a" inner_product_param { num_output: 21 } }
layer { name: "b" type: "InnerProduct" bottom: "y" top: "b" inner_product_param { num_output: 21 } }
layer { name: "sum" type: "Eltwise" bottom: "a" bottom: "b" top: "sum" }
layer { name: "scaled" type: "Scale" bottom: "sum" top: "scaled" }
layer { name: "relu" type: "ReLU" bottom: "scaled" top: "scaled" }
layer { name: "cls_prob" type: "Softmax" bottom: "scaled" top: "cls_prob" }""")
    assert numbers(change_net(net, NetOptions(3), "net").net) == {"a": 3, "b": 3}


def test_blobs_that_are_made_of_each_other_end_the_search():
    net = prototxt.read_net_text("""
layer { name: "a" type: "Reshape" bottom: "cls_prob" top: "y" }
layer { name: "b" type: "Reshape" bottom: "y" top: "cls_prob" }""")
    assert change_net(net, NetOptions(3), "net").sentences == []


def test_ground_truth_is_not_taken_for_labels():
    net = prototxt.read_net_text("""
layer { name: "d" type: "Python" top: "data" top: "im_info" top: "gt_boxes" top: "more"
  python_param { layer: "RoIDataLayer" param_str: "'num_classes': 21" } }
layer { name: "parts" type: "InnerProduct" bottom: "data" top: "parts"
  inner_product_param { num_output: 12 } }
layer { name: "l" type: "SmoothL1Loss" bottom: "parts" bottom: "gt_boxes" top: "l" }""")
    assert numbers(change_net(net, NetOptions(3), "net").net) == {
        "d": {"num_classes": 3}, "parts": 12}

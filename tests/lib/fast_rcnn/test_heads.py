"""Class scores and box deltas are found by what they feed, whatever a net calls its layers."""
import numpy as np
import pytest

import caffe
from caffe.files import prototxt, weights
from faster_rcnn.detection.detect import im_detect
from faster_rcnn.prototxts.changes import change_net
from faster_rcnn.prototxts.heads import delta_blobs, delta_layers, score_blobs, the_output
from faster_rcnn.prototxts.options import NetOptions
from faster_rcnn.settings.config import cfg, cfg_override
from faster_rcnn.training.solver_wrapper import SolverWrapper

TRAIN = """
layer { name: "t" type: "Python" bottom: "rois" bottom: "gt_boxes" top: "r" top: "labels"
  top: "bbox_targets" python_param { module: "theirs" layer: "TargetLayer2"
                                     param_str: "{'num_classes': 3}" } }
layer { name: "cls_score-cars" type: "InnerProduct" bottom: "r" top: "cls_score-cars"
  inner_product_param { num_output: 3 } }
layer { name: "bbox_pred-cars" type: "InnerProduct" bottom: "r" top: "bbox_pred-cars"
  inner_product_param { num_output: 12 } }
layer { name: "parts" type: "InnerProduct" bottom: "r" top: "parts"
  inner_product_param { num_output: 12 } }
layer { name: "loss_cls" type: "InfogainLoss" bottom: "cls_score-cars" bottom: "labels" top: "c" }
layer { name: "loss_bbox" type: "SmoothL1Loss" bottom: "bbox_pred-cars" bottom: "bbox_targets"
  top: "b" }
layer { name: "loss_parts" type: "SmoothL1Loss" bottom: "parts" bottom: "gt_boxes" top: "p" }
"""
TEST = """
layer { name: "in" type: "Input" top: "data" top: "im_info"
  input_param { shape { dim: 1 dim: 3 dim: 8 dim: 8 } shape { dim: 1 dim: 3 } } }
layer { name: "rois" type: "DummyData" top: "rois"
  dummy_data_param { shape { dim: 2 dim: 5 } data_filler { value: 3 } } }
layer { name: "quiet" type: "Silence" bottom: "data" bottom: "im_info" }
layer { name: "cls_score-cars" type: "InnerProduct" bottom: "rois" top: "s"
  inner_product_param { num_output: 3 } }
layer { name: "p" type: "Softmax" bottom: "s" top: "cls_prob-cars" }
layer { name: "bbox_pred-cars" type: "InnerProduct" bottom: "rois" top: "bbox_pred-cars"
  inner_product_param { num_output: 12 } }
"""


def outputs_of(net):
    return {layer.name: layer.inner_product_param.num_output for layer in net.layer
            if layer.type == "InnerProduct"}


def test_a_training_net_with_names_of_its_own():
    net = prototxt.read_net_text(TRAIN)
    assert delta_blobs(net) == ["bbox_pred", "bbox_pred-cars"]
    assert score_blobs(net) == ["cls_prob", "cls_score-cars"]
    net, _ = change_net(net, NetOptions(5), "net")
    assert outputs_of(net) == {"cls_score-cars": 5, "bbox_pred-cars": 20, "parts": 12}
    assert net.layer[0].python_param.param_str == "{'num_classes': 5}"


def test_targets_of_anchors_are_not_those_of_rois():
    net = prototxt.read_net_text(TRAIN.replace("TargetLayer2", "AnchorTargetLayer"))
    assert (delta_blobs(net), score_blobs(net)) == (["bbox_pred"], ["cls_prob"])


@pytest.mark.parametrize("boxes", ["bbox_pred-cars", "my_bbox_pred"])
def test_a_test_net_with_names_of_its_own(boxes, tmp_path):
    text = TEST.replace("bbox_pred-cars", boxes)
    net = prototxt.read_net_text(text)
    net, _ = change_net(net, NetOptions(2), "net")
    assert outputs_of(net) == {"cls_score-cars": 2, boxes: 8}
    (tmp_path / "test.pt").write_text(text)
    net = caffe.Net(str(tmp_path / "test.pt"), caffe.TEST)
    with cfg_override(TEST={"HAS_RPN": True, "SCALES": [8], "BBOX_REG": True}):
        scores, detected = im_detect(net, np.zeros((8, 8, 3), np.uint8))
    assert scores.shape == (2, 3) and detected.tolist() == [[3, 3, 4, 4] * 3] * 2


def test_other_outputs_are_named_in_one_line():
    with pytest.raises(ValueError, match="one output bbox_pred; its outputs are cls_prob, rois$"):
        the_output({"cls_prob": 1, "rois": 2}, "bbox_pred")
    with pytest.raises(ValueError, match="one output bbox_pred"):
        the_output({"bbox_pred-a": 1, "bbox_pred-b": 2}, "bbox_pred")
    assert the_output({"bbox_pred-a": 1, "bbox_pred": 2}, "bbox_pred") == 2
    assert the_output({"rpn_bbox_pred": 1, "my_bbox_pred": 2}, "bbox_pred") == 2


@pytest.mark.parametrize("old, new, layer", [
    ("bbox_pred", "bbox_pred-cars", "bbox_pred-cars"),
    ('name: "bbox_pred"', 'name: "cars_bbox_pred"', "cars_bbox_pred"),
])
def test_snapshots_predict_plain_targets(make, settings, roidb, tmp_path, old, new, layer):
    solver = make("fast_rcnn")
    net = tmp_path / "fast_rcnn.pt"
    net.write_text(net.read_text().replace(old, new))
    with settings("fast_rcnn", BBOX_NORMALIZE_TARGETS_PRECOMPUTED=True):
        wrapper = SolverWrapper(solver, roidb, str(tmp_path))
        assert delta_layers(wrapper.solver.net) == [layer]
        stored = weights.read_weights(wrapper.snapshot())
    weight = wrapper.solver.net.params[layer][0].data
    stds = np.tile(cfg.TRAIN.BBOX_NORMALIZE_STDS, 3)
    assert weight.any()
    np.testing.assert_allclose(stored[layer][0], weight * stds[:, None], rtol=1e-6)

"""OHEMDataLayer: losses and choice by hand, through a net; its data and its class count."""
import math

import numpy as np
import pytest

import caffe
from caffe.core.errors import CaffeError
from caffe.files import prototxt
from faster_rcnn.minibatches.options import MinibatchOptions
from faster_rcnn.prototxts.changes import change_net
from faster_rcnn.prototxts.options import NetOptions
from faster_rcnn.settings.config import cfg_override

SIDES = ("rois", "labels", "targets", "inside", "outside")
SHAPES = {"prob": (5, 3), "deltas": (5, 12), "rois": (5, 5), "labels": (5,), "targets": (5, 12),
          "inside": (5, 12), "outside": (5, 12)}


def net_text(bottoms):
    inputs = "".join(f'input: "{name}" input_shape {{ {" ".join(f"dim: {d}" for d in shape)} }} '
                     for name, shape in SHAPES.items())
    links = "".join(f'bottom: "{name}" ' for name in bottoms)
    links += "".join(f'top: "hard_{name}" ' for name in bottoms[2:])
    return inputs + f"""layer {{ name: "mine" type: "Python" {links} python_param {{
        module: "roi_data_layer.layer" layer: "OHEMDataLayer" param_str: "'num_classes': 3" }} }}"""


def chosen(tmp_path, values, **options):
    """The targets' first column, which numbers the rois, of those kept."""
    (tmp_path / "net.prototxt").write_text(net_text(list(SHAPES)))
    with cfg_override(TRAIN=options):
        net = caffe.Net(str(tmp_path / "net.prototxt"), caffe.TRAIN)
        out = net.forward(**{name: np.asarray(v, np.float32) for name, v in values.items()})
    assert all(out[f"hard_{name}"].shape[1:] == SHAPES[name][1:] for name in SIDES)
    return out["hard_targets"][:, 0].tolist()


@pytest.fixture
def values():
    """Five rois far apart; losses log 2, log 4, log 2 + 1.5, log 8, 0; row 2 is of class 1."""
    box = np.zeros((5, 12))
    made = {"prob": [[.5, .5, 0], [.25, 0, .75], [0, .5, .5], [.125, 0, 0], [1, 0, 0]],
            "deltas": box.copy(), "targets": box.copy(), "inside": box.copy(), "labels":
            [0, 0, 1, 0, 0], "rois": [[0, x, 0, x + 9, 9] for x in (0, 20, 40, 60, 80)]}
    made["targets"][:, 0] = np.arange(5)
    made["inside"][2, 4], made["deltas"][2, 4] = 1, 2
    return {**made, "outside": (made["inside"] > 0)}


def test_the_hardest_stay(tmp_path, values):
    assert math.log(2) + 1.5 > math.log(8) > math.log(4)
    assert chosen(tmp_path, values, BATCH_SIZE=3) == [2, 3, 1]
    assert chosen(tmp_path, values, BATCH_SIZE=9, OHEM_USE_NMS=False) == [2, 3, 1, 0, 4]


def test_overlapping_rois_count_once_per_image_and_label(tmp_path, values):
    values["rois"] = [[0, 0, 0, 9, 9]] * 5
    assert chosen(tmp_path, values, BATCH_SIZE=9) == [2, 3]
    assert chosen(tmp_path, values, BATCH_SIZE=9, OHEM_USE_NMS=False) == [2, 3, 1, 0, 4]
    values["rois"] = [[1, 0, 0, 9, 9]] + [[0, 0, 0, 9, 9]] * 4
    assert chosen(tmp_path, values, BATCH_SIZE=9) == [2, 3, 0]


def test_wrong_number_of_blobs(tmp_path):
    (tmp_path / "net.prototxt").write_text(net_text(list(SHAPES)[:4]))
    with pytest.raises((CaffeError, ValueError), match="7 bottoms and 5 tops were expected; found "
                                                       "4 and 2"):
        caffe.Net(str(tmp_path / "net.prototxt"), caffe.TRAIN)


def test_the_data_layer_gives_all_rois():
    with cfg_override(TRAIN={"USE_OHEM": True, "BATCH_SIZE": 64}):
        assert MinibatchOptions.from_cfg().rois.batch_size == -1


def test_both_heads_follow_the_class_count(tmp_path):
    def head(suffix, outputs=(21, 84)):
        return "".join(f"""layer {{ name: "{name}{suffix}" type: "InnerProduct" bottom: "x"
            top: "{name}{suffix}" param {{ name: "{name}_w" }} param {{ name: "{name}_b" }}
            inner_product_param {{ num_output: {n} }} }}""" for name, n in
            zip(("cls_score", "bbox_pred"), outputs))
    text = head("_readonly") + """layer { name: "mine" type: "Python" top: "r" top: "hard"
        python_param { layer: "OHEMDataLayer" param_str: "'num_classes': 21" } }""" + head("") + """
        layer { name: "loss" type: "SoftmaxWithLoss" bottom: "cls_score" bottom: "hard" top: "l" }
        layer { name: "other" type: "InnerProduct" param { name: "w" }
                inner_product_param { num_output: 21 } }"""
    (tmp_path / "net.prototxt").write_text(text)
    net = prototxt.read_net(str(tmp_path / "net.prototxt"))
    net, changes = change_net(net, NetOptions(3), "net")
    assert [layer.inner_product_param.num_output for layer in net.layer
            if layer.type == "InnerProduct"] == [3, 12, 3, 12, 21]
    assert "layer bbox_pred_readonly: 12 outputs instead of 84" in changes and len(changes) == 5

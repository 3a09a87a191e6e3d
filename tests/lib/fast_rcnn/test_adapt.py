"""The class count of a net follows the data set, wherever the net states it."""
import os

import pytest

from caffe.files import prototxt
from faster_rcnn.networks.store import find
from faster_rcnn.prototxts.adapt import adapt_file
from faster_rcnn.prototxts.changes import change_net
from faster_rcnn.prototxts.options import NetOptions
from faster_rcnn.settings.config import cfg

NETS = ("ZF", "VGG_CNN_M_1024", "VGG16", "SqueezeNet", "Tiny")
NAMES = ("stage1_rpn_train.pt", "stage1_fast_rcnn_train.pt", "stage2_rpn_train.pt",
         "stage2_fast_rcnn_train.pt", "rpn_test.pt", "faster_rcnn_test.pt")

OTHER_NAMES = """
layer { name: "d" type: "Python" top: "data" top: "rois" top: "labels" top: "t" top: "i" top: "o"
  python_param { module: "roi_data_layer.layer" layer: "RoIDataLayer"
                 param_str: "{num_classes: 21}" } }
layer { name: "classify" type: "InnerProduct" bottom: "data" top: "logits"
  inner_product_param { num_output: 21 } }
layer { name: "regress" type: "InnerProduct" bottom: "data" top: "bbox_pred"
  inner_product_param { num_output: 84 } }
layer { name: "other" type: "InnerProduct" bottom: "data" top: "other"
  inner_product_param { num_output: 21 } }
layer { name: "cost" type: "SoftmaxWithLoss" bottom: "logits" bottom: "labels" top: "cost" }
"""


def stated(net):
    """Every number in a net that depends on the class count, by layer."""
    found = {}
    for layer in net.layer:
        if layer.type == "Python" and "num_classes" in layer.python_param.param_str:
            found[layer.name] = layer.python_param.param_str
        elif layer.name in ("cls_score", "bbox_pred"):
            found[layer.name] = layer.inner_product_param.num_output
    return found


@pytest.mark.parametrize("net", NETS)
@pytest.mark.parametrize("name", NAMES)
def test_every_shipped_net(net, name, tmp_path):
    path = find(os.path.join(cfg.MODELS_DIR, net, "faster_rcnn_alt_opt", name), cfg.ROOT_DIR)
    before = stated(prototxt.read_net(path))
    after = stated(adapt_file(path, str(tmp_path / name), 4))
    right = {"cls_score": 4, "bbox_pred": 16}
    assert after == {layer: right.get(layer, "'num_classes': 4") for layer in before}
    assert stated(prototxt.read_net(str(tmp_path / name))) == after


def test_nothing_else_changes(tmp_path):
    path = os.path.join(cfg.MODELS_DIR, "VGG16", "faster_rcnn_alt_opt", NAMES[1])
    net = prototxt.read_net(path)
    assert change_net(net, NetOptions(21), "net").sentences == []
    assert net == prototxt.read_net(path)
    adapt_file(path, str(tmp_path / "copy.pt"), 21)
    assert prototxt.read_net(str(tmp_path / "copy.pt")) == net


def test_other_layer_names_are_found_by_what_they_feed():
    net = prototxt.read_net_text(OTHER_NAMES)
    net, changes = change_net(net, NetOptions(4), "net")
    outputs = {layer.name: layer.inner_product_param.num_output for layer in net.layer}
    assert (outputs["classify"], outputs["regress"], outputs["other"]) == (4, 16, 21)
    assert net.layer[0].python_param.param_str == "{num_classes: 4}"
    assert len(changes) == 3 and all("layer " in change for change in changes)


def test_what_cannot_be_adapted_is_refused_in_one_line():
    text = OTHER_NAMES.replace('"InnerProduct" bottom: "data" top: "logits"',
                               '"Convolution" bottom: "data" top: "logits"')
    text = text.replace("inner_product_param { num_output: 21 } }",
                        "convolution_param { num_output: 21 kernel_size: 1 } }", 1)
    with pytest.raises(ValueError) as caught:
        change_net(prototxt.read_net_text(text), NetOptions(4), "mine.pt")
    message = str(caught.value)
    assert "\n" not in message
    for word in ("mine.pt", "21", "4", '"classify"', "Convolution"):
        assert word in message
    assert change_net(prototxt.read_net_text(text), NetOptions(21), "mine.pt").sentences == []

"""The anchors of a net follow cfg.ANCHOR_*, wherever the net states them."""
import os

import numpy as np
import pytest
from test_adapt import NAMES, NETS

import caffe
from caffe.files import prototxt
from faster_rcnn.anchors.grid import AnchorGrid
from faster_rcnn.anchors.options import AnchorOptions
from faster_rcnn.files import safe_yaml
from faster_rcnn.networks.store import find
from faster_rcnn.prototxts.adapt import adapt_file
from faster_rcnn.prototxts.changes import change_net
from faster_rcnn.prototxts.options import NetOptions
from faster_rcnn.settings.config import (
    ConfigValueError,
    cfg,
    cfg_from_file,
    cfg_from_list,
    cfg_override,
)

OTHER_NAMES = """
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: [1, 8, 9, 9] } } }
layer { name: "s" type: "Convolution" bottom: "data" top: "objectness"
  convolution_param { num_output: 18 kernel_size: 1 } }
layer { name: "d" type: "Convolution" bottom: "data" top: "shifts"
  convolution_param { num_output: 36 kernel_size: 1 } }
layer { name: "t" type: "Python" bottom: "objectness" bottom: "gt" bottom: "info" bottom: "data"
  top: "l" top: "t" top: "i" top: "o" python_param { module: "rpn.anchor_target_layer"
  layer: "AnchorTargetLayer" param_str: "'feat_stride': 16\\n'scales': !!python/tuple [8, 16]" } }
layer { name: "loss" type: "SmoothL1Loss" bottom: "shifts" bottom: "t" bottom: "i" bottom: "o"
  top: "loss" }
"""


def rpn_of(net):
    """What a net says of its anchors: outputs by blob, parsed param_strs, reshaped channels."""
    outputs = {layer.top[0]: layer.convolution_param.num_output for layer in net.layer
               if layer.name in ("rpn_cls_score", "rpn_bbox_pred")}
    params = [safe_yaml.load(layer.python_param.param_str) for layer in net.layer
              if layer.type == "Python" and "feat_stride" in layer.python_param.param_str]
    channels = [layer.reshape_param.shape.dim[1] for layer in net.layer
                if layer.name == "rpn_cls_prob_reshape"]
    return outputs, params, channels


@pytest.mark.parametrize("net", NETS)
@pytest.mark.parametrize("name", NAMES)
def test_every_shipped_net(net, name, tmp_path):
    path = find(os.path.join(cfg.MODELS_DIR, net, "faster_rcnn_alt_opt", name), cfg.ROOT_DIR)
    strides = [params["feat_stride"] for params in rpn_of(prototxt.read_net(path))[1]]
    with cfg_override(ANCHOR_SCALES=[2, 4.5, 9, 11, 15], ANCHOR_RATIOS=[1, 3], ANCHOR_BASE=8):
        outputs, params, channels = rpn_of(adapt_file(path, str(tmp_path / name), 21))
    assert outputs == {"rpn_cls_score": 20, "rpn_bbox_pred": 40}
    assert channels == ([20] if "test" in name else [])
    assert params == [{"feat_stride": stride, "scales": [2, 4.5, 9, 11, 15], "ratios": [1, 3],
                       "base_size": 8} for stride in strides]
    assert len(params) == ("fast_rcnn_train" not in name)


def test_without_settings_nothing_changes():
    net = prototxt.read_net(os.path.join(cfg.MODELS_DIR, "Tiny", "faster_rcnn_alt_opt", NAMES[0]))
    before = net.SerializeToString()
    assert change_net(net, NetOptions(), "net").sentences == []
    assert net.SerializeToString() == before


def test_what_is_not_set_stays_as_the_net_says():
    net = prototxt.read_net_text(OTHER_NAMES)
    net, changes = change_net(net, NetOptions(anchors=AnchorOptions(ratios=(1,))), "net")
    assert [layer.convolution_param.num_output for layer in net.layer[1:3]] == [4, 8]
    assert safe_yaml.load(net.layer[3].python_param.param_str) == {
        "feat_stride": 16, "scales": [8, 16], "ratios": [1]}
    assert len(changes) == 3


def test_the_adapted_net_makes_the_wanted_proposals(tmp_path):
    path = os.path.join(cfg.MODELS_DIR, "Tiny", "faster_rcnn_alt_opt", "rpn_test.pt")
    options = {"ANCHOR_SCALES": [2], "ANCHOR_RATIOS": [0.25, 4], "TEST": {
        "RPN_PRE_NMS_TOP_N": -1, "RPN_POST_NMS_TOP_N": -1, "RPN_NMS_THRESH": 1.0}}
    with cfg_override(**options):
        adapt_file(path, str(tmp_path / "net.pt"), 3)
        net = caffe.Net(str(tmp_path / "net.pt"), caffe.TEST)
        for blob in net.params["rpn_bbox_pred"]:
            blob.data[...] = 0
        net.blobs["data"].reshape(1, 3, 160, 160)
        rois = net.forward(data=np.zeros((1, 3, 160, 160), np.float32),
                           im_info=np.array([[160, 160, 1]], np.float32))["rois"]
    grid = AnchorGrid(8, [2], [.25, 4])(20, 20, "cpu").numpy()
    wanted = np.clip(grid + [0, 0, 1, 1], 0, 159)    # decoding makes x1 + width of x2
    sides = wanted[:, 2:] - wanted[:, :2] + 1
    wanted = wanted[(sides >= 16).all(axis=1)]
    assert len(wanted) == len(rois) > 300
    assert sorted(map(tuple, rois[:, 1:])) == sorted(map(tuple, wanted))


def test_what_cannot_be_adapted_is_refused():
    path = os.path.join(cfg.MODELS_DIR, "Tiny", "faster_rcnn_alt_opt", "stage1_fast_rcnn_train.pt")
    with cfg_override(ANCHOR_RATIOS=[1]), pytest.raises(ValueError, match="both be set"):
        change_net(prototxt.read_net(path), NetOptions.from_cfg(3), "net")
    text = OTHER_NAMES.replace('"Convolution" bottom: "data" top: "objectness"',
                               '"InnerProduct" bottom: "data" top: "objectness"')
    with pytest.raises(ValueError, match='net: layer "s" .InnerProduct. cannot be given 4 outputs'):
        change_net(prototxt.read_net_text(text), NetOptions(anchors=AnchorOptions(ratios=(1,))),
                   "net")


def test_settings_are_checked(tmp_path):
    with cfg_override():
        cfg_from_list(["ANCHOR_SCALES", "[2, 4.5]", "ANCHOR_BASE", "8"])
        assert (cfg.ANCHOR_SCALES, cfg.ANCHOR_RATIOS, cfg.ANCHOR_BASE) == ((2, 4.5), (), 8)
    (tmp_path / "c.yml").write_text("ANCHOR_RATIOS: []\nANCHOR_SCALES: ''\n")
    with cfg_override():
        cfg_from_file(str(tmp_path / "c.yml"))
        assert (cfg.ANCHOR_SCALES, cfg.ANCHOR_RATIOS) == ((), ())
    for value in ("['a']", "3", "[True]", "text"):
        with cfg_override(), pytest.raises(ConfigValueError, match="a list of numbers, or empty"):
            cfg_from_list(["ANCHOR_SCALES", value])
    with cfg_override(ANCHOR_SCALES=[-1]):
        with pytest.raises(ConfigValueError, match="ANCHOR_SCALES must be positive"):
            AnchorOptions.from_cfg()

"""Detectors of every kind with made weights, whose numbers spread as those of trained ones."""
import os

import numpy as np
import small_ssd
from measure.made_nets import fill, spread_outputs

import caffe
from caffe.files import prototxt
from faster_rcnn.detection.options import TestOptions
from faster_rcnn.export.checks.comparison import matched
from faster_rcnn.export.checks.net_detectors import net_detector
from faster_rcnn.export.making import class_names
from faster_rcnn.export.options import ExportOptions
from faster_rcnn.prototxts.adapt import adapt_file
from faster_rcnn.settings.config import cfg, cfg_override

SIZES = [(120, 160), (97, 61)]
RPN_TEST = {"HAS_RPN": True, "SCALES": [90], "MAX_SIZE": 140, "RPN_MIN_SIZE": 4,
            "RPN_POST_NMS_TOP_N": 40, "RPN_PRE_NMS_TOP_N": 200}
GIVEN_TEST = {"HAS_RPN": False, "SCALES": [90], "MAX_SIZE": 140}
NETS = {
    "faster_rcnn": ("Tiny/faster_rcnn_alt_opt/faster_rcnn_test.pt", RPN_TEST),
    "joint": ("Tiny/faster_rcnn_end2end/test.prototxt", {**RPN_TEST, "SCALE_MULTIPLE_OF": 32}),
    "fast_rcnn": ("Tiny/fast_rcnn/test.prototxt", GIVEN_TEST),
    "no_bbox_reg": ("Tiny/fast_rcnn/no_bbox_reg/test.prototxt", {**GIVEN_TEST, "BBOX_REG": False}),
    "rfcn": ("ResNet-50/rfcn_end2end/test_agnostic.prototxt",
             {**RPN_TEST, "AGNOSTIC": True, "SCALES": [64], "MAX_SIZE": 96}),
}


def proposals(rng, height, width):
    """Sixty boxes in a picture, some of them equal or nearly so."""
    corners = np.sort(rng.uniform(0, 1, (40, 2, 2)), 1).reshape(-1, 4)
    boxes = (corners * (width - 1, height - 1, width - 1, height - 1)).astype(np.float32)
    return np.concatenate([boxes, boxes[:10], np.clip(boxes[:10] + 0.5, 0, None)])


def made_net(kind, rng, folder):
    """A net of NETS, or the small SSD, with random weights."""
    if kind == "ssd":
        net = caffe.Net(prototxt.read_net_text(small_ssd.net_text()), caffe.TEST)
    else:
        path = os.path.join(cfg.MODELS_DIR, NETS[kind][0])
        if kind == "rfcn":      # anchors that are not all clipped to small pictures
            source, path = path, os.path.join(folder, "rfcn.pt")
            with cfg_override(ANCHOR_SCALES=[1, 2, 3]):
                adapt_file(source, path, 21)
        net = caffe.Net(path, caffe.TEST)
    fill(net, rng)
    return net


def made_detector(kind, rng, folder):
    """(net, ExportOptions, [picture] or [picture, proposals] for each of SIZES); inside of
    settings(kind)."""
    net = made_net(kind, rng, folder)
    options = ExportOptions(TestOptions.from_cfg(), class_names(net, None), 0.06, 30)
    inputs = [[rng.integers(0, 256, (*size, 3), dtype=np.uint8)] for size in SIZES]
    if not options.test.has_rpn and kind != "ssd":
        for given, size in zip(inputs, SIZES):
            given.append(proposals(rng, *size))
    spread_outputs(net, net_detector(net, options), inputs[0])
    return net, options, inputs


def settings(kind):
    """The settings of the test of a kind of detector, as a context."""
    return cfg_override(TEST=NETS[kind][1] if kind in NETS else {})


def assert_alike(ours, theirs):
    """Detected of two programs hold the same boxes and scores."""
    assert len(ours.labels) == len(theirs.labels) > 0
    for k in np.unique(ours.labels):
        pair = [np.concatenate([found.boxes, found.scores[:, None]], 1)[found.labels == k]
                for found in (ours, theirs)]
        assert matched(*pair)[0] == 0, f"class {k}: {pair}"

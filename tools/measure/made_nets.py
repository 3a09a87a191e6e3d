"""Detectors with made weights, whose numbers spread as those of trained ones.

    net = caffe.Net(ssd300(classes), caffe.TEST)
    fill(net, rng)
    spread_outputs(net, detect, [picture])
"""
import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import caffe
from caffe.files import prototxt
from caffe.net_spec import NetSpec
from caffe.net_spec import layers as L
from caffe.proto.caffe_pb2 import NetParameter
from faster_rcnn.networks.backbones.layers import conv, conv_relu, max_pool, no_rates
from faster_rcnn.networks.backbones.vgg import vgg16_features
from faster_rcnn.networks.store import find
from faster_rcnn.prototxts.changes import change_net
from faster_rcnn.prototxts.options import NetOptions
from faster_rcnn.settings.config import cfg

RFCN = os.path.join("models", "pascal_voc", "ResNet-50", "rfcn_end2end", "test_agnostic.prototxt")
VARIANCES = [0.1, 0.1, 0.2, 0.2]
# of SSD300: map, its blob, smallest and largest prior, further ratios, stride
MAPS = (("conv4_3_norm", 30, 60, [2], 8), ("fc7", 60, 111, [2, 3], 16),
        ("conv6_2", 111, 162, [2, 3], 32), ("conv7_2", 162, 213, [2, 3], 64),
        ("conv8_2", 213, 264, [2], 100), ("conv9_2", 264, 315, [2], 300))
# ends of the names of layers with scores and deltas, and how much their outputs shall vary
SPREADS = {"cls_score": 2, "rfcn_cls": 8, "bbox_pred": 0.3, "rfcn_bbox": 1, "_conf": 1.5,
           "_loc": 1}


def fill(net: caffe.Net, rng: np.random.Generator) -> None:
    """Random weights with which a net's numbers neither vanish nor grow from layer to layer."""
    types = {layer.name: layer.type for layer in net.layers}
    for name, blobs in net.params.items():
        weight = blobs[0].data
        if types[name] == "BatchNorm":
            blobs[0].data[...] = 0
            blobs[1].data[...] = blobs[2].data[...] = 1
        elif types[name] == "Scale":
            weight[...] = 0.3 if name.endswith("branch2c") else 1
        elif types[name] != "Normalize":
            weight[...] = rng.normal(0, np.sqrt(2 / np.prod(weight.shape[1:])), weight.shape)


def spread_outputs(net: caffe.Net, detect: Callable[..., Any], inputs: Sequence[Any]) -> None:
    """Scales the layers of scores and deltas, so that a picture has scores and boxes of all kinds.

    detect: a function of `inputs` that runs the net.
    """
    for name in net.params:
        wanted = next((spread for end, spread in SPREADS.items() if name.endswith(end)), None)
        if wanted is not None:
            detect(*inputs)
            net.params[name][0].data[...] *= wanted / net.blobs[name].data.std()


def rfcn(num_classes: int) -> NetParameter:
    """The test net of R-FCN with ResNet-50, whose classes share their boxes (TEST.AGNOSTIC).

    num_classes: with the background.
    """
    net = prototxt.read_net(find(RFCN, cfg.ROOT_DIR))
    return change_net(net, NetOptions.from_cfg(num_classes), RFCN).net


def ssd300(num_classes: int) -> NetParameter:
    """SSD300 on VGG16 (Liu et al. 2016). num_classes: with the background."""
    net = NetSpec()
    net.data = L.Input(name="data", shape={"dim": [1, 3, 300, 300]})
    _ssd_features(net)
    for name, smallest, largest, ratios, step in MAPS:
        priors = 2 + 2 * len(ratios)
        for end, each in (("_loc", 4), ("_conf", num_classes)):
            top = conv(net, name + end, name, priors * each, 3, no_rates, pad=1)
            net[top + "_perm"] = L.Permute(net[top], permute_param={"order": [0, 2, 3, 1]})
            net[top + "_flat"] = L.Flatten(net[top + "_perm"], flatten_param={"axis": 1})
        net[name + "_priors"] = L.PriorBox(net[name], net.data, prior_box_param={
            "min_size": [smallest], "max_size": [largest], "aspect_ratio": ratios, "flip": True,
            "clip": False, "variance": VARIANCES, "step": step, "offset": 0.5})
    _ssd_detections(net, num_classes)
    message = net.to_proto()
    message.name = "SSD300"
    return message


def _ssd_features(net: NetSpec) -> None:
    """The maps that SSD300 looks at, under the names in MAPS."""
    top = vgg16_features(net, no_rates)
    net.conv4_3_norm = L.Normalize(net.relu4_3, norm_param={
        "across_spatial": False, "channel_shared": False,
        "scale_filler": {"type": "constant", "value": 20}})
    top = max_pool(net, "pool5", top, 3, 1, pad=1)
    top = conv_relu(net, "fc6", top, 1024, 3, no_rates, "relu6", pad=6, dilation=6)
    top = conv_relu(net, "fc7", top, 1024, 1, no_rates, "relu7")
    for number, narrow, wide, stride in ((6, 256, 512, 2), (7, 128, 256, 2), (8, 128, 256, 1),
                                         (9, 128, 256, 1)):
        top = conv_relu(net, f"conv{number}_1", top, narrow, 1, no_rates, f"relu{number}_1")
        top = conv_relu(net, f"conv{number}_2", top, wide, 3, no_rates, f"relu{number}_2",
                        stride=stride, pad=stride - 1)


def _ssd_detections(net: NetSpec, num_classes: int) -> None:
    """The layers from the maps' scores and offsets to detections."""
    for top, ends, axis in (("mbox_loc", "_loc_flat", 1), ("mbox_conf", "_conf_flat", 1),
                            ("mbox_priorbox", "_priors", 2)):
        net[top] = L.Concat(*(net[entry[0] + ends] for entry in MAPS), concat_param={"axis": axis})
    net.mbox_conf_rows = L.Reshape(net.mbox_conf, reshape_param={
        "shape": {"dim": [0, -1, num_classes]}})
    net.mbox_conf_softmax = L.Softmax(net.mbox_conf_rows, softmax_param={"axis": 2})
    net.mbox_conf_share = L.Flatten(net.mbox_conf_softmax, flatten_param={"axis": 1})
    net.detection_out = L.DetectionOutput(
        net.mbox_loc, net.mbox_conf_share, net.mbox_priorbox, detection_output_param={
            "num_classes": num_classes, "share_location": True, "background_label_id": 0,
            "nms_param": {"nms_threshold": 0.45, "top_k": 400}, "code_type": "CENTER_SIZE",
            "keep_top_k": 200, "confidence_threshold": 0.01})

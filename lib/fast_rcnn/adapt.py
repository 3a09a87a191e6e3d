"""Prototxts follow the data set: the class count is set in every place of a net that states it.
Its anchors follow the settings, see adapt_anchors.py.

A net for K classes (background included) states K in the `num_classes` of its Python layers, in the
layer of the class scores (K outputs) and in the layer of the box deltas (4K outputs). The two are
found by what the detector does with them: deltas are the blob `bbox_pred`; scores are what the blob
`cls_prob` (test) or the loss against the labels (training) is made from, whatever their layers are
called.
"""
import logging
import os
import re

import caffe
from caffe import prototxt
from fast_rcnn.adapt_anchors import AnchorOptions, adapt_anchors
from fast_rcnn.config import get_output_dir
from utils.files import write_text
from utils.prototxt_text import makers_of, net_text

log = logging.getLogger(__name__)

NUM_CLASSES = re.compile(r"(num_classes['\"]?\s*:\s*)(\d+)")
# Python layers that hand out the labels of rois: index of that top
LABELS_TOP = {"RoIDataLayer": 2, "ProposalTargetLayer": 1}


def adapted_test_net(source, weights, imdb):
    """A test net with weights, named after their file, for the classes of an imdb.

    The adapted prototxt goes to the net's results folder, get_output_dir(imdb, net).
    """
    name = os.path.splitext(os.path.basename(weights))[0]
    folder = os.path.join(get_output_dir(imdb), name)
    os.makedirs(folder, exist_ok=True)
    path = os.path.join(folder, os.path.basename(source))
    adapt_file(source, path, imdb.num_classes)
    net = caffe.Net(path, weights, caffe.TEST)
    net.name = name
    return net


def adapt_file(source, target, num_classes):
    """Reads the net `source`, adapts it to `num_classes` and writes it to `target`.

    Returns the adapted NetParameter. Raises PrototxtError, or ValueError when the net states
    another class count in a layer that cannot be changed safely.
    """
    name = os.path.basename(source)
    net = prototxt.read_net(source)
    for change in adapt(net, num_classes, name):
        log.info("%s: %s", name, change)
    header = f"# {name} for {num_classes} classes (background included)\n"
    write_text(target, header + net_text(net))
    return net


def adapt(net, num_classes, name):
    """Sets the class count everywhere in a NetParameter, and the anchors of cfg.ANCHOR_*.

    name: what error messages call the net. Returns a sentence per change.
    """
    changes = adapt_anchors(net, AnchorOptions.from_cfg(), name)
    stated = _stated_by_python_layers(net)
    changes += _set_num_classes(net, num_classes)
    for layers, outputs in ((_score_layers(net), num_classes),
                            (makers_of(net, "bbox_pred"), 4 * num_classes)):
        for layer in layers:
            if layer.type == "InnerProduct":
                changes += _set_outputs(layer, outputs)
            elif stated - {num_classes}:
                raise ValueError(
                    f'{name} is a net for {max(stated)} classes, the data set has {num_classes} '
                    f'(background included), and layer "{layer.name}" ({layer.type}) cannot be '
                    "adapted: only InnerProduct layers can; edit the prototxt")
    return changes


def _stated_by_python_layers(net):
    matches = (NUM_CLASSES.search(layer.python_param.param_str)
               for layer in net.layer if layer.type == "Python")
    return {int(match.group(2)) for match in matches if match}


def _set_num_classes(net, num_classes):
    changes = []
    for layer in net.layer:
        old = layer.python_param.param_str
        new = NUM_CLASSES.sub(lambda match: f"{match.group(1)}{num_classes}", old)
        if layer.type == "Python" and new != old:
            layer.python_param.param_str = new
            changes.append(f"layer {layer.name}: num_classes {num_classes}")
    return changes


def _set_outputs(layer, outputs):
    old = layer.inner_product_param.num_output
    layer.inner_product_param.num_output = outputs
    return [f"layer {layer.name}: {outputs} outputs instead of {old}"] if old != outputs else []


def _score_layers(net):
    """The layers that make the class scores: below cls_prob, or below the loss against labels."""
    labels = {layer.top[LABELS_TOP[layer.python_param.layer]] for layer in net.layer
              if layer.type == "Python"
              and LABELS_TOP.get(layer.python_param.layer, len(layer.top)) < len(layer.top)}
    scores = {layer.bottom[0] for layer in net.layer
              if (layer.type == "Softmax" and "cls_prob" in layer.top)
              or (layer.type.startswith("SoftmaxWithLoss") and set(layer.bottom[1:]) & labels)}
    return [maker for blob in sorted(scores) for maker in makers_of(net, blob)]

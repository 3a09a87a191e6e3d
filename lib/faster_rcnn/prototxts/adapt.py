"""Prototxts follow the data set: the class count is set in every place of a net that states it.
Its anchors follow the settings, see adapt_anchors.py.

A net for K classes (background included) states K in the `num_classes` of its Python layers, in the
layer of the class scores (K outputs) and in the layer of the box deltas (4K outputs). The two are
found by what the detector does with them (heads.py), whatever their layers are called. In between
may lie layers that keep the columns: Reshape, Pooling and PSROIPooling, below which a Convolution
has an output per column and bin (R-FCN). A net that regresses the boxes of all
classes alike has 8 columns of deltas, and layers for 2 classes, whatever the data set. Layers
that share their weights follow (OHEM).
"""
import logging
import math
import os
import re

import caffe
from caffe.files import prototxt
from faster_rcnn.files.atomic import write_text
from faster_rcnn.prototxts.adapt_anchors import AnchorOptions, adapt_anchors
from faster_rcnn.prototxts.heads import delta_blobs, score_blobs
from faster_rcnn.prototxts.text import makers_of, net_text
from faster_rcnn.settings.config import get_output_dir

log = logging.getLogger(__name__)

NUM_CLASSES = re.compile(r"(num_classes['\"]?\s*:\s*)(\d+)")
KEEPING_COLUMNS = ("Softmax", "Reshape", "Pooling", "PSROIPooling")
AGNOSTIC_COLUMNS = 8


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
    before = _outputs_by_name(net)
    stated = _stated_by_python_layers(net)
    scores = [chain for blob in score_blobs(net) for chain in _chains(net, blob)]
    boxes = [chain for blob in delta_blobs(net) for chain in _chains(net, blob)]
    agnostic = _is_agnostic(scores, boxes)
    changes += _set_num_classes(net, num_classes, agnostic)
    for chains, outputs in ((scores, num_classes),
                            (boxes, AGNOSTIC_COLUMNS if agnostic else 4 * num_classes)):
        for chain in chains:
            if _columns(chain) is not None:
                changes += _set_columns(chain, outputs)
            elif stated - {num_classes}:
                raise ValueError(
                    f'{name} is a net for {max(stated)} classes, the data set has {num_classes} '
                    f'(background included), and layer "{chain[0].name}" ({chain[0].type}) cannot '
                    "be adapted: only InnerProduct layers and what R-FCN is made of can; edit the "
                    "prototxt")
    return changes + _follow_shared_weights(net, before)


def _stated_by_python_layers(net):
    matches = (NUM_CLASSES.search(layer.python_param.param_str)
               for layer in net.layer if layer.type == "Python")
    return {int(match.group(2)) for match in matches if match}


def _set_num_classes(net, num_classes, agnostic):
    """Layers that know of 2 classes stay as they are in an agnostic net."""
    changes = []
    for layer in net.layer:
        old = layer.python_param.param_str
        stated = NUM_CLASSES.search(old)
        if layer.type != "Python" or not stated or agnostic and int(stated.group(2)) == 2:
            continue
        new = NUM_CLASSES.sub(lambda match: f"{match.group(1)}{num_classes}", old)
        if new != old:
            layer.python_param.param_str = new
            changes.append(f"layer {layer.name}: num_classes {num_classes}")
    return changes


def _set_outputs(layer, outputs):
    old = layer.inner_product_param.num_output
    layer.inner_product_param.num_output = outputs
    return [f"layer {layer.name}: {outputs} outputs instead of {old}"] if old != outputs else []


def _outputs_by_name(net):
    return {layer.name: layer.inner_product_param.num_output for layer in net.layer
            if layer.type == "InnerProduct"}


def _follow_shared_weights(net, before):
    """Layers with the weights of one whose outputs have changed get as many.

    before: {layer: outputs} before the change.
    """
    sharing = [layer for layer in net.layer if layer.name in before
               and layer.param and layer.param[0].name]
    outputs = {layer.param[0].name: layer.inner_product_param.num_output for layer in sharing
               if layer.inner_product_param.num_output != before[layer.name]}
    return [change for layer in sharing if layer.param[0].name in outputs
            for change in _set_outputs(layer, outputs[layer.param[0].name])]


def _chains(net, blob):
    """For each maker of a blob: the layers from the one with the parameters to the blob."""
    chains = []
    for maker in makers_of(net, blob):
        chain = [maker]
        while chain[0].type in KEEPING_COLUMNS and (below := makers_of(net, chain[0].bottom[0])):
            chain.insert(0, below[0])
        chains.append(chain)
    return chains


def _bins(chain):
    """Bins of a roi that a chain pools by maps of their own; 1 without PSROIPooling."""
    return math.prod(layer.psroi_pooling_param.group_size ** 2 for layer in chain
                     if layer.type == "PSROIPooling")


def _columns(chain):
    """The columns that a chain ends with; None when its first layer cannot be changed."""
    if chain[0].type == "InnerProduct":
        return chain[0].inner_product_param.num_output
    if chain[0].type == "Convolution" and _bins(chain) > 1:
        return chain[0].convolution_param.num_output // _bins(chain)
    return None


def _is_agnostic(scores, boxes):
    return (any(_columns(chain) == AGNOSTIC_COLUMNS for chain in boxes)
            and all(_columns(chain) != AGNOSTIC_COLUMNS // 4 for chain in scores))


def _set_columns(chain, columns):
    """Writes the columns into all layers of a chain."""
    old, first = _columns(chain), chain[0]
    if old == columns:
        return []
    if first.type == "InnerProduct":
        first.inner_product_param.num_output = columns
    else:
        first.convolution_param.num_output = columns * _bins(chain)
    for layer in chain[1:]:
        if layer.type == "PSROIPooling":
            layer.psroi_pooling_param.output_dim = columns
        elif layer.type == "Reshape":
            dims = layer.reshape_param.shape.dim
            dims[:] = [columns if dim == old else dim for dim in dims]
    return [f"layer {first.name}: {columns} columns instead of {old}"]

"""What a data set and the anchors make of a net: one function, for nets of any origin.

A net for K classes (background included) states K in the `num_classes` of its Python layers, in the
layer of the class scores (K outputs) and in the layer of the box deltas (4 K outputs). A net that
regresses the boxes of all classes alike (agnostic) has 8 columns of deltas, and the layer that
hands out their targets knows of 2 classes, whatever the data set. A net with A anchors states them
as anchor_layers.py says. Layers that share their weights by name have equal outputs.
"""
import re
from typing import NamedTuple

from caffe.proto.caffe_pb2 import LayerParameter, NetParameter
from faster_rcnn.anchors.options import AnchorOptions
from faster_rcnn.prototxts.anchor_layers import anchor_heads, anchor_layers, num_anchors, params_of
from faster_rcnn.prototxts.columns import Head, heads_of, joins_columns, outputs_of, set_outputs
from faster_rcnn.prototxts.heads import delta_blobs, hands_out_targets, score_blobs
from faster_rcnn.prototxts.options import NetOptions

NUM_CLASSES = re.compile(r"(num_classes['\"]?\s*:\s*)(\d+)")
AGNOSTIC_CLASSES = 2
AGNOSTIC_COLUMNS = 4 * AGNOSTIC_CLASSES


class UnchangeableNetError(ValueError):
    """A net that states a number where it cannot be changed safely; edit the prototxt."""


class Changed(NamedTuple):
    """A net as it is wanted, and a sentence per change."""

    net: NetParameter
    sentences: list[str]


def change_net(net: NetParameter, options: NetOptions, name: str) -> Changed:
    """A copy of a net with the class count and the anchors of the options wherever it states them.

    name: what error messages call the net. Raises UnchangeableNetError where another class count is
    stated than can be set, or a layer cannot follow the anchors; ValueError where the number of
    anchors cannot be known.
    """
    changed = NetParameter()
    changed.CopyFrom(net)
    before = [outputs_of(layer) for layer in changed.layer]
    classes = _ClassHeads.of(changed, options)
    sentences = _anchors(changed, options.anchors, name)
    if options.num_classes is not None:
        sentences += _num_classes(changed, options.num_classes, classes.agnostic)
        sentences += _class_columns(net, classes, options.num_classes, name)
    return Changed(changed, sentences + _shared_weights(changed, before))


class _ClassHeads(NamedTuple):
    """The heads of class scores and box deltas, each with the columns it has now."""

    scores: list[tuple[Head, int | None]]
    boxes: list[tuple[Head, int | None]]
    agnostic: bool

    @classmethod
    def of(cls, net, options):
        scores, boxes = ([(head, _columns(head)) for blob in blobs for head in heads_of(net, blob)]
                         for blobs in (score_blobs(net), delta_blobs(net)))
        agnostic = (AGNOSTIC_COLUMNS in (columns for _, columns in boxes)
                    and (options.agnostic
                         or AGNOSTIC_CLASSES not in (columns for _, columns in scores)))
        return cls(scores, boxes, agnostic)


def _anchors(net, options: AnchorOptions, name):
    """Sets param_strs, outputs and the Reshape layers of the RPN."""
    layers, (scores, deltas) = anchor_layers(net), anchor_heads(net)
    if not options.stated() or not (layers or scores):
        return []
    count = num_anchors(net, options, name)
    sentences = [f"layer {layer.name}: {layer.python_param.param_str}" for layer in layers
                 if _set_params(layer, options.stated(), name)]
    for head, outputs in [(head, 2 * count) for head in scores] + [(head, 4 * count)
                                                                   for head in deltas]:
        if head.source.type != "Convolution":
            raise UnchangeableNetError(
                f'{name}: layer "{head.source.name}" ({head.source.type}) cannot be given '
                f"{outputs} outputs for other anchors: only Convolution layers can; edit the "
                "prototxt")
    for head in scores:
        # below the first Reshape (and the Softmax) a score has two channels
        _set_reshapes([layer for layer in head.above if layer.type == "Reshape"][:1],
                      head.outputs, 2 * count)
    for heads, outputs in ((scores, 2 * count), (deltas, 4 * count)):
        for head in heads:
            sentences += _set_outputs(head.source, outputs)
    return sentences


def _set_params(layer: LayerParameter, given, name):
    """Writes the given names into a layer's param_str; returns whether anything changed."""
    old = params_of(layer, name)
    new = {**old, **given}
    if new != old:
        texts = (f"'{key}': {list(value) if isinstance(value, tuple) else value!r}"
                 for key, value in new.items())
        layer.python_param.param_str = f"{{{', '.join(texts)}}}"
    return new != old


def _num_classes(net, num_classes, agnostic):
    """Sets num_classes in param_strs."""
    sentences = []
    for layer in net.layer:
        old = layer.python_param.param_str
        stated = NUM_CLASSES.search(old)
        if layer.type != "Python" or not stated:
            continue
        keeps = int(stated.group(2)) == AGNOSTIC_CLASSES or hands_out_targets(layer)
        wanted = AGNOSTIC_CLASSES if agnostic and keeps else num_classes
        layer.python_param.param_str = NUM_CLASSES.sub(rf"\g<1>{wanted}", old)
        if layer.python_param.param_str != old:
            sentences.append(f"layer {layer.name}: num_classes {wanted}")
    return sentences


def _class_columns(original, classes: _ClassHeads, num_classes, name):
    """Sets the columns of class scores and box deltas."""
    stated = {int(match.group(2)) for layer in original.layer if layer.type == "Python"
              and (match := NUM_CLASSES.search(layer.python_param.param_str))}
    if classes.agnostic:
        stated.discard(AGNOSTIC_CLASSES)
    deltas = AGNOSTIC_COLUMNS if classes.agnostic else 4 * num_classes
    sentences = []
    for heads, wanted in ((classes.scores, num_classes), (classes.boxes, deltas)):
        for head, columns in heads:
            if columns is None and stated - {num_classes}:
                raise UnchangeableNetError(
                    f"{name} is a net for {max(stated)} classes, the data set has {num_classes} "
                    f'(background included), and layer "{head.source.name}" ({head.source.type}) '
                    f"cannot be adapted: {_why_not(head, wanted)}; edit the prototxt")
            if columns not in (None, wanted):
                sentences += _set_columns(head, columns, wanted)
    return sentences


def _why_not(head, wanted):
    if joins_columns(head.source):
        return f"its bottoms {', '.join(head.source.bottom)} must have {wanted} columns together"
    return "only InnerProduct layers and what R-FCN is made of can"


def _columns(head: Head):
    """The columns of scores or deltas that a head has; None when its source cannot be changed."""
    kind, outputs = head.source.type, head.outputs
    if outputs is None or not (kind == "InnerProduct" or kind == "Convolution" and head.bins > 1):
        return None
    return outputs // head.bins


def _set_columns(head: Head, old, new):
    """Writes the columns into the source of a head and the layers above it."""
    for layer in head.above:
        if layer.type == "PSROIPooling":
            layer.psroi_pooling_param.output_dim = new
    _set_reshapes(head.above, old, new)
    if head.outputs == new * head.bins:
        return []
    set_outputs(head.source, new * head.bins)
    return [f"layer {head.source.name}: {new} columns instead of {old}"]


def _set_reshapes(layers, old, new):
    for layer in layers:
        if layer.type == "Reshape":
            dims = layer.reshape_param.shape.dim
            dims[:] = [new if dim == old else dim for dim in dims]


def _set_outputs(layer, outputs):
    old = outputs_of(layer)
    if old == outputs:
        return []
    set_outputs(layer, outputs)
    return [f"layer {layer.name}: {outputs} outputs instead of {old}"]


def _shared_weights(net, before):
    """Layers with the weights of one whose outputs have changed get as many.

    before: per layer its outputs before the change.
    """
    sharing = [(layer, old) for layer, old in zip(net.layer, before)
               if old is not None and layer.param and layer.param[0].name]
    outputs = {layer.param[0].name: outputs_of(layer) for layer, old in sharing
               if outputs_of(layer) != old}
    return [sentence for layer, _ in sharing if layer.param[0].name in outputs
            for sentence in _set_outputs(layer, outputs[layer.param[0].name])]

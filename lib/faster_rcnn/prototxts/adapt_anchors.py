"""Prototxts follow cfg.ANCHOR_*: anchors are set in every place of a net that states them.

A net with A anchors per position names scales and ratios in the param_str of its RPN's Python
layers (those with a feat_stride), and has 2 A outputs in the layer of the blob `rpn_cls_score`, 4 A
in that of `rpn_bbox_pred`, and 2 A channels in the Reshape behind the probabilities. Layers of
other names are found by what they feed.
"""
from dataclasses import dataclass
from numbers import Real

from faster_rcnn.files import safe_yaml
from faster_rcnn.prototxts.text import makers_of
from faster_rcnn.settings.config import ConfigValueError, cfg

USUAL = {"scales": (8, 16, 32), "ratios": (0.5, 1, 2)}


@dataclass(frozen=True)
class AnchorOptions:
    """Scales, ratios and the base size; empty and 0: as the prototxt says."""

    scales: tuple = ()
    ratios: tuple = ()
    base_size: int = 0

    def __post_init__(self):
        for name, values in (("ANCHOR_SCALES", self.scales), ("ANCHOR_RATIOS", self.ratios)):
            if not all(isinstance(value, Real) and value > 0 for value in values):
                raise ConfigValueError(f"{name} must be positive numbers; received {list(values)}")
        if self.base_size < 0:
            raise ConfigValueError(f"ANCHOR_BASE must be positive; received {self.base_size}")

    @classmethod
    def from_cfg(cls):
        """The present settings."""
        return cls(tuple(cfg.ANCHOR_SCALES), tuple(cfg.ANCHOR_RATIOS), cfg.ANCHOR_BASE)

    def stated(self):
        """{name in param_str: value} of what is set."""
        options = {"base_size": self.base_size, "scales": list(self.scales),
                   "ratios": list(self.ratios)}
        return {name: value for name, value in options.items() if value}


def adapt_anchors(net, options, name):
    """Sets the anchors everywhere in a NetParameter; returns a sentence per change.

    name: what error messages call the net. Raises ValueError when the number of anchors cannot be
    known, or a layer cannot be changed.
    """
    given = options.stated()
    layers = _anchor_layers(net)
    if not given or not (layers or makers_of(net, "rpn_cls_score")):
        return []
    changes = [f"layer {layer.name}: {layer.python_param.param_str}"
               for layer in layers if _set_params(layer, given, name)]
    num_anchors = _num_anchors(layers, options, name)
    for blobs, outputs in ((_score_blobs(net, layers), 2 * num_anchors),
                           (_delta_blobs(net, layers), 4 * num_anchors)):
        for layer in [maker for blob in sorted(blobs) for maker in makers_of(net, blob)]:
            changes += _set_outputs(layer, outputs, name)
    for reshape in _probability_reshapes(net, layers):
        reshape.reshape_param.shape.dim[1] = 2 * num_anchors
    return changes


def anchor_params(net, name):
    """What the net's layers with anchors have in their param_str: a list of dictionaries."""
    return [_params(layer, name) for layer in _anchor_layers(net)]


def _anchor_layers(net):
    return [layer for layer in net.layer
            if layer.type == "Python" and "feat_stride" in layer.python_param.param_str]


def _params(layer, name):
    params = safe_yaml.load(layer.python_param.param_str, f'{name}: layer "{layer.name}"')
    if not isinstance(params, dict):
        raise ValueError(f'{name}: the param_str of layer "{layer.name}" is no mapping')
    return params


def _set_params(layer, given, name):
    """Writes the given names into a layer's param_str; returns whether anything changed."""
    old = _params(layer, name)
    new = {**old, **given}
    if new != old:
        texts = (f"'{key}': {list(value) if isinstance(value, tuple) else value!r}"
                 for key, value in new.items())
        layer.python_param.param_str = f"{{{', '.join(texts)}}}"
    return new != old


def _num_anchors(layers, options, name):
    """A: of the settings, and where they are silent of the net's Python layers."""
    stated = _params(layers[0], name) if layers else {}
    counts = []
    for key, values in (("scales", options.scales), ("ratios", options.ratios)):
        if not values and not layers:
            raise ValueError(f"{name} does not state its anchors, so ANCHOR_SCALES and "
                             "ANCHOR_RATIOS must both be set")
        counts.append(len(values or stated.get(key, USUAL[key])))
    return counts[0] * counts[1]


def _set_outputs(layer, outputs, name):
    if layer.type != "Convolution":
        raise ValueError(f'{name}: layer "{layer.name}" ({layer.type}) cannot be given {outputs} '
                         "outputs for other anchors: only Convolution layers can; edit the "
                         "prototxt")
    old = layer.convolution_param.num_output
    layer.convolution_param.num_output = outputs
    return [f"layer {layer.name}: {outputs} outputs instead of {old}"] if old != outputs else []


def _score_blobs(net, layers):
    """Blobs of the two scores per anchor."""
    blobs = {"rpn_cls_score"}
    for layer in layers:
        if len(layer.top) >= 4:                         # AnchorTargetLayer
            blobs.add(layer.bottom[0])
        else:                                           # ProposalLayer, behind softmax and reshape
            blob = layer.bottom[0]
            while (makers := makers_of(net, blob)) and makers[0].type in ("Reshape", "Softmax"):
                blob = makers[0].bottom[0]
            blobs.add(blob)
    return blobs


def _delta_blobs(net, layers):
    """Blobs of the four deltas per anchor: what proposals, and the loss of targets, read."""
    blobs = {"rpn_bbox_pred"}
    for layer in layers:
        if len(layer.top) >= 4:
            blobs |= {loss.bottom[0] for loss in net.layer
                      if loss.type == "SmoothL1Loss" and layer.top[1] in loss.bottom}
        else:
            blobs.add(layer.bottom[1])
    return blobs


def _probability_reshapes(net, layers):
    """The Reshape layers that state 2 A, in front of the ProposalLayers."""
    reshapes = [maker for layer in layers if len(layer.top) < 4
                for maker in makers_of(net, layer.bottom[0]) if maker.type == "Reshape"]
    return [layer for layer in reshapes
            if len(layer.reshape_param.shape.dim) > 1 and layer.reshape_param.shape.dim[1] > 0]

"""A detector's test net without its RPN: Fast R-CNN on rois that are given."""
from caffe.files import prototxt
from caffe.proto.caffe_pb2 import LayerParameter, NetParameter
from faster_rcnn.files.atomic import write_text
from faster_rcnn.networks.text import net_text

ROIS = "rois"


def with_given_rois(net: NetParameter) -> NetParameter:
    """A copy of a test net with an input `rois` (R, 5) in the place of the layers that make them.

    What no roi needs goes: the RPN and, with it, im_info. A net whose rois are an input stays as it
    is.
    """
    made = NetParameter()
    made.CopyFrom(net)
    if not any(ROIS in layer.top and layer.type != "Input" for layer in net.layer):
        return made
    del made.layer[:]
    kept = _needed(net)
    inputs = next(layer for layer in kept if layer.type == "Input")
    inputs.top.append(ROIS)
    inputs.input_param.shape.add(dim=[1, 5])
    made.layer.extend(kept)
    return made


def write_with_given_rois(source: str, target: str) -> str:
    """Writes with_given_rois of the net file `source` to `target`; returns that path."""
    write_text(target, net_text(with_given_rois(prototxt.read_net(source))))
    return target


def _needed(net: NetParameter) -> list[LayerParameter]:
    """Copies of the layers that follow from the rois, and of those that these need."""
    following = {ROIS}
    for layer in net.layer:
        if following & set(layer.bottom) and ROIS not in layer.top:
            following |= set(layer.top)
    wanted = following - {ROIS}
    kept: list[LayerParameter] = []
    for layer in reversed(net.layer):
        if ROIS in layer.top or not wanted & set(layer.top):
            continue
        copied = LayerParameter()
        copied.CopyFrom(layer)
        if layer.type == "Input":
            _keep_inputs(copied, wanted)
        wanted |= set(layer.bottom)
        kept.insert(0, copied)
    return kept


def _keep_inputs(layer: LayerParameter, wanted: set[str]) -> None:
    """Leaves the wanted tops of an Input layer, with their shapes; one shape may serve all tops."""
    tops, shapes = list(layer.top), list(layer.input_param.shape)
    shapes = shapes * len(tops) if len(shapes) == 1 else shapes
    del layer.top[:], layer.input_param.shape[:]
    for top, shape in zip(tops, shapes):
        if top in wanted:
            layer.top.append(top)
            layer.input_param.shape.append(shape)

"""A whole detector as one ONNX model: from a picture to boxes, scores and labels.

    image (h, w, 3) uint8, BGR, of any size     -> boxes (D, 4), pixels of the picture, inclusive
    (proposals (R, 4): of a net without RPN)       scores (D,)     labels (D,), index of the class

Without ExportOptions.prepares_image the inputs are the net's own, data (1, 3, H, W) and im_info
(1, 3), or data and rois (R, 5) of a picture that was not scaled, and image_size (2,), height and
width of the picture.
"""
import onnx

import caffe
from caffe.core.errors import InputError
from caffe.export import select
from caffe.export.layers.graph import Graph
from caffe.export.model import convert
from faster_rcnn.export import rois as given_rois
from faster_rcnn.export.assembly import INPUTS, OUTPUTS, assembled
from faster_rcnn.export.detections import Head, detections
from faster_rcnn.export.image_input import PreparedImage, prepared_image
from faster_rcnn.export.options import ExportOptions
from faster_rcnn.prototxts.heads import longer_names


def detector_to_onnx(net: caffe.Net, options: ExportOptions) -> onnx.ModelProto:
    """The model of a test net with an RPN, or of one that is given rois.

    Raises InputError for a net that is no detector, LayerError for a layer without an ONNX form.
    """
    before, after = Graph("input", options.form), Graph("detections", options.form)
    has_rpn = "im_info" in net.blobs
    image = _image(before, options, has_rpn)
    given = {"data": image.data}
    if has_rpn:
        given["im_info"] = image.im_info
    else:
        fed = given_rois.fed_rois(before, options, image.scale)
        given["rois"] = fed.rois
    scores, deltas = output_blob(net, "cls_prob", options.test.svm), None
    if options.test.bbox_reg:
        deltas = output_blob(net, "bbox_pred")
    part = select(net, [name for name in given if name not in net.inputs],
                  [scores, *([deltas] if deltas else []), "rois"])
    _check_inputs(part.inputs, given)
    values = {name: value for name, value in given.items() if name in part.inputs}
    layers = convert(net, part, values, options.form, (*INPUTS, *OUTPUTS))
    if has_rpn:
        fed = given_rois.made_rois(after, values["rois"], image.scale)
    head = Head(fed.boxes, fed.spread(after, values[scores]),
                fed.spread(after, values[deltas]) if deltas else None,
                _width(net, deltas) if deltas else 0)
    found = detections(after, head, image.size, options)
    return assembled([before, *layers, after], _input_names(options, has_rpn), found,
                     str(net.name), options, {})


def is_detector(net: caffe.Net) -> bool:
    """Whether a net has class scores of rois, from an RPN of its own or given."""
    blobs = net.blobs
    return "rois" in blobs and "data" in blobs and (
        "cls_prob" in blobs or "cls_score" in blobs or bool(longer_names("cls_prob", blobs)))


def output_blob(net: caffe.Net, name: str, svm: bool = False) -> str:
    """The blob of a net's output `name`, or of a longer name; with svm the scores before the
    softmax."""
    if svm:
        name = "cls_score"
    found = [name] if name in net.blobs else longer_names(name, net.outputs)
    if len(found) != 1:
        raise InputError(f"a detector must have one output {name}; the outputs of the net are "
                         f"{', '.join(net.outputs)}")
    return found[0]


def _image(g: Graph, options: ExportOptions, has_rpn: bool) -> PreparedImage:
    """The net's input as it is made of a picture, or as it is given."""
    if options.prepares_image:
        return prepared_image(g, "image", options.test)
    scale = g.cut(g.reshape("im_info", (-1,)), 2, 3, 0) if has_rpn else g.constant([1.0])
    return PreparedImage("data", "im_info", "image_size", scale)


def _input_names(options: ExportOptions, has_rpn: bool) -> list[str]:
    if options.prepares_image:
        return ["image"] if has_rpn else ["image", "proposals"]
    return ["data", "im_info" if has_rpn else "rois", "image_size"]


def _check_inputs(needed: list[str], given: dict[str, str]) -> None:
    unknown = [name for name in needed if name not in given]
    if unknown:
        raise InputError(f"the net has inputs that a picture does not fill: {', '.join(unknown)}")


def _width(net: caffe.Net, blob: str) -> int:
    """The number of columns of a blob (R, ...)."""
    items, *rest = net.blobs[blob].shape
    width = 1
    for size in rest:
        width *= size
    return width

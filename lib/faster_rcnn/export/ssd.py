"""SSD as one ONNX model (Liu et al. 2016).

A picture is stretched to the size of the net's input, whatever its own proportions.
"""
import onnx

import caffe
from caffe.core.errors import InputError
from caffe.export import select
from caffe.export.layers import boxes as pieces
from caffe.export.layers.graph import FLOAT, INT64, Form, Graph
from caffe.export.model import convert
from faster_rcnn.export.assembly import INPUTS, OUTPUTS, Found, assembled
from faster_rcnn.export.image_input import Ratios, resized
from faster_rcnn.export.options import ExportOptions


def detections_blob(net: caffe.Net) -> str | None:
    """The top of a net's DetectionOutput layer; None where there is no such layer."""
    found = [layer.top_names[0] for layer in net._runners if layer.type == "DetectionOutput"]
    return found[-1] if found else None


def ssd_to_onnx(net: caffe.Net, options: ExportOptions) -> onnx.ModelProto:
    """The model of an SSD test net; thresholds and limits are those of its DetectionOutput layer.

    Without options.prepares_image the inputs are data, as the net has it, and image_size (2,).
    """
    blob = detections_blob(net)
    if blob is None or "data" not in net.inputs:
        raise InputError("an SSD net has an input data and a layer DetectionOutput")
    if net.blobs["data"].shape[0] != 1:
        raise InputError("the net is for several images at once; its input data must be (1, 3, H, "
                         "W)")
    before, after = Graph("input", options.form), Graph("detections", options.form)
    values = {"data": "data"}
    size = "image_size"
    if options.prepares_image:
        values["data"], size = _stretched(before, net.blobs["data"].shape, options)
    part = select(net, end=[blob])
    if part.inputs != ["data"]:
        raise InputError(f"the net has inputs that a picture does not fill: {part.inputs}")
    layers = convert(net, part, values, Form(options.form.opset), (*INPUTS, *OUTPUTS))
    found = _found(after, values[blob], size)
    inputs = ["image"] if options.prepares_image else ["data", "image_size"]
    return assembled([before, *layers, after], inputs, found, str(net.name), options,
                     {"data": list(net.blobs["data"].shape)})


def _stretched(g: Graph, shape: tuple[int, ...], options: ExportOptions) -> tuple[str, str]:
    """The net's input from a picture, and the picture's height and width (2,) float32."""
    sides = g.op("Slice", g.op("Shape", "image"), g.integers([0]), g.integers([2]))
    wanted = g.integers(shape[2:])
    scaled = resized(g, g.cast("image", FLOAT), sides, wanted, Ratios(wanted, sides))
    centred = g.op("Sub", scaled, g.constant(options.test.pixel_means))
    data = g.op("Unsqueeze", g.op("Transpose", centred, perm=(2, 0, 1)), g.integers([0]))
    return data, g.cast(sides, FLOAT)


def _found(g: Graph, rows: str, size: str) -> Found:
    """Detections from rows (1, 1, D, 7): those with a label, best first, in pixels."""
    rows = g.reshape(rows, (-1, 7))
    rows = g.op("Gather", rows, pieces.true_places(g, g.op(
        "GreaterOrEqual", pieces.column(g, rows, 1), g.number(0))))
    scores, order = pieces.best(g, pieces.column(g, rows, 2), 0)
    rows = g.op("Gather", rows, order)
    pixels = g.op("Mul", g.cut(rows, 3, 7, 1), g.op("Gather", size, g.integers([1, 0, 1, 0])))
    return Found(pixels, scores, g.cast(pieces.column(g, rows, 1), INT64))

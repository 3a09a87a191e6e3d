"""The ends of an exported detector: its inputs and outputs, and what its metadata say."""
import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import onnx
from onnx import TensorProto, helper

from caffe.export.layers.graph import Graph
from caffe.export.model import model_of
from faster_rcnn.export.options import ExportOptions

INPUTS = ("image", "image_size", "proposals")
OUTPUTS = ("boxes", "scores", "labels")
_KINDS: dict[str, tuple[int, list[Any]]] = {
    "image": (TensorProto.UINT8, ["height", "width", 3]),
    "proposals": (TensorProto.FLOAT, ["proposals", 4]),
    "data": (TensorProto.FLOAT, [1, 3, "height", "width"]),
    "im_info": (TensorProto.FLOAT, [1, 3]), "rois": (TensorProto.FLOAT, ["rois", 5]),
    "image_size": (TensorProto.FLOAT, [2]),
    "boxes": (TensorProto.FLOAT, ["detections", 4]),
    "scores": (TensorProto.FLOAT, ["detections"]), "labels": (TensorProto.INT64, ["detections"])}


class Found(NamedTuple):
    """Values of a graph, best first: boxes (D, 4) in pixels of the picture, scores (D,), float32;
    labels (D,) int64, index of the class."""

    boxes: str
    scores: str
    labels: str


def assembled(graphs: Sequence[Graph], inputs: Sequence[str], found: Found, name: str,
              options: ExportOptions, shapes: Mapping[str, list[Any]]) -> onnx.ModelProto:
    """The model of Graphs. shapes: {input: shape} where it is not the usual one."""
    ends = Graph("output", options.form)
    for output, value in zip(OUTPUTS, found):
        ends.nodes.append(helper.make_node("Identity", [value], [output], name=f"output/{output}"))
    infos = [[_info(entry, shapes) for entry in names] for names in (inputs, OUTPUTS)]
    model = model_of([*graphs, ends], infos[0], infos[1], name or "detector")
    helper.set_model_props(model, {key: json.dumps(value)
                                   for key, value in _facts(options).items()})
    return model


def _info(name: str, shapes: Mapping[str, list[Any]]) -> onnx.ValueInfoProto:
    kind, shape = _KINDS[name]
    return helper.make_tensor_value_info(name, kind, shapes.get(name, shape))


def _facts(options: ExportOptions) -> dict[str, Any]:
    """What a user of the file must know."""
    test = options.test
    return {"classes": list(options.classes), "scale": test.scales[0], "max_size": test.max_size,
            "pixel_means_bgr": list(test.pixel_means), "multiple_of": test.multiple_of,
            "score_threshold": options.thresh, "nms_threshold": test.nms,
            "max_per_image": options.max_per_image, "prepares_image": options.prepares_image}

"""A net as a Python file that needs PyTorch only; a detector with the way from picture to boxes."""
import inspect
import os
import pprint
from collections.abc import Sequence
from typing import Any

import torch

import caffe
from caffe.core.errors import InputError
from caffe.export.part import Part, select
from caffe.export.source.writing import Source, source_of, text_of
from faster_rcnn.export.detector import is_detector, output_blob
from faster_rcnn.export.options import ExportOptions
from faster_rcnn.export.pytorch import pieces
from faster_rcnn.files.atomic import atomic_open, write_text

_INPUTS = ["data", "im_info"]


def makes_its_rois(net: caffe.Net) -> bool:
    """Whether a net is a detector with an RPN, whose source finds boxes in pictures."""
    return is_detector(net) and "im_info" in net.blobs


def write_net_source(net: caffe.Net, part: Part, path: str) -> list[str]:
    """Writes a part of a net; returns the paths of the .py and of its tensors.

    Raises LayerError for a layer that has no source.
    """
    made = source_of(net, part)
    return _write(made, path, f"The net {net.name}, made of its Caffe form.", [])


def write_detector_source(net: caffe.Net, options: ExportOptions, path: str) -> list[str]:
    """Writes a detector with an RPN, from a picture to boxes; else as write_net_source."""
    test = options.test
    if not makes_its_rois(net):
        raise InputError(f"the net {net.name} makes no rois: export its layers instead")
    names = [output_blob(net, "cls_prob", test.svm)]
    names += [output_blob(net, "bbox_pred")] if test.bbox_reg else []
    part = select(net, end=[*names, "rois"])
    if sorted(part.inputs) != _INPUTS:
        raise InputError(f"a detector has the inputs data and im_info, not {part.inputs}")
    used: list[Any] = [pieces.resized, pieces.prepared, pieces.detections]
    used += [pieces.class_boxes] if test.bbox_reg else []
    made = source_of(net, part, taken=["CLASSES", *(piece.__name__ for piece in used)])
    made.pieces |= {"nms"} | ({"decode", "clip"} if test.bbox_reg else set())
    more = [*(inspect.getsource(piece) for piece in used), _detect_text(made, options)]
    return _write(made, path, f"The detector {net.name}: detect(net, picture) finds "
                  f"{', '.join(options.classes[1:])}.", more)


def _write(made: Source, path: str, description: str, more: Sequence[str]) -> list[str]:
    weights = os.path.splitext(path)[0] + ".pth"
    text = text_of(made, os.path.basename(weights), description, more)
    with atomic_open(weights, "wb") as file:
        torch.save(made.tensors, file)
    write_text(path, text)
    return [path, weights]


def _detect_text(made: Source, options: ExportOptions) -> str:
    """The function from a picture to boxes."""
    test = options.test
    means = tuple(round(value, 7) for value in test.pixel_means)
    lines = [
        "CLASSES = " + pprint.pformat(list(options.classes), width=88, compact=True, indent=0), "",
        "",
        f"def detect(net: {made.name}, picture: torch.Tensor",
        "           ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:",
        '    """Boxes (D, 4) in pixels, scores (D,), labels (D,), index into CLASSES, best first.',
        "", "    picture: (h, w, 3), BGR from 0 to 255, as cv2.imread gives it", '    """',
        f"    data, im_info = prepared(picture, {means}, side={test.scales[0]}, "
        f"cap={test.max_size},",
        f"                             multiple_of={test.multiple_of})",
        "    device = next(net.parameters()).device",
        "    data, im_info = data.to(device), im_info.to(device)",
        "    with torch.no_grad():",
        f"        {', '.join(_variables(test.bbox_reg))} = net({', '.join(made.inputs)})",
        f"    scores = scores.reshape(-1, {len(options.classes)})",
        "    boxes = rois.reshape(-1, 5)[:, 1:] / im_info[0, 2]"]
    if test.bbox_reg:
        lines.append(f"    boxes = class_boxes(boxes, deltas, {len(options.classes)}, "
                     f"{test.max_log_scale}, picture.shape[:2])")
    else:
        lines.append(f"    boxes = boxes[:, None].expand(-1, {len(options.classes)}, -1)")
    lines.append(f"    return detections(boxes, scores, least={options.thresh}, "
                 f"overlap={test.nms}, most={options.max_per_image})")
    return "\n".join(lines)


def _variables(has_deltas: bool) -> list[str]:
    return ["scores", *(["deltas"] if has_deltas else []), "rois"]

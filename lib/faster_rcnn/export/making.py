"""A net with its weights as an exported detector, whatever kind of detector it is."""
import os
import tempfile
from collections.abc import Sequence

import onnx

import caffe
from caffe.core.errors import InputError
from caffe.files import prototxt
from faster_rcnn.export.detector import detector_to_onnx, is_detector, output_blob
from faster_rcnn.export.options import ExportOptions
from faster_rcnn.export.ssd import detections_blob, ssd_to_onnx
from faster_rcnn.prototxts.adapt import adapt_file


def whole_detector(net: caffe.Net, options: ExportOptions) -> onnx.ModelProto:
    """The model of a Faster R-CNN, Fast R-CNN, R-FCN or SSD test net. Raises InputError for other
    nets, LayerError for a layer without an ONNX form."""
    if detections_blob(net) is not None:
        return ssd_to_onnx(net, options)
    if not is_detector(net):
        raise InputError(f"the net {net.name} is no detector: it has neither class scores of rois "
                         "nor a layer DetectionOutput")
    return detector_to_onnx(net, options)


def is_whole_detector(net: caffe.Net) -> bool:
    """Whether `whole_detector` takes a net."""
    return detections_blob(net) is not None or is_detector(net)


def net_for_classes(source: str, weights: str, num_classes: int | None) -> caffe.Net:
    """A test net with weights; its prototxt follows the number of classes and cfg.ANCHOR_*."""
    if num_classes is None:
        return caffe.Net(source, weights, caffe.TEST)
    if any(layer.type == "DetectionOutput" for layer in prototxt.read_net(source).layer):
        return caffe.Net(source, weights, caffe.TEST)
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, os.path.basename(source))
        adapt_file(source, path, num_classes)
        return caffe.Net(path, weights, caffe.TEST)


def class_names(net: caffe.Net, given: Sequence[str] | None, svm: bool = False) -> tuple[str, ...]:
    """The names of a net's classes, the background first: those given, or numbers.

    Raises InputError where a net has another number of classes.
    """
    count = _count(net, svm)
    if given is None:
        return ("__background__", *(f"class {k}" for k in range(1, count)))
    if len(given) != count:
        raise InputError(f"the net has {count} classes with the background, but {len(given)} names "
                         "are given (--imdb, --classes)")
    return tuple(given)


def _count(net: caffe.Net, svm: bool) -> int:
    for layer in net._runners:
        if layer.type == "DetectionOutput":
            return layer.module.p.num_classes
    return net.blobs[output_blob(net, "cls_prob", svm)].shape[1]

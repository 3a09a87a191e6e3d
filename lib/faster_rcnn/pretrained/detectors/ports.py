"""Ports of py-faster-rcnn: their boxes, anchors and scores are ours, under other names.

jwyang's faster-rcnn.pytorch (the port that began with it), ruotianluo's pytorch-faster-rcnn, and
tf-faster-rcnn's VGG16, whose variables were saved by numpy (.npz). All take BGR minus Caffe's
means, and learn deltas divided by (0.1, 0.1, 0.2, 0.2).
"""
from collections.abc import Callable

import numpy as np

from faster_rcnn.anchors.options import AnchorOptions
from faster_rcnn.pretrained.classifiers import torchvision_nets
from faster_rcnn.pretrained.detectors.prototxts import Geometry, test_net
from faster_rcnn.pretrained.reading.checkpoints import CheckpointError
from faster_rcnn.pretrained.reading.imported import Imported, Layer, Tensors

MEANS = (102.9801, 115.9465, 122.7717)      # BGR
DELTA_STDS = np.array([0.1, 0.1, 0.2, 0.2], np.float32)
_RATIOS = (0.5, 1, 2)
_SCALES = {9: (8, 16, 32), 12: (4, 8, 16, 32)}
_HEAD = {"rpn_conv/3x3": "rpn", "rpn_cls_score": "rpn_score", "rpn_bbox_pred": "rpn_boxes",
         "cls_score": "score", "bbox_pred": "boxes"}
# name there -> name here, first match
_JWYANG_RESNET = ((r"RCNN_base\.0\.", "conv1."), (r"RCNN_base\.1\.", "bn1."),
                  (r"RCNN_base\.4\.", "layer1."), (r"RCNN_base\.5\.", "layer2."),
                  (r"RCNN_base\.6\.", "layer3."), (r"RCNN_top\.0\.", "layer4."))
_JWYANG_VGG = ((r"RCNN_base\.", "features."), (r"RCNN_top\.", "classifier."))
_JWYANG_HEAD = ((r"RCNN_rpn\.RPN_Conv\.", "rpn."), (r"RCNN_rpn\.RPN_cls_score\.", "rpn_score."),
                (r"RCNN_rpn\.RPN_bbox_pred\.", "rpn_boxes."), (r"RCNN_cls_score\.", "score."),
                (r"RCNN_bbox_pred\.", "boxes."))
_RUOTIANLUO = ((r"(resnet|vgg)\.", ""), (r"rpn_net\.", "rpn."),
               (r"rpn_cls_score_net\.", "rpn_score."), (r"rpn_bbox_pred_net\.", "rpn_boxes."),
               (r"cls_score_net\.", "score."), (r"bbox_pred_net\.", "boxes."))


def jwyang(tensors: Tensors, options: dict) -> Imported:
    """A checkpoint of faster-rcnn.pytorch; its pooling_mode says how rois are pooled."""
    is_vgg = "RCNN_top.3.weight" in tensors
    tensors.rename(*(_JWYANG_VGG if is_vgg else _JWYANG_RESNET), *_JWYANG_HEAD)
    mode = options.get("pooling_mode", "align")
    notes = [] if mode == "pool" else [
        f'its rois were pooled by "{mode}", here by ROIAlign: features of rois differ a little '
        "unless the program used torchvision's (its branch for PyTorch 1.0)"]
    aligned = None if mode == "pool" else False
    return _detector(tensors, lambda backbone, anchors: Geometry(
        backbone, anchors, aligned=aligned, head_stride=2, floors=is_vgg), notes)


def ruotianluo(tensors: Tensors, _options: dict) -> Imported:
    """A checkpoint of pytorch-faster-rcnn, trained with ROIAlign, its default."""
    is_vgg = "vgg.classifier.3.weight" in tensors
    tensors.rename(*_RUOTIANLUO)
    return _detector(tensors, lambda backbone, anchors: Geometry(
        backbone, anchors, aligned=False, pool1_pad=0 if is_vgg else 1, floors=is_vgg), [
            "its rois are taken to be pooled by ROIAlign (POOLING_MODE align)"])


def tensorflow_vgg16(tensors: Tensors, _options: dict) -> Imported:
    """The variables of tf-faster-rcnn's VGG16: kernels (h, w, in, out), matrices (in, out)."""
    tensors.drop(r"(Variable(_\d+)?$|.*/Momentum$)")       # of its training
    layers = [(name, "Convolution", _from_tensorflow(tensors, f"conv{name[4]}/{name}"))
              for _, name in torchvision_nets.VGG16_CONVOLUTIONS]
    layers += [(name, "Convolution", _from_tensorflow(tensors, name))
               for name in ("rpn_conv/3x3", "rpn_cls_score", "rpn_bbox_pred")]
    fc6, bias = _from_tensorflow(tensors, "fc6")
    channels = len(layers[12][2][0])
    bins = round((fc6.shape[1] / channels) ** 0.5)
    fc6 = fc6.reshape(-1, bins, bins, channels).transpose(0, 3, 1, 2).reshape(fc6.shape)
    layers.append(("fc6", "InnerProduct", [np.ascontiguousarray(fc6), bias]))
    layers += [(name, "InnerProduct", _from_tensorflow(tensors, name))
               for name in ("fc7", "cls_score", "bbox_pred")]
    layers[-1] = ("bbox_pred", "InnerProduct", _plain_deltas(*layers[-1][2]))
    anchors = anchors_of(len(layers[15][2][1]) // 4)
    return Imported(
        "VGG_ILSVRC_16_layers", layers, "conv1_1", "vgg16", MEANS,
        ["its rois were pooled by crop_and_resize and a maximum, here by ROIAlign: features of "
         "rois differ a little"],
        test_net(Geometry("VGG16", anchors, aligned=True), layers))


def _from_tensorflow(tensors: Tensors, name: str) -> list[np.ndarray]:
    stem = f"vgg_16/{name}"
    weight = tensors.take(f"{stem}/weights")
    weight = weight.transpose(3, 2, 0, 1) if weight.ndim == 4 else weight.T
    return [np.ascontiguousarray(weight), tensors.take(f"{stem}/biases")]


def _detector(tensors: Tensors, geometry: Callable[[str, AnchorOptions], Geometry],
              notes: list[str]) -> Imported:
    """The Imported of tensors with torchvision's names, and those of _HEAD."""
    is_vgg = "features.0.weight" in tensors
    if is_vgg:
        net, layers = "VGG16", torchvision_nets.vgg16_convolutions(tensors, "features")
    else:
        depth, layers = torchvision_nets.resnet_convolutions(tensors)
        net = f"ResNet-{depth}"
        if depth not in (50, 101):
            raise CheckpointError(f"a detector on ResNet-{depth}; known: ResNet-50, ResNet-101")
    head: list[Layer] = [(name, "Convolution" if name.startswith("rpn") else "InnerProduct",
                          tensors.pair(stem)) for name, stem in _HEAD.items()]
    if is_vgg:
        head[3:3] = [("fc6", "InnerProduct", tensors.pair("classifier.0")),
                     ("fc7", "InnerProduct", tensors.pair("classifier.3"))]
    deltas = _plain_deltas(*head[-1][2])
    if len(deltas[1]) == 4:     # all classes share them: ours have a row of the background before
        deltas = [np.concatenate([array, array]) for array in deltas]
        notes = [*notes, "all classes share its box deltas; test it with --set TEST.AGNOSTIC True"]
    head[-1] = ("bbox_pred", "InnerProduct", deltas)
    layers += head
    anchors = anchors_of(len(head[2][2][1]) // 4)
    return Imported(net, layers, "conv1_1" if is_vgg else "conv1", "vgg16" if is_vgg else "resnet",
                    MEANS, notes, test_net(geometry(net, anchors), layers))


def anchors_of(count: int) -> AnchorOptions:
    """The anchors of py-faster-rcnn for VOC or COCO, by their number at a place."""
    if count not in _SCALES:
        raise CheckpointError(f"an RPN with {count} anchors at a place; known: "
                              + ", ".join(f"{n} (scales {s})" for n, s in _SCALES.items()))
    return AnchorOptions(scales=_SCALES[count], ratios=_RATIOS)


def _plain_deltas(weight: np.ndarray, bias: np.ndarray) -> list[np.ndarray]:
    """Rows 4 k + (dx, dy, dw, dh) of class k, normalised, as plain ones."""
    stds = np.tile(DELTA_STDS, len(bias) // 4)
    return [weight * stds[:, None], bias * stds]

"""Detectors of simple-faster-rcnn-pytorch (VGG16), under the names of our joint VGG16 nets.

What is different there: boxes are (y1, x1, y2, x2) and their deltas dy, dx, dh, dw; the RPN's
channels run over background and object inside an anchor; anchors are not rounded to whole pixels;
the head's deltas are divided by (0.1, 0.1, 0.2, 0.2). All of this goes into the weights.
One difference stays: widths there are x2 - x1, here x2 - x1 + 1, so boxes may differ by about a
pixel.
"""
import numpy as np

from caffe.operators.anchors import generate_anchors
from faster_rcnn.anchors.options import AnchorOptions
from faster_rcnn.boxes import geometry
from faster_rcnn.pretrained.classifiers.torchvision_nets import vgg16_convolutions
from faster_rcnn.pretrained.detectors.prototxts import Geometry, test_net
from faster_rcnn.pretrained.reading.checkpoints import CheckpointError
from faster_rcnn.pretrained.reading.imported import Imported, Tensors

BASE_SIZE, RATIOS, SCALES = 16, (0.5, 1, 2), (8, 16, 32)
DELTA_STDS = np.array([0.1, 0.1, 0.2, 0.2], np.float32)     # of dx, dy, dw, dh
# The option caffe_pretrain makes images BGR, but subtracts the means in the order of RGB.
CAFFE_MEANS = (122.7717, 115.9465, 102.9801)
_TO_XY = [1, 0, 3, 2]


def detector(tensors: Tensors, options: dict) -> Imported:
    """The weights of a whole detector, under the names of our joint VGG16 nets."""
    layers = vgg16_convolutions(tensors, "extractor")
    layers += [("rpn_conv/3x3", "Convolution", tensors.pair("rpn.conv1")),
               ("rpn_cls_score", "Convolution", scores_by_class(*tensors.pair("rpn.score"))),
               ("rpn_bbox_pred", "Convolution", deltas_of_our_anchors(*tensors.pair("rpn.loc")))]
    second = 3 if "head.classifier.3.weight" in tensors else 2      # with and without Dropout
    layers += [("fc6", "InnerProduct", tensors.pair("head.classifier.0")),
               ("fc7", "InnerProduct", tensors.pair(f"head.classifier.{second}")),
               ("cls_score", "InnerProduct", tensors.pair("head.score")),
               ("bbox_pred", "InnerProduct", plain_deltas(*tensors.pair("head.cls_loc")))]
    caffe_input = bool(options.get("caffe_pretrain", False))
    anchors = AnchorOptions(scales=SCALES, ratios=RATIOS)
    return Imported("VGG_ILSVRC_16_layers", layers, "conv1_1", "vgg16",
                    CAFFE_MEANS if caffe_input else None,
                    ["box widths there are x2 - x1, here x2 - x1 + 1: detections may differ by "
                     "about a pixel"], test_net(Geometry("VGG16", anchors, floors=True), layers))


def scores_by_class(weight: np.ndarray, bias: np.ndarray) -> list[np.ndarray]:
    """Channels 2 a + c (anchor a, class c) in the order c A + a."""
    count = len(bias) // 2
    return [array.reshape(count, 2, *array.shape[1:]).swapaxes(0, 1).reshape(array.shape)
            for array in (weight, bias)]


def deltas_of_our_anchors(weight: np.ndarray, bias: np.ndarray) -> list[np.ndarray]:
    """Channels 4 a + (dy, dx, dh, dw) of unrounded anchors as 4 a + (dx, dy, dw, dh) of ours.

    Both anchors have the same centre; with widths w there and w' here, dx' = dx w / w' and
    dw' = dw + log(w / w') decode to the same box.
    """
    share = size_shares()
    if len(bias) != share.size * 2:
        raise CheckpointError(f"an RPN with {len(bias) // 4} anchors; known: {len(share)}")
    weight = weight.reshape(-1, 4, *weight.shape[1:])[:, _TO_XY]
    bias = bias.reshape(-1, 4)[:, _TO_XY]
    factor = np.concatenate([share, np.ones_like(share)], 1)
    bias = bias * factor
    bias[:, 2:] += np.log(share)
    weight = weight * factor.reshape(*factor.shape, *(1,) * (weight.ndim - 2))
    return [weight.reshape(-1, *weight.shape[2:]).astype(np.float32),
            bias.reshape(-1).astype(np.float32)]


def size_shares() -> np.ndarray:
    """(A, 2): width and height of their anchors over those of ours, ratio-major."""
    ours = generate_anchors(BASE_SIZE, RATIOS, SCALES)
    ratios, scales = np.repeat(RATIOS, len(SCALES)), np.tile(SCALES, len(RATIOS))
    theirs = BASE_SIZE * scales * np.stack([np.sqrt(1 / ratios), np.sqrt(ratios)])
    return (theirs / np.stack(geometry.sizes(ours))).T


def plain_deltas(weight: np.ndarray, bias: np.ndarray) -> list[np.ndarray]:
    """Rows 4 k + (dy, dx, dh, dw) of class k, normalised, as (dx, dy, dw, dh), plain."""
    return [(array.reshape(-1, 4, *array.shape[1:])[:, _TO_XY]
             * DELTA_STDS.reshape(4, *(1,) * (array.ndim - 1))).reshape(array.shape)
            for array in (weight, bias)]

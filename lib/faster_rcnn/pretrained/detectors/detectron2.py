"""Detectron2's R50-C4 and R101-C4, under the names of our joint ResNets.

What is different there: one score per anchor (a sigmoid; ours is the softmax over it and zero),
anchors by size, then ratio, around the corner of a cell instead of its middle, the background as
the last class, deltas divided by (10, 10, 5, 5). All of this goes into the weights. Widths there
are x2 - x1, here x2 - x1 + 1, so boxes may differ by about a pixel.
"""
import numpy as np

from caffe.operators.anchors import generate_anchors
from faster_rcnn.anchors.options import AnchorOptions
from faster_rcnn.boxes import geometry
from faster_rcnn.pretrained.classifiers import torchvision_nets
from faster_rcnn.pretrained.detectors.prototxts import Geometry, test_net
from faster_rcnn.pretrained.reading.checkpoints import CheckpointError
from faster_rcnn.pretrained.reading.imported import Imported, Layer, Tensors

BASE_SIZE, RATIOS, SCALES = 16, (0.5, 1, 2), (2, 4, 8, 16, 32)      # sizes 32 to 512
DELTA_WEIGHTS = np.array([10, 10, 5, 5], np.float32)
_NAMES = ((r"backbone\.stem\.conv1\.norm\.", "bn1."), (r"backbone\.stem\.conv1\.", "conv1."),
          *((rf"backbone\.res{n}\.", f"layer{n - 1}.") for n in (2, 3, 4)),
          (r"roi_heads\.res5\.", "layer4."))
_PARTS = ((r"(.*)\.conv(\d)\.norm\.", r"\1.bn\2."),
          (r"(.*)\.shortcut\.norm\.", r"\1.downsample.1."),
          (r"(.*)\.shortcut\.", r"\1.downsample.0."))
_UNUSED = r"(proposal_generator\.anchor_generator\.|pixel_std$)"
_RPN, _BOXES = "proposal_generator.rpn_head", "roi_heads.box_predictor"


def detector(tensors: Tensors, _options: dict) -> Imported:
    """The weights of a whole detector, and the net that they want."""
    means = tensors.take("pixel_mean").ravel() if "pixel_mean" in tensors else \
        np.array([103.53, 116.28, 123.675])
    tensors.drop(_UNUSED)
    tensors.rename(*_NAMES)
    tensors.rename(*_PARTS)
    depth, layers = torchvision_nets.resnet_convolutions(tensors)
    if depth not in (50, 101):
        raise CheckpointError(f"a Detectron2 detector on ResNet-{depth}; known: 50 and 101")
    layers += _head(tensors)
    anchors = AnchorOptions(scales=SCALES, ratios=RATIOS, base_size=BASE_SIZE)
    message = test_net(Geometry(f"ResNet-{depth}", anchors, pooled=14, aligned=True, head_stride=2,
                                pool1_pad=1), layers)
    return Imported(f"ResNet-{depth}", layers, "conv1", "resnet", means.tolist(), [
        "box widths there are x2 - x1, here x2 - x1 + 1: detections may differ by about a pixel",
        "the stride of a stage is taken to be in its 1x1 convolution (STRIDE_IN_1X1 True)",
        "test it with --scale 800,1333 --set TEST.RPN_PRE_NMS_TOP_N 6000 TEST.RPN_POST_NMS_TOP_N "
        "1000 TEST.RPN_MIN_SIZE 0 TEST.NMS 0.5 BBOX_MAX_LOG_SCALE 4.135"], message)


def _head(tensors: Tensors) -> list[Layer]:
    return [("rpn_conv/3x3", "Convolution", tensors.pair(f"{_RPN}.conv")),
            ("rpn_cls_score", "Convolution", two_scores(
                *tensors.pair(f"{_RPN}.objectness_logits"))),
            ("rpn_bbox_pred", "Convolution", deltas_of_our_anchors(
                *tensors.pair(f"{_RPN}.anchor_deltas"))),
            ("cls_score", "InnerProduct", background_first(*tensors.pair(f"{_BOXES}.cls_score"))),
            ("bbox_pred", "InnerProduct", plain_deltas(*tensors.pair(f"{_BOXES}.bbox_pred")))]


def by_ratio(array: np.ndarray) -> np.ndarray:
    """Rows of anchors size by size as rows ratio by ratio: (A, ...)."""
    by_size = array.reshape(len(SCALES), len(RATIOS), *array.shape[1:])
    return by_size.swapaxes(0, 1).reshape(array.shape)


def two_scores(weight: np.ndarray, bias: np.ndarray) -> list[np.ndarray]:
    """Scores of background, all zero, and of object (2 A) from the logits of objects (A)."""
    if len(bias) != len(SCALES) * len(RATIOS):
        raise CheckpointError(f"an RPN with {len(bias)} anchors at a place; known: "
                              f"{len(SCALES) * len(RATIOS)}")
    return [np.concatenate([np.zeros_like(array), by_ratio(array)]) for array in (weight, bias)]


def deltas_of_our_anchors(weight: np.ndarray, bias: np.ndarray) -> list[np.ndarray]:
    """Deltas of their anchors (size by size) as those of ours, which decode to the same boxes."""
    shares, shifts = anchor_differences()
    weight = by_ratio(weight.reshape(-1, 4, *weight.shape[1:]))
    bias = by_ratio(bias.reshape(-1, 4))
    factors = np.concatenate([shares, np.ones_like(shares)], 1)
    bias = bias * factors + np.concatenate([shifts, np.log(shares)], 1)
    weight = weight * factors.reshape(*factors.shape, *(1,) * (weight.ndim - 2))
    return [weight.reshape(-1, *weight.shape[2:]).astype(np.float32),
            bias.reshape(-1).astype(np.float32)]


def anchor_differences() -> tuple[np.ndarray, np.ndarray]:
    """(A, 2) each, ratio by ratio: their sizes over ours; their centres minus ours, in our sizes.
    """
    x, y, widths, heights = geometry.centres_and_sizes(generate_anchors(BASE_SIZE, RATIOS, SCALES))
    ours = np.stack([widths, heights], 1)
    areas = np.tile((BASE_SIZE * np.array(SCALES)) ** 2, len(RATIOS))
    ratios = np.repeat(RATIOS, len(SCALES))
    theirs = np.stack([np.sqrt(areas / ratios), np.sqrt(areas * ratios)], 1)
    return theirs / ours, -np.stack([x, y], 1) / ours


def background_first(weight: np.ndarray, bias: np.ndarray) -> list[np.ndarray]:
    """Scores whose last row is the background's."""
    return [np.roll(array, 1, 0) for array in (weight, bias)]


def plain_deltas(weight: np.ndarray, bias: np.ndarray) -> list[np.ndarray]:
    """Rows of the classes, multiplied by DELTA_WEIGHTS, as plain ones behind the background's."""
    found = []
    for array in (weight, bias):
        rows = array.reshape(-1, 4, *array.shape[1:]) / DELTA_WEIGHTS.reshape(
            4, *(1,) * (array.ndim - 1))
        found.append(np.concatenate([np.zeros_like(rows[:1]), rows]).reshape(
            -1, *array.shape[1:]).astype(np.float32))
    return found

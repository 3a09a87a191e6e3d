"""The detections of YOLO, versions 2 and 3 (Redmon and Farhadi 2017, 2018).

eric612/MobileNet-YOLO: yolo_detection_output_layer.cpp, yolov3_detection_output_layer.cpp. The
original counts all boxes of a batch as the first image's; here each image has its own.
"""
from typing import Any

import torch
from torch import Tensor

from caffe.layer_types.common.module import Module, Shape, Shapes
from caffe.layer_types.common.registry import register
from caffe.operators import ops
from caffe.proto.caffe_pb2 import LayerParameter


class _YoloModule(Module):
    """What the two share.

    bottom[i]: (N, A * (5 + num_classes), H, W): of each box the offsets of its centre, the
               logarithms of its size, whether it is an object, the classes
    top[0]:    (1, 1, D, 7): image index, label (from 1), confidence, box in shares of the image;
               by image, best first. Where nothing is found there is a row for each image, with -1
               behind its index.
    A box goes when it overlaps a better one of any class by nms_threshold.
    """

    bottoms = (1, None)

    def __init__(self, param: LayerParameter, shapes: Shapes, phase: int) -> None:
        super().__init__(param, shapes, phase)
        self.no_gradient = tuple(range(len(shapes)))
        self.p = p = self.options(param)
        if p.num_classes < 1 or p.num_box < 1:
            raise self.error("expected num_classes and num_box > 0, got "
                             f"{p.num_classes} and {p.num_box}")
        if len(p.biases) % 2 or min(p.biases, default=0) <= 0:
            raise self.error("expected biases, width and height of each box, all > 0, got "
                             f"{len(p.biases)} numbers")
        self.register_buffer("sizes", torch.tensor(list(p.biases)).reshape(-1, 2))

    @staticmethod
    def options(param: LayerParameter) -> Any:
        """The field of the LayerParameter."""

    def top_shapes(self, shapes: Shapes) -> list[Shape]:
        """As in Caffe one detection; how many there are shows in the forward pass."""
        channels = self.p.num_box * (5 + self.p.num_classes)
        for shape in shapes:
            if len(shape) != 4 or shape[1] != channels or shape[0] != shapes[0][0]:
                raise self.error(f"expected bottoms of shape (N, {channels}, H, W), got "
                                 f"{', '.join(str(tuple(s)) for s in shapes)}")
        return [(1, 1, 1, 7)]

    def cells(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Of a bottom, by box and cell: centres in shares of the map (N, A, H, W, 2), logarithms of
        the sizes (N, A, H, W, 2), objectness and classes (N, A, H, W, 1 + num_classes).
        """
        x = x.detach().unflatten(1, (self.p.num_box, -1)).permute(0, 1, 3, 4, 2)
        height, width = x.shape[2:4]
        y, column = torch.meshgrid(torch.arange(height, device=x.device),
                                   torch.arange(width, device=x.device), indexing="ij")
        centres = (torch.sigmoid(x[..., :2]) + torch.stack([column, y], 2)) \
            / x.new_tensor([width, height])
        return centres, x[..., 2:4], x[..., 4:]

    def forward(self, *bottoms: Tensor) -> Tensor:
        self.top_shapes([x.shape for x in bottoms])
        found = torch.cat([self.candidates(i, x) for i, x in enumerate(bottoms)])
        found = found[found[:, 2].argsort(descending=True, stable=True)]
        boxes = found[:, 3:]
        pixels = boxes * 2 ** 20    # ops.batched_nms counts pixels, the last one included
        keep = ops.batched_nms(torch.cat([pixels[:, :2], pixels[:, 2:] - 1], 1), found[:, 2],
                               found[:, 0].long(), self.p.nms_threshold, inclusive=True)
        found = found[keep]
        found = found[found[:, 0].argsort(stable=True)]
        if not len(found):
            found = found.new_full((len(bottoms[0]), 7), -1)
            found[:, 0] = torch.arange(len(found), device=found.device)
        return found[None, None]

    def candidates(self, number: int, x: Tensor) -> Tensor:
        """(D, 7): rows as in the top, of bottom `number`, before boxes are compared."""
        raise self.error("has no forward pass")

    def rows(self, scores: Tensor, chosen: Tensor, centres: Tensor, sizes: Tensor) -> Tensor:
        """(D, 7): the chosen boxes and classes, a mask (N, A, H, W, num_classes)."""
        image, box, row, column, label = chosen.nonzero(as_tuple=True)
        place = image, box, row, column
        half = sizes[place] / 2
        return torch.cat([image[:, None].to(scores.dtype), label[:, None] + 1,
                          scores[chosen][:, None], centres[place] - half, centres[place] + half], 1)


@register("YoloDetectionOutput")
class YoloDetectionOutput(_YoloModule):
    """Version 2: a box has its best class, the softmax of which counts; bottoms as in _YoloModule.

    biases: sizes of the boxes in cells.
    """

    def __init__(self, param: LayerParameter, shapes: Shapes, phase: int) -> None:
        super().__init__(param, shapes, phase)
        if self.p.coords != 4 or len(self.sizes) != self.p.num_box:
            raise self.error(f"expected coords 4 and biases for {self.p.num_box} boxes, got "
                             f"{self.p.coords} and {len(self.sizes)}")

    @staticmethod
    def options(param: LayerParameter) -> Any:
        return param.yolo_detection_output_param

    def candidates(self, number: int, x: Tensor) -> Tensor:
        centres, logs, scores = self.cells(x)
        sizes = logs.exp() * self.sizes[:, None, None] / x.new_tensor([x.shape[3], x.shape[2]])
        best, label = scores[..., 1:].softmax(-1).max(-1)
        best = torch.sigmoid(scores[..., 0]) * best
        chosen = torch.zeros_like(scores[..., 1:], dtype=torch.bool).scatter(
            -1, label[..., None], (best >= self.p.confidence_threshold)[..., None])
        return self.rows(best[..., None].expand_as(chosen), chosen, centres, sizes)


@register("Yolov3DetectionOutput")
class Yolov3DetectionOutput(_YoloModule):
    """Version 3: classes count each by itself, their sigmoids; bottoms as in _YoloModule.

    biases: sizes in pixels of the net's input; `mask` says which of them each bottom has.
    """

    def __init__(self, param: LayerParameter, shapes: Shapes, phase: int) -> None:
        super().__init__(param, shapes, phase)
        p = self.p
        if p.gaussian_box:
            raise self.error("expected no gaussian_box, which is not known here, got it")
        if not len(shapes) == p.mask_group_num == len(p.anchors_scale) \
                or len(p.mask) != len(shapes) * p.num_box or max(p.mask) >= len(self.sizes):
            raise self.error(f"expected for each of the {len(shapes)} bottoms an anchors_scale and "
                             f"{p.num_box} mask numbers below {len(self.sizes)}, and their number "
                             f"as mask_group_num, got {len(p.anchors_scale)}, {len(p.mask)} and "
                             f"{p.mask_group_num}")

    @staticmethod
    def options(param: LayerParameter) -> Any:
        return param.yolov3_detection_output_param

    def candidates(self, number: int, x: Tensor) -> Tensor:
        p = self.p
        centres, logs, scores = self.cells(x)
        own = self.sizes[list(p.mask[number * p.num_box:(number + 1) * p.num_box])]
        pixels = x.new_tensor([x.shape[3], x.shape[2]]) * p.anchors_scale[number]
        sizes = logs.exp() * own[:, None, None] / pixels
        scores = torch.sigmoid(scores)
        scores = scores[..., :1] * scores[..., 1:]
        return self.rows(scores, scores > p.confidence_threshold, centres, sizes)

"""DetectionEvaluate: which detections are right (SSD: detection_evaluate_layer.cpp)."""
from collections.abc import Iterator

import torch
from torch import Tensor

from caffe.core.errors import DataError
from caffe.layer_types.common.boxes import overlaps
from caffe.layer_types.common.module import Module, Shape, Shapes
from caffe.layer_types.common.registry import register
from caffe.layer_types.regions.image_boxes import on_image, pixel_overlaps
from caffe.layer_types.regions.label_maps import read_name_sizes
from caffe.proto.caffe_pb2 import LayerParameter

_NOTHING = -1       # in place of an image's or a label's number


@register("DetectionEvaluate")
class DetectionEvaluate(Module):
    """Compares detections with objects, from which a solver with eval_type "detection" finds AP.

    bottom[0]: a DetectionOutput's top (1, 1, D, 7): image, label, confidence, box
    bottom[1]: objects (1, 1, G, 8): image (-1: none), label, number, box, whether it is difficult
    top[0]:    (1, 1, K + D, 5): for each class but the background -1, label, number of objects,
               -1, -1; then for each detection image, label, confidence, and whether it is right and
               whether it is wrong. It is neither where it finds a difficult object that does not
               count.
    The best detections of an object by overlap_threshold is right, further ones are wrong. With a
    name_size_file boxes are compared in pixels of the images that it lists, in the data's order.
    """

    bottoms = (2, 2)
    no_gradient = (0, 1)
    ignores_forbidden_gradient = True

    def __init__(self, param: LayerParameter, shapes: Shapes, phase: int) -> None:
        super().__init__(param, shapes, phase)
        p = self.p = param.detection_evaluate_param
        if p.num_classes < 1:
            raise self.error("expected num_classes > 0, got none")
        if p.overlap_threshold <= 0:
            raise self.error(f"expected overlap_threshold > 0, got {p.overlap_threshold:g}")
        self.labels = [c for c in range(p.num_classes) if c != p.background_label_id]
        self.resize = p.resize_param if p.HasField("resize_param") else None
        try:
            self.sizes = read_name_sizes(p.name_size_file) if p.name_size_file else []
        except DataError as problem:
            raise self.error(str(problem)) from None
        self.next_image = 0     # in self.sizes, the first of the next batch

    def top_shapes(self, shapes: Shapes) -> list[Shape]:
        """A row for each class and detection; how many of these count shows in the forward pass."""
        self._check(*map(tuple, shapes))
        return [(1, 1, len(self.labels) + shapes[0][2], 5)]

    def _check(self, detections: Shape, objects: Shape) -> None:
        for name, shape, width in (("detections", detections, 7), ("objects", objects, 8)):
            if len(shape) != 4 or shape[:2] != (1, 1) or shape[3] != width:
                raise self.error(f"expected {name} of shape (1, 1, n, {width}), got {shape}")

    def forward(self, detections: Tensor, objects: Tensor) -> Tensor:
        self._check(tuple(detections.shape), tuple(objects.shape))
        if detections.is_meta:
            return detections.new_empty(1, 1, len(self.labels) + detections.shape[2], 5)
        where = detections.device
        detections, objects = detections.detach()[0, 0].cpu(), objects.detach()[0, 0].cpu()
        detections = detections[(detections[:, :2] != _NOTHING).all(1)]
        objects = objects[objects[:, 0] != _NOTHING]
        for name, rows in (("object", objects), ("detection", detections)):
            if (rows[:, 1] == self.p.background_label_id).any():
                raise self.error(f"expected no {name} with the label of the background "
                                 f"({self.p.background_label_id}), got one")
        rows = [self._counts(objects), *self._judged(detections, objects)]
        self._advance(detections, objects)
        return torch.cat(rows)[None, None].to(where)

    def _counts(self, objects: Tensor) -> Tensor:
        """(K, 5): how many objects of each class count."""
        if not self.p.evaluate_difficult_gt:
            objects = objects[objects[:, 7] == 0]
        counts = [(objects[:, 1] == label).sum().item() for label in self.labels]
        return torch.tensor([(-1, label, count, -1, -1)
                             for label, count in zip(self.labels, counts)],
                            dtype=objects.dtype).reshape(-1, 5)

    def _judged(self, detections: Tensor, objects: Tensor) -> Iterator[Tensor]:
        """Rows (D', 5) of the detections of each image and class, in this order, best first."""
        for image in detections[:, 0].unique():
            found = detections[detections[:, 0] == image]
            there = objects[objects[:, 0] == image]
            for label in found[:, 1].unique():
                own = found[found[:, 1] == label]
                own = own[own[:, 2].argsort(descending=True, stable=True)]
                truth = self._judge(own[:, 3:], there[there[:, 1] == label], int(image))
                yield torch.cat([own[:, :3], truth.to(own.dtype)], 1)

    def _judge(self, boxes: Tensor, objects: Tensor, image: int) -> Tensor:
        """(D', 2): whether each box (D', 4), best first, is right, and whether it is wrong."""
        result = torch.tensor([[False, True]]).repeat(len(boxes), 1)
        if not len(objects):
            return result
        shared = self._overlaps(boxes, objects[:, 3:7], image)
        taken = set()
        for i, (overlap, best) in enumerate(zip(*shared.max(1))):
            best = int(best)
            if overlap < self.p.overlap_threshold:
                continue
            if objects[best, 7] and not self.p.evaluate_difficult_gt:
                result[i] = torch.tensor([False, False])
            elif best not in taken:
                taken.add(best)
                result[i] = torch.tensor([True, False])
        return result

    def _overlaps(self, boxes: Tensor, objects: Tensor, image: int) -> Tensor:
        """(D', G): intersection over union."""
        if not self.sizes:
            return torch.nan_to_num(overlaps(boxes, objects))
        size = self.sizes[(self.next_image + image) % len(self.sizes)]
        boxes, objects = (on_image(b, size.height, size.width, self.resize)
                          for b in (boxes, objects))
        return torch.stack([pixel_overlaps(box, objects) for box in boxes])

    def _advance(self, detections: Tensor, objects: Tensor) -> None:
        """Counts the images of the batch, and begins anew after the last one of the list."""
        images = torch.cat([detections[:, 0], objects[:, 0]])
        if self.sizes and len(images):
            self.next_image = (self.next_image + int(images.max()) + 1) % len(self.sizes)

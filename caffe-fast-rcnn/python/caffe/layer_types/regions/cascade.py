"""Layers of Cascade R-CNN (Cai and Vasconcelos 2018): proposals, boxes from stage to stage.

zhaoweicai/cascade-rcnn: box_group_output_layer.cpp, decode_bbox_layer.cpp, scale_route_layer.cpp,
bbox_util.cpp. Rois are (R, 5) or (R, 5, 1, 1): image index, x1, y1, x2, y2, inclusive pixels.
"""
import math

import torch
from torch import Tensor

from caffe.core.state import Phase
from caffe.layer_types.common.boxes import from_centres
from caffe.layer_types.common.module import Module, Shape, Shapes, Tops
from caffe.layer_types.common.registry import register
from caffe.operators import ops
from caffe.proto.caffe_pb2 import BoxGroupParameter, LayerParameter


class _BoxModule(Module):
    """A layer with deltas of boxes, whose mean and deviation stand in bbox_reg_param."""

    ignores_forbidden_gradient = True   # its bottoms come from layers that learn

    def __init__(self, param: LayerParameter, shapes: Shapes, phase: int) -> None:
        super().__init__(param, shapes, phase)
        p = param.bbox_reg_param
        numbers = list(p.bbox_mean or [0.0] * 4), list(p.bbox_std or [1.0] * 4)
        if any(len(n) != 4 for n in numbers) or min(numbers[1]) <= 0:
            raise self.error("expected bbox_reg_param with four bbox_mean and four bbox_std > 0, "
                             f"or none, got {list(p.bbox_mean)} and {list(p.bbox_std)}")
        for name, values in zip(("mean", "std"), numbers):
            self.register_buffer(name, torch.tensor(values))


@register("BoxGroupOutput")
class BoxGroupOutput(_BoxModule):
    """The boxes of an RPN whose anchors lie about the centres of the cells; the best that differ.

    bottom[2 i]:     probabilities (N * A, C, H, W), class 0 being the background, for each of the
                     A anchors (field_h, field_w) of box_group_param i
    bottom[2 i + 1]: deltas (N * A, 4, H, W)
    top[0]:          rois (R, 5, 1, 1), best first in each image; (0, 1, 1, 10, 10) if there is none
    top[1]:          the same with their probabilities of being an object, (R, 6, 1, 1)
    """

    bottoms = (2, None)
    tops = (1, 2)

    def __init__(self, param: LayerParameter, shapes: Shapes, phase: int) -> None:
        super().__init__(param, shapes, phase)
        p = self.p = param.box_group_output_param
        self.no_gradient = tuple(range(len(shapes)))
        if len(shapes) != 2 * len(p.box_group_param):
            raise self.error("expected two bottoms for each box_group_param, got "
                             f"{len(shapes)} and {len(p.box_group_param)}")
        if p.nms_type != "IOU":
            raise self.error(f'expected nms_type "IOU", got "{p.nms_type}"')
        for group in p.box_group_param:
            if not group.stride or not group.field_w or len(group.field_w) != len(group.field_h):
                raise self.error("expected box_group_param with a stride > 0, and as many field_w "
                                 "as field_h")
        if min(p.field_whr, p.field_xyr) <= 0:
            raise self.error("expected field_whr and field_xyr > 0, got "
                             f"{p.field_whr:g} and {p.field_xyr:g}")

    def top_shapes(self, shapes: Shapes) -> list[Shape]:
        """As in Caffe one roi; how many there are shows in the forward pass."""
        self._images(shapes)
        tops: list[Shape] = [(1, 5, 1, 1), (1, 6, 1, 1)]
        return tops[:len(self.param.top)]

    def _images(self, shapes: Shapes) -> int:
        """The number of images."""
        counts = set()
        for scores, deltas, group in zip(shapes[::2], shapes[1::2], self.p.box_group_param):
            anchors = len(group.field_w)
            if len(scores) != 4 or tuple(deltas) != (scores[0], 4, *scores[2:]) \
                    or scores[0] % anchors:
                raise self.error(f"expected probabilities (N * {anchors}, C, H, W) and deltas "
                                 f"(N * {anchors}, 4, H, W), got {tuple(scores)} and "
                                 f"{tuple(deltas)}")
            counts.add(scores[0] // anchors)
        if len(counts) != 1:
            raise self.error(f"expected the same number of images in all bottoms, got {counts}")
        return counts.pop()

    def forward(self, *bottoms: Tensor) -> Tops:
        images = self._images([x.shape for x in bottoms])
        boxes, scores = [], []
        for prob, deltas, group in zip(bottoms[::2], bottoms[1::2], self.p.box_group_param):
            boxes.append(self._decode(deltas.detach(), group).reshape(images, -1, 4))
            scores.append(1 - prob.detach()[:, 0].reshape(images, -1))
        rows = [self._best(image, *pair) for image, pair in
                enumerate(zip(torch.cat(boxes, 1), torch.cat(scores, 1)))]
        found = torch.cat(rows)[:, :, None, None]
        if not len(found):
            found = found.new_tensor([[0, 1, 1, 10, 10, 0]])[:, :, None, None]
            nothing = torch.zeros_like(found)
            return (found[:, :5], nothing) if len(self.param.top) > 1 else found[:, :5]
        return (found[:, :5], found) if len(self.param.top) > 1 else found[:, :5]

    def _decode(self, deltas: Tensor, group: BoxGroupParameter) -> Tensor:
        """(N, A, H, W, 4): boxes from deltas (N * A, 4, H, W), clipped to the image."""
        height, width = deltas.shape[2:]
        deltas = deltas.permute(0, 2, 3, 1) * self.std + self.mean
        shift, size = 1 / self.p.field_xyr, math.log(self.p.field_whr)
        limits = deltas.new_tensor([shift, shift, size, size])
        deltas = deltas.clamp(-limits, limits).unflatten(0, (-1, len(group.field_w)))
        y, x = torch.meshgrid(*(torch.arange(n, device=deltas.device) for n in (height, width)),
                              indexing="ij")
        centres = (torch.stack([x, y], 2) + 0.5) * group.stride
        fields = deltas.new_tensor([list(group.field_w), list(group.field_h)]).t()[:, None, None]
        boxes = from_centres(centres.to(deltas.dtype), fields, deltas)
        boxes = torch.cat([boxes[..., :2], boxes[..., 2:] - 1], -1)
        image = deltas.new_tensor([width, height]) * group.stride
        return torch.cat([boxes[..., :2].clamp(min=0), boxes[..., 2:].minimum(image)], -1)

    def _best(self, image: int, boxes: Tensor, scores: Tensor) -> Tensor:
        """(R, 6): image, box, score."""
        p = self.p
        usable = (boxes[:, 2:] - boxes[:, :2] + 1 >= p.min_size).all(1) & (scores >= p.fg_thr)
        boxes, scores = boxes[usable], scores[usable]
        scores, order = scores.sort(descending=True, stable=True)
        boxes = boxes[order]
        if p.max_nms_num:
            boxes, scores = boxes[:p.max_nms_num], scores[:p.max_nms_num]
        keep = ops.nms(torch.cat([boxes, scores[:, None]], 1), p.iou_thr, inclusive=False,
                       max_keep=p.max_post_nms_num or -1)
        return torch.cat([boxes.new_full((len(keep), 1), image), boxes[keep],
                          scores[keep, None]], 1)


@register("DecodeBBox")
class DecodeBBox(_BoxModule):
    """The rois of the next stage: those of this one, moved by the deltas of class 1.

    bottom[0]: deltas (R, 8)     bottom[1]: rois (R, 5)
    bottom[2]: (R, n), in training, the overlap of each roi with its object last; rois that overlap
               it by gt_iou_thr are left out
    top[0]:    rois (R', 5), in training without those that have no area
    """

    bottoms = (2, 3)
    no_gradient = (0, 1, 2)

    def top_shapes(self, shapes: Shapes) -> list[Shape]:
        """All rois; how many go on shows in the forward pass."""
        deltas, rois = (tuple(shape) for shape in shapes[:2])
        count = rois[0]
        if math.prod(deltas) != 8 * count or math.prod(rois) != 5 * count:
            raise self.error(f"expected deltas (R, 8) and rois (R, 5), got {deltas} and {rois}")
        return [rois]

    def forward(self, deltas: Tensor, rois: Tensor, *overlaps: Tensor) -> Tensor:
        self.top_shapes([deltas.shape, rois.shape])
        rows = rois.detach().reshape(-1, 5)
        deltas = deltas.detach().reshape(-1, 8)[:, 4:] * self.std + self.mean
        sizes = rows[:, 3:] - rows[:, 1:3] + 1
        boxes = from_centres((rows[:, 1:3] + rows[:, 3:]) / 2, sizes, deltas)
        boxes = boxes + boxes.new_tensor([0.5, 0.5, -0.5, -0.5])    # the last pixel is included
        moved = torch.cat([rows[:, :1], boxes], 1).reshape(rois.shape)
        if self.phase != Phase.TRAIN or rois.is_meta:
            return moved
        kept = (boxes[:, 2:] >= boxes[:, :2]).all(1)
        for overlap in overlaps:
            kept &= overlap.detach().reshape(len(rows), -1)[:, -1] \
                < self.param.decode_bbox_param.gt_iou_thr
        if not kept.any():
            raise self.error("expected a roi that is left for the next stage, got none")
        return moved[kept]


@register("ScaleRoute")
class ScaleRoute(Module):
    """The rois of some scale, the square root of the area in pixels, and what belongs to them.

    bottom[0]: rois (R, 5)     bottom[i]: (R, ...)     top[i]: the chosen items of bottom[i]
    Where there is none, the roi whose scale is nearest to the middle of the range goes on.
    """

    bottoms = (1, None)
    tops = (1, None)
    same_count = True
    ignores_forbidden_gradient = True

    def __init__(self, param: LayerParameter, shapes: Shapes, phase: int) -> None:
        super().__init__(param, shapes, phase)
        p = param.scale_route_param
        self.no_gradient = tuple(range(len(shapes)))
        self.low = p.low_scale
        self.high = p.high_scale if p.HasField("high_scale") else math.inf
        if not 0 <= self.low <= self.high:
            raise self.error(f"expected 0 <= low_scale <= high_scale, got {self.low:g} and "
                             f"{self.high:g}")
        given = [scale for scale in (self.low, self.high) if 0 < scale < math.inf]
        self.middle = math.prod(given) ** (1 / len(given)) if given else 256.0

    def top_shapes(self, shapes: Shapes) -> list[Shape]:
        """All items; how many are chosen shows in the forward pass."""
        if math.prod(shapes[0][1:]) != 5 or any(s[0] != shapes[0][0] for s in shapes):
            raise self.error("expected rois (R, 5) and bottoms with R items, got "
                             f"{', '.join(str(tuple(s)) for s in shapes)}")
        return [tuple(shape) for shape in shapes]

    def forward(self, *bottoms: Tensor) -> tuple[Tensor, ...]:
        self.top_shapes([x.shape for x in bottoms])
        rois = bottoms[0].detach().reshape(-1, 5)
        if rois.is_meta or not len(rois):
            return tuple(bottoms)
        scales = (rois[:, 3:] - rois[:, 1:3] + 1).clamp(min=0).prod(1).sqrt()
        chosen = ((scales >= self.low) & (scales < self.high)).nonzero()[:, 0]
        if not len(chosen):
            chosen = (scales / self.middle).log2().abs().argmin()[None]
        return tuple(x.index_select(0, chosen) for x in bottoms)

"""The prior boxes and the detections of SSD (Liu et al. 2016).

weiliu89/caffe: prior_box_layer.cpp, detection_output_layer.cpp, bbox_util.cpp. Boxes are xmin,
ymin, xmax, ymax in shares of the image's width and height; their widths are plain differences.
"""
import logging
import math
import os

import torch
from torch import Tensor

from caffe.core.errors import DataError
from caffe.layer_types.common.boxes import decode, overlaps, rank_in_group
from caffe.layer_types.common.module import Module, Shape, Shapes
from caffe.layer_types.common.registry import register
from caffe.layer_types.regions.detection_files import DetectionFiles
from caffe.operators import ops
from caffe.proto.caffe_pb2 import LayerParameter, NonMaximumSuppressionParameter

log = logging.getLogger("caffe")


@register("PriorBox")
class PriorBox(Module):
    """Boxes of some sizes and aspect ratios about the centre of each cell of a map.

    bottom[0]: the map (N, C, H, W)     bottom[1]: the image (N, C, h, w)
    top[0]:    (1, 2, H * W * A * 4): the boxes, and the variances of their coordinates. For each
               min_size: the square, the square of sqrt(min_size * max_size), the aspect ratios.
    """

    bottoms = (2, 2)
    no_gradient = (0, 1)
    ignores_forbidden_gradient = True

    def __init__(self, param: LayerParameter, shapes: Shapes, phase: int) -> None:
        super().__init__(param, shapes, phase)
        p = self.p = param.prior_box_param
        for name in ("min_size", "max_size", "aspect_ratio", "variance"):
            if min(getattr(p, name), default=1) <= 0:
                raise self.error(f"expected each {name} > 0, got {list(getattr(p, name))}")
        self.sizes = self._sizes()
        if len(p.variance) not in (0, 1, 4):
            raise self.error(f"expected no variance, one, or four, got {len(p.variance)}")
        self.variance = list(p.variance or [0.1]) * (1 if len(p.variance) == 4 else 4)
        self.image_size, self.step = self._pair("img_size", "img"), self._pair("step", "step")

    def _sizes(self) -> list[tuple[float, float]]:
        """(width, height) of the boxes of one cell, in pixels of the image."""
        p, ratios = self.p, [1.0]
        if not p.min_size or len(p.max_size) not in (0, len(p.min_size)):
            raise self.error("expected one min_size or more, and as many max_size or none, got "
                             f"{len(p.min_size)} and {len(p.max_size)}")
        for ratio in p.aspect_ratio:
            if all(abs(ratio - known) >= 1e-6 for known in ratios):
                ratios += [ratio, 1 / ratio] if p.flip else [ratio]
        sizes: list[tuple[float, float]] = []
        for i, smallest in enumerate(map(int, p.min_size)):
            sizes.append((smallest, smallest))
            if p.max_size:
                if p.max_size[i] <= p.min_size[i]:
                    raise self.error(f"expected max_size > min_size, got {p.max_size[i]} and "
                                     f"{p.min_size[i]}")
                sizes.append((math.sqrt(smallest * int(p.max_size[i])),) * 2)
            sizes += [(smallest * math.sqrt(ratio), smallest / math.sqrt(ratio))
                      for ratio in ratios[1:]]
        return sizes

    def _pair(self, square: str, name: str) -> tuple[float, float] | None:
        """(height, width) of a field written once or as a pair, but not both; None if neither."""
        pair = [name + "_h", name + "_w"]
        given = [field for field in (square, *pair) if self.p.HasField(field)]
        if given not in ([], [square], pair) or any(getattr(self.p, f) <= 0 for f in given):
            raise self.error(f"expected {square}, or {pair[0]} and {pair[1]}, each > 0, got "
                             f"{' and '.join(given)}")
        values = tuple(getattr(self.p, field) for field in given)
        return values * 2 if len(values) == 1 else values or None

    def forward(self, features: Tensor, image: Tensor) -> Tensor:
        if features.dim() != 4 or image.dim() != 4:
            raise self.error("expected bottoms of shape (N, C, H, W), got "
                             f"{tuple(features.shape)} and {tuple(image.shape)}")
        size = features.shape[2:]
        image_size = self.image_size or image.shape[2:]
        steps = self.step or [pixels / cells for pixels, cells in zip(image_size, size)]
        options = {"dtype": torch.float64, "device": features.device}
        y, x = ((torch.arange(cells, **options) + self.p.offset) * step
                for cells, step in zip(size, steps))
        centres = torch.stack(torch.meshgrid(x, y, indexing="xy"), 2)[:, :, None]   # (H, W, 1, 2)
        half = torch.tensor(self.sizes, **options) / 2                              # (A, 2)
        boxes = torch.cat([centres - half, centres + half], 3)
        boxes = boxes / torch.tensor(tuple(image_size)[::-1] * 2, **options)
        boxes = boxes.clamp(0, 1) if self.p.clip else boxes
        variances = torch.tensor(self.variance, **options).expand_as(boxes)
        return torch.stack([boxes.flatten(), variances.flatten()])[None].to(features.dtype)


@register("PriorBoxClustered")
class PriorBoxClustered(PriorBox):
    """Boxes of the given widths and heights, in pixels, about the centre of each cell of a map.

    Bottoms and top as of PriorBox. Intel: prior_box_clustered_layer.cpp.
    """

    def _sizes(self) -> list[tuple[float, float]]:
        widths, heights = self.p.width, self.p.height
        if not widths or len(widths) != len(heights) or min(*widths, *heights) <= 0:
            raise self.error("expected one width or more, and as many heights, each > 0, got "
                             f"{list(widths)} and {list(heights)}")
        return list(zip(widths, heights))


@register("DetectionOutput")
class DetectionOutput(Module):
    """Decodes the boxes and suppresses those that overlap better ones of their class.

    bottom[0]: offsets (N, P * L * 4), L = 1 with share_location, else num_classes
    bottom[1]: confidences (N, P * num_classes)     bottom[2]: a PriorBox's top (1, 2, P * 4)
    top[0]:    (1, 1, D, 7): image index, label, confidence, box; by image, by label, best first.
               Where nothing is found there is a row for each image, with -1 behind its index.
    With save_output_param the detections of a whole test set are also written to files.
    """

    bottoms = (3, 3)
    no_gradient = (0, 1, 2)

    def __init__(self, param: LayerParameter, shapes: Shapes, phase: int) -> None:
        super().__init__(param, shapes, phase)
        p = self.p = param.detection_output_param
        if p.num_classes < 1:
            raise self.error("expected num_classes > 0, got none")
        if p.nms_param.nms_threshold < 0 or not 0 < p.nms_param.eta <= 1:
            raise self.error("expected nms_threshold >= 0 and eta > 0, at most 1, got "
                             f"{p.nms_param.nms_threshold:g} and {p.nms_param.eta:g}")
        self.threshold = p.confidence_threshold if p.HasField("confidence_threshold") else -math.inf
        self.top_k = p.nms_param.top_k if p.nms_param.HasField("top_k") else -1
        self.labels = [c for c in range(p.num_classes) if c != p.background_label_id]
        if p.visualize:
            log.info('Layer "%s": visualize is ignored; take the detections from the top',
                     self.name)
        self.files = self._files()

    def _files(self) -> DetectionFiles | None:
        """Where the detections are saved; None without the three fields that ask for it."""
        p = self.p.save_output_param
        if not p.output_directory:
            return None
        for field in ("label_map_file", "name_size_file"):
            if not os.path.isfile(getattr(p, field)):
                log.warning('Layer "%s": save_output_param writes no files, since there is no %s '
                            '"%s"', self.name, field, getattr(p, field))
                return None
        try:
            return DetectionFiles(p, self.labels)
        except DataError as problem:
            raise self.error(str(problem)) from None

    def top_shapes(self, shapes: Shapes) -> list[Shape]:
        """As in Caffe one detection; how many there are shows in the forward pass."""
        self._check(shapes)
        return [(1, 1, 1, 7)]

    def _check(self, shapes: Shapes) -> None:
        offsets, confidences, priors = (tuple(shape) for shape in shapes)
        if len(priors) < 3 or priors[:2] != (1, 2) or math.prod(priors[2:]) % 4:
            raise self.error(f"expected priors of shape (1, 2, P * 4), got {priors}")
        count = math.prod(priors[2:]) // 4
        boxes = 1 if self.p.share_location else self.p.num_classes
        for name, shape, each in (("offsets", offsets, 4 * boxes),
                                  ("confidences", confidences, self.p.num_classes)):
            if shape[:1] != offsets[:1] or math.prod(shape[1:]) != count * each:
                raise self.error(f"expected {each} {name} for each of the {count} priors of each "
                                 f"image, got {shape}")

    def forward(self, offsets: Tensor, confidences: Tensor, priors: Tensor) -> Tensor:
        self._check([x.shape for x in (offsets, confidences, priors)])
        images = len(offsets)
        priors, variances = priors.reshape(2, -1, 1, 4)
        offsets = offsets.reshape(images, len(priors), -1, 4)
        if not self.p.variance_encoded_in_target:
            offsets = offsets * variances
        boxes = decode(priors, offsets, self.p.code_type).transpose(1, 2)       # (N, L, P, 4)
        scores = confidences.reshape(images, len(priors), -1).transpose(1, 2)   # (N, classes, P)
        found = self._best(boxes, scores)
        if not len(found):
            found = found.new_full((images, 7), -1)
            found[:, 0] = torch.arange(images, device=found.device)
        if self.files is not None and not found.is_meta:
            self._save(self.files, found, images)
        return found[None, None]

    def _save(self, files: DetectionFiles, found: Tensor, images: int) -> None:
        try:
            files.add(found, images)
        except DataError as problem:
            raise self.error(str(problem)) from None

    def _best(self, boxes: Tensor, scores: Tensor) -> Tensor:
        """(D, 7): what is left of the candidates, in the top's order."""
        labels = torch.tensor(self.labels, device=scores.device)
        boxes = boxes.expand(-1, self.p.num_classes, -1, -1)[:, labels]
        scores, order = scores[:, labels].sort(descending=True, stable=True)
        count = scores.shape[2] if self.top_k < 0 else self.top_k
        scores, order = scores[..., :count], order[..., :count]
        image, label, rank = (scores > self.threshold).nonzero(as_tuple=True)
        prior = order[image, label, rank]
        scores, boxes, label = scores[image, label, rank], boxes[image, label, prior], labels[label]
        group = image * self.p.num_classes + label
        keep = _suppress(boxes, scores, group, self.p.nms_param)
        if self.p.keep_top_k >= 0:
            keep = keep[rank_in_group(image[keep]) < self.p.keep_top_k]
        keep = keep[group[keep].argsort(stable=True)]
        columns = [column[keep, None].to(boxes.dtype) for column in (image, label, scores)]
        return torch.cat([*columns, boxes[keep]], 1)


def _suppress(boxes: Tensor, scores: Tensor, groups: Tensor,
              options: NonMaximumSuppressionParameter) -> Tensor:
    """The rows that stay, best first, of boxes (D, 4) whose widths are plain differences.

    ops.batched_nms counts pixels, the last one included: one unit in 2^20 is taken from the corner.
    """
    if options.eta < 1:
        return _suppress_more_and_more(boxes, scores, groups, options.nms_threshold, options.eta)
    pixels = boxes * 2 ** 20
    return ops.batched_nms(torch.cat([pixels[:, :2], pixels[:, 2:] - 1], 1), scores, groups,
                           options.nms_threshold, inclusive=False)


def _suppress_more_and_more(boxes: Tensor, scores: Tensor, groups: Tensor, thresh: float,
                            eta: float) -> Tensor:
    """As `_suppress`; each box that stays lowers its group's threshold, while it is above 0.5."""
    kept = [groups[:0]]
    for group in groups.unique():
        own = (groups == group).nonzero()[:, 0]
        own = own[scores[own].argsort(descending=True, stable=True)]
        shared, limit = overlaps(boxes[own], boxes[own]).cpu(), thresh
        chosen: list[int] = []
        for i in range(len(own)):
            if not (shared[i, chosen] > limit).any():
                chosen.append(i)
                limit *= eta if limit > 0.5 else 1
        kept.append(own[chosen])
    kept = torch.cat(kept)
    return kept[scores[kept].argsort(descending=True, stable=True)]

"""PVANet's layer that turns the RPN's output into rois (sanghoon/caffe: proposal_layer.cpp)."""
import torch

from caffe.layer_types.common.module import Module
from caffe.layer_types.common.registry import register
from caffe.layer_types.regions.boxes import from_centres
from caffe.operators import ops
from caffe.operators.anchors import generate_anchors


@register("Proposal")
class Proposal(Module):
    """Applies the regressed deltas to the anchors; keeps the best boxes that do not overlap much.

    bottom[0]: probabilities (1, 2 A, H, W), the last A channels those of being an object
    bottom[1]: deltas (1, 4 A, H, W)
    bottom[2]: im_info (1, 3 or more): height and width of the net's input, its scale, or two scales
               that min_size is multiplied with for heights and for widths
    top[0]:    rois (R, 5): image index (0), x1, y1, x2, y2, best first; R <= post_nms_topn
    top[1]:    their probabilities (R,)
    Boxes smaller than min_size get the probability 0 and stay; a box goes when it overlaps a better
    one by more than nms_thresh.
    """

    bottoms = (3, 3)
    tops = (1, 2)
    no_gradient = (0, 1, 2)
    ignores_forbidden_gradient = True   # its bottoms come from layers that learn

    def __init__(self, param, shapes, phase):
        super().__init__(param, shapes, phase)
        p = self.p = param.proposal_param
        for name in ("ratio", "scale"):
            if not getattr(p, name) or min(getattr(p, name)) <= 0:
                raise self.error(f"expected one {name} or more, each > 0, got "
                                 f"{list(getattr(p, name)) or 'none'}")
        for name in ("feat_stride", "base_size", "pre_nms_topn", "post_nms_topn"):
            if getattr(p, name) < 1:
                raise self.error(f"expected {name} > 0, got {getattr(p, name)}")
        anchors = generate_anchors(p.base_size, p.ratio, p.scale)
        self.register_buffer("anchors", torch.from_numpy(anchors).float())

    def top_shapes(self, shapes):
        """The largest number of rois there may be; how many there are shows in the forward pass."""
        self._check(shapes)
        return [(self.p.post_nms_topn, 5), (self.p.post_nms_topn,)][:len(self.param.top)]

    def _check(self, shapes):
        scores, deltas, im_info = (tuple(shape) for shape in shapes)
        count = len(self.anchors)
        if len(scores) != 4 or scores[:2] != (1, 2 * count) \
                or deltas != (1, 4 * count, *scores[2:]):
            raise self.error(f"expected probabilities (1, {2 * count}, H, W) and deltas (1, "
                             f"{4 * count}, H, W) for {count} anchors, got {scores} and {deltas}")
        if im_info[:-1] != (1,) or im_info[-1] < 3:
            raise self.error(f"expected im_info of shape (1, 3) or more, got {im_info}")

    def forward(self, scores, deltas, im_info):
        self._check([x.shape for x in (scores, deltas, im_info)])
        count, im_info = len(self.anchors), im_info[0]
        deltas = deltas.detach()[0].unflatten(0, (count, 4)).permute(2, 3, 0, 1)    # (H, W, A, 4)
        probabilities = scores.detach()[0, count:].permute(1, 2, 0).flatten()
        anchors = self._grid(*scores.shape[2:])
        sizes = anchors[..., 2:] - anchors[..., :2] + 1
        boxes = from_centres(anchors[..., :2] + 0.5 * sizes, sizes, deltas).reshape(-1, 4)
        last = torch.stack([im_info[1], im_info[0]]).repeat(2) - 1
        boxes = boxes.minimum(last).clamp(min=0)
        scales = im_info[[3, 2]] if len(im_info) > 3 else im_info[2]
        usable = (boxes[:, 2:] - boxes[:, :2] + 1 >= self.p.min_size * scales).all(1)
        return self._best(boxes, torch.where(usable, probabilities, 0))

    def _grid(self, height, width):
        """The anchors of every cell, (H, W, A, 4)."""
        y, x = torch.meshgrid(torch.arange(height, device=self.anchors.device),
                              torch.arange(width, device=self.anchors.device), indexing="ij")
        shifts = torch.stack([x, y, x, y], 2) * self.p.feat_stride
        return shifts[:, :, None] + self.anchors

    def _best(self, boxes, probabilities):
        probabilities, order = probabilities.sort(descending=True, stable=True)
        probabilities = probabilities[:self.p.pre_nms_topn]
        boxes = boxes[order[:self.p.pre_nms_topn]]
        keep = ops.nms(torch.cat([boxes, probabilities[:, None]], 1), self.p.nms_thresh,
                       inclusive=False, max_keep=self.p.post_nms_topn)
        rois = torch.cat([boxes.new_zeros(len(keep), 1), boxes[keep]], 1)
        return (rois, probabilities[keep]) if len(self.param.top) > 1 else rois

"""Online hard example mining (Shrivastava et al. 2016) as its authors' nets do it: a first head,
whose weights the second shares, measures every roi, and the second learns from the hardest.

    layer { name: "hard_roi_mining" type: "Python" bottom: "cls_prob_readonly"
            bottom: "bbox_pred_readonly" bottom: "rois" bottom: "labels" ... top: "rois_hard" ...
            python_param { module: "roi_data_layer.layer" layer: "OHEMDataLayer"
                           param_str: "'num_classes': 21" } }
"""
import torch

import caffe
from caffe.operators import ops
from faster_rcnn.settings.config import cfg
from faster_rcnn.settings.layer_params import layer_params


class OHEMDataLayer(caffe.TensorLayer):
    """Keeps the cfg.TRAIN.BATCH_SIZE rois with the largest loss, hardest first.

    bottoms: class probabilities (R, K), box deltas (R, 4 K), rois (R, 5), labels (R,), and with
             TRAIN.BBOX_REG bbox_targets, bbox_inside_weights, bbox_outside_weights (R, 4 K)
    tops:    the chosen rows of the bottoms from the rois on
    param_str: num_classes
    With TRAIN.OHEM_USE_NMS rois that overlap a harder one of their image and label do not count.
    No gradient passes.
    """

    def setup(self, bottom, top):
        num_classes = layer_params(self, required=["num_classes"])["num_classes"]
        wanted = 7 if cfg.TRAIN.BBOX_REG else 4
        if len(bottom) != wanted or len(top) != wanted - 2:
            raise ValueError(f'layer "{self.name}": with TRAIN.BBOX_REG {cfg.TRAIN.BBOX_REG} '
                             f"{wanted} bottoms and {wanted - 2} tops were expected; found "
                             f"{len(bottom)} and {len(top)}")
        for blob, shape in zip(top, [(1, 5), (1,)] + [(1, 4 * num_classes)] * 3):
            blob.reshape(*shape)

    @torch.no_grad()
    def forward(self, probabilities, deltas, rois, labels, *regression):
        losses = -probabilities.gather(1, labels.long()[:, None])[:, 0].clamp_min(1e-16).log()
        if regression:
            losses = losses + _box_losses(deltas, *regression)
        rows = losses.argsort(descending=True, stable=True)
        if cfg.TRAIN.OHEM_USE_NMS:
            rows = _suppressed(rois, labels, losses, cfg.TRAIN.OHEM_NMS_THRESH)
        rows = rows[:cfg.TRAIN.BATCH_SIZE]
        return tuple(blob[rows] for blob in (rois, labels, *regression))


def _box_losses(deltas, targets, inside, outside):
    """Smooth L1 of each roi (R,)."""
    size = (inside * (deltas - targets)).abs()
    return (outside * torch.where(size < 1, 0.5 * size.square(), size - 0.5)).sum(1)


def _suppressed(rois, labels, losses, thresh):
    """Rows that stay of rois (R, 5) when each image and label has an NMS by loss, hardest first."""
    boxes = rois[:, 1:] - rois[:, 1:].min()
    groups = rois[:, 0] * (labels.max() + 1) + labels
    apart = boxes + groups[:, None] * (boxes.max() + 2)     # boxes of two groups never meet
    return ops.nms(torch.cat([apart, losses[:, None]], 1), thresh)

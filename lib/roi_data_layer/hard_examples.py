"""Online hard example mining (Shrivastava et al. 2016) as its authors' nets do it: a first head,
whose weights the second shares, computes the loss of every roi; the second learns from the rois
with the largest.

    layer { name: "hard_roi_mining" type: "Python" bottom: "cls_prob_readonly"
            bottom: "bbox_pred_readonly" bottom: "rois" bottom: "labels" ... top: "rois_hard" ...
            python_param { module: "roi_data_layer.layer" layer: "OHEMDataLayer"
                           param_str: "'num_classes': 21" } }
"""
from typing import Any

import torch

import caffe
from caffe.core.errors import InputError
from caffe.operators import ops
from faster_rcnn.settings.config import cfg
from faster_rcnn.settings.layer_params import layer_params

# More than any data set has classes
MANY_LABELS = 2 ** 31


class OHEMDataLayer(caffe.TensorLayer):
    """Keeps the cfg.TRAIN.BATCH_SIZE rois with the largest loss, hardest first.

    bottoms: class probabilities (R, K), box deltas (R, 4 K), rois (R, 5), labels (R,), and with
             TRAIN.BBOX_REG bbox_targets, bbox_inside_weights, bbox_outside_weights (R, 4 K)
    tops:    the chosen rows of the bottoms from the rois on
    param_str: num_classes
    With TRAIN.OHEM_USE_NMS rois that overlap a harder one of their image and label do not count.
    No gradient passes. The settings are those of cfg.TRAIN when the layer is set up.
    """

    def setup(self, bottom: Any, top: Any) -> None:
        num_classes = layer_params(self, required=["num_classes"])["num_classes"]
        self._batch_size = cfg.TRAIN.BATCH_SIZE
        self._nms_thresh = cfg.TRAIN.OHEM_NMS_THRESH if cfg.TRAIN.OHEM_USE_NMS else None
        wanted = 7 if cfg.TRAIN.BBOX_REG else 4
        if len(bottom) != wanted or len(top) != wanted - 2:
            raise InputError(f'layer "{self.name}": with TRAIN.BBOX_REG {cfg.TRAIN.BBOX_REG} '
                             f"{wanted} bottoms and {wanted - 2} tops were expected; found "
                             f"{len(bottom)} and {len(top)}")
        for blob, shape in zip(top, [(1, 5), (1,)] + [(1, 4 * num_classes)] * 3):
            blob.reshape(*shape)

    @torch.no_grad()
    def forward(self, probabilities: torch.Tensor, deltas: torch.Tensor, rois: torch.Tensor,
                labels: torch.Tensor, *regression: torch.Tensor) -> tuple[torch.Tensor, ...]:
        losses = -probabilities.gather(1, labels.long()[:, None])[:, 0].clamp_min(1e-16).log()
        if regression:
            losses = losses + _box_losses(deltas, *regression)
        rows = losses.argsort(descending=True, stable=True)
        if self._nms_thresh is not None:
            rows = _suppressed(rois, labels, losses, self._nms_thresh)
        rows = rows[:self._batch_size]
        return tuple(blob[rows] for blob in (rois, labels, *regression))


def _box_losses(deltas: torch.Tensor, targets: torch.Tensor, inside: torch.Tensor,
                outside: torch.Tensor) -> torch.Tensor:
    """Smooth L1 of each roi (R,)."""
    size = (inside * (deltas - targets)).abs()
    return (outside * torch.where(size < 1, 0.5 * size.square(), size - 0.5)).sum(1)


def _suppressed(rois: torch.Tensor, labels: torch.Tensor, losses: torch.Tensor,
                thresh: float) -> torch.Tensor:
    """Indices of the rois (R, 5) that NMS by loss keeps within each image and label, hardest first.
    """
    groups = rois[:, 0].long() * MANY_LABELS + labels.long()
    return ops.batched_nms(rois[:, 1:], losses, groups, thresh)

"""The layer that picks the rois of a training step and says what they are."""
import torch

import caffe
from fast_rcnn.config import cfg
from fast_rcnn.sampling import expand_targets, nearest_boxes, roi_targets, sample_rois
from utils.layer_params import layer_params


class ProposalTargetLayer(caffe.TensorLayer):
    """Samples foreground and background rois from the proposals and the ground truth boxes.

    bottoms: rpn_rois (R, 5), image index (0), x1, y1, x2, y2;
             gt_boxes (G, 5), x1, y1, x2, y2, class
    tops:    rois (S, 5); labels (S,);
             bbox_targets, bbox_inside_weights, bbox_outside_weights (S, 4 K)
    param_str: num_classes (K, with the background)
    Sizes and thresholds are cfg.TRAIN's. No gradient passes.
    """

    def setup(self, bottom, top):
        self._num_classes = layer_params(self, required=["num_classes"])["num_classes"]

    def reshape(self, bottom, top):
        top[0].reshape(1, 5)
        top[1].reshape(1)
        for blob in top[2:]:
            blob.reshape(1, 4 * self._num_classes)

    @torch.no_grad()
    def forward(self, rpn_rois, gt_boxes):
        if bool(rpn_rois[:, 0].any()):
            raise ValueError(f'layer "{self.name}": one image per batch was expected; '
                             "received rois of several")
        train = cfg.TRAIN
        gt_rois = torch.cat([gt_boxes.new_zeros(len(gt_boxes), 1), gt_boxes[:, :4]], 1)
        rois = torch.cat([rpn_rois, gt_rois])
        max_overlaps, nearest = nearest_boxes(rois[:, 1:], gt_boxes[:, :4])
        # without objects all overlaps are 0, and BG_THRESH_LO would leave nothing to train on
        bg_low = train.BG_THRESH_LO if len(gt_boxes) else 0
        keep, num_fg = sample_rois(max_overlaps, train.BATCH_SIZE, train.FG_FRACTION,
                                   train.FG_THRESH, (bg_low, train.BG_THRESH_HI))
        rois = rois[keep]
        labels, targets = roi_targets(rois[:, 1:], gt_boxes, nearest[keep], num_fg)
        if train.BBOX_NORMALIZE_TARGETS_PRECOMPUTED:
            targets = ((targets - targets.new_tensor(train.BBOX_NORMALIZE_MEANS))
                       / targets.new_tensor(train.BBOX_NORMALIZE_STDS))
        targets, inside_weights = expand_targets(labels, targets, self._num_classes,
                                                 train.BBOX_INSIDE_WEIGHTS)
        return rois, labels, targets, inside_weights, (inside_weights > 0).float()

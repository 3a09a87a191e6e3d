"""The layer that picks the rois of a training step and says what they are."""
import torch

import caffe
from faster_rcnn.anchors.batches import boxes_of_images, with_image
from faster_rcnn.boxes.sampling import (
    expand_targets,
    nearest_boxes,
    roi_targets,
    rois_per_image,
    sample_rois,
    with_four_axes,
)
from faster_rcnn.settings.config import cfg
from faster_rcnn.settings.layer_params import check_counts, layer_params


class ProposalTargetLayer(caffe.TensorLayer):
    """Samples foreground and background rois from the proposals and the ground truth boxes.

    bottoms: rpn_rois (R, 5), image index, x1, y1, x2, y2; gt_boxes (G, 5), x1, y1, x2, y2, class,
             with several images (TRAIN.IMS_PER_BATCH) (G, 6), image index last; optionally the
             net's input, not looked at
    tops:    rois (S, 5); labels (S,);
             bbox_targets, bbox_inside_weights, bbox_outside_weights (S, 4 K)
    param_str: num_classes (K, with the background); differentiable false
    Sizes and thresholds are cfg.TRAIN's; the images share BATCH_SIZE evenly. With AGNOSTIC (R-FCN;
    K is 2) targets stand in the columns of class 1, and all tops have four axes: (S, 5, 1, 1) ...

    With `differentiable` gradients of the rois reach the proposals that were picked; labels and
    targets count as constants. Otherwise no gradient passes.
    """

    def setup(self, bottom, top):
        check_counts(self, bottom, top, (2, 3), (5, 5))
        params = layer_params(self, required=["num_classes"], differentiable=False)
        self._num_classes = params["num_classes"]
        self._differentiable = bool(params["differentiable"])

    def reshape(self, bottom, top):
        more = (1, 1) if cfg.TRAIN.AGNOSTIC else ()
        top[0].reshape(1, 5, *more)
        top[1].reshape(1, *more, *more[1:])
        for blob in top[2:]:
            blob.reshape(1, 4 * self._num_classes, *more)

    def forward(self, rpn_rois, gt_boxes, *data):
        rpn_rois = rpn_rois if self._differentiable else rpn_rois.detach()
        if gt_boxes.shape[1] == 5:
            if bool(rpn_rois[:, 0].any()):
                raise ValueError(f'layer "{self.name}": one image per batch was expected with '
                                 "gt_boxes (G, 5); received rois of several")
            return self._tops([self._of_image(rpn_rois, gt_boxes, 0, 1)])
        num_images = cfg.TRAIN.IMS_PER_BATCH
        parts = [self._of_image(rpn_rois[rpn_rois[:, 0] == image], boxes, image, num_images)
                 for image, boxes in enumerate(boxes_of_images(gt_boxes, num_images, self.name))]
        return self._tops(parts)

    @staticmethod
    def _tops(parts):
        blobs = map(torch.cat, zip(*parts))
        return tuple(map(with_four_axes, blobs)) if cfg.TRAIN.AGNOSTIC else tuple(blobs)

    def _of_image(self, rpn_rois, gt_boxes, image, num_images):
        """The tops' rows of an image, from its proposals (R, 5) and boxes (G, 5)."""
        rois = torch.cat([rpn_rois, with_image(gt_boxes[:, :4], image)])
        with torch.no_grad():
            keep, labels, targets = _sample(rois, gt_boxes, num_images)
            targets, inside_weights = expand_targets(labels, targets, self._num_classes,
                                                     cfg.TRAIN.BBOX_INSIDE_WEIGHTS,
                                                     cfg.TRAIN.AGNOSTIC)
        return rois[keep], labels, targets, inside_weights, (inside_weights > 0).float()


def _sample(rois, gt_boxes, num_images):
    """Rows (S,) of rois (R, 5) to train on, their labels (S,) and targets (S, 4)."""
    train = cfg.TRAIN
    max_overlaps, nearest = nearest_boxes(rois[:, 1:], gt_boxes[:, :4])
    # without objects all overlaps are 0, and BG_THRESH_LO would leave nothing to train on
    bg_low = train.BG_THRESH_LO if len(gt_boxes) else 0
    keep, num_fg = sample_rois(max_overlaps, rois_per_image(train.BATCH_SIZE, num_images),
                               train.FG_FRACTION, train.FG_THRESH, (bg_low, train.BG_THRESH_HI))
    labels, targets = roi_targets(rois[keep, 1:], gt_boxes, nearest[keep], num_fg)
    if train.BBOX_NORMALIZE_TARGETS_PRECOMPUTED:
        targets = ((targets - targets.new_tensor(train.BBOX_NORMALIZE_MEANS))
                   / targets.new_tensor(train.BBOX_NORMALIZE_STDS))
    return keep, labels, targets

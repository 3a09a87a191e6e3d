"""The layer that samples the rois of a training step and says what they should learn."""
from typing import Any

import torch

import caffe
from caffe.core.errors import InputError
from faster_rcnn.anchors.batches import boxes_of_images, with_image
from faster_rcnn.boxes.sampling import with_four_axes
from faster_rcnn.minibatches.options import RoiOptions
from faster_rcnn.minibatches.training_rois import training_rois
from faster_rcnn.settings.layer_params import check_counts, layer_params
from rpn.original_names import bbox_regression_labels as _get_bbox_regression_labels  # noqa: F401
from rpn.original_names import roi_deltas as _compute_targets  # noqa: F401
from rpn.original_names import sample_rois as _sample_rois  # noqa: F401

Blobs = tuple[torch.Tensor, ...]


class ProposalTargetLayer(caffe.TensorLayer):
    """Samples foreground and background rois from the proposals and the ground truth boxes.

    bottoms: rpn_rois (R, 5), image index, x1, y1, x2, y2; gt_boxes (G, 5), x1, y1, x2, y2, class,
             with several images (TRAIN.IMS_PER_BATCH) (G, 6), image index last; optionally the
             net's input, which is not read
    tops:    rois (S, 5); labels (S,);
             bbox_targets, bbox_inside_weights, bbox_outside_weights (S, 4 K)
    param_str: num_classes (K, with the background); differentiable false
    Sizes and thresholds are those of cfg.TRAIN when the layer is set up; the images share
    BATCH_SIZE evenly. With AGNOSTIC (R-FCN) K is 2 whatever num_classes says, targets are in the
    columns of class 1, and all tops have four axes: (S, 5, 1, 1) ...

    With `differentiable` gradients of the rois reach the proposals that were sampled; labels and
    targets count as constants. Otherwise no gradient passes.
    """

    def setup(self, bottom: Any, top: Any) -> None:
        check_counts(self, bottom, top, (2, 3), (5, 5))
        params = layer_params(self, required=["num_classes"], differentiable=False)
        self._num_classes = params["num_classes"]
        self._differentiable = bool(params["differentiable"])
        self._options = RoiOptions.from_cfg()

    def reshape(self, bottom: Any, top: Any) -> None:
        more = (1, 1) if self._options.agnostic else ()
        top[0].reshape(1, 5, *more)
        top[1].reshape(1, *more, *more[1:])
        for blob in top[2:]:
            blob.reshape(1, 4 * self._options.box_classes(self._num_classes), *more)

    def forward(self, rpn_rois: torch.Tensor, gt_boxes: torch.Tensor,
                *data: torch.Tensor) -> Blobs:
        rpn_rois = rpn_rois if self._differentiable else rpn_rois.detach()
        if gt_boxes.shape[1] == 5:
            if bool(rpn_rois[:, 0].any()):
                raise InputError(f'layer "{self.name}": one image per batch was expected with '
                                 "gt_boxes (G, 5); received rois of several")
            return self._tops([self._of_image(rpn_rois, gt_boxes, 0, 1)])
        num_images = self._options.ims_per_batch
        parts = [self._of_image(rpn_rois[rpn_rois[:, 0] == image], boxes, image, num_images)
                 for image, boxes in enumerate(boxes_of_images(gt_boxes, num_images, self.name))]
        return self._tops(parts)

    def _tops(self, parts: list[Blobs]) -> Blobs:
        blobs = map(torch.cat, zip(*parts))
        return tuple(map(with_four_axes, blobs)) if self._options.agnostic else tuple(blobs)

    def _of_image(self, rpn_rois: torch.Tensor, gt_boxes: torch.Tensor, image: int,
                  num_images: int) -> Blobs:
        """The tops' rows of an image, from its proposals (R, 5) and boxes (G, 5)."""
        rois = torch.cat([rpn_rois, with_image(gt_boxes[:, :4], image)])
        with torch.no_grad():
            sampled = training_rois(rois[:, 1:], gt_boxes, num_images, self._num_classes,
                                    self._options)
        return rois[sampled.rows], *sampled[1:]

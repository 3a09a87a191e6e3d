"""The layer that tells the RPN what its anchors should say."""
import logging
from typing import Any

import torch

import caffe
from faster_rcnn.anchors.batches import boxes_of_images, check_info
from faster_rcnn.anchors.grid import BASE_SIZE, AnchorGrid, rows_to_map
from faster_rcnn.anchors.options import AnchorTargetOptions
from faster_rcnn.anchors.targets import AnchorTargets, NoAnchorInside, anchor_targets
from faster_rcnn.settings.layer_params import check_counts, layer_params
from rpn.original_names import anchor_deltas as _compute_targets  # noqa: F401
from rpn.original_names import unmap as _unmap  # noqa: F401

logger = logging.getLogger(__name__)


class AnchorTargetLayer(caffe.TensorLayer):
    """Labels anchors by their overlap with the ground truth, and encodes what they should become.

    bottoms: rpn_cls_score (N, 2 A, H, W), for its size only; gt_boxes (G, 5), x1, y1, x2, y2,
             class, with several images (G, 6), image index last; im_info (N, 3), height, width,
             scale of each image; optionally the net's input, which is not read
    tops:    rpn_labels (N, 1, A * H, W), 1 object, 0 background, -1 neither; rpn_bbox_targets,
             rpn_bbox_inside_weights and rpn_bbox_outside_weights (N, 4 A, H, W)
    param_str: feat_stride; scales (8, 16, 32); ratios (0.5, 1, 2); base_size 16; allowed_border 0
    cfg.TRAIN.RPN_BATCHSIZE anchors of each image are trained. The settings are those of cfg.TRAIN
    when the layer is set up.
    """

    def setup(self, bottom: Any, top: Any) -> None:
        check_counts(self, bottom, top, (3, 4), (4, 4))
        params = layer_params(self, required=["feat_stride"], scales=(8, 16, 32),
                              ratios=(0.5, 1, 2), base_size=BASE_SIZE, allowed_border=0)
        self._options = AnchorTargetOptions.from_cfg(params.pop("allowed_border"))
        self._grid = AnchorGrid(**params)
        self._warned = False

    @property
    def grid(self) -> AnchorGrid:
        """The anchors that it labels."""
        return self._grid

    def reshape(self, bottom: Any, top: Any) -> None:
        num_images, _, height, width = bottom[0].shape
        num_anchors = self._grid.num_anchors
        top[0].reshape(num_images, 1, num_anchors * height, width)
        for blob in top[1:]:
            blob.reshape(num_images, 4 * num_anchors, height, width)

    @torch.no_grad()
    def forward(self, rpn_cls_score: torch.Tensor, gt_boxes: torch.Tensor, im_info: torch.Tensor,
                *data: torch.Tensor) -> tuple[torch.Tensor, ...]:
        num_images, _, height, width = rpn_cls_score.shape
        check_info(im_info, num_images, self.name)
        anchors = self._grid(height, width, rpn_cls_score.device)
        maps = [[rows_to_map(rows, height, width)
                 for rows in self._targets(anchors, boxes[:, :4], info[:2])]
                for boxes, info in zip(boxes_of_images(gt_boxes, num_images, self.name), im_info)]
        labels, *others = map(torch.cat, zip(*maps))
        return labels.reshape(num_images, 1, -1, width), *others

    def _targets(self, anchors: torch.Tensor, gt_boxes: torch.Tensor,
                 im_size: torch.Tensor) -> AnchorTargets:
        try:
            return anchor_targets(anchors, gt_boxes, im_size, self._options)
        except NoAnchorInside:
            if not self._warned:
                logger.warning('layer "%s": no anchor lies inside an image of %g x %g pixels; such '
                               "images are trained with all anchors (smaller scales in param_str "
                               "would suit them)", self.name, *im_size.tolist())
                self._warned = True
            everywhere = self._options._replace(allowed_border=float("inf"))
            return anchor_targets(anchors, gt_boxes, im_size, everywhere)

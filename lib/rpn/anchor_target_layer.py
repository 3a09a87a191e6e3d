"""The layer that tells the RPN what its anchors should say."""
import logging

import torch

import caffe
from fast_rcnn.config import cfg
from rpn.anchors import BASE_SIZE, AnchorGrid, rows_to_map
from rpn.targets import AnchorTargetOptions, NoAnchorInside, anchor_targets
from utils.layer_params import layer_params

logger = logging.getLogger(__name__)


class AnchorTargetLayer(caffe.TensorLayer):
    """Labels anchors by their overlap with the ground truth, and encodes what they should become.

    bottoms: rpn_cls_score (1, 2 A, H, W), for its size only; gt_boxes (G, 5), x1, y1, x2, y2,
             class; im_info (1, 3), height, width, scale of the net's input; that, not looked at
    tops:    rpn_labels (1, 1, A * H, W), 1 object, 0 background, -1 neither; rpn_bbox_targets,
             rpn_bbox_inside_weights and rpn_bbox_outside_weights (1, 4 A, H, W)
    param_str: feat_stride; scales (8, 16, 32); ratios (0.5, 1, 2); base_size 16; allowed_border 0
    """

    def setup(self, bottom, top):
        params = layer_params(self, required=["feat_stride"], scales=(8, 16, 32),
                              ratios=(0.5, 1, 2), base_size=BASE_SIZE, allowed_border=0)
        self._allowed_border = params.pop("allowed_border")
        self._grid = AnchorGrid(**params)
        self._warned = False

    def reshape(self, bottom, top):
        height, width = bottom[0].shape[2:]
        num_anchors = self._grid.num_anchors
        top[0].reshape(1, 1, num_anchors * height, width)
        for blob in top[1:]:
            blob.reshape(1, 4 * num_anchors, height, width)

    @torch.no_grad()
    def forward(self, rpn_cls_score, gt_boxes, im_info, *data):
        if rpn_cls_score.shape[0] != 1:
            raise ValueError(f'layer "{self.name}": one image per batch was expected; received '
                             f"{rpn_cls_score.shape[0]} (set TRAIN.IMS_PER_BATCH 1)")
        height, width = rpn_cls_score.shape[2:]
        anchors = self._grid(height, width, rpn_cls_score.device)
        targets = self._targets(anchors, gt_boxes[:, :4], im_info[0, :2])
        labels, *others = [rows_to_map(rows, height, width) for rows in targets]
        return labels.reshape(1, 1, -1, width), *others

    def _targets(self, anchors, gt_boxes, im_size):
        options = _options(self._allowed_border)
        try:
            return anchor_targets(anchors, gt_boxes, im_size, options)
        except NoAnchorInside:
            if not self._warned:
                logger.warning('layer "%s": no anchor lies inside an image of %g x %g pixels; such '
                               "images are trained with all anchors (smaller scales in param_str "
                               "would suit them)", self.name, *im_size.tolist())
                self._warned = True
            everywhere = options._replace(allowed_border=float("inf"))
            return anchor_targets(anchors, gt_boxes, im_size, everywhere)


def _options(allowed_border):
    train = cfg.TRAIN
    return AnchorTargetOptions(
        allowed_border, train.RPN_POSITIVE_OVERLAP, train.RPN_NEGATIVE_OVERLAP,
        train.RPN_CLOBBER_POSITIVES, train.RPN_BATCHSIZE, train.RPN_FG_FRACTION,
        train.RPN_BBOX_INSIDE_WEIGHTS, train.RPN_POSITIVE_WEIGHT)

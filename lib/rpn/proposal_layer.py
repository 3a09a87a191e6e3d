"""The layer that turns the RPN's output into rois."""
import torch

import caffe
from fast_rcnn.config import cfg
from rpn.anchors import BASE_SIZE, AnchorGrid, map_to_rows
from rpn.proposals import ProposalOptions, propose
from utils.layer_params import layer_params


class ProposalLayer(caffe.TensorLayer):
    """Applies the regressed deltas to the anchors, keeps the best boxes that do not overlap much.

    bottoms: rpn_cls_prob_reshape (1, 2 A, H, W), the last A channels scores of being an object;
             rpn_bbox_pred (1, 4 A, H, W); im_info (1, 3), height, width, scale of the net's input
    tops:    rois (R, 5), image index (0), x1, y1, x2, y2, best first; optionally scores (R, 1)
    param_str: feat_stride; scales (8, 16, 32); ratios (0.5, 1, 2); base_size 16
    The limits are cfg.TRAIN.RPN_* or cfg.TEST.RPN_*, by the phase. No gradient passes.
    """

    def setup(self, bottom, top):
        params = layer_params(self, required=["feat_stride"], scales=(8, 16, 32),
                              ratios=(0.5, 1, 2), base_size=BASE_SIZE)
        self._grid = AnchorGrid(**params)
        self._num_tops = len(top)

    def reshape(self, bottom, top):
        top[0].reshape(1, 5)
        for blob in top[1:]:
            blob.reshape(1, 1)

    @torch.no_grad()
    def forward(self, rpn_cls_prob, rpn_bbox_pred, im_info):
        if rpn_cls_prob.shape[0] != 1:
            raise ValueError(f'layer "{self.name}": one image per batch was expected; received '
                             f"{rpn_cls_prob.shape[0]}")
        anchors = self._grid(*rpn_cls_prob.shape[2:], rpn_cls_prob.device)
        scores = map_to_rows(rpn_cls_prob[:, self._grid.num_anchors:], 1)[:, 0]
        proposals, scores = propose(anchors, scores, map_to_rows(rpn_bbox_pred, 4), im_info[0],
                                    _options(cfg[str(self.phase)]))
        rois = torch.cat([proposals.new_zeros(len(proposals), 1), proposals], 1)
        return (rois, scores[:, None])[:self._num_tops]


def _options(limits):
    return ProposalOptions(limits.RPN_PRE_NMS_TOP_N, limits.RPN_POST_NMS_TOP_N,
                           limits.RPN_NMS_THRESH, limits.RPN_MIN_SIZE, cfg.BBOX_MAX_LOG_SCALE)

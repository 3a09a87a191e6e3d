"""The layer that turns the RPN's output into rois."""
import torch

import caffe
from faster_rcnn.anchors.batches import check_info, with_image
from faster_rcnn.anchors.grid import BASE_SIZE, AnchorGrid, map_to_rows
from faster_rcnn.anchors.normalization import rpn_normalization
from faster_rcnn.anchors.proposals import ProposalOptions, decode, propose
from faster_rcnn.settings.config import cfg
from faster_rcnn.settings.layer_params import check_counts, layer_params


class ProposalLayer(caffe.TensorLayer):
    """Applies the regressed deltas to the anchors, keeps the best boxes that do not overlap much.

    bottoms: rpn_cls_prob_reshape (N, 2 A, H, W), the last A channels scores of being an object;
             rpn_bbox_pred (N, 4 A, H, W); im_info (N, 3), height, width, scale of each image
    tops:    rois (R, 5), image index, x1, y1, x2, y2, image by image, best first;
             optionally scores (R, 1)
    param_str: feat_stride; scales (8, 16, 32); ratios (0.5, 1, 2); base_size 16;
               differentiable false; max_gradient 0
    With cfg.TRAIN.RPN_NORMALIZE_TARGETS a training net's deltas are un-normalised first.
    The limits are cfg.TRAIN.RPN_* or cfg.TEST.RPN_*, by the phase, and count per image.

    With `differentiable` gradients of the rois reach rpn_bbox_pred: which boxes are kept counts as
    constant, where they lie follows the deltas (decoding and clipping). Otherwise none passes.
    max_gradient > 0 limits each entry of that gradient, as Dai et al. 2016 (MNC) do: a box of many
    pixels multiplies it, and the RPN's own loss weighs 1 / RPN_BATCHSIZE per anchor.
    """

    def setup(self, bottom, top):
        check_counts(self, bottom, top, (3, 3), (1, 2))
        params = layer_params(self, required=["feat_stride"], scales=(8, 16, 32),
                              ratios=(0.5, 1, 2), base_size=BASE_SIZE, differentiable=False,
                              max_gradient=0)
        self._differentiable = bool(params.pop("differentiable"))
        self._max_gradient = float(params.pop("max_gradient"))
        self._grid = AnchorGrid(**params)
        self._num_tops = len(top)

    def reshape(self, bottom, top):
        top[0].reshape(1, 5)
        for blob in top[1:]:
            blob.reshape(1, 1)

    def forward(self, rpn_cls_prob, rpn_bbox_pred, im_info):
        num_images = len(rpn_cls_prob)
        check_info(im_info, num_images, self.name)
        anchors = self._grid(*rpn_cls_prob.shape[2:], rpn_cls_prob.device)
        rois, scores = zip(*[
            self._of_image(anchors, rpn_cls_prob[i:i + 1], rpn_bbox_pred[i:i + 1], im_info[i], i)
            for i in range(num_images)])
        return (torch.cat(rois), torch.cat(scores))[:self._num_tops]

    def _of_image(self, anchors, prob, deltas, info, image):
        """Rois (R, 5) and scores (R, 1) of an image."""
        options = _options(cfg[str(self.phase)])
        deltas = map_to_rows(deltas, 4)
        normalization = rpn_normalization() if self.phase == caffe.TRAIN else None
        if normalization:
            means, stds = map(deltas.new_tensor, normalization)
            deltas = deltas * stds + means
        with torch.no_grad():
            scores = map_to_rows(prob[:, self._grid.num_anchors:], 1)[:, 0]
            boxes, scores, rows = propose(anchors, scores, deltas, info, options)
        if self._differentiable:
            boxes = decode(anchors[rows], self._limited(deltas[rows]), info, options.max_log_scale)
        return with_image(boxes, image), scores[:, None]

    def _limited(self, deltas):
        """The deltas, whose gradient is limited where max_gradient says so."""
        if deltas.requires_grad:
            deltas.register_hook(self._limit)
        return deltas

    def _limit(self, gradient):
        # a box that overflows is clipped: 0 times infinity, and in truth 0
        gradient = gradient.nan_to_num(nan=0.0)
        limit = self._max_gradient
        return gradient.clamp(-limit, limit) if limit > 0 else gradient


def _options(limits):
    return ProposalOptions(limits.RPN_PRE_NMS_TOP_N, limits.RPN_POST_NMS_TOP_N,
                           limits.RPN_NMS_THRESH, limits.RPN_MIN_SIZE, cfg.BBOX_MAX_LOG_SCALE)

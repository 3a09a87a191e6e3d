"""The layer that turns the RPN's output into rois."""
from typing import Any

import torch

import caffe
from faster_rcnn.anchors.batches import check_info, with_image
from faster_rcnn.anchors.grid import BASE_SIZE, AnchorGrid, map_to_rows
from faster_rcnn.anchors.options import ProposalOptions
from faster_rcnn.anchors.proposals import decode, propose
from faster_rcnn.settings.layer_params import check_counts, layer_params
from rpn.original_names import filter_boxes as _filter_boxes  # noqa: F401


class ProposalLayer(caffe.TensorLayer):
    """Applies the regressed deltas to the anchors, keeps the best boxes that do not overlap much.

    bottoms: rpn_cls_prob_reshape (N, 2 A, H, W), the last A channels scores of being an object;
             rpn_bbox_pred (N, 4 A, H, W); im_info (N, 3), height, width, scale of each image
    tops:    rois (R, 5), image index, x1, y1, x2, y2, image by image, best first;
             optionally scores (R, 1)
    param_str: feat_stride; scales (8, 16, 32); ratios (0.5, 1, 2); base_size 16;
               differentiable false; max_gradient 0
    The limits are those of cfg.TRAIN.RPN_* or cfg.TEST.RPN_*, by the phase, when the layer is set
    up, and count per image. With cfg.TRAIN.RPN_NORMALIZE_TARGETS a training net's deltas are
    un-normalised first.

    With `differentiable` gradients of the rois reach rpn_bbox_pred: which boxes are kept counts as
    constant, where they lie follows the deltas (decoding and clipping). Otherwise none passes.
    max_gradient > 0 limits each entry of that gradient, as Dai et al. 2016 (MNC) do: a box of many
    pixels multiplies it, and the RPN's own loss weighs 1 / RPN_BATCHSIZE per anchor.
    """

    def setup(self, bottom: Any, top: Any) -> None:
        check_counts(self, bottom, top, (3, 3), (1, 2))
        params = layer_params(self, required=["feat_stride"], scales=(8, 16, 32),
                              ratios=(0.5, 1, 2), base_size=BASE_SIZE, differentiable=False,
                              max_gradient=0)
        self._differentiable = bool(params.pop("differentiable"))
        self._max_gradient = float(params.pop("max_gradient"))
        self._grid = AnchorGrid(**params)
        self._options = ProposalOptions.from_cfg(self.phase)
        self._num_tops = len(top)

    def reshape(self, bottom: Any, top: Any) -> None:
        top[0].reshape(1, 5)
        for blob in top[1:]:
            blob.reshape(1, 1)

    def forward(self, rpn_cls_prob: torch.Tensor, rpn_bbox_pred: torch.Tensor,
                im_info: torch.Tensor) -> tuple[torch.Tensor, ...]:
        num_images = len(rpn_cls_prob)
        check_info(im_info, num_images, self.name)
        height, width = rpn_cls_prob.shape[2:]
        anchors = self._grid(height, width, rpn_cls_prob.device)
        rois, scores = zip(*[
            self._of_image(anchors, rpn_cls_prob[i:i + 1], rpn_bbox_pred[i:i + 1], im_info[i], i)
            for i in range(num_images)])
        return (torch.cat(rois), torch.cat(scores))[:self._num_tops]

    def to_onnx(self, scope: Any, *bottoms: str) -> list[str]:
        """The layer's nodes in an ONNX graph (caffe.export): the values of its tops."""
        from faster_rcnn.export.rois import proposal_nodes
        return proposal_nodes(scope, bottoms, self._grid, self._options)[:self._num_tops]

    def to_source(self, scope: Any, *bottoms: str) -> Any:
        """The layer in PyTorch source (caffe.export.source)."""
        from faster_rcnn.export.pytorch.proposals import proposal_source
        found = proposal_source(scope, bottoms, self._grid, self._options)
        return found if self._num_tops == 2 else f"{found.expression}[0]"

    def _of_image(self, anchors: torch.Tensor, prob: torch.Tensor, deltas: torch.Tensor,
                  info: torch.Tensor, image: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Rois (R, 5) and scores (R, 1) of an image."""
        deltas = map_to_rows(deltas, 4)
        if self._options.normalization:
            means, stds = map(deltas.new_tensor, self._options.normalization)
            deltas = deltas * stds + means
        with torch.no_grad():
            scores = map_to_rows(prob[:, self._grid.num_anchors:], 1)[:, 0]
            boxes, scores, rows = propose(anchors, scores, deltas, info, self._options)
        if self._differentiable:
            boxes = decode(anchors[rows], self._limited(deltas[rows]), info,
                           self._options.max_log_scale)
        return with_image(boxes, image), scores[:, None]

    def _limited(self, deltas: torch.Tensor) -> torch.Tensor:
        """The deltas, whose gradient is limited if max_gradient is set."""
        if deltas.requires_grad:
            deltas.register_hook(self._limit)
        return deltas

    def _limit(self, gradient: torch.Tensor) -> torch.Tensor:
        # a box whose size overflows is clipped, so its gradient is 0, which comes as 0 * infinity
        gradient = gradient.nan_to_num(nan=0.0)
        limit = self._max_gradient
        return gradient.clamp(-limit, limit) if limit > 0 else gradient

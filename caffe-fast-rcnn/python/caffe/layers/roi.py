"""Layers that look at regions of interest. Fast R-CNN: roi_pooling_layer.cu."""
from .. import ops
from ..registry import register
from .base import Module


@register("ROIPooling")
class ROIPooling(Module):
    """The maximum of each of the pooled_h x pooled_w bins of each roi.

    bottom[0]: feature map (N, C, H, W)
    bottom[1]: rois (R, 5): image index, x1, y1, x2, y2 in image pixels, inclusive
    top[0]:    (R, C, pooled_h, pooled_w)
    """

    bottoms = (2, 2)
    no_gradient = (1,)
    ignores_forbidden_gradient = True   # Fast R-CNN: rois come from layers that learn

    def __init__(self, param, shapes, phase):
        super().__init__(param, shapes, phase)
        p = param.roi_pooling_param
        self.pooled, self.spatial_scale = (p.pooled_h, p.pooled_w), p.spatial_scale
        if min(self.pooled) < 1:
            raise self.error(f"expected pooled_h and pooled_w > 0, got {self.pooled}")

    def forward(self, features, rois):
        if features.dim() != 4:
            raise self.error("expected a feature map of shape (N, C, H, W), got "
                             f"{tuple(features.shape)}")
        if rois.numel() != 5 * rois.shape[0]:
            raise self.error(f"expected rois of shape (R, 5), got {tuple(rois.shape)}")
        return ops.roi_pool(features, rois.reshape(-1, 5), *self.pooled, self.spatial_scale)

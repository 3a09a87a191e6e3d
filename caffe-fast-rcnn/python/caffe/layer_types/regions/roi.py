"""Layers that look at regions of interest.

Fast R-CNN: roi_pooling_layer.cu; R-FCN: psroi_pooling_layer.cu; Mask R-CNN: RoIAlign, as in
Caffe2's roi_align_op.
"""
from caffe.layer_types.common.module import Module
from caffe.layer_types.common.registry import register
from caffe.operators import ops


class _RegionModule(Module):
    """A layer with a feature map and rois."""

    bottoms = (2, 2)

    def check_grid(self, options):
        """(pooled_h, pooled_w) of the layer's options, both at least 1."""
        pooled = options.pooled_h, options.pooled_w
        if min(pooled) < 1:
            raise self.error(f"expected pooled_h and pooled_w > 0, got {pooled}")
        return pooled

    def check_bottoms(self, features, rois):
        """The rois as (R, 5), where both bottoms have the right shape."""
        if features.dim() != 4:
            raise self.error("expected a feature map of shape (N, C, H, W), got "
                             f"{tuple(features.shape)}")
        if rois.numel() != 5 * rois.shape[0]:
            raise self.error(f"expected rois of shape (R, 5), got {tuple(rois.shape)}")
        return rois.reshape(-1, 5)


@register("ROIPooling")
class ROIPooling(_RegionModule):
    """The maximum of each of the pooled_h x pooled_w bins of each roi.

    bottom[0]: feature map (N, C, H, W)
    bottom[1]: rois (R, 5): image index, x1, y1, x2, y2 in image pixels, inclusive
    top[0]:    (R, C, pooled_h, pooled_w)
    """

    no_gradient = (1,)
    ignores_forbidden_gradient = True   # Fast R-CNN: rois come from layers that learn

    def __init__(self, param, shapes, phase):
        super().__init__(param, shapes, phase)
        self.pooled = self.check_grid(param.roi_pooling_param)
        self.spatial_scale = param.roi_pooling_param.spatial_scale

    def forward(self, features, rois):
        rois = self.check_bottoms(features, rois)
        return ops.roi_pool(features, rois, *self.pooled, self.spatial_scale)


@register("ROIAlign")
class ROIAlign(_RegionModule):
    """The mean of bilinear samples in each of the pooled_h x pooled_w bins of each roi.

    bottom[0]: feature map (N, C, H, W)
    bottom[1]: rois (R, 5): image index, x1, y1, x2, y2 in image pixels; not rounded
    top[0]:    (R, C, pooled_h, pooled_w)

    The gradient reaches the rois' corners too, where something below learns from it. Some forks
    write the options as roi_pooling_param, which serves where there is no roi_align_param.
    """

    optional_gradient = (1,)

    def __init__(self, param, shapes, phase):
        super().__init__(param, shapes, phase)
        own = param.roi_align_param
        grid = param.roi_pooling_param if not param.HasField("roi_align_param") else own
        self.pooled, self.spatial_scale = self.check_grid(grid), grid.spatial_scale
        self.sampling = own.sampling_ratio, own.aligned

    def forward(self, features, rois):
        rois = self.check_bottoms(features, rois)
        return ops.roi_align(features, rois, *self.pooled, self.spatial_scale, *self.sampling)


@register("PSROIPooling")
class PSROIPooling(_RegionModule):
    """The mean of each of the group_size x group_size bins of each roi, from its own channels.

    bottom[0]: feature map (N, output_dim * group_size^2, H, W); the channels of a class lie
               together, one per bin, row by row
    bottom[1]: rois (R, 5): image index, x1, y1, x2, y2 in image pixels, inclusive
    top[0]:    (R, output_dim, group_size, group_size)
    """

    no_gradient = (1,)
    ignores_forbidden_gradient = True   # R-FCN: rois come from layers that learn

    def __init__(self, param, shapes, phase):
        super().__init__(param, shapes, phase)
        p = param.psroi_pooling_param
        self.grid, self.spatial_scale = (p.output_dim, p.group_size), p.spatial_scale
        if min(self.grid) < 1:
            raise self.error(f"expected output_dim and group_size > 0, got {self.grid}")

    def forward(self, features, rois):
        rois = self.check_bottoms(features, rois)
        return ops.psroi_pool(features, rois, *self.grid, self.spatial_scale)

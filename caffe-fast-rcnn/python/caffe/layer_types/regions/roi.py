"""Layers that look at regions of interest.

Fast R-CNN: roi_pooling_layer.cu; R-FCN: psroi_pooling_layer.cu; Mask R-CNN: RoIAlign, as in
Caffe2's roi_align_op; MNC: daijifeng001/caffe-mnc, roi_warping_layer.cu, mask_pooling_layer.cu.
"""
from collections.abc import Sequence

import torch
from google.protobuf.message import Message
from torch import Tensor

from caffe.layer_types.common.interpolation import bilinear
from caffe.layer_types.common.module import Module, Numbers, Shape, Shapes
from caffe.layer_types.common.registry import register
from caffe.operators import ops
from caffe.proto.caffe_pb2 import LayerParameter


def padded(rois: Tensor, ratio: float) -> Tensor:
    """The rois (R, 5), larger on each side by a share of their width and height."""
    if not ratio:
        return rois
    pad = (rois[:, 3:] - rois[:, 1:3] + 1) * ratio
    return torch.cat([rois[:, :1], rois[:, 1:3] - pad, rois[:, 3:] + pad], 1)


def interpolated(features: Tensor, images: Tensor, start: Tensor, size: Tensor,
                 points: tuple[int, int], bins: tuple[int, int]) -> Tensor:
    """(R, C, *points): the map of each roi's image at rows and columns start + i * size / bins.

    start, size: (R, 2), x and y, width and height in cells; points, bins: along height and width
    """
    x, y = (start[:, i, None] + size[:, i, None] / bins[1 - i]
            * torch.arange(points[1 - i], device=start.device) for i in range(2))
    tops = [bilinear(features[int(image)][None], y[i:i + 1], x[i:i + 1])
            for i, image in enumerate(images)]
    return torch.cat(tops) if tops else features.new_zeros(0, features.shape[1], *points)


class _RegionModule(Module):
    """A layer with a feature map and rois."""

    bottoms = (2, 2)

    def check_grid(self, options: Message) -> tuple[int, int]:
        """(pooled_h, pooled_w) of the layer's options, both at least 1."""
        pooled = options.pooled_h, options.pooled_w
        if min(pooled) < 1:
            raise self.error(f"expected pooled_h and pooled_w > 0, got {pooled}")
        return pooled

    def check_bottoms(self, features: Tensor, rois: Tensor) -> Tensor:
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
    With pad_ratio (MS-CNN, Cascade R-CNN) the rois grow on each side by that share of their size.
    """

    numbers = Numbers.OF_BOTTOM
    no_gradient = (1,)
    ignores_forbidden_gradient = True   # Fast R-CNN: rois come from layers that learn

    def __init__(self, param: LayerParameter, shapes: Shapes, phase: int) -> None:
        super().__init__(param, shapes, phase)
        p = param.roi_pooling_param
        self.pooled = self.check_grid(p)
        self.spatial_scale, self.pad_ratio = p.spatial_scale, p.pad_ratio

    def forward(self, features: Tensor, rois: Tensor) -> Tensor:
        rois = self.check_bottoms(features, rois)
        return ops.roi_pool(features, padded(rois, self.pad_ratio), *self.pooled,
                            self.spatial_scale)


@register("ROIAlign")
class ROIAlign(_RegionModule):
    """The mean of bilinear samples in each of the pooled_h x pooled_w bins of each roi.

    bottom[0]: feature map (N, C, H, W)
    bottom[1]: rois (R, 5): image index, x1, y1, x2, y2 in image pixels; not rounded
    top[0]:    (R, C, pooled_h, pooled_w)

    The gradient reaches the rois' corners too, where something below learns from it. Some forks
    write the options as roi_pooling_param, which serves where there is no roi_align_param.
    With `corners` (Cascade R-CNN) the top is (R, C, pooled_h + 1, pooled_w + 1), the map at the
    corners of the bins, without a gradient for the rois.
    """

    numbers = Numbers.ROUNDED
    optional_gradient = (1,)

    def __init__(self, param: LayerParameter, shapes: Shapes, phase: int) -> None:
        super().__init__(param, shapes, phase)
        own = param.roi_align_param
        grid = param.roi_pooling_param if not param.HasField("roi_align_param") else own
        self.pooled, self.spatial_scale = self.check_grid(grid), grid.spatial_scale
        self.sampling = own.sampling_ratio, own.aligned
        self.corners, self.pad_ratio = own.corners, own.pad_ratio
        if own.corners:
            self.no_gradient = (1,)

    def top_shapes(self, shapes: Shapes) -> Sequence[Shape | None]:
        if not self.corners:
            return super().top_shapes(shapes)
        return [(shapes[1][0], shapes[0][1], *(n + 1 for n in self.pooled))]

    def forward(self, features: Tensor, rois: Tensor) -> Tensor:
        rois = self.check_bottoms(features, rois)
        if self.corners:
            return self._at_corners(features, rois.detach())
        return ops.roi_align(features, rois, *self.pooled, self.spatial_scale, *self.sampling)

    def _at_corners(self, features: Tensor, rois: Tensor) -> Tensor:
        box = padded(rois, self.pad_ratio)[:, 1:] * self.spatial_scale - 0.5
        start, size = box[:, :2], box[:, 2:] - box[:, :2]
        height, width = self.pooled
        top = interpolated(features, rois[:, 0], start, size, (height + 1, width + 1),
                           self.pooled)
        return top * (size > 0).all(1).to(top.dtype)[:, None, None, None]


@register("PSROIPooling")
class PSROIPooling(_RegionModule):
    """The mean of each of the group_size x group_size bins of each roi, from its own channels.

    bottom[0]: feature map (N, output_dim * group_size^2, H, W); the channels of a class lie
               together, one per bin, row by row
    bottom[1]: rois (R, 5): image index, x1, y1, x2, y2 in image pixels, inclusive
    top[0]:    (R, output_dim, group_size, group_size)
    """

    numbers = Numbers.ROUNDED
    no_gradient = (1,)
    ignores_forbidden_gradient = True   # R-FCN: rois come from layers that learn

    def __init__(self, param: LayerParameter, shapes: Shapes, phase: int) -> None:
        super().__init__(param, shapes, phase)
        p = param.psroi_pooling_param
        self.grid, self.spatial_scale = (p.output_dim, p.group_size), p.spatial_scale
        if min(self.grid) < 1:
            raise self.error(f"expected output_dim and group_size > 0, got {self.grid}")

    def forward(self, features: Tensor, rois: Tensor) -> Tensor:
        rois = self.check_bottoms(features, rois)
        return ops.psroi_pool(features, rois, *self.grid, self.spatial_scale)


@register("ROIWarping")
class ROIWarping(_RegionModule):
    """The feature map, interpolated at the corner of each of the pooled_h x pooled_w bins.

    bottom[0]: feature map (N, C, H, W)
    bottom[1]: rois (R, 5): image index, x1, y1, x2, y2 in image pixels, inclusive, rounded to cells
    top[0]:    (R, C, pooled_h, pooled_w); 0 more than half a cell outside of the map
    MNC's gradient for the rois is not known here: a net that learns needs `propagate_down: false`
    for them.
    """

    no_gradient = (1,)

    def __init__(self, param: LayerParameter, shapes: Shapes, phase: int) -> None:
        super().__init__(param, shapes, phase)
        self.pooled = self.check_grid(param.roi_warping_param)
        self.spatial_scale = param.roi_warping_param.spatial_scale

    def top_shapes(self, shapes: Shapes) -> list[Shape]:
        self.check_bottoms(*(torch.empty(tuple(shape), device="meta") for shape in shapes))
        return [(shapes[1][0], shapes[0][1], *self.pooled)]

    def forward(self, features: Tensor, rois: Tensor) -> Tensor:
        rois = self.check_bottoms(features, rois).detach()
        scaled = rois[:, 1:] * self.spatial_scale
        corners = scaled.sign() * (scaled.abs() + 0.5).floor()      # C's round()
        start, size = corners[:, :2], (corners[:, 2:] - corners[:, :2]).clamp(min=0)
        self.check_range(rois[:, 0], len(features), "image index of the rois")
        return interpolated(features, rois[:, 0], start, size, self.pooled, self.pooled)


@register("MaskPooling")
class MaskPooling(Module):
    """Features times a mask. bottom[0]: (R, C, H, W)     bottom[1]: (R, 1, H, W)."""

    bottoms = (2, 2)

    def forward(self, features: Tensor, mask: Tensor) -> Tensor:
        if features.dim() != 4 or mask.shape != (features.shape[0], 1, *features.shape[2:]):
            raise self.error("expected bottoms of shape (R, C, H, W) and (R, 1, H, W), got "
                             f"{tuple(features.shape)} and {tuple(mask.shape)}")
        return features * mask

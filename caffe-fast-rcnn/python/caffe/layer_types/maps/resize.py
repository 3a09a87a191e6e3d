"""Layers that change the height and width of a map.

Interp: DeepLab's and PSPNet's interp_layer.cpp; Upsample: upsample_layer.cpp of SegNet and of YOLO.
"""
import torch.nn.functional as F

from caffe.layer_types.common.module import Module
from caffe.layer_types.common.registry import register


@register("Interp")
class Interp(Module):
    """Bilinear interpolation, the corner pixels of bottom and top lying on each other.

    bottom[0]: (N, C, H, W), cut by -pad_beg pixels at the top and the left, -pad_end at the others
    bottom[1]: gives the top its size where interp_param names none
    top[0]:    (N, C, height, width), or what shrink_factor and then zoom_factor make of H and W
    """

    bottoms = (1, 2)
    no_gradient = (1,)
    ignores_forbidden_gradient = True

    def __init__(self, param, shapes, phase):
        super().__init__(param, shapes, phase)
        p = self.p = param.interp_param
        if p.pad_beg > 0 or p.pad_end > 0:
            raise self.error("expected pad_beg and pad_end to cut (<= 0), got "
                             f"{p.pad_beg} and {p.pad_end}")
        if p.zoom_factor < 1 or p.shrink_factor < 1:
            raise self.error("expected zoom_factor and shrink_factor > 0, got "
                             f"{p.zoom_factor} and {p.shrink_factor}")
        factors, size = self._given("zoom_factor", "shrink_factor"), self._given("height", "width")
        if factors + size + (len(shapes) == 2) == 0 or size == 1:
            raise self.error("expected height and width, zoom_factor, shrink_factor or a second "
                             "bottom with the size of the top, got none of them")

    def _given(self, *fields):
        return sum(map(self.p.HasField, fields))

    def forward(self, x, *like):
        if any(bottom.dim() != 4 for bottom in (x, *like)):
            raise self.error("expected bottoms of shape (N, C, H, W), got "
                             f"{', '.join(str(tuple(b.shape)) for b in (x, *like))}")
        cut, end = -self.p.pad_beg, self.p.pad_end
        inner = x[:, :, cut:x.shape[2] + end, cut:x.shape[3] + end]
        size = self._size(inner.shape[2:], *like)
        if min(*inner.shape[2:], *size) < 1:
            raise self.error(f"expected something to be left of bottom {tuple(x.shape)}, got "
                             f"{tuple(inner.shape)} and a top of {size}")
        return F.interpolate(inner, size, mode="bilinear", align_corners=True)

    def _size(self, size, *like):
        """The top's height and width. One factor alone goes before height and width (DeepLab)."""
        p, factors = self.p, self._given("zoom_factor", "shrink_factor")
        if factors == 1 or (factors and not self._given("height")):
            shrunk = [(n - 1) // p.shrink_factor + 1 for n in size]
            return tuple((n - 1) * p.zoom_factor + 1 for n in shrunk)
        return (p.height, p.width) if self._given("height") else tuple(like[0].shape[2:])


@register("Upsample")
class Upsample(Module):
    """A larger map: every value repeated, or put back to where max pooling took it from.

    bottom[0]: (N, C, H, W)
    bottom[1]: the indices that a Pooling layer gave as its second top; the other values are 0 then
    top[0]:    (N, C, H scale, W scale); with indices also (N, C, upsample_h, upsample_w)
    """

    bottoms = (1, 2)
    no_gradient = (1,)
    ignores_forbidden_gradient = True   # indices come from layers that learn

    def __init__(self, param, shapes, phase):
        super().__init__(param, shapes, phase)
        p = param.upsample_param
        given = [field for field in ("upsample_h", "upsample_w") if p.HasField(field)]
        if len(given) == 1 or (given and len(shapes) == 1):
            raise self.error("expected upsample_h and upsample_w together, and with indices as "
                             f"second bottom, got {' and '.join(given)}")
        if p.HasField("scale_h") != p.HasField("scale_w"):
            raise self.error("expected scale, or scale_h and scale_w, got one of the two")
        self.size = (p.upsample_h, p.upsample_w) if given else None
        self.scale = (p.scale_h, p.scale_w) if p.HasField("scale_h") else (p.scale,) * 2
        self.less = (int(p.pad_out_h), int(p.pad_out_w))
        if min(self.size or self.scale) < 1:
            raise self.error(f"expected sizes and scales > 0, got {self.size or self.scale}")
        if any(less and scale != 2 for less, scale in zip(self.less, self.scale)):
            raise self.error(f"expected scale 2 with pad_out_h and pad_out_w, got {self.scale}")

    def forward(self, x, *indices):
        if x.dim() != 4 or any(index.shape != x.shape for index in indices):
            raise self.error("expected (N, C, H, W), and indices of the same shape, got "
                             f"{', '.join(str(tuple(b.shape)) for b in (x, *indices))}")
        if not indices:
            return x.repeat_interleave(self.scale[0], 2).repeat_interleave(self.scale[1], 3)
        height, width = self.size or (n * scale - less for n, scale, less in
                                      zip(x.shape[2:], self.scale, self.less))
        index = indices[0].detach().flatten(2).long()
        self.check_range(index, height * width, "pooling index")
        top = x.new_zeros(*x.shape[:2], height * width).scatter(2, index, x.flatten(2))
        return top.unflatten(2, (height, width))

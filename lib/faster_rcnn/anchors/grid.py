"""Anchors of a whole feature map."""
import functools

import torch

from caffe.operators.anchors import generate_anchors

# the cell that scales refer to, whatever the stride; py-faster-rcnn: generate_anchors.py
BASE_SIZE = 16


class AnchorGrid:
    """The anchors of feature maps of any size.

    scales, ratios, base_size: see generate_anchors; feat_stride: image pixels per cell of the map.
    """

    def __init__(self, feat_stride=16, scales=(8, 16, 32), ratios=(0.5, 1, 2),
                 base_size=BASE_SIZE):
        self.feat_stride = feat_stride
        self.base_anchors = torch.from_numpy(generate_anchors(base_size, ratios, scales))   # (A, 4)
        self.num_anchors = len(self.base_anchors)
        self._cached = functools.lru_cache(maxsize=32)(self._shifted)

    def __call__(self, height, width, device):
        """(height * width * A, 4) float64 on the device: row (y * width + x) * A + a is anchor a of
        cell (y, x)."""
        return self._cached(height, width, torch.device(device))

    def _shifted(self, height, width, device):
        y, x = torch.meshgrid(torch.arange(height) * self.feat_stride,
                              torch.arange(width) * self.feat_stride, indexing="ij")
        shifts = torch.stack([x, y, x, y], 2).view(-1, 1, 4)
        return (shifts + self.base_anchors).view(-1, 4).to(device)


def rows_to_map(rows, height, width):
    """Values of all anchors, (H * W * A, d), as a blob (1, A * d, H, W)."""
    return rows.reshape(1, height, width, -1).permute(0, 3, 1, 2)


def map_to_rows(blob, size):
    """A blob (1, A * size, H, W) as values of all anchors: (H * W * A, size)."""
    return blob.permute(0, 2, 3, 1).reshape(-1, size)

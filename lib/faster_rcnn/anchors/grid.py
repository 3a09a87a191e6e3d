"""Anchors of a whole feature map."""
import functools
from collections.abc import Sequence

import torch

from caffe.operators.anchors import generate_anchors

# side of the square that scales multiply, whatever the stride; py-faster-rcnn: generate_anchors.py
BASE_SIZE = 16


class AnchorGrid:
    """The anchors of feature maps of any size.

    scales, ratios, base_size: see generate_anchors; feat_stride: image pixels per cell of the map.
    """

    def __init__(self, feat_stride: float = 16, scales: Sequence[float] = (8, 16, 32),
                 ratios: Sequence[float] = (0.5, 1, 2), base_size: float = BASE_SIZE) -> None:
        self.feat_stride = feat_stride
        self.base_anchors = torch.from_numpy(generate_anchors(base_size, ratios, scales))   # (A, 4)
        self.num_anchors = len(self.base_anchors)
        self._cached = functools.lru_cache(maxsize=32)(self._shifted)

    def __call__(self, height: int, width: int, device: str | torch.device) -> torch.Tensor:
        """(height * width * A, 4) float64 on the device: row (y * width + x) * A + a is anchor a of
        cell (y, x)."""
        return self._cached(height, width, torch.device(device))

    def _shifted(self, height: int, width: int, device: torch.device) -> torch.Tensor:
        y, x = torch.meshgrid(torch.arange(height) * self.feat_stride,
                              torch.arange(width) * self.feat_stride, indexing="ij")
        shifts = torch.stack([x, y, x, y], 2).view(-1, 1, 4)
        return (shifts + self.base_anchors).view(-1, 4).to(device)


def rows_to_map(rows: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """Values of all anchors, (H * W * A, d), as a blob (1, A * d, H, W)."""
    return rows.reshape(1, height, width, -1).permute(0, 3, 1, 2)


def map_to_rows(blob: torch.Tensor, size: int) -> torch.Tensor:
    """A blob (1, A * size, H, W) as values of all anchors: (H * W * A, size)."""
    return blob.permute(0, 2, 3, 1).reshape(-1, size)

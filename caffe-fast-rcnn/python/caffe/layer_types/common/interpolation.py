"""Bilinear interpolation at any places of a map (MNC: mask_resize_layer.cu)."""
import torch
from torch import Tensor


def bilinear(maps: Tensor, y: Tensor, x: Tensor) -> Tensor:
    """(R, C, h, w): maps (R, C, H, W) at the rows y (R, h) and columns x (R, w), in cells.

    0 more than half a cell outside of the map; up to there the border's values.
    """
    rows, columns = _weights(y, maps.shape[2]), _weights(x, maps.shape[3])
    return rows.to(maps.dtype)[:, None] @ maps @ columns.to(maps.dtype)[:, None].mT


def _weights(places: Tensor, count: int) -> Tensor:
    """(R, h, H): how much each of the `count` cells counts at the places (R, h)."""
    inside = (places >= -0.5) & (places <= count - 0.5)
    distance = places.clamp(0, count - 1)[..., None] - torch.arange(count, device=places.device)
    return (1 - distance.abs()).clamp(min=0) * inside[..., None]

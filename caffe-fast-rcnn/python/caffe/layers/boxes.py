"""Boxes (..., 4) as x1, y1, x2, y2: from offsets to reference boxes, and ranks within groups."""
import torch

from ..proto import caffe_pb2

CORNER, CENTER_SIZE = caffe_pb2.PriorBoxParameter.CORNER, caffe_pb2.PriorBoxParameter.CENTER_SIZE


def from_centres(centres, sizes, offsets):
    """Boxes whose centre and size differ from the reference's by the offsets (R-CNN, appendix C).

    centres, sizes: (..., 2) of the reference boxes, x and y, width and height
    offsets: (..., 4): shift of the centre in reference sizes, logarithms of the size ratios
    """
    centres = offsets[..., :2] * sizes + centres
    half = 0.5 * torch.exp(offsets[..., 2:]) * sizes
    return torch.cat([centres - half, centres + half], -1)


def decode(priors, offsets, code):
    """Boxes from offsets (..., 4) to priors (..., 4) by SSD's PriorBoxParameter.CodeType.

    Lengths are differences of coordinates: normalised boxes have no last pixel.
    """
    if code == CORNER:
        return priors + offsets
    sizes = priors[..., 2:] - priors[..., :2]
    if code == CENTER_SIZE:
        return from_centres((priors[..., :2] + priors[..., 2:]) / 2, sizes, offsets)
    return priors + offsets * torch.cat([sizes, sizes], -1)


def rank_in_group(groups):
    """(N,): how many of the elements before each one are of its group; groups (N,) numbers."""
    grouped, order = groups.sort(stable=True)
    places = torch.arange(len(groups), device=groups.device)
    ranks = torch.empty_like(places)
    ranks[order] = places - torch.searchsorted(grouped, grouped)
    return ranks

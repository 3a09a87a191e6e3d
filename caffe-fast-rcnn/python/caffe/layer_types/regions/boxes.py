"""Boxes (..., 4) as x1, y1, x2, y2: offsets to reference boxes, overlaps, ranks within groups."""
import torch

from caffe.proto import caffe_pb2

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


def encode(priors, boxes, code):
    """The offsets that take priors (..., 4) to boxes (..., 4): what `decode` undoes."""
    if code == CORNER:
        return boxes - priors
    sizes = priors[..., 2:] - priors[..., :2]
    if code != CENTER_SIZE:
        return (boxes - priors) / torch.cat([sizes, sizes], -1)
    shifts = (boxes[..., :2] + boxes[..., 2:] - priors[..., :2] - priors[..., 2:]) / 2
    return torch.cat([shifts / sizes, ((boxes[..., 2:] - boxes[..., :2]) / sizes).log()], -1)


def overlaps(boxes, others):
    """Intersection over union of boxes (P, 4) and others (G, 4), lengths as in `decode`: (P, G)."""
    boxes = boxes[:, None]
    shared = (torch.minimum(boxes[..., 2:], others[:, 2:])
              - torch.maximum(boxes[..., :2], others[:, :2])).clamp(min=0).prod(2)
    areas, other_areas = ((b[..., 2:] - b[..., :2]).prod(-1) for b in (boxes, others))
    return shared / (areas + other_areas - shared)


def rank_in_group(groups):
    """(N,): how many of the elements before each one are of its group; groups (N,) numbers."""
    grouped, order = groups.sort(stable=True)
    places = torch.arange(len(groups), device=groups.device)
    ranks = torch.empty_like(places)
    ranks[order] = places - torch.searchsorted(grouped, grouped)
    return ranks

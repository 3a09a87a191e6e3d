"""The reference boxes of one position; the engine's Proposal layer shares them."""
from caffe.operators.anchors import generate_anchors

__all__ = ["generate_anchors"]

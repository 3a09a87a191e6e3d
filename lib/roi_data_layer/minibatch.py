"""Minibatches from entries of a roidb. The code is in faster_rcnn.minibatches.minibatch."""
from faster_rcnn.minibatches.minibatch import get_minibatch  # noqa: F401

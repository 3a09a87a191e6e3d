"""Proposals of a trained RPN. The code is in faster_rcnn.detection.proposals."""
from faster_rcnn.detection.proposals import im_proposals, imdb_proposals  # noqa: F401

"""Proposals of a trained RPN. The code is in faster_rcnn.detection.proposals."""
import numpy as np

from faster_rcnn.detection.inputs import image_and_info_blobs
from faster_rcnn.detection.options import TestOptions
from faster_rcnn.detection.proposals import im_proposals, imdb_proposals  # noqa: F401


def _get_image_blob(im: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The inputs data (1, 3, H, W) and im_info (1, 3) of a net with an RPN, as cfg.TEST says."""
    blobs = image_and_info_blobs(im, TestOptions.from_cfg())
    return blobs["data"], blobs["im_info"]

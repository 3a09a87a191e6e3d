"""A test image as the input of a net, by the options in cfg.TEST."""
import numpy as np

from fast_rcnn.config import ConfigValueError, cfg
from utils.blob import image_pyramid_blob


def image_blob(im):
    """An image (h, w, 3), blue green red, at the scales of cfg.TEST.SCALES.

    Returns the blob (levels, 3, H, W) float32 and the scale factors (levels,) float64.
    """
    return image_pyramid_blob(im, cfg.PIXEL_MEANS, cfg.TEST.SCALES, cfg.TEST.MAX_SIZE)


def image_and_info_blobs(im):
    """The inputs of a net with an RPN: {"data": (1, 3, H, W), "im_info": (1, 3) H, W, scale}."""
    if len(cfg.TEST.SCALES) != 1:
        raise ConfigValueError("TEST.SCALES must hold one scale for a net with an RPN "
                               f"(TEST.HAS_RPN); it holds {list(cfg.TEST.SCALES)}")
    blob, scales = image_blob(im)
    return {"data": blob, "im_info": np.array([[*blob.shape[2:], scales[0]]], np.float32)}


def forward(net, blobs):
    """Reshapes the net's inputs to `blobs`, runs it and returns its outputs by name."""
    for name, blob in blobs.items():
        net.blobs[name].reshape(*blob.shape)
    return net.forward(**blobs)

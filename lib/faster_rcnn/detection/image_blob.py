"""A test image as the input of a net, by the options in cfg.TEST."""
import numpy as np

from faster_rcnn.images.blob import im_list_to_blob, image_pyramid_blob, prep_im_for_blob
from faster_rcnn.prototxts.heads import longer_names
from faster_rcnn.settings.config import ConfigValueError, cfg


def image_blob(im):
    """An image (h, w, 3), blue green red, at the scales of cfg.TEST.SCALES.

    Returns the blob (levels, 3, H, W) float32 and the scale factors (levels,) float64.
    """
    return image_pyramid_blob(im, cfg.PIXEL_MEANS, cfg.TEST.SCALES, cfg.TEST.MAX_SIZE,
                              cfg.TEST.SCALE_MULTIPLE_OF)


def image_and_info_blobs(im):
    """The inputs of a net with an RPN: {"data": (1, 3, H, W), "im_info": (1, 3)}.

    im_info: height and width of the scaled image without its padding, and its scale.
    """
    if len(cfg.TEST.SCALES) != 1:
        raise ConfigValueError("TEST.SCALES must hold one scale for a net with an RPN "
                               f"(TEST.HAS_RPN); it holds {list(cfg.TEST.SCALES)}")
    scaled, scale = prep_im_for_blob(im, cfg.PIXEL_MEANS, cfg.TEST.SCALES[0], cfg.TEST.MAX_SIZE)
    return {"data": im_list_to_blob([scaled], cfg.TEST.SCALE_MULTIPLE_OF),
            "im_info": np.array([[*scaled.shape[:2], scale]], np.float32)}


def forward(net, blobs, outputs):
    """Reshapes the net's inputs to `blobs`, runs it and returns its outputs by name.

    ValueError unless the net has these inputs, and all of `outputs`, names of blobs, or blobs of
    longer names (heads.py).
    """
    _require(net, blobs, net.blobs)
    for name, blob in blobs.items():
        net.blobs[name].reshape(*blob.shape)
    found = net.forward(**blobs)
    blobs = {*net.blobs, *found}
    _require(net, [name for name in outputs if not longer_names(name, blobs)], blobs)
    return found


def _require(net, names, present):
    absent = [name for name in names if name not in present]
    if absent:
        raise ValueError(f"the net {getattr(net, 'name', '')} has no blob "
                         f"{' and no '.join(absent)}; is it the right net (--def), and "
                         f"TEST.HAS_RPN {cfg.TEST.HAS_RPN} right for it (--cfg, --set)?")

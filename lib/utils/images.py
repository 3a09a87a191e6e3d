"""Reading images."""
import os

import cv2
from PIL import Image


class ImageError(ValueError):
    """An image file that is missing or cannot be decoded; the message names it."""


def read_image(path):
    """The image of a file, (H, W, 3) uint8, blue green red, whatever its format.

    The orientation note of cameras (EXIF) is ignored: annotations count pixels as they are stored.
    """
    im = cv2.imread(path, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    if im is None:
        what = "cannot be decoded as an image" if os.path.isfile(path) else "is not there"
        raise ImageError(f"image {path} {what}; check the file and the data set's list of images")
    return im


def image_size(path):
    """Width and height of an image file in stored pixels, from its header where possible."""
    try:
        with Image.open(path) as im:
            return im.size
    except OSError:  # not there, or a format that only OpenCV knows
        height, width = read_image(path).shape[:2]
        return width, height

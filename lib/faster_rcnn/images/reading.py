"""Reading images, and finding those that cannot be read before they are needed."""
import functools
import io
import os

import cv2
import numpy as np
from PIL import Image

from caffe.core.errors import UserError
from faster_rcnn.files.reading import FileError, file_fault, read_bytes
from faster_rcnn.images.cut_off import JPEG, JPEG_END, is_cut_off, may_be_cut_off

MAX_PIXELS_VARIABLE = "FASTER_RCNN_MAX_PIXELS"
# A photograph of 180 megapixels is read; in BGR these are 0.8 GB
DEFAULT_MAX_PIXELS = 1 << 28
# Bytes of a pixel in a file: 16 bits of red, green, blue and opacity
_MAX_PIXEL_BYTES = 8
# PIL's names; others, which run programs (EPS) or are not pictures, are left to OpenCV
_FORMATS = ("JPEG", "PNG", "BMP", "DIB", "GIF", "WEBP", "TIFF", "PPM", "JPEG2000")
_FLAGS = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
_ORIENTATION = 0x0112       # EXIF tag
# The limit below takes the place of PIL's, which refuses such photographs
Image.MAX_IMAGE_PIXELS = None


class ImageError(UserError, ValueError):
    """An image file that is missing or cannot be decoded; the message names it."""


def max_pixels() -> int:
    """The largest number of pixels of an image: FASTER_RCNN_MAX_PIXELS of the environment."""
    text = os.environ.get(MAX_PIXELS_VARIABLE) or str(DEFAULT_MAX_PIXELS)
    if not text.isascii() or not text.isdigit() or not int(text):
        raise ImageError(f"the environment variable {MAX_PIXELS_VARIABLE} must be a positive whole "
                         f"number; it is {text!r}")
    return int(text)


def read_image(path: str) -> np.ndarray:
    """The image of a file, (H, W, 3) uint8, BGR, whatever its format.

    The orientation note of cameras (EXIF) is ignored: annotations count pixels as they are stored.
    Raises ImageError for a file that is missing, cut off, too large or not an image.
    """
    try:
        content = read_bytes(path, _MAX_PIXEL_BYTES * max_pixels())
    except FileError as error:
        raise ImageError(f"image {error}; check the data set's list of images") from None
    form, fault = _header(content)
    if not fault and is_cut_off(content, form):
        fault = "is cut off: pixels are missing"
    im = None if fault else _decoded(content, form)
    if im is None:
        raise ImageError(f"image {path} {fault or 'cannot be decoded as an image'}; check the file "
                         "and the data set's list of images")
    return im


def _header(content: bytes) -> tuple[str | None, str]:
    """PIL's name of an image's format, or None, and what is wrong with the image's size."""
    try:
        with Image.open(io.BytesIO(content), formats=_FORMATS) as im:
            return im.format, _size_fault(*im.size)
    except Exception:   # PIL's readers raise almost anything on damaged headers
        return None, "" if content else "is empty"


def _size_fault(width: int, height: int) -> str:
    limit = max_pixels()
    if width * height <= limit:
        return ""
    return (f"has {width} x {height} pixels, which are more than the limit of {limit} (environment "
            f"variable {MAX_PIXELS_VARIABLE})")


def _decoded(content: bytes, form: str | None) -> np.ndarray | None:
    """The pixels; None when OpenCV cannot decode them."""
    try:
        im = cv2.imdecode(np.frombuffer(content, np.uint8), _FLAGS)
        if im is None and form in JPEG:     # without an end mark
            im = cv2.imdecode(np.frombuffer(content + JPEG_END, np.uint8), _FLAGS)
        return im
    except cv2.error:
        return None


def image_size(path: str) -> tuple[int, int]:
    """Width and height of an image file in stored pixels, from its header where possible."""
    if not file_fault(path):
        try:
            with Image.open(path, formats=_FORMATS) as im:
                fault, size = _size_fault(*im.size), im.size
        except Exception:   # a damaged header, or a format that only OpenCV knows
            fault, size = "", None
        if fault:
            raise ImageError(f"image {path} {fault}")
        if size:
            return size
    height, width = read_image(path).shape[:2]
    return width, height


def image_fault(path: str) -> str:
    """What is wrong with an image file; empty when nothing is.

    Looks at the header, and at the end of JPEG and PNG files; what has no end there, and other
    formats, are decoded. Asked again for a file that has not changed, it answers from memory.
    """
    fault = file_fault(path, _MAX_PIXEL_BYTES * max_pixels())
    return fault or _inspect(*_key(path))[0]


def image_orientation(path: str) -> int:
    """How a viewer is to turn the image: EXIF's 1 (not at all) to 8; see read_image."""
    return 1 if file_fault(path) else _inspect(*_key(path))[1]


def _key(path: str) -> tuple[str, int, int, int]:
    facts = os.stat(path)
    return path, facts.st_size, facts.st_mtime_ns, max_pixels()


@functools.lru_cache(maxsize=1 << 19)
def _inspect(path: str, size: int, mtime: int, limit: int) -> tuple[str, int]:
    """(what is wrong or "", EXIF orientation) of a file of a size and age."""
    if not size:
        return "is empty", 1
    form, fault, orientation = None, "", 1
    try:
        with Image.open(path, formats=_FORMATS) as im:
            form, fault = im.format, _size_fault(*im.size)
            if form in JPEG:    # others would be decoded for it
                orientation = _valid(im.getexif().get(_ORIENTATION))
    except Exception:   # PIL's readers raise almost anything on damaged headers
        form = None
    if not fault and may_be_cut_off(path, size, form):
        content = read_bytes(path)
        if is_cut_off(content, form):
            fault = "is cut off: pixels are missing"
        elif _decoded(content, form) is None:
            fault = "cannot be decoded as an image"
    return fault, orientation


def _valid(orientation: object) -> int:
    return orientation if isinstance(orientation, int) and 1 <= orientation <= 8 else 1

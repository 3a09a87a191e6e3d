"""Reading images, and finding those that cannot be read before they are needed."""
import functools
import io
import os

import cv2
import numpy as np
from PIL import Image

from caffe.core.errors import UserError
from faster_rcnn.files.reading import FileError, file_fault, read_bytes
from faster_rcnn.images.cut_off import JPEG, may_be_cut_off, whole_content

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
        raise ImageError(f"image {error}; check its path") from None
    fault, im = _decoded(content)
    if im is None:
        raise ImageError(f"image {path} {fault}; check the file")
    return im


def _decoded(content: bytes) -> tuple[str, np.ndarray | None]:
    """("", the pixels) of a file's content, or (what is wrong, None)."""
    form, fault = _header(content)
    whole = None if fault else whole_content(content, form)
    if whole is None:
        return fault or "is cut off: pixels are missing", None
    try:
        im = cv2.imdecode(np.frombuffer(whole, np.uint8), _FLAGS)
    except cv2.error:
        im = None
    return "cannot be decoded as an image" if im is None else "", im


def _header(content: bytes) -> tuple[str | None, str]:
    """PIL's name of an image's format, or None, and what is wrong with the header."""
    try:
        with Image.open(io.BytesIO(content), formats=_FORMATS) as im:
            return im.format, _size_fault(*im.size)
    except Exception:   # PIL's readers raise almost anything on damaged headers
        return None, _unknown_fault(content)


def _unknown_fault(content: bytes) -> str:
    """What is wrong with an image whose header PIL cannot read; OpenCV may be able to."""
    if not content:
        return "is empty"
    if content.startswith(b"\x89PNG"):      # OpenCV would believe any size in it
        return "cannot be decoded as an image"
    if content.startswith(b"\xff\xd8"):
        eighth = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_REDUCED_GRAYSCALE_8)
        return "" if eighth is None else _size_fault(*(8 * side for side in eighth.shape[::-1]))
    return ""


def _size_fault(width: int, height: int) -> str:
    limit = max_pixels()
    if width * height <= limit:
        return ""
    return (f"has {width} x {height} pixels, which are more than the limit of {limit} (environment "
            f"variable {MAX_PIXELS_VARIABLE})")


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
    form, fault = None, ""
    try:
        with Image.open(path, formats=_FORMATS) as im:
            form, fault = im.format, _size_fault(*im.size)
    except Exception:   # PIL's readers raise almost anything on damaged headers
        form = None
    if not fault and may_be_cut_off(path, size, form):
        fault, _ = _decoded(read_bytes(path))
    return fault, _orientation(path) if form in JPEG else 1     # others would be decoded for it


def _orientation(path: str) -> int:
    """The orientation note of a JPEG."""
    try:
        with Image.open(path, formats=_FORMATS) as im:
            return _valid(im.getexif().get(_ORIENTATION))
    except Exception:   # a damaged note is none
        return 1


def _valid(orientation: object) -> int:
    return orientation if isinstance(orientation, int) and 1 <= orientation <= 8 else 1

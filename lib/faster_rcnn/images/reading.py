"""Reading images, and finding those that cannot be read before they are needed."""
import functools
import os

import cv2
import numpy as np
from PIL import Image

from caffe.core.errors import UserError

# The last bytes of a whole file, by PIL's name of the format; looked for in the file's tail
_END_MARKS = {"JPEG": b"\xff\xd9", "MPO": b"\xff\xd9", "PNG": b"IEND"}
_TAIL = 1 << 16
_ORIENTATION = 0x0112       # EXIF tag


class ImageError(UserError, ValueError):
    """An image file that is missing or cannot be decoded; the message names it."""


def read_image(path: str) -> np.ndarray:
    """The image of a file, (H, W, 3) uint8, BGR, whatever its format.

    The orientation note of cameras (EXIF) is ignored: annotations count pixels as they are stored.
    """
    im = cv2.imread(path, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    if im is None:
        what = "cannot be decoded as an image" if os.path.isfile(path) else "is not there"
        raise ImageError(f"image {path} {what}; check the file and the data set's list of images")
    return im


def image_size(path: str) -> tuple[int, int]:
    """Width and height of an image file in stored pixels, from its header where possible."""
    try:
        with Image.open(path) as im:
            return im.size
    except Image.DecompressionBombError as error:
        raise ImageError(f"image {path} is too large ({error})") from None
    except OSError:  # not there, or a format that only OpenCV knows
        height, width = read_image(path).shape[:2]
        return width, height


def image_fault(path: str) -> str:
    """What is wrong with an image file, "" when nothing is; its pixels are not decoded.

    Looks at the header, and at the end of JPEG and PNG files. Asked again for a file that has not
    changed, it answers from memory.
    """
    try:
        facts = os.stat(path)
    except OSError:
        return "is not there"
    return _inspect(path, facts.st_size, facts.st_mtime_ns)[0]


def image_orientation(path: str) -> int:
    """How a viewer is to turn the image: EXIF's 1 (not at all) to 8; see read_image."""
    facts = os.stat(path)
    return _inspect(path, facts.st_size, facts.st_mtime_ns)[1]


@functools.lru_cache(maxsize=1 << 19)
def _inspect(path: str, size: int, mtime: int) -> tuple[str, int]:
    """(what is wrong or "", EXIF orientation) of a file of a size and age."""
    if not size:
        return "is empty", 1
    try:
        with Image.open(path) as im:
            mark, orientation = _END_MARKS.get(im.format), 1
            if im.format in ("JPEG", "MPO"):    # others would be decoded for it
                orientation = im.getexif().get(_ORIENTATION, 1)
    except Image.DecompressionBombError:
        return "is too large to be decoded", 1
    except Exception:   # PIL's readers raise almost anything on damaged headers
        im = cv2.imread(path, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
        return ("cannot be decoded as an image" if im is None else ""), 1
    if mark is not None:
        with open(path, "rb") as file:
            file.seek(max(0, size - _TAIL))
            if mark not in file.read():
                return "is cut off: its end is missing", orientation
    return "", orientation

"""Images and lists of images from files and Datums: the one image reader.

Pixels stay in the order of the file, as in Caffe and as annotations count them; with `upright` an
image is rotated by its EXIF orientation, for display.
"""
from typing import NamedTuple

import cv2
import numpy as np
from google.protobuf.message import DecodeError

from caffe.core.errors import DataError
from caffe.core.regular_files import check_regular, open_regular
from caffe.core.types import FilePath
from caffe.proto import caffe_pb2
from caffe.proto.caffe_pb2 import Datum

_FLAGS = {None: cv2.IMREAD_UNCHANGED, False: cv2.IMREAD_GRAYSCALE, True: cv2.IMREAD_COLOR}
_LARGEST_LABEL = 2 ** 31 - 1


class ListedImage(NamedTuple):
    """A line of a list of images: "name label"."""

    name: str
    label: int
    where: str      # "list.txt:3"


def read_image_list(path: FilePath) -> list[ListedImage]:
    """The lines of a list of images, in their order.

    The label is the word behind the last space, 0 where there is none; names may hold spaces.
    Blank lines do not count. Raises DataError, also for an empty list.
    """
    try:
        with open_regular(path, "r", encoding="utf-8", errors="surrogateescape") as file:
            lines = [(number, line.strip()) for number, line in enumerate(file, 1)]
    except OSError as error:
        raise DataError(f"{path}: the list of images cannot be read: {error.strerror}") from None
    images = [_listed(line, f"{path}:{number}") for number, line in lines if line]
    if not images:
        raise DataError(f"{path}: the list of images is empty")
    return images


def _listed(line: str, where: str) -> ListedImage:
    name, *label = line.rsplit(None, 1)
    try:
        value = int(label[0]) if label else 0
    except ValueError:
        value = None
    if value is None or abs(value) > _LARGEST_LABEL:
        raise DataError(f'{where}: expected "image label", got the label "{label[0]}", which is '
                        "not a whole number of 32 bits")
    return ListedImage(name, value, where)


def read_bytes(path: FilePath) -> np.ndarray:
    """The content of a file as a uint8 array."""
    try:
        check_regular(path)
        return np.fromfile(path, np.uint8)
    except OSError as error:
        raise DataError(f"image {path} cannot be read: {error.strerror}") from None


def read_image(path: FilePath, size: tuple[int, int] = (0, 0), color: bool | None = True,
               upright: bool = False) -> np.ndarray:
    """The image of a file, (H, W, C) uint8: BGR, or C = 1 with color=False.

    size: height and width to resize to, (0, 0) for none; upright: see decoded. Raises DataError.
    """
    image = decode_image(read_bytes(path), color, f"image {path}", upright)
    return resized(image, size) if any(size) else image


def resized(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """An image (H, W, C) resized to size = (height, width), as cv::resize does by default."""
    height, width = size
    return np.atleast_3d(cv2.resize(image, (int(width), int(height))))


def decoded(data: bytes | np.ndarray, color: bool | None = None, upright: bool = False,
            deep: bool = False) -> np.ndarray | None:
    """The image in the bytes of a JPEG, PNG, ... file, (H, W, C); None if OpenCV cannot decode it.

    color: True for BGR, False for grey, None for the channels that are there
    upright: rotates the image by its EXIF orientation (never with color=None)
    deep: keeps 16 bits or floats, where these are stored; else they become bytes unless color=None
    """
    data = np.frombuffer(data, np.uint8)
    flags = _FLAGS[color]
    if color is not None:
        flags |= (0 if upright else cv2.IMREAD_IGNORE_ORIENTATION)
        flags |= (cv2.IMREAD_ANYDEPTH if deep else 0)
    try:
        image = cv2.imdecode(data, flags) if data.size else None
    except cv2.error:       # a header that says more pixels than OpenCV allows
        image = None
    return None if image is None else np.atleast_3d(image)


def decode_image(data: bytes | np.ndarray, color: bool | None = None, where: str = "the image",
                 upright: bool = False) -> np.ndarray:
    """As `decoded`, of bytes (H, W, C) uint8; a DataError that begins with `where` otherwise."""
    image = decoded(data, color, upright)
    if image is None:
        raise DataError(f"{where} cannot be decoded; it is damaged, or no image that OpenCV knows")
    if image.dtype != np.uint8:
        raise DataError(f"{where} has values of type {image.dtype}, expected bytes; say "
                        "force_color or force_gray, or convert it")
    return image


def read_datum(source: FilePath, key: bytes, value: bytes) -> tuple[str, Datum]:
    """(where, Datum) of a database's record; `where` names the record in messages."""
    where = f'{source}, record "{bytes(key).decode("utf-8", "replace")}"'
    try:
        return where, caffe_pb2.Datum.FromString(value)
    except DecodeError:
        raise DataError(f"{where} is not a Datum") from None


def datum_image(datum: Datum, color: bool | None = None, where: str = "the Datum") -> np.ndarray:
    """The array of a Datum, (C, H, W), uint8 or float32; encoded images are decoded.

    color: of encoded images, see decode_image.
    """
    if datum.encoded:
        return decode_image(datum.data, color, where).transpose(2, 0, 1)
    shape = datum.channels, datum.height, datum.width
    values = np.frombuffer(datum.data, np.uint8) if datum.data else \
        np.array(datum.float_data, np.float32)
    if min(shape) <= 0 or values.size != np.prod(shape, dtype=object):
        raise DataError(f"{where} announces the shape {shape} and holds {values.size} values")
    return values.reshape(shape)


def image_datum(image: np.ndarray, label: int) -> Datum:
    """The Datum of an image (H, W, C) uint8."""
    height, width, channels = image.shape
    data = np.ascontiguousarray(image.transpose(2, 0, 1)).tobytes()
    return caffe_pb2.Datum(channels=channels, height=height, width=width, data=data, label=label)

"""Conversions: arrays and messages, images and the inputs of nets (pycaffe: caffe.io).

Images are float arrays (H, W, K), RGB, between 0 and 1; a net takes (K, H, W), and a `Transformer`
converts between the two.
"""
from collections.abc import Iterable, Mapping, Sequence

import cv2
import numpy as np
from google.protobuf.message import DecodeError
from numpy.typing import ArrayLike

from caffe.core.errors import CaffeError
from caffe.core.regular_files import check_regular
from caffe.core.types import FilePath, Shape
from caffe.files.images import decoded
from caffe.proto import caffe_pb2
from caffe.proto.caffe_pb2 import BlobProto, Datum

_INTERPOLATION = {0: cv2.INTER_NEAREST, 1: cv2.INTER_LINEAR, 3: cv2.INTER_CUBIC}
_LUMINANCE = np.array([0.2125, 0.7154, 0.0721], dtype=np.float32)   # of R, G, B


def blobproto_to_array(blob: BlobProto, return_diff: bool = False) -> np.ndarray:
    """The values (or the gradients) of a BlobProto as a float32 array of its shape."""
    values = blob.diff if return_diff else blob.data
    if not values:
        values = blob.double_diff if return_diff else blob.double_data
    if any(blob.HasField(name) for name in ("num", "channels", "height", "width")):
        shape = (blob.num, blob.channels, blob.height, blob.width)
    else:
        shape = tuple(blob.shape.dim)
    return np.fromiter(values, np.float32, len(values)).reshape(shape)


def array_to_blobproto(arr: ArrayLike, diff: ArrayLike | None = None) -> BlobProto:
    """A BlobProto of any shape; `diff` of the same shape goes along as its gradients."""
    arr = np.asarray(arr)
    blob = caffe_pb2.BlobProto()
    blob.shape.dim.extend(arr.shape)
    blob.data.extend(arr.astype(float).flat)
    if diff is not None:
        blob.diff.extend(np.asarray(diff).astype(float).flat)
    return blob


def arraylist_to_blobprotovector_str(arraylist: Iterable[ArrayLike]) -> bytes:
    """A list of arrays as a serialized BlobProtoVector."""
    vector = caffe_pb2.BlobProtoVector(blobs=[array_to_blobproto(arr) for arr in arraylist])
    return vector.SerializeToString()


def blobprotovector_str_to_arraylist(str: bytes) -> list[np.ndarray]:  # noqa: A002 - the name of the argument is public
    """The arrays of a serialized BlobProtoVector."""
    try:
        vector = caffe_pb2.BlobProtoVector.FromString(str)
    except DecodeError as error:
        raise CaffeError(f"not a serialized BlobProtoVector: {error}") from None
    return [blobproto_to_array(blob) for blob in vector.blobs]


def array_to_datum(arr: np.ndarray, label: int | None = None) -> Datum:
    """A (C, H, W) array as a Datum: uint8 as bytes, everything else as floats."""
    if arr.ndim != 3:
        raise ValueError(f"a Datum takes an array of shape (C, H, W), not {arr.shape}")
    datum = caffe_pb2.Datum()
    datum.channels, datum.height, datum.width = arr.shape
    if arr.dtype == np.uint8:
        datum.data = arr.tobytes()
    else:
        datum.float_data.extend(arr.astype(float).flat)
    if label is not None:
        datum.label = label
    return datum


def datum_to_array(datum: Datum) -> np.ndarray:
    """The (C, H, W) array of a Datum; encoded images are decoded, BGR as in Caffe. No label."""
    if datum.encoded:
        image = decoded(datum.data)
        if image is None:
            raise CaffeError("the Datum says that it is encoded, but OpenCV cannot decode it")
        return image.transpose(2, 0, 1)
    shape = (datum.channels, datum.height, datum.width)
    if datum.data:
        return np.frombuffer(datum.data, np.uint8).reshape(shape).copy()
    return np.array(datum.float_data, dtype=float).reshape(shape)


class Transformer:
    """Converts images to the form of a net's inputs, and back.

    inputs: {input name: its blob's shape (N, K, H, W)}. The steps that are set run in this order:
    resize to (H, W), transpose, swap channels, scale, subtract the mean, scale again.
    """

    def __init__(self, inputs: Mapping[str, Sequence[int]]) -> None:
        self.inputs = inputs
        self.transpose: dict[str, Sequence[int]] = {}
        self.channel_swap: dict[str, Sequence[int]] = {}
        self.raw_scale: dict[str, float] = {}
        self.mean: dict[str, np.ndarray] = {}
        self.input_scale: dict[str, float] = {}

    def preprocess(self, in_: str, data: ArrayLike) -> np.ndarray:
        """An (H, W, K) image as the float32 (K, H, W) array for input `in_`; `data` is kept."""
        shape = self._shape(in_)
        array = np.array(data, dtype=np.float32)
        if array.shape[:2] != shape[2:]:
            array = resize_image(array, shape[2:])
        if in_ in self.transpose:
            array = array.transpose(self.transpose[in_])
        if in_ in self.channel_swap:
            array = array[list(self.channel_swap[in_]), :, :]
        if in_ in self.raw_scale:
            array = array * np.float32(self.raw_scale[in_])
        if in_ in self.mean:
            array = array - self.mean[in_].astype(np.float32)
        if in_ in self.input_scale:
            array = array * np.float32(self.input_scale[in_])
        return array

    def deprocess(self, in_: str, data: ArrayLike) -> np.ndarray:
        """The inverse of `preprocess` without the resizing; a batch axis of one item is allowed.

        Without transpose and channel swap all axes of length 1 are removed, as in pycaffe.
        """
        self._shape(in_)
        array = np.array(data)
        if in_ not in self.transpose and in_ not in self.channel_swap:
            array = array.squeeze()
        elif array.ndim == 4 and array.shape[0] == 1:
            array = array[0]
        if in_ in self.input_scale:
            array = array / self.input_scale[in_]
        if in_ in self.mean:
            array = array + self.mean[in_].astype(array.dtype)
        if in_ in self.raw_scale:
            array = array / self.raw_scale[in_]
        if in_ in self.channel_swap:
            array = array[np.argsort(self.channel_swap[in_]), :, :]
        if in_ in self.transpose:
            array = array.transpose(np.argsort(self.transpose[in_]))
        return array

    def set_transpose(self, in_: str, order: Sequence[int]) -> None:
        """Order of the axes, (2, 0, 1) from (H, W, K) to (K, H, W)."""
        if len(order) != len(self._shape(in_)) - 1:
            raise ValueError(f"input {in_!r}: the transpose order {tuple(order)} needs "
                             f"{len(self._shape(in_)) - 1} axes")
        self.transpose[in_] = order

    def set_channel_swap(self, in_: str, order: Sequence[int]) -> None:
        """Order of the channels, (2, 1, 0) from RGB to BGR."""
        if len(order) != self._shape(in_)[1]:
            raise ValueError(f"input {in_!r} has {self._shape(in_)[1]} channels, the channel swap "
                             f"{tuple(order)} names {len(order)}")
        self.channel_swap[in_] = order

    def set_raw_scale(self, in_: str, scale: float) -> None:
        """Factor before the mean is subtracted; 255 for nets trained on bytes."""
        self._shape(in_)
        self.raw_scale[in_] = scale

    def set_mean(self, in_: str, mean: ArrayLike) -> None:
        """Mean per channel (K,), or per pixel (K, H, W), which is resized to the input."""
        shape = self._shape(in_)
        mean = np.asarray(mean)
        if mean.ndim == 1:
            if mean.shape[0] != shape[1]:
                raise ValueError(f"input {in_!r} has {shape[1]} channels, the mean {len(mean)}")
            mean = mean[:, np.newaxis, np.newaxis]
        else:
            mean = mean[np.newaxis] if mean.ndim == 2 else mean
            if mean.ndim != 3 or mean.shape[0] not in (1, shape[1]):
                raise ValueError(f"input {in_!r}: a mean of shape {mean.shape} does not fit "
                                 f"{shape[1:]}")
            if mean.shape[1:] != shape[2:]:
                mean = resize_image(mean.transpose(1, 2, 0), shape[2:]).transpose(2, 0, 1)
        self.mean[in_] = mean

    def set_input_scale(self, in_: str, scale: float) -> None:
        """Factor after the mean is subtracted."""
        self._shape(in_)
        self.input_scale[in_] = scale

    def _shape(self, in_: str) -> Shape:
        if in_ not in self.inputs:
            raise ValueError(f"{in_!r} is not one of the net's inputs: {list(self.inputs)}")
        return tuple(self.inputs[in_])


def load_image(filename: FilePath, color: bool = True) -> np.ndarray:
    """An image file as float32 (H, W, 3) RGB between 0 and 1, or (H, W, 1) without colour."""
    try:
        check_regular(filename)
        image = decoded(np.fromfile(filename, np.uint8), color=True, deep=True)
    except OSError as error:
        raise CaffeError(f"{filename}: cannot be read: {error.strerror}") from None
    if image is None:
        raise CaffeError(f"{filename}: this is not an image that OpenCV can read")
    largest = np.iinfo(image.dtype).max if image.dtype.kind == "u" else 1
    image = image[:, :, ::-1].astype(np.float32) / np.float32(largest)
    return image if color else (image @ _LUMINANCE)[:, :, np.newaxis]


def resize_image(im: np.ndarray, new_dims: Sequence[int] | np.ndarray,
                 interp_order: int = 1) -> np.ndarray:
    """A float (H, W, K) image, any K, resized to new_dims (H, W); float32.

    interp_order: 0 nearest, 1 linear, 3 cubic.
    """
    if interp_order not in _INTERPOLATION:
        raise ValueError(f"interp_order {interp_order}: use 0 (nearest), 1 (linear) or 3 (cubic)")
    height, width = (int(size) for size in new_dims)
    im = np.asarray(im, dtype=np.float32)
    planes = [cv2.resize(im[:, :, k], (width, height), interpolation=_INTERPOLATION[interp_order])
              for k in range(im.shape[2])]
    return np.stack(planes, axis=2)


def oversample(images: Iterable[np.ndarray], crop_dims: Sequence[int] | np.ndarray) -> np.ndarray:
    """Ten crops of every (H, W, K) image: corners and centre, then the five mirrored.

    crop_dims: (height, width). Gives float32 (10 * N, height, width, K).
    """
    images = list(images)
    height, width = (int(size) for size in crop_dims)
    rest_y, rest_x = images[0].shape[0] - height, images[0].shape[1] - width
    if rest_y < 0 or rest_x < 0:
        raise ValueError(f"crops of {height} x {width} do not fit into images of "
                         f"{images[0].shape[0]} x {images[0].shape[1]}")
    origins = [(0, 0), (0, rest_x), (rest_y, 0), (rest_y, rest_x), (rest_y // 2, rest_x // 2)]
    crops = []
    for image in images:
        five = [image[y:y + height, x:x + width, :] for y, x in origins]
        crops += five + [crop[:, ::-1, :] for crop in five]
    return np.array(crops, dtype=np.float32)

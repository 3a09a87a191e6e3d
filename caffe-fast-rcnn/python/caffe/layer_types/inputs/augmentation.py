"""What SSD's data layers do to an image before it is cropped and its mean is subtracted.

weiliu89/caffe: im_transforms.cpp, data_transformer.cpp. Images are (H, W, C), mostly uint8, BGR;
windows are x1, y1, x2, y2 in shares of an image's width and height.
"""
import math
from collections.abc import Callable

import cv2
import numpy as np

from caffe.core.errors import DataError
from caffe.files.images import decode_image
from caffe.proto.caffe_pb2 import (
    DistortionParameter,
    ExpansionParameter,
    NoiseParameter,
    ResizeParameter,
)

_INTERPOLATION = {ResizeParameter.LINEAR: cv2.INTER_LINEAR, ResizeParameter.AREA: cv2.INTER_AREA,
                  ResizeParameter.NEAREST: cv2.INTER_NEAREST,
                  ResizeParameter.CUBIC: cv2.INTER_CUBIC,
                  ResizeParameter.LANCZOS4: cv2.INTER_LANCZOS4}
_BORDERS = {ResizeParameter.CONSTANT: cv2.BORDER_CONSTANT,
            ResizeParameter.MIRRORED: cv2.BORDER_REFLECT_101,
            ResizeParameter.REPEAT_NEAREST: cv2.BORDER_REPLICATE}
_POSTERIZED_STEP = 64


def check_resize(param: ResizeParameter) -> None:
    """DataError for a resize_param without a size."""
    if param.height < 1 or param.width < 1:
        raise DataError(f"resize_param: expected height and width > 0, got {param.height} and "
                        f"{param.width}")


def resized_shape(param: ResizeParameter, height: int, width: int) -> tuple[int, int]:
    """Height and width of what `resize` makes of an image."""
    if param.resize_mode != ResizeParameter.FIT_SMALL_SIZE:
        return param.height, param.width
    aspect = width / height
    if aspect < param.width / param.height:
        return math.floor(param.width / aspect), param.width
    return param.height, math.floor(aspect * param.height)


def resize(image: np.ndarray, param: ResizeParameter,
           generator: np.random.Generator) -> np.ndarray:
    """The image in another size, with one of the given interpolations, drawn at random.

    WARP does not keep the aspect ratio; FIT_SMALL_SIZE makes the image as small as covers height x
    width; FIT_LARGE_SIZE_AND_PAD makes it fit inside, in the middle, and pads it.
    """
    modes = param.interp_mode
    mode = modes[int(generator.integers(len(modes)))] if modes else ResizeParameter.LINEAR
    height, width = size = resized_shape(param, *image.shape[:2])
    if param.resize_mode == ResizeParameter.FIT_LARGE_SIZE_AND_PAD:
        aspect = image.shape[1] / image.shape[0]
        size = (math.floor(width / aspect), width) if aspect > width / height else \
            (height, math.floor(aspect * height))
    if min(size) < 1:
        raise DataError(f"an image of {image.shape[1]} x {image.shape[0]} pixels is too thin to be "
                        f"resized to {param.width} x {param.height}")
    resized = cv2.resize(image, size[::-1], interpolation=_INTERPOLATION[mode])
    if size != (height, width):
        resized = _padded(resized, height, width, param)
    return np.atleast_3d(resized)


def _padded(image: np.ndarray, height: int, width: int, param: ResizeParameter) -> np.ndarray:
    down, right = height - image.shape[0], width - image.shape[1]
    channels = 1 if image.ndim == 2 else image.shape[2]
    if len(param.pad_value) not in (0, 1, channels):
        raise DataError(f"resize_param: expected one pad_value or one for each of the {channels} "
                        f"channels, got {len(param.pad_value)}")
    values = list(param.pad_value or [0]) * (channels if len(param.pad_value) < 2 else 1)
    return cv2.copyMakeBorder(image, down // 2, down - down // 2, right // 2, right - right // 2,
                              _BORDERS[param.pad_mode], value=values)


def crop(image: np.ndarray, window: np.ndarray) -> np.ndarray:
    """The part of an image inside a window (4,), which is clipped to it; at least one pixel."""
    height, width = image.shape[:2]
    size = np.array([width, height, width, height], np.float32)
    x1, y1, x2, y2 = np.clip(window, 0, 1) * size
    left, top = min(int(x1), width - 1), min(int(y1), height - 1)
    return image[top:top + max(1, int(y2 - y1)), left:left + max(1, int(x2 - x1))]


def expand(image: np.ndarray, param: ExpansionParameter, means: np.ndarray,
           generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray | None]:
    """With probability `prob` the image at random on a larger ground of the means' colour.

    means: one value, one per channel, or none (0). Returns the image and the window (4,) of the old
    one that it shows, or None where nothing was done.
    """
    if generator.random() > param.prob or abs(param.max_expand_ratio - 1) < 1e-2:
        return image, None
    ratio = generator.uniform(1, param.max_expand_ratio)
    height, width, channels = image.shape
    rows, columns = int(height * ratio), int(width * ratio)
    top = math.floor(generator.uniform(0, rows - height))
    left = math.floor(generator.uniform(0, columns - width))
    ground = np.broadcast_to(means if means.size else np.zeros(1), (channels,))
    larger = np.empty((rows, columns, channels), image.dtype)
    larger[...] = _as_bytes(ground) if image.dtype == np.uint8 else ground
    larger[top:top + height, left:left + width] = image
    window = np.array([-left / width, -top / height, (columns - left) / width,
                       (rows - top) / height], np.float32)
    return larger, window


def distort(image: np.ndarray, param: DistortionParameter,
            generator: np.random.Generator) -> np.ndarray:
    """Random changes of brightness, contrast, saturation, hue and order of the channels.

    Each happens with its probability; the contrast comes second or fourth, by chance.
    """
    if image.dtype != np.uint8 or image.shape[2] != 3:
        raise DataError(f"distort_param needs a colour image of bytes, got {image.dtype} with "
                        f"{image.shape[2]} channel(s)")
    contrast_early = generator.random() > 0.5

    def happens(probability: float) -> bool:
        return generator.random() < probability

    def contrast(pixels: np.ndarray) -> np.ndarray:
        if not happens(param.contrast_prob):
            return pixels
        return _linear(pixels, generator.uniform(*_range(param, "contrast")), 0)

    if happens(param.brightness_prob):
        delta = _at_least_0(param, "brightness_delta")
        image = _linear(image, 1, generator.uniform(-delta, delta))
    if contrast_early:
        image = contrast(image)
    if happens(param.saturation_prob):
        factor = generator.uniform(*_range(param, "saturation"))
        image = _with_hsv_channel(image, 1, factor, 0)
    if happens(param.hue_prob):
        delta = _at_least_0(param, "hue_delta")
        image = _with_hsv_channel(image, 0, 1, generator.uniform(-delta, delta))
    if not contrast_early:
        image = contrast(image)
    if happens(param.random_order_prob):
        image = image[:, :, generator.permutation(3)]
    return image


def _at_least_0(param: DistortionParameter, field: str) -> float:
    value = getattr(param, field)
    if value < 0:
        raise DataError(f"distort_param: expected {field} >= 0, got {value:g}")
    return value


def _range(param: DistortionParameter, name: str) -> tuple[float, float]:
    low, high = getattr(param, f"{name}_lower"), getattr(param, f"{name}_upper")
    if not 0 <= low <= high:
        raise DataError(f"distort_param: expected 0 <= {name}_lower <= {name}_upper, got {low:g} "
                        f"and {high:g}")
    return low, high


def _as_bytes(values: np.ndarray) -> np.ndarray:
    """As OpenCV's saturate_cast<uchar>: rounded and limited to 0 .. 255."""
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def _linear(image: np.ndarray, factor: float, summand: float) -> np.ndarray:
    return cv2.LUT(image, _as_bytes(np.arange(256) * factor + summand))


def _with_hsv_channel(image: np.ndarray, channel: int, factor: float,
                      summand: float) -> np.ndarray:
    """The image with a linear change of its hue (0, in half degrees) or saturation (1)."""
    hsv = cv2.cvtColor(image, cv2.COLOR_BGR2HSV)
    hsv[:, :, channel] = _linear(hsv[:, :, channel].copy(), factor, summand)
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR)


def add_noise(image: np.ndarray, param: NoiseParameter,
              generator: np.random.Generator) -> np.ndarray:
    """The image after what the NoiseParameter asks for, in the original's order.

    The original applies it to every image; `prob` has no effect there nor here.
    """
    if param.decolorize:
        image = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)
    if param.gauss_blur:
        image = cv2.GaussianBlur(image, (7, 7), 1.5)
    if param.hist_eq:
        image = _with_luminance(image, cv2.equalizeHist)
    if param.clahe:
        image = _with_luminance(image, cv2.createCLAHE(clipLimit=4).apply)
    if param.jpeg > 0:
        data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, int(param.jpeg)])[1]
        image = decode_image(data, True)
    if param.erode:
        image = cv2.erode(image, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (3, 3)))
    if param.posterize:
        image = image // _POSTERIZED_STEP * _POSTERIZED_STEP + _POSTERIZED_STEP // 2
    if param.inverse:
        image = ~image
    if param.saltpepper:
        image = _salted(np.atleast_3d(image), param, generator)
    if param.convert_to_hsv:
        image = cv2.cvtColor(image, cv2.COLOR_BGR2HSV)
    if param.convert_to_lab:
        image = cv2.cvtColor(image.astype(np.float32) / 255, cv2.COLOR_BGR2Lab)
    return np.atleast_3d(image)


def _with_luminance(image: np.ndarray,
                    change: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """The image with its luminance (all of a grey image) changed by a function."""
    if image.shape[2] == 1:
        return np.atleast_3d(change(image[:, :, 0]))
    parts = cv2.cvtColor(image, cv2.COLOR_BGR2YCrCb)
    parts[:, :, 0] = change(parts[:, :, 0].copy())
    return cv2.cvtColor(parts, cv2.COLOR_YCrCb2BGR)


def _salted(image: np.ndarray, param: NoiseParameter,
            generator: np.random.Generator) -> np.ndarray:
    """The image with a share of its pixels, drawn at random, set to a value."""
    height, width, channels = image.shape
    values = list(param.saltpepper_param.value)
    if len(values) not in (1, channels):
        raise DataError(f"saltpepper_param: expected one value or one for each of the {channels} "
                        f"channels, got {len(values)}")
    count = math.floor(param.saltpepper_param.fraction * width * height)
    image = image.copy()
    image[generator.integers(height, size=count), generator.integers(width, size=count)] = values
    return image

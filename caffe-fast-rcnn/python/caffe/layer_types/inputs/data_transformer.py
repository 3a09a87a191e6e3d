"""What data layers do to an image: crop, subtract the mean, scale, mirror (data_transformer.cpp).

    top = (crop(image) - mean) * scale, mirrored or not

In training the crop lies at random and `mirror` flips every other image by chance; in testing the
crop is the centre. The mean of a mean_file belongs to pixels of the image, not of the crop. With
SSD's resize_param and noise_param the image is first resized and changed (augmentation.py).
"""
from typing import NamedTuple

import numpy as np

from caffe.core.errors import DataError
from caffe.core.state import Phase
from caffe.files.weights import read_binaryproto
from caffe.layer_types.common.module import Shape
from caffe.layer_types.inputs.augmentation import add_noise, check_resize, resize, resized_shape
from caffe.proto.caffe_pb2 import TransformationParameter


class Applied(NamedTuple):
    """What a DataTransformer did to an image."""

    window: np.ndarray      # x1, y1, x2, y2 of the crop, in shares of the resized image
    mirrored: bool


class DataTransformer:
    """Applies a TransformationParameter; generator: numpy's, for the random draws."""

    def __init__(self, param: TransformationParameter, phase: int,
                 generator: np.random.Generator) -> None:
        self._param, self._mirror = param, param.mirror
        size = (param.crop_size, param.crop_size) if param.crop_size else (param.crop_h,
                                                                           param.crop_w)
        self._crop = size if min(size) > 0 else None
        self._scale = np.float32(param.scale)
        self._random_crop = phase == Phase.TRAIN
        self._generator = generator
        if param.mean_file and param.mean_value:
            raise DataError("transform_param: expected mean_file or mean_value, got both")
        for resize_param in param.resize_param:
            check_resize(resize_param)
        self.resize_param = param.resize_param[0] if param.resize_param else None
        self._mean_file = param.mean_file
        self._mean_image = read_mean(param.mean_file) if param.mean_file else None
        self._mean_values = np.array(param.mean_value, np.float32).reshape(-1, 1, 1)

    def start_batch(self) -> None:
        """Draws the resize_param of the next images, where there are several."""
        choices = self._param.resize_param
        if len(choices) > 1:
            weights = np.array([choice.prob for choice in choices], np.float64)
            self.resize_param = choices[self._generator.choice(len(choices),
                                                               p=weights / weights.sum())]

    def top_shape(self, shape: Shape) -> Shape:
        """(C, H, W) of what `apply` makes of an image of shape (C, H, W)."""
        channels, height, width = shape
        if self.resize_param is not None:
            height, width = resized_shape(self.resize_param, height, width)
        shape = channels, height, width
        if self._mean_image is not None and self._mean_image.shape != shape:
            raise DataError(f"the mean in {self._mean_file} has shape {self._mean_image.shape}, "
                            f"the image {shape} (channels, height, width)")
        if len(self._mean_values) not in (0, 1, channels):
            raise DataError(f"transform_param: expected one mean_value or one for each of the "
                            f"{channels} channels, got {len(self._mean_values)}")
        if not self._crop:
            return shape
        if self._crop[0] > height or self._crop[1] > width:
            size = self._param.crop_size or "{} x {}".format(*self._crop)
            raise DataError(f"crop_size {size} is larger than the image of {height} x {width} "
                            "(height x width)")
        return channels, *self._crop

    def apply(self, image: np.ndarray, out: np.ndarray) -> Applied:
        """Writes the transformed image (C, H, W), uint8 or float32, to out, float32 of its
        `top_shape`.
        """
        shape = self.top_shape(image.shape)
        if shape != out.shape:
            raise DataError(f"the image makes a top of shape {shape}, the first of its batch one "
                            f"of {out.shape}; resize the images to one size, give a crop_size, or "
                            "say batch_size: 1")
        mirrored = bool(self._mirror and self._generator.integers(2))
        image = self._prepared(image)
        top, left = self._corner(image.shape)
        window = np.s_[:, top:top + shape[1], left:left + shape[2]]
        target = out[:, :, ::-1] if mirrored else out
        if self._mean_image is not None:
            np.subtract(image[window], self._mean_image[window], out=target)
        elif len(self._mean_values):
            np.subtract(image[window], self._mean_values, out=target)
        else:
            target[...] = image[window]
        if self._scale != 1:
            target *= self._scale
        height, width = image.shape[1:]
        return Applied(np.array([left / width, top / height, (left + shape[2]) / width,
                                 (top + shape[1]) / height], np.float32), mirrored)

    def _prepared(self, image: np.ndarray) -> np.ndarray:
        """The image (C, H, W), resized and changed as resize_param and noise_param say."""
        has_noise = self._param.HasField("noise_param")
        if self.resize_param is None and not has_noise:
            return image
        pixels = np.ascontiguousarray(image.transpose(1, 2, 0))
        if self.resize_param is not None:
            pixels = resize(pixels, self.resize_param, self._generator)
        if has_noise:
            pixels = add_noise(pixels, self._param.noise_param, self._generator)
        return pixels.transpose(2, 0, 1)

    def _corner(self, shape: Shape) -> tuple[int, int]:
        """Top and left of the crop."""
        if not self._crop:
            return 0, 0
        rest = shape[1] - self._crop[0], shape[2] - self._crop[1]
        if self._random_crop:
            top, left = (int(self._generator.integers(r + 1)) for r in rest)
            return top, left
        return rest[0] // 2, rest[1] // 2


def read_mean(path: str) -> np.ndarray:
    """The mean image of a .binaryproto, (C, H, W) float32."""
    mean = read_binaryproto(path)
    if mean.ndim == 4 and mean.shape[0] == 1:
        mean = mean[0]
    if mean.ndim != 3:
        raise DataError(f"{path}: expected a mean image of shape (1, channels, height, width), got "
                        f"{mean.shape}")
    return mean

"""What data layers do to an image: crop, subtract the mean, scale, mirror (data_transformer.cpp).

    top = (crop(image) - mean) * scale, mirrored or not

In training the crop lies at random and `mirror` flips every other image by chance; in testing the
crop is the centre. The mean of a mean_file belongs to pixels of the image, not of the crop.
"""
import numpy as np

from caffe.core.errors import DataError
from caffe.core.state import Phase
from caffe.files.weights import read_binaryproto


class DataTransformer:
    """Applies a TransformationParameter; generator: numpy's, for the random draws."""

    def __init__(self, param, phase, generator):
        self._crop, self._mirror = param.crop_size, param.mirror
        self._scale = np.float32(param.scale)
        self._random_crop = phase == Phase.TRAIN
        self._generator = generator
        if param.mean_file and param.mean_value:
            raise DataError("transform_param: expected mean_file or mean_value, got both")
        self._mean_file = param.mean_file
        self._mean_image = read_mean(param.mean_file) if param.mean_file else None
        self._mean_values = np.array(param.mean_value, np.float32).reshape(-1, 1, 1)

    def top_shape(self, shape):
        """(C, H, W) of what `apply` makes of an image of shape (C, H, W)."""
        channels, height, width = shape
        if self._mean_image is not None and self._mean_image.shape != tuple(shape):
            raise DataError(f"the mean in {self._mean_file} has shape {self._mean_image.shape}, "
                            f"the image {tuple(shape)} (channels, height, width)")
        if len(self._mean_values) not in (0, 1, channels):
            raise DataError(f"transform_param: expected one mean_value or one for each of the "
                            f"{channels} channels, got {len(self._mean_values)}")
        if not self._crop:
            return channels, height, width
        if self._crop > min(height, width):
            raise DataError(f"crop_size {self._crop} is larger than the image of {height} x "
                            f"{width} (height x width)")
        return channels, self._crop, self._crop

    def apply(self, image, out):
        """Writes the transformed image (C, H, W), uint8 or float32, to out, float32 of its
        `top_shape`.
        """
        shape = self.top_shape(image.shape)
        if shape != out.shape:
            raise DataError(f"the image makes a top of shape {shape}, the first of its batch one "
                            f"of {out.shape}; resize the images to one size, give a crop_size, or "
                            "say batch_size: 1")
        mirrored = self._mirror and self._generator.integers(2)
        window = self._window(image.shape)
        target = out[:, :, ::-1] if mirrored else out
        if self._mean_image is not None:
            np.subtract(image[window], self._mean_image[window], out=target)
        elif len(self._mean_values):
            np.subtract(image[window], self._mean_values, out=target)
        else:
            target[...] = image[window]
        if self._scale != 1:
            target *= self._scale

    def _window(self, shape):
        """The slices of the crop."""
        if not self._crop:
            return np.s_[:, :, :]
        rest = shape[1] - self._crop, shape[2] - self._crop
        top, left = ((int(self._generator.integers(r + 1)) for r in rest) if self._random_crop
                     else (r // 2 for r in rest))
        return np.s_[:, top:top + self._crop, left:left + self._crop]


def read_mean(path):
    """The mean image of a .binaryproto, (C, H, W) float32."""
    mean = read_binaryproto(path)
    if mean.ndim == 4 and mean.shape[0] == 1:
        mean = mean[0]
    if mean.ndim != 3:
        raise DataError(f"{path}: expected a mean image of shape (1, channels, height, width), got "
                        f"{mean.shape}")
    return mean

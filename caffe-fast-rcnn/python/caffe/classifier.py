"""Nets that classify whole images (pycaffe: caffe.Classifier).

    classifier = caffe.Classifier("deploy.prototxt", "net.caffemodel", image_dims=(256, 256),
                                  mean=np.array([104, 117, 123]), raw_scale=255,
                                  channel_swap=(2, 1, 0))
    probabilities = classifier.predict([caffe.io.load_image("cat.jpg")])      # (1, classes)
"""
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import ArrayLike

from caffe import io
from caffe.core.errors import CaffeError
from caffe.core.state import TEST, TRAIN
from caffe.core.types import FilePath
from caffe.nets.net import Net


class Classifier(Net):
    """A net with one input, and a Transformer that preprocesses images for it.

    image_dims: (height, width) to which images are resized before crops of the net's size are
    taken; by default the net's size. A phase in its place is ignored: some programs pass one, as
    in Net(file, weights, phase). The other options are those of the Transformer.

    Attributes: transformer, crop_dims (height, width of the net's input), image_dims.
    """

    def __init__(self, model_file: FilePath, pretrained_file: FilePath,
                 image_dims: Sequence[int] | int | None = None, mean: ArrayLike | None = None,
                 input_scale: float | None = None, raw_scale: float | None = None,
                 channel_swap: Sequence[int] | None = None) -> None:
        super().__init__(model_file, TEST, weights=pretrained_file)
        self.transformer = input_transformer(self, mean, input_scale, raw_scale, channel_swap)
        self.crop_dims = np.array(self.blobs[self.inputs[0]].shape[2:])
        is_phase = isinstance(image_dims, int) and image_dims in (TRAIN, TEST)
        self.image_dims = (self.crop_dims if image_dims is None or is_phase
                           else np.array(image_dims, int))
        if self.image_dims.shape != (2,) or (self.image_dims < self.crop_dims).any():
            raise CaffeError(f"expected image_dims (height, width) of at least the net's "
                             f"{tuple(self.crop_dims.tolist())}, got "
                             f"{tuple(self.image_dims.tolist())}")

    def predict(self, inputs: Iterable[np.ndarray], oversample: bool = True) -> np.ndarray:
        """Predictions (N, C) for N images (H, W, K) of any size, RGB between 0 and 1.

        oversample: the mean over ten crops (corners, centre and their mirrors) instead of the
        centre alone, whose predictions keep the shape of the net's output.
        """
        images = [io.resize_image(self._checked(image), self.image_dims) for image in inputs]
        if not images:
            raise CaffeError("expected at least one image, got none")
        if oversample:
            crops = io.oversample(images, self.crop_dims)
        else:
            y, x = (self.image_dims - self.crop_dims) // 2
            height, width = self.crop_dims
            crops = np.array([image[y:y + height, x:x + width] for image in images])
        name = self.inputs[0]
        batch = np.stack([self.transformer.preprocess(name, crop) for crop in crops])
        predictions = self.forward_all(**{name: batch})[self.outputs[0]]
        if oversample:
            predictions = predictions.reshape(len(images), -1, *predictions.shape[1:])
            predictions = predictions.mean(1).reshape(len(images), -1)
        return predictions

    def _checked(self, image: np.ndarray) -> np.ndarray:
        channels = self.blobs[self.inputs[0]].channels
        if np.ndim(image) != 3 or np.shape(image)[2] != channels:
            raise CaffeError(f"expected images of shape (height, width, {channels}), got "
                             f"{np.shape(image)}")
        return image


def input_transformer(net: Net, mean: ArrayLike | None, input_scale: float | None,
                      raw_scale: float | None,
                      channel_swap: Sequence[int] | None) -> io.Transformer:
    """The Transformer from images (H, W, K) to a net's first input; None leaves a step out."""
    if not net.inputs or len(net.blobs[net.inputs[0]].shape) != 4:
        shapes = ", ".join(f"{name} {net.blobs[name].shape}" for name in net.inputs)
        raise CaffeError("expected a net whose first input has the shape (N, K, H, W), got "
                         f"{shapes or 'none'}; classification takes a deploy prototxt")
    name = net.inputs[0]
    transformer = io.Transformer({name: net.blobs[name].shape})
    transformer.set_transpose(name, (2, 0, 1))
    if mean is not None:
        transformer.set_mean(name, mean)
    if input_scale is not None:
        transformer.set_input_scale(name, input_scale)
    if raw_scale is not None:
        transformer.set_raw_scale(name, raw_scale)
    if channel_swap is not None:
        transformer.set_channel_swap(name, channel_swap)
    return transformer

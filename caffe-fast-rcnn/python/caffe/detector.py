"""Nets that classify windows of images, as R-CNN does (pycaffe: caffe.Detector).

    detector = caffe.Detector("deploy.prototxt", "net.caffemodel", raw_scale=255, context_pad=16)
    for found in detector.detect_windows([("cat.jpg", windows)]):
        print(found["filename"], found["window"], found["prediction"].argmax())

Windows are (ymin, xmin, ymax, xmax) in pixels.
"""
import itertools
import os
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from caffe import io
from caffe.classifier import input_transformer
from caffe.core.errors import CaffeError
from caffe.core.state import TEST
from caffe.core.types import FilePath
from caffe.nets.net import Net

Window = Sequence[float] | np.ndarray
ImagesWindows = Iterable[tuple[FilePath, Iterable[Window]]]


class Detector(Net):
    """A net with one input, into which windows of images are warped.

    context_pad: pixels on each side of the net's input that show the surroundings of the window;
    outside the image they hold the mean. The other options are the Transformer's.
    """

    def __init__(self, model_file: FilePath, pretrained_file: FilePath,
                 mean: ArrayLike | None = None, input_scale: float | None = None,
                 raw_scale: float | None = None, channel_swap: Sequence[int] | None = None,
                 context_pad: int | None = None) -> None:
        super().__init__(model_file, TEST, weights=pretrained_file)
        self.transformer = input_transformer(self, mean, input_scale, raw_scale, channel_swap)
        self.configure_crop(context_pad)

    def configure_crop(self, context_pad: int | None) -> None:
        """Sets context_pad, crop_dims (H, W, K) and crop_mean, which preprocessing turns into 0."""
        name = self.inputs[0]
        self.crop_mean = self.transformer.deprocess(
            name, np.zeros(self.blobs[name].shape[1:], np.float32))
        self.crop_dims = np.array(self.crop_mean.shape)
        self.context_pad = context_pad or 0
        if not 0 <= 2 * self.context_pad < min(self.crop_dims[:2]):
            raise CaffeError("expected a context_pad below half the net's input of "
                             f"{self.crop_dims[0]} x {self.crop_dims[1]}, got {context_pad}")

    def detect_windows(self, images_windows: ImagesWindows) -> list[dict[str, Any]]:
        """The net's predictions for windows of images.

        images_windows: pairs of an image file and its windows (W, 4). Returns a list of
        {"window": as given, "prediction": the net's first output for it, "filename"}.
        """
        name, detections = self.inputs[0], []
        windows = self._windows(images_windows)
        while batch := list(itertools.islice(windows, self.blobs[name].num)):
            inputs = np.stack([self.transformer.preprocess(name, crop) for _, _, crop in batch])
            predictions = self.forward_all(**{name: inputs})[self.outputs[0]]
            detections += [{"window": window, "prediction": prediction, "filename": filename}
                           for (filename, window, _), prediction in zip(batch, predictions)]
        return detections

    def _windows(self, images_windows: ImagesWindows
                 ) -> Iterator[tuple[FilePath, Window, np.ndarray]]:
        for filename, windows in images_windows:
            image = io.load_image(filename)
            for window in windows:
                try:
                    yield filename, window, self.crop(image, window)
                except ValueError as problem:
                    raise CaffeError(f"{filename}: {problem}") from None

    def detect_selective_search(self, image_fnames: Iterable[FilePath]) -> list[dict[str, Any]]:
        """As `detect_windows`, for the windows that selective search proposes.

        It needs the module selective_search_ijcv_with_python, which needs MATLAB.
        """
        try:
            import selective_search_ijcv_with_python as selective_search
        except ImportError:
            raise CaffeError("selective search needs the module selective_search_ijcv_with_python "
                             "(and MATLAB), which is not installed; compute the windows otherwise "
                             "and give them to detect_windows (detect.py: --crop_mode list)"
                             ) from None
        paths = [os.path.abspath(name) for name in image_fnames]
        return self.detect_windows(zip(paths, selective_search.get_windows(paths)))

    def crop(self, im: np.ndarray, window: Window) -> np.ndarray:
        """The pixels (H, W, K) of a window; with context_pad already of the net's input size."""
        box = np.asarray(window, dtype=float).reshape(2, 2)     # two corners (y, x)
        if self.context_pad:
            return self._with_context(im, box)
        box = box.astype(int)
        if (box < 0).any() or (box > im.shape[:2]).any() or (box[1] <= box[0]).any():
            raise _outside(window, im)
        (y1, x1), (y2, x2) = box
        return im[y1:y2, x1:x2]

    def _with_context(self, im: np.ndarray, box: np.ndarray) -> np.ndarray:
        """The box enlarged about its centre; outside the image it holds the mean.

        As in pycaffe the last row and column count in the size of the box, but are not copied.
        """
        size = self.crop_dims[:2]
        half = (box[1] - box[0] + 1) / 2
        reach = half * (size / (size - 2 * self.context_pad))
        enlarged = np.round(box[0] + half + np.stack([-reach, reach]))
        scale = size / (enlarged[1] - enlarged[0] + 1)
        inside = np.clip(enlarged, 0, im.shape[:2])
        start = np.round(np.maximum(0, -enlarged[0]) * scale).astype(int)
        extent = np.round((inside[1] - inside[0] + 1) * scale).astype(int)
        extent = np.minimum(extent, size - start)
        if (half <= 0).any() or (inside[1] <= inside[0]).any() or (extent < 1).any():
            raise _outside(box.ravel().tolist(), im)
        (y1, x1), (y2, x2) = inside.astype(int)
        crop = self.crop_mean.astype(np.float32)
        (y, x), (height, width) = start, extent
        crop[y:y + height, x:x + width] = io.resize_image(im[y1:y2, x1:x2], extent)
        return crop


def _outside(window: Window, im: np.ndarray) -> ValueError:
    corners = ", ".join(f"{float(number):g}" for number in window)
    return ValueError(f"the window (ymin, xmin, ymax, xmax) = ({corners}) does not lie in the "
                      f"image of {im.shape[0]} x {im.shape[1]} pixels, or is empty")

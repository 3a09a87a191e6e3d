"""Images with a label for each pixel: DenseImageData (SegNet), ImageSegData (DeepLab, PSPNet).

alexgkendall/caffe-segnet: dense_image_data_layer.cpp; hszhao/PSPNet: image_seg_data_layer.cpp and
data_transformer.cpp. Images and labels are resized, cropped and mirrored together; labels always
take the nearest pixel.
"""
import itertools
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import cv2
import numpy as np
from google.protobuf.message import Message

from caffe.core import state
from caffe.core.errors import DataError
from caffe.core.regular_files import open_regular
from caffe.files.images import read_image
from caffe.layer_types.common.module import Shapes
from caffe.layer_types.common.registry import register
from caffe.layer_types.inputs.batch_source import (
    BatchSource,
    listed_forever,
    located,
    own_share,
    peeked,
)
from caffe.layer_types.inputs.data_transformer import read_mean
from caffe.proto.caffe_pb2 import ImageDataParameter, LayerParameter, TransformationParameter


class ListedLabels(NamedTuple):
    """A line of a list of images: "name label", the label being a name or a number."""

    name: str
    label: str
    where: str      # "list.txt:3"


class LabeledImage(NamedTuple):
    """An image (H, W, C) and the labels of its pixels (H, W)."""

    image: np.ndarray
    labels: np.ndarray


_Change = Callable[[LabeledImage], LabeledImage]
_Located = tuple[str, LabeledImage, tuple[int, int]]    # where, pair, size before it was changed


def read_pairs(path: str, needs_label: bool = True) -> list[ListedLabels]:
    """The lines of a list, in their order; blank ones do not count. Raises DataError."""
    try:
        with open_regular(path, "r", encoding="utf-8", errors="surrogateescape") as file:
            lines = [(f"{path}:{number}", line.split()) for number, line in enumerate(file, 1)]
    except OSError as error:
        raise DataError(f"{path}: the list of images cannot be read: {error.strerror}") from None
    pairs = []
    for where, words in lines:
        if len(words) == 1 and needs_label:
            raise DataError(f'{where}: expected "image labels", got one word')
        if words:
            pairs.append(ListedLabels(words[0], words[1] if len(words) > 1 else "", where))
    if not pairs:
        raise DataError(f"{path}: the list of images is empty")
    return pairs


class _PairSource(BatchSource):
    """What the two types share: lists, batches, the mean and the scale."""

    def start(self, options: Message, needs_label: bool,
              change: _Change, generator: np.random.Generator) -> None:
        """Feeds the listed pairs, changed by a function."""
        if (options.new_height > 0) != (options.new_width > 0):
            raise self.error("expected new_height and new_width, or neither, got "
                             f"{options.new_height} and {options.new_width}")
        batch_size = self.positive(options.batch_size, "batch_size")
        with self.named():
            listed = listed_forever(read_pairs(options.source, needs_label), options, generator)
            items = _pairs(own_share(listed, self.phase), options, change)
            (_, pair, _), items = peeked(items)
            channels = pair.image.shape[2]
            finish = _Finish(self.param.transform_param, channels)
            self.feed(_batches(items, batch_size, finish),
                      [(batch_size, channels, *pair.image.shape[:2]),
                       (batch_size, 1, *pair.labels.shape), (batch_size, 1, 1, 2)])


@register("DenseImageData")
class DenseImageData(_PairSource):
    """The lines "image label_image" of a list, repeatedly; with `shuffle` in a new order each time.

    top[0]: images (N, C, H, W), BGR     top[1]: labels (N, 1, H, W)
    Mirrored at random and cropped at random, in both phases. With a label_divide_factor (ENet) the
    labels are that many times smaller.
    """

    tops = (2, 2)

    def __init__(self, param: LayerParameter, shapes: Shapes, phase: int) -> None:
        super().__init__(param, shapes, phase)
        p, transform = param.dense_image_data_param, param.transform_param
        if transform.mirror or transform.crop_size:
            raise self.error("expected mirror, crop_height and crop_width in "
                             "dense_image_data_param, got mirror or crop_size in transform_param")
        if (p.crop_height > 0) != (p.crop_width > 0):
            raise self.error("expected crop_height and crop_width, or neither, got "
                             f"{p.crop_height} and {p.crop_width}")
        if p.label_divide_factor < 1 or p.label_divide_factor > 1 and p.crop_height:
            raise self.error("expected label_divide_factor > 0, and 1 with a crop, got "
                             f"{p.label_divide_factor}")
        self.warn_of_legacy_fields(p, ("mean_file",))
        generator = state.new_generator()

        def change(pair: LabeledImage) -> LabeledImage:
            if p.mirror and generator.integers(2):
                pair = _mirrored(pair)
            return _cropped(pair, p.crop_height, p.crop_width, generator)

        self.start(p, True, change, generator)


@register("ImageSegData")
class ImageSegData(_PairSource):
    """The lines "image labels" of a list, repeatedly; with `shuffle` in a new order each time.

    top[0]: images (N, C, H, W), BGR     top[1]: labels (N, 1, H, W)
    top[2]: height and width of each image before its crop, at most those of the top (N, 1, 1, 2)
    label_type says what "labels" is. The image is scaled by one of scale_factors, drawn at random,
    padded at the bottom and the right (by the mean, and ignore_label) where it is smaller than the
    crop, cropped, in testing at the centre, and mirrored.
    """

    tops = (2, 3)

    def __init__(self, param: LayerParameter, shapes: Shapes, phase: int) -> None:
        super().__init__(param, shapes, phase)
        p, transform = param.image_data_param, param.transform_param
        size = self._crop_size(transform)
        if transform.mean_file:
            raise self.error("expected mean_value, got mean_file")
        generator = state.new_generator()
        draw = generator if phase == state.TRAIN else None
        mean = list(transform.mean_value) or [0]

        def change(pair: LabeledImage) -> LabeledImage:
            mirror = transform.mirror and generator.integers(2)
            if transform.scale_factors:
                factors = transform.scale_factors
                pair = _scaled(pair, factors[int(generator.integers(len(factors)))])
            pair = _cropped(_padded(pair, *size, mean, p.ignore_label), *size, draw)
            return _mirrored(pair) if mirror else pair

        self.start(p, p.label_type != ImageDataParameter.NONE, change, generator)

    def _crop_size(self, transform: TransformationParameter) -> tuple[int, int]:
        """(height, width), or (0, 0) for none."""
        size = transform.crop_height, transform.crop_width
        if any(size) and (transform.crop_size or not all(size)):
            raise self.error("expected crop_size, or crop_height and crop_width, got a mixture")
        return size if any(size) else (transform.crop_size,) * 2


def _pairs(listed: Iterable[ListedLabels], options: Message,
           change: _Change) -> Iterator[_Located]:
    """Every line's changed pair."""
    size = options.new_height, options.new_width
    for line in listed:
        with located(line.where):
            image = read_image(options.root_folder + line.name, size, options.is_color)
            smaller = getattr(options, "label_divide_factor", 1)
            wanted = image.shape[0] // smaller, image.shape[1] // smaller
            labels = _labels(line, options, wanted)
            if labels.shape != wanted:
                raise DataError(f"the image has {image.shape[1]} x {image.shape[0]} pixels, its "
                                f"labels {labels.shape[1]} x {labels.shape[0]}, expected "
                                f"{wanted[1]} x {wanted[0]}")
            pair = change(LabeledImage(image, labels))
        yield line.where, pair, image.shape[:2]


def _labels(line: ListedLabels, options: Message, size: tuple[int, int]) -> np.ndarray:
    """The labels (H, W) of a line; all but those that are read and not resized have this size."""
    kind = getattr(options, "label_type", ImageDataParameter.PIXEL)
    if kind == ImageDataParameter.NONE:
        return np.full(size, options.ignore_label, np.uint8)
    if kind == ImageDataParameter.IMAGE:
        if not line.label.isascii() or not line.label.isdigit() or int(line.label) > 255:
            raise DataError(f'expected a label from 0 to 255, got "{line.label}"; is this a list '
                            "for label_type: PIXEL?")
        return np.full(size, int(line.label), np.uint8)
    labels = read_image(options.root_folder + line.label, color=False)[:, :, 0]
    if options.new_height:
        labels = cv2.resize(labels, size[::-1], interpolation=cv2.INTER_NEAREST)
    return labels


def _mirrored(pair: LabeledImage) -> LabeledImage:
    return LabeledImage(pair.image[:, ::-1], pair.labels[:, ::-1])


def _scaled(pair: LabeledImage, factor: float) -> LabeledImage:
    if factor == 1:
        return pair
    height, width = (int(n * factor) for n in pair.labels.shape)
    if min(height, width) < 1:
        raise DataError(f"scale_factors: nothing is left of an image of {pair.labels.shape[1]} x "
                        f"{pair.labels.shape[0]} pixels with {factor:g}")
    labels = cv2.resize(pair.labels, (width, height), interpolation=cv2.INTER_NEAREST)
    return LabeledImage(np.atleast_3d(cv2.resize(pair.image, (width, height))), labels)


def _padded(pair: LabeledImage, height: int, width: int, mean: list[float],
            ignore_label: int) -> LabeledImage:
    """The pair with at least this size; what is added is the mean, so that it becomes 0."""
    down, right = (max(0, wanted - n) for wanted, n in zip((height, width), pair.labels.shape))
    if not down and not right:
        return pair
    image = np.empty((pair.labels.shape[0] + down, pair.labels.shape[1] + right,
                      pair.image.shape[2]), np.float32)
    image[...] = mean
    image[:pair.labels.shape[0], :pair.labels.shape[1]] = pair.image
    labels = np.full(image.shape[:2], ignore_label, pair.labels.dtype)
    labels[:pair.labels.shape[0], :pair.labels.shape[1]] = pair.labels
    return LabeledImage(image, labels)


def _cropped(pair: LabeledImage, height: int, width: int,
             generator: np.random.Generator | None) -> LabeledImage:
    """A part of this size (0: all), at random or, without a generator, the centre."""
    if not height:
        return pair
    rest = pair.labels.shape[0] - height, pair.labels.shape[1] - width
    if min(rest) < 0:
        raise DataError(f"a crop of {width} x {height} pixels is larger than the image of "
                        f"{pair.labels.shape[1]} x {pair.labels.shape[0]}")
    top, left = (r // 2 if generator is None else int(generator.integers(r + 1)) for r in rest)
    window = np.s_[top:top + height, left:left + width]
    return LabeledImage(pair.image[window], pair.labels[window])


class _Finish:
    """Subtracts the mean and scales, as transform_param says."""

    def __init__(self, transform: TransformationParameter, channels: int) -> None:
        if transform.mean_file and transform.mean_value:
            raise DataError("transform_param: expected mean_file or mean_value, got both")
        if len(transform.mean_value) not in (0, 1, channels):
            raise DataError(f"transform_param: expected one mean_value or one for each of the "
                            f"{channels} channels, got {len(transform.mean_value)}")
        self._scale = np.float32(transform.scale)
        self._mean = read_mean(transform.mean_file) if transform.mean_file else \
            np.array(transform.mean_value or [0], np.float32).reshape(-1, 1, 1)

    def __call__(self, image: np.ndarray) -> np.ndarray:
        """(C, H, W) float32 from (H, W, C)."""
        pixels = image.transpose(2, 0, 1).astype(np.float32)
        if self._mean.shape[1:] != (1, 1) and self._mean.shape != pixels.shape:
            raise DataError(f"the mean has shape {self._mean.shape}, the image {pixels.shape} "
                            "(channels, height, width)")
        return (pixels - self._mean) * self._scale


def _batches(items: Iterator[_Located], batch_size: int,
             finish: _Finish) -> Iterator[list[np.ndarray]]:
    """Endless [images (N, C, H, W), labels (N, 1, H, W), sizes (N, 1, 1, 2)]."""
    while True:
        images: list[np.ndarray] = []
        labels: list[np.ndarray] = []
        sizes: list[np.ndarray] = []
        for where, pair, size in itertools.islice(items, batch_size):
            if images and pair.image.shape[:2] != images[0].shape[1:]:
                raise DataError(f"{where}: the image has {pair.image.shape[1]} x "
                                f"{pair.image.shape[0]} pixels, the first of its batch "
                                f"{images[0].shape[2]} x {images[0].shape[1]}; give a crop, "
                                "new_height and new_width, or batch_size: 1")
            images.append(finish(pair.image))
            labels.append(pair.labels)
            sizes.append(np.minimum(size, pair.labels.shape))
        yield [np.stack(images), np.stack(labels)[:, None].astype(np.float32),
               np.array(sizes, np.float32)[:, None, None]]

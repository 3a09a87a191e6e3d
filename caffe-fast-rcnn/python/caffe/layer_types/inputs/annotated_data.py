"""AnnotatedData: images and their objects from a database (SSD: annotated_data_layer.cpp).

An image is distorted, expanded, cropped to a sampled window, then transformed as by a Data layer;
its objects move along with it. The original keeps the image as a JPEG between these steps; here
nothing is lost between them.
"""
import itertools
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
from google.protobuf.message import DecodeError

from caffe.core import state
from caffe.core.errors import DataError
from caffe.files.databases import open_database
from caffe.files.images import datum_image
from caffe.layer_types.common.module import Shapes
from caffe.layer_types.common.registry import register
from caffe.layer_types.inputs import annotations, augmentation
from caffe.layer_types.inputs.batch_source import BatchSource, located, own_share, peeked
from caffe.layer_types.inputs.data_transformer import DataTransformer
from caffe.proto import caffe_pb2
from caffe.proto.caffe_pb2 import AnnotatedDatum, LayerParameter


@register("AnnotatedData")
class AnnotatedData(BatchSource):
    """The AnnotatedDatums of an LMDB or LevelDB, repeatedly.

    top[0]: images (N, C, H, W)
    top[1]: objects (1, 1, G, 8) of all images: number of the image in the batch, label, number of
            the instance, x1, y1, x2, y2 in shares of the image, whether difficult; one row of -1
            where there is none. Records without a type: labels (N,) instead.
    """

    tops = (1, 2)

    def __init__(self, param: LayerParameter, shapes: Shapes, phase: int) -> None:
        super().__init__(param, shapes, phase)
        p = param.data_param
        batch_size = self.positive(p.batch_size, "batch_size")
        self._check_resize(batch_size)
        generator = state.new_generator()
        with self.named():
            augmenter = _Augmenter(param, generator)
            transformer = DataTransformer(param.transform_param, phase, generator)
            database = open_database(p.source, caffe_pb2.DataParameter.DB.Name(p.backend).lower())
            skip = int(generator.integers(p.rand_skip)) if p.rand_skip else 0
            records = own_share(itertools.islice(database.forever(), skip, None), phase)
            items = _records(records, database.source, augmenter.color)
            first, items = peeked(items)
            with located(first.where):
                shape = transformer.top_shape(first.image.shape)
            objects = (1, 1, max(1, len(first.objects)), 8)
            self.feed(_batches(items, batch_size, augmenter, transformer),
                      [(batch_size, *shape), objects if first.has_type else (batch_size,)])

    def _check_resize(self, batch_size: int) -> None:
        for resize_param in self.param.transform_param.resize_param:
            if resize_param.resize_mode == resize_param.FIT_SMALL_SIZE and batch_size != 1:
                raise self.error("expected batch_size 1 with FIT_SMALL_SIZE, got "
                                 f"{batch_size}")


class _Record(NamedTuple):
    """A record: its image (C, H, W) and objects (G, 7), or its label where it has no type."""

    where: str
    image: np.ndarray
    objects: np.ndarray
    has_type: bool
    label: int


def _records(records: Iterable[tuple[bytes, bytes]], source: str,
           color: bool | None) -> Iterator[_Record]:
    for key, value in records:
        where = f'{source}, record "{bytes(key).decode("utf-8", "replace")}"'
        try:
            record = AnnotatedDatum.FromString(value)
        except DecodeError:
            raise DataError(f"{where} is not an AnnotatedDatum") from None
        yield _Record(where, datum_image(record.datum, color, where),
                    annotations.read_objects(record), record.HasField("type"), record.datum.label)


class _Augmenter:
    """What happens to an image and its objects before the DataTransformer."""

    def __init__(self, param: LayerParameter, generator: np.random.Generator) -> None:
        self._param, self._generator = param.transform_param, generator
        if self._param.force_color and self._param.force_gray:
            raise DataError("transform_param: expected force_color or force_gray, got both")
        self.color = True if self._param.force_color else False if self._param.force_gray else None
        self._samplers = list(param.annotated_data_param.batch_sampler)
        for sampler in self._samplers:
            annotations.check_sampler(sampler.sampler)
        self._emit = self._param.emit_constraint if self._param.HasField("emit_constraint") else \
            None
        self._check_expansion()

    def _check_expansion(self) -> None:
        if not self._param.HasField("expand_param"):
            return
        if self._param.expand_param.max_expand_ratio <= 1:
            raise DataError("expand_param: expected max_expand_ratio > 1, got "
                            f"{self._param.expand_param.max_expand_ratio:g}")
        if self._param.mean_file:
            raise DataError("expand_param needs mean_value for the ground, got mean_file")

    def __call__(self, image: np.ndarray, objects: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Image (C, H, W) and objects (G, 7), changed."""
        pixels = np.ascontiguousarray(image.transpose(1, 2, 0))
        param, draw = self._param, self._generator
        if param.HasField("distort_param"):
            pixels = augmentation.distort(pixels, param.distort_param, draw)
        if param.HasField("expand_param"):
            means = np.array(param.mean_value, np.float32)
            pixels, window = augmentation.expand(pixels, param.expand_param, means, draw)
            if window is not None:
                objects = annotations.seen_through(objects, window, self._emit)
        windows = annotations.sample_windows(objects[:, annotations.BOX], self._samplers, draw)
        if windows:
            window = windows[int(draw.integers(len(windows)))].clip(0, 1)
            pixels = augmentation.crop(pixels, window)
            objects = annotations.seen_through(objects, window, self._emit)
        return pixels.transpose(2, 0, 1), objects

    def transformed(self, image: np.ndarray, objects: np.ndarray, transformer: DataTransformer,
                    out: np.ndarray) -> np.ndarray:
        """Writes the transformed image to `out`; returns its objects."""
        applied = transformer.apply(image, out)
        height, width = image.shape[1:]
        resize_param = transformer.resize_param
        if resize_param is not None:
            objects = annotations.resized(objects, resize_param, height, width)
        objects = annotations.seen_through(objects, applied.window, self._emit)
        if applied.mirrored:
            objects = annotations.mirrored(objects)
        if resize_param is not None:
            objects = annotations.extrapolated(objects, resize_param, height, width,
                                               applied.window)
        return objects


def _batches(items: Iterator[_Record], batch_size: int, augmenter: _Augmenter,
             transformer: DataTransformer) -> Iterator[list[np.ndarray]]:
    """Endless [images (N, C, H, W), objects (1, 1, G, 8) or labels (N,)]."""
    while True:
        transformer.start_batch()
        data: np.ndarray = np.empty(0, np.float32)
        rows, labels = [], np.empty(batch_size, np.float32)
        for i, item in enumerate(itertools.islice(items, batch_size)):
            with located(item.where):
                image, objects = augmenter(item.image, item.objects)
                if i == 0:
                    data = np.empty((batch_size, *transformer.top_shape(image.shape)), np.float32)
                objects = augmenter.transformed(image, objects, transformer, data[i])
            rows.append(np.insert(objects, 0, i, axis=1))
            labels[i] = item.label
        yield [data, _joined(rows) if item.has_type else labels]


def _joined(rows: list[np.ndarray]) -> np.ndarray:
    found = np.concatenate(rows)
    return (found if len(found) else np.full((1, 8), -1, np.float32))[None, None]

"""Data: images and labels from a database of Datums (Caffe: data_layer.cpp)."""
import itertools
from collections.abc import Iterable, Iterator

from caffe.core import state
from caffe.files.databases import open_database
from caffe.files.images import datum_image, read_datum
from caffe.layer_types.common.module import Shapes
from caffe.layer_types.common.registry import register
from caffe.layer_types.inputs.batch_source import BatchSource, Item, own_share
from caffe.layer_types.inputs.data_transformer import DataTransformer
from caffe.proto import caffe_pb2
from caffe.proto.caffe_pb2 import LayerParameter


@register("Data")
class Data(BatchSource):
    """Tops: images (N, C, H, W), labels (N,): the records of an LMDB or LevelDB, repeatedly.

    Encoded images are decoded with the channels that they have, or as force_color (also the older
    force_encoded_color) and force_gray say.
    """

    tops = (1, 2)

    def __init__(self, param: LayerParameter, shapes: Shapes, phase: int) -> None:
        super().__init__(param, shapes, phase)
        p, transform = param.data_param, param.transform_param
        batch_size = self.positive(p.batch_size, "batch_size")
        if transform.force_color and transform.force_gray:
            raise self.error("expected force_color or force_gray, got both")
        self.warn_of_legacy_fields(p)
        color = True if transform.force_color or p.force_encoded_color else \
            False if transform.force_gray else None
        generator = state.new_generator()
        with self.named():
            transformer = DataTransformer(transform, phase, generator)
            database = open_database(p.source, caffe_pb2.DataParameter.DB.Name(p.backend).lower())
            skip = int(generator.integers(p.rand_skip)) if p.rand_skip else 0
            records = own_share(itertools.islice(database.forever(), skip, None), phase)
            self.feed_images(_images(records, database.source, color), batch_size, transformer)


def _images(records: Iterable[tuple[bytes, bytes]], source: str,
            color: bool | None) -> Iterator[Item]:
    """(where, image, label) of every record."""
    for key, value in records:
        where, datum = read_datum(source, key, value)
        yield where, datum_image(datum, color, where), datum.label

"""ImageData: images and labels from a list of files (Caffe: image_data_layer.cpp)."""
from collections.abc import Iterable, Iterator

from caffe.core import state
from caffe.core.errors import DataError
from caffe.files.images import ListedImage, read_image, read_image_list
from caffe.layer_types.common.module import Shapes
from caffe.layer_types.common.registry import register
from caffe.layer_types.inputs.batch_source import BatchSource, Item, listed_forever, own_share
from caffe.layer_types.inputs.data_transformer import DataTransformer
from caffe.proto.caffe_pb2 import LayerParameter


@register("ImageData")
class ImageData(BatchSource):
    """Tops: images (N, C, H, W), BGR, labels (N,): the lines "image label" of a list,
    repeatedly; with `shuffle` in a new order every time.
    """

    tops = (2, 2)

    def __init__(self, param: LayerParameter, shapes: Shapes, phase: int) -> None:
        super().__init__(param, shapes, phase)
        p = param.image_data_param
        batch_size = self.positive(p.batch_size, "batch_size")
        if (p.new_height > 0) != (p.new_width > 0):
            raise self.error("expected new_height and new_width, or neither, got "
                             f"{p.new_height} and {p.new_width}")
        self.warn_of_legacy_fields(p)
        generator = state.new_generator()
        with self.named():
            transformer = DataTransformer(param.transform_param, phase, generator)
            order = listed_forever(read_image_list(p.source), p, generator)
            items = _images(own_share(order, phase), p.root_folder, (p.new_height, p.new_width),
                            p.is_color)
            self.feed_images(items, batch_size, transformer)


def _images(listed: Iterable[ListedImage], root_folder: str, size: tuple[int, int],
            color: bool) -> Iterator[Item]:
    """(where, image, label) of every listed image; Caffe joins folder and name as they are."""
    for name, label, where in listed:
        try:
            image = read_image(root_folder + name, size, color)
        except DataError as problem:
            raise DataError(f"{where}: {problem}") from None
        yield f"{where}: image {root_folder + name}", image.transpose(2, 0, 1), label

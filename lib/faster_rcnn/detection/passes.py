"""Images that share passes of a net: those of equal size, read ahead of time."""
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar

from caffe.core.logs import Timer
from faster_rcnn.detection.inputs import NetInput
from faster_rcnn.detection.options import TestOptions
from faster_rcnn.files.read_ahead import read_ahead
from faster_rcnn.images.naming import naming_image

# Batches' worth of images that are read before those of equal shape are put together
GATHERED = 4

Shape = tuple[int, ...]
Item = TypeVar("Item")
Found = TypeVar("Found")


def in_passes(imdb: Any, images: Sequence[int], load: Callable[[int], NetInput],
              run: Callable[[Sequence[NetInput]], Sequence[Found]], options: TestOptions,
              timer: Timer) -> Iterator[tuple[int, NetInput, Found]]:
    """(image, its input, what is found in it) of every image of a database; not in the order of
    `images` where TEST.IMS_PER_BATCH is more than 1.

    load: reads an image; run: a pass for inputs of equal shape; timer: takes the times of passes.
    Errors name the images of their pass.
    """
    def loaded(index: int) -> NetInput:
        with naming_image(imdb.image_path_at(index)):
            return load(index)

    count = window_size(options.ims_per_batch)
    for window in windows(zip(images, read_ahead(loaded, images)), count):
        shapes = [given.blobs["data"].shape for _, given in window]
        for part in of_equal_shape(shapes, options.ims_per_batch):
            numbers, inputs = zip(*(window[position] for position in part))
            timer.tic()
            with naming_image(", ".join(map(imdb.image_path_at, numbers))):
                found = run(inputs)
            timer.toc()
            yield from zip(numbers, inputs, found)


def window_size(ims_per_batch: int) -> int:
    """How many images to gather, so that passes over those of equal shape fill up."""
    return 1 if ims_per_batch == 1 else GATHERED * ims_per_batch


def windows(items: Iterable[Item], count: int) -> Iterator[list[Item]]:
    """The items in their order, `count` at once; the last time what is left."""
    iterator = iter(items)
    while window := list(itertools.islice(iterator, count)):
        yield window


def of_equal_shape(shapes: Sequence[Shape], size: int) -> list[list[int]]:
    """Positions of equal shapes together, in parts of at most `size`."""
    groups: dict[Shape, list[int]] = {}
    for position, shape in enumerate(shapes):
        groups.setdefault(shape, []).append(position)
    return [group[start:start + size] for group in groups.values()
            for start in range(0, len(group), size)]

"""Files of the detections of a whole test set (SSD: detection_output_layer.cpp).

Formats: VOC, a file for each class; ILSVRC, one file; COCO, JSON. They appear when all images are
there, and replace those of the test before.
"""
import json
import math
import os
import re
from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor

from caffe.core.errors import DataError
from caffe.files.atomic import atomic_open
from caffe.layer_types.regions.image_boxes import on_image
from caffe.layer_types.regions.label_maps import NamedSize, read_label_map, read_name_sizes
from caffe.proto.caffe_pb2 import ResizeParameter, SaveOutputParameter

_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?")
FORMATS = ("VOC", "COCO", "ILSVRC")


class _Found(NamedTuple):
    image: str
    label: int
    score: float
    box: tuple[int, int, int, int]      # x1, y1, width, height in hundredths of a pixel


class DetectionFiles:
    """Collects the detections of images in their order, and writes them after the last one.

    Raises DataError for a label map or a list of sizes that cannot be read or does not fit, and
    where a file cannot be written.
    """

    def __init__(self, param: SaveOutputParameter, labels: list[int]) -> None:
        if param.output_format not in FORMATS:
            raise DataError("save_output_param: expected output_format "
                            f'{", ".join(FORMATS)}, got "{param.output_format}"')
        self._param, self._labels = param, labels
        self._names = read_label_map(param.label_map_file)
        missing = [label for label in labels if label not in self._names]
        if missing:
            raise DataError(f"{param.label_map_file}: there is no name for label {missing[0]}")
        self._images = read_name_sizes(param.name_size_file)
        if param.num_test_image > len(self._images):
            raise DataError(f"save_output_param: num_test_image is {param.num_test_image}, but "
                            f"{param.name_size_file} lists {len(self._images)} images")
        self._resize = param.resize_param if param.HasField("resize_param") else None
        self._count = param.num_test_image or len(self._images)
        self._next = 0
        self._found: list[_Found] = []

    def add(self, detections: Tensor, images: int) -> None:
        """Takes the detections (D, 7) of a batch of images: image, label, confidence, box."""
        rows = detections.detach().cpu()
        for number in range(images):
            own = rows[(rows[:, 0] == number) & (rows[:, 1] >= 0)]
            self._found += _on(self._images[self._next], own, self._resize)
            self._next += 1
            if self._next == self._count:
                self._write()
                self._next, self._found = 0, []

    def _write(self) -> None:
        folder, prefix = self._param.output_directory, self._param.output_name_prefix
        write = {"VOC": self._write_voc, "COCO": self._write_coco,
                 "ILSVRC": self._write_ilsvrc}[self._param.output_format]
        try:
            os.makedirs(folder, exist_ok=True)
            write(os.path.join(folder, prefix))
        except OSError as error:
            raise DataError(f"{error.filename or folder}: cannot be written: "
                            f"{error.strerror}") from None

    def _write_voc(self, stem: str) -> None:
        for label in self._labels:
            with atomic_open(f"{stem}{self._names[label]}.txt") as file:
                file.writelines(f"{one.image} {one.score:g} {_corners(one)}\n"
                                for one in self._found if one.label == label)

    def _write_ilsvrc(self, stem: str) -> None:
        with atomic_open(f"{stem}.txt") as file:
            file.writelines(f"{one.image} {one.label} {one.score:g} {_corners(one)}\n"
                            for one in self._found)

    def _write_coco(self, stem: str) -> None:
        found = [{"image_id": _number(one.image), "category_id": _number(self._names[one.label]),
                  "bbox": [n / 100 for n in one.box], "score": one.score} for one in self._found]
        with atomic_open(f"{stem}.json") as file:
            json.dump(found, file, indent=1)
            file.write("\n")


def _on(image: NamedSize, rows: Tensor, resize: ResizeParameter | None) -> list[_Found]:
    boxes = on_image(rows[:, 3:], image.height, image.width, resize).double()
    boxes[:, 2:] -= boxes[:, :2]
    return [_Found(image.name, int(row[1]), float(row[2]), _hundredths(box.tolist()))
            for row, box in zip(rows, boxes)]


def _hundredths(box: Sequence[float]) -> tuple[int, int, int, int]:
    x, y, width, height = (math.floor(pixels * 100 + 0.5) for pixels in box)
    return x, y, width, height


def _corners(found: _Found) -> str:
    """The box as whole pixels, as the original cuts them."""
    x, y, width, height = (n // 100 for n in found.box)
    return f"{x} {y} {x + width} {y + height}"


def _number(word: str) -> int | float | str:
    """COCO's numbers of images and categories are no strings."""
    match = _NUMBER.fullmatch(word)
    return word if match is None else float(word) if match[1] else int(word)

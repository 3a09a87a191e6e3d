"""Files of detections that grow with every picture: what was found is there, whatever comes next.

    detections.json        a list with an entry per picture or frame
    detections.csv         a line per box: image, frame, x1, y1, x2, y2, class, score
    detections_coco.json   COCO's list of results, for the images in detections_coco_images.json
    labels/NAME.txt        YOLO's lines, class, centre and size as shares of the picture, score;
                           the classes, from 0, are in labels/classes.txt

Boxes of the first two are inclusive pixels of the upright picture.
"""
import contextlib
import csv
import io
import json
import os
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np

from caffe.core.errors import UserError
from faster_rcnn.boxes.geometry import centres_and_sizes
from faster_rcnn.demo.shots import Shot
from faster_rcnn.detectors.box import Box
from faster_rcnn.files.atomic import write_text

# Names of files that are no text in UTF-8 are written as JSON escapes them: \udce4
ESCAPED = "backslashreplace"


class OutputError(UserError, OSError):
    """A place that results cannot be written to; the message names it."""


def unwritable(path: str, error: OSError) -> OutputError:
    """The OutputError of a file or folder."""
    return OutputError(f"{path} cannot be written ({error.strerror or error}); --out FOLDER names "
                       "another place")


class Output(Protocol):
    """Something that is written of every picture."""

    def add(self, shot: Shot, boxes: Sequence[Box]) -> None:
        """Takes the boxes of a picture or frame that was read."""

    def close(self) -> list[str]:
        """Finishes the files; returns their paths."""


class GrowingFile:
    """A file that is whole after each part that is added, also where there is no room for one.

    head, tail: what stands before the parts and behind them. OutputError where it cannot grow.
    """

    def __init__(self, path: str, head: bytes = b"", tail: bytes = b"") -> None:
        self.path, self._tail = path, tail
        try:
            self._file = open(path, "wb", buffering=0)
        except OSError as error:
            raise unwritable(path, error) from None
        self._end = 0
        self.add(head)

    def add(self, part: bytes) -> None:
        """Appends a part."""
        try:
            self._write(part + self._tail)
        except OSError as error:
            with contextlib.suppress(OSError):
                self._file.truncate(self._end)
                self._write(self._tail)
            raise unwritable(self.path, error) from None
        self._end += len(part)

    def _write(self, content: bytes) -> None:
        """Writes behind the parts that are there; short writes go on where they ended."""
        self._file.seek(self._end)
        while content:
            content = content[self._file.write(content):]

    def close(self) -> None:
        self._file.close()


class GrowingJson:
    """A file with a list of JSON values that is whole after each of them."""

    def __init__(self, path: str, head: str = "[", tail: str = "]") -> None:
        self._file = GrowingFile(path, head.encode(), f"\n{tail}\n".encode())
        self.path, self._comma = path, b""

    def add(self, value: Any) -> None:
        """Appends a value."""
        text = json.dumps(value, ensure_ascii=False)
        self._file.add(self._comma + b"\n" + text.encode("utf-8", ESCAPED))
        self._comma = b","

    def close(self) -> None:
        self._file.close()


class JsonOutput:
    """detections.json."""

    def __init__(self, folder: str, _classes: Sequence[str]) -> None:
        self._json = GrowingJson(os.path.join(folder, "detections.json"))

    def add(self, shot: Shot, boxes: Sequence[Box]) -> None:
        """Appends the entry of a picture."""
        self._json.add(as_entry(shot, boxes))

    def close(self) -> list[str]:
        """Closes the file."""
        self._json.close()
        return [self._json.path]


def as_entry(shot: Shot, boxes: Sequence[Box]) -> dict[str, Any]:
    """What detections.json says of a picture."""
    height, width = _size(shot)
    entry: dict[str, Any] = {"image": shot.source, "height": height, "width": width}
    if shot.frame is not None:
        entry |= {"frame": shot.frame, "seconds": round(shot.seconds, 3)}
    if shot.orientation != 1:
        entry["orientation"] = shot.orientation
    entry["detections"] = [{"class": box.name, "score": round(box.score, 4),
                            "box": [round(value, 1) for value in box.corners]} for box in boxes]
    return entry


class CsvOutput:
    """detections.csv."""

    def __init__(self, folder: str, _classes: Sequence[str]) -> None:
        self._file = GrowingFile(os.path.join(folder, "detections.csv"))
        self._write([("image", "frame", "x1", "y1", "x2", "y2", "class", "score")])

    def add(self, shot: Shot, boxes: Sequence[Box]) -> None:
        """Appends a line per box."""
        frame = "" if shot.frame is None else shot.frame
        self._write([(shot.source, frame, *(round(value, 1) for value in box.corners), box.name,
                      round(box.score, 4)) for box in boxes])

    def close(self) -> list[str]:
        """Closes the file."""
        self._file.close()
        return [self._file.path]

    def _write(self, rows: Sequence[Sequence[Any]]) -> None:
        text = io.StringIO(newline="")
        csv.writer(text).writerows(rows)
        self._file.add(text.getvalue().encode("utf-8", ESCAPED))


class CocoOutput:
    """detections_coco.json and detections_coco_images.json; images are numbered from 1."""

    def __init__(self, folder: str, classes: Sequence[str]) -> None:
        categories = json.dumps([{"id": number, "name": name}
                                 for number, name in enumerate(classes, 1)], ensure_ascii=False)
        self._results = GrowingJson(os.path.join(folder, "detections_coco.json"))
        self._images = GrowingJson(os.path.join(folder, "detections_coco_images.json"),
                                   f'{{"categories": {categories},\n"images": [', "]}")
        self._count = 0

    def add(self, shot: Shot, boxes: Sequence[Box]) -> None:
        """Appends the image and its boxes: x, y, width, height."""
        self._count += 1
        height, width = _size(shot)
        image = {"id": self._count, "file_name": shot.source, "height": height, "width": width}
        self._images.add(image if shot.frame is None else image | {"frame": shot.frame})
        for box, (_, _, wide, high) in zip(boxes, _centred(boxes)):
            self._results.add({"image_id": self._count, "category_id": box.class_index,
                               "bbox": [round(float(value), 2)
                                        for value in (box.x1, box.y1, wide, high)],
                               "score": round(box.score, 4)})

    def close(self) -> list[str]:
        """Closes the files."""
        for file in (self._results, self._images):
            file.close()
        return [self._results.path, self._images.path]


class YoloOutput:
    """labels/NAME.txt, of a frame labels/NAME_000012.txt."""

    def __init__(self, folder: str, classes: Sequence[str]) -> None:
        self._folder = os.path.join(folder, "labels")
        os.makedirs(self._folder, exist_ok=True)
        write_text(os.path.join(self._folder, "classes.txt"), "".join(f"{c}\n" for c in classes))

    def add(self, shot: Shot, boxes: Sequence[Box]) -> None:
        """Writes the file of a picture, empty where nothing was found."""
        height, width = _size(shot)
        shares = _centred(boxes) / (width, height, width, height)
        lines = [" ".join([str(box.class_index - 1), *(f"{value:.6f}" for value in row),
                           f"{box.score:.4f}"]) for box, row in zip(boxes, shares)]
        name = shot.name if shot.frame is None else f"{shot.name}_{shot.frame:06d}"
        write_text(os.path.join(self._folder, name + ".txt"), "".join(f"{s}\n" for s in lines))

    def close(self) -> list[str]:
        """Names the folder."""
        return [self._folder]


OUTPUTS: dict[str, Callable[[str, Sequence[str]], Output]] = {
    "json": JsonOutput, "csv": CsvOutput, "coco": CocoOutput, "yolo": YoloOutput}


def _size(shot: Shot) -> tuple[int, int]:
    """Height and width."""
    if shot.im is None:
        raise ValueError(f"{shot.source} was not read")
    return shot.im.shape[0], shot.im.shape[1]


def _centred(boxes: Sequence[Box]) -> np.ndarray:
    """Centre x, centre y, width, height of boxes, (N, 4)."""
    corners = np.array([box.corners for box in boxes], np.float64).reshape(-1, 4)
    return np.stack(centres_and_sizes(corners), axis=1)

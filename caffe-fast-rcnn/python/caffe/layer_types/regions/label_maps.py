"""SSD's text files about a data set: the names of the labels, the names and sizes of the images."""
from typing import NamedTuple

from caffe.core.errors import DataError, PrototxtError
from caffe.core.regular_files import open_regular
from caffe.files.prototxt import parse, read_text
from caffe.proto import caffe_pb2


class NamedSize(NamedTuple):
    """A line "name height width" of a name_size_file."""

    name: str
    height: int
    width: int


def read_label_map(path: str) -> dict[int, str]:
    """{label: name} of a LabelMap file, such as labelmap_voc.prototxt. Raises DataError."""
    try:
        items = parse(read_text(path), caffe_pb2.LabelMap(), path).item
    except PrototxtError as problem:
        raise DataError(f"label map: {problem}") from None
    names: dict[int, str] = {}
    for item in items:
        if not item.name or not item.HasField("label"):
            raise DataError(f"{path}: expected items with a name and a label, got "
                            f"{{ {' '.join(str(item).split())} }}")
        if item.label in names:
            raise DataError(f"{path}: the label {item.label} has two names, {names[item.label]} "
                            f"and {item.name}")
        names[item.label] = item.name
    if not names:
        raise DataError(f"{path}: there are no items here; is this a label map?")
    return names


def read_name_sizes(path: str) -> list[NamedSize]:
    """The lines "name height width" of a file, in their order. Raises DataError."""
    try:
        with open_regular(path, "r", encoding="utf-8", errors="surrogateescape") as file:
            lines = [(number, line.split()) for number, line in enumerate(file, 1)]
    except OSError as error:
        raise DataError(f"{path}: the list of names and sizes cannot be read: "
                        f"{error.strerror}") from None
    sizes = [_named_size(words, f"{path}:{number}") for number, words in lines if words]
    if not sizes:
        raise DataError(f"{path}: the list of names and sizes is empty")
    return sizes


def _named_size(words: list[str], where: str) -> NamedSize:
    try:
        name, height, width = words
        size = NamedSize(name, int(height), int(width))
    except ValueError:
        size = None
    if size is None or min(size.height, size.width) < 1:
        raise DataError(f'{where}: expected "name height width", got "{" ".join(words)}"')
    return size

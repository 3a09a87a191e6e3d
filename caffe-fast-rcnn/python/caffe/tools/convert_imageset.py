"""Images of a list into a database of Datums (Caffe: tools/convert_imageset.cpp)."""
import logging
import os
import sys
from collections.abc import Sequence
from typing import NamedTuple

import cv2

from caffe.core import state
from caffe.core.errors import DataError
from caffe.files.databases import new_database
from caffe.files.images import image_datum, read_bytes, read_image, read_image_list
from caffe.proto import caffe_pb2
from caffe.proto.caffe_pb2 import Datum
from caffe.tools.command import Flags, UsageError, run_tool

USAGE = """usage: convert_imageset [FLAGS] ROOTFOLDER/ LISTFILE DB_NAME

Writes the images of LISTFILE (lines "image label") to a new database; ROOTFOLDER/ is put before
each name. Images that cannot be read are named and left out.

  -gray                 one channel instead of three [false]
  -shuffle              in a random order [false]
  -backend NAME         lmdb or leveldb [lmdb]
  -resize_width N       resize to this width (0: keep the size) [0]
  -resize_height N      and height [0]
  -check_size           all images must have the same size [false]
  -encoded              keep the images compressed [false]
  -encode_type NAME     how: png, jpg, ... (implies -encoded) [as each file's name says]"""
FLAGS = {"gray": False, "shuffle": False, "backend": "lmdb", "resize_width": 0,
         "resize_height": 0, "check_size": False, "encoded": False, "encode_type": ""}
REPORT_EVERY = 1000
log = logging.getLogger("caffe")


class ImagesetOptions(NamedTuple):
    """How images become Datums; encoding: "" for plain values, "." for the file's own."""

    color: bool
    size: tuple         # height and width, 0 to keep them
    encoding: str


def convert(flags: Flags, words: list[str]) -> None:
    """Writes the database."""
    root_folder, list_file, name = words
    images = read_image_list(list_file)
    if flags["shuffle"]:
        log.info("Shuffling data")
        state.new_generator().shuffle(images)
    log.info("A total of %d images.", len(images))
    options = _options(flags)
    count, values = 0, None
    with new_database(name, flags["backend"]) as database:
        for number, image in enumerate(images):
            try:
                datum = make_datum(root_folder + image.name, image.label, options)
            except DataError as problem:
                log.error("%s: %s; left out", image.where, problem)
                continue
            values = len(datum.data) if values is None else values
            if flags["check_size"] and len(datum.data) != values:
                raise DataError(f"{image.where}: image {root_folder}{image.name} has "
                                f"{len(datum.data)} values, those before it {values}")
            database.put(os.fsencode(f"{number:08d}_{image.name}"), datum.SerializeToString())
            count += 1
            if count % REPORT_EVERY == 0:
                log.info("Processed %d files.", count)
        if not count:
            raise DataError(f"{list_file}: none of the {len(images)} images can be read")
    if count % REPORT_EVERY:
        log.info("Processed %d files.", count)


def _options(flags: Flags) -> ImagesetOptions:
    size = max(0, flags["resize_height"]), max(0, flags["resize_width"])
    if any(size) and not all(size):
        raise UsageError("give both -resize_height and -resize_width, or neither")
    encode_type = _extension("image." + flags["encode_type"].lstrip("."))
    if encode_type and not flags["encoded"]:
        log.info("encode_type specified, assuming encoded=true.")
    if encode_type and not cv2.haveImageWriter("image." + encode_type):
        raise UsageError(f'-encode_type: OpenCV cannot write "{encode_type}"; use png or jpg')
    encoding = encode_type or ("." if flags["encoded"] else "")
    return ImagesetOptions(not flags["gray"], size, encoding)


def make_datum(path: str, label: int, options: ImagesetOptions) -> Datum:
    """The Datum of an image file. A file that needs no change is kept byte for byte if encoded."""
    if not options.encoding:
        return image_datum(read_image(path, options.size, options.color), label)
    own = _extension(path)
    encoding = own if options.encoding == "." else options.encoding
    if not encoding:
        raise DataError(f"image {path}: its name does not say how to encode it; give -encode_type")
    image = read_image(path, options.size, options.color)
    if own == encoding and not any(options.size) and _has_color(path) == options.color:
        data = read_bytes(path)
    else:
        if not cv2.haveImageWriter("image." + encoding):
            raise DataError(f"image {path}: OpenCV cannot write {encoding}; give -encode_type")
        data = cv2.imencode("." + encoding, image)[1]
    return caffe_pb2.Datum(data=data.tobytes(), label=label, encoded=True)


def _extension(path: str) -> str:
    """The form that a file's name tells: "jpg", "png", ..., or ""."""
    own = os.path.splitext(path)[1].lower().lstrip(".")
    return "jpg" if own == "jpeg" else own


def _has_color(path: str) -> bool:
    return read_image(path, color=None).shape[2] == 3


def main(argv: Sequence[str]) -> int:
    """The tool; returns the exit status."""
    return run_tool(convert, argv, USAGE, FLAGS, (3, 3))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

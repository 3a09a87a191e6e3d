"""The mean image of a database (Caffe: tools/compute_image_mean.cpp)."""
import logging
import sys
from collections.abc import Sequence

import numpy as np

from caffe.core.errors import DataError
from caffe.core.types import FilePath
from caffe.files.databases import open_database
from caffe.files.images import datum_image, read_datum
from caffe.files.weights import write_binaryproto
from caffe.tools.command import Flags, run_tool

USAGE = """usage: compute_image_mean [FLAGS] INPUT_DB [OUTPUT_FILE]

Computes the mean of all images of a database, which must have one size. Logs the mean of each
channel, and writes the mean image to OUTPUT_FILE (a .binaryproto, for mean_file).

  -backend NAME         lmdb or leveldb [lmdb]"""
FLAGS = {"backend": "lmdb"}
REPORT_EVERY = 10000
log = logging.getLogger("caffe")


def mean_image(source: FilePath, backend: str) -> np.ndarray:
    """The mean of all images of a database, (C, H, W) float32."""
    total, count = None, 0
    for key, value in open_database(source, backend).items():
        where, datum = read_datum(source, key, value)
        image = datum_image(datum, None, where)
        if total is None:
            total = np.zeros(image.shape)
        if image.shape != total.shape:
            raise DataError(f"{where} has an image of shape {image.shape}, those before it "
                            f"{total.shape} (channels, height, width)")
        total += image
        count += 1
        if count % REPORT_EVERY == 0:
            log.info("Processed %d files.", count)
    if total is None:
        raise DataError(f"{source}: the database has no records")
    if count % REPORT_EVERY:
        log.info("Processed %d files.", count)
    return (total / count).astype(np.float32)


def compute(flags: Flags, words: list[str]) -> None:
    """Computes, writes and logs the mean."""
    mean = mean_image(words[0], flags["backend"])
    for path in words[1:]:
        log.info("Write to %s", path)
        write_binaryproto(path, mean[np.newaxis])
    log.info("Number of channels: %d", len(mean))
    for channel, value in enumerate(mean.mean(axis=(1, 2), dtype=np.float64)):
        log.info("mean_value channel [%d]: %.6g", channel, value)


def main(argv: Sequence[str]) -> int:
    """The tool; returns the exit status."""
    return run_tool(compute, argv, USAGE, FLAGS, (1, 2))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

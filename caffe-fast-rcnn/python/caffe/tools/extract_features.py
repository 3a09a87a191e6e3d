"""Blobs of a net into databases of Datums (Caffe: tools/extract_features.cpp)."""
import contextlib
import logging
import sys
from collections.abc import Sequence
from typing import Any

from caffe.core import state
from caffe.core.blob import Blob
from caffe.core.errors import suggest
from caffe.files.databases import new_database
from caffe.nets.net import Net
from caffe.proto import caffe_pb2
from caffe.tools.command import Flags, UsageError, run_tool

USAGE = """usage: extract_features WEIGHTS NET BLOB[,BLOB...] DATABASE[,DATABASE...] BATCHES BACKEND
                        [CPU|GPU] [DEVICE_ID]

Runs the net (in phase TEST, with a data layer of its own) BATCHES times and writes each blob's
items to its database, as Datums of floats under the keys 0000000000, 0000000001, ...

  WEIGHTS, NET          .caffemodel and prototxt
  BACKEND               lmdb or leveldb
  DEVICE_ID             number of the GPU [0]"""
REPORT_EVERY = 1000
log = logging.getLogger("caffe")


def extract(_: Flags, words: list[str]) -> None:
    """Writes the databases."""
    weights, prototxt, blobs, databases, batches, backend, *device = words
    names, paths = blobs.split(","), databases.split(",")
    if len(names) != len(paths):
        raise UsageError(f"expected a database for each blob, got {len(names)} blobs and "
                         f"{len(paths)} databases")
    if not batches.isdigit():
        raise UsageError(f'expected the number of batches, got "{batches}"')
    _use_device(*device)
    log.info("Extracting Features")
    net = Net(prototxt, state.TEST, weights=weights)
    for name in names:
        if name not in net.blobs:
            raise UsageError(f'the net {prototxt} has no blob "{name}"{suggest(name, net.blobs)}')
    with contextlib.ExitStack() as stack:
        for path in paths:
            log.info("Opening dataset %s", path)
        writers = [stack.enter_context(new_database(path, backend.lower())) for path in paths]
        counts = [0] * len(names)
        for _batch in range(int(batches)):
            net.run_forward(record=False)
            for i, (name, writer) in enumerate(zip(names, writers)):
                counts[i] = _write_items(net.blobs[name], name, writer, counts[i])
    for name, count in zip(names, counts):
        if count % REPORT_EVERY:
            log.info("Extracted features of %d query images for feature blob %s", count, name)
    log.info("Successfully extracted the features!")


def _use_device(mode: str = "CPU", device_id: str = "0") -> None:
    if mode not in ("CPU", "GPU") or not device_id.isdigit():
        raise UsageError(f"expected CPU or GPU and the number of the GPU, got {mode} {device_id}")
    if mode == "CPU":
        log.info("Using CPU")
        state.set_mode_cpu()
        return
    log.info("Using Device_id=%s", device_id)
    state.set_device(int(device_id))
    state.set_mode_gpu()


def _write_items(blob: Blob, name: str, writer: Any, count: int) -> int:
    """Writes the items of a blob under the numbers from `count` on; returns the next number."""
    for item in blob.data.reshape(blob.num, -1):
        datum = caffe_pb2.Datum(channels=blob.channels, height=blob.height, width=blob.width,
                                float_data=item)
        writer.put(b"%010d" % count, datum.SerializeToString())
        count += 1
        if count % REPORT_EVERY == 0:
            log.info("Extracted features of %d query images for feature blob %s", count, name)
    return count


def main(argv: Sequence[str]) -> int:
    """The tool; returns the exit status."""
    return run_tool(extract, argv, USAGE, {}, (6, 8))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Weights of NVIDIA's Caffe: values as bytes (raw_data) of a type, often float16."""
import numpy as np
import pytest

from caffe.core.errors import WeightsError
from caffe.files import weights, wire

TYPES = {0: "<f8", 1: "<f4", 2: "<f2", 3: "<i4", 4: "<u4"}


def raw_blob(array, raw_type, shape=None):
    """BlobProto: shape = 7, raw_data_type = 10, raw_data = 12."""
    dims = b"".join(wire.varint(d) for d in (shape or array.shape))
    return [*wire.sized(7, wire.sized(1, dims)), wire.integer(10, raw_type),
            *wire.sized(12, array.tobytes())]


def write(path, *blobs):
    layer = wire.text(1, "conv") + wire.text(2, "Convolution")
    for blob in blobs:
        layer += wire.sized(7, blob)
    path.write_bytes(b"".join(bytes(part) for part in wire.sized(100, layer)))


@pytest.mark.parametrize("raw_type", TYPES)
def test_every_type(tmp_path, raw_type):
    array = np.arange(6).reshape(2, 3).astype(TYPES[raw_type])
    write(tmp_path / "w", raw_blob(array, raw_type), raw_blob(array[0], raw_type))
    weight, bias = weights.read_weights(tmp_path / "w")["conv"]
    assert weight.dtype == np.float32 and weight.tolist() == [[0, 1, 2], [3, 4, 5]]
    assert bias.tolist() == [0, 1, 2]


def test_halves_are_rounded_as_they_are_stored(tmp_path):
    write(tmp_path / "w", raw_blob(np.float16([0.1, 65504, -1e-7]), 2))
    [found] = weights.read_weights(tmp_path / "w")["conv"]
    assert found.tolist() == np.float16([0.1, 65504, -1e-7]).astype(np.float32).tolist()


@pytest.mark.parametrize("blob, says", [
    (raw_blob(np.float16([1, 2]), 2, (3,)), "a blob of shape .3,. has 2 values"),
    (raw_blob(np.uint8([1, 2, 3]), 2, (3,)), "3 bytes are no whole number of values"),
    (raw_blob(np.uint8([1]), 5), "raw_data of type 5")])
def test_damaged(tmp_path, blob, says):
    write(tmp_path / "w", blob)
    with pytest.raises(WeightsError, match=says):
        weights.read_weights(tmp_path / "w")

"""Writing of ONNX models, whole or not at all; large weights go to a file beside."""
import os
from typing import Any

import onnx

from caffe.core.types import FilePath
from caffe.files.atomic import replacing, write_bytes

LARGEST_MESSAGE = 2000 << 20    # bytes; protobuf's limit is 2 GB
_ALIGNMENT = 4096               # of arrays in the file beside, so that programs can map them
_SMALLEST = 1 << 10             # bytes of an array that is worth moving there


def write_onnx(model: onnx.ModelProto, path: FilePath) -> list[str]:
    """Writes a model; returns the paths of its files.

    Weights that are too much for one protobuf message go to "<path>.data" (ONNX's external data),
    which must stay beside the model; they leave the ModelProto then.
    """
    path = os.fspath(path)
    if model.ByteSize() < LARGEST_MESSAGE:
        write_bytes(path, model.SerializeToString())
        return [path]
    beside = path + ".data"
    with replacing(beside) as partial, open(partial, "wb") as file:
        for tensor in model.graph.initializer:
            if len(tensor.raw_data) >= _SMALLEST:
                _move(tensor, file, os.path.basename(beside))
    write_bytes(path, model.SerializeToString())
    onnx.checker.check_model(path)
    return [path, beside]


def _move(tensor: onnx.TensorProto, file: Any, name: str) -> None:
    """Moves a tensor's numbers to the end of a file, whose name will be `name`."""
    file.write(bytes(-file.tell() % _ALIGNMENT))
    entries = {"location": name, "offset": file.tell(), "length": len(tensor.raw_data)}
    file.write(tensor.raw_data)
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    for key, value in entries.items():
        tensor.external_data.add(key=key, value=str(value))

"""Prototxt files: read, checked and brought to the current form (Caffe: util/upgrade_proto.cpp).

    net = read_net("models/zf/test.prototxt")        # NetParameter, V2 layers only
    solver = read_solver("models/zf/solver.prototxt")

What protobuf refuses becomes a PrototxtError of one line, `file:line:column: what is wrong`, with
the nearest known name where a name is unknown.
"""
import os

from google.protobuf import text_format
from google.protobuf.message import Message

from caffe.core.errors import PrototxtError
from caffe.core.regular_files import open_regular
from caffe.core.types import FilePath
from caffe.files.proto_text import as_python, parse_error
from caffe.files.upgrade import upgrade_net, upgrade_solver
from caffe.proto import caffe_pb2 as pb
from caffe.proto.caffe_pb2 import NetParameter, SolverParameter

_BYTE_ORDER_MARKS = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16", b"\xef\xbb\xbf": "utf-8-sig"}


def read_net(path: FilePath) -> NetParameter:
    """The NetParameter in a file, upgraded to the current form.

    Files of every age are understood: V0 (`layers { layer { ... } }`), V1 (`layers`, enum types),
    `input:` with `input_dim:` or `input_shape`. Raises PrototxtError.
    """
    return read_net_text(read_text(path), origin=str(path))


def read_net_text(text: str, origin: str = "<text>") -> NetParameter:
    """As `read_net`, from a string; `origin` stands for the file name in messages."""
    return upgrade_net(parse(text, pb.NetParameter(), origin), origin)


def read_solver(path: FilePath) -> SolverParameter:
    """The SolverParameter in a file, with the legacy `solver_type` turned into `type`.

    As in Caffe 1.0 a missing `snapshot_prefix` becomes the solver file's own name without the
    extension, and one that is a folder gets that name appended. Raises PrototxtError.
    """
    solver = read_solver_text(read_text(path), origin=str(path))
    own_name = os.path.splitext(str(path))[0]
    if not solver.HasField("snapshot_prefix"):
        solver.snapshot_prefix = own_name
    elif os.path.isdir(solver.snapshot_prefix):
        solver.snapshot_prefix = os.path.join(solver.snapshot_prefix, os.path.basename(own_name))
    return solver


def read_solver_text(text: str, origin: str = "<text>") -> SolverParameter:
    """As `read_solver`, from a string; `snapshot_prefix` stays as it is written."""
    return upgrade_solver(parse(text, pb.SolverParameter(), origin), origin)


def parse(text: str, message: Message, origin: str = "<text>") -> Message:
    """Fills any message of caffe.proto from protobuf text and returns it. No upgrade.

    Unknown fields, a field given twice and missing required fields are PrototxtErrors.
    """
    try:
        text_format.Parse(as_python(text), message)
    except text_format.ParseError as error:
        raise parse_error(error, text, origin) from None
    missing = message.FindInitializationErrors()
    if missing:
        raise PrototxtError(f"{origin}: required fields are missing: {', '.join(missing)}")
    return message


def read_text(path: FilePath) -> str:
    """The text of a prototxt file: UTF-8, UTF-16 with a mark, else Latin-1; any line ends."""
    try:
        with open_regular(path) as file:
            data = file.read()
    except OSError as error:
        raise PrototxtError(f"{path}: cannot be read: {error.strerror}") from None
    encoding = next((name for mark, name in _BYTE_ORDER_MARKS.items() if data.startswith(mark)),
                    "utf-8")
    if b"\0" in data and encoding != "utf-16":
        raise PrototxtError(f"{path}: this is a binary file, not a prototxt "
                            "(are the prototxt and the weights in each other's place?)")
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError:
        text = data.decode("latin-1")
    return text.replace("\r\n", "\n").replace("\r", "\n")

"""Prototxt files: read, checked and brought to the current form (Caffe: util/upgrade_proto.cpp).

    net = read_net("models/zf/test.prototxt")        # NetParameter, V2 layers only
    solver = read_solver("models/zf/solver.prototxt")

What protobuf refuses becomes a PrototxtError of one line, `file:line:column: what is wrong`, with
the nearest known name where a name is unknown.
"""
import os
import re

from google.protobuf import text_format
from google.protobuf.message import Message

from caffe.core.errors import PrototxtError, suggest
from caffe.core.types import FilePath
from caffe.files.upgrade import upgrade_net, upgrade_solver
from caffe.proto import caffe_pb2 as pb
from caffe.proto.caffe_pb2 import NetParameter, SolverParameter

_UNKNOWN_FIELD = re.compile(r'Message type "caffe\.(\w+)" has no field named "(\w+)"')
_UNKNOWN_VALUE = re.compile(r'Enum type "([\w.]+)" has no value named (\w+)')
# A comment, a string in either quotes, a line end, or a bracket.
_SYNTAX = re.compile(r'#[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'|\n|[{}<>]')
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
        text_format.Parse(text, message)
    except text_format.ParseError as error:
        raise PrototxtError(_one_line(error, text, origin)) from None
    missing = message.FindInitializationErrors()
    if missing:
        raise PrototxtError(f"{origin}: required fields are missing: {', '.join(missing)}")
    return message


def read_text(path: FilePath) -> str:
    """The text of a prototxt file: UTF-8, UTF-16 with a mark, else Latin-1; any line ends."""
    try:
        with open(path, "rb") as file:
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


def _one_line(error: text_format.ParseError, text: str, origin: str) -> str:
    """protobuf's ParseError as `origin:line:column: sentence (help)`."""
    line, column = error.GetLine() or 1, error.GetColumn() or 1
    sentence = re.sub(r"^\d+:\d+\s*:\s*", "", str(error)).replace("\n", " ").strip().rstrip(".")
    unknown_field, unknown_value = _UNKNOWN_FIELD.search(sentence), _UNKNOWN_VALUE.search(sentence)
    if unknown_field:
        message, field = unknown_field.groups()
        sentence = f'{message} has no field "{field}"'
        sentence += suggest(field, pb.DESCRIPTOR.message_types_by_name[message].fields_by_name)
    elif unknown_value:
        enum, value = unknown_value.groups()
        known = _enum_values(enum)
        sentence = f'{enum.split(".")[-1]} has no value "{value}"{suggest(value, known)}'
        sentence += f"; known values: {', '.join(known)}"
    return f"{origin}:{line}:{column}: {sentence}{_unclosed_block(text)}"


def _enum_values(full_name: str) -> list[str]:
    """Names of the values of `caffe.Phase` or `caffe.PoolingParameter.PoolMethod`."""
    scope = pb.DESCRIPTOR
    *messages, enum = full_name.split(".")[1:]
    for message in messages:
        scope = scope.message_types_by_name[message] if scope is pb.DESCRIPTOR \
            else scope.nested_types_by_name[message]
    return list(scope.enum_types_by_name[enum].values_by_name)


def _unclosed_block(text: str) -> str:
    """'; the block opened in line N is never closed' when a bracket is left open, or ''."""
    opened, line = [], 1
    for token in _SYNTAX.findall(text):
        if token == "\n":
            line += 1
        elif token in "{<":
            opened.append(line)
        elif token in "}>" and opened:
            opened.pop()
    return f"; the block opened in line {opened[-1]} is never closed" if opened else ""

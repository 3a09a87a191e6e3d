"""Protobuf's text format as C++ reads it, and its errors as one line with a hint.

Python's parser is stricter than the C++ one that Caffe uses. `as_python` rewrites what only C++
takes; positions in the text stay (almost) the same, so that errors name the right place.
"""
import re

from google.protobuf import text_format

from caffe.core.errors import PrototxtError, suggest
from caffe.proto import caffe_pb2 as pb

_COMMENT_OR_STRING = r'#[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\''
_SYNTAX = re.compile(_COMMENT_OR_STRING + r"|\n|[{}<>]")
# not inside a word or a number, nor the exponent of one
_START = r"(?<![\w.])(?<![eE][-+])"
_CPP_ONLY = re.compile(rf"(?P<kept>{_COMMENT_OR_STRING})"
                       rf"|{_START}-(?P<gap>(?:\s|#[^\n]*\n)+)(?=[\w.])"
                       rf"|{_START}(?P<integer>0[xX][0-9a-fA-F]+|0[0-7]+)(?![\w.])")
_SHOWN_LINE = re.compile(r"^'.*': (?=[A-Z])", re.DOTALL)       # protobuf repeats the line
_UNKNOWN_FIELD = re.compile(r'Message type "caffe\.(\w+)" has no field named "(\w+)"')
_UNKNOWN_VALUE = re.compile(r'Enum type "([\w.]+)" has no value named "?([^"]*)')
_NO_EXTENSION = re.compile(r'Message type "caffe\.(\w+)" does not have extensions')
# fields of the old form (layers { ... }) and how they are written in a layer { ... }
_OLD_FIELDS = {"blobs_lr": "param { lr_mult: ... }", "weight_decay": "param { decay_mult: ... }",
               "blob_share_mode": "param { share_mode: ... }", "layer": "no inner layer { ... }"}


def as_python(text: str) -> str:
    """The text without the liberties of C++: a sign apart from its number (`- 5E-1`), and
    hexadecimal or octal integers where a float or a bool is expected.
    """
    return _CPP_ONLY.sub(_rewritten, text)


def _rewritten(match: re.Match) -> str:
    if match["kept"] is not None:
        return match["kept"]
    if match["gap"] is not None:
        return match["gap"] + "-"
    digits = match["integer"]
    base = 16 if digits[1] in "xX" else 8
    return str(int(digits, base)).ljust(len(digits))


def parse_error(error: text_format.ParseError, text: str, origin: str) -> PrototxtError:
    """protobuf's ParseError as `origin:line:column: sentence (help)`."""
    line, column = error.GetLine() or 1, error.GetColumn() or 1
    sentence = re.sub(r"^\d+:\d+\s*:\s*", "", str(error))
    sentence = " ".join(_SHOWN_LINE.sub("", sentence).split()).rstrip(".")
    return PrototxtError(f"{origin}:{line}:{column}: {_explained(sentence)}{_unclosed_block(text)}")


def _explained(sentence: str) -> str:
    """protobuf's sentence in the words of prototxts, with the nearest known name."""
    unknown_field, unknown_value = _UNKNOWN_FIELD.search(sentence), _UNKNOWN_VALUE.search(sentence)
    if unknown_field:
        message, field = unknown_field.groups()
        if message == "LayerParameter" and field in _OLD_FIELDS:
            return (f'a layer {{ ... }} has no field "{field}", which belongs to the old form '
                    f"(layers {{ ... }}); write {_OLD_FIELDS[field]}")
        known = pb.DESCRIPTOR.message_types_by_name[message].fields_by_name
        return f'{message} has no field "{field}"{suggest(field, known)}'
    if unknown_value:
        enum, value = unknown_value.groups()
        if enum.startswith("caffe.V1LayerParameter.") and not value.isupper():
            return (f'type "{value}" in a block of the old form (layers); write layer '
                    f'{{ type: "{value}" ... }}')
        names = _enum_values(enum)
        return (f'{enum.split(".")[-1]} has no value "{value}"{suggest(value, names)}; known '
                f"values: {', '.join(names)}")
    if extended := _NO_EXTENSION.search(sentence):
        return f"{extended[1]} has no extensions; [name] in brackets is not a field"
    return sentence


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

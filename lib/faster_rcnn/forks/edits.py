"""Changes of a text, and where the nodes of its syntax tree stand in it."""
import re
from typing import Any, NamedTuple

from caffe.core.errors import UserError


class ModernizeError(UserError):
    """A file that is not Python, even after the edits; the message says where."""


class Edit(NamedTuple):
    """A part of a text, from `begin` to `end`, and what takes its place."""

    begin: int
    end: int
    text: str


def applied(source: str, edits: list[Edit]) -> str:
    """The text with edits, which do not overlap; the same edit counts once."""
    for begin, end, text in sorted(set(edits), reverse=True):
        source = source[:begin] + text + source[end:]
    return source


def line_starts(source: str) -> list[int]:
    """The index of the first character of each line."""
    return [0, *(match.end() for match in re.finditer("\n", source))]


class Places:
    """Where the nodes of a syntax tree stand in its text; ast counts columns in UTF-8 bytes."""

    def __init__(self, source: str) -> None:
        self.source, self._starts = source, line_starts(source)
        self._lines = source.split("\n")

    def at(self, line: int, column: int) -> int:
        """The index of a position that ast gives."""
        before = self._lines[line - 1].encode()[:column].decode()
        return self._starts[line - 1] + len(before)

    def begin(self, node: Any) -> int:
        """The index of a node's first character."""
        return self.at(node.lineno, node.col_offset)

    def end(self, node: Any) -> int:
        """The index behind a node's last character."""
        return self.at(node.end_lineno, node.end_col_offset)

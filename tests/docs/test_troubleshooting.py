"""Every message that docs/troubleshooting.md quotes is one that the programs print."""
import ast
import re

import pytest
from sources import ROOT

PAGE = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
SOURCES = ("lib", "tools", "caffe-fast-rcnn/python")
# The first cells of the tables that are messages, not symptoms in words
MESSAGES = re.findall(r"^\| `(.+?)` \|", PAGE, re.M)


def texts() -> str:
    """All texts of the programs, each f-string with ... where its values stand, and the Makefile.
    """
    found = [(ROOT / "Makefile").read_text(encoding="utf-8")]
    for folder in SOURCES:
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.JoinedStr):
                    found.append("".join(part.value if isinstance(part, ast.Constant) else "..."
                                         for part in node.values))
                elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                    found.append(node.value)
    return "\n".join(found)


@pytest.fixture(scope="module")
def printed():
    return texts()


def test_the_page_quotes_messages():
    assert len(MESSAGES) > 25


@pytest.mark.parametrize("message", MESSAGES)
def test_a_quoted_message_is_in_the_source(printed, message):
    parts = message.split("...")
    assert max(map(len, parts)) > 12
    for part in parts:
        assert part.strip() in printed, f"no program prints {part.strip()!r}"

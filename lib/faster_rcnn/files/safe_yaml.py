"""YAML without code: plain data, and `!!python/tuple`, which published prototxts have.

A text is measured before its values are made: aliases (*name) may stand for any number of values.
"""
import re
from collections.abc import Iterator
from typing import Any

import yaml

from caffe.core.errors import UserError

# Settings and cards have some hundreds of values; PyYAML reads some 20,000 in a second
MAX_CHARACTERS, MAX_VALUES = 4 << 20, 20_000


class YamlError(UserError, ValueError):
    """Text that is not YAML; the message starts with file, line and column."""


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader, and tuples; 1e-3 is a number, as in YAML 1.2."""

    composed = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        """A node, unless there are too many."""
        self.composed += 1
        if self.composed > MAX_VALUES:
            raise _TooMany
        return super().compose_node(parent, index)


class _TooMany(Exception):
    """More than MAX_VALUES."""


def _tuple(loader: yaml.SafeLoader, node: Any) -> tuple:
    return tuple(loader.construct_sequence(node, deep=True))


_Loader.add_constructor("tag:yaml.org,2002:python/tuple", _tuple)
_Loader.add_implicit_resolver("tag:yaml.org,2002:float",
                              re.compile(r"^[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+$"),
                              list("-+0123456789"))


def load(text: str, origin: str = "YAML text") -> Any:
    """The value of a YAML text; YamlError `origin:line:column: ...` when it is not YAML."""
    return _read(text, origin)[1]


def key_lines(text: str, origin: str = "YAML text") -> dict[str, int]:
    """Line numbers (from 1) of the keys of nested mappings, by dotted path: {"TRAIN.SCALES": 3}."""
    return dict(_walk(_read(text, origin)[0], ""))


def _read(text: str, origin: str) -> tuple[yaml.Node | None, Any]:
    """The node of a YAML text and its value."""
    if len(text) > MAX_CHARACTERS:
        raise YamlError(f"{origin}: {len(text)} characters, which is more than the limit of "
                        f"{MAX_CHARACTERS}")
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        if node is None:
            return None, None
        if _count(node, {}, origin) > MAX_VALUES:
            raise _TooMany
        return node, loader.construct_document(node)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{origin}:{mark.line + 1}:{mark.column + 1}" if mark else origin
        words = " ".join(str(getattr(error, "problem", None) or error).split())
        raise YamlError(f"{where}: {words}") from None
    except _TooMany:
        raise YamlError(f"{origin}: more than {MAX_VALUES} values, which is the limit (aliases "
                        "count as what they stand for)") from None
    except RecursionError:
        raise YamlError(f"{origin}: values are nested too deeply") from None
    except YamlError:
        raise
    # what PyYAML's constructors raise for tags and dates that make no sense
    except (ValueError, LookupError, TypeError, AttributeError, OverflowError) as error:
        raise YamlError(f"{origin}: a value that cannot be read ({error})") from None


def _count(node: yaml.Node, counts: dict[int, int], origin: str) -> int:
    """Number of values that a node stands for, with aliases expanded.

    counts: of the nodes that were counted, by id; 0 for those in which this one lies.
    """
    key = id(node)
    if key not in counts:
        counts[key] = 0
        children = ([child for pair in node.value for child in pair]
                    if isinstance(node, yaml.MappingNode) else
                    node.value if isinstance(node, yaml.SequenceNode) else ())
        counts[key] = 1 + sum(_count(child, counts, origin) for child in children)
    elif not counts[key]:
        raise YamlError(f"{origin}:{node.start_mark.line + 1}:{node.start_mark.column + 1}: a "
                        "value that contains itself")
    return counts[key]


def _walk(node: yaml.Node | None, prefix: str) -> Iterator[tuple[str, int]]:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            path = f"{prefix}{key.value}"
            yield path, key.start_mark.line + 1
            yield from _walk(value, path + ".")

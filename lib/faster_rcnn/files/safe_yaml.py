"""YAML without code: plain data, and `!!python/tuple`, which published prototxts carry."""
import re
from collections.abc import Callable, Iterator

import yaml

from caffe.core.errors import UserError


class YamlError(UserError, ValueError):
    """Text that is not YAML; the message starts with file, line and column."""


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader, and tuples; 1e-3 is a number, as in YAML 1.2."""


_Loader.add_constructor("tag:yaml.org,2002:python/tuple",
                        lambda loader, node: tuple(loader.construct_sequence(node, deep=True)))
_Loader.add_implicit_resolver("tag:yaml.org,2002:float",
                              re.compile(r"^[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+$"),
                              list("-+0123456789"))


def load(text: str, origin: str = "YAML text") -> object:
    """The value of a YAML text; YamlError `origin:line:column: ...` when it is not YAML."""
    return _read(origin, lambda: yaml.load(text, _Loader))


def key_lines(text: str, origin: str = "YAML text") -> dict[str, int]:
    """Line numbers (from 1) of the keys of nested mappings, by dotted path: {"TRAIN.SCALES": 3}."""
    return dict(_walk(_read(origin, lambda: yaml.compose(text, _Loader)), ""))


def _read(origin: str, read: Callable[[], object]) -> object:
    try:
        return read()
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{origin}:{mark.line + 1}:{mark.column + 1}" if mark else origin
        raise YamlError(f"{where}: {getattr(error, 'problem', None) or error}") from None


def _walk(node: yaml.Node, prefix: str) -> Iterator[tuple[str, int]]:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            path = f"{prefix}{key.value}"
            yield path, key.start_mark.line + 1
            yield from _walk(value, path + ".")

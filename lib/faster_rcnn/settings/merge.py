"""Strict merging of options into a tree of defaults: keys must exist, values keep the kind."""
import ast
import logging
from collections.abc import Callable, Iterator
from numbers import Integral, Real
from typing import Any

import numpy as np

from caffe.core.errors import UserError, nearest
from faster_rcnn.settings.fork_keys import FORK_KEYS, value_here

log = logging.getLogger(__name__)


class ConfigKeyError(UserError, KeyError):
    """A key that the tree does not have."""

    def __str__(self) -> str:
        return self.args[0]


class ConfigValueError(UserError, ValueError):
    """A value of another kind than the default's, or options that are no KEY VALUE pairs."""


def merge(options: dict, tree: dict, where: Callable[[str], str]) -> None:
    """Assigns the nested dict `options` into `tree`, after all of it was checked.

    where: function from a dotted path ("TRAIN.SCALES") to the option's place, for messages.
    A list replaces a tuple and a tuple a list (the default's type stays), a whole number a
    fraction; an empty section (None) changes nothing. Keys of other projects that have no effect
    here (fork_keys.py) are warned of.
    Raises ConfigKeyError (with the nearest known key) or ConfigValueError, with `tree` unchanged.
    """
    accepted = list(_checked(options, tree, tree, "", where))
    for table, key, value in accepted:
        table[key] = value


def nested(key: str, text: Any, tree: dict) -> dict[str, Any]:
    """The options {"TRAIN": {"SCALES": [400, 500]}} of the key "TRAIN.SCALES" and a text.

    Texts are Python literals. One that is no literal is the value itself, and so is every text for
    an option whose value in `tree` is a text.
    """
    *sections, name = key.split(".")
    table: Any = tree
    for section in sections:
        table = table.get(section) if isinstance(table, dict) else None
    is_text = isinstance(table, dict) and isinstance(table.get(name), str)
    options = {name: text if is_text else _literal(text)}
    for section in reversed(sections):
        options = {section: options}
    return options


def restore(tree: dict, saved: dict) -> None:
    """Makes `tree` equal to its earlier deep copy `saved`; its sections stay the same objects."""
    for key in set(tree) - set(saved):
        tree.pop(key)
    for key, value in saved.items():
        if isinstance(value, dict) and isinstance(tree.get(key), dict):
            restore(tree[key], value)
        else:
            tree[key] = value


def _checked(options: dict, table: dict, tree: dict, prefix: str,
             where: Callable[[str], str]) -> Iterator[tuple[dict, str, Any]]:
    """Yields (table, key, value) for every option, its value in the default's kind."""
    for key, value in options.items():
        path = f"{prefix}{key}"
        if path in FORK_KEYS and key not in table:
            log.warning("%s: %s has no effect here: %s", where(path), path, FORK_KEYS[path])
            continue
        if key not in table:
            raise ConfigKeyError(f"{where(path)}: {path} is not a valid config key"
                                 f"{_nearest(path, table, tree)}")
        default = table[key]
        if not isinstance(default, dict):
            try:
                yield table, key, _like(value_here(path, value), default)
            except ValueError as error:
                raise ConfigValueError(f"{where(path)}: {path} must be {error}") from None
        elif isinstance(value, dict):
            yield from _checked(value, default, tree, path + ".", where)
        elif value is not None:
            raise ConfigValueError(f"{where(path)}: {path} is a section of options, not a value; "
                                   f"received {_shown(value)}")


def _nearest(path: str, table: dict, tree: dict) -> str:
    """' (did you mean ...?)': the same name elsewhere, or the most similar one of this section."""
    *sections, name = path.split(".")
    close = [known for known in _paths(tree, "") if known.split(".")[-1] == name]
    if not close:
        similar = nearest(name, table)
        close = [".".join([*sections, similar])] if similar else []
    return f" (did you mean {close[0]}?)" if close else ""


def _paths(table: dict, prefix: str) -> Iterator[str]:
    for key, value in table.items():
        yield f"{prefix}{key}"
        if isinstance(value, dict):
            yield from _paths(value, f"{prefix}{key}.")


def _like(value: Any, default: Any) -> Any:
    """`value` in the kind of `default`; ValueError says what would be right."""
    if isinstance(default, np.ndarray):
        return _array_like(value, default)
    if isinstance(default, (tuple, list)) and not default:
        if value == "" or not isinstance(value, str) and _are_numbers(value):
            return type(default)(value)
        raise ValueError(f"a list of numbers, or empty; received {_shown(value)}")
    if isinstance(default, (tuple, list)):
        if not isinstance(value, (tuple, list)) or not value:
            raise ValueError(f"a list such as {list(default)}; received {_shown(value)}")
        return type(default)(_element_like(element, default[0]) for element in value)
    if isinstance(default, bool) or not isinstance(default, Real):
        if isinstance(value, type(default)):
            return value
    elif isinstance(value, (Integral, type(default))) and not isinstance(value, bool):
        number: Any = type(default)
        return number(value)
    kind = {bool: "True or False", int: "a whole number", float: "a number", str: "a text"}
    raise ValueError(f"{kind[type(default)]}; received {_shown(value)}")


def _are_numbers(value: Any) -> bool:
    return isinstance(value, (tuple, list)) and all(
        isinstance(element, Real) and not isinstance(element, bool) for element in value)


def _element_like(value: Any, default: Any) -> Any:
    """Lists of numbers may hold fractions where the default's are whole: TEST.SCALES [600.5]."""
    return value if isinstance(value, float) and isinstance(default, int) else _like(value, default)


def _array_like(value: Any, default: np.ndarray) -> np.ndarray:
    try:
        return np.array(value, default.dtype).reshape(default.shape)
    except (TypeError, ValueError):
        raise ValueError(f"{default.size} numbers; received {_shown(value)}") from None


def _shown(value: Any) -> str:
    return f"{value!r} ({type(value).__name__})"


def _literal(text: Any) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError):
        return text

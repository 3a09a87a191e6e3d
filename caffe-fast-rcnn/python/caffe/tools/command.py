"""What the tools share: flags in gflags' forms, one-line errors, exit statuses."""
import sys
from collections.abc import Callable, Sequence
from typing import Any

from caffe.core.errors import CaffeError, UserError, suggest, user_code_line
from caffe.core.logs import init_log
from caffe.core.packages import advice

Flags = dict[str, Any]      # name of a flag -> its value
_TRUE, _FALSE = ("true", "t", "yes", "y", "1"), ("false", "f", "no", "n", "0")


class UsageError(CaffeError):
    """A command line that cannot be understood."""


def parse_flags(argv: Sequence[str], defaults: Flags) -> tuple[Flags, list[str]]:
    """(flags, other words) of a command line; flags: a dict like `defaults`, of the same types.

    gflags' forms: -flag value, --flag value, --flag=value; --flag and --noflag for true or false;
    words after "--" are not flags. Raises UsageError.
    """
    flags, rest = dict(defaults), list(argv)
    words: list[str] = []
    while rest:
        word = rest.pop(0)
        if word == "--":
            return flags, words + rest
        if not word.startswith("-") or word == "-":
            words.append(word)
            continue
        name, equals, value = word.lstrip("-").partition("=")
        if name.startswith("no") and isinstance(defaults.get(name[2:]), bool) and not equals:
            flags[name[2:]] = False
        elif name not in defaults:
            raise UsageError(f"unknown flag {word}{suggest(name, defaults)}; known: "
                             f"{', '.join('-' + known for known in defaults)}")
        elif isinstance(defaults[name], bool):
            flags[name] = _truth(word, value) if equals else True
        else:
            if not equals and not rest:
                raise UsageError(f"the flag {word} needs a value")
            flags[name] = _value(name, value if equals else rest.pop(0), defaults[name])
    return flags, words


def _truth(word: str, value: str) -> bool:
    if value.lower() not in (*_TRUE, *_FALSE):
        raise UsageError(f"{word}: expected true or false")
    return value.lower() in _TRUE


def _value(name: str, text: str, default: Any) -> Any:
    try:
        return type(default)(text)
    except ValueError:
        raise UsageError(f'-{name}: expected a whole number, got "{text}"') from None


def run_tool(work: Callable[[Flags, list[str]], object], argv: Sequence[str], usage: str,
             defaults: Flags, arguments: tuple[int, int]) -> int:
    """Runs work(flags, words); returns the exit status: 0, 1 after the usage, 2 with one line.

    arguments: (least, most) number of words. Without any argument, with too few or too many words
    and for -help the usage is shown, as gflags does.
    """
    init_log()
    if {"-help", "--help", "-h"} & set(argv):
        print(usage)
        return 0
    try:
        flags, words = parse_flags(argv, defaults)
    except UsageError as error:
        return _failed(error)
    if not arguments[0] <= len(words) <= arguments[1]:
        print(usage, file=sys.stderr)
        return 1
    return status_of(work, flags, words)


def status_of(work: Callable[..., object], *arguments: Any) -> int:
    """Runs work(*arguments); returns the exit status: 0, 2 after one line, 130 after Ctrl-C."""
    try:
        work(*arguments)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except Exception as error:
        line = _user_line(error)
        if line is None:
            raise
        return _failed(line)
    return 0


def _user_line(error: Exception) -> str | None:
    """The line to show for a mistake of the user's; None for one of ours."""
    if isinstance(error, ModuleNotFoundError) and error.name and advice(error.name):
        return advice(error.name)
    if isinstance(error, UserError):
        return "; ".join([str(error), *getattr(error, "__notes__", ())])
    if isinstance(error, OSError) and not user_code_line(error):
        return f"{error.filename or 'a file'}: {error.strerror or error}"
    return user_code_line(error)


def _failed(error: object) -> int:
    print("error: " + " ".join(str(error).split()), file=sys.stderr)
    return 2

"""Types of options: which texts they take, and what these become."""
import argparse
import math
from collections.abc import Callable, Iterable

Number = Callable[[str], float]     # int or float


def device_word(text: str) -> int | str:
    """The type of --gpu: a whole number, "cpu" or "auto"."""
    if text.lower() in ("cpu", "auto"):
        return text.lower()
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f'"{text}" is neither the number of a GPU nor cpu or auto')
    return int(text)


def side_and_cap(text: str) -> tuple[int, int | None]:
    """The type of --scale: "480" or "480,800" -> (side, cap or None)."""
    numbers = text.split(",")
    if len(numbers) > 2 or not all(n.strip().isdecimal() and int(n) > 0 for n in numbers):
        raise argparse.ArgumentTypeError(f'"{text}" is not SIDE or SIDE,CAP in pixels')
    return int(numbers[0]), int(numbers[1]) if len(numbers) > 1 else None


def per_step(kind: Number, count: int) -> Callable[[str], tuple[float, ...]]:
    """The type of options with a value per training step: "a,b,c,d", or "a" for all of them."""
    def parse_values(text: str) -> tuple[float, ...]:
        try:
            values = tuple(kind(part) for part in text.split(","))
        except ValueError:
            values = ()
        if len(values) not in (1, count) or not all(_is_positive(value) for value in values):
            words = {4: "four", 5: "five"}[count]
            raise argparse.ArgumentTypeError(
                f'"{text}" is not one positive number or {words}, separated by commas')
        return values * count if len(values) == 1 else values
    return parse_values


def numbers(kind: Number) -> Callable[[str], tuple[float, ...]]:
    """The type of options with one or several positive numbers: "a" or "a,b,c,d"."""
    def parse_numbers(text: str) -> tuple[float, ...]:
        return tuple(positive(kind)(part) for part in text.split(","))
    return parse_numbers


def positive(kind: Number) -> Callable[[str], float]:
    """The type of options with one positive number."""
    def parse_positive(text: str) -> float:
        try:
            value = kind(text)
        except ValueError:
            value = 0
        if not _is_positive(value):
            raise argparse.ArgumentTypeError(f'"{text}" is not a positive number')
        return value
    return parse_positive


def count(text: str) -> int:
    """The type of options with a whole number, 0 or greater."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f'"{text}" is not a whole number, 0 or greater')
    return int(text)


def share(text: str) -> float:
    """The type of options with a number from 0 to 1: scores, overlaps."""
    value = number(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f'"{text}" is not a number from 0 to 1')
    return value


def number(text: str) -> float:
    """The type of options with any number, infinite ones included."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if math.isnan(value):
        raise argparse.ArgumentTypeError(f'"{text}" is not a number')
    return value


def words_of(known: Iterable[str]) -> Callable[[str], tuple[str, ...]]:
    """The type of options with some of the known words, separated by commas."""
    names = tuple(known)

    def parse_words(text: str) -> tuple[str, ...]:
        words = tuple(word.strip() for word in text.split(","))
        wrong = [word for word in words if word not in names]
        if wrong:
            raise argparse.ArgumentTypeError(f'"{wrong[0]}" is unknown; there are: '
                                             f"{', '.join(names)}")
        return tuple(dict.fromkeys(words))
    return parse_words


def flag(text: str) -> bool:
    """The type of --wait: the words for no are false, all others true."""
    return text.strip().lower() not in ("", "0", "no", "false", "off")


def _is_positive(value: float) -> bool:
    return 0 < value < math.inf

"""Values that annotation files write in many ways: yes or no, whole numbers."""
import math

_YES = {"true", "yes", "y", "t", "on"}
_NO = {"false", "no", "n", "f", "off", "none", "null", "nil", ""}


def truth(value: object) -> bool | None:
    """A value as yes or no; None when it is neither.

    Numbers are yes when they are not 0, also as texts: 0, 1.0, "0", "0.0"; so are the usual words,
    in any case; nothing (None, "") is no.
    """
    if value is None:
        return False
    if isinstance(value, str):
        word = value.strip().lower()
        if word in _YES or word in _NO:
            return word in _YES
        value = as_number(word)
    if not isinstance(value, (bool, int, float)) or math.isnan(value):
        return None
    return bool(value)


def as_number(text: str) -> float | None:
    """A text as a number; None when it is not one."""
    try:
        return None if "_" in text else float(text)
    except ValueError:
        return None


def json_number(value: object) -> float | None:
    """A number of JSON as a float; None for others, and for more digits than a float can hold."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        return float(value)
    except OverflowError:
        return None


def whole_number(value: object) -> int | None:
    """A value that means a whole number (7, 7.0, "7", "007") as an int; None for others."""
    if isinstance(value, str):
        text = value.strip()
        digits = text.removeprefix("-")
        # more digits than an id of 64 bits has
        return int(text) if digits.isascii() and digits.isdigit() and len(digits) < 20 else None
    if isinstance(value, float) and value.is_integer() and abs(value) < 1 << 53:
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None

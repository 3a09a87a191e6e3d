"""What a Detector is made with, checked: a wrong value is an InputError that names it."""
import math
import re

from caffe.core.errors import InputError
from faster_rcnn.runs.devices import usable_device

_GPU = re.compile(r"(?:cuda|gpu)(?::(\d+))?|(\d+)")


def checked_device(device: object) -> str | int:
    """"cpu" or the number of a GPU, of "auto", "cpu", a number, "cuda", "cuda:1", torch.device."""
    if isinstance(device, int) and not isinstance(device, bool):
        return device
    name = str(device).lower()
    if name == "auto":
        return usable_device()[0]
    found = _GPU.fullmatch(name)
    if found:
        return int(found[1] or found[2] or 0)
    if name != "cpu":
        raise InputError('device must be "auto", "cpu", "cuda" or the number of a GPU, not '
                         f"{device!r}")
    return name


def checked_share(name: str, value: object) -> float:
    """A number from 0 to 1."""
    number = _plain(value)
    if (isinstance(number, bool) or not isinstance(number, (int, float)) or math.isnan(number)
            or not 0 <= number <= 1):
        raise InputError(f"{name} must be a number from 0 to 1, not {value!r}")
    return float(number)


def checked_count(name: str, value: object, least: int) -> int:
    """A whole number."""
    number = _plain(value)
    if isinstance(number, bool) or not isinstance(number, int) or number < least:
        raise InputError(f"{name} must be a whole number, {least} or greater, not {value!r}")
    return number


def _plain(value: object) -> object:
    """The number in a scalar of numpy or PyTorch, None for several; other values as they are."""
    try:
        return value.item() if hasattr(value, "item") else value
    except (ValueError, RuntimeError):      # of several numbers
        return None

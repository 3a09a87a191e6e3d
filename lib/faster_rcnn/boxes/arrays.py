"""One function for numpy arrays and for tensors."""
import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import torch


def tensor_from(array: Any) -> torch.Tensor:
    """A floating point tensor of a numpy array, sharing its memory where possible.

    Integers become float32, those of more than 16 bits float64.
    """
    array = np.asarray(array)
    if array.dtype.kind != "f":
        array = array.astype(np.result_type(array.dtype, np.float32))
    usable = array.flags.writeable and all(stride >= 0 for stride in array.strides)
    return torch.from_numpy(array if usable else array.copy())


def for_arrays(count: int) -> Callable[[Callable[..., torch.Tensor]], Callable[..., Any]]:
    """Decorator: a function of tensors also takes numpy arrays as its first `count` arguments.

    When the first one is a tensor the call goes through untouched; otherwise they become tensors
    and the returned tensor becomes a numpy array.
    """
    def decorate(function: Callable[..., torch.Tensor]) -> Callable[..., Any]:
        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            if isinstance(args[0], torch.Tensor):
                return function(*args, **kwargs)
            tensors = [tensor_from(array) for array in args[:count]]
            return function(*tensors, *args[count:], **kwargs).numpy()
        return call
    return decorate

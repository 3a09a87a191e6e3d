"""Nets of bf16 beside the same nets of float32."""
import contextlib

import numpy as np
import pytest

import caffe
from caffe.core.precision import has_bf16, set_precision

needs_bf16 = pytest.mark.skipif(not has_bf16("cpu"),
                                reason="this processor has no instructions for bf16")
# Each layer rounds its two factors and its result, by 2^-9.3 on average, and Winograd's algorithm
# makes up to four times as much of that: 2^-8 to 4 * 2^-8 in each layer, as a root mean square. The
# errors of layers are independent, so that their squares add up.
UNIT = 4 * 2.0 ** -8


@contextlib.contextmanager
def precision(name, phase=None):
    """caffe.set_precision within a block."""
    before = {each: caffe.precision(each) for each in (caffe.TRAIN, caffe.TEST)}
    set_precision(name, phase)
    try:
        yield
    finally:
        for each, known in before.items():
            set_precision(known, each)


def relative_error(found, exact):
    """Root mean square of the difference, of that of the numbers."""
    difference = np.asarray(found, np.float64) - exact
    return np.sqrt((difference ** 2).mean() / (np.asarray(exact, np.float64) ** 2).mean())


def assert_close(found, exact, depth, name=""):
    """Equal but for the roundings of so many layers."""
    assert found.shape == exact.shape, name
    assert relative_error(found, exact) < UNIT * depth ** 0.5, name

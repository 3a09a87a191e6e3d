"""Whose memory the top of a Dropout layer is in the TEST phase."""
import numpy as np
import pytest
from net_texts import input_layer, layer, net

import caffe

DOUBLE = layer("x", "Power", "data", "x", "power_param { scale: 2 }")


def passed(top):
    a_net = net(input_layer("data", 2, 3), DOUBLE, layer("drop", "Dropout", "x", top),
                phase=caffe.TEST)
    a_net.blobs["data"].data[...] = np.arange(6).reshape(2, 3)
    a_net.forward()
    return a_net


@pytest.mark.parametrize("written, other", [("x", "y"), ("y", "x")])
def test_a_top_of_its_own_has_its_own_memory(written, other):
    a_net = passed("y")
    values = a_net.blobs[other].data
    a_net.blobs[written].data[...] = 77
    np.testing.assert_array_equal(values, 2 * np.arange(6).reshape(2, 3))
    np.testing.assert_array_equal(a_net.blobs[other].data, values)


def test_in_place_nothing_is_copied():
    a_net = passed("x")
    np.testing.assert_array_equal(a_net.blobs["x"].data, 2 * np.arange(6).reshape(2, 3))

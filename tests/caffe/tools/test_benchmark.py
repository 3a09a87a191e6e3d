"""`caffe time`: every layer's gradients are computed, with a loss or without."""
import numpy as np
import pytest
from net_texts import fc, input_layer, layer, net

import caffe
from caffe.tools.benchmark import LayerTimes, run_every_backward


@pytest.mark.parametrize("phase", [caffe.TRAIN, caffe.TEST])
def test_without_a_loss(phase):
    built = net(input_layer("x", 2, 3), fc("a", "x", 4), layer("r", "ReLU", "a", "a"),
                fc("b", "a", 2), layer("p", "Softmax", "b"), phase=phase)
    run_every_backward(built)
    ran = []
    for runner in built._runners:
        if runner.need_backward:
            backward = runner.backward
            runner.backward = lambda name=runner.name, old=backward: (ran.append(name), old())
    times = LayerTimes(built)
    built.run_forward()
    built.run_backward()
    assert ran == ["b", "a"]        # as in Caffe, only the weights have gradients without a loss
    assert all(times.backward[built._layer_names.index(name)] > 0 for name in ran)


def test_gradients_of_zeros_are_computed_like_any_others():
    built = net(input_layer("x", 2, 3), fc("a", "x", 4))
    run_every_backward(built)
    LayerTimes(built)
    built.blobs["x"].data[...] = 1
    built.run_forward()
    weight = built.params["a"][0]
    assert weight.gradient.is_unset
    built.run_backward()
    assert not weight.gradient.is_unset and np.array_equal(weight.diff, np.zeros((4, 3)))

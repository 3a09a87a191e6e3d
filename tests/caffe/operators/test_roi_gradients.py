"""Whether and when ROIAlign's gradient reaches the layers that made the rois."""
import numpy as np
import pytest
from net_texts import input_layer, layer, net
from operator_calls import OperatorCalls

import caffe

HERE = __name__


class Shaped:
    """The top has the shape of the bottom."""

    def reshape(self, bottom, top):
        top[0].reshape(*bottom[0].shape)


class Fixed(Shaped, caffe.TensorLayer):
    """Rois from a blob, as the proposal layer makes them: no gradient passes."""

    def forward(self, boxes):
        return boxes.detach()


class Moving(Shaped, caffe.TensorLayer):
    """The same with the gradient."""

    def forward(self, boxes):
        return boxes * 1


class InNumpy(Shaped, caffe.Layer):
    """The same in the original's way, which may or may not have use for the gradient."""

    def forward(self, bottom, top):
        top[0].data[...] = bottom[0].data

    def backward(self, top, propagate_down, bottom):
        bottom[0].diff[...] = top[0].diff


def detector(maker, between="", rois="rois", options=""):
    """A net whose rois (2, 5) are a learned blob, handed on by the Python layer `maker`."""
    return net(input_layer("features", 1, 1, 6, 7) +
               layer("learned", "Parameter", "", "boxes",
                     "parameter_param { shape { dim: 2 dim: 5 } }") +
               layer("maker", "Python", "boxes", "rois",
                     f"python_param {{ module: '{HERE}' layer: '{maker}' }}") + between +
               f"layer {{ name: 'align' type: 'ROIAlign' bottom: 'features' bottom: '{rois}' "
               "top: 'align' roi_align_param { pooled_h: 2 pooled_w: 2 } " + options + "}" +
               layer("loss", "Reduction", "align", "loss", "loss_weight: 1"))


GRADIENT = "roi_align_rois_backward"


@pytest.fixture
def calls():
    """The calls of the operator that computes the gradient of rois."""
    with OperatorCalls(GRADIENT) as calls:
        yield calls.made


def run(built):
    """The gradient of the learned blob, features being 7 y + x."""
    built.blobs["features"].data[...] = np.arange(42).reshape(1, 1, 6, 7)
    built.params["learned"][0].data[...] = [[0, 0.6, 0.3, 2.2, 1.6], [0, 1.2, 2.3, 4.4, 4.9]]
    built.forward()
    built.backward()
    return built.params["learned"][0].diff


# the sum of four bins: four times half the slope for each corner
SLOPES = [[0, 2, 14, 2, 14]] * 2


@pytest.mark.parametrize("maker", ["Moving", "InNumpy"])
def test_rois_learn_through_their_maker(maker, calls):
    np.testing.assert_allclose(run(detector(maker)), SLOPES, rtol=1e-5)
    assert calls == [GRADIENT]


def test_a_maker_that_passes_nothing_on_costs_nothing(calls):
    built = detector("Fixed")
    assert not run(built).any() and calls == []
    assert not built.blobs["rois"].diff.any()
    # nor does one behind other layers
    reshape = layer("more", "Reshape", "rois", "more", "reshape_param { shape { dim: -1 dim: 5 } }")
    shared = reshape + layer("silence", "Silence", "rois", "")
    for between in (reshape, shared):
        assert not run(detector("Fixed", between, "more")).any() and calls == []
    np.testing.assert_allclose(run(detector("Moving", shared, "more")), SLOPES, rtol=1e-5)


def test_propagate_down_decides(calls):
    built = detector("Moving", options="propagate_down: false propagate_down: false")
    assert not run(built).any() and calls == []
    built = detector("Fixed", options="propagate_down: false propagate_down: true")
    assert not run(built).any() and calls == [GRADIENT]
    np.testing.assert_allclose(built.blobs["rois"].diff, SLOPES, rtol=1e-5)


def test_a_pass_that_was_not_recorded_has_the_same_gradient(calls):
    built = detector("Moving")
    run(built)
    built.params["learned"][0].diff[...] = 0
    built.run_forward(record=False)
    built.backward()
    np.testing.assert_allclose(built.params["learned"][0].diff, SLOPES, rtol=1e-5)
    assert calls == [GRADIENT] * 2

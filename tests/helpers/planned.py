"""Test nets with and without their plan."""
import contextlib

import numpy as np
from net_texts import input_layer, layer, net

import caffe

# Sums in another order, weights multiplied by BatchNorm's factors beforehand, and Winograd's
# algorithm change about 1e-6 of a map's largest value in each layer.
TOLERANCE = 1e-4


@contextlib.contextmanager
def planning(allowed):
    """caffe.set_plan within a block."""
    before = caffe.state.allows_plan()
    caffe.set_plan(allowed)
    try:
        yield
    finally:
        caffe.set_plan(before)


def assert_near(found, expected, name=""):
    """Equal but for TOLERANCE of the largest value."""
    assert found.shape == expected.shape, name
    largest = np.abs(expected).max(initial=0)
    np.testing.assert_allclose(found, expected, rtol=0, atol=TOLERANCE * largest, err_msg=name)


def fill(net, seed=0):
    """Weights of ordinary size; statistics, scales and slopes that change something."""
    random = np.random.RandomState(seed)
    for name, blobs in net.params.items():
        kind = net.layer_dict[name].type
        for i, blob in enumerate(blobs):
            values = random.normal(0, 1, blob.shape)
            if len(blob.shape) > 1:
                values *= (2 / np.prod(blob.shape[1:])) ** 0.5
            elif kind == "BatchNorm":
                values = (0.3 * values, 0.5 + np.abs(values), np.full(blob.shape, 2.0))[i]
            elif kind in ("Scale", "PReLU"):
                values = 1 + 0.3 * values if i == 0 else 0.3 * values
            blob.data[...] = values
    for name in net.inputs:
        net.blobs[name].data[...] = random.normal(0, 1, net.blobs[name].shape)


def unplanned(net):
    """{name: array} of all blobs after a pass layer by layer."""
    with planning(False):
        net.forward()
        return {name: blob.data.copy() for name, blob in net.blobs.items()}


def outputs(net):
    """{name: array} of the outputs after a pass, copied."""
    return {name: array.copy() for name, array in net.forward().items()}


def assert_same(net, expected, names=None):
    """The net's blobs, read one by one, are those of `unplanned`."""
    for name in names or expected:
        assert_near(net.blobs[name].data, expected[name], name)


def is_planned(net):
    """Whether the last pass was planned with a chain of layers."""
    return any(len(step.chain.layers) > 1 for step in net._planner._chains.values())


def conv(name, bottom, outputs=8, rest="", top=None):
    """A Convolution, 3 x 3 with pad 1."""
    return layer(name, "Convolution", bottom, top,
                 f"convolution_param {{ num_output: {outputs} kernel_size: 3 pad: 1 {rest} }}")


# All that a plan fuses, every blob with a name of its own: conv, bn, scale, sum are hidden.
RESIDUAL = (input_layer("data", 2, 3, 9, 11) + conv("first", "data")
            + layer("relu0", "ReLU", "first", "first") + conv("conv", "first")
            + layer("bn", "BatchNorm", "conv")
            + layer("scale", "Scale", "bn", None, "scale_param { bias_term: true }")
            + layer("sum", "Eltwise", "scale first") + layer("relu", "ReLU", "sum")
            + layer("drop", "Dropout", "relu", "relu")
            + layer("fc", "InnerProduct", "relu", None, "inner_product_param { num_output: 5 }")
            + layer("relu5", "ReLU", "fc", "fc") + layer("prob", "Softmax", "fc"))
HIDDEN = ("conv", "bn", "scale", "sum")


def training_and_test_net():
    """A net that learns, and a test net that shares its weights."""
    text = (input_layer("data", 4, 3) + input_layer("target", 4, 2)
            + layer("fc", "InnerProduct", "data", None, "inner_product_param { num_output: 2 "
                    'weight_filler { type: "gaussian" std: 1 } }'))
    train = net(text + layer("loss", "EuclideanLoss", "fc target"))
    test = net(text + layer("tanh", "TanH", "fc"), phase=caffe.TEST)
    fill(train)
    test.share_with(train)
    for made in (train, test):
        made.blobs["data"].data[...] = np.arange(12).reshape(4, 3) / 5
    return train, test

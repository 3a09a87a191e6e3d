"""Other people's pycaffe scripts run as they are: images that gradients have drawn.

Each test is written as its users write; small random nets stand in for the published weights.
"""
import numpy as np
import pytest
from google.protobuf import text_format
from net_texts import CLASSIFIER, conv, input_layer, layer

import caffe
from caffe.proto import caffe_pb2

pytestmark = pytest.mark.usefixtures("seeds")


def test_deep_dream(saved):
    model, weights = saved(CLASSIFIER)
    message = caffe_pb2.NetParameter()
    with open(model) as file:
        text_format.Merge(file.read(), message)
    message.force_backward = True
    with open(model, "w") as file:
        file.write(str(message))
    net = caffe.Classifier(model, weights, mean=np.float32([104.0, 116.0, 122.0]),
                           channel_swap=(2, 1, 0))

    def objective_L2(dst):
        dst.diff[:] = dst.data

    def make_step(net, step_size=1.5, end="conv2", jitter=3):
        src = net.blobs["data"]
        dst = net.blobs[end]
        ox, oy = np.random.randint(-jitter, jitter + 1, 2)
        src.data[0] = np.roll(np.roll(src.data[0], ox, -1), oy, -2)
        net.forward(end=end)
        objective_L2(dst)
        net.backward(start=end)
        g = src.diff[0]
        src.data[:] += step_size / np.abs(g).mean() * g
        src.data[0] = np.roll(np.roll(src.data[0], -ox, -1), -oy, -2)
        bias = net.transformer.mean["data"]
        src.data[:] = np.clip(src.data, -bias, 255 - bias)

    src = net.blobs["data"]
    src.reshape(1, 3, 14, 18)       # an octave has a size of its own
    src.data[0] = np.random.rand(3, 14, 18) * 20 - 10
    net.forward(end="conv2")
    before = np.square(net.blobs["conv2"].data).mean()
    for _ in range(10):
        make_step(net)
    net.forward(end="conv2")
    assert np.square(net.blobs["conv2"].data).mean() > 2 * before


def test_style_transfer(saved):
    """Gram matrices' gradients go into diffs by hand, layer after layer, down to the image."""
    model, weights = saved(
        'name: "features" force_backward: true ' + input_layer("data", 1, 3, 9, 9)
        + conv("conv1", "data", 6) + layer("relu1", "ReLU", "conv1")
        + layer("pool1", "Pooling", "relu1", None, "pooling_param { kernel_size: 2 stride: 2 }")
        + conv("conv2", "pool1", 8) + layer("relu2", "ReLU", "conv2"))
    net = caffe.Net(model, weights, caffe.TEST)
    net.blobs["data"].reshape(1, 3, 12, 12)
    net.reshape()
    layers = list(net._layer_names)
    style = ["relu1", "relu2"]

    def grams(image):
        net.blobs["data"].data[0] = image
        net.forward(end="relu2")
        return {name: _gram(net.blobs[name].data[0]) for name in style}

    def _gram(features):
        flat = features.reshape(len(features), -1)
        return flat @ flat.T / flat.shape[1]

    target = grams(np.random.rand(3, 12, 12))
    image = np.random.rand(3, 12, 12)

    def loss_and_gradient(image):
        G, loss = grams(image), 0
        for name in style:
            net.blobs[name].diff[:] = 0
        for i, name in reversed(list(enumerate(style))):
            E = G[name] - target[name]
            loss += np.square(E).sum() / 4
            flat = net.blobs[name].data[0].reshape(len(E), -1)
            g = (E @ flat / flat.shape[1]).reshape(net.blobs[name].data[0].shape)
            net.blobs[name].diff[0] += g
            above = style[i - 1] if i else None
            net.backward(start=name, end=None if above is None else layers[
                layers.index(above) + 1])
        return loss, net.blobs["data"].diff[0].astype(float).copy()

    _, gradient = loss_and_gradient(image)
    steepness = np.linalg.norm(gradient)
    up, down = (loss_and_gradient(image + sign * 1e-2 * gradient / steepness)[0]
                for sign in (1, -1))
    assert steepness == pytest.approx((up - down) / 2e-2, rel=0.02)

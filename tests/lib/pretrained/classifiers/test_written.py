"""Classifiers of torchvision whose nets are written with their weights have their own numbers."""
import numpy as np
import pytest
import torch
from torch_classifiers import (
    AlexNet,
    BasicResNet,
    GoogLeNet,
    MobileNetV2,
    SqueezeNet11,
    Vgg,
)
from torch_nets import ResNet, randomized

import caffe
from faster_rcnn.pretrained.families import convert
from faster_rcnn.pretrained.reading.checkpoints import CheckpointError
from faster_rcnn.pretrained.reading.input_scale import fold_scale

NETS = {
    "AlexNet": (AlexNet, 224), "VGG-11": (lambda: Vgg((1, 1, 2, 2, 2), False), 224),
    "VGG-13": (lambda: Vgg((2, 2, 2, 2, 2), False), 224),
    "VGG-16": (lambda: Vgg((2, 2, 3, 3, 3), True), 224),
    "VGG_ILSVRC_16_layers": (lambda: Vgg((2, 2, 3, 3, 3), False), 230),
    "VGG-19": (lambda: Vgg((2, 2, 4, 4, 4), True), 224),
    "ResNet-18": (lambda: BasicResNet((2, 2, 2, 2)), 75),
    "ResNet-34": (lambda: BasicResNet((3, 4, 6, 3)), 75), "ResNet-50": (ResNet, 75),
    "ResNet-101": (lambda: ResNet((3, 4, 23, 3)), 75), "SqueezeNet1.1": (SqueezeNet11, 101),
    "MobileNetV2": (MobileNetV2, 90), "GoogLeNet": (GoogLeNet, 107)}


@pytest.mark.parametrize("name", NETS)
def test_equal_scores(name):
    make, side = NETS[name]
    module = randomized(make())
    imported = convert(module.state_dict(), {})
    assert imported.net == name
    data = np.random.default_rng(2).standard_normal((1, 3, side, side)).astype(np.float32)
    net = caffe.Net(imported.message, caffe.TEST)
    assert {*net.params} == {name for name, *_ in imported.layers}
    for layer, _, arrays in imported.layers:
        for blob, array in zip(net.params[layer], arrays, strict=True):
            assert blob.shape == array.shape
            blob.data[...] = array
    net.blobs["data"].reshape(*data.shape)
    net.blobs["data"].data[...] = data
    with torch.no_grad():
        wanted = module(torch.from_numpy(data)).numpy()
    [(_, scores)] = net.forward().items()
    np.testing.assert_allclose(scores.reshape(wanted.shape), wanted, rtol=1e-3,
                               atol=1e-4 * np.abs(wanted).max())
    first = next(arrays for layer, _, arrays in imported.layers if layer == imported.first)
    assert fold_scale(first[0]).shape == first[0].shape     # on a picture's channels


@pytest.mark.parametrize("module, says", [
    (Vgg((1, 1, 1, 1, 1), False), "a VGG with 5 convolutions; known: 8, 10, 13, 16"),
    (BasicResNet((1, 1, 1, 1)), r"\(1, 1, 1, 1\) blocks of two convolutions")])
def test_other_sizes(module, says):
    with pytest.raises(CheckpointError, match=says):
        convert(module.state_dict(), {})

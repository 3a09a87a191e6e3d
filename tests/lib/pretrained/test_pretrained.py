"""Imported nets give the activations of the nets that their checkpoints come from."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F
from torch_nets import (
    ResNet,
    SimpleFasterRcnn,
    SqueezeNet,
    Vgg16,
    caffe_detector,
    caffe_resnet50,
    caffe_vgg16,
    randomized,
)

import caffe
from caffe.files import prototxt
from faster_rcnn.anchors.grid import AnchorGrid, map_to_rows
from faster_rcnn.boxes.transform import bbox_transform_inv
from faster_rcnn.pretrained.classifiers import torchvision_nets
from faster_rcnn.pretrained.classifiers.geometry import adapt_geometry
from faster_rcnn.pretrained.detectors import simple_faster_rcnn
from faster_rcnn.pretrained.families import convert
from faster_rcnn.pretrained.fitting import fit_to_net
from faster_rcnn.pretrained.reading import input_scale
from faster_rcnn.pretrained.reading.checkpoints import CheckpointError
from faster_rcnn.settings.config import cfg

SQUEEZENET = f"{cfg.ROOT_DIR}/models/imagenet/SqueezeNet/deploy.prototxt"


def picture(height, width):
    """(H, W, 3) uint8, blue green red."""
    return np.random.default_rng(5).integers(0, 256, (height, width, 3), dtype=np.uint8)


def torchvision_input(im):
    rgb = torch.from_numpy(im[:, :, ::-1].copy()).permute(2, 0, 1)[None].float() / 255
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (input_scale.TORCHVISION_MEAN,
                                                            input_scale.TORCHVISION_STD))
    return (rgb - mean) / std


def loaded_net(message, module, im):
    """The Caffe net with the module's imported weights, and our input in place."""
    imported = convert(module.state_dict(), {})
    for name, _, arrays in imported.layers:
        if name == imported.first:
            arrays[0] = input_scale.fold_scale(arrays[0])
    adapt_geometry(message, imported.family)
    net = caffe.Net(message, caffe.TEST)
    assert fit_to_net(imported, net) == []
    for name, _, arrays in imported.layers:
        for blob, array in zip(net.params[name], arrays, strict=True):
            blob.data[...] = array
    net.blobs["data"].reshape(1, 3, *im.shape[:2])
    net.blobs["data"].data[0] = (im - input_scale.pixel_means()).transpose(2, 0, 1)
    return net


@pytest.mark.parametrize("module, message, size", [
    (Vgg16, caffe_vgg16, (64, 64)), (ResNet, caffe_resnet50, (64, 64)),
    (ResNet, caffe_resnet50, (75, 98)),
    (SqueezeNet, lambda: prototxt.read_net(SQUEEZENET), (99, 120))])
def test_equal_activations(module, message, size):
    module, im = randomized(module()), picture(*size)
    net = loaded_net(message(), module, im)
    with torch.no_grad():
        expected = module(torchvision_input(im)).numpy()
        of_another = module(torchvision_input(im[::-1])).numpy()
    assert np.abs(of_another - expected).max() > 0.02 * np.abs(expected).max()
    answer = next(iter(net.forward().values()))
    np.testing.assert_allclose(answer.reshape(expected.shape), expected, rtol=1e-3,
                               atol=1e-4 * np.abs(expected).max())


def test_folding_is_exact_at_the_border_too():
    conv, im = randomized(torch.nn.Conv2d(3, 4, 3, padding=2)), picture(9, 7)
    ours = torch.from_numpy(im - input_scale.pixel_means()).permute(2, 0, 1)[None].float()
    with torch.no_grad():
        folded = torch.from_numpy(input_scale.fold_scale(conv.weight.numpy()))
        expected = conv(torchvision_input(im))
        torch.testing.assert_close(F.conv2d(ours, folded, conv.bias, padding=2), expected,
                                   rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("shape", [(4, 1, 3, 3), (4, 4, 3, 3), (4, 3), ()])
def test_only_inputs_of_three_colours_are_changed(shape):
    with pytest.raises(CheckpointError, match="only inputs of three colours"):
        input_scale.fold_scale(np.ones(shape, np.float32))


def test_names_of_the_deep_resnets():
    assert [torchvision_nets.block_letter(50, 3, i) for i in (0, 5)] == ["a", "f"]
    assert [torchvision_nets.block_letter(101, 3, i) for i in (0, 1, 22)] == ["a", "b1", "b22"]
    assert torchvision_nets.block_letter(101, 2, 3) == "b3"
    assert torchvision_nets.block_letter(152, 1, 2) == "c"
    layers = [name for name, *_ in convert(ResNet((3, 4, 23, 3)).state_dict(), {}).layers]
    assert len(layers) == 3 * 104 + 1
    assert {"bn4b22_branch2c", "scale3b3_branch2a", "res5c_branch2b", "res4a_branch1"} <= {*layers}


def test_geometry_that_fits_already_is_left_alone():
    message = caffe_resnet50()
    assert len(adapt_geometry(message, "resnet")) == 4 and adapt_geometry(message, "resnet") == []


# -- simple-faster-rcnn-pytorch


def their_anchors(height, width):
    """(H * W * A, 4) y1, x1, y2, x2, after ChainerCV's generate_anchor_base."""
    base = [[8 - h / 2, 8 - w / 2, 8 + h / 2, 8 + w / 2]
            for ratio in (0.5, 1, 2) for scale in (8, 16, 32)
            for h, w in [(16 * scale * ratio ** 0.5, 16 * scale * (1 / ratio) ** 0.5)]]
    shifts = [[16 * y, 16 * x] * 2 for y in range(height) for x in range(width)]
    return (np.array(shifts)[:, None] + np.array(base)[None]).reshape(-1, 4)


def their_boxes(anchors, loc):
    """(R, 4) x1, y1, x2, y2 of loc (R, 4) dy, dx, dh, dw."""
    sizes = anchors[:, 2:] - anchors[:, :2]
    centres = anchors[:, :2] + sizes / 2 + loc[:, :2] * sizes
    halves = sizes * np.exp(loc[:, 2:]) / 2
    return np.concatenate([centres - halves, centres + halves], 1)[:, [1, 0, 3, 2]]


@pytest.mark.parametrize("use_drop", [False, True])
def test_joint_detector(use_drop):
    module, im = randomized(SimpleFasterRcnn(use_drop)), picture(64, 80)
    net = loaded_net(caffe_detector(), module, im)
    generator = np.random.default_rng(1)
    pool5 = generator.standard_normal((5, 8, 7, 7)).astype(np.float32)
    net.blobs["pool5"].reshape(*pool5.shape)
    net.blobs["pool5"].data[...] = pool5
    net.forward()
    with torch.no_grad():
        x = module.rpn.conv1(module.extractor(torchvision_input(im))).relu()
        scores = module.rpn.score(x).permute(0, 2, 3, 1).reshape(-1, 2)
        loc = module.rpn.loc(x).permute(0, 2, 3, 1).reshape(-1, 4)
        fc7 = module.head.classifier(torch.from_numpy(pool5).flatten(1))
        head_scores, head_loc = module.head.score(fc7), module.head.cls_loc(fc7)

    height, width = net.blobs["rpn_cls_score"].shape[2:]
    ours = torch.from_numpy(net.blobs["rpn_cls_score"].data)
    for k, part in enumerate(ours.split(9, 1)):
        torch.testing.assert_close(map_to_rows(part, 1)[:, 0], scores[:, k], rtol=1e-3, atol=1e-5)
    deltas = map_to_rows(torch.from_numpy(net.blobs["rpn_bbox_pred"].data), 4)
    boxes = bbox_transform_inv(AnchorGrid()(height, width, "cpu"), deltas)
    np.testing.assert_allclose(boxes, their_boxes(their_anchors(height, width), loc.numpy()),
                               rtol=1e-4, atol=1e-2)

    np.testing.assert_allclose(net.blobs["cls_score"].data, head_scores, rtol=1e-4, atol=1e-5)
    plain = head_loc.numpy().reshape(5, -1, 4) * np.float32([0.1, 0.1, 0.2, 0.2])
    np.testing.assert_allclose(net.blobs["bbox_pred"].data,
                               plain[:, :, [1, 0, 3, 2]].reshape(5, -1), rtol=1e-4, atol=1e-6)


def test_what_the_detector_was_fed_with():
    tensors = SimpleFasterRcnn().state_dict()
    assert convert(tensors, {"caffe_pretrain": True}).pixel_means == simple_faster_rcnn.CAFFE_MEANS
    assert convert(tensors, {"caffe_pretrain": False}).pixel_means is None


# -- checkpoints


@pytest.mark.parametrize("change, says", [
    (lambda t: t.pop("features.28.bias"), 'no tensor "features.28.bias"'),
    (lambda t: t.update({"features.99.weight": torch.zeros(4)}), "another variant"),
    (lambda t: t.pop("features.0.weight"), "of no known net"),
])
def test_checkpoints_of_other_nets(change, says):
    tensors = dict(Vgg16().state_dict())
    change(tensors)
    with pytest.raises(CheckpointError, match=says):
        convert(tensors, {})


def test_resnet_of_unknown_depth():
    with pytest.raises(CheckpointError, match=r"\(2, 1, 1, 1\) blocks per stage; known: \(3, 4, 6"):
        convert(ResNet((2, 1, 1, 1)).state_dict(), {})


def test_other_anchors():
    with pytest.raises(CheckpointError, match="an RPN with 3 anchors"):
        simple_faster_rcnn.deltas_of_our_anchors(np.zeros((12, 2, 1, 1)), np.zeros(12))


def test_shapes_that_differ_from_the_net():
    imported = convert(Vgg16().state_dict(), {})
    message = caffe_vgg16()
    message.layer[-1].inner_product_param.num_output = 8
    with pytest.raises(CheckpointError, match=r'layer "fc8": the net has blobs of shape \[\(8, 10'):
        fit_to_net(imported, caffe.Net(message, caffe.TEST))
    with pytest.raises(CheckpointError, match="no layer of the net has a name"):
        fit_to_net(convert(ResNet().state_dict(), {}), caffe.Net(caffe_vgg16(), caffe.TEST))

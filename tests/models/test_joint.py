"""The nets and solvers of joint training: complete, and with the published names and numbers."""
import functools
import os
from types import SimpleNamespace

import pytest
from test_generated import FROZEN, NETS, PARAMETERS, build_file, learning

from caffe.files import prototxt
from faster_rcnn.networks.store import find, find_folder
from faster_rcnn.settings.config import cfg

VOC = [("pascal_voc", net) for net in NETS]
COCO = [("coco", "VGG16"), ("coco", "VGG_CNN_M_1024")]
CLASSES = {"pascal_voc": 21, "coco": 81}
LOSSES = {"rpn_loss_cls": "SoftmaxWithLoss", "rpn_loss_bbox": "SmoothL1Loss",
          "loss_cls": "SoftmaxWithLoss", "loss_bbox": "SmoothL1Loss"}


def path_of(data_set, net, name):
    return find(f"models/{data_set}/{net}/faster_rcnn_end2end/{name}", cfg.ROOT_DIR)


def read(data_set, net, name):
    return prototxt.read_net(path_of(data_set, net, name))


def named(message):
    return {layer.name: layer for layer in message.layer}


@functools.cache
def built(data_set, net, name):
    """shapes of the weights, inputs, outputs and blobs of a net that was built."""
    made = build_file(path_of(data_set, net, name), has_rpn=True)
    return SimpleNamespace(
        shapes={layer: tuple(blobs[0].data.shape) for layer, blobs in made.params.items()},
        inputs=list(made.inputs), outputs=list(made.outputs), blobs=list(made.blobs))


@pytest.mark.parametrize("data_set,net", VOC + COCO)
def test_both_nets_build_and_hold_the_same_parameters(data_set, net):
    train, test = (built(data_set, net, f"{name}.prototxt") for name in ("train", "test"))
    assert train.shapes == test.shapes
    assert set(test.inputs) == {"data", "im_info"}
    assert {"rois", "cls_prob", "bbox_pred"} <= set(test.blobs)
    assert len(train.outputs) == 4
    assert train.shapes["bbox_pred"][0] == 4 * CLASSES[data_set]


@pytest.mark.parametrize("net", PARAMETERS)
def test_published_parameter_names_and_shapes(net):
    wanted = {"rpn_conv/3x3" if name == "rpn_conv1" else name: shape
              for name, shape in PARAMETERS[net].items()}
    assert built("pascal_voc", net, "train.prototxt").shapes == wanted


@pytest.mark.parametrize("net", FROZEN)
def test_what_is_trained(net):
    rates = learning(read("pascal_voc", net, "train.prototxt"))
    assert {name for name, rate in rates.items() if rate == (0, 0, 0, 0)} == FROZEN[net]
    assert {rate for name, rate in rates.items() if name not in FROZEN[net]} == {(1, 2, 1, 1)}


@pytest.mark.parametrize("data_set,net", VOC + COCO)
def test_the_path_from_the_rpn_to_the_detector(data_set, net):
    layers = named(read(data_set, net, "train.prototxt"))
    rpn, proposal, sampled = (layers[name] for name in ("rpn-data", "proposal", "roi-data"))
    assert list(layers["input-data"].top) == ["data", "im_info", "gt_boxes"]
    assert list(rpn.bottom) == ["rpn_cls_score", "gt_boxes", "im_info", "data"]
    assert list(proposal.bottom) == ["rpn_cls_prob_reshape", "rpn_bbox_pred", "im_info"]
    assert list(proposal.top) == ["rpn_rois"]
    assert list(sampled.bottom) == ["rpn_rois", "gt_boxes"]
    assert list(sampled.top)[:3] == ["rois", "labels", "bbox_targets"]
    assert sampled.python_param.layer == "ProposalTargetLayer"
    assert rpn.python_param.param_str == proposal.python_param.param_str
    assert {name: layers[name].type for name in LOSSES} == LOSSES
    assert layers["rpn_loss_bbox"].smooth_l1_loss_param.sigma == 3
    assert list(layers["loss_cls"].propagate_down) == [True, False]
    assert layers["rpn_cls_score"].bottom[0] == "rpn/output"


@pytest.mark.parametrize("data_set,net", COCO)
def test_coco_nets_have_twelve_anchors_and_no_dropout(data_set, net):
    for name in ("train.prototxt", "test.prototxt"):
        layers = named(read(data_set, net, name))
        assert layers["rpn_cls_score"].convolution_param.num_output == 24
        assert layers["rpn_bbox_pred"].convolution_param.num_output == 48
        assert list(layers["rpn_cls_prob_reshape"].reshape_param.shape.dim) == [0, 24, -1, 0]
        assert "[4, 8, 16, 32]" in layers["proposal"].python_param.param_str
        assert "Dropout" not in {layer.type for layer in layers.values()}


@pytest.mark.parametrize("data_set,net,prefix,iter_size", (
    ("pascal_voc", "ZF", "zf", 2), ("pascal_voc", "VGG16", "vgg16", 2),
    ("pascal_voc", "VGG_CNN_M_1024", "vgg_cnn_m_1024", 1), ("coco", "VGG16", "vgg16", 2),
    ("coco", "VGG_CNN_M_1024", "vgg_cnn_m_1024", 1)))
def test_published_solver_numbers(data_set, net, prefix, iter_size):
    solver = prototxt.read_solver(path_of(data_set, net, "solver.prototxt"))
    iterations, stepsize = {"pascal_voc": (70000, 50000), "coco": (490000, 350000)}[data_set]
    assert solver.train_net == f"models/{data_set}/{net}/faster_rcnn_end2end/train.prototxt"
    assert (solver.max_iter, solver.stepsize) == (iterations, stepsize)
    assert (solver.lr_policy, solver.iter_size, solver.snapshot) == ("step", iter_size, 0)
    assert (solver.display, solver.average_loss) == (20, 100)
    assert solver.snapshot_prefix == f"{prefix}_faster_rcnn"
    rates = (solver.base_lr, solver.gamma, solver.momentum, solver.weight_decay)
    assert rates == pytest.approx((0.001, 0.1, 0.9, 0.0005))


@pytest.mark.parametrize("net", NETS)
def test_boxes_carry_gradients_in_the_non_approximate_nets(net):
    folder = find_folder(cfg.MODELS_DIR, net, "faster_rcnn_nonapprox", cfg.ROOT_DIR)
    plain = read("pascal_voc", net, "train.prototxt")
    message = prototxt.read_net(os.path.join(folder, "train.prototxt"))
    differing = [layer for layer, other in zip(message.layer, plain.layer) if layer != other]
    pooling = next(layer for layer in message.layer if layer.type == "ROIAlign")
    usual = named(plain)[pooling.name]
    assert [layer.name for layer in differing] == ["proposal", "roi-data"] + (
        [] if usual.type == "ROIAlign" else [pooling.name])
    made, chosen = (layer.python_param.param_str for layer in differing[:2])
    assert "'differentiable': True, 'max_gradient': 0.0039" in made
    assert "'differentiable': True" in chosen
    usual_param = usual.roi_align_param if usual == pooling else usual.roi_pooling_param
    for field in ("pooled_h", "pooled_w", "spatial_scale"):
        assert getattr(pooling.roi_align_param, field) == getattr(usual_param, field)
    test = prototxt.read_net(os.path.join(folder, "test.prototxt"))
    assert named(test)[pooling.name].roi_align_param == pooling.roi_align_param
    solver = prototxt.read_solver(os.path.join(folder, "solver.prototxt"))
    assert solver.train_net == f"models/pascal_voc/{net}/faster_rcnn_nonapprox/train.prototxt"


def test_recipe_of_simple_faster_rcnn():
    folder = find_folder(cfg.MODELS_DIR, "VGG16", "simple_faster_rcnn", cfg.ROOT_DIR)
    message = prototxt.read_net(os.path.join(folder, "train.prototxt"))
    rates = learning(message)
    assert {name for name, rate in rates.items() if rate == (0, 0, 0, 0)} == FROZEN["VGG16"]
    assert {rate for name, rate in rates.items() if name not in FROZEN["VGG16"]} == {(1, 2, 1, 0)}
    assert "Dropout" not in {layer.type for layer in message.layer}
    solver = prototxt.read_solver(os.path.join(folder, "solver.prototxt"))
    assert (solver.max_iter, solver.stepsize, solver.iter_size) == (140000, 90000, 1)


def test_zf_keeps_its_peculiarities():
    layers = named(read("pascal_voc", "ZF", "train.prototxt"))
    assert (list(layers["loss_cls"].top), list(layers["loss_bbox"].top)) == (["cls_loss"],
                                                                             ["bbox_loss"])
    assert layers["drop6"].dropout_param.scale_train is False
    assert list(layers["roi_pool_conv5"].bottom) == ["conv5", "rois"]
    assert list(layers["rpn_conv/3x3"].top) == ["rpn/output"]

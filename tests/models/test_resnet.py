"""ResNets and MobileNet: published names, what learns, a training step and a test."""
import os

import numpy as np
import one_image
import pytest
from test_generated import learning

import caffe
from caffe.files import prototxt
from faster_rcnn.settings.config import cfg, cfg_override
from faster_rcnn.detection.detect import im_detect
from faster_rcnn.networks.store import find_folder

UNITS = {"ResNet-50": ["2a", "2b", "2c", "3a", "3b", "3c", "3d", "4a", "4b", "4c", "4d", "4e",
                       "4f", "5a", "5b", "5c"],
         "ResNet-101": ["2a", "2b", "2c", "3a", "3b1", "3b2", "3b3", "4a",
                        *(f"4b{i}" for i in range(1, 23)), "5a", "5b", "5c"]}
BRANCHES = ("branch2a", "branch2b", "branch2c")
MOBILE = ["2_1", "2_2", "3_1", "3_2", "4_1", "4_2", "5_1", "5_2", "5_3", "5_4", "5_5", "5_6", "6"]
RPN = ["rpn_conv/3x3", "rpn_cls_score", "rpn_bbox_pred"]
HEAD = ["cls_score", "bbox_pred"]
FROZEN = {"conv1", "res2a_branch1", *(f"res2{unit}_{branch}" for unit in "abc"
                                      for branch in BRANCHES)}
END2END = [("pascal_voc", "ResNet-50"), ("pascal_voc", "ResNet-101"), ("pascal_voc", "MobileNet"),
           ("coco", "ResNet-50"), ("coco", "ResNet-101")]


def published(net):
    """Names of the convolutions of a classification net, in any order."""
    if net == "MobileNet":
        return ["conv1", *(f"conv{block}/{kind}" for block in MOBILE for kind in ("dw", "sep"))]
    shortcuts = [f"res{unit}_branch1" for unit in UNITS[net] if unit.endswith("a")]
    return ["conv1", *shortcuts, *(f"res{unit}_{branch}" for unit in UNITS[net]
                                   for branch in BRANCHES)]


def normalisations(net, convolution):
    """Names of the layers BatchNorm and Scale behind a convolution."""
    if net == "MobileNet":
        return f"{convolution}/bn", f"{convolution}/scale"
    middle = "_conv1" if convolution == "conv1" else convolution[len("res"):]
    return f"bn{middle}", f"scale{middle}"


def folder_of(data_set, net, method="faster_rcnn_end2end"):
    return find_folder(os.path.join(cfg.ROOT_DIR, "models", data_set), net, method, cfg.ROOT_DIR)


def read(data_set, net, name, method="faster_rcnn_end2end"):
    return prototxt.read_net(os.path.join(folder_of(data_set, net, method), name))


@pytest.mark.parametrize("net", ["ResNet-50", "ResNet-101", "MobileNet"])
@pytest.mark.parametrize("name", ["train.prototxt", "test.prototxt", "train_align.prototxt"])
def test_names_are_those_of_the_published_weights(net, name):
    message = read("pascal_voc", net, name)
    by_type = {}
    for layer in message.layer:
        by_type.setdefault(layer.type, []).append(layer.name)
    convolutions = published(net)
    assert sorted(by_type["Convolution"]) == sorted(convolutions + RPN)
    bn, scale = zip(*(normalisations(net, convolution) for convolution in convolutions))
    assert sorted(by_type["BatchNorm"]) == sorted(bn)
    assert sorted(by_type["Scale"]) == sorted(scale)
    assert by_type["InnerProduct"] == HEAD
    made = {top: index for index, layer in enumerate(message.layer) for top in layer.top}
    assert all(bottom in made or bottom in message.input
               for layer in message.layer for bottom in layer.bottom)


@pytest.mark.parametrize("data_set,net", END2END)
def test_what_learns(data_set, net):
    message = read(data_set, net, "train.prototxt")
    still = FROZEN if net != "MobileNet" else {"conv1", "conv2_1/dw", "conv2_1/sep"}
    for layer in message.layer:
        rates = [(param.lr_mult, param.decay_mult) for param in layer.param]
        if layer.type == "BatchNorm":
            assert layer.batch_norm_param.use_global_stats
        elif layer.type == "Scale" or layer.name == "conv1" and net == "ResNet-50":
            assert rates == [(0, 0)] * 2
        elif layer.name in still:
            assert rates == [(0, 0)]
        elif layer.name in RPN + HEAD:
            assert rates == [(1, 1), (2, 1)]
        elif layer.type == "Convolution":
            assert rates == [(1, 1)] and not layer.convolution_param.bias_term


@pytest.mark.parametrize("data_set,net", END2END)
def test_where_the_shared_layers_end(data_set, net):
    layers = {layer.name: layer for layer in read(data_set, net, "train.prototxt").layer}
    last = {"ResNet-50": "res4f", "ResNet-101": "res4b22", "MobileNet": "conv5_5/sep/bn"}[net]
    assert layers["rpn_conv/3x3"].bottom[0] == layers["roi_pool"].bottom[0] == last
    assert layers["roi_pool"].roi_pooling_param.pooled_h == 14
    first = "conv5_6/dw" if net == "MobileNet" else "res5a_branch2a"
    assert list(layers[first].convolution_param.stride) == [2]
    align = {layer.name: layer for layer in read(data_set, net, "train_align.prototxt").layer}
    assert align["roi_pool"].type == "ROIAlign"
    assert align["roi_pool"].roi_align_param.pooled_h == 7
    assert list(align[first].convolution_param.stride) == []
    classes = 81 if data_set == "coco" else 21
    assert layers["cls_score"].inner_product_param.num_output == classes
    for suffix in ("", "_align"):
        solver = prototxt.read_solver(os.path.join(folder_of(data_set, net),
                                                   f"solver{suffix}.prototxt"))
        assert solver.train_net.endswith(f"{net}/faster_rcnn_end2end/train{suffix}.prototxt")
        assert (solver.max_iter, solver.stepsize) == ((490000, 350000) if data_set == "coco"
                                                      else (70000, 50000))


@pytest.mark.parametrize("net,name", [
    ("ResNet-50", ""), ("ResNet-101", "_align"), ("MobileNet", ""), ("MobileNet", "_align")])
def test_a_training_step_and_a_test(net, name, tmp_path):
    folder = folder_of("pascal_voc", net)
    with one_image.joint():
        solver, before = one_image.trained(os.path.join(folder, f"train{name}.prototxt"), tmp_path,
                                           one_image.roidb(tmp_path))
        assert np.isfinite(solver.last_loss) and solver.last_loss > 0
        still = FROZEN if net != "MobileNet" else {"conv1", "conv2_1/dw", "conv2_1/sep"}
        assert one_image.moved(solver.net, before) == set(published(net) + RPN + HEAD) - still
        features = solver.net.blobs["roi_pool"]
        assert features.shape[2:] == ((7, 7) if name else (14, 14))
        test = caffe.Net(os.path.join(folder, f"test{name}.prototxt"), caffe.TEST)
        assert set(test.params) == set(solver.net.params)
        test.share_with(solver.net)
        scores, boxes = im_detect(test, np.full((96, 128, 3), 90, np.uint8))
    assert scores.shape == (len(boxes), 21) and boxes.shape[1] == 84
    np.testing.assert_allclose(scores.sum(1), 1, rtol=1e-5)


@pytest.mark.parametrize("net", ["ResNet-50", "ResNet-101", "MobileNet"])
def test_nets_with_gradients_of_the_boxes_are_those_with_roi_align(net):
    method = "faster_rcnn_nonapprox"
    message, plain = (read("pascal_voc", net, "train.prototxt", method),
                      read("pascal_voc", net, "train_align.prototxt"))
    differing = [(layer.name, layer.python_param.param_str)
                 for layer, other in zip(message.layer, plain.layer) if layer != other]
    assert [name for name, _ in differing] == ["proposal", "roi-data"]
    assert "'differentiable': True, 'max_gradient': 0.0039" in differing[0][1]
    assert "'differentiable': True" in differing[1][1]
    assert (read("pascal_voc", net, "test.prototxt", method)
            == read("pascal_voc", net, "test_align.prototxt"))
    solver = prototxt.read_solver(os.path.join(folder_of("pascal_voc", net, method),
                                               "solver.prototxt"))
    assert solver.train_net == f"models/pascal_voc/{net}/{method}/train.prototxt"
    assert (solver.max_iter, solver.stepsize, solver.iter_size) == (70000, 50000, 2)


def test_the_head_moves_the_boxes_of_the_non_approximate_nets(tmp_path):
    def head_moves_boxes(method, name):
        folder = folder_of("pascal_voc", "MobileNet", method)
        with one_image.joint(SCALES=[288], MAX_SIZE=384):       # some boxes are not clipped
            solver, _ = one_image.trained(os.path.join(folder, name), tmp_path,
                                          one_image.roidb(tmp_path), iterations=0)
            blobs = solver.net.blobs
            solver.net.forward()
            for loss in ("rpn_cls_loss", "rpn_loss_bbox"):      # leaves the detector's losses
                blobs[loss].diff[...] = 0
            solver.net.backward()
            assert blobs["roi_pool"].diff.any()
            return blobs["rpn_bbox_pred"].diff.any()

    assert not head_moves_boxes("faster_rcnn_end2end", "train_align.prototxt")
    assert head_moves_boxes("faster_rcnn_nonapprox", "train.prototxt")


def test_the_alternating_nets_of_resnet50_hand_everything_on():
    method = "faster_rcnn_alt_opt"
    end = {layer.name for layer in read("pascal_voc", "ResNet-50", "faster_rcnn_test.pt",
                                        method).layer if layer.type in ("Convolution", "Scale",
                                                                        "InnerProduct")}
    last = learning(read("pascal_voc", "ResNet-50", "stage2_fast_rcnn_train.pt", method))
    assert end <= set(last)
    carried = learning(read("pascal_voc", "ResNet-50", "stage2_rpn_train.pt", method))
    assert end - set(HEAD) <= set(carried)
    assert {name for name in carried if any(carried[name][:2])} - set(RPN) == set()
    learned = {name for name, rates in last.items() if rates[0]}
    assert learned == set(HEAD) | {name for name in published("ResNet-50") if "res5" in name}
    with cfg_override(TRAIN={"HAS_RPN": True, "IMS_PER_BATCH": 1}):
        built = caffe.Net(os.path.join(folder_of("pascal_voc", "ResNet-50", method),
                                       "stage1_rpn_train.pt"), caffe.TRAIN)
    assert built.blobs["pool5"].shape == (1, 2048, 1, 1)

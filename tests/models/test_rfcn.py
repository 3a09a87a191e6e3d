"""R-FCN's nets: published names and numbers, a training step, a test, the class count."""
import functools
import os
import subprocess

import numpy as np
import one_image
import pytest
import shipped_nets
from shipped_nets import layers_of
from test_resnet import FROZEN, RPN, published

import caffe
from caffe.files import prototxt
from faster_rcnn.detection.detect import im_detect
from faster_rcnn.prototxts.changes import change_net
from faster_rcnn.prototxts.options import NetOptions
from faster_rcnn.settings.config import cfg

NETS = ("ResNet-50", "ResNet-101")
MAPS = ["conv_new_1", "rfcn_cls", "rfcn_bbox"]
STAGES = {"stage1_rpn": (60, 80), "stage1_rfcn_ohem": (80, 120), "stage2_rpn": (60, 80),
          "stage2_rfcn_ohem": (80, 120), "stage3_rpn": (60, 80)}
RFCN = {"AGNOSTIC": True, "BATCH_SIZE": -1}
path_of, read = (functools.partial(function, method="rfcn_end2end")
                 for function in (shipped_nets.path_of, shipped_nets.read))


@pytest.mark.parametrize("net", NETS)
@pytest.mark.parametrize("name", ["train_agnostic", "train_agnostic_ohem", "test_agnostic"])
def test_published_names_and_numbers(net, name):
    layers = layers_of(read(net, f"{name}.prototxt"))
    convolutions = [layer.name for layer in layers.values() if layer.type == "Convolution"]
    assert sorted(convolutions) == sorted(published(net) + RPN + MAPS)
    assert layers["rfcn_cls"].convolution_param.num_output == 21 * 49
    assert layers["rfcn_bbox"].convolution_param.num_output == 8 * 49
    dilated = layers["res5b_branch2b"].convolution_param
    assert (list(dilated.dilation), list(dilated.pad)) == ([2], [2])
    assert list(layers["res5a_branch1"].convolution_param.stride) in ([], [1])
    for pooled, columns in (("psroipooled_cls_rois", 21), ("psroipooled_loc_rois", 8)):
        param = layers[pooled].psroi_pooling_param
        assert (param.output_dim, param.group_size, param.spatial_scale) == (columns, 7, 1 / 16)
    if name.startswith("train"):
        assert "'num_classes': 2" in layers["roi-data"].python_param.param_str
        assert layers["loss_bbox"].loss_param.pre_fixed_normalizer == 128
        assert ("annotator_detector" in layers) == name.endswith("ohem")


@pytest.mark.parametrize("net,prefix", [("ResNet-50", "resnet50"), ("ResNet-101", "resnet101")])
def test_published_solvers(net, prefix):
    for suffix in ("", "_ohem"):
        solver = prototxt.read_solver(path_of(net, f"solver{suffix}.prototxt"))
        assert solver.train_net == (f"models/pascal_voc/{net}/rfcn_end2end/"
                                    f"train_agnostic{suffix}.prototxt")
        assert (solver.max_iter, solver.stepsize, solver.iter_size) == (110000, 80000, 2)
        assert (solver.base_lr, solver.weight_decay) == pytest.approx((0.001, 0.0005))
        assert solver.snapshot_prefix == f"{prefix}_rfcn{suffix}"
    for stage, (stepsize, iterations) in STAGES.items():
        solver = prototxt.read_solver(path_of(
            net, f"{stage}_solver{stepsize}k{iterations}k.pt", method="rfcn_alt_opt_5step_ohem"))
        assert solver.train_net.endswith(f"/rfcn_alt_opt_5step_ohem/{stage}_train.pt")
        assert (solver.stepsize, solver.max_iter) == (stepsize * 1000, iterations * 1000)


@pytest.mark.parametrize("net", NETS)
@pytest.mark.parametrize("name", ["train_agnostic", "train_agnostic_ohem", "test_agnostic"])
def test_nets_for_coco_have_81_classes_and_twelve_anchors(net, name):
    layers, voc = (layers_of(read(net, f"{name}.prototxt", data_set=data_set))
                   for data_set in ("coco", "pascal_voc"))
    assert list(layers) == list(voc)
    assert layers["rfcn_cls"].convolution_param.num_output == 81 * 49
    assert layers["psroipooled_cls_rois"].psroi_pooling_param.output_dim == 81
    assert layers["rfcn_bbox"] == voc["rfcn_bbox"]
    assert layers["rpn_cls_score"].convolution_param.num_output == 2 * 12
    assert layers["rpn_bbox_pred"].convolution_param.num_output == 4 * 12
    assert "'scales': [4, 8, 16, 32]" in layers["proposal"].python_param.param_str
    if name.startswith("train"):
        assert "'num_classes': 81" in layers["input-data"].python_param.param_str
        assert "'num_classes': 2" in layers["roi-data"].python_param.param_str
        assert layers["rpn_loss_bbox"].smooth_l1_loss_param.sigma == 1


@pytest.mark.parametrize("net", NETS)
@pytest.mark.parametrize("suffix,numbers", [("", (960000, 640000, 2, 0.001)),
                                            ("_ohem", (1920000, 1280000, 1, 0.0005))])
def test_published_solvers_for_coco(net, suffix, numbers):
    solver = prototxt.read_solver(path_of(net, f"solver{suffix}.prototxt", data_set="coco"))
    assert solver.train_net == f"models/coco/{net}/rfcn_end2end/train_agnostic{suffix}.prototxt"
    assert (solver.max_iter, solver.stepsize, solver.iter_size) == numbers[:3]
    assert solver.base_lr == pytest.approx(numbers[3])


@pytest.mark.parametrize("script", ["rfcn_end2end", "rfcn_end2end_ohem"])
def test_scripts_train_on_coco_and_test_on_its_validation_images(script, tmp_path):
    (tmp_path / "python").write_text('#!/bin/sh\ncase "$*" in *--parse-only*) exit ;; esac\n'
                                     'echo "$@"\necho "Final model: the.caffemodel" >> '
                                     '"$FASTER_RCNN_LOG"\n')
    (tmp_path / "python").chmod(0o755)
    done = subprocess.run(
        ["bash", os.path.join(cfg.ROOT_DIR, "experiments", "scripts", f"{script}.sh"), "0",
         "ResNet-101", "coco"], capture_output=True, text=True,
        env=dict(os.environ, PYTHON=str(tmp_path / "python"), LOGS=str(tmp_path)))
    train, test = (line.split() for line in done.stdout.splitlines() if line.startswith("tools/"))
    solver = script.replace("rfcn_end2end", "solver")
    assert f"models/coco/ResNet-101/rfcn_end2end/{solver}.prototxt" in train
    assert "coco_2014_train" in train and "coco_2014_val" in test
    assert "models/coco/ResNet-101/rfcn_end2end/test_agnostic.prototxt" in test
    assert "the.caffemodel" in test


@pytest.mark.parametrize("net", NETS)
@pytest.mark.parametrize("stage", STAGES)
def test_what_a_stage_trains(net, stage):
    layers = layers_of(read(net, f"{stage}_train.pt", method="rfcn_alt_opt_5step_ohem"))
    learning = {layer.name for layer in layers.values() if any(p.lr_mult for p in layer.param)}
    shared = {name for name in published(net) if not name.startswith("res5")} - FROZEN
    if "rfcn" in stage:
        assert learning == set(published(net)) - FROZEN | set(MAPS)
    else:
        assert learning == set(RPN) | (shared if stage == "stage1_rpn" else set())
        assert not {name for name in layers if name.startswith("res5")}


@pytest.mark.parametrize("suffix", ["", "_ohem"])
def test_a_training_step_and_a_test(suffix, tmp_path):
    net = "ResNet-50"
    settings = RFCN if suffix else {"AGNOSTIC": True}
    with one_image.joint(**settings):
        cfg.TEST.AGNOSTIC = True
        solver, before = one_image.trained(path_of(net, f"train_agnostic{suffix}.prototxt"),
                                           tmp_path, one_image.roidb(tmp_path))
        assert np.isfinite(solver.last_loss) and solver.last_loss > 0
        assert one_image.moved(solver.net, before) == (set(published(net) + RPN + MAPS) - FROZEN)
        blobs = solver.net.blobs
        rois = len(blobs["rois"].data)
        assert blobs["labels"].shape == (rois, 1, 1, 1)
        assert blobs["bbox_targets"].shape == blobs["bbox_pred"].shape == (rois, 8, 1, 1)
        assert set(solver.net.outputs) >= {"rpn_cls_loss", "rpn_loss_bbox", "loss_cls", "loss_bbox"}
        test = caffe.Net(path_of(net, "test_agnostic.prototxt"), caffe.TEST)
        assert set(test.params) == set(solver.net.params)
        test.share_with(solver.net)
        scores, boxes = im_detect(test, np.full((96, 128, 3), 90, np.uint8))
    assert scores.shape == (len(boxes), 21) and boxes.shape[1] == 84
    assert (boxes.reshape(-1, 21, 4) == boxes[:, None, :4]).all()
    np.testing.assert_allclose(scores.sum(1), 1, rtol=1e-5)


@pytest.mark.parametrize("name", ["train_agnostic.prototxt", "train_agnostic_ohem.prototxt",
                                  "test_agnostic.prototxt"])
def test_the_class_count_follows_the_data_set_and_the_boxes_stay(name):
    net = read("ResNet-50", name)
    assert change_net(net, NetOptions(21), name).sentences == []
    net, changes = change_net(net, NetOptions(4), name)
    assert changes
    layers = {layer.name: layer for layer in net.layer}
    assert layers["rfcn_cls"].convolution_param.num_output == 4 * 49
    assert layers["psroipooled_cls_rois"].psroi_pooling_param.output_dim == 4
    assert layers["rfcn_bbox"].convolution_param.num_output == 8 * 49
    assert layers["psroipooled_loc_rois"].psroi_pooling_param.output_dim == 8
    if name.startswith("train"):
        assert "'num_classes': 4" in layers["input-data"].python_param.param_str
        assert "'num_classes': 2" in layers["roi-data"].python_param.param_str
    else:
        assert list(layers["cls_prob_reshape"].reshape_param.shape.dim) == [-1, 4]
        assert list(layers["bbox_pred_reshape"].reshape_param.shape.dim) == [-1, 8]

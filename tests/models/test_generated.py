"""The committed prototxts: up to date, complete, and with the published names and numbers."""
import os
import subprocess
import sys

import pytest

import caffe
from caffe.files import prototxt
from faster_rcnn.networks.store import find
from faster_rcnn.settings.config import cfg, cfg_override

NETS = ("ZF", "VGG_CNN_M_1024", "VGG16", "SqueezeNet", "Tiny")
FILES = ("faster_rcnn_test.pt", "rpn_test.pt", "stage1_rpn_train.pt", "stage1_fast_rcnn_train.pt",
         "stage2_rpn_train.pt", "stage2_fast_rcnn_train.pt", "stage1_rpn_solver60k80k.pt",
         "stage1_fast_rcnn_solver30k40k.pt", "stage2_rpn_solver60k80k.pt",
         "stage2_fast_rcnn_solver30k40k.pt")
NET_FILES = [(net, name) for net in NETS for name in FILES if "solver" not in name]

# Published parameters of the finished detectors: layer -> shape of the weights
ZF = {"conv1": (96, 3, 7, 7), "conv2": (256, 96, 5, 5), "conv3": (384, 256, 3, 3),
      "conv4": (384, 384, 3, 3), "conv5": (256, 384, 3, 3), "rpn_conv1": (256, 256, 3, 3),
      "rpn_cls_score": (18, 256, 1, 1), "rpn_bbox_pred": (36, 256, 1, 1), "fc6": (4096, 9216),
      "fc7": (4096, 4096), "cls_score": (21, 4096), "bbox_pred": (84, 4096)}
CNN_M = {"conv1": (96, 3, 7, 7), "conv2": (256, 96, 5, 5), "conv3": (512, 256, 3, 3),
         "conv4": (512, 512, 3, 3), "conv5": (512, 512, 3, 3), "rpn_conv/3x3": (256, 512, 3, 3),
         "rpn_cls_score": (18, 256, 1, 1), "rpn_bbox_pred": (36, 256, 1, 1), "fc6": (4096, 18432),
         "fc7": (1024, 4096), "cls_score": (21, 1024), "bbox_pred": (84, 1024)}
VGG16 = {"conv1_1": (64, 3, 3, 3), "conv1_2": (64, 64, 3, 3), "conv2_1": (128, 64, 3, 3),
         "conv2_2": (128, 128, 3, 3), "conv3_1": (256, 128, 3, 3), "conv3_2": (256, 256, 3, 3),
         "conv3_3": (256, 256, 3, 3), "conv4_1": (512, 256, 3, 3), "conv4_2": (512, 512, 3, 3),
         "conv4_3": (512, 512, 3, 3), "conv5_1": (512, 512, 3, 3), "conv5_2": (512, 512, 3, 3),
         "conv5_3": (512, 512, 3, 3), "rpn_conv/3x3": (512, 512, 3, 3),
         "rpn_cls_score": (18, 512, 1, 1), "rpn_bbox_pred": (36, 512, 1, 1),
         "fc6": (4096, 25088), "fc7": (4096, 4096), "cls_score": (21, 4096),
         "bbox_pred": (84, 4096)}
PARAMETERS = {"ZF": ZF, "VGG_CNN_M_1024": CNN_M, "VGG16": VGG16}

# Shared layers that stage 1 leaves alone
FROZEN = {"ZF": set(), "VGG_CNN_M_1024": {"conv1"},
          "VGG16": {"conv1_1", "conv1_2", "conv2_1", "conv2_2"}}
HEAD, RPN = {"fc6", "fc7"}, {"rpn_conv1", "rpn_conv/3x3", "rpn_cls_score", "rpn_bbox_pred"}


def path_of(net, name):
    return find(os.path.join(cfg.MODELS_DIR, net, "faster_rcnn_alt_opt", name), cfg.ROOT_DIR)


def read(net, name):
    return prototxt.read_net(path_of(net, name))


def build(net, name):
    return build_file(path_of(net, name), has_rpn="rpn" in name and "fast_rcnn" not in name)


def build_file(path, has_rpn):
    """The net of a file, in the phase that the file's name says."""
    with cfg_override(TRAIN={"HAS_RPN": has_rpn, "IMS_PER_BATCH": 1}):
        return caffe.Net(path, caffe.TEST if "test" in os.path.basename(path) else caffe.TRAIN)


def learning(message):
    """Layer with parameters -> (weight rate, bias rate, weight decay, bias decay)."""
    return {layer.name: tuple(p.lr_mult for p in layer.param)
            + tuple(p.decay_mult for p in layer.param) for layer in message.layer if layer.param}


def test_committed_files_are_what_the_descriptions_say():
    done = subprocess.run([sys.executable, os.path.join(cfg.ROOT_DIR, "models", "generate.py"),
                           "--check"], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, ""), done.stdout + done.stderr


@pytest.mark.parametrize("net", NETS)
def test_ten_files_per_net(net):
    assert sorted(FILES) == sorted(os.listdir(os.path.dirname(path_of(net, FILES[0]))))


@pytest.mark.parametrize("net,name", NET_FILES)
def test_every_net_builds(net, name):
    built = build(net, name)
    assert len(built.layers) > 10
    if name == "faster_rcnn_test.pt":
        assert {"data", "im_info"} == set(built.inputs)
        assert {"rois", "cls_prob", "bbox_pred"} <= set(built.blobs)


@pytest.mark.parametrize("net,name", NET_FILES)
def test_layer_names_are_unique_and_follow_the_data(net, name):
    message = read(net, name)
    names = [layer.name for layer in message.layer]
    assert len(set(names)) == len(names)
    made = set(message.input)
    for layer in message.layer:
        assert set(layer.bottom) <= made, layer.name
        made |= set(layer.top)


@pytest.mark.parametrize("net", PARAMETERS)
def test_published_parameter_names_and_shapes(net):
    built = build(net, "faster_rcnn_test.pt")
    shapes = {name: tuple(blobs[0].data.shape) for name, blobs in built.params.items()}
    assert shapes == PARAMETERS[net]
    assert all(blobs[1].data.shape == (shapes[name][0],) for name, blobs in built.params.items())


@pytest.mark.parametrize("net", FROZEN)
@pytest.mark.parametrize("stage", (1, 2))
def test_what_each_stage_trains(net, stage):
    shared = set(PARAMETERS[net]) - HEAD - RPN - {"cls_score", "bbox_pred"}
    still = FROZEN[net] if stage == 1 else shared
    frozen, trained = (0, 0, 0, 0), (1, 2, 1, 1)
    rpn = learning(read(net, f"stage{stage}_rpn_train.pt"))
    assert rpn == {name: frozen if name in still | HEAD else trained for name in rpn}
    assert set(rpn) == shared | HEAD | (RPN & set(PARAMETERS[net]))
    fast = learning(read(net, f"stage{stage}_fast_rcnn_train.pt"))
    assert fast == {name: frozen if name in still | RPN else trained for name in fast}
    assert set(fast) == set(PARAMETERS[net])


@pytest.mark.parametrize("net", NETS)
def test_the_last_stage_holds_every_parameter_of_the_detector(net):
    detector = {layer.name for layer in read(net, "faster_rcnn_test.pt").layer}
    proposals = {layer.name for layer in read(net, "rpn_test.pt").layer}
    last = set(learning(read(net, "stage2_fast_rcnn_train.pt")))
    with_parameters = {layer.name for layer in read(net, "faster_rcnn_test.pt").layer
                       if layer.type in ("Convolution", "InnerProduct")}
    assert last == with_parameters
    assert proposals < detector
    carried = set(learning(read(net, "stage2_rpn_train.pt")))
    assert carried == with_parameters - {"cls_score", "bbox_pred"}


@pytest.mark.parametrize("net", NETS)
def test_anchor_counts_agree_in_all_nets(net):
    counts = set()
    for name in (f for f in FILES if "solver" not in f):
        message = {layer.name: layer for layer in read(net, name).layer}
        scores = message["rpn_cls_score"].convolution_param.num_output
        assert message["rpn_bbox_pred"].convolution_param.num_output == 2 * scores
        params = {layer.python_param.param_str for layer in message.values()
                  if layer.name in ("proposal", "rpn-data")}
        counts.add((scores, *params) if params else (scores,))
        if "rpn_cls_prob_reshape" in message:
            dims = list(message["rpn_cls_prob_reshape"].reshape_param.shape.dim)
            assert dims == [0, scores, -1, 0]
    assert len({count[0] for count in counts}) == 1
    assert len({count[1] for count in counts if len(count) > 1}) == 1


@pytest.mark.parametrize("net,prefix", (("ZF", "zf"), ("VGG_CNN_M_1024", "vgg_cnn_m_1024"),
                                        ("VGG16", "vgg16")))
@pytest.mark.parametrize("kind,numbers,stepsize", (("rpn", "60k80k", 60000),
                                                   ("fast_rcnn", "30k40k", 30000)))
@pytest.mark.parametrize("stage", (1, 2))
def test_published_solver_numbers(net, prefix, kind, numbers, stepsize, stage):
    solver = prototxt.read_solver(path_of(net, f"stage{stage}_{kind}_solver{numbers}.pt"))
    assert solver.train_net == (f"models/pascal_voc/{net}/faster_rcnn_alt_opt/"
                                f"stage{stage}_{kind}_train.pt")
    assert (solver.lr_policy, solver.stepsize, solver.display) == ("step", stepsize, 20)
    assert (solver.average_loss, solver.snapshot, solver.iter_size) == (100, 0, 1)
    assert solver.snapshot_prefix == f"{prefix}_{kind}"
    rates = (solver.base_lr, solver.gamma, solver.momentum, solver.weight_decay)
    assert rates == pytest.approx((0.001, 0.1, 0.9, 0.0005))


def test_zf_keeps_its_peculiarities():
    layers = {layer.name: layer for layer in read("ZF", "stage1_fast_rcnn_train.pt").layer}
    assert layers["drop6"].dropout_param.scale_train is False
    norm = layers["norm1"].lrn_param
    assert (norm.local_size, norm.norm_region) == (3, norm.WITHIN_CHANNEL)
    assert (norm.alpha, norm.beta) == pytest.approx((5e-5, 0.75))
    assert layers["pool1"].pooling_param.pad == 1
    assert list(layers["loss_cls"].top) == ["cls_loss"]
    assert list(layers["loss_bbox"].top) == ["bbox_loss"]


def test_vgg16_keeps_its_names():
    layers = {layer.name: layer for layer in read("VGG16", "stage1_fast_rcnn_train.pt").layer}
    pool = layers["roi_pool5"]
    assert (list(pool.bottom), list(pool.top)) == (["conv5_3", "rois"], ["pool5"])
    assert (pool.roi_pooling_param.pooled_h, pool.roi_pooling_param.spatial_scale) == (7, 0.0625)
    assert list(layers["loss_cls"].top) == ["loss_cls"]
    assert layers["drop7"].dropout_param.scale_train is True
    carried = {layer.name: layer for layer in read("VGG16", "stage1_rpn_train.pt").layer}
    assert list(carried["dummy_roi_pool_conv5"].dummy_data_param.shape[0].dim) == [1, 25088]

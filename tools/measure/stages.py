"""Nets at their stages, with random weights and drawn pictures: what tools/bench.py measures.

    with settings_of("VGG16", "stage1_rpn"), tempfile.TemporaryDirectory() as folder:
        run, net, message = case("VGG16", "stage1_rpn", folder)

Stages are a test, the four trainings of the alternating schedule, and joint training. A training
iteration is all of `solver.step(1)`: waiting for the next minibatch, forward, backward, update.
"""
import contextlib
import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import torch

import caffe
from caffe.files import prototxt
from caffe.proto.caffe_pb2 import NetParameter
from faster_rcnn.commands import start
from faster_rcnn.networks.methods import joint
from faster_rcnn.schedules import alternating
from faster_rcnn.settings.config import cfg, cfg_from_file, cfg_override
from faster_rcnn.synthetic.random_imdb import SyntheticImdb
from faster_rcnn.training.solver_wrapper import SolverWrapper
from faster_rcnn.training.training_images import get_training_roidb

TEST, JOINT = "test", "joint"
ALTERNATING = ("stage1_rpn", "stage1_fast_rcnn", "stage2_rpn", "stage2_fast_rcnn")
STAGES = (TEST, *ALTERNATING, JOINT)
HEIGHT, WIDTH = 600, 800        # of the pictures
CLASSES = 21
Run = Callable[[], Any]
Case = tuple[Run, caffe.Net, NetParameter]


@contextlib.contextmanager
def settings_of(net_name: str, stage: str, more: Mapping[str, Any] | None = None) -> Iterator[None]:
    """The settings of a net's stage, for drawn pictures; more: further ones of cfg.TRAIN."""
    step = next((step.settings for step in alternating.STEPS if step.name == stage), {})
    with cfg_override(**step):
        if stage == JOINT:
            cfg_from_file(_settings_file(net_name))
        with cfg_override(TRAIN={"USE_FLIPPED": False, "BG_THRESH_LO": 0.0, **(more or {})}):
            yield


def case(net_name: str, stage: str, folder: str, height: int = HEIGHT, width: int = WIDTH) -> Case:
    """(run it once, the net, its message) of a stage, on the device and with the precision that
    caffe is set to; folder: for the pictures of a training."""
    np.random.seed(cfg.RNG_SEED)
    caffe.set_random_seed(cfg.RNG_SEED)
    if stage == TEST:
        return test_case(net_name, height, width)
    return training_case(net_name, stage, folder, height, width)


def test_case(net_name: str, height: int = HEIGHT, width: int = WIDTH) -> Case:
    """`case` of a test net, on a random picture."""
    path = model_file(net_name, alternating.METHOD, "faster_rcnn_test.pt")
    net = caffe.Net(path, caffe.TEST)
    fill_random(net)
    image = np.random.RandomState(0).normal(0, 60, (1, 3, height, width)).astype(np.float32)
    net.blobs["data"].reshape(*image.shape)
    net.blobs["data"].data[...] = image
    net.blobs["im_info"].reshape(1, 3)
    net.blobs["im_info"].data[...] = (height, width, 1)
    return net.forward, net, prototxt.read_net(path)


def training_case(net_name: str, stage: str, folder: str, height: int = HEIGHT,
                  width: int = WIDTH) -> Case:
    """`case` of a training; its first iteration is done."""
    message = prototxt.read_solver(_solver_file(net_name, stage))
    net_path = start.find_net(os.path.join(cfg.ROOT_DIR, message.train_net), "prototxt")
    message.train_net = net_path
    message.display = 0
    imdb = SyntheticImdb(folder, CLASSES, width, height)
    imdb.set_proposal_method(cfg.TRAIN.PROPOSAL_METHOD)
    wrapper = SolverWrapper(message, get_training_roidb(imdb), folder)
    fill_random(wrapper.solver.net)
    wrapper.solver.step(1)
    return lambda: wrapper.solver.step(1), wrapper.solver.net, prototxt.read_net(net_path)


def fill_random(net: caffe.Net) -> None:
    """Weights that keep activations of ordinary size (He), small box deltas."""
    generator = torch.Generator().manual_seed(cfg.RNG_SEED)
    for name, blobs in net.params.items():
        for blob in blobs:
            weight = blob.tensor.detach()
            fan_in = max(1, weight[0].numel()) if weight.dim() > 1 else 0
            std = 0.001 if "bbox_pred" in name else (2 / fan_in) ** 0.5 if fan_in else 0.0
            weight.copy_(torch.randn(weight.shape, generator=generator) * std)


def model_file(net_name: str, method: str, name: str) -> str:
    """The path of one of a net's prototxts, written on first use."""
    return start.find_net(os.path.join(cfg.MODELS_DIR, net_name, method, name), "prototxt")


def _solver_file(net_name: str, stage: str) -> str:
    if stage == JOINT:
        return model_file(net_name, joint.METHOD, "solver.prototxt")
    step = next(step for step in alternating.STEPS if step.name == stage)
    return model_file(net_name, alternating.METHOD, step.prototxt)


def _settings_file(net_name: str) -> str:
    folder = os.path.join(cfg.ROOT_DIR, "experiments", "cfgs")
    own = os.path.join(folder, f"{joint.METHOD}_{net_name}.yml")
    return own if os.path.exists(own) else os.path.join(folder, f"{joint.METHOD}.yml")

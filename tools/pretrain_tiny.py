#!/usr/bin/env python
"""Pretrains the shared layers of Tiny on drawn crops and writes data/imagenet_models/Tiny.v2.caffemodel.

    ./tools/pretrain_tiny.py                     # what the committed file was made with (seed 5)

The net is the backbone of models/backbones.py with a small classifier on top, trained by our SGDSolver
to tell the six shapes and background apart (datasets.shape_crops draws the crops). Only the shared
layers are written. Everything that was used is left in output/pretrain_tiny/.
"""
import argparse
import logging
import os
import sys

import _init_paths
import caffe
import numpy as np
from caffe.net_spec import NetSpec
from caffe.net_spec import layers as L
from fast_rcnn import cli
from utils.files import write_text
from utils.prototxt_text import message_text

sys.path.insert(0, str(_init_paths.ROOT / "models"))
from backbones import tiny_features
from spec_layers import fc, max_pool, python, relu, trained, xavier

logger = logging.getLogger("pretrain_tiny")
SIDE, BATCH = 64, 64
# conv1 sees numbers of about +-60: weights as much smaller, and a rate that fits them
CONV1_SCALE, CONV1_RATE = 1 / 60, 3e-4
SOLVER = """\
train_net: "{net}"
base_lr: {rate}
lr_policy: "multistep"
gamma: 0.1
stepvalue: {first}
stepvalue: {second}
momentum: 0.9
weight_decay: 0.0005
display: 100
average_loss: 100
max_iter: {iters}
snapshot: 0
snapshot_prefix: "tiny_pretrain"
"""


def parse_args(argv=None):
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    root = _init_paths.ROOT
    parser.add_argument("--output", default=str(root / "data/imagenet_models/Tiny.v2.caffemodel"))
    parser.add_argument("--work", default=str(root / "output/pretrain_tiny"),
                        help="folder for the prototxts (%(default)s)")
    parser.add_argument("--iters", type=int, default=4000)
    parser.add_argument("--pool", type=int, default=12000, help="crops to draw (%(default)s)")
    parser.add_argument("--rate", type=float, default=0.03, help="learning rate (%(default)s)")
    parser.add_argument("--seed", type=int, default=5)
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    return parser.parse_args(argv)


def net_message(pool, seed, batch=BATCH):
    """NetParameter: crops -> Tiny's shared layers -> pooling, fc, scores, loss and accuracy."""
    spec = NetSpec()
    options = f"{{batch: {batch}, side: {SIDE}, pool: {pool}, seed: {seed}}}"
    python(spec, "data", "datasets.shape_crops", "ShapeCropLayer", options, [], ["data", "labels"])
    top = max_pool(spec, "pool", tiny_features(spec, trained), 2, 2)
    top = relu(spec, "relu_crop", fc(spec, "fc_crop", top, 128, trained, xavier()))
    scores = fc(spec, "crop_score", top, 7, trained, xavier())
    spec["loss"] = L.SoftmaxWithLoss(spec[scores], spec["labels"], name="loss")
    spec["accuracy"] = L.Accuracy(spec[scores], spec["labels"], name="accuracy")
    message = spec.to_proto()
    message.name = "Tiny_crops"
    for layer in message.layer:
        if layer.type == "Convolution":
            layer.convolution_param.weight_filler.type = "msra"
            layer.convolution_param.bias_filler.type = "constant"
        if layer.name == "conv1":
            layer.param[0].lr_mult = CONV1_RATE
    return message


def accuracy(solver, batches):
    """Share of right answers over some minibatches, without training on them."""
    values = []
    for _ in range(batches):
        solver.net.forward()
        values.append(float(solver.net.blobs["accuracy"].data))
    return float(np.mean(values))


def train(args):
    """Trains as the options say; returns the trained solver."""
    os.makedirs(args.work, exist_ok=True)
    net_path = os.path.join(args.work, "train.pt")
    solver_path = os.path.join(args.work, "solver.pt")
    write_text(net_path, message_text(net_message(args.pool, args.seed)))
    write_text(solver_path, SOLVER.format(net=net_path, rate=args.rate, iters=args.iters,
                                          first=args.iters * 7 // 10, second=args.iters * 9 // 10))
    caffe.set_mode_cpu()
    caffe.set_random_seed(args.seed)
    solver = caffe.SGDSolver(solver_path)
    solver.net.params["conv1"][0].data[...] *= CONV1_SCALE
    while solver.iter < args.iters:
        solver.step(min(200, args.iters - solver.iter))
        logger.info("iteration %d, loss %.4f", solver.iter, solver.smoothed_loss)
    return solver


def main(argv=None):
    args = parse_args(argv)
    solver = train(args)
    logger.info("accuracy on %d varied crops: %.4f", 20 * BATCH, accuracy(solver, 20))
    layers = [(name, "Convolution", [blob.data for blob in blobs])
              for name, blobs in solver.net.params.items() if name.startswith("conv")]
    os.makedirs(os.path.dirname(args.output), exist_ok=True)
    caffe.weights.write_weights(args.output, "Tiny", layers)
    logger.info("wrote %s: %s", args.output, ", ".join(name for name, *_ in layers))


if __name__ == "__main__":
    sys.exit(cli.run(main))

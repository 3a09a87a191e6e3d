#!/usr/bin/env python3
"""Pretrains the shared layers of Tiny on drawn crops: data/imagenet_models/Tiny.v2.caffemodel.

    ./tools/pretrain_tiny.py                     # what the committed file was made with (seed 5)

The net is the backbone Tiny of faster_rcnn.networks with a small classifier on top, trained by our
SGDSolver to tell the six shapes and background apart (faster_rcnn.synthetic.shape_crops draws the
crops). It is trained with BatchNorm, which is then folded into the convolutions; only these are
written. The prototxts stay in output/pretrain_tiny/.
"""
import argparse
import logging
import os

import _init_paths
import numpy as np

import caffe
from caffe.net_spec import NetSpec
from caffe.net_spec import layers as L
from caffe.proto import caffe_pb2
from faster_rcnn.commands import tool
from faster_rcnn.files.atomic import write_text
from faster_rcnn.networks.backbones.layers import fc, max_pool, python, relu, trained, xavier
from faster_rcnn.networks.backbones.tiny import tiny_features
from faster_rcnn.networks.text import message_text

logger = logging.getLogger("pretrain_tiny")
SIDE, BATCH = 64, 64
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


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    root = _init_paths.ROOT
    parser.add_argument("--output", default=str(root / "data/imagenet_models/Tiny.v2.caffemodel"),
                        help="the .caffemodel to write (%(default)s)")
    parser.add_argument("--work", default=str(root / "output/pretrain_tiny"),
                        help="folder for the prototxts (%(default)s)")
    parser.add_argument("--iters", type=int, default=4000, help="iterations (%(default)s)")
    parser.add_argument("--pool", type=int, default=12000, help="crops to draw (%(default)s)")
    parser.add_argument("--rate", type=float, default=0.02, help="learning rate (%(default)s)")
    parser.add_argument("--seed", type=int, default=5, help="seed (%(default)s)")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    return parser.parse_args(argv)


def net_message(pool: int, seed: int, batch_norm: bool) -> caffe_pb2.NetParameter:
    """NetParameter: crops -> Tiny's shared layers -> pooling, fc, scores, loss and accuracy.

    batch_norm: with BatchNorm and Scale behind every convolution, as it is trained; without, as
    the detector has it.
    """
    spec = NetSpec()
    options = f"{{batch: {BATCH}, side: {SIDE}, pool: {pool}, seed: {seed}}}"
    python(spec, "data", "faster_rcnn.synthetic.shape_crops", "ShapeCropLayer", options, [],
           ["data", "labels"])
    top = max_pool(spec, "pool", tiny_features(spec, trained), 2, 2)
    top = relu(spec, "relu_crop", fc(spec, "fc_crop", top, 128, trained, xavier()))
    scores = fc(spec, "crop_score", top, 7, trained, xavier())
    spec["loss"] = L.SoftmaxWithLoss(spec[scores], spec["labels"], name="loss")
    spec["accuracy"] = L.Accuracy(spec[scores], spec["labels"], name="accuracy")
    message = spec.to_proto()
    message.name = "Tiny_crops"
    layers = list(message.layer)
    del message.layer[:]
    for layer in layers:
        message.layer.add().CopyFrom(layer)
        if layer.type == "Convolution":
            message.layer[-1].convolution_param.weight_filler.type = "msra"
            if batch_norm:
                _add_batch_norm(message, layer.name)
    return message


def _add_batch_norm(message: caffe_pb2.NetParameter, blob: str) -> None:
    """BatchNorm and Scale in place on the top of a convolution."""
    for kind in ("BatchNorm", "Scale"):
        layer = message.layer.add(name=f"{blob}_{kind}", type=kind, bottom=[blob], top=[blob])
    layer.scale_param.filler.type, layer.scale_param.filler.value = "constant", 1
    layer.scale_param.bias_term = True


def folded(net: caffe.Net) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """{convolution: (weight, bias)} that do the work of its BatchNorm and Scale as well."""
    result = {}
    for name in (name for name in net.params if f"{name}_BatchNorm" in net.params):
        weight, bias = (blob.data for blob in net.params[name])
        mean, variance, count = (blob.data for blob in net.params[f"{name}_BatchNorm"])
        gain, shift = (blob.data for blob in net.params[f"{name}_Scale"])
        factor = gain / np.sqrt(variance / count[0] + 1e-5)       # Caffe: batch_norm_layer.cpp, eps
        result[name] = (weight * factor[:, None, None, None],
                        (bias - mean / count[0]) * factor + shift)
    return result


def train(args: argparse.Namespace) -> caffe.Net:
    """Trains as the options say; returns the trained net."""
    os.makedirs(args.work, exist_ok=True)
    net_path = os.path.join(args.work, "train.pt")
    solver_path = os.path.join(args.work, "solver.pt")
    write_text(net_path, message_text(net_message(args.pool, args.seed, batch_norm=True)))
    write_text(solver_path, SOLVER.format(net=net_path, rate=args.rate, iters=args.iters,
                                          first=args.iters * 7 // 10, second=args.iters * 9 // 10))
    caffe.set_mode_cpu()
    caffe.set_random_seed(args.seed)
    solver = caffe.SGDSolver(solver_path)
    while solver.iter < args.iters:
        solver.step(min(200, args.iters - solver.iter))
        logger.info("iteration %d, loss %.4f", solver.iter, solver.smoothed_loss)
    return solver.net


def held_out_accuracy(trained_net: caffe.Net,
                      convolutions: dict[str, tuple[np.ndarray, np.ndarray]], seed: int,
                      batches: int = 16) -> float:
    """Share of right answers of the net without BatchNorm, on crops that were not trained on."""
    net = caffe.Net(net_message(batches * BATCH, seed + 1, batch_norm=False), caffe.TEST)
    for name, blobs in net.params.items():
        source = convolutions.get(name) or [blob.data for blob in trained_net.params[name]]
        for blob, values in zip(blobs, source):
            blob.data[...] = values
    return float(np.mean([net.forward()["accuracy"] for _ in range(batches)]))


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    net = train(args)
    convolutions = folded(net)
    logger.info("accuracy on held-out crops: %.4f", held_out_accuracy(net, convolutions, args.seed))
    os.makedirs(os.path.dirname(args.output), exist_ok=True)
    caffe.weights.write_weights(args.output, "Tiny", [
        (name, "Convolution", list(blobs)) for name, blobs in convolutions.items()])
    logger.info("wrote %s: %s", args.output, ", ".join(convolutions))


if __name__ == "__main__":
    tool.run(main)

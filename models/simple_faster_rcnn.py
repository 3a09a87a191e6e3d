"""The two nets and the solver of the recipe of simple-faster-rcnn-pytorch (`simple_faster_rcnn`).

Approximate joint training as in joint.py, but: a head without Dropout, no weight decay of biases,
and an update per image. Its settings are experiments/cfgs/simple_faster_rcnn.yml.
"""
from dataclasses import replace

import detector
import joint
from spec_layers import bias_undecayed

METHOD = "simple_faster_rcnn"
# 14 epochs of 10,022 images (5,011 and their mirror images); the rate drops after 9
ITERATIONS, STEPSIZE = 140000, 90000


def files(backbone):
    """File name -> solver text, or (NetParameter, {layer name: comment above it})."""
    backbone = replace(joint.published(backbone), dropout=None)
    return {"train.prototxt": joint.train(backbone, rates=bias_undecayed),
            "test.prototxt": detector.detection_net(backbone),
            "solver.prototxt": detector.solver(backbone, f"{METHOD}/train.prototxt",
                                               f"{backbone.prefix}_{METHOD}", STEPSIZE, ITERATIONS)}

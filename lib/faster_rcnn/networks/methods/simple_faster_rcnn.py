"""The two nets and the solver of the recipe of simple-faster-rcnn-pytorch (`simple_faster_rcnn`).

Approximate joint training as in joint.py, but: a head without Dropout, no weight decay of biases,
and an update per image. Its settings are experiments/cfgs/simple_faster_rcnn.yml.
"""
from dataclasses import replace
from functools import partial

from faster_rcnn.networks.backbones.description import Backbone
from faster_rcnn.networks.backbones.layers import bias_undecayed
from faster_rcnn.networks.methods import detector, joint
from faster_rcnn.networks.methods.detector import Files
from faster_rcnn.networks.methods.solvers import solver_text

METHOD = "simple_faster_rcnn"
# 14 epochs of 10,022 images (5,011 and their mirror images); the rate drops after 9
ITERATIONS, STEPSIZE = 140000, 90000


def files(backbone: Backbone) -> Files:
    """The method's nets and solvers for a backbone."""
    backbone = replace(joint.published(backbone), dropout=None)
    return {"train.prototxt": partial(joint.train, backbone, rates=bias_undecayed),
            "test.prototxt": partial(detector.detection_net, backbone),
            "solver.prototxt": partial(solver_text, backbone, f"{METHOD}/train.prototxt", METHOD,
                                       STEPSIZE, ITERATIONS)}

"""A detector of two classes with random weights, its description and a picture for it."""
import os

import numpy as np

import caffe
from caffe.files import prototxt
from faster_rcnn.detectors.description_files import weights_file, write_beside
from faster_rcnn.detectors.making import describe
from faster_rcnn.prototxts.changes import change_net
from faster_rcnn.prototxts.options import NetOptions
from faster_rcnn.settings.config import cfg, cfg_override

CLASSES = ("dark", "light")
TEST = {"SCALES": (96,), "MAX_SIZE": 160, "RPN_MIN_SIZE": 8, "RPN_POST_NMS_TOP_N": 40}
# Scores and deltas that are neither all alike nor all the same
FACTORS = {"conv1": 0.02, "cls_score": 0.3, "bbox_pred": 0.05, "rpn_bbox_pred": 0.1}
MODEL = os.path.join(cfg.MODELS_DIR, "Tiny", "faster_rcnn_alt_opt", "faster_rcnn_test.pt")


def small_net():
    """The test net of Tiny for the two classes, a NetParameter."""
    return change_net(prototxt.read_net(MODEL), NetOptions(3), "Tiny").net


def write_weights(path, seed=5):
    """Random weights for that net, whose scores differ from roi to roi."""
    rng = np.random.default_rng(seed)
    net = caffe.Net(small_net(), caffe.TEST)
    for name, (weight, bias) in net.params.items():
        spread = np.sqrt(2 / np.prod(weight.data.shape[1:]))
        weight.data[...] = rng.normal(0, spread, weight.data.shape)
        bias.data[...] = rng.normal(0, 0.1, bias.data.shape)
        weight.data[...] *= FACTORS.get(name, 1)
    net.save(str(path))


def write_detector(folder, name="small.caffemodel", seed=5, threshold=0.25):
    """Weights with their description in a folder; returns the path of the weights."""
    path = os.path.join(str(folder), name)
    write_weights(path, seed)
    with cfg_override(TEST=TEST):
        write_beside(describe(small_net(), CLASSES, weights_file(path), threshold), path)
    return path


def picture(seed=1, height=96, width=128):
    """Noise with two rectangles, (height, width, 3) uint8."""
    rng = np.random.default_rng(seed)
    im = rng.integers(90, 160, (height, width, 3), dtype=np.uint8)
    im[20:60, 10:50], im[30:80, 70:110] = 20, 235
    return im

"""Proposals and detectors for the handful of pictures, for the tools that run without an RPN."""
import os

import numpy as np
import scipy.io

import caffe
from caffe.files import prototxt
from faster_rcnn.datasets.factory import get_imdb
from faster_rcnn.prototxts.changes import change_net
from faster_rcnn.prototxts.options import NetOptions
from faster_rcnn.settings.config import cfg

MODEL = os.path.join(cfg.MODELS_DIR, "Tiny", "fast_rcnn")
TEST_NET = os.path.join(MODEL, "test.prototxt")
WIDTH, HEIGHT = 160, 120


def draw_boxes(rng, annotated):
    """Boxes (R, 4), from 0, in a picture: eight around every annotated one, sixteen anywhere."""
    near = np.repeat(annotated.astype(int), 8, axis=0)
    near += rng.integers(-6, 7, near.shape)
    corners = rng.integers(0, (WIDTH - 25, HEIGHT - 25), (16, 2))
    anywhere = np.hstack((corners, corners + rng.integers(12, 60, (16, 2))))
    boxes = np.vstack((near, anywhere))
    return np.clip(boxes, 0, (WIDTH - 1, HEIGHT - 1) * 2)


def write_proposals(card, split, data_dir):
    """Selective search boxes of a split, in their usual place below data_dir.

    Returns the boxes as float32 arrays, in the order of the data set.
    """
    rng = np.random.default_rng(len(split))
    found = [draw_boxes(rng, entry["boxes"]) for entry in get_imdb(f"{card}:{split}").gt_roidb()]
    cells = np.empty((1, len(found)), object)
    cells[0, :] = [boxes[:, (1, 0, 3, 2)] + 1.0 for boxes in found]
    folder = os.path.join(data_dir, "selective_search_data")
    os.makedirs(folder, exist_ok=True)
    scipy.io.savemat(os.path.join(folder, f"handful_{split}.mat"), {"boxes": cells})
    return [boxes.astype(np.float32) for boxes in found]


def detector():
    """The Fast R-CNN net of Tiny for three classes."""
    message = prototxt.read_net(TEST_NET)
    message, _ = change_net(message, NetOptions(3), "Tiny")
    return caffe.Net(message, caffe.TEST)


def scores_and_features(weights, image, boxes):
    """cls_score (R, 3) and fc7 (R, 128) of boxes of an image, one after the other, at scale 1."""
    net = detector()
    net.copy_from(weights)
    data = (image - cfg.PIXEL_MEANS).astype(np.float32).transpose(2, 0, 1)[None]
    net.blobs["data"].reshape(*data.shape)
    rows = []
    for box in boxes:
        net.forward(data=data, rois=np.array([[0, *box]], np.float32))
        rows.append((net.blobs["cls_score"].data[0].copy(), net.blobs["fc7"].data[0].copy()))
    return tuple(np.array(part) for part in zip(*rows))


def write_detector(path):
    """Random weights for that net."""
    rng = np.random.default_rng(11)
    net = detector()
    for weight, bias in net.params.values():
        spread = np.sqrt(2 / np.prod(weight.data.shape[1:]))
        weight.data[...] = rng.normal(0, spread, weight.data.shape)
        bias.data[...] = rng.normal(0, 0.1, bias.data.shape)
    for name, factor in (("cls_score", 0.01), ("bbox_pred", 0.0005)):
        net.params[name][0].data[...] *= factor
    net.params["cls_score"][1].data[...] = (0, -1.8, -0.6)
    net.save(path)

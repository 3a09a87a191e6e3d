"""Fixtures of trainings: solvers, settings and images so small that an iteration takes no time."""
import cv2
import numpy as np
import pytest
import scipy.sparse
from listed_images import ListedImages
from small_training import SETTINGS, net_text

from faster_rcnn.minibatches.roidb import prepare_roidb
from faster_rcnn.settings.config import cfg_override


@pytest.fixture
def make(tmp_path):
    """make(kind, **numbers): path of a solver's prototxt, with its net beside it."""
    def make(kind, **numbers):
        net, solver = tmp_path / f"{kind}.pt", tmp_path / f"{kind}_solver.pt"
        net.write_text(net_text(kind))
        numbers = {"base_lr": 0.02, "lr_policy": '"step"', "gamma": 0.5, "stepsize": 5,
                   "momentum": 0.9, "weight_decay": 0.0005, "display": 0, **numbers}
        lines = [f"{key}: {value}" for key, value in numbers.items()]
        solver.write_text(f'train_net: "{net}"\nsnapshot_prefix: "tiny"\n' + "\n".join(lines))
        return str(solver)
    return make


@pytest.fixture
def settings():
    """settings(kind, **more): the configuration of a kind of net, on small images."""
    return lambda kind, **more: cfg_override(TRAIN={
        "SCALES": [48], "MAX_SIZE": 80, "SNAPSHOT_ITERS": 1000, **SETTINGS[kind], **more})


@pytest.fixture
def roidb(tmp_path):
    """Four noisy images with two annotations and twenty proposals each."""
    rng, entries = np.random.RandomState(5), []
    paths = [str(tmp_path / f"noise{i}.png") for i in range(4)]
    for i in range(4):
        cv2.imwrite(paths[i], rng.randint(0, 256, (48, 64, 3), np.uint8))
        gt = np.array([[4, 4, 19, 19], [30, 20, 45, 35]]) + rng.randint(0, 4, (2, 1))
        near = np.repeat(gt, 10, axis=0) + rng.randint(-4, 5, (20, 4))
        overlaps = np.zeros((22, 3), np.float32)
        overlaps[[0, 1], [1, 2]] = 1
        overlaps[2:12, 1] = overlaps[12:, 2] = rng.rand(10)
        entries.append({"boxes": np.vstack((gt, near)).astype(np.float32), "flipped": i % 2 == 1,
                        "gt_classes": np.array([1, 2] + [0] * 20, np.int32),
                        "gt_overlaps": scipy.sparse.csr_matrix(overlaps)})
    prepare_roidb(ListedImages(paths, entries))
    return entries

"""A training net on one small noisy image, with random weights where it waits for ImageNet's."""
import cv2
import numpy as np
import scipy.sparse
from listed_images import ListedImages

import caffe
from faster_rcnn.minibatches.roidb import prepare_roidb
from faster_rcnn.settings.config import cfg_override

SIZE = (96, 128)
JOINT = {"HAS_RPN": True, "IMS_PER_BATCH": 1, "BBOX_NORMALIZE_TARGETS_PRECOMPUTED": True,
         "SCALES": [SIZE[0]], "MAX_SIZE": SIZE[1], "BATCH_SIZE": 8, "BG_THRESH_LO": 0.0,
         "RPN_BATCHSIZE": 32, "RPN_PRE_NMS_TOP_N": 100, "RPN_POST_NMS_TOP_N": 12,
         "LOADER_THREADS": 1}


def joint(**more):
    """The settings of joint training, as a context."""
    return cfg_override(TRAIN={**JOINT, **more}, TEST={"HAS_RPN": True, "SCALES": [SIZE[0]],
                                                       "RPN_POST_NMS_TOP_N": 12})


def roidb(folder, num_classes=21, proposals=0):
    """One image of noise with objects of classes 1 and 2, and proposals around them."""
    rng, path = np.random.RandomState(5), str(folder / "noise.png")
    cv2.imwrite(path, rng.randint(0, 256, (*SIZE, 3), np.uint8))
    gt = np.array([[10, 10, 50, 60], [60, 30, 110, 80]])
    near = np.repeat(gt, proposals // 2, axis=0) + rng.randint(-8, 9, (proposals, 4))
    overlaps = np.zeros((2 + proposals, num_classes), np.float32)
    overlaps[[0, 1], [1, 2]] = 1
    for half, rows in enumerate(np.split(np.arange(2, 2 + proposals), 2)):
        overlaps[rows, 1 + half] = rng.rand(len(rows))
    entry = {"boxes": np.vstack((gt, near)).astype(np.float32), "flipped": False,
             "gt_classes": np.array([1, 2] + [0] * proposals, np.int32),
             "gt_overlaps": scipy.sparse.csr_matrix(overlaps)}

    prepare_roidb(ListedImages([path], [entry]))
    return [entry]


def solver_of(net_path, folder, rate=0.001):
    """A solver for a net: its path."""
    path = folder / "solver.prototxt"
    path.write_text(f'train_net: "{net_path}" base_lr: {rate} lr_policy: "fixed" momentum: 0.9 '
                    'weight_decay: 0.0005 display: 0 snapshot_prefix: "small"')
    return str(path)


def initialise(net):
    """Random weights where a net has zeros, statistics 0 and 1 in its BatchNorm layers."""
    rng = np.random.RandomState(3)
    types = {layer.name: layer.type for layer in net.layers}
    for name, blobs in net.params.items():
        weight = blobs[0].data
        if types[name] == "BatchNorm":
            blobs[1].data[...] = blobs[2].data[...] = 1
        elif types[name] != "Scale" and not weight.any():
            spread = np.sqrt(2 / np.prod(weight.shape[1:]))
            weight[...] = rng.standard_normal(weight.shape).astype(np.float32) * spread
        elif name.endswith("branch2c"):
            weight[...] = 0.2      # of a Scale: the sum of many units stays small


def trained(net_path, folder, entries, iterations=1):
    """The solver after some iterations, and all parameters before them."""
    np.random.seed(3)
    caffe.set_random_seed(3)
    solver = caffe.SGDSolver(solver_of(net_path, folder))
    initialise(solver.net)
    before = {name: [blob.data.copy() for blob in blobs]
              for name, blobs in solver.net.params.items()}
    solver.net.layers[0].set_roidb(entries)
    solver.step(iterations)
    return solver, before


def moved(net, before):
    """Names of the layers with a parameter that is not what it was."""
    return {name for name, blobs in net.params.items()
            if any((blob.data != old).any() for blob, old in zip(blobs, before[name]))}

"""Joint training against a run of py-faster-rcnn, step by step (tests/golden/end2end.zip).

15 iterations of a tiny net on one image, two passes each; quotas so large that nothing is drawn.
"""
import os

import cv2
import golden
import numpy as np
import pytest
import scipy.sparse

from caffe.files import prototxt, weights
from faster_rcnn.datasets.imdb import imdb
from faster_rcnn.minibatches.roidb import prepare_roidb
from faster_rcnn.settings.config import cfg, cfg_from_file, cfg_override
from faster_rcnn.training.solver_wrapper import SolverWrapper

LOSSES = ("rpn_cls_loss", "rpn_loss_bbox", "cls_loss", "bbox_loss")


@pytest.fixture(scope="module")
def recorded():
    return golden.read_arrays("end2end/expected")


class OneImage(imdb):
    """The recorded image, `copies` times."""

    def __init__(self, folder, copies):
        imdb.__init__(self, "recorded")
        self._classes = ["__background__", "rbc", "wbc", "platelets"]
        self._image_index = list(range(copies))
        self._path = os.path.join(folder, "image.png")
        arrays = golden.read_arrays("end2end/image")
        cv2.imwrite(self._path, arrays["image"])
        self._boxes, self._gt_classes = arrays["boxes"], arrays["classes"]
        self.roidb_handler = lambda: [self._entry() for _ in range(copies)]

    def image_path_at(self, i):
        return self._path

    def _entry(self):
        overlaps = np.zeros((len(self._boxes), 4), np.float32)
        overlaps[np.arange(len(self._boxes)), self._gt_classes] = 1
        return {"boxes": self._boxes, "gt_classes": self._gt_classes, "flipped": False,
                "gt_overlaps": scipy.sparse.csr_matrix(overlaps)}


# The same two images per update: in two passes, as recorded, or as one batch
@pytest.mark.parametrize("images,iter_size", ((1, 2), (2, 1)))
def test_the_recorded_path(recorded, tmp_path, images, iter_size):
    golden.unpack("end2end", tmp_path)
    data = OneImage(str(tmp_path), images)
    param = prototxt.read_solver(str(tmp_path / "solver.prototxt"))
    param.train_net, param.iter_size = str(tmp_path / "train.prototxt"), iter_size
    with cfg_override():
        cfg_from_file(str(tmp_path / "cfg.yml"))
        cfg.TRAIN.SCALES, cfg.TRAIN.IMS_PER_BATCH = (330,), images
        prepare_roidb(data)
        wrapper = SolverWrapper(param, data.roidb, str(tmp_path),
                                str(tmp_path / "init.caffemodel"))
        losses = []
        for _ in range(15):
            wrapper.solver.step(1)
            blobs = wrapper.solver.net.blobs
            losses.append([float(blobs[name].data) for name in LOSSES])
            labels = blobs["labels"].data
            assert ((labels > 0).sum() / images, (labels == 0).sum() / images) == tuple(
                recorded["train/counts"][len(losses) - 1, 2:])
        stored = weights.read_weights(wrapper.snapshot())
    wanted = np.stack([recorded[f"train/loss/{name}"] for name in LOSSES], 1)
    np.testing.assert_allclose(losses, wanted, rtol=2e-4)
    for name, blobs in stored.items():
        for i, blob in enumerate(blobs):
            moved = recorded[f"train/moved/{name}/{i}"]
            scale = 0.2 if name == "bbox_pred" else 1       # the file holds plain targets
            np.testing.assert_allclose(blob, recorded[f"train/file/{name}/{i}"], rtol=0,
                                       atol=1e-3 * moved * scale + 1e-12)

"""Names of py-faster-rcnn and Fast R-CNN that other projects import, with their right values."""
import multiprocessing

import cv2
import numpy as np
import pytest

import datasets
from datasets.imdb import imdb
from fast_rcnn.config import _merge_a_into_b, cfg
from fast_rcnn.nms_wrapper import soft_nms
from fast_rcnn.test import _bbox_pred, _clip_boxes
from faster_rcnn.settings.config import ConfigKeyError, cfg_override
from nms.cpu_nms import cpu_soft_nms
from roi_data_layer import minibatch
from roi_data_layer.layer import BlobFetcher
from roi_data_layer.roidb import _compute_targets as targets_of_entry
from rpn import anchor_target_layer, generate, proposal_target_layer
from rpn.proposal_layer import _filter_boxes
from utils.cython_nms import nms as cython_nms
from utils.nms import nms as plain_nms

# two boxes that share 50 of 150 pixels, and one alone
DETS = np.array([[0, 0, 9, 9, 0.9], [5, 0, 14, 9, 0.8], [40, 0, 49, 9, 0.7]], np.float32)


@pytest.fixture
def entry(tmp_path):
    """A prepared roidb entry, 40 x 30: an annotation, a box half on it, one far away."""
    cv2.imwrite(str(tmp_path / "im.png"), np.full((30, 40, 3), 200, np.uint8))
    return {"image": str(tmp_path / "im.png"), "flipped": True, "width": 40, "height": 30,
            "boxes": np.array([[0, 0, 9, 9], [5, 0, 14, 9], [20, 20, 29, 29]], np.float32),
            "gt_classes": np.array([2, 0, 0]), "max_classes": np.array([2, 2, 0]),
            "max_overlaps": np.array([1, 1 / 3, 0], np.float32),
            "bbox_targets": np.array([[2, .1, .2, .3, .4], [0] * 5, [0] * 5], np.float32)}


def test_settings_can_be_merged_by_the_private_name():
    import fast_rcnn.config
    assert getattr(fast_rcnn.config, "__C") is cfg
    with cfg_override():
        _merge_a_into_b({"TRAIN": {"BATCH_SIZE": 7}}, cfg)
        assert cfg.TRAIN.BATCH_SIZE == 7
        with pytest.raises(ConfigKeyError, match="TRAIN.NONE"):
            _merge_a_into_b({"TRAIN": {"NONE": 1}}, cfg)


def test_boxes_of_fast_rcnn():
    boxes, deltas = np.array([[10.0, 10, 19, 29]]), np.array([[0.1, 0, 0, 0, 0, 0, np.log(2), 0]])
    # centre 15, 20; sizes 10, 20; the second column of boxes is twice as wide
    np.testing.assert_allclose(_bbox_pred(boxes, deltas), [[11, 10, 21, 30, 5, 10, 25, 30]])
    assert _clip_boxes(np.array([[-3.0, 2, 50, 60]]), (40, 30, 3)).tolist() == [[0, 2, 29, 39]]


@pytest.mark.parametrize("nms", [cython_nms, plain_nms])
def test_suppression_of_fast_rcnn(nms):
    assert list(nms(DETS, 0.3)) == [0, 2] and list(nms(DETS, 0.4)) == [0, 1, 2]


@pytest.mark.parametrize("method, scores", [
    (0, [0.9, 0.7]), (1, [0.9, 0.7, 0.8 * 2 / 3]), (2, [0.9, 0.7, 0.8 * np.exp(-2 / 9)])])
def test_soft_nms_changes_the_detections_in_place(method, scores):
    dets = DETS.copy()
    keep = soft_nms(dets, method=method)
    assert keep == list(range(len(scores)))
    np.testing.assert_allclose(dets[keep, 4], sorted(scores, reverse=True), rtol=1e-6)
    again = DETS.copy()
    assert cpu_soft_nms(again, 0.5, 0.3, 0.001, method) == keep and (again == dets).all()


def test_anchor_helpers():
    assert _filter_boxes(np.array([[0, 0, 15, 15], [0, 0, 14, 30]]), 16).tolist() == [0]
    unmapped = anchor_target_layer._unmap(np.array([5.0, 6]), 4, np.array([1, 3]), fill=-1)
    assert unmapped.tolist() == [-1, 5, -1, 6] and unmapped.dtype == np.float32
    rows = anchor_target_layer._unmap(np.ones((1, 4)), 2, np.array([1]))
    assert rows.tolist() == [[0] * 4, [1] * 4]
    deltas = anchor_target_layer._compute_targets(np.array([[0.0, 0, 9, 9]]),
                                                  np.array([[1.0, 0, 10, 19, 3]]))
    np.testing.assert_allclose(deltas, [[0.1, 0.5, 0, np.log(2)]], rtol=1e-6)


def test_samples_of_the_proposal_target_layer():
    rois = np.array([[0, 0, 0, 9, 9], [0, 40, 40, 49, 49]], np.float32)
    objects = np.array([[1, 0, 10, 9, 2]], np.float32)
    with cfg_override(TRAIN={"BG_THRESH_LO": 0.0, "BBOX_NORMALIZE_TARGETS_PRECOMPUTED": True}):
        labels, kept, targets, weights = proposal_target_layer._sample_rois(rois, objects, 1, 4, 3)
    assert labels.tolist() == [2, 0] and kept.tolist() == rois.tolist()
    # one pixel of ten to the right, divided by the standard deviation 0.1
    np.testing.assert_allclose(targets, [[0] * 8 + [1, 0, 0, 0], [0] * 12], atol=1e-6)
    assert weights.tolist() == [[0] * 8 + [1] * 4, [0] * 12]
    rows = proposal_target_layer._compute_targets(rois[:1, 1:], objects[:, :4], np.array([2.0]))
    np.testing.assert_allclose(rows, [[2, 0.1, 0, 0, 0]], atol=1e-7)


def test_minibatch_helpers(entry):
    with cfg_override(TRAIN={"BG_THRESH_LO": 0.0, "SCALES": [60], "MAX_SIZE": 100}):
        labels, overlaps, rois, targets, weights = minibatch._sample_rois(entry, 1, 3, 3)
        blob, scales = minibatch._get_image_blob([entry], np.array([0]))
    assert labels.tolist() == [2, 0, 0] and overlaps[0] == 1
    assert rois[0].tolist() == [0, 0, 9, 9] and len(rois) == 3
    np.testing.assert_allclose(targets[0], [0] * 8 + [.1, .2, .3, .4])
    assert weights[0].tolist() == [0] * 8 + [1] * 4 and not weights[1:].any()
    assert blob.shape == (1, 3, 60, 80) and scales == [2]
    assert minibatch._project_im_rois(np.array([[1, 2, 3, 4]]), 2).tolist() == [[2, 4, 6, 8]]
    rows = targets_of_entry(entry["boxes"], np.array([1, 0.6, 0]), entry["max_classes"])
    # the annotation itself; half a width back to it; too little overlap
    np.testing.assert_allclose(rows, [[2, 0, 0, 0, 0], [2, -0.5, 0, 0, 0], [0] * 5], atol=1e-6)


@pytest.fixture(params=["fork", "forkserver"])      # the rule until Python 3.13, and from 3.14 on
def start_method(request):
    before = multiprocessing.get_start_method()
    multiprocessing.set_start_method(request.param, force=True)
    yield
    multiprocessing.set_start_method(before, force=True)


def test_blob_fetcher_fills_a_queue_in_a_process_of_its_own(entry, start_method):
    queue = multiprocessing.Queue(2)
    with cfg_override(TRAIN={"IMS_PER_BATCH": 1, "SCALES": [30], "MAX_SIZE": 40, "HAS_RPN": True}):
        fetcher = BlobFetcher(queue, [entry, entry], 3)
        fetcher.start()
        try:
            blobs = queue.get(timeout=60)
        finally:
            fetcher.terminate()
            fetcher.join()
    assert blobs["data"].shape == (1, 3, 30, 40) and blobs["gt_boxes"].tolist() == [[0, 0, 9, 9, 2]]


def test_inputs_of_an_rpn():
    with cfg_override(TEST={"SCALES": [60], "MAX_SIZE": 100}):
        data, im_info = generate._get_image_blob(np.zeros((30, 40, 3), np.uint8))
    assert data.shape == (1, 3, 60, 80) and im_info.tolist() == [[60, 80, 2]]


def test_a_data_set_may_derive_from_the_module_as_in_fast_rcnn():
    class Mine(datasets.imdb):
        def __init__(self):
            datasets.imdb.__init__(self, "mine")

    assert issubclass(Mine, imdb) and Mine().name == "mine"
    assert datasets.imdb.merge_roidbs is imdb.merge_roidbs and datasets.ROOT_DIR == cfg.ROOT_DIR

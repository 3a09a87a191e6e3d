"""train_svms.py and compress_net.py through their commands."""
import logging
import os
import shutil

import numpy as np
import pytest
from given_proposals import MODEL, TEST_NET, scores_and_features, write_detector, write_proposals
from sklearn.svm import LinearSVC
from test_tool_errors import assert_refused

from caffe.files import weights
from faster_rcnn import Detector
from faster_rcnn.boxes.cython_bbox import bbox_overlaps
from faster_rcnn.datasets.factory import get_imdb
from faster_rcnn.detectors.description_files import read_beside
from faster_rcnn.files import safe_pickle
from faster_rcnn.images.reading import read_image

SVM_CFG = "experiments/cfgs/svm.yml"
COMPRESSED = os.path.join(MODEL, "compressed", "test.prototxt")


@pytest.fixture
def detector(tmp_path):
    path = str(tmp_path / "tiny_fast_rcnn_iter_9.caffemodel")
    write_detector(path)
    return path


def common(handful, split, folder):
    return ["--cpu", "--imdb", f"{handful.card}:{split}", "--scale", "120", "--cfg", SVM_CFG,
            "--set", "ROOT_DIR", folder, "DATA_DIR", folder]


# ------------------------------------------------------------------------------------ train_svms

def examples(card, proposals, detector, mirrored):
    """Features of all boxes (N, D), the class of annotated ones, overlaps (N, 3) with classes."""
    imdb, rows = get_imdb(card + ":trainval"), []
    for flip in (False, True)[:1 + mirrored]:
        for i, entry in enumerate(imdb.gt_roidb()):
            annotated = entry["boxes"].astype(float)
            boxes = np.vstack((annotated, proposals[i]))
            overlaps = np.zeros((len(boxes), 3))
            ious = bbox_overlaps(boxes, annotated)
            for k in (1, 2):
                of_class = entry["gt_classes"] == k
                # only the best annotation of a proposal counts, as in its gt_overlaps
                best = of_class[ious.argmax(axis=1)]
                overlaps[best, k] = ious.max(axis=1)[best]
            image = read_image(imdb.image_path_at(i))
            if flip:
                image = image[:, ::-1]
                boxes[:, (0, 2)] = image.shape[1] - 1 - boxes[:, (2, 0)]
            _, features = scores_and_features(detector, image, boxes)
            classes = np.append(entry["gt_classes"], np.zeros(len(proposals[i]), int))
            rows.append((features, classes, overlaps))
    return tuple(np.concatenate(part) for part in zip(*rows))


@pytest.mark.parametrize("mirrored", (False, True))
def test_svms_of_all_classes(run_tool, handful, detector, tmp_path, caplog, mirrored):
    caplog.set_level(logging.INFO)
    proposals = write_proposals(handful.card, "trainval", str(tmp_path))
    done = run_tool("train_svms.py", "--def", TEST_NET, "--net", detector,
                    *common(handful, "trainval", tmp_path), "TRAIN.USE_FLIPPED", mirrored)
    assert done.status == 0, done.err
    path = str(tmp_path / "tiny_fast_rcnn_iter_9_svm.caffemodel")
    assert f"Wrote svm model to: {path}" in done.out.splitlines()
    before, after = weights.read_weights(detector), weights.read_weights(path)
    for name in set(before) - {"cls_score"}:
        assert all(np.array_equal(a, b) for a, b in zip(before[name], after[name]))

    features, classes, overlaps = examples(handful.card, proposals, detector, mirrored)
    scale = 20 / np.linalg.norm(features, axis=1).mean()
    svm_weights, svm_biases = after["cls_score"]
    assert not svm_weights[0].any() and svm_biases[0] == 0
    for k in (1, 2):
        # while the SVMs are 0 every background box scores above -1.0001
        positives, negatives = features[classes == k], features[overlaps[:, k] < 0.3]
        svm = LinearSVC(C=0.001, class_weight={1: 2, -1: 1}, intercept_scaling=10, loss="hinge",
                        dual=True, random_state=3)
        svm.fit(scale * np.vstack((positives, negatives)),
                np.repeat((1, -1), (len(positives), len(negatives))))
        close = 1e-3 * abs(svm_weights).max()
        assert np.allclose(svm_weights[k], svm.coef_[0] * scale, rtol=0, atol=close)
        assert svm_biases[k] == pytest.approx(svm.intercept_[0], abs=1e-3)
        assert f"{len(positives)} positives and {len(negatives)} negatives" in caplog.text


def test_svms_classify_afterwards(run_tool, handful, detector, tmp_path):
    for split in ("trainval", "test"):
        write_proposals(handful.card, split, str(tmp_path))
    run_tool("train_svms.py", "--def", TEST_NET, "--net", detector,
             *common(handful, "trainval", tmp_path))
    path = str(tmp_path / "tiny_fast_rcnn_iter_9_svm.caffemodel")
    done = run_tool("test_net.py", "--def", TEST_NET, "--net", path,
                    *common(handful, "test", tmp_path))
    assert done.status == 0 and "Mean AP = " in done.out
    description = read_beside(path)
    assert description.settings["TEST"]["SVM"] is True and description.test["images"] == 3
    assert description.method == "fast_rcnn" and description.classes == ("dark", "light")


def test_what_train_svms_refuses(run_tool, handful, detector, tmp_path):
    args = ["train_svms.py", "--def", TEST_NET, "--net", detector]
    settings = common(handful, "trainval", tmp_path)
    assert_refused(run_tool(*args, *settings), "handful_trainval.mat")
    assert_refused(run_tool(*args, *settings, "TRAIN.PROPOSAL_METHOD", "gt", "TEST.HAS_RPN",
                            "True"), "TEST.HAS_RPN")
    assert_refused(run_tool(*args[:-1], "none.caffemodel", *settings), "none.caffemodel")


# ---------------------------------------------------------------------------------- compress_net

def test_compressed_layers_are_the_nearest_of_their_rank(run_tool, detector):
    done = run_tool("compress_net.py", "--def", TEST_NET, "--def-svd", COMPRESSED, "--net",
                    detector)
    assert done.status == 0, done.err
    path = os.path.splitext(detector)[0] + "_svd_fc6_64_fc7_32.caffemodel"
    assert f"Wrote svd model to: {path}" in done.out.splitlines()
    before, after = weights.read_weights(detector), weights.read_weights(path)
    for name, rank in (("fc6", 64), ("fc7", 32)):
        lower, (upper, bias) = after[name + "_L"][0], after[name + "_U"]
        assert lower.shape[0] == upper.shape[1] == rank
        rest = np.linalg.svd(before[name][0], compute_uv=False)[rank:]
        assert np.linalg.norm(before[name][0] - upper @ lower) == pytest.approx(
            np.linalg.norm(rest), rel=1e-4)
        assert np.array_equal(bias, before[name][1])
    for name in ("conv1", "conv6", "cls_score", "bbox_pred"):
        assert all(np.array_equal(a, b) for a, b in zip(before[name], after[name]))


def test_a_described_net_stays_described(run_tool, handful, detector):
    described = run_tool("describe.py", detector, "--net", "tiny", "--boxes", "--card",
                         handful.card)
    assert described.status == 0, described.err
    done = run_tool("compress_net.py", "--def", TEST_NET, "--def-svd", COMPRESSED, "--net",
                    detector)
    assert done.status == 0, done.err
    small = Detector(os.path.splitext(detector)[0] + "_svd_fc6_64_fc7_32.caffemodel", "cpu")
    assert small.classes == Detector(detector, "cpu").classes == ("dark", "light")
    assert "fc6_U" in small.description.net and small.description.method == "fast_rcnn"


def test_compressed_to_full_rank_detects_the_same(run_tool, handful, detector, tmp_path):
    write_proposals(handful.card, "test", str(tmp_path))
    full = str(tmp_path / "full.prototxt")
    shutil.copy(COMPRESSED, full)
    with open(full) as file:
        text = file.read()
    with open(full, "w") as file:
        file.write(text.replace("num_output: 64 bias", "num_output: 128 bias")
                   .replace("num_output: 32 bias", "num_output: 128 bias"))
    run_tool("compress_net.py", "--def", TEST_NET, "--def-svd", full, "--net", detector)
    compressed = os.path.splitext(detector)[0] + "_svd_fc6_128_fc7_128.caffemodel"
    found = []
    for net, path in ((TEST_NET, detector), (full, compressed)):
        done = run_tool("test_net.py", "--def", net, "--net", path,
                        *common(handful, "test", tmp_path), "TEST.SVM", "False")
        assert done.status == 0, done.err
        line, = (line for line in done.out.splitlines() if line.startswith("Wrote detections"))
        found.append(safe_pickle.load(line.split(": ")[1]))
    assert min(sum(map(len, of_class)) for of_class in found[0][1:]) > 5
    for of_class, others in zip(found[0][1:], found[1][1:]):
        for dets, other in zip(of_class, others):
            assert np.shape(dets) == np.shape(other)
            assert np.allclose(dets, other, atol=1e-3)


def test_what_compress_net_refuses(run_tool, detector):
    args = ["compress_net.py", "--net", detector, "--def", TEST_NET]
    assert run_tool("compress_net.py").status == 1
    assert_refused(run_tool(*args), "--def-svd")
    assert_refused(run_tool(*args, "--def-svd", "none.pt"), "none.pt")
    assert_refused(run_tool(*args, "--def-svd", TEST_NET), "_L, <name>_U")

"""SSD from its own files: a database of annotated images, training, test by average precision."""
import data_files
import numpy as np
import pytest
from net_texts import conv, layer

import caffe
from caffe.core.errors import CaffeError
from caffe.proto import caffe_pb2 as pb
from caffe.solvers.testing import average_precision, average_precisions
from caffe.tools.main import main

# -- average precision


def slow_precision(scores, right, objects, version):
    """bbox_util.cpp, ComputeAP, step by step."""
    order = sorted(range(len(scores)), key=lambda i: -scores[i])    # stable
    found = np.cumsum([right[i] for i in order])
    precision = [np.float32(f) / np.float32(i + 1) for i, f in enumerate(found)]
    recall = [np.float32(f) / np.float32(objects) for f in found]
    if version == "11point":
        return sum(max((p for p, r in zip(precision, recall) if r >= j / 10), default=0)
                   for j in range(11)) / 11
    area = 0.0
    if version == "Integral":
        before = 0.0
        for p, r in zip(precision, recall):
            if abs(r - before) > 1e-6:
                area += p * abs(r - before)
            before = r
        return area
    at_recall, best = recall[-1], precision[-1]
    for p, r in zip(precision[-2::-1], recall[-2::-1]):
        best = max(p, best)
        if abs(at_recall - r) > 1e-6:
            area += best * abs(at_recall - r)
        at_recall = r
    return area + at_recall * best


@pytest.mark.parametrize("version", ["11point", "MaxIntegral", "Integral"])
def test_average_precision_equals_the_originals_loops(version, rng):
    for count in (1, 2, 9, 30):
        scores, right = rng.integers(0, 8, count) / 8, rng.integers(0, 2, count)
        objects = max(1, int(right.sum())) + int(rng.integers(4))
        assert average_precision(scores, right, objects, version) == pytest.approx(
            slow_precision(scores, right, objects, version), rel=1e-6)


def test_average_precision_by_hand():
    # right, wrong, right of 4: precisions 1, 1/2, 2/3 at recalls 1/4, 1/4, 1/2
    scores, right = np.array([0.9, 0.8, 0.7]), np.array([1, 0, 1])
    assert average_precision(scores, right, 4, "Integral") == pytest.approx(1 / 4 + 2 / 3 / 4)
    assert average_precision(scores, right, 4, "11point") == pytest.approx((3 + 3 * 2 / 3) / 11)
    # as in SSD the step from recall 1/4 to 1/2 counts with the precision that its beginning has
    assert average_precision(scores, right, 4, "MaxIntegral") == pytest.approx(1 / 4 + 2 / 3 / 4)
    assert average_precision(scores, right, 0, "Integral") == 0


def test_rows_of_several_passes():
    rows = np.array([(-1, 1, 1, -1, -1), (-1, 2, 1, -1, -1), (0, 1, 0.5, 1, 0), (0, 1, 0.9, 0, 0),
                     (-1, 1, 1, -1, -1), (-1, 2, 0, -1, -1), (0, 1, 0.4, 1, 0)])
    assert average_precisions(rows, "Integral") == {1: pytest.approx(1), 2: 0}


# -- training

CLASSES = 3
DATA = """layer { name: "data" type: "AnnotatedData" top: "data" top: "label"
  transform_param { mean_value: 64 scale: 0.02 resize_param { height: 32 width: 32 } %s }
  data_param { source: "%s" batch_size: 8 backend: LMDB }
  annotated_data_param { %s label_map_file: "labelmap.prototxt" } include { phase: %s } }
"""
AUGMENTED = """mirror: true emit_constraint { emit_type: CENTER }
  distort_param { brightness_prob: 0.5 brightness_delta: 8 }
  expand_param { prob: 0.2 max_expand_ratio: 1.2 }"""
SAMPLED = """batch_sampler { max_sample: 1 max_trials: 1 }
  batch_sampler { sampler { min_scale: 0.7 max_scale: 1 } sample_constraint {
    min_jaccard_overlap: 0.1 } max_sample: 1 max_trials: 20 }"""


def pool(name, bottom):
    return layer(name, "Pooling", bottom, None, "pooling_param { kernel_size: 2 stride: 2 }")


def small_conv(name, bottom, outputs):
    return conv(name, bottom, outputs).replace('"gaussian" std: 0.5', '"xavier"')


NET = "".join([
    small_conv("conv1", "data", 12), layer("relu1", "ReLU", "conv1", "conv1"),
    pool("pool1", "conv1"),
    small_conv("conv2", "pool1", 24), layer("relu2", "ReLU", "conv2", "conv2"),
    pool("pool2", "conv2"),
    small_conv("conv3", "pool2", 32), layer("relu3", "ReLU", "conv3", "conv3"),
    small_conv("loc", "conv3", 4), small_conv("conf", "conv3", CLASSES),
    *(layer(f"{name}_perm", "Permute", name, None,
            "permute_param { order: 0 order: 2 order: 3 order: 1 }")
      + layer(f"{name}_flat", "Flatten", f"{name}_perm") for name in ("loc", "conf")),
    layer("priors", "PriorBox", "conv3 data", None,
          "prior_box_param { min_size: 12 variance: 0.1 variance: 0.1 variance: 0.2 "
          "variance: 0.2 }"),
    layer("mbox_loss", "MultiBoxLoss", "loc_flat conf_flat priors label", None,
          "include { phase: TRAIN } propagate_down: true propagate_down: true "
          "propagate_down: false propagate_down: false loss_param { normalization: VALID } "
          f"multibox_loss_param {{ num_classes: {CLASSES} code_type: CENTER_SIZE }}"),
    layer("conf_rows", "Reshape", "conf_flat", None, f"include {{ phase: TEST }} reshape_param {{ "
          f"shape {{ dim: 0 dim: -1 dim: {CLASSES} }} }}"),
    layer("conf_softmax", "Softmax", "conf_rows", None, "include { phase: TEST } softmax_param { "
                                                        "axis: 2 }"),
    layer("conf_out", "Flatten", "conf_softmax", None, "include { phase: TEST }"),
    layer("detection_out", "DetectionOutput", "loc_flat conf_out priors", None,
          f"include {{ phase: TEST }} detection_output_param {{ num_classes: {CLASSES} "
          "nms_param { nms_threshold: 0.45 top_k: 100 } code_type: CENTER_SIZE keep_top_k: 20 "
          "confidence_threshold: 0.01 }"),
    layer("detection_eval", "DetectionEvaluate", "detection_out label", None,
          f"include {{ phase: TEST }} detection_evaluate_param {{ num_classes: {CLASSES} }}")])


def blocks(count, seed=0):
    """Images with a red (1) or a blue (2) square each, and their objects."""
    rng = np.random.default_rng(seed)
    images, boxes = [], []
    for i in range(count):
        image = rng.integers(0, 60, (48, 64, 3), dtype=np.uint8)
        x, y, label = rng.integers(0, 40), rng.integers(0, 28), 1 + i % 2
        image[y:y + 18, x:x + 24] = (30, 30, 255) if label == 1 else (255, 30, 30)
        images.append(image)
        boxes.append([(label, 0, x / 64, y / 48, (x + 24) / 64, (y + 18) / 48, False)])
    return images, boxes


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data_files.write_annotated(tmp_path / "train_lmdb", *blocks(32), encode=".png")
    data_files.write_annotated(tmp_path / "test_lmdb", *blocks(16, 1), encode=".png")
    (tmp_path / "net.prototxt").write_text(
        DATA % (AUGMENTED, "train_lmdb", SAMPLED, "TRAIN") + DATA % ("", "test_lmdb", "", "TEST")
        + NET)
    (tmp_path / "solver.prototxt").write_text(
        'net: "net.prototxt" base_lr: 0.02 lr_policy: "fixed" momentum: 0.9 type: "SGD" '
        'max_iter: 80 display: 20 snapshot_after_train: true snapshot_prefix: "ssd" '
        'solver_mode: CPU random_seed: 3 test_iter: 2 test_interval: 80 average_loss: 10 '
        'test_initialization: true eval_type: "detection" ap_version: "11point" '
        'show_per_class_result: true')
    return tmp_path


def test_caffe_train_trains_ssd_and_judges_it_by_average_precision(folder, capsys):
    assert main(["train", "-solver", "solver.prototxt"]) in (0, None)
    lines = [line.partition("] ")[2] for line in capsys.readouterr().err.splitlines()]
    losses = [float(line.split("loss = ")[1]) for line in lines if ", loss = " in line]
    precisions = [float(line.rpartition("= ")[2]) for line in lines if "detection_eval = " in line]
    assert losses[-1] < losses[0] / 3
    assert len(precisions) == 2 and precisions[0] < 0.2 and precisions[1] > 0.8
    per_class = [line for line in lines if line.startswith("class")]
    assert [line.split(":")[0] for line in per_class] == ["class1", "class2"] * 2
    assert (folder / "ssd_iter_80.caffemodel").exists()


def test_a_detection_test_needs_the_tops_of_an_evaluation(folder):
    text = (folder / "net.prototxt").read_text()
    (folder / "net.prototxt").write_text(text[:text.index('layer { name: "detection_eval"')])
    solver = caffe.get_solver("solver.prototxt")
    with pytest.raises(CaffeError, match='outputs of shape .1, 1, n, 5., as DetectionEvaluate'):
        solver.test(0)


@pytest.mark.parametrize("field, value, problem", [
    ("eval_type", "detections", 'unknown eval_type "detections" .did you mean "detection"'),
    ("ap_version", "11points", 'unknown ap_version "11points" .did you mean "11point"')])
def test_unknown_kinds_of_tests(folder, field, value, problem):
    solver = caffe.get_solver("solver.prototxt")
    setattr(solver.param, field, value)
    with pytest.raises(CaffeError, match=problem):
        solver.test(0)


def test_the_default_is_still_the_mean_of_the_outputs():
    assert pb.SolverParameter().eval_type == "classification"

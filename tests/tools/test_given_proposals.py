"""Testing and evaluating on given proposals, through the commands: test_net, reval, eval_recall."""
import os
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
import scipy.io
from given_proposals import MODEL, TEST_NET, scores_and_features, write_detector, write_proposals
from handful import places
from test_tool_errors import assert_refused

from faster_rcnn.datasets.factory import get_imdb
from faster_rcnn.files import safe_pickle
from faster_rcnn.images.reading import read_image


@pytest.fixture(scope="session")
def given(handful, tmp_path_factory):
    """data: folder with proposals for both splits; boxes: those of each split; weights."""
    data = tmp_path_factory.mktemp("data")
    weights = str(data / "detector.caffemodel")
    write_detector(weights)
    boxes = {split: write_proposals(handful.card, split, str(data))
             for split in ("trainval", "test")}
    return SimpleNamespace(data=str(data), weights=weights, boxes=boxes)


@pytest.fixture
def detect(run_tool, handful, given, tmp_path):
    """detect(*arguments, weights=, net=, **settings): all_boxes that test_net writes."""
    def run(*args, weights=given.weights, net=TEST_NET, cfg_file=None, **settings):
        chosen = [word for key, value in settings.items()
                  for word in (key.replace("__", "."), value)]
        cfg_args = ["--cfg", cfg_file] if cfg_file else []
        done = run_tool("test_net.py", "--cpu", "--def", net, "--net", weights, "--imdb",
                        handful.card + ":test", "--scale", "120", *cfg_args, *args, "--set",
                        "ROOT_DIR", tmp_path, "DATA_DIR", given.data, *chosen)
        assert done.status == 0, done.err
        line, = (line for line in done.out.splitlines() if line.startswith("Wrote detections to:"))
        return SimpleNamespace(path=line.split(": ")[1], out=done.out,
                               boxes=safe_pickle.load(line.split(": ")[1]))
    return run


def same(first, second, tolerance=0.0):
    for of_class, others in zip(first[1:], second[1:]):
        for dets, other in zip(of_class, others):
            assert np.shape(dets) == np.shape(other)
            assert np.allclose(dets, other, rtol=0, atol=tolerance)


# -------------------------------------------------------------------------------------- test_net

def test_proposals_of_an_rpn_file_and_of_a_path(detect, given, tmp_path):
    usual = detect()
    assert min(sum(map(len, of_class)) for of_class in usual.boxes[1:]) > 5
    path = str(tmp_path / "proposals.pkl")
    safe_pickle.dump(given.boxes["test"], path)
    same(usual.boxes, detect("--rpn_file", path).boxes)
    moved = str(tmp_path / "handful_test_boxes.mat")
    shutil.copy(os.path.join(given.data, "selective_search_data", "handful_test.mat"), moved)
    elsewhere = detect(TEST__PROPOSAL_FILE=str(tmp_path / "{imdb}_boxes.mat"))
    same(usual.boxes, elsewhere.boxes)


def test_without_regression_detections_are_proposals(detect, given):
    found = detect(TEST__BBOX_REG="False")
    for of_class in found.boxes[1:]:
        for dets, proposals in zip(of_class, given.boxes["test"]):
            rows = {tuple(box) for box in proposals.tolist()}
            assert {tuple(box) for box in dets[:, :4].tolist()} <= rows
    variant = detect(net=os.path.join(MODEL, "no_bbox_reg", "test.prototxt"),
                     cfg_file="experiments/cfgs/no_bbox_reg.yml")
    same(found.boxes, variant.boxes)


def test_equal_levels_of_a_pyramid_are_one(detect):
    single = detect().boxes
    same(single, detect(TEST__SCALES="[120, 120]").boxes, 1e-4)
    # the small rois of these pictures are nearer to 224 x 224 at the larger scale
    same(detect(TEST__SCALES="[240]").boxes, detect(TEST__SCALES="[240, 120]").boxes, 1e-3)


def test_raw_scores_of_svms(detect, handful, given):
    found = detect(TEST__SVM="True", TEST__NMS="1.0", TEST__BBOX_REG="False",
                   DEDUP_BOXES="0.0").boxes
    image = read_image(get_imdb(handful.card + ":test").image_path_at(0))
    scores, _ = scores_and_features(given.weights, image, given.boxes["test"][0])
    for k in (1, 2):
        expected = {(*box, score) for box, score in zip(given.boxes["test"][0].tolist(),
                                                        scores[:, k].tolist()) if score > -1}
        assert len(expected) == len(found[k][0])
        assert np.allclose(sorted(expected), sorted(found[k][0].tolist()), atol=1e-4)
    # some on either side of both thresholds
    assert (scores[:, 1:] < -1).any() and (abs(scores[:, 1:]) < 1).any()


def test_no_proposals_for_these_pictures(run_tool, handful, given, tmp_path):
    def run(*args):
        return run_tool("test_net.py", "--cpu", "--def", TEST_NET, "--net", given.weights,
                        "--imdb", handful.card + ":test", *args)

    assert_refused(run("--set", *places(tmp_path)), "selective_search_data", "handful_test.mat",
                   "PROPOSAL_FILE")
    assert_refused(run("--rpn_file", "none.pkl", "--set", *places(tmp_path)), "none.pkl")
    assert_refused(run("--rpn_file", "x.pkl", "--set", "TEST.HAS_RPN", "True", *places(tmp_path)),
                   "--rpn_file", "TEST.HAS_RPN")
    other = os.path.join(given.data, "selective_search_data", "handful_trainval.mat")
    assert_refused(run("--set", "TEST.PROPOSAL_FILE", other, *places(tmp_path)),
                   "proposals for 6 images", "has 3")
    cells = np.empty((1, 3), object)
    cells[0, :] = [np.array([[1.0, 1, 50, 161]])] * 3
    scipy.io.savemat(tmp_path / "wide.mat", {"boxes": cells})
    assert_refused(run("--set", "TEST.PROPOSAL_FILE", tmp_path / "wide.mat", *places(tmp_path)),
                   "wide.mat", "test0.jpg", "box 1 [0.0, 0.0, 160.0, 49.0]", "160 x 120")


# ----------------------------------------------------------------------------------------- reval

def test_reval_repeats_an_evaluation(detect, run_tool, handful, tmp_path):
    tested = detect()
    folder = os.path.dirname(tested.path)

    def figures(text):
        return [line for line in text.splitlines() if "AP" in line]

    again = run_tool("reval.py", folder, "--imdb", handful.card + ":test")
    assert again.status == 0, again.err
    assert figures(again.out) == figures(tested.out) and len(figures(again.out)) == 3
    assert os.listdir(os.path.join(folder, "results")) == []
    kept = run_tool("reval.py", folder, "--imdb", handful.card + ":test", "--comp", "--nms",
                    "--set", "TEST.NMS", "0.001")
    assert "Applying NMS to all detections" in kept.out
    names = sorted(os.listdir(os.path.join(folder, "results")))
    assert names == ["comp4_det_test_dark.txt", "comp4_det_test_light.txt"]
    with open(os.path.join(folder, "results", names[0])) as file:
        assert 0 < len(file.readlines()) < sum(len(dets) for dets in tested.boxes[1])


def test_what_reval_refuses(detect, run_tool, handful, tmp_path):
    folder = os.path.dirname(detect().path)
    imdb = handful.card + ":test"
    assert_refused(run_tool("reval.py", folder, "--imdb", imdb, "--matlab"), "no MATLAB")
    assert_refused(run_tool("reval.py", tmp_path / "none", "--imdb", imdb), "detections.pkl")
    assert_refused(run_tool("reval.py", folder, "--imdb", handful.card + ":trainval"),
                   "for 3 images", "has 6")
    safe_pickle.dump([[[]] * 3] * 2, os.path.join(folder, "detections.pkl"))
    assert_refused(run_tool("reval.py", folder, "--imdb", imdb), "2 classes", "has 3")
    safe_pickle.dump([[np.zeros((2, 4))] * 3] * 3, os.path.join(folder, "detections.pkl"))
    assert_refused(run_tool("reval.py", folder, "--imdb", imdb), "(2, 4)")


# ----------------------------------------------------------------------------------- eval_recall

def iou(a, b):
    width = min(a[2], b[2]) - max(a[0], b[0]) + 1
    height = min(a[3], b[3]) - max(a[1], b[1]) + 1
    if width <= 0 or height <= 0:
        return 0
    areas = [(c[2] - c[0] + 1) * (c[3] - c[1] + 1) for c in (a, b)]
    return width * height / (sum(areas) - width * height)


def slow_recall(images, thresholds, area, limit):
    """Objects in a range of areas, and the share of them covered at each threshold."""
    best = []
    for objects, candidates in images:
        objects = [box.tolist() for box in objects
                   if area[0] <= (box[2] - box[0] + 1) * (box[3] - box[1] + 1) <= area[1]]
        pairs = sorted(((iou(box, candidate), i, j) for i, box in enumerate(objects)
                        for j, candidate in enumerate(candidates[:limit].tolist())), reverse=True)
        covered = dict.fromkeys(range(len(objects)), 0)
        used, done = set(), set()
        for overlap, i, j in pairs:
            if i not in done and j not in used:
                covered[i] = overlap
                used.add(j)
                done.add(i)
        best += covered.values()
    return len(best), [sum(overlap >= t for overlap in best) / len(best) for t in thresholds]


@pytest.mark.parametrize("limit", (None, 6))
def test_recall_of_proposals(run_tool, handful, given, limit):
    args = ["--limit", limit] if limit else []
    done = run_tool("eval_recall.py", "--imdb", handful.card + ":trainval", *args, "--set",
                    "DATA_DIR", given.data)
    assert done.status == 0, done.err
    annotated = [entry["boxes"].astype(float)
                 for entry in get_imdb(handful.card + ":trainval").gt_roidb()]
    images = list(zip(annotated, given.boxes["trainval"]))
    thresholds = np.linspace(0.5, 0.95, 10)
    count, recalls = slow_recall(images, thresholds, (0, 1e10), limit)
    lines = done.out.splitlines()
    average, shown = np.mean(recalls), recalls[:9:2]
    assert lines[0] == "Method: selective_search" and lines[1] == f"AverageRec: {average:.3f}"
    assert lines[2:7] == [f"Recall@{t}: {r:.3f}" for t, r in zip((.5, .6, .7, .8, .9), shown)]
    assert lines[8:14] == [f"{number:.3f}" for number in (average, *shown)]
    rows = {line.split()[0]: line.split()[1:] for line in lines[15:]}
    assert rows["all"] == [str(count), f"{average:.3f}", *(f"{r:.3f}" for r in shown)]
    count, recalls = slow_recall(images, thresholds, (32 ** 2, 96 ** 2), limit)
    assert rows["medium"] == [str(count), f"{np.mean(recalls):.3f}",
                              *(f"{r:.3f}" for r in recalls[:9:2])]
    assert rows["large"] == ["0", *"------"]


def test_recall_of_an_rpn_file(run_tool, handful, tmp_path):
    imdb = get_imdb(handful.card + ":test")
    path = str(tmp_path / "x.pkl")
    safe_pickle.dump([entry["boxes"].astype(np.float32) for entry in imdb.gt_roidb()], path)
    args = ["eval_recall.py", "--imdb", handful.card + ":test", "--method", "rpn"]
    done = run_tool(*args, "--rpn-file", path)
    assert "AverageRec: 1.000" in done.out and done.status == 0
    assert_refused(run_tool(*args), "rpn_file")
    assert_refused(run_tool(*args[:-1], "edge_boxs"), "edge_boxs", "edge_boxes")
    assert_refused(run_tool(*args, "--rpn-file", path, "--limit", "0"), "--limit", "not a positive")

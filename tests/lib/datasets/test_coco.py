"""Data sets in COCO's format: annotations, crowds, evaluation, the names of COCO's splits."""
import contextlib
import io
import json
import logging
import os

import numpy as np
import pytest
from coco_folder import annotation, write_coco, write_coco_card
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from voc_folder import write_text

from faster_rcnn.annotations.files import AnnotationError
from faster_rcnn.datasets.cards import CardError, load_card
from faster_rcnn.datasets.coco import coco
from faster_rcnn.datasets.factory import get_imdb, list_imdbs
from faster_rcnn.files import safe_pickle
from faster_rcnn.images.reading import ImageError
from faster_rcnn.minibatches.roidb import prepare_roidb
from faster_rcnn.settings.config import cfg_override

DOG, CAT = 7, 3


def parts(folder, annotations, split="train", card=None, **options):
    root = write_coco(folder / "set", annotations, split, **options)
    return get_imdb(write_coco_card(folder, root, **(card or {})) + f":{split}")


def test_annotations_as_a_roidb(tmp_path):
    data_set = parts(tmp_path, [annotation(1, 1, DOG, [10, 20, 30.5, 40]),
                                annotation(2, 1, CAT, [0, 0, 100, 80], area=5.0)])
    first, second = data_set.gt_roidb()
    assert data_set.classes == ("__background__", "dog", "Cat")
    assert data_set.name == "parts_train" and data_set.image_index == [1, 2]
    # 10 + 30.5 - 1 = 39.5, cut off as the original's integers do
    assert first["boxes"].tolist() == [[10, 20, 39, 59], [0, 0, 99, 79]]
    assert first["boxes"].dtype == np.uint16 and first["gt_classes"].tolist() == [1, 2]
    assert first["gt_overlaps"].toarray().tolist() == [[0, 1, 0], [0, 0, 1]]
    assert first["seg_areas"].tolist() == [1220, 5]
    assert second["boxes"].shape == (0, 4)
    assert data_set.image_path_at(1).endswith(os.path.join("images", "train", "im2.jpg"))


def test_crowds_are_no_examples(tmp_path):
    data_set = parts(tmp_path, [annotation(1, 1, DOG, [50, 10, 20, 20]),
                                annotation(2, 1, DOG, [0, 0, 40, 40], iscrowd=1)])
    entry = data_set.gt_roidb()[0]
    assert entry["gt_overlaps"].toarray().tolist() == [[0, 1, 0], [-1, -1, -1]]
    # inside the crowd; 3/4 of it inside, which is more than 0.7; 1/2; elsewhere
    boxes = np.array([[0, 0, 9, 9], [10, 0, 49, 9], [20, 0, 59, 9], [60, 60, 69, 69]], np.float32)
    safe_pickle.dump([boxes, boxes[:0]], str(tmp_path / "boxes.pkl"))
    data_set.config["rpn_file"] = str(tmp_path / "boxes.pkl")
    data_set.set_proposal_method("rpn")
    prepare_roidb(data_set)
    best = data_set.roidb[0]["max_overlaps"]
    assert best[[0, 1, 2, 3, 5]].tolist() == [1, -1, -1, -1, 0] and 0 < best[4] < 1
    assert data_set.evaluate_recall([boxes, boxes[:0]])["gt_overlaps"].shape == (1,)


def test_every_broken_entry_is_named_once(tmp_path, caplog):
    bad = {11: ([90, 5, 30, 10], "reaches beyond the image (100 x 80); clamped to 90, 5, 10, 10"),
           12: ([5, 5, 0, 10], "whose width or height is not positive; skipped"),
           13: ([5, 5, -4, 10], "whose width or height is not positive; skipped"),
           14: ([200, 5, 10, 10], "lies outside the image; skipped"),
           15: ([5, float("nan"), 10, 10], "is not finite; skipped")}
    entries = [annotation(number, 1, DOG, box) for number, (box, _) in bad.items()]
    entries += [{"id": 16, "image_id": 1, "category_id": DOG},
                {"id": 17, "image_id": 1, "category_id": DOG, "bbox": [1, 2, "3", 4]},
                annotation(18, 99, DOG, [1, 1, 5, 5]), annotation(19, 1, 55, [1, 1, 5, 5]),
                annotation(11, 2, DOG, [1, 1, 5, 5])]
    data_set = parts(tmp_path, entries, images=(1, 2, 3, 4), card={"on_unknown_class": "skip"})
    folder = tmp_path / "set" / "images" / "train"
    os.remove(folder / "im3.jpg")
    (folder / "im4.jpg").write_bytes((folder / "im1.jpg").read_bytes()[:-40])
    with caplog.at_level(logging.WARNING):
        data_set = get_imdb(str(tmp_path / "parts.yml") + ":train")
        first, second = data_set.gt_roidb()
        data_set.gt_roidb()
    lines = [record.getMessage() for record in caplog.records]
    expected = {f"annotation {n} of im1.jpg (dog) has": words for n, (_, words) in bad.items()}
    expected.update({
        "annotation 16 of im1.jpg (dog)": "has no bbox; skipped",
        "annotation 17 of im1.jpg (dog)": "which is not four numbers; skipped",
        "annotation 18 is of": "image 99, which is not listed; skipped",
        "annotation 19 of im1.jpg": '"category 55"',
        "annotation 11 of im2.jpg": "has the id of another annotation",
        "im3.jpg: image of split train": "is not there; image left out",
        "im4.jpg: image of split train": "is cut off"})
    for subject, words in expected.items():
        assert [words in line for line in lines if subject in line] == [True], subject
    assert first["boxes"].tolist() == [[90, 5, 99, 14]] and len(second["boxes"]) == 1
    assert len(lines) == len(expected) + 3     # summaries of the file, the images, the boxes


def test_a_class_that_the_card_does_not_name_is_one_line(tmp_path, caplog):
    entries = [annotation(i, 1, CAT, [1, 1, 5, 5]) for i in range(1, 4)]
    card = {"classes": "[DOG]", "on_unknown_class": "skip"}
    with caplog.at_level(logging.WARNING):
        assert parts(tmp_path, entries, card=card).gt_roidb()[0]["boxes"].shape == (0, 4)
    assert caplog.text.count("its 3 annotations are skipped") == 1
    with pytest.raises(AnnotationError, match='category "Cat" is missing on the data set'):
        parts(tmp_path, entries, card={"classes": "[DOG]"}).gt_roidb()
    with pytest.raises(CardError, match="none of the classes.* dog, Cat"):
        parts(tmp_path, entries, card={"classes": "[bird]"})


def test_all_splits_have_the_classes_of_the_training_split(tmp_path):
    parts(tmp_path, [])
    data_set = parts(tmp_path, [annotation(1, 1, 5, [0, 0, 9, 9])], "val",
                     categories=[{"id": 5, "name": "cat"}, {"id": 6, "name": "dog"}])
    assert data_set.classes == ("__background__", "dog", "Cat")
    assert data_set.gt_roidb()[0]["gt_classes"].tolist() == [2]
    assert data_set.category_ids == {2: 5, 1: 6}


@pytest.mark.parametrize("text, words", [
    ('{"images": [', r"\.json:1:13: not well-formed JSON"),
    ("[]", "a mapping with images.* found a list"),
    ('{"images": []}', 'the list "categories" is not there'),
    ('{"images": 3, "categories": []}', 'the list "images" holds int'),
    ('{"images": [], "categories": [{"id": 1}]}', "category 1 needs an id"),
    ('{"images": [], "categories": [{"id": 1, "name": "a"}, {"id": 2, "name": "A"}]}',
     "listed twice"),
    ("[" * 100000, "not accepted"),
])
def test_broken_files_are_one_line(tmp_path, text, words):
    parts(tmp_path, [])
    write_text(tmp_path / "set", "annotations/instances_train.json", text)
    with pytest.raises(AnnotationError, match=words) as raised:
        get_imdb(str(tmp_path / "parts.yml") + ":train")
    assert "\n" not in str(raised.value) and "instances_train.json" in str(raised.value)


def test_files_that_are_not_there(tmp_path):
    card = write_coco_card(tmp_path, "nowhere")
    with pytest.raises(CardError, match="nowhere does not exist"):
        get_imdb(card + ":train")
    parts(tmp_path, [])
    with pytest.raises(CardError, match="split val needs .*instances_val.json"):
        get_imdb(str(tmp_path / "parts.yml") + ":val")
    for name in os.listdir(tmp_path / "set" / "images" / "train"):
        os.remove(tmp_path / "set" / "images" / "train" / name)
    with pytest.raises(ImageError, match=r"im1\.jpg, which .* names, is not there"):
        get_imdb(str(tmp_path / "parts.yml") + ":train").image_path_at(0)


@pytest.mark.parametrize("options, words", [
    ({"metric": "voc07"}, ":3: metric is for cards of format voc"),
    ({"splits": "{train: a.json}"}, ":3: split train must be"),
    ({"root": "[a, b]"}, ":2: a card of format coco has one root"),
])
def test_wrong_cards_are_explained(tmp_path, options, words):
    with pytest.raises(CardError, match=words):
        load_card(write_coco_card(tmp_path, **{"root": ".", **options}))


def test_files_of_a_split_on_the_card(tmp_path):
    card = load_card(write_coco_card(
        tmp_path, str(tmp_path), splits="{mine: {annotations: a.json, images: pics}, b: {}}"))
    assert card.coco_files("mine") == (str(tmp_path / "a.json"), str(tmp_path / "pics"))
    assert card.coco_files("b")[0].endswith("annotations/instances_b.json")
    assert (card.train, card.test, card.classes) == ("train", "val", ())


# --------------------------------------------------------------------------------------- evaluation

def made_up(rng, images):
    """Annotations with crowds, of all sizes, and detections near to them and elsewhere."""
    entries, dets = [], []
    for image in images:
        for _ in range(rng.integers(0, 6)):
            x, y = rng.uniform(0, 150, 2)
            box = [x, y, *np.exp(rng.uniform(np.log(5), np.log(250), 2))]
            category = int(rng.choice([DOG, CAT]))
            crowd = int(rng.random() < .15)
            entries.append(annotation(len(entries) + 1, image, category,
                                      [round(float(v), 2) for v in box], iscrowd=crowd))
            for _ in range(rng.integers(0, 3)):
                near = np.array(box) * rng.uniform(.9, 1.1, 4)
                dets.append((image, category, near, rng.random()))
        dets.append((image, CAT, np.array([*rng.uniform(0, 99, 2), 50, 50]), rng.random()))
    return entries, dets


def boxes_by_class(data_set, dets):
    index = {category: number for number, category in data_set.category_ids.items()}
    found = [[[] for _ in data_set.image_index] for _ in data_set.classes]
    for image, category, (x, y, w, h), score in dets:
        place = data_set.image_index.index(image)
        found[index[category]][place].append([x, y, x + w - 1, y + h - 1, score])
    return [[np.array(rows, np.float32).reshape(-1, 5) for rows in row] for row in found]


def test_metrics_are_those_of_pycocotools(tmp_path, capsys):
    images = range(1, 26)
    entries, dets = made_up(np.random.default_rng(5), images)
    data_set = parts(tmp_path, entries, "val", images=images, size=(400, 400))
    data_set.competition_mode(True)
    metrics = data_set.evaluate_detections(boxes_by_class(data_set, dets), str(tmp_path / "out"))
    printed = capsys.readouterr().out
    results = str(tmp_path / "out" / "detections_val_results.json")
    with contextlib.redirect_stdout(io.StringIO()) as quiet:
        truth = COCO(str(tmp_path / "set" / "annotations" / "instances_val.json"))
        theirs = COCOeval(truth, truth.loadRes(results), "bbox")
        theirs.evaluate()
        theirs.accumulate()
        quiet.truncate(0)
        theirs.summarize()
    assert list(metrics["summary"].values()) == theirs.stats.tolist()
    assert metrics["mean_ap"] == theirs.stats[0] and 0.05 < theirs.stats[0] < 0.95
    lines = printed.splitlines()
    start = lines.index("~~~~ Mean and per-category AP @ IoU=[0.50,0.95] ~~~~")
    # theirs are in the order of the ids, 3 before 7
    cat, dog = (theirs.eval["precision"][:, :, k, 0, 2].mean() for k in (0, 1))
    assert (metrics["per_class"]["dog"]["ap"], metrics["per_class"]["Cat"]["ap"]) == (dog, cat)
    assert lines[start + 1:start + 5] == [f"{100 * v:.1f}" for v in (theirs.stats[0], dog, cat)] + [
        "~~~~ Summary metrics ~~~~"]
    assert printed.endswith(quiet.getvalue().lstrip("\0"))
    written = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert written["summary"]["AP50"] == theirs.stats[1]
    curves = safe_pickle.load(str(tmp_path / "out" / "detection_results.pkl"))
    order = [1, 0]
    assert (curves["precision"][:, :, order] == theirs.eval["precision"]).all()


def test_results_file_by_hand(tmp_path):
    data_set = parts(tmp_path, [annotation(1, 2, CAT, [10, 10, 20, 20])])
    boxes = [[[], []], [[], []], [[], np.array([[10, 10, 29, 29, .5]], np.float32)]]
    metrics = data_set.evaluate_detections(boxes, str(tmp_path / "out"))
    assert metrics["mean_ap"] == pytest.approx(1)
    assert np.isnan(metrics["per_class"]["dog"]["ap"])
    assert not [name for name in os.listdir(tmp_path / "out") if "results_" in name]
    data_set.config["cleanup"] = False
    data_set.evaluate_detections(boxes, str(tmp_path / "out"))
    name, = [name for name in os.listdir(tmp_path / "out") if "_results_" in name]
    assert name.startswith("detections_train_results_") and name.endswith(".json")
    assert json.loads((tmp_path / "out" / name).read_text()) == [
        {"image_id": 2, "category_id": CAT, "bbox": [10, 10, 20, 20], "score": .5}]


def test_nothing_found_is_a_result_too(tmp_path):
    data_set = parts(tmp_path, [annotation(1, 2, CAT, [10, 10, 20, 20])])
    assert data_set.evaluate_detections([[[], []]] * 3, str(tmp_path))["mean_ap"] == 0


def test_test_sets_are_not_evaluated(tmp_path, caplog):
    data_set = parts(tmp_path, None)
    assert data_set.evaluate_detections([[[], []]] * 3, str(tmp_path / "out")) is None
    assert "has no annotations" in caplog.text and len(os.listdir(tmp_path / "out")) == 1
    assert [len(entry["boxes"]) for entry in data_set.gt_roidb()] == [0, 0]


# ------------------------------------------------------------------------------------- COCO itself

@pytest.mark.parametrize("images", ["images/", ""])
def test_the_layout_of_coco(tmp_path, images):
    root = write_coco(tmp_path / "coco", [annotation(1, 1, DOG, [0, 0, 9, 9])], "x")
    os.makedirs(os.path.join(root, images), exist_ok=True)
    os.rename(os.path.join(root, "images", "x"), os.path.join(root, images + "val2014"))
    os.rename(os.path.join(root, "annotations", "instances_x.json"),
              os.path.join(root, "annotations", "instances_minival2014.json"))
    with cfg_override(DATA_DIR=str(tmp_path)):
        data_set = get_imdb("coco_2014_minival")
        assert isinstance(data_set, coco) and data_set.name == "coco_2014_minival"
        assert data_set.image_path_at(0) == os.path.join(root, images + "val2014", "im1.jpg")
        data_set.competition_mode(True)
        data_set.evaluate_detections([[[], []]] * 3, str(tmp_path / "out"))
        assert "detections_minival2014_results.json" in os.listdir(tmp_path / "out")
        with pytest.raises(CardError, match="image_info_test-dev2015.json"):
            get_imdb("coco_2015_test-dev")


def test_names(tmp_path):
    assert {"coco_2014_train", "coco_2014_val", "coco_2014_minival", "coco_2014_valminusminival",
            "coco_2015_test", "coco_2015_test-dev", "coco_2017_train", "coco_2017_val",
            "coco_2017_test-dev"} <= set(list_imdbs())
    with cfg_override(DATA_DIR=str(tmp_path)):
        with pytest.raises(FileNotFoundError, match="COCO folder"):
            get_imdb("coco_2017_val")

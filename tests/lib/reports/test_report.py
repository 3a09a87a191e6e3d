"""The report of a test: matching by hand, numbers on the page, pictures that show what they say."""
import re
from pathlib import Path
from types import SimpleNamespace

import cv2
import hostile
import numpy as np
import pytest
from PIL import Image

from faster_rcnn.datasets.imdb import AnnotatedBoxes
from faster_rcnn.evaluation.voc_eval import Truth
from faster_rcnn.reports import test_report as report
from faster_rcnn.reports import visualize
from faster_rcnn.reports.image_results import ImageResult, class_counts, image_results
from faster_rcnn.reports.names import distinct_names


class Pictures:
    """As much of an imdb as the report asks for: two grey images, a cat and a dog in the first."""

    name, classes, num_images = "pictures_test", ("__background__", "cat", "dog"), 2

    def __init__(self, folder):
        self.folder = folder
        for i in range(2):
            cv2.imwrite(self.image_path_at(i), np.full((100, 120, 3), 90, np.uint8))

    def image_path_at(self, i):
        return str(self.folder / f"image{i}.png")

    def annotated_boxes(self):
        first = AnnotatedBoxes(np.array([[10, 10, 49, 49], [60, 20, 99, 79]], float),
                               np.array([1, 2]), np.array([False, False]))
        return [first, AnnotatedBoxes(np.zeros((0, 4)), np.zeros(0, int), np.zeros(0, bool))]


@pytest.fixture
def imdb(tmp_path):
    return Pictures(tmp_path)


@pytest.fixture
def all_boxes():
    none = np.zeros((0, 5), np.float32)
    cat = np.array([[12, 10, 49, 49, 0.9], [10, 10, 49, 49, 0.8], [0, 0, 5, 5, 0.3]], np.float32)
    stray = np.array([[70, 70, 90, 90, 0.7]], np.float32)
    return [[[], []], [cat, stray], [none, none]]


METRICS = {"mean_ap": 0.5, "per_class": {
    "cat": {"ap": 1.0, "rec": np.array([1.0, 1.0]), "prec": np.array([1.0, 0.5])},
    "dog": {"ap": 0.0, "rec": np.zeros(0), "prec": np.zeros(0)}}}


def test_an_object_is_found_once_by_the_best_detection(imdb, all_boxes):
    results = image_results(imdb, all_boxes, imdb.annotated_boxes())
    # the detection of score 0.3 is below the limit; the second one finds the cat taken
    np.testing.assert_array_equal(results[0].hits["cat"], [True, False])
    assert [name for name, _ in results[0].missed] == ["dog"]
    assert results[0].badness == pytest.approx(1 + 0.8)
    assert results[1].badness == pytest.approx(0.7)
    assert class_counts(results, imdb.classes[1:]) == {"cat": (1, 1, 2), "dog": (1, 0, 0)}


def test_exactly_half_an_overlap_is_no_match():
    truth = Truth(np.array([[0, 0, 9, 9]], float), np.array([False]))
    half, more = ImageResult(0), ImageResult(0)
    half.add("cat", np.array([[0, 0, 9, 4, 1.0]]), truth)
    more.add("cat", np.array([[0, 0, 9, 5, 1.0]]), truth)
    assert not half.hits["cat"].any() and half.false["cat"].all() and len(half.missed) == 1
    assert more.hits["cat"].all() and not more.false["cat"].any() and not more.missed


def test_the_page_holds_the_numbers_and_links_existing_pictures(imdb, all_boxes, tmp_path):
    path = report.write_report(imdb, all_boxes, METRICS, tmp_path / "out")
    lines = Path(path).read_text().splitlines()
    assert "| cat | 1.0000 | 1 | 1.000 | 0.333 |" in lines
    assert "| dog | 0.0000 | 1 | 0.000 | - |" in lines
    assert "| **all** | **0.5000** | 2 | 0.500 | 0.333 |" in lines
    links = [line.split("(")[-1][:-1] for line in lines if line.startswith("![")]
    assert links == ["pr_curves.png", "contact_sheet.jpg", "failures.jpg"]
    for name in [*links, "pictures/image0.jpg", "pictures/image1.jpg"]:
        assert cv2.imread(str(tmp_path / "out" / name)) is not None


@pytest.mark.parametrize("name", hostile.NAMES, ids=ascii)
def test_a_class_name_stays_in_its_cell(name):
    counts = {name: (1, 1, 2), "dog": (1, 0, 0)}
    metrics = {"mean_ap": 0.5, "per_class": {name: {"ap": 1.0}, "dog": {"ap": 0.0}}}
    text = report.report_text(SimpleNamespace(name=name, num_images=2), metrics, counts, [])
    lines = text.split("\n")
    assert len(lines) == 11 and lines == text.splitlines() + [""]
    for line in lines[5:10]:
        assert len(re.findall(r"(?<!\\)(?:\\\\)*\|", line)) == 6
    assert not re.search(r"(?<!\\)(\\\\)*[<`&]", text)


def test_no_failures_leave_no_old_failures_behind(imdb, all_boxes, tmp_path):
    report.write_report(imdb, all_boxes, METRICS, tmp_path / "out")
    none = np.zeros((0, 5))
    right = [[[], []], [np.array([[10, 10, 49, 49, 0.9]]), none],
             [np.array([[60, 20, 99, 79, 0.9]]), none]]
    path = report.write_report(imdb, right, METRICS, tmp_path / "out")
    assert not (tmp_path / "out" / "failures.jpg").exists()
    assert "failures.jpg" not in Path(path).read_text()


def test_an_unreadable_image_is_named(imdb, all_boxes, tmp_path):
    (tmp_path / "image1.png").write_bytes(b"no picture")
    with pytest.raises(ValueError, match=r"image1\.png"):
        report.write_report(imdb, all_boxes, METRICS, tmp_path / "out")


def test_boxes_are_drawn_where_they_are_and_only_above_the_limit():
    im = np.full((200, 300, 3), 90, np.uint8)
    dets = {"cat": np.array([[40, 60, 139, 159, 0.9]]),
            "dog": np.array([[200, 100, 250, 150, 0.4]])}
    drawn = visualize.draw_detections(im, dets, 0.5, ("cat", "dog"), short_side=400)
    assert drawn.shape == (400, 600, 3)
    assert (im == 90).all()
    np.testing.assert_allclose(drawn[200, 80], visualize.class_colour(0), atol=2)   # left
    np.testing.assert_allclose(drawn[319, 180], visualize.class_colour(0), atol=2)  # below
    assert (drawn[:, 390:] == 90).all()                                             # no dog


def test_scaled_boxes_keep_the_outer_edges_of_pixels():
    assert visualize.scaled_box((0, 0, 299, 199), 2) == (0, 0, 599, 399)


@pytest.mark.parametrize("x, y", [(-50, -50), (1000, 1000), (290, 5)])
def test_labels_stay_inside_the_picture(x, y):
    canvas = np.zeros((60, 300, 3), np.uint8)
    visualize.draw_label(canvas, "triangle 0.99", x, y, (0, 0, 255))
    red = (canvas[:, :, 2] == 255) & (canvas[:, :, 0] == 0)
    assert red.sum() > 0.4 * 17 * 90                    # the whole strip, not a part of it


def test_contact_sheet_holds_every_picture():
    images = [np.full((50, 80, 3), value, np.uint8) for value in (10, 120, 200)]
    sheet = visualize.contact_sheet(images, ["a", "b", "c" * 500], columns=2, cell=(160, 100))
    assert sheet.shape[1] == 2 * 166 + 6
    for value, (x, y) in zip((10, 120, 200), ((80, 50), (250, 50), (80, 170))):
        assert (sheet[y, x] == value).all()
    assert visualize.contact_sheet([]) is None


def test_pictures_are_drawn_as_the_boxes_count_pixels(imdb, all_boxes, tmp_path):
    """An orientation note (EXIF) turns neither the picture nor the boxes."""
    whole = cv2.imread(imdb.image_path_at(0))
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(whole).save(imdb.image_path_at(0), exif=exif)
    report.write_report(imdb, all_boxes, METRICS, tmp_path / "out")
    drawn = cv2.imread(str(tmp_path / "out" / "pictures" / "image0.jpg"))
    assert drawn.shape[1] / drawn.shape[0] == pytest.approx(120 / 100, abs=0.01)


def test_names_of_pictures_are_distinct():
    paths = ["/x/a/x.jpg", "/x/b/x.jpg", "/x/a/x.png", "/x/a/y.jpg", "/x/a/y.jpg",
             "/x/b/A_x_jpg.gif"]
    assert distinct_names(paths) == ["a_x_jpg_2", "b_x_jpg", "a_x_png", "y", "y", "A_x_jpg"]
    assert distinct_names(["a_b/c.jpg", "a/b_c.jpg", "X.png", "x.jpg"])[:2] == ["c", "b_c"]
    assert distinct_names(["q/a_b/c.jpg", "q/a/b/c.jpg"]) == ["a_b_c_jpg", "a_b_c_jpg_2"]
    assert distinct_names([]) == []


def test_images_of_one_stem_have_pictures_of_their_own(tmp_path):
    for folder in "ab":
        (tmp_path / folder).mkdir()
    imdb = Pictures(tmp_path)
    imdb.image_path_at = lambda i: str(tmp_path / "ab"[i] / "same.png")
    for i in range(2):
        cv2.imwrite(imdb.image_path_at(i), np.full((100, 120, 3), 90, np.uint8))
    none = np.zeros((0, 5))
    report.write_report(imdb, [[], [none, none], [none, none]], METRICS, tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out" / "pictures").iterdir()) == [
        "a_same_png.jpg", "b_same_png.jpg"]

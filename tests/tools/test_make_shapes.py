"""The embedded data set: right boxes, same bytes for the same seed, the user's files left alone."""
import hashlib
import json
from xml.etree import ElementTree

import cv2
import numpy as np
import pytest

from faster_rcnn.synthetic import shape_files, shapes


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shapes") / "set"
    assert shape_files.write_set(folder, 7, 10, 4)
    return folder


def digests(folder):
    return {path.relative_to(folder): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(folder.rglob("*")) if path.is_file()}


def split(folder, name):
    return (folder / "ImageSets" / "Main" / f"{name}.txt").read_text().split()


def test_splits_part_the_pictures(small):
    assert len(split(small, "trainval")) == 10 and len(split(small, "test")) == 4
    assert sorted(split(small, "train") + split(small, "val")) == split(small, "trainval")
    assert not set(split(small, "trainval")) & set(split(small, "test"))


def test_annotations_fit_their_pictures(small):
    names = set()
    for stem in split(small, "trainval") + split(small, "test"):
        image = cv2.imread(str(small / "JPEGImages" / f"{stem}.jpg"))
        tree = ElementTree.parse(small / "Annotations" / f"{stem}.xml")
        height, width = (int(tree.findtext(f"size/{key}")) for key in ("height", "width"))
        assert image.shape == (height, width, 3)
        objects = tree.findall("object")
        assert 1 <= len(objects) <= shapes.MAX_OBJECTS
        for item in objects:
            names.add(item.findtext("name"))
            x1, y1, x2, y2 = (int(item.findtext(f"bndbox/{key}"))
                              for key in ("xmin", "ymin", "xmax", "ymax"))
            assert 1 <= x1 < x2 <= width and 1 <= y1 < y2 <= height
    assert names <= set(shapes.CLASSES) and len(names) >= 4


def test_same_options_give_the_same_bytes(run_tool, small, tmp_path):
    again, other = tmp_path / "again", tmp_path / "other"
    words = ["--trainval", 10, "--test", 4]
    done = run_tool("make_shapes.py", "--output", again, *words)
    assert done.status == 0 and done.out == (
        f"{again}: 10 trainval and 4 test pictures, drawn\n")
    assert "up to date" in run_tool("make_shapes.py", "--output", again, *words).out
    assert run_tool("make_shapes.py", "--output", other, *words, "--seed", 8).status == 0
    assert digests(again) == digests(small)
    assert not set(digests(other).values()) & {
        digest for path, digest in digests(small).items() if path.suffix == ".jpg"}


def test_a_current_set_is_left_alone_and_a_damaged_one_drawn_again(tmp_path):
    def make():
        return shape_files.write_set(tmp_path / "set", 7, 3, 1)
    assert make() is True and make() is False
    before = digests(tmp_path / "set")
    (tmp_path / "set" / "JPEGImages" / "000002.jpg").write_bytes(b"damaged")
    assert make() is True and digests(tmp_path / "set") == before
    assert shape_files.write_set(tmp_path / "set", 7, 2, 1) is True
    assert not (tmp_path / "set" / "JPEGImages" / "000004.jpg").exists()


def test_an_interrupted_drawing_is_repeated(tmp_path, monkeypatch):
    monkeypatch.setattr(shape_files, "files_of_set", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        shape_files.write_set(tmp_path / "set", 7, 3, 1)
    monkeypatch.undo()
    assert json.loads((tmp_path / "set" / "MANIFEST.json").read_text())["files"] == {}
    assert shape_files.write_set(tmp_path / "set", 7, 3, 1) is True


def test_a_folder_with_other_files_is_refused(run_tool, tmp_path):
    (tmp_path / "holiday.jpg").write_bytes(b"mine")
    done = run_tool("make_shapes.py", "--output", tmp_path)
    assert done.status == 2 and str(tmp_path) in done.err and "--output" in done.err
    assert [path.name for path in tmp_path.iterdir()] == ["holiday.jpg"]


@pytest.mark.parametrize("name", shapes.CLASSES + shapes.DISTRACTORS)
def test_outlines_stay_in_the_unit_circle(name):
    for seed in range(5):
        for line in shapes.unit_outline(name, np.random.RandomState(seed)):
            assert np.linalg.norm(line, axis=1).max() <= 1.08
    with pytest.raises(ValueError, match="hexagon"):
        shapes.unit_outline("hexagon", np.random.RandomState(0))


def test_ring_has_a_hole_and_the_box_is_the_masks():
    lines = [line * 20 + 30 for line in shapes.unit_outline("ring", np.random.RandomState(0))]
    mask = shapes.outline_mask(lines, 60, 60)
    assert mask[30, 30] == 0 and mask[30, 12] == 1
    # centre 30, radius 20: pixels 10 to 50
    np.testing.assert_allclose(shapes.mask_box(mask), [10, 10, 50, 50], atol=1)


def test_every_object_stays_mostly_visible():
    """Painted over one another, no object may lose more than a quarter of its area."""
    first = np.zeros((40, 40), np.float32)
    first[10:30, 10:30] = 1
    cover = np.zeros_like(first)
    cover[10:30, 10:14] = 1                                    # 20 % of it
    assert shapes._fits(cover, [(first, 400)], 80)
    cover[10:30, 10:18] = 1                                    # 40 %
    assert not shapes._fits(cover, [(first, 400)], 160)
    assert not shapes._fits(cover, [], 250)                    # 160 of 250: cut by the border

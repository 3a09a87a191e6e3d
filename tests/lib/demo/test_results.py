"""Result files: whole after every picture, in the forms that other programs read."""
import contextlib
import csv
import io
import json
import os
import subprocess
import sys

import cv2
import numpy as np
import pytest
from pycocotools.coco import COCO

from faster_rcnn.demo.results import OUTPUTS, GrowingFile, GrowingJson, OutputError
from faster_rcnn.demo.shots import Shot
from faster_rcnn.detectors.box import Box

CLASSES = ("dark", "wide, light")
BOXES = [Box("wide, light", 0.87654, 10, 20, 49.04, 39, 2), Box("dark", 0.5, 0, 0, 99, 79, 1)]
SHOTS = [(Shot("in/a.jpg", "a", np.zeros((80, 100, 3), np.uint8)), BOXES),
         (Shot("in/b.jpg", "b", np.zeros((30, 40, 3), np.uint8), orientation=6), []),
         (Shot("clip.mp4", "clip", np.zeros((80, 100, 3), np.uint8), frame=7, seconds=0.28),
          BOXES[1:])]


def written(kind, folder):
    """The files of an output after all shots; after each of them the JSON files are whole."""
    output = OUTPUTS[kind](str(folder), CLASSES)
    for shot, boxes in SHOTS:
        output.add(shot, boxes)
        for path in folder.glob("*.json"):
            json.loads(path.read_text())
    return output.close()


def test_json(tmp_path):
    path, = written("json", tmp_path)
    with open(path) as file:
        first, second, third = json.load(file)
    assert first == {"image": "in/a.jpg", "height": 80, "width": 100, "detections": [
        {"class": "wide, light", "score": 0.8765, "box": [10, 20, 49.0, 39]},
        {"class": "dark", "score": 0.5, "box": [0, 0, 99, 79]}]}
    assert second == {"image": "in/b.jpg", "height": 30, "width": 40, "orientation": 6,
                      "detections": []}
    assert third["frame"] == 7 and third["seconds"] == 0.28


def test_csv(tmp_path):
    path, = written("csv", tmp_path)
    with open(path, newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["class"] for row in rows] == ["wide, light", "dark", "dark"]
    assert [row["frame"] for row in rows] == ["", "", "7"]
    assert [float(rows[0][key]) for key in ("x1", "y1", "x2", "y2")] == [10, 20, 49, 39]


def test_coco(tmp_path):
    results, images = written("coco", tmp_path)
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(images)
        found = truth.loadRes(results)
    assert [image["file_name"] for image in truth.loadImgs([1, 2, 3])] == [
        "in/a.jpg", "in/b.jpg", "clip.mp4"]
    assert found.loadAnns(found.getAnnIds([1]))[1]["bbox"] == [0, 0, 100, 80]
    assert [category["name"] for category in truth.loadCats(truth.getCatIds())] == list(CLASSES)


def test_yolo(tmp_path):
    folder, = written("yolo", tmp_path)
    names = sorted(os.listdir(folder))
    assert names == ["a.txt", "b.txt", "classes.txt", "clip_000007.txt"]
    texts = {name: (tmp_path / "labels" / name).read_text() for name in names}
    assert texts["classes.txt"] == "dark\nwide, light\n" and texts["b.txt"] == ""
    line = texts["a.txt"].splitlines()[1].split()
    assert line[0] == "0" and list(map(float, line[1:])) == [0.5, 0.5, 1, 1, 0.5]


def test_an_interrupted_list_is_whole(tmp_path):
    growing = GrowingJson(str(tmp_path / "list.json"))
    assert json.loads((tmp_path / "list.json").read_text()) == []
    growing.add({"ä": 1})
    growing.add(2)
    assert json.loads((tmp_path / "list.json").read_text()) == [{"ä": 1}, 2]     # not closed


@pytest.mark.parametrize("kind", ["json", "csv", "coco"])
def test_results_are_whole_where_the_disk_is_full(tmp_path, kind):
    """A limit of the size of files stands for the end of the disk, after some of 200 pictures."""
    code = ("import resource, signal, sys\n"
            "import numpy as np\n"
            "from faster_rcnn.demo.results import OUTPUTS, OutputError\n"
            "from faster_rcnn.demo.shots import Shot\n"
            "from faster_rcnn.detectors.box import Box\n"
            "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
            "resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))\n"
            "output = OUTPUTS[sys.argv[1]](sys.argv[2], ('dark', 'light'))\n"
            "shot = Shot('a.jpg', 'a', np.zeros((8, 9, 3), np.uint8))\n"
            "try:\n"
            "    for _ in range(200):\n"
            "        output.add(shot, [Box('light', 0.5, 1, 2, 3, 4, 2)])\n"
            "except OutputError as error:\n"
            "    print(error)\n"
            "output.close()\n")
    said = subprocess.run([sys.executable, "-c", code, kind, str(tmp_path)], check=True,
                          capture_output=True, text=True, timeout=120).stdout
    assert "detections" in said and "cannot be written (File too large); --out" in said
    for path in tmp_path.iterdir():
        if path.suffix == ".json":
            assert json.loads(path.read_text())
        else:
            assert path.read_text().endswith("a.jpg,,1,2,3,4,light,0.5\n")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no full device")
def test_a_disk_that_is_full_from_the_start_is_said_once():
    with pytest.raises(OutputError) as error:
        GrowingFile("/dev/full", b"[")
    assert str(error.value).count("cannot be written") == 1


def test_names_of_files_that_are_no_text(tmp_path):
    shot = Shot("\udce4.jpg", "a", np.zeros((8, 9, 3), np.uint8))
    for kind in ("json", "csv"):
        output = OUTPUTS[kind](str(tmp_path), CLASSES)
        output.add(shot, [Box("dark", 0.5, 1, 2, 3, 4, 1)])
        output.close()
    assert json.loads((tmp_path / "detections.json").read_text())[0]["image"] == "\udce4.jpg"
    assert "\\udce4.jpg,,1" in (tmp_path / "detections.csv").read_text()


@pytest.mark.parametrize("kind", OUTPUTS)
def test_a_second_run_replaces_the_first(tmp_path, kind):
    first = written(kind, tmp_path)
    assert written(kind, tmp_path) == first
    if kind == "json":
        assert len(json.loads((tmp_path / "detections.json").read_text())) == 3


def test_pictures_of_shots_can_be_read(tmp_path):
    from faster_rcnn.demo.shots import shots_of
    from faster_rcnn.demo.sources import Source
    for folder, shade in (("a", 10), ("b", 200)):
        os.makedirs(tmp_path / folder)
        cv2.imwrite(str(tmp_path / folder / "x.png"), np.full((8, 9, 3), shade, np.uint8))
    (tmp_path / "a" / "y.png").write_bytes(b"broken")
    paths = [str(tmp_path / name) for name in ("a/x.png", "a/y.png", "b/x.png")]
    shots = list(shots_of([Source(path) for path in paths]))
    assert [shot.name for shot in shots] == ["a_x_png", "y", "b_x_png"]
    assert shots[0].im.max() == 10 and shots[2].im.max() == 200
    assert shots[1].im is None and "y.png" in shots[1].fault

"""The demo's loop: every picture is written as it comes, broken ones are named and passed over."""
import json
import logging

import cv2
import numpy as np
import pytest
from PIL import Image
from small_detector import picture, write_detector

from faster_rcnn import Detector
from faster_rcnn.demo.drawings import DrawnOutput
from faster_rcnn.demo.results import OUTPUTS
from faster_rcnn.demo.runner import write_all
from faster_rcnn.demo.shots import shots_of
from faster_rcnn.demo.sources import Source, SourceError


@pytest.fixture(scope="module")
def detector(tmp_path_factory):
    return Detector(write_detector(tmp_path_factory.mktemp("detector")), "cpu", batch=2)


@pytest.fixture
def folder(tmp_path):
    for number in range(4):
        cv2.imwrite(str(tmp_path / f"{number}.png"), picture(number))
    (tmp_path / "2.png").write_bytes(b"\x89PNG broken")
    return tmp_path


def sources(folder):
    return [Source(str(path)) for path in sorted(folder.glob("*.png"))]


def entries(folder):
    return json.loads((folder / "detections.json").read_text())


def test_broken_pictures_are_named_and_passed_over(detector, folder, caplog):
    with caplog.at_level(logging.INFO):
        faults = write_all(detector, shots_of(sources(folder)),
                          [OUTPUTS["json"](str(folder), detector.classes),
                           DrawnOutput(str(folder), detector)])
    assert [shot.name for shot in faults] == ["2"]
    assert [entry["image"][-5:] for entry in entries(folder)] == ["0.png", "1.png", "3.png"]
    for entry in entries(folder):
        boxes = detector(entry["image"])
        assert len(entry["detections"]) == len(boxes) > 0
        assert entry["detections"][0]["score"] == pytest.approx(boxes[0].score, abs=1e-3)
    assert sorted(path.name for path in folder.glob("*.jpg")) == [
        f"{number}_detections.jpg" for number in (0, 1, 3)]
    warning, = (record for record in caplog.records if record.levelno == logging.WARNING)
    assert "passed over" in warning.message and "2.png" in warning.message
    assert "3 pictures" in caplog.text and "1 passed over" in caplog.text


def test_pictures_that_are_too_large_when_scaled_are_passed_over(detector, folder, monkeypatch):
    cv2.imwrite(str(folder / "2.png"), np.zeros((1, 3000, 3), np.uint8))
    monkeypatch.setenv("FASTER_RCNN_MAX_PIXELS", "20000")
    object.__setattr__(detector._options, "max_size", 100_000)
    try:
        faults = write_all(detector, shots_of(sources(folder)), [])
    finally:
        object.__setattr__(detector._options, "max_size", 160)
    assert [shot.name for shot in faults] == ["2"] and "2.png" in faults[0].fault


def test_what_was_found_is_there_when_something_stops_it(detector, folder):
    class Interrupting:
        closed = False

        def add(self, shot, boxes):
            if shot.name == "1":
                raise KeyboardInterrupt

        def close(self):
            self.closed = True
            return []

    last = Interrupting()
    with pytest.raises(KeyboardInterrupt):
        write_all(detector, shots_of(sources(folder)),
                 [OUTPUTS["json"](str(folder), detector.classes), last])
    assert [entry["image"][-5:] for entry in entries(folder)] == ["0.png", "1.png"]
    assert last.closed


def test_videos_become_videos(detector, folder, tmp_path):
    clip = str(folder / "clip.avi")
    writer = cv2.VideoWriter(clip, cv2.VideoWriter.fourcc(*"MJPG"), 5, (128, 96))
    for seed in range(4):
        writer.write(picture(seed))
    writer.release()
    outputs = [OUTPUTS["json"](str(folder), detector.classes), DrawnOutput(str(folder), detector)]
    assert write_all(detector, shots_of([Source(clip), sources(folder)[0]], 3), outputs) == []
    assert [entry.get("frame") for entry in entries(folder)] == [0, 1, 2, None]
    assert [entry["seconds"] for entry in entries(folder)[:3]] == pytest.approx([0, 0.2, 0.4])
    video = cv2.VideoCapture(str(folder / "clip_detections.mp4"))
    assert video.get(cv2.CAP_PROP_FRAME_COUNT) == 3 and video.get(cv2.CAP_PROP_FPS) == 5
    drawn = detector.draw(picture(0), [])
    assert video.read()[1].shape == drawn.shape


def test_orientation_is_said(detector, folder, caplog):
    image = Image.fromarray(picture()[:, :, ::-1])
    exif = image.getexif()
    exif[0x0112] = 6
    image.save(folder / "phone.jpg", exif=exif)
    with caplog.at_level(logging.INFO):
        write_all(detector, shots_of([Source(str(folder / "phone.jpg"))]),
                 [OUTPUTS["json"](str(folder), detector.classes)])
    entry, = entries(folder)
    assert (entry["height"], entry["width"], entry["orientation"]) == (128, 96, 6)
    assert "turned upright: EXIF orientation 6" in caplog.text


def test_a_camera_that_is_not_there(detector):
    with pytest.raises(SourceError, match="camera:99"):
        write_all(detector, shots_of([Source("camera:99")]), [])

"""The page's server without a socket: answers, refusals, limits."""
import io
import json
import re

import cv2
import hostile
import numpy as np
import pytest
from PIL import Image
from scripted_detector import ScriptedDetector, png
from werkzeug.test import Client

from faster_rcnn.serving import looking
from faster_rcnn.serving.app import App
from faster_rcnn.serving.limits import Limits

HOST = {"Host": "localhost:8000"}


def video(tmp_path, frames, name="v.avi"):
    """Bright frames follow dark ones; 10 frames per second."""
    path = tmp_path / name
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 10, (64, 48))
    for i in range(frames):
        writer.write(np.full((48, 64, 3), 40 if i < frames // 2 else 220, np.uint8))
    writer.release()
    return path.read_bytes()


@pytest.fixture
def detector():
    return ScriptedDetector()


@pytest.fixture
def client(detector):
    return Client(App(detector, "tiny"))


def limited(**limits):
    return Client(App(ScriptedDetector(), "tiny", Limits(**limits)))


def ask(client, data, **headers):
    return client.post("/detect", data=data, headers={**HOST, **headers})


def test_a_picture_is_answered_with_its_boxes(client):
    answer = ask(client, png(value=200))
    assert answer.status_code == 200 and answer.json["width"] == 60
    assert answer.json["height"] == 40 and answer.json["seconds"] >= 0 and not answer.json["turned"]
    assert answer.json["detections"] == [
        {"class": "cat", "score": 0.9, "box": [0, 0, 29, 39]},
        {"class": "dog", "score": 0.3, "box": [30, 0, 59, 39]}]


def test_a_photograph_is_looked_at_upright(client, detector):
    exif = Image.Exif()
    exif[0x0112] = 6
    file = io.BytesIO()
    Image.fromarray(np.zeros((40, 60, 3), np.uint8)).save(file, "JPEG", exif=exif)
    answer = ask(client, file.getvalue())
    assert (answer.json["width"], answer.json["height"]) == (40, 60) and answer.json["turned"]
    assert detector.seen == [(60, 40, 3)]


def test_a_video_is_answered_with_lines(client, tmp_path):
    answer = ask(client, video(tmp_path, 20))
    lines = [json.loads(line) for line in answer.text.splitlines()]
    assert answer.mimetype == "application/x-ndjson"
    assert lines[0] == {"width": 64, "height": 48, "every": 3, "frames_per_second": 10}
    frames = lines[1:-1]
    assert [frame["frame"] for frame in frames] == [0, 3, 6, 9, 12, 15, 18]
    assert [frame["seconds"] for frame in frames] == [0, 0.3, 0.6, 0.9, 1.2, 1.5, 1.8]
    assert [len(frame["detections"]) for frame in frames] == [1, 1, 1, 1, 2, 2, 2]
    assert lines[-1] == {"stopped": ""}


def test_a_long_video_is_looked_at_in_larger_steps(tmp_path):
    answer = ask(limited(frames=4), video(tmp_path, 20))
    lines = [json.loads(line) for line in answer.text.splitlines()]
    assert lines[0]["every"] == 5 and [line["frame"] for line in lines[1:5]] == [0, 5, 10, 15]
    assert lines[-1] == {"stopped": ""}


def test_a_video_that_does_not_tell_its_length_ends_at_the_limit(tmp_path, monkeypatch):
    monkeypatch.setattr(looking, "frames_between", lambda count, rate, limits: 1)
    answer = ask(limited(frames=4), video(tmp_path, 20))
    lines = [json.loads(line) for line in answer.text.splitlines()]
    assert len(lines) == 6 and lines[-1] == {"stopped": "looked at 4 frames, the limit"}


@pytest.mark.parametrize("count, rate, every", [
    (100, 25, 7), (0, 25, 7), (-1e18, 4, 1), (float("nan"), 30, 8), (1e9, 25, 4166667), (5, 2, 1)])
def test_steps_between_frames(count, rate, every):
    assert looking.frames_between(count, rate, Limits()) == every


def test_work_on_a_video_ends_after_a_time(tmp_path):
    answer = ask(limited(video_seconds=0), video(tmp_path, 20))
    lines = [json.loads(line) for line in answer.text.splitlines()]
    assert len(lines) == 3 and "the limit" in lines[-1]["stopped"]


@pytest.mark.parametrize("data, status, words", [
    (b"no picture", 415, "no picture"), (png()[:60], 415, "no picture"),
    (b"RIFF\0\0\0\0AVI broken", 415, "cannot be decoded"),
    (b"\0\0\0\x18ftypmp42" + b"\0" * 50, 415, "cannot be decoded"),
    # a playlist would make the decoder open what it names
    (b"#EXTM3U\n#EXTINF:10,\nfile:///etc/passwd\n", 415, "no picture"),
    (b"ffconcat version 1.0\nfile /etc/passwd\n", 415, "no picture")])
def test_what_is_no_picture_or_video_is_refused_in_one_line(client, data, status, words):
    answer = ask(client, data)
    assert answer.status_code == status and words in answer.json["error"]
    assert "\n" not in answer.json["error"] and "/tmp" not in answer.json["error"]


@pytest.mark.parametrize("limits, words", [
    ({"picture_bytes": 1, "video_bytes": 1 << 20}, "the file has 1.5 MB; the limit is 1.0 MB"),
    ({"picture_bytes": 1 << 20}, "the file has 1.5 MB; the limit for it is 1.0 MB")])
def test_large_files_are_refused(limits, words):
    answer = ask(limited(**limits), png() + bytes((3 << 19) - len(png())))
    assert answer.status_code == 413 and answer.json["error"] == words


def test_a_picture_of_too_many_pixels_is_refused():
    answer = ask(limited(pixels=2399), png())
    words = "60 x 40 pixels are more than the limit of 0.002399 megapixels"
    assert (answer.status_code, answer.json["error"]) == (413, words)


def test_a_picture_that_says_it_is_huge_is_not_decoded(client, detector):
    data = bytearray(png())
    data[16:24] = (60000).to_bytes(4, "big") * 2
    answer = ask(client, bytes(data))
    assert answer.status_code in (413, 415) and not detector.seen


def test_a_request_must_say_its_length_and_hold_it(client):
    def environ(length):
        return {"wsgi.input": io.BytesIO(png()), "HTTP_HOST": "localhost", "REQUEST_METHOD": "POST",
                "PATH_INFO": "/detect", **({"CONTENT_LENGTH": length} if length else {})}
    assert client.open(environ_base=environ(None), path="/detect", method="POST").status_code in (
        400, 411)
    cut_off = client.open(environ_overrides=environ("5000"), path="/detect", method="POST")
    assert cut_off.status_code == 400


@pytest.mark.parametrize("headers, status", [
    ({"Host": "127.0.0.1:8000"}, 200), ({"Host": "LOCALHOST"}, 200), ({"Host": "[::1]:80"}, 200),
    ({"Host": "localhost:8000", "Origin": "http://localhost:8000"}, 200),
    ({"Host": "evil.example"}, 403), ({"Host": "evil.example:8000"}, 403),
    ({"Host": "localhost.evil.example"}, 403), ({"Host": "localhost:8000@evil.example"}, 403),
    ({"Host": "localhost:evil"}, 403),
    ({"Host": "localhost:8000", "Origin": "http://evil.example"}, 403),
    ({"Host": "localhost:8000", "Origin": "http://localhost:9000"}, 403),
    ({"Host": "localhost:8000", "Origin": "null"}, 403),
    ({"Host": "localhost:8000", "Sec-Fetch-Site": "cross-site"}, 403),
    ({"Host": "localhost:8000", "Sec-Fetch-Site": "same-site"}, 403)])
def test_only_our_own_page_may_ask(client, headers, status):
    assert client.get("/", headers=headers).status_code == status
    assert client.post("/detect", data=png(), headers=headers).status_code == status


def test_a_name_that_was_given_is_known():
    client = Client(App(ScriptedDetector(), names=("Workstation.local",)))
    assert client.get("/", headers={"Host": "workstation.local:8000"}).status_code == 200
    assert client.get("/", headers={"Host": "other.local"}).status_code == 403


@pytest.mark.parametrize("path", ["/../app.py", "/page.js/../../app.py", "/%2e%2e/app.py",
                                  "/static/page.js", "/etc/passwd", "//etc/passwd"])
def test_there_are_no_other_files(client, path):
    answer = client.get(path, headers=HOST)
    assert answer.status_code in (308, 404) and "import" not in answer.text


def test_other_methods_are_refused(client):
    assert client.get("/detect", headers=HOST).status_code == 405
    assert client.post("/", headers=HOST).status_code == 405


def test_the_page_and_every_answer_have_the_protecting_headers(client):
    for answer in (client.get("/", headers=HOST), client.get("/nothing", headers=HOST),
                   ask(client, b"x"), client.get("/", headers={"Host": "evil"})):
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Cache-Control"] == "no-store"
        assert "Access-Control-Allow-Origin" not in answer.headers


def test_names_of_classes_are_text_in_the_page():
    client = Client(App(ScriptedDetector(("<script>alert(1)</script>", "dog")), "<b>"))
    text = client.get("/", headers=HOST).text
    assert "<script>alert" not in text and "&lt;script&gt;alert(1)" in text
    assert "<h1>&lt;b&gt;</h1>" in text


@pytest.mark.parametrize("name", hostile.NAMES, ids=ascii)
def test_no_name_adds_an_element(name):
    def elements(title):
        page = Client(App(ScriptedDetector((title, "dog")), title)).get("/", headers=HOST).text
        return re.findall(r"</?[a-z!]+", page)
    assert elements(name) == elements("cat")


def test_a_fault_of_ours_goes_to_the_log_and_not_to_the_browser(caplog):
    class Broken(ScriptedDetector):
        def __call__(self, pictures):
            raise RuntimeError("secret")
    answer = ask(Client(App(Broken())), png())
    assert answer.status_code == 500 and "secret" not in answer.text
    assert "secret" in caplog.text


def test_a_fault_in_a_video_ends_its_lines_and_frees_the_detector(tmp_path):
    class BrokenOnBright(ScriptedDetector):
        def __call__(self, pictures):
            if pictures.mean() > 128:
                raise RuntimeError("secret")
            return super().__call__(pictures)
    client = Client(App(BrokenOnBright(), limits=Limits(turn_seconds=0.1)))
    answer = ask(client, video(tmp_path, 20))
    assert "failed" in answer.text.splitlines()[-1] and "secret" not in answer.text
    answer.close()
    assert ask(client, png()).status_code == 200


def test_uploads_leave_nothing_behind(client, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    for data in (png(), b"no picture", b"RIFF\0\0\0\0AVI broken"):
        ask(client, data)
    assert list(tmp_path.iterdir()) == []
    monkeypatch.undo()

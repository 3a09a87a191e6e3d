"""The words of a command line as pictures, videos and cameras."""
import io
import os

import pytest

from faster_rcnn.demo.sources import Source, SourceError, find_sources


@pytest.fixture
def folder(tmp_path, monkeypatch):
    for name in ("a.jpg", "b.PNG", "notes.txt", "below/c.jpg", "below/deep/d.tif", ".hidden/e.jpg",
                 "a_detections.jpg", "clip.mp4"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("words, subfolders, names", [
    (["a.jpg", "notes.txt"], False, ["a.jpg", "notes.txt"]),
    (["."], False, ["./a.jpg", "./b.PNG"]),
    (["."], True, ["./a.jpg", "./b.PNG", "./below/c.jpg", "./below/deep/d.tif"]),
    (["below", "a.jpg", "a.jpg"], False, ["below/c.jpg", "a.jpg"]),
    (["*.jpg"], False, ["a.jpg"]),
    (["**/*.jpg"], False, ["a.jpg", "below/c.jpg"]),
    (["clip.mp4", "camera:0"], False, ["clip.mp4", "camera:0"])])
def test_what_is_found(folder, words, subfolders, names):
    assert [source.path for source in find_sources(words, subfolders)] == names


def standard_input(content):
    return io.TextIOWrapper(io.BytesIO(content), "utf-8")


def test_lines_of_the_standard_input(folder, monkeypatch):
    monkeypatch.setattr("sys.stdin", standard_input(b"a.jpg\n\nbelow\r\n-\nclip.mp4"))
    assert [source.path for source in find_sources(["-"])] == ["a.jpg", "below/c.jpg", "clip.mp4"]
    with pytest.raises(SourceError, match="names no pictures"):
        find_sources(["-"])


def test_names_on_the_standard_input_that_are_no_text(folder, monkeypatch):
    name = os.fsdecode(b"f\xe4.jpg")
    (folder / name).write_bytes(b"")
    monkeypatch.setattr("sys.stdin", standard_input(b"f\xe4.jpg\n"))
    assert [source.path for source in find_sources(["-"])] == [name]


def test_pictures_of_kinds_that_are_not_read_are_said(folder, caplog):
    (folder / "phone.HEIC").write_bytes(b"")
    assert len(find_sources(["."])) == 2
    assert "not read (.heic), ./phone.HEIC, is left out" in caplog.text
    (folder / "phone").mkdir()
    (folder / "phone.HEIC").rename(folder / "phone" / "a.HEIC")
    with pytest.raises(SourceError, match="no pictures .*; a picture of a kind that is not read"):
        find_sources(["phone"])


@pytest.mark.parametrize("word, error, words", [
    ("https://example.org/dog.jpg", SourceError, ["address", "wget https://example.org/dog.jpg"]),
    ("*.gif", SourceError, ["*.gif"]),
    ("gone.jpg", FileNotFoundError, ["gone.jpg", "camera:0"]),
    (".hidden/..", None, []),
    ("below/deep/..", None, [])])
def test_what_is_not(folder, word, error, words):
    if error is None:
        assert find_sources([word])
        return
    with pytest.raises(error) as caught:
        find_sources([word])
    for part in words:
        assert part in str(caught.value)


def test_a_folder_without_pictures(folder):
    os.makedirs("none")
    with pytest.raises(SourceError, match="none holds no pictures.*--subfolders"):
        find_sources(["none"])


def test_kinds():
    assert Source("camera:12").camera == 12 and Source("camera:12").is_moving
    assert Source("a.MP4").is_moving and Source("a.MP4").camera is None
    assert not Source("camera.jpg").is_moving

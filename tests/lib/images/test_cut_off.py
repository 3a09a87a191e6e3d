"""Images that are cut off, too large, thin, or no files at all."""
import io
import os
import resource

import cv2
import numpy as np
import pytest
from PIL import Image

from faster_rcnn.files.reading import FileError, read_text
from faster_rcnn.images import reading
from faster_rcnn.images.blob import im_scale_factor, prep_im_for_blob
from faster_rcnn.images.reading import ImageError, image_fault, image_size, read_image
from faster_rcnn.reports import visualize


def photograph(height=180, width=240):
    """A smooth image with noise in it, as photographs have."""
    rng = np.random.default_rng(0)
    ramp = np.linspace(30, 220, width)[None, :, None] * np.ones((height, 1, 3))
    return np.clip(ramp + rng.normal(0, 12, ramp.shape), 0, 255).astype(np.uint8)


def encoded(kind, im=None, **options):
    file = io.BytesIO()
    Image.fromarray(photograph() if im is None else im).save(file, kind, **options)
    return file.getvalue()


JPEGS = {"baseline": {}, "progressive": {"progressive": True}, "full colour": {"subsampling": 0},
         "restarts": {"restart_marker_rows": 1}, "optimal": {"optimize": True}}


@pytest.mark.parametrize("options", JPEGS.values(), ids=list(JPEGS))
def test_a_jpeg_is_whole_when_its_pixels_are(tmp_path, options):
    whole = encoded("JPEG", **options)
    path = str(tmp_path / "a.jpg")
    expected = cv2.imdecode(np.frombuffer(whole, np.uint8), cv2.IMREAD_COLOR)
    for content in (whole, whole + bytes(100_000), whole + b"\xff\xd8 other", whole[:-2]):
        (tmp_path / "a.jpg").write_bytes(content)
        assert image_fault(path) == ""
        assert (read_image(path) == expected).all()


@pytest.mark.parametrize("share", (0.4, 0.6, 0.8, 0.9))
@pytest.mark.parametrize("options", JPEGS.values(), ids=list(JPEGS))
def test_a_cut_jpeg_is_refused_whatever_lies_behind_the_cut(tmp_path, options, share):
    whole = encoded("JPEG", **options)
    cut = whole[:int(share * len(whole))]
    path = str(tmp_path / "a.jpg")
    # nothing; a file system's hole; the rest of another download
    for content in (cut, cut + bytes(4096 * 3), cut + whole):
        (tmp_path / "a.jpg").write_bytes(content)
        with pytest.raises(ImageError, match=r"a\.jpg is cut off"):
            read_image(path)
        if not content.endswith(whole):     # whose end is at the end: only reading it tells
            assert image_fault(path) == "is cut off: pixels are missing"


def test_a_thumbnail_is_not_the_end_of_a_jpeg(tmp_path):
    small = encoded("JPEG", photograph(30, 40))
    whole = encoded("JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08" + bytes(6) + small)
    path = tmp_path / "a.jpg"
    path.write_bytes(whole[:len(whole) // 2])
    assert b"\xff\xd9" in path.read_bytes()
    assert image_fault(str(path)) == "is cut off: pixels are missing"
    path.write_bytes(whole)
    assert image_fault(str(path)) == ""


@pytest.mark.parametrize("kind", ("PNG", "BMP", "WEBP", "TIFF"))
def test_other_formats(tmp_path, kind):
    whole, path = encoded(kind), tmp_path / "a.png"
    for content in (whole, whole + bytes(200_000)):
        path.write_bytes(content)
        assert image_fault(str(path)) == "" and read_image(str(path)).shape == (180, 240, 3)
    path.write_bytes(whole[:len(whole) // 2])
    assert image_fault(str(path)) != ""
    with pytest.raises(ImageError, match=r"a\.png (is cut off|cannot be decoded)"):
        read_image(str(path))


def test_a_png_without_its_end_is_whole_when_its_pixels_are(tmp_path):
    path, whole = tmp_path / "a.png", encoded("PNG")
    for missing in (1, 12, 14):         # of the last chunk (12 bytes) and the one before
        path.write_bytes(whole[:-missing])
        assert image_fault(str(path)) == "", missing
        assert (read_image(str(path))[:, :, ::-1] == photograph()).all()


def test_a_png_whose_chunk_says_gigabytes_uses_no_memory(tmp_path):
    path, whole = tmp_path / "a.png", bytearray(encoded("PNG"))
    place = whole.index(b"IDAT") - 4
    whole[place:place + 4] = b"\xff\x00\x10\x00"
    path.write_bytes(whole)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ImageError, match=r"a\.png is cut off"):    # OpenCV would reserve 4 GB
        read_image(str(path))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000     # KB


def bomb(tmp_path, width, height):
    """A PNG of one colour: a few bytes per million pixels."""
    path = tmp_path / "bomb.png"
    Image.new("1", (width, height)).save(path)
    return str(path)


def test_too_many_pixels_are_refused_before_they_are_decoded(tmp_path, monkeypatch):
    path = bomb(tmp_path, 20_000, 20_000)
    limit = r"bomb\.png has 20000 x 20000 pixels.* limit of 268435456 .*FASTER_RCNN_MAX_PIXELS"
    with pytest.raises(ImageError, match=limit):
        read_image(path)
    with pytest.raises(ImageError, match=limit):
        image_size(path)
    assert "20000 x 20000" in image_fault(path)
    monkeypatch.setenv("FASTER_RCNN_MAX_PIXELS", "400000000")
    assert image_fault(path) == "" and image_size(path) == (20_000, 20_000)
    monkeypatch.setenv("FASTER_RCNN_MAX_PIXELS", "many")
    with pytest.raises(ImageError, match="FASTER_RCNN_MAX_PIXELS must be a positive whole number"):
        image_fault(path)


def test_a_photograph_of_180_megapixels_is_legal(tmp_path):
    path = bomb(tmp_path, 15_500, 11_650)
    assert image_fault(path) == "" and image_size(path) == (15_500, 11_650)


def test_what_is_no_file_is_named_and_never_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.jpg")
    os.symlink("gone.jpg", tmp_path / "link.jpg")
    os.mkdir(tmp_path / "folder.jpg")
    words = {"pipe": "is not a file but a pipe",
             "link": "is a link to gone.jpg, which is not there",
             "folder": "is a folder, not a file"}
    for name, expected in words.items():
        path = str(tmp_path / f"{name}.jpg")
        assert image_fault(path).startswith(expected)
        for function in (read_image, image_size):
            with pytest.raises(ImageError, match=rf"{name}\.jpg {expected}"):
                function(path)
        with pytest.raises(FileError, match=rf"{name}\.jpg {expected}"):
            read_text(path)


@pytest.mark.parametrize("shape", ((2, 3000), (3000, 2), (3, 20000), (1, 1)))
def test_thin_images_keep_a_pixel_and_are_drawn(shape, tmp_path):
    im = np.full((*shape, 3), 100, np.uint8)
    scaled, scale = prep_im_for_blob(im, (100, 100, 100), 600, 1000)
    assert scale == im_scale_factor(shape, 600, 1000)
    assert scaled.shape[:2] == tuple(max(1, round(side * scale)) for side in shape)
    assert not scaled.any()
    canvas = visualize.draw_detections(im, {"a": np.array([[0, 0, 1, 1, 0.9]])})
    assert canvas.size < 6 * visualize.SHOW_LONG_SIDE * visualize.SHOW_SHORT_SIDE
    assert visualize.contact_sheet([im, canvas], ["a", "b"]) is not None
    visualize.write_image(tmp_path / "a.jpg", canvas)


def test_an_image_longer_than_a_jpeg_can_be_is_drawn_smaller(tmp_path):
    canvas = visualize.draw_detections(np.zeros((40, 100_000, 3), np.uint8), {})
    assert canvas.shape == (26, 65_500, 3)
    visualize.write_image(tmp_path / "a.jpg", canvas)


def test_a_scale_that_needs_gigabytes_is_refused(monkeypatch):
    im = np.zeros((60, 80, 3), np.uint8)
    with pytest.raises(ImageError, match="80 x 60 pixels would be scaled to 133333 x 100000"):
        prep_im_for_blob(im, (0, 0, 0), 100_000, 1_000_000)
    monkeypatch.setattr(reading, "DEFAULT_MAX_PIXELS", 100 * 133)
    assert prep_im_for_blob(im, (0, 0, 0), 100, 1000)[0].shape == (100, 133, 3)

"""Detector: its results are those of im_detect, whatever it is given and however many there are."""
import subprocess
import sys
import threading
import types

import cv2
import numpy as np
import pytest
from half_bytes import needs_bf16
from PIL import Image
from small_detector import CLASSES, TEST, picture, small_net, write_detector

import caffe
from caffe.core.errors import DeviceError, InputError, WeightsError
from faster_rcnn import Detector
from faster_rcnn.detection.detect import im_detect
from faster_rcnn.detection.options import Refinement
from faster_rcnn.detection.refinement import select_detections
from faster_rcnn.detectors.box import Box
from faster_rcnn.detectors.description import DescriptionError
from faster_rcnn.detectors.pictures import PictureError
from faster_rcnn.images.reading import ImageError
from faster_rcnn.settings.config import cfg, cfg_override

ORIENTATION = 0x0112


def expected(weights, im, threshold, **test):
    """What im_detect finds, as (class index, corners, score), best first."""
    with cfg_override(TEST={**TEST, "HAS_RPN": True, **test}):
        net = caffe.Net(small_net(), caffe.TEST, weights=weights)
        scores, boxes = im_detect(net, im)
        dets = select_detections(scores, boxes, -np.inf, cfg.TEST.NMS, 0, Refinement.of(cfg.TEST))
    found = [(k, *row) for k in (1, 2) for row in dets[k].tolist() if row[4] >= threshold]
    return sorted(found, key=lambda row: -row[-1])


def as_rows(boxes):
    return [(box.class_index, *box.corners, box.score) for box in boxes]


@pytest.mark.parametrize("test", [{}, {"SOFT_NMS": "linear"}, {"BBOX_VOTE": True},
                                  {"SCALES": (64,), "RPN_POST_NMS_TOP_N": 7, "NMS": 0.6}])
def test_the_boxes_are_those_of_im_detect(tmp_path, test):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("small_detector.TEST", {**TEST, **test})
        path = write_detector(tmp_path)
    found = Detector(path, "cpu", threshold=0.2)(picture())
    assert as_rows(found) == expected(path, picture(), 0.2, **test) and len(found) > 3
    assert {box.name for box in found} <= set(CLASSES)
    assert all(box.name == CLASSES[box.class_index - 1] for box in found)


def test_settings_of_the_program_change_nothing(weights, detector):
    before = as_rows(detector(picture()))
    with cfg_override(TEST={"SCALES": (32,), "NMS": 0.9, "RPN_POST_NMS_TOP_N": 1},
                      PIXEL_MEANS=[[[0, 0, 0]]], BBOX_MAX_LOG_SCALE=0.1):
        assert as_rows(detector(picture())) == before
        scales = cfg.TEST.SCALES
        made_inside = Detector(weights, "cpu", threshold=0.05)
        assert cfg.TEST.SCALES == scales
        assert as_rows(made_inside(picture())) == before


def test_every_form_of_a_picture(detector, tmp_path):
    im = picture()
    path = tmp_path / "im.png"
    cv2.imwrite(str(path), im)
    wanted = detector(im)
    opaque = np.dstack([im, np.full(im.shape[:2], 255, np.uint8)])
    for given in (path, str(path), Image.fromarray(im[:, :, ::-1]), opaque):
        assert detector(given) == wanted
    grey = im[:, :, 0]
    assert detector(grey) == detector(np.dstack([grey] * 3)) == detector(Image.fromarray(grey))


def test_lists_are_looked_at_in_batches(weights, detector):
    ims = [picture(1), picture(2), picture(3, 128, 96), picture(4), picture(5, 128, 96)]
    wanted = [as_rows(detector(im)) for im in ims]
    together = Detector(weights, "cpu", threshold=0.05, batch=2)
    passes = []
    forward = together._net.forward
    together._net.forward = lambda **blobs: passes.append(len(blobs["data"])) or forward(**blobs)
    found = together(ims)
    assert passes == [2, 1, 2]
    for of_one, of_batch in zip(wanted, found):
        assert len(of_one) == len(of_batch) > 0
        np.testing.assert_allclose(as_rows(of_batch), of_one, atol=1e-3)
    assert [as_rows(boxes) for boxes in detector(tuple(ims))] == wanted
    assert detector([]) == []


def test_best_boxes_of_a_picture(weights, detector):
    few = Detector(weights, "cpu", threshold=0.05, max_per_image=3)
    assert few(picture()) == detector(picture())[:3]
    assert Detector(weights, "cpu").threshold == 0.25


def test_several_detectors_and_threads(weights, detector, tmp_path):
    other = Detector(write_detector(tmp_path, seed=6), "cpu", threshold=0.05)
    ims = [picture(seed) for seed in range(4)]
    wanted = [(detector(im), other(im)) for im in ims]
    assert wanted[0][0] != wanted[0][1]
    found = [None] * len(ims)

    def look(index):
        found[index] = detector(ims[index]), other(ims[index])

    threads = [threading.Thread(target=look, args=(i,)) for i in range(len(ims))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == wanted


@pytest.mark.parametrize("orientation", range(1, 9))
def test_photographs_are_upright(detector, tmp_path, orientation):
    from PIL import ImageOps
    path = tmp_path / "phone.jpg"
    image = Image.fromarray(picture()[:, :, ::-1])
    exif = image.getexif()
    exif[ORIENTATION] = orientation
    image.save(path, exif=exif, quality=95)
    shown = ImageOps.exif_transpose(Image.open(path))
    upright = np.asarray(shown)[:, :, ::-1]
    assert detector.draw(path, []).shape[0] * shown.width == pytest.approx(
        detector.draw(path, []).shape[1] * shown.height, rel=0.01)
    assert as_rows(detector(path)) == as_rows(detector(np.ascontiguousarray(upright)))
    assert as_rows(detector(Image.open(path))) == as_rows(detector(path))


def test_videos_give_a_list_per_frame(detector, tmp_path):
    path = str(tmp_path / "clip.avi")
    writer = cv2.VideoWriter(path, cv2.VideoWriter.fourcc(*"MJPG"), 5, (128, 96))
    for seed in range(3):
        writer.write(picture(seed))
    writer.release()
    found = detector(path)
    assert isinstance(found, types.GeneratorType)
    found = list(found)
    video = cv2.VideoCapture(path)
    assert found == [detector(video.read()[1]) for _ in range(3)]
    (tmp_path / "no.mp4").write_bytes(b"no video")
    with pytest.raises(PictureError, match=r"no\.mp4 cannot be decoded"):
        list(detector(tmp_path / "no.mp4"))


def test_drawing(detector):
    im = picture()
    plain = detector.draw(im, [])
    box = Box("light", 0.9, 70, 30, 109, 79, 2)
    drawn = detector.draw(im, [box])
    assert plain.shape == drawn.shape and drawn.dtype == np.uint8
    assert (plain != drawn).any(axis=2).mean() > 0.01
    np.testing.assert_array_equal(detector.draw(im), detector.draw(im, detector(im)))


@pytest.mark.parametrize("given, error, words", [
    (np.zeros((4, 5, 3), np.float32), PictureError, "uint8"),
    (np.zeros((0, 5, 3), np.uint8), PictureError, "(0, 5, 3)"),
    (7, PictureError, "int"),
    ("no.jpg", ImageError, "no.jpg")])
def test_what_is_no_picture(detector, given, error, words):
    with pytest.raises(error) as caught:
        detector(given)
    assert words in str(caught.value)


@needs_bf16
def test_precision_is_as_described_or_as_wanted(tmp_path, weights, detector):
    """Few boxes are compared: those that are found in both, whose scores differ little."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("small_detector.TEST", {**TEST, "PRECISION": "bf16"})
        described = Detector(write_detector(tmp_path), "cpu", threshold=0.05)
    wanted = Detector(weights, "cpu", "bf16", threshold=0.05)
    assert (described.precision, wanted.precision, detector.precision) == ("bf16", "bf16",
                                                                           "float32")
    assert Detector(tmp_path, "cpu", "float32").precision == "float32"
    assert described.description.settings["TEST"]["PRECISION"] == "bf16"
    assert caffe.precision() == cfg.TEST.PRECISION == "float32"
    assert as_rows(described(picture())) == as_rows(wanted(picture()))
    best, exact = wanted(picture())[0], detector(picture())[0]
    assert best.name == exact.name and best.score == pytest.approx(exact.score, abs=0.05)
    np.testing.assert_allclose(best.corners, exact.corners, atol=2)


def test_wrong_options(weights):
    for options, words in (({"threshold": 1.5}, "threshold"), ({"batch": 0}, "batch"),
                           ({"device": "tpu"}, "device"), ({"precision": "int3"}, "precision")):
        with pytest.raises(InputError, match=words):
            Detector(weights, **{"device": "cpu", **options})
    with pytest.raises(DeviceError):
        Detector(weights, device=99)
    assert caffe.state.device().type == "cpu"


def test_weights_that_leave_layers_random(tmp_path):
    path = write_detector(tmp_path)
    net = caffe.Net(small_net(), caffe.TEST, weights=path)
    description = Detector(path, "cpu").description
    bare = tmp_path / "bare.caffemodel"
    caffe.weights.write_weights(str(bare), "bare", [
        ("conv1", "Convolution", [blob.data for blob in net.params["conv1"]])])
    with pytest.raises(WeightsError, match="cls_score"):
        Detector(bare, "cpu", description=description)
    assert Detector(bare, "cpu", description=description, allow_random=True).classes == CLASSES


def test_weights_without_a_description(tmp_path):
    (tmp_path / "old.caffemodel").write_bytes(b"")
    with pytest.raises(DescriptionError, match=r"tools/describe\.py"):
        Detector(tmp_path / "old.caffemodel")
    with pytest.raises(FileNotFoundError, match="gone"):
        Detector(tmp_path / "gone.caffemodel")


def test_the_package_brings_pytorch_along_only_when_it_is_needed():
    code = ("import sys, faster_rcnn; assert 'torch' not in sys.modules; "
            "from faster_rcnn import Detector; assert 'torch' in sys.modules")
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
    with pytest.raises(ImportError):
        from faster_rcnn import Nothing  # noqa: F401

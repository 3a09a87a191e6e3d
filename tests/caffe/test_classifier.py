"""caffe.Classifier and caffe.Detector: images and windows through a net whose answer is known."""
import cv2
import numpy as np
import pytest
from net_texts import input_layer, layer

import caffe

# The mean of each channel of what comes in
MEANS = input_layer("data", 2, 3, 4, 4) + layer(
    "prob", "Pooling", "data", None, "pooling_param { pool: AVE global_pooling: true }")
# What comes in, number for number
SAME = input_layer("data", 3, 3, 8, 8) + layer("seen", "Power", "data")


def images(*shapes):
    rng = np.random.default_rng(3)
    return [rng.random(shape).astype(np.float32) for shape in shapes]


# -- Classifier


def test_the_centre_of_an_image(saved):
    net = caffe.Classifier(*saved(MEANS), image_dims=(6, 8), mean=np.array([1, 2, 3]),
                           raw_scale=255, channel_swap=(2, 1, 0), input_scale=0.5)
    pictures = images((6, 8, 3), (6, 8, 3), (6, 8, 3))      # one more than the net's batch
    predictions = net.predict(pictures, oversample=False)
    assert predictions.shape == (3, 3, 1, 1)
    for picture, prediction in zip(pictures, predictions):
        bgr = picture[1:5, 2:6, ::-1].mean((0, 1))
        np.testing.assert_allclose(prediction.ravel(), (bgr * 255 - [1, 2, 3]) * 0.5, rtol=1e-4)


def test_the_mean_over_ten_crops(saved):
    net = caffe.Classifier(*saved(MEANS), image_dims=[6, 8])
    picture, = images((6, 8, 3))
    crops = [picture[:4, :4], picture[:4, 4:], picture[2:, :4], picture[2:, 4:], picture[1:5, 2:6]]
    predictions = net.predict([picture, 2 * picture])
    assert predictions.shape == (2, 3)
    expected = np.mean([crop.mean((0, 1)) for crop in crops], 0)
    np.testing.assert_allclose(predictions, [expected, 2 * expected], rtol=1e-5)


def test_images_are_resized_to_the_net_by_default(saved):
    net = caffe.Classifier(*saved(MEANS))
    assert tuple(net.image_dims) == tuple(net.crop_dims) == (4, 4)
    flat = np.full((9, 5, 3), 0.25, np.float32)
    np.testing.assert_allclose(net.predict([flat]), [[0.25] * 3], rtol=1e-6)


@pytest.mark.parametrize("text, options, message", [
    (MEANS, dict(image_dims=(3, 8)), r"at least the net's \(4, 4\), got \(3, 8\)"),
    (MEANS, dict(image_dims=(8,)), r"got \(8,\)"),
    (layer("s", "DummyData", "", "s", "dummy_data_param { shape { dim: 1 } }"), {}, "got none"),
    (input_layer("a", 1, 3) + layer("s", "Silence", "a", ""), {}, r"got a \(1, 3\)")])
def test_what_cannot_classify(saved, text, options, message):
    with pytest.raises(caffe.CaffeError, match=message):
        caffe.Classifier(*saved(text), **options)


@pytest.mark.parametrize("phase", [caffe.TEST, caffe.TRAIN, 1, 0])
def test_a_phase_in_the_place_of_image_dims(saved, phase):
    """Caffe constructs Classifier(file, weights, caffe.TEST), which serves as a net."""
    net = caffe.Classifier(*saved(MEANS), phase)
    assert tuple(net.image_dims) == (4, 4)
    net.blobs["data"].data[...] = 2
    assert (net.forward()["prob"] == 2).all()
    assert net.predict([np.full((4, 4, 3), 0.25, np.float32)]).shape == (1, 3)


def test_a_net_of_two_inputs_is_constructed_but_cannot_predict(saved):
    net = caffe.Classifier(*saved(input_layer("a", 1, 3, 4, 4) + input_layer("b", 1, 3, 4, 4)
                                  + layer("sum", "Eltwise", "a b")))
    net.blobs["a"].data[...], net.blobs["b"].data[...] = 1, 2
    assert (net.forward()["sum"] == 3).all()
    with pytest.raises(caffe.CaffeError, match="expected an array for each input"):
        net.predict([np.zeros((4, 4, 3), np.float32)])


@pytest.mark.parametrize("pictures, message", [
    ([], "at least one image"), ([np.zeros((5, 5))], r"\(height, width, 3\), got \(5, 5\)"),
    ([np.zeros((5, 5, 4))], r"got \(5, 5, 4\)")])
def test_what_cannot_be_classified(saved, pictures, message):
    with pytest.raises(caffe.CaffeError, match=message):
        caffe.Classifier(*saved(MEANS)).predict(pictures)


# -- Detector


@pytest.fixture
def picture(tmp_path):
    """(path, image (20, 24, 3) RGB between 0 and 1)."""
    bgr = np.random.default_rng(4).integers(0, 256, (20, 24, 3), dtype=np.uint8)
    cv2.imwrite(str(tmp_path / "picture.png"), bgr)
    return str(tmp_path / "picture.png"), (bgr[:, :, ::-1] / 255).astype(np.float32)


def test_windows_of_an_image(saved, picture):
    path, image = picture
    detector = caffe.Detector(*saved(SAME), raw_scale=255, mean=np.array([10, 20, 30]))
    windows = np.array([[2, 3, 10, 11], [0, 0, 8, 8], [12, 16, 20, 24], [0.5, 1.5, 8.5, 9.5]])
    found = detector.detect_windows(iter([(path, windows), (path, windows[:0])]))
    assert len(found) == 4      # one more than the net's batch
    for detection, window in zip(found, windows):
        y1, x1, y2, x2 = window.astype(int)
        assert detection["filename"] == path and (detection["window"] == window).all()
        expected = image[y1:y2, x1:x2].transpose(2, 0, 1) * 255
        expected -= np.array([10, 20, 30])[:, None, None]
        np.testing.assert_allclose(detection["prediction"], expected, atol=1e-3)


def test_windows_with_context(saved, picture):
    """A window of 4 x 4 pixels and 2 of context in an input of 8 x 8: 8 pixels around its centre.

    pycaffe: 3 + 4 / 2 = 5 -+ 4 gives 1 to 9, ends not copied; their size counts as 9.
    """
    _, image = picture
    detector = caffe.Detector(*saved(SAME), context_pad=2)
    crop = detector.crop(image, np.array([3, 5, 6, 8]))
    np.testing.assert_allclose(crop, caffe.io.resize_image(image[1:9, 3:11], (8, 8)), atol=1e-6)


def test_the_mean_stands_in_for_what_is_no_image(saved, picture):
    """The mean is set for the net's channels (BGR, up to 255) and shown in those of the image."""
    _, image = picture
    detector = caffe.Detector(*saved(SAME), context_pad=2, raw_scale=255, channel_swap=(2, 1, 0),
                              mean=np.array([51, 102, 153]))
    crop = detector.crop(image, (0, 0, 3, 3))       # enlarged: -2 to 6, of which 0 to 6 is there
    # 8 pixels of input for 9 of the image: round(2 * 8 / 9) = 2 stay empty, 6 are left
    np.testing.assert_allclose(crop[:2], np.broadcast_to([0.6, 0.4, 0.2], (2, 8, 3)), atol=1e-6)
    np.testing.assert_allclose(crop[:, :2], crop[:2].transpose(1, 0, 2), atol=1e-6)
    np.testing.assert_allclose(crop[2:, 2:], image[:6, :6], atol=1e-6)
    seen = detector.transformer.preprocess("data", crop)
    np.testing.assert_allclose(seen[:, :2], 0, atol=1e-4)


@pytest.mark.parametrize("context_pad, window", [
    (0, (5, 5, 5, 9)), (0, (15, 2, 21, 9)), (0, (-1, 5, 3, 9)), (2, (30, 2, 40, 9)),
    (2, (9, 5, 3, 9))])
def test_windows_that_are_not_there(saved, picture, window, context_pad):
    detector = caffe.Detector(*saved(SAME), context_pad=context_pad)
    with pytest.raises(caffe.CaffeError, match=r"picture.png: the window .* 20 x 24 pixels"):
        detector.detect_windows([(picture[0], [window])])


def test_context_must_leave_room(saved):
    with pytest.raises(caffe.CaffeError, match="below half the net's input of 8 x 8, got 4"):
        caffe.Detector(*saved(SAME), context_pad=4)


def test_selective_search_is_named(saved, picture):
    with pytest.raises(caffe.CaffeError, match="selective_search_ijcv_with_python.*detect_windows"):
        caffe.Detector(*saved(SAME)).detect_selective_search([picture[0]])

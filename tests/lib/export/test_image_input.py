"""The graph that prepares a picture gives what OpenCV and images/blob.py give."""
import dataclasses

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper

from caffe.export.layers.graph import Form, Graph
from caffe.export.model import model_of
from faster_rcnn.detection.inputs import image_and_info_blobs
from faster_rcnn.detection.options import TestOptions
from faster_rcnn.export.image_input import prepared_image

RANKS = {"data": 4, "im_info": 2, "size": 1}


def session_of(options):
    """ONNX Runtime with the graph that makes data, im_info and size of a picture."""
    graph = Graph("input", Form())
    found = prepared_image(graph, "image", options)
    for name, value in zip(RANKS, found):
        graph.nodes.append(helper.make_node("Identity", [value], [name]))
    model = model_of(
        [graph], [helper.make_tensor_value_info("image", TensorProto.UINT8, ["h", "w", 3])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, [None] * rank)
         for name, rank in RANKS.items()], "input")
    return onnxruntime.InferenceSession(model.SerializeToString())


def prepared(im, options):
    return session_of(options).run(None, {"image": im})


def options_of(side, cap, multiple_of=1):
    return dataclasses.replace(TestOptions.from_cfg(), scales=(side,), max_size=cap,
                               multiple_of=multiple_of)


@pytest.mark.parametrize("height, width, side, cap", [
    (37, 53, 37, 1000), (37, 53, 60, 1000), (53, 37, 20, 1000), (31, 90, 60, 100),
    (48, 64, 24, 1000),             # OpenCV takes means of 2 x 2 pixels here
    (375, 500, 300, 400), (100, 33, 50, 77), (1, 40, 8, 1000), (5, 5, 1, 1000),
    (2, 300, 60, 100),              # a side that vanishes
    (75, 35, 30, 1000)])            # 64.28..., rounded
def test_pictures_are_scaled_as_opencv_does(rng, height, width, side, cap):
    im = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    options = options_of(side, cap)
    wanted = image_and_info_blobs(im, options)
    data, im_info, size = prepared(im, options)
    assert np.array_equal(im_info, wanted["im_info"]) and size.tolist() == [height, width]
    assert data.shape == wanted["data"].shape
    np.testing.assert_allclose(data, wanted["data"], atol=5e-5)


def test_zeros_fill_up_to_multiples(rng):
    im = rng.integers(0, 256, (40, 50, 3), dtype=np.uint8)
    options = options_of(40, 1000, multiple_of=32)
    wanted = image_and_info_blobs(im, options)
    data, im_info, _ = prepared(im, options)
    assert data.shape == (1, 3, 64, 64) and np.array_equal(im_info, wanted["im_info"])
    np.testing.assert_allclose(data, wanted["data"], atol=5e-5)


def test_sizes_agree_for_many_pictures(rng):
    """Where rounding decides, it decides alike."""
    options = options_of(60, 100)
    session = session_of(options)
    for height, width in rng.integers(1, 130, (300, 2)):
        im = np.zeros((height, width, 3), np.uint8)
        wanted = image_and_info_blobs(im, options)["im_info"]
        assert np.array_equal(session.run(["im_info"], {"image": im})[0], wanted), (height, width)

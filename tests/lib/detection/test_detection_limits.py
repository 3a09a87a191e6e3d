"""Detection at its limits: no rois, thin and huge images, inputs of other nets, failing nets."""
import cv2
import numpy as np
import pytest
from golden_pfr.detection import AnsweringNet
from listed_images import ListedImages

import caffe
import fast_rcnn.test as detection
from caffe.files import prototxt
from faster_rcnn.detection.options import Refinement
from faster_rcnn.detection.proposals import imdb_proposals
from faster_rcnn.images.blob import prep_im_for_blob
from faster_rcnn.images.reading import ImageError
from faster_rcnn.settings.config import ConfigValueError, cfg, cfg_from_list, cfg_override
from faster_rcnn.settings.merge import merge

pytestmark = pytest.mark.usefixtures("small_scale")

SOURCE = """layer { name: "input-data" type: "DummyData" top: "data" top: "im_info"
  dummy_data_param { shape { dim: 1 dim: 3 dim: 64 dim: 64 } shape { dim: 1 dim: 3 }
                     data_filler { type: "gaussian" } } }"""
INPUTS = """input: "data" input_shape { dim: 1 dim: 3 dim: 64 dim: 64 }
input: "im_info" input_shape { dim: 1 dim: 3 }"""
# one roi, from what the image is like, and two classes, by its size
HEAD = """
layer { name: "pool" type: "Pooling" bottom: "data" top: "pool"
        pooling_param { pool: AVE global_pooling: true } }
layer { name: "flat" type: "Flatten" bottom: "pool" top: "flat" }
layer { name: "rois" type: "InnerProduct" bottom: "flat" top: "rois"
        inner_product_param { num_output: 5 weight_filler { type: "constant" value: 1 } } }
layer { name: "cls_score" type: "InnerProduct" bottom: "im_info" top: "cls_score"
        inner_product_param { num_output: 2 weight_filler { type: "uniform" max: 0.01 } } }
layer { name: "cls_prob" type: "Softmax" bottom: "cls_score" top: "cls_prob" }
layer { name: "bbox_pred" type: "InnerProduct" bottom: "flat" top: "bbox_pred"
        inner_product_param { num_output: 8 } }"""
IM = np.full((30, 40, 3), 180, np.uint8)


@pytest.fixture
def database(tmp_path):
    paths = [str(tmp_path / folder / "same.png") for folder in ("a", "b")]
    for path in paths:
        (tmp_path / path).parent.mkdir()
        cv2.imwrite(path, IM)
    return ListedImages(paths, classes=["__background__", "cell"], name="golden")


def nothing(fed, call, blobs):
    """No rois."""
    blobs["rois"].data = np.zeros((0, 5), np.float32)
    return {"rois": np.zeros((0, 5)), "scores": np.zeros((0, 1)),
            "cls_prob": np.zeros((0, 2, 1, 1), np.float32),
            "bbox_pred": np.zeros((0, 8), np.float32)}


def one(fed, call, blobs):
    """One roi."""
    blobs["rois"].data = np.array([[0, 0, 0, 9, 9]], np.float32)
    return {"rois": blobs["rois"].data, "cls_prob": np.array([[0.1, 0.9]], np.float32),
            "bbox_pred": np.zeros((1, 8), np.float32)}


def test_an_image_without_rois_has_no_detections(database):
    scores, boxes = detection.im_detect(AnsweringNet(nothing), IM)
    assert scores.shape == (0, 2) and boxes.shape == (0, 8)

    def first_only(fed, call, blobs):
        return (one if call == 0 else nothing)(fed, call, blobs)

    found = detection.test_net(AnsweringNet(first_only), database)
    assert [dets.shape for dets in found[1]] == [(1, 5), (0, 5)]


def test_fast_rcnn_without_proposals_for_an_image():
    def none_fed(fed, call, blobs):
        assert fed["rois"].shape == (0, 5)
        return nothing(fed, call, blobs)

    with cfg_override(TEST={"HAS_RPN": False}):
        scores, boxes = detection.im_detect(AnsweringNet(none_fed), IM, np.zeros((0, 4)))
    assert scores.shape == (0, 2) and boxes.shape == (0, 8)


def test_results_are_copies_that_the_next_image_leaves_alone():
    net = caffe.Net(prototxt.read_net_text(INPUTS + HEAD), caffe.TEST)
    first = detection.im_detect(net, IM)
    kept = [array.copy() for array in first]
    second = detection.im_detect(net, np.zeros((50, 20, 3), np.uint8))
    assert (first[0] == kept[0]).all() and (first[1] == kept[1]).all()
    assert (first[0] != second[0]).any()
    assert not np.shares_memory(second[0], net.blobs["cls_prob"].data)


def test_inputs_that_layers_would_fill_are_fed_by_name():
    usual = caffe.Net(prototxt.read_net_text(INPUTS + HEAD), caffe.TEST)
    net = caffe.Net(prototxt.read_net_text(SOURCE + HEAD), caffe.TEST)
    net.share_with(usual)
    for im in (IM, np.full((50, 20, 3), 7, np.uint8)):
        for got, want in zip(detection.im_detect(net, im), detection.im_detect(usual, im)):
            assert (got == want).all()
        assert net.blobs["im_info"].data.tolist() == usual.blobs["im_info"].data.tolist()


@pytest.mark.parametrize("shape", [(3000, 2, 3), (2, 3000, 3), (1, 5000, 3), (20000, 3, 3)])
def test_thin_images_keep_at_least_one_pixel(shape):
    scaled, scale = prep_im_for_blob(np.full(shape, 100, np.uint8), (0, 0, 0), 600, 1000)
    assert scale == 1000 / max(shape)
    assert sorted(scaled.shape[:2]) == [1, 1000] and (scaled == 100).all()
    scores, _ = detection.im_detect(AnsweringNet(one), np.full(shape, 100, np.uint8))
    assert scores.shape == (1, 2)


def test_a_scale_that_no_memory_holds_is_refused_with_the_image_named(database):
    with cfg_override(TEST={"SCALES": (100000,), "MAX_SIZE": 200000}):
        for function in (detection.test_net, imdb_proposals):
            with pytest.raises(ImageError, match=r"a/same\.png: an image of 40 x 30 pixels would "
                                                 r"be scaled to 133333 x 100000"):
                function(AnsweringNet(one), database)


def test_an_exception_inside_a_net_names_the_image_and_keeps_its_class(database):
    class Odd(Exception):
        pass

    def second_fails(fed, call, blobs):
        if call % 2:
            raise Odd("too odd", 7)
        return {**one(fed, call, blobs), "scores": np.ones((1, 1))}

    for function in (detection.test_net, imdb_proposals):
        with pytest.raises(Odd, match="b/same.png: too odd") as caught:
            function(AnsweringNet(second_fails), database)
        assert caught.value.args[1] == 7


def test_pictures_of_one_name_do_not_overwrite_each_other(database, tmp_path):
    detection.test_net(AnsweringNet(one), database, vis=True)
    folder = tmp_path / "output/default/golden/answering/pictures"
    assert sorted(path.name for path in folder.iterdir()) == ["a_same_png.jpg", "b_same_png.jpg"]


@pytest.mark.parametrize("given, meant", [(0, ""), (1, "linear"), (2, "gaussian"),
                                          ("linear", "linear"), ("", "")])
def test_soft_nms_takes_numbers_as_well(given, meant):
    merge({"TEST": {"SOFT_NMS": given}}, cfg, lambda path: "file")
    assert cfg.TEST.SOFT_NMS == meant
    cfg_from_list(["TEST.SOFT_NMS", str(given)])
    assert cfg.TEST.SOFT_NMS == meant
    cfg.TEST.SOFT_NMS = given           # what a program assigns
    assert Refinement.of(cfg.TEST).soft_nms == meant


def test_other_numbers_of_soft_nms_are_refused():
    cfg.TEST.SOFT_NMS = 3
    with pytest.raises(ConfigValueError, match="'gaussian' or 2; not 3"):
        Refinement.of(cfg.TEST)


def test_detections_can_be_shown_in_a_window(monkeypatch):
    plt = pytest.importorskip("matplotlib.pyplot")
    shown = []
    monkeypatch.setattr(plt, "show", lambda: shown.append(plt.gca().images[-1].get_array()))
    dets = np.array([[5, 5, 20, 20, 0.9], [1, 1, 3, 3, 0.1]], np.float32)
    detection.vis_detections(IM, "cell", dets)
    detection.vis_detections(IM, "cell", dets[1:])
    drawn, empty = shown
    assert (drawn != empty).any() and (empty == 180).all()

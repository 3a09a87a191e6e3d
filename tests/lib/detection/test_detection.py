"""fast_rcnn.test and rpn.generate, with a net that answers by itself."""
import cv2
import numpy as np
import pytest
from golden_pfr.detection import AnsweringNet
from listed_images import ListedImages

import fast_rcnn.test as detection
from faster_rcnn.detection.proposals import im_proposals, imdb_proposals
from faster_rcnn.files import safe_pickle
from faster_rcnn.images.reading import ImageError
from faster_rcnn.settings.config import ConfigValueError, cfg, cfg_override

pytestmark = pytest.mark.usefixtures("small_scale")

SIZES = [(30, 40), (40, 30), (20, 20)]      # height, width


@pytest.fixture
def database(tmp_path):
    paths = []
    for i, size in enumerate(SIZES):
        paths.append(str(tmp_path / f"im{i}.png"))
        cv2.imwrite(paths[-1], np.full((*size, 3), 100 + i, np.uint8))
    return ListedImages(paths, classes=("__background__", "cell"))


def answer(fed, call, blobs):
    """One roi over the left half of the input, sure to be a cell."""
    height, width, _ = fed["im_info"][0]
    rois = np.array([[0, 0, 0, width / 2, height]], np.float32)
    blobs["rois"].data = rois
    return {"rois": rois, "scores": np.array([[0.9]], np.float32),
            "cls_prob": np.array([[0.1, 0.9]], np.float32),
            "bbox_pred": np.zeros((1, 8), np.float32)}


def test_names_that_other_programs_use():
    rois, scales = np.array([[0, 0, 9, 9], [0, 0, 99, 99]]), np.array([1.0, 2.0])
    scaled, levels = detection._project_im_rois(rois, scales)
    assert scaled.tolist() == [[0, 0, 18, 18], [0, 0, 198, 198]] and levels.tolist() == [[1], [1]]
    blobs, scales = detection._get_blobs(np.zeros((30, 40, 3), np.uint8), rois[:1])
    assert scales.tolist() == [2] and blobs["data"].shape == (1, 3, 60, 80)
    assert blobs["rois"].tolist() == [[0, 0, 0, 18, 18]]
    cfg.TEST.BBOX_VOTE_N_WEIGHTED_SCORE, cfg.TEST.BBOX_VOTE_WEIGHT_EMPTY = 2, 0.0
    dets = np.array([[0, 0, 9, 9, 0.8]], np.float32)
    # one of two votes is missing and counts nothing
    np.testing.assert_allclose(detection.bbox_vote(dets, dets), [[0, 0, 9, 9, 0.4]], rtol=1e-6)


def test_im_detect_feeds_the_scaled_image_and_returns_its_pixels():
    fed_shapes = []

    def looking(fed, call, blobs):
        fed_shapes.append((fed["data"].shape, fed["im_info"].tolist()))
        return answer(fed, call, blobs)

    scores, boxes = detection.im_detect(AnsweringNet(looking), np.zeros((30, 40, 3), np.uint8))
    assert fed_shapes == [((1, 3, 60, 80), [[60, 80, 2]])]
    # the roi from 0 to 40 is from 0 to 20 in the image; decoding adds one pixel; 29 is the last row
    assert scores.tolist() == [[np.float32(0.1), np.float32(0.9)]]
    assert boxes.tolist() == [[0, 0, 21, 29] * 2]


def test_net_writes_and_evaluates_all_detections(database, tmp_path, caplog):
    caplog.set_level("DEBUG", "faster_rcnn")
    returned = detection.test_net(AnsweringNet(answer), database)
    written = safe_pickle.load(str(tmp_path / "output/default/listed/answering/detections.pkl"))
    for all_boxes in (returned, written):
        assert all_boxes[0] == [[], [], []]
        assert [dets.shape for dets in all_boxes[1]] == [(1, 5)] * 3
        assert all_boxes[1][1][0, :4].tolist() == [0, 0, 16, 39]
    words = [message.split()[:2] for message in caplog.messages[-4:]]
    assert words == [*(["im_detect:", f"{i}/3"] for i in (1, 2, 3)), ["Evaluating", "detections"]]
    assert [record.levelname for record in caplog.records[-4:-1]] == ["DEBUG", "DEBUG", "INFO"]


@pytest.mark.parametrize("options, scores, last_x", [
    ({}, [0.9], 21),
    ({"SOFT_NMS": "linear", "SOFT_NMS_THRESH": 0.05}, [0.9], 21),
    ({"SOFT_NMS": "linear"}, [0.9, 0.6 * (1 - 22 / 23)], 21),
    ({"BBOX_VOTE": True}, [0.9], (0.9 * 21 + 0.6 * 22) / 1.5)])
def test_net_refines_as_the_settings_say(database, options, scores, last_x):
    def twice(fed, call, blobs):
        """Two rois, of which the second is a little wider."""
        outputs = answer(fed, call, blobs)
        blobs["rois"].data = np.repeat(outputs["rois"], 2, 0) + [[0] * 5, [0, 0, 0, 2, 0]]
        return {"cls_prob": np.array([[0.1, 0.9], [0.4, 0.6]], np.float32),
                "bbox_pred": np.zeros((2, 8), np.float32)}

    with cfg_override(TEST=options):
        dets = detection.test_net(AnsweringNet(twice), database)[1][0]
    assert dets[:, 4] == pytest.approx(scores, rel=1e-5)
    assert dets[0, 2] == pytest.approx(last_x, rel=1e-6)


def test_net_draws_pictures(database, tmp_path):
    detection.test_net(AnsweringNet(answer), database, vis=True)
    pictures = sorted((tmp_path / "output/default/listed/answering/pictures").iterdir())
    assert [p.name for p in pictures] == ["im0.jpg", "im1.jpg", "im2.jpg"]
    assert cv2.imread(str(pictures[0])).std() > 1       # something was drawn on the plain ground


def test_proposals_of_a_database(database, caplog):
    caplog.set_level("INFO", "faster_rcnn")
    boxes = imdb_proposals(AnsweringNet(answer), database)
    assert [b.tolist() for b in boxes] == [[[0, 0, 20, 30]], [[0, 0, 15, 40]], [[0, 0, 10, 20]]]
    assert boxes[0].dtype == np.float32
    assert [message.split()[:2] for message in caplog.messages] == [["im_proposals:", "3/3"]]
    boxes, scores = im_proposals(AnsweringNet(answer), np.zeros((30, 40, 3), np.uint8))
    assert boxes.tolist() == [[0, 0, 20, 30]] and scores.shape == (1, 1)


def test_unreadable_image_is_named(database, tmp_path):
    (tmp_path / "im1.png").write_bytes(b"broken")
    for function in (detection.test_net, imdb_proposals):
        with pytest.raises(ImageError, match=r"im1\.png cannot be decoded"):
            function(AnsweringNet(answer), database)


def test_rpn_takes_one_scale_and_others_need_boxes():
    im = np.zeros((30, 40, 3), np.uint8)
    net = AnsweringNet(answer)
    with cfg_override(TEST={"SCALES": (60, 80)}):
        with pytest.raises(ConfigValueError, match="one scale"):
            detection.im_detect(net, im)
    with cfg_override(TEST={"HAS_RPN": False}):
        with pytest.raises(ValueError, match="needs boxes"):
            detection.im_detect(net, im)


def test_equal_rois_are_computed_once():
    def both(fed, call, blobs):
        assert fed["rois"].shape == (2, 5)
        return {"cls_prob": np.array([[0.4, 0.6], [0.2, 0.8]]), "bbox_pred": np.zeros((2, 8))}

    boxes = np.array([[0, 0, 22, 10], [20, 10, 39, 29], [0, 0, 22.1, 10]])
    im = np.zeros((30, 40, 3), np.uint8)
    with cfg_override(TEST={"HAS_RPN": False}):
        assert cfg.DEDUP_BOXES == 1 / 16
        scores, pred = detection.im_detect(AnsweringNet(both), im, boxes)
    assert scores[:, 1].tolist() == [0.6, 0.8, 0.6] and pred.shape == (3, 8)
    assert pred[0].tolist() == pred[2].tolist()


def test_apply_nms_keeps_the_form():
    dets = np.array([[0, 0, 9, 9, 0.9], [0, 0, 9, 8, 0.8]], np.float32)
    kept = detection.apply_nms([[[], []], [dets, []]], 0.5)
    assert kept[0] == [[], []] and kept[1][1] == []
    assert np.array_equal(kept[1][0], dets[:1])

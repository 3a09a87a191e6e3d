"""Whole detectors as ONNX files find what their nets find, in ONNX Runtime and in OpenVINO."""
import os

import numpy as np
import onnx
import pytest
import small_ssd

import caffe
from caffe import export
from caffe.core.errors import InputError
from caffe.export.layers.graph import Form
from caffe.files import prototxt
from faster_rcnn.detection.options import Refinement, TestOptions
from faster_rcnn.export.checks.comparison import matched
from faster_rcnn.export.checks.net_detectors import net_detector
from faster_rcnn.export.checks.runtimes import described, installed, start
from faster_rcnn.export.making import class_names, is_whole_detector, whole_detector
from faster_rcnn.export.options import ExportOptions
from faster_rcnn.prototxts.adapt import adapt_file
from faster_rcnn.settings.config import cfg, cfg_override

SIZES = [(120, 160), (97, 61)]
RPN_TEST = {"HAS_RPN": True, "SCALES": [90], "MAX_SIZE": 140, "RPN_MIN_SIZE": 4,
            "RPN_POST_NMS_TOP_N": 40, "RPN_PRE_NMS_TOP_N": 200}
GIVEN_TEST = {"HAS_RPN": False, "SCALES": [90], "MAX_SIZE": 140}
NETS = {
    "faster_rcnn": ("Tiny/faster_rcnn_alt_opt/faster_rcnn_test.pt", RPN_TEST),
    "joint": ("Tiny/faster_rcnn_end2end/test.prototxt", {**RPN_TEST, "SCALE_MULTIPLE_OF": 32}),
    "fast_rcnn": ("Tiny/fast_rcnn/test.prototxt", GIVEN_TEST),
    "no_bbox_reg": ("Tiny/fast_rcnn/no_bbox_reg/test.prototxt", {**GIVEN_TEST, "BBOX_REG": False}),
    "rfcn": ("ResNet-50/rfcn_end2end/test_agnostic.prototxt",
             {**RPN_TEST, "AGNOSTIC": True, "SCALES": [64], "MAX_SIZE": 96}),
}

# ends of the names of layers with scores and deltas, and how much their outputs shall vary
SPREADS = {"cls_score": 2, "rfcn_cls": 8, "bbox_pred": 0.3, "rfcn_bbox": 1, "_conf": 1.5,
           "_loc": 1}


@pytest.fixture
def rng():
    return np.random.default_rng(11)


def fill(net, rng):
    """Random weights with which a net's numbers neither vanish nor grow from layer to layer."""
    types = {layer.name: layer.type for layer in net.layers}
    for name, blobs in net.params.items():
        weight = blobs[0].data
        if types[name] == "BatchNorm":
            blobs[0].data[...] = 0
            blobs[1].data[...] = blobs[2].data[...] = 1
        elif types[name] == "Scale":
            weight[...] = 0.3 if name.endswith("branch2c") else 1
        else:
            weight[...] = rng.normal(0, np.sqrt(2 / np.prod(weight.shape[1:])), weight.shape)


def spread_outputs(net, detect, inputs):
    """Scales the layers of scores and deltas, so that a picture has scores and boxes of all kinds.
    """
    for name in net.params:
        wanted = next((spread for end, spread in SPREADS.items() if name.endswith(end)), None)
        if wanted is not None:
            detect(*inputs)
            net.params[name][0].data[...] *= wanted / net.blobs[name].data.std()


@pytest.fixture
def detector(rng, request, tmp_path):
    """(net, options, pictures, proposals of each) of one of NETS, or of the small SSD."""
    if request.param == "ssd":
        net, test = caffe.Net(prototxt.read_net_text(small_ssd.net_text()), caffe.TEST), {}
    else:
        path, test = NETS[request.param]
        path = os.path.join(cfg.MODELS_DIR, path)
        with cfg_override(TEST=test):
            if request.param == "rfcn":     # anchors that are not all clipped to small pictures
                with cfg_override(ANCHOR_SCALES=[1, 2, 3]):
                    path = str(tmp_path / "rfcn.pt")
                    adapt_file(os.path.join(cfg.MODELS_DIR, NETS["rfcn"][0]), path, 21)
            net = caffe.Net(path, caffe.TEST)
    fill(net, rng)
    with cfg_override(TEST=test):
        options = ExportOptions(TestOptions.from_cfg(), class_names(net, None), 0.06, 30)
        pictures = [rng.integers(0, 256, (*size, 3), dtype=np.uint8) for size in SIZES]
        given = [[] for _ in pictures]
        if not options.test.has_rpn and request.param != "ssd":
            given = [[proposals(rng, *size)] for size in SIZES]
        inputs = [[im, *more] for im, more in zip(pictures, given)]
        spread_outputs(net, net_detector(net, options), inputs[0])
        yield net, options, inputs


def proposals(rng, height, width):
    """Sixty boxes in a picture, some of them equal or nearly so."""
    corners = np.sort(rng.uniform(0, 1, (40, 2, 2)), 1).reshape(-1, 4)
    boxes = (corners * (width - 1, height - 1, width - 1, height - 1)).astype(np.float32)
    return np.concatenate([boxes, boxes[:10], np.clip(boxes[:10] + 0.5, 0, None)])


def assert_alike(ours, theirs):
    assert len(ours.labels) == len(theirs.labels) > 0
    for k in np.unique(ours.labels):
        pair = [np.concatenate([found.boxes, found.scores[:, None]], 1)[found.labels == k]
                for found in (ours, theirs)]
        assert matched(*pair)[0] == 0, f"class {k}: {pair}"


@pytest.mark.parametrize("detector", [*NETS, "ssd"], indirect=True)
def test_finds_what_the_net_finds(detector, tmp_path):
    net, options, pictures = detector
    path = str(tmp_path / "detector.onnx")
    assert is_whole_detector(net)
    export.write_onnx(whole_detector(net, options), path)
    ours = net_detector(net, options)
    assert "onnxruntime" in installed()
    for name in installed():
        theirs = start(name, path, 1)
        for inputs in pictures:
            assert_alike(ours(*inputs), theirs(*inputs))


@pytest.mark.parametrize("detector", ["faster_rcnn"], indirect=True)
@pytest.mark.parametrize("opset", [14, 18, 21])
def test_operators_of_other_versions(detector, tmp_path, opset):
    net, options, pictures = detector
    options = ExportOptions(options.test, options.classes, 0.06, 30,
                            form=Form(opset, free_sizes=True))
    path = str(tmp_path / "detector.onnx")
    export.write_onnx(whole_detector(net, options), path)
    assert onnx.load(path).opset_import[0].version == opset
    assert_alike(net_detector(net, options)(*pictures[0]),
                 start("onnxruntime", path, 1)(*pictures[0]))


@pytest.mark.parametrize("detector", ["faster_rcnn"], indirect=True)
def test_blobs_in_place_of_a_picture(detector, tmp_path):
    from faster_rcnn.detection.inputs import image_and_info_blobs
    net, options, pictures = detector
    outside = ExportOptions(options.test, options.classes, 0.06, 30, prepares_image=False)
    path = str(tmp_path / "detector.onnx")
    export.write_onnx(whole_detector(net, outside), path)
    [im] = pictures[1]
    blobs = image_and_info_blobs(im, options.test)
    found = start("onnxruntime", path, 1)(blobs["data"], blobs["im_info"],
                                          np.float32(im.shape[:2]))
    assert_alike(net_detector(net, options)(im), found)


@pytest.mark.parametrize("detector", ["faster_rcnn"], indirect=True)
def test_the_file_says_what_it_is(detector, tmp_path):
    net, options, _ = detector
    path = str(tmp_path / "detector.onnx")
    export.write_onnx(whole_detector(net, options), path)
    facts = described(path)
    assert facts["classes"] == list(options.classes) and facts["scale"] == 90
    assert facts["score_threshold"] == 0.06 and facts["prepares_image"] is True
    assert facts["pixel_means_bgr"] == pytest.approx([102.9801, 115.9465, 122.7717])


@pytest.mark.parametrize("detector", ["faster_rcnn"], indirect=True)
def test_a_picture_without_detections(detector, tmp_path):
    net, options, pictures = detector
    none = ExportOptions(options.test, options.classes, 0.9999)
    path = str(tmp_path / "detector.onnx")
    export.write_onnx(whole_detector(net, none), path)
    for name in installed():
        found = start(name, path, 1)(*pictures[0])
        assert found.boxes.shape == (0, 4) and found.labels.shape == (0,)


def test_what_has_no_form_is_refused(rng):
    with cfg_override(TEST=RPN_TEST):
        test = TestOptions.from_cfg()
    with pytest.raises(InputError, match="TEST.SOFT_NMS"):
        ExportOptions(TestOptions(**{**test.__dict__, "refinement": Refinement("linear")}), ("a",))
    with pytest.raises(InputError, match="one scale"):
        ExportOptions(TestOptions(**{**test.__dict__, "scales": (90, 120)}), ("a",))
    net = caffe.Net(prototxt.read_net_text('input: "data" input_shape { dim: 1 dim: 3 dim: 4 '
                                           'dim: 4 } layer { name: "r" type: "ReLU" bottom: "data" '
                                           'top: "r" }'), caffe.TEST)
    with pytest.raises(InputError, match="is no detector"):
        whole_detector(net, ExportOptions(test, ("a",)))


@pytest.mark.parametrize("detector", ["faster_rcnn"], indirect=True)
def test_another_number_of_classes_is_refused(detector):
    with pytest.raises(InputError, match="21 classes.*3 names"):
        class_names(detector[0], ["__background__", "a", "b"])

"""Whole detectors as ONNX files find what their nets find, in ONNX Runtime and in OpenVINO."""
import numpy as np
import onnx
import pytest
from made_detectors import NETS, RPN_TEST, assert_alike

import caffe
from caffe import export
from caffe.core.errors import InputError
from caffe.export.comparing import evaluate
from caffe.export.layers.graph import Form
from caffe.files import prototxt
from faster_rcnn.detection.options import Refinement, TestOptions
from faster_rcnn.export.checks.net_detectors import net_detector
from faster_rcnn.export.checks.runtimes import described, installed, start
from faster_rcnn.export.making import class_names, is_whole_detector, whole_detector
from faster_rcnn.export.options import ExportOptions
from faster_rcnn.settings.config import cfg_override


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


@pytest.mark.parametrize("detector", ["faster_rcnn", "rfcn"], indirect=True)
def test_a_part_of_fixed_size_that_makes_its_rois(detector):
    """How many rois there are is known at run time only, whatever their blob held at export."""
    net, options, pictures = detector
    net_detector(net, options)(*pictures[0])
    wanted = {name: net.blobs[name].data.copy() for name in ("rois", *net.outputs)}
    feeds = {name: net.blobs[name].data.copy() for name in net.inputs}
    net.reshape()
    assert net.blobs["rois"].shape[0] == 1 < len(wanted["rois"])
    model = export.to_onnx(net, export.select(net, end=list(wanted)))
    assert model.graph.output[0].type.tensor_type.shape.dim[0].dim_param == "rois_0"
    for (name, ours), theirs in zip(wanted.items(), evaluate(model, feeds), strict=True):
        np.testing.assert_allclose(theirs, ours, rtol=1e-4, atol=1e-3, err_msg=name)


@pytest.mark.parametrize("detector", ["rfcn"], indirect=True)
def test_random_inputs_are_such_as_the_layers_take(detector):
    """Rois that two layers read, and im_info; otherwise no part of an R-FCN could be compared."""
    net = detector[0]
    [maps] = [runner for runner in net._runners if runner.name == "psroipooled_cls_rois"]
    blobs = [maps.bottom_names[0], "rois"]
    head = export.select(net, blobs, [maps.top_names[0]], {"rois": (7, 5)})
    assert export.largest_difference(net, head, export.to_onnx(net, head)) < 1e-4
    whole = export.select(net, end=["rois"])
    assert export.largest_difference(net, whole, export.to_onnx(net, whole)) < 1e-3


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

"""Detectors without their RPN."""
import os

import numpy as np
import pytest

import caffe
from caffe.files import prototxt
from faster_rcnn.networks.store import find
from faster_rcnn.prototxts.given_rois import with_given_rois, write_with_given_rois
from faster_rcnn.settings.config import cfg

NETS = ["Tiny/faster_rcnn_alt_opt/faster_rcnn_test.pt",
        "ZF/faster_rcnn_alt_opt/faster_rcnn_test.pt",
        "SqueezeNet/faster_rcnn_end2end/test.prototxt"]


def path_of(name):
    return find(os.path.join(cfg.MODELS_DIR, name), cfg.ROOT_DIR)      # written on first use


@pytest.mark.parametrize("name", NETS)
def test_the_rpn_goes_and_the_detector_stays(name):
    net = prototxt.read_net(path_of(name))
    made = with_given_rois(net)
    left, gone = ({layer.name for layer in made.layer},
                  {layer.name for layer in net.layer} - {layer.name for layer in made.layer})
    assert {"proposal", "rpn_cls_score", "rpn_bbox_pred"} <= gone
    assert all("rpn" in layer or layer == "proposal" for layer in gone)
    assert {"cls_score", "bbox_pred", "cls_prob"} <= left
    [inputs] = [layer for layer in made.layer if layer.type == "Input"]
    assert list(inputs.top) == ["data", "rois"]
    assert list(inputs.input_param.shape[1].dim) == [1, 5]


def test_equal_rois_give_equal_detections(tmp_path):
    rng, whole = np.random.default_rng(0), caffe.Net(path_of(NETS[0]), caffe.TEST)
    for blobs in whole.params.values():
        for blob in blobs:
            blob.data[...] = rng.normal(0, 0.05, blob.data.shape)
    path = write_with_given_rois(path_of(NETS[0]), str(tmp_path / "given.pt"))
    part = caffe.Net(path, caffe.TEST)
    part.share_with(whole)
    blobs = {"data": rng.normal(0, 50, (1, 3, 96, 128)).astype(np.float32),
             "im_info": np.array([[96, 128, 1]], np.float32)}
    for name, blob in blobs.items():
        whole.blobs[name].reshape(*blob.shape)
    expected = {name: array.copy() for name, array in whole.forward(**blobs).items()}
    rois = whole.blobs["rois"].data.copy()
    assert len(rois) > 1
    part.blobs["data"].reshape(*blobs["data"].shape)
    part.blobs["rois"].reshape(*rois.shape)
    found = part.forward(data=blobs["data"], rois=rois)
    for name in ("cls_prob", "bbox_pred"):
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-5, atol=1e-7)


def test_a_net_on_given_rois_stays_as_it_is():
    net = prototxt.read_net(path_of("Tiny/fast_rcnn/test.prototxt"))
    assert with_given_rois(net) == net

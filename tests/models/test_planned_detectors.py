"""The shipped detectors with a plan: the same maps and scores, and Python layers that read them."""
import numpy as np
import pytest
from planned import assert_near, fill, is_planned, unplanned
from shipped_nets import path_of

import caffe

# what stands in front of the proposals; behind them two that are nearly equal may change places
CASES = [("Tiny", ["rpn_cls_prob", "rpn_bbox_pred"]), ("ZF", ["rpn_cls_prob", "rpn_bbox_pred"]),
         ("ResNet-50", ["rpn_cls_prob", "rpn_bbox_pred"])]


@pytest.mark.parametrize(("name", "maps"), CASES, ids=[case[0] for case in CASES])
def test_a_detector(name, maps):
    built = caffe.Net(path_of(name, "faster_rcnn_test.pt", "faster_rcnn_alt_opt"), caffe.TEST)
    fill(built)
    for layer in ("rpn_bbox_pred", "bbox_pred"):        # boxes that stay in the picture
        built.params[layer][0].data[...] *= 0.01
    built.blobs["data"].reshape(1, 3, 96, 128)
    built.blobs["data"].data[...] = np.random.RandomState(0).normal(0, 50, (1, 3, 96, 128))
    built.blobs["im_info"].reshape(1, 3)
    built.blobs["im_info"].data[...] = (96, 128, 1)
    expected = unplanned(built)
    found = built.forward()
    assert is_planned(built)
    for blob in maps:
        assert_near(built.blobs[blob].data, expected[blob], blob)
    assert found["cls_prob"].shape == expected["cls_prob"].shape
    rois = built.blobs["rois"].data
    np.testing.assert_allclose(rois[0], expected["rois"][0], atol=0.01)
    same = (np.abs(rois - expected["rois"]) < 0.01).all(axis=1)
    assert same.mean() > 0.9
    np.testing.assert_allclose(found["cls_prob"][same], expected["cls_prob"][same], atol=1e-3)

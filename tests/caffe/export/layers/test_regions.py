"""RoI layers where edges of bins lie on cells, in ONNX Runtime and in OpenVINO."""
import numpy as np
import pytest

import caffe
from caffe import export
from caffe.export.comparing import evaluate
from caffe.files import prototxt

NET = """input: "features" input_shape {{ dim: 2 dim: 98 dim: 19 dim: 25 }}
input: "rois" input_shape {{ dim: 800 dim: 5 }}
layer {{ name: "it" type: "{0}" bottom: "features" bottom: "rois" top: "top" {1} }}
"""
LAYERS = {
    "PSROIPooling": "psroi_pooling_param { spatial_scale: 0.0625 output_dim: 2 group_size: 7 }",
    "ROIPooling": "roi_pooling_param { pooled_h: 7 pooled_w: 7 spatial_scale: 0.0625 }",
    "ROIAlign": "roi_align_param { pooled_h: 7 pooled_w: 7 spatial_scale: 0.0625 }"}


def in_onnx_runtime(model, feeds):
    return evaluate(model, feeds)[0]


def in_openvino(model, feeds):
    openvino = pytest.importorskip("openvino")
    core = openvino.Core()
    compiled = core.compile_model(core.read_model(model.SerializeToString()), "CPU",
                                  {"INFERENCE_PRECISION_HINT": "f32"})
    return compiled(list(feeds.values()))[0]


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("run", [in_onnx_runtime, in_openvino])
def test_edges_on_cells(kind, run):
    rng = np.random.default_rng(0)
    net = caffe.Net(prototxt.read_net_text(NET.format(kind, LAYERS[kind])), caffe.TEST)
    corners = np.round(np.sort(rng.uniform(0, 400, (800, 2, 2)), 1).reshape(-1, 4))
    corners[:, 2:] = corners[:, 2:] // 16 * 16 + 15     # the last pixel ends a cell
    corners[:400, :2] = np.minimum(corners[:400, :2] // 8 * 8, corners[:400, 2:])
    net.blobs["features"].data[...] = rng.standard_normal(net.blobs["features"].shape)
    net.blobs["rois"].data[...] = np.c_[rng.integers(0, 2, 800), corners]
    ours = net.forward()["top"]
    feeds = {name: net.blobs[name].data.copy() for name in ("features", "rois")}
    np.testing.assert_allclose(run(export.to_onnx(net), feeds), ours, atol=5e-6)

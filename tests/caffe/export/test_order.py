"""The order of equal scores in exported graphs."""
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from caffe.export.layers.boxes import best
from caffe.export.layers.graph import Form, Graph
from caffe.export.model import model_of


def onnx_runtime(path, scores):
    onnxruntime = pytest.importorskip("onnxruntime")
    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"]).run(
        None, {"scores": scores})


def openvino(path, scores):
    ov = pytest.importorskip("openvino")
    found = ov.Core().compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})([scores])
    return [np.array(found[i]) for i in range(2)]


@pytest.mark.parametrize("run", [onnx_runtime, openvino])
@pytest.mark.parametrize("count, limit", [(5000, 0), (5000, 902), (3, 902), (1, 0), (0, 0)])
def test_of_equal_scores_the_first_comes_first(tmp_path, run, count, limit):
    graph = Graph("order", Form(free_sizes=True))
    ends = Graph("end", Form(free_sizes=True))
    for name, value in zip(("values", "indices"), best(graph, "scores", limit)):
        ends.nodes.append(helper.make_node("Identity", [value], [name]))
    infos = [helper.make_tensor_value_info(name, kind, ["n"]) for name, kind in (
        ("scores", TensorProto.FLOAT), ("values", TensorProto.FLOAT),
        ("indices", TensorProto.INT64))]
    path = str(tmp_path / "order.onnx")
    onnx.save(model_of([graph, ends], infos[:1], infos[1:], "order"), path)
    # three of each number; the limit falls between two: which of equals it would cut is open
    scores = np.random.default_rng(count).permutation(np.arange(count) // 3).astype(np.float32)
    order = np.argsort(-scores, kind="stable")[:limit or None]
    values, indices = run(path, scores)
    np.testing.assert_array_equal(values, scores[order])
    np.testing.assert_array_equal(indices, order)

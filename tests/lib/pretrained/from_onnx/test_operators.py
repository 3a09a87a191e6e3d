"""Nets that are made of ONNX graphs have ONNX Runtime's numbers; other operators are named."""
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import caffe
from caffe.export.comparing import evaluate
from faster_rcnn.pretrained.from_onnx.table import OPERATORS, import_onnx
from faster_rcnn.pretrained.reading.checkpoints import CheckpointError

RNG = np.random.default_rng(0)


def values(*shape):
    return RNG.standard_normal(shape).astype(np.float32)


def whole(*numbers):
    return np.array(numbers, np.int64)


def op(kind, inputs="x", outputs="y", **attributes):
    name = f"the {kind}" + ("" if outputs == "y" else f" {outputs}")
    return helper.make_node(kind, inputs.split(), outputs.split(), name=name, **attributes)


def saved(folder, nodes, constants=None, shape=(1, 4, 9, 11), opset=17, outputs=("y",)):
    """The path of a file with a graph from x to y."""
    made = helper.make_graph(
        nodes, "made", [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
        [numpy_helper.from_array(array, name) for name, array in (constants or {}).items()])
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    onnx.save(model, folder / "made.onnx")
    return str(folder / "made.onnx")


def net_of(imported):
    net = caffe.Net(imported.message, caffe.TEST)
    for name, _, arrays in imported.layers:
        for blob, array in zip(net.params[name], arrays, strict=True):
            assert blob.shape == array.shape
            blob.data[...] = array
    return net


def assert_equal(path, seed=1):
    net = net_of(import_onnx(path))
    [name] = net.inputs
    data = np.random.default_rng(seed).standard_normal(net.blobs[name].shape).astype(np.float32)
    net.blobs[name].data[...] = data
    net.forward()
    for output, wanted in zip(net.outputs, evaluate(onnx.load(path), {name: data}), strict=True):
        assert net.blobs[output].shape == wanted.shape
        np.testing.assert_allclose(net.blobs[output].data, wanted, rtol=1e-5, atol=1e-5)


W, B = {"w": values(6, 4, 3, 3), "b": values(6)}, {"b": values(6)}
FC = {"w": values(5, 4), "b": values(5)}
C = values(4)
# A convolution that the graph has besides, as weights are expected
FIRST, FIRST_W = op("Conv", "x v", "c"), {"v": values(4, 4, 1, 1)}
AFTER = {
    "relu": ([op("Relu", "c")], {}), "leaky": ([op("LeakyRelu", "c", alpha=0.2)], {}),
    "sigmoid": ([op("Sigmoid", "c")], {}), "tanh": ([op("Tanh", "c")], {}),
    "abs": ([op("Abs", "c")], {}), "identity": ([op("Identity", "c", "d"), op("Relu", "d")], {}),
    "dropout": ([op("Dropout", "c", "d"), op("Relu", "d")], {}),
    "hard swish": ([op("HardSwish", "c")], {}),
    "clip": ([op("Clip", "c low high")], {"low": np.float32(-0.3), "high": np.float32(0.7)}),
    "relu6": ([op("Clip", "c low high")], {"low": np.float32(0), "high": np.float32(6)}),
    "clip below": ([op("Clip", "c low")], {"low": np.float32(0)}),
    "max pool": ([op("MaxPool", "c", kernel_shape=[3, 3], strides=[2, 2])], {}),
    "max pool, pads": ([op("MaxPool", "c", kernel_shape=[3, 3], strides=[2, 2],
                           pads=[1, 1, 1, 1])], {}),
    "max pool, up": ([op("MaxPool", "c", kernel_shape=[3, 2], strides=[2, 2], ceil_mode=1)], {}),
    "max pool, behind": ([op("MaxPool", "c", kernel_shape=[2, 2], strides=[2, 2],
                             pads=[0, 0, 1, 1])], {}),
    "average pool": ([op("AveragePool", "c", kernel_shape=[3, 3], strides=[2, 2])], {}),
    "average pool, pads": ([op("AveragePool", "c", kernel_shape=[3, 3], strides=[1, 2],
                               pads=[1, 1, 1, 1], count_include_pad=1)], {}),
    "average pool, up": ([op("AveragePool", "c", kernel_shape=[2, 3], strides=[2, 2],
                             ceil_mode=1)], {}),
    "max pool, same": ([op("MaxPool", "c", kernel_shape=[3, 3], strides=[2, 2],
                           auto_pad="SAME_UPPER")], {}),
    "max pool, valid": ([op("MaxPool", "c", kernel_shape=[3, 3], strides=[2, 2],
                            auto_pad="VALID")], {}),
    "global": ([op("GlobalAveragePool", "c")], {}), "global max": ([op("GlobalMaxPool", "c")], {}),
    "mean": ([op("ReduceMean", "c", axes=[2, 3])], {}),
    "mean, flat": ([op("ReduceMean", "c", axes=[-1, -2], keepdims=0)], {}),
    "mean of columns": ([op("ReduceMean", "c", "d", axes=[3], keepdims=0),
                         op("ReduceMean", "d", axes=[-1], keepdims=0)], {}),
    "mean of items": ([op("ReduceMean", "c", axes=[1, 2, 3])], {}),
    "squeeze one by one": ([op("GlobalAveragePool", "c", "d"), op("Squeeze", "d s", "e"),
                            op("Squeeze", "e t")], {"s": whole(2), "t": whole(-1)}),
    "norm": ([op("BatchNormalization", "c g b m v2", epsilon=1e-3)],
             {"g": C, "b": values(4), "m": values(4), "v2": np.abs(values(4)) + 0.5}),
    "add": ([op("Relu", "c", "d"), op("Add", "c d")], {}),
    "sum": ([op("Relu", "c", "d"), op("Sum", "c d x")], {}),
    "max": ([op("Abs", "c", "d"), op("Max", "c d x")], {}),
    "product": ([op("Sigmoid", "c", "d"), op("Mul", "c d")], {}),
    "concat": ([op("Relu", "c", "d"), op("Concat", "c d x", axis=1)], {}),
    "add channels": ([op("Add", "k c")], {"k": C.reshape(1, 4, 1, 1)}),
    "times channels": ([op("Mul", "c k")], {"k": C.reshape(4, 1, 1)}),
    "add number": ([op("Add", "c k")], {"k": np.float32(0.4)}),
    "times number": ([op("Mul", "k c")], {"k": np.float32(0.4)}),
    "minus": ([op("Sub", "c k")], {"k": C.reshape(4, 1, 1)}),
    "over": ([op("Div", "c k")], {"k": np.float32([3.0])}),
    "lrn": ([op("LRN", "c", size=3, alpha=0.1, beta=0.6, bias=2.0)], {}),
    "softmax": ([op("Softmax", "c", axis=1)], {}),
    "flatten": ([op("Flatten", "c")], {}),
    "reshape": ([op("Reshape", "c s")], {"s": whole(0, -1)}),
    "reshape to 1": ([op("Reshape", "c s", allowzero=1)], {"s": whole(1, 396)}),
    "squeeze": ([op("GlobalAveragePool", "c", "d"), op("Squeeze", "d s")], {"s": whole(2, 3)}),
    "gemm": ([op("GlobalMaxPool", "c", "d"), op("Flatten", "d", "e"),
              op("Gemm", "e w b", transB=1, alpha=0.5, beta=2.0)], FC),
    "gemm, untransposed": ([op("GlobalMaxPool", "c", "d"), op("Flatten", "d", "e"),
                            op("Gemm", "e w")], {"w": values(4, 5)}),
    "product and sum": ([op("GlobalMaxPool", "c", "d"), op("Flatten", "d", "e"),
                         op("MatMul", "e w", "f"), op("Add", "b f")],
                        {"w": values(4, 5), "b": values(5)}),
    "product, read twice": ([op("GlobalMaxPool", "c", "d"), op("Flatten", "d", "e"),
                             op("MatMul", "e w", "f"), op("Add", "f b", "g"), op("Add", "f g")],
                            {"w": values(4, 5), "b": values(5)}),
}


@pytest.mark.parametrize("nodes, constants", AFTER.values(), ids=AFTER)
def test_layers_are_equal(tmp_path, nodes, constants):
    assert_equal(saved(tmp_path, [FIRST, *nodes], {**FIRST_W, **constants}))


@pytest.mark.parametrize("inputs, weight, attributes", [
    ("x w", (6, 4, 3, 3), {"pads": [1, 2, 1, 2], "strides": [2, 1]}),
    ("x w b", (6, 4, 3, 2), {"dilations": [2, 2]}), ("x w b", (6, 2, 3, 3), {"group": 2}),
    ("x w", (6, 4, 3, 3), {"dilations": [2, 1], "pads": [2, 1, 2, 1]}),
    ("x w", (6, 4, 3, 5), {"auto_pad": "SAME_UPPER", "strides": [2, 1]}),
    ("x w", (6, 4, 3, 1), {"auto_pad": "SAME_LOWER"})])
def test_convolutions(tmp_path, inputs, weight, attributes):
    constants = {"w": values(*weight), **(B if "b" in inputs else {})}
    assert_equal(saved(tmp_path, [op("Conv", inputs, **attributes)], constants))


def test_older_forms_and_constants_in_nodes(tmp_path):
    weight = helper.make_node("Constant", [], ["v"],
                              value=numpy_helper.from_array(FIRST_W["v"], "v"))
    nodes = [weight, FIRST, op("Clip", "c", "d", min=0.0, max=6.0), op("Flatten", "d", "e"),
             op("Softmax", "e")]
    assert_equal(saved(tmp_path, nodes, opset=9))


def test_constants_that_the_graph_computes(tmp_path):
    """Sizes by way of Shape, transposed weights, numbers in attributes, as exporters write them."""
    nodes = [FIRST, op("GlobalMaxPool", "c", "d"), op("Shape", "c", "s"),
             op("Gather", "s first", "n", axis=0), op("Unsqueeze", "n zero", "n1"),
             helper.make_node("Constant", [], ["rest"], value_ints=[-1]),
             op("Concat", "n1 rest", "sizes", axis=0), op("Reshape", "d sizes", "e"),
             op("Transpose", "w", "wt", perm=[1, 0]), op("MatMul", "e wt", "f"),
             helper.make_node("Constant", [], ["half"], value_float=0.5), op("Mul", "f half")]
    constants = {**FIRST_W, "w": values(5, 4), "first": np.int64(0), "zero": whole(0)}
    assert_equal(saved(tmp_path, nodes, constants))
    assert_equal(saved(tmp_path, nodes, constants, ("n", 4, 9, 11)))
    nodes[4:5] = [helper.make_node("Unsqueeze", ["n"], ["n1"], axes=[0])]
    assert_equal(saved(tmp_path, nodes, constants, opset=12))


def test_nodes_that_no_output_needs_are_left_out(tmp_path):
    nodes = [FIRST, op("Sigmoid", "c", "aside"), op("Identity", "x", "z"), op("Add", "z c")]
    net = net_of(import_onnx(saved(tmp_path, nodes, FIRST_W)))
    assert net.outputs == ["y"]
    assert_equal(saved(tmp_path, nodes, FIRST_W))


def test_an_output_that_layers_read_is_noted(tmp_path):
    imported = import_onnx(saved(tmp_path, [FIRST, op("Relu", "c", "d"), op("Sigmoid", "d")],
                                 FIRST_W, outputs=("d", "y")))
    assert net_of(imported).outputs == ["y"]
    assert ["output d is no output" in note for note in imported.notes] == [True]


def test_a_constant_that_cannot_be_computed_is_named(tmp_path):
    path = saved(tmp_path, [FIRST, op("Concat", "one two", "s", axis=5), op("Reshape", "c s")],
                 {**FIRST_W, "one": whole(1), "two": whole(2)})
    with pytest.raises(CheckpointError, match="Concat.* cannot be computed|sizes in the graph"):
        import_onnx(path)


def test_every_operator_has_a_case():
    seen = {node.op_type for nodes, _ in AFTER.values() for node in nodes} | {"Conv"}
    assert set(OPERATORS) == seen


@pytest.mark.parametrize("nodes, constants, says", [
    ([op("Erf", "c")], {}, r'node "the Erf" \(Erf\) has no Caffe form: known are Abs'),
    ([op("MaxPool", "c", kernel_shape=[2, 2], auto_pad="SAME_UPPER")], {},
     r"pads \[0, 0, 1, 1\] give other windows"),
    ([op("Conv", "c w", auto_pad="SAME_LOWER", strides=[2, 2])],
     {"w": values(6, 4, 4, 4)}, r"differ before and behind: \[2, 2, 1, 1\]"),
    ([op("MaxPool", "c", kernel_shape=[3])], {}, "height and width"),
    ([op("MaxPool", "c")], {}, "not as ONNX defines the operator.*kernel_shape"),
    ([op("Conv", "c")], {}, "not as ONNX defines the operator|over height and width"),
    ([op("AveragePool", "c", kernel_shape=[2, 2], dilations=[2, 2])], {}, "dilated windows"),
    ([op("Add", "c k")], {"k": values(5, 1)}, r"a constant of shape \(5, 1\)"),
    ([op("MaxPool", "c", kernel_shape=[2, 2], strides=[1, 1], pads=[0, 0, 2, 2])], {},
     "other windows than Caffe's"),
    ([op("AveragePool", "c", kernel_shape=[3, 3], pads=[1, 1, 1, 1])], {}, "count_include_pad"),
    ([op("Conv", "c w", pads=[0, 0, 1, 1])], {"w": W["w"]}, "differ before and behind"),
    ([op("Mul", "c k")], {"k": values(9, 11)}, r"constant of shape \(9, 11\)"),
    ([op("GlobalMaxPool", "c", "d"), op("Mul", "c d")], {}, r"the shapes \(1, 4, 1, 1\) and"),
    ([op("Softmax", "c", axis=1)], {}, "opset 12"),
    ([op("Flatten", "c", axis=2)], {}, "axis 2"),
    ([op("Reshape", "c s", allowzero=1)], {"s": whole(0, -1)}, "allowzero"),
    ([op("Squeeze", "c s")], {"s": whole(0)}, r"the axes \[0\] of the shape"),
    ([op("ReduceMean", "c", axes=[1])], {}, "means over the last axes"),
    ([op("MatMul", "c k")], {"k": values(11, 3)}, "constant matrix"),
    ([op("Transpose", "c", perm=[0, 2, 3, 1])], {}, r"\(Transpose\)"),
])
def test_what_has_no_caffe_form_is_named(tmp_path, nodes, constants, says):
    path = saved(tmp_path, [FIRST, *nodes], {**FIRST_W, **constants},
                 opset=12 if says == "opset 12" else 17)
    with pytest.raises(CheckpointError, match=says) as refusal:
        import_onnx(path)
    assert "\n" not in str(refusal.value)


def test_sizes_that_a_file_leaves_open(tmp_path):
    path = saved(tmp_path, [FIRST, op("Relu", "c")], FIRST_W, ("n", 4, "h", "w"))
    with pytest.raises(CheckpointError, match="no fixed size; give it by --shape"):
        import_onnx(path)
    with pytest.raises(CheckpointError, match="has 4 axes, not 2"):
        import_onnx(path, (1, 4))
    net = net_of(import_onnx(path, (2, 4, 6, 7)))
    assert net.blobs["y"].shape == (2, 4, 6, 7)
    assert net_of(import_onnx(saved(tmp_path, [FIRST, op("Relu", "c")], FIRST_W,
                                    ("n", 4, 5, 5)))).blobs["y"].shape == (1, 4, 5, 5)


@pytest.mark.parametrize("change", [{"dims": [4, 4, 9]}, {"data_type": 99},
                                    {"raw_data": b""}])
def test_tensors_whose_values_are_missing(tmp_path, change):
    model = onnx.load(saved(tmp_path, [FIRST, op("Relu", "c")], FIRST_W))
    tensor = model.graph.initializer[0]
    for name, value in change.items():
        tensor.ClearField(name)
        if name == "dims":
            tensor.dims.extend(value)
        else:
            setattr(tensor, name, value)
    (tmp_path / "x.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(CheckpointError, match='tensor "v" cannot be read'):
        import_onnx(str(tmp_path / "x.onnx"))


@pytest.mark.parametrize("content", [b"", b"no model", b"\x08\x07"])
def test_files_that_are_none(tmp_path, content):
    (tmp_path / "x.onnx").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"x\.onnx: ") as refusal:
        import_onnx(str(tmp_path / "x.onnx"))
    assert "\n" not in str(refusal.value)

"""The operators that have a Caffe form, and the net of a whole graph."""
from collections.abc import Callable, Sequence

from faster_rcnn.pretrained.from_onnx import operators, windows
from faster_rcnn.pretrained.from_onnx.graph import Node, read_graph
from faster_rcnn.pretrained.from_onnx.net import Builder
from faster_rcnn.pretrained.reading.checkpoints import CheckpointError
from faster_rcnn.pretrained.reading.imported import Imported

OPERATORS: dict[str, Callable[[Builder, Node], None]] = {
    "Abs": operators.plain("AbsVal"), "Add": operators.add,
    "AveragePool": windows.average_pool, "BatchNormalization": operators.batch_norm,
    "Clip": operators.clip, "Concat": operators.concat, "Conv": windows.convolution,
    "Div": operators.divide, "Dropout": operators.same, "Flatten": operators.flatten,
    "Gemm": operators.gemm, "GlobalAveragePool": windows.global_pool("AVE"),
    "GlobalMaxPool": windows.global_pool("MAX"), "HardSwish": operators.plain("HardSwish"),
    "Identity": operators.same, "LRN": operators.lrn, "LeakyRelu": operators.leaky_relu,
    "MatMul": operators.mat_mul, "Max": operators.eltwise("MAX"),
    "MaxPool": windows.max_pool, "Mul": operators.multiply,
    "ReduceMean": operators.reduce_mean, "Relu": operators.plain("ReLU"),
    "Reshape": operators.reshape, "Sigmoid": operators.plain("Sigmoid"),
    "Softmax": operators.softmax, "Squeeze": operators.squeeze, "Sub": operators.subtract,
    "Sum": operators.eltwise("SUM"), "Tanh": operators.plain("TanH")}


def import_onnx(path: str, shape: Sequence[int] | None = None) -> Imported:
    """The net and the weights of an ONNX file; shape: of its input, where the file leaves it open.

    Raises CheckpointError, which names node and operator, for what has no Caffe form.
    """
    graph = read_graph(path, shape)
    net = Builder(graph)
    for node in graph.nodes:
        if node.kind not in OPERATORS:
            raise node.error(f"known are {', '.join(OPERATORS)}")
        _add(net, node)
    if not net.layers:
        raise CheckpointError(f"{path}: a graph without weights")
    first = net.message.layer[1]
    takes_picture = first.type == "Convolution" and list(first.bottom) == graph.inputs
    inner = [name for name in graph.outputs if net.is_read(name)]
    notes = [f"the graph's output {name} is no output of the net, since layers read it; it is the "
             f"blob of that name" for name in inner]
    return Imported(graph.name, net.layers, first.name if takes_picture else "", "onnx",
                    notes=notes, message=net.message)


def _add(net: Builder, node: Node) -> None:
    try:
        OPERATORS[node.kind](net, node)
    except CheckpointError:
        raise
    except Exception as error:      # a node without what its operator wants makes almost any
        raise node.error("it is not as ONNX defines the operator "
                         f"({type(error).__name__}: {error})") from None

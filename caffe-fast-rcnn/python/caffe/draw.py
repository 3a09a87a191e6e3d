"""Pictures of nets (pycaffe: caffe.draw), by pydot and graphviz.

    net = caffe.prototxt.read_net("train_val.prototxt")
    caffe.draw.draw_net_to_file(net, "net.png", rankdir="TB", phase=caffe.TEST)

Layers are boxes, green where they work in place; blobs are octagons. The edges from a layer are
labelled with its number of outputs, or with its batch size.
"""
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from google.protobuf.message import Message

from caffe.core.errors import CaffeError
from caffe.core.packages import load
from caffe.core.types import FilePath
from caffe.files.atomic import write_bytes
from caffe.proto import caffe_pb2
from caffe.proto.caffe_pb2 import LayerParameter, NetParameter

if TYPE_CHECKING:
    import pydot

LAYER_STYLE_DEFAULT = {"shape": "box", "fillcolor": "#6495ED", "style": "filled"}
NEURON_LAYER_STYLE = {"shape": "box", "fillcolor": "#90EE90", "style": "filled"}
BLOB_STYLE: dict[str, Any] = {"shape": "octagon", "fillcolor": "#E0E0E0", "style": "filled"}
_COLORS = {"Convolution": "#FF5050", "Deconvolution": "#FF5050", "Pooling": "#FF9900",
           "InnerProduct": "#CC33FF"}
_DATA_BLOCKS = {"Data": "data_param", "ImageData": "image_data_param",
                "HDF5Data": "hdf5_data_param", "MemoryData": "memory_data_param",
                "WindowData": "window_data_param"}


def get_pooling_types_dict() -> dict[int, str]:
    """Number -> name of the kinds of pooling."""
    return {number: name for name, number in caffe_pb2.PoolingParameter.PoolMethod.items()}


def get_edge_label(layer: LayerParameter) -> str:
    """The label of the edges from a layer to its tops; "" for none."""
    if layer.type in _DATA_BLOCKS:
        return f"Batch {getattr(layer, _DATA_BLOCKS[layer.type]).batch_size}"
    if layer.type in ("Convolution", "Deconvolution"):
        return str(layer.convolution_param.num_output)
    if layer.type == "InnerProduct":
        return str(layer.inner_product_param.num_output)
    return ""


def get_layer_lr_mult(layer: LayerParameter) -> str:
    """The learning rate multipliers of a layer's weights and bias as text: "lrm: 1, 2"."""
    if layer.type not in ("Convolution", "Deconvolution", "InnerProduct"):
        return ""
    multipliers = [f"{spec.lr_mult:g}" for spec in layer.param] or ["1"]
    return f"lrm: {', '.join(multipliers)}"


def get_layer_label(layer: LayerParameter, rankdir: str, display_lrm: bool = False) -> str:
    """The label of a layer's box: name, type, window and, if wanted, rate multipliers.

    Lines in drawings from left to right, one line in those from top to bottom.
    """
    parts = [layer.name, f"({layer.type})"]
    if layer.type in ("Convolution", "Deconvolution"):
        p = layer.convolution_param
        parts += _window_label(p, p.kernel_size, p.stride, p.pad)
    elif layer.type == "Pooling":
        p = layer.pooling_param
        parts[1] = f"({get_pooling_types_dict()[p.pool]} Pooling)"
        parts += ["global"] if p.global_pooling else \
            _window_label(p, [p.kernel_size], [p.stride], [p.pad])
    if display_lrm and get_layer_lr_mult(layer):
        parts.append(get_layer_lr_mult(layer))
    return (" " if rankdir in ("TB", "BT") else "\n").join(parts)


def _window_label(p: Message, kernel_size: Sequence[int], stride: Sequence[int],
                  pad: Sequence[int]) -> list[str]:
    return [f"{name}: {_numbers(p, values, prefix, default)}"
            for name, values, prefix, default in (("kernel size", kernel_size, "kernel", 0),
                                                  ("stride", stride, "stride", 1),
                                                  ("pad", pad, "pad", 0))]


def _numbers(p: Message, values: Sequence[int], prefix: str, default: int) -> str:
    """"3", or "3x5" where the axes differ."""
    pair = f"{prefix}_h", f"{prefix}_w"
    if any(p.HasField(name) for name in pair):
        values = [getattr(p, name) for name in pair]
    return "x".join(map(str, values or [default]))


def choose_color_by_layertype(layertype: str) -> str:
    """The colour of a layer's box."""
    return _COLORS.get(layertype, LAYER_STYLE_DEFAULT["fillcolor"])


def get_pydot_graph(caffe_net: NetParameter, rankdir: str, label_edges: bool = True,
                    phase: int | None = None, display_lrm: bool = False) -> "pydot.Dot":
    """The pydot.Dot of a NetParameter.

    rankdir: LR, RL, TB or BT, the direction of the drawing; phase: caffe.TRAIN or
    caffe.TEST, to leave out the layers of the other. Raises CaffeError for a net in the older form.
    """
    if caffe_net.layers:
        raise CaffeError("the net is in the older form (layers instead of layer); read it with "
                         "caffe.prototxt.read_net, which translates it")
    pydot = load("pydot")
    graph = pydot.Dot(_quoted(caffe_net.name or "Net"), graph_type="digraph", rankdir=rankdir)
    blobs = set()
    for number, layer in enumerate(caffe_net.layer):
        if not _is_drawn(layer, phase):
            continue
        node = pydot.Node(_quoted(f"layer {number}"), **_layer_style(layer),
                          label=_quoted(get_layer_label(layer, rankdir, display_lrm)))
        graph.add_node(node)
        for name in (*layer.bottom, *layer.top):
            if name not in blobs:
                blobs.add(name)
                graph.add_node(pydot.Node(_blob_node(name), label=_quoted(name), **BLOB_STYLE))
        label = get_edge_label(layer) if label_edges else ""
        for name in layer.bottom:
            graph.add_edge(pydot.Edge(_blob_node(name), node.get_name()))
        for name in layer.top:
            graph.add_edge(pydot.Edge(node.get_name(), _blob_node(name), label=_quoted(label)))
    return graph


def _is_drawn(layer: LayerParameter, phase: int | None) -> bool:
    """Whether a layer's rules name the phase; levels and stages do not count."""
    if phase is None:
        return True
    if layer.include:
        return any(rule.phase == phase or not rule.HasField("phase") for rule in layer.include)
    return not any(rule.phase == phase and rule.HasField("phase") for rule in layer.exclude)


def _layer_style(layer: LayerParameter) -> dict[str, Any]:
    if len(layer.bottom) == 1 and list(layer.bottom) == list(layer.top):
        return NEURON_LAYER_STYLE
    return {**LAYER_STYLE_DEFAULT, "fillcolor": choose_color_by_layertype(layer.type)}


def _blob_node(name: str) -> str:
    return _quoted(f"blob {name}")


def _quoted(text: str) -> str:
    """The text as a quoted string of the dot language."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def draw_net(caffe_net: NetParameter, rankdir: str, ext: str = "png", phase: int | None = None,
             display_lrm: bool = False) -> Any:
    """The picture of a net as bytes of the given format; "raw" is the text that graphviz reads.

    Raises CaffeError where graphviz is not installed or does not know the format.
    """
    graph = get_pydot_graph(caffe_net, rankdir, phase=phase, display_lrm=display_lrm)
    if ext == "raw":
        return graph.to_string().encode()
    if ext not in graph.formats:
        raise CaffeError(f'graphviz draws no ".{ext}" files; known: raw, '
                         f"{', '.join(sorted(graph.formats))}")
    try:
        return graph.create(format=ext)
    except FileNotFoundError:
        raise CaffeError("drawing needs the program dot of graphviz (https://graphviz.org), which "
                         "is not on the PATH; a .raw file holds the graph as text") from None
    except AssertionError:      # pydot's answer to an exit status
        raise CaffeError(f'graphviz could not draw the net as ".{ext}"') from None


def draw_net_to_file(caffe_net: NetParameter, filename: FilePath, rankdir: str = "LR",
                     phase: int | None = None, display_lrm: bool = False) -> None:
    """Draws a net into a file, whose extension is the format (see `draw_net`)."""
    name = str(filename)
    if "." not in name:
        raise CaffeError(f"{name}: expected a file name with an extension, such as .png")
    write_bytes(name, draw_net(caffe_net, rankdir, name.rsplit(".", 1)[1].lower(), phase,
                               display_lrm))

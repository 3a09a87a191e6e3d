"""caffe.draw: the graph of a net as pydot sees it; graphviz itself may be missing."""
import glob
import os
import shutil

import pydot
import pytest

import caffe
from caffe import draw
from faster_rcnn.settings.config import cfg

TEXT = """name: "a \\"net\\""
layer { name: "data" type: "Data" top: "data" top: "label" include { phase: TRAIN }
        data_param { batch_size: 7 } }
layer { name: "data" type: "Input" top: "data" include { phase: TEST stage: "deploy" } }
layer { name: "conv/1" type: "Convolution" bottom: "data" top: "conv/1" param { lr_mult: 1 }
        param { lr_mult: 0.5 } convolution_param { num_output: 5 kernel_size: 3 pad_h: 1 pad_w: 2 }}
layer { name: "relu{1}|<x>" type: "ReLU" bottom: "conv/1" top: "conv/1" }
layer { name: "pool" type: "Pooling" bottom: "conv/1" top: "pool:1"
        pooling_param { kernel_size: 2 stride: 2 pool: AVE } exclude { stage: "bare" } }
layer { name: "fc" type: "InnerProduct" bottom: "pool:1" top: "fc"
        inner_product_param { num_output: 9 } exclude { phase: TRAIN } }
"""


@pytest.fixture
def net():
    return caffe.prototxt.read_net_text(TEXT)


def labels(graph):
    return [node.get_label().strip('"').replace("\\n", "\n") for node in graph.get_nodes()]


def layers_of(graph):
    return [label.split("\n")[0] for label in labels(graph) if "\n" in label]


def test_labels(net):
    nodes = labels(draw.get_pydot_graph(net, "LR", display_lrm=True))
    assert "conv/1\n(Convolution)\nkernel size: 3\nstride: 1\npad: 1x2\nlrm: 1, 0.5" in nodes
    assert "pool\n(AVE Pooling)\nkernel size: 2\nstride: 2\npad: 0" in nodes
    assert {"data", "label", "conv/1", "pool:1", "fc"} <= set(nodes)
    assert "relu{1}|<x> (ReLU)" in labels(draw.get_pydot_graph(net, "TB"))


def test_edges(net):
    graph = draw.get_pydot_graph(net, "LR")
    names = {node.get_name(): label.split("\n")[0]
             for node, label in zip(graph.get_nodes(), labels(graph))}
    edges = [(names[edge.get_source()], names[edge.get_destination()], edge.get_label())
             for edge in graph.get_edges()]
    assert ("data", "data", '"Batch 7"') in edges and ("conv/1", "conv/1", '"5"') in edges
    assert ("relu{1}|<x>", "conv/1", '""') in edges and ("fc", "fc", '"9"') in edges
    assert ("pool:1", "fc", None) in edges
    assert all(edge.get_label() in ('""', None)
               for edge in draw.get_pydot_graph(net, "LR", label_edges=False).get_edges())


@pytest.mark.parametrize("phase, expected", [
    (None, ["data", "data", "conv/1", "relu{1}|<x>", "pool", "fc"]),
    (caffe.TRAIN, ["data", "conv/1", "relu{1}|<x>", "pool"]),
    (caffe.TEST, ["data", "conv/1", "relu{1}|<x>", "pool", "fc"])])
def test_phases(net, phase, expected):
    assert layers_of(draw.get_pydot_graph(net, "LR", phase=phase)) == expected


def test_layers_in_place_are_green(net):
    graph = draw.get_pydot_graph(net, "LR")
    styles = {label.split("\n")[0]: node.get_fillcolor()
              for label, node in zip(labels(graph), graph.get_nodes()) if "\n" in label}
    assert styles["relu{1}|<x>"] == draw.NEURON_LAYER_STYLE["fillcolor"]
    assert styles["conv/1"] == draw.choose_color_by_layertype("Convolution") != styles["fc"]


def test_shipped_nets_become_graphs():
    """Every third prototxt of the models, as pycaffe's own test does with its examples."""
    paths = sorted(glob.glob(os.path.join(cfg.ROOT_DIR, "models", "**", "*train.prototxt"),
                             recursive=True))[::3]
    assert paths
    for path in paths:
        net = caffe.prototxt.read_net(path)
        graph = draw.get_pydot_graph(net, "LR")
        assert len(layers_of(graph)) == len(net.layer), path


@pytest.mark.filterwarnings("ignore:.*deprecated")
def test_the_text_is_read_back(net, tmp_path):
    draw.draw_net_to_file(net, tmp_path / "net.raw", "BT")
    graph, = pydot.graph_from_dot_data((tmp_path / "net.raw").read_text())
    assert graph.get_rankdir() == "BT"
    assert sum(node.get_name().startswith('"layer') for node in graph.get_nodes()) == 6
    assert len(graph.get_edges()) == len(draw.get_pydot_graph(net, "BT").get_edges())


def test_pictures_need_graphviz(net, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(caffe.CaffeError, match="the program dot of graphviz"):
        draw.draw_net_to_file(net, tmp_path / "net.png")
    assert not os.listdir(tmp_path)


@pytest.mark.skipif(shutil.which("dot") is None, reason="graphviz is not installed")
def test_a_picture(net):
    assert draw.draw_net(net, "LR", "png").startswith(b"\x89PNG")


@pytest.mark.parametrize("name, message", [
    ("net.xyz", 'no ".xyz" files; known: raw'), ("net", "with an extension")])
def test_names_of_pictures(net, tmp_path, name, message):
    with pytest.raises(caffe.CaffeError, match=message):
        draw.draw_net_to_file(net, tmp_path / name if "." in name else name)


def test_nets_of_the_older_form():
    with pytest.raises(caffe.CaffeError, match="older form"):
        draw.get_pydot_graph(caffe.proto.caffe_pb2.NetParameter(layers=[{"name": "a"}]), "LR")

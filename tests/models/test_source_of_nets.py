"""The test nets of models/ have PyTorch source that Python reads."""
import ast

import pytest

import caffe
from caffe.export.part import select
from caffe.export.source.writing import source_of, text_of
from faster_rcnn.networks.catalogue import folders

METHODS = ("faster_rcnn_end2end", "fast_rcnn", "rfcn_end2end")
NETS = [(name, file) for name, folder in folders().items()
        if name.startswith("imagenet/") or name.split("/")[0] == "pascal_voc"
        and name.endswith(METHODS) for file in folder.files()
        if file.startswith(("test", "deploy"))]


@pytest.mark.parametrize("name, file", NETS)
def test_has_source(name, file):
    made = folders()[name].files()[file]()
    message = made.message
    for layer in message.layer:
        if layer.type == "InnerProduct":        # VGG16's would take half a gigabyte
            layer.inner_product_param.num_output = 8
    net = caffe.Net(message, caffe.TEST)
    source = source_of(net, select(net))
    tree = ast.parse(text_of(source, "net.pth", "A net."))
    assert source.name in {node.name for node in tree.body if isinstance(node, ast.ClassDef)}
    weights = {f"{layer.name} {i}" for layer in net._runners for i in range(len(layer.blobs))
               if layer.type != "BatchNorm"}
    assert len([key for key in source.tensors if "running" not in key
                and "num_batches" not in key]) == len(weights)

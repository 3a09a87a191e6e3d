"""Packages of the extras that are not installed: one line says which, and which extra brings it."""
import ast
import sys

import numpy as np
import pytest
from sources import ROOT

import caffe.draw
from caffe import export
from caffe.core.errors import DataError
from caffe.core.packages import EXTRAS, MissingPackageError, advice, load
from caffe.files.databases import new_database
from caffe.proto.caffe_pb2 import NetParameter
from caffe.tools.command import status_of
from faster_rcnn.anchors.coverage import _centres
from faster_rcnn.commands.tool import user_line
from faster_rcnn.detection.detect import vis_detections
from faster_rcnn.pretrained.from_onnx.graph import _package
from faster_rcnn.reports.visualize import draw_pr_curves

# What the project depends on (pyproject.toml), the standard library aside
NEEDED = {"cv2", "defusedxml", "easydict", "google", "h5py", "numpy", "PIL", "pycocotools",
          "safetensors", "scipy", "torch", "tqdm", "yaml"}
OWN = {"caffe", "datasets", "fast_rcnn", "faster_rcnn", "nms", "roi_data_layer", "rpn", "transform",
       "utils"}
# what to install is said where they are used; grpc_tools is there when the project is built
NAMED_OTHERWISE = {"grpc_tools", "openvino", "selective_search_ijcv_with_python"}


def database(backend):
    with new_database("none", backend):
        pass


USES = (("pydot", lambda: caffe.draw.get_pydot_graph(NetParameter(), "LR")),
        ("onnx", lambda: export.to_onnx(None)), ("onnx", lambda: export.write_onnx(None, "none")),
        ("onnxruntime", lambda: export.largest_difference(None, None, None)),
        ("onnx", _package), ("matplotlib", lambda: draw_pr_curves({}, "none")),
        ("matplotlib", lambda: vis_detections(np.zeros((9, 9, 3)), "cat", np.zeros((0, 5)))),
        ("sklearn", lambda: _centres(np.arange(4.0), 2)), ("lmdb", lambda: database("lmdb")),
        ("plyvel", lambda: database("leveldb")))


@pytest.mark.parametrize("module, use", USES)
def test_what_needs_a_package_says_so(monkeypatch, tmp_path, module, use):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, module, None)      # as if it were not there
    with pytest.raises((MissingPackageError, DataError)) as caught:
        use()
    package, extra = EXTRAS[module]
    assert f"{package} is not installed: pip install {package}, or pip install " \
        f"'py-faster-rcnn[{extra}]'" in str(caught.value)


@pytest.mark.parametrize("module", EXTRAS)
def test_commands_show_one_line(monkeypatch, capsys, module):
    monkeypatch.setitem(sys.modules, module, None)

    def work():
        __import__(f"{module}.part")
    assert status_of(work) == 2
    assert capsys.readouterr().err == f"error: {advice(module)}\n"
    with pytest.raises(ModuleNotFoundError) as caught:
        work()
    assert user_line(caught.value, work) == advice(module)
    with pytest.raises(MissingPackageError, match=EXTRAS[module][0]):
        load(module)


def imported():
    """{top module: file} of everything that the packages import."""
    found = {}
    for folder in (ROOT / "lib", ROOT / "caffe-fast-rcnn" / "python" / "caffe"):
        for path in folder.rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                names = [entry.name for entry in node.names] if isinstance(node, ast.Import) else \
                    [node.module] if isinstance(node, ast.ImportFrom) and not node.level else []
                found.update({name.partition(".")[0]: path for name in names})
    return found


def test_every_import_is_needed_or_of_an_extra():
    known = {*NEEDED, *OWN, *EXTRAS, *NAMED_OTHERWISE, *sys.stdlib_module_names}
    assert {name: path for name, path in imported().items() if name not in known} == {}

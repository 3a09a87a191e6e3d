"""Detectors as PyTorch source find what their nets find, where nothing of ours can be imported."""
import ast
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hostile import NAMES
from made_detectors import assert_alike

from caffe.core.errors import InputError
from caffe.export.part import select
from faster_rcnn.export.checks.net_detectors import net_detector
from faster_rcnn.export.checks.runtimes import Detected
from faster_rcnn.export.pytorch.source import write_detector_source, write_net_source

DETECT = """
import sys
import numpy as np, torch
import written
net = written.load()
for k in range(int(sys.argv[1])):
    picture = torch.from_numpy(np.load(f"{k}.npy"))
    boxes, scores, labels = written.detect(net, picture)
    assert max(labels) < len(written.CLASSES)
    np.savez(f"{k}.npz", boxes=boxes, scores=scores, labels=labels)
assert not {"caffe", "faster_rcnn", "rpn"} & set(sys.modules)
"""
LAYERS = """
import sys
import numpy as np, torch
import written
with torch.no_grad():
    tops = written.load()(*(torch.from_numpy(np.load(name)) for name in sys.argv[1:]))
np.savez("tops.npz", *tops)
assert not {"caffe", "faster_rcnn", "rpn"} & set(sys.modules)
"""


def run(program, folder, *words):
    """Runs a program in a folder, where nothing of this project can be imported."""
    done = subprocess.run([sys.executable, "-I", "-c", "import sys; sys.path.insert(0, '.')"
                           + program, *map(str, words)], cwd=folder, capture_output=True, text=True,
                          check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("detector", ["faster_rcnn", "joint", "rfcn"], indirect=True)
def test_finds_what_the_net_finds(detector, tmp_path):
    net, options, pictures = detector
    write_detector_source(net, options, str(tmp_path / "written.py"))
    for k, [im] in enumerate(pictures):
        np.save(tmp_path / f"{k}.npy", im)
    run(DETECT, tmp_path, len(pictures))
    ours = net_detector(net, options)
    for k, inputs in enumerate(pictures):
        found = np.load(tmp_path / f"{k}.npz")
        assert_alike(ours(*inputs), Detected(found["boxes"], found["scores"], found["labels"]))


@pytest.mark.parametrize("detector", ["fast_rcnn"], indirect=True)
def test_layers_of_a_net_that_is_given_rois(detector, tmp_path):
    net, options, pictures = detector
    with pytest.raises(InputError, match="makes no rois"):
        write_detector_source(net, options, str(tmp_path / "written.py"))
    assert os.listdir(tmp_path) == []
    net_detector(net, options)(*pictures[0])
    part = select(net)
    write_net_source(net, part, str(tmp_path / "written.py"))
    wanted = [net.blobs[name].data.copy() for name in part.outputs]
    for name in part.inputs:
        np.save(tmp_path / f"{name}.npy", net.blobs[name].data)
    run(LAYERS, tmp_path, *(f"{name}.npy" for name in part.inputs))
    with np.load(tmp_path / "tops.npz") as tops:
        for top, values in zip(tops.values(), wanted, strict=True):
            np.testing.assert_allclose(top, values, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("detector", ["faster_rcnn"], indirect=True)
def test_names_of_nets_classes_and_files_are_no_code(detector, tmp_path):
    net, options, pictures = detector
    names = (NAMES * 2)[:20]
    options = replace(options, classes=("__background__", *names))
    texts = []
    for name in NAMES:
        net.name = name
        stem = f"{name[:99].replace('/', '_')}.x"
        path, weights = write_detector_source(net, options, str(tmp_path / f"{stem}.py"))
        assert os.path.basename(weights) == f"{stem}.pth"
        tree = ast.parse(Path(path).read_text())
        texts.append([getattr(node, "name", type(node).__name__) for node in tree.body
                      if not isinstance(node, ast.ClassDef)])
        [found] = [node for node in tree.body if isinstance(node, ast.Assign)][1:]
        assert ast.literal_eval(found.value) == list(options.classes)
    assert all(text == texts[0] for text in texts)


@pytest.mark.parametrize("name", ["prepared", "detections", "CLASSES", "class_boxes", "detect"])
@pytest.mark.parametrize("detector", ["faster_rcnn"], indirect=True)
def test_a_net_named_as_what_the_file_holds(detector, tmp_path, name):
    net, options, pictures = detector
    net.name = name
    write_detector_source(net, options, str(tmp_path / "written.py"))
    np.save(tmp_path / "0.npy", pictures[0][0])
    run(DETECT, tmp_path, 1)
    assert len(np.load(tmp_path / "0.npz")["labels"]) == len(net_detector(net, options)(
        *pictures[0]).labels)

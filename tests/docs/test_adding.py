"""The layer of docs/adding.md: it learns what it says that it learns."""
import re

import numpy as np
import pytest
from sources import ROOT

import caffe

PAGE = (ROOT / "docs" / "adding.md").read_text(encoding="utf-8")
PYTHON, PROTOTXT = (re.search(rf"^```{kind}\n(.*?)^```$", PAGE, re.M | re.S)[1]
                    for kind in ("python", "prototxt"))


@pytest.fixture
def net(tmp_path):
    (tmp_path / "learned_scale.py").write_text(PYTHON)
    prototxt = tmp_path / "net.prototxt"
    prototxt.write_text('force_backward: true layer { name: "x" type: "Input" top: "x" '
                        f"input_param {{ shape {{ dim: 2 }} }} }} {PROTOTXT}")
    return caffe.Net(str(prototxt), caffe.TRAIN)


def test_the_layer_scales_and_learns(net):
    net.blobs["x"].data[...] = [1, -2]
    assert net.forward()["y"].tolist() == [3, -6]
    net.blobs["y"].diff[...] = [1, 10]
    net.backward()
    assert np.allclose(net.params["scale"][0].diff, 1 * 1 + 10 * -2)
    assert net.blobs["x"].diff.tolist() == [3, 30]

"""Which net a solver names."""
import os
import shutil

import pytest

from caffe import prototxt
from fast_rcnn.config import cfg
from fast_rcnn.solver_files import Numbers, adapt_solver


@pytest.mark.parametrize("deeper", ["", "models/pascal_voc/ZF/faster_rcnn_end2end"])
def test_a_solver_in_somebody_elses_project_means_the_net_beside_it(deeper, tmp_path):
    inner = "models/pascal_voc/ZF/faster_rcnn_end2end"
    theirs = tmp_path / "theirs" / deeper
    shutil.copytree(os.path.join(cfg.ROOT_DIR, inner), theirs)
    net = (theirs / "train.prototxt").read_text()
    (theirs / "train.prototxt").write_text(net.replace("num_output: 18", "num_output: 6"))
    solver = (theirs / "solver.prototxt").read_text()
    named = "train.prototxt" if not deeper else f"{inner}/train.prototxt"
    assert f"{inner}/train.prototxt" in solver and "num_output: 18" in net
    (theirs / "solver.prototxt").write_text(solver.replace(f"{inner}/train.prototxt", named))
    made = adapt_solver(str(theirs / "solver.prototxt"), str(tmp_path / "out"), 3, Numbers(5))
    layers = {layer.name: layer for layer in prototxt.read_net(made.net.path).layer}
    assert layers["rpn_cls_score"].convolution_param.num_output == 6

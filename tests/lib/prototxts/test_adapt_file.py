"""Copies of nets for a data set: ours are generated anew, edited and foreign ones are changed."""
import os

import pytest

from caffe.files import prototxt
from faster_rcnn.prototxts.adapt import adapt_file
from faster_rcnn.settings.config import cfg, cfg_override

TINY = os.path.join(cfg.MODELS_DIR, "Tiny", "faster_rcnn_alt_opt")
NAMES = [name for name in sorted(os.listdir(TINY)) if "solver" not in name]


@pytest.mark.parametrize("name", NAMES)
def test_both_ways_lead_to_the_same_net(name, tmp_path):
    source = os.path.join(TINY, name)
    with open(source) as file:
        (tmp_path / name).write_text(file.read() + "# edited\n")
    with cfg_override(ANCHOR_SCALES=[2, 4.5], ANCHOR_RATIOS=[0.5, 1], ANCHOR_BASE=8):
        made = adapt_file(source, str(tmp_path / "made.pt"), 4)
        changed = adapt_file(str(tmp_path / name), str(tmp_path / "changed.pt"), 4)
    assert made == changed != prototxt.read_net(source)
    assert made == prototxt.read_net(str(tmp_path / "made.pt"))
    # comments are lost where a net is read and changed
    assert "# ========= RPN" in (tmp_path / "made.pt").read_text()
    assert "# =========" not in (tmp_path / "changed.pt").read_text()


def test_our_nets_know_their_anchors_where_the_prototxt_is_silent(tmp_path):
    with cfg_override(ANCHOR_RATIOS=[1]):
        net = adapt_file(os.path.join(TINY, "stage1_fast_rcnn_train.pt"), str(tmp_path / "n.pt"), 4)
    outputs = {layer.name: layer.convolution_param.num_output for layer in net.layer}
    assert (outputs["rpn_cls_score"], outputs["rpn_bbox_pred"]) == (2 * 4, 4 * 4)


def test_a_header_says_what_the_copy_is_for(tmp_path):
    adapt_file(os.path.join(TINY, "rpn_test.pt"), str(tmp_path / "n.pt"), 4)
    first = (tmp_path / "n.pt").read_text().splitlines()[0]
    assert first == "# rpn_test.pt for 4 classes (background included)"

"""The tool that compares anchors with a data set."""
import os

from handful import MODEL, places
from test_tool_errors import assert_refused

from faster_rcnn.files import safe_yaml
from faster_rcnn.settings.config import cfg_override


def rows(text, title):
    """{first word: numbers} of a table."""
    lines = text[text.index(title):].split("\n\n")[1].splitlines()[1:-1]
    return {line.split()[0]: [float(word.strip("%")) for word in line.split()[-4:]]
            for line in lines}


def test_proposed_anchors_cover_more(run_tool, handful, tmp_path):
    done = run_tool("anchors.py", "--imdb", handful.card + ":trainval", "--scale", "120",
                    "--set", *places(tmp_path))
    assert done.status == 0, done.err
    present, proposed = rows(done.out, "Present anchors"), rows(done.out, "Proposed anchors")
    assert list(present) == ["all", "dark", "light", "small", "medium"]
    assert present["all"][0] == present["dark"][0] + present["light"][0] == 15
    assert proposed["all"][1] > present["all"][1] + .3 and proposed["all"][2] > 80
    setting = done.out.splitlines()[-1]
    assert setting.startswith("--set ANCHOR_SCALES ")
    words = setting.split('"')
    scales, ratios = safe_yaml.load(words[1]), safe_yaml.load(words[3])
    with cfg_override(ANCHOR_SCALES=scales, ANCHOR_RATIOS=ratios):
        assert len(scales) == 3 and len(ratios) == 3


def test_anchors_of_a_net_and_of_the_settings(run_tool, handful, tmp_path):
    net = os.path.join(MODEL, "rpn_test.pt")
    done = run_tool("anchors.py", "--imdb", handful.card + ":trainval", "--scale", "120", "--def",
                    net, "--num_scales", "2", "--set", "ANCHOR_RATIOS", "[1]", *places(tmp_path))
    assert done.status == 0, done.err
    assert "scales [1.5, 2.5, 4, 6], ratios [1], base 16, stride 8" in done.out
    assert done.out.count("stride 8") == 2


def test_errors(run_tool, handful, tmp_path):
    card = handful.card + ":trainval"
    assert_refused(run_tool("anchors.py", "--imdb", card, "--def", "no.pt"), "no.pt")
    assert_refused(run_tool("anchors.py", "--imdb", card, "--stride", "0"), "--stride")

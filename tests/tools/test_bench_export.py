"""tools/bench_export.py: the table of exported detectors beside their nets."""
import numpy as np
import pytest
from handful import run_command
from measure import made_nets
from small_detector import write_detector
from small_ssd import net_text

import caffe
from caffe.files import prototxt
from faster_rcnn.export.checks.runtimes import installed

TOOL = "bench_export.py"


def table(text):
    """The cells of the rows below the head."""
    rows = [line.split("|")[1:-1] for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in row] for row in rows[2:]]


def test_a_trained_detector_and_its_file(handful, tmp_path):
    done = run_command(TOOL, str(write_detector(tmp_path)), "--imdb", f"{handful.card}:test",
                       "--out", str(tmp_path / "table.md"))
    assert done.returncode == 0, done.stderr
    rows = table(done.stdout)
    assert (tmp_path / "table.md").read_text() == done.stdout
    assert len(rows) == 1 + len(installed()) and int(rows[0][3]) > 0
    for row in rows:
        assert row[3] == rows[0][3] and row[4] == "0" and row[7] == rows[0][7] != "nan"
        assert float(row[5]) < 0.01 and float(row[6]) < 1e-4 < float(row[8])


def test_ssd300_has_the_priors_of_the_paper():
    net = caffe.Net(made_nets.ssd300(21), caffe.TEST)
    assert net.blobs["mbox_priorbox"].shape == (1, 2, 8732 * 4)
    assert [net.blobs[name].shape[2] for name, *_ in made_nets.MAPS] == [38, 19, 10, 5, 3, 1]


def test_rfcn_follows_the_classes():
    names = {layer.name: layer for layer in made_nets.rfcn(4).layer}
    assert names["rfcn_cls"].convolution_param.num_output == 4 * 7 * 7
    assert names["rfcn_bbox"].convolution_param.num_output == 8 * 7 * 7


@pytest.mark.parametrize("words, says", [
    ([], "name a DETECTOR or --made"),
    (["--made", "ssd"], "--made needs --imdb"),
    (["--made", "yolo", "--imdb", "bccd_test"], "yolo"),
    (["none.caffemodel"], "none.caffemodel"),
    (["x", "--images", "-1"], "--images must be at least 0"),
])
def test_refusals(words, says):
    done = run_command(TOOL, *words)
    assert done.returncode == 2 and says in done.stderr and "Traceback" not in done.stderr


def test_made_weights_spread_the_outputs():
    rng = np.random.default_rng(3)
    net = caffe.Net(prototxt.read_net_text(net_text()), caffe.TEST)
    made_nets.fill(net, rng)
    picture = rng.normal(0, 60, net.blobs["data"].shape)

    def run(_):
        net.blobs["data"].data[...] = picture
        net.forward()
    made_nets.spread_outputs(net, run, [None])
    run(None)
    assert net.blobs["one_conf"].data.std() == pytest.approx(1.5, rel=1e-3)
    assert net.blobs["two_loc"].data.std() == pytest.approx(1, rel=1e-3)

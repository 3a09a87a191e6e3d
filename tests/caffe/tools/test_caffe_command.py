"""The command `caffe` as a user types it, and its log as other programs read it."""
import datetime
import os
import re
import subprocess
import sys

import numpy as np
import pytest
from net_texts import fc, layer

import caffe
from caffe.proto import caffe_pb2
from caffe.tools import main

ENGINE = os.path.dirname(os.path.dirname(caffe.__file__))
DATA = ('layer { name: "data" type: "DummyData" top: "data" top: "target" dummy_data_param { '
        'shape { dim: 4 dim: 3 } shape { dim: 4 dim: 2 } data_filler { type: "gaussian" } } }\n')
NET = ('name: "tiny" ' + DATA + fc("out", "data", 2)
       + layer("loss", "EuclideanLoss", "out target") + layer("silent", "Silence", "out", ""))
SOLVER = """net: "{folder}/net.prototxt" base_lr: 0.01 lr_policy: "step" stepsize: 4 gamma: 0.1
test_iter: 3 test_interval: 4 display: 2 max_iter: 6 snapshot_prefix: "{folder}/snap" {more}"""
SIGNALLING = """
import signal
import caffe

class Raise(caffe.Layer):
    passes = 0

    def setup(self, bottom, top):
        pass

    def reshape(self, bottom, top):
        top[0].reshape(1)

    def forward(self, bottom, top):
        Raise.passes += 1
        if Raise.passes == 3:
            signal.raise_signal(getattr(signal, self.param_str))

    def backward(self, top, propagate_down, bottom):
        pass
"""


@pytest.fixture
def command(capsys):
    """Runs the command in this process; gives (status, stdout, stderr)."""
    def run(*words):
        status = main.main([str(word) for word in words])
        return status, *capsys.readouterr()
    return run


@pytest.fixture
def folder(tmp_path):
    """A folder with net.prototxt and solver.prototxt."""
    return make_files(tmp_path)


def make_files(folder, net=NET, more=""):
    (folder / "net.prototxt").write_text(net)
    (folder / "solver.prototxt").write_text(SOLVER.format(folder=folder, more=more))
    return folder


def refusal(result):
    status, _, err = result
    assert status == 2, err
    return err.strip().splitlines()[-1]


def parse_log(text):
    """What Caffe's tools/extra/parse_log.py gets from a log, by its expressions.

    Returns {"Train" or "Test": {iteration: (output, value)}}.
    """
    iteration, start, rows = -1, None, {"Train": {}, "Test": {}}
    for line in text.splitlines():
        word = line.split()
        year = datetime.datetime.now().year
        when = datetime.datetime.strptime(f"{year}{word[0][1:]} {word[1]}", "%Y%m%d %H:%M:%S.%f")
        start = when if "Solving" in line and start is None else start
        found = re.search(r"Iteration (\d+)", line)
        iteration = int(found.group(1)) if found else iteration
        for kind, outputs in rows.items():
            found = re.search(kind + r" net output #(\d+): (\S+) = ([\.\deE+-]+)", line)
            if found:
                outputs[iteration] = found.group(2), float(found.group(3))
        if iteration >= 0:
            assert (when - start).total_seconds() >= 0
    return rows


def test_training_writes_a_log_that_parsers_read(command, folder):
    status, _, err = command("train", f"--solver={folder}/solver.prototxt")
    assert status == 0, err
    rows = parse_log(err)
    assert list(rows["Train"]) == [0, 2, 4] and list(rows["Test"]) == [0, 4]
    assert all(name == "loss" and value >= 0 for kind in rows.values()
               for name, value in kind.values())
    rates = re.findall(r"lr = ([-+]?[0-9]*\.?[0-9]+([eE]?[-+]?[0-9]+)?)", err)
    assert [rate for rate, _ in rates] == ["0.01", "0.01", "0.001"]
    assert re.search(r"(?m)^I\d{4} \d\d:\d\d:\d\d\.\d{6} +\d+ solver\.\w+:\d+\] Iteration 0", err)
    assert "] Solving tiny" in err and "Optimization Done." in err.splitlines()[-1]
    assert (folder / "snap_iter_6.caffemodel").exists()


def test_snapshots_and_weights_to_start_from(command, folder):
    solver = f"{folder}/solver.prototxt"
    assert command("train", "-solver", solver)[0] == 0
    state, weights = f"{folder}/snap_iter_6.solverstate", f"{folder}/snap_iter_6.caffemodel"
    make_files(folder, more="snapshot_after_train: false")
    status, _, err = command("train", "-solver", solver, "-snapshot", state)
    assert status == 0 and f"Resuming from {state}" in err
    assert re.findall(r"Iteration (\d+), lr", err) == [], "max_iter is reached already"
    make_files(folder, more="snapshot: 5")
    status, _, err = command("train", "-solver", solver, "-weights", f"{weights},{weights}")
    assert status == 0 and (folder / "snap_iter_5.caffemodel").exists()
    line = refusal(command("train", "-solver", solver, "-weights", weights, "-snapshot", state))
    assert "not both" in line


@pytest.mark.parametrize("number, flags, files", [
    ("SIGINT", (), [3]), ("SIGINT", ("-sigint_effect", "snapshot"), [3, 6]),
    ("SIGINT", ("--sigint_effect=none",), [6]), ("SIGHUP", (), [3, 6]),
    ("SIGHUP", ("-sighup_effect=stop",), [3])])
def test_signals(command, tmp_path, monkeypatch, number, flags, files):
    """The signal comes in the third iteration: it ends, then the effect is done."""
    (tmp_path / "signalling.py").write_text(SIGNALLING)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "signalling", raising=False)
    python = layer("raise", "Python", "", None, 'include { phase: TRAIN } python_param { module: '
                   f'"signalling" layer: "Raise" param_str: "{number}" }}')
    make_files(tmp_path, net=NET + python)
    status, _, err = command("train", "-solver", f"{tmp_path}/solver.prototxt", *flags)
    assert status == 0, err
    assert sorted(path.name for path in tmp_path.glob("*.solverstate")) == [
        f"snap_iter_{i}.solverstate" for i in files]
    assert ("Optimization stopped early." in err) == (6 not in files)


def test_levels_and_stages_reach_the_net(command, folder):
    extra = layer("extra", "Silence", "data", "", 'include { stage: "more" min_level: 2 }')
    make_files(folder, net=NET + extra)
    words = ("time", "-model", folder / "net.prototxt", "-iterations", 1)
    assert "extra\tforward" not in command(*words)[2]
    assert "extra\tforward" in command(*words, "-stage", "other,more", "-level=2")[2]
    bad = layer("bad", "Nonsense", "data", None, 'include { stage: "more" }')
    make_files(folder, net=NET + bad)
    line = refusal(command("train", "-solver", folder / "solver.prototxt", "--stage", "more"))
    assert "Nonsense" in line


def test_time_reports_every_layer_and_the_averages(command, folder):
    status, _, err = command("time", f"-model={folder}/net.prototxt", "--iterations", "3")
    assert status == 0, err
    layers = re.findall(r"\] +(\S+)\t(forward|backward): (\S+) ms\.", err)
    assert [words[:2] for words in layers] == [
        (name, way) for name in ("data", "out", "out_out_0_split", "loss", "silent")
        for way in ("forward", "backward")]
    assert len(re.findall(r"Iteration: \d forward-backward time: [\d.e-]+ ms\.", err)) == 3
    times = {name: float(value) for name, value in re.findall(
        r"(Average [\w-]+|Total Time)(?: pass)?: ([\d.e+-]+) ms\.", err)}
    assert times["Average Forward"] + times["Average Backward"] == pytest.approx(
        times["Average Forward-Backward"], rel=1e-4)
    assert times["Total Time"] == pytest.approx(3 * times["Average Forward-Backward"], rel=1e-4)
    assert sum(float(ms) for *_, ms in layers) <= times["Average Forward-Backward"] * 1.001


def test_test_logs_batches_and_their_mean(command, folder):
    assert command("train", "-solver", folder / "solver.prototxt")[0] == 0
    status, _, err = command("test", "-model", folder / "net.prototxt", "-weights",
                             folder / "snap_iter_6.caffemodel", "-iterations", 4)
    assert status == 0, err
    batches = [float(value) for value in re.findall(r"Batch \d, loss = (\S+)", err)]
    mean = float(re.search(r"\] loss = (\S+) \(\* 1 = \S+ loss\)", err).group(1))
    loss = float(re.search(r"\] Loss: (\S+)", err).group(1))
    assert len(set(batches)) == 4 and "Running for 4 iterations." in err
    assert mean == pytest.approx(np.mean(batches), rel=1e-4) == pytest.approx(loss, rel=1e-4)


@pytest.mark.parametrize("words, expected", [
    (("tain",), 'did you mean "train"'), (("train",), "-solver is missing"),
    (("train", "-solver", "none.prototxt"), "none.prototxt: cannot be read"),
    (("time",), "-model is missing"), (("test", "-model", "m"), "-weights is missing"),
    (("time", "-model", "m", "-phase", "LEARN"), "expected TRAIN or TEST"),
    (("time", "-model", "m", "-iterations", "0"), "expected 1 or more"),
    (("time", "-model", "m", "-iterations", "x"), "expected a whole number"),
    (("train", "-solvr", "x"), 'did you mean "solver"'), (("train", "-solver"), "needs a value"),
    (("train", "-solver", "s", "-sigint_effect", "die"), "expected stop, snapshot, none"),
    (("test", "-model", "m", "-weights", "w", "-gpu", "one"), "expected numbers of GPUs"),
    (("time", "-model", "m", "-gpu", "0,0"), "can be used once"),
    (("test", "-model", "m", "-weights", "w", "-gpu", "99"), "PyTorch sees")])
def test_refused_in_one_line(command, words, expected):
    assert expected in refusal(command(*words))


def test_a_solver_that_wants_a_gpu_which_is_not_there(command, folder):
    make_files(folder, more="solver_mode: GPU device_id: 99")
    line = refusal(command("train", "-solver", folder / "solver.prototxt"))
    assert "asks for GPU 99" in line and "solver_mode: CPU" in line


def test_without_a_command_the_usage_is_shown(command):
    status, _, err = command()
    assert status == 1 and "usage: caffe COMMAND" in err and "convert_imageset" in err
    status, out, _ = command("-help")
    assert status == 0 and "sighup_effect" in out
    status, out, _ = command("compute_image_mean", "-help")
    assert status == 0 and "usage: compute_image_mean" in out


def test_all_tools_of_the_table_are_there(command):
    for tool in main.TOOLS:
        status, _, err = command(tool)
        assert status == 1 and f"usage: {tool}" in err


def test_device_query(command):
    status, _, err = command("device_query")
    assert status == 0 and ("Device id" in err or "no GPU" in err)


def test_module_and_script(folder):
    """`python -m caffe`, once as a process of its own."""
    result = subprocess.run([sys.executable, "-m", "caffe", "train", "-solver", "missing"],
                            capture_output=True, text=True, cwd=folder,
                            env={**os.environ, "PYTHONPATH": ENGINE})
    assert result.returncode == 2
    assert result.stderr.strip().splitlines()[-1].startswith("error: missing: cannot be read")


# ------------------------------------------------------------------------------ old files upgraded

V1_NET = """name: "old" input: "data" input_dim: 1 input_dim: 2 input_dim: 1 input_dim: 1
layers { name: "ip" type: INNER_PRODUCT bottom: "data" top: "ip" blobs_lr: 1 blobs_lr: 2
         inner_product_param { num_output: 1 } }"""


def test_upgrade_net_proto_text(command, tmp_path):
    old, new = tmp_path / "old.prototxt", tmp_path / "new.prototxt"
    old.write_text(V1_NET)
    assert command("upgrade_net_proto_text", old, new)[0] == 0
    net = caffe.prototxt.parse(new.read_text(), caffe_pb2.NetParameter())
    assert not net.layers and not net.input
    assert [(entry.name, entry.type) for entry in net.layer] == [
        ("input", "Input"), ("ip", "InnerProduct")]
    assert [spec.lr_mult for spec in net.layer[1].param] == [1, 2]
    assert "old.prototxt:1:1" in refusal(_with_text(command, old, "nonsense"))


def _with_text(command, path, text):
    path.write_text(text)
    return command("upgrade_net_proto_text", path, path)


def test_upgrade_solver_proto_text(command, tmp_path):
    old, new = tmp_path / "old.prototxt", tmp_path / "new.prototxt"
    old.write_text('net: "n" base_lr: 0.5 solver_type: ADAM')
    assert command("upgrade_solver_proto_text", old, new)[0] == 0
    solver = caffe.prototxt.parse(new.read_text(), caffe_pb2.SolverParameter())
    assert solver == caffe_pb2.SolverParameter(net="n", base_lr=0.5, type="Adam")


def test_upgrade_net_proto_binary(command, tmp_path):
    old, new = tmp_path / "old.caffemodel", tmp_path / "new.caffemodel"
    message = caffe.prototxt.parse(V1_NET, caffe_pb2.NetParameter())
    message.layers[0].blobs.add(num=1, channels=1, height=1, width=2, data=[3, 4])
    old.write_bytes(message.SerializeToString())
    assert command("upgrade_net_proto_binary", old, new)[0] == 0
    net = caffe_pb2.NetParameter.FromString(new.read_bytes())
    assert [entry.type for entry in net.layer] == ["Input", "InnerProduct"] and not net.layers
    assert caffe.weights.read_weights(str(new))["ip"][0].ravel().tolist() == [3, 4]
    for content in (b"\xff\xff\xff", b""):
        old.write_bytes(content)
        assert "not a .caffemodel" in refusal(command("upgrade_net_proto_binary", old, new))
    assert "No such file" in refusal(command("upgrade_net_proto_binary", tmp_path / "x", new))

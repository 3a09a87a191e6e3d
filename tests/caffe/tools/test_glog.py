"""The log in glog's form, read as Caffe's parse_log.py and extract_seconds.py read it."""
import datetime
import io
import logging
import re

import pytest

import caffe
from caffe.core.logs import GlogFormatter, glog_handler
from caffe.tools import main

NET = """layer { name: "d" type: "DummyData" top: "x" top: "y" dummy_data_param {
  shape { dim: 4 dim: 3 } shape { dim: 4 dim: 2 } data_filler { type: "gaussian" } } }
layer { name: "f" type: "InnerProduct" bottom: "x" top: "f"
        inner_product_param { num_output: 2 weight_filler { type: "xavier" } } }
layer { name: "loss" type: "EuclideanLoss" bottom: "f" bottom: "y" top: "loss" }"""
PREFIX = re.compile(r"[IWEF](\d\d)(\d\d) (\d\d):(\d\d):(\d\d)\.(\d{6}) +\d+ \w+\.py:\d+\] ")


@pytest.fixture
def logger():
    """(a logger of the user's, the stream that it writes to)"""
    stream = io.StringIO()
    found = logging.getLogger("somebodys")
    handler = glog_handler(stream)
    found.addHandler(handler)
    found.setLevel(logging.INFO)
    yield found, stream
    found.removeHandler(handler)


def when(line):
    """The moment that a line's prefix says, as extract_seconds.py reads it."""
    day, clock = line.split()[:2]
    seconds, _, microseconds = clock.rpartition(".")
    return datetime.datetime(datetime.datetime.now().year, int(day[1:3]), int(day[3:]),
                             *map(int, seconds.split(":")), int(microseconds))


def test_the_prefix(logger):
    log, stream = logger
    before = datetime.datetime.now().replace(microsecond=0)
    log.info("first\nsecond")
    log.warning("third")
    log.error("fourth")
    lines = stream.getvalue().splitlines()
    assert [line[0] for line in lines] == ["I", "I", "W", "E"]
    assert [PREFIX.sub("", line) for line in lines] == ["first", "second", "third", "fourth"]
    assert before <= when(lines[0]) <= datetime.datetime.now()


def test_a_known_moment():
    record = logging.LogRecord("caffe", logging.INFO, "/x/solver.py", 228, "Iteration %d", (7,),
                               None)
    record.created = datetime.datetime(2016, 2, 10, 13, 39, 22, 381027).timestamp()
    record.process = 25
    assert GlogFormatter().format(record) == \
        "I0210 13:39:22.381027    25 solver.py:228] Iteration 7"


def test_other_ranks_only_warn(logger, monkeypatch):
    log, stream = logger
    monkeypatch.setattr(caffe.state, "solver_rank", lambda: 1)
    log.info("as rank 0 says")
    log.warning("my own")
    assert stream.getvalue().endswith("my own\n") and len(stream.getvalue().splitlines()) == 1


def test_a_training_log_as_parse_log_reads_it(tmp_path, capfd):
    (tmp_path / "n.prototxt").write_text(NET)
    (tmp_path / "s.prototxt").write_text(
        f'net: "{tmp_path}/n.prototxt" base_lr: 0.01 lr_policy: "step" stepsize: 4 gamma: 0.1 '
        f"test_iter: 2 test_interval: 3 display: 2 max_iter: 6 snapshot_after_train: false")
    assert main.main(["train", "-solver", str(tmp_path / "s.prototxt")]) == 0
    lines = capfd.readouterr().err.splitlines()
    assert all(PREFIX.match(line) for line in lines)
    start = next(when(line) for line in lines if "Solving" in line)
    iteration, train, test, rates = None, {}, {}, {}
    for line in lines:
        found = re.search(r"Iteration (\d+)", line)
        iteration = int(found[1]) if found else iteration
        if iteration is None:
            continue
        assert (when(line) - start).total_seconds() >= 0
        for kind, rows in (("Train", train), ("Test", test)):
            found = re.search(kind + r" net output #(\d+): (\S+) = ([\.\deE+-]+)", line)
            if found:
                rows[iteration] = float(found[3])
        found = re.search(r"lr = ([-+]?[0-9]*\.?[0-9]+([eE]?[-+]?[0-9]+)?)", line)
        if found:
            rates[iteration] = float(found[1])
    assert list(train) == [0, 2, 4] and list(test) == [0, 3, 6]
    assert rates == {0: pytest.approx(0.01), 2: pytest.approx(0.01), 4: pytest.approx(0.001)}
    assert all(value > 0 for value in (*train.values(), *test.values()))

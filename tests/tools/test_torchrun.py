"""The tools in two processes on the CPU, as torchrun starts them, against one process."""
import os
import socket
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from given_proposals import MODEL, TEST_NET, write_proposals
from handful import command, places

from caffe.files import weights
from faster_rcnn.files import safe_pickle
from faster_rcnn.runs import processes
from faster_rcnn.settings.config import cfg

CFGS = os.path.join(cfg.ROOT_DIR, "experiments", "cfgs")
JOINT = os.path.join(cfg.MODELS_DIR, "Tiny", "faster_rcnn_alt_opt")


def torchrun(tool, *args):
    """A tool in two processes; returns the CompletedProcess of torchrun."""
    return subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2",
         *command(tool, *args)[1:]], capture_output=True, text=True, cwd=cfg.ROOT_DIR, timeout=300)


def two_processes(tool, args, others=None):
    """As `torchrun`, by the variables that it sets, which saves its start; the texts of both.

    others: arguments of the second process, if they are not those of the first.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    common = dict(os.environ, WORLD_SIZE="2", MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port),
                  OMP_NUM_THREADS="1")
    processes = [subprocess.Popen(command(tool, *words), cwd=cfg.ROOT_DIR, text=True,
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                  env=dict(common, RANK=str(rank), LOCAL_RANK=str(rank)))
                 for rank, words in enumerate((args, others or args))]
    out, err = zip(*(process.communicate(timeout=300) for process in processes))
    return SimpleNamespace(statuses=[process.returncode for process in processes], out=out, err=err)


def arguments(handful, folder, split, *settings, **options):
    """Options of the tools, by name, on a split of the pictures; results go to the folder."""
    options = {"gpu": "cpu", "imdb": f"{handful.card}:{split}", "scale": "120", **options}
    flat = [word for name, value in options.items() for word in (f"--{name}", value)]
    return [*flat, "--set", "TRAIN.IMS_PER_BATCH", "1", "TRAIN.RPN_MIN_SIZE", "4",
            "TEST.RPN_MIN_SIZE", "4", "EXP_DIR", "trial", *places(folder), *settings]


def fast_rcnn_training(handful, folder, solver):
    for split in ("trainval", "test"):
        write_proposals(handful.card, split, str(folder))
    return arguments(handful, folder, "trainval", "TRAIN.VAL_IMDB", f"{handful.card}:test",
                     "TRAIN.VAL_ITERS", "2", "TRAIN.VAL_NET", TEST_NET, solver=solver,
                     weights=handful.weights, iters=3, lr=0.0005,
                     cfg=os.path.join(CFGS, "fast_rcnn_Tiny.yml"))


def result_of(folder, *names):
    return os.path.join(str(folder), "output", "trial", *names)


@pytest.fixture(scope="module")
def trained(handful, tmp_path_factory):
    """(folder, the finished process) of Fast R-CNN trained by two processes."""
    folder = tmp_path_factory.mktemp("together")
    done = torchrun("train_net.py", *fast_rcnn_training(
        handful, folder, os.path.join(MODEL, "solver.prototxt")))
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
    return folder, done


def test_two_processes_learn_what_one_learns_from_two_images_per_update(trained, handful, tmp_path,
                                                                        run_tool):
    """Minibatches are dealt out in turn, so both see the same images with the same draws."""
    solver = tmp_path / "solver.prototxt"
    with open(os.path.join(MODEL, "solver.prototxt")) as file:
        solver.write_text(file.read() + "iter_size: 2\n")
    done = run_tool("train_net.py", *fast_rcnn_training(handful, tmp_path, solver))
    assert done.status == 0, done.err
    name = ("handful_trainval", "tiny_fast_rcnn_iter_3.caffemodel")
    start = weights.read_weights(handful.weights)
    one, two = (weights.read_weights(result_of(folder, *name)) for folder in (tmp_path, trained[0]))
    assert set(one) == set(two)
    for layer, arrays in one.items():
        for a, b in zip(arrays, two[layer]):
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6, err_msg=layer)
    moved = {layer for layer in set(start) & set(one) if (start[layer][0] != one[layer][0]).any()}
    assert {"fc6", "conv6"} <= moved
    curves = [open(result_of(folder, "handful_trainval", "tiny_fast_rcnn_curves.jsonl")).read()
              for folder in (tmp_path, trained[0])]
    assert curves[0] == curves[1] and curves[0].count("mean_ap") == 2       # iterations 2 and 3


def test_one_process_speaks(trained):
    lines = trained[1].stdout.splitlines()
    for line in ("Solving...", "done solving"):
        assert lines.count(line) == 1
    assert sum(line.startswith("iteration 2: mean AP") for line in lines) == 1
    assert sum(line.startswith("Final model: ") for line in lines) == 1


def test_a_test_in_two_processes_gives_the_same_detections(trained, handful, tmp_path, run_tool):
    folder, _ = trained
    net = result_of(folder, "handful_trainval", "tiny_fast_rcnn_iter_3.caffemodel")
    args = [arguments(handful, place, "test", net=net, cfg=os.path.join(CFGS, "fast_rcnn_Tiny.yml"),
                      **{"def": TEST_NET}) for place in (folder, tmp_path)]
    write_proposals(handful.card, "test", str(tmp_path))
    done, alone = two_processes("test_net.py", args[0]), run_tool("test_net.py", *args[1])
    assert done.statuses == [0, 0] and alone.status == 0, (*done.err, alone.err)
    together, single = (safe_pickle.load(result_of(
        place, "handful_test", "tiny_fast_rcnn_iter_3", "detections.pkl"))
        for place in (folder, tmp_path))
    assert len(together) == len(single) == 3
    assert all(any(len(of_class[i]) for of_class in single) for i in range(3))
    for of_class, of_class_alone in zip(together, single):
        assert len(of_class) == len(of_class_alone) == 3
        assert all(np.array_equal(a, b) for a, b in zip(of_class, of_class_alone))
    ap = [line for line in alone.out.splitlines() if line.startswith(("AP ", "Mean AP"))]
    assert ap and [line for line in done.out[0].splitlines() if line in ap] == ap
    assert done.out[1] == ""


def test_the_alternating_schedule_in_two_processes(handful, tmp_path, run_tool):
    done = two_processes("train_faster_rcnn_alt_opt.py", arguments(
        handful, tmp_path, "trainval", net_name="Tiny", weights=handful.weights, iters=1, lr=0.001,
        cfg=os.path.join(CFGS, "faster_rcnn_alt_opt_Tiny.yml")))
    assert done.statuses == [0, 0], (done.out[0][-2000:], *done.err)
    folder = result_of(tmp_path, "handful_trainval")
    assert os.path.exists(os.path.join(folder, "Tiny_faster_rcnn_final.caffemodel"))
    rpn = os.path.join(folder, "tiny_rpn_stage2_iter_1")
    alone = run_tool("rpn_generate.py", *arguments(
        handful, tmp_path, "trainval", net=rpn + ".caffemodel",
        cfg=os.path.join(CFGS, "faster_rcnn_alt_opt_Tiny.yml"),
        **{"def": os.path.join(JOINT, "rpn_test.pt")}))
    assert alone.status == 0, alone.err
    shared, single = (safe_pickle.load(path) for path in (
        rpn + "_proposals.pkl",
        os.path.join(folder, "tiny_rpn_stage2_iter_1", "tiny_rpn_stage2_iter_1_rpn_proposals.pkl")))
    assert len(shared) == 6 and all(np.array_equal(a, b) for a, b in zip(shared, single))


def test_an_error_of_one_process_ends_both_with_one_line(handful, tmp_path):
    args = fast_rcnn_training(handful, tmp_path, os.path.join(MODEL, "solver.prototxt"))
    others = ["nowhere.caffemodel" if word == handful.weights else word for word in args]
    done = two_processes("train_net.py", args, others)
    assert done.statuses == [2, 2] and done.err[0] == ""
    line, = done.err[1].splitlines()
    assert line.startswith("train_net.py: error: ") and "nowhere.caffemodel" in line


def test_a_tool_for_one_process_refuses_two(run_tool, monkeypatch):
    monkeypatch.setattr(processes, "is_alone", lambda: False)
    done = run_tool("reval.py", "somewhere")
    assert done.status == 2 and "start it without torchrun" in done.err

"""Kills trainings and tests at random moments, resumes them, and compares what they leave.

    python tests/faults/random_kills.py [--kills N] [--seed S] [--only NAME]

Every command runs once undisturbed. Then it is started again and again, and its process group is
ended with SIGKILL at a moment drawn uniformly over the duration of the undisturbed run; after at
most KILLS_PER_RUN kills it may end. It must leave the same files, and the same bytes in those of
RESULTS. All runs of a command take place in the same folder, as snapshots name their paths; those
that differ are then kept under another name. Exit status 1 if there are any.
"""
import argparse
import hashlib
import itertools
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "helpers"))
from handful import command, make_data_set, make_weights, places  # noqa: E402

from faster_rcnn.networks.store import find_solver  # noqa: E402
from faster_rcnn.settings.config import cfg  # noqa: E402

KILLS_PER_RUN = 6
RESULTS = (".caffemodel", ".solverstate", ".pkl", ".jpg", ".png")
CFGS = Path(cfg.ROOT_DIR, "experiments", "cfgs")
TINY = Path(cfg.MODELS_DIR, "Tiny")
END2END, NONAPPROX = TINY / "faster_rcnn_end2end", TINY / "faster_rcnn_nonapprox"
SETTINGS = ["TRAIN.RPN_MIN_SIZE", "4", "TEST.RPN_MIN_SIZE", "4", "EXP_DIR", "kills",
            "TRAIN.CHECKPOINT_ITERS", "1", "TRAIN.RPN_POST_NMS_TOP_N", "100"]
SOLVER = """net: "{folder}/net.prototxt" base_lr: 0.1 momentum: 0.9 lr_policy: "fixed" max_iter: 300
snapshot: 2 snapshot_prefix: "{folder}/mlp" display: 50 random_seed: 5 type: "Adam" """
NET = """layer {{ name: "data" type: "HDF5Data" top: "data" top: "label"
        hdf5_data_param {{ source: "{folder}/list.txt" batch_size: 64 }} }}
layer {{ name: "fc1" type: "InnerProduct" bottom: "data" top: "fc1"
        inner_product_param {{ num_output: 32 weight_filler {{ type: "xavier" }} }} }}
layer {{ name: "relu" type: "ReLU" bottom: "fc1" top: "fc1" }}
layer {{ name: "fc2" type: "InnerProduct" bottom: "fc1" top: "fc2"
        inner_product_param {{ num_output: 4 weight_filler {{ type: "xavier" }} }} }}
layer {{ name: "loss" type: "SoftmaxWithLoss" bottom: "fc2" bottom: "label" top: "loss" }}
"""


@dataclass(frozen=True)
class Inputs:
    """What all commands start from: the data set's card, initial weights, a trained detector."""

    card: str
    weights: str
    detector: str


# (inputs, folder of the results) -> the command line, the same for the start and after a kill but
# for what it finds in the folder
CommandLine = Callable[[Inputs, Path], list[str]]


def training(tool: str, method: str, inputs: Inputs, folder: Path, *options: str) -> list[str]:
    resume = ["--resume"] if (folder / "output").exists() else []
    return command(tool, "--gpu", "cpu", "--weights", inputs.weights, "--imdb",
                   inputs.card + ":trainval", "--cfg", CFGS / f"{method}_Tiny.yml", "--lr", "0.001",
                   "--scale", "120", *options, *resume, "--set", *SETTINGS, *places(folder))


def alternating(inputs: Inputs, folder: Path) -> list[str]:
    return training("train_faster_rcnn_alt_opt.py", "faster_rcnn_alt_opt", inputs, folder,
                    "--net_name", "Tiny", "--iters", "15,15,15,15")


def joint(inputs: Inputs, folder: Path) -> list[str]:
    return training("train_net.py", "faster_rcnn_end2end", inputs, folder, "--iters", "40",
                    "--solver", str(END2END / "solver.prototxt"))


def non_approximate(inputs: Inputs, folder: Path) -> list[str]:
    return training("train_net.py", "faster_rcnn_nonapprox", inputs, folder, "--iters", "40",
                    "--solver", find_solver(str(NONAPPROX / "solver.prototxt"), cfg.ROOT_DIR))


def testing(inputs: Inputs, folder: Path) -> list[str]:
    """A test has nothing to resume: it is started anew in the same folder."""
    return command("test_net.py", "--gpu", "cpu", "--def",
                   END2END / "test.prototxt", "--net", inputs.detector,
                   "--imdb", inputs.card + ":trainval", "--cfg",
                   CFGS / "faster_rcnn_end2end_Tiny.yml", "--scale", "120", "--vis", "--comp",
                   "--det_thresh", "0", "--set", *SETTINGS, *places(folder))


def caffe_train(inputs: Inputs, folder: Path) -> list[str]:
    """A small net on an HDF5 file; goes on at the last snapshot."""
    if not (folder / "solver.prototxt").exists():
        rng = np.random.default_rng(11)
        with h5py.File(folder / "rows.h5", "w") as file:
            file["data"] = rng.normal(size=(64, 20)).astype(np.float32)
            file["label"] = rng.integers(0, 4, 64).astype(np.float32)
        (folder / "list.txt").write_text(f"{folder}/rows.h5\n")
        (folder / "net.prototxt").write_text(NET.format(folder=folder))
        (folder / "solver.prototxt").write_text(SOLVER.format(folder=folder))
    states = sorted(folder.glob("*.solverstate"), key=lambda path: int(path.stem.split("_")[-1]))
    return [sys.executable, "-m", "caffe", "train", f"-solver={folder}/solver.prototxt",
            *(f"-snapshot={path}" for path in states[-1:])]


COMMANDS: dict[str, CommandLine] = {
    "alternating": alternating, "joint": joint, "non-approximate": non_approximate,
    "test_net": testing, "caffe-train": caffe_train}


def fingerprint(folder: Path) -> dict[str, str]:
    """File names below `folder`; with their SHA-256 for those of RESULTS."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
            if path.suffix in RESULTS else "" for path in files}


def run(words: list[str], log: Path, kill_after: float | None = None) -> int:
    """Runs a command in a process group of its own, and kills the group after some seconds.

    Returns the exit status, -SIGKILL if it was killed.
    """
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    with open(log, "ab") as file:
        process = subprocess.Popen(words, cwd=cfg.ROOT_DIR, stdout=file, stderr=file,
                                   start_new_session=True, env=environment)
        try:
            return process.wait(kill_after)
        except subprocess.TimeoutExpired:
            return -signal.SIGKILL
        finally:
            if process.returncode is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def disturbed(line: CommandLine, inputs: Inputs, folder: Path, log: Path, seconds: float,
              rng: random.Random, most: int) -> tuple[int, int]:
    """Runs a command to its end with up to `most` kills; returns (kills, exit status)."""
    for kills in range(most):
        status = run(line(inputs, folder), log, rng.uniform(0, seconds))
        if status != -signal.SIGKILL:
            return kills, status
    return most, run(line(inputs, folder), log)


def undisturbed(line: CommandLine, inputs: Inputs, folder: Path) -> float:
    """Runs a command once in a new folder; returns the seconds it took."""
    folder.mkdir()
    start = time.monotonic()
    log = folder.with_suffix(".log")
    if run(line(inputs, folder), log):
        raise SystemExit(f"The undisturbed run failed: {log.read_text()[-2000:]}")
    return time.monotonic() - start


def make_inputs(folder: Path) -> Inputs:
    card, weights = make_data_set(str(folder / "VOC2007")), str(folder / "Tiny.v2.caffemodel")
    make_weights(weights)
    start = Inputs(card, weights, "")
    undisturbed(joint, start, folder / "detector")
    return Inputs(card, weights, str(next((folder / "detector").rglob("*iter_40.caffemodel"))))


def compare(expected: dict[str, str], found: dict[str, str]) -> list[str]:
    """Names of files that are missing, left over or different."""
    return sorted(name for name in expected.keys() | found.keys()
                  if expected.get(name) != found.get(name))


def campaign(names: list[str], kills_wanted: int, seed: int, folder: Path) -> int:
    """Runs the commands in turn until there were enough kills; returns how many runs differed."""
    inputs, rng = make_inputs(folder), random.Random(seed)
    expected, seconds = {}, {}
    for name in names:
        seconds[name] = undisturbed(COMMANDS[name], inputs, folder / name)
        expected[name] = fingerprint(folder / name)
        shutil.rmtree(folder / name)
        print(f"{name}: undisturbed in {seconds[name]:.1f} s", flush=True)
    kills = different = runs = 0
    for number, name in enumerate(itertools.cycle(names), 1):
        place, kept = folder / name, folder / f"{name}-{number}"
        place.mkdir()
        log = kept.with_suffix(".log")
        killed, status = disturbed(COMMANDS[name], inputs, place, log, seconds[name], rng,
                                   min(KILLS_PER_RUN, kills_wanted - kills))
        wrong = compare(expected[name], fingerprint(place))
        kills, runs = kills + killed, number
        different += bool(wrong or status)
        verdict = f"DIFFERENT, see {kept} and .log: {wrong[:5]}" if wrong or status else "same"
        print(f"{name}: {killed} kills, exit status {status}, {verdict} ({kills} kills so far)",
              flush=True)
        place.rename(kept)
        if not (wrong or status):
            shutil.rmtree(kept)
        if kills >= kills_wanted:
            break
    print(f"{kills} kills, {runs} runs, {different} different")
    return different


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=100, metavar="N", help="kills in all [100]")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="of the moments [0]")
    parser.add_argument("--only", choices=COMMANDS, metavar="NAME",
                        help=f"one command: {', '.join(COMMANDS)} [all]")
    args = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="random_kills_"))
    different = campaign([args.only] if args.only else list(COMMANDS), args.kills, args.seed,
                         folder)
    if not different:
        shutil.rmtree(folder)
    sys.exit(different > 0)


if __name__ == "__main__":
    main()

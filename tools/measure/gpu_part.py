"""The process of a part of tools/gpu_check.py (parts.py starts it).

    gpu_part.py PART DEVICE full|quick FILE UNTIL

FILE gets the figures, UNTIL (time.time()) is when it must have ended. Exit status 1: something in
the part has failed.
"""
import os
import re
import subprocess
import sys

import caffe
from faster_rcnn.settings.config import cfg
from measure import comparisons, gpu_benches
from measure.gpu_benches import FULL, QUICK, Extent
from measure.parts import Figures, Row, say


def compare(figures: Figures, device: str, extent: Extent) -> None:
    """Operators and training steps against the CPU; the deterministic mode against itself."""
    comparisons.compare_operators(figures, device)
    comparisons.compare_repeats(figures, device)
    comparisons.compare_training(figures, device)


def schedule(figures: Figures, device: str, extent: Extent) -> None:
    """The whole alternating schedule on the embedded images."""
    more = ["--iters", "5,5,5,5"] if extent is QUICK else []
    figures.add("Tiny, six steps and the test", lambda: run_schedule(device, more))


def run_schedule(device: str, more: list[str]) -> Row:
    """{"mean_ap"} of the script for users, with `more` options; RuntimeError if it fails."""
    environment = {**os.environ, "PYTHON": sys.executable}
    subprocess.run([sys.executable, os.path.join(cfg.ROOT_DIR, "tools", "make_shapes.py")],
                   stdout=subprocess.DEVNULL, env=environment, check=True)
    script = os.path.join(cfg.ROOT_DIR, "experiments", "scripts", "faster_rcnn_alt_opt.sh")
    done = subprocess.run(
        [script, "0" if device == "cuda" else device, "Tiny", "shapes", *more, "--set", "EXP_DIR",
         "gpu_check"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
        env=environment)
    mean_ap = re.findall(r"Mean AP = ([\d.]+)", done.stdout)
    if done.returncode != 0 or not mean_ap:
        say(done.stdout[-4000:])
        raise RuntimeError(f"the schedule failed with status {done.returncode}")
    return {"mean_ap": float(mean_ap[-1])}


WORK = {"comparisons": compare, "test_nets": gpu_benches.test_nets,
        "training": gpu_benches.training, "operators": gpu_benches.operators,
        "schedule": schedule}


def main(part: str, device: str, extent: str, path: str, until: str) -> int:
    """Does the work of a part."""
    figures = Figures(path, float(until))
    if device == "cuda":
        caffe.set_mode_gpu()
    WORK[part](figures, device, QUICK if extent == "quick" else FULL)
    return int(figures.failures() > 0)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))

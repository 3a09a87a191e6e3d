#!/usr/bin/env python
"""Checks and measures the GPU side on a machine with a GPU, nvcc and a CUDA PyTorch; no network.

    make gpu-check          or      ./tools/gpu_check.py
    make gpu-check ARGS="--parts test_nets operators --minutes 4 --json figures.json"

Builds what is missing, and then works in parts, 8 minutes at most in all:

    comparisons   CUDA against the CPU for every operator and for training steps of a small detector
                  (without TF32, as in every run: caffe.set_mode_gpu); the deterministic mode
    test_nets     VGG16 and ZF, 600 x 800, 300 proposals, beside bare channels_last PyTorch layers,
                  in float32, TF32 and bf16: milliseconds, ratios, memory
    training      the same of iterations of their RPN and Fast R-CNN stages, and of joint training
                  of EfficientNet-Lite0
    operators     ours beside those of torchvision and PyTorch
    schedule      the whole alternating schedule on the embedded images

Each part is a process with a limit of time of its own: what breaks or hangs in one costs no figure
of another, and what does not fit into the time is named as left out. The figures of all go to one
JSON file, written anew after each part; the last line but one is its path.
Exit status: 0 all is well, 1 a part failed or hung, 2 this machine cannot run it.
"""
import argparse
import importlib.metadata
import importlib.util
import os
import subprocess
import sys
import time
from typing import Any

import _init_paths

ROOT = str(_init_paths.ROOT)
ENGINE = os.path.join(ROOT, "caffe-fast-rcnn", "python", "caffe")
PACKAGES = ["torch", "numpy", "cv2", "yaml", "easydict", "scipy", "google.protobuf", "defusedxml",
            "h5py", "matplotlib", "tqdm"]
SCHEMA = os.path.join(ENGINE, "proto", "caffe_pb2.py")
MODULES = ["faster_rcnn.boxes.cython_bbox", "faster_rcnn.boxes.cpu_nms"]
# Of each part: the most seconds that it may take; together less than MINUTES
LIMITS = {"comparisons": 60, "test_nets": 90, "training": 140, "operators": 60, "schedule": 120}
MINUTES = 8.0
FIGURES = os.path.join(ROOT, "output", "gpu_check", "figures.json")


class Unable(Exception):
    """This machine cannot run the check; the message is one line."""


def say(line):
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


# What must be there, and what can be made

def is_missing(name):
    try:
        return importlib.util.find_spec(name) is None
    except ModuleNotFoundError:
        return True


def require_machine():
    """Unable where the GPU, nvcc or a package is missing."""
    missing = [name for name in PACKAGES if is_missing(name)]
    if missing:
        raise Unable(f"{sys.executable} has no {', '.join(missing)}; run `make`, or name a Python "
                     "that has them: make gpu-check PYTHON=...")
    import torch
    if not torch.cuda.is_available():
        raise Unable(f"PyTorch {torch.__version__} sees no GPU here")
    if not os.path.exists(SCHEMA) and is_missing("grpc_tools"):
        raise Unable("caffe_pb2.py is not there and cannot be made without grpcio-tools; copy it "
                     "from a machine where `make` has run (caffe-fast-rcnn/python/caffe/proto)")
    if any(map(is_missing, MODULES)) and is_missing("Cython"):
        raise Unable("the Cython modules are not built and Cython is not here; install it")


def load_build():
    """caffe.operators.build, without the rest of caffe, which may not be ready to be imported."""
    path = os.path.join(ENGINE, "operators", "build.py")
    spec = importlib.util.spec_from_file_location("caffe_build", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def make_what_is_missing():
    """caffe_pb2.py, the Cython modules and the operators with their CUDA halves."""
    build = load_build()
    nvcc, why_not = build.find_nvcc()
    if nvcc is None:
        raise Unable(f"the CUDA operators cannot be built: {why_not}")
    start = time.time()
    say(f"operators: {build.build()} ({time.time() - start:.0f} s)")
    if not os.path.exists(SCHEMA):
        run(os.path.join(ENGINE, "proto", "generate.py"))
    if any(map(is_missing, MODULES)):
        run("setup.py", "-q", "build_ext", "--inplace")


def run(script, *arguments):
    subprocess.run([sys.executable, os.path.join(ROOT, script), *arguments], cwd=ROOT, check=True)


# The parts

def about(device: str) -> dict[str, Any]:
    """What the file of figures says of the machine and of the programs."""
    import torch
    found: dict[str, Any] = {"device": device, "python": sys.version.split()[0],
                             "cuda": torch.version.cuda, "cudnn": torch.backends.cudnn.version(),
                             "cudnn_benchmark": torch.backends.cudnn.benchmark}
    for package in ("torch", "torchvision", "numpy"):
        missing = is_missing(package)
        found[package] = None if missing else importlib.metadata.version(package)
    if device == "cuda":
        gpu = torch.cuda.get_device_properties(0)
        found |= {"device": gpu.name, "memory_mb": gpu.total_memory >> 20}
    return found


def endings(report: dict[str, Any]) -> tuple[list[str], int]:
    """The last lines of the log, and how many parts have failed."""
    from measure.parts import FAILED, LEFT_OUT, STOPPED
    parts = report["parts"]
    lines = [f"left out: {part['name']}, {part['why']}" for part in parts
             if part["status"] == LEFT_OUT]
    lines += [f"left out: {part['name']}: {row['name']}, {row['why']}"
              for part in parts for row in part["left_out"]]
    bad = [part for part in parts if part["status"] in (FAILED, STOPPED)]
    for part in bad:
        rows = [row["name"] for row in part["rows"] if not row.get("ok", True)]
        lines.append(": ".join(filter(None, (part["name"], part["status"], ", ".join(rows)))))
    return lines, len(bad)


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", choices=LIMITS, default=list(LIMITS), metavar="PART",
                        help="only these parts (all)")
    parser.add_argument("--minutes", type=float, default=MINUTES,
                        help="the most that all parts may take, without building (%(default)g)")
    parser.add_argument("--json", default=FIGURES, metavar="FILE",
                        help="where the figures go (%(default)s)")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda",
                        help="cpu: the same work without a GPU, to try it out (%(default)s)")
    parser.add_argument("--quick", action="store_true",
                        help="tiny nets and single runs: that all works, not how fast")
    args = parser.parse_args(argv)
    shortest = min(LIMITS[name] for name in args.parts)
    if not 60 * args.minutes >= shortest:       # nor is NaN
        parser.error(f"--minutes {args.minutes:g} leaves all parts out: give {shortest / 60:g} or "
                     "more")
    return args


def main(argv: list[str] | None = None) -> int:
    args = parse_args(argv)
    try:
        if args.device == "cuda":
            require_machine()
            make_what_is_missing()
    except Unable as reason:
        sys.stderr.write(f"gpu_check: {reason}\n")
        return 2
    from measure import gpu_part
    from measure.parts import Part, run_all

    def command(part: Part, path: str, until: float) -> list[str]:
        return [sys.executable, gpu_part.__file__, part.name, args.device,
                "quick" if args.quick else "full", path, repr(until)]
    machine = about(args.device)
    say("   ".join(f"{name} {value}" for name, value in machine.items()))
    path = os.path.abspath(args.json)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    parts = [Part(name, LIMITS[name]) for name in LIMITS if name in args.parts]
    report = run_all(parts, 60 * args.minutes, path, machine, command)
    lines, failures = endings(report)
    for line in lines:
        say(line)
    say(f"figures: {path}")
    say("all is well" if failures == 0 else f"{failures} parts failed")
    return int(failures > 0)


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python
"""Checks the GPU side on a machine with a GPU, nvcc and a CUDA PyTorch; needs no network.

    make gpu-check          or      ./tools/gpu_check.py [--skip-schedule]

Builds what is missing, compares CUDA with the CPU for every operator and for training steps of a
small detector (without TF32, as in every run: caffe.set_mode_gpu), checks that the deterministic
mode repeats itself, runs the whole schedule on the embedded images on the GPU, and prints figures.
Exit status: 0 all is well, 1 a comparison or the schedule failed, 2 this machine cannot run it.
"""
import argparse
import importlib.util
import math
import os
import re
import subprocess
import sys
import tempfile
import time

import _init_paths

ROOT = str(_init_paths.ROOT)
ENGINE = os.path.join(ROOT, "caffe-fast-rcnn", "python", "caffe")
PACKAGES = ["torch", "numpy", "cv2", "yaml", "easydict", "scipy", "google.protobuf", "defusedxml",
            "h5py", "matplotlib", "tqdm"]
SCHEMA = os.path.join(ENGINE, "proto", "caffe_pb2.py")
MODULES = ["faster_rcnn.boxes.cython_bbox", "faster_rcnn.boxes.cpu_nms"]

SOLVER = """
net: "{net}" base_lr: 0.002 lr_policy: "fixed" momentum: 0.9 weight_decay: 0.005 display: 0
"""
NET = """
name: "check"
layer { name: "in" type: "Input" top: "data" top: "rois" top: "labels" top: "targets" top: "inside"
  top: "outside" input_param { shape { dim: 2 dim: 3 dim: 64 dim: 80 } shape { dim: 16 dim: 5 }
  shape { dim: 16 } shape { dim: 16 dim: 8 } shape { dim: 16 dim: 8 } shape { dim: 16 dim: 8 } } }
layer { name: "conv1" type: "Convolution" bottom: "data" top: "conv1" param { lr_mult: 1 }
  param { lr_mult: 2 } convolution_param { num_output: 16 kernel_size: 5 pad: 2 stride: 2
  weight_filler { type: "gaussian" std: 0.1 } } }
layer { name: "relu1" type: "ReLU" bottom: "conv1" top: "conv1" }
layer { name: "norm1" type: "LRN" bottom: "conv1" top: "norm1"
  lrn_param { local_size: 3 alpha: 0.05 beta: 0.75 } }
layer { name: "pool1" type: "Pooling" bottom: "norm1" top: "pool1"
  pooling_param { pool: MAX kernel_size: 3 stride: 2 } }
layer { name: "conv2" type: "Convolution" bottom: "pool1" top: "conv2"
  convolution_param { num_output: 24 kernel_size: 3 pad: 1 weight_filler { type: "xavier" } } }
layer { name: "relu2" type: "ReLU" bottom: "conv2" top: "conv2" }
layer { name: "roi_pool" type: "ROIPooling" bottom: "conv2" bottom: "rois" top: "roi_pool"
  roi_pooling_param { pooled_h: 4 pooled_w: 4 spatial_scale: 0.25 } }
layer { name: "fc" type: "InnerProduct" bottom: "roi_pool" top: "fc"
  inner_product_param { num_output: 32 weight_filler { type: "xavier" } } }
layer { name: "relu3" type: "ReLU" bottom: "fc" top: "fc" }
layer { name: "cls_score" type: "InnerProduct" bottom: "fc" top: "cls_score"
  inner_product_param { num_output: 2 weight_filler { type: "xavier" } } }
layer { name: "bbox_pred" type: "InnerProduct" bottom: "fc" top: "bbox_pred"
  inner_product_param { num_output: 8 weight_filler { type: "xavier" } } }
layer { name: "loss_cls" type: "SoftmaxWithLoss" bottom: "cls_score" bottom: "labels"
  top: "loss_cls" }
layer { name: "loss_bbox" type: "SmoothL1Loss" bottom: "bbox_pred" bottom: "targets"
  bottom: "inside" bottom: "outside" top: "loss_bbox" }
"""


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


# Operators

def operator_cases(torch):
    """{name: (function, operands that take gradients, other operands)}; all on the CPU, float32."""
    from caffe.operators import ops
    draw = torch.Generator().manual_seed(3)

    def random(*shape, scale=1.0):
        return torch.randn(shape, generator=draw) * scale

    low = torch.rand(6000, 2, generator=draw) * 500
    boxes = torch.cat([low, low + torch.rand(6000, 2, generator=draw) * 200], 1)
    dets = torch.cat([boxes, torch.rand(6000, 1, generator=draw)], 1)
    rois = torch.cat([torch.randint(0, 2, (128, 1), generator=draw), boxes[:128]], 1)
    groups = torch.randint(0, 20, (6000,), generator=draw)
    features = random(2, 256, 38, 50).contiguous(memory_format=torch.channels_last)
    maps = [random(2, 36, 38, 50) for _ in range(4)]

    def sgd(weight, grad, history):
        weight, history = weight.clone(), history.clone()
        ops.sgd_update_(weight, grad, history, 0.01, 0.9, 0.0005)
        return torch.cat([weight, history])

    return {
        "roi_pool": (lambda x, r: ops.roi_pool(x, r, 7, 7, 1 / 16), [features], [rois]),
        "roi_align": (lambda x, r: ops.roi_align(x, r, 7, 7, 1 / 16), [features, rois], []),
        "psroi_pool": (lambda x, r: ops.psroi_pool(x, r, 4, 8, 1 / 16), [features], [rois]),
        "smooth_l1_loss": (lambda p, t, i, o: ops.smooth_l1_loss(p, t, i, o, 3.0),
                           maps[:2], maps[2:]),
        "nms": (lambda d: ops.nms(d, 0.7), [], [dets]),
        "batched_nms": (lambda b, s, g: ops.batched_nms(b, s, g, 0.3), [],
                        [boxes, dets[:, 4], groups]),
        "soft_nms": (lambda b, s, g: torch.cat(ops.soft_nms(b, s, g, 0.3)), [],
                     [boxes, dets[:, 4], groups]),
        "lrn_across": (lambda x: ops.lrn_across(x, 5, 0.1, 0.75), [features], []),
        "lrn_within": (lambda x: ops.lrn_within(x, 3, 0.1, 0.75), [features], []),
        "sgd_update_": (sgd, [], [random(1000, 300), random(1000, 300), random(1000, 300)]),
    }


def run_case(torch, case, device):
    """([result, gradients...] on the CPU, seconds of the second of two runs)."""
    function, leaves, others = case
    for _ in range(2):
        inputs = [x.detach().to(device).requires_grad_() for x in leaves]
        rest = [x.to(device) for x in others]
        wait(torch, device)
        start = time.time()
        result = function(*inputs, *rest)
        grads = torch.autograd.grad(result, inputs, result.detach()) if inputs else ()
        wait(torch, device)
        seconds = time.time() - start
    return [x.detach().cpu() for x in (result, *grads)], seconds


def wait(torch, device):
    if torch.device(device).type == "cuda":
        torch.cuda.synchronize()


def compare_operators(torch, device="cuda"):
    """Prints a line per operator; the number of operators that differ."""
    failures = 0
    say(f"{'operator':16s} {'difference':>12s} {'CPU':>10s} {device:>10s}   forward and backward")
    for name, case in operator_cases(torch).items():
        (want, cpu_time), (got, time_there) = (run_case(torch, case, d) for d in ("cpu", device))
        worst = largest_difference(got, want)
        exact = not want[0].is_floating_point()
        verdict = "ok" if worst <= (0 if exact else 1e-5) else "DIFFERS"
        failures += verdict != "ok"
        say(f"{name:16s} {worst:12.1e} {cpu_time * 1e3:7.2f} ms {time_there * 1e3:7.2f} ms   "
            f"{verdict}")
    return failures


def largest_difference(got, want):
    """Of two lists of tensors: the largest relative_difference; NaN where any of them is NaN."""
    differences = list(map(relative_difference, got, want))
    return math.nan if any(map(math.isnan, differences)) else max(differences)


def relative_difference(got, want):
    """Largest difference, in units of the largest number that was wanted.

    Infinite between tensors of different shapes, NaN where a number on either side is NaN.
    """
    if got.shape != want.shape:
        return math.inf
    if want.numel() == 0:
        return 0.0
    got, want = got.double(), want.double()
    return ((got - want).abs().max() / want.abs().max().clamp(min=1e-30)).item()


def compare_repeats(torch, device="cuda", runs=3):
    """The number of operators that give other bits in a second run, though asked not to."""
    import caffe
    failures = 0
    caffe.set_deterministic(True)
    try:
        for name, case in operator_cases(torch).items():
            first, *others = (run_case(torch, case, device)[0] for _ in range(runs))
            same = all(torch.equal(a, b) for other in others for a, b in zip(first, other))
            failures += not same
            if not same:
                say(f"{name}: gradients or results differ from run to run   DIFFERS")
    finally:
        caffe.set_deterministic(False)
    say(f"repeated runs in deterministic mode: {'all equal' if not failures else failures}")
    return failures


# Training steps of a small detector

def training_steps(use_gpu, steps=3):
    """({(layer, index): weights}, loss) after some steps, always from the same start."""
    import numpy as np

    import caffe
    caffe.set_mode_gpu() if use_gpu else caffe.set_mode_cpu()
    caffe.set_random_seed(5)
    with tempfile.TemporaryDirectory() as folder:
        net, solver_file = os.path.join(folder, "net.pt"), os.path.join(folder, "solver.pt")
        with open(net, "w") as file:
            file.write(NET)
        with open(solver_file, "w") as file:
            file.write(SOLVER.format(net=net))
        solver = caffe.SGDSolver(solver_file)
    rng = np.random.RandomState(11)
    for blobs in solver.net.params.values():
        for blob in blobs:
            blob.data[...] = rng.normal(0, 0.1, blob.data.shape)
    corners = rng.uniform(0, 40, (16, 2))
    inputs = {"data": rng.normal(0, 1, (2, 3, 64, 80)), "labels": rng.randint(0, 2, 16),
              "rois": np.hstack([rng.randint(0, 2, (16, 1)), corners, corners + 24]),
              "targets": rng.normal(0, 1, (16, 8)), "inside": np.ones((16, 8)),
              "outside": np.ones((16, 8))}
    for name, array in inputs.items():
        solver.net.blobs[name].data[...] = array
    solver.step(steps)
    weights = {(layer, i): np.array(blob.data) for layer, blobs in solver.net.params.items()
               for i, blob in enumerate(blobs)}
    loss = sum(float(solver.net.blobs[name].data) for name in ("loss_cls", "loss_bbox"))
    return weights, loss


def compare_training(torch, use_gpu=True):
    """Prints the largest difference between the weights trained on both; 1 if it is too large."""
    (want, cpu_loss), (got, loss) = training_steps(False), training_steps(use_gpu)
    worst = largest_difference(*([torch.from_numpy(weights[key]) for key in want]
                                 for weights in (got, want)))
    failed = not worst <= 1e-4
    say(f"three training steps: loss {cpu_loss:.6f} on the CPU, {loss:.6f} here; weights differ by "
        f"{worst:.1e}   {'DIFFERS' if failed else 'ok'}")
    return int(failed)


# The whole schedule

def run_schedule():
    """The embedded schedule on GPU 0; prints what it took and its mean AP; 1 if it failed."""
    run("tools/make_shapes.py")
    start = time.time()
    script = os.path.join(ROOT, "experiments", "scripts", "faster_rcnn_alt_opt.sh")
    done = subprocess.run([script, "0", "Tiny", "shapes", "--set", "EXP_DIR", "gpu_check"],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
                          env={**os.environ, "PYTHON": sys.executable})
    mean_ap = re.findall(r"Mean AP = ([\d.]+)", done.stdout)
    if done.returncode != 0 or not mean_ap:
        say(f"{done.stdout[-4000:]}\nthe schedule failed with status {done.returncode}")
        return 1
    say(f"schedule on the GPU: {time.time() - start:.0f} s, mean AP {mean_ap[-1]}")
    return 0


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--skip-schedule", action="store_true", help="only compare CUDA and CPU")
    args = parser.parse_args(argv)
    try:
        require_machine()
        make_what_is_missing()
    except Unable as reason:
        sys.stderr.write(f"gpu_check: {reason}\n")
        return 2
    import torch
    say(f"{torch.cuda.get_device_name(0)}, PyTorch {torch.__version__}, CUDA {torch.version.cuda}")
    failures = compare_operators(torch) + compare_repeats(torch) + compare_training(torch)
    if not args.skip_schedule:
        failures += run_schedule()
    say("all is well" if failures == 0 else f"{failures} checks failed")
    return int(failures > 0)


if __name__ == "__main__":
    sys.exit(main())

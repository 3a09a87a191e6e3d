"""A device compared with the CPU: every operator, and training steps of a small detector.

    compare_operators(figures, "cuda")

adds rows to the Figures of a part (parts.py), {"ok": False} where the two differ; so do
compare_repeats and compare_training.
"""
import math
import os
import tempfile
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from torch import Tensor

import caffe
from caffe.operators import ops
from measure.parts import Figures, Row
from measure.timing import clock_of

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


# ---------------------------------------------------------------------------------- operators

# function, operands that take gradients, other operands
Case = tuple[Callable[..., Tensor], list[Tensor], list[Tensor]]


def operator_cases() -> dict[str, Case]:
    """An example of each operator; all on the CPU, float32."""
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


def run_case(case: Case, device: str) -> tuple[list[Tensor], float]:
    """([result, gradients...] on the CPU, seconds of the second of two runs)."""
    function, leaves, others = case
    clock = clock_of(device)
    for _ in range(2):
        inputs = [x.detach().to(device).requires_grad_() for x in leaves]
        rest = [x.to(device) for x in others]
        start = clock()
        result = function(*inputs, *rest)
        grads = torch.autograd.grad(result, inputs, result.detach()) if inputs else ()
        seconds = clock() - start
    return [x.detach().cpu() for x in (result, *grads)], seconds


def compare_operators(figures: Figures, device: str) -> None:
    """Results and gradients of every operator; forward and backward together are timed."""
    for name, case in operator_cases().items():
        figures.add(name, partial(compared, case, device))


def compared(case: Case, device: str) -> Row:
    """{"ok", "difference", "cpu_ms", "device_ms"}: whole numbers must be equal."""
    (want, cpu_time), (got, time_there) = (run_case(case, d) for d in ("cpu", device))
    worst = largest_difference(got, want)
    limit = 1e-5 if want[0].is_floating_point() else 0
    return {"ok": worst <= limit, "difference": worst, "cpu_ms": cpu_time * 1e3,
            "device_ms": time_there * 1e3}


def compare_repeats(figures: Figures, device: str, runs: int = 3) -> None:
    """Whether runs in the deterministic mode give the same bits."""
    caffe.set_deterministic(True)
    try:
        for name, case in operator_cases().items():
            figures.add(f"{name}, repeated", partial(repeated, case, device, runs))
    finally:
        caffe.set_deterministic(False)


def repeated(case: Case, device: str, runs: int) -> Row:
    """{"ok"}: whether results and gradients are the same to the last bit."""
    first, *others = (run_case(case, device)[0] for _ in range(runs))
    return {"ok": all(torch.equal(a, b) for other in others for a, b in zip(first, other))}


def largest_difference(got: list[Tensor], want: list[Tensor]) -> float:
    """Of two lists of tensors: the largest relative_difference; NaN where any of them is NaN."""
    differences = list(map(relative_difference, got, want))
    return math.nan if any(map(math.isnan, differences)) else max(differences)


def relative_difference(got: Tensor, want: Tensor) -> float:
    """Largest difference, in units of the largest number that was wanted.

    Infinite between tensors of different shapes, NaN where a number on either side is NaN.
    """
    if got.shape != want.shape:
        return math.inf
    if want.numel() == 0:
        return 0.0
    got, want = got.double(), want.double()
    return ((got - want).abs().max() / want.abs().max().clamp(min=1e-30)).item()


# ------------------------------------------------------------- training steps of a small detector

def training_steps(use_gpu: bool, steps: int = 3) -> tuple[dict, float]:
    """({(layer, index): weights}, loss) after some steps, always from the same start."""
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


def compare_training(figures: Figures, device: str) -> None:
    """Weights and losses of three training steps."""
    figures.add("three training steps", lambda: trained(device))


def trained(device: str) -> Row:
    """{"ok", "difference" of the weights, "cpu_loss", "loss" on the device}."""
    (want, cpu_loss), (got, loss) = training_steps(False), training_steps(device == "cuda")
    worst = largest_difference(*([torch.from_numpy(weights[key]) for key in want]
                                 for weights in (got, want)))
    return {"ok": worst <= 1e-4, "difference": worst, "cpu_loss": cpu_loss, "loss": loss}

#!/usr/bin/env python
"""Measures our nets against the same convolutions and products in bare channels_last PyTorch.

    ./tools/bench.py                               # ZF and VGG16: test net, four training stages
    ./tools/bench.py --net ZF --stage test --layers
    ./tools/bench.py --net Tiny --repeats 20 --json bench.json
    ./tools/bench.py --engine                      # what the engine adds to each layer
    ./tools/bench.py --net VGG16 --stage weights   # saving and loading, time and memory
    ./tools/bench.py --net VGG16 --memory          # the largest memory of each stage, 600 x 1000
    ./tools/bench.py --peers                       # OpenCV, ONNX Runtime, OpenVINO: classifiers
    ./tools/bench.py --peers MobileNet "ZF trunk" --threads 2

Pictures of 600 x 800, 300 proposals at test time, 2000 per picture in training; random weights,
synthetic pictures and annotations. The two sides run in turn (A B A B ...) in one process; a row
gives the median of both, the median of the ratios of neighbours, and the ratio of the fastest runs,
which other work on the machine disturbs least. A training iteration is all of `solver.step(1)`:
waiting for the next minibatch, forward, backward, update.
"""
import argparse
import contextlib
import json
import logging
import os
import statistics
import tempfile
import time

import _init_paths  # noqa: F401
import cv2
import numpy as np
import torch
from measure import memory, peers, weights_cost
from measure.bare_net import BareNet
from measure.peer_nets import NETS

import caffe
from caffe.files import prototxt
from faster_rcnn.commands import start, tool
from faster_rcnn.schedules import alternating as alt_opt
from faster_rcnn.schedules.alternating import METHOD
from faster_rcnn.settings.config import cfg, cfg_override
from faster_rcnn.synthetic.random_imdb import SyntheticImdb
from faster_rcnn.training.solver_wrapper import SolverWrapper
from faster_rcnn.training.training_images import get_training_roidb

STAGES = ("test", "stage1_rpn", "stage1_fast_rcnn", "stage2_rpn", "stage2_fast_rcnn")
WEIGHTS = "weights"
HEIGHT, WIDTH = 600, 800
WIDEST = 1000           # of a picture as high, by the default of MAX_SIZE
CLASSES = 21


def parse_args(argv=None):
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--net", nargs="+", default=["ZF", "VGG16"], help="%(default)s")
    parser.add_argument("--stage", nargs="+", default=list(STAGES), metavar="STAGE",
                        choices=(*STAGES, WEIGHTS),
                        help=", ".join(STAGES) + f"; or {WEIGHTS}: saving and loading")
    parser.add_argument("--repeats", type=int, default=9, help="pairs of runs (%(default)s)")
    parser.add_argument("--threads", type=int, help="threads of PyTorch (all cores)")
    parser.add_argument("--cpu-time", action="store_true",
                        help="times of the processor instead of the clock, with --threads 1: those "
                             "of the training thread, whatever else the machine does")
    parser.add_argument("--kept", action="store_true",
                        help="stage 2 as from the second epoch on with TRAIN.FEATURE_CACHE_MB")
    parser.add_argument("--memory", action="store_true",
                        help=f"only the largest memory of each stage, at {HEIGHT} x {WIDEST}, also "
                             "with TRAIN.RECOMPUTE_ACTIVATIONS")
    parser.add_argument("--layers", action="store_true",
                        help="a table of the time of each layer, run by itself")
    parser.add_argument("--engine", action="store_true", help="only the engine's time per layer")
    parser.add_argument("--peers", nargs="*", choices=NETS, metavar="NET",
                        help="only our test nets beside other programs that run nets: "
                             + ", ".join(NETS) + " (all)")
    parser.add_argument("--json", metavar="FILE", help="write the figures to a file as well")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    args = parser.parse_args(argv)
    if args.repeats < 1:
        parser.error("--repeats must be at least 1")
    if args.cpu_time and args.threads != 1:
        parser.error("--cpu-time counts one thread: give --threads 1 as well")
    return args


# --------------------------------------------------------------------------------------- measuring

def seconds(function, clock=time.perf_counter):
    start = clock()
    function()
    return clock() - start


def in_turn(ours, bare, repeats, warm_up=2, clock=time.perf_counter):
    """Runs both in turn: medians of both, of their ratios, and the ratio of the fastest runs."""
    for _ in range(warm_up):
        ours(), bare()
    pairs = [(seconds(ours, clock), seconds(bare, clock)) for _ in range(repeats)]
    return {"ours": statistics.median(a for a, _ in pairs),
            "bare": statistics.median(b for _, b in pairs),
            "ratio": statistics.median(a / b for a, b in pairs),
            "ratio_of_fastest": min(a for a, _ in pairs) / min(b for _, b in pairs)}


def fill_random(net):
    """Weights that keep activations of ordinary size (He), small box deltas."""
    generator = torch.Generator().manual_seed(cfg.RNG_SEED)
    for name, blobs in net.params.items():
        for blob in blobs:
            weight = blob.tensor.detach()
            fan_in = max(1, weight[0].numel()) if weight.dim() > 1 else 0
            std = 0.001 if "bbox_pred" in name else (2 / fan_in) ** 0.5 if fan_in else 0.0
            weight.copy_(torch.randn(weight.shape, generator=generator) * std)


# ----------------------------------------------------------------------------------- the two sides

def model_file(net_name, name):
    return start.find_net(os.path.join(cfg.MODELS_DIR, net_name, METHOD, name), "prototxt")


def test_case(net_name, height=HEIGHT, width=WIDTH):
    """(run the test net once, the net, its message)."""
    path = model_file(net_name, "faster_rcnn_test.pt")
    net = caffe.Net(path, caffe.TEST)
    fill_random(net)
    image = np.random.RandomState(0).normal(0, 60, (1, 3, height, width)).astype(np.float32)
    net.blobs["data"].reshape(*image.shape)
    net.blobs["data"].data[...] = image
    net.blobs["im_info"].reshape(1, 3)
    net.blobs["im_info"].data[...] = (height, width, 1)
    return net.forward, net, prototxt.read_net(path)


def training_case(net_name, stage, folder, height=HEIGHT, width=WIDTH):
    """(run one iteration, the net, its message) of a training stage, on synthetic pictures."""
    step = next(step for step in alt_opt.STEPS if step.name == stage)
    message = prototxt.read_solver(model_file(net_name, step.prototxt))
    net_path = os.path.join(cfg.ROOT_DIR, message.train_net)
    message.train_net = net_path
    message.display = 0
    imdb = SyntheticImdb(folder, CLASSES, width, height)
    imdb.set_proposal_method(cfg.TRAIN.PROPOSAL_METHOD)
    wrapper = SolverWrapper(message, get_training_roidb(imdb), folder)
    fill_random(wrapper.solver.net)
    wrapper.solver.step(1)
    return lambda: wrapper.solver.step(1), wrapper.solver.net, prototxt.read_net(net_path)


def measure(net_name, stage, args):
    """The figures of one net at one stage; with --layers also {"layers": [...]}."""
    if stage == WEIGHTS:
        figures = weights_cost.cost(model_file(net_name, "faster_rcnn_test.pt"), args.repeats)
        return {"net": net_name, "stage": stage, **figures}
    train = stage != "test"
    with stage_settings(stage), tempfile.TemporaryDirectory() as folder:
        np.random.seed(cfg.RNG_SEED)
        caffe.set_random_seed(cfg.RNG_SEED)
        run, net, message = (training_case(net_name, stage, folder) if train
                             else test_case(net_name))
        run()
        bare = BareNet(net, message, train)
        if args.kept:
            know_images(net)
        clock = time.thread_time if args.cpu_time else time.perf_counter
        result = {"net": net_name, "stage": stage,
                  **in_turn(run, bare.run, args.repeats, clock=clock)}
        if args.layers:
            result["layers"] = layer_table(net, bare, train, args.repeats, clock)
    return result


@contextlib.contextmanager
def stage_settings(stage, more=None):
    """The settings of a stage for synthetic pictures; more: further ones of cfg.TRAIN."""
    settings = next((s.settings for s in alt_opt.STEPS if s.name == stage), {})
    with cfg_override(**settings), cfg_override(TRAIN={"USE_FLIPPED": False, "BG_THRESH_LO": 0.0,
                                                       **(more or {})}):
        yield


def know_images(net):
    """Lets a training net pass for one that has seen all its images: its next pass keeps the
    features of the frozen layers, and all others take them."""
    images = net.blobs["data"].shape[0]
    net.passes.keep_features(images << 30, lambda: ["known"] * images)
    net.forward()


def memory_table(nets, stages):
    """The figures of memory.peak, printed row by row."""
    results = []
    for net_name in nets:
        for stage in stages:
            for again in (False, True) if stage != "test" else (False,):
                figures = memory.peak(net_name, stage, HEIGHT, WIDEST,
                                      {"RECOMPUTE_ACTIVATIONS": again})
                results.append({"net": net_name, "stage": stage, "recomputed": again, **figures})
                print("{:<16} {:<18} weights {:7.0f} MB   peak {:7.0f} MB{}".format(
                    net_name, stage, figures["weights_mb"], figures["peak_mb"],
                    "   activations computed again" if again else ""), flush=True)
    return results


def layer_table(net, bare, train, repeats, clock):
    """[(layer, type, forward, backward, bare), ...] in seconds: medians, in the net's order."""
    bare_times = {operator.name: statistics.median(
        seconds(lambda op=operator: _run_operator(op, train), clock) for _ in range(repeats))
        for operator in bare.operators}
    times = {name: ([], []) for name in net._layer_names}
    for _ in range(repeats):
        for name in net._layer_names:
            times[name][0].append(seconds(lambda n=name: net.forward(start=n, end=n), clock))
        for name in reversed(net._layer_names) if train else ():
            times[name][1].append(seconds(lambda n=name: net.backward(start=n, end=n), clock))
    return [(name, layer.type, statistics.median(times[name][0]),
             statistics.median(times[name][1]) if train else 0.0, bare_times.get(name, 0.0))
            for name, layer in zip(net._layer_names, net.layers)]


def _run_operator(operator, train):
    with torch.set_grad_enabled(train):
        top = operator.forward()
        if train:
            operator.backward(top)


def engine_overhead(repeats, count=100):
    """Microseconds that the engine adds to a layer: a chain of `count` ReLUs on four numbers."""
    relu = 'layer {{ name: "r{0}" type: "ReLU" bottom: "b{0}" top: "b{1}" }}\n'
    text = ('layer { name: "data" type: "DummyData" top: "b0" '
            "dummy_data_param { shape { dim: 4 } data_filler { type: \"constant\" value: 1 } } }\n"
            + "".join(relu.format(i, i + 1) for i in range(count)))
    net = caffe.Net(prototxt.read_net_text(text, origin="bench"), caffe.TEST)
    x = torch.ones(4)

    def bare():
        for _ in range(count):
            torch.relu(x)
    figures = in_turn(net.forward, bare, repeats, warm_up=5)
    return {"layers": count, "ours_us": figures["ours"] / count * 1e6,
            "bare_us": figures["bare"] / count * 1e6}


def peer_table(names, repeats):
    """The figures of peers.compare, printed row by row; each of its notes once."""
    results, said = [], set()
    for result in peers.compare(names or list(NETS), torch.get_num_threads(), repeats):
        for note in set(result["notes"]) - said:
            print(note)
            said.add(note)
        print(peers.line(result), flush=True)
        results.append(result)
    return results


# ---------------------------------------------------------------------------------------- printing

def show(result):
    if result["stage"] == WEIGHTS:
        print("{net:<16} {stage:<18} {file_mb:.0f} MB   saved in {save_s:.2f} s, loaded in "
              "{load_s:.2f} s; memory, with the net, {save_memory:.2f} and {load_memory:.2f} "
              "times the file".format(**result), flush=True)
        return
    print(f"{result['net']:<16} {result['stage']:<18} ours {result['ours'] * 1e3:9.2f} ms   "
          f"bare {result['bare'] * 1e3:9.2f} ms   ratio {result['ratio']:.3f}   "
          f"of the fastest {result['ratio_of_fastest']:.3f}", flush=True)
    for name, kind, forward, backward, bare in result.get("layers", ()):
        print(f"    {name:<28} {kind:<18} forward {forward * 1e3:8.2f}  backward "
              f"{backward * 1e3:8.2f}" + (f"  bare {bare * 1e3:8.2f}" if bare else ""))


def main(argv=None):
    args = parse_args(argv)
    logging.getLogger().setLevel(logging.WARNING)
    if args.threads:
        torch.set_num_threads(args.threads)
    cv2.setNumThreads(1)
    print(f"{torch.get_num_threads()} threads, PyTorch {torch.__version__}, {HEIGHT} x {WIDTH}, "
          f"{cfg.TEST.RPN_POST_NMS_TOP_N} proposals, {args.repeats} pairs", flush=True)
    if args.engine:
        results = [engine_overhead(max(args.repeats, 20))]
        print("engine: {ours_us:.1f} us per layer, PyTorch alone {bare_us:.1f} us".format(
            **results[0]))
    elif args.memory:
        results = memory_table(args.net, [stage for stage in args.stage if stage != WEIGHTS])
    elif args.peers is not None:
        results = peer_table(args.peers, args.repeats)
    else:
        results = []
        for net_name in args.net:
            for stage in args.stage:
                results.append(measure(net_name, stage, args))
                show(results[-1])
    if args.json:
        with open(args.json, "w") as stream:
            json.dump(results, stream, indent=1)
    return results


def script():
    """What the command line runs: the figures are printed, the exit status is 0."""
    main()


if __name__ == "__main__":
    tool.run(script)

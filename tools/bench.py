#!/usr/bin/env python
"""Compares the time of our nets with that of the same convolutions and matrix products in bare
channels_last PyTorch.

    ./tools/bench.py                               # ZF and VGG16: test net, four training stages
    ./tools/bench.py --net ZF --stage test --layers
    ./tools/bench.py --net Tiny --repeats 20 --json bench.json
    ./tools/bench.py --engine                      # what the engine adds to each layer
    ./tools/bench.py --net VGG16 --stage weights   # saving and loading, time and memory
    ./tools/bench.py --net VGG16 --memory --precision bf16     # the largest memory of each stage
    ./tools/bench.py --peers                       # OpenCV, ONNX Runtime, OpenVINO: classifiers
    ./tools/bench.py --peers MobileNet "ZF trunk" --threads 2

Pictures of 600 x 800, 300 proposals at test time, 2000 per picture in training; random weights,
synthetic pictures and annotations. The two sides run in turn (A B A B ...) in one process; a row
gives the median of both, the median of the ratios of neighbours, and the ratio of the fastest runs,
which other work on the machine disturbs least. A training iteration is all of `solver.step(1)`:
waiting for the next minibatch, forward, backward, update.
"""
import argparse
import logging
import statistics
import tempfile
import time

import _init_paths  # noqa: F401
import cv2
import torch
from measure import memory, peers, stages, weights_cost
from measure.bare_net import BareNet
from measure.peer_nets import NETS
from measure.stages import HEIGHT, WIDTH
from measure.timing import in_turn, seconds

import caffe
from caffe.core.precision import PRECISIONS
from caffe.files import prototxt
from caffe.files.atomic import write_json
from faster_rcnn.commands import tool
from faster_rcnn.schedules import alternating
from faster_rcnn.settings.config import cfg

WEIGHTS = "weights"
WIDEST = 1000           # of a picture as high, by the default of MAX_SIZE


def parse_args(argv=None):
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--net", nargs="+", default=["ZF", "VGG16"],
                        help="nets to measure (ZF VGG16)")
    parser.add_argument("--stage", nargs="+", metavar="STAGE",
                        default=[stages.TEST, *stages.ALTERNATING],
                        choices=(*stages.STAGES, WEIGHTS),
                        help=", ".join(stages.STAGES) + f", or {WEIGHTS}: saving and loading "
                             "(all but joint and weights)")
    parser.add_argument("--repeats", type=int, default=9, help="pairs of runs (%(default)s)")
    parser.add_argument("--threads", type=int, help="threads of PyTorch (all cores)")
    parser.add_argument("--cpu-time", action="store_true",
                        help="processor time of the training thread instead of clock time, so that "
                             "other programs disturb less; needs --threads 1")
    parser.add_argument("--kept", action="store_true",
                        help="stage 2 with a filled cache of features (TRAIN.FEATURE_CACHE_MB), as "
                             "from the second epoch on")
    parser.add_argument("--memory", action="store_true",
                        help="measure only the largest memory of each stage, at "
                             f"{HEIGHT} x {WIDEST}, without and with TRAIN.RECOMPUTE_ACTIVATIONS")
    parser.add_argument("--precision", choices=PRECISIONS, default="float32",
                        help="with --memory: precision of the nets (%(default)s)")
    parser.add_argument("--layers", action="store_true",
                        help="also print the time of each layer, run by itself")
    parser.add_argument("--engine", action="store_true",
                        help="measure only what the engine adds to each layer")
    parser.add_argument("--peers", nargs="*", choices=NETS, metavar="NET",
                        help="compare only test nets, with other programs that run nets: "
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

def measure(net_name, stage, args):
    """The figures of one net at one stage; with --layers also {"layers": [...]}."""
    if stage == WEIGHTS:
        path = stages.model_file(net_name, alternating.METHOD, "faster_rcnn_test.pt")
        return {"net": net_name, "stage": stage, **weights_cost.cost(path, args.repeats)}
    train = stage != stages.TEST
    with stages.settings_of(net_name, stage), tempfile.TemporaryDirectory() as folder:
        run, net, message = stages.case(net_name, stage, folder)
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


def know_images(net):
    """Lets a training net pass for one that has seen all its images: its next pass keeps the
    features of the frozen layers, and all others take them."""
    images = net.blobs["data"].shape[0]
    net.passes.keep_features(images << 30, lambda: ["known"] * images)
    net.forward()


def memory_table(nets, wanted, precision):
    """The figures of memory.peak, printed row by row."""
    results = []
    for net_name in nets:
        for stage in wanted:
            for again in (False, True) if stage != stages.TEST else (False,):
                figures = memory.peak(net_name, stage, HEIGHT, WIDEST, precision,
                                      {"RECOMPUTE_ACTIVATIONS": again})
                results.append({"net": net_name, "stage": stage, "precision": precision,
                                "recomputed": again, **figures})
                print("{:<16} {:<18} {:<8} weights {:7.0f} MB   peak {:7.0f} MB{}".format(
                    net_name, stage, precision, figures["weights_mb"], figures["peak_mb"],
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
        wanted = [stage for stage in args.stage if stage != WEIGHTS]
        results = memory_table(args.net, wanted, args.precision)
    elif args.peers is not None:
        results = peer_table(args.peers, args.repeats)
    else:
        results = []
        for net_name in args.net:
            for stage in args.stage:
                results.append(measure(net_name, stage, args))
                show(results[-1])
    if args.json:
        write_json(args.json, results)
    return results


def script():
    """What the command line runs: the figures are printed, the exit status is 0."""
    main()


if __name__ == "__main__":
    tool.run(script)

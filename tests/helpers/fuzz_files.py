"""Reads thousands of damaged files: each must be read, or refused with a clear exception.

    python tests/helpers/fuzz_files.py COUNT SEED [KIND ...]      # with caffe on PYTHONPATH

A program of its own, so that a crash, a hang or a greedy allocation ends only this process: its
address space is limited, and an alarm ends a slow read. The input at hand lies in the folder of the
last line of output, under the name "input". Exit status 0: all were read or refused.
"""
import os
import random
import re
import resource
import shutil
import signal
import sys
import tempfile

import cv2
import h5py
import numpy as np
from layer_harness import EXAMPLES

import caffe
from caffe import io
from caffe.core.errors import CaffeError
from caffe.files import prototxt, weights
from caffe.proto import caffe_pb2 as pb

ACCEPTED = (CaffeError, ValueError, OSError)
MEMORY, SECONDS = 2 << 30, 20       # more address space than at the start; per file
NET = """
name: "fuzz"
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 1 dim: 3 dim: 9 dim: 9 } } }
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv" param { lr_mult: 1 }
        convolution_param { num_output: 4 kernel_size: 3 pad: 1 stride: 2
                            weight_filler { type: "gaussian" std: 0.1 } } }
layer { name: "norm" type: "LRN" bottom: "conv" top: "norm" lrn_param { local_size: 3 alpha: 5e-5 } }
layer { name: "bn" type: "BatchNorm" bottom: "norm" top: "norm" }
layer { name: "relu" type: "ReLU" bottom: "norm" top: "norm" include { phase: TRAIN stage: "a" } }
layer { name: "pool" type: "Pooling" bottom: "norm" top: "pool"
        pooling_param { pool: AVE kernel_size: 3 stride: 2 } }
layer { name: "shape" type: "Reshape" bottom: "pool" top: "shape"
        reshape_param { shape { dim: 0 dim: -1 } axis: 0 } }
layer { name: "fc" type: "InnerProduct" bottom: "shape" top: "fc" inner_product_param { num_output: 3 } }
layer { name: "label" type: "DummyData" top: "label" dummy_data_param { shape { dim: 1 } } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "fc" bottom: "label" top: "loss" loss_weight: 1 }
"""  # noqa: E501
OLD_NET = """
input: "data" input_dim: 1 input_dim: 3 input_dim: 9 input_dim: 9
layers { name: "conv" type: CONVOLUTION bottom: "data" top: "conv" blobs_lr: 1 weight_decay: 0
         convolution_param { num_output: 4 kernel_size: 3 } }
layers { layer { name: "pool" type: "pool" kernelsize: 2 stride: 2 pool: MAX } bottom: "conv"
         top: "pool" }
"""
SOLVER = """
net_param { name: "inside" layer { name: "d" type: "Input" top: "d" } }
base_lr: 0.01 lr_policy: "multistep" stepvalue: 5 stepvalue: 9 gamma: 0.1 momentum: 0.9
snapshot_prefix: "x" solver_type: ADAM max_iter: 10 display: 0 random_seed: 3
"""
WORDS = [b"layer", b"type", b"{", b"}", b":", b'"', b"\n", b"#", b"dim", b"bottom", b"top",
         b"Python", b"kernel_size", b"stride", b"pad", b"num_output", b"group", b"axis",
         b"Deconvolution", b"Concat", b"Slice", b"Scale", b"LSTM", b"SPP", b"Im2col", b"Embed",
         b"Tile", b"Crop"]
NUMBERS = [b"0", b"-1", b"1", b"2", b"255", b"65536", b"2147483647", b"-2147483648", b"4294967295",
           b"9223372036854775807", b"18446744073709551616", b"1e38", b"-1e-38", b"nan", b"inf"]
VARINTS = [b"\0", b"\x7f", b"\x80\x01", b"\xff\x7f", b"\xff\xff\xff\xff\x07",
           b"\xff\xff\xff\xff\x0f", b"\xff" * 9 + b"\x01", b"\x80" * 9, b"\x80\x80\x80\x80\x10"]


class Case:
    """One kind of file: undamaged contents, and a function that reads a path."""

    def __init__(self, seeds, read, text=False):
        self.seeds, self.read, self.text = seeds, read, text


def make_cases(folder):
    """{kind: Case}; the undamaged files are written to `folder` first."""
    net = caffe.Net(prototxt.read_net_text(NET), caffe.TRAIN)
    p = pb.SolverParameter(base_lr=0.1, lr_policy="fixed", momentum=0.9)
    p.net_param.CopyFrom(prototxt.read_net_text(NET))
    solver = caffe.SGDSolver(p)
    solver.step(1)
    paths = [os.path.join(folder, name) for name in ("w", "w.h5", "s", "s.h5", "m")]
    net.save(paths[0])
    net.save_hdf5(paths[1])
    history = solver.updater.history()
    for path in paths[2:4]:
        weights.write_state(path, 7, paths[0], 1, history)
    weights.write_binaryproto(paths[4], net.blobs["data"].data)
    model, model5, state, state5, mean = (open(path, "rb").read() for path in paths)
    legacy = pb.NetParameter(name="old")
    legacy.layers.add(name="conv", type=4).blobs.add(num=1, channels=1, height=1, width=3,
                                                     data=[1, 2, 3], double_data=[1, 2, 3])
    legacy.layers.add().layer.CopyFrom(pb.V0LayerParameter(name="a", type="conv"))
    vector = io.arraylist_to_blobprotovector_str([net.blobs["data"].data] * 2)
    pictures = [cv2.imencode(kind, np.arange(600).reshape(20, 10, 3).astype(np.uint8))[1].tobytes()
                for kind in (".png", ".jpg", ".bmp")]
    datums = [io.array_to_datum(net.blobs["data"].data[0].astype("uint8"), 3),
              *(pb.Datum(encoded=True, data=picture) for picture in pictures)]
    with h5py.File(os.path.join(folder, "packed"), "w") as file:
        for name, blob in zip("01", net.params["conv"]):
            file.create_dataset(f"data/conv/{name}", data=blob.data, compression="gzip",
                                shuffle=True, fletcher32=True)
    packed = open(os.path.join(folder, "packed"), "rb").read()
    return {
        "prototxt": Case([NET.encode(), OLD_NET.encode()], build, text=True),
        "layers": Case(list(single_layers()), build, text=True),
        "solver": Case([SOLVER.encode()], lambda path: prototxt.read_solver(path), text=True),
        "caffemodel": Case([model, legacy.SerializeToString()], net.copy_from),
        "caffemodel_read": Case([model, legacy.SerializeToString()], touch_weights),
        "solverstate": Case([state], solver.restore),
        "binaryproto": Case([mean], weights.read_binaryproto),
        "blobproto_vector": Case([vector], lambda path: io.blobprotovector_str_to_arraylist(
            open(path, "rb").read())),
        "datum": Case([datum.SerializeToString() for datum in datums], read_datum),
        "image": Case(pictures, io.load_image),
        "hdf5_weights": Case([model5, packed], net.copy_from),
        "hdf5_state": Case([state5], solver.restore),
    }


def single_layers():
    """A prototxt for every example of every layer type."""
    for kind, examples in EXAMPLES.items():
        for text, bottoms, tops in examples:
            yield ("".join(f'layer {{ name: "b{i}" type: "Input" top: "b{i}" input_param {{ shape'
                           + " { " + " ".join(f"dim: {d}" for d in bottom.shape) + " } } }\n"
                           for i, bottom in enumerate(bottoms))
                   + f'layer {{ name: "it" type: "{kind}" {text} '
                   + "".join(f'bottom: "b{i}" ' for i in range(len(bottoms)))
                   + "".join(f'top: "t{i}" ' for i in range(tops)) + "}\n").encode()


def build(path):
    net = caffe.Net(path, caffe.TEST)
    if sum(blob.count for blob in net.blobs.values()) < 1 << 22:
        net.forward()


def touch_weights(path):
    sum(float(array.sum()) for blobs in weights.read_weights(path).values() for array in blobs)


def read_datum(path):
    datum = pb.Datum()
    try:
        datum.ParseFromString(open(path, "rb").read())
    except Exception as error:      # protobuf's own refusal, before any of our code
        raise ValueError(str(error)) from None
    io.datum_to_array(datum)


# ---------------------------------------------------------------------------------------- damaging


def damaged(rng, seeds, text):
    """One of the contents after a few random changes."""
    data = bytearray(rng.choice(seeds))
    for _ in range(rng.choice((1, 1, 1, 2, 3, 8))):
        change = rng.choice(TEXT_CHANGES if text and rng.random() < 0.7 else CHANGES)
        change(rng, data)
    return bytes(data)


def place(rng, data, most=16):
    begin = rng.randrange(len(data) + 1)
    return begin, min(len(data), begin + rng.randint(0, most))


def change_byte(rng, data):
    if data:
        data[rng.randrange(len(data))] = rng.choice((0, 1, 0x7f, 0x80, 0xff, rng.randrange(256)))


def change_bit(rng, data):
    if data:
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)


def insert(rng, data):
    begin, end = place(rng, data)
    data[begin:end if rng.random() < 0.5 else begin] = rng.choice(
        (rng.randbytes(rng.randint(1, 12)), rng.choice(VARINTS)))


def delete(rng, data):
    begin, end = place(rng, data, rng.choice((1, 8, 200)))
    del data[begin:end]


def repeat(rng, data):
    begin, end = place(rng, data, rng.choice((4, 64, 500)))
    data[end:end] = data[begin:end] * rng.choice((1, 1, 2, 20))


def move(rng, data):
    begin, end = place(rng, data, 64)
    piece = data[begin:end]
    to = rng.randrange(len(data) + 1)
    data[to:to + len(piece)] = piece


def truncate(rng, data):
    del data[rng.randrange(len(data) + 1):]


def change_number(rng, data):
    _replace(rng, data, rb"-?\d+(?:\.\d+)?", NUMBERS)


def change_word(rng, data):
    _replace(rng, data, rb"[A-Za-z_]+", WORDS)


def exchange_words(rng, data):
    _replace(rng, data, rb"[A-Za-z_]+", re.findall(rb"[A-Za-z_]+", bytes(data)) or WORDS)


def nest(rng, data):
    begin, _ = place(rng, data)
    data[begin:begin] = rng.choice((b"{", b"layer {", b"net_param {")) * rng.choice((1, 50, 5000))


def _replace(rng, data, pattern, choices):
    found = list(re.finditer(pattern, bytes(data)))
    if found:
        match = rng.choice(found)
        data[match.start():match.end()] = rng.choice(choices)


CHANGES = (change_byte, change_bit, insert, delete, repeat, move, truncate)
TEXT_CHANGES = (change_number, change_number, change_word, exchange_words, delete, repeat, nest)


# ----------------------------------------------------------------------------------------- running


def main(count, seed, kinds):
    folder = tempfile.mkdtemp(prefix="fuzz_")
    print(folder, flush=True)
    cases = make_cases(folder)
    used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY,) * 2)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)       # an alarm kills, even inside C
    failures = 0
    for kind in kinds or cases:
        case, rng = cases[kind], random.Random(f"{kind} {seed}")
        read = 0
        for number in range(count):
            failure = attempt(case, rng, os.path.join(folder, "input"))
            read += failure is None
            if failure:
                failures += 1
                keep = os.path.join(folder, f"{kind}_{number}")
                os.replace(os.path.join(folder, "input"), keep)
                print(f"{keep}: {failure}", flush=True)
        print(f"{kind}: {count} files, {read} read", flush=True)
    if not failures:
        shutil.rmtree(folder)
    return failures


def attempt(case, rng, path):
    """None: read; "": refused; else what went wrong."""
    with open(path, "wb") as file:
        file.write(damaged(rng, case.seeds, case.text))
    signal.alarm(SECONDS)
    try:
        case.read(path)
        return None
    except ACCEPTED as error:
        return f"message of several lines: {error}" if isinstance(error, CaffeError) \
            and "\n" in str(error) else ""
    except Exception as error:      # whatever else: that is what is looked for
        return f"{type(error).__module__}.{type(error).__name__}: {str(error)[:300]}"
    finally:
        signal.alarm(0)


if __name__ == "__main__":
    sys.exit(min(main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]), 1))

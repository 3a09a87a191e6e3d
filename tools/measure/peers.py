"""The same nets with the same weights in other programs that run nets on the CPU.

    for result in compare(["MobileNet"], threads=2, rounds=5): print(line(result))

Each program gets a picture as a numpy array and returns one; in float32, with as many threads.
A program whose package cannot be imported is left out. OpenCV reads the prototxt and the caffemodel
where it still can (4.x), the others, and OpenCV 5, our ONNX file.
"""
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch

import caffe
from caffe.export import to_onnx
from caffe.proto.caffe_pb2 import NetParameter
from measure.peer_nets import NETS

Run = Callable[[np.ndarray], np.ndarray]
OURS, TWICE = "ours", 2     # runs in a row: the first one has the caches to itself again
_PAUSE = 0.05               # seconds in which the threads of the last program fall asleep
_AGREE = 2e-3               # of the largest value


def compare(names: Sequence[str], threads: int, rounds: int) -> Iterator[dict[str, Any]]:
    """For each net {"net", "seconds": {program: fastest run}, "ratio", "difference", "notes"}.

    ratio: our time over that of the fastest of the others; difference: of the outputs, the largest
    of all programs, as a share of the largest value.
    """
    torch.set_num_threads(threads)
    for name in names:
        message = NETS[name]()
        net = caffe.Net(message, caffe.TEST)
        fill(net)
        picture = np.random.default_rng(0).normal(0, 1, net.blobs["data"].shape)
        picture = picture.astype(np.float32)
        notes: list[str] = []
        programs = {OURS: ours(net), **_others(net, message, threads, notes)}
        difference = _agree(name, programs, picture)
        times = in_turn(programs, picture, rounds)
        others = [time for program, time in times.items() if program != OURS]
        yield {"net": name, "seconds": times, "difference": difference, "notes": notes,
               "ratio": times[OURS] / min(others) if others else float("nan")}


def fill(net: caffe.Net) -> None:
    """Weights that keep activations of ordinary size (He), and small numbers elsewhere."""
    random = np.random.default_rng(1)
    for name, blobs in net.params.items():
        kind = net.layer_dict[name].type
        for i, blob in enumerate(blobs):
            if len(blob.shape) > 1:
                std = (2 / np.prod(blob.shape[1:])) ** 0.5
                blob.data[...] = random.normal(0, std, blob.shape)
            else:
                blob.data[...] = float((kind, i) in _ONES) or random.normal(0, 0.1, blob.shape)


_ONES = (("BatchNorm", 1), ("BatchNorm", 2), ("Scale", 0))


def in_turn(programs: dict[str, Run], picture: np.ndarray, rounds: int) -> dict[str, float]:
    """{program: seconds of its fastest run}, the programs taking turns."""
    times = dict.fromkeys(programs, float("inf"))
    for _ in range(rounds):
        for name, run in programs.items():
            time.sleep(_PAUSE)
            for _ in range(TWICE):
                begin = time.perf_counter()
                run(picture)
                times[name] = min(times[name], time.perf_counter() - begin)
    return times


def line(result: dict[str, Any]) -> str:
    """One row of the table."""
    times = "   ".join(f"{program} {seconds * 1e3:8.2f}"
                       for program, seconds in result["seconds"].items())
    return f"{result['net']:<16} {times}   ours / fastest {result['ratio']:.2f}"


def _agree(name: str, programs: dict[str, Run], picture: np.ndarray) -> float:
    """The largest difference of the outputs from ours; RuntimeError where it is too large."""
    expected = programs[OURS](picture).copy()
    worst = 0.0
    for program, run in programs.items():
        found = run(picture).reshape(expected.shape)
        difference = float(np.abs(found - expected).max() / np.abs(expected).max())
        if not difference <= _AGREE:
            raise RuntimeError(f"{name}: the output of {program} differs from ours by "
                               f"{difference:.2g} of the largest value")
        worst = max(worst, difference)
    return worst


# ------------------------------------------------------------------------------ the programs

def ours(net: caffe.Net) -> Run:
    """A net of ours, from array to array."""
    def run(picture: np.ndarray) -> np.ndarray:
        net.blobs["data"].data[...] = picture
        return next(iter(net.forward().values()))
    return run


def _others(net: caffe.Net, message: NetParameter, threads: int,
            notes: list[str]) -> dict[str, Run]:
    model = to_onnx(net).SerializeToString()
    makers: dict[str, Callable[[], Run]] = {
        "OpenCV": lambda: _opencv(net, message, model, threads, notes),
        "ONNX Runtime": lambda: _onnxruntime(model, threads),
        "OpenVINO": lambda: _openvino(model, threads)}
    made = {}
    for name, make in makers.items():
        try:
            made[name] = make()
        except ImportError as problem:
            notes.append(f"{name} is left out: {problem}")
    return made


def _opencv(net: caffe.Net, message: NetParameter, model: bytes, threads: int,
            notes: list[str]) -> Run:
    import cv2
    cv2.setNumThreads(threads)
    if hasattr(cv2.dnn, "readNetFromCaffe"):
        with tempfile.TemporaryDirectory() as folder:
            prototxt, weights = (os.path.join(folder, name) for name in ("pt", "caffemodel"))
            with open(prototxt, "w") as file:
                file.write(str(message))
            net.save(weights)
            theirs = cv2.dnn.readNetFromCaffe(prototxt, weights)
    else:
        notes.append(f"OpenCV {cv2.__version__} reads no Caffe models any more, and gets the ONNX "
                     "file")
        theirs = cv2.dnn.readNetFromONNX(np.frombuffer(model, np.uint8))

    def run(picture: np.ndarray) -> np.ndarray:
        theirs.setInput(picture)
        return theirs.forward()
    return run


def _onnxruntime(model: bytes, threads: int) -> Run:
    import onnxruntime
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda picture: session.run(None, {name: picture})[0]


def _openvino(model: bytes, threads: int) -> Run:
    import openvino
    core = openvino.Core()
    compiled = core.compile_model(core.read_model(model), "CPU", {
        "INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": "f32",
        "PERFORMANCE_HINT": "LATENCY"})
    return lambda picture: compiled(picture)[compiled.output(0)]

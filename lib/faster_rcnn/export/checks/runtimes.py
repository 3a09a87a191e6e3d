"""An exported detector in the programs that run it: ONNX Runtime and OpenVINO, on the CPU."""
import importlib.util
import json
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import onnx

from caffe.core.errors import InputError


class Detected(NamedTuple):
    """Detections of an image: boxes (D, 4), scores (D,), float32; labels (D,) int64."""

    boxes: np.ndarray
    scores: np.ndarray
    labels: np.ndarray


Detect = Callable[..., Detected]


def onnx_runtime(path: str, threads: int = 0) -> Detect:
    """A function of the model's inputs in their order. threads: 0, as ONNX Runtime chooses."""
    import onnxruntime
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    names = [entry.name for entry in session.get_inputs()]
    return lambda *inputs: Detected(*session.run(None, dict(zip(names, inputs))))


def openvino(path: str, threads: int = 0) -> Detect:
    """As `onnx_runtime`; computes in float32 on processors that have a faster bfloat16 as well."""
    import openvino as ov
    options: dict[str, Any] = {"INFERENCE_PRECISION_HINT": "f32"}
    if threads:
        options["INFERENCE_NUM_THREADS"] = threads
    compiled = ov.Core().compile_model(path, "CPU", options)

    def detect(*inputs: np.ndarray) -> Detected:
        found = compiled(list(inputs))
        return Detected(*(np.array(found[i]) for i in range(3)))
    return detect


RUNTIMES: dict[str, Callable[[str, int], Detect]] = {"onnxruntime": onnx_runtime,
                                                     "openvino": openvino}


def installed() -> list[str]:
    """The names in RUNTIMES that can be imported."""
    return [name for name in RUNTIMES if importlib.util.find_spec(name)]


def start(name: str, path: str, threads: int = 0) -> Detect:
    """The detector of a file in one of RUNTIMES; InputError where that is not installed."""
    if name not in installed():
        raise InputError(f"the package {name} is not installed (pip install {name})")
    return RUNTIMES[name](path, threads)


def described(path: str) -> dict[str, Any]:
    """What the metadata of a file say: classes, scale, thresholds; empty for other models."""
    model = onnx.load(path, load_external_data=False)
    return {entry.key: json.loads(entry.value) for entry in model.metadata_props
            if entry.value[:1] in '[{"0123456789tf-'}


def by_class(detected: Detected, num_classes: int) -> list[np.ndarray]:
    """Detections as select_detections gives them: a list over classes of (n, 5), best first."""
    rows = np.concatenate([detected.boxes, detected.scores[:, None]], 1, dtype=np.float32)
    return [rows[detected.labels == k] for k in range(num_classes)]


def flat(of_classes: Sequence[np.ndarray]) -> Detected:
    """The other way: the detections of all classes, best first."""
    labels = np.concatenate([np.full(len(dets), k) for k, dets in enumerate(of_classes)])
    rows = np.concatenate([np.reshape(dets, (-1, 5)) for dets in of_classes])
    order = np.argsort(-rows[:, 4], kind="stable")
    return Detected(rows[order, :4], rows[order, 4], labels[order].astype(np.int64))

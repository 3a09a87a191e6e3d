"""How a solver judges a test net: by its outputs' means, or by average precision (eval_type).

Caffe: Solver::Test; SSD: Solver::TestDetection and ComputeAP in bbox_util.cpp.
"""
import logging

import numpy as np

from caffe.core.errors import CaffeError, suggest
from caffe.nets.net import Net
from caffe.proto.caffe_pb2 import SolverParameter
from caffe.solvers.reports import log_outputs

log = logging.getLogger("caffe")
_EPSILON = 1e-6     # SSD: smaller steps of recall do not count


def test_net(net: Net, passes: int, p: SolverParameter) -> dict[str, np.ndarray]:
    """{output name: array} of a net's outputs over some forward passes, logged and returned.

    eval_type "classification": means of the outputs; "detection": the mean average precision of
    each output, a DetectionEvaluate's top.
    """
    judge = _KINDS.get(p.eval_type)
    if judge is None:
        raise CaffeError(f'solver: unknown eval_type "{p.eval_type}"{suggest(p.eval_type, _KINDS)};'
                         f" known: {', '.join(_KINDS)}")
    loss, results = judge(net, passes, p)
    if p.test_compute_loss:
        log.info("Test loss: %.6g", loss / passes)
    log_outputs("Test", net, results)
    return results


def _means(net: Net, passes: int, p: SolverParameter) -> tuple[float, dict[str, np.ndarray]]:
    sums: dict[str, np.ndarray] = {}
    loss = 0.0
    for _ in range(passes):
        loss += float(net.run_forward(record=False))
        for name in net.outputs:
            sums[name] = sums.get(name, np.zeros(())) + net.blobs[name].data.astype(np.float64)
    return loss, {name: total / passes for name, total in sums.items()}


def _precisions(net: Net, passes: int, p: SolverParameter) -> tuple[float, dict[str, np.ndarray]]:
    rows: dict[str, list[np.ndarray]] = {name: [] for name in net.outputs}
    loss = 0.0
    for _ in range(passes):
        loss += float(net.run_forward(record=False))
        for name in net.outputs:
            data = net.blobs[name].data
            if data.ndim != 4 or data.shape[3] != 5:
                raise CaffeError(f'solver: eval_type "detection" needs outputs of shape (1, 1, n, '
                                 f'5), as DetectionEvaluate gives them; "{name}" has {data.shape}')
            rows[name].append(data.reshape(-1, 5).copy())
    means = {}
    for name, parts in rows.items():
        precisions = average_precisions(np.concatenate(parts), p.ap_version)
        if p.show_per_class_result:
            for label, precision in precisions.items():
                log.info("class%d: %.6g", label, precision)
        means[name] = np.array(np.mean(list(precisions.values()) or [0.0]))
    return loss, means


_KINDS = {"classification": _means, "detection": _precisions}


def average_precisions(rows: np.ndarray, version: str) -> dict[int, float]:
    """{label: average precision} from the rows (n, 5) of DetectionEvaluate's tops.

    A class without detections has 0.
    """
    counts: dict[int, int] = {}
    for _, label, count, *_ in rows[rows[:, 0] == -1]:
        counts[int(label)] = counts.get(int(label), 0) + int(count)
    detections = rows[(rows[:, 0] != -1) & (rows[:, 3:] != 0).any(1)]
    precisions: dict[int, float] = {}
    for label, count in sorted(counts.items()):
        scores, right = detections[detections[:, 1] == label, 2:4].T
        precisions[label] = average_precision(scores, right, count, version)
    return precisions


def average_precision(scores: np.ndarray, right: np.ndarray, objects: int, version: str) -> float:
    """Of detections with these scores, which are right (1) or wrong (0), for so many objects."""
    if version not in _VERSIONS:
        raise CaffeError(f'solver: unknown ap_version "{version}"{suggest(version, _VERSIONS)}; '
                         f"known: {', '.join(_VERSIONS)}")
    if not len(scores) or not objects:
        return 0.0
    found = right[np.argsort(-scores, kind="stable")].cumsum()
    precision = (found / np.arange(1, len(found) + 1)).astype(np.float32)
    return float(_VERSIONS[version](precision, (found / objects).astype(np.float32)))


def _eleven_points(precision: np.ndarray, recall: np.ndarray) -> float:
    """VOC 2007: the mean, at eleven recalls, of the best precision that is reached there."""
    return sum(precision[recall >= j / 10].max(initial=0) for j in range(11)) / 11


def _integral_of_best(precision: np.ndarray, recall: np.ndarray) -> float:
    """VOC 2012: the area under the best precision at each recall or a higher one.

    As in SSD the step from one recall to the next counts with the precision at its beginning.
    """
    best = np.maximum.accumulate(precision[::-1])[::-1]
    return _integral(np.concatenate([best[:1], best[:-1]]), recall)


def _integral(precision: np.ndarray, recall: np.ndarray) -> float:
    steps = np.diff(recall, prepend=np.float32(0))
    return (precision * np.where(steps > _EPSILON, steps, 0)).sum()


_VERSIONS = {"Integral": _integral, "MaxIntegral": _integral_of_best, "11point": _eleven_points}

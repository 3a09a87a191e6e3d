"""Whether an exported detector finds what the net finds, over a data set."""
import contextlib
import io
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from faster_rcnn.export.checks.runtimes import Detected, by_class
from faster_rcnn.images.naming import naming_image
from faster_rcnn.images.reading import read_image

# What counts as the same detection
BOX_LIMIT, SCORE_LIMIT = 0.01, 1e-4


@dataclass
class Agreement:
    """How the detections of one program compare with those of the net.

    unlike: detections of either side without a partner of the same class whose corners differ by
    less than BOX_LIMIT pixels and whose score differs by less than SCORE_LIMIT; box, score: largest
    differences between partners; seconds: per image, without reading it; cpu_seconds: what the
    processor worked for each image, all threads together
    """

    name: str
    detections: int = 0
    unlike: int = 0
    box: float = 0.0
    score: float = 0.0
    seconds: float = 0.0
    cpu_seconds: list[float] = field(default_factory=list, repr=False)
    mean_ap: float = float("nan")
    found: list[list[np.ndarray]] = field(default_factory=list, repr=False)


def compare(ours: Callable[..., Detected], others: Mapping[str, Callable[..., Detected]], imdb: Any,
            images: int = 0, proposals: Sequence[np.ndarray] | None = None) -> list[Agreement]:
    """Agreements of the net (the first) and of the others, by images of a data set.

    ours, others: functions of an image (h, w, 3), BGR, and of its proposals (R, 4) float32 if
    given; images: how many, 0: all of them, which alone give mean average precisions.
    """
    count = min(images, imdb.num_images) if images else imdb.num_images
    programs = {"net": ours, **others}
    results = [Agreement(name) for name in programs]
    for i in range(count):
        path = imdb.image_path_at(i)
        with naming_image(path):
            im = read_image(path)
            given = [im] if proposals is None else [im, proposals[i]]
            found = [_timed(result, program, given)
                     for result, program in zip(results, programs.values())]
        for result, detected in zip(results, found):
            _count(result, found[0], detected, imdb.num_classes)
    for result in results:
        result.seconds /= max(count, 1)
        if count == imdb.num_images:
            result.mean_ap = mean_ap(result.found, imdb)
    return results


def _timed(result: Agreement, program: Callable[..., Detected], given: list) -> Detected:
    begin, cpu_begin = time.perf_counter(), time.process_time()
    detected = program(*given)
    result.cpu_seconds.append(time.process_time() - cpu_begin)
    result.seconds += time.perf_counter() - begin
    return detected


def _count(result: Agreement, ours: Detected, theirs: Detected, num_classes: int) -> None:
    """Adds the detections of one image."""
    result.detections += len(theirs.labels)
    result.found.append(by_class(theirs, num_classes))
    for k in np.unique(np.concatenate([ours.labels, theirs.labels])):
        pairs = [np.concatenate([found.boxes, found.scores[:, None]], 1)[found.labels == k]
                 for found in (ours, theirs)]
        unlike, box, score = matched(*pairs)
        result.unlike += unlike
        result.box, result.score = max(result.box, box), max(result.score, score)


def matched(ours: np.ndarray, theirs: np.ndarray) -> tuple[int, float, float]:
    """Detections (N, 5) and (M, 5) of one class in pairs: those without a partner, and the largest
    difference of a coordinate and of a score among the pairs."""
    if not len(ours) or not len(theirs):
        return len(ours) + len(theirs), 0.0, 0.0
    differences = np.abs(ours[:, None] - theirs[None])
    boxes, scores = differences[..., :4].max(2), differences[..., 4]
    like = (boxes < BOX_LIMIT) & (scores < SCORE_LIMIT)
    pairs, free = [], np.ones(len(theirs), bool)
    for i in range(len(ours)):
        candidates = np.flatnonzero(like[i] & free)
        if len(candidates):
            j = candidates[boxes[i, candidates].argmin()]
            free[j] = False
            pairs.append((i, j))
    rows = tuple(np.array(pairs, int).reshape(-1, 2).T)
    unlike = len(ours) + len(theirs) - 2 * len(pairs)
    return unlike, float(boxes[rows].max(initial=0)), float(scores[rows].max(initial=0))


def mean_ap(found: Sequence[Sequence[np.ndarray]], imdb: Any) -> float:
    """The data set's mean average precision of found[image][class]; NaN without annotations."""
    all_boxes: list[list] = [[[] for _ in found]]
    all_boxes += [[of_image[k] for of_image in found] for k in range(1, imdb.num_classes)]
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        metrics = imdb.evaluate_detections(all_boxes, folder)
    return float("nan") if metrics is None else metrics["mean_ap"]


def table(results: Sequence[Agreement]) -> str:
    """The Agreements as a table of Markdown."""
    lines = ["| program | detections | unmatched | box, pixels | score | mean AP | "
             "s per image |", "|---|---|---|---|---|---|---|"]
    lines += [f"| {r.name} | {r.detections} | {r.unlike} | {r.box:.2g} | {r.score:.2g} | "
              f"{r.mean_ap:.4f} | {r.seconds:.3f} |" for r in results]
    return "\n".join(lines)

"""The demo: every shot is detected in and written, broken ones are named and passed over."""
import logging
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from caffe.core.errors import UserError
from caffe.core.prefetch import Prefetcher
from faster_rcnn.datasets.proposal_files import as_boxes, matlab_boxes
from faster_rcnn.demo.drawings import DrawnOutput
from faster_rcnn.demo.results import OUTPUTS, Output, unwritable
from faster_rcnn.demo.shots import Shot, shots_of
from faster_rcnn.demo.sources import Source, SourceError
from faster_rcnn.detection.inputs import NetInput
from faster_rcnn.detection.passes import windows
from faster_rcnn.detectors.box import Box
from faster_rcnn.detectors.detector import Detector
from faster_rcnn.files.read_ahead import read_ahead
from faster_rcnn.files.reading import file_fault

log = logging.getLogger(__name__)

# Frames of a video between those that are logged, unless the whole log is wanted
FRAMES_PER_LINE = 100
# Rois (R, 4) of a picture by its path, for nets without an RPN
Rois = Callable[[str], np.ndarray]


@dataclass(frozen=True)
class Demo:
    """What is written, and where."""

    folder: str
    kinds: Sequence[str] = ("json",)    # of results.OUTPUTS
    draws: bool = True                  # pictures and videos with the boxes
    most_frames: int = 0                # of each video or camera; 0: all of them
    given_boxes: bool = False           # Fast R-CNN: rois in a .mat file beside each picture


def run_demo(detector: Detector, sources: Sequence[Source], demo: Demo) -> list[Shot]:
    """Detects in all sources, writes what the Demo says; returns the shots passed over."""
    if demo.given_boxes:
        check_boxes(sources)
    try:
        os.makedirs(demo.folder, exist_ok=True)
    except OSError as error:
        raise unwritable(demo.folder, error) from None
    outputs = [OUTPUTS[kind](demo.folder, detector.classes) for kind in demo.kinds]
    if demo.draws:
        outputs.append(DrawnOutput(demo.folder, detector))
    return write_all(detector, shots_of(sources, demo.most_frames), outputs,
                     boxes_beside if demo.given_boxes else None)


def boxes_path(picture: str) -> str:
    """The file with the proposals for a picture."""
    return os.path.splitext(picture)[0] + "_boxes.mat"


def boxes_beside(picture: str) -> np.ndarray:
    """The proposals (N, 4) in the file <picture>_boxes.mat."""
    path = boxes_path(picture)
    return as_boxes(matlab_boxes(path), path)


def check_boxes(sources: Sequence[Source]) -> None:
    """SourceError for the first source without proposals."""
    for source in sources:
        path = boxes_path(source.path)
        if fault := file_fault(path):
            raise SourceError(f"{path} {fault}; --boxes needs proposals for {source.path}")


def write_all(detector: Detector, shots: Iterator[Shot], outputs: Sequence[Output],
              rois: Rois | None = None) -> list[Shot]:
    """Detects in all shots and writes the outputs as it goes; returns the shots passed over.

    The files are finished whatever ends the loop, Ctrl-C included.
    """
    faults, boxes_found, count, start = [], 0, 0, time.time()
    try:
        for shot, boxes in detected(detector, shots, rois):
            if shot.fault:
                faults.append(shot)
                log.warning("passed over: %s", shot.fault)
                continue
            for output in outputs:
                output.add(shot, boxes)
            is_shown = not (shot.frame or 0) % FRAMES_PER_LINE
            log.log(logging.INFO if is_shown else logging.DEBUG, "%s", line_of(shot, boxes))
            count, boxes_found = count + 1, boxes_found + len(boxes)
    finally:
        written = [path for output in outputs for path in output.close()]
        log.info("%d boxes in %d pictures or frames, %.3f s each%s", boxes_found, count,
                 (time.time() - start) / max(count, 1),
                 f"; {len(faults)} passed over" if faults else "")
        for path in written:
            log.info("Wrote %s", path)
    return faults


def detected(detector: Detector, shots: Iterator[Shot],
             rois: Rois | None = None) -> Iterator[tuple[Shot, list[Box]]]:
    """(shot, its boxes), in order; the next shots are read while the net computes."""
    def prepared(shot: Shot) -> tuple[Shot, NetInput | None]:
        if shot.im is None:
            return shot, None
        try:
            return shot, detector.prepare(shot.im, rois(shot.source) if rois else None)
        except UserError as error:
            return replace(shot, im=None, fault=f"{shot.source}: {error}"), None

    inputs = read_ahead(prepared, Prefetcher(shots, 2))     # one thread reads, one scales
    for window in windows(inputs, detector.window):
        boxes = iter(detector.detect([given for _, given in window if given is not None]))
        for shot, given in window:
            yield shot, [] if given is None else next(boxes)


def line_of(shot: Shot, boxes: Sequence[Box]) -> str:
    """One line about a shot: its boxes by class, with the best score."""
    where = shot.source if shot.frame is None else f"{shot.source} frame {shot.frame}"
    if shot.orientation != 1:
        where += f" (turned upright: EXIF orientation {shot.orientation})"
    counts = Counter(box.name for box in boxes)
    best = {box.name: box.score for box in reversed(boxes)}
    found = ", ".join(f"{number} {name} ({best[name]:.2f})" for name, number in counts.items())
    return f"{where}: {found or 'nothing'}"

"""`Detector`: finds objects in pictures, from a file of weights that knows itself.

    from faster_rcnn import Detector

    detector = Detector("output/.../final.caffemodel")
    for box in detector("photo.jpg"):
        print(box.name, box.score, box.x1, box.y1, box.x2, box.y2)
"""
import copy
import functools
import itertools
import os
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, overload

import numpy as np

import caffe
from caffe.core.errors import InputError
from caffe.core.precision import PRECISIONS, computing_in
from caffe.core.state import computing_on
from faster_rcnn.detection.detect import detect_together, num_scores
from faster_rcnn.detection.filled import require_filled
from faster_rcnn.detection.inputs import NetInput
from faster_rcnn.detection.options import TestOptions
from faster_rcnn.detection.passes import of_equal_shape, window_size, windows
from faster_rcnn.detection.refinement import select_detections
from faster_rcnn.detectors.arguments import checked_count, checked_device, checked_share
from faster_rcnn.detectors.box import Box, boxes_of, by_class
from faster_rcnn.detectors.description import Description, DescriptionError
from faster_rcnn.detectors.description_files import description_path
from faster_rcnn.detectors.finding import Found, find_weights, opened
from faster_rcnn.detectors.pictures import (
    Picture,
    PictureError,
    as_bgr,
    frames,
    is_video,
)
from faster_rcnn.files.read_ahead import read_ahead
from faster_rcnn.images.naming import naming_image
from faster_rcnn.reports.visualize import draw_detections
from faster_rcnn.runs.devices import use_one_thread
from faster_rcnn.settings.checks import check_settings
from faster_rcnn.settings.config import cfg, cfg_override

# cfg is global: one detector at a time is built from it
_building = threading.Lock()
# Pictures that are looked at together, where nobody says: on the CPU, on a GPU
BATCH_ON_CPU, BATCH_ON_GPU = 1, 8


class Detector:
    """A trained detector.

    path:          weights (.caffemodel) with their description, a folder with them, or an archive
    device:        "auto" (a GPU if PyTorch can use one, else the CPU), "cpu", the number of a GPU,
                   or PyTorch's name of it ("cuda", "cuda:1")
    precision:     "float32" or "bf16" (if the device has it); None: that of the description
    threshold:     smallest score of a box, 0 to 1; None: that of the description
    nms:           a box is dropped if its overlap with a better one of its class is >= nms;
                   None: that of the description
    max_per_image: largest number of boxes of a picture, over all classes; 0: all of them
    batch:         largest number of pictures of one size in one pass [1, on a GPU 8]
    description:   a Description to use instead of the one beside the weights; path is then the
                   file of the weights
    allow_random:  run the net even if the weights lack some of its layers

    Files and PIL images are turned upright by their EXIF orientation, and boxes are in pixels of
    the upright picture. The results are those of tools/test_net.py with the same settings. Each
    Detector has its own settings: later changes of `cfg` do not affect it. Threads may share a
    Detector (it computes their pictures one after the other), and several Detectors may work at
    once. But while one is being made, no other thread should change `cfg` or make nets. A copied
    or pickled Detector is made anew from the same files. In a forked process a Detector computes
    with one thread.

    Raises FileNotFoundError, DescriptionError, WeightsError, DeviceError.
    """

    def __init__(self, path: str | os.PathLike, device: str | int = "auto",
                 precision: str | None = None, threshold: float | None = None, *,
                 nms: float | None = None, max_per_image: int = 0, batch: int | None = None,
                 description: Description | None = None, allow_random: bool = False) -> None:
        if description is not None and not isinstance(description, Description):
            raise InputError(f"description must be a Description, not a "
                             f"{type(description).__name__}")
        self.device = checked_device(device)
        usual = BATCH_ON_CPU if self.device == "cpu" else BATCH_ON_GPU
        self._batch = usual if batch is None else checked_count("batch", batch, 1)
        self._max_per_image = checked_count("max_per_image", max_per_image, 0)
        self._process, self._lock = os.getpid(), threading.Lock()
        self._again = functools.partial(
            Detector, os.path.abspath(path), self.device, precision, threshold, nms=nms,
            max_per_image=max_per_image, batch=batch, description=description,
            allow_random=allow_random)
        with _found(os.fspath(path), description) as found:
            self.description = found.description or _undescribed(found.weights)
            changes = {} if nms is None else {"NMS": nms}
            self._net, self._options = _built(self.description, found.weights, self.device,
                                              _precise(changes, precision), allow_random)
        self.threshold = (self.description.threshold if threshold is None
                          else checked_share("threshold", threshold))

    def __repr__(self) -> str:
        return f"<Detector of {', '.join(self.classes)} on {self.device}>"

    def __reduce__(self) -> tuple:
        """A copy, also in another process, is made from the same files."""
        return self._again, ()

    @property
    def precision(self) -> str:
        """"float32" or "bf16": what the net multiplies in."""
        return self._net.precision

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes, without the background."""
        return self.description.classes

    @overload
    def __call__(self, pictures: Picture, boxes: np.ndarray | None = None) -> list[Box]: ...

    @overload
    def __call__(self, pictures: Sequence[Picture],
                 boxes: Sequence[np.ndarray] | None = None) -> list[list[Box]]: ...

    def __call__(self, pictures: Any, boxes: Any = None) -> Any:
        """The boxes in a picture: a list of Box, best first. A list of pictures gives a list of
        lists; a video file, or an iterator of pictures, gives an iterator over such lists.

        A picture is a path, an array (H, W, 3) uint8 in BGR order, or a PIL image.
        boxes: for a net without an RPN, (R, 4) rois in pixels, or a list of them for a list.
        """
        if is_video(pictures):
            return self.each(frames(os.fspath(pictures)))
        if isinstance(pictures, Iterator):
            return self.each(pictures, boxes)
        if isinstance(pictures, (list, tuple)):
            return list(self.each(pictures, boxes))
        return self.detect([self.prepare(pictures, boxes)])[0]

    def each(self, pictures: Iterable[Picture],
             boxes: Iterable[np.ndarray] | None = None) -> Iterator[list[Box]]:
        """Yields a list of boxes for each picture, for any number of pictures.

        The next pictures are read and scaled while the net computes.
        """
        rois = itertools.repeat(None) if boxes is None else boxes
        inputs = read_ahead(lambda pair: self.prepare(*pair), zip(pictures, rois))
        for window in windows(inputs, self.window):
            yield from self.detect(window)

    def draw(self, picture: Picture, boxes: Sequence[Box] | None = None) -> np.ndarray:
        """A picture with its boxes, (H, W, 3) uint8, BGR; small pictures are enlarged.

        boxes: those to draw; None: the boxes that the detector finds.
        """
        im = as_bgr(picture)
        found = self(im) if boxes is None else boxes
        if not all(isinstance(box, Box) for box in found):
            raise InputError("boxes must be those of one picture, a list of Box")
        return draw_detections(im, dict(by_class(found)), 0, self.classes)

    def prepare(self, picture: Picture, boxes: np.ndarray | None = None) -> NetInput:
        """A picture, read and scaled, for `detect`; its attribute `im` holds it as it was read."""
        self._require_own_threads()
        with naming_image(str(picture) if isinstance(picture, (str, os.PathLike)) else ""):
            if boxes is None and not self._options.has_rpn:
                raise PictureError("this net makes no proposals of its own, so it needs boxes")
            return NetInput(as_bgr(picture), boxes, self._options)

    @property
    def window(self) -> int:
        """How many pictures `detect` should get at once, so that batches are filled."""
        return window_size(self._batch if self._options.has_rpn else 1)

    def detect(self, inputs: Sequence[NetInput]) -> list[list[Box]]:
        """A list of boxes for each prepared picture; pictures of equal size share a pass."""
        found: list[list[Box]] = [[] for _ in inputs]
        size = self._batch if self._options.has_rpn else 1
        for part in of_equal_shape([one.blobs["data"].shape for one in inputs], size):
            for index, boxes in zip(part, self._pass([inputs[i] for i in part])):
                found[index] = boxes
        return found

    def _require_own_threads(self) -> None:
        """In a process that was forked from the one that made the detector: what threads share
        is made anew."""
        if self._process != os.getpid():
            use_one_thread()
            self._process, self._lock = os.getpid(), threading.Lock()

    def _pass(self, inputs: Sequence[NetInput]) -> list[list[Box]]:
        with self._lock:
            detected = detect_together(self._net, inputs, self._options)
        # all boxes take part in NMS and voting, which lower scores and move boxes
        return [boxes_of(select_detections(scores, boxes, -np.inf, self._options.nms,
                                           self._max_per_image, self._options.refinement),
                         self.description.all_classes, self.threshold)
                for scores, boxes in detected]


def _found(path: str, description: Description | None) -> AbstractContextManager[Found]:
    """The weights, with the description given, or with their own."""
    if description is None:
        return opened(path)
    return nullcontext(Found(find_weights(path), description))


def _undescribed(weights: str) -> Description:
    raise DescriptionError(f"{weights} has no description ({description_path(weights)} is not "
                           "there); tools/describe.py makes one")


def _precise(test: dict[str, Any], precision: str | None) -> dict[str, Any]:
    """Changes of cfg.TEST, with those for a precision."""
    if precision is None:
        return test
    if precision not in PRECISIONS:
        raise InputError(f'precision "{precision}" is unknown; there are: {", ".join(PRECISIONS)}')
    return {**test, "PRECISION": precision}


def _built(description: Description, weights: str, device: str | int,
           changes: Mapping[str, Any], allow_random: bool) -> tuple[caffe.Net, TestOptions]:
    """The net of a description on a device, and its options. changes: of settings in cfg.TEST."""
    settings = copy.deepcopy(dict(description.settings))
    settings["TEST"] = {**settings.get("TEST", {}), **changes}
    net = description.net_message(f"the net that is described with {weights}")
    with _building, cfg_override(**settings), computing_on(device):
        check_settings(cfg)
        with computing_in(cfg.TEST.PRECISION):
            built = caffe.Net(net, caffe.TEST, weights=weights)
        require_filled(built, weights, allow_random)
        options = TestOptions.from_cfg()
        _require_classes(built, options, description, weights)
        return built, options


def _require_classes(net: caffe.Net, options: TestOptions, description: Description,
                     weights: str) -> None:
    """DescriptionError unless the net has a score for each class."""
    scores = num_scores(net, options)
    if scores != len(description.all_classes):
        raise DescriptionError(
            f"{description_path(weights)}: classes: {len(description.classes)} names, but the net "
            f"has scores for {scores - 1} classes and the background")

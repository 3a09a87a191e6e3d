"""What the page asks for: the objects in a picture, or in the frames of a video, as JSON values."""
import math
import time
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import cv2
import numpy as np

from faster_rcnn.images.orientation import read_upright
from faster_rcnn.images.reading import ImageError, image_orientation, image_size
from faster_rcnn.serving.limits import Limits
from faster_rcnn.serving.uploads import UploadError, require_size


class FoundBox(Protocol):
    """A box of a detector, in inclusive pixels of the picture (detectors.box.Box)."""

    @property
    def name(self) -> str:
        """The class."""

    @property
    def score(self) -> float:
        """From 0 to 1."""

    @property
    def corners(self) -> tuple[float, float, float, float]:
        """(x1, y1, x2, y2)."""


class Finds(Protocol):
    """What the page needs of a detector (detectors.detector.Detector)."""

    @property
    def classes(self) -> Sequence[str]:
        """The names of the classes, without the background."""

    def __call__(self, pictures: np.ndarray) -> Sequence[FoundBox]:
        """The boxes in a picture (H, W, 3) uint8, BGR."""


def of_picture(detector: Finds, path: str, limits: Limits) -> dict[str, Any]:
    """{"width", "height", "turned", "seconds", "detections"} of a picture file.

    turned: whether it was set upright as the camera's note says; a browser follows notes that are
    not followed here, and must be told. seconds: of detection. Raises UploadError.
    """
    require_size(path, limits.picture_bytes)
    try:
        width, height = image_size(path)
        _require_pixels(width, height, limits)
        im = read_upright(path)
    except ImageError:      # its message has the path of the temporary file
        raise UploadError("the file is no picture that can be decoded, and no MP4, QuickTime, "
                          "WebM, Matroska or AVI video", 415) from None
    begin = time.perf_counter()
    found = as_json(detector(im))
    return {"width": im.shape[1], "height": im.shape[0], "turned": image_orientation(path) != 1,
            "seconds": round(time.perf_counter() - begin, 3), "detections": found}


def as_json(boxes: Sequence[FoundBox]) -> list[dict[str, Any]]:
    """Boxes in the form of the demo's detections.json, best first."""
    return [{"class": box.name, "score": round(float(box.score), 4),
             "box": [round(float(value), 1) for value in box.corners]} for box in boxes]


def of_video(detector: Finds, path: str, limits: Limits) -> Iterator[dict[str, Any]]:
    """First {"width", "height", "every", "frames_per_second"}, then {"frame", "seconds",
    "detections"} of every `every`-th frame, and at last {"stopped": why}, "" at the end.

    seconds: of the frame in the video. Raises UploadError, before the first value.
    """
    require_size(path, limits.video_bytes)
    video = cv2.VideoCapture(path, cv2.CAP_FFMPEG)
    try:
        width, height, rate = (video.get(key) for key in (
            cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT, cv2.CAP_PROP_FPS))
        _require_pixels(width, height, limits)
        shown, frame = video.read()
        if not shown:
            raise UploadError("the video cannot be decoded", 415)
        rate = rate if math.isfinite(rate) and 0 < rate <= 1000 else 25.0
        every = frames_between(video.get(cv2.CAP_PROP_FRAME_COUNT), rate, limits)
        yield {"width": frame.shape[1], "height": frame.shape[0], "every": every,
               "frames_per_second": round(rate, 3)}
        yield from _frames(detector, video, frame, (every, rate), limits)
    finally:
        video.release()


def frames_between(count: float, rate: float, limits: Limits) -> int:
    """Every how many frames one is looked at; count: of all, 0 or less where it is not known."""
    by_rate = math.ceil(rate / limits.frames_per_second)
    by_count = math.ceil(count / limits.frames) if math.isfinite(count) else 1
    return max(1, by_rate, by_count)


def _frames(detector: Finds, video: Any, frame: np.ndarray, steps: tuple[int, float],
            limits: Limits) -> Iterator[dict[str, Any]]:
    """The answers from the first frame on; steps: as frames_between gives, frames per second."""
    every, rate = steps
    deadline = time.monotonic() + limits.video_seconds
    for number in range(limits.frames):
        yield {"frame": number * every, "seconds": round(number * every / rate, 3),
               "detections": as_json(detector(frame))}
        if time.monotonic() > deadline:
            yield {"stopped": f"looked at the video for {limits.video_seconds:g} s, the limit"}
            return
        shown = all(video.grab() for _ in range(every - 1))
        if shown:
            shown, frame = video.read()
        if not shown:
            yield {"stopped": ""}
            return
    yield {"stopped": f"looked at {limits.frames} frames, the limit"}


def _require_pixels(width: float, height: float, limits: Limits) -> None:
    if not width * height <= limits.pixels:
        raise UploadError(f"{width:.0f} x {height:.0f} pixels are more than the limit of "
                          f"{limits.pixels / 1e6:g} megapixels", 413)

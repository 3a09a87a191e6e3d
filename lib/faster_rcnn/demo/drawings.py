"""Pictures and videos with the boxes drawn."""
import os
from collections.abc import Sequence

import cv2
import numpy as np

from faster_rcnn.demo.shots import Shot
from faster_rcnn.detectors.box import Box
from faster_rcnn.detectors.detector import Detector
from faster_rcnn.detectors.pictures import require_text
from faster_rcnn.reports.visualize import write_image


class DrawnOutput:
    """NAME_detections.jpg of a picture, NAME_detections.mp4 of a video."""

    def __init__(self, folder: str, detector: Detector) -> None:
        self._folder, self._detector = folder, detector
        self._video: cv2.VideoWriter | None = None
        self._video_path, self._size = "", (0, 0)
        self._count, self._videos = 0, list[str]()

    def add(self, shot: Shot, boxes: Sequence[Box]) -> None:
        """Writes a picture, or a frame into the video of its source."""
        if shot.im is None:
            raise ValueError(f"{shot.source} was not read")
        drawn = self._detector.draw(shot.im, boxes)
        if shot.frame is None:
            write_image(os.path.join(self._folder, shot.name + "_detections.jpg"), drawn)
            self._count += 1
        else:
            self._add_frame(shot, drawn)

    def close(self) -> list[str]:
        """Finishes the last video; returns the paths of videos, and the folder of pictures."""
        self._finish()
        pictures = [f"{self._folder}{os.sep}*_detections.jpg"] if self._count else []
        return pictures + self._videos

    def _add_frame(self, shot: Shot, drawn: np.ndarray) -> None:
        path = os.path.join(self._folder, shot.name + "_detections.mp4")
        if path != self._video_path:
            self._finish()
            require_text(path)
            self._video_path, self._size = path, (drawn.shape[1], drawn.shape[0])
            self._video = cv2.VideoWriter(path, cv2.VideoWriter.fourcc(*"mp4v"), shot.rate,
                                          self._size)
            if not self._video.isOpened():
                raise OSError(f"{path}: OpenCV cannot write the video (--no-pictures leaves it "
                              "out)")
            self._videos.append(path)
        if self._video is not None:
            if (drawn.shape[1], drawn.shape[0]) != self._size:
                drawn = cv2.resize(drawn, self._size)
            self._video.write(drawn)

    def _finish(self) -> None:
        if self._video is not None:
            self._video.release()
        self._video, self._video_path = None, ""

"""A detector that finds one box in every picture, and one more in bright ones."""
import contextlib
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import cv2
import numpy as np
from werkzeug.serving import BaseWSGIServer

from faster_rcnn.detectors.box import Box
from faster_rcnn.serving.server import open_server


class ScriptedDetector:
    """Finds the left half as the first class (0.9); in pictures brighter than 128 the right half as
    the second one (0.3). `seen`: shapes of the pictures.
    """

    def __init__(self, classes: Sequence[str] = ("cat", "dog")) -> None:
        self.classes = tuple(classes)
        self.seen: list[tuple[int, ...]] = []

    def __call__(self, pictures: np.ndarray) -> list[Box]:
        self.seen.append(pictures.shape)
        height, width = pictures.shape[:2]
        found = [Box(self.classes[0], 0.9, 0, 0, width / 2 - 1, height - 1, 1)]
        if pictures.mean() > 128:
            found.append(Box(self.classes[1], 0.3, width / 2, 0, width - 1, height - 1, 2))
        return found


def png(height: int = 40, width: int = 60, value: int = 90) -> bytes:
    """A grey picture as a file."""
    return cv2.imencode(".png", np.full((height, width, 3), value, np.uint8))[1].tobytes()


@contextlib.contextmanager
def running(detector: ScriptedDetector, **options: Any) -> Iterator[BaseWSGIServer]:
    """A server of the page on a free port; options: of App."""
    with open_server(detector, "127.0.0.1", 0, **options) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join(10)

"""Pictures and frames, one after the other, each read or with the reason why it was not."""
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from caffe.core.errors import UserError
from faster_rcnn.demo.sources import Source, SourceError
from faster_rcnn.detectors.pictures import require_video
from faster_rcnn.images.orientation import turned
from faster_rcnn.images.reading import image_orientation, read_image
from faster_rcnn.reports.names import distinct_names


@dataclass(frozen=True)
class Shot:
    """A picture or a frame.

    source: path, or camera:0; name: for results, without suffix, no two sources alike; im:
    (H, W, 3) uint8, BGR, upright, None where it could not be read; fault: why; frame, seconds:
    of a video, from 0; rate: its frames per second; orientation: EXIF's, which was undone.
    """

    source: str
    name: str
    im: np.ndarray | None
    fault: str = ""
    frame: int | None = None
    seconds: float = 0.0
    rate: float = 0.0
    orientation: int = 1


def shots_of(sources: Sequence[Source], most_frames: int = 0) -> Iterator[Shot]:
    """The shots of all sources. most_frames: of each video or camera; 0: all of them."""
    names = distinct_names([source.path.replace(":", "_") if source.camera is not None
                            else source.path for source in sources])
    for source, name in zip(sources, names):
        if source.is_moving:
            yield from _frames(source, name, most_frames)
        else:
            yield _picture(source.path, name)


def _picture(path: str, name: str) -> Shot:
    try:
        orientation = image_orientation(path)
        return Shot(path, name, turned(read_image(path), orientation), orientation=orientation)
    except (UserError, OSError) as error:
        return Shot(path, name, None, str(error))


def _frames(source: Source, name: str, most: int) -> Iterator[Shot]:
    if source.camera is None:
        require_video(source.path)
    video = cv2.VideoCapture(source.path if source.camera is None else source.camera)
    try:
        rate = video.get(cv2.CAP_PROP_FPS) or 25.0
        index = 0
        while not most or index < most:
            is_there, im = video.read()
            if not is_there:
                break
            seconds = max(video.get(cv2.CAP_PROP_POS_MSEC) / 1000, 0.0)
            yield Shot(source.path, name, im, frame=index, seconds=seconds, rate=rate)
            index += 1
        if not index and source.camera is not None:
            raise SourceError(f"{source.path} gives no pictures; is a camera there?")
        if not index:
            yield Shot(source.path, name, None, f"video {source.path} cannot be decoded")
    finally:
        video.release()

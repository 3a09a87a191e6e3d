"""What a detector looks at: files, arrays, PIL's images and videos, as BGR arrays."""
import os
from collections.abc import Iterator
from typing import Any, TypeAlias

import cv2
import numpy as np
from PIL import Image, ImageOps

from caffe.core.errors import UserError
from faster_rcnn.files.reading import require_file
from faster_rcnn.images.orientation import read_upright

Picture: TypeAlias = str | os.PathLike | np.ndarray | Image.Image
VIDEOS = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg", ".wmv")


class PictureError(UserError, ValueError):
    """Something that is no picture or video."""


def as_bgr(picture: Picture) -> np.ndarray:
    """A picture as (H, W, 3) uint8, BGR.

    Files and PIL's images are turned upright (EXIF). Arrays are uint8: (H, W, 3) BGR, (H, W, 4)
    with opacity, which is ignored, or (H, W) grey. Raises PictureError, ImageError.
    """
    if isinstance(picture, (str, os.PathLike)):
        return read_upright(os.fspath(picture))
    if isinstance(picture, Image.Image):
        rgb = np.asarray(ImageOps.exif_transpose(picture).convert("RGB"))
        return np.ascontiguousarray(rgb[:, :, ::-1])
    if not isinstance(picture, np.ndarray):
        raise PictureError("a picture must be a path, an array or a PIL image, not "
                           f"{type(picture).__name__}")
    return _checked(picture)


def _checked(array: np.ndarray) -> np.ndarray:
    is_grey = array.ndim == 2 or array.ndim == 3 and array.shape[2] == 1
    is_colour = array.ndim == 3 and array.shape[2] in (3, 4)
    if array.dtype != np.uint8 or not (is_grey or is_colour) or not array.size:
        raise PictureError("a picture as an array must be (H, W, 3) uint8 in BGR order, not "
                           f"{array.shape} {array.dtype}")
    if is_grey:
        return np.repeat(array.reshape(*array.shape[:2], 1), 3, axis=2)
    return np.ascontiguousarray(array[:, :, :3])


def is_video(picture: Any) -> bool:
    """Whether this is the path of a video, by its name."""
    return (isinstance(picture, (str, os.PathLike))
            and os.fspath(picture).lower().endswith(VIDEOS))


def frames(path: str) -> Iterator[np.ndarray]:
    """The frames of a video file, (H, W, 3) uint8, BGR, as it is shown. Raises PictureError."""
    require_file(path, max_bytes=1 << 50)
    video = cv2.VideoCapture(path)
    try:
        shown, frame = video.read()
        if not shown:
            raise PictureError(f"video {path} cannot be decoded")
        while shown:
            yield frame
            shown, frame = video.read()
    finally:
        video.release()

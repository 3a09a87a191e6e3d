"""What a detector looks at: files, arrays, PIL's images and videos, as BGR arrays."""
import os
import re
from collections.abc import Iterator
from typing import Any, TypeAlias

import cv2
import numpy as np
from PIL import Image, ImageOps

from caffe.core.errors import UserError
from faster_rcnn.files.naming import is_text
from faster_rcnn.files.reading import require_file
from faster_rcnn.images.orientation import read_upright

Picture: TypeAlias = str | os.PathLike | np.ndarray | Image.Image
VIDEOS = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg", ".wmv")
MAX_VIDEO_BYTES = 1 << 50
ADDRESS = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)


class PictureError(UserError, ValueError):
    """Something that is no picture or video."""


def as_bgr(picture: Picture) -> np.ndarray:
    """A picture as (H, W, 3) uint8, BGR.

    Files and PIL's images are turned upright (EXIF). Arrays are uint8: (H, W, 3) BGR, (H, W, 4)
    with opacity, which is ignored, or (H, W) grey. Raises PictureError, ImageError.
    """
    if isinstance(picture, (str, os.PathLike)):
        return _read(os.fspath(picture))
    if isinstance(picture, Image.Image):
        return _of_pil(ImageOps.exif_transpose(picture))
    if not isinstance(picture, np.ndarray):
        raise PictureError("a picture must be a path, an array or a PIL image, and several of them "
                           f"a list or an iterator; not {type(picture).__name__}")
    return _checked(picture)


def _read(path: str) -> np.ndarray:
    """The picture in a file; PictureError for paths of something else."""
    if os.path.isdir(path):
        raise PictureError(f"{path} is a folder; give a list of its pictures, such as "
                           "sorted(glob.glob(folder + '/*.jpg'))")
    if ADDRESS.match(path):
        raise PictureError(f"{path} is an address; download it and give the path of the file")
    if is_video(path):
        raise PictureError(f"{path} is a video; give it by itself, not in a list")
    return read_upright(path)


def _of_pil(image: Image.Image) -> np.ndarray:
    """PIL's image as BGR; PictureError where its numbers are no shades from 0 to 255."""
    if image.mode == "F" or image.mode.startswith("I"):
        lowest, highest = image.getextrema()
        if not 0 <= lowest <= highest <= 255 or (image.mode == "F" and 0 < highest <= 1):
            raise PictureError(f"a PIL image of mode {image.mode} must hold shades from 0 to 255; "
                               f"this one's are from {lowest:g} to {highest:g}")
    try:
        rgb = image.convert("RGB")
    except ValueError as error:
        raise PictureError(f"a PIL image of mode {image.mode} cannot be used ({error})") from None
    return np.ascontiguousarray(np.asarray(rgb)[:, :, ::-1])


def _checked(array: np.ndarray) -> np.ndarray:
    is_grey = array.ndim == 2 or array.ndim == 3 and array.shape[2] == 1
    is_colour = array.ndim == 3 and array.shape[2] in (3, 4)
    if array.dtype != np.uint8 or not (is_grey or is_colour) or not array.size:
        several = "; give several pictures as a list" if array.ndim == 4 else ""
        raise PictureError("a picture as an array must be (H, W, 3) uint8 in BGR order, not "
                           f"{array.shape} {array.dtype}{several}")
    if is_grey:
        return np.repeat(array.reshape(*array.shape[:2], 1), 3, axis=2)
    return np.ascontiguousarray(array[:, :, :3])


def is_video(picture: Any) -> bool:
    """Whether this is the path of a video, by its name."""
    return (isinstance(picture, (str, os.PathLike))
            and os.fspath(picture).lower().endswith(VIDEOS))


def require_text(path: str) -> None:
    """PictureError for the path of a video that is no text in UTF-8: OpenCV crashes on it."""
    if not is_text(path):
        raise PictureError(f"{path!r}: the name is no text in UTF-8; rename the file or folder")


def require_video(path: str) -> None:
    """FileError or PictureError unless OpenCV may be asked to open the path of a video."""
    require_file(path, max_bytes=MAX_VIDEO_BYTES)
    require_text(path)


def frames(path: str) -> Iterator[np.ndarray]:
    """The frames of a video file, (H, W, 3) uint8, BGR, as it is shown.

    Raises as require_video at once, and PictureError with the first frame.
    """
    require_video(path)
    return _decoded(path)


def _decoded(path: str) -> Iterator[np.ndarray]:
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

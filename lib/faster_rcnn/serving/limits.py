"""What a request may cost."""
from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Bytes, pixels, frames and seconds that a request may take at most.

    picture_bytes, video_bytes: of the file. pixels: of a picture or frame. frames,
    frames_per_second: of a video that are looked at, in all and per second of the video.
    upload_seconds: for sending the file. video_seconds: of work on a video. turn_seconds: to wait
    for the requests before; waiting: requests that may wait.
    """

    picture_bytes: int = 32 << 20
    video_bytes: int = 256 << 20
    pixels: int = 40_000_000
    frames: int = 240
    frames_per_second: int = 4
    upload_seconds: float = 120
    video_seconds: float = 180
    turn_seconds: float = 60
    waiting: int = 8

"""Whether an image file is whole. What its decoder gets from it decides, not its last bytes.

Files with data behind their end are whole, and so is a JPEG that only lacks its end mark. A file is
cut off when pixels are missing, also when a thumbnail inside of it has an end of its own. OpenCV
decodes such files to grey pixels without an error.
"""
import io
import re
from typing import BinaryIO

import cv2
import numpy as np
from PIL import Image

JPEG = ("JPEG", "MPO")
JPEG_END, _START_OF_SCAN = b"\xff\xd9", 0xda
# In the data of a scan 0xff is followed by 0 or by the number of a restart; this is something else
_MARKER = re.compile(rb"\xff([^\x00\xff\xd0-\xd7])", re.DOTALL)
_LEGAL_BETWEEN_SCANS = {*range(0xc0, 0xd0), *range(0xda, 0xe0), *range(0xe0, 0xf0), 0xfe, 0x01}
_PNG_END = b"IEND"
_TAIL = 1 << 16
# Side, in half the size, of the pixels that are coded together at most in usual files
_BLOCK = 8
# What a broken download leaves for the rest of a file: at least a block of the disk
_HOLE = bytes(4096)


def may_be_cut_off(path: str, size: int, form: str | None) -> bool:
    """Whether `whole_content` has to decide; False when the end of a file of `size` bytes is there.

    form: PIL's name of the format, or None.
    """
    if form not in (*JPEG, "PNG"):
        return True
    with open(path, "rb") as file:
        begin = _scan_of(file) if form in JPEG else 0
        if begin is None:
            return True
        file.seek(max(begin, size - _TAIL))
        return (JPEG_END if form in JPEG else _PNG_END) not in file.read()


def whole_content(content: bytes, form: str | None) -> bytes | None:
    """An image file's content as a decoder can be given it, None when pixels are missing.

    A JPEG or a PNG that only lacks its end gets one. form: PIL's name of the format; the content of
    other files is returned as it is.
    """
    if form in JPEG:
        unended = _unended_jpeg(content)
        if unended is None:
            return content
        return None if _lacks_rows(unended) else unended + JPEG_END
    if form is None or (form == "PNG" and _has_png_end(content)):
        return content
    try:
        with Image.open(io.BytesIO(content), formats=(form,)) as im:
            im.load()
            return _written_anew(im) if form == "PNG" else content
    except Exception as error:      # PIL's readers raise almost anything on damaged files
        return None if form == "PNG" or "truncated" in str(error).lower() else content


def _written_anew(im: Image.Image) -> bytes:
    """A PNG of an image whose file lacks its end: OpenCV reserves memory for what a chunk says,
    also when the file is shorter.
    """
    file = io.BytesIO()
    im.convert("RGB").save(file, "PNG")
    return file.getvalue()


def _scan_of(file: BinaryIO) -> int | None:
    """Where the data of the first scan begin in a JPEG; None when there are none."""
    place = 2
    while True:
        file.seek(place)
        head = file.read(4)
        if len(head) < 4 or head[0] != 0xff:
            return None
        if head[1] == 0xff:     # a fill byte
            place += 1
            continue
        place += 2 + int.from_bytes(head[2:], "big")
        if head[1] == _START_OF_SCAN:
            return place


def _unended_jpeg(content: bytes) -> bytes | None:
    """A JPEG up to what its decoder stops at, None when that is its end mark."""
    place = _scan_of(io.BytesIO(content))
    while place is not None and (found := _MARKER.search(content, place)):
        kind = found[1][0]
        if kind == JPEG_END[1]:
            return None
        if kind not in _LEGAL_BETWEEN_SCANS:
            return content[:found.start()]
        place = found.end() + int.from_bytes(content[found.end():found.end() + 2], "big")
    return content


def _has_png_end(content: bytes) -> bool:
    """Whether the chunks of a PNG lead to its last one."""
    place = 8
    while place + 12 <= len(content):
        if content[place + 4:place + 8] == _PNG_END:
            return True
        place += 12 + int.from_bytes(content[place:place + 4], "big")
    return False


def _lacks_rows(content: bytes) -> bool:
    """Whether a JPEG without an end mark lacks more than the last rows of its pixels.

    The last bytes of a whole image belong to its last blocks: without them only these differ.
    """
    if content.endswith(_HOLE):
        content = content.rstrip(b"\0")
    scan, whole = _last_scan_of(content), _decoded(content)
    if scan is None or whole is None:
        return True
    for count in range(1, min(64, len(content) - scan)):
        fewer = _decoded(content[:-count])
        if fewer is not None and (whole != fewer).any():
            # a byte codes two blocks at most; colours may reach into the block before
            return _first_change(whole, fewer) > 2 * count + 2
    return False


def _first_change(one: np.ndarray, other: np.ndarray) -> int:
    """How many blocks from the end, in rows of blocks, two images differ for the first time."""
    changed = (one != other).any(axis=2)
    rows, columns = (-(-length // _BLOCK) for length in changed.shape)
    changed = np.pad(changed, [(0, rows * _BLOCK - changed.shape[0]),
                               (0, columns * _BLOCK - changed.shape[1])])
    blocks = changed.reshape(rows, _BLOCK, columns, _BLOCK).any(axis=(1, 3))
    return blocks.size - int(blocks.ravel().argmax())


def _last_scan_of(content: bytes) -> int | None:
    """Where the data of the last scan begin in a JPEG; None when there are none."""
    scan = place = _scan_of(io.BytesIO(content))
    while place is not None and (found := _MARKER.search(content, place)):
        place = found.end() + int.from_bytes(content[found.end():found.end() + 2], "big")
        if found[1][0] == _START_OF_SCAN and place < len(content):
            scan = place
    return scan


def _decoded(content: bytes) -> np.ndarray | None:
    """A JPEG with an end mark added, in half its size, where colours need not be interpolated
    between rows; what is missing becomes grey.
    """
    return cv2.imdecode(np.frombuffer(content + JPEG_END, np.uint8),
                        cv2.IMREAD_REDUCED_COLOR_2 | cv2.IMREAD_IGNORE_ORIENTATION)

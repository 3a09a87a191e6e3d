"""Files of region proposals: for every image of a data set boxes (R, 4), x1, y1, x2, y2, from 0.

Three forms are told apart by the path:

    file.mat    MATLAB, a whole image set: the cell array `boxes` with a matrix per image, in the
                order of the image set (the selective search files of Fast R-CNN)
    folder      MATLAB, one file with a matrix `boxes` per image, named after the image's file and
                laid out as by Hosang et al., <first 14 letters>/<first 22>/<name>.mat, or flat
    file.pkl    a list with an array per image, from 0 (tools/rpn_generate.py)

Boxes in MATLAB files count from 1. Their columns are x1, y1, x2, y2 or, for some methods, y1, x1,
y2, x2.
"""
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import scipy.io

from caffe.core.errors import UserError
from faster_rcnn.boxes.rows import filter_small_boxes, unique_boxes, validate_boxes
from faster_rcnn.files import safe_pickle

ROWS_FIRST = (1, 0, 3, 2)


class ProposalError(UserError, ValueError):
    """Proposals that cannot be used; the message names the file and, where it can, the image."""


@dataclass(frozen=True)
class MatlabFormat:
    """How the boxes of MATLAB files are read."""

    rows_first: bool        # columns are y1, x1, y2, x2
    min_size: int           # boxes with a smaller side are dropped, see filter_small_boxes
    top_k: int              # of a folder's files only the first boxes are kept; <= 0: all


def read_proposals(path: str, image_names: Sequence[str],
                   options: MatlabFormat) -> list[np.ndarray]:
    """A list of float32 arrays (R, 4), one per image, read from a path of any of the three forms.

    image_names: names of the image files without extension, in order. Boxes of MATLAB files are
    made unique and freed of small ones, in the order of the file.
    Raises FileNotFoundError or ProposalError.
    """
    if os.path.isdir(path):
        limit = options.top_k if options.top_k > 0 else None
        return [_kept(_matrix(file), options, at_least_1=True)[:limit]
                for file in _files_of(path, image_names)]
    if not os.path.isfile(path):
        raise FileNotFoundError(f"the proposals {path} do not exist")
    is_matlab = path.endswith(".mat")
    matrices = _cells(path) if is_matlab else _pickled(path)
    if len(matrices) != len(image_names):
        raise ProposalError(f"{path} has proposals for {len(matrices)} images, the data set has "
                            f"{len(image_names)}; were they made from another image set?")
    matrices = [as_boxes(matrix, f"{path}, image {name}")
                for matrix, name in zip(matrices, image_names)]
    return [_kept(matrix, options) for matrix in matrices] if is_matlab else matrices


def check_inside(boxes: np.ndarray, size: tuple[int, int], origin: str) -> None:
    """ProposalError unless boxes (R, 4) lie in an image of `size` (width, height)."""
    try:
        validate_boxes(boxes, *size)
    except ValueError as error:
        raise ProposalError(f"{origin}: proposal {error}; do the proposals belong to these "
                            "images?") from None


def _kept(matrix: np.ndarray, options: MatlabFormat, at_least_1: bool = False) -> np.ndarray:
    """The boxes of a MATLAB matrix (R, 4) in our convention, without duplicates and small ones."""
    boxes = matrix[:, ROWS_FIRST] if options.rows_first else matrix
    boxes = boxes - 1
    if at_least_1:
        boxes = np.maximum(boxes, 0)    # as in py-faster-rcnn: coco.py
    boxes = boxes[unique_boxes(boxes)]
    return boxes[filter_small_boxes(boxes, options.min_size)]


def _files_of(folder: str, image_names: Sequence[str]) -> Iterator[str]:
    """The file of each image below a folder."""
    for name in image_names:
        places = (os.path.join(name[:14], name[:22], name + ".mat"), name + ".mat")
        found = [path for path in (os.path.join(folder, place) for place in places)
                 if os.path.isfile(path)]
        if not found:
            raise FileNotFoundError(f"the proposals of image {name} do not exist: neither "
                                    f"{' nor '.join(places)} is in {folder}")
        yield found[0]


def _matrix(path: str) -> np.ndarray:
    return as_boxes(matlab_boxes(path), path)


def _cells(path: str) -> list[np.ndarray]:
    """The matrices of a cell array, in order."""
    cells = matlab_boxes(path)
    if cells.dtype != object:
        raise ProposalError(f"{path}: boxes must be a cell array with a matrix per image; it is an "
                            f"array of shape {cells.shape}")
    return list(cells.ravel())


def matlab_boxes(path: str) -> np.ndarray:
    """The variable boxes of a MATLAB file; ProposalError when the file has none."""
    try:
        found = scipy.io.loadmat(path, variable_names=["boxes"])
    except NotImplementedError:
        raise ProposalError(f"{path} is of MATLAB 7.3; save it with -v7") from None
    except Exception as error:      # damaged bytes make the reader raise almost anything
        raise ProposalError(f"{path} is not a MATLAB file that can be read ({error})") from None
    if "boxes" not in found:
        raise ProposalError(f"{path} has no variable boxes")
    return found["boxes"]


def _pickled(path: str) -> Sequence:
    content = safe_pickle.load(path)
    if not isinstance(content, (list, tuple)):
        raise ProposalError(f"{path}: a list with an array of boxes per image was expected; it "
                            f"holds a {type(content).__name__}")
    return content


def as_boxes(array: object, origin: str) -> np.ndarray:
    """An array as boxes, float32 (R, 4); an empty array of any shape has no boxes."""
    array = np.asarray(array)
    if array.size == 0:
        return np.zeros((0, 4), np.float32)
    if array.dtype.kind not in "iuf" or array.ndim != 2 or array.shape[1] != 4:
        raise ProposalError(f"{origin}: a matrix of boxes, R x 4, was expected; found "
                            f"{array.dtype} of shape {array.shape}")
    return array.astype(np.float32)

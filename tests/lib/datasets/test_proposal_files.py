"""Proposals from MATLAB files, written by scipy, and from pickles."""
import os
import subprocess
import sys

import h5py
import numpy as np
import pytest
import scipy.io
from coco_folder import annotation, write_coco
from voc_folder import write_card, write_set

from faster_rcnn.datasets.factory import get_imdb
from faster_rcnn.datasets.proposal_files import ProposalError, MatlabFormat, read_proposals
from faster_rcnn.files import safe_pickle
from faster_rcnn.settings.config import cfg, cfg_override

LONG = "COCO_val2014_000000447991"
# x1, y1, x2, y2 from 1; the third equals the first, the fourth is one pixel; images are 100 x 80
BOXES = np.array([[2, 1, 30, 20], [41, 11, 60, 30], [2, 1, 30, 20], [5, 5, 5, 5], [1, 1, 100, 80]])
KEPT = [[1, 0, 29, 19], [40, 10, 59, 29], [0, 0, 99, 79]]
COLUMNS_FIRST, ROWS_FIRST = (MatlabFormat(first, 2, 0) for first in (False, True))


def rows_first(boxes):
    return boxes[:, (1, 0, 3, 2)]


def cells(matrices):
    array = np.empty((1, len(matrices)), object)
    array[0, :] = matrices
    return array


def write_mat(path, boxes):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    scipy.io.savemat(path, {"boxes": boxes})
    return str(path)


def data_set(tmp_path, names=("a", "b")):
    root = write_set(tmp_path / "set", {name: [("cat", (11, 11, 30, 30))] for name in names})
    return get_imdb(write_card(tmp_path, root) + ":trainval")


def lists(boxes):
    return [part.tolist() for part in boxes]


# ------------------------------------------------------------------------------------------ forms

@pytest.mark.parametrize("dtype", (np.uint16, np.float64))
def test_cell_array_of_a_whole_set(tmp_path, dtype):
    path = write_mat(tmp_path / "x.mat", cells([rows_first(BOXES).astype(dtype),
                                                np.zeros((0, 0), dtype)]))
    boxes = read_proposals(path, ["a", "b"], ROWS_FIRST)
    assert lists(boxes) == [KEPT, []]
    assert boxes[0].dtype == np.float32 and boxes[1].shape == (0, 4)


def test_folder_in_the_layout_of_hosang(tmp_path):
    write_mat(tmp_path / "COCO_val2014_0" / "COCO_val2014_000000447" / f"{LONG}.mat", BOXES)
    write_mat(tmp_path / "b.mat", np.vstack((BOXES[:1] - 1, BOXES[1:2])))
    boxes = read_proposals(str(tmp_path), [LONG, "b"], COLUMNS_FIRST)
    # 0 counts as 1 in these files
    assert lists(boxes) == [KEPT, [[0, 0, 28, 18], [40, 10, 59, 29]]]


def test_only_the_first_boxes_of_a_file_are_taken(tmp_path):
    write_mat(tmp_path / "a.mat", rows_first(BOXES))
    limited = MatlabFormat(True, 2, 2)
    assert lists(read_proposals(str(tmp_path), ["a"], limited)) == [KEPT[:2]]


def test_pickle_counts_from_0_and_keeps_all(tmp_path):
    path = str(tmp_path / "x.pkl")
    safe_pickle.dump([BOXES.astype(np.float32), np.zeros((0, 4), np.float32)], path)
    assert lists(read_proposals(path, ["a", "b"], ROWS_FIRST)) == [BOXES.tolist(), []]


# ----------------------------------------------------------------------------------------- errors

@pytest.mark.parametrize("content,words", (
    (b"no matlab", "not a MATLAB file"), (None, "save it with -v7"),
    ({"other": BOXES}, "no variable boxes"), ({"boxes": BOXES}, "must be a cell array"),
    ({"boxes": cells([BOXES] * 3)}, "proposals for 3 images, the data set has 2"),
    ({"boxes": cells([BOXES, BOXES[:, :3]])}, r"image b: a matrix of boxes, R x 4.*\(5, 3\)"),
    ({"boxes": cells([BOXES, np.array(["text"])])}, "image b: a matrix of boxes")))
def test_unusable_matlab_files(tmp_path, content, words):
    path = str(tmp_path / "x.mat")
    if content is None:
        with h5py.File(path, "w", userblock_size=512) as file:
            file["boxes"] = BOXES
        with open(path, "r+b") as file:
            file.write(b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM")
    elif isinstance(content, bytes):
        (tmp_path / "x.mat").write_bytes(content)
    else:
        scipy.io.savemat(path, content)
    with pytest.raises(ProposalError, match=f"x.mat.*{words}"):
        read_proposals(path, ["a", "b"], ROWS_FIRST)


def test_missing_files(tmp_path):
    with pytest.raises(FileNotFoundError, match="none.mat do not exist"):
        read_proposals(str(tmp_path / "none.mat"), ["a"], ROWS_FIRST)
    with pytest.raises(FileNotFoundError, match=f"proposals of image {LONG} do not exist: neither "
                                                f"COCO_val2014_0.*{LONG}.mat nor {LONG}.mat is in"):
        read_proposals(str(tmp_path), [LONG], ROWS_FIRST)


def test_pickle_of_something_else(tmp_path):
    path = str(tmp_path / "x.pkl")
    safe_pickle.dump({"boxes": 1}, path)
    with pytest.raises(ProposalError, match="holds a dict"):
        read_proposals(path, ["a"], ROWS_FIRST)


# -------------------------------------------------------------------------------------- data sets

@pytest.mark.parametrize("method,place,matrix", (
    ("selective_search", "selective_search_data/tiny_trainval.mat", cells([rows_first(BOXES)] * 2)),
    ("selective_search", "proposals/selective_search/mat", BOXES),
    ("edge_boxes", "proposals/edge_boxes_AR/mat", BOXES),
    ("mcg", "proposals/MCG/mat", rows_first(BOXES))))
def test_usual_places_and_column_orders(tmp_path, method, place, matrix):
    places = [place] if place.endswith(".mat") else [f"{place}/{name}.mat" for name in "ab"]
    for path in places:
        write_mat(tmp_path / path, matrix)
    imdb = data_set(tmp_path)
    with cfg_override(DATA_DIR=str(tmp_path)):
        imdb.set_proposal_method(method)
        for entry in imdb.roidb:
            assert entry["boxes"].tolist() == [[10, 10, 29, 29], *KEPT]
            assert entry["gt_classes"].tolist() == [1, 0, 0, 0]
            # of 400 and 580 pixels 200 are shared; of 8000 all 400
            column = entry["gt_overlaps"].toarray()[:, 1]
            assert column == pytest.approx([1, 200 / (400 + 580 - 200), 0, 400 / 8000])


def test_folders_of_coco(tmp_path):
    write_coco(tmp_path / "coco", [annotation(1, 1, 7, [0, 0, 10, 10])], "val2017", (1,))
    write_mat(tmp_path / "coco_proposals" / "edge_boxes_AR" / "mat" / "im1.mat", BOXES)
    with cfg_override(DATA_DIR=str(tmp_path)):
        imdb = get_imdb("coco_2017_val")
        imdb.set_proposal_method("edge_boxes")
        entry, = imdb.roidb
    assert entry["boxes"].tolist() == [[0, 0, 9, 9], *KEPT]


def test_a_path_of_its_own_with_the_name_of_the_set(tmp_path):
    imdb = data_set(tmp_path)
    write_mat(tmp_path / "from_tiny_trainval.mat", cells([BOXES[:, (1, 0, 3, 2)]] * 2))
    imdb.set_proposal_method("selective_search", str(tmp_path / "from_{imdb}.mat"))
    assert len(imdb.roidb[0]["boxes"]) == 4
    imdb.set_proposal_method("selective_search")
    with cfg_override(DATA_DIR=str(tmp_path)), \
            pytest.raises(FileNotFoundError, match="selective_search_data.*PROPOSAL_FILE"):
        assert imdb.roidb


def test_boxes_outside_of_their_image_are_named(tmp_path):
    imdb = data_set(tmp_path)
    path = write_mat(tmp_path / "x.mat", cells([rows_first(BOXES), [[1, 1, 81, 50]]]))
    imdb.set_proposal_method("selective_search", path)
    with pytest.raises(ProposalError, match=r"x\.mat, image .*b\.jpg: proposal box 1 .*49.*80.* "
                                            "does not lie in an image of 100 x 80 pixels"):
        assert imdb.roidb


# -------------------------------------------------------------------------------------- mcg_munge

def munge(folder, *args):
    script = os.path.join(cfg.ROOT_DIR, "lib", "datasets", "tools", "mcg_munge.py")
    return subprocess.run([sys.executable, script, *args], cwd=folder, capture_output=True,
                          text=True)


def test_mcg_files_move_to_where_they_are_read(tmp_path):
    write_mat(tmp_path / "MCG-COCO-val2014-boxes" / f"{LONG}.mat", rows_first(BOXES))
    done = munge(tmp_path, "MCG-COCO-val2014-boxes")
    assert done.returncode == 0 and done.stdout.startswith("MV: MCG-COCO-val2014-boxes/COCO_val")
    boxes = read_proposals(str(tmp_path / "MCG" / "mat"), [LONG], ROWS_FIRST)
    assert lists(boxes) == [KEPT]
    assert os.listdir(tmp_path / "MCG" / "mat") == ["COCO_val2014_0"]
    assert os.listdir(tmp_path / "MCG-COCO-val2014-boxes") == []


def test_mcg_munge_overwrites_nothing(tmp_path):
    assert munge(tmp_path).returncode == 1
    assert munge(tmp_path, "none").returncode == 2
    for _ in range(2):
        write_mat(tmp_path / "source" / f"{LONG}.mat", BOXES)
        done = munge(tmp_path, "source")
    assert done.returncode == 2 and "exists" in done.stderr and done.stderr.count("\n") == 1
    assert os.listdir(tmp_path / "source") == [f"{LONG}.mat"]

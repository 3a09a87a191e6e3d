"""files.matlab reads what scipy writes, as scipy reads it; damage never ends the process."""
import os
import random

import numpy as np
import pytest
import scipy.io

from faster_rcnn.files import matlab
from faster_rcnn.files.matlab import MatlabError, read_variable

RNG = np.random.default_rng(0)
NUMBERS = (RNG.normal(size=(7, 4)), RNG.integers(0, 200, (3, 4)).astype(np.uint16),
           np.zeros((0, 4)), np.float32([[1, 2]]), np.arange(24.0).reshape(2, 3, 4),
           np.int64([[-1 << 40]]), np.array([[True, False]]), np.int8([[1], [-1]]))


def cells(arrays, shape):
    made = np.empty(len(arrays), object)
    made[:] = arrays
    return made.reshape(shape)


def same(ours, theirs):
    assert ours.shape == theirs.shape and (ours.dtype == theirs.dtype)
    if ours.dtype == object:
        for one, other in zip(ours.ravel(), theirs.ravel()):
            same(one, other)
    else:
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("value", [*NUMBERS, cells(list(NUMBERS), (2, 4)),
                                   cells([cells([np.ones((2, 4))], (1, 1)), np.eye(2)], (1, 2))])
def test_variables_are_read_as_scipy_reads_them(tmp_path, value, packed):
    path = tmp_path / "a.mat"
    scipy.io.savemat(path, {"other": np.eye(3), "boxes": value, "text": "x"}, do_compression=packed)
    same(read_variable(path, "boxes"), scipy.io.loadmat(path)["boxes"])
    with pytest.raises(MatlabError, match=r"a\.mat has no variable box"):
        read_variable(path, "box")


def test_version_4(tmp_path):
    path = tmp_path / "a.mat"
    scipy.io.savemat(path, {"boxes": NUMBERS[0]}, format="4")
    np.testing.assert_array_equal(read_variable(path, "boxes"), NUMBERS[0])


@pytest.mark.parametrize("value", [np.array([[1 + 2j]]), "text", {"a": 1}, np.array([["a"]])])
def test_other_variables_are_refused(tmp_path, value):
    scipy.io.savemat(tmp_path / "a.mat", {"boxes": value})
    with pytest.raises(MatlabError, match="something else than real numbers"):
        read_variable(tmp_path / "a.mat", "boxes")


def test_nested_cells_have_a_limit(tmp_path):
    value = np.ones((1, 1))
    for _ in range(9):
        value = cells([value], (1, 1))
    scipy.io.savemat(tmp_path / "a.mat", {"boxes": value})
    with pytest.raises(MatlabError, match="cells are nested more than 8 deep"):
        read_variable(tmp_path / "a.mat", "boxes")


def test_what_a_variable_unpacks_to_has_a_limit(tmp_path, monkeypatch):
    path = tmp_path / "a.mat"
    scipy.io.savemat(path, {"boxes": np.zeros((100_000, 4))}, do_compression=True)
    assert os.path.getsize(path) < 20_000 and read_variable(path, "boxes").shape == (100_000, 4)
    monkeypatch.setattr(matlab, "MAX_BYTES", 3_000_000)
    with pytest.raises(MatlabError, match="it unpacks to more than 3000000 bytes"):
        read_variable(path, "boxes")


def test_every_changed_byte_is_survived(tmp_path):
    """scipy's reader dies of such files (a type of 0)."""
    path = tmp_path / "a.mat"
    scipy.io.savemat(path, {"boxes": cells([np.float32([[1, 2, 3, 4]])] * 2, (1, 2))})
    content, rng, refused = path.read_bytes(), random.Random(0), 0
    for place in range(120, len(content)):
        changed = bytearray(content)
        changed[place] = rng.choice((0, 1, 0xff, changed[place] ^ 0x80))
        path.write_bytes(changed)
        try:
            assert isinstance(read_variable(path, "boxes"), np.ndarray)
        except MatlabError as error:
            assert "a.mat" in str(error)
            refused += 1
    assert refused > 50

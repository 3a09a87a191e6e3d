"""pack.py: cases go into the file of their family unchanged, others stay."""
import io
import pathlib
import subprocess
import sys
import zipfile

import golden
import numpy as np
import pytest

PACK = pathlib.Path(__file__).with_name("pack.py")
CASES = {"plain": {"meta": np.array('{"note": "text"}'), "in_x": np.arange(6.0).reshape(2, 3)},
         "odd": {"meta": np.array("{}"), "file.a/b": np.frombuffer(b"\0\1", np.uint8),
                 "none": np.zeros((0, 4), np.float32), "nan": np.array([np.nan, -0.0], np.float16),
                 "fortran": np.asfortranarray(np.arange(6).reshape(2, 3)), "text": np.array(b"x")}}


def pack(folder):
    return subprocess.run([sys.executable, str(PACK), str(folder)], capture_output=True, text=True)


@pytest.fixture
def family(tmp_path, monkeypatch):
    """The folder of a family's single cases."""
    monkeypatch.setattr(golden, "ROOT", tmp_path)
    folder = tmp_path / "program" / "family"
    folder.mkdir(parents=True)
    return folder


def save(folder, name):
    np.savez_compressed(folder / f"{name}.npz", **CASES[name])


def test_packed_cases_are_the_same_numbers(family):
    for name in CASES:
        save(family, name)
    assert pack(family).returncode == 0
    assert golden.families("program") == ["program/family"]
    assert golden.cases("program/family") == ["program/family/odd", "program/family/plain"]
    for name, arrays in CASES.items():
        read = golden.read_arrays(f"program/family/{name}")
        assert list(read) == list(arrays)
        for key, array in arrays.items():
            assert (read[key].dtype, read[key].shape) == (array.dtype, array.shape)
            assert read[key].tobytes() == array.tobytes()
            assert read[key].flags.f_contiguous == array.flags.f_contiguous
    meta, arrays = golden.read_case("program/family/plain")
    assert meta == {"note": "text"} and list(arrays) == ["in_x"]


def test_a_case_is_added_and_the_others_stay(family):
    save(family, "plain")
    pack(family)
    first = (family.parent / "family.zip").read_bytes()
    assert "0 added, 1 replaced, 0 kept" in pack(family).stdout
    assert (family.parent / "family.zip").read_bytes() == first
    (family / "plain.npz").unlink()
    save(family, "odd")
    assert "1 added, 0 replaced, 1 kept" in pack(family).stdout
    assert sorted(path.name for path in family.parent.iterdir()) == ["family", "family.zip"]
    with zipfile.ZipFile(family.parent / "family.zip") as file:
        plain = np.load(io.BytesIO(file.read("plain.npz")))
    assert plain["in_x"].tolist() == [[0, 1, 2], [3, 4, 5]]


def test_unpacked_files_are_the_packed_ones(family, tmp_path):
    (family / "cfg.yml").write_text("RNG_SEED: 3\n")
    assert pack(family).returncode == 0
    golden.unpack("program/family", tmp_path / "out")
    assert (tmp_path / "out" / "cfg.yml").read_text() == "RNG_SEED: 3\n"


@pytest.mark.parametrize("content, message", [(None, "no files to pack"), (b"x", "not an .npz")])
def test_what_cannot_be_packed_changes_nothing(family, content, message):
    save(family, "plain")
    pack(family)
    before = (family.parent / "family.zip").read_bytes()
    (family / "plain.npz").unlink()
    if content:
        (family / "broken.npz").write_bytes(content)
    result = pack(family)
    assert result.returncode == 2 and message in result.stderr
    assert "Traceback" not in result.stderr
    assert (family.parent / "family.zip").read_bytes() == before


def test_a_pickled_array_is_refused(family):
    np.savez(family / "pickled.npz", x=np.array([{}], object))
    pack(family)
    with pytest.raises(ValueError, match="allow_pickle=False"):
        golden.read_arrays("program/family/pickled")

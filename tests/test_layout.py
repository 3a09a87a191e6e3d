"""The tests lie where their room lies: tests/caffe/<room>, tests/lib/<room>."""
from pathlib import Path

import pytest
from sources import ORIGINAL, ROOT, sources

TESTS = ROOT / "tests"
# Packages without a folder of their own, and the tests that run them
ELSEWHERE = {
    "caffe/proto": "caffe/files/test_prototxt.py",
    "lib/synthetic": "tools/test_make_shapes.py",
    "lib/networks/backbones": "lib/networks/test_catalogue.py",
    "lib/networks/methods": "lib/networks/test_catalogue.py",
}
# Folders of packages with the original's names: tests of the Python layers that they hold
LAYERS = ("lib/rpn", "lib/roi_data_layer", "lib/transform")


def rooms() -> list[str]:
    """The packages of the engine and of the detector, as folders of tests."""
    return sorted({name.replace(".", "/").replace("faster_rcnn/", "lib/")
                   for top in ("caffe", "faster_rcnn") for name, path in sources(top).items()
                   if path.name == "__init__.py" and "." in name})


def has_tests(folder: Path) -> bool:
    return any(folder.rglob("test_*.py"))


@pytest.mark.parametrize("room", rooms())
def test_a_room_has_tests(room):
    if room in ELSEWHERE:
        assert (TESTS / ELSEWHERE[room]).is_file() and not has_tests(TESTS / room)
    else:
        assert has_tests(TESTS / room), f"no tests in tests/{room}"


@pytest.mark.parametrize("side", ["caffe", "lib"])
def test_a_folder_of_tests_is_named_after_a_package(side):
    folders = {str(path.parent.relative_to(TESTS)) for path in (TESTS / side).rglob("test_*.py")}
    assert folders <= {side, *rooms(), *LAYERS}
    assert {folder.rpartition("/")[2] for folder in LAYERS} <= set(ORIGINAL)

"""The rooms of the detector form layers: a package imports only what its row here allows.

The order of the rows is the order of the rooms, from the bottom up, so the table can have no
circle. Imports inside functions count as well.
"""
import ast
from pathlib import Path

import pytest

LIB = Path(__file__).resolve().parents[1] / "lib"
# room of lib/faster_rcnn -> rooms that it may import; all rooms may import the engine (caffe)
ROOMS = {
    "files": (),
    "boxes": (),
    "settings": ("files",),
    "images": ("files", "boxes"),
    "anchors": ("files", "boxes", "settings", "images"),
    "annotations": ("files", "boxes", "images"),
    "evaluation": ("files", "boxes", "annotations"),
    "datasets": ("files", "boxes", "settings", "images", "annotations", "evaluation"),
    "reports": ("files", "boxes", "images", "annotations", "evaluation"),
    "synthetic": ("files", "settings", "datasets"),
    "runs": ("files", "settings"),
    "prototxts": ("files", "settings", "anchors"),
    "networks": ("files", "prototxts"),
    "minibatches": ("files", "boxes", "settings", "images"),
    "detection": ("files", "boxes", "settings", "images", "reports", "runs", "prototxts"),
    "training": ("files", "boxes", "settings", "images", "datasets", "runs", "prototxts",
                 "networks", "minibatches", "detection"),
    "schedules": ("files", "boxes", "settings", "images", "anchors", "datasets", "runs",
                  "prototxts", "networks", "minibatches", "detection", "training"),
    "pretrained": ("files", "boxes"),
    "commands": ("files", "settings", "datasets", "reports", "runs", "networks", "detection",
                 "training", "schedules"),
}
# Packages with the original's names: layers of prototxts, and one-line modules
ORIGINAL = ("datasets", "fast_rcnn", "nms", "roi_data_layer", "rpn", "transform", "utils")


def modules_imported(path: Path) -> set[str]:
    """Dotted names that a file imports; of `from a import b` both a and a.b."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module or "")
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return names


def rooms_imported(path: Path) -> set[str]:
    """The rooms of lib/faster_rcnn that a file imports from."""
    parts = [name.split(".") for name in modules_imported(path)]
    return {names[1] for names in parts if names[0] == "faster_rcnn" and len(names) > 1}


def test_the_table_names_every_room_and_only_rooms_below():
    assert set(ROOMS) == {path.parent.name for path in (LIB / "faster_rcnn").glob("*/__init__.py")}
    rooms = list(ROOMS)
    for number, (room, allowed) in enumerate(ROOMS.items()):
        assert set(allowed) <= set(rooms[:number]), f"{room} is below a room that it may import"


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_what_its_row_allows(room):
    for path in (LIB / "faster_rcnn" / room).rglob("*.py"):
        forbidden = rooms_imported(path) - {room, *ROOMS[room]}
        assert not forbidden, f"{path.relative_to(LIB)} imports {sorted(forbidden)}"


def test_no_room_imports_the_original_names():
    for path in (LIB / "faster_rcnn").rglob("*.py"):
        used = {name for name in modules_imported(path) if name.split(".")[0] in ORIGINAL}
        assert not used, f"{path.relative_to(LIB)} imports {sorted(used)}"


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_is_of_a_size_to_be_read(room):
    modules = [path for path in (LIB / "faster_rcnn" / room).glob("*.py*")
               if path.suffix in (".py", ".pyx") and path.name != "__init__.py"]
    assert 3 <= len(modules) <= 12, [path.name for path in modules]


def test_every_room_says_what_belongs_there():
    for room in ROOMS:
        init = LIB / "faster_rcnn" / room / "__init__.py"
        text = ast.get_docstring(ast.parse(init.read_text(encoding="utf-8")))
        assert "Belongs here:" in text and "May import:" in text, room

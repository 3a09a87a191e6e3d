"""The packages form layers: who may import whom, computed from the sources.

A table lists the packages (rooms) of the engine or of the detector from the ground up; a room may
import itself and the rooms named beside it, which stand further up in the table, so that there can
be no circle. Imports inside functions count as well.
"""
import ast
from pathlib import Path

import pytest
from sources import FOLDERS, ORIGINAL, ROOT, sources

# room of caffe -> rooms that it may import; "" is the package itself with pycaffe's modules
ENGINE = {
    "proto": (),
    "operators.plain": (),
    "operators": ("operators.plain",),
    "core": ("operators",),
    "files": ("proto", "core"),
    "layer_types.common": ("proto", "core"),
    "layer_types.values": ("proto", "core", "operators", "layer_types.common"),
    "layer_types.maps": ("proto", "core", "operators", "layer_types.common"),
    "layer_types.losses": ("proto", "core", "operators", "files", "layer_types.common"),
    "layer_types.inputs": ("proto", "core", "files", "layer_types.common"),
    "layer_types.regions": ("proto", "core", "operators", "files", "layer_types.common",
                            "layer_types.losses"),
    "layer_types": ("layer_types.values", "layer_types.maps", "layer_types.losses",
                    "layer_types.inputs", "layer_types.regions"),
    "runners": ("proto", "core", "layer_types.common"),
    "nets.plan": ("proto", "core", "operators", "layer_types.common", "layer_types.values",
                  "layer_types.maps", "runners"),
    "nets.passes": ("core", "layer_types.common", "runners", "nets.plan"),
    "nets": ("proto", "core", "files", "layer_types.common", "layer_types.inputs", "layer_types",
             "runners", "nets.plan", "nets.passes"),
    "solvers": ("proto", "core", "operators", "files", "nets"),
    "export.layers": ("proto", "core", "layer_types.maps", "runners"),
    "export": ("core", "files", "runners", "nets", "export.layers"),
    "export.source": ("proto", "core", "files", "layer_types.maps", "runners", "nets",
                      "export.layers", "export"),
    "tools": ("proto", "core", "files", "nets", "solvers"),
    "": ("proto", "core", "operators", "files", "layer_types.common", "runners", "nets", "solvers",
         "tools"),
}
# room of faster_rcnn -> rooms that it may import; all of them may import the engine
DETECTOR = {
    "forks": (),
    "files": (),
    "boxes": (),
    "settings": ("files",),
    "images": ("files", "boxes"),
    "anchors": ("files", "boxes", "settings", "images"),
    "annotations": ("files", "boxes", "images"),
    "annotations.tables": ("files", "boxes", "images", "annotations"),
    "evaluation": ("files", "boxes", "annotations"),
    "datasets.cards": ("files", "settings", "images", "annotations"),
    "datasets.samples": ("files", "images", "annotations", "annotations.tables",
                         "datasets.cards"),
    "folders": ("files", "images", "annotations", "annotations.tables", "datasets.cards",
                "datasets.samples"),
    "datasets": ("files", "boxes", "settings", "images", "annotations", "evaluation",
                 "datasets.cards", "datasets.samples", "folders"),
    "reports.html": ("files", "boxes", "images", "evaluation"),
    "reports": ("files", "boxes", "images", "annotations", "evaluation", "reports.html"),
    "synthetic": ("files", "settings", "datasets"),
    "runs": ("files", "settings"),
    "networks.backbones": ("anchors",),
    "networks.methods": ("networks.backbones",),
    "networks": ("files", "anchors", "networks.backbones", "networks.methods"),
    "prototxts": ("files", "settings", "anchors", "networks"),
    "minibatches": ("files", "boxes", "settings", "images", "anchors", "reports", "runs"),
    "detection": ("files", "boxes", "settings", "images", "reports", "runs", "prototxts"),
    "export": ("files", "settings", "images", "anchors", "prototxts", "detection"),
    "export.checks": ("images", "detection", "export"),
    "export.pytorch": ("files", "anchors", "detection", "export"),
    "detectors": ("files", "boxes", "settings", "images", "anchors", "datasets", "reports", "runs",
                  "networks", "prototxts", "detection"),
    "demo": ("files", "boxes", "images", "datasets", "reports", "detection", "detectors"),
    "training": ("files", "boxes", "settings", "images", "datasets", "runs", "prototxts",
                 "networks", "minibatches", "detection", "detectors"),
    "schedules": ("files", "boxes", "settings", "images", "anchors", "datasets", "runs",
                  "prototxts", "networks", "minibatches", "detection", "detectors", "training"),
    "own_data": ("files", "boxes", "settings", "images", "anchors", "annotations",
                 "datasets.cards", "datasets.samples", "folders", "datasets", "reports",
                 "training"),
    "pretrained.reading": ("files",),
    "pretrained.classifiers": ("pretrained.reading",),
    "pretrained.detectors": ("boxes", "anchors", "networks.backbones", "networks.methods",
                             "pretrained.reading", "pretrained.classifiers"),
    "pretrained.from_onnx": ("files", "pretrained.reading"),
    "pretrained": ("files", "networks", "pretrained.reading", "pretrained.classifiers",
                   "pretrained.detectors"),
    "serving": ("files", "images", "reports.html"),
    "commands": ("files", "settings", "annotations", "datasets.cards", "datasets", "folders",
                 "reports.html", "reports", "runs", "networks.backbones", "networks", "prototxts",
                 "detection", "detectors", "training", "schedules", "own_data", "pretrained"),
    "commands.exports": ("files", "settings", "images", "datasets", "detection", "detectors",
                         "export", "export.checks", "export.pytorch", "commands"),
    "program": ("files", "boxes", "settings", "images", "anchors", "annotations", "evaluation",
                "datasets", "datasets.cards", "folders", "reports.html", "reports", "runs",
                "networks", "prototxts", "minibatches", "detection", "detectors", "demo", "export",
                "export.checks", "export.pytorch", "synthetic", "training", "schedules",
                "pretrained", "own_data", "serving", "commands", "commands.exports"),
    "": ("detectors", "program"),
}
TABLES = {"caffe": ENGINE, "faster_rcnn": DETECTOR}
# The engine knows no detector, and no room of the detector the original's names.
STRANGERS = {"caffe": ("faster_rcnn", *ORIGINAL), "faster_rcnn": ORIGINAL}
ROOMS = [(top, room) for top, table in TABLES.items() for room in table]


def modules_imported(name: str, path: Path) -> list[tuple[int, str]]:
    """(line, dotted name) of a module's imports; of `from a import b` it is a.b."""
    package = name.split(".") if path.name == "__init__.py" else name.split(".")[:-1]
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[:len(package) - node.level + 1] if node.level else []
            base = ".".join([*base, *([node.module] if node.module else [])])
            found += [(node.lineno, f"{base}.{alias.name}") for alias in node.names]
    return found


def room_of(top: str, name: str) -> str:
    """The room that holds a module, a package or a name in one."""
    room = name.removeprefix(top).removeprefix(".")
    while room and room not in TABLES[top]:
        room = room.rpartition(".")[0]
    return room


def packages(top: str) -> set[str]:
    """The rooms that there are."""
    return {name.removeprefix(top).removeprefix(".") for name, path in sources(top).items()
            if path.name == "__init__.py"}


@pytest.mark.parametrize("top", TABLES)
def test_the_table_names_every_room_and_only_rooms_before_it(top):
    assert set(TABLES[top]) == packages(top)
    rooms = list(TABLES[top])
    for number, (room, allowed) in enumerate(TABLES[top].items()):
        assert set(allowed) <= set(rooms[:number]), f"{room} is below a room that it may import"


@pytest.mark.parametrize("top, room", ROOMS)
def test_a_room_imports_what_its_row_allows(top, room):
    known = {room, *TABLES[top][room]}
    for name, path in sources(top).items():
        if room_of(top, name) != room:
            continue
        for line, imported in modules_imported(name, path):
            where = f"{path.relative_to(ROOT)}:{line} imports {imported}"
            assert imported.split(".")[0] not in STRANGERS[top], where
            if imported.split(".")[0] == top:
                assert room_of(top, imported) in known, where


@pytest.mark.parametrize("top, room", [pair for pair in ROOMS
                                       if pair not in (("caffe", ""), ("caffe", "proto"),
                                                       ("faster_rcnn", ""))])
def test_a_room_is_of_a_size_to_be_read(top, room):
    folder = FOLDERS[top].joinpath(top, *room.split("."))
    members = [path.stem for path in folder.iterdir()
               if path.suffix in (".py", ".pyx") and path.name != "__init__.py"
               or (path / "__init__.py").exists()]
    assert 3 <= len(members) <= 12, members


@pytest.mark.parametrize("top, room", [pair for pair in ROOMS if pair[1]])
def test_a_room_says_what_belongs_there(top, room):
    init = FOLDERS[top].joinpath(top, *room.split("."), "__init__.py")
    text = ast.get_docstring(ast.parse(init.read_text(encoding="utf-8")))
    assert "Belongs here:" in text and "May import:" in " ".join(text.split()), room


@pytest.mark.parametrize("top", TABLES)
def test_no_module_is_long(top):
    for name, path in sources(top).items():
        if not name.endswith("_pb2"):
            length = len(path.read_text(encoding="utf-8").splitlines())
            assert length <= 300, f"{name} has {length} lines"


def test_every_form_of_import_is_seen(tmp_path):
    path = tmp_path / "b.py"
    path.write_text("import a.c\nfrom a import c, d as e\nfrom . import c as x\n\n\ndef f():\n"
                    "    from .c import y\n    import os, a.b\n")
    assert sorted(modules_imported("a.b", path)) == [
        (1, "a.c"), (2, "a.c"), (2, "a.d"), (3, "a.c"), (7, "a.c.y"), (8, "a.b"), (8, "os")]

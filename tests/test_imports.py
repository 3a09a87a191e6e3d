"""The packages form layers: who may import whom, computed from the sources.

A package may import itself and what is named beside it. An edge to a package further down in the
table is an upward arrow, hence there are no circles either. Imports inside functions count; a
module without a package of its own in the table belongs to the nearest one above it.
"""
import ast
import pathlib

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[1]

# (package, what it may import), from the ground up
ENGINE = [
    ("caffe.proto", ()),
    ("caffe.core", ()),
    ("caffe.operators", ()),
    ("caffe.files", ("caffe.core", "caffe.proto")),
    ("caffe.layer_types.common", ("caffe.core", "caffe.proto")),
    ("caffe.layer_types.values",
     ("caffe.core", "caffe.proto", "caffe.operators", "caffe.layer_types.common")),
    ("caffe.layer_types.maps",
     ("caffe.core", "caffe.proto", "caffe.operators", "caffe.layer_types.common")),
    ("caffe.layer_types.losses",
     ("caffe.core", "caffe.proto", "caffe.files", "caffe.operators", "caffe.layer_types.common")),
    ("caffe.layer_types.inputs",
     ("caffe.core", "caffe.proto", "caffe.files", "caffe.layer_types.common")),
    ("caffe.layer_types.regions",
     ("caffe.core", "caffe.proto", "caffe.operators", "caffe.layer_types.common",
      "caffe.layer_types.losses")),
    ("caffe.layer_types", ("caffe.layer_types.*",)),
    ("caffe.runners", ("caffe.core", "caffe.proto", "caffe.layer_types.common")),
    ("caffe.nets",
     ("caffe.core", "caffe.proto", "caffe.files", "caffe.layer_types", "caffe.layer_types.*",
      "caffe.runners")),
    ("caffe.solvers",
     ("caffe.core", "caffe.proto", "caffe.files", "caffe.operators", "caffe.nets")),
    ("caffe.export", ("caffe.core", "caffe.layer_types.maps", "caffe.runners")),
    ("caffe.tools",
     ("caffe.core", "caffe.proto", "caffe.files", "caffe.nets", "caffe.solvers")),
    ("caffe", ("caffe.*",)),
]
# the folder that holds the top package -> its table
TABLES = {"caffe-fast-rcnn/python": ENGINE}
# Packages with a size of their own: generated code, and what has its name from Caffe.
ANY_SIZE = {"caffe.proto"}


def modules_of(folder, table):
    """{module name: path} of all modules of a table's packages."""
    found = {}
    for top in {package.split(".")[0] for package, _ in table}:
        for path in sorted((ROOT / folder / top).rglob("*.py")):
            parts = path.relative_to(ROOT / folder).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imported(name, path, modules):
    """(line, module) of every import of one of the modules, wherever it is written."""
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            wanted = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            parts = package.split(".")[:len(package.split(".")) - node.level + 1]
            base = ".".join([*parts, *filter(None, [node.module])]) if node.level else node.module
            names = [f"{base}.{alias.name}" for alias in node.names]
            wanted = [name if name in modules else base for name in names]
        else:
            continue
        yield from ((node.lineno, module) for module in wanted if module in modules)


def package_of(module, packages):
    """The nearest package of the table that holds a module (or that it is)."""
    while module not in packages:
        module = module.rpartition(".")[0]
    return module


def allows(allowed, package):
    return any(package == name or (name.endswith(".*") and package.startswith(name[:-1]))
               for name in allowed)


def problems(folder, table):
    """A line for every import that the table forbids."""
    modules, packages = modules_of(folder, table), [package for package, _ in table]
    for name, path in modules.items():
        own = package_of(name, packages)
        for line, module in imported(name, path, modules):
            other = package_of(module, packages)
            if other != own and not allows(dict(table)[own], other):
                yield (f"{path.relative_to(ROOT)}:{line}: {own} imports {module}, "
                       f"but may only import {', '.join(dict(table)[own]) or 'nothing'}")


@pytest.mark.parametrize("folder", TABLES)
def test_modules_import_only_what_their_package_may(folder):
    assert list(problems(folder, TABLES[folder])) == []


@pytest.mark.parametrize("folder", TABLES)
def test_no_arrow_points_upwards(folder):
    """With it there is no circle: every allowed package stands earlier in the table."""
    packages = [package for package, _ in TABLES[folder]]
    for i, (package, allowed) in enumerate(TABLES[folder]):
        later = [other for other in packages[i + 1:] if allows(allowed, other)]
        assert not later, f"{package} may import {later}, which stand above it"
        assert all(name.endswith(".*") or name in packages[:i] for name in allowed), package


@pytest.mark.parametrize("folder", TABLES)
def test_every_package_is_in_the_table_and_says_what_it_is(folder):
    modules, packages = modules_of(folder, TABLES[folder]), dict(TABLES[folder])
    for name, path in modules.items():
        if path.name == "__init__.py":
            assert name in packages, f"{name} is missing in the table"
            assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))), name


@pytest.mark.parametrize("folder", TABLES)
def test_packages_are_neither_crowded_nor_empty(folder):
    """3 to 12 members each, modules and packages; no module of more than 300 lines."""
    modules = modules_of(folder, TABLES[folder])
    for package, _ in TABLES[folder]:
        members = [name for name in modules if name.rpartition(".")[0] == package
                   and not name.endswith(".__main__")]
        if package not in ANY_SIZE and "." in package:
            assert 3 <= len(members) <= 12, f"{package} has {len(members)}: {members}"
    for name, path in modules.items():
        if not name.endswith("_pb2"):
            length = len(path.read_text(encoding="utf-8").splitlines())
            assert length <= 300, f"{name} has {length} lines"


def test_the_computation_sees_every_form_of_import(tmp_path):
    source = tmp_path / "b.py"
    source.write_text("import a.c\nfrom a import c, d\nfrom . import c as x\n\n\ndef f():\n"
                      "    from .c import x\n    import os, a.b\n")
    modules = {"a": None, "a.b": source, "a.c": None}
    assert list(imported("a.b", source, modules)) == [
        (1, "a.c"), (2, "a.c"), (2, "a"), (3, "a.c"), (7, "a.c"), (8, "a.b")]

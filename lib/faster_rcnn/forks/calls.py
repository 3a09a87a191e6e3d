"""Names, calls and files that have another form today, found in the syntax tree."""
import ast
import re
from collections.abc import Iterator

from faster_rcnn.forks.edits import Edit, Places

NAMES = {"xrange": "range", "raw_input": "input", "unicode": "str", "unichr": "chr"}
METHODS = {"iteritems": "items", "itervalues": "values", "iterkeys": "keys"}
NUMPY_ALIASES = ("float", "int", "bool", "object", "complex", "str", "long", "unicode")
BUILTINS = {"long": "int", "unicode": "str"}    # of the aliases, those with another name today
SIZED = ("range", "zeros", "ones", "empty", "full", "arange", "reshape", "resize", "tile")
PICKLES = ("pickle", "cPickle")
# calls that need thought
REMARKS = {
    "has_key": "has_key is gone: write `key in dictionary`",
    "reduce": "reduce is in functools now",
    **{name: f"{name} gives no list any more: list({name}(...)) where one is needed"
       for name in ("map", "filter", "zip")},
}


def call_edits(node: ast.AST, places: Places) -> Iterator[Edit]:
    """The edits at one node: names, methods, numpy's aliases, yaml.load, sizes, imports."""
    if isinstance(node, ast.Name) and node.id in NAMES:
        yield Edit(places.begin(node), places.end(node), NAMES[node.id])
    elif isinstance(node, ast.Attribute) and node.attr in METHODS:
        yield Edit(places.end(node) - len(node.attr), places.end(node), METHODS[node.attr])
    elif isinstance(node, ast.Attribute) and node.attr in NUMPY_ALIASES:
        if isinstance(node.value, ast.Name) and node.value.id in ("np", "numpy"):
            yield Edit(places.begin(node), places.end(node), BUILTINS.get(node.attr, node.attr))
    elif isinstance(node, ast.Import):
        for alias in node.names:
            if alias.name == "cPickle":
                name = "" if alias.asname in (None, "pickle") else f" as {alias.asname}"
                yield Edit(places.begin(alias), places.end(alias),
                           "pickle as cPickle" if alias.asname is None else "pickle" + name)
    elif isinstance(node, ast.Call) and called(node) == "yaml.load" and len(node.args) == 1 and (
            not node.keywords):
        yield Edit(places.end(node.func) - 4, places.end(node.func), "safe_load")
    if isinstance(node, ast.Call) and called(node).split(".")[-1] in SIZED:
        for argument in node.args:
            yield from division_edits(argument, places)
    elif isinstance(node, ast.Subscript):
        yield from division_edits(node.slice, places)


def division_edits(node: ast.AST, places: Places) -> Iterator[Edit]:
    """a / b -> a // b in a size or an index: the whole number that Python 2 computed."""
    if isinstance(node, ast.BinOp):
        if isinstance(node.op, ast.Div):
            between = places.source[places.end(node.left):places.begin(node.right)]
            slash = places.end(node.left) + between.index("/")
            yield Edit(slash, slash + 1, "//")
        parts: list[ast.AST | None] = [node.left, node.right]
    elif isinstance(node, (ast.Tuple, ast.List)):
        parts = list(node.elts)
    elif isinstance(node, ast.Slice):
        parts = [node.lower, node.upper, node.step]
    else:
        parts = [getattr(node, "operand", None)]
    for part in parts:
        if part is not None:
            yield from division_edits(part, places)


def called(node: ast.Call) -> str:
    """The name of a called function: "yaml.load"; "" where it is no plain name."""
    name = ast.unparse(node.func)
    return name if re.fullmatch(r"[\w.]+", name) else name.rpartition(".")[2]


def pickle_file_edits(tree: ast.AST, places: Places) -> Iterator[Edit]:
    """Files that pickles are written to or read from are opened as binary ones."""
    scopes = [node for node in ast.walk(tree)
              if isinstance(node, (ast.FunctionDef, ast.Module))]
    for scope in scopes:
        opened = dict(opened_files(scope))
        for node in ast.walk(scope):
            if isinstance(node, ast.Call) and called(node) in [
                    f"{module}.{verb}" for module in PICKLES for verb in ("dump", "load")]:
                index = 1 if called(node).endswith("dump") else 0
                if len(node.args) <= index:
                    continue
                argument = node.args[index]
                file = opened.get(argument.id) if isinstance(argument, ast.Name) else argument
                if isinstance(file, ast.Call) and called(file) == "open":
                    yield from mode_edits(file, "wb" if index else "rb", places)


def opened_files(scope: ast.AST) -> Iterator[tuple[str, ast.Call]]:
    """(name, the call of open) of each file that is given a name in a function."""
    for node in ast.walk(scope):
        pairs: list[tuple[ast.AST | None, ast.AST]] = []
        if isinstance(node, ast.With):
            pairs = [(item.optional_vars, item.context_expr) for item in node.items]
        elif isinstance(node, ast.Assign):
            pairs = [(node.targets[0], node.value)]
        for target, value in pairs:
            if isinstance(target, ast.Name) and isinstance(value, ast.Call) and (
                    called(value) == "open"):
                yield target.id, value


def mode_edits(call: ast.Call, mode: str, places: Places) -> Iterator[Edit]:
    """open(path) and open(path, "w") -> open(path, "wb"); other modes stay."""
    if len(call.args) == 1 and not call.keywords:
        yield Edit(places.end(call.args[0]), places.end(call.args[0]), f", '{mode}'")
    elif len(call.args) == 2 and isinstance(call.args[1], ast.Constant) and (
            call.args[1].value in ("r", "w")):
        yield Edit(places.begin(call.args[1]), places.end(call.args[1]), f"'{mode}'")


def remarks(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """(line, what to look at) where an edit depends on what the values are."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.BinOp) and isinstance(
                node.value.op, ast.Div) and is_count(ast.unparse(node.targets[0])):
            yield node.lineno, "a count by division: // if whole numbers are meant"
        elif isinstance(node, ast.Call):
            name = called(node).split(".")[-1]
            if called(node) in REMARKS or name == "has_key":
                yield node.lineno, REMARKS[name]


def is_count(name: str) -> bool:
    """Whether a variable's name says that it is a whole number."""
    return bool(re.search(r"num|count|size|width|height|index|batch|per_", name))

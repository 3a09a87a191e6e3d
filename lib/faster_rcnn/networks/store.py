"""The files under models/: found by their paths, written on first use, checked.

Users and scripts name nets by paths such as models/pascal_voc/ZF/faster_rcnn_alt_opt/rpn_test.pt,
relative to the working folder or the project. What exists is taken as it is.
"""
import contextlib
import errno
import logging
import os

from caffe.files import prototxt
from faster_rcnn.anchors.options import UNCHANGED, AnchorOptions
from faster_rcnn.files import places
from faster_rcnn.files.atomic import write_text
from faster_rcnn.networks.backbones.layers import CommentedNet
from faster_rcnn.networks.catalogue import (
    Classifier,
    Folder,
    folder_of,
    folder_with,
    folders,
    moved_to,
    text_of,
)

log = logging.getLogger(__name__)

MODELS = "models"
_PROJECT = places.root()
# For checkouts whose models/ cannot be written
SPARE = os.path.join("output", "models")
NOT_WRITABLE = (errno.EACCES, errno.EPERM, errno.EROFS)


class UnknownNetError(FileNotFoundError):
    """A prototxt, or a folder of them, that neither exists nor is known how to write."""


def find(path: str, root: str, what: str = "prototxt") -> str:
    """The path of a prototxt that exists.

    path: as the user gave it; root: the project's folder, with models/ in it; what: what an error
    calls the file. Nets that are not in the repository are written, with the others of their
    folder, when they are first asked for: to their place under models/, or to output/models/ where
    that cannot be written. Raises UnknownNetError, with the names that are known.
    """
    if os.path.isfile(path):
        return path
    name, root = _name(path, root)
    folder = None if name is None else folder_with(name)
    if name is None or folder is None:
        raise UnknownNetError(_unknown(path, name, root, f"{what} {path} does not exist"))
    for place in (MODELS, SPARE):
        found = os.path.join(root, place, name)
        if os.path.isfile(found):
            return found
    return os.path.join(_write(folder, root), name)


def find_solver(path: str, root: str) -> str:
    """As `find`, for a solver; the net that it names is written as well, if it is one of ours."""
    path = find(path, root, "solver")
    param = prototxt.read_solver(path)
    net = param.train_net or param.net
    if not os.path.isfile(net):
        with contextlib.suppress(UnknownNetError):     # it may lie beside the solver
            find(net, root)
    return path


def find_folder(models_dir: str, net: str, method: str, root: str) -> str:
    """As `find`, for the folder <models_dir>/<net>/<method>; models_dir may be the user's own."""
    path = os.path.join(models_dir, net, method)
    if os.path.isdir(path):
        return path
    name, root = _name(path, root)
    if name is None or name not in folders():
        nets = known_nets(models_dir, method, root)
        raise UnknownNetError(_no_net(net, path, nets))
    return os.path.join(_write(folders()[name], root), name)


def rebuild(path: str, root: str, classes: int | None = None,
            anchors: AnchorOptions = UNCHANGED) -> CommentedNet | None:
    """The net of a generated file for another class count (background included) or other anchors.

    None where the file is not one of ours, or was edited since it was written.
    """
    name, _ = _name(os.path.realpath(path), os.path.realpath(root))
    folder = None if name is None else folder_with(name)
    if name is None or folder is None:
        return None
    file = name.removeprefix(folder.name + "/")
    with open(path, encoding="utf-8") as stored:
        if stored.read() != text_of(folder.files()[file]()):
            return None
    content = folder.files(classes, anchors)[file]()
    return content if isinstance(content, CommentedNet) else None


def write_missing(folder: Folder | Classifier, models: str) -> int:
    """Writes the files of a folder that are not there, each atomically; returns how many."""
    missing = {name: make for name, make in folder.files().items()
               if not os.path.exists(os.path.join(models, folder.name, name))}
    for name, make in missing.items():
        write_at(os.path.join(models, folder.name, name), text_of(make()))
    return len(missing)


def write_at(path: str, text: str) -> None:
    """Writes a text file atomically, with the folders above it."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    write_text(path, text)


def _write(folder, root):
    """Writes what a folder lacks, where that is possible; returns that models folder."""
    models = os.path.join(root, MODELS)
    try:
        count = write_missing(folder, models)
    except OSError as error:
        if error.errno not in NOT_WRITABLE:
            raise
        models = os.path.join(root, SPARE)
        count = write_missing(folder, models)
    if count:
        log.info("%s: %d prototxts written (see models/README.md)",
                 os.path.join(models, folder.name), count)
    return models


def _name(path: str, root: str) -> tuple[str | None, str]:
    """A path below models/, with slashes, and the root of that folder; None for what lies
    elsewhere.

    A path in this project's own models/ means that folder, wherever ROOT_DIR points.
    """
    for home in (root, _PROJECT):
        for place in (MODELS, SPARE):
            folder = os.path.join(os.path.abspath(home), place)
            inner = os.path.relpath(os.path.abspath(path), folder)
            if not inner.startswith(os.pardir):
                return inner.replace(os.sep, "/"), home
    first, _, inner = os.path.normpath(path).replace(os.sep, "/").partition("/")
    return inner if first == MODELS else None, root


def _unknown(path, name, root, missing):
    """The sentence `missing` about a path, and what there is instead."""
    if name is None:
        return missing
    if new := moved_to(name):
        return f"{missing}; here it is models/{new}"
    if folder := folder_of(name):
        return f"{missing}; {MODELS}/{folder.name} has {', '.join(sorted(folder.files()))}"
    data_set, net, method = (name.split("/") + ["", ""])[:3]
    nets = known_nets(os.path.join(root, MODELS, data_set), method, root)
    if nets:
        return _no_net(net, path, nets)
    methods = sorted(other.split("/")[2] for other in folders()
                     if other.startswith(f"{data_set}/{net}/"))
    return f"{missing}; methods of {net}: {', '.join(methods)}" if methods else missing


def _no_net(net, path, nets):
    there = f"nets that are there: {', '.join(nets)}" if nets else "no net is there by this method"
    return f"no net {net}: {path} does not exist; {there}"


def known_nets(above: str, method: str, root: str) -> list[str]:
    """Nets below a folder that there are by a method, known ones and those of the user, sorted."""
    data_set, _ = _name(above, root)
    nets = {name.split("/")[1] for name in folders()
            if name.startswith(f"{data_set}/") and name.endswith(f"/{method}")}
    if method and os.path.isdir(above):
        nets |= {net for net in os.listdir(above)
                 if os.path.isdir(os.path.join(above, net, method))}
    return sorted(nets)

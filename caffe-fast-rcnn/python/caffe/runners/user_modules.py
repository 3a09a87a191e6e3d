"""Which modules may hold Python layers.

A prototxt is data and must not choose what code runs. So a module must be the user's own: it lies
beside the running script, on PYTHONPATH or elsewhere on sys.path, or beside the prototxt. Modules
of the standard library and installed packages are refused, so that no prototxt can name
subprocess.Popen; `allow_layer_module` or the environment variable CAFFE_LAYER_MODULES (names,
separated by commas) allows one.
"""
import importlib
import importlib.util
import os
import sys
import sysconfig

from caffe.core.errors import LayerError
from caffe.core.types import FilePath

VARIABLE = "CAFFE_LAYER_MODULES"
_INSTALLED = {"site-packages", "dist-packages"}
_OURS = ("caffe", "faster_rcnn", "fast_rcnn", "rpn", "roi_data_layer")
_allowed: set[str] = set()


def allow_layer_module(name: str) -> None:
    """Lets prototxts take Python layers from a package (its first name), wherever it lies."""
    _allowed.add(name.partition(".")[0])


def find_layer_module(name: str, folder: FilePath | None, where: str) -> bool:
    """Whether there is such a module; adds the prototxt's folder to sys.path if it lies there.

    folder: the prototxt's own, searched after sys.path; where: the layer, for messages.
    Raises LayerError for a module of the standard library or of an installed package.
    """
    top = name.partition(".")[0]
    places = _places(top)
    if places is None and folder is not None:
        places = _append_to_path(os.path.abspath(folder), top)
    if places is None:
        return False
    if not _is_allowed(top):
        _refuse_foreign(top, places, where)
    return True


def _is_allowed(top: str) -> bool:
    listed = os.environ.get(VARIABLE, "").replace(" ", "").split(",")
    return top in _OURS or top in _allowed or top in [name.partition(".")[0] for name in listed]


def _places(top: str) -> list[str] | None:
    """The file or the folders of a top-level module; none for one that the program made itself."""
    try:
        spec = importlib.util.find_spec(top)
    except ValueError:          # made by the program, such as __main__
        return []
    if spec is None:
        return None
    return list(spec.submodule_search_locations or ()) or [spec.origin or ""]


def _append_to_path(folder: str, top: str) -> list[str] | None:
    """Adds a folder to the end of sys.path if it holds the module."""
    if not any(os.path.exists(os.path.join(folder, name)) for name in (f"{top}.py", top)):
        return None
    sys.path.append(folder)
    importlib.invalidate_caches()
    return _places(top)


def _refuse_foreign(top: str, places: list[str], where: str) -> None:
    for place in places:
        if is_foreign(place):
            raise LayerError(f'{where}: module "{top}" belongs to the standard library or to an '
                             f"installed package ({place}), not to your project; if the prototxt "
                             f'is to be trusted, caffe.allow_layer_module("{top}") or '
                             f"{VARIABLE}={top} allows it")


def is_foreign(place: str) -> bool:
    """Whether a file or folder belongs to Python itself or to an installed package."""
    if not os.path.isabs(place):            # "built-in", "frozen"
        return True
    path = os.path.realpath(place)
    if _INSTALLED.intersection(path.split(os.sep)):
        return True
    library = os.path.realpath(sysconfig.get_path("stdlib"))
    return os.path.commonpath([path, library]) == library

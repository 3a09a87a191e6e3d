"""Where the project's own files are: in a checkout, or in an installed package.

A checkout has them in its folders. An installed package has cards, settings, Tiny's initial weights
and the modules with general names in faster_rcnn/shipped; networks, data and output then lie below
the working folder.
"""
import os
import sys

_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
_ABOVE = os.path.dirname(os.path.dirname(_PACKAGE))
IN_CHECKOUT = os.path.isfile(os.path.join(_ABOVE, "caffe-fast-rcnn", "python", "caffe",
                                          "__init__.py"))
_SHIPPED = {"cards": os.path.join("data", "cards"), "cfgs": os.path.join("experiments", "cfgs"),
            "data": "data", "original": "lib"}


def root() -> str:
    """The folder that models, data and output belong to: the checkout, or the working folder."""
    return _ABOVE if IN_CHECKOUT else os.getcwd()


def shipped(name: str) -> str:
    """The folder of the data cards ("cards"), of the settings files ("cfgs"), of initial weights
    and the table of those that can be got ("data"), or of the packages that have the original's
    general names ("original")."""
    if IN_CHECKOUT:
        return os.path.join(_ABOVE, _SHIPPED[name])
    return os.path.join(_PACKAGE, "shipped", name)


def use_original_names() -> None:
    """Makes py-faster-rcnn's packages `datasets`, `nms`, `transform`, `utils` importable.

    An installed package does not do so by itself, since other people's packages have these names
    too; a checkout needs no call. They come last on sys.path.
    """
    folder = shipped("original")
    if folder not in sys.path:
        sys.path.append(folder)

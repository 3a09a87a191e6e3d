"""Descriptions as files: <weights without .caffemodel>.json, beside the weights.

The file is read as data, with a limit, and every part of it is checked; an error names the file
and the part.
"""
import copy
import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from reprlib import repr as shown
from typing import Any

from caffe.core.errors import UserError, suggest
from faster_rcnn.detection.options import Refinement
from faster_rcnn.detectors.description import (
    ANCHOR_SETTINGS,
    BACKGROUND,
    COMMON_SETTINGS,
    METHODS,
    Description,
    DescriptionError,
    WeightsFile,
    anchors_of,
)
from faster_rcnn.files.atomic import file_hash, write_text
from faster_rcnn.files.reading import read_text
from faster_rcnn.settings.checks import check_settings
from faster_rcnn.settings.config import cfg
from faster_rcnn.settings.merge import merge

FORMAT, VERSION = "faster_rcnn detector", 1
MAX_BYTES = 16 << 20            # a net of 500 layers has 0.1 MB
MAX_CLASSES = 100_000
SUFFIXES = (".caffemodel.h5", ".caffemodel", ".h5")
# A list of numbers or of plain words, as json.dumps spreads it; lines never end within a text
_SHORT_LIST = re.compile(r"\[\n[^\[\]{}]{1,80}\]")
_BREAK = re.compile(r"\n *")
KEYS = ("format", "version", "method", "classes", "threshold", "settings", "anchors", "weights",
        "data", "training", "test", "versions", "net")


def stem_of(weights: str) -> str:
    """The path of weights without what the name of their kind adds."""
    for suffix in SUFFIXES:
        if weights.endswith(suffix):
            return weights.removesuffix(suffix)
    return os.path.splitext(weights)[0]


def description_path(weights: str) -> str:
    """Where the description of weights lies."""
    return stem_of(weights) + ".json"


def weights_file(path: str) -> WeightsFile:
    """What a description says of the file of the weights."""
    return WeightsFile(os.path.basename(path), os.path.getsize(path), file_hash(path))


def read_beside(weights: str) -> Description | None:
    """The checked description beside weights; None where there is none.

    DescriptionError where it is not one, or the weights are not those that it describes.
    """
    path = description_path(weights)
    if not os.path.exists(path):
        return None
    found = parsed(read_text(path, MAX_BYTES), path)
    check_weights(found, weights, path)
    return found


def check_weights(description: Description, weights: str, path: str) -> None:
    """DescriptionError unless a file holds the described weights; path: of the description."""
    if weights_file(weights).sha256 != description.weights.sha256:
        raise DescriptionError(
            f"{weights} does not hold the weights that {path} describes (their SHA-256 differs); "
            "describe them anew (tools/describe.py --net NET), or remove that file")


def write_beside(description: Description, weights: str) -> str:
    """Writes the description of weights beside them; returns its path."""
    path = description_path(weights)
    write_text(path, text_of(replace(description, weights=weights_file(weights))))
    return path


def text_of(description: Description) -> str:
    """A description as JSON, with the net as a list of lines at the end."""
    d = description
    parts = {"format": FORMAT, "version": VERSION, "method": d.method, "classes": list(d.classes),
             "threshold": d.threshold, "settings": d.settings,
             "anchors": anchors_of(d.net_message(), d.weights.name),
             "weights": vars(d.weights), "data": d.data, "training": d.training, "test": d.test,
             "versions": d.versions, "net": d.net.splitlines()}
    text = json.dumps(parts, indent=1, ensure_ascii=False)
    return _SHORT_LIST.sub(lambda found: _BREAK.sub(" ", found.group()), text) + "\n"


def parsed(text: str, origin: str) -> Description:
    """The description in a text; origin: what errors call it. Raises DescriptionError."""
    try:
        parts = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DescriptionError(f"{origin}: no JSON, so no description of a detector ({error}); "
                               "make one with tools/describe.py, or remove the file") from None
    return _Reader(parts, origin).description()


class _Reader:
    """The parts of one description, each checked as it is taken."""

    def __init__(self, parts: Any, origin: str) -> None:
        self.origin = origin
        if not isinstance(parts, dict) or parts.get("format") != FORMAT:
            raise DescriptionError(f'{origin}: no description of a detector ("format": '
                                   f'"{FORMAT}"); make one with tools/describe.py, or remove it')
        if parts.get("version") != VERSION:
            raise self.error("version", f"{shown(parts.get('version'))} is unknown here, where "
                             f"{VERSION} is read; a newer version of this project may know it")
        for key in parts:
            if key not in KEYS:
                raise self.error(key, f"no part of a description{suggest(key, KEYS)}")
        self.parts = parts

    def error(self, key: str, message: str) -> DescriptionError:
        return DescriptionError(f"{self.origin}: {key}: {message}")

    def description(self) -> Description:
        net = "\n".join(self.texts("net")) + "\n"
        found = Description(
            net=net, method=self.text("method", METHODS), classes=self.classes(),
            settings=self.settings(), weights=self.weights(), threshold=self.threshold(),
            data=self.mapping("data"), training=self.mapping("training"),
            test=self.mapping("test"), versions=self.mapping("versions"))
        anchors = anchors_of(found.net_message(f"{self.origin}: net"), self.origin)
        if self.parts.get("anchors") != anchors:
            raise self.error("anchors", f"{shown(self.parts.get('anchors'))} differ from those of "
                             f"the net, {anchors}")
        return found

    def value(self, key: str, kind: type | tuple[type, ...], words: str) -> Any:
        value = self.parts.get(key)
        if not isinstance(value, kind) or isinstance(value, bool):
            raise self.error(key, f"must be {words}; received {shown(value)}")
        return value

    def text(self, key: str, allowed: Sequence[str]) -> str:
        value = self.value(key, str, "a text")
        if value not in allowed:
            raise self.error(key, f'"{value}" is unknown; there are: {", ".join(allowed)}')
        return value

    def texts(self, key: str) -> list[str]:
        values = self.value(key, list, "a list of texts")
        if not values or not all(isinstance(value, str) for value in values):
            raise self.error(key, f"must be a list of texts; received {shown(values)}")
        return values

    def mapping(self, key: str) -> Mapping[str, Any]:
        return self.value(key, dict, "a mapping")

    def classes(self) -> tuple[str, ...]:
        names = self.texts("classes")
        wrong = [name for name in names if not name.strip() or name == BACKGROUND]
        if wrong or len(set(names)) < len(names) or len(names) > MAX_CLASSES:
            raise self.error("classes", "must be different names, without the background; "
                             f"received {shown(names)}")
        return tuple(names)

    def threshold(self) -> float:
        value = self.value("threshold", (int, float), "a number from 0 to 1")
        if not 0 <= value <= 1:
            raise self.error("threshold", f"must be a number from 0 to 1; received {value}")
        return float(value)

    def settings(self) -> Mapping[str, Any]:
        given = self.mapping("settings")
        for key in given:
            if key not in ("TEST", *COMMON_SETTINGS, *ANCHOR_SETTINGS):
                raise self.error("settings", f"{key} is no setting of a test; there are: TEST, "
                                 f"{', '.join(COMMON_SETTINGS + ANCHOR_SETTINGS)}")
        trial = copy.deepcopy(cfg)
        try:
            merge(dict(given), trial, lambda path: f"{self.origin}: settings")
            check_settings(trial)
            Refinement.of(trial.TEST)
        except UserError as error:
            text = str(error)
            raise (DescriptionError(text) if text.startswith(self.origin)
                   else self.error("settings", text)) from None
        return given

    def weights(self) -> WeightsFile:
        given = self.mapping("weights")
        name, size, digest = (given.get(key) for key in ("name", "bytes", "sha256"))
        if (not isinstance(name, str) or os.path.basename(name) != name or not name.strip(".")
                or not isinstance(size, int) or size < 0 or not isinstance(digest, str)
                or len(digest) != 64 or set(given) != {"name", "bytes", "sha256"}):
            raise self.error("weights", "must be name (without a folder), bytes and sha256 of a "
                             f"file; received {shown(given)}")
        return WeightsFile(name, size, digest)

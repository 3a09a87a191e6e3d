#!/usr/bin/env python3
"""Writes settings.md of the defaults, comments and limits in lib/faster_rcnn/settings.

    .venv/bin/python docs/make_settings.py

A key stands with the others that share its comment. A new number needs a unit: a row of UNITS.
"""
import fnmatch
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from faster_rcnn.settings import config
from faster_rcnn.settings.checks import RULES

PAGE = Path(__file__).with_name("settings.md")
HEAD = """\
# Settings

This page lists every key of `cfg`, the tree of settings, with its default. `docs/make_settings.py`
writes it; the last column quotes the comments in `lib/faster_rcnn/settings/config.py`.

    ./tools/test_net.py ... --cfg my.yml --set TEST.NMS 0.4 TEST.SCALES "[400,500]"

Settings are changed by a YAML file that has some of the keys (`--cfg FILE`), and by pairs of a key
and a value (`--set KEY VALUE ...`, which must come last). Other keys are refused, and so are values
of another type than the default; a list may stand for a tuple. Every run first prints the settings
that differ from their defaults.

*Overlap* means intersection over union. An interval [a, b) includes a and excludes b.
"""
SECTIONS = {"training": "TRAIN: training", "testing": "TEST: tests and detection",
            "common": "Settings of both"}
# What a number counts or measures, by the end of the key; the first that fits
UNITS = {
    "*_ITERS": "iterations", "SCALES": "pixels", "MAX_SIZE": "pixels", "*MIN_SIZE": "pixels",
    "*MULTIPLE_OF": "pixels", "IMS_PER_BATCH": "images", "RPN_BATCHSIZE": "anchors",
    "BATCH_SIZE": "rois", "*FRACTION": "share", "NMS": "overlap", "SOFT_NMS_THRESH": "score",
    "SOFT_NMS_SIGMA": "overlap squared", "*_THRESH": "overlap",
    "BG_THRESH_*": "overlap", "*_OVERLAP": "overlap", "*_TOP_N": "boxes", "SCALE_JITTER": "factor",
    "COLOR_JITTER": "share", "RANDOM_CROP": "share", "VAL_PATIENCE": "validations",
    "LOADER_THREADS": "threads", "*_MB": "MB", "*_MEANS": "mean", "*_STDS": "standard deviation",
    "*_WEIGHTS": "factor", "*_WEIGHT": "factor", "*WEIGHTED_SCORE": "boxes",
    "*WEIGHT_EMPTY": "factor", "ANCHOR_SCALES": "bases", "ANCHOR_RATIOS": "height / width",
    "ANCHOR_BASE": "pixels", "DEDUP_BOXES": "factor", "BBOX_MAX_LOG_SCALE": "logarithm",
    "RNG_SEED": "", "EPS": "", "GPU_ID": "",
}
OWN_UNITS = {"PIXEL_MEANS": "brightness, 0 to 255"}


class Group(NamedTuple):
    """Keys under one comment: dotted names, and the comment as one line."""

    section: str
    keys: list[str]
    comment: str


def groups(source: str) -> Iterator[Group]:
    """Yields the groups of config.py's text."""
    section, comment, keys = "", "", []
    for line in source.splitlines():
        heading = re.match(r"# -{20,} (\w+)$", line)
        key = re.match(r"cfg\.([A-Z_.a-z0-9]+) = (?!EasyDict)", line)
        if heading or (line.startswith("# ") and keys):
            if keys:
                yield Group(section, keys, comment)
            comment, keys = "", []
        if heading:
            section = heading[1]
        elif line.startswith("# ") and section:
            comment = f"{comment} {line[2:]}".strip()
        elif key and section:
            keys = [*keys, key[1]]
        elif line.startswith("DEFAULTS"):
            yield Group(section, keys, comment)
            return


def default(key: str) -> str:
    """The default of a dotted key, as YAML would have it; folders are relative to the project."""
    value = config.DEFAULTS
    for part in key.split("."):
        value = value[part]
    if key.endswith("_DIR") and key != "EXP_DIR":
        return str(Path(value).relative_to(config.DEFAULTS.ROOT_DIR))
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, str):
        return value or '""'
    return str(list(value) if isinstance(value, (tuple, list)) else value)


def unit(key: str) -> str:
    """What the key's number means; KeyError for a number without a row in UNITS."""
    if key in OWN_UNITS:
        return OWN_UNITS[key]
    if default(key) in ("True", "False") or re.match(r'[a-z".]', default(key)):
        return ""
    name = key.rpartition(".")[2]
    return next((words for pattern, words in UNITS.items() if fnmatch.fnmatchcase(name, pattern)),
                None) or _without_unit(name)


def _without_unit(name: str) -> str:
    if UNITS.get(name) != "":
        raise KeyError(f"{name} has no unit in docs/make_settings.py")
    return ""


def limits(key: str) -> str:
    """The condition that checks.py holds a value to."""
    return next((rule.wanted for rule in RULES if key in rule.names), "")


def page() -> str:
    """The text of settings.md."""
    lines, section = [HEAD], ""
    for group in groups(Path(config.__file__).read_text(encoding="utf-8")):
        if group.section != section:
            section = group.section
            lines += ["", f"## {SECTIONS[section]}", "",
                      "| key | default | unit | limits | effect |", "|---|---|---|---|---|"]
        columns = ([f"`{key}`" for key in group.keys], [default(key) for key in group.keys],
                   [unit(key) for key in group.keys], [limits(key) for key in group.keys])
        cells = [_cell(column) for column in columns]
        effect = group.comment.replace("<", "&lt;").replace("|", "\\|")
        lines.append(f"| {' | '.join(cells)} | {effect} |")
    return "\n".join(lines).replace("\n\n\n", "\n\n") + "\n"


def _cell(column: list[str]) -> str:
    """One cell; once what all keys have in common."""
    return column[0] if len(set(column)) == 1 else "<br>".join(column)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")

"""The card of a folder: where it is, and how it is written."""
import hashlib
import os
import re
from typing import Any

import yaml

from faster_rcnn.datasets.cards import Card, CardError, load_card
from faster_rcnn.files import safe_yaml
from faster_rcnn.files.atomic import write_text
from faster_rcnn.files.reading import EncodingError, FileError, read_text

MARK = "# Made from the files in this folder; edit freely."


def data_set_name(folder: str) -> str:
    """A name for the data set in a folder that can stand in names of files."""
    name = os.path.basename(os.path.abspath(folder))
    return re.sub(r"[^A-Za-z0-9.-]+", "_", name).strip("._-") or "data_set"


def card_of(folder: str, spare: str) -> str | None:
    """The path of the card in a folder, or of the one made for it in the folder `spare`.

    It has the data set's name, or is the only card there is. CardError when several are there.
    """
    name = data_set_name(folder)
    for place in (folder, spare_folder(folder, spare)):
        own = os.path.join(place, f"{name}.yml")
        if _is_card(own):
            return own
    names = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
    others = [path for path in (os.path.join(folder, name) for name in names) if _is_card(path)]
    if len(others) > 1:
        raise CardError(f"{folder} has several cards; name one of them: {', '.join(others)}")
    return others[0] if others else None


def spare_folder(folder: str, spare: str) -> str:
    """Where the card of a folder is kept that cannot be written to."""
    digest = hashlib.sha256(os.path.abspath(folder).encode()).hexdigest()[:8]
    return os.path.join(spare, f"{data_set_name(folder)}_{digest}")


def _is_card(path: str) -> bool:
    if not path.endswith((".yml", ".yaml")) or not os.path.isfile(path):
        return False
    try:
        content = safe_yaml.load(read_text(path, safe_yaml.MAX_CHARACTERS), path)
    except (FileError, EncodingError, safe_yaml.YamlError):
        return False
    return isinstance(content, dict) and "format" in content and "root" in content


def write_card(folder: str, spare: str, content: dict[str, Any],
               lists: dict[str, list[str]]) -> str:
    """Writes a card and its lists of pictures into a folder, or below `spare` where the folder
    cannot be written to; returns the card's path.

    content: keys of the card without name and root; lists: {file name: names of pictures}.
    """
    place, root = os.path.abspath(folder), "."
    if not os.access(place, os.W_OK):
        place, root = spare_folder(folder, spare), place
        os.makedirs(place, exist_ok=True)
        content = _moved(content, {name: os.path.join(place, name) for name in lists})
    for name, lines in lists.items():
        write_text(os.path.join(place, name), "".join(line + "\n" for line in lines))
    path = os.path.join(place, f"{data_set_name(folder)}.yml")
    write_text(path, card_text({"name": data_set_name(folder), "root": root, **content}))
    load_card(path)     # what cannot be read must not stay unnoticed
    return path


def _moved(value: Any, paths: dict[str, str]) -> Any:
    """A value of a card with the names of lists replaced by their paths."""
    if isinstance(value, dict):
        return {key: _moved(entry, paths) for key, entry in value.items()}
    return paths.get(value, value) if isinstance(value, str) else value


def card_text(content: dict[str, Any]) -> str:
    """A card's text, a line per key."""
    lines = [MARK]
    for key, value in content.items():
        in_block = key == "settings"
        text = yaml.safe_dump({key: value}, default_flow_style=None if in_block else True,
                              sort_keys=False, allow_unicode=True, width=100).strip()
        lines.append(text if in_block else text[1:-1])      # without the braces around the line
    return "\n".join(lines) + "\n"


def made_lists(path: str) -> list[str]:
    """The lists that write_card wrote with a card, as the card names them."""
    card = load_card(path)
    if not is_made(card):
        return []
    names = {f"{card.name}_{split}.txt" for split in card.splits}
    return [name for places in card.splits.values() for name in places if name in names]


def is_made(card: Card) -> bool:
    """Whether a card was written by write_card."""
    return MARK in read_text(card.path, safe_yaml.MAX_CHARACTERS)

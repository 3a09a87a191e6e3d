"""Data sets by name."""
import functools
import logging
import os
from collections.abc import Callable

from caffe.core.errors import UserError, suggest
from faster_rcnn.datasets.cards import Card, is_card_path, list_cards, load_card
from faster_rcnn.datasets.coco import SPLITS as COCO_SPLITS
from faster_rcnn.datasets.coco import coco
from faster_rcnn.datasets.coco_imdb import coco_imdb
from faster_rcnn.datasets.imdb import imdb
from faster_rcnn.datasets.own_classes import users_errors
from faster_rcnn.datasets.pascal_voc import pascal_voc
from faster_rcnn.datasets.voc_imdb import voc_imdb
from faster_rcnn.folders.card_files import card_of, write_card
from faster_rcnn.folders.look import look
from faster_rcnn.folders.unknown import refuse_path
from faster_rcnn.settings.config import cfg

log = logging.getLogger(__name__)

# name: function that makes the data set; named as in py-faster-rcnn, whose users add lines below
__sets: dict[str, Callable[[], imdb]] = {}


class UnknownDatasetError(UserError, KeyError):
    """A name that no data set has; the message lists those that exist."""

    def __str__(self) -> str:
        return self.args[0]


def register_imdb(name: str, make: Callable[[], imdb]) -> None:
    """Makes `get_imdb(name)` call `make()`; for data sets that are classes of one's own."""
    __sets[name] = make


def _with_difficult(split: str, year: str) -> pascal_voc:
    """A split of VOC that trains on objects marked difficult as well (tf-faster-rcnn's names)."""
    made = pascal_voc(split, year)
    made._name += "_diff"
    made.config["use_diff"] = True
    return made


for _year in ("2007", "2012"):
    for _split in ("train", "val", "trainval", "test"):
        register_imdb(f"voc_{_year}_{_split}", functools.partial(pascal_voc, _split, _year))
        register_imdb(f"voc_{_year}_{_split}_diff",
                      functools.partial(_with_difficult, _split, _year))
for _year, _splits in COCO_SPLITS.items():
    for _split in _splits:
        register_imdb(f"coco_{_year}_{_split}", functools.partial(coco, _split, _year))


def get_imdb(name: str, use: str = "train") -> imdb:
    """The data set of a name: a registered one, <card>_<split>, path/to/card.yml:split or
    folder:split; of a card or folder without a split the one for its use, train or test.
    """
    if name in __sets:
        with users_errors(name):
            return __sets[name]()
    card, split = find_card(name, use)
    if card is not None:
        return card_split(card, split)
    refuse_path(name)
    raise UnknownDatasetError(f"Unknown dataset: {name}{suggest(name, list_imdbs())}; there are: "
                              f"{', '.join(list_imdbs())}, and cards of your own as "
                              "path/to/card.yml:split, or a folder")


def find_card(name: str, use: str = "train") -> tuple[Card | None, str]:
    """The Card and the split of <card>_<split>, path/to/card.yml[:split] or folder[:split]; None,
    "" for others. use: as in get_imdb; "": a card or folder without a split stays without one.
    """
    path, colon, split = name.rpartition(":")
    for place, wanted in ((name, ""), (path, split)):
        if is_card_path(place):
            card = load_card(place)
        elif place and name not in __sets and os.path.isdir(place):
            card = folder_card(place)
        else:
            continue
        return card, wanted or _split_for(card, use)
    if name not in __sets:
        if name in list_cards():
            return load_card(name), _split_for(load_card(name), use)
        for known in sorted(list_cards(), key=len, reverse=True):
            if name.startswith(known + "_"):
                return load_card(known), name[len(known) + 1:]
    return None, ""


def _split_for(card: Card, use: str) -> str:
    return {"train": card.train, "test": card.test}.get(use, "")


def folder_card(folder: str) -> Card:
    """The card of a folder of annotated pictures; it is written where there is none."""
    path = card_of(folder, spare_folder())
    if path is None:
        found = look(folder)
        path = write_card(folder, spare_folder(), found.content, found.lists)
        for sentence in found.sentences:
            log.info("%s", sentence)
        log.info("Wrote %s", path)
    return load_card(path)


def spare_folder() -> str:
    """Where the cards of folders are kept that cannot be written to."""
    return os.path.join(cfg.DATA_DIR, "own")


def card_split(card: Card, split: str) -> voc_imdb | coco_imdb:
    """The data set of a split on a card."""
    return coco_imdb(card, split) if card.format == "coco" else voc_imdb(card, split)


def list_imdbs() -> list[str]:
    """Names of the registered data sets and of the splits on the shipped cards."""
    from_cards = {f"{card}_{split}" for card in list_cards()
                  for split in load_card(card).split_names()}
    return sorted({*__sets, *from_cards})

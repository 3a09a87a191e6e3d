"""Data sets by name."""
import functools
from collections.abc import Callable

from caffe.core.errors import UserError, suggest
from faster_rcnn.datasets.cards import Card, list_cards, load_card
from faster_rcnn.datasets.coco import SPLITS as COCO_SPLITS
from faster_rcnn.datasets.coco import coco
from faster_rcnn.datasets.coco_imdb import coco_imdb
from faster_rcnn.datasets.imdb import imdb
from faster_rcnn.datasets.own_classes import users_errors
from faster_rcnn.datasets.pascal_voc import pascal_voc
from faster_rcnn.datasets.voc_imdb import voc_imdb

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


def get_imdb(name: str) -> imdb:
    """The data set of a name: a registered one, <card>_<split>, or path/to/card.yml:split."""
    if name in __sets:
        with users_errors(name):
            return __sets[name]()
    if name.endswith((".yml", ".yaml")):
        raise UnknownDatasetError(f"{name} needs a split behind the card: {name}:"
                                  f"{load_card(name).train}")
    card, split = find_card(name)
    if card is not None:
        return card_split(card, split)
    raise UnknownDatasetError(f"Unknown dataset: {name}{suggest(name, list_imdbs())}; there are: "
                              f"{', '.join(list_imdbs())}, and cards of your own as "
                              "path/to/card.yml:split")


def find_card(name: str) -> tuple[Card | None, str]:
    """The Card and the split of <card>_<split> or path/to/card.yml:split; None, "" for others."""
    path, colon, split = name.rpartition(":")
    if colon and path.endswith((".yml", ".yaml")):
        return load_card(path), split
    if name not in __sets:
        for card in sorted(list_cards(), key=len, reverse=True):
            if name.startswith(card + "_"):
                return load_card(card), name[len(card) + 1:]
    return None, ""


def card_split(card: Card, split: str) -> voc_imdb | coco_imdb:
    """The data set of a split on a card."""
    return coco_imdb(card, split) if card.format == "coco" else voc_imdb(card, split)


def list_imdbs() -> list[str]:
    """Names of the registered data sets and of the splits on the shipped cards."""
    from_cards = {f"{card}_{split}" for card in list_cards()
                  for split in load_card(card).split_names()}
    return sorted({*__sets, *from_cards})

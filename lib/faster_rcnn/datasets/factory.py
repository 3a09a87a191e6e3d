"""Data sets by name."""
import functools

from caffe.core.errors import suggest
from faster_rcnn.datasets.cards import list_cards, load_card
from faster_rcnn.datasets.coco import SPLITS as COCO_SPLITS
from faster_rcnn.datasets.coco import coco
from faster_rcnn.datasets.coco_imdb import coco_imdb
from faster_rcnn.datasets.pascal_voc import pascal_voc
from faster_rcnn.datasets.voc_imdb import voc_imdb

# name: function that makes the data set; the original's name, for lines that users add below
__sets = {}


class UnknownDatasetError(KeyError):
    """A name that no data set has; the message lists those that exist."""

    def __str__(self):
        return self.args[0]


def register_imdb(name, make):
    """Makes `get_imdb(name)` call `make()`; for data sets that are classes of one's own."""
    __sets[name] = make


def _with_difficult(split, year):
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


def get_imdb(name):
    """The data set of a name: a registered one, <card>_<split>, or path/to/card.yml:split."""
    if name in __sets:
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


def find_card(name):
    """The Card and the split of <card>_<split> or path/to/card.yml:split; None, None for others."""
    path, colon, split = name.rpartition(":")
    if colon and path.endswith((".yml", ".yaml")):
        return load_card(path), split
    if name not in __sets:
        for card in sorted(list_cards(), key=len, reverse=True):
            if name.startswith(card + "_"):
                return load_card(card), name[len(card) + 1:]
    return None, None


def card_split(card, split):
    """The data set of a split on a card."""
    return {"voc": voc_imdb, "coco": coco_imdb}[card.format](card, split)


def list_imdbs():
    """Names of the registered data sets and of the splits on the shipped cards."""
    from_cards = {f"{card}_{split}" for card in list_cards()
                  for split in load_card(card).split_names()}
    return sorted({*__sets, *from_cards})

"""Data sets that a command line names: folders get a card, cards say settings."""
import logging
import os
from collections.abc import Callable

from faster_rcnn.datasets.cards import Card
from faster_rcnn.datasets.factory import find_card, spare_folder
from faster_rcnn.folders.card_files import card_of
from faster_rcnn.own_data.init import init
from faster_rcnn.settings.config import cfg_from_mapping

log = logging.getLogger(__name__)


def make_ready(name: str, say: Callable[[str], None] = log.info) -> None:
    """Writes a card for a data set that is a folder, folder or folder:split, without one.

    say: takes the sentences about what was found.
    """
    for folder in (name, name.rpartition(":")[0]):
        if folder and os.path.isdir(folder) and card_of(folder, spare_folder()) is None:
            for sentence in init(folder).sentences:
                say(sentence)
            return


def data_card(names: str) -> Card | None:
    """The card of a data set, which is written for a folder without one; None for others.

    names: as --imdb takes them, of several joined by + the first counts.
    """
    name = names.split("+")[0]
    make_ready(name)
    return find_card(name)[0]


def settings_from_card(card: Card) -> None:
    """Merges the settings on a card into cfg."""
    if card.settings:
        log.info("settings from the card %s: %s", card.path, card.settings)
        cfg_from_mapping(card.settings, card.path)

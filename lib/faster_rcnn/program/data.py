"""DATA on a command line: a folder or a card, and its splits as data sets."""
import argparse
import os
from dataclasses import dataclass

from faster_rcnn.commands.data import make_ready
from faster_rcnn.commands.start import settings_of_options
from faster_rcnn.datasets.cards import Card, is_card, is_card_path, load_card
from faster_rcnn.datasets.factory import folder_card
from faster_rcnn.folders.unknown import refuse_path


@dataclass(frozen=True)
class Data:
    """A card and how the command line names it, or the folder that it is for."""

    word: str
    card: Card

    @classmethod
    def of(cls, word: str) -> "Data":
        """The data set that a word of the command line names; CardError, FolderError."""
        if is_card(word):
            return cls(word, load_card(word))
        refuse_path(word)
        if not os.path.isdir(word):
            return cls(word, load_card(word))
        make_ready(word)
        return cls(word, folder_card(word))

    @classmethod
    def said(cls, args: argparse.Namespace) -> "Data":
        """The DATA of a command line, looked for where its --cfg and --set say; as `of`."""
        with settings_of_options(args):
            return cls.of(args.data)

    def imdb_name(self, split: str) -> str:
        """A split as --imdb takes it."""
        is_path = is_card_path(self.word) or not is_card(self.word)
        return f"{self.word}{':' if is_path else '_'}{split}"

    @property
    def train(self) -> str:
        """The training set, as --imdb takes it."""
        return self.imdb_name(self.card.train)

    @property
    def test(self) -> str | None:
        """The test set likewise; None where the card has none with files."""
        return self.imdb_name(self.card.test) if self.card.has_split(self.card.test) else None

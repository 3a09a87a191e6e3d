"""The check of a data set: all its splits, and what they should not have in common."""
from dataclasses import dataclass
from typing import Any

from caffe.core.errors import UserError
from faster_rcnn.annotations.problems import Notes, Problem, unreported
from faster_rcnn.datasets.card_imdb import card_imdb
from faster_rcnn.datasets.factory import card_split, find_card, get_imdb
from faster_rcnn.own_data.alike import ALIKE, COPIES, shared_pictures
from faster_rcnn.own_data.orphans import UNANNOTATED, UNLISTED, find_orphans
from faster_rcnn.own_data.unusual import WORTH_A_LOOK, note_unusual
from faster_rcnn.reports.data_check import find_problems, lenient, statistics

# Notes that people should look at; others only count
LOOKS = (*WORTH_A_LOOK, COPIES, ALIKE, UNLISTED, UNANNOTATED)
# Findings of a split that are printed; the report has all
SHOWN_PROBLEMS = 200


@dataclass(frozen=True)
class SplitCheck:
    """A split with what is wrong and unusual in it; numbers: see data_check.statistics."""

    imdb: card_imdb
    problems: list[Problem]
    numbers: dict[str, Any]

    @property
    def notes(self) -> Notes:
        """{what is unusual: [(path, subject)]}."""
        return self.imdb.notes


@dataclass(frozen=True)
class DataCheck:
    """The check of all splits that were asked for."""

    splits: list[SplitCheck]

    @property
    def num_findings(self) -> int:
        """Number of things that are wrong."""
        return sum(len(split.problems) for split in self.splits)

    @property
    def num_looks(self) -> int:
        """Number of things that are worth a look, but may be right."""
        return sum(len(split.notes.get(what, ())) for split in self.splits for what in LOOKS)

    def verdict(self) -> str:
        """The result as a line."""
        count, looks = self.num_findings, self.num_looks
        found = f"{count} finding{'s' * (count > 1)}" if count else "Nothing wrong was found"
        if not looks:
            return found
        return f"{found}; {looks} {'things are' if looks > 1 else 'thing is'} worth a look"


def check(name: str, decode: bool = True) -> DataCheck:
    """Checks a data set: the name or path of a card, a folder (all their splits), or a data set as
    --imdb takes it.

    decode: every image is decoded, and all are compared with each other. What is found is not
    logged. UserError for what cannot be checked.
    """
    with unreported():
        imdbs, is_whole = data_sets(name)
        named: set[Problem] = set()
        splits = []
        for imdb in imdbs:
            problems = [*find_problems(imdb, decode), *note_unusual(imdb)]
            splits.append(SplitCheck(imdb, [problem for problem in dict.fromkeys(problems)
                                            if problem not in named], {}))
            named.update(problems)
        last = splits[-1].problems
        if decode:
            last += shared_pictures(imdbs)
        if is_whole:
            last += find_orphans(imdbs, named)
        return DataCheck([SplitCheck(split.imdb, split.problems, statistics(split.imdb))
                          for split in splits])


def data_sets(name: str) -> tuple[list[card_imdb], bool]:
    """The data sets of a card or folder, or the one of a name; and whether they are all there are.
    """
    card, split = find_card(name, "")
    if card is None:
        imdb = get_imdb(name)
        if not isinstance(imdb, card_imdb):
            raise UserError(f"{name} is a class of its own; only data sets with a card, VOC and "
                            "COCO can be checked")
        imdb.card = lenient(imdb.card)
        return [imdb], False
    card = lenient(card)
    if split:
        return [card_split(card, split)], False
    splits = [split for split in card.split_names() if card.has_split(split)]
    return [card_split(card, split) for split in splits or [card.train]], True

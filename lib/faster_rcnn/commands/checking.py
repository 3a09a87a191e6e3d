"""The check of a data set, as the tools run it: what is wrong is printed, and a report written."""
import contextlib
import logging
import os
from collections.abc import Iterator

from caffe.core.errors import UserError
from faster_rcnn.annotations.problems import Problem
from faster_rcnn.datasets.card_imdb import card_imdb
from faster_rcnn.datasets.cards import Card, is_card, load_card
from faster_rcnn.datasets.factory import card_split, find_card, folder_card, get_imdb
from faster_rcnn.reports.data_check import find_problems, lenient, statistics
from faster_rcnn.reports.data_report import summary_lines, write_data_report
from faster_rcnn.settings.config import cfg


def data_sets(text: str) -> list[card_imdb]:
    """The data sets of a card, or the one of a name."""
    whole = _card_of(text)
    if whole is not None:
        card = lenient(whole)
        splits = [split for split in card.split_names() if card.has_split(split)]
        return [card_split(card, split) for split in splits or [card.train]]
    card, split = find_card(text)
    imdb = card_split(lenient(card), split) if card else get_imdb(text)
    if not isinstance(imdb, card_imdb):
        raise UserError(f"{text} is a class of its own; only data sets with a card, VOC and COCO "
                        "can be checked")
    imdb.card = lenient(imdb.card)
    return [imdb]


def _card_of(text: str) -> Card | None:
    """The card that a text names, or that of the folder; None where it names a split."""
    if is_card(text):
        return load_card(text)
    return folder_card(text) if os.path.isdir(text) else None


@contextlib.contextmanager
def problems_not_logged() -> Iterator[None]:
    """Silences the log of data sets: their problems are printed here, each once."""
    logger = logging.getLogger("faster_rcnn")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def checked(text: str, decode: bool) -> list[tuple[card_imdb, list[Problem], dict]]:
    """Each data set with its problems and statistics, which are printed."""
    checks, named = [], set()
    for imdb in data_sets(text):
        problems = [problem for problem in find_problems(imdb, decode) if problem not in named]
        named.update(problems)
        checks.append((imdb, problems, statistics(imdb)))
        for problem in problems:
            print(problem)
        print("\n".join(summary_lines(checks[-1][2], imdb.notes)), flush=True)
    return checks


def check(text: str, quick: bool, out: str | None) -> int:
    """Checks data sets, prints what is wrong and writes a report; returns 1 where something is.

    text: a card, a folder, or a data set as --imdb takes it; quick: do not decode the images; out:
    folder of the report.
    """
    with problems_not_logged():
        checks = checked(text, decode=not quick)
    name = os.path.splitext(os.path.basename(os.path.normpath(text)))[0].replace(":", "_")
    report = write_data_report(checks, out or os.path.join(cfg.ROOT_DIR, "output",
                                                                "check_data", name))
    print(f"Report: {report}")
    for imdb, _, numbers in checks:
        if imdb.has_annotations and not numbers["objects"]:
            raise UserError(f"{imdb.name} has no object that can be used; see above")
    found = sum(len(problems) for _, problems, _ in checks)
    print(f"{found} findings" if found else "Nothing wrong was found")
    return 1 if found else 0

"""Pictures that are in a data set twice, or both in training and in a test."""
import os
from collections import defaultdict
from collections.abc import Sequence
from itertools import combinations
from typing import Any

from faster_rcnn.annotations.problems import Problem
from faster_rcnn.files.atomic import file_hash
from faster_rcnn.images.similar import looks_of, similar_pairs

# Splits that should have no picture in common, beside those that a card trains and tests on
APART = (("train", "val"), ("train", "test"), ("val", "test"), ("trainval", "test"))
ALIKE = "images that look like another one of their split"
COPIES = "images with the bytes of another one of their split, all of which are used"
SAME_BYTES, LOOKS_ALIKE = "the same bytes", "looks"
LEAK = "a test with it measures what was learned by heart"


def shared_pictures(imdbs: Sequence[Any]) -> list[Problem]:
    """Pictures that splits for training and for tests share; copies in one split, and what only
    looks alike there, go to its notes.

    imdbs: card_imdbs of one card. A picture is the same by its file, its bytes or its look.
    """
    splits = {imdb._image_set: dict.fromkeys(os.path.realpath(imdb.image_path_at(i))
                                             for i in range(imdb.num_images)) for imdb in imdbs}
    paths = list(dict.fromkeys(path for found in splits.values() for path in found))
    pairs = _pairs(paths)
    problems = []
    for train, test in _apart(imdbs):
        learned, tested = splits[train], splits[test]
        problems += [Problem(path, "", f"is in {train} and in {test}", LEAK)
                     for path in learned if path in tested]
        for (a, b), what in pairs.items():
            for known, other in ((a, b), (b, a)):
                if known in learned and other in tested:
                    problems.append(Problem(other, "", f"of {test} {_words(what)} {known} of "
                                            f"{train}", LEAK))
    for (a, b), what in pairs.items():
        both = [imdb for imdb in imdbs if {a, b} <= splits[imdb._image_set].keys()]
        if both:
            note = COPIES if what == SAME_BYTES else ALIKE
            both[0].notes.setdefault(note, []).append((f"{b} ({os.path.basename(a)})", ""))
    return list(dict.fromkeys(problems))


def _apart(imdbs: Sequence[Any]) -> list[tuple[str, str]]:
    """Pairs of splits, of those that are there, that should have nothing in common."""
    card, names = imdbs[0].card, {imdb._image_set for imdb in imdbs}
    wanted = dict.fromkeys([(card.train, card.test), *APART])
    return [(train, test) for train, test in wanted if train != test and {train, test} <= names]


def _words(what: str) -> str:
    return "has the same bytes as" if what == SAME_BYTES else "looks like"


def _pairs(paths: Sequence[str]) -> dict[tuple[str, str], str]:
    """Pairs of pictures that are the same, with the reason."""
    sizes = defaultdict(list)
    for path in paths:
        sizes[os.path.getsize(path)].append(path)
    hashes = defaultdict(list)
    for same_size in sizes.values():
        for path in same_size if len(same_size) > 1 else ():
            hashes[file_hash(path)].append(path)
    found = {pair: SAME_BYTES for same in hashes.values() for pair in combinations(same, 2)}
    for a, b in similar_pairs(looks_of(paths)):
        found.setdefault((paths[a], paths[b]), LOOKS_ALIKE)
    return found

"""A folder of annotated pictures is made ready for training."""
import copy
import os
import shlex
from dataclasses import dataclass
from typing import Any

import numpy as np

from caffe.core.errors import UserError
from faster_rcnn.annotations.check import TURNED, CheckedObject
from faster_rcnn.annotations.problems import unreported
from faster_rcnn.datasets.card_imdb import card_imdb
from faster_rcnn.datasets.cards import Card, load_card
from faster_rcnn.datasets.factory import card_split, spare_folder
from faster_rcnn.folders.card_files import card_of, is_made, made_lists, write_card
from faster_rcnn.folders.division import SEED
from faster_rcnn.folders.look import look
from faster_rcnn.images.reading import image_size
from faster_rcnn.own_data.anchors import proposed_anchors
from faster_rcnn.own_data.changes import proposed_changes
from faster_rcnn.own_data.scale import USUAL_MIN_SIZE, proposed_min_size, proposed_scale
from faster_rcnn.training.epochs import proposed_epochs, proposed_schedule

COMMAND = "faster-rcnn train {}"


class NothingToTrainError(UserError, ValueError):
    """A data set without an object that could be trained on."""


@dataclass(frozen=True)
class InitResult:
    """What init found and did.

    card: path of the card; is_new: whether it was written now; sentences: for people; command: what
    trains; settings: those on the card; iterations: of joint training, as proposed.
    """

    card: str
    is_new: bool
    sentences: tuple[str, ...]
    command: str
    settings: dict[str, Any]
    iterations: int


def init(folder: str, form: str | None = None, seed: int = SEED, again: bool = False,
         command: str = COMMAND) -> InitResult:
    """Looks at a folder, writes its card, divides its pictures and proposes how to train.

    form: the format to take where there are several; again: a card that is there is written anew;
    command: with {} for the folder. A card that is there, and was not left unfinished, is used as
    it is. Raises FolderError, CardError or NothingToTrainError in one line.
    """
    path = card_of(folder, spare_folder()) if os.path.isdir(folder) else None
    trains = command.format(shlex.quote(folder))
    if path is not None and not again:
        card = load_card(path)
        if card.settings or not is_made(card):
            with unreported():
                imdb = _training_set(card)
            return InitResult(path, False, (f"the card {path} is there and is used", _size(imdb)),
                              trains, card.settings, _iterations(imdb))
    found = look(folder, form, seed, made_lists(path) if path is not None else ())
    path = write_card(folder, spare_folder(), found.content, found.lists)
    with unreported():
        imdb = _training_set(load_card(path))
        settings, words = propose(imdb)
    write_card(folder, spare_folder(), {**found.content, "settings": settings}, found.lists)
    turned = len(imdb.notes.get(TURNED, ()))
    if turned:
        words.append(f"{turned} pictures of the training set have an EXIF orientation, which "
                     "training ignores: boxes count pixels as they are stored. If the boxes were "
                     "drawn on the turned pictures, save these pictures turned")
    count = len(imdb.problems)
    if count:
        words.append(f"{count} finding{'s' * (count > 1)} in the training set, which the check and "
                     f"the training name, such as: {imdb.problems[0]}")
    said = [*found.sentences, *words, f"wrote {', '.join([path, *found.lists])}"]
    return InitResult(path, True, tuple(said), trains, settings, _iterations(imdb))


def _training_set(card: Card) -> card_imdb:
    return card_split(card, card.train)


def _iterations(imdb: card_imdb) -> int:
    return proposed_schedule(imdb.num_images)[0].iterations


def _size(imdb: card_imdb) -> str:
    return f"training set {imdb.name}: {imdb.num_images} pictures, {imdb.num_classes - 1} classes"


def propose(imdb: card_imdb) -> tuple[dict[str, Any], list[str]]:
    """Settings for a training set, in the form of a settings file, and sentences about them."""
    boxes, images = _sizes(imdb)
    scale, min_size = proposed_scale(boxes, images), proposed_min_size(boxes)
    anchors = proposed_anchors(imdb, scale.side, scale.cap)
    part: dict[str, Any] = {"SCALES": [scale.side], "MAX_SIZE": scale.cap}
    if min_size < USUAL_MIN_SIZE:
        part["RPN_MIN_SIZE"] = min_size
    changes = proposed_changes(imdb.num_images)
    settings: dict[str, Any] = {"TRAIN": {**part, **changes}, "TEST": copy.deepcopy(part)}
    words = [f"scale: shorter side {scale.side} pixels, longer one at most {scale.cap}; small "
             f"objects ({scale.small[0]:.0f} pixels) then have {scale.small[1]:.0f} pixels"]
    if anchors.are_usual:
        words.append("anchors: the default ones, whose mean overlap with the objects is "
                     f"{anchors.usual:.2f}")
    else:
        settings.update(ANCHOR_SCALES=list(anchors.scales), ANCHOR_RATIOS=list(anchors.ratios))
        words.append(f"anchors: scales {list(anchors.scales)}, ratios {list(anchors.ratios)}; mean "
                     f"overlap with the objects {anchors.overlap:.2f} (default anchors: "
                     f"{anchors.usual:.2f})")
    if changes:
        low, high = changes["SCALE_JITTER"]
        words.append(f"training pictures are changed at random: scaled by {low:g} to {high:g}, "
                     "and in brightness and colour (TRAIN.SCALE_JITTER, TRAIN.COLOR_JITTER)")
    numbers = proposed_schedule(imdb.num_images)[0]
    words.append(f"schedule: {numbers.iterations} iterations of one picture "
                 f"({proposed_epochs(imdb.num_images):.0f} epochs), the learning rate drops "
                 f"after {numbers.drop}; --epochs N or --iters N change this")
    return settings, words


def _sizes(imdb: card_imdb) -> tuple[np.ndarray, np.ndarray]:
    """(N, 2) widths and heights of the objects, and (M, 2) of the pictures that have some."""
    checked = imdb.checked_annotations()
    used: list[tuple[int, list[CheckedObject]]] = [
        (i, found) for i, number in enumerate(imdb.image_index) if (found := checked[number])]
    boxes = np.array([obj.box for _, objects in used for obj in objects if not obj.crowd],
                     np.float64).reshape(-1, 4)
    if not len(boxes):
        such = f"; such as {imdb.problems[0]}" if imdb.problems else ""
        raise NothingToTrainError(f"{imdb.name}: no object can be used: {imdb.left_out()}{such}")
    images = np.array([image_size(imdb.image_path_at(i)) for i, _ in used], np.float64)
    return boxes[:, 2:] - boxes[:, :2] + 1, images

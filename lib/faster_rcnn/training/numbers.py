"""How long to train: as the user says, else as fits the data set."""
import logging
from collections.abc import Sequence
from typing import Any

import caffe
from caffe.core.errors import InputError
from faster_rcnn.training.epochs import StageNumbers, proposed_epochs, stage_numbers

log = logging.getLogger(__name__)


def fitting_numbers(imdbs: Sequence[Any], ims_per_batch: Sequence[int], has_iterations: bool,
                    epochs: float | None) -> tuple[StageNumbers, ...] | None:
    """The StageNumbers of every training step; None where the solvers' or the user's numbers count.

    ims_per_batch: pictures of an iteration of each step, in one process; has_iterations: the user
    said some. Without either the data sets' cards decide (schedule: proposed or solver); data sets
    without a card keep the solvers' numbers. InputError for iterations and epochs together.
    """
    if has_iterations and epochs is not None:
        raise InputError("--iters and --epochs cannot be given together")
    cards = [getattr(imdb, "card", None) for imdb in imdbs]
    is_proposed = all(card is not None and card.schedule == "proposed" for card in cards)
    if has_iterations or (epochs is None and not is_proposed):
        return None
    num_images = sum(len(set(imdb.image_index)) for imdb in imdbs)
    number = proposed_epochs(num_images) if epochs is None else epochs
    numbers = stage_numbers(number, num_images, [count * caffe.solver_count()
                                                 for count in ims_per_batch])
    log.info("%s: %s iterations, %.3g epochs of %d pictures%s",
             "+".join(imdb.name for imdb in imdbs),
             ", ".join(str(one.iterations) for one in numbers), number, num_images,
             ", chosen by their number; --epochs or --iters change this" if epochs is None else "")
    return numbers

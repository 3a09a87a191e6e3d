"""Descriptions at the end of a training, and the figures of a test in them."""
import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from caffe.files import prototxt
from faster_rcnn.datasets.factory import find_card
from faster_rcnn.detectors.description import Description, DescriptionError
from faster_rcnn.detectors.description_files import (
    description_path,
    read_beside,
    weights_file,
    write_beside,
)
from faster_rcnn.detectors.making import describe

log = logging.getLogger(__name__)


def describe_final(weights: str, net: str, classes: Sequence[str], train_imdb: str,
                   training: Mapping[str, Any]) -> None:
    """Writes the description of final weights; cfg holds the settings of their test.

    net: path of the adapted test net; train_imdb: name of the data set. The figures of a test of
    the same weights are kept.
    """
    made = describe(prototxt.read_net(net), classes, weights_file(weights),
                    data=data_names(train_imdb), training=training)
    earlier = _of_the_same(weights)
    if earlier is not None:
        made = replace(made, test=earlier.test)
    log.info("Description: %s", write_beside(made, weights))


def data_names(train_imdb: str) -> dict[str, str]:
    """{"train", "test"}: the data set of a training, and the one to test on where that is known."""
    first = train_imdb.partition("+")[0]
    card, split = find_card(first)
    if card is None:
        return {"train": train_imdb}
    if os.path.exists(first):       # a card or a folder: its test split is meant
        return {"train": train_imdb, "test": os.path.abspath(first)}
    place = first.removesuffix(split)
    if place.endswith(":"):
        place = os.path.abspath(place[:-1]) + ":"
    return {"train": train_imdb, "test": place + card.test}


def write_test(weights: str, description: Description, imdb: Any, metrics: Mapping[str, Any],
               changed: Mapping[str, Any]) -> str:
    """Puts the figures of a test into the description beside weights; returns its path.

    changed: what the test did otherwise than described, by name.
    """
    ap = {name: _figure(of_class["ap"]) for name, of_class in metrics["per_class"].items()}
    figures = {"imdb": imdb.name, "images": imdb.num_images,
               "mean_ap": _figure(metrics["mean_ap"]), "ap": ap}
    if changed:
        figures["otherwise than described"] = dict(changed)
    return write_beside(replace(description, test=figures), weights)


def _figure(value: float) -> float | None:
    """Four digits; None for nan (no objects), which JSON does not have."""
    return None if value != value else round(float(value), 4)


def _of_the_same(weights: str) -> Description | None:
    """The description beside weights, if it is of them."""
    if not os.path.exists(description_path(weights)):
        return None
    try:
        return read_beside(weights)
    except DescriptionError:        # of the weights that were here before
        return None

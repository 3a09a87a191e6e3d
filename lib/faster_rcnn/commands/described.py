"""What the tools take from the description of a detector where the command line says nothing."""
import contextlib
import logging
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from caffe.core.errors import UserError
from caffe.files import prototxt
from faster_rcnn.commands.start import OptionError, find_net, require_file, use_means_of, wait_for
from faster_rcnn.datasets.cards import load_card
from faster_rcnn.datasets.factory import get_imdb
from faster_rcnn.detectors.description import Description
from faster_rcnn.detectors.description_files import weights_file
from faster_rcnn.detectors.finding import Found, opened
from faster_rcnn.detectors.making import describe, settings_of_test
from faster_rcnn.detectors.published import Published, published
from faster_rcnn.detectors.recording import write_test
from faster_rcnn.files.atomic import write_text
from faster_rcnn.networks.text import net_text
from faster_rcnn.prototxts.changes import change_net
from faster_rcnn.prototxts.options import NetOptions
from faster_rcnn.settings.config import get_output_dir

log = logging.getLogger(__name__)

USUAL_NET = "VGG16"     # of weights without a description, where nobody names one


@contextlib.contextmanager
def opened_weights(path: str | None, what: str, hint: str = "",
                   wait: bool = False) -> Iterator[Found]:
    """The weights that an option names, with their description where there is one (finding.py).

    what, hint: for the error where there are none; wait: until they exist.
    """
    if path is None:
        path = require_file(path, what, hint)       # always raises
    if wait:
        wait_for(path, what, wait)
    with opened(path, what, hint) as found:
        yield found


def settings_of(description: Description | None) -> Mapping[str, Any] | None:
    """The described settings, for start.apply_settings."""
    return None if description is None else description.settings


def test_imdb(description: Description | None) -> str | None:
    """The data set that the description names for a test, where it is known here."""
    name = None if description is None else description.data.get("test")
    if name is None:
        return None
    try:
        get_imdb(name, "test")
    except UserError as error:
        log.warning("the described data set %s is not used (%s)", name, error)
        return None
    return name


def net_file(description: Description, weights: str, imdb: Any) -> str:
    """Writes the described net to the results folder of the weights; returns its path."""
    folder = os.path.join(get_output_dir(imdb), os.path.splitext(os.path.basename(weights))[0])
    os.makedirs(folder, exist_ok=True)
    path = os.path.join(folder, "test.prototxt")
    write_text(path, description.net)
    return path


@dataclass(frozen=True)
class Wanted:
    """The detector that a command line names: --net, --def, --card, --boxes; None: not said."""

    net: str | None = None
    prototxt: str | None = None
    card: str | None = None
    given_boxes: bool = False       # Fast R-CNN, on proposals from outside

    @property
    def named(self) -> Published:
        """The detector of the name, or the usual one. Raises UnknownDetectorError."""
        return published(self.net or USUAL_NET, self.given_boxes)

    def settings(self) -> Mapping[str, Any]:
        """The settings of a test, for weights without a description."""
        return {"TEST": {"HAS_RPN": not self.given_boxes,
                         "AGNOSTIC": self.named.method.startswith("rfcn")}}


def describe_wanted(found: Found, wanted: Wanted) -> Description:
    """The description of weights: what the command line says, then the one beside them, then the
    detector of the name. cfg holds the settings.

    Raises OptionError, CardError, UnknownNetError.
    """
    known = found.description
    if wanted.card is None and known is not None:
        classes = known.classes
    else:
        card = wanted.card or wanted.named.card
        classes = load_card(card).classes
        if not classes:
            raise OptionError(f"{card}: a card that lists the classes is needed (--card)")
    if known is not None and wanted.net is None and wanted.prototxt is None:
        net, name = known.net_message(), "the described net"
    else:
        path = find_net(wanted.prototxt or wanted.named.prototxt, "net (--def)")
        net, name = prototxt.read_net(path), os.path.basename(path)
        if known is None:
            use_means_of(path)
    net = change_net(net, NetOptions.from_cfg(len(classes) + 1), name).net
    if known is None:
        return describe(net, classes, weights_file(found.weights))
    made = describe(net, classes, known.weights, known.threshold, known.data, known.training)
    return replace(made, test=known.test)


def check_classes(description: Description, imdb: Any, weights: str) -> None:
    """OptionError unless a data set has the described classes; capitals do not matter."""
    known, wanted = ([name.lower() for name in names]
                     for names in (description.all_classes, imdb.classes))
    if known != wanted:
        raise OptionError(
            f"{weights} finds {', '.join(description.classes)}, but {imdb.name} has the classes "
            f"{', '.join(imdb.classes[1:])} (--imdb); if they only have other names, change "
            "those in the description")


def record_test(found: Found, imdb: Any, metrics: Mapping[str, Any], tested: str) -> None:
    """Puts the figures of a test into the description beside the weights, if there is one.

    tested: path of the adapted test net; cfg holds the settings of the test.
    """
    description = found.description
    if description is None or found.is_temporary:
        return
    try:
        path = write_test(found.weights, description, imdb, metrics,
                          differences(description, tested))
    except OSError as error:
        log.warning("the figures are not in the description: %s", error)
    else:
        log.info("Figures of the test: %s", path)


def differences(description: Description, tested: str) -> dict[str, Any]:
    """What a test did otherwise than described: settings by name, and whether the net differs.

    tested: path of the adapted test net; cfg holds the settings of the test.
    """
    now = settings_of_test(bool(description.settings["TEST"]["HAS_RPN"]))
    described = {**dict(description.settings), "TEST": dict(description.settings["TEST"])}
    flat_now, flat_described = _flat(now), _flat(described)
    changed = {name: value for name, value in flat_now.items()
               if not _equal(value, flat_described.get(name, value))}
    if net_text(prototxt.read_net(tested)) != net_text(description.net_message()):
        changed["net"] = os.path.basename(tested)
    return changed


def _flat(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {**{f"TEST.{key}": value for key, value in settings["TEST"].items()},
            **{key: value for key, value in settings.items() if key != "TEST"}}


def _equal(one: Any, other: Any) -> bool:
    return bool(np.array_equal(np.ravel(one), np.ravel(other)))

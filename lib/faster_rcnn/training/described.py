"""The description beside the final weights of a training by one solver."""
import logging
import os
from collections.abc import Mapping
from typing import Any

import caffe
from caffe.core.errors import UserError
from faster_rcnn.detection.filled import require_filled
from faster_rcnn.detectors.recording import describe_final
from faster_rcnn.networks.store import UnknownNetError, find
from faster_rcnn.prototxts.solver_files import adapt_net
from faster_rcnn.settings.config import cfg

log = logging.getLogger(__name__)


def describe_training(final: str, solver: str, folder: str, imdb: Any, imdb_names: str,
                      figures: Mapping[str, Any]) -> None:
    """Writes the description of final weights, where the solver's folder has a test net for them.

    folder: of the adapted prototxts; imdb: a data set of the training; figures: of its record.
    """
    source = find_test_net(solver)
    if source is None:
        log.warning("%s gets no description, as no test net lies beside %s (TRAIN.VAL_NET names "
                    "one); tools/describe.py makes a description", final, solver)
        return
    net = adapt_net(source, os.path.join(folder, "test"), imdb.num_classes).path
    try:
        require_filled(caffe.Net(net, caffe.TEST, weights=final), final, allow_random=False)
    except UserError as error:
        log.warning("%s gets no description, as it does not fit the test net %s: %s", final, source,
                    error)
        return
    training = {"solver": os.path.basename(solver), "schedule": os.path.basename(
        os.path.dirname(os.path.abspath(solver))), "seed": cfg.RNG_SEED, **figures}
    describe_final(final, net, imdb.classes, imdb_names, training)


def find_test_net(solver: str) -> str | None:
    """The net that tests what a solver trains: TRAIN.VAL_NET, or a prototxt near the solver.

    solver.prototxt goes with test.prototxt, solver_align.prototxt with test_align.prototxt, R-FCN's
    with test_agnostic.prototxt; the folder above and fast_rcnn's serve methods that have none.
    """
    if cfg.TRAIN.VAL_NET:
        return find(cfg.TRAIN.VAL_NET, cfg.ROOT_DIR, "test net (TRAIN.VAL_NET)")
    folder, name = os.path.split(solver)
    suffix = os.path.splitext(name)[0].removeprefix("solver")
    for candidate in (f"test{suffix}.prototxt", "test.prototxt", "test_agnostic.prototxt",
                      "../test.prototxt", "../fast_rcnn/test.prototxt"):
        try:
            return find(os.path.normpath(os.path.join(folder, candidate)), cfg.ROOT_DIR)
        except UnknownNetError:
            continue
    return None

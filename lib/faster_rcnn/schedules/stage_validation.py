"""Validation of the stages of a schedule on TRAIN.VAL_IMDB.

An RPN is judged by the recall of its proposals. The detector of a stage shares no layers with an
RPN, or not all, so that it is judged on proposals: those that the RPN which made its training rois
makes for the split, in the number of a test.
"""
import logging
import os
from typing import Any

import caffe
from faster_rcnn.detection.proposals import imdb_proposals
from faster_rcnn.prototxts.given_rois import write_with_given_rois
from faster_rcnn.runs import processes
from faster_rcnn.runs.fingerprint import data_hash
from faster_rcnn.schedules.actions import write_proposals
from faster_rcnn.training.validation import RecallValidation, Validation, validation_imdb

log = logging.getLogger(__name__)


class StageValidation:
    """Makes the Validation of each stage; trained: the data set of the training.

    nets: the adapted test nets of the RPN and of the detector, paths; output_dir and net_name:
    where files go, and what their names start with.
    """

    def __init__(self, trained: Any, nets: tuple[str, str], output_dir: str, net_name: str) -> None:
        self._trained, self._stem = trained, os.path.join(output_dir, net_name)
        self._rpn_net, self._detector_net = nets
        validation_imdb(trained)        # refuses now what does not fit, not after a stage

    def hash(self) -> str:
        """Hash of the split, for the record of the steps."""
        return data_hash(validation_imdb(self._trained))

    def of_step(self, name: str, rpn_weights: str | None) -> Validation:
        """The validation of a step; rpn_weights: the RPN behind its training rois, None for a step
        that trains an RPN itself.
        """
        imdb, folder = validation_imdb(self._trained), f"{os.path.basename(self._stem)}_{name}"
        if rpn_weights is None:
            imdb.set_proposal_method("gt")      # recall is that of the annotated boxes
            return RecallValidation(self._rpn_net, imdb, f"{folder}_validation")
        if processes.is_first():
            self._give_proposals(imdb, rpn_weights)
        net = write_with_given_rois(self._detector_net, os.path.join(
            os.path.dirname(self._detector_net), "validation_on_given_rois.pt"))
        return Validation(net, imdb, f"{folder}_validation", {"HAS_RPN": False})

    def _give_proposals(self, imdb: Any, rpn_weights: str) -> None:
        log.info("Making proposals for %s, to validate with", imdb.name)
        path = f"{os.path.splitext(rpn_weights)[0]}_validation_proposals.pkl"
        net = caffe.Net(self._rpn_net, rpn_weights, caffe.TEST)
        write_proposals(path, imdb_proposals(net, imdb) or [])
        imdb.config["rpn_file"] = path
        imdb.set_proposal_method("rpn")

"""What a step was made from: which settings count, and that reading them changes nothing."""
import copy

import numpy as np
import pytest

from faster_rcnn.runs.fingerprint import (
    NoAnnotationsError,
    data_hash,
    proposals_hash,
    settings_in_force,
)
from faster_rcnn.schedules.alternating import FASTER_RCNN
from faster_rcnn.schedules.rfcn import RFCN_5_STAGES
from faster_rcnn.schedules.tables import SECTIONS, Kind
from faster_rcnn.settings.config import cfg, cfg_override


class Pictures:
    """A data set of two pictures that do not exist."""

    name, classes, file_methods = "pictures", ["__background__", "cell"], ("rpn",)

    def __init__(self):
        self.config = {"proposal_file": "as before", "rpn_file": None}
        self.boxes = np.array([[1, 2, 3, 4]], np.uint16)

    def image_path_at(self, i):
        return f"{i}.png"

    def gt_roidb(self):
        return [{"boxes": self.boxes, "gt_classes": np.array([1])} for _ in range(2)]

    def proposal_path(self, method):
        return self.config["proposal_file"]


def test_settings_of_the_sections_that_are_read():
    with cfg_override(TRAIN={"SCALES": (400,)}, EXP_DIR="elsewhere"):
        found = settings_in_force(cfg, ("TRAIN",))
    assert found["TRAIN.SCALES"] == [400] and found["RNG_SEED"] == 3
    assert found["PIXEL_MEANS"] == [[[102.9801, 115.9465, 122.7717]]]
    assert not [name for name in found if name.startswith("TEST.")]
    assert not {"EXP_DIR", "GPU_ID", "TRAIN.LOADER_THREADS", "TRAIN.CURVE_ITERS"} & set(found)


def test_hashes_change_nothing(tmp_path):
    pictures, before = Pictures(), Pictures()
    path = tmp_path / "pictures.pkl"
    path.write_bytes(b"boxes")
    settings = copy.deepcopy(cfg)
    one = data_hash(pictures)
    found = proposals_hash(pictures, "rpn", str(tmp_path / "{imdb}.pkl"))
    settings_in_force(cfg, ("TRAIN", "TEST"))
    assert vars(pictures).keys() == vars(before).keys() and pictures.config == before.config
    assert str(settings) == str(cfg)
    pictures.boxes = pictures.boxes + 1
    path.write_bytes(b"other boxes")
    assert data_hash(pictures) != one
    assert proposals_hash(pictures, "rpn", str(path)) != found
    assert proposals_hash(pictures, "gt", "") is None


def test_a_class_without_annotations_is_named():
    class Nothing:
        name = "nothing"
    with pytest.raises(NoAnnotationsError, match="nothing: its class Nothing must have a method"):
        data_hash(Nothing())


@pytest.mark.parametrize("schedule", (FASTER_RCNN, RFCN_5_STAGES))
def test_a_step_records_the_sections_that_it_overrides(schedule):
    for step in schedule.steps:
        assert set(step.settings) <= set(SECTIONS[step.kind]), step.name
    assert SECTIONS[Kind.STATISTICS] == ("TRAIN", "TEST")      # images are scaled as in a test

"""PASCAL VOC as its devkit lays it out."""
import dataclasses
import os

from faster_rcnn.datasets.cards import load_card
from faster_rcnn.datasets.voc_imdb import voc_imdb
from faster_rcnn.settings.config import cfg

DEFAULT_CARD = "voc_2007"


class pascal_voc(voc_imdb):
    """A split of VOC<year> in a devkit folder; DATA_DIR/VOCdevkit<year> by default.

    Results files go to <devkit>/results/VOC<year>/Main. From 2010 on VOC's metric is the area
    under the curve.
    """

    def __init__(self, image_set: str, year: str | int, devkit_path: str | None = None) -> None:
        self._year = str(year)
        self._devkit_path = devkit_path or self._get_default_path()
        self._data_path = os.path.join(self._devkit_path, "VOC" + self._year)
        if not os.path.isdir(self._data_path):
            raise FileNotFoundError(f"the VOC devkit folder {self._data_path} does not exist; "
                                    "data/README.md says how to get it")
        card = dataclasses.replace(load_card(DEFAULT_CARD), name="voc_" + self._year, splits={},
                                   roots=(self._data_path,), path="",
                                   metric="voc07" if int(self._year) < 2010 else "area")
        voc_imdb.__init__(self, card, image_set)

    def _get_default_path(self) -> str:
        return os.path.join(cfg.DATA_DIR, "VOCdevkit" + self._year)

    def _get_results_folder(self, output_dir: str) -> str:
        return os.path.join(self._devkit_path, "results", "VOC" + self._year, "Main")

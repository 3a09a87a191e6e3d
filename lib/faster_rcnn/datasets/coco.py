"""COCO as its files are laid out."""
import os

from faster_rcnn.datasets.cards import Card
from faster_rcnn.datasets.coco_imdb import coco_imdb
from faster_rcnn.settings.config import cfg

SPLITS = {"2014": ("train", "val", "minival", "valminusminival"), "2015": ("test", "test-dev"),
          "2017": ("train", "val", "test", "test-dev")}
# Splits that are parts of another one, in whose folder their images are
PART_OF = {"minival2014": "val2014", "valminusminival2014": "val2014", "test-dev2015": "test2015",
           "test-dev2017": "test2017"}


class coco(coco_imdb):
    """A split of COCO in DATA_DIR/coco: annotations/, and images/<set><year> or <set><year>.

    Proposals are in DATA_DIR/coco_proposals.
    """

    proposal_folder = "coco_proposals"

    def __init__(self, image_set: str, year: str | int) -> None:
        self._year = str(year)
        root = os.path.join(cfg.DATA_DIR, "coco")
        if not os.path.isdir(root):
            raise FileNotFoundError(f"the COCO folder {root} does not exist; data/README.md says "
                                    "how to get it")
        folder = PART_OF.get(image_set + self._year, image_set + self._year)
        images = os.path.join("images", folder)
        if not os.path.isdir(os.path.join(root, images)):
            images = folder
        kind = "image_info" if "test" in image_set else "instances"
        annotations = os.path.join("annotations", f"{kind}_{image_set}{self._year}.json")
        coco_imdb.__init__(self, Card(
            name="coco_" + self._year, roots=(root,), classes=(), format="coco", metric="coco",
            splits={image_set: (annotations, images, "")}, train=image_set, test=image_set,
            schedule="solver"), image_set)

    def _results_name(self) -> str:
        return self._image_set + self._year

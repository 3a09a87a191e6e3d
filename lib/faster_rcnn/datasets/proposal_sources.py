"""The proposal methods of data sets: rois that were made elsewhere, for nets without an RPN."""
import os

import numpy as np

from faster_rcnn.datasets.imdb import imdb
from faster_rcnn.datasets.proposal_files import (
    MatlabFormat,
    ProposalError,
    check_inside,
    read_proposals,
)
from faster_rcnn.images.reading import image_size
from faster_rcnn.settings.config import cfg

# Folders of the methods below <proposal_folder>, as py-faster-rcnn's coco.py names them
FOLDERS = {"selective_search": "selective_search", "edge_boxes": "edge_boxes_AR", "mcg": "MCG"}


class ProposalSources(imdb):
    """An imdb with annotations (`gt_roidb`, `has_annotations`) that reads proposal files.

    The methods are selective_search, edge_boxes, mcg and rpn. Which file is read:

        config["proposal_file"]   where it is set (`set_proposal_method(method, path)`)
        config["rpn_file"]        for rpn
        DATA_DIR/selective_search_data/<name>.mat, or else
        DATA_DIR/<proposal_folder>/<folder of the method>/mat/, a file per image

    config: min_size, smallest side of a box in pixels; top_k, most boxes taken of an image's file.
    """

    proposal_folder = "proposals"
    file_methods = (*FOLDERS, "rpn")

    @property
    def has_annotations(self) -> bool:
        """False for a test set whose annotations are kept secret."""
        raise NotImplementedError(f"{type(self).__name__} must define has_annotations")

    def gt_roidb(self) -> list[dict]:
        """The annotated boxes."""
        raise NotImplementedError(f"{type(self).__name__} must define gt_roidb")

    def selective_search_roidb(self) -> list[dict]:
        """Annotated boxes, and selective search boxes (Uijlings et al. 2013)."""
        return self._proposal_roidb("selective_search")

    def edge_boxes_roidb(self) -> list[dict]:
        """Annotated boxes, and EdgeBoxes tuned for average recall (Zitnick and Dollar 2014)."""
        return self._proposal_roidb("edge_boxes")

    def mcg_roidb(self) -> list[dict]:
        """Annotated boxes, and those of MCG (Arbelaez et al. 2014)."""
        return self._proposal_roidb("mcg")

    def rpn_roidb(self) -> list[dict]:
        """Annotated boxes, and proposals of an RPN (tools/rpn_generate.py)."""
        return self._proposal_roidb("rpn")

    def _proposal_roidb(self, method: str) -> list[dict]:
        path = self.proposal_path(method)
        paths = [self.image_path_at(i) for i in range(self.num_images)]
        names = [os.path.splitext(os.path.basename(image))[0] for image in paths]
        # selective search files of a whole image set and all of MCG's count rows first
        rows_first = method == "mcg" or (method == "selective_search" and not os.path.isdir(path))
        options = MatlabFormat(rows_first, self.config.get("min_size", 2),
                              self.config.get("top_k", 2000))
        box_list = read_proposals(path, names, options)
        for boxes, image in zip(box_list, paths):
            check_inside(boxes, image_size(image), f"{path}, image {image}")
        return self._with_annotations(box_list)

    def proposal_path(self, method: str) -> str:
        """The file or folder that a method reads; an error with a hint when there is none."""
        given = self.config.get("proposal_file") or (
            self.config.get("rpn_file") if method == "rpn" else None)
        if given:
            if not os.path.exists(given):
                raise FileNotFoundError(f"the proposals file {given} does not exist; "
                                        "tools/rpn_generate.py makes one of an RPN's proposals")
            return given
        if method == "rpn":
            raise ProposalError(f'{self.name}: set TRAIN.PROPOSAL_FILE, TEST.PROPOSAL_FILE or '
                                'config["rpn_file"] to a proposals file (tools/rpn_generate.py)')
        data = os.path.abspath(cfg.DATA_DIR)
        places = [os.path.join(data, self.proposal_folder, FOLDERS[method], "mat")]
        if method == "selective_search":
            places.insert(0, os.path.join(data, "selective_search_data", self.name + ".mat"))
        for place in places:
            if os.path.exists(place):
                return place
        raise FileNotFoundError(
            f"the {method.replace('_', ' ')} boxes {' or '.join(places)} do not exist; "
            "data/README.md says where they come from, TRAIN.PROPOSAL_FILE and TEST.PROPOSAL_FILE "
            "name other places")

    def _with_annotations(self, box_list: list[np.ndarray]) -> list[dict]:
        """The roidb of proposals behind the annotations, where there are any."""
        if not self.has_annotations:
            return self.create_roidb_from_box_list(box_list, None)
        gt_roidb = self.gt_roidb()
        return self.merge_roidbs(gt_roidb, self.create_roidb_from_box_list(box_list, gt_roidb))

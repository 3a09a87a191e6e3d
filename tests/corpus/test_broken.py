"""Every file of the corpus is refused in one line that names it, or read; nothing else happens."""
import math
import os
import resource
from collections import Counter

import cv2
import numpy as np
import pytest
from make_broken import corpus

from caffe.core.errors import UserError
from caffe.files import prototxt, weights
from faster_rcnn.annotations.coco_json import read_coco
from faster_rcnn.annotations.voc_xml import read_annotation
from faster_rcnn.datasets.cards import Card, load_card
from faster_rcnn.datasets.proposal_files import MatlabFormat, matlab_boxes, read_proposals
from faster_rcnn.datasets.samples.voc_files import read_split
from faster_rcnn.evaluation.voc_eval import read_results
from faster_rcnn.files import safe_pickle, safe_yaml
from faster_rcnn.files.reading import read_text
from faster_rcnn.images.reading import image_fault, read_image
from faster_rcnn.pretrained.reading.checkpoints import read_checkpoint
from faster_rcnn.training import checkpoint

# what a kind's reader raises; UserError elsewhere
ERRORS = {"npz": ValueError}
MEMORY = 400_000        # KB more than before, at most, for all files of a kind
CORPUS = corpus()


def read_card(path):
    assert load_card(path).classes != ()


def read_yaml(path):
    text = read_text(path)
    value, lines = safe_yaml.load(text, path), safe_yaml.key_lines(text, path)
    assert not isinstance(value, dict) or len(lines) >= len(value)


def read_voc(path):
    for obj in read_annotation(path).objects:
        assert obj.box is None and obj.problem or len(obj.box) == 4


def read_json(path):
    for objects in (read_coco(path).objects or {}).values():
        for obj in objects:
            assert obj.box is None and obj.problem or len(obj.box) == 4


def read_list(path):
    root = os.path.join(os.path.dirname(path), "set")
    os.makedirs(os.path.join(root, "JPEGImages"), exist_ok=True)
    for name in "ab":
        cv2.imwrite(os.path.join(root, "JPEGImages", f"{name}.jpg"), np.zeros((9, 9, 3), np.uint8))
    samples, problems = read_split(Card("c", (root,), ("x",), {"s": (path,)}), "s")
    assert samples or problems


def read_picture(path):
    im = read_image(path)
    assert im.ndim == 3 and im.dtype == np.uint8 and image_fault(path) == ""


def read_voc_results(path):
    found = read_results(path)
    assert found.boxes.shape == (len(found.image_ids), 4)


def read_given_proposals(path):
    for boxes in read_proposals(path, ["a", "b"], MatlabFormat(False, 0, 0)):
        assert boxes.shape[1] == 4 and boxes.dtype == np.float32


def read_tensors(path):
    tensors, _ = read_checkpoint(path)
    assert sum(tensor.numel() for tensor in tensors.values()) < 1 << 20


def read_weights(path):
    for blobs in weights.read_weights(path).values():
        assert all(math.prod(blob.shape) == np.asarray(blob).size for blob in blobs)


READERS = {
    "card": read_card, "yaml": read_yaml, "annotation": read_voc, "coco": read_json,
    "list": read_list, "results": read_voc_results, "image": read_picture,
    "pickle": safe_pickle.load, "proposals": read_given_proposals, "matlab": matlab_boxes,
    "npz": checkpoint.read, "pth": read_tensors, "safetensors": read_tensors,
    "prototxt": prototxt.read_net, "solver": prototxt.read_solver, "caffemodel": read_weights}


def test_the_corpus_is_large_and_has_every_kind():
    assert len(CORPUS) >= 400 and {broken.kind for broken in CORPUS} == set(READERS)
    assert len({(broken.kind, broken.content) for broken in CORPUS}) > 0.8 * len(CORPUS)


@pytest.mark.parametrize("kind", READERS)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_broken_files(kind, tmp_path):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    outcomes = Counter()
    for broken in (file for file in CORPUS if file.kind == kind):
        path = tmp_path / broken.name
        path.write_bytes(broken.content)
        try:
            READERS[kind](str(path))
            outcome = "read"
        except ERRORS.get(kind, UserError) as error:
            outcome = "refused"
            assert broken.name in str(error) and "\n" not in str(error), (broken.name, str(error))
            assert len(str(error)) < 2000, broken.name
        assert outcome == "refused" or not broken.refused, broken.name
        outcomes[outcome] += 1
    assert outcomes["refused"] > 0
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < MEMORY

"""Detection with a trained net: one image, or a whole image database with its evaluation."""
import logging
import os
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from caffe.core.errors import InputError
from caffe.core.logs import Timer
from caffe.core.packages import require
from faster_rcnn.boxes.nms import suppress
from faster_rcnn.boxes.transform import bbox_transform_inv, clip_boxes
from faster_rcnn.detection.inputs import NetInput, forward, rois_of_images, stacked_blobs
from faster_rcnn.detection.options import TestOptions
from faster_rcnn.detection.passes import in_passes
from faster_rcnn.detection.refinement import select_detections
from faster_rcnn.files import safe_pickle
from faster_rcnn.images.reading import read_image
from faster_rcnn.prototxts.heads import the_output
from faster_rcnn.reports.names import distinct_names
from faster_rcnn.reports.visualize import draw_detections, write_image
from faster_rcnn.runs import processes
from faster_rcnn.runs.progress import ImageProgress
from faster_rcnn.settings.config import get_output_dir

log = logging.getLogger(__name__)

Detections = tuple[np.ndarray, np.ndarray]


def im_detect(net: Any, im: np.ndarray, boxes: np.ndarray | None = None) -> Detections:
    """Scores and boxes of all classes for one image, as cfg.TEST says now.

    net:   caffe.Net with outputs cls_prob and bbox_pred
    im:    (h, w, 3), BGR
    boxes: (R, 4) rois in pixels of the image; None for a net that makes its own (TEST.HAS_RPN)
    Returns scores (R, K), background first, and boxes (R, 4 K), clipped to the image; copies, which
    the next image leaves alone. R is 0 where the net makes no rois.
    """
    options = TestOptions.from_cfg()
    return detect(net, NetInput(im, boxes, options), options)


def detect(net: Any, given: NetInput, options: TestOptions) -> Detections:
    """im_detect with explicit options, on an input that was made with them."""
    return detect_together(net, [given], options)[0]


def detect_together(net: Any, given: Sequence[NetInput], options: TestOptions) -> list[Detections]:
    """`detect` for images whose blobs have equal shapes, in one pass; several images need a net
    that makes its own rois."""
    outputs = forward(net, stacked_blobs(given), _outputs(options))
    scores = _rows(net.blobs["cls_score"].data if options.svm else the_output(outputs, "cls_prob"))
    deltas = _rows(the_output(outputs, "bbox_pred")) if options.bbox_reg else None
    found = []
    for one, rois, rows in _rois(net, given):
        of_image = None if deltas is None else deltas[rows]
        found.append(_decoded(one, rois, scores[rows], of_image, options))
    return found


def _rois(net: Any, given: Sequence[NetInput]) -> Iterable[tuple[NetInput, Any, Any]]:
    """(input, its rois in pixels of the image, their rows in the blobs) of each image."""
    if "im_info" in given[0].blobs:
        return rois_of_images(net.blobs["rois"].data, given)
    return [(given[0], given[0].boxes, slice(None))]


def _decoded(given: NetInput, rois: np.ndarray, scores: np.ndarray, deltas: np.ndarray | None,
             options: TestOptions) -> Detections:
    """Scores (R, K) and boxes (R, 4 K) of an image from its rois and their deltas."""
    if deltas is None:
        boxes = np.tile(np.asarray(rois, np.float32), (1, scores.shape[1]))
    else:
        boxes = clip_boxes(bbox_transform_inv(rois, deltas, options.max_log_scale), given.im.shape)
        boxes = _for_all_classes(boxes, scores.shape[1], options.agnostic)
    return scores[given.inverse].copy(), boxes[given.inverse].copy()


def _rows(blob: np.ndarray) -> np.ndarray:
    """A blob (R, ...) as (R, columns); R may be 0."""
    return blob.reshape(len(blob), int(np.prod(blob.shape[1:])))


def _outputs(options: TestOptions) -> tuple[str, ...]:
    """The blobs that detections are made of."""
    return (*(["bbox_pred"] if options.bbox_reg else []),
            "cls_score" if options.svm else "cls_prob", *(["rois"] if options.has_rpn else []))


def num_scores(net: Any, options: TestOptions) -> int:
    """For how many classes a net has scores, the background among them."""
    shape = net.blobs["cls_score" if options.svm else "cls_prob"].data.shape
    return int(np.prod(shape[1:]))


def _for_all_classes(boxes: np.ndarray, num_classes: int, agnostic: bool) -> np.ndarray:
    """Boxes (R, 4 K); with TEST.AGNOSTIC those of "object", columns 4 to 7, once per class."""
    if agnostic:
        return np.tile(boxes[:, 4:8], (1, num_classes))
    if boxes.shape[1] != 4 * num_classes:
        raise InputError(f"bbox_pred has {boxes.shape[1]} columns for {num_classes} classes; a net "
                         "that regresses boxes of all classes alike (8 columns) needs "
                         "TEST.AGNOSTIC True")
    return boxes


def test_net(net: Any, imdb: Any, max_per_image: int = 100, thresh: float = 0.05,
             vis: bool = False, shared: bool = False) -> Any:
    """Detects on all images of a database, writes detections.pkl and has it evaluated.

    detections.pkl, in the net's folder under output/, holds all_boxes[class][image], (n, 5) each:
    x1, y1, x2, y2, score (an empty list for the background). Shows a bar, or logs `im_detect: i/N
    Xs Ys`, the mean times of the net and of the rest. vis: also write a picture of every image.
    shared: the processes of torchrun share the images, and rank 0 does the rest.
    Returns what imdb.evaluate_detections returns, on other ranks None.
    """
    options = TestOptions.from_cfg()
    output_dir = get_output_dir(imdb, net)
    images = processes.share(imdb.num_images) if shared else range(imdb.num_images)
    own = _found(net, imdb, images, (max_per_image, thresh), options,
                 os.path.join(output_dir, "pictures") if vis else None)
    found = processes.gathered_images(own) if shared else own
    if found is None:
        return None
    all_boxes: list[list] = [[[] for _ in range(imdb.num_images)]]
    all_boxes += [[found[i][k] for i in range(imdb.num_images)]
                  for k in range(imdb.num_classes - 1)]
    safe_pickle.dump(all_boxes, os.path.join(output_dir, "detections.pkl"))
    log.info("Evaluating detections")
    return imdb.evaluate_detections(all_boxes, output_dir)


def _found(net: Any, imdb: Any, images: Sequence[int], limits: tuple[int, float],
           options: TestOptions, pictures: str | None) -> dict[int, list[np.ndarray]]:
    """{image: detections of each class but the background}. limits: max_per_image, thresh;
    pictures: the folder for a picture of every image."""
    max_per_image, thresh = limits
    roidb = None if options.has_rpn else imdb.roidb

    def load(index: int) -> NetInput:
        boxes = None if roidb is None else roidb[index]["boxes"][roidb[index]["gt_classes"] == 0]
        return NetInput(read_image(imdb.image_path_at(index)), boxes, options)

    def run(given: Sequence[NetInput]) -> list[Detections]:
        return detect_together(net, given, options)

    detect_timer, rest_timer = Timer(), Timer()
    found: dict[int, list[np.ndarray]] = {}
    progress = ImageProgress("im_detect", imdb.num_images)
    names = ([] if pictures is None else
             distinct_names([imdb.image_path_at(i) for i in range(imdb.num_images)]))
    for i, given, (scores, boxes) in in_passes(imdb, images, load, run, options, detect_timer):
        rest_timer.tic()
        dets = select_detections(scores, boxes, thresh, options.nms, max_per_image,
                                 options.refinement)
        found[i] = dets[1:]
        rest_timer.toc()
        if pictures is not None:
            _write_picture(os.path.join(pictures, f"{names[i]}.jpg"), imdb, given.im, dets)
        seconds = detect_timer.total_time / len(found)
        progress.update(images[len(found) - 1] + 1,
                        f"{seconds:.3f}s {rest_timer.average_time:.3f}s")
    progress.close()
    return {i: found[i] for i in images}


def apply_nms(all_boxes: list[list], thresh: float) -> list[list]:
    """NMS on all_boxes[class][image], each (n, 5) or an empty list; returns the same form."""
    return [[dets[suppress(dets, thresh)] if len(dets) else [] for dets in of_class]
            for of_class in all_boxes]


def vis_detections(im: np.ndarray, class_name: str, dets: np.ndarray,
                   thresh: float = 0.3) -> None:
    """Shows the detections (n, 5) of one class with scores >= thresh in a window of matplotlib."""
    require("matplotlib")
    import matplotlib.pyplot as plt
    plt.imshow(draw_detections(im, {class_name: dets}, thresh)[:, :, ::-1])
    plt.axis("off")
    plt.show()


def _write_picture(path: str, imdb: Any, im: np.ndarray, dets: list[np.ndarray],
                   thresh: float = 0.3) -> None:
    by_class = {imdb.classes[k]: dets[k] for k in range(1, imdb.num_classes)}
    write_image(path, draw_detections(im, by_class, thresh, imdb.classes[1:]))

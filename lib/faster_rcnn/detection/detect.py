"""Detection with a trained net: one image, or a whole image database with its evaluation."""
import os

import numpy as np

from faster_rcnn.boxes import geometry
from faster_rcnn.boxes.transform import bbox_transform_inv, clip_boxes
from faster_rcnn.boxes.voting import bbox_vote as nms_bbox_vote
from faster_rcnn.detection.image_blob import forward, image_and_info_blobs, image_blob
from faster_rcnn.detection.nms_wrapper import nms
from faster_rcnn.detection.refinement import Refinement, select_detections
from faster_rcnn.files import safe_pickle
from faster_rcnn.files.read_ahead import read_ahead
from faster_rcnn.images.reading import read_image
from faster_rcnn.prototxts.heads import the_output
from faster_rcnn.reports.names import distinct_names
from faster_rcnn.reports.visualize import draw_detections, write_image
from faster_rcnn.runs import processes
from faster_rcnn.runs.timer import Timer
from faster_rcnn.settings.config import cfg, get_output_dir

# with several scales a roi goes to the one where its area is nearest to this (Fast R-CNN)
_ROI_AREA = 224 * 224


def im_detect(net, im, boxes=None):
    """Scores and boxes of all classes for one image.

    net:   caffe.Net with outputs cls_prob and bbox_pred
    im:    (h, w, 3), blue green red
    boxes: (R, 4) rois in pixels of the image; None for a net that makes its own (TEST.HAS_RPN)
    Returns scores (R, K), background first, and boxes (R, 4 K), clipped to the image.
    """
    return _detect(net, _Input(im, boxes))


class _Input:
    """One image, and rois where the net makes none, as blobs; test_net makes it ahead of time."""

    def __init__(self, im, boxes=None):
        self.im = im
        self.boxes = boxes
        self.inverse = slice(None)      # the unique roi of each given one
        if cfg.TEST.HAS_RPN:
            self.blobs = image_and_info_blobs(im)
            return
        if boxes is None:
            raise ValueError("im_detect needs boxes for a net without RPN; set TEST.HAS_RPN True "
                             "(--cfg experiments/cfgs/...) for a net with one")
        blob, scales = image_blob(im)
        rois = _get_rois_blob(boxes, scales)
        if cfg.DEDUP_BOXES > 0:
            index, self.inverse = _unique_rois(rois)
            rois, self.boxes = rois[index], boxes[index]
        self.blobs = {"data": blob, "rois": rois}


def _detect(net, given):
    outputs = forward(net, given.blobs, _outputs())
    boxes = given.boxes
    if "im_info" in given.blobs:
        boxes = net.blobs["rois"].data[:, 1:5] / np.float32(given.blobs["im_info"][0, 2])
    scores = net.blobs["cls_score"].data.copy() if cfg.TEST.SVM else (
        the_output(outputs, "cls_prob"))
    scores = scores.reshape(len(scores), -1)
    if cfg.TEST.BBOX_REG:
        deltas = the_output(outputs, "bbox_pred").reshape(len(scores), -1)
        pred_boxes = clip_boxes(bbox_transform_inv(boxes, deltas, cfg.BBOX_MAX_LOG_SCALE),
                                given.im.shape)
        pred_boxes = _for_all_classes(pred_boxes, scores.shape[1])
    else:
        pred_boxes = np.tile(np.asarray(boxes, np.float32), (1, scores.shape[1]))
    return scores[given.inverse], pred_boxes[given.inverse]


def _outputs():
    """The blobs that detections are made of, by the settings in cfg.TEST."""
    return (*(["bbox_pred"] if cfg.TEST.BBOX_REG else []),
            "cls_score" if cfg.TEST.SVM else "cls_prob", *(["rois"] if cfg.TEST.HAS_RPN else []))


def _for_all_classes(boxes, num_classes):
    """Boxes (R, 4 K); with TEST.AGNOSTIC those of "object", columns 4 to 7, once per class."""
    if cfg.TEST.AGNOSTIC:
        return np.tile(boxes[:, 4:8], (1, num_classes))
    if boxes.shape[1] != 4 * num_classes:
        raise ValueError(f"bbox_pred has {boxes.shape[1]} columns for {num_classes} classes; a net "
                         "that regresses boxes of all classes alike (8 columns) needs "
                         "TEST.AGNOSTIC True")
    return boxes


# The original's names, which other programs use (_get_image_blob: image_blob)
_get_image_blob = image_blob


def _get_blobs(im, rois):
    """The inputs of a net for an image, {"data", "rois"}, and the scale factors of its levels."""
    data, scales = image_blob(im)
    return {"data": data, "rois": None if rois is None else _get_rois_blob(rois, scales)}, scales


def bbox_vote(dets_NMS, dets_all, thresh=0.5):  # noqa: N803  (PVANet's names)
    """Box voting (nms/bbox_vote.py) as cfg.TEST.BBOX_VOTE_* say: (K, 5) for (K, 5) and (N, 5)."""
    return nms_bbox_vote(dets_NMS, dets_all, thresh, cfg.TEST.BBOX_VOTE_N_WEIGHTED_SCORE,
                         cfg.TEST.BBOX_VOTE_WEIGHT_EMPTY)


def _get_rois_blob(im_rois, im_scale_factors):
    """Rois (R, 4) of an image as network input (R, 5) float32: pyramid level, scaled box."""
    rois, levels = _project_im_rois(im_rois, im_scale_factors)
    return np.hstack([levels, rois]).astype(np.float32)


def _project_im_rois(im_rois, scales):
    """Rois (R, 4) scaled to the level that suits each, and the levels (R, 1)."""
    im_rois, scales = np.asarray(im_rois, np.float64), np.asarray(scales, np.float64)
    level_areas = geometry.areas(im_rois)[:, None] * scales ** 2
    levels = np.abs(level_areas - _ROI_AREA).argmin(1)[:, None]
    return im_rois * scales[levels], levels


def _unique_rois(rois):
    """Rows that stand for all rois (R, 5) equal after rounding, and the place of each roi's among
    them. The rows come in the order of py-faster-rcnn's hash (test.py)."""
    hashes = np.round(rois * cfg.DEDUP_BOXES).dot([1, 1e3, 1e6, 1e9, 1e12])
    _, index, inverse = np.unique(hashes, return_index=True, return_inverse=True)
    return index, inverse


def test_net(net, imdb, max_per_image=100, thresh=0.05, vis=False, shared=False):
    """Detects on all images of a database, writes detections.pkl and has it evaluated.

    detections.pkl, in the net's folder under output/, holds all_boxes[class][image], (n, 5) each:
    x1, y1, x2, y2, score (an empty list for the background). Prints `im_detect: i/N Xs Ys`, the
    mean times of the net and of the rest. vis: also write a picture of every image.
    shared: the processes of torchrun share the images out, and the first does the rest.
    Returns what imdb.evaluate_detections returns, in the other processes None.
    """
    refinement = Refinement.of(cfg.TEST)
    num_images = len(imdb.image_index)
    output_dir = get_output_dir(imdb, net)
    roidb = None if cfg.TEST.HAS_RPN else imdb.roidb
    names = distinct_names([imdb.image_path_at(i) for i in range(num_images)]) if vis else ()

    def load(index):
        boxes = None if roidb is None else roidb[index]["boxes"][roidb[index]["gt_classes"] == 0]
        return _Input(read_image(imdb.image_path_at(index)), boxes)

    detect_timer, rest_timer = Timer(), Timer()
    found, images = {}, processes.share(num_images) if shared else range(num_images)
    for i, given in zip(images, read_ahead(load, images)):
        detect_timer.tic()
        scores, boxes = _detect(net, given)
        detect_timer.toc()
        rest_timer.tic()
        dets = select_detections(scores, boxes, thresh, cfg.TEST.NMS, max_per_image, refinement)
        found[i] = dets[1:]
        rest_timer.toc()
        if vis:
            _write_picture(output_dir, names[i], imdb, given.im, dets)
        print(f"im_detect: {i + 1}/{num_images} {detect_timer.average_time:.3f}s "
              f"{rest_timer.average_time:.3f}s", flush=True)

    found = processes.gathered_images(found) if shared else found
    if found is None:
        return None
    all_boxes = [[[] for _ in range(num_images)]]
    all_boxes += [[found[i][k] for i in range(num_images)] for k in range(imdb.num_classes - 1)]
    safe_pickle.dump(all_boxes, os.path.join(output_dir, "detections.pkl"))
    print("Evaluating detections", flush=True)
    return imdb.evaluate_detections(all_boxes, output_dir)


def apply_nms(all_boxes, thresh):
    """NMS on all_boxes[class][image], each (n, 5) or an empty list; returns the same form."""
    return [[dets[nms(dets, thresh, force_cpu=True)] if len(dets) else [] for dets in of_class]
            for of_class in all_boxes]


def vis_detections(im, class_name, dets, thresh=0.3):
    """Shows the detections (n, 5) of one class with scores >= thresh in a window of matplotlib."""
    import matplotlib.pyplot as plt
    plt.imshow(draw_detections(im, {class_name: dets}, thresh)[:, :, ::-1])
    plt.axis("off")
    plt.show()


def _write_picture(output_dir, name, imdb, im, dets, thresh=0.3):
    by_class = {imdb.classes[k]: dets[k] for k in range(1, imdb.num_classes)}
    write_image(os.path.join(output_dir, "pictures", name + ".jpg"),
                draw_detections(im, by_class, thresh, imdb.classes[1:]))

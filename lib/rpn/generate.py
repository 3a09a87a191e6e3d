"""Proposals of a trained RPN for single images and for whole image databases."""
import numpy as np

from fast_rcnn.image_blob import forward, image_and_info_blobs
from utils.images import read_image
from utils.read_ahead import read_ahead
from utils.timer import Timer


def im_proposals(net, im):
    """Proposals for an image (h, w, 3), blue green red.

    Returns boxes (R, 4), in pixels of the image, and scores (R, 1), best first.
    """
    return _proposals(net, image_and_info_blobs(im))


def imdb_proposals(net, imdb):
    """Proposals for all images of a database: a list of boxes (R, 4), in pixels of the images.

    Prints `im_proposals: i/N Xs`, the mean time per image. The next images are read and scaled
    while the net computes.
    """
    def load(index):
        return image_and_info_blobs(read_image(imdb.image_path_at(index)))

    timer, found = Timer(), []
    for blobs in read_ahead(load, range(imdb.num_images)):
        timer.tic()
        boxes, _ = _proposals(net, blobs)
        timer.toc()
        found.append(boxes)
        print(f"im_proposals: {len(found)}/{imdb.num_images} {timer.average_time:.3f}s", flush=True)
    return found


def _proposals(net, blobs):
    outputs = forward(net, blobs, ("rois", "scores"))
    boxes = outputs["rois"][:, 1:] / np.float32(blobs["im_info"][0, 2])
    return boxes, outputs["scores"].copy()

"""From a roidb to minibatches: regression targets, the order of images, loading ahead of time.

Belongs here: what RoIDataLayer (lib/roi_data_layer) hands out.
May import: files, boxes, settings, images, anchors, reports, runs.
"""

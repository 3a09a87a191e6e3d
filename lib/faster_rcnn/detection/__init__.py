"""Detections and proposals of a trained net, for an image or a whole data set.

Belongs here: what runs test nets.
May import: files, boxes, settings, images, reports, runs, prototxts.
"""

"""Trained detectors that know themselves: their descriptions, and `Detector`, which runs them.

Belongs here: what lies beside final weights, and what needs nothing else to find boxes.
May import: files, boxes, settings, images, anchors, datasets, reports, runs, networks, prototxts,
detection.
"""

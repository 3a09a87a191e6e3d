"""Detectors of other programs under the names of our joint nets.

Belongs here: what a program calls its arrays, how its boxes and scores differ from ours.
May import: files, boxes, anchors, networks, pretrained.reading, pretrained.classifiers.
"""

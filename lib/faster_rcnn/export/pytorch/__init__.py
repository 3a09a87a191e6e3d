"""Detectors as PyTorch source that needs PyTorch only, from a picture to boxes.

Belongs here: what such a file holds besides the layers, and how it is written.
May import: files, anchors, detection, export.
"""

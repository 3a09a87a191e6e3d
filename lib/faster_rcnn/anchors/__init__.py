"""The region proposal network as functions: anchors, their targets, proposals, statistics.

Belongs here: what the layers of lib/rpn compute (Ren et al. 2015, section 3.1).
May import: files, boxes, settings, images.
"""

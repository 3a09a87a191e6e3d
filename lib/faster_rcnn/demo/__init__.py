"""Detection in pictures of one's own: where they come from, what is written of them.

Belongs here: what tools/demo.py does.
May import: files, boxes, images, datasets, reports, detection, detectors.
"""

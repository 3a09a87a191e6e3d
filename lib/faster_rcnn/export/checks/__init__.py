"""Exported detectors at work: in other programs, and beside the nets that they were made of.

Belongs here: running a file, running a net to the same form of detections, comparing both.
May import: images, detection, export.
"""

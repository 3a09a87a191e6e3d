"""Annotation files as objects, and the check that makes them safe to train on.

Belongs here: a reader per file format, and the rules for bad boxes.
May import: files, boxes, images.
"""

"""Data sets by name: cards, the image database `imdb`, VOC, COCO, given proposals.

Belongs here: what turns files into a roidb (its form: imdb.py).
May import: files, boxes, settings, images, annotations, evaluation.
"""

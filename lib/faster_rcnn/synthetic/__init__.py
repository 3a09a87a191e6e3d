"""Generated images: the embedded data set, crops to pretrain on, data sets of any size.

Belongs here: images that are drawn, not read.
May import: files, settings, datasets.
"""

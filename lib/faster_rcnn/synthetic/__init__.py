"""Images out of thin air: the embedded data set, crops to pretrain on, sets of any size.

Belongs here: pictures that are drawn, not read.
May import: files, settings, datasets.
"""

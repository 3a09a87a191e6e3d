"""Classifiers of other programs under the names of the published Caffe nets.

Belongs here: a function per net that names its arrays; how the nets differ from Caffe's.
May import: files, pretrained.reading.
"""

"""Backbones: their shared layers, and how a detector continues from them.

A module per family has the functions that add its layers to a NetSpec, with the names of the
published weights, and a Backbone (description.py) that says what a detector on it looks like;
table.py lists them all. layers.py has a function per Caffe layer, for the methods as well.

Belongs here: what a backbone and a detector on it look like.
May import: anchors.
"""

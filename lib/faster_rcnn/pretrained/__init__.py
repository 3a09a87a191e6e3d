"""Weights of other programs' nets, under the layer names of the published Caffe nets.

Belongs here: reading foreign checkpoints and naming their arrays.
May import: files, boxes, networks.
"""

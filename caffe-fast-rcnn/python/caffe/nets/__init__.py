"""Nets: built from a NetParameter, run forward and backward, their weights (caffe.Net).

Belongs here: what concerns a net as a whole. May import: core, proto, files, layer_types, runners.
"""

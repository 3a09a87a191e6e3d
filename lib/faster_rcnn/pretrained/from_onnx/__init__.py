"""Classifiers in ONNX files as Caffe nets: layers that both programs have, and nothing else.

Belongs here: the reading of the graph, a function per operator, the net that they make.
May import: files, pretrained.reading.
"""

"""Computations on tensors and arrays that know no nets: the compiled operators and the anchors.

Belongs here: building the library of src/caffe/layers, its substitute where that cannot be
(`plain`), what PyTorch must know of each operator, and the functions to call (`caffe.ops`).
May import: nothing of caffe; build.py runs as a script.
"""

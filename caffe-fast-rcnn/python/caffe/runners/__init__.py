"""Layers at work in a net: runners join a layer's computation with the net's blobs.

    LayerRunner     runner.py          the base: what the net knows of every layer
    GraphRunner     runner.py          layers on tensors, whose gradients autograd finds
    ModuleRunner    module_runner.py   a GraphRunner: the built-in types (caffe.layer_types)
    SplitRunner     module_runner.py   Split: one blob under several names, no computation
    PythonRunner    python_runner.py   what the two of Python layers share: the user's object
    NumpyRunner     python_runner.py   a user's caffe.Layer: numpy blobs, its own backward
    TensorRunner    python_runner.py   a GraphRunner: a user's caffe.TensorLayer

Belongs here: what the net calls in a pass, and the base classes of users' Python layers
(python_layer.py). May import: core, proto, layer_types.common.
"""

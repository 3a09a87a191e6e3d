"""Layers at work in a net: runners join a layer's computation with the net's blobs.

    LayerRunner     runner.py          the base: what the net knows of every layer
    GraphRunner     runner.py          layers on tensors, whose gradients autograd finds
    ModuleRunner    module_runner.py   a GraphRunner: the built-in types (caffe.layer_types)
    SplitRunner     module_runner.py   Split: one blob under several names, no computation
    PythonRunner    python_runner.py   what the two of Python layers share: the user's object
    NumpyRunner     python_runner.py   a user's caffe.Layer: numpy blobs, its own backward
    TensorRunner    python_runner.py   a GraphRunner: a user's caffe.TensorLayer

Belongs here: what the net calls in a pass, and users' Python layers: their base classes
(python_layer.py), the modules that may hold them (user_modules.py), the older names that they may
use (old_names.py). May import: core, proto, layer_types.common.
"""

"""The ONNX nodes of each layer type, by what the types do, and the builder that they use.

Belongs here: a function per layer type, its row in table.py, and pieces of graphs that several
layers share (boxes).
May import: proto, core, layer_types.maps, runners.
"""

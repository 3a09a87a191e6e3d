"""Files that the engine reads and writes: prototxts, weights, databases, images, lists.

Belongs here: one module per form of file, as functions between paths and messages or arrays.
May import: core, proto.
"""

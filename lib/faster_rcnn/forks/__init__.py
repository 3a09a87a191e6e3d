"""Moving somebody's fork of py-faster-rcnn over: edits of its Python files.

Belongs here: what reads and changes Python source.
May import: nothing but the engine's errors.
"""

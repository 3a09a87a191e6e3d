"""The options of the detector: defaults, strict merging, checks, param_str of Python layers.

Belongs here: what settings exist and which values they may have.
May import: files.
"""

"""Boxes as numbers: geometry, deltas, overlaps, suppression, sampling.

Belongs here: functions of arrays and tensors, without settings. The `+ 1` of inclusive pixels is
written in geometry.py alone.
May import: the engine's operators.
"""

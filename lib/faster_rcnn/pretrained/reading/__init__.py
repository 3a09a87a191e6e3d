"""Checkpoints of other programs as named arrays, and what is known of their inputs.

Belongs here: reading foreign files; the form in which arrays get the names of Caffe's layers.
May import: files.
"""

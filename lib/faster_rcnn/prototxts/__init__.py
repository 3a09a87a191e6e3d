"""Prototxts and solvers that follow the data set, the anchors and the command line.

Belongs here: reading, changing and writing net and solver messages.
May import: files, settings, anchors, networks.
"""

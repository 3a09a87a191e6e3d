"""The command `faster-rcnn`: one module per verb, each with parse_args and main.

A verb is a thin layer over the functions that the tools call. Its module loads PyTorch only when it
runs, so that --help answers at once.

Belongs here: the verbs of the command.
May import: every room.
"""

"""Caffe's command line: the command `caffe`, and its tools (`python -m caffe.tools.NAME`).

Belongs here: what parses a command line; each tool has a `main(argv)`. May import: core,
proto, files, nets, solvers.
"""

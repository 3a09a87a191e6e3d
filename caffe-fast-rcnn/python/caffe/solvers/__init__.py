"""Solvers: they train nets (caffe.SGDSolver and the others), alone or several together.

Belongs here: the training loop, learning rates, update rules, the exchange between processes. May
import: core, proto, files, operators, nets.
"""

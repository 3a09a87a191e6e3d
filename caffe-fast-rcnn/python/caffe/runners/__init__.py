"""Layers at work in a net: runners join a layer's computation with the net's blobs.

Belongs here: what the net calls, pass by pass, and the base classes of users' Python layers. May
import: core, proto, layer_types.common.
"""

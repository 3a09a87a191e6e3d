"""Layer types that bring data into a net, and those at its ends (Input, Silence, HDF5Output).

Belongs here: what reads files, and how items become batches. May import: core, proto, files,
layer_types.common.
"""

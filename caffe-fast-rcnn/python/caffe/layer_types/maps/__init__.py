"""Layer types that look at the neighbours of a value on a map: convolution, pooling, LRN, resizing.

Belongs here: what slides windows over spatial axes, or normalises over positions and channels.
May import: core, proto, operators, layer_types.common.
"""

"""Layer types of detectors: RoI pooling, proposals, SSD's boxes and loss, hard examples.

Belongs here: what knows boxes or regions of interest. May import: core, proto, operators,
layer_types.common, layer_types.losses.
"""

"""Layer types that compare predictions with targets: losses, softmax, accuracy.

Belongs here: losses and measures that know no boxes. May import: core, proto, files, operators,
layer_types.common.
"""

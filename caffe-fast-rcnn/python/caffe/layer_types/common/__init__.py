"""What the layer types share: their base class, their registry, fillers, given gradients.

Belongs here: what types of several families use. May import: core, proto.
"""

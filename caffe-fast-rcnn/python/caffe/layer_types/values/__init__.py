"""Layer types that compute with single values, whole items or sequences; position plays no role.

Belongs here: activations, arithmetic, inner products, shapes, recurrent layers.
May import: core, proto, operators, layer_types.common.
"""

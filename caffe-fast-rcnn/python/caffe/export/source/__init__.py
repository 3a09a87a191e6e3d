"""Nets as PyTorch source: what each layer type is in it, and the functions that the files share.

    text_of(source_of(net, select(net)), "net.pth", "A net.")       # in writing.py

Belongs here: a function per layer type, its row in table.py; pieces.py, whose functions are copied
into the files, so that these need nothing but PyTorch.
May import: proto, core, files, layer_types.maps, runners, nets, export.layers, export.
"""

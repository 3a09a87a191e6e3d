"""The networks that come with the project, as descriptions that write prototxts.

    backbones   one description per backbone: its shared layers, how the detector continues
    methods     one module per training method: its nets and solvers for any backbone
    catalogue   which nets there are, and their texts for any class count and any anchors
    store       the files under models/: found, written on first use, checked
    old_paths   where nets lie that other projects have under other paths

The rest of the project uses `catalogue` and `store`. Backbones import caffe.net_spec and nothing of
the project, methods import backbones, the three modules here import both and what writes text; no
settings, no data sets, no training.
"""

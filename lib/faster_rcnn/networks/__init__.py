"""The networks that come with the project, as descriptions that write prototxts.

    backbones   one description per backbone: its shared layers, how the detector continues
    methods     one module per training method: its nets and solvers for any backbone
    catalogue   which nets there are, and their texts for any class count and any anchors
    store       the files under models/: found by the paths that users write, written on first use
    repository  which of them are committed, and whether they are up to date
    text        messages as prototxts that people like to read

Belongs here: what a network looks like, and where its files are; the rest of the project uses
`catalogue` and `store`.
May import: files, anchors, networks.backbones, networks.methods.
"""

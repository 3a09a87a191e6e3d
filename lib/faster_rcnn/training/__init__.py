"""Training of one net: the solver and its snapshots, checkpoints, validation, SVMs.

Belongs here: what runs training nets.
May import: files, boxes, settings, images, datasets, runs, prototxts, minibatches, detection.
"""

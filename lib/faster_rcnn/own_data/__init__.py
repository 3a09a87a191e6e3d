"""Own pictures made ready for training: from a folder to the command that trains.

Belongs here: init, and what it proposes: scale, anchors, schedule.
May import: files, boxes, settings, images, anchors, annotations, datasets and its rooms, folders,
training.
"""

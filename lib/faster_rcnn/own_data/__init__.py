"""Own pictures made ready for training: from a folder to the command that trains; their check.

Belongs here: init, and what it proposes: scale, anchors, schedule; what is wrong or worth a look in
a data set as a whole.
May import: files, boxes, settings, images, anchors, annotations, datasets and its rooms, folders,
reports, training.
"""

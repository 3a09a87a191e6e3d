"""Average precision and recall as VOC and COCO define them, and their results files; what goes
wrong: kinds of errors, confusion of classes, the best score to ask for.

Belongs here: measures, and the files that a measure reads or writes.
May import: files, boxes, annotations.
"""

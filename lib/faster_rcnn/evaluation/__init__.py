"""Average precision and recall as VOC and COCO define them, and their results files.

Belongs here: measures, and the files that a measure reads or writes.
May import: files, boxes, annotations.
"""

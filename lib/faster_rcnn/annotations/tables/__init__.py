"""Files with the annotations of many pictures, as other programs export them: VIA, CreateML, Label
Studio, Open Images.

Belongs here: a reader per program. Each returns an ImageTable.
May import: files, boxes, images, annotations.
"""

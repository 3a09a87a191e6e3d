"""The pictures of a split, and how the annotation of each is read, whatever the format.

Belongs here: lists, folders and tables that name pictures; which annotation belongs to a picture.
May import: files, images, annotations, annotations.tables, datasets.cards.
"""

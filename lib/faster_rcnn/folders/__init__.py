"""Folders of annotated pictures, in the form people have them: what is in one, and a card for it.

From a folder to a card: look.py asks a recogniser per format (own_files.py, yolo.py, tables.py,
coco_files.py) what it finds, split_names.py which pictures are for training and which for a test,
division.py divides them where nothing says so, card_files.py writes the card. Where nobody finds
anything unknown.py says what is there instead.

Belongs here: recognising formats and splits, dividing pictures, writing cards.
May import: files, images, annotations, annotations.tables, datasets.cards, datasets.samples.
"""

"""The report of a test as one HTML file that opens from a disk, without a network.

Belongs here: numbers, charts and pictures of that page; its template is in templates/.
May import: files, boxes, images, evaluation.
"""

"""What there is to look at: pictures of detections, the report of a test, the check of a data set.

Belongs here: pictures, pages and tables for people.
May import: files, boxes, images, annotations, evaluation.
"""

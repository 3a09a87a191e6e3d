"""Reports for people: pictures of detections, the report of a test, the check of a data set.

Belongs here: pictures, pages and tables that people read.
May import: files, boxes, images, annotations, evaluation, reports.html.
"""

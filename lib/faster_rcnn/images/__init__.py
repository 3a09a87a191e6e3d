"""From image files to network input: reading, scaling, blobs, random changes.

Belongs here: functions of images (H, W, 3), BGR, and their boxes.
May import: files, boxes.
"""

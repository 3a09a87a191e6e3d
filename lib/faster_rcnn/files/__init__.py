"""Files read and written safely: whole or not there, and never run.

Belongs here: what knows formats and disks and nothing of detection.
May import: the engine (caffe).
"""

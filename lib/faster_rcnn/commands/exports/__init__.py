"""What `faster-rcnn export` and tools/export_net.py write of a net with its weights.

Belongs here: the files by their forms, and what the command line says of them.
May import: files, settings, images, datasets, detection, detectors, export and its rooms, commands.
"""

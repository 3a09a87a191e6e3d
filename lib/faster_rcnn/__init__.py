"""The detector: Faster R-CNN and its relatives, in rooms (packages) that import only what stands
below them.

lib/README.md is the map; tests/test_imports.py holds the order of the rooms.
"""

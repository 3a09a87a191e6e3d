"""Image data sets: cards, VOC folders, evaluation."""

"""Whole detectors in other programs' forms: ONNX files that need nothing of this project.

Belongs here: what lies around the layers of a net (caffe.export) in such a file, the picture at one
end and the detections at the other; smaller numbers for its weights.
May import: files, settings, images, anchors, prototxts, detection.
"""

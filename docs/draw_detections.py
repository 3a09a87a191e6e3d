"""Draws what an exported detector finds, without this project: onnxruntime, numpy and OpenCV.

    python draw_detections.py detector.onnx picture.jpg drawn.png
"""
import json
import sys

import cv2
import numpy as np
import onnxruntime

model, picture, drawn = sys.argv[1:4]
session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
facts = session.get_modelmeta().custom_metadata_map
classes = json.loads(facts["classes"])                      # classes[0] is the background
im = cv2.imread(picture, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
if im is None:
    sys.exit(f"{picture} is no picture")

boxes, scores, labels = session.run(None, {"image": im})    # uint8, BGR, of any size
for box, score, label in zip(np.rint(boxes).astype(int).tolist(), scores, labels):
    print(f"{classes[label]} {score:.3f} {box}")            # x1, y1, x2, y2, the last pixels in
    if score >= 0.5:
        colour = tuple(int(part) for part in np.random.default_rng(label).integers(0, 256, 3))
        cv2.rectangle(im, box[:2], box[2:], colour, 2)
        cv2.putText(im, f"{classes[label]} {score:.2f}", (box[0], box[1] + 12),
                    cv2.FONT_HERSHEY_SIMPLEX, 0.4, colour)
cv2.imwrite(drawn, im)

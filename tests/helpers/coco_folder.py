"""Small data sets in COCO's layout for the tests."""
import json
import os

import cv2
import numpy as np
from voc_folder import write_text

CATEGORIES = ({"id": 7, "name": "dog"}, {"id": 3, "name": "Cat"})


def annotation(number, image, category, bbox, **more):
    return {"id": number, "image_id": image, "category_id": category, "bbox": bbox,
            "iscrowd": 0, "area": bbox[2] * bbox[3], **more}


def write_coco(root, annotations, split="train", images=(1, 2), size=(100, 80),
               categories=CATEGORIES):
    """Grey images im<N>.jpg and their annotation file; None as annotations: a secret test set.

    Returns the root.
    """
    folder = os.path.join(root, "images", split)
    for path in (folder, os.path.join(root, "annotations")):
        os.makedirs(path, exist_ok=True)
    content = {"images": [], "categories": list(categories)}
    grey = np.full((*size[::-1], 3), 90, np.uint8)
    for number in images:
        cv2.imwrite(os.path.join(folder, f"im{number}.jpg"), grey)
        content["images"].append({"id": number, "file_name": f"im{number}.jpg", "width": size[0],
                                  "height": size[1]})
    if annotations is not None:
        content["annotations"] = list(annotations)
    write_text(root, f"annotations/instances_{split}.json", json.dumps(content))
    return str(root)


def write_coco_card(folder, root, name="parts", **options):
    """A card file for the root; returns its path."""
    lines = {"format": "coco", "root": root, **options}
    return write_text(folder, name + ".yml", "".join(f"{k}: {v}\n" for k, v in lines.items()))

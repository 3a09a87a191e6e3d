"""Small data sets in VOC layout for the tests."""
import os

import cv2
import numpy as np

OBJECT = ("<object><name>{name}</name><difficult>{difficult}</difficult><bndbox><xmin>{0}</xmin>"
          "<ymin>{1}</ymin><xmax>{2}</xmax><ymax>{3}</ymax></bndbox></object>")


def object_xml(name, box, difficult=0):
    """An object as VOC writes it; the box is 1-based."""
    return OBJECT.format(*box, name=name, difficult=difficult)


def annotation_xml(objects, size=(100, 80)):
    """An annotation file's text; objects is a text, or (name, box[, difficult]) tuples."""
    if not isinstance(objects, str):
        objects = "".join(object_xml(*thing) for thing in objects)
    return (f"<annotation><size><width>{size[0]}</width><height>{size[1]}</height><depth>3</depth>"
            f"</size>{objects}</annotation>")


def write_set(root, annotations, splits=None, size=(100, 80)):
    """Images `size` pixels wide and high with the annotations {image id: objects or XML text}.

    splits: {name: [image ids]}, all in trainval by default. Returns the root.
    """
    for folder in ("Annotations", "JPEGImages", "ImageSets/Main"):
        os.makedirs(os.path.join(root, folder), exist_ok=True)
    for number, (image_id, objects) in enumerate(annotations.items()):
        is_file = isinstance(objects, str) and objects.startswith("<annotation")
        write_text(root, f"Annotations/{image_id}.xml",
                   objects if is_file else annotation_xml(objects, size))
        grey = np.full((size[1], size[0], 3), 10 * number % 250, np.uint8)
        cv2.imwrite(os.path.join(root, "JPEGImages", image_id + ".jpg"), grey)
    for split, ids in (splits or {"trainval": list(annotations)}).items():
        write_text(root, f"ImageSets/Main/{split}.txt", "".join(i + "\n" for i in ids))
    return str(root)


def write_card(folder, root, name="tiny", **options):
    """A card file for the root; returns its path."""
    lines = {"name": name, "format": "voc", "root": root, "classes": "[Cat, dog]", **options}
    return write_text(folder, name + ".yml", "".join(f"{k}: {v}\n" for k, v in lines.items()))


def write_text(folder, name, text):
    path = os.path.join(folder, name)
    with open(path, "w") as file:
        file.write(text)
    return path

"""Folders of annotated pictures in the forms people have them, for the tests.

Every picture shows its own noise, so that no two look alike, and its objects are boxes (name, x1,
y1, x2, y2) in inclusive pixels from 0.
"""
import csv
import json
from pathlib import Path

import cv2
import numpy as np
import yaml

SIZE = (100, 80)


def picture(path, seed, size=SIZE):
    """Coarse noise as a picture; the same for equal seeds."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    im = cv2.resize(noise, size, interpolation=cv2.INTER_CUBIC)
    extension = path.suffix.lower() or ".png"
    path.write_bytes(cv2.imencode(extension, im)[1].tobytes())
    return path


def text(path, content, encoding="utf-8"):
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode(encoding))
    return path


def objects_of(number, names=("cat",)):
    """One or two boxes that depend on a number."""
    first = (names[number % len(names)], 10 + number % 7, 20, 39 + number % 7, 59)
    second = (names[(number + 1) % len(names)], 50, 5, 89, 34 + number % 9)
    return [first, second] if number % 3 == 0 else [first]


def voc_xml(objects, filename="other.png", size=SIZE, path="/Users/somebody/Desktop/other.png"):
    boxes = "".join(
        f"<object><name>{name}</name><pose>Unspecified</pose><truncated>0</truncated><difficult>0"
        f"</difficult><bndbox><xmin>{x1 + 1}</xmin><ymin>{y1 + 1}</ymin><xmax>{x2 + 1}</xmax>"
        f"<ymax>{y2 + 1}</ymax></bndbox></object>" for name, x1, y1, x2, y2 in objects)
    return (f'<annotation verified="yes"><folder>images</folder><filename>{filename}</filename>'
            f"<path>{path}</path><size><width>{size[0]}</width><height>{size[1]}</height>"
            f"<depth>3</depth></size>{boxes}</annotation>")


def raccoon(root, count=30):
    """As datitran's: images/, annotations/, lists as CSV; XML and lists name some files wrongly,
    and one XML says a wrong size.
    """
    rows = {"train": [], "test": []}
    for number in range(1, count + 1):
        name = f"raccoon-{number}"
        objects = objects_of(number, ("raccoon",))
        picture(root / "images" / f"{name}.jpg", number)
        named = f"{name}.png" if number == 10 else f"{name}.jpg"
        size = (99, 81) if number == 4 else SIZE
        text(root / "annotations" / f"{name}.xml", voc_xml(objects, named, size))
        rows["test" if number % 5 == 0 else "train"] += [
            (named, *SIZE, box[0], *(value + 1 for value in box[1:])) for box in objects]
    for split, lines in {**rows, "raccoon": rows["train"] + rows["test"]}.items():
        path = root / "data" / f"{split}_labels.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "w", newline="") as file:
            csv.writer(file).writerows([("filename", "width", "height", "class", "xmin", "ymin",
                                         "xmax", "ymax"), *lines])
    text(root / "README.md", "raccoons")
    return root


def kangaroo(root, count=24):
    """As experiencor's: annots/ and images/ with numbers as names, no lists."""
    for number in range(1, count + 1):
        picture(root / "images" / f"{number:05d}.jpg", number)
        text(root / "annots" / f"{number:05d}.xml",
             voc_xml(objects_of(number, ("kangaroo",)), f"{number:05d}.jpg"))
    return root


def yolo_line(box, names, size=SIZE):
    name, x1, y1, x2, y2 = box
    width, height = size
    return "%d %.6f %.6f %.6f %.6f" % (
        names.index(name), (x1 + x2 + 1) / 2 / width, (y1 + y2 + 1) / 2 / height,
        (x2 - x1 + 1) / width, (y2 - y1 + 1) / height)


def yolo_split(root, images, labels, numbers, names):
    """Pictures and label files of a split."""
    for number in numbers:
        picture(root / images / f"{number}.jpg", number)
        text(root / labels / f"{number}.txt", "".join(
            yolo_line(box, names) + "\n" for box in objects_of(number, names)))


def ultralytics(root, names=("cat", "dog"), as_mapping=True, train="images/train",
                val="images/val"):
    """images/train, labels/train and so on with data.yaml as Ultralytics has it."""
    yolo_split(root, "images/train", "labels/train", range(10), names)
    yolo_split(root, "images/val", "labels/val", range(20, 24), names)
    named = dict(enumerate(names)) if as_mapping else list(names)
    text(root / "data.yaml", yaml.safe_dump({"path": "../datasets/pets", "train": train,
                                             "val": val, "test": None, "names": named}))
    return root


def roboflow_yolo(root, names=("cat", "dog")):
    """train/images, train/labels and so on; data.yaml names ../train/images."""
    for split, numbers in (("train", range(10)), ("valid", range(20, 24)), ("test", range(30, 33))):
        yolo_split(root, f"{split}/images", f"{split}/labels", numbers, names)
    text(root / "data.yaml", yaml.safe_dump({
        "train": "../train/images", "val": "../valid/images", "test": "../test/images",
        "nc": len(names), "names": list(names), "roboflow": {"license": "CC BY 4.0"}}))
    return root


def coco_content(numbers, names, prefix="", start=0):
    content = {"info": {}, "licenses": [], "categories": [
        {"id": 0, "name": "pets-abc", "supercategory": "none"},
        *({"id": number, "name": name} for number, name in enumerate(names, 1))],
        "images": [], "annotations": []}
    for number in numbers:
        content["images"].append({"id": number, "file_name": f"{prefix}{number}.jpg",
                                  "width": SIZE[0], "height": SIZE[1]})
        for name, x1, y1, x2, y2 in objects_of(number, names):
            content["annotations"].append({
                "id": len(content["annotations"]), "image_id": number, "iscrowd": 0,
                "category_id": names.index(name) + 1, "area": (x2 - x1 + 1) * (y2 - y1 + 1),
                "bbox": [x1, y1, x2 - x1 + 1, y2 - y1 + 1], "segmentation": []})
    return content


def roboflow_coco(root, names=("cat", "dog")):
    """train/, valid/ and test/ with pictures and _annotations.coco.json."""
    for split, numbers in (("train", range(10)), ("valid", range(20, 24)), ("test", range(30, 33))):
        for number in numbers:
            picture(root / split / f"{number}.jpg", number)
        text(root / split / "_annotations.coco.json", json.dumps(coco_content(numbers, names)))
    return root


def one_coco(root, names=("cat", "dog"), count=12):
    """One JSON for all pictures in images/, no splits."""
    for number in range(count):
        picture(root / "images" / f"{number}.jpg", number)
    text(root / "annotations.json", json.dumps(coco_content(range(count), names)))
    return root


def labelme_json(name, boxes, **more):
    shapes = [{"label": label, "shape_type": "rectangle", "group_id": None, "flags": {},
               "points": [[x2 + 1, y2 + 1], [x1, y1]]} for label, x1, y1, x2, y2 in boxes]
    return json.dumps({"version": "5.0.1", "flags": {}, "shapes": shapes, "imagePath": name,
                       "imageData": "x" * 100, "imageHeight": SIZE[1], "imageWidth": SIZE[0],
                       **more})


def labelme(root, names=("cat", "dog"), count=12):
    """Pictures and JSON files in one folder."""
    for number in range(count):
        picture(root / f"{number}.jpg", number)
        text(root / f"{number}.json", labelme_json(f"{number}.jpg", objects_of(number, names)))
    return root


def cvat(root, names=("cat", "dog"), count=12):
    """annotations.xml of "CVAT for images" and images/."""
    parts = ["<annotations><version>1.1</version><meta><task><labels>",
             *(f"<label><name>{name}</name></label>" for name in names), "</labels></task></meta>"]
    for number in range(count):
        picture(root / "images" / f"{number}.jpg", number)
        boxes = "".join(f'<box label="{name}" occluded="0" xtl="{x1}.00" ytl="{y1}.00" '
                        f'xbr="{x2 + 1}.00" ybr="{y2 + 1}.00" z_order="0"></box>'
                        for name, x1, y1, x2, y2 in objects_of(number, names))
        parts.append(f'<image id="{number}" name="{number}.jpg" width="{SIZE[0]}" '
                     f'height="{SIZE[1]}">{boxes}</image>')
    text(root / "annotations.xml", "".join(parts) + "</annotations>")
    return root


def retinanet(root, names=("cat", "dog")):
    """train.csv and val.csv without column names, and classes.csv; the last picture has an empty
    row.
    """
    for split, numbers in (("train", range(10)), ("val", range(20, 24))):
        lines = []
        for number in numbers:
            picture(root / "pictures" / f"{number}.jpg", number)
            lines += [f"pictures/{number}.jpg,{x1},{y1},{x2 + 1},{y2 + 1},{name}"
                      for name, x1, y1, x2, y2 in objects_of(number, names)]
        picture(root / "pictures" / f"{split}_empty.jpg", 100 + len(split))
        lines.append(f"pictures/{split}_empty.jpg,,,,,")
        text(root / f"{split}.csv", "\r\n".join(lines) + "\r\n")
    text(root / "classes.csv", "".join(f"{name},{i}\n" for i, name in enumerate(names)))
    return root


def pascal_together(root, names=("cat", "dog"), count=12):
    """Pictures and XML files side by side, in folders train and test (Roboflow's VOC export)."""
    for number in range(count):
        split = "test" if number % 4 == 0 else "train"
        picture(root / split / f"{number}_jpg.rf.{number:032x}.jpg", number)
        text(root / split / f"{number}_jpg.rf.{number:032x}.xml",
             voc_xml(objects_of(number, names)))
    return root

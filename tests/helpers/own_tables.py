"""Folders with the annotations of many pictures in a file, as other programs export them.

Pictures, objects and their numbers are those of own_folders.
"""
import csv
import io
import json

from own_folders import SIZE, objects_of, picture, text

NAMES = ("cat", "dog")


def rows_as_csv(rows):
    file = io.StringIO()
    csv.writer(file).writerows(rows)
    return file.getvalue()


def via_regions(objects, kind="rect"):
    regions = []
    for name, x1, y1, x2, y2 in objects:
        shape = ({"name": "rect", "x": x1, "y": y1, "width": x2 - x1 + 1, "height": y2 - y1 + 1}
                 if kind == "rect" else
                 {"name": "polygon", "all_points_x": [x1, x2 + 1, x2 + 1, x1],
                  "all_points_y": [y1, y1, y2 + 1, y2 + 1]})
        regions.append({"shape_attributes": shape, "region_attributes": {"kind": name}})
    return regions


def via(root, count=12):
    """via_region_data.json beside the pictures."""
    content = {}
    for number in range(count):
        size = picture(root / f"{number}.jpg", number).stat().st_size
        content[f"{number}.jpg{size}"] = {"filename": f"{number}.jpg", "size": size,
                                          "regions": via_regions(objects_of(number, NAMES)),
                                          "file_attributes": {}}
    text(root / "via_region_data.json", json.dumps(content))
    return root


def via_project(root):
    """A project of VIA 2."""
    content = json.loads((via(root) / "via_region_data.json").read_text())
    (root / "via_region_data.json").unlink()
    text(root / "project.json", json.dumps({"_via_settings": {}, "_via_img_metadata": content}))
    return root


def via_splits(root):
    """train/ and val/ with outlines; VIA 1 numbers the regions of an image."""
    for split, numbers in (("train", range(9)), ("val", range(20, 23))):
        content = {}
        for number in numbers:
            picture(root / split / f"{number}.jpg", number)
            regions = via_regions(objects_of(number, NAMES), "polygon")
            content[str(number)] = {"filename": f"{number}.jpg",
                                    "regions": {str(i): one for i, one in enumerate(regions)}}
        text(root / split / "via_region_data.json", json.dumps(content))
    return root


def via_csv(root, count=12):
    rows = [("filename", "file_size", "file_attributes", "region_count", "region_id",
             "region_shape_attributes", "region_attributes")]
    for number in range(count):
        picture(root / f"{number}.jpg", number)
        rows += [(f"{number}.jpg", 1, "{}", 2, i, json.dumps(one["shape_attributes"]),
                  json.dumps(one["region_attributes"]))
                 for i, one in enumerate(via_regions(objects_of(number, NAMES)))]
    text(root / "via_region_data.csv", rows_as_csv(rows))
    return root


def create_ml(root):
    """Roboflow's: train/, valid/ and test/ with a file each."""
    for split, numbers in (("train", range(9)), ("valid", range(20, 22)), ("test", range(30, 33))):
        entries = []
        for number in numbers:
            picture(root / split / f"{number}.jpg", number)
            entries.append({"image": f"{number}.jpg", "annotations": [
                {"label": name, "coordinates": {
                    "x": (x1 + x2 + 1) / 2, "y": (y1 + y2 + 1) / 2, "width": x2 - x1 + 1,
                    "height": y2 - y1 + 1}} for name, x1, y1, x2, y2 in objects_of(number, NAMES)]})
        text(root / split / "_annotations.createml.json", json.dumps(entries))
    return root


def studio_values(objects):
    width, height = (side / 100 for side in SIZE)
    return [{"x": x1 / width, "y": y1 / height, "width": (x2 - x1 + 1) / width,
             "height": (y2 - y1 + 1) / height, "rotation": 0, "rectanglelabels": [name]}
            for name, x1, y1, x2, y2 in objects]


def label_studio(root, count=12):
    """JSON; the pictures have the names that they had before they were uploaded."""
    tasks = []
    for number in range(count):
        picture(root / "images" / f"{number}.jpg", number)
        result = [{"type": "rectanglelabels", "original_width": SIZE[0], "original_height": SIZE[1],
                   "value": value} for value in studio_values(objects_of(number, NAMES))]
        tasks.append({"id": number, "annotations": [{"result": result, "was_cancelled": False}],
                      "data": {"image": f"/data/upload/1/0a1b2c3d-{number}.jpg"}})
    text(root / "project-1.json", json.dumps(tasks))
    return root


def label_studio_min(root, count=12):
    """JSON-MIN; the pictures have the names of the uploads."""
    tasks = []
    for number in range(count):
        picture(root / f"0a1b2c3d-{number}.jpg", number)
        tasks.append({"image": f"/data/upload/1/0a1b2c3d-{number}.jpg", "id": number, "label": [
            {**value, "original_width": SIZE[0], "original_height": SIZE[1]}
            for value in studio_values(objects_of(number, NAMES))], "annotator": 1})
    text(root / "project-1.json", json.dumps(tasks))
    return root


def open_images(root, count=12):
    rows = [("ImageID", "Source", "LabelName", "Confidence", "XMin", "XMax", "YMin", "YMax",
             "IsGroupOf")]
    width, height = SIZE
    for number in range(count):
        picture(root / "images" / f"{number}.jpg", number)
        rows += [(number, "xclick", f"/m/0{name}", 1, x1 / width, (x2 + 1) / width, y1 / height,
                  (y2 + 1) / height, 0) for name, x1, y1, x2, y2 in objects_of(number, NAMES)]
    text(root / "annotations-bbox.csv", rows_as_csv(rows))
    text(root / "class-descriptions-boxable.csv", "/m/0cat,cat\n/m/0dog,dog\n/m/0cow,cow\n")
    return root


def csv_of_folders(root):
    """Roboflow's tables: _annotations.csv in train/, valid/ and test/."""
    for split, numbers in (("train", range(9)), ("valid", range(20, 22)), ("test", range(30, 33))):
        rows = [("filename", "width", "height", "class", "xmin", "ymin", "xmax", "ymax")]
        for number in numbers:
            picture(root / split / f"{number}.jpg", number)
            rows += [(f"{number}.jpg", *SIZE, name, *(value + 1 for value in box))
                     for name, *box in objects_of(number, NAMES)]
        text(root / split / "_annotations.csv", rows_as_csv(rows))
    return root


def csv_of_shares(root, count=12):
    """Edges in widths and heights of the pictures."""
    rows, (width, height) = [("image", "label", "xmin", "ymin", "xmax", "ymax")], SIZE
    for number in range(count):
        picture(root / f"{number}.jpg", number)
        rows += [(f"{number}.jpg", name, x1 / width, y1 / height, (x2 + 1) / width,
                  (y2 + 1) / height) for name, x1, y1, x2, y2 in objects_of(number, NAMES)]
    text(root / "labels.csv", rows_as_csv(rows))
    return root

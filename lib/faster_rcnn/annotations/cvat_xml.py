"""Annotation files of CVAT ("CVAT for images"): one XML file with all images of a task.

    <annotations><image id="0" name="a.jpg" width="640" height="480">
        <box label="cat" xtl="10.0" ytl="20.0" xbr="110.0" ybr="220.0" rotation="0"/>
        <polygon label="dog" points="10.0,20.0;110.0,20.0;50.0,220.0"/></image></annotations>

Points are in pixels from the image's upper left corner, with fractions. Every shape becomes the box
around it. Tracks ("CVAT for video") are another form.
"""
import math
from dataclasses import dataclass, field
from xml.etree.ElementTree import Element

from faster_rcnn.annotations.box_objects import Box, BoxAnnotation, BoxObject, bounding_box
from faster_rcnn.annotations.files import (
    AnnotationError,
    annotation_bytes,
    remembered,
    xml_elements,
    xml_errors,
)
from faster_rcnn.annotations.values import as_number, whole_number

MAX_BYTES = 512 << 20
OUTLINES = ("polygon", "polyline", "points", "cuboid")
KINDS = ("box", "ellipse", "mask", *OUTLINES)


@dataclass
class CvatFile:
    """Annotations by the image's name as written; labels: the task's, in order; subsets: {name: the
    subset that an image is in}, where the file says it.
    """

    path: str
    annotations: dict[str, BoxAnnotation] = field(default_factory=dict)
    labels: list[str] = field(default_factory=list)
    subsets: dict[str, str] = field(default_factory=dict)


@remembered(MAX_BYTES, count=4)
def read_cvat(path: str) -> CvatFile:
    """The CvatFile at a path; AnnotationError when it is missing or of another form."""
    content, found, root = annotation_bytes(path, MAX_BYTES), CvatFile(path), ""
    with xml_errors(path):
        for node, around in xml_elements(path, content):
            _take(found, node, around)
            root = node.tag
        if root != "annotations":
            raise AnnotationError(f"{path}: XML of another form: no <annotations> as CVAT writes "
                                  "it")
    return found


def _take(found: CvatFile, node: Element, opened: list[str]) -> None:
    """Adds what an element says, once it is complete; opened: the tags around it."""
    if node.tag == "track" and len(opened) == 1:
        raise AnnotationError(f"{found.path}: tracks of a video; export the task as \"CVAT for "
                              "images\"")
    if node.tag == "name" and opened[-2:] == ["labels", "label"] and node.text:
        found.labels.append(node.text.strip())
    if node.tag != "image" or len(opened) != 1:
        return
    name = node.get("name", "").strip()
    if not name:
        raise AnnotationError(f"{found.path}: image {node.get('id', '?')} has no name")
    if name in found.annotations:
        raise AnnotationError(f"{found.path}: image {name} is listed twice")
    width, height = (whole_number(node.get(key, "")) for key in ("width", "height"))
    shapes = [child for child in node if child.tag in KINDS or child.tag == "skeleton"]
    found.annotations[name] = BoxAnnotation(
        found.path, name, None if width is None or height is None else (width, height),
        tuple(_object(number, shape, name) for number, shape in enumerate(shapes, 1)))
    if node.get("subset"):
        found.subsets[name] = node.get("subset", "")


def _object(number: int, shape: Element, image: str) -> BoxObject:
    place, name = f"{shape.tag} {number} of {image}", shape.get("label", "").strip()
    if shape.tag == "skeleton":
        points = [pair for child in shape if child.tag == "points"
                  for pair in _points(child.get("points", ""))]
    elif shape.tag in OUTLINES:
        points = _points(shape.get("points", ""))
    else:
        return _measured(place, name, shape)
    if len(points) < 2:
        return BoxObject(place, name, None, "is a point, or has points that cannot be read")
    return BoxObject(place, name, bounding_box(points))


# The attributes that say where a shape is
ATTRIBUTES = {"box": ("xtl", "ytl", "xbr", "ybr"), "ellipse": ("cx", "cy", "rx", "ry"),
              "mask": ("left", "top", "width", "height")}


def _measured(place: str, name: str, shape: Element) -> BoxObject:
    """A box, an ellipse or a mask."""
    values = []
    for key in ATTRIBUTES[shape.tag]:
        text = shape.get(key, "")
        value = as_number(text)
        if value is None:
            problem = f'has {key} "{text[:20]}", which is not a number' if text else f"has no {key}"
            return BoxObject(place, name, None, problem)
        values.append(value)
    a, b, c, d = values
    box = {"box": (a, b, c, d), "ellipse": (a - c, b - d, a + c, b + d),
           "mask": (a, b, a + c, b + d)}[shape.tag]
    return BoxObject(place, name, _turned(box, as_number(shape.get("rotation", "0")) or 0.0))


def _turned(box: Box, degrees: float) -> Box:
    """The box around a box that is turned around its centre."""
    if not degrees % 180 or not all(map(math.isfinite, (*box, degrees))):
        return box
    x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    half_width, half_height = (box[2] - box[0]) / 2, (box[3] - box[1]) / 2
    cos, sin = abs(math.cos(math.radians(degrees))), abs(math.sin(math.radians(degrees)))
    reach_x = half_width * cos + half_height * sin
    reach_y = half_width * sin + half_height * cos
    return x - reach_x, y - reach_y, x + reach_x, y + reach_y


def _points(text: str) -> list[tuple[float, float]]:
    """The pairs of "x,y;x,y"; none when something else is among them."""
    points = []
    for pair in filter(None, text.split(";")):
        values = [as_number(part) for part in pair.split(",")]
        if len(values) != 2 or values[0] is None or values[1] is None:
            return []
        points.append((values[0], values[1]))
    return points

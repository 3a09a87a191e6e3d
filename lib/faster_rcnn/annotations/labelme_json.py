"""Annotation files of LabelMe: a JSON file per image, with shapes.

    {"imagePath": "a.jpg", "imageWidth": 640, "imageHeight": 480, "shapes": [
        {"label": "cat", "shape_type": "rectangle", "points": [[10, 20], [110, 220]]}]}

Points are in pixels from the image's upper left corner, with fractions. Every shape becomes the box
around it; shapes of one label and one group_id are parts of one object. The picture that a file may
hold (imageData) is not read.
"""
import math

from faster_rcnn.annotations.box_objects import BoxAnnotation, BoxObject, bounding_box
from faster_rcnn.annotations.files import MAX_OBJECTS, AnnotationError, json_content
from faster_rcnn.annotations.values import whole_number

# With the picture inside
MAX_BYTES = 256 << 20
# Shapes that are no object with an extent
POINT = "point"


def read_labelme(path: str) -> BoxAnnotation:
    """The annotation in a file; AnnotationError when it is missing or of another form."""
    content = json_content(path, MAX_BYTES)
    shapes = content.get("shapes") if isinstance(content, dict) else None
    if not isinstance(shapes, list):
        raise AnnotationError(f'{path}: JSON of another form: the list "shapes" is not there')
    if len(shapes) > MAX_OBJECTS:
        raise AnnotationError(f"{path}: more than {MAX_OBJECTS} objects in an image, which is the "
                              "limit")
    width, height = (whole_number(content.get(key)) for key in ("imageWidth", "imageHeight"))
    objects = [_object(number, shape) for number, shape in enumerate(shapes, 1)]
    return BoxAnnotation(path, path, None if width is None or height is None else (width, height),
                         tuple(_grouped(objects, shapes)))


def _object(number: int, shape: object) -> BoxObject:
    place = f"shape {number}"
    if not isinstance(shape, dict):
        return BoxObject(place, "", None, "is no mapping")
    label = shape.get("label")
    name = label.strip() if isinstance(label, str) else ""
    kind = shape.get("shape_type") or "polygon"
    points = _points(shape.get("points"))
    if not points:
        return BoxObject(place, name, None, "has no points, or others than pairs of numbers")
    if kind == POINT or len(points) == 1:
        return BoxObject(place, name, None, "is a point, which has no box")
    if kind == "circle":
        return BoxObject(place, name, _around(*points[:2]))
    return BoxObject(place, name, bounding_box(points))


def _around(centre: tuple[float, float], edge: tuple[float, float]
            ) -> tuple[float, float, float, float]:
    """The box around a circle; edge: a point on it."""
    radius = math.dist(centre, edge)
    return centre[0] - radius, centre[1] - radius, centre[0] + radius, centre[1] + radius


def _points(value: object) -> list[tuple[float, float]]:
    """Pairs of numbers; none when something else is among them."""
    points = []
    for point in value if isinstance(value, list) else ():
        if (not isinstance(point, list) or len(point) != 2
                or not all(isinstance(number, (int, float)) for number in point)):
            return []
        try:
            points.append((float(point[0]), float(point[1])))
        except OverflowError:
            return []
    return points


def _grouped(objects: list[BoxObject], shapes: list) -> list[BoxObject]:
    """The objects, those of one label and one group_id as one with the box around all."""
    joined: dict[object, BoxObject] = {}
    for number, (obj, shape) in enumerate(zip(objects, shapes)):
        group = shape.get("group_id") if isinstance(shape, dict) else None
        is_part = obj.box is not None and isinstance(group, (int, str))
        key: object = (obj.name, group) if is_part else number
        earlier = joined.get(key)
        if earlier is None or earlier.box is None or obj.box is None:
            joined[key] = obj
        else:
            corners = [earlier.box[:2], earlier.box[2:], obj.box[:2], obj.box[2:]]
            joined[key] = BoxObject(earlier.place, earlier.name, bounding_box(corners))
    return list(joined.values())

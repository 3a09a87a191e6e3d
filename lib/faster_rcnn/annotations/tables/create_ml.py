"""Annotation files of Apple's CreateML: one JSON file with all images of a folder.

    [{"image": "a.jpg", "annotations": [
        {"label": "cat", "coordinates": {"x": 60, "y": 120, "width": 100, "height": 200}}]}]

x, y is the centre of a box; all are pixels, with fractions.
"""
from faster_rcnn.annotations.box_objects import BoxObject
from faster_rcnn.annotations.files import AnnotationError, OtherFormError, json_content, remembered
from faster_rcnn.annotations.tables.image_table import MAX_BYTES, ImageTable, numbers, texts_of

NAMES, OBJECTS = ("image", "imagefilename"), ("annotations", "annotation")
MEASURES = ("x", "y", "width", "height")


@remembered(MAX_BYTES, count=4)
def read_create_ml(path: str) -> ImageTable:
    """The table of a file; AnnotationError when it is missing or of another form."""
    content, table = json_content(path, MAX_BYTES), ImageTable(path)
    if not isinstance(content, list):
        raise OtherFormError(f"{path}: JSON of another form: CreateML's is a list of images")
    for place, entry in enumerate(content, 1):
        name = _first(entry, NAMES)
        if not isinstance(name, str) or not name.strip():
            raise AnnotationError(f"{path}: entry {place} names no image")
        objects = _first(entry, OBJECTS) or []
        if not isinstance(objects, list):
            raise AnnotationError(f"{path}: entry {place} ({name}) has no list of annotations")
        table.add(name.strip(), None, [_object(f"object {count} of {name}", one)
                                       for count, one in enumerate(objects, 1)])
    return table


def _first(entry: object, keys: tuple[str, ...]) -> object:
    """The value of the first key that a mapping has."""
    return next((entry[key] for key in keys if key in entry), None) if isinstance(
        entry, dict) else None


def _object(place: str, entry: object) -> BoxObject:
    name = next(iter(texts_of(_first(entry, ("label",)))), "")
    measures = numbers(_first(entry, ("coordinates",)), MEASURES)
    if measures is None:
        return BoxObject(place, name, None, "has no coordinates x, y, width and height")
    x, y, width, height = measures
    return BoxObject(place, name, (x - width / 2, y - height / 2, x + width / 2, y + height / 2))

"""A small tested data set, with pictures, for reports."""
from pathlib import Path

import cv2
import numpy as np
from judged import Det, annotated, boxes_of

from faster_rcnn.datasets.imdb import AnnotatedBoxes

HOSTILE = '<script>alert("x")</script>&\'{{ 7 * 7 }}'
CAT, DOG = (10, 10, 49, 49), (60, 20, 99, 79)
IMAGES: list[tuple[list[Det], list]] = [    # (detections, objects) per image
    ([(1, CAT, 0.9), (2, DOG, 0.8)], [(1, CAT), (2, DOG)]),
    ([(1, CAT, 0.7), (2, CAT, 0.6), (1, (80, 60, 110, 90), 0.3)], [(1, CAT)]),
    ([(2, CAT, 0.95)], [(1, CAT), (2, DOG)])]


class PicturesTested:
    """As much of an imdb as the report asks for: three grey images with cats and dogs."""

    num_images = len(IMAGES)

    def __init__(self, folder: Path, names: tuple[str, str] = ("cat", "dog"),
                 stem: str = "image", name: str = "pictures_test") -> None:
        self.folder, self.stem, self.name = folder, stem, name
        self.classes = ("__background__", *names)
        for i in range(self.num_images):
            grey = np.full((100, 120, 3), 60 + 50 * i, np.uint8)
            done, data = cv2.imencode(".png", grey)
            Path(self.image_path_at(i)).write_bytes(data.tobytes())
            assert done

    def image_path_at(self, i: int) -> str:
        return str(self.folder / f"{self.stem}{i}.png")

    def annotated_boxes(self) -> list[AnnotatedBoxes]:
        return [annotated(objects) for _, objects in IMAGES]

    @property
    def all_boxes(self) -> list[list]:
        return boxes_of([dets for dets, _ in IMAGES], 3)

    @property
    def metrics(self) -> dict:
        return {"mean_ap": 0.625, "metric": "voc12", "overlap": 0.5,
                "per_class": {name: {"ap": ap} for name, ap in zip(self.classes[1:], (0.75, 0.5))}}

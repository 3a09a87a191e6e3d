"""How often a detector errs in which way, and what each kind of error costs (TIDE, Bolya 2020)."""
from collections.abc import Sequence

import numpy as np

from faster_rcnn.evaluation.judged_images import JudgedImage, Kind
from faster_rcnn.evaluation.voc_eval import voc_ap

FALSE_KINDS = tuple(kind for kind in Kind if kind.is_false)


def error_counts(images: Sequence[JudgedImage], num_classes: int,
                 thresh: float) -> dict[str, np.ndarray]:
    """{kind of error: (num_classes,) numbers of it} at scores of at least `thresh`.

    The kinds are those of Kind, in lower case, and "missed": objects that are neither found nor
    concerned by an error of class or place, as in TIDE. num_classes counts the background.
    """
    counts = {kind.name.lower(): np.zeros(num_classes, int) for kind in FALSE_KINDS}
    counts["missed"] = np.zeros(num_classes, int)
    for image in images:
        shown = image.dets[:, 4] >= thresh
        for kind in FALSE_KINDS:
            chosen = image.det_classes[shown & (image.kinds == kind)]
            counts[kind.name.lower()] += np.bincount(chosen, minlength=num_classes)
        missed = image.missed(thresh) & ~_concerned(image, thresh)
        counts["missed"] += np.bincount(image.classes[missed], minlength=num_classes)
    return counts


def _concerned(image: JudgedImage, thresh: float) -> np.ndarray:
    """(R,) bool: objects that a detection of the wrong class or in the wrong place is about."""
    about = np.isin(image.kinds, (Kind.WRONG_CLASS, Kind.LOCALISATION))
    concerned = np.zeros(len(image.boxes), bool)
    concerned[image.objects[about & (image.dets[:, 4] >= thresh)]] = True
    return concerned


def error_costs(images: Sequence[JudgedImage], num_classes: int) -> dict[str, float]:
    """{kind of error: what the mean AP at IoU 0.5 (area under the curve) would gain without it}.

    All detections take part. As in TIDE, each kind is mended alone: an error of class or place
    becomes right when it is the best one about an object that nothing finds, and is removed
    otherwise; other false alarms are removed; missed objects no longer count.
    """
    now = _mean_ap([_Mended(image, None) for image in images], num_classes)
    kinds: list[Kind | str] = [*FALSE_KINDS, "missed"]
    return {kind.name.lower() if isinstance(kind, Kind) else kind:
            _mean_ap([_Mended(image, kind) for image in images], num_classes) - now
            for kind in kinds}


class _Mended:
    """The detections of an image that count, as (classes, scores, right), and the classes of the
    objects, after one kind of error was mended (None: none).
    """

    def __init__(self, image: JudgedImage, mended: "Kind | str | None") -> None:
        kept = image.kinds != Kind.IGNORED
        right = image.kinds == Kind.RIGHT
        classes = image.det_classes.copy()
        if mended in (Kind.WRONG_CLASS, Kind.LOCALISATION):
            _mend(image, mended, kept, right, classes)
        elif isinstance(mended, Kind):
            kept &= image.kinds != mended
        count = ~image.ignored
        if mended == "missed":
            count &= ~(image.missed(-np.finfo(float).max) & ~_concerned(image, -np.inf))
        self.classes, self.scores, self.right = classes[kept], image.dets[kept, 4], right[kept]
        self.objects = image.classes[count]


def _mend(image: JudgedImage, kind: object, kept: np.ndarray, right: np.ndarray,
          classes: np.ndarray) -> None:
    """Changes kept, right, classes (D,) for the errors of class or place."""
    taken = set(np.where(image.found > -np.inf)[0])
    for i in np.where(image.kinds == kind)[0]:
        about = int(image.objects[i])
        if about in taken:
            kept[i] = False
        else:
            taken.add(about)
            right[i], classes[i] = True, image.classes[about]


def _mean_ap(images: Sequence[_Mended], num_classes: int) -> float:
    """The mean over the classes with objects; nan without any."""
    if not images:
        return float("nan")
    classes, scores, right, objects = (
        np.concatenate([getattr(image, name) for image in images])
        for name in ("classes", "scores", "right", "objects"))
    order = np.argsort(-scores, kind="stable")
    classes, right = classes[order], right[order]
    aps = []
    for number in range(1, num_classes):
        num_objects = int((objects == number).sum())
        if num_objects:
            hits = right[classes == number]
            rec = np.cumsum(hits) / num_objects
            aps.append(voc_ap(rec, np.cumsum(hits) / np.arange(1, len(hits) + 1)))
    return float(np.mean(aps)) if aps else float("nan")

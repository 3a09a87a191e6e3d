"""Average precision, worked out by hand and by a slow second way."""
import numpy as np
import pytest
from voc_folder import annotation_xml, write_text

from faster_rcnn.evaluation.voc_eval import (
    Detections,
    Truth,
    evaluate_class,
    match_detections,
    read_results,
    voc_ap,
    voc_eval,
)


def truth_of(**boxes):
    return {name: Truth(np.array([b[:4] for b in rows], float).reshape(-1, 4),
                        np.array([len(b) > 4 for b in rows], bool))
            for name, rows in boxes.items()}


def detections_of(*rows):
    return Detections([row[0] for row in rows], np.array([row[1] for row in rows], float),
                      np.array([row[2:] for row in rows], float).reshape(-1, 4))


A, B, FAR = (1, 1, 10, 10), (21, 21, 30, 30), (61, 61, 70, 70)


def test_average_precision_by_hand():
    # right, wrong, right of 2 objects: recall 1/2, 1/2, 1; precision 1, 1/2, 2/3
    rec, prec, ap = evaluate_class(
        detections_of(("i", .9, *A), ("i", .8, *FAR), ("i", .7, *B)), truth_of(i=[A, B]))
    assert rec.tolist() == [.5, .5, 1] and prec.tolist() == pytest.approx([1, .5, 2 / 3])
    assert ap == pytest.approx(.5 * 1 + .5 * 2 / 3)
    # 11 points: recalls 0 .. 0.5 have precision 1, 0.6 .. 1.0 have 2/3
    assert voc_ap(rec, prec, True) == pytest.approx((6 * 1 + 5 * 2 / 3) / 11)


def test_order_of_detections_does_not_matter():
    rows = [("i", .7, *B), ("i", .9, *A), ("i", .8, *FAR)]
    wanted = evaluate_class(detections_of(*rows), truth_of(i=[A, B]))
    for order in ([1, 2, 0], [2, 0, 1]):
        got = evaluate_class(detections_of(*[rows[k] for k in order]), truth_of(i=[A, B]))
        assert got[0].tolist() == wanted[0].tolist() and got[2] == wanted[2]


def test_second_detection_of_an_object_is_wrong():
    right, wrong = match_detections(detections_of(("i", .9, *A), ("i", .8, *A)), truth_of(i=[A]))
    assert right.tolist() == [True, False] and wrong.tolist() == [False, True]


def test_same_box_in_another_image_is_wrong():
    right, wrong = match_detections(detections_of(("j", .9, *A)), truth_of(i=[A], j=[]))
    assert not right.any() and wrong.all()


def test_difficult_objects_count_neither_way():
    rec, prec, ap = evaluate_class(detections_of(("i", .9, *A), ("i", .8, *A), ("i", .7, *B)),
                                   truth_of(i=[(*A, "difficult"), B]))
    assert rec.tolist() == [0, 0, 1] and prec[2] == 1 and ap == 1


def test_overlap_must_exceed_the_threshold():
    # 10 x 10 against its left half, 5 x 10: overlap exactly 1/2
    half = detections_of(("i", .9, 1, 1, 5, 10))
    assert not match_detections(half, truth_of(i=[A]), .5)[0].any()
    assert match_detections(half, truth_of(i=[A]), .499)[0].all()


def test_nothing_found():
    rec, prec, ap = evaluate_class(detections_of(), truth_of(i=[A]))
    assert len(rec) == len(prec) == 0 and ap == 0
    assert voc_ap(rec, prec, True) == 0


def test_no_objects_give_nan_recall():
    rec, _, ap = evaluate_class(detections_of(("i", .9, *A)), truth_of(i=[]), use_07_metric=True)
    assert np.isnan(rec).all() and ap == 0


def slow_evaluation(detections, truth, ovthresh):
    """Object by object, as the definition reads."""
    taken, right, wrong, curve = set(), 0, 0, []
    total = sum((~t.difficult).sum() for t in truth.values())
    for i in sorted(range(len(detections.scores)), key=lambda k: -detections.scores[k]):
        name, box = detections.image_ids[i], detections.boxes[i]
        best, chosen = -1, None
        for k, other in enumerate(truth[name].boxes):
            w = min(box[2], other[2]) - max(box[0], other[0]) + 1
            h = min(box[3], other[3]) - max(box[1], other[1]) + 1
            inter = max(w, 0) * max(h, 0)
            area = sum((b[2] - b[0] + 1) * (b[3] - b[1] + 1) for b in (box, other))
            if inter / (area - inter) > best:
                best, chosen = inter / (area - inter), k
        if best <= ovthresh:
            wrong += 1
        elif not truth[name].difficult[chosen]:
            right, wrong = (right + 1, wrong) if (name, chosen) not in taken else (right, wrong + 1)
            taken.add((name, chosen))
        curve.append((right / total, right / max(right + wrong, 1e-16)))
    return np.array(curve).T


@pytest.mark.parametrize("seed", range(8))
def test_against_the_definition(seed):
    rng = np.random.RandomState(seed)

    def boxes(n):
        corner = rng.randint(1, 40, (n, 2))
        return np.hstack((corner, corner + rng.randint(5, 30, (n, 2)))).astype(float)

    truth = {name: Truth(boxes(4), rng.rand(4) < .3) for name in "abc"}
    detections = Detections([str(n) for n in rng.choice(list("abc"), 30)], rng.permutation(30) / 30,
                            boxes(30))
    rec, prec, _ = evaluate_class(detections, truth, .3)
    slow_rec, slow_prec = slow_evaluation(detections, truth, .3)
    np.testing.assert_allclose(rec, slow_rec)
    np.testing.assert_allclose(prec, slow_prec)


# -------------------------------------------------------------------------------------------- files

def test_voc_eval_reads_files_and_compares_names_unchanged(tmp_path):
    (tmp_path / "a.xml").write_text(annotation_xml([("cat", A), ("Cat", B)]))
    write_text(tmp_path, "set.txt", "a\n")
    write_text(tmp_path, "det_cat.txt", "a 0.900 1.0 1.0 10.0 10.0\na 0.800 21.0 21.0 30.0 30.0\n")
    rec, prec, ap = voc_eval(str(tmp_path / "det_{:s}.txt"), str(tmp_path / "{:s}.xml"),
                             str(tmp_path / "set.txt"), "cat", str(tmp_path), 0.5, False)
    assert rec.tolist() == [1, 1] and prec.tolist() == [1, .5] and ap == 1
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.xml", "det_cat.txt", "set.txt"]


def test_results_file_with_blanks_in_ids(tmp_path):
    path = write_text(tmp_path, "det.txt", "my image 1 0.5 1.0 2.0 3.0 4.0\n")
    got = read_results(path)
    assert got.image_ids == ["my image 1"] and got.boxes.tolist() == [[1, 2, 3, 4]]


@pytest.mark.parametrize("line", ["a 0.5 1 2 3", "a x 1 2 3 4", "\n"])
def test_damaged_results_file_is_named_with_its_line(tmp_path, line):
    path = write_text(tmp_path, "det.txt", "a 0.5 1.0 2.0 3.0 4.0\n" + line)
    with pytest.raises(ValueError, match=r"det\.txt:2: a line must read"):
        read_results(path)

"""Layers of SSD, PVANet and R-FCN once more, slowly: one loop per box, from their definitions."""
import math

import numpy as np


def prior_boxes(map_size, image_size, sizes, step=None, offset=0.5):
    """(H * W * A, 4) for (width, height) pairs in pixels."""
    (height, width), (image_h, image_w) = map_size, image_size
    step_h, step_w = step or (image_h / height, image_w / width)
    rows = []
    for y in range(height):
        for x in range(width):
            centre_x, centre_y = (x + offset) * step_w, (y + offset) * step_h
            for w, h in sizes:
                rows.append([(centre_x - w / 2) / image_w, (centre_y - h / 2) / image_h,
                             (centre_x + w / 2) / image_w, (centre_y + h / 2) / image_h])
    return np.array(rows)


def decode(prior, offset, code):
    x1, y1, x2, y2 = prior
    a, b, c, d = offset
    w, h = x2 - x1, y2 - y1
    if code == "CORNER":
        return [x1 + a, y1 + b, x2 + c, y2 + d]
    if code == "CORNER_SIZE":
        return [x1 + a * w, y1 + b * h, x2 + c * w, y2 + d * h]
    centre_x, centre_y = (x1 + x2) / 2 + a * w, (y1 + y2) / 2 + b * h
    w, h = w * math.exp(c), h * math.exp(d)
    return [centre_x - w / 2, centre_y - h / 2, centre_x + w / 2, centre_y + h / 2]


def overlap(a, b, last=0):
    """Intersection over union; last: 1 where the far corner is the last pixel."""
    w = max(0, min(a[2], b[2]) - max(a[0], b[0]) + last)
    h = max(0, min(a[3], b[3]) - max(a[1], b[1]) + last)
    areas = [(box[2] - box[0] + last) * (box[3] - box[1] + last) for box in (a, b)]
    return w * h / (sum(areas) - w * h)


def greedy(boxes, order, thresh, last=0, eta=1):
    """Indices that stay, in this order of looking; eta is a factor on thresholds above 0.5."""
    kept = []
    for i in order:
        if all(overlap(boxes[i], boxes[j], last) <= thresh for j in kept):
            kept.append(i)
            thresh *= eta if thresh > 0.5 else 1
    return kept


def detections(offsets, confidences, priors, variances, options):
    """Rows image, label, confidence, box; options as in DetectionOutputParameter, flat."""
    rows = []
    for image in range(len(offsets)):
        found = []
        for label in range(options["num_classes"]):
            if label == options["background_label_id"]:
                continue
            place = 0 if options["share_location"] else label
            boxes = [decode(p, o[place] if options["variance_encoded_in_target"]
                            else o[place] * v, options["code_type"])
                     for p, v, o in zip(priors, variances, offsets[image])]
            scores = confidences[image, :, label]
            order = [i for i in sorted(range(len(boxes)), key=lambda i: -scores[i])
                     if scores[i] > options["confidence_threshold"]][:options["top_k"]]
            found += [(label, scores[i], *boxes[i])
                      for i in greedy(boxes, order, options["nms_threshold"], 0, options["eta"])]
        best = sorted(found, key=lambda row: -row[1])
        if options["keep_top_k"] >= 0:
            best = best[:options["keep_top_k"]]
        rows += [(image, *row) for row in sorted(best, key=lambda row: (row[0], -row[1]))]
    return np.array(rows)


def proposals(scores, deltas, im_info, anchors, options):
    """Rois (R, 5) and their probabilities, of scores (2 A, H, W) and deltas (4 A, H, W)."""
    boxes, probabilities = [], []
    count, (height, width) = len(anchors), scores.shape[1:]
    for y in range(height):
        for x in range(width):
            for a, anchor in enumerate(anchors):
                stride = options["feat_stride"]
                x1, y1, x2, y2 = anchor + np.array([x, y, x, y]) * stride
                w, h = x2 - x1 + 1, y2 - y1 + 1
                dx, dy, dw, dh = deltas[4 * a:4 * a + 4, y, x]
                centre_x, centre_y = dx * w + x1 + w / 2, dy * h + y1 + h / 2
                w, h = w * math.exp(dw), h * math.exp(dh)
                box = [min(max(v, 0), limit - 1) for v, limit in
                       zip((centre_x - w / 2, centre_y - h / 2, centre_x + w / 2,
                            centre_y + h / 2), (im_info[1], im_info[0]) * 2)]
                scale_w = im_info[3] if len(im_info) > 3 else im_info[2]
                large = (box[3] - box[1] + 1 >= options["min_size"] * im_info[2]
                         and box[2] - box[0] + 1 >= options["min_size"] * scale_w)
                boxes.append(box)
                probabilities.append(scores[count + a, y, x] * large)
    order = sorted(range(len(boxes)), key=lambda i: -probabilities[i])[:options["pre_nms_topn"]]
    kept = greedy(boxes, order, options["nms_thresh"], last=1)[:options["post_nms_topn"]]
    return (np.array([[0, *boxes[i]] for i in kept]), np.array([probabilities[i] for i in kept]))


def hardest(rois, losses, count):
    """Indices of the `count` largest losses of each image."""
    kept = set()
    for image in {roi[0] for roi in rois}:
        own = [i for i, roi in enumerate(rois) if roi[0] == image]
        kept |= set(sorted(own, key=lambda i: -losses[i])[:count])
    return kept


def interpolate(x, height, width):
    """Bilinear, corners aligned; x (H, W)."""
    top = np.zeros((height, width))
    scale_y = (x.shape[0] - 1) / (height - 1) if height > 1 else 0
    scale_x = (x.shape[1] - 1) / (width - 1) if width > 1 else 0
    for i, j in np.ndindex(height, width):
        y0, x0 = int(i * scale_y), int(j * scale_x)
        y1, x1 = min(y0 + 1, x.shape[0] - 1), min(x0 + 1, x.shape[1] - 1)
        v, u = i * scale_y - y0, j * scale_x - x0
        top[i, j] = ((1 - v) * ((1 - u) * x[y0, x0] + u * x[y0, x1])
                     + v * ((1 - u) * x[y1, x0] + u * x[y1, x1]))
    return top


def match_priors(priors, boxes, threshold=None):
    """The box of each prior, or None: first the best pairs, then what overlaps by the threshold."""
    table = [[overlap(prior, box) for box in boxes] for prior in priors]
    match = [None] * len(priors)
    left = set(range(len(boxes)))
    while left:
        pairs = [(table[i][j], -i, -j) for i in range(len(priors)) if match[i] is None
                 for j in left]
        best, i, j = max(pairs, default=(0, 0, 0))
        if best <= 1e-6:
            break
        match[-i] = -j
        left.remove(-j)
    for i, row in enumerate(table):
        if match[i] is None and threshold is not None and max(row) >= threshold:
            match[i] = row.index(max(row))
    return match, [max(row) for row in table]


def encode(prior, box, code):
    (x1, y1, x2, y2), (a, b, c, d) = prior, box
    w, h = x2 - x1, y2 - y1
    if code == "CORNER":
        return [a - x1, b - y1, c - x2, d - y2]
    if code == "CORNER_SIZE":
        return [(a - x1) / w, (b - y1) / h, (c - x2) / w, (d - y2) / h]
    return [((a + c) / 2 - (x1 + x2) / 2) / w, ((b + d) / 2 - (y1 + y2) / 2) / h,
            math.log((c - a) / w), math.log((d - b) / h)]


def multibox_loss(offsets, scores, priors, variances, objects, options):
    """(loss, matches) of offsets (N, P, 4), scores (N, P, C), objects (G, 8); background 0."""
    box_loss = class_loss = matches = 0
    for image in range(len(offsets)):
        own = [o for o in objects if o[0] == image and (options["use_difficult_gt"] or not o[7])]
        if not own:
            continue
        match, most = match_priors(priors, [o[3:7] for o in own], options["overlap_threshold"])
        costs, negatives = [], []
        for i, found in enumerate(match):
            label = 0 if found is None else int(own[found][1])
            cost = math.log(sum(math.exp(s) for s in scores[image, i])) - scores[image, i, label]
            if found is None:
                if most[i] < options["neg_overlap"]:
                    negatives.append(cost)
                continue
            costs.append(cost)
            wanted = encode(priors[i], own[found][3:7], options["code_type"])
            for got, want, variance in zip(offsets[image, i], wanted, variances[i]):
                d = abs(got - want / variance)
                box_loss += 0.5 * d * d if d < 1 else d - 0.5
        hardest = sorted(negatives, reverse=True)[:int(len(costs) * options["neg_pos_ratio"])]
        class_loss += sum(costs) + sum(hardest)
        matches += len(costs)
    return options["loc_weight"] * box_loss + class_loss, matches

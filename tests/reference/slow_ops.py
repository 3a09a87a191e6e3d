"""The operators, and box voting, once more, slowly: one loop per index, from their definitions."""
import math

import numpy as np


def half_away_from_zero(value):
    return int(math.copysign(math.floor(abs(value) + 0.5), value))


def roi_cells(roi, scale):
    """x1, y1, x2, y2 of a roi in cells of the map."""
    return [half_away_from_zero(float(np.float32(c) * np.float32(scale))) for c in roi[1:]]


def roi_pool(features, rois, pooled_h, pooled_w, scale):
    """pooled (R, C, ph, pw) and argmax, the row-major cell of each maximum (-1: empty bin)."""
    images, channels, height, width = features.shape
    pooled = np.zeros((len(rois), channels, pooled_h, pooled_w), features.dtype)
    argmax = np.full(pooled.shape, -1, np.int32)
    for r, roi in enumerate(rois):
        image, (x1, y1, x2, y2) = roi[0], roi_cells(roi, scale)
        bin_h = np.float32(max(y2 - y1 + 1, 1)) / np.float32(pooled_h)
        bin_w = np.float32(max(x2 - x1 + 1, 1)) / np.float32(pooled_w)
        for ph in range(pooled_h):
            rows = [h for h in range(y1 + math.floor(np.float32(ph) * bin_h),
                                     y1 + math.ceil(np.float32(ph + 1) * bin_h))
                    if 0 <= h < height]
            for pw in range(pooled_w):
                columns = [w for w in range(x1 + math.floor(np.float32(pw) * bin_w),
                                            x1 + math.ceil(np.float32(pw + 1) * bin_w))
                           if 0 <= w < width]
                cells = [(h, w) for h in rows for w in columns]
                for c in range(channels if cells else 0):
                    values = [features[int(image), c, h, w] for h, w in cells]
                    best = int(np.argmax(values))  # the first of equal maxima
                    pooled[r, c, ph, pw] = values[best]
                    argmax[r, c, ph, pw] = cells[best][0] * width + cells[best][1]
    return pooled, argmax


def roi_pool_backward(grad, rois, argmax, feature_shape, scale):
    """Fast R-CNN (roi_pooling_layer.cu): cells outside the rounded corners get no gradient."""
    result = np.zeros(feature_shape, grad.dtype)
    for r, c, ph, pw in np.ndindex(*grad.shape):
        h, w = divmod(argmax[r, c, ph, pw], feature_shape[3])
        x1, y1, x2, y2 = roi_cells(rois[r], scale)
        if argmax[r, c, ph, pw] >= 0 and x1 <= w <= x2 and y1 <= h <= y2:
            result[int(rois[r, 0]), c, h, w] += grad[r, c, ph, pw]
    return result


def gather_bins(roi, pooled_h, pooled_w, h, w, scale):
    """Bins of a roi from which Fast R-CNN's backward kernel takes gradients for the cell (h, w)."""
    x1, y1, x2, y2 = roi_cells(roi, scale)
    if not (x1 <= w <= x2 and y1 <= h <= y2):
        return []
    spans = []
    sides = (h - y1, y2 - y1 + 1, pooled_h), (w - x1, x2 - x1 + 1, pooled_w)
    for distance, length, bins in sides:
        size = np.float32(max(length, 1)) / np.float32(bins)
        first = math.floor(np.float32(distance) / size)
        last = math.ceil(np.float32(distance + 1) / size)
        spans.append(range(min(max(first, 0), bins), min(max(last, 0), bins)))
    return [(i, j) for i in spans[0] for j in spans[1]]


def roi_pool_gather(grad, rois, argmax, feature_shape, scale):
    """The same gradient as that kernel finds it: cell by cell, from the bins that it may be in."""
    result = np.zeros(feature_shape, grad.dtype)
    for n, c, h, w in np.ndindex(*feature_shape):
        for r in np.flatnonzero(rois[:, 0].astype(int) == n):
            for i, j in gather_bins(rois[r], *grad.shape[2:], h, w, scale):
                if argmax[r, c, i, j] == h * feature_shape[3] + w:
                    result[n, c, h, w] += grad[r, c, i, j]
    return result


def bilinear(plane, y, x):
    """The value between the centres of the cells of a plane (H, W), at (y, x)."""
    height, width = plane.shape
    if not (-1 <= y <= height and -1 <= x <= width):
        return 0.0
    y, x = min(max(y, 0), height - 1), min(max(x, 0), width - 1)
    return sum(plane[h, w] * max(1 - abs(y - h), 0) * max(1 - abs(x - w), 0)
               for h in range(int(y), min(int(y) + 2, height))
               for w in range(int(x), min(int(x) + 2, width)))


def roi_align(features, rois, pooled_h, pooled_w, scale, sampling_ratio, aligned):
    pooled = np.zeros((len(rois), features.shape[1], pooled_h, pooled_w))
    for r, (image, *corners) in enumerate(rois):
        x1, y1, x2, y2 = (corner * scale - (0.5 if aligned else 0) for corner in corners)
        height, width = y2 - y1, x2 - x1
        if not aligned:
            height, width = max(height, 1), max(width, 1)
        rows = sampling_ratio if sampling_ratio > 0 else math.ceil(height / pooled_h)
        columns = sampling_ratio if sampling_ratio > 0 else math.ceil(width / pooled_w)
        for c, ph, pw in np.ndindex(*pooled.shape[1:]):
            samples = [bilinear(features[int(image), c],
                                y1 + height * (ph + (i + 0.5) / rows) / pooled_h,
                                x1 + width * (pw + (j + 0.5) / columns) / pooled_w)
                       for i in range(rows) for j in range(columns)]
            pooled[r, c, ph, pw] = np.mean(samples) if samples else 0
    return pooled


def psroi_bin(roi, group, i, j, scale, height, width):
    """Rows and columns of bin (i, j) of a roi; R-FCN in float32."""
    spans = []
    for first, last, index, size in ((roi[2], roi[4], i, height), (roi[1], roi[3], j, width)):
        start = np.float32(half_away_from_zero(first)) * np.float32(scale)
        end = np.float32(half_away_from_zero(last) + 1) * np.float32(scale)
        length = max(end - start, np.float32(0.1)) / np.float32(group)
        begin = math.floor(np.float32(index) * length + start)
        stop = math.ceil(np.float32(index + 1) * length + start)
        spans.append(range(min(max(begin, 0), size), min(max(stop, 0), size)))
    return spans


def psroi_pool(features, rois, output_dim, group, scale):
    pooled = np.zeros((len(rois), output_dim, group, group))
    for r, c, i, j in np.ndindex(*pooled.shape):
        rows, columns = psroi_bin(rois[r], group, i, j, scale, *features.shape[2:])
        plane = features[int(rois[r, 0]), (c * group + i) * group + j]
        values = [plane[h, w] for h in rows for w in columns]
        pooled[r, c, i, j] = np.mean(values) if values else 0
    return pooled


def smooth_l1_loss(pred, target, inside, outside, sigma):
    total = 0.0
    for p, t, w_in, w_out in zip(pred.flat, target.flat, inside.flat, outside.flat):
        x = abs(float(w_in) * (float(p) - float(t)))
        total += float(w_out) * (0.5 * (sigma * x) ** 2 if x < 1 / sigma ** 2
                                 else x - 0.5 / sigma ** 2)
    return total / len(pred)


def box_overlap(a, b):
    """Intersection over union; every operation in float32, as in the original."""
    one, zero = np.float32(1), np.float32(0)
    (x1, y1, x2, y2), (u1, v1, u2, v2) = a[:4], b[:4]
    w = max(zero, min(x2, u2) - max(x1, u1) + one)
    h = max(zero, min(y2, v2) - max(y1, v1) + one)
    return w * h / ((u2 - u1 + one) * (v2 - v1 + one) + (x2 - x1 + one) * (y2 - y1 + one) - w * h)


def nms(dets, thresh, inclusive=True, groups=None):
    """Rows that stay."""
    keep = []
    for row in np.argsort(-dets[:, 4], kind="stable"):
        for other in keep:
            if groups is not None and groups[other] != groups[row]:
                continue
            iou = box_overlap(dets[row], dets[other])
            if float(iou) >= thresh if inclusive else iou > np.float32(thresh):
                break
        else:
            keep.append(int(row))
    return keep


def soft_nms(dets, thresh, method, sigma, score_thresh):
    """[(row, lowered score)], best first (Bodla et al. 2017, figure 2)."""
    scores = {row: float(score) for row, score in enumerate(dets[:, 4])}
    kept = []
    while scores:
        best = max(scores, key=lambda row: (scores[row], -row))
        if scores[best] < score_thresh:
            break
        kept.append((best, scores.pop(best)))
        for row in scores:
            iou = float(box_overlap(dets[best], dets[row]))
            if method == "gaussian":
                scores[row] *= math.exp(-iou ** 2 / sigma)
            elif iou >= thresh:
                scores[row] *= 1 - iou
    return kept


def bbox_vote(kept, dets, thresh, wanted, weight_empty):
    """PVANet's box voting, one detection at a time, in float64."""
    voted = np.empty((len(kept), 5))
    for row, det in enumerate(kept.astype(np.float64)):
        voters = [d for d in dets.astype(np.float64) if box_overlap(det, d) >= thresh]
        weight = sum(d[4] for d in voters)
        voted[row, :4] = sum(d[4] * d[:4] for d in voters) / weight
        voted[row, 4] = det[4]
        if wanted > 1:
            best = sorted((d[4] for d in voters), reverse=True)[:wanted]
            mean = sum(best) / len(best)
            votes = best + [mean * weight_empty] * (wanted - len(best))
            voted[row, 4] = min(det[4], sum(votes) / wanted)
    return voted


def lrn_across(x, size, alpha, beta, k):
    y = np.empty(x.shape)
    for c in range(x.shape[1]):
        window = x[:, max(c - size // 2, 0):c + size // 2 + 1].astype(np.float64)
        y[:, c] = x[:, c] * (k + alpha / size * (window ** 2).sum(1)) ** -beta
    return y


def lrn_within(x, size, alpha, beta):
    y = np.empty(x.shape)
    reach = size // 2
    for h, w in np.ndindex(*x.shape[2:]):
        window = x[:, :, max(h - reach, 0):h + reach + 1, max(w - reach, 0):w + reach + 1]
        mean = (window.astype(np.float64) ** 2).sum((2, 3)) / size ** 2
        y[:, :, h, w] = x[:, :, h, w] * (1 + alpha * mean) ** -beta
    return y

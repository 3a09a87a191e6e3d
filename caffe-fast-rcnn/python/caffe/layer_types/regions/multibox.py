"""The loss that SSD learns from (Liu et al. 2016, section 2.2).

weiliu89/caffe: multibox_loss_layer.cpp, bbox_util.cpp. Boxes are as in ssd.py.
"""
import math

import torch
import torch.nn.functional as F

from caffe.layer_types.common.registry import register
from caffe.layer_types.losses.loss import NormalizedLoss
from caffe.layer_types.losses.softmax import LOG_SMALLEST, at_least
from caffe.layer_types.regions.boxes import encode, overlaps
from caffe.proto import caffe_pb2

MultiBox = caffe_pb2.MultiBoxLossParameter
UNMATCHED, IGNORED = -1, -2
_LEAST_OVERLAP = 1e-6       # bbox_util.cpp: less counts as none


@register("MultiBoxLoss")
class MultiBoxLoss(NormalizedLoss):
    """Loss of the offsets of matched priors, and of the classes of these and the hardest others.

    bottom[0]: offsets (N, P * 4)     bottom[1]: scores (N, P * num_classes), before the softmax
    bottom[2]: a PriorBox's top (1, 2, P * 4)
    bottom[3]: objects (1, 1, G, 8): image (-1: none), label, number, box, whether it is difficult

    Every object is matched with the prior that overlaps it most, each prior once, and with those
    that overlap it by overlap_threshold (match_type PER_PREDICTION). Of the priors without a match
    that overlap nothing by neg_overlap, the neg_pos_ratio * matches with the largest loss count as
    background (mining_type MAX_NEGATIVE), or all (NONE). VALID divides by the number of matches.
    """

    bottoms = (4, 4)
    no_gradient = (2, 3)
    ignores_forbidden_gradient = True   # priors come from layers that learn

    def __init__(self, param, shapes, phase):
        super().__init__(param, shapes, phase)
        p = self.p = param.multibox_loss_param
        if p.num_classes < 1:
            raise self.error("expected num_classes > 0, got none")
        self._refuse_the_rare()
        if p.map_object_to_agnostic and p.num_classes != 2:
            raise self.error("expected num_classes 2 with map_object_to_agnostic, got "
                             f"{p.num_classes}")
        if p.HasField("do_neg_mining") and p.do_neg_mining != (p.mining_type != p.NONE):
            raise self.error("expected do_neg_mining as mining_type says, or not at all, got "
                             f"{p.do_neg_mining}")
        wanted = [*param.propagate_down, True, True]
        self.weights = p.loc_weight * wanted[0], float(wanted[1])

    def _refuse_the_rare(self):
        p = self.p
        for field, given in (("share_location: false", not p.share_location),
                             ("use_prior_for_matching: false", not p.use_prior_for_matching),
                             ("mining_type: HARD_EXAMPLE", p.mining_type == p.HARD_EXAMPLE),
                             ("LOGISTIC without mining", p.conf_loss_type == p.LOGISTIC
                              and p.mining_type == p.NONE),
                             ("bp_inside", p.bp_inside),
                             ("nms_param", p.HasField("nms_param"))):
            if given:
                raise self.error(f"expected a multibox_loss_param without {field}, which is not "
                                 "known here, got it")

    def top_shapes(self, shapes):
        self._check(shapes)
        return [()]

    def _check(self, shapes):
        offsets, scores, priors, objects = (tuple(shape) for shape in shapes)
        if len(priors) < 3 or priors[:2] != (1, 2) or math.prod(priors[2:]) % 4:
            raise self.error(f"expected priors of shape (1, 2, P * 4), got {priors}")
        count = math.prod(priors[2:]) // 4
        for name, shape, each in (("offsets", offsets, 4),
                                  ("scores", scores, self.p.num_classes)):
            if shape[:1] != offsets[:1] or math.prod(shape[1:]) != count * each:
                raise self.error(f"expected {each} {name} for each of the {count} priors of each "
                                 f"image, got {shape}")
        if objects[-1:] != (8,):
            raise self.error(f"expected objects of shape (1, 1, G, 8), got {objects}")

    def forward(self, offsets, scores, priors, objects):
        self._check([x.shape for x in (offsets, scores, priors, objects)])
        images = len(offsets)
        priors, variances = priors.detach().reshape(2, -1, 4)
        objects = self._objects(objects.detach().reshape(-1, 8))
        match, most = self._matches(images, priors, objects)
        matched = match >= 0
        targets = objects[match.clamp(min=0)] if len(objects) else \
            objects.new_zeros(*match.shape, 8)
        labels = torch.where(matched, targets[..., 1].long(), self.p.background_label_id)
        scores = scores.reshape(images, len(priors), -1)
        self.check_range(labels, self.p.num_classes, "label")
        losses = self._class_losses(scores, labels)
        counted = self._counted(match, most, losses.detach())
        class_loss = (losses * counted).sum()
        box_loss = self._box_loss(offsets.reshape(images, -1, 4), targets[..., 3:7], priors,
                                  variances, matched)
        total = self.weights[0] * box_loss + self.weights[1] * class_loss
        return self.normalized(total, matched.to(total.dtype), images)

    def _objects(self, objects):
        """The objects that count, (G, 8)."""
        keep = objects[:, 0] >= 0
        if not self.p.use_difficult_gt:
            keep = keep & (objects[:, 7] == 0)
        objects = objects[keep]
        if objects.device.type == "cpu" and len(objects):
            if (objects[:, 1] == self.p.background_label_id).any():
                raise self.error("expected no object with the label of the background "
                                 f"({self.p.background_label_id}), got one")
            if not (objects[:, 5:7] > objects[:, 3:5]).all():
                raise self.error("expected boxes with a width and a height, got one without")
        if self.p.map_object_to_agnostic:
            objects[:, 1] = self.p.background_label_id + 1
        return objects

    def _matches(self, images, priors, objects):
        """The object (or UNMATCHED, IGNORED) and the largest overlap of each prior, (N, P) each."""
        match = torch.full((images, len(priors)), UNMATCHED, device=priors.device)
        most = priors.new_zeros(match.shape)
        outside = ((priors < 0) | (priors > 1)).any(1)
        for image in range(images):
            own = (objects[:, 0] == image).nonzero()[:, 0]
            if len(own):
                shared = overlaps(priors, objects[own, 3:7])
                shared = torch.where(shared > _LEAST_OVERLAP, shared, 0)
                if self.p.ignore_cross_boundary_bbox:
                    shared = torch.where(outside[:, None], 0, shared)
                found = self._match(shared)
                match[image] = torch.where(found >= 0, own[found.clamp(min=0)], UNMATCHED)
                most[image] = shared.max(1).values
            if self.p.ignore_cross_boundary_bbox:
                match[image, outside] = IGNORED
        return match, most

    def _match(self, shared):
        """The column that each row of the overlaps (P, G) is matched with, or UNMATCHED."""
        rows, columns = shared.shape
        match = torch.full((rows,), UNMATCHED, device=shared.device)
        free = shared.clone()
        for _ in range(columns):        # the best pair that is left
            best = free.flatten().argmax()
            row, column = best // columns, best % columns
            match[row] = torch.where(free[row, column] > 0, column, match[row])
            free[row] = 0
            free[:, column] = 0
        if self.p.match_type == MultiBox.PER_PREDICTION:
            most, best = shared.max(1)
            close = (match == UNMATCHED) & (most >= self.p.overlap_threshold) & (most > 0)
            match = torch.where(close, best, match)
        return match

    def _class_losses(self, scores, labels):
        """(N, P): the loss of each prior's scores (N, P, C) for its label."""
        if self.p.conf_loss_type == MultiBox.LOGISTIC:
            target = F.one_hot(labels, self.p.num_classes).to(scores.dtype)
            return F.binary_cross_entropy_with_logits(scores, target, reduction="none").sum(2)
        logs = F.log_softmax(scores, 2).gather(2, labels[..., None])[..., 0]
        return -at_least(logs, LOG_SMALLEST)

    def _counted(self, match, most, losses):
        """(N, P): whether a prior's class counts: it is matched, or chosen as background."""
        matched = match >= 0
        if self.p.mining_type == MultiBox.NONE:
            return torch.ones_like(matched)
        eligible = (match == UNMATCHED) & (most < self.p.neg_overlap)
        ranked = losses.masked_fill(~eligible, -math.inf)
        order = ranked.sort(dim=1, descending=True, stable=True)[1]
        limit = (matched.sum(1, keepdim=True) * self.p.neg_pos_ratio).long()
        return matched | eligible & (order.argsort(1) < limit)

    def _box_loss(self, offsets, boxes, priors, variances, matched):
        """The sum over the matched priors' offsets; boxes (N, P, 4) are what they shall become."""
        if self.p.encode_variance_in_target:
            offsets = offsets / variances
        priors, variances = (x.expand_as(boxes)[matched] for x in (priors, variances))
        wanted = encode(priors, boxes[matched], self.p.code_type) / variances
        diff = offsets[matched] - wanted
        if self.p.loc_loss_type == MultiBox.L2:
            return diff.square().sum() / 2
        return F.smooth_l1_loss(diff, torch.zeros_like(diff), reduction="sum")

"""Online hard example mining (Shrivastava et al. 2016) as R-FCN does it.

Microsoft/caffe 1a2be8e: box_annotator_ohem_layer.cu, softmax_loss_ohem_layer.cpp,
smooth_L1_loss_ohem_layer.cu. Blobs count as (N, C, H, W); missing axes are 1.
"""
import torch

from caffe.layer_types.common.given_gradients import with_gradient
from caffe.layer_types.common.module import Module
from caffe.layer_types.common.registry import register
from caffe.layer_types.losses.loss import NormalizedLoss
from caffe.layer_types.losses.softmax import SoftmaxWithLoss
from caffe.layer_types.regions.boxes import rank_in_group


def four_axes(x):
    """A view of x with axes of size 1 behind its own."""
    return x.reshape(*x.shape, *(1,) * (4 - x.dim()))


@register("SoftmaxWithLossOHEM")
class SoftmaxWithLossOHEM(SoftmaxWithLoss):
    """SoftmaxWithLoss with a third top.

    top[2]: the loss of each label, not normalized, 0 where it is ignored; of the labels' shape,
            without a gradient
    Labels (R,) of scores (R, K, 1, 1) count as (R, 1, 1, 1), the shape in which SmoothL1LossOHEM
    gives the losses of the boxes: nets add the two.
    """

    tops = (1, 3)

    def forward(self, scores, labels, *others):
        if labels.dim() == 1 and scores.dim() == 4:
            labels = four_axes(labels)
        return super().forward(scores, labels, *others)


@register("SmoothL1LossOHEM")
class SmoothL1LossOHEM(NormalizedLoss):
    """Sum of smooth_l1(weight * (bottom[0] - bottom[1])), normalized.

    smooth_l1(d) = 0.5 d^2 where |d| < 1, else |d| - 0.5
    bottom[0], bottom[1]: prediction and target (N, C, H, W)     bottom[2]: weights, optional
    top[1]: the loss of each item and place (N, 1, H, W), not normalized, without a gradient
    FULL and VALID divide by N H W, BATCH_SIZE by N. Without loss_weight in the prototxt it does not
    count in the objective.
    """

    bottoms = (2, 3)
    tops = (1, 2)
    is_loss = False
    no_gradient = (2,)
    ignores_forbidden_gradient = True   # weights come from layers that learn

    def forward(self, x, target, *weights):
        diff = four_axes(x) - four_axes(self.same_values(x, target))
        for weight in weights:
            diff = diff * four_axes(self.same_values(x, weight))
        size = diff.abs()
        errors = torch.where(size < 1, 0.5 * diff.square(), size - 0.5).detach()
        places = torch.ones_like(errors[:, :1])
        loss = self.normalized(errors.sum(), places, len(errors))
        # the original's gradient has no factor weight, which is 0 or 1 in all its nets
        slope = self.normalized(diff.clamp(-1, 1), places, len(errors)).reshape(x.shape)
        loss = with_gradient(loss, (x, slope), (target, -slope.reshape(target.shape)))
        return (loss, errors.sum(1, keepdim=True)) if len(self.param.top) > 1 else loss


@register("BoxAnnotatorOHEM")
class BoxAnnotatorOHEM(Module):
    """Keeps the roi_per_img rois with the largest loss of each image; the others do not count.

    bottom[0]: rois (N, 5, H, W), image index first       bottom[1]: losses (N, 1, H, W)
    bottom[2]: labels (N, 1, H, W)                        bottom[3]: weights (N, C, H, W)
    top[0]:    labels, ignore_label where not kept        top[1]:    weights, 0 where not kept
    """

    bottoms = (4, 4)
    tops = (2, 2)
    no_gradient = (0, 1, 2, 3)
    ignores_forbidden_gradient = True

    def __init__(self, param, shapes, phase):
        super().__init__(param, shapes, phase)
        p = param.box_annotator_ohem_param
        self.count, self.ignore = p.roi_per_img, p.ignore_label
        if self.count < 1:
            raise self.error(f"expected box_annotator_ohem_param with roi_per_img > 0, got "
                             f"{self.count if p.HasField('roi_per_img') else 'none'}")

    def forward(self, rois, losses, labels, weights):
        rois, losses, labels, weights = map(four_axes, (rois, losses, labels, weights))
        count, _, *size = rois.shape
        for name, blob, channels in (("rois", rois, 5), ("losses", losses, 1),
                                     ("labels", labels, 1), ("weights", weights, weights.shape[1])):
            if tuple(blob.shape) != (count, channels, *size):
                raise self.error(f"expected {name} of shape {(count, channels, *size)}, got "
                                 f"{tuple(blob.shape)}")
        order = losses.flatten().sort(descending=True, stable=True)[1]
        kept = torch.zeros_like(order, dtype=torch.bool)
        kept[order] = rank_in_group(rois[:, 0].flatten()[order]) < self.count
        kept = kept.reshape(labels.shape)
        return torch.where(kept, labels, self.ignore), torch.where(kept, weights, 0)

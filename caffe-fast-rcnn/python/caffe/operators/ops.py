"""The operators that PyTorch lacks or is slow at, over torch.ops.caffe_fast_rcnn.

    roi_pool, roi_align, psroi_pool, smooth_l1_loss, nms, batched_nms, soft_nms, lrn_across,
    lrn_within, sgd_update_; winograd_conv and pointwise_conv with their relatives (winograd.py,
    pointwise.py)

Kernels for the CPU and for CUDA are in src/caffe/layers, with their gradients; shapes on the meta
device are in registration.py; here are the functions to call. The library is built at the first
import where there is a compiler (build.py).

Types: float32 and float64, all operands of a call alike unless said otherwise (nms, soft_nms:
float32). Features of bfloat16 or half are computed with in float32, and so are their gradients;
results have the features' type, losses and the scores of soft_nms are float32. Under
torch.autocast the operators are float32 (registration.py). Layouts: channels_last is the fast path,
every other layout works. Errors: ValueError names the operand and its shape, type, device or
number, in forward as in backward; RuntimeError where a gradient is differentiated again. Order of
sums: fixed on the CPU; on CUDA the gradients of features are added up in no fixed order, unless
torch.use_deterministic_algorithms(True) or caffe.set_deterministic() asks for one.

Rois that are not sound, having a number that is not finite or the index of no image in the batch,
raise ValueError on the CPU. On CUDA, where asking would wait for the GPU, the roi's row of the
result becomes NaN; in backward the roi's own gradient does, and the first number of the features'
gradient.
"""
import torch
import torch.nn.functional as F
from torch import Tensor

from caffe.operators.halves import HALVES, widened
from caffe.operators.pointwise import (  # noqa: F401 - called as caffe.ops.pointwise_conv
    PointwiseWeights,
    pointwise_conv,
    pointwise_pack,
)
from caffe.operators.registration import raw as _ops
from caffe.operators.winograd import (  # noqa: F401 - called as caffe.ops.winograd_conv
    WinogradWeights,
    winograd_conv,
    winograd_conv2d,
    winograd_pack,
)


def roi_pool(features: Tensor, rois: Tensor, pooled_h: int, pooled_w: int,
             spatial_scale: float) -> Tensor:
    """The maximum of every bin of a grid over each roi (Fast R-CNN: ROIPooling).

    features: (N, C, H, W)
    rois:     (R, 5), any floating type: image index, x1, y1, x2, y2 in image pixels, inclusive
              corners, which are multiplied by spatial_scale and rounded half away from zero; a
              malformed roi, which ends before it starts, is pooled as one cell wide or high
    returns   (R, C, pooled_h, pooled_w), contiguous; bins outside the map are 0

    Gradients reach the features only, and of these only cells between the rounded corners: none
    comes from a malformed roi. Of equal maxima the first of the bin takes the gradient. ValueError:
    an operand of another shape, type or device, a grid without bins, rois that are not sound.
    """
    with_argmax = torch.is_grad_enabled() and features.requires_grad
    wide = widened(features)
    return _ops.roi_pool(wide, rois.detach().to(wide.dtype), pooled_h, pooled_w, spatial_scale,
                         with_argmax)[0].to(features.dtype)


def roi_align(features: Tensor, rois: Tensor, pooled_h: int, pooled_w: int, spatial_scale: float,
              sampling_ratio: int = 0, aligned: bool = False) -> Tensor:
    """The mean of bilinear samples in every bin of a grid over each roi (Mask R-CNN: RoIAlign).

    features:       (N, C, H, W)
    rois:           (R, 5), any floating type: image index, x1, y1, x2, y2 in image pixels,
                    multiplied by spatial_scale and not rounded; the roi is x2 - x1 wide, and 1 cell
                    at least unless `aligned`
    sampling_ratio: samples of a bin along each side; <= 0: as many as it has cells, rounded up
    aligned:        take half a cell from the scaled corners (Detectron2: ROIAlignV2); without it
                    as in Caffe2, the Caffe forks and Mask R-CNN
    returns         (R, C, pooled_h, pooled_w), contiguous; samples a cell or more outside the map
                    count as 0

    Gradients reach the features and the corners of the rois, whose image index and numbers of
    samples are taken as constants; each is computed only where it is asked for. ValueError: as in
    roi_pool, and a sampling ratio above 32767.
    """
    wide = widened(features)
    return _ops.roi_align(wide, rois.to(wide.dtype), pooled_h, pooled_w, spatial_scale,
                          sampling_ratio, aligned).to(features.dtype)


def psroi_pool(features: Tensor, rois: Tensor, output_dim: int, group_size: int,
               spatial_scale: float) -> Tensor:
    """The mean of every bin of a grid over each roi, from channels of its own (R-FCN).

    features: (N, output_dim * group_size^2, H, W); bin (i, j) of class c looks at channel
              (c * group_size + i) * group_size + j
    rois:     (R, 5), any floating type: image index, x1, y1, x2, y2 in image pixels, inclusive
              corners, which are rounded and then multiplied by spatial_scale; 0.1 cells wide and
              high at least
    returns   (R, output_dim, group_size, group_size), contiguous; bins outside the map are 0

    Gradients reach the features only. ValueError: as in roi_pool, and another number of channels.
    """
    wide = widened(features)
    return _ops.psroi_pool(wide, rois.detach().to(wide.dtype), output_dim, group_size,
                           spatial_scale).to(features.dtype)


def smooth_l1_loss(pred: Tensor, target: Tensor, inside: Tensor | None = None,
                   outside: Tensor | None = None, sigma: float = 1.0) -> Tensor:
    """sum(outside * s(inside * (pred - target))) / pred.shape[0] (Fast R-CNN: SmoothL1Loss).

    s(x) = 0.5 (sigma x)^2 where |x| < 1 / sigma^2, else |x| - 0.5 / sigma^2. All operands have
    the shape of pred, (N, ...); weights that are not given are ones. Returns a scalar (), 0 where
    there is nothing to compare. Gradients reach pred and target. ValueError: operands that differ
    in shape, type or device, sigma not positive.
    """
    pred, target = widened(pred), widened(target)
    inside, outside = (None if weights is None else widened(weights)
                       for weights in (inside, outside))
    return _ops.smooth_l1_loss(pred, target, inside, outside, sigma)


def nms(dets: Tensor, thresh: float, inclusive: bool = True, max_keep: int = -1) -> Tensor:
    """Greedy non-maximum suppression.

    dets:     (N, 5): x1, y1, x2, y2 (pixels, inclusive corners), score; computed in float32
    inclusive suppress where the overlap is >= thresh (py-faster-rcnn: cpu_nms.pyx), else only
              where it is greater (nms_kernel.cu, py_cpu_nms.py)
    max_keep  end after so many boxes; -1: no limit
    returns   (K,) int64: the rows that stay, in descending order of score; equal scores keep the
              order of the rows

    ValueError: dets of another shape.
    """
    if dets.dim() != 2 or dets.shape[1] != 5:
        raise ValueError("nms: dets must be (N, 5): x1, y1, x2, y2, score; not "
                         f"{list(dets.shape)}")
    dets = dets.detach().float()
    return _ops.nms(dets[:, :4], dets[:, 4], None, thresh, inclusive, max_keep)


def batched_nms(boxes: Tensor, scores: Tensor, groups: Tensor, thresh: float,
                inclusive: bool = True, max_keep: int = -1) -> Tensor:
    """nms within each group: boxes (N, 4), scores (N,), groups (N,) integers (class, image).

    Returns (K,) int64 as nms does. ValueError: operands that differ in length or device.
    """
    return _ops.nms(boxes.detach().float(), scores.detach().float(), groups.long(), thresh,
                    inclusive, max_keep)


def soft_nms(boxes: Tensor, scores: Tensor, groups: Tensor | None, thresh: float,
             method: str = "linear", sigma: float = 0.5,
             score_thresh: float = 0.001) -> tuple[Tensor, Tensor]:
    """Soft non-maximum suppression (Bodla et al. 2017) within each group.

    boxes:    (N, 4), pixels, inclusive corners; scores: (N,); computed in float32
    groups:   (N,) integers (class, image), or None: all boxes are in one
    method    the best box is kept, and the scores of all others are multiplied by 1 - overlap
              where it is >= thresh ("linear"), or by exp(-overlap^2 / sigma) ("gaussian"); and so
              on with the best of the rest, until all scores are below score_thresh
    returns   rows that are kept, (K,) int64, and their lowered scores, (K,) float32, in descending
              order of these scores; equal ones keep the order of the rows

    Computed on the CPU, wherever the operands are. ValueError: operands that differ in length,
    another method, sigma not positive.
    """
    if method not in ("linear", "gaussian"):
        raise ValueError(f'soft_nms: method must be "linear" or "gaussian", not "{method}"')
    keep, lowered = _ops.soft_nms(
        boxes.detach().float().cpu(), scores.detach().float().cpu(),
        None if groups is None else groups.long().cpu(), method == "gaussian", thresh, sigma,
        score_thresh)
    return keep.to(boxes.device), lowered.to(boxes.device)


def lrn_across(x: Tensor, size: int, alpha: float, beta: float, k: float = 1.0) -> Tensor:
    """x * (k + alpha / size * sum of x^2 over `size` neighbouring channels) ^ -beta.

    x: (N, C, ...); the window is centred, `size` odd, zeros beyond the first and last channel.
    Caffe: LRN, ACROSS_CHANNELS. The result has the shape of x and is laid out channels_last.
    ValueError: an even size, x of fewer than two axes.
    """
    if x.dim() > 1:
        size, share = _clipped_window(size, x.shape[1])
        alpha = alpha * share
    return _ops.lrn_across(widened(x), size, alpha, beta, k).to(x.dtype)


def _clipped_window(size: int, length: int) -> tuple[int, float]:
    """A window that sees as much of `length` cells and takes no more memory; its share of `size`.
    """
    clipped = min(size, max(2 * length - 1, 1))
    return clipped, clipped / max(size, 1)


def lrn_within(x: Tensor, size: int, alpha: float, beta: float) -> Tensor:
    """x * (1 + alpha * mean of x^2 over size x size pixels) ^ -beta.

    x: (N, C, H, W), as the result. Caffe: LRN, WITHIN_CHANNEL; pixels beyond the border are zeros
    and count in the mean. ValueError: an even size, x of another number of axes. The kernel is for
    the CPU, where PyTorch's pooling and powers take many passes over the memory.
    """
    if size < 1 or size % 2 == 0:
        raise ValueError(f"lrn_within: size must be odd, not {size}")
    if x.dim() == 4:
        size, share = _clipped_window(size, max(x.shape[2:]))
        alpha = alpha * share ** 2
    if not x.is_cuda:
        return _ops.lrn_within(widened(x), size, alpha, beta).to(x.dtype)
    if x.dtype in HALVES:
        return lrn_within(x.float(), size, alpha, beta).to(x.dtype)
    mean = F.avg_pool2d(x * x, size, 1, size // 2)
    return x * (1 + alpha * mean).pow(-beta)


@torch.no_grad()
def sgd_update_(weight: Tensor, grad: Tensor, history: Tensor, lr: float, momentum: float,
                decay: float) -> None:
    """history = momentum * history + lr * (grad + decay * weight); weight -= history.

    One pass, in place; the three have one shape, weight and history also one memory layout.
    Caffe: SGDSolver with L2 regularisation, the learning rate inside the momentum. ValueError:
    operands that differ in shape, type or device. The gradient may be bfloat16 or half.
    """
    grad = widened(grad) if weight.dtype == torch.float32 else grad
    _ops.sgd_update_(weight, grad, history, lr, momentum, decay)

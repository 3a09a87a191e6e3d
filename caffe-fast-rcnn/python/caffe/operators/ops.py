"""The operators that PyTorch lacks or is slow at, over torch.ops.caffe_fast_rcnn.

    roi_pool, roi_align, psroi_pool, smooth_l1_loss, nms, batched_nms, soft_nms, lrn_across,
    lrn_within, sgd_update_

Kernels for the CPU and for CUDA are in src/caffe/layers, what PyTorch must know of them in
registration.py; here are the functions to call. float32 and float64 (nms, soft_nms: float32);
channels_last tensors are the fast path, every other layout works. A bad operand raises ValueError
naming its shape. The library is built at the first import where a compiler is there (build.py).
"""
import torch
import torch.nn.functional as F

from caffe.operators.registration import raw as _ops


def roi_pool(features, rois, pooled_h, pooled_w, spatial_scale):
    """The maximum of every bin of a grid over each roi (Fast R-CNN: ROIPooling).

    features: (N, C, H, W)
    rois:     (R, 5): image index, x1, y1, x2, y2 in image pixels, inclusive corners, which are
              multiplied by spatial_scale and rounded half away from zero
    returns   (R, C, pooled_h, pooled_w), contiguous; bins outside the map are 0

    Gradients reach the features only. An image index outside the batch raises ValueError on the
    CPU and makes the roi's row NaN on CUDA, where asking would wait for the GPU; so do rois that
    are not finite. CUDA adds up gradients in no fixed order (atomicAdd).
    """
    with_argmax = torch.is_grad_enabled() and features.requires_grad
    return _ops.roi_pool(features, rois.detach().to(features.dtype), pooled_h, pooled_w,
                         spatial_scale, with_argmax)[0]


def roi_align(features, rois, pooled_h, pooled_w, spatial_scale, sampling_ratio=0, aligned=False):
    """The mean of bilinear samples in every bin of a grid over each roi (Mask R-CNN: RoIAlign).

    features:       (N, C, H, W)
    rois:           (R, 5): image index, x1, y1, x2, y2 in image pixels, multiplied by spatial_scale
                    and not rounded; the roi is x2 - x1 wide, and 1 cell at least unless `aligned`
    sampling_ratio: samples of a bin along each side; <= 0: as many as it has cells, rounded up
    aligned:        take half a cell from the scaled corners (Detectron2: ROIAlignV2); without it
                    as in Caffe2, the Caffe forks and Mask R-CNN
    returns         (R, C, pooled_h, pooled_w), contiguous; samples a cell or more outside the map
                    count as 0

    Gradients reach the features and the corners of the rois, whose image index and numbers of
    samples are taken as constants; each is computed only where it is asked for. Rois that are not
    sound are treated as by roi_pool. CUDA adds up the features' gradients in no fixed order.
    """
    return _ops.roi_align(features, rois.to(features.dtype), pooled_h, pooled_w, spatial_scale,
                          sampling_ratio, aligned)


def psroi_pool(features, rois, output_dim, group_size, spatial_scale):
    """The mean of every bin of a grid over each roi, from channels of its own (R-FCN).

    features: (N, output_dim * group_size^2, H, W); bin (i, j) of class c looks at channel
              (c * group_size + i) * group_size + j
    rois:     (R, 5): image index, x1, y1, x2, y2 in image pixels, inclusive corners, which are
              rounded and then multiplied by spatial_scale; 0.1 cells wide and high at least
    returns   (R, output_dim, group_size, group_size); bins outside the map are 0

    Gradients reach the features only. Rois that are not sound are treated as by roi_pool.
    """
    return _ops.psroi_pool(features, rois.detach().to(features.dtype), output_dim, group_size,
                           spatial_scale)


def smooth_l1_loss(pred, target, inside=None, outside=None, sigma=1.0):
    """sum(outside * s(inside * (pred - target))) / pred.shape[0] (Fast R-CNN: SmoothL1Loss).

    s(x) = 0.5 (sigma x)^2 where |x| < 1 / sigma^2, else |x| - 0.5 / sigma^2. All operands have
    the shape of pred; returns a scalar (). Gradients reach pred and target.
    """
    return _ops.smooth_l1_loss(pred, target, inside, outside, sigma)


def nms(dets, thresh, inclusive=True, max_keep=-1):
    """Greedy non-maximum suppression.

    dets:     (N, 5): x1, y1, x2, y2 (pixels, inclusive corners), score; computed in float32
    inclusive suppress where the overlap is >= thresh (py-faster-rcnn: cpu_nms.pyx), else only
              where it is greater (nms_kernel.cu, py_cpu_nms.py)
    max_keep  end after so many boxes; -1: no limit
    returns   (K,) int64: the rows that stay, in descending order of score; equal scores keep the
              order of the rows
    """
    if dets.dim() != 2 or dets.shape[1] != 5:
        raise ValueError("nms: dets must be (N, 5): x1, y1, x2, y2, score; not "
                         f"{list(dets.shape)}")
    dets = dets.detach().float()
    return _ops.nms(dets[:, :4], dets[:, 4], None, thresh, inclusive, max_keep)


def batched_nms(boxes, scores, groups, thresh, inclusive=True, max_keep=-1):
    """nms within each group: boxes (N, 4), scores (N,), groups (N,) integers (class, image)."""
    return _ops.nms(boxes.detach().float(), scores.detach().float(), groups.long(), thresh,
                    inclusive, max_keep)


def soft_nms(boxes, scores, groups, thresh, method="linear", sigma=0.5, score_thresh=0.001):
    """Soft non-maximum suppression (Bodla et al. 2017) within each group.

    boxes:    (N, 4), pixels, inclusive corners; scores: (N,); computed in float32
    groups:   (N,) integers (class, image), or None: all boxes are in one
    method    the best box is kept, and the scores of all others are multiplied by 1 - overlap
              where it is >= thresh ("linear"), or by exp(-overlap^2 / sigma) ("gaussian"); and so
              on with the best of the rest, until all scores are below score_thresh
    returns   rows that are kept, (K,) int64, and their lowered scores, (K,) float32, in falling
              order of these scores; equal ones keep the order of the rows

    Computed on the CPU, wherever the operands are.
    """
    if method not in ("linear", "gaussian"):
        raise ValueError(f'soft_nms: method must be "linear" or "gaussian", not "{method}"')
    keep, lowered = _ops.soft_nms(
        boxes.detach().float().cpu(), scores.detach().float().cpu(),
        None if groups is None else groups.long().cpu(), method == "gaussian", thresh, sigma,
        score_thresh)
    return keep.to(boxes.device), lowered.to(boxes.device)


def lrn_across(x, size, alpha, beta, k=1.0):
    """x * (k + alpha / size * sum of x^2 over `size` neighbouring channels) ^ -beta.

    x: (N, C, ...); the window is centred, `size` odd, zeros beyond the first and last channel.
    Caffe: LRN, ACROSS_CHANNELS. The result is laid out channels_last.
    """
    if x.dim() > 1:
        size, share = _clipped_window(size, x.shape[1])
        alpha = alpha * share
    return _ops.lrn_across(x, size, alpha, beta, k)


def _clipped_window(size, length):
    """A window that sees as much of `length` cells and takes no more memory; its share of `size`.
    """
    clipped = min(size, max(2 * length - 1, 1))
    return clipped, clipped / max(size, 1)


def lrn_within(x, size, alpha, beta):
    """x * (1 + alpha * mean of x^2 over size x size pixels) ^ -beta, x (N, C, H, W).

    Caffe: LRN, WITHIN_CHANNEL; pixels beyond the border are zeros and count in the mean. The
    kernel is for the CPU, where PyTorch's pooling and powers take many passes over the memory.
    """
    if size < 1 or size % 2 == 0:
        raise ValueError(f"lrn_within: size must be odd, not {size}")
    if x.dim() == 4:
        size, share = _clipped_window(size, max(x.shape[2:]))
        alpha = alpha * share ** 2
    if not x.is_cuda:
        return _ops.lrn_within(x, size, alpha, beta)
    mean = F.avg_pool2d(x * x, size, 1, size // 2)
    return x * (1 + alpha * mean).pow(-beta)


@torch.no_grad()
def sgd_update_(weight, grad, history, lr, momentum, decay):
    """history = momentum * history + lr * (grad + decay * weight); weight -= history.

    One pass, in place; the three have one shape, weight and history also one memory layout.
    Caffe: SGDSolver with L2 regularisation, the learning rate inside the momentum.
    """
    _ops.sgd_update_(weight, grad, history, lr, momentum, decay)

"""The operators that PyTorch lacks or is slow at, over torch.ops.caffe_fast_rcnn.

    roi_pool, smooth_l1_loss, nms, batched_nms, lrn_across, lrn_within, sgd_update_

Kernels for the CPU and for CUDA are in src/caffe/layers; here are their shapes on the meta device,
their gradients, and the functions to call. float32 and float64 (nms: float32); channels_last
tensors are the fast path, every other layout works. A bad operand raises ValueError naming its
shape. The library is built at the first import where a compiler is there (caffe.build).
"""
import torch
import torch.nn.functional as F

from . import build

try:
    torch.ops.load_library(build.build())
except build.BuildError as error:
    raise ImportError(f"caffe.ops: {error}") from None
_ops = torch.ops.caffe_fast_rcnn


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
    returns   (K,) int64: the rows that stay, in falling order of score; equal scores keep the
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


# Shapes on the meta device, for finding the top shapes of a net and for torch.compile.

def _require(condition, message):
    if not condition:
        raise ValueError(message)


@torch.library.register_fake("caffe_fast_rcnn::roi_pool")
def _(features, rois, pooled_h, pooled_w, spatial_scale, with_argmax):
    _require(features.dim() == 4,
             f"roi_pool: features must be (N, C, H, W), not {list(features.shape)}")
    _require(rois.dim() == 2 and rois.shape[1] == 5,
             "roi_pool: rois must be (R, 5): batch index, x1, y1, x2, y2; not "
             f"{list(rois.shape)}")
    pooled = features.new_empty((rois.shape[0], features.shape[1], pooled_h, pooled_w))
    return pooled, features.new_empty(pooled.shape if with_argmax else (0,), dtype=torch.int32)


@torch.library.register_fake("caffe_fast_rcnn::roi_pool_backward")
def _(grad, rois, argmax, feature_shape):
    return grad.new_empty(feature_shape)


@torch.library.register_fake("caffe_fast_rcnn::smooth_l1_loss")
def _(pred, target, inside, outside, sigma):
    for name, operand in (("target", target), ("inside", inside), ("outside", outside)):
        _require(operand is None or operand.shape == pred.shape,
                 f"smooth_l1_loss: {name} is {operand is not None and list(operand.shape)}, "
                 f"pred is {list(pred.shape)}")
    return pred.new_empty(())


@torch.library.register_fake("caffe_fast_rcnn::smooth_l1_loss_backward")
def _(grad, pred, target, inside, outside, sigma):
    return torch.empty_like(pred, memory_format=_common_format(pred))


@torch.library.register_fake("caffe_fast_rcnn::nms")
def _(boxes, scores, groups, thresh, inclusive, max_keep):
    return boxes.new_empty(torch.library.get_ctx().new_dynamic_size(), dtype=torch.int64)


@torch.library.register_fake("caffe_fast_rcnn::lrn_across")
def _(x, size, alpha, beta, k):
    _require(x.dim() >= 2, f"lrn_across: x must be (N, C, ...), not {list(x.shape)}")
    _require(size > 0 and size % 2 == 1, f"lrn_across: size must be odd, not {size}")
    return _channels_last(x)


@torch.library.register_fake("caffe_fast_rcnn::lrn_across_backward")
def _(grad, x, size, alpha, beta, k):
    return _channels_last(x)


@torch.library.register_fake("caffe_fast_rcnn::lrn_within")
def _(x, size, alpha, beta):
    _require(x.dim() == 4, f"lrn_within: x must be (N, C, H, W), not {list(x.shape)}")
    return _channels_last(x)


@torch.library.register_fake("caffe_fast_rcnn::lrn_within_backward")
def _(grad, x, size, alpha, beta):
    return _channels_last(x)


@torch.library.register_fake("caffe_fast_rcnn::sgd_update_")
def _(weight, grad, history, lr, momentum, decay):
    return None


def _channels_last(x):
    rows = x.movedim(1, -1)
    return x.new_empty(rows.shape).movedim(-1, 1)


def _common_format(x):
    channels_last = x.dim() == 4 and x.is_contiguous(memory_format=torch.channels_last)
    return torch.channels_last if channels_last else torch.contiguous_format


# Gradients.

def _roi_pool_context(ctx, inputs, output):
    features, rois = inputs[:2]
    ctx.feature_shape = features.shape
    ctx.save_for_backward(rois, output[1])


def _roi_pool_backward(ctx, grad, _):
    rois, argmax = ctx.saved_tensors
    return _ops.roi_pool_backward(grad, rois, argmax, ctx.feature_shape), *[None] * 5


def _smooth_l1_context(ctx, inputs, output):
    ctx.sigma = inputs[4]
    ctx.save_for_backward(*inputs[:4])


def _smooth_l1_backward(ctx, grad):
    pred = _ops.smooth_l1_loss_backward(grad, *ctx.saved_tensors, ctx.sigma)
    return pred, -pred if ctx.needs_input_grad[1] else None, None, None, None


def _lrn_context(ctx, inputs, output):
    ctx.formula = inputs[1:]
    ctx.save_for_backward(inputs[0])


def _lrn_across_backward(ctx, grad):
    return _ops.lrn_across_backward(grad, *ctx.saved_tensors, *ctx.formula), *[None] * 4


def _lrn_within_backward(ctx, grad):
    return _ops.lrn_within_backward(grad, *ctx.saved_tensors, *ctx.formula), *[None] * 3


torch.library.register_autograd("caffe_fast_rcnn::roi_pool", _roi_pool_backward,
                                setup_context=_roi_pool_context)
torch.library.register_autograd("caffe_fast_rcnn::smooth_l1_loss", _smooth_l1_backward,
                                setup_context=_smooth_l1_context)
torch.library.register_autograd("caffe_fast_rcnn::lrn_across", _lrn_across_backward,
                                setup_context=_lrn_context)
torch.library.register_autograd("caffe_fast_rcnn::lrn_within", _lrn_within_backward,
                                setup_context=_lrn_context)

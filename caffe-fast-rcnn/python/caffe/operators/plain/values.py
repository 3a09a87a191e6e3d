"""Losses, normalisations and the solver's update by plain PyTorch operations."""
import torch
import torch.nn.functional as F
from torch import Tensor

from caffe.operators.plain import checks


def smooth_l1_loss(pred: Tensor, target: Tensor, inside: Tensor | None, outside: Tensor | None,
                   sigma: float) -> Tensor:
    checks.check_smooth_l1("smooth_l1_loss", pred, target, inside, outside, sigma)
    x = pred - target if inside is None else inside * (pred - target)
    size = x.abs()
    loss = torch.where(size < 1 / sigma ** 2, 0.5 * sigma ** 2 * x * x, size - 0.5 / sigma ** 2)
    total = (loss if outside is None else outside * loss).sum()
    return total / len(pred) if len(pred) else total


def smooth_l1_loss_backward(grad: Tensor, pred: Tensor, target: Tensor, inside: Tensor | None,
                            outside: Tensor | None, sigma: float) -> Tensor:
    op = "smooth_l1_loss_backward"
    checks.check_smooth_l1(op, pred, target, inside, outside, sigma)
    checks.require(grad.numel() == 1, f"{op}: grad must be one number, not {checks.sizes(grad)}")
    checks.check_kind(op, "grad is", grad, "pred is", pred)
    x = pred - target if inside is None else inside * (pred - target)
    slope = torch.where(x.abs() < 1 / sigma ** 2, sigma ** 2 * x, x.sign())
    for weights in (inside, outside):
        slope = slope if weights is None else slope * weights
    return slope * (grad.reshape(()) / max(len(pred), 1))


def lrn_across(x: Tensor, size: int, alpha: float, beta: float, k: float) -> Tensor:
    _check_across("lrn_across", x, size)
    return _channels_last(x * _across(x, size, alpha, k).pow(-beta))


def lrn_across_backward(grad: Tensor, x: Tensor, size: int, alpha: float, beta: float,
                        k: float) -> Tensor:
    _check_across("lrn_across_backward", x, size)
    checks.check_alike("lrn_across_backward", "grad is", grad, "x is", x)
    scale = _across(x, size, alpha, k)
    neighbours = _channel_sum(grad * x * scale.pow(-beta - 1), size)
    return _channels_last(grad * scale.pow(-beta) - 2 * alpha * beta / size * x * neighbours)


def _check_across(op: str, x: Tensor, size: int) -> None:
    checks.check_window(op, x, size)
    checks.require(x.dim() >= 2, f"lrn_across: x must be (N, C, ...), not {checks.sizes(x)}")


def _across(x: Tensor, size: int, alpha: float, k: float) -> Tensor:
    return k + alpha / size * _channel_sum(x * x, size)


def _channel_sum(x: Tensor, size: int) -> Tensor:
    """The sum over a centred window of `size` channels."""
    if not x.numel():
        return x
    rows = x.reshape(len(x), 1, x.shape[1], -1)
    return (F.avg_pool2d(rows, (size, 1), 1, (size // 2, 0)) * size).reshape(x.shape)


def lrn_within(x: Tensor, size: int, alpha: float, beta: float) -> Tensor:
    _check_within("lrn_within", x, size)
    return _channels_last(x * (1 + alpha * _mean(x * x, size)).pow(-beta))


def lrn_within_backward(grad: Tensor, x: Tensor, size: int, alpha: float, beta: float) -> Tensor:
    _check_within("lrn_within_backward", x, size)
    checks.check_alike("lrn_within_backward", "grad is", grad, "x is", x)
    scale = 1 + alpha * _mean(x * x, size)
    neighbours = _mean(grad * x * scale.pow(-beta - 1), size)
    return _channels_last(grad * scale.pow(-beta) - 2 * alpha * beta * x * neighbours)


def _check_within(op: str, x: Tensor, size: int) -> None:
    checks.check_window(op, x, size)
    checks.require(x.dim() == 4, f"lrn_within: x must be (N, C, H, W), not {checks.sizes(x)}")


def _mean(x: Tensor, size: int) -> Tensor:
    """The mean over size x size pixels, zeros beyond the border."""
    return F.avg_pool2d(x, size, 1, size // 2) if x.numel() else x


def _channels_last(x: Tensor) -> Tensor:
    return x.movedim(1, -1).contiguous().movedim(-1, 1)


def sgd_update_(weight: Tensor, grad: Tensor, history: Tensor, lr: float, momentum: float,
                decay: float) -> None:
    checks.check_real("sgd_update_", "the weight", weight)
    for name, x in (("grad is", grad), ("history is", history)):
        checks.check_alike("sgd_update_", name, x, "weight is", weight)
    checks.require(history.stride() == weight.stride(), f"sgd_update_: history has strides "
                   f"{list(history.stride())}, weight {list(weight.stride())}")
    history.mul_(momentum).add_(grad + decay * weight, alpha=lr)
    weight.sub_(history)
